"""``gradsim render``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gradsim.cli.main import cli

VIEWS = ("heatmap", "overview", "profile", "curves", "directions", "clipping", "inside", "data", "stack")
LOOKS = ("light", "dark", "projector")


@cli.command()
@click.argument("source", metavar="EXPERIMENT|RECORDING")
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    help="The picture: FILE.png, .svg, or a moving one: .gif, .webp, .apng, .mp4 (with ffmpeg).",
)
@click.option("--view", default="heatmap", show_default=True, help=f"One of {', '.join(VIEWS)}.")
@click.option("--quantity", default="delta_rms", show_default=True, help="What the colours show: gradsim list.")
@click.option("--step", type=int, help="The step that is shown.  [default: the last one]")
@click.option("--steps", type=click.IntRange(min=1), help="How many steps to train.  [default: 200]")
@click.option("--size", metavar="WxH", help="Pixels, as in 1920x1080.  [default: what suits the view]")
@click.option("--theme", default="light", show_default=True, help=f"One of {', '.join(LOOKS)}.")
@click.option("--layer", metavar="NAME", help="The layer that the view `inside` shows, and that is marked elsewhere.")
@click.option("--frames", type=click.IntRange(min=1), help="Frames of a moving picture.  [default: 60]")
@click.option(
    "--rate",
    type=click.FloatRange(min=0.5, max=50.0),
    default=10.0,
    show_default=True,
    help="Frames a second of a moving picture.",
)
@click.option("--set", "settings", metavar="PATH=VALUE", multiple=True, help="Change a field first, as of gradsim run.")
@click.option("--no-progress", is_flag=True, help="No progress bar, on a terminal too.")
def render(
    source: str,
    path: Path,
    view: str,
    quantity: str,
    step: int | None,
    steps: int | None,
    size: str | None,
    theme: str,
    layer: str | None,
    frames: int | None,
    rate: float,
    settings: tuple[str, ...],
    no_progress: bool,
) -> None:
    """Train EXPERIMENT, or take a RECORDING, and make a picture of it, without a window.

    EXPERIMENT is a .gradsim file or the name of a bundled one; RECORDING is an .npz of gradsim run.
    A .gradsim file that was saved with its run shows that run, unless --steps or --set ask for another.

    The heatmap comes with names, axis, scale and title. A moving picture shows the run from its first step to --step.
    Exit codes: 0 written, 1 Qt can't be loaded, 2 bad input, 130 ended by Ctrl-C; a file is written whole or not at
    all.
    """
    from gradsim.cli.painting import render_picture

    sys.exit(
        render_picture(
            source, path, view=view, quantity=quantity, step=step, steps=steps, size=size, look=theme, layer=layer,
            frames=frames, rate=rate, settings=settings, progress=not no_progress,
        )
    )  # fmt: skip


@cli.command()
@click.argument("lesson")
@click.option("-o", "--output", "path", type=click.Path(path_type=Path), required=True, help="The handout: FILE.pdf.")
@click.option("--teacher", is_flag=True, help="With the teacher's notes.")
@click.option("--language", metavar="L", help="Its language: en or zh_CN.  [default: the system's]")
@click.option("--seed", metavar="S", type=click.IntRange(0, 2**31 - 1), help="Another seed for every training.")
def handout(lesson: str, path: Path, teacher: bool, language: str | None, seed: int | None) -> None:
    """Play LESSON and make a PDF of it: its texts and questions, then its pictures and what was measured.

    LESSON is the name or number of a bundled one, or a folder.

    Exit codes: 0 written, 1 Qt can't be loaded, 2 bad input, 130 ended by Ctrl-C.
    """
    from gradsim.cli.painting import make_handout

    sys.exit(make_handout(lesson, path, teacher=teacher, language=language, seed=seed))

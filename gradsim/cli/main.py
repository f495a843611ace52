"""The commands and their options."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import click

import gradsim
from gradsim import i18n
from gradsim.cli import codes
from gradsim.i18n import reason_of, tr


class Group(click.Group):
    """A group in which the name of a file stands for opening it in the window, as a double-click does."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and args[0].endswith(".gradsim"):
            args = ["open", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=Group, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gradsim.__version__, prog_name="gradsim")
@click.option("--selftest", "check", is_flag=True, help="Check this installation; the same as the command.")
@click.pass_context
def cli(ctx: click.Context, check: bool) -> None:
    """Build a deep network, train it, and see layer by layer why it stops learning.

    Without a command the window opens.

    Exit codes: 0 done (vanishing, exploding and NaN are results), 1 the window can't be opened, 2 bad input, 130
    ended by Ctrl-C (what was recorded until then is kept and written).
    """
    if check:
        ctx.invoke(selftest)
    if ctx.invoked_subcommand is None:
        _window(None)


@cli.command("open", hidden=True)
@click.argument("file", required=False, type=click.Path(path_type=Path))
def open_(file: Path | None) -> None:
    """Open the window, with FILE in it."""
    _window(file)


def _window(path: Path | None) -> None:
    sys.exit(_app().main([] if path is None else [str(path)]))


def _app() -> Any:
    """The room of the window; ends the process where there can be none."""
    headless = sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    )
    if headless:
        # Qt would end the process by itself, with a message that helps nobody.
        click.echo(
            tr("gradsim: there is no display for the window; the commands work without one: gradsim --help"), err=True
        )
        sys.exit(codes.FAILED)
    try:
        # By name, because the window lies above the commands: without Qt they work all the same.
        return importlib.import_module("gradsim.app")
    except ImportError as error:
        click.echo(tr("gradsim: the window can't be opened: {reason}", reason=error), err=True)
        click.echo(tr("The commands work without it: gradsim --help"), err=True)
        sys.exit(codes.FAILED)


@cli.command()
@click.argument("recording", type=click.Path(path_type=Path))
def view(recording: Path) -> None:
    """Look at RECORDING in a window: of gradsim run -o FILE.npz, of gradsim.watch, or the latest one in a folder.

    A file that still grows is followed, and one that is not there yet is waited for.
    """
    if recording.suffix != ".npz" and not recording.is_dir():
        click.echo(tr("gradsim: {file}: must be a recording (.npz) or a folder of them", file=recording), err=True)
        sys.exit(codes.BAD_INPUT)
    sys.exit(_app().view(str(recording)))


@cli.command("list")
@click.argument("kind", required=False)
def list_(kind: str | None) -> None:
    """List what there is: experiments, datasets, layers, activations, ...

    KIND shows only one of these lists, with the fields of each entry.
    """
    from gradsim.cli.listing import show_lists

    sys.exit(show_lists(kind))


@cli.command()
@click.argument("experiment")
@click.option("--set", "settings", metavar="PATH=VALUE", multiple=True, help="Change a field first; see run.")
def show(experiment: str, settings: tuple[str, ...]) -> None:
    """Show the layers of EXPERIMENT with shapes and parameter counts, and what is unwise about it.

    EXPERIMENT is a .gradsim file or the name of a bundled one (gradsim list experiments).
    """
    from gradsim.cli.showing import show_experiment

    sys.exit(show_experiment(experiment, settings))


@cli.command()
@click.argument("experiment")
@click.option("--steps", type=click.IntRange(min=1), help="How many steps.  [default: 200]")
@click.option("--epochs", type=click.IntRange(min=1), help="How many epochs, instead of steps.")
@click.option("--seed", metavar="S", help="Seed of weights, order of rows and dropout.")
@click.option("--dtype", metavar="D", help="Number format: float32 or float64.")
@click.option(
    "--set", "settings", metavar="PATH=VALUE", multiple=True,
    help="Change a field first, as in --set optimizer.learning_rate=0.1 or --set layers[1].layers[0].activation=relu. "
    "VALUE is a number, a name, or JSON. Can be given several times.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the recording to FILE.csv or FILE.npz.")
@click.option(
    "--threads", type=click.IntRange(min=1),
    help="How many share the work of wide layers; the result does not depend on it.  [default: all processors]",
)  # fmt: skip
@click.option("--no-progress", is_flag=True, help="No progress bar, on a terminal too.")
def run(
    experiment: str,
    steps: int | None,
    epochs: int | None,
    seed: str | None,
    dtype: str | None,
    settings: tuple[str, ...],
    output: Path | None,
    threads: int | None,
    no_progress: bool,
) -> None:
    """Train EXPERIMENT and say layer by layer how large the gradient is.

    EXPERIMENT is a .gradsim file or the name of a bundled one (gradsim list experiments).

    Vanishing, exploding and NaN are results: exit code 0. Ctrl-C ends the run cleanly, the table is shown and the
    file written with what was recorded until then: exit code 130. Bad input, with all that is wrong in it: 2.
    """
    from gradsim.cli.running import run_experiment

    given = [*([f"seed={seed}"] if seed is not None else []), *([f"dtype={dtype}"] if dtype is not None else [])]
    sys.exit(
        run_experiment(
            experiment, steps, epochs, (*given, *settings), output, progress=not no_progress, threads=threads
        )
    )


@cli.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to a file instead.")
def schema(output: Path | None) -> None:
    """Print the JSON Schema of .gradsim files."""
    from gradsim import replacing
    from gradsim.model import schema as published

    if output is None:
        click.echo(published.text(), nl=False)
        return
    try:
        replacing.write(output, published.text().encode("utf-8"))
    except OSError as error:
        click.echo(tr("gradsim: {file} can't be written: {reason}", file=output, reason=reason_of(error)), err=True)
        sys.exit(codes.BAD_INPUT)


@cli.command()
def selftest() -> None:
    """Check this installation: kernels, trainings against known numbers, experiments, window.

    One line a check. Exit codes: 0 all passed, 1 something did not.
    """
    from gradsim.cli.checking import check_installation

    sys.exit(check_installation())


@cli.command()
def doctor() -> None:
    """Say what this machine lacks for gradsim, and what to type.

    Exit codes: 0 nothing is missing, 1 something is.
    """
    from gradsim.cli.machine import examine

    sys.exit(examine())


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line in the language of the system; ends the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What reads in an older encoding, as GBK or cp1252, gets a ? for a sign that it does not have.
            stream.reconfigure(errors="replace")
    # An installation without the catalogue of the system's language speaks English.
    with contextlib.suppress(FileNotFoundError):
        i18n.set_language(i18n.system_language())
    try:
        cli.main(arguments, prog_name="gradsim", standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(codes.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read has read enough. Python would complain once more when it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)

"""What ``gradsim render`` and ``gradsim handout`` do."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from gradsim import api, i18n
from gradsim.cli import codes, output
from gradsim.cli.opening import opened
from gradsim.cli.rendering import LOOKS, VIEWS
from gradsim.cli.running import DEFAULT_STEPS, compile_kernels, progress_bar, writing_faults
from gradsim.engine import saved
from gradsim.engine.saved import SavedRun
from gradsim.engine.trainer import Trainer
from gradsim.i18n import tr
from gradsim.model import file, migrations
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.nn.spec import MISSING, Fault
from gradsim.telemetry import Recording, RecordingFileError, definitions

SUFFIXES = (".png", ".svg", ".gif", ".webp", ".apng", ".mp4")
STILLS = (".png", ".svg")
SIDES = (120, 16_384)
"""Least and most pixels of a side."""
DEFAULT_FRAMES = 60


def render_picture(
    source: str,
    path: Path,
    *,
    view: str,
    quantity: str,
    step: int | None,
    steps: int | None,
    size: str | None,
    look: str,
    layer: str | None,
    frames: int | None,
    rate: float,
    settings: Sequence[str],
    progress: bool,
) -> int:
    """Makes the picture; gives the exit code."""
    faults = writing_faults(path, SUFFIXES)
    for name, value, allowed in (
        ("--view", view, VIEWS),
        ("--quantity", quantity, tuple(d.key for d in definitions("layer") if not d.counts)),
        ("--theme", look, LOOKS),
    ):
        if value not in allowed:
            faults.append(Fault(name, tr("must be one of {names}", names=", ".join(allowed)), value))
    pixels = _size(size, faults)
    moving = path.suffix.lower() not in STILLS
    if moving and view == "stack":
        faults.append(Fault("--view", tr("must be one that moves: the stack is the same at every step"), view))
    if frames is not None and not moving:
        faults.append(Fault("--frames", tr("must be given with a moving picture only"), frames))
    if path.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        faults.append(Fault("--output", tr("must be .gif, .webp or .apng where ffmpeg is not installed"), str(path)))
    experiment, recording, run, found = _source(source, steps, settings)
    faults += found
    if recording is not None and run is None and view in ("inside", "data"):
        message = tr("needs the training itself: give the experiment instead of its recording")
        faults.append(Fault("--view", message, view))
    total = recording.stop if recording is not None else steps or DEFAULT_STEPS
    first = recording.start if recording is not None and len(recording) else 0
    if step is not None and not first <= step < total:
        faults.append(Fault("--step", tr("must be {first} to {last}", first=first, last=total - 1), step))
    row = _row(layer, experiment, recording, faults)
    if experiment is None or faults:
        return output.refuse(source, faults)
    headless = _headless()
    if headless is None:
        return codes.FAILED
    if recording is None:
        screen = output.console(stderr=True)
        shown = progress and screen.is_terminal
        compile_kernels(screen, experiment.dtype, shown)
        with progress_bar(screen, shown) as callback:
            ended = api.train(api.Experiment.of(experiment), total if step is None else step + 1, callback=callback)
        if ended.interrupted:
            sys.stderr.write("gradsim: " + tr("interrupted; no picture was written") + "\n")
            return codes.INTERRUPTED
        recording = ended.recording
    last = recording.stop - recording.every if step is None else step
    wanted = _steps(recording.start, last, frames or DEFAULT_FRAMES) if moving else (last,)
    request = headless.Request(path, view, quantity, wanted, pixels, look, rate, row)
    try:
        headless.render(experiment, recording, request, _answers(experiment, run))
    except OSError as error:
        message = tr("can't be written: {reason}", reason=error.strerror or str(error))
        return output.refuse(source, [Fault("--output", message, str(path))])
    except ValueError as error:
        return output.refuse(source, [Fault("--output", str(error), str(path))])
    except KeyboardInterrupt:
        return codes.INTERRUPTED
    sys.stderr.write("gradsim: " + tr("{path} written", path=path) + "\n")
    return 0


def _source(
    source: str, steps: int | None, settings: Sequence[str]
) -> tuple[Experiment | None, Recording | None, SavedRun | None, list[Fault]]:
    """The experiment; its recording if that is what was named, and the run if a file holds one that is asked for."""
    if not source.endswith(".npz"):
        experiment, faults = opened(source, settings)
        if experiment is None or steps is not None or settings:
            return experiment, None, None, faults
        try:
            run = saved.load(source)
        except FaultsError as error:
            return experiment, None, None, [*faults, *error.faults]
        recorded = run is not None and len(run.recording) > 0
        return experiment, run.recording if run is not None and recorded else None, run, faults
    faults = []
    if steps is not None:
        faults.append(Fault("--steps", tr("must not be given with a recording, which is not trained again"), steps))
    if settings:
        faults.append(Fault("--set", tr("must not be given with a recording"), settings[0]))
    try:
        recording = Recording.load(source)
    except OSError as error:
        message = tr("can't be read: {reason}", reason=error.strerror or str(error))
        return None, None, None, [*faults, Fault(file.WHOLE, message, source)]
    except RecordingFileError as error:
        return None, None, None, [*faults, Fault(file.WHOLE, str(error), MISSING)]
    if not len(recording):
        faults.append(Fault(file.WHOLE, tr("must hold one recorded step or more"), 0))
    shown = Experiment(name=Path(source).stem)
    if recording.experiment is not None:
        try:
            # Recordings hold it as a file does, or without the number of the format.
            content = {migrations.KEY: migrations.CURRENT, **recording.experiment}
            shown = file.loads(json.dumps(content)).experiment
        except (FaultsError, TypeError, ValueError) as error:
            # The record is what is shown; an experiment that can't be read gives it no title.
            sys.stderr.write("gradsim: " + tr("the experiment in {path} can't be read: {why}", path=source, why=error))
            sys.stderr.write("\n")
    return shown, recording, None, faults


def _size(text: str | None, faults: list[Fault]) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    low, high = SIDES
    if len(parts) == 2 and all(part.isascii() and part.isdigit() and low <= int(part[:9]) <= high for part in parts):
        return int(parts[0]), int(parts[1])
    message = tr("must be width x height in pixels, each {low} to {high}, as in 1920x1080", low=low, high=high)
    faults.append(Fault("--size", message, text))
    return None


def _row(
    name: str | None, experiment: Experiment | None, recording: Recording | None, faults: list[Fault]
) -> int | None:
    if name is None or experiment is None:
        return None
    try:
        names = (
            [layer.name for layer in recording.layers]
            if recording is not None
            else [placed.name for placed in experiment.stack().layers]
        )
    except ValueError:
        return None
    if name in names:
        return names.index(name)
    faults.append(Fault("--layer", tr("must be one of {names}", names=", ".join(names[:20])), name))
    return None


def _steps(first: int, last: int, frames: int) -> tuple[int, ...]:
    count = max(1, min(frames, last - first + 1))
    return tuple(sorted({first + round((last - first) * i / max(1, count - 1)) for i in range(count)}))


def _answers(experiment: Experiment, run: SavedRun | None) -> Callable[[Callable[[Trainer], Any], int], Any]:
    """Trains once more, up to the steps that are asked for."""
    kept: list[Trainer] = []

    def answer(question: Callable[[Trainer], Any], step: int) -> Any:
        if not kept or kept[0].step > step + 1:
            kept[:] = [Trainer(experiment)]
            if run is not None:
                kept[0].restore(run.snapshots(kept[0])[0])
        trainer = kept[0]
        # As it was trained: with what was changed on the way.
        changes = [] if run is None else [change for change in run.live if trainer.step <= change[0] <= step]
        for begin, optimizer in changes:
            _advance(trainer, begin)
            trainer.apply_live(optimizer)
        _advance(trainer, step + 1)
        return question(trainer)

    return answer


def _advance(trainer: Trainer, step: int) -> None:
    if step > trainer.step:
        trainer.advance(step - trainer.step)


def _headless() -> ModuleType | None:
    """What paints, without a display; None (and a sentence) where Qt can't be loaded."""
    # Before Qt is loaded: it must look for no screen.
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    try:
        # By name, because it lies above the commands.
        return importlib.import_module("gradsim.app.take.headless")
    except ImportError as error:
        click.echo("gradsim: " + tr("pictures need Qt, which can't be loaded: {error}", error=error), err=True)
        click.echo(tr("gradsim doctor says what to type."), err=True)
        return None


def make_handout(source: str, path: Path, *, teacher: bool, language: str | None, seed: int | None) -> int:
    """Plays a lesson and writes its handout; gives the exit code."""
    from gradsim import lessons
    from gradsim.lessons import play

    faults = writing_faults(path, (".pdf",))
    if language is not None and language not in i18n.LANGUAGES:
        message = tr("must be one of {names}", names=", ".join(i18n.LANGUAGES))
        faults.append(Fault("--language", message, language))
        language = None
    try:
        lesson = lessons.find(source)
    except FaultsError as error:
        return output.refuse(source, [*faults, *error.faults])
    if faults:
        return output.refuse(source, faults)
    headless = _headless()
    if headless is None:
        return codes.FAILED
    if language is not None:
        i18n.set_language(language)
    dtypes = {run.resolved.dtype for step in lesson.steps for run in step.runs}
    for dtype in sorted(dtypes):
        compile_kernels(output.console(stderr=True), dtype, False)
    try:
        played = {step.key: play.play(step, seed) for step in headless.handout.to_play(lesson)}
        headless.hand_out(lesson, played, path, teacher=teacher)
    except OSError as error:
        message = tr("can't be written: {reason}", reason=error.strerror or str(error))
        return output.refuse(source, [Fault("--output", message, str(path))])
    except KeyboardInterrupt:
        return codes.INTERRUPTED
    sys.stderr.write("gradsim: " + tr("{path} written", path=path) + "\n")
    return 0

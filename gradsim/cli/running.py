"""``gradsim run``."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from gradsim import api
from gradsim.cli import codes, output
from gradsim.cli.opening import opened
from gradsim.i18n import mark, reason_of, tr
from gradsim.nn.spec import Fault
from gradsim.telemetry import Recording, Special, classify, quantity

DEFAULT_STEPS = 200

SUFFIXES = (".csv", ".npz")


def run_experiment(
    source: str,
    steps: int | None,
    epochs: int | None,
    settings: Sequence[str],
    path: Path | None,
    *,
    progress: bool,
    threads: int | None = None,
) -> int:
    """Runs an experiment, prints the table and writes the file; gives the exit code."""
    experiment, faults = opened(source, settings)
    if steps is not None and epochs is not None:
        faults.append(Fault("--epochs", tr("must not be given together with --steps"), epochs))
    if path is not None:
        faults += writing_faults(path)
    if experiment is None or faults:
        return output.refuse(source, faults)
    if steps is None and epochs is None:
        steps = DEFAULT_STEPS
    screen = output.console(stderr=True)
    shown = progress and screen.is_terminal
    compile_kernels(screen, experiment.dtype, shown)
    started = time.perf_counter()
    with progress_bar(screen, shown) as callback:
        ended = api.train(experiment, steps, epochs, callback=callback, threads=threads)
    seconds = time.perf_counter() - started
    recording = ended.recording
    if not len(recording):
        sys.stderr.write(tr("gradsim: interrupted before the first step; nothing was recorded") + "\n")
        return codes.INTERRUPTED
    _report(output.console(), tr(experiment.name) or source, recording, seconds)
    if ended.interrupted:
        message = tr("gradsim: interrupted after {n} steps; what was recorded is kept", n=recording.stop)
        sys.stderr.write(message + "\n")
    if path is not None:
        try:
            recording.to_csv(path) if path.suffix == ".csv" else recording.save(path)
        except OSError as error:
            return output.refuse(source, [_unwritable(path, error)])
        sys.stderr.write(tr("gradsim: {file} written", file=path) + "\n")
    return codes.INTERRUPTED if ended.interrupted else 0


def writing_faults(path: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Fault]:
    """Whatever would keep the result from being written, known before the first step."""
    if path.suffix not in suffixes:
        return [Fault("--output", tr("must end in {endings}", endings=tr(" or ").join(suffixes)), str(path))]
    if path.is_dir():
        return [Fault("--output", tr("must be a file, and this is a folder"), str(path))]
    if path.exists() and not os.access(path, os.W_OK):
        return [Fault("--output", tr("can't be written: the file is read-only"), str(path))]
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            return []
    except OSError as error:
        return [_unwritable(path, error)]


def _unwritable(path: Path, error: OSError) -> Fault:
    return Fault("--output", tr("can't be written: {reason}", reason=reason_of(error)), str(path))


def compile_kernels(screen: Console, dtype: str, shown: bool) -> None:
    """Has everything compiled that training needs; says so where that takes time."""
    from gradsim.engine import kernels

    if kernels.is_warm((dtype,)):
        return
    if not shown:
        sys.stderr.write(tr("gradsim: compiling (first run only)") + "\n")
        kernels.warm_up(None, (dtype,))
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=screen, transient=True
    ) as bar:
        task = bar.add_task(tr("compiling (first run only)"), total=None)
        kernels.warm_up(lambda done, total: bar.update(task, completed=done, total=total), (dtype,))


@contextlib.contextmanager
def progress_bar(screen: Console, shown: bool) -> Iterator[api.Callback | None]:
    """A progress bar with the loss, as what a run calls."""
    if not shown:
        yield None
        return
    columns = (
        TextColumn(tr("training")),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("", total=None, loss="")

        def callback(progress: api.Progress) -> None:
            bar.update(
                task, completed=progress.step, total=progress.steps, loss=tr("loss {loss:.4g}", loss=progress.loss)
            )

        yield callback


COLUMNS = (
    ("delta_rms", mark("delta RMS")),
    ("gradient_rms", mark("gradient RMS")),
    ("update_ratio", mark("update/weight")),
)


def _report(console: Console, title: str, recording: Recording, seconds: float) -> None:
    made = output.table(
        ("#", "right"),
        (mark("layer"), "left"),
        (mark("kind"), "left"),
        *((words, "right") for _, words in COLUMNS),
        (mark("state"), "left"),
    )
    classes = {
        key: classify(
            quantity(key),
            recording[key][-1],
            nan=_any(recording, quantity(key).nan_columns),
            inf=_any(recording, quantity(key).inf_columns),
            frozen=np.array([layer.frozen for layer in recording.layers]),
        )
        for key, _ in COLUMNS
    }
    for row in recording.summary():
        values = (row.delta_rms, row.gradient_rms, row.update_ratio)
        made.add_row(
            str(row.index),
            row.layer.name,
            row.layer.label,
            *(_cell(value, int(classes[key][row.index])) for (key, _), value in zip(COLUMNS, values, strict=True)),
            output.state_text(row.state),
        )
    console.print(title, style="bold")
    console.print(tr("After step {step}:", step=recording.stop - 1))
    console.print(made)
    console.print()
    console.print(_outcome(recording, seconds))
    first = recording.first_nonfinite
    if first is not None:
        kind = {"nan": "NaN", "inf": "Inf"}[first.kind]
        place = tr("the loss")
        if first.layer is not None:
            name = recording.layers[first.layer].name
            place = tr(PLACES[first.quantity], layer=name) if first.quantity in PLACES else name
        console.print(tr("First {kind}: step {step}, {place}", kind=kind, step=first.step, place=place))


PLACES = {
    "activation": mark("{layer} (activation)"),
    "delta": mark("{layer} (delta)"),
    "gradient": mark("{layer} (gradient)"),
    "weight": mark("{layer} (weight)"),
}


def _cell(value: float, index: int) -> Text:
    """A number on its colour. What is not finite is named: the number would be that of the finite rest."""
    names = {Special.NAN: "NaN", Special.INFINITE: "Inf", Special.NONE: "", Special.FROZEN: tr("frozen")}
    text = names.get(Special(index), output.number(value)) if index in set(Special) else output.number(value)
    return output.painted(" " * (8 - cell_len(text)) + text, index) if text else Text()


def _any(recording: Recording, columns: Sequence[str]) -> NDArray[np.bool_]:
    return np.asarray(np.any([recording[column][-1] > 0 for column in columns], axis=0))


def _outcome(recording: Recording, seconds: float) -> str:
    count = recording.stop - recording.start
    loss = recording["loss"]
    words = [
        tr("{n:,} steps in {seconds:.1f} s", n=count, seconds=seconds),
        tr("loss {first:.4g} at first, {last:.4g} at last", first=loss[0], last=loss[-1]),
    ]
    validation = recording.validation
    if len(validation.step):
        words.append(tr("validation loss {loss:.4g}", loss=validation.val_loss[-1]))
        if validation.val_accuracy[-1] == validation.val_accuracy[-1]:
            words.append(tr("validation accuracy {accuracy:.3f}", accuracy=validation.val_accuracy[-1]))
    return tr(", ").join(words)

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
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from gradsim import api
from gradsim.cli import output
from gradsim.cli.main import EXIT_INTERRUPTED
from gradsim.cli.opening import opened
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
        faults.append(Fault("--epochs", "must not be given together with --steps", epochs))
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
        sys.stderr.write("gradsim: interrupted before the first step; nothing was recorded\n")
        return EXIT_INTERRUPTED
    _report(output.console(), experiment.name or source, recording, seconds)
    if ended.interrupted:
        sys.stderr.write(f"gradsim: interrupted after {recording.stop} steps; what was recorded is kept\n")
    if path is not None:
        try:
            recording.to_csv(path) if path.suffix == ".csv" else recording.save(path)
        except OSError as error:
            return output.refuse(source, [_unwritable(path, error)])
        sys.stderr.write(f"gradsim: {path} written\n")
    return EXIT_INTERRUPTED if ended.interrupted else 0


def writing_faults(path: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Fault]:
    """Whatever would keep the result from being written, known before the first step."""
    if path.suffix not in suffixes:
        return [Fault("--output", f"must end in {' or '.join(suffixes)}", str(path))]
    if path.is_dir():
        return [Fault("--output", "must be a file, and this is a folder", str(path))]
    if path.exists() and not os.access(path, os.W_OK):
        return [Fault("--output", "can't be written: the file is read-only", str(path))]
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            return []
    except OSError as error:
        return [_unwritable(path, error)]


def _unwritable(path: Path, error: OSError) -> Fault:
    return Fault("--output", f"can't be written: {error.strerror or error}", str(path))


def compile_kernels(screen: Console, dtype: str, shown: bool) -> None:
    """Has everything compiled that training needs; says so where that takes time."""
    from gradsim.engine import kernels

    if kernels.is_warm((dtype,)):
        return
    if not shown:
        sys.stderr.write("gradsim: compiling (first run only)\n")
        kernels.warm_up(None, (dtype,))
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=screen, transient=True
    ) as bar:
        task = bar.add_task("compiling (first run only)", total=None)
        kernels.warm_up(lambda done, total: bar.update(task, completed=done, total=total), (dtype,))


@contextlib.contextmanager
def progress_bar(screen: Console, shown: bool) -> Iterator[api.Callback | None]:
    """A progress bar with the loss, as what a run calls."""
    if not shown:
        yield None
        return
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("", total=None, loss="")

        def callback(progress: api.Progress) -> None:
            bar.update(task, completed=progress.step, total=progress.steps, loss=f"{progress.loss:.4g}")

        yield callback


COLUMNS = (("delta_rms", "delta RMS"), ("gradient_rms", "gradient RMS"), ("update_ratio", "update/weight"))


def _report(console: Console, title: str, recording: Recording, seconds: float) -> None:
    made = output.table(
        ("#", "right"),
        ("layer", "left"),
        ("kind", "left"),
        *((words, "right") for _, words in COLUMNS),
        ("state", "left"),
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
    console.print(f"After step {recording.stop - 1}:")
    console.print(made)
    console.print()
    console.print(_outcome(recording, seconds))
    first = recording.first_nonfinite
    if first is not None:
        kind = {"nan": "NaN", "inf": "Inf"}[first.kind]
        place = "the loss" if first.layer is None else f"{recording.layers[first.layer].name} ({first.quantity})"
        console.print(f"First {kind}: step {first.step}, {place}")


def _cell(value: float, index: int) -> Text:
    """A number on its colour. What is not finite is named: the number would be that of the finite rest."""
    names = {Special.NAN: "NaN", Special.INFINITE: "Inf", Special.NONE: "", Special.FROZEN: "frozen"}
    text = names.get(Special(index), output.number(value)) if index in set(Special) else output.number(value)
    return output.painted(text.rjust(8), index) if text else Text()


def _any(recording: Recording, columns: Sequence[str]) -> NDArray[np.bool_]:
    return np.asarray(np.any([recording[column][-1] > 0 for column in columns], axis=0))


def _outcome(recording: Recording, seconds: float) -> str:
    count = recording.stop - recording.start
    words = [
        f"{count:,} steps in {seconds:.1f} s",
        f"loss {recording['loss'][0]:.4g} at first, {recording['loss'][-1]:.4g} at last",
    ]
    validation = recording.validation
    if len(validation.step):
        words.append(f"validation loss {validation.val_loss[-1]:.4g}")
        if validation.val_accuracy[-1] == validation.val_accuracy[-1]:
            words.append(f"validation accuracy {validation.val_accuracy[-1]:.3f}")
    return ", ".join(words)

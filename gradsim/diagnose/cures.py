"""Try the cures: every applicable remedy, and sensible pairs, trained from the same seed on the same batches."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import math
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import numpy as np

from gradsim.diagnose import remedies
from gradsim.diagnose.evidence import NOT_KERNELS, context
from gradsim.diagnose.findings import Finding, diagnose
from gradsim.engine.trainer import Trainer
from gradsim.exchange.start import start_of
from gradsim.i18n import tr
from gradsim.model import problems
from gradsim.model.edits import Edit, EditError
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.nn import layers
from gradsim.nn.layers import Layer
from gradsim.telemetry import Recorder, Recording, quantity

STEPS = 300
"""Steps of a trial, unless told otherwise."""
SLICE_SECONDS = 0.05
"""About how long a trial goes on between two looks at whether it is still wanted."""

PAIRS = (
    ("initializer", "adam"),
    ("initializer", "momentum"),
    ("initializer", "bn-before"),
    ("initializer", "layernorm"),
    ("initializer", "clipnorm"),
    ("initializer", "rate-lower"),
    ("initializer", "residual"),
    ("relu", "adam"),
    ("relu", "bn-before"),
    ("elu", "adam"),
    ("selu", "adam"),
    ("selu", "rate-lower"),
    ("bn-before", "adam"),
    ("bn-before", "rate-lower"),
    ("bn-before", "residual"),
    ("layernorm", "adam"),
    ("layernorm", "residual"),
    ("residual", "adam"),
    ("orthogonal", "adam"),
    ("rate-lower", "clipnorm"),
    ("adam", "warm-up"),
)
"""Remedies that are tried together: what acts on the signal with what acts on the step, or with a second thing that
acts on the signal where the first leaves a gap."""

KEPT = (
    "delta_norm", "gradient_norm", "weight_norm", "update_norm", "activation_mean", "activation_std", "saturated",
    "dead", "activation_nan", "activation_inf", "delta_nan", "delta_inf", "gradient_nan", "gradient_inf", "loss",
    "accuracy", "global_gradient_norm", "learning_rate", "epoch", "rows",
)  # fmt: skip
"""Columns that a trial's recording keeps: what a heatmap shows, at a half of the memory."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What is tried.

    Attributes:
        keys: The remedies; none for the experiment as it is.
        edit: One undoable step that adopts it; None for the experiment as it is.
    """

    keys: tuple[str, ...]
    title: str
    experiment: Experiment
    edit: Edit | None


@dataclasses.dataclass(frozen=True)
class Result:
    """How a trial ended.

    Attributes:
        loss, accuracy: On the validation rows, on the training rows where there are none; NaN if training broke.
        health: Share of the kernels, over the last tenth of the steps, whose update moved them by neither nothing nor
            all of themselves (the thresholds of "update_ratio"); 0 if training broke.
        steps: Steps done: fewer than wanted if a number was no longer finite.
        findings: What is still wrong.
        recording: For a heatmap; it keeps the columns :data:`KEPT`.
    """

    candidate: Candidate
    loss: float
    accuracy: float
    health: float
    steps: int
    broke: bool
    findings: tuple[Finding, ...]
    recording: Recording = dataclasses.field(repr=False)

    @property
    def score(self) -> float:
        """What trials are ranked by, less is better: the loss reached, half as much again for gradients all unwell."""
        return math.inf if self.broke or math.isnan(self.loss) else self.loss * (1 + 0.5 * (1 - self.health))


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where the trials are.

    Attributes:
        done, total: Trials ended, and all.
        candidate: The one that has something to report.
        step, steps: How far it is.
        result: The result, in the progress that reports the end of a trial.
    """

    done: int
    total: int
    candidate: Candidate
    step: int
    steps: int
    result: Result | None = None


def candidates(
    experiment: Experiment, findings: Iterable[Finding] = (), *, pairs: bool = True
) -> tuple[Candidate, ...]:
    """The experiment as it is, all applicable remedies (those made for the findings first), then sensible pairs."""
    found = [Candidate((), tr("as it is"), experiment, None)]
    for one in remedies.offers(experiment, findings):
        if one.edit is not None:
            found.append(Candidate((one.remedy.key,), tr(one.remedy.title), one.edit.experiment, one.edit))
    for keys in PAIRS if pairs else ():
        try:
            edit = remedies.combined(experiment, keys)
        except EditError:
            continue
        found.append(Candidate(keys, edit.name, edit.experiment, edit))
    return tuple(found)


def trials(
    experiment: Experiment,
    steps: int = STEPS,
    chosen: Sequence[Candidate] | None = None,
    *,
    workers: int | None = None,
) -> Generator[Progress, None, None]:
    """Trains candidates, some at a time, and yields several times a second.

    Closing the generator cancels what is still running. All candidates start from the experiment's seed and see the
    same batches, since no remedy touches data, batch size or order; a result does not depend on ``workers``.

    Args:
        steps: Steps of each trial, at least 1.
        chosen: What to try; all :func:`candidates` if None.
        workers: Trials at a time, each in a thread of its own; half of the processors, at most 4, if None.

    Raises:
        ValueError: if ``steps`` or ``workers`` is below 1.
        gradsim.model.faults.FaultsError: if the experiment itself can't be started.
    """
    for name, value in (("steps", steps), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(tr("{name}: must be at least 1 (received {value})", name=name, value=value))
    faults = problems.impossible(experiment)
    if faults:
        raise FaultsError(faults)
    tried = candidates(experiment) if chosen is None else tuple(chosen)
    news: queue.SimpleQueue[_News] = queue.SimpleQueue()
    cancelled = threading.Event()
    done = 0

    def work(candidate: Candidate) -> None:
        try:
            for step, result in _trial(candidate, steps):
                news.put(_News(candidate, step, result))
                if cancelled.is_set():
                    return
        except BaseException as error:
            news.put(_News(candidate, 0, None, error))

    at_a_time = workers or max(1, min(4, (os.cpu_count() or 1) // 2))
    with concurrent.futures.ThreadPoolExecutor(at_a_time, "cure") as pool:
        try:
            for candidate in tried:
                pool.submit(work, candidate)
            while done < len(tried):
                try:
                    # Ctrl-C gets through between two looks only, on Windows.
                    one = news.get(timeout=0.1)
                except queue.Empty:
                    continue
                if one.error is not None:
                    raise one.error
                done += one.result is not None
                yield Progress(done, len(tried), one.candidate, one.step, steps, one.result)
        finally:
            cancelled.set()
            pool.shutdown(cancel_futures=True)


@dataclasses.dataclass(frozen=True)
class _News:
    candidate: Candidate
    step: int
    result: Result | None
    error: BaseException | None = None


_BUILDING = threading.Lock()
"""Compiled operations are looked up, or made, by one thread at a time."""


def _trial(candidate: Candidate, steps: int) -> Iterator[tuple[int, Result | None]]:
    """Trains one candidate; gives the step reached, again and again, and the result at last."""
    yield 0, None
    experiment = _with_short_memory(candidate.experiment, steps)
    with _BUILDING:
        trainer = Trainer(experiment, start_of(experiment), stop_on_nonfinite=True)
    recorder = trainer.recorder(experiment=context(candidate.experiment))
    while trainer.step < steps and not trainer.nonfinite:
        trainer.record_for(recorder, SLICE_SECONDS, steps - trainer.step)
        yield trainer.step, None
    with _BUILDING:
        result = _result(candidate, trainer, recorder)
    yield trainer.step, result


def try_cures(
    experiment: Experiment,
    steps: int = STEPS,
    chosen: Sequence[Candidate] | None = None,
    callback: Callable[[Progress], object] | None = None,
    *,
    workers: int | None = None,
) -> tuple[Result, ...]:
    """All trials, the best first; arguments and errors as :func:`trials`.

    Args:
        callback: Called several times a second; if it returns True the trials end, and those done are ranked.
    """
    results = []
    with contextlib.closing(trials(experiment, steps, chosen, workers=workers)) as running:
        for progress in running:
            if progress.result is not None:
                results.append(progress.result)
            if callback is not None and callback(progress) is True:
                break
    return ranked(results)


def ranked(results: Iterable[Result]) -> tuple[Result, ...]:
    """The best first: by loss reached and health of the gradient; of equals the one with fewer changes."""
    return tuple(
        sorted(
            results, key=lambda result: (result.score, len(result.candidate.keys), -result.steps, result.candidate.keys)
        )
    )


def _with_short_memory(experiment: Experiment, steps: int) -> Experiment:
    """The same training, whose batch normalisations can be evaluated after few steps.

    Their moving statistics take no part in training, but at a momentum of 0.99 a short trial would be judged by what
    they started from.
    """
    longest = max(0.5, 1 - 10 / steps)

    def shortened(layer: Layer) -> Layer:
        if isinstance(layer, layers.BatchNormalization) and layer.momentum > longest:
            return dataclasses.replace(layer, momentum=longest)
        if isinstance(layer, layers.Repeat | layers.Residual):
            return dataclasses.replace(layer, layers=tuple(map(shortened, layer.layers)))
        return layer

    return dataclasses.replace(experiment, layers=tuple(map(shortened, experiment.layers)))


def _result(candidate: Candidate, trainer: Trainer, recorder: Recorder) -> Result:
    recording = recorder.recording()
    broke = trainer.nonfinite
    loss = accuracy = math.nan
    if not broke:
        reached = trainer.evaluate()
        if math.isnan(reached.loss) and trainer.dataset.x_val is None:
            reached = trainer.evaluate("train")
        loss, accuracy = reached
        broke = not math.isfinite(loss)
    findings = diagnose(recording)
    slim = Recording(
        recording.layers, recording.steps, recording.strides, {key: recording[key] for key in KEPT}, {}, {},
        experiment=recording.experiment, dtype=recording.dtype, seed=recording.seed,
        first_nonfinite=recording.first_nonfinite,
        validation=np.array([[max(0, trainer.step - 1), loss, accuracy]]),
    )  # fmt: skip
    health = 0.0 if broke else health_of(recording)
    return Result(candidate, loss, accuracy, health, trainer.step, broke, findings, slim)


def health_of(recording: Recording) -> float:
    """Share of the trained kernels whose update/weight, in the median of the last tenth of the rows, is healthy."""
    rows = [
        i for i, one in enumerate(recording.layers) if one.weight_size and one.trainable and one.type not in NOT_KERNELS
    ]
    if not rows or not len(recording):
        return 0.0
    limits = quantity("update_ratio").thresholds
    last = recording["update_ratio"][-max(1, len(recording) // 10) :, rows]
    typical = np.median(np.nan_to_num(last, nan=0.0), axis=0)
    healthy = (typical >= (limits.vanishing or 0.0)) & (typical <= (limits.exploding or math.inf))
    return float(healthy.mean())

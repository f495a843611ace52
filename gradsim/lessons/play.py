"""Plays the steps of a lesson without a window. Everything here takes time: call it in a thread of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradsim.diagnose.evidence import context
from gradsim.engine.trainer import Trainer
from gradsim.exchange import pretrained
from gradsim.lessons.measures import Outcome
from gradsim.lessons.questions import Checked
from gradsim.lessons.steps import Run, Step, with_seed
from gradsim.model.experiment import Experiment
from gradsim.telemetry import Recorder, Recording

Array = np.ndarray[Any, np.dtype[Any]]
Between = Callable[[], object]
"""Called between two short pieces of work; what it raises ends the work."""

SLICE_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A run that can be started.

    Attributes:
        experiment: What is trained.
        weights: Arrays to start from, in Keras' ``get_weights()`` order; None: drawn from the experiment's seed.
        steps: How many steps belong to the lesson. A run also ends with its first NaN or Inf.
    """

    experiment: Experiment
    weights: Sequence[Array] | None
    steps: int


def prepare(step: Step, seed: int | None = None, between: Between | None = None) -> tuple[Prepared, ...]:
    """Everything that the runs of a step start from. At once, but where layers are pretrained first.

    Args:
        seed: Instead of the experiments' own.
    """
    return tuple(_prepared(run, seed, between) for run in step.runs)


def _prepared(run: Run, seed: int | None, between: Between | None) -> Prepared:
    experiment = with_seed(run.resolved, seed)
    if run.reuse is None:
        return Prepared(experiment, None, run.steps)
    trainer = Trainer(with_seed(run.reuse.resolved, seed))
    _advance(trainer, run.reuse.steps, None, between)
    saved = pretrained.Saved(trainer.experiment, trainer.weights())
    reused = pretrained.reuse(saved, experiment, run.reuse.rows, freeze=run.reuse.freeze)
    return Prepared(reused.experiment, reused.weights, run.steps)


def _advance(trainer: Trainer, steps: int, recorder: Recorder | None, between: Between | None) -> None:
    while trainer.step < steps:
        left = steps - trainer.step
        if recorder is None:
            trainer.advance_for(SLICE_SECONDS, left)
        else:
            trainer.record_for(recorder, SLICE_SECONDS, left)
        if between is not None:
            between()
        if trainer.stop_on_nonfinite and trainer.nonfinite:
            return


def train(prepared: Prepared, between: Between | None = None) -> Recording:
    """Trains one run to its end, or to its first NaN or Inf, and validates it there."""
    experiment = prepared.experiment
    trainer = Trainer(experiment, prepared.weights, stop_on_nonfinite=True)
    recorder = trainer.recorder(experiment=context(experiment))
    _advance(trainer, prepared.steps, recorder, between)
    if trainer.dataset.x_val is not None:
        metrics = trainer.evaluate(between=between)
        recorder.append_validation(trainer.step - 1, metrics.loss, metrics.accuracy)
    return recorder.recording()


def outcome(step: Step, recordings: Sequence[Recording] = (), seed: int | None = None) -> Outcome:
    """What playing a step gave, from recordings that somebody made (the window's runs), one for each run."""
    return Outcome(tuple(recordings), step.surface.paths(seed) if step.surface is not None else ())


def play(step: Step, seed: int | None = None, between: Between | None = None) -> Checked:
    """Plays a step from its beginning and checks its claims.

    Args:
        seed: Instead of the experiments' own: another draw of weights and batches.
    """
    recordings = [train(prepared, between) for prepared in prepare(step, seed, between)]
    return step.check(outcome(step, recordings, seed))

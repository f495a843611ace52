"""The programming interface: an experiment that can be run, and what a run gives."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gradsim import model
from gradsim.exchange.start import initial_weights, start_of
from gradsim.model import bundled, file, migrations, problems
from gradsim.model.faults import FaultsError
from gradsim.nn.spec import fields_of, frozen
from gradsim.telemetry import Recording

if TYPE_CHECKING:
    from gradsim.engine.trainer import Gradients, Metrics, Trainer

Array = np.ndarray[Any, np.dtype[Any]]

SLICE_SECONDS = 0.05
"""About how long training goes on between two looks at the keyboard and the caller."""


class ExperimentError(FaultsError):
    """An experiment that can't be started; ``faults`` holds every reason."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: Steps done.
        steps: Steps wanted.
        epoch: Epochs done.
        loss: Loss of the last step.
        accuracy: Accuracy of the last step; NaN for a regression.
    """

    step: int
    steps: int
    epoch: int
    loss: float
    accuracy: float


Callback = Callable[[Progress], object]


@frozen
class Experiment(model.Experiment):
    """A stack of layers, what it learns from and how, ready to be run.

    The fields are those of :class:`gradsim.model.Experiment`: ``layers``, ``data``, ``loss``, ``optimizer``,
    ``batch_size``, ``seed``, ``dtype``, ``shuffle``, ``name``, ``description``. A value that is not allowed raises
    ``pydantic.ValidationError`` (a ValueError) with every fault.
    """

    # A base class's docstring would otherwise show as the summary.
    kind: ClassVar[str] = "experiment"

    @classmethod
    def of(cls, experiment: model.Experiment) -> Experiment:
        """The same experiment, ready to be run."""
        return cls(**{view.name: getattr(experiment, view.name) for view in fields_of(type(experiment))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Experiment:
        """Opens a ``.gradsim`` file.

        Raises:
            gradsim.model.file.FileError: with every fault.
        """
        return cls.of(file.load(path).experiment)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves to a ``.gradsim`` file, whole or not at all.

        Raises:
            gradsim.model.file.FileError: if it can't be saved, as with data in memory.
        """
        file.save(path, self)

    def problems(self) -> tuple[problems.Problem, ...]:
        """What is impossible, unwise or worth knowing about it."""
        return problems.problems(self)

    def run(
        self,
        steps: int | None = None,
        epochs: int | None = None,
        *,
        weights: Sequence[Array] | None = None,
        callback: Callback | None = None,
        stop_on_nonfinite: bool = False,
        threads: int | None = None,
    ) -> Recording:
        """Trains from the beginning and records every step.

        Validation takes place at the end of each epoch and of the run. Ctrl-C ends the run after the steps that are
        under way and keeps what was recorded; pressed again, it interrupts as usual.

        Args:
            steps: How many steps.
            epochs: How many epochs, instead of steps; one if neither is given.
            weights: Arrays to start from, in Keras' ``get_weights()`` order; drawn from the seed if None.
            callback: Called several times a second with a :class:`Progress`; if it returns True the run ends.
            stop_on_nonfinite: End with the first step in which a NaN or Inf occurs, instead of going on.
            threads: How many share the products of wide layers, as many as there are processors if None. The result
                is the same bit for bit.

        Returns:
            What was recorded, with ``initial_weights`` and ``final_weights``.

        Raises:
            ExperimentError: if the experiment can't be started.
            ValueError: if the arguments or the shapes of ``weights`` do not fit.
        """
        return train(
            self,
            steps,
            epochs,
            weights=weights,
            callback=callback,
            stop_on_nonfinite=stop_on_nonfinite,
            threads=threads,
        ).recording

    def initial_weights(self) -> list[Array]:
        """The arrays that :meth:`run` starts from, in Keras' ``get_weights()`` order and the number format.

        Raises:
            ExperimentError: if the experiment can't be started.
        """
        _check(self)
        with np.errstate(over="ignore"):
            return [array.astype(self.dtype) for array in initial_weights(self)]

    def gradients(self, x: Array, y: Array, weights: Sequence[Array] | None = None) -> Gradients:
        """One forward and backward pass in training mode; nothing is updated.

        Args:
            x: Rows, shape ``(rows, *input_shape)``.
            y: Targets, shape ``(rows, outputs)``, or the class of each row as whole numbers, shape ``(rows,)``.
            weights: As for :meth:`run`.

        Returns:
            ``delta``, ``pre_activations`` and ``activations`` of every layer, ``weights`` (dL/dW of every array in
            ``get_weights()`` order) and ``loss``.

        Raises:
            ExperimentError: if the experiment can't be started.
            ValueError: if a shape does not fit.
        """
        trainer = _trainer(self, weights)
        return trainer.gradients(np.asarray(x), _targets(np.asarray(y), trainer.stack.output_shape[0]))

    def predict(self, x: Array, weights: Sequence[Array] | None = None) -> Array:
        """Outputs for rows of data in inference mode, shape ``(rows, outputs)``; arguments and errors as above."""
        return _trainer(self, weights).predict(np.asarray(x))

    def evaluate(self, weights: Sequence[Array] | None = None, split: str = "validation") -> Metrics:
        """Loss and accuracy in inference mode over the "validation" or the "train" rows.

        Args:
            weights: As for :meth:`run`; ``recording.final_weights`` for the result of a training.
            split: Which rows; both results are NaN if there are none.
        """
        if split not in ("validation", "train"):
            raise ValueError(f"split: must be 'validation' or 'train' (received {split!r})")
        return _trainer(self, weights).evaluate(split)


def load(source: str | os.PathLike[str]) -> Experiment:
    """Opens a ``.gradsim`` file, or the bundled experiment of that name (``gradsim list`` names them).

    Raises:
        gradsim.model.faults.FaultsError: with every fault.
    """
    return Experiment.of(find(source).experiment)


def find(source: str | os.PathLike[str]) -> file.Opened:
    """What a ``.gradsim`` file holds, or the bundled experiment of that name; raises as :func:`load`."""
    path = Path(source)
    named = str(source)
    if path.suffix != file.SUFFIX and path.name == named and not path.is_file():
        return file.Opened(bundled.load(named))
    return file.load(path)


@dataclasses.dataclass(frozen=True)
class Run:
    """What :func:`train` gives.

    Attributes:
        interrupted: True if Ctrl-C ended it.
        stopped: True if it ended before all steps were done, for whatever reason.
    """

    recording: Recording
    interrupted: bool
    stopped: bool


def train(
    experiment: model.Experiment,
    steps: int | None = None,
    epochs: int | None = None,
    *,
    weights: Sequence[Array] | None = None,
    callback: Callback | None = None,
    stop_on_nonfinite: bool = False,
    threads: int | None = None,
) -> Run:
    """:meth:`Experiment.run`, which also tells how it ended."""
    for name, value in (("steps", steps), ("epochs", epochs), ("threads", threads)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f"{name}: must be a whole number of at least 1 (received {value!r})")
    if steps is not None and epochs is not None:
        raise ValueError(f"steps and epochs: only one of them may be given (received {steps} and {epochs})")
    trainer = _trainer(experiment, weights, stop_on_nonfinite, threads)
    total = steps if steps is not None else (epochs or 1) * trainer.steps_per_epoch
    recorder = trainer.recorder(experiment=_content(experiment))
    initial = trainer.weights()
    validated = -1

    def validate() -> None:
        nonlocal validated
        if trainer.step > max(0, validated):
            result = trainer.evaluate()
            if not np.isnan(result.loss) or trainer.dataset.x_val is not None:
                recorder.append_validation(trainer.step - 1, result.loss, result.accuracy)
            validated = trainer.step

    with _keyboard() as interrupted:
        while trainer.step < total and not interrupted.is_set():
            left = trainer.steps_to_epoch_end
            done = trainer.record_for(recorder, SLICE_SECONDS, min(total - trainer.step, left))
            if len(done) == left:
                validate()
            loss, accuracy = done[-1, :2].tolist()
            if callback and callback(Progress(trainer.step, total, trainer.epoch, loss, accuracy)) is True:
                break
            if stop_on_nonfinite and trainer.nonfinite:
                break
        validate()
        recording = recorder.recording(initial_weights=initial, final_weights=trainer.weights())
    return Run(recording, interrupted.is_set(), trainer.step < total)


def _content(experiment: model.Experiment) -> dict[str, Any] | None:
    """The experiment as a file holds it, to be kept with the recording; None for data in memory."""
    if not experiment.data.storable:
        return None
    return {migrations.KEY: migrations.CURRENT, **file.content_of(experiment)}


def _check(experiment: model.Experiment) -> None:
    faults = problems.impossible(experiment)
    if faults:
        raise ExperimentError(faults)


def _trainer(
    experiment: model.Experiment,
    weights: Sequence[Array] | None,
    stop_on_nonfinite: bool = False,
    threads: int | None = 1,
) -> Trainer:
    _check(experiment)
    # Compiled code is loaded for a training only, so that everything else starts at once.
    from gradsim.engine.team import cores
    from gradsim.engine.trainer import Trainer

    try:
        start = start_of(experiment) if weights is None else weights
    except FaultsError as error:
        raise ExperimentError(error.faults) from None
    return Trainer(experiment, start, stop_on_nonfinite=stop_on_nonfinite, threads=threads or cores())


def _targets(y: Array, outputs: int) -> Array:
    if y.ndim == 1 and outputs > 1 and y.dtype.kind in "iu":
        if y.size and not 0 <= y.min() <= y.max() < outputs:
            raise ValueError(f"y: classes must be from 0 to {outputs - 1} (received {y.min()} to {y.max()})")
        return np.eye(outputs)[y]
    return y[:, None] if y.ndim == 1 else y


@contextlib.contextmanager
def _keyboard() -> Iterator[threading.Event]:
    """Turns Ctrl-C into an event, so that no chunk of steps is torn in two; pressed again it acts as before.

    Outside of the main thread Python delivers no signals, and the event is never set.
    """
    interrupted = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        # A handler of somebody else's is theirs to call.
        yield interrupted
        return

    def note(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)

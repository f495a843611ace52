"""The trainer: an experiment in memory, moved forward some steps at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gradsim import data as datasets
from gradsim.engine import interpreter
from gradsim.engine.intake import CompiledIntake, sink
from gradsim.engine.layout import COLUMNS, NEAR, WORTH_SHARING, Context, Figures
from gradsim.engine.memory import Array, Region
from gradsim.engine.plan import Operation, Plan
from gradsim.engine.team import Team
from gradsim.i18n import tr
from gradsim.model.experiment import Experiment
from gradsim.nn import optimizers
from gradsim.nn.spec import Fault
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS
from gradsim.telemetry.recorder import DEFAULT_CAPACITY, Recorder
from gradsim.telemetry.recording import Layer as LayerRow

assert STEP_COLUMNS == ("loss", "accuracy", "global_gradient_norm", "learning_rate", "epoch", "rows")

Floats = np.ndarray[Any, np.dtype[np.float64]]

CHUNK = 512
"""The most steps of one call into the compiled loop."""

_Done = TypeVar("_Done", bound=Sized)


class Chunk(NamedTuple):
    """The record of consecutive steps, as :meth:`gradsim.telemetry.recorder.Recorder.append` takes it.

    Attributes:
        first_step: Number of the first one, from 0.
        layers: Shape ``(steps, layers, len(LAYER_COLUMNS))``.
        steps: Shape ``(steps, len(STEP_COLUMNS))``.
    """

    first_step: int
    layers: Floats
    steps: Floats

    def __len__(self) -> int:
        return len(self.steps)


class Metrics(NamedTuple):
    """Loss and accuracy of a whole set; accuracy is NaN for a regression."""

    loss: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Gradients:
    """One backward pass.

    Attributes:
        loss: Mean over the rows, penalties included.
        delta: Per layer of the expanded stack dL/d(pre-activation), shape ``(rows, units)``; None for Flatten.
        weights: Per array, in Keras' ``get_weights()`` order, dL/dW; None for an array that is not trained.
        pre_activations: Per layer, shape ``(rows, units)``.
        activations: Per layer, shape ``(rows, units)``.
    """

    loss: float
    delta: list[Array | None]
    weights: list[Array | None]
    pre_activations: list[Array]
    activations: list[Array]


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Everything that a run goes on from, bit for bit: weights, slots, counters."""

    arrays: tuple[Array, ...]
    context: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.context[Context.STEP])

    @property
    def nbytes(self) -> int:
        """Memory that it holds."""
        return sum(array.nbytes for array in self.arrays)


class Trainer:
    """Trains an experiment. Belongs to one thread at a time; releases the GIL while steps are computed.

    Args:
        experiment: What to train.
        weights: Arrays to start from, in Keras' ``get_weights()`` order; drawn from the seed if None.
        stop_on_nonfinite: End a call after the step in which the first NaN or Inf occurs.
        recording: False leaves out the statistics (to measure what they cost).
        threads: How many share the large products; the result is the same bit for bit.

    Raises:
        gradsim.model.stack.StackError: if the stack can't be computed.
        gradsim.data.DataError: if the data can't be used, or not with so many outputs.
        ValueError: if ``weights`` do not fit.
    """

    def __init__(
        self,
        experiment: Experiment,
        weights: Sequence[Array] | None = None,
        *,
        stop_on_nonfinite: bool = False,
        recording: bool = True,
        threads: int = 1,
    ) -> None:
        self.experiment = experiment
        self.stop_on_nonfinite = stop_on_nonfinite
        self._threads = threads
        self.stack = experiment.stack()
        self.dataset = datasets.load(experiment.data)
        if len(self.stack.output_shape) != 1:
            raise datasets.DataError([_not_flat(self.stack.output_shape)])
        targets, targets_val = self.dataset.targets(self.stack.output_shape[0])
        self._x, self._y = self._flat(self.dataset.x_train), self._flat(targets)
        self._validation = (
            None
            if self.dataset.x_val is None or targets_val is None or not len(targets_val)
            else (self._flat(self.dataset.x_val), self._flat(targets_val))
        )
        total = len(self._x)
        whole = experiment.batch_size is None or experiment.batch_size >= total
        # The mean over all rows does not depend on their order, so a full batch is used where it lies.
        rows = total if whole else int(experiment.batch_size or 0)
        self.plan = Plan(
            self.stack,
            experiment.loss,
            experiment.optimizer,
            experiment.dtype,
            rows,
            recording=recording,
            accuracy=self.dataset.task != "regression",
            data=(int(self._x.ctypes.data), int(self._y.ctypes.data)) if whole else (0, 0),
        )
        self._order = None if whole else np.arange(total, dtype=np.int64)
        self._context = np.zeros(Context.SIZE, np.int64)
        self._context[Context.TRAINING] = 1
        self._context[Context.SEED] = experiment.seed
        # What an operation does not write stays as it is here.
        self._blank = np.full((1, len(self.stack.layers), COLUMNS), np.nan)
        self._blank[:, :, [LAYER_COLUMNS.index(key) for key in LAYER_COLUMNS if key.endswith(("_nan", "_inf"))]] = 0
        self._record = self._blank.copy()
        self._kept = np.empty((max(1, NEAR // self._blank.nbytes), *self._blank.shape[1:]))
        self.seconds_per_step = 1e-3
        self._team = Team(threads) if threads > 1 and self._has_large_products() else None
        self.layer_table: tuple[LayerRow, ...] = self.plan.layer_table()
        self._assemble()
        self.set_weights(self.stack.initial_weights(experiment.seed) if weights is None else weights)

    def _flat(self, array: Array) -> Array:
        return np.ascontiguousarray(array.reshape(len(array), -1), dtype=self.experiment.dtype)

    def _has_large_products(self) -> bool:
        kernels = [v.weight.shape for v in self.plan.variables if len(v.weight.shape) == 2]
        return any(self.plan.rows * np.prod(shape) >= WORTH_SHARING for shape in kernels)

    def _assemble(self) -> None:
        take = self.plan.take_operation(self._x, self._y, self._order, shuffle=self.experiment.shuffle)
        self._training = self.plan.program([take, *self.plan.training_operations()])
        self._kept[...] = self._blank

    # Where the run stands

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._context[Context.STEP])

    @property
    def epoch(self) -> int:
        """Epochs done, the running one not counted."""
        done = int(self._context[Context.EPOCH])
        return done + 1 if self._context[Context.POSITION] >= len(self._x) else done

    @property
    def steps_per_epoch(self) -> int:
        """Updates of an epoch: rows / batch size, rounded up."""
        return -(-len(self._x) // self.plan.rows)

    @property
    def steps_to_epoch_end(self) -> int:
        """Steps until every row of the running epoch has been used; a whole epoch's if one has just ended."""
        left = len(self._x) - int(self._context[Context.POSITION])
        return -(-left // self.plan.rows) if left > 0 else self.steps_per_epoch

    @property
    def nonfinite(self) -> bool:
        """True once a NaN or Inf has occurred."""
        return bool(self._context[Context.NONFINITE])

    @property
    def nbytes(self) -> int:
        """Memory of weights, gradients, slots and activations together."""
        return self.plan.arena.nbytes

    def batch_rows(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Indices of the training rows of the last step."""
        rows, end = int(self._context[Context.ROWS]), int(self._context[Context.POSITION])
        return np.arange(end - rows, end) if self._order is None else self._order[end - rows : end].copy()

    # Training

    def recorder(
        self,
        capacity_bytes: int = DEFAULT_CAPACITY,
        *,
        first_step: int = 0,
        experiment: dict[str, Any] | None = None,
    ) -> Recorder:
        """An empty recorder for what this training records.

        Args:
            capacity_bytes: Bound of its memory.
            first_step: Of the first row that it will get.
            experiment: What the recording says that it was trained on.

        Raises:
            ValueError: if so many layers do not fit.
        """
        return Recorder(
            self.layer_table,
            capacity_bytes,
            first_step=first_step,
            intake=CompiledIntake(),
            experiment=experiment,
            dtype=self.experiment.dtype,
            seed=self.experiment.seed,
        )

    def advance(self, steps: int) -> Chunk:
        """Does ``steps`` steps; fewer if it stops at the first non-finite value.

        Cutting a run into calls of any length does not change it.
        """
        first = self.step
        # Written where they stay: a copy of what many layers record in many steps is part of the cost of recording.
        of_layers = np.empty((steps, *self._blank.shape[1:]))
        of_layers[...] = self._blank
        of_steps = np.empty((steps, len(STEP_COLUMNS)))
        # Asked once: the first NaN may come with the last step of a piece.
        watched = self.stop_on_nonfinite and not self.nonfinite
        done = 0
        while done < steps:
            count = min(CHUNK, steps - done)
            figures, _ = self._run(count, of_layers[done : done + count], watched)
            of_steps[done : done + len(figures)] = figures
            done += len(figures)
            if watched and self.nonfinite:
                break
        return Chunk(first, of_layers[:done], of_steps[:done])

    def record(self, recorder: Recorder, steps: int, *, publish: bool = True) -> Floats:
        """Does ``steps`` steps as :meth:`advance` does, and records them.

        What the compiled loop records goes into the recorder's own memory, a few rows at a time that have not left the
        processor's cache.

        Args:
            recorder: Made by :meth:`recorder`; told by the caller where a run is taken up.
            steps: How many.
            publish: Let readers see them at once; otherwise ``recorder.publish()`` does, or the recorder itself when
                much has come together.

        Returns:
            What is recorded of steps, shape ``(steps done, len(STEP_COLUMNS))``.

        Raises:
            ValueError: if the recorder is one of another number of layers.
        """
        if len(recorder.layers) != self._kept.shape[1]:
            raise ValueError(
                f"recorder: must be one of {self._kept.shape[1]} layers (received one of {len(recorder.layers)})"
            )
        of_steps = np.empty((steps, len(STEP_COLUMNS)))
        # Asked once: the first NaN may come with the last step of a piece.
        watched = self.stop_on_nonfinite and not self.nonfinite
        done = 0
        while done < steps:
            room = recorder.room(min(CHUNK, steps - done))
            figures, counted = self._run(
                room.rows, self._kept, watched, sink(self._kept, room.ring, room.places)
            )  # fmt: skip
            of_steps[done : done + len(figures)] = figures
            recorder.written(figures, counted)
            if publish:
                # Each time: what is summed up for readers is still in the cache then.
                recorder.publish()
            done += len(figures)
            if watched and self.nonfinite:
                break
        return of_steps[:done]

    def _run(
        self, steps: int, record: Floats, watched: bool, into: interpreter.Sink | None = None
    ) -> tuple[Floats, bool]:
        """Calls the compiled loop: what is recorded of the steps done, and whether the sink counted something."""
        figures = self.plan.figures(np.arange(self.step, self.step + steps, dtype=np.float64))
        with self._team.gathered(self._context) if self._team is not None else contextlib.nullcontext():
            ran, counted = interpreter.run(
                self._training, self._context, figures, record,
                steps=steps, stop_on_nonfinite=watched, sink=into,
            )  # fmt: skip
        return figures[:ran, : len(STEP_COLUMNS)], counted

    def advance_for(self, seconds: float, at_most: int = CHUNK) -> Chunk:
        """Does about as many steps as take ``seconds``: at least one, at most ``at_most``."""
        return self._timed(self.advance, self._steps_in(seconds, at_most))

    def record_for(self, recorder: Recorder, seconds: float, at_most: int = CHUNK) -> Floats:
        """As :meth:`record`, for about as many steps as take ``seconds``: at least one, at most ``at_most``."""
        return self.record_timed(recorder, self._steps_in(seconds, at_most))

    def record_timed(self, recorder: Recorder, steps: int, *, publish: bool = True) -> Floats:
        """As :meth:`record`; :attr:`seconds_per_step` takes in how long it took."""
        return self._timed(lambda count: self.record(recorder, count, publish=publish), steps)

    def _steps_in(self, seconds: float, at_most: int = CHUNK) -> int:
        """About as many steps as take ``seconds``."""
        return max(1, min(at_most, CHUNK, int(seconds / self.seconds_per_step)))

    def _timed(self, work: Callable[[int], _Done], steps: int) -> _Done:
        started = time.perf_counter()
        done = work(steps)
        taken = (time.perf_counter() - started) / max(1, len(done))
        # Follows a slower machine at once and a faster one by and by, so that one hiccup does not stretch a call.
        self.seconds_per_step = max(taken, self.seconds_per_step * 0.7)
        return done

    def apply_live(self, optimizer: optimizers.Optimizer) -> None:
        """Changes learning rate, clipping or schedule from the next step on; weights and slots stay.

        Raises:
            ValueError: if the optimizer is of another kind or keeps other slots.
        """
        if type(optimizer) is not type(self.plan.optimizer):
            raise ValueError(
                f"a running training can't go from {type(self.plan.optimizer).__name__} to {type(optimizer).__name__}"
            )
        self.plan.set_optimizer(optimizer)
        self.experiment = dataclasses.replace(self.experiment, optimizer=optimizer)
        self._assemble()

    def phases(self) -> Iterator[str]:
        """One step taken apart: does the forward pass and yields "forward", then "loss", "backward", "clip", "update".

        What each phase computed can be read between them. The finished step equals that of :meth:`advance`; its record
        is had from :meth:`phase_record` after the last phase.
        """
        take = self.plan.take_operation(self._x, self._y, self._order, shuffle=self.experiment.shuffle)
        parts: list[tuple[str, list[Operation]]] = [
            ("forward", [take, *self.plan.forward_operations()]),
            ("loss", [self.plan.loss_operation]),
            ("backward", self.plan.backward_operations()),
            ("clip", self.plan.clip_operations()),
            ("update", self.plan.apply_operations()),
        ]
        figures = self.plan.figures(np.array([self.step], np.float64))
        self._record[...] = self._blank
        for name, operations in parts:
            before = self._context[Context.STEP]
            interpreter.run(self.plan.program(operations), self._context, figures, self._record)
            self._context[Context.STEP] = before
            self._phase_figures = figures
            yield name
        self._context[Context.STEP] += 1

    def phase_record(self) -> Chunk:
        """What has been recorded of the step that :meth:`phases` takes apart, so far."""
        steps = self._phase_figures[:, : len(STEP_COLUMNS)].copy()
        return Chunk(self.step, self._record.copy(), steps)

    # Weights and state

    def weights(self) -> list[Array]:
        """Copies of all arrays, in Keras' ``get_weights()`` order."""
        return [self._array(variable.region).copy() for variable in self.plan.variables]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replaces all arrays.

        Raises:
            ValueError: if number or shapes differ.
        """
        wanted = [variable.weight.shape for variable in self.plan.variables]
        found = [np.shape(array) for array in weights]
        if wanted != found:
            for number, (allowed, received) in enumerate(zip(wanted, found, strict=False)):
                if allowed != received:
                    name = self.plan.variables[number].placed.name
                    raise ValueError(f"weights[{number}] ({name}): must have the shape {allowed} (received {received})")
            raise ValueError(f"weights: must be {len(wanted)} arrays (received {len(found)})")
        for variable, array in zip(self.plan.variables, weights, strict=True):
            with np.errstate(over="ignore"):
                self._array(variable.region)[...] = array

    def snapshot(self) -> Snapshot:
        """Copies of everything that the run goes on from."""
        return Snapshot(tuple(array.copy() for array in self._state()), self._context.copy())

    def snapshot_of(self, step: int, arrays: Sequence[Array], *, nonfinite: bool = False) -> Snapshot:
        """A snapshot of this experiment from its arrays and the number of steps done.

        Raises:
            ValueError: if the arrays are not those of this experiment.
        """
        wanted = [(array.shape, array.dtype) for array in self._state()]
        found = [(array.shape, array.dtype) for array in arrays]
        if wanted != found:
            raise ValueError("arrays: must be those that this experiment trains with, in number, shape and type")
        context = np.zeros(Context.SIZE, np.int64)
        context[Context.TRAINING], context[Context.SEED] = 1, self.experiment.seed
        context[Context.STEP], context[Context.NONFINITE] = step, int(nonfinite)
        if step:
            # Where a run stands within its data follows from the steps alone.
            epoch, before = divmod(step - 1, self.steps_per_epoch)
            start = before * self.plan.rows
            end = min(start + self.plan.rows, len(self._x))
            context[Context.EPOCH], context[Context.POSITION], context[Context.ROWS] = epoch, end, end - start
        return Snapshot(tuple(arrays), context)

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back (or on) to a snapshot of this trainer, or of one of the same experiment."""
        for array, kept in zip(self._state(), snapshot.arrays, strict=True):
            array[...] = kept
        self._context[...] = snapshot.context
        self._restore_order()

    def continued(self, experiment: Experiment) -> Trainer:
        """A trainer that goes on from where this one stands, of an experiment in which other layers learn.

        What is kept per weight by the optimizer begins anew where a layer is set free.

        Raises:
            ValueError: if the experiments differ in more than that (and what is live).
        """
        found = Trainer(experiment, self.weights(), stop_on_nonfinite=self.stop_on_nonfinite, threads=self._threads)
        for mine, theirs in zip(self.plan.variables, found.plan.variables, strict=True):
            for before, after in zip(mine.slots, theirs.slots, strict=False):
                found._array(after)[...] = self._array(before)
        found._context[...] = self._context
        found._restore_order()
        return found

    def _restore_order(self) -> None:
        if self._order is None or not self.experiment.shuffle or not 0 < self._context[Context.POSITION] < len(self._x):
            return
        # The order is a function of seed and epoch: take the first batch of the epoch again to have it mixed.
        context = self._context.copy()
        context[Context.POSITION] = 0
        take = self.plan.take_operation(self._x, self._y, self._order, shuffle=True)
        interpreter.run(self.plan.program([take]), context, np.zeros((1, Figures.SIZE)), self._record)

    def _state(self) -> Iterator[Array]:
        for variable in self.plan.variables:
            yield self._array(variable.region)
            for slot in variable.slots:
                yield self._array(slot)

    def _array(self, region: Region) -> Array:
        return self.plan.arena.array(region)

    # Looking inside: what the last step left in memory

    def _main(self, row: int) -> Any:
        main = self.stack.layers[row].main_weight
        return next((v for v in self.plan.variables if v.placed.index == row and v.weight is main), None)

    def weight_matrix(self, row: int) -> Array | None:
        """The main weight of a layer (a kernel is ``(inputs, outputs)``), or None."""
        variable = self._main(row)
        return None if variable is None else self._array(variable.region).copy()

    def gradient_matrix(self, row: int) -> Array | None:
        """The gradient of the main weight in the last step, after clipping, or None."""
        variable = self._main(row)
        return None if variable is None or variable.gradient is None else self._array(variable.gradient).copy()

    def activation_matrix(self, row: int) -> Array:
        """Outputs of a layer in the last step, shape ``(rows, units)``."""
        return self._rows_of(self.plan.lowered[row].output, int(np.prod(self.stack.layers[row].output_shape)))

    def _rows_of(self, region: Region | int, width: int) -> Array:
        rows = int(self._context[Context.ROWS])
        if isinstance(region, int):
            return self._x[:rows].copy()
        return self._array(region).reshape(-1)[: rows * width].reshape(rows, width).copy()

    # Evaluation

    def evaluate(self, split: str = "validation", between: Callable[[], object] | None = None) -> Metrics:
        """Loss and accuracy in inference mode over the whole "validation" or "train" set; NaN if there is none.

        Args:
            between: Called between two batches; what it raises ends the evaluation.
        """
        pair = self._validation if split == "validation" else (self._x, self._y)
        if pair is None:
            return Metrics(float("nan"), float("nan"))
        x, y = pair
        loss = accuracy = 0.0
        for rows, figures in self._infer(x, y):
            loss += figures[Figures.LOSS] * rows / len(x)
            accuracy += figures[Figures.ACCURACY] * rows / len(x)
            if between is not None:
                between()
        return Metrics(float(loss), float(accuracy))

    def predict(self, x: Array) -> Array:
        """Outputs for rows of data, shape ``(rows, *input_shape)`` or ``(rows, inputs)``, in inference mode."""
        rows_in = self._checked(x)
        targets = np.zeros((len(rows_in), self.plan.outputs), self.plan.dtype)
        found = np.empty((len(rows_in), self.plan.outputs), self.plan.dtype)
        done = 0
        for rows, _ in self._infer(rows_in, targets):
            found[done : done + rows] = self._rows_of_inference(rows)
            done += rows
        return found

    def _checked(self, x: Array) -> Array:
        array = np.asarray(x)
        if array.ndim == 0 or array.size != len(array) * self.plan.inputs:
            raise ValueError(f"x: must have the shape (rows, {self.plan.inputs}) (received {array.shape})")
        return self._flat(array)

    def _rows_of_inference(self, rows: int) -> Array:
        result = self._inference_plan.result
        assert isinstance(result, Region)
        return self._inference_plan.arena.array(result).reshape(-1)[: rows * self.plan.outputs].reshape(rows, -1)

    @functools.cached_property
    def _inference_plan(self) -> Plan:
        """A plan of its own for inference, with the training's weights, so that what the last step left stays."""
        return Plan(
            self.stack, self.experiment.loss, optimizers.SGD(), self.experiment.dtype, min(256, len(self._x)),
            accuracy=self.plan.accuracy,
        )  # fmt: skip

    def prepare_inference(self) -> Plan:
        """Makes the plan for inference if there is none yet, and gives it the present weights.

        :meth:`evaluate` and :meth:`predict` do this themselves. The first time it takes long enough in Python to
        hold up a window, so that a caller may choose the moment.
        """
        plan = self._inference_plan
        for mine, theirs in zip(plan.variables, self.plan.variables, strict=True):
            plan.arena.array(mine.region)[...] = self._array(theirs.region)
        return plan

    def _infer(self, x: Array, y: Array) -> Iterator[tuple[int, Floats]]:
        plan = self.prepare_inference()
        order = np.arange(len(x), dtype=np.int64)
        take = plan.take_operation(x, y, order, shuffle=False)
        program = plan.program([take, *plan.forward_operations(), plan.loss_operation])
        context = np.zeros(Context.SIZE, np.int64)
        record = np.empty((1, len(self.stack.layers), COLUMNS))
        for start in range(0, len(x), plan.rows):
            figures = np.zeros((1, Figures.SIZE))
            interpreter.run(program, context, figures, record)
            yield min(plan.rows, len(x) - start), figures[0]

    def gradients(self, x: Array, y: Array) -> Gradients:
        """One backward pass in training mode over all given rows, with the present weights; nothing is updated.

        Args:
            x: Shape ``(rows, *input_shape)``.
            y: Targets, shape ``(rows, outputs)``.
        """
        rows_in = self._checked(x)
        targets = np.asarray(y)
        if targets.shape != (len(rows_in), self.plan.outputs):
            wanted = (len(rows_in), self.plan.outputs)
            raise ValueError(f"y: must have the shape {wanted} (received {targets.shape})")
        plan = Plan(
            self.stack, self.experiment.loss, self.experiment.optimizer, self.experiment.dtype, len(rows_in),
            keep_deltas=True, accuracy=self.plan.accuracy,
        )  # fmt: skip
        for mine, theirs in zip(plan.variables, self.plan.variables, strict=True):
            plan.arena.array(mine.region)[...] = self._array(theirs.region)
        targets = self._flat(targets)
        order = np.arange(len(rows_in), dtype=np.int64)
        take = plan.take_operation(rows_in, targets, order, shuffle=False)
        operations = [take, *plan.forward_operations(), plan.loss_operation, *plan.backward_operations()]
        figures = np.zeros((1, Figures.SIZE))
        context = self._context.copy()
        context[Context.POSITION] = 0
        record = np.empty((1, len(self.stack.layers), COLUMNS))
        interpreter.run(plan.program(operations), context, figures, record)

        def read(region: Region | int, width: int) -> Array:
            if isinstance(region, int):
                return rows_in.copy()
            return plan.arena.array(region).reshape(-1)[: len(rows_in) * width].reshape(-1, width).copy()

        widths = [int(np.prod(placed.output_shape)) for placed in self.stack.layers]
        return Gradients(
            float(figures[0, Figures.LOSS]),
            [None if low.delta is None else read(low.delta, w) for low, w in zip(plan.lowered, widths, strict=True)],
            [None if v.gradient is None else plan.arena.array(v.gradient).copy() for v in plan.variables],
            [read(low.before, w) for low, w in zip(plan.lowered, widths, strict=True)],
            [read(low.output, w) for low, w in zip(plan.lowered, widths, strict=True)],
        )


def _not_flat(shape: tuple[int, ...]) -> Fault:
    sizes = " x ".join(map(str, shape))
    return Fault("layers", tr("must end in a flat row of outputs: add Flatten and Dense"), sizes)

"""The plan: a stack lowered to operations over one block of memory.

Lowering walks the stack once forward and once backward. What a layer becomes is one function per layer class,
registered with :func:`lowers`; a layer that only applies an activation needs none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradsim.engine import layout
from gradsim.engine.layout import COLUMNS, FLOAT_ARGUMENTS, INT_ARGUMENTS, RECORD_WORDS, TILE, Figures
from gradsim.engine.memory import Arena, Array, Region
from gradsim.engine.operations import operation
from gradsim.model.stack import Placed, Stack
from gradsim.nn import activations, layers, losses, optimizers
from gradsim.nn.layers import Weight
from gradsim.telemetry.recording import Layer as LayerRow

Program = np.ndarray[Any, np.dtype[np.int64]]


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation with its arguments; a region stands for its address."""

    function: int
    ints: dict[int, int | Region]
    floats: tuple[float, ...] = ()


@dataclasses.dataclass
class Variable:
    """One array of weights in memory."""

    placed: Placed
    weight: Weight
    region: Region
    gradient: Region | None
    slots: tuple[Region, ...]

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.weight.size

    @property
    def place(self) -> int:
        """Place of its statistics in the record, or -1 if it is not the array that its layer shows."""
        return self.placed.index * COLUMNS if self.weight is self.placed.main_weight else -1


@dataclasses.dataclass
class Lowered:
    """What a layer became."""

    placed: Placed
    forward: list[Operation] = dataclasses.field(default_factory=list)
    backward: list[Operation] = dataclasses.field(default_factory=list)
    updates: list[Operation] = dataclasses.field(default_factory=list)
    source: Region | int = 0
    before: Region | int = 0
    output: Region | int = 0
    delta: Region | None = None


Lowering = Callable[["Plan", Lowered, Region | int], None]
_LOWERINGS: dict[type[layers.Layer], tuple[Lowering, Lowering]] = {}


def lowers(kind: type[layers.Layer]) -> Callable[[type[Any]], type[Any]]:
    """Class decorator: ``forward(plan, lowered, x)`` and ``backward(plan, lowered, d)`` lower layers of a kind."""

    def decorate(cls: type[Any]) -> type[Any]:
        _LOWERINGS[kind] = (cls.forward, cls.backward)
        return cls

    return decorate


class Plan:
    """A stack in memory, ready to run.

    Args:
        stack: The expanded stack.
        loss: What is made small.
        optimizer: How gradients are applied; its kind decides the slots.
        dtype: "float32" or "float64".
        rows: The most rows of a batch.
        keep_deltas: True to give every layer's delta memory of its own, so that all can be read after a pass.
        recording: False leaves out the statistics (to measure what they cost).
        accuracy: False where the targets are no classes.
        data: Addresses of all rows and targets, if they are used where they lie (full batch).
    """

    def __init__(
        self,
        stack: Stack,
        loss: losses.Loss,
        optimizer: optimizers.Optimizer,
        dtype: str,
        rows: int,
        *,
        keep_deltas: bool = False,
        recording: bool = True,
        accuracy: bool = True,
        data: tuple[int, int] = (0, 0),
    ) -> None:
        self.stack, self.loss, self.optimizer, self.dtype, self.rows = stack, loss, optimizer, dtype, rows
        self.keep_deltas, self.recording, self.accuracy = keep_deltas, recording, accuracy
        self.arena = Arena(dtype)
        self.inputs = _product(stack.input_shape)
        self.outputs = _product(stack.output_shape)
        self.widest = max([_product(placed.output_shape) for placed in stack.layers] + [self.outputs])
        self.scratch = self.arena.reserve(
            max(2 * self.widest, self.widest + TILE, rows * self.widest // 2 + self.widest)
        )
        self.x: Region | int = data[0] or self.arena.reserve(rows, self.inputs)
        self.target: Region | int = data[1] or self.arena.reserve(rows, self.outputs)
        self.slots = tuple(start for _, start in optimizer.rule().slots)
        self.variables = [self._variable(placed, weight) for placed, weight in stack.weights()]
        self._by_layer: dict[int, list[Variable]] = {}
        for variable in self.variables:
            self._by_layer.setdefault(variable.placed.index, []).append(variable)
        deepest = max([rows, *(max(weight.shape) for _, weight in stack.weights() if len(weight.shape) == 2)])
        self.strip = self.arena.reserve(min(deepest, layout.INNER), layout.STRIP // self.arena.dtype.itemsize)
        # A large batch would need as much again as its inputs take.
        inputs = [weight.shape[0] for _, weight in stack.weights() if weight.role == "kernel"]
        tallest = -(-max(inputs, default=0) // layout.PANEL) * layout.PANEL
        self.panels: Region | int = self.arena.reserve(rows, tallest) if rows <= layout.INNER else 0
        blocks = -(-max((weight.size for _, weight in stack.weights()), default=0) // layout.BLOCK)
        self.sums = self.arena.reserve(blocks * 5 * 8 // self.arena.dtype.itemsize if blocks > 1 else 0)
        self.last = len(stack.layers) - 1
        flats = (placed.index for placed in stack.layers if not isinstance(placed.layer, layers.Flatten))
        self._first = next(flats, self.last)
        self.fused = _is_fused(stack, loss)
        self._kept: dict[int, tuple[Region, Region]] = {}
        self._free: list[Region] = []
        self.lowered = [Lowered(placed) for placed in stack.layers]
        self._lower_forward()
        self.loss_operation = self._lower_loss()
        self._lower_backward()
        self.arena.allocate()
        for variable in self.variables:
            # A frozen variable has no slots.
            for region, start in zip(variable.slots, self.slots, strict=False):
                self.arena.array(region)[:] = start
        self.set_optimizer(optimizer)

    # Memory

    def _variable(self, placed: Placed, weight: Weight) -> Variable:
        region = self.arena.reserve(*weight.shape)
        if weight.is_state or not placed.trainable:
            return Variable(placed, weight, region, None, ())
        gradient = self.arena.reserve(*weight.shape)
        slots = tuple(self.arena.reserve(*weight.shape) for _ in self.slots)
        return Variable(placed, weight, region, gradient, slots)

    def buffer(self, width: int) -> Region:
        """Memory for one layer's values over the batch."""
        return self.arena.reserve(self.rows, width)

    def take(self, width: int) -> Region:
        """Memory for a gradient on its way down."""
        if self.keep_deltas or not self._free:
            return self.arena.reserve(self.rows, width if self.keep_deltas else self.widest)
        return self._free.pop()

    def give(self, region: Region) -> None:
        """Takes memory of a gradient back."""
        if not self.keep_deltas:
            self._free.append(region)

    def variable(self, placed: Placed, role: str) -> Variable | None:
        """One array of a layer by its role, or None."""
        for variable in self._by_layer.get(placed.index, ()):
            if variable.weight.role == role:
                return variable
        return None

    def kept(self, lowered: Lowered) -> tuple[Region, Region]:
        """Memory for mean and inverse deviation of a normalisation, from its forward to its backward pass."""
        index = lowered.placed.index
        if index not in self._kept:
            size = max(self.rows, _product(lowered.placed.output_shape))
            self._kept[index] = (self.arena.reserve(size), self.arena.reserve(size))
        return self._kept[index]

    # Lowering

    def _lower_forward(self) -> None:
        x: Region | int = self.x
        entered: dict[tuple[int, int], Region | int] = {}
        for index, lowered in enumerate(self.lowered):
            for span in self.stack.residuals:
                if span[0] == index:
                    entered[span] = x
            lowered.source = x
            _lowering(lowered.placed.layer)[0](self, lowered, x)
            x = lowered.output
            for span in reversed(self.stack.residuals):
                if span[1] == index + 1:
                    x = self._join(lowered, entered[span], x)
        self.result = x

    def _join(self, lowered: Lowered, entered: Region | int, x: Region | int) -> Region:
        width = _product(lowered.placed.output_shape)
        joined = self.buffer(width)
        function = operation("products.add", self.dtype)
        arguments = {
            layout.Sum.X: entered,
            layout.Sum.Y: x,
            layout.Sum.Z: joined,
            layout.Sum.WIDTH: width,
        }
        lowered.forward.append(Operation(function, arguments))  # type: ignore[arg-type]
        return joined

    def _lower_loss(self) -> Operation:
        self.top = self.take(self.outputs)
        a = layout.Losing
        return Operation(
            operation("losses.loss", type(self.loss), self.fused, self.dtype),
            {
                a.P: self.result,
                a.Z: self.lowered[-1].before,
                a.TARGET: self.target,
                a.D: self.top,
                a.WIDTH: self.outputs,
                a.COUNT: int(self.accuracy),
            },
        )

    def _lower_backward(self) -> None:
        d = self.top
        skips: dict[tuple[int, int], Region] = {}
        for index in range(self.last, -1, -1):
            lowered = self.lowered[index]
            width = _product(lowered.placed.output_shape)
            for span in self.stack.residuals:
                if span[1] == index + 1 and self.needs_input_gradient(span[0]):
                    skips[span] = d
                    inner = self.take(width)
                    lowered.backward.append(self._move(operation("products.copy", self.dtype), d, inner, width))
                    d = inner
            lowered.delta = d
            self._next: Region | None = None
            _lowering(lowered.placed.layer)[1](self, lowered, d)
            if self.keep_deltas and self._next is None and self.needs_input_gradient(index):
                # What a layer below does in place must not change this one's delta.
                width = _product(lowered.placed.input_shape)
                self._next = self.take(width)
                lowered.backward.append(self._move(operation("products.copy", self.dtype), d, self._next, width))
            if self._next is not None and self._next is not d:
                self.give(d)
                d = self._next
            for span in reversed(self.stack.residuals):
                if span[0] == index and span in skips:
                    d = self._rejoin(lowered, skips[span], d)

    def _rejoin(self, lowered: Lowered, skip: Region, d: Region) -> Region:
        """At the entry of a residual block: the gradient through the layers plus that along the skip."""
        width = _product(lowered.placed.input_shape)
        s = layout.Sum
        if d is lowered.delta:
            # The layer worked in place; its delta stays as it is.
            total = self.take(width)
            arguments: dict[int, int | Region] = {s.X: skip, s.Y: d, s.Z: total, s.WIDTH: width}
            lowered.backward.append(Operation(operation("products.add", self.dtype), arguments))
            self.give(d)
        else:
            total = d
            lowered.backward.append(self._move(operation("products.accumulate", self.dtype), skip, d, width))
        self.give(skip)
        return total

    def _move(self, function: int, x: Region, z: Region, width: int) -> Operation:
        return Operation(function, {layout.Sum.X: x, layout.Sum.Z: z, layout.Sum.WIDTH: width})

    def needs_input_gradient(self, index: int) -> bool:
        """True if some layer below this row is no Flatten, so that it shows a gradient."""
        return index > self._first

    def passes(self, gradient: Region) -> None:
        """A layer's lowering says where it leaves the gradient of its input."""
        self._next = gradient

    def product(
        self,
        a: Region | int,
        strides: tuple[int, int],
        b: Region | int,
        c: Region,
        sizes: tuple[int, int, int],
        *,
        turned: bool = False,
    ) -> Operation:
        """``C = A B``.

        Args:
            a: Read with ``strides`` between its rows and along the inner dimension, in entries.
            b: Contiguous, ``(inner, columns)``, or ``(columns, inner)`` if turned.
            c: Contiguous, ``(rows, columns)``.
            sizes: Rows, columns and inner dimension; -1 as rows or inner dimension is the number of rows of the batch.
        """
        p = layout.Product
        size = self.arena.dtype.itemsize
        rows, columns, inner = sizes
        function = operation("products.product", self.dtype)
        return Operation(
            function,
            {
                p.A: a,
                p.A_ROW: strides[0] * size,
                p.A_INNER: strides[1] * size,
                p.B: b,
                p.B_ROW: (inner if turned else columns) * size,
                p.TURNED: int(turned),
                p.C: c,
                p.C_ROW: columns * size,
                p.M: rows,
                p.N: columns,
                p.K: inner,
                layout.Part.FUNCTION: function,
                layout.Part.ROOM: self.strip,
                p.PANELS: self.panels if strides[0] == 1 and strides[1] > 1 else 0,
            },
        )

    def watch_output(self, lowered: Lowered) -> None:
        """Records the outputs of a layer."""
        if self.recording:
            a = layout.Output
            width, place = _product(lowered.placed.output_shape), lowered.placed.index * COLUMNS
            arguments: dict[int, int | Region] = {a.Y: lowered.output, a.WIDTH: width, a.PLACE: place}
            lowered.forward.append(Operation(operation("activation.record_output", self.dtype), arguments))

    def watch_delta(self, lowered: Lowered, d: Region | int, column_sums: Region | int = 0) -> None:
        """Records delta, and sums its columns if there is a place for the sums."""
        if self.recording or column_sums:
            a = layout.Delta
            arguments: dict[int, int | Region] = {
                a.D: d,
                a.COLUMN_SUMS: column_sums,
                a.SCRATCH: self.scratch,
                a.WIDTH: _product(lowered.placed.output_shape),
                a.PLACE: lowered.placed.index * COLUMNS,
            }
            lowered.backward.append(Operation(operation("activation.sum_delta", self.dtype, self.recording), arguments))

    # The optimizer: what depends on it can change in the middle of a run.

    def set_optimizer(self, optimizer: optimizers.Optimizer) -> None:
        """Lowers the updates for an optimizer with the same slots (another clipping, say).

        Raises:
            ValueError: if the optimizer keeps other slots than the plan has.
        """
        rule = optimizer.rule()
        if tuple(start for _, start in rule.slots) != self.slots:
            raise ValueError("the optimizer keeps other slots than the one that the plan was made for")
        self.optimizer = optimizer
        self.rule = rule
        self.clip_limit, clips = self._clipping(optimizer)
        decay = optimizer.decoupled_weight_decay > 0
        self.measures: list[list[Operation]] = []
        self.clips: list[list[Operation]] = []
        self.applies: list[list[Operation]] = []
        self.clipping = clips is not None
        functions = [update_operation(rule, decay, self.dtype, self.recording)]
        if self.recording:
            functions.append(operation("update.record_update", self.dtype))
        measure = operation("update.measure_gradient", self.dtype) if self.clipping else 0
        for index in range(len(self.lowered)):
            variables = [v for v in self._by_layer.get(index, ()) if v.gradient is not None]
            self.applies.append([self._update(function, v) for v in variables for function in functions])
            self.measures.append([self._update(measure, v) for v in variables] if self.clipping else [])
            self.clips.append([self._update(clips, v) for v in variables] if clips is not None else [])
            for variable in self._by_layer.get(index, ()):
                if variable.gradient is None and variable.place >= 0:
                    self.applies[-1].append(self._update(operation("update.watch_weights", self.dtype), variable))

    def _clipping(self, optimizer: optimizers.Optimizer) -> tuple[float, int | None]:
        if optimizer.clipvalue is not None:
            return optimizer.clipvalue, operation("update.clip_by_value", self.dtype)
        if optimizer.clipnorm is not None:
            return optimizer.clipnorm, operation("update.clip_by_norm", self.dtype, False)
        if optimizer.global_clipnorm is not None:
            return optimizer.global_clipnorm, operation("update.clip_by_norm", self.dtype, True)
        return 0.0, None

    def _update(self, function: int, variable: Variable) -> Operation:
        a = layout.Update
        ints: dict[int, int | Region] = {
            a.W: variable.region,
            a.SIZE: variable.size,
            a.PLACE: variable.place,
            a.MEASURED: int(self.clipping),
            a.SUMS: self.sums,
            layout.Part.FUNCTION: function,
        }
        if variable.gradient is not None:
            ints[a.G] = variable.gradient
        for number, slot in enumerate(variable.slots):
            ints[a.SLOT + number] = slot
        return Operation(function, ints)

    # Programs

    def forward_operations(self) -> list[Operation]:
        """From the batch to the outputs."""
        return [operation for lowered in self.lowered for operation in lowered.forward]

    def backward_operations(self) -> list[Operation]:
        """From the gradient of the outputs to those of all weights."""
        return [operation for lowered in reversed(self.lowered) for operation in lowered.backward]

    def clip_operations(self) -> list[Operation]:
        """Gradients measured, then clipped; nothing where clipping is off."""
        return [op for many in (self.measures, self.clips) for ops in reversed(many) for op in ops]

    def apply_operations(self) -> list[Operation]:
        """Weights updated."""
        return [operation for operations in reversed(self.applies) for operation in operations]

    def training_operations(self) -> list[Operation]:
        """A whole step behind the batch.

        Each layer's gradient is clipped and applied while it is still in the cache; a global norm needs all of
        them first.
        """
        operations = [*self.forward_operations(), self.loss_operation]
        if self.optimizer.global_clipnorm is not None:
            return [
                *operations, *self.backward_operations(), *self.clip_operations(), *self.apply_operations()
            ]  # fmt: skip
        for index in range(self.last, -1, -1):
            operations += self.lowered[index].backward
            operations += self.measures[index] + self.clips[index] + self.applies[index]
        return operations

    def take_operation(self, x: Array, target: Array, order: Array | None, *, shuffle: bool) -> Operation:
        """The operation that brings the rows of a step from these arrays, flat and contiguous."""
        a = layout.Batch
        return Operation(
            operation("batch.take", self.dtype),
            {
                a.X: int(x.ctypes.data),
                a.TARGET: int(target.ctypes.data),
                a.X_BATCH: 0 if order is None else self.x,
                a.TARGET_BATCH: 0 if order is None else self.target,
                a.ORDER: 0 if order is None else int(order.ctypes.data),
                a.ROWS: len(x),
                a.SIZE: self.rows,
                a.X_WIDTH: self.inputs,
                a.TARGET_WIDTH: self.outputs,
                a.SHUFFLE: int(shuffle),
            },
        )

    def program(self, operations: Sequence[Operation]) -> Program:
        """Operations with addresses filled in, for :func:`gradsim.engine.interpreter.run`."""
        words = np.zeros((len(operations), RECORD_WORDS), np.int64)
        floats = words.view(np.float64)
        for row, each in enumerate(operations):
            words[row, 0] = each.function
            for place, value in each.ints.items():
                words[row, 1 + place] = self.arena.address(value) if isinstance(value, Region) else value
            floats[row, 1 + INT_ARGUMENTS : 1 + INT_ARGUMENTS + len(each.floats)] = each.floats
            assert len(each.floats) <= FLOAT_ARGUMENTS
        return words

    def figures(self, steps: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The float context of these steps (updates done before each, from 0), shape ``(n, Figures.SIZE)``."""
        rates = self.optimizer.rates(steps)
        rows = np.zeros((len(steps), Figures.SIZE))
        rows[:, Figures.LEARNING_RATE] = rates
        rows[:, Figures.CLIP] = self.clip_limit
        rows[:, Figures.DECAY] = self.optimizer.decoupled_weight_decay * rates
        for number, values in enumerate(self.rule.coefficients(steps + 1, rates)):
            rows[:, Figures.COEFFICIENTS + number] = values
        return rows

    def layer_table(self) -> tuple[LayerRow, ...]:
        """The rows of a recording."""
        return tuple(_row(placed) for placed in self.stack.layers)


def update_operation(rule: optimizers.Rule, decay: bool, dtype: str, recording: bool = True) -> int:
    """The operation that applies an optimizer's rule to an array."""
    coefficients = len(rule.coefficients(np.ones(1), np.ones(1)))
    return operation("update.apply", rule.update, len(rule.slots), coefficients, decay, dtype, recording)


def _row(placed: Placed) -> LayerRow:
    main = placed.main_weight
    return LayerRow(
        name=placed.name,
        type=placed.layer.identifier,
        label=label(placed.layer),
        shape=placed.output_shape,
        parameters=placed.parameters,
        weight_size=main.size if main else 0,
        units=_product(placed.output_shape),
        trainable=placed.trainable,
        path=placed.path,
        repeat=placed.rounds[-1] if placed.rounds else None,
    )


def label(layer: layers.Layer) -> str:
    """A layer in a few words: "Dense 100 sigmoid"."""
    words = [layer.identifier]
    if isinstance(layer, layers.Dense):
        words.append(str(layer.units))
    applied = layer.applied()
    if applied is not None and isinstance(layer, layers.Dense | layers.Activation):
        words.append(applied.identifier)
    return " ".join(words)


def _product(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _is_fused(stack: Stack, loss: losses.Loss) -> bool:
    last = stack.layers[-1]
    applied = last.layer.applied()
    ends_block = any(stop == len(stack.layers) for _, stop in stack.residuals)
    return applied is not None and applied.identifier == loss.fused_activation and not ends_block


def _lowering(layer: layers.Layer) -> tuple[Lowering, Lowering]:
    for kind in type(layer).__mro__:
        if kind in _LOWERINGS:
            return _LOWERINGS[kind]
    return Applied.forward, Applied.backward


def _activate(plan: Plan, lowered: Lowered, z: Region | int, bias: Region | int) -> None:
    """Bias and activation behind ``z``; fills in where pre-activation and output lie."""
    applied = lowered.placed.layer.applied() or activations.Linear()
    width = _product(lowered.placed.output_shape)
    is_fused = plan.fused and lowered.placed.index == plan.last
    in_place = (
        isinstance(z, Region)
        and z is not lowered.source
        and applied.derivative_from == "output"
        and not applied.rowwise
        and not is_fused
        # What is read after a pass is the pre-activation, too.
        and not plan.keep_deltas
    )
    lowered.before = z
    lowered.output = z if in_place else plan.buffer(width)
    a = layout.Forward
    lowered.forward.append(
        Operation(
            operation("activation.forward", type(applied), plan.dtype, in_place),
            {
                a.Z: z,
                a.Y: lowered.output,
                a.BIAS: bias,
                a.WIDTH: width,
                a.SCRATCH: plan.scratch,
            },
            applied.parameters(),
        )
    )
    plan.watch_output(lowered)


def _activate_back(plan: Plan, lowered: Lowered, d: Region | int, bias_gradient: Region | int) -> None:
    """Turns the gradient of the output into delta, in place."""
    applied = lowered.placed.layer.applied() or activations.Linear()
    if plan.fused and lowered.placed.index == plan.last:
        # The loss has written delta itself.
        applied = activations.Linear()
    if not isinstance(applied, activations.Linear):
        a = layout.Backward
        lowered.backward.append(
            Operation(
                operation("activation.backward", type(applied), plan.dtype, plan.recording),
                {
                    a.D: d,
                    a.Z: lowered.before,
                    a.Y: lowered.output,
                    a.SCRATCH: plan.scratch,
                    a.WIDTH: _product(lowered.placed.output_shape),
                    a.PLACE: lowered.placed.index * COLUMNS,
                },
                applied.parameters(),
            )
        )
    plan.watch_delta(lowered, d, bias_gradient)


def _gradient(variable: Variable | None) -> Region | int:
    return 0 if variable is None or variable.gradient is None else variable.gradient


def _region(variable: Variable | None) -> Region | int:
    return 0 if variable is None else variable.region


class Applied:
    """A layer that applies an activation to its input."""

    @staticmethod
    def forward(plan: Plan, lowered: Lowered, x: Region | int) -> None:
        _activate(plan, lowered, x, 0)

    @staticmethod
    def backward(plan: Plan, lowered: Lowered, d: Region | int) -> None:
        _activate_back(plan, lowered, d, 0)


@lowers(layers.Flatten)
class _Flatten:
    @staticmethod
    def forward(plan: Plan, lowered: Lowered, x: Region | int) -> None:
        lowered.before = lowered.output = x

    @staticmethod
    def backward(plan: Plan, lowered: Lowered, d: Region | int) -> None:
        lowered.delta = None


@lowers(layers.Dense)
class _Dense:
    @staticmethod
    def forward(plan: Plan, lowered: Lowered, x: Region | int) -> None:
        kernel = plan.variable(lowered.placed, "kernel")
        assert kernel is not None
        inputs, units = kernel.weight.shape
        z = plan.buffer(units)
        lowered.forward.append(plan.product(x, (inputs, 1), kernel.region, z, (-1, units, inputs)))
        _activate(plan, lowered, z, _region(plan.variable(lowered.placed, "bias")))

    @staticmethod
    def backward(plan: Plan, lowered: Lowered, d: Region | int) -> None:
        assert isinstance(d, Region)
        kernel = plan.variable(lowered.placed, "kernel")
        assert kernel is not None
        inputs, units = kernel.weight.shape
        _activate_back(plan, lowered, d, _gradient(plan.variable(lowered.placed, "bias")))
        if plan.needs_input_gradient(lowered.placed.index):
            below = plan.take(inputs)
            lowered.backward.append(plan.product(d, (units, 1), kernel.region, below, (-1, inputs, units), turned=True))
            plan.passes(below)
        if kernel.gradient is None:
            return
        lowered.backward.append(plan.product(lowered.source, (1, inputs), d, kernel.gradient, (inputs, units, -1)))
        penalty = _penalty(plan, kernel)
        if penalty is not None:
            lowered.forward.append(penalty[0])
            lowered.backward.append(penalty[1])


def _penalty(plan: Plan, kernel: Variable) -> tuple[Operation, Operation] | None:
    if kernel.weight.regularizer is None or kernel.gradient is None:
        return None
    factors = kernel.weight.regularizer.factors()
    a = layout.Penalty
    arguments: dict[int, int | Region] = {a.W: kernel.region, a.G: kernel.gradient, a.SIZE: kernel.size}
    return (
        Operation(operation("losses.penalty", plan.dtype, False), arguments, factors),
        Operation(operation("losses.penalty", plan.dtype, True), arguments, factors),
    )


@lowers(layers.PReLU)
class _PReLU:
    @staticmethod
    def arguments(plan: Plan, lowered: Lowered, d: Region | int) -> dict[int, int | Region]:
        alpha = plan.variable(lowered.placed, "alpha")
        assert alpha is not None
        a = layout.LearnedSlope
        return {
            a.X: lowered.source,
            a.Y: lowered.output,
            a.ALPHA: alpha.region,
            a.D: d,
            a.GRADIENT: plan.scratch if alpha.gradient is None else alpha.gradient,
            a.WIDTH: alpha.size,
            a.PLACE: lowered.placed.index * COLUMNS,
        }

    @staticmethod
    def forward(plan: Plan, lowered: Lowered, x: Region | int) -> None:
        lowered.before = x
        lowered.output = plan.buffer(_product(lowered.placed.output_shape))
        arguments = _PReLU.arguments(plan, lowered, 0)
        lowered.forward.append(Operation(operation("activation.prelu_forward", plan.dtype), arguments))
        plan.watch_output(lowered)

    @staticmethod
    def backward(plan: Plan, lowered: Lowered, d: Region | int) -> None:
        arguments = _PReLU.arguments(plan, lowered, d)
        lowered.backward.append(Operation(operation("activation.prelu_backward", plan.dtype), arguments))
        plan.watch_delta(lowered, d)


class _Normalisation:
    """What batch and layer normalisation share."""

    operations: tuple[str, str]

    @classmethod
    def arguments(cls, plan: Plan, lowered: Lowered, d: Region | int, dx: Region | int) -> dict[int, int | Region]:
        placed = lowered.placed
        a = layout.Normalisation
        gamma, beta = plan.variable(placed, "gamma"), plan.variable(placed, "beta")
        mean, inverse = plan.kept(lowered)
        return {
            a.X: lowered.source,
            a.Y: lowered.output,
            a.GAMMA: _region(gamma),
            a.BETA: _region(beta),
            a.MOVING_MEAN: _region(plan.variable(placed, "moving_mean")),
            a.MOVING_VARIANCE: _region(plan.variable(placed, "moving_variance")),
            a.MEAN: mean,
            a.INVERSE: inverse,
            a.WIDTH: _product(placed.output_shape),
            a.BATCH: int(placed.trainable),
            a.D: d,
            a.DX: dx,
            a.GAMMA_GRADIENT: _gradient(gamma),
            a.BETA_GRADIENT: _gradient(beta),
            a.SCRATCH: plan.scratch,
        }

    @classmethod
    def constants(cls, layer: Any) -> tuple[float, ...]:
        return (layer.epsilon, getattr(layer, "momentum", 0.0))

    @classmethod
    def forward(cls, plan: Plan, lowered: Lowered, x: Region | int) -> None:
        lowered.before = x
        lowered.output = plan.buffer(_product(lowered.placed.output_shape))
        function = operation(cls.operations[0], plan.dtype)
        arguments = cls.arguments(plan, lowered, 0, 0)
        lowered.forward.append(Operation(function, arguments, cls.constants(lowered.placed.layer)))
        plan.watch_output(lowered)

    @classmethod
    def backward(cls, plan: Plan, lowered: Lowered, d: Region | int) -> None:
        plan.watch_delta(lowered, d)
        below: Region | int = 0
        if plan.needs_input_gradient(lowered.placed.index):
            below = plan.take(_product(lowered.placed.input_shape))
            plan.passes(below)
        function = operation(cls.operations[1], plan.dtype)
        arguments = cls.arguments(plan, lowered, d, below)
        lowered.backward.append(Operation(function, arguments, cls.constants(lowered.placed.layer)))


@lowers(layers.BatchNormalization)
class _BatchNormalization(_Normalisation):
    operations = ("normalisation.batch_forward", "normalisation.batch_backward")


@lowers(layers.LayerNormalization)
class _LayerNormalization(_Normalisation):
    operations = ("normalisation.layer_forward", "normalisation.layer_backward")


@lowers(layers.Dropout)
class _Dropout:
    @staticmethod
    def operation(plan: Plan, lowered: Lowered, x: Region | int, y: Region | int) -> Operation:
        assert isinstance(lowered.placed.layer, layers.Dropout)
        a = layout.Dropping
        arguments: dict[int, int | Region] = {
            a.X: x,
            a.Y: y,
            a.WIDTH: _product(lowered.placed.output_shape),
            a.NUMBER: lowered.placed.index,
        }
        return Operation(operation("normalisation.dropout", plan.dtype), arguments, (lowered.placed.layer.rate,))

    @staticmethod
    def forward(plan: Plan, lowered: Lowered, x: Region | int) -> None:
        lowered.before = x
        lowered.output = plan.buffer(_product(lowered.placed.output_shape))
        lowered.forward.append(_Dropout.operation(plan, lowered, x, lowered.output))
        plan.watch_output(lowered)

    @staticmethod
    def backward(plan: Plan, lowered: Lowered, d: Region | int) -> None:
        plan.watch_delta(lowered, d)
        below = plan.take(_product(lowered.placed.output_shape))
        plan.passes(below)
        lowered.backward.append(_Dropout.operation(plan, lowered, d, below))

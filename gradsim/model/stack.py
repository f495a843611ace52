"""The expanded stack: repeat groups unrolled, shapes and names settled."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from gradsim.i18n import tr
from gradsim.nn import layers as nn_layers
from gradsim.nn.layers import Layer, Shape, ShapeError, Weight
from gradsim.nn.spec import Fault

Array = np.ndarray[Any, np.dtype[np.float64]]

MAX_ROWS = 5_000
"""Most layers of an expanded stack: groups multiply, and a short file must not fill the memory."""
MAX_PARAMETERS = 100_000_000
"""Most weights; with gradients and two optimizer slots that is 1.6 GB in float32."""


class StackError(ValueError):
    """The stack can't be computed; ``faults`` names every layer that can't stand where it is."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(map(str, faults)))


@dataclasses.dataclass(frozen=True)
class Placed:
    """One layer of the expanded stack.

    Attributes:
        index: Its row, from 0 at the input.
        name: Unique name in Keras' manner ("dense_3"), or the name that was given.
        path: Place in the experiment, as in ``layers[2].layers[0]``.
        rounds: For each repeat group around it, from the outside: which round this is, from 0.
        trainable: False if it or a group around it is frozen.
    """

    index: int
    layer: Layer
    name: str
    path: str
    rounds: tuple[int, ...]
    trainable: bool
    input_shape: Shape
    output_shape: Shape
    weights: tuple[Weight, ...]

    @property
    def parameters(self) -> int:
        """Number of all weights, trained or not."""
        return sum(weight.size for weight in self.weights)

    @property
    def main_weight(self) -> Weight | None:
        """The array whose gradient is shown."""
        return next((weight for weight in self.weights if weight.role == self.layer.main_weight), None)


@dataclasses.dataclass(frozen=True)
class Stack:
    """The layers in data order.

    Attributes:
        residuals: ``(start, stop)`` rows of each residual block, the inner one of two nested ones later: what
            enters row ``start`` is added to what leaves row ``stop - 1``.
    """

    layers: tuple[Placed, ...]
    residuals: tuple[tuple[int, int], ...]
    input_shape: Shape

    @property
    def output_shape(self) -> Shape:
        """Shape of one sample behind the last layer."""
        return self.layers[-1].output_shape if self.layers else self.input_shape

    @property
    def parameters(self) -> int:
        """Number of all weights, trained or not."""
        return sum(placed.parameters for placed in self.layers)

    def weights(self) -> Iterator[tuple[Placed, Weight]]:
        """Every array, in the order of Keras' ``get_weights()``."""
        for placed in self.layers:
            for weight in placed.weights:
                yield placed, weight

    def initial_weights(self, seed: int) -> list[Array]:
        """The arrays training starts from, float64, in the order of Keras' ``get_weights()``.

        Each array has a stream of its own, so that a change of one layer leaves the draws of the others
        alone.
        """
        return [
            weight.initializer.sample(weight.shape, np.random.default_rng([seed, number]))
            for number, (_, weight) in enumerate(self.weights())
        ]


class _Expansion:
    def __init__(self) -> None:
        self.placed: list[Placed] = []
        self.residuals: list[tuple[int, int]] = []
        self.faults: dict[str, Fault] = {}
        self.names: dict[str, int] = {}
        self.taken: set[str] = set()

    def name(self, layer: Layer) -> str:
        base = layer.name or snake_case(layer.identifier)
        while True:
            count = self.names.get(base, 0)
            self.names[base] = count + 1
            name = f"{base}_{count}" if count else base
            if name not in self.taken:
                self.taken.add(name)
                return name

    def fault(self, path: str, message: str, received: object) -> None:
        self.faults.setdefault(path, Fault(path, message, received))

    def walk(
        self, layers: tuple[Layer, ...], shape: Shape, prefix: str, rounds: tuple[int, ...], trainable: bool
    ) -> Shape:
        for number, layer in enumerate(layers):
            if not layer.enabled:
                continue
            path = f"{prefix}layers[{number}]"
            inherited = trainable and layer.trainable
            if isinstance(layer, nn_layers.Repeat | nn_layers.Residual) and not layer.layers:
                self.fault(path, tr("a {group} group needs at least one layer inside", group=layer.identifier), 0)
            elif isinstance(layer, nn_layers.Repeat):
                for round_ in range(layer.count):
                    shape = self.walk(layer.layers, shape, f"{path}.", (*rounds, round_), inherited)
            elif isinstance(layer, nn_layers.Residual):
                shape = self.residual(layer, shape, path, rounds, inherited)
            else:
                shape = self.leaf(layer, shape, path, rounds, inherited)
        return shape

    def residual(
        self, layer: nn_layers.Residual, shape: Shape, path: str, rounds: tuple[int, ...], trainable: bool
    ) -> Shape:
        start, place = len(self.placed), len(self.residuals)
        self.walk(layer.layers, shape, f"{path}.", rounds, trainable)
        if len(self.placed) > start:
            self.residuals.insert(place, (start, len(self.placed)))
        if any(fault.startswith(f"{path}.") for fault in self.faults):
            # What comes out of a broken block says nothing; the fault inside is the one to mend.
            return shape
        try:
            layer.output_shape(shape)
        except ShapeError as error:
            self.fault(path, str(error), shape)
        return shape

    def leaf(self, layer: Layer, shape: Shape, path: str, rounds: tuple[int, ...], trainable: bool) -> Shape:
        try:
            after = layer.output_shape(shape)
            weights = layer.weights(shape)
        except ShapeError as error:
            self.fault(path, str(error), shape)
            # Go on as a Flatten would, so that later faults show too.
            flat = (int(np.prod(shape)),)
            after, weights = layer.output_shape(flat), layer.weights(flat)
        self.placed.append(
            Placed(len(self.placed), layer, self.name(layer), path, rounds, trainable, shape, after, weights)
        )
        return after


def expand(layers: tuple[Layer, ...], input_shape: Shape) -> Stack:
    """Unrolls the groups of a stack and settles shapes and names.

    Args:
        layers: The stack, input to output.
        input_shape: Shape of one sample.

    Raises:
        StackError: with every layer that can't stand where it is, or because the stack has more than
            ``MAX_ROWS`` layers or ``MAX_PARAMETERS`` weights.
    """
    expansion = _Expansion()
    rows = count_rows(layers)
    if rows > MAX_ROWS:
        message = tr("must expand to at most {limit:,} layers: lower the number of repetitions", limit=MAX_ROWS)
        raise StackError((Fault("layers", message, rows),))
    expansion.walk(layers, input_shape, "", (), True)
    parameters = sum(placed.parameters for placed in expansion.placed)
    if parameters > MAX_PARAMETERS:
        message = tr(
            "must have at most {limit:,} weights in all: use fewer units or fewer layers", limit=MAX_PARAMETERS
        )
        expansion.fault("layers", message, parameters)
    if not expansion.placed and not expansion.faults:
        expansion.fault("layers", tr("there must be at least one enabled layer"), 0)
    if expansion.faults:
        raise StackError(tuple(expansion.faults.values()))
    return Stack(tuple(expansion.placed), tuple(expansion.residuals), input_shape)


def count_rows(layers: tuple[Layer, ...]) -> int:
    """How many rows the layers expand to, without unrolling them."""
    rows = 0
    for layer in layers:
        if not layer.enabled:
            continue
        if isinstance(layer, nn_layers.Repeat):
            rows += layer.count * count_rows(layer.layers)
        elif layer.children():
            rows += count_rows(layer.children())
        else:
            rows += 1
    return rows


def snake_case(identifier: str) -> str:
    """``BatchNormalization`` as ``batch_normalization``, as Keras names layers."""
    if identifier.isupper() or identifier in ("PReLU", "LeakyReLU", "ELU"):
        return {"PReLU": "p_re_lu", "LeakyReLU": "leaky_re_lu", "ELU": "elu"}.get(identifier, identifier.lower())
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower()

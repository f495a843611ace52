"""The chain rule from the loss down to one layer, factor by factor, with the numbers of the running network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradsim.engine.trainer import Gradients, Trainer
from gradsim.model.stack import Stack
from gradsim.nn import layers
from gradsim.theory import Factor, chain_rule

Floats = NDArray[np.float64]
Path = Literal["strongest", "random", "all"]
PATHS: tuple[Path, ...] = ("strongest", "random", "all")
ROWS = 32
"""Most rows of data that go through the network for one look."""


@dataclass(frozen=True)
class Link:
    """One factor, on the way from the loss down.

    Attributes:
        kind: "gradient": what arrives at the uppermost layer; "weight": W transposed, or one weight of it; "slope":
            phi', with what else stands between two Dense layers.
        row: Of the layer that it belongs to.
        value: The factor; its sign counts along one path.
        log10: log10 of the absolute product of all down to this one; -inf once one was exactly 0.
        unit, upper: Along one path the unit it starts from, and for a weight the unit above; else None.
    """

    kind: Literal["gradient", "weight", "slope"]
    row: int
    value: float
    log10: float
    unit: int | None = None
    upper: int | None = None


@dataclass(frozen=True)
class Chain:
    """A product, from the loss down to a layer.

    Attributes:
        links: Its factors, the uppermost first.
        bottom: Row of the lowest layer.
        log10_paths: log10 of the number of paths between the two ends of this one, or of all.
        log10_delta: log10 of |delta| of the unit at the lower end, the sum over all paths; of all units' RMS for all.
        normalised, skipped: Whether a normalisation, or a residual block, lies on the way.
    """

    path: Path
    links: tuple[Link, ...]
    bottom: int
    log10_paths: float
    log10_delta: float
    normalised: bool
    skipped: bool


def question(row: int | None, path: Path, seed: int) -> Callable[[Trainer], Chain | None]:
    """What to ask the trainer: the chain down to the Dense layer that a row belongs to.

    Args:
        row: The selected row, None for the lowest layer; a layer without a kernel counts to the Dense layer below it.
        seed: Decides the path at random.
    """
    return lambda trainer: chain_of(trainer, row, path, seed)


def chain_of(trainer: Trainer, row: int | None, path: Path, seed: int) -> Chain | None:
    """The chain of a trainer's present weights over the first rows of its data; None without a Dense layer."""
    dense = [p.index for p in trainer.stack.layers if isinstance(p.layer, layers.Dense)]
    if not dense:
        return None
    below = [index for index in dense if row is not None and index <= row]
    bottom = below[-1] if below else dense[0]
    way = [index for index in dense if index >= bottom]
    x = trainer.dataset.x_train
    count = min(ROWS, trainer.plan.rows, len(x))
    targets = trainer.dataset.targets(trainer.stack.output_shape[0])[0]
    found = trainer.gradients(x[:count], targets[:count])
    between = [_between(trainer, found, a, b) for a, b in zip(way, [*way[1:], len(trainer.stack.layers)], strict=True)]
    kernels = [np.asarray(trainer.weight_matrix(index), np.float64) for index in way[1:]]
    deltas = [np.asarray(found.delta[index], np.float64) for index in way]
    kinds = {type(p.layer) for p in trainer.stack.layers[bottom:]}
    normalised = bool(kinds & {layers.BatchNormalization, layers.LayerNormalization})
    skipped = any(stop > bottom for _, stop in trainer.stack.residuals)
    widths = [math.prod(trainer.stack.layers[index].output_shape) for index in way]
    with np.errstate(all="ignore"):
        if path == "all":
            links = _together(way, kernels, deltas)
            ends = widths
            delta = _log10(_rms(deltas[0]))
        else:
            units = _units(path, kernels, between, deltas, np.random.default_rng(seed))
            top = float(deltas[-1][0, units[-1]])
            links = _along(way, units, kernels, between, top)
            ends = widths[1:-1]
            delta = _log10(abs(float(deltas[0][0, units[0]])))
    return Chain(
        path, links, bottom, float(sum(map(math.log10, ends))), delta, normalised=normalised, skipped=skipped
    )  # fmt: skip


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else math.nan


def _log10(value: float) -> float:
    if math.isnan(value):
        return math.nan
    return math.log10(value) if value > 0 else -math.inf


def _between(trainer: Trainer, found: Gradients, row: int, above: int) -> Floats:
    """What the error of each unit is multiplied by between a Dense layer's output and its pre-activation, (units,).

    For the first row of the data. Behind a normalisation only a unit's own share counts: gamma / deviation.
    """
    stack: Stack = trainer.stack
    factor = np.ones(math.prod(stack.layers[row].output_shape))
    for index in range(row, above):
        layer = stack.layers[index].layer
        before = np.asarray(found.pre_activations[index], np.float64)
        if isinstance(layer, layers.BatchNormalization | layers.LayerNormalization):
            entering = np.asarray(found.activations[index - 1], np.float64) if index else before
            axis = 0 if isinstance(layer, layers.BatchNormalization) else 1
            deviation = np.sqrt(entering.var(axis=axis) + layer.epsilon)
            gamma = trainer.weight_matrix(index)
            own = deviation if axis == 0 else deviation[0]
            factor = factor * (1.0 if gamma is None else np.asarray(gamma, np.float64)) / own
        elif isinstance(layer, layers.PReLU):
            alpha = np.asarray(trainer.weight_matrix(index), np.float64).reshape(-1)
            factor = factor * np.where(before[0] > 0, 1.0, alpha)
        elif isinstance(layer, layers.Dropout):
            after = np.asarray(found.activations[index], np.float64)
            factor = factor * np.where(before[0] != 0, after[0] / np.where(before[0] != 0, before[0], 1.0), 1.0)
        else:
            activation = layer.applied()
            if activation is not None and not activation.rowwise:
                # From value and output, as the engine does: an activation that needs the output only works in place.
                after = np.asarray(found.activations[index], np.float64)
                slope = type(activation).derivative(before[0], after[0], *activation.parameters())
                factor = factor * np.asarray(slope, np.float64)
    return factor


def _units(
    path: Path, kernels: Sequence[Floats], between: Sequence[Floats], deltas: Sequence[Floats], rng: Any
) -> list[int]:
    """One unit a layer, the lowest first: at each layer the one with the largest factor, or any."""
    if path == "random":
        return [int(rng.integers(len(slopes))) for slopes in between]
    units = [int(np.argmax(np.abs(np.nan_to_num(deltas[-1][0]))))]
    for kernel, slopes in zip(kernels[::-1], between[-2::-1], strict=True):
        sizes = np.abs(kernel[:, units[0]] * slopes)
        units.insert(0, int(np.argmax(np.nan_to_num(sizes, nan=0.0))))
    return units


def _along(
    way: Sequence[int], units: Sequence[int], kernels: Sequence[Floats], between: Sequence[Floats], top: float
) -> tuple[Link, ...]:
    # What arrives at the top is dL/dz of its unit: its own slope is in it already, as softmax has none of its own.
    slopes = [*between[:-1], np.ones_like(between[-1])]
    factors: tuple[Factor, ...] = chain_rule(units, kernels, slopes, top)
    links = []
    for factor in factors:
        if factor.kind == "slope" and factor.layer == len(way) - 1:
            continue
        if factor.kind == "weight":
            links.append(
                Link("weight", way[factor.layer + 1], factor.value, factor.log10, factor.unit, factor.upper)
            )  # fmt: skip
        else:
            kind: Literal["gradient", "slope"] = "gradient" if factor.kind == "gradient" else "slope"
            links.append(Link(kind, way[factor.layer], factor.value, factor.log10, factor.unit))
    return tuple(links)


def _together(way: Sequence[int], kernels: Sequence[Floats], deltas: Sequence[Floats]) -> tuple[Link, ...]:
    """RMS over units and rows: W transposed changes that of delta, then phi' (and what else stands between)."""
    log10 = _log10(_rms(deltas[-1]))
    links = [Link("gradient", way[-1], _rms(deltas[-1]), log10)]
    for place in range(len(way) - 2, -1, -1):
        upper, lower = deltas[place + 1], deltas[place]
        carried = _rms(upper @ kernels[place].T)
        for kind, row, size, before in (
            ("weight", way[place + 1], carried, _rms(upper)), ("slope", way[place], _rms(lower), carried),
        ):  # fmt: skip
            value = size / before if before > 0 else math.nan if math.isnan(before) else 0.0
            log10 = _log10(size)
            links.append(Link(kind, row, value, log10))  # type: ignore[arg-type]
    return tuple(links)

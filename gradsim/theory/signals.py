"""What travels through a stack in mean field: values upwards, gradients downwards, and the chance in both."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from gradsim.nn import initializers
from gradsim.nn.initializers import Initializer
from gradsim.theory.expectations import Curve

Floats = NDArray[np.float64]

LARGEST = 1e300
"""A mean square above it counts as overflow."""


@dataclass(frozen=True)
class Inputs:
    """What theory needs to know of the rows that enter a stack.

    Attributes:
        square: Mean square of the values.
        product: Mean product of the same value in two different rows.
        mean: Mean of the values.
        likeness: Mean squared correlation of two rows; None is that of white noise around ``product``.
        alignment: Covariance, over pairs of rows, of the mean product of their values and that of their targets: how
            much rows that are to give the same are alike already.
        variances: Variance of each feature over the rows, or None; a BatchNormalization right on the data needs them.
    """

    square: float = 1.0
    product: float = 0.0
    mean: float = 0.0
    likeness: float | None = None
    alignment: float = 0.0
    variances: tuple[float, ...] | None = None

    @classmethod
    def of(cls, x: NDArray[Any], y: NDArray[Any] | None = None) -> Inputs:
        """The statistics of an array (rows, ...), and with the targets (rows, outputs) their alignment.

        What goes over pairs of rows takes 256 of the rows.
        """
        rows = np.asarray(x, np.float64).reshape(len(x), -1)
        square = float(np.mean(rows * rows))
        few = slice(None, None, max(1, len(rows) // 256))
        gram = rows[few] @ rows[few].T / rows.shape[1]
        aims = None if y is None else np.asarray(y, np.float64).reshape(len(y), -1)[few]
        return cls(
            square,
            _product(rows, square),
            float(rows.mean()),
            _likeness(gram),
            0.0 if aims is None else _alignment(gram, aims @ aims.T / aims.shape[1]),
            tuple(rows.var(axis=0).tolist()),
        )


@dataclass(frozen=True)
class Targets:
    """What theory needs to know of the targets, for the size of the gradient at the top.

    Attributes:
        square: Mean square of the values (for one-hot rows of C classes 1/C).
        product: Mean product of the same value in two different rows.
        mean: Mean of the values.
    """

    square: float
    product: float
    mean: float

    @classmethod
    def of(cls, y: NDArray[Any]) -> Targets:
        """The statistics of an array (rows, outputs) or (rows,)."""
        rows = np.asarray(y, np.float64).reshape(len(y), -1)
        square = float(np.mean(rows * rows))
        return cls(square, _product(rows, square), float(rows.mean()))


def _likeness(gram: Floats) -> float | None:
    """Mean squared correlation of two different rows, large rows counting more."""
    count, own = len(gram), np.diag(gram)
    apart = float(own.sum() ** 2 - np.sum(own**2))
    return float(np.sum(gram**2) - np.sum(own**2)) / apart if count > 1 and apart > 0 else None


def _alignment(gram: Floats, aims: Floats) -> float:
    """Covariance over the pairs of different rows of two matrices of products."""
    pairs = ~np.eye(len(gram), dtype=bool)
    if len(gram) < 2:
        return 0.0
    first, second = gram[pairs], aims[pairs]
    return float(np.mean((first - first.mean()) * (second - second.mean())))


def _product(rows: Floats, square: float) -> float:
    if len(rows) < 2:
        return square
    together = float(np.mean(rows.mean(axis=0) ** 2))
    return (len(rows) * together - square) / (len(rows) - 1)


T = TypeVar("T")


def replace(value: T, **changes: Any) -> T:
    """A frozen dataclass (without slots or ``__post_init__``) with some fields changed.

    Ten times as fast as ``dataclasses.replace``, which would otherwise be half the time of a prediction.
    """
    made = object.__new__(type(value))
    made.__dict__.update(value.__dict__, **changes)
    return made


class Chain:
    """The layers since the size of the signal was last pinned (by the data or a normalisation).

    Attributes:
        sized: Rows with an activation whose slope depends on that size.
        unstable: True if chance deviations of the size grow along them.
    """

    def __init__(self) -> None:
        self.sized: list[int] = []
        self.unstable = False


Kind = Literal["normal", "sphere", "values", "data", "sum"]


@dataclass(frozen=True)
class Signal:
    """The values at one place of the stack, over the units of the layer.

    Attributes:
        mean: Mean over units and rows.
        square: Mean square.
        product: Mean product of one unit's values for two rows; NaN if unknown.
        kind: "normal" over the units; "sphere" behind a BatchNormalization of normal values; "values" and "data" of
            any other distribution; "sum" behind a residual block whose skip wasn't normal.
        units: How many units.
        deviation: Sensitivity of ``ln square`` (of the variance underneath, for "normal") to each source of chance,
            (2, sources): of one row, and of the part that two rows have in common.
        sampling: Relative deviations (of one row, common) that the mean square over this many units adds, not yet in
            ``deviation``.
        place: Number of the source of ``sampling``.
        drift: Mean of the deviation of one row's ``ln square``, to first order in what makes it.
        stream: Behind residual blocks, the source of what the slopes of the same units have in common in the next
            block, as a vector of length 1; None elsewhere.
        wobble: Variance of the correlation of two rows from pair to pair.
        turned: How much of the data's differences in correlation is left in this signal's.
        gain: ``d ln square / d ln square`` at the last pin.
        source: The curve, mean, variance and correlation that "values" come from.
        scale, rows: Of a "sphere".
        unknown: Name of the layer because of which theory can't tell, or "". An unknown signal of the kind "normal"
            is normal with an unknown variance.
    """

    mean: float
    square: float
    product: float
    kind: Kind
    units: int
    deviation: Floats
    sampling: tuple[float, float] = (0.0, 0.0)
    place: int = 0
    drift: float = 0.0
    stream: Floats | None = None
    wobble: float = 0.0
    turned: float = 0.0
    gain: float = 1.0
    chain: Chain = field(default_factory=Chain)
    source: tuple[Curve, float, float, float] | None = None
    scale: float = 1.0
    rows: int = 0
    unknown: str = ""

    @property
    def variance(self) -> float:
        """Variance over units, the mean of a bias left out."""
        return max(0.0, self.square - self.mean**2)

    @property
    def correlation(self) -> float:
        """Correlation of two rows over the units."""
        if self.variance == 0:
            return 1.0
        return (self.product - self.mean**2) / self.variance

    @property
    def spread(self) -> float:
        """Mean variance of a unit over the rows; NaN if unknown."""
        return max(0.0, self.square - self.product) if not math.isnan(self.product) else math.nan

    def measured(self) -> Floats:
        """Sensitivity of the mean square as it is over this layer's units."""
        if self.sampling[0] == 0:
            return self.deviation
        whole = self.deviation.copy()
        whole[:, self.place] += self.sampling
        return whole

    @property
    def measured_drift(self) -> float:
        """Mean of the deviation that :meth:`measured` is the spread of."""
        return self.drift - self.sampling[0] ** 2 / 2

    @property
    def likeness(self) -> float:
        """Mean squared correlation of two rows' values as they are over this layer's units; NaN if unknown."""
        if self.square == 0:
            return 1.0
        c = self.product / self.square
        return min(1.0, c * c + self.wobble + (spread_of(c, self.units) if self.sampling[0] else 0.0))

    def scaled(self, factor: float) -> Signal:
        """All values times a factor."""
        return replace(
            self,
            mean=self.mean * factor,
            square=self.square * factor**2,
            product=self.product * factor**2,
            kind="values" if self.kind == "sphere" and factor != 1 else self.kind,
            source=None if factor != 1 else self.source,
        )


@dataclass(frozen=True)
class Cotangent:
    """The gradient at one place of the stack.

    Attributes:
        level: ``ln`` of the mean square of an entry; -inf for exactly 0, NaN for unknown.
        correlation: Mean product of one unit's gradients for two rows over the mean square; NaN if unknown.
        likeness: Mean squared correlation of two rows' gradients.
        deviation: Sensitivity of ``level`` to each source of chance in the values, as in :class:`Signal`.
        rows: Rows of the batch.
        alone: Variance of one row's ``level`` from what has nothing to do with the size of the values.
        common: The part of it that two rows have in common.
        shift: Mean of the deviation of one row's ``level`` that goes with the values.
        aligned: Covariance, over pairs of rows, of their correlation and that of the rows' data.
        unsure: Variance of ``correlation`` from network to network.
        told: False where ``level`` is only the middle of a band, because a layer on the way has a reason.
        banded: False where the spread is unknown.
        blame: Name of the layer because of which it isn't told.
    """

    level: float
    correlation: float
    likeness: float
    deviation: Floats
    rows: int = 1
    alone: float = 0.0
    common: float = 0.0
    shift: float = 0.0
    aligned: float = 0.0
    unsure: float = 0.0
    told: bool = True
    banded: bool = True
    blame: str = ""

    def chance(self, values: Signal | None = None) -> tuple[float, float]:
        """Mean and variance of the deviation of ``level`` over the batch, NaN if unknown.

        Rows differ like networks do; the batch's mean square is the mean over them of an exponential.

        Args:
            values: A signal whose deviation is to be added.
        """
        if not self.banded:
            return math.nan, math.nan
        deviation, shift = self.deviation, self.shift
        if values is not None:
            deviation, shift = deviation + values.measured(), shift + values.measured_drift
        single, common = (float(part) for part in np.einsum("ij,ij->i", deviation, deviation))
        single, common = single + self.alone, common + self.common
        own = max(0.0, single - common) if self.rows > 1 else 0.0
        common = single - own
        if own < 0.1:
            mean, variance = -own / self.rows / 2, own / self.rows
        else:
            means, variances = _of_mean(min(self.rows, 256))
            mean, variance = float(np.interp(own, OWN, means)), float(np.interp(own, OWN, variances))
        return shift - self.alone / 2 + own / 2 + mean, common + variance

    def noisier(self, single: float, pair: float) -> Cotangent:
        """With chance of its own added: the variance of one row's ``level`` and the covariance of two."""
        single = max(0.0, single)
        pair = single if math.isnan(pair) else max(0.0, min(single, pair))
        return replace(self, alone=self.alone + single, common=self.common + pair)

    def times(self, factor: float) -> Cotangent:
        """The mean square times a factor >= 0."""
        return replace(self, level=self.level + log(factor))


OWN = np.concatenate([[0.0], np.geomspace(0.05, 60, 28)])


@functools.lru_cache(maxsize=16)
def _of_mean(rows: int) -> tuple[Floats, Floats]:
    """Mean and variance of ``ln mean_a exp(g_a)``, ``g_a ~ N(-v/2, v)`` independent, for each variance v in ``OWN``.

    A mean of lognormal sizes has no closed form: 256 draws of a fixed seed.
    """
    draws = np.random.default_rng(23).standard_normal((256, rows))
    logs = np.array([np.log(np.mean(np.exp(math.sqrt(v) * draws - v / 2), axis=1)) for v in OWN])
    return logs.mean(axis=1), logs.var(axis=1)


def log(x: float) -> float:
    """The natural logarithm, -inf at 0."""
    if math.isnan(x):
        return math.nan
    return math.log(x) if x > 0 else -math.inf


def spread_of(correlation: float, units: int) -> float:
    """Variance of the correlation of two normal vectors of so many units."""
    return (1 - min(1.0, correlation * correlation)) ** 2 / units


def distribution(initializer: Initializer, fan_in: int, fan_out: int) -> tuple[float, float] | None:
    """Mean and variance of an initializer's entries; None for a matrix with a structure of its own."""
    match initializer:
        case initializers.Zeros():
            return 0.0, 0.0
        case initializers.Ones():
            return 1.0, 0.0
        case initializers.Constant():
            return initializer.value, 0.0
        case initializers.RandomNormal():
            return initializer.mean, initializer.stddev**2
        case initializers.TruncatedNormal():
            return initializer.mean, (initializer.stddev * initializers.TRUNCATED_SD) ** 2
        case initializers.RandomUniform():
            low, high = initializer.minval, initializer.maxval
            return (low + high) / 2, (high - low) ** 2 / 12
    variance = initializer.variance(fan_in, fan_out)
    return None if variance is None else (0.0, variance)


@dataclass(frozen=True)
class Block:
    """A residual block as a node of the tree of rows."""

    start: int
    stop: int
    children: tuple[Node, ...]


Node = int | Block


def tree(count: int, residuals: Sequence[tuple[int, int]]) -> tuple[Node, ...]:
    """The rows of a stack with its residual blocks (outer ones first) as nodes."""
    spans = list(reversed(residuals))

    def build(start: int, stop: int) -> tuple[Node, ...]:
        nodes: list[Node] = []
        row = start
        while row < stop:
            if spans and spans[-1][0] == row:
                first, last = spans.pop()
                nodes.append(Block(first, last, build(first, last)))
                row = last
            else:
                nodes.append(row)
                row += 1
        return tuple(nodes)

    return build(0, count)

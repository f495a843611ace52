"""The chain rule along one path through the units of a network, factor by factor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Factor:
    """One factor on the way down.

    Attributes:
        kind: "gradient": dL/da of the top unit; "slope": phi'(z) of a unit; "weight": from a unit to the one above;
            "input": the value that the lowest weight multiplies.
        layer: Index in the path, 0 for the lowest layer.
        unit: The unit whose slope, gradient or input it is; for a weight the lower one.
        upper: For a weight the unit above, else None.
        value: The factor itself.
        log10: log10 of the absolute product of all factors down to this one; -inf once one is exactly 0.
        sign: Sign of that product: 1, -1, 0, or NaN.
    """

    kind: Literal["gradient", "slope", "weight", "input"]
    layer: int
    unit: int
    upper: int | None
    value: float
    log10: float
    sign: float

    @property
    def running(self) -> float:
        """The product down to this factor; 0 or infinite where float64 can't hold it, unlike ``log10``."""
        if self.log10 > 308:
            return math.copysign(math.inf, self.sign)
        return self.sign * 10**self.log10 if self.log10 > -math.inf else self.sign * 0.0


def chain_rule(
    path: Sequence[int],
    kernels: Sequence[Array],
    slopes: Sequence[Array],
    gradient: float = 1.0,
    value: tuple[int, float] | None = None,
) -> tuple[Factor, ...]:
    """The product ``dL/da * phi'(z_top) * w * phi'(z) * w * ...`` along one path, with the running product.

    The sum of it over all paths that end in a unit is that unit's delta (Rumelhart et al. 1986).

    Args:
        path: One unit per layer, lowest layer first.
        kernels: Between each layer of the path and the next one, (units, units of the next layer).
        slopes: phi'(z) of each layer of the path for one row, (units,).
        gradient: dL/da of the top unit.
        value: ``(index, value)`` of the input of the lowest layer, to go on to the gradient of that weight.

    Returns:
        The factors from the top down: the last one's product is dL/dz of the lowest unit along the path, or with
        ``value`` dL/dw of its weight.

    Raises:
        ValueError: if the arrays don't fit the path.
    """
    _check(path, kernels, slopes)
    factors: list[Factor] = []
    log10, sign = 0.0, 1.0

    def add(kind: Literal["gradient", "slope", "weight", "input"], layer: int, unit: int, value: float) -> None:
        nonlocal log10, sign
        log10 += math.nan if math.isnan(value) else math.log10(abs(value)) if value else -math.inf
        sign *= float(np.sign(value))
        upper = path[layer + 1] if kind == "weight" else None
        factors.append(Factor(kind, layer, unit, upper, value, log10, sign))

    top = len(path) - 1
    add("gradient", top, path[top], float(gradient))
    for layer in range(top, -1, -1):
        add("slope", layer, path[layer], float(slopes[layer][path[layer]]))
        if layer:
            add("weight", layer - 1, path[layer - 1], float(kernels[layer - 1][path[layer - 1], path[layer]]))
    if value is not None:
        add("input", 0, value[0], float(value[1]))
    return tuple(factors)


def _check(path: Sequence[int], kernels: Sequence[Array], slopes: Sequence[Array]) -> None:
    if not path:
        raise ValueError("path must name a unit of at least one layer, received none")
    if len(slopes) != len(path) or len(kernels) != len(path) - 1:
        raise ValueError(
            f"a path through {len(path)} layers needs {len(path)} arrays of slopes and {len(path) - 1} kernels, "
            f"received {len(slopes)} and {len(kernels)}"
        )
    for layer, (unit, slope) in enumerate(zip(path, slopes, strict=True)):
        if slope.ndim != 1:
            raise ValueError(f"slopes[{layer}] must be the row of one sample, (units,), received {slope.shape}")
        if not 0 <= unit < len(slope):
            raise ValueError(f"path[{layer}] must be from 0 to {len(slope) - 1}, received {unit}")
    for layer, kernel in enumerate(kernels):
        wanted = (len(slopes[layer]), len(slopes[layer + 1]))
        if kernel.shape != wanted:
            raise ValueError(f"kernels[{layer}] must have the shape {wanted}, received {kernel.shape}")

"""From a value to a colour class: one index of 256, the same for the window, the terminal and a picture.

Indices 0 to 248 are the colour scale with its healthy middle at 124; seven more stand for what is no point
of any scale. Whoever paints looks the index up in :func:`gradsim.telemetry.palette.table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradsim.telemetry.quantities import Quantity, Thresholds

Classes = NDArray[np.uint8]

LEVELS = 249
"""Indices 0 .. LEVELS - 1 are the colour scale."""
MIDDLE = 124
"""Index of the neutral value on a diverging scale; on a sequential one it is index 0."""
VANISHING_LAST = 49
"""On a diverging scale with a threshold, indices up to this one are vanishing."""
EXPLODING_FIRST = LEVELS - 1 - VANISHING_LAST
"""On a diverging scale with a threshold, indices from this one on are exploding."""
SMALLEST_NORMAL = 1.1754944e-38
"""Below it float32 has only subnormal numbers, and soon none (IEEE 754 binary32, 2**-126)."""


class Special(IntEnum):
    """The indices that are no point of the scale."""

    EMPTY = 249
    """No step is recorded here."""
    ZERO = 250
    """Exactly zero, on a log scale."""
    SUBNORMAL = 251
    """Not zero, but below float32's smallest normal number."""
    INFINITE = 252
    NAN = 253
    NONE = 254
    """The layer has no such quantity."""
    FROZEN = 255
    """The layer does not learn, because it was told so."""


class State(StrEnum):
    """What a value says about a layer. The text is what a user reads."""

    VANISHING = "vanishing"
    HEALTHY = "healthy"
    EXPLODING = "exploding"
    ZERO = "zero"
    SUBNORMAL = "subnormal"
    INFINITE = "Inf"
    NAN = "NaN"
    FROZEN = "frozen"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Mark:
    """How a state is shown beside its colour, and what it means."""

    glyph: str
    help: str
    index: int
    """An index of a diverging table whose colour stands for the state."""


MARKS: Mapping[State, Mark] = {
    State.VANISHING: Mark("▼", "so small that the layer hardly learns", VANISHING_LAST // 2),
    State.HEALTHY: Mark("●", "of a size from which the layer learns", MIDDLE),
    State.EXPLODING: Mark("▲", "so large that a step destroys what was learned", LEVELS - 1 - VANISHING_LAST // 2),
    State.ZERO: Mark("0", "exactly zero: nothing arrives", Special.ZERO),
    State.SUBNORMAL: Mark("·", "below float32's smallest normal number, 1.2e-38", Special.SUBNORMAL),
    State.INFINITE: Mark("∞", "too large for the number format", Special.INFINITE),
    State.NAN: Mark("×", "not a number", Special.NAN),
    State.FROZEN: Mark("=", "kept as it is: the layer is not trainable", Special.FROZEN),
    State.NONE: Mark(" ", "the layer has no such quantity", Special.NONE),
}

_SPECIAL_STATES: Mapping[int, State] = {
    Special.EMPTY: State.NONE,
    Special.ZERO: State.ZERO,
    Special.SUBNORMAL: State.SUBNORMAL,
    Special.INFINITE: State.INFINITE,
    Special.NAN: State.NAN,
    Special.NONE: State.NONE,
    Special.FROZEN: State.FROZEN,
}


def classify(
    quantity: Quantity,
    value: ArrayLike,
    *,
    nan: ArrayLike = False,
    inf: ArrayLike = False,
    frozen: ArrayLike = False,
    recorded: ArrayLike = True,
    thresholds: Thresholds | None = None,
) -> Classes:
    """Colour index of each value, uint8 of ``value``'s shape.

    ``nan`` and ``inf`` tell where the array that ``value`` summarises held such entries (they win over the
    finite rest), ``frozen`` where the layer is not trainable, ``recorded`` where there is a step at all;
    each is broadcast against ``value``. A NaN value without ``nan`` is a quantity that the layer does not
    have. On a log scale the size counts, not the sign.

    A diverging log scale is linear in log10 between its fixed points ``low``, ``vanishing``, ``neutral``,
    ``exploding`` and ``high``; nothing is ever fitted to the data.

    Raises ValueError for thresholds that a log scale can not have.
    """
    limits = thresholds or quantity.thresholds
    values: NDArray[np.float64] = np.asarray(value, dtype=np.float64)
    log = quantity.scale == "log"
    if log and limits.low <= 0:
        raise ValueError(f"thresholds of {quantity.key}: allowed on a log scale is low > 0; received low={limits.low}")
    with np.errstate(all="ignore"):
        x = np.abs(values) if log else values
        if quantity.colours == "sequential":
            level = _sequential(x, limits, log)
        else:
            level = _diverging(x, limits, log)
    result = np.where(np.isfinite(level), level, 0).astype(np.uint8)
    if log:
        result[x < SMALLEST_NORMAL] = Special.SUBNORMAL
        result[x == 0] = Special.ZERO
    result[np.isnan(values)] = Special.NONE
    if quantity.learns:
        still = (np.isnan(values) | (values == 0)) & np.asarray(frozen, np.bool_)
        result[still] = Special.FROZEN
    result[np.isinf(values) | np.broadcast_to(np.asarray(inf, np.bool_), values.shape)] = Special.INFINITE
    result[np.broadcast_to(np.asarray(nan, np.bool_), values.shape)] = Special.NAN
    result[~np.broadcast_to(np.asarray(recorded, np.bool_), values.shape)] = Special.EMPTY
    return result


def states(quantity: Quantity, classes: ArrayLike, thresholds: Thresholds | None = None) -> NDArray[np.object_]:
    """The :class:`State` of each colour index from :func:`classify`, given the same thresholds."""
    limits = thresholds or quantity.thresholds
    names = np.full(256, State.HEALTHY, dtype=np.object_)
    if quantity.colours == "diverging":
        if limits.vanishing is not None:
            names[: VANISHING_LAST + 1] = State.VANISHING
        if limits.exploding is not None:
            names[EXPLODING_FIRST:LEVELS] = State.EXPLODING
    for index, name in _SPECIAL_STATES.items():
        names[index] = name
    return np.asarray(names[np.asarray(classes, dtype=np.uint8)], dtype=np.object_)


def state(
    quantity: Quantity,
    value: float,
    *,
    nan: bool = False,
    inf: bool = False,
    frozen: bool = False,
    thresholds: Thresholds | None = None,
) -> State:
    """The state of one value; parameters as in :func:`classify`."""
    index = classify(quantity, np.array([value]), nan=nan, inf=inf, frozen=frozen, thresholds=thresholds)
    result: State = states(quantity, index, thresholds)[0]
    return result


def value_at(quantity: Quantity, index: float, thresholds: Thresholds | None = None) -> float:
    """The value at which the scale has colour ``index`` (0 to 248): what a colour bar writes beside it."""
    limits = thresholds or quantity.thresholds
    if quantity.colours == "sequential":
        end = limits.high if limits.high - limits.neutral >= limits.neutral - limits.low else limits.low
        points, values = [0.0, LEVELS - 1.0], [limits.neutral, end]
    else:
        points, values = [float(MIDDLE)], [limits.neutral]
        if limits.exploding is not None:
            points, values = [*points, EXPLODING_FIRST - 0.5], [*values, limits.exploding]
        points, values = [*points, LEVELS - 1.0], [*values, limits.high]
        if limits.vanishing is not None:
            points, values = [VANISHING_LAST + 0.5, *points], [limits.vanishing, *values]
        points, values = [0.0, *points], [limits.low, *values]
    if quantity.scale == "log":
        return float(10.0 ** np.interp(index, points, np.log10(values)))
    return float(np.interp(index, points, values))


def _share(x: NDArray[np.float64], a: float, b: float, log: bool) -> NDArray[np.float64]:
    """How far ``x`` lies on the way from ``a`` to ``b``, 0 to 1."""
    if log:
        x, a, b = np.log10(x), float(np.log10(a)), float(np.log10(b))
    if a == b:
        return np.where(x == a, 0.0, 1.0)
    share: NDArray[np.float64] = np.clip((x - a) / (b - a), 0.0, 1.0)
    return share


def _sequential(x: NDArray[np.float64], limits: Thresholds, log: bool) -> NDArray[np.float64]:
    up = _share(x, limits.neutral, limits.high, log) if limits.high > limits.neutral else np.zeros_like(x)
    down = _share(x, limits.neutral, limits.low, log) if limits.low < limits.neutral else np.zeros_like(x)
    level: NDArray[np.float64] = np.rint(np.maximum(up, down) * (LEVELS - 1))
    return level


def _arm(
    x: NDArray[np.float64],
    neutral: float,
    threshold: float | None,
    end: float,
    beyond: NDArray[np.bool_],
    log: bool,
) -> NDArray[np.float64]:
    """Distance from the middle index on one side, 0 to MIDDLE."""
    if threshold is None:
        return np.rint(_share(x, neutral, end, log) * MIDDLE)
    healthy = MIDDLE - VANISHING_LAST - 1
    inner = np.rint(_share(x, neutral, threshold, log) * healthy)
    outer = healthy + 1 + np.rint(_share(x, threshold, end, log) * VANISHING_LAST)
    # Decided by the value itself and not by rounding, so that colour and state never disagree about a
    # threshold.
    return np.where(beyond, outer, np.minimum(inner, healthy))


def _diverging(x: NDArray[np.float64], limits: Thresholds, log: bool) -> NDArray[np.float64]:
    low = limits.vanishing if limits.vanishing is not None else -np.inf
    high = limits.exploding if limits.exploding is not None else np.inf
    below = _arm(x, limits.neutral, limits.vanishing, limits.low, x < low, log)
    above = _arm(x, limits.neutral, limits.exploding, limits.high, x > high, log)
    return np.where(x < limits.neutral, MIDDLE - below, MIDDLE + above)

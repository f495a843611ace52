"""Expectations of an activation over the pre-activations that mean field predicts.

In a wide layer the pre-activations ``u_a, u_b`` of one unit for two rows of the batch are jointly normal (Poole et
al. 2016); behind a BatchNormalization, the values of one unit over the batch are uniform on the sphere that
is left when mean and deviation are taken out (Yang et al. 2019). :func:`normal` and :func:`sphere` give what
the recursions need of an activation under either.

Integrals are Gauss-Legendre on panels that meet at the activation's kink at 0 and shrink around it where the
activation bends within a small part of the distribution, so that kinks and saturated units cost no accuracy.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradsim.nn import activations
from gradsim.nn.activations import Activation

Floats = NDArray[np.float64]

REACH = 8.5
"""Deviations from the mean up to which one value is integrated: beyond lies 2e-17."""
PAIR_REACH = 7.0
"""The same for pairs: 3e-12."""
NODES = 28
PAIR_NODES = 16
# Distances from the kink, in pre-activation units, where panels end: saturating curves bend within the first.
EDGES = (1.5, 6.0, 30.0)


@dataclass(frozen=True)
class Curve:
    """An elementwise activation as theory needs it.

    Attributes:
        activation: Formula and slope; None for a piecewise linear curve.
        negative_slope: Slope below 0 of a curve that has slope 1 above; None for any other curve.
    """

    activation: Activation | None
    negative_slope: float | None = None

    @classmethod
    def of(cls, activation: Activation) -> Curve:
        """The curve of a definition; piecewise linear ones are recognised."""
        match activation:
            case activations.Linear():
                return LINEAR
            case activations.ReLU():
                return cls(None, 0.0)
            case activations.LeakyReLU():
                return cls(None, activation.negative_slope)
        return cls(activation)

    def __call__(self, x: Floats) -> tuple[Floats, Floats]:
        """Value and slope."""
        if self.activation is None:
            assert self.negative_slope is not None
            slope = np.where(x > 0, 1.0, self.negative_slope)
            return x * slope, slope
        kind, parameters = type(self.activation), self.activation.parameters()
        y: Any = kind.forward(x, *parameters)
        return np.asarray(y, np.float64), np.asarray(kind.derivative(x, y, *parameters), np.float64)


LINEAR = Curve(None, 1.0)


@dataclass(frozen=True, slots=True)
class Moments:
    """What the recursions need of a curve ``phi``; ``a`` and ``b`` are two different rows of the batch.

    ``*_excess`` are relative variances: ``E[f^2] / E[f]^2 - 1`` with ``f`` = phi^2 ("value"), phi'^2 ("slope"), or
    ``E[phi^2 phi'^2] / (E[phi^2] E[phi'^2]) - 1`` ("cross"); with ``_pair`` the two factors belong to two rows.

    Attributes:
        mean: ``E[phi]``.
        square: ``E[phi^2]``.
        product: ``E[phi_a phi_b]``; NaN where the covariance of the rows is unknown, like everything with pairs.
        slope_square: ``E[phi'^2]``.
        slope_product: ``E[phi'_a phi'_b]``.
        value_response: ``d ln E[phi^2] / d ln v``, v the variance of the pre-activation.
        slope_response: ``d ln E[phi'^2] / d ln v``.
        bent: ``E[phi'^2 y^2]``, y the pre-activation, for :func:`sphere` only.
        bent_product: ``E[phi'_a phi'_b y_a y_b]``, for :func:`sphere` only.
    """

    mean: float
    square: float
    product: float
    slope_square: float
    slope_product: float
    value_excess: float = 0.0
    value_excess_pair: float = 0.0
    slope_excess: float = 0.0
    slope_excess_pair: float = 0.0
    cross_excess: float = 0.0
    cross_excess_pair: float = 0.0
    value_response: float = 0.0
    slope_response: float = 0.0
    bent: float = math.nan
    bent_product: float = math.nan


@functools.lru_cache(maxsize=8192)
def normal(curve: Curve, mean: float, variance: float, correlation: float) -> Moments:
    """Moments for ``u = mean + sqrt(variance) z``, where two rows have the correlation given (NaN: unknown).

    Zero variance gives the values at the mean exactly, so that a stack of zeros gives exact zeros.
    """
    if variance == 0:
        at_mean, slope_there = (float(part[0]) for part in curve(np.array([mean])))
        square, slope_square = at_mean**2, slope_there**2
        return Moments(at_mean, square, square, slope_square, slope_square)
    if curve.negative_slope is not None and mean == 0:
        return _piecewise(curve.negative_slope, variance, correlation)
    deviation = math.sqrt(variance)
    z, w = _line(mean / deviation, 1 / deviation)
    y, slope = curve(mean + deviation * z)
    first = float(w @ y)
    # Squares of squares are formed of values near 1, so that nothing overflows before the activations do.
    square, slope_square = float(w @ (y * y)), float(w @ (slope * slope))
    value = y * y / square if square > 0 else np.zeros_like(y)
    bend = slope * slope / slope_square if slope_square > 0 else np.zeros_like(y)
    # Stein's lemma: d/dv E[f(sqrt(v) z)] = E[f (z^2 - 1)] / 2v, which needs no derivative of f.
    hermite = w * (z * z - 1) / 2
    single = {
        "value_excess": float(w @ (value * value)) - 1 if square > 0 else 0.0,
        "slope_excess": float(w @ (bend * bend)) - 1 if slope_square > 0 else 0.0,
        "cross_excess": float(w @ (value * bend)) - 1 if square > 0 and slope_square > 0 else 0.0,
        "value_response": float(hermite @ value),
        "slope_response": float(hermite @ bend),
    }
    product, slope_product, value_pair, slope_pair, cross_pair = _pair(
        curve, mean, deviation, correlation, math.sqrt(square) or 1.0, math.sqrt(slope_square) or 1.0
    )
    return Moments(
        first, square, product, slope_square, slope_product,
        value_excess_pair=value_pair - 1 if square > 0 else 0.0,
        slope_excess_pair=slope_pair - 1 if slope_square > 0 else 0.0,
        cross_excess_pair=cross_pair - 1 if square > 0 and slope_square > 0 else 0.0,
        **single,
    )  # fmt: skip


def _piecewise(low: float, variance: float, correlation: float) -> Moments:
    """Closed forms for slope ``low`` below 0 and 1 above: arc-cosine kernels (Cho & Saul 2009)."""
    even = (1 + low * low) / 2
    fourth = (1 + low**4) / 2
    c = max(-1.0, min(1.0, correlation)) if not math.isnan(correlation) else math.nan

    def zeroth(c: float) -> float:
        return (math.pi - math.acos(c)) / (2 * math.pi)

    def first(c: float) -> float:
        return (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / (2 * math.pi)

    def mixed(c: float) -> float:
        return (math.pi - math.acos(c) + math.sqrt(1 - c * c) * c) / (2 * math.pi)

    def second(c: float) -> float:
        return (3 * math.sqrt(1 - c * c) * c + (math.pi - math.acos(c)) * (1 + 2 * c * c)) / (2 * math.pi)

    if math.isnan(c):
        product = slope_product = value_pair = slope_pair = cross_pair = math.nan
    else:
        product = variance * ((1 + low * low) * first(c) - 2 * low * first(-c))
        slope_product = (1 + low * low) * zeroth(c) + 2 * low * zeroth(-c)
        value_pair = ((1 + low**4) * second(c) + 2 * low**2 * second(-c)) / even**2
        slope_pair = ((1 + low**4) * zeroth(c) + 2 * low**2 * zeroth(-c)) / even**2
        cross_pair = ((1 + low**4) * mixed(c) + 2 * low**2 * mixed(-c)) / even**2
    return Moments(
        mean=(1 - low) * math.sqrt(variance / (2 * math.pi)),
        square=variance * even,
        product=product,
        slope_square=even,
        slope_product=slope_product,
        value_excess=3 * fourth / even**2 - 1,
        value_excess_pair=value_pair - 1,
        slope_excess=fourth / even**2 - 1,
        slope_excess_pair=slope_pair - 1,
        cross_excess=fourth / even**2 - 1,
        cross_excess_pair=cross_pair - 1,
        value_response=1.0,
        slope_response=0.0,
    )


def _pair(
    curve: Curve, mean: float, deviation: float, correlation: float, value_unit: float, slope_unit: float
) -> tuple[float, float, float, float, float]:
    """``E[phi_a phi_b], E[phi'_a phi'_b]`` and the pair moments of squares over their units.

    ``u_a = common t + own e_a`` and ``u_b = +-common t + own e_b`` are independent once t is given, so each pair
    moment is one outer integral over t of a product of inner ones.
    """
    if math.isnan(correlation):
        return (math.nan,) * 5
    c = max(-1.0, min(1.0, correlation))
    common, own = deviation * math.sqrt(abs(c)), deviation * math.sqrt(1 - abs(c))
    if common < 1e-9 * deviation:
        t, wt = np.zeros(1), np.ones(1)
    else:
        t, wt = _line(mean / common, 1 / common, PAIR_REACH, PAIR_NODES)
    centre = mean + common * t
    if own < 1e-7 * deviation:
        e, we = np.zeros((len(t), 1)), np.ones((len(t), 1))
    else:
        e, we = _fan(-centre / own, 1 / own)
    y, slope = curve(centre[:, None] + own * e)
    smooth = np.einsum("te,te->t", we, y)
    smooth_slope = np.einsum("te,te->t", we, slope)
    y, slope = y / value_unit, slope / slope_unit
    smooth_value = np.einsum("te,te->t", we, y * y)
    smooth_bend = np.einsum("te,te->t", we, slope * slope)
    if c >= 0:
        mirror, mirror_slope, mirror_value, mirror_bend = smooth, smooth_slope, smooth_value, smooth_bend
    else:
        # The other row has -t: the panels are symmetric only around 0, so it is integrated anew at -t.
        other = mean - common * t
        e, we = _fan(-other / own, 1 / own) if own >= 1e-7 * deviation else (e, we)
        y, slope = curve(other[:, None] + own * e)
        mirror = np.einsum("te,te->t", we, y)
        mirror_slope = np.einsum("te,te->t", we, slope)
        y, slope = y / value_unit, slope / slope_unit
        mirror_value = np.einsum("te,te->t", we, y * y)
        mirror_bend = np.einsum("te,te->t", we, slope * slope)
    return (
        float(wt @ (smooth * mirror)),
        float(wt @ (smooth_slope * mirror_slope)),
        float(wt @ (smooth_value * mirror_value)),
        float(wt @ (smooth_bend * mirror_bend)),
        float(wt @ (smooth_value * mirror_bend)),
    )


@functools.lru_cache(maxsize=2048)
def sphere(curve: Curve, scale: float, rows: int) -> Moments:
    """Moments for the values ``y`` of one unit behind a BatchNormalization over ``rows`` >= 4 rows.

    ``y / scale`` is uniform on the sphere of radius sqrt(rows) in the space orthogonal to (1, ..., 1), which is exact
    for independent weights and infinite width (Yang et al. 2019). One coordinate has the
    density ``(1 - t^2)^((rows - 4) / 2)``, the second one given the first has one dimension less.

    Args:
        scale: ``sqrt(variance / (variance + epsilon))``, just below 1.
    """
    radius = scale * math.sqrt(rows - 1)
    c = -1 / (rows - 1)
    angle, w = _arc(rows - 3, np.zeros(1))
    t, w = np.sin(angle[0]), w[0]
    u = radius * t
    y, slope = curve(u)
    square, slope_square = float(w @ (y * y)), float(w @ (slope * slope))
    value = y * y / square if square > 0 else np.zeros_like(y)
    bend = slope * slope / slope_square if slope_square > 0 else np.zeros_like(y)
    # The second coordinate is c t + sqrt(1 - c^2) cos(angle) sin(second angle): its kink lies where that is 0.
    reach = math.sqrt(1 - c * c) * np.cos(angle[0])
    kink = np.arcsin(np.clip(-c * t / np.maximum(reach, 1e-300), -1, 1))
    inner, wi = _arc(rows - 4, kink)
    v = radius * (c * t[:, None] + reach[:, None] * np.sin(inner))
    yv, sv = curve(v)
    along = {
        "value": np.einsum("te,te->t", wi, yv * yv),
        "slope": np.einsum("te,te->t", wi, sv * sv),
        "y": np.einsum("te,te->t", wi, yv),
        "s": np.einsum("te,te->t", wi, sv),
        "bent": np.einsum("te,te->t", wi, sv * v),
    }
    return Moments(
        mean=float(w @ y),
        square=square,
        product=float(w @ (y * along["y"])),
        slope_square=slope_square,
        slope_product=float(w @ (slope * along["s"])),
        value_excess=float(w @ (value * value)) - 1 if square > 0 else 0.0,
        value_excess_pair=float(w @ (value * along["value"])) / square - 1 if square > 0 else 0.0,
        slope_excess=float(w @ (bend * bend)) - 1 if slope_square > 0 else 0.0,
        slope_excess_pair=float(w @ (bend * along["slope"])) / slope_square - 1 if slope_square > 0 else 0.0,
        cross_excess=float(w @ (value * bend)) - 1 if square > 0 and slope_square > 0 else 0.0,
        cross_excess_pair=float(w @ (value * along["slope"])) / slope_square - 1
        if square > 0 and slope_square > 0
        else 0.0,
        bent=float(w @ (slope * slope * u * u)),
        bent_product=float(w @ (slope * u * along["bent"])),
    )


@dataclass(frozen=True, slots=True)
class BehindActivation:
    """A BatchNormalization over the outputs of an activation; cotangents are scaled by ``E[d_a^2] - E[d_a d_b]``.

    Attributes:
        square: Mean square of its output.
        rate: Mean square of the gradient at its input.
        joint: The same at the activation's input, where ``phi'`` has its say.
        joint_product: The mean product of two rows there.
    """

    square: float
    rate: float
    joint: float
    joint_product: float


@functools.lru_cache(maxsize=512)
def behind(
    curve: Curve, mean: float, variance: float, correlation: float, rows: int, epsilon: float
) -> BehindActivation:
    """A BatchNormalization over ``rows`` values ``phi(u)`` of a unit, ``u`` as in :func:`normal`.

    For many rows this is ``E[phi'^2] / Var(phi)``; for few, the deviation over the batch varies from unit to unit (a
    ReLU that is off for nearly the whole batch is blown up). There is no closed form: 65,536 values drawn with a fixed
    seed, the Jacobian of each unit's batch exactly. More than 512 rows count as 512.
    """
    rows = min(rows, 512)
    rng = np.random.default_rng(20)
    units = max(128, 65536 // rows)
    c = max(-1 / (rows - 1), min(1.0, correlation))
    own = rng.standard_normal((units, rows))
    level = own.mean(axis=1, keepdims=True)
    # The mean over the rows has the share of the variance that makes two rows correlate by c, also below 0.
    own = math.sqrt(1 - c) * (own - level) + math.sqrt(max(0.0, 1 + (rows - 1) * c)) * level
    x, slope = curve(mean + math.sqrt(variance) * own)
    x = x - x.mean(axis=1, keepdims=True)
    spread = np.mean(x * x, axis=1)
    precision = 1 / (spread + epsilon)
    y2 = x * x * precision[:, None]
    share = spread * precision
    rate = float(np.mean(precision * (rows - 1 - 2 * share + share**2))) / rows
    diagonal = 1 - 1 / rows - y2 * (2 - share)[:, None] / rows
    joint = float(np.mean(precision[:, None] * slope**2 * diagonal))
    bent = np.sum(slope * x, axis=1) ** 2 * precision
    whole = slope.sum(axis=1) ** 2
    total = float(np.mean(precision * (np.sum(slope**2, axis=1) - whole / rows - (2 - share) * bent / rows)))
    product = (total - rows * joint) / (rows * (rows - 1))
    return BehindActivation(float(np.mean(share)), rate, joint, product)


@dataclass(frozen=True, slots=True)
class SoftmaxMoments:
    """A softmax over the units of a layer, for normal logits.

    Attributes:
        square: Mean square of one output.
        product: Mean product of the same output for two rows.
        rate: Mean square of the gradient at its input for one at its output, independent from unit to unit.
        slope_product: The same for the product of two rows.
        excess: Relative variance of the squares of the outputs, over units.
        own: ``E[sum p^2]`` of a row.
        pair: ``E[sum p_a p_b]`` of two rows.
        own_variance: Variance of ``sum p^2`` from row to row.
        pair_variance: Covariance of ``sum p^2`` of two rows.
    """

    square: float
    product: float
    rate: float
    slope_product: float
    excess: float
    own: float
    pair: float
    own_variance: float
    pair_variance: float


@functools.lru_cache(maxsize=512)
def softmax(units: int, variance: float, correlation: float) -> SoftmaxMoments:
    """Moments of a softmax of ``units`` logits: 16,384 logits drawn with a fixed seed (no closed form exists)."""
    draws = max(64, 16384 // units)
    rng = np.random.default_rng(21)
    c = max(-1.0, min(1.0, correlation)) if not math.isnan(correlation) else 0.0
    first, second = rng.standard_normal((2, draws, units))
    deviation = math.sqrt(variance)
    p = activations.Softmax.forward(deviation * first)
    r = activations.Softmax.forward(deviation * (c * first + math.sqrt(1 - c * c) * second))
    own, other = np.sum(p * p, axis=1), np.sum(r * r, axis=1)
    pair = np.sum(p * r, axis=1)
    square = float(np.mean(p * p))
    # |J d|^2 for d of unit variance is the squared Frobenius norm of J = diag(p) - p p'.
    frobenius = own - 2 * np.sum(p**3, axis=1) + own**2
    cross = pair - np.sum(p * p * r, axis=1) - np.sum(p * r * r, axis=1) + pair**2
    return SoftmaxMoments(
        square=square,
        product=float(np.mean(pair)) / units,
        rate=float(np.mean(frobenius)) / units,
        slope_product=float(np.mean(cross)) / units,
        excess=float(np.mean((p * p / square) ** 2)) - 1,
        own=float(np.mean(own)),
        pair=float(np.mean(pair)),
        own_variance=float(np.var(own)),
        pair_variance=float(np.mean((own - own.mean()) * (other - other.mean()))),
    )


@functools.lru_cache(maxsize=8)
def _legendre(count: int) -> tuple[Floats, Floats]:
    """Nodes and weights on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1) / 2, w / 2


def _line(offset: float, width: float, reach: float = REACH, count: int = NODES) -> tuple[Floats, Floats]:
    """Nodes and normal weights on [-reach, reach] for a function of ``offset + z`` that bends within ``width``."""
    kink = -offset
    edges = {-reach, 0.0, reach}
    if abs(kink) < reach:
        edges.add(kink)
    for edge in EDGES:
        edges |= {z for z in (kink - edge * width, kink + edge * width) if abs(z) < reach and edge * width < reach / 2}
    marks = np.array(sorted(edges))
    x, w = _legendre(count)
    length = np.diff(marks)
    z = (marks[:-1, None] + length[:, None] * x).ravel()
    weights = (length[:, None] * w).ravel() * np.exp(-z * z / 2)
    return z, weights / weights.sum()


def _fan(kinks: Floats, width: float) -> tuple[Floats, Floats]:
    """As :func:`_line` for many kinks at once: nodes and weights (kinks, nodes)."""
    near = [edge * width for edge in EDGES if edge * width < PAIR_REACH / 2]
    offsets = np.array([*(-edge for edge in reversed(near)), 0.0, *near])
    ends = np.broadcast_to([-PAIR_REACH, 0.0, PAIR_REACH], (len(kinks), 3))
    marks = np.concatenate([np.clip(kinks[:, None] + offsets, -PAIR_REACH, PAIR_REACH), ends], axis=1)
    marks = np.sort(marks, axis=1)
    x, w = _legendre(PAIR_NODES)
    length = np.diff(marks, axis=1)
    e = (marks[:, :-1, None] + length[:, :, None] * x).reshape(len(kinks), -1)
    weights = (length[:, :, None] * w).reshape(len(kinks), -1) * np.exp(-e * e / 2)
    return e, weights / weights.sum(axis=1, keepdims=True)


def _arc(power: int, kinks: Floats) -> tuple[Floats, Floats]:
    """Angles and weights (kinks, nodes) for the density ``cos(angle)^power`` on [-pi/2, pi/2], split at the kinks."""
    end = min(math.pi / 2, 9 / math.sqrt(max(power, 1)))
    ends = np.broadcast_to([-end, 0.0, end], (len(kinks), 3))
    marks = np.sort(np.concatenate([np.clip(kinks[:, None], -end, end), ends], axis=1), axis=1)
    x, w = _legendre(2 * PAIR_NODES)
    length = np.diff(marks, axis=1)
    angle = (marks[:, :-1, None] + length[:, :, None] * x).reshape(len(kinks), -1)
    weights = (length[:, :, None] * w).reshape(len(kinks), -1) * np.cos(angle) ** power
    return angle, weights / weights.sum(axis=1, keepdims=True)

"""Quadratures against closed forms and plain Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradsim.nn import activations
from gradsim.theory.expectations import Curve, Moments, _pair, behind, normal, softmax, sphere

ELEMENTWISE = [name for name in activations.registry if name != "softmax"]


def within(value: float, samples: np.ndarray, deviations: float = 5.0) -> bool:
    """Whether a value is the samples' mean, to some standard errors."""
    return abs(value - samples.mean()) <= deviations * samples.std() / math.sqrt(len(samples)) + 1e-12


@pytest.mark.parametrize("correlation", [-0.2, 0.0, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_that_quadrature_over_a_kink_gives_the_arc_cosine_kernels(slope: float, correlation: float) -> None:
    exact = normal(Curve(None, slope), 0.0, 1.69, correlation)
    even = (1 + slope**2) / 2
    found = _pair(Curve(None, slope), 0.0, 1.3, correlation, math.sqrt(1.69 * even), math.sqrt(even))
    assert found[0] == pytest.approx(exact.product, abs=1e-7)
    # The smoothed step is as narrow as sqrt(1 - c): that costs the last digits near c = 1.
    assert found[1] == pytest.approx(exact.slope_product, abs=2e-5)
    pairs = (exact.value_excess_pair, exact.slope_excess_pair, exact.cross_excess_pair)
    assert [part - 1 for part in found[2:]] == pytest.approx(pairs, abs=1e-4)


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize(("mean", "variance", "correlation"), [(0.0, 0.3, 0.5), (0.0, 60.0, 0.8), (0.5, 1.0, -0.3)])
def test_that_normal_moments_agree_with_monte_carlo(
    name: str, mean: float, variance: float, correlation: float
) -> None:
    curve = Curve.of(activations.registry.create(name))
    m = normal(curve, mean, variance, correlation)
    first, second = np.random.default_rng(1).standard_normal((2, 60_000))
    second = correlation * first + math.sqrt(1 - correlation**2) * second
    (y, slope), (z, other) = (curve(mean + math.sqrt(variance) * part) for part in (first, second))
    assert within(m.mean, y)
    assert within(m.square, y * y)
    assert within(m.product, y * z)
    assert within(m.slope_square, slope * slope)
    assert within(m.slope_product, slope * other)
    assert within((m.slope_excess_pair + 1) * m.slope_square**2, slope**2 * other**2)
    assert within((m.cross_excess + 1) * m.square * m.slope_square, y**2 * slope**2)


@pytest.mark.parametrize("name", ["tanh", "elu", "softplus", "relu"])
def test_that_responses_are_the_logarithmic_derivatives(name: str) -> None:
    curve, step = Curve.of(activations.registry.create(name)), 1e-4
    m = normal(curve, 0.0, 0.8, math.nan)
    above, below = (normal(curve, 0.0, 0.8 * math.exp(side * step), math.nan) for side in (1, -1))
    assert m.value_response == pytest.approx(math.log(above.square / below.square) / (2 * step), rel=1e-5)
    expected = math.log(above.slope_square / below.slope_square) / (2 * step)
    assert m.slope_response == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_that_slopes_of_saturated_units_keep_their_digits() -> None:
    # For tanh and a wide distribution E[phi'^2] is the integral of phi'^2 over the density at 0: 4/3 / sqrt(2 pi v).
    for variance in (1e4, 1e8, 1e14):
        m = normal(Curve.of(activations.Tanh()), 0.0, variance, math.nan)
        assert m.slope_square == pytest.approx(4 / 3 / math.sqrt(2 * math.pi * variance), rel=2e-3)


def test_that_zero_variance_gives_the_values_at_the_mean_exactly() -> None:
    assert normal(Curve.of(activations.ReLU()), 0.0, 0.0, 1.0) == Moments(0.0, 0.0, 0.0, 0.0, 0.0)
    m = normal(Curve.of(activations.Sigmoid()), 0.0, 0.0, 1.0)
    assert (m.square, m.product, m.slope_square) == (0.25, 0.25, 0.0625)


@pytest.mark.parametrize("rows", [4, 6, 32])
@pytest.mark.parametrize("name", ["tanh", "relu", "elu"])
def test_that_sphere_moments_agree_with_normalised_batches(name: str, rows: int) -> None:
    curve = Curve.of(activations.registry.create(name))
    m = sphere(curve, 1.0, rows)
    y = np.random.default_rng(2).standard_normal((100_000, rows))
    y -= y.mean(axis=1, keepdims=True)
    y /= y.std(axis=1, keepdims=True)
    value, slope = curve(y[:, :2])
    bent = slope * y[:, :2]
    assert within(m.square, value[:, 0] ** 2)
    assert within(m.product, value[:, 0] * value[:, 1])
    assert within(m.slope_square, slope[:, 0] ** 2)
    assert within(m.slope_product, slope[:, 0] * slope[:, 1])
    assert within(m.bent, bent[:, 0] ** 2)
    assert within(m.bent_product, bent[:, 0] * bent[:, 1])


@pytest.mark.parametrize("rows", [8, 32])
def test_that_a_batch_norm_behind_an_activation_agrees_with_its_jacobian(rows: int) -> None:
    epsilon, curve = 1e-3, Curve.of(activations.Sigmoid())
    found = behind(curve, 0.0, 1.0, 0.0, rows, epsilon)
    rng = np.random.default_rng(3)
    x, slope = curve(rng.standard_normal((20_000, rows)))
    scale = 1 / np.sqrt(x.var(axis=1, keepdims=True) + epsilon)
    y = (x - x.mean(axis=1, keepdims=True)) * scale
    d = rng.standard_normal(x.shape)
    g = scale * (d - d.mean(axis=1, keepdims=True) - y * np.mean(d * y, axis=1, keepdims=True))
    assert found.square == pytest.approx(np.mean(y * y), rel=1e-3)
    assert found.rate == pytest.approx(np.mean(g * g), rel=0.02)
    assert found.joint == pytest.approx(np.mean((slope * g) ** 2), rel=0.02)


def test_that_a_softmax_of_small_logits_divides_by_the_width() -> None:
    for units in (10, 100):
        m = softmax(units, 1e-6, 0.0)
        assert math.sqrt(m.rate) == pytest.approx(math.sqrt(1 - 1 / units) / units, rel=1e-3)
        assert m.square == pytest.approx(1 / units**2, rel=1e-3)

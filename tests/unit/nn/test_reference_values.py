"""nn's NumPy formulas beside tables that `tests/golden/make_values.py` had Keras compute in float64."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from gradsim.nn import activations, initializers, losses, optimizers, schedules

Array = NDArray[np.float64]

TABLES = Path(__file__).parents[2] / "golden" / "keras_values.npz"
DETERMINISTIC = ("zeros", "ones", "constant", "identity")
# The statistics of Keras' 20 draws and of ours each scatter; their difference by sqrt(2) more. Five
# deviations, for some 500 comparisons.
SIGMAS = 5 * np.sqrt(2)


@functools.cache
def tables() -> dict[str, Any]:
    with np.load(TABLES) as kept:
        return dict(kept)


def specs(kind: str) -> list[str]:
    """The JSON texts that tables of this kind are kept under."""
    return [key.split("/", 1)[1] for key in tables() if key.startswith(f"{kind}/")]


@pytest.mark.parametrize("spec", specs("activation"))
def test_that_activation_and_slope_agree_with_keras_at_finite_points(spec: str) -> None:
    activation = activations.registry.validate(json.loads(spec))
    value, slope = tables()[f"activation/{spec}"]
    x = tables()["points"]
    # At its kink Keras' backends do not agree on the slope of leaky_relu.
    smooth = np.isfinite(x) & ((x != 0) | (activation.identifier != "leaky_relu"))
    # 1 + erf(x) of GELU far below zero keeps the rounding of a number near 1.
    assert_allclose(activation(x[smooth]), value[smooth], rtol=1e-12, atol=1e-15 * np.abs(x[smooth]).max())
    assert_allclose(activation.slope(x[smooth]), slope[smooth], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("spec", specs("activation"))
def test_that_activation_and_slope_agree_with_keras_at_infinity(spec: str) -> None:
    activation = activations.registry.validate(json.loads(spec))
    x = tables()["points"]
    for ours, theirs in zip((activation, activation.slope), tables()[f"activation/{spec}"], strict=True):
        known = np.isinf(x) & ~np.isnan(theirs)
        with np.errstate(invalid="ignore"):
            assert_array_equal(ours(x[known]), theirs[known])


@pytest.mark.parametrize("spec", specs("activation"))
def test_that_nan_stays_nan_in_an_activation(spec: str) -> None:
    activation = activations.registry.validate(json.loads(spec))
    assert np.isnan(activation(np.array([np.nan]))).all()


def test_that_softmax_and_its_backward_product_agree_with_keras() -> None:
    y = activations.Softmax()(tables()["softmax/rows"])
    cotangents = tables()["softmax/cotangents"]
    assert_allclose(y, tables()["softmax/values"], rtol=1e-12)
    back = y * (cotangents - np.sum(cotangents * y, axis=-1, keepdims=True))
    assert_allclose(back, tables()["softmax/slopes"], rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("name", sorted({key.split("/")[0] for key in specs("loss")}))
def test_that_loss_of_each_row_agrees_with_keras(name: str) -> None:
    loss = losses.registry.create(name)
    predicted, target = (tables()[f"loss/{name}/{part}"] for part in ("predicted", "target"))
    assert_allclose(loss(predicted, target), tables()[f"loss/{name}/values"], rtol=1e-12)


@pytest.mark.parametrize("name", ["mean_squared_error", "mean_absolute_error", "binary_crossentropy"])
def test_that_gradient_of_an_elementwise_loss_agrees_with_keras(name: str) -> None:
    loss = losses.registry.create(name)
    predicted, target = (tables()[f"loss/{name}/{part}"] for part in ("predicted", "target"))
    ours = type(loss).element_gradient(predicted, target) / predicted.shape[-1]
    assert_allclose(ours, tables()[f"loss/{name}/gradients"], rtol=1e-9)


@pytest.mark.parametrize("spec", specs("schedule"))
def test_that_schedule_agrees_with_keras(spec: str) -> None:
    theirs = tables()[f"schedule/{spec}"]
    ours = schedules.registry.validate(json.loads(spec)).rates(np.arange(len(theirs), dtype=np.float64))
    assert_allclose(ours, theirs, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("spec", specs("optimizer"))
def test_that_optimizer_takes_the_steps_of_keras(spec: str) -> None:
    optimizer = optimizers.registry.validate(json.loads(spec))
    rule = optimizer.rule()
    gradients, theirs = tables()["optimizer_gradients"], tables()[f"optimizer/{spec}"]
    w = tables()["optimizer_start"]
    slots = [np.full_like(w, start) for _, start in rule.slots]
    steps = np.arange(len(gradients), dtype=np.float64)
    rates = optimizer.rates(steps)
    columns = rule.coefficients(steps + 1, rates)
    for step, gradient in enumerate(gradients):
        row = [np.broadcast_to(column, steps.shape)[step] for column in columns]
        w = w - w * optimizer.decoupled_weight_decay * rates[step]
        updated = rule.update(w, gradient, *slots, *row)
        w, *slots = updated if isinstance(updated, tuple) else (updated,)
        # v - a^2 of a centered RMSprop loses digits.
        assert_allclose(w, theirs[step], rtol=1e-9, atol=1e-12, err_msg=f"step {step}")


@pytest.mark.parametrize("key", specs("initializer"))
def test_that_initializer_draws_from_the_distribution_of_keras(key: str) -> None:
    spec, _, size = key.rpartition("/")
    shape = tuple(map(int, size.split("x")))
    initializer = initializers.registry.validate(json.loads(spec))
    draws = 1 if initializer.identifier in DETERMINISTIC else 20
    drawn = np.array([initializer.sample(shape, np.random.default_rng([5, seed])) for seed in range(draws)])
    quantiles = tables()["initializer_quantiles"]
    *theirs, mean, sd, largest, smallest = tables()[f"initializer/{key}"]
    if initializer.identifier in DETERMINISTIC:
        assert_allclose(np.quantile(drawn, quantiles), theirs, rtol=1e-12)
        assert drawn.mean() == pytest.approx(mean)
        return
    n = drawn.size
    assert drawn.mean() == pytest.approx(mean, abs=SIGMAS * sd / np.sqrt(n))
    # The standard error of a standard deviation is sd * sqrt((kurtosis - 1) / 4n), and no distribution here
    # has a kurtosis above the normal's 3.
    assert drawn.std() == pytest.approx(sd, abs=SIGMAS * sd / np.sqrt(2 * n))
    variance = initializer.variance(*shape)
    if variance is not None:
        assert drawn.var() == pytest.approx(variance, rel=SIGMAS * np.sqrt(2 / n))
    for probability, other in zip(quantiles, theirs, strict=True):
        if 0 < probability < 1:
            error = SIGMAS * np.sqrt(probability * (1 - probability) / n)
            assert np.mean(drawn < other) == pytest.approx(probability, abs=error)
    if initializer.identifier.endswith("uniform") or "truncated" in initializer.identifier:
        # Bounded: the extremes of 180,000 draws lie at the bounds.
        assert drawn.min() == pytest.approx(theirs[0], abs=2e-3 * sd)
        assert drawn.max() == pytest.approx(theirs[-1], abs=2e-3 * sd)
    if initializer.identifier == "orthogonal":
        singular = np.linalg.svd(drawn[0], compute_uv=False)
        assert_allclose(singular, np.full(min(shape), largest), rtol=1e-9)
        assert_allclose(singular, np.full(min(shape), smallest), rtol=1e-9)

"""The finite-width band against plain NumPy networks over seeds.

The band claims that about 95 of 100 networks lie inside. Neighbouring rows of one network go together, so one row near
each end is counted, over the seeds of all stacks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gradsim.model.stack import Stack, expand
from gradsim.nn import activations, initializers, layers, losses
from gradsim.theory import Inputs, Targets, predict
from tests.unit.theory.plain import measured

WIDTH = 64


def dense(activation: Any = "linear", initializer: Any = "glorot_normal", units: int = WIDTH) -> layers.Dense:
    return layers.Dense(units, activation=activation, kernel_initializer=initializer)


def stack(*parts: layers.Layer, inputs: int = WIDTH) -> Stack:
    return expand(parts, (inputs,))


def deep(activation: Any, initializer: Any, depth: int = 15) -> Stack:
    return stack(*(dense(activation, initializer) for _ in range(depth)))


BN, LN = layers.BatchNormalization(), layers.LayerNormalization()
RELU = layers.Activation("relu")
STACKS = {
    "sigmoid + glorot": deep("sigmoid", "glorot_uniform"),
    "tanh + glorot": deep("tanh", "glorot_normal"),
    "tanh + he": deep("tanh", "he_normal"),
    "tanh, chaotic": deep("tanh", initializers.RandomNormal(stddev=0.5)),
    "relu + he": deep("relu", "he_normal"),
    "relu + orthogonal": deep("relu", initializers.Orthogonal(math.sqrt(2))),
    "leaky + he": deep(activations.LeakyReLU(0.3), "he_uniform"),
    "elu + he": deep("elu", "he_normal"),
    "selu + lecun": deep("selu", "lecun_normal"),
    "softplus + glorot": deep("softplus", "glorot_normal"),
    "linear + he": deep("linear", "he_normal"),
    "unequal widths": stack(*(dense("tanh", "glorot_uniform", units) for units in (128, 16, 128, 16)), dense()),
    "layer norm": stack(layers.Repeat(6, layers=(dense("linear", "he_normal"), LN, RELU)), dense()),
    "dropout": stack(layers.Repeat(6, layers=(dense("relu", "he_normal"), layers.Dropout(0.3))), dense()),
    "hidden softmax": stack(dense("tanh"), dense("softmax"), dense("tanh"), dense()),
    "residual tanh": stack(
        dense(), layers.Repeat(5, layers=(layers.Residual(layers=(dense("tanh"), dense())),)), dense()
    ),
}
NORMALISED = {
    "batch norm before": stack(layers.Repeat(6, layers=(dense("linear", "he_normal"), BN, RELU)), dense()),
    "batch norm after": stack(layers.Repeat(6, layers=(dense("relu", "he_normal"), BN)), dense()),
    "batch norm first": stack(BN, layers.Repeat(6, layers=(dense("tanh"),)), dense()),
    "batch norm residual": stack(
        dense(), layers.Repeat(4, layers=(layers.Residual(layers=(BN, RELU, dense("linear", "he_normal"))),)), dense()
    ),
}  # fmt: skip


# The values of one unit in all blocks of a stream have much in common, which the band of dW leaves out.
NARROW_GRADIENT = {"batch norm residual"}


def coverage(model: Stack, rows: int, seeds: int, correlation: float = 0.0) -> tuple[float, float]:
    """Shares of networks inside the bands of delta and dW, over the lowest row and one in the middle."""
    prediction = predict(model, None, rows, Inputs(product=correlation))
    delta, gradient = measured(model, rows, range(seeds), correlation=correlation)
    weighted = np.flatnonzero(~np.isnan(prediction.gradient_low))
    picked = weighted[[0, len(weighted) // 2]]
    found = []
    for values, low, high in (
        (delta, prediction.low, prediction.high),
        (gradient, prediction.gradient_low, prediction.gradient_high),
    ):
        inside = (values >= low) & (values <= high)
        found.append(float(inside[:, picked].mean()))
    return found[0], found[1]


def expected(seeds: int) -> float:
    """The least share to be met: 95 % less three standard errors of a share of ``seeds`` networks."""
    return 0.95 - 3 * math.sqrt(0.95 * 0.05 / seeds)


@pytest.mark.parametrize("name", STACKS)
def test_that_single_rows_lie_in_the_band(name: str) -> None:
    seeds = 100
    delta, gradient = coverage(STACKS[name], 1, seeds)
    assert delta >= expected(seeds)
    assert gradient >= expected(seeds)


@pytest.mark.parametrize("name", [*STACKS, *NORMALISED])
def test_that_batches_lie_in_the_band(name: str) -> None:
    seeds = 40
    delta, gradient = coverage((STACKS | NORMALISED)[name], 16, seeds)
    assert delta >= expected(seeds)
    if name not in NARROW_GRADIENT:
        assert gradient >= expected(seeds)


def test_that_the_band_is_not_wider_than_the_networks() -> None:
    for name in ("relu + he", "sigmoid + glorot", "selu + lecun", "linear + he", "elu + he", "tanh + he"):
        prediction = predict(STACKS[name], None, 1)
        delta, _ = measured(STACKS[name], 1, range(200))
        deviation = (prediction.high[0] - prediction.low[0]) / 4
        # The standard deviation of 200 normal values is known to 5 %: three times that.
        assert deviation == pytest.approx(delta[:, 0].std(), rel=0.15), name


def test_that_relu_with_he_walks_by_five_over_n_a_layer() -> None:
    depth = 30
    model = deep("relu", "he_normal", depth)
    prediction = predict(model, None, 1)
    variance = ((prediction.high - prediction.low) / 4 * 2 * math.log(10)) ** 2
    middle = (prediction.high + prediction.low) / 2 * 2 * math.log(10)
    # From row to row; the rows at the ends have one factor less.
    assert np.diff(variance[:-1]) == pytest.approx(-5 / WIDTH)
    assert np.diff(middle[:-1]) == pytest.approx(2.5 / WIDTH)


def test_that_correlated_rows_average_out_less() -> None:
    alike, apart = (predict(STACKS["tanh + he"], None, 32, Inputs(product=c)) for c in (0.99, 0.0))
    assert (alike.high - alike.low)[0] > 1.2 * (apart.high - apart.low)[0]
    delta, gradient = coverage(STACKS["relu + he"], 16, 40, correlation=0.8)
    assert delta >= expected(40)
    assert gradient >= expected(40)


@pytest.mark.parametrize("rows", [1, 16])
@pytest.mark.parametrize(
    ("loss", "output"),
    [
        (losses.CategoricalCrossentropy(), dense("softmax", units=10)),
        (losses.BinaryCrossentropy(), dense("sigmoid", units=1)),
        (losses.MeanSquaredError(), dense("linear", units=3)),
        (losses.MeanSquaredError(), dense("sigmoid", units=3)),
        (losses.MeanAbsoluteError(), dense("tanh", units=3)),
    ],
)
def test_that_the_size_of_the_gradient_follows_from_the_loss(
    loss: losses.Loss, output: layers.Dense, rows: int
) -> None:
    model = stack(*(dense("tanh", "glorot_uniform") for _ in range(5)), output)
    targets = Targets(1.0, 0.0, 0.0) if loss.task == "regression" else None
    prediction = predict(model, loss, rows, targets=targets)
    assert prediction.absolute
    seeds = 60
    delta, _ = measured(model, rows, range(seeds), loss)
    inside = (delta >= prediction.low) & (delta <= prediction.high)
    assert inside[:, [0, 3]].mean() >= expected(seeds)


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_that_a_band_without_a_middle_holds_most_networks(activation: str) -> None:
    for rows, seeds in ((1, 80), (16, 30)):
        delta, _ = coverage(deep(activation, "he_normal", 20), rows, seeds)
        assert delta >= 0.8

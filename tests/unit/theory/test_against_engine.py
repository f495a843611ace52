"""What the engine records in its first step against the prediction, over seeds, on real and on drawn data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gradsim.engine.trainer import Trainer
from gradsim.model.experiment import Experiment
from gradsim.nn import layers
from gradsim.telemetry.quantities import LAYER_COLUMNS
from gradsim.theory import Inputs, Targets, predict

pytestmark = pytest.mark.slow
ROWS = 32
SEEDS = 24
NORM, GRADIENT = LAYER_COLUMNS.index("delta_norm"), LAYER_COLUMNS.index("gradient_norm")


def dense(activation: Any, initializer: Any = "glorot_uniform", units: int = 64) -> layers.Dense:
    return layers.Dense(units, activation=activation, kernel_initializer=initializer)


BN, LN, RELU = layers.BatchNormalization(), layers.LayerNormalization(), layers.Activation("relu")
OUTPUT = dense("softmax", units=10)
STACKS = {
    "sigmoid + glorot": (*[dense("sigmoid")] * 12, OUTPUT),
    "tanh + glorot": (*[dense("tanh")] * 12, OUTPUT),
    "relu + he": (*[dense("relu", "he_normal")] * 12, OUTPUT),
    "relu + glorot": (*[dense("relu")] * 12, OUTPUT),
    "selu + lecun": (*[dense("selu", "lecun_normal")] * 12, OUTPUT),
    "batch norm": (*[dense("linear", "he_normal"), BN, RELU] * 6, OUTPUT),
    "layer norm": (*[dense("linear", "he_normal"), LN, RELU] * 6, OUTPUT),
    "unequal widths": (*[dense("tanh", units=128), dense("tanh", units=16)] * 3, OUTPUT),
    "PReLU, ELU, LeakyReLU": (
        dense("linear", "he_normal"), layers.PReLU(), dense("linear", "he_normal"), layers.ELU(),
        dense("linear", "he_normal"), layers.LeakyReLU(), OUTPUT,
    ),
    "residual": (dense("linear"), *[layers.Residual(layers=(dense("tanh"), dense("linear")))] * 5, OUTPUT),
}  # fmt: skip


def first_step(parts: tuple[layers.Layer, ...], data: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """log10 RMS of delta and dW of each row, as recorded."""
    trainer = Trainer(Experiment(layers=parts, data=data, batch_size=ROWS, seed=seed, dtype="float64"))
    record = trainer.advance(1).layers[0]
    units = np.array([math.prod(placed.output_shape) for placed in trainer.stack.layers])
    sizes = np.array([placed.main_weight.size if placed.main_weight else math.nan for placed in trainer.stack.layers])
    return np.log10(record[:, NORM] / np.sqrt(ROWS * units)), np.log10(record[:, GRADIENT] / np.sqrt(sizes))


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """White noise and random classes."""
    rng = np.random.default_rng(7)
    return rng.standard_normal((512, 40)), np.eye(10)[rng.integers(10, size=512)]


@pytest.mark.parametrize("name", STACKS)
def test_that_the_first_step_on_white_noise_lies_in_the_band(name: str, drawn: tuple[np.ndarray, np.ndarray]) -> None:
    check(STACKS[name], drawn, Inputs.of(*drawn), Targets.of(drawn[1]))


@pytest.mark.parametrize("name", [name for name in STACKS if name != "batch norm"])
def test_that_the_first_step_on_pictures_lies_in_the_band(name: str) -> None:
    parts = (layers.Flatten(), *STACKS[name])
    check(parts, "fashion_mnist", *pictures(parts))


def test_that_batch_norm_on_pictures_is_met_to_a_quarter_decade_and_noted() -> None:
    parts = (layers.Flatten(), *STACKS["batch norm"])
    experiment = Experiment(layers=parts, data="fashion_mnist", batch_size=ROWS)
    prediction = predict(experiment.stack(), experiment.loss, ROWS, *pictures(parts))
    assert "few directions" in prediction.rows[2].note
    delta = np.mean([first_step(parts, "fashion_mnist", seed)[0] for seed in range(SEEDS)], axis=0)
    assert np.abs(delta - prediction.log10_delta)[1:].max() < 0.25


def pictures(parts: tuple[layers.Layer, ...]) -> tuple[Inputs, Targets]:
    """Statistics of Fashion-MNIST."""
    dataset = Trainer(Experiment(layers=parts, data="fashion_mnist")).dataset
    targets, _ = dataset.targets(10)
    return Inputs.of(dataset.x_train, targets), Targets.of(targets)


def check(parts: tuple[layers.Layer, ...], data: Any, inputs: Inputs, targets: Targets) -> None:
    """Counts, over the seeds, the lowest Dense layer and the one in the middle."""
    experiment = Experiment(layers=parts, data=data, batch_size=ROWS)
    prediction = predict(experiment.stack(), experiment.loss, ROWS, inputs, targets)
    assert prediction.absolute
    steps = [first_step(parts, data, seed) for seed in range(SEEDS)]
    rows = np.flatnonzero([isinstance(placed.layer, layers.Dense) for placed in experiment.stack().layers])
    picked = rows[[0, len(rows) // 2]]
    delta = np.array([step[0] for step in steps])
    inside = (delta >= prediction.low) & (delta <= prediction.high)
    # 95 % less three standard errors of as many networks.
    assert inside[:, picked].mean() >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / SEEDS)
    # The middle of the band against the mean, in standard errors of the band and the seeds together.
    deviation = (prediction.high - prediction.low) / 4
    middle = (prediction.high + prediction.low) / 2
    assert np.all(np.abs(delta.mean(axis=0) - middle)[picked] < (deviation * (0.5 + 4 / math.sqrt(SEEDS)))[picked])
    gradient = np.array([step[1] for step in steps])[:, rows[1:]]
    # dW to a factor of two: what the classes have in common enters to first order only.
    middle = (prediction.gradient_high + prediction.gradient_low)[rows[1:]] / 2
    assert np.all(np.abs(gradient.mean(axis=0) - middle) < math.log10(2))

"""Every derivative the engine computes, against differences of its own loss in float64."""

from __future__ import annotations

import numpy as np
import pytest

from gradsim.engine import Trainer
from gradsim.model.experiment import Experiment
from gradsim.nn import activations, layers, losses
from gradsim.nn.layers import Layer

ROWS, INPUTS = 7, 5

Stack = list[Layer]


def hidden(layer: Layer) -> Stack:
    return [layers.Dense(6), layer, layers.Dense(3, activation="tanh")]


STACKS: dict[str, Stack] = {
    **{f"dense {name}": [layers.Dense(6, activation=name), layers.Dense(3)] for name in activations.registry},
    **{f"activation {name}": hidden(layers.Activation(name)) for name in activations.registry},
    "leaky": hidden(layers.LeakyReLU(0.3)),
    "elu layer": hidden(layers.ELU(0.7)),
    "prelu": hidden(layers.PReLU(alpha_initializer={"type": "constant", "value": 0.3})),
    "batch first": [layers.BatchNormalization(), layers.Dense(3, activation="tanh")],
    "batch before": [layers.Dense(6), layers.BatchNormalization(), layers.Activation("tanh"), layers.Dense(3)],
    "batch after": [layers.Dense(6, activation="tanh"), layers.BatchNormalization(), layers.Dense(3)],
    "batch plain": hidden(layers.BatchNormalization(center=False, scale=False)),
    "layer norm": hidden(layers.LayerNormalization()),
    "layer norm plain": hidden(layers.LayerNormalization(center=False, scale=False)),
    "no bias": [layers.Dense(6, "tanh", use_bias=False), layers.Dense(3)],
    "l1": [layers.Dense(6, "tanh", kernel_regularizer={"type": "l1", "l1": 0.02}), layers.Dense(3)],
    "l2": [layers.Dense(6, "tanh", kernel_regularizer={"type": "l2", "l2": 0.02}), layers.Dense(3)],
    "residual": [layers.Dense(6), layers.Residual([layers.Dense(6, "tanh"), layers.Dense(6)]), layers.Dense(3)],
    "residual first": [layers.Residual([layers.Dense(INPUTS, "tanh")]), layers.Dense(3)],
    "residual last": [layers.Dense(3), layers.Residual([layers.Activation("tanh"), layers.Dense(3)])],
    "residual nested": [
        layers.Dense(4),
        layers.Residual([layers.Residual([layers.Activation("tanh"), layers.Dense(4)]), layers.Dense(4, "tanh")]),
        layers.Dense(3),
    ],
    "repeat": [layers.Repeat(3, [layers.Dense(4, "tanh"), layers.LayerNormalization()]), layers.Dense(3)],
}


def data(loss: str, outputs: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((ROWS, INPUTS))
    if loss == "categorical_crossentropy":
        return x, np.eye(outputs)[rng.integers(0, outputs, ROWS)]
    if loss == "binary_crossentropy":
        return x, rng.integers(0, 2, (ROWS, outputs)).astype(np.float64)
    return x, rng.standard_normal((ROWS, outputs))


def assert_gradients_agree(stack: Stack, loss: str, tolerance: float = 2e-6) -> None:
    x, y = data(loss)
    experiment = Experiment(stack, (x, np.zeros((ROWS, 3)) + y), loss, dtype="float64", batch_size=None, seed=3)
    trainer = Trainer(experiment)
    # Away from the symmetric start, so that biases and scales matter.
    rng = np.random.default_rng(5)
    start = [array + 0.1 * rng.standard_normal(array.shape) for array in trainer.weights()]
    trainer.set_weights(start)
    found = trainer.gradients(x, y)
    step = 1e-5
    for number, gradient in enumerate(found.weights):
        if gradient is None:
            continue
        for place in list(np.ndindex(gradient.shape))[:: max(1, gradient.size // 6)]:
            sides = []
            for sign in (1, -1):
                moved = [array.copy() for array in start]
                moved[number][place] += sign * step
                trainer.set_weights(moved)
                sides.append(trainer.gradients(x, y).loss)
            expected = (sides[0] - sides[1]) / (2 * step)
            assert gradient[place] == pytest.approx(expected, rel=tolerance, abs=1e-8), (number, place)


@pytest.mark.parametrize("name", STACKS)
def test_that_gradients_of_every_layer_are_the_slopes_of_the_loss(name: str) -> None:
    assert_gradients_agree(STACKS[name], "mse")


@pytest.mark.parametrize(
    ("loss", "output"),
    [
        *((loss, output) for loss in losses.registry for output in ("sigmoid", "softmax")),
        ("mse", "linear"),
        ("mae", "linear"),
        ("categorical_crossentropy", "softplus"),
    ],
)
def test_that_gradients_of_every_loss_are_its_slopes(loss: str, output: str) -> None:
    assert_gradients_agree([layers.Dense(6, "tanh"), layers.Dense(3, output)], loss)


def test_that_a_finite_difference_would_notice_a_wrong_slope() -> None:
    @activations.registry.register("lying")
    @activations.frozen
    class Lying(activations.Activation):
        """Says that its slope is 1."""

        @staticmethod
        def forward(x: object) -> object:
            return x * x  # type: ignore[operator]

        @staticmethod
        def derivative(x: object, y: object) -> object:
            return x  # type: ignore[return-value]

    try:
        with pytest.raises(AssertionError):
            assert_gradients_agree([layers.Dense(6, "lying"), layers.Dense(3)], "mse")
    finally:
        activations.registry.unregister("lying")

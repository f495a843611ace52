"""Small experiments for the tests of the window."""

from __future__ import annotations

from typing import Any

from gradsim.model.experiment import Experiment
from gradsim.nn import layers, optimizers


def small_experiment(*stack: layers.Layer, **fields: Any) -> Experiment:
    """Two hidden layers over two features, or the layers given."""
    chosen = stack or (layers.Dense(8, "tanh"), layers.Dense(6, "tanh"), layers.Dense(1, "sigmoid"))
    values = {"data": "moons", "loss": "binary_crossentropy", "optimizer": optimizers.SGD(0.1), **fields}
    return Experiment(chosen, **values)


def exploding_experiment() -> Experiment:
    """Reaches Inf within some steps."""
    wild = layers.Dense(16, "relu", kernel_initializer={"type": "RandomNormal", "stddev": 50.0})
    return small_experiment(wild, wild, wild, layers.Dense(1, "linear"), loss="mean_squared_error", seed=1)


def impossible_experiment() -> Experiment:
    """A residual block whose output does not fit its input."""
    return small_experiment(layers.Residual((layers.Dense(5, "tanh"),)), layers.Dense(1, "sigmoid"))

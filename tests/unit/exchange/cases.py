"""Experiments that meet much of the vocabulary, small enough for a reference framework."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradsim.engine.trainer import Trainer
from gradsim.model import Experiment

Json = dict[str, Any]


def layer(kind: str, **fields: Any) -> Json:
    return {"type": kind, **fields}


def dense(units: int, activation: Any = "tanh", **fields: Any) -> Json:
    return layer("Dense", units=units, activation=activation, **fields)


SPIRAL = {"type": "spiral", "samples": 60, "classes": 3}
LAST = dense(3, "softmax")
FALLING = {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5}
RISING = {"type": "WarmUp", "learning_rate": 0.2, "warmup_steps": 4, "start": 0.25}
MOONS = {"type": "moons", "samples": 60}
BOTH = {"type": "l1_l2", "l1": 0.002, "l2": 0.01}
SGD = {"type": "SGD", "learning_rate": 0.1}
BLOCK = [layer("BatchNormalization"), layer("Activation", activation="elu"), dense(8, "linear")]

CASES: dict[str, Json] = {
    "repeat": {"layers": [layer("Repeat", count=4, layers=[dense(8)]), LAST]},
    "residual": {
        "layers": [
            dense(8, "linear"),
            layer("Repeat", count=3, layers=[layer("Residual", layers=BLOCK)]),
            layer("Residual", layers=[dense(5, "relu"), layer("Residual", layers=[dense(5)]), dense(8)]),
            LAST,
        ]
    },
    "normalized": {
        "layers": [
            layer("BatchNormalization", momentum=0.9),
            dense(10, "gelu"),
            layer("LayerNormalization", center=False),
            dense(10, {"type": "leaky_relu", "negative_slope": 0.1}),
            layer("BatchNormalization", scale=False, epsilon=0.01),
            layer("PReLU", alpha_initializer={"type": "constant", "value": 0.2}),
            LAST,
        ]
    },
    "activations": {
        "layers": [
            *(dense(9, name) for name in ("selu", "silu", "softplus", "softsign", "mish", "sigmoid", "elu", "relu")),
            layer("LeakyReLU"),
            layer("ELU", alpha=0.5),
            LAST,
        ]
    },
    "frozen": {
        "layers": [
            dense(8, trainable=False),
            layer("BatchNormalization", trainable=False),
            layer("Repeat", count=2, trainable=False, layers=[dense(8)]),
            dense(8, enabled=False),
            LAST,
        ]
    },
    "regularized": {"layers": [dense(8, kernel_regularizer=BOTH), dense(8, kernel_regularizer="l2"), LAST]},
    "clipvalue": {"layers": [dense(8), LAST], "optimizer": SGD | {"clipvalue": 0.01}},
    "clipnorm": {"layers": [dense(8), LAST], "optimizer": SGD | {"clipnorm": 0.05}},
    "global_clipnorm": {"layers": [dense(8), LAST], "optimizer": SGD | {"global_clipnorm": 0.05, "momentum": 0.9}},
    "nesterov": {"layers": [dense(8), LAST], "optimizer": SGD | {"momentum": 0.8, "nesterov": True}},
    "adam": {"layers": [dense(8), LAST], "optimizer": {"type": "Adam", "learning_rate": 0.01}},
    "adamw": {"layers": [dense(8), LAST], "optimizer": {"type": "AdamW", "learning_rate": 0.01, "weight_decay": 0.1}},
    "nadam": {"layers": [dense(8), LAST], "optimizer": {"type": "Nadam", "learning_rate": 0.01}},
    "rmsprop": {
        "layers": [dense(8), LAST],
        "optimizer": {"type": "RMSprop", "learning_rate": 0.005, "momentum": 0.5, "centered": True},
    },
    "adagrad": {"layers": [dense(8), LAST], "optimizer": {"type": "Adagrad", "learning_rate": 0.05}},
    "schedule": {
        "layers": [dense(8), LAST],
        "optimizer": SGD
        | {
            "momentum": 0.9,
            "learning_rate": FALLING,
        },
    },
    "warm_up": {
        "layers": [dense(8), LAST],
        "optimizer": SGD | {"learning_rate": RISING},
    },
    "cosine": {
        "layers": [dense(8), LAST],
        "optimizer": SGD
        | {
            "learning_rate": {
                "type": "CosineDecay",
                "initial_learning_rate": 0.01,
                "decay_steps": 6,
                "alpha": 0.1,
                "warmup_target": 0.3,
                "warmup_steps": 3,
            }
        },
    },
    "float64": {"layers": [dense(8), LAST], "dtype": "float64"},
    "regression": {
        "layers": [dense(8), dense(1, "linear")],
        "loss": "mse",
        "data": {"type": "regression_1d", "samples": 40},
    },
    "absolute": {
        "layers": [dense(8), dense(1, "linear")],
        "loss": "mae",
        "data": {"type": "regression_1d", "samples": 40},
    },
    "binary": {
        "layers": [dense(8), dense(1, "sigmoid")],
        "loss": "binary_crossentropy",
        "data": MOONS,
    },
    "not_fused": {"layers": [dense(8), dense(3, "sigmoid")]},
    "in_batches": {"layers": [dense(8), LAST], "batch_size": 7, "shuffle": False},
}


def experiment(name: str) -> Experiment:
    """One of the cases; without further words it learns the spiral with the whole set in one batch."""
    defaults: Json = {"data": SPIRAL, "optimizer": SGD, "batch_size": None, "seed": 3}
    return Experiment(**(defaults | CASES[name]))


def starting_weights(value: Experiment) -> list[np.ndarray[Any, Any]]:
    """Weights away from special values, so that every gradient shows."""
    random = np.random.default_rng(5)
    found = []
    for _, weight in value.stack().weights():
        if weight.role in ("gamma", "moving_variance"):
            array = random.uniform(0.7, 1.4, weight.shape)
        elif weight.role == "kernel":
            array = random.normal(size=weight.shape) * np.sqrt(1.2 / weight.shape[0])
        else:
            array = random.normal(size=weight.shape) * 0.15
        found.append(array.astype(np.float32))
    return found


def trained(value: Experiment, steps: int) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    """Losses and final weights of the engine."""
    trainer = Trainer(value, starting_weights(value))
    chunk = trainer.advance(steps)
    return chunk.steps[:, 0], trainer.weights()

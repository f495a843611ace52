"""More families of the labelled set, on other data and of other sizes, written when the rules stood.

At first sight the rules were right in all but two of them; "weights-to-zero" and "stopped" against "noise" were then
mended, looking at ``TUNING_SEEDS``, and the reported seeds exchanged for new ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.labelled.runs import (
    BROKEN,
    FAMILIES,
    SHAKEN,
    Json,
    adam,
    between,
    dense,
    family,
    moons,
    normal,
    repeat,
    sgd,
    teacher,
)

__all__ = ["FAMILIES"]

NORMALISED = {"type": "BatchNormalization"}


def _clothes(layers: list[Json], optimizer: Any, **fields: Any) -> Json:
    """A part of Fashion-MNIST."""
    data = {"type": "fashion_mnist", "train_samples": 2000, "val_samples": 200}
    output = dense(10, "softmax", "glorot_uniform")
    return {"layers": [{"type": "Flatten"}, *layers, output], "data": data, "optimizer": optimizer, **fields}


def _classes(data: Any, number: int, layers: list[Json], optimizer: Any, **fields: Any) -> Json:
    output = dense(number, "softmax", "glorot_uniform")
    return {"layers": [*layers, output], "data": data, "optimizer": optimizer, **fields}


def _curve(layers: list[Json], optimizer: Any) -> Json:
    output = dense(1, "linear", "glorot_uniform")
    return {"layers": [*layers, output], "data": "regression_1d", "loss": "mse", "optimizer": optimizer}


# Healthy


@family()
def clothes_relu(rng: np.random.Generator) -> Json:
    return _clothes([repeat(int(rng.integers(2, 6)), dense(100, "relu", "he_normal"))], sgd(0.05))


@family()
def clothes_gelu(rng: np.random.Generator) -> Json:
    return _clothes([repeat(int(rng.integers(2, 6)), dense(80, "gelu", "he_normal"))], adam(1e-3))


@family()
def spiral_elu(rng: np.random.Generator) -> Json:
    found = moons([repeat(int(rng.integers(2, 5)), dense(40, "elu", "he_normal"))], adam(0.01))
    found["data"] = {"type": "spiral", "samples": 600}
    return found


@family()
def wine_normalised_first(rng: np.random.Generator) -> Json:
    hidden = repeat(int(rng.integers(1, 4)), dense(24, "tanh", "glorot_uniform"))
    return _classes("wine", 3, [NORMALISED, hidden], sgd(0.1))


@family()
def wine_at_a_low_rate(rng: np.random.Generator) -> Json:
    return _classes("wine", 3, [repeat(3, dense(24, "tanh", "glorot_uniform"))], sgd(between(rng, 1e-3, 3e-3)))


@family()
def clouds_softplus(rng: np.random.Generator) -> Json:
    data = {"type": "gaussians", "classes": 5, "samples": 600}
    return _classes(data, 5, [repeat(2, dense(int(rng.integers(24, 41)), "softplus", "he_normal"))], sgd(0.05))


@family()
def teacher_relu(rng: np.random.Generator) -> Json:
    return teacher([repeat(3, dense(32, "relu", "he_normal"))], adam(between(rng, 2e-3, 5e-3)))


@family()
def curve_tanh(rng: np.random.Generator) -> Json:
    return _curve([repeat(2, dense(int(rng.integers(24, 41)), "tanh", "glorot_uniform"))], adam(0.01))


# Vanishing, exploding


@family("vanishing stopped")
def clothes_sigmoid(rng: np.random.Generator) -> Json:
    return _clothes([repeat(int(rng.integers(10, 25)), dense(100, "sigmoid", "glorot_uniform"))], sgd(0.1))


@family("vanishing stopped", "dead")
def clothes_relu_glorot(rng: np.random.Generator) -> Json:
    return _clothes([repeat(int(rng.integers(35, 50)), dense(60, "relu", "glorot_uniform"))], sgd(0.05))


@family("vanishing stopped")
def iris_sigmoid(rng: np.random.Generator) -> Json:
    hidden = repeat(int(rng.integers(8, 14)), dense(16, "sigmoid", "lecun_normal"))
    return _classes("iris", 3, [hidden], sgd(0.1, momentum=0.9))


@family("vanishing stopped below-format", "dead", steps=100)
def clothes_below_float32(rng: np.random.Generator) -> Json:
    return _clothes([repeat(int(rng.integers(66, 74)), dense(30, "sigmoid", "glorot_normal"))], sgd(0.1))


@family("exploding", f"{BROKEN} noise vanishing")
def clothes_elu_of_wide_spread(rng: np.random.Generator) -> Json:
    return _clothes([repeat(10, dense(64, "elu", normal(between(rng, 0.4, 0.6))))], sgd(0.01))


@family("exploding saturated", "vanishing stopped unstable-rate noise avalanche")
def clothes_tanh_of_wide_spread(rng: np.random.Generator) -> Json:
    return _clothes([repeat(int(rng.integers(12, 20)), dense(50, "tanh", normal(1.0)))], sgd(0.01))


@family("unstable-rate exploding", "avalanche dead non-finite stopped")
def curve_at_too_high_a_rate(rng: np.random.Generator) -> Json:
    return _curve([repeat(2, dense(32, "elu", "he_normal"))], sgd(between(rng, 3, 6)))


# Units


@family("symmetric stopped")
def clothes_of_zeros(rng: np.random.Generator) -> Json:
    found = _clothes([repeat(int(rng.integers(3, 8)), dense(50, "tanh", "zeros"))], sgd(0.1))
    found["layers"][-1]["kernel_initializer"] = "zeros"
    return found


@family("symmetric stopped")
def moons_of_zeros(rng: np.random.Generator) -> Json:
    found = moons([repeat(int(rng.integers(3, 8)), dense(16, "relu", "zeros"))], adam(0.01))
    found["layers"][-1]["kernel_initializer"] = "zeros"
    return found


@family("dead stopped", "vanishing")
def clothes_dead(rng: np.random.Generator) -> Json:
    bias = {"type": "constant", "value": -float(rng.uniform(7, 9))}
    return _clothes([repeat(3, dense(60, "relu", "he_normal", bias_initializer=bias))], sgd(0.05))


@family("bn-explosion", "unstable-rate stopped noise")
def clothes_deep_normalised(rng: np.random.Generator) -> Json:
    block = [dense(50, "linear", "he_normal"), NORMALISED, {"type": "Activation"}]
    return _clothes([repeat(int(rng.integers(25, 36)), *block)], sgd(0.005))


# Steps


@family("unstable-rate", SHAKEN)
def clothes_at_too_high_a_rate(rng: np.random.Generator) -> Json:
    return _clothes([repeat(3, dense(80, "relu", "he_normal"))], sgd(between(rng, 5, 15)))


@family("unstable-rate", SHAKEN)
def moons_above_the_edge(rng: np.random.Generator) -> Json:
    return moons([repeat(2, dense(16, "tanh", "glorot_uniform"))], sgd(between(rng, 15, 30)), batch_size=None)


@family("clipping-always", "stopped")
def clothes_clipped_as_a_whole(rng: np.random.Generator) -> Json:
    optimizer = sgd(0.05, global_clipnorm=between(rng, 0.005, 0.02))
    return _clothes([repeat(3, dense(60, "relu", "he_normal"))], optimizer)


@family("clipping-never")
def clothes_clipped_never(rng: np.random.Generator) -> Json:
    optimizer = adam(1e-3, clipvalue=between(rng, 15, 30))
    return _clothes([repeat(3, dense(60, "relu", "he_normal"))], optimizer)


@family("weights-to-zero", "stopped vanishing below-format dead", steps=300)
def clothes_penalised(rng: np.random.Generator) -> Json:
    penalty = {"type": "L2", "l2": between(rng, 0.25, 0.35)}
    return _clothes([repeat(3, dense(60, "elu", "he_normal", kernel_regularizer=penalty))], sgd(0.05))


@family("stopped")
def clothes_at_a_tiny_rate(rng: np.random.Generator) -> Json:
    return _clothes([repeat(3, dense(60, "relu", "he_normal"))], adam(between(rng, 5e-8, 2e-7)))


@family("noise", "unstable-rate", steps=1500)
def clouds_row_by_row(rng: np.random.Generator) -> Json:
    data = {"type": "gaussians", "classes": 3, "samples": 500, "noise": 1.2}
    return _classes(data, 3, [dense(16, "tanh", "glorot_uniform")], sgd(between(rng, 0.2, 0.4)), batch_size=1)


@family("plateau", "vanishing noise", steps=800, fast=True)
def sigmoid_that_adam_frees(rng: np.random.Generator) -> Json:
    """What vanishes is scaled up again, after a while on the plateau of guessing."""
    hidden = repeat(int(rng.integers(6, 9)), dense(32, "sigmoid", "glorot_uniform"))
    return moons([hidden], adam(between(rng, 1e-3, 2e-3)))

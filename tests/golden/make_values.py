"""Tables of single formulas as Keras computes them, in float64, kept in `keras_values.npz`.

Needs the `reference` extra. From the top of the repository:

    KERAS_BACKEND=jax python tests/golden/make_values.py

Kept are activations with their slopes, losses with their gradients, schedules, optimizers on a given sequence
of gradients, and statistics of what the initializers draw.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_ENABLE_X64"] = "1"

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE
from numpy.typing import NDArray

Array = NDArray[np.float64]
Json = dict[str, Any]

HERE = Path(__file__).resolve().parent

MAGNITUDES = (1e-300, 1e-8, 1e-3, 0.1, 0.5, 1.0, 1.7, 2.5, 4.0, 6.0, 9.0, 15.0, 25.0, 40.0, 100.0, 700.0, 1e4)
POINTS = np.array([*(-m for m in reversed(MAGNITUDES)), -0.0, 0.0, *MAGNITUDES, -np.inf, np.inf])

NAMES = ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus",
         "softsign", "mish")  # fmt: skip
ACTIVATIONS: tuple[Json, ...] = (
    *({"type": name} for name in NAMES),
    {"type": "leaky_relu", "negative_slope": 0.01},
    {"type": "elu", "alpha": 0.3},
)  # fmt: skip

SOFTMAX_ROWS = np.array(
    [
        [0.0, 0.0, 0.0, 0.0],
        [1.0, 2.0, 3.0, 4.0],
        [-1000.0, 0.0, 1.0, 2.0],
        [1000.0, 999.0, 998.0, -1000.0],
        [1e-9, 0.0, -1e-9, 30.0],
        [-5.0, -5.5, -700.0, -4.0],
    ]
)
COTANGENTS = np.random.default_rng(1).normal(size=SOFTMAX_ROWS.shape)

PROBABILITIES = np.array(
    [
        [0.1, 0.2, 0.7],
        [1e-5, 0.5, 1 - 1e-5],
        [0.0, 1.0, 0.3],
        [1e-9, 1 - 1e-9, 0.5],
        [0.4, 0.4, 0.9],
        [3e-7, 0.999, 0.2],
    ]
)
PROBABILITY_TARGETS = np.array(
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]
)
NUMBERS = np.random.default_rng(2).normal(size=(6, 3)) * np.array([[1e-6], [0.1], [1.0], [3.0], [1e3], [1e6]])
NUMBER_TARGETS = np.random.default_rng(3).normal(size=(6, 3))
LOSSES = {
    "mean_squared_error": (NUMBERS, NUMBER_TARGETS),
    "mean_absolute_error": (NUMBERS, NUMBER_TARGETS),
    "binary_crossentropy": (PROBABILITIES, PROBABILITY_TARGETS),
    "categorical_crossentropy": (PROBABILITIES, PROBABILITY_TARGETS),
}

SCHEDULE_STEPS = 60
SCHEDULES: tuple[Json, ...] = (
    {"type": "ExponentialDecay", "initial_learning_rate": 0.3, "decay_steps": 7, "decay_rate": 0.6},
    {
        "type": "ExponentialDecay",
        "initial_learning_rate": 0.3,
        "decay_steps": 7,
        "decay_rate": 0.6,
        "staircase": True,
    },
    {"type": "CosineDecay", "initial_learning_rate": 0.3, "decay_steps": 25},
    {"type": "CosineDecay", "initial_learning_rate": 0.3, "decay_steps": 90, "alpha": 0.2},
    {
        "type": "CosineDecay",
        "initial_learning_rate": 0.02,
        "decay_steps": 30,
        "alpha": 0.1,
        "warmup_target": 0.5,
        "warmup_steps": 12,
    },
    {
        "type": "CosineDecay",
        "initial_learning_rate": 0.02,
        "decay_steps": 30,
        "warmup_target": 0.5,
        "warmup_steps": 1,
    },
)

OPTIMIZER_STEPS = 40
OPTIMIZERS: tuple[Json, ...] = (
    {"type": "SGD"},
    {"type": "SGD", "learning_rate": 0.3, "momentum": 0.9},
    {"type": "SGD", "learning_rate": 0.3, "momentum": 0.6, "nesterov": True},
    {"type": "Adagrad"},
    {"type": "Adagrad", "learning_rate": 0.2, "initial_accumulator_value": 0.0, "epsilon": 1e-3},
    {"type": "RMSprop"},
    {"type": "RMSprop", "rho": 0.5, "momentum": 0.7},
    {"type": "RMSprop", "rho": 0.95, "centered": True, "epsilon": 1e-4},
    {"type": "RMSprop", "rho": 0.95, "centered": True, "epsilon": 1e-4, "momentum": 0.5},
    {"type": "Adam"},
    {"type": "Adam", "learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2},
    {"type": "AdamW"},
    {"type": "AdamW", "learning_rate": 0.1, "weight_decay": 0.5},
    {"type": "Nadam"},
    {"type": "Nadam", "learning_rate": 0.1, "beta_1": 0.6, "beta_2": 0.95},
)


def gradient_sequence() -> tuple[Array, Array]:
    """Weights, and a gradient of each per step: from far below epsilon to huge, zeros, a spike."""
    random = np.random.default_rng(4)
    scales = np.array([1e-12, 1e-7, 1e-3, 1.0, 1e3, 1e8, 0.0, 1.0])
    gradients = random.normal(size=(OPTIMIZER_STEPS, scales.size)) * scales
    gradients[:, 7] = 0
    gradients[20, 7] = 50
    return random.normal(size=scales.size), gradients


DRAWN = ("zeros", "ones", "constant", "identity", "random_normal", "random_uniform", "truncated_normal",
         "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal",
         "orthogonal")  # fmt: skip
INITIALIZERS: tuple[Json, ...] = (
    *({"type": name} for name in DRAWN),
    {"type": "constant", "value": 0.7},
    {"type": "identity", "gain": 1.5},
    {"type": "orthogonal", "gain": 2.0},
    {"type": "random_normal", "mean": 0.2, "stddev": 0.5},
    {"type": "random_uniform", "minval": -0.1, "maxval": 0.4},
    {"type": "truncated_normal", "mean": 0.2, "stddev": 0.5},
)  # fmt: skip
SHAPES = ((150, 60), (60, 150), (100, 100))
DRAWS = 20
QUANTILES = np.array([0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1.0])


def label(spec: Json) -> str:
    """The key of a spec: its JSON text."""
    return json.dumps(spec)


def activation_tables() -> dict[str, Array]:
    tables = {}
    for spec in ACTIVATIONS:
        fields = dict(spec)
        function = keras.activations.get(fields.pop("type"))
        values = function(jnp.asarray(POINTS), **fields)
        slope = jax.vmap(jax.grad(lambda x: function(x, **fields)))  # noqa: B023 (used in this round only)
        slopes = slope(jnp.asarray(POINTS))
        tables[f"activation/{label(spec)}"] = np.stack([values, slopes])
    values, back = jax.vjp(keras.activations.softmax, jnp.asarray(SOFTMAX_ROWS))
    tables["softmax/rows"] = SOFTMAX_ROWS
    tables["softmax/values"] = np.asarray(values)
    tables["softmax/cotangents"] = COTANGENTS
    tables["softmax/slopes"] = np.asarray(back(jnp.asarray(COTANGENTS))[0])
    return tables


def loss_tables() -> dict[str, Array]:
    tables = {}
    for name, (predicted, target) in LOSSES.items():
        function = keras.losses.get(name)
        p, y = jnp.asarray(predicted), jnp.asarray(target)
        gradient = jax.grad(lambda p: jnp.sum(function(y, p)))(p)  # noqa: B023 (used in this round only)
        tables |= {
            f"loss/{name}/predicted": predicted,
            f"loss/{name}/target": target,
            f"loss/{name}/values": np.asarray(function(y, p)),
            f"loss/{name}/gradients": np.asarray(gradient),
        }
    return tables


def schedule_tables() -> dict[str, Array]:
    tables = {}
    for spec in SCHEDULES:
        fields = dict(spec)
        schedule = getattr(keras.optimizers.schedules, fields.pop("type"))(**fields)
        tables[f"schedule/{label(spec)}"] = np.array([float(schedule(step)) for step in range(SCHEDULE_STEPS)])
    return tables


def optimizer_tables() -> dict[str, Array]:
    start, gradients = gradient_sequence()
    tables = {"optimizer_start": start, "optimizer_gradients": gradients}
    for spec in OPTIMIZERS:
        fields = dict(spec)
        optimizer = getattr(keras.optimizers, fields.pop("type"))(**fields)
        variable = keras.Variable(start, dtype="float64")
        optimizer.build([variable])
        path = []
        for gradient in gradients:
            optimizer.apply([jnp.asarray(gradient)], [variable])
            path.append(np.asarray(variable.value))
        tables[f"optimizer/{label(spec)}"] = np.array(path)
    return tables


def initializer(fields: Json, kind: str, seed: int) -> keras.initializers.Initializer:
    cls = getattr(keras.initializers, "".join(part.capitalize() for part in kind.split("_")))
    return cls(**fields) if kind in ("zeros", "ones", "constant", "identity") else cls(**fields, seed=seed)


def initializer_tables() -> dict[str, Array]:
    """Of each initializer and shape: quantiles, then mean, standard deviation and smallest singular value."""
    tables = {"initializer_quantiles": QUANTILES}
    for spec in INITIALIZERS:
        fields = dict(spec)
        kind = fields.pop("type")
        for shape in SHAPES:
            drawn = []
            for seed in range(DRAWS):
                drawn.append(np.asarray(initializer(fields, kind, seed)(shape, dtype="float64")))
            tables[f"initializer/{label(spec)}/{shape[0]}x{shape[1]}"] = summary(np.array(drawn))
    return tables


def summary(drawn: Array) -> Array:
    """Statistics of drawn matrices, shape `(draws, rows, columns)`."""
    singular = np.mean([np.linalg.svd(matrix, compute_uv=False)[[0, -1]] for matrix in drawn], axis=0)
    return np.array([*np.quantile(drawn, QUANTILES), drawn.mean(), drawn.std(), *singular])


def main() -> None:
    keras.config.set_floatx("float64")
    # Away from TensorFlow, Keras takes means, tanh, cos and more in float32 even where `floatx` is float64.
    BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    tables: dict[str, Any] = {"points": POINTS}
    for make in (activation_tables, loss_tables, schedule_tables, optimizer_tables, initializer_tables):
        tables |= make()
    assert all(table.dtype == np.float64 for table in tables.values())
    tables["versions"] = np.array(json.dumps({"keras": keras.__version__, "backend": "jax"}))
    np.savez_compressed(HERE / "keras_values.npz", **tables)
    sys.stdout.write(f"{len(tables)} tables\n")


if __name__ == "__main__":
    main()

"""Trains every case of `cases.py` in Keras; the outcome goes to `keras_float64.npz` and `keras_float32.npz`.

Needs the `reference` extra (Keras with JAX). From the top of the repository:

    KERAS_BACKEND=jax python tests/golden/make_goldens.py [CASE ...]

With names of cases, only these are trained anew.

The translation to Keras below is written against Keras alone, so that an error in gradsim's own export can't
hide an error in its engine. Weights are kept flat, in stack order, each layer's in the order of Keras'
`get_weights()`. Keys are `case/quantity`; data sets are `data/name/x` and `data/name/y`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from tests.golden.cases import CASES, CLASSES, FEATURES, ROWS, STEPS, Case, Json  # noqa: E402

DTYPES = ("float64", "float32")
# Where Keras' own float32 run is further than this from its float64 run, a comparison at 1e-3 says nothing.
CONDITION_LIMIT = 2e-4
# The layer kinds whose delta is the slope with respect to what goes in, not to what comes out.
ACTIVATION_LAYERS = ("Activation", "LeakyReLU", "PReLU", "ELU")
MAIN_WEIGHT = {
    "Dense": "kernel",
    "BatchNormalization": "gamma",
    "LayerNormalization": "gamma",
    "PReLU": "alpha",
}

Array = NDArray[Any]


def _float32(values: Array) -> Array:
    """Rounded so that both precisions start from the very same numbers."""
    return values.astype(np.float32)


def make_data(seed: int = 20) -> dict[str, tuple[Array, Array]]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(ROWS, FEATURES))
    hidden = np.tanh(x @ random.normal(size=(FEATURES, 6)))
    classes = np.eye(CLASSES)[np.argmax(hidden @ random.normal(size=(6, CLASSES)), axis=1)]
    labels = (hidden @ random.normal(size=(6, 3)) > 0).astype(float)
    targets = 0.4 * hidden @ random.normal(size=(6, 3)) + 0.1 * random.normal(size=(ROWS, 3))
    features = _float32(x)
    return {
        "classes": (features, _float32(classes)),
        "binary": (features, _float32(labels[:, :1])),
        "labels": (features, _float32(labels)),
        "regression": (features, _float32(targets)),
        "images": (features.reshape(ROWS, 4, 3), _float32(classes)),
    }


def make_weights(model: keras.Model, seed: int) -> list[Array]:
    """Weights away from special values (no zero bias, no gamma of one), so that every gradient shows."""
    random = np.random.default_rng(seed)
    values = []
    for variable in model.weights:
        shape = tuple(variable.shape)
        kind = variable.path.rsplit("/", 1)[-1]
        if kind == "kernel":
            value = random.normal(size=shape) * np.sqrt(1.2 / shape[0])
        elif kind in ("gamma", "moving_variance"):
            value = random.uniform(0.7, 1.4, size=shape)
        elif kind == "alpha":
            value = random.uniform(0.05, 0.4, size=shape)
        else:
            value = random.normal(size=shape) * 0.15
        values.append(_float32(value))
    return values


def _activation(spec: str | Json | None) -> Any:
    if spec is None or isinstance(spec, str):
        return keras.activations.get(spec)
    fields = dict(spec)
    function = keras.activations.get(fields.pop("type"))
    return lambda x: function(x, **fields)


def _regularizer(spec: str | Json) -> Any:
    if isinstance(spec, str):
        return keras.regularizers.get(spec)
    fields = dict(spec)
    return getattr(keras.regularizers, fields.pop("type"))(**fields)


def _optimizer(spec: Json) -> keras.optimizers.Optimizer:
    fields = dict(spec)
    kind = fields.pop("type")
    rate = fields.get("learning_rate")
    if isinstance(rate, dict):
        rate = dict(rate)
        schedule = rate.pop("type")
        if schedule == "WarmUp":
            # Keras has the warm-up inside of CosineDecay; with alpha=1 the decay after it stays where it is.
            top, start = rate["learning_rate"], rate.get("start", 0.0)
            schedule = "CosineDecay"
            rate = {
                "initial_learning_rate": start * top,
                "warmup_target": top,
                "warmup_steps": rate["warmup_steps"],
                "decay_steps": STEPS,
                "alpha": 1.0,
            }
        fields["learning_rate"] = getattr(keras.optimizers.schedules, schedule)(**rate)
    return getattr(keras.optimizers, kind)(**fields)


class Stack:
    """One Keras model, and its layers in the order of gradsim's expanded stack."""

    def __init__(self, experiment: Json, input_shape: tuple[int, ...]) -> None:
        self.rows: list[tuple[str, keras.Layer]] = []
        self._tree: list[Any] = []
        inputs = keras.Input(input_shape)
        self._tree, output = self._build(experiment["layers"], inputs)
        self.model = keras.Model(inputs, output)

    def _build(self, specs: list[Json], tensor: Any, trainable: bool = True) -> tuple[list[Any], Any]:
        tree: list[Any] = []
        for spec in specs:
            fields = dict(spec)
            kind = fields.pop("type")
            fields["trainable"] = trainable and fields.get("trainable", True)
            if not fields.pop("enabled", True):
                continue
            if kind == "Repeat":
                for _ in range(fields["count"]):
                    inner, tensor = self._build(fields["layers"], tensor, fields["trainable"])
                    tree += inner
            elif kind == "Residual":
                inner, branch = self._build(fields["layers"], tensor, fields["trainable"])
                tensor = keras.layers.Add()([tensor, branch])
                tree.append(inner)
            else:
                if "activation" in fields:
                    fields["activation"] = _activation(fields["activation"])
                if "kernel_regularizer" in fields:
                    fields["kernel_regularizer"] = _regularizer(fields["kernel_regularizer"])
                layer = getattr(keras.layers, kind)(**fields)
                tensor = layer(tensor)
                tree.append(len(self.rows))
                self.rows.append((kind, layer))
        return tree, tensor

    def weights(self) -> Array:
        """All weights in one vector; Keras' own order is the stack's, as every stack is a chain of layers."""
        return np.concatenate([np.ravel(w) for w in self.model.get_weights()])

    def forward(self, x: Any, probes: list[Any] | None, tree: list[Any] | None = None) -> Any:
        """The output with `probes[row]` added where a row's delta is measured (None: collects shapes)."""
        for node in self._tree if tree is None else tree:
            if isinstance(node, list):
                x = x + self.forward(x, probes, node)
                continue
            kind, layer = self.rows[node]

            def probed(value: Any, row: int = node) -> Any:
                self.shapes[row] = tuple(value.shape)
                return value if probes is None else value + probes[row]

            if kind == "Dense":
                activation, layer.activation = layer.activation, keras.activations.linear
                x = activation(probed(layer(x, training=True)))
                layer.activation = activation
            elif kind in ACTIVATION_LAYERS:
                x = layer(probed(x), training=True)
            else:
                x = probed(layer(x, training=True))
        return x

    def first_gradients(self, x: Array, y: Array, loss: str) -> tuple[list[Array], list[Array]]:
        """Delta and gradient of the main weight, for every row, of one batch in training mode.

        The loss includes the regularizers. A row without weights has an empty gradient; a frozen layer's
        gradient is computed like any other's.
        """
        import jax

        variables = self.model.variables
        loss_function = keras.losses.get(loss)
        self.shapes: dict[int, tuple[int, ...]] = {}

        def total(values: list[Any], probes: list[Any] | None) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                output = self.forward(jax.numpy.asarray(x), probes)
                value = keras.ops.mean(loss_function(jax.numpy.asarray(y), output))
                for variable in variables:
                    if variable.trainable and variable.regularizer is not None:
                        value = value + variable.regularizer(variable)
            return value

        values = [variable.value for variable in variables]
        total(values, None)
        probes = [jax.numpy.zeros(self.shapes[row], x.dtype) for row in range(len(self.rows))]
        by_variable, deltas = jax.grad(total, argnums=(0, 1))(values, probes)
        by_id = {id(variable): gradient for variable, gradient in zip(variables, by_variable, strict=True)}
        gradients = []
        for kind, layer in self.rows:
            main = getattr(layer, MAIN_WEIGHT.get(kind, ""), None)
            gradients.append(np.zeros(0, x.dtype) if main is None else np.asarray(by_id[id(main)]))
        return [np.asarray(delta) for delta in deltas], gradients


def batches(rows: int, batch_size: int, steps: int) -> list[slice]:
    """The rows of each step: in order, the last batch of an epoch smaller where the rows run out."""
    epoch = [slice(start, min(start + batch_size, rows)) for start in range(0, rows, batch_size)]
    return [epoch[step % len(epoch)] for step in range(steps)]


def run_case(case: Case, x: Array, y: Array, seed: int | None = None, gradients: bool = True) -> dict[str, Array]:
    """Trains one case for `STEPS` steps in the current `floatx`; `gradients` needs the JAX backend.

    Returns the flat weights `initial`, `after_1` and `after_20`, the `loss` of each step and, of the first
    step, the `delta_norm` of each row and `gradient`, the flat gradients of all main weights.
    """
    keras.utils.clear_session()
    dtype = keras.config.floatx()
    x, y = x.astype(dtype), y.astype(dtype)
    stack = Stack(case.experiment, x.shape[1:])
    initial = make_weights(stack.model, sum(case.name.encode()) if seed is None else seed)
    stack.model.set_weights(initial)
    kept = {"initial": np.concatenate([w.ravel() for w in initial])}
    order = batches(len(x), case.experiment["batch_size"] or len(x), STEPS)
    if gradients:
        deltas, by_row = stack.first_gradients(x[order[0]], y[order[0]], case.experiment["loss"])
        kept["delta_norm"] = np.array([np.linalg.norm(delta.astype(np.float64)) for delta in deltas])
        kept["gradient"] = np.concatenate([gradient.ravel() for gradient in by_row])
    stack.model.compile(optimizer=_optimizer(case.experiment["optimizer"]), loss=case.experiment["loss"])
    check_unclipped(case.experiment["loss"], keras.ops.convert_to_numpy(stack.model(x)), y)
    losses = []
    for step, rows in enumerate(order):
        losses.append(float(stack.model.train_on_batch(x[rows], y[rows])))
        if step == 0:
            kept["after_1"] = stack.weights()
    kept[f"after_{STEPS}"] = stack.weights()
    kept["loss"] = np.array(losses)
    check_unclipped(case.experiment["loss"], keras.ops.convert_to_numpy(stack.model(x)), y)
    return kept


def use_dtype(dtype: str) -> None:
    keras.config.set_floatx(dtype)
    # Away from TensorFlow, Keras takes means, tanh, cos and more in float32 even where `floatx` is float64.
    BIT64_TO_BIT32_DTYPE["float64"] = dtype
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", dtype == "float64")


def check_unclipped(loss: str, predicted: Array, target: Array) -> None:
    """gradsim's fused cross-entropy does not clip probabilities as Keras does, so no case may come near."""
    if loss == "binary_crossentropy":
        predicted = np.where(target == 1, predicted, 1 - predicted)
    elif loss == "categorical_crossentropy":
        predicted = (predicted / predicted.sum(axis=1, keepdims=True))[target == 1]
    else:
        return
    assert predicted.min() > 1e-6, "a probability is so small that Keras clips it"
    assert predicted.max() < 1 - 1e-6, "a probability is so large that Keras clips it"


def make(dtype: str, names: list[str]) -> None:
    use_dtype(dtype)
    data = make_data()
    arrays: dict[str, Array] = {}
    if names:
        with np.load(HERE / f"keras_{dtype}.npz") as kept:
            current = {case.name for case in CASES}
            arrays = {key: value for key, value in kept.items() if key.split("/")[0] in current}
    for name, (x, y) in data.items():
        arrays[f"data/{name}/x"], arrays[f"data/{name}/y"] = x, y
    for case in CASES:
        if names and case.name not in names:
            continue
        kept = run_case(case, *data[case.data])
        assert all(np.isfinite(value).all() for value in kept.values()), f"{case.name}: not finite"
        assert all(kept[q].dtype == dtype for q in ("after_1", f"after_{STEPS}", "gradient")), case.name
        arrays |= {f"{case.name}/{quantity}": value for quantity, value in kept.items()}
        arrays[f"{case.name}/experiment"] = np.array(json.dumps({"data": case.data, **case.experiment}))
        sys.stdout.write(f"{dtype} {case.name}: loss {kept['loss'][0]:.4f} to {kept['loss'][-1]:.4f}\n")
    versions = {"keras": keras.__version__, "backend": keras.backend.backend()}
    arrays["versions"] = np.array(json.dumps(versions))
    np.savez_compressed(HERE / f"keras_{dtype}.npz", **arrays)


def relative_error(actual: Array, expected: Array) -> float:
    """Largest difference as a share of the largest expected value (of 1 where all are zero)."""
    scale = np.abs(expected).max(initial=0.0) or 1.0
    return float(np.abs(actual - expected).max(initial=0.0) / scale)


def check_condition() -> list[str]:
    """Names the cases too sensitive to rounding to be compared in float32."""
    with np.load(HERE / "keras_float64.npz") as exact, np.load(HERE / "keras_float32.npz") as rounded:
        faults = []
        for case in CASES:
            for quantity in ("gradient", "delta_norm", "after_1", f"after_{STEPS}", "loss"):
                key = f"{case.name}/{quantity}"
                error = relative_error(rounded[key], exact[key])
                if error > CONDITION_LIMIT:
                    faults.append(f"{key}: float32 is {error:.1e} away from float64")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description="Trains every golden case in Keras.")
    parser.add_argument("--dtype", choices=DTYPES, help="default: both, each in its own process")
    parser.add_argument("names", nargs="*", metavar="CASE", help="default: all")
    options = parser.parse_args()
    if options.dtype:
        make(options.dtype, options.names)
        return 0
    for dtype in DTYPES:
        subprocess.run([sys.executable, __file__, "--dtype", dtype, *options.names], check=True)
    faults = check_condition()
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())

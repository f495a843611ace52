"""Exported Keras scripts run as they are and train what the engine trains."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradsim.exchange import keras_script
from gradsim.model import Experiment
from tests.unit.exchange.cases import CASES, experiment, starting_weights, trained

STEPS = 8


def run(value: Experiment, folder: Path, epochs: int) -> dict[str, Any]:
    """What a script defines when it has run."""
    keras = pytest.importorskip("keras", reason="needs Keras, which the reference environment has")
    if keras.config.backend() == "jax" and value.dtype == "float64":
        import jax

        jax.config.update("jax_enable_x64", True)
    # Keras keeps the format of the first layer of a process.
    keras.config.set_dtype_policy(value.dtype)
    exported = keras_script.export(
        value, epochs=epochs, weights=starting_weights(value), data="file", arrays_name="own.npz"
    )
    exported.write(folder / "own.py")
    try:
        return runpy.run_path(str(folder / "own.py"))
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", CASES)
def test_that_a_script_has_the_engines_losses_and_weights(name: str, tmp_path: Path) -> None:
    value = experiment(name)
    batches = value.batch_size is not None
    epochs = 1 if batches else STEPS
    made = run(value, tmp_path, epochs)
    losses, weights = trained(value, STEPS if not batches else -(-len(made["x_train"]) // int(value.batch_size or 1)))
    if not batches:
        np.testing.assert_allclose(made["history"].history["loss"], losses, rtol=1e-4)
    for mine, its in zip(weights, made["model"].get_weights(), strict=True):
        np.testing.assert_allclose(its, mine, rtol=1e-3, atol=2e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["repeat", "residual", "normalized", "activations", "regularized", "binary"])
def test_that_a_scripts_gradients_are_the_engines_layer_by_layer(name: str, tmp_path: Path) -> None:
    # With a rate of 1 the first step of plain SGD is the gradient itself.
    whole = experiment(name)
    value = Experiment(
        layers=whole.layers,
        data=whole.data,
        loss=whole.loss,
        batch_size=None,
        seed=3,
        dtype="float64",
        optimizer={"type": "SGD", "learning_rate": 1.0},
    )
    made = run(value, tmp_path, 1)
    _, weights = trained(value, 1)
    for start, mine, its in zip(starting_weights(value), weights, made["model"].get_weights(), strict=True):
        # Keras' fit rounds to float32 on its way even here: compared with the exact gradient of a single softmax layer
        # it is off by 1e-7.
        gradient = start - mine
        np.testing.assert_allclose(start - its, gradient, rtol=1e-5, atol=3e-6 * np.abs(gradient).max(initial=0.03))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["repeat", "float64"])
def test_that_a_script_runs_by_itself_in_its_number_format(name: str, tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs Keras, which the reference environment has")
    path = tmp_path / "own.py"
    value = experiment(name)
    check = f'assert str(model.get_weights()[0].dtype) == "{value.dtype}"\n'
    path.write_text(keras_script.export(value, epochs=1).text + check)
    environment = {"KERAS_BACKEND": "jax"} | os.environ
    subprocess.run([sys.executable, str(path)], check=True, env=environment, cwd=tmp_path, capture_output=True)


def test_that_what_keras_has_no_name_for_is_told() -> None:
    value = Experiment(layers=[{"type": "Dense", "units": 3, "name": "dense_1"}], data={"type": "spiral", "classes": 3})
    (note,) = keras_script.export(value).notes
    assert "'dense_1' is left out" in note


def test_that_data_in_memory_need_a_file() -> None:
    value = Experiment(layers=[{"type": "Dense", "units": 1}], data=(np.zeros((4, 2)), np.arange(4) / 3.0), loss="mse")
    with pytest.raises(ValueError, match="export them to a file"):
        keras_script.export(value)
    assert set(keras_script.export(value, data="file").arrays) >= {"x_train", "y_train"}

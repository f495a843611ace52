"""Exported PyTorch scripts run as they are and train what the engine trains."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradsim.exchange import torch_script
from gradsim.model import Experiment
from tests.unit.exchange.cases import CASES, experiment, starting_weights, trained

STEPS = 8


def run(value: Experiment, folder: Path, epochs: int) -> dict[str, Any]:
    """What a script defines when it has run."""
    torch = pytest.importorskip("torch", reason="needs PyTorch, which the reference environment has")
    exported = torch_script.export(
        value, epochs=epochs, weights=starting_weights(value), data="file", arrays_name="own.npz"
    )
    exported.write(folder / "own.py")
    try:
        return runpy.run_path(str(folder / "own.py"))
    finally:
        torch.set_default_dtype(torch.float32)


def weights_of(model: Any, value: Experiment) -> list[np.ndarray[Any, Any]]:
    """The arrays of a model in Keras' order."""
    from torch import nn

    found = []
    for module in model.modules():
        if isinstance(module, nn.Linear):
            found.append(module.weight.detach().numpy().T)
            if module.bias is not None:
                found.append(module.bias.detach().numpy())
        elif isinstance(module, nn.BatchNorm1d | nn.LayerNorm):
            fixed = getattr(module, "fixed", ())
            found += [getattr(module, n).detach().numpy() for n in ("weight", "bias") if n not in fixed]
            if isinstance(module, nn.BatchNorm1d):
                found += [module.running_mean.numpy(), module.running_var.numpy()]
        elif isinstance(module, nn.PReLU):
            found.append(module.weight.detach().numpy())
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", CASES)
def test_that_a_script_has_the_engines_losses_and_weights(name: str, tmp_path: Path) -> None:
    value = experiment(name)
    batches = value.batch_size is not None
    made = run(value, tmp_path, 1 if batches else STEPS)
    losses, weights = trained(value, len(made["losses"]))
    np.testing.assert_allclose(made["losses"], losses, rtol=1e-4)
    roles = [weight.role for _, weight in value.stack().weights()]
    for role, mine, its in zip(roles, weights, weights_of(made["model"], value), strict=True):
        # PyTorch keeps the unbiased variance there; it takes no part in training.
        if role != "moving_variance":
            np.testing.assert_allclose(its, mine, rtol=1e-3, atol=2e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["repeat", "residual", "normalized", "activations", "regularized", "binary"])
def test_that_a_scripts_gradients_are_the_engines_layer_by_layer(name: str, tmp_path: Path) -> None:
    whole = experiment(name)
    value = Experiment(
        layers=whole.layers, data=whole.data, loss=whole.loss, batch_size=None, seed=3, dtype="float64",
        optimizer={"type": "SGD", "learning_rate": 1.0},
    )  # fmt: skip
    made = run(value, tmp_path, 1)
    _, weights = trained(value, 1)
    roles = [weight.role for _, weight in value.stack().weights()]
    found = weights_of(made["model"], value)
    for role, start, mine, its in zip(roles, starting_weights(value), weights, found, strict=True):
        if not role.startswith("moving_"):
            np.testing.assert_allclose(start - its, start - mine, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_that_a_script_runs_by_itself_with_weights_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch, which the reference environment has")
    initial = ["he_normal", "lecun_uniform", "orthogonal", "identity", {"type": "truncated_normal", "stddev": 0.1}]
    layers = [{"type": "Dense", "units": 4, "kernel_initializer": one} for one in initial]
    value = Experiment(
        layers=[*layers, {"type": "Dense", "units": 3, "activation": "softmax"}], data={"type": "spiral", "classes": 3}
    )
    path = tmp_path / "own.py"
    path.write_text(torch_script.export(value, epochs=1).text)
    subprocess.run([sys.executable, str(path)], check=True, cwd=tmp_path, capture_output=True)

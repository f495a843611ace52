"""gradsim's training beside Keras': the same stacks, weights and batches, 20 steps.

The default suite compares with what Keras computed when `tests/golden/make_goldens.py` ran. Where Keras is
installed, the slow tests also let it compute a part of the cases anew, with other weights and other data.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradsim.engine.trainer import Trainer
from gradsim.model.experiment import Experiment
from gradsim.nn.spec import REGISTRIES
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS
from tests.golden.cases import CASES, STEPS, Case

Array = NDArray[Any]
Golden = tuple[str, dict[str, Array]]

GOLDEN = Path(__file__).parents[2] / "golden"
TOLERANCE = {"float64": 1e-5, "float32": 1e-3}
DTYPES = sorted(TOLERANCE)
# One case of every kind; each takes Keras about a second.
LIVE = ("activation_mish", "layer_prelu_adam", "optimizer_nadam", "optimizer_rmsprop_centered_momentum",
        "clipnorm_every_variable", "bn_before_relu", "ln_and_bn", "frozen_bn_first", "residual_nested",
        "repeat_residual", "regularizer_clipped_adam", "bce_many", "schedule_adamw", "partial_batch",
        "everything_nesterov")  # fmt: skip


def relative_error(actual: Array, expected: Array) -> float:
    """Largest difference as a share of the largest value; NaN counts as infinitely far away."""
    assert actual.shape == expected.shape
    difference = np.abs(actual - expected).max(initial=0.0)
    if difference == 0:
        return 0.0
    scale = np.abs(expected).max()
    return float(difference / scale) if scale > 0 and np.isfinite(difference) else float("inf")


def assert_close(quantity: str, actual: Array, expected: Array, tolerance: float) -> None:
    error = relative_error(np.asarray(actual, np.float64), np.asarray(expected, np.float64))
    assert error <= tolerance, f"{quantity}: relative error {error:.2e} is above {tolerance:g}"


class Trained:
    """One case, trained by gradsim from the weights that Keras started from."""

    def __init__(self, case: Case, x: Array, y: Array, initial: Array, dtype: str) -> None:
        self.x, self.y = x.astype(dtype), y.astype(dtype)
        experiment = Experiment(data=(self.x, self.y), dtype=dtype, **case.experiment)
        self.tolerance = TOLERANCE[dtype]
        self.placed = experiment.stack().layers
        self.described = list(experiment.stack().weights())
        self.initial = self.split(initial.astype(dtype))
        self.trainer = Trainer(experiment, self.initial)
        self.gradients = self.trainer.gradients(*self.first_batch(experiment.batch_size))
        first = self.trainer.advance(1)
        self.after_1 = self.trainer.weights()
        rest = self.trainer.advance(STEPS - 1)
        self.after_20 = self.trainer.weights()
        self.first = dict(zip(LAYER_COLUMNS, first.layers[0].T, strict=True))
        steps = np.concatenate([first.steps, rest.steps])
        self.loss = steps[:, STEP_COLUMNS.index("loss")]

    def first_batch(self, batch_size: int | None) -> tuple[Array, Array]:
        return self.x[:batch_size], self.y[:batch_size]

    def split(self, flat: Array) -> list[Array]:
        ends = np.cumsum([weight.size for _, weight in self.described])
        assert ends[-1] == flat.size, f"gradsim has {ends[-1]} weights, Keras {flat.size}"
        parts = np.split(flat, ends[:-1])
        return [part.reshape(weight.shape) for part, (_, weight) in zip(parts, self.described, strict=True)]

    def compare(self, theirs: dict[str, Array]) -> None:
        if "gradient" in theirs:
            self.compare_deltas(theirs["delta_norm"])
            self.compare_gradients(theirs["gradient"])
        self.compare_weights("after 1 step", self.after_1, theirs["after_1"])
        self.compare_weights(f"after {STEPS} steps", self.after_20, theirs[f"after_{STEPS}"])
        assert_close("loss", self.loss, theirs["loss"], self.tolerance)

    def compare_weights(self, when: str, actual: list[Array], expected: Array) -> None:
        everything = zip(self.described, actual, self.split(expected), self.initial, strict=True)
        for (placed, weight), ours, theirs, before in everything:
            label = f"{placed.name}.{weight.role} {when}"
            assert ours.dtype == before.dtype, label
            assert_close(label, ours, theirs, self.tolerance)
            # A small step in a large weight could be quite wrong and still pass the line above. float32 has
            # no digits left for this; in float64 what is below the weight's own rounding says nothing.
            moved = theirs - before
            if before.dtype == np.float64 and np.abs(moved).max() > 1e-9 * np.abs(before).max():
                assert_close(f"change of {label}", ours - before, moved, self.tolerance)

    def compare_deltas(self, expected: Array) -> None:
        """Both as recorded in the first step and as the arrays of a backward pass of its own."""
        # Flatten hands the signal on as it is: it has none of its own.
        own = np.array([placed.layer.identifier != "Flatten" for placed in self.placed])
        assert np.isnan(self.first["delta_norm"][~own]).all()
        assert_close("recorded delta_norm", self.first["delta_norm"][own], expected[own], self.tolerance)
        for placed, delta, theirs in zip(self.placed, self.gradients.delta, expected, strict=True):
            if delta is not None:
                norm = np.linalg.norm(delta.astype(np.float64))
                assert_close(f"delta of {placed.name}", norm, theirs, self.tolerance)

    def compare_gradients(self, expected: Array) -> None:
        by_array = {
            (placed.index, weight.role): gradient
            for (placed, weight), gradient in zip(self.described, self.gradients.weights, strict=True)
        }
        start = 0
        for placed, norm in zip(self.placed, self.first["gradient_norm"], strict=True):
            main = placed.main_weight
            if main is None:
                assert np.isnan(norm), f"{placed.name} has no main weight, but a gradient"
                continue
            theirs = expected[start : start + main.size].reshape(main.shape)
            start += main.size
            ours = by_array[placed.index, main.role]
            if placed.trainable:
                label = f"gradient of {placed.name}"
                assert ours is not None, label
                assert_close(label, ours, theirs, self.tolerance)
                length = np.linalg.norm(theirs.astype(np.float64))
                assert_close(f"recorded norm of the {label}", norm, length, self.tolerance)
            else:
                assert ours is None
                assert np.isnan(norm)
        assert start == expected.size


@pytest.fixture(scope="module", params=DTYPES)
def golden(request: pytest.FixtureRequest) -> Iterator[Golden]:
    with np.load(GOLDEN / f"keras_{request.param}.npz") as kept:
        yield request.param, dict(kept)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_that_twenty_steps_agree_with_kept_keras_runs(golden: Golden, case: Case) -> None:
    dtype, kept = golden
    described = json.loads(str(kept[f"{case.name}/experiment"]))
    assert described == {"data": case.data, **case.experiment}, "the case has changed: run make_goldens.py"
    x, y = kept[f"data/{case.data}/x"], kept[f"data/{case.data}/y"]
    theirs = {key.split("/")[1]: value for key, value in kept.items() if key.startswith(f"{case.name}/")}
    Trained(case, x, y, theirs["initial"], dtype).compare(theirs)


@pytest.fixture
def keras_in(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The module that trains in Keras, set to the precision that is asked for."""
    backend = next((name for name in ("jax", "torch") if importlib.util.find_spec(name)), None)
    if backend is None or not importlib.util.find_spec("keras"):
        pytest.skip("the reference extra is not installed")
    os.environ.setdefault("KERAS_BACKEND", backend)
    from tests.golden import make_goldens

    before = make_goldens.keras.config.floatx()
    make_goldens.use_dtype(request.param)
    yield make_goldens
    make_goldens.use_dtype(before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("keras_in", DTYPES, indirect=True)
@pytest.mark.parametrize("case", [case for case in CASES if case.name in LIVE], ids=lambda case: case.name)
def test_that_twenty_steps_agree_with_keras_now(keras_in: Any, case: Case) -> None:
    dtype = keras_in.keras.config.floatx()
    with_gradients = keras_in.keras.backend.backend() == "jax"
    x, y = keras_in.make_data(seed=7)[case.data]
    theirs = keras_in.run_case(case, x, y, seed=11, gradients=with_gradients)
    Trained(case, x, y, theirs["initial"], dtype).compare(theirs)


def test_that_the_cases_compared_live_exist() -> None:
    assert set(LIVE) <= {case.name for case in CASES}


def test_that_every_registered_thing_is_compared_with_keras() -> None:
    """A new activation, layer, loss, optimizer or regularizer needs a case."""
    used: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)
        elif isinstance(value, str):
            used.add(value)

    for case in CASES:
        collect(case.experiment)
    for kind in ("activation", "layer", "loss", "optimizer", "regularizer", "schedule"):
        for name, spec in REGISTRIES[kind].items():
            assert used & {name, *spec.aliases}, f"no case trains the {kind} {name!r}"

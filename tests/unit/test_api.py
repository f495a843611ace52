"""The programming interface, with real trainings."""

from __future__ import annotations

import doctest
import os
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gradsim
from gradsim import Experiment, ExperimentError, Progress, Recording, datasets, layers, losses, optimizers
from gradsim.model import Experiment as Design
from gradsim.model import bundled, file
from gradsim.nn.layers import Layer


def moons(*stack: Layer, **fields: object) -> Experiment:
    inside = stack or (layers.Dense(8, activation="tanh"),)
    return Experiment(
        layers=[*inside, layers.Dense(1, activation="sigmoid")],
        **{"data": {"type": "moons", "samples": 200}, "loss": "binary_crossentropy", "optimizer": optimizers.SGD(0.1)}
        | fields,
    )


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_that_importing_is_light_and_names_are_loaded_when_used() -> None:
    printed = fresh(
        "import sys, gradsim; a = {'numba', 'numpy', 'PySide6'} & set(sys.modules);"
        "from gradsim import Experiment, layers, optimizers, losses, activations, initializers, schedules, datasets;"
        "from gradsim import Recording, load, regularizers;"
        "print(sorted(a), sorted({'numba', 'scipy', 'PySide6'} & set(sys.modules)))"
    )
    assert printed == "[] []\n"


def test_that_every_public_name_can_be_had() -> None:
    for name in gradsim.__all__:
        assert getattr(gradsim, name) is not None
        assert name in dir(gradsim)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = gradsim.Nothing  # type: ignore[attr-defined]


def test_that_the_first_example_is_true() -> None:
    assert doctest.testmod(gradsim) == doctest.TestResults(failed=0, attempted=4)


def test_that_the_version_is_that_of_the_package() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == gradsim.__version__


def test_that_the_deep_sigmoid_stack_trains_as_documented() -> None:
    experiment = Experiment(
        layers=[
            layers.Flatten(),
            *[layers.Dense(100, activation="sigmoid") for _ in range(20)],
            layers.Dense(10, activation="softmax"),
        ],
        data="fashion_mnist",
        loss="categorical_crossentropy",
        optimizer=optimizers.SGD(learning_rate=0.01, clipnorm=1.0),
        batch_size=32,
        seed=0,
    )
    recording = experiment.run(steps=20)
    assert recording["gradient_norm"].shape == (20, 22)
    assert recording["gradient_norm"].dtype == np.float64
    for key in ("delta_rms", "gradient_rms", "weight_rms", "update_ratio"):
        assert recording[key].shape == (20, 22)
    below, above = recording["gradient_rms"][-1, [1, 20]]
    assert below < 1e-6 * above
    assert recording.final_weights is not None
    assert [w.shape for w in recording.final_weights] == [w.shape for w in experiment.initial_weights()]


def test_that_same_seed_is_same_bytes_and_given_weights_replace_the_drawn() -> None:
    experiment = moons()
    first = experiment.run(steps=30)
    assert experiment.run(steps=30) == first
    assert experiment.run(steps=30, weights=experiment.initial_weights()) == first
    assert experiment.run(steps=30, weights=moons(seed=1).initial_weights()) != first
    assert first.final_weights is not None
    assert first.initial_weights is not None
    for drawn, kept in zip(experiment.initial_weights(), first.initial_weights, strict=True):
        np.testing.assert_array_equal(drawn, kept)


def test_that_epochs_count_updates_and_end_in_a_validation() -> None:
    experiment = moons(batch_size=32)
    recording = experiment.run(epochs=2)
    assert len(recording) == 2 * 5
    assert recording.validation.step.tolist() == [4, 9]
    assert experiment.run().stop == 5
    more = experiment.run(steps=7)
    assert more.validation.step.tolist() == [4, 6]
    assert recording.final_weights is not None
    result = experiment.evaluate(recording.final_weights)
    assert result.loss == recording.validation.val_loss[-1]
    assert 0 <= experiment.evaluate(recording.final_weights, "train").accuracy <= 1


def test_that_without_validation_rows_none_is_recorded() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    experiment = Experiment(layers=[layers.Dense(1)], data=(x, x[:, :1]), loss="mse")
    assert experiment.run(epochs=1).validation.step.tolist() == []
    assert np.isnan(experiment.evaluate().loss)


def test_that_arrays_with_validation_are_taken() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    y = (x[:, 0] > 0).astype(int)
    experiment = Experiment(
        layers=[layers.Dense(2, activation="softmax")], data=(x[:15], y[:15], x[15:], y[15:]), dtype="float64"
    )
    recording = experiment.run(steps=3)
    assert recording.validation.step.tolist() == [0, 1, 2]
    assert recording.experiment is None
    assert recording.dtype == "float64"


def test_that_a_callback_sees_progress_and_can_end_the_run() -> None:
    seen: list[Progress] = []

    def callback(progress: Progress) -> bool:
        seen.append(progress)
        return progress.step >= 5

    recording = moons().run(steps=10_000, callback=callback)
    assert len(recording) == seen[-1].step < 10_000
    assert seen[-1].steps == 10_000
    assert seen[-1].loss == recording["loss"][-1]
    assert recording.final_weights is not None


def test_that_a_run_can_end_at_the_first_number_that_is_not_finite() -> None:
    experiment = Experiment.of(bundled.load("exploding-avalanche"))
    recording = experiment.run(steps=500, stop_on_nonfinite=True)
    assert recording.first_nonfinite is not None
    assert recording.first_nonfinite.step == recording.stop - 1 < 499
    assert len(experiment.run(steps=100)) == 100


def test_that_gradients_agree_with_finite_differences() -> None:
    experiment = moons(dtype="float64")
    data = datasets.load(experiment.data)
    x, y = data.x_train[:6].astype(np.float64), data.y_train[:6].astype(np.float64)
    weights = experiment.initial_weights()
    gradients = experiment.gradients(x, y, weights)

    def loss(nudge: float) -> float:
        moved = [w.copy() for w in weights]
        moved[0][1, 2] += nudge
        return float(np.mean(losses.BinaryCrossentropy()(experiment.predict(x, moved), y)))

    assert gradients.weights[0] is not None
    assert gradients.loss == pytest.approx(loss(0.0), rel=1e-12)
    assert gradients.weights[0][1, 2] == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-6)
    assert [None if delta is None else delta.shape for delta in gradients.delta] == [(6, 8), (6, 1)]
    assert len(gradients.weights) == 4


def test_that_classes_can_be_given_as_numbers() -> None:
    experiment = Experiment(layers=[layers.Dense(3, activation="softmax")], data="iris", dtype="float64")
    x = datasets.load("iris").x_train[:4]
    by_number = experiment.gradients(x, np.array([0, 1, 2, 1]))
    by_row = experiment.gradients(x, np.eye(3)[[0, 1, 2, 1]])
    assert by_number.loss == by_row.loss
    with pytest.raises(ValueError, match="from 0 to 2"):
        experiment.gradients(x, np.array([0, 1, 2, 3]))
    with pytest.raises(ValueError, match="must have the shape"):
        experiment.gradients(x, np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps: must be a whole number of at least 1"),
        ({"epochs": 1.5}, "epochs: must be a whole number"),
        ({"steps": True}, "steps: must be a whole number"),
        ({"steps": 1, "epochs": 1}, "only one of them"),
        ({"steps": 1, "weights": []}, "must be 4 arrays"),
        ({"steps": 1, "weights": [np.zeros(3)] * 4}, "must have the shape"),
    ],
)
def test_that_arguments_that_do_not_fit_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        moons().run(**arguments)  # type: ignore[arg-type]


def test_that_an_impossible_experiment_names_every_fault_before_it_starts() -> None:
    experiment = Experiment(layers=[layers.Dense(4, bias_initializer="identity"), layers.Dense(9)], data="digits")
    for start in (lambda: experiment.run(steps=1), experiment.initial_weights, experiment.evaluate):
        with pytest.raises(ExperimentError) as caught:
            start()
        assert {fault.path for fault in caught.value.faults} == {"layers[0]", "layers[0].bias_initializer"}


def test_that_it_saves_opens_and_becomes_runnable(tmp_path: Path) -> None:
    experiment = moons()
    experiment.save(tmp_path / "moons.gradsim")
    for again in (Experiment.load(tmp_path / "moons.gradsim"), gradsim.load(tmp_path / "moons.gradsim")):
        assert isinstance(again, Experiment)
        assert file.dumps(again) == file.dumps(experiment)
    assert Experiment.of(Design(seed=3)).seed == 3
    assert gradsim.load("vanishing-sigmoid").name.startswith("Vanishing")
    with pytest.raises(ValueError, match="did you mean 'vanishing-sigmoid'"):
        gradsim.load("vanishing-sigmod")
    with pytest.raises(ValueError, match="No such file"):
        gradsim.load("missing.gradsim")


def test_that_problems_are_told() -> None:
    assert [problem.rule for problem in moons(optimizer=optimizers.SGD(99.0)).problems()] == ["learning-rate"]


def test_that_a_recording_knows_its_experiment(tmp_path: Path) -> None:
    experiment = moons(name="Moons")
    recording = experiment.run(steps=2)
    assert recording.experiment is not None
    assert recording.experiment["gradsim"] == 1
    assert recording.experiment["name"] == "Moons"
    recording.save(tmp_path / "moons.npz")
    again = Recording.load(tmp_path / "moons.npz")
    assert again == recording
    assert again.final_weights is not None


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a terminal: whoever starts the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_that_ctrl_c_keeps_what_was_recorded() -> None:
    def press(progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    recording = moons().run(steps=1_000_000, callback=press)
    assert 0 < len(recording) < 1_000_000
    assert recording.final_weights is not None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c")
def test_that_a_second_ctrl_c_interrupts_as_usual() -> None:
    def press_twice(progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        moons().run(steps=1_000_000, callback=press_twice)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_that_a_run_works_in_any_thread() -> None:
    found: list[Recording] = []
    thread = threading.Thread(target=lambda: found.append(moons().run(steps=5)))
    thread.start()
    thread.join()
    assert found == [moons().run(steps=5)]

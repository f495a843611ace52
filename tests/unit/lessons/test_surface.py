from __future__ import annotations

import numpy as np
import pytest

from gradsim.engine import Trainer
from gradsim.lessons.fields import made
from gradsim.lessons.surface import SURFACES, Surface
from gradsim.model import Experiment
from gradsim.nn import layers, optimizers

EVERY = [
    optimizers.SGD(0.1),
    optimizers.SGD(0.1, momentum=0.9),
    optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    optimizers.Adagrad(0.5),
    optimizers.RMSprop(0.05),
    optimizers.Adam(0.2),
    optimizers.AdamW(0.2, weight_decay=0.1),
    optimizers.Nadam(0.2),
    optimizers.SGD(0.1, clipvalue=1.0),
    optimizers.SGD(0.1, clipnorm=1.0),
    optimizers.SGD(0.1, global_clipnorm=1.0),
]


@pytest.mark.parametrize("optimizer", EVERY, ids=str)
def test_that_a_path_is_what_the_engine_does_on_the_same_loss(optimizer: optimizers.Optimizer) -> None:
    # Two rows whose mean squared error is the bowl, (w1^2 + 2 w2^2) / 2.
    x, y = np.array([[1.0, 0.0], [0.0, np.sqrt(2.0)]]), np.zeros((2, 1))
    experiment = Experiment(
        (layers.Dense(1, use_bias=False),), data=(x, y), loss="mse", optimizer=optimizer, batch_size=None,
        dtype="float64",
    )  # fmt: skip
    start = (-3.0, 2.0)
    trainer = Trainer(experiment, [np.array([[start[0]], [start[1]]])])
    trained = [np.array(start)]
    for _ in range(25):
        trainer.advance(1)
        trained.append(trainer.weights()[0][:, 0])
    surface = Surface(surface="bowl", start=start, optimizers=(optimizer,), steps=25)
    (path,) = surface.paths()
    np.testing.assert_allclose(path.points, np.array(trained), rtol=1e-9, atol=1e-12)
    assert path.loss[0] == pytest.approx(8.5)


@pytest.mark.parametrize("name", SURFACES)
def test_that_the_gradient_of_a_surface_is_the_slope_of_its_value(name: str) -> None:
    formula = SURFACES[name]
    left, right, bottom, top = formula.extent
    rng = np.random.default_rng(0)
    x, y = rng.uniform(left, right, 200), rng.uniform(bottom, top, 200)
    dx, dy = formula.gradient(x, y)
    h = 1e-6
    np.testing.assert_allclose(dx, (formula.value(x + h, y) - formula.value(x - h, y)) / (2 * h), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dy, (formula.value(x, y + h) - formula.value(x, y - h)) / (2 * h), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SURFACES)
def test_that_marked_places_are_flat_and_of_their_kind(name: str) -> None:
    formula = SURFACES[name]
    lowest = min(formula.value(mark.x, mark.y) for mark in formula.marks)
    assert lowest == pytest.approx(0.0, abs=1e-9)
    for mark in formula.marks:
        assert np.allclose(formula.gradient(mark.x, mark.y), 0.0, atol=1e-9)
        around = [
            formula.value(mark.x + 0.01 * np.cos(a), mark.y + 0.01 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 16)
        ]
        here = formula.value(mark.x, mark.y)
        if mark.kind == "saddle point":
            assert min(around) < here < max(around)
        else:
            assert here < min(around)
            assert (here == pytest.approx(lowest, abs=1e-9)) == (mark.kind == "minimum")


def test_that_a_grid_holds_the_loss_in_rows_of_y() -> None:
    surface = Surface(surface="ravine", start=(-10.0, 1.5), optimizers=(optimizers.SGD(0.01),), steps=5)
    grid = surface.grid(columns=7, rows=5)
    assert grid.loss.shape == (5, 7)
    assert grid.loss[1, 2] == pytest.approx(surface.formula.value(grid.x[2], grid.y[1]))


def test_that_a_path_that_runs_away_ends_and_says_so() -> None:
    surface = Surface(surface="ravine", start=(-10.0, 1.5), optimizers=(optimizers.SGD(1.0),), steps=500)
    (path,) = surface.paths()
    assert path.ran_away and len(path.points) < 20


def test_that_noise_is_decided_by_the_seed_and_the_same_for_all_paths() -> None:
    surface = Surface(
        surface="valleys",
        start=(-1.6, 1.2),
        optimizers=(optimizers.SGD(0.05), optimizers.SGD(0.05)),
        steps=50,
        noise=3.0,
    )
    first, second = surface.paths()
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(surface.paths(seed=7)[0].points, surface.paths(seed=7)[0].points)
    assert not np.array_equal(first.points, surface.paths(seed=7)[0].points)


def test_that_a_start_outside_of_the_surface_is_refused() -> None:
    surface = made(Surface, {"surface": "bowl", "start": [40, 0], "optimizers": ["SGD"], "steps": 3})
    (fault,) = surface.faults()
    assert fault.path == "start" and "from -4 to 4" in fault.message


def test_that_a_path_is_named_by_its_optimizer() -> None:
    surface = Surface(
        surface="bowl",
        start=(1.0, 1.0),
        optimizers=(optimizers.SGD(0.1, momentum=0.9, nesterov=True), optimizers.SGD(0.3, clipvalue=1.0)),
        steps=1,
    )
    assert surface.labels == ("SGD, Nesterov 0.9, lr 0.1", "SGD, lr 0.3, clipvalue 1")

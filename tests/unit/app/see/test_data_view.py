"""What the network makes of its data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from gradsim.app.see.data_view import DataView, classes_of, kind_of
from gradsim.data import load, source
from gradsim.model.experiment import Experiment
from gradsim.nn import layers

from .conftest import FakeSession, painted, show, sigmoid_stack


@pytest.fixture
def view(qtbot: QtBot, session: FakeSession) -> DataView:
    made = DataView(session)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    show(made, 320, 360)
    return made


def classifier(data: str, classes: int) -> Experiment:
    stack = (layers.Flatten(),) if len(load(source(data)).input_shape) > 1 else ()
    return Experiment(
        layers=(*stack, layers.Dense(16, "relu"), layers.Dense(classes, "softmax")),
        data=data,
        loss="categorical_crossentropy",
    )


def regression() -> Experiment:
    return Experiment(layers=(layers.Dense(8, "tanh"), layers.Dense(1)), data="regression_1d", loss="mse")


@pytest.mark.parametrize(
    ("data", "kind"),
    [("moons", "boundary"), ("digits", "images"), ("regression_1d", "curve"), ("iris", "confusion")],
)
def test_that_each_kind_of_data_has_its_picture(data: str, kind: str) -> None:
    assert kind_of(load(source(data))) == kind


def test_that_the_boundary_is_that_of_the_network(session: FakeSession, view: DataView) -> None:
    session.train(sigmoid_stack(1, 8), 50)
    found = view.found
    assert found is not None
    assert session.trainer is not None
    np.testing.assert_allclose(found.outputs, session.trainer.predict(found.x), rtol=1e-5)
    assert len(np.unique(painted(view).reshape(-1, 3), axis=0)) > 10


def test_that_right_and_wrong_images_are_counted(session: FakeSession, view: DataView) -> None:
    session.train(classifier("digits", 10), 200)
    found = view.found
    assert found is not None
    assert found.kind == "images"
    right = int((classes_of(found.outputs) == found.labels).sum())
    assert view.sentence().startswith(f"{right} of {len(found.x)} validation images right")


def test_that_a_table_is_shown_as_who_is_taken_for_whom(session: FakeSession, view: DataView) -> None:
    session.train(classifier("iris", 3), 50)
    assert view.found is not None
    assert view.found.kind == "confusion"
    assert len(np.unique(painted(view).reshape(-1, 3), axis=0)) > 5


def test_that_a_regression_is_a_curve(session: FakeSession, view: DataView) -> None:
    session.train(regression(), 50)
    assert view.found is not None
    assert (np.diff(view.found.x[:, 0]) > 0).all()


def test_that_nan_outputs_are_said(session: FakeSession, view: DataView) -> None:
    session.train(sigmoid_stack(1, 8), 5)
    assert view.found is not None
    view.found = view.found._replace(outputs=np.full_like(view.found.outputs, np.nan))
    assert view.sentence() == "Every output is NaN: the network no longer answers."
    assert len(np.unique(view.boundary_pixels(view.found))) == 1
    painted(view)


def test_that_a_nan_output_is_no_class() -> None:
    assert classes_of(np.array([[0.7], [np.nan], [0.2]])).tolist() == [1, -1, 0]
    assert classes_of(np.array([[0.1, 0.9], [np.nan, 0.2]])).tolist() == [1, -1]


def test_that_nothing_is_computed_while_it_is_hidden(session: FakeSession, view: DataView) -> None:
    view.hide()
    session.questions.clear()
    session.train(sigmoid_stack(1, 8), 5)
    assert session.questions == []


def test_that_a_large_network_is_asked_for_fewer_points(session: FakeSession, view: DataView) -> None:
    session.train(dataclasses.replace(sigmoid_stack(3, 1024)), 1)
    assert view.found is not None
    assert len(view.found.x) < 1000

"""Raw, clipped and applied gradients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from gradsim.app.see.clipping import Clipping, described
from gradsim.nn.optimizers import SGD

from .conftest import FakeSession, show, sigmoid_stack


@pytest.fixture
def view(qtbot: QtBot, session: FakeSession) -> Clipping:
    made = Clipping(session)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    show(made, 400, 500)
    return made


def train(session: FakeSession, optimizer: SGD) -> None:
    session.train(dataclasses.replace(sigmoid_stack(3), optimizer=optimizer), 20)


def test_that_plain_words_say_that_clipping_is_off(session: FakeSession, view: Clipping) -> None:
    train(session, SGD(0.1))
    assert view.words.text().startswith("Clipping is off")
    np.testing.assert_array_equal(view.plot.norms["clipped"], view.plot.norms["raw"])


def test_that_clipping_by_norm_shortens_and_keeps_the_direction(session: FakeSession, view: Clipping) -> None:
    train(session, SGD(0.1, clipnorm=1e-3))
    raw, clipped = view.plot.norms["raw"], view.plot.norms["clipped"]
    assert (clipped <= raw * (1 + 1e-6)).all()
    assert clipped.max() <= 1e-3 * (1 + 1e-4)
    assert np.nanmin(view.plot.cosines) == pytest.approx(1.0, abs=1e-5)
    assert "Clipping by norm 0.001" in view.words.text()


def test_that_clipping_by_value_shows_the_turned_direction(session: FakeSession, view: Clipping) -> None:
    train(session, SGD(0.1, clipvalue=1e-5))
    assert np.nanmin(view.plot.cosines) < 0.99
    assert "can turn the direction" in view.words.text()


def test_that_the_number_of_clipped_layers_is_counted() -> None:
    text = described(
        SGD(0.1, clipnorm=1.0), np.array([5.0, 0.5, 2.0]), np.array([1.0, 0.5, 1.0]), np.array([1.0, 1.0, 1.0])
    )
    assert "2 of 3 layers were clipped" in text


def test_that_the_table_has_a_line_per_layer_with_weights(session: FakeSession, view: Clipping) -> None:
    train(session, SGD(0.1, clipnorm=1e-3))
    header, rows = view.export_columns()
    assert header == ["layer", "gradient_norm", "clipped_norm", "applied_norm", "clip_cosine"]
    assert [row[0] for row in rows] == ["dense", "dense_1", "dense_2", "dense_3"]


def test_that_the_legend_says_all_of_its_words_where_they_do_not_fit(view: Clipping) -> None:
    assert view.legend.toolTip().splitlines()[-1] == "applied: update / learning rate"

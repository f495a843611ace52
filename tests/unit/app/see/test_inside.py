"""Inside a layer: histograms and the gradient matrix."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from gradsim.app.see.inside import BINS, KEPT, SIDE, History, Inside, pooled, sample
from gradsim.nn import layers

from .conftest import FakeSession, painted, show, sigmoid_stack


@pytest.fixture
def view(qtbot: QtBot, session: FakeSession) -> Inside:
    made = Inside(session)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    show(made, 320, 600)
    return made


def test_that_the_selected_layer_is_asked_for_and_shown(session: FakeSession, view: Inside) -> None:
    session.train(sigmoid_stack(4), 10)
    session.state.select([session.row_uids[2]])
    assert view.row == 2
    assert session.trainer is not None
    gradient = session.trainer.gradient_matrix(2)
    assert gradient is not None
    assert view.matrix._sizes is not None
    np.testing.assert_allclose(view.matrix._sizes, np.abs(gradient), rtol=1e-6)
    assert view.label.text().startswith("dense_2: ")


def test_that_nothing_is_asked_while_it_is_hidden(session: FakeSession, view: Inside) -> None:
    view.hide()
    session.questions.clear()
    session.train(sigmoid_stack(4), 10)
    assert session.questions == []


def test_that_the_layer_above_and_below_are_a_click_away(session: FakeSession, view: Inside) -> None:
    session.train(sigmoid_stack(4), 10)
    view.down.click()
    assert view.row == 1
    assert session.state.selection == (session.row_uids[1],)
    view.up.click()
    view.up.click()
    assert view.row == 0


def test_that_histograms_add_up_over_time(session: FakeSession, view: Inside) -> None:
    session.train(sigmoid_stack(4), 10)
    for _ in range(3):
        view.asking._next = 0
        session.go_on(5)
    assert view.weights.history.size == 4


def test_that_looking_back_shows_that_moment_and_adds_none_in_time(session: FakeSession, view: Inside) -> None:
    session.train(sigmoid_stack(4), 10)
    before = view.weights.history.size
    view.asking._next = 0
    session.state.set_cursor(3)
    assert view.asking._asked == (id(session.recorder), 3)
    assert view.weights.history.size == before
    assert view.weights.history.present.any()


def test_that_a_layer_without_weights_has_activations_only(session: FakeSession, view: Inside) -> None:
    stack = sigmoid_stack(2)
    session.train(dataclasses.replace(stack, layers=(layers.Activation("tanh"), *stack.layers)), 10)
    view.show_row(0)
    assert view.weights.isHidden()
    assert view.gradients.isHidden()
    assert not view.activations.isHidden()
    painted(view)


def test_that_a_frozen_layer_has_weights_but_no_gradient(session: FakeSession, view: Inside) -> None:
    stack = sigmoid_stack(2)
    still = dataclasses.replace(stack.layers[0], trainable=False)
    session.train(dataclasses.replace(stack, layers=(still, *stack.layers[1:])), 10)
    view.show_row(0)
    assert not view.weights.isHidden()
    assert view.gradients.isHidden()
    painted(view)


def test_that_a_normalisation_shows_the_gradient_of_its_scale(session: FakeSession, view: Inside) -> None:
    stack = sigmoid_stack(2)
    session.train(dataclasses.replace(stack, layers=(layers.BatchNormalization(), *stack.layers)), 10)
    view.show_row(0)
    assert view.matrix._sizes is not None
    assert view.matrix._sizes.shape == (1, 2)
    painted(view)


def test_that_a_frequency_is_a_share_of_all_entries() -> None:
    history = History(log=False)
    history.add(np.linspace(-1, 1, 1000))
    assert history.counts[0].sum() == pytest.approx(1.0)


def test_that_a_larger_value_widens_the_axis_and_keeps_what_was_counted() -> None:
    history = History(log=False)
    history.add(np.linspace(-0.9, 0.9, 500))
    before = history.counts[0].sum()
    reach = history.reach
    history.add(np.array([5.0, -5.0]))
    assert history.reach == 8 * reach
    assert history.counts[0].sum() == pytest.approx(before)
    assert history.counts[0][BINS * 3 // 8 : BINS * 5 // 8].sum() == pytest.approx(before)


def test_that_zero_and_nonfinite_entries_are_named() -> None:
    history = History(log=True)
    history.add(np.array([0.0, 0.0, 1e-3, np.nan]))
    assert history.note == "25% not finite, 50% exactly 0"


def test_that_the_oldest_histogram_goes_first() -> None:
    history = History(log=True)
    for i in range(KEPT + 5):
        history.add(np.full(3, 10.0 ** (-i % 10)))
    assert history.size == KEPT


def test_that_a_large_matrix_keeps_its_largest_entry() -> None:
    matrix = np.full((1000, 700), 1e-6, np.float32)
    matrix[777, 333] = -5.0
    found = pooled(matrix)
    assert found.shape == (SIDE, SIDE)
    assert found.max() == 5.0
    assert np.isnan(pooled(np.full((300, 300), np.nan, np.float32))).all()


def test_that_a_sample_is_small_and_spread_over_all_columns() -> None:
    found = sample(np.tile(np.arange(100.0), (10_000, 1)))
    assert found is not None
    assert len(found) <= 8192
    assert len(np.unique(found)) == 100


def test_that_pictures_are_scrolled_to_where_a_page_is_low(session: FakeSession, view: Inside) -> None:
    session.train(sigmoid_stack(4), 10)
    show(view, 320, 180)
    parts = [view.gradients, view.weights, view.activations, view.matrix]
    for above, below in itertools.pairwise(parts):
        assert above.geometry().bottom() < below.geometry().top()
    assert all(part.height() >= part.minimumHeight() for part in parts)

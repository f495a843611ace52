"""A quantity by layer at the shown step."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.directions import Directions
from gradsim.app.see.heatmap import Heatmap
from gradsim.app.see.profile import RECENT, Profile
from gradsim.app.see.rows import Band, RowLayout, RowSpace

from .conftest import FakeSession, painted, recorder_of, show, sigmoid_stack, values


@pytest.fixture
def profile(qtbot: QtBot, session: FakeSession, space: RowSpace) -> Profile:
    made = Profile(session, space)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    show(made, 260, 400)
    return made


def record(session: FakeSession, norms: np.ndarray) -> None:
    recorder = recorder_of(norms.shape[1])
    recorder.append(*values(*norms.shape, delta_norm=norms))
    session.state.set_quantity("delta_norm")
    session.record(recorder)


def test_that_ten_times_as_much_is_always_as_far_to_the_right(session: FakeSession, profile: Profile) -> None:
    record(session, np.array([[1e-8, 1e-7, 1e-6, 1e-2]]))
    assert profile.found is not None
    x = profile.found.at
    assert x[1] - x[0] == pytest.approx(x[2] - x[1])
    assert x[3] - x[2] == pytest.approx(4 * (x[1] - x[0]))


def test_that_the_scale_does_not_change_with_the_data(session: FakeSession, profile: Profile) -> None:
    limits = []
    for size in (1e-30, 1e-3, 1e20):
        record(session, np.full((5, 3), size))
        limits.append(profile.limits)
    assert limits[0] == limits[1] == limits[2]


def test_that_a_value_beyond_the_axis_stands_at_its_end(session: FakeSession, profile: Profile) -> None:
    record(session, np.array([[1e-36, 1e30]]))
    assert profile.found is not None
    assert profile.found.at[0] < 5
    assert profile.found.at[1] > profile.box.width() - 5


def test_that_zero_and_nan_have_no_place_on_the_axis_but_a_mark(session: FakeSession, profile: Profile) -> None:
    recorder = recorder_of(3)
    recorder.append(*values(5, 3, delta_norm=np.array([0.0, 1e-2, 1e-2]), delta_nan=np.array([0, 0, 1])))
    session.state.set_quantity("delta_norm")
    session.record(recorder)
    assert profile.found is not None
    assert np.isnan(profile.found.at[[0, 2]]).all()
    assert [state.value for state in profile.found.states] == ["zero", "healthy", "NaN"]
    assert len(np.unique(painted(profile).reshape(-1, 3), axis=0)) > 5


def test_that_the_band_is_that_of_the_recent_steps(session: FakeSession, profile: Profile) -> None:
    norms = np.full((500, 2), 1e-3)
    norms[0] = 1e5
    norms[500 - RECENT] = 1e-6
    record(session, norms)
    assert profile.found is not None
    assert profile.found.low[0] == pytest.approx(profile.to_pixels(np.array([1e-6]))[0])
    assert profile.found.high[0] == pytest.approx(profile.to_pixels(np.array([1e-3]))[0])


def test_that_the_cursor_decides_the_step(session: FakeSession, profile: Profile) -> None:
    record(session, 10.0 ** np.arange(-8.0, 2.0)[:, None] * np.ones((10, 2)))
    assert profile.found is not None
    late = profile.found.at[0]
    session.state.set_cursor(0)
    assert profile.found.values[0] == 1e-8
    assert profile.found.at[0] < late


def test_that_the_rows_are_level_with_the_heatmap(
    qtbot: QtBot, session: FakeSession, axis: TimeAxis, space: RowSpace, profile: Profile
) -> None:
    heatmap = Heatmap(session, axis, space)  # type: ignore[arg-type]
    qtbot.addWidget(heatmap)
    show(heatmap, 500, 400)
    record(session, np.full((5, 4), 1e-3))
    space.set_layout(RowLayout((Band(0, 2, 10, 90), Band(3, 3, 120, 40)), 200))
    QApplication.processEvents()
    assert heatmap.room() == profile.room()
    assert profile.centres.tolist() == [25.0, 55.0, 85.0, 140.0]
    assert heatmap.area().top() == profile.area().top()


def test_that_theory_is_drawn_where_it_is_given(session: FakeSession, profile: Profile) -> None:
    record(session, np.full((5, 4), 1e-3))
    before = painted(profile)
    profile.set_prediction(np.full(4, 1e-9), np.full(4, 1e-8), np.full(4, 1e-7))
    assert (painted(profile) != before).any()
    profile.set_prediction(None)
    assert (painted(profile) == before).all()


def test_that_both_directions_show_their_own_quantity(qtbot: QtBot, session: FakeSession) -> None:
    both = Directions(session)  # type: ignore[arg-type]
    qtbot.addWidget(both)
    show(both)
    session.train(sigmoid_stack(6), 30)
    assert both.forward.found is not None
    assert both.backward.found is not None
    assert session.recorder is not None
    last = session.recorder.at(29)
    np.testing.assert_array_equal(both.forward.found.values, last["activation_std"][0])
    np.testing.assert_array_equal(both.backward.found.values, last["delta_rms"][0])

"""The shared time axis."""

from __future__ import annotations

import pytest

from gradsim.app.see.axis import TimeAxis, round_end

from .conftest import FakeSession, recorder_of, values


@pytest.fixture
def recorded(session: FakeSession) -> FakeSession:
    recorder = recorder_of(2)
    recorder.append(*values(900, 2))
    session.record(recorder)
    return session


@pytest.mark.parametrize("steps", [1, 20, 21, 99, 100, 101, 12_345, 999_999, 1_000_001])
def test_that_the_end_is_at_most_a_quarter_beyond_the_run(steps: int) -> None:
    assert max(steps, 20) <= round_end(steps) <= max(20, 1.27 * steps)


def test_that_it_follows_the_whole_run(recorded: FakeSession, axis: TimeAxis) -> None:
    assert axis.following
    assert axis.shown == (0.0, 1000.0)


def test_that_it_can_follow_the_latest_steps(recorded: FakeSession, axis: TimeAxis) -> None:
    axis.follow(100)
    assert axis.shown == (800.0, 900.0)
    assert recorded.recorder is not None
    recorded.recorder.append(*values(50, 2))
    recorded.ticks()
    assert axis.shown == (850.0, 950.0)


def test_that_zooming_keeps_the_step_under_the_mouse(recorded: FakeSession, axis: TimeAxis) -> None:
    axis.zoom(0.5, 250.0)
    start, stop = axis.shown
    assert stop - start == pytest.approx(500)
    assert (250 - start) / (stop - start) == pytest.approx(0.25)
    assert recorded.state.range == axis.shown


def test_that_zooming_all_the_way_out_follows_again(recorded: FakeSession, axis: TimeAxis) -> None:
    axis.zoom(0.5, 250.0)
    assert not axis.following
    axis.zoom(4.0, 250.0)
    assert axis.following


def test_that_a_chosen_range_stays_while_the_run_goes_on(recorded: FakeSession, axis: TimeAxis) -> None:
    axis.show(100, 200)
    assert recorded.recorder is not None
    recorded.recorder.append(*values(500, 2))
    recorded.ticks()
    assert axis.shown == (100, 200)


def test_that_panning_stops_at_the_first_step(recorded: FakeSession, axis: TimeAxis) -> None:
    axis.show(100, 200)
    axis.pan(-1000)
    assert axis.shown == (0, 100)


def test_that_it_never_shows_less_than_a_few_steps(recorded: FakeSession, axis: TimeAxis) -> None:
    axis.show(100, 100.5)
    assert axis.shown == (100, 108)


def test_that_a_range_which_grows_by_itself_is_told_from_one_that_somebody_chose(
    session: FakeSession, axis: TimeAxis
) -> None:
    recorder = recorder_of(1)
    session.record(recorder)
    told: list[bool] = []
    axis.changed.connect(lambda: told.append(axis.grows))
    recorder.append(*values(500, 1))
    session.tick.emit()
    axis.show(10, 60)
    axis.follow()
    assert told == [True, False, False]

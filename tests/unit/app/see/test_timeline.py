"""The time line: scrubbing, the shown range, replay."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.timeline import TimeLine

from .conftest import FakeSession, recorder_of, show, values


@pytest.fixture
def line(qtbot: QtBot, session: FakeSession, axis: TimeAxis) -> TimeLine:
    made = TimeLine(session, axis)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    show(made, 700, 80)
    recorder = recorder_of(3)
    recorder.append(*values(1000, 3))
    session.record(recorder)
    return made


def at(line: TimeLine, step: float) -> QPoint:
    return QPoint(round(line.strip.x_of(step)), line.strip.height() // 2)


def test_that_a_drag_goes_back_to_the_step_under_the_mouse(qtbot: QtBot, session: FakeSession, line: TimeLine) -> None:
    qtbot.mousePress(line.strip, Qt.MouseButton.LeftButton, pos=at(line, 500))
    assert session.state.cursor == pytest.approx(500, abs=2)
    qtbot.mouseMove(line.strip, at(line, 250))
    assert session.state.cursor == pytest.approx(250, abs=2)
    qtbot.mouseRelease(line.strip, Qt.MouseButton.LeftButton, pos=at(line, 250))
    assert line.label.text().endswith("of 999")


def test_that_the_step_under_the_mouse_is_read_and_not_where_the_drag_began(
    qtbot: QtBot, session: FakeSession, line: TimeLine
) -> None:
    qtbot.mouseMove(line.strip, at(line, 700))
    assert session.state.hover is not None
    qtbot.mousePress(line.strip, Qt.MouseButton.LeftButton, pos=at(line, 700))
    qtbot.mouseMove(line.strip, at(line, 250))
    assert session.state.hover is None
    qtbot.mouseRelease(line.strip, Qt.MouseButton.LeftButton, pos=at(line, 250))
    assert session.state.cursor == pytest.approx(250, abs=2)


def test_that_the_end_of_the_strip_is_live(qtbot: QtBot, session: FakeSession, line: TimeLine) -> None:
    session.state.set_cursor(10)
    qtbot.mouseClick(line.strip, Qt.MouseButton.LeftButton, pos=QPoint(line.strip.width() - 2, 10))
    assert session.state.cursor is None


def test_that_live_leaves_the_past(qtbot: QtBot, session: FakeSession, axis: TimeAxis, line: TimeLine) -> None:
    session.state.set_cursor(100)
    axis.show(50, 150)
    line.live.click()
    assert session.state.cursor is None
    assert axis.following


def test_that_the_keys_move_by_steps(qtbot: QtBot, session: FakeSession, line: TimeLine) -> None:
    session.state.set_cursor(500)
    for key, wanted in (
        (Qt.Key.Key_Left, 499), (Qt.Key.Key_Right, 500), (Qt.Key.Key_PageUp, 400), (Qt.Key.Key_Home, 0),
        (Qt.Key.Key_End, None),
    ):  # fmt: skip
        qtbot.keyClick(line.strip, key)
        assert session.state.cursor == wanted


def test_that_the_frame_is_dragged_at_its_ends(
    qtbot: QtBot, session: FakeSession, axis: TimeAxis, line: TimeLine
) -> None:
    axis.show(200, 400)
    qtbot.mousePress(line.strip, Qt.MouseButton.LeftButton, pos=at(line, 400))
    qtbot.mouseMove(line.strip, at(line, 700))
    qtbot.mouseRelease(line.strip, Qt.MouseButton.LeftButton, pos=at(line, 700))
    assert axis.shown[0] == 200
    assert axis.shown[1] == pytest.approx(700, abs=3)
    assert session.state.cursor is None


def test_that_scrubbing_beyond_the_shown_range_moves_it(session: FakeSession, axis: TimeAxis, line: TimeLine) -> None:
    axis.show(200, 300)
    line.strip.go_to(700)
    start, stop = axis.shown
    assert start <= 700 < stop
    assert stop - start == 100


def test_that_a_replay_shows_later_and_later_steps_and_ends_live(
    qtbot: QtBot, session: FakeSession, line: TimeLine
) -> None:
    line.speed.setCurrentIndex(line.speed.findData(2000))
    session.state.set_cursor(800)
    seen: list[object] = []
    session.state.cursor_changed.connect(seen.append)
    line.replay.click()
    assert line.replaying
    qtbot.waitUntil(lambda: not line.replaying, timeout=5000)
    steps = [step for step in seen if step is not None]
    assert len(steps) > 1
    assert steps == sorted(steps)
    assert seen[-1] is None


def test_that_another_run_ends_the_replay(session: FakeSession, line: TimeLine) -> None:
    session.state.set_cursor(0)
    line.replay.click()
    recorder = recorder_of(3)
    recorder.append(*values(10, 3))
    session.record(recorder)
    assert not line.replaying

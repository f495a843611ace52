"""The clock of what moves, and the pauses between frames in which other threads may compute."""

from __future__ import annotations

import threading
import time

import pytest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from gradsim.app import frames
from gradsim.app.frames import Frames, Pauses

WAIT = 20_000


@pytest.fixture(autouse=True)
def long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long enough that only what opens a pause can end it."""
    monkeypatch.setattr(frames, "LONGEST", 10.0)


def waiting(pauses: Pauses) -> tuple[threading.Thread, threading.Event]:
    over = threading.Event()

    def work() -> None:
        pauses.wait()
        over.set()

    thread = threading.Thread(target=work)
    thread.start()
    return thread, over


def test_that_work_waits_while_a_frame_is_made_and_goes_on_after_it() -> None:
    pauses = Pauses()
    pauses.interrupt()
    thread, over = waiting(pauses)
    assert not over.wait(0.05)
    pauses.begin()
    assert over.wait(5)
    thread.join()


def test_that_work_begins_at_the_start_of_a_pause_only() -> None:
    pauses = Pauses()
    pauses.begin()
    time.sleep(2 * frames.LATEST)
    thread, over = waiting(pauses)
    assert not over.wait(0.05)
    pauses.begin()
    assert over.wait(5)
    thread.join()


def test_that_work_never_waits_when_no_frames_are_made() -> None:
    pauses = Pauses()
    pauses.begin()
    pauses.end()
    time.sleep(2 * frames.LATEST)
    thread, over = waiting(pauses)
    assert over.wait(5)
    thread.join()


def test_that_a_window_that_is_always_late_does_not_stop_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LONGEST", 0.02)
    pauses = Pauses()
    pauses.interrupt()
    thread, over = waiting(pauses)
    assert over.wait(5)
    thread.join()


def test_that_a_pause_begins_when_a_frame_is_painted(
    qtbot: QtBot, qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Seen(Pauses):
        def interrupt(self) -> None:
            told.append("frame")
            super().interrupt()

        def begin(self) -> None:
            told.append("pause")
            super().begin()

    class Painted(QWidget):
        def paintEvent(self, event: object) -> None:
            told.append("paint")

    monkeypatch.setattr(frames, "pauses", Seen())
    widget, clock = Painted(), Frames()
    qtbot.addWidget(widget)
    widget.show()
    qtbot.waitUntil(lambda: "paint" in told, timeout=WAIT)
    told.clear()
    clock.due.connect(widget.update)
    clock.start()
    qtbot.waitUntil(lambda: told.count("pause") >= 5, timeout=WAIT)
    clock.stop()
    assert told[:15] == ["frame", "paint", "pause"] * 5


def test_that_a_frame_after_other_work_is_crowded_and_the_next_one_is_not(qtbot: QtBot, qapp: QApplication) -> None:
    clock, crowded = Frames(), []
    clock.due.connect(lambda: crowded.append(clock.crowded))
    clock.start()
    qtbot.waitUntil(lambda: len(crowded) >= 2, timeout=WAIT)
    # In Qt's own time between two frames, as a diagnosis that has come is shown.
    until = time.thread_time() + 3 * frames.CROWDED
    while time.thread_time() < until:
        pass
    crowded.clear()
    qtbot.waitUntil(lambda: len(crowded) >= 2, timeout=WAIT)
    clock.stop()
    assert crowded[:2] == [True, False]

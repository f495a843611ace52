from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gradsim.app.window import MainWindow
from gradsim.model import edits
from tests.unit.app.experiments import small_experiment

OpenWindow = Callable[..., MainWindow]


def test_that_hints_appear_once(open_window: OpenWindow) -> None:
    window = open_window()
    window.hints.begin_once()
    assert window.hints.on
    window.hints.end()
    window.hints.begin_once()
    assert not window.hints.on
    assert window.settings.get("hints/shown", False)


def test_that_hints_lead_around_the_window_and_end(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.hints.begin()
    texts = []
    while window.hints.callout is not None:
        callout = window.hints.callout
        assert callout.isVisible() and window.rect().contains(callout.geometry())
        texts.append(callout.text.text())
        qtbot.mouseClick(callout.next, Qt.MouseButton.LeftButton)
    assert 3 <= len(set(texts)) == len(texts) <= 5
    assert "Space" in texts[1]


def test_that_hints_are_switched_off_and_shown_again(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    action = window.actions_["help.hints"]
    action.trigger()
    assert window.hints.on and action.isChecked()
    assert window.hints.callout is not None
    qtbot.mouseClick(window.hints.callout.off, Qt.MouseButton.LeftButton)
    assert not window.hints.on and not action.isChecked()
    action.trigger()
    assert window.hints.on
    action.trigger()
    assert not window.hints.on


def test_that_the_first_hint_starts_the_lesson(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.hints.begin()
    assert window.hints.callout is not None
    qtbot.mouseClick(window.hints.callout.offer, Qt.MouseButton.LeftButton)
    assert not window.hints.on
    lesson = window.lessons.lecture.lesson
    assert lesson is not None and lesson.name == "vanishing" and window.lessons.panel.isVisible()


def test_that_hints_leave_the_window_usable(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.hints.begin()
    qtbot.keyClick(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: window.session.status.step > 2, timeout=20_000)
    assert window.hints.on


def test_that_a_hint_stays_in_the_window_when_it_is_resized(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.hints.begin()
    window.hints.go_on()
    for size in ((1100, 700), (1500, 900)):
        window.resize(*size)
        qtbot.wait(20)
        callout = window.hints.callout
        assert callout is not None and window.rect().contains(callout.geometry())


def test_that_an_audience_sees_no_hints(open_window: OpenWindow) -> None:
    window = open_window()
    window.hints.begin()
    window.presenter.enter()
    assert not window.hints.on
    window.presenter.leave()


def test_that_no_hint_lies_over_another_experiment(open_window: OpenWindow) -> None:
    window = open_window()
    window.hints.begin()
    window.session.edit(edits.set_field, "", "seed", 3)
    assert window.hints.on, "an edit is no reason to end"
    window.session.show(small_experiment())
    assert not window.hints.on
    window.settings.set("hints/shown", False)
    window.hints.begin_once()
    assert not window.hints.on
    window.hints.begin()
    assert window.hints.callout is not None
    assert "twenty" not in window.hints.callout.text.text()

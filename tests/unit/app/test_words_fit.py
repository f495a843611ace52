"""Words have room in every language, at 100 % and at 150 %."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QAbstractButton, QAbstractScrollArea, QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from gradsim import i18n
from gradsim.app import language, theme
from gradsim.app.settings import Settings
from gradsim.app.window import MainWindow
from tests.unit.app.conftest import OpenSession
from tests.unit.app.experiments import small_experiment

SIZE = (1280, 800)
"""The smallest screen that the window is made for."""
SLACK = 1
"""Pixels by which a hint may be rounded up."""


@pytest.fixture
def at_work(
    qtbot: QtBot, open_session: OpenSession, settings: Settings, tmp_path: Path, plain_look: None, request
) -> Iterator[MainWindow]:
    """A window in a language and zoom, with something recorded and a layer selected."""
    code, zoom = request.param
    language.use(code)
    theme.set_zoom(zoom)
    session = open_session(small_experiment())
    window = MainWindow(session, settings, tmp_path / "autosave")
    window.files.ask_unsaved = lambda title: "discard"
    window.resize(*SIZE)
    window.show()
    session.start(play=True)
    qtbot.waitUntil(lambda: session.status.step > 20, timeout=30_000)
    session.pause()
    qtbot.waitUntil(lambda: not session.playing, timeout=20_000)
    session.select_row(0)
    settle()
    yield window
    session.setParent(None)
    window.close()
    window.deleteLater()
    language.use("en")


def settle() -> None:
    for _ in range(5):
        QApplication.processEvents()


def clipped(root: QWidget) -> list[str]:
    """The visible words that don't fit into their widget; those that end in dots, or say all in a tooltip, may."""
    found = []
    for label in root.findChildren(QLabel):
        if label.isVisible() and label.text() and label.textFormat() != Qt.TextFormat.RichText:
            text, room = label.text(), label.contentsRect()
            if label.wordWrap():
                short = label.heightForWidth(label.width()) > label.height() + SLACK
            else:
                lines = [QFontMetrics(label.font()).horizontalAdvance(line) for line in text.split("\n")]
                short = max(lines) > room.width() + SLACK
            if short and "…" not in text and not label.toolTip():
                found.append(f"{type(label).__name__} {text!r}: {room.width()} x {room.height()}")
    for button in root.findChildren(QAbstractButton):
        # A single sign is a picture.
        needed = button.sizeHint().width()
        if button.minimumWidth() == button.maximumWidth():
            # A style wants all buttons as wide as its widest; one with a width of its own only has to hold its words.
            needed = min(needed, button.fontMetrics().horizontalAdvance(button.text().replace("&", "")) + theme.px(16))
        if button.isVisible() and len(button.text()) > 1 and button.width() + SLACK < needed:
            found.append(f"{type(button).__name__} {button.text()!r}: {button.width()}")
    for area in root.findChildren(QAbstractScrollArea):
        # At 150 % on a small screen a panel may have to be scrolled.
        if area.isVisible() and area.horizontalScrollBar().maximum() > 0 and theme.zoom() == 100 and _reads(area):
            found.append(f"{type(area).__name__} {area.accessibleName()!r}: has to be scrolled sideways")
    return found


def _reads(area: QAbstractScrollArea) -> bool:
    return area.horizontalScrollBarPolicy() != Qt.ScrollBarPolicy.ScrollBarAlwaysOff


SETTINGS = [(code, zoom) for code in i18n.LANGUAGES for zoom in (100, 150)]


@pytest.mark.parametrize("at_work", SETTINGS, indirect=True, ids=lambda one: f"{one[0]}-{one[1]}")
def test_that_words_fit_on_every_page(at_work: MainWindow) -> None:
    at_work.resize(*SIZE)
    settle()
    assert (at_work.width(), at_work.height()) == SIZE
    found = clipped(at_work)
    for number, title in enumerate(at_work.side.titles()):
        at_work.side.show_page(number)
        settle()
        found += [f"{title}: {words}" for words in clipped(at_work.side)]
    assert found == []


def test_that_what_does_not_fit_is_found(qtbot: QtBot) -> None:
    whole = QWidget()
    qtbot.addWidget(whole)
    label = QLabel("words that need more room than there is", whole)
    label.resize(40, 20)
    whole.show()
    assert len(clipped(whole)) == 1
    label.resize(label.sizeHint())
    assert clipped(whole) == []

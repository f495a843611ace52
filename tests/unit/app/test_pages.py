"""Rows of buttons that go on in the next row."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from gradsim.app.pages import Flow, Pages


@pytest.fixture
def page(qtbot: QtBot) -> QWidget:
    """Text above, three buttons below."""
    whole = QWidget()
    qtbot.addWidget(whole)
    column = QVBoxLayout(whole)
    column.addWidget(QPlainTextEdit(whole))
    flow = Flow()
    column.addLayout(flow)
    for _ in range(3):
        flow.addWidget(QPushButton("a button of some width", whole))
    whole.resize(900, 500)
    whole.show()
    QApplication.processEvents()
    return whole


def rows(page: QWidget) -> int:
    return len({button.y() for button in page.findChildren(QPushButton)})


def test_that_a_row_of_buttons_leaves_the_room_to_what_is_above(page: QWidget) -> None:
    last = max(button.geometry().bottom() for button in page.findChildren(QPushButton))
    assert rows(page) == 1
    assert page.height() - last < 20


def test_that_buttons_go_on_in_the_next_row(page: QWidget) -> None:
    page.resize(page.findChildren(QPushButton)[0].width() * 2, 500)
    QApplication.processEvents()
    assert rows(page) > 1
    assert all(page.rect().contains(button.geometry()) for button in page.findChildren(QPushButton))


@pytest.fixture
def pages(qtbot: QtBot) -> Pages:
    """Three pages."""
    made = Pages()
    qtbot.addWidget(made)
    for name in ("one", "two", "three"):
        made.add(QLabel(name), name, f"Page {name}")
    made.show()
    return made


def lit(pages: Pages) -> list[int]:
    return [number for number in range(pages.stack.count()) if pages.group.button(number).isChecked()]


def test_that_only_the_button_of_the_shown_page_is_lit(pages: Pages, qtbot: QtBot) -> None:
    for number in (1, 2, 0, 0, 2):
        qtbot.mouseClick(pages.group.button(number), Qt.MouseButton.LeftButton)
        assert (pages.current, lit(pages)) == (number, [number])
    pages.show_page(1)
    assert (pages.current, lit(pages)) == (1, [1])


def test_that_no_button_is_lit_while_the_pages_are_folded(pages: Pages, qtbot: QtBot) -> None:
    pages.set_top(QLabel("a lesson"))
    pages.set_top_shown(True)
    qtbot.mouseClick(pages.group.button(1), Qt.MouseButton.LeftButton)
    qtbot.mouseClick(pages.group.button(1), Qt.MouseButton.LeftButton)
    assert pages.folded
    assert lit(pages) == []
    qtbot.mouseClick(pages.group.button(2), Qt.MouseButton.LeftButton)
    assert not pages.folded
    assert lit(pages) == [2]

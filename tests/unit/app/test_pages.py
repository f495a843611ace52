"""Rows of buttons that go on in the next row."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from gradsim.app.pages import Flow


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

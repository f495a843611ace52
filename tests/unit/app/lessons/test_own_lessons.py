"""Lessons that a person wrote, in the window."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from gradsim import lessons
from gradsim.app.window import MainWindow

OpenWindow = Callable[..., MainWindow]


def test_that_own_lessons_stand_behind_the_others_and_a_broken_one_is_told(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADSIM_LESSONS", str(tmp_path))
    shutil.copytree(lessons.bundled("vanishing").folder, tmp_path / "99-mine")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "lesson.json").write_text("{}", encoding="utf-8")
    (tmp_path / "broken" / "en.md").write_text("# Broken\n", encoding="utf-8")
    window = open_window()
    told: list[str] = []
    window.session.failed.connect(told.append)
    shown = window.lessons.everything()
    assert [lesson.name for lesson in shown] == [*lessons.names(), "mine"]
    assert any("broken: steps: is missing" in text for text in told)
    menu = QMenu()
    window.lessons.fill_menu(menu, menu.addSeparator())
    assert any(action.text().startswith("99. ") for action in menu.actions())

"""Questions to the training while somebody looks."""

from __future__ import annotations

import time
from typing import Any

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from gradsim.app.see.asking import SHARE, Asking, _Timed

from .conftest import FakeSession, recorder_of, show, values


class Slow(FakeSession):
    """Answers when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Any] = []
        self.steps: list[int | None] = []

    def ask(self, key: object, function: Any, callback: Any, step: int | None = None) -> None:
        self.open.append(callback)
        self.steps.append(step)


@pytest.fixture
def slow(qapp: object) -> Slow:
    return Slow()


@pytest.fixture
def asking(qtbot: QtBot, slow: Slow) -> Asking:
    view = QWidget()
    qtbot.addWidget(view)
    show(view, 50, 50)
    made = Asking(slow, view, "key", lambda: lambda trainer: 1, lambda value, step: None)  # type: ignore[arg-type]
    recorder = recorder_of(2)
    recorder.append(*values(5, 2))
    slow.record(recorder)
    return made


def more(session: Slow) -> None:
    assert session.recorder is not None
    session.recorder.append(*values(1, 2))
    session.ticks()


def answer(session: Slow, seconds: float) -> None:
    session.open.pop()(_Timed(1, seconds, 4))


def test_that_only_one_question_is_open(slow: Slow, asking: Asking) -> None:
    assert len(slow.open) == 1
    more(slow)
    assert len(slow.open) == 1


def test_that_the_same_moment_is_asked_once(slow: Slow, asking: Asking) -> None:
    answer(slow, 0.0)
    asking._next = 0.0
    slow.ticks()
    assert slow.open == []
    more(slow)
    assert len(slow.open) == 1


def test_that_costly_answers_are_asked_for_less_often(slow: Slow, asking: Asking) -> None:
    answer(slow, 0.5)
    assert asking._next - time.perf_counter() == pytest.approx(0.5 / SHARE, rel=0.05)


def test_that_the_cursor_is_asked_for_by_its_step(slow: Slow, asking: Asking) -> None:
    answer(slow, 0.0)
    asking._next = 0.0
    slow.state.set_cursor(2)
    assert slow.steps[-1] == 2


def test_that_a_moment_that_can_not_be_had_leaves_the_way_free(slow: Slow, asking: Asking) -> None:
    slow.open.pop()(None)
    more(slow)
    assert len(slow.open) == 1


def test_that_another_run_forgets_what_was_asked_of_the_old_one(slow: Slow, asking: Asking) -> None:
    recorder = recorder_of(2)
    recorder.append(*values(3, 2))
    slow.record(recorder)
    assert len(slow.open) == 2

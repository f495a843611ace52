from __future__ import annotations

import threading

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gradsim.app.background import Background, Breathe

WAIT = 20_000


def test_that_the_answer_comes_in_qts_thread(qtbot: QtBot, qapp: QApplication) -> None:
    background = Background("test")
    threads: list[threading.Thread] = []

    def work(breathe: Breathe) -> int:
        threads.append(threading.current_thread())
        return 3

    def answer(result: int) -> None:
        assert result == 3
        threads.append(threading.current_thread())

    background.do(work, answer)
    qtbot.waitUntil(lambda: len(threads) == 2, timeout=WAIT)
    assert threads[0] is not threading.current_thread()
    assert threads[1] is threading.current_thread()
    assert not background.busy


def test_that_of_what_waits_only_the_latest_is_done(qtbot: QtBot, qapp: QApplication) -> None:
    background, go, done = Background("test"), threading.Event(), []
    background.do(lambda breathe: go.wait(10), lambda _: done.append(0))
    for number in (1, 2, 3):
        background.do(lambda breathe, number=number: number, done.append)
    go.set()
    qtbot.waitUntil(lambda: done == [0, 3], timeout=WAIT)


def test_that_cancelled_work_ends_and_tells_nothing(qtbot: QtBot, qapp: QApplication) -> None:
    background, told, ended = Background("test"), [], threading.Event()

    def work(breathe: Breathe) -> None:
        try:
            while True:
                breathe()
        finally:
            ended.set()

    background.do(work, told.append)
    background.cancel()
    background.do(lambda breathe: "next", told.append)
    assert ended.wait(10)
    qtbot.waitUntil(lambda: told == ["next"], timeout=WAIT)


def test_that_closing_before_the_end_is_silent(qtbot: QtBot, qapp: QApplication) -> None:
    background, go, told = Background("test"), threading.Event(), []
    background.do(lambda breathe: go.wait(10), told.append)
    background.close()
    go.set()
    qtbot.wait(50)
    assert not told


def test_that_what_the_work_raises_is_raised_in_qts_thread(qtbot: QtBot, qapp: QApplication) -> None:
    background = Background("test")

    def work(breathe: Breathe) -> None:
        raise ArithmeticError("told")

    with qtbot.captureExceptions() as raised:
        background.do(work, lambda _: None)
        qtbot.waitUntil(lambda: bool(raised), timeout=WAIT)
    assert raised[0][0] is ArithmeticError
    with pytest.raises(IndexError):
        raised[1]


def test_that_only_the_latest_question_is_answered_and_a_refusal_is_an_answer(qtbot: QtBot, qapp: QApplication) -> None:
    background, gate, heard = Background("test"), threading.Event(), []
    background.ask(lambda _: gate.wait(20), heard.append)
    background.ask(lambda _: 2, heard.append)
    background.ask(lambda _: 1 // 0, heard.append)
    gate.set()
    qtbot.waitUntil(lambda: bool(heard), timeout=WAIT)
    assert not background.busy
    assert [type(one) for one in heard] == [ZeroDivisionError]

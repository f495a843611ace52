"""Experiments with a known fault, and what the tests of diagnosis do with a window."""

from __future__ import annotations

from collections.abc import Callable

from pytestqt.qtbot import QtBot

from gradsim.app.window import MainWindow
from gradsim.model.experiment import Experiment
from gradsim.nn import layers
from tests.unit.app.experiments import small_experiment

WAIT = 30_000
OpenWindow = Callable[..., MainWindow]


def fading(depth: int = 10) -> Experiment:
    """A stack of sigmoids: its gradient vanishes from the first step on."""
    hidden = (layers.Dense(16, "sigmoid") for _ in range(depth))
    return small_experiment(*hidden, layers.Dense(1, "sigmoid"))


def train(window: MainWindow, qtbot: QtBot, steps: int) -> None:
    """Does some steps and waits for the diagnosis of all of them."""
    session = window.session
    stop = session.status.step + steps
    session.runner.step(steps)
    qtbot.waitUntil(lambda: session.status.step >= stop and session.status.state != "playing", timeout=WAIT)
    watching = window.diagnosis.watching
    qtbot.waitUntil(lambda: watching.settled and watching.looked.stop >= stop, timeout=WAIT)


def kinds(window: MainWindow) -> set[str]:
    """Kinds of the findings that are shown."""
    return {seen.finding.kind for seen in window.diagnosis.watching.findings}

"""Sessions that end with the test, and small stacks for them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest
from pytestqt.qtbot import QtBot

from gradsim import engine
from gradsim.app.session import Session
from gradsim.model.experiment import Experiment
from gradsim.nn import layers

MakeSession = Callable[..., Session]


def small(*stack: layers.Layer, **fields: object) -> Experiment:
    """A stack over two features; by default two hidden layers and the output."""
    chosen = stack or (
        layers.Dense(8, "tanh"),
        layers.Dense(6, "tanh"),
        layers.Dense(1, "sigmoid"),
    )
    values = {"data": "moons", "loss": "binary_crossentropy", **fields}
    return Experiment(chosen, **values)  # type: ignore[arg-type]


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels() -> None:
    """A test of a form must not wait for a compiler, nor leave one running."""
    engine.warm_up()


@pytest.fixture
def make_session(qtbot: QtBot) -> Iterator[MakeSession]:
    """Makes a session of a stack of these layers, by default two hidden ones and the output."""
    made: list[Session] = []

    def make(*stack: layers.Layer, **fields: object) -> Session:
        session = Session(small(*stack, **fields), recorder_bytes=8_000_000, checkpoint_bytes=2_000_000)
        made.append(session)
        return session

    # Garbage of Qt's must go in Qt's own thread, and a collection takes whichever thread it meets.
    gc.disable()
    try:
        yield make
    finally:
        for session in made:
            session.close()
            session.deleteLater()
        made.clear()
        gc.collect()
        gc.enable()


@pytest.fixture
def session(make_session: MakeSession) -> Session:
    return make_session()


@pytest.fixture
def refused(session: Session) -> list[str]:
    """What the session could not do, in words."""
    said: list[str] = []
    session.failed.connect(said.append)
    return said

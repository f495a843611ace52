"""Windows and sessions that end with the test; nothing of the user's own folders is touched."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from gradsim import engine
from gradsim.app import language, theme
from gradsim.app.session import Session
from gradsim.app.settings import Settings
from gradsim.app.window import MainWindow
from gradsim.model.experiment import Experiment
from tests.unit.app.experiments import small_experiment


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """A test that speaks another language, or fails in it, leaves English behind."""
    yield
    language.use("en")


OpenSession = Callable[..., Session]
OpenWindow = Callable[..., MainWindow]


@pytest.fixture(scope="session")
def warm_kernels() -> None:
    """No test may wait for the compiler within its own deadlines."""
    engine.warm_up()


@pytest.fixture(scope="session", autouse=True)
def empty_clipboard(qapp: QApplication) -> Iterator[None]:
    """What Python made must be off the clipboard before Python ends: Qt would delete it later, and crash."""
    yield
    qapp.clipboard().clear()


@pytest.fixture
def own_thread_garbage() -> Iterator[None]:
    """Garbage of Qt's goes in Qt's own thread, as the program itself sees to."""
    gc.disable()
    yield
    gc.collect()
    gc.enable()


@pytest.fixture
def open_session(qtbot: QtBot, warm_kernels: None, own_thread_garbage: None) -> Iterator[OpenSession]:
    """Makes a session; ``started=True`` waits until its run is prepared."""
    made: list[Session] = []

    def make(experiment: Experiment | None = None, *, started: bool = False) -> Session:
        chosen = experiment or small_experiment()
        session = Session(chosen, recorder_bytes=8_000_000, checkpoint_bytes=2_000_000)
        made.append(session)
        if started:
            session.start()
            qtbot.waitUntil(lambda: session.recorder is not None, timeout=20_000)
        return session

    yield make
    for session in made:
        session.close()
        session.deleteLater()
    made.clear()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of this test only."""
    return Settings(tmp_path / "settings" / "gradsim.ini")


@pytest.fixture
def plain_look() -> Iterator[None]:
    """The theme and the zoom of before."""
    choice, zoom = theme.choice(), theme.zoom()
    yield
    theme.set_choice(choice)
    theme.set_zoom(zoom)


@pytest.fixture
def open_window(
    qtbot: QtBot, open_session: OpenSession, settings: Settings, tmp_path: Path, plain_look: None
) -> Iterator[OpenWindow]:
    """Makes a window that is shown; ``started=True`` waits until its run is prepared."""
    made: list[MainWindow] = []

    def make(experiment: Experiment | None = None, *, started: bool = True) -> MainWindow:
        session = open_session(experiment)
        window = MainWindow(session, settings, tmp_path / "autosave")
        window.files.ask_unsaved = lambda title: "discard"
        made.append(window)
        window.resize(1280, 800)
        window.show()
        window.activateWindow()
        qtbot.waitUntil(window.isActiveWindow, timeout=20_000)
        if started:
            session.start()
            qtbot.waitUntil(lambda: session.recorder is not None, timeout=20_000)
        return window

    yield make
    for window in made:
        # The session outlives the window in its own fixture.
        window.session.setParent(None)
        window.close()
        window.deleteLater()
    made.clear()
    # Now, and not while the next test waits: all widgets that there are get the look of before. The menus that
    # pyqtgraph makes for each plot belong to nobody.
    for menu in QApplication.topLevelWidgets():
        if isinstance(menu, QMenu) and menu.parent() is None:
            menu.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

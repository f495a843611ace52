"""What a person does with the real window, from the first picture to the end; run in a process of its own.

Prints one JSON object, and exits with 0 if the event loop ended by itself.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEventLoop, QPointF, Qt, QTimer
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from gradsim.app import start, window
from gradsim.app.build.verbs import KIND_MIME, mime_of
from gradsim.model import edits

SECONDS = 120.0
FOLDER = Path(sys.argv[1])
found: dict[str, Any] = {}
Window = window.MainWindow
opened: list[window.MainWindow] = []


class Remembered(Window):
    """The real window, which the scenario has to get hold of."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.files.ask_unsaved = lambda title: "discard"
        opened.append(self)
        QTimer.singleShot(0, self, self._play)

    def _play(self) -> None:
        try:
            scenario(self)
        except BaseException as error:
            found["error"] = repr(error)
            raise
        finally:
            self.close()
            QApplication.quit()


def wait(milliseconds: int) -> None:
    """Lets the window live for a while. QTest.qWait would not do: it keeps Python's lock from the training thread."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        wait(10)


def key(main: window.MainWindow, which: Qt.Key, held: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    QTest.keyClick(QApplication.focusWidget() or main, which, held)


def first_losses(main: window.MainWindow, count: int) -> list[float]:
    recorder = main.session.recorder
    assert recorder is not None
    return [float(loss) for loss in recorder.recording(0, count)["loss"]]


def train(main: window.MainWindow, count: int) -> list[float]:
    """Starts again and gives the losses of the first steps."""
    main.session.start()
    until(lambda: main.session.status.state == "paused" and main.session.recorder is not None, "a fresh run")
    for done in range(1, count + 1):
        key(main, Qt.Key.Key_Right)
        until(lambda done=done: main.session.status.step == done and main.session.latest == done - 1, f"step {done}")
    return first_losses(main, count)


def drag(main: window.MainWindow, kind: str) -> None:
    """Drops a kind of layer from the palette onto the column of cards."""
    data = mime_of("")
    data.setData(KIND_MIME, kind.encode())
    cards, copy = main.cards, Qt.DropAction.CopyAction
    first = cards.item_rect(main.session.experiment.layers[0].uid)
    place = QPointF(first.center().x(), first.top() + 1)
    left, plain = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    for event in (
        QDragEnterEvent(place.toPoint(), copy, data, left, plain),
        QDragMoveEvent(place.toPoint(), copy, data, left, plain),
        QDropEvent(place, copy, data, left, plain),
    ):
        QApplication.sendEvent(cards.viewport(), event)


def scenario(main: window.MainWindow) -> None:
    session = main.session
    main.activateWindow()
    until(main.isActiveWindow, "the window in front")
    until(lambda: session.status.step > 20, "the first run")
    found["title"] = main.windowTitle()
    found["platform"] = QApplication.platformName()
    states = [row.state for row in session.recorder.recording().summary()]  # type: ignore[union-attr]
    found["vanishing"] = sum(str(state) == "vanishing" for state in states)

    # A new stack: by the menu's key, the palette's keyboard, and a drag.
    key(main, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    until(lambda: len(session.experiment.layers) == 3, "a new experiment")
    key(main, Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClicks(main.palette_panel.search, "dense")
    key(main, Qt.Key.Key_Return)
    until(lambda: len(session.experiment.layers) == 4, "a layer by keyboard")
    until(lambda: session.status.state == "paused" and len(session.rows()) == 4, "its run")
    drag(main, "LayerNormalization")
    until(lambda: len(session.experiment.layers) == 5, "a layer by drag")
    until(lambda: session.status.state == "paused" and len(session.rows()) == 5, "its run")
    found["kinds"] = [layer.identifier for layer in session.experiment.layers]

    # Train, and change the learning rate on the way.
    main.cards.setFocus()
    key(main, Qt.Key.Key_Space)
    until(lambda: session.status.step > 50, "training")
    recorder = session.recorder
    session.edit(edits.set_field, "", "optimizer.learning_rate", 0.03)
    before = session.status.step
    until(lambda: session.status.step > before + 20, "training on")
    found["same run"] = session.recorder is recorder
    key(main, Qt.Key.Key_Space)
    until(lambda: session.status.state == "paused", "a pause")
    now = session.at()
    found["rate"] = None if now is None else float(now["learning_rate"][0])

    # Undo the learning rate, then scrub back by keyboard on the time line.
    key(main, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    found["undone"] = session.experiment.optimizer.learning_rate
    strip = main.stage.time_line.strip
    strip.setFocus()
    for _ in range(3):
        key(main, Qt.Key.Key_Left)
    latest = session.latest
    found["scrubbed"] = latest is not None and session.state.cursor == latest - 3
    found["kept while scrubbing"] = session.status.step - 1 == latest
    key(main, Qt.Key.Key_End)
    found["live again"] = session.state.cursor is None

    # Save, go elsewhere, open again: the same experiment, the same first steps.
    main.cards.setFocus()
    path = FOLDER / "stack.gradsim"
    found["saved"] = main.files.save_as(path) and not main.isWindowModified()
    found["first"] = train(main, 5)
    key(main, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    until(lambda: len(session.experiment.layers) == 3, "another experiment")
    found["opened"] = main.files.open(path)
    until(lambda: len(session.rows()) == 5, "the saved experiment")
    main.cards.setFocus()
    found["kinds again"] = [layer.identifier for layer in session.experiment.layers]
    found["again"] = train(main, 5)

    # Close in the middle of training.
    key(main, Qt.Key.Key_Space)
    until(lambda: session.status.step > 20, "training at the end")
    started = time.monotonic()
    found["closed"] = main.close()
    found["close seconds"] = time.monotonic() - started
    found["thread"] = session.runner._thread.is_alive()


window.MainWindow = Remembered  # type: ignore[misc]
code = start.main([])
sys.stdout.write(json.dumps(found) + "\n")
sys.stdout.flush()
sys.exit(code or ("error" in found))

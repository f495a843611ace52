"""Sixty times a second while something moves, and the pauses between, in which other threads may compute in Python.

Python runs one thread at a time. What paints gives that turn away with each call into Qt, and gets it back only when
the other thread lets go, up to a switch interval later: a frame of a hundred such calls takes several times as long
while another thread computes. So work that can wait does so while a frame is made.
"""

from __future__ import annotations

import math
import threading
import time

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer, Signal

FRAME_MS = 16
LATEST = 0.005
"""Seconds after the end of a frame at which another part of some work may still begin: most take less than the rest."""
CROWDED = 0.003
"""Seconds of other work since the last frame that leave no room for more than what moves with every frame."""
LONGEST = 0.05
"""Seconds that a part waits at most: a window that is always late must not stop what it waits for."""

_BEHIND_PAINTING = Qt.EventPriority.LowEventPriority.value - 1


class Pauses:
    """Whether a frame is being made. One for the program, since there is one Qt thread in it."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.end()

    def interrupt(self) -> None:
        """A frame begins."""
        self._open.clear()

    def begin(self) -> None:
        """A frame has ended, and another one will follow."""
        self._until = time.perf_counter() + LATEST
        self._open.set()

    def end(self) -> None:
        """No frame follows."""
        self._until = math.inf
        self._open.set()

    def wait(self) -> None:
        """Returns in a pause, at its beginning rather than its end; after :data:`LONGEST` in any case."""
        if time.perf_counter() > self._until:
            self._open.clear()
        self._open.wait(LONGEST)


pauses = Pauses()


class Frames(QObject):
    """The clock of what moves."""

    due = Signal()
    """Another frame is to be made."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(FRAME_MS)
        self._timer.timeout.connect(self._make)
        self._ended = 0.0
        self.crowded = False
        """Whether what is not urgent should wait for the next frame. Never twice in a row."""

    @property
    def running(self) -> bool:
        """Whether frames are being made."""
        return self._timer.isActive()

    def start(self) -> None:
        """Makes frames from now on."""
        self._timer.start()

    def stop(self) -> None:
        """Makes none any more."""
        self._timer.stop()
        pauses.end()

    def _make(self) -> None:
        pauses.interrupt()
        self.crowded = not self.crowded and time.thread_time() - self._ended > CROWDED
        # What changes is painted when all other events are done with, and this comes after it.
        QCoreApplication.postEvent(self, QEvent(QEvent.Type.User), _BEHIND_PAINTING)
        self.due.emit()

    def customEvent(self, event: QEvent) -> None:
        self._ended = time.thread_time()
        if self.running:
            pauses.begin()

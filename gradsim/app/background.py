"""Work that must not hold up the window: in a thread of its own, one piece at a time, the answer in Qt's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

from gradsim.app.frames import pauses

BREATH = 0.0005
"""Seconds that a piece of work rests between two of its parts, so that the window gets Python's lock."""

Breathe = Callable[[], None]
Work = Callable[[Breathe], Any]


class Cancelled(Exception):
    """The work is no longer wanted."""


class _Gate:
    """Whether answers may still be told: shared with a thread that may outlive the object it answers to."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open = True

    def close(self, *_: object) -> None:
        with self.lock:
            self.open = False


class Background(QObject):
    """Does pieces of work one after the other; of those that wait only the latest is done.

    There is a thread while there is work, and none else. What the work raises is raised in Qt's thread.

    Args:
        name: Of the thread.
    """

    _done = Signal()

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self._gate = _Gate()
        self._waiting: tuple[Work, Callable[[Any], object]] | None = None
        self._answer: Callable[[Any], object] | None = None
        self._result: tuple[Any, BaseException | None] = (None, None)
        self._seconds = 0.0
        self._stale = threading.Event()
        self._done.connect(self._finish, Qt.ConnectionType.QueuedConnection)
        self.destroyed.connect(self._gate.close)

    @property
    def busy(self) -> bool:
        """Whether something is being done or waits."""
        return self._answer is not None

    @property
    def seconds(self) -> float:
        """What the last piece of work took."""
        return self._seconds

    def do(self, work: Work, answer: Callable[[Any], object]) -> None:
        """Does ``work`` in the thread; ``answer`` gets its result in this one.

        Args:
            work: Gets a function that it calls between its parts: it lets the window have its turn, and raises
                :class:`Cancelled` once the answer is no longer wanted.
        """
        if not self._gate.open:
            return
        if self.busy:
            self._waiting = work, answer
            return
        self._answer = answer
        stale = self._stale = threading.Event()
        gate = self._gate

        def breathe() -> None:
            if stale.is_set() or not gate.open:
                raise Cancelled
            time.sleep(BREATH)
            pauses.wait()

        def run() -> None:
            started = time.perf_counter()
            result: Any = None
            error: BaseException | None = None
            try:
                result = work(breathe)
            except BaseException as raised:
                error = raised
            with gate.lock:
                if gate.open:
                    self._result, self._seconds = (result, error), time.perf_counter() - started
                    self._done.emit()

        threading.Thread(target=run, name=self.name).start()

    def ask(self, work: Work, answer: Callable[[Any], object]) -> None:
        """As :meth:`do`, in place of all that is being done or waits; a refusal, an exception, is an answer, too."""

        def outcome(breathe: Breathe) -> Any:
            try:
                return work(breathe)
            except Cancelled:
                raise
            except Exception as error:
                return error

        self.cancel()
        self.do(outcome, answer)

    def cancel(self) -> None:
        """What is being done and what waits is no longer wanted; it ends when it next breathes."""
        self._waiting = None
        self._stale.set()

    def close(self) -> None:
        """Nothing is done and nothing is told any more."""
        self._gate.close()
        self.cancel()

    def _finish(self) -> None:
        answer, (result, error) = self._answer, self._result
        stale = self._stale.is_set()
        self._answer, self._result = None, (None, None)
        if self._waiting is not None:
            work, waiting = self._waiting
            self._waiting = None
            self.do(work, waiting)
        if stale or isinstance(error, Cancelled):
            return
        if error is not None:
            raise error
        if answer is not None:
            answer(result)

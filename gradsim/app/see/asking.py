"""Questions to the training, asked some times a second while somebody looks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from gradsim.app.session import Session
from gradsim.engine.trainer import Trainer

SHARE = 0.02
"""Part of the training time that one view's questions may take."""


class _Timed(NamedTuple):
    value: Any
    seconds: float
    step: int


class Asking(QObject):
    """Asks the same question again while its view is visible and something moves.

    Args:
        view: Nothing is asked while it is hidden.
        key: Of the question; a later one of the same key replaces one that waits.
        function: Gives the question to ask, a function of the trainer that returns copies; None asks nothing now.
        answered: Gets the answer and the step it belongs to; not called where there is none.
        interval_ms: From one question to the next; longer if answers take longer than their share.
    """

    def __init__(
        self,
        session: Session,
        view: QWidget,
        key: object,
        function: Callable[[], Callable[[Trainer], Any] | None],
        answered: Callable[[Any, int], None],
        *,
        interval_ms: int = 200,
    ) -> None:
        super().__init__(view)
        self.session, self.view, self.key = session, view, key
        self.function, self.answered, self.interval = function, answered, interval_ms / 1000
        self._waiting = False
        self._next = 0.0
        self._asked: tuple[object, ...] | None = None
        self._costs: deque[float] = deque(maxlen=4)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.renew)
        session.tick.connect(self.renew)
        session.recorder_changed.connect(self._restart)
        session.state.cursor_changed.connect(lambda _: self.renew())

    def _restart(self) -> None:
        self._waiting, self._next, self._asked = False, 0.0, None
        self._costs.clear()

    def again(self) -> None:
        """The question is another one: asks at once."""
        self._restart()
        self.renew()

    def renew(self) -> None:
        """Asks if the view is visible, the shown moment is another one, and the last answer is long enough ago."""
        recorder = self.session.recorder
        if self._waiting or recorder is None or not self.view.isVisible():
            return
        cursor = self.session.state.cursor
        moment = (id(recorder), recorder.since(None).position if cursor is None else cursor)
        if moment == self._asked:
            return
        wait = self._next - time.perf_counter()
        if wait > 0:
            # The last moment of a run is shown too, though no frame follows it.
            if not self._timer.isActive():
                self._timer.start(int(wait * 1000) + 1)
            return
        function = self.function()
        if function is None:
            return
        self._asked, self._waiting = moment, True

        def timed(trainer: Trainer) -> _Timed:
            started = time.perf_counter()
            value = function(trainer)
            return _Timed(value, time.perf_counter() - started, trainer.step - 1)

        self.session.ask((self.key, id(self.view)), timed, self._answer, cursor)

    def _answer(self, answer: _Timed | None) -> None:
        self._waiting = False
        if answer is None:
            return
        # The least of some answers: one that had to wait for the processor says nothing of the work.
        self._costs.append(answer.seconds)
        self._next = time.perf_counter() + max(self.interval, min(self._costs) / SHARE)
        self.answered(answer.value, answer.step)

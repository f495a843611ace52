"""The time line as a moving picture: painted here frame by frame, written by a thread."""

from __future__ import annotations

import dataclasses
import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QImage

from gradsim.app import theme
from gradsim.app.see.axis import round_end
from gradsim.app.session import Session
from gradsim.app.take import animation
from gradsim.app.take.exhibit import Exhibit
from gradsim.app.take.sheets import Sheet, View
from gradsim.i18n import tr
from gradsim.telemetry.quantities import quantity
from gradsim.telemetry.recording import Recording

AHEAD = 3
"""Frames that may wait for the thread."""
WAIT_MS = 4


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be made.

    Attributes:
        steps: The step that each frame shows.
        rate: Frames a second.
        form: A key of ``animation.FORMS``.
    """

    view: View
    width: int
    height: int
    steps: tuple[int, ...]
    rate: float
    form: str
    look: theme.Choice | None = None


def frame_steps(first: int, last: int, frames: int) -> tuple[int, ...]:
    """``frames`` steps evenly from ``first`` to ``last``, both included, none twice."""
    return tuple(int(step) for step in np.unique(np.linspace(first, last, max(1, frames)).round().astype(np.int64)))


def set_range(exhibit: Exhibit, steps: tuple[int, ...]) -> None:
    """The axis stands still while the picture fills from left to right; whatever was zoomed to is kept."""
    if exhibit.state.range is None:
        first = float(exhibit.recorder.first_step)
        exhibit.state.set_range((first, first + round_end(steps[-1] + 1 - first)))


def pixels(image: QImage) -> animation.Frame:
    """An image as RGB, shape ``(height, width, 3)``; a copy."""
    plain = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(plain.constBits(), np.uint8).reshape(plain.height(), plain.bytesPerLine())
    return rows[:, : plain.width() * 3].reshape(plain.height(), plain.width(), 3).copy()


def cell_colours(exhibit: Exhibit, look: theme.Choice | None) -> list[tuple[int, int, int]]:
    """Every colour that a cell can have."""
    with theme.worn(look) as used:
        table = used.table(quantity(exhibit.state.quantity).colours)
    return [(int(red), int(green), int(blue)) for red, green, blue in table]


class _CancelledError(Exception):
    pass


class Film(QObject):
    """One moving picture being made. Paints a frame per turn of the event loop; never waits.

    Args:
        session: What was recorded there when it begins is shown.
        upwards: Whether the stack stands with its input at the bottom.
    """

    progress = Signal(int, int)
    """Frames painted, of how many."""
    finished = Signal(str)
    """The file is written."""
    failed = Signal(str)
    """It can't be made: a sentence. No file is left."""
    cancelled = Signal()
    """As it was asked to. No file is left."""

    _copied = Signal(object)
    _ended = Signal(object)

    def __init__(
        self, session: Session, plan: Plan, path: Path, *, upwards: bool = True, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.session, self.plan, self.path, self.upwards = session, plan, path, upwards
        self._sheet: Sheet | None = None
        self._next = 0
        self._asked = False
        self._stopped = threading.Event()
        self._queue: queue.Queue[animation.Frame | None] = queue.Queue(AHEAD)
        self._colours: list[tuple[int, int, int]] = []
        self._over = False
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._turn)
        self._copied.connect(self._begin, Qt.ConnectionType.QueuedConnection)
        self._ended.connect(self._end, Qt.ConnectionType.QueuedConnection)
        theme.changed.connect(self._dress)
        session.recorder_changed.connect(self._gone)
        self._thread = threading.Thread(target=self._work, name="gradsim-film", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def cancel(self) -> None:
        """Ends it soon; ``cancelled`` follows."""
        self._stopped.set()

    def wait(self, seconds: float = 5.0) -> bool:
        """Until the thread has ended, after :meth:`cancel`; whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # The thread

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            plan = self.plan
            animation.check(plan.form, plan.width, plan.height, len(plan.steps))
            recorder = self.session.recorder
            if recorder is None:
                raise animation.AnimationError(tr("There is nothing to show yet: train first."))
            # A copy, so that it does not matter what the run does meanwhile.
            self._copied.emit(recorder.recording(stop=plan.steps[-1] + 1))
            frames = self._frames()
            begin = next(frames)
            animation.write(
                self.path, itertools.chain([begin], frames), form=plan.form, rate=plan.rate, first=self._colours,
                between=self._check,
            )  # fmt: skip
        except BaseException as problem:
            error = problem
            # Whoever paints must not go on for nobody.
            self._stopped.set()
        self._ended.emit(error)

    def _frames(self) -> Iterator[animation.Frame]:
        while True:
            try:
                frame = self._queue.get(timeout=0.1)
            except queue.Empty:
                if self._stopped.is_set():
                    raise _CancelledError from None
                continue
            if self._stopped.is_set():
                raise _CancelledError
            if frame is None:
                return
            yield frame

    def _check(self) -> None:
        if self._stopped.is_set():
            raise _CancelledError

    # The window's thread

    def _begin(self, recording: Recording) -> None:
        if self._stopped.is_set():
            return
        try:
            exhibit = Exhibit.of(self.session, upwards=self.upwards, recording=recording)
        except ValueError as error:
            self._fail(str(error))
            return
        exhibit.setParent(self)
        exhibit.state.set_cursor(None)
        set_range(exhibit, self.plan.steps)
        self._exhibit = exhibit
        self._colours = cell_colours(exhibit, self.plan.look)
        self._make_sheet()
        self._timer.start(0)

    def _make_sheet(self) -> None:
        plan = self.plan
        if self._sheet is not None:
            self._sheet.deleteLater()
        self._sheet = Sheet(self._exhibit, plan.view, plan.width, plan.height, plan.look)

    def _dress(self) -> None:
        # The widgets of the sheet have taken the look of the window.
        if self._sheet is not None and not self._over:
            self._make_sheet()

    def _gone(self) -> None:
        if self._sheet is not None and self._sheet.question is not None and not self._over:
            self._fail(tr("Another run has begun: what this view asks of the training is gone."))

    def _turn(self) -> None:
        if self._stopped.is_set() or self._sheet is None:
            self._timer.stop()
            return
        if self._asked or self._queue.full():
            self._timer.setInterval(WAIT_MS)
            return
        self._timer.setInterval(0)
        if self._next == len(self.plan.steps):
            self._timer.stop()
            self._queue.put(None)
            return
        step = self.plan.steps[self._next]
        self._sheet.show_step(step)
        question = self._sheet.question
        if question is None:
            self._paint()
            return
        self._asked = True
        ask = self._exhibit.answer_to
        assert ask is not None

        def answered(value: Any) -> None:
            self._asked = False
            if self._stopped.is_set() or self._sheet is None:
                return
            if value is None:
                self._fail(tr("Step {step} can't be computed again.", step=step))
                return
            self._sheet.answered(value, step)
            self._paint()

        ask(question[0], answered, step)

    def _paint(self) -> None:
        assert self._sheet is not None
        self._queue.put(pixels(self._sheet.image()))
        self._next += 1
        self.progress.emit(self._next, len(self.plan.steps))

    def _fail(self, words: str) -> None:
        self._words = words
        self._stopped.set()

    _words = ""

    def _end(self, error: BaseException | None) -> None:
        self._over = True
        self._timer.stop()
        if self._sheet is not None:
            self._sheet.deleteLater()
            self._sheet = None
        self._thread.join()
        if error is None:
            self.finished.emit(str(self.path))
        elif self._words:
            self.failed.emit(self._words)
        elif isinstance(error, _CancelledError):
            self.cancelled.emit()
        elif isinstance(error, OSError):
            words = tr("{path} can't be written: {reason}", path=self.path, reason=error.strerror or str(error))
            self.failed.emit(words)
        else:
            self.failed.emit(str(error) or type(error).__name__)


def painted(
    sheet: Sheet, steps: tuple[int, ...], answer: Callable[[Any, int], Any] | None
) -> Iterator[animation.Frame]:
    """The frames one by one, for whoever has no window to keep alive.

    Args:
        answer: Answers the question of the view for the moment behind a step.
    """
    for step in steps:
        sheet.show_step(step)
        question = sheet.question
        if question is not None and answer is not None:
            sheet.answered(answer(question[0], step), step)
        yield pixels(sheet.image())

"""A handout being made while the window lives: the lesson is played in a thread, the pages are made here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QProgressDialog

from gradsim.app.see import picture
from gradsim.app.take import handout
from gradsim.app.take.pages import Pages
from gradsim.i18n import tr
from gradsim.lessons import Checked, Lesson, play

if TYPE_CHECKING:
    from gradsim.app.window import MainWindow


class _CancelledError(Exception):
    pass


class Handing(QObject):
    """One handout.

    Args:
        window: Shows how far it is; ends it when it closes.
        teacher: With the teacher's notes.
    """

    finished = Signal(str)
    """The file is written."""
    failed = Signal(str)
    """It can't be made: a sentence. No file is left."""
    cancelled = Signal()
    """As it was asked to. No file is left."""

    _played = Signal(int)
    _done = Signal(object)

    def __init__(self, window: MainWindow, lesson: Lesson, path: Path, *, teacher: bool = False) -> None:
        super().__init__(window)
        self.lesson, self.path, self.teacher = lesson, path, teacher
        self._steps = handout.to_play(lesson)
        self._results: dict[str, Checked] = {}
        self._stopped = threading.Event()
        self._pages: Iterator[Pages] | None = None
        self._last: Pages | None = None
        self.dialog = QProgressDialog(tr("Playing the lesson"), tr("Cancel"), 0, len(self._steps), window)
        self.dialog.setWindowTitle(tr("Handout"))
        self.dialog.setMinimumDuration(0)
        self.dialog.setAutoClose(False)
        self.dialog.setAutoReset(False)
        self.dialog.canceled.connect(self.cancel)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._turn)
        self._played.connect(self.dialog.setValue, Qt.ConnectionType.QueuedConnection)
        self._done.connect(self._begin, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=self._work, name="gradsim-handout", daemon=True)
        window.installEventFilter(self)

    def start(self) -> None:
        """Begins."""
        self.dialog.setValue(0)
        self._thread.start()

    def cancel(self) -> None:
        """Ends it soon; ``cancelled`` follows."""
        self._stopped.set()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Hide and not event.spontaneous():
            self.cancel()
            if self._thread.is_alive():
                self._thread.join(5.0)
        return super().eventFilter(watched, event)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise _CancelledError

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            for number, step in enumerate(self._steps, 1):
                self._check()
                self._results[step.key] = play.play(step, between=self._check)
                self._played.emit(number)
        except BaseException as problem:
            error = problem
        self._done.emit(error)

    def _begin(self, error: BaseException | None) -> None:
        self._thread.join()
        if error is not None and not isinstance(error, _CancelledError):
            self._end(str(error) or type(error).__name__)
            return
        self.dialog.setLabelText(tr("Making the pages"))
        self._pages = handout.compose(self.lesson, self._results, teacher=self.teacher)
        self._timer.start(0)

    def _turn(self) -> None:
        assert self._pages is not None
        if self._stopped.is_set():
            self._end(None)
            return
        try:
            self._last = next(self._pages)
        except StopIteration:
            self._write()
        except Exception as error:  # whatever it is, somebody waits to hear of it
            self._end(str(error) or type(error).__name__)

    def _write(self) -> None:
        assert self._last is not None
        content, self._last = self._last.finish(), None
        try:
            picture.write(self.path, content)
        except OSError as error:
            self._end(str(error))
            return
        self._close()
        self.finished.emit(str(self.path))

    def _end(self, problem: str | None) -> None:
        self._close()
        if problem is None:
            self.cancelled.emit()
        else:
            self.failed.emit(problem)

    def _close(self) -> None:
        self._timer.stop()
        if self._last is not None:
            self._last.abandon()
            self._last = None
        self.dialog.close()
        self.dialog.deleteLater()


def ask(window: MainWindow, lesson: Lesson) -> Handing | None:
    """Asks for a file and begins; the window tells when it is written."""
    start = str(window.files.directory() / f"{lesson.name}.pdf")
    kinds = (tr("For the audience (*.pdf)"), tr("With the teacher's notes (*.pdf)"))
    name, chosen = QFileDialog.getSaveFileName(window, tr("Handout of the lesson"), start, ";;".join(kinds))
    if not name:
        return None
    path = Path(name)
    made = Handing(window, lesson, path if path.suffix else path.with_suffix(".pdf"), teacher=chosen == kinds[1])
    made.failed.connect(lambda words: window.say(tr("The handout can't be made: {why}", why=words)))
    made.finished.connect(lambda done: window.banner.say(tr("{name} is written.", name=Path(done).name)))
    _let_go(made)
    made.start()
    return made


def _let_go(made: Any) -> None:
    for signal in (made.finished, made.failed, made.cancelled):
        signal.connect(lambda *_: made.deleteLater())

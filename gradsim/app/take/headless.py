"""Pictures without a window: Qt paints into memory. For ``gradsim render``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from gradsim import i18n
from gradsim.app import language, theme
from gradsim.app.see import picture
from gradsim.app.take import animation, film, handout
from gradsim.app.take.exhibit import Exhibit, Question
from gradsim.app.take.sheets import VIEWS, Sheet
from gradsim.lessons import Checked, Lesson
from gradsim.model.experiment import Experiment
from gradsim.telemetry.playback import Playback
from gradsim.telemetry.recording import Recording

Answer = Callable[[Question, int], Any]
"""Answers what a view asks of the training, for the moment behind a step."""

STILL = frozenset(view.key for view in VIEWS.values() if not view.moves)
"""Views that are the same at every step."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be painted.

    Attributes:
        path: Where to; the suffix tells the kind of file.
        steps: One step for a picture, the step of each frame for a moving one.
        size: Pixels; None is what suits the view.
        row: The layer that is selected, or None.
    """

    path: Path
    view: str
    quantity: str
    steps: tuple[int, ...]
    size: tuple[int, int] | None
    look: theme.Choice
    rate: float
    row: int | None = None


def render(experiment: Experiment, recording: Recording, request: Request, answer: Answer | None) -> None:
    """Paints and writes the file, whole or not at all.

    Raises:
        OSError: if it can't be written.
        ValueError: if it can't be made.
    """
    # The platform that paints into memory says of every size that it can't tell anybody.
    before = qInstallMessageHandler(_only_what_went_wrong)
    try:
        existing = QApplication.instance()
        app = existing if isinstance(existing, QApplication) else QApplication(["gradsim"])
        theme.install(app)
        language.use(i18n.language())
        _render(experiment, recording, request, answer)
    finally:
        qInstallMessageHandler(before)


def hand_out(lesson: Lesson, played: Mapping[str, Checked], path: Path, *, teacher: bool) -> None:
    """Writes the handout of a lesson, whole or not at all, in the language in use. Raises OSError."""
    before = qInstallMessageHandler(_only_what_went_wrong)
    try:
        existing = QApplication.instance()
        app = existing if isinstance(existing, QApplication) else QApplication(["gradsim"])
        theme.install(app)
        language.use(i18n.language())
        for pages in handout.compose(lesson, played, teacher=teacher):
            last = pages
        picture.write(path, last.finish())
    finally:
        qInstallMessageHandler(before)


def _only_what_went_wrong(kind: QtMsgType, context: Any, message: str) -> None:
    if kind in (QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg):
        raise RuntimeError(message)


def _render(experiment: Experiment, recording: Recording, request: Request, answer: Answer | None) -> None:
    view = VIEWS[request.view]
    width, height = request.size or view.size
    exhibit = Exhibit(experiment, Playback(recording))
    exhibit.state.set_quantity(request.quantity)
    if request.row is not None:
        exhibit.state.select([exhibit.row_uids[request.row]])
    suffix = request.path.suffix.lower()
    form = next((name for name, kind in animation.FORMS.items() if kind.suffix == suffix), None)
    if form is not None:
        animation.check(form, width, height, len(request.steps))
        film.set_range(exhibit, request.steps)
    sheet = Sheet(exhibit, view, width, height, request.look)
    try:
        frames = film.painted(sheet, request.steps, answer)
        if form is not None:
            colours = film.cell_colours(exhibit, request.look)
            animation.write(request.path, frames, form=form, rate=request.rate, first=colours)
            return
        if request.steps[-1] < recording.stop - recording.every:
            # As in the window, a look back has everything on the axis and the step marked.
            exhibit.state.set_cursor(request.steps[-1])
        question = sheet.question
        if question is not None and answer is not None:
            sheet.answered(answer(question[0], request.steps[-1]), request.steps[-1])
        picture.write(request.path, sheet.svg() if suffix == ".svg" else sheet.png())
    finally:
        sheet.deleteLater()
        exhibit.deleteLater()

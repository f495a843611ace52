"""Brings lessons into a window: panel, picture, menu, the presenter's view, and the way back to the own experiment."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QRect, QTimer
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu

from gradsim import lessons
from gradsim.app import theme
from gradsim.app.background import Background, Breathe
from gradsim.app.command_palette import Command
from gradsim.app.lessons.board import Board
from gradsim.app.lessons.lecture import Lecture, Phase
from gradsim.app.lessons.panel import LessonPanel
from gradsim.app.lessons.talk import LessonTalk
from gradsim.app.see.clipping import Clipping
from gradsim.app.see.data_view import DataView
from gradsim.app.see.directions import Directions
from gradsim.app.see.inside import Inside
from gradsim.i18n import tr
from gradsim.lessons import Lesson, LessonError
from gradsim.model.document import Kept

if TYPE_CHECKING:
    from gradsim.app.window import MainWindow

PAGES = {"inside": Inside, "data": DataView, "clipping": Clipping, "directions": Directions}
WIDTH = 400
"""Pixels of a side panel with a lesson in it: lines of a readable length."""
AHEAD_MS = 3_000
"""So long after the window the bundled lessons are read, before a menu asks for them."""


def _read_all(breathe: Breathe) -> None:
    for name in lessons.names():
        lessons.bundled(name)
        breathe()


class LessonRoom(QObject):
    """Lessons in a window.

    Args:
        window: Its side panel gets the lesson, its presenter the talk. The session's lecture is found or made.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window
        self.lecture = Lecture.of(window.session)
        self.panel = LessonPanel(self.lecture, self._keys)
        self.panel.left.connect(self.leave)
        window.side.set_top(self.panel)
        whole = window.centralWidget()
        assert whole is not None
        self._whole = whole
        self.board = Board(self.lecture, whole)
        self.board.hide()
        self.talk = LessonTalk(self.lecture, self.panel.read_on)
        self.talk.setParent(self)
        self._step: object = None
        self._before: list[int] | None = None
        self._page_before = 0
        self._shown = False
        window.files.before_leaving = self.leave
        window.files.own = self._own
        for widget in (window.left, window.stage, window.across):
            widget.installEventFilter(self)
        window.across.splitterMoved.connect(lambda *_: self._lie())
        window.presenter.changed.connect(self._present)
        window.presenter.side_wanted = self._side_wanted
        self.lecture.changed.connect(self.renew)
        self._ahead = Background("gradsim-lessons", self)
        QTimer.singleShot(AHEAD_MS, self, lambda: self._ahead.ask(_read_all, lambda _: None))
        if self.lecture.on:
            # The window was built anew around an open lesson; it still has to lay itself out.
            QTimer.singleShot(0, self, self.renew)

    def everything(self) -> tuple[Lesson, ...]:
        """The lessons that there are; none and a sentence if one of them can't be opened."""
        try:
            return self.lecture.lessons
        except LessonError as error:
            self.window.session.failed.emit(str(error))
            return ()

    def open(self, lesson: Lesson) -> None:
        """Opens a lesson."""
        self.lecture.open(lesson)

    def resume(self) -> None:
        """Opens the lesson again that was left."""
        self.lecture.resume()

    def leave(self) -> None:
        """Back to the own experiment."""
        self.lecture.leave()

    def fill_menu(self, menu: QMenu, before: QAction) -> None:
        """Lists the lessons in a menu."""
        for action in menu.actions():
            if action.property("lesson"):
                menu.removeAction(action)
                action.deleteLater()
        menu.setToolTipsVisible(True)
        for lesson in self.everything():
            action = QAction(_menu_text(lesson), menu)
            action.setProperty("lesson", True)
            action.setToolTip(_one_line(lesson.summary))
            action.triggered.connect(functools.partial(self._open, lesson))
            menu.insertAction(before, action)
        line = menu.insertSeparator(before)
        line.setProperty("lesson", True)

    def _own(self) -> Kept:
        return self.lecture.own or self.window.session.document.keep()

    def _open(self, lesson: Lesson, *_: object) -> None:
        self.open(lesson)

    def commands(self) -> list[Command]:
        """For the command palette."""
        return [
            Command(_menu_text(lesson).replace("&&", "&"), tr("Lesson"), "", _one_line(lesson.summary), True,
                    functools.partial(self.open, lesson))
            for lesson in self.everything()
        ]  # fmt: skip

    def _keys(self, verb: str) -> str:
        keys = self.window.actions_.keys(verb)
        return keys[0].toString(QKeySequence.SequenceFormat.NativeText) if keys else ""

    def renew(self) -> None:
        """Shows panel and picture as the lesson has them now."""
        lecture, window = self.lecture, self.window
        on = lecture.on
        if on != self._shown:
            self._shown = on
            self._make_room(on)
            window.presenter.set_talk(self.talk if on else None)
        step = lecture.step
        # The page has nothing to show before the run, and the text needs the room.
        page = step.view.page if step is not None and lecture.phase in (Phase.RUNNING, Phase.RESULT) else ""
        place = (lecture.lesson.name if lecture.lesson else "", lecture.index, page) if on else None
        if place != self._step:
            self._step = place
            if on and not window.presenter.on:
                self._show_page(page)
        self.board.setVisible(on and self.board.wanted)
        self._lie()
        self._present()
        window.actions_.refresh()

    def _make_room(self, on: bool) -> None:
        window = self.window
        window.side.set_top_shown(on)
        # Outlines of findings would tell the answer.
        outlined = bool(window.settings.get("view/outlines", True))
        window.diagnosis.outlines.setVisible(outlined and not on)
        if window.presenter.on:
            return
        sizes = window.across.sizes()
        if on:
            window.side.show()
            self._before, self._page_before = sizes, window.side.current
            lacking = max(0, theme.px(WIDTH) - sizes[2])
            window.across.setSizes([sizes[0], max(1, sizes[1] - lacking), sizes[2] + lacking])
        elif self._before is not None:
            window.across.setSizes(self._before)
            window.side.show_page(self._page_before)
            self._before = None

    def _show_page(self, page: str) -> None:
        side = self.window.side
        kind = PAGES.get(page)
        for number in range(side.stack.count()):
            if kind is not None and isinstance(side.stack.widget(number), kind):
                side.show_page(number)
                return
        side.set_folded(True)

    def _side_wanted(self) -> bool:
        step = self.lecture.step
        return self.panel.wanted_by_audience or (step is not None and step.view.focus == "page")

    def _present(self) -> None:
        presenter, step, side = self.window.presenter, self.lecture.step, self.window.side
        self.panel.set_presenting(presenter.on)
        self.window.stage.heatmap.invites = not self.lecture.on and not presenter.on
        if not self.lecture.on:
            return
        if not presenter.on:
            side.set_top_shown(True)
            return
        assert step is not None
        read = self.panel.wanted_by_audience
        side.set_top_shown(read)
        if step.view.focus == "page" and not read:
            self._show_page(step.view.page)
        else:
            side.set_folded(True)
        presenter.set_alone(self.lecture.phase is Phase.QUESTION and not self.board.wanted)
        # Several runs are compared in the panel; a page is a picture, too.
        share = 60 if read and len(step.runs) > 1 else 50 if step.view.focus == "page" else 40
        presenter.set_focus(step.view.focus if self.lecture.phase is not Phase.TEXT else "heatmap", share)
        presenter.side_changed()

    def _lie(self) -> None:
        if not self.board.isVisibleTo(self._whole):
            return
        window, whole = self.window, self._whole
        area = QRect()
        for part in (window.left, window.stage):
            if not part.isHidden():
                area = area.united(QRect(part.mapTo(whole, part.rect().topLeft()), part.size()))
        self.board.setGeometry(area)
        self.board.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move, QEvent.Type.Show, QEvent.Type.Hide):
            self._lie()
        return False


def _menu_text(lesson: Lesson) -> str:
    number = f"{lesson.number}. " if lesson.number else ""
    return f"{number}{lesson.title}".replace("&", "&&")


def _one_line(text: str) -> str:
    return " ".join(text.split())

"""The presenter's view: the window as an audience needs it, and the way back to the window as it was."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, QObject, QRect, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QPixmap, QScreen
from PySide6.QtWidgets import QWidget

from gradsim.app import theme
from gradsim.app.present.awake import Awake
from gradsim.app.present.cover import Cover
from gradsim.app.present.heading import Heading
from gradsim.app.present.notes import NotesWindow
from gradsim.app.present.talk import Talk

if TYPE_CHECKING:
    from gradsim.app.window import MainWindow

REFERENCE = (1024, 768)
"""The smallest projector."""
ZOOM = 150
"""Per cent at that size; a larger picture gets larger type, so that it reads the same from the back."""
FIT_MS = 120


@dataclasses.dataclass(frozen=True)
class _Before:
    """The window as it was."""

    shown: tuple[tuple[QWidget, bool], ...]
    geometry: QRect
    state: Qt.WindowState
    across: QByteArray
    parts: QByteArray
    above: QByteArray


class Presenter(QObject):
    """Turns a window into the presenter's view and back.

    Args:
        window: The window.
        awake: Keeps the screen on.
        screens: Gives the screens there are.

    Attributes:
        talk: What is talked about; :meth:`set_talk`.
        heading: What the audience reads first; part of the window's layout.
        notes: The teacher's window, or None.
    """

    changed = Signal()
    """It began or ended, was frozen or blanked."""

    def __init__(
        self,
        window: MainWindow,
        *,
        awake: Awake | None = None,
        screens: Callable[[], Sequence[QScreen]] = QGuiApplication.screens,
    ) -> None:
        super().__init__(window)
        self.window, self.screens = window, screens
        self.awake = awake or Awake(self)
        self.talk = self._own_talk = Talk(window.session, self)
        self.heading = Heading(self.talk)
        self.heading.hide()
        self.notes: NotesWindow | None = None
        self._cover: Cover | None = None
        self._before: _Before | None = None
        self._leaving: _Before | None = None
        self.side_wanted: Callable[[], bool] = lambda: False
        self._focus, self._share = "heatmap", 40
        self._swapped = False
        self._fit_timer = QTimer(self)
        self._fit_timer.setSingleShot(True)
        self._fit_timer.setInterval(FIT_MS)
        self._fit_timer.timeout.connect(self._fit)
        window.installEventFilter(self)

    @property
    def on(self) -> bool:
        """Whether the presenter's view is shown."""
        return self._before is not None

    @property
    def frozen(self) -> bool:
        """Whether the audience still sees an earlier picture."""
        return self._cover is not None and self._cover.frozen

    @property
    def black(self) -> bool:
        """Whether the audience sees nothing."""
        return self._cover is not None and self._cover.black

    def set_talk(self, talk: Talk | None) -> None:
        """Talks of something; None is of the open experiment."""
        self.talk = talk or self._own_talk
        self.heading.set_talk(self.talk)
        if self.notes is not None:
            self.notes.set_talk(self.talk)
        self.changed.emit()

    def toggle(self) -> None:
        """Begins, or ends."""
        if self.on:
            self.leave()
        else:
            self.enter()

    def enter(self) -> None:
        """Shows only what an audience needs, in large type, over the whole screen."""
        if self.on:
            return
        window, stage = self.window, self.window.stage
        hidden = (
            window.menuBar(),
            window.statusBar(),
            window.transport,
            window.left,
            window.side.bar,
            stage.choice,
            stage.follow,
            stage.latest,
            stage.profile,
            stage.readings,
            stage.colour_bar.numbers,
            stage.curves.head,
            stage.time_line,
        )
        kept = (*hidden, window.side, stage)
        self._before = _Before(
            tuple((widget, not widget.isHidden()) for widget in kept),
            window.normalGeometry() if window.isMaximized() else window.geometry(),
            window.windowState(),
            window.across.saveState(),
            stage.parts.saveState(),
            stage.above.saveState(),
        )
        for widget in hidden:
            widget.hide()
        window.side.setVisible(self.side_wanted())
        stage.space.set_even(True)
        stage.read_out.set_brief(True)
        self.heading.show()
        whole = window.centralWidget()
        assert whole is not None
        self._cover = Cover(whole, window)
        self.awake.hold()
        audience, teacher = self._places()
        if audience is not None:
            self._put(window, audience, Qt.WindowState.WindowFullScreen)
        else:
            window.setWindowState(window.windowState() | Qt.WindowState.WindowFullScreen)
        self._fit()
        if teacher is not None:
            self.show_notes(teacher)
        window.activateWindow()
        window.setFocus()
        self.changed.emit()

    def leave(self) -> None:
        """Shows the window as it was before."""
        before, window = self._before, self.window
        if before is None:
            return
        self._before = None
        self._fit_timer.stop()
        if self.notes is not None:
            self.notes.close()
        if self._cover is not None:
            self._cover.hide()
            self._cover.deleteLater()
            self._cover = None
        self.awake.release()
        self.heading.hide()
        theme.present(None)
        for widget, shown in before.shown:
            widget.setVisible(shown)
        window.stage.space.set_even(False)
        window.stage.read_out.set_brief(False)
        window.setWindowState(Qt.WindowState.WindowNoState)
        window.setGeometry(before.geometry)
        window.setWindowState(before.state)
        self._leaving = before
        self._divide_as_before()
        # The desktop gives the window its size later, and layouts learn of the smaller type later.
        QTimer.singleShot(0, self, self._divide_as_before)
        QTimer.singleShot(FIT_MS, self, self._divide_as_before)
        self.changed.emit()

    def _divide_as_before(self) -> None:
        before, window = self._leaving, self.window
        if before is None or self.on or window.isHidden():
            return
        window.across.restoreState(before.across)
        window.stage.parts.restoreState(before.parts)
        window.stage.above.restoreState(before.above)
        window.stage.beneath.setSizes(window.stage.above.sizes())
        window.left.align()

    def freeze(self) -> None:
        """Keeps the audience's picture while the next one is prepared, or shows what was prepared."""
        if self._cover is not None:
            self._cover.set_frozen(not self._cover.frozen)
            self._renew_notes()
            self.changed.emit()

    def blank(self) -> None:
        """Shows the audience nothing, or the picture again."""
        if self._cover is not None:
            self._cover.set_black(not self._cover.black)
            self._renew_notes()
            self.changed.emit()

    def swap(self) -> None:
        """The audience's picture and the notes change screens."""
        if not self.on:
            return
        self._swapped = not self._swapped
        audience, teacher = self._places()
        if audience is None or teacher is None:
            return
        self._put(self.window, audience, Qt.WindowState.WindowFullScreen)
        if self.notes is not None:
            self._put(self.notes, teacher, Qt.WindowState.WindowMaximized)

    def toggle_notes(self) -> None:
        """Shows or closes the notes, also where there is only one screen."""
        if self.notes is not None:
            self.notes.close()
        elif self.on:
            self.show_notes(self._places()[1])

    def show_notes(self, screen: QScreen | None = None) -> NotesWindow:
        """Opens the notes, over the whole of a screen or in a window of their own."""
        notes = NotesWindow(self.talk, self.window.actions_, time.monotonic(), self.preview)
        notes.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        notes.closed.connect(self._notes_closed)
        self.notes = notes
        if screen is None:
            notes.resize(720, 560)
            notes.show()
        else:
            notes.show()
            self._put(notes, screen, Qt.WindowState.WindowMaximized)
        return notes

    def preview(self) -> QPixmap | None:
        """What the audience would see if nothing were kept or black; None while they see it."""
        if self._cover is None or not (self._cover.frozen or self._cover.black):
            return None
        return self._cover.over.grab()

    def side_changed(self) -> None:
        """There is another reason, or none any more, to show the panel at the side."""
        if self.on:
            self.window.side.setVisible(self.side_wanted())
            self._divide()

    def set_alone(self, on: bool) -> None:
        """The side panel has all the room: there is nothing to see in the pictures yet."""
        if self.on:
            self.window.stage.setVisible(not on)

    def set_focus(self, part: str, share: int = 40) -> None:
        """Which part gets the most room: "heatmap", "profile", "curves", or "page" for the side panel.

        Args:
            share: Per cent of the width that the side panel gets while it is there.
        """
        self._focus, self._share = part, share
        if self.on:
            self.window.stage.profile.setVisible(part == "profile")
            self._divide()

    # Own

    def _renew_notes(self) -> None:
        if self.notes is not None:
            self.window.actions_.refresh()
            self.notes.tick()

    def _notes_closed(self) -> None:
        self.notes = None
        self.changed.emit()

    def _places(self) -> tuple[QScreen | None, QScreen | None]:
        """The audience's screen and the teacher's; None where a choice is none."""
        screens = list(self.screens())
        if len(screens) < 2:
            return None, None
        # The projector is what was plugged in; notes belong on the teacher's own screen, the primary one.
        own = QGuiApplication.primaryScreen()
        teacher = own if own in screens else screens[0]
        here = self.window.screen()
        audience = here if here in screens and here is not teacher else next(s for s in screens if s is not teacher)
        return (teacher, audience) if self._swapped else (audience, teacher)

    @staticmethod
    def _put(window: QWidget, screen: QScreen, state: Qt.WindowState) -> None:
        window.setWindowState(Qt.WindowState.WindowNoState)
        handle = window.windowHandle()
        # A screen that stands in for another in a test has no window system behind it.
        if handle is not None and isinstance(screen, QScreen):
            handle.setScreen(screen)
        window.setGeometry(screen.availableGeometry())
        window.setWindowState(state)

    def _fit(self) -> None:
        """Type as large as it has to be on this screen."""
        if not self.on:
            return
        width, height = self.window.width(), self.window.height()
        part = min(width / REFERENCE[0], height / REFERENCE[1])
        theme.present(max(100, round(ZOOM * part / 5) * 5))
        self._divide()

    def _divide(self) -> None:
        stage = self.window.stage
        width = self.window.width()
        side = width * self._share // 100 if not self.window.side.isHidden() else 0
        side = width if stage.isHidden() else side
        self.window.across.setSizes([0, width - side, side])
        height = stage.height()
        above = 45 if self._focus == "curves" else 72
        stage.parts.setSizes([height * above // 100, height * (100 - above) // 100])

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.window and event.type() == QEvent.Type.Resize and self.on:
            self._fit_timer.start()
        return False

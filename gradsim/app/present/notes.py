"""The teacher's own window, on the screen that the audience does not see: notes, what comes next, the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QDateTime, QLocale, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QFont, QKeyEvent, QKeySequence, QPixmap, QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QTextBrowser, QVBoxLayout

from gradsim.app import theme
from gradsim.app.present.talk import Follower, Talk
from gradsim.i18n import tr

if TYPE_CHECKING:
    from gradsim.app.actions import Actions

KEYS = (
    "present.next",
    "present.previous",
    "present.freeze",
    "present.blank",
    "present.notes",
    "present.toggle",
    "present.leave",
    "run.play",
    "run.step",
)
"""What the keys of the main window do here, too: the keyboard is in whichever window was clicked last."""

BUTTONS = ("present.previous", "present.next", "run.play", "present.freeze", "present.swap", "present.leave")


class NotesWindow(Follower):
    """Notes of the present step, the next one, a clock and the time since the talk began.

    Args:
        talk: What is talked about.
        actions: The window's verbs, for keys and buttons.
        began: ``time.monotonic()`` of the beginning.
        preview: Gives the picture that the audience would see if it were not frozen; None while it is not.
    """

    closed = Signal()

    def __init__(self, talk: Talk, actions: Actions, began: float, preview: Callable[[], QPixmap | None]) -> None:
        super().__init__(talk)
        self.setWindowFlags(Qt.WindowType.Window)
        self.actions_, self.began, self.preview = actions, began, preview
        self.setWindowTitle(tr("Notes for the teacher – gradsim"))
        self.clock, self.elapsed, self.place = QLabel(self), QLabel(self), QLabel(self)
        self.title, self.coming = QLabel(self), QLabel(self)
        self.text = QTextBrowser(self)
        self.text.setOpenLinks(False)
        self.text.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.picture = QLabel(self)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        for widget, name, tip in (
            (self.clock, tr("Clock"), tr("The time of day")),
            (
                self.elapsed,
                tr("Elapsed"),
                tr("Since this presentation began; click the button beside it to begin anew"),
            ),
            (self.place, tr("Step"), tr("Which step of how many")),
            (self.title, tr("This step"), tr("What the audience sees as title")),
            (self.coming, tr("Next step"), tr("What the next step is")),
            (self.text, tr("Notes"), tr("Notes for the teacher; the audience does not see them")),
            (self.picture, tr("Prepared picture"), tr("What the audience will see when you end the freeze")),
        ):
            widget.setAccessibleName(name)
            widget.setToolTip(tip)
        for label in (self.title, self.coming):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self.again = QPushButton(tr("Restart the time"), self)
        self.again.setToolTip(tr("Count the elapsed time from now"))
        self.again.clicked.connect(self.restart_time)
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        for name in BUTTONS:
            button = QPushButton(self)
            button.clicked.connect(actions[name].trigger)
            self.buttons[name] = button
            row.addWidget(button)
        row.addStretch(1)
        head = QGridLayout()
        head.addWidget(self.clock, 0, 0)
        head.addWidget(self.elapsed, 0, 1)
        head.addWidget(self.again, 0, 2)
        head.addWidget(self.place, 0, 4)
        head.setColumnStretch(3, 1)
        whole = QVBoxLayout(self)
        whole.addLayout(head)
        whole.addWidget(self.title)
        whole.addWidget(self.text, 3)
        whole.addWidget(self.picture, 2)
        whole.addWidget(self.coming)
        whole.addLayout(row)
        self._layout = whole
        self._timer = QTimer(self)
        self._timer.setInterval(1000)
        self._timer.timeout.connect(self.tick)
        self._timer.start()
        theme.changed.connect(self._dress)
        self._dress()
        self.renew()

    def renew(self) -> None:
        talk = self.talk
        self.title.setText(talk.title)
        self.text.setMarkdown(talk.notes or tr("There are no notes for this."))
        coming = talk.coming
        self.coming.setText(tr("Next: {title}", title=coming) if coming else tr("Next: nothing, this is the end"))
        self.coming.setVisible(talk.place is not None)
        place = talk.place
        self.place.setText("" if place is None else tr("Step {step} of {steps}", step=place[0], steps=place[1]))
        for name in ("present.previous", "present.next"):
            self.buttons[name].setVisible(place is not None)
        self.tick()

    def tick(self) -> None:
        """Once a second: the time, what can be done, and the prepared picture."""
        now = QDateTime.currentDateTime().time()
        self.clock.setText(QLocale().toString(now, QLocale.FormatType.ShortFormat))
        gone = int(time.monotonic() - self.began)
        hours, minutes, seconds = gone // 3600, gone // 60 % 60, gone % 60
        counted = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        self.elapsed.setText(tr("Elapsed {time}", time=counted))
        for name, button in self.buttons.items():
            action = self.actions_[name]
            text = self.actions_.verbs[name].words
            if name == "run.play":
                text = tr("Pause") if self.actions_.window.session.playing else tr("Play")
            elif action.isCheckable() and action.isChecked() and name == "present.freeze":
                text = tr("End the freeze")
            keys = action.shortcuts()
            shown = keys[0].toString(QKeySequence.SequenceFormat.NativeText) if keys else ""
            button.setText(f"{text} ({shown})" if shown else text)
            button.setAccessibleName(text)
            button.setToolTip(action.toolTip())
            button.setEnabled(action.isEnabled())
        self._show_preview()

    def restart_time(self) -> None:
        """Counts the elapsed time from now."""
        self.began = time.monotonic()
        self.tick()

    def _show_preview(self) -> None:
        found = self.preview()
        self.picture.setVisible(found is not None)
        if found is not None:
            room = self.picture.size().expandedTo(self.size() / 4)
            keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            self.picture.setPixmap(found.scaled(room, keep, smooth))

    def _dress(self) -> None:
        # The teacher sits before this one: the user's own size, not the audience's.
        percent = theme.chosen_zoom() / theme.zoom() / theme.current().font_scale

        def font(factor: float, *, bold: bool = False, fixed: bool = False) -> QFont:
            made = theme.font("normal", bold=bold, fixed=fixed)
            made.setPointSizeF(made.pointSizeF() * percent * factor)
            return made

        self.clock.setFont(font(2.2, bold=True, fixed=True))
        self.elapsed.setFont(font(1.6, fixed=True))
        self.place.setFont(font(1.3))
        self.title.setFont(font(1.6, bold=True))
        self.coming.setFont(font(1.2, bold=True))
        self.text.setFont(font(1.5))
        for button in (*self.buttons.values(), self.again):
            button.setFont(font(1.0))
        margin = max(8, round(12 * theme.chosen_zoom() / 100))
        self._layout.setContentsMargins(margin, margin, margin, margin)
        self._layout.setSpacing(margin)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        pressed = QKeySequence(event.keyCombination())
        for name in KEYS:
            action = self.actions_[name]
            if action.isEnabled() and pressed in action.shortcuts():
                action.trigger()
                return
        super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.picture.setMinimumSize(1, 1)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._timer.stop()
        super().closeEvent(event)
        self.closed.emit()

"""A line above the pictures that says what happened and offers what can be done about it; never a dialog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QToolButton, QWidget

from gradsim.app import theme
from gradsim.i18n import tr

Kind = Literal["problem", "warning", "note"]
READ_MS = 12_000
"""How long a message stays that asks nothing."""


class Banner(QWidget):
    """One message at a time.

    Args:
        kind: Decides the colour beside it.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind: Kind = "note"
        self.topic = ""
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.glyph = QLabel(self)
        self.text = QLabel(self)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress"))
        self.bar.hide()
        self.buttons: list[QPushButton] = []
        self.close_button = QToolButton(self)
        self.close_button.setText("✕")
        self.close_button.setAutoRaise(True)
        self.close_button.setAccessibleName(tr("Close the message"))
        self.close_button.setToolTip(tr("Close this message"))
        self.close_button.clicked.connect(self.dismiss)
        self._row = QHBoxLayout(self)
        self._row.addWidget(self.glyph)
        self._row.addWidget(self.text, 1)
        self._row.addWidget(self.bar)
        self._row.addWidget(self.close_button)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.dismiss)
        theme.changed.connect(self._dress)
        self._dress()
        self.hide()

    def say(
        self,
        text: str,
        *,
        kind: Kind = "note",
        topic: str = "",
        choices: Sequence[tuple[str, str, Callable[[], object]]] = (),
        stays: bool = False,
    ) -> None:
        """Shows a message in place of the last one.

        Args:
            text: Plain sentences.
            kind: Colour and sign.
            topic: Names what it is about, for :meth:`clear`.
            choices: ``(text, tooltip, function)`` of buttons; a click closes the message first.
            stays: Until it is closed; messages with buttons stay anyway.
        """
        self.kind, self.topic = kind, topic
        self._clear_buttons()
        self.bar.hide()
        # A traceback has its place in a report, not above the pictures.
        self.text.setText(text.split("\n\nTraceback", 1)[0])
        self.text.setToolTip(text if "Traceback" in text else "")
        for word, tip, function in choices:
            button = QPushButton(word, self)
            button.setToolTip(tip)
            button.setAutoDefault(False)
            button.clicked.connect(lambda _=False, f=function: self._chose(f))
            self._row.insertWidget(self._row.count() - 1, button)
            self.buttons.append(button)
        self.setAccessibleName(text)
        self._dress()
        self.show()
        if choices or stays:
            self._timer.stop()
        else:
            self._timer.start(READ_MS)

    def progress(self, text: str, done: int, total: int) -> None:
        """Shows how far something long has come."""
        if self.topic != "progress":
            self.say(text, topic="progress", stays=True)
        self.text.setText(tr("{text}: {done} of {total}", text=text, done=done, total=total))
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.bar.show()

    def clear(self, topic: str) -> None:
        """Closes the message if it is still about this."""
        if self.topic == topic:
            self.dismiss()

    def dismiss(self) -> None:
        """Closes the message."""
        self._timer.stop()
        self.topic = ""
        self.hide()

    def _chose(self, function: Callable[[], object]) -> None:
        self.dismiss()
        function()

    def _clear_buttons(self) -> None:
        for button in self.buttons:
            self._row.removeWidget(button)
            button.deleteLater()
        self.buttons = []

    def _dress(self) -> None:
        sign = {"problem": "▲", "warning": "!", "note": "i"}[self.kind]
        self.glyph.setText(sign)
        self.glyph.setFont(theme.font("large", bold=True))
        colours = self.glyph.palette()
        colours.setColor(colours.ColorRole.WindowText, self._colour())
        self.glyph.setPalette(colours)
        self.text.setFont(theme.font("normal", bold=self.kind == "problem"))
        self.bar.setFixedWidth(theme.px(180))
        self._row.setContentsMargins(theme.px(14), theme.px(6), theme.px(8), theme.px(6))
        self._row.setSpacing(theme.px(8))
        self.update()

    def _colour(self) -> QColor:
        look = theme.current()
        return QColor({"problem": look.impossible, "warning": look.unwise, "note": look.note}[self.kind])

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.current().surface))
        painter.fillRect(0, 0, theme.px(5), self.height(), self._colour())
        painter.fillRect(0, self.height() - 1, self.width(), 1, QColor(theme.current().line))

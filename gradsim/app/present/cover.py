"""Lies over the window while the audience shall not see what is prepared: the last picture, or black."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QWidget

from gradsim.app import theme
from gradsim.app.see.plots import faded
from gradsim.i18n import tr


class Cover(QWidget):
    """Covers another widget, at whatever size that has.

    Args:
        over: The widget whose picture is kept.
        window: Gets the cover as a child; the covered widget lies in it.
    """

    def __init__(self, over: QWidget, window: QWidget) -> None:
        super().__init__(window)
        self.over = over
        self._kept: QPixmap | None = None
        self._black = False
        self.setAccessibleName(tr("Kept picture"))
        over.installEventFilter(self)
        self.hide()

    @property
    def frozen(self) -> bool:
        """Whether a picture is kept."""
        return self._kept is not None

    @property
    def black(self) -> bool:
        """Whether the audience sees nothing at all."""
        return self._black

    def set_frozen(self, on: bool) -> None:
        """Keeps the picture of this moment, or shows what there is again."""
        self._kept = self.over.grab() if on else None
        self._renew()

    def set_black(self, on: bool) -> None:
        """Shows nothing, or what there is again."""
        self._black = on
        self._renew()

    def _renew(self) -> None:
        self.setVisible(self.frozen or self._black)
        if self.isVisible():
            self._lie()
            self.raise_()
        self.update()

    def _lie(self) -> None:
        self.setGeometry(self.over.geometry())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move):
            self._lie()
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._black:
            painter.fillRect(self.rect(), QColor("#000000"))
            return
        if self._kept is None:
            return
        painter.drawPixmap(self.rect(), self._kept)
        look = theme.current()
        painter.setFont(theme.font("small", bold=True))
        text, metrics = tr("frozen"), QFontMetricsF(painter.font())
        pad = theme.px(5)
        box = QRectF(0, 0, metrics.horizontalAdvance(text) + 2 * pad, metrics.height() + pad)
        box.moveBottomRight(QRectF(self.rect()).bottomRight())
        painter.fillRect(box, faded(look.raised, 220))
        painter.setPen(QColor(look.muted))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

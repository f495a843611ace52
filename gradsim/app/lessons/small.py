"""Small heatmaps of finished runs, side by side: what several runs of one step did."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gradsim.app import theme
from gradsim.app.see.plots import pen
from gradsim.app.see.pull import extreme
from gradsim.i18n import tr
from gradsim.telemetry.classes import classify
from gradsim.telemetry.quantities import quantity
from gradsim.telemetry.recording import Recording


class SmallHeatmap(QWidget):
    """A whole run in one quantity on the fixed scale, the output above; not to be touched."""

    def __init__(self, recording: Recording, key: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.recording, self.key, self.title = recording, key, title
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(title)
        self.setToolTip(tr("{title}: {quantity}, the whole run", title=title, quantity=tr(quantity(key).title)))

    def image(self) -> QImage:
        """A pixel for each layer and column of steps."""
        definition = quantity(self.key)
        each = max(1, len(self.recording) // 400)
        columns = self.recording.columns(self.key, stride=each)
        classes = classify(
            definition,
            extreme(definition, columns),
            nan=columns.nan,
            inf=columns.inf,
            frozen=np.array([layer.frozen for layer in self.recording.layers]),
            recorded=columns.recorded[:, None],
        )
        colours = np.array(theme.current().table_argb(definition.colours), np.uint32)
        pixels = np.ascontiguousarray(colours[classes.T[::-1]])
        height, width = pixels.shape
        return QImage(pixels.data, width, height, width * 4, QImage.Format.Format_RGB32).copy()

    def sizeHint(self) -> QSize:
        return QSize(theme.px(150), theme.px(96) + round(QFontMetricsF(theme.font("small")).height()))

    def paintEvent(self, event: QPaintEvent) -> None:
        look, painter = theme.current(), QPainter(self)
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        head = metrics.height() + theme.px(2)
        painter.setPen(QColor(look.text))
        words = metrics.elidedText(self.title, Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(QRectF(0, 0, self.width(), head), Qt.AlignmentFlag.AlignLeft, words)
        area = QRectF(0.5, head, self.width() - 1, self.height() - head - 1)
        painter.drawImage(area, self.image())
        painter.setPen(pen(look.line))
        painter.drawRect(area)

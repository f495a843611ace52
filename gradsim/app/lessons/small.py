"""Small pictures of finished runs: what several runs of one step did."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gradsim.app import theme
from gradsim.app.lessons.board import colours
from gradsim.app.see import miniature, words
from gradsim.app.see.curves import polyline
from gradsim.app.see.plots import pen
from gradsim.i18n import tr
from gradsim.lessons.numbers import number
from gradsim.telemetry.quantities import quantity
from gradsim.telemetry.recording import Recording

Floats = NDArray[np.float64]
PIXELS = (400, 400)
"""Most columns and lines of a heatmap."""


class SmallHeatmap(QWidget):
    """A whole run in one quantity on the fixed scale, the output above; not to be touched."""

    def __init__(self, recording: Recording, key: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.colours = title, quantity(key).colours
        steps = max(1, recording.stop - recording.start)
        self.picture = miniature.miniature(recording, key, quantity(key).thresholds, steps, PIXELS, upwards=True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(title)
        self.setToolTip(tr("{title}: {quantity}, the whole run", title=title, quantity=tr(quantity(key).title)))

    def sizeHint(self) -> QSize:
        return QSize(theme.px(150), theme.px(96) + round(QFontMetricsF(theme.font("small")).height()))

    def paintEvent(self, event: QPaintEvent) -> None:
        look, painter = theme.current(), QPainter(self)
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        head = metrics.height() + theme.px(2)
        painter.setPen(QColor(look.text))
        title = metrics.elidedText(self.title, Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(QRectF(0, 0, self.width(), head), Qt.AlignmentFlag.AlignLeft, title)
        area = QRectF(0.5, head, self.width() - 1, self.height() - head - 1)
        miniature.paint(painter, area, self.picture, self.colours)


class SmallCurves(QWidget):
    """The loss of several runs over their steps, on one logarithmic axis, each with its name and last value."""

    POINTS = 200

    def __init__(self, recordings: Sequence[Recording], titles: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.titles = tuple(titles)
        self.lines = [self._line(recording) for recording in recordings]
        self.last = [float(recording["loss"][-1]) if len(recording) else math.nan for recording in recordings]
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Loss of all runs"))
        said = [f"{title}: {number(value)}" for title, value in zip(self.titles, self.last, strict=False)]
        self.setAccessibleDescription("; ".join(said))
        self.setToolTip(tr("The loss of all runs over their steps, on a logarithmic axis; mean of neighbouring steps"))

    def _line(self, recording: Recording) -> tuple[Floats, Floats]:
        """Steps and log10 of the loss, neighbours averaged; what has no logarithm is left out."""
        loss, steps = recording["loss"], recording.steps
        each = max(1, len(loss) // self.POINTS)
        starts = np.arange(0, len(loss), each)
        with np.errstate(all="ignore"):
            mean = np.add.reduceat(loss, starts) / np.diff(np.append(starts, len(loss))) if len(loss) else loss
            values = np.log10(mean)
        known = np.isfinite(values)
        return steps[starts][known].astype(np.float64), values[known]

    def _row(self) -> float:
        return QFontMetricsF(theme.font("small")).height()

    def sizeHint(self) -> QSize:
        return QSize(theme.px(200), theme.px(150) + round(self._row() * (len(self.lines) + 1)))

    def paintEvent(self, event: QPaintEvent) -> None:
        look, painter = theme.current(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        row = self._row()
        left = metrics.horizontalAdvance("1e-10") + theme.px(6)
        area = QRectF(left, row, self.width() - left - 1, self.height() - row * (len(self.lines) + 1.5))
        painter.setPen(QColor(look.muted))
        painter.drawText(QRectF(0, 0, self.width(), row), Qt.AlignmentFlag.AlignLeft, tr("Loss"))
        known = [values for _, values in self.lines if len(values)]
        if not known:
            return
        low, high = min(float(v.min()) for v in known), max(float(v.max()) for v in known)
        pad = max(0.05, 0.05 * (high - low))
        low, high = low - pad, high + pad
        stop = max(float(steps[-1]) for steps, values in self.lines if len(values)) or 1.0
        each = max(1, math.ceil((high - low) / 4))
        ticks = [float(n) for n in range(math.ceil(low), math.floor(high) + 1) if n % each == 0]
        for tick in ticks or [low + pad, high - pad]:
            y = area.bottom() - (tick - low) / (high - low) * area.height()
            painter.setPen(pen(look.line))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(look.muted))
            box = QRectF(0, y - row / 2, left - theme.px(4), row)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words.number(10**tick))
        inks = colours()
        for place, (steps, values) in enumerate(self.lines):
            painter.setPen(pen(inks[place % len(inks)], theme.line_width(1.2)))
            across = area.left() + steps / stop * area.width()
            down = area.bottom() - (values - low) / (high - low) * area.height()
            painter.drawPolyline(polyline(across, down))
        for place, (title, value) in enumerate(zip(self.titles, self.last, strict=False)):
            y = self.height() - row * (len(self.lines) - place)
            painter.setPen(pen(inks[place % len(inks)], theme.line_width(1.6)))
            painter.drawLine(QPointF(2, y + row / 2), QPointF(theme.px(20), y + row / 2))
            painter.setPen(QColor(look.text))
            tail = number(value)
            room = QRectF(theme.px(26), y, self.width() - theme.px(26), row)
            painter.drawText(room, Qt.AlignmentFlag.AlignRight, tail)
            most = room.width() - metrics.horizontalAdvance(tail) - theme.px(8)
            painter.drawText(
                room, Qt.AlignmentFlag.AlignLeft, metrics.elidedText(title, Qt.TextElideMode.ElideRight, most)
            )

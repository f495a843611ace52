"""What a step draws that is no training: a loss surface with the ways of optimizers, or activations and slopes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QWidget

from gradsim.app import theme
from gradsim.app.lessons.lecture import Lecture
from gradsim.app.see.curves import polyline
from gradsim.app.see.plots import faded, mixed, pen
from gradsim.i18n import mark, tr
from gradsim.lessons import Curve, Functions, Surface
from gradsim.lessons.numbers import number

BANDS = 18
_MARKS = {
    "minimum": ("★", mark("minimum")),
    "local minimum": ("☆", mark("local minimum")),
    "saddle point": ("×", mark("saddle point")),
}
_DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DashDotLine)


def colours() -> list[str]:
    """Of up to eight lines, told apart in every theme."""
    look = theme.current()
    keys = ("loss", "clipped", "accuracy", "global_gradient_norm")
    return [*(look.curves[key] for key in keys), look.impossible, look.curves["val_loss"], look.good, look.text]


class Board(QWidget):
    """The picture of a step without a run; it lies over the pictures of the run."""

    def __init__(self, lecture: Lecture, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lecture = lecture
        self._bands: tuple[Any, QImage] | None = None
        self.setAccessibleName(tr("Picture of the step"))
        lecture.changed.connect(self.renew)
        lecture.moved.connect(self.update)
        theme.changed.connect(self.renew)

    @property
    def wanted(self) -> bool:
        """Whether the step has something to draw."""
        step = self.lecture.step
        return step is not None and (step.surface is not None or step.functions is not None)

    def renew(self) -> None:
        """Another step, phase or look."""
        self._bands = None
        step = self.lecture.step
        if step is not None and step.surface is not None:
            self.setAccessibleDescription(
                tr("Loss surface with the ways of {n} optimizers", n=len(step.surface.labels))
            )
        elif step is not None and step.functions is not None:
            names = ", ".join(curve.label for curve in step.functions.curves(3))
            self.setAccessibleDescription(tr("Activations and their slopes: {names}", names=names))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        step, painter = self.lecture.step, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(theme.current().plot))
        if step is None:
            return
        if step.surface is not None:
            self._paint_surface(painter, step.surface)
        elif step.functions is not None:
            self._paint_functions(painter, step.functions)

    # Loss surface

    def _area(self) -> QRectF:
        line = QFontMetricsF(theme.font("small")).height()
        return QRectF(self.rect()).adjusted(2.2 * line, theme.px(10), -theme.px(12), -2.2 * line)

    def _paint_surface(self, painter: QPainter, surface: Surface) -> None:
        look, area = theme.current(), self._area()
        left, right, bottom, top = surface.formula.extent

        def at(x: float, y: float) -> QPointF:
            return QPointF(
                area.left() + (x - left) / (right - left) * area.width(),
                area.bottom() - (y - bottom) / (top - bottom) * area.height(),
            )

        painter.drawImage(area, self._surface_image(surface, area))
        painter.setPen(pen(look.line))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(area)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(look.muted))
        below = QRectF(area.left(), area.bottom(), area.width(), self.height() - area.bottom())
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, tr("weight 1 →"))
        painter.save()
        painter.translate(0, area.bottom())
        painter.rotate(-90)
        painter.drawText(QRectF(0, 0, area.height(), area.left()), Qt.AlignmentFlag.AlignCenter, tr("weight 2 →"))
        painter.restore()
        painter.setClipRect(area)
        outcome = self.lecture.outcome
        start = at(*surface.start)
        wide = theme.line_width(1.5)
        if outcome is not None:
            # The first ones last, so that none hides the one that the text begins with.
            for place in reversed(range(len(outcome.paths))):
                path = outcome.paths[place]
                count = 1 + round(self.lecture.part * (len(path.points) - 1))
                points = path.points[:count]
                x = area.left() + (points[:, 0] - left) / (right - left) * area.width()
                y = area.bottom() - (points[:, 1] - bottom) / (top - bottom) * area.height()
                far = 20.0 * max(self.width(), self.height())
                line = polyline(np.clip(x, -far, far), np.clip(y, -far, far))
                colour = colours()[place % 8]
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(pen(look.plot, wide + 2))
                painter.drawPolyline(line)
                painter.setPen(pen(colour, wide, _DASHES[place % 3]))
                painter.drawPolyline(line)
                painter.setPen(pen(look.plot, 1.5))
                painter.setBrush(QColor(colour))
                painter.drawEllipse(QPointF(float(x[-1]), float(y[-1])), wide * 2.4, wide * 2.4)
        painter.setPen(pen(look.text, wide))
        painter.setBrush(QColor(look.plot))
        painter.drawEllipse(start, wide * 1.8, wide * 1.8)
        for one in surface.formula.marks:
            glyph, words = _MARKS[one.kind]
            middle = at(one.x, one.y)
            painter.setFont(theme.font("title", bold=True))
            box = QRectF(middle.x() - 40, middle.y() - 40, 80, 80)
            _haloed(painter, box, Qt.AlignmentFlag.AlignCenter, glyph)
            painter.setFont(theme.font("small", bold=True))
            box = QRectF(middle.x() - 200, middle.y() + theme.px(9), 400, theme.px(26))
            _haloed(painter, box, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, tr(words))
        painter.setClipping(False)
        self._paint_legend(painter, surface, area)

    def _paint_legend(self, painter: QPainter, surface: Surface, area: QRectF) -> None:
        look, outcome = theme.current(), self.lecture.outcome
        painter.setFont(theme.font("normal"))
        metrics = QFontMetricsF(painter.font())
        lines = []
        for place, label in enumerate(surface.labels):
            tail = ""
            if outcome is not None and place < len(outcome.paths):
                path = outcome.paths[place]
                count = 1 + round(self.lecture.part * (len(path.points) - 1))
                tail = tr("ran away") if path.ran_away and count == len(path.points) else number(path.loss[count - 1])
            lines.append((label, tail))
        if outcome is not None:
            most = max((len(path.points) for path in outcome.paths), default=1)
            done = tr("step {step}: loss", step=round(self.lecture.part * (most - 1)))
        else:
            done = tr("start: ○")
        gap, sign = theme.px(8), theme.px(26)
        widest = max(metrics.horizontalAdvance(label) for label, _ in lines)
        values = max(metrics.horizontalAdvance("1.23 × 10⁻¹⁰"), metrics.horizontalAdvance(tr("ran away")))
        width = sign + widest + values + 4 * gap
        left, right, bottom, top = surface.formula.extent
        # In the corner that is farthest from where the ways begin.
        height = metrics.height() * (len(lines) + 1) + gap
        x = area.left() + gap if surface.start[0] > (left + right) / 2 else area.right() - width - gap
        y = area.top() + gap if surface.start[1] < (bottom + top) / 2 else area.bottom() - height - gap
        box = QRectF(x, y, width, height)
        painter.setPen(pen(look.line))
        painter.setBrush(faded(look.surface, 235))
        painter.drawRoundedRect(box, theme.px(4), theme.px(4))
        painter.setPen(QColor(look.muted))
        head = QRectF(box.left(), box.top() + gap / 2, box.width() - gap, metrics.height())
        painter.drawText(head, Qt.AlignmentFlag.AlignRight, done)
        for place, (label, tail) in enumerate(lines):
            y = box.top() + gap / 2 + metrics.height() * (place + 1)
            middle = y + metrics.height() / 2
            painter.setPen(pen(colours()[place % 8], theme.line_width(1.5), _DASHES[place % 3]))
            painter.drawLine(QPointF(box.left() + gap, middle), QPointF(box.left() + sign, middle))
            painter.setPen(QColor(look.text))
            text = QRectF(box.left() + sign + gap, y, box.width() - sign - 2 * gap, metrics.height())
            painter.drawText(text, Qt.AlignmentFlag.AlignLeft, label)
            painter.drawText(text, Qt.AlignmentFlag.AlignRight, tail)

    def _surface_image(self, surface: Surface, area: QRectF) -> QImage:
        """Bands of equal loss, the low ones light, with a line between two bands."""
        columns, rows = max(8, int(area.width())), max(8, int(area.height()))
        key = (surface.surface, columns, rows, theme.current().name, theme.zoom())
        if self._bands is not None and self._bands[0] == key:
            return self._bands[1]
        loss = surface.grid(columns, rows).loss[::-1]
        above = loss - loss.min()
        scaled: NDArray[np.float64] = np.log10(above / above.max() + 1e-3)
        share = (scaled - scaled.min()) / (scaled.max() - scaled.min())
        band = np.minimum((share * BANDS).astype(np.intp), BANDS - 1)
        look = theme.current()
        table = np.array(
            [mixed(look.accent, look.plot, round(8 + 110 * n / (BANDS - 1))).rgb() for n in range(BANDS)], np.uint32
        )
        pixels = table[band]
        edge = np.zeros(band.shape, np.bool_)
        edge[:, 1:] |= band[:, 1:] != band[:, :-1]
        edge[1:] |= band[1:] != band[:-1]
        pixels[edge] = mixed(look.text, look.plot, 70).rgb()
        pixels = np.ascontiguousarray(pixels)
        image = QImage(pixels.data, columns, rows, columns * 4, QImage.Format.Format_RGB32).copy()
        self._bands = (key, image)
        return image

    # Functions

    def _paint_functions(self, painter: QPainter, functions: Functions) -> None:
        curves = functions.curves()
        line = QFontMetricsF(theme.font("large")).height()
        half = (self.height() - 3 * line) / 2
        left, width = 3.4 * line, self.width() - 4.4 * line
        for number_, (title, values) in enumerate(
            (
                (tr("value"), [curve.value for curve in curves]),
                (tr("slope"), [curve.slope for curve in curves]),
            )
        ):
            area = QRectF(left, line + number_ * (half + line), width, half - line * 0.4)
            self._paint_curves(painter, area, title, curves, values, legend=number_ == 0)

    def _paint_curves(
        self,
        painter: QPainter,
        area: QRectF,
        title: str,
        curves: Sequence[Curve],
        values: Sequence[NDArray[np.float64]],
        *,
        legend: bool,
    ) -> None:
        look = theme.current()
        known = np.concatenate(list(values))
        low, high = float(np.nanmin(known)), float(np.nanmax(known))
        pad = 0.08 * max(high - low, 1e-9)
        low, high = low - pad, high + pad
        x_low, x_high = float(curves[0].x[0]), float(curves[0].x[-1])

        def at(x: Any, y: Any) -> tuple[Any, Any]:
            return (
                area.left() + (x - x_low) / (x_high - x_low) * area.width(),
                area.bottom() - (y - low) / (high - low) * area.height(),
            )

        small = theme.font("small")
        painter.setFont(small)
        metrics = QFontMetricsF(small)
        for value in _ticks(low, high, max(2, int(area.height() / (metrics.height() * 2)))):
            y = at(0.0, value)[1]
            painter.setPen(pen(look.text if value == 0 else mixed(look.line, look.plot, 120), 1.2 if value == 0 else 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(look.muted))
            box = QRectF(0, y - metrics.height() / 2, area.left() - theme.px(5), metrics.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{value:g}")
        for value in _ticks(x_low, x_high, max(2, int(area.width() / (metrics.horizontalAdvance("−10") * 3)))):
            x = at(value, 0.0)[0]
            painter.setPen(pen(look.text if value == 0 else mixed(look.line, look.plot, 120), 1.2 if value == 0 else 1))
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
            painter.setPen(QColor(look.muted))
            box = QRectF(x - 50, area.bottom() + 1, 100, metrics.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, f"{value:g}")
        painter.setClipRect(area)
        for place in reversed(range(len(curves))):
            x, y = at(curves[place].x, values[place])
            painter.setPen(pen(colours()[place % 8], theme.line_width(1.7), _DASHES[place % 3]))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(_points(x, y))
        painter.setClipping(False)
        painter.setFont(theme.font("large", bold=True))
        painter.setPen(QColor(look.text))
        painter.drawText(area.adjusted(theme.px(8), theme.px(4), 0, 0), Qt.AlignmentFlag.AlignLeft, title)
        if legend:
            self._paint_names(painter, area, [curve.label for curve in curves])

    def _paint_names(self, painter: QPainter, area: QRectF, names: Sequence[str]) -> None:
        look = theme.current()
        painter.setFont(theme.font("normal"))
        metrics = QFontMetricsF(painter.font())
        top = area.top() + QFontMetricsF(theme.font("large")).height() + theme.px(8)
        sign, gap = theme.px(26), theme.px(8)
        width = sign + max(metrics.horizontalAdvance(name) for name in names) + 3 * gap
        box = QRectF(area.left() + gap, top, width, metrics.height() * len(names) + gap)
        painter.setPen(pen(look.line))
        painter.setBrush(faded(look.surface, 235))
        painter.drawRoundedRect(box, theme.px(4), theme.px(4))
        for place, name in enumerate(names):
            y = box.top() + gap / 2 + place * metrics.height()
            middle = y + metrics.height() / 2
            painter.setPen(pen(colours()[place % 8], theme.line_width(1.7), _DASHES[place % 3]))
            painter.drawLine(QPointF(box.left() + gap, middle), QPointF(box.left() + gap + sign - 4, middle))
            painter.setPen(QColor(look.text))
            text = QRectF(box.left() + sign + gap * 1.5, y, box.width(), metrics.height())
            painter.drawText(text, Qt.AlignmentFlag.AlignLeft, name)


def _haloed(painter: QPainter, box: QRectF, flags: Qt.AlignmentFlag, text: str) -> None:
    """Text that can be read over any line."""
    look = theme.current()
    painter.setPen(QColor(look.plot))
    for dx, dy in ((-1.5, 0), (1.5, 0), (0, -1.5), (0, 1.5)):
        painter.drawText(box.translated(dx, dy), flags, text)
    painter.setPen(QColor(look.text))
    painter.drawText(box, flags, text)


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> QPolygonF:
    return polyline(x, np.clip(y, -1e5, 1e5))


def _ticks(low: float, high: float, most: int) -> list[float]:
    rough = max((high - low) / most, 1e-12)
    decade = 10.0 ** math.floor(math.log10(rough))
    each = next(m * decade for m in (1, 2, 5, 10) if m * decade >= rough)
    return [round(n * each, 12) for n in range(math.ceil(low / each), math.floor(high / each) + 1)]

"""What the plots have in common: looks, mouse, the linked time axis, gutters of equal width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QImage, QKeyEvent, QPaintEngine, QPainter, QPen, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QGraphicsItem, QWidget

from gradsim.app import theme
from gradsim.app.player import Watched
from gradsim.app.see import words
from gradsim.app.see.axis import TimeAxis
from gradsim.i18n import tr

LEFT = 62
"""Pixels left of the steps, at 100 % zoom: names of rows, figures of the curves."""
RIGHT = 98
"""Pixels right of the steps: present values."""
BOTTOM = 22
"""Pixels below the plots: figures and label of the axis."""


def gutter(pixels: float) -> int:
    """A length beside a plot, given for 100 % zoom and text of the usual size, in pixels now."""
    return theme.px(pixels * theme.current().font_scale)


def pen(colour: str | QColor, width: float = 1.0, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    """A pen whose width does not grow with the plot."""
    made = QPen(QColor(colour), width, style)
    made.setCosmetic(True)
    return made


def faded(colour: str | QColor, alpha: int) -> QColor:
    """The colour, partly transparent: ``alpha`` 0 to 255."""
    made = QColor(colour)
    made.setAlpha(alpha)
    return made


def mixed(colour: str | QColor, background: str | QColor, alpha: int) -> QColor:
    """The same over a background, opaque: it is painted several times faster."""
    a, b, share = QColor(colour), QColor(background), alpha / 255
    pairs = ((a.red(), b.red()), (a.green(), b.green()), (a.blue(), b.blue()))
    return QColor(*(round(p * share + q * (1 - share)) for p, q in pairs))


def is_vector(painter: QPainter) -> bool:
    """Whether it paints shapes into a file instead of pixels."""
    engine = painter.paintEngine()
    return engine is not None and engine.type() in (QPaintEngine.Type.SVG, QPaintEngine.Type.Pdf)


def draw_part(painter: QPainter, target: QRectF, image: QImage, source: QRectF) -> None:
    """Draws whole cells of an image, sharp, on whatever the painter paints on."""
    if is_vector(painter):
        # The whole image would be embedded, and viewers would blur it.
        part = image.copy(source.toRect())
        size = QSize(max(1, round(2 * target.width())), max(1, round(2 * target.height())))
        painter.drawImage(target, part.scaled(size))
    else:
        painter.drawImage(target, image, source)


class Axis(pg.AxisItem):
    """An axis with few, readable figures; decades as ``1e-9`` where it is logarithmic."""

    def __init__(self, orientation: str, *, decades: bool = False, counts_steps: bool = False) -> None:
        self.decades, self.counts_steps = decades, counts_steps
        super().__init__(orientation)
        self.enableAutoSIPrefix(False)

    def dress(self) -> None:
        """Takes colours, font and size from the theme."""
        look = theme.current()
        small = theme.font("small")
        self.setPen(pen(look.line))
        self.setTextPen(QColor(look.text))
        self.setStyle(tickFont=small, tickLength=-theme.px(4), tickTextOffset=theme.px(3), maxTextLevel=0)
        if self.orientation in ("left", "right"):
            self.setWidth(gutter(LEFT if self.orientation == "left" else RIGHT))
        else:
            self.setHeight(gutter(BOTTOM))

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        if self.orientation in ("left", "right"):
            # A figure at the very end would reach into the plot above or below.
            room = (maxVal - minVal) * theme.px(6) / max(size, 1.0)
            minVal, maxVal = minVal + room, maxVal - room
        if not self.decades:
            return self._linear(minVal, maxVal, size)
        span = maxVal - minVal
        room = theme.px(46 if self.orientation in ("bottom", "top") else 22)
        most = max(2.0, size / room)
        if span <= 3:
            return [(1, self._within_decades(minVal, maxVal, most))]
        each = next((e for e in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 30, 50, 100) if span / e <= most), 200)
        first = math.ceil(minVal / each - 1e-9) * each
        return [(each, [float(v) for v in range(first, math.floor(maxVal + 1e-9) + 1, each)])]

    def _linear(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        upright = self.orientation in ("bottom", "top")
        most = max(1.0, size / theme.px(72 if upright else 26))
        rough = max((maxVal - minVal) / most, 1e-12)
        decade = 10.0 ** math.floor(math.log10(rough))
        each = next(m * decade for m in (1, 2, 5, 10, 20) if m * decade >= rough)
        if self.counts_steps:
            each = max(1.0, each)
        first, last = math.ceil(minVal / each - 1e-9), math.floor(maxVal / each + 1e-9)
        return [(each, [i * each for i in range(first, last + 1)])]

    def _within_decades(self, minVal: float, maxVal: float, most: float) -> list[float]:
        """Figures where a decade or two are all there is to see: 1, 2, 5, or only 1 and 3."""
        for digits in ((1, 2, 5), (1, 3), (1,)):
            found = [
                decade + math.log10(digit)
                for decade in range(math.floor(minVal), math.ceil(maxVal) + 1)
                for digit in digits
            ]
            found = [value for value in found if minVal <= value <= maxVal]
            if len(found) <= max(2.0, most):
                break
        return found

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        if self.decades:
            return [words.number(10.0**value) if abs(value) < 300 else "" for value in values]
        if self.counts_steps:
            # The unit stands at one figure, which spares a line for it.
            first = next((value for value in values if value > self.range[0]), None)
            return [
                tr("{count} steps", count=text) if value == first else text
                for value, text in ((value, words.short_steps(value)) for value in values)
            ]
        return [f"{value:.4g}".replace("-", "−") for value in values]


class Gutter(pg.AxisItem):
    """The place of an axis, painted by a subclass: names, states or present values beside a plot."""

    def __init__(self, orientation: str, wide: int) -> None:
        self.wide = wide
        super().__init__(orientation)
        # Text is renewed four times a second; the picture beside it, sixty times.
        self.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)

    def dress(self) -> None:
        """Takes its width from the zoom."""
        self.setWidth(gutter(self.wide))
        self.update()

    def generateDrawSpecs(self, p: Any) -> None:
        return None

    def paint(self, p: QPainter, opt: Any, widget: Any) -> None:
        # Not boundingRect: that reaches into the plot by the length of a tick.
        area = self.mapRectFromParent(self.geometry())
        p.setClipRect(area)
        self.paint_area(p, area)

    def paint_area(self, painter: QPainter, area: QRectF) -> None:
        """Paints into ``area``."""
        raise NotImplementedError


class _Box(pg.ViewBox):
    """A view box that leaves the mouse to its plot."""

    def __init__(self) -> None:
        super().__init__(enableMouse=False, enableMenu=False, defaultPadding=0.0)

    def wheelEvent(self, ev: Any, axis: int | None = None) -> None:
        ev.ignore()

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:
        ev.ignore()


class Plot(pg.PlotWidget):
    """A plot in the window's look. Subclasses draw; the mouse is theirs too.

    Args:
        left: The axis on the left; None leaves it out.
        bottom: The axis below; None leaves it out.
        right: The axis on the right, of the width of a gutter; None leaves it out.
    """

    def __init__(
        self,
        *,
        left: pg.AxisItem | None = None,
        bottom: pg.AxisItem | None = None,
        right: pg.AxisItem | None = None,
        parent: QWidget | None = None,
    ) -> None:
        self.box = _Box()
        axes = {name: axis for name, axis in (("left", left), ("bottom", bottom), ("right", right)) if axis is not None}
        super().__init__(parent, viewBox=self.box, axisItems=axes, enableMenu=False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAntialiasing(False)
        item = self.getPlotItem()
        item.hideButtons()
        item.layout.setContentsMargins(0, 0, 0, 0)
        item.layout.setSpacing(0)
        for name in ("left", "bottom", "right", "top"):
            item.showAxis(name, name in axes)
        self.axes = axes
        self.setMouseTracking(True)
        # Reached by keyboard for its menu.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        theme.changed.connect(self.dress)

    def dress(self) -> None:
        """Takes the look from the theme; subclasses add their own."""
        look = theme.current()
        self.setBackground(look.plot)
        for axis in self.axes.values():
            if isinstance(axis, Axis) or hasattr(axis, "dress"):
                axis.dress()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason):
            self.box.setBorder(pen(theme.current().accent, 2.0))

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.box.setBorder(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        # Left to the window, where keys mean the same everywhere; a graphics view would scroll.
        event.ignore()

    def close(self) -> bool:
        # pyqtgraph's own takes the items apart, on which events are still waiting.
        return QWidget.close(self)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        # pyqtgraph calls it once from its constructor, with nothing.
        if event is not None and self.isVisible():
            self.resized()

    def resized(self) -> None:
        """The widget has another size; subclasses do what follows."""

    def place(self, position: QPointF) -> QPointF:
        """Where a pixel of the widget lies in the plot's own units."""
        return self.box.mapSceneToView(self.mapToScene(position.toPoint()))

    def paint_soon(self, left: float = -math.inf, right: float = math.inf) -> None:
        """Has what lies between two places of the horizontal axis painted with the window's next painting.

        After an item's own ``update`` the scene would have the window painted for this plot alone, and handed to the
        screen once for each plot.
        """
        area = self.area()
        first, last = self.box.viewRange()[0]
        scale = area.width() / (last - first)
        begin = area.left() + (max(left, first) - first) * scale
        end = area.left() + (min(right, last) - first) * scale
        if begin < end:
            part = QRectF(begin, area.top(), end - begin, area.height())
            self.viewport().update(part.toAlignedRect().adjusted(-1, -1, 1, 1))

    def area(self) -> QRectF:
        """The pixels inside the axes, in the widget's coordinates."""
        # A unit of the scene is a pixel here; mapFromScene would round outwards.
        return QRectF(self.box.mapRectToScene(self.box.rect()))


class TimePlot(Plot):
    """A plot over the shared time axis: wheel zooms, a drag pans, a click goes to a step, a double click follows.

    Hovering tells the other views the step, and the layer where :meth:`row_at` knows one.
    """

    clicked = Signal(int, object)
    """Step and row (or None)."""

    def __init__(
        self,
        session: Watched,
        axis: TimeAxis,
        *,
        left: pg.AxisItem | None = None,
        right: pg.AxisItem | None = None,
        bottom: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        self.session, self.axis = session, axis
        below = Axis("bottom", counts_steps=True) if bottom else None
        super().__init__(left=left, right=right, bottom=below, parent=parent)
        self._pressed: QPointF | None = None
        self._dragging = False
        self.cursor_line = pg.InfiniteLine(angle=90, movable=False)
        self.hover_line = pg.InfiniteLine(angle=90, movable=False)
        for line in (self.cursor_line, self.hover_line):
            line.setZValue(100)
            line.setVisible(False)
            line.setAcceptHoverEvents(False)
            self.addItem(line, ignoreBounds=True)
        axis.changed.connect(self._moved)
        session.state.cursor_changed.connect(lambda _: self._set_lines())
        session.state.hover_changed.connect(lambda _: self._set_lines())
        self._moved()
        self._set_lines()

    def dress(self) -> None:
        super().dress()
        look = theme.current()
        self.cursor_line.setPen(pen(look.accent, theme.line_width(1.2)))
        self.hover_line.setPen(pen(look.muted, 1.0, Qt.PenStyle.DashLine))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._moved()

    def _moved(self) -> None:
        if self.isVisible():
            start, stop = self.axis.shown
            self.box.setXRange(start, stop, padding=0)
            self.renew()

    def renew(self) -> None:
        """Reads what is shown and paints it; subclasses do."""

    def _set_lines(self) -> None:
        state = self.session.state
        hover = state.hover
        for line, step in ((self.cursor_line, state.cursor), (self.hover_line, None if hover is None else hover[0])):
            line.setVisible(step is not None)
            if step is not None:
                line.setPos(step + 0.5)

    def pixels(self) -> int:
        """Columns that the screen can tell apart."""
        return max(16, int(self.box.width() * self.devicePixelRatioF() * 0.97))

    def row_at(self, y: float) -> int | None:
        """The row of the stack at a height in the plot's units."""
        return None

    def step_at(self, x: float) -> int | None:
        """The recorded step at ``x``; None outside of what is recorded."""
        first, stop = self.axis.recorded
        return math.floor(x) if first <= x < stop else None

    # The mouse

    def wheelEvent(self, event: Any) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            event.ignore()
            return
        turn = event.angleDelta()
        start, stop = self.axis.shown
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier or abs(turn.x()) > abs(turn.y()):
            self.axis.pan(-(turn.x() or turn.y()) / 120 * (stop - start) / 10)
        elif turn.y():
            self.axis.zoom(1.25 ** (-turn.y() / 120), self.place(event.position()).x())
        event.accept()

    def mousePressEvent(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed, self._dragging = event.position(), False
            self._from = self.axis.shown
            event.accept()

    def mouseMoveEvent(self, event: Any) -> None:
        if self._pressed is not None:
            moved = event.position() - self._pressed
            if not self._dragging and abs(moved.x()) + abs(moved.y()) < 4:
                return
            self._dragging = True
            self.dragged(event, moved)
            return
        self.hover(event.position())

    def dragged(self, event: Any, moved: QPointF) -> None:
        """The left button is held and the mouse has come ``moved`` pixels: pans."""
        start, stop = self._from
        by = -moved.x() * (stop - start) / max(1.0, self.box.width())
        self.axis.show(start + by, stop + by)

    def mouseReleaseEvent(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._pressed is not None:
            if not self._dragging:
                place = self.place(event.position())
                step = self.step_at(place.x())
                if step is not None:
                    self.clicked.emit(step, self.row_at(place.y()))
                    self.session.state.set_cursor(step)
            self._pressed, self._dragging = None, False
            event.accept()

    def mouseDoubleClickEvent(self, event: Any) -> None:
        self.axis.follow()
        self.session.state.set_cursor(None)
        event.accept()

    def hover(self, position: QPointF) -> None:
        """The mouse is over a pixel of the widget."""
        if not self.area().contains(position):
            self.session.state.set_hover(None)
            return
        place = self.place(position)
        step = self.step_at(place.x())
        self.session.state.set_hover(None if step is None else (step, self.row_at(place.y())))

    def leaveEvent(self, event: Any) -> None:
        super().leaveEvent(event)
        self.session.state.set_hover(None)

    def resized(self) -> None:
        self.renew()

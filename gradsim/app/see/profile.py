"""A quantity by layer at the shown step, level with the heatmap, with its recent range and the zones of its scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QTransform
from PySide6.QtWidgets import QWidget

from gradsim.app import theme
from gradsim.app.player import Watched
from gradsim.app.see.curves import polyline
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.plots import Axis, Plot, faded, mixed, pen
from gradsim.app.see.rows import RowLayout, RowSpace
from gradsim.i18n import tr
from gradsim.telemetry.classes import EXPLODING_FIRST, MARKS, VANISHING_LAST, Special, State, classify, states
from gradsim.telemetry.quantities import Quantity, quantity
from gradsim.telemetry.recorder import Recorder

Floats = NDArray[np.float64]

RECENT = 100
"""Steps of the recent range."""
_ROOM = 0.04


class Shape(pg.GraphicsObject):
    def __init__(self, plot: Profile) -> None:
        super().__init__()
        self.plot = plot

    def boundingRect(self) -> QRectF:
        return QRectF(self.plot.box.viewRect())

    def viewRangeChanged(self) -> None:
        self.prepareGeometryChange()

    def paint(self, painter: QPainter, *_: Any) -> None:
        plot, look = self.plot, theme.current()
        low, high = plot.limits
        width, room, top = plot.box.width(), plot.room(), plot.top()
        across = width / (high - low)
        painter.setWorldTransform(QTransform(1 / across, 0, 0, 1, low, 0) * painter.worldTransform())
        # From here on x is in pixels from the left end, y in pixels of the rows' contents.
        self.zones(painter, across, low, width, top, room)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        hover = plot.session.state.hover
        if hover is not None and hover[1] is not None and (span := plot.rows.span(hover[1])) is not None:
            painter.fillRect(QRectF(0, span[0], width, span[1]), faded(look.accent, 28))
        found = plot.found
        if found is not None:
            y = plot.centres
            self._band(painter, y, found.low, found.high, look.band)
            if plot.prediction is not None:
                self._theory(painter, y, plot.prediction)
            self._line(painter, y, found.at)
            self._points(painter, y)
        elif plot.prediction is not None:
            self._theory(painter, plot.centres, plot.prediction)
        if plot.title:
            self._title(painter, width, top)
        if plot.theory_note:
            self._note(painter, width, top + room)

    def zones(self, painter: QPainter, across: float, low: float, width: float, top: float, room: float) -> None:
        plot, look = self.plot, theme.current()
        limits = plot.session.state.thresholds(plot.key)
        colours = plot.definition.colours
        alpha = 60 if look.name == "projector" else 46
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for value, index, side in (
            (limits.vanishing, VANISHING_LAST // 2, -1), (limits.exploding, EXPLODING_FIRST + VANISHING_LAST // 2, 1),
        ):  # fmt: skip
            if value is None:
                continue
            x = (plot.unit(np.array([value]))[0] - low) * across
            colour = look.class_colour(index, colours)
            zone = QRectF(0, top, x, room) if side < 0 else QRectF(x, top, width - x, room)
            painter.fillRect(zone, mixed(colour, look.plot, alpha))
            painter.setPen(pen(colour, theme.line_width(0.8), Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(x, top), QPointF(x, top + room))
        if colours == "diverging":
            x = (plot.unit(np.array([limits.neutral]))[0] - low) * across
            painter.setPen(pen(look.line, 1.0))
            painter.drawLine(QPointF(x, top), QPointF(x, top + room))

    def pieces(self, *values: Floats) -> list[slice]:
        known = np.logical_and.reduce([np.isfinite(value) for value in values])
        edges = np.flatnonzero(np.diff(known.astype(np.int8), prepend=0, append=0))
        return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    def _band(self, painter: QPainter, y: Floats, low: Floats, high: Floats, colour: str) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, len(y) <= 40)
        for part in self.pieces(low, high, y):
            if part.stop - part.start == 1:
                left, right, at = low[part][0], high[part][0], y[part][0]
                painter.drawRect(QRectF(left, at - 3, max(right - left, 1.0), 6))
                continue
            xs = np.concatenate([low[part], high[part][::-1]])
            painter.drawPolygon(polyline(xs, np.concatenate([y[part], y[part][::-1]])))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)

    def _line(self, painter: QPainter, y: Floats, x: Floats) -> None:
        # Lines of one pixel are drawn many times faster than wider ones.
        painter.setPen(pen(theme.current().text, theme.line_width(0.8) if len(x) <= 40 else 1.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for part in self.pieces(x, y):
            if part.stop - part.start > 1:
                painter.drawPolyline(polyline(x[part], y[part]))

    def _theory(self, painter: QPainter, y: Floats, prediction: tuple[Floats, Floats, Floats]) -> None:
        plot, look = self.plot, theme.current()
        low, middle, high = (plot.to_pixels(part) for part in prediction)
        n = min(len(y), len(middle))
        y, low, middle, high = y[:n], low[:n], middle[:n], high[:n]
        colour = look.curve("theory")
        self._band(painter, y, low, high, faded(colour, 40).name(QColor.NameFormat.HexArgb))
        painter.setPen(pen(colour, theme.line_width(1.1), Qt.PenStyle.DashLine))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for part in self.pieces(middle, y):
            if part.stop - part.start > 1:
                painter.drawPolyline(polyline(middle[part], y[part]))

    def _note(self, painter: QPainter, width: float, bottom: float) -> None:
        """Below the rows: what the dashed line is."""
        plot, look = self.plot, theme.current()
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        sample = theme.px(22) if plot.prediction is not None else 0
        box = QRectF(0, bottom - metrics.height() - theme.px(2), width, metrics.height() + theme.px(2))
        text = metrics.elidedText(plot.theory_note, Qt.TextElideMode.ElideRight, width - sample - theme.px(14))
        box.setWidth(min(width, metrics.horizontalAdvance(text) + sample + theme.px(14)))
        painter.fillRect(box, faded(look.plot, 215))
        if sample:
            painter.setPen(pen(look.curve("theory"), theme.line_width(1.1), Qt.PenStyle.DashLine))
            painter.drawLine(
                QPointF(theme.px(4), box.center().y()), QPointF(theme.px(4) + sample - theme.px(4), box.center().y())
            )
        painter.setPen(QColor(look.text))
        painter.drawText(box.adjusted(sample + theme.px(5), 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)

    def _points(self, painter: QPainter, y: Floats) -> None:
        plot, look, found = self.plot, theme.current(), self.plot.found
        assert found is not None
        room = float(np.nanmin(np.abs(np.diff(y)))) if np.isfinite(y).sum() > 1 else 20.0
        radius = min(theme.px(5), max(1.5, room * 0.35))
        painter.setFont(theme.font("small", bold=True))
        metrics = QFontMetricsF(painter.font())
        width = plot.box.width()
        last = -1e9
        small = radius < 2.5
        outline = pen(look.text, 1.0)
        if small:
            painter.setPen(pen(look.text, 2 * radius, Qt.PenStyle.SolidLine))
            shown = np.isfinite(found.at) & np.isfinite(y)
            painter.drawPoints(polyline(found.at[shown], y[shown]))
        special = ~np.isfinite(found.at) if small else np.ones(len(y), np.bool_)
        with np.errstate(invalid="ignore"):
            special &= (y > plot.top() - 20) & (y < plot.top() + plot.room() + 20)
        order = np.flatnonzero(special)
        for row in order[np.argsort(y[order])].tolist():
            at = y[row]
            index = int(found.classes[row])
            x = found.at[row]
            colour = look.class_colour(index, plot.definition.colours)
            if np.isfinite(x):
                painter.setPen(outline)
                painter.setBrush(colour)
                painter.drawEllipse(QPointF(x, at), radius, radius)
            elif index in (Special.NAN, Special.INFINITE, Special.ZERO, Special.SUBNORMAL, Special.FROZEN):
                if at - last < metrics.height() * 0.8:
                    continue
                last = at
                # No place on the axis: the mark stands at the end where it belongs.
                glyph = MARKS[found.states[row]].glyph
                wide = metrics.horizontalAdvance(glyph) + theme.px(8)
                right = index in (Special.NAN, Special.INFINITE)
                box = QRectF(width - wide - 3 if right else 3, at - metrics.height() / 2, wide, metrics.height())
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colour)
                painter.drawRoundedRect(box, 3, 3)
                painter.setPen(QColor("#000000" if colour.lightness() > 127 else "#ffffff"))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, glyph)

    def _title(self, painter: QPainter, width: float, top: float) -> None:
        look = theme.current()
        painter.setFont(theme.font("small", bold=True))
        metrics = QFontMetricsF(painter.font())
        rect = QRectF(0, top + theme.px(2), width, metrics.height())
        painter.fillRect(rect, faded(look.plot, 200))
        painter.setPen(QColor(look.text))
        text = metrics.elidedText(self.plot.title, Qt.TextElideMode.ElideRight, width - 8)
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)


class Found:
    """The rows at a step, in pixels of the axis."""

    def __init__(self, plot: Profile, recorder: Recorder, step: int) -> None:
        every = recorder.every
        definition, limits = plot.definition, plot.session.state.thresholds(plot.key)
        columns = recorder.columns(plot.key, max(recorder.first_step, step - RECENT * every), step + 1, stride=every)
        values = columns.maximum[-1]
        frozen = np.array([layer.frozen for layer in recorder.layers])
        self.values = values
        self.classes = classify(
            definition, values, nan=columns.nan[-1], inf=columns.inf[-1], frozen=frozen, thresholds=limits
        )
        self.states = [State(name) for name in states(definition, self.classes, limits)]
        with np.errstate(all="ignore"):
            finite = np.where(np.isfinite(columns.maximum), columns.maximum, np.nan)
            low, high = np.fmin.reduce(finite, axis=0), np.fmax.reduce(finite, axis=0)
            if definition.scale == "log":
                # The range of sizes above zero: zero itself has no place on the axis.
                low = np.fmin.reduce(np.where(finite > 0, finite, np.nan), axis=0)
        gone = (self.classes >= Special.EMPTY) & (self.classes != Special.SUBNORMAL)
        self.at = np.where(gone, np.nan, plot.to_pixels(values))
        self.low, self.high = plot.to_pixels(low), plot.to_pixels(high)


class Profile(Plot):
    """A quantity by layer at the shown step.

    Args:
        space: Where the rows lie; None stands alone and gives the rows its own height.
        like: Standing alone, which end of the stack is up is taken from here.
        key: Of the quantity; None shows the one that is chosen for the heatmap.
        title: Written on top.
    """

    shape_class = Shape
    """What paints it."""

    picture_key = "profile"

    def __init__(
        self,
        session: Watched,
        space: RowSpace | None = None,
        *,
        like: RowSpace | None = None,
        key: str | None = None,
        title: str = "",
        parent: QWidget | None = None,
    ) -> None:
        self.session, self.space, self._key, self.title = session, space or RowSpace(), key, title
        self.like = like or self.space
        self.rows, self.centres = RowLayout(), np.empty(0)
        self.limits = (0.0, 1.0)
        self.found: Found | None = None
        self.prediction: tuple[Floats, Floats, Floats] | None = None
        self.theory_note = ""
        self.bottom = Axis("bottom", decades=True)
        super().__init__(bottom=self.bottom, parent=parent)
        self.box.invertY(True)
        self.shape_item = self.shape_class(self)
        self.addItem(self.shape_item, ignoreBounds=True)
        state = session.state
        self.space.layout_changed.connect(lambda _: self._lay_out())
        self.space.scroll_changed.connect(lambda _: self._lay_out())
        if like is not None:
            like.layout_changed.connect(lambda _: self._lay_out())
        session.recorder_changed.connect(self._restart)
        session.turns.connect(self._pull_new)
        state.quantity_changed.connect(lambda _: self._restart())
        state.thresholds_changed.connect(lambda changed: self._restart() if changed == self.key else None)
        state.cursor_changed.connect(lambda _: self.renew())
        state.hover_changed.connect(lambda _: self.shape_item.update())
        self._moment: object = None
        offer_menu(self, session.failed.emit)
        self.dress()

    @property
    def key(self) -> str:
        """Of the quantity that is shown."""
        return self._key or self.session.state.quantity

    @property
    def definition(self) -> Quantity:
        """The quantity that is shown."""
        return quantity(self.key)

    def set_prediction(
        self, low: Floats | None, middle: Floats | None = None, high: Floats | None = None, note: str = ""
    ) -> None:
        """What theory expects of each row, in the quantity's own unit; None takes it away.

        Args:
            low: Lower end of its band, shape ``(rows,)``; NaN where nothing is known.
            middle: The expected value.
            high: Upper end of its band.
            note: A few words on it, or on why there is none; they stand below the rows.
        """
        self.theory_note = note
        if low is None or middle is None or high is None:
            self.prediction = None
        else:
            self.prediction = tuple(np.asarray(part, np.float64) for part in (low, middle, high))  # type: ignore[assignment]
        self.shape_item.update()

    def dress(self) -> None:
        super().dress()
        if hasattr(self, "shape_item"):
            self._restart()

    def unit(self, values: Floats) -> Floats:
        """In units of the axis."""
        if self.definition.scale != "log":
            return values
        with np.errstate(all="ignore"):
            return np.asarray(np.log10(np.abs(values)))

    def to_pixels(self, values: Floats) -> Floats:
        """Pixels from the left end; what lies beyond an end stands at it."""
        low, high = self.limits
        x = self.unit(values)
        with np.errstate(all="ignore"):
            share = np.clip((x - low) / (high - low), 0.008, 0.992)
        return np.asarray(np.where(np.isnan(x), np.nan, share) * self.box.width())

    def _restart(self) -> None:
        definition, limits = self.definition, self.session.state.thresholds(self.key)
        low, high = float(self.unit(np.array([limits.low]))[0]), float(self.unit(np.array([limits.high]))[0])
        room = (high - low) * _ROOM
        self._moment = None
        self.limits = (low - room, high + room)
        self.bottom.decades = definition.scale == "log"
        self.box.setXRange(*self.limits, padding=0)
        self.setAccessibleName(tr("{name} by layer", name=tr(definition.title)))
        self.setToolTip(
            tr(
                "{meaning} A row per layer, at the shown step; the wide band is the range of the last {n} "
                "steps. {thresholds}",
                meaning=tr(definition.help),
                n=RECENT,
                thresholds=definition.sentence(limits),
            )
        )
        self._lay_out()

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._lay_out()

    def resized(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        recorder = self.session.recorder
        count = 0 if recorder is None else len(recorder.layers)
        above = QFontMetricsF(theme.font("small", bold=True)).height() + theme.px(4) if self.title else 0.0
        if self.space.layout is not None:
            self.rows = self.space.layout
        else:
            upwards = self.like.upwards
            even = RowLayout.even(count, max(1.0, self.room() - above), upwards=upwards)
            self.rows = RowLayout(tuple(_lower(band, above) for band in even.bands), self.room(), upwards)
        self.centres = self.rows.centres(count)
        self.box.setYRange(self.top(), self.top() + self.room(), padding=0)
        self.renew()

    def top(self) -> float:
        """Pixels of the rows' contents above the picture."""
        return 0.0 if self.space.layout is None else self.space.scroll

    def room(self) -> float:
        """Height of the picture in pixels."""
        return max(1.0, float(self.box.height()))

    def renew(self) -> None:
        """Takes the shown step."""
        if not self.isVisible():
            return
        recorder, cursor = self.session.recorder, self.session.state.cursor
        if recorder is None or recorder.stop <= recorder.first_step:
            self.found = None
        else:
            last = recorder.stop - recorder.every
            self.found = Found(self, recorder, last if cursor is None else min(cursor, last))
        self.paint_soon()

    def _pull_new(self) -> bool:
        recorder = self.session.recorder
        moment = None if recorder is None else (recorder.stop, recorder.since(None).position.generation)
        if not self.isVisible() or (self.session.state.cursor is not None and self.found is not None):
            return False
        if moment == self._moment:
            return False
        self._moment = moment
        self.renew()
        return True

    def mouseMoveEvent(self, event: Any) -> None:
        row = self.rows.row_at(self.place(event.position()).y())
        recorder, cursor = self.session.recorder, self.session.state.cursor
        if row is None or recorder is None or recorder.stop <= recorder.first_step or row >= len(recorder.layers):
            self.session.state.set_hover(None)
        else:
            self.session.state.set_hover((recorder.stop - recorder.every if cursor is None else cursor, row))

    def leaveEvent(self, event: Any) -> None:
        super().leaveEvent(event)
        self.session.state.set_hover(None)

    def mousePressEvent(self, event: Any) -> None:
        row = self.rows.row_at(self.place(event.position()).y())
        uids = self.session.row_uids
        if row is not None and row < len(uids):
            self.session.state.select([uids[row]])

    def wheelEvent(self, event: Any) -> None:
        event.ignore()

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The shown values as a table: a line per layer."""
        recorder = self.session.recorder
        if recorder is None or self.found is None:
            return [], []
        names = [layer.name for layer in recorder.layers]
        return ["layer", self.key, "state"], [
            [name, float(value), state.value]
            for name, value, state in zip(names, self.found.values, self.found.states, strict=True)
        ]


def _lower(band: Any, by: float) -> Any:
    return type(band)(band.first_row, band.last_row, band.top + by, band.height)

"""The profiles of all twins over each other, level with the heatmap of the first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QTransform
from PySide6.QtWidgets import QWidget

from gradsim.app import theme
from gradsim.app.compare.comparison import Comparison, Twin
from gradsim.app.see.curves import polyline
from gradsim.app.see.plots import faded, pen
from gradsim.app.see.profile import Found, Profile, Shape
from gradsim.app.see.rows import RowSpace
from gradsim.telemetry.classes import MARKS, Special, State
from gradsim.telemetry.recorder import Recorder

Floats = NDArray[np.float64]


class _Shapes(Shape):
    """A line with points for each twin, over the zones of the scale."""

    plot: Profiles

    def paint(self, painter: QPainter, *_: Any) -> None:
        plot, look = self.plot, theme.current()
        low, high = plot.limits
        width, room, top = plot.box.width(), plot.room(), plot.top()
        across = width / (high - low)
        painter.setWorldTransform(QTransform(1 / across, 0, 0, 1, low, 0) * painter.worldTransform())
        # From here on x is in pixels from the left end, y in pixels of the rows' contents.
        self.zones(painter, across, low, width, top, room)
        hover = plot.session.state.hover
        if hover is not None and hover[1] is not None and (span := plot.rows.span(hover[1])) is not None:
            painter.fillRect(QRectF(0, span[0], width, span[1]), faded(look.accent, 28))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setFont(theme.font("small", bold=True))
        for twin, found, centres in plot.shown:
            self._twin(painter, twin, found, centres, width)

    def _twin(self, painter: QPainter, twin: Twin, found: Found, y: Floats, width: float) -> None:
        colour = theme.current().curve(twin.colour)
        painter.setPen(pen(colour, theme.line_width()))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        known = np.flatnonzero(np.isfinite(found.at) & np.isfinite(y))
        # A layer without the quantity (Flatten) does not end the line: it joins those that have it.
        painter.drawPolyline(polyline(found.at[known], y[known]))
        room = float(np.nanmin(np.abs(np.diff(y)))) if np.isfinite(y).sum() > 1 else 20.0
        radius = min(theme.px(4), max(1.2, room * 0.3))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        for row in known.tolist():
            painter.drawEllipse(QPointF(found.at[row], y[row]), radius, radius)
        metrics = QFontMetricsF(painter.font())
        painter.setPen(colour)
        last = -1e9
        order = np.flatnonzero(np.isfinite(y) & ~np.isfinite(found.at))
        for row in order[np.argsort(y[order])].tolist():
            state = State(found.states[row])
            if int(found.classes[row]) in (Special.EMPTY, Special.NONE) or y[row] - last < metrics.height() * 0.8:
                continue
            last = y[row]
            # No place on the axis: the mark stands at the end where it belongs, that of each twin in its own column.
            glyph = MARKS[state].glyph
            wide = metrics.height()
            ahead = (twin.place + 0.5) * wide
            x = width - ahead if state in (State.NAN, State.INFINITE) else ahead
            box = QRectF(x - wide / 2, y[row] - metrics.height() / 2, wide, metrics.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, glyph)


class Profiles(Profile):
    """A quantity by layer at the shown step, a line for each twin.

    Args:
        spaces: Where the rows of each twin lie.
    """

    shape_class = _Shapes

    def __init__(self, comparison: Comparison, spaces: tuple[RowSpace, ...], parent: QWidget | None = None) -> None:
        self.comparison, self.spaces = comparison, spaces
        self.shown: list[tuple[Twin, Found, Floats]] = []
        super().__init__(comparison, spaces[0], parent=parent)

    def renew(self) -> None:
        if not self.isVisible():
            return
        self.shown = []
        cursor = self.session.state.cursor
        for twin, space in zip(self.comparison.twins, self.spaces, strict=True):
            recorder: Recorder | None = twin.recorder
            if recorder is None or recorder.stop <= recorder.first_step or space.layout is None:
                continue
            last = recorder.stop - recorder.every
            found = Found(self, recorder, last if cursor is None else min(cursor, last))
            self.shown.append((twin, found, space.layout.centres(len(recorder.layers))))
        self.found = self.shown[0][1] if self.shown else None
        self.shape_item.update()

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The shown values as a table: a line per layer of each twin."""
        table: list[list[float | int | str]] = []
        for twin, found, _ in self.shown:
            names = [layer.name for layer in twin.rows()]
            table += [
                [twin.letter, name, float(value), State(state).value]
                for name, value, state in zip(names, found.values, found.states, strict=True)
            ]
        return ["twin", "layer", self.key, "state"], table

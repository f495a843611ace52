"""Loss, accuracy and global gradient norm over the steps, with the largest and smallest value of every column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPolygonF, QResizeEvent, QTransform
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QStyleOptionGraphicsItem, QToolButton, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.player import Watched
from gradsim.app.see import words
from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.plots import LEFT, RIGHT, Axis, Gutter, TimePlot, gutter, mixed, pen
from gradsim.app.see.pull import StepPull, value_of
from gradsim.i18n import mark, tr
from gradsim.telemetry.quantities import quantity

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """What one of the curves shows."""

    key: str
    """Of the quantity, and of its colour in the theme."""
    title: str
    validation: str | None
    """Field of the validations that belongs to it."""
    log: bool
    short: str
    """Beside the present value."""
    fixed: tuple[float, float] | None = None
    """Ends of the axis; None follows the data, in half decades where it is logarithmic."""
    parts: str | None = None
    """Quantity of the layers that it is made of."""
    decades: float = 8.0
    """Most decades of the axis: a batch that happens to be without any error must not flatten all others."""


LOSS = Series("loss", mark("Loss"), "val_loss", True, mark("loss"))
ACCURACY = Series("accuracy", mark("Accuracy"), "val_accuracy", False, mark("acc."), (0.0, 1.0))
NORM = Series(
    "global_gradient_norm", mark("Gradient norm"), None, True, mark("norm"), parts="gradient_norm", decades=16.0
)
SERIES = (LOSS, ACCURACY, NORM)
_BEYOND = 4


def polyline(x: Floats, y: Floats) -> QPolygonF:
    """Points as Qt's polygon, without a Python object for each."""
    if not len(x):
        # pyqtgraph's has points then that are not there, and painting them ends the process.
        return QPolygonF()
    polygon: QPolygonF = pg.functions.arrayToQPolygonF(x, y)
    return polygon


class _Line(pg.GraphicsObject):
    """The curve of the steps with its envelope, the points of validation, and marks where there is no number."""

    def __init__(self, plot: CurvePlot) -> None:
        super().__init__()
        self.plot = plot
        # Told what is to be painted.
        self.setFlag(self.GraphicsItemFlag.ItemUsesExtendedStyleOption)

    def boundingRect(self) -> QRectF:
        return QRectF(self.plot.box.viewRect())

    def viewRangeChanged(self) -> None:
        self.prepareGeometryChange()

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, *_: Any) -> None:
        plot = self.plot
        start, stop = plot.axis.shown
        low, high = plot.limits
        width, height = plot.box.width(), plot.box.height()
        across, up = width / (stop - start), height / (high - low)
        # Pixels from here on; the view box counts upwards.
        painter.setWorldTransform(QTransform(1 / across, 0, 0, -1 / up, 0, high) * painter.worldTransform())
        for number, trace in enumerate(plot.traces):
            if trace.pull is not None:
                self._trace(painter, trace, number, across, up, option.exposedRect)

    def _trace(self, painter: QPainter, trace: Trace, number: int, across: float, up: float, exposed: QRectF) -> None:
        high = self.plot.limits[1]
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        look = theme.current()
        colour = look.curve(trace.colour)
        x, bottom, top, lost, each = trace.data
        if not trace.letter:
            # Beyond the edges by enough points for the lines that come in from there.
            begin, end = np.searchsorted(x, (exposed.left(), exposed.right()))
            near = slice(max(0, int(begin) - _BEYOND), int(end) + _BEYOND)
            x, bottom, top, lost = x[near], bottom[near], top[near], lost[near]
        thick = theme.line_width()
        if len(x):
            px = x * across
            y_low, y_high = (high - bottom) * up, (high - top) * up
            self._curve(painter, px, y_low, y_high, colour, thick, trace.coarse)
            if lost.any():
                mark = theme.px(4)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(look.class_colour(253))
                for at in px[lost][:500]:
                    painter.drawRect(QRectF(at - each * across / 2, 0, max(each * across, 2.0), mark))
            if trace.letter:
                self._letter(painter, trace, number, px, y_high, self.plot.axis.shown[0] * across)
        steps, values = trace.validation
        if len(steps):
            second = look.curve(trace.second)
            vx, vy = (steps + 0.5) * across, (high - values) * up
            painter.setPen(pen(second, thick, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(polyline(vx, vy))
            if len(steps) <= 60:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(second)
                for a, b in zip(vx.tolist(), vy.tolist(), strict=True):
                    painter.drawEllipse(QRectF(a - thick * 1.5, b - thick * 1.5, thick * 3, thick * 3))

    def _letter(self, painter: QPainter, trace: Trace, number: int, x: Floats, y: Floats, left_end: float) -> None:
        """Names the curve at its end; those of several stand beside each other, as curves may end at one place."""
        known = np.flatnonzero(np.isfinite(y))
        if not len(known):
            return
        painter.setFont(theme.font("small", bold=True))
        metrics = QFontMetricsF(painter.font())
        side = metrics.height()
        here = x[known[-1]] - (number + 0.5) * side * 1.2
        at = known[min(int(np.searchsorted(x[known], here)), len(known) - 1)]
        room = self.plot.box.height()
        middle = min(max(float(y[at]), side / 2), room - side / 2)
        box = QRectF(max(left_end, float(x[at]) - side / 2), middle - side / 2, side, side)
        look = theme.current()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look.curve(trace.colour))
        painter.drawEllipse(box)
        painter.setPen(QColor(look.plot))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, trace.letter)

    def _curve(
        self, painter: QPainter, x: Floats, low: Floats, high: Floats, colour: QColor, thick: float, coarse: bool
    ) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        # Gaps in pieces: a curve does not run on over steps that have no value.
        known = np.isfinite(low) & np.isfinite(high)
        edges = np.flatnonzero(np.diff(known.astype(np.int8), prepend=0, append=0))
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            part = slice(a, b)
            if coarse:
                # From the smallest to the largest value of each column. The edges are lines of a pixel, so that a
                # spike of one step keeps its height; opaque and not smoothed, the surface is drawn many times faster.
                painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
                plot = theme.current().plot
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(mixed(colour, plot, 64))
                ring_x = np.concatenate([x[part], x[part][::-1]])
                painter.drawPolygon(polyline(ring_x, np.concatenate([low[part], high[part][::-1]])))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(pen(mixed(colour, plot, 130), 1.0))
                painter.drawPolyline(polyline(x[part], low[part]))
                painter.drawPolyline(polyline(x[part], high[part]))
                painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            painter.setPen(pen(colour, thick))
            middle = self._middle(low[part], high[part]) if coarse else high[part]
            if b - a == 1:
                painter.setPen(pen(colour, thick * 2))
                painter.drawPoint(int(x[a]), int(middle[0]))
            else:
                painter.drawPolyline(polyline(x[part], middle))

    def _middle(self, low: Floats, high: Floats) -> Floats:
        """Pixels between those of the smallest and the largest value: of their mean, not of the mean of the pixels."""
        plot = self.plot
        if not plot.log:
            return (low + high) / 2
        bottom, top = plot.limits
        up = plot.box.height() / (top - bottom)
        return high + (np.log10(2) - np.log10(1 + 10 ** ((high - low) / up))) * up


class _Readings(Gutter):
    """The present values, right of the curve."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.equal = False
        """Whether no line is more than the others."""
        super().__init__("right", RIGHT)

    def paint_area(self, painter: QPainter, area: QRectF) -> None:
        look = theme.current()
        y = area.top() + theme.px(1)
        for number, (text, key) in enumerate(self.lines):
            first = number == 0 or self.equal
            painter.setFont(theme.font("normal" if first else "small", bold=first, fixed=True))
            height = QFontMetricsF(painter.font()).height()
            if self.equal and height * len(self.lines) > area.height() + 4:
                painter.setFont(theme.font("tiny", bold=True, fixed=True))
                height = QFontMetricsF(painter.font()).height()
            if number and y + height > area.bottom() + 4:
                return
            painter.setPen(look.curve(key))
            rect = QRectF(area.left() + theme.px(8), y, area.width() - theme.px(8), height)
            painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
            y += height


class Trace:
    """What a plot has read of one run's curve.

    Args:
        session: The run.
        series: What of it.
        colour: Name of its colour in the theme.
        second: That of its validation; "" leaves that out.
        letter: Stands at the end of the curve and before its value, where there are several.

    Attributes:
        data: In units of the axes: x, smallest and largest value of each column, whether NaN or Inf occurred in it,
            and the steps of a column.
        coarse: Whether a column holds several steps.
        validation: Its steps and values.
    """

    def __init__(self, session: Watched, series: Series, colour: str, second: str = "", letter: str = "") -> None:
        self.session, self.series = session, series
        self.colour, self.second, self.letter = colour, second, letter
        self.pull: StepPull | None = None
        self.coarse = False
        self.restart(0)

    def restart(self, capacity: int) -> None:
        """Another run, or another size: reads everything anew."""
        recorder = self.session.recorder
        empty = np.empty(0)
        self.data: tuple[Floats, Floats, Floats, NDArray[np.bool_], float] = (
            empty, empty, empty, np.empty(0, np.bool_), 1.0,
        )  # fmt: skip
        self.validation: tuple[Floats, Floats] = (empty, empty)
        self.validations = -1
        self.pull = (
            None
            if recorder is None or not capacity
            else StepPull(recorder, self.series.key, parts=self.series.parts, capacity=capacity)
        )

    def cover(self, start: float, stop: float, columns: int) -> bool:
        """Reads what is missing of the steps [start, stop); tells whether anything came."""
        return self.pull is not None and self.pull.cover(start, stop, columns)

    def take(self, start: float, stop: float, *, log: bool) -> None:
        """Makes :attr:`data` of what was read."""
        pull = self.pull
        if pull is None:
            return
        column, where = pull.window(start, stop)
        low, high, lost = pull.minimum[where], pull.maximum[where], pull.nonfinite[where]
        origin, stride = pull.recorder.first_step, pull.stride
        x: Floats = (origin + (column + np.arange(len(low)) + 0.5) * stride).astype(np.float64)
        self._take_validation(log=log)
        if log:
            with np.errstate(all="ignore"):
                low, high = np.log10(low), np.log10(high)
        lost = lost | np.isposinf(high)
        if self.series.parts is not None:
            # Of gradients that are not finite, the norm of the rest says nothing.
            low, high = np.where(lost, np.nan, low), np.where(lost, np.nan, high)
        if log:
            # Zero has no place on a log axis; it lies on its lower end.
            low = np.where(np.isneginf(low), -400.0, low)
            high = np.where(np.isneginf(high), -400.0, high)
        self.data = (x, low, high, lost, float(stride))
        self.coarse = stride > pull.recorder.every

    def clip(self, bottom: float, top: float) -> None:
        """Keeps the data near the ends of the axis, and leaves a gap where there is no number."""
        x, low, high, lost, each = self.data
        gap = np.isnan(low) | np.isnan(high) | np.isinf(low)
        low = np.where(gap, np.nan, np.clip(low, bottom - 1, top + 1))
        high = np.where(gap, np.nan, np.clip(high, bottom - 1, top + 1))
        self.data = (x, low, high, lost, each)

    def _take_validation(self, *, log: bool) -> None:
        recorder = self.session.recorder
        if self.series.validation is None or recorder is None or not self.second:
            return
        found = recorder.validation
        if len(found.step) == self.validations and not self.session.state.range:
            return
        self.validations = len(found.step)
        values = found.val_loss if self.series.validation == "val_loss" else found.val_accuracy
        if log:
            with np.errstate(all="ignore"):
                values = np.log10(values)
        known = np.isfinite(values)
        self.validation = (found.step[known].astype(np.float64), values[known])


class CurvePlot(TimePlot):
    """One quantity of the steps over the shared time axis.

    Args:
        session: Whose moment is shown: cursor, hover, range.
        runs: Whose curves are shown, over each other; None shows the one of ``session`` with its validation.
    """

    def __init__(
        self,
        session: Watched,
        axis: TimeAxis,
        series: Series,
        runs: Sequence[Trace] | None = None,
        *,
        bottom: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        self.series = series
        self.log = series.log
        self.traces = tuple(runs or (Trace(session, series, series.key, f"val_{series.key}"),))
        self.limits = self._empty_limits()
        self._behind = False
        self.left_axis = Axis("left", decades=series.log)
        self._readings = _Readings()
        self._readings.equal = len(self.traces) > 1
        super().__init__(session, axis, left=self.left_axis, right=self._readings, bottom=bottom, parent=parent)
        self.line = _Line(self)
        self.addItem(self.line, ignoreBounds=True)
        definition = quantity(series.key)
        self.setAccessibleName(tr("{name} over the steps", name=tr(series.title)))
        self.setToolTip(
            tr(
                "{meaning} Where a point stands for many steps, the line runs from their smallest to their "
                "largest value. Click: go to that step. Drag: move. Wheel: zoom. Double click: follow the run.",
                meaning=tr(definition.help),
            )
        )
        for trace in self.traces:
            trace.session.recorder_changed.connect(self._restart)
        session.turns.connect(self._pull_new)
        session.slow_tick.connect(self.renew_readings)
        session.state.cursor_changed.connect(lambda _: self.renew_readings())
        session.state.hover_changed.connect(lambda _: self.renew_readings())
        self.dress()

    def dress(self) -> None:
        super().dress()
        if hasattr(self, "line"):
            self._restart()

    def _empty_limits(self) -> tuple[float, float]:
        if self.series.fixed is not None:
            low, high = self.series.fixed
            room = (high - low) * 0.06
            return low - room, high + room
        return (-3.0, 1.0) if self.log else (0.0, 1.0)

    def set_log(self, on: bool) -> None:
        """Logarithmic or linear."""
        self.log = self.left_axis.decades = on
        self.left_axis.picture = None
        self.renew()

    @property
    def pull(self) -> StepPull | None:
        """What was read for the first curve."""
        return self.traces[0].pull

    def _restart(self) -> None:
        self.limits = self._empty_limits()
        for trace in self.traces:
            trace.restart(self._capacity())
        self.renew()
        self.renew_readings()

    def _capacity(self) -> int:
        wide = 512
        while wide < self.pixels() * 3 // 2:
            wide *= 2
        return wide

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self.renew_readings()

    def resized(self) -> None:
        if any(trace.pull is not None and trace.pull.capacity < self.pixels() for trace in self.traces):
            self._restart()
        else:
            self.renew()

    def renew(self) -> None:
        self._cover()
        self._take()
        self.line.update()

    def _cover(self) -> bool:
        # A column of two pixels still shows every spike, and a curve of half the points is drawn in half the time.
        came = [trace.cover(*self.axis.shown, self.pixels() // 2) for trace in self.traces]
        return any(came)

    def _moved(self) -> None:
        if self.axis.grows and self.isVisible():
            # All pictures in one frame would be a frame that is late. The next turn is a few frames away.
            self._behind = True
        else:
            super()._moved()

    def _pull_new(self) -> bool:
        if self._behind and self.isVisible():
            self._behind = False
            super()._moved()
            return True
        if not self.isVisible() or not self._cover():
            return False
        before = self.limits, [trace.validations for trace in self.traces]
        self._take()
        changed = [trace.pull.changed for trace in self.traces if trace.pull is not None]
        column = min((each for each in changed if each is not None), default=0)
        same = before == (self.limits, [trace.validations for trace in self.traces])
        if column and same and not any(trace.letter for trace in self.traces):
            self.paint_soon(*self._columns_from(column))
        else:
            self.paint_soon()
        return True

    def _columns_from(self, column: int) -> tuple[float, float]:
        """Where the columns from this one on are painted, with the line that leads to them, on the horizontal axis."""
        start, stop = self.axis.shown
        pull = self.traces[0].pull
        assert pull is not None
        edge = (3 + 2 * theme.line_width()) * (stop - start) / max(1.0, self.box.width())
        origin = pull.recorder.first_step
        return origin + (column - 0.5) * pull.stride - edge, origin + pull.recorded_columns * pull.stride + edge

    def _take(self) -> None:
        """What is shown, in units of the axes."""
        for trace in self.traces:
            trace.take(*self.axis.shown, log=self.log)
        self._set_limits([np.concatenate([*trace.data[1:3], trace.validation[1]]) for trace in self.traces])
        for trace in self.traces:
            trace.clip(*self.limits)

    def _set_limits(self, curves: Sequence[Floats]) -> None:
        if self.series.fixed is not None:
            wanted = self._empty_limits()
        else:
            parts = [part for each in curves if len(part := each[np.isfinite(each) & (each > -400)])]
            known = np.concatenate([np.empty(0), *parts])
            if not len(known):
                wanted = self.limits
            elif self.log:
                a, b = math.floor(known.min() * 2 - 0.1) / 2, math.ceil(known.max() * 2 + 0.1) / 2
                middle = (a + b) / 2
                a, b = min(a, middle - 0.5), max(b, middle + 0.5)
                lowest = min(float(np.median(part)) for part in parts)
                if len(parts) > 1 and lowest < b - self.series.decades:
                    # One of several has left through the roof; the one that is well stays in sight.
                    a = max(a, math.floor(lowest - self.series.decades / 2))
                    b = a + self.series.decades
                wanted = (max(a, b - self.series.decades), b)
            else:
                top = float(known.max())
                size = 10.0 ** math.floor(math.log10(top)) if top > 0 else 1.0
                top = next(m * size for m in (1, 1.5, 2, 3, 4, 5, 7, 10) if m * size >= top * 1.02 or m == 10)
                wanted = (min(0.0, float(known.min()) * 1.05), top)
        if wanted != self.limits or self.box.viewRange()[1] != list(wanted):
            self.limits = wanted
            self.box.setYRange(*wanted, padding=0)

    def renew_readings(self) -> None:
        """The values at the mouse, the cursor or the end."""
        lines = [line for trace in self.traces for line in self._lines(trace)] if self.isVisible() else []
        if lines != self._readings.lines:
            self._readings.lines = lines
            self._readings.update()

    def _lines(self, trace: Trace) -> list[tuple[str, str]]:
        """What stands beside the plot for a curve: texts, with the names of their colours."""
        recorder = trace.session.recorder
        if recorder is None or recorder.stop <= recorder.first_step:
            return []
        hover, cursor = self.session.state.hover, self.session.state.cursor
        last = recorder.stop - recorder.every
        step = hover[0] if hover is not None else last if cursor is None else cursor
        step = min(max(step, recorder.first_step), last)
        value = self._written(value_of(recorder, self.series.key, step))
        if trace.letter:
            return [(f"{trace.letter}  {value}", trace.colour)]
        lines = [(f"{value} {tr(self.series.short)}", trace.colour)]
        found = recorder.validation
        before = int(np.searchsorted(found.step, step, side="right")) - 1
        if self.series.validation is not None and before >= 0:
            values = found.val_loss if self.series.validation == "val_loss" else found.val_accuracy
            if not np.isnan(values[before]):
                lines.append((tr("{value} valid.", value=self._written(float(values[before]))), trace.second))
        return lines

    def _written(self, value: float | str) -> str:
        if isinstance(value, str):
            return value
        if self.series is ACCURACY and not math.isnan(value):
            return f"{100 * value:.3g} %"
        # Few characters, since it stands in a gutter.
        return "–" if math.isnan(value) else words.number(value, 3 if 1e-3 <= abs(value) < 1e4 else 2)


class Curves(QWidget):
    """The curves one below the other; each can be folded away.

    Args:
        session: Whose steps.
        axis: The steps that are shown.
        bottom: Whether the steps are named below the last curve; else something beside it has the same axis.
    """

    picture_key = "curves"

    def __init__(
        self, session: Watched, axis: TimeAxis, *, bottom: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.session, self.axis = session, axis
        self.plots = {
            series.key: CurvePlot(session, axis, series, bottom=bottom and series is SERIES[-1]) for series in SERIES
        }
        self.buttons: dict[str, QToolButton] = {}
        self.head = QWidget(self)
        # Whole words where there is room for them; they must not keep the window wide: see _name.
        self.head.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._words: dict[QToolButton, tuple[str, str]] = {}
        self._bar = bar = QHBoxLayout(self.head)
        bar.setSizeConstraint(QHBoxLayout.SizeConstraint.SetNoConstraint)
        for series in SERIES:
            button = QToolButton(self)
            self._words[button] = tr(series.title), tr(series.short)
            button.setCheckable(True)
            button.setChecked(True)
            button.setAccessibleName(tr("Show {name}", name=tr(series.title).lower()))
            button.setToolTip(tr("Show or hide: {what}", what=tr(quantity(series.key).help)))
            button.toggled.connect(self.plots[series.key].setVisible)
            self.buttons[series.key] = button
            bar.addWidget(button)
        bar.addStretch(1)
        self.log_button = QToolButton(self)
        self._words[self.log_button] = tr("Log loss"), tr("log")
        self.log_button.setCheckable(True)
        self.log_button.setChecked(True)
        self.log_button.setAccessibleName(tr("Logarithmic loss"))
        self.log_button.setToolTip(tr("Loss on a logarithmic axis, where each step of the axis is ten times the last."))
        self.log_button.toggled.connect(self.plots["loss"].set_log)
        bar.addWidget(self.log_button)
        self._whole = whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.head)
        for plot in self.plots.values():
            whole.addWidget(plot, 1)
        session.recorder_changed.connect(self._fit)
        self.setAccessibleName(tr("Curves"))
        offer_menu(self, session.failed.emit)
        theme.changed.connect(self.dress)
        self.dress()

    def dress(self) -> None:
        """Takes colours and distances from the theme."""
        look = theme.current()
        self._bar.setContentsMargins(gutter(LEFT), 0, theme.px(8), 0)
        self._bar.setSpacing(theme.px(4))
        self._whole.setSpacing(theme.px(2))
        for key, button in self.buttons.items():
            # The colour of the curve, whose name stands nowhere else.
            button.setStyleSheet(f"QToolButton {{ color: {look.curve(key).name()}; font-weight: bold; }}")
            self.plots[key].setMinimumHeight(theme.px(34))
        self._name()

    def _name(self) -> None:
        """Writes the buttons: whole words, or short ones where they would not fit."""
        margins = self._bar.contentsMargins()
        around = margins.left() + margins.right() + self._bar.spacing() * len(self._words)
        for which in (1, 0):
            for button, texts in self._words.items():
                button.setText(texts[which])
            needed = around + sum(button.sizeHint().width() for button in self._words)
            if which:
                self.head.setMinimumWidth(needed)
        if needed > self.width():
            for button, texts in self._words.items():
                button.setText(texts[1])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._name()

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """Smallest and largest value of each shown column, with the validation that lies in it."""
        recorder = self.session.recorder
        if recorder is None:
            return [], []
        start, stop = (int(step) for step in self.axis.shown)
        stop = min(stop, recorder.stop)
        pulls = [plot.pull for plot in self.plots.values() if plot.pull is not None]
        stride = max(pull.stride for pull in pulls)
        header, table = ["step"], []
        for key in self.plots:
            columns = recorder.columns(key, start, stop, stride=stride)
            header += [f"{key}_minimum", f"{key}_maximum"]
            table += [columns.minimum.tolist(), columns.maximum.tolist()]
        found = recorder.validation
        header += ["val_loss", "val_accuracy"]
        of_step = {int(s) // stride: i for i, s in enumerate(found.step)}
        rows: list[list[float | int | str]] = []
        for number, step in enumerate(columns.steps.tolist()):
            at = of_step.get(step // stride)
            validation = ["", ""] if at is None else [float(found.val_loss[at]), float(found.val_accuracy[at])]
            rows.append([step, *(column[number] for column in table), *validation])
        return header, rows

    def _fit(self) -> None:
        """A regression has no accuracy: its curve gives its room to the others."""
        recorder = self.session.recorder
        button = self.buttons["accuracy"]
        has = recorder is None or self.session.has_accuracy
        button.setEnabled(has)
        self.plots["accuracy"].setVisible(has and button.isChecked())

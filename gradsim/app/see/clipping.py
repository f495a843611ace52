"""Clipping made visible: the gradient as it came, what clipping left of it, what the optimizer made of that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPolygonF, QTransform
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.see import words
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.plots import Axis, Gutter, Plot, faded, pen
from gradsim.app.see.rows import RowLayout, RowSpace
from gradsim.app.session import Session
from gradsim.i18n import mark, tr
from gradsim.nn.optimizers import Optimizer

Floats = NDArray[np.float64]
KEYS = (("raw", "gradient_norm"), ("clipped", "clipped_norm"), ("applied", "applied_norm"))
_LEGEND = {
    "raw": mark("raw gradient"),
    "clipped": mark("after clipping"),
    "applied": mark("applied: update / learning rate"),
}


class _Bars(pg.GraphicsObject):
    def __init__(self, plot: ClippingPlot) -> None:
        super().__init__()
        self.plot = plot

    def boundingRect(self) -> QRectF:
        return QRectF(self.plot.box.viewRect())

    def viewRangeChanged(self) -> None:
        self.prepareGeometryChange()

    def paint(self, painter: QPainter, *_: Any) -> None:
        plot, look = self.plot, theme.current()
        low, high = plot.limits
        width = plot.box.width()
        across = width / (high - low)
        painter.setWorldTransform(QTransform(1 / across, 0, 0, 1, low, 0) * painter.worldTransform())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        layout = plot.rows
        for row in range(len(plot.names)):
            span = layout.span(row)
            if span is None:
                continue
            top, each = span
            if row % 2:
                painter.fillRect(QRectF(0, top, width, each), faded(look.raised, 110))
            middle = top + each / 2
            radius = min(theme.px(5), max(1.5, each * 0.28))
            places = {name: plot.x_of(float(values[row])) for name, values in plot.norms.items()}
            raw, clipped = places["raw"], places["clipped"]
            if np.isfinite(raw) and np.isfinite(clipped) and raw - clipped > 2 * radius:
                painter.setPen(pen(look.curve("clipped"), theme.line_width()))
                painter.drawLine(QPointF(raw - radius, middle), QPointF(clipped + radius, middle))
                tip = clipped + radius
                painter.setBrush(look.curve("clipped"))
                painter.drawPolygon(
                    QPolygonF(
                        [
                            QPointF(tip, middle),
                            QPointF(tip + radius, middle - radius * 0.7),
                            QPointF(tip + radius, middle + radius * 0.7),
                        ]
                    )
                )
            if not np.isfinite(raw) and row < len(plot.norms["raw"]):
                # No place on a log axis: said in words at the end where it belongs.
                value = float(plot.norms["raw"][row])
                painter.setFont(theme.font("small"))
                painter.setPen(QColor(look.muted))
                flags = Qt.AlignmentFlag.AlignVCenter
                text, side = (
                    (tr("exactly 0"), Qt.AlignmentFlag.AlignLeft)
                    if value == 0
                    else ("NaN", Qt.AlignmentFlag.AlignRight)
                )
                painter.drawText(QRectF(theme.px(6), top, width - theme.px(12), each), flags | side, text)
            for name in ("raw", "clipped", "applied"):
                x = places[name]
                if not np.isfinite(x):
                    continue
                painter.setPen(pen(look.text, 0.8))
                painter.setBrush(look.curve(name))
                place = QPointF(x, middle)
                # Told apart by shape as well as by colour.
                if name == "raw":
                    painter.drawEllipse(place, radius, radius)
                elif name == "clipped":
                    painter.drawRect(QRectF(x - radius * 0.85, middle - radius * 0.85, radius * 1.7, radius * 1.7))
                else:
                    r = radius * 1.15
                    corners = [(0, -r), (r, 0), (0, r), (-r, 0)]
                    painter.drawPolygon(QPolygonF([QPointF(x + a, middle + b) for a, b in corners]))


class _Names(Gutter):
    plot: ClippingPlot

    def paint_area(self, painter: QPainter, area: QRectF) -> None:
        plot, look = self.plot, theme.current()
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        free = -1e9
        for row in plot.from_above():
            centre = plot.rows.centre(row)
            if centre is None or centre - metrics.height() / 2 < free:
                continue
            name = plot.names[row]
            free = centre + metrics.height() / 2
            rect = QRectF(area.left(), centre - metrics.height() / 2, area.width() - theme.px(6), metrics.height())
            painter.setPen(QColor(look.muted))
            text = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, rect.width())
            painter.drawText(rect, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)


class _Cosines(Gutter):
    plot: ClippingPlot

    def paint_area(self, painter: QPainter, area: QRectF) -> None:
        plot, look = self.plot, theme.current()
        painter.setFont(theme.font("small", fixed=True))
        metrics = QFontMetricsF(painter.font())
        free = -1e9
        for row in plot.from_above():
            centre, cosine = plot.rows.centre(row), float(plot.cosines[row])
            if centre is None or np.isnan(cosine) or centre - metrics.height() / 2 < free:
                continue
            free = centre + metrics.height() / 2
            room = QRectF(area.left() + theme.px(6), centre - theme.px(4), theme.px(30), theme.px(8))
            painter.fillRect(room, QColor(look.raised))
            filled = QRectF(room.left(), room.top(), room.width() * max(0.0, min(1.0, cosine)), room.height())
            painter.fillRect(filled, look.curve("cosine"))
            painter.setPen(QColor(look.text))
            text = QRectF(room.right() + theme.px(4), centre - metrics.height() / 2, area.width(), metrics.height())
            painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, f"{cosine:.2f}")


class ClippingPlot(Plot):
    """A row per layer with weights; three norms on a log axis, the cosine on the right."""

    def __init__(self, session: Session, like: RowSpace | None = None, parent: QWidget | None = None) -> None:
        self.session = session
        self.like = like or RowSpace()
        self.names: list[str] = []
        self.norms: dict[str, Floats] = {}
        self.cosines: Floats = np.empty(0)
        self.rows = RowLayout()
        self.limits = (-16.0, 8.0)
        self._names, self._cosines = _Names("left", 62), _Cosines("right", 78)
        super().__init__(left=self._names, right=self._cosines, bottom=Axis("bottom", decades=True), parent=parent)
        self._names.plot = self._cosines.plot = self
        self.box.invertY(True)
        self.bars = _Bars(self)
        self.addItem(self.bars, ignoreBounds=True)
        self.like.layout_changed.connect(lambda _: self._lay_out())
        self.setAccessibleName(tr("Gradient raw, clipped and applied by layer"))
        self.setToolTip(
            tr(
                "Length (L2 norm) of each layer's gradient: as the backward pass gave it, after clipping, and what the "
                "optimizer applied. On the right, the cosine between the first two: 1 is the same direction."
            )
        )
        self.dress()

    def from_above(self) -> range:
        """The rows in the order in which they lie."""
        return range(len(self.names))[:: -1 if self.rows.upwards else 1]

    def x_of(self, value: float) -> float:
        """Pixels of a norm; NaN where it has no place on the axis."""
        if not np.isfinite(value) or value <= 0:
            return float("nan")
        low, high = self.limits
        return float(np.clip((np.log10(value) - low) / (high - low), 0.01, 0.99)) * self.box.width()

    def show_rows(self, names: list[str], norms: dict[str, Floats], cosines: Floats) -> None:
        """Takes the values of a step."""
        self.names, self.norms, self.cosines = names, norms, cosines
        limits = self.session.state.thresholds("gradient_norm")
        self.limits = (float(np.log10(limits.low)), float(np.log10(limits.high)))
        self._lay_out()

    def resized(self) -> None:
        self._lay_out()

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._lay_out()

    def _lay_out(self) -> None:
        height = max(1.0, float(self.box.height()))
        used = min(height, theme.px(34) * max(1, len(self.names)))
        self.rows = RowLayout.even(len(self.names), used, upwards=self.like.upwards)
        self.box.setXRange(*self.limits, padding=0)
        self.box.setYRange(0, height, padding=0)
        for item in (self.bars, self._names, self._cosines):
            item.update()


class _Legend(QWidget):
    """What the three marks are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("Circle: raw gradient; square: after clipping; diamond: applied"))
        self.setToolTip("\n".join(tr(_LEGEND[name]) for name, _ in KEYS))
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(theme.px(200), round(QFontMetricsF(theme.font("small")).height() * 3 + theme.px(4)))

    def paintEvent(self, event: Any) -> None:
        painter, look = QPainter(self), theme.current()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        radius = theme.px(5)
        for number, (name, _) in enumerate(KEYS):
            x, y = theme.px(10) + radius, metrics.height() * (number + 0.5)
            painter.setPen(pen(look.text, 0.8))
            painter.setBrush(look.curve(name))
            if name == "raw":
                painter.drawEllipse(QPointF(x, y), radius, radius)
            elif name == "clipped":
                painter.drawRect(QRectF(x - radius, y - radius, 2 * radius, 2 * radius))
            else:
                corners = [(0, -radius), (radius, 0), (0, radius), (-radius, 0)]
                painter.drawPolygon(QPolygonF([QPointF(x + a, y + b) for a, b in corners]))
            painter.setPen(QColor(look.text))
            left = x + 2 * radius
            rect = QRectF(left, y - metrics.height() / 2, self.width() - left, metrics.height())
            said = metrics.elidedText(tr(_LEGEND[name]), Qt.TextElideMode.ElideRight, rect.width())
            painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, said)


class Clipping(QWidget):
    """The plot, what clipping does in words, and the legend.

    Args:
        like: Which end of the stack is up is taken from here.
    """

    picture_key = "clipping"

    def __init__(self, session: Session, like: RowSpace | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.words = QLabel(self)
        self.words.setWordWrap(True)
        self.words.setAccessibleName(tr("What clipping does"))
        self.plot = ClippingPlot(session, like, self)
        self.legend = _Legend(self)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, theme.px(4), 0, theme.px(4))
        whole.setSpacing(theme.px(4))
        self.words.setContentsMargins(theme.px(8), 0, theme.px(8), 0)
        whole.addWidget(self.words)
        whole.addWidget(self.legend)
        whole.addWidget(self.plot, 1)
        self.setAccessibleName(tr("Clipping"))
        offer_menu(self, session.failed.emit)
        session.turns.connect(self._pull_new)
        session.slow_tick.connect(self.renew)
        session.recorder_changed.connect(self.renew)
        session.document_changed.connect(lambda _: self.renew())
        session.state.cursor_changed.connect(lambda _: self.renew())

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self.renew()

    def _pull_new(self) -> bool:
        if not self.isVisible() or self.session.state.cursor is not None:
            return False
        self.renew()
        return True

    def renew(self) -> None:
        """Takes the shown step."""
        if not self.isVisible():
            return
        recorder, step = self.session.recorder, self.session.step
        names: list[str] = []
        norms: dict[str, Floats] = {name: np.empty(0) for name, _ in KEYS}
        cosines = np.empty(0)
        if recorder is not None and step is not None:
            rows = [row for row, layer in enumerate(recorder.layers) if layer.weight_size and layer.trainable]
            names = [recorder.layers[row].name for row in rows]
            every = recorder.every

            def value(key: str) -> Floats:
                return recorder.columns(key, step, step + 1, stride=every).maximum[0, rows]

            norms = {name: value(key) for name, key in KEYS}
            # Where nothing is clipped, what is left is the gradient itself.
            norms["clipped"] = np.where(np.isnan(norms["clipped"]), norms["raw"], norms["clipped"])
            cosines = value("clip_cosine")
        self.plot.show_rows(names, norms, cosines)
        self.words.setText(described(self.session.experiment.optimizer, norms["raw"], norms["clipped"], cosines))

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The norms of the shown step: a line per layer."""
        plot = self.plot
        columns = [plot.norms[name].tolist() for name, _ in KEYS]
        header = ["layer", *(key for _, key in KEYS), "clip_cosine"]
        return header, [list(row) for row in zip(plot.names, *columns, plot.cosines.tolist(), strict=True)]


def described(optimizer: Optimizer, raw: Floats, clipped: Floats, cosines: Floats) -> str:
    """What clipping is set to and what it did in a step, in words."""
    if optimizer.clipvalue is not None:
        what = tr(
            "Clipping by value {limit}: every entry of a gradient beyond it is cut to it. That can turn the direction.",
            limit=f"{optimizer.clipvalue:g}",
        )
    elif optimizer.clipnorm is not None:
        what = tr(
            "Clipping by norm {limit}: each weight's gradient that is longer is shortened to it. The direction stays.",
            limit=f"{optimizer.clipnorm:g}",
        )
    elif optimizer.global_clipnorm is not None:
        what = tr(
            "Clipping by global norm {limit}: if all gradients together are longer, all are "
            "shortened by one factor. Direction and proportions stay.",
            limit=f"{optimizer.global_clipnorm:g}",
        )
    else:
        return tr(
            "Clipping is off: every gradient is used as it is. Set clip norm or clip value of the optimizer to see "
            "what it changes."
        )
    if not len(raw):
        return what
    with np.errstate(all="ignore"):
        touched = int(np.count_nonzero(clipped < raw * (1 - 1e-6)))
    least = np.fmin.reduce(cosines) if len(cosines) else np.nan
    if np.isnan(least):
        return tr("{what} In this step {n} of {total} layers were clipped.", what=what, n=touched, total=len(raw))
    return tr(
        "{what} In this step {n} of {total} layers were clipped, cosine at least {cosine}.",
        what=what,
        n=touched,
        total=len(raw),
        cosine=words.number(float(least), 2),
    )

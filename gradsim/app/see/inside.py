"""Inside the selected layer: how its weights, gradients and activations are distributed, and its gradient matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.see import words
from gradsim.app.see.asking import Asking
from gradsim.app.see.curves import polyline
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.plots import draw_part, pen
from gradsim.app.session import Session
from gradsim.engine.trainer import Trainer
from gradsim.i18n import tr
from gradsim.telemetry.classes import classify
from gradsim.telemetry.quantities import quantity

Floats = NDArray[np.float64]

SAMPLE = 8192
"""Most entries of an array that go into its histogram."""
SIDE = 256
"""Most lines of the matrix's picture; a larger one shows the largest entry of each block."""
BINS = 64
KEPT = 240
"""Histograms that are remembered."""
DECADES = (-20.0, 4.0)
"""Ends of the axis for gradients: powers of ten."""


class Look(NamedTuple):
    """What the training thread gives of a layer."""

    weight: Floats | None
    gradient: Floats | None
    activation: Floats
    matrix: NDArray[np.float32] | None
    """|gradient|, pooled to at most SIDE x SIDE."""
    shape: tuple[int, ...]
    """Of the weight."""


def look(row: int) -> Callable[[Trainer], Look]:
    """The question of what lies in a layer now: a function of the trainer."""

    def ask(trainer: Trainer) -> Look:
        weight, gradient = trainer.weight_matrix(row), trainer.gradient_matrix(row)
        return Look(
            sample(weight), sample(gradient), _known(sample(trainer.activation_matrix(row))),
            None if gradient is None else pooled(gradient), () if weight is None else weight.shape,
        )  # fmt: skip

    return ask


def _known(array: Floats | None) -> Floats:
    return np.empty(0) if array is None else array


def sample(array: NDArray[Any] | None) -> Floats | None:
    """Evenly spread entries, at most ``SAMPLE``."""
    if array is None:
        return None
    flat = array.reshape(-1)
    # An odd stride does not run along the columns of a matrix whose width it divides.
    stride = -(-flat.size // SAMPLE)
    return flat[:: stride | 1 if stride > 1 else 1].astype(np.float64)


def pooled(array: NDArray[Any]) -> NDArray[np.float32]:
    """Sizes of a matrix; where it is larger than ``SIDE``, the largest of each block. NaN stays NaN."""
    sizes = np.abs(array.reshape(1, -1) if array.ndim == 1 else array.reshape(array.shape[0], -1)).astype(np.float32)
    for axis in (0, 1):
        length = sizes.shape[axis]
        if length > SIDE:
            at = np.arange(SIDE) * length // SIDE
            sizes = np.maximum.reduceat(sizes, at, axis=axis)
    return sizes


class History:
    """Histograms of one array over time.

    Args:
        log: Of the sizes, in fixed decades; else of the values, over a symmetric range that doubles when it must.
    """

    def __init__(self, *, log: bool) -> None:
        self.log = log
        self.clear()

    def clear(self) -> None:
        """Forgets all."""
        self.counts = np.zeros((KEPT, BINS))
        self.present = np.zeros(BINS)
        self.size = 0
        # A power of two, so that its doubles read well: 0.25, 4, 16.
        self.reach = 2.0**-10
        self.note = ""
        self.mean = self.deviation = math.nan

    def add(self, values: Floats, *, keep: bool = True) -> None:
        """Takes one histogram as the present one, and, if it is to be kept, as the next in time."""
        finite = values[np.isfinite(values)]
        lost = values.size - finite.size
        notes = [tr("{part} not finite", part=f"{lost / values.size:.0%}")] if lost else []
        if self.log:
            sizes = np.abs(finite)
            zero = int(np.count_nonzero(sizes == 0))
            if zero:
                notes.append(tr("{part} exactly 0", part=f"{zero / values.size:.0%}"))
            with np.errstate(all="ignore"):
                place = (np.log10(sizes[sizes > 0]) - DECADES[0]) / (DECADES[1] - DECADES[0])
        else:
            largest = float(np.abs(finite).max()) if finite.size else 0.0
            while largest > self.reach and self.reach < 1e30:
                self._double()
            place = (finite / self.reach + 1) / 2
        index = np.clip((place * BINS).astype(np.int64), 0, BINS - 1)
        counts = np.bincount(index, minlength=BINS) / max(1, values.size)
        self.present = counts
        if keep:
            if self.size == KEPT:
                self.counts[:-1] = self.counts[1:]
                self.size -= 1
            self.counts[self.size] = counts
            self.size += 1
        with np.errstate(all="ignore"):
            self.mean = float(finite.mean()) if finite.size else math.nan
            self.deviation = float(finite.std()) if finite.size else math.nan
        self.note = ", ".join(notes)

    def _double(self) -> None:
        merged = self.counts[:, ::2] + self.counts[:, 1::2]
        self.counts = np.zeros((KEPT, BINS))
        self.counts[:, BINS // 4 : BINS * 3 // 4] = merged
        self.reach *= 2


class Strip(QWidget):
    """Histograms over time as columns of a picture, the present one beside them."""

    def __init__(self, title: str, colour: str, *, log: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.colour = title, colour
        self.history = History(log=log)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(theme.px(70))
        self.setAccessibleName(tr("Histogram of {what} over time", what=title))
        self.setToolTip(
            tr(
                "How the {what} are distributed: time from left to right, darker where more of them lie; on the right, "
                "now. {scale}",
                what=title,
                scale=tr("Sizes on a log axis.") if log else tr("Values on a linear axis."),
            )
        )
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(theme.px(240), theme.px(100))

    def paintEvent(self, event: QPaintEvent) -> None:
        look_, painter, history = theme.current(), QPainter(self), self.history
        painter.setFont(theme.font("small", bold=True))
        metrics = QFontMetricsF(painter.font())
        head = metrics.height() + theme.px(2)
        painter.setPen(QColor(look_.text))
        text = self.title
        if history.size and not self.history.log:
            mean, deviation = words.number(history.mean), words.number(history.deviation)
            text += "   " + tr("mean {mean}, std {deviation}", mean=mean, deviation=deviation)
        if history.note:
            text += f"   {history.note}"
        area = QRectF(0, 0, self.width(), head)
        painter.drawText(
            area, Qt.AlignmentFlag.AlignLeft, metrics.elidedText(text, Qt.TextElideMode.ElideRight, area.width())
        )
        gutter = theme.px(44)
        now = min(theme.px(64), self.width() / 4)
        picture = QRectF(gutter, head, max(10.0, self.width() - gutter - now - theme.px(6)), self.height() - head - 2)
        painter.fillRect(picture, QColor(look_.plot))
        if history.size:
            table = np.array(look_.table_argb("sequential"), np.uint32)
            # The square root shows the thin tails beside the crowded middle.
            peak = history.counts[: history.size].max(axis=1, keepdims=True)
            share = np.sqrt(history.counts[: history.size] / np.where(peak > 0, peak, 1.0))
            pixels = np.ascontiguousarray(table[(share * 248).astype(np.uint8)].T[::-1])
            image = QImage(pixels.data, history.size, BINS, history.size * 4, QImage.Format.Format_RGB32)
            draw_part(painter, picture, image, QRectF(image.rect()))
        self._paint_now(painter, QRectF(picture.right() + theme.px(6), picture.top(), now, picture.height()))
        painter.setPen(pen(look_.line))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(picture)
        painter.setFont(theme.font("small", fixed=True))
        painter.setPen(QColor(look_.muted))
        free = math.inf
        for share_, label in self._labels():
            y = picture.bottom() - share_ * picture.height()
            if y + metrics.height() / 2 > free:
                continue
            free = y - metrics.height() / 2
            rect = QRectF(
                0,
                min(max(y - metrics.height() / 2, picture.top() - 2), self.height() - metrics.height()),
                gutter - 4,
                metrics.height(),
            )
            painter.drawText(rect, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, label)

    def _paint_now(self, painter: QPainter, area: QRectF) -> None:
        look_, counts = theme.current(), self.history.present
        if not counts.max():
            return
        x = area.left() + np.sqrt(counts / counts.max()) * area.width()
        y = area.bottom() - (np.arange(BINS) + 0.5) / BINS * area.height()
        xs = np.concatenate([[area.left()], x, [area.left()]])
        ys = np.concatenate([[area.bottom()], y, [area.top()]])
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        colour = look_.curve(self.colour)
        painter.setPen(pen(colour, 1.0))
        fill = QColor(colour)
        fill.setAlpha(90)
        painter.setBrush(fill)
        painter.drawPolygon(polyline(xs, ys))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _labels(self) -> list[tuple[float, str]]:
        if self.history.log:
            low, high = DECADES
            each = 4 if self.height() > theme.px(90) else 8
            return [((d - low) / (high - low), f"1e{d:.0f}".replace("-", "−")) for d in np.arange(low, high + 1, each)]
        reach = self.history.reach
        return [(0.0, words.number(-reach)), (0.5, "0"), (1.0, words.number(reach))]


class Matrix(QWidget):
    """The sizes of a gradient matrix in the colours of the heatmap: inputs downwards, units to the right."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._sizes: NDArray[np.float32] | None = None
        self._shape: tuple[int, ...] = ()
        self._image: QImage | None = None
        self._pixels: Any = None
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(theme.px(90))
        self.setAccessibleName(tr("Gradient matrix of the layer"))
        session.state.thresholds_changed.connect(lambda _: self._colour())
        theme.changed.connect(self._colour)

    def sizeHint(self) -> QSize:
        return QSize(theme.px(240), theme.px(200))

    def show_matrix(self, sizes: NDArray[np.float32] | None, shape: tuple[int, ...]) -> None:
        """Takes the sizes, pooled, and the shape of the whole."""
        self._sizes, self._shape = sizes, shape
        self._colour()

    def _colour(self) -> None:
        self._image = None
        if self._sizes is not None and self._sizes.size:
            definition = quantity("gradient_rms")
            sizes = self._sizes.astype(np.float64)
            nan = np.isnan(sizes)
            limits = self.session.state.thresholds("gradient_rms")
            indices = classify(definition, np.where(nan, 0.0, sizes), nan=nan, thresholds=limits)
            self._pixels = np.array(theme.current().table_argb(), np.uint32)[indices]
            height, width = self._pixels.shape
            self._image = QImage(self._pixels.data, width, height, width * 4, QImage.Format.Format_RGB32)
        self.update()

    def area(self) -> QRectF:
        """Where the entries are."""
        head = QFontMetricsF(theme.font("small", bold=True)).height() + theme.px(2)
        return QRectF(theme.px(44), head, max(10, self.width() - theme.px(50)), max(10, self.height() - head - 2))

    def paintEvent(self, event: QPaintEvent) -> None:
        look_, painter, area = theme.current(), QPainter(self), self.area()
        painter.setFont(theme.font("small", bold=True))
        painter.setPen(QColor(look_.text))
        size = shape = " × ".join(map(str, self._shape))
        if self._sizes is not None and self._sizes.size:
            with np.errstate(all="ignore"):
                largest = float(np.fmax.reduce(self._sizes, axis=None))
            note = tr("largest {value}", value=words.number(largest)) if largest else tr("exactly 0 everywhere")
            size += f"   {note}"
        heads = [f"{tr('gradient matrix')}   {size}", f"dW   {size}", size, shape] if size else [""]
        fits = (head for head in heads if QFontMetricsF(painter.font()).horizontalAdvance(head) <= self.width())
        painter.drawText(QRectF(0, 0, self.width(), area.top()), Qt.AlignmentFlag.AlignLeft, next(fits, heads[-1]))
        painter.fillRect(area, QColor(look_.plot))
        if self._image is not None:
            draw_part(painter, area, self._image, QRectF(self._image.rect()))
        else:
            painter.setPen(QColor(look_.muted))
            painter.setFont(theme.font("small"))
            text = tr("This layer is frozen: it has no gradient.") if self._shape else tr("This layer has no weights.")
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, text)
        painter.setPen(pen(look_.line))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(area)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(look_.muted))
        if len(self._shape) == 2:
            left = QRectF(0, area.top(), area.left() - theme.px(4), area.height())
            painter.drawText(left, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop, tr("inputs\n↓"))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        area, sizes = self.area(), self._sizes
        position = event.position()
        if sizes is None or not area.contains(position):
            QToolTip.hideText()
            return
        height, width = sizes.shape
        i = min(int((position.y() - area.top()) / area.height() * height), height - 1)
        j = min(int((position.x() - area.left()) / area.width() * width), width - 1)
        whole = self._shape if len(self._shape) == 2 else (1, self._shape[0])
        place = tr("input {i}, unit {j}", i=i * whole[0] // height, j=j * whole[1] // width)
        QToolTip.showText(
            event.globalPosition().toPoint(), f"{place}: |dL/dW| {words.number(float(sizes[i, j]), 3)}", self
        )


class Inside(QWidget):
    """The selected layer from inside, renewed some five times a second; at the cursor, as it was then."""

    picture_key = "inside"

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._row: int | None = None
        self._key: tuple[object, ...] = ()
        self.label = QLabel(self)
        self.label.setAccessibleName(tr("Layer"))
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.up, self.down = QToolButton(self), QToolButton(self)
        for button, text, name, by in ((self.up, "▲", tr("Layer above"), -1), (self.down, "▼", tr("Layer below"), 1)):
            button.setText(text)
            button.setAccessibleName(name)
            button.setToolTip(tr("{name}, each round of a repeat group on its own.", name=name))
            button.clicked.connect(lambda _=False, by=by: self.move_by(by))
        self.weights = Strip(tr("weights"), "applied", parent=self)
        self.gradients = Strip(tr("gradients"), "raw", log=True, parent=self)
        self.activations = Strip(tr("activations"), "cosine", parent=self)
        self.matrix = Matrix(session, self)
        head = QHBoxLayout()
        head.addWidget(self.label, 1)
        head.addWidget(self.up)
        head.addWidget(self.down)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(theme.px(8), theme.px(6), theme.px(8), theme.px(6))
        whole.setSpacing(theme.px(6))
        whole.addLayout(head)
        # A lesson leaves a page little height: what can't be made smaller is scrolled to.
        pictures = QWidget(self)
        column = QVBoxLayout(pictures)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.px(6))
        for strip in (self.gradients, self.weights, self.activations):
            column.addWidget(strip, 1)
        column.addWidget(self.matrix, 2)
        scroll = QScrollArea(self)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidgetResizable(True)
        scroll.setWidget(pictures)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        whole.addWidget(scroll, 1)
        self.asking = Asking(session, self, "inside", self._question, self._answered)
        session.recorder_changed.connect(self._restart)
        session.state.selection_changed.connect(lambda _: self._selected())
        session.state.cursor_changed.connect(lambda _: self._write())
        self.setAccessibleName(tr("Inside the layer"))
        offer_menu(self, session.failed.emit)
        self._restart()

    @property
    def row(self) -> int | None:
        """Row of the layer that is shown."""
        return self._row

    def show_row(self, row: int) -> None:
        """Shows another layer."""
        layers = self.session.rows()
        if 0 <= row < len(layers) and row != self._row:
            self._row = row
            for strip in (self.weights, self.gradients, self.activations):
                strip.history.clear()
                strip.update()
            self._write()
            self.asking.again()

    def move_by(self, rows: int) -> None:
        """Shows the layer that many rows further, and selects it."""
        if self._row is not None and 0 <= self._row + rows < len(self.session.rows()):
            self.show_row(self._row + rows)
            row = self._row
            uids = self.session.row_uids
            if uids[row] not in self.session.state.selection:
                self.session.state.select([uids[row]])

    def _restart(self) -> None:
        layers = self.session.rows()
        row, self._row = self._row, None
        if layers:
            first = next((i for i, layer in enumerate(layers) if layer.weight_size), 0)
            self.show_row(row if row is not None and row < len(layers) else first)
        else:
            for strip in (self.weights, self.gradients, self.activations):
                strip.history.clear()
            self.matrix.show_matrix(None, ())
        self._write()

    def _selected(self) -> None:
        chosen = self.session.state.selection
        if not chosen:
            return
        rows = [row for row, uid in enumerate(self.session.row_uids) if uid == chosen[-1]]
        hover = self.session.state.hover
        if hover is not None and hover[1] in rows:
            # A click on one round of a repeat group means that one.
            self.show_row(int(hover[1] or 0))
        elif rows and self._row not in rows:
            self.show_row(rows[0])

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self.asking.renew()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._write()

    def _question(self) -> Callable[[Trainer], Look] | None:
        return None if self._row is None else look(self._row)

    def _answered(self, found: Look, step: int) -> None:
        for strip, values in (
            (self.weights, found.weight), (self.gradients, found.gradient), (self.activations, found.activation),
        ):  # fmt: skip
            if values is not None and values.size:
                # What is looked back at has its place in time already.
                strip.history.add(values, keep=self.session.state.cursor is None)
            strip.update()
        self.weights.setVisible(found.weight is not None)
        self.gradients.setVisible(found.gradient is not None)
        self.matrix.show_matrix(found.matrix, found.shape)
        self._step = step
        self._write()

    _step: int | None = None

    def _write(self) -> None:
        layers = self.session.rows()
        if self._row is None or self._row >= len(layers):
            self.label.setText(tr("Train, then select a layer to see inside it."))
            return
        layer = layers[self._row]
        text = f"{layer.name}: {layer.label or layer.type}"
        if self._step is not None:
            text = tr("{layer}, step {step}", layer=text, step=words.steps(self._step))
        self.label.setFont(theme.font("normal", bold=True))
        room = self.label.contentsRect().width()
        self.label.setText(self.label.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room))
        self.label.setToolTip(text)

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The present histograms: a line per bin."""
        rows: list[list[float | int | str]] = []
        for strip in (self.weights, self.gradients, self.activations):
            history = strip.history
            if not history.present.any():
                continue
            low, high = (10 ** DECADES[0], 10 ** DECADES[1]) if history.log else (-history.reach, history.reach)
            edges = np.geomspace(low, high, BINS + 1) if history.log else np.linspace(low, high, BINS + 1)
            counts = history.present
            rows += [
                [strip.title, float(a), float(b), float(c)] for a, b, c in zip(edges, edges[1:], counts, strict=False)
            ]
        return ["array", "from", "to", "share"], rows

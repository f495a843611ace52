"""What the network makes of its data: a decision boundary, images with predictions, a curve, a table of errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from gradsim.app import theme
from gradsim.app.see import words
from gradsim.app.see.asking import Asking
from gradsim.app.see.curves import polyline
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.plots import draw_part, mixed, pen
from gradsim.app.session import Session
from gradsim.data import Dataset
from gradsim.data.bundled import FASHION_CLASSES
from gradsim.engine.trainer import Trainer
from gradsim.i18n import tr

Array = NDArray[Any]
Floats = NDArray[np.float64]
Kind = Literal["boundary", "images", "curve", "confusion", "scatter"]

WORK = 2e8
"""Multiplications that one look may cost, roughly."""
POINTS = 300
IMAGES = 40
# Okabe & Ito's palette: told apart by all common kinds of colour vision.
CLASS_COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999", "#7b4fb0", "#6b4a2b",
)  # fmt: skip


class Look(NamedTuple):
    """What the training thread found."""

    kind: Kind
    dataset: Dataset
    x: Array
    """Rows that were predicted (of a grid, the grid's)."""
    outputs: Floats
    """Shape ``(rows, outputs)``."""
    labels: Array | None
    """Their true classes or values; None for a grid."""
    extent: tuple[float, float, float, float]
    """Of a grid or a curve: x from, to, y from, to."""


def kind_of(dataset: Dataset) -> Kind:
    """Which picture suits the data."""
    shape = dataset.input_shape
    if len(shape) >= 2:
        return "images"
    if dataset.task == "regression":
        return "curve" if shape == (1,) else "scatter"
    return "boundary" if shape == (2,) else "confusion"


def look(trainer: Trainer) -> Look:
    """Predicts what the picture of the data needs."""
    dataset = trainer.dataset
    kind = kind_of(dataset)
    rows = int(np.clip(WORK / max(1, trainer.stack.parameters), 36, 4096))
    unlimited = (0.0, 1.0, 0.0, 1.0)
    if kind == "boundary":
        low, high = dataset.x_train.min(axis=0), dataset.x_train.max(axis=0)
        room = (high - low) * 0.08 + 1e-6
        low, high = low - room, high + room
        side = int(min(64, math.sqrt(rows)))
        across = np.linspace(low[0], high[0], side)
        up = np.linspace(high[1], low[1], side)
        grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
        extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
        return Look(kind, dataset, grid, _predicted(trainer, grid), None, extent)
    if kind == "curve":
        low, high = float(dataset.x_train.min()), float(dataset.x_train.max())
        room = (high - low) * 0.08 + 1e-6
        x = np.linspace(low - room, high + room, min(200, rows))[:, None]
        y = dataset.y_train
        extent = (low - room, high + room, float(y.min()), float(y.max()))
        return Look(kind, dataset, x, _predicted(trainer, x), None, extent)
    # Rows that are not trained on where there are such: what was learned by heart says little.
    held = dataset.x_val is not None and len(dataset.x_val) > 0
    x_all = dataset.x_val if held and dataset.x_val is not None else dataset.x_train
    found = (dataset.labels_val if held else dataset.labels) if dataset.task != "regression" else None
    if found is None:
        found = dataset.y_val if held and dataset.y_val is not None else dataset.y_train
    count = min(IMAGES if kind == "images" else 512, rows, len(x_all))
    return Look(kind, dataset, x_all[:count], _predicted(trainer, x_all[:count]), found[:count], unlimited)


def _predicted(trainer: Trainer, x: Array) -> Floats:
    return np.asarray(trainer.predict(x), np.float64)


def classes_of(outputs: Floats) -> NDArray[np.int64]:
    """The class that outputs mean: the largest of several, or whether a single one is above a half; -1 for NaN."""
    lost = np.isnan(outputs).any(axis=1)
    safe = np.where(np.isnan(outputs), -np.inf, outputs)
    found = (outputs[:, 0] > 0.5).astype(np.int64) if outputs.shape[1] == 1 else np.argmax(safe, axis=1)
    return np.where(lost, -1, found)


class DataView(QWidget):
    """The picture of the data, renewed some four times a second."""

    picture_key = "data"

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.found: Look | None = None
        self.step: int | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(theme.px(160), theme.px(160))
        self.setAccessibleName(tr("Predictions on the data"))
        offer_menu(self, session.failed.emit)
        self.asking = Asking(session, self, "data", lambda: self._question(), self._answered, interval_ms=250)
        session.recorder_changed.connect(self._restart)
        theme.changed.connect(self.update)
        self.setToolTip(tr("What the network answers now. Nothing is computed while this is hidden."))

    def sizeHint(self) -> QSize:
        return QSize(theme.px(280), theme.px(300))

    def _question(self) -> Callable[[Trainer], Look]:
        return look

    def _restart(self) -> None:
        self.found = self.step = None
        self.update()

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self.asking.renew()

    def _answered(self, found: Look, step: int) -> None:
        self.found, self.step = found, step
        self.setAccessibleDescription(self.sentence())
        self.update()

    def sentence(self) -> str:
        """What the picture says, in words."""
        found = self.found
        if found is None:
            return tr("Train to see what the network makes of its data.")
        lost = int(np.isnan(found.outputs).any(axis=1).sum())
        if lost == len(found.outputs):
            return tr("Every output is NaN: the network no longer answers.")
        if found.kind == "boundary":
            return tr("Background: the answer at each place. Points: training rows in the colour of their class.")
        if found.kind == "curve":
            return tr("Points: training rows. Line: the network's answer.")
        held_back = found.dataset.x_val is not None and len(found.dataset.x_val) > 0
        if found.kind == "scatter":
            rows = tr("validation rows") if held_back else tr("training rows")
            return tr(
                "{n} {rows}: true value to the right, answer upwards; on the line, both agree.",
                n=len(found.x),
                rows=rows,
            )
        right = int((classes_of(found.outputs) == np.asarray(found.labels)).sum())
        if found.kind == "images":
            rows = tr("validation images") if held_back else tr("training images")
        else:
            rows = tr("validation rows") if held_back else tr("training rows")
        return tr(
            "{right} of {n} {rows} right ({part}).",
            right=right,
            n=len(found.x),
            rows=rows,
            part=f"{right / len(found.x):.0%}",
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        look_, painter = theme.current(), QPainter(self)
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        margin = theme.px(8)
        text = self.sentence()
        if self.step is not None:
            text = tr("{text} Step {step}.", text=text, step=words.steps(self.step))
        room = QRectF(margin, theme.px(6), self.width() - 2 * margin, self.height())
        flags = Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap
        used = painter.boundingRect(room, flags, text)
        painter.setPen(QColor(look_.text))
        painter.drawText(room, flags, text)
        top = used.bottom() + theme.px(6)
        area = QRectF(margin, top, self.width() - 2 * margin, self.height() - top - margin)
        if self.found is None or area.height() < 40:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        {
            "boundary": self._boundary, "images": self._images, "curve": self._curve,
            "confusion": self._confusion, "scatter": self._scatter,
        }[self.found.kind](painter, area, self.found, metrics)  # fmt: skip

    def _colour(self, index: int) -> QColor:
        if index < 0:
            return theme.current().class_colour(253)
        return QColor(CLASS_COLOURS[index % len(CLASS_COLOURS)])

    # 2-D data

    def _boundary(self, painter: QPainter, area: QRectF, found: Look, metrics: QFontMetricsF) -> None:
        look_ = theme.current()
        side = min(area.width(), area.height())
        area = QRectF(area.center().x() - side / 2, area.top(), side, side)
        pixels = self.boundary_pixels(found)
        grid = len(pixels)
        image = QImage(pixels.data, grid, grid, grid * 4, QImage.Format.Format_RGB32)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not (pixels == pixels[0, 0]).all())
        painter.drawImage(area, image)
        painter.setPen(pen(look_.line))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(area)
        dataset = found.dataset
        labels = dataset.labels if dataset.labels is not None else dataset.y_train[:, 0]
        x0, x1, y0, y1 = found.extent
        radius = theme.px(3.4)
        painter.setClipRect(area)
        for (a, b), label in zip(dataset.x_train[:POINTS].tolist(), labels[:POINTS].tolist(), strict=True):
            at = QPointF(
                area.left() + (a - x0) / (x1 - x0) * area.width(), area.bottom() - (b - y0) / (y1 - y0) * area.height()
            )
            painter.setPen(pen("#ffffff" if look_.dark else "#202020", 0.8))
            painter.setBrush(self._colour(int(label)))
            marker(painter, at, radius, int(label))
        painter.setClipping(False)

    def boundary_pixels(self, found: Look) -> NDArray[np.uint32]:
        """The background: the class at each place, paler where the answer is undecided. Shape ``(side, side)``."""
        outputs = found.outputs
        side = round(math.sqrt(len(outputs)))
        chosen = classes_of(outputs)
        if outputs.shape[1] == 1:
            sure = np.abs(np.clip(outputs[:, 0], 0, 1) - 0.5) * 2
        else:
            ordered = np.sort(np.clip(np.nan_to_num(outputs), 0, 1), axis=1)
            sure = ordered[:, -1] - ordered[:, -2]
        background = _rgb(QColor(theme.current().plot))
        colours = np.array([_rgb(self._colour(i)) for i in range(-1, max(2, outputs.shape[1]))])
        share = np.where(chosen < 0, 0.8, 0.12 + 0.5 * np.nan_to_num(sure))[:, None]
        rgb = np.rint(colours[chosen + 1] * share + background * (1 - share)).astype(np.uint32)
        pixels = 0xFF000000 | rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]
        return np.ascontiguousarray(pixels.astype(np.uint32).reshape(side, side))

    # Images

    def _images(self, painter: QPainter, area: QRectF, found: Look, metrics: QFontMetricsF) -> None:
        look_, count = theme.current(), len(found.x)
        names = found.dataset.class_names
        caption = metrics.height() + theme.px(1)
        across = max(1, min(count, int(area.width() // theme.px(52))))
        each = area.width() / across
        lines = max(1, min(-(-count // across), int(area.height() // (each + caption))))
        guessed = classes_of(found.outputs)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        for i in range(min(count, across * lines)):
            x, y = area.left() + i % across * each, area.top() + i // across * (each + caption)
            grey = _grey(np.asarray(found.x[i]))
            height, width = grey.shape
            image = QImage(grey.data, width, height, width, QImage.Format.Format_Grayscale8)
            box = QRectF(x + 3, y + 3, each - 6, each - 6)
            draw_part(painter, box, image, QRectF(image.rect()))
            right = int(guessed[i]) == int(np.asarray(found.labels)[i])
            colour = QColor(look_.good if right else look_.impossible)
            painter.setPen(pen(colour, 2.5, Qt.PenStyle.SolidLine if right else Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(box)
            said = "NaN" if guessed[i] < 0 else _named(names, int(guessed[i]))
            painter.setPen(colour)
            text = metrics.elidedText(f"{'✓' if right else '✗'} {said}", Qt.TextElideMode.ElideRight, each - 4)
            painter.drawText(QRectF(x, y + each - 2, each, caption), Qt.AlignmentFlag.AlignHCenter, text)

    # Regression

    def _curve(self, painter: QPainter, area: QRectF, found: Look, metrics: QFontMetricsF) -> None:
        look_, dataset = theme.current(), found.dataset
        x0, x1, y0, y1 = found.extent
        room = (y1 - y0) * 0.2 + 1e-9
        y0, y1 = y0 - room, y1 + room
        painter.fillRect(area, QColor(look_.plot))
        painter.setClipRect(area)

        def place(x: Floats, y: Floats) -> tuple[Floats, Floats]:
            far = np.clip((y - y0) / (y1 - y0), -2, 3)
            return area.left() + (x - x0) / (x1 - x0) * area.width(), area.bottom() - far * area.height()

        px, py = place(dataset.x_train[:POINTS, 0].astype(float), dataset.y_train[:POINTS, 0].astype(float))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mixed(look_.muted, look_.plot, 150))
        for a, b in zip(px.tolist(), py.tolist(), strict=True):
            painter.drawEllipse(QPointF(a, b), theme.px(2.4), theme.px(2.4))
        known = np.isfinite(found.outputs[:, 0])
        if known.sum() > 1:
            cx, cy = place(found.x[known, 0].astype(float), found.outputs[known, 0])
            painter.setPen(pen(look_.curve("loss"), theme.line_width(1.5)))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(polyline(cx, cy))
        painter.setClipping(False)
        painter.setPen(pen(look_.line))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(area)

    def _scatter(self, painter: QPainter, area: QRectF, found: Look, metrics: QFontMetricsF) -> None:
        look_ = theme.current()
        side = min(area.width(), area.height())
        area = QRectF(area.center().x() - side / 2, area.top(), side, side)
        true, said = np.asarray(found.labels, np.float64).reshape(len(found.x), -1)[:, 0], found.outputs[:, 0]
        low, high = float(true.min()), float(true.max())
        room = (high - low) * 0.1 + 1e-9
        low, high = low - room, high + room
        painter.fillRect(area, QColor(look_.plot))
        painter.setClipRect(area)
        painter.setPen(pen(look_.line))
        painter.drawLine(area.bottomLeft(), area.topRight())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look_.curve("loss"))
        for a, b in zip(true.tolist(), said.tolist(), strict=True):
            if math.isfinite(b):
                x = area.left() + (a - low) / (high - low) * side
                y = area.bottom() - min(max((b - low) / (high - low), 0.0), 1.0) * side
                painter.drawEllipse(QPointF(x, y), theme.px(2.4), theme.px(2.4))
        painter.setClipping(False)
        painter.setPen(pen(look_.line))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(area)

    # Tables with classes

    def _confusion(self, painter: QPainter, area: QRectF, found: Look, metrics: QFontMetricsF) -> None:
        look_, names = theme.current(), found.dataset.class_names
        labels = np.asarray(found.labels, np.int64)
        guessed = classes_of(found.outputs)
        classes = max(len(names), int(labels.max()) + 1, int(guessed.max()) + 1, 2)
        counts = np.zeros((classes, classes), np.int64)
        known = guessed >= 0
        np.add.at(counts, (labels[known], guessed[known]), 1)
        left = min(
            max(metrics.horizontalAdvance(_named(names, i)) for i in range(classes)) + theme.px(6), area.width() / 3
        )
        head = metrics.height() * 2
        side = min(area.width() - left, area.height() - head) / classes
        painter.setPen(QColor(look_.muted))
        painter.drawText(
            QRectF(area.left(), area.top(), left, head), Qt.AlignmentFlag.AlignLeft, tr("true ↓\nanswer →")
        )
        for i in range(classes):
            y = area.top() + head + i * side
            painter.setPen(QColor(look_.muted))
            text = metrics.elidedText(_named(names, i), Qt.TextElideMode.ElideRight, left - 4)
            painter.drawText(
                QRectF(area.left(), y, left - 4, side),
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                text,
            )
            top = QRectF(area.left() + left + i * side, area.top() + metrics.height(), side, metrics.height())
            painter.drawText(
                top,
                Qt.AlignmentFlag.AlignCenter,
                metrics.elidedText(_named(names, i), Qt.TextElideMode.ElideRight, side),
            )
            total = max(1, int(counts[i].sum()))
            for j in range(classes):
                box = QRectF(area.left() + left + j * side, y, side, side).adjusted(1, 1, -1, -1)
                colour = look_.good if i == j else look_.impossible
                share = counts[i, j] / total
                painter.fillRect(box, mixed(colour, look_.plot, round(20 + 200 * share) if counts[i, j] else 8))
                if counts[i, j] and side > metrics.height():
                    painter.setPen(QColor(look_.text) if share < 0.6 else QColor(look_.surface))
                    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words.steps(int(counts[i, j])))

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The rows that were predicted, with the outputs."""
        found = self.found
        if found is None:
            return [], []
        flat = np.asarray(found.x, np.float64).reshape(len(found.x), -1)
        header = [f"x{i}" for i in range(flat.shape[1])] + [f"output{i}" for i in range(found.outputs.shape[1])]
        table = np.concatenate([flat, found.outputs], axis=1)
        return header, [list(row) for row in table.tolist()]


def marker(painter: QPainter, at: QPointF, radius: float, index: int) -> None:
    """A mark of its own shape for each of four classes, so that colour is not all that tells them apart."""
    x, y, r = at.x(), at.y(), radius
    shape = index % 4
    if shape == 0:
        painter.drawEllipse(at, r, r)
    elif shape == 1:
        painter.drawPolygon(
            QPolygonF([QPointF(x, y - 1.2 * r), QPointF(x + 1.1 * r, y + r), QPointF(x - 1.1 * r, y + r)])
        )
    elif shape == 2:
        painter.drawRect(QRectF(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r))
    else:
        corners = [(0, -1.3 * r), (1.3 * r, 0), (0, 1.3 * r), (-1.3 * r, 0)]
        painter.drawPolygon(QPolygonF([QPointF(x + a, y + b) for a, b in corners]))


def _rgb(colour: QColor) -> Floats:
    return np.array([colour.red(), colour.green(), colour.blue()], np.float64)


def _named(names: tuple[str, ...], index: int) -> str:
    name = names[index] if index < len(names) else str(index)
    # Names in somebody's own data are theirs.
    return tr(name) if name in FASHION_CLASSES else name


def _grey(image: Array) -> NDArray[np.uint8]:
    """One sample as grey values over its own range."""
    flat = image.reshape(image.shape[0], -1) if image.ndim != 3 else image.mean(axis=-1)
    low, high = float(flat.min()), float(flat.max())
    scaled = (flat - low) / (high - low) * 255 if high > low else np.zeros_like(flat)
    return np.ascontiguousarray(scaled.astype(np.uint8))

"""A recording as a small heatmap, in the colours and on the scale of the large one."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter

from gradsim.app import theme
from gradsim.app.see.plots import draw_part, pen
from gradsim.app.see.pull import extreme, ranking
from gradsim.telemetry.classes import Classes, Special, classify
from gradsim.telemetry.quantities import Thresholds, quantity
from gradsim.telemetry.recording import Recording


def miniature(
    recording: Recording, key: str, thresholds: Thresholds, steps: int, size: tuple[int, int], *, upwards: bool
) -> Classes:
    """Colour classes of a quantity over ``steps`` steps, of which a run that broke has done only the first.

    Where more layers or steps share a place than one, it shows the worst of them, as the large heatmap does.

    Args:
        steps: Steps from the left end to the right one.
        size: Most columns and most lines.
        upwards: Whether the input lies at the bottom.

    Returns:
        Shape ``(lines, columns)``; a place without a step is ``Special.EMPTY``.
    """
    definition = quantity(key)
    columns_at_most, lines_at_most = size
    rows = len(recording.layers)
    stride = -(-steps // columns_at_most)
    across = -(-steps // stride)
    found = np.full((across, rows), Special.EMPTY, np.uint8)
    if len(recording):
        columns = recording.columns(key, stride=stride)
        frozen = np.array([layer.frozen for layer in recording.layers])
        classes = classify(
            definition, extreme(definition, columns, thresholds), nan=columns.nan, inf=columns.inf, frozen=frozen,
            recorded=columns.recorded[:, None], thresholds=thresholds,
        )  # fmt: skip
        found[: len(classes)] = classes[:across]
    lines = found.T[::-1] if upwards else found.T
    if rows > lines_at_most:
        ranks, order = ranking(definition)
        at = np.arange(lines_at_most) * rows // lines_at_most
        lines = order[np.maximum.reduceat(ranks[lines], at, axis=0)]
    return np.ascontiguousarray(lines)


def paint(
    painter: QPainter, area: QRectF, picture: Classes | None, colours: Literal["diverging", "sequential"]
) -> None:
    """Paints what :func:`miniature` gave, or nothing yet, with a line around it."""
    look = theme.current()
    if picture is not None:
        pixels = np.ascontiguousarray(np.array(look.table_argb(colours), np.uint32)[picture])
        height, width = pixels.shape
        image = QImage(pixels.data, width, height, width * 4, QImage.Format.Format_RGB32)
        draw_part(painter, area, image, QRectF(image.rect()))
    painter.setPen(pen(look.line))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(area)

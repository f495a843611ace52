"""The few pictures on buttons, drawn in the colours of the theme and sharp at every size."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

from gradsim.app import theme

Draw = Callable[[QPainter, QColor], None]


def _triangle(path: QPainterPath, x: float, width: float, *, left: bool = False) -> None:
    tip, base = (x, x + width) if left else (x + width, x)
    path.addPolygon(QPolygonF([QPointF(base, 4), QPointF(base, 20), QPointF(tip, 12)]))
    path.closeSubpath()


def _filled(path: QPainterPath) -> Draw:
    def draw(painter: QPainter, colour: QColor) -> None:
        painter.fillPath(path, colour)

    return draw


def _play() -> Draw:
    path = QPainterPath()
    _triangle(path, 6, 14)
    return _filled(path)


def _pause() -> Draw:
    path = QPainterPath()
    path.addRoundedRect(QRectF(5.5, 4, 5, 16), 1, 1)
    path.addRoundedRect(QRectF(13.5, 4, 5, 16), 1, 1)
    return _filled(path)


def _step(*, back: bool = False) -> Draw:
    path = QPainterPath()
    _triangle(path, 9 if back else 4, 11, left=back)
    path.addRoundedRect(QRectF(4 if back else 16.5, 4, 3.5, 16), 1, 1)
    return _filled(path)


def _epoch() -> Draw:
    path = QPainterPath()
    _triangle(path, 2, 8)
    _triangle(path, 9.5, 8)
    path.addRoundedRect(QRectF(18.5, 4, 3.5, 16), 1, 1)
    return _filled(path)


def _pen(painter: QPainter, colour: QColor, width: float = 2.4) -> None:
    pen = QPen(colour, width)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _reset(painter: QPainter, colour: QColor) -> None:
    _pen(painter, colour)
    painter.drawArc(QRectF(5, 5, 14, 14), 60 * 16, 300 * 16)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawPolygon(QPolygonF([QPointF(12.5, 1.5), QPointF(20, 5), QPointF(13.5, 9.8)]))


def _seed(painter: QPainter, colour: QColor) -> None:
    _pen(painter, colour, 2.0)
    painter.drawRoundedRect(QRectF(4, 4, 16, 16), 3.5, 3.5)
    painter.setBrush(colour)
    painter.setPen(Qt.PenStyle.NoPen)
    for x, y in ((8.5, 8.5), (15.5, 8.5), (12, 12), (8.5, 15.5), (15.5, 15.5)):
        painter.drawEllipse(QPointF(x, y), 1.6, 1.6)


def _slow(painter: QPainter, colour: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    for number in range(5):
        height = (6, 10, 16, 10, 6)[number]
        painter.drawRoundedRect(QRectF(2.4 + 4.1 * number, 12 - height / 2, 2.8, height), 1, 1)


def _search(painter: QPainter, colour: QColor) -> None:
    _pen(painter, colour, 2.2)
    painter.drawEllipse(QPointF(10.5, 10.5), 6, 6)
    painter.drawLine(QPointF(15, 15), QPointF(20, 20))


_DRAW: dict[str, Draw] = {
    "play": _play(),
    "pause": _pause(),
    "step": _step(),
    "back": _step(back=True),
    "epoch": _epoch(),
    "reset": _reset,
    "seed": _seed,
    "slow": _slow,
    "search": _search,
}


def icon(name: str) -> QIcon:
    """A picture by name, in the colours of the present theme: whoever shows it takes it anew when that changes."""
    if name not in _DRAW:
        raise KeyError(f"no icon {name!r}; there are: {', '.join(_DRAW)}")
    look = theme.current()
    made = QIcon()
    for mode, colour in ((QIcon.Mode.Normal, look.text), (QIcon.Mode.Disabled, look.line)):
        for side in (theme.px(18), theme.px(36), theme.px(54)):
            picture = QPixmap(side, side)
            picture.fill(Qt.GlobalColor.transparent)
            painter = QPainter(picture)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.scale(side / 24, side / 24)
            _DRAW[name](painter, QColor(colour))
            painter.end()
            made.addPixmap(picture, mode)
    return made

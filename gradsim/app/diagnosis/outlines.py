"""Findings drawn on the heatmap where they happened: an outline around layers and steps, with glyph and title."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QMouseEvent, QPainter, QTransform
from PySide6.QtWidgets import QGraphicsItem

from gradsim.app import theme
from gradsim.app.diagnosis.findings_page import GLYPHS, severity_colour
from gradsim.app.diagnosis.watching import Seen, Watching
from gradsim.app.see.heatmap import Heatmap
from gradsim.app.see.plots import faded, pen
from gradsim.diagnose import Place
from gradsim.i18n import tr

NEAR = 3.0
"""Pixels within which two outlines would lie on each other; the later one is drawn inside of the earlier."""


@dataclasses.dataclass(frozen=True)
class Outline:
    """One rectangle, in pixels from the upper left corner of the picture."""

    seen: Seen
    rect: QRectF
    first: bool
    """Whether it is the first one of its finding: that one has the badge."""
    dashed: bool = False
    """Whether it crosses one of another finding, from which it has to be told."""


class _Clicks(QObject):
    """Clicks on the badges, before the heatmap takes them for clicks on its cells."""

    def __init__(self, outlines: Outlines) -> None:
        super().__init__(outlines.heatmap)
        self.outlines = outlines
        self._on_badge = False
        outlines.heatmap.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        outlines = self.outlines
        if not isinstance(event, QMouseEvent) or not outlines.isVisible():
            return False
        seen = outlines.badge_at(event.position())
        if event.type() == QEvent.Type.MouseMove:
            if (seen is not None) != self._on_badge:
                self._on_badge = seen is not None
                view = outlines.heatmap.viewport()
                if self._on_badge:
                    view.setCursor(Qt.CursorShape.PointingHandCursor)
                else:
                    view.unsetCursor()
            return False
        if seen is None or event.button() != Qt.MouseButton.LeftButton:
            return False
        if event.type() == QEvent.Type.MouseButtonRelease:
            outlines.clicked.emit(seen.key)
        return True


class Outlines(pg.GraphicsObject):
    """Lies over the cells of a heatmap.

    Args:
        heatmap: Where the rows and steps lie.
        watching: What is found, and which finding is looked at. A note is drawn only while it is looked at.
    """

    clicked = Signal(str)
    """The badge of a finding was clicked: its key."""

    def __init__(self, heatmap: Heatmap, watching: Watching) -> None:
        super().__init__()
        self.heatmap, self.watching = heatmap, watching
        self._badges: list[tuple[Seen, QRectF]] = []
        self._clicks = _Clicks(self)
        self.setZValue(5)
        # The cells below it are renewed with every frame, findings four times a second.
        self.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        heatmap.addItem(self, ignoreBounds=True)
        watching.changed.connect(self.update)
        watching.selected_changed.connect(self.update)
        heatmap.rows_moved.connect(self.update)
        heatmap.axis.changed.connect(self.update)
        theme.changed.connect(self.update)

    def boundingRect(self) -> QRectF:
        return QRectF(self.heatmap.box.viewRect())

    def viewRangeChanged(self) -> None:
        self.prepareGeometryChange()

    def shown(self) -> list[Outline]:
        """The rectangles that reach into the picture, the one that is looked at last."""
        selected = self.watching.selected
        found: list[Outline] = []
        for seen in self.watching.findings:
            if seen.finding.severity != "note" or seen == selected:
                own = list(self._of(seen))
                crosses = any(one.rect.intersects(other.rect) for one in own for other in found if not other.dashed)
                found += [dataclasses.replace(one, dashed=crosses) for one in own]
        return sorted(found, key=lambda outline: outline.seen == selected)

    def _of(self, seen: Seen) -> Iterator[Outline]:
        first = True
        for place in seen.finding.places:
            rect = self.rect(place)
            if rect is not None:
                yield Outline(seen, rect, first)
                first = False

    def rect(self, place: Place) -> QRectF | None:
        """Where a place lies in the picture, cut to it; None where it lies outside."""
        heatmap = self.heatmap
        start, stop = heatmap.axis.shown
        scale = heatmap.box.width() / max(stop - start, 1e-9)
        spans = [
            span
            for row in (place.first_row, place.last_row)
            if (span := heatmap.rows.span(row)) is not None
        ]  # fmt: skip
        if not spans:
            return None
        top = min(span[0] for span in spans) - heatmap.top()
        bottom = max(span[0] + span[1] for span in spans) - heatmap.top()
        left, right = (place.start - start) * scale, (place.stop - start) * scale
        # One step of many is narrower than a pixel, and must be seen all the same.
        right = max(right, left + 3.0)
        rect = QRectF(left, top, right - left, bottom - top)
        view = QRectF(0, 0, heatmap.box.width(), heatmap.room())
        cut = rect.intersected(view.adjusted(-4, -4, 4, 4))
        return cut if cut.width() > 0 and cut.height() > 0 and rect.intersects(view) else None

    def badge_at(self, position: QPointF) -> Seen | None:
        """The finding whose badge lies at a pixel of the heatmap's viewport."""
        place = position - self.heatmap.area().topLeft()
        return next((seen for seen, box in self._badges if box.contains(place)), None)

    def paint(self, painter: QPainter, *_: Any) -> None:
        outlines = self.shown()
        self._badges = []
        if not outlines:
            return
        heatmap, look = self.heatmap, theme.current()
        start, stop = heatmap.axis.shown
        scale = heatmap.box.width() / max(stop - start, 1e-9)
        # From here on a unit is a pixel, from the upper left corner of the picture.
        to_pixels = QTransform(1 / scale, 0, 0, 1, start, heatmap.top())
        painter.setWorldTransform(to_pixels * painter.worldTransform())
        selected = self.watching.selected
        painter.setBrush(Qt.BrushStyle.NoBrush)
        drawn: list[QRectF] = []
        badges: list[tuple[Outline, QRectF]] = []
        for outline in outlines:
            rect = QRectF(outline.rect)
            while any(_alike(rect, other) for other in drawn):
                rect.adjust(NEAR, NEAR, -NEAR, -NEAR)
                if rect.width() < 4 * NEAR or rect.height() < 4 * NEAR:
                    break
            drawn.append(QRectF(rect))
            chosen = outline.seen == selected
            width = theme.line_width(2.0 if chosen else 1.2)
            painter.setPen(pen(faded(look.plot, 190), width + 2.5))
            painter.drawRect(rect)
            dashed = outline.dashed and not chosen
            style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
            painter.setPen(pen(severity_colour(outline.seen.finding.severity), width, style))
            painter.drawRect(rect)
            # Where a number first was not finite the heatmap says so itself.
            if outline.first and outline.seen.finding.kind != "non-finite":
                badges.append((outline, rect))
        self._paint_badges(painter, badges)

    def _paint_badges(self, painter: QPainter, badges: list[tuple[Outline, QRectF]]) -> None:
        heatmap, look = self.heatmap, theme.current()
        painter.setFont(theme.font("small", bold=True))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        metrics = QFontMetricsF(painter.font())
        pad, gap = theme.px(5), theme.px(3)
        taken: list[QRectF] = []
        selected = self.watching.selected
        for outline, rect in badges:
            finding = outline.seen.finding
            glyph = GLYPHS[finding.severity]
            whole = f"{glyph} {tr(finding.title)}"
            view = QRectF(gap, gap, heatmap.box.width() - 2 * gap, heatmap.room() - 2 * gap)
            text = whole if metrics.horizontalAdvance(whole) + 2 * pad <= view.width() else glyph
            box = QRectF(0, 0, metrics.horizontalAdvance(text) + 2 * pad, metrics.height() + theme.px(2))
            box.moveTopLeft(QPointF(max(0.0, rect.left()) + gap, max(0.0, rect.top()) + gap))
            if box.right() > view.right():
                # Begins left of its outline rather than to be without words.
                box.moveRight(view.right())
            for _ in range(len(taken) + 1):
                other = next((one for one in taken if one.intersects(box)), None)
                if other is None:
                    break
                box.moveTop(other.bottom() + gap)
            if box.bottom() > heatmap.room():
                box.moveBottom(heatmap.room() - gap)
            taken.append(QRectF(box))
            self._badges.append((outline.seen, QRectF(box)))
            colour = QColor(severity_colour(finding.severity))
            chosen = outline.seen == selected
            style = Qt.PenStyle.DashLine if outline.dashed and not chosen else Qt.PenStyle.SolidLine
            painter.setPen(pen(colour, theme.line_width(0.9), style))
            painter.setBrush(colour if chosen else QColor(look.surface))
            painter.drawRoundedRect(box, theme.px(4), theme.px(4))
            ink = QColor(look.surface) if chosen else colour
            painter.setPen(ink)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def _alike(a: QRectF, b: QRectF) -> bool:
    """Whether two outlines share an edge that would hide one of the two."""
    return (abs(a.left() - b.left()) < NEAR and abs(a.top() - b.top()) < NEAR) or (
        abs(a.right() - b.right()) < NEAR and abs(a.bottom() - b.bottom()) < NEAR
    )

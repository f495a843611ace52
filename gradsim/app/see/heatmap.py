"""The heatmap: a row per layer, a column per step or per equal number of steps, colours on a fixed scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QImage, QPainter, QTransform
from PySide6.QtWidgets import QWidget

from gradsim.app import theme
from gradsim.app.player import Watched
from gradsim.app.see import words
from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.plots import LEFT, RIGHT, Gutter, TimePlot, draw_part, is_vector, pen
from gradsim.app.see.pull import LayerPull, extreme
from gradsim.app.see.rows import Band, RowLayout, RowSpace
from gradsim.i18n import tr
from gradsim.telemetry.classes import MARKS, Special, State, states
from gradsim.telemetry.quantities import quantity
from gradsim.telemetry.recording import FirstNonfinite

GLYPH_ROOM = 11.0
"""Pixels of a cell from which on it holds a glyph."""
HATCH_ROOM = 7.0
"""Pixels of a run of equal cells from which on it is hatched."""
_MOST_HATCHED = 1500
_MANY_ROWS = 500
"""For each so many rows more, the picture is renewed with one frame less."""

# Patterns beside the colours, so that no special class is told by its colour alone.
PATTERNS = {
    Special.NAN: Qt.BrushStyle.DiagCrossPattern,
    Special.INFINITE: Qt.BrushStyle.VerPattern,
    Special.ZERO: Qt.BrushStyle.Dense7Pattern,
    Special.SUBNORMAL: Qt.BrushStyle.HorPattern,
    Special.FROZEN: Qt.BrushStyle.BDiagPattern,
}
_STATES = {
    Special.NAN: State.NAN,
    Special.INFINITE: State.INFINITE,
    Special.ZERO: State.ZERO,
    Special.SUBNORMAL: State.SUBNORMAL,
    Special.FROZEN: State.FROZEN,
}


class Cells(pg.ImageItem):
    """All rows as one image, painted band by band where the layout puts them."""

    def __init__(self, heatmap: Heatmap) -> None:
        super().__init__()
        self.heatmap = heatmap
        self._image: QImage | None = None
        self._of: LayerPull | None = None

    def boundingRect(self) -> QRectF:
        return QRectF(self.heatmap.box.viewRect())

    def viewRangeChanged(self) -> None:
        self.prepareGeometryChange()

    def width(self) -> int:
        return 0 if self._of is None else self._of.capacity

    def height(self) -> int:
        return 0 if self._of is None else self._of.width

    def paint(self, painter: QPainter, *_: Any) -> None:
        heatmap, pull = self.heatmap, self.heatmap.pull
        start, stop = heatmap.axis.shown
        scale = heatmap.box.width() / max(stop - start, 1e-9)
        # From here on a unit is a pixel in both directions, whatever the painter paints on.
        painter.setWorldTransform(QTransform.fromScale(1 / scale, 1.0) * painter.worldTransform())
        if pull is not None:
            self._paint_rows(painter, pull, start, stop, scale)
        self._paint_selection(painter, start * scale, stop * scale)
        self._paint_mark(painter, start, stop, scale)
        if pull is not None:
            self._paint_nonfinite(painter, pull, start, stop, scale)
        if heatmap.invites and (pull is None or pull.recorded_columns == 0):
            self._paint_invitation(painter, QRectF(start * scale, heatmap.top(), heatmap.box.width(), heatmap.room()))

    def _paint_rows(self, painter: QPainter, pull: LayerPull, start: float, stop: float, scale: float) -> None:
        heatmap = self.heatmap
        if self._of is not pull:
            self._of = pull
            height, width = pull.pixels.shape
            self._image = QImage(pull.pixels.data, width, height, width * 4, QImage.Format.Format_RGB32)
        assert self._image is not None
        column, where = pull.window(start, stop)
        count = where.stop - where.start
        if count <= 0:
            return
        origin = pull.recorder.first_step
        x, each = (origin + column * pull.stride) * scale, pull.stride * scale
        # All columns of the range, of which those that hold something are let through: where the pixels change from one
        # column to the next must not depend on how many there are, or the picture would tremble as it grows.
        whole = count if is_vector(painter) else pull.room(start, stop)[1].stop - where.start
        painter.save()
        painter.setClipRect(QRectF(x, heatmap.top(), count * each, heatmap.room()), Qt.ClipOperation.IntersectClip)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        ratio = heatmap.devicePixelRatioF()
        classes = pull.classes[:, where]
        special = (classes >= int(Special.ZERO)) & (classes != int(Special.NONE))
        any_special: NDArray[np.bool_] = np.logical_or.reduce(special, axis=1)
        for band in heatmap.rows.joined_between(heatmap.top(), heatmap.top() + heatmap.room()):
            first, rows = self._rows(band, pull)
            if rows <= 0:
                continue
            # Whole pixels, so that no seam of the background shows between neighbours.
            upper = round(band.top * ratio) / ratio
            target = QRectF(x, upper, whole * each, round(band.bottom * ratio) / ratio - upper)
            if band.height * ratio < rows:
                squeezed = pull.classes[first : first + rows, where.start : where.start + whole]
                image, kept = self._squeezed(pull, squeezed, max(1, int(band.height * ratio)))
                draw_part(painter, target, image, QRectF(image.rect()))
                del kept
            else:
                draw_part(painter, target, self._image, QRectF(where.start, first, whole, rows))
                if any_special[first : first + rows].any():
                    target.setWidth(count * each)
                    self._paint_marks(painter, classes[first : first + rows], special[first : first + rows], target)
        painter.restore()

    def _rows(self, band: Band, pull: LayerPull) -> tuple[int, int]:
        """First row of the image and number of rows of a band."""
        last = min(band.last_row, pull.width - 1)
        first = pull.width - 1 - last if pull.upwards else band.first_row
        return first, last - band.first_row + 1

    def _squeezed(self, pull: LayerPull, classes: NDArray[np.uint8], lines: int) -> tuple[QImage, Any]:
        """More rows than pixels: the worst of those that share one, so that none is lost."""
        at = np.arange(lines) * len(classes) // lines
        worst = pull.order[np.maximum.reduceat(pull.ranks[classes], at, axis=0)]
        pixels = pull.colours[worst]
        height, width = pixels.shape
        return QImage(pixels.data, width, height, width * 4, QImage.Format.Format_RGB32), pixels

    def _paint_marks(
        self, painter: QPainter, classes: NDArray[np.uint8], special: NDArray[np.bool_], target: QRectF
    ) -> None:
        """Hatches, and glyphs where there is room, over runs of equal special cells."""
        rows, count = classes.shape
        each, wide = target.height() / rows, target.width() / count
        if each < HATCH_ROOM:
            return
        marked = np.where(special, classes, 0).astype(np.int16)
        row, column = np.nonzero(np.diff(marked, axis=1, prepend=-1, append=-1))
        # Each row has an edge at its beginning and one behind its end; a run lies between two of the same row.
        same = row[:-1] == row[1:]
        row, begin, end = row[:-1][same], column[:-1][same], column[1:][same]
        kind = marked[row, begin]
        keep = (kind > 0) & ((end - begin) * wide >= HATCH_ROOM)
        row, begin, end, kind = row[keep][:_MOST_HATCHED], begin[keep], end[keep], kind[keep]
        glyphs = each >= GLYPH_ROOM
        if glyphs:
            font = theme.font("small", bold=True)
            font.setPixelSize(int(min(each * 0.8, theme.px(15))))
            painter.setFont(font)
        left, top = target.left(), target.top()
        for r, a, b, k in zip(row.tolist(), begin.tolist(), end.tolist(), kind.tolist(), strict=False):
            rect = QRectF(left + a * wide, top + r * each, (b - a) * wide, each)
            ink = self.heatmap.inks[k]
            painter.fillRect(rect, QBrush(ink[1], PATTERNS[Special(k)]))
            if glyphs and rect.width() >= GLYPH_ROOM:
                # One in the middle of a run says it; single cells that are large enough have one each.
                painter.setPen(ink[0])
                cells = [rect]
                if wide >= GLYPH_ROOM:
                    cells = [QRectF(rect.left() + i * wide, rect.top(), wide, each) for i in range(b - a)]
                for cell in cells[:200]:
                    painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, MARKS[_STATES[Special(k)]].glyph)

    def _paint_selection(self, painter: QPainter, left: float, right: float) -> None:
        heatmap, look = self.heatmap, theme.current()
        for top, height in heatmap.selected_spans():
            painter.setPen(pen(look.accent, theme.line_width(1.0)))
            painter.drawLine(QPointF(left, top), QPointF(right, top))
            painter.drawLine(QPointF(left, top + height), QPointF(right, top + height))

    def _paint_mark(self, painter: QPainter, start: float, stop: float, scale: float) -> None:
        """What somebody points at: a frame in two colours, which is seen on every other."""
        heatmap, look = self.heatmap, theme.current()
        mark = heatmap.session.state.mark
        if mark is None:
            return
        ends = [span for row in (mark.first_row, mark.last_row) if (span := heatmap.rows.span(row)) is not None]
        if not ends:
            return
        top = min(span[0] for span in ends)
        bottom = max(span[0] + span[1] for span in ends)
        left, right = max(mark.start, start) * scale, min(stop if mark.stop is None else mark.stop, stop) * scale
        if right <= left:
            return
        width = theme.line_width(1.0)
        frame = QRectF(left, top, right - left, bottom - top).adjusted(width, 0, -width, 0)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, wide in ((look.plot, 2.2), (look.text, 1.0)):
            line = pen(colour, width * wide)
            painter.setPen(line)
            painter.drawRoundedRect(frame, theme.px(3), theme.px(3))

    def _paint_nonfinite(self, painter: QPainter, pull: LayerPull, start: float, stop: float, scale: float) -> None:
        """Where a number first was not finite: a ring around the place, and what it was."""
        first = pull.recorder.first_nonfinite
        if first is None or not start <= first.step < stop:
            return
        heatmap, look = self.heatmap, theme.current()
        span = None if first.layer is None else heatmap.rows.span(first.layer)
        x = (first.step + 0.5) * scale
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(pen(look.text, theme.line_width(1.2), Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(x, heatmap.top()), QPointF(x, heatmap.top() + heatmap.room()))
        y = heatmap.top() + heatmap.room() / 2 if span is None else span[0] + span[1] / 2
        painter.setFont(theme.font("small", bold=True))
        text = heatmap.nonfinite_text()
        metrics = QFontMetricsF(painter.font())
        pad = theme.px(5)
        size = QRectF(0, 0, metrics.horizontalAdvance(text) + 2 * pad, metrics.height() + pad)
        ring = theme.px(8)
        to_right = x + ring * 2 + size.width() < stop * scale
        left = x + ring * 1.6 if to_right else x - ring * 1.6 - size.width()
        above = min(max(y - size.height() / 2, heatmap.top() + 2), heatmap.top() + heatmap.room() - size.height() - 2)
        box = QRectF(left, above, size.width(), size.height())
        painter.setPen(pen(look.text, theme.line_width(1.6)))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if span is not None:
            painter.drawEllipse(QPointF(x, y), ring, ring)
        painter.setBrush(QColor(look.surface))
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(QColor(look.text))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_invitation(self, painter: QPainter, area: QRectF) -> None:
        look = theme.current()
        painter.setPen(QColor(look.muted))
        painter.setFont(theme.font("large"))
        painter.drawText(
            area.adjusted(theme.px(24), 0, -theme.px(24), 0),
            Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap,
            self.heatmap.invitation(),
        )


def spaced(heatmap: Heatmap, least: float) -> list[tuple[int, float]]:
    """Rows and their middles (pixels of the viewport), as many as have room for ``least`` pixels each."""
    found: list[tuple[int, float]] = []
    free = -1e9
    scroll, room = heatmap.top(), heatmap.room()
    for band in heatmap.visible_bands():
        each = band.height / band.rows
        skip = max(1, int(np.ceil(least / each)))
        if skip == 1:
            places = list(range(band.rows))
        else:
            shown = max(1, band.rows // skip)
            places = [int((i + 0.5) * band.rows / shown) for i in range(shown)]
        for place in places:
            y = band.top + (place + 0.5) * each - scroll
            if y - least / 2 < max(free, -least / 3) or y + least / 3 > room:
                continue
            free = y + least / 2
            row = band.last_row - place if heatmap.rows.upwards else band.first_row + place
            found.append((row, y))
    return found


class _Names(Gutter):
    """Names of the layers, and beside them the marks of some."""

    heatmap: Heatmap

    def paint_area(self, painter: QPainter, area: QRectF) -> None:
        heatmap = self.heatmap
        recorder = heatmap.session.recorder
        if recorder is None:
            return
        look = theme.current()
        font, bold, tiny = theme.font("small"), theme.font("small", bold=True), theme.font("tiny")
        metrics, narrow = QFontMetricsF(font), QFontMetricsF(tiny)
        hover = heatmap.session.state.hover
        hovered = None if hover is None else hover[1]
        wide = theme.px(3)
        for row in heatmap.marks:
            # Each has its bar; a name and a glyph, those that have room.
            if (span := heatmap.rows.span(row)) is not None:
                bar = QRectF(area.right() - wide, span[0] - heatmap.top(), wide, span[1])
                painter.fillRect(bar, QColor(look.accent))
        for row, y in spaced(heatmap, metrics.height()):
            if row >= len(recorder.layers):
                continue
            rect = QRectF(area.left() + 2, y - metrics.height() / 2, area.width() - theme.px(8), metrics.height())
            if mark := heatmap.marks.get(row):
                painter.setFont(bold)
                painter.setPen(QColor(look.accent))
                painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, mark)
                rect.setLeft(rect.left() + theme.px(11))
            painter.setPen(QColor(look.text if row == hovered or mark else look.muted))
            name = recorder.layers[row].name
            fits = metrics.horizontalAdvance(name) <= rect.width()
            painter.setFont(font if fits else tiny)
            if not fits:
                # The number at its end tells it from its neighbours, and the word from other kinds.
                name = narrow.elidedText(name, Qt.TextElideMode.ElideMiddle, rect.width())
            painter.drawText(rect, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, name)


class _Now(Gutter):
    """Each row at the shown step: colour, glyph and number."""

    heatmap: Heatmap

    def paint_area(self, painter: QPainter, area: QRectF) -> None:
        heatmap = self.heatmap
        now = heatmap.now
        if now is None:
            return
        look = theme.current()
        strip = QRectF(area.left() + theme.px(4), 0, theme.px(7), 0)
        column = now.column[::-1] if heatmap.rows.upwards else now.column
        column = np.ascontiguousarray(column)
        image = QImage(column.data, 1, len(column), 4, QImage.Format.Format_RGB32)
        for band in heatmap.rows.joined_between(heatmap.top(), heatmap.top() + heatmap.room()):
            last = min(band.last_row, len(column) - 1)
            first = len(column) - 1 - last if heatmap.rows.upwards else band.first_row
            target = QRectF(strip.left(), band.top - heatmap.top(), strip.width(), band.height)
            draw_part(painter, target, image, QRectF(0, first, 1, last - band.first_row + 1))
        font = theme.font("small", fixed=True)
        metrics = QFontMetricsF(font)
        painter.setFont(font)
        painter.setPen(QColor(look.text))
        glyph_width = metrics.horizontalAdvance("▼") + theme.px(4)
        for row, y in spaced(heatmap, metrics.height()):
            if row >= len(now.classes):
                continue
            state = now.state(row)
            rect = QRectF(strip.right() + theme.px(5), y - metrics.height() / 2, glyph_width, metrics.height())
            middle = Qt.AlignmentFlag.AlignVCenter
            if heatmap.judged or state is not State.HEALTHY:
                painter.drawText(rect, Qt.AlignmentFlag.AlignHCenter | middle, MARKS[state].glyph)
            begin = rect.right() + theme.px(2)
            rect = QRectF(begin, rect.top(), area.right() - begin, rect.height())
            painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | middle, now.text(row))


class Now:
    """The rows at one step: values, classes, and for those that are written, what to write."""

    def __init__(self, pull: LayerPull, step: int) -> None:
        columns = pull.recorder.columns(pull.key, step, step + 1, stride=pull.recorder.every)
        self.step = step
        self.values = extreme(pull.definition, columns, pull.thresholds)[0]
        self.classes = pull.classify(columns)[0]
        self.column = pull.colours[self.classes]
        self._states = states(pull.definition, self.classes, pull.thresholds)

    def state(self, row: int) -> State:
        """What the value of a row says about its layer."""
        return State(self._states[row])

    def text(self, row: int) -> str:
        """The value of a row, as it stands beside its glyph."""
        state = self.state(row)
        if state in (State.NONE, State.FROZEN):
            return ""
        if state in (State.NAN, State.INFINITE):
            return state.value
        return words.number(float(self.values[row]))


class Heatmap(TimePlot):
    """The picture itself, with the names of the rows on its left and their present state on its right.

    Args:
        left: Pixels for the names, at 100 % zoom.
        right: Pixels for the present states; 0 leaves them out.

    Attributes:
        marks: A glyph beside the names of some rows.
    """

    rows_moved = Signal()
    """The rows lie elsewhere: scrolled, or in another layout or size."""

    picture_key = "heatmap"

    def __init__(
        self,
        session: Watched,
        axis: TimeAxis,
        space: RowSpace,
        parent: QWidget | None = None,
        *,
        left: int = LEFT,
        right: int = RIGHT,
    ) -> None:
        self.space = space
        self.marks: dict[int, str] = {}
        self.pull: LayerPull | None = None
        self.now: Now | None = None
        self._broken: FirstNonfinite | None = None
        self.rows = RowLayout()
        self.invites = True
        """Whether an empty picture says how to begin."""
        self._ticks, self._each, self._turns = 0, 1, 1
        self.inks: dict[int, tuple[QColor, QColor]] = {}
        self._names, self._now = _Names("left", left), _Now("right", right)
        super().__init__(session, axis, left=self._names, right=self._now if right else None, parent=parent)
        self._names.heatmap = self._now.heatmap = self
        self.cells = Cells(self)
        self.addItem(self.cells, ignoreBounds=True)
        self.box.invertY(True)
        self.setAccessibleName(tr("Heatmap of all layers over the steps"))
        self.setToolTip(
            tr(
                "A row per layer, time from left to right. Click: go to that step and layer. Drag: move. "
                "Wheel: zoom. Double click: follow the run."
            )
        )
        space.layout_changed.connect(lambda _: self._lay_out())
        space.scroll_changed.connect(lambda _: self._lay_out())
        session.recorder_changed.connect(self._restart)
        session.tick.connect(self._on_tick)
        session.slow_tick.connect(self._on_slow_tick)
        state = session.state
        state.quantity_changed.connect(lambda _: self._restart())
        state.thresholds_changed.connect(lambda key: self._restart() if key == state.quantity else None)
        state.cursor_changed.connect(lambda _: self._renew_now())
        state.hover_changed.connect(lambda _: self._names.update())
        state.selection_changed.connect(lambda _: self.cells.update())
        state.mark_changed.connect(lambda _: self.cells.update())
        self.clicked.connect(self._select)
        offer_menu(self, session.failed.emit)
        self.dress()

    # What is shown

    def take_turns(self, place: int, turns: int) -> None:
        """Beside others: reads what is new in every so many frames, in another one than its neighbours."""
        self._ticks, self._turns = place, turns
        self._each = max(self._each, turns)

    def set_marks(self, marks: Mapping[int, str]) -> None:
        """Puts glyphs beside the names of rows."""
        self.marks = dict(marks)
        self._names.update()

    @property
    def definition(self) -> Any:
        """The quantity."""
        return quantity(self.session.state.quantity)

    @property
    def judged(self) -> bool:
        """Whether the quantity tells vanishing or exploding."""
        limits = self.session.state.thresholds(self.session.state.quantity)
        return limits.vanishing is not None or limits.exploding is not None

    def dress(self) -> None:
        super().dress()
        look = theme.current()
        # On white, healthy and not yet trained would look the same.
        self.box.setBackgroundColor(QColor(look.plot if look.dark else look.raised))
        if hasattr(self, "cells"):
            self._restart()

    def colour(self, index: int) -> QColor:
        """Of a class."""
        return theme.current().class_colour(index, self.definition.colours)

    def _restart(self) -> None:
        """Another run, quantity, scale or look: reads everything anew."""
        recorder = self.session.recorder
        self.pull = self.now = None
        if recorder is not None:
            key = self.session.state.quantity
            table = np.array(theme.current().table_argb(self.definition.colours), np.uint32)
            self.inks = {int(s): self._ink(self.colour(int(s))) for s in PATTERNS}
            wide = self.pixels() + 64
            if len(recorder.layers) <= _MANY_ROWS:
                # Room beside what is shown, so that a drag seldom reads anew.
                wide = max(512, 1 << (wide * 3 // 2 - 1).bit_length())
            self.pull = LayerPull(
                recorder, key, self.session.state.thresholds(key), table, upwards=self.space.upwards, capacity=wide
            )
            self._each = max(self._turns, 1 + len(recorder.layers) // _MANY_ROWS)
        self._lay_out()
        self._renew_now()
        self.renew()

    @staticmethod
    def _ink(colour: QColor) -> tuple[QColor, QColor]:
        """Of the glyph and the hatch over a colour."""
        glyph = QColor("#000000" if colour.lightness() > 127 else "#ffffff")
        hatch = QColor(glyph)
        hatch.setAlpha(110)
        return glyph, hatch

    def renew(self) -> None:
        if self.pull is not None:
            if self.pull.capacity < self.pixels():
                self._restart()
                return
            self.pull.cover(*self.axis.shown, self.pixels())
        self.cells.update()

    def _on_tick(self) -> None:
        self._ticks += 1
        pull = self.pull
        # Where a column holds several steps, thirty pictures a second show each column that comes.
        pooled = pull is not None and pull.stride > pull.recorder.every
        if self._ticks % max(self._each, 2 if pooled else 1) == 0:
            self._take()

    def _take(self) -> None:
        pull = self.pull
        if not self.isVisible() or pull is None or not pull.cover(*self.axis.shown, self.pixels()):
            return
        broken = pull.recorder.first_nonfinite
        if broken != self._broken:
            self._broken = broken
            self.paint_soon()
        elif pull.changed:
            self.paint_soon(*self._columns_from(pull, pull.changed))
        elif pull.changed == 0:
            # Among others, the invitation goes.
            self.paint_soon()

    def _columns_from(self, pull: LayerPull, column: int) -> tuple[float, float]:
        """Where the columns from this one on are painted, on the horizontal axis."""
        start, stop = self.axis.shown
        edge = 2 * (stop - start) / max(1.0, self.box.width())
        origin = pull.recorder.first_step
        return origin + column * pull.stride - edge, origin + pull.recorded_columns * pull.stride + edge

    def _on_slow_tick(self) -> None:
        self._take()
        if self.isVisible() and self.session.state.cursor is None:
            self._renew_now()

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._lay_out()
        self._renew_now()

    def shown_step(self) -> int | None:
        """The step of the cursor, or the latest one."""
        recorder = self.session.recorder
        if recorder is None or recorder.stop <= recorder.first_step:
            return None
        cursor = self.session.state.cursor
        return recorder.stop - recorder.every if cursor is None else min(cursor, recorder.stop - recorder.every)

    def _renew_now(self) -> None:
        step = self.shown_step()
        self.now = None if step is None or self.pull is None else Now(self.pull, step)
        self._now.update()

    # Where the rows lie

    def _lay_out(self) -> None:
        recorder = self.session.recorder
        known = self.space.layout
        count = 0 if recorder is None else len(recorder.layers)
        self.rows = known or RowLayout.even(count, self.room(), upwards=self.space.upwards)
        if self.pull is not None and self.pull.upwards != self.rows.upwards:
            self._restart()
            return
        self.box.setYRange(self.top(), self.top() + self.room(), padding=0)
        for item in (self.cells, self._names, self._now):
            item.update()
        self.rows_moved.emit()

    def top(self) -> float:
        """Pixels of the rows' contents above the picture."""
        return 0.0 if self.space.layout is None else self.space.scroll

    def room(self) -> float:
        """Height of the picture in pixels."""
        return max(1.0, float(self.box.height()))

    def resized(self) -> None:
        self._lay_out()
        self.renew()

    def visible_bands(self) -> list[Band]:
        """The bands that lie in the viewport, from above."""
        return list(self.rows.between(self.top(), self.top() + self.room()))

    def selected_spans(self) -> list[tuple[float, float]]:
        """Top and height of the selected rows, neighbours joined; where lines between them would hide the rows
        (one layer of each round of a group), also those that nearly touch."""
        chosen = set(self.session.state.selection)
        if not chosen or self.session.recorder is None:
            return []
        spans: list[tuple[float, float]] = []
        found = sorted(
            span
            for row, uid in enumerate(self.session.row_uids)
            if uid in chosen and (span := self.rows.span(row)) is not None
        )
        near = theme.px(12)
        for top, height in found:
            if spans and top - (spans[-1][0] + spans[-1][1]) < near:
                spans[-1] = (spans[-1][0], top + height - spans[-1][0])
            else:
                spans.append((top, height))
        return spans

    def row_at(self, y: float) -> int | None:
        row = self.rows.row_at(y)
        recorder = self.session.recorder
        return row if row is not None and recorder is not None and row < len(recorder.layers) else None

    def _select(self, step: int, row: int | None) -> None:
        uids = self.session.row_uids
        if row is not None and row < len(uids):
            self.session.state.select([uids[row]])

    # In words

    def invitation(self) -> str:
        """What stands where nothing is recorded: what to do, or why nothing can be done."""
        if why := getattr(self.session, "failure", ""):
            if not self.rows.bands:
                return tr("There is no layer yet: double-click one in the list at the lower left, or drag it up.")
            return tr("This can't be trained: {why}", why=why)
        if what := getattr(self.session, "preparation", ""):
            return tr("{what}\u2026\nThen every layer is a row here, coloured by the size of its gradient.", what=what)
        return tr(
            "Press Space to train.\nEvery layer is a row here: blue where its gradient vanishes, red where it explodes."
        )

    def nonfinite_text(self) -> str:
        """Where a number first was not finite, in words; empty if none was."""
        recorder = self.session.recorder
        first = None if recorder is None else recorder.first_nonfinite
        if recorder is None or first is None:
            return ""
        kind = "NaN" if first.kind == "nan" else "Inf"
        where = tr("the loss")
        if first.layer is not None:
            where = tr("{quantity} of {layer}", quantity=tr(first.quantity), layer=recorder.layers[first.layer].name)
        return tr("first {kind}: {place}, step {step}", kind=kind, place=where, step=words.steps(first.step))

    def read_out(self, step: int, row: int | None) -> str:
        """Step, layer and value at a place, in words."""
        text = tr("step {step}", step=words.steps(step))
        recorder, pull = self.session.recorder, self.pull
        if recorder is None or pull is None or row is None or not recorder.first_step <= step < recorder.stop:
            return text
        stride = pull.stride
        column = (step - recorder.first_step) // stride
        begin = recorder.first_step + column * stride
        columns = recorder.columns(pull.key, begin, min(begin + stride, recorder.stop), stride=stride)
        value = extreme(pull.definition, columns, pull.thresholds)[0, row]
        state = State(states(pull.definition, pull.classify(columns)[0], pull.thresholds)[row])
        if stride > recorder.every:
            text = tr(
                "steps {first} to {last}, largest", first=words.steps(begin), last=words.steps(begin + stride - 1)
            )
        said = words.said(pull.definition, float(value), state)
        return f"{text} · {recorder.layers[row].name} · {tr(pull.definition.short)} {said}"

    def class_at(self, step: int, row: int) -> int:
        """The colour class that the picture shows for a step and row."""
        pull = self.pull
        if pull is None:
            return int(Special.EMPTY)
        column = (step - pull.recorder.first_step) // pull.stride
        line = pull.width - 1 - row if pull.upwards else row
        return int(pull.classes[line, column % pull.capacity])

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The shown values as a table: a line per column, a field per layer."""
        recorder, pull = self.session.recorder, self.pull
        if recorder is None or pull is None:
            return [], []
        start, stop = self.axis.shown
        columns = recorder.columns(pull.key, int(start), int(min(stop, recorder.stop)), stride=pull.stride)
        values = extreme(pull.definition, columns, pull.thresholds)
        header = ["step", *(layer.name for layer in recorder.layers)]
        return header, [[int(step), *row] for step, row in zip(columns.steps, values.tolist(), strict=True)]

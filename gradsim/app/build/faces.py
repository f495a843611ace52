"""What a card shows and where: texts, fields, marks, strips, painted in the colours of the theme."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPainterPath, QPen

from gradsim.app import theme
from gradsim.app.build.arrangement import INPUT, LOSS, SIZES, Arrangement, Info, Item, Sizes
from gradsim.app.build.drops import DropPlace
from gradsim.app.build.editors import value_text
from gradsim.app.build.now import Now, pooled, short_number
from gradsim.app.build.problem_list import GLYPHS, WORDS, sentence
from gradsim.app.session import Session
from gradsim.i18n import tr, tr_n
from gradsim.model.problems import Problem
from gradsim.nn.layers import Layer, Repeat, Residual
from gradsim.nn.spec import FieldView, Spec, fields_of
from gradsim.telemetry.classes import MARKS, State
from gradsim.telemetry.quantities import quantity

STRIP = 16
"""Width of the colour strip, in pixels at 100 %."""
INLINE = 3
"""Most fields that a card shows; the inspector has the rest."""
LABELLED_ROUNDS = 9
"""Least height at which a row of an open repeat group is named."""


@dataclasses.dataclass(frozen=True)
class Chip:
    """One field on a card.

    Attributes:
        uid: The layer that has it: for a folded group with one layer inside also that layer; "" the experiment.
    """

    uid: str
    view: FieldView
    text: str
    rect: QRectF


def inline_fields(layer: Layer) -> tuple[FieldView, ...]:
    """The main choices of a layer: its first fields that are neither folded away nor common to all layers."""
    common = {view.name for view in fields_of(Layer)}
    views = [
        view
        for view in fields_of(type(layer))
        if view.name not in common and not view.advanced and not view.hidden
        and (view.type in ("int", "float", "choice") or (view.type == "spec" and not view.optional))
    ]  # fmt: skip
    return tuple(views[:INLINE])


def is_group(item: Item) -> bool:
    """True for the card or header of a group."""
    return isinstance(item.layer, Repeat | Residual) and item.kind in ("card", "header")


def sole_layer(item: Item) -> Layer | None:
    """The one layer in a folded group: its choices are the group's. None where there is no such one."""
    if item.kind != "card" or not isinstance(item.layer, Repeat | Residual):
        return None
    layer: Layer = item.layer
    while len(layer.children()) == 1:
        layer = layer.children()[0]
    return None if layer is item.layer or layer.children() or isinstance(layer, Repeat | Residual) else layer


def shape_text(shape: tuple[int, ...]) -> str:
    """``(28, 28)`` as ``28 × 28``."""
    return " \u00d7 ".join(map(str, shape))


def chip_text(view: FieldView, value: Any, *, compact: bool = False) -> str:
    """A field in a few characters: ``100 units``, ``sigmoid``, ``rate 0.5``, ``x 50``."""
    said = value_text(value)
    if view.name == "count":
        return f"\u00d7 {said}"
    if view.type == "int":
        if view.name == "units" and not compact:
            return tr_n("{n} unit", "{n} units", value)
        return said if compact else tr("{value} {field}", value=said, field=tr(view.title).lower())
    if view.type == "float":
        return f"{tr(view.title).lower()} {said}"
    return said


def weights_text(count: int) -> str:
    """How many numbers a layer learns, in words."""
    return tr_n("{count} weight", "{count} weights", count, count=f"{count:,}")


class Faces:
    """All cards as they look now. The column sets what is shown and says when to paint.

    Attributes:
        width: Of the viewport, in pixels.
        infos, layers: What each layer is, by uid.
        problems: Of each card, the worst first.
        now: Values for the strips, or None.
        aligned: False while the recorded rows are not those of the cards.
        unfolded: Groups that are open.
        current: The card that has the keyboard.
        focused: True if the column has it.
        drop: Where a dragged layer would go, or None.
        factors: What each layer multiplies the gradient by on its way down, in a few characters, by uid.
        told: Gives what theory says of a layer in words, or None.
    """

    def __init__(self, session: Session, upwards: bool) -> None:
        self.session = session
        self._titles: dict[int, QRectF] = {}
        self._chips: dict[tuple[int, bool], list[Chip]] = {}
        self.arrangement = Arrangement((), (), 0.0, upwards, (), "comfortable", SIZES["comfortable"])
        self.width = 300
        self.infos: dict[str, Info] = {}
        self.layers: dict[str, Layer] = {}
        self.problems: dict[str, list[Problem]] = {}
        self.now: Now | None = None
        self.aligned = False
        self.unfolded: set[str] = set()
        self.current = ""
        self.focused = False
        self.drop: DropPlace | None = None
        self.factors: dict[str, str] = {}
        self.told: Callable[[str], str] | None = None

    @property
    def arrangement(self) -> Arrangement:
        """Where the cards lie. What was measured for another arrangement is forgotten when it is set."""
        return self._arrangement

    @arrangement.setter
    def arrangement(self, arrangement: Arrangement) -> None:
        self._arrangement = arrangement
        self._titles.clear()
        self._chips.clear()

    @property
    def sizes(self) -> Sizes:
        """Heights of the parts."""
        return self.arrangement.sizes

    def paint(self, painter: QPainter, rect: QRectF) -> None:
        """Paints what lies in ``rect`` of the contents; only strips where that is left of the cards."""
        painter.fillRect(rect, QColor(theme.current().window))
        items = list(self.arrangement.between(rect.top(), rect.bottom()))
        for item in items:
            self.paint_strip(painter, item)
        if rect.right() <= theme.px(STRIP):
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for item in items:
            self._paint_item(painter, item, rect)
        self._paint_spines(painter, rect.top(), rect.bottom())
        self._paint_drop(painter)

    def problems_of(self, uid: str) -> list[Problem]:
        """The problems of a card, for a folded group with those of all that is in it, the worst first."""
        layer = self.layer(uid)
        if layer is None or uid in self.unfolded or not layer.children():
            return self.problems.get(uid, [])
        inside = [uid, *(inner.uid for inner in _below(layer))]
        found = [problem for one in inside for problem in self.problems.get(one, [])]
        return sorted(found, key=lambda problem: list(GLYPHS).index(problem.severity))

    def body(self, item: Item) -> QRectF:
        """The card without its strip, in contents."""
        sizes = self.sizes
        left = theme.px(STRIP) + theme.px(4) + item.depth * sizes.indent
        right = self.width - theme.px(3)
        return QRectF(left, item.top, max(right - left, 20), item.height)

    def face(self, item: Item) -> QRectF:
        """The card without the words below it, in contents."""
        body = self.body(item)
        if item.words:
            body.setHeight(body.height() - self.sizes.words)
        return body

    def description(self, uid: str) -> str:
        """A card in words."""
        experiment = self.session.document.experiment
        if uid in (INPUT, LOSS):
            name = tr("Data") if uid == INPUT else tr("Loss")
            words = [name, value_text(experiment.data if uid == INPUT else experiment.loss)]
        else:
            layer, info = self.layer(uid), self.infos.get(uid)
            if layer is None or info is None:
                return tr("Nothing is selected")
            words = [info.name, layer.identifier]
            words += [f"{tr(view.title)} {value_text(getattr(layer, view.name))}" for view in inline_fields(layer)]
            words += [] if info.after is None else [tr("gives {shape}", shape=shape_text(info.after))]
            words += [] if info.parameters is None else [weights_text(info.parameters)]
            words += [] if info.enabled else [tr("disabled")]
            words += [] if info.trainable else [tr("frozen")]
            if isinstance(layer, Repeat | Residual):
                words.append(tr("open") if uid in self.unfolded else tr("folded"))
        words += [f"{tr(WORDS[problem.severity])}: {sentence(problem)}" for problem in self.problems_of(uid)]
        return ", ".join(words)

    def layer(self, uid: str) -> Layer | None:
        return self.layers.get(uid)

    def paint_strip(self, painter: QPainter, item: Item) -> None:
        first, stop = item.rows
        width = theme.px(STRIP)
        if stop <= first:
            return
        used = theme.current()
        area = QRectF(0, item.top, width, item.height)
        shown = self.now
        if shown is None or stop > len(shown.classes):
            painter.fillRect(area.adjusted(1, 0, -1, 0), QColor(used.raised))
            return
        colours = quantity(shown.key).colours
        classes = shown.classes[first:stop]
        if self.arrangement.upwards:
            classes = classes[::-1]
        each = item.height / len(classes)
        if len(classes) == 1:
            painter.fillRect(area, used.class_colour(int(classes[0]), colours))
        else:
            painted = np.ascontiguousarray(pooled(classes, max(1, int(item.height))))
            image = QImage(painted.data, 1, len(painted), 1, QImage.Format.Format_Indexed8)
            image.setColorTable(used.table_argb(colours))
            painter.drawImage(area, image)
        painter.setPen(QPen(QColor(used.line), 1))
        painter.drawRect(area.adjusted(0.5, 0.5, -0.5, -0.5))
        if each >= theme.px(10):
            states = shown.states[first:stop]
            painter.setFont(theme.font("tiny"))
            for number, state in enumerate(reversed(states) if self.arrangement.upwards else states):
                glyph = MARKS[state].glyph
                if state != State.HEALTHY and glyph.strip():
                    colour = used.class_colour(int(classes[number]), colours)
                    painter.setPen(_ink(colour))
                    cell = QRectF(0, item.top + number * each, width, each)
                    painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, glyph)
        hover = self.session.state.hover
        if hover is not None and hover[1] is not None and first <= hover[1] < stop:
            number = stop - 1 - hover[1] if self.arrangement.upwards else hover[1] - first
            painter.setPen(QPen(QColor(used.text), 2))
            painter.drawRect(QRectF(1, item.top + number * each, width - 2, max(each, 2)))

    def _paint_item(self, painter: QPainter, item: Item, rect: QRectF) -> None:
        if item.kind in ("card", "input", "loss", "header"):
            self._paint_card(painter, item)
        elif item.kind == "rounds":
            self._paint_rounds(painter, item, rect)
        elif item.kind == "empty":
            used = theme.current()
            body = self.body(item).adjusted(0.5, 0.5, -0.5, -0.5)
            painter.setPen(QPen(QColor(used.muted), 1, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(body, 4, 4)
            painter.setFont(theme.font("small"))
            painter.drawText(body, Qt.AlignmentFlag.AlignCenter, tr("Drop layers here"))

    def _paint_card(self, painter: QPainter, item: Item) -> None:
        used = theme.current()
        body = self.body(item).adjusted(0.5, 0.5, -0.5, -0.5)
        chosen = item.uid in self.session.state.selection
        current = item.uid == self.current
        into = self.drop is not None and self.drop.into == item.uid
        info = self.infos.get(item.uid)
        off = info is not None and not info.enabled
        fill = used.selection if chosen else used.raised if item.kind == "header" else used.surface
        if item.kind in ("input", "loss") and not chosen:
            fill = used.window
        edge, thick = (used.accent, 1.5) if chosen or into else (used.line, 1.0)
        if current and self.focused:
            edge, thick = used.accent, 2.5
        painter.setPen(QPen(QColor(edge), thick, Qt.PenStyle.DashLine if off else Qt.PenStyle.SolidLine))
        painter.setBrush(QColor(fill))
        painter.drawRoundedRect(body, theme.px(4), theme.px(4))
        if into:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(body.adjusted(2, 2, -2, -2), theme.px(3), theme.px(3))
        compact = self.is_low(item)
        name, name_rect, right, right_rect = self.first_line(item)
        painter.setFont(theme.font("small" if compact else "normal", bold=True))
        painter.setPen(QColor(used.muted if off else used.text))
        fold = self.fold_rect(item)
        if fold is not None:
            self._paint_fold(painter, fold, item.uid in self.unfolded)
        metrics = QFontMetricsF(painter.font())
        painter.drawText(name_rect, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, name)
        if off:
            middle = name_rect.center().y()
            painter.drawLine(
                QPointF(name_rect.left(), middle), QPointF(name_rect.left() + metrics.horizontalAdvance(name), middle)
            )
        painter.setPen(QColor(used.muted))
        if right:
            painter.setFont(theme.font("small", fixed=True))
            painter.drawText(right_rect, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, right)
        marks = self.mark_rect(item)
        for chip in self.chips(item):
            self._paint_chip(painter, chip, faded=off)
        where = self.value_rect(item)
        if where is not None:
            painter.setFont(theme.font("small", fixed=True))
            painter.setPen(QColor(used.muted))
            value = self.value_text(item)
            painter.drawText(where, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, value)
            room = where.width() - QFontMetricsF(painter.font()).horizontalAdvance(value)
            factor, _ = self._fitting((self.factor_text(item),), room)
            if factor and self._factor_below(item):
                painter.drawText(where, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, factor)
        problems = self.problems_of(item.uid)
        if marks is not None and problems:
            painter.setFont(theme.font("small"))
            painter.setPen(used.severity_colour(problems[0].severity))
            painter.drawText(marks, Qt.AlignmentFlag.AlignCenter, GLYPHS[problems[0].severity])
        if item.words and problems:
            words = self.words_rect(item)
            painter.setFont(theme.font("small"))
            painter.setPen(used.severity_colour(problems[0].severity))
            text = QFontMetricsF(painter.font()).elidedText(
                sentence(problems[0]), Qt.TextElideMode.ElideRight, words.width()
            )
            painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)

    def _paint_fold(self, painter: QPainter, rect: QRectF, open_: bool) -> None:
        middle, size = rect.center(), float(theme.px(4))
        arrow = QPainterPath()
        if open_:
            points = [(-size, -size / 2), (size, -size / 2), (0.0, size * 0.75)]
        else:
            points = [(-size / 2, -size), (-size / 2, size), (size * 0.75, 0)]
        arrow.moveTo(middle + QPointF(*points[0]))
        for point in points[1:]:
            arrow.lineTo(middle + QPointF(*point))
        arrow.closeSubpath()
        painter.fillPath(arrow, QColor(theme.current().text))

    def _paint_chip(self, painter: QPainter, chip: Chip, *, faded: bool) -> None:
        used = theme.current()
        painter.setPen(QPen(QColor(used.line), 1))
        painter.setBrush(QColor(used.window))
        painter.drawRoundedRect(chip.rect.adjusted(0.5, 0.5, -0.5, -0.5), theme.px(3), theme.px(3))
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(used.muted if faded else used.text))
        inside = chip.rect.adjusted(theme.px(4), 0, -theme.px(4), 0)
        text = QFontMetricsF(painter.font()).elidedText(chip.text, Qt.TextElideMode.ElideRight, inside.width() + 1)
        painter.drawText(inside, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)

    def _paint_rounds(self, painter: QPainter, item: Item, rect: QRectF) -> None:
        used = theme.current()
        body = self.body(item)
        count = item.rows[1] - item.rows[0]
        each = item.height / count
        if each < theme.px(LABELLED_ROUNDS):
            return
        names = self.row_names()
        if not names:
            painter.setFont(theme.font("small"))
            painter.setPen(QColor(used.muted))
            painter.drawText(body, Qt.AlignmentFlag.AlignCenter, tr("{count} more layers", count=f"{count:,}"))
            return
        painter.setFont(theme.font("tiny", fixed=True))
        visible = range(max(0, int((rect.top() - item.top) / each)), count)
        for number in visible:
            y = item.top + number * each
            if y > rect.bottom():
                break
            row = item.rows[1] - 1 - number if self.arrangement.upwards else item.rows[0] + number
            cell = QRectF(body.left() + theme.px(4), y, body.width() - theme.px(8), each)
            chosen = row < len(self.arrangement.row_uids) and (
                self.arrangement.row_uids[row] in self.session.state.selection
            )
            if chosen:
                painter.fillRect(cell.adjusted(-theme.px(4), 0, theme.px(4), 0), QColor(used.selection))
            painter.setPen(QColor(used.muted))
            left = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
            painter.drawText(cell, left, names[row] if row < len(names) else "")
            if self.now is not None and row < len(self.now.values):
                value = short_number(float(self.now.values[row]))
                painter.drawText(cell, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, value)

    def row_names(self) -> Sequence[str]:
        return [layer.name for layer in self.session.rows()] if self.aligned else ()

    def _paint_spines(self, painter: QPainter, top: float, bottom: float) -> None:
        used = theme.current()
        sizes = self.sizes
        for spine in self.arrangement.spines:
            if spine.top >= bottom or spine.bottom <= top:
                continue
            x = theme.px(STRIP) + theme.px(4) + spine.depth * sizes.indent + sizes.indent / 2 - 1
            start, end = spine.top + sizes.header, spine.bottom - sizes.foot / 2
            colour = QColor(used.accent if spine.skip else used.muted)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            if not spine.skip:
                painter.setPen(QPen(colour, 1))
                painter.drawLine(QPointF(x, start), QPointF(x, end))
                painter.drawLine(QPointF(x, end), QPointF(x + sizes.indent / 2, end))
                continue
            # The skip: from what enters the block round its layers to the sum behind them.
            painter.setPen(QPen(colour, 1.6))
            path = QPainterPath(QPointF(x + sizes.indent * 0.7, end))
            path.quadTo(QPointF(x, end), QPointF(x, end - sizes.indent * 0.7))
            path.lineTo(x, start + sizes.indent * 0.7)
            path.quadTo(QPointF(x, start), QPointF(x + sizes.indent * 0.4, start))
            painter.drawPath(path)
            tip, tail = (start, 1) if self.arrangement.upwards else (end, -1)
            where = QPointF(x, tip + tail * sizes.indent * 0.9)
            head = QPainterPath(where + QPointF(0, -tail * theme.px(5)))
            head.lineTo(where + QPointF(-theme.px(3), tail * theme.px(2)))
            head.lineTo(where + QPointF(theme.px(3), tail * theme.px(2)))
            head.closeSubpath()
            painter.fillPath(head, colour)

    def _paint_drop(self, painter: QPainter) -> None:
        place = self.drop
        if place is None or place.line is None:
            return
        x, y = place.line
        accent = QColor(theme.current().accent)
        painter.setPen(QPen(accent, theme.px(3)))
        painter.drawLine(QPointF(x + theme.px(4), y), QPointF(self.width - theme.px(3), y))
        painter.setBrush(accent)
        painter.drawEllipse(QPointF(x + theme.px(3), y), theme.px(4), theme.px(4))

    def _fitting(self, parts: Sequence[str], room: float) -> tuple[str, float]:
        """As many of the parts, from the first on, as go into a room with a gap before them, and their width."""
        metrics = QFontMetricsF(theme.font("small", fixed=True))
        for count in range(len(parts), 0, -1):
            text = " \u00b7 ".join(parts[:count])
            width = metrics.horizontalAdvance(text) + theme.px(6)
            if width <= room:
                return text, width
        return "", 0.0

    def first_line(self, item: Item) -> tuple[str, QRectF, str, QRectF]:
        """Name as it is written, and what stands beside it, with their places. The name comes first: it is cut only
        where it has the line for itself and is longer, and what it leaves no room for is left out."""
        compact = self.is_low(item)
        name, beside = self.texts(item, compact=compact)
        line, marks = self.title_rect(item), self.mark_rect(item)
        end = self.face(item).right() - theme.px(6) - (marks.width() + theme.px(2) if marks else 0)
        metrics = QFontMetricsF(theme.font("small" if compact else "normal", bold=True))
        right, width = "", 0.0
        if not compact:
            right, width = self._fitting(beside, end - line.left() - metrics.horizontalAdvance(name))
        name_rect = QRectF(line)
        name_rect.setRight(min(line.right(), end) if compact else end - width)
        name = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, name_rect.width() + 0.5)
        return name, name_rect, right, QRectF(end - width, line.top(), width, line.height())

    def factor_text(self, item: Item) -> str:
        """What theory says that the layer multiplies the gradient by, for a group that of the one layer in it."""
        inner = sole_layer(item)
        return self.factors.get(item.uid if inner is None else inner.uid, "")

    def _factor_below(self, item: Item) -> bool:
        """Whether the factor stands in the line of the values: that of a group is long, and so is its name."""
        return is_group(item) and sole_layer(item) is not None and self.value_rect(item) is not None

    def texts(self, item: Item, *, compact: bool) -> tuple[str, Sequence[str]]:
        """Name, and what stands at the right end of the first line if there is room, the most important first."""
        if item.kind == "input":
            first = next(iter(self.infos.values()), None)
            shape = first.before if first is not None else None
            return tr("Data"), (shape_text(shape),) if shape else ()
        if item.kind == "loss":
            return tr("Loss"), ()
        info, layer = self.infos[item.uid], item.layer
        name = info.name
        if isinstance(layer, Repeat | Residual) and not layer.name:
            inside = ", ".join(dict.fromkeys(child.identifier for child in layer.layers))
            folded = item.uid not in self.unfolded
            name = f"{layer.identifier} {inside}" if folded and inside else layer.identifier
        if info is not None and not info.trainable and layer is not None and not layer.trainable:
            name += f" {MARKS[State.FROZEN].glyph}" if compact else f" ({tr('frozen')})"
        parts = []
        if info.after is not None and not is_group(item):
            parts.append(f"\u2192 {shape_text(info.after)}")
        if info.parameters:
            parts.append(weights_text(info.parameters))
        factor = self.factor_text(item)
        if factor and self._factor_below(item):
            factor = ""
        if factor:
            # On a group it is what there is room for.
            parts = [factor] if is_group(item) else [*parts, factor]
        return name, parts

    def fold_rect(self, item: Item) -> QRectF | None:
        """The arrow that opens a group; None for a card that is none."""
        if not is_group(item):
            return None
        line = self.title_rect(item)
        return QRectF(self.face(item).left() + theme.px(2), line.top(), theme.px(16), line.height())

    def _single_line(self, item: Item) -> bool:
        return self.is_low(item) or item.kind in ("input", "loss")

    def is_low(self, item: Item) -> bool:
        """True for a card without room for two lines; a group of many rows is high even where the others are low."""
        if item.kind in ("input", "loss"):
            return self.arrangement.density == "compact"
        return item.kind == "header" or self.face(item).height() < theme.px(42)

    def _top(self, item: Item) -> float:
        """Where the two lines of a comfortable card begin: in its middle, where it is higher than it must be."""
        face = self.face(item)
        return face.top() + max(0.0, (face.height() - theme.px(44)) / 2)

    def title_rect(self, item: Item) -> QRectF:
        """The first line of a card; of a card with one line only, up to where its chips begin."""
        known = self._titles.get(id(item))
        if known is None:
            known = self._titles[id(item)] = self._measured_title(item)
        return known

    def _measured_title(self, item: Item) -> QRectF:
        face = self.face(item)
        left = face.left() + theme.px(8)
        if is_group(item):
            left += theme.px(10)
        if not self._single_line(item):
            return QRectF(left, self._top(item) + theme.px(2), face.right() - left, theme.px(20))
        width = face.right() - left
        if isinstance(item.layer, Repeat | Residual):
            if sole_layer(item) is not None:
                width *= 0.3
            else:
                # A group has little to choose and a long name.
                width -= theme.px(76 if isinstance(item.layer, Repeat) else 24)
        elif item.layer is None:
            width *= 0.22 if self.is_low(item) else 1.0
        else:
            # Below each other as long as there is room; who has more than he needs gives it to the other.
            share = 0.31 * width
            mark = theme.px(16) if self.problems_of(item.uid) else 0
            metrics = QFontMetricsF(theme.font("small", bold=True))
            name = metrics.horizontalAdvance(self.texts(item, compact=True)[0]) + theme.px(4)
            left_over = width - self._chips_width(item) - theme.px(8) - mark
            if name < share:
                share = min(share, max(name, left_over))
            else:
                # A name says more than the end of an initializer's does.
                share = max(share, min(name, max(left_over, 0.45 * width)))
            width = share
        return QRectF(left, face.top(), max(width, theme.px(30)), face.height())

    def mark_rect(self, item: Item) -> QRectF | None:
        if not self.problems_of(item.uid):
            return None
        face = self.face(item)
        size = theme.px(16)
        title = self.title_rect(item)
        return QRectF(face.right() - size - theme.px(3), title.center().y() - size / 2, size, size)

    def value_text(self, item: Item) -> str:
        shown = self.now
        if shown is None or item.rows[1] <= item.rows[0] or self.is_low(item):
            return ""
        values = shown.values[item.rows[0] : item.rows[1]]
        for state in (State.NAN, State.INFINITE):
            # One of them is what there is to say, and is no end of a range.
            if state in shown.states[item.rows[0] : item.rows[1]]:
                return tr(state.value)
        known = values[np.isfinite(values)]
        if len(values) == 1 or not len(known):
            return short_number(float(values[0])) if not np.isnan(values[0]) else ""
        return f"{short_number(float(known.min()))} \u2026 {short_number(float(known.max()))}"

    def value_rect(self, item: Item) -> QRectF | None:
        """Where the value of a card stands; None where there is no room for it."""
        if self.is_low(item) or item.kind != "card":
            return None
        face, top, height = self.face(item), self._top(item), theme.px(19)
        if sole_layer(item) is None:
            width = theme.px(120 if item.rows[1] - item.rows[0] > 1 else 52)
            return QRectF(face.right() - width - theme.px(6), top + theme.px(22), width, height)
        # Four choices need the whole line, so the value goes below them.
        top += theme.px(42) + (self.sizes.words if item.words else 0)
        if top + height > item.bottom:
            return None
        return QRectF(face.left() + theme.px(8), top, face.width() - theme.px(14), height)

    def _choices(self, item: Item) -> list[tuple[str, Spec, FieldView]]:
        """What a card lets choose: ``(uid, holder, field)`` each."""
        if item.kind in ("input", "loss"):
            experiment = self.session.document.experiment
            name = "data" if item.kind == "input" else "loss"
            return [("", experiment, view) for view in fields_of(type(experiment)) if view.name == name]
        if item.layer is None:
            return []
        found: list[tuple[str, Spec, FieldView]] = [(item.uid, item.layer, view) for view in inline_fields(item.layer)]
        inside = sole_layer(item)
        if inside is not None:
            found += [(inside.uid, inside, view) for view in inline_fields(inside)]
        return found

    def _chips_width(self, item: Item) -> float:
        """Room that the choices of a low card need to be read whole."""
        texts = [chip_text(view, getattr(one, view.name), compact=True) for _, one, view in self._choices(item)]
        return sum(_widths(texts)) + theme.px(3) * max(0, len(texts) - 1)

    def chips(self, item: Item) -> list[Chip]:
        """The fields that a card shows, with their places in the contents."""
        if item.layer is None:
            # Data and loss can change while the cards stay as they are.
            return self._measured_chips(item)
        key = id(item), self.now is None
        known = self._chips.get(key)
        if known is None:
            known = self._chips[key] = self._measured_chips(item)
        return known

    def _measured_chips(self, item: Item) -> list[Chip]:
        compact = self.is_low(item)
        face = self.face(item)
        if compact:
            left = self.title_rect(item).right() + theme.px(4)
            line = self.title_rect(item)
            height = min(line.height() - theme.px(3), theme.px(20))
            top = line.center().y() - height / 2
            right = face.right() - theme.px(4)
            mark = self.mark_rect(item)
            right -= mark.width() if mark is not None else 0
        else:
            left = face.left() + theme.px(8)
            top, height = self._top(item) + theme.px(22), theme.px(18)
            right = face.right() - theme.px(6)
            where = self.value_rect(item)
            if where is not None and where.left() > left and self.now is not None and item.rows[1] > item.rows[0]:
                right = where.left() - theme.px(2)
        if item.kind in ("input", "loss") and not compact:
            left = self.title_rect(item).left() + theme.px(46)
            top = face.top() + (face.height() - height) / 2
            right -= theme.px(70) if item.kind == "input" else 0
        shown = self._choices(item)
        texts = [chip_text(view, getattr(holder, view.name), compact=compact) for _, holder, view in shown]
        widths = _widths(texts)
        gap = theme.px(3)
        room = right - left - gap * max(0, len(widths) - 1)
        # The long names give way, the numbers stay whole.
        while sum(widths) > room and max(widths, default=0) > theme.px(28):
            longest = max(range(len(widths)), key=widths.__getitem__)
            excess = sum(widths) - room
            others = sorted(widths)[-2] if len(widths) > 1 else 0
            widths[longest] = max(theme.px(28), min(widths[longest] - 1, max(widths[longest] - excess, others)))
        found = []
        for (uid, _, view), text, width in zip(shown, texts, widths, strict=True):
            found.append(Chip(uid, view, text, QRectF(left, top, width, height)))
            left += width + gap
        return found

    def row_at(self, item: Item, y: float) -> int | None:
        first, stop = item.rows
        if stop <= first:
            return None
        number = min(stop - first - 1, max(0, int((y - item.top) / item.height * (stop - first))))
        return stop - 1 - number if self.arrangement.upwards else first + number

    def words_rect(self, item: Item) -> QRectF:
        """Where a problem is said in words, in contents."""
        face, height = self.face(item), self.sizes.words
        top = face.bottom() - theme.px(1)
        if not self._single_line(item):
            top = self._top(item) + theme.px(42)
        return QRectF(face.left() + theme.px(8), top, face.width() - theme.px(14), height)

    def on_words(self, item: Item, point: QPointF) -> bool:
        """True if a point of the contents is on the words of a problem."""
        return item.words and self.words_rect(item).contains(point)

    def tooltip_text(self, item: Item, point: QPointF) -> str:
        row = self.row_at(item, point.y())
        lines = []
        if item.selectable:
            name, parts = self.texts(item, compact=False)
            if (factor := self.factor_text(item)) and factor not in parts:
                parts = [*parts, factor]
            lines.append(" \u00b7 ".join([name, *parts]))
            if item.layer is not None:
                lines.append(tr(type(item.layer).summary()))
                inner = sole_layer(item)
                if self.told is not None and (said := self.told(item.uid if inner is None else inner.uid)):
                    lines.append(said)
        elif item.kind == "empty":
            lines.append(tr("A group needs at least one layer: drop one here, or add one from the palette."))
        if self.now is not None and row is not None and row < len(self.now.values):
            names = self.row_names()
            state = self.now.states[row]
            title = tr(quantity(self.now.key).title)
            value = short_number(float(self.now.values[row]))
            said = f"{title}: {value}, {tr(state.value)} ({tr(MARKS[state].help)})"
            lines.append(f"{names[row]}: {said}" if row < len(names) else said)
        return "\n".join(lines)


def _widths(texts: Sequence[str]) -> list[float]:
    metrics = QFontMetricsF(theme.font("small"))
    return [metrics.horizontalAdvance(text) + theme.px(9) for text in texts]


def _below(layer: Layer) -> Iterable[Layer]:
    for child in layer.children():
        yield child
        yield from _below(child)


def _ink(colour: QColor) -> QColor:
    """Black or white, whichever can be read on a colour."""
    light = 0.299 * colour.red() + 0.587 * colour.green() + 0.114 * colour.blue()
    return QColor("#000000" if light > 140 else "#ffffff")

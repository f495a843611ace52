"""The page of the chain rule: the product from the loss down to the selected layer, a line for each factor."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QScrollArea, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.build.editors import Combo
from gradsim.app.diagnosis.chain import PATHS, Chain, Link, Path, question
from gradsim.app.see import words
from gradsim.app.see.asking import Asking
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.plots import faded, pen
from gradsim.app.session import Session
from gradsim.i18n import mark, tr
from gradsim.telemetry.classes import State, classify
from gradsim.telemetry.quantities import quantity
from gradsim.theory.prediction import short

PATH_TITLES: dict[Path, str] = {
    "strongest": mark("One path: the strongest"),
    "random": mark("One path, at random"),
    "all": mark("All paths together"),
}
PATH_TIPS: dict[Path, str] = {
    "strongest": mark("One unit in each layer, from above always the one with the largest factor."),
    "random": mark("One unit in each layer, drawn at random: the usual path."),
    "all": mark("Every unit: RMS of the error signal before and after each factor, which is what the heatmap shows."),
}
ASK_MS = 500


def power(log10: float) -> str:
    """A product given as log10, as the window writes numbers, also beyond what float64 holds."""
    if math.isnan(log10) or -300 < log10 < 300:
        return words.number(10.0**log10)
    return short(log10).replace("-", "\u2212")


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where the parts of a line lie, in pixels."""

    name: QRectF
    value: QRectF
    bar: QRectF
    line: QRectF
    product: QRectF


def columns(width: float) -> Columns:
    """The parts of a line of a given width."""
    metrics = QFontMetricsF(theme.font("small", fixed=True))
    gap, number = theme.px(5), metrics.horizontalAdvance("0.00e\u221200")
    value = metrics.horizontalAdvance("\u22120.0000")
    rest = max(theme.px(90.0), width - value - number - 5 * gap)
    name, bar, line = rest * 0.48, rest * 0.22, rest * 0.3
    edges = [float(gap)]
    for part in (name, value, bar, line, number):
        edges.append(edges[-1] + part + gap)
    parts = [QRectF(left, 0, right - left - gap, 1) for left, right in itertools.pairwise(edges)]
    return Columns(*parts)


class ChainPicture(QWidget):
    """The factors from above: name, number, a bar from 1 on a log axis, the running product as a point and a number."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.chain: Chain | None = None
        self.names: tuple[str, ...] = ()
        self.setAccessibleName(tr("Factors of the chain rule from the loss down"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        theme.changed.connect(self._resize)
        session.state.thresholds_changed.connect(lambda _: self.update())
        offer_menu(self, session.failed.emit)

    def show_chain(self, chain: Chain | None, names: tuple[str, ...]) -> None:
        """Shows a chain of layers with these names."""
        before = 0 if self.chain is None else len(self.chain.links)
        self.chain, self.names = chain, names
        if before != (0 if chain is None else len(chain.links)):
            self._resize()
        self.update()

    def _resize(self) -> None:
        count = 0 if self.chain is None else len(self.chain.links)
        self.setFixedHeight(round(max(1.0, self.head() + count * self.each() + theme.px(6))))
        # Rather scrolled than cut off.
        self.setMinimumWidth(math.ceil(columns(0).product.right()))
        self.update()

    def each(self) -> float:
        """Height of a line."""
        return QFontMetricsF(theme.font("small")).height() + theme.px(3)

    def head(self) -> float:
        """Height of the axes."""
        return 2 * QFontMetricsF(theme.font("small")).height() + theme.px(4)

    def sizeHint(self) -> QSize:
        return QSize(theme.px(280), self.height())

    # Axes

    def reach(self) -> float:
        """Decades on either side of 1 on the axis of the factors."""
        links = () if self.chain is None else self.chain.links[1:]
        logs = [abs(math.log10(abs(link.value))) for link in links if link.value and math.isfinite(link.value)]
        return float(math.ceil(max([1.0, *logs])))

    def limits(self) -> tuple[float, float]:
        """Ends of the axis of the product, as log10: whole decades."""
        links = () if self.chain is None else self.chain.links
        logs = [link.log10 for link in links if math.isfinite(link.log10)]
        if not logs:
            return -1.0, 0.0
        low, high = math.floor(min(logs)), math.ceil(max(logs))
        return float(low), float(max(high, low + 1))

    def name_of(self, link: Link) -> str:
        """A factor in a few characters."""
        layer = self.names[link.row] if link.row < len(self.names) else ""
        if link.kind == "gradient":
            text = tr("\u2202L/\u2202z {layer}", layer=layer)
        elif link.kind == "weight":
            text = f"W\u1d40 {layer}" if link.unit is None else f"w {layer}"
        else:
            text = f"\u03c6\u2032 {layer}"
        return text

    def sentence(self, link: Link) -> str:
        """A factor in a sentence."""
        layer = self.names[link.row] if link.row < len(self.names) else ""
        value, product = words.number(link.value, 3), power(link.log10)
        if link.kind == "gradient":
            text = tr("What arrives at {layer} from the loss: {value}.", layer=layer, value=value)
        elif link.kind == "weight":
            if link.unit is None:
                text = tr("The weights of {layer}, transposed, multiply the RMS by {value}.", layer=layer, value=value)
            else:
                text = tr(
                    "The weight of {layer} from unit {unit} below to unit {upper}: {value}.",
                    layer=layer, unit=link.unit, upper=link.upper, value=value,
                )  # fmt: skip
        elif link.unit is None:
            text = tr(
                "The slope of the activation of {layer}, with what else stands behind it, multiplies the RMS by "
                "{value}.",
                layer=layer, value=value,
            )  # fmt: skip
        else:
            text = tr(
                "The slope of the activation of {layer}, with what else stands behind it, at unit {unit}: {value}.",
                layer=layer, unit=link.unit, value=value,
            )  # fmt: skip
        return tr("{factor} The product so far: {product}.", factor=text, product=product)

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        chain, look, painter = self.chain, theme.current(), QPainter(self)
        painter.fillRect(event.rect(), QColor(look.surface))
        if chain is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        parts, each, head = columns(self.width()), self.each(), self.head()
        self._paint_axes(painter, parts, head, each)
        low, high = self.limits()
        reach = self.reach()
        definition, scale = quantity("delta_rms"), self.session.state.thresholds("delta_rms")
        with np.errstate(all="ignore"):
            sizes = 10.0 ** np.array([link.log10 for link in chain.links])
        classes = classify(definition, np.nan_to_num(sizes, nan=0.0), nan=np.isnan(sizes), thresholds=scale)
        points = []
        blue, red = look.state_colour(State.VANISHING), look.state_colour(State.EXPLODING)
        for number, link in enumerate(chain.links):
            top = head + number * each
            middle = top + each / 2
            if link.kind == "weight" and number % 4 == 1:
                painter.fillRect(QRectF(0, top, self.width(), 2 * each), faded(look.raised, 150))
            painter.setFont(theme.font("small"))
            painter.setPen(QColor(look.text))
            metrics = QFontMetricsF(painter.font())
            name = metrics.elidedText(self.name_of(link), Qt.TextElideMode.ElideMiddle, parts.name.width())
            self._write(painter, parts.name, top, name, Qt.AlignmentFlag.AlignLeft)
            painter.setFont(theme.font("small", fixed=True))
            self._write(painter, parts.value, top, words.number(link.value), Qt.AlignmentFlag.AlignRight)
            if number and link.value and math.isfinite(link.value):
                log10 = math.log10(abs(link.value))
                centre = parts.bar.center().x()
                end = centre + log10 / reach * parts.bar.width() / 2
                bar = QRectF(QPointF(min(centre, end), top + each * 0.2), QPointF(max(centre, end), top + each * 0.8))
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(blue if log10 < 0 else red)
                painter.drawRect(bar.adjusted(0, 0, 1 if log10 >= 0 else 0, 0))
            if math.isfinite(link.log10):
                share = (link.log10 - low) / (high - low)
                points.append((QPointF(parts.line.left() + share * parts.line.width(), middle), int(classes[number])))
            painter.setPen(QColor(look.text))
            self._write(painter, parts.product, top, power(link.log10), Qt.AlignmentFlag.AlignLeft)
        painter.setPen(pen(look.text, theme.line_width(0.7)))
        for (a, _), (b, _) in itertools.pairwise(points):
            painter.drawLine(a, b)
        radius = min(theme.px(4), each * 0.3)
        painter.setPen(pen(look.text, 1.0))
        for place, index in points:
            painter.setBrush(look.class_colour(index))
            painter.drawEllipse(place, radius, radius)

    def _paint_axes(self, painter: QPainter, parts: Columns, head: float, each: float) -> None:
        look = theme.current()
        low, high = self.limits()
        reach, bottom = self.reach(), self.height() - theme.px(4)
        painter.setPen(pen(look.line))
        for x in (parts.bar.left(), parts.bar.center().x(), parts.bar.right(), parts.line.left(), parts.line.right()):
            painter.drawLine(QPointF(x, head), QPointF(x, bottom))
        painter.setFont(theme.font("small", bold=True))
        painter.setPen(QColor(look.text))
        metrics = QFontMetricsF(painter.font())
        line = metrics.height()
        wide = parts.bar.united(parts.value)
        for part, text in ((wide, tr("factor")), (parts.line.united(parts.product), tr("product so far"))):
            said = metrics.elidedText(text, Qt.TextElideMode.ElideRight, part.width())
            painter.drawText(QRectF(part.left(), 0, part.width(), line), Qt.AlignmentFlag.AlignHCenter, said)
        painter.setFont(theme.font("tiny", fixed=True))
        painter.setPen(QColor(look.muted))
        small = QFontMetricsF(painter.font())
        # The two axes stand close together: the right end of the first is as far from 1 as its left end.
        for x, text, side in (
            (parts.bar.left(), power(-reach), 0.5), (parts.bar.center().x(), "1", 0.5),
            (parts.line.left(), power(low), 0.0), (parts.line.right(), power(high), 1.0),
        ):  # fmt: skip
            painter.drawText(QPointF(x - side * small.horizontalAdvance(text), line + small.ascent()), text)

    @staticmethod
    def _write(painter: QPainter, part: QRectF, top: float, text: str, side: Qt.AlignmentFlag) -> None:
        height = QFontMetricsF(painter.font()).height() + theme.px(3)
        painter.drawText(QRectF(part.left(), top, part.width(), height), side | Qt.AlignmentFlag.AlignVCenter, text)

    # The mouse

    def link_at(self, y: float) -> Link | None:
        """The factor whose line lies there."""
        number = int((y - self.head()) // self.each())
        links = () if self.chain is None else self.chain.links
        return links[number] if 0 <= number < len(links) else None

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            link = self.link_at(event.pos().y())
            if link is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos(), self.sentence(link), self)
            return True
        return super().event(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        link, step = self.link_at(event.position().y()), self.session.step
        self.session.state.set_hover(None if link is None or step is None else (step, link.row))

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.session.state.set_hover(None)

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The factors as a table: a line each."""
        links = () if self.chain is None else self.chain.links
        return ["kind", "layer", "factor", "log10 product"], [
            [link.kind, self.names[link.row] if link.row < len(self.names) else "", link.value, link.log10]
            for link in links
        ]


class ChainPage(QWidget):
    """The chain rule down to the selected layer, renewed twice a second; at the cursor, as it was then."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._seed = 0
        self._step: int | None = None
        self.setAccessibleName(tr("Chain rule"))
        self.paths = Combo(self)
        for path in PATHS:
            self.paths.addItem(tr(PATH_TITLES[path]), path)
            self.paths.setItemData(self.paths.count() - 1, tr(PATH_TIPS[path]), Qt.ItemDataRole.ToolTipRole)
        self.paths.setAccessibleName(tr("Which path"))
        self.paths.setToolTip(tr("Which of the many paths from the loss down to the layer is multiplied out"))
        self.paths.setCurrentIndex(0)
        self.paths.activated.connect(lambda _: self._again())
        self.another = QPushButton(tr("Another"), self)
        self.another.setToolTip(tr("Draws another path at random"))
        self.another.setAutoDefault(False)
        self.another.clicked.connect(self.draw_another)
        self.summary = QLabel(self)
        self.notes = QLabel(self)
        for label in (self.summary, self.notes):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.notes.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.picture = ChainPicture(session)
        self.scroll_area = QScrollArea(self)
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.scroll_area.setAccessibleName(tr("Factors"))
        self.scroll_area.setWidget(self.picture)
        head = QHBoxLayout()
        head.addWidget(self.paths, 1)
        head.addWidget(self.another)
        self._whole = QVBoxLayout(self)
        self._whole.addLayout(head)
        self._whole.addWidget(self.summary)
        self._whole.addWidget(self.scroll_area, 1)
        self._whole.addWidget(self.notes)
        self.asking = Asking(
            session, self, "chain", lambda: question(self.row, self.path, self._seed), self._answered,
            interval_ms=ASK_MS,
        )  # fmt: skip
        session.recorder_changed.connect(self._restart)
        session.state.selection_changed.connect(lambda _: self._again())
        theme.changed.connect(self._dress)
        self._dress()
        self._restart()

    def _dress(self) -> None:
        edge = theme.px(8)
        self._whole.setContentsMargins(edge, theme.px(6), edge, edge)
        self._whole.setSpacing(theme.px(6))
        self.notes.setFont(theme.font("small"))

    @property
    def path(self) -> Path:
        """The way of choosing a path."""
        found: Path = self.paths.currentData()
        return found

    @property
    def row(self) -> int | None:
        """The lowest row of the selected layers; None without a selection."""
        rows = self.session.selected_rows()
        return rows[0] if rows else None

    def choose(self, path: Path) -> None:
        """Chooses the way of choosing a path."""
        self.paths.setCurrentIndex(self.paths.findData(path))
        self._again()

    def draw_another(self) -> None:
        """Another path at random."""
        self._seed += 1
        self._again()

    def _again(self) -> None:
        self.another.setVisible(self.path == "random")
        self.asking.again()

    def _restart(self) -> None:
        self.picture.show_chain(None, ())
        self.summary.setText(tr("The error of a layer is a product: what arrives from the loss, times a factor for "
                                "every weight and every slope on the way down."))  # fmt: skip
        self.notes.setText("")
        self._again()

    def showEvent(self, event: object) -> None:
        super().showEvent(event)  # type: ignore[arg-type]
        self.asking.renew()

    def _answered(self, chain: Chain | None, step: int) -> None:
        if chain is None:
            self.summary.setText(tr("There is no Dense layer whose error could be followed."))
            self.picture.show_chain(None, ())
            return
        names = tuple(layer.name for layer in self.session.rows())
        self.picture.show_chain(chain, names)
        self._say(chain, names, step)

    def _say(self, chain: Chain, names: tuple[str, ...], step: int) -> None:
        layer, factors = names[chain.bottom] if chain.bottom < len(names) else "", len(chain.links) - 1
        first, last = chain.links[0], chain.links[-1]
        values = {
            "layer": layer, "factors": factors, "top": words.number(first.value), "product": power(last.log10),
            "delta": power(chain.log10_delta), "count": power(chain.log10_paths), "step": words.steps(max(0, step)),
        }  # fmt: skip
        if chain.path == "all":
            text = tr(
                "The error signal of {layer} is {product} (RMS): {top} at the top, times {factors} factors. "
                "Step {step}.",
                **values,
            )
        else:
            text = tr(
                "Along this one of {count} paths {layer} gets {product}: {top} at the top, times {factors} factors. "
                "All paths to this unit together give {delta}. Step {step}.",
                **values,
            )
        if self.summary.text() != text:
            self.summary.setText(text)
            # All of it where the panel is too low for it, as at 150 % on a small screen.
            self.summary.setToolTip(text)
        notes = []
        if chain.path != "all":
            notes.append(tr("For the first row of the data."))
        if chain.normalised and chain.path != "all":
            notes.append(tr("A normalisation ties all units together: on this path it counts with its own scale only."))
        if chain.skipped:
            notes.append(
                tr("What goes past a residual block is in the factor of the layer below it.")
                if chain.path == "all"
                else tr("This path goes through the residual blocks; others go past them with factor 1.")
            )
        self.notes.setText(" ".join(notes))
        self.notes.setVisible(bool(notes))

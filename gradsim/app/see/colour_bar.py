"""The colour scale: what each colour stands for, with the thresholds to drag or to type, and the choice of quantity."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QBrush,
    QColor,
    QDoubleValidator,
    QFontMetricsF,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPolygonF,
)
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.player import Watched
from gradsim.app.see import words
from gradsim.app.see.elided import Elided
from gradsim.app.see.heatmap import PATTERNS
from gradsim.app.see.plots import LEFT, draw_part, gutter, pen
from gradsim.i18n import mark, tr
from gradsim.telemetry.classes import MARKS, Special, State, classify
from gradsim.telemetry.quantities import Quantity, Thresholds, definitions, quantity

CHOICES = (
    ("delta_rms", "delta"),
    ("gradient_rms", "dW"),
    ("update_ratio", "update/W"),
    ("weight_rms", "W"),
    ("activation_mean", mark("mean")),
    ("activation_std", "std"),
    ("saturated", mark("saturated")),
    ("dead", mark("dead")),
)
"""Quantities with a button of their own."""
_MARKED = (State.ZERO, State.SUBNORMAL, State.INFINITE, State.NAN, State.FROZEN)
_WORDS = {
    State.ZERO: mark("zero"),
    State.SUBNORMAL: mark("below 1e-38"),
    State.INFINITE: "Inf",
    State.NAN: "NaN",
    State.FROZEN: mark("frozen"),
}


class QuantityChoice(QWidget):
    """Buttons, one click each; the rest of the quantities in a menu."""

    def __init__(self, session: Watched, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.px(2))
        self.group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        for key, text in CHOICES:
            button = QToolButton(self)
            button.setText(tr(text))
            button.setCheckable(True)
            button.setAccessibleName(tr("Show {name}", name=tr(quantity(key).title).lower()))
            button.setToolTip(f"{tr(quantity(key).title)}. {tr(quantity(key).help)}")
            button.clicked.connect(lambda _=False, key=key: session.state.set_quantity(key))
            self.group.addButton(button)
            self.buttons[key] = button
            row.addWidget(button)
        self.more = QToolButton(self)
        self.more.setText(tr("more"))
        self.more.setCheckable(True)
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setAccessibleName(tr("Show another quantity"))
        self.more.setToolTip(tr("Everything else that is recorded of each layer."))
        self.group.addButton(self.more)
        self._menu = QMenu(self.more)
        self._actions = QActionGroup(self)
        others = [definition.key for definition in definitions("layer") if definition.key not in self.buttons]
        for key in (*self.buttons, *others):
            action = QAction(tr(quantity(key).title), self, checkable=True)
            action.setToolTip(tr(quantity(key).help))
            action.setData(key)
            action.triggered.connect(lambda _=False, key=key: session.state.set_quantity(key))
            self._actions.addAction(action)
            self._menu.addAction(action)
        self._menu.setToolTipsVisible(True)
        self.more.setMenu(self._menu)
        row.addWidget(self.more)
        row.addStretch(1)
        # The buttons must not keep the window wide: see _fit.
        row.setSizeConstraint(QHBoxLayout.SizeConstraint.SetNoConstraint)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        session.state.quantity_changed.connect(self._set)
        self._set(session.state.quantity)
        self.setAccessibleName(tr("Quantity of the heatmap"))

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        shown = self.buttons["delta_rms"].sizeHint().width() + self.more.sizeHint().width() + theme.px(2)
        return QSize(shown, self.more.sizeHint().height())

    def sizeHint(self) -> QSize:
        widths = [button.sizeHint().width() for button in (*self.buttons.values(), self.more)]
        return QSize(sum(widths) + theme.px(2) * (len(widths) - 1), self.more.sizeHint().height())

    def _fit(self) -> None:
        """As many buttons as there is room for; the others are in the menu, as all are."""
        gap = theme.px(2)
        room = self.width() - self.more.sizeHint().width()
        for button in self.buttons.values():
            room -= button.sizeHint().width() + gap
            button.setVisible(room >= 0)
            action = next(a for a in self._actions.actions() if self.buttons.get(a.data()) is button)
            action.setVisible(room < 0)
        self._set(self.session.state.quantity)

    def _set(self, key: str) -> None:
        button = self.buttons.get(key)
        if button is None or button.isHidden():
            button = self.more
        button.setChecked(True)
        text = tr("more") if button is not self.more else tr(quantity(key).short)
        if text != self.more.text():
            self.more.setText(text)
        for action in self._actions.actions():
            action.setChecked(action.data() == key)


class Bar(QWidget):
    """The scale from its lower to its upper end, with figures and the two thresholds."""

    def __init__(self, session: Watched, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._held: str | None = None
        self._image: QImage | None = None
        self._pixels: Any = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setAccessibleName(tr("Colour scale"))
        state = session.state
        state.quantity_changed.connect(lambda _: self._renew())
        state.thresholds_changed.connect(lambda _: self._renew())
        theme.changed.connect(self._renew)
        self._renew()

    def sizeHint(self) -> QSize:
        return QSize(theme.px(320), theme.px(18) + round(QFontMetricsF(theme.font("small")).height()))

    @property
    def definition(self) -> Quantity:
        return quantity(self.session.state.quantity)

    @property
    def limits(self) -> Thresholds:
        return self.session.state.thresholds(self.session.state.quantity)

    def _renew(self) -> None:
        self._image = None
        self.setMinimumWidth(theme.px(160))
        self.setToolTip(
            tr(
                "{meaning} The scale is fixed: it never adapts to the data. "
                "Drag a mark to move its threshold; double click for the default.",
                meaning=self.definition.sentence(self.limits),
            )
        )
        self.updateGeometry()
        self.update()

    def groove(self) -> QRectF:
        """Where the colours are."""
        return QRectF(theme.px(14), theme.px(3), max(1, self.width() - theme.px(28)), theme.px(12))

    def _unit(self, value: float) -> float:
        return math.log10(value) if self.definition.scale == "log" else value

    def x_of(self, value: float) -> float:
        """Pixels of a value."""
        low, high = self._unit(self.limits.low), self._unit(self.limits.high)
        groove = self.groove()
        return groove.left() + (self._unit(value) - low) / (high - low) * groove.width()

    def value_of(self, x: float) -> float:
        """The value at a pixel."""
        low, high = self._unit(self.limits.low), self._unit(self.limits.high)
        groove = self.groove()
        unit = low + min(max((x - groove.left()) / groove.width(), 0.0), 1.0) * (high - low)
        return float(10.0**unit) if self.definition.scale == "log" else unit

    def resizeEvent(self, event: Any) -> None:
        self._image = None

    def paintEvent(self, event: QPaintEvent) -> None:
        look, groove, limits = theme.current(), self.groove(), self.limits
        painter = QPainter(self)
        if self._image is None:
            wide = max(2, int(groove.width()))
            units = np.linspace(self._unit(limits.low), self._unit(limits.high), wide)
            values = 10.0**units if self.definition.scale == "log" else units
            colours = np.array(look.table_argb(self.definition.colours), np.uint32)
            self._pixels = colours[classify(self.definition, values, thresholds=limits)]
            self._image = QImage(self._pixels.data, wide, 1, wide * 4, QImage.Format.Format_RGB32)
        draw_part(painter, groove, self._image, QRectF(self._image.rect()))
        painter.setPen(pen(look.line))
        painter.drawRect(groove)
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        taken: list[tuple[float, float]] = []

        def write(value: float, *, strong: bool) -> None:
            text = words.number(value)
            half = metrics.horizontalAdvance(text) / 2
            x = min(max(self.x_of(value), half + 1), self.width() - half - 1)
            if any(x + half + 4 > a and x - half - 4 < b for a, b in taken):
                return
            taken.append((x - half, x + half))
            painter.setPen(QColor(look.text if strong else look.muted))
            rect = QRectF(x - half - 2, groove.bottom() + theme.px(3), 2 * half + 4, metrics.height())
            painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)

        for value in (limits.vanishing, limits.exploding):
            if value is not None:
                write(value, strong=True)
        for value in (limits.low, limits.high, limits.neutral):
            write(value, strong=False)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        for name in ("vanishing", "exploding"):
            value = getattr(limits, name)
            if value is None:
                continue
            x, size = self.x_of(value), theme.px(5)
            painter.setPen(pen(look.text, 1.5))
            painter.drawLine(QPointF(x, groove.top() - 2), QPointF(x, groove.bottom() + 2))
            painter.setBrush(QColor(look.accent if self._held == name else look.text))
            top = groove.top() - 2
            painter.drawPolygon(QPolygonF([QPointF(x, top + size), QPointF(x - size, top), QPointF(x + size, top)]))

    # The mouse

    def _mark_at(self, x: float) -> str | None:
        near = [
            (abs(self.x_of(value) - x), name)
            for name in ("vanishing", "exploding")
            if (value := getattr(self.limits, name)) is not None
        ]
        return min(near)[1] if near and min(near)[0] <= theme.px(9) else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._held = self._mark_at(event.position().x())
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._held is None:
            found = self._mark_at(x)
            self.setCursor(Qt.CursorShape.SizeHorCursor if found else Qt.CursorShape.ArrowCursor)
            return
        set_threshold(self.session, self._held, self.value_of(x), snap=True)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._held = None
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.session.state.set_thresholds(self.session.state.quantity, None)


def set_threshold(session: Watched, name: str, value: float, *, snap: bool = False) -> bool:
    """Moves "vanishing" or "exploding" of the shown quantity, kept on its side of the neutral value.

    Args:
        snap: Take the nearest of 1, 2 and 5 times a power of ten.

    Returns:
        Whether the value could be used.
    """
    key = session.state.quantity
    limits = session.state.thresholds(key)
    if not math.isfinite(value):
        return False
    if quantity(key).scale == "log":
        if value <= 0:
            return False
        if snap:
            decade = 10.0 ** math.floor(math.log10(value))
            value = min((1, 2, 5, 10), key=lambda m: abs(math.log(m * decade / value))) * decade
            value = float(f"{value:.1g}")
    low, high = (limits.low, limits.neutral) if name == "vanishing" else (limits.neutral, limits.high)
    changed = dataclasses.replace(limits, **{name: min(max(value, low), high)})
    if changed != limits:
        session.state.set_thresholds(key, None if changed == quantity(key).thresholds else changed)
    return low <= value <= high


class Marks(QWidget):
    """The colours and glyphs that are no point of the scale."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.compact = False
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Marks: {names}", names=", ".join(tr(_WORDS[state]) for state in _MARKED)))
        self.setToolTip(
            " · ".join(f"{MARKS[state].glyph} {tr(_WORDS[state])}: {tr(MARKS[state].help)}" for state in _MARKED)
        )
        theme.changed.connect(self.updateGeometry)
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        metrics = QFontMetricsF(theme.font("small"))
        wide = sum(self._wide(metrics, state) for state in _MARKED)
        return QSize(round(wide), round(max(metrics.height(), theme.px(16)) + 2))

    def _wide(self, metrics: QFontMetricsF, state: State) -> float:
        if self.compact:
            return theme.px(16) + theme.px(5)
        return theme.px(16) + theme.px(4) + metrics.horizontalAdvance(tr(_WORDS[state])) + theme.px(10)

    def paintEvent(self, event: QPaintEvent) -> None:
        look, painter = theme.current(), QPainter(self)
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        x, size = 0.0, float(theme.px(16))
        y = (self.height() - size) / 2
        for state in _MARKED:
            colour = look.state_colour(state)
            ink = QColor("#000000" if colour.lightness() > 127 else "#ffffff")
            hatch = QColor(ink)
            hatch.setAlpha(90)
            box = QRectF(x, y, size, size)
            painter.fillRect(box, colour)
            painter.fillRect(box, QBrush(hatch, PATTERNS[Special(MARKS[state].index)]))
            painter.setPen(pen(look.line))
            painter.drawRect(box)
            painter.setPen(ink)
            painter.setFont(theme.font("small", bold=True))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, MARKS[state].glyph)
            if not self.compact:
                painter.setFont(theme.font("small"))
                painter.setPen(QColor(look.muted))
                rest = QRectF(
                    x + size + theme.px(4), 0, metrics.horizontalAdvance(tr(_WORDS[state])) + 4, self.height()
                )
                painter.drawText(rest, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, tr(_WORDS[state]))
            x += self._wide(metrics, state)


class ColourBar(QWidget):
    """Scale, marks, and the sentence that says what vanishing and exploding mean here, with its numbers to be typed."""

    def __init__(self, session: Watched, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.bar, self.marks = Bar(session, self), Marks(self)
        self.fields: dict[str, QLineEdit] = {}
        self._before, self._between, self._after = QLabel(self), QLabel(self), Elided(self)
        for name in ("vanishing", "exploding"):
            field = QLineEdit(self)
            validator = QDoubleValidator(field)
            validator.setNotation(QDoubleValidator.Notation.ScientificNotation)
            field.setValidator(validator)
            field.setAccessibleName(tr("Threshold of {state}", state=tr(name)))
            field.setToolTip(
                tr("From here on a layer is called {state}. Type another value, or drag its mark.", state=tr(name))
            )
            field.setAlignment(Qt.AlignmentFlag.AlignCenter)
            field.editingFinished.connect(lambda name=name: self._typed(name))
            self.fields[name] = field
        self.reset = QToolButton(self)
        self.reset.setText(tr("default"))
        self.reset.setAccessibleName(tr("Default thresholds"))
        self.reset.setToolTip(tr("Back to the thresholds that the program comes with."))
        self.reset.clicked.connect(lambda: session.state.set_thresholds(session.state.quantity, None))
        first = QHBoxLayout()
        first.setContentsMargins(0, 0, 0, 0)
        first.setSpacing(theme.px(12))
        first.addWidget(self.bar, 1)
        first.addWidget(self.marks)
        self.numbers = QWidget(self)
        second = QHBoxLayout(self.numbers)
        second.setContentsMargins(theme.px(14), 0, 0, 0)
        second.setSpacing(theme.px(4))
        for widget in (
            self._before, self.fields["vanishing"], self._between, self.fields["exploding"], self._after, self.reset,
        ):  # fmt: skip
            second.addWidget(widget)
        second.setStretch(4, 1)
        # The last words may be cut where the window is narrow: they must not keep it wide.
        self._after.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._whole = whole = QVBoxLayout(self)
        whole.setSpacing(0)
        whole.addLayout(first)
        whole.addWidget(self.numbers)
        session.state.quantity_changed.connect(lambda _: self._renew())
        session.state.thresholds_changed.connect(lambda _: self._renew())
        theme.changed.connect(self._renew)
        self._renew()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        compact = self.width() < theme.px(680)
        if compact != self.marks.compact:
            self.marks.compact = compact
            self.marks.updateGeometry()
            self.marks.update()

    def sentence(self) -> str:
        """What vanishing and exploding mean, with the numbers used."""
        key = self.session.state.quantity
        return quantity(key).sentence(self.session.state.thresholds(key))

    def _renew(self) -> None:
        key = self.session.state.quantity
        definition, limits = quantity(key), self.session.state.thresholds(key)
        small = theme.font("small")
        self._whole.setContentsMargins(gutter(LEFT) - theme.px(14), theme.px(2), theme.px(8), theme.px(2))
        for label in (self._before, self._between, self._after):
            label.setFont(small)
        for name, field in self.fields.items():
            value = getattr(limits, name)
            field.setVisible(value is not None)
            field.setFont(small)
            text = "" if value is None else f"{value:g}"
            room = max(QFontMetricsF(small).horizontalAdvance(one) for one in (text, "1e-06"))
            field.setFixedWidth(round(room) + theme.px(14))
            field.setText(text)
        low, high = limits.vanishing is not None, limits.exploding is not None
        if not low and not high:
            self._before.setText("")
        else:
            title = tr(definition.title)
            self._before.setText(tr("{title}: below", title=title) if low else tr("{title}: above", title=title))
        self._between.setText(tr("= vanishing, above") if low and high else tr("= vanishing") if low else "")
        self._between.setVisible(low)
        if low or high:
            text = tr("about {value} = healthy", value=f"{limits.neutral:g}")
            if high:
                text = tr("= exploding, {rest}", rest=text)
            elif low:
                text = tr(", {rest}", rest=text)
            self._after.setText(text)
        else:
            self._after.setText(
                tr(
                    "{title}: from {low} to {high}. {help}",
                    title=tr(definition.title),
                    low=f"{limits.low:g}",
                    high=f"{limits.high:g}",
                    help=tr(definition.help),
                )
            )
        self._before.setVisible(low or high)
        self.reset.setFont(small)
        self.reset.setVisible(limits != definition.thresholds)
        # It may be cut where the window is narrow.
        self._after.setToolTip(self.sentence())
        self.setAccessibleDescription(self.sentence())

    def _typed(self, name: str) -> None:
        if not self.fields[name].isModified():
            # Losing the focus, also by being hidden for another quantity, is no entry.
            return
        try:
            value = float(self.fields[name].text())
        except ValueError:
            value = math.nan
        set_threshold(self.session, name, value)
        self._renew()

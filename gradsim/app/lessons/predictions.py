"""Predictions before a run: layers to colour, answers to choose from, a number to estimate; and their comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QRadioButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.lessons.lecture import Lecture
from gradsim.app.pages import Flow
from gradsim.app.see.heatmap import PATTERNS
from gradsim.app.see.plots import pen
from gradsim.i18n import tr
from gradsim.lessons import ChooseOne, ColourLayers, Estimate
from gradsim.lessons.numbers import number
from gradsim.telemetry.classes import MARKS, Special, State

SLIDER = 1000


class Strips(QWidget):
    """A strip for each layer, the output above: painted with the chosen state before the run, compared after it.

    Args:
        names: The layers, from the input to the output.
    """

    painted = Signal(str, object)
    """Name of a layer and the state that it got."""

    def __init__(self, names: Sequence[str], offered: Sequence[State], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.names, self.offered = tuple(names), tuple(offered)
        self.brush = self.offered[0]
        self.answers: dict[str, State] = {}
        self.measured: Mapping[str, State] | None = None
        self._most: int | None = None
        self.current = len(self.names) - 1
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setAccessibleName(tr("Layers to colour"))
        self.setToolTip(tr("Click a layer, or drag over several, to give them the chosen colour."))
        self.describe()

    def describe(self) -> None:
        """Says in words what the strips show."""
        said = [
            f"{name}: {tr(str(self.answers[name]))}" if name in self.answers else f"{name}: –" for name in self.names
        ]
        self.setAccessibleDescription(", ".join(reversed(said)))

    def each(self) -> int:
        """Height of a strip."""
        room = QFontMetricsF(theme.font("small")).height() + 2
        most = min(24 * room, self._most or 24 * room) / len(self.names)
        return max(theme.px(5), round(min(room, most)))

    def set_most(self, pixels: int | None) -> None:
        """Limits the height of all strips together."""
        if pixels != self._most:
            self._most = pixels
            self.updateGeometry()
            self.update()

    def sizeHint(self) -> QSize:
        head = round(QFontMetricsF(theme.font("small")).height()) + theme.px(4) if self.measured is not None else 0
        return QSize(theme.px(240), head + self.each() * len(self.names) + 2)

    def head(self) -> float:
        """Height of the line above the strips."""
        return self.sizeHint().height() - self.each() * len(self.names) - 2

    def _name_width(self) -> float:
        metrics = QFontMetricsF(theme.font("small"))
        return max((metrics.horizontalAdvance(name) for name in self.names), default=0) + theme.px(8)

    def paintEvent(self, event: QPaintEvent) -> None:
        look, painter = theme.current(), QPainter(self)
        small = theme.font("small")
        metrics = QFontMetricsF(small)
        painter.setFont(small)
        each, left, top = self.each(), self._name_width(), self.head()
        sign = theme.px(20) if self.measured is not None else 0
        room = self.width() - left - sign - 1
        columns = 1 if self.measured is None else 2
        gap = theme.px(4)
        wide = (room - gap * (columns - 1)) / columns
        if self.measured is not None:
            painter.setPen(QColor(look.muted))
            for place, words in enumerate((tr("Prediction"), tr("Measured"))):
                area = QRectF(left + place * (wide + gap), 0, wide, top)
                painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
        every = max(1, math.ceil(metrics.height() * 0.9 / each))
        for place, name in enumerate(reversed(self.names)):
            y = top + place * each
            if place % every == 0:
                painter.setPen(QColor(look.text))
                area = QRectF(0, y, left - theme.px(6), each * every)
                line = Qt.AlignmentFlag.AlignTop if every > 1 else Qt.AlignmentFlag.AlignVCenter
                painter.drawText(area, Qt.AlignmentFlag.AlignRight | line, name)
            self._strip(painter, QRectF(left, y + 0.5, wide, each - 1), self.answers.get(name))
            if self.measured is not None:
                state = self.measured.get(name)
                self._strip(painter, QRectF(left + wide + gap, y + 0.5, wide, each - 1), state)
                if not self.answers:
                    continue
                right = self.answers.get(name) == state
                painter.setPen(QColor(look.good if right else look.impossible))
                area = QRectF(self.width() - sign, y, sign, each)
                painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "✓" if right else "✗")
            elif self.hasFocus() and self.names.index(name) == self.current:
                painter.setPen(pen(look.accent, 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(QRectF(left, y + 0.5, wide, each - 1))

    def _strip(self, painter: QPainter, area: QRectF, state: State | None) -> None:
        look = theme.current()
        painter.setPen(pen(look.line))
        if state is None:
            painter.setBrush(QBrush(QColor(look.surface)))
            painter.drawRect(area)
            return
        colour = look.state_colour(state)
        ink = QColor("#000000" if colour.lightness() > 127 else "#ffffff")
        painter.setBrush(colour)
        painter.drawRect(area)
        index = MARKS[state].index
        if index in PATTERNS:
            hatch = QColor(ink)
            hatch.setAlpha(90)
            painter.fillRect(area, QBrush(hatch, PATTERNS[Special(index)]))
        if area.height() >= theme.px(11):
            painter.setPen(ink)
            words = f"{MARKS[state].glyph} {tr(str(state))}"
            if QFontMetricsF(painter.font()).horizontalAdvance(words) > area.width() - 4:
                words = MARKS[state].glyph
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, words)

    def name_at(self, y: float) -> str | None:
        """The layer at a height."""
        place = int((y - self.head()) // self.each())
        return self.names[len(self.names) - 1 - place] if 0 <= place < len(self.names) else None

    def _paint(self, name: str | None) -> None:
        if name is not None and self.measured is None:
            self.current = self.names.index(name)
            if self.answers.get(name) != self.brush:
                self.answers[name] = self.brush
                self.painted.emit(name, self.brush)
                self.describe()
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._paint(self.name_at(event.position().y()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._paint(self.name_at(event.position().y()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        last = len(self.names) - 1
        if self.measured is not None:
            super().keyPressEvent(event)
        elif key == Qt.Key.Key_Up:
            self.current = min(last, self.current + 1)
        elif key == Qt.Key.Key_Down:
            self.current = max(0, self.current - 1)
        elif key in (Qt.Key.Key_Space, Qt.Key.Key_Return):
            self._paint(self.names[self.current])
        elif event.text().isdigit() and 1 <= int(event.text()) <= len(self.offered):
            self.brush = self.offered[int(event.text()) - 1]
            self._paint(self.names[self.current])
            self.current = max(0, self.current - 1)
        else:
            super().keyPressEvent(event)
            return
        self.update()

    def focusInEvent(self, event: Any) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: Any) -> None:
        super().focusOutEvent(event)
        self.update()


class Colouring(QWidget):
    """Colours to choose from, the strips, and after the run what was measured beside them."""

    def __init__(self, lecture: Lecture, question: ColourLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lecture, self.question = lecture, question
        assert lecture.step is not None
        rows = lecture.step.scene.runs[question.run]
        self.strips = Strips(question.names(rows.names, rows.weighty), question.offered, self)
        self.paints = QWidget(self)
        self._flow = flow = Flow(self.paints)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.paints.setSizePolicy(policy)
        self.group = QButtonGroup(self)
        self.buttons: dict[State, QToolButton] = {}
        for place, state in enumerate(question.offered):
            button = QToolButton(self.paints)
            button.setText(f"{MARKS[state].glyph} {tr(str(state))}")
            button.setCheckable(True)
            button.setChecked(place == 0)
            button.setAccessibleName(tr("Paint with {state}", state=tr(str(state))))
            button.setToolTip(tr(MARKS[state].help))
            button.clicked.connect(lambda _=False, state=state: self._choose(state))
            self.group.addButton(button)
            self.buttons[state] = button
            flow.addWidget(button)
        self.rest = QToolButton(self.paints)
        self.rest.setText(tr("All others"))
        self.rest.setAccessibleName(tr("All others in this colour"))
        self.rest.setToolTip(tr("Give every layer that has no colour yet the chosen one."))
        self.rest.clicked.connect(self._paint_rest)
        flow.addWidget(self.rest)
        self.strips.painted.connect(lambda *_: self.lecture.answer(dict(self.strips.answers)))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.paints)
        column.addWidget(self.strips)
        self.renew()

    def _choose(self, state: State) -> None:
        self.strips.brush = state

    def _paint_rest(self) -> None:
        for name in self.strips.names:
            self.strips.answers.setdefault(name, self.strips.brush)
        self.strips.describe()
        self.strips.update()
        self.lecture.answer(dict(self.strips.answers))

    def renew(self) -> None:
        """Takes in the answer and what was measured."""
        taken = self.lecture.taken
        self.strips.answers = dict(taken.answer or {})
        self.strips.measured = None if taken.checked is None else self.question.measured(taken.checked)
        self.paints.setVisible(taken.checked is None)
        self._flow.setSpacing(theme.px(3))
        look = theme.current()
        for state, button in self.buttons.items():
            colour = look.state_colour(state)
            ink = "#000000" if colour.lightness() > 127 else "#ffffff"
            button.setFont(theme.font("small", bold=True))
            button.setStyleSheet(
                f"QToolButton {{ background: {colour.name()}; color: {ink}; border: 2px solid {look.line}; }}"
                f"QToolButton:checked {{ border: 3px solid {look.text}; }}"
            )
        self.rest.setFont(theme.font("small"))
        self.strips.describe()
        self.strips.updateGeometry()
        self.strips.update()


class Choosing(QWidget):
    """One answer of several."""

    def __init__(self, lecture: Lecture, question: ChooseOne, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lecture, self.question = lecture, question
        assert lecture.text is not None
        self._size: theme.Size = "normal"
        self.group = QButtonGroup(self)
        self.options: dict[str, QRadioButton] = {}
        self.labels: dict[str, QLabel] = {}
        self.signs: dict[str, QLabel] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for key, words in lecture.text.choices.items():
            option, label, sign = QRadioButton(self), _Words(words, self), QLabel(self)
            option.setAccessibleName(words)
            option.setToolTip(tr("Choose this answer"))
            self.signs[key] = sign
            option.clicked.connect(lambda _=False, key=key: lecture.answer(key))
            label.pressed.connect(option.click)
            self.group.addButton(option)
            self.options[key], self.labels[key] = option, label
            row = QHBoxLayout()
            row.addWidget(option, 0, Qt.AlignmentFlag.AlignTop)
            row.addWidget(label, 1)
            row.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
            column.addLayout(row)
        self.renew()

    def renew(self) -> None:
        """Takes in the answer and what was measured."""
        taken, look = self.lecture.taken, theme.current()
        right = None if taken.checked is None else self.question.measured(taken.checked)
        size = theme.px(15)
        for key, option in self.options.items():
            # The style's own does not grow with the zoom, and is black on black in a dark theme.
            option.setStyleSheet(
                f"QRadioButton::indicator {{ width: {size}px; height: {size}px; border: 2px solid {look.muted}; "
                f"border-radius: {size // 2 + 2}px; background: {look.surface}; }}"
                f"QRadioButton::indicator:checked {{ background: {look.accent}; border-color: {look.text}; }}"
                f"QRadioButton::indicator:focus {{ border-color: {look.accent}; }}"
            )
            option.setChecked(taken.answer == key)
            option.setEnabled(taken.checked is None)
            sign, colour = "", look.text
            if taken.checked is not None and key == right:
                sign, colour = "✓", look.good
            elif taken.checked is not None and key == taken.answer:
                sign, colour = "✗", look.impossible
            self.signs[key].setText(sign)
            self.signs[key].setStyleSheet(f"color: {colour};")
            self.signs[key].setFont(theme.font("large", bold=True))
            self.labels[key].setFont(theme.font(self._size, bold=taken.checked is not None and key == right))

    def set_size(self, size: theme.Size) -> None:
        """How large the answers are written."""
        if size != self._size:
            self._size = size
            self.renew()


class _Words(QLabel):
    """The words of an answer, which wrap; a click on them is one on the answer."""

    pressed = Signal()

    def __init__(self, words: str, parent: QWidget) -> None:
        super().__init__(words, parent)
        self.setTextFormat(Qt.TextFormat.MarkdownText)
        self.setWordWrap(True)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.pressed.emit()


class Estimating(QWidget):
    """A number on a log scale."""

    def __init__(self, lecture: Lecture, question: Estimate, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lecture, self.question = lecture, question
        self.value, self.low, self.high = QLabel(self), QLabel(self), QLabel(self)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setRange(0, SLIDER)
        self.slider.setPageStep(SLIDER // 10)
        self.slider.setValue(SLIDER // 2)
        self.slider.setAccessibleName(tr("Estimate"))
        self.slider.setToolTip(tr("Drag to your estimate; every mark is a factor of ten."))
        decades = math.log10(question.high / question.low)
        self.slider.setTickPosition(QSlider.TickPosition.TicksBelow)
        self.slider.setTickInterval(max(1, round(SLIDER / decades)))
        self.slider.valueChanged.connect(self._moved)
        ends = QHBoxLayout()
        ends.addWidget(self.low)
        ends.addStretch(1)
        ends.addWidget(self.high)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.value)
        column.addWidget(self.slider)
        column.addLayout(ends)
        self.renew()

    def number(self) -> float:
        """What the slider says."""
        low, high = math.log10(self.question.low), math.log10(self.question.high)
        return 10.0 ** (low + (high - low) * self.slider.value() / SLIDER)

    def _place(self, value: float) -> int:
        low, high = math.log10(self.question.low), math.log10(self.question.high)
        return round((math.log10(value) - low) / (high - low) * SLIDER)

    def _moved(self) -> None:
        self.lecture.answer(float(f"{self.number():.2g}"))

    def renew(self) -> None:
        """Takes in the answer and what was measured."""
        taken = self.lecture.taken
        if taken.answer is None:
            self.value.setText(tr("Move the slider to your estimate"))
        else:
            self.slider.blockSignals(True)
            self.slider.setValue(self._place(taken.answer))
            self.slider.blockSignals(False)
            self.value.setText(tr("Your estimate: {number}", number=number(taken.answer)))
        if taken.checked is not None:
            measured = number(taken.checked.verdict(self.question.claim).value)
            mine = "–" if taken.answer is None else number(taken.answer)
            self.value.setText(tr("Your estimate: {number}. Measured: {measured}", number=mine, measured=measured))
        self.slider.setEnabled(taken.checked is None)
        self.low.setText(number(self.question.low))
        self.high.setText(number(self.question.high))
        self.value.setFont(theme.font(bold=True))
        for label in (self.low, self.high):
            label.setFont(theme.font("small"))


def prediction(lecture: Lecture, parent: QWidget | None = None) -> Colouring | Choosing | Estimating | None:
    """What asks the question of the open step, or None."""
    question = lecture.step.question if lecture.step is not None else None
    match question:
        case ColourLayers():
            return Colouring(lecture, question, parent)
        case ChooseOne():
            return Choosing(lecture, question, parent)
        case Estimate():
            return Estimating(lecture, question, parent)
    return None

"""One small widget for each type of field: shows a value, tells when the user has changed it.

An editor knows a :class:`gradsim.nn.spec.FieldView` and nothing of what is edited. It tells of any input, also of one
that can't be: whoever applies it finds the words for the refusal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QValidator, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSlider,
    QWidget,
)

from gradsim.app import theme
from gradsim.i18n import mark, tr
from gradsim.nn.spec import MISSING, REGISTRIES, FieldView, Spec, to_json


class _Mixed:
    """The layers that are edited together differ."""

    def __repr__(self) -> str:
        return "(mixed)"


MIXED: Final = _Mixed()
MIXED_TEXT = mark("several values")
MIXED_NUMBER = mark("mixed")
NOTHING_TEXT = mark("none")

WIDE = 1000.0
"""A range whose ends lie further apart than this factor is stepped by factors."""
LOWEST_STEP = 1e-6
"""Where stepping up from zero begins on a log scale."""
SLIDER_TICKS = 1000


def number_text(value: float) -> str:
    """The shortest text that is this number: ``0.01``, ``1e-7``, ``100``.

    Args:
        value: Any number; a whole one is shown without a fraction.
    """
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return repr(value)
    text = repr(float(value))
    mantissa, _, exponent = text.partition("e")
    mantissa = mantissa.removesuffix(".0")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def parsed(text: str, *, whole: bool) -> int | float | str:
    """The number that a text says, else the text itself, for a message to quote."""
    plain = text.strip().replace("\u2212", "-").replace(" ", "").replace("_", "")
    if "," in plain and "." not in plain:
        plain = plain.replace(",", ".", 1)
    if whole:
        try:
            return int(plain)
        except ValueError:
            pass
    try:
        number = float(plain)
    except ValueError:
        return text.strip()
    return int(number) if whole and number.is_integer() else number


def is_log(view: FieldView) -> bool:
    """True if a field is stepped by factors: a positive number without a step of its own over a wide range."""
    if view.type != "float" or view.step is not None or view.minimum is None or view.minimum < 0:
        return False
    if view.maximum is None:
        return True
    return view.maximum / max(view.minimum, LOWEST_STEP) >= WIDE


def has_slider(view: FieldView) -> bool:
    """True if both ends of a field are near enough for a slider to be of use."""
    return (
        view.type == "float"
        and not view.optional
        and view.minimum is not None
        and view.maximum is not None
        and not is_log(view)
        and view.maximum - view.minimum <= 10
    )


def stepped(value: float, steps: int, view: FieldView) -> float:
    """The value some steps further: 1, 2, 5, 10, ... on a log scale, else by the field's step."""
    if is_log(view):
        result = value
        for _ in range(min(abs(steps), 100)):
            result = _neighbour(result, steps > 0)
    else:
        result = value + steps * (view.step or (1 if view.type == "int" else _linear_step(value)))
        # 0.1 + 0.2 is 0.3 here.
        result = round(result, 12)
    low, high = view.minimum, view.maximum
    if low is not None and (result < low or (view.exclusive_minimum and result <= low)):
        result = value if view.exclusive_minimum else low
    if high is not None and (result > high or (view.exclusive_maximum and result >= high)):
        result = value if view.exclusive_maximum else high
    return int(result) if view.type == "int" else float(result)


def _linear_step(value: float) -> float:
    return 10.0 ** math.floor(math.log10(abs(value) / 5)) if value else 0.1


def _neighbour(value: float, upwards: bool) -> float:
    if value <= 0 or not math.isfinite(value):
        return LOWEST_STEP if upwards else value
    exponent = math.floor(math.log10(value) + 1e-9)
    # Decimal texts, since 5 * 10**-3 is not 0.005.
    around = [float(f"{digit}e{power}") for power in (exponent - 1, exponent, exponent + 1) for digit in (1, 2, 5)]
    if upwards:
        return next(known for known in around if known > value * (1 + 1e-9))
    return next(known for known in reversed(around) if known < value * (1 - 1e-9))


class Editor(QWidget):
    """Base of the editors.

    Attributes:
        edited: The user has made another value; True beside it if more of the same gesture may follow.
        finished: The gesture is over.
    """

    edited = Signal(object, bool)
    finished = Signal()

    def __init__(self, view: FieldView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view = view
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(theme.px(4))

    def set_value(self, value: Any) -> None:
        """Shows a value, or ``MIXED``."""
        raise NotImplementedError

    def _holds(self, widget: QWidget, stretch: int = 1) -> None:
        self._row.addWidget(widget, stretch)
        if self.focusProxy() is None:
            self.setFocusProxy(widget)

    def controls(self) -> Iterator[QWidget]:
        """What takes the keyboard in here."""
        for child in self.findChildren(QWidget):
            # The list that drops from a combo is a window of its own.
            if child.window() is not self.window():
                continue
            if child.focusPolicy() != Qt.FocusPolicy.NoFocus and not isinstance(child.parent(), QAbstractSpinBox):
                yield child

    def describe(self, name: str, description: str, tooltip: str) -> None:
        """Gives every control its words for a screen reader and for the mouse."""
        for control in self.controls():
            control.setAccessibleName(name)
            control.setAccessibleDescription(description)
            control.setToolTip(tooltip)


class NumberBox(QAbstractSpinBox):
    """A number as text, with steps; also takes what is no number, so that the refusal can say so."""

    entered = Signal(object, bool)
    finished = Signal()

    def __init__(self, view: FieldView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view = view
        self._value: Any = MIXED
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(theme.px(60))
        self.lineEdit().setPlaceholderText(tr(MIXED_NUMBER))
        self.lineEdit().returnPressed.connect(self._enter)

    @property
    def value(self) -> Any:
        """The value shown last."""
        return self._value

    def set_value(self, value: Any) -> None:
        """Shows a number, or ``MIXED``; a text that the user is typing is replaced."""
        self._value = value
        text = "" if value is MIXED or value is None else number_text(value)
        self.lineEdit().setPlaceholderText(tr(MIXED_NUMBER) if value is MIXED else "")
        if self.lineEdit().text() != text:
            with QSignalBlocker(self.lineEdit()):
                self.lineEdit().setText(text)
            self.lineEdit().setCursorPosition(0)

    def _enter(self) -> None:
        text = self.lineEdit().text()
        if text.strip() == "" and self._value is MIXED:
            return
        value = parsed(text, whole=self.view.type == "int")
        if self._value is MIXED or value != self._value or type(value) is not type(self._value):
            self.entered.emit(value, False)
        self.finished.emit()

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        return QAbstractSpinBox.StepEnabledFlag.StepUpEnabled | QAbstractSpinBox.StepEnabledFlag.StepDownEnabled

    def stepBy(self, steps: int) -> None:
        base = parsed(self.lineEdit().text(), whole=self.view.type == "int")
        if isinstance(base, str):
            base = self._value if isinstance(self._value, int | float) else (self.view.minimum or 0)
        value = stepped(base, steps, self.view)
        self.lineEdit().setText(number_text(value))
        self.selectAll()
        self.entered.emit(value, True)

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        # Everything may be typed: the refusal says what is allowed.
        return QValidator.State.Acceptable, text, position

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self._enter()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._value is not MIXED:
            typed = self.lineEdit().text() != number_text(self._value)
            self.set_value(self._value)
            if typed:
                self.entered.emit(self._value, False)
                return
        super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        # A panel that is scrolled must not change the numbers that pass under the mouse.
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class NumberEditor(Editor):
    """A number, with a slider where its range allows one."""

    def __init__(self, view: FieldView, parent: QWidget | None = None, *, slider: Scale | None = None) -> None:
        super().__init__(view, parent)
        self.box = NumberBox(view, self)
        self.slider: QSlider | None = None
        self._scale = slider or (Scale.of(view) if has_slider(view) else None)
        self._holds(self.box, 0 if self._scale else 1)
        if self._scale is not None:
            self.box.setMaximumWidth(theme.px(90))
            self.slider = Slider(self)
            self.slider.valueChanged.connect(self._slid)
            self.slider.sliderReleased.connect(self.finished)
            self.slider.left.connect(self.finished)
            self._holds(self.slider)
        if self._scale is None:
            self.box.setMaximumWidth(theme.px(120))
            self._row.addWidget(QLabel(tr(view.unit), self))
            self._row.addStretch(1)
        self.box.entered.connect(self.edited)
        self.box.finished.connect(self.finished)

    def set_value(self, value: Any) -> None:
        self.box.set_value(value)
        if self.slider is not None and self._scale is not None and isinstance(value, int | float):
            with QSignalBlocker(self.slider):
                self.slider.setValue(self._scale.tick(value))

    def _slid(self, tick: int) -> None:
        if self._scale is not None:
            value = self._scale.value(tick)
            self.box.set_value(value)
            self.edited.emit(value, True)


class Scale:
    """Values along a slider.

    Args:
        low: Value at the left end.
        high: Value at the right end.
        log: True if equal ways are equal factors.
    """

    def __init__(self, low: float, high: float, *, log: bool = False, step: float | None = None) -> None:
        self.low, self.high, self.log, self.step = low, high, log, step

    @classmethod
    def of(cls, view: FieldView) -> Scale:
        """The scale from end to end of a bounded field."""
        low, high = float(view.minimum or 0), float(view.maximum or 1)
        step = view.step or (high - low) / 100
        return cls(low + step * view.exclusive_minimum, high - step * view.exclusive_maximum, step=step)

    def tick(self, value: float) -> int:
        """Place on the slider, 0 to ``SLIDER_TICKS``."""
        if self.log:
            clipped = min(max(value, self.low), self.high)
            share = math.log(clipped / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(min(max(share, 0.0), 1.0) * SLIDER_TICKS)

    def value(self, tick: int) -> float:
        """The round value nearest to a place: two digits on a log scale, whole steps on a linear one."""
        share = tick / SLIDER_TICKS
        if self.log:
            return float(f"{self.low * (self.high / self.low) ** share:.1e}")
        value = self.low + share * (self.high - self.low)
        if self.step:
            value = self.low + round((value - self.low) / self.step) * self.step
        return float(f"{min(value, self.high):.10g}")


class Slider(QSlider):
    """A slider that leaves the wheel to the panel unless it has the keyboard."""

    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setRange(0, SLIDER_TICKS)
        self.setSingleStep(SLIDER_TICKS // 100)
        self.setPageStep(SLIDER_TICKS // 10)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(theme.px(40))

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.left.emit()


class Combo(QComboBox):
    """A list to choose from that leaves the wheel to the panel unless it has the keyboard."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setPlaceholderText(tr(MIXED_TEXT))
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setMaxVisibleItems(20)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def choose(self, data: Any) -> None:
        """Shows the entry with this data, without telling; nothing for ``MIXED``."""
        with QSignalBlocker(self):
            index = -1 if data is MIXED else next((i for i in range(self.count()) if self.itemData(i) == data), -1)
            self.setCurrentIndex(index)


class BoolEditor(Editor):
    """On or off."""

    def __init__(self, view: FieldView, parent: QWidget | None = None) -> None:
        super().__init__(view, parent)
        self.box = QCheckBox(self)
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._holds(self.box)
        # clicked, not toggled: a value that is shown is no input.
        self.box.clicked.connect(self._clicked)

    def set_value(self, value: Any) -> None:
        self.box.setTristate(value is MIXED)
        state = Qt.CheckState.PartiallyChecked if value is MIXED else Qt.CheckState.Unchecked
        self.box.setCheckState(Qt.CheckState.Checked if value is True else state)
        self.box.setText(tr(MIXED_TEXT) if value is MIXED else "")

    def _clicked(self) -> None:
        value = self.box.checkState() != Qt.CheckState.Unchecked
        self.set_value(value)
        self.edited.emit(value, False)


class ChoiceEditor(Editor):
    """One of a few words."""

    def __init__(self, view: FieldView, parent: QWidget | None = None) -> None:
        super().__init__(view, parent)
        self.combo = Combo(self)
        for choice in view.choices:
            self.combo.addItem(tr(str(choice)), choice)
        if view.optional:
            self.combo.insertItem(0, tr(NOTHING_TEXT), None)
        self._holds(self.combo)
        self.combo.activated.connect(self._chosen)

    def set_value(self, value: Any) -> None:
        self.combo.choose(value)

    def _chosen(self, index: int) -> None:
        self.edited.emit(self.combo.itemData(index), False)


class TextEditor(Editor):
    """A line of text."""

    def __init__(self, view: FieldView, parent: QWidget | None = None) -> None:
        super().__init__(view, parent)
        self.line = QLineEdit(self)
        self._shown = ""
        self._holds(self.line)
        self.line.editingFinished.connect(self._entered)

    def set_value(self, value: Any) -> None:
        mixed = value is MIXED
        self._shown = "" if mixed or value is None else str(value)
        self.line.setPlaceholderText(MIXED_TEXT if mixed else "")
        if self.line.text() != self._shown:
            self.line.setText(self._shown)
            self.line.setCursorPosition(0)

    def _entered(self) -> None:
        if self.line.text() != self._shown:
            self._shown = self.line.text()
            self.edited.emit(self._shown, False)


class LongTextEditor(Editor):
    """Text of several lines."""

    def __init__(self, view: FieldView, parent: QWidget | None = None) -> None:
        super().__init__(view, parent)
        self.text = QPlainTextEdit(self)
        self.text.setTabChangesFocus(True)
        self.text.setFixedHeight(theme.px(90))
        self._shown = ""
        self._holds(self.text)
        self.text.installEventFilter(self)

    def set_value(self, value: Any) -> None:
        self._shown = "" if value is MIXED or value is None else str(value)
        if self.text.toPlainText() != self._shown:
            self.text.setPlainText(self._shown)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusOut and self.text.toPlainText() != self._shown:
            self._shown = self.text.toPlainText()
            self.edited.emit(self._shown, False)
        return super().eventFilter(watched, event)


class KindEditor(Editor):
    """Which one of a registry: tells its identifier, or None where nothing is allowed and chosen.

    Args:
        number: Text of a first entry that stands for a plain number, whose data is "".
    """

    def __init__(self, view: FieldView, parent: QWidget | None = None, *, kind: str = "", number: str = "") -> None:
        super().__init__(view, parent)
        self.kind = kind or view.kind
        self.combo = Combo(self)
        if number:
            self.combo.addItem(number, "")
        if view.optional:
            self.combo.addItem(tr(NOTHING_TEXT), None)
        for identifier, spec in REGISTRIES[self.kind].items():
            self.combo.addItem(tr(getattr(spec, "title", "")) or identifier, identifier)
            self.combo.setItemData(self.combo.count() - 1, tr(spec.summary()), Qt.ItemDataRole.ToolTipRole)
        self._holds(self.combo)
        self.combo.activated.connect(lambda index: self.edited.emit(self.combo.itemData(index), False))

    def set_value(self, value: Any) -> None:
        known = value.identifier if isinstance(value, Spec) else value
        if isinstance(value, int | float) and not isinstance(value, bool):
            known = ""
        self.combo.choose(known)

    def describe(self, name: str, description: str, tooltip: str) -> None:
        super().describe(name, description, tooltip)
        chosen = self.combo.currentData()
        if isinstance(chosen, str) and chosen:
            self.combo.setToolTip(f"{tooltip}\n{chosen}: {tr(REGISTRIES[self.kind][chosen].summary())}")


class OptionalEditor(Editor):
    """A value that can be switched off."""

    def __init__(self, view: FieldView, inner: Editor, parent: QWidget | None = None) -> None:
        super().__init__(view, parent)
        self.box = QCheckBox(self)
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.inner = inner
        self._holds(self.box, 0)
        self._holds(inner)
        self._last: Any = None
        self.box.clicked.connect(self._switched)
        inner.edited.connect(self.edited)
        inner.finished.connect(self.finished)

    def set_value(self, value: Any) -> None:
        self.box.setTristate(value is MIXED)
        if value is MIXED:
            self.box.setCheckState(Qt.CheckState.PartiallyChecked)
        else:
            self.box.setChecked(value is not None)
        self.inner.setEnabled(value is not None)
        if value is not None:
            self.inner.set_value(value)
            if value is not MIXED:
                self._last = value

    def _switched(self) -> None:
        on = self.box.checkState() != Qt.CheckState.Unchecked
        if self._last is None:
            self._last = first_value(self.view)
        value = self._last if on else None
        self.set_value(value)
        self.edited.emit(value, False)


def first_value(view: FieldView) -> Any:
    """What an optional field starts with when it is switched on."""
    if view.default not in (None, MISSING):
        return view.default
    if view.type == "text":
        return ""
    if view.type == "choice":
        return view.choices[0]
    if view.type == "bool":
        return True
    value = 1.0 if view.type == "float" else 1
    if view.minimum is not None:
        value = max(value, view.minimum)
    if view.maximum is not None:
        value = min(value, view.maximum)
    return value


def value_editor(view: FieldView, parent: QWidget | None = None) -> Editor | None:
    """The editor for a field that holds a plain value; None for a field that no editor can show."""
    made: Editor
    match view.type:
        case "int" | "float":
            made = NumberEditor(view, parent)
        case "bool":
            made = BoolEditor(view, parent)
        case "choice":
            return ChoiceEditor(view, parent)
        case "text":
            made = TextEditor(view, parent)
        case "spec":
            return KindEditor(view, parent)
        case _:
            return None
    return OptionalEditor(view, made, parent) if view.optional else made


def value_text(value: Any) -> str:
    """A value in a few characters, as for a card: ``leaky_relu 0.2``, ``100``, ``off``."""
    if value is None:
        return tr(NOTHING_TEXT)
    if isinstance(value, bool):
        return tr("on") if value else tr("off")
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, Spec) and value.kind == "dataset":
        # Its numbers mean nothing without their names.
        return tr(getattr(value, "title", "")) or value.identifier
    if isinstance(value, Spec):
        said = to_json(value)
        own = [value_text(entry) for key, entry in said.items() if key != "type"] if isinstance(said, dict) else []
        return " ".join([value.identifier, *own])
    return str(value)

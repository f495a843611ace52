"""The figures of the shown step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QLabel, QWidget

from gradsim.app import theme
from gradsim.app.see import words
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.pull import value_of
from gradsim.app.session import Session
from gradsim.i18n import mark, tr
from gradsim.telemetry.quantities import quantity

_LINES = ("loss", "val_loss", "accuracy", "val_accuracy", "global_gradient_norm", "learning_rate", "epoch")
_NAMES = {
    "step": mark("Step"),
    "val_loss": mark("Validation loss"),
    "val_accuracy": mark("Validation accuracy"),
    "global_gradient_norm": mark("Gradient norm"),
}


class Readings(QWidget):
    """Step, loss, accuracy, gradient norm, learning rate and epoch, four times a second."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.form = QFormLayout(self)
        self.form.setFormAlignment(Qt.AlignmentFlag.AlignTop)
        self.form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self.values: dict[str, QLabel] = {}
        for key in ("step", *_LINES):
            name = tr(_NAMES.get(key) or quantity(key).title)
            label, value = QLabel(name, self), QLabel("–", self)
            value.setAccessibleName(name)
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            if key in ("step", "val_loss", "val_accuracy"):
                help_ = {
                    "step": tr("How many updates of the weights came before."),
                    "val_loss": tr("Loss on rows that are not trained on, at the last validation."),
                    "val_accuracy": tr("Accuracy on rows that are not trained on, at the last validation."),
                }[key]
            else:
                help_ = tr(quantity(key).help)
            label.setToolTip(help_)
            value.setToolTip(help_)
            self.values[key] = value
            self.form.addRow(label, value)
        self.setAccessibleName(tr("Figures of the shown step"))
        session.slow_tick.connect(self.renew)
        session.recorder_changed.connect(self.renew)
        session.state.cursor_changed.connect(lambda _: self.renew())
        session.state.hover_changed.connect(lambda _: self.renew())
        theme.changed.connect(self.dress)
        offer_menu(self, session.failed.emit)
        self.dress()

    def dress(self) -> None:
        """Takes fonts and distances from the theme."""
        self.form.setContentsMargins(theme.px(10), theme.px(6), theme.px(10), theme.px(4))
        self.form.setVerticalSpacing(theme.px(2))
        for key, value in self.values.items():
            value.setFont(theme.font("normal", bold=key in ("step", "loss"), fixed=True))

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self.renew()

    def renew(self) -> None:
        """Writes the figures of the step under the mouse, of the cursor, or of the latest one."""
        if not self.isVisible():
            return
        for key, text in self.texts().items():
            if self.values[key].text() != text:
                self.values[key].setText(text)

    def texts(self) -> dict[str, str]:
        """What each line says."""
        recorder = self.session.recorder
        if recorder is None or recorder.stop <= recorder.first_step:
            return dict.fromkeys(self.values, "–")
        hover, cursor = self.session.state.hover, self.session.state.cursor
        last = recorder.stop - recorder.every
        step = hover[0] if hover is not None else last if cursor is None else cursor
        step = min(max(step, recorder.first_step), last)
        found = {"step": words.steps(step)}
        validation = recorder.validation
        before = int(np.searchsorted(validation.step, step, side="right")) - 1
        for key in _LINES:
            if key.startswith("val_"):
                values = validation.val_loss if key == "val_loss" else validation.val_accuracy
                found[key] = written(key, float(values[before])) if before >= 0 else "–"
                continue
            value = value_of(recorder, key, step)
            if value == "NaN" and (key == "epoch" or (key == "accuracy" and not self.session.has_accuracy)):
                # Nobody told, which is something else than a number that was lost.
                value = math.nan
            found[key] = value if isinstance(value, str) else written(key, value)
        return found

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The figures as a table: a line each."""
        return ["figure", "value"], [[key, text] for key, text in self.texts().items()]


def written(key: str, value: float) -> str:
    """A figure as it is read."""
    if math.isnan(value):
        return "–"
    if key.endswith("accuracy"):
        return f"{100 * value:.1f} %"
    return words.steps(value) if key == "epoch" else words.number(value, 3)

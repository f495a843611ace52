"""The transport bar: play, step, back, reset, speed, and slow motion with its five phases."""

from __future__ import annotations

import dataclasses

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget

from gradsim.app import icons, theme
from gradsim.app.actions import Actions
from gradsim.app.player import PHASE_SECONDS, SPEEDS, Player
from gradsim.engine.runner import PHASES, Phase
from gradsim.i18n import tr
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS
from gradsim.telemetry.recording import Layer


def number(value: float) -> str:
    """A value in few characters."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Inf"
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"


def account(phase: Phase, layers: tuple[Layer, ...]) -> str:
    """What a phase has done to this step, in one sentence with its numbers."""

    def column(key: str) -> np.ndarray:
        return phase.layers[:, LAYER_COLUMNS.index(key)]

    def ends(values: np.ndarray) -> tuple[str, str] | None:
        known = np.flatnonzero(~np.isnan(values))
        return (number(values[known[0]]), number(values[known[-1]])) if len(known) else None

    figures = dict(zip(STEP_COLUMNS, phase.figures, strict=True))
    step = phase.step
    if phase.name == "forward":
        found = ends(column("activation_std"))
        if not found:
            return tr("Step {step}, forward: the batch went up through the layers.", step=step)
        return tr(
            "Step {step}, forward: the batch went up through the layers: their spread is {first} at the first layer "
            "and {last} at the last.",
            step=step,
            first=found[0],
            last=found[1],
        )
    if phase.name == "loss":
        return tr(
            "Step {step}, loss: the outputs are {value} away from what they should be.",
            step=step,
            value=number(figures["loss"]),
        )
    if phase.name == "backward":
        units = np.array([max(1, layer.units) for layer in layers], float) * max(1.0, figures["rows"])
        found = ends(column("delta_norm") / np.sqrt(units))
        if not found:
            return tr("Step {step}, backward: the error signal (delta, RMS) came down.", step=step)
        return tr(
            "Step {step}, backward: the error signal (delta, RMS) is {last} at the last layer and {first} at the "
            "first.",
            step=step,
            last=found[1],
            first=found[0],
        )
    if phase.name == "clip":
        raw, clipped = column("gradient_norm"), column("clipped_norm")
        known = ~np.isnan(raw) & ~np.isnan(clipped)
        before, after = np.sqrt(np.sum(raw[known] ** 2)), np.sqrt(np.sum(clipped[known] ** 2))
        if not np.any(known) or after >= before * (1 - 1e-6):
            return tr("Step {step}, clip: the gradients stay as they are, norm {norm}.", step=step, norm=number(before))
        return tr(
            "Step {step}, clip: the gradients were shortened from norm {before} to {after}.",
            step=step,
            before=number(before),
            after=number(after),
        )
    with np.errstate(all="ignore"):
        ratio = ends(column("update_norm") / column("weight_norm"))
    if not ratio:
        return tr("Step {step}, update: the weights moved.", step=step)
    return tr(
        "Step {step}, update: the weights moved, by {first} of their size at the first layer and {last} at the last.",
        step=step,
        first=ratio[0],
        last=ratio[1],
    )


class Phases(QWidget):
    """The five phases of a step in a row; the one that was just computed is marked."""

    def __init__(self, session: Player, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Phases of a step"))
        self.setToolTip(tr("One training step taken apart. Right arrow: the next phase."))
        session.run_changed.connect(self.update)
        theme.changed.connect(self._resize)

    def _resize(self) -> None:
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        metrics = QFontMetricsF(theme.font("normal", bold=True))
        widths = [metrics.horizontalAdvance(tr(name)) + theme.px(20) for name in PHASES]
        return QSize(round(sum(widths)) + theme.px(4 * 4), round(metrics.height()) + theme.px(8))

    def paintEvent(self, event: QPaintEvent) -> None:
        look, phase = theme.current(), self.session.phase
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x = 0.5
        for place, name in enumerate(map(tr, PHASES)):
            here = phase is not None and phase.number == place
            done = phase is not None and place < phase.number
            metrics = QFontMetricsF(theme.font("normal", bold=True))
            width = metrics.horizontalAdvance(name) + theme.px(20)
            area = QRectF(x, 0.5, width, self.height() - 1)
            painter.setPen(QPen(QColor(look.accent if here or done else look.line), 1))
            painter.setBrush(QColor(look.accent if here else look.selection if done else look.surface))
            painter.drawRoundedRect(area, theme.px(4), theme.px(4))
            painter.setFont(theme.font("normal", bold=here))
            painter.setPen(QColor(look.on_accent if here else look.text if done else look.muted))
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, name)
            x += width + theme.px(4)


@dataclasses.dataclass(frozen=True)
class _Button:
    action: str
    text: str


BUTTONS = (
    _Button("run.play", "Play"),
    _Button("run.back", ""),
    _Button("run.step", "Step"),
    _Button("run.epoch", "Epoch"),
    _Button("run.reset", "Reset"),
    _Button("run.new_seed", "New seed"),
)


class Transport(QWidget):
    """Buttons and speed in one row; in slow motion a second one with the phases."""

    def __init__(self, session: Player, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session, self.actions_ = session, actions
        self.setAccessibleName(tr("Transport bar"))
        self.buttons: dict[str, QToolButton] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.px(8), theme.px(4), theme.px(8), theme.px(4))
        row.setSpacing(theme.px(4))
        for button in BUTTONS:
            row.addWidget(self._button(button.action, tr(button.text)))
        row.addSpacing(theme.px(8))
        self.speed_label = QLabel(tr("Speed"), self)
        self.speed = QComboBox(self)
        self.speed.setAccessibleName(tr("Speed of the training"))
        self.speed.setToolTip(tr("How many steps a second are trained at most"))
        for speed in SPEEDS:
            self.speed.addItem(
                tr("as fast as it can") if speed is None else tr("{speed} steps/s", speed=f"{speed:g}"), speed
            )
        self.speed.setCurrentIndex(len(SPEEDS) - 1)
        self.speed.activated.connect(lambda index: self.session.set_speed(self.speed.itemData(index)))
        self.speed_label.setBuddy(self.speed)
        row.addWidget(self.speed_label)
        row.addWidget(self.speed)
        row.addSpacing(theme.px(8))
        row.addWidget(self._button("run.slow", tr("Slow motion")))
        self.pace = QComboBox(self)
        self.pace.setAccessibleName(tr("Pace of slow motion"))
        self.pace.setToolTip(tr("How long slow motion shows each phase while it plays"))
        for seconds in PHASE_SECONDS:
            self.pace.addItem(tr("{seconds} s each", seconds=f"{seconds:g}"), seconds)
        self.pace.setCurrentIndex(PHASE_SECONDS.index(session.phase_seconds))
        self.pace.activated.connect(lambda index: self.session.set_slow_motion(True, self.pace.itemData(index)))
        row.addWidget(self.pace)
        self.phases = Phases(session, self)
        row.addWidget(self.phases)
        row.addStretch(1)
        session.run_changed.connect(self.refresh)
        theme.changed.connect(self._dress)
        self._dress()
        self.refresh()

    def control(self, player: Player) -> None:
        """Controls another run from now on, or several that keep step."""
        if player is not self.session:
            self.session.run_changed.disconnect(self.refresh)
            self.session = player
            player.run_changed.connect(self.refresh)
            self.refresh()

    def _button(self, name: str, text: str) -> QToolButton:
        button = QToolButton(self)
        action = self.actions_[name]
        button.setDefaultAction(action)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setAccessibleName(self.actions_.verbs[name].words)
        button.setProperty("short", text)
        # The default action writes its own text into the button whenever it changes.
        action.changed.connect(lambda: self._name(button))
        self.buttons[name] = button
        self._name(button)
        return button

    def _name(self, button: QToolButton) -> None:
        text = str(button.property("short"))
        if button is self.buttons.get("run.play"):
            text = tr("Pause") if self.session.playing else tr("Play")
        style = Qt.ToolButtonStyle.ToolButtonTextBesideIcon if text else Qt.ToolButtonStyle.ToolButtonIconOnly
        button.setToolButtonStyle(style)
        if button.text() != text:
            button.setText(text)

    def _dress(self) -> None:
        side = theme.px(18)
        for button in self.buttons.values():
            button.setIconSize(QSize(side, side))
            button.setFont(theme.font())
        # The widest it will be, so that nothing beside it moves when the word changes.
        play = self.buttons["run.play"]
        metrics = QFontMetricsF(theme.font(bold=True))
        widest = max(metrics.horizontalAdvance(word) for word in (tr("Pause"), tr("Play")))
        play.setMinimumWidth(round(widest) + side + theme.px(24))
        self._show_play()

    def _show_play(self) -> None:
        self.actions_["run.play"].setIcon(icons.icon("pause" if self.session.playing else "play"))
        self._name(self.buttons["run.play"])

    def change_speed(self, by: int) -> None:
        """The next higher or lower limit."""
        here = SPEEDS.index(self.session.speed) if self.session.speed in SPEEDS else len(SPEEDS) - 1
        self.session.set_speed(SPEEDS[max(0, min(len(SPEEDS) - 1, here + by))])

    def refresh(self) -> None:
        """Shows what the run does."""
        self._show_play()
        if self.session.speed in SPEEDS:
            self.speed.setCurrentIndex(SPEEDS.index(self.session.speed))
        slow = self.session.slow_motion
        self.pace.setVisible(slow)
        self.phases.setVisible(slow)
        self.speed.setVisible(not slow)
        self.speed_label.setVisible(not slow)
        if slow and self.session.phase_seconds in PHASE_SECONDS:
            self.pace.setCurrentIndex(PHASE_SECONDS.index(self.session.phase_seconds))

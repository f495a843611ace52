"""Slow motion where it happens: the phase of a step, level with the layers, in the direction in which it goes."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from gradsim.app import theme
from gradsim.app.see import words
from gradsim.app.see.stage import Stage
from gradsim.app.session import Session
from gradsim.engine.runner import Phase
from gradsim.i18n import tr
from gradsim.telemetry.classes import MARKS, State, classify, states
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS, Sizes, quantity

Floats = NDArray[np.float64]

SHOWN = {
    "forward": ("activation_std", "forward: spread of the activations"),
    "loss": ("", "loss"),
    "backward": ("delta_rms", "backward: delta"),
    "clip": ("clipped_norm", "clip: norm of the gradient"),
    "update": ("update_ratio", "update: part of the weights' size"),
}
"""What each phase makes known."""

SWEEP = 0.6
"""Part of a phase's time in which it passes through the layers."""
LONGEST_SWEEP = 1.2


def values(phase: Phase, session: Session) -> Floats | None:
    """The quantity of a phase, one value per row; None for one without."""
    key, _ = SHOWN[phase.name]
    if not key:
        return None
    definition = quantity(key)
    columns = {name: phase.layers[:, number] for number, name in enumerate(LAYER_COLUMNS)}
    if definition.formula is None:
        return columns[key]
    figures = dict(zip(STEP_COLUMNS, phase.figures, strict=True))
    known = {**columns, **{name: np.full(1, value) for name, value in figures.items()}}
    with np.errstate(all="ignore"):
        return definition.formula(known, Sizes.of(session.rows()))


class SlowMotion(QWidget):
    """Lies over the profile while a step is taken apart; every layer's value appears as the phase reaches it.

    Args:
        session: Whose phase is shown.
        stage: Where the rows lie.
    """

    def __init__(self, session: Session, stage: Stage) -> None:
        super().__init__(stage)
        self.session, self.stage = session, stage
        self.setAccessibleName(tr("Phase of the step by layer"))
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._phase: Phase | None = None
        self._values: Floats | None = None
        self._began = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(33)
        self._timer.timeout.connect(self._on)
        session.run_changed.connect(self.follow)
        stage.rows_moved.connect(self.place)
        stage.above.splitterMoved.connect(lambda *_: self.place())
        stage.space.scroll_changed.connect(lambda _: self.update())
        stage.space.layout_changed.connect(lambda _: self.update())
        theme.changed.connect(self.update)
        self.hide()

    def follow(self) -> None:
        """Shows the phase that the run is in now."""
        phase = self.session.phase if self.session.slow_motion else None
        if phase is self._phase:
            return
        self._phase = phase
        if phase is None or len(phase.layers) != len(self.session.rows()):
            self._phase = None
            self._timer.stop()
            self.hide()
            return
        self._values = values(phase, self.session)
        self._began = time.monotonic()
        self.place()
        self.show()
        self.raise_()
        self._timer.start()
        self.update()

    def place(self) -> None:
        """Lies over the profile."""
        profile = self.stage.profile
        self.setGeometry(
            profile.geometry().translated(profile.parentWidget().mapTo(self.stage, profile.pos()) - profile.pos())
        )

    @property
    def swept(self) -> float:
        """How far the phase has come through the layers, 0 to 1."""
        whole = min(LONGEST_SWEEP, SWEEP * self.session.phase_seconds) if self.session.playing else 0.3
        return min(1.0, (time.monotonic() - self._began) / whole)

    def _on(self) -> None:
        if self.swept >= 1:
            self._timer.stop()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        phase, look = self._phase, theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(look.plot))
        painter.setPen(QPen(QColor(look.accent), theme.px(2)))
        painter.drawLine(0, 0, 0, self.height())
        if phase is None:
            return
        if self._values is None:
            self._paint_loss(painter, phase)
            return
        key, title = SHOWN[phase.name]
        rows = len(self._values)
        reached = self._reached(phase, rows)
        spans = self._spans(rows)
        definition = quantity(key)
        limits = self.session.state.thresholds(key)
        classes = classify(definition, self._values, thresholds=limits)
        marks = states(definition, classes, limits)
        font = theme.font("normal", fixed=True)
        height = QFontMetricsF(font).height()
        last = -1e9
        left, wide = theme.px(14), theme.px(46)
        for row in sorted(range(rows), key=lambda row: spans[row][0]):
            top, tall = spans[row]
            if not reached[row] or marks[row] is State.NONE or top + tall < 0 or top > self.height():
                continue
            area = QRectF(left, top, wide, max(1.0, tall - (1 if tall > 4 else 0)))
            painter.fillRect(area, look.class_colour(int(classes[row]), definition.colours))
            if top + tall / 2 - last >= height * 0.95:
                last = top + tall / 2
                painter.setFont(font)
                painter.setPen(QColor(look.text))
                text = f"{MARKS[marks[row]].glyph} {words.number(float(self._values[row]))}"
                place = QRectF(left + wide + theme.px(8), last - height / 2, self.width(), height)
                painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, text)
        self._paint_front(painter, phase, spans)
        self._paint_title(painter, tr(title))

    def _paint_title(self, painter: QPainter, title: str) -> None:
        look = theme.current()
        room = self.width() - theme.px(14)
        # As large as there is room for; what does not fit at all ends in dots.
        fonts = [theme.font(size, bold=True) for size in ("normal", "small", "tiny")]
        fitting = (font for font in fonts if QFontMetricsF(font).horizontalAdvance(title) <= room)
        painter.setFont(next(fitting, fonts[-1]))
        metrics = QFontMetricsF(painter.font())
        title = metrics.elidedText(title, Qt.TextElideMode.ElideRight, room)
        area = QRectF(theme.px(10), 0, self.width() - theme.px(14), metrics.height() + theme.px(8))
        painter.fillRect(area.adjusted(-theme.px(7), 0, 0, 0), QColor(look.plot))
        painter.setPen(QColor(look.accent))
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)

    def _paint_loss(self, painter: QPainter, phase: Phase) -> None:
        look = theme.current()
        figures = dict(zip(STEP_COLUMNS, phase.figures, strict=True))
        painter.setPen(QColor(look.text))
        painter.setFont(theme.font("title", bold=True))
        lines = [tr("loss {value}", value=words.number(figures["loss"], 3))]
        if not np.isnan(figures["accuracy"]):
            lines.append(tr("{part} % of the batch right", part=f"{100 * figures['accuracy']:.0f}"))
        spans = self._spans(len(phase.layers))
        output = spans[-1][0] + spans[-1][1] / 2 if spans else self.height() / 3
        height = QFontMetricsF(painter.font()).height()
        for number, line in enumerate(lines):
            painter.setFont(theme.font("title" if number == 0 else "normal", bold=number == 0))
            painter.drawText(QRectF(theme.px(14), output + number * height, self.width(), height), line)
        self._paint_title(painter, tr("loss: outputs against targets"))

    def _reached(self, phase: Phase, rows: int) -> NDArray[np.bool_]:
        """Which rows the phase has passed: forward from the input, backward from the output, the others all at once."""
        count = int(np.ceil(self.swept * rows))
        order = np.arange(rows)
        if phase.name == "forward":
            return order < count
        if phase.name == "backward":
            return order >= rows - count
        return np.ones(rows, np.bool_)

    def _paint_front(self, painter: QPainter, phase: Phase, spans: list[tuple[float, float]]) -> None:
        """An arrow at the layer that the phase has just reached."""
        if phase.name not in ("forward", "backward") or self.swept >= 1 or not spans:
            return
        rows = len(spans)
        at = min(rows - 1, int(self.swept * rows))
        row = at if phase.name == "forward" else rows - 1 - at
        ahead = min(max(row + (1 if phase.name == "forward" else -1), 0), rows - 1)
        y = spans[row][0] + spans[row][1] / 2
        up = spans[ahead][0] < spans[row][0]
        size, x = theme.px(6), theme.px(7)
        tip = -size if up else size
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.current().accent))
        painter.drawPolygon(QPolygonF([QPointF(x - size, y), QPointF(x + size, y), QPointF(x, y + tip)]))

    def _spans(self, rows: int) -> list[tuple[float, float]]:
        """Top and height of each row in this widget."""
        area = self.stage.rows_rect()
        shift = area.top() - self.y()
        heatmap = self.stage.heatmap
        spans = []
        for row in range(rows):
            span = heatmap.rows.span(row)
            if span is None:
                spans.append((-1e6, 1.0))
            else:
                spans.append((span[0] - heatmap.top() + shift, span[1]))
        return spans

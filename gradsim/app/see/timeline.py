"""The time line: the whole run in one strip, with what is shown and the moment that is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.player import Watched
from gradsim.app.see import words
from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.plots import LEFT, RIGHT, draw_part, faded, gutter, pen
from gradsim.app.see.pull import LayerPull
from gradsim.app.see.rows import RowSpace
from gradsim.i18n import tr, tr_n
from gradsim.telemetry.quantities import quantity

_COLUMNS = 512
REPLAY_MS = 33
SPEEDS = (1, 5, 20, 100, 500, 2000)
"""Steps per second of a replay that can be chosen."""


class Strip(QWidget):
    """The overview: all rows of the whole run, small; a frame around what the pictures show; the cursor.

    A drag goes to the step under the mouse; a drag of the frame's ends or with the right button moves what is shown.
    """

    def __init__(
        self, session: Watched, axis: TimeAxis, space: RowSpace | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.session, self.axis, self.space = session, axis, space or RowSpace()
        self._pull: LayerPull | None = None
        self._grip: str | None = None
        self._hold = 0.0
        self.setAccessibleName(tr("Time line of the whole run"))
        self.setToolTip(
            tr(
                "The whole run. Drag to go back to any recorded step; double click for the latest. Drag the frame's "
                "ends to choose what the pictures show. Keys: arrows one step, Page up and down a tenth, Home, End."
            )
        )
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        # The right button moves the frame.
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        state = session.state
        axis.changed.connect(self.update)
        axis.following_changed.connect(self.update)
        state.cursor_changed.connect(lambda _: self.update())
        state.hover_changed.connect(lambda _: self.update())
        state.quantity_changed.connect(lambda _: self._restart())
        state.thresholds_changed.connect(lambda _: self._restart())
        session.recorder_changed.connect(self._restart)
        session.turns.connect(self._pull_new)
        self.space.layout_changed.connect(lambda _: self._on_layout())
        theme.changed.connect(self._restart)
        self._restart()

    def sizeHint(self) -> QSize:
        return QSize(theme.px(400), theme.px(34))

    def _restart(self) -> None:
        recorder, key = self.session.recorder, self.session.state.quantity
        self._pull = None
        if recorder is not None:
            colours = np.array(theme.current().table_argb(quantity(key).colours), np.uint32)
            limits = self.session.state.thresholds(key)
            self._pull = LayerPull(recorder, key, limits, colours, upwards=self.space.upwards, capacity=_COLUMNS)
        self.updateGeometry()
        self._pull_new()
        self.update()

    def _on_layout(self) -> None:
        if self._pull is not None and self._pull.upwards != self.space.upwards:
            self._restart()

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._pull_new()

    def _pull_new(self) -> bool:
        if not self.isVisible() or self._pull is None or not self._pull.cover(*self.extent(), _COLUMNS):
            return False
        self.update()
        return True

    # Between steps and pixels

    def extent(self) -> tuple[float, float]:
        """First and last step of the strip."""
        first, stop = self.axis.recorded
        return first, max(stop, first + 1)

    def groove(self) -> QRectF:
        """Where the run is drawn; it begins and ends where the pictures above do."""
        left, right = gutter(LEFT), gutter(RIGHT)
        inset = theme.px(5)
        return QRectF(left, inset, max(1, self.width() - left - right), self.height() - 2 * inset)

    def x_of(self, step: float) -> float:
        """Pixels of a step."""
        first, stop = self.extent()
        groove = self.groove()
        return groove.left() + (step - first) / (stop - first) * groove.width()

    def step_of(self, x: float) -> float:
        """The step at a pixel, within the run."""
        first, stop = self.extent()
        groove = self.groove()
        return min(max(first + (x - groove.left()) / groove.width() * (stop - first), first), stop - 1e-6)

    def paintEvent(self, event: QPaintEvent) -> None:
        look, groove = theme.current(), self.groove()
        painter = QPainter(self)
        painter.fillRect(groove, QColor(look.surface))
        pull = self._pull
        if pull is not None and pull.recorded_columns:
            first, stop = self.extent()
            column, where = pull.window(first, stop)
            count = where.stop - where.start
            height = len(pull.pixels)
            rows = min(height, int(groove.height() * self.devicePixelRatioF()))
            if rows < height:
                at = np.arange(rows) * height // rows
                worst = pull.order[np.maximum.reduceat(pull.ranks[pull.classes[:, where]], at, axis=0)]
                pixels = pull.colours[worst]
            else:
                pixels = np.ascontiguousarray(pull.pixels[:, where])
            image = QImage(pixels.data, count, rows, count * 4, QImage.Format.Format_RGB32)
            begin = self.x_of(pull.recorder.first_step + column * pull.stride)
            span = count * pull.stride / (stop - first) * groove.width()
            painter.setClipRect(groove)
            target = QRectF(begin, groove.top(), span, groove.height())
            draw_part(painter, target, image, QRectF(image.rect()))
            painter.setClipping(False)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(pen(look.line))
        painter.drawRect(groove)
        self._paint_shown(painter, groove)
        self._paint_cursor(painter, groove)
        self._paint_ends(painter, groove)
        if self.hasFocus():
            painter.setPen(pen(look.accent, 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(groove.adjusted(-2, -2, 2, 2))

    def _paint_shown(self, painter: QPainter, groove: QRectF) -> None:
        look = theme.current()
        if self.session.state.range is None and self.axis.latest is None:
            return
        left, right = (min(max(self.x_of(s), groove.left()), groove.right()) for s in self.axis.shown)
        dim = faded(look.window, 170)
        painter.fillRect(QRectF(groove.left(), groove.top(), left - groove.left(), groove.height()), dim)
        painter.fillRect(QRectF(right, groove.top(), groove.right() - right, groove.height()), dim)
        painter.setPen(pen(look.text, theme.line_width(1.2)))
        painter.drawRect(QRectF(left, groove.top() - 2, max(right - left, 2), groove.height() + 4))

    def _paint_cursor(self, painter: QPainter, groove: QRectF) -> None:
        look, state = theme.current(), self.session.state
        if state.hover is not None:
            painter.setPen(pen(look.muted, 1.0, Qt.PenStyle.DashLine))
            x = self.x_of(state.hover[0] + 0.5)
            painter.drawLine(QPointF(x, groove.top()), QPointF(x, groove.bottom()))
        stop = self.extent()[1]
        step = stop - 0.5 if state.cursor is None else min(state.cursor + 0.5, stop)
        x = self.x_of(step)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(pen(look.accent, theme.line_width(1.4)))
        painter.drawLine(QPointF(x, groove.top() - 3), QPointF(x, groove.bottom() + 3))
        painter.setBrush(QColor(look.accent))
        size = theme.px(5)
        tip = groove.top() + size * 0.4
        painter.drawPolygon(QPolygonF([QPointF(x, tip), QPointF(x - size, tip - size), QPointF(x + size, tip - size)]))

    def _paint_ends(self, painter: QPainter, groove: QRectF) -> None:
        look = theme.current()
        painter.setFont(theme.font("small", fixed=True))
        painter.setPen(QColor(look.muted))
        first, stop = self.axis.recorded
        metrics = QFontMetricsF(painter.font())
        middle = Qt.AlignmentFlag.AlignVCenter
        left = QRectF(0, 0, groove.left() - theme.px(8), self.height())
        right = QRectF(groove.right() + theme.px(8), 0, self.width() - groove.right() - theme.px(8), self.height())
        painter.drawText(left, Qt.AlignmentFlag.AlignRight | middle, tr("run"))
        text = metrics.elidedText(
            tr_n("{count} step", "{count} steps", round(stop - first), count=words.steps(stop - first)),
            Qt.TextElideMode.ElideRight,
            right.width(),
        )
        painter.drawText(right, Qt.AlignmentFlag.AlignLeft | middle, text)

    # Mouse and keys

    def _grip_at(self, x: float) -> str | None:
        if self.session.state.range is None:
            return None
        left, right = (self.x_of(step) for step in self.axis.shown)
        reach = theme.px(5)
        return "left" if abs(x - left) <= reach else "right" if abs(x - right) <= reach else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if event.button() == Qt.MouseButton.RightButton:
            self._grip, self._hold = "frame", self.step_of(x)
        elif event.button() == Qt.MouseButton.LeftButton:
            self._grip = self._grip_at(x) or "cursor"
            self._drag(x)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._grip is not None:
            self._drag(x)
            return
        self.setCursor(Qt.CursorShape.SizeHorCursor if self._grip_at(x) else Qt.CursorShape.ArrowCursor)
        inside = self.groove().left() <= x <= self.groove().right() and self.axis.recorded[1] > self.axis.recorded[0]
        self.session.state.set_hover((int(self.step_of(x)), None) if inside else None)

    def _drag(self, x: float) -> None:
        step = self.step_of(x)
        start, stop = self.axis.shown
        if self._grip == "cursor":
            self.go_to(int(step))
        elif self._grip == "left":
            self.axis.show(min(step, stop - 8), stop)
        elif self._grip == "right":
            self.axis.show(start, max(step, start + 8))
        else:
            self.axis.pan(step - self._hold)
            self._hold = step

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._grip = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.session.state.set_cursor(None)
        self.axis.follow()

    def leaveEvent(self, event: Any) -> None:
        self.session.state.set_hover(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        first, stop = self.axis.recorded
        if stop <= first:
            event.ignore()
            return
        cursor = self.session.state.cursor
        here = int(stop) - 1 if cursor is None else cursor
        tenth = max(1, int((stop - first) / 10))
        key = Qt.Key
        moves = {key.Key_Left: -1, key.Key_Right: 1, key.Key_PageUp: -tenth, key.Key_PageDown: tenth}
        if event.key() == key.Key_Home:
            self.go_to(int(first))
        elif event.key() == key.Key_End:
            self.session.state.set_cursor(None)
        elif event.key() in moves and not event.modifiers():
            self.go_to(here + moves[Qt.Key(event.key())])
        else:
            event.ignore()

    def go_to(self, step: int) -> None:
        """Shows a recorded step; the last one is live."""
        first, stop = self.axis.recorded
        if stop <= first:
            return
        step = max(int(first), step)
        # A step that was pointed at before would be read everywhere instead of the one that is gone to.
        self.session.state.set_hover(None)
        self.session.state.set_cursor(None if step >= stop - 1 else step)
        start, end = self.axis.shown
        if self.session.state.range is not None and not start <= step < end:
            self.axis.pan(step - (start + end) / 2)


class TimeLine(QWidget):
    """The strip with the buttons beside it: replay at a chosen speed, back to live."""

    replaying_changed = Signal(bool)

    def __init__(
        self, session: Watched, axis: TimeAxis, space: RowSpace | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.session, self.axis = session, axis
        self.strip = Strip(session, axis, space, self)
        self.setAccessibleName(tr("Time line"))
        self.replay = QToolButton(self)
        self.replay.setText(tr("▷ Replay"))
        self.replay.setCheckable(True)
        self.replay.setAccessibleName(tr("Replay the record"))
        self.replay.setToolTip(tr("Play what is recorded again, from the shown step on. Nothing is trained by it."))
        self.replay.toggled.connect(self._toggle)
        self.speed = QComboBox(self)
        for speed in SPEEDS:
            self.speed.addItem(tr("{speed} steps/s", speed=speed), speed)
        self.speed.setCurrentIndex(2)
        self.speed.setAccessibleName(tr("Speed of the replay"))
        self.speed.setToolTip(tr("How many recorded steps a second the replay shows."))
        self.live = QToolButton(self)
        self.live.setText(tr("● Live"))
        self.live.setAccessibleName(tr("Back to the latest step"))
        self.live.setToolTip(tr("Show the latest step again, in every view."))
        self.live.clicked.connect(self.go_live)
        self.label = QLabel(self)
        self.label.setAccessibleName(tr("Shown step"))
        self._row = row = QHBoxLayout()
        for widget in (self.label, self.replay, self.speed, self.live):
            row.addWidget(widget)
        row.insertStretch(1, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.strip)
        whole.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setInterval(REPLAY_MS)
        self._timer.timeout.connect(self._play_on)
        self._place = 0.0
        offer_menu(self, session.failed.emit)
        session.state.cursor_changed.connect(lambda _: self._renew())
        session.slow_tick.connect(self._renew)
        session.recorder_changed.connect(self._stop)
        # A method, not a lambda: Qt lets go of it when the widget goes.
        theme.changed.connect(self._dress)
        self._dress()
        self._renew()

    def _dress(self) -> None:
        self._row.setContentsMargins(gutter(LEFT), 0, theme.px(8), 0)
        self._row.setSpacing(theme.px(6))
        self.label.setFont(theme.font("normal", fixed=True))

    @property
    def replaying(self) -> bool:
        """Whether a replay is under way."""
        return self._timer.isActive()

    def go_live(self) -> None:
        """The latest step, followed as the run goes on."""
        self._stop()
        self.session.state.set_cursor(None)
        self.axis.follow(self.axis.latest)

    def _toggle(self, on: bool) -> None:
        if on == self._timer.isActive():
            return
        first, stop = self.axis.recorded
        if on and stop > first:
            cursor = self.session.state.cursor
            self._place = float(first if cursor is None else cursor)
            self._timer.start()
            self.session.state.set_cursor(int(self._place))
        else:
            self._timer.stop()
            self.replay.setChecked(False)
        self.replaying_changed.emit(self._timer.isActive())

    def _stop(self) -> None:
        self.replay.setChecked(False)
        self._renew()

    def _play_on(self) -> None:
        cursor = self.session.state.cursor
        if cursor is None or cursor != int(self._place):
            # Whoever went elsewhere meanwhile is followed.
            if cursor is None:
                self._stop()
                return
            self._place = float(cursor)
        self._place += self.speed.currentData() * REPLAY_MS / 1000
        if self._place >= self.axis.recorded[1] - 1:
            self.session.state.set_cursor(None)
            self._stop()
            return
        self.strip.go_to(int(self._place))

    def _renew(self) -> None:
        first, stop = self.axis.recorded
        cursor = self.session.state.cursor
        live = cursor is None
        if stop <= first:
            text = tr("no step yet")
        elif live:
            text = tr("step {step}, live", step=words.steps(stop - 1))
        else:
            assert cursor is not None
            text = tr("step {step} of {last}", step=words.steps(cursor), last=words.steps(stop - 1))
        self.label.setText(text)
        self.live.setEnabled(not live or self.session.state.range is not None)
        self.replay.setEnabled(stop > first)

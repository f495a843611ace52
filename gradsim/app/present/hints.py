"""Call-outs of the first start: what is going on, where to look, what to click. They appear once and never block."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeySequence, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.see.plots import pen
from gradsim.i18n import tr

if TYPE_CHECKING:
    from gradsim.app.window import MainWindow

SHOWN = "hints/shown"
FOLLOW_MS = 200
LESSON = "vanishing"
"""What the first call-out offers to play."""


@dataclasses.dataclass(frozen=True)
class Hint:
    """One call-out.

    Attributes:
        text: A sentence or two.
        anchor: What it points at, in the window; an empty rectangle is the middle of the window.
        offer: ``(text, tooltip, function)`` of a further button, or None.
        prepare: Brings what it points at into view.
    """

    text: str
    anchor: Callable[[], QRect]
    offer: tuple[str, str, Callable[[], object]] | None = None
    prepare: Callable[[], object] = lambda: None


class Callout(QWidget):
    """A small panel with an arrow, beside what it speaks of."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._anchor = QRect()
        self._tip: QPoint | None = None
        self.setAccessibleName(tr("Hint"))
        self.text = QLabel(self)
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.count = QLabel(self)
        self.offer, self.next = QPushButton(self), QPushButton(self)
        self.off = QToolButton(self)
        self.off.setText(tr("No more hints"))
        self.off.setAccessibleName(self.off.text())
        self.off.setToolTip(tr("Close the hints. The menu Help shows them again."))
        for button in (self.offer, self.next):
            button.setAutoDefault(False)
        row = QHBoxLayout()
        row.addWidget(self.count)
        row.addWidget(self.off)
        row.addStretch(1)
        row.addWidget(self.offer)
        row.addWidget(self.next)
        self._column = column = QVBoxLayout(self)
        column.addWidget(self.text)
        column.addLayout(row)
        theme.changed.connect(self.dress)
        self.dress()

    def dress(self) -> None:
        """Takes fonts and distances from the theme."""
        look = theme.current()
        arrow = theme.px(12)
        self._column.setContentsMargins(arrow + theme.px(14), arrow + theme.px(10), arrow + theme.px(12), arrow + 10)
        self._column.setSpacing(theme.px(10))
        self.text.setFont(theme.font("large"))
        self.count.setFont(theme.font("small"))
        self.count.setStyleSheet(f"color: {look.muted};")
        for button in (self.offer, self.next, self.off):
            button.setFont(theme.font())
        self.text.setFixedWidth(theme.px(330))
        self.update()

    def point_at(self, anchor: QRect) -> None:
        """Stands beside a rectangle of the window, on the side with the most room."""
        self.adjustSize()
        parent = self.parentWidget()
        assert parent is not None
        size, whole = self.size(), parent.rect()
        if not anchor.isValid():
            self._tip = None
            self.move(whole.center() - QPoint(size.width() // 2, size.height() // 2))
            self.update()
            return
        middle = anchor.center()
        room = {
            "right": whole.right() - anchor.right() - size.width(),
            "left": anchor.left() - size.width(),
            "below": whole.bottom() - anchor.bottom() - size.height(),
            "above": anchor.top() - size.height(),
        }
        side = max(room, key=lambda name: room[name])
        if anchor.height() < size.height() and room["below"] > 0:
            # Beside a button it would cover that button's neighbours.
            side = "below"
        if room[side] < 0:
            # Larger than what is left beside it: it points into the picture from within.
            place = QPoint(middle.x() - size.width() // 2, anchor.top() + anchor.height() // 6)
        else:
            place = {
                "right": QPoint(anchor.right(), middle.y() - size.height() // 2),
                "left": QPoint(anchor.left() - size.width(), middle.y() - size.height() // 2),
                "below": QPoint(middle.x() - size.width() // 2, anchor.bottom()),
                "above": QPoint(middle.x() - size.width() // 2, anchor.top() - size.height()),
            }[side]
        x = max(whole.left(), min(place.x(), whole.right() - size.width()))
        y = max(whole.top(), min(place.y(), whole.bottom() - size.height()))
        self.move(x, y)
        near = QPoint(
            max(anchor.left(), min(x + size.width() // 2, anchor.right())),
            max(anchor.top(), min(y + size.height() // 2, anchor.bottom())),
        )
        self._tip = near - QPoint(x, y) if room[side] >= 0 else None
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        look, arrow = theme.current(), theme.px(12)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        body = QRectF(self.rect()).adjusted(arrow, arrow, -arrow, -arrow)
        path = QPainterPath()
        path.addRoundedRect(body, theme.px(6), theme.px(6))
        if self._tip is not None:
            tip = QPointF(
                max(1.0, min(float(self._tip.x()), self.width() - 2.0)),
                max(1.0, min(float(self._tip.y()), self.height() - 2.0)),
            )
            foot = QPointF(
                max(body.left() + 2 * arrow, min(tip.x(), body.right() - 2 * arrow)),
                max(body.top() + 2 * arrow, min(tip.y(), body.bottom() - 2 * arrow)),
            )
            along = QPointF(arrow, 0) if body.left() < tip.x() < body.right() else QPointF(0, arrow)
            horn = QPainterPath(foot + along)
            horn.lineTo(tip)
            horn.lineTo(foot - along)
            horn.closeSubpath()
            path = path.united(horn)
        painter.setPen(pen(look.accent, 2))
        painter.setBrush(QColor(look.surface))
        painter.drawPath(path)


class Hints(QObject):
    """The call-outs of a window, one after the other.

    Args:
        window: What they point at; its settings remember that they were shown.
    """

    changed = Signal()

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window
        self.callout: Callout | None = None
        self.index = 0
        self._hints: tuple[Hint, ...] = ()
        self._follow = QTimer(self)
        self._follow.setInterval(FOLLOW_MS)
        self._follow.timeout.connect(self._place)
        window.installEventFilter(self)
        # Nothing of this is for an audience, and a lesson has its own words.
        window.presenter.changed.connect(lambda: self.end() if window.presenter.on else None)
        window.lessons.lecture.changed.connect(self.end)
        self._replaced = False
        window.session.document_changed.connect(self._changed)

    @property
    def on(self) -> bool:
        """Whether one is shown."""
        return self.callout is not None

    def begin_once(self) -> None:
        """Shows them if they were never shown; not over an experiment that somebody opened meanwhile."""
        if not self._replaced and not self.window.settings.get(SHOWN, False):
            self.begin()

    def toggle(self) -> None:
        """Shows them from the first one, or closes them."""
        if self.on:
            self.end()
        else:
            self.begin()

    def begin(self) -> None:
        """Shows the first one."""
        self.end()
        self.window.settings.set(SHOWN, True)
        self._hints = tuple(self._all())
        self.callout = Callout(self.window)
        self.callout.next.clicked.connect(self.go_on)
        self.callout.off.clicked.connect(self.end)
        self.callout.offer.clicked.connect(self._take_offer)
        self.index = 0
        self._show()
        self._follow.start()
        self.changed.emit()

    def go_on(self) -> None:
        """The next one; after the last one they are over."""
        if self.index + 1 < len(self._hints):
            self.index += 1
            self._show()
        else:
            self.end()

    def end(self) -> None:
        """Closes them."""
        self._follow.stop()
        if self.callout is not None:
            self.callout.hide()
            self.callout.deleteLater()
            self.callout = None
            self.changed.emit()

    def _changed(self, _: object) -> None:
        document = self.window.session.document
        if not document.undo_names and not document.redo_names:
            # Another experiment with a history of its own: the first hint would say what is not so.
            self._replaced = True
            self.end()

    def _take_offer(self) -> None:
        offer = self._hints[self.index].offer
        self.end()
        if offer is not None:
            offer[2]()

    def _show(self) -> None:
        hint, callout = self._hints[self.index], self.callout
        assert callout is not None
        hint.prepare()
        last = self.index == len(self._hints) - 1
        callout.text.setText(hint.text)
        callout.setAccessibleDescription(hint.text)
        callout.count.setText(tr("{step} of {steps}", step=self.index + 1, steps=len(self._hints)))
        callout.next.setText(tr("Got it") if last else tr("Next"))
        callout.next.setAccessibleName(callout.next.text())
        callout.next.setToolTip(tr("Close the hints") if last else tr("The next hint"))
        callout.offer.setVisible(hint.offer is not None)
        if hint.offer is not None:
            text, tip, _ = hint.offer
            callout.offer.setText(text)
            callout.offer.setAccessibleName(text)
            callout.offer.setToolTip(tip)
        callout.show()
        self._place()
        callout.raise_()

    def _place(self) -> None:
        if self.callout is not None:
            self.callout.point_at(self._hints[self.index].anchor())
            self.callout.raise_()

    # What there is to say

    def _all(self) -> list[Hint]:
        window = self.window
        lessons = {lesson.name: lesson for lesson in window.lessons.everything()}
        offer = None
        if LESSON in lessons:
            offer = (
                tr("Start the lesson"),
                tr("Ten minutes on this very network: predict, run, compare"),
                lambda: window.lessons.open(lessons[LESSON]),
            )
        play = self._key("run.play")
        return [
            Hint(
                tr("A lesson of ten minutes shows why gradients vanish. Or look around yourself.")
                if self._replaced
                else tr(
                    "This is a real network of twenty layers, and it is training right now. Its lower layers learn "
                    "nothing. A lesson of ten minutes shows why, or look around yourself."
                ),
                QRect,
                offer,
            ),
            Hint(
                tr("{key} or this button pauses and goes on.", key=play),
                lambda: self._area(window.transport.buttons["run.play"]),
            ),
            Hint(
                tr(
                    "A row for each layer, the input at the bottom; time runs to the right. Blue: the gradient "
                    "vanishes. Red: it explodes."
                ),
                lambda: self._area(window.stage.heatmap),
            ),
            Hint(
                tr("What is wrong is named here: where, since when, and what helps."),
                lambda: self._area(window.side),
                prepare=lambda: self._page(window.diagnosis.findings),
            ),
            Hint(
                tr(
                    "Every cure is one click; the network starts again with it. {key} takes it back.",
                    key=self._key("edit.undo"),
                ),
                lambda: self._area(window.side),
                (
                    tr("To the guide"),
                    tr("How everything works"),
                    window.show_guide,
                ),
                prepare=lambda: self._page(window.diagnosis.cures),
            ),
        ]

    def _page(self, page: QWidget) -> None:
        self.window.side.show()
        self.window.side.show_page(page)

    def _key(self, verb: str) -> str:
        keys = self.window.actions_.keys(verb)
        return keys[0].toString(QKeySequence.SequenceFormat.NativeText) if keys else tr("A click")

    def _area(self, widget: QWidget) -> QRect:
        if not widget.isVisible():
            return QRect()
        return QRect(widget.mapTo(self.window, QPoint()), QSize(widget.size()))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

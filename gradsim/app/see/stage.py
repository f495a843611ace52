"""The middle of the window: heatmap and profile in the rows of the cards, curves and time line below them."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSplitter, QToolButton, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.colour_bar import ColourBar, QuantityChoice
from gradsim.app.see.curves import Curves
from gradsim.app.see.heatmap import Heatmap
from gradsim.app.see.plots import LEFT, gutter
from gradsim.app.see.profile import Profile
from gradsim.app.see.readings import Readings
from gradsim.app.see.rows import RowSpace
from gradsim.app.see.timeline import TimeLine
from gradsim.app.session import Session
from gradsim.i18n import tr


class ReadOut(QLabel):
    """What lies under the mouse, in whichever view; else what the heatmap shows."""

    def __init__(self, session: Session, heatmap: Heatmap, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session, self.heatmap = session, heatmap
        self._brief = False
        self.setAccessibleName(tr("Step, layer and value under the mouse"))
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        state = session.state
        for signal in (state.hover_changed, state.quantity_changed, state.cursor_changed):
            signal.connect(lambda _: self.renew())
        session.slow_tick.connect(self.renew)
        session.recorder_changed.connect(self.renew)
        theme.changed.connect(self.dress)
        self.dress()

    def dress(self) -> None:
        """Takes font and margins from the theme."""
        self.setFont(theme.font("normal", fixed=True))
        self.setContentsMargins(gutter(LEFT), 0, 0, theme.px(2))
        self.renew()

    def set_brief(self, on: bool) -> None:
        """Names the quantity where nothing is under the mouse, instead of explaining it."""
        self._brief = on
        self.renew()

    def renew(self) -> None:
        """Writes what is under the mouse now."""
        hover = self.session.state.hover
        if hover is not None:
            text = self.heatmap.read_out(*hover)
        else:
            text = tr(self.heatmap.definition.title if self._brief else self.heatmap.definition.help)
            if first := self.heatmap.nonfinite_text():
                text = first[0].upper() + first[1:]
        room = self.width() - self.contentsMargins().left() - theme.px(4)
        shown = QFontMetrics(self.font()).elidedText(text, Qt.TextElideMode.ElideRight, max(0, room))
        if shown != self.text():
            self.setText(shown)
            self.setToolTip(text)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self.renew()


class Stage(QWidget):
    """Heatmap, profile, curves and time line, aligned: rows with the cards, steps with each other.

    Args:
        session: What is shown.
        space: Where the rows lie; whoever lays out the cards sets it.
        axis: The time axis; made if None.

    The cards stand level with the rows if their viewport begins at the top of :meth:`rows_rect` and is as high.
    """

    rows_moved = Signal()
    """:meth:`rows_rect` may have changed."""

    def __init__(
        self, session: Session, space: RowSpace, axis: TimeAxis | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.session, self.space = session, space
        self.axis = axis or TimeAxis(session, self)
        self.choice = QuantityChoice(session, self)
        self.heatmap = Heatmap(session, self.axis, space)
        self.profile = Profile(session, space)
        self.read_out = ReadOut(session, self.heatmap, self)
        self.follow = QToolButton(self)
        self.follow.setText(tr("Follow"))
        self.follow.setCheckable(True)
        self.follow.setChecked(True)
        self.follow.setAccessibleName(tr("Follow the run"))
        self.follow.setToolTip(tr("Show the whole run and follow it, in all pictures. Zooming or moving ends it."))
        self.follow.clicked.connect(self._follow)
        self.latest = QToolButton(self)
        self.latest.setText(tr("Latest 500"))
        self.latest.setCheckable(True)
        self.latest.setAccessibleName(tr("Follow the latest 500 steps"))
        self.latest.setToolTip(tr("Show only the latest 500 steps and follow the run."))
        self.latest.clicked.connect(self._follow_latest)
        self.axis.following_changed.connect(lambda _: self._renew_follow())

        self._head = head = QHBoxLayout()
        head.addWidget(self.choice, 1)
        head.addWidget(self.follow)
        head.addWidget(self.latest)
        self.above = QSplitter(Qt.Orientation.Horizontal, self)
        self.above.addWidget(self.heatmap)
        self.above.addWidget(self.profile)
        # Made in the order in which the keyboard goes through them: as they stand, from above.
        self.colour_bar = ColourBar(session, self)
        self.curves, self.readings = Curves(session, self.axis), Readings(session)
        self.beneath = QSplitter(Qt.Orientation.Horizontal, self)
        self.beneath.addWidget(self.curves)
        self.beneath.addWidget(self.readings)
        self.time_line = TimeLine(session, self.axis, space, self)
        for splitter in (self.above, self.beneath):
            splitter.setStretchFactor(0, 3)
            splitter.setStretchFactor(1, 1)
            splitter.setCollapsible(0, False)
            splitter.setChildrenCollapsible(True)
        # The two share their division, so that the curves stay below the heatmap.
        self.above.splitterMoved.connect(lambda *_: self._level(self.above, self.beneath))
        self.beneath.splitterMoved.connect(lambda *_: self._level(self.beneath, self.above))
        upper = QWidget(self)
        top = QVBoxLayout(upper)
        top.setContentsMargins(0, 0, 0, 0)
        top.setSpacing(0)
        top.addLayout(head)
        top.addWidget(self.read_out)
        top.addWidget(self.above, 1)
        top.addWidget(self.colour_bar)
        self.parts = QSplitter(Qt.Orientation.Vertical, self)
        self.parts.addWidget(upper)
        self.parts.addWidget(self.beneath)
        self.parts.setStretchFactor(0, 3)
        self.parts.setStretchFactor(1, 1)
        self.parts.setCollapsible(0, False)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.parts, 1)
        whole.addWidget(self.time_line)
        self.heatmap.rows_moved.connect(self.rows_moved)
        self.parts.splitterMoved.connect(lambda *_: self.rows_moved.emit())
        self._first_show = True
        theme.changed.connect(self.dress)
        self.dress()

    def dress(self) -> None:
        """Takes distances from the zoom."""
        self._head.setContentsMargins(gutter(LEFT), 0, theme.px(8), 0)
        self._head.setSpacing(theme.px(4))

    def rows_rect(self) -> QRect:
        """The rows' part of the heatmap, in this widget's coordinates."""
        area = self.heatmap.area()
        top = self.heatmap.mapTo(self, QPoint(0, round(area.top())))
        return QRect(top, QSize(round(area.width()), round(area.height())))

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        if self._first_show:
            self._first_show = False
            self.above.setSizes([self.width() * 7 // 10, self.width() * 3 // 10])
            self._level(self.above, self.beneath)
            self.parts.setSizes([self.height() * 68 // 100, self.height() * 32 // 100])

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._level(self.above, self.beneath)
        self.rows_moved.emit()

    @staticmethod
    def _level(moved: QSplitter, other: QSplitter) -> None:
        if other.sizes() != moved.sizes():
            other.setSizes(moved.sizes())

    def _follow(self) -> None:
        self.axis.follow()
        self.session.state.set_cursor(None)
        self._renew_follow()

    def _follow_latest(self) -> None:
        self.axis.follow(500)
        self.session.state.set_cursor(None)
        self._renew_follow()

    def _renew_follow(self) -> None:
        following = self.axis.following
        self.follow.setChecked(following and self.axis.latest is None)
        self.latest.setChecked(following and self.axis.latest is not None)

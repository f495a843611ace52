"""The comparison in the window: a heatmap for each twin with its rows level, profiles and losses over each other."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QBrush, QColor, QFontMetrics, QFontMetricsF, QKeyEvent, QPainter, QPaintEvent, QTransform
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.compare import told
from gradsim.app.compare.aligned import Lines
from gradsim.app.compare.comparison import Comparison, Twin
from gradsim.app.compare.profiles import Profiles
from gradsim.app.see import words
from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.colour_bar import ColourBar, QuantityChoice
from gradsim.app.see.curves import ACCURACY, LOSS, CurvePlot, Trace
from gradsim.app.see.heatmap import Heatmap
from gradsim.app.see.picture import offer_menu
from gradsim.app.see.plots import RIGHT, TimePlot, faded, pen
from gradsim.app.see.rows import RowSpace
from gradsim.app.see.timeline import TimeLine
from gradsim.data import DataError
from gradsim.diagnose.twins import MOST
from gradsim.i18n import tr

NAMES = {2: 96, 3: 84, 4: 74}
"""Pixels for the names of the layers, by the number of twins."""
NARROW = 340
"""Pixels of a heatmap below which the present values beside it give their room to the picture."""


class Badge(QWidget):
    """The letter of a twin, in its colour."""

    def __init__(self, twin: Twin, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.twin = twin
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Twin {letter}", letter=twin.letter))

    def sizeHint(self) -> QSize:
        side = round(QFontMetrics(theme.font("large", bold=True)).height() * 1.15)
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look = theme.current()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look.curve(self.twin.colour))
        side = min(self.width(), self.height())
        area = QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)
        painter.drawEllipse(area.adjusted(0.5, 0.5, -0.5, -0.5))
        painter.setPen(QColor(look.plot))
        painter.setFont(theme.font("large", bold=True))
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, self.twin.letter)


class Line(QLabel):
    """One line of plain text with dots where there is no room, whole in its tooltip.

    Args:
        dots: Where they stand.
    """

    def __init__(self, parent: QWidget | None = None, dots: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__(parent)
        self._whole, self._dots = "", dots
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def say(self, text: str) -> None:
        """Shows a text."""
        if text != self._whole:
            self._whole = text
            self.setToolTip(text)
            self._fit()

    @property
    def whole(self) -> str:
        """The text without dots."""
        return self._whole

    def _fit(self) -> None:
        room = max(0, self.contentsRect().width() - 2)
        shown = QFontMetrics(self.font()).elidedText(self._whole, self._dots, room)
        if shown != self.text():
            self.setText(shown)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._fit()


class Head(QWidget):
    """Above a heatmap: which twin it is, where it stands or what is under the mouse, and what can be done with it."""

    adopt_wanted = Signal(int)
    edit_wanted = Signal(int)
    leave_out_wanted = Signal(int)

    def __init__(self, twin: Twin, heatmap: Heatmap, count: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.twin, self.heatmap = twin, heatmap
        self.badge = Badge(twin, self)
        # What tells twins apart often stands at the end: "learning rate 0.1".
        self.title, self.standing = Line(self, Qt.TextElideMode.ElideMiddle), Line(self)
        self.title.say(twin.member.title)
        self.adopt = QToolButton(self)
        self.adopt.setText(tr("Adopt"))
        self.adopt.setAccessibleName(tr("Adopt twin {letter}", letter=twin.letter))
        self.adopt.setToolTip(tr("Make this the open experiment and leave the comparison: one step to undo."))
        self.adopt.clicked.connect(lambda: self.adopt_wanted.emit(twin.place))
        self.more = QToolButton(self)
        self.more.setText("⋯")
        self.more.setAccessibleName(tr("More for twin {letter}", letter=twin.letter))
        self.more.setToolTip(tr("Adopt this twin, edit it, or leave it out."))
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        menu = QMenu(self.more)
        menu.setToolTipsVisible(True)
        menu.addAction(tr("&Adopt it"), lambda: self.adopt_wanted.emit(twin.place)).setToolTip(self.adopt.toolTip())
        menu.addAction(tr("&Edit it by hand…"), lambda: self.edit_wanted.emit(twin.place)).setToolTip(
            tr("Open it with its cards; from there the comparison goes on with what you made of it.")
        )
        out = menu.addAction(tr("&Leave it out"), lambda: self.leave_out_wanted.emit(twin.place))
        out.setEnabled(count > 2)
        self.more.setMenu(menu)
        for button in (self.adopt, self.more):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        lines = QVBoxLayout()
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(0)
        lines.addWidget(self.title)
        lines.addWidget(self.standing)
        self._row = row = QHBoxLayout(self)
        row.addWidget(self.badge)
        row.addLayout(lines, 1)
        row.addWidget(self.adopt)
        row.addWidget(self.more)
        twin.state.hover_changed.connect(lambda _: self.renew())
        twin.state.cursor_changed.connect(lambda _: self.renew())
        twin.slow_tick.connect(self.renew)
        twin.recorder_changed.connect(self.renew)
        theme.changed.connect(self.dress)
        self.dress()

    def dress(self) -> None:
        """Takes fonts and distances from the theme."""
        self._row.setContentsMargins(theme.px(6), theme.px(3), theme.px(4), theme.px(3))
        self._row.setSpacing(theme.px(6))
        self.title.setFont(theme.font("normal", bold=True))
        self.standing.setFont(theme.font("small", fixed=True))
        self.badge.updateGeometry()
        self.badge.update()
        self.renew()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        # Where there is little room the name has it; the menu has what the button does.
        self.adopt.setVisible(not self._narrow)
        self.renew()

    @property
    def _narrow(self) -> bool:
        return self.width() < theme.px(NARROW * theme.current().font_scale)

    def renew(self) -> None:
        """Writes what is under the mouse, or where the twin stands."""
        hover = self.twin.state.hover
        text = told.standing(self.twin, brief=self._narrow) if hover is None else self.heatmap.read_out(*hover)
        if hover is not None and hover[1] is None:
            text = f"{text} · {tr('no such layer here')}" if self._elsewhere() else text
        self.standing.say(text)

    def _elsewhere(self) -> bool:
        """Whether the mouse is over a layer that only another twin has."""
        comparison = self.twin.parent()
        return isinstance(comparison, Comparison) and any(
            twin.state.hover is not None and twin.state.hover[1] is not None for twin in comparison.twins
        )


class Gaps(pg.GraphicsObject):
    """Hatches the lines in which a twin has no layer, over its heatmap."""

    def __init__(self, heatmap: Heatmap) -> None:
        super().__init__()
        self.heatmap = heatmap
        self.spans: list[tuple[float, float]] = []

    def boundingRect(self) -> QRectF:
        return QRectF(self.heatmap.box.viewRect())

    def viewRangeChanged(self) -> None:
        self.prepareGeometryChange()

    def paint(self, painter: QPainter, *_: Any) -> None:
        heatmap, look = self.heatmap, theme.current()
        start, stop = heatmap.axis.shown
        scale = heatmap.box.width() / max(stop - start, 1e-9)
        painter.setWorldTransform(QTransform.fromScale(1 / scale, 1.0) * painter.worldTransform())
        brush = QBrush(faded(look.muted, 60), Qt.BrushStyle.BDiagPattern)
        for top, height in self.spans:
            painter.fillRect(QRectF(start * scale, top, (stop - start) * scale, height), brush)


class Told(QScrollArea):
    """The differences in words."""

    def __init__(self, comparison: Comparison, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.comparison = comparison
        self.setWidgetResizable(True)
        self.setAccessibleName(tr("What differs"))
        self.label = QLabel(self)
        self.label.setTextFormat(Qt.TextFormat.RichText)
        self.label.setWordWrap(True)
        self.label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setWidget(self.label)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        comparison.recorder_changed.connect(self.renew)
        theme.changed.connect(self.renew)
        self.renew()

    def renew(self) -> None:
        """Writes them anew."""
        look = theme.current()
        colours = {twin.letter: look.curve(twin.colour).name() for twin in self.comparison.twins}
        self.label.setFont(theme.font())
        self.label.setMargin(theme.px(8))
        self.label.setText(told.page(self.comparison, colours, look.muted))


class ComparisonView(QWidget):
    """All of a comparison.

    Args:
        upwards: Whether the stacks stand with their input at the bottom.
    """

    adopt_wanted = Signal(int)
    """The place of the twin."""
    edit_wanted = Signal(int)
    leave_out_wanted = Signal(int)
    add_wanted = Signal()
    leave_wanted = Signal()

    def __init__(self, comparison: Comparison, *, upwards: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.comparison, self.upwards = comparison, upwards
        count = len(comparison.twins)
        self.setAccessibleName(tr("Comparison"))
        self.axis = TimeAxis(comparison, self)
        self.spaces = tuple(RowSpace(self) for _ in comparison.twins)
        self.choice = QuantityChoice(comparison, self)
        self.add = QToolButton(self)
        self.add.setText(tr("+ Add a twin…"))
        self.add.setToolTip(tr("One more beside these: a cure, an example, a file."))
        self.add.setEnabled(count < MOST and comparison.moment is None)
        self.add.clicked.connect(self.add_wanted)
        self.leave = QToolButton(self)
        self.leave.setText(tr("✕ Leave the comparison"))
        self.leave.setToolTip(tr("Back to the single run, as it was left (Esc)."))
        self.leave.clicked.connect(self.leave_wanted)
        for button in (self.add, self.leave):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._forks: list[pg.InfiniteLine] = []
        self.heatmaps: list[Heatmap] = []
        self.heads: list[Head] = []
        self.gaps: list[Gaps] = []
        self._grid = grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(theme.px(8))
        grid.setVerticalSpacing(0)
        for twin, space in zip(comparison.twins, self.spaces, strict=True):
            heatmap = Heatmap(twin, self.axis, space, left=NAMES[count], right=RIGHT)
            heatmap.setAccessibleName(tr("Heatmap of twin {letter}", letter=twin.letter))
            # The sheet that this names is that of the single run.
            heatmap.picture_key = ""
            # Two are shown sixty times a second, three and four thirty times: a frame has no room for more.
            heatmap.take_turns(twin.place, 1 if count == 2 else 2)
            head = Head(twin, heatmap, count, self)
            gaps = Gaps(heatmap)
            heatmap.addItem(gaps, ignoreBounds=True)
            for signal, onward in (
                (head.adopt_wanted, self.adopt_wanted),
                (head.edit_wanted, self.edit_wanted),
                (head.leave_out_wanted, self.leave_out_wanted),
            ):
                signal.connect(onward)
            grid.addWidget(head, 0, twin.place)
            grid.addWidget(heatmap, 1, twin.place)
            grid.setColumnStretch(twin.place, 10)
            self.heatmaps.append(heatmap)
            self.heads.append(head)
            self.gaps.append(gaps)
        self.profiles = Profiles(comparison, self.spaces)
        self.profiles.picture_key = ""
        self.over = Line(self)
        grid.addWidget(self.over, 0, count)
        grid.addWidget(self.profiles, 1, count)
        grid.setColumnStretch(count, 5)
        grid.setRowStretch(1, 1)
        self.colour_bar = ColourBar(comparison, self)
        self.curves = tuple(
            CurvePlot(
                comparison,
                self.axis,
                series,
                [Trace(twin, series, twin.colour, letter=twin.letter) for twin in comparison.twins],
            )
            for series in (LOSS, ACCURACY)
        )
        if comparison.moment is not None:
            for plot in (*self.heatmaps, *self.curves):
                self._mark_fork(plot, comparison.moment.steps)
        self.told = Told(comparison, self)
        self.time_line = TimeLine(comparison, self.axis, self.spaces[0], self)
        self._bar = bar = QHBoxLayout()
        bar.addWidget(self.choice, 1)
        bar.addWidget(self.add)
        bar.addWidget(self.leave)
        upper = QWidget(self)
        top = QVBoxLayout(upper)
        top.setContentsMargins(0, 0, 0, 0)
        top.setSpacing(0)
        top.addLayout(bar)
        top.addLayout(grid, 1)
        top.addWidget(self.colour_bar)
        plots = QWidget(self)
        side = QVBoxLayout(plots)
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(theme.px(2))
        self._captions: list[QLabel] = []
        for plot in self.curves:
            caption = QLabel(tr(plot.series.title), self)
            self._captions.append(caption)
            side.addWidget(caption)
            side.addWidget(plot, 1)
            offer_menu(plot, comparison.failed.emit)
        self.beneath = QSplitter(Qt.Orientation.Horizontal, self)
        self.beneath.addWidget(plots)
        self.beneath.addWidget(self.told)
        self.beneath.setStretchFactor(0, 3)
        self.beneath.setStretchFactor(1, 2)
        self.parts = QSplitter(Qt.Orientation.Vertical, self)
        self.parts.addWidget(upper)
        self.parts.addWidget(self.beneath)
        self.parts.setCollapsible(0, False)
        self.parts.setStretchFactor(0, 3)
        self.parts.setStretchFactor(1, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.parts, 1)
        whole.addWidget(self.time_line)
        self._first_show = True
        self._laid: tuple[Lines, float] | None = None
        comparison.recorder_changed.connect(self._on_run)
        comparison.slow_tick.connect(self._renew_over)
        comparison.state.cursor_changed.connect(lambda _: self._renew_over())
        comparison.state.quantity_changed.connect(lambda _: self._renew_over())
        for heatmap in self.heatmaps:
            heatmap.rows_moved.connect(self._lay_out)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        offer_menu(self, comparison.failed.emit)
        theme.changed.connect(self.dress)
        self.dress()
        self._fit_accuracy()
        self._on_run()

    def _mark_fork(self, plot: TimePlot, step: int) -> None:
        """Where the twins part; what stands before it is the original's in all of them."""
        line = pg.InfiniteLine(pos=step, angle=90, movable=False)
        line.setZValue(90)
        plot.addItem(line, ignoreBounds=True)
        self._forks.append(line)

    def dress(self) -> None:
        """Takes distances and fonts from the theme."""
        for line in self._forks:
            line.setPen(pen(theme.current().text, theme.line_width(1.6), Qt.PenStyle.DashDotLine))
        self._bar.setContentsMargins(theme.px(8), theme.px(2), theme.px(8), theme.px(2))
        self._bar.setSpacing(theme.px(6))
        self.over.setFont(theme.font("normal", bold=True))
        self.over.setContentsMargins(theme.px(10), 0, 0, 0)
        for caption in self._captions:
            caption.setFont(theme.font("small", bold=True))
            caption.setContentsMargins(theme.px(10), theme.px(2), 0, 0)
        for plot in self.curves:
            plot.setMinimumHeight(theme.px(34))
        self._fit_columns()
        self._renew_over()

    def _renew_over(self) -> None:
        step = self.comparison.step
        # Few characters: with four twins there is room for no more.
        title = tr(self.profiles.definition.short)
        self.over.say(title if step is None else tr("{title}, step {step}", title=title, step=words.steps(step)))

    def _fit_accuracy(self) -> None:
        """Where all are regressions, the loss has the room of the accuracy."""
        shown = not all(_is_regression(twin) for twin in self.comparison.twins)
        self.curves[1].setVisible(shown)
        self._captions[1].setVisible(shown)

    def _on_run(self) -> None:
        for twin, heatmap in zip(self.comparison.twins, self.heatmaps, strict=True):
            heatmap.set_marks(told.marks(twin.place, self.comparison.differences))
        self._lay_out()

    def _lay_out(self) -> None:
        """Rows level: the layouts follow the height of the pictures."""
        lines = self.comparison.lines
        if lines is None or not self.isVisible():
            return
        height = min(heatmap.room() for heatmap in self.heatmaps)
        if self._laid == (lines, height):
            return
        self._laid = (lines, height)
        name = QFontMetricsF(theme.font("small")).height()
        spans = lines.spans(height, upwards=self.upwards, name=name)
        layouts = lines.layouts(height, upwards=self.upwards, name=name)
        for place, (space, layout) in enumerate(zip(self.spaces, layouts, strict=True)):
            self.gaps[place].spans = [spans[line] for line in lines.gaps(place)]
            self.gaps[place].update()
            space.set_layout(layout)

    def _fit_columns(self) -> None:
        """Where the heatmaps are narrow, their present values give way; hovering tells them."""
        count = len(self.heatmaps)
        self.profiles.setMinimumWidth(theme.px(180))
        each = self.width() * 10 / (10 * count + 5)
        for heatmap in self.heatmaps:
            heatmap.getPlotItem().showAxis("right", each >= theme.px(NARROW * theme.current().font_scale))

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        if self._first_show:
            self._first_show = False
            # As in the usual window: the rows of the layers get the most room.
            self.parts.setSizes([self.height() * 74 // 100, self.height() * 26 // 100])
            self.beneath.setSizes([self.width() * 58 // 100, self.width() * 42 // 100])
        self._fit_columns()
        QTimer.singleShot(0, self, self._lay_out)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._fit_columns()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.leave_wanted.emit()
        else:
            super().keyPressEvent(event)


def _is_regression(twin: Twin) -> bool:
    try:
        return twin.experiment.data.signature().task == "regression"
    except DataError:
        return False

"""What is learned and how: data, loss, optimizer, learning rate, clipping, regime, schedule, seed, number format."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpacerItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.build.editors import Combo, KindEditor, LongTextEditor, NumberEditor, number_text
from gradsim.app.build.forms import RESETS, Form, RateEditor, Target, label_width, refusal
from gradsim.app.build.panel import Panel
from gradsim.app.build.problem_list import ProblemList
from gradsim.app.session import Session
from gradsim.app.sizes import sizes
from gradsim.data import DataError, Source
from gradsim.i18n import mark, tr, tr_n
from gradsim.model import edits
from gradsim.model.change import Change
from gradsim.model.edits import Edit, EditError
from gradsim.model.experiment import Experiment
from gradsim.nn.optimizers import Optimizer
from gradsim.nn.schedules import Schedule
from gradsim.nn.spec import REGISTRIES, fields_of

if TYPE_CHECKING:
    from gradsim.app.inout.own_data import OwnData

CLIPPING = {view.name: view for view in fields_of(Optimizer) if view.name.startswith(("clip", "global_clip"))}
"""The ways of clipping, as the optimizer defines them."""
BATCH = {view.name: view for view in fields_of(Experiment)}["batch_size"]
REGIMES = (
    ("full", "Full batch", "One update for each pass over all rows: smooth and slow."),
    ("stochastic", "Stochastic", "One update for each row: noisy and quick."),
    ("mini", "Mini-batch", "One update for each few rows: the usual choice."),
)
USUAL_BATCH = 32
USUAL_LIMIT = 1.0


class RunPanel(Panel):
    """The panel of the run."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.setAccessibleName(tr("Data, loss and optimizer"))
        session.document_changed.connect(self._on_change)
        self.renew()

    def build(self, inside: QWidget, layout: QVBoxLayout) -> None:
        session = self.session
        self.problems = ProblemList(session, inside)
        layout.addWidget(self.problems)

        self._section(layout, tr("Data"))
        self.data = DataSection(session, inside)
        layout.addWidget(self.data)

        self._section(layout, tr("Loss"))
        self.loss = Form(session, Target(), inside, only=("loss",), bare=True)
        layout.addWidget(self.loss)

        self._section(layout, tr("Optimizer"))
        self.optimizer = OptimizerSection(session, inside)
        layout.addWidget(self.optimizer)

        self._section(layout, tr("Batches"))
        self.regime = RegimeSection(session, inside)
        layout.addWidget(self.regime)

        self._section(layout, tr("Start and numbers"))
        fields = ("seed", "dtype", "shuffle", "pretrained", "pretrained_layers")
        self.start = Form(session, Target(), inside, only=fields)
        layout.addWidget(self.start)

        self._section(layout, tr("About this experiment"))
        self.about = Form(
            session, Target(), inside, only=("name", "description"), editors={"description": LongTextEditor}
        )
        layout.addWidget(self.about)

    def _section(self, layout: QVBoxLayout, title: str) -> None:
        heading = QLabel(title)
        heading.setFont(theme.font("normal", bold=True))
        heading.setContentsMargins(0, theme.px(6), 0, 0)
        layout.addWidget(heading)

    def show_section(self, name: str) -> None:
        """Takes the keyboard to "data", "loss", "optimizer" or "batches"."""
        place: dict[str, QWidget] = {
            "data": self.data.kind,
            "loss": self.loss.fields["loss"].editor,
            "optimizer": self.optimizer.kind,
            "batches": self.regime.combo,
        }
        widget = place.get(name)
        if widget is not None:
            self.scroll_area.ensureWidgetVisible(widget)
            widget.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_change(self, change: Change) -> None:
        self.refresh(data=bool(change.facets & {"data", "batch_size"}) or not change)

    def refresh(self, *, data: bool = True) -> None:
        """Shows the experiment as it is now."""
        # What shows on a card is said there and in the inspector.
        self.problems.show_problems([problem for problem in self.session.problems if not problem.uid])
        if data:
            self.data.refresh()
            self.regime.refresh()
        self.optimizer.refresh()
        for form in (self.loss, self.start, self.about):
            form.refresh()


class _Section(QWidget):
    """Rows of label and control with one edit each, and a line for what is refused."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.grid = QGridLayout(self)
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setHorizontalSpacing(theme.px(8))
        self.grid.setVerticalSpacing(theme.px(4))
        self.grid.setColumnStretch(1, 1)
        self.grid.setColumnMinimumWidth(0, label_width())
        # An empty column would not take its place: where forms have their reset buttons, a section has nothing.
        self.grid.addItem(QSpacerItem(theme.px(RESETS), 0), 0, 2)
        self.error = QLabel(self)
        self.error.setWordWrap(True)
        self.error.setForegroundRole(QPalette.ColorRole.BrightText)
        self.error.setTextFormat(Qt.TextFormat.PlainText)
        self.error.hide()
        self._gesture = 0

    def row(self, row: int, title: str, widget: QWidget, help: str, *, bare: bool = False) -> None:
        """Adds a control with its label and words; ``bare`` where a heading says what it is."""
        widget.setToolTip(help)
        widget.setAccessibleName(title)
        widget.setAccessibleDescription(help)
        if bare:
            self.grid.addWidget(widget, row, 0, 1, 2)
            return
        label = QLabel(title, self)
        label.setBuddy(widget)
        label.setToolTip(help)
        self.grid.addWidget(label, row, 0)
        self.grid.addWidget(widget, row, 1)

    def make(self, build: Any, *, name: str = "", dragging: bool = False) -> bool:
        """Makes an edit; says at once why it can't be made."""
        try:
            edit: Edit = build(self.session.document.experiment)
        except EditError as error:
            self.error.setText(refusal(error))
            self.error.show()
            return False
        self.error.hide()
        if name:
            edit = dataclasses.replace(edit, name=name)
        key = ("section", id(self), name, self._gesture) if dragging else None
        self.session.apply(edit, merge_key=key)
        return True

    def end_gesture(self) -> None:
        """The next edit is a step of its own."""
        self._gesture += 1


class DataSection(_Section):
    """Which data, their own fields, and one line that says what they hold."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self.kind = Combo(self)
        self._fill()
        self.row(0, tr("Data set"), self.kind, tr("What the stack learns from."), bare=True)
        self.preview = QLabel(self)
        self.preview.setWordWrap(True)
        self.preview.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.preview.setTextFormat(Qt.TextFormat.PlainText)
        self.browse = QPushButton(tr("Choose file\u2026"), self)
        self.browse.setToolTip(tr("Choose the file with the data"))
        self.form = Form(session, Target(("",), "data"), self)
        self.grid.addWidget(self.error, 1, 0, 1, 3)
        self.grid.addWidget(self.browse, 2, 1, Qt.AlignmentFlag.AlignLeft)
        self.grid.addWidget(self.preview, 3, 0, 1, 3)
        self.fold = QToolButton(self)
        self.fold.setText(tr("Settings of the data"))
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.setArrowType(Qt.ArrowType.RightArrow)
        self.fold.setCheckable(True)
        self.fold.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.fold.setToolTip(tr("How many rows, noise, split and what else belongs to this data set"))
        self.grid.addWidget(self.fold, 4, 0, 1, 2, Qt.AlignmentFlag.AlignLeft)
        self.grid.addWidget(self.form, 5, 0, 1, 3)
        self.fold.toggled.connect(self._unfold)
        self.kind.activated.connect(self._choose)
        self.browse.clicked.connect(lambda: self.choose_file(self.source.identifier))
        self.setFocusProxy(self.kind)
        self.form.hide()

    @property
    def source(self) -> Source:
        """The data as they are now."""
        return self.session.document.experiment.data

    def _fill(self) -> None:
        groups: dict[str, list[tuple[str, type[Source]]]] = {}
        for identifier, spec in REGISTRIES["dataset"].items():
            groups.setdefault(spec.group, []).append((identifier, spec))
        for number, some in enumerate(groups.values()):
            if number:
                self.kind.insertSeparator(self.kind.count())
            for identifier, spec in some:
                self.kind.addItem(tr(spec.title) or identifier, identifier)
                self.kind.setItemData(self.kind.count() - 1, tr(spec.summary()), Qt.ItemDataRole.ToolTipRole)

    def _unfold(self, unfolded: bool) -> None:
        self.fold.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)
        self.form.setVisible(unfolded)

    def _choose(self, index: int) -> None:
        identifier = str(self.kind.itemData(index))
        if identifier == self.source.identifier:
            return
        if any(view.required for view in fields_of(REGISTRIES["dataset"][identifier])):
            self.kind.choose(self.source.identifier)
            self.choose_file(identifier)
            return
        self.make(lambda experiment: edits.choose(experiment, "", "data", identifier))
        self.refresh()

    def choose_file(self, identifier: str) -> OwnData | None:
        """Asks for the file or folder of a source and shows what is in it; None if the user thinks better of it."""
        from gradsim.app.inout.own_data import OwnData

        title = tr(REGISTRIES["dataset"][identifier].title)
        start = os.path.dirname(getattr(self.source, "path", ""))
        if identifier == "images":
            path = QFileDialog.getExistingDirectory(self, tr("Open a {kind}", kind=title), start)
        else:
            path, _ = QFileDialog.getOpenFileName(
                self, tr("Open a {kind}", kind=title), start, f"{title} (*.{identifier})"
            )
        if not path:
            return None
        dialog = OwnData(self.session, Path(path).parent, Path(path), parent=self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def refresh(self) -> None:
        """Shows the data as they are now."""
        source = self.source
        held = source.identifier not in REGISTRIES["dataset"]
        at = self.kind.findData(source.identifier)
        if held and at < 0:
            self.kind.addItem(tr(source.title), source.identifier)
        self.kind.choose(source.identifier)
        self.browse.setVisible(any(view.name == "path" for view in fields_of(type(source))))
        self.form.refresh()
        self.fold.setVisible(bool(self.form.fields))
        self.form.setVisible(self.fold.isChecked() and bool(self.form.fields))
        self.preview.setText(preview(source))


def row_count(source: Source) -> int | None:
    """Training rows of a source; None if it can't be read."""
    try:
        return sizes(source)[0]
    except DataError:
        return None


def preview(source: Source) -> str:
    """What the data hold, in one line: ``4,000 rows + 1,000 to validate, 28 × 28 values, 10 classes``."""
    try:
        signature = source.signature()
        train, val = sizes(source)
    except DataError as error:
        return tr("Can't be read: {why}", why="; ".join(fault.message for fault in error.faults[:2]))
    shape = " \u00d7 ".join(map(str, signature.input_shape))
    if len(signature.input_shape) > 1:
        values = tr("{shape} values", shape=shape)
    else:
        values = tr_n("{n} feature", "{n} features", signature.input_shape[0])
    if signature.class_names:
        what = tr_n("{n} class", "{n} classes", len(signature.class_names))
    else:
        what = tr_n("{n} number to predict", "{n} numbers to predict", signature.outputs)
    rows = tr_n("{count} row", "{count} rows", train, count=f"{train:,}")
    if val:
        rows = tr("{rows} + {count} to validate", rows=rows, count=f"{val:,}")
    return tr("{rows}, {values}, {what}", rows=rows, values=values, what=what)


class OptimizerSection(_Section):
    """Optimizer, learning rate with its schedule, clipping, and the optimizer's other fields."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        views = {view.name: view for view in fields_of(Experiment)}
        self.kind = KindEditor(views["optimizer"], self)
        help_ = tr(views["optimizer"].help)
        self.row(0, tr("Optimizer"), self.kind, help_, bare=True)
        self.kind.describe(tr("Optimizer"), help_, help_)
        self.rate = Form(
            session, Target(("",), "optimizer"), self, only=("learning_rate",), editors={"learning_rate": RateEditor}
        )
        self.picture = RatePicture(session, self)
        self.clipping = Combo(self)
        self.clipping.addItem(tr("none"), "")
        for name, view in CLIPPING.items():
            self.clipping.addItem(tr(view.title.removeprefix("Clip ")), name)
            self.clipping.setItemData(self.clipping.count() - 1, tr(view.help), Qt.ItemDataRole.ToolTipRole)
        limit_view = dataclasses.replace(next(iter(CLIPPING.values())), optional=False, title=mark("Limit"))
        self.limit = NumberEditor(limit_view, self)
        self.limit.describe(
            tr("Clipping limit"), tr("What a gradient is cut to."), tr("What a gradient is cut to; acts at once")
        )
        self.rest = Form(session, Target(("",), "optimizer"), self, skip=("learning_rate", *CLIPPING))
        self.grid.addWidget(self.error, 1, 0, 1, 3)
        self.grid.addWidget(self.rate, 2, 0, 1, 3)
        self.grid.addWidget(self.picture, 3, 0, 1, 3)
        help_ = tr(
            "Shorten gradients that are too long, so that a steep place can't throw the weights away; acts at once."
        )
        self.row(4, tr("Clip gradients"), self.clipping, help_)
        self.limit_label = QLabel(tr("Limit"), self)
        self.limit_label.setBuddy(self.limit)
        self.grid.addWidget(self.limit_label, 5, 0)
        self.grid.addWidget(self.limit, 5, 1)
        self.grid.addWidget(self.rest, 6, 0, 1, 3)
        self._limit = USUAL_LIMIT
        self.kind.edited.connect(self._choose)
        self.clipping.activated.connect(self._clip)
        self.limit.edited.connect(lambda value, dragging: self._set_clip(self.way, value, dragging))
        self.limit.finished.connect(self.end_gesture)
        self.setFocusProxy(self.kind)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer as it is now."""
        return self.session.document.experiment.optimizer

    @property
    def way(self) -> str:
        """The field that says how gradients are clipped; "" for none."""
        return next((name for name in CLIPPING if getattr(self.optimizer, name) is not None), "")

    def _choose(self, identifier: object, _: bool) -> None:
        self.make(lambda experiment: edits.choose(experiment, "", "optimizer", str(identifier)))

    def _clip(self, index: int) -> None:
        self._set_clip(str(self.clipping.itemData(index)), self._limit, False)

    def _set_clip(self, way: str, limit: Any, dragging: bool) -> None:
        def build(experiment: Experiment) -> Edit:
            # Two fields at once, since two ways of clipping can't be set at the same time.
            steps = [
                edits.set_field(experiment, "", f"optimizer.{name}", None)
                for name in [self.way]
                if name and name != way
            ]
            now = steps[-1].experiment if steps else experiment
            if way:
                steps.append(edits.set_field(now, "", f"optimizer.{way}", limit))
            if not steps:
                return edits.set_field(experiment, "", "optimizer", experiment.optimizer)
            return edits.combine(steps, mark("Change clipping"))

        self.make(build, name=mark("Change clipping"), dragging=dragging)

    def refresh(self) -> None:
        """Shows the optimizer as it is now."""
        optimizer = self.optimizer
        self.kind.set_value(optimizer)
        way = self.way
        self.clipping.choose(way)
        self.limit.setVisible(bool(way))
        self.limit_label.setVisible(bool(way))
        if way:
            self._limit = getattr(optimizer, way)
            self.limit.set_value(self._limit)
            self.limit_label.setToolTip(tr(CLIPPING[way].help))
        self.rate.refresh()
        self.rest.refresh()
        self.picture.setVisible(isinstance(optimizer.learning_rate, Schedule))
        self.picture.update()


class RatePicture(QWidget):
    """The learning rate over the steps, with the step that is shown."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Learning rate over the steps"))
        self.setToolTip(tr("The learning rate over the steps; the line stands at the step that is shown"))
        session.slow_tick.connect(self._moved)
        session.state.cursor_changed.connect(self._moved)
        self._drawn: int | None = None

    def sizeHint(self) -> QSize:
        return QSize(theme.px(200), theme.px(84))

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(120), theme.px(84))

    def _moved(self, *_: object) -> None:
        if self.isVisible() and self.session.step != self._drawn:
            self.update()

    @staticmethod
    def span(schedule: Schedule) -> int:
        """Steps to show: until the schedule has done what it does."""
        counts = [
            getattr(schedule, view.name)
            for view in fields_of(type(schedule))
            if view.type == "int" and view.name.endswith("steps")
        ]
        return max(10, round(1.25 * sum(counts)))

    def paintEvent(self, event: QPaintEvent) -> None:
        schedule = self.session.document.experiment.optimizer.learning_rate
        if not isinstance(schedule, Schedule):
            return
        used = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        small = theme.font("tiny", fixed=True)
        metrics = QFontMetricsF(small)
        span = self.span(schedule)
        steps = np.linspace(0, span, 200)
        rates = np.asarray(schedule.rates(np.floor(steps)), np.float64)
        highest = float(rates.max()) or 1.0
        area = QRectF(self.rect()).adjusted(1, theme.px(4), -theme.px(2), -metrics.height() - theme.px(3))
        label = number_text(float(f"{highest:.2g}"))
        area.setLeft(area.left() + metrics.horizontalAdvance(label) + theme.px(5))
        painter.fillRect(area, QColor(used.plot))
        painter.setPen(QPen(QColor(used.line), 1))
        painter.drawRect(area)
        painter.setFont(small)
        painter.setPen(QColor(used.muted))
        right = Qt.AlignmentFlag.AlignRight
        margin = QRectF(0, area.top() - 2, area.left() - theme.px(3), metrics.height())
        painter.drawText(margin, right, label)
        painter.drawText(margin.translated(0, area.height() - metrics.height() + 4), right, "0")
        below = QRectF(area.left(), area.bottom() + 1, area.width(), metrics.height() + 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, tr("step 0"))
        painter.drawText(below, right, f"{span:,}")
        points = [
            QPointF(area.left() + area.width() * x / span, area.bottom() - 2 - (area.height() - 4) * y / highest)
            for x, y in zip(steps.tolist(), rates.tolist(), strict=True)
        ]
        painter.setPen(QPen(used.curve("learning_rate"), theme.line_width()))
        painter.drawPolyline(QPolygonF(points))
        self._drawn = self.session.step
        if self._drawn is not None and self._drawn <= span:
            x = area.left() + area.width() * self._drawn / span
            painter.setPen(QPen(QColor(used.text), 1))
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.end()


class RegimeSection(_Section):
    """Full batch, stochastic or mini-batch, and how many updates an epoch then has."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self.combo = Combo(self)
        for key, title, help in REGIMES:
            self.combo.addItem(tr(title), key)
            self.combo.setItemData(self.combo.count() - 1, tr(help), Qt.ItemDataRole.ToolTipRole)
        self.row(0, tr("Regime"), self.combo, tr("How many rows each update of the weights looks at."), bare=True)
        self.rows = NumberEditor(dataclasses.replace(BATCH, optional=False), self)
        self.rows.describe(tr(BATCH.title), tr(BATCH.help), tr(BATCH.help))
        self.rows_label = QLabel(tr(BATCH.title), self)
        self.rows_label.setBuddy(self.rows)
        self.grid.addWidget(self.rows_label, 1, 0)
        self.grid.addWidget(self.rows, 1, 1)
        self.updates = QLabel(self)
        self.updates.setWordWrap(True)
        self.updates.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.grid.addWidget(self.updates, 2, 0, 1, 3)
        self.grid.addWidget(self.error, 3, 0, 1, 3)
        self._size = USUAL_BATCH
        self.combo.activated.connect(self._choose)
        self.rows.edited.connect(self._set_size)
        self.rows.finished.connect(self.end_gesture)
        self.setFocusProxy(self.combo)
        self._mini = False

    @property
    def key(self) -> str:
        """The regime as it is now."""
        batch = self.session.document.experiment.batch_size
        if batch is None:
            return "full"
        return "stochastic" if batch == 1 and not self._mini else "mini"

    def _choose(self, index: int) -> None:
        key = self.combo.itemData(index)
        # A mini-batch of one row may be typed; it must not turn into the other regime under the hand.
        self._mini = key == "mini"
        value = {"full": None, "stochastic": 1, "mini": self._size}[key]
        name = f"{self.combo.itemText(index)}"
        self.make(lambda experiment: edits.set_field(experiment, "", "batch_size", value), name=name)
        self.refresh()

    def _set_size(self, value: Any, dragging: bool) -> None:
        self._mini = True
        self.make(
            lambda experiment: edits.set_field(experiment, "", "batch_size", value),
            name=mark("Change batch size"),
            dragging=dragging,
        )
        self.refresh()

    def refresh(self) -> None:
        """Shows the regime as it is now."""
        experiment = self.session.document.experiment
        batch, key = experiment.batch_size, self.key
        self.combo.choose(key)
        self.rows.setVisible(key == "mini")
        self.rows_label.setVisible(key == "mini")
        if batch is not None:
            if batch != 1:
                self._size = batch
            self.rows.set_value(batch)
        rows = row_count(experiment.data)
        if rows is None:
            self.updates.setText("")
            return
        each = rows if batch is None else min(batch, rows)
        count = -(-rows // each)
        self.updates.setText(
            tr_n(
                "{count} update per epoch ({rows} rows)",
                "{count} updates per epoch ({rows} rows)",
                count,
                count=f"{count:,}",
                rows=f"{rows:,}",
            )
        )

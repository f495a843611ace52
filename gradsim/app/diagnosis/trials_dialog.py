"""Try the cures: the table of all trials, ranked while they run, each with its heatmap in miniature."""

from __future__ import annotations

import enum
import math
from typing import Any, Literal

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionButton,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.diagnosis.trying import Trial, Trying
from gradsim.app.diagnosis.watching import Watching
from gradsim.app.see import miniature, words
from gradsim.app.session import Session
from gradsim.diagnose import combined
from gradsim.diagnose.cures import Result
from gradsim.i18n import mark, tr, tr_n
from gradsim.telemetry.classes import Classes
from gradsim.telemetry.quantities import quantity

STEPS = (100, 300, 1000)
USUAL_STEPS = 300
PICTURE = (160, 48)
"""Most columns and lines of a heatmap in miniature."""


class Column(enum.IntEnum):
    """Of the table, from left to right."""

    RANK = 0
    CURE = 1
    HEATMAP = 2
    LOSS = 3
    ACCURACY = 4
    HEALTH = 5
    WRONG = 6
    ADOPT = 7


HEADS = (
    (mark("#"), mark("Rank: by the loss reached and the health of the gradient")),
    (mark("Cure"), mark("What was changed")),
    (mark("Heatmap"), mark("Every layer over all steps, in the colours and on the scale of the large heatmap")),
    (mark("Val. loss"), mark("On rows that were not trained on, after the last step")),
    (mark("Accuracy"), mark("Share of right answers on rows that were not trained on")),
    (mark("Health"), mark("Share of the kernels whose update moves them by neither nothing nor all of themselves")),
    (mark("Still wrong"), mark("What a diagnosis of the trial finds")),
    ("", mark("Changes the open experiment in this way; undo takes it back")),
)
SHOWABLE = frozenset(
    {
        "delta_rms", "delta_norm", "gradient_rms", "gradient_norm", "weight_rms", "weight_norm", "update_ratio",
        "activation_mean", "activation_std", "saturated", "dead",
    }
)  # fmt: skip
"""Quantities that the recording of a trial still has."""
LATE = 1e300
"""Sorts behind all that is known."""

Index = QModelIndex | QPersistentModelIndex


class TrialsModel(QAbstractTableModel):
    """The trials as a table, sorted by any column; those that have not ended stay below."""

    def __init__(self, colours: Literal["diverging", "sequential"], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.colours = colours
        self.trying: Trying | None = None
        self.shown: list[Trial] = []
        self._column: int = Column.RANK
        self._order = Qt.SortOrder.AscendingOrder

    def show_trials(self, trying: Trying) -> None:
        """Shows another round."""
        self.beginResetModel()
        self.trying = trying
        self.shown = list(trying.trials)
        self.endResetModel()

    def renew(self) -> None:
        """Takes in what has happened: rows move where they belong, and what is selected stays selected."""
        self._arrange()
        if self.shown:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.shown) - 1, Column.ADOPT))

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._column, self._order = column, order
        self._arrange()

    def _arrange(self) -> None:
        if self.trying is None:
            return
        trials = self.trying.ranked()
        ended = [trial for trial in trials if trial.result is not None]
        if self._column not in (Column.RANK, Column.ADOPT, Column.HEATMAP):
            ended.sort(key=self._key)
        if self._order == Qt.SortOrder.DescendingOrder:
            ended.reverse()
        arranged = [*ended, *(trial for trial in trials if trial.result is None)]
        if arranged == self.shown:
            return
        self.layoutAboutToBeChanged.emit()
        place = {id(trial): row for row, trial in enumerate(arranged)}
        before = self.persistentIndexList()
        after = [self.index(place[id(self.shown[index.row()])], index.column()) for index in before]
        self.shown = arranged
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _key(self, trial: Trial) -> Any:
        result = trial.result
        assert result is not None
        match self._column:
            case Column.CURE:
                return trial.candidate.title.lower()
            case Column.LOSS:
                return LATE if math.isnan(result.loss) else result.loss
            case Column.ACCURACY:
                return LATE if math.isnan(result.accuracy) else -result.accuracy
            case Column.HEALTH:
                return -result.health
        return len(result.findings)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.shown)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        title, tip = HEADS[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return tr(title)
        return tr(tip) if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        trial = self.shown[index.row()]
        column = index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(trial, column)
        if role == Qt.ItemDataRole.UserRole:
            return trial
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(trial, column)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{tr(HEADS[column][0])} {self._text(trial, column)}".strip()
        if role == Qt.ItemDataRole.FontRole and column == Column.CURE and not trial.candidate.keys:
            font = QFont(theme.font())
            font.setItalic(True)
            return font
        if role == Qt.ItemDataRole.ForegroundRole and trial.result is None:
            return QColor(theme.current().muted)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            right = column in (Column.RANK, Column.LOSS, Column.ACCURACY, Column.HEALTH)
            side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def _text(self, trial: Trial, column: int) -> str:
        result = trial.result
        if column == Column.CURE:
            return trial.candidate.title
        if result is None:
            if column != Column.WRONG:
                return ""
            steps = 0 if self.trying is None else self.trying.steps
            if trial.step is None:
                return tr("waits")
            return tr("step {step} of {steps}", step=words.steps(trial.step), steps=words.steps(steps))
        match column:
            case Column.RANK:
                return str(trial.rank)
            case Column.LOSS:
                return "NaN" if result.broke else words.number(result.loss, 3)
            case Column.ACCURACY:
                return "" if math.isnan(result.accuracy) else f"{result.accuracy:.1%}"
            case Column.HEALTH:
                return f"{result.health:.0%}"
            case Column.WRONG:
                return _wrong(result)
            case Column.ADOPT:
                return tr("Adopt") if trial.candidate.keys else ""
        return ""

    def _tip(self, trial: Trial, column: int) -> str:
        if column == Column.WRONG and trial.result is not None:
            return "\n".join(f"{tr(one.title)}: {one.student}" for one in trial.result.findings)
        if column == Column.CURE:
            return trial.candidate.title
        return tr(HEADS[column][1])


def _wrong(result: Result) -> str:
    found = [tr(one.title) for one in result.findings if one.severity != "note"]
    if result.broke:
        found.insert(0, tr("broke at step {step}", step=words.steps(max(0, result.steps - 1))))
    return ", ".join(found) or tr("nothing")


class _Pictures(QStyledItemDelegate):
    """Paints the heatmaps in miniature."""

    def __init__(self, colours: Literal["diverging", "sequential"], parent: QObject) -> None:
        super().__init__(parent)
        self._colours: Literal["diverging", "sequential"] = colours

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        trial: Trial = index.data(Qt.ItemDataRole.UserRole)
        gap = theme.px(4)
        miniature.paint(painter, QRectF(option.rect.adjusted(gap, gap, -gap, -gap)), trial.picture, self._colours)


class _Buttons(QStyledItemDelegate):
    """Paints the button that adopts; the view hears of the click."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        self.initStyleOption(option, index)
        text, option.text = option.text, ""
        view = option.widget
        style = view.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, view)
        if not text:
            return
        button = QStyleOptionButton()
        button.initFrom(view)
        button.rect = place_of_button(option.rect)
        button.text = text
        button.state = QStyle.StateFlag.State_Enabled | QStyle.StateFlag.State_Raised
        style.drawControl(QStyle.ControlElement.CE_PushButton, button, painter, view)


def place_of_button(cell: QRect) -> QRect:
    """Where the button of a row lies in its cell."""
    height = min(cell.height() - theme.px(6), theme.px(26))
    return QRect(
        cell.left() + theme.px(4), cell.center().y() - height // 2, max(10, cell.width() - theme.px(8)), height
    )


class TrialsTable(QTableView):
    """The table. Enter, a double click or the button of a row adopts."""

    adopted = Signal(object)

    def __init__(self, model: TrialsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(model)
        self.touched = False
        """Whether a row was chosen by hand."""
        self.setAccessibleName(tr("Trials, the best first"))
        self.setItemDelegateForColumn(Column.HEATMAP, _Pictures(model.colours, self))
        self.setItemDelegateForColumn(Column.ADOPT, _Buttons(self))
        self.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.setAlternatingRowColors(False)
        self.setShowGrid(False)
        self.setWordWrap(True)
        self.setVerticalScrollMode(QTableView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        head = self.horizontalHeader()
        head.setSectionsClickable(True)
        head.setHighlightSections(False)
        head.setSortIndicatorShown(True)
        self.sortByColumn(Column.RANK, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)
        self.clicked.connect(self._on_click)
        self.doubleClicked.connect(self._adopt)

    def dress(self) -> None:
        """Takes sizes from the theme."""
        self.setFont(theme.font())
        self.verticalHeader().setDefaultSectionSize(theme.px(46))
        self._divide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._divide()

    def _divide(self) -> None:
        """What numbers need, a sixth for the heatmaps, and the rest for words."""
        head, metrics = self.horizontalHeader(), QFontMetrics(theme.font())
        for column in (Column.RANK, Column.LOSS, Column.ACCURACY, Column.HEALTH):
            text = max((tr(HEADS[column][0]), "0.0000"), key=metrics.horizontalAdvance)
            least = metrics.horizontalAdvance(text if column != Column.RANK else "00")
            self._fix(column, least + theme.px(30))
        self._fix(Column.ADOPT, metrics.horizontalAdvance(tr("Adopt")) + theme.px(36))
        self._fix(Column.HEATMAP, max(theme.px(80), min(self.viewport().width() // 6, theme.px(200))))
        for column in (Column.CURE, Column.WRONG):
            head.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)

    def _fix(self, column: Column, width: int) -> None:
        head = self.horizontalHeader()
        head.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
        head.resizeSection(column, width)

    def trial(self) -> Trial | None:
        """The trial of the current row."""
        index = self.currentIndex()
        return index.data(Qt.ItemDataRole.UserRole) if index.isValid() else None

    def _on_click(self, index: QModelIndex) -> None:
        self.touched = True
        if index.column() == Column.ADOPT:
            self._adopt(index)

    def _adopt(self, index: QModelIndex) -> None:
        trial = index.data(Qt.ItemDataRole.UserRole) if index.isValid() else None
        if trial is not None and trial.result is not None and trial.candidate.keys:
            self.adopted.emit(trial)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._adopt(self.currentIndex())
            event.accept()
        else:
            before = self.currentIndex()
            super().keyPressEvent(event)
            self.touched |= self.currentIndex() != before


class TrialsDialog(QDialog):
    """Trains all candidates and lets one be adopted. The open run pauses meanwhile."""

    compare_wanted = Signal(list)
    """Keys of the cures whose twin is to be trained beside the experiment as it is."""

    def __init__(self, session: Session, watching: Watching, *, upwards: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session, self.watching, self.upwards = session, watching, upwards
        self.setWindowTitle(tr("Try the cures"))
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self._resume = session.playing
        if self._resume:
            session.pause()
        self.key = session.state.quantity if session.state.quantity in SHOWABLE else "delta_rms"
        self.trying: Trying | None = None
        self.adopted: Trial | None = None
        self.intro = QLabel(self)
        self.intro.setWordWrap(True)
        self.intro.setTextFormat(Qt.TextFormat.PlainText)
        self.intro.setText(
            tr(
                "Every cure that can be applied here, and sensible pairs, trained from the same seed on the same "
                "batches. The heatmaps show {quantity}.",
                quantity=tr(quantity(self.key).title),
            )
        )
        self.steps = QComboBox(self)
        for count in STEPS:
            self.steps.addItem(tr_n("{n} step each", "{n} steps each", count), count)
        self.steps.setCurrentIndex(STEPS.index(USUAL_STEPS))
        self.steps.setAccessibleName(tr("Steps of each trial"))
        self.steps.setToolTip(tr("How many steps each trial is trained; another choice begins anew"))
        self.steps.activated.connect(lambda _: self.begin())
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Trials that have ended"))
        self.bar.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.count = QLabel(self)
        self.stop = QPushButton(tr("Stop"), self)
        self.stop.setToolTip(tr("Ends the trials; those done stay in the table"))
        self.stop.clicked.connect(self._stop)
        self.model = TrialsModel(quantity(self.key).colours, self)
        self.table = TrialsTable(self.model, self)
        self.table.adopted.connect(self.adopt)
        self.message = QLabel(self)
        self.message.setWordWrap(True)
        self.message.setTextFormat(Qt.TextFormat.PlainText)
        self.reference = QLabel(self)
        self.reference.setTextFormat(Qt.TextFormat.PlainText)
        self.reference.setToolTip(tr("What the open experiment reaches in as many steps, without any cure"))
        self.adopt_button = QPushButton(self)
        self.adopt_button.setToolTip(tr("Changes the open experiment in this way; undo takes it back"))
        self.adopt_button.clicked.connect(self._adopt_current)
        self.beside_button = QPushButton(tr("Side by side"), self)
        self.beside_button.setToolTip(
            tr("Trains the experiment as it is and this cure beside each other; nothing is changed")
        )
        self.beside_button.clicked.connect(self._compare_current)
        self.close_button = QPushButton(tr("Close"), self)
        self.close_button.setToolTip(tr("Ends the trials and leaves the experiment as it is"))
        self.close_button.clicked.connect(self.reject)
        for button in (self.stop, self.adopt_button, self.beside_button, self.close_button):
            button.setAutoDefault(False)
        self._head, self._foot = QHBoxLayout(), QHBoxLayout()
        self._head.addWidget(self.steps)
        self._head.addWidget(self.bar, 1)
        self._head.addWidget(self.count)
        self._head.addWidget(self.stop)
        self._foot.addWidget(self.reference)
        self._foot.addWidget(self.message, 1)
        self._foot.addWidget(self.adopt_button)
        self._foot.addWidget(self.beside_button)
        self._foot.addWidget(self.close_button)
        self._whole = QVBoxLayout(self)
        self._whole.addWidget(self.intro)
        self._whole.addLayout(self._head)
        self._whole.addWidget(self.table, 1)
        self._whole.addLayout(self._foot)
        self.table.selectionModel().currentRowChanged.connect(lambda *_: self._renew_button())
        theme.changed.connect(self._dress)
        self._dress()
        self._renew_button()
        self.resize(self.sizeHint())
        self.table.setFocus()

    def _dress(self) -> None:
        edge = theme.px(12)
        self._whole.setContentsMargins(edge, edge, edge, edge)
        self._whole.setSpacing(theme.px(8))
        for row in (self._head, self._foot):
            row.setSpacing(theme.px(8))
        self.bar.setMaximumHeight(theme.px(10))
        self.message.setStyleSheet(f"color: {theme.current().impossible};")
        self.table.dress()

    def sizeHint(self) -> QSize:
        parent = self.parentWidget()
        wide, high = theme.px(1080 * theme.current().font_scale), theme.px(680)
        if parent is not None:
            wide, high = min(wide, parent.width() - theme.px(40)), min(high, parent.height() - theme.px(60))
        return QSize(wide, high)

    # Trying

    def begin(self) -> None:
        """Begins the trials, anew if they run already."""
        self._end()
        thresholds = self.session.state.thresholds(self.key)
        steps, key, upwards = int(self.steps.currentData()), self.key, self.upwards

        def draw(result: Result) -> Classes:
            return miniature.miniature(result.recording, key, thresholds, steps, PICTURE, upwards=upwards)

        findings = [seen.finding for seen in self.watching.findings]
        trying = Trying(self.session.experiment, findings, steps, draw, self)
        self.trying = trying
        trying.prepared.connect(self._on_prepared)
        trying.changed.connect(self._on_changed)
        trying.ended.connect(self._on_changed)
        trying.failed.connect(self.message.setText)
        self.message.setText("")
        self.model.show_trials(trying)
        trying.start()
        self._renew_count()

    def _end(self) -> None:
        if self.trying is not None:
            self.trying.stop()
            self.trying.deleteLater()
            self.trying = None

    def _stop(self) -> None:
        if self.trying is not None:
            self.trying.stop()

    def _on_prepared(self) -> None:
        if self.trying is not None:
            self.model.show_trials(self.trying)
            self._renew_count()

    def _on_changed(self) -> None:
        if self.trying is None:
            return
        self.model.renew()
        best = self.model.shown[0] if self.model.shown else None
        if best is not None and best.result is not None and not self.table.touched:
            # Until a row is chosen, the best one so far is it.
            self.table.selectRow(0)
        self._renew_reference()
        self._renew_count()
        self._renew_button()

    def _renew_reference(self) -> None:
        as_it_is = next((trial.result for trial in self.model.shown if not trial.candidate.keys), None)
        if as_it_is is None:
            self.reference.setText("")
        elif as_it_is.broke:
            self.reference.setText(tr("As it is: {what}", what=_wrong(as_it_is)))
        else:
            loss, accuracy = words.number(as_it_is.loss, 3), as_it_is.accuracy
            text = tr("As it is: loss {loss}", loss=loss)
            if not math.isnan(accuracy):
                text = tr("As it is: loss {loss}, accuracy {accuracy}", loss=loss, accuracy=f"{accuracy:.1%}")
            self.reference.setText(text)

    def _renew_count(self) -> None:
        trying = self.trying
        done, total = (0, 0) if trying is None else (trying.done, len(trying.trials))
        self.bar.setRange(0, max(1, total))
        self.bar.setValue(done)
        self.count.setText(tr("{done} of {total} trials", done=done, total=total) if total else tr("Preparing"))
        self.stop.setEnabled(trying is not None and trying.running)

    def _renew_button(self) -> None:
        trial = self.table.trial()
        can = trial is not None and trial.result is not None and bool(trial.candidate.keys)
        self.adopt_button.setEnabled(can)
        self.beside_button.setEnabled(can)
        text = tr("Adopt {cure}", cure=trial.candidate.title) if can and trial is not None else tr("Adopt")
        if self.adopt_button.text() != text:
            self.adopt_button.setText(text)

    # Adopting and closing

    def _adopt_current(self) -> None:
        trial = self.table.trial()
        if trial is not None:
            self.adopt(trial)

    def _compare_current(self) -> None:
        trial = self.table.trial()
        if trial is not None:
            self.accept()
            self.compare_wanted.emit(list(trial.candidate.keys))

    def adopt(self, trial: Trial) -> None:
        """Changes the open experiment as the trial did, as one step that can be undone, and closes."""
        edit = trial.candidate.edit
        if edit is None:
            return
        self._end()
        if edit.before is self.session.experiment:
            self.session.apply(edit)
        else:
            self.session.edit(combined, trial.candidate.keys)
        self.adopted = trial
        self.accept()

    def done(self, result: int) -> None:
        self._end()
        super().done(result)
        if self._resume:
            self._resume = False
            self.session.play()

"""Somebody's own data: looked at before they become those of the experiment."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QIcon, QImage, QPalette, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import sizes, theme
from gradsim.app.background import Background
from gradsim.app.build.editors import MIXED, Combo, Editor
from gradsim.app.build.forms import Form, Target
from gradsim.app.inout.paste import said
from gradsim.app.session import Session
from gradsim.data import CSV, NPZ, DataError, Dataset, Images, Source
from gradsim.data.files import OwnFile
from gradsim.data.tables import Cell, Reader
from gradsim.i18n import mark, tr, tr_n
from gradsim.model import edits
from gradsim.model.document import Document
from gradsim.model.edits import Edit
from gradsim.model.experiment import Experiment
from gradsim.nn import losses
from gradsim.nn.spec import FieldView

SHOWN_ROWS = 12
SHOWN_COLUMNS = 40
SHOWN_PICTURES = 40
READ_MS = 200

KINDS: dict[str, tuple[type[OwnFile], str]] = {
    "csv": (CSV, mark("Choose file…")),
    "npz": (NPZ, mark("Choose file…")),
    "images": (Images, mark("Choose folder…")),
}


def kind_of(path: Path) -> str:
    """Which source reads a file or folder; "" if none does."""
    if path.is_dir():
        return "images"
    kind = path.suffix.lower().removeprefix(".")
    return kind if kind in ("csv", "npz") else ""


@dataclasses.dataclass(frozen=True)
class Looked:
    """What was seen of some data.

    Attributes:
        head: The first rows of a table as they stand in the file, its names first.
        columns: Names of a table's columns.
        first_row: Number in the file of the first row of ``head`` behind the names.
        error: Why they can't be used, or None.
    """

    source: Source
    dataset: Dataset | None = None
    head: tuple[tuple[str, ...], ...] = ()
    columns: tuple[str, ...] = ()
    first_row: int = 1
    error: DataError | None = None


def look(source: Source) -> Looked:
    """Reads data as a training would, and the first rows of a table as they stand."""
    head: tuple[tuple[str, ...], ...] = ()
    columns: tuple[str, ...] = ()
    first = 1
    try:
        if isinstance(source, CSV):
            reader = Reader(Path(source.path).expanduser(), source.delimiter, source.header, source.decimal)
            columns, first = tuple(reader.names), 2 if reader.has_header else 1
            rows = itertools.islice(reader.raw_rows(), first - 1, first - 1 + SHOWN_ROWS)
            head = tuple(tuple(cell[:80] for cell in row[:SHOWN_COLUMNS]) for row in rows)
        stamp, dataset = source.stamp(), source.load()
        # What the window asks for next is known then, and asked for without reading anything.
        sizes.remember(source, stamp, dataset.row_counts)
        source.signature()
        return Looked(source, dataset, head, columns, first)
    except DataError as error:
        return Looked(source, None, head, columns, first, error)


class Draft(QObject):
    """What a form edits in here: data that are not yet those of the experiment."""

    failed = Signal(str)

    def __init__(self, source: Source, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = Document(Experiment(data=source))
        self.changed: Callable[[], object] = lambda: None

    def apply(self, edit: Edit, merge_key: object = None) -> Any:
        """Makes an edit, as a session does."""
        change = self.document.apply(edit)
        self.changed()
        return change


class ColumnEditor(Editor):
    """The name of a column, to choose from those that there are."""

    columns: Sequence[str] = ()

    def __init__(self, view: FieldView, parent: QWidget | None = None) -> None:
        super().__init__(view, parent)
        self.combo = Combo(self)
        self._holds(self.combo)
        self.combo.activated.connect(lambda index: self.edited.emit(self.combo.itemData(index), False))
        self._value: Any = ""

    def set_columns(self, columns: Sequence[str]) -> None:
        """Offers these."""
        if tuple(columns) != tuple(self.columns):
            self.columns = tuple(columns)
            self.combo.clear()
            last = columns[-1] if columns else ""
            self.combo.addItem(tr("{name} (the last one)", name=last) if last else tr("the last one"), "")
            for name in columns[:1000]:
                self.combo.addItem(name, name)
            self.set_value(self._value)

    def set_value(self, value: Any) -> None:
        self._value = value
        if value is not MIXED and self.combo.findData(value) < 0:
            self.combo.addItem(str(value), value)
        self.combo.choose(value)


class OwnData(QDialog):
    """The dialog.

    Args:
        session: Whose experiment gets the data.
        folder: Where the dialog for files begins.
        path: A file or folder to look at at once.
    """

    def __init__(self, session: Session, folder: Path, path: Path | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session, self.folder = session, folder
        self.looked: Looked | None = None
        self.draft: Draft | None = None
        self.form: Form | None = None
        self._target: ColumnEditor | None = None
        self.setWindowTitle(tr("Own data"))
        self.background = Background("gradsim-reading", self)
        self.kind = Combo(self)
        for key, (spec, _) in KINDS.items():
            self.kind.addItem(tr(spec.title), key)
        self.kind.choose("csv")
        self.kind.setMinimumContentsLength(16)
        self.kind.setAccessibleName(tr("Kind of data"))
        self.kind.setToolTip(tr("A table of text, arrays of NumPy, or a folder with one folder of pictures a class"))
        self.place = QLineEdit(self)
        self.place.setReadOnly(True)
        self.place.setPlaceholderText(tr("Choose a file or a folder, or drop one on the window"))
        self.place.setAccessibleName(tr("File or folder"))
        self.place.setToolTip(tr("Where the data lie"))
        self.browse = QPushButton(self)
        self.browse.setToolTip(tr("Choose where the data lie"))
        self.browse.setAutoDefault(False)
        self.browse.clicked.connect(lambda _=False: self.ask_path())
        self.table = QTableWidget(self)
        self.table.setAccessibleName(tr("The first rows"))
        self.table.setToolTip(tr("The first rows as they stand in the file; the column to predict is tinted"))
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.pictures = QListWidget(self)
        self.pictures.setAccessibleName(tr("The first pictures"))
        self.pictures.setToolTip(tr("Pictures as the network gets them, with their classes"))
        self.pictures.setViewMode(QListWidget.ViewMode.IconMode)
        self.pictures.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.pictures.setMovement(QListWidget.Movement.Static)
        self.pictures.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.preview = QStackedWidget(self)
        self.preview.addWidget(self.table)
        self.preview.addWidget(self.pictures)
        self.verdict = QLabel(self)
        self.verdict.setWordWrap(True)
        self.verdict.setTextFormat(Qt.TextFormat.PlainText)
        self.faults = QListWidget(self)
        self.faults.setAccessibleName(tr("What is wrong with the data"))
        self.faults.setToolTip(tr("Each with its row and column; click one that is shown above to go there"))
        self.faults.setWordWrap(True)
        self.faults.itemClicked.connect(self._go)
        self.fit = QCheckBox(tr("Fit the ends of the stack to the data"), self)
        self.fit.setChecked(True)
        self.fit.setToolTip(tr("Flatten before pictures, as many outputs as the data have, and the loss for them"))
        self.buttons = QDialogButtonBox(self)
        self.use = self.buttons.addButton(tr("Use these data"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.use.setToolTip(tr("They become the data of the experiment; undo takes it back"))
        cancel = self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        cancel.setText(tr("Cancel"))
        self.buttons.accepted.connect(self.take)
        self.buttons.rejected.connect(self.reject)
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(READ_MS)
        self._timer.timeout.connect(self.read)
        self.kind.activated.connect(lambda _: self._dress_kind())
        self.resize(theme.px(920), theme.px(600))
        self._dress_kind()
        self._show(None)
        if path is not None:
            self.choose(path)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.kind)
        head.addWidget(self.place, 1)
        head.addWidget(self.browse)
        self.fields_area = QScrollArea(self)
        self.fields_area.setWidgetResizable(True)
        self.fields_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        right = QWidget(self)
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.preview, 3)
        column.addWidget(self.verdict)
        column.addWidget(self.faults, 1)
        self.across = QSplitter(Qt.Orientation.Horizontal, self)
        self.across.addWidget(self.fields_area)
        self.across.addWidget(right)
        self.across.setStretchFactor(1, 1)
        self.across.setChildrenCollapsible(False)
        self.across.setSizes([theme.px(320), theme.px(580)])
        layout = QVBoxLayout(self)
        layout.addLayout(head)
        layout.addWidget(self.across, 1)
        layout.addWidget(self.fit)
        layout.addWidget(self.buttons)

    def _dress_kind(self) -> None:
        self.browse.setText(tr(KINDS[str(self.kind.currentData())][1]))

    # Choosing

    def ask_path(self) -> None:
        """Asks for the file, or for the folder."""
        kind = str(self.kind.currentData())
        title = tr(KINDS[kind][0].title)
        start = os.path.dirname(self.place.text()) or str(self.folder)
        if kind == "images":
            name = QFileDialog.getExistingDirectory(self, title, start)
        else:
            name, _ = QFileDialog.getOpenFileName(self, title, start, f"{title} (*.{kind})")
        if name:
            self.choose(Path(name), kind)

    def choose(self, path: Path, kind: str = "") -> None:
        """Looks at a file or a folder, with the fields as they were if it is one of the same kind."""
        kind = kind or kind_of(path)
        if not kind:
            self._say(tr("{name}: must be a .csv or .npz file, or a folder of pictures", name=path.name), refused=True)
            return
        self.kind.setCurrentIndex(self.kind.findData(kind))
        self._dress_kind()
        place = str(path.absolute())
        self.place.setText(place)
        now = self.draft.document.experiment.data if self.draft is not None else self.session.experiment.data
        spec = KINDS[kind][0]
        source = dataclasses.replace(now, path=place) if isinstance(now, spec) else spec(path=place)
        if isinstance(source, CSV) and type(now) is CSV and now.path != place:
            # Columns of another table.
            source = dataclasses.replace(source, target="", ignore="")
        self._make_form(source)
        self.read()

    def _make_form(self, source: Source) -> None:
        draft = self.draft = Draft(source, self)
        editors = {"target": self._make_target} if isinstance(source, CSV) else {}
        self._target = None
        form = self.form = Form(draft, Target(("",), "data"), skip=("path",), editors=editors)  # type: ignore[arg-type]
        form.setContentsMargins(0, 0, theme.px(6), 0)
        draft.changed = self._edited
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(form)
        column.addStretch(1)
        self.fields_area.setWidget(box)

    def _make_target(self, view: FieldView, parent: QWidget) -> Editor:
        self._target = ColumnEditor(view, parent)
        return self._target

    def _edited(self) -> None:
        if self.form is not None:
            self.form.refresh()
        self.use.setEnabled(False)
        self._timer.start()

    # Looking

    @property
    def reading(self) -> bool:
        """True until what is shown belongs to what is chosen."""
        return self._timer.isActive() or self.background.busy

    def read(self) -> None:
        """Reads the data, in a thread."""
        self._timer.stop()
        if self.draft is None:
            return
        source = self.draft.document.experiment.data
        self.use.setEnabled(False)
        self._say(tr("Reading {name}\u2026", name=Path(self.place.text()).name))
        self.background.ask(lambda _: look(source), self._show)

    def _show(self, result: Any) -> None:
        self.looked = result if isinstance(result, Looked) else None
        self.faults.clear()
        self.use.setEnabled(self.looked is not None and self.looked.dataset is not None)
        if isinstance(result, Exception):
            self._say(str(result) or type(result).__name__, refused=True)
        elif self.looked is None:
            self._say(tr("CSV and NPZ files, or a folder of PNG and JPEG pictures with one folder for each class."))
        elif self.looked.dataset is not None:
            self._say(told(self.looked.dataset))
        else:
            error = self.looked.error
            count = error.count if error is not None else 0
            text = tr_n("{n} thing keeps them from being used", "{n} things keep them from being used", count)
            self._say(text, refused=True)
            for fault in error.faults if error is not None else ():
                self.faults.addItem(QListWidgetItem(f"▲  {said(fault)}"))
            if error is not None and count > len(error.faults):
                more = count - len(error.faults)
                self.faults.addItem(tr_n("and {n} more", "and {n} more", more))
        self.faults.setVisible(self.faults.count() > 0)
        if self._target is not None and self.looked is not None:
            self._target.set_columns(self.looked.columns)
        self._fill()

    def _say(self, text: str, *, refused: bool = False) -> None:
        role = QPalette.ColorRole
        self.verdict.setForegroundRole(role.BrightText if refused else role.WindowText)
        self.verdict.setText(text)

    def _fill(self) -> None:
        looked = self.looked
        if looked is None:
            self.table.setRowCount(0)
            self.table.setColumnCount(0)
            self.preview.setCurrentWidget(self.table)
        elif isinstance(looked.source, CSV):
            self._fill_table(looked)
        elif looked.dataset is not None and _are_pictures(looked.dataset):
            self._fill_pictures(looked.dataset)
        elif looked.dataset is not None:
            self._fill_rows(looked.dataset)

    def _fill_table(self, looked: Looked) -> None:
        used = theme.current()
        self.preview.setCurrentWidget(self.table)
        columns = looked.columns[:SHOWN_COLUMNS]
        self._start_table(columns, len(looked.head))
        self.table.setVerticalHeaderLabels([str(looked.first_row + row) for row in range(len(looked.head))])
        source = looked.source
        assert isinstance(source, CSV)
        target = source.target or (looked.columns[-1] if looked.columns else "")
        wrong = {cell_of(fault.path) for fault in (looked.error.faults if looked.error is not None else ())}
        for row, cells in enumerate(looked.head):
            for column, text in enumerate(cells[: len(columns)]):
                item = QTableWidgetItem(text)
                if (looked.first_row + row, columns[column]) in wrong:
                    item.setForeground(QColor(used.impossible))
                    item.setText(f"▲ {text}")
                elif target in (columns[column], str(column + 1)):
                    item.setBackground(QColor(used.selection))
                self.table.setItem(row, column, item)
        self._fit_columns()

    def _fill_rows(self, dataset: Dataset) -> None:
        self.preview.setCurrentWidget(self.table)
        x = dataset.x_train.reshape(len(dataset.x_train), -1)[:SHOWN_ROWS, : SHOWN_COLUMNS - 1]
        names = (*dataset.feature_names[: x.shape[1]], tr("to predict"))
        self._start_table(names, len(x))
        for row, values in enumerate(x):
            for column, value in enumerate(values):
                self.table.setItem(row, column, QTableWidgetItem(f"{value:.4g}"))
            item = QTableWidgetItem(_answer(dataset, row))
            item.setBackground(QColor(theme.current().selection))
            self.table.setItem(row, len(names) - 1, item)
        self._fit_columns()

    def _fit_columns(self) -> None:
        """As wide as what they hold, a long text cut."""
        self.table.resizeColumnsToContents()
        for column in range(self.table.columnCount()):
            self.table.setColumnWidth(column, min(self.table.columnWidth(column), theme.px(200)))

    def _start_table(self, names: Sequence[str], rows: int) -> None:
        self.table.clear()
        self.table.setColumnCount(len(names))
        self.table.setRowCount(rows)
        self.table.setHorizontalHeaderLabels(list(names))
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)

    def _fill_pictures(self, dataset: Dataset) -> None:
        self.preview.setCurrentWidget(self.pictures)
        self.pictures.clear()
        side = theme.px(64)
        self.pictures.setIconSize(QSize(side, side))
        self.pictures.setGridSize(QSize(side + theme.px(26), side + theme.px(30)))
        for row in range(min(SHOWN_PICTURES, len(dataset.x_train))):
            image = picture_of(dataset.x_train[row]).scaled(side, side)
            self.pictures.addItem(QListWidgetItem(QIcon(QPixmap.fromImage(image)), _answer(dataset, row)))

    def _go(self, item: QListWidgetItem) -> None:
        looked = self.looked
        if looked is None or looked.error is None or self.faults.row(item) >= len(looked.error.faults):
            return
        place = cell_of(looked.error.faults[self.faults.row(item)].path)
        if place is not None and place[1] in looked.columns:
            shown = self.table.item(place[0] - looked.first_row, looked.columns.index(place[1]))
            if shown is not None:
                self.table.scrollToItem(shown)

    # Taking

    def take(self) -> None:
        """The data become those of the experiment, as one step."""
        if self.looked is None or self.looked.dataset is None:
            return
        name = tr("Data from {name}", name=Path(self.place.text()).name)
        experiment = self.session.experiment
        wanted = with_data(experiment, self.looked.source, self.looked.dataset, fit=self.fit.isChecked())
        self.session.apply(edits.replace_all(experiment, wanted, name))
        self.accept()

    def done(self, result: int) -> None:
        self._timer.stop()
        self.background.cancel()
        super().done(result)


def with_data(experiment: Experiment, source: Source, dataset: Dataset, *, fit: bool) -> Experiment:
    """The experiment with other data.

    Args:
        fit: Also put Flatten before pictures, give the last Dense layer as many units as the data have outputs, and
            take its activation and the loss that go with them. Nothing else of the stack is changed.
    """
    made = dataclasses.replace(experiment, data=source)
    if not fit:
        return made
    layers = list(made.layers)
    if len(dataset.input_shape) > 1 and not any(layer.identifier == "Flatten" for layer in layers):
        layers.insert(0, _layer("Flatten"))
    outputs = dataset.y_train.shape[1]
    activation, loss = {
        "binary": ("sigmoid", "binary_crossentropy"),
        "classification": ("softmax", "categorical_crossentropy"),
        "regression": ("linear", "mse"),
    }[dataset.task]
    last = layers[-1] if layers else None
    if last is None or last.identifier != "Dense":
        return dataclasses.replace(made, layers=tuple(layers))
    two = dataset.task == "binary" and last.units == 2  # type: ignore[attr-defined]
    if two:
        # Two units with softmax are as good for two classes.
        outputs, activation, loss = 2, "softmax", "categorical_crossentropy"
    layers[-1] = dataclasses.replace(last, units=outputs, activation=activation)  # type: ignore[call-arg]
    return dataclasses.replace(made, layers=tuple(layers), loss=losses.registry.validate(loss))


def _layer(kind: str) -> Any:
    from gradsim.nn import layers

    return layers.registry.create(kind)


def cell_of(path: str) -> tuple[int, str] | None:
    """Row of the file and name of the column that a fault is about."""
    return (path.row, path.column) if isinstance(path, Cell) else None


def told(dataset: Dataset) -> str:
    """What data hold, in a sentence or two."""
    rows = tr_n("{n} row to learn from", "{n} rows to learn from", len(dataset.x_train))
    parts = [rows]
    if dataset.x_val is not None:
        parts.append(tr_n("{n} to validate", "{n} to validate", len(dataset.x_val)))
    shape = " \u00d7 ".join(map(str, dataset.input_shape))
    parts.append(tr("{shape} values each", shape=shape))
    if dataset.labels is not None and dataset.class_names:
        counts = np.bincount(dataset.labels, minlength=len(dataset.class_names)).tolist()
        named = [f"{name} ({count})" for name, count in zip(dataset.class_names, counts, strict=True)]
        more = "\u2026" if len(named) > 8 else ""
        classes = tr_n("{n} class", "{n} classes", len(named))
        parts.append(f"{classes}: {', '.join(named[:8])}{more}")
    else:
        parts.append(tr_n("{n} number to predict", "{n} numbers to predict", dataset.y_train.shape[1]))
    return " · ".join(parts)


def _answer(dataset: Dataset, row: int) -> str:
    if dataset.labels is not None and dataset.class_names:
        return dataset.class_names[int(dataset.labels[row])]
    return ", ".join(f"{value:.4g}" for value in dataset.y_train[row][:3])


def _are_pictures(dataset: Dataset) -> bool:
    shape = dataset.input_shape
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))


def picture_of(pixels: np.ndarray[Any, Any]) -> QImage:
    """A row of data of the shape (height, width) or (height, width, 1 or 3) as a picture, from its darkest to white."""
    values = np.asarray(pixels, np.float64)
    low, high = min(0.0, float(values.min())), max(float(values.max()), 1e-12)
    high = 1.0 if low >= 0 and high <= 1 else high
    scaled = np.ascontiguousarray(((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8))
    height, width = scaled.shape[:2]
    if scaled.ndim == 3 and scaled.shape[2] == 3:
        return QImage(scaled.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
    return QImage(scaled.data, width, height, width, QImage.Format.Format_Grayscale8).copy()

"""Somebody's code as a stack: a field to paste into, and beside it at once what comes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.background import Background
from gradsim.app.inout.code_view import CodeView, Mark
from gradsim.app.session import Session
from gradsim.exchange import importing
from gradsim.exchange.drawing import words_of
from gradsim.exchange.results import Imported, Place, Spot
from gradsim.i18n import tr, tr_n
from gradsim.model import edits
from gradsim.model.edits import Edit
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.nn import layers as nn_layers
from gradsim.nn.layers import Layer
from gradsim.nn.spec import MISSING, Fault

READ_MS = 250
"""After the last key: nobody wants to be told of a fault in the middle of a word."""
SHOWN_LAYERS = 400
WHOLE = ("Sequential", "Model(", "Module", "class_name", ".add(")
"""What tells code of a whole model from that of some layers."""

_HINTS = ("import ", "from ", "keras", "nn.", "torch", "model", "layers.", "Dense(", "optimizer")


def looks_like_code(text: str) -> bool:
    """Whether a text is code of a network rather than layers of this program or prose."""
    start = text.lstrip()
    if start.startswith(("[", "{")):
        return start.startswith("{") and ('"class_name"' in start or '"cells"' in start)
    return "(" in start and any(hint in start for hint in _HINTS)


def place_in(path: str) -> Place:
    """Where a fault stands, from its path; zeros if it names no place in a text."""
    return path.place if isinstance(path, Spot) else Place()


def said(fault: Fault) -> str:
    """A fault without its place."""
    where = "" if isinstance(fault.path, Spot) or not fault.path else f"{fault.path}: "
    words = f"{where}{fault.message}"
    if fault.received is not MISSING and str(fault.received):
        received = str(fault.received)
        received = received if len(received) <= 80 else received[:79] + "\u2026"
        words += " " + tr("(received {value})", value=received)
    return _capital(words)


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of what is to be said about the code."""

    place: Place
    severity: str
    text: str


def read(text: str, base: Experiment, reader: Callable[[str, Experiment], Imported]) -> Imported | FaultsError:
    """What comes of a text; a refusal is a result, too."""
    try:
        return reader(text, base)
    except FaultsError as error:
        return error


class PasteCode(QDialog):
    """The dialog.

    Args:
        session: Whose experiment the code changes.
        text: What stands in the field at first.
        title: What the code is: the name of a file, or "" for something pasted.
        may_leave: Asked before the experiment is left for a new one.
        reader: Reads the text; that of pasted text by default.
        read_only: The text is only shown: what is read is the file that it stands in.
    """

    applied = Signal()

    def __init__(
        self,
        session: Session,
        text: str = "",
        *,
        title: str = "",
        may_leave: Callable[[], bool] = lambda: True,
        reader: Callable[[str, Experiment], Imported] = importing.read_text,
        read_only: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.session, self.may_leave, self._reader = session, may_leave, reader
        self.imported: Imported | None = None
        self.lines: tuple[Line, ...] = ()
        self._title = title
        self.setWindowTitle(tr("Code from {name}", name=title) if title else tr("Paste code"))
        self.background = Background("gradsim-reading", self)
        self.code = CodeView(self)
        self.code.setAccessibleName(tr("Code"))
        self.code.setPlaceholderText(
            tr("Paste Keras or PyTorch code here: Sequential([...]), add(...), compile(...). It is read, never run.")
        )
        self.code.setToolTip(tr("Code of Keras or PyTorch, a notebook, or a Keras config (JSON)"))
        self.verdict = QLabel(self)
        self.verdict.setWordWrap(True)
        self.verdict.setTextFormat(Qt.TextFormat.PlainText)
        self.verdict.setAccessibleName(tr("What comes of it"))
        self.stack = QListWidget(self)
        self.stack.setAccessibleName(tr("Layers that come of it"))
        self.stack.setToolTip(tr("The stack, from the input at the top"))
        self.stack.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.stack.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.notes_title = QLabel(self)
        self.notes = QListWidget(self)
        self.notes.setAccessibleName(tr("What is not taken over as it stands"))
        self.notes.setToolTip(tr("Click a line to go to its place in the code"))
        self.notes.setWordWrap(True)
        self.notes.setTextElideMode(Qt.TextElideMode.ElideNone)
        self.notes.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.notes.itemActivated.connect(self._go)
        self.notes.itemClicked.connect(self._go)

        self.buttons = QDialogButtonBox(self)
        self.replace = self._button(
            tr("Apply"), tr("Put it in place of the present stack; undo takes it back"), self.apply_replacing
        )
        self.insert = self._button(
            tr("Insert behind the selection"),
            tr("Add the layers behind the selected card, and leave the rest as it is"),
            self.apply_inserting,
        )
        self.new = self._button(
            tr("Open as a new experiment"), tr("Leave the present experiment and open this one"), self.apply_new
        )
        self.replace.setDefault(True)
        cancel = self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        cancel.setText(tr("Cancel"))
        self.buttons.rejected.connect(self.reject)
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(READ_MS)
        self._timer.timeout.connect(self.read)
        theme.changed.connect(self._dress)
        self._dress()
        self.resize(theme.px(980), theme.px(620))
        self.code.setReadOnly(read_only)
        self.code.setPlainText(text)
        self.code.textChanged.connect(self._typed)
        self._show(None)
        if text.strip():
            self.read()

    def _button(self, text: str, tip: str, function: Callable[[], object]) -> QPushButton:
        button = self.buttons.addButton(text, QDialogButtonBox.ButtonRole.ActionRole)
        button.setToolTip(tip)
        button.setAutoDefault(False)
        button.clicked.connect(lambda _=False: function())
        return button

    def _lay_out(self) -> None:
        right = QWidget(self)
        column = QVBoxLayout(right)
        column.setContentsMargins(theme.px(8), 0, 0, 0)
        column.addWidget(self.verdict)
        column.addWidget(self.stack, 3)
        column.addWidget(self.notes_title)
        column.addWidget(self.notes, 2)
        self.across = QSplitter(Qt.Orientation.Horizontal, self)
        self.across.addWidget(self.code)
        self.across.addWidget(right)
        self.across.setStretchFactor(0, 3)
        self.across.setStretchFactor(1, 2)
        self.across.setChildrenCollapsible(False)
        self.across.setSizes([theme.px(560), theme.px(400)])
        self.across.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.addWidget(self.across, 1)
        layout.addWidget(self.buttons)

    def _dress(self) -> None:
        self.verdict.setFont(theme.font("normal", bold=True))
        self.notes_title.setFont(theme.font("normal", bold=True))
        for view in (self.stack, self.notes):
            view.setFont(theme.font("normal"))
            view.setSpacing(theme.px(1))
        self._colour_notes()

    # Reading

    def _typed(self) -> None:
        self._timer.start()

    @property
    def reading(self) -> bool:
        """True until what is shown belongs to the text in the field."""
        return self._timer.isActive() or self.background.busy

    def read(self) -> None:
        """Reads what stands in the field, in a thread."""
        self._timer.stop()
        text = self.code.toPlainText()
        if not text.strip():
            self.background.cancel()
            self._show(None)
            return
        base, reader = self.session.experiment, self._reader
        self.background.ask(lambda _: read(text, base, reader), self._show)

    def _show(self, result: Any) -> None:
        self.imported = result if isinstance(result, Imported) else None
        faults: tuple[Fault, ...] = ()
        if isinstance(result, FaultsError):
            faults = result.faults
        elif isinstance(result, Exception):
            faults = (Fault("", str(result) or type(result).__name__, MISSING),)
        lines = [Line(place_in(fault.path), "impossible", said(fault)) for fault in faults]
        if self.imported is not None:
            lines += [Line(note.place, "unwise", _capital(note.message)) for note in self.imported.notes]
        self.lines = tuple(lines)
        self.code.set_marks(
            [Mark(one.place.line, one.place.column, one.severity, one.text) for one in lines if not one.place.cell]
        )
        self._fill_stack()
        self._fill_notes()
        self._say_verdict(faults)
        able = self.imported is not None
        layers = bool(self.imported is not None and self._made_layers())
        self.replace.setEnabled(able)
        self.new.setEnabled(able)
        self.insert.setEnabled(able and layers)
        # A layer by itself is meant for the stack that is there, a model for the place of it.
        whole = self.code.toPlainText()
        self.insert.setDefault(able and layers and not any(word in whole for word in WHOLE))
        self.replace.setDefault(not self.insert.isDefault())

    def _made_layers(self) -> tuple[Layer, ...]:
        """The layers that the code makes; none if it keeps those of the experiment."""
        if self.imported is None or self.imported.experiment.layers == self.session.experiment.layers:
            return ()
        return self.imported.experiment.layers

    def _say_verdict(self, faults: tuple[Fault, ...]) -> None:
        role = QPalette.ColorRole.WindowText
        if faults:
            text = tr_n("{n} error: nothing is taken over yet", "{n} errors: nothing is taken over yet", len(faults))
            role = QPalette.ColorRole.BrightText
        elif self.imported is None:
            text = tr("What comes of the code is shown here.")
        else:
            text = summary(self.imported.experiment)
        self.verdict.setForegroundRole(role)
        self.verdict.setText(text)

    def _fill_stack(self) -> None:
        self.stack.clear()
        if self.imported is None:
            return
        rows = list(stack_lines(self.imported.experiment.layers))
        for depth, words in rows[:SHOWN_LAYERS]:
            self.stack.addItem("    " * depth + words)
        if len(rows) > SHOWN_LAYERS:
            more = len(rows) - SHOWN_LAYERS
            self.stack.addItem(tr_n("and {n} more", "and {n} more", more))

    def _fill_notes(self) -> None:
        self.notes.clear()
        for line in self.lines:
            sign = "▲" if line.severity == "impossible" else "!"
            where = tr_place(line.place)
            item = QListWidgetItem(f"{sign}  {where}: {line.text}" if where else f"{sign}  {line.text}")
            item.setToolTip(tr("Go to this place") if line.place.line else "")
            self.notes.addItem(item)
        self._colour_notes()
        errors = any(line.severity == "impossible" for line in self.lines)
        if errors:
            title = tr("What has to be mended")
        elif self.lines:
            title = tr_n(
                "{n} thing is not taken over as it stands",
                "{n} things are not taken over as they stand",
                len(self.lines),
            )
        else:
            title = tr("Everything is taken over as it stands there") if self.imported is not None else ""
        self.notes_title.setText(title)
        self.notes.setVisible(bool(self.lines))
        self.stack.setVisible(not errors)

    def _colour_notes(self) -> None:
        used = theme.current()
        for row, line in enumerate(self.lines):
            item = self.notes.item(row)
            if item is not None:
                item.setForeground(QColor(used.impossible if line.severity == "impossible" else used.text))

    def _go(self, item: QListWidgetItem) -> None:
        place = self.lines[self.notes.row(item)].place
        if place.line and not place.cell:
            self.code.go_to(place.line, place.column or 1)

    # Applying

    def apply_replacing(self) -> None:
        """The experiment becomes that of the code, as one step that can be undone."""
        if self.imported is not None:
            self._finish(edits.replace_all(self.session.experiment, self.imported.experiment, self._name))

    def apply_inserting(self) -> None:
        """The layers come behind the selection."""
        from gradsim.app.build import verbs

        layers = self._made_layers()
        if layers:
            parent, index = verbs.after_selection(self.session)
            try:
                edit = edits.insert(self.session.experiment, layers, parent, index)
            except FaultsError as error:
                self.session.failed.emit(verbs.sentence(error))
                return
            self._finish(dataclasses.replace(edit, name=self._name))

    def apply_new(self) -> None:
        """What the code makes, in place of what is open."""
        if self.imported is not None and self.may_leave():
            self.session.show(self.imported.experiment)
            self.session.document.mark_unsaved()
            self._close()

    @property
    def _name(self) -> str:
        return tr("Code from {name}", name=self._title) if self._title else tr("Paste code")

    def _finish(self, edit: Edit) -> None:
        self.session.apply(edit)
        self._close()

    def _close(self) -> None:
        self.applied.emit()
        self.accept()

    def done(self, result: int) -> None:
        self._timer.stop()
        self.background.cancel()
        super().done(result)


def summary(experiment: Experiment) -> str:
    """An experiment in one line: ``5 layers, 266,610 parameters · categorical_crossentropy · SGD · fashion_mnist``."""
    try:
        stack = experiment.stack()
        size = tr_n("{n} layer", "{n} layers", len(stack.layers)) + ", "
        size += tr("{count} parameters", count=f"{stack.parameters:,}")
    except ValueError as error:
        size = tr("The layers do not fit together yet: {why}", why=str(error).splitlines()[0])
    parts = [size, experiment.loss.identifier, experiment.optimizer.identifier, experiment.data.identifier]
    return " · ".join(parts)


def stack_lines(layers: tuple[Layer, ...], depth: int = 0) -> Iterator[tuple[int, str]]:
    """Each layer in one line, with how deep it lies in groups."""
    for layer in layers:
        inside = layer.children()
        if isinstance(layer, nn_layers.Repeat):
            yield depth, tr("{n} times:", n=layer.count)
        elif inside:
            yield depth, tr("Residual block:")
        else:
            yield depth, words_of(layer)
        yield from stack_lines(inside, depth + 1)


def tr_place(place: Place) -> str:
    """A place in words."""
    parts = []
    if place.cell:
        parts.append(tr("cell {n}", n=place.cell))
    if place.line:
        parts.append(tr("line {n}", n=place.line))
    if place.column:
        parts.append(tr("column {n}", n=place.column))
    return ", ".join(parts)


def _capital(text: str) -> str:
    """With a capital letter, unless the first word is a name of the code."""
    return text[:1].upper() + text[1:] if text.split(" ", 1)[0].isalpha() else text

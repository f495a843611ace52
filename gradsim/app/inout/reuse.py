"""Layers that have learned something: taken from a file, put below the layers of the open experiment."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.background import Background
from gradsim.app.inout.paste import said
from gradsim.app.session import Session
from gradsim.exchange import pretrained
from gradsim.exchange.drawing import words_of
from gradsim.exchange.pretrained import Saved
from gradsim.i18n import tr, tr_n
from gradsim.model import edits
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.nn.spec import MISSING, Fault

SUFFIXES = (".npz", ".keras", ".safetensors", ".gradsim")


class ReuseLayers(QDialog):
    """The dialog.

    Args:
        session: Whose experiment gets the layers.
        folder: Where the dialog for files begins.
        path: What is taken from at first.
    """

    def __init__(self, session: Session, folder: Path, path: Path | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session, self.folder = session, folder
        self.saved: Saved | None = None
        self.result_: pretrained.Reused | None = None
        self.setWindowTitle(tr("Reuse trained layers"))
        self.background = Background("gradsim-reading", self)
        self.file = QLineEdit(self)
        self.file.setReadOnly(True)
        self.file.setPlaceholderText(tr("A record (.npz), a .keras file, weights, or another experiment"))
        self.file.setAccessibleName(tr("File with trained layers"))
        self.file.setToolTip(
            tr("A record saved as NPZ, a .keras file, weights (.npz, .safetensors), or an experiment with its record")
        )
        self.browse = QPushButton(tr("Choose file\u2026"), self)
        self.browse.setToolTip(tr("Choose the file with the trained layers"))
        self.browse.setAutoDefault(False)
        self.browse.clicked.connect(lambda _=False: self.ask_file())
        self.count = QSpinBox(self)
        self.count.setRange(1, 1)
        self.count.setAccessibleName(tr("How many layers"))
        self.count.setToolTip(tr("How many of the first layers are taken over, Flatten included"))
        self.freeze = QCheckBox(tr("Freeze them"), self)
        self.freeze.setToolTip(tr("The training leaves the layers as they are; this can be changed at any time"))
        self.stack = QListWidget(self)
        self.stack.setAccessibleName(tr("Layers in the file"))
        self.stack.setToolTip(tr("The layers in the file, from the input on; those that are taken over stand first"))
        self.stack.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.stack.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.verdict = QLabel(self)
        self.verdict.setWordWrap(True)
        self.verdict.setTextFormat(Qt.TextFormat.PlainText)
        self.buttons = QDialogButtonBox(self)
        self.take_button = self.buttons.addButton(tr("Take over"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.take_button.setToolTip(tr("Put the layers in the place of the first ones here; undo takes it back"))
        cancel = self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        cancel.setText(tr("Cancel"))
        self.buttons.accepted.connect(self.take)
        self.buttons.rejected.connect(self.reject)
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        for row, (text, widget) in enumerate(
            ((tr("File"), self.file), (tr("Layers taken over"), self.count), ("", self.freeze))
        ):
            label = QLabel(text, self)
            label.setBuddy(widget)
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1)
        grid.addWidget(self.browse, 0, 2)
        layout = QVBoxLayout(self)
        layout.addLayout(grid)
        layout.addWidget(self.stack, 1)
        layout.addWidget(self.verdict)
        layout.addWidget(self.buttons)
        self.count.valueChanged.connect(lambda _: self._renew())
        self.freeze.toggled.connect(lambda _: self._renew())
        self.resize(theme.px(560), theme.px(460))
        self._renew()
        if path is not None:
            self.choose(path)

    def ask_file(self) -> None:
        """Asks for the file."""
        endings = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        name, _ = QFileDialog.getOpenFileName(
            self, tr("Reuse trained layers"), str(self.folder), f"{tr('Trained layers')} ({endings})"
        )
        if name:
            self.choose(Path(name))

    def choose(self, path: Path) -> None:
        """Reads a file of trained layers, in a thread."""
        self.path = path
        self.file.setText(str(path))
        experiment = self.session.experiment
        self._say(tr("Reading {name}\u2026", name=path.name))
        self.take_button.setEnabled(False)
        self.background.ask(lambda _: pretrained.load(path, experiment), self._opened)

    @property
    def reading(self) -> bool:
        """True while the file is read."""
        return self.background.busy

    def _opened(self, result: Any) -> None:
        self.saved = result if isinstance(result, Saved) else None
        if self.saved is None:
            self._refuse(result)
            self._fill()
            return
        rows = len(self.saved.experiment.stack().layers)
        most = min(rows, len(self.session.experiment.stack().layers)) if self._has_stack() else rows
        self.count.blockSignals(True)
        self.count.setRange(1, max(1, most))
        # All but the layer that makes the output, as the new task has outputs of its own.
        self.count.setValue(max(1, most - 1))
        self.count.blockSignals(False)
        self._renew()

    def _has_stack(self) -> bool:
        try:
            return bool(self.session.experiment.stack().layers)
        except ValueError:
            return False

    def _renew(self) -> None:
        self.result_ = None
        if self.saved is not None:
            rows, experiment = self.count.value(), self.session.experiment
            try:
                self.result_ = reused(self.saved, experiment, self.path, rows, freeze=self.freeze.isChecked())
            except (FaultsError, ValueError) as error:
                self._refuse(error)
            else:
                kept = [array.size for array in self.saved.weights]
                stack = self.saved.experiment.stack()
                count = sum(placed.index < rows for placed, _ in stack.weights())
                layers = tr_n("{n} layer", "{n} layers", rows)
                learned = f"{sum(kept[:count]):,}"
                self._say(tr("{layers} with {count} trained weights below the rest", layers=layers, count=learned))
        elif not self.reading and not self.file.text():
            self._say(tr("Train an experiment, export its record as NPZ, and take its first layers from there."))
        self.take_button.setEnabled(self.result_ is not None)
        self._fill()

    def _fill(self) -> None:
        self.stack.clear()
        if self.saved is not None:
            rows = self.count.value()
            for placed in self.saved.experiment.stack().layers:
                sign = "✓ " if placed.index < rows else "    "
                self.stack.addItem(f"{sign} {placed.index + 1}  {words_of(placed.layer)}")

    def _refuse(self, error: Any) -> None:
        faults = getattr(error, "faults", None) or (Fault("", str(error), MISSING),)
        self._say("\n".join(said(fault) for fault in faults[:4]), refused=True)

    def _say(self, text: str, *, refused: bool = False) -> None:
        role = QPalette.ColorRole
        self.verdict.setForegroundRole(role.BrightText if refused else role.WindowText)
        self.verdict.setText(text)

    def take(self) -> None:
        """Makes the edit, as one step."""
        if self.result_ is not None:
            name = tr("Layers from {name}", name=self.path.name)
            self.session.apply(edits.replace_all(self.session.experiment, self.result_.experiment, name))
            self.accept()

    def done(self, result: int) -> None:
        self.background.cancel()
        super().done(result)


def reused(saved: Saved, experiment: Experiment, path: Path, rows: int, *, freeze: bool) -> pretrained.Reused:
    """The experiment on the first layers of a file, which it names as what it starts from.

    Raises:
        FaultsError: if they do not fit.
        gradsim.model.stack.StackError: if the new layers do not fit on the old ones.
    """
    made = pretrained.reuse(saved, experiment, rows, freeze=freeze)
    place = str(pretrained.weights_beside(path).absolute())
    return dataclasses.replace(
        made,
        experiment=dataclasses.replace(made.experiment, pretrained=place, pretrained_layers=rows),
        scratch=dataclasses.replace(made.scratch, pretrained="", pretrained_layers=None),
    )

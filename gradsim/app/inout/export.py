"""The experiment as code for elsewhere: seen before it is copied or saved."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QPalette
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.background import Background
from gradsim.app.inout.code_view import CodeView
from gradsim.exchange import drawing, keras_config, keras_script, torch_script
from gradsim.exchange.exporting import EPOCHS, Exported
from gradsim.i18n import mark, tr
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError

Weights = Callable[[Experiment], Sequence[Any]]


@dataclasses.dataclass(frozen=True)
class Form:
    """One way to write an experiment.

    Attributes:
        suffix: Ending of its files.
        script: Whether it trains, so that epochs, weights and data concern it.
    """

    key: str
    title: str
    tip: str
    suffix: str
    script: bool


FORMS = (
    Form("keras", mark("Keras script"), mark("A script that trains the same thing in Keras 3."), ".py", True),
    Form("pytorch", mark("PyTorch script"), mark("A script that trains the same thing in PyTorch."), ".py", True),
    Form(
        "json", mark("Keras config (JSON)"), mark("For keras.models.model_from_json: the layers only."), ".json", False
    ),
    Form("svg", mark("Drawing (SVG)"), mark("The stack as a picture, as SVG text."), ".svg", False),
)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be written.

    Attributes:
        weights: Whether the script starts from the weights that the experiment starts from here.
        data: Whether the data go into the file beside the script, so that it does not need gradsim.
    """

    form: Form
    epochs: int = EPOCHS
    weights: bool = False
    data: bool = False


def written(experiment: Experiment, wanted: Wanted, name: str, weights: Weights) -> Exported:
    """The text and what belongs to it.

    Args:
        name: Name of the file with arrays, which a script reads.
        weights: Gives the arrays that an experiment starts from.

    Raises:
        FaultsError: if it can't be written in this form.
    """
    if wanted.form.key == "json":
        return Exported(keras_config.dumps(experiment), {}, "")
    if wanted.form.key == "svg":
        return Exported(drawing.export(experiment), {}, "")
    writer = keras_script if wanted.form.key == "keras" else torch_script
    return writer.export(
        experiment,
        epochs=wanted.epochs,
        data="file" if wanted.data else "gradsim",
        weights=weights(experiment) if wanted.weights else None,
        arrays_name=name,
    )


class ExportCode(QDialog):
    """The dialog.

    Args:
        experiment: What is written.
        folder: Where the dialog for files begins.
        name: Proposed name of the file, without ending.
        weights: Gives the arrays that the experiment starts from.
    """

    def __init__(
        self, experiment: Experiment, folder: Path, name: str, weights: Weights, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.experiment, self.folder, self.name, self._weights = experiment, folder, name, weights
        self.exported: Exported | None = None
        self.setWindowTitle(tr("Export code"))
        self.background = Background("gradsim-reading", self)
        self.form = QComboBox(self)
        for form in FORMS:
            self.form.addItem(tr(form.title), form.key)
            self.form.setItemData(self.form.count() - 1, tr(form.tip), Qt.ItemDataRole.ToolTipRole)
        self.form.setAccessibleName(tr("Written as"))
        self.form.setToolTip(tr("What the experiment is written as"))
        self.epochs = QSpinBox(self)
        self.epochs.setRange(1, 100_000)
        self.epochs.setValue(EPOCHS)
        self.epochs.setSuffix(" " + tr("epochs"))
        self.epochs.setAccessibleName(tr("Epochs"))
        self.epochs.setToolTip(tr("How long the script trains"))
        self.same_weights = QCheckBox(tr("Same initial weights"), self)
        self.same_weights.setToolTip(
            tr("The script starts from the weights that the experiment starts from here; they go into a file beside it")
        )
        self.same_weights.setChecked(bool(experiment.pretrained))
        self.with_data = QCheckBox(tr("Data in the file beside it"), self)
        self.with_data.setToolTip(tr("The data go along, so that the script runs where gradsim is not installed"))
        self.view = CodeView(self)
        self.view.setReadOnly(True)
        self.view.setAccessibleName(tr("The code"))
        self.view.setToolTip(tr("What is copied or saved"))
        self.note = QLabel(self)
        self.note.setWordWrap(True)
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self.buttons = QDialogButtonBox(self)
        self.copy_button = self._button(tr("Copy"), tr("Put the text on the clipboard"), self.copy)
        self.save_button = self._button(
            tr("Save\u2026"), tr("Write the text to a file, and what it reads beside it"), self.ask_save
        )
        close = self.buttons.addButton(QDialogButtonBox.StandardButton.Close)
        close.setText(tr("Close"))
        self.buttons.rejected.connect(self.reject)
        row = QHBoxLayout()
        for widget in (self.form, self.epochs, self.same_weights, self.with_data):
            row.addWidget(widget)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.note)
        layout.addWidget(self.buttons)
        self.form.activated.connect(lambda _: self.renew())
        self.epochs.valueChanged.connect(lambda _: self.renew())
        for box in (self.same_weights, self.with_data):
            box.toggled.connect(lambda _: self.renew())
        self.resize(theme.px(860), theme.px(620))
        self.renew()

    def _button(self, text: str, tip: str, function: Callable[[], object]) -> QPushButton:
        button = self.buttons.addButton(text, QDialogButtonBox.ButtonRole.ActionRole)
        button.setToolTip(tip)
        button.setAutoDefault(False)
        button.clicked.connect(lambda _=False: function())
        return button

    @property
    def wanted(self) -> Wanted:
        """What is chosen."""
        form = FORMS[self.form.currentIndex()]
        return Wanted(form, self.epochs.value(), self.same_weights.isChecked(), self.with_data.isChecked())

    def choose(self, key: str) -> None:
        """Writes it in another form."""
        self.form.setCurrentIndex([form.key for form in FORMS].index(key))
        self.renew()

    def renew(self) -> None:
        """Writes it anew, in a thread."""
        wanted, experiment, name, weights = self.wanted, self.experiment, f"{self.name}.npz", self._weights
        for widget in (self.epochs, self.same_weights, self.with_data):
            widget.setEnabled(wanted.form.script)
        self.background.ask(lambda _: written(experiment, wanted, name, weights), self._show)

    def _show(self, result: Any) -> None:
        self.exported = result if isinstance(result, Exported) else None
        role = QPalette.ColorRole.PlaceholderText
        if self.exported is not None:
            # Copying a text of megabytes into a view would take longer than anybody reads.
            self.view.setPlainText(self.exported.text[:1_000_000])
            notes = list(self.exported.notes)
            if self.exported.arrays:
                name = self.exported.arrays_name
                size = sum(array.nbytes for array in self.exported.arrays.values()) / 2**20
                said = tr(
                    "Saving also writes {name} ({size} MB), which the script reads.", name=name, size=f"{size:.1f}"
                )
                notes.append(said)
            text = "\n".join(note[:1].upper() + note[1:] for note in notes)
        else:
            role = QPalette.ColorRole.BrightText
            self.view.setPlainText("")
            text = tr("This can't be written: {why}", why=str(result) or type(result).__name__)
        self.note.setForegroundRole(role)
        self.note.setText(text)
        self.note.setVisible(bool(text))
        for button in (self.copy_button, self.save_button):
            button.setEnabled(self.exported is not None)

    def copy(self) -> None:
        """Puts the text on the clipboard."""
        if self.exported is not None:
            QGuiApplication.clipboard().setText(self.exported.text)
            self.note.setForegroundRole(QPalette.ColorRole.PlaceholderText)
            beside = bool(self.exported.arrays)
            self.note.setText(tr("Copied; the file beside it comes with Save.") if beside else tr("Copied."))
            self.note.show()

    def ask_save(self) -> bool:
        """Asks for a file and writes it."""
        form = self.wanted.form
        start = str(self.folder / f"{self.name}{form.suffix}")
        name, _ = QFileDialog.getSaveFileName(self, tr("Export code"), start, f"{tr(form.title)} (*{form.suffix})")
        if not name:
            return False
        path = Path(name)
        return self.save(path if path.suffix else path.with_suffix(form.suffix))

    def save(self, path: Path) -> bool:
        """Writes the text to a file and what it reads beside it; says what was written, or why not."""
        try:
            # Anew, since the file beside it takes the script's name.
            exported = written(self.experiment, self.wanted, f"{path.stem}.npz", self._weights)
            files = exported.write(path)
        except (FaultsError, OSError) as error:
            self.note.setForegroundRole(QPalette.ColorRole.BrightText)
            self.note.setText(tr("It can't be saved: {why}", why=getattr(error, "strerror", None) or error))
            self.note.show()
            return False
        self.note.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.note.setText(tr("Written: {files}", files=", ".join(str(one) for one in files)))
        self.note.show()
        return True

    def done(self, result: int) -> None:
        self.background.cancel()
        super().done(result)

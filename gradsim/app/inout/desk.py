"""Where files and the clipboard go to: each thing to the dialog that knows it. The window has one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QFileDialog

from gradsim.app.build import verbs as building
from gradsim.data import DataError, archives
from gradsim.exchange import start, weights
from gradsim.exchange.results import Imported, Notes
from gradsim.i18n import tr
from gradsim.model import edits
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError

if TYPE_CHECKING:
    from gradsim.app.inout.export import ExportCode
    from gradsim.app.inout.own_data import OwnData
    from gradsim.app.inout.paste import PasteCode
    from gradsim.app.inout.reuse import ReuseLayers
    from gradsim.app.inout.viewing import ViewWindow
    from gradsim.app.window import MainWindow

# The dialogs, and what reads code, are imported where they are asked for: the window opens sooner without them.

CODE = (".py", ".ipynb", ".json")
"""Files that hold code."""


class Desk(QObject):
    """Opens the dialogs of what comes in and goes out.

    Attributes:
        dialog: The dialog opened last; None when it is closed.
        views: Windows with recordings.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window
        self.session, self.files = window.session, window.files
        self.dialog: QDialog | None = None
        self.views: list[ViewWindow] = []

    def show(self, dialog: QDialog) -> None:
        """Opens a dialog over the window."""
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog = dialog
        dialog.finished.connect(self._closed)
        dialog.open()

    def _closed(self, _: int) -> None:
        self.dialog = None

    # Files

    def takes(self, path: Path) -> bool:
        """Whether a file (or folder) is something for a dialog."""
        suffix = path.suffix.lower()
        return path.is_dir() or suffix in (*CODE, ".keras", ".safetensors", ".csv", ".npz")

    def take(self, path: Path) -> bool:
        """A file was opened or dropped; False (and a sentence) if nothing can be made of it."""
        suffix = path.suffix.lower()
        if suffix == ".safetensors":
            self.reuse(path)
            return True
        if path.is_dir() or suffix == ".csv":
            self.own_data(path)
            return True
        if suffix == ".npz":
            return self.take_arrays(path)
        return self.open_code(path)

    def take_arrays(self, path: Path) -> bool:
        """An archive of arrays: data if it holds x and y, else weights of a network."""
        if weights.is_recording(path):
            self.view(path)
            return True
        try:
            names = set(archives.names(path))
        except DataError as error:
            self.files.failed.emit(tr("{file} can't be opened.", file=path.name) + f"\n{error}")
            return False
        if any(names.issuperset(layout[:2]) for layout in archives.LAYOUTS):
            self.own_data(path)
        else:
            self.reuse(path)
        return True

    # Own data

    def own_data(self, path: Path | None = None) -> OwnData:
        """The dialog that looks at data before they are used."""
        from gradsim.app.inout.own_data import OwnData

        dialog = OwnData(self.session, self.files.directory(), path, parent=self.window)
        self.show(dialog)
        return dialog

    # Recordings

    def view(self, path: Path) -> ViewWindow:
        """A recording, in a window of its own."""
        from gradsim.app.inout.viewing import ViewWindow

        window = ViewWindow(path)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.views.append(window)
        window.destroyed.connect(lambda: self.views.remove(window))
        window.show()
        return window

    def ask_view(self) -> ViewWindow | None:
        """Asks for a recording and shows it."""
        path = self.ask_file(tr("Open a recording"), (".npz",))
        return None if path is None else self.view(path)

    def close(self) -> None:
        """The window closes, and those of the recordings with it."""
        for window in list(self.views):
            window.close()

    # Trained layers

    def reuse(self, path: Path | None = None) -> ReuseLayers:
        """The dialog that takes trained layers over."""
        from gradsim.app.inout.reuse import ReuseLayers

        dialog = ReuseLayers(self.session, self.files.directory(), path, parent=self.window)
        self.show(dialog)
        return dialog

    # Code

    def clipboard_holds_code(self) -> bool:
        """Whether a paste means code rather than layers of this program."""
        data = QGuiApplication.clipboard().mimeData()
        if data is None or data.hasFormat(building.MIME) or not data.hasText():
            return False
        from gradsim.app.inout.paste import looks_like_code

        text = data.text()
        if not looks_like_code(text):
            return False
        try:
            edits.pasted(text)
        except (FaultsError, ValueError):
            return True
        return False

    def paste_code(self) -> PasteCode:
        """The dialog, with the code on the clipboard in it if there is some."""
        from gradsim.app.inout.paste import PasteCode

        text = QGuiApplication.clipboard().text() if self.clipboard_holds_code() else ""
        dialog = PasteCode(self.session, text, may_leave=self.files.may_leave, parent=self.window)
        self.show(dialog)
        return dialog

    def open_code(self, path: Path) -> bool:
        """A file of code, in the dialog."""
        from gradsim.app.inout.paste import PasteCode

        try:
            text, reader = code_of(path)
        except FaultsError as error:
            self.files.failed.emit(tr("{name} can't be opened.", name=path.name) + f"\n{error}")
            return False
        dialog = PasteCode(
            self.session,
            text,
            title=path.name,
            reader=reader,
            read_only=path.suffix.lower() == ".keras",
            may_leave=self.files.may_leave,
            parent=self.window,
        )
        self.show(dialog)
        return True

    def export_code(self) -> ExportCode:
        """The dialog of what goes out."""
        from gradsim.app.inout.export import ExportCode

        dialog = ExportCode(
            self.session.experiment,
            self.files.directory(),
            self.files.proposal(),
            start.initial_weights,
            parent=self.window,
        )
        self.show(dialog)
        return dialog

    def ask_file(self, title: str, suffixes: tuple[str, ...]) -> Path | None:
        """Asks for a file."""
        endings = " ".join(f"*{suffix}" for suffix in suffixes)
        name, _ = QFileDialog.getOpenFileName(self.window, title, str(self.files.directory()), f"{title} ({endings})")
        return Path(name) if name else None


def code_of(path: Path) -> tuple[str, Callable[[str, Experiment], Imported]]:
    """The text of a file of code, and what reads it; the code cells of a notebook one below the other.

    Raises:
        ImportFault: if it is no text, or too long.
    """
    from gradsim.exchange import importing, keras_file, notebooks

    suffix = path.suffix.lower()
    if suffix == ".keras":
        return keras_file.config_text(path), functools.partial(_keras, path)
    text = importing.decoded(importing.content_of(path))
    if suffix == ".ipynb":
        return notebooks.code_of(text, path.name, Notes())[0], importing.read_code_of
    return text, importing.read_text


def _keras(path: Path, text: str, base: Experiment) -> Imported:
    """A .keras file: its stack, which starts from its weights."""
    from gradsim.exchange import keras_file

    imported = keras_file.read(path, base)
    if imported.weights is None:
        return imported
    named = dataclasses.replace(imported.experiment, pretrained=str(path.absolute()), pretrained_layers=None)
    return dataclasses.replace(imported, experiment=named)

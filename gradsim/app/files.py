"""Opening, saving, recent files, autosave and what is found after a crash."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from PySide6.QtCore import QEventLoop, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QProgressDialog, QWidget

from gradsim.app.background import Background
from gradsim.app.session import Session
from gradsim.app.settings import Settings
from gradsim.data import CSV, NPZ
from gradsim.engine import saved
from gradsim.engine.saved import SavedRun
from gradsim.i18n import tr
from gradsim.model import container, edits, file
from gradsim.model.document import Kept
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError

AUTOSAVE_MS = 15_000
TAKES = "py ipynb json keras npz safetensors csv"
"""Endings of the other files that the window makes something of."""
BUSY_MS = 500
"""Something that takes longer says that it is at work."""
Answer = Literal["save", "discard", "cancel"]


class Others(Protocol):
    """What makes something of files that are no experiments."""

    def takes(self, path: Path) -> bool:
        """Whether it knows such files."""

    def take(self, path: Path) -> bool:
        """Makes something of one; False (and a sentence) if that fails."""


@dataclasses.dataclass(frozen=True)
class Leftover:
    """An autosaved experiment of a window that did not close.

    Attributes:
        path: The autosaved file.
        original: The file that the experiment belonged to, or None.
        saved: When it was autosaved last.
    """

    path: Path
    experiment: Experiment
    original: Path | None
    saved: datetime.datetime

    @property
    def title(self) -> str:
        """What it is, for a question."""
        name = (
            self.original.name
            if self.original is not None
            else tr(self.experiment.name) or tr("an experiment without name")
        )
        return f"{name}, {self.saved:%Y-%m-%d %H:%M}"


def new_experiment() -> Experiment:
    """What "New" begins with: small, and it can be trained."""
    hidden = {"type": "Dense", "units": 16, "activation": "relu", "kernel_initializer": "he_normal"}
    return file.experiment_from(
        {
            "layers": [hidden, hidden, {"type": "Dense", "units": 1, "activation": "sigmoid"}],
            "data": "moons",
            "loss": "binary_crossentropy",
            "optimizer": {"type": "SGD", "learning_rate": 0.1},
        }
    )


class Files(QObject):
    """The file verbs of a window.

    Args:
        session: Whose experiment is opened and saved.
        settings: Keeps the list of recent files.
        folder: Where experiments are autosaved.
        parent: Dialogs belong to it.

    Attributes:
        ask_unsaved: Asks what to do with unsaved changes; a dialog by default.
        before_leaving: Called first: puts back what only gave its place to something else for a while.
        others: Takes files that are no experiments.
        own: The user's experiment, also while something else has its place for a while.
        failed: A sentence for the user.
    """

    recent_changed = Signal()
    failed = Signal(str)

    def __init__(self, session: Session, settings: Settings, folder: Path, parent: QWidget) -> None:
        super().__init__(parent)
        self.session, self.settings, self.folder = session, settings, folder
        self.window = parent
        self.ask_unsaved: Callable[[str], Answer] = self._question
        self.before_leaving: Callable[[], object] = lambda: None
        self.own: Callable[[], Kept] = session.document.keep
        self.others: Others | None = None
        self._autosaved: Experiment | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(AUTOSAVE_MS)
        self._timer.timeout.connect(self.autosave)
        self._timer.start()

    @property
    def title(self) -> str:
        """The name of the file, or of the experiment."""
        document = self.session.document
        if document.path is not None:
            return document.path.name
        return tr(document.experiment.name) or tr("Untitled")

    # Opening

    def new(self) -> bool:
        """A small network in place of what is open."""
        if not self.may_leave():
            return False
        self.session.show(new_experiment())
        return True

    def ask_open(self) -> bool:
        """Asks for a file and opens it."""
        start = str(self.directory())
        others = " ".join(f"*.{ending}" for ending in TAKES.split())
        everything = tr("Experiments, code, data, weights, recordings") + f" (*{file.SUFFIX} {others})"
        name, _ = QFileDialog.getOpenFileName(self.window, tr("Open"), start, f"{everything};;{name_filter()}")
        return bool(name) and self.take(Path(name))

    def open(self, path: Path, *, play: bool = False, asked: bool = False) -> bool:
        """Opens a file; False (and a sentence) if it can't be, and then nothing has changed."""
        if not asked and not self.may_leave():
            return False
        try:
            self.session.open(path, play=play, first=self._read_data)
        except FaultsError as error:
            self.failed.emit(tr("{file} can't be opened.", file=path.name) + f"\n{error}")
            self.settings.forget_recent(str(path.absolute()))
            self.recent_changed.emit()
            return False
        self._remember(path)
        view = self.session.document.extensions.get("view")
        if isinstance(view, dict) and isinstance(view.get("page"), str) and hasattr(self.window, "show_side_page"):
            self.window.show_side_page(view["page"])
        return True

    def _read_data(self, experiment: Experiment) -> None:
        """Reads a file of data in a thread: what is asked of it when the experiment is shown, is known then."""
        source = experiment.data
        if source.stamp() is None:
            return
        loop = QEventLoop(self)
        background = Background("gradsim-data", self)
        name = Path(str(getattr(source, "path", ""))).name
        dialog = _busy(tr("Reading {name}\u2026", name=name), self.window)
        # A fault of the data is told where the experiment is shown.
        background.ask(lambda _: source.signature(), lambda _: loop.quit())
        loop.exec()
        dialog.close()
        for left in (dialog, background, loop):
            left.deleteLater()

    def open_example(self, experiment: Experiment) -> bool:
        """Puts a bundled experiment in place of what is open, playing."""
        if not self.may_leave():
            return False
        self.session.show(experiment, play=True)
        return True

    def take(self, path: Path) -> bool:
        """A file was dropped on the window: an experiment is opened, a table becomes the data."""
        suffix = path.suffix.lower()
        if suffix == file.SUFFIX:
            return self.open(path)
        if self.others is not None and self.others.takes(path):
            return self.others.take(path)
        if suffix in (".csv", ".npz"):
            make = CSV if suffix == ".csv" else NPZ
            return bool(self.session.edit(edits.set_field, "", "data", make(str(path.absolute()))))
        self.failed.emit(
            tr(
                "{file}: must be a {suffix} file, or a table of data as .csv or .npz",
                file=path.name,
                suffix=file.SUFFIX,
            )
        )
        return False

    # Saving

    def save(self) -> bool:
        """Saves in the experiment's own file; asks for one if there is none."""
        path = self.session.document.path
        if path is None:
            return self.ask_save()
        # A file that holds a run is to hold the run as it is now, not to lose it.
        with_run = container.is_container(path) and self.session.recorder is not None
        return self.save_with_run(path) if with_run else self.save_as(path)

    def ask_save(self) -> bool:
        """Asks for a file and saves in it."""
        start = self.directory() / (self.session.document.path or Path(self.proposal() + file.SUFFIX)).name
        name, _ = QFileDialog.getSaveFileName(self.window, tr("Save the experiment"), str(start), name_filter())
        if not name:
            return False
        path = Path(name)
        return self.save_as(path if path.suffix else path.with_suffix(file.SUFFIX))

    def save_as(self, path: Path) -> bool:
        """Saves in a file; False (and a sentence) if it can't be."""
        try:
            self.session.save(path)
        except FaultsError as error:
            self.failed.emit(tr("The experiment can't be saved.") + f"\n{error}")
            return False
        self._remember(path)
        self.forget_autosave()
        return True

    def ask_save_with_run(self) -> bool:
        """Asks for a file and saves experiment and run in it."""
        start = self.directory() / (self.session.document.path or Path(f"{self.proposal()}{file.SUFFIX}")).name
        title = tr("Save the experiment with its run")
        name, _ = QFileDialog.getSaveFileName(self.window, title, str(start), name_filter())
        if not name:
            return False
        path = Path(name)
        return self.save_with_run(path if path.suffix else path.with_suffix(file.SUFFIX))

    def save_with_run(self, path: Path) -> bool:
        """Saves experiment and run in one file; False (and a sentence) if it can't be. The window lives meanwhile."""
        problem = Keeping(self.session, path, self.window).wait()
        if problem:
            self.failed.emit(tr("The experiment can't be saved.") + f"\n{problem}")
            return False
        self._remember(path)
        self.forget_autosave()
        return True

    def proposal(self) -> str:
        """A name for a file, without ending."""
        words = "".join(c if c.isalnum() or c in "-_ " else " " for c in self.session.experiment.name).split()
        return "-".join(words).lower() or "experiment"

    def may_leave(self) -> bool:
        """Whether what is open may go: saved, thrown away on purpose, or unchanged."""
        self.before_leaving()
        if not self.session.document.dirty:
            return True
        match self.ask_unsaved(self.title):
            case "save":
                return self.save()
            case "discard":
                return True
            case _:
                return False

    def _question(self, title: str) -> Answer:
        box = QMessageBox(self.window)
        box.setWindowTitle(tr("Unsaved changes"))
        box.setIcon(QMessageBox.Icon.Question)
        box.setText(tr("Save the changes of “{title}”?", title=title))
        box.setInformativeText(tr("They are lost if you don't."))
        buttons = QMessageBox.StandardButton
        box.setStandardButtons(buttons.Save | buttons.Discard | buttons.Cancel)
        box.setDefaultButton(buttons.Save)
        chosen = box.exec()
        return "save" if chosen == buttons.Save else "discard" if chosen == buttons.Discard else "cancel"

    # The record

    def ask_export(self) -> bool:
        """Asks for a file and writes the record into it."""
        proposal = self.directory() / f"{self.proposal()}.csv"
        exports = f"{tr('Table')} (*.csv);;{tr('Recording')} (*.npz)"
        name, chosen = QFileDialog.getSaveFileName(self.window, tr("Export the record"), str(proposal), exports)
        if not name:
            return False
        path = Path(name)
        if not path.suffix:
            path = path.with_suffix(".npz" if "npz" in chosen else ".csv")
        if path.suffix.lower() == ".npz":
            # With the weights of now, so that its layers can be reused.
            self.session.ask("record", lambda trainer: trainer.weights(), functools.partial(self.export, path))
            return True
        return self.export(path)

    def export(self, path: Path, weights: Sequence[Any] | None = None) -> bool:
        """Writes the record as CSV or NPZ, by the name of the file; an NPZ holds these weights, too."""
        recorder = self.session.recorder
        if recorder is None:
            return False
        try:
            recording = recorder.recording(final_weights=weights)
            if path.suffix.lower() == ".npz":
                recording.save(path)
            elif path.suffix.lower() == ".csv":
                recording.to_csv(path)
            else:
                raise ValueError(tr("must end in .csv or .npz (received {file})", file=path.name))
        except (OSError, ValueError) as error:
            self.failed.emit(tr("The record can't be exported: {error}", error=error))
            return False
        return True

    # Recent files

    def recent(self) -> list[Path]:
        """The files opened or saved last that still exist."""
        return [path for name in self.settings.recent if os.path.isfile(path := Path(name))]

    def _remember(self, path: Path) -> None:
        self.settings.add_recent(path)
        self.recent_changed.emit()

    def directory(self) -> Path:
        """Where a dialog for files begins."""
        path = self.session.document.path
        if path is not None:
            return path.parent
        recent = self.recent()
        return recent[0].parent if recent else Path.home()

    # Autosave

    @property
    def autosave_path(self) -> Path:
        """Where this window autosaves."""
        return self.folder / f"autosave-{os.getpid()}-{id(self):x}{file.SUFFIX}"

    def autosave(self) -> None:
        """Keeps unsaved changes for the case of a crash; what can't be kept is no reason to disturb anybody."""
        own = self.own()
        if not own.dirty:
            self.forget_autosave()
        elif own.experiment is not self._autosaved:
            state: dict[str, Any] = {"original": str(own.path.absolute()) if own.path is not None else ""}
            with contextlib.suppress(FaultsError, OSError):
                self.folder.mkdir(parents=True, exist_ok=True)
                file.save(self.autosave_path, own.experiment, {"view": self.session.view(), "state": state})
                self._autosaved = own.experiment

    def forget_autosave(self) -> None:
        """There is nothing to recover any more."""
        self._autosaved = None
        with contextlib.suppress(OSError):
            self.autosave_path.unlink(missing_ok=True)

    def leftovers(self) -> list[Leftover]:
        """What windows that ended without closing have left, the latest first."""
        found = []
        try:
            paths = list(self.folder.glob(f"autosave-*{file.SUFFIX}"))
        except OSError:
            # It may not be looked into.
            return []
        for path in paths:
            if _running(path):
                continue
            try:
                opened = file.load(path)
                saved = datetime.datetime.fromtimestamp(path.stat().st_mtime)
            except (FaultsError, OSError):
                continue
            original = opened.extensions.get("state", {}).get("original")
            kept = Path(original) if isinstance(original, str) and original else None
            found.append(Leftover(path, opened.experiment, kept, saved))
        return sorted(found, key=lambda one: one.saved, reverse=True)

    def recover(self, leftover: Leftover) -> bool:
        """Opens what was left, as unsaved changes of its file."""
        if not self.may_leave():
            return False
        self._read_data(leftover.experiment)
        self.session.show(leftover.experiment, path=leftover.original)
        self.session.document.mark_unsaved()
        self.autosave()
        self.discard(leftover)
        return True

    def discard(self, leftover: Leftover) -> None:
        """Deletes what was left."""
        with contextlib.suppress(OSError):
            leftover.path.unlink(missing_ok=True)

    def close(self) -> None:
        """The window closes properly."""
        self._timer.stop()
        self.forget_autosave()


def name_filter() -> str:
    """Of a file dialog for experiments."""
    return f"{tr('Experiments')} (*{file.SUFFIX})"


def _busy(text: str, window: QWidget) -> QProgressDialog:
    """Says, after a moment, that something is done."""
    dialog = QProgressDialog(text, "", 0, 0, window)
    dialog.setCancelButton(None)
    dialog.setWindowModality(Qt.WindowModality.WindowModal)
    dialog.setMinimumDuration(BUSY_MS)
    dialog.setValue(0)
    return dialog


class Keeping(QObject):
    """Saves experiment and run: put together in the thread of the training, written in another one.

    Args:
        session: What is saved.
        path: Where to.
        window: Shown as busy if it takes long.
    """

    _written = Signal(str)

    def __init__(self, session: Session, path: Path, window: QWidget) -> None:
        super().__init__(window)
        self.session, self.path = session, path
        self.experiment = session.experiment
        self._loop = QEventLoop(self)
        self._problem: str | None = None
        self._dialog = _busy(tr("Saving the run"), window)
        self._thread: threading.Thread | None = None
        self._written.connect(self._end, Qt.ConnectionType.QueuedConnection)

    def wait(self) -> str:
        """Until it is done; what went wrong, or ""."""
        if self.session.recorder is None:
            return tr("There is no run to save: train first.")
        self.session.recorder_changed.connect(self._gone)
        self.session.keep_run(self._kept)
        if self._problem is None:
            self._loop.exec()
        self.session.recorder_changed.disconnect(self._gone)
        if self._thread is not None:
            self._thread.join()
        self._dialog.close()
        self._dialog.deleteLater()
        self.deleteLater()
        if not self._problem:
            self.session.document.mark_saved(self.path, self.experiment)
        return self._problem or ""

    def _kept(self, run: SavedRun | None) -> None:
        if run is None:
            self._end(tr("There is no run to save: train first."))
            return
        extensions = self.session.document.extensions
        extensions["view"] = {**self.session.view(), **self.session.place(), **self._page()}
        self._thread = threading.Thread(target=self._write, args=(run, dict(extensions)), daemon=True)
        self._thread.start()

    def _page(self) -> dict[str, str]:
        page = getattr(self.parent(), "side_page", None)
        return {"page": page} if isinstance(page, str) else {}

    def _write(self, run: SavedRun, extensions: dict[str, Any]) -> None:
        try:
            saved.save(self.path, self.experiment, run, extensions)
        except FaultsError as error:
            self._written.emit(str(error))
        except Exception as error:  # whatever it is, the window waits to hear of it
            self._written.emit(str(error) or type(error).__name__)
        else:
            self._written.emit("")

    def _gone(self) -> None:
        if self._thread is None:
            self._end(tr("Another run began before this one was saved."))

    def _end(self, problem: str) -> None:
        self._problem = problem
        self._loop.quit()


def _running(path: Path) -> bool:
    """Whether the process that autosaves there still runs."""
    parts = path.stem.split("-")
    if len(parts) < 3 or not parts[1].isdigit():
        return False
    process = int(parts[1])
    if process == os.getpid():
        return True
    if os.name == "nt":
        # Sending signal 0 would end the process there.
        return _running_on_windows(process)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _running_on_windows(process: int) -> bool:
    import ctypes

    query = 0x1000
    kernel: Any = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(query, False, process)
    if not handle:
        return False
    code = ctypes.c_ulong()
    alive = bool(kernel.GetExitCodeProcess(handle, ctypes.byref(code))) and code.value == 259
    kernel.CloseHandle(handle)
    return alive

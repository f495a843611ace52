"""The open experiment: what it is now, how it came to be, whether it is saved. No Qt."""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from gradsim.model import file
from gradsim.model.change import Change, compare
from gradsim.model.edits import Edit
from gradsim.model.experiment import Experiment
from gradsim.model.history import History, Step

T = TypeVar("T")
Observer = Callable[[T], object]


class Signal(Generic[T]):
    """Tells its observers, in the order in which they were connected."""

    def __init__(self) -> None:
        self._observers: list[Observer[T]] = []
        self._waiting: deque[T] = deque()

    def connect(self, observer: Observer[T]) -> Callable[[], None]:
        """Adds an observer and gives what disconnects it."""
        self._observers.append(observer)
        return lambda: self.disconnect(observer)

    def disconnect(self, observer: Observer[T]) -> None:
        """Takes an observer out; one that isn't connected is no fault."""
        if observer in self._observers:
            self._observers.remove(observer)

    def emit(self, value: T) -> None:
        """Calls every observer.

        What is emitted meanwhile (an observer that edits) waits until all have heard of this, so that all
        hear the same in the same order.
        """
        self._waiting.append(value)
        if len(self._waiting) > 1:
            return
        try:
            while self._waiting:
                for observer in tuple(self._observers):
                    if observer in self._observers:
                        observer(self._waiting[0])
                self._waiting.popleft()
        finally:
            self._waiting.clear()


@dataclasses.dataclass(frozen=True)
class Kept:
    """A document as it was at a moment, with its history: see :meth:`Document.keep`."""

    experiment: Experiment
    history: History[tuple[Experiment, Change]]
    saved: Experiment | None
    path: Path | None
    extensions: Mapping[str, Any]

    @property
    def dirty(self) -> bool:
        """As :attr:`Document.dirty`."""
        return _differs(self.saved, self.experiment)


class Document:
    """The one experiment that a window shows.

    Attributes:
        changed: Emits a :class:`Change` after the experiment changed, by an edit, undo, redo or ``replace``.
        saved: Emits the document when ``dirty``, ``path`` or the extensions may have changed without an edit.
        path: The file it belongs to, or None.
        extensions: What the file holds beside the experiment ("view", "state"); whoever shows it keeps it up
            to date.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        path: str | os.PathLike[str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        self._experiment = experiment
        self._history: History[tuple[Experiment, Change]] = History()
        self._saved: Experiment | None = self._experiment
        self.path = None if path is None else Path(path)
        self.extensions: dict[str, Any] = dict(extensions or {})
        self.changed: Signal[Change] = Signal()
        self.saved: Signal[Document] = Signal()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Document:
        """The document of a file; raises :class:`gradsim.model.file.FileError`."""
        opened = file.load(path)
        return cls(opened.experiment, path=path, extensions=opened.extensions)

    @property
    def experiment(self) -> Experiment:
        """The experiment as it is now."""
        return self._experiment

    def apply(self, edit: Edit, origin: object = None, merge_key: Hashable = None) -> Change:
        """Makes an edit.

        Args:
            edit: Made from :attr:`experiment` as it is now.
            origin: Who asks; handed on in the change.
            merge_key: Edits that follow each other with the same key are one step of the history, until
                :meth:`end_merge`, an undo or a save.

        Returns:
            What changed; false if nothing did, and then nothing is recorded.

        Raises:
            ValueError: if the edit was made from another state.
        """
        if edit.before is not self._experiment:
            raise ValueError("the edit was made from an experiment that is no longer the current one")
        change = _from(edit.change, origin)
        if change:
            before, after = (self._experiment, edit.change), (edit.experiment, edit.change)
            self._history.push(Step(before, after, edit.name, merge_key))
            self._experiment = edit.experiment
            self.changed.emit(change)
        return change

    def end_merge(self) -> None:
        """The drag is over: the next edit is a step of its own whatever its key."""
        self._history.close()

    def undo(self, origin: object = None) -> Change:
        """Takes the last step back. Raises IndexError if there is none."""
        step = self._history.undo()
        return self._swap(step.before[0], step, origin)

    def redo(self, origin: object = None) -> Change:
        """Makes the last undone step again. Raises IndexError if there is none."""
        step = self._history.redo()
        return self._swap(step.after[0], step, origin)

    def _swap(self, to: Experiment, step: Step[tuple[Experiment, Change]], origin: object) -> Change:
        change = compare(self._experiment, to)
        # A layer that only moved looks the same at both places; the edit knows of it.
        touched = step.before[1].uids | step.after[1].uids if change else frozenset()
        change = Change(change.facets, change.uids | touched, change.effect, origin)
        self._experiment = to
        self.changed.emit(change)
        return change

    @property
    def undo_names(self) -> tuple[str, ...]:
        """What can be undone, the last step first; empty if nothing can."""
        return self._history.undo_names

    @property
    def redo_names(self) -> tuple[str, ...]:
        """What can be made again, the next first; empty if nothing can."""
        return self._history.redo_names

    @property
    def before_last_edit(self) -> Experiment | None:
        """The experiment that :meth:`undo` would lead back to; None if there is nothing to undo."""
        last = self._history.last
        return None if last is None else last.before[0]

    @property
    def dirty(self) -> bool:
        """True if the experiment is not the one that was saved or opened last; undo can lead back to it."""
        return _differs(self._saved, self._experiment)

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Saves to a file, by default its own.

        Raises:
            ValueError: if there is no file yet.
            gradsim.model.file.FileError: if it can't be saved; then nothing has changed.
        """
        target = self.path if path is None else Path(path)
        if target is None:
            raise ValueError("the experiment has no file yet: give a path")
        file.save(target, self._experiment, self.extensions)
        self.path = target
        self._saved = self._experiment
        self._history.close()
        self.saved.emit(self)

    def mark_saved(self, path: str | os.PathLike[str], experiment: Experiment) -> None:
        """A file of another kind holds this experiment now."""
        self.path = Path(path)
        self._saved = experiment
        self._history.close()
        self.saved.emit(self)

    def mark_unsaved(self) -> None:
        """What is shown is in no file: a recovered or imported experiment."""
        self._saved = None
        self.saved.emit(self)

    def replace(
        self,
        experiment: Experiment,
        *,
        path: str | os.PathLike[str] | None = None,
        extensions: Mapping[str, Any] | None = None,
        origin: object = None,
    ) -> Change:
        """Another experiment takes the place of this one, with a history of its own."""
        place = None if path is None else Path(path)
        return self.put_back(Kept(experiment, History(), experiment, place, extensions or {}), origin)

    def keep(self) -> Kept:
        """All that this document is, for :meth:`put_back` when another one has had its place for a while."""
        return Kept(self._experiment, self._history, self._saved, self.path, dict(self.extensions))

    def put_back(self, kept: Kept, origin: object = None) -> Change:
        """What was kept takes the place of this document, with its history and its file."""
        change = compare(self._experiment, kept.experiment)
        change = Change(change.facets, change.uids, "structure", origin)
        self._experiment = kept.experiment
        self._history = kept.history
        self._saved = kept.saved
        self.path = kept.path
        self.extensions = dict(kept.extensions)
        self.changed.emit(change)
        self.saved.emit(self)
        return change


def _differs(saved: Experiment | None, experiment: Experiment) -> bool:
    return saved is None or (experiment is not saved and bool(compare(saved, experiment)))


def _from(change: Change, origin: object) -> Change:
    return Change(change.facets, change.uids, change.effect, origin)

"""The one object that views get: the open experiment, its training, what is looked at, and the verbs of the user.

A view reads, calls a verb, and hears of what came of it by a signal. Nothing here blocks: training happens in the
thread of a :class:`gradsim.engine.runner.Runner`, and what it records is *pulled* on :attr:`Session.tick`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QObject, Signal

from gradsim.app.player import Player
from gradsim.engine import runner as running
from gradsim.engine import saved
from gradsim.engine.saved import SavedRun
from gradsim.exchange.start import start_of
from gradsim.i18n import tr
from gradsim.model import container, edits
from gradsim.model.change import Change
from gradsim.model.document import Document, Kept
from gradsim.model.edits import Edit
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.model.problems import Problem, problems
from gradsim.telemetry.quantities import Thresholds, quantity


class Session(Player):
    """An experiment being built and trained.

    Args:
        experiment: What is open at first; it is prepared by :meth:`start`.
        recorder_bytes: Memory for the record of a run.
        checkpoint_bytes: Memory for the snapshots that a run can go back to.

    Attributes:
        document: The open experiment with its history; change it by :meth:`edit` or :meth:`apply`.
        weights_given: Whether the present run began with given weights, not with those drawn from the seed.
    """

    document_changed = Signal(object)
    """A :class:`Change`: after an edit, undo, redo, or another experiment."""
    saved_changed = Signal()
    """``document.dirty`` or ``document.path`` may have changed."""

    def __init__(
        self,
        experiment: Experiment | None = None,
        parent: QObject | None = None,
        *,
        recorder_bytes: int = running.RECORDER_BYTES,
        checkpoint_bytes: int = running.CHECKPOINT_BYTES,
    ) -> None:
        super().__init__(parent, recorder_bytes=recorder_bytes, checkpoint_bytes=checkpoint_bytes)
        self.document = Document(experiment or Experiment())
        self.weights_given = False
        self._problems: tuple[Problem, ...] | None = None
        self._saved_run: Callable[[], SavedRun | None] | None = None
        self._place: Any = None
        self._lost_start = ""
        self.document.changed.connect(self._on_change)
        self.document.saved.connect(lambda _: self.saved_changed.emit())

    # -- what there is -------------------------------------------------------------------------------

    @property
    def experiment(self) -> Experiment:
        """The open experiment as it is now."""
        return self.document.experiment

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with it or unwise; computed once per change."""
        if self._problems is None:
            self._problems = problems(self.experiment)
        return self._problems

    @property
    def startable(self) -> bool:
        """False if the experiment holds something impossible."""
        return not any(problem.severity == "impossible" for problem in self.problems)

    def leave_views(self) -> None:
        super().leave_views()
        # Their words are in the language of before.
        self._problems = None

    # -- running -------------------------------------------------------------------------------------

    def start(self, *, play: bool = False, weights: Sequence[Any] | None = None) -> None:
        """Prepares a run of the open experiment; what was trained before is gone.

        Args:
            play: Run at once.
            weights: Arrays to start from, in Keras' ``get_weights()`` order; None are those that the experiment
                names, or drawn from the seed.
        """
        self.state.set_cursor(None)
        # What the mouse rests on was a step of the run before.
        self.state.set_hover(None)
        self.first_nonfinite = None
        self.failure = ""
        self.weights_given = weights is not None or bool(self.experiment.pretrained)
        self._answers.clear()
        self._intent = play
        self._preparing = self.startable
        run, self._saved_run = self._saved_run, None
        if self.startable:
            experiment = self.experiment

            def beginning() -> list[Any] | None:
                try:
                    return start_of(experiment)
                except FaultsError as error:
                    if run is None:
                        raise
                    # A saved run holds its weights, so it goes on without the file that it once began from.
                    self._lost_start = str(error)
                    return None

            self._lost_start = ""
            start = beginning if weights is None else weights
            self._run = self.runner.prepare(self.experiment, play=play, weights=start, saved=run)
        else:
            self._run = self.runner.leave()
            self.failure = next(p.words for p in self.problems if p.severity == "impossible")
            self._set_run(None, None)
        self.run_changed.emit()

    def reset(self, new_seed: bool = False) -> None:
        """Starts again from the seed (the same initial weights), or from the next seed (an edit)."""
        if new_seed:
            self.edit(edits.set_field, "", "seed", (self.experiment.seed + 1) % 2**31)
        else:
            self.start(play=self._intent)

    # -- editing -------------------------------------------------------------------------------------

    def edit(
        self, make: Callable[..., Edit], *args: Any, merge_key: Hashable = None, origin: object = None, **kwargs: Any
    ) -> Change | None:
        """Makes an edit of the experiment as it is now: ``edit(edits.set_field, uid, "units", 64)``.

        Returns:
            What changed (false if nothing did); None if it can't be done, and then ``failed`` has told why.
        """
        try:
            return self.apply(make(self.experiment, *args, **kwargs), merge_key=merge_key, origin=origin)
        except FaultsError as error:
            self.failed.emit(str(error))
            return None

    def apply(self, edit: Edit, merge_key: Hashable = None, origin: object = None) -> Change:
        """Makes an edit that was made from :attr:`experiment`; edits with one merge key become one undo step."""
        change = self.document.apply(edit, origin, merge_key)
        if change and edit.selection is not None:
            self.state.select(edit.selection)
        return change

    def end_merge(self) -> None:
        """A drag is over: the next edit is an undo step of its own."""
        self.document.end_merge()

    def undo(self) -> None:
        """Takes the last edit back."""
        if self.document.undo_names:
            self.document.undo()

    def redo(self) -> None:
        """Makes the last undone edit again."""
        if self.document.redo_names:
            self.document.redo()

    def _on_change(self, change: Change) -> None:
        self._problems = None
        known = {place.layer.uid for place in edits.places(self.experiment)}
        self.state.select(uid for uid in self.state.selection if uid in known)
        if change.effect == "structure":
            self.start(play=self._intent)
        elif change.effect == "freeze" and self.recorder is not None and not self._preparing:
            self.runner.carry_on(self.experiment)
        elif change.effect == "freeze":
            self.start(play=self._intent)
        elif change.effect == "live":
            self.runner.apply_live(self.experiment.optimizer)
        self.document_changed.emit(change)
        self.saved_changed.emit()

    # -- files ---------------------------------------------------------------------------------------

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        play: bool = False,
        first: Callable[[Experiment], object] = lambda experiment: None,
    ) -> None:
        """Opens a file in place of the present experiment.

        Args:
            first: Called with the new experiment before it is shown.

        Raises:
            gradsim.model.file.FileError: and nothing has changed.
        """
        opened = Document.open(path)
        first(opened.experiment)
        if container.is_container(path):
            # Where it stood is where it opens: a lecture goes on with the picture that it ended with.
            self._saved_run = functools.partial(saved.load, os.fspath(path))
            play = False
        self.show(opened.experiment, path=path, extensions=opened.extensions, play=play)

    def show(
        self,
        experiment: Experiment,
        *,
        path: str | os.PathLike[str] | None = None,
        extensions: Mapping[str, Any] | None = None,
        play: bool = False,
    ) -> None:
        """Puts another experiment in place of the present one, with a history of its own."""
        self.state.select(())
        self.state.set_range(None)
        self._place = (extensions or {}).get("view")
        self._restore_view(self._place)
        self._intent = play
        self.document.replace(experiment, path=path, extensions=extensions)

    def put_back(self, kept: Kept, *, play: bool = False) -> None:
        """Puts an experiment with its history, which :meth:`Document.keep` gave, in place of the present one."""
        self.state.select(())
        self.state.set_range(None)
        self._intent = play
        self.document.put_back(kept)

    def play_until(self, step: int) -> None:
        """Runs on, and pauses behind so many steps in all."""
        if self._can_run():
            self.runner.play(step)

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Saves to a file, by default its own; raises as :meth:`Document.save`."""
        self.document.extensions["view"] = self.view()
        self.document.save(path)

    def keep_run(self, answer: Callable[[SavedRun | None], object]) -> None:
        """Has the run put together for a file; ``answer`` gets it, or None if there is none. Never after another run
        began."""
        self._answers[self.runner.keep()] = answer

    def place(self) -> dict[str, Any]:
        """The shown moment, steps and layers, as they are kept in a file with its run."""
        state = self.state
        found: dict[str, Any] = {"rows": list(self.selected_rows())}
        if state.cursor is not None:
            found["cursor"] = state.cursor
        if state.range is not None:
            found["range"] = list(state.range)
        return found

    def _restore_place(self) -> None:
        view, self._place = self._place, None
        recorder = self.recorder
        if not isinstance(view, dict) or recorder is None:
            return
        rows, cursor, span = view.get("rows"), view.get("cursor"), view.get("range")
        if isinstance(rows, list):
            known = len(self.row_uids)
            self.state.select(self.row_uids[row] for row in rows if type(row) is int and 0 <= row < known)
        if type(cursor) is int and recorder.first_step <= cursor < recorder.stop:
            self.state.set_cursor(cursor)
        if isinstance(span, list) and len(span) == 2 and all(type(end) in (int, float) for end in span):
            begin, end = float(span[0]), float(span[1])
            if begin < end <= 2**53 and begin >= 0:
                self.state.set_range((begin, end))

    def _on_event(self, event: running.Event) -> bool:
        if isinstance(event, running.Resumed):
            if event.run == self._run:
                self._resumed(event)
            return False
        return super()._on_event(event)

    def _resumed(self, event: running.Resumed) -> None:
        if event.problem:
            said = tr("The run in the file can't be taken up again; it starts from the seed.\n{why}", why=event.problem)
            self.failed.emit("\n".join(filter(None, (said, self._lost_start))))
            return
        self._restore_place()
        if not event.same:
            self.failed.emit(
                tr("The last step came out otherwise than on the machine that saved it: from here on, numbers differ "
                   "in their last digits.")
            )  # fmt: skip

    def view(self) -> dict[str, Any]:
        """What is looked at, as it is kept in a file."""
        scales = {key: dataclasses.asdict(scale) for key, scale in self.state.changed_thresholds().items()}
        found: dict[str, Any] = {"quantity": self.state.quantity}
        return {**found, "thresholds": scales} if scales else found

    def _restore_view(self, view: Any) -> None:
        # Whatever a file says here that can't be shown is passed over: it is no part of the experiment.
        if not isinstance(view, dict):
            return
        with contextlib.suppress(KeyError):
            self.state.set_quantity(str(view.get("quantity", self.state.quantity)))
        scales = view.get("thresholds")
        for key, scale in scales.items() if isinstance(scales, dict) else ():
            try:
                quantity(key)
                self.state.set_thresholds(key, Thresholds(**scale))
            except (KeyError, TypeError, ValueError):
                continue

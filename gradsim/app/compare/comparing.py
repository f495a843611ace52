"""Enters and leaves comparisons: what a person can ask for, from the open experiment and its run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QFileDialog, QMenu, QStackedWidget, QWidget

from gradsim.app.banner import Banner
from gradsim.app.command_palette import Command, CommandPalette
from gradsim.app.compare.choosing import CureDialog
from gradsim.app.compare.comparison import LETTERS, Comparison, Member, Moment
from gradsim.app.compare.view import ComparisonView
from gradsim.app.files import name_filter
from gradsim.app.player import Player
from gradsim.app.session import Session
from gradsim.diagnose import remedies
from gradsim.diagnose.twins import BATCHES, MOST
from gradsim.engine.trainer import Trainer
from gradsim.exchange.pretrained import from_scratch
from gradsim.i18n import tr
from gradsim.model import bundled, edits, file, problems
from gradsim.model.change import compare
from gradsim.model.edits import Edit, EditError
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError

RATES = (1.0, 0.1, 10.0, 100.0)
"""Of the present learning rate, those that are compared."""


@dataclasses.dataclass(frozen=True)
class Pending:
    """A comparison that waits for one of its twins to be edited."""

    members: tuple[Member, ...]
    place: int
    moment: Moment | None


class Comparing(QObject):
    """The comparisons of a window, of which there is one at a time.

    The single run pauses meanwhile and is left as it is; leaving shows it again.

    Args:
        session: The single run.
        stack: Shows the window's usual parts; a comparison is put over them.
        banner: Says what a comparison has to say.
        upwards: Whether stacks stand with their input at the bottom.
        parent: Dialogs belong to it.

    Attributes:
        comparison: The present one, or None.
        view: What shows it, or None.
        pending: One that goes on when a twin has been edited, or None.
        dialog: What asks for a cure, while it is open.
    """

    changed = Signal()
    """Entered, left, or another one."""

    def __init__(
        self, session: Session, stack: QStackedWidget, banner: Banner, upwards: Callable[[], bool], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.session, self.stack, self.banner, self.upwards, self.window = session, stack, banner, upwards, parent
        self.comparison: Comparison | None = None
        self.view: ComparisonView | None = None
        self.pending: Pending | None = None
        self.dialog: CureDialog | None = None
        self._resume = False
        session.document_changed.connect(self._on_document)

    @property
    def player(self) -> Player:
        """What the controls act on."""
        return self.comparison or self.session

    # In and out

    def enter(self, members: Sequence[Member], moment: Moment | None = None, *, play: bool = True) -> bool:
        """Puts experiments side by side; False, and a sentence, if one of them can't be trained.

        Args:
            members: Two to four; the first is the one that the others are compared with.
            moment: What all go on from; None starts from their seeds.
        """
        for letter, member in zip(LETTERS, members, strict=False):
            faults = problems.impossible(member.experiment)
            if faults:
                self._fail(tr("{letter}, “{title}”, can't be trained: {why}", letter=letter, title=member.title,
                              why=faults[0].message))  # fmt: skip
                return False
        same = (*BATCHES, "dtype")
        if moment is not None and any(
            getattr(member.experiment, field) != getattr(moment.experiment, field)
            for member in members
            for field in same
        ):
            self._fail(
                tr(
                    "A fork sees the batches of the original: data, batch size, seed, order and number format "
                    "must stay."
                )
            )
            return False
        if self.comparison is None:
            self._resume = self.session.playing
            self.session.pause()
        else:
            self._take_down()
        self.pending = None
        self.banner.clear("twin")
        runner = self.session.runner
        made = Comparison(
            members, moment, self, recorder_bytes=runner.recorder_bytes, checkpoint_bytes=runner.checkpoint_bytes
        )
        self._share_view(made)
        made.failed.connect(self.session.failed)
        made.progress.connect(self.session.progress)
        made.diverged.connect(self._on_diverged)
        made.set_speed(self.session.speed)
        made.set_stop_on_nonfinite(self.session.stop_on_nonfinite)
        view = ComparisonView(made, upwards=self.upwards(), parent=self.stack)
        view.adopt_wanted.connect(self.adopt)
        view.edit_wanted.connect(self.edit_by_hand)
        view.leave_out_wanted.connect(self.leave_out)
        view.add_wanted.connect(self.ask_add)
        view.leave_wanted.connect(self.leave)
        self.comparison, self.view = made, view
        self.stack.addWidget(view)
        self.stack.setCurrentWidget(view)
        made.start(play=play)
        self.changed.emit()
        view.setFocus()
        return True

    def _share_view(self, made: Comparison) -> None:
        """Quantity and scales are those of the window, here and after it."""
        own, others = made.state, self.session.state
        for key, scale in others.changed_thresholds().items():
            own.set_thresholds(key, scale)
        own.set_quantity(others.quantity)
        own.quantity_changed.connect(others.set_quantity)
        others.quantity_changed.connect(own.set_quantity)
        own.thresholds_changed.connect(lambda key: others.set_thresholds(key, own.changed_thresholds().get(key)))

    def leave(self, *, resume: bool = True) -> None:
        """Back to the single run, which goes on if it did before."""
        if self.comparison is None:
            return
        self._take_down()
        self.banner.clear("comparison")
        self.changed.emit()
        if resume and self._resume:
            self.session.play()

    def _take_down(self) -> None:
        made, view = self.comparison, self.view
        assert made is not None and view is not None
        self.comparison = self.view = None
        # Not waited for: the thread ends within the piece that it computes.
        made.close(timeout=0.0)
        self.stack.setCurrentIndex(0)
        self.stack.removeWidget(view)
        view.hide()
        view.deleteLater()
        made.deleteLater()

    def close(self) -> None:
        """The window closes."""
        if self.comparison is not None:
            self.comparison.close()

    def _on_document(self, _: object) -> None:
        # Another file, an undo: what is open is no longer what is compared.
        self.leave(resume=False)
        document = self.session.document
        if self.pending is not None and not document.undo_names and not document.redo_names:
            # Another experiment has a history of its own, and is no twin of the old ones.
            self.pending = None
            self.banner.clear("twin")

    def _on_diverged(self, _: object) -> None:
        made = self.comparison
        if made is None:
            return
        self.banner.say(
            tr("All twins have diverged. The comparison is paused."),
            kind="problem",
            topic="comparison",
            choices=((tr("Go on"), tr("Train on, to see what NaN and Inf do"), made.go_on),),
        )

    def _fail(self, text: str) -> None:
        self.session.failed.emit(text)

    # What can be compared

    def _open(self) -> Member:
        return Member(self.session.experiment, tr(self.session.experiment.name) or tr("the open experiment"))

    def toggle_before_after(self) -> None:
        """The experiment before its last edit and as it is now; once more leaves."""
        if self.comparison is not None:
            self.leave()
            return
        document = self.session.document
        before = document.before_last_edit
        if before is None:
            self._fail(tr("Nothing has been edited yet: there is no state before to compare with."))
            return
        now = tr("after: {edit}", edit=document.undo_names[0])
        self.enter([Member(before, tr("before")), Member(self.session.experiment, now)])

    def duplicate(self) -> None:
        """The open experiment twice, one to be edited."""
        self._put_beside(Member(self.session.experiment, tr("a duplicate, to be edited")))

    def with_cures(self, keys: Sequence[str]) -> bool:
        """The open experiment beside one with some cures; raises KeyError for an unknown one."""
        made = self._cured(self.session.experiment, keys)
        return made is not None and self._put_beside(made)

    def _cured(self, experiment: Experiment, keys: Sequence[str]) -> Member | None:
        """An experiment with cures, or None and a sentence; without any it is the same."""
        if not keys:
            return Member(experiment, tr("unchanged"))
        try:
            if len(keys) > 1:
                edit: Edit | None = remedies.combined(experiment, keys)
            else:
                offer = remedies.offer(experiment, keys[0])
                edit = offer.edit
                if edit is None:
                    self._fail(tr("“{cure}” can't be applied: {why}", cure=tr(offer.remedy.title), why=offer.reason))
                    return None
        except EditError as error:
            self._fail(error.faults[0].message)
            return None
        assert edit is not None
        return Member(edit.experiment, " + ".join(tr(remedies.REMEDIES[key].title) for key in keys))

    def with_rates(self) -> None:
        """The open experiment with a tenth, ten times and a hundred times its learning rate."""
        experiment = self.session.experiment
        rate = getattr(experiment.optimizer, "learning_rate", None)
        if not isinstance(rate, int | float):
            self._fail(tr("The learning rate follows a schedule; choose a number to compare it with others."))
            return
        members = []
        for factor in RATES:
            value = float(f"{rate * factor:.3g}")
            try:
                edit = edits.set_field(experiment, "", "optimizer.learning_rate", value)
            except FaultsError:
                continue
            members.append(Member(edit.experiment, tr("learning rate {value}", value=f"{value:g}")))
        self.enter(members)

    def with_scratch(self) -> bool:
        """The open experiment, which starts from trained weights, beside the same stack that starts from its seed."""
        return self._put_beside(Member(from_scratch(self.session.experiment), tr("from scratch")))

    def with_file(self, path: Path) -> bool:
        """The open experiment beside the one in a file; False, and a sentence, if it can't be opened."""
        try:
            opened = file.load(path)
        except FaultsError as error:
            self._fail(tr("{file} can't be opened.\n{why}", file=path.name, why=str(error)))
            return False
        return self._put_beside(Member(opened.experiment, tr(opened.experiment.name) or path.name))

    def _put_beside(self, member: Member) -> bool:
        """Beside the open experiment, or beside those that are compared already."""
        if self.comparison is None:
            return self.enter([self._open(), member])
        if len(self.comparison.members) >= MOST or self.comparison.moment is not None:
            self._fail(tr("There is no room for another twin: leave one out first."))
            return False
        return self.enter([*self.comparison.members, member], play=self.comparison.playing)

    # Asking

    def ask_cure(self) -> CureDialog:
        """Asks which cure is put beside."""
        dialog = CureDialog(self.session.experiment, parent=self.window)
        dialog.chosen.connect(lambda keys, _: self.with_cures(keys))
        return self._shown(dialog)

    def _shown(self, dialog: CureDialog) -> CureDialog:
        self.dialog = dialog
        dialog.finished.connect(self._done)
        dialog.open()
        return dialog

    def _done(self, _: int) -> None:
        dialog, self.dialog = self.dialog, None
        if dialog is not None:
            dialog.deleteLater()

    def ask_other(self) -> CommandPalette:
        """Asks for an example or a file to be put beside."""
        found = [Command(tr("From a file…"), tr("File"), "", tr("An experiment that was saved."), True, self._ask_file)]
        for example in bundled.everything():
            put = functools.partial(self._put_beside, Member(example.experiment, example.title))
            found.append(Command(example.title, tr("Example"), "", example.description, True, put))
        palette = CommandPalette(found, self.window)
        palette.open_over(self.window)
        return palette

    def _ask_file(self) -> None:
        path = self.session.document.path
        start = str(path.parent) if path is not None else ""
        name, _ = QFileDialog.getOpenFileName(self.window, tr("Compare with an experiment"), start, name_filter())
        if name:
            self.with_file(Path(name))

    def ask_add(self) -> QMenu:
        """Asks for one more twin."""
        menu = QMenu(self.window)
        menu.addAction(tr("With a &cure…"), self.ask_cure)
        menu.addAction(tr("An &example or a file…"), self.ask_other)
        menu.addAction(tr("A &duplicate, to be edited"), self.duplicate)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(QCursor.pos())
        return menu

    # What becomes of twins

    def adopt(self, place: int) -> None:
        """Makes a twin the open experiment, as one step to undo, and leaves; of a fork, with the weights it has."""
        made = self.comparison
        if made is None:
            return
        play, member = made.playing or self._resume, made.members[place]
        if made.moment is None or made.recorder is None:
            self._adopt(member, play)
            return
        made.pause()
        made.ask("adopt", Trainer.weights, lambda weights: self._adopt(member, play, weights), place=place)

    def _adopt(self, member: Member, play: bool, weights: list[np.ndarray] | None = None) -> None:
        self.leave(resume=False)
        self._put(member.experiment, tr("Adopt “{title}”", title=member.title))
        if weights is not None and all(np.isfinite(array).all() for array in weights):
            # What the seed gives would not be what was seen.
            self.session.start(play=play, weights=weights)
            self.banner.say(tr("Adopted with the weights of the fork: they are what this run starts from, at step 0."))
        elif play:
            self.session.play()

    def _put(self, experiment: Experiment, name: str) -> bool:
        before = self.session.experiment
        edit = Edit(before, experiment, compare(before, experiment), name)
        return bool(self.session.apply(edit, origin=self))

    def leave_out(self, place: int) -> None:
        """Goes on without a twin."""
        made = self.comparison
        if made is not None and len(made.members) > 2:
            members = [member for number, member in enumerate(made.members) if number != place]
            self.enter(members, made.moment, play=made.playing)

    def edit_by_hand(self, place: int) -> None:
        """Opens a twin with its cards; :meth:`again` goes on with what was made of it."""
        made = self.comparison
        if made is not None:
            self._edit(Pending(made.members, place, made.moment))

    def _edit(self, pending: Pending) -> None:
        self.leave(resume=False)
        letter = LETTERS[pending.place]
        self._put(pending.members[pending.place].experiment, tr("Edit twin {letter}", letter=letter))
        self.pending = pending
        self.banner.say(
            tr("This is twin {letter}. Change what you like; then the comparison goes on with it.", letter=letter),
            topic="twin",
            choices=(
                (tr("Compare again"), tr("Side by side, with what you made of it"), self.again),
                (tr("Give up"), tr("Forget the comparison"), self._give_up),
            ),
        )
        self.changed.emit()

    def again(self) -> None:
        """Goes on with the comparison whose twin was edited."""
        pending = self.pending
        if pending is None:
            return
        members = list(pending.members)
        experiment = self.session.experiment
        title = self.session.document.undo_names[0] if self.session.document.undo_names else ""
        if experiment is not members[pending.place].experiment and title:
            members[pending.place] = Member(experiment, title)
        if not self.enter(members, pending.moment):
            # It can be mended, and then compared.
            self.pending = pending

    def _give_up(self) -> None:
        self.pending = None
        self.changed.emit()

    # Forks

    @property
    def can_fork(self) -> bool:
        """Whether there is a run whose past can be gone on from."""
        return self.comparison is None and self.session.recorder is not None

    def ask_fork(self, *, before_divergence: bool = False) -> CureDialog | None:
        """Asks for the step to fork at (the shown one at first) and for what is done to the twin."""
        recorder = self.session.recorder
        if recorder is None or self.comparison is not None:
            return None
        resume = self.session.playing
        self.session.pause()
        shown, broke = self.session.step, recorder.first_nonfinite
        kept = recorder.first_step if shown is None else shown + 1
        note = ""
        if broke is not None and (before_divergence or kept > broke.step):
            kept = broke.step
            note = tr(
                "The first NaN or Inf came in step {step}. Fewer steps leave a cure more room: just before its end a "
                "run is often beyond help.",
                step=broke.step,
            )
        dialog = CureDialog(
            self.session.experiment, (recorder.first_step, max(recorder.stop, kept)), kept, note, self.window
        )
        dialog.chosen.connect(lambda keys, steps: self.fork(steps, keys))
        dialog.by_hand.connect(self.fork_by_hand)
        dialog.rejected.connect(lambda: self.session.play() if resume else None)
        return self._shown(dialog)

    def fork(self, steps: int, keys: Sequence[str] = ()) -> None:
        """The run from ``steps`` steps on, and beside it the same with some cures; none is an equal twin."""

        def begin(moment: Moment) -> None:
            other = self._cured(moment.experiment, keys)
            if other is not None:
                self.enter([Member(moment.experiment, tr("original")), other], moment)

        self._at(steps, begin)

    def fork_by_hand(self, steps: int) -> None:
        """As :meth:`fork`, with a twin that is edited with its cards first."""

        def begin(moment: Moment) -> None:
            twin = Member(moment.experiment, tr("original"))
            self._edit(Pending((twin, dataclasses.replace(twin, title=tr("unchanged"))), 1, moment))

        self._at(steps, begin)

    def _at(self, steps: int, begin: Callable[[Moment], Any]) -> None:
        """Has the moment behind so many steps computed again, and begins there."""

        record = self.session.recorder

        def answered(found: Moment | None) -> None:
            if found is None:
                self._fail(tr("That step can't be computed again any more: choose another one."))
            else:
                begin(dataclasses.replace(found, record=record))

        self.session.pause()
        self.session.ask((self, "fork"), _moment, answered, steps - 1)


def _moment(trainer: Trainer) -> Moment:
    return Moment(trainer.experiment, trainer.snapshot())

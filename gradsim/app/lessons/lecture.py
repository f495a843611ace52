"""Where one stands in a lesson: the step, the prediction, the run, the result. Outlives the window that shows it.

A step goes through phases: its text, its question where it has one, the run, and what was measured. The lesson's
experiments have the session's place while it is open; the user's own experiment is kept meanwhile, with its history,
and so is what the user makes of each step's experiment. Nothing here draws.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from gradsim import lessons
from gradsim.app.background import Background, Breathe, Work
from gradsim.app.player import silence
from gradsim.app.session import Session
from gradsim.app.state import Mark
from gradsim.i18n import tr
from gradsim.lessons import Checked, Lesson, Outcome, Score, Step, StepText
from gradsim.model.document import Kept
from gradsim.model.faults import FaultsError
from gradsim.telemetry.recording import Recording

RUN_SECONDS = 4.0
"""A step's run takes at least about so long, so that an audience sees it happen."""
FRAME_MS = 33


class Phase(enum.StrEnum):
    """How far one has come in a step."""

    TEXT = "text"
    QUESTION = "question"
    RUNNING = "running"
    RESULT = "result"


@dataclasses.dataclass
class Taken:
    """What came of one step so far.

    Attributes:
        answer: The prediction, as :meth:`gradsim.lessons.Question.score` takes it; None for none.
        checked: What was measured, with the verdict on each claim; None before the run.
        score: How the prediction compares with it; None without a prediction.
        kept: The step's experiment as it was left, with the user's edits; None where it has not been opened.
        steps: How far it was trained then.
    """

    phase: Phase = Phase.TEXT
    answer: Any = None
    checked: Checked | None = None
    score: Score | None = None
    kept: Kept | None = None
    steps: int = 0


@dataclasses.dataclass(frozen=True)
class Own:
    """The user's own experiment while a lesson is open, and what was looked at."""

    kept: Kept
    steps: int
    quantity: str
    selection: tuple[str, ...]
    range: tuple[float, float] | None


class Lecture(QObject):
    """The lesson that is open, or that was open last.

    Args:
        session: Trains the steps' experiments; its child, so that a window built anew finds it again.
    """

    changed = Signal()
    """Another lesson, step or phase; an answer; a result."""
    moved = Signal()
    """A drawn step has come further: :attr:`part`."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.session = session
        self.lesson: Lesson | None = None
        self.index = 0
        self.on = False
        self.part = 1.0
        self.outcome: Outcome | None = None
        self.message = ""
        self._taken: dict[tuple[str, str], Taken] = {}
        self._places: dict[str, int] = {}
        self._own: Own | None = None
        self._placing = False
        self._restore_steps = 0
        self._select: tuple[str, ...] = ()
        self._recordings: dict[int, Recording] = {}
        self._queue: list[int] = []
        self._running: int | None = None
        self._awaits_run = False
        self._prepared: tuple[Any, ...] = ()
        self._background = Background("lesson", self)
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MS)
        self._timer.timeout.connect(self._draw_on)
        session.stays(self._listen)

    def _listen(self) -> None:
        self.session.recorder_changed.connect(self._on_recorder)
        self.session.run_changed.connect(self._on_run)
        self.session.document_changed.connect(self._on_document)

    @classmethod
    def of(cls, session: Session) -> Lecture:
        """The one of a session."""
        found = session.findChild(cls)
        return found if found is not None else cls(session)

    def leave_views(self) -> None:
        """Nobody hears of this lesson any more: the window goes, and another one will come."""
        silence(self)

    def close(self) -> None:
        """Ends what is being prepared or measured. Nothing is told any more."""
        self._background.close()

    # -- what there is -------------------------------------------------------------------------------

    @functools.cached_property
    def lessons(self) -> tuple[Lesson, ...]:
        """Those that come with the program, in the order in which they are taught, then the user's own."""
        mine, wrong = lessons.own()
        for error in wrong:
            self.session.failed.emit(str(error))
        return (*lessons.everything(), *mine)

    @property
    def step(self) -> Step | None:
        """The step that is open."""
        return self.lesson.steps[self.index] if self.lesson is not None and self.on else None

    @property
    def text(self) -> StepText | None:
        """Its words, in the language in use."""
        return self.lesson.text(self.step) if self.lesson is not None and self.step is not None else None

    @property
    def taken(self) -> Taken:
        """What came of the step so far."""
        assert self.lesson is not None
        return self.taken_of(self.index)

    def taken_of(self, index: int) -> Taken:
        """What came of a step of the open lesson so far."""
        assert self.lesson is not None
        return self._taken.setdefault((str(self.lesson.folder), self.lesson.steps[index].key), Taken())

    @property
    def phase(self) -> Phase:
        """How far one has come in the step."""
        return self.taken.phase

    @property
    def runs(self) -> bool:
        """Whether there is something to run or to draw in this step."""
        step = self.step
        return step is not None and bool(step.runs or step.surface or (step.functions and step.claims))

    @property
    def answers(self) -> Mapping[str, Any] | None:
        """The prediction for this step, where layers are coloured."""
        return self.taken.answer if isinstance(self.taken.answer, Mapping) else None

    @property
    def own(self) -> Kept | None:
        """The user's own experiment while a lesson has its place."""
        return None if self._own is None else self._own.kept

    @property
    def running(self) -> int | None:
        """Which run of the step is being trained, from 0."""
        return self._running

    # -- opening and leaving -------------------------------------------------------------------------

    def open(self, lesson: Lesson, index: int | None = None) -> None:
        """Opens a lesson where it was left, or at a step; the user's own experiment is kept meanwhile."""
        self._stop()
        if self.on:
            self._keep_step()
        else:
            self._keep_own()
        self.on, self.lesson = True, lesson
        self.index = self._places.get(str(lesson.folder), 0) if index is None else index
        self._show_step()

    def resume(self) -> None:
        """Opens the lesson again that was open last."""
        if self.lesson is not None and not self.on:
            self.open(self.lesson)

    def leave(self) -> None:
        """Puts the user's own experiment back; the lesson can be resumed where it was."""
        if not self.on:
            return
        self._stop()
        self._keep_step()
        self.on = False
        session, own = self.session, self._own
        self._own = None
        session.state.set_mark(None)
        if own is not None:
            self._restore_steps, self._select = own.steps, own.selection
            session.state.set_quantity(own.quantity)
            with self._placed():
                session.put_back(own.kept)
            session.state.set_range(own.range)
        self.changed.emit()

    def _keep_own(self) -> None:
        session, state = self.session, self.session.state
        self._own = Own(
            session.document.keep(), session.status.step, state.quantity, tuple(state.selection), state.range
        )

    def _keep_step(self) -> None:
        if self.lesson is None or self.step is None:
            return
        self._places[str(self.lesson.folder)] = self.index
        if self.step.runs:
            self.taken.kept, self.taken.steps = self.session.document.keep(), self.session.status.step

    @contextlib.contextmanager
    def _placed(self) -> Iterator[None]:
        """What changes in the document meanwhile is the lesson's doing, not the user's."""
        before, self._placing = self._placing, True
        try:
            yield
        finally:
            self._placing = before

    # -- from step to step ---------------------------------------------------------------------------

    def go(self, index: int) -> None:
        """To a step, by its number from 0."""
        if self.lesson is None or not self.on or not 0 <= index < len(self.lesson.steps) or index == self.index:
            return
        self._stop()
        self._keep_step()
        self.index = index
        self._show_step()

    def forward(self) -> None:
        """On to what comes next: the question, the run, the next step."""
        step = self.step
        if step is None or self.lesson is None:
            return
        match self.phase:
            case Phase.TEXT if step.question is not None and self.taken.answer is None:
                self._set_phase(Phase.QUESTION)
            case Phase.TEXT | Phase.QUESTION if self.runs:
                self.run()
            case Phase.RUNNING:
                self._go_on()
            case _:
                self.go(self.index + 1)

    def back(self) -> None:
        """Back to what came before: the text, the step before."""
        if self.step is None:
            return
        if self.phase is Phase.QUESTION:
            self._set_phase(Phase.TEXT)
        elif self.phase is Phase.RUNNING:
            self._stop()
            self._show_step()
        else:
            self.go(self.index - 1)

    @property
    def at_end(self) -> bool:
        """Whether this is the last step."""
        return self.lesson is not None and self.index == len(self.lesson.steps) - 1

    def answer(self, answer: Any) -> None:
        """Makes a prediction, before the run or in place of the last one."""
        taken = self.taken
        if taken.checked is not None or self.step is None or self.step.question is None:
            return
        taken.answer = answer
        if taken.phase is Phase.TEXT:
            taken.phase = Phase.QUESTION
        self.changed.emit()

    def again(self) -> None:
        """Forgets prediction, result and edits of this step, and begins it anew."""
        self._stop()
        assert self.lesson is not None and self.step is not None
        self._taken.pop((str(self.lesson.folder), self.step.key), None)
        self._show_step()

    def _set_phase(self, phase: Phase) -> None:
        self.taken.phase = phase
        self.changed.emit()

    def _show_step(self) -> None:
        """Sets the window up for the step, as it was left or as it begins."""
        step, taken = self.step, self.taken
        assert step is not None and self.lesson is not None
        self._places[str(self.lesson.folder)] = self.index
        if taken.phase is Phase.RUNNING:
            taken.phase = Phase.QUESTION if step.question is not None else Phase.TEXT
        self.message = ""
        self.part, self.outcome = 1.0, taken.checked.outcome if taken.checked is not None else None
        self._recordings = {}
        self.session.state.set_mark(None)
        if step.runs:
            try:
                with self._placed():
                    if taken.kept is not None:
                        self._restore_steps = taken.steps
                        self.session.put_back(taken.kept)
                    else:
                        self._restore_steps = 0
                        self.session.show(step.runs[step.view.run].resolved)
            except FaultsError as error:
                self.session.failed.emit(str(error))
        else:
            self.session.pause()
        self._set_up_view()
        self.changed.emit()

    def _set_up_view(self) -> None:
        step = self.step
        assert step is not None
        state, view = self.session.state, step.view
        if step.runs:
            state.set_quantity(view.quantity)
            state.set_range(None if view.zoom is None else (float(view.zoom[0]), float(view.zoom[1])))
            self._select = ()
            self._point()

    def _point(self) -> None:
        """Selection and mark, once there is a run whose layers have names."""
        step, session = self.step, self.session
        if step is None or not step.runs or session.recorder is None:
            return
        view = step.view
        names = [layer.name for layer in session.rows()]
        rows = [names.index(name) for name in view.select if name in names]
        if rows:
            session.state.select(session.row_uids[row] for row in rows)
        mark = None
        if view.mark is not None and view.mark.first in names and (view.mark.last or view.mark.first) in names:
            first, last = view.mark.rows(names)
            mark = Mark(first, last, view.mark.start, view.mark.stop)
        session.state.set_mark(mark)

    # -- running -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Trains exactly the step's number of steps, live; or draws its picture."""
        step = self.step
        if step is None or not self.runs or self.phase is Phase.RUNNING:
            return
        self._stop()
        taken = self.taken
        taken.checked = taken.score = None
        taken.phase = Phase.RUNNING
        self.message = ""
        self._recordings = {}
        if step.runs:
            # The run that the view is about comes last, so that its picture stays.
            self._queue = [n for n in range(len(step.runs)) if n != step.view.run] + [step.view.run]
            if any(run.reuse is not None for run in step.runs):
                self.message = tr("Pretraining the layers that are reused …")
            self._in_thread(functools.partial(_prepare, step), self._begin_runs)
        else:
            self._in_thread(functools.partial(_drawn, step), self._begin_drawing)
        self.changed.emit()

    def _go_on(self) -> None:
        """A run that the user paused goes on."""
        step = self.step
        if step is not None and self._running is not None and self.session.status.state == "paused":
            self.session.play_until(step.runs[self._running].steps)

    def _in_thread(self, work: Work, go_on: Callable[[Any], None]) -> None:
        def answer(found: Any) -> None:
            if self.step is None:
                return
            if not isinstance(found, Exception):
                go_on(found)
                return
            self._stop()
            self.taken.phase = Phase.TEXT
            self.session.failed.emit(str(found))
            self.changed.emit()

        self._background.ask(work, answer)

    def _begin_runs(self, prepared: tuple[Any, ...]) -> None:
        self.message = ""
        self._prepared = prepared
        self._next_run()

    def _begin_drawing(self, outcome: Outcome) -> None:
        self.outcome, self.part = outcome, 0.0
        self._timer.start()
        self.changed.emit()

    def _next_run(self) -> None:
        self._running = self._queue.pop(0)
        prepared = self._prepared[self._running]
        self._awaits_run = True
        with self._placed():
            self.session.show(prepared.experiment)
            if prepared.weights is not None:
                self.session.start(weights=prepared.weights)
        self._set_up_view()
        self.changed.emit()

    def _on_recorder(self) -> None:
        session = self.session
        if session.recorder is None:
            return
        if self._awaits_run and self._running is not None:
            self._awaits_run = False
            steps = self._prepared[self._running].steps
            self._point()
            if session.speed is None and not session.slow_motion:
                session.runner.set_rate(max(1.0, steps / (RUN_SECONDS / len(self._prepared) ** 0.5)))
            session.play_until(steps)
        elif self._restore_steps:
            # Training is the same again, bit for bit, so it stands where it stood.
            steps, self._restore_steps = self._restore_steps, 0
            session.play_until(steps)
            if self.on:
                self._point()
            elif self._select:
                session.state.select(self._select)
        elif self.on and self._running is None:
            self._point()

    def _on_run(self) -> None:
        if self._running is None or self._awaits_run:
            return
        status, steps = self.session.status, self._prepared[self._running].steps
        if status.state == "failed":
            self._stop()
            self._set_phase(Phase.TEXT)
        elif status.state == "diverged" or (status.state == "paused" and status.step >= steps):
            self._run_ended()

    def _run_ended(self) -> None:
        session, step = self.session, self.step
        assert session.recorder is not None and step is not None and self._running is not None
        self._recordings[self._running] = session.recorder.recording()
        self._running = None
        if self._queue:
            self._next_run()
            return
        session.runner.set_rate(session.speed)
        recordings = [self._recordings[number] for number in range(len(step.runs))]
        self._in_thread(functools.partial(_check, step, recordings), self._finish)

    def _draw_on(self) -> None:
        self.part = min(1.0, self.part + FRAME_MS / 1000 / RUN_SECONDS)
        step = self.step
        if self.part >= 1.0 or step is None or step.surface is None:
            self.part = 1.0
            self._timer.stop()
            if step is not None and self.outcome is not None:
                self._in_thread(functools.partial(_check_outcome, step, self.outcome), self._finish)
        self.moved.emit()

    def _finish(self, checked: Checked) -> None:
        step, taken = self.step, self.taken
        assert step is not None
        taken.checked, self.outcome = checked, checked.outcome
        taken.phase = Phase.RESULT
        if step.question is not None and taken.answer is not None:
            try:
                taken.score = step.question.score(taken.answer, checked)
            except ValueError as error:
                self.message = str(error)
        if step.view.cursor is not None and step.runs:
            cursor = step.view.cursor
            latest = self.session.latest or 0
            self.session.state.set_cursor(max(0, latest + 1 + cursor) if cursor < 0 else min(cursor, latest))
        self.changed.emit()

    def _stop(self) -> None:
        """Ends whatever is under way."""
        self._background.cancel()
        self._timer.stop()
        if self._running is not None or self._queue:
            self.session.runner.set_rate(self.session.speed)
            self.session.pause()
        self._running, self._queue, self._awaits_run = None, [], False
        self._restore_steps = 0
        self.part = 1.0
        if self.on and self.lesson is not None and self.taken.phase is Phase.RUNNING:
            self.taken.phase = Phase.QUESTION if self.step and self.step.question is not None else Phase.TEXT

    def _on_document(self, change: Any) -> None:
        if self._placing or not self.on:
            return
        if change.effect == "structure" and self._running is not None:
            self._stop()
            self.message = tr("The run was ended: the experiment was changed.")
            self.changed.emit()

    @property
    def edited(self) -> bool:
        """Whether the user has changed the step's experiment."""
        return self.on and self.session.document.dirty

    def own_version(self) -> None:
        """The step's experiment as it stands in the lesson, in place of the user's version of it."""
        step = self.step
        if step is not None and step.runs:
            self._stop()
            with self._placed():
                self.session.show(step.runs[step.view.run].resolved)
            self._set_up_view()
            self.changed.emit()


# What is done in the thread.


def _prepare(step: Step, breathe: Breathe) -> Any:
    from gradsim.lessons import play

    return play.prepare(step, between=breathe)


def _drawn(step: Step, _: Breathe) -> Outcome:
    from gradsim.lessons import play

    return play.outcome(step)


def _check(step: Step, recordings: list[Recording], _: Breathe) -> Checked:
    from gradsim.lessons import play

    return step.check(play.outcome(step, recordings))


def _check_outcome(step: Step, outcome: Outcome, _: Breathe) -> Checked:
    return step.check(outcome)

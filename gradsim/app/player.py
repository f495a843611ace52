"""A run as views see it, and the controls of one: what the single run and a comparison of several have in common.

Nothing here blocks: training happens in the thread of a :class:`gradsim.engine.runner.Runner`, and what it records is
*pulled* on :attr:`Watched.tick`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

from gradsim.app.frames import Frames
from gradsim.app.state import ViewState
from gradsim.app.turns import Turns
from gradsim.data import DataError
from gradsim.diagnose.evidence import context
from gradsim.engine import runner as running
from gradsim.engine.runner import Phase, Runner, Status
from gradsim.engine.trainer import Trainer
from gradsim.i18n import tr
from gradsim.model import edits
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.model.stack import Stack
from gradsim.telemetry.recorder import Recorder
from gradsim.telemetry.recording import FirstNonfinite, Layer, Recording

TEXT_FRAMES = 15
"""Frames between two renewals of a number, about a quarter of a second: faster than that it can't be read."""

SPEEDS: tuple[float | None, ...] = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0, None)
"""Steps per second that the speed control offers; None is as fast as the machine can."""

PHASE_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""How long slow motion shows each phase, to choose from."""


class _Beat(QObject):
    now = Signal()


class SlowTick:
    """A signal for what is renewed four times a second, spread over the frames between.

    Each receiver is called in a frame of its own, as long as there are no more of them than frames: together they
    take as long as a frame may, and every fourth of a second one frame would be late.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        self._beats = tuple(_Beat(parent) for _ in range(TEXT_FRAMES))
        self._connected = 0
        self._frame = 0

    def connect(self, receiver: Callable[..., object]) -> None:
        """Calls the receiver from now on, as long as it lives."""
        # Neighbours in the order of connection are neighbours in the window: they are kept apart.
        self._beats[self._connected * 4 % TEXT_FRAMES].now.connect(receiver)
        self._connected += 1

    def disconnect(self) -> None:
        """Calls nobody any more."""
        for beat in self._beats:
            silence(beat)
        self._connected = 0

    def frame(self) -> None:
        """Another frame: the receivers whose turn it is are called."""
        self._frame = (self._frame + 1) % TEXT_FRAMES
        self._beats[self._frame].now.emit()

    def emit(self) -> None:
        """Calls all of them."""
        for beat in self._beats:
            beat.now.emit()


_OF_QT = QObject().metaObject().methodCount()
"""How many signals and slots every object has."""


def silence(sender: QObject) -> None:
    """Disconnects whoever hears of an object; what its private signals tell goes on."""
    about = sender.metaObject()
    for number in range(_OF_QT, about.methodCount()):
        method = about.method(number)
        name = bytes(method.name().data()).decode()
        # What is private is between a run and its thread.
        if sender.isSignalConnected(method) and not name.startswith("_"):
            getattr(sender, name).disconnect()


class Watched(QObject):
    """A run that views look at.

    Args:
        of: Whose frames it shares; None has its own.

    Attributes:
        state: What the views look at.
        recorder: What the present run records into; None while there is no run.
        stack: The expanded stack of the present run; its rows are those of the recorder. None while there is no run.
        turns: Sixteen times a second while a run moves, and once after it: pull what is new, where every frame would be
            too often.
        slow_tick: Four times a second while a run moves, and once after it: renew text.
    """

    recorder_changed = Signal()
    """Another run: :attr:`recorder`, :attr:`stack` and the rows are others (or None)."""
    tick = Signal()
    """Every 16 ms while a run moves, and once after anything else was recorded or rewound: pull what is new."""
    failed = Signal(str)
    """Something could not be done: a sentence for the user."""

    def __init__(self, parent: QObject | None = None, of: Watched | None = None) -> None:
        super().__init__(parent)
        self.state = ViewState(self)
        self.recorder: Recorder | None = None
        self.stack: Stack | None = None
        self.turns: Turns = Turns() if of is None else of.turns
        self.slow_tick: SlowTick = SlowTick(self) if of is None else of.slow_tick
        self._uids: tuple[str, ...] = ()
        self._staying: list[Callable[[], object]] = []

    @property
    def experiment(self) -> Experiment:
        """The experiment that is run."""
        raise NotImplementedError

    @property
    def context(self) -> dict[str, Any] | None:
        """What a diagnosis asks of the experiment, as it is now; None if nobody knows."""
        return context(self.experiment)

    @property
    def has_accuracy(self) -> bool:
        """Whether there is such a thing as an accuracy; a regression has none."""
        try:
            return self.experiment.data.signature().task != "regression"
        except DataError:
            return True

    @property
    def latest(self) -> int | None:
        """The latest recorded step, or None."""
        return self.recorder.stop - 1 if self.recorder is not None and self.recorder.stop else None

    @property
    def step(self) -> int | None:
        """The step that the views show: the cursor's, or the latest; None if nothing is recorded."""
        latest, cursor = self.latest, self.state.cursor
        return latest if cursor is None or latest is None else min(cursor, latest)

    def at(self, step: int | None = None) -> Recording | None:
        """The record of a step (by default the one shown): ``at()["delta_rms"][0]`` has the shape (rows,)."""
        step = self.step if step is None else step
        if self.recorder is None or step is None:
            return None
        try:
            return self.recorder.at(step)
        except IndexError:
            # Rewound between the question and the answer.
            return None

    def rows(self) -> tuple[Layer, ...]:
        """The layers of the run, one per row; empty without a run."""
        return self.recorder.layers if self.recorder is not None else ()

    @property
    def row_uids(self) -> tuple[str, ...]:
        """The uid of the layer that each row stands for; the rounds of a repeat group share them."""
        return self._uids

    def rows_of(self, uid: str) -> tuple[int, ...]:
        """All rows of a layer, or of all layers in a group."""
        try:
            root = edits.place(self.experiment, uid).layer
        except FaultsError:
            return ()
        inside = {uid}
        waiting = [root]
        while waiting:
            layer = waiting.pop()
            inside.add(layer.uid)
            waiting += layer.children()
        return tuple(row for row, of in enumerate(self._uids) if of in inside)

    def _set_run(self, stack: Stack | None, recorder: Recorder | None) -> None:
        self.stack, self.recorder = stack, recorder
        self._uids = () if stack is None else tuple(placed.layer.uid for placed in stack.layers)
        self.recorder_changed.emit()

    def stays(self, listen: Callable[[], object]) -> None:
        """For what outlives the views: ``listen`` connects it, now and each time that they have left."""
        self._staying.append(listen)
        listen()

    def leave_views(self) -> None:
        """Nobody hears of this run any more: its views go. Those that come after them connect themselves."""
        self.turns.disconnect()
        self.slow_tick.disconnect()
        silence(self)
        silence(self.state)
        for listen in self._staying:
            listen()

    def renew(self) -> None:
        """Has every view show what is recorded by now, at once."""
        self.tick.emit()
        self.turns.emit()
        self.slow_tick.emit()

    def select_row(self, row: int) -> None:
        """Selects the layer that a row stands for."""
        if 0 <= row < len(self._uids):
            self.state.select([self._uids[row]])

    def selected_rows(self) -> tuple[int, ...]:
        """The rows of the selected layers."""
        return tuple(sorted({row for uid in self.state.selection for row in self.rows_of(uid)}))


class Player(Watched):
    """The controls of a run, or of several that keep step.

    Args:
        recorder_bytes: Memory for the record of each run.
        checkpoint_bytes: Memory for the snapshots that a run can go back to.

    Attributes:
        runner: The training thread; the verbs of this class are the way to it.
        first_nonfinite: Where the present run has paused because of a NaN or Inf.
        failure: Why there is no run, in a sentence, or "".
    """

    run_changed = Signal()
    """Playing, paused, preparing, diverged, slow motion, a phase of it, speed: see :attr:`status`."""
    progress = Signal(str, int, int)
    """A long preparation: what, how many of how many; ("", 0, 0) when it is over."""
    diverged = Signal(object)
    """The run met its first NaN or Inf and has paused: a :class:`FirstNonfinite`."""

    _woken = Signal()

    def __init__(
        self,
        parent: QObject | None = None,
        *,
        recorder_bytes: int = running.RECORDER_BYTES,
        checkpoint_bytes: int = running.CHECKPOINT_BYTES,
    ) -> None:
        super().__init__(parent)
        self.first_nonfinite: FirstNonfinite | None = None
        self.failure = ""
        self._run = 0
        self._closed = False
        self._speed: float | None = None
        self._slow = False
        self._stops = True
        self._phase_seconds = 1.0
        self._answers: dict[int, Callable[[Any], object]] = {}
        self._events: deque[running.Event] = deque()
        self._preparing = False
        self._prepared = ("", 0, 0)
        # Whether the user wants it to run: an edit in the middle of a run, or after it broke down, goes on running.
        self._intent = False
        self._woken.connect(self._drain, Qt.ConnectionType.QueuedConnection)
        self.runner = Runner(self._woken.emit, recorder_bytes=recorder_bytes, checkpoint_bytes=checkpoint_bytes)
        self._frames = Frames(self)
        self._frames.due.connect(self._make_frame)

    # -- what there is -------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """Where the run stands, as of now: state, steps done, epoch, speed, memory, phase."""
        return self.runner.status

    @property
    def playing(self) -> bool:
        """True while the run moves, or will as soon as it is prepared."""
        return self._intent if self._preparing else self.status.state == "playing"

    @property
    def preparation(self) -> str:
        """What is done before the run can begin, and how far that is; "" if it can."""
        if not self._preparing:
            return ""
        what, done, total = self._prepared
        return tr("{what}: {done} of {all}", what=what, done=done, all=total) if total else tr("Being prepared")

    @property
    def speed(self) -> float | None:
        """The limit in steps per second; None is none."""
        return self._speed

    @property
    def slow_motion(self) -> bool:
        """True if steps are taken apart."""
        return self._slow

    @property
    def phase_seconds(self) -> float:
        """How long slow motion shows each phase."""
        return self._phase_seconds

    @property
    def phase(self) -> Phase | None:
        """Where slow motion stands within a step, and what that step has measured so far."""
        return self.status.phase

    def leave_views(self) -> None:
        super().leave_views()
        self._answers.clear()

    # -- running -------------------------------------------------------------------------------------

    def play(self) -> None:
        """Runs on, shown live."""
        if self._can_run(intent=True):
            self.runner.play()

    def pause(self) -> None:
        """Pauses."""
        self._intent = False
        self.runner.pause()

    def toggle(self) -> None:
        """Plays if paused, pauses if playing."""
        if self.playing:
            self.pause()
        else:
            self.play()

    def step_once(self) -> None:
        """One step; in slow motion one phase of it."""
        if self._can_run():
            self.runner.step()

    def epoch(self) -> None:
        """To the end of the epoch."""
        if self._can_run():
            self.runner.run_epoch()

    def back(self, steps: int = 1) -> None:
        """Undoes steps of the training: weights and record are those of before."""
        if self._can_run():
            self.runner.back(steps)

    def rewind(self, step: int) -> None:
        """Makes a recorded step the latest one: what came after it is forgotten, and training goes on from there."""
        if self._can_run():
            self.runner.rewind(step + 1)

    def go_on(self) -> None:
        """Trains on with NaN or Inf in the weights, to see what it does."""
        self.play()

    def back_before_divergence(self) -> None:
        """Goes back to just before the step with the first NaN or Inf."""
        where = self.recorder.first_nonfinite if self.recorder is not None else None
        if where is not None:
            self.rewind(where.step - 1)

    def reset(self, new_seed: bool = False) -> None:
        """Starts again from the seed (the same initial weights), or from the next seed."""
        raise NotImplementedError

    def set_speed(self, steps_per_second: float | None) -> None:
        """Limits the speed; None is as fast as the machine can."""
        self._speed = steps_per_second
        self.runner.set_rate(steps_per_second)
        self.run_changed.emit()

    def set_slow_motion(self, on: bool, phase_seconds: float | None = None) -> None:
        """Takes each step apart into its five phases."""
        self._slow = on
        if phase_seconds is not None:
            self._phase_seconds = phase_seconds
        self.runner.set_slow(on, self._phase_seconds)
        self.run_changed.emit()

    @property
    def stop_on_nonfinite(self) -> bool:
        """Whether the first NaN or Inf pauses the run."""
        return self._stops

    def set_stop_on_nonfinite(self, on: bool) -> None:
        """Whether the first NaN or Inf pauses the run."""
        self._stops = on
        self.runner.set_stop_on_nonfinite(on)
        self.run_changed.emit()

    def ask(
        self,
        key: object,
        function: Callable[[Trainer], Any],
        answer: Callable[[Any], object],
        step: int | None = None,
        place: int = 0,
    ) -> None:
        """Has a function look at the trainer in its own thread; ``answer`` gets what it gave, in this one.

        Args:
            key: Names the question: a new one of the same key replaces one that still waits.
            function: Must be short and give copies; see "Looking inside" in the trainer.
            answer: Called with the result, or with None if that step can't be had; never after another run began.
            step: The moment after this recorded step; None is now. A past one is computed again.
            place: Which of several trainings.
        """
        if self.recorder is None:
            return
        if step is not None and step == self.latest and not self.playing:
            step = None
        self._answers[self.runner.ask(key, function, step, place)] = answer

    def _can_run(self, *, intent: bool = False) -> bool:
        """Before every movement of the run: it is shown live, and what stopped the last one is done with."""
        self._intent = intent
        if self.failure:
            self.failed.emit(self.failure)
            return False
        self.state.set_cursor(None)
        self.first_nonfinite = None
        return True

    def _make_frame(self) -> None:
        self.tick.emit()
        if not self._frames.crowded:
            self.turns.frame()
            self.slow_tick.frame()

    # -- events --------------------------------------------------------------------------------------

    def _drain(self) -> None:
        if self._closed:
            return
        self._events += self.runner.drain()
        changed = False
        while self._events:
            try:
                changed = self._on_event(self._events.popleft()) or changed
            except BaseException:
                # What one view makes of an event must not keep the others from theirs.
                self._woken.emit()
                raise
        if changed:
            self._follow()

    def _on_event(self, event: running.Event) -> bool:
        """Tells what happened; True if the state of the run may have changed."""
        match event:
            case running.Answer(number, value):
                answer = self._answers.pop(number, None)
                if answer is not None:
                    answer(value)
                return False
            case running.Progress(what, done, total):
                self._prepared = (what, done, total)
                self.progress.emit(what, done, total)
                return False
        if event.run != self._run:
            return False
        match event:
            case running.Prepared():
                self._preparing = False
                self._set_tracks(event.tracks)
            case running.Diverged():
                self.first_nonfinite = event.where
                self.diverged.emit(event.where)
            case running.Failure():
                self.failure = event.message
                if self._preparing:
                    self._preparing = False
                    self._set_run(None, None)
                self.failed.emit(f"{event.message}\n\n{event.details}".strip())
        return True

    def _set_tracks(self, tracks: tuple[running.Track, ...]) -> None:
        """A run can begin; the views look at its first training."""
        self._set_run(tracks[0].stack, tracks[0].recorder)

    def _follow(self) -> None:
        """The state of the run may have changed: timers on or off, everybody told."""
        moving = self.status.state == "playing"
        if moving and not self._frames.running:
            self._frames.start()
        elif not moving:
            self._frames.stop()
        self.run_changed.emit()
        self.renew()

    def memory(self) -> int:
        """Bytes that the run holds: weights, record, snapshots."""
        return self.status.memory

    def close(self, timeout: float = 2.0) -> None:
        """Ends the training thread and waits so many seconds for it at most. Nothing is told any more."""
        self._closed = True
        self._frames.stop()
        self._answers.clear()
        self.runner.close(timeout)

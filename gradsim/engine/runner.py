"""The training thread: takes commands, moves trainers in short pieces, says what came of it. Knows no window.

It trains one experiment, or several that keep step with each other: every command acts on all of them, and between
two pieces all have done the same number of steps.

Commands may be given from any thread and return at once. What happens is told in two ways: :attr:`Runner.status` is
one immutable value, replaced whole, to be read at any time; rare things are events, fetched with :meth:`Runner.drain`
after ``notify`` was called (from the training thread). Steps themselves go into a recorder, which readers pull from.

Nothing is lost by going back: snapshots of the weights are kept, closely for the recent past and ever more widely
further back, and any step between them is computed again, bit for bit.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import threadpoolctl

from gradsim.data import DataError
from gradsim.engine import kernels
from gradsim.engine.saved import SavedRun, SavedRunError, digest
from gradsim.engine.trainer import Chunk, Snapshot, Trainer
from gradsim.i18n import tr
from gradsim.model import file, migrations
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.model.stack import Stack, StackError
from gradsim.nn.optimizers import Optimizer
from gradsim.nn.spec import MISSING, Fault
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS
from gradsim.telemetry.recorder import Recorder
from gradsim.telemetry.recording import FirstNonfinite

State = Literal["empty", "preparing", "paused", "playing", "diverged", "failed"]

CHUNK_SECONDS = 0.005
RECORD_SECONDS = 0.014
"""Steps are recorded in batches this long: each of the recorder's many small operations may have to wait for the
window's thread, and the window looks no more often."""
RECORDER_BYTES = 256 * 2**20
CHECKPOINT_BYTES = 256 * 2**20
PHASES = ("forward", "loss", "backward", "clip", "update")
SNAPSHOT_SHARE = 0.01
"""Part of the training time that may go into taking snapshots."""
DENSE = 6
"""When steps are computed again, each of the last ones is kept: whoever goes back once goes back again."""
TELL_SECONDS = 0.3
"""From then on a way back tells how far it has come."""
MOST_SNAPSHOTS = 200
VALIDATION_STEPS = 64
"""A validation costs about as much as some steps; where an epoch is a single step it would cost more than training."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """Where slow motion stands within a step.

    Attributes:
        name: One of ``PHASES``, the one that has just been computed.
        step: Number of the step that is taken apart.
        layers: What is known of it so far, shape ``(layers, len(LAYER_COLUMNS))``; NaN where nothing is known yet.
        figures: Loss and the rest of ``STEP_COLUMNS``; NaN where nothing is known yet.
    """

    name: str
    step: int
    layers: np.ndarray[Any, np.dtype[np.float64]]
    figures: np.ndarray[Any, np.dtype[np.float64]]

    @property
    def number(self) -> int:
        """0 for forward to 4 for update."""
        return PHASES.index(self.name)


@dataclasses.dataclass(frozen=True)
class Status:
    """Where the run stands; of several trainings that keep step, speed and memory are those of all together.

    Attributes:
        run: Number of the run, counted up by every :meth:`Runner.prepare`.
        step: Steps done.
        epoch: Epochs done.
        goal: Where the run will pause by itself, in steps done; None: it won't.
        speed: Steps per second over the last second; 0 while it rests.
        nonfinite: A NaN or Inf has occurred.
        memory: Bytes of the trainer, the recorder and the snapshots.
    """

    run: int = 0
    state: State = "empty"
    slow: bool = False
    step: int = 0
    epoch: int = 0
    steps_per_epoch: int = 0
    goal: int | None = None
    speed: float = 0.0
    nonfinite: bool = False
    memory: int = 0
    phase: Phase | None = None


@dataclasses.dataclass(frozen=True)
class Track:
    """One training of a run: its stack and the recorder that it writes into."""

    experiment: Experiment
    stack: Stack
    recorder: Recorder


@dataclasses.dataclass(frozen=True)
class Past:
    """What another run recorded of the steps just before a training that goes on from it.

    Attributes:
        layers: Shape ``(steps, layers, len(LAYER_COLUMNS))``.
        steps: Shape ``(steps, len(STEP_COLUMNS))``.
        validations: Step, loss and accuracy of each validation in these steps.
    """

    layers: np.ndarray[Any, np.dtype[np.float64]]
    steps: np.ndarray[Any, np.dtype[np.float64]]
    validations: tuple[tuple[int, float, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A run can begin: what it trains, the first one before those that keep step with it."""

    run: int
    tracks: tuple[Track, ...]


@dataclasses.dataclass(frozen=True)
class Progress:
    """A long preparation; ``total`` is 0 when it is over."""

    what: str
    done: int
    total: int


@dataclasses.dataclass(frozen=True)
class Failure:
    """Something did not work: a sentence, and for a fault of the program its traceback."""

    run: int
    message: str
    details: str = ""


@dataclasses.dataclass(frozen=True)
class Diverged:
    """The run has paused behind the step with its first NaN or Inf."""

    run: int
    where: FirstNonfinite


@dataclasses.dataclass(frozen=True)
class Resumed:
    """A run has been taken up again.

    Attributes:
        same: Whether this machine has computed the last step as the one did that saved it.
        problem: Why it could not be, and the run starts from the seed; "" if it could.
    """

    run: int
    same: bool
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Moved:
    """The status changed in another way than by steps: paused, arrived, a phase, back."""

    run: int


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of :meth:`Runner.ask`; ``value`` is None if the step can't be had."""

    number: int
    value: Any


Event = Prepared | Progress | Failure | Diverged | Moved | Resumed | Answer


Weights = Sequence[Any] | Callable[[], Sequence[Any] | None] | None


class _InterruptedError(Exception):
    """Closing, or another run was asked for."""


@dataclasses.dataclass
class _Question:
    number: int
    function: Callable[[Trainer], Any]
    step: int | None
    place: int


class _Lane:
    """One training of the run, with all that its past can be computed from."""

    def __init__(self, trainer: Trainer, recorder: Recorder, checkpoint_bytes: int) -> None:
        self.experiment = trainer.experiment
        self.trainer, self.recorder = trainer, recorder
        self.first_step = trainer.step
        """There is no way back behind it."""
        self.snapshots = Snapshots(checkpoint_bytes)
        self.live: list[tuple[int, Optimizer]] = [(trainer.step, trainer.experiment.optimizer)]
        self.viewer: Trainer | None = None
        self.from_seed = True
        """Whether the first snapshot is what the seed gives."""

    @property
    def nbytes(self) -> int:
        viewer = 0 if self.viewer is None else self.viewer.nbytes
        return self.trainer.nbytes + viewer + self.recorder.nbytes + self.snapshots.nbytes


class Snapshots:
    """States of a run within a bound of memory: the spacing grows with the distance from the latest.

    Args:
        most_bytes: Bound; the first and the latest one are kept whatever they take.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._kept: list[Snapshot] = []

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def steps(self) -> list[int]:
        """Steps done at each, in order."""
        return [snapshot.step for snapshot in self._kept]

    @property
    def nbytes(self) -> int:
        """Memory of all."""
        return sum(snapshot.nbytes for snapshot in self._kept)

    def add(self, snapshot: Snapshot) -> None:
        """Keeps one; one of the same step is replaced, and others go where the bound asks for it."""
        place = bisect.bisect_left(self.steps, snapshot.step)
        if place < len(self._kept) and self._kept[place].step == snapshot.step:
            self._kept[place] = snapshot
        else:
            self._kept.insert(place, snapshot)
        size = max(1, snapshot.nbytes)
        while len(self._kept) > 2 and (len(self._kept) * size > self.most_bytes or len(self._kept) > MOST_SNAPSHOTS):
            self._thin()

    def _thin(self) -> None:
        steps = self.steps
        latest = steps[-1] + 1
        # The one whose loss leaves the smallest gap for its age.
        inner = zip(steps, steps[1:], steps[2:], strict=False)
        gaps = [(after - before) / (latest - here) for before, here, after in inner]
        del self._kept[1 + gaps.index(min(gaps))]

    def before(self, step: int) -> Snapshot:
        """The latest one at or before a step; the first one if there is none."""
        place = bisect.bisect_right(self.steps, step) - 1
        return self._kept[max(0, place)]

    def forget_after(self, step: int) -> None:
        """Drops those of later steps; the first one stays."""
        self._kept = [s for number, s in enumerate(self._kept) if not number or s.step <= step]


class Runner:
    """Owns a thread and the trainers that it moves.

    Args:
        notify: Called from the thread when events are waiting to be drained.
        recorder_bytes: Memory of the recorders of a run.
        checkpoint_bytes: Memory of the snapshots of a run.
        stop_on_nonfinite: Pause behind the first NaN or Inf; of several trainings, once all of them have one.
    """

    def __init__(
        self,
        notify: Callable[[], object],
        *,
        recorder_bytes: int = RECORDER_BYTES,
        checkpoint_bytes: int = CHECKPOINT_BYTES,
        stop_on_nonfinite: bool = True,
    ) -> None:
        self.recorder_bytes, self.checkpoint_bytes = recorder_bytes, checkpoint_bytes
        self.stop_on_nonfinite = stop_on_nonfinite
        self.status = Status()
        self._notify = notify
        self._events: deque[Event] = deque()
        self._told = False
        self._condition = threading.Condition()
        self._commands: deque[Callable[[], None]] = deque()
        self._closing = False
        self._runs = itertools.count(1)
        self._wanted_run = 0
        self._numbers = itertools.count(1)

        # Below: the thread's own.
        self._lanes: tuple[_Lane, ...] = ()
        self._questions: dict[object, _Question] = {}
        self._run = 0
        self._state: State = "empty"
        self._goal: int | None = None
        self._rate: float | None = None
        self._slow = False
        self._phase_seconds = 1.0
        self._phases: Iterator[str] | None = None
        self._phase: Phase | None = None
        self._due = 0.0
        self._since = (0.0, 0)
        self._meter: deque[tuple[float, int]] = deque()
        self._snapshot_due = 0.0
        self._limited = False
        self._recorded_at = 0.0
        self._measured = (0.0, 0)
        self._thread = threading.Thread(target=self._work, name="gradsim-runner", daemon=True)
        self._thread.start()

    # -- commands: any thread ------------------------------------------------------------------------

    def prepare(
        self,
        experiment: Experiment,
        *,
        play: bool = False,
        weights: Weights = None,
        saved: Callable[[], SavedRun | None] | None = None,
    ) -> int:
        """Leaves the present run and prepares one of this experiment; returns its number.

        Args:
            weights: Arrays to start from, or what gives them in the thread; None is from the seed.
            saved: Reads the run that is to go on instead, in the thread; :class:`Resumed` follows. If it can't be
                had, the run starts from the beginning.
        """
        given: list[bool] = []

        def make() -> list[Trainer]:
            start = weights() if callable(weights) else weights
            given.append(start is not None)
            return [Trainer(experiment, start, stop_on_nonfinite=self.stop_on_nonfinite)]

        return self.prepare_all(
            make, dtypes=(experiment.dtype,), play=play, saved=saved, from_seed=lambda: not given[-1]
        )

    def prepare_all(
        self,
        make: Callable[[], Sequence[Trainer]],
        *,
        dtypes: Sequence[str],
        play: bool = False,
        saved: Callable[[], SavedRun | None] | None = None,
        from_seed: Callable[[], bool] = lambda: False,
        past: Callable[[], Sequence[Past | None]] | None = None,
    ) -> int:
        """Leaves the present run and prepares one of several trainings that keep step; returns its number.

        Args:
            make: Gives their trainers, all at the same step, the first one the one whose epochs are counted; called
                in the thread. Those of several must not stop at a NaN or Inf by themselves.
            dtypes: The number formats that they compute in.
            play: Run at once.
            saved: As of :meth:`prepare`, for the first one.
            from_seed: Whether the weights of the first one are those of its seed; asked after ``make``.
            past: What is already in the records, for each; asked after ``make``. None begins with empty ones.
        """
        with self._condition:
            run = next(self._runs)
            self._wanted_run = run
            # What was asked of the old run has no meaning for the new one.
            self._commands.clear()
            self._commands.append(lambda: self._prepare(run, make, tuple(dtypes), play, saved, from_seed, past))
            self._condition.notify()
        return run

    def leave(self) -> int:
        """Leaves the present run without another one; returns the number of having none."""
        with self._condition:
            run = next(self._runs)
            self._wanted_run = run
            self._commands.clear()
            self._commands.append(lambda: self._leave(run))
            self._condition.notify()
        return run

    def play(self, until: int | None = None) -> None:
        """Runs on; to ``until`` steps done, or without end. After a divergence this goes on regardless."""
        self._send(lambda: self._play(until))

    def pause(self) -> None:
        """Pauses behind the present chunk; in slow motion where it is."""
        self._send(self._pause)

    def step(self, count: int = 1) -> None:
        """Does some steps as fast as it can and pauses; in slow motion one phase."""
        self._send(lambda: self._step(count))

    def run_epoch(self) -> None:
        """Runs to the end of the epoch as fast as it can and pauses."""
        self._send(self._run_epoch)

    def back(self, count: int = 1) -> None:
        """Undoes some steps and pauses: weights, order of the rows and the record are as before them."""
        self._send(lambda: self._back(count))

    def rewind(self, step: int) -> None:
        """Goes back to the moment when ``step`` steps were done, and pauses."""
        self._send(lambda: self._rewind(step))

    def set_rate(self, steps_per_second: float | None) -> None:
        """Limits the speed of playing; None is as fast as the machine can."""
        self._send(lambda: self._set_rate(steps_per_second))

    def set_slow(self, on: bool, phase_seconds: float | None = None) -> None:
        """Takes steps apart, one phase every ``phase_seconds`` while playing; only where a single one is trained."""
        self._send(lambda: self._set_slow(on, phase_seconds))

    def set_stop_on_nonfinite(self, on: bool) -> None:
        """Whether the first NaN or Inf pauses the run."""

        def change() -> None:
            self.stop_on_nonfinite = on
            if len(self._lanes) == 1:
                self._lanes[0].trainer.stop_on_nonfinite = on

        self._send(change)

    def apply_live(self, optimizer: Optimizer) -> None:
        """Changes learning rate, clipping or schedule of the first training from the next step on; weights stay."""
        self._send(lambda: self._apply_live(optimizer))

    def carry_on(self, experiment: Experiment) -> None:
        """Goes on with the weights and the record of now, with other layers frozen; :class:`Prepared` follows.

        There is no way back behind this moment any more.
        """
        self._send(lambda: self._carry_on(experiment))

    def ask(self, key: object, function: Callable[[Trainer], Any], step: int | None = None, place: int = 0) -> int:
        """Has a function look at the trainer between two chunks; an :class:`Answer` of the returned number follows.

        Args:
            key: A question of the same key that still waits is dropped.
            function: Short; must copy what it gives.
            step: The moment behind this step (counted from 0; -1 is before the first), computed again if it is past;
                None is now.
            place: Which of several trainings.
        """
        number = next(self._numbers)
        self._send(lambda: self._questions.__setitem__(key, _Question(number, function, step, place)))
        return number

    def keep(self) -> int:
        """Puts together what the run goes on from: an :class:`Answer` of the returned number follows, with a
        :class:`gradsim.engine.saved.SavedRun`, or with None if there is nothing to keep."""
        number = next(self._numbers)
        self._send(lambda: self._keep(number))
        return number

    def drain(self) -> list[Event]:
        """The events since the last call, in order."""
        self._told = False
        events: list[Event] = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def close(self, timeout: float = 2.0) -> bool:
        """Ends the thread, in the middle of whatever it does; False if it has not ended within the time."""
        with self._condition:
            self._closing = True
            self._commands.clear()
            self._condition.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _send(self, command: Callable[[], None]) -> None:
        with self._condition:
            self._commands.append(command)
            self._condition.notify()

    # -- the thread ----------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self._commands and not self._closing:
                    delay = self._delay()
                    if delay is None:
                        self._condition.wait()
                    elif delay > 0:
                        self._condition.wait(delay)
                    else:
                        break
                if self._closing:
                    break
                command = self._commands.popleft() if self._commands else None
            try:
                if command is not None:
                    # What could not be published when it failed can't be now either, and nothing may depend on it.
                    if self._state != "failed":
                        self._flush()
                    command()
                else:
                    if self._questions:
                        self._answer()
                    if self._state == "playing" and time.perf_counter() >= self._due:
                        self._move()
            except _InterruptedError:
                continue
            except Exception as error:  # whatever it is, the window has to hear of it
                self._fail(error)
        self._lanes, self._phases = (), None

    def _delay(self) -> float | None:
        """Seconds until there is something to do; None if only a command can bring it."""
        if self._questions:
            return 0.0
        if self._state != "playing":
            return None
        return self._due - time.perf_counter()

    def _emit(self, event: Event) -> None:
        self._events.append(event)
        # Whoever closes does not wait, and may be gone by now.
        if not self._told and not self._closing:
            self._told = True
            self._notify()

    @property
    def _trainer(self) -> Trainer | None:
        """The first one: all are at its step."""
        return self._lanes[0].trainer if self._lanes else None

    def _publish(self) -> None:
        trainer = self._trainer
        if trainer is None:
            self.status = Status(self._run, self._state, self._slow)
            return
        self.status = Status(
            run=self._run,
            state=self._state,
            slow=self._slow,
            step=trainer.step,
            epoch=trainer.epoch,
            steps_per_epoch=trainer.steps_per_epoch,
            goal=self._goal,
            speed=self._speed(),
            nonfinite=any(lane.trainer.nonfinite for lane in self._lanes),
            memory=self._memory(),
            phase=self._phase,
        )

    def _memory(self) -> int:
        """Counted at most four times a second: a long record has many parts."""
        now = time.perf_counter()
        if self._state != "playing" or now - self._measured[0] > 0.25:
            self._measured = (now, sum(lane.nbytes for lane in self._lanes))
        return self._measured[1]

    def _tell(self) -> None:
        self._publish()
        self._emit(Moved(self._run))

    def _fail(self, error: Exception) -> None:
        self._state = "failed"
        self._goal = None
        self._phases = self._phase = None
        expected = isinstance(error, (FaultsError, StackError, DataError, MemoryError))
        message = str(error) or type(error).__name__
        if isinstance(error, MemoryError):
            message = tr("there is not enough memory for this stack: use fewer units, layers or rows in a batch")
        details = "" if expected else "".join(traceback.format_exception(error))
        self._publish()
        self._emit(Failure(self._run, message, details))

    def _check(self) -> None:
        """In the middle of something long."""
        if self._closing or self._wanted_run != self._run:
            raise _InterruptedError

    # Preparing

    def _leave(self, run: int) -> None:
        self._run = run
        self._state = "empty"
        self._lanes = ()
        self._phases = self._phase = self._goal = None
        self._questions.clear()
        self._meter.clear()
        self._tell()

    def _prepare(
        self,
        run: int,
        make: Callable[[], Sequence[Trainer]],
        dtypes: tuple[str, ...],
        play: bool,
        saved: Callable[[], SavedRun | None] | None,
        from_seed: Callable[[], bool],
        past: Callable[[], Sequence[Past | None]] | None,
    ) -> None:
        self._leave(run)
        self._state = "preparing"
        self._tell()
        if not kernels.is_warm(dtypes):
            self._compile(dtypes)
        self._check()
        trainers = make()
        if not self._limited:
            # By now BLAS is loaded. A second thread of it would fight with the window for the second core, and two
            # threads lose on small layers anyway.
            threadpoolctl.threadpool_limits(1, user_api="blas")
            self._limited = True
        self._check()
        pasts = [None] * len(trainers) if past is None else past()
        memory, checkpoints = self.recorder_bytes // len(trainers), self.checkpoint_bytes // len(trainers)
        self._lanes = tuple(
            _Lane(trainer, self._new_recorder(trainer, memory, before), checkpoints)
            for trainer, before in zip(trainers, pasts, strict=True)
        )
        for lane in self._lanes:
            # The first one is kept whatever it holds, so that there is always a way back.
            lane.snapshots.add(lane.trainer.snapshot())
        self._lanes[0].from_seed = from_seed()
        why: FaultsError | None = None
        same = None
        if saved is not None:
            try:
                same = self._resume(self._lanes[0], saved)
            except FaultsError as error:
                why = error
        for trainer in trainers:
            if trainer.dataset.x_val is not None:
                trainer.prepare_inference()
        self._snapshot_due = time.perf_counter() + 0.05
        self._state = "playing" if play else "paused"
        self._restart_clock()
        self._publish()
        tracks = (Track(lane.experiment, lane.trainer.stack, lane.recorder) for lane in self._lanes)
        self._emit(Prepared(run, tuple(tracks)))
        if why is not None:
            self._emit(Resumed(run, False, str(why)))
        elif same is not None:
            self._emit(Resumed(run, same))

    def _resume(self, lane: _Lane, saved: Callable[[], SavedRun | None]) -> bool | None:
        """Takes a run up again in a lane that has done nothing yet; whether its last step came out the same.

        Raises:
            FaultsError: if it can't be; then the lane is as it was.
        """
        run = saved()
        self._check()
        if run is None:
            return None
        trainer = lane.trainer
        first, before = run.snapshots(trainer)
        recorder = run.recorder(self.recorder_bytes)
        fresh, own = lane.snapshots, lane.live
        try:
            lane.live = list(run.live)
            lane.snapshots = Snapshots(self.checkpoint_bytes)
            lane.snapshots.add(first)
            trainer.restore(before)
            if run.step:
                lane.snapshots.add(before)
                for _ in self._replay(lane, trainer, run.step):
                    self._check()
            trainer.apply_live(lane.live[-1][1])
        except ValueError as error:
            lane.snapshots, lane.live = fresh, own
            trainer.apply_live(own[-1][1])
            trainer.restore(fresh.before(0))
            raise SavedRunError([Fault("live", str(error), MISSING)]) from error
        now = trainer.snapshot()
        lane.snapshots.add(now)
        lane.recorder, lane.from_seed = recorder, run.first is None
        return not run.digest or digest(now) == run.digest

    def _keep(self, number: int) -> None:
        trainer = self._ready()
        if trainer is None or len(self._lanes) != 1:
            self._emit(Answer(number, None))
            return
        lane = self._lanes[0]
        step = trainer.step
        recording, rest = lane.recorder.paused()
        # In the middle of a step the state is neither that before nor that behind it.
        known = digest(trainer.snapshot()) if self._phases is None else ""
        first = None if lane.from_seed else lane.snapshots.before(0).arrays
        live = tuple(lane.live)

        def finish(at: Trainer) -> SavedRun:
            before = at.snapshot()
            return SavedRun(recording, rest, step, before.arrays, at.nonfinite, first, live, known)

        self._questions["keep", number] = _Question(number, finish, step - 2 if step else None, 0)

    def _compile(self, dtypes: tuple[str, ...]) -> None:
        what = tr("Compiling the engine, on the first start only")

        def progress(done: int, total: int) -> None:
            self._emit(Progress(what, done, total))
            if self._closing:
                raise _InterruptedError

        kernels.warm_up(progress, dtypes)
        self._emit(Progress("", 0, 0))

    @staticmethod
    def _new_recorder(trainer: Trainer, capacity: int, past: Past | None) -> Recorder:
        experiment = trainer.experiment
        try:
            content: dict[str, Any] | None = {migrations.KEY: migrations.CURRENT, **file.content_of(experiment)}
        except file.FileError:
            # Data in memory: the recording then can't name what it was trained on.
            content = None
        while True:
            try:
                first = trainer.step - (0 if past is None else len(past.steps))
                made = trainer.recorder(capacity, first_step=first, experiment=content)
                break
            except ValueError:
                # So many layers that not even the shortest ring would fit.
                if capacity > 2**34:
                    raise
                capacity *= 2
        if past is not None:
            made.append(past.layers, past.steps)
            for step, loss, accuracy in past.validations:
                made.append_validation(step, loss, accuracy)
        return made

    # Playing

    def _ready(self) -> Trainer | None:
        return self._trainer if self._state in ("paused", "playing", "diverged") else None

    def _restart_clock(self) -> None:
        now = time.perf_counter()
        self._due = now
        self._since = (now, self._trainer.step if self._trainer is not None else 0)
        self._meter.clear()

    def _play(self, until: int | None) -> None:
        trainer = self._ready()
        if trainer is None or (until is not None and until <= trainer.step):
            return
        self._goal = until
        self._state = "playing"
        self._restart_clock()
        self._tell()

    def _pause(self) -> None:
        if self._state == "playing":
            self._state = "paused"
            self._goal = None
            self._meter.clear()
            self._tell()

    def _step(self, count: int) -> None:
        trainer = self._ready()
        if trainer is None:
            return
        if self._slow:
            self._state = "paused"
            self._next_phase()
        else:
            self._finish_phases()
            self._play(trainer.step + count)

    def _run_epoch(self) -> None:
        trainer = self._ready()
        if trainer is not None:
            self._finish_phases()
            self._play(trainer.step + trainer.steps_to_epoch_end)

    def _set_rate(self, rate: float | None) -> None:
        self._rate = rate
        self._restart_clock()

    def _set_slow(self, on: bool, phase_seconds: float | None) -> None:
        if phase_seconds is not None:
            self._phase_seconds = phase_seconds
        if on != self._slow:
            self._slow = on
            if not on:
                self._finish_phases()
            self._restart_clock()
        self._tell()

    def _move(self) -> None:
        """One piece of playing."""
        trainer = self._trainer
        assert trainer is not None
        if self._slow and self._goal is None:
            self._next_phase()
            self._due = time.perf_counter() + self._phase_seconds
            return
        self._finish_phases()
        most = trainer.steps_to_epoch_end
        if self._goal is not None:
            most = min(most, self._goal - trainer.step)
        elif self._rate is not None:
            most = min(most, self._owed(trainer.step))
        before = self._broken
        self._advance(most)
        self._look_after()
        if self._broken and not before and self.stop_on_nonfinite:
            self._diverge()
        elif self._goal is not None and trainer.step >= self._goal:
            self._flush()
            self._goal = None
            self._state = "paused"
            self._meter.clear()
            self._tell()
        else:
            self._set_due(trainer.step)
            self._publish()

    @property
    def _broken(self) -> bool:
        """Whether there is none left whose numbers are all finite."""
        return all(lane.trainer.nonfinite for lane in self._lanes)

    def _advance(self, at_most: int) -> None:
        """About as many steps of each training as take one piece's time for all together."""
        count = min(at_most, _steps_in(CHUNK_SECONDS, [lane.trainer for lane in self._lanes]))
        for lane in self._lanes:
            lane.trainer.record_timed(lane.recorder, count, publish=False)

    def _owed(self, step: int) -> int:
        """How many steps the rate asks for now, at least one."""
        assert self._rate is not None
        started, first = self._since
        return max(1, int((time.perf_counter() - started) * self._rate) + 1 - (step - first))

    def _set_due(self, step: int) -> None:
        now = time.perf_counter()
        if self._rate is None:
            self._due = now
            return
        started, first = self._since
        self._due = started + (step - first) / self._rate
        if self._due < now - 0.25:
            # The machine can't; it must not race to catch up when the steps get cheaper.
            self._since = (now, step)
            self._due = now

    def _look_after(self) -> None:
        """What is due now that steps have been done: publishing, validation, snapshots."""
        trainer = self._trainer
        assert trainer is not None
        now = time.perf_counter()
        self._meter.append((now, trainer.step))
        while len(self._meter) > 2 and now - self._meter[0][0] > 1.0:
            self._meter.popleft()
        if now - self._recorded_at >= RECORD_SECONDS or self._rate is not None:
            self._flush()
        for lane in self._lanes:
            if self.validates(lane.trainer):
                self._flush()
                metrics = lane.trainer.evaluate(between=self._check)
                if not np.isnan(metrics.accuracy) or not np.isnan(metrics.loss):
                    lane.recorder.append_validation(trainer.step - 1, metrics.loss, metrics.accuracy)
        if time.perf_counter() >= self._snapshot_due:
            self._take_snapshots()

    def _flush(self) -> None:
        """Shows readers what has been recorded since the last time."""
        for lane in self._lanes:
            lane.recorder.publish()
        self._recorded_at = time.perf_counter()

    @staticmethod
    def validates(trainer: Trainer) -> bool:
        """At the end of every epoch, or of every so many where an epoch is but a few steps."""
        ended = trainer.steps_to_epoch_end == trainer.steps_per_epoch
        return ended and trainer.epoch % -(-VALIDATION_STEPS // trainer.steps_per_epoch) == 0

    def _take_snapshots(self) -> None:
        started = time.perf_counter()
        for lane in self._lanes:
            if not lane.trainer.nonfinite:
                lane.snapshots.add(lane.trainer.snapshot())
        ended = time.perf_counter()
        self._snapshot_due = ended + max(0.05, (ended - started) / SNAPSHOT_SHARE)

    def _speed(self) -> float:
        if self._state != "playing" or len(self._meter) < 2:
            return 0.0
        (since, first), (until, last) = self._meter[0], self._meter[-1]
        return (last - first) / (until - since) if until > since else 0.0

    def _diverge(self) -> None:
        self._flush()
        self._state = "diverged"
        self._goal = None
        self._meter.clear()
        lane = self._lanes[0]
        where = lane.recorder.first_nonfinite or FirstNonfinite(lane.trainer.step - 1, None, "loss", "nan")
        self._publish()
        self._emit(Diverged(self._run, where))

    def _apply_live(self, optimizer: Optimizer) -> None:
        trainer = self._ready()
        if trainer is None:
            return
        self._finish_phases()
        trainer.apply_live(optimizer)
        lane = self._lanes[0]
        lane.live = [*((at, used) for at, used in lane.live if at < trainer.step), (trainer.step, optimizer)]

    def _carry_on(self, experiment: Experiment) -> None:
        if self._ready() is None or len(self._lanes) != 1:
            return
        self._finish_phases()
        old = self._lanes[0]
        trainer = old.trainer.continued(experiment)
        old.recorder.set_layers(trainer.layer_table)
        lane = _Lane(trainer, old.recorder, self.checkpoint_bytes)
        lane.snapshots.add(trainer.snapshot())
        self._lanes = (lane,)
        self._restart_clock()
        self._publish()
        self._emit(Prepared(self._run, (Track(experiment, trainer.stack, lane.recorder),)))

    # Slow motion

    def _next_phase(self) -> None:
        trainer = self._trainer
        assert trainer is not None
        before = trainer.nonfinite
        if self._phases is None:
            self._phases = trainer.phases()
        name = next(self._phases)
        record = trainer.phase_record()
        if name == PHASES[-1]:
            # Ended at once: with the update shown, the step counts as done.
            for _ in self._phases:
                pass
            self._phases = None
            self._append(record)
        layers, figures = _known(trainer, name, record)
        self._phase = Phase(name, record.first_step, layers, figures)
        if trainer.nonfinite and not before and self._phases is None and self.stop_on_nonfinite:
            self._diverge()
        self._tell()

    def _append(self, record: Chunk) -> None:
        """Records the step that has been taken apart."""
        self._lanes[0].recorder.append(record.layers, record.steps)
        self._look_after()

    def _finish_phases(self) -> None:
        """Completes a step that was taken apart."""
        if self._phases is not None and self._trainer is not None:
            record = None
            for _ in self._phases:
                record = self._trainer.phase_record()
            self._phases = None
            if record is not None:
                self._append(record)
        self._phase = None

    # Back

    def _back(self, count: int) -> None:
        trainer = self._ready()
        if trainer is not None:
            # A step that is only half done is left, not counted.
            self._go_to(max(0, trainer.step - count + (self._phases is not None)))

    def _rewind(self, step: int) -> None:
        trainer = self._ready()
        if trainer is not None and 0 <= step <= trainer.step:
            self._go_to(step)

    def _go_to(self, step: int) -> None:
        self._state = "paused"
        self._goal = None
        self._phases = self._phase = None
        self._meter.clear()
        for lane in self._lanes:
            step = max(step, lane.first_step)
            trainer, wanted = lane.trainer, lane.live[-1][1]
            # From before the step, so that gradients and activations in memory are those of the last step done.
            trainer.restore(lane.snapshots.before(max(0, step - 1)))
            for _ in self._replay(lane, trainer, step, keep=True):
                self._check()
            lane.recorder.rewind(step)
            lane.snapshots.forget_after(step)
            lane.live = [(at, used) for at, used in lane.live if at < step]
            if not lane.live or lane.live[-1][1] is not wanted:
                lane.live.append((step, wanted))
            trainer.apply_live(wanted)
        self._tell()

    def _replay(self, lane: _Lane, trainer: Trainer, step: int, *, keep: bool = False) -> Iterator[None]:
        """Computes again up to a step, with the optimizer that was in force at each; yields every few milliseconds."""
        stop, trainer.stop_on_nonfinite = trainer.stop_on_nonfinite, False
        started, first = time.perf_counter(), trainer.step
        told = False
        try:
            while trainer.step < step:
                in_force = [used for at, used in lane.live if at <= trainer.step][-1]
                if trainer.experiment.optimizer is not in_force:
                    trainer.apply_live(in_force)
                ends = [at for at, _ in lane.live if at > trainer.step]
                most = min([step, *ends]) - trainer.step
                if keep and step - trainer.step > DENSE:
                    most = min(most, step - trainer.step - DENSE)
                elif keep:
                    most = 1
                trainer.advance_for(CHUNK_SECONDS, most)
                if keep and step - trainer.step <= DENSE and not trainer.nonfinite:
                    lane.snapshots.add(trainer.snapshot())
                if keep and time.perf_counter() - started > TELL_SECONDS:
                    told = True
                    self._emit(Progress(tr("Computing again"), trainer.step - first, step - first))
                yield
        finally:
            trainer.stop_on_nonfinite = stop
            if told:
                self._emit(Progress("", 0, 0))

    # Questions

    def _answer(self) -> None:
        """Works on the oldest question for one slice."""
        key, question = next(iter(self._questions.items()))
        try:
            done, value = self._reply(question)
        except Exception:
            self._questions.pop(key, None)
            self._emit(Answer(question.number, None))
            raise
        if done:
            self._questions.pop(key, None)
            self._emit(Answer(question.number, value))

    def _reply(self, question: _Question) -> tuple[bool, Any]:
        if question.place >= len(self._lanes):
            return True, None
        lane = self._lanes[question.place]
        trainer = lane.trainer
        done = trainer.step if question.step is None else question.step + 1
        if done == trainer.step:
            return True, question.function(trainer)
        if not lane.first_step <= done < trainer.step:
            return True, None
        if lane.viewer is None:
            # A trainer of its own, so that looking back never disturbs the run.
            lane.viewer = Trainer(lane.experiment)
            lane.viewer.restore(lane.snapshots.before(0))
        viewer = lane.viewer
        if viewer.step != done:
            nearest = lane.snapshots.before(done - 1)
            if not nearest.step <= viewer.step < done:
                viewer.restore(nearest)
            until = time.perf_counter() + CHUNK_SECONDS
            for _ in self._replay(lane, viewer, done):
                if time.perf_counter() > until:
                    break
            if viewer.step != done:
                return False, None
        return True, question.function(viewer)


def _steps_in(seconds: float, trainers: Sequence[Trainer]) -> int:
    """About how many steps of all trainers together take so long: at least one."""
    return max(1, int(seconds / sum(trainer.seconds_per_step for trainer in trainers)))


def _known(trainer: Trainer, phase: str, record: Chunk) -> tuple[Any, Any]:
    """What a phase and those before it have measured; what an earlier step left there is blanked."""
    layers = np.full(record.layers.shape[1:], np.nan)
    figures = np.full(record.steps.shape[1:], np.nan)
    done = PHASES.index(phase)
    prefixes = ["activation_"]
    if done >= PHASES.index("backward"):
        prefixes += ["delta_", "saturated", "dead"]
    if done == PHASES.index("update"):
        prefixes = [""]
    for number, key in enumerate(LAYER_COLUMNS):
        if key.startswith(tuple(prefixes)):
            layers[:, number] = record.layers[0][:, number]
    if done in (PHASES.index("backward"), PHASES.index("clip")):
        # The engine measures gradients in the pass that applies them; here somebody wants to see them before.
        column = LAYER_COLUMNS.index("gradient_norm" if phase == "backward" else "clipped_norm")
        for row in range(len(layers)):
            gradient = trainer.gradient_matrix(row)
            if gradient is not None:
                layers[row, column] = np.linalg.norm(gradient.astype(np.float64))
        if phase == "clip":
            raw = LAYER_COLUMNS.index("gradient_norm")
            measured = record.layers[0][:, raw]
            optimizer = trainer.experiment.optimizer
            clips = any(getattr(optimizer, name, None) for name in ("clipnorm", "clipvalue", "global_clipnorm"))
            layers[:, raw] = measured if clips else layers[:, column]
    for number, key in enumerate(STEP_COLUMNS):
        late = key == "global_gradient_norm"
        if key in ("learning_rate", "epoch", "rows") or (done >= (4 if late else 1)):
            figures[number] = record.steps[0][number]
    return layers, figures

"""A recording in a file that may still grow, as a run that views look at: read in a thread, never trained."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PySide6.QtCore import QObject, Qt, Signal

from gradsim.app.player import Watched
from gradsim.exchange import pretrained
from gradsim.i18n import tr
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.telemetry.files import RecordingFileError
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS
from gradsim.telemetry.recorder import Recorder
from gradsim.telemetry.recording import COUNT_KEYS, Layer, Recording

SECONDS = 0.5
"""Between two looks at the file."""
PIECE = 2048
"""Rows that are taken over at a time."""
MOST_ROWS = 1_000_000
"""A coarse past of more steps than this is left out."""


Rows = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


class Took(NamedTuple):
    """What was read: the recorder now, whether it is another one, and what the file says of itself."""

    recorder: Recorder
    anew: bool
    recording: Recording
    path: Path


class Trouble(NamedTuple):
    """Why there is nothing to show (yet)."""

    text: str


class Follower:
    """The thread that reads.

    Args:
        path: A file, or a folder whose latest recording is followed; it need not exist yet.
        notify: Called from the thread when events wait.
    """

    def __init__(self, path: Path, notify: Callable[[], object]) -> None:
        self.path = path
        self.events: deque[Took | Trouble] = deque()
        self._notify = notify
        self._closing = threading.Event()
        self._seen: object = None
        self._recorder: Recorder | None = None
        self._said = ""
        self._validated = -1.0
        self._last_loss = float("nan")
        self._thread = threading.Thread(target=self._work, name="gradsim-follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._closing.set()
        self._thread.join(5.0)

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                self._look()
            except _ClosedError:
                return
            except (RecordingFileError, OSError, ValueError, MemoryError) as error:
                self._tell(Trouble(str(error) or type(error).__name__))
            self._closing.wait(SECONDS)

    def _tell(self, event: Took | Trouble) -> None:
        if isinstance(event, Trouble):
            if event.text == self._said:
                return
            self._said = event.text
        else:
            self._said = ""
        self.events.append(event)
        self._notify()

    def _look(self) -> None:
        path = newest(self.path)
        if path is None:
            self._tell(Trouble(tr("Waiting for {name}\u2026", name=self.path.name)))
            return
        status = path.stat()
        seen = (path, status.st_mtime_ns, status.st_size, status.st_ino)
        if seen == self._seen:
            return
        recording = Recording.load(path)
        self._seen = seen
        if not len(recording) or not recording.layers:
            self._tell(Trouble(tr("{name} holds no steps yet.", name=path.name)))
            return
        self._take(recording, path)

    def _take(self, recording: Recording, path: Path) -> None:
        first = first_row(recording)
        anew = not self._goes_on(recording)
        if anew:
            self._recorder = _recorder_for(recording, int(recording.steps[first]))
            self._validated = -1.0
        recorder = self._recorder
        assert recorder is not None
        for layers, steps in rows_of(recording, first, recorder.stop):
            recorder.append(layers, steps)
            if self._closing.is_set():
                raise _ClosedError
        self._last_loss = float(recording["loss"][-1])
        for step, loss, accuracy in zip(*recording.validation, strict=True):
            if step > self._validated:
                recorder.append_validation(int(step), float(loss), float(accuracy))
                self._validated = float(step)
        self._tell(Took(recorder, anew, recording, path))

    def _goes_on(self, recording: Recording) -> bool:
        """Whether what was read before is the beginning of this."""
        recorder = self._recorder
        if recorder is None or recorder.layers != named(recording) or recorder.every != recording.every:
            return False
        at = np.flatnonzero(recording.steps == recorder.stop - recorder.every)
        if not len(at) or recording.strides[at[0]] != recording.every:
            return False
        same = float(recording["loss"][at[0]])
        return same == self._last_loss or (np.isnan(same) and bool(np.isnan(self._last_loss)))


class _ClosedError(Exception):
    """Nobody looks any more."""


def newest(path: Path) -> Path | None:
    """The file, or the latest recording in the folder; None if there is none."""
    if path.is_dir():
        found = [(one.stat().st_mtime_ns, one) for one in path.glob("*.npz") if one.is_file()]
        return max(found)[1] if found else None
    return path if path.exists() else None


def named(recording: Recording) -> tuple[Layer, ...]:
    """The layers with names that say something: PyTorch calls those of a Sequential by their numbers."""
    return tuple(
        dataclasses.replace(layer, name=f"{layer.name} {layer.type}")
        if layer.name.rpartition(".")[2].isdecimal() and layer.type
        else layer
        for layer in recording.layers
    )


def first_row(recording: Recording) -> int:
    """The first row from which on the steps follow each other without a gap and are few enough to be shown."""
    strides, steps = recording.strides, recording.steps
    first = 0
    gaps = np.flatnonzero((steps[1:] != steps[:-1] + strides[:-1]) | (strides[:-1] % recording.every != 0))
    if len(gaps):
        first = int(gaps[-1]) + 1
    coarse = recording.coarse_rows
    if coarse > first and int(strides[first:coarse].sum()) // recording.every > MOST_ROWS:
        first = coarse
    return first


def rows_of(
    recording: Recording, first: int, start: int
) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Rows for a recorder: layers (k, layers, columns) and steps (k, columns), from a step on.

    A block of the coarse past becomes as many rows as it had steps: one with its smallest values, one with its largest,
    the others with its means, so that what it showed is still seen. Its counts stand in the one with the largest.
    """
    each = recording.strides // recording.every
    for row in range(first, recording.coarse_rows):
        begun = max(0, start - int(recording.steps[row])) // recording.every
        count = int(each[row]) - begun
        if count <= 0:
            continue
        kinds = [recording.maximum] + [recording.minimum] * (count > 1)
        layers, steps = _piece(recording, slice(row, row + 1))
        layers, steps = np.repeat(layers, count, 0), np.repeat(steps, count, 0)
        for place, of in enumerate(kinds):
            for number, key in enumerate(LAYER_COLUMNS):
                if key not in COUNT_KEYS:
                    layers[place, :, number] = of(key)[row]
        layers[1:, :, [LAYER_COLUMNS.index(key) for key in COUNT_KEYS]] = 0
        yield layers, steps
    fine = max(first, recording.coarse_rows)
    fine += int(np.searchsorted(recording.steps[fine:], start))
    for at in range(fine, len(recording), PIECE):
        yield _piece(recording, slice(at, min(at + PIECE, len(recording))))


def _piece(recording: Recording, rows: slice) -> Rows:
    layers = np.stack([recording[key][rows] for key in LAYER_COLUMNS], axis=-1)
    return layers, np.stack([recording[key][rows] for key in STEP_COLUMNS], axis=-1)


def _recorder_for(recording: Recording, first_step: int) -> Recorder:
    capacity = 256 * 2**20
    while True:
        try:
            return Recorder(
                named(recording),
                capacity,
                first_step=first_step,
                every=recording.every,
                loss=bool(np.isfinite(recording["loss"]).any()),
                experiment=recording.experiment,
                source=recording.source,
                dtype=recording.dtype,
                seed=recording.seed,
            )
        except ValueError:
            # So many layers that not even the shortest ring would fit.
            if capacity > 2**34:
                raise
            capacity *= 2


class Viewed(Watched):
    """A recording that views look at.

    Attributes:
        path: What is followed.
        shown: The file that is shown now; None until one was read.
        source: Who recorded: "gradsim", "pytorch", "keras", or "".
        trouble: Why nothing is shown, or nothing new; "" if all is well.
    """

    changed = Signal()
    """:attr:`shown`, :attr:`source` or :attr:`trouble` may have changed, or there are new steps."""
    _woken = Signal()

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path = path
        self.shown: Path | None = None
        self.source = ""
        self.trouble = ""
        self._experiment = Experiment()
        self._accurate = False
        self._closed = False
        self._woken.connect(self._drain, Qt.ConnectionType.QueuedConnection)
        self.follower = Follower(path, self._woken.emit)

    @property
    def experiment(self) -> Experiment:
        """What was trained, as far as the recording says it."""
        return self._experiment

    @property
    def context(self) -> dict[str, Any] | None:
        """What the recording itself says."""
        return None if self.recorder is None else self.recorder.experiment

    @property
    def has_accuracy(self) -> bool:
        """Whether one was recorded."""
        return self._accurate

    @property
    def playing(self) -> bool:
        """Never: what is shown was recorded."""
        return False

    @property
    def row_uids(self) -> tuple[str, ...]:
        """One for each row, as a recording knows no cards."""
        return tuple(f"row {row}" for row in range(len(self.rows())))

    def rows_of(self, uid: str) -> tuple[int, ...]:
        """The row of an identity."""
        return tuple(row for row, one in enumerate(self.row_uids) if one == uid)

    def select_row(self, row: int) -> None:
        """Selects a row."""
        if 0 <= row < len(self.row_uids):
            self.state.select([self.row_uids[row]])

    def _drain(self) -> None:
        while self.follower.events and not self._closed:
            event = self.follower.events.popleft()
            if isinstance(event, Trouble):
                self.trouble = event.text
            else:
                self._took(event)
            self.changed.emit()

    def _took(self, event: Took) -> None:
        self.trouble, self.shown, self.source = "", event.path, event.recording.source
        accurate = bool(np.isfinite(event.recording["accuracy"]).any())
        if event.anew or accurate != self._accurate:
            self._accurate = accurate
            self._experiment = _experiment_of(event.recording)
            self.state.select(())
            self.recorder = event.recorder
            key = self.state.quantity
            if not np.isfinite(event.recording[key]).any() and np.isfinite(event.recording["gradient_rms"]).any():
                # Keras tells no error signals.
                self.state.set_quantity("gradient_rms")
            self.recorder_changed.emit()
        self.renew()

    def close(self) -> None:
        """Ends the thread. Nothing is told any more."""
        self._closed = True
        self.follower.close()


def _experiment_of(recording: Recording) -> Experiment:
    try:
        return pretrained.experiment_of(recording)
    except FaultsError:
        return Experiment()

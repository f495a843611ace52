"""A record as far as somebody chooses: a recording shown again, or a recorder whose run goes on meanwhile.

Both are read like a recorder.
"""

from __future__ import annotations

from gradsim.telemetry.columns import Columns
from gradsim.telemetry.recorder import News, Position, Recorder
from gradsim.telemetry.recording import FirstNonfinite, Layer, Recording, Validation


class Playback:
    """What pictures read of a recorder, over a finished recording.

    Args:
        recording: What is shown; at least one row.

    Attributes:
        first_step: The first recorded step.
        every: Steps from one row to the next.
        layers: The layer table.

    Raises:
        ValueError: for a recording without rows.
    """

    def __init__(self, recording: Recording) -> None:
        if not len(recording):
            raise ValueError("recording: allowed is one step or more; received none")
        self.recording = recording
        self.first_step, self.every = recording.start, recording.every
        self.layers: tuple[Layer, ...] = recording.layers
        self.stop = recording.stop
        """The step after the last one that is shown; see :meth:`show_until`."""
        self._shown = recording
        self._generation = 0

    def show_until(self, stop: int) -> None:
        """Shows the steps before ``stop`` only, as if the run had come so far; kept within what is recorded."""
        stop = min(max(stop, self.first_step + self.every), self.recording.stop)
        if stop < self.stop:
            self._generation += 1
        self._shown = self.recording.slice(stop=stop)
        self.stop = stop

    @property
    def first_nonfinite(self) -> FirstNonfinite | None:
        """Where a number first was not finite, as soon as it is shown."""
        found = self.recording.first_nonfinite
        return found if found is not None and found.step < self.stop else None

    @property
    def validation(self) -> Validation:
        """The validations until now."""
        return _before(self.recording.validation, self.stop)

    def since(self, position: Position | None = None) -> News:
        """As :meth:`gradsim.telemetry.recorder.Recorder.since`."""
        start = self.first_step if position is None else position.stop
        if position is not None and position.generation != self._generation:
            start = self.first_step
        return News(min(start, self.stop), self.stop, Position(self.stop, self._generation))

    def columns(
        self,
        key: str,
        start: int | None = None,
        stop: int | None = None,
        width: int = 2**62,
        stride: int | None = None,
    ) -> Columns:
        """As :meth:`gradsim.telemetry.recorder.Recorder.columns`."""
        return self._shown.columns(key, start, stop, width, stride)

    def at(self, step: int) -> Recording:
        """The row that stands for ``step``. Raises IndexError for a step that is not shown."""
        if step >= self.stop:
            raise IndexError(f"step: allowed {self.first_step} to {self.stop - 1}; received {step}")
        begin = int(self.recording.steps[self.recording.row_of(step)])
        return self.recording.slice(begin, begin + 1)


class Moment:
    """What a recorder held at a moment; no copy, since what was recorded stays.

    Args:
        recorder: Holds one row at least; its run may go on, not back.

    Attributes:
        stop: The step after the last one that it held.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder, self.stop = recorder, recorder.stop
        self.first_step, self.every, self.layers = recorder.first_step, recorder.every, recorder.layers

    @property
    def first_nonfinite(self) -> FirstNonfinite | None:
        """Where a number first was not finite until then."""
        found = self.recorder.first_nonfinite
        return found if found is not None and found.step < self.stop else None

    @property
    def validation(self) -> Validation:
        """The validations until then."""
        return _before(self.recorder.validation, self.stop)

    def since(self, position: Position | None = None) -> News:
        """As :meth:`gradsim.telemetry.recorder.Recorder.since`."""
        return News(self.first_step if position is None else self.stop, self.stop, Position(self.stop, 0))

    def columns(
        self,
        key: str,
        start: int | None = None,
        stop: int | None = None,
        width: int = 2**62,
        stride: int | None = None,
    ) -> Columns:
        """As :meth:`gradsim.telemetry.recorder.Recorder.columns`."""
        return self.recorder.columns(key, start, stop, width, stride, until=self.stop)

    def at(self, step: int) -> Recording:
        """The row that stands for ``step``. Raises IndexError for a step that was not there."""
        if step >= self.stop:
            raise IndexError(f"step: allowed {self.first_step} to {self.stop - 1}; received {step}")
        return self.recorder.at(step)


def _before(found: Validation, stop: int) -> Validation:
    known = found.step < stop
    return Validation(found.step[known], found.val_loss[known], found.val_accuracy[known])

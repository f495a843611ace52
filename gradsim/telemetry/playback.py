"""A record as far as somebody chooses: a recording shown again, or a recorder whose run goes on meanwhile.

Both are read like a recorder.
"""

from __future__ import annotations

from gradsim.telemetry.columns import Columns
from gradsim.telemetry.recorder import News, Position, Recorder
from gradsim.telemetry.recording import FirstNonfinite, Recording, Validation


class _Shown:
    """The part before :attr:`stop` of what something holds that records or is recorded.

    Attributes:
        first_step: The first recorded step.
        every: Steps from one row to the next.
        layers: The layer table.
        stop: The step after the last one that is shown.
    """

    def __init__(self, whole: Recorder | Recording, first_step: int) -> None:
        self._whole, self.first_step, self.stop = whole, first_step, whole.stop
        self.every, self.layers = whole.every, whole.layers

    @property
    def first_nonfinite(self) -> FirstNonfinite | None:
        """Where a number first was not finite, if that is shown."""
        found = self._whole.first_nonfinite
        return found if found is not None and found.step < self.stop else None

    @property
    def validation(self) -> Validation:
        """The validations until then."""
        found = self._whole.validation
        known = found.step < self.stop
        return Validation(found.step[known], found.val_loss[known], found.val_accuracy[known])


class Playback(_Shown):
    """What pictures read of a recorder, over a finished recording.

    Args:
        recording: What is shown; at least one row.

    Raises:
        ValueError: for a recording without rows.
    """

    def __init__(self, recording: Recording) -> None:
        if not len(recording):
            raise ValueError("recording: allowed is one step or more; received none")
        super().__init__(recording, recording.start)
        self.recording = recording
        self._shown = recording
        self._generation = 0

    def show_until(self, stop: int) -> None:
        """Shows the steps before ``stop`` only, as if the run had come so far; kept within what is recorded."""
        stop = min(max(stop, self.first_step + self.every), self.recording.stop)
        if stop < self.stop:
            self._generation += 1
        self._shown = self.recording.slice(stop=stop)
        self.stop = stop

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


class Moment(_Shown):
    """What a recorder held at a moment; no copy, since what was recorded stays.

    Args:
        recorder: Holds one row at least; its run may go on, not back.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder, recorder.first_step)
        self.recorder = recorder

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

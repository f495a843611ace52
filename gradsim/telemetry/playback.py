"""A recording shown again: read like the recorder of a run that has come as far as somebody chooses."""

from __future__ import annotations

from gradsim.telemetry.columns import Columns
from gradsim.telemetry.recorder import News, Position
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
        found = self.recording.validation
        known = found.step < self.stop
        return Validation(found.step[known], found.val_loss[known], found.val_accuracy[known])

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

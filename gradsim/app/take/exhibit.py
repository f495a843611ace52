"""What views read of a session, without a session: a record to be looked at, in whatever view and at whatever step.

Views that are made for a picture get an exhibit, so that a picture needs no window, and a window that is being worked
in is not disturbed by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal

from gradsim.app.player import Watched
from gradsim.app.session import Session
from gradsim.engine.trainer import Trainer
from gradsim.model.experiment import Experiment
from gradsim.telemetry.playback import Moment, Playback
from gradsim.telemetry.recorder import Recorder
from gradsim.telemetry.recording import Recording

Question = Callable[[Trainer], Any]
Ask = Callable[[Question, Callable[[Any], object], int | None], None]
"""Has a question answered of the moment behind a step (None is the latest): question, what gets the answer, step."""


class Exhibit(Watched):
    """A record and what is looked at.

    Args:
        experiment: What was trained.
        recorder: What was recorded.
        ask: Answers questions about weights, gradients and activations; None where there is only the record.
        upwards: Whether the stack stands with its input at the bottom.
        uids: The layer that each row stands for.

    Attributes:
        state: Quantity, step, selection and scales; nobody else's.
    """

    document_changed = Signal(object)
    run_changed = Signal()

    def __init__(
        self,
        experiment: Experiment,
        recorder: Recorder | Playback | Moment,
        *,
        ask: Ask | None = None,
        upwards: bool = True,
        uids: tuple[str, ...] = (),
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._experiment, self.upwards, self.answer_to = experiment, upwards, ask
        self._uids = uids or tuple(f"row {row}" for row in range(len(recorder.layers)))
        self.playback = recorder if isinstance(recorder, Playback) else None
        # Views read nothing of a recorder that a playback does not have.
        self.recorder: Recorder = recorder  # type: ignore[assignment]

    @property
    def experiment(self) -> Experiment:
        """What was trained."""
        return self._experiment

    @classmethod
    def of(cls, session: Session, *, upwards: bool = True, recording: Recording | None = None) -> Exhibit:
        """What a session shows now, at the step, in the quantity and on the scales that it is shown in.

        Args:
            recording: A copy of its record, to be shown up to any step.

        Raises:
            ValueError: if nothing is recorded.
        """
        recorder = session.recorder
        if recorder is None or recorder.stop <= recorder.first_step:
            raise ValueError("there is nothing to show yet: train first")

        def ask(question: Question, answer: Callable[[Any], object], step: int | None) -> None:
            session.ask(object(), question, answer, step)

        shown = Moment(recorder) if recording is None else Playback(recording)
        made = cls(session.experiment, shown, ask=ask, upwards=upwards, uids=session.row_uids)
        state, theirs = made.state, session.state
        state.set_quantity(theirs.quantity)
        for key, scale in theirs.changed_thresholds().items():
            state.set_thresholds(key, scale)
        state.select(theirs.selection)
        state.set_cursor(theirs.cursor)
        state.set_range(theirs.range)
        return made

    @property
    def step(self) -> int:
        """The step that is shown."""
        last = self.recorder.stop - self.recorder.every
        return last if self.state.cursor is None else min(self.state.cursor, last)

    def ask(self, *_: object) -> None:
        """Views that ask by themselves get no answer: whoever makes the picture asks, and waits for it."""

    def show_until(self, step: int) -> None:
        """Shows the record as it was behind a step; only of a playback."""
        assert self.playback is not None
        self.playback.show_until(step + 1)
        self.renew()

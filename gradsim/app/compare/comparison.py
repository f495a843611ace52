"""Twins in one training thread: every control acts on all, and what is looked at in one is looked at in all."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QObject

from gradsim.app.compare.aligned import Lines, aligned
from gradsim.app.player import Player, Watched
from gradsim.app.state import ViewState
from gradsim.diagnose import twins as headless
from gradsim.diagnose.twins import MOST, Differences, Fork
from gradsim.engine import runner as running
from gradsim.engine.runner import Past
from gradsim.engine.trainer import Snapshot, Trainer
from gradsim.exchange.start import start_of
from gradsim.i18n import tr
from gradsim.model.experiment import Experiment
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS
from gradsim.telemetry.recorder import Recorder

LETTERS = "ABCD"
PAST = 500
"""Steps of the original that are shown before a fork."""
_PAST_ROWS = 50_000
"""Of a tall stack so many rows in all steps together: each is copied for every twin."""
_COUNTS = [number for number, key in enumerate(LAYER_COLUMNS) if key.endswith(("_nan", "_inf"))]


@dataclasses.dataclass(frozen=True)
class Member:
    """One of the experiments that are compared.

    Attributes:
        title: What it is here: "before", the name of a cure, of a file.
    """

    experiment: Experiment
    title: str


@dataclasses.dataclass(frozen=True)
class Moment:
    """Where another training stood: what a fork goes on from.

    Attributes:
        experiment: As it was trained at that moment.
        record: What it had recorded until then, or None; the latest steps of it are shown before the fork.
    """

    experiment: Experiment
    snapshot: Snapshot
    record: Recorder | None = None

    @property
    def steps(self) -> int:
        """Steps done until then."""
        return self.snapshot.step


class Twin(Watched):
    """One training of a comparison, as views see it.

    Attributes:
        place: 0 for the one that the others are compared with.
        fork: What it took over from the moment that it goes on from, or None.
    """

    def __init__(self, comparison: Comparison, place: int, member: Member) -> None:
        super().__init__(comparison, comparison)
        self.place, self.member = place, member
        self.fork: Fork | None = None
        comparison.tick.connect(self.tick)
        self.failed.connect(comparison.failed)

    @property
    def letter(self) -> str:
        """A to D."""
        return LETTERS[self.place]

    @property
    def colour(self) -> str:
        """Name of its colour in the theme."""
        return f"twin_{self.place}"

    @property
    def experiment(self) -> Experiment:
        return self.member.experiment


class Comparison(Player):
    """Two to four twins that keep step; as something to watch, it is the first of them.

    Args:
        members: The first is the one that the others are compared with.
        moment: What all of them go on from; None starts from their seeds.

    Raises:
        ValueError: if there are fewer than two or more than four.

    Attributes:
        twins: One for each member; their states are linked with each other and with :attr:`state`, row by row.
        differences: Between the first and each of the others; empty until the run is prepared.
        lines: How their rows stand beside each other; None until then.
    """

    def __init__(
        self,
        members: Sequence[Member],
        moment: Moment | None = None,
        parent: QObject | None = None,
        *,
        recorder_bytes: int = running.RECORDER_BYTES,
        checkpoint_bytes: int = running.CHECKPOINT_BYTES,
    ) -> None:
        if not 2 <= len(members) <= MOST:
            raise ValueError(tr("twins: must be 2 to {most} experiments (received {n})", most=MOST, n=len(members)))
        super().__init__(parent, recorder_bytes=recorder_bytes, checkpoint_bytes=checkpoint_bytes)
        self.moment = moment
        self.twins = tuple(Twin(self, place, member) for place, member in enumerate(members))
        self.differences: tuple[Differences, ...] = ()
        self.lines: Lines | None = None
        self._made: tuple[tuple[Differences, ...], tuple[Fork, ...]] = ((), ())
        self._linking = False
        self._rows: tuple[tuple[int | None, ...], ...] = ()
        for watched in (self, *self.twins):
            self._link(watched)

    @property
    def members(self) -> tuple[Member, ...]:
        """What is compared."""
        return tuple(twin.member for twin in self.twins)

    @property
    def experiment(self) -> Experiment:
        return self.twins[0].experiment

    @property
    def same_batches(self) -> bool:
        """Whether all see the same rows in every step."""
        return all(found.same_batches for found in self.differences)

    # Running

    def start(self, *, play: bool = False) -> None:
        """Prepares a run of all of them, from their seeds or from the moment."""
        self.state.set_cursor(None)
        self.first_nonfinite = None
        self.failure = ""
        self._answers.clear()
        self._intent = play
        self._preparing = True
        dtypes = sorted({twin.experiment.dtype for twin in self.twins})
        self._run = self.runner.prepare_all(self._make, dtypes=dtypes, play=play, past=self._past)
        self.run_changed.emit()

    def reset(self, new_seed: bool = False) -> None:
        """Starts all of them again, from where they started; or all from the next seed."""
        if new_seed and self.moment is not None:
            self.failed.emit(tr("A fork goes on from weights that another seed does not have: reset it with its own."))
            return
        if new_seed:
            for twin in self.twins:
                experiment = dataclasses.replace(twin.experiment, seed=(twin.experiment.seed + 1) % 2**31)
                twin.member = dataclasses.replace(twin.member, experiment=experiment)
        self.start(play=self._intent)

    def _make(self) -> list[Trainer]:
        """The trainers; called in the training thread, as it takes a while."""
        experiments = [twin.experiment for twin in self.twins]
        found = tuple(headless.differences(experiments[0], other) for other in experiments[1:])
        if self.moment is None:
            self._made = found, ()
            return [Trainer(experiment, start_of(experiment)) for experiment in experiments]
        original = Trainer(self.moment.experiment)
        forks = tuple(headless.fork(original, self.moment.snapshot, experiment) for experiment in experiments)
        self._made = found, forks
        return [one.trainer for one in forks]

    def _past(self) -> list[Past | None]:
        """What was recorded before the moment, each layer with what was its own; called in the training thread."""
        moment, (found, _) = self.moment, self._made
        if moment is None or moment.record is None:
            return [None] * len(self.twins)
        record, stop = moment.record, moment.steps
        shown = max(1, min(PAST, _PAST_ROWS // len(record.layers)))
        recording = record.recording(max(record.full_from, record.first_step, stop - shown), stop)
        if not len(recording) or recording.coarse_rows or recording.steps[-1] != stop - 1:
            # Kept too coarsely by now, or rewound: then the records begin at the fork.
            return [None] * len(self.twins)
        layers = np.stack([recording[key] for key in LAYER_COLUMNS], axis=-1)
        steps = np.stack([recording[key] for key in STEP_COLUMNS], axis=-1)
        validations = tuple(zip(*(column.tolist() for column in recording.validation), strict=True))
        own = headless.differences(moment.experiment, self.twins[0].experiment).pairs
        original_of = {row: original for original, row in own}
        pasts: list[Past | None] = []
        for twin, pairs in zip(
            self.twins, [[(row, row) for row in original_of], *(one.pairs for one in found)], strict=True
        ):
            rows = np.full((len(recording), len(twin.experiment.stack().layers), len(LAYER_COLUMNS)), np.nan)
            rows[:, :, _COUNTS] = 0
            for first, row in pairs:
                if first in original_of:
                    rows[:, row] = layers[:, original_of[first]]
            pasts.append(Past(rows, steps, validations))
        return pasts

    def _set_tracks(self, tracks: tuple[running.Track, ...]) -> None:
        # Replaced whole by the thread before it told of the tracks.
        self.differences, forks = self._made
        counts = [len(track.stack.layers) for track in tracks]
        self.lines = aligned(counts, self.differences)
        self._rows = self._by_line(self.lines)
        for place, (twin, track) in enumerate(zip(self.twins, tracks, strict=True)):
            twin.fork = forks[place] if forks else None
            twin._set_run(track.stack, track.recorder)
        super()._set_tracks(tracks)

    # What is looked at

    @staticmethod
    def _by_line(lines: Lines) -> tuple[tuple[int | None, ...], ...]:
        """For each twin, the row in each line."""
        found = []
        for of in lines.of:
            rows: list[int | None] = [None] * len(lines.shared)
            for row, line in enumerate(of):
                rows[line] = row
            found.append(tuple(rows))
        return tuple(found)

    def row_in(self, place: int, row: int | None, other: int) -> int | None:
        """The row of another twin that stands for the same layer as a row of this one; None if it has none."""
        if row is None or self.lines is None or not 0 <= row < len(self.lines.of[place]):
            return None
        return self._rows[other][self.lines.of[place][row]]

    def _link(self, watched: Watched) -> None:
        state = watched.state
        place = watched.place if isinstance(watched, Twin) else 0

        def others() -> Iterator[Watched]:
            return (one for one in (self, *self.twins) if one is not watched)

        def place_of(one: Watched) -> int:
            return one.place if isinstance(one, Twin) else 0

        def hovered(hover: tuple[int, int | None] | None) -> None:
            with self._once() as first:
                for one in others() if first else ():
                    row = None if hover is None else self.row_in(place, hover[1], place_of(one))
                    one.state.set_hover(None if hover is None else (hover[0], row))

        def selected(uids: tuple[str, ...]) -> None:
            with self._once() as first:
                rows = [row for row, uid in enumerate(watched.row_uids) if uid in set(uids)]
                for one in others() if first else ():
                    found = [self.row_in(place, row, place_of(one)) for row in rows]
                    one.state.select([one.row_uids[row] for row in found if row is not None])

        def rescaled(key: str) -> None:
            with self._once() as first:
                scale = state.changed_thresholds().get(key)
                for one in others() if first else ():
                    one.state.set_thresholds(key, scale)

        def follow(setter: Callable[[ViewState, Any], None], value: Any) -> None:
            for one in others():
                setter(one.state, value)

        state.quantity_changed.connect(functools.partial(follow, ViewState.set_quantity))
        state.cursor_changed.connect(functools.partial(follow, ViewState.set_cursor))
        state.range_changed.connect(functools.partial(follow, ViewState.set_range))
        state.hover_changed.connect(hovered)
        state.selection_changed.connect(selected)
        state.thresholds_changed.connect(rescaled)

    @contextlib.contextmanager
    def _once(self) -> Iterator[bool]:
        """True for a change that a person made; False for what follows from it in the others."""
        first, self._linking = not self._linking, True
        try:
            yield first
        finally:
            self._linking = not first

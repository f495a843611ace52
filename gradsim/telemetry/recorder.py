"""The recorder: every step of a run of any length in bounded memory, written by one thread and read by
others.

What is kept
    The most recent steps in full, in a ring. What leaves the ring goes, in blocks of ``BLOCK`` rows, into
    the past: blocks with minimum, maximum, mean and counts, whose length doubles each time their array is
    full. Ring and past never overlap and leave nothing out. A block is the merge of two halves all the way
    down, so what a recording holds depends on the rows alone, not on the chunks in which they came.

One writer, readers that never wait
    The writer publishes one immutable ``_State`` (how many rows, where the past ends, which arrays) by a
    single attribute store, after the data is in place. A reader takes that one reference and reads only
    what it describes:

    - Blocks of the past are only ever appended behind the published count; when their array is full, a new
    one is
      made and published, and the old one stays as it was for whoever reads it.
    - Rows of the ring are overwritten when the writer comes round. Before it writes, it stores in
    ``_reserved`` up to
      which row it is going to write. After copying, a reader looks at ``_reserved``: if the rows that it
      copied could have been reached, it copies again.
    - :meth:`Recorder.rewind` makes old rows be written again. It raises ``_generation`` before it
    publishes; a reader
      whose state is of another generation starts again.

    Order of memory: under CPython each of these stores and loads is one bytecode executed with the GIL
    held, and whoever fills the ring without it (a copy, or the compiled loop that writes into a
    :class:`Room`) begins and ends with it, so stores become visible in program order: ``_reserved`` before
    what is put into the ring, that before ``_state``. (Without a GIL, attribute stores are releases and
    loads acquires, which is the same order.) No lock is taken on either side, so a slow reader can not delay
    training, nor training a frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradsim.telemetry import quantities as q
from gradsim.telemetry.blocks import Blocks, concatenate
from gradsim.telemetry.columns import Columns, Pool, grid
from gradsim.telemetry.intake import Intake, Places
from gradsim.telemetry.recording import (
    COUNT_KEYS,
    STEP_COUNTS,
    FirstNonfinite,
    Layer,
    Recording,
    Validation,
    find_nonfinite,
)

Floats = NDArray[np.float64]
T = TypeVar("T")

BLOCK = 32
"""Rows of the smallest block."""
DEFAULT_CAPACITY = 256 * 2**20
_SEGMENT_BYTES = 2 * 2**20
_VALIDATIONS = 4096
_REWINDS = 64


class Rest(NamedTuple):
    """What a recorder knows beside its recording; see :meth:`Recorder.resumed`."""

    head: int
    """Number of rows."""
    evicted: int
    """Rows before it are in blocks."""
    level: int
    """Blocks of the past are BLOCK << level rows long."""
    past: int
    """How many of them there are."""
    waiting: tuple[tuple[int, int], ...]
    """Level and index of the blocks behind them."""
    finite: tuple[NDArray[np.uint32], NDArray[np.uint32]]
    """How many rows of each block had a finite value, per layer and per step: (columns, blocks, layers or 1)."""


class Position(NamedTuple):
    """How far a reader has come; see :meth:`Recorder.since`."""

    stop: int
    """The step after the last one seen."""
    generation: int
    """How often the recorder had been rewound."""


class Room(NamedTuple):
    """Where rows are put by whoever makes them; see :meth:`Recorder.room`."""

    ring: NDArray[np.float64]
    """Shape (columns, rows, layers), a view."""
    places: Places
    """Which column is where."""

    @property
    def rows(self) -> int:
        """For how many rows there is room."""
        return int(self.ring.shape[1])


class News(NamedTuple):
    """What changed since a position: the steps [start, stop) are new, or others than before."""

    start: int
    stop: int
    position: Position


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same blocks of the two tables: values per layer, values per step (of width 1)."""

    layers: Blocks
    steps: Blocks

    def each(self, change: Callable[[Blocks], Blocks]) -> _Pair:
        return _Pair(change(self.layers), change(self.steps))

    def cut(self, start: int, stop: int) -> _Pair:
        return self.each(lambda blocks: blocks[start:stop])

    def __iter__(self) -> Iterator[Blocks]:
        return iter((self.layers, self.steps))

    def __len__(self) -> int:
        return len(self.layers)


def _merged(a: _Pair, b: _Pair) -> _Pair:
    return _Pair(a.layers.merged(b.layers), a.steps.merged(b.steps))


def _joined(pairs: Sequence[_Pair]) -> _Pair:
    return _Pair(concatenate([p.layers for p in pairs]), concatenate([p.steps for p in pairs]))


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A block that waits for its other half."""

    level: int
    index: int
    """In units of BLOCK << level rows."""
    pair: _Pair


@dataclass(frozen=True, slots=True)
class _State:
    head: int
    """Number of rows."""
    evicted: int
    """Rows before it live in the past, the others in the ring."""
    past: _Pair
    past_count: int
    level: int
    """Blocks of the past are BLOCK << level rows long."""
    waiting: tuple[_Waiting, ...]
    generation: int
    rewinds: tuple[tuple[int, int], ...]
    """(generation, row) of the last rewinds."""
    validation: Floats
    validation_count: int
    first_nonfinite: FirstNonfinite | None


class _Table:
    """Ring of one table: values (columns, rows, width) and its blocks of BLOCK rows, in segments of equal
    length.

    A segment is made when it is first reached, so that a short run stays small: an array for the whole ring
    would be backed by huge pages and take its memory, and the time to clear it, at the first step.
    """

    def __init__(self, averaged: Sequence[str], counted: Sequence[str], segments: int, length: int, width: int) -> None:
        self.averaged, self.counted = tuple(averaged), tuple(counted)
        self.index = {key: i for i, key in enumerate((*averaged, *counted))}
        self.segments, self.length, self.width = segments, length, width
        self.values: list[Floats] = []
        self.blocks: list[Blocks] = []

    def empty(self, n: int) -> Blocks:
        return Blocks.empty(n, len(self.averaged), len(self.counted), self.width)

    def reach(self, row: int) -> None:
        """Make the segment of ``row``, and those before it that a resumed run has passed."""
        while row // self.length % self.segments >= len(self.values):
            self.blocks.append(self.empty(self.length // BLOCK))
            self.values.append(np.empty((len(self.index), self.length, self.width)))

    def parts(self, start: int, stop: int, unit: int = 1) -> Iterator[tuple[int, slice]]:
        """Segment and places of the rows [start, stop), oldest first; of blocks, with BLOCK as ``unit``."""
        length = self.length // unit
        while start < stop:
            at = start % length
            n = min(stop - start, length - at)
            yield start // length % self.segments, slice(at, at + n)
            start += n

    def column(self, i: int, start: int, stop: int) -> Floats:
        """A copy of one column over the rows [start, stop): (rows, width)."""
        parts = [self.values[segment][i, where] for segment, where in self.parts(start, stop)]
        return np.concatenate(parts) if parts else np.empty((0, self.width))

    def ring_blocks(self, start: int, stop: int) -> list[Blocks]:
        """Views of the blocks of BLOCK rows number [start, stop)."""
        return [self.blocks[segment][where] for segment, where in self.parts(start, stop, BLOCK)]

    @staticmethod
    def row_bytes(averaged: int, counted: int, width: int) -> int:
        block = Blocks.bytes_each(averaged, counted, width)
        return 8 * (averaged + counted) * width + -(-block // BLOCK)


class Recorder:
    """Records a training as it goes.

    ``layers`` is the layer table (at least one row). ``capacity_bytes`` bounds the memory for all data; as
    long as a run fits, every step is kept in full. ``first_step`` is the number of the first row, ``every``
    the steps from one row to the next. ``loss`` tells whether a loss is given at all, so that a NaN loss is
    one. ``intake`` does the work on the rows. The rest describes the recording.

    Raises ValueError if the capacity does not suffice for so many layers.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        capacity_bytes: int = DEFAULT_CAPACITY,
        *,
        first_step: int = 0,
        every: int = 1,
        loss: bool = True,
        intake: Intake | None = None,
        experiment: dict[str, Any] | None = None,
        source: str = "gradsim",
        dtype: str = "float32",
        seed: int | None = None,
    ) -> None:
        if not layers:
            raise ValueError("layers: allowed are one or more; received none")
        if every < 1 or first_step < 0:
            raise ValueError(
                f"allowed are every >= 1 and first_step >= 0; received every={every}, first_step={first_step}"
            )
        self.layers = tuple(layers)
        self.first_step, self.every = first_step, every
        self.experiment, self.source, self.dtype, self.seed = experiment, source, dtype, seed
        self._loss = loss
        self._intake = Intake() if intake is None else intake
        self._sizes = q.Sizes.of(self.layers)
        self._derived = [d for d in q.definitions("layer", stored=False) if d.proportional_to is None]
        self._measured = [k for k in q.LAYER_COLUMNS if k not in COUNT_KEYS]
        averaged = [*self._measured, *(d.key for d in self._derived)]
        width = len(self.layers)
        tables = ((averaged, COUNT_KEYS, width), (q.STEP_COLUMNS, STEP_COUNTS, 1))
        row = sum(_Table.row_bytes(len(a), len(c), w) for a, c, w in tables)
        block = sum(Blocks.bytes_each(len(a), len(c), w) for a, c, w in tables)
        # Two fifths for the ring; of the rest, half, since both the old and the new array exist while
        # blocks are merged.
        rows = capacity_bytes * 2 // 5 // row // BLOCK * BLOCK
        self._past_size = capacity_bytes * 3 // 10 // block // 2 * 2
        if rows < 6 * BLOCK or self._past_size < 16:
            needed = max(6 * BLOCK * row * 5 // 2, 16 * block * 10 // 3) + block * 10
            raise ValueError(
                f"capacity_bytes: allowed for {width} layers are {needed} or more; received {capacity_bytes}"
            )
        length = max(_SEGMENT_BYTES // row // BLOCK * BLOCK, BLOCK)
        length = min(length, rows)
        segments = rows // length
        self._rows = rows = segments * length
        # A reader may take this many rows' time for its copy before it has to copy again.
        self._slack = max(BLOCK, rows // 8 // BLOCK * BLOCK)
        self._kept = rows - self._slack - BLOCK
        self._layers = _Table(averaged, COUNT_KEYS, segments, length, width)
        self._steps = _Table(q.STEP_COLUMNS, STEP_COUNTS, segments, length, 1)
        index = self._layers.index
        self._places = Places(len(self._measured), len(averaged), index["clipped_norm"], index["gradient_norm"])
        self._state = _State(
            head=0,
            evicted=0,
            past=_Pair(self._layers.empty(0), self._steps.empty(0)),
            past_count=0,
            level=0,
            waiting=(),
            generation=0,
            rewinds=(),
            validation=np.empty((_VALIDATIONS, 3)),
            validation_count=0,
            first_nonfinite=None,
        )
        self._generation = 0
        self._reserved = 0
        self._unpublished = 0
        self._counted = False

    # -- writing: one thread ---------------------------------------------------------------------

    def append(self, layers: ArrayLike, steps: ArrayLike) -> None:
        """Record k consecutive rows.

        ``layers`` (k, layers, len(LAYER_COLUMNS)) and ``steps`` (k, len(STEP_COLUMNS)) float64, columns in
        the order of :data:`gradsim.telemetry.quantities.LAYER_COLUMNS` and ``STEP_COLUMNS``, NaN where
        there is no such thing. Both are copied. ``clipped_norm`` may be left NaN where clipping is off. Any
        value is taken as it is, NaN and Inf too; only a wrong shape raises ValueError.
        """
        of_layers, of_steps = np.asarray(layers, np.float64), np.asarray(steps, np.float64)
        k = len(of_steps) if of_steps.ndim else 0
        wanted = ((k, len(self.layers), len(q.LAYER_COLUMNS)), (k, len(q.STEP_COLUMNS)))
        if (of_layers.shape, of_steps.shape) != wanted:
            raise ValueError(
                f"append: allowed are layers of shape {('k', *wanted[0][1:])} and "
                f"steps of shape {('k', *wanted[1][1:])}; received {of_layers.shape} and {of_steps.shape}"
            )
        done = 0
        while done < k:
            room = self.room(k - done)
            rows = slice(done, done + room.rows)
            with np.errstate(all="ignore"):
                counted = self._intake.take(of_layers[rows], room.ring, room.places)
            self.written(of_steps[rows], counted)
            done = rows.stop
        self.publish()

    def room(self, n: int) -> Room:
        """Where the next rows go, for whoever puts them there with :meth:`Intake.take` or as that does: at least one,
        at most ``n``. They count once :meth:`written` is called, and are seen once :meth:`publish` is, which happens
        here where much has come together."""
        if self._unpublished >= self._slack:
            self.publish()
        head = self._state.head + self._unpublished
        n = min(n, self._slack - self._unpublished, self._layers.length - head % self._layers.length)
        # Readers of what these rows overwrite are told before it happens.
        self._reserved = head + n
        for table in (self._layers, self._steps):
            table.reach(head)
        (segment, where), *_ = self._layers.parts(head, head + n)
        return Room(self._layers.values[segment][:, where], self._places)

    def written(self, steps: Floats, counted: bool) -> None:
        """Takes in rows that lie in the room that :meth:`room` gave, from its beginning.

        Args:
            steps: Shape (k, len(STEP_COLUMNS)), copied.
            counted: Whether one of them has a NaN or Inf among what is recorded of layers.
        """
        head, k = self._state.head + self._unpublished, len(steps)
        if not k:
            return
        (segment, where), *_ = self._steps.parts(head, head + k)
        figures = self._steps.values[segment][:, where, 0]
        width = len(q.STEP_COLUMNS)
        figures[:width] = steps.T
        figures[width : 2 * width] = np.isnan(figures[:width])
        figures[2 * width :] = np.isinf(figures[:width])
        self._unpublished += k
        self._counted = self._counted or counted

    def publish(self) -> None:
        """Shows readers what has been written."""
        with np.errstate(all="ignore"):
            while self._unpublished:
                head, length = self._state.head, self._layers.length
                n = min(self._unpublished, length - head % length)
                self._publish(n)
                self._unpublished -= n
        self._counted = False

    def append_step(self, layers: Mapping[str, ArrayLike], step: Mapping[str, float] | None = None) -> None:
        """Record one row from values by key, each of shape (layers,); what is not named is NaN, counts are
        0.

        Raises KeyError for a key that is not stored.
        """
        of_layers = np.full((1, len(self.layers), len(q.LAYER_COLUMNS)), np.nan)
        of_steps = np.full((1, len(q.STEP_COLUMNS)), np.nan)
        for columns, into, given in (
            (q.LAYER_COLUMNS, of_layers, layers),
            (q.STEP_COLUMNS, of_steps, step or {}),
        ):
            for key, value in given.items():
                if key not in columns:
                    raise KeyError(f"no stored quantity {key!r}; there are: {', '.join(columns)}")
                into[0, ..., columns.index(key)] = value
        self.append(of_layers, of_steps)

    def append_validation(self, step: int, loss: float, accuracy: float = float("nan")) -> None:
        """Record a validation that took place after ``step``. Of very many, every other one is given up."""
        state = self._state
        values, n = state.validation, state.validation_count
        if n == len(values):
            values = np.empty_like(values)
            values[: n // 2] = state.validation[1::2]
            n //= 2
        values[n] = step, loss, accuracy
        self._state = replace(state, validation=values, validation_count=n + 1)

    def rewind(self, step: int) -> None:
        """Forget ``step`` and everything after it: the next row appended is that of ``step``.

        Within the steps that are kept in full this is exact. A block of the past that reaches over ``step``
        is given up whole, since its numbers can no longer be told apart. Raises ValueError for a step not
        yet reached.
        """
        self.publish()
        state = self._state
        row, rest = divmod(step - self.first_step, self.every)
        if rest or not 0 <= row <= state.head:
            raise ValueError(
                f"rewind: allowed are steps from {self.first_step} to {self.stop} in strides of {self.every};"
                f" received {step}"
            )
        generation = self._generation + 1
        n = state.validation_count
        while n and state.validation[n - 1, 0] >= step:
            n -= 1
        first = state.first_nonfinite
        count = min(state.past_count, row // (BLOCK << state.level))
        waiting = state.waiting if row >= state.evicted else ()
        if row < state.evicted and count == state.past_count:
            waiting = tuple(w for w in state.waiting if (w.index + 1) * (BLOCK << w.level) <= row)
        new = replace(
            state,
            head=row,
            evicted=min(state.evicted, row),
            past_count=count,
            waiting=waiting,
            generation=generation,
            rewinds=(*state.rewinds[-_REWINDS + 1 :], (generation, row)),
            validation_count=n,
            first_nonfinite=None if first is not None and first.step >= step else first,
        )
        self._generation = generation
        self._state = new
        self._reserved = row

    def paused(self) -> tuple[Recording, Rest]:
        """Everything recorded, and what :meth:`resumed` needs beside it; only the writer may ask."""
        self.publish()
        state = self._state
        parts = _past_parts(state, 0, state.head)
        finite = [np.concatenate([blocks.finite for blocks in tables], axis=1) for tables in zip(*parts, strict=True)]
        if not finite:
            finite = [table.empty(0).finite for table in (self._layers, self._steps)]
        waiting = tuple((one.level, one.index) for one in state.waiting)
        rest = Rest(state.head, state.evicted, state.level, state.past_count, waiting, (finite[0], finite[1]))
        return self.recording(), rest

    @classmethod
    def resumed(
        cls,
        recording: Recording,
        rest: Rest,
        capacity_bytes: int = DEFAULT_CAPACITY,
        intake: Intake | None = None,
    ) -> Recorder:
        """A recorder that goes on where one was paused: with the same rows it will hold the same numbers, given the
        same memory.

        Raises ValueError if the two do not belong together.
        """
        steps = recording.steps
        coarse, full = recording.coarse_rows, len(steps) - recording.coarse_rows
        first = 0 if not len(steps) else int(steps[0])
        made = cls(
            recording.layers,
            capacity_bytes,
            first_step=first,
            every=recording.every,
            intake=intake,
            experiment=recording.experiment,
            source=recording.source,
            dtype=recording.dtype,
            seed=recording.seed,
        )
        made._resume(recording, rest, coarse, full)
        return made

    def _resume(self, recording: Recording, rest: Rest, coarse: int, full: int) -> None:
        begin = (recording.steps - self.first_step) // self.every
        levels = [rest.level] * rest.past + [level for level, _ in rest.waiting]
        shapes = [(len(table.averaged), coarse, table.width) for table in (self._layers, self._steps)]
        rows = recording.strides // self.every
        good = (
            0 <= rest.evicted <= rest.head == rest.evicted + full
            and len(levels) == coarse
            and 0 <= rest.level < 48
            and rest.past < 2**40
            and [finite.shape for finite in rest.finite] == shapes
            and bool(np.all(begin[coarse:] == rest.evicted + np.arange(full)))
            and all(n <= BLOCK << level for n, level in zip(rows[:coarse].tolist(), levels, strict=True))
            and all(0 <= level < rest.level and index >= 0 for level, index in rest.waiting)
            and all(a[0] > b[0] for a, b in itertools.pairwise(rest.waiting))
        )
        if not good:
            raise ValueError("rest: allowed is that of this recording; received another")
        pair = _Pair(*(self._blocks(table, recording, rest, i) for i, table in enumerate((self._layers, self._steps))))
        state = replace(
            self._state, head=rest.evicted, evicted=rest.evicted, level=rest.level,
            first_nonfinite=recording.first_nonfinite,
        )  # fmt: skip
        past = _Past(state, self)
        past.push(rest.level, 0, pair.cut(0, rest.past))
        past.waiting += [
            _Waiting(level, index, pair.cut(rest.past + i, rest.past + i + 1))
            for i, (level, index) in enumerate(rest.waiting)
        ]
        self._reserved = rest.evicted
        self._state = replace(
            state, past=past.pair, past_count=past.count, level=past.level, waiting=tuple(past.waiting)
        )
        for start in range(coarse, coarse + full, 1024):
            part = slice(start, min(start + 1024, coarse + full))
            self.append(
                np.stack([recording[key][part] for key in q.LAYER_COLUMNS], axis=-1),
                np.stack([recording[key][part] for key in q.STEP_COLUMNS], axis=-1),
            )
        for step, loss, accuracy in zip(*recording.validation, strict=True):
            self.append_validation(int(step), float(loss), float(accuracy))

    @staticmethod
    def _blocks(table: _Table, recording: Recording, rest: Rest, number: int) -> Blocks:
        coarse, every = recording.coarse_rows, recording.every
        made = table.empty(coarse)
        shape = (coarse, table.width)
        first = int(recording.steps[0]) if len(recording) else 0
        made.start[:] = (recording.steps[:coarse] - first) // every
        made.rows[:] = recording.strides[:coarse] // every
        for key, i in table.index.items():
            values = recording[key][:coarse].reshape(shape)
            if i < len(table.averaged):
                made.mean[i] = values
                made.minimum[i] = recording.minimum(key)[:coarse].reshape(shape)
                made.maximum[i] = recording.maximum(key)[:coarse].reshape(shape)
            else:
                made.counts[i - len(table.averaged)] = values
        made.finite[:] = rest.finite[number]
        return made

    def set_layers(self, layers: Sequence[Layer]) -> None:
        """Exchange the layer table by one of the same sizes, as when a layer is frozen or unfrozen on the
        way.

        Raises ValueError if sizes differ.
        """
        new = tuple(layers)
        sizes = [(layer.weight_size, layer.units) for layer in self.layers]
        if [(layer.weight_size, layer.units) for layer in new] != sizes:
            raise ValueError(f"layers: allowed are the same sizes as before, {sizes}; received others")
        self.layers = new

    def _publish(self, n: int) -> None:
        """Rows that lie in one segment of the ring."""
        state = self._state
        head = state.head
        (segment, where), *_ = self._layers.parts(head, head + n)
        ring, steps = self._layers.values[segment][:, where], self._steps.values[segment][:, where]
        index = self._layers.index
        known: dict[str, Floats] = {key: ring[index[key]] for key in q.LAYER_COLUMNS}
        known |= {key: steps[i] for i, key in enumerate(q.STEP_COLUMNS)}
        for derived in self._derived:
            assert derived.formula is not None
            ring[index[derived.key]] = derived.formula(known, self._sizes)

        first = state.first_nonfinite
        if first is None:
            loss = steps[q.STEP_COLUMNS.index("loss"), :, 0] if self._loss else np.zeros(n)
            if self._counted or not np.isfinite(loss).all():
                counts = ring[self._places.counts :]
                found = find_nonfinite(np.moveaxis(counts, 0, -1), loss)
                if found is not None:
                    first = found[1]._replace(step=self.first_step + self.every * (head + found[0]))
        self._complete_blocks(head, head + n, state.evicted)
        new = replace(state, head=head + n, first_nonfinite=first)
        surplus = (new.head - state.evicted - self._kept) // BLOCK
        self._state = self._evict(new, surplus) if surplus > 0 else new

    def _complete_blocks(self, old: int, head: int, evicted: int) -> None:
        """Summarise the blocks that became complete between two heads in one segment."""
        first, last = old // BLOCK, head // BLOCK
        if first < last and first * BLOCK < evicted:
            # After a rewind into the past the ring begins in the middle of a block.
            self._summarise(evicted, 1, (first + 1) * BLOCK - evicted)
            first += 1
        if first < last:
            self._summarise(first * BLOCK, last - first, BLOCK)

    def _summarise(self, row: int, n: int, rows: int) -> None:
        for table in (self._layers, self._steps):
            (segment, where), *_ = table.parts(row, row + n * rows)
            values = table.values[segment][:, where]
            values = values.reshape(len(values), n, rows, values.shape[2])
            at = where.start // BLOCK
            blocks = table.blocks[segment][at : at + n]
            blocks.start[:] = row + rows * np.arange(n, dtype=np.int64)
            blocks.rows[:] = rows
            self._intake.summarise(values, blocks)

    def _evict(self, state: _State, n: int) -> _State:
        """Move ``n`` complete blocks from the ring into the past."""
        past = _Past(state, self)
        block = state.evicted // BLOCK
        last = block + n
        tables = (self._layers, self._steps)
        for layers, steps in zip(*(table.ring_blocks(block, last) for table in tables), strict=True):
            past.push(0, block, _Pair(layers, steps))
            block += len(layers)
        return replace(
            state,
            evicted=last * BLOCK,
            past=past.pair,
            past_count=past.count,
            level=past.level,
            waiting=tuple(past.waiting),
        )

    # -- reading: any thread ---------------------------------------------------------------------

    @property
    def stop(self) -> int:
        """The step after the last recorded one."""
        return self.first_step + self.every * self._state.head

    @property
    def full_from(self) -> int:
        """From this step on every step is kept in full."""
        return self.first_step + self.every * self._state.evicted

    @property
    def first_nonfinite(self) -> FirstNonfinite | None:
        """Where a number first was not finite, or None."""
        return self._state.first_nonfinite

    @property
    def validation(self) -> Validation:
        """The validations so far."""
        state = self._state
        values = state.validation[: state.validation_count]
        return Validation(values[:, 0].astype(np.int64), values[:, 1].copy(), values[:, 2].copy())

    @property
    def nbytes(self) -> int:
        """Memory of all data; while blocks are merged, another array of the past exists."""
        state = self._state
        blocks = [state.past.layers, state.past.steps, *self._layers.blocks, *self._steps.blocks]
        blocks += [part for w in state.waiting for part in w.pair]
        total = state.validation.nbytes + sum(v.nbytes for v in (*self._layers.values, *self._steps.values))
        for each in blocks:
            total += sum(
                array.nbytes
                for array in (
                    each.start,
                    each.rows,
                    each.minimum,
                    each.maximum,
                    each.mean,
                    each.finite,
                    each.counts,
                )
            )
        return total

    def since(self, position: Position | None = None) -> News:
        """Which steps a reader who had seen everything up to ``position`` has to read (None: has seen
        nothing).

        After a rewind they begin where it went back to.
        """
        state = self._state
        start = 0 if position is None else (position.stop - self.first_step) // self.every
        if position is not None and position.generation != state.generation:
            missed = [row for generation, row in state.rewinds if generation > position.generation]
            complete = len(missed) == state.generation - position.generation
            start = min(start, *missed) if complete else 0
        stop = self.first_step + self.every * state.head
        return News(self.first_step + self.every * start, stop, Position(stop, state.generation))

    def columns(
        self,
        key: str,
        start: int | None = None,
        stop: int | None = None,
        width: int = 2**62,
        stride: int | None = None,
        until: int | None = None,
    ) -> Columns:
        """Largest and smallest value of ``key`` in at most ``width`` columns over the steps [start, stop).

        The columns are those of :func:`gradsim.telemetry.columns.grid`: they begin at whole multiples of
        their stride, so a view that keeps its stride asks for ``columns(key, news.start, news.stop,
        stride=view.stride)`` and replaces only the columns from ``result.start`` on. Of a count, values are
        those of a step, or the sum of a block. ``until`` leaves out that step and later ones, as if the run had
        come no further. Steps that a view had pooled in full and that have since
        become coarse need not be read again.

        Raises KeyError for an unknown quantity, ValueError as ``grid`` does.
        """
        definition = q.quantity(key)
        base = definition.proportional_to or key
        flat = definition.scope == "step"
        table = self._steps if flat else self._layers
        names = ((f"{key}_nan",), (f"{key}_inf",)) if flat else (definition.nan_columns, definition.inf_columns)
        column = table.index[base]
        marks = [[table.index[name] for name in group] for group in names]
        origin, every = self.first_step, self.every
        averaged = len(table.averaged)

        def scaled(values: Floats) -> Floats:
            if definition.proportional_to is None or definition.formula is None:
                return values
            return definition.formula({base: values}, self._sizes)

        def found(counts: Callable[[int], Floats]) -> list[NDArray[np.bool_] | None]:
            return [np.logical_or.reduce([counts(i) > 0 for i in group]) if group else None for group in marks]

        def extremes(blocks: Blocks) -> tuple[Floats, Floats]:
            if column >= averaged:
                counts = blocks.counts[column - averaged]
                return counts, counts
            return scaled(blocks.maximum[column]), scaled(blocks.minimum[column])

        def read(state: _State, floor: int) -> tuple[Columns, int]:
            head = state.head if until is None else min(state.head, (until - origin) // every)
            end = origin + every * head if stop is None else stop
            first, used, n = grid(
                origin if start is None else start, end, width, origin=origin, every=every, stride=stride
            )
            pool = Pool(first, used, n, 1 if flat else len(self.layers))
            a = (first - origin) // every
            b = min(head, a + n * used // every)
            for pair in _past_parts(state, a, b):
                blocks = pair.steps if flat else pair.layers
                high, low = extremes(blocks)
                marked = found(lambda i, blocks=blocks: blocks.counts[i - averaged])  # type: ignore[misc]
                pool.add(origin + every * blocks.start, every * blocks.rows, high, low, *marked)
            lowest = max(a, floor)

            def rows(lo: int, hi: int) -> None:
                if lo < hi:
                    values = scaled(table.column(column, lo, hi))
                    marked = found(lambda i: table.column(i, lo, hi))
                    pool.add_even(origin + every * lo, every, values, values, *marked)

            # Whole blocks of the ring spare most of the work where a column is longer than they are.
            whole, last = -(-lowest // BLOCK), b // BLOCK
            if (used // every) % BLOCK == 0 and whole < last:
                rows(lowest, whole * BLOCK)
                parts = table.ring_blocks(whole, last)
                highs, lows = zip(*(extremes(part) for part in parts), strict=True)
                marked = found(lambda i: np.concatenate([part.counts[i - averaged] for part in parts]))
                begin = origin + every * BLOCK * whole
                pool.add_even(begin, every * BLOCK, np.concatenate(highs), np.concatenate(lows), *marked)
                rows(last * BLOCK, b)
            else:
                rows(lowest, b)
            return pool.columns(key, flat=flat), lowest

        return self._consistent(read)

    def recording(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        initial_weights: Sequence[NDArray[Any]] | None = None,
        final_weights: Sequence[NDArray[Any]] | None = None,
    ) -> Recording:
        """A copy of everything, or of the rows that reach into the steps [start, stop). Can be taken at any
        moment."""

        def read(state: _State, floor: int) -> tuple[Recording, int]:
            a = 0 if start is None else max((start - self.first_step) // self.every, 0)
            b = state.head if stop is None else min(-((self.first_step - stop) // self.every), state.head)
            parts = list(_past_parts(state, a, b))
            past = _joined(parts) if parts else None
            lowest = max(a, floor)
            n = max(b - lowest, 0)
            full = lowest + np.arange(n, dtype=np.int64)
            begin = np.concatenate([past.steps.start, full]) if past else full
            span = np.concatenate([past.steps.rows, np.ones(n, np.int64)]) if past else np.ones(n, np.int64)
            mean: dict[str, Floats] = {}
            low: dict[str, Floats] = {}
            high: dict[str, Floats] = {}
            for table, flat in ((self._layers, False), (self._steps, True)):
                blocks = table.empty(0) if past is None else past.steps if flat else past.layers
                rows = np.empty((len(table.index), n, table.width))
                at = 0
                for segment, where in table.parts(lowest, lowest + n):
                    span_of = where.stop - where.start
                    rows[:, at : at + span_of] = table.values[segment][:, where]
                    at += span_of
                if flat:
                    rows = rows[..., 0]
                for key, i in table.index.items():
                    j = i - len(table.averaged)
                    old = blocks.mean[i] if j < 0 else blocks.counts[j]
                    shape = old.shape[:1] if flat else old.shape
                    mean[key] = np.concatenate([old.reshape(shape), rows[i]]) if len(old) else rows[i]
                    if j < 0:
                        low[key] = blocks.minimum[i].reshape(shape)
                        high[key] = blocks.maximum[i].reshape(shape)
            first = state.first_nonfinite
            valid = state.validation[: state.validation_count].copy()
            steps = self.first_step + self.every * begin
            if start is not None or stop is not None:
                reach = (valid[:, 0] >= (start or 0)) & (valid[:, 0] < (stop if stop is not None else np.inf))
                valid = valid[reach]
                if first is not None and not (len(steps) and steps[0] <= first.step < self.first_step + self.every * b):
                    first = None
            recording = Recording(
                self.layers,
                steps,
                self.every * span,
                mean,
                low,
                high,
                every=self.every,
                validation=valid,
                experiment=self.experiment,
                source=self.source,
                dtype=self.dtype,
                seed=self.seed,
                first_nonfinite=first,
                initial_weights=initial_weights,
                final_weights=final_weights,
            )
            return recording, lowest

        return self._consistent(read)

    def snapshot(self) -> Recording:
        """Everything so far: the same as :meth:`recording`."""
        return self.recording()

    def at(self, step: int) -> Recording:
        """The one row that stands for ``step``, as a recording: ``at(step)["delta_rms"][0]`` has the shape
        (layers,).

        Raises IndexError for a step that is not recorded.
        """
        if self.first_step <= step < self.stop:
            found = self.recording(step, step + 1)
            if len(found):
                return found
        raise IndexError(f"step: allowed {self.first_step} to {self.stop - 1}; received {step}")

    def _consistent(self, read: Callable[[_State, int], tuple[T, int]]) -> T:
        """What ``read(state, floor)`` makes of a state, once nothing that it read was overwritten
        meanwhile.

        ``read`` returns its result and the first row of the ring that it used; it must not go below
        ``floor``. A reader that is overtaken again and again gives up ever more of the oldest rows, so that
        it comes to an end.
        """
        attempt = 0
        while True:
            state = self._state
            floor = state.evicted
            if attempt:
                reached = self._reserved - self._rows + attempt * self._slack // 2
                floor = min(max(floor, reached), state.head)
            result, lowest = read(state, floor)
            safe = lowest >= state.head or self._reserved - self._rows <= lowest
            if self._generation == state.generation and safe:
                return result
            attempt += self._generation == state.generation


class _Past:
    """The writer's hand on the past: takes blocks in order and merges them up to the length in use."""

    def __init__(self, state: _State, recorder: Recorder) -> None:
        self.pair, self.count, self.level = state.past, state.past_count, state.level
        self.waiting = list(state.waiting)
        self.recorder = recorder

    def push(self, level: int, index: int, pair: _Pair) -> None:
        """Take consecutive blocks of BLOCK << level rows, the first of which is number ``index`` of its
        length."""
        while len(pair) and level == self.level:
            take = min(len(pair), self.recorder._past_size - self.count)
            self._reach(self.count + take)
            for into, blocks in zip(self.pair, pair.cut(0, take), strict=True):
                into.put(self.count, blocks)
            self.count += take
            index += take
            pair = pair.cut(take, len(pair))
            if self.count == self.recorder._past_size:
                self._double()
        if not len(pair):
            return
        parts = []
        after = (index + 1) // 2
        if index % 2:
            # The first half waits here, unless a rewind has taken it away.
            first, pair = pair.cut(0, 1), pair.cut(1, len(pair))
            last = self.waiting[-1] if self.waiting else None
            if last is not None and (last.level, last.index) == (level, index - 1):
                first = _merged(self.waiting.pop().pair, first)
            parts.append(first)
            after = index // 2
            index += 1
        even = len(pair) // 2 * 2
        if even:
            parts.append(pair.cut(0, even).each(Blocks.pairs))
        if parts:
            self.push(level + 1, after, _joined(parts))
        if even < len(pair):
            # Copied, since it may lie in the ring.
            self.waiting.append(_Waiting(level, index + even, pair.cut(even, even + 1).each(Blocks.copy)))

    def _reach(self, count: int) -> None:
        """Make room for ``count`` blocks; readers keep the old array."""
        room = len(self.pair)
        if count > room:
            size = min(max(count, 2 * room, 64), self.recorder._past_size)
            new = _Pair(*(table.empty(size) for table in (self.recorder._layers, self.recorder._steps)))
            for into, blocks in zip(new, self.pair.cut(0, self.count), strict=True):
                into.put(0, blocks)
            self.pair = new

    def _double(self) -> None:
        tables = (self.recorder._layers, self.recorder._steps)
        new = _Pair(*(table.empty(self.recorder._past_size) for table in tables))
        # In small runs, so that no third array of the past is needed.
        for at in range(0, self.count, 64):
            for into, blocks in zip(new, self.pair.cut(at, min(at + 64, self.count)), strict=True):
                into.put(at // 2, blocks.pairs())
        self.pair, self.count, self.level = new, self.count // 2, self.level + 1


def _past_parts(state: _State, start: int, stop: int) -> list[_Pair]:
    """The blocks of the past that reach into the rows [start, stop), in order of time."""
    parts = []
    each = BLOCK << state.level
    a, b = max(start // each, 0), min(-(-stop // each), state.past_count)
    if a < b:
        parts.append(state.past.cut(a, b))
    for waiting in state.waiting:
        length = BLOCK << waiting.level
        if waiting.index * length < stop and start < (waiting.index + 1) * length:
            parts.append(waiting.pair)
    return parts

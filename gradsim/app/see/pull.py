"""What a picture has read from a recorder: pooled columns in a ring, brought up to date once a frame.

Every block of columns is written twice, ``capacity`` apart, so that any window of up to ``capacity`` columns is one
contiguous slice and the painter needs neither a copy nor a second piece.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradsim.telemetry.classes import LEVELS, MIDDLE, Special, classify
from gradsim.telemetry.columns import Columns
from gradsim.telemetry.quantities import Quantity, Thresholds, quantity
from gradsim.telemetry.recorder import Position, Recorder

Classes = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Field:
    dtype: Any
    empty: Any
    merge: Callable[[Any, Any], Any]
    """Of the two halves of a column that is twice as long."""


class Pull(ABC):
    """Columns of one quantity over the steps that a picture shows.

    Args:
        recorder: Where they come from.
        key: Of the quantity.
        width: Entries of a column: layers, or 1.
        capacity: Columns that are kept; at least those of one window.
    """

    fields: Sequence[_Field]

    def __init__(self, recorder: Recorder, key: str, width: int, capacity: int) -> None:
        self.recorder, self.key, self.width, self.capacity = recorder, key, width, capacity
        self.stride = recorder.every
        self.first = 0
        """Number of the first column kept; column ``k`` begins ``k * stride`` steps after the first step."""
        self.arrays: list[NDArray[Any]] = [np.full((width, 2 * capacity), f.empty, f.dtype) for f in self.fields]
        self._read_to = recorder.first_step
        self._position: Position | None = None
        self.recorded_columns = 0
        """Columns, counted from column 0, up to the last one that holds something."""
        self.changed: int | None = None
        """The first column that looks otherwise since the last :meth:`cover`; None if none does."""

    @abstractmethod
    def _convert(self, columns: Columns) -> Sequence[NDArray[Any]]:
        """The arrays of some columns, shape ``(width, columns)`` each."""

    def cover(self, start: float, stop: float, pixels: int) -> bool:
        """Reads what is missing of the steps [start, stop), in at most ``pixels`` columns; tells whether anything came.

        The stride is a power of two times the recorder's, so that the content of a column does not depend on where
        the window lies.
        """
        recorder, every = self.recorder, self.recorder.every
        origin = recorder.first_step
        stride = every
        while (stop - start) / stride > pixels:
            stride *= 2
        k0 = max(0, int((start - origin) // stride))
        k1 = max(k0 + 1, int(-((origin - stop) // stride)))
        k1 = min(k1, k0 + self.capacity)
        changed = False
        self.changed = None
        while stride > self.stride and self.first == 0 and self._read_to > origin:
            self._halve()
            self.changed = 0
            changed = True
        if stride != self.stride or k0 < self.first or k0 > self._columns_to(self._read_to):
            # Room on both sides, so that a drag does not read anew with every frame.
            self._restart(stride, max(0, k0 - (self.capacity - (k1 - k0)) // 2))
            self.changed = self.first
            changed = True
        elif k1 > self.first + self.capacity:
            self._slide(max(min(k1 + self.capacity // 8 - self.capacity, k0), self.first))
            changed = True
        return self._read() or changed

    def window(self, start: float, stop: float) -> tuple[int, slice]:
        """Number of the first column over the steps [start, stop), and where these columns lie in :attr:`arrays`."""
        k0, where = self.room(start, stop)
        recorded = max(0, self.recorded_columns - k0)
        return k0, slice(where.start, min(where.stop, where.start + recorded))

    def room(self, start: float, stop: float) -> tuple[int, slice]:
        """The same with the columns that hold nothing yet: as long as the range stays, so do they."""
        origin = self.recorder.first_step
        k0 = max(self.first, int((start - origin) // self.stride))
        k1 = max(k0, min(self.first + self.capacity, int(-((origin - stop) // self.stride))))
        at = k0 % self.capacity
        return k0, slice(at, at + k1 - k0)

    def _columns_to(self, step: int) -> int:
        return -((self.recorder.first_step - step) // self.stride)

    def _restart(self, stride: int, first: int) -> None:
        self.stride, self.first = stride, first
        for array, field in zip(self.arrays, self.fields, strict=True):
            array[:] = field.empty
        self._read_to = self.recorder.first_step + first * stride
        self._position = None
        self.recorded_columns = 0

    def _slide(self, first: int) -> None:
        gone = first - self.first
        if gone >= self.capacity or self._columns_to(self._read_to) < first:
            self._restart(self.stride, first)
            return
        self._clear(self.first + self.capacity, gone)
        self.first = first

    def _clear(self, column: int, count: int) -> None:
        for array, field in zip(self.arrays, self.fields, strict=True):
            self._put(array, column, np.full((self.width, count), field.empty, field.dtype))

    def _halve(self) -> None:
        for array, field in zip(self.arrays, self.fields, strict=True):
            whole = array[:, : self.capacity]
            merged = field.merge(whole[:, ::2], whole[:, 1::2])
            array[:] = field.empty
            self._put(array, 0, merged)
        self.stride *= 2
        self.recorded_columns = -(-self.recorded_columns // 2)

    def _put(self, array: NDArray[Any], column: int, values: NDArray[Any]) -> None:
        count, capacity = values.shape[1], self.capacity
        at = column % capacity
        ahead = min(count, capacity - at)
        array[:, at : at + ahead] = values[:, :ahead]
        array[:, at + capacity : at + capacity + ahead] = values[:, :ahead]
        if ahead < count:
            array[:, : count - ahead] = values[:, ahead:]
            array[:, capacity : capacity + count - ahead] = values[:, ahead:]

    def _note(self, column: int) -> None:
        self.changed = column if self.changed is None else min(self.changed, column)

    def _holds(self, column: int, looks: NDArray[Any]) -> bool:
        """Whether these columns look as they do already; False where nobody knows."""
        return False

    def _read(self) -> bool:
        recorder, origin = self.recorder, self.recorder.first_step
        news = recorder.since(self._position)
        kept = origin + self.first * self.stride, origin + (self.first + self.capacity) * self.stride
        changed = False
        if self._position is not None and news.start < min(self._read_to, self._position.stop):
            # The run went back: what was read of the steps after is no longer so.
            column = max((news.start - origin) // self.stride, self.first)
            if column < self.first + self.capacity:
                self._clear(column, self.first + self.capacity - column)
                self._note(column)
                self.recorded_columns = min(self.recorded_columns, column)
                self._read_to = max(kept[0], min(self._read_to, news.start))
                changed = True
        self._position = news.position
        start, stop = max(self._read_to, kept[0]), min(news.stop, kept[1])
        if start < stop:
            columns = recorder.columns(self.key, start, stop, stride=self.stride)
            if len(columns):
                column = (columns.start - origin) // self.stride
                converted = self._convert(columns)
                if column + len(columns) > self.recorded_columns or not self._holds(column, converted[0]):
                    self._note(column)
                    for array, values in zip(self.arrays, converted, strict=True):
                        self._put(array, column, values)
                self.recorded_columns = max(self.recorded_columns, column + len(columns))
            self._read_to = stop
            changed = True
        return changed


def ranking(definition: Quantity) -> tuple[Classes, Classes]:
    """Order of the classes by which a longer column shows one of them, and its inverse.

    Non-finite wins; then the value furthest from the neutral one where the sign counts, the largest elsewhere.
    """
    levels: list[int] = list(range(LEVELS))
    if definition.scale == "linear" and definition.colours == "diverging":
        levels.sort(key=lambda level: (abs(level - MIDDLE), level))
    below = [Special.EMPTY, Special.NONE, Special.FROZEN, Special.ZERO, Special.SUBNORMAL]
    order = np.array([*below, *levels, Special.INFINITE, Special.NAN], np.uint8)
    ranks = np.empty(256, np.uint8)
    ranks[order] = np.arange(256, dtype=np.uint8)
    return ranks, order


class LayerPull(Pull):
    """Colour classes of a quantity, a row per layer, and the colours themselves.

    Args:
        colours: RGB32 of each class, uint32 of shape (256,).
        upwards: The rows stand in reverse order, so that a picture of several with the last one on top is one piece.
    """

    def __init__(
        self,
        recorder: Recorder,
        key: str,
        thresholds: Thresholds,
        colours: NDArray[np.uint32],
        *,
        upwards: bool = False,
        capacity: int = 2048,
    ) -> None:
        self.definition, self.thresholds = quantity(key), thresholds
        self.ranks, self.order = ranking(self.definition)
        self.colours, self.upwards = colours, upwards
        self._frozen = np.array([layer.frozen for layer in recorder.layers])
        self.fields = (
            _Field(np.uint8, Special.EMPTY, self.worst),
            _Field(np.uint32, colours[Special.EMPTY], lambda a, b: a),
        )
        super().__init__(recorder, key, len(recorder.layers), capacity)

    @property
    def classes(self) -> Classes:
        """Shape ``(layers, 2 * capacity)``."""
        return self.arrays[0]

    @property
    def pixels(self) -> NDArray[np.uint32]:
        """RGB32, shape ``(layers, 2 * capacity)``."""
        return self.arrays[1]

    def worst(self, a: Classes, b: Classes) -> Classes:
        """The class that a place shows in which both lie."""
        return self.order[np.maximum(self.ranks[a], self.ranks[b])]

    def _holds(self, column: int, looks: NDArray[Any]) -> bool:
        # The newest column grows for some steps; it seldom looks otherwise for it.
        at = column % self.capacity
        return looks.shape[1] == 1 and np.array_equal(self.classes[:, at], looks[:, 0])

    def classify(self, columns: Columns) -> Classes:
        """Colour classes of some columns, shape ``(columns, layers)``."""
        return classify(
            self.definition,
            extreme(self.definition, columns, self.thresholds),
            nan=columns.nan,
            inf=columns.inf,
            frozen=self._frozen,
            recorded=columns.recorded[:, None],
            thresholds=self.thresholds,
        )

    def _convert(self, columns: Columns) -> Sequence[NDArray[Any]]:
        classes = self.classify(columns).T
        if self.upwards:
            classes = classes[::-1]
        return classes, self.colours[classes]

    def _halve(self) -> None:
        super()._halve()
        np.take(self.colours, self.classes, out=self.pixels)


class StepPull(Pull):
    """Smallest and largest value of a quantity of the step, and where it was not finite.

    Args:
        parts: Quantity of the layers that it is made of: where one of them is not finite, it has no value either.
    """

    fields = (
        _Field(np.float64, np.nan, np.fmax),
        _Field(np.float64, np.nan, np.fmin),
        _Field(np.bool_, False, np.logical_or),
    )

    def __init__(self, recorder: Recorder, key: str, *, parts: str | None = None, capacity: int = 2048) -> None:
        self.parts = parts
        super().__init__(recorder, key, 1, capacity)

    @property
    def maximum(self) -> Floats:
        """Shape ``(2 * capacity,)``; infinite where only that was seen."""
        return self.arrays[0][0]

    @property
    def minimum(self) -> Floats:
        """Shape ``(2 * capacity,)``."""
        return self.arrays[1][0]

    @property
    def nonfinite(self) -> NDArray[np.bool_]:
        """Shape ``(2 * capacity,)``: NaN or Inf occurred."""
        return self.arrays[2][0]

    def _convert(self, columns: Columns) -> Sequence[NDArray[Any]]:
        lost = columns.nan | columns.inf
        if self.parts is not None:
            stop = min(columns.stop, self.recorder.stop)
            found = self.recorder.columns(self.parts, columns.start, stop, stride=columns.stride)
            # The run may have gone on, or back, between the two.
            n = min(len(found), len(lost))
            lost[:n] |= (found.nan | found.inf)[:n].any(axis=1)
        return columns.maximum[None], columns.minimum[None], lost[None]


def extreme(definition: Quantity, columns: Columns, thresholds: Thresholds | None = None) -> Floats:
    """The value that stands for each column: the largest; where the sign or a fall counts, the least usual one."""
    if definition.scale == "log":
        return columns.maximum
    neutral = (thresholds or definition.thresholds).neutral
    below = np.abs(columns.minimum - neutral) > np.abs(columns.maximum - neutral)
    return np.where(below, columns.minimum, columns.maximum)


def value_of(recorder: Recorder, key: str, step: int) -> float | str:
    """A quantity of the step at a recorded step; "NaN" or "Inf" where it is that."""
    keys = [key, "gradient_norm"] if key == "global_gradient_norm" else [key]
    found = [recorder.columns(each, step, step + 1, stride=recorder.every) for each in keys]
    if any(columns.nan.any() for columns in found):
        return "NaN"
    if any(columns.inf.any() for columns in found):
        return "Inf"
    return float(found[0].maximum[0])

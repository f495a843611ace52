"""Steps pooled into the columns of a picture: the largest and the smallest value of each column, never an
average.

An explosion can be one step long; in a picture of a million steps it still has to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Columns:
    """Pooled values of one quantity: column ``c`` stands for the steps [start + c*stride, start +
    (c+1)*stride).

    Arrays have the shape (columns, layers), or (columns,) for a quantity of a step.
    """

    key: str
    start: int
    stride: int
    maximum: Floats
    """NaN where there is no value; an infinite value stays."""
    minimum: Floats
    nan: Bools
    """Whether NaN occurred in the array which the value is a statistic of."""
    inf: Bools
    recorded: Bools
    """(columns,) False where no step is recorded."""
    full: Bools
    """(columns,) False where the steps survive only as part of a longer block, which the column shows
    instead."""

    def __len__(self) -> int:
        return len(self.recorded)

    @property
    def stop(self) -> int:
        """The step after the last column."""
        return self.start + len(self) * self.stride

    @property
    def steps(self) -> NDArray[np.int64]:
        """(columns,) first step of each column."""
        return self.start + self.stride * np.arange(len(self), dtype=np.int64)


def grid(
    start: int, stop: int, width: int, *, origin: int, every: int, stride: int | None = None
) -> tuple[int, int, int]:
    """Start, stride and number of the columns that cover the steps [start, stop).

    The stride is the smallest power of two times ``every`` with at most ``width`` columns, and columns
    start at whole multiples of it after ``origin``: moving the range, or recording on, never changes what a
    column holds. A given ``stride`` is used as it is.

    Raises ValueError for an empty width or a stride that is no multiple of ``every``.
    """
    if width < 1:
        raise ValueError(f"width: allowed is 1 or more columns; received {width}")
    if stride is not None and (stride < 1 or stride % every):
        raise ValueError(f"stride: allowed are multiples of {every} steps; received {stride}")
    start = max(start, origin)
    stop = max(stop, start)
    used = every if stride is None else stride
    while True:
        first = origin + (start - origin) // used * used
        n = -((first - stop) // used) if stop > start else 0
        if n <= width or stride is not None:
            return first, used, n
        used *= 2


class Pool:
    """Collects values of known spans of steps into columns. Parts may come in any order."""

    def __init__(self, start: int, stride: int, n: int, layers: int) -> None:
        self.start, self.stride, self.n = start, stride, n
        self.maximum = np.full((n, layers), np.nan)
        self.minimum = np.full((n, layers), np.nan)
        self.nan = np.zeros((n, layers), np.bool_)
        self.inf = np.zeros((n, layers), np.bool_)
        self.recorded = np.zeros(n, np.bool_)
        self.full = np.ones(n, np.bool_)

    def add(
        self,
        first: NDArray[np.int64],
        span: NDArray[np.int64],
        maximum: Floats,
        minimum: Floats,
        nan: Bools | None = None,
        inf: Bools | None = None,
    ) -> None:
        """Add blocks in order of time: ``first`` step and ``span`` in steps of shape (blocks,), values
        (blocks, layers).

        A block longer than a column is shown in every column that it reaches.
        """
        head = np.maximum((first - self.start) // self.stride, 0)
        tail = np.minimum((first + span - 1 - self.start) // self.stride, self.n - 1)
        repeats = np.maximum(tail - head + 1, 0)
        which = np.repeat(np.arange(len(first)), repeats)
        if not len(which):
            return
        ahead = np.cumsum(repeats) - repeats
        column = head[which] + np.arange(len(which)) - ahead[which]
        groups = np.flatnonzero(np.diff(column, prepend=-1))
        into = column[groups]
        self.recorded[into] = True
        self.full[column[span[which] > self.stride]] = False
        if len(which) != len(first) or np.any(repeats != 1):
            maximum, minimum = maximum[which], minimum[which]
            nan = None if nan is None else nan[which]
            inf = None if inf is None else inf[which]
        if len(groups) != len(which):
            maximum = np.fmax.reduceat(maximum, groups, axis=0)
            minimum = np.fmin.reduceat(minimum, groups, axis=0)
            nan = None if nan is None else np.logical_or.reduceat(nan, groups, axis=0)
            inf = None if inf is None else np.logical_or.reduceat(inf, groups, axis=0)
        self.maximum[into] = np.fmax(self.maximum[into], maximum)
        self.minimum[into] = np.fmin(self.minimum[into], minimum)
        if nan is not None:
            self.nan[into] |= nan
        if inf is not None:
            self.inf[into] |= inf

    def _add_to(
        self, column: int, maximum: Floats, minimum: Floats, nan: Bools | None = None, inf: Bools | None = None
    ) -> None:
        """Add blocks that lie in one column; arrays as in :meth:`add`."""
        self.recorded[column] = True
        np.fmax(self.maximum[column], np.fmax.reduce(maximum, axis=0), out=self.maximum[column])
        np.fmin(self.minimum[column], np.fmin.reduce(minimum, axis=0), out=self.minimum[column])
        if nan is not None:
            self.nan[column] |= np.logical_or.reduce(nan, axis=0)
        if inf is not None:
            self.inf[column] |= np.logical_or.reduce(inf, axis=0)

    def add_even(
        self,
        first: int,
        span: int,
        maximum: Floats,
        minimum: Floats,
        nan: Bools | None = None,
        inf: Bools | None = None,
    ) -> None:
        """Add blocks that follow each other without a gap, each ``span`` steps, the first at step
        ``first``."""
        n, each = len(maximum), self.stride // span if self.stride % span == 0 else 0
        lead = ((self.start - first) % self.stride) // span if each > 1 else 0
        whole = (n - lead) // each if each > 1 and (first - self.start) % span == 0 else 0

        def rest(a: int, b: int) -> None:
            if a == b:
                return
            column = (first + span * a - self.start) // self.stride
            if 0 <= column < self.n and column == (first + span * b - 1 - self.start) // self.stride:
                # What is new since the last frame lies in one column as a rule.
                part = slice(a, b)
                self._add_to(
                    column,
                    maximum[part],
                    minimum[part],
                    None if nan is None else nan[part],
                    None if inf is None else inf[part],
                )
            else:
                starts = first + span * np.arange(a, b, dtype=np.int64)
                self.add(
                    starts,
                    np.full(b - a, span, np.int64),
                    maximum[a:b],
                    minimum[a:b],
                    None if nan is None else nan[a:b],
                    None if inf is None else inf[a:b],
                )

        if whole < 2:
            rest(0, n)
            return
        rest(0, lead)
        # Whole columns of equally many rows: a few long passes are several times faster than reduceat's
        # short ones.
        middle = slice(lead, lead + whole * each)
        self.add(
            first + span * lead + self.stride * np.arange(whole, dtype=np.int64),
            np.full(whole, self.stride, np.int64),
            _folded(np.fmax, maximum[middle], each),
            _folded(np.fmin, minimum[middle], each),
            None if nan is None else np.logical_or.reduce(nan[middle].reshape(whole, each, -1), axis=1),
            None if inf is None else np.logical_or.reduce(inf[middle].reshape(whole, each, -1), axis=1),
        )
        rest(lead + whole * each, n)

    def columns(self, key: str, *, flat: bool) -> Columns:
        """The result; ``flat`` drops the layers' axis."""
        values = [self.maximum, self.minimum, self.nan, self.inf]
        maximum, minimum, nan, inf = (value[:, 0] for value in values) if flat else values
        return Columns(key, self.start, self.stride, maximum, minimum, nan, inf, self.recorded, self.full)


def _folded(extreme: np.ufunc, values: Floats, each: int) -> Floats:
    if each > 64:
        folded: Floats = extreme.reduce(values.reshape(-1, each, values.shape[1]), axis=1)
        return folded
    result = values[::each].copy()
    for i in range(1, each):
        extreme(result, values[i::each], out=result)
    return result

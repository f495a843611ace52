"""The rows of a step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from gradsim.engine import vectors
from gradsim.engine.jit import Source, inline, ints_at
from gradsim.engine.layout import WORD, Context, Figures

_ROWS, _EPOCH, _POSITION, _SEED = (
    int(Context.ROWS),
    int(Context.EPOCH),
    int(Context.POSITION),
    int(Context.SEED),
)
AHEAD = 512
"""Bytes of each of the next step's rows that are asked for."""

_EPOCH_FIGURE, _ROWS_FIGURE = int(Figures.EPOCH), int(Figures.ROWS)


def take(dtype: str) -> Source:
    """Gathers the next rows; after the last row of an epoch the next one starts, in a new order.

    The order of an epoch is a Fisher-Yates shuffle by splitmix64 of seed and epoch: a function of both alone. The
    last batch of an epoch holds what is left, as in Keras.
    """
    itemsize = np.dtype(dtype).itemsize
    whole, part, ask = vectors.move(dtype, False), vectors.move(dtype, True), vectors.ask()
    VECTOR = vectors.VECTOR

    @inline
    def gather(source: Any, target: Any, size: Any, order: Any, rows: Any) -> None:
        rest = size % VECTOR
        for r in range(rows):
            row = source + order[r] * size
            for at in range(0, size - rest, VECTOR):
                whole(row + at, target + at, 0)
            if rest != 0:
                part(row + size - rest, target + size - rest, rest // itemsize)
            target += size

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        total = a[5]
        if ci[_POSITION] >= total:
            ci[_POSITION] = 0
            ci[_EPOCH] += 1
        start = ci[_POSITION]
        rows = min(a[6], total - start)
        ci[_ROWS] = rows
        ci[_POSITION] = start + rows
        cf[_EPOCH_FIGURE] = ci[_EPOCH]
        cf[_ROWS_FIGURE] = rows
        if a[2] == 0:
            return
        order = carray(ints_at(a[4]), (total,))
        if a[9] != 0 and start == 0:
            for i in range(total):
                order[i] = i
            state = np.uint64(ci[_SEED]) * np.uint64(0xD1342543DE82EF95) + np.uint64(ci[_EPOCH] + 1) * np.uint64(
                0x9E3779B97F4A7C15
            )
            for i in range(total - 1, 0, -1):
                state += np.uint64(0x9E3779B97F4A7C15)
                h = state
                h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                h = (h ^ (h >> np.uint64(31))) >> np.uint64(32)
                j = np.int64((h * np.uint64(i + 1)) >> np.uint64(32))
                order[i], order[j] = order[j], order[i]
        here = carray(ints_at(a[4] + start * WORD), (rows,))
        gather(a[0], a[2], a[7] * itemsize, here, rows)
        gather(a[1], a[3], a[8] * itemsize, here, rows)
        # The next step's rows come from afar; they have a whole step's time.
        coming = carray(ints_at(a[4] + (start + rows) * WORD), (rows,))
        line = min(a[7] * itemsize, AHEAD)
        for r in range(min(rows, total - start - rows)):
            for at in range(0, line, VECTOR):
                ask(a[0] + coming[r] * a[7] * itemsize + at)

    return operation

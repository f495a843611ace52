"""Rows into the recorder's ring, and the summaries of blocks of them; see :mod:`gradsim.telemetry.intake`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from gradsim.engine.jit import Source, counts_at, floats_at
from gradsim.engine.layout import NEAR, WORD, Summarise, Take


def take() -> Source:
    """Transposes rows into columns; counts the values that count something."""
    ROWS, N, LAYERS, COLUMNS, MEASURED = map(int, (Take.ROWS, Take.N, Take.LAYERS, Take.COLUMNS, Take.MEASURED))
    RING, STRIDE, COUNTS, CLIPPED, UNCLIPPED = map(
        int, (Take.RING, Take.STRIDE, Take.COUNTS, Take.CLIPPED, Take.UNCLIPPED)
    )
    COUNTED = int(Take.COUNTED)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        columns = a[COLUMNS]
        layers = a[LAYERS]
        stride = a[STRIDE]
        counted = 0
        near = max(1, NEAR // (layers * columns * WORD))
        for first in range(0, a[N], near):
            n = min(near, a[N] - first) * layers
            rows = carray(floats_at(a[ROWS] + first * layers * columns * WORD), (n * columns,))
            ring = a[RING] + first * layers * WORD
            for c in range(a[MEASURED]):
                column = carray(floats_at(ring + c * stride), (n,))
                for i in range(n):
                    column[i] = rows[i * columns + c]
            for c in range(a[MEASURED], columns):
                column = carray(floats_at(ring + (a[COUNTS] + c - a[MEASURED]) * stride), (n,))
                for i in range(n):
                    v = rows[i * columns + c]
                    # A layer without such an array may say NaN; a count is a number.
                    if v > 0.0:
                        counted += 1
                        column[i] = v
                    else:
                        column[i] = 0.0
            clipped = carray(floats_at(ring + a[CLIPPED] * stride), (n,))
            unclipped = carray(floats_at(ring + a[UNCLIPPED] * stride), (n,))
            for i in range(n):
                if clipped[i] != clipped[i]:
                    clipped[i] = unclipped[i]
        a[COUNTED] = counted

    return operation


def summarise() -> Source:
    """Halves the rows of a block until one is left, in the order of the NumPy version."""
    VALUES, STRIDE, BLOCKS, ROWS, LAYERS = map(
        int, (Summarise.VALUES, Summarise.STRIDE, Summarise.BLOCKS, Summarise.ROWS, Summarise.LAYERS)
    )
    AVERAGED, COUNTED, ROOM = map(int, (Summarise.AVERAGED, Summarise.COUNTED, Summarise.ROOM))
    MINIMUM, MAXIMUM, MEAN, FINITE, EACH = map(
        int, (Summarise.MINIMUM, Summarise.MAXIMUM, Summarise.MEAN, Summarise.FINITE, Summarise.EACH)
    )
    COUNTS = int(Summarise.COUNTS)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        layers = a[LAYERS]
        size = a[ROWS] * layers
        half = size // 2
        low = carray(floats_at(a[ROOM]), (half,))
        high = carray(floats_at(a[ROOM] + half * WORD), (half,))
        total = carray(floats_at(a[ROOM] + 2 * half * WORD), (half,))
        finite = carray(floats_at(a[ROOM] + 3 * half * WORD), (half,))
        for c in range(a[AVERAGED]):
            for b in range(a[BLOCKS]):
                x = carray(floats_at(a[VALUES] + c * a[STRIDE] + b * size * WORD), (size,))
                n = half
                for i in range(n):
                    u = x[i]
                    v = x[i + n]
                    low[i] = v if v < u or u != u else u
                    high[i] = v if v > u or u != u else u
                for i in range(n):
                    u = x[i]
                    v = x[i + n]
                    more = 0.0
                    less = 0.0
                    if abs(u) < np.inf:
                        more = 1.0
                    else:
                        u = 0.0
                    if abs(v) < np.inf:
                        less = 1.0
                    else:
                        v = 0.0
                    total[i] = u + v
                    finite[i] = more + less
                while n > layers:
                    n //= 2
                    for i in range(n):
                        u = low[i]
                        v = low[i + n]
                        low[i] = v if v < u or u != u else u
                    for i in range(n):
                        u = high[i]
                        v = high[i + n]
                        high[i] = v if v > u or u != u else u
                    for i in range(n):
                        total[i] += total[i + n]
                    for i in range(n):
                        finite[i] += finite[i + n]
                at = c * a[EACH] + b * layers
                minimum = carray(floats_at(a[MINIMUM] + at * WORD), (layers,))
                maximum = carray(floats_at(a[MAXIMUM] + at * WORD), (layers,))
                mean = carray(floats_at(a[MEAN] + at * WORD), (layers,))
                rows = carray(counts_at(a[FINITE] + at * 4), (layers,))
                for i in range(layers):
                    minimum[i] = low[i]
                    maximum[i] = high[i]
                    m = total[i] / finite[i]
                    if m < low[i]:
                        m = low[i]
                    if m > high[i]:
                        m = high[i]
                    mean[i] = m if finite[i] > 0.0 else np.nan
                    rows[i] = np.uint32(finite[i])
        for c in range(a[COUNTED]):
            for b in range(a[BLOCKS]):
                x = carray(floats_at(a[VALUES] + (a[AVERAGED] + c) * a[STRIDE] + b * size * WORD), (size,))
                n = half
                for i in range(n):
                    total[i] = x[i] + x[i + n]
                while n > layers:
                    n //= 2
                    for i in range(n):
                        total[i] += total[i + n]
                counts = carray(floats_at(a[COUNTS] + (c * a[EACH] + b * layers) * WORD), (layers,))
                for i in range(layers):
                    counts[i] = total[i]

    return operation

"""Matrix products, transpositions, and sums of two arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from gradsim.engine import vectors
from gradsim.engine.jit import Source, inline
from gradsim.engine.layout import ROWS, Product
from gradsim.engine.ops.record import statistics
from gradsim.nn.spec import once

INNER = 512
"""Steps along the inner dimension between two writes of the result: what is read again then still lies in the cache."""

_A, _A_ROW, _A_INNER, _B, _B_INNER, _C, _C_ROW, _M, _N, _K = (int(place) for place in Product)


@once
def _down(dtype: str, count: int, masked: bool) -> Any:
    """One column of tiles, ``count`` vectors wide, from the first row to the last."""
    rows, _ = vectors.tile()
    full = vectors.kernel(dtype, rows, count, masked)
    half = vectors.kernel(dtype, rows // 2, count, masked)
    single = vectors.kernel(dtype, 1, count, masked)

    @inline
    def down(
        a: Any, a_row: Any, a_inner: Any, b: Any, b_inner: Any, c: Any, c_row: Any, m: Any, k: Any, columns: Any,
        onto: Any,
    ) -> None:  # fmt: skip
        done = 0
        while m - done >= rows:
            full(a, a_row, a_inner, b, b_inner, c, c_row, k, columns, onto)
            a += rows * a_row
            c += rows * c_row
            done += rows
        if m - done >= rows // 2:
            half(a, a_row, a_inner, b, b_inner, c, c_row, k, columns, onto)
            a += rows // 2 * a_row
            c += rows // 2 * c_row
            done += rows // 2
        while done < m:
            single(a, a_row, a_inner, b, b_inner, c, c_row, k, columns, onto)
            a += a_row
            c += c_row
            done += 1

    return down


def product(dtype: str) -> Source:
    """``C = A B``: A with any strides, B and C with contiguous columns; M or K is the batch's rows if -1."""
    itemsize = np.dtype(dtype).itemsize
    lanes = vectors.VECTOR // itemsize
    _, count = vectors.tile()
    wide, one, part = _down(dtype, count, False), _down(dtype, 1, False), _down(dtype, 1, True)
    step = count * lanes

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        m = a[_M] if a[_M] >= 0 else ci[ROWS]
        k = a[_K] if a[_K] >= 0 else ci[ROWS]
        n = a[_N]
        for start in range(0, k, INNER):
            inner = min(INNER, k - start)
            left = a[_A] + start * a[_A_INNER]
            b = a[_B] + start * a[_B_INNER]
            c = a[_C]
            done = 0
            while n - done >= step:
                wide(left, a[_A_ROW], a[_A_INNER], b, a[_B_INNER], c, a[_C_ROW], m, inner, 0, start)
                b += step * itemsize
                c += step * itemsize
                done += step
            while n - done >= lanes:
                one(left, a[_A_ROW], a[_A_INNER], b, a[_B_INNER], c, a[_C_ROW], m, inner, 0, start)
                b += lanes * itemsize
                c += lanes * itemsize
                done += lanes
            if done < n:
                part(left, a[_A_ROW], a[_A_INNER], b, a[_B_INNER], c, a[_C_ROW], m, inner, n - done, start)

    return operation


def transpose(dtype: str) -> Source:
    """``Z = X`` transposed."""
    itemsize = np.dtype(dtype).itemsize
    lanes = vectors.VECTOR // itemsize
    square = vectors.transposition(dtype)
    at = statistics(dtype).at

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = a[2]
        columns = a[3]
        x = carray(at(a[0]), (rows, columns))
        z = carray(at(a[1]), (columns, rows))
        whole_rows = rows - rows % lanes
        whole_columns = columns - columns % lanes
        for r in range(0, whole_rows, lanes):
            for c in range(0, whole_columns, lanes):
                source = a[0] + (r * columns + c) * itemsize
                square(source, columns * itemsize, a[1] + (c * rows + r) * itemsize, rows * itemsize)
        for r in range(whole_rows, rows):
            for c in range(columns):
                z[c, r] = x[r, c]
        for r in range(whole_rows):
            for c in range(whole_columns, columns):
                z[c, r] = x[r, c]

    return operation


def add(dtype: str) -> Source:
    """``Z = X + Y``, three different arrays."""
    at = statistics(dtype).at

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        n = ci[ROWS] * a[3]
        x = carray(at(a[0]), (n,))
        y = carray(at(a[1]), (n,))
        z = carray(at(a[2]), (n,))
        for i in range(n):
            z[i] = x[i] + y[i]

    return operation


def accumulate(dtype: str) -> Source:
    """``Z += X``."""
    at = statistics(dtype).at

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        n = ci[ROWS] * a[3]
        x = carray(at(a[0]), (n,))
        z = carray(at(a[2]), (n,))
        for i in range(n):
            z[i] += x[i]

    return operation


def copy(dtype: str) -> Source:
    """``Z = X``."""
    at = statistics(dtype).at

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        n = ci[ROWS] * a[3]
        x = carray(at(a[0]), (n,))
        z = carray(at(a[2]), (n,))
        for i in range(n):
            z[i] = x[i]

    return operation

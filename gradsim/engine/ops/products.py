"""Matrix products, and sums of two arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from gradsim.engine import vectors
from gradsim.engine.jit import Source, inline
from gradsim.engine.layout import INNER, PARTS, ROWS, TEAM, WORTH_SHARING, Part, Product
from gradsim.engine.ops import sharing
from gradsim.engine.ops.record import statistics
from gradsim.nn.spec import once

WORTH_COPYING = 2
"""Tiles of rows from which on it pays to put a tile's columns of B together first."""

COPY = 24_000
"""Bytes between what is read first and last in one column above which its entries get into each other's way in the
cache."""

_ROOM, _NUMBER = int(Part.ROOM), int(Part.NUMBER)
_A, _A_ROW, _A_INNER, _B, _B_ROW, _TURNED, _C, _C_ROW, _M, _N, _K, _PANELS = (int(place) for place in Product)


@once
def _down(dtype: str, count: int, masked: bool) -> Any:
    """One column of tiles, ``count`` vectors wide, from the first row to the last."""
    rows, _ = vectors.tile()
    full = vectors.kernel(dtype, rows, count, masked)
    half = vectors.kernel(dtype, rows // 2, count, masked)
    single = vectors.kernel(dtype, 1, count, masked)

    @inline
    def down(
        left: Any, b: Any, b_inner: Any, c: Any, c_row: Any, m: Any, k: Any, columns: Any, onto: Any
    ) -> None:  # fmt: skip
        a, a_row, a_inner, a_tile = left
        done = 0
        while m - done >= rows:
            full(a, a_row, a_inner, b, b_inner, c, c_row, k, columns, onto)
            a += a_tile
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


@once
def _turned_strip(dtype: str) -> Any:
    """Writes a tile's columns of B one row behind the other where B is the transposed of what lies at ``source``."""
    itemsize = np.dtype(dtype).itemsize
    lanes = vectors.VECTOR // itemsize
    _, count = vectors.tile()
    square = vectors.transposition(dtype)
    at = statistics(dtype).at
    pitch = count * vectors.VECTOR

    @inline
    def turn(source: Any, source_row: Any, target: Any, inner: Any, columns: Any) -> None:
        ahead = count * lanes * source_row
        done = 0
        while columns - done >= lanes:
            k = 0
            while inner - k >= lanes:
                square(source + k * itemsize, source_row, target + k * pitch, pitch, ahead)
                k += lanes
            for column in range(lanes if k < inner else 0):
                x = carray(at(source + column * source_row), (inner,))
                for rest in range(k, inner):
                    carray(at(target + rest * pitch + column * itemsize), (1,))[0] = x[rest]
            source += lanes * source_row
            target += lanes * itemsize
            done += lanes
        for column in range(columns - done):
            x = carray(at(source + column * source_row), (inner,))
            for k in range(inner):
                carray(at(target + k * pitch + column * itemsize), (1,))[0] = x[k]

    return turn


@once
def _in_panels(dtype: str) -> Any:
    """Whether the tiles of A are put together before the product: where it is read down its columns, and these get
    into each other's way."""
    itemsize = np.dtype(dtype).itemsize
    _, count = vectors.tile()
    tile = count * (vectors.VECTOR // itemsize)

    @inline
    def in_panels(a: Any, k: Any) -> Any:
        return a[_PANELS] != 0 and k <= INNER and a[_A_ROW] == itemsize and k * a[_A_INNER] > COPY and a[_N] > tile

    return in_panels


@once
def _left(dtype: str) -> Any:
    """Where A is read from: address, strides between rows and along the inner dimension, distance of its tiles."""
    itemsize = np.dtype(dtype).itemsize
    rows, _ = vectors.tile()
    in_panels = _in_panels(dtype)

    @inline
    def left(a: Any, k: Any) -> Any:
        if in_panels(a, k):
            return a[_PANELS], itemsize, rows * itemsize, rows * k * itemsize
        return a[_A], a[_A_ROW], a[_A_INNER], rows * a[_A_ROW]

    return left


@once
def _panels(dtype: str) -> Any:
    """Puts the tiles of A together, each as it is read: all rows of the first step along the inner dimension, then of
    the next one."""
    itemsize = np.dtype(dtype).itemsize
    rows, _ = vectors.tile()
    strip, at = vectors.strip(dtype, rows), statistics(dtype).at

    @inline
    def panels(a: Any, m: Any, k: Any) -> None:
        source = a[_A]
        target = a[_PANELS]
        whole = m - m % rows
        for _ in range(0, whole, rows):
            strip(source, a[_A_INNER], target, k)
            source += rows * itemsize
            target += rows * k * itemsize
        for step in range(k if whole < m else 0):
            x = carray(at(source + step * a[_A_INNER]), (rows,))
            z = carray(at(target + step * rows * itemsize), (rows,))
            for row in range(m - whole):
                z[row] = x[row]

    return panels


@once
def _columns(dtype: str) -> Any:
    """Columns ``first`` to before ``last`` of a product; ``first`` is a multiple of a tile's. ``space``: where a tile's
    columns of B are put together, so that they do not lie in the few places of the cache that rows far apart share."""
    itemsize = np.dtype(dtype).itemsize
    lanes = vectors.VECTOR // itemsize
    rows, count = vectors.tile()
    wide, one, part = _down(dtype, count, False), _down(dtype, 1, False), _down(dtype, 1, True)
    strip, turn = vectors.strip(dtype, count * lanes), _turned_strip(dtype)
    left_factor = _left(dtype)
    step, pitch = count * lanes, count * vectors.VECTOR

    @inline
    def columns(a: Any, m: Any, k: Any, first: Any, last: Any, space: Any) -> None:
        n = last - first
        address, a_row, a_inner, a_tile = left_factor(a, k)
        turned = a[_TURNED] != 0
        along = a[_B_ROW] if turned else itemsize
        for start in range(0, k, INNER):
            inner = min(INNER, k - start)
            together = not turned and m >= WORTH_COPYING * rows and inner * a[_B_ROW] > COPY
            left = (address + start * a_inner, a_row, a_inner, a_tile)
            b = a[_B] + first * along + start * (itemsize if turned else a[_B_ROW])
            c = a[_C] + first * itemsize
            done = 0
            while done < n:
                here = min(step, n - done)
                at = b
                row = a[_B_ROW]
                if turned:
                    turn(b, row, space, inner, here)
                elif together and here == step:
                    strip(b, row, space, inner)
                if turned or (together and here == step):
                    at = space
                    row = pitch
                if here == step:
                    wide(left, at, row, c, a[_C_ROW], m, inner, 0, start)
                else:
                    whole = here - here % lanes
                    for column in range(0, whole, lanes):
                        one(
                            left, at + column * itemsize, row,
                            c + column * itemsize, a[_C_ROW], m, inner, 0, start,
                        )  # fmt: skip
                    if whole < here:
                        part(
                            left, at + whole * itemsize, row,
                            c + whole * itemsize, a[_C_ROW], m, inner, here - whole, start,
                        )  # fmt: skip
                b += step * along
                c += step * itemsize
                done += step

    return columns


def product(dtype: str) -> Source:
    """``C = A B``: A with any strides, B with contiguous columns, or rows if turned; M or K is the batch's rows if -1.

    Where a team of threads stands by and the product is large, each takes some columns. An entry of C is the same sum
    in the same order whoever computes it, so the number of threads does not change a bit of the result.
    """
    columns = _columns(dtype)
    in_panels, panels = _in_panels(dtype), _panels(dtype)
    _, count = vectors.tile()
    tile = count * (vectors.VECTOR // np.dtype(dtype).itemsize)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        m = a[_M] if a[_M] >= 0 else ci[ROWS]
        k = a[_K] if a[_K] >= 0 else ci[ROWS]
        n = a[_N]
        tiles = -(-n // tile)
        board = ci[TEAM] if m * k * n >= WORTH_SHARING and tiles > 1 else 0
        parts = min(PARTS, tiles) if board != 0 else 1
        if a[_NUMBER] == 0 and in_panels(a, k):
            panels(a, m, k)
        number = sharing.first(board, a, ci, cf, parts)
        while number >= 0:
            start = tiles * number // parts * tile
            stop = tiles * (number + 1) // parts * tile
            columns(a, m, k, start, min(stop, n), a[_ROOM])
            number = sharing.following(board, a, number, parts)

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

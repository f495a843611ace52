"""Matrix products, transpositions, and sums of two arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from gradsim.engine import vectors
from gradsim.engine.jit import (
    Source,
    address_of,
    atomic_add,
    atomic_load,
    atomic_store,
    give_way,
    inline,
    ints_at,
    pause,
)
from gradsim.engine.layout import PARTS, ROWS, TEAM, WORD, WORTH_SHARING, Board, Product
from gradsim.engine.ops.record import statistics
from gradsim.nn.spec import once

INNER = 512
"""Steps along the inner dimension between two writes of the result: what is read again then still lies in the cache."""

LOOKS = 2000
"""How often a thread looks for what it waits for, some tens of microseconds, before it lets others run."""

_TICKET, _DONE, _QUIT = (int(place) * WORD for place in (Board.TICKET, Board.DONE, Board.QUIT))
_PRODUCT, _CONTEXT = int(Board.PRODUCT) * WORD, int(Board.CONTEXT) * WORD
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


@once
def _columns(dtype: str) -> Any:
    """Columns ``first`` to before ``last`` of a product; ``first`` is a multiple of a tile's."""
    itemsize = np.dtype(dtype).itemsize
    lanes = vectors.VECTOR // itemsize
    _, count = vectors.tile()
    wide, one, part = _down(dtype, count, False), _down(dtype, 1, False), _down(dtype, 1, True)
    step = count * lanes

    @inline
    def columns(a: Any, m: Any, k: Any, first: Any, last: Any) -> None:
        n = last - first
        for start in range(0, k, INNER):
            inner = min(INNER, k - start)
            left = a[_A] + start * a[_A_INNER]
            b = a[_B] + start * a[_B_INNER] + first * itemsize
            c = a[_C] + first * itemsize
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

    return columns


@once
def _taking(dtype: str) -> Any:
    """Takes one part of the product on a board after the other until none is left; tells how many."""
    columns = _columns(dtype)
    _, count = vectors.tile()
    tile = count * (vectors.VECTOR // np.dtype(dtype).itemsize)

    @inline
    def take(board: Any) -> Any:
        taken = 0
        while True:
            ticket = atomic_load(board + _TICKET)
            # Only then: tickets that nobody took must not count up into the number of parts.
            if (ticket & 0xFFFF) >= (ticket >> 16):
                return taken
            ticket = atomic_add(board + _TICKET, 1)
            number = ticket & 0xFFFF
            parts = ticket >> 16
            if number >= parts:
                return taken
            # What is on the board stays until this part is done.
            a = ints_at(carray(ints_at(board + _PRODUCT), (1,))[0])
            ci = ints_at(carray(ints_at(board + _CONTEXT), (1,))[0])
            m = a[_M] if a[_M] >= 0 else ci[ROWS]
            k = a[_K] if a[_K] >= 0 else ci[ROWS]
            tiles = -(-a[_N] // tile)
            first = tiles * number // parts * tile
            last = tiles * (number + 1) // parts * tile
            columns(a, m, k, first, min(last, a[_N]))
            atomic_add(board + _DONE, 1)
            taken += 1

    return take


@once
def _waiting() -> Any:
    @inline
    def wait(looks: Any) -> Any:
        """Before another look; who has looked often may be keeping the processor from whom it waits for."""
        if looks < LOOKS:
            pause()
            return looks + 1
        give_way()
        return looks

    return wait


def product(dtype: str) -> Source:
    """``C = A B``: A with any strides, B and C with contiguous columns; M or K is the batch's rows if -1.

    Where a team of threads stands by and the product is large, each takes some columns. An entry of C is the same sum
    in the same order whoever computes it, so the number of threads does not change a bit of the result.
    """
    columns, take, wait = _columns(dtype), _taking(dtype), _waiting()
    _, count = vectors.tile()
    tile = count * (vectors.VECTOR // np.dtype(dtype).itemsize)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        m = a[_M] if a[_M] >= 0 else ci[ROWS]
        k = a[_K] if a[_K] >= 0 else ci[ROWS]
        n = a[_N]
        board = ci[TEAM]
        if board == 0 or m * k * n < WORTH_SHARING or n <= tile:
            columns(a, m, k, 0, n)
            return
        parts = min(PARTS, -(-n // tile))
        # By atomic stores, since the compiler may put plain ones off.
        atomic_store(board + _PRODUCT, address_of(a))
        atomic_store(board + _CONTEXT, address_of(ci))
        atomic_store(board + _DONE, 0)
        atomic_store(board + _TICKET, parts << 16)
        take(board)
        looks = 0
        while atomic_load(board + _DONE) < parts:
            looks = wait(looks)

    return operation


def help_out(dtype: str) -> Source:
    """``a``: the address of a board. Takes parts of the products that are put there until it is told to quit."""
    take, wait = _taking(dtype), _waiting()

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        board = a[0]
        looks = 0
        while atomic_load(board + _QUIT) == 0:
            looks = 0 if take(board) else wait(looks)

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

"""Bias and activation, forward and backward; softmax; the learned slope of PReLU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from gradsim.engine import lookup
from gradsim.engine.jit import Source, inline
from gradsim.engine.layout import DEAD, DELTA, ROWS, SATURATED, TILE
from gradsim.engine.ops.record import statistics
from gradsim.engine.scalars import exp32, exp64, formula
from gradsim.nn.activations import Activation, Softmax
from gradsim.nn.spec import fields_of, once

SATURATION = 0.05
"""A unit counts as saturated where its slope is below this share of the activation's largest one."""


@once
def _tiled(dtype: str) -> Any:
    at = statistics(dtype).at

    @inline
    def tiled(tile: Any, bias_address: Any, width: Any, rows: Any) -> Any:
        """Repeats the bias as often as it fits into a tile; returns how often."""
        bias = carray(at(bias_address), (width,))
        together = min(max(1, TILE // width), rows)
        for r in range(together):
            for c in range(width):
                tile[r * width + c] = bias[c]
        return together

    return tiled


@once
def _column_sums(dtype: str) -> Any:
    """Sums of the rows of a matrix, by halves, so that every loop is long."""
    s = statistics(dtype)
    at = s.at

    @inline
    def column_sums(address: Any, sums_address: Any, scratch_address: Any, rows: Any, width: Any) -> None:
        d = carray(at(address), (rows * width,))
        sums = carray(at(sums_address), (width,))
        if width >= 128 or rows < 4:
            for c in range(width):
                sums[c] = d[c]
            for r in range(1, rows):
                for c in range(width):
                    sums[c] += d[r * width + c]
            return
        half = rows // 2
        n = half * width
        scratch = carray(at(scratch_address), (n + width,))
        for i in range(n):
            scratch[i] = d[i] + d[n + i]
        if rows % 2:
            for c in range(width):
                scratch[c] += d[2 * n + c]
        while half > 1:
            odd = half % 2
            half //= 2
            n = half * width
            upper = carray(at(scratch_address + n * itemsize), (n + width,))
            for i in range(n):
                scratch[i] += upper[i]
            if odd:
                for c in range(width):
                    scratch[c] += upper[n + c]
        for c in range(width):
            sums[c] = scratch[c]

    itemsize = np.dtype(dtype).itemsize
    return column_sums


def _with_parameters(function: Any, dtype: str, count: int) -> Any:
    """A formula ``(x, *parameters)`` with two places for parameters, however many it uses."""
    compiled = formula(function, dtype)
    if count == 0:
        return inline(lambda x, p, q: compiled(x))
    if count == 1:
        return inline(lambda x, p, q: compiled(x, p))
    return inline(lambda x, p, q: compiled(x, p, q))


def _slope_with_parameters(function: Any, dtype: str, count: int) -> Any:
    compiled = formula(function, dtype)
    if count == 0:
        return inline(lambda x, y, p, q: compiled(x, y))
    if count == 1:
        return inline(lambda x, y, p, q: compiled(x, y, p))
    return inline(lambda x, y, p, q: compiled(x, y, p, q))


def _count(kind: type[Activation]) -> int:
    count = len(fields_of(kind))
    if count > 2:
        raise ValueError(f"activation {kind.identifier}: at most 2 parameters, received {count}")
    return count


def forward(kind: type[Activation], dtype: str, in_place: bool) -> Source:
    """``Z += bias; Y = activation(Z)``.

    ``in_place`` says that Z and Y are one: told so, LLVM vectorises; left to find out, it does not.
    """
    if kind.rowwise:
        return _softmax_forward(dtype)
    found = lookup.table(kind, dtype)
    if found is not None:
        return _looked_up(found, dtype, in_place)
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    apply = _with_parameters(kind.forward, dtype, _count(kind))
    tiled = _tiled(dtype)
    itemsize = np.dtype(dtype).itemsize

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[3]
        n = rows * width
        z = carray(at(a[0]), (n,))
        y = z if in_place else carray(at(a[1]), (n,))
        p = scalar(f[0])
        q = scalar(f[1])
        if a[2] == 0:
            for i in range(n):
                y[i] = apply(z[i], p, q)
        else:
            tile = carray(at(a[5]), (TILE + width,))
            together = tiled(tile, a[2], width, rows)
            for first in range(0, n, together * width):
                size = min(together * width, n - first)
                # Arrays of their own: an index that is a sum may be negative for all the compiler knows.
                here = carray(at(a[0] + first * itemsize), (size,))
                there = here if in_place else carray(at(a[1] + first * itemsize), (size,))
                for i in range(size):
                    b = here[i] + tile[i]
                    if not in_place:
                        here[i] = b
                    there[i] = apply(b, p, q)

    return operation


def _looked_up(found: lookup.Table, dtype: str, in_place: bool) -> Source:
    """As ``forward``, vector by vector: each row's last one may be shorter."""
    itemsize = np.dtype(dtype).itemsize
    step = lookup.LANES * itemsize
    biased, biased_rest, plain, plain_rest = (
        lookup.function(found, with_bias, in_place, masked) for with_bias in (True, False) for masked in (False, True)
    )

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        z = a[0]
        y = a[0] if in_place else a[1]
        bias = a[2]
        rows = ci[ROWS]
        width = a[3]
        if bias == 0:
            # Nothing tells the columns apart.
            width *= rows
            rows = 1
        rest = width * itemsize % step
        whole = width * itemsize - rest
        for _ in range(rows):
            if bias == 0:
                for i in range(0, whole, step):
                    plain(z + i, bias, y + i, 0)
                if rest != 0:
                    plain_rest(z + whole, bias, y + whole, rest // itemsize)
            else:
                for i in range(0, whole, step):
                    biased(z + i, bias + i, y + i, 0)
                if rest != 0:
                    biased_rest(z + whole, bias + whole, y + whole, rest // itemsize)
            z += whole + rest
            y += whole + rest

    return operation


def backward(kind: type[Activation], dtype: str, record: bool = True) -> Source:
    """``D *= slope``: the gradient of the output becomes delta; shares of saturated and dead units."""
    if kind.rowwise:
        return _softmax_backward(dtype, record)
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    slope = _slope_with_parameters(kind.derivative, dtype, _count(kind))
    threshold = scalar(SATURATION * kind.slope_max)
    zero, one = scalar(0), scalar(1)
    can_die = kind.derivative_from == "output"

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[4]
        n = rows * width
        d = carray(at(a[0]), (n,))
        z = carray(at(a[1]), (n,))
        y = carray(at(a[2]), (n,))
        p = scalar(f[0])
        q = scalar(f[1])
        flat = zero
        for i in range(n):
            t = slope(z[i], y[i], p, q)
            d[i] *= t
            if record:
                flat += one if abs(t) < threshold else zero
        if record:
            place = a[5]
            out[place + SATURATED] = np.float64(flat) / n
            dead = zero
            # A dead unit has no slope in any row; with fewer such places than rows there is none.
            level = zero
            if can_die and flat >= rows:
                for i in range(n):
                    level += one if slope(z[i], y[i], p, q) == zero else zero
            if level >= rows:
                steepest = carray(at(a[3]), (width,))
                for c in range(width):
                    steepest[c] = zero
                z_rows = carray(at(a[1]), (rows, width))
                y_rows = carray(at(a[2]), (rows, width))
                for r in range(rows):
                    for c in range(width):
                        t = abs(slope(z_rows[r, c], y_rows[r, c], p, q))
                        steepest[c] = t if t > steepest[c] else steepest[c]
                for c in range(width):
                    dead += one if steepest[c] == zero else zero
            out[place + DEAD] = np.float64(dead) / width

    return operation


def _softmax_forward(dtype: str) -> Source:
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    exp = exp32 if dtype == "float32" else exp64
    zero = scalar(0)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[3]
        n = rows * width
        z = carray(at(a[0]), (rows, width))
        y = carray(at(a[1]), (n,))
        y_rows = carray(at(a[1]), (rows, width))
        has_bias = a[2] != 0
        bias = carray(at(a[2]), (width,))
        for r in range(rows):
            if has_bias:
                for c in range(width):
                    z[r, c] += bias[c]
            top = z[r, 0]
            for c in range(1, width):
                v = z[r, c]
                top = v if v > top else top
            for c in range(width):
                y_rows[r, c] = z[r, c] - top
        for i in range(n):
            y[i] = exp(y[i])
        for r in range(rows):
            total = zero
            for c in range(width):
                total += y_rows[r, c]
            for c in range(width):
                y_rows[r, c] /= total

    return operation


def _softmax_backward(dtype: str, record: bool) -> Source:
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    zero, one = scalar(0), scalar(1)
    threshold = scalar(SATURATION * Softmax.slope_max)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[4]
        d = carray(at(a[0]), (rows, width))
        y = carray(at(a[2]), (rows, width))
        flat = zero
        for r in range(rows):
            inner = zero
            for c in range(width):
                inner += d[r, c] * y[r, c]
            for c in range(width):
                v = y[r, c]
                d[r, c] = v * (d[r, c] - inner)
                flat += one if v * (one - v) < threshold else zero
        if record:
            out[a[5] + SATURATED] = np.float64(flat) / (rows * width)
            out[a[5] + DEAD] = 0.0

    return operation


def sum_delta(dtype: str, record: bool = True) -> Source:
    """Sums of delta by column, which are the gradient of a bias, and its statistics."""
    s = statistics(dtype)
    measure, put = s.measure, s.put
    column_sums = _column_sums(dtype)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[3]
        if a[1] != 0:
            column_sums(a[0], a[1], a[2], rows, width)
        if record:
            put(out, ci, a[4], DELTA, measure(a[0], rows * width))

    return operation


def record_output(dtype: str) -> Source:
    """Records mean and deviation of a layer's outputs, in a pass of its own: sums in float64 beside a formula would
    halve its vectors."""
    record_activation = statistics(dtype).record_activation

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        record_activation(out, ci, a[2], a[0], ci[ROWS] * a[1])

    return operation


def prelu_forward(dtype: str) -> Source:
    """``Y = X`` above zero, ``alpha X`` below (He et al. 2015, eq. 1)."""
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    zero = scalar(0)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[5]
        x = carray(at(a[0]), (rows, width))
        y = carray(at(a[1]), (rows, width))
        alpha = carray(at(a[2]), (width,))
        for r in range(rows):
            for c in range(width):
                v = x[r, c]
                y[r, c] = v if v > zero else alpha[c] * v

    return operation


def prelu_backward(dtype: str) -> Source:
    """Gradient of PReLU's input and slopes; the slope at exactly 0 is 0, as in Keras."""
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    zero, one = scalar(0), scalar(1)
    threshold = scalar(SATURATION)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[5]
        x = carray(at(a[0]), (rows, width))
        alpha = carray(at(a[2]), (width,))
        d = carray(at(a[3]), (rows, width))
        gradient = carray(at(a[4]), (width,))
        flat = zero
        for c in range(width):
            gradient[c] = zero
        for r in range(rows):
            for c in range(width):
                v = x[r, c]
                g = d[r, c]
                gradient[c] += g * v if v < zero else zero
                t = one if v > zero else (alpha[c] if v < zero else zero)
                flat += one if abs(t) < threshold else zero
                d[r, c] = g * t
        place = a[6]
        out[place + SATURATED] = np.float64(flat) / (rows * width)
        dead = 0.0
        for c in range(width):
            alive = False
            for r in range(rows):
                v = x[r, c]
                alive = alive or v > zero or (v < zero and alpha[c] != zero)
            if not alive:
                dead += 1.0
        out[place + DEAD] = dead / width

    return operation

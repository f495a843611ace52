"""What happens to a gradient: measured, clipped, applied. All in as few passes as the options allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray

from gradsim.engine.jit import Source, address_of, floats_at, from_bits, inline
from gradsim.engine.layout import (
    BLOCK,
    CLIP_COSINE,
    CLIPPED_NORM,
    GRADIENT,
    NONFINITE,
    STRETCH,
    TEAM,
    UPDATE_NORM,
    WEIGHT,
    WORD,
    Figures,
    Part,
    Update,
)
from gradsim.engine.ops import sharing
from gradsim.engine.ops.record import statistics
from gradsim.engine.scalars import formula
from gradsim.nn.optimizers import gradient_step
from gradsim.nn.spec import once

_GLOBAL_NORM, _CLIP, _DECAY = int(Figures.GLOBAL_NORM), int(Figures.CLIP), int(Figures.DECAY)
_COEFFICIENTS = int(Figures.COEFFICIENTS)
_GRADIENT_SQUARES, _GRADIENT_MAX = int(Figures.GRADIENT_SQUARES), int(Figures.GRADIENT_MAX)
_UPDATE_SQUARES = int(Figures.UPDATE_SQUARES)
_WEIGHT_SQUARES, _WEIGHT_MAX = int(Figures.WEIGHT_SQUARES), int(Figures.WEIGHT_MAX)


_W, _G, _S, _SIZE, _PLACE, _MEASURED, _SUMS = (int(u) for u in Update)
_NUMBER = int(Part.NUMBER)


@once
def _hypotenuse() -> Any:
    @inline
    def hypotenuse(a: Any, b: Any) -> Any:
        """``sqrt(a^2 + b^2)`` without over- or underflow; NaN if one of them is."""
        if a != a or b != b:
            return a + b
        high = max(a, b)
        low = min(a, b)
        if not high > 0.0 or high == np.inf:
            return high + low
        return high * np.sqrt(1.0 + (low / high) * (low / high))

    return hypotenuse


def measure_gradient(dtype: str) -> Source:
    """Records the raw gradient and adds it to the global norm: the first pass where clipping is on."""
    s = statistics(dtype)
    measure, put = s.measure, s.put
    hypotenuse = _hypotenuse()

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        values = measure(a[_G], a[_SIZE])
        length = values[0] if values[2] + values[3] == 0.0 else np.nan
        cf[_GLOBAL_NORM] = hypotenuse(cf[_GLOBAL_NORM], length)
        if a[_PLACE] >= 0:
            put(out, ci, a[_PLACE], GRADIENT, values)

    return operation


def clip_by_value(dtype: str) -> Source:
    """Cuts every component to plus or minus the limit, and records what that did to length and direction."""
    s = statistics(dtype)
    at, scalar, measure = s.at, s.kind, s.measure

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        n = a[_SIZE]
        g = carray(at(a[_G]), (n,))
        limit = scalar(cf[_CLIP])
        raw = measure(a[_G], n)
        # Scaled by the largest component, so that no square leaves the range.
        top = raw[1] if raw[1] > 0.0 else 1.0
        inner = 0.0
        for i in range(n):
            v = g[i]
            c = -limit if v < -limit else v
            c = limit if c > limit else c
            g[i] = c
            if abs(np.float64(v)) < np.inf:
                inner += (np.float64(v) / top) * np.float64(c)
        if a[_PLACE] >= 0:
            clipped = measure(a[_G], n)
            out[a[_PLACE] + CLIPPED_NORM] = clipped[0]
            length = (raw[0] / top) * clipped[0]
            whole = raw[2] + raw[3] == 0.0 and length > 0.0
            out[a[_PLACE] + CLIP_COSINE] = min(inner / length, 1.0) if whole else np.nan

    return operation


def clip_by_norm(dtype: str, together: bool) -> Source:
    """Shortens a gradient to the limit if it is longer: by its own norm, or ``together`` by that of all.

    Norms are accumulated in float64. Keras sums squares in the gradient's own format, where a float32 component above
    1.8e19 makes the sum infinite and the clipped gradient zero.
    """
    s = statistics(dtype)
    at, scalar, measure = s.at, s.kind, s.measure

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        n = a[_SIZE]
        g = carray(at(a[_G]), (n,))
        limit = cf[_CLIP]
        raw = measure(a[_G], n)
        whole = raw[2] + raw[3] == 0.0
        if together:
            length = cf[_GLOBAL_NORM]
        else:
            length = raw[0] if whole else np.nan
        factor = 1.0 if length <= limit else limit / length
        if factor != 1.0:
            shorter = scalar(factor)
            for i in range(n):
                g[i] *= shorter
        if a[_PLACE] >= 0:
            out[a[_PLACE] + CLIPPED_NORM] = raw[0] * factor if whole else np.nan
            out[a[_PLACE] + CLIP_COSINE] = 1.0 if whole and raw[0] > 0.0 else np.nan

    return operation


def watch_weights(dtype: str) -> Source:
    """Records the weights of a frozen layer."""
    s = statistics(dtype)
    measure, put = s.measure, s.put

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        put(out, ci, a[_PLACE], WEIGHT, measure(a[_W], a[_SIZE]))
        out[a[_PLACE] + UPDATE_NORM] = 0.0

    return operation


@inline
def _higher(a: Any, b: Any) -> Any:
    """The larger one; NaN stays."""
    return a if a >= b or a != a else b


def apply(
    update: Callable[..., Any], slots: int, coefficients: int, decay: bool, dtype: str, record: bool = True
) -> Source:
    """Applies a rule to an array and takes the sums that :func:`record_update` needs, stretch by stretch.

    Args:
        update: The rule's formula.
        slots: How many values it keeps for each weight.
        coefficients: How many numbers of a step it takes.
        decay: True if weights are shrunk before the update (AdamW).
    """
    s = statistics(dtype)
    at, scalar, squares_and_top = s.at, s.kind, s.squares_and_top
    step = _step(update, dtype, slots)
    numbers = _numbers(coefficients, scalar)
    one = scalar(1)
    itemsize = np.dtype(dtype).itemsize
    # What such a rule changes is known from the gradient; the squares of large float64 would leave the range before the
    # rate brings them back.
    proportional = update is gradient_step and not decay and dtype == "float32"

    @inline
    def stretch(a: Any, cf: Any, first: Any, n: Any) -> Any:
        offset = first * itemsize
        w = carray(at(a[_W] + offset), (n,))
        g = carray(at(a[_G] + offset), (n,))
        s0 = carray(at(a[_S] + offset), (n,))
        s1 = carray(at(a[_S + 1] + offset), (n,))
        s2 = carray(at(a[_S + 2] + offset), (n,))
        c = numbers(cf, _COEFFICIENTS)
        keep = one - scalar(cf[_DECAY])
        moved = 0.0
        for i in range(n):
            old = w[i]
            start = old * keep if decay else old
            new = step(start, g[i], s0, s1, s2, i, c)
            w[i] = new
            if record and not proportional:
                d = np.float64(new - old)
                moved += d * d
        return moved

    @inline
    def block(a: Any, cf: Any, first: Any, size: Any, sums: Any) -> None:
        squares = 0.0
        moved = 0.0
        weights = 0.0
        largest = np.float64(0.0)
        heaviest = np.float64(0.0)
        for start in range(first, first + size, STRETCH):
            n = min(STRETCH, first + size - start)
            moved += stretch(a, cf, start, n)
            if record:
                total, top = squares_and_top(a[_G] + start * itemsize, n)
                squares += total
                largest = _higher(largest, np.float64(from_bits(top)))
                total, top = squares_and_top(a[_W] + start * itemsize, n)
                weights += total
                heaviest = _higher(heaviest, np.float64(from_bits(top)))
        found = carray(floats_at(sums), (5,))
        found[0] = squares
        found[1] = largest
        found[2] = squares * cf[_COEFFICIENTS] * cf[_COEFFICIENTS] if proportional else moved
        found[3] = weights
        found[4] = heaviest

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        n = a[_SIZE]
        parts = -(-n // BLOCK)
        board = ci[TEAM] if parts > 1 else 0
        number = sharing.first(board, a, ci, cf, parts)
        while number >= 0:
            sums = a[_SUMS] + number * 5 * WORD if parts > 1 else address_of(cf) + _GRADIENT_SQUARES * WORD
            block(a, cf, number * BLOCK, min(BLOCK, n - number * BLOCK), sums)
            number = sharing.following(board, a, number, parts)
        if parts > 1 and a[_NUMBER] == 0:
            for k in range(5):
                cf[_GRADIENT_SQUARES + k] = 0.0
            for number in range(parts):
                found = carray(floats_at(a[_SUMS] + number * 5 * WORD), (5,))
                for k in range(5):
                    before = cf[_GRADIENT_SQUARES + k]
                    if k == 1 or k == 4:  # the two maxima
                        cf[_GRADIENT_SQUARES + k] = _higher(before, found[k])
                    else:
                        cf[_GRADIENT_SQUARES + k] = before + found[k]

    return operation


def record_update(dtype: str) -> Source:
    """Records gradient, update and weights from the sums that the operation before it took."""
    s = statistics(dtype)
    norm, put = s.norm, s.put
    hypotenuse = _hypotenuse()

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        n = a[_SIZE]
        place = a[_PLACE]
        if a[_MEASURED] == 0:
            values = norm(a[_G], n, cf[_GRADIENT_SQUARES], cf[_GRADIENT_MAX])
            length = values[0] if values[2] + values[3] == 0.0 else np.nan
            cf[_GLOBAL_NORM] = hypotenuse(cf[_GLOBAL_NORM], length)
            if place >= 0:
                put(out, ci, place, GRADIENT, values)
        if place >= 0:
            put(out, ci, place, WEIGHT, norm(a[_W], n, cf[_WEIGHT_SQUARES], cf[_WEIGHT_MAX]))
            out[place + UPDATE_NORM] = np.sqrt(cf[_UPDATE_SQUARES])
        elif not cf[_WEIGHT_SQUARES] < np.inf:
            ci[NONFINITE] = 1

    return operation


@once
def _numbers(count: int, scalar: Any) -> Any:
    """Reads so many coefficients, as a tuple of the number format."""
    if count == 1:
        return inline(lambda cf, k: (scalar(cf[k]),))
    rest = _numbers(count - 1, scalar)
    return inline(lambda cf, k: (scalar(cf[k]),) + rest(cf, k + 1))  # noqa: RUF005 (numba unpacks no tuples)


@once
def _step(update: Callable[..., Any], dtype: str, slots: int) -> Any:
    """The rule for entry ``i``: reads and writes the slots, returns the new weight."""
    rule = formula(update, dtype)
    if slots == 0:

        @inline
        def none(w: Any, g: Any, s0: Any, s1: Any, s2: Any, i: Any, c: Any) -> Any:
            return rule(w, g, *c)[0]

        return none
    if slots == 1:

        @inline
        def single(w: Any, g: Any, s0: Any, s1: Any, s2: Any, i: Any, c: Any) -> Any:
            new = rule(w, g, s0[i], *c)
            s0[i] = new[1]
            return new[0]

        return single
    if slots == 2:

        @inline
        def double(w: Any, g: Any, s0: Any, s1: Any, s2: Any, i: Any, c: Any) -> Any:
            new = rule(w, g, s0[i], s1[i], *c)
            s0[i] = new[1]
            s1[i] = new[2]
            return new[0]

        return double

    @inline
    def triple(w: Any, g: Any, s0: Any, s1: Any, s2: Any, i: Any, c: Any) -> Any:
        new = rule(w, g, s0[i], s1[i], s2[i], *c)
        s0[i] = new[1]
        s1[i] = new[2]
        s2[i] = new[3]
        return new[0]

    return triple

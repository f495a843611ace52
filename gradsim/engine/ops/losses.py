"""Losses with their gradients, and the accuracy of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from gradsim.engine.jit import Source, inline
from gradsim.engine.layout import ROWS, Context, Figures
from gradsim.engine.ops.record import statistics
from gradsim.engine.scalars import formula
from gradsim.nn import losses
from gradsim.nn.spec import once

_LOSS, _ACCURACY = int(Figures.LOSS), int(Figures.ACCURACY)
_NONFINITE = int(Context.NONFINITE)
_EPSILON = losses.EPSILON


@once
def _hits(dtype: str) -> Any:
    s = statistics(dtype)
    at = s.at

    @inline
    def hits(p_address: Any, y_address: Any, rows: Any, width: Any) -> Any:
        """Share of rows whose largest output is that of the target; one output counts as yes above one half."""
        p = carray(at(p_address), (rows, width))
        y = carray(at(y_address), (rows, width))
        count = 0
        for r in range(rows):
            if width == 1:
                count += (p[r, 0] > 0.5) == (y[r, 0] > 0.5)
            else:
                best = 0
                true = 0
                # Values at hand, not places to read again: the rows then overlap in the processor.
                top = p[r, 0]
                most = y[r, 0]
                for c in range(1, width):
                    v = p[r, c]
                    t = y[r, c]
                    best = c if v > top else best
                    top = v if v > top else top
                    true = c if t > most else true
                    most = t if t > most else most
                # A row of NaN has no largest output.
                count += best == true and top == top
        return count / rows

    return hits


def loss(kind: type[losses.Loss], fused: bool, dtype: str) -> Source:
    """Adds the batch's mean loss to the figures and writes the gradient of the output (fused: of the pre-activation).

    Raises:
        ValueError: for a rowwise loss that the engine has no operation for.
    """
    if kind.rowwise:
        if kind is not losses.CategoricalCrossentropy:
            raise ValueError(f"loss {kind.identifier}: rowwise losses need an operation of their own")
        return _fused_softmax(dtype) if fused else _categorical(dtype)
    if fused:
        return _fused_sigmoid(dtype)
    return _elementwise(kind, dtype)


def _elementwise(kind: type[losses.Loss], dtype: str) -> Source:
    s = statistics(dtype)
    at, scalar, hits = s.at, s.kind, _hits(dtype)
    element = formula(kind.element, dtype)
    gradient = formula(kind.element_gradient, dtype)
    one = scalar(1)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[4]
        n = rows * width
        p = carray(at(a[0]), (n,))
        y = carray(at(a[2]), (n,))
        d = carray(at(a[3]), (n,))
        share = one / scalar(n)
        total = 0.0
        for i in range(n):
            total += np.float64(element(p[i], y[i]))
            d[i] = gradient(p[i], y[i]) * share
        total /= n
        cf[_LOSS] += total
        cf[_ACCURACY] = hits(a[0], a[2], rows, width) if a[5] != 0 else np.nan
        if not abs(total) < np.inf:
            ci[_NONFINITE] = 1

    return operation


def _fused_sigmoid(dtype: str) -> Source:
    """Binary cross-entropy of a sigmoid: ``max(z, 0) - z y + log(1 + e^-|z|)``, gradient ``p - y``."""
    s = statistics(dtype)
    at, scalar, hits = s.at, s.kind, _hits(dtype)
    one = scalar(1)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[4]
        n = rows * width
        p = carray(at(a[0]), (n,))
        z = carray(at(a[1]), (n,))
        y = carray(at(a[2]), (n,))
        d = carray(at(a[3]), (n,))
        share = one / scalar(n)
        total = 0.0
        for i in range(n):
            v = np.float64(z[i])
            total += (v if v > 0.0 else v * 0.0) - v * np.float64(y[i]) + np.log1p(np.exp(-abs(v)))
            d[i] = (p[i] - y[i]) * share
        total /= n
        cf[_LOSS] += total
        cf[_ACCURACY] = hits(a[0], a[2], rows, width) if a[5] != 0 else np.nan
        if not abs(total) < np.inf:
            ci[_NONFINITE] = 1

    return operation


def _fused_softmax(dtype: str) -> Source:
    """Categorical cross-entropy of a softmax: ``log sum e^z - z_y``, gradient ``p - y``."""
    s = statistics(dtype)
    at, scalar, hits = s.at, s.kind, _hits(dtype)
    one = scalar(1)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[4]
        n = rows * width
        p = carray(at(a[0]), (n,))
        p_rows = carray(at(a[0]), (rows, width))
        z = carray(at(a[1]), (rows, width))
        y = carray(at(a[2]), (n,))
        y_rows = carray(at(a[2]), (rows, width))
        d = carray(at(a[3]), (n,))
        share = one / scalar(rows)
        total = 0.0
        for r in range(rows):
            top = z[r, 0]
            largest = p_rows[r, 0]
            for c in range(1, width):
                v = z[r, c]
                q = p_rows[r, c]
                top = v if v > top else top
                largest = q if q > largest else largest
            # The largest share is e^0 / sum: its logarithm gives that of the sum.
            log_sum = np.float64(top) - np.log(np.float64(largest))
            of_row = 0.0
            for c in range(width):
                t = np.float64(y_rows[r, c])
                # A plain product would turn 0 * inf into NaN, and so it should where the output is not finite.
                of_row += t * (log_sum - np.float64(z[r, c]))
            total += of_row
        for i in range(n):
            d[i] = (p[i] - y[i]) * share
        total /= rows
        cf[_LOSS] += total
        cf[_ACCURACY] = hits(a[0], a[2], rows, width) if a[5] != 0 else np.nan
        if not abs(total) < np.inf:
            ci[_NONFINITE] = 1

    return operation


def _categorical(dtype: str) -> Source:
    """Categorical cross-entropy on outputs that are no softmax, as Keras has it: normalised, then clipped."""
    s = statistics(dtype)
    at, scalar, hits = s.at, s.kind, _hits(dtype)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[4]
        rows * width
        p = carray(at(a[0]), (rows, width))
        y = carray(at(a[2]), (rows, width))
        d = carray(at(a[3]), (rows, width))
        total = 0.0
        for r in range(rows):
            mass = 0.0
            for c in range(width):
                mass += np.float64(p[r, c])
            inner = 0.0
            for c in range(width):
                share = np.float64(p[r, c]) / mass
                t = np.float64(y[r, c])
                kept = share if share > _EPSILON else (_EPSILON if share <= _EPSILON else share)
                kept = kept if kept < 1.0 - _EPSILON else (1.0 - _EPSILON if kept >= 1.0 - _EPSILON else kept)
                total -= t * np.log(kept)
                # Gradient with respect to the share; none where the clip holds it.
                g = -t / kept if kept == share else 0.0
                d[r, c] = scalar(g)
                inner += g * share
            for c in range(width):
                d[r, c] = scalar((np.float64(d[r, c]) - inner) / mass / rows)
        total /= rows
        cf[_LOSS] += total
        cf[_ACCURACY] = hits(a[0], a[2], rows, width) if a[5] != 0 else np.nan
        if not abs(total) < np.inf:
            ci[_NONFINITE] = 1

    return operation


def penalty(dtype: str, gradient: bool) -> Source:
    """Adds ``l1 sum |w| + l2 sum w^2`` to the loss, or its derivative to the gradient."""
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    zero, one, two = scalar(0), scalar(1), scalar(2)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        n = a[2]
        w = carray(at(a[0]), (n,))
        if gradient:
            g = carray(at(a[1]), (n,))
            l1 = scalar(f[0])
            l2 = scalar(f[1])
            for i in range(n):
                v = w[i]
                side = one if v > zero else (-one if v < zero else zero)
                g[i] += l1 * side + two * l2 * v
        else:
            total = 0.0
            squares = 0.0
            for i in range(n):
                v = np.float64(w[i])
                total += abs(v)
                squares += v * v
            cf[_LOSS] += f[0] * total + f[1] * squares

    return operation

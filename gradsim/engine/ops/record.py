"""Places in the record of a step, and the statistics that several operations write there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import carray, types

from gradsim.engine import sums
from gradsim.engine.jit import from_bits, inline, values_at
from gradsim.engine.layout import ACTIVATION_INF, ACTIVATION_MEAN, ACTIVATION_NAN, ACTIVATION_STD, NONFINITE
from gradsim.nn.spec import once

# Sums of squares outside of these bounds may have lost small terms or overflowed: sum again, scaled. float32 values
# never get there unless one is NaN or infinite.
TINY, HUGE = 1e-280, 1e300


@once
def statistics(dtype: str) -> SimpleNamespace:
    """Compiled helpers for arrays of a number format."""
    at = values_at(dtype)
    kind = np.dtype(dtype).type
    squares_and_top = sums.measure(dtype)

    @inline
    def careful(address: Any, n: Any) -> Any:
        """Norm and maximum of the finite values, and counts of NaN and Inf, without over- or underflow."""
        x = carray(at(address), (n,))
        nan = 0
        inf = 0
        top = 0.0
        for i in range(n):
            v = abs(np.float64(x[i]))
            if v != v:
                nan += 1
            elif v == np.inf:
                inf += 1
            elif v > top:
                top = v
        total = 0.0
        if top > 0.0:
            for i in range(n):
                v = np.float64(x[i]) / top
                if abs(v) <= 1.0:
                    total += v * v
        return top * np.sqrt(total), top, float(nan), float(inf)

    @inline
    def norm(address: Any, n: Any, total: Any, top: Any) -> Any:
        """Norm, maximum and counts from a sum of squares and a maximum taken in one quick pass."""
        if TINY < total < HUGE or top == 0.0:
            return np.sqrt(total), top, 0.0, 0.0
        return careful(address, n)

    @inline
    def measure(address: Any, n: Any) -> Any:
        """Norm, maximum and counts of an array."""
        total, top = squares_and_top(address, n)
        return norm(address, n, total, np.float64(from_bits(top)))

    @inline
    def put(out: Any, ci: Any, place: Any, columns: Any, values: Any) -> None:
        """Writes norm, maximum and counts of one kind (their columns) for the layer at ``place``."""
        out[place + columns[0]] = values[0]
        out[place + columns[1]] = values[1]
        out[place + columns[2]] = values[2]
        out[place + columns[3]] = values[3]
        if values[2] + values[3] > 0.0:
            ci[NONFINITE] = 1

    @inline
    def put_activation(out: Any, ci: Any, place: Any, address: Any, n: Any, total: Any, squares: Any) -> None:
        """Writes mean and deviation of the finite outputs of a layer, and counts of the others."""
        nan = 0.0
        inf = 0.0
        count = float(n)
        if not TINY < squares < HUGE:
            y = carray(at(address), (n,))
            total = 0.0
            count = 0.0
            top = 0.0
            for i in range(n):
                v = np.float64(y[i])
                if v != v:
                    nan += 1.0
                elif abs(v) == np.inf:
                    inf += 1.0
                else:
                    count += 1.0
                    top = max(top, abs(v))
            squares = 0.0
            mean = 0.0
            if top > 0.0:
                for i in range(n):
                    v = np.float64(y[i]) / top
                    if abs(v) <= 1.0:
                        total += v
                        squares += v * v
                mean = total / count
                out[place + ACTIVATION_MEAN] = mean * top
                out[place + ACTIVATION_STD] = top * np.sqrt(max(squares / count - mean * mean, 0.0))
            else:
                out[place + ACTIVATION_MEAN] = 0.0 if count > 0.0 else np.nan
                out[place + ACTIVATION_STD] = 0.0 if count > 0.0 else np.nan
        else:
            mean = total / count
            variance = squares / count - mean * mean
            if variance < 1e-6 * mean * mean:
                # The difference of two nearly equal sums: take the mean off first.
                y = carray(at(address), (n,))
                variance = 0.0
                for i in range(n):
                    d = np.float64(y[i]) - mean
                    variance += d * d
                variance /= count
            out[place + ACTIVATION_MEAN] = mean
            out[place + ACTIVATION_STD] = np.sqrt(max(variance, 0.0))
        out[place + ACTIVATION_NAN] = nan
        out[place + ACTIVATION_INF] = inf
        if nan + inf > 0.0:
            ci[NONFINITE] = 1

    @inline
    def record_activation(out: Any, ci: Any, place: Any, address: Any, n: Any) -> None:
        """As ``put_activation``, with the sums taken here."""
        y = carray(at(address), (n,))
        total = 0.0
        squares = 0.0
        for i in range(n):
            v = np.float64(y[i])
            total += v
            squares += v * v
        put_activation(out, ci, place, address, n, total, squares)

    return SimpleNamespace(
        at=at,
        kind=kind,
        float=getattr(types, dtype),
        squares_and_top=squares_and_top,
        norm=norm,
        measure=measure,
        put=put,
        put_activation=put_activation,
        record_activation=record_activation,
    )

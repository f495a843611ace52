"""The compiled loop that runs a program: one operation after the other, step after step."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gradsim.engine.operations import function

Program = np.ndarray[Any, np.dtype[np.int64]]


@functools.cache
def prepare() -> Any:
    """The compiled loop, as a foreign function.

    A foreign call without the GIL: this is where training leaves the other threads alone.
    """
    return function("loop.run")


def run(
    program: Program,
    context: np.ndarray[Any, np.dtype[np.int64]],
    figures: np.ndarray[Any, np.dtype[np.float64]],
    record: np.ndarray[Any, np.dtype[np.float64]],
    *,
    steps: int = 1,
    stop_on_nonfinite: bool = False,
) -> int:
    """Runs a program for some steps, without the GIL.

    Args:
        program: Shape ``(operations, RECORD_WORDS)``.
        context: Integer context, changed in place.
        figures: Shape ``(steps, Figures.SIZE)``: coefficients of each step in, loss and the rest out.
        record: Shape ``(steps, layers, columns)``, or ``(0, layers, columns)`` strides for a scratch record.
        stop_on_nonfinite: End after the step in which the first NaN or Inf occurs.

    Returns:
        Steps done.
    """
    stride = record[0].size if len(record) > 1 else 0
    if len(figures) < steps or (stride and len(record) < steps):
        raise ValueError(f"{steps} steps need as many rows; received {len(figures)} figures, {len(record)} records")
    arguments = np.array([program.ctypes.data, len(program), steps, stride, int(stop_on_nonfinite), 0], np.int64)
    prepare()(arguments.ctypes.data, None, context.ctypes.data, figures.ctypes.data, record.ctypes.data)
    return int(arguments[5])

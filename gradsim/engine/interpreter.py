"""The compiled loop that runs a program: one operation after the other, step after step."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from gradsim.engine.layout import Loop
from gradsim.engine.operations import function, operation

Program = np.ndarray[Any, np.dtype[np.int64]]
Sink = np.ndarray[Any, np.dtype[np.int64]]
"""Arguments of "intake.take"; :func:`gradsim.engine.intake.sink` makes them."""


@functools.cache
def prepare() -> Any:
    """The compiled loop, as a foreign function.

    A foreign call without the GIL: this is where training leaves the other threads alone.
    """
    return function("loop.run")


class Ran(NamedTuple):
    """What came of running a program."""

    steps: int
    """How many were done."""
    counted: bool
    """Whether something was counted in what the sink took."""


def run(
    program: Program,
    context: np.ndarray[Any, np.dtype[np.int64]],
    figures: np.ndarray[Any, np.dtype[np.float64]],
    record: np.ndarray[Any, np.dtype[np.float64]],
    *,
    steps: int = 1,
    stop_on_nonfinite: bool = False,
    sink: Sink | None = None,
) -> Ran:
    """Runs a program for some steps, without the GIL.

    Args:
        program: Shape ``(operations, RECORD_WORDS)``.
        context: Integer context, changed in place.
        figures: Shape ``(steps, Figures.SIZE)``: coefficients of each step in, loss and the rest out.
        record: Shape ``(steps, layers, columns)``; ``(1, layers, columns)`` for one that each step writes over; with a
            sink, any number of records.
        stop_on_nonfinite: End after the step in which the first NaN or Inf occurs.
        sink: Where the records go as soon as there are ``len(record)`` of them, and at the end.
    """
    stride = record[0].size if len(record) > 1 else 0
    if len(figures) < steps or (stride and len(record) < steps and sink is None):
        raise ValueError(f"{steps} steps need as many rows; received {len(figures)} figures, {len(record)} records")
    arguments = np.zeros(Loop.SIZE, np.int64)
    arguments[Loop.PROGRAM], arguments[Loop.LENGTH] = program.ctypes.data, len(program)
    arguments[Loop.STEPS], arguments[Loop.STOP], arguments[Loop.STRIDE] = steps, stop_on_nonfinite, stride
    if sink is not None:
        arguments[Loop.KEPT] = len(record)
        arguments[Loop.TAKE], arguments[Loop.SINK] = operation("intake.take"), sink.ctypes.data
    prepare()(arguments.ctypes.data, None, context.ctypes.data, figures.ctypes.data, record.ctypes.data)
    return Ran(int(arguments[Loop.DONE]), bool(arguments[Loop.COUNTED]))

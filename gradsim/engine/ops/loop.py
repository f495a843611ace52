"""The loop of a program: one operation after the other, step after step."""

from __future__ import annotations

from typing import Any

from numba import carray

from gradsim.engine.jit import Source, address_of, call_operation, ints_at
from gradsim.engine.layout import INT_ARGUMENTS, NONFINITE, RECORD_WORDS, WORD, Context, Figures

_STEP = int(Context.STEP)
_FIGURES = int(Figures.SIZE)


def run() -> Source:
    """``a``: address of the program, its length, steps, length of a step's record, whether to stop at the first
    NaN or Inf; and, as a result, the steps done."""
    words, width = RECORD_WORDS, WORD
    floats = (1 + INT_ARGUMENTS) * WORD

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        program = a[0]
        length = a[1]
        steps = a[2]
        context = address_of(ci)
        done = 0
        for step in range(steps):
            figures = address_of(cf) + step * _FIGURES * width
            record = address_of(out) + step * a[3] * width
            for k in range(length):
                here = program + k * words * width
                function = carray(ints_at(here), (1,))[0]
                call_operation(function, here + width, here + floats, context, figures, record)
            ci[_STEP] += 1
            done += 1
            if a[4] != 0 and ci[NONFINITE] != 0:
                break
        a[5] = done

    return operation

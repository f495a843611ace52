"""The loop of a program: one operation after the other, step after step."""

from __future__ import annotations

from typing import Any

from numba import carray

from gradsim.engine.jit import Source, address_of, call_operation, ints_at
from gradsim.engine.layout import INT_ARGUMENTS, NONFINITE, RECORD_WORDS, WORD, Context, Figures, Loop, Take

_STEP = int(Context.STEP)
_FIGURES = int(Figures.SIZE)


def run() -> Source:
    """Runs a program for some steps and hands over what is recorded; arguments: :class:`Loop`."""
    words, width = RECORD_WORDS, WORD
    floats = (1 + INT_ARGUMENTS) * WORD
    PROGRAM, LENGTH, STEPS, STOP, STRIDE = map(int, (Loop.PROGRAM, Loop.LENGTH, Loop.STEPS, Loop.STOP, Loop.STRIDE))
    KEPT, TAKE, SINK, DONE, COUNTED = map(int, (Loop.KEPT, Loop.TAKE, Loop.SINK, Loop.DONE, Loop.COUNTED))
    TAKE_SIZE = int(Take.SIZE)
    TAKE_N, TAKE_LAYERS, TAKE_RING, TAKE_COUNTED = map(int, (Take.N, Take.LAYERS, Take.RING, Take.COUNTED))

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        program = a[PROGRAM]
        length = a[LENGTH]
        steps = a[STEPS]
        stride = a[STRIDE] * width
        sink = a[SINK]
        take = carray(ints_at(sink), (TAKE_SIZE,))
        context = address_of(ci)
        figures = address_of(cf)
        record = address_of(out)
        waiting = 0
        done = 0
        counted = 0
        while done < steps:
            for k in range(length):
                here = program + k * words * width
                function = carray(ints_at(here), (1,))[0]
                call_operation(function, here + width, here + floats, context, figures, record)
            ci[_STEP] += 1
            done += 1
            figures += _FIGURES * width
            record += stride
            stopped = a[STOP] != 0 and ci[NONFINITE] != 0
            if sink != 0:
                waiting += 1
                if waiting == a[KEPT] or done == steps or stopped:
                    take[TAKE_N] = waiting
                    call_operation(a[TAKE], sink, sink, context, context, context)
                    take[TAKE_RING] += waiting * take[TAKE_LAYERS] * width
                    counted += take[TAKE_COUNTED]
                    waiting = 0
                    record = address_of(out)
            if stopped:
                break
        a[DONE] = done
        a[COUNTED] = counted

    return operation

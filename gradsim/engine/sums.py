"""What is recorded of every array, in explicit vectors: the sum of its squares and its largest magnitude.

It is the largest part of what recording costs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from gradsim.engine.vectors import VECTOR, Lanes, constant
from gradsim.nn.spec import once

_TOGETHER = 2
"""Vectors of one turn of the loop: a sum waits for the one before it, so that there have to be several."""

_WORD, _INDEX, _DOUBLE = ir.IntType(64), ir.IntType(32), ir.DoubleType()
_FUSED = ("contract", "reassoc", "nsz")


class _Vectors:
    """The vectors of a number format, and how a stretch of an array is added to sums and maxima."""

    def __init__(self, dtype: str) -> None:
        self.itemsize = np.dtype(dtype).itemsize
        self.lanes = VECTOR // self.itemsize
        self.parts = 8 // self.itemsize
        """Vectors of float64 that hold one of the format."""
        single = dtype == "float32"
        scalar, self.integer = (ir.FloatType(), ir.IntType(32)) if single else (_DOUBLE, _WORD)
        self.values, self.bits = ir.VectorType(scalar, self.lanes), ir.VectorType(self.integer, self.lanes)
        self.piece = ir.VectorType(scalar, self.lanes // self.parts)
        self.wide = ir.VectorType(_DOUBLE, self.lanes // self.parts)
        self.sums = [constant(self.wide, 0.0)] * (_TOGETHER * self.parts)
        self.tops = [constant(self.bits, 0)] * _TOGETHER

    @property
    def stretch(self) -> int:
        """Entries of one turn of the loop."""
        return _TOGETHER * self.lanes

    def taken(self, builder: Any, at: Any, again: Any, left: Any, state: Sequence[Any]) -> list[Any]:
        """Sums and maxima with one stretch more; ``left``: how many of its entries exist, or None for all."""
        sums, tops = list(state[: len(self.sums)]), list(state[len(self.sums) :])
        magnitude = constant(self.bits, (1 << (self.integer.width - 1)) - 1)

        def load(vector: Any, address: Any, first: int) -> Any:
            rest = None if left is None else builder.sub(left, ir.Constant(_WORD, first))
            return Lanes(builder, vector, self.itemsize, rest).load(
                builder.add(address, ir.Constant(_WORD, first * self.itemsize))
            )

        for v in range(_TOGETHER):
            found = load(self.values, at, v * self.lanes)
            tops[v] = _larger(builder, builder.and_(builder.bitcast(found, self.bits), magnitude), tops[v])
            for part in range(self.parts):
                number = v * self.parts + part
                if self.parts == 1:
                    piece = found
                else:
                    narrow = load(self.piece, again, number * (self.lanes // self.parts))
                    piece = builder.fpext(narrow, self.wide)
                square = builder.fmul(piece, piece, flags=_FUSED)
                sums[number] = builder.fadd(square, sums[number], flags=_FUSED)
        return [*sums, *tops]


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_signed(">", a, b), a, b)


def _sum(builder: Any, a: Any, b: Any) -> Any:
    return builder.fadd(a, b, flags=_FUSED)


def _folded(builder: Any, vector: Any, join: Callable[[Any, Any, Any], Any]) -> Any:
    """One value of all entries of a vector."""
    count = vector.type.count
    while count > 1:
        count //= 2
        halves = []
        for first in (0, count):
            order = [ir.Constant(_INDEX, first + k) for k in range(count)]
            none = ir.Constant(vector.type, ir.Undefined)
            halves.append(builder.shuffle_vector(vector, none, ir.Constant(ir.VectorType(_INDEX, count), order)))
        vector = join(builder, *halves)
    return builder.extract_element(vector, ir.Constant(_INDEX, 0))


@once
def measure(dtype: str) -> Any:
    """The intrinsic ``(address, n)``: sum of the squares of ``n`` values, in float64, and the largest of their
    magnitudes, as bits.

    The order of the bits is that of the values, with Inf and NaN on top, so that no NaN is overlooked.

    A float32 is widened on its way from memory, which costs half of widening it in a register: there the upper half of
    a vector has to be brought down first.
    """
    vectors = _Vectors(dtype)
    stretch, step = (ir.Constant(_WORD, size) for size in (vectors.stretch, vectors.stretch * vectors.itemsize))

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, n = arguments
        again = address
        if vectors.parts > 1:
            # The same address; the compiler must not see that, or it widens what it has in a register already.
            again = builder.asm(ir.FunctionType(_WORD, [_WORD]), "", "=r,0", [address], False)
        before = builder.block
        loop, tail, rest, done = (builder.append_basic_block(name) for name in ("stretch", "tail", "rest", "measured"))
        begin = [address, again, n, *vectors.sums, *vectors.tops]
        builder.cbranch(builder.icmp_signed(">=", n, stretch), loop, tail)

        def joined(*sources: tuple[Any, Sequence[Any]]) -> list[Any]:
            """What comes from either block."""
            phis = [builder.phi(value.type) for value in sources[0][1]]
            for block, values in sources:
                for phi, value in zip(phis, values, strict=True):
                    phi.add_incoming(value, block)
            return phis

        builder.position_at_end(loop)
        here = joined((before, begin))
        at, at_again, left, *state = here
        following = [builder.add(at, step), builder.add(at_again, step), builder.sub(left, stretch)]
        following += vectors.taken(builder, at, at_again, None, state)
        for phi, value in zip(here, following, strict=True):
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed(">=", following[2], stretch), loop, tail)

        builder.position_at_end(tail)
        at, at_again, left, *state = joined((before, begin), (loop, following))
        builder.cbranch(builder.icmp_signed(">", left, ir.Constant(_WORD, 0)), rest, done)

        builder.position_at_end(rest)
        last = vectors.taken(builder, at, at_again, left, state)
        builder.branch(done)

        builder.position_at_end(done)
        ends = joined((tail, state), (rest, last))
        total = functools.reduce(functools.partial(_sum, builder), ends[: len(vectors.sums)])
        top = functools.reduce(functools.partial(_larger, builder), ends[len(vectors.sums) :])
        values = [_folded(builder, total, _sum), _folded(builder, top, _larger)]
        return context.make_tuple(builder, signature.return_type, values)

    @intrinsic
    def measured(typingctx: Any, address: Any, n: Any) -> Any:
        bits = types.int32 if dtype == "float32" else types.int64
        return types.Tuple([types.float64, bits])(types.int64, types.int64), codegen

    return measured

"""Functions from a table: AVX-512 finds sixteen of thirty-two entries in one instruction.

The range is cut into equal pieces and each has a polynomial of its own, so that neither an exponential nor a division
is needed. LLVM's loop vectoriser does not come upon that, so the vectors are spelled out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from gradsim.engine import vectors
from gradsim.engine.jit import EXACT
from gradsim.engine.vectors import constant
from gradsim.nn import activations
from gradsim.nn.spec import once

LANES = 16
PIECES = 32
DEGREE = 5
"""The polynomials of tanh are within 4e-8 of it, half of what float32 can tell apart near 1."""


class Table(NamedTuple):
    """An odd function that ends at plus or minus 1.

    Attributes:
        scale: Pieces per unit of ``x``; piece ``i`` reaches from ``(i - 0.5) / scale`` to ``(i + 0.5) / scale``.
        coefficients: Shape ``(DEGREE + 1, PIECES)``: of powers of the place in a piece (-0.5 to 0.5), constants first.
    """

    scale: np.float32
    coefficients: NDArray[np.float32]


@once
def tanh_table() -> Table:
    """tanh up to 9.1, from where on float32 knows only 1; interpolated at the Chebyshev points of each piece."""
    scale = np.float32((PIECES - 1) / 9.1)
    found = np.zeros((DEGREE + 1, PIECES))
    for piece in range(PIECES):
        series = chebyshev.chebinterpolate(lambda t, piece=piece: np.tanh((piece + t / 2) / scale), DEGREE)  # type: ignore[misc]
        found[:, piece] = chebyshev.cheb2poly(series) * 2.0 ** np.arange(DEGREE + 1)
    # An odd function: what interpolation leaves here would be all of tanh(x) for small x.
    found[0, 0] = 0.0
    return Table(scale, found.astype(np.float32))


TABLES: Mapping[type[activations.Activation], Any] = MappingProxyType({activations.Tanh: tanh_table})


def table(kind: type[activations.Activation], dtype: str) -> Table | None:
    """The table of an activation; None if it has none, or the processor that is compiled for can't look it up."""
    return TABLES[kind]() if kind in TABLES and dtype == "float32" and vectors.wide() else None


def function(found: Table, biased: bool, in_place: bool, masked: bool) -> Any:
    """The function ``(z, bias, y, entries)``: ``Z += bias; Y = f(Z)`` for :data:`LANES` entries; NaN stays.

    All arguments are int64: addresses and, if masked, how many of the entries exist. Where Z and Y are one
    (``in_place``) the sum is not kept; the bias is not read unless ``biased``.
    """
    floats, integers = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(32), LANES)
    fused = ("contract",)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        z, bias, y, entries = arguments
        lanes = vectors.Lanes(builder, floats, 4, entries if masked else None)
        x = lanes.load(z)
        if biased:
            x = builder.fadd(x, lanes.load(bias))
            if not in_place:
                lanes.store(x, z)
        bits = builder.bitcast(x, integers)
        sign = builder.and_(bits, constant(integers, -(2**31)))
        size = builder.bitcast(builder.xor(bits, sign), floats)
        # A comparison with NaN is false, and NaN stays.
        last = constant(floats, float(np.float32((PIECES - 1) / float(found.scale))))
        size = builder.select(builder.fcmp_ordered("<", last, size), last, size)
        # Added to 2^23 a number loses its fraction, and the piece stands in the lowest bits.
        shift, scale = constant(floats, 2.0**23), constant(floats, float(found.scale))
        shifted = builder.fadd(builder.fmul(size, scale, flags=fused), shift, flags=fused)
        piece = builder.bitcast(shifted, integers)
        place = builder.fsub(builder.fmul(size, scale, flags=fused), builder.fsub(shifted, shift), flags=fused)
        kind = ir.FunctionType(floats, [floats, integers, floats])
        pick = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpermi2var.ps.512")

        def coefficient(power: int) -> Any:
            values = [ir.Constant(floats.element, float(v)) for v in found.coefficients[power]]
            return builder.call(pick, [ir.Constant(floats, values[:LANES]), piece, ir.Constant(floats, values[LANES:])])

        value = coefficient(DEGREE)
        for power in reversed(range(DEGREE)):
            value = builder.fadd(builder.fmul(value, place, flags=fused), coefficient(power), flags=fused)
        signed = builder.bitcast(builder.or_(builder.bitcast(value, integers), sign), floats)
        lanes.store(signed, y)
        return context.get_dummy_value()

    @intrinsic
    def looked_up(typingctx: Any, z: Any, bias: Any, y: Any, entries: Any) -> Any:
        return types.void(*[types.int64] * 4), codegen

    # The fraction that is taken off and put back would be lost to "reassoc".
    return numba.njit(fastmath=EXACT)(lambda z, bias, y, entries: looked_up(z, bias, y, entries))

"""Compiling operations: the flags, the signature, and the pointer intrinsics they are written with.

See :mod:`gradsim.engine.layout` for how an operation is called.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.core.typing import Signature
from numba.extending import intrinsic

from gradsim.engine.store import MACHINES

# Never fastmath=True: "nnan" and "ninf" let the compiler drop the search for NaN and Inf, which is the job here.
FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}
# Range reductions lose their second constant to "reassoc", so the elementary functions go without.
EXACT = {"nsz", "contract"}


def _use_whole_registers() -> None:
    """LLVM fills half of an AVX-512 register, since on the first such processors whole ones slowed down what came
    after. Here the products use whole ones anyway, and a step takes 14 % longer if the other loops do not."""
    if platform.machine().lower() in MACHINES:
        chosen = llvm.get_host_cpu_features().flatten() if config.CPU_FEATURES is None else config.CPU_FEATURES
        config.CPU_FEATURES = ",".join(filter(None, (chosen, "-prefer-256-bit")))


_use_whole_registers()

INTS = types.CPointer(types.int64)
FLOATS = types.CPointer(types.float64)
Source = Callable[..., None]
"""An operation before it is compiled."""

OPERATION = types.void(INTS, FLOATS, INTS, FLOATS, FLOATS)


def inline(function: Callable[..., Any]) -> Any:
    """A scalar helper for use inside operations."""
    return numba.njit(fastmath=FAST, error_model="numpy")(function)


def compiled(function: Callable[..., None]) -> tuple[int, str, bytes, Any]:
    """Compiles an operation.

    Args:
        function: ``(a, f, ci, cf, out)``, written for numba's nopython mode.

    Returns:
        Its address, its name in the object code, the object code, and what has to be kept alive.
    """
    # Typed as anything: name and library are not public, and numba's own cache is built on them.
    made: Any = CFunc(
        function,
        (OPERATION.args, OPERATION.return_type),
        {},
        {"fastmath": FAST, "error_model": "numpy", "nopython": True},
    )
    made.compile()
    code = made._library.serialize_using_object_code()[2][0]
    return int(made.address), made._wrapper_name, code, made


def _pointer(kind: Any) -> Any:
    @intrinsic
    def at(typingctx: Any, address: Any) -> Any:
        signature: Signature = types.CPointer(kind)(types.int64)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return signature, codegen

    return at


_POINTERS = {types.float32: _pointer(types.float32), types.float64: _pointer(types.float64)}

floats_at = _POINTERS[types.float64]
ints_at = _pointer(types.int64)
counts_at = _pointer(types.uint32)


def values_at(dtype: str) -> Any:
    """The intrinsic that turns an address into a pointer to "float32" or "float64"."""
    return _POINTERS[getattr(types, dtype)]


def _address_intrinsic() -> Any:
    @intrinsic
    def address_of(typingctx: Any, pointer: Any) -> Any:
        signature: Signature = types.int64(pointer)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.ptrtoint(arguments[0], ir.IntType(64))

        return signature, codegen

    return address_of


address_of = _address_intrinsic()


@intrinsic
def call_operation(typingctx: Any, function: Any, a: Any, f: Any, ci: Any, cf: Any, out: Any) -> Any:
    """Calls the operation at an address; all arguments are addresses."""
    signature: Signature = types.void(*[types.int64] * 6)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 5)
        target = builder.inttoptr(arguments[0], kind.as_pointer())
        builder.call(target, [builder.inttoptr(argument, pointer) for argument in arguments[1:]])
        return context.get_dummy_value()

    return signature, codegen


_WORD = ir.IntType(64)


def _word_at(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _WORD.as_pointer())


@intrinsic
def atomic_add(typingctx: Any, address: Any, value: Any) -> Any:
    """Adds to the int64 at an address and gives what was there before, as one event that all threads see alike."""
    signature: Signature = types.int64(types.int64, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", _word_at(builder, arguments[0]), arguments[1], "seq_cst")

    return signature, codegen


@intrinsic
def atomic_load(typingctx: Any, address: Any) -> Any:
    """The int64 at an address; what was written before it is seen after this."""
    signature: Signature = types.int64(types.int64)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_word_at(builder, arguments[0]), "seq_cst", 8)

    return signature, codegen


@intrinsic
def atomic_store(typingctx: Any, address: Any, value: Any) -> Any:
    """Writes the int64 at an address; whoever sees it sees what was written before."""
    signature: Signature = types.void(types.int64, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[1], _word_at(builder, arguments[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def pause(typingctx: Any) -> Any:
    """Tells the processor that this thread only waits: the other thread of the core gets more of it."""
    signature: Signature = types.void()

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if platform.machine().lower() in MACHINES:
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), _PAUSE), [])
        return context.get_dummy_value()

    return signature, codegen


_PAUSE = ir.FunctionType(ir.VoidType(), ())


@intrinsic
def give_way(typingctx: Any) -> Any:
    """Lets another thread have the processor, which may be the one that is waited for."""
    signature: Signature = types.void()

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), ()), name), [])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def floor(typingctx: Any, x: Any) -> Any:
    """The next lower whole number, as a float of the same kind; unlike ``math.floor`` it vectorises."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = builder.module.declare_intrinsic("llvm.floor", [arguments[0].type])
        return builder.call(function, arguments)

    return x(x), codegen


def _layout(kind: Any) -> tuple[Any, int, int, float]:
    """Integer type, bias, width of the fraction and the rounding constant of a float type."""
    if kind == ir.FloatType():
        return ir.IntType(32), 127, 23, 12582912.0
    return ir.IntType(64), 1023, 52, 6755399441055744.0


@intrinsic
def two_to(typingctx: Any, n: Any) -> Any:
    """``2**n`` for a float that holds a whole number within the exponent's range.

    The number is read from the low bits after adding a constant, which is defined for every input, NaN included,
    where a conversion to an integer is not.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        integer, bias, fraction, constant = _layout(kind)
        bits = builder.bitcast(builder.fadd(arguments[0], ir.Constant(kind, constant)), integer)
        exponent = builder.shl(builder.add(bits, ir.Constant(integer, bias)), ir.Constant(integer, fraction))
        return builder.bitcast(exponent, kind)

    return n(n), codegen


@intrinsic
def from_bits(typingctx: Any, bits: Any) -> Any:
    """The float whose bits an int32 or int64 holds."""
    result = types.float32 if bits == types.int32 else types.float64

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FloatType() if arguments[0].type.width == 32 else ir.DoubleType()
        return builder.bitcast(arguments[0], kind)

    return result(bits), codegen

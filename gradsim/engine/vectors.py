"""Explicit vectors: the inner kernels of a matrix product, of copies and of a transposition, as intrinsics.

LLVM's loop vectoriser does not find the register tiling that a matrix product lives on, so the tile is spelled out:
``rows`` x ``vectors`` accumulators stay in registers while the kernel walks along the inner dimension.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from gradsim.engine.store import processor
from gradsim.nn.spec import once

VECTOR = 64
"""Bytes of a vector: one register with AVX-512, two with AVX2."""

SHORT = 32
"""Up to so many steps along the inner dimension it does not pay to ask for the result's lines first."""


@once
def wide() -> bool:
    """Whether the processor that is compiled for has AVX-512."""
    name = processor()
    if name == llvm.get_host_cpu_name():
        left_out = "-avx512f" in (config.CPU_FEATURES or "").split(",")
        return bool(llvm.get_host_cpu_features().get("avx512f", False)) and not left_out
    return "v4" in name


@once
def tile() -> tuple[int, int]:
    """Rows and vectors of the register tile that fits the processor."""
    return (8, 2) if wide() else (4, 1)


class Lanes:
    """Reads and writes vectors at addresses (int64): all of their entries, or only the first ones."""

    def __init__(self, builder: Any, vector: Any, itemsize: int, entries: Any = None) -> None:
        self._builder, self._vector, self._itemsize = builder, vector, itemsize
        self._mask = None
        if entries is not None:
            word, count = ir.IntType(64), vector.count
            numbers = ir.Constant(ir.VectorType(word, count), [ir.Constant(word, n) for n in range(count)])
            self._mask = builder.icmp_signed("<", numbers, splat(builder, entries, count))

    def load(self, address: Any) -> Any:
        """A vector; entries that do not exist are 0."""
        pointer = self._builder.inttoptr(address, self._vector.as_pointer())
        if self._mask is None:
            return self._builder.load(pointer, align=self._itemsize)
        return self._masked("load", self._vector, pointer, self._align(), self._mask, constant(self._vector, 0.0))

    def store(self, value: Any, address: Any) -> None:
        """Writes a vector, but not over what does not belong to it."""
        pointer = self._builder.inttoptr(address, self._vector.as_pointer())
        if self._mask is None:
            self._builder.store(value, pointer, align=self._itemsize)
        else:
            self._masked("store", ir.VoidType(), value, pointer, self._align(), self._mask)

    def _align(self) -> Any:
        return ir.Constant(ir.IntType(32), self._itemsize)

    def _masked(self, name: str, result: Any, *arguments: Any) -> Any:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        full = f"llvm.masked.{name}.v{self._vector.count}f{8 * self._itemsize}.p0"
        return self._builder.call(cgutils.get_or_insert_function(self._builder.module, kind, full), arguments)


def constant(vector: Any, value: float) -> Any:
    """A constant vector of one value."""
    return ir.Constant(vector, [ir.Constant(vector.element, value)] * vector.count)


def splat(builder: Any, value: Any, lanes: int) -> Any:
    """A vector of one value."""
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    order = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [ir.Constant(ir.IntType(32), 0)] * lanes)
    return builder.shuffle_vector(first, undefined, order)


def _prefetch(builder: Any, address: Any, *, writes: bool = False) -> None:
    """Asks for the cache line at an address (int64), to read it or to write there."""
    flag = ir.IntType(32)
    pointer = builder.inttoptr(address, ir.IntType(8).as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [pointer, *(ir.Constant(flag, value) for value in (int(writes), 3, 1))])


@once
def kernel(dtype: str, rows: int, vectors: int, masked: bool) -> Any:
    """The intrinsic ``(a, a_row, a_inner, b, b_inner, c, c_row, inner, columns, onto)``.

    ``C = A B``, or ``C += A B`` if ``onto`` is not 0, for a tile of ``rows`` rows and ``vectors`` vectors of columns;
    A is read with any strides, B and C have contiguous columns. All arguments are int64: addresses, strides in bytes,
    the inner dimension (at least 1) and, if masked, how many of the columns exist.
    """
    itemsize = np.dtype(dtype).itemsize
    lanes = VECTOR // itemsize
    scalar = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    vector = ir.VectorType(scalar, lanes)
    word = ir.IntType(64)
    fused = ("contract", "nsz")

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, a_row, a_inner, b, b_inner, c, c_row, inner, columns, onto = arguments
        access = Lanes(builder, vector, itemsize, columns if masked else None)
        load, store = access.load, access.store
        # C comes from afar where it is not added to; by the end of a long sum it will be here.
        with builder.if_then(builder.icmp_signed(">", inner, ir.Constant(word, SHORT))):
            place = c
            for row in range(rows):
                for v in range(vectors):
                    _prefetch(builder, builder.add(place, ir.Constant(word, v * VECTOR)), writes=True)
                if row + 1 < rows:
                    place = builder.add(place, c_row)
        before = builder.block
        more = builder.append_basic_block("onto")
        loop = builder.append_basic_block("inner")
        done = builder.append_basic_block("done")
        zero = constant(vector, 0.0)
        builder.cbranch(builder.icmp_signed("!=", onto, ir.Constant(word, 0)), more, loop)
        builder.position_at_end(more)
        present = []
        place = c
        for _ in range(rows):
            present += [load(builder.add(place, ir.Constant(word, v * VECTOR))) for v in range(vectors)]
            place = builder.add(place, c_row)
        builder.branch(loop)
        builder.position_at_end(loop)
        count = builder.phi(word)
        at_a, at_b = builder.phi(word), builder.phi(word)
        sums = [builder.phi(vector) for _ in range(rows * vectors)]
        loaded = [load(builder.add(at_b, ir.Constant(word, v * VECTOR))) for v in range(vectors)]
        after = []
        place = at_a
        for row in range(rows):
            value = builder.load(builder.inttoptr(place, scalar.as_pointer()), align=itemsize)
            spread = splat(builder, value, lanes)
            for v in range(vectors):
                product = builder.fmul(spread, loaded[v], flags=fused)
                after.append(builder.fadd(product, sums[row * vectors + v], flags=fused))
            if row + 1 < rows:
                place = builder.add(place, a_row)
        left = builder.sub(count, ir.Constant(word, 1))
        next_a, next_b = builder.add(at_a, a_inner), builder.add(at_b, b_inner)
        for phi, start, following in ((count, inner, left), (at_a, a, next_a), (at_b, b, next_b)):
            phi.add_incoming(start, before)
            phi.add_incoming(start, more)
            phi.add_incoming(following, loop)
        for phi, start, following in zip(sums, present, after, strict=True):
            phi.add_incoming(zero, before)
            phi.add_incoming(start, more)
            phi.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed(">", left, ir.Constant(word, 0)), loop, done)
        builder.position_at_end(done)
        place = c
        for row in range(rows):
            for v in range(vectors):
                store(after[row * vectors + v], builder.add(place, ir.Constant(word, v * VECTOR)))
            place = builder.add(place, c_row)
        return context.get_dummy_value()

    @intrinsic
    def tile_product(
        typingctx: Any, a: Any, a_row: Any, a_inner: Any, b: Any, b_inner: Any, c: Any, c_row: Any, inner: Any,
        columns: Any, onto: Any,
    ) -> Any:  # fmt: skip
        return types.void(*[types.int64] * 10), codegen

    return tile_product


@once
def move(dtype: str, masked: bool) -> Any:
    """The intrinsic ``(source, target, entries)``: copies a vector, or its first ``entries`` if masked; all int64."""
    itemsize = np.dtype(dtype).itemsize
    vector = ir.VectorType(ir.FloatType() if dtype == "float32" else ir.DoubleType(), VECTOR // itemsize)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target, entries = arguments
        lanes = Lanes(builder, vector, itemsize, entries if masked else None)
        lanes.store(lanes.load(source), target)
        return context.get_dummy_value()

    @intrinsic
    def moved(typingctx: Any, source: Any, target: Any, entries: Any) -> Any:
        return types.void(*[types.int64] * 3), codegen

    return moved


@once
def ask() -> Any:
    """The intrinsic ``(address)``: asks for a cache line that will be read."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _prefetch(builder, arguments[0])
        return context.get_dummy_value()

    @intrinsic
    def asked(typingctx: Any, address: Any) -> Any:
        return types.void(types.int64), codegen

    return asked


@once
def strip(dtype: str, entries: int) -> Any:
    """The intrinsic ``(source, source_row, target, rows)``: copies a strip of ``entries`` columns, row behind row.

    What lies to the right of the strip is asked for on the way. Addresses, stride in bytes, at least one row; int64.
    """
    itemsize = np.dtype(dtype).itemsize
    width = entries * itemsize
    vector = ir.VectorType(ir.FloatType() if dtype == "float32" else ir.DoubleType(), entries)
    word = ir.IntType(64)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, source_row, target, rows = arguments
        before = builder.block
        loop, done = builder.append_basic_block("row"), builder.append_basic_block("copied")
        builder.branch(loop)
        builder.position_at_end(loop)
        count, at, to = builder.phi(word), builder.phi(word), builder.phi(word)
        value = builder.load(builder.inttoptr(at, vector.as_pointer()), align=itemsize)
        builder.store(value, builder.inttoptr(to, vector.as_pointer()), align=itemsize)
        for line in range(0, width, VECTOR):
            _prefetch(builder, builder.add(at, ir.Constant(word, width + line)))
        left = builder.sub(count, ir.Constant(word, 1))
        following = left, builder.add(at, source_row), builder.add(to, ir.Constant(word, width))
        for phi, start, value in zip((count, at, to), (rows, source, target), following, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed(">", left, ir.Constant(word, 0)), loop, done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    @intrinsic
    def copy(typingctx: Any, source: Any, source_row: Any, target: Any, rows: Any) -> Any:
        return types.void(*[types.int64] * 4), codegen

    return copy


@once
def transposition(dtype: str) -> Any:
    """The intrinsic ``(source, source_row, target, target_row, ahead)``: transposes a square of a vector's lanes.

    What lies ``ahead`` of each row is asked for on the way. Addresses, strides and distance in bytes, int64.
    """
    itemsize = np.dtype(dtype).itemsize
    lanes = VECTOR // itemsize
    scalar = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    vector = ir.VectorType(scalar, lanes)
    index = ir.IntType(32)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, source_row, target, target_row, ahead = arguments
        rows = []
        for _ in range(lanes):
            _prefetch(builder, builder.add(source, ahead))
            rows.append(builder.load(builder.inttoptr(source, vector.as_pointer()), align=itemsize))
            source = builder.add(source, source_row)
        # Blocks off the diagonal change places, from the largest to single entries.
        distance = lanes // 2
        while distance:
            low = [n if not n & distance else lanes + n - distance for n in range(lanes)]
            high = [n + distance if not n & distance else lanes + n for n in range(lanes)]
            orders = [ir.Constant(ir.VectorType(index, lanes), [ir.Constant(index, n) for n in o]) for o in (low, high)]
            for i in range(lanes):
                if not i & distance:
                    pair = rows[i], rows[i + distance]
                    rows[i], rows[i + distance] = (builder.shuffle_vector(*pair, order) for order in orders)
            distance //= 2
        for row in rows:
            builder.store(row, builder.inttoptr(target, vector.as_pointer()), align=itemsize)
            target = builder.add(target, target_row)
        return context.get_dummy_value()

    @intrinsic
    def transpose(typingctx: Any, source: Any, source_row: Any, target: Any, target_row: Any, ahead: Any) -> Any:
        return types.void(*[types.int64] * 5), codegen

    return transpose

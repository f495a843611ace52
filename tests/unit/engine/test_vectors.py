"""Explicit vectors: every length of a rest, values of every size, and nothing touched beside what belongs to them."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest

from gradsim.engine import lookup, sums, vectors
from gradsim.engine.scalars import tanh32
from gradsim.nn.activations import Tanh

Array = np.ndarray
LENGTHS = [0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000, 4096]
GUARD = 7.5


def compiled(function: Callable[..., object]) -> Callable[..., object]:
    return numba.njit(function)  # type: ignore[no-any-return]


def bits_to_float(bits: object, dtype: str) -> float:
    return float(np.array([bits], np.int32 if dtype == "float32" else np.int64).view(dtype)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_that_squares_are_summed_in_float64_and_the_largest_is_found(dtype: str) -> None:
    measure = sums.measure(dtype)
    found = compiled(lambda address, n: measure(address, n))
    rng = np.random.default_rng(0)
    for n in LENGTHS:
        for first in (0, 1):
            space = np.full(n + 40, 1e19, dtype)
            values = space[first : first + n]
            values[:] = rng.standard_normal(n) * 10.0 ** rng.integers(-20, 18, n)
            squares, top = found(space.ctypes.data + first * space.itemsize, n)  # type: ignore[misc]
            assert squares == pytest.approx(np.sum(values.astype(np.float64) ** 2), rel=1e-13)
            assert bits_to_float(top, dtype) == np.max(np.abs(values), initial=0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [3, 40, 99])
def test_that_no_nan_or_inf_is_overlooked(dtype: str, odd: float, place: int) -> None:
    measure = sums.measure(dtype)
    found = compiled(lambda address, n: measure(address, n))
    values = np.linspace(-1, 1, 100).astype(dtype)
    values[place] = odd
    squares, top = found(values.ctypes.data, len(values))  # type: ignore[misc]
    np.testing.assert_equal([squares, bits_to_float(top, dtype)], [odd * odd, abs(odd)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_that_a_vector_or_its_beginning_is_moved_and_nothing_else(dtype: str) -> None:
    whole, part = vectors.move(dtype, False), vectors.move(dtype, True)
    move = compiled(lambda source, target, entries: whole(source, target, entries))
    move_part = compiled(lambda source, target, entries: part(source, target, entries))
    lanes = vectors.VECTOR // np.dtype(dtype).itemsize
    source = np.arange(1, lanes + 3, dtype=dtype)
    for entries in range(lanes + 1):
        target = np.full(lanes + 8, GUARD, dtype)
        (move if entries == lanes else move_part)(source.ctypes.data, target[4:].ctypes.data, entries)
        np.testing.assert_array_equal(target[4 : 4 + entries], source[:entries])
        assert (target[:4] == GUARD).all() and (target[4 + entries :] == GUARD).all()


# tanh: of the table, and of the formula that processors without AVX-512 use

EVERYWHERE = np.concatenate([np.linspace(1e-6, 10, 400_001), np.logspace(-30, 1, 100_001)]).astype(np.float32)
ODD = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 9.1, -9.1], np.float32)


def by_formula(x: Array) -> Array:
    @numba.njit
    def apply(x: Array, y: Array) -> None:
        for i in range(len(x)):
            y[i] = tanh32(x[i])

    y = np.empty_like(x)
    apply(x, y)
    return y


def by_table(x: Array, bias: Array | None = None, *, in_place: bool = False) -> tuple[Array, Array]:
    """``Z`` and ``Y``, both between guards."""
    table = lookup.table(Tanh, "float32")
    if table is None:
        pytest.skip("needs a processor with AVX-512")
    whole, part = (lookup.function(table, bias is not None, in_place, masked) for masked in (False, True))

    @numba.njit
    def apply(z: int, bias: int, y: int, n: int) -> None:
        for i in range(0, n - n % 16, 16):
            whole(z + 4 * i, bias + 4 * i, y + 4 * i, 16)
        if n % 16:
            i = n - n % 16
            part(z + 4 * i, bias + 4 * i, y + 4 * i, n - i)

    z, y = (np.full(len(x) + 40, GUARD, np.float32) for _ in range(2))
    z[20:-20] = x
    target = z if in_place else y
    apply(z[20:].ctypes.data, 0 if bias is None else bias.ctypes.data, target[20:].ctypes.data, len(x))
    for space in (z, y):
        assert (space[:20] == GUARD).all() and (space[-20:] == GUARD).all()
    return z[20:-20], target[20:-20]


@pytest.mark.parametrize("which", ["table", "formula"])
def test_that_tanh_is_known_to_four_parts_in_ten_million(which: str) -> None:
    x = np.concatenate([EVERYWHERE, -EVERYWHERE])
    y = by_table(x)[1] if which == "table" else by_formula(x)
    wanted = np.tanh(x.astype(np.float64))
    assert np.max(np.abs(y / wanted - 1)) < 4e-7
    assert np.max(np.abs(y)) <= 1.0
    # The slope is taken from the value.
    assert np.max(np.abs((1 - y * y).astype(np.float64) - (1 - wanted**2))) < 3e-7


@pytest.mark.parametrize("which", ["table", "formula"])
def test_that_tanh_keeps_signs_limits_and_nan(which: str) -> None:
    y = by_table(ODD)[1] if which == "table" else by_formula(ODD)
    np.testing.assert_array_equal(y, [0, 0, 1, -1, np.nan, 1, -1, 1, -1])
    assert np.signbit(y[1]) or which == "formula"


@pytest.mark.parametrize("n", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("in_place", [False, True])
def test_that_the_table_adds_the_bias_and_keeps_the_sum_where_there_is_room(n: int, in_place: bool) -> None:
    rng = np.random.default_rng(n)
    x, bias = (rng.standard_normal(n).astype(np.float32) for _ in range(2))
    z, y = by_table(x, bias, in_place=in_place)
    np.testing.assert_array_equal(z, y if in_place else x + bias)
    np.testing.assert_allclose(y, np.tanh(x + bias), rtol=4e-7)


def test_that_only_tanh_in_float32_has_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lookup.table(Tanh, "float64") is None
    monkeypatch.setattr(vectors, "wide", lambda: False)
    assert lookup.table(Tanh, "float32") is None

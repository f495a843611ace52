"""The matrix product of the engine against NumPy, at every edge of a tile."""

from __future__ import annotations

import numpy as np
import pytest

from gradsim.engine import interpreter
from gradsim.engine.layout import INNER, RECORD_WORDS, STRIP, Context, Figures, Part, Product
from gradsim.engine.operations import operation

Array = np.ndarray

SIZES = [(m, n, k) for m in (1, 3, 4, 8, 13) for n in (1, 7, 8, 16, 31, 32, 50) for k in (1, 5, 32)]
DEEP = [(9, 33, 512), (9, 33, 513), (5, 20, 1500)]
WIDE = [(17, 520, 40), (33, 97, 300), (16, 128, 600), (203, 64, 60)]
"""Where rows lie far apart, so that tiles are put together first: of B, or of A where it is read down its columns."""


def run(name: str, dtype: str, arguments: dict[int, int], rows: int = 0) -> None:
    words = np.zeros((1, RECORD_WORDS), np.int64)
    words[0, 0] = operation(name, dtype)
    for place, value in arguments.items():
        words[0, 1 + place] = value
    context = np.zeros(Context.SIZE, np.int64)
    context[Context.ROWS] = rows
    interpreter.run(words, context, np.zeros((1, Figures.SIZE)), np.zeros((1, 1, 1)))


def product(a: Array, b: Array, *, transposed: bool = False, turned: bool = False) -> Array:
    """``a @ b``, or ``a.T @ b`` read through strides, or ``a @ b.T``; the result and the room that the product is given
    lie between guards that must not be touched."""
    m, k = a.shape[::-1] if transposed else a.shape
    n = b.shape[0 if turned else 1]
    space = np.full(m * n + 128, 7.5, a.dtype)
    c = space[64 : 64 + m * n].reshape(m, n)
    room = min(k, INNER) * STRIP // a.itemsize
    strip = np.full(room + 128, 7.5, a.dtype)
    p = Product
    row, inner = a.strides[::-1] if transposed else a.strides
    factors = {p.A: a.ctypes.data, p.A_ROW: row, p.A_INNER: inner, p.B: b.ctypes.data, p.B_ROW: b.strides[0]}
    result = {p.C: c.ctypes.data, p.C_ROW: c.strides[0], p.M: -1, p.N: n, p.K: k}
    panels = np.full(-(-m // 8) * 8 * k + 128, 7.5, a.dtype)
    rest = {p.TURNED: int(turned), Part.ROOM: strip[64:].ctypes.data, p.PANELS: panels[64:].ctypes.data}
    run("products.product", str(a.dtype), {**factors, **result, **rest}, rows=m)
    for guarded, size in ((space, m * n), (strip, room), (panels, len(panels) - 128)):
        assert (guarded[:64] == 7.5).all() and (guarded[64 + size :] == 7.5).all()
    return c


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("read", ["as it lies", "transposed", "turned"])
def test_that_products_of_every_size_are_those_of_numpy_and_write_nowhere_else(dtype: str, read: str) -> None:
    transposed, turned = read == "transposed", read == "turned"
    rng = np.random.default_rng(0)
    for m, n, k in [*SIZES, *DEEP, *WIDE]:
        a = rng.standard_normal((k, m) if transposed else (m, k)).astype(dtype)
        b = rng.standard_normal((n, k) if turned else (k, n)).astype(dtype)
        left, right = a.T if transposed else a, b.T if turned else b
        wanted = left.astype(np.float64) @ right.astype(np.float64)
        # The rounding of k additions of terms of size 1.
        bound = 4 * k * np.finfo(dtype).eps * np.sqrt(k)
        np.testing.assert_allclose(product(a, b, transposed=transposed, turned=turned), wanted, rtol=0, atol=bound)


def test_that_a_product_is_the_same_bit_for_bit_however_its_right_factor_lies() -> None:
    rng = np.random.default_rng(3)
    for m, n, k in [*SIZES, *DEEP, *WIDE]:
        a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
        assert np.array_equal(product(a, b), product(a, np.ascontiguousarray(b.T), turned=True))


def test_that_nan_and_inf_spread_to_the_rows_and_columns_they_meet_and_no_further() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((13, 9)), rng.standard_normal((9, 21))
    a[4, 2], b[3, 17] = np.nan, np.inf
    c = product(a, b)
    odd = ~np.isfinite(c)
    wanted = np.zeros_like(odd)
    wanted[4], wanted[:, 17] = True, True
    assert np.array_equal(odd, wanted)

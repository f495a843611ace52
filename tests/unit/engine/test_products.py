"""The matrix product and the transposition of the engine against NumPy, at every edge of a tile."""

from __future__ import annotations

import numpy as np
import pytest

from gradsim.engine import interpreter
from gradsim.engine.layout import RECORD_WORDS, Context, Figures, Product, Transposition
from gradsim.engine.operations import operation

Array = np.ndarray

SIZES = [(m, n, k) for m in (1, 3, 4, 8, 13) for n in (1, 7, 8, 16, 31, 32, 50) for k in (1, 5, 32)]
DEEP = [(9, 33, 512), (9, 33, 513), (5, 20, 1500)]


def run(name: str, dtype: str, arguments: dict[int, int], rows: int = 0) -> None:
    words = np.zeros((1, RECORD_WORDS), np.int64)
    words[0, 0] = operation(name, dtype)
    for place, value in arguments.items():
        words[0, 1 + place] = value
    context = np.zeros(Context.SIZE, np.int64)
    context[Context.ROWS] = rows
    interpreter.run(words, context, np.zeros((1, Figures.SIZE)), np.zeros((1, 1, 1)))


def product(a: Array, b: Array, *, transposed: bool = False) -> Array:
    """``a @ b``, or ``a.T @ b`` read through strides; the result lies between guards that must not be touched."""
    m, k = a.shape[::-1] if transposed else a.shape
    n = b.shape[1]
    space = np.full(m * n + 128, 7.5, a.dtype)
    c = space[64 : 64 + m * n].reshape(m, n)
    p = Product
    row, inner = a.strides[::-1] if transposed else a.strides
    sizes = {p.A: a.ctypes.data, p.A_ROW: row, p.A_INNER: inner, p.B: b.ctypes.data, p.B_INNER: b.strides[0]}
    result = {p.C: c.ctypes.data, p.C_ROW: c.strides[0], p.M: -1, p.N: n, p.K: k}
    run("products.product", str(a.dtype), {**sizes, **result}, rows=m)
    assert (space[:64] == 7.5).all() and (space[64 + m * n :] == 7.5).all()
    return c


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transposed", [False, True])
def test_that_products_of_every_size_are_those_of_numpy_and_write_nowhere_else(dtype: str, transposed: bool) -> None:
    rng = np.random.default_rng(0)
    for m, n, k in [*SIZES, *DEEP]:
        a = rng.standard_normal((k, m) if transposed else (m, k)).astype(dtype)
        b = rng.standard_normal((k, n)).astype(dtype)
        wanted = (a.T if transposed else a).astype(np.float64) @ b.astype(np.float64)
        # The rounding of k additions of terms of size 1.
        bound = 4 * k * np.finfo(dtype).eps * np.sqrt(k)
        np.testing.assert_allclose(product(a, b, transposed=transposed), wanted, rtol=0, atol=bound)


def test_that_nan_and_inf_spread_to_the_rows_and_columns_they_meet_and_no_further() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((13, 9)), rng.standard_normal((9, 21))
    a[4, 2], b[3, 17] = np.nan, np.inf
    c = product(a, b)
    odd = ~np.isfinite(c)
    wanted = np.zeros_like(odd)
    wanted[4], wanted[:, 17] = True, True
    assert np.array_equal(odd, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_that_every_shape_is_transposed(dtype: str) -> None:
    rng = np.random.default_rng(2)
    for rows in (1, 7, 8, 16, 17, 40):
        for columns in (1, 8, 15, 16, 33):
            x = rng.standard_normal((rows, columns)).astype(dtype)
            z = np.zeros((columns, rows), dtype)
            t = Transposition
            run("products.transpose", dtype, {
                t.X: x.ctypes.data, t.Z: z.ctypes.data, t.ROWS: rows, t.COLUMNS: columns,
            })  # fmt: skip
            assert np.array_equal(z, x.T)

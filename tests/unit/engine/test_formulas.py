"""Compiled formulas against their NumPy form, edges included."""

from __future__ import annotations

import numpy as np
import pytest

from gradsim.engine import interpreter
from gradsim.engine.layout import COLUMNS, RECORD_WORDS, Backward, Context, Figures, Forward
from gradsim.engine.operations import operation
from gradsim.nn import activations

EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 88.0, -88.0, 1e-30, -1e-30, 700.0, -700.0]
VALUES = np.concatenate([EDGES, np.linspace(-12, 12, 500), np.geomspace(1e-8, 1, 50), -np.geomspace(1e-8, 1, 50)])
NAMES = [name for name, kind in activations.registry.items() if not kind.rowwise]


def forward_and_back(name: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Value and slope of every entry of VALUES, as the engine computes them."""
    spec = activations.registry.create(name)
    kind = type(spec)
    z = VALUES.astype(dtype)
    y, d = np.empty_like(z), np.ones_like(z)
    scratch = np.zeros(4 * len(z), dtype)
    words = np.zeros((2, RECORD_WORDS), np.int64)
    floats = words.view(np.float64)
    words[0, 0], words[1, 0] = (
        operation("activation.forward", kind, dtype, False),
        operation("activation.backward", kind, dtype, True),
    )
    f, b = Forward, Backward
    for place, value in {f.Z: z.ctypes.data, f.Y: y.ctypes.data, f.WIDTH: len(z)}.items():
        words[0, 1 + place] = value
    for place, value in {
        b.D: d.ctypes.data, b.Z: z.ctypes.data, b.Y: y.ctypes.data, b.SCRATCH: scratch.ctypes.data, b.WIDTH: len(z),
    }.items():  # fmt: skip
        words[1, 1 + place] = value
    floats[:, 24 : 24 + len(spec.parameters())] = spec.parameters()
    context = np.zeros(Context.SIZE, np.int64)
    context[Context.ROWS] = 1
    interpreter.run(words, context, np.zeros((1, Figures.SIZE)), np.zeros((1, 1, COLUMNS)))
    return y, d


def assert_close(
    actual: np.ndarray, wanted: np.ndarray, where: np.ndarray, relative: float, absolute: float | np.ndarray
) -> None:
    with np.errstate(invalid="ignore"):
        excess = np.abs(actual - wanted) - relative * np.abs(wanted) - absolute
    worst = int(np.argmax(np.where(where, np.nan_to_num(excess, nan=np.inf), -np.inf)))
    assert not excess[worst] > 0, f"at {VALUES[worst]}: {actual[worst]} instead of {wanted[worst]}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_that_compiled_values_and_slopes_are_those_of_the_formula(name: str, dtype: str) -> None:
    spec = activations.registry.create(name)
    x = VALUES.astype(dtype)
    with np.errstate(all="ignore"):
        # float32 is compared with the formula in float64 at the same points: the engine may be better than NumPy.
        wanted = np.asarray(spec(x.astype(np.float64)))
        slopes = np.asarray(spec.slope(x.astype(np.float64)))
    y, d = forward_and_back(name, dtype)
    tolerance = 3e-6 if dtype == "float32" else 1e-12
    absolute = 3e-7 if dtype == "float32" else 1e-14
    if name == "gelu":
        # erf is known to an absolute 3e-7, and x / 2 multiplies it: Keras' float32 form has the same cancellation.
        absolute = absolute * np.maximum(1, np.abs(np.nan_to_num(x)))
    finite = np.abs(wanted) < np.finfo(dtype).max
    assert_close(y, wanted, finite, tolerance, absolute)
    # 1 - tanh^2 and s (1 - s) lose digits where the slope vanishes, in Keras too: an absolute bound counts there.
    known = np.abs(slopes) < np.finfo(dtype).max
    assert_close(d, slopes, known, 20 * tolerance, absolute)
    assert np.isnan(y[np.isnan(x)]).all()


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softsign", "selu", "elu"])
def test_that_an_infinite_input_of_a_bounded_side_gives_its_limit(name: str) -> None:
    limits = {"sigmoid": 0.0, "tanh": -1.0, "softsign": np.nan, "selu": -1.7580993408473766, "elu": -1.0}
    y, _ = forward_and_back(name, "float64")
    np.testing.assert_allclose(y[3], limits[name], rtol=1e-12)

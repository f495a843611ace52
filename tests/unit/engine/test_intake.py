"""The compiled intake of the recorder does what the one with NumPy does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gradsim.engine.intake import CompiledIntake
from gradsim.telemetry.blocks import Blocks
from gradsim.telemetry.intake import Intake, Places
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS
from gradsim.telemetry.recorder import Recorder
from gradsim.telemetry.recording import COUNT_KEYS, Layer

Floats = NDArray[np.float64]


def rough(rng: np.random.Generator, *shape: int) -> Floats:
    """Numbers of all sizes, with NaN, infinite ones and zeros among them, some places never anything but NaN."""
    values = rng.standard_normal(shape) * 10.0 ** rng.integers(-300, 300, shape)
    for special in (np.nan, np.inf, -np.inf, 0.0):
        values[rng.random(shape) < 0.05] = special
    values[..., rng.random(shape[-1]) < 0.2] = np.nan
    return values


@pytest.mark.parametrize("layers", [1, 3, 8, 31])
@pytest.mark.parametrize("rows", [1, 2, 7, 32])
def test_that_blocks_are_summarised_alike(layers: int, rows: int) -> None:
    rng = np.random.default_rng(layers * 100 + rows)
    averaged, counted, blocks = 5, 3, 4
    ring = rough(rng, averaged + counted, blocks * rows + 9, layers)
    values = ring[:, 4 : 4 + blocks * rows].reshape(averaged + counted, blocks, rows, layers)
    found = []
    for intake in (Intake(), CompiledIntake()):
        made = Blocks.empty(blocks + 3, averaged, counted, layers)
        for array in (made.minimum, made.maximum, made.mean, made.counts):
            array[...] = 7.0
        made.finite[...] = 7
        with np.errstate(all="ignore"):
            intake.summarise(values, made[2 : 2 + blocks])
        found.append(made)
    for name in ("minimum", "maximum", "finite", "counts"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name), err_msg=name)
    # A division may be a multiplication by the reciprocal.
    np.testing.assert_allclose(found[0].mean, found[1].mean, rtol=3e-16, atol=0)


@pytest.mark.parametrize("layers", [1, 3, 8, 31])
@pytest.mark.parametrize("n", [1, 15, 16, 100])
def test_that_rows_are_taken_alike(layers: int, n: int) -> None:
    rng = np.random.default_rng(layers * 1000 + n)
    columns, measured, derived = 9, 6, 2
    rows = rough(rng, n, layers, columns)
    rows[:, :, 4][rng.random((n, layers)) < 0.5] = np.nan
    places = Places(measured, measured + derived, 4, 2)
    found = []
    for intake in (Intake(), CompiledIntake()):
        ring = np.full((columns + derived, n + 20, layers), 7.0)
        counted = intake.take(rows, ring[:, 11 : 11 + n], places)
        found.append((counted, ring))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("place", [None, (3, 1, 0), (3, 1, -1)])
def test_that_it_tells_whether_anything_was_counted(place: tuple[int, int, int] | None) -> None:
    rows = np.zeros((6, 2, 5))
    rows[:, 1, 3:] = np.nan
    if place is not None:
        rows[:, :, 3:][place] = 2.0
    for intake in (Intake(), CompiledIntake()):
        assert intake.take(rows, np.empty((5, 6, 2)), Places(3, 3, 1, 0)) == (place is not None)


def test_that_a_recorder_keeps_the_same_however_it_takes_its_rows_in() -> None:
    rng = np.random.default_rng(5)
    table = [Layer("a", units=4, weight_size=4), Layer("b", units=4, weight_size=4)]
    recorders = [Recorder(table, 500_000, intake=intake) for intake in (Intake(), CompiledIntake())]
    measured = len(LAYER_COLUMNS) - len(COUNT_KEYS)
    for k in (1, 40, 7, 128, 31, 500, 3, 2000, 900):
        of_layers = np.abs(rng.standard_normal((k, 2, len(LAYER_COLUMNS))))
        of_layers[..., measured:] = rng.random((k, 2, len(COUNT_KEYS))) < 0.001
        of_steps = rng.standard_normal((k, len(STEP_COLUMNS)))
        for recorder in recorders:
            recorder.append(of_layers, of_steps)
            recorder.rewind(recorder.stop - k // 3)
    one, other = (recorder.recording() for recorder in recorders)
    assert one.coarse_rows == other.coarse_rows > 0
    assert one.first_nonfinite == other.first_nonfinite is not None
    for key in (*LAYER_COLUMNS, *STEP_COLUMNS):
        np.testing.assert_allclose(one[key], other[key], rtol=1e-15)
        np.testing.assert_array_equal(one.minimum(key), other.minimum(key))
        np.testing.assert_array_equal(one.maximum(key), other.maximum(key))

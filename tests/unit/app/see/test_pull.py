"""Columns read from a recorder into a ring that is written twice."""

from __future__ import annotations

import numpy as np
import pytest

from gradsim.app.see.pull import LayerPull, StepPull, extreme
from gradsim.telemetry.classes import MIDDLE, Special, classify
from gradsim.telemetry.quantities import quantity
from gradsim.telemetry.recorder import Recorder

from .conftest import recorder_of, values

COLOURS = np.arange(256, dtype=np.uint32)
KEY = "delta_norm"


def layer_pull(recorder: Recorder, capacity: int = 64, key: str = KEY) -> LayerPull:
    return LayerPull(recorder, key, quantity(key).thresholds, COLOURS, capacity=capacity)


def noisy(steps: int, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    norms = 10.0 ** rng.uniform(-20, 10, (steps, rows))
    norms[rng.random((steps, rows)) < 0.05] = 0.0
    return values(steps, rows, delta_norm=norms, delta_nan=rng.random((steps, rows)) < 0.03)


def expected(recorder: Recorder, pull: LayerPull, start: int, stop: int) -> np.ndarray:
    columns = recorder.columns(pull.key, start, stop, stride=pull.stride)
    classes = classify(pull.definition, extreme(pull.definition, columns), nan=columns.nan, inf=columns.inf)
    return classes.T


def shown(pull: LayerPull, start: float, stop: float) -> np.ndarray:
    return pull.classes[:, pull.window(start, stop)[1]]


@pytest.mark.parametrize("piece", [1, 7, 64, 300])
def test_that_following_a_run_shows_the_same_as_reading_it_at_once(piece: int) -> None:
    recorder, (of_layers, of_steps) = recorder_of(5), noisy(1000, 5)
    pull = layer_pull(recorder)
    for at in range(0, 1000, piece):
        recorder.append(of_layers[at : at + piece], of_steps[at : at + piece])
        pull.cover(0, min(at + piece, 1000), 60)
    assert pull.stride == 32
    np.testing.assert_array_equal(shown(pull, 0, 1000), expected(recorder, pull, 0, 1000))


def test_that_a_window_that_slides_stays_one_slice_with_the_right_columns() -> None:
    recorder, (of_layers, of_steps) = recorder_of(3), noisy(900, 3)
    pull = layer_pull(recorder)
    for at in range(0, 900, 5):
        recorder.append(of_layers[at : at + 5], of_steps[at : at + 5])
        stop = at + 5
        start = max(0, stop - 50)
        pull.cover(start, stop, 50)
        first, where = pull.window(start, stop)
        assert (pull.stride, first, where.stop - where.start) == (1, start, stop - start)
        np.testing.assert_array_equal(shown(pull, start, stop), expected(recorder, pull, start, stop))


def test_that_both_copies_of_the_ring_are_equal() -> None:
    recorder, (of_layers, of_steps) = recorder_of(3), noisy(777, 3)
    recorder.append(of_layers, of_steps)
    pull = layer_pull(recorder)
    pull.cover(700, 777, 64)
    pull.cover(0, 777, 64)
    np.testing.assert_array_equal(pull.classes[:, :64], pull.classes[:, 64:])
    np.testing.assert_array_equal(pull.pixels, COLOURS[pull.classes])


def test_that_zooming_in_and_out_again_shows_what_was_shown_before() -> None:
    recorder, (of_layers, of_steps) = recorder_of(4), noisy(2000, 4)
    recorder.append(of_layers, of_steps)
    pull = layer_pull(recorder)
    pull.cover(0, 2000, 60)
    before = shown(pull, 0, 2000).copy()
    pull.cover(990, 1010, 60)
    assert pull.stride == 1
    np.testing.assert_array_equal(shown(pull, 990, 1010), expected(recorder, pull, 990, 1010))
    pull.cover(0, 2000, 60)
    np.testing.assert_array_equal(shown(pull, 0, 2000), before)


def test_that_after_a_rewind_the_forgotten_steps_are_empty_and_then_those_of_the_new_run() -> None:
    recorder, (of_layers, of_steps) = recorder_of(3), noisy(60, 3)
    recorder.append(of_layers, of_steps)
    pull = layer_pull(recorder)
    pull.cover(0, 64, 64)
    recorder.rewind(20)
    assert pull.cover(0, 64, 64)
    assert pull.recorded_columns == 20
    assert (pull.classes[:, 20:64] == Special.EMPTY).all()
    again = noisy(10, 3, seed=5)
    recorder.append(*again)
    pull.cover(0, 64, 64)
    np.testing.assert_array_equal(shown(pull, 0, 30), expected(recorder, pull, 0, 30))


def test_that_a_rewind_which_trained_on_past_its_old_end_is_seen() -> None:
    recorder = recorder_of(2)
    recorder.append(*noisy(40, 2))
    pull = layer_pull(recorder)
    pull.cover(0, 64, 64)
    recorder.rewind(10)
    recorder.append(*noisy(50, 2, seed=9))
    pull.cover(0, 64, 64)
    np.testing.assert_array_equal(shown(pull, 0, 60), expected(recorder, pull, 0, 60))


def test_that_nothing_is_read_where_nothing_is_new() -> None:
    recorder = recorder_of(2)
    recorder.append(*noisy(40, 2))
    pull = layer_pull(recorder)
    assert pull.cover(0, 64, 64)
    assert not pull.cover(0, 64, 64)


@pytest.mark.parametrize("stop", [40, 400, 4000, 40_000])
def test_that_one_step_of_explosion_is_in_some_column_at_every_zoom(stop: int) -> None:
    recorder = recorder_of(2)
    norms = np.full((40_000, 2), 1e-3)
    norms[17, 1] = 1e9
    recorder.append(*values(40_000, 2, delta_norm=norms))
    pull = layer_pull(recorder)
    pull.cover(0, stop, 60)
    assert (shown(pull, 0, stop)[1] == 248).sum() == 1
    assert not (shown(pull, 0, stop)[0] == 248).any()


def test_that_rows_upside_down_are_the_same_rows() -> None:
    recorder = recorder_of(4)
    recorder.append(*noisy(40, 4))
    down = layer_pull(recorder)
    up = LayerPull(recorder, KEY, quantity(KEY).thresholds, COLOURS, upwards=True, capacity=64)
    down.cover(0, 40, 60)
    up.cover(0, 40, 60)
    np.testing.assert_array_equal(shown(down, 0, 40), shown(up, 0, 40)[::-1])


@pytest.mark.parametrize("key", ["activation_mean", "saturated", "clip_cosine", "delta_norm"])
def test_that_merged_columns_equal_those_of_the_longer_stride(key: str) -> None:
    recorder = recorder_of(3)
    rng = np.random.default_rng(1)
    drawn = {"activation_mean": rng.normal(0, 2, (512, 3)), "delta_norm": 10.0 ** rng.uniform(-30, 9, (512, 3))}
    for at in range(0, 512, 64):
        part = drawn.get(key, rng.random((512, 3)))[at : at + 64]
        recorder.append(*values(64, 3, **{key: part}))
    at_once, merged = layer_pull(recorder, key=key), layer_pull(recorder, key=key)
    at_once.cover(0, 512, 32)
    merged.cover(0, 64, 64)
    merged.cover(0, 512, 32)
    assert merged.stride == at_once.stride == 16
    found, wanted = shown(merged, 0, 512).astype(int), shown(at_once, 0, 512).astype(int)
    if key == "activation_mean":
        # Of two values equally far from the middle, either may stand for both.
        found, wanted = abs(found - MIDDLE), abs(wanted - MIDDLE)
    np.testing.assert_array_equal(found, wanted)


def test_that_curves_keep_the_smallest_and_largest_value_and_where_it_is_not_finite() -> None:
    recorder = recorder_of(2)
    loss = np.ones(1000)
    loss[500], loss[501], loss[700] = 1e6, 1e-6, np.nan
    recorder.append(*values(1000, 2, loss=loss))
    pull = StepPull(recorder, "loss", capacity=64)
    pull.cover(0, 1000, 60)
    where = pull.window(0, 1000)[1]
    assert np.nanmax(pull.maximum[where]) == 1e6
    assert np.nanmin(pull.minimum[where]) == 1e-6
    assert pull.nonfinite[where].sum() == 1

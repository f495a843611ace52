"""The recorder against the plainest model of it: a list of rows."""

from __future__ import annotations

import threading
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradsim.telemetry import LAYER_COLUMNS, STEP_COLUMNS, Layer, Recorder, definitions, quantity
from gradsim.telemetry.columns import Columns
from gradsim.telemetry.recorder import BLOCK
from gradsim.telemetry.recording import FirstNonfinite, Recording

Floats = NDArray[np.float64]

LAYERS = (
    Layer("flatten", "Flatten", shape=(4,), units=4),
    Layer("dense", "Dense", "Dense 3 sigmoid", (3,), 15, 12, 3, path="layers.1"),
    Layer("dense_1", "Dense", "Dense 2 softmax", (2,), 8, 6, 2, trainable=False, path="layers.2", repeat=0),
)
COUNTS = [key for key in LAYER_COLUMNS if quantity(key).counts]
MEASURED = [key for key in LAYER_COLUMNS if not quantity(key).counts]
DELTA = LAYER_COLUMNS.index("delta_norm")
ODD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e-300, 1.7976931348623157e308, -1.0)


def small_capacity(layers: tuple[Layer, ...] = LAYERS) -> int:
    """The least that a recorder asks for: it has to give up steps soon."""
    with pytest.raises(ValueError, match="capacity_bytes: allowed") as caught:
        Recorder(layers, 1)
    return int(str(caught.value).split("are ")[1].split(" or more")[0])


CAPACITY = small_capacity()


def rows_of(n: int, seed: int = 0, *, odd: float = 0.0) -> tuple[Floats, Floats]:
    """``n`` rows of positive numbers over many magnitudes, a share of them replaced by odd values."""
    rng = np.random.default_rng(seed)
    layers = 10.0 ** rng.uniform(-30, 5, (n, len(LAYERS), len(LAYER_COLUMNS)))
    layers[..., len(MEASURED) :] = 0.0
    steps = 10.0 ** rng.uniform(-3, 1, (n, len(STEP_COLUMNS)))
    steps[:, STEP_COLUMNS.index("rows")] = 32
    for values in (layers, steps):
        where = rng.random(values.shape) < odd
        values[where] = rng.choice(ODD, where.sum())
    return layers, steps


def column_of(columns: Columns, step: int) -> int:
    return (step - columns.start) // columns.stride


def fill(recorder: Recorder, rows: tuple[Floats, Floats], cuts: list[int]) -> None:
    """Append ``rows`` in chunks that end at ``cuts``."""
    for a, b in pairwise([0, *sorted(cuts), len(rows[1])]):
        recorder.append(rows[0][a:b], rows[1][a:b])


def recorded(rows: tuple[Floats, Floats], cuts: list[int] | None = None, capacity: int = CAPACITY) -> Recorder:
    recorder = Recorder(LAYERS, capacity)
    fill(recorder, rows, cuts or [])
    return recorder


@st.composite
def chunkings(draw: st.DrawFn, longest: int = 3000) -> tuple[int, list[int]]:
    n = draw(st.integers(0, longest))
    return n, draw(st.lists(st.integers(0, n), max_size=40))


@settings(max_examples=40, deadline=None)
@given(chunkings(), st.sampled_from([0.0, 0.01, 0.5]))
def test_that_chunks_do_not_change_the_recording(chunking: tuple[int, list[int]], odd: float) -> None:
    n, cuts = chunking
    rows = rows_of(n, odd=odd)
    one = recorded(rows).recording()
    assert recorded(rows, cuts).recording() == one
    assert recorded(rows, list(range(n))).recording() == one


@settings(max_examples=40, deadline=None)
@given(chunkings(6000))
def test_that_every_row_agrees_with_the_steps_it_stands_for(chunking: tuple[int, list[int]]) -> None:
    n, cuts = chunking
    layers, steps = rows_of(n, seed=n)
    recording = recorded((layers, steps), cuts).recording()

    covered = np.concatenate(
        [np.arange(a, a + b) for a, b in zip(recording.steps, recording.strides, strict=True)] or [np.arange(0)]
    )
    np.testing.assert_array_equal(covered, np.arange(n))
    for key in ("gradient_norm", "clip_cosine", "loss"):
        column = layers[..., LAYER_COLUMNS.index(key)] if key != "loss" else steps[:, 0]
        for i, (a, b) in enumerate(zip(recording.steps, recording.steps + recording.strides, strict=True)):
            np.testing.assert_array_equal(recording.maximum(key)[i], column[a:b].max(axis=0))
            np.testing.assert_array_equal(recording.minimum(key)[i], column[a:b].min(axis=0))
            np.testing.assert_allclose(recording[key][i], column[a:b].mean(axis=0), rtol=1e-13)


def test_that_a_run_which_fits_keeps_every_step() -> None:
    layers, steps = rows_of(100)
    recording = recorded((layers, steps)).recording()
    assert recording.coarse_rows == 0
    assert set(recording.strides.tolist()) == {1}
    for i, key in enumerate(LAYER_COLUMNS):
        np.testing.assert_array_equal(recording[key], layers[..., i])
    for i, key in enumerate(STEP_COLUMNS):
        np.testing.assert_array_equal(recording[key], steps[:, i])


def test_that_the_most_recent_steps_stay_in_full_in_a_long_run() -> None:
    rows = rows_of(20_000)
    recorder = recorded(rows)
    recording = recorder.recording()
    full = recording.strides == 1
    assert full.sum() >= 3 * BLOCK
    assert recording.steps[full][0] == recorder.full_from
    assert recording.steps[full][-1] == 19_999
    np.testing.assert_array_equal(recording["delta_norm"][full], rows[0][recorder.full_from :, :, DELTA])
    assert recording.strides.max() > BLOCK


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9000), st.data())
def test_that_a_spike_one_step_long_never_leaves_the_maximum(n: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, n - 1))
    layer = data.draw(st.integers(0, len(LAYERS) - 1))
    width = data.draw(st.integers(1, 700))
    key = data.draw(st.sampled_from(["delta_norm", "gradient_norm", "gradient_rms", "update_ratio", "delta_rms"]))
    layers, steps = rows_of(n)
    for name in ("delta_norm", "gradient_norm", "update_norm"):
        layers[step, layer, LAYER_COLUMNS.index(name)] = 1e200
    recorder = recorded((layers, steps), [n // 3])
    recording = recorder.recording()
    if key == "gradient_rms" and LAYERS[layer].weight_size == 0:
        assert np.isnan(recording[key][:, layer]).all()
        return
    row = recording.row_of(step)
    assert recording.maximum(key)[row, layer] > 1e150
    for source in (recorder, recording):
        columns = source.columns(key, width=width)
        assert len(columns) <= width
        assert columns.maximum[column_of(columns, step), layer] > 1e150


def naive_columns(values: Floats, start: int, stride: int, n: int) -> tuple[Floats, Floats]:
    pieces = [values[start + i * stride : start + (i + 1) * stride] for i in range(n)]
    return (
        np.array([piece.max(axis=0) for piece in pieces]),
        np.array([piece.min(axis=0) for piece in pieces]),
    )


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 4000), st.data())
def test_that_columns_are_the_extremes_of_their_steps(n: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    width = data.draw(st.integers(1, 300))
    rows = rows_of(n, seed=1)
    # A large recorder keeps every step, so that the extremes are exact for any stride.
    recorder = recorded(rows, [n // 2], capacity=64 * 2**20)
    for source in (recorder, recorder.recording()):
        columns = source.columns("delta_norm", start, stop, width)
        assert len(columns) <= width
        assert columns.start <= start
        assert columns.stop >= stop
        assert columns.start % columns.stride == 0
        assert columns.recorded.all()
        assert columns.full.all()
        high, low = naive_columns(rows[0][..., DELTA], columns.start, columns.stride, len(columns))
        np.testing.assert_array_equal(columns.maximum, high)
        np.testing.assert_array_equal(columns.minimum, low)
        loss = source.columns("loss", start, stop, width)
        high, low = naive_columns(rows[1][:, 0], columns.start, columns.stride, len(columns))
        np.testing.assert_array_equal(loss.maximum, high)
        np.testing.assert_array_equal(loss.minimum, low)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9000), st.integers(1, 2000))
def test_that_columns_of_a_coarse_past_bound_their_steps(n: int, width: int) -> None:
    rows = rows_of(n, seed=2)
    recorder = recorded(rows)
    columns = recorder.columns("delta_norm", width=width)
    high, low = naive_columns(rows[0][..., DELTA], 0, columns.stride, len(columns))
    assert (columns.maximum >= high).all()
    assert (columns.minimum <= low).all()
    np.testing.assert_array_equal(columns.maximum[columns.full], high[columns.full])
    np.testing.assert_array_equal(columns.minimum[columns.full], low[columns.full])
    assert columns.full[columns.steps >= recorder.full_from].all()


@settings(max_examples=40, deadline=None)
@given(chunkings(4000), st.integers(20, 200))
def test_that_reading_only_the_news_gives_the_whole_picture(chunking: tuple[int, list[int]], width: int) -> None:
    n, cuts = chunking
    rows = rows_of(n, seed=3)
    recorder = Recorder(LAYERS, 64 * 2**20)
    stride = 2 ** max(0, (n // width).bit_length())
    shown = np.full((n // stride + 1, len(LAYERS)), np.nan)
    position = None
    for a, b in pairwise([0, *sorted(cuts), n]):
        recorder.append(rows[0][a:b], rows[1][a:b])
        news = recorder.since(position)
        position = news.position
        assert (news.start, news.stop) == (a, b)
        columns = recorder.columns("delta_norm", news.start, news.stop, stride=stride)
        at = columns.start // stride
        shown[at : at + len(columns)] = columns.maximum
    whole = recorder.columns("delta_norm", stride=stride)
    np.testing.assert_array_equal(shown[: len(whole)], whole.maximum)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6000), st.data())
def test_that_rewinding_within_the_full_steps_forgets_exactly_what_came_after(n: int, data: st.DataObject) -> None:
    rows, other = rows_of(n, seed=4), rows_of(500, seed=5)
    recorder = recorded(rows)
    back = data.draw(st.integers(recorder.full_from, n))
    mark = recorder.since().position
    recorder.rewind(back)
    assert recorder.stop == back
    assert recorder.since(mark).start == back
    fill(recorder, other, [])
    assert recorder.since(mark).start == back
    fork = recorder.recording()
    straight = np.concatenate([rows[0][:back], other[0]])
    for i, (a, b) in enumerate(zip(fork.steps, fork.steps + fork.strides, strict=True)):
        np.testing.assert_array_equal(fork.maximum("delta_norm")[i], straight[a:b, :, DELTA].max(axis=0))
    assert fork.stop == back + 500
    assert fork.strides.sum() == back + 500
    columns = recorder.columns("delta_norm", back, None, stride=64)
    high, _ = naive_columns(straight[..., DELTA], columns.start, 64, len(columns))
    np.testing.assert_array_equal(columns.maximum[columns.full], high[columns.full])


@settings(max_examples=40, deadline=None)
@given(st.integers(1000, 4000), st.data())
def test_that_rewinding_into_the_coarse_past_shows_nothing_of_what_came_after(n: int, data: st.DataObject) -> None:
    rows = rows_of(n, seed=4)
    recorder = recorded(rows)
    back = data.draw(st.integers(0, max(recorder.full_from, 1)))
    longest = int(recorder.recording().strides.max())
    rows[0][back:] = 1e250
    recorder = recorded(rows)
    recorder.rewind(back)
    kept = recorder.recording().stop
    # At most the one block that reached over the step is given up.
    assert back - longest < kept <= back
    if kept < back:
        assert not recorder.columns("delta_norm", kept, back, stride=1).recorded.any()
    after = rows_of(3000, seed=6)
    fill(recorder, after, [5, 77])
    recording = recorder.recording()
    straight = np.concatenate([rows[0][:back], after[0]])[..., DELTA]
    straight[kept:back] = np.nan
    ends = recording.steps + recording.strides
    for i, (a, b) in enumerate(zip(recording.steps, ends, strict=True)):
        np.testing.assert_array_equal(recording.maximum("delta_norm")[i], np.nanmax(straight[a:b], axis=0))
        np.testing.assert_allclose(recording["delta_norm"][i], np.nanmean(straight[a:b], axis=0), rtol=1e-13)
    between = recording.steps[1:] - ends[:-1]
    assert (between >= 0).all()
    assert between.sum() <= back - kept
    assert recording.stop == back + 3000


def test_that_the_news_after_more_rewinds_than_are_remembered_begin_at_the_start() -> None:
    recorder = recorded(rows_of(300))
    mark = recorder.since().position
    for _ in range(100):
        recorder.rewind(200)
    assert recorder.since(mark).start == 0


def test_that_rewinding_to_a_step_not_reached_is_refused() -> None:
    recorder = recorded(rows_of(10))
    with pytest.raises(ValueError, match=r"steps from 0 to 10 .* received 11"):
        recorder.rewind(11)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5000), st.floats(0.01, 1.0), st.integers(0, 2**32))
def test_that_odd_values_never_raise_and_leave_the_statistics_of_the_finite_rest(n: int, odd: float, seed: int) -> None:
    rows = rows_of(n, seed=seed, odd=odd)
    recording = recorded(rows).recording()
    for key in ("delta_norm", "activation_mean"):
        column = rows[0][..., LAYER_COLUMNS.index(key)]
        for i, (a, b) in enumerate(zip(recording.steps, recording.steps + recording.strides, strict=True)):
            if recording.strides[i] == 1:
                np.testing.assert_array_equal(recording[key][i], column[a])
                continue
            for layer in range(len(LAYERS)):
                values = column[a:b, layer]
                finite, known = values[np.isfinite(values)], values[~np.isnan(values)]
                assert recording.maximum(key)[i, layer] == known.max()
                assert recording.minimum(key)[i, layer] == known.min()
                if len(finite) and np.abs(finite).max() < 1e307:
                    np.testing.assert_allclose(
                        recording[key][i, layer], finite.mean(), rtol=1e-12, atol=np.abs(finite).max() * 1e-15
                    )


def test_that_nan_and_inf_counts_survive_into_the_coarse_past_and_every_zoom() -> None:
    layers, steps = rows_of(12_000)
    layers[1234, 1, LAYER_COLUMNS.index("gradient_nan")] = 7
    layers[1300, 2, LAYER_COLUMNS.index("delta_inf")] = 2
    steps[1400, 0] = np.nan
    recorder = recorded((layers, steps))
    recording = recorder.recording()
    assert recording["gradient_nan"][recording.row_of(1234), 1] == 7
    assert recording["gradient_nan"].sum() == 7
    for width in (5, 100, 2000):
        for source in (recorder, recording):
            gradient = source.columns("gradient_rms", width=width)
            assert gradient.nan[column_of(gradient, 1234), 1]
            assert not gradient.nan[:, 0].any()
            assert not gradient.inf.any()
            delta = source.columns("delta_norm", width=width)
            assert delta.inf[column_of(delta, 1300), 2]
            loss = source.columns("loss", width=width)
            assert loss.nan[column_of(loss, 1400)]
            assert np.isfinite(loss.maximum).all()


def test_that_the_first_nonfinite_value_is_the_first_in_the_order_of_training() -> None:
    def found(*entries: tuple[int, int, str], loss: tuple[int, float] | None = None) -> FirstNonfinite | None:
        layers, steps = rows_of(50)
        for step, layer, key in entries:
            layers[step, layer, LAYER_COLUMNS.index(key)] = 1
        if loss is not None:
            steps[loss[0], 0] = loss[1]
        recorder = recorded((layers, steps), [3, 20, 21])
        assert recorder.recording().first_nonfinite == recorder.first_nonfinite
        return recorder.first_nonfinite

    assert found() is None
    assert found((20, 1, "delta_nan"), (21, 0, "weight_nan")) == (20, 1, "delta", "nan")
    assert found((20, 1, "gradient_inf"), (20, 2, "delta_inf")) == (20, 2, "delta", "inf")
    assert found((20, 2, "activation_inf"), (20, 1, "delta_nan")) == (20, 2, "activation", "inf")
    # A weight is recorded as the step leaves it, so it comes last.
    assert found((20, 2, "activation_inf"), (20, 1, "weight_nan")) == (20, 2, "activation", "inf")
    assert found((20, 1, "weight_nan"), (20, 0, "gradient_inf")) == (20, 1, "weight", "nan")
    assert found((20, 1, "delta_nan"), loss=(20, np.inf)) == (20, None, "loss", "inf")
    assert found((20, 1, "activation_nan"), loss=(20, np.nan)) == (20, 1, "activation", "nan")


def test_that_rewinding_before_the_first_nonfinite_value_forgets_it() -> None:
    layers, steps = rows_of(50)
    steps[20, 0] = np.inf
    recorder = recorded((layers, steps))
    recorder.rewind(21)
    assert recorder.first_nonfinite is not None
    recorder.rewind(20)
    assert recorder.first_nonfinite is None


def test_that_a_training_without_a_loss_has_no_nonfinite_one() -> None:
    recorder = Recorder(LAYERS, CAPACITY, loss=False)
    recorder.append_step({"gradient_norm": [np.nan, 1.0, 2.0]})
    assert recorder.first_nonfinite is None
    recorder.append_step({"gradient_inf": [0, 0, 1]})
    assert recorder.first_nonfinite == (1, 2, "gradient", "inf")


def test_that_memory_stays_within_the_capacity_whatever_the_length() -> None:
    capacity = 4 * 2**20
    rows = rows_of(4096)
    tracemalloc.start()
    try:
        recorder = Recorder(LAYERS, capacity)
        # With a capacity of 4 MiB this merges the past several times.
        for _ in range(40):
            recorder.append(*rows)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert recorder.stop == 40 * 4096
    assert recorder.recording().strides.max() >= 4 * BLOCK
    assert recorder.nbytes <= capacity
    # Beside it, the temporary arrays of one append and the interpreter's own small change.
    assert after < recorder.nbytes + 200_000
    assert peak < capacity + 600_000


def test_that_a_short_run_takes_little_of_the_capacity() -> None:
    recorder = Recorder(LAYERS)
    recorder.append(*rows_of(100))
    assert recorder.nbytes < 4 * 2**20


def test_that_a_capacity_too_small_for_the_layers_is_refused_with_the_least_allowed() -> None:
    Recorder(LAYERS, CAPACITY)
    many = tuple(Layer(f"dense_{i}", weight_size=1, units=1) for i in range(500))
    least = small_capacity(many)
    assert Recorder(many, least).nbytes <= least


def test_that_validations_are_kept_thinned_and_rewound() -> None:
    recorder = recorded(rows_of(100))
    for step in range(0, 100, 10):
        recorder.append_validation(step, step / 10, 0.5)
    before = recorder.recording()
    recorder.rewind(31)
    assert recorder.recording().validation.step.tolist() == [0, 10, 20, 30]
    recorder.append_validation(31, 9.0)
    assert recorder.recording().validation.val_loss.tolist() == [0, 1, 2, 3, 9]
    assert before.validation.val_loss.tolist() == list(range(10))
    for step in range(20_000):
        recorder.append_validation(31 + step, 0.0)
    steps = recorder.recording().validation.step
    assert len(steps) <= 4096
    assert steps[-1] == 31 + 19_999
    assert (np.diff(steps) >= 0).all()


def test_that_steps_may_begin_anywhere_and_be_apart() -> None:
    rows = rows_of(3000)
    recorder = Recorder(LAYERS, CAPACITY, first_step=500, every=10)
    fill(recorder, rows, [])
    recording = recorder.recording()
    assert (recorder.stop, recording.start, recording.stop) == (30_500, 500, 30_500)
    assert (recording.strides % 10 == 0).all()
    columns = recorder.columns("delta_norm", width=50)
    high, _ = naive_columns(rows[0][..., DELTA], 0, columns.stride // 10, len(columns))
    np.testing.assert_array_equal(columns.maximum, high)
    assert columns.start == 500
    moment = recorder.at(30_495)
    assert moment.steps.tolist() == [30_490]
    recorder.rewind(30_400)
    assert recorder.stop == 30_400


def test_that_a_moment_is_the_row_that_stands_for_it() -> None:
    rows = rows_of(9000)
    recorder = recorded(rows)
    recording = recorder.recording()
    for step in (0, 17, 5000, recorder.full_from - 1, recorder.full_from, 8999):
        moment = recorder.at(step)
        assert len(moment) == 1
        row = recording.row_of(step)
        np.testing.assert_array_equal(moment["update_ratio"][0], recording["update_ratio"][row])
        np.testing.assert_array_equal(moment.maximum("loss")[0], recording.maximum("loss")[row])
    for step in (-1, 9000):
        with pytest.raises(IndexError, match="allowed 0 to 8999"):
            recorder.at(step)


def test_that_derived_quantities_follow_their_formulas() -> None:
    layers, steps = rows_of(5)
    recording = recorded((layers, steps)).recording()
    column = {key: layers[..., i] for i, key in enumerate(LAYER_COLUMNS)}
    rate, rows = (steps[:, [STEP_COLUMNS.index(key)]] for key in ("learning_rate", "rows"))
    units, weight = np.array([4, 3, 2]), np.array([np.nan, 12, 6])
    np.testing.assert_allclose(recording["delta_rms"], column["delta_norm"] / np.sqrt(rows * units))
    np.testing.assert_allclose(recording["gradient_rms"], column["gradient_norm"] / np.sqrt(weight))
    np.testing.assert_allclose(recording["weight_rms"], column["weight_norm"] / np.sqrt(weight))
    np.testing.assert_allclose(recording["update_ratio"], column["update_norm"] / column["weight_norm"])
    np.testing.assert_allclose(recording["applied_norm"], column["update_norm"] / rate)


def test_that_the_largest_ratio_of_a_block_is_that_of_one_of_its_steps() -> None:
    layers, steps = rows_of(9000)
    recording = recorded((layers, steps)).recording()
    ratio = layers[..., LAYER_COLUMNS.index("update_norm")] / layers[..., LAYER_COLUMNS.index("weight_norm")]
    a, b = recording.steps[0], recording.steps[0] + recording.strides[0]
    assert b - a > 1
    np.testing.assert_array_equal(recording.maximum("update_ratio")[0], ratio[a:b].max(axis=0))
    np.testing.assert_allclose(recording["update_ratio"][0], ratio[a:b].mean(axis=0), rtol=1e-13)


def test_that_where_nothing_is_clipped_the_clipped_norm_is_the_raw_one() -> None:
    recorder = Recorder(LAYERS, CAPACITY)
    recorder.append_step({"gradient_norm": [np.nan, 2.0, 3.0], "clipped_norm": [np.nan, 1.0, np.nan]}, {"loss": 1})
    np.testing.assert_array_equal(recorder.recording()["clipped_norm"], [[np.nan, 1.0, 3.0]])


def test_that_a_ratio_to_a_weight_of_zero_is_no_infinity() -> None:
    recorder = Recorder(LAYERS, CAPACITY)
    recorder.append_step({"update_norm": [0.0, 0.0, 1.0], "weight_norm": [1.0, 0.0, 0.0]}, {"loss": 1})
    np.testing.assert_array_equal(recorder.recording()["update_ratio"], [[0.0, 0.0, np.nan]])


def test_that_wrong_shapes_and_names_are_refused() -> None:
    recorder = Recorder(LAYERS, CAPACITY)
    layers, steps = rows_of(3)
    with pytest.raises(ValueError, match=r"received \(3, 2, 21\)"):
        recorder.append(layers[:, :2], steps)
    with pytest.raises(ValueError, match="received"):
        recorder.append(layers[:2], steps)
    with pytest.raises(KeyError, match="no stored quantity 'delta_rms'"):
        recorder.append_step({"delta_rms": [1, 2, 3]})
    with pytest.raises(KeyError, match="no quantity 'delta'"):
        recorder.columns("delta")
    assert recorder.stop == 0
    assert len(recorder.recording()) == 0


def test_that_the_layer_table_can_be_frozen_on_the_way_but_not_resized() -> None:
    recorder = recorded(rows_of(3))
    frozen = Layer("dense", weight_size=12, units=3, trainable=False)
    recorder.set_layers([LAYERS[0], frozen, LAYERS[2]])
    assert recorder.recording().layers[1].frozen
    with pytest.raises(ValueError, match="the same sizes"):
        recorder.set_layers(LAYERS[:2])


def test_that_a_recording_does_not_change_when_the_recorder_goes_on() -> None:
    rows = rows_of(2000)
    recorder = recorded(rows)
    before, again = recorder.recording(), recorder.recording()
    recorder.append(*rows_of(4000, seed=9))
    recorder.rewind(100)
    recorder.append(*rows_of(4000, seed=10))
    assert before == again
    np.testing.assert_array_equal(before["delta_norm"][-1], rows[0][-1, :, DELTA])


class _Writer(threading.Thread):
    """Records rows in which every number is the number of the step, and now and then goes back."""

    def __init__(self, recorder: Recorder, chunks: int, rewind: bool) -> None:
        super().__init__()
        self.recorder, self.chunks, self.rewind = recorder, chunks, rewind
        self.failure: BaseException | None = None

    def run(self) -> None:
        rng = np.random.default_rng(0)
        try:
            for i in range(self.chunks):
                n = int(rng.integers(1, 300))
                step = np.arange(self.recorder.stop, self.recorder.stop + n, dtype=np.float64)
                layers = np.zeros((n, len(LAYERS), len(LAYER_COLUMNS)))
                layers[..., : len(MEASURED)] = step[:, None, None]
                self.recorder.append(layers, np.repeat(step[:, None], len(STEP_COLUMNS), axis=1))
                if self.rewind and i % 7 == 6:
                    self.recorder.rewind(max(self.recorder.stop - int(rng.integers(0, 200)), 0))
        except BaseException as problem:
            self.failure = problem


def check_rows(recording: Recording) -> None:
    last = recording.steps + recording.strides - 1
    for key in ("delta_norm", "clip_cosine"):
        np.testing.assert_array_equal(recording.minimum(key), np.repeat(recording.steps[:, None], 3, axis=1))
        np.testing.assert_array_equal(recording.maximum(key), np.repeat(last[:, None], 3, axis=1))
    np.testing.assert_array_equal(recording.maximum("epoch"), last)


@pytest.mark.parametrize("rewind", [False, True])
def test_that_readers_in_another_thread_only_ever_see_whole_rows(rewind: bool) -> None:
    recorder = Recorder(LAYERS, CAPACITY)
    writer = _Writer(recorder, 400, rewind)
    writer.start()
    reads, position = 0, None
    try:
        while writer.is_alive():
            check_rows(recorder.recording())
            news = recorder.since(position)
            assert position is None or news.start <= position.stop
            position = news.position
            columns = recorder.columns("delta_norm", stride=64)
            # The ring is so short here that a reader may be overtaken and go without its oldest rows.
            full = columns.full & columns.recorded
            assert (columns.minimum[full] >= columns.steps[full, None]).all()
            assert (columns.maximum[full] <= columns.steps[full, None] + 63).all()
            reads += 1
    finally:
        writer.join()
    assert writer.failure is None
    assert reads > 0
    check_rows(recorder.recording())


def test_that_every_quantity_can_be_read_from_recorder_and_recording() -> None:
    recorder = recorded(rows_of(3000))
    recording = recorder.recording()
    for definition in definitions():
        wide = definition.scope == "layer"
        for source in (recorder, recording):
            columns = source.columns(definition.key, width=64)
            assert columns.maximum.shape == ((len(columns), 3) if wide else (len(columns),))
        assert recording[definition.key].shape == ((len(recording), 3) if wide else (len(recording),))


@pytest.mark.parametrize("capacity", [400_000, 185_000])
@pytest.mark.parametrize("steps", [0, 5, 700, 5_000, 20_000])
@pytest.mark.parametrize("back", [None, 3, 900])
def test_that_a_paused_recorder_goes_on_as_if_it_had_not_been_paused(
    capacity: int, steps: int, back: int | None
) -> None:
    from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS

    generator = np.random.default_rng(0)

    def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
        of_layers = np.exp(generator.normal(size=(count, 1, len(LAYER_COLUMNS))))
        of_layers[:, :, [i for i, key in enumerate(LAYER_COLUMNS) if key.endswith(("_nan", "_inf"))]] = 0
        of_layers[generator.random(count) < 0.01] = np.nan
        return of_layers, np.exp(generator.normal(size=(count, len(STEP_COLUMNS))))

    recorder = Recorder([Layer("a", units=4, weight_size=4)], capacity)
    recorder.append(*rows(steps))
    recorder.append_validation(steps // 2, 0.5)
    if back is not None:
        recorder.rewind(max(0, steps - back))
        recorder.append(*rows(45))
    again = Recorder.resumed(*recorder.paused(), capacity)
    assert again.recording() == recorder.recording()
    more = rows(3_000)
    for one in (recorder, again):
        one.append(*more)
    assert again.recording() == recorder.recording()
    assert again.first_nonfinite == recorder.first_nonfinite


def test_that_a_recorder_of_less_memory_takes_up_what_it_can_hold() -> None:
    from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS

    recorder = Recorder([Layer("a", units=4, weight_size=4)], 4_000_000)
    values = np.zeros((9_000, 1, len(LAYER_COLUMNS)))
    values[:, 0, LAYER_COLUMNS.index("gradient_norm")] = np.arange(1, 9_001)
    recorder.append(values, np.ones((9_000, len(STEP_COLUMNS))))
    again = Recorder.resumed(*recorder.paused(), 185_000)
    found = again.recording()
    assert (found.start, found.stop) == (0, 9_000)
    assert found.maximum("gradient_norm").max() == 9_000
    assert again.nbytes < recorder.nbytes


# Rows that are put where they stay


def put(recorder: Recorder, rows: tuple[Floats, Floats], cuts: list[int]) -> None:
    """As the trainer does it: into the recorder's room, to be published at the end of each cut."""
    layers, steps = rows
    done = 0
    for size in cuts:
        stop = done + size
        while done < stop:
            room = recorder.room(stop - done)
            assert 1 <= room.rows <= stop - done
            part = slice(done, done + room.rows)
            counted = recorder._intake.take(layers[part], room.ring, room.places)
            recorder.written(steps[part], counted)
            done = part.stop
        recorder.publish()


@pytest.mark.parametrize("odd", [0.0, 0.02])
@pytest.mark.parametrize("cuts", [[1, 39, 700, 3, 257], [1000], [5000, 1, 31]])
def test_that_rows_put_into_its_room_are_kept_as_appended_ones_are(cuts: list[int], odd: float) -> None:
    rows = rows_of(sum(cuts), seed=3, odd=odd)
    one, other = (Recorder(LAYERS, CAPACITY) for _ in range(2))
    fill(one, rows, cuts)
    put(other, rows, cuts)
    a, b = one.recording(), other.recording()
    assert one.stop == other.stop == sum(cuts)
    assert a.coarse_rows == b.coarse_rows and a.first_nonfinite == b.first_nonfinite
    assert (a.first_nonfinite is None) == (odd == 0.0)
    for key in (*LAYER_COLUMNS, *STEP_COLUMNS):
        np.testing.assert_array_equal(a[key], b[key])
        np.testing.assert_array_equal(a.maximum(key), b.maximum(key))


def test_that_nobody_sees_rows_before_they_are_published() -> None:
    recorder = Recorder(LAYERS, 2**24)
    layers, steps = rows_of(12, seed=1)
    recorder.append(layers[:4], steps[:4])
    before = recorder.since().position
    room = recorder.room(5)
    recorder.written(steps[4:9], recorder._intake.take(layers[4:9], room.ring, room.places))
    assert recorder.stop == 4 and len(recorder.recording()) == 4
    assert recorder.since(before)[:2] == (4, 4)
    # Appending and going back both come after what has been written.
    recorder.append(layers[9:], steps[9:])
    assert recorder.since(before)[:2] == (4, 12)
    np.testing.assert_array_equal(recorder.recording()["loss"], steps[:, 0])
    room = recorder.room(2)
    recorder.written(steps[:2], recorder._intake.take(layers[:2], room.ring, room.places))
    recorder.rewind(13)
    np.testing.assert_array_equal(recorder.recording()["loss"], [*steps[:, 0], steps[0, 0]])


def test_that_a_room_of_which_not_all_is_written_counts_for_what_is() -> None:
    recorder = Recorder(LAYERS, CAPACITY)
    layers, steps = rows_of(3, seed=1)
    room = recorder.room(100)
    recorder._intake.take(layers, room.ring[:, :3], room.places)
    recorder.written(steps, False)
    recorder.written(steps[:0], False)
    recorder.publish()
    assert recorder.stop == 3
    np.testing.assert_array_equal(recorder.recording()["delta_norm"], layers[..., DELTA])


def test_that_the_first_nan_is_found_wherever_a_chunk_was_cut() -> None:
    layers, steps = rows_of(900, seed=2)
    layers[611, 1, LAYER_COLUMNS.index("delta_nan")] = 2.0
    recorder = Recorder(LAYERS, CAPACITY)
    put(recorder, (layers, steps), [600, 300])
    assert recorder.first_nonfinite == FirstNonfinite(611, 1, "delta", "nan")

"""The recording as a value: what is read from it, how two compare, what its table and its CSV say."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradsim.telemetry import LAYER_COLUMNS, STEP_COLUMNS, Layer, Recorder, Recording, State, quantity

LAYERS = (
    Layer("flatten", "Flatten", shape=(784,), units=784),
    Layer("dense", "Dense", "Dense 100 sigmoid", (100,), 78_500, 78_400, 100, path="layers.1.layers.0", repeat=0),
    Layer("dense_1", "Dense", "Dense 10 softmax", (10,), 1010, 1000, 10, path="layers.2"),
)
WEIGHTS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(3, np.float32)]


def recorder_of(n: int, capacity: int = 2**20, layers: tuple[Layer, ...] = LAYERS, seed: int = 0) -> Recorder:
    rng = np.random.default_rng(seed)
    values = rng.uniform(1e-4, 1e-2, (n, len(layers), len(LAYER_COLUMNS)))
    values[..., [quantity(key).counts for key in LAYER_COLUMNS]] = 0
    steps = rng.uniform(0.1, 1, (n, len(STEP_COLUMNS)))
    steps[:, STEP_COLUMNS.index("rows")] = 32
    recorder = Recorder(layers, capacity, experiment={"loss": "mse"}, seed=7)
    recorder.append(values, steps)
    return recorder


def coarse() -> Recording:
    recorder = recorder_of(9000)
    recorder.append_validation(4000, 0.5, 0.25)
    recording = recorder.recording(final_weights=WEIGHTS)
    assert 0 < recording.coarse_rows < len(recording)
    return recording


def test_that_what_is_handed_out_cannot_be_changed() -> None:
    recording = coarse()
    for array in (
        recording["loss"],
        recording.maximum("gradient_rms"),
        recording.steps,
        recording.validation.step,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_that_weights_which_go_on_being_trained_are_copied() -> None:
    weight = np.ones(3, np.float32)
    recording = recorder_of(3).recording(initial_weights=[weight], final_weights=[weight])
    weight[:] = 5
    assert recording.initial_weights is not None
    assert recording.final_weights is not None
    assert recording.initial_weights[0].tolist() == recording.final_weights[0].tolist() == [1, 1, 1]


def test_that_an_unknown_quantity_is_answered_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="no quantity 'gradients'; there are: delta_norm"):
        recorder_of(3).recording()["gradients"]


def test_that_recordings_are_equal_only_if_everything_is() -> None:
    recording = coarse()
    assert recording == coarse()
    assert recording != recorder_of(9000, seed=1).recording(final_weights=WEIGHTS)
    assert recording != recording.with_weights(final=[WEIGHTS[0], WEIGHTS[1] + 1])
    assert recording != recording.with_weights(initial=WEIGHTS)
    assert recording != recording.slice(0, recording.stop - 1)
    assert recording != "recording"
    with pytest.raises(TypeError, match="unhashable"):
        hash(recording)


def test_that_a_slice_holds_the_rows_that_begin_in_it() -> None:
    recording = coarse()
    part = recording.slice(3000, 8990)
    inside = (recording.steps >= 3000) & (recording.steps < 8990)
    np.testing.assert_array_equal(part.steps, recording.steps[inside])
    for key in ("gradient_rms", "update_ratio", "loss"):
        np.testing.assert_array_equal(part[key], recording[key][inside])
        np.testing.assert_array_equal(part.maximum(key), recording.maximum(key)[inside])
        np.testing.assert_array_equal(part.minimum(key), recording.minimum(key)[inside])
    assert part.validation.step.tolist() == [4000]
    assert part.final_weights is None
    assert recording.slice(3000).final_weights is not None
    assert recording.slice() == recording
    assert len(recording.slice(5000, 4000)) == 0


def test_that_the_first_nonfinite_value_of_a_slice_is_its_own() -> None:
    recorder = recorder_of(10)
    for _ in range(3):
        recorder.append_step({"delta_nan": [0, 4, 0]}, {"loss": 1.0})
    recording = recorder.recording()
    assert recording.first_nonfinite == (10, 1, "delta", "nan")
    assert recording.slice(0, 10).first_nonfinite is None
    assert recording.slice(11).first_nonfinite == (11, 1, "delta", "nan")


def test_that_a_row_is_found_by_its_step() -> None:
    recording = coarse()
    assert recording.row_of(0) == 0
    assert recording.row_of(int(recording.strides[0])) == 1
    assert recording.row_of(-1) == recording.row_of(8999) == len(recording) - 1
    with pytest.raises(IndexError, match="allowed 0 to 8999; received 9000"):
        recording.row_of(9000)


def test_that_comparing_names_the_first_step_and_the_largest_difference() -> None:
    one, other = recorder_of(20), recorder_of(20)
    assert not one.recording().compare(other.recording())
    row = {key: one.recording()[key][5] for key in LAYER_COLUMNS}
    step = {key: float(one.recording()[key][5]) for key in STEP_COLUMNS}
    for recorder in (one, other):
        recorder.rewind(12)
    one.append_step(row, step)
    other.append_step({**row, "delta_max": row["delta_max"] * [1, 1.25, 1]}, {**step, "loss": math.nan})
    other.append_step(row, step)
    found = one.recording().compare(other.recording())
    assert found
    assert found.same_layers
    assert found.first_differing_step == 12
    assert (found.only_here, found.only_there) == (0, 1)
    assert found.relative == {"delta_max": pytest.approx(0.2), "loss": math.inf}


def test_that_comparing_tells_how_the_layers_differ() -> None:
    frozen = (*LAYERS[:2], replace(LAYERS[2], trainable=False, units=12))
    found = recorder_of(5).recording().compare(recorder_of(5, layers=frozen).recording())
    assert found.layers == ("layer 2 (dense_1): trainable True against False",)
    found = recorder_of(5).recording().compare(recorder_of(5, layers=LAYERS[:2]).recording())
    assert found.layers == ("3 layers against 2",)
    assert not found.same_layers


def summary_of(**values: list[float]) -> list[State]:
    healthy = {
        "delta_norm": [0.1] * 3,
        "gradient_norm": [math.nan, 0.1, 0.1],
        "weight_norm": [math.nan, 10, 10],
    }
    recorder = Recorder(LAYERS)
    recorder.append_step({**healthy, **values}, {"loss": 1.0, "rows": 32.0})
    return [row.state for row in recorder.recording().summary()]


def test_that_the_state_of_a_layer_is_the_worst_of_delta_and_gradient() -> None:
    healthy = State.HEALTHY
    assert summary_of() == [healthy] * 3
    # A gradient that is large enough over a delta that has died: the gradient alone would not show it.
    assert summary_of(delta_norm=[0.1, 1e-9, 0.1]) == [healthy, State.VANISHING, healthy]
    assert summary_of(gradient_norm=[math.nan, 1e-9, 1e9]) == [healthy, State.VANISHING, State.EXPLODING]
    assert summary_of(delta_norm=[0.1, 1e-9, 0.1], gradient_norm=[math.nan, 1e9, 0.1])[1] == State.EXPLODING
    assert summary_of(gradient_norm=[math.nan, 0.0, 0.1])[1] == State.ZERO
    assert summary_of(delta_norm=[0.1, 1e-38, 0.1])[1] == State.SUBNORMAL
    assert summary_of(activation_nan=[1, 0, 0], gradient_inf=[0, 2, 0], delta_nan=[0, 0, 1]) == [
        State.NAN,
        State.INFINITE,
        State.NAN,
    ]


def test_that_a_frozen_layer_is_called_frozen_unless_it_breaks() -> None:
    layers = (LAYERS[0], replace(LAYERS[1], trainable=False), replace(LAYERS[2], trainable=False))
    recorder = Recorder(layers)
    recorder.append_step({"delta_norm": [1e-9, 0.1, 0.1], "activation_nan": [0, 0, 3]}, {"loss": 1.0, "rows": 32.0})
    assert recorder.recording().layer_states() == [State.VANISHING, State.FROZEN, State.NAN]


def test_that_the_summary_of_an_earlier_step_is_that_of_its_row() -> None:
    recording = coarse()
    early = recording.summary(5)
    assert early[1].layer is LAYERS[1]
    assert early[1].gradient_rms == recording["gradient_rms"][0, 1]
    assert early[2].update_ratio == recording["update_ratio"][0, 2]
    assert math.isnan(early[0].gradient_rms)


def read_csv(recording: Recording, path: Path) -> list[dict[str, str]]:
    recording.to_csv(path)
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_that_the_csv_holds_one_line_a_step_and_layer(tmp_path: Path) -> None:
    recorder = recorder_of(4)
    recorder.append_step({"gradient_norm": [math.nan, math.inf, 2.5], "gradient_nan": [0, 0, 3]}, {"loss": math.nan})
    recorder.append_validation(3, 0.75)
    recording = recorder.recording()
    lines = read_csv(recording, tmp_path / "run.csv")
    assert len(lines) == 5 * 3
    line = lines[3 * 3 + 1]
    assert (line["step"], line["steps"], line["layer"]) == ("3", "1", "1")
    assert (line["layer_name"], line["layer_type"], line["trainable"]) == ("dense", "Dense", "True")
    assert float(line["gradient_rms"]) == recording["gradient_rms"][3, 1]
    assert float(line["loss"]) == recording["loss"][3]
    assert (line["val_loss"], line["val_accuracy"]) == ("0.75", "")
    assert lines[0]["val_loss"] == ""
    # No such thing is empty; NaN and Inf are said.
    last = lines[12:]
    assert [line["gradient_norm"] for line in last] == ["", "inf", "2.5"]
    assert [line["gradient_nan"] for line in last] == ["0", "0", "3"]
    assert {line["loss"] for line in last} == {"nan"}
    assert not any(key.endswith("_maximum") for key in line)


def test_that_the_csv_of_a_coarse_recording_keeps_the_extremes(tmp_path: Path) -> None:
    recording = coarse()
    lines = read_csv(recording, tmp_path / "run.csv")
    assert int(lines[0]["steps"]) == recording.strides[0] > 1
    assert float(lines[1]["delta_norm_maximum"]) == recording.maximum("delta_norm")[0, 1]
    assert float(lines[1]["delta_norm_minimum"]) < float(lines[1]["delta_norm"])
    assert [line["val_loss"] for line in lines if line["val_loss"]] == ["0.5"] * 3


def test_that_a_csv_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.csv"
    path.write_text("old")

    def fail(self: Recording) -> object:
        yield ["step"]
        raise OSError("disk full")

    monkeypatch.setattr(Recording, "csv_lines", fail)
    with pytest.raises(OSError, match="disk full"):
        recorder_of(3).recording().to_csv(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.csv"]

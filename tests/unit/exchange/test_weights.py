"""Weights from files of others, good ones and hostile ones."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradsim.exchange import weights
from gradsim.exchange.results import ImportFault
from gradsim.model import Experiment
from gradsim.telemetry import Recorder
from gradsim.telemetry.recording import Layer
from tests.unit.exchange.cases import starting_weights

VALUE = Experiment(
    layers=[
        {"type": "Dense", "units": 4},
        {"type": "BatchNormalization"},
        {"type": "Dense", "units": 1, "activation": "sigmoid"},
    ],
    data="moons",
)
STACK = VALUE.stack()
ARRAYS = starting_weights(VALUE)


def safetensors(path: Path, arrays: dict[str, Any], change: dict[str, Any] | None = None) -> Path:
    """What the safetensors library writes: names in alphabetical order, numbers without gaps."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name in sorted(arrays):
        data = np.ascontiguousarray(arrays[name]).tobytes()
        kinds = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64"}
        header[name] = {
            "dtype": kinds[str(arrays[name].dtype)],
            "shape": list(arrays[name].shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    header |= change or {}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


TORCH = {
    "0.weight": ARRAYS[0].T, "0.bias": ARRAYS[1], "1.weight": ARRAYS[2], "1.bias": ARRAYS[3],
    "1.running_mean": ARRAYS[4], "1.running_var": ARRAYS[5], "1.num_batches_tracked": np.array(7),
    "10.weight": ARRAYS[6].T, "10.bias": ARRAYS[7],
}  # fmt: skip


def same(found: list[Any]) -> None:
    for mine, its in zip(ARRAYS, found, strict=True):
        np.testing.assert_array_equal(its, mine)


def test_that_a_pytorch_state_in_safetensors_is_turned_round(tmp_path: Path) -> None:
    same(weights.read(safetensors(tmp_path / "own.safetensors", TORCH), STACK))


def test_that_half_precision_is_read(tmp_path: Path) -> None:
    arrays = {name: array.astype(np.float16) for name, array in TORCH.items()}
    found = weights.read(safetensors(tmp_path / "own.safetensors", arrays), STACK)
    np.testing.assert_allclose(found[0], ARRAYS[0], rtol=1e-3)


def test_that_bfloat16_is_read(tmp_path: Path) -> None:
    upper = (np.array([[1.5, -2.0]], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    header = json.dumps({"w": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "own.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + upper.tobytes())
    np.testing.assert_array_equal(weights.read_safetensors(path)["w"], [[1.5, -2.0]])


@pytest.mark.parametrize("form", ["savez", "own", "state"])
def test_that_an_npz_is_read_in_the_order_of_its_numbers(form: str, tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    if form == "savez":
        np.savez(path, *ARRAYS)
    elif form == "own":
        weights.save(path, STACK, ARRAYS)
    else:
        np.savez(path, **TORCH)  # type: ignore[arg-type]
    same(weights.read(path, STACK))


def test_that_a_recording_gives_its_final_weights(tmp_path: Path) -> None:
    recorder = Recorder([Layer("dense")])
    recorder.append_step({})
    path = tmp_path / "run.npz"
    recorder.recording(initial_weights=[0 * array for array in ARRAYS], final_weights=ARRAYS).save(path)
    same(weights.read(path, STACK))


def changed(**arrays: Any) -> dict[str, Any]:
    return TORCH | {name.replace("_", ".", 1): array for name, array in arrays.items()}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            changed(**{"0_weight": np.zeros((5, 2), np.float32)}),
            r"dense.kernel \(0.weight\): must have the shape \(4, 2\)",
        ),
        (changed(**{"0_bias": np.full(4, np.nan, np.float32)}), "dense.bias .*: must hold finite numbers only"),
        (changed(**{"0_bias": np.full(4, np.inf, np.float32)}), "must hold finite numbers only"),
        ({"0.weight": TORCH["0.weight"]}, "must hold 8 arrays"),
    ],
)
def test_that_arrays_that_do_not_fit_are_named(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFault, match=words):
        weights.read(safetensors(tmp_path / "own.safetensors", arrays), STACK)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}, "must be begin and end within"),
        ({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}, "must span 16 bytes"),
        ({"x": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}, "must be a list of at most"),
        ({"x": {"dtype": "O", "shape": [4], "data_offsets": [0, 16]}}, "must be one of F64"),
        ({"x": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}, "must be begin and end"),
        ({"x": 3}, "must be an object"),
        ({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, "arrays that overlap"),
    ],
)
def test_that_a_header_that_lies_is_refused(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFault, match=words):
        weights.read(safetensors(tmp_path / "own.safetensors", TORCH, change), STACK)


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 8, b"\xff" * 100, (2**30).to_bytes(8, "little") + b"{}", b"\2" + b"\0" * 7 + b"[]"]
)
def test_that_what_is_no_safetensors_file_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(data)
    with pytest.raises(ImportFault):
        weights.read(path, STACK)


def test_that_pickled_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, weights=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ImportFault, match="must be an array of numbers"):
        weights.read(path, STACK)


def test_that_a_small_file_can_not_ask_for_much_memory(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}".ljust(117) + "\n"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("arr_0.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(ImportFault, match="must be an array of numbers"):
        weights.read(path, STACK)


@pytest.mark.parametrize("name", ["own.txt", "none.npz", "none.safetensors"])
def test_that_other_or_missing_files_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFault, match="the file"):
        weights.read(tmp_path / name, STACK)

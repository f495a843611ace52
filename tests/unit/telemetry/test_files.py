"""Saving and loading: the round trip, and files that a stranger made."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gradsim.telemetry import LAYER_COLUMNS, STEP_COLUMNS, Layer, Recorder, Recording, RecordingFileError

LAYERS = (
    Layer("flatten", "Flatten", shape=(2, 2), units=4),
    Layer("dense", "Dense", "Dense 3 ‹tanh›", (3,), 15, 12, 3, False, "layers.1", 4),
)


def recording_of(values: NDArray[Any], steps: NDArray[Any], **rest: Any) -> Recording:
    recorder = Recorder(LAYERS, 600_000, **rest)
    recorder.append(values, steps)
    recorder.append_validation(1, 0.5, float("nan"))
    return recorder.recording()


def simple(n: int = 5) -> Recording:
    rng = np.random.default_rng(0)
    values = rng.random((n, 2, len(LAYER_COLUMNS)))
    return recording_of(values, rng.random((n, len(STEP_COLUMNS))), seed=3, experiment={"layers": [1, "ä"]})


any_float = st.floats(width=64)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), n=st.integers(0, 5), repeat=st.sampled_from([1, 300]))
def test_that_any_recording_survives_its_file(tmp_path: Path, data: st.DataObject, n: int, repeat: int) -> None:
    values = data.draw(hnp.arrays(np.float64, (n, 2, len(LAYER_COLUMNS)), elements=any_float))
    steps = data.draw(hnp.arrays(np.float64, (n, len(STEP_COLUMNS)), elements=any_float))
    weights = data.draw(
        st.none()
        | st.lists(
            hnp.arrays(st.sampled_from([np.dtype("float32"), np.dtype("float64")]), hnp.array_shapes(min_dims=0)),
            max_size=3,
        )
    )
    recording = recording_of(
        np.tile(values, (repeat, 1, 1)),
        np.tile(steps, (repeat, 1)),
        every=data.draw(st.sampled_from([1, 10])),
        first_step=data.draw(st.integers(0, 1000)),
        seed=data.draw(st.none() | st.integers(-(2**63), 2**63)),
        source=data.draw(st.text(st.characters(codec="utf-8"))),
        experiment=data.draw(
            st.none() | st.dictionaries(st.text(st.characters(codec="utf-8")), st.floats(allow_nan=False))
        ),
    ).with_weights(initial=weights, final=weights)
    path = tmp_path / "run.npz"
    recording.save(path)
    again = Recording.load(path)
    assert again == recording


def test_that_a_coarse_recording_survives_its_file(tmp_path: Path) -> None:
    recording = simple(5000)
    assert recording.coarse_rows > 0
    recording.save(tmp_path / "run.npz")
    again = Recording.load(tmp_path / "run.npz")
    assert again == recording
    np.testing.assert_array_equal(again["update_ratio"], recording["update_ratio"])
    np.testing.assert_array_equal(again.maximum("update_ratio"), recording.maximum("update_ratio"))


def test_that_numpy_opens_the_file(tmp_path: Path) -> None:
    recording = simple()
    recording.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["gradient_norm"], recording["gradient_norm"])
        np.testing.assert_array_equal(file["steps"], [0, 1, 2, 3, 4])


def test_that_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("gradsim.telemetry.files.npy.write_array", fail)
    with pytest.raises(OSError, match="disk full"):
        simple().save(path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.npz"]


def npy_bytes(array: NDArray[Any], **rest: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **rest)
    return stream.getvalue()


def header_only(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """An array that promises more than it holds."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


Members = dict[str, bytes]


def rewritten(tmp_path: Path, change: Callable[[Members], None], recording: Recording | None = None) -> Path:
    """A saved recording whose members ``change`` has altered."""
    path = tmp_path / "run.npz"
    (recording or simple()).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def with_header(**fields: Any) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        header = json.loads(np.load(io.BytesIO(members["recording.npy"])).tobytes())
        header.update(fields)
        members["recording.npy"] = npy_bytes(np.frombuffer(json.dumps(header).encode(), np.uint8))

    return change


def with_member(name: str, data: bytes) -> Callable[[Members], None]:
    return lambda members: members.update({f"{name}.npy": data})


def without(name: str) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        del members[f"{name}.npy"]

    return change


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("the file was executed",))


LAYER = {"name": "a", "type": "", "label": "", "shape": [1], "parameters": 0, "weight_size": 0, "units": 1}
LAYER |= {"trainable": True, "path": "", "repeat": None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("recording"), ["'recording'", "no such member"]),
        (without("steps"), ["'steps'", "int64 of shape (5)", "no such member"]),
        (without("loss"), ["recording with loss and gradient_norm"]),
        (with_header(format="other"), ["format 'gradsim recording'", "'other'"]),
        (with_header(version=2), ["version 1", "version 2"]),
        (with_header(version="1"), ["version: int", "'1'"]),
        (with_header(rows=-1), ["rows: 0 to 2**40", "-1"]),
        (with_header(rows=6), ["'steps'", "int64 of shape (6)", "int64 of shape (5,)"]),
        (with_header(coarse_rows=9), ["coarse_rows <= rows"]),
        (with_header(every=0), ["every >= 1"]),
        (with_header(layers={}), ["layers: list"]),
        (with_header(layers=[3]), ["layers[0]: an object", "3"]),
        (with_header(layers=[{**LAYER, "units": "many"}]), ["layers[0].units: int", "'many'"]),
        (with_header(layers=[{**LAYER, "units": True}]), ["layers[0].units: int", "True"]),
        (with_header(layers=[{**LAYER, "shape": [1.5]}]), ["layers[0].shape: list of int", "[1.5]"]),
        (with_header(layers=[{**LAYER, "repeat": -1}]), ["layers[0].repeat", "-1"]),
        (with_header(layers=[LAYER]), ["'delta_norm'", "float64 of shape (5, 1)", "(5, 2)"]),
        (with_header(experiment=[1]), ["experiment: dict or null", "[1]"]),
        (with_header(first_nonfinite=[1, 2, "delta", "nan"]), ["first_nonfinite: [step, layer"]),
        (
            with_header(weights={"final_weights": 1}),
            ["'final_weights.0'", "float32 or float64", "no such member"],
        ),
        (with_header(weights={"final_weights": 10**9}), ["weights.final_weights"]),
        (with_header(source="x" * 10**5, seed="s"), ["seed: int or null"]),
        (with_member("recording", npy_bytes(np.frombuffer(b"[" * 10**5, np.uint8))), ["JSON"]),
        (with_member("recording", npy_bytes(np.frombuffer(b"[1]", np.uint8))), ["a JSON object", "list"]),
        (with_member("recording", npy_bytes(np.frombuffer(b"\xff\xfe", np.uint8))), ["JSON"]),
        (
            with_member("loss", npy_bytes(np.zeros(5, np.float32))),
            ["'loss'", "float64 of shape (5)", "float32"],
        ),
        (with_member("loss", npy_bytes(np.zeros(5, ">f8"))), ["'loss'", "float64 of shape (5)", ">f8"]),
        (with_member("loss", npy_bytes(np.zeros(5, complex))), ["'loss'", "complex128"]),
        (with_member("loss", npy_bytes(np.array([Evil()] * 5, object))), ["'loss'", "object"]),
        (with_member("loss", b"no array"), ["'loss'", "something unreadable"]),
        (with_member("loss", b"\x93NUMPY\x01\x00\xff\xff{"), ["'loss'", "something unreadable"]),
        (with_member("loss", b"\x93NUMPY\x07\x00"), ["'loss'", "version 1.0 or 2.0"]),
        (with_member("loss", npy_bytes(np.zeros(5))[:-8]), ["'loss'", "at most|bytes"]),
        (with_member("loss", npy_bytes(np.zeros(5)) + b"x"), ["'loss'", "more"]),
        (with_member("loss", header_only((-1,))), ["'loss'", "(-1,)"]),
        (
            with_member("validation", header_only((10**15, 3))),
            ["'validation'", "at most", "(1000000000000000, 3)"],
        ),
        (with_member("validation", npy_bytes(np.full((1, 3), np.nan))), ["'validation'", "steps up to"]),
        (with_member("steps", npy_bytes(np.array([0, 1, 2, 2, 3]))), ["'steps'", "do not overlap"]),
        (with_member("steps", npy_bytes(np.array([-1, 0, 1, 2, 3]))), ["'steps'", "0 to 2**60"]),
        (with_member("strides", npy_bytes(np.array([1, 1, 1, 1, 2**62]))), ["strides of 1 to 2**60"]),
        (without("delta_norm.minimum"), ["KEY.minimum together with KEY.maximum"]),
    ],
)
def test_that_a_bad_file_is_refused_by_member_with_what_is_allowed_and_received(
    tmp_path: Path, change: Callable[[Members], None], words: list[str]
) -> None:
    path = rewritten(tmp_path, change)
    with pytest.raises(RecordingFileError) as caught:
        Recording.load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "allowed is" in message
    assert "received" in message
    assert len(message) < 1000 + len(str(path))
    for word in words:
        assert any(part in message for part in word.split("|")), message


@pytest.mark.parametrize("data", [b"", b"PK", b"no archive" * 100, b"PK\x05\x06" + b"\0" * 18, b"\x93NUMPY"])
def test_that_something_else_than_an_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(data)
    with pytest.raises(RecordingFileError, match="allowed is"):
        Recording.load(path)


def test_that_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Recording.load(tmp_path / "none.npz")


def test_that_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    simple().save(path)
    whole = path.read_bytes()
    for n in range(0, len(whole), 997):
        path.write_bytes(whole[:n])
        with pytest.raises(RecordingFileError):
            Recording.load(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_that_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "run.npz"
    simple().save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(RecordingFileError):
        Recording.load(path)


def peak_of(load: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(RecordingFileError):
            load()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_that_a_zip_bomb_takes_no_memory(tmp_path: Path) -> None:
    bomb = header_only((2**27,)) + bytes(2**27)
    path = rewritten(tmp_path, with_member("loss", bomb))
    assert path.stat().st_size < 2**20
    assert peak_of(lambda: Recording.load(path)) < 2**22
    assert peak_of(lambda: Recording.load(path, limit_bytes=2**20)) < 2**22


def test_that_a_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    simple().save(path)
    with pytest.raises(RecordingFileError, match="allowed is at most 1000 bytes when unpacked; received"):
        Recording.load(path, limit_bytes=1000)


def test_that_a_header_that_promises_much_takes_no_memory(tmp_path: Path) -> None:
    path = rewritten(tmp_path, with_member("final_weights.0", header_only((2**17, 2**17))))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with_header(weights={"final_weights": 1})(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert peak_of(lambda: Recording.load(path)) < 2**22


def test_that_a_lie_about_the_unpacked_size_is_found(tmp_path: Path) -> None:
    path = rewritten(tmp_path, with_member("validation", npy_bytes(np.zeros((10_000, 3)))))
    content = bytearray(path.read_bytes())
    at = content.rfind(b"validation.npy") - 46
    assert content[at : at + 4] == b"PK\x01\x02"
    struct.pack_into("<L", content, at + 24, 200)
    path.write_bytes(content)
    with pytest.raises(RecordingFileError, match="'validation'"):
        Recording.load(path)


def test_that_two_members_of_the_same_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    simple().save(path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("loss.npy", npy_bytes(np.zeros(5)))
    with pytest.raises(RecordingFileError, match="'loss': allowed is each member once"):
        Recording.load(path)


def test_that_an_archive_of_very_many_members_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(bytes(100) + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 100, 0, 0))
    with pytest.raises(RecordingFileError, match="65535 members"):
        Recording.load(path)


def test_that_an_older_file_without_a_quantity_still_loads(tmp_path: Path) -> None:
    def older(members: Members) -> None:
        for name in ("dead", "dead.minimum", "dead.maximum", "gradient_nan", "epoch"):
            del members[f"{name}.npy"]
        del members["epoch.minimum.npy"]
        del members["epoch.maximum.npy"]

    recording = Recording.load(rewritten(tmp_path, older))
    assert np.isnan(recording["dead"]).all()
    assert (recording["gradient_nan"] == 0).all()
    assert recording["epoch"].shape == (5,)
    recording.save(tmp_path / "again.npz")
    assert Recording.load(tmp_path / "again.npz") is not None

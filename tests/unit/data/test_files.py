from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gradsim import data
from gradsim.data import archives, tables
from gradsim.data.dataset import FAULTS_SHOWN, DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def csv(folder: Path, text: str, **fields: Any) -> data.Dataset:
    (folder / "own.csv").write_text(text, encoding="utf-8")
    return data.CSV("own.csv", **fields).load(folder)


def csv_faults(folder: Path, text: str | bytes, **fields: Any) -> list[str]:
    content = text.encode() if isinstance(text, str) else text
    (folder / "own.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        data.CSV("own.csv", **fields).load(folder)
    return [str(fault).replace(str(folder) + os.sep, "") for fault in caught.value.faults]


def npz_faults(folder: Path, **fields: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        data.NPZ("own.npz", **fields).load(folder)
    return [str(fault).replace(str(folder) + os.sep, "") for fault in caught.value.faults]


SMALL = "length,colour,kind\n1.5,red,a\n2.5,blue,b\n3.5,red,a\n4.5,red,b\n"


def test_that_text_columns_become_one_column_for_each_word(folder: Path) -> None:
    dataset = csv(folder, SMALL, standardize=False, validation_split=0.0)
    assert dataset.feature_names == ("length", "colour = blue", "colour = red")
    assert dataset.class_names == ("a", "b")
    assert dataset.task == "binary"
    rows = {tuple(row) for row in dataset.x_train.tolist()}
    assert rows == {(1.5, 0, 1), (2.5, 1, 0), (3.5, 0, 1), (4.5, 0, 1)}
    for x, label in zip(dataset.x_train, dataset.y_train, strict=True):
        assert label[0] == (x[0] in (2.5, 4.5))


@pytest.mark.parametrize(("target", "features"), [("length", 4), ("1", 4), ("kind", 3), ("3", 3), ("", 3)])
def test_that_the_target_is_found_by_name_or_number(folder: Path, target: str, features: int) -> None:
    assert csv(folder, SMALL, target=target).input_shape == (features,)


@pytest.mark.parametrize(
    ("values", "task", "expected"),
    [
        ("0.5 1.5 2.5 3.5", "auto", "regression"),
        ("1 2 3 1", "auto", "classification"),
        ("1 2 3 1", "regression", "regression"),
        ("4 7 7 4", "auto", "binary"),
        ("no yes no no", "auto", "binary"),
    ],
)
def test_that_the_target_column_tells_the_task(folder: Path, values: str, task: str, expected: str) -> None:
    text = "x,y\n" + "".join(f"{index},{value}\n" for index, value in enumerate(values.split()))
    assert csv(folder, text, task=task).task == expected


def test_that_many_whole_numbers_are_a_regression_unless_asked_otherwise(folder: Path) -> None:
    text = "x,y\n" + "".join(f"{index},{index // 2}\n" for index in range(60))
    assert csv(folder, text).task == "regression"
    assert csv(folder, text, task="classification").y_train.shape[1] == 30


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a;b;y\n1,5;2;0\n3;4,5;1\n", {"decimal": ","}),
        ("a\tb\ty\n1.5\t2\t0\n3\t4.5\t1\n", {}),
        ("1.5,2,0\n3,4.5,1\n", {}),
        ("1.5,2,0\n3,4.5,1\n", {"header": "no"}),
        ("\ufeffa,b,y\r\n1.5,2,0\r\n\r\n3,4.5,1", {}),
        ('"a, or so",b,y\n1.5,2,0\n3,"4.5",1\n', {}),
        ("a;b;y\n1.5;2;0\n3;4.5;1\n", {"delimiter": "semicolon"}),
    ],
)
def test_that_the_usual_dialects_are_read_alike(folder: Path, text: str, fields: dict[str, Any]) -> None:
    dataset = csv(folder, text, standardize=False, validation_split=0.0, **fields)
    order = np.argsort(dataset.x_train[:, 0])
    np.testing.assert_array_equal(dataset.x_train[order], [[1.5, 2], [3, 4.5]])
    np.testing.assert_array_equal(dataset.y_train[order], [[0], [1]])


def test_that_missing_values_are_reported_dropped_or_filled_in(folder: Path) -> None:
    text = "a,b,y\n1,red,0\n,red,1\n3,NA,0\n5,blue,1\n7,red,1\n9,red,?\n"
    assert csv_faults(folder, text) == [
        "row 3, column 'a': must have a value; missing ones can be dropped or filled in (received '')",
        "row 4, column 'b': must have a value; missing ones can be dropped or filled in (received 'NA')",
        "row 7, column 'y': must have a value; missing ones can be dropped or filled in (received '?')",
    ]
    options: dict[str, Any] = {"standardize": False, "validation_split": 0.0}
    assert sorted(csv(folder, text, missing="drop", **options).x_train[:, 0]) == [1, 5, 7]
    filled = csv(folder, text, missing="mean", **options)
    assert sorted(filled.x_train[:, 0]) == [1, 3, 4, 5, 7]
    assert filled.x_train[:, 2].sum() == 4


def test_that_columns_can_be_left_out(folder: Path) -> None:
    dataset = csv(folder, "name,a,b,y\nx1,1,5,0\nx2,2,6,1\n", ignore="name, 3")
    assert dataset.feature_names == ("a",)


def test_that_every_fault_is_named_by_row_and_column(folder: Path) -> None:
    text = "a,b,y\n1,2,0\n3,4\n5,six,1\n7,inf,0\n9,1e99,1\n11,12,0\n13,14,0,9\n15,16,1\n17,18,1\n"
    assert csv_faults(folder, text) == [
        "row 3: must have 3 cells, as row 1 has (received 2)",
        "row 8: must have 3 cells, as row 1 has (received 4)",
    ]
    text = text.replace("3,4\n", "3,4,1\n").replace("0,9\n", "0\n")
    assert csv_faults(folder, text) == [
        "row 4, column 'b': must be a number, as most of this column are (received 'six')",
        "row 5, column 'b': must be a number between -3.4e38 and 3.4e38 (received 'inf')",
        "row 6, column 'b': must be a number between -3.4e38 and 3.4e38 (received '1e99')",
    ]


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("", {}, ["path: must hold at least one row (received 'own.csv')"]),
        ("a,y\n", {}, ["path: must hold at least one row of data (received 'own.csv')"]),
        ("a,y\n1,0\n", {}, ["path: must hold at least two rows of data (received 1)"]),
        (
            "a,a,y\n1,2,3\n",
            {},
            ["row 1, column 2: must have a name that no other column has (received 'a')"],
        ),
        (
            "a,y\n1,0\n2,1\n",
            {"target": "z", "ignore": "q"},
            [
                "target: must be one of the columns: a, y (received 'z')",
                "ignore: must name columns: a, y (received 'q')",
            ],
        ),
        ("a,y\n1,0\n2,1\n", {"ignore": "y"}, ["ignore: must not name the target column (received 'y')"]),
        (
            "a,y\n1,0\n2,1\n",
            {"ignore": "a"},
            ["path: must have a column besides the target (received 'a, y')"],
        ),
        ("a,y\n1,one\n2,one\n", {}, ["column 'y': must hold at least two classes (received 'one')"]),
        (
            "a,y\n1,one\n2,two\n",
            {"task": "regression"},
            ["column 'y': must hold numbers for a regression (received 'one')"],
        ),
        (
            "a,y\n1,1\n2,0.5\n",
            {"task": "classification"},
            ["column 'y': must hold text or at most 1000 different whole numbers for a classification (received 0.5)"],
        ),
        (
            "a,b,y\n,1,0\n,2,1\n",
            {"missing": "mean"},
            ["column 'a': must hold at least one value, or be left out"],
        ),
        (
            "a,y\n1,\n,1\n",
            {"missing": "drop"},
            ["path: must have a row without a missing value (received '2 rows')"],
        ),
        (b"a,y\n1,\xff\n", {}, ["after row 0: must be text in UTF-8 (received 'byte 0xff')"]),
        ('a,y\n1,"0\n', {}, ["row 2: must be readable as a table (unexpected end of data)"]),
    ],
)
def test_that_an_unusable_table_is_explained(
    folder: Path, text: str | bytes, fields: dict[str, Any], expected: list[str]
) -> None:
    assert csv_faults(folder, text, **fields) == expected


def test_that_a_column_of_names_is_not_turned_into_thousands(folder: Path) -> None:
    text = "name,y\n" + "".join(f"person {index},{index % 2}\n" for index in range(500))
    assert csv_faults(folder, text) == [
        "column 'name': must hold numbers, or at most 100 different texts; leave it out if it is not needed "
        "(received \"more than 100 texts, one of them 'person 0'\")"
    ]


def test_that_a_report_of_many_faults_is_cut_and_counted(folder: Path) -> None:
    (folder / "own.csv").write_text("a,y\n1,0\n" + "1,0,5\n" * 500, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        data.CSV("own.csv").load(folder)
    assert len(caught.value.faults) == FAULTS_SHOWN
    assert caught.value.count == 500


@pytest.mark.parametrize("cls", [data.CSV, data.NPZ])
def test_that_what_is_not_a_file_is_refused(folder: Path, cls: Any) -> None:
    with pytest.raises(DataError, match=r"can't be opened: No such file"):
        cls("none").load(folder)
    with pytest.raises(DataError, match=r"must be a file"):
        cls(".").load(folder)
    with pytest.raises(DataError, match=r"can't be opened"):
        cls("nul\0byte").load(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a Unix thing")
def test_that_a_pipe_is_refused_instead_of_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(DataError, match=r"must be a file"):
        data.CSV("pipe").load(folder)


def test_that_sizes_are_limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a,y\n1,0\n2,1\n3,0\n"
    monkeypatch.setattr(tables, "MAX_CELLS", 4)
    assert csv_faults(folder, text) == ["path: must hold at most 4 cells (received 'more')"]
    monkeypatch.setattr(tables, "MAX_COLUMNS", 1)
    assert csv_faults(folder, text) == ["row 1: must have at most 1 cells (received 2)"]
    monkeypatch.setattr(tables, "MAX_FILE_BYTES", 0)
    assert csv_faults(folder, text) == ["path: must be a file of at most 0 MB (received '0 MB')"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=200) | st.text("ab,;\"'\n\r\t01.-e \0", max_size=80).map(str.encode))
@example(content=b"\0")
def test_that_any_bytes_give_a_dataset_or_a_report(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "any").write_bytes(content)
    for source in (data.CSV("any", missing="mean"), data.NPZ("any")):
        try:
            dataset = source.load(tmp_path)
        except DataError:
            continue
        assert np.isfinite(dataset.x_train).all()


X = np.arange(40, dtype=np.uint8).reshape(10, 2, 2)
Y = np.arange(10) % 3


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y", "x_val", "y_val"),
        ("x_train", "y_train", "x_val", "y_val"),
        ("x_train", "y_train", "x_test", "y_test"),
    ],
)
def test_that_the_usual_names_of_arrays_are_known(folder: Path, names: tuple[str, ...]) -> None:
    np.savez(folder / "own.npz", **dict(zip(names, (X, Y, X[:3], Y[:3]), strict=True)))
    dataset = data.NPZ("own.npz", scaling="pixels").load(folder)
    np.testing.assert_array_equal(dataset.x_train, (X / 255).astype(np.float32))
    np.testing.assert_array_equal(dataset.x_val, (X[:3] / 255).astype(np.float32))
    np.testing.assert_array_equal(dataset.labels, Y)
    np.testing.assert_array_equal(dataset.labels_val, Y[:3])
    assert dataset.input_shape == (2, 2)


def test_that_an_archive_without_validation_is_divided(folder: Path) -> None:
    np.savez_compressed(folder / "own.npz", x=X, y=Y)
    dataset = data.NPZ("own.npz", scaling="standardize", validation_split=0.3).load(folder)
    assert dataset.x_val is not None
    assert len(dataset.x_val) == 3
    np.testing.assert_allclose(dataset.x_train.mean(0), 0, atol=1e-6)
    assert data.NPZ("own.npz", validation_split=0.0).load(folder).x_val is None
    assert data.NPZ("own.npz", task="regression").load(folder).task == "regression"


def test_that_an_archive_is_never_unpickled(folder: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(folder / "trapped"),)

    np.savez(folder / "own.npz", x=np.array([Trap()], dtype=object), y=Y[:1])
    assert npz_faults(folder) == ["x: must hold numbers (received 'Python objects')"]
    assert not (folder / "trapped").exists()


def npy_header(shape: str, descr: str = "<f8") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy_header("(10, 100000000000)"), "x: must have as many values as its shape"),
        (npy_header("(-1, 2)"), "x: must have as many values as its shape"),
        (npy_header("(2, 2)") + b"\0" * 8, "x: must have as many values as its shape"),
        (b"not an array", "x: must be an array in NumPy's format"),
        (b"\x93NUMPY\x09\x00" + b"\0" * 20, "x: must be an array in NumPy's format"),
        (npy_header("(2,)", "<U1") + b"\0" * 8, "x: must hold numbers"),
        (npy_header("(1,)", "<c16") + b"\0" * 16, "x: must hold numbers"),
    ],
)
def test_that_a_member_that_lies_about_itself_is_not_read(folder: Path, member: bytes, message: str) -> None:
    with zipfile.ZipFile(folder / "own.npz", "w") as archive:
        archive.writestr("x.npy", member)
        archive.writestr("y.npy", npy_header("(2,)") + b"\0" * 16)
    (fault,) = npz_faults(folder)
    assert fault.startswith(message)


def test_that_a_zip_bomb_is_refused_by_its_declared_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(folder / "own.npz", x=np.zeros((1000, 1000)), y=np.zeros(1000))
    assert (folder / "own.npz").stat().st_size < 20_000
    monkeypatch.setattr(archives, "MAX_VALUES", 500_000)

    def unread(*_: Any, **__: Any) -> None:
        pytest.fail("an array was unpacked")

    monkeypatch.setattr(archives.npy, "read_array", unread)
    assert npz_faults(folder) == ["path: must hold at most 500,000 values (received '1,001,000')"]


def test_that_a_damaged_archive_is_reported(folder: Path) -> None:
    np.savez(folder / "own.npz", x=X, y=Y)
    content = bytearray((folder / "own.npz").read_bytes())
    content[content.index(bytes(range(30, 40)))] ^= 255
    (folder / "own.npz").write_bytes(content)
    (fault,) = npz_faults(folder)
    assert "must be a readable .npz archive (Bad CRC-32" in fault


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        (
            {"a": X},
            "path: must hold arrays named x and y, or x_train and y_train; for validation also x_val and "
            "y_val, or x_test and y_test (received 'a')",
        ),
        ({"x": X, "y": Y, "x_val": X}, "y_val: must be there, because x_val is"),
        ({"x": X, "y": Y[:4]}, "y: must have 10 rows, as many as x (received 4)"),
        ({"x_train": np.full((2, 1), np.nan), "y_train": Y[:2]},
         "x_train[0][0]: must be a finite number, and so must 1 more (received nan)"),
    ],
)  # fmt: skip
def test_that_an_unusable_archive_is_explained(folder: Path, arrays: dict[str, Any], expected: str) -> None:
    np.savez(folder / "own.npz", **arrays)
    assert npz_faults(folder) == [expected]

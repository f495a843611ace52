"""Own pictures, and what people take for some."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradsim import data
from gradsim.data import images
from gradsim.data.dataset import DataError
from gradsim.model import Experiment, file, problems


def picture(path: Path, value: int | tuple[int, int, int] = 0, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (10, 8), value).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten black cats as PNG, six white dogs as JPEG, and what lies about in such folders."""
    for number in range(10):
        picture(tmp_path / "own" / "cats" / f"{number}.png", 0)
    for number in range(6):
        picture(tmp_path / "own" / "dogs" / f"{number}.JPG", 255)
    (tmp_path / "own" / "cats" / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "own" / ".cache").mkdir()
    (tmp_path / "own" / "empty").mkdir()
    return tmp_path / "own"


def test_that_folders_are_classes_and_pixels_lie_between_0_and_1(folder: Path) -> None:
    found = data.load(data.Images(str(folder), 6, 4, validation_split=0.5))
    assert found.class_names == ("cats", "dogs") and found.task == "binary"
    assert found.x_train.shape == (8, 4, 6) and found.x_train.dtype == np.float32
    assert found.x_val is not None and found.x_val.shape == (8, 4, 6)
    assert found.labels is not None
    np.testing.assert_allclose(found.x_train.reshape(8, -1).mean(1), found.labels, atol=0.02)
    assert len(found.feature_names) == 24 and found.name == "own"


def test_that_the_signature_is_known_without_decoding_and_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = data.Images(str(folder), colour=True)
    whole = source.load().signature
    monkeypatch.setattr(images, "_decoded", lambda *_: pytest.fail("decoded"))
    assert source.signature() == whole
    assert whole.input_shape == (28, 28, 3)


def test_that_colours_stay_in_their_order(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", (255, 0, 0), mode="RGB")
    picture(tmp_path / "b" / "1.png", (0, 0, 255), mode="RGB")
    picture(tmp_path / "c" / "1.png", (0, 255, 0), mode="RGB")
    found = data.load(data.Images(str(tmp_path), 2, 2, colour=True, validation_split=0))
    assert found.labels is not None
    for row, label in zip(found.x_train, found.labels, strict=True):
        np.testing.assert_array_equal(row[0, 0], [(1, 0, 0), (0, 0, 1), (0, 1, 0)][label])


def test_that_transparent_is_white_and_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a" / "1.png")
    Image.fromarray(np.full((4, 4), 65535 // 2, np.uint16)).save(tmp_path / "b" / "1.png")
    found = data.load(data.Images(str(tmp_path), 2, 2, validation_split=0))
    assert found.labels is not None
    values = {int(label): float(row.mean()) for row, label in zip(found.x_train, found.labels, strict=True)}
    assert values[0] == 1.0
    assert values[1] == pytest.approx(0.5, abs=0.01)


def test_that_the_middle_is_kept_where_the_shape_differs(tmp_path: Path) -> None:
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 255
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(wide).save(tmp_path / name / "1.png")
    found = data.load(data.Images(str(tmp_path), 8, 8, validation_split=0))
    assert found.x_train.min() == 1.0


def test_that_at_most_so_many_of_each_class_are_read(folder: Path) -> None:
    found = data.load(data.Images(str(folder), per_class=3, validation_split=0))
    assert found.labels is not None
    assert np.bincount(found.labels).tolist() == [3, 3]


def test_that_every_broken_picture_is_named_or_left_out(folder: Path) -> None:
    (folder / "cats" / "a.png").write_bytes(b"no picture")
    whole = (folder / "dogs" / "0.JPG").read_bytes()
    (folder / "dogs" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError) as error:
        data.load(data.Images(str(folder)))
    assert sorted(fault.path for fault in error.value.faults) == ["cats/a.png", "dogs/cut.jpg"]
    found = data.load(data.Images(str(folder), broken="skip", validation_split=0))
    assert len(found.x_train) == 16


def bomb(path: Path, width: int, height: int) -> None:
    """A PNG of some bytes that says it has so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(100_000), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


@pytest.mark.parametrize("size", [(9_000, 9_000), (30_000, 30_000), (2_000_000_000, 2_000_000_000)])
def test_that_a_picture_that_claims_to_be_huge_is_not_decoded(folder: Path, size: tuple[int, int]) -> None:
    bomb(folder / "cats" / "bomb.png", *size)
    with pytest.raises(DataError, match=r"cats/bomb\.png"):
        data.load(data.Images(str(folder)))


def test_that_too_many_values_and_too_few_classes_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="one for each class"):
        data.load(data.Images(str(folder / "cats")))
    with pytest.raises(DataError, match="can't be opened"):
        data.Images(str(tmp_path / "gone")).signature()
    with pytest.raises(DataError, match="can't be opened"):
        data.load(data.Images(str(folder / "cats" / "0.png")))
    monkeypatch.setattr(images, "MAX_VALUES", 1000)
    with pytest.raises(DataError, match="at most 1,000 values"):
        data.load(data.Images(str(folder)))


def test_that_other_files_than_png_and_jpeg_are_not_opened(folder: Path) -> None:
    Image.new("L", (4, 4)).save(folder / "cats" / "b.gif")
    (folder / "cats" / "b.gif").rename(folder / "cats" / "really-a-gif.png")
    with pytest.raises(DataError, match=r"really-a-gif\.png"):
        data.load(data.Images(str(folder)))


def test_that_a_new_picture_is_noticed(folder: Path) -> None:
    source = data.Images(str(folder), validation_split=0)
    before = source.stamp()
    assert len(source.load().x_train) == 16
    picture(folder / "dogs" / "new.png")
    assert source.stamp() != before
    assert len(source.load().x_train) == 17


def test_that_an_experiment_holds_its_folder_relative_to_its_file(folder: Path) -> None:
    experiment = Experiment(
        [{"type": "Flatten"}, {"type": "Dense", "units": 1, "activation": "sigmoid"}],
        data={"type": "images", "path": str(folder), "width": 5, "height": 5},
        loss="binary_crossentropy",
    )
    assert problems.impossible(experiment) == ()
    path = folder.parent / "own.gradsim"
    file.save(path, experiment)
    assert '"path": "own"' in path.read_text(encoding="utf-8")
    assert file.load(path).experiment.data == experiment.data


@pytest.mark.parametrize("note", [b"II*\0", b"MM\0*\0\0\0\x08\0\x03", b"none", b"II*\0\xff\xff\xff\xff"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_that_a_damaged_note_of_the_camera_does_not_matter(folder: Path, suffix: str, note: bytes) -> None:
    Image.new("L", (10, 8)).save(folder / "cats" / f"0{suffix}", exif=b"Exif\0\0" + note)
    assert len(data.load(data.Images(str(folder), 6, 4, validation_split=0)).x_train) >= 16


def test_that_a_class_that_can_not_be_opened_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path.name == "dogs":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"can't be opened: Permission denied.*dogs"):
        data.load(data.Images(str(folder), 6, 4))


def test_that_rows_are_counted_without_decoding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = data.Images(str(folder), 6, 4, validation_split=0.3)
    loaded = data.load(source)
    monkeypatch.setattr(images, "_decoded", None)
    assert source.row_counts() == (len(loaded.x_train), len(loaded.x_val)) == (11, 5)

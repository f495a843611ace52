from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gradsim import data, zipped
from gradsim.data.dataset import DataError
from gradsim.exchange import weights
from gradsim.exchange.results import ImportFault
from gradsim.telemetry import Recording, RecordingFileError


def archive(members: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for number in range(members):
            made.writestr(zipfile.ZipInfo(str(number)), b"")
    return stream.getvalue()


def understated(content: bytes) -> bytes:
    """An archive whose end says that there is one member, while the record before it tells the truth."""
    end = content.rindex(b"PK\x05\x06")
    members, size, start = struct.unpack_from("<HLL", content, end + 10)
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, members, members, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    last = content[end : end + 8] + struct.pack("<HHLLH", 1, 1, 46, start, 0)
    return content[:end] + record + locator + last


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Writes an archive of more members than are allowed, which says otherwise."""
    monkeypatch.setattr(zipped, "MOST_MEMBERS", 9)

    def write(path: Path) -> Path:
        path.write_bytes(understated(archive(20)))
        assert len(zipfile.ZipFile(path).namelist()) == 20
        return path

    return write


@pytest.mark.parametrize("members", [0, 1, 7])
def test_that_a_list_is_measured_before_it_is_read(tmp_path: Path, members: int) -> None:
    path = tmp_path / "some.zip"
    path.write_bytes(archive(members))
    with path.open("rb") as stream:
        found = zipped.listed(stream)
    assert found is not None and found[0] == members
    with zipped.opened(path) as archived:
        assert len(archived.namelist()) == members


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06", b"x" * 100, b"PK\x06\x07" + bytes(16) + archive(0)])
def test_that_what_has_no_list_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.zip"
    path.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile), zipped.opened(path):
        pass


def test_that_a_long_list_is_refused_whatever_the_end_of_the_file_says(
    tmp_path: Path, crowded: Callable[[Path], Path]
) -> None:
    path = crowded(tmp_path / "some.npz")
    with pytest.raises(zipfile.BadZipFile, match="20 members"), zipped.opened(path):
        pass
    with pytest.raises(RecordingFileError, match="20 members"):
        Recording.load(path)
    with pytest.raises(DataError, match="20 members"):
        data.load({"type": "npz", "path": str(path)})
    with pytest.raises(ImportFault, match="20 members"):
        weights.read_npz(path)

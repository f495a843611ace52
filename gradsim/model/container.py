"""A `.gradsim` file that holds a run too: a zip whose members lie in it as they are, so that nothing can swell.

Members: ``experiment.json``, what a plain `.gradsim` file is; ``recording.npz``, what ``gradsim run`` writes; and
``state.npz``, what the run goes on from. Any program that opens zip files can take them out.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gradsim import zipped
from gradsim.i18n import tr
from gradsim.model.faults import FaultsError
from gradsim.nn.spec import MISSING, Fault

EXPERIMENT, RECORDING, STATE = "experiment.json", "recording.npz", "state.npz"
MEMBERS = (EXPERIMENT, RECORDING, STATE)
MAX_BYTES = 2**31 - 2**20
"""Of the whole file: more needs another kind of zip."""

MAGIC = b"PK\x03\x04"
_END = struct.Struct("<4s4H2LH")
_LOCAL = struct.Struct("<4s5H3L2H")


class ContainerError(FaultsError):
    """A file that is no such container; ``faults`` says what is wrong."""


class _Part(io.RawIOBase):
    """Some bytes of a file as a file of their own."""

    def __init__(self, stream: IO[bytes], start: int, length: int) -> None:
        self._stream, self._start, self._length, self._at = stream, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise ValueError(f"seek: allowed is 0 or more; received {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        count = max(0, min(len(view), self._length - self._at))
        self._stream.seek(self._start + self._at)
        data = self._stream.read(count)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def is_container(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins like one; False for one that can't be read."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def members(stream: IO[bytes]) -> Mapping[str, IO[bytes]]:
    """The members of an open container, each to be read as long as ``stream`` is open.

    Raises:
        ContainerError: if it is damaged, or anything but such a container.
    """
    length = stream.seek(0, os.SEEK_END)
    if length > MAX_BYTES:
        raise _wrong(tr("must be at most {most} MiB long", most=MAX_BYTES // 2**20), f"{length // 2**20} MiB")
    stream.seek(max(0, length - _END.size))
    tail = stream.read(_END.size)
    if len(tail) < _END.size or tail[:4] != b"PK\x05\x06":
        raise _wrong(tr("must end in a list of its members; it is damaged, or not all of it is there"), MISSING)
    _, _, _, here, total, size, start, comment = _END.unpack(tail)
    listed = here == total and zipped.listed(stream) == (total, size)
    if not listed or total > len(MEMBERS) or size > 4096 or comment or start + size + _END.size != length:
        # zipfile would read the whole list into memory, whatever it says.
        raise _wrong(tr("must hold {names} and nothing else", names=", ".join(MEMBERS)), tr("another list of members"))
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, struct.error) as error:
        raise _wrong(tr("must be a zip file of gradsim's"), str(error)) from error
    found: dict[str, IO[bytes]] = {}
    for info in archive.infolist():
        name = info.filename
        if name not in MEMBERS or name in found:
            raise _wrong(tr("must hold {names}, each once", names=", ".join(MEMBERS)), name)
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size != info.compress_size:
            raise _wrong(tr("{name}: must lie there as it is, not compressed", name=name), MISSING)
        stream.seek(info.header_offset)
        local = stream.read(_LOCAL.size)
        if len(local) < _LOCAL.size or local[:4] != MAGIC:
            raise _wrong(tr("{name}: must begin with its head", name=name), MISSING)
        fields = _LOCAL.unpack(local)
        begin = info.header_offset + _LOCAL.size + fields[9] + fields[10]
        if begin + info.file_size > start:
            raise _wrong(tr("{name}: must lie within the file", name=name), f"{info.file_size} bytes")
        part = _Part(stream, begin, info.file_size)
        found[name] = io.BufferedReader(part)
        if name == EXPERIMENT and info.file_size <= 2**26 and zlib.crc32(found[name].read()) != info.CRC:
            raise _wrong(tr("{name}: is damaged", name=name), MISSING)
        found[name].seek(0)
    if EXPERIMENT not in found:
        raise _wrong(tr("must hold {name}", name=EXPERIMENT), ", ".join(found) or MISSING)
    return found


def _wrong(allowed: str, received: object) -> ContainerError:
    return ContainerError([Fault(tr("the file"), allowed, received)])


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Mapping[str, IO[bytes]]]:
    """The members of a container. Raises ContainerError, also where the file can't be read."""
    try:
        with open(path, "rb") as stream:
            yield members(stream)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ContainerError(
            [Fault(tr("the file"), tr("can't be read: {reason}", reason=reason), str(path))]
        ) from error


def write(stream: IO[bytes], parts: Iterable[tuple[str, bytes | Path]]) -> None:
    """Writes a container: each member's content, or the file that holds it. Raises OSError."""
    total = 0
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts:
            total += len(content) if isinstance(content, bytes) else content.stat().st_size
            if total > MAX_BYTES - 2**16:
                raise OSError(tr("the run is too long for one file: at most {most} MiB", most=MAX_BYTES // 2**20))
            # No date of its own: the same run gives the same file.
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            if isinstance(content, bytes):
                archive.writestr(info, content)
                continue
            info.file_size = content.stat().st_size
            with open(content, "rb") as source, archive.open(info, "w") as member:
                while data := source.read(2**20):
                    member.write(data)

"""Zip files of strangers: what they say of their list of members is looked at before Python reads it whole."""

from __future__ import annotations

import contextlib
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gradsim.i18n import tr

MOST_MEMBERS = 65_534
"""Zip's own old limit; each takes some hundred bytes of memory."""
MOST_BYTES = 32 * 2**20
"""Of the list of members."""

_END, _END_64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_SIZES = {_END: 22, _END_64: 56, _LOCATOR: 20}


def listed(stream: IO[bytes]) -> tuple[int, int] | None:
    """How many members an archive says it has, and how many bytes their list; None if it has no list."""
    before = _SIZES[_LOCATOR] + _SIZES[_END_64]
    length = min(stream.seek(0, os.SEEK_END), 2**16 + _SIZES[_END] + before)
    stream.seek(-length, os.SEEK_END)
    tail = stream.read(length)
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _SIZES[_END]:
        return None
    members, size = struct.unpack_from("<HL", tail, at + 10)
    if tail[max(0, at - _SIZES[_LOCATOR]) :].startswith(_LOCATOR):
        # Its numbers count, whatever the others say.
        if at < before or not tail[at - before :].startswith(_END_64):
            return None
        members, size = struct.unpack_from("<QQ", tail, at - before + 32)
    return members, size


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """An archive whose list of members does not fill the memory.

    Raises:
        zipfile.BadZipFile: if it does, or there is none.
        OSError: if the file can't be read.
    """
    with open(Path(path), "rb") as stream:
        found = listed(stream)
        if found is None:
            raise zipfile.BadZipFile(tr("something else (no list of members)"))
        members, size = found
        if members > MOST_MEMBERS or size > MOST_BYTES:
            raise zipfile.BadZipFile(tr("{n} members in {bytes} bytes", n=members, bytes=size))
        with zipfile.ZipFile(stream) as archive:
            yield archive

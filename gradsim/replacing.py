"""Files that are written whole or not at all: what was there before stays until the new content is complete."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_UMASK = threading.Lock()


@contextlib.contextmanager
def beside(path: str | os.PathLike[str]) -> Iterator[str]:
    """Name of an empty file in the same folder, which takes the place of ``path`` when the block ends well.

    A link stays a link, and permissions stay. When the block raises, the file vanishes and nothing has changed.

    Raises:
        OSError: if the file can't be made or put in its place.
    """
    target = Path(os.path.realpath(path))
    # The longest name that a folder takes has 255 bytes, and a character up to four.
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:50]}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    try:
        yield name
        # mkstemp makes files that nobody else may read.
        os.chmod(name, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """As :func:`beside`, open for writing; on the disk before it takes its place."""
    with beside(path) as name, open(name, "wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces a file's content in one go.

    Raises:
        OSError: and nothing has changed.
    """
    with replacing(path) as stream:
        stream.write(data)


def _umask() -> int:
    # It can only be read by setting it: of two threads at once the second would read, and leave behind, none.
    with _UMASK:
        mask = os.umask(0)
        os.umask(mask)
    return mask

"""Weights from files of others: ``.npz``, ``.safetensors``, recordings. Nothing is unpickled or trusted.

What a file declares is checked before any of it is read, so that a small file can't ask for much memory.
"""

from __future__ import annotations

import lzma
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeGuard

import numpy as np
from numpy.lib import format as npy

from gradsim import zipped
from gradsim.exchange.results import Array, ImportFault
from gradsim.i18n import reason_of, tr
from gradsim.model import file
from gradsim.model.stack import MAX_PARAMETERS, Stack
from gradsim.nn.spec import MISSING, Fault
from gradsim.replacing import replacing
from gradsim.telemetry import Recording, RecordingFileError

MAX_FILE_BYTES = 2 * 2**30
MAX_MEMBERS = 60_000
MAX_HEADER = 16 * 2**20
MAX_NDIM = 4

_SAFE_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
_RANKS = {
    "weight": 0, "kernel": 0, "gamma": 0, "alpha": 0, "bias": 1, "beta": 1, "running_mean": 2, "moving_mean": 2,
    "running_var": 3, "moving_variance": 3,
}  # fmt: skip
METADATA = "metadata of the file"
_METADATA = f'"{METADATA}"'.encode()
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError, RuntimeError, OSError,
    ValueError, OverflowError,
)  # fmt: skip
"""What Python's zip module raises for archives that are damaged, encrypted or of a kind it does not know."""
SUFFIXES = (".npz", ".safetensors")


def refuse(place: str, message: str, received: object = MISSING) -> ImportFault:
    """The error for one fault."""
    return ImportFault([Fault(place, message, received)])


def checked_file(path: Path, limit: int = MAX_FILE_BYTES) -> int:
    """The size of a regular file that is not too large.

    Raises:
        ImportFault: if it is none.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise refuse(tr("the file"), tr("can't be opened: {reason}", reason=reason), str(path)) from None
    if not path.is_file():
        raise refuse(tr("the file"), tr("must be a regular file"), str(path))
    if status.st_size > limit:
        raise refuse(
            tr("the file"), tr("must be at most {limit} MiB", limit=limit // 2**20), f"{status.st_size // 2**20} MiB"
        )
    return status.st_size


def read(path: str | os.PathLike[str], stack: Stack, *, first: bool = False) -> list[Array]:
    """Weights for a stack.

    A recording gives its final weights. In other files arrays are taken in the order of their numbered names
    (``arr_0``, ``0.weight``, ``dense_1/kernel``); a matrix named ``weight`` is one of PyTorch, which lies the other
    way round.

    Args:
        first: The file may hold more: its first arrays are taken.

    Returns:
        Arrays in Keras' ``get_weights()`` order.

    Raises:
        ImportFault: with every array that does not fit.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise refuse(tr("the file"), tr("must end in {endings}", endings=tr(" or ").join(SUFFIXES)), path.name)
    if suffix == ".npz" and is_recording(path):
        try:
            recording = Recording.load(path)
        except RecordingFileError as error:
            raise refuse(tr("the recording"), str(error)) from None
        arrays = recording.final_weights if recording.final_weights is not None else recording.initial_weights
        if arrays is None:
            raise refuse(tr("the recording"), tr("must hold weights; this one was made without"), str(path))
        return fitted({f"arr_{number}": array for number, array in enumerate(arrays)}, stack)
    # Twice as many as the stack has leaves room for what is not used, and none for a flood.
    most = 2 * stack.parameters + 10_000
    count = sum(1 for _ in stack.weights()) if first else None
    reader = read_npz if suffix == ".npz" else read_safetensors
    return fitted(reader(path, most, count), stack)


def is_recording(path: Path) -> bool:
    """Whether an archive is a recording of a training."""
    checked_file(path)
    try:
        with zipped.opened(path) as archive:
            return "recording.npy" in archive.namelist()
    except UNREADABLE:
        return False


def read_npz(path: Path, most: int = 2 * MAX_PARAMETERS, first: int | None = None) -> dict[str, Array]:
    """All arrays of an archive, in its order.

    Args:
        most: How many values they may have together.
        first: Only so many of them, the first ones by their numbered names; the others are not looked at.

    Raises:
        ImportFault: if it holds anything but plain numbers, or too many of them.
    """
    checked_file(path)
    try:
        with zipped.opened(path) as archive:
            return _npz(archive, most, first)
    except ImportFault:
        raise
    except UNREADABLE as error:
        raise refuse(
            tr("the file"), tr("must be a readable .npz archive ({reason})", reason=error), str(path)
        ) from None


def _npz(archive: zipfile.ZipFile, most: int, first: int | None) -> dict[str, Array]:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise refuse(tr("the file"), tr("must hold at most {limit:,} arrays", limit=MAX_MEMBERS), f"{len(members):,}")
    names = [info.filename.removesuffix(".npy") for info in members]
    if len(set(names)) < len(names):
        raise refuse(tr("the file"), tr("must hold each array once"), tr("two of the same name"))
    if first is not None:
        by_name = dict(zip(names, members, strict=True))
        names = _first(names, first)
        members = [by_name[name] for name in names]
    total, faults = 0, []
    for info, name in zip(members, names, strict=True):
        try:
            with archive.open(info) as stream:
                total += _declared(stream, info.file_size)
        except ValueError as error:
            faults.append(Fault(_short(name), tr("must be an array of numbers ({reason})", reason=error), MISSING))
    if total > most:
        faults.append(Fault(tr("the file"), tr("must hold at most {limit:,} values", limit=most), f"{total:,}"))
    if faults:
        raise ImportFault(faults)
    found: dict[str, Array] = {}
    for info, name in zip(members, names, strict=True):
        with archive.open(info) as stream:
            try:
                found[name] = np.asarray(npy.read_array(stream, allow_pickle=False))
            except ValueError as error:
                raise refuse(_short(name), tr("must be a complete array ({reason})", reason=error)) from None
    return found


def _declared(stream: IO[bytes], size: int) -> int:
    """Number of values that a member declares; raises ValueError if it is no plain array of that size."""
    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(stream)
    else:
        raise ValueError(tr("format {version}", version=version))
    if dtype.kind not in "fiub":
        raise ValueError(f"dtype {dtype}")
    if len(shape) > MAX_NDIM or any(length < 0 for length in shape):
        raise ValueError(f"shape {shape}")
    count = math.prod(shape)
    if count * dtype.itemsize != size - stream.tell():
        raise ValueError(tr("shape {shape} in {n} bytes", shape=shape, n=size))
    return count


def read_safetensors(path: Path, most: int = 2 * MAX_PARAMETERS, first: int | None = None) -> dict[str, Array]:
    """All arrays of a ``.safetensors`` file: eight bytes with the length of a JSON header, the header, the numbers.

    Args:
        most: How many values they may have together.
        first: As for :func:`read_npz`.

    Raises:
        ImportFault: if the header and the numbers do not belong together.
    """
    size = checked_file(path)
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            message = tr("must fit into the file and be at most {limit:,} bytes", limit=MAX_HEADER)
            raise refuse(tr("the header"), message, tr("{n:,} bytes", n=length))
        try:
            # The one name with underscores that the format has; files of gradsim's own have none.
            header = file.decode(stream.read(length).replace(b'"__metadata__"', _METADATA, 1))
        except file.FileError as error:
            raise ImportFault(
                [Fault(tr("the header: {place}", place=f.path), f.message, f.received) for f in error.faults]
            ) from None
        body = size - 8 - length
        entries = [_entry(name, entry, body) for name, entry in header.items() if name != METADATA]
        if sum(end - begin for _, _, _, begin, end in entries) > body:
            raise refuse(tr("the header"), tr("must give every array bytes of its own"), tr("arrays that overlap"))
        if first is not None:
            chosen = set(_first([entry[0] for entry in entries], first))
            entries = [entry for entry in entries if entry[0] in chosen]
        total = sum(math.prod(shape) for _, _, shape, _, _ in entries)
        if total > most:
            raise refuse(tr("the file"), tr("must hold at most {limit:,} values", limit=most), f"{total:,}")
        found: dict[str, Array] = {}
        for name, kind, shape, begin, end in entries:
            stream.seek(8 + length + begin)
            values = np.frombuffer(stream.read(end - begin), _SAFE_TYPES[kind])
            if kind == "BF16":
                # The upper half of a float32.
                values = (values.astype(np.uint32) << 16).view(np.float32)
            found[name] = values.reshape(shape)
    return found


def _entry(name: str, entry: Any, body: int) -> tuple[str, str, tuple[int, ...], int, int]:
    place = _short(name)
    if not isinstance(entry, dict):
        raise refuse(place, tr("must be an object with dtype, shape and data_offsets"))
    kind, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if kind not in _SAFE_TYPES:
        raise refuse(f"{place}.dtype", tr("must be one of {names}", names=", ".join(_SAFE_TYPES)), kind)
    if not _whole(shape) or len(shape) > MAX_NDIM:
        raise refuse(f"{place}.shape", tr("must be a list of at most {n} whole numbers", n=MAX_NDIM), shape)
    wanted = math.prod(shape) * np.dtype(_SAFE_TYPES[kind]).itemsize
    if not _whole(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= body:
        raise refuse(f"{place}.data_offsets", tr("must be begin and end within {n:,} bytes", n=body), offsets)
    if offsets[1] - offsets[0] != wanted:
        raise refuse(
            f"{place}.data_offsets", tr("must span {n:,} bytes for the shape {shape}", n=wanted, shape=shape), offsets
        )
    return name, str(kind), tuple(shape), offsets[0], offsets[1]


def _whole(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def fitted(arrays: Mapping[str, Array], stack: Stack) -> list[Array]:
    """Arrays by name as weights of a stack.

    Raises:
        ImportFault: with every array that does not fit.
    """
    names = sorted(filter(_counts, arrays), key=_order)
    wanted = list(stack.weights())
    if len(names) != len(wanted):
        message = tr("must hold {n} arrays, as many as the stack has weights", n=len(wanted))
        raise refuse(tr("the file"), message, len(names))
    faults: list[Fault] = []
    found: list[Array] = []
    for name, (placed, weight) in zip(names, wanted, strict=True):
        array = arrays[name]
        turned = weight.role == "kernel" and re.search(r"(^|[./])weight$", name) is not None
        array = array.T if turned and array.ndim == 2 else array
        where = f"{placed.name}.{weight.role} ({_short(name)})"
        if array.shape != weight.shape:
            allowed = weight.shape[::-1] if turned else weight.shape
            faults.append(Fault(where, tr("must have the shape {shape}", shape=allowed), arrays[name].shape))
        else:
            faults += finite(array, where)
        found.append(np.array(array, dtype=np.float64 if array.dtype == np.float64 else np.float32))
    if faults:
        raise ImportFault(faults)
    return found


def _first(names: Sequence[str], count: int) -> list[str]:
    return sorted(filter(_counts, names), key=_order)[:count]


def _counts(name: str) -> bool:
    # PyTorch counts the batches that a BatchNorm has seen; nothing here depends on it.
    return not name.endswith("num_batches_tracked")


def finite(array: Array, where: str) -> Iterator[Fault]:
    """A fault if an array holds NaN or Inf."""
    bad = int(np.size(array) - np.count_nonzero(np.isfinite(array)))
    if bad:
        yield Fault(where, tr("must hold finite numbers only"), tr("{n:,} that are NaN or infinite", n=bad))


def _order(name: str) -> tuple[list[tuple[int, int, str]], int, list[tuple[int, int, str]]]:
    """Layers by their numbers, in each the main weight first."""
    prefix, _, role = re.sub(r"[/]", ".", name).rpartition(".")
    natural = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _parts(prefix)]
    last = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _parts(role)]
    return natural, _RANKS.get(role.partition(":")[0], 9), last


def _parts(text: str) -> list[str]:
    # Python refuses to read numbers of thousands of digits.
    return [part[:40] for part in re.findall(r"\d+|\D+", text)]


def _short(name: str) -> str:
    shown = name if name.isprintable() else ascii(name)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def save(path: str | os.PathLike[str], stack: Stack, weights: Sequence[Array]) -> None:
    """Writes weights to an ``.npz`` file that :func:`read` and NumPy can read, whole or not at all.

    Raises:
        OSError: if it can't be written.
    """
    names = (f"{placed.index:04d}.{placed.name}.{weight.role}" for placed, weight in stack.weights())
    with replacing(path) as stream:
        np.savez(stream, **dict(zip(names, weights, strict=True)))  # type: ignore[arg-type]

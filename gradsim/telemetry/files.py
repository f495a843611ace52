"""The file of a recording: an .npz that NumPy can open, read here as if a stranger had made it.

Members: ``recording`` (UTF-8 JSON as uint8: format, version, layer table, experiment, ...), ``steps`` and
``strides`` (int64), every column of the layers by its key (rows, layers) and of the steps (rows,) as
float64; ``KEY.minimum`` and ``KEY.maximum`` for the leading coarse rows; derived columns for the coarse
rows only (``KEY.mean``), since for single steps they follow from the others; ``validation`` (times, 3);
``initial_weights.N``, ``final_weights.N`` in Keras' order.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from gradsim import zipped
from gradsim.i18n import tr
from gradsim.replacing import replacing
from gradsim.telemetry import quantities as q
from gradsim.telemetry.recording import STEP_COUNTS, FirstNonfinite, Layer, Recording

FORMAT = "gradsim recording"
VERSION = 1
HEADER_LIMIT = 16 * 2**20
"""Largest JSON member accepted, in bytes."""
WEIGHT_TYPES = ("float32", "float64")


class RecordingFileError(ValueError):
    """A file that is no recording: names the member, what is allowed and what was received."""

    def __init__(self, path: str | Path, member: str | None, allowed: str, received: str) -> None:
        where = tr("{file}: member {name!r}", file=path, name=member) if member else str(path)
        super().__init__(
            tr("{place}: allowed is {allowed}; received {value}", place=where, allowed=allowed, value=received)
        )
        self.member, self.allowed, self.received = member, allowed, received


def _derived() -> list[str]:
    return [d.key for d in q.definitions("layer", stored=False) if d.proportional_to is None]


def save(recording: Recording, path: str | Path) -> None:
    """Write ``recording`` to ``path``, whole or not at all. Raises OSError."""
    coarse = recording.coarse_rows
    members: dict[str, NDArray[Any]] = {"steps": recording.steps, "strides": recording.strides}
    for key in (*q.LAYER_COLUMNS, *q.STEP_COLUMNS, *STEP_COUNTS):
        members[key] = recording[key]
    for key in _derived():
        members[f"{key}.mean"] = recording[key][:coarse]
    for key in _measured():
        members[f"{key}.minimum"] = recording.minimum(key)[:coarse]
        members[f"{key}.maximum"] = recording.maximum(key)[:coarse]
    validation = recording.validation
    members["validation"] = np.stack([np.asarray(column, np.float64) for column in validation], axis=1)
    for name in ("initial_weights", "final_weights"):
        for index, weight in enumerate(getattr(recording, name) or ()):
            members[f"{name}.{index}"] = weight
    first = recording.first_nonfinite
    header = {
        "format": FORMAT,
        "version": VERSION,
        "source": recording.source,
        "dtype": recording.dtype,
        "seed": recording.seed,
        "every": recording.every,
        "rows": len(recording),
        "coarse_rows": coarse,
        "first_nonfinite": None if first is None else list(first),
        "weights": {
            name: None if getattr(recording, name) is None else len(getattr(recording, name))
            for name in ("initial_weights", "final_weights")
        },
        "layers": [asdict(layer) for layer in recording.layers],
        "experiment": recording.experiment,
    }
    text = json.dumps(header, ensure_ascii=False, allow_nan=True).encode()
    members = {"recording": np.frombuffer(text, np.uint8), **members}
    with replacing(path) as stream:
        write_members(stream, members)


def write_members(stream: IO[bytes], members: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as an .npz archive. Raises OSError."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


def _measured() -> list[str]:
    stored = [d.key for d in q.definitions("layer", stored=True) if not d.counts]
    return [*stored, *_derived(), *q.STEP_COLUMNS]


class Reader:
    """Members of one archive; each is checked before memory is given to it."""

    def __init__(self, path: str | Path, archive: zipfile.ZipFile, limit: int) -> None:
        self.path, self.archive = path, archive
        infos = archive.infolist()
        if len(infos) > zipped.MOST_MEMBERS:
            raise self.error(None, tr("at most {limit} members", limit=zipped.MOST_MEMBERS), str(len(infos)))
        self.members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            name = info.filename.removesuffix(".npy")
            if name in self.members:
                raise self.error(name, tr("each member once"), tr("two of the same name"))
            self.members[name] = info
        total = sum(info.file_size for info in infos)
        if total > limit:
            raise self.error(None, tr("at most {limit} bytes when unpacked", limit=limit), tr("{n} bytes", n=total))

    def error(self, member: str | None, allowed: str, received: object) -> RecordingFileError:
        words = str(received)
        return RecordingFileError(self.path, member, allowed, words if len(words) <= 200 else words[:200] + "...")

    def __contains__(self, member: str) -> bool:
        return member in self.members

    def array(
        self,
        member: str,
        dtypes: tuple[str, ...],
        shape: tuple[int | None, ...] | None,
        limit: int | None = None,
    ) -> NDArray[Any]:
        """Read one array of one of ``dtypes`` and of ``shape`` (None: any length; no shape: any)."""
        allowed = tr(" or ").join(dtypes)
        if shape is not None:
            sizes = ", ".join(tr("any") if n is None else str(n) for n in shape)
            allowed = tr("{dtype} of shape ({sizes})", dtype=allowed, sizes=sizes)
        if member not in self.members:
            raise self.error(member, allowed, tr("no such member"))
        info = self.members[member]
        try:
            with self.archive.open(info) as stream:
                version = npy.read_magic(stream)
                if version == (1, 0):
                    found, fortran, dtype = npy.read_array_header_1_0(stream)
                elif version == (2, 0):
                    found, fortran, dtype = npy.read_array_header_2_0(stream)
                else:
                    raise self.error(member, tr("an .npy array of version 1.0 or 2.0"), version)
                named = dtype.name if dtype.isnative or dtype.itemsize == 1 else str(dtype)
                fits = shape is None or (
                    len(shape) == len(found)
                    and all(want is None or want == got for want, got in zip(shape, found, strict=True))
                )
                received = tr("{dtype} of shape {shape}", dtype=named, shape=found)
                if named not in dtypes or not fits or any(n < 0 for n in found):
                    raise self.error(member, allowed, received)
                size = dtype.itemsize
                for n in found:
                    size *= int(n)
                # The header may promise more than the archive holds: believe neither, and read only what
                # both say.
                if size > info.file_size or (limit is not None and size > limit):
                    most = min(info.file_size, limit or info.file_size)
                    raise self.error(member, tr("at most {limit} bytes", limit=most), received)
                data = bytearray(size)
                view, at = memoryview(data), 0
                while at < size:
                    got = stream.readinto(view[at : at + 2**20])  # type: ignore[attr-defined]
                    if not got:
                        raise self.error(member, tr("{n} bytes of numbers", n=size), tr("{n} bytes", n=at))
                    at += got
                if stream.read(1):
                    raise self.error(member, tr("{n} bytes of numbers", n=size), tr("more"))
        except RecordingFileError:
            raise
        except (
            ValueError,
            TypeError,
            OverflowError,
            MemoryError,
            RecursionError,
            EOFError,
            NotImplementedError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
            SyntaxError,
            UnicodeDecodeError,
        ) as problem:
            raise self.error(member, allowed, tr("something unreadable ({reason})", reason=problem)) from problem
        array: NDArray[Any] = np.frombuffer(data, dtype).reshape(found, order="F" if fortran else "C")
        return array


def load(path: str | Path, *, limit_bytes: int) -> Recording:
    """See :meth:`gradsim.telemetry.recording.Recording.load`."""
    with open(path, "rb") as stream:
        return read(stream, path, limit_bytes=limit_bytes)


def read(stream: IO[bytes], path: str | Path, *, limit_bytes: int) -> Recording:
    """The same from an open file, which messages call ``path``."""
    with reading(stream, path, limit_bytes=limit_bytes) as reader:
        return _read(reader)


@contextmanager
def reading(stream: IO[bytes], path: str | Path, *, limit_bytes: int) -> Iterator[Reader]:
    """The members of an .npz archive, read as if a stranger had made it. Raises RecordingFileError."""
    _check_directory(stream, path)
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as problem:
        raise RecordingFileError(
            path, None, tr("an .npz archive"), tr("something else ({reason})", reason=problem)
        ) from problem
    with archive:
        yield Reader(path, archive, limit_bytes)


def _check_directory(stream: IO[bytes], path: str | Path) -> None:
    """Refuse an archive whose list of members alone would fill the memory: zipfile reads it whole."""
    found = zipped.listed(stream)
    if found is None:
        raise RecordingFileError(path, None, tr("an .npz archive"), tr("something else (no list of members)"))
    members, size = found
    if members >= zipped.MOST_MEMBERS or size > zipped.MOST_BYTES:
        allowed = tr(
            "a list of less than {members} members in at most {bytes} bytes",
            members=zipped.MOST_MEMBERS,
            bytes=zipped.MOST_BYTES,
        )
        raise RecordingFileError(path, None, allowed, tr("{n} members in {bytes} bytes", n=members, bytes=size))


def _read(reader: Reader) -> Recording:
    text = reader.array("recording", ("uint8",), (None,), HEADER_LIMIT).tobytes()
    try:
        header = json.loads(text.decode())
    except (ValueError, RecursionError) as problem:
        raise reader.error("recording", "JSON", tr("something else ({reason})", reason=problem)) from problem
    fields = _Fields(reader, header)
    if fields.get("format", str) != FORMAT:
        raise reader.error("recording", tr("format {name!r}", name=FORMAT), repr(header["format"]))
    version = fields.get("version", int)
    if version != VERSION:
        raise reader.error(
            "recording", tr("version {n}", n=VERSION), tr("version {n}, made by another gradsim", n=version)
        )
    layers = [_layer(reader, index, entry) for index, entry in enumerate(fields.get("layers", list))]
    rows, coarse, every = (fields.count("rows"), fields.count("coarse_rows"), fields.count("every"))
    if coarse > rows or every < 1:
        raise reader.error("recording", "coarse_rows <= rows, every >= 1", f"{coarse}, {rows}, {every}")
    steps = reader.array("steps", ("int64",), (rows,))
    strides = reader.array("strides", ("int64",), (rows,))
    # Bounded, so that no sum of a step and a stride can overflow.
    if rows and (steps.min() < 0 or steps.max() > 2**60 or strides.min() < 1 or strides.max() > 2**60):
        raise reader.error("steps", tr("0 to 2**60, in strides of 1 to 2**60"), tr("others"))
    if np.any(steps[1:] < steps[:-1] + strides[:-1]):
        raise reader.error("steps", tr("rows in order of time that do not overlap"), tr("others"))
    width = len(layers)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys((*q.LAYER_COLUMNS, *_derived()), (width,))
    shapes |= dict.fromkeys((*q.STEP_COLUMNS, *STEP_COUNTS), ())

    def column(member: str, key: str, n: int) -> NDArray[np.float64]:
        return reader.array(member, ("float64",), (n, *shapes[key]))

    mean = {key: column(key, key, rows) for key in shapes if key not in _derived() and key in reader}
    low = {key: column(f"{key}.minimum", key, coarse) for key in _measured() if f"{key}.minimum" in reader}
    high = {key: column(f"{key}.maximum", key, coarse) for key in _measured() if f"{key}.maximum" in reader}
    if not all(key in mean for key in ("loss", "gradient_norm")):
        raise reader.error("gradient_norm", tr("a recording with loss and gradient_norm"), tr("one without"))
    if low.keys() != high.keys():
        raise reader.error(None, tr("KEY.minimum together with KEY.maximum"), tr("one without the other"))
    validation = reader.array("validation", ("float64",), (None, 3))
    if not np.all(np.abs(validation[:, 0]) <= 2**60):
        raise reader.error("validation", tr("steps up to 2**60"), tr("others"))
    weights = fields.get("weights", dict)
    recording = Recording(
        layers,
        steps,
        strides,
        mean,
        low,
        high,
        every=every,
        validation=validation,
        experiment=fields.get("experiment", dict, None),
        source=fields.get("source", str),
        dtype=fields.get("dtype", str),
        seed=fields.get("seed", int, None),
        first_nonfinite=_nonfinite(reader, header, width),
        initial_weights=_weights(reader, weights, "initial_weights"),
        final_weights=_weights(reader, weights, "final_weights"),
    )
    known = {key: column(f"{key}.mean", key, coarse) for key in _derived() if f"{key}.mean" in reader}
    return recording.with_coarse(known)


class _Fields:
    """The entries of the JSON header, each checked for its type."""

    def __init__(self, reader: Reader, header: object) -> None:
        if not isinstance(header, dict):
            raise reader.error("recording", tr("a JSON object"), type(header).__name__)
        self.reader, self.header = reader, header

    def get(self, name: str, *kinds: type | None) -> Any:
        value = self.header.get(name)
        usable = (value is None and None in kinds) or any(
            kind is not None and isinstance(value, kind) and not (kind is int and isinstance(value, bool))
            for kind in kinds
        )
        if not usable:
            words = " or ".join("null" if kind is None else kind.__name__ for kind in kinds)
            raise self.reader.error("recording", f"{name}: {words}", f"{name}: {value!r}")
        return value

    def count(self, name: str) -> int:
        value: int = self.get(name, int)
        if not 0 <= value <= 2**40:
            raise self.reader.error("recording", f"{name}: 0 to 2**40", f"{name}: {value}")
        return value


_LAYER_KINDS: Mapping[str, type] = {
    "name": str,
    "type": str,
    "label": str,
    "parameters": int,
    "weight_size": int,
    "units": int,
    "trainable": bool,
    "path": str,
}


def _layer(reader: Reader, index: int, entry: object) -> Layer:
    if not isinstance(entry, dict):
        raise reader.error("recording", f"layers[{index}]: an object", repr(entry))
    known: dict[str, Any] = {}
    for name, kind in _LAYER_KINDS.items():
        value = entry.get(name)
        bad = not isinstance(value, kind) or (kind is int and (type(value) is not int or not 0 <= value < 2**53))
        if bad:
            raise reader.error("recording", f"layers[{index}].{name}: {kind.__name__}", repr(value))
        known[name] = value
    shape, repeat = entry.get("shape"), entry.get("repeat")
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 2**53 for n in shape):
        raise reader.error("recording", f"layers[{index}].shape: list of int", repr(shape))
    if repeat is not None and (type(repeat) is not int or repeat < 0):
        raise reader.error("recording", f"layers[{index}].repeat: int or null", repr(repeat))
    return Layer(shape=tuple(shape), repeat=repeat, **known)


def _nonfinite(reader: Reader, header: dict[str, Any], width: int) -> FirstNonfinite | None:
    value = header.get("first_nonfinite")
    if value is None:
        return None
    good = (
        isinstance(value, list)
        and len(value) == 4
        and type(value[0]) is int
        and (value[1] is None or (type(value[1]) is int and 0 <= value[1] < width))
        and isinstance(value[2], str)
        and value[3] in ("nan", "inf")
    )
    if not good:
        raise reader.error("recording", "first_nonfinite: [step, layer, quantity, nan or inf]", repr(value))
    return FirstNonfinite(*value)


def _weights(reader: Reader, counts: dict[str, Any], name: str) -> list[NDArray[Any]] | None:
    count = counts.get(name)
    if count is None:
        return None
    if type(count) is not int or not 0 <= count <= zipped.MOST_MEMBERS:
        raise reader.error("recording", f"weights.{name}: a number of arrays", repr(count))
    return [reader.array(f"{name}.{index}", WEIGHT_TYPES, None) for index in range(count)]

"""Reads NumPy archives (NPZ) without trusting them.

What a member declares is checked before any of it is unpacked, so that a small file can't ask for a huge
amount of memory, and an array of Python objects, which would have to be unpickled, is refused.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from gradsim import zipped
from gradsim.data.dataset import Array, DataError
from gradsim.data.tables import Report, checked_file
from gradsim.i18n import tr
from gradsim.nn.spec import MISSING, Fault

MAX_FILE_BYTES = 2 * 1024**3
MAX_VALUES = 64 * 1024**2
MAX_MEMBERS = 1000

# zipfile raises RuntimeError for encryption and NotImplementedError for an unknown compression.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)

# The names of the arrays, as np.savez users and Keras' own data sets have them.
LAYOUTS = (
    ("x", "y", "x_val", "y_val"),
    ("x_train", "y_train", "x_val", "y_val"),
    ("x_train", "y_train", "x_test", "y_test"),
)


def read(path: Path) -> tuple[tuple[Array, ...], tuple[str, ...]]:
    """Reads x, y and, where the archive has them, the validation arrays.

    Returns:
        Two or four arrays and their names in the archive.

    Raises:
        DataError: with every fault found.
    """
    checked_file(path, MAX_FILE_BYTES)
    try:
        with zipped.opened(path) as archive:
            return _read(archive)
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError([Fault("path", tr("must be a readable .npz archive ({reason})", reason=error), str(path))])


def names(path: Path) -> tuple[str, ...]:
    """Names of the arrays in an archive; raises as :func:`read`."""
    checked_file(path, MAX_FILE_BYTES)
    try:
        with zipped.opened(path) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist()[:MAX_MEMBERS])
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _read(archive: zipfile.ZipFile) -> tuple[tuple[Array, ...], tuple[str, ...]]:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise DataError([Fault("path", tr("must hold at most {limit} arrays", limit=MAX_MEMBERS), len(members))])
    found = {info.filename.removesuffix(".npy"): info for info in members}
    names = _names(set(found))
    report = Report()
    total = 0
    for name in names:
        shape = _declared_shape(archive, found[name], name, report)
        total += math.prod(shape)
    if total > MAX_VALUES:
        report.add("path", tr("must hold at most {limit:,} values", limit=MAX_VALUES), f"{total:,}")
    report.check()
    arrays = []
    for name in names:
        with archive.open(found[name]) as file:
            try:
                arrays.append(np.asarray(npy.read_array(file, allow_pickle=False)))
            except ValueError as error:
                report.add(name, tr("must be a complete array ({reason})", reason=error), MISSING)
    report.check()
    return tuple(arrays), names


def _names(found: set[str]) -> tuple[str, ...]:
    for layout in LAYOUTS:
        if found.issuperset(layout):
            return layout
    for layout in LAYOUTS:
        if found.issuperset(layout[:2]):
            half = found.intersection(layout[2:])
            if half:
                lacking = next(name for name in layout[2:] if name not in found)
                raise DataError([Fault(lacking, tr("must be there, because {name} is", name=min(half)), MISSING)])
            return layout[:2]
    raise DataError(
        [
            Fault(
                "path",
                tr(
                    "must hold arrays named x and y, or x_train and y_train; for validation also x_val and y_val, or "
                    "x_test and y_test"
                ),
                ", ".join(sorted(found)[:20]) or tr("no arrays"),
            )
        ]
    )


def _declared_shape(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, report: Report) -> tuple[int, ...]:
    """The shape in a member's header; (0,) and a fault if the array must not be read."""
    try:
        with archive.open(info) as file:
            version = npy.read_magic(file)
            if version == (1, 0):
                shape, _, dtype = npy.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, _, dtype = npy.read_array_header_2_0(file)
            else:
                report.add(name, tr("must be an array in NumPy's format 1.0 or 2.0"), f"format {version}")
                return (0,)
            header = file.tell()
    except ValueError as error:
        report.add(name, tr("must be an array in NumPy's format ({reason})", reason=error), MISSING)
        return (0,)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        report.add(name, tr("must hold numbers"), tr("Python objects") if dtype.hasobject else f"dtype {dtype}")
        return (0,)
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize != info.file_size - header:
        received = tr("{n} bytes", n=info.file_size - header)
        report.add(name, tr("must have as many values as its shape {shape} says", shape=shape), received)
        return (0,)
    return shape

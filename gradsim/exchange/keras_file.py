"""``.keras`` files: an archive with the config as JSON and the weights as HDF5 (``keras/src/saving/saving_lib.py``)."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from gradsim import zipped
from gradsim.exchange import keras_config
from gradsim.exchange.assembling import Json
from gradsim.exchange.python_code import Made
from gradsim.exchange.results import Array, Imported, ImportFault, Note, Place
from gradsim.exchange.weights import UNREADABLE, checked_file, finite, refuse
from gradsim.i18n import tr
from gradsim.model import Experiment, file
from gradsim.model.stack import Placed
from gradsim.nn.spec import Fault

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
SPARE_BYTES = 64 * 2**20
"""What a file of weights may need beside them: its own structure, layers that are left out."""
MAX_MEMBERS = 10_000


def read(path: str | os.PathLike[str], base: Experiment | None = None) -> Imported:
    """Reads a model with its weights.

    Args:
        base: What the file does not say (data, batch size, seed) is taken from this experiment.

    Returns:
        The experiment with ``weights``; they are None, with a note, if a layer that has no counterpart was left out in
        such a way that they no longer fit.

    Raises:
        ImportFault: with everything that is wrong with the file.
    """
    path = Path(path)
    checked_file(path)
    config = _from(path, CONFIG, file.MAX_BYTES)
    imported, order = keras_config.read_with_layers(config, base)
    try:
        stack = imported.experiment.stack()
    except ValueError as error:
        reason = str(error).splitlines()[0]
        note = Note(Place(), tr("weights are left out, since the stack does not fit the data: {reason}", reason=reason))
        return dataclasses.replace(imported, notes=(*imported.notes, note))
    # In float64, with two numbers that the optimizer keeps of each.
    weights = _from(path, WEIGHTS, 24 * stack.parameters + SPARE_BYTES)
    placed = [entry for entry in stack.layers if entry.weights]
    with_weights = [entry for entry in order if entry[1]["type"] in {p.layer.identifier for p in placed}]
    if [entry[1]["type"] for entry in with_weights] != [p.layer.identifier for p in placed]:
        raise refuse(tr("the file"), tr("must hold one model whose layers follow each other"))
    return dataclasses.replace(imported, weights=_weights(weights, list(zip(placed, with_weights, strict=True))))


def config_text(path: str | os.PathLike[str]) -> str:
    """The config in a file, laid out to be read; raises as :func:`read`."""
    path = Path(path)
    checked_file(path)
    try:
        content = json.loads(_from(path, CONFIG, file.MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise refuse(CONFIG, tr("must be JSON ({error})", error=error)) from None
    return json.dumps(content, indent=2, ensure_ascii=False)


def _from(path: Path, name: str, limit: int) -> bytes:
    try:
        with zipped.opened(path) as archive:
            return _member(archive, name, limit)
    except ImportFault:
        raise
    except UNREADABLE as error:
        raise refuse(tr("the file"), tr("must be a .keras archive ({reason})", reason=error), str(path)) from None


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise refuse(tr("the file"), tr("must hold at most {limit:,} members", limit=MAX_MEMBERS), f"{len(infos):,}")
    found = [info for info in infos if info.filename == name]
    if len(found) != 1:
        raise refuse(
            tr("the file"), tr("must hold {name} once: a .keras archive", name=name), tr("{n} of it", n=len(found))
        )
    if found[0].file_size > limit:
        raise refuse(
            name,
            tr("must be at most {limit} MiB when unpacked", limit=limit // 2**20),
            tr("{n:,} bytes", n=found[0].file_size),
        )
    with archive.open(found[0]) as stream:
        # What a member declares may be a lie; no more than that is ever unpacked.
        data = stream.read(found[0].file_size + 1)
    if len(data) > found[0].file_size:
        raise refuse(name, tr("must be {n:,} bytes long, as it says", n=found[0].file_size), tr("more"))
    return data


def _weights(data: bytes, wanted: list[tuple[Placed, tuple[Made, Json]]]) -> list[Array]:
    # Loaded here: it takes a while, and only these files need it.
    import h5py

    faults: list[Fault] = []
    found: list[Array] = []
    try:
        with h5py.File(io.BytesIO(data), "r") as content:
            for placed, (made, _) in wanted:
                group = str(made.attributes.get("group", ""))
                for number, weight in enumerate(placed.weights):
                    where = f"{placed.name}.{weight.role}"
                    place = f"{group}/vars/{number}"
                    result = _dataset(h5py, content, place, weight.shape)
                    if isinstance(result, str):
                        faults.append(Fault(where, result, place))
                    else:
                        faults += finite(result, where)
                        found.append(result)
    except Exception as error:
        # Damaged files make h5py raise whatever comes to hand.
        raise refuse(WEIGHTS, tr("must be a readable HDF5 file ({reason})", reason=error)) from None
    if faults:
        raise ImportFault(faults)
    return found


def _dataset(h5py: Any, content: Any, place: str, shape: tuple[int, ...]) -> Array | str:
    """An array, or what keeps it from being read."""
    at = content
    for part in place.split("/"):
        # Links to other files are not followed.
        link = at.get(part, getlink=True) if isinstance(at, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            return tr("must be in the file")
        at = at[part]
    if not isinstance(at, h5py.Dataset) or at.is_virtual or at.external:
        return tr("must be an array in the file itself")
    if at.shape != shape:
        return tr("must have the shape {shape}, not {other}", shape=shape, other=at.shape)
    if at.dtype.kind != "f" or at.dtype.itemsize > 8:
        return tr("must hold real numbers, not {dtype}", dtype=at.dtype)
    return np.asarray(at[()], dtype=np.float64 if at.dtype == np.float64 else np.float32)

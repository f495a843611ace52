"""`.gradsim` files: an experiment as versioned JSON.

Opening: bytes -> JSON -> version -> migrations -> validation that collects every fault -> value. Nothing in a
    file is
ever executed, and what a hostile one can cost is bounded before it is parsed. Saving is atomic.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from gradsim import replacing
from gradsim.i18n import mark, reason_of, tr
from gradsim.model import container, migrations
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError, explained, faults_in
from gradsim.model.stack import MAX_ROWS
from gradsim.nn.spec import MISSING, Fault, fields_of, to_json

SUFFIX = ".gradsim"

EXTENSIONS = ("view", "state")
"""Fields of a file that belong to whoever shows the experiment. They are kept as they are."""

BUNDLED = "bundled:"
"""What the place of trained weights begins with that come with the program."""

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 64
MAX_VALUES = 1_000_000
MAX_FAULTS = 1_000
LARGEST_INT = 2**53
"""Beyond it other programs' JSON readers no longer tell whole numbers apart."""

WHOLE = mark("the file")
"""The path of a fault that concerns all of it."""


class FileError(FaultsError):
    """A file that can't be opened or saved; ``faults`` holds everything that is wrong."""


@dataclasses.dataclass(frozen=True)
class Opened:
    """What a file holds.

    Attributes:
        extensions: The objects under the names of ``EXTENSIONS``, untouched.
    """

    experiment: Experiment
    extensions: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def load(path: str | os.PathLike[str]) -> Opened:
    """Opens a file. Paths of data in it are relative to its folder.

    Raises:
        FileError: with every fault.
    """
    path = Path(path)
    try:
        # Asked of the open file, since another could take its place between a look and the reading.
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileError([Fault(tr(WHOLE), tr("must be a regular file"), str(path))])
            if file.read(len(container.MAGIC)) == container.MAGIC:
                data = container.members(file)[container.EXPERIMENT].read(MAX_BYTES + 1)
            else:
                file.seek(0)
                data = file.read(MAX_BYTES + 1)
    except container.ContainerError as error:
        raise FileError(error.faults) from error
    except OSError as error:
        message = tr("can't be read: {reason}", reason=reason_of(error))
        raise FileError([Fault(tr(WHOLE), message, str(path))]) from error
    opened = loads(data)
    return dataclasses.replace(opened, experiment=_with_data_from(opened.experiment, path.parent))


def beginning(path: Path, most: int) -> bytes:
    """At most ``most`` bytes of a file.

    Raises:
        OSError: if it can't be read, or is no regular file.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, mark("must be a regular file"))
        return file.read(most)


def loads(data: bytes | str) -> Opened:
    """Reads a file's content.

    Raises:
        FileError: with every fault.
    """
    content = decode(data)
    faults: list[Fault] = []
    version = content.get(migrations.KEY, MISSING)
    if not isinstance(version, int) or isinstance(version, bool):
        allowed = tr("must be the number of the file format, {version}", version=migrations.CURRENT)
        raise FileError([Fault(migrations.KEY, allowed, version)])
    try:
        content = migrations.migrate(content)
    except LookupError as error:
        raise FileError([Fault(migrations.KEY, str(error.args[0]), version)]) from error
    except Exception as error:
        message = tr(
            "is no file of format {version}, so that it can't be brought to {current}",
            version=version,
            current=migrations.CURRENT,
        )
        raise FileError([Fault(tr(WHOLE), message, MISSING)]) from error
    fields = {key: value for key, value in content.items() if key not in (migrations.KEY, *EXTENSIONS)}
    extensions = {key: content[key] for key in EXTENSIONS if key in content}
    for key, value in extensions.items():
        if not isinstance(value, dict):
            faults.append(Fault(key, tr("must be an object"), value))
    experiment: Experiment | None = None
    try:
        experiment = experiment_from(fields)
    except FaultsError as error:
        faults += error.faults
    if faults or experiment is None:
        raise FileError(faults)
    return Opened(experiment, extensions)


def experiment_from(fields: Mapping[str, Any]) -> Experiment:
    """An experiment from plain JSON values.

    Raises:
        FaultsError: with every fault.
    """
    faults = list(_layer_faults(fields.get("layers")))
    if faults:
        raise FaultsError(explained(fault, Experiment, fields) for fault in faults)
    try:
        return Experiment(**fields)
    except ValidationError as error:
        raise FaultsError(faults_in(error, Experiment, fields)) from None
    except PydanticCustomError as error:
        raise FaultsError([Fault("", error.message(), dict(fields))]) from None


def _layer_faults(layers: Any) -> Iterator[Fault]:
    """What must be known before the layers are made: how many there are, and that none brings an identity."""
    waiting: list[tuple[str, Any]] = [("layers", layers)]
    count = 0
    while waiting:
        path, entries = waiting.pop()
        if not isinstance(entries, list):
            continue
        count += len(entries)
        if count > MAX_ROWS:
            message = tr("must hold at most {limit:,} layers in all", limit=MAX_ROWS)
            yield Fault("layers", message, tr("more than {limit:,}", limit=MAX_ROWS))
            return
        for number, entry in enumerate(entries):
            if isinstance(entry, dict):
                if "uid" in entry:
                    yield Fault(f"{path}[{number}].uid", tr("is not a field here"), entry["uid"])
                waiting.append((f"{path}[{number}].layers", entry.get("layers")))


def content_of(experiment: Experiment) -> dict[str, Any]:
    """The experiment as plain JSON values: every field but empty texts and what belongs to trained weights that it does
    not start from; in layers what is not the default.

    Raises:
        FileError: if its data live in memory only.
    """
    if not experiment.data.storable:
        raise FileError(
            [
                Fault(
                    "data",
                    tr(
                        "arrays in memory can't be saved in a .gradsim file: save them with numpy.savez as x and y, "
                        "and "
                        'use data={"type": "npz", "path": "FILE.npz"} instead'
                    ),
                    type(experiment.data).title or experiment.data.identifier,
                )
            ]
        )
    values = {
        view.name: to_json(getattr(experiment, view.name)) for view in fields_of(type(experiment)) if not view.hidden
    }
    texts = {key: values.pop(key) for key in ("name", "description")}
    start = {key: values.pop(key) for key in ("pretrained", "pretrained_layers")}
    return {**{key: text for key, text in (texts | start).items() if text}, **values}


def dumps(experiment: Experiment, extensions: Mapping[str, Any] | None = None) -> str:
    """A file's content as text.

    Args:
        extensions: Objects to keep under the names of ``EXTENSIONS``.

    Raises:
        FileError: if it could not be opened again.
    """
    content: dict[str, Any] = {migrations.KEY: migrations.CURRENT, **content_of(experiment)}
    for key, value in (extensions or {}).items():
        if key not in EXTENSIONS:
            raise FileError([Fault(key, tr("must be one of {names}", names=", ".join(EXTENSIONS)), value)])
        content[key] = value
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise FileError(
            [Fault(tr(WHOLE), tr("can hold plain JSON values only: {reason}", reason=error), MISSING)]
        ) from error
    loads(text)
    return text


def save(path: str | os.PathLike[str], experiment: Experiment, extensions: Mapping[str, Any] | None = None) -> None:
    """Saves a file: afterwards it holds all of the new content, or (after an error) all of the old.

    Paths of data below the file's folder become relative to it.

    Raises:
        FileError: if the experiment can't be saved, or the file not written.
    """
    path = Path(path)
    text = dumps(beside(experiment, path.parent), extensions)
    try:
        replacing.write(path, text.encode("utf-8"))
    except OSError as error:
        message = tr("can't be written: {reason}", reason=reason_of(error))
        raise FileError([Fault(tr(WHOLE), message, str(path))]) from error


def _without_waiting(path: str, flags: int) -> int:
    # A named pipe would wait for a writer for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _with_data_from(experiment: Experiment, folder: Path) -> Experiment:
    """With the paths of its files from the folder on."""
    return _with_paths(experiment, lambda path: path if os.path.isabs(path) else str(folder.absolute() / path))


def beside(experiment: Experiment, folder: Path) -> Experiment:
    """With the paths of files below the folder relative to it, as a file in it names them."""

    def shown(path: str) -> str:
        absolute, near = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
        return absolute.relative_to(near).as_posix() if absolute.is_relative_to(near) else str(absolute)

    return _with_paths(experiment, shown)


def _with_paths(experiment: Experiment, change: Callable[[str], str]) -> Experiment:
    path = getattr(experiment.data, "path", None)
    if isinstance(path, str) and path and not path.startswith("~") and change(path) != path:
        data = dataclasses.replace(experiment.data, path=change(path))  # type: ignore[call-arg]
        experiment = dataclasses.replace(experiment, data=data)
    path = experiment.pretrained
    if path and not path.startswith(("~", BUNDLED)) and change(path) != path:
        experiment = dataclasses.replace(experiment, pretrained=change(path))
    return experiment


class _Object(dict[str, Any]):
    """A JSON object that remembers which names came twice."""

    repeated: tuple[str, ...] = ()


class _TooLarge:
    """A whole number that nothing here can mean."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text if len(self.text) <= 40 else f"{self.text[:20]}... ({len(self.text)} digits)"


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        found.repeated = tuple(key for key, count in counts.items() if count > 1)
    return found


def _whole_number(text: str) -> Any:
    # Turning millions of digits into a number takes time that grows with their square.
    if len(text) > 17 or abs(int(text)) > LARGEST_INT:
        return _TooLarge(text)
    return int(text)


def decode(data: bytes | str) -> dict[str, Any]:
    """The JSON object that a text holds, if it is one that may be looked at any further.

    Raises:
        FileError: with every fault: size, encoding, syntax, depth, names that come twice, numbers that are
            not finite or too large, unreadable texts.
    """
    if isinstance(data, bytes):
        _check_size(len(data))
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = tr("must be text in UTF-8; byte {place} is none", place=error.start)
            raise FileError([Fault(tr(WHOLE), message, data[error.start : error.start + 1])]) from error
    else:
        _check_size(len(data))
        text = data
    values = text.count(",") + text.count("[") + text.count("{")
    if values > MAX_VALUES:
        raise FileError(
            [Fault(tr(WHOLE), tr("must hold at most {limit:,} values", limit=MAX_VALUES), tr("about {n:,}", n=values))]
        )
    try:
        content = json.loads(text, object_pairs_hook=_object, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        message = tr(
            "must be JSON; line {line}, column {column}: {reason}",
            line=error.lineno,
            column=error.colno,
            reason=tr(error.msg),
        )
        raise FileError([Fault(tr(WHOLE), message, text[error.pos : error.pos + 20] or MISSING)]) from error
    except RecursionError as error:
        raise FileError([_too_deep("")]) from error
    if not isinstance(content, dict):
        raise FileError([Fault(tr(WHOLE), tr("must be a JSON object"), content)])
    faults = list(itertools.islice(_unreadable(content), MAX_FAULTS))
    if faults:
        raise FileError(faults)
    plain: dict[str, Any] = _plain(content)
    return plain


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise FileError(
            [Fault(tr(WHOLE), tr("must be at most {limit} MiB long", limit=MAX_BYTES // 2**20), tr("more"))]
        )


def _too_deep(path: str) -> Fault:
    return Fault(path or tr(WHOLE), tr("must be nested at most {limit} deep", limit=MAX_DEPTH), MISSING)


_JSON = (
    mark("Expecting value"),
    mark("Expecting ',' delimiter"),
    mark("Expecting ':' delimiter"),
    mark("Expecting property name enclosed in double quotes"),
    mark("Extra data"),
    mark("Illegal trailing comma before end of array"),
    mark("Illegal trailing comma before end of object"),
    mark("Invalid control character at"),
    mark("Invalid \\escape"),
    mark("Unterminated string starting at"),
)
"""What Python says of text that is no JSON."""

# Tab and line ends are text; the rest of the control characters could steer a terminal.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def _unreadable(value: Any, parts: tuple[str | int, ...] = ()) -> Iterator[Fault]:
    """What no valid file holds anywhere, in the order of the file."""
    if len(parts) > MAX_DEPTH:
        yield _too_deep(_place(parts))
    elif isinstance(value, _Object):
        for key in value.repeated:
            yield Fault(_place((*parts, key)), tr("must stand there once"), tr("twice"))
        for key, entry in value.items():
            if key.startswith("__") or _NO_TEXT.search(key):
                yield Fault(_place((*parts, key)), tr("is not a field here"), entry)
            yield from _unreadable(entry, (*parts, key))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _unreadable(entry, (*parts, number))
    elif isinstance(value, _TooLarge):
        yield Fault(_place(parts), tr("must be a whole number of at most 2^53 in size"), value)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(_place(parts), tr("must be a finite number"), value)
    elif isinstance(value, str) and _NO_TEXT.search(value):
        yield Fault(_place(parts), tr("must be text without control characters"), value)


def _place(parts: tuple[str | int, ...]) -> str:
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if part.isprintable() else ascii(part)
            shown = shown if len(shown) <= 60 else shown[:57] + "..."
            text += f".{shown}" if text else shown
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value

"""A run as it is kept in a file, and taken up again: training goes on with the bytes that it would have had.

What is kept of the weights is how they were *before* the last step: that step is computed again, so that gradients
and activations are those of it, and a sum tells whether this machine computes as the one did that saved.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gradsim.engine.intake import CompiledIntake
from gradsim.engine.memory import Array
from gradsim.engine.trainer import Snapshot, Trainer
from gradsim.i18n import tr
from gradsim.model import container, file
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.nn.optimizers import Optimizer
from gradsim.nn.spec import MISSING, Fault, to_json
from gradsim.replacing import replacing
from gradsim.telemetry import files
from gradsim.telemetry.recorder import Recorder, Rest
from gradsim.telemetry.recording import Recording

FORMAT = "gradsim state"
VERSION = 1
MAX_BYTES = 2**32
"""Largest sum of all arrays of a run, unpacked."""
MAX_ARRAYS = 50_000
MAX_LIVE = 100_000

Header = dict[str, Any]
Migration = Callable[[Header], Header]
MIGRATIONS: dict[int, Migration] = {}
"""For each version the step that leads to it from the one before."""


class SavedRunError(FaultsError):
    """A run that can't be taken up again, or not be kept; ``faults`` says why."""


@dataclasses.dataclass(frozen=True)
class SavedRun:
    """All that a run goes on from.

    Attributes:
        recording: Everything recorded.
        rest: What the recorder knows beside it.
        step: Steps done.
        before: Arrays of the state one step earlier; of the beginning if no step is done.
        nonfinite: Whether a NaN or Inf had occurred before the last step.
        first: Arrays of the beginning; None if they are what the seed gives.
        live: The optimizer that was in force from each of these steps on.
        digest: Of the state behind the last step; "" if it is not known.
    """

    recording: Recording
    rest: Rest
    step: int
    before: tuple[Array, ...]
    nonfinite: bool
    first: tuple[Array, ...] | None
    live: tuple[tuple[int, Optimizer], ...]
    digest: str

    def recorder(self, capacity_bytes: int) -> Recorder:
        """The recorder, to be written on. Raises SavedRunError if what was read can't be one."""
        while True:
            try:
                return Recorder.resumed(self.recording, self.rest, capacity_bytes, CompiledIntake())
            except ValueError as error:
                if not str(error).startswith("capacity_bytes") or capacity_bytes > 2**34:
                    raise _wrong(tr("must hold a recorder's state that fits its recording"), str(error)) from error
                capacity_bytes *= 2

    def snapshots(self, trainer: Trainer) -> tuple[Snapshot, Snapshot]:
        """The states at the beginning, and one step before the last, of a fresh trainer of the experiment.

        Raises:
            SavedRunError: if the run is not one of that experiment.
        """
        if self.recording.layers != trainer.layer_table:
            raise _wrong(tr("must be a run of the experiment in the file"), tr("a recording of other layers"))
        if not self.recording.start == 0 == self.rest.head - self.step or self.recording.every != 1:
            raise _wrong(tr("must have recorded every step from the first to the last"), self.step)
        try:
            first = trainer.snapshot() if self.first is None else trainer.snapshot_of(0, self.first)
            before = trainer.snapshot_of(max(0, self.step - 1), self.before, nonfinite=self.nonfinite)
        except ValueError as error:
            raise _wrong(tr("must be a run of the experiment in the file"), str(error)) from error
        return first, before


def digest(snapshot: Snapshot) -> str:
    """Tells two states apart by a single bit."""
    found = hashlib.sha256(snapshot.context.tobytes())
    for array in snapshot.arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def save(path: str | os.PathLike[str], experiment: Experiment, run: SavedRun, extensions: Header | None = None) -> None:
    """Writes experiment and run as one file, whole or not at all.

    Raises:
        gradsim.model.file.FileError: if the experiment can't be saved, or the file not written.
    """
    target = Path(path)
    text = file.dumps(file.beside(experiment, target.parent), extensions)
    header: Header = {
        "format": FORMAT,
        "version": VERSION,
        "step": run.step,
        "nonfinite": run.nonfinite,
        "digest": run.digest,
        "arrays": len(run.before),
        "first": run.first is not None,
        "live": [[step, to_json(optimizer)] for step, optimizer in run.live],
        "head": run.rest.head,
        "evicted": run.rest.evicted,
        "level": run.rest.level,
        "past": run.rest.past,
        "waiting": [list(one) for one in run.rest.waiting],
    }
    members: dict[str, Array] = {"state": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    members |= {f"before.{number}": array for number, array in enumerate(run.before)}
    members |= {f"first.{number}": array for number, array in enumerate(run.first or ())}
    members |= {"finite.layers": run.rest.finite[0], "finite.steps": run.rest.finite[1]}
    try:
        with tempfile.TemporaryDirectory(prefix=".gradsim-", dir=target.absolute().parent) as folder:
            recording, state = Path(folder) / container.RECORDING, Path(folder) / container.STATE
            files.save(run.recording, recording)
            with open(state, "wb") as stream:
                files.write_members(stream, members)
            with replacing(target) as stream:
                parts = ((container.RECORDING, recording), (container.STATE, state))
                container.write(stream, ((container.EXPERIMENT, text.encode()), *parts))
    except OSError as error:
        reason = error.strerror or str(error)
        raise file.FileError(
            [Fault(tr("the file"), tr("can't be written: {reason}", reason=reason), str(path))]
        ) from error


def load(path: str | os.PathLike[str]) -> SavedRun | None:
    """The run in a file; None if it holds none.

    Nothing is executed or unpickled; sizes are checked before memory is given.

    Raises:
        SavedRunError: for a run that is damaged, or of another gradsim.
    """
    if not container.is_container(path):
        return None
    try:
        with container.opened(path) as members:
            missing = [name for name in (container.RECORDING, container.STATE) if name not in members]
            if missing:
                raise _wrong(tr("must hold {names}", names=", ".join(missing)), MISSING)
            recording = files.read(members[container.RECORDING], container.RECORDING, limit_bytes=MAX_BYTES)
            with files.reading(members[container.STATE], container.STATE, limit_bytes=MAX_BYTES) as reader:
                return _read(recording, reader)
    except (files.RecordingFileError, container.ContainerError) as error:
        faults = error.faults if isinstance(error, FaultsError) else [Fault("", str(error), MISSING)]
        raise SavedRunError(faults) from error
    except OSError as error:
        raise _wrong(tr("can't be read: {reason}", reason=error.strerror or str(error)), str(path)) from error


def _read(recording: Recording, reader: files.Reader) -> SavedRun:
    text = reader.array("state", ("uint8",), (None,), files.HEADER_LIMIT).tobytes()
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise reader.error("state", "JSON", f"something else ({error})") from error
    header = migrated(header)

    def whole(name: str, most: int = 2**53) -> int:
        value = header.get(name)
        if type(value) is not int or not 0 <= value <= most:
            raise reader.error("state", f"{name}: 0 to {most}", f"{name}: {value!r}")
        return value

    def flag(name: str) -> bool:
        value = header.get(name)
        if not isinstance(value, bool):
            raise reader.error("state", f"{name}: true or false", f"{name}: {value!r}")
        return value

    pairs: Any = header.get("waiting")
    short = isinstance(pairs, list) and len(pairs) < 64
    if not short or not all(isinstance(p, list) and len(p) == 2 and all(type(n) is int for n in p) for p in pairs):
        raise reader.error("state", "waiting: pairs of whole numbers", repr(pairs))
    known = header.get("digest")
    if not isinstance(known, str):
        raise reader.error("state", "digest: a text", repr(known))
    count = whole("arrays", MAX_ARRAYS)
    types = files.WEIGHT_TYPES

    def arrays(name: str) -> tuple[Array, ...]:
        return tuple(reader.array(f"{name}.{number}", types, None) for number in range(count))

    finite = tuple(reader.array(f"finite.{name}", ("uint32",), (None, None, None)) for name in ("layers", "steps"))
    rest = Rest(
        whole("head"), whole("evicted"), whole("level", 60), whole("past"),
        tuple((level, index) for level, index in pairs), (finite[0], finite[1]),
    )  # fmt: skip
    return SavedRun(
        recording, rest, whole("step"), arrays("before"), flag("nonfinite"),
        arrays("first") if flag("first") else None, _live(reader, header.get("live")), known,
    )  # fmt: skip


def migrated(header: Any, steps: dict[int, Migration] = MIGRATIONS, current: int = VERSION) -> Header:
    """The head of a state in the current version.

    Raises:
        SavedRunError: if it is none, or of a version from which no step leads here.
    """
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _wrong(tr("must be a state of gradsim's"), MISSING)
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise _wrong(tr("version: must be a whole number from 1"), version)
    if version > current:
        raise _wrong(tr("version: must be at most {current}: update gradsim to open it", current=current), version)
    while version < current:
        version += 1
        if version not in steps:
            raise _wrong(tr("version: must be {current}", current=current), version - 1)
        header = {**steps[version](dict(header)), "version": version}
    return dict(header)


def _live(reader: files.Reader, entries: Any) -> tuple[tuple[int, Optimizer], ...]:
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_LIVE:
        raise reader.error("state", "live: a list of [step, optimizer]", repr(entries)[:60])
    found: list[tuple[int, Optimizer]] = []
    made: dict[str, Optimizer] = {}
    for number, entry in enumerate(entries):
        last = found[-1][0] if found else -1
        if not isinstance(entry, list) or len(entry) != 2 or type(entry[0]) is not int or not last < entry[0] < 2**53:
            raise reader.error("state", f"live[{number}]: [step, optimizer], steps rising", repr(entry)[:60])
        key = json.dumps(entry[1])
        if key not in made:
            try:
                made[key] = file.experiment_from({"optimizer": entry[1]}).optimizer
            except FaultsError as error:
                raise reader.error("state", f"live[{number}]: an optimizer", str(error)) from error
        found.append((entry[0], made[key]))
    if found[0][0] != 0:
        raise reader.error("state", "live: the first one from step 0 on", repr(found[0][0]))
    return tuple(found)


def _wrong(allowed: str, received: object) -> SavedRunError:
    return SavedRunError([Fault(tr("the run in the file"), allowed, received)])

"""Pretrained layers: the first layers of a saved training, with their weights, under a new experiment."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gradsim import data as datasets
from gradsim.exchange import weights
from gradsim.exchange.results import Array, ImportFault
from gradsim.exchange.weights import refuse
from gradsim.i18n import tr
from gradsim.model import Experiment, file, migrations
from gradsim.model.faults import FaultsError
from gradsim.model.stack import count_rows
from gradsim.nn import layers as nn_layers
from gradsim.nn.layers import Layer
from gradsim.nn.spec import MISSING, Fault
from gradsim.resources import resource
from gradsim.telemetry import Recording, RecordingFileError


@dataclasses.dataclass(frozen=True)
class Saved:
    """A trained stack.

    Attributes:
        weights: Its arrays in Keras' ``get_weights()`` order.
    """

    experiment: Experiment
    weights: Sequence[Array]


@dataclasses.dataclass(frozen=True)
class Reused:
    """A new experiment on top of saved layers.

    Attributes:
        experiment: The saved layers, then those of the new experiment.
        weights: What it starts from: saved arrays below, new draws from its seed above.
        scratch: The same stack with nothing frozen, to be started from its own seed: what to compare with.
        rows: How many layers of the expanded stack are saved ones.
    """

    experiment: Experiment
    weights: list[Array]
    scratch: Experiment
    rows: int


def load(path: str | os.PathLike[str], experiment: Experiment | None = None) -> Saved:
    """Opens a trained stack: a recording, a ``.keras`` file, weights of ``experiment``, or another experiment's file.

    An experiment's file holds no weights: they lie beside it, see :func:`weights_beside`.

    Args:
        experiment: The stack of a file that holds weights only; for a ``.keras`` file, what that does not say (data).

    Raises:
        ImportFault: with everything that is wrong with it.
    """
    path = Path(path)
    if path.suffix.lower() == file.SUFFIX:
        opened = file.load(path).experiment
        return load(weights_beside(path), opened)
    if path.suffix.lower() == ".keras":
        # Loaded here: what reads configs takes a while, and only these files need it.
        from gradsim.exchange import keras_file

        imported = keras_file.read(path, experiment)
        if imported.weights is None:
            raise refuse(tr("the file"), str(imported.notes[-1].message), path.name)
        return Saved(imported.experiment, imported.weights)
    if path.suffix.lower() == ".npz" and weights.is_recording(path):
        try:
            recording = Recording.load(path)
        except RecordingFileError as error:
            raise refuse(tr("the recording"), str(error)) from None
        return of_recording(recording, None if isinstance(recording.experiment, dict) else experiment)
    if experiment is None:
        message = tr("holds weights only: the experiment that they belong to must be given too")
        raise refuse(tr("the file"), message, path.name)
    return Saved(experiment, weights.read(path, experiment.stack()))


def weights_beside(path: Path) -> Path:
    """Where the weights of an experiment's file lie: ``X.weights.npz``, else its recording ``X.npz``.

    Any other file holds its weights itself.

    Raises:
        ImportFault: if there are none.
    """
    if path.suffix.lower() != file.SUFFIX:
        return path
    names = (f"{path.stem}.weights.npz", f"{path.stem}.npz")
    for name in names:
        if path.with_name(name).is_file():
            return path.with_name(name)
    message = tr("must lie beside it: train the experiment and save its record there as NPZ")
    raise refuse(" / ".join(names), message)


def of_recording(recording: Recording, experiment: Experiment | None = None) -> Saved:
    """The trained stack of a recording, by its final weights.

    Args:
        experiment: The stack, if the recording does not hold it (data in memory).

    Raises:
        ImportFault: if it was made without weights, or its experiment can't be opened.
    """
    arrays = recording.final_weights
    if arrays is None:
        raise refuse(tr("the recording"), tr("must hold final weights; this one was made without"))
    if experiment is None:
        experiment = experiment_of(recording)
    named = {f"arr_{number}": array for number, array in enumerate(arrays)}
    return Saved(experiment, weights.fitted(named, experiment.stack()))


def experiment_of(recording: Recording) -> Experiment:
    """What was recorded.

    Raises:
        ImportFault: if the recording does not hold it, or it can't be opened.
    """
    content = recording.experiment
    if not isinstance(content, dict):
        raise refuse(tr("the recording"), tr("must hold its experiment; this one was made with data in memory"))
    try:
        # The window's records of some time did not say their format, the first one.
        content = {migrations.KEY: 1, **content}
        fields = {key: value for key, value in migrations.migrate(content).items() if key not in file.EXTENSIONS}
        fields.pop(migrations.KEY, None)
        return file.experiment_from(fields)
    except FaultsError as error:
        raise ImportFault(error.faults) from None
    except Exception as error:
        # What a migration makes of a stranger's content can't be told.
        raise refuse(tr("the recording"), str(error.args[0] if error.args else error)) from None


def start_of(experiment: Experiment) -> list[Array] | None:
    """The arrays that an experiment starts from if it names a file of trained weights; None if it names none.

    The layers behind the first ``pretrained_layers`` start from the seed.

    Raises:
        ImportFault: if the file can't be read, or its weights do not fit on these layers.
        gradsim.model.stack.StackError: if the stack can't be computed.
    """
    if not experiment.pretrained:
        return None
    stack = experiment.stack()
    rows = experiment.pretrained_layers or len(stack.layers)
    if rows > len(stack.layers):
        message = tr("must be at most {n}, as many as the stack has", n=len(stack.layers))
        raise refuse("pretrained_layers", message, rows)
    first = [(placed, weight) for placed, weight in stack.weights() if placed.index < rows]
    found = arrays_of(experiment, place_of(experiment.pretrained), rows)
    faults = []
    for number, (placed, weight) in enumerate(first):
        where = f"{placed.name}.{weight.role}"
        if number >= len(found):
            message = tr("is not in {file}: take fewer layers from it", file=experiment.pretrained)
            faults.append(Fault(where, message, MISSING))
        elif found[number].shape != weight.shape:
            shape, name = found[number].shape, experiment.pretrained
            message = tr("must have the shape {shape} to start from {file}", shape=shape, file=name)
            faults.append(Fault(where, message, weight.shape))
        else:
            faults += weights.finite(found[number], where)
    if faults:
        raise ImportFault(faults)
    start = stack.initial_weights(experiment.seed)
    with np.errstate(over="ignore"):
        return [*(np.asarray(array, dtype=np.float64) for array in found[: len(first)]), *start[len(first) :]]


def place_of(name: str) -> Path:
    """The file behind a name: one of a person, or ``bundled:NAME``.

    Raises:
        ImportFault: if nothing of this name comes with the program.
    """
    if not name.startswith(file.BUNDLED):
        return Path(name).expanduser()
    try:
        return resource(f"weights/{name.removeprefix(file.BUNDLED)}.npz")
    except (FileNotFoundError, ValueError):
        raise refuse("pretrained", tr("must be a file, or weights that come with the program"), name) from None


def arrays_of(experiment: Experiment, path: Path, rows: int) -> tuple[Array, ...]:
    """Arrays of a file in the order of a stack: all of a trained one, of plain ones as many as the first rows have."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise refuse("pretrained", tr("can't be opened: {error}", error=reason), str(path)) from None
    recorded = path.suffix.lower() == ".npz" and weights.is_recording(path)
    # A recording holds its own stack: it reads the same for every experiment.
    return _arrays(path, None if recorded else experiment, rows, (status.st_mtime_ns, status.st_size, status.st_ino))


@functools.lru_cache(maxsize=4)
def _arrays(path: Path, experiment: Experiment | None, rows: int, stamp: object) -> tuple[Array, ...]:
    if experiment is None or path.suffix.lower() == ".keras":
        return tuple(load(path, experiment).weights)
    if path.suffix.lower() not in weights.SUFFIXES:
        allowed = ", ".join((".keras", *weights.SUFFIXES))
        raise refuse("pretrained", tr("must end in one of {allowed}", allowed=allowed), path.name)
    below = dataclasses.replace(experiment, layers=split(experiment.layers, rows)[0], pretrained="")
    return tuple(weights.read(path, below.stack(), first=True))


def split(layers: Sequence[Layer], rows: int) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """The layers that make the first rows of an expanded stack, and the others.

    A repeat group is divided between two rounds, or unrolled where the cut goes through one.

    Raises:
        ImportFault: if the cut goes through a residual block, or there are not so many rows.
    """
    total = count_rows(tuple(layers))
    if not 0 <= rows <= total:
        raise refuse(tr("the number of layers"), tr("must be from 0 to {last}", last=total), rows)
    first: list[Layer] = []
    rest = list(layers)
    left = rows
    while left and rest:
        layer = rest.pop(0)
        size = count_rows((layer,))
        if size <= left:
            first.append(layer)
            left -= size
        elif isinstance(layer, nn_layers.Repeat):
            whole, inside = divmod(left, size // layer.count)
            rest[:0] = _rounds(layer, layer.count - whole - bool(inside))
            if whole:
                first += _rounds(layer, whole)
            if inside:
                # The round that is cut stands by itself.
                rest[:0] = [_inherited(entry, layer) for entry in layer.layers]
            left = inside
        else:
            done = rows - left
            message = tr("must not cut a residual block: {before} or {after}", before=done, after=done + size)
            raise refuse(tr("the number of layers"), message, rows)
    return tuple(first), tuple(rest)


def _rounds(layer: nn_layers.Repeat, count: int) -> list[Layer]:
    return [dataclasses.replace(layer, count=count, uid="")] if count else []


def _inherited(layer: Layer, group: Layer) -> Layer:
    return dataclasses.replace(layer, trainable=layer.trainable and group.trainable, uid="")


def with_trainable(experiment: Experiment, rows: int, trainable: bool) -> Experiment:
    """The experiment with its first rows frozen, or free to learn again.

    A training goes on from where it is with ``Trainer(with_trainable(...), trainer.weights())``.

    Raises:
        ImportFault: as :func:`split`.
    """
    first, rest = split(experiment.layers, rows)
    return dataclasses.replace(experiment, layers=(*(_set_trainable(layer, trainable) for layer in first), *rest))


def from_scratch(experiment: Experiment) -> Experiment:
    """The same stack without trained weights and with its first layers free: what to compare a reuse with."""
    rows = experiment.pretrained_layers or count_rows(experiment.layers)
    plain = dataclasses.replace(experiment, pretrained="", pretrained_layers=None)
    return with_trainable(plain, min(rows, count_rows(plain.layers)), True)


def _set_trainable(layer: Layer, trainable: bool) -> Layer:
    if isinstance(layer, nn_layers.Repeat | nn_layers.Residual):
        inside = tuple(_set_trainable(entry, trainable) for entry in layer.layers)
        return dataclasses.replace(layer, layers=inside, trainable=True)
    return dataclasses.replace(layer, trainable=trainable)


def reuse(saved: Saved, target: Experiment, rows: int, *, freeze: bool = True) -> Reused:
    """Puts the first layers of a trained stack in the place of those of another experiment.

    Args:
        target: The new experiment; its layers from ``rows`` on, its data, loss and optimizer stay.
        rows: How many layers of the expanded stack are taken over, Flatten included.
        freeze: Whether the training leaves them alone.

    Raises:
        ImportFault: if the cut goes through a residual block, or the data have rows of another shape.
        gradsim.model.stack.StackError: if the new layers do not fit on the old ones.
    """
    below, _ = split(saved.experiment.layers, rows)
    _, above = split(target.layers, rows)
    before, after = saved.experiment.stack().input_shape, datasets.input_shape(target.data)
    if rows and before != after:
        sizes = " x ".join(map(str, before))
        raise refuse(
            "data",
            tr("must have rows of the shape {shape}, as the saved layers do", shape=sizes),
            " x ".join(map(str, after)),
        )
    below = tuple(dataclasses.replace(layer, uid="") for layer in below)
    experiment = dataclasses.replace(target, layers=(*below, *above))
    free = with_trainable(experiment, rows, True)
    experiment = with_trainable(experiment, rows, not freeze)
    stack = experiment.stack()
    start = stack.initial_weights(experiment.seed)
    kept = sum(placed.index < rows for placed, _ in stack.weights())
    with np.errstate(over="ignore"):
        taken = [np.asarray(array, dtype=np.float64) for array in saved.weights[:kept]]
    return Reused(experiment, [*taken, *start[kept:]], free, rows)

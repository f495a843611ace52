"""From layers in the order of a source to an experiment: repeated blocks, data that fit, everything checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from gradsim import data as datasets
from gradsim.exchange.results import Imported, ImportFault, Notes, Place, Spot
from gradsim.i18n import tr
from gradsim.model import Experiment
from gradsim.nn.spec import MISSING, REGISTRIES, Fault, Spec, faults_of, fields_of

Loop = tuple[tuple[int, int], ...]
Json = dict[str, Any]


@dataclasses.dataclass(eq=False)
class Entry:
    """One layer of a source.

    Attributes:
        content: The layer as a file would hold it.
        loop: The loops around the place where it was made.
    """

    content: Json
    place: Place
    loop: Loop = ()


class Faults:
    """Collects what keeps a source from being read."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, place: Place, message: str, received: object = MISSING) -> None:
        """Keeps one more."""
        fault = Fault(Spot(place, tr("the source")), message, received)
        # A loop makes the same mistake in every round.
        if str(fault) not in map(str, self.found):
            self.found.append(fault)

    def check(self) -> None:
        """Raises ImportFault if there are any."""
        if self.found:
            raise ImportFault(self.found)

    def checked(self, kind: str, content: Json | str, place: Place) -> bool:
        """Whether a spec can be made of the content; keeps every fault of it."""
        return self.made(kind, content, place) is not None

    def made(self, kind: str, content: Json | str, place: Place) -> Spec | None:
        """The spec, or None and every fault kept."""
        try:
            spec: Spec = REGISTRIES[kind].validate(content)
        except ValidationError as error:
            name = content if isinstance(content, str) else str(content.get("type", ""))
            for fault in faults_of(error):
                message = (
                    tr("{place} {message}", place=fault.path, message=fault.message) if fault.path else fault.message
                )
                self.add(place, tr("{place}: {message}", place=name, message=message), fault.received)
            return None
        except PydanticCustomError as error:
            self.add(place, error.message())
            return None
        return spec


def folded(entries: Sequence[Entry], outer: Loop = ()) -> list[Json]:
    """The layers, where every loop whose rounds made the same has become one Repeat group.

    Args:
        outer: The loops around all of them, which repeat something else.
    """
    depth = len(outer) if all(entry.loop[: len(outer)] == outer for entry in entries) else 0
    return _folded(entries, depth)


def _folded(entries: Sequence[Entry], depth: int) -> list[Json]:
    found: list[Json] = []
    start = 0
    while start < len(entries):
        loop = entries[start].loop
        if len(loop) <= depth:
            found.append(entries[start].content)
            start += 1
            continue
        stop = start
        rounds: list[list[Entry]] = []
        numbers: list[int] = []
        while stop < len(entries) and len(entries[stop].loop) > depth:
            number, round_ = entries[stop].loop[depth]
            if number != loop[depth][0]:
                break
            if not numbers or numbers[-1] != round_:
                numbers.append(round_)
                rounds.append([])
            rounds[-1].append(entries[stop])
            stop += 1
        blocks = [_folded(block, depth + 1) for block in rounds]
        if all(block == blocks[0] for block in blocks) and len(set(numbers)) == len(numbers) <= 2000:
            found.append({"type": "Repeat", "count": len(blocks), "layers": blocks[0]})
        else:
            found += [layer for block in blocks for layer in block]
        start = stop
    return found


# Input shape, whether classes are told apart, and outputs (None: any) of data that come with the program.
_KNOWN: tuple[tuple[tuple[int, ...], str, int | None], ...] = (
    ((28, 28), "fashion_mnist", None),
    ((784,), "fashion_mnist", None),
    ((28, 28, 1), "fashion_mnist", None),
    ((8, 8), "digits", None),
    ((64,), "digits", None),
    ((4,), "iris", 3),
    ((13,), "wine", 3),
    ((30,), "breast_cancer", None),
    ((2,), "moons", 1),
    ((2,), "spiral", None),
    ((1,), "regression_1d", None),
)


def last_units(layers: Sequence[Mapping[str, Any]]) -> int | None:
    """Outputs of a stack, or None if they can't be told from its last Dense layer."""
    for layer in reversed(layers):
        if layer.get("type") == "Dense":
            units = layer.get("units")
            return units if isinstance(units, int) else None
        if layer.get("layers"):
            return last_units(layer["layers"])
    return None


def guessed_data(shape: tuple[int, ...] | None, outputs: int | None) -> str | Json | None:
    """Bundled data for an input shape and a number of outputs, or None."""
    if shape is None:
        return None
    for known, name, wanted in _KNOWN:
        if shape == known and wanted in (None, outputs):
            if name in ("spiral", "fashion_mnist") and outputs is not None and 2 < outputs < 10:
                return {"type": name, "classes": outputs}
            return name
    return None


@dataclasses.dataclass
class Draft:
    """What a source says of an experiment; None where it says nothing."""

    layers: list[Json] | None = None
    input_shape: tuple[int, ...] | None = None
    data: Any = None
    data_place: Place = dataclasses.field(default_factory=Place)
    loss: Json | str | None = None
    optimizer: Json | None = None
    batch_size: int | str | None = None
    seed: int | None = None
    dtype: str | None = None
    shuffle: bool | None = None
    name: str = ""
    description: str = ""
    epochs: int | None = None


FULL_BATCH = "all"


def assembled(draft: Draft, base: Experiment | None, notes: Notes, faults: Faults) -> Imported:
    """The experiment of a draft; what it does not say is taken from ``base``.

    Raises:
        ImportFault: with everything that keeps it from being one.
    """
    faults.check()
    fields: Json = {}
    if base is not None:
        fields = {view.name: getattr(base, view.name) for view in fields_of(type(base)) if not view.hidden}
    if draft.layers is None:
        notes.add(
            Place(),
            tr("no layers are made here; those of the experiment stay")
            if base is not None
            else tr("no layers are made here"),
        )
    else:
        fields["layers"] = draft.layers
        _choose_data(draft, fields, notes)
    for name in ("loss", "optimizer", "seed", "dtype", "shuffle"):
        if getattr(draft, name) is not None:
            fields[name] = getattr(draft, name)
    if draft.batch_size is not None:
        fields["batch_size"] = None if draft.batch_size == FULL_BATCH else draft.batch_size
    for name in ("name", "description"):
        if getattr(draft, name):
            fields[name] = getattr(draft, name)
    try:
        experiment = Experiment(**fields)
    except ValidationError as error:
        raise ImportFault(faults_of(error)) from None
    except PydanticCustomError as error:
        raise ImportFault([Fault("", error.message(), MISSING)]) from None
    return Imported(experiment, notes.sorted(), draft.epochs)


def _choose_data(draft: Draft, fields: Json, notes: Notes) -> None:
    layers = draft.layers or []
    shape = draft.input_shape
    if draft.data is not None:
        fields["data"] = draft.data
    elif "data" not in fields or (shape is not None and not _takes(fields["data"], shape)):
        guess = guessed_data(shape, last_units(layers))
        if guess is not None:
            fields["data"] = guess
            notes.add(
                draft.data_place,
                tr("data are not imported; {data} has this input shape and is used", data=_name(guess)),
            )
        else:
            notes.add(draft.data_place, _no_data(shape, kept="data" in fields))
    pictures = _name(fields.get("data", "fashion_mnist")) in ("fashion_mnist", "digits")
    flat = bool(layers) and layers[0].get("type") != "Flatten" and shape is not None and len(shape) == 1
    if pictures and flat and shape is not None and shape[0] in (784, 64) and draft.data is None:
        layers.insert(0, {"type": "Flatten"})
        notes.add(
            draft.data_place,
            tr("the pictures are not flat as {n} inputs are; Flatten was put first", n=math.prod(shape)),
        )


def _no_data(shape: tuple[int, ...] | None, *, kept: bool) -> str:
    """What to say where no bundled data fit; ``kept`` tells that there are others already."""
    if not shape:
        if kept:
            return tr(
                "data are not imported, and no bundled ones are meant for inputs of unknown shape; the experiment's "
                "data stay"
            )
        return tr(
            "data are not imported, and no bundled ones are meant for inputs of unknown shape; fashion_mnist is used"
        )
    sizes = " x ".join(map(str, shape))
    if kept:
        return tr(
            "data are not imported, and no bundled ones are meant for inputs of shape {shape}; the experiment's data "
            "stay",
            shape=sizes,
        )
    return tr(
        "data are not imported, and no bundled ones are meant for inputs of shape {shape}; fashion_mnist is used",
        shape=sizes,
    )


def _name(data: Any) -> Any:
    """The identifier of data in any form."""
    return data.get("type") if isinstance(data, dict) else getattr(data, "identifier", data)


def _takes(source: datasets.Source, shape: tuple[int, ...]) -> bool:
    """Whether data have rows of this shape."""
    try:
        return datasets.input_shape(source) == shape
    except datasets.DataError:
        return False

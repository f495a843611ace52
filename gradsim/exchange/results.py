"""What an import gives: the experiment, and line by line what became something else."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gradsim.i18n import tr
from gradsim.model import Experiment
from gradsim.model.faults import FaultsError

Array = np.ndarray[Any, np.dtype[Any]]


class ImportFault(FaultsError):
    """Something that can't be read; ``faults`` names every place, with what is allowed there."""


class Place(NamedTuple):
    """Where something stands in a text; all numbers count from 1, and 0 is no such thing."""

    line: int = 0
    column: int = 0
    cell: int = 0

    def __str__(self) -> str:
        words = []
        if self.cell:
            words.append(tr("cell {n}", n=self.cell))
        if self.line:
            words.append(tr("line {n}", n=self.line))
        if self.column:
            words.append(tr("column {n}", n=self.column))
        return tr(", ").join(words)


class Spot(str):
    """A place in words, as the path of a fault, that still knows its numbers."""

    place: Place

    def __new__(cls, place: Place, otherwise: str = "") -> Spot:
        made = super().__new__(cls, str(place) or otherwise)
        made.place = place
        return made


@dataclasses.dataclass(frozen=True)
class Note:
    """One thing that is not taken over as it stands.

    Attributes:
        place: Where it stands.
        message: What it is, and what was done instead.
    """

    place: Place
    message: str

    def __str__(self) -> str:
        where = str(self.place)
        return tr("{place}: {message}", place=where, message=self.message) if where else self.message


@dataclasses.dataclass(frozen=True)
class Imported:
    """What was read.

    Attributes:
        notes: Everything that is not taken over as it stands, in the order of the source.
        epochs: Epochs that the source trains for, if it says so; an experiment has none.
        weights: Arrays in Keras' ``get_weights()`` order of the experiment's stack, or None.
    """

    experiment: Experiment
    notes: tuple[Note, ...] = ()
    epochs: int | None = None
    weights: Sequence[Array] | None = None


class Notes:
    """Collects notes; the same words about the same place are kept once."""

    def __init__(self) -> None:
        self._found: dict[Note, None] = {}

    def add(self, place: Place, message: str) -> None:
        """Keeps one more."""
        self._found.setdefault(Note(place, message))

    def sorted(self) -> tuple[Note, ...]:
        """All of them in the order of the source, those without a place first."""
        return tuple(sorted(self._found, key=lambda note: (note.place.cell, note.place.line, note.place.column)))

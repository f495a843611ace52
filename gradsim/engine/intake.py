"""The recorder's work on its rows, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradsim.engine.layout import Summarise, Take
from gradsim.engine.operations import function
from gradsim.telemetry.blocks import Blocks
from gradsim.telemetry.intake import Intake, Places

Floats = NDArray[np.float64]


class CompiledIntake(Intake):
    """The same numbers in the same order as with NumPy, in one pass over the rows. For one recorder."""

    def __init__(self) -> None:
        self._take = function("intake.take")
        self._summarise = function("intake.summarise")
        self._room = np.empty(0)

    def take(self, rows: Floats, ring: Floats, places: Places) -> bool:
        rows = np.ascontiguousarray(rows)
        if not _dense(ring):
            return super().take(rows, ring, places)
        a = sink(rows, ring, places)
        self._take(_address(a), None, None, None, None)
        return bool(a[Take.COUNTED])

    def summarise(self, values: Floats, into: Blocks) -> None:
        columns, blocks, rows, layers = values.shape
        halves = rows > 1 and rows & (rows - 1) == 0
        if not halves or not _dense(values) or not _dense(into.mean) or not blocks:
            # The rest of a block that a rewind has cut.
            super().summarise(values, into)
            return
        if len(self._room) < 2 * rows * layers:
            self._room = np.empty(2 * rows * layers)
        averaged = len(into.mean)
        a = np.zeros(Summarise.SIZE, np.int64)
        a[Summarise.VALUES], a[Summarise.STRIDE] = _address(values), values.strides[0]
        a[Summarise.BLOCKS], a[Summarise.ROWS], a[Summarise.LAYERS] = blocks, rows, layers
        a[Summarise.AVERAGED], a[Summarise.COUNTED] = averaged, columns - averaged
        a[Summarise.ROOM] = _address(self._room)
        a[Summarise.MINIMUM], a[Summarise.MAXIMUM] = _address(into.minimum), _address(into.maximum)
        a[Summarise.MEAN], a[Summarise.FINITE] = _address(into.mean), _address(into.finite)
        a[Summarise.COUNTS], a[Summarise.EACH] = _address(into.counts), into.mean.strides[0] // into.mean.itemsize
        self._summarise(_address(a), None, None, None, None)


def sink(rows: Floats, ring: Floats, places: Places) -> NDArray[np.int64]:
    """Arguments of the operation "intake.take", which does what :meth:`Intake.take` does with the same.

    Args:
        rows: In one piece; all of them are taken, unless somebody else says how many.
        ring: All but its first axis in one piece.
        places: Which go where.
    """
    a = np.zeros(Take.SIZE, np.int64)
    a[Take.ROWS] = _address(rows)
    a[Take.N], a[Take.LAYERS], a[Take.COLUMNS] = rows.shape
    a[Take.MEASURED], a[Take.COUNTS] = places.measured, places.counts
    a[Take.CLIPPED], a[Take.UNCLIPPED] = places.clipped, places.unclipped
    a[Take.RING], a[Take.STRIDE] = _address(ring), ring.strides[0]
    return a


def _dense(array: Floats) -> bool:
    """Whether all but the first axis lie in one piece."""
    return len(array) == 0 or array[0].flags.c_contiguous


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address

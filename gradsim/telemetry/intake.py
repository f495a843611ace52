"""How rows get into the recorder's ring and how blocks of them are summarised: what recording costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradsim.telemetry.blocks import Blocks

Floats = NDArray[np.float64]


class Places(NamedTuple):
    """Where the columns of a row lie in the ring."""

    measured: int
    """So many columns come first, in both."""
    counts: int
    """Column of the ring where the rest of the row, counts, begins."""
    clipped: int
    """Column of the norm after clipping."""
    unclipped: int
    """Column that stands for it where there is no clipping."""


class Intake:
    """With NumPy. :class:`gradsim.engine.intake.CompiledIntake` does the same in one pass."""

    def take(self, rows: Floats, ring: Floats, places: Places) -> bool:
        """Puts rows into the ring.

        Args:
            rows: Shape ``(n, layers, columns)``.
            ring: Shape ``(columns, n, layers)``, the ring's columns; changed.
            places: Which go where.

        Returns:
            Whether anything was counted.
        """
        measured = places.measured
        ring[:measured] = rows[:, :, :measured].transpose(2, 0, 1)
        counts = ring[places.counts : places.counts + rows.shape[2] - measured]
        counts[...] = rows[:, :, measured:].transpose(2, 0, 1)
        # A layer without such an array may say NaN; a count is a number.
        np.copyto(counts, 0.0, where=~(counts > 0))
        clipped = ring[places.clipped]
        np.copyto(clipped, ring[places.unclipped], where=np.isnan(clipped))
        return bool(counts.any())

    def summarise(self, values: Floats, into: Blocks) -> None:
        """Fills in blocks of equally many rows, all but where they begin.

        Args:
            values: Shape ``(columns, blocks, rows, layers)``, the averaged columns first.
            into: As many blocks; changed.
        """
        averaged = len(into.mean)
        measured, counted = values[:averaged], values[averaged:]
        usable = np.isfinite(measured)
        finite = usable.sum(axis=2, dtype=np.uint32)
        minimum = _over_rows(np.fmin, measured)
        maximum = _over_rows(np.fmax, measured)
        total = _over_rows(np.add, np.where(usable, measured, 0.0))
        mean = total / np.where(finite > 0, finite, np.nan)
        # A sum of values near 1.8e308 overflows where their mean does not, and rounding may step over the
        # ends.
        into.mean[...] = np.where(finite > 0, np.minimum(np.maximum(mean, minimum), maximum), np.nan)
        into.minimum[...], into.maximum[...], into.finite[...] = minimum, maximum, finite
        into.counts[...] = _over_rows(np.add, counted)


def _over_rows(operation: np.ufunc, values: Floats) -> Floats:
    """Reduce the axis of the rows. Halving it keeps the inner loops long where there are few layers."""
    while values.shape[2] > 1 and values.shape[2] % 2 == 0:
        half = values.shape[2] // 2
        values = operation(values[:, :, :half], values[:, :, half:])
    reduced: Floats = operation.reduce(values, axis=2)
    return reduced

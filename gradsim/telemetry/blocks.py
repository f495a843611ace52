"""Statistics of blocks of consecutive rows: how the past is kept small without losing a spike.

Arrays are laid out (column, row or block, layer), so that reading one quantity over many steps is one
contiguous slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Blocks:
    """``n`` blocks in order of time; P averaged columns, Q counted ones, W layers (1 for values of a
    step)."""

    start: NDArray[np.int64]
    """(n,) first row of each block."""
    rows: NDArray[np.int64]
    """(n,) number of rows from the first to the last; a rewind may have taken some between them."""
    minimum: Floats
    """(P, n, W), NaN where no row has a value. The maximum and the minimum keep an infinite value."""
    maximum: Floats
    mean: Floats
    """(P, n, W) of the finite values, NaN where there is none."""
    finite: NDArray[np.uint32]
    """(P, n, W) how many rows had a finite value."""
    counts: Floats
    """(Q, n, W) sums."""

    @classmethod
    def empty(cls, n: int, averaged: int, counted: int, width: int) -> Blocks:
        shape = (averaged, n, width)
        return cls(
            np.empty(n, np.int64),
            np.empty(n, np.int64),
            np.empty(shape),
            np.empty(shape),
            np.empty(shape),
            np.empty(shape, np.uint32),
            np.empty((counted, n, width)),
        )

    @staticmethod
    def bytes_each(averaged: int, counted: int, width: int) -> int:
        """Memory of one block."""
        return 16 + width * (averaged * (3 * 8 + 4) + counted * 8)

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, which: slice) -> Blocks:
        return Blocks(
            self.start[which],
            self.rows[which],
            self.minimum[:, which],
            self.maximum[:, which],
            self.mean[:, which],
            self.finite[:, which],
            self.counts[:, which],
        )

    def put(self, at: int, blocks: Blocks) -> None:
        """Copy ``blocks`` into place from index ``at`` on."""
        where = slice(at, at + len(blocks))
        self.start[where] = blocks.start
        self.rows[where] = blocks.rows
        self.minimum[:, where] = blocks.minimum
        self.maximum[:, where] = blocks.maximum
        self.mean[:, where] = blocks.mean
        self.finite[:, where] = blocks.finite
        self.counts[:, where] = blocks.counts

    def copy(self) -> Blocks:
        return Blocks(
            self.start.copy(),
            self.rows.copy(),
            self.minimum.copy(),
            self.maximum.copy(),
            self.mean.copy(),
            self.finite.copy(),
            self.counts.copy(),
        )

    def merged(self, later: Blocks) -> Blocks:
        """Each block joined with the one of the same index that follows it in time."""
        finite = self.finite + later.finite
        with np.errstate(all="ignore"):
            share = later.finite / np.where(finite > 0, finite, np.nan)
            mean = (1 - share) * self.mean + share * later.mean
        mean = np.where(self.finite == 0, later.mean, np.where(later.finite == 0, self.mean, mean))
        return Blocks(
            self.start.copy(),
            later.start + later.rows - self.start,
            np.fmin(self.minimum, later.minimum),
            np.fmax(self.maximum, later.maximum),
            mean,
            finite,
            self.counts + later.counts,
        )

    def pairs(self) -> Blocks:
        """Every two neighbours merged; an even number of blocks."""
        return self[0::2].merged(self[1::2])


def concatenate(parts: list[Blocks]) -> Blocks:
    """One run of blocks from several, in the order given."""
    return Blocks(
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.minimum for part in parts], axis=1),
        np.concatenate([part.maximum for part in parts], axis=1),
        np.concatenate([part.mean for part in parts], axis=1),
        np.concatenate([part.finite for part in parts], axis=1),
        np.concatenate([part.counts for part in parts], axis=1),
    )

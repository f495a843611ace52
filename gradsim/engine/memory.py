"""One block of memory for everything that a step touches."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Region:
    """A piece of the block: its offset in bytes and the shape of the array that lies there."""

    offset: int
    shape: tuple[int, ...]


class Arena:
    """Reserves regions first and allocates them all at once.

    Args:
        dtype: Number format of every region.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self._size = 0
        self._block: Array | None = None
        self._base = 0

    def reserve(self, *shape: int) -> Region:
        """A region for an array of this shape, aligned to a cache line."""
        region = Region(self._size, shape)
        size = math.prod(shape) * self.dtype.itemsize
        self._size += -(-size // ALIGNMENT) * ALIGNMENT
        return region

    def allocate(self) -> None:
        """Makes the block, all zero."""
        self._block = np.zeros(self._size + ALIGNMENT, np.uint8)
        self._base = -self._block.ctypes.data % ALIGNMENT

    @property
    def nbytes(self) -> int:
        """Size of the block."""
        return self._size

    def array(self, region: Region) -> Array:
        """The array of a region: a view, not a copy."""
        assert self._block is not None
        start = self._base + region.offset
        size = math.prod(region.shape) * self.dtype.itemsize
        return self._block[start : start + size].view(self.dtype).reshape(region.shape)

    def address(self, region: Region) -> int:
        """Where a region lies."""
        assert self._block is not None
        return int(self._block.ctypes.data) + self._base + region.offset

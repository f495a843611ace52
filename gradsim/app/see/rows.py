"""Where each row of the stack lies vertically: made by the column of cards, followed by every view with rows.

A row is a layer of the expanded stack. Cards, heatmap and profile show the same contents, scrolled together, so the
positions are pixels from the top of those contents, not of a viewport.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal


@dataclass(frozen=True, slots=True)
class Band:
    """Consecutive rows that share a card: one row, or those of a folded group as equally thin stripes.

    Attributes:
        first_row: The first row in it.
        last_row: The last one, included.
        top: Pixels from the top of the contents.
        height: Pixels for all of its rows together.
    """

    first_row: int
    last_row: int
    top: float
    height: float

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return self.last_row - self.first_row + 1

    @property
    def bottom(self) -> float:
        """Where it ends, in pixels from the top of the contents."""
        return self.top + self.height


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The bands of all rows that are shown.

    Attributes:
        bands: In any order; rows without a band are not shown.
        height: Of the contents, in pixels.
        upwards: Whether later rows of a band lie above earlier ones: the stack stands with its input at the bottom.

    Raises:
        ValueError: for a band without rows or height, or a row that lies in two bands.
    """

    bands: tuple[Band, ...] = ()
    height: float = 0.0
    upwards: bool = False
    _tops: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _by_top: tuple[Band, ...] = field(init=False, repr=False, compare=False)
    _by_row: tuple[Band, ...] = field(init=False, repr=False, compare=False)
    _first_rows: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _joined: tuple[Band, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_row = sorted(self.bands, key=lambda band: band.first_row)
        last = -1
        for band in by_row:
            if band.last_row < band.first_row or band.height <= 0:
                raise ValueError(f"bands: allowed are one or more rows and a height above 0; received {band}")
            if band.first_row <= last:
                raise ValueError(f"bands: allowed is each row once; received row {band.first_row} twice")
            last = band.last_row
        by_top = sorted(self.bands, key=lambda band: band.top)
        object.__setattr__(self, "_by_top", tuple(by_top))
        object.__setattr__(self, "_tops", tuple(band.top for band in by_top))
        object.__setattr__(self, "_by_row", tuple(by_row))
        object.__setattr__(self, "_first_rows", tuple(band.first_row for band in by_row))
        object.__setattr__(self, "_joined", tuple(self._join(by_row)))

    def _join(self, bands: list[Band]) -> list[Band]:
        joined: list[Band] = []
        for band in bands:
            last = joined[-1] if joined else None
            if (
                last is not None
                and last.last_row + 1 == band.first_row
                and abs(last.height / last.rows - band.height / band.rows) < 1e-6
                and abs((band.bottom - last.top) if self.upwards else (last.bottom - band.top)) < 1e-6
            ):
                top = band.top if self.upwards else last.top
                joined[-1] = Band(last.first_row, band.last_row, top, last.height + band.height)
            else:
                joined.append(band)
        return joined

    @classmethod
    def even(cls, rows: int, height: float, *, upwards: bool = False, gap: float = 0.0) -> RowLayout:
        """``rows`` rows of equal height, one band each, over ``height`` pixels with ``gap`` pixels between them."""
        if rows < 1:
            return cls((), height, upwards)
        each = height / rows
        gap = min(gap, each / 2)
        places = range(rows - 1, -1, -1) if upwards else range(rows)
        bands = (Band(row, row, place * each, each - gap) for row, place in zip(range(rows), places, strict=True))
        return cls(tuple(bands), height, upwards)

    def span(self, row: int) -> tuple[float, float] | None:
        """Top and height of a row, in pixels; None for a row that is not shown."""
        index = bisect.bisect_right(self._first_rows, row) - 1
        if index < 0 or row > self._by_row[index].last_row:
            return None
        band = self._by_row[index]
        each = band.height / band.rows
        place = band.last_row - row if self.upwards else row - band.first_row
        return band.top + place * each, each

    def centre(self, row: int) -> float | None:
        """The middle of a row, or None."""
        span = self.span(row)
        return None if span is None else span[0] + span[1] / 2

    def centres(self, rows: int) -> NDArray[np.float64]:
        """The middles of the rows 0 .. ``rows`` - 1, NaN where a row is not shown."""
        result = np.full(rows, np.nan)
        for band in self.bands:
            each = band.height / band.rows
            places = np.arange(band.rows)[:: -1 if self.upwards else 1]
            last = min(band.last_row + 1, rows)
            result[band.first_row : last] = (band.top + (places + 0.5) * each)[: max(0, last - band.first_row)]
        return result

    def row_at(self, y: float) -> int | None:
        """The row at ``y`` pixels from the top of the contents; None between bands and beyond them."""
        band = self.band_at(y)
        if band is None:
            return None
        place = min(int((y - band.top) / band.height * band.rows), band.rows - 1)
        return band.last_row - place if self.upwards else band.first_row + place

    def band_at(self, y: float) -> Band | None:
        """The band at ``y``, or None."""
        index = bisect.bisect_right(self._tops, y) - 1
        if index < 0 or y >= self._by_top[index].bottom:
            return None
        return self._by_top[index]

    def between(self, top: float, bottom: float) -> Iterable[Band]:
        """The bands that reach into these pixels, from above."""
        return [band for band in self._by_top if band.top < bottom and band.bottom > top]

    def joined_between(self, top: float, bottom: float) -> Iterable[Band]:
        """The same, with those joined that follow each other without a gap in rows of equal height: for painting."""
        return [band for band in self._joined if band.top < bottom and band.bottom > top]


class RowSpace(QObject):
    """The layout of the rows and how far it is scrolled: one for the cards and all views beside them."""

    layout_changed = Signal(object)
    scroll_changed = Signal(float)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layout: RowLayout | None = None
        self._even = False
        self._scroll = 0.0

    @property
    def layout(self) -> RowLayout | None:
        """Where the rows lie; None: every view gives them its own height, evenly."""
        return None if self._even else self._layout

    def set_layout(self, layout: RowLayout | None) -> None:
        """The cards have moved."""
        if layout != self._layout:
            self._layout = layout
            if not self._even:
                self.layout_changed.emit(layout)

    def set_even(self, on: bool) -> None:
        """While there are no cards to stand beside, all rows share a view's height, in the cards' direction."""
        if on != self._even:
            self._even = on
            self.layout_changed.emit(self.layout)

    @property
    def upwards(self) -> bool:
        """Whether the stack stands with its input at the bottom."""
        return self._layout is not None and self._layout.upwards

    @property
    def scroll(self) -> float:
        """Pixels of the contents above the top of the viewports."""
        return self._scroll

    def set_scroll(self, pixels: float) -> None:
        """Scrolls all of them; whoever owns the scroll bar keeps it within its ends."""
        if pixels != self._scroll:
            self._scroll = pixels
            self.scroll_changed.emit(pixels)

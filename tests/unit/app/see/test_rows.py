"""Where the rows of the stack lie."""

from __future__ import annotations

import numpy as np
import pytest

from gradsim.app.see.rows import Band, RowLayout, RowSpace


def test_that_even_rows_fill_the_height_without_a_gap() -> None:
    layout = RowLayout.even(4, 200.0)
    assert [layout.span(row) for row in range(4)] == [(0.0, 50.0), (50.0, 50.0), (100.0, 50.0), (150.0, 50.0)]


def test_that_the_rows_of_a_folded_group_share_its_band_equally() -> None:
    layout = RowLayout((Band(0, 0, 0, 30), Band(1, 50, 40, 100), Band(51, 51, 150, 30)), 180)
    assert layout.span(1) == (40.0, 2.0)
    assert layout.span(50) == (138.0, 2.0)
    assert layout.centre(51) == 165.0


@pytest.mark.parametrize("upwards", [False, True])
def test_that_the_row_at_the_middle_of_a_row_is_that_row(upwards: bool) -> None:
    layout = RowLayout((Band(0, 9, 10, 50), Band(10, 10, 70, 20)), 90, upwards)
    centres = layout.centres(11)
    assert [layout.row_at(float(y)) for y in centres] == list(range(11))


def test_that_between_bands_there_is_no_row() -> None:
    layout = RowLayout((Band(0, 0, 0, 30), Band(1, 1, 40, 30)), 70)
    assert layout.row_at(35) is None
    assert layout.row_at(-1) is None
    assert layout.row_at(70) is None


def test_that_a_row_without_a_band_has_no_place() -> None:
    layout = RowLayout((Band(0, 0, 0, 30), Band(2, 2, 30, 30)), 60)
    assert layout.span(1) is None
    assert np.isnan(layout.centres(3)[1])


def test_that_a_row_in_two_bands_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 twice"):
        RowLayout((Band(0, 1, 0, 30), Band(1, 2, 30, 30)), 60)


@pytest.mark.parametrize("upwards", [False, True])
def test_that_bands_without_a_gap_are_painted_as_one(upwards: bool) -> None:
    layout = RowLayout.even(100, 500.0, upwards=upwards)
    assert list(layout.joined_between(0, 500)) == [Band(0, 99, 0.0, 500.0)]


def test_that_bands_with_a_gap_or_other_heights_stay_apart() -> None:
    layout = RowLayout((Band(0, 0, 0, 30), Band(1, 1, 34, 30), Band(2, 2, 64, 20)), 84)
    assert len(list(layout.joined_between(0, 84))) == 3


def test_that_scrolling_is_told_once(qapp: object) -> None:
    space, heard = RowSpace(), []
    space.scroll_changed.connect(heard.append)
    space.set_scroll(12.0)
    space.set_scroll(12.0)
    assert heard == [12.0]

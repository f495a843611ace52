"""Colours of the terminal are those of the window, and never the only sign."""

from __future__ import annotations

import math

from gradsim.cli import output
from gradsim.telemetry import MARKS, State, colour


def test_that_a_state_has_its_colour_and_its_mark() -> None:
    for state, mark in MARKS.items():
        text = output.state_text(state)
        if state is State.NONE:
            assert text.plain == ""
            continue
        assert text.plain == f" {mark.glyph} {state.value} "
        assert text.style.bgcolor.triplet == colour(mark.index)  # type: ignore[union-attr]


def test_that_vanishing_is_blue_and_exploding_red() -> None:
    red, _, blue = colour(MARKS[State.VANISHING].index)
    assert blue > red
    red, _, blue = colour(MARKS[State.EXPLODING].index)
    assert red > blue


def test_that_text_can_be_read_on_every_colour() -> None:
    for index in range(256):
        style = output.painted("x", index).style
        background = style.bgcolor.triplet  # type: ignore[union-attr]
        light = 0.2126 * background.red + 0.7152 * background.green + 0.0722 * background.blue
        assert (style.color.name == "black") == (light > 128)  # type: ignore[union-attr]


def test_that_numbers_are_short() -> None:
    assert output.number(1.23456e-7) == "1.23e-07"
    assert output.number(math.nan) == ""

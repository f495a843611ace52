"""Numbers as the pictures write them."""

from __future__ import annotations

import math

import pytest

from gradsim.app.see import words
from gradsim.telemetry.classes import State
from gradsim.telemetry.quantities import quantity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (math.nan, "NaN"), (math.inf, "∞"), (-math.inf, "−∞"), (0.6931, "0.69"), (-0.5, "−0.5"),
        (3.14e-9, "3.1e−9"), (1e-45, "1e−45"), (1e-6, "1e−6"), (2.6e13, "2.6e13"), (1234.0, "1234"),
        (99.9, "100"), (9.99, "10"), (0.001, "0.001"),
    ],
)  # fmt: skip
def test_that_a_value_takes_few_characters(value: float, text: str) -> None:
    assert words.number(value) == text


def test_that_steps_are_grouped_by_thousands() -> None:
    assert words.steps(1234567) == "1\u2009234\u2009567"


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (250, "250"), (9000, "9000"), (12_800, "12.8k"), (2e6, "2M")])
def test_that_an_axis_counts_steps_in_short(count: float, text: str) -> None:
    assert words.short_steps(count) == text


@pytest.mark.parametrize(
    ("value", "state", "text"),
    [
        (1e-9, State.VANISHING, "1e−9, vanishing"),
        (0.0, State.ZERO, "exactly 0"),
        (1e-40, State.SUBNORMAL, "1e−40, below float32's range"),
        (math.nan, State.NAN, "NaN"),
        (math.nan, State.NONE, "none"),
        (0.0, State.FROZEN, "frozen"),
    ],
)
def test_that_a_value_is_said_with_what_it_means(value: float, state: State, text: str) -> None:
    assert words.said(quantity("delta_rms"), value, state) == text


def test_that_a_share_is_not_judged() -> None:
    assert words.said(quantity("saturated"), 0.25, State.HEALTHY) == "0.25"

"""Rows of several stacks, level where they stand for the same layer."""

from __future__ import annotations

import pytest

from gradsim.app.compare.aligned import LOW, aligned
from gradsim.diagnose.twins import differences
from gradsim.model import Experiment
from gradsim.nn import layers
from gradsim.nn.layers import Dense


def stack(*hidden: layers.Layer) -> Experiment:
    return Experiment((*hidden, Dense(1, "sigmoid")), data="moons", loss="binary_crossentropy")


PLAIN = stack(layers.Repeat(3, (Dense(8, "tanh"),)))
NORMALISED = stack(layers.Repeat(3, (Dense(8, "tanh"), layers.BatchNormalization())))
SHORT = stack(Dense(8, "tanh"))


def lines_of(*experiments: Experiment) -> tuple[tuple[int, ...], ...]:
    first = experiments[0]
    found = [differences(first, other) for other in experiments[1:]]
    return aligned([len(one.stack().layers) for one in experiments], found).of


def test_that_equal_stacks_have_a_line_for_each_row() -> None:
    assert lines_of(PLAIN, PLAIN) == ((0, 1, 2, 3), (0, 1, 2, 3))


def test_that_added_layers_have_lines_of_their_own() -> None:
    assert lines_of(PLAIN, NORMALISED) == ((0, 2, 4, 6), (0, 1, 2, 3, 4, 5, 6))


def test_that_the_output_is_level_where_layers_are_missing() -> None:
    of = lines_of(PLAIN, SHORT)
    assert of[0] == (0, 1, 2, 3)
    assert of[1][-1] == of[0][-1]


def test_that_what_two_of_three_add_at_a_place_shares_its_lines() -> None:
    assert lines_of(PLAIN, NORMALISED, NORMALISED) == ((0, 2, 4, 6), tuple(range(7)), tuple(range(7)))


@pytest.mark.parametrize("upwards", [False, True])
def test_that_a_layer_has_the_same_height_in_all_pictures(upwards: bool) -> None:
    found = aligned([4, 7], [differences(PLAIN, NORMALISED)])
    first, second = found.layouts(300.0, upwards=upwards)
    for row, partner in ((0, 0), (1, 2), (2, 4), (3, 6)):
        assert first.span(row) == second.span(partner)
    whole, low = second.span(0), second.span(1)
    assert whole is not None and low is not None
    assert low[1] == pytest.approx(whole[1] * LOW)
    assert (whole[0] > low[0]) is upwards
    assert found.gaps(0) == (1, 3, 5)
    assert found.gaps(1) == ()

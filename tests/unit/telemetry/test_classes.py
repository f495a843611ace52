"""From a value to its colour class and its state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsim.telemetry import (
    MARKS,
    Quantity,
    Special,
    State,
    Thresholds,
    classify,
    definitions,
    quantity,
    state,
    states,
)
from gradsim.telemetry.classes import EXPLODING_FIRST, LEVELS, MIDDLE, VANISHING_LAST, value_at

GRADIENT = quantity("gradient_rms")
LOG = [d for d in definitions() if d.scale == "log" and d.colours == "diverging"]
JUDGED = [d for d in LOG if d.thresholds.vanishing is not None and d.thresholds.exploding is not None]


@pytest.mark.parametrize("definition", JUDGED, ids=lambda d: d.key)
def test_that_the_fixed_points_of_the_scale_have_their_colours(definition: Quantity) -> None:
    limits = definition.thresholds
    assert limits.vanishing is not None
    assert limits.exploding is not None
    up, down = 1 + 1e-12, 1 - 1e-12
    values = [limits.low / 1e3, limits.low, limits.vanishing * down, limits.vanishing, limits.neutral]
    values += [limits.exploding, limits.exploding * up, limits.high, limits.high * 1e3]
    assert classify(definition, values).tolist() == [
        *(0, 0, VANISHING_LAST, VANISHING_LAST + 1, MIDDLE),
        *(EXPLODING_FIRST - 1, EXPLODING_FIRST, LEVELS - 1, LEVELS - 1),
    ]


@pytest.mark.parametrize("definition", JUDGED, ids=lambda d: d.key)
@given(exponents=st.lists(st.floats(-37, 300), min_size=2, max_size=20))
def test_that_a_larger_value_never_gets_a_lower_index_and_the_state_follows_the_thresholds(
    definition: Quantity, exponents: list[float]
) -> None:
    values = 10.0 ** np.sort(np.array(exponents))
    classes = classify(definition, values)
    assert (np.diff(classes.astype(int)) >= 0).all()
    limits = definition.thresholds
    assert limits.vanishing is not None
    assert limits.exploding is not None
    wanted = np.where(
        values < limits.vanishing, "vanishing", np.where(values > limits.exploding, "exploding", "healthy")
    )
    assert states(definition, classes).tolist() == wanted.tolist()


def test_that_equal_factors_are_equal_steps_of_colour_on_each_side_of_a_threshold() -> None:
    values = 10.0 ** np.linspace(-6, -3, 76)
    assert np.abs(np.diff(classify(GRADIENT, values).astype(int)) - 74 / 75).max() <= 1


def test_that_what_is_no_point_of_the_scale_has_an_index_of_its_own() -> None:
    smallest = 1.1754944e-38
    values = [0.0, -0.0, 5e-324, smallest * 0.999, smallest * 1.001, np.inf, -np.inf, np.nan, -1e-3]
    assert classify(GRADIENT, values).tolist() == [
        *(Special.ZERO, Special.ZERO, Special.SUBNORMAL, Special.SUBNORMAL, 0),
        *(Special.INFINITE, Special.INFINITE, Special.NONE, MIDDLE),
    ]
    assert len({int(index) for index in Special}) == 256 - LEVELS
    assert min(Special) == LEVELS


def test_that_counts_win_over_the_statistics_of_the_finite_rest() -> None:
    values = np.array([[1e-3, 1e-3, 1e-3], [1e-3, np.nan, 1e-3]])
    nan = np.array([[False, True, False], [False, True, False]])
    inf = np.array([[False, True, True], [False, False, False]])
    found = classify(GRADIENT, values, nan=nan, inf=inf, recorded=np.array([[True], [False]]))
    assert found.tolist() == [[MIDDLE, Special.NAN, Special.INFINITE], [Special.EMPTY] * 3]
    assert classify(GRADIENT, [np.nan], nan=True).tolist() == [Special.NAN]


def test_that_only_what_is_about_learning_is_frozen() -> None:
    values, frozen = [np.nan, 0.0, 1e-3], [True, True, True]
    assert classify(GRADIENT, values, frozen=frozen).tolist() == [Special.FROZEN, Special.FROZEN, MIDDLE]
    assert classify(quantity("delta_rms"), values, frozen=frozen).tolist() == [Special.NONE, Special.ZERO, MIDDLE]
    assert classify(GRADIENT, values, nan=[True, False, False], frozen=True)[0] == Special.NAN


def test_that_zero_is_a_value_on_a_linear_scale() -> None:
    mean = quantity("activation_mean")
    assert classify(mean, [-9.0, -2.0, 0.0, 1.0, 2.0]).tolist() == [0, 0, MIDDLE, MIDDLE + 62, LEVELS - 1]
    assert set(states(mean, classify(mean, [-9.0, 9.0]))) == {State.HEALTHY}


def test_that_a_sequential_scale_grows_away_from_its_neutral_end() -> None:
    assert classify(quantity("dead"), [0.0, 0.5, 1.0]).tolist() == [0, 124, LEVELS - 1]
    assert classify(quantity("clip_cosine"), [1.0, 0.5, 0.0]).tolist() == [0, 124, LEVELS - 1]


def test_that_edited_thresholds_change_colour_and_state_together() -> None:
    edited = replace(GRADIENT.thresholds, vanishing=1e-4)
    assert state(GRADIENT, 1e-5) == State.HEALTHY
    assert state(GRADIENT, 1e-5, thresholds=edited) == State.VANISHING
    assert classify(GRADIENT, [9.9e-5], thresholds=edited)[0] == VANISHING_LAST
    assert "below 0.0001 = vanishing" in GRADIENT.sentence(edited)


@pytest.mark.parametrize(
    "values", [(1e-3, 1.0, 1e-6), (1.0, 1.0, 1.0), (np.nan, 1.0, 2.0), (0.0, 1.0, np.inf)], ids=str
)
def test_that_thresholds_out_of_order_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="thresholds: allowed are finite numbers"):
        Thresholds(*values)


def test_that_a_log_scale_needs_a_low_end_above_zero() -> None:
    with pytest.raises(ValueError, match="allowed on a log scale is low > 0; received low=0"):
        classify(GRADIENT, [1.0], thresholds=Thresholds(0.0, 1.0, 2.0))


@pytest.mark.parametrize(
    ("value", "marks", "name"),
    [
        (1e-9, {}, "vanishing"),
        (1e-3, {}, "healthy"),
        (10.0, {}, "exploding"),
        (0.0, {}, "zero"),
        (1e-40, {}, "subnormal"),
        (np.inf, {}, "Inf"),
        (1e-3, {"inf": True}, "Inf"),
        (1e-3, {"nan": True}, "NaN"),
        (np.nan, {}, "none"),
        (np.nan, {"frozen": True}, "frozen"),
    ],
)
def test_that_states_are_named_for_people(value: float, marks: dict[str, bool], name: str) -> None:
    assert state(GRADIENT, value, **marks) == name


def test_that_every_state_has_a_glyph_of_its_own_and_a_colour_that_stands_for_it() -> None:
    assert set(MARKS) == set(State)
    assert len({mark.glyph for mark in MARKS.values()}) == len(State)
    for name, mark in MARKS.items():
        assert states(GRADIENT, [mark.index]).tolist() == [name]


@pytest.mark.parametrize("definition", list(definitions()), ids=lambda d: d.key)
@pytest.mark.parametrize("index", [0, 20, 49, 50, 80, 124, 170, 198, 199, 230, 248])
def test_that_the_colour_bar_writes_the_value_that_has_the_colour(definition: Quantity, index: int) -> None:
    limits = definition.thresholds
    if definition.colours == "diverging" and limits.low == limits.neutral:
        pytest.skip("no lower side")
    found = int(classify(definition, [value_at(definition, index)])[0])
    assert abs(found - index) <= 1


def test_that_the_shape_of_the_values_is_kept() -> None:
    assert classify(GRADIENT, np.ones((0, 3))).shape == (0, 3)
    assert classify(GRADIENT, 1e-3).shape == ()
    assert classify(GRADIENT, np.ones((2, 3))).dtype == np.uint8

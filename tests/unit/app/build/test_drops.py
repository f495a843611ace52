"""Where a dragged layer would go."""

from __future__ import annotations

import pytest

from gradsim.app.build.arrangement import INPUT, LOSS, SIZES, Arrangement, arrange
from gradsim.app.build.drops import drop_place
from gradsim.model.experiment import Experiment
from gradsim.nn.layers import Dense, Repeat

EXPERIMENT = Experiment(
    [Dense(8, uid="a"), Repeat(3, (Dense(8, uid="b"), Dense(8, uid="c")), uid="group"), Repeat(2, (), uid="empty")],
    data="moons",
)


def arranged(upwards: bool, *unfolded: str) -> Arrangement:
    return arrange(
        EXPERIMENT, unfolded=unfolded, sizes=SIZES["comfortable"], density="comfortable", upwards=upwards,
        words=lambda uid: False,
    )  # fmt: skip


def place(arrangement: Arrangement, uid: str, share: float, kind: str = "") -> tuple[str, int]:
    item = next(one for one in arrangement.items if one.uid == uid and kind in ("", one.kind))
    found = drop_place(arrangement, EXPERIMENT, 0.0, item.top + share * item.height)
    return found.parent, found.index


def test_that_the_halves_of_a_card_mean_before_and_behind_it() -> None:
    assert place(arranged(False), "a", 0.2) == ("", 0)
    assert place(arranged(False), "a", 0.8) == ("", 1)
    assert place(arranged(True), "a", 0.2) == ("", 1)
    assert place(arranged(True), "a", 0.8) == ("", 0)


@pytest.mark.parametrize("upwards", [False, True])
def test_that_the_middle_of_a_folded_group_takes_a_layer_in(upwards: bool) -> None:
    found = arranged(upwards)
    assert place(found, "group", 0.5) == ("group", 2)
    assert {place(found, "group", 0.1), place(found, "group", 0.9)} == {("", 1), ("", 2)}


def test_that_an_open_group_is_entered_at_both_of_its_ends() -> None:
    down, up = arranged(False, "group"), arranged(True, "group")
    assert place(down, "group", 0.8, "header") == ("group", 0)
    assert place(up, "group", 0.8, "header") == ("group", 2)
    assert place(down, "group", 0.2, "foot") == ("group", 2)
    assert place(up, "group", 0.2, "foot") == ("group", 0)
    assert place(down, "group", 0.9, "foot") == ("", 2)
    assert place(up, "group", 0.9, "foot") == ("", 1)
    assert place(down, "group", 0.5, "rounds") == ("group", 2)
    assert place(up, "group", 0.5, "rounds") == ("group", 2)


def test_that_an_empty_group_takes_its_first_layer() -> None:
    assert place(arranged(False, "empty"), "empty", 0.5, "empty") == ("empty", 0)


def test_that_the_ends_of_the_column_are_the_ends_of_the_stack() -> None:
    for upwards in (False, True):
        found = arranged(upwards)
        assert place(found, INPUT, 0.5) == ("", 0)
        assert place(found, LOSS, 0.5) == ("", 3)
    below = drop_place(arranged(True), EXPERIMENT, 0.0, 10_000.0)
    assert (below.parent, below.index) == ("", 0)


def test_that_the_insertion_line_stands_between_the_cards() -> None:
    found = arranged(False)
    item = found.item("a")
    assert item is not None
    line = drop_place(found, EXPERIMENT, 20.0, item.bottom - 1).line
    assert line is not None
    assert item.bottom < line[1] < found.items[2].top

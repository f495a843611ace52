"""Where the cards lie, and which rows they stand for."""

from __future__ import annotations

import itertools

import pytest

from gradsim.app.build.arrangement import INPUT, LOSS, SIZES, Arrangement, arrange, describe, row_uids
from gradsim.model.experiment import Experiment
from gradsim.model.stack import expand
from gradsim.nn import layers
from gradsim.nn.layers import Dense, Dropout, Repeat, Residual


def grouped() -> Experiment:
    return Experiment(
        [
            Dense(8, "tanh", uid="first"),
            Repeat(3, (Dense(8, "tanh", uid="inner"), Dropout(0.1, uid="drop")), uid="repeat"),
            Residual((Dense(8, uid="block"),), uid="residual"),
            Dense(4, uid="off", enabled=False),
            Dense(1, "sigmoid", uid="output"),
        ],
        data="moons",
        loss="binary_crossentropy",
    )


def arranged(experiment: Experiment, *unfolded: str, upwards: bool = False, compact: bool = False) -> Arrangement:
    density = "compact" if compact else "comfortable"
    return arrange(
        experiment,
        unfolded=unfolded,
        sizes=SIZES[density],  # type: ignore[index]
        density=density,  # type: ignore[arg-type]
        upwards=upwards,
        words=lambda uid: False,
    )


@pytest.mark.parametrize("upwards", [False, True])
def test_that_the_column_reads_in_data_order_from_either_end(upwards: bool) -> None:
    found = [item.uid for item in arranged(grouped(), upwards=upwards).items]
    wanted = [INPUT, "first", "repeat", "residual", "off", "output", LOSS]
    assert found == (wanted[::-1] if upwards else wanted)


@pytest.mark.parametrize("upwards", [False, True])
@pytest.mark.parametrize("unfolded", [(), ("repeat",), ("repeat", "residual")])
def test_that_every_row_has_one_place_in_data_order(upwards: bool, unfolded: tuple[str, ...]) -> None:
    experiment = grouped()
    layout = arranged(experiment, *unfolded, upwards=upwards).layout
    rows = len(experiment.stack().layers)
    centres = [layout.centre(row) for row in range(rows)]
    assert None not in centres
    ordered = sorted(centres, reverse=upwards)  # type: ignore[type-var]
    assert centres == ordered
    assert layout.span(rows) is None
    assert layout.row_at(layout.span(2)[0] + 0.1) == 2  # type: ignore[index]


def test_that_a_folded_group_is_one_band_of_equal_rows() -> None:
    layout = arranged(grouped()).layout
    band = next(band for band in layout.bands if band.first_row == 1)
    assert (band.first_row, band.last_row) == (1, 6)


def test_that_an_open_group_shows_its_first_round_as_cards_and_the_others_as_rows() -> None:
    found = arranged(grouped(), "repeat")
    kinds = [(item.kind, item.uid, item.rows) for item in found.items]
    assert ("card", "inner", (1, 2)) in kinds
    assert ("rounds", "repeat", (3, 7)) in kinds
    assert found.row_uids == ("first", *("inner", "drop") * 3, "block", "output")


def test_that_a_disabled_layer_has_a_card_but_no_row() -> None:
    item = arranged(grouped()).item("off")
    assert item is not None
    assert item.rows[0] == item.rows[1]


def test_that_cards_never_overlap() -> None:
    for upwards, compact in itertools.product((False, True), repeat=2):
        found = arranged(grouped(), "repeat", "residual", upwards=upwards, compact=compact)
        for above, below in itertools.pairwise(found.items):
            assert below.top >= above.bottom
        assert found.items[-1].bottom <= found.height
        assert all(found.at(item.top + 1) is item for item in found.items)


def test_that_only_a_residual_block_has_a_skip() -> None:
    spines = arranged(grouped(), "repeat", "residual").spines
    assert {(spine.uid, spine.skip) for spine in spines} == {("repeat", False), ("residual", True)}


def test_that_22_layers_fit_a_small_window_when_compact() -> None:
    stack = [layers.Flatten(), *(Dense(100, "sigmoid") for _ in range(20)), Dense(10, "softmax")]
    assert arranged(Experiment(stack), compact=True).height <= 500


def test_that_row_uids_are_those_of_the_expanded_stack() -> None:
    experiment = grouped()
    assert list(row_uids(experiment.layers)) == [placed.layer.uid for placed in experiment.stack().layers]


def test_that_a_card_tells_what_the_expanded_stack_says() -> None:
    experiment = grouped()
    infos = describe(experiment)
    stack = experiment.stack()
    first = {}
    for placed in stack.layers:
        first.setdefault(placed.layer.uid, placed)
    for uid, placed in first.items():
        info = infos[uid]
        assert (info.name, info.before, info.after) == (placed.name, placed.input_shape, placed.output_shape)
    assert infos["repeat"].parameters == sum(p.parameters for p in stack.layers if p.layer.uid in ("inner", "drop"))
    assert infos["repeat"].before == (8,)
    assert infos["off"].enabled is False
    assert infos["off"].after == (8,)


def test_that_the_first_round_may_have_another_width_than_the_others() -> None:
    layer = Repeat(4, (Dense(8, uid="inner"),), uid="repeat")
    stack = expand((layer,), (2,))
    infos = describe(Experiment([layer], data="moons"))
    assert infos["repeat"].parameters == stack.parameters


def test_that_shapes_are_told_up_to_the_fault() -> None:
    experiment = Experiment(
        [Dense(4, uid="a"), Residual((Dense(3, uid="b"),), uid="r"), Dense(2, uid="c")], data="moons"
    )
    infos = describe(experiment)
    assert infos["a"].after == (4,)
    assert infos["b"].after == (3,)
    assert infos["r"].after is None
    assert infos["c"].parameters is None


def test_that_a_stack_too_large_to_train_still_has_cards() -> None:
    huge = Repeat(2000, (Repeat(2000, (Dense(2),)),))
    found = arranged(Experiment([huge], data="moons"))
    assert found.row_uids == ()
    assert len(found.items) == 3


def test_that_the_column_fills_its_window_with_the_rows_of_groups_first() -> None:
    experiment = Experiment([Dense(8), Repeat(20, (Dense(8),), uid="repeat"), Dense(2)], data="moons")
    plain = arranged(experiment, compact=True)
    sizes = plain.filling(420, 38)
    filled = arrange(
        experiment, unfolded=(), sizes=sizes, density="compact", upwards=False, words=lambda uid: False
    )  # fmt: skip
    assert 415 <= filled.height <= 420
    group = filled.item("repeat")
    assert group is not None
    assert group.height / 20 >= 12
    assert plain.crowded
    assert not filled.crowded


def test_that_a_column_too_high_for_its_window_stays_as_it_is() -> None:
    experiment = Experiment([Dense(8) for _ in range(100)], data="moons")
    plain = arranged(experiment, compact=True)
    assert plain.filling(300, 38).card == pytest.approx(plain.sizes.card, abs=0.1)

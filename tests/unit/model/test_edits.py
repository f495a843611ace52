"""Edits: what each does to the stack, what it says about it, and what it refuses."""

from __future__ import annotations

import json

import pytest

from gradsim.model import Experiment, edits
from gradsim.nn import layers, optimizers, schedules


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(
        layers=[
            layers.Flatten(),
            layers.Repeat(3, layers=[layers.Dense(8, activation="tanh"), layers.Dropout(0.1)]),
            layers.Residual(layers=[layers.Dense(8)]),
            layers.Dense(10, activation="softmax"),
        ],
        optimizer=optimizers.SGD(0.1, clipnorm=1.0),
    )


def kinds(experiment: Experiment) -> list[str]:
    return [f"{found.path} {found.layer.identifier}" for found in edits.places(experiment)]


def uid(experiment: Experiment, path: str) -> str:
    return next(found.layer.uid for found in edits.places(experiment) if found.path == path)


def test_that_every_layer_is_found_at_its_place(experiment: Experiment) -> None:
    assert kinds(experiment) == [
        "layers[0] Flatten",
        "layers[1] Repeat",
        "layers[1].layers[0] Dense",
        "layers[1].layers[1] Dropout",
        "layers[2] Residual",
        "layers[2].layers[0] Dense",
        "layers[3] Dense",
    ]


def test_that_a_field_of_a_layer_is_set_and_only_that_layer_has_changed(experiment: Experiment) -> None:
    inner = uid(experiment, "layers[1].layers[0]")
    edit = edits.set_field(experiment, inner, "units", 16)
    assert edits.place(edit.experiment, inner).layer.units == 16
    assert edit.change.uids == {inner}
    assert edit.change.facets == {"layers"}
    assert edit.change.effect == "structure"
    assert edit.name == "Change units"
    assert edits.place(experiment, inner).layer.units == 8


def test_that_a_field_further_in_is_set(experiment: Experiment) -> None:
    last = uid(experiment, "layers[3]")
    edit = edits.set_field(experiment, last, "activation", {"type": "elu", "alpha": 0.5})
    edit = edits.set_field(edit.experiment, last, "activation.alpha", 0.7)
    assert edits.place(edit.experiment, last).layer.activation.alpha == 0.7


def test_that_several_layers_are_set_in_one_step(experiment: Experiment) -> None:
    both = [uid(experiment, "layers[1].layers[0]"), uid(experiment, "layers[3]")]
    edit = edits.set_field(experiment, both, "kernel_initializer", "he_normal")
    assert edit.change.uids == set(both)


def test_that_a_wrong_value_is_refused_with_place_and_bounds(experiment: Experiment) -> None:
    with pytest.raises(edits.EditError, match=r"units: must be at least 1 \(received 0\)"):
        edits.set_field(experiment, uid(experiment, "layers[3]"), "units", 0)
    with pytest.raises(edits.EditError, match=r"optimizer\.learning_rate: must be a number from 0 to"):
        edits.set_field(experiment, "", "optimizer.learning_rate", -1)
    with pytest.raises(edits.EditError, match="at most one way of clipping"):
        edits.set_field(experiment, "", "optimizer.clipvalue", 1.0)


def test_that_an_unknown_field_is_refused_with_the_nearest(experiment: Experiment) -> None:
    with pytest.raises(edits.EditError, match="did you mean 'learning_rate'"):
        edits.set_field(experiment, "", "optimizer.learningrate", 1)
    with pytest.raises(edits.EditError, match="is not a field"):
        edits.set_field(experiment, uid(experiment, "layers[3]"), "uid", "x")
    with pytest.raises(edits.EditError, match="no such layer"):
        edits.set_field(experiment, "gone", "units", 3)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("optimizer.learning_rate", 0.2),
        ("optimizer.learning_rate", {"type": "WarmUp", "learning_rate": 0.1}),
        ("optimizer.clipnorm", 2.0),
        ("optimizer.clipnorm", None),
    ],
)
def test_that_live_fields_keep_the_weights(experiment: Experiment, path: str, value: object) -> None:
    change = edits.set_field(experiment, "", path, value).change
    assert change.effect == "live"


@pytest.mark.parametrize(
    ("path", "value"),
    [("optimizer", "Adam"), ("optimizer.momentum", 0.9), ("seed", 1), ("dtype", "float64"), ("batch_size", None),
     ("data", "digits"), ("loss", "mse"), ("shuffle", False)],
)  # fmt: skip
def test_that_all_other_fields_start_again(experiment: Experiment, path: str, value: object) -> None:
    change = edits.set_field(experiment, "", path, value).change
    assert change.effect == "structure"
    assert change.facets == {path.split(".")[0]}


def test_that_names_change_nothing_that_is_trained(experiment: Experiment) -> None:
    assert edits.set_field(experiment, "", "description", "new").change.effect == "text"
    assert edits.set_field(experiment, uid(experiment, "layers[3]"), "name", "out").change.effect == "text"
    both = edits.combine(
        [
            first := edits.set_field(experiment, "", "name", "new"),
            edits.set_field(first.experiment, "", "optimizer.learning_rate", 0.3),
        ],
        "Both",
    )
    assert both.change.effect == "live"
    assert both.change.facets == {"name", "optimizer"}


def test_that_an_edit_without_effect_says_so(experiment: Experiment) -> None:
    edit = edits.set_field(experiment, "", "optimizer.learning_rate", 0.1)
    assert not edit.change
    assert edit.experiment is experiment


def test_that_a_field_goes_back_to_its_default(experiment: Experiment) -> None:
    last = uid(experiment, "layers[3]")
    assert (
        edits.place(edits.reset_field(experiment, last, "activation").experiment, last).layer.activation.identifier
        == "linear"
    )
    with pytest.raises(edits.EditError, match="has no default"):
        edits.reset_field(experiment, last, "units")


def test_that_choosing_another_optimizer_keeps_clipping_but_not_the_rate(experiment: Experiment) -> None:
    optimizer = edits.choose(experiment, "", "optimizer", "Adam").experiment.optimizer
    assert optimizer == optimizers.Adam(clipnorm=1.0)
    schedule = edits.choose(experiment, "", "optimizer.learning_rate", "WarmUp").experiment.optimizer.learning_rate
    assert schedule == schedules.WarmUp()


def test_that_choosing_another_dataset_keeps_what_both_have() -> None:
    experiment = Experiment(data={"type": "moons", "noise": 0.3})
    assert edits.choose(experiment, "", "data", "circle").experiment.data.noise == 0.3


def test_that_layers_are_inserted_where_told(experiment: Experiment) -> None:
    edit = edits.insert(experiment, layers.Dropout(), uid(experiment, "layers[1]"), 1)
    assert kinds(edit.experiment)[2:5] == [
        "layers[1].layers[0] Dense",
        "layers[1].layers[1] Dropout",
        "layers[1].layers[2] Dropout",
    ]
    assert edit.name == "Add Dropout"
    assert edit.selection == (uid(edit.experiment, "layers[1].layers[1]"),)
    assert edit.change.uids >= set(edit.selection)
    with pytest.raises(edits.EditError, match="must be from 0 to 4"):
        edits.insert(experiment, layers.Dropout(), "", 5)
    with pytest.raises(edits.EditError, match="only a group"):
        edits.insert(experiment, layers.Dropout(), uid(experiment, "layers[0]"))


def test_that_an_inserted_copy_never_takes_the_identity_of_the_original(experiment: Experiment) -> None:
    original = experiment.layers[3]
    edit = edits.insert(experiment, original, "", 0)
    assert edit.experiment.layers[4] is original
    assert edit.experiment.layers[0].uid != original.uid


def test_that_a_group_is_removed_with_its_inside(experiment: Experiment) -> None:
    group, inner = uid(experiment, "layers[1]"), uid(experiment, "layers[1].layers[0]")
    edit = edits.remove(experiment, [inner, group])
    assert [layer.identifier for layer in edit.experiment.layers] == ["Flatten", "Residual", "Dense"]
    assert edit.name == "Delete Repeat"
    assert {group, inner} <= edit.change.uids


def test_that_layers_move_into_and_out_of_groups(experiment: Experiment) -> None:
    last, group = uid(experiment, "layers[3]"), uid(experiment, "layers[1]")
    into = edits.move(experiment, [last], group, 0)
    assert uid(into.experiment, "layers[1].layers[0]") == last
    assert last in into.change.uids
    out = edits.move(into.experiment, [last], "", 0)
    assert uid(out.experiment, "layers[0]") == last
    with pytest.raises(edits.EditError, match="into itself"):
        edits.move(experiment, [group], group)


def test_that_a_place_counts_in_the_stack_as_it_is_before_the_move(experiment: Experiment) -> None:
    first, last = uid(experiment, "layers[0]"), uid(experiment, "layers[3]")
    edit = edits.move(experiment, [last, first], "", 2)
    assert [layer.identifier for layer in edit.experiment.layers] == ["Repeat", "Flatten", "Dense", "Residual"]


def test_that_a_layer_dropped_where_it_is_has_not_changed(experiment: Experiment) -> None:
    third = uid(experiment, "layers[2]")
    assert not edits.move(experiment, [third], "", 2).change
    assert not edits.move(experiment, [third], "", 3).change


def test_that_shift_steps_over_neighbours_and_out_of_groups(experiment: Experiment) -> None:
    inner = uid(experiment, "layers[1].layers[0]")
    down = edits.shift(experiment, [inner], 1).experiment
    assert uid(down, "layers[1].layers[1]") == inner
    out = edits.shift(down, [inner], 1).experiment
    assert uid(out, "layers[2]") == inner
    assert not edits.shift(experiment, [uid(experiment, "layers[0]")], -1).change


def test_that_duplicates_stand_behind_the_originals(experiment: Experiment) -> None:
    chosen = [uid(experiment, "layers[0]"), uid(experiment, "layers[1]")]
    edit = edits.duplicate(experiment, chosen)
    assert [layer.identifier for layer in edit.experiment.layers][:5] == [
        "Flatten",
        "Repeat",
        "Flatten",
        "Repeat",
        "Residual",
    ]
    identities = [found.layer.uid for found in edits.places(edit.experiment)]
    assert len(set(identities)) == len(identities)
    assert edit.name == "Duplicate 2 layers"


def test_that_neighbours_are_grouped_and_ungrouped(experiment: Experiment) -> None:
    chosen = [uid(experiment, "layers[2]"), uid(experiment, "layers[3]")]
    edit = edits.group(experiment, chosen, "Repeat", count=4)
    group = edit.experiment.layers[2]
    assert (group.identifier, group.count, [layer.uid for layer in group.layers]) == ("Repeat", 4, chosen)
    assert edit.selection == (group.uid,)
    assert edits.ungroup(edit.experiment, [group.uid]).experiment.layers == experiment.layers
    unrolled = edits.ungroup(edit.experiment, [group.uid], unroll=True)
    assert len(unrolled.experiment.layers) == 2 + 4 * 2
    with pytest.raises(edits.EditError, match="next to each other"):
        edits.group(experiment, [chosen[1], uid(experiment, "layers[0]")])
    with pytest.raises(edits.EditError, match="only a group"):
        edits.ungroup(experiment, [chosen[1]])
    with pytest.raises(edits.EditError, match="count: must be at least 1"):
        edits.group(experiment, chosen, count=0)


def test_that_unrolling_has_a_limit() -> None:
    experiment = Experiment(layers=[layers.Repeat(2000, layers=[layers.Dense(1)] * 3)])
    with pytest.raises(edits.EditError, match="at most 5,000"):
        edits.ungroup(experiment, [experiment.layers[0].uid], unroll=True)


def test_that_layers_are_switched_off_and_on(experiment: Experiment) -> None:
    chosen = [found.layer.uid for found in edits.places(experiment)][:2]
    off = edits.enable(experiment, chosen, False)
    assert [layer.enabled for layer in off.experiment.layers] == [False, False, True, True]
    assert off.name == "Disable 2 layers"
    assert edits.enable(off.experiment, chosen).experiment.layers == experiment.layers


def test_that_another_kind_keeps_place_identity_and_common_fields(experiment: Experiment) -> None:
    inner = uid(experiment, "layers[1].layers[0]")
    edit = edits.replace_kind(experiment, inner, "Activation")
    made = edits.place(edit.experiment, inner)
    assert (made.path, made.layer.identifier, made.layer.activation.identifier) == (
        "layers[1].layers[0]",
        "Activation",
        "tanh",
    )
    group = edits.replace_kind(experiment, uid(experiment, "layers[1]"), "Residual").experiment.layers[1]
    assert [layer.identifier for layer in group.layers] == ["Dense", "Dropout"]
    assert edits.replace_kind(experiment, uid(experiment, "layers[0]"), "Dense").experiment.layers[0].units == 32
    with pytest.raises(edits.EditError, match="is not a layer; must be one of"):
        edits.replace_kind(experiment, inner, "Conv2D")


def test_that_copied_layers_paste_elsewhere(experiment: Experiment) -> None:
    text = edits.copy(experiment, [uid(experiment, "layers[1]"), uid(experiment, "layers[3]")])
    assert json.loads(text)["gradsim"] == 1
    edit = edits.paste(Experiment(), text)
    assert kinds(edit.experiment) == [
        "layers[0] Repeat",
        "layers[0].layers[0] Dense",
        "layers[0].layers[1] Dropout",
        "layers[1] Dense",
    ]
    assert edit.name == "Paste 2 layers"
    assert len(edit.selection or ()) == 2


def test_that_cut_removes_and_gives_the_text(experiment: Experiment) -> None:
    edit, text = edits.cut(experiment, [uid(experiment, "layers[3]")])
    assert edit.name == "Cut Dense"
    back = edits.paste(edit.experiment, text).experiment
    assert kinds(back) == kinds(experiment)


@pytest.mark.parametrize(
    "text",
    ['{"type": "Dropout"}', '["Dropout"]', ' [{"type": "Dropout"}]\n', '{"layers": ["Dropout"]}',
     '{"gradsim": 1, "name": "whole file", "layers": ["Dropout"], "seed": 3}'],
)  # fmt: skip
def test_that_layers_written_by_hand_paste(text: str) -> None:
    assert kinds(edits.paste(Experiment(), text).experiment) == ["layers[0] Dropout"]


@pytest.mark.parametrize("text", ["", "Dense(10)", "[]", "{}", "3", '{"gradsim": 9}', "[" * 10_000])
def test_that_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(edits.EditError):
        edits.paste(Experiment(), text)


def test_that_a_fault_in_a_pasted_text_names_its_place() -> None:
    with pytest.raises(edits.EditError, match=r"layers\[1\]\.units: must be at most 8192"):
        edits.paste(Experiment(), '["Dropout", {"type": "Dense", "units": 9000}]')


def test_that_a_layer_gives_way_to_several_in_one_step(experiment: Experiment) -> None:
    last = experiment.layers[3]
    edit = edits.replace_layers(
        experiment, {last.uid: [layers.registry.create("BatchNormalization"), last]}, "Normalise before the output"
    )
    assert [layer.identifier for layer in edit.experiment.layers][-2:] == ["BatchNormalization", "Dense"]
    assert edit.experiment.layers[-1].uid == last.uid
    assert last.uid not in edit.change.uids


def test_that_edits_of_different_origins_do_not_combine(experiment: Experiment) -> None:
    with pytest.raises(edits.EditError, match="result of the one before"):
        edits.combine([edits.set_field(experiment, "", "seed", 1), edits.set_field(experiment, "", "seed", 2)], "Both")

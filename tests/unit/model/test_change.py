"""What differs between two experiments."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradsim.model import Experiment
from gradsim.model.change import compare
from gradsim.nn import layers, optimizers


def test_that_identities_alone_are_no_difference() -> None:
    def made() -> Experiment:
        return Experiment([layers.Repeat(2, layers=[layers.Dense(3)]), layers.Dense(1)], "moons")

    change = compare(made(), made())
    assert not change
    assert change.effect == "none"


def test_that_a_group_has_not_changed_because_of_what_is_in_it() -> None:
    inner = layers.Dense(3)
    before = Experiment([layers.Repeat(2, layers=[inner])])
    [group] = before.layers
    assert isinstance(group, layers.Repeat)
    after = dataclasses.replace(
        before, layers=(dataclasses.replace(group, layers=(dataclasses.replace(group.layers[0], units=4),)),)
    )
    assert compare(before, after).uids == {group.layers[0].uid}


def test_that_layers_that_came_and_went_are_named() -> None:
    before = Experiment([layers.Dense(3), layers.Dense(1)])
    after = dataclasses.replace(before, layers=(before.layers[1], layers.Dense(2)))
    assert compare(before, after).uids == {before.layers[0].uid, after.layers[1].uid}


def test_that_another_order_is_a_structure() -> None:
    before = Experiment([layers.Dense(3), layers.Dropout(0.1)])
    after = dataclasses.replace(before, layers=before.layers[::-1])
    assert compare(before, after).effect == "structure"


def test_that_live_fields_and_structure_together_are_structure() -> None:
    before = Experiment(optimizer=optimizers.SGD(0.1))
    assert compare(before, dataclasses.replace(before, optimizer=optimizers.SGD(0.2))).effect == "live"
    assert compare(before, dataclasses.replace(before, optimizer=optimizers.SGD(0.2), seed=1)).effect == "structure"


def test_that_data_in_memory_are_compared_by_identity() -> None:
    before = Experiment(data=(np.zeros((3, 2)), np.zeros((3, 1))))
    assert not compare(before, dataclasses.replace(before))
    assert compare(before, Experiment(data=(np.zeros((3, 2)), np.zeros((3, 1))))).facets == {"data"}


def test_that_freezing_keeps_the_weights_whatever_is_live_beside_it() -> None:
    before = Experiment([layers.Repeat(2, layers=[layers.Dense(3)]), layers.Dense(1)], optimizer=optimizers.SGD(0.1))
    [group, last] = before.layers
    frozen = dataclasses.replace(before, layers=(dataclasses.replace(group, trainable=False), last))
    assert compare(before, frozen).effect == "freeze"
    assert compare(before, dataclasses.replace(frozen, optimizer=optimizers.SGD(0.2))).effect == "freeze"
    assert compare(before, dataclasses.replace(frozen, seed=3)).effect == "structure"
    named = dataclasses.replace(before, layers=(group, dataclasses.replace(last, name="top")))
    assert compare(before, named).effect == "text"

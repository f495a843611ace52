"""Twins keep step with each other, and a fork goes on from where another training was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradsim.diagnose.twins import Twins, differences, fork, in_words
from gradsim.engine.trainer import Trainer
from gradsim.model import Experiment
from gradsim.nn import layers, optimizers
from gradsim.nn.layers import Dense


def experiment(*hidden: layers.Layer, **fields: Any) -> Experiment:
    given = {"data": {"type": "moons", "samples": 100}, "loss": "binary_crossentropy", "seed": 1, **fields}
    return Experiment((*(hidden or (layers.Repeat(3, (Dense(8, "tanh"),)),)), Dense(1, "sigmoid")), **given)


def test_that_equal_experiments_do_not_differ() -> None:
    found = differences(experiment(), experiment(name="another name"))
    assert not found
    assert found.same_batches
    assert found.pairs == tuple((row, row) for row in range(4))


def test_that_fields_that_differ_are_named() -> None:
    found = differences(experiment(), experiment(optimizer=optimizers.Adam(), batch_size=8))
    assert [(one.field, one.title) for one in found.fields] == [
        ("optimizer", "Optimizer"),
        ("batch_size", "Batch size"),
    ]
    assert found.fields[0].second == {"type": "Adam"}
    assert not found.same_batches


def test_that_only_what_differs_within_a_field_is_named() -> None:
    found = differences(
        experiment(data={"type": "moons", "samples": 100}), experiment(data={"type": "moons", "samples": 80})
    )
    assert [(one.field, one.root, one.first, one.second) for one in found.fields] == [("data.samples", "data", 100, 80)]
    assert not found.same_batches
    faster = differences(experiment(optimizer=optimizers.SGD(0.1)), experiment(optimizer=optimizers.SGD(0.5)))
    assert [(one.field, one.title) for one in faster.fields] == [
        ("optimizer.learning_rate", "Optimizer: Learning rate"),
    ]
    assert faster.same_batches


def test_that_differences_are_told_in_words_with_equal_ones_in_a_line() -> None:
    first = experiment(layers.Repeat(3, (Dense(8, "tanh"),)))
    second = experiment(layers.Repeat(3, (Dense(8, "relu"), layers.BatchNormalization())), batch_size=None)
    lines = in_words(differences(first, second), first.stack(), second.stack())
    assert [(one.kind, one.where, one.what, one.first, one.second) for one in lines] == [
        ("changed", "experiment", "Batch size", "32", "none"),
        ("changed", "dense to dense_2 (3 layers)", "Activation", "tanh", "relu"),
        ("added", "batch_normalization to batch_normalization_2 (3 layers)", "layer", "", "BatchNormalization"),
    ]


def test_that_a_changed_layer_is_the_same_layer() -> None:
    found = differences(experiment(), experiment(layers.Repeat(3, (Dense(8, "relu"),))))
    assert [(row.kind, row.first, row.second) for row in found.rows] == [("changed", n, n) for n in range(3)]
    assert [(one.field, one.first, one.second) for one in found.rows[0].fields] == [("activation", "tanh", "relu")]


def test_that_layers_in_between_are_added_or_removed() -> None:
    block = layers.Repeat(3, (Dense(8, "tanh"), layers.BatchNormalization()))
    found = differences(experiment(), experiment(block))
    assert [(row.kind, row.second) for row in found.rows] == [("added", 1), ("added", 3), ("added", 5)]
    assert found.pairs == ((0, 0), (1, 2), (2, 4), (3, 6))
    back = differences(experiment(block), experiment())
    assert [(row.kind, row.first) for row in back.rows] == [("removed", 1), ("removed", 3), ("removed", 5)]


def test_that_a_way_past_a_layer_is_a_difference() -> None:
    with_skip = experiment(Dense(8, "tanh"), layers.Repeat(2, (layers.Residual((Dense(8, "tanh"),)),)))
    found = differences(experiment(), with_skip)
    assert [(row.first, row.fields[0].field) for row in found.rows] == [(1, "skipped"), (2, "skipped")]


def test_that_a_frozen_layer_is_a_difference() -> None:
    frozen = experiment(Dense(8, "tanh", trainable=False), layers.Repeat(2, (Dense(8, "tanh"),)))
    found = differences(experiment(), frozen)
    assert [one.field for row in found.rows for one in row.fields] == ["trainable"]


def test_that_twins_see_the_same_batches_and_record() -> None:
    first, second = experiment(), experiment(optimizer=optimizers.SGD(0.5))
    twins = Twins([first, second])
    assert twins.same_batches
    for steps in (1, 4, 7):
        twins.advance(steps)
        assert np.array_equal(*(trainer.batch_rows() for trainer in twins.trainers))
    assert twins.step == 12
    losses = [recorder.recording()["loss"] for recorder in twins.recorders]
    assert losses[0][0] == losses[1][0]
    assert losses[0][5] != losses[1][5]
    assert np.array_equal(losses[0], Trainer(first).advance(12).steps[:, 0])


def test_that_twins_go_back_together() -> None:
    twins = Twins([experiment(), experiment(layers.Repeat(3, (Dense(8, "relu"),)))])
    twins.advance(5)
    kept = twins.snapshots()
    twins.advance(5)
    before = [recorder.recording() for recorder in twins.recorders]
    twins.restore(kept)
    assert twins.step == 5
    assert [recorder.stop for recorder in twins.recorders] == [5, 5]
    twins.advance(5)
    assert [recorder.recording() for recorder in twins.recorders] == before
    with pytest.raises(ValueError, match="one snapshot each"):
        twins.restore(kept[:1])


@pytest.mark.parametrize("number", [1, 5])
def test_that_twins_are_two_to_four(number: int) -> None:
    with pytest.raises(ValueError, match="2 to 4"):
        Twins([experiment()] * number)


def test_that_trainers_of_other_moments_are_no_twins() -> None:
    trainers = [Trainer(experiment()), Trainer(experiment())]
    trainers[0].advance(1)
    with pytest.raises(ValueError, match="same step"):
        Twins([experiment()] * 2, trainers)


def test_that_a_fork_without_a_change_is_the_original() -> None:
    original = Trainer(experiment(optimizer=optimizers.Adam()))
    original.advance(7)
    found = fork(original, original.snapshot(), original.experiment)
    assert found.slots_kept
    assert not found.fresh
    assert np.array_equal(found.trainer.advance(9).layers, original.advance(9).layers, equal_nan=True)


def test_that_a_fork_with_another_activation_keeps_weights_and_batches() -> None:
    original = Trainer(experiment())
    original.advance(6)
    found = fork(original, original.snapshot(), experiment(layers.Repeat(3, (Dense(8, "elu"),))))
    assert found.trainer.step == 6
    for mine, its in zip(found.trainer.weights(), original.weights(), strict=True):
        assert np.array_equal(mine, its)
    found.trainer.advance(3)
    original.advance(3)
    assert np.array_equal(found.trainer.batch_rows(), original.batch_rows())
    twins = Twins([original.experiment, found.trainer.experiment], [original, found.trainer])
    twins.advance(2)
    assert [recorder.first_step for recorder in twins.recorders] == [9, 9]


def test_that_a_fork_starts_new_layers_from_the_seed() -> None:
    original = Trainer(experiment())
    original.advance(4)
    normalised = experiment(layers.Repeat(3, (Dense(8, "tanh"), layers.BatchNormalization())))
    found = fork(original, original.snapshot(), normalised)
    assert "dense_1.kernel" in found.kept
    assert "batch_normalization.gamma" in found.fresh
    assert not found.slots_kept
    wider = fork(original, original.snapshot(), experiment(layers.Repeat(3, (Dense(9, "tanh"),))))
    assert wider.kept == ("dense_3.bias",)


def test_that_a_fork_with_another_optimizer_starts_its_slots_anew() -> None:
    original = Trainer(experiment(optimizer=optimizers.SGD(0.1, momentum=0.9)))
    original.advance(4)
    found = fork(original, original.snapshot(), experiment(optimizer=optimizers.Adam()))
    assert not found.slots_kept
    assert not found.fresh
    assert np.isfinite(found.trainer.advance(3).steps[:, 0]).all()


def test_that_a_fork_goes_on_with_the_same_data() -> None:
    original = Trainer(experiment())
    with pytest.raises(ValueError, match="batch_size"):
        fork(original, original.snapshot(), experiment(batch_size=4))

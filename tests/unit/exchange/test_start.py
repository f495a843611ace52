"""Experiments that start from trained weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradsim import api
from gradsim.exchange import keras_script, pretrained, torch_script
from gradsim.exchange.results import ImportFault
from gradsim.exchange.start import initial_weights, start_of
from gradsim.model import Experiment, bundled, file
from tests.unit.exchange.test_pretrained import FIRST, SECOND


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A saved training of the first experiment."""
    path = tmp_path / "first.npz"
    api.Experiment.of(FIRST).run(steps=5).save(path)
    return path


def named(path: Path | str, rows: int | None) -> Experiment:
    return dataclasses.replace(SECOND, pretrained=str(path), pretrained_layers=rows)


def test_that_the_first_layers_start_from_the_file_and_the_others_from_the_seed(recorded: Path) -> None:
    saved, drawn = pretrained.load(recorded).weights, SECOND.stack().initial_weights(SECOND.seed)
    found = start_of(named(recorded, 9))
    assert found is not None
    kept = sum(placed.index < 9 for placed, _ in SECOND.stack().weights())
    for number, array in enumerate(found):
        np.testing.assert_array_equal(array, saved[number] if number < kept else drawn[number])


def test_that_an_experiment_without_a_file_starts_from_its_seed() -> None:
    assert start_of(SECOND) is None
    for one, other in zip(initial_weights(SECOND), SECOND.stack().initial_weights(SECOND.seed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_that_a_run_starts_there(recorded: Path) -> None:
    experiment = named(recorded, 1)
    run = api.Experiment.of(experiment).run(steps=1)
    assert run.initial_weights is not None
    np.testing.assert_array_equal(run.initial_weights[0], pretrained.load(recorded).weights[0])


@pytest.mark.parametrize("rows", [1, 9])
def test_that_plain_arrays_may_be_as_many_as_the_layers_or_more(recorded: Path, tmp_path: Path, rows: int) -> None:
    arrays = pretrained.load(recorded).weights
    kept = sum(placed.index < rows for placed, _ in SECOND.stack().weights())
    for count in (kept, len(arrays)):
        np.savez(tmp_path / "plain.npz", *arrays[:count])
        found = start_of(named(tmp_path / "plain.npz", rows))
        assert found is not None
        np.testing.assert_array_equal(found[kept - 1], arrays[kept - 1])


def test_that_what_is_not_taken_is_not_read(recorded: Path, tmp_path: Path) -> None:
    arrays = pretrained.load(recorded).weights
    np.savez(tmp_path / "plain.npz", *arrays[:2], np.array([{}], dtype=object), np.zeros(10_000_000, np.int8))
    assert start_of(named(tmp_path / "plain.npz", 1)) is not None
    with pytest.raises(ImportFault, match="arr_2"):
        start_of(named(tmp_path / "plain.npz", 3))


def test_that_a_file_that_does_not_fit_is_refused_with_the_layer(recorded: Path, tmp_path: Path) -> None:
    wider = dataclasses.replace(named(recorded, 1), layers=[{"type": "Dense", "units": 7}, *SECOND.layers[1:]])
    with pytest.raises(ImportFault, match=r"dense.*kernel.*must have the shape \(2, 6\)"):
        start_of(wider)
    with pytest.raises(ImportFault, match="pretrained_layers: must be at most 10"):
        start_of(named(recorded, 11))
    with pytest.raises(ImportFault, match="can't be opened"):
        start_of(named(tmp_path / "gone.npz", 1))
    with pytest.raises(ImportFault, match="come with the program"):
        start_of(named("bundled:../data/iris", 1))


def test_that_the_file_lies_relative_to_the_saved_experiment(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "second.gradsim"
    file.save(path, named(recorded, 9))
    assert json.loads(path.read_text(encoding="utf-8"))["pretrained"] == "first.npz"
    opened = file.load(path).experiment
    assert opened.pretrained == str(recorded)
    assert opened.pretrained_layers == 9


def test_that_another_experiment_gives_the_layers_of_the_record_beside_it(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "first.gradsim"
    file.save(path, FIRST)
    assert pretrained.weights_beside(path) == recorded
    assert len(pretrained.load(path).weights) == len(pretrained.load(recorded).weights)
    recorded.unlink()
    with pytest.raises(ImportFault, match="must lie beside it"):
        pretrained.load(path)


def test_that_the_bundled_case_starts_from_what_the_eight_classes_taught_it() -> None:
    experiment, scratch = bundled.load("pretrained-2-two-others"), bundled.load("pretrained-3-from-scratch")
    found = start_of(experiment)
    assert found is not None
    start = experiment.stack().initial_weights(experiment.seed)
    assert all(not np.array_equal(one, other) for one, other in zip(found[:10:2], start[:10:2], strict=True))
    np.testing.assert_array_equal(found[10], start[10])
    assert [layer.identifier for layer in scratch.layers] == [layer.identifier for layer in experiment.layers]


@pytest.mark.slow
def test_that_the_bundled_case_learns_faster_than_from_scratch_and_slower_when_frozen() -> None:
    reused = bundled.load("pretrained-2-two-others")
    frozen = pretrained.with_trainable(reused, 6, False)
    scratch = bundled.load("pretrained-3-from-scratch")
    losses = []
    for experiment in (reused, scratch, frozen):
        losses.append(api.Experiment.of(experiment).run(epochs=5).validation.val_loss[-1])
    assert losses[0] < losses[1] < losses[2]


@pytest.mark.parametrize("writer", [keras_script, torch_script])
def test_that_a_script_without_the_trained_weights_says_so(recorded: Path, writer: Any) -> None:
    experiment = named(recorded, 1)
    said = writer.export(experiment)
    assert any("first.npz" in note for note in said.notes)
    with_them = writer.export(experiment, weights=start_of(experiment), arrays_name="own.npz")
    assert not any("first.npz" in note for note in with_them.notes)
    assert not any("draws its weights" in note for note in writer.export(SECOND).notes)

"""The definitions themselves, and that everything else follows from one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gradsim.telemetry import (
    LAYER_COLUMNS,
    STEP_COLUMNS,
    Layer,
    Quantity,
    Recorder,
    Recording,
    Thresholds,
    classify,
    definitions,
    quantity,
)
from gradsim.telemetry import quantities as module

LAYERS = (Layer("dense", "Dense", weight_size=4, units=2), Layer("dense_1", "Dense", weight_size=9, units=3))


def test_that_the_stored_columns_are_those_the_trainer_writes() -> None:
    statistics = "delta_norm delta_max gradient_norm gradient_max weight_norm weight_max update_norm activation_mean"
    statistics += " activation_std saturated dead clipped_norm clip_cosine"
    counts = [f"{array}_{kind}" for array in ("activation", "delta", "gradient", "weight") for kind in ("nan", "inf")]
    assert list(LAYER_COLUMNS) == statistics.split() + counts
    assert STEP_COLUMNS == ("loss", "accuracy", "global_gradient_norm", "learning_rate", "epoch", "rows")


@pytest.mark.parametrize("definition", list(definitions()), ids=lambda d: d.key)
def test_that_every_definition_is_complete(definition: Quantity) -> None:
    assert definition.title
    assert definition.short
    assert len(definition.short) <= 16
    assert definition.unit
    assert definition.help.endswith(".")
    assert definition.scale == "linear" or definition.thresholds.low > 0
    for name in (*definition.nan_columns, *definition.inf_columns):
        assert name in LAYER_COLUMNS
    assert definition.proportional_to is None or definition.formula is not None


def test_that_the_sentence_of_the_colour_bar_says_the_numbers_used() -> None:
    assert quantity("gradient_rms").sentence() == (
        "Gradient (RMS): below 1e-06 = vanishing, above 1 = exploding, about 0.001 = healthy."
    )
    assert quantity("dead").sentence() == "Dead units: 0 to 1, no threshold."


def test_that_an_unknown_key_is_answered_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="no quantity 'delta'; there are: delta_norm, "):
        quantity("delta")


@pytest.fixture
def crest() -> Iterator[Quantity]:
    """A quantity that is only defined here."""
    definition = module.register(
        Quantity(
            "gradient_crest",
            "Gradient crest",
            "crest",
            "largest / RMS",
            "How far the largest entry of the gradient stands out.",
            Thresholds(1.0, 3.0, 1e3),
            formula=lambda c, sizes: c["gradient_max"] / (c["gradient_norm"] / np.sqrt(sizes.weight)),
            of=("gradient",),
        )
    )
    yield definition
    del module._REGISTRY[definition.key]


def test_that_one_definition_is_recorded_pooled_coloured_saved_and_exported(crest: Quantity, tmp_path: Path) -> None:
    recorder = Recorder(LAYERS, 600_000)
    for step in range(3000):
        largest = 200.0 if step == 17 else 4.0
        recorder.append_step({"gradient_norm": [2.0, 3.0], "gradient_max": [1.0, largest]}, {"loss": 1.0})
    recording = recorder.recording()
    assert recording.maximum("gradient_crest")[recording.row_of(17)].tolist() == [1.0, 200.0]
    assert recording["gradient_crest"][-1].tolist() == [1.0, 4.0]
    columns = recorder.columns("gradient_crest", width=20)
    assert columns.maximum[0].tolist() == [1.0, 200.0]
    assert classify(crest, columns.maximum).shape == columns.maximum.shape
    recording.save(tmp_path / "run.npz")
    assert Recording.load(tmp_path / "run.npz") == recording
    recording.to_csv(tmp_path / "run.csv")
    assert "gradient_crest_maximum" in (tmp_path / "run.csv").read_text().splitlines()[0].split(",")


def test_that_a_key_cannot_be_defined_twice(crest: Quantity) -> None:
    with pytest.raises(ValueError, match="'gradient_crest' is already registered"):
        module.register(crest)


def test_that_a_file_from_before_a_definition_has_it_computed(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    recorder = Recorder(LAYERS)
    recorder.append_step({"gradient_norm": [2.0, 3.0], "gradient_max": [1.0, 5.0]}, {"loss": 1.0})
    recorder.recording().save(tmp_path / "run.npz")
    request.getfixturevalue("crest")
    assert Recording.load(tmp_path / "run.npz")["gradient_crest"].tolist() == [[1.0, 5.0]]

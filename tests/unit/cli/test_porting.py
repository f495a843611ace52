"""``gradsim import`` and ``gradsim export`` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import gradsim.cli
from gradsim.cli.main import cli
from gradsim.exchange import keras_file
from gradsim.exchange.start import start_of
from gradsim.model import bundled, file
from tests.unit.exchange.test_keras_file import archive

assert gradsim.cli.main


def typed(*words: Any) -> Any:
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_that_code_becomes_a_file_and_its_differences_are_told(tmp_path: Path) -> None:
    source, target = tmp_path / "own.py", tmp_path / "own.gradsim"
    source.write_text("model = keras.Sequential([\n    Conv2D(3, 3),\n    Dense(4, 'relu')])\n")
    result = typed("import", source, "-o", target)
    assert result.exit_code == 0
    assert "own.py: line 2, column 5: Conv2D has no counterpart here and is left out" in result.stderr
    assert file.load(target).experiment.layers[0].identifier == "Dense"


def test_that_without_an_output_the_experiment_is_printed(tmp_path: Path) -> None:
    source = tmp_path / "own.py"
    source.write_text("model = keras.Sequential([Dense(4, 'relu')])\n")
    assert json.loads(typed("import", source).stdout)["layers"][0]["units"] == 4


def test_that_a_fault_ends_with_code_2_and_its_place(tmp_path: Path) -> None:
    source = tmp_path / "own.py"
    source.write_text("model = keras.Sequential([Flatten(input_shape[28,28])])\n")
    result = typed("import", source)
    assert result.exit_code == 2
    assert "line 1, column 35: input_shape is defined nowhere" in result.stderr


@pytest.mark.parametrize(("form", "start"), [("keras", '"""'), ("pytorch", '"""'), ("json", "{"), ("svg", "<svg")])
def test_that_every_form_is_printed(form: str, start: str) -> None:
    result = typed("export", "residual-blocks", "--to", form)
    assert result.exit_code == 0
    assert result.stdout.startswith(start)


def test_that_weights_and_data_lie_beside_the_script(tmp_path: Path) -> None:
    target = tmp_path / "own.py"
    result = typed("export", "small-spiral", "--to", "keras", "--weights", "--data", "-o", target)
    assert result.exit_code == 0
    experiment = bundled.load("small-spiral")
    with np.load(tmp_path / "own.npz") as arrays:
        assert {"x_train", "y_train", "weight_0"} <= set(arrays)
        np.testing.assert_array_equal(arrays["weight_0"], experiment.stack().initial_weights(experiment.seed)[0])


@pytest.mark.parametrize(
    "words",
    [
        ("export", "small-spiral", "--to", "keras", "--weights"),
        ("export", "no-such-thing", "--to", "keras"),
        ("import", "own.txt"),
        ("import", "missing.py"),
    ],
)
def test_that_bad_input_ends_with_code_2(words: tuple[str, ...]) -> None:
    assert typed(*words).exit_code == 2


def test_that_trained_weights_that_are_gone_are_bad_input(tmp_path: Path) -> None:
    result = typed("run", "small-xor", "--steps", 2, "--set", f"pretrained={tmp_path / 'gone.npz'}")
    assert result.exit_code == 2
    assert "gone.npz" in result.stderr


def test_that_only_recordings_are_viewed(tmp_path: Path) -> None:
    result = typed("view", tmp_path / "notes.txt")
    assert result.exit_code == 2
    assert "must be a recording" in result.stderr


def test_that_an_imported_model_starts_from_its_weights(tmp_path: Path) -> None:
    source, target = archive(tmp_path / "own.keras"), tmp_path / "own.gradsim"
    assert typed("import", source, "-o", target).exit_code == 0
    assert json.loads(target.read_text(encoding="utf-8"))["pretrained"] == "own.weights.npz"
    found = start_of(file.load(target).experiment)
    assert found is not None
    for mine, its in zip(found, keras_file.read(source).weights or (), strict=True):
        np.testing.assert_array_equal(mine, its)

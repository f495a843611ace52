"""Models in ``.keras`` files, good ones and hostile ones."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from gradsim import data as datasets
from gradsim.engine.trainer import Trainer
from gradsim.exchange import keras_config, keras_file
from gradsim.exchange.results import ImportFault
from gradsim.model import Experiment
from tests.unit.exchange.cases import experiment, starting_weights

VALUE = Experiment(
    layers=[
        {"type": "BatchNormalization"},
        {"type": "Dense", "units": 4, "activation": "tanh"},
        {"type": "Dense", "units": 1, "activation": "sigmoid"},
    ],
    data="moons",
    loss="binary_crossentropy",
)
GROUPS = ["batch_normalization"] * 4 + ["dense"] * 2 + ["dense_1"] * 2


def weights_file(change: Callable[[Any], None] | None = None) -> bytes:
    """What Keras writes as model.weights.h5."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as content:
        counts: dict[str, int] = {}
        for group, array in zip(GROUPS, starting_weights(VALUE), strict=True):
            number = counts.get(group, 0)
            counts[group] = number + 1
            content[f"layers/{group}/vars/{number}"] = array
        if change is not None:
            change(content)
    return stream.getvalue()


def archive(path: Path, weights: bytes | None = None, config: str | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("metadata.json", "{}")
        made.writestr("config.json", keras_config.dumps(VALUE) if config is None else config)
        made.writestr("model.weights.h5", weights_file() if weights is None else weights)
    return path


def test_that_a_file_gives_experiment_and_weights(tmp_path: Path) -> None:
    read = keras_file.read(archive(tmp_path / "own.keras"), base=VALUE)
    assert read.weights is not None
    for mine, its in zip(starting_weights(VALUE), read.weights, strict=True):
        np.testing.assert_array_equal(its, mine)


def replace(place: str, array: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        del content[place]
        content[place] = array

    return change


def external(content: Any) -> None:
    del content["layers/dense/vars/0"]
    content["layers/dense/vars/0"] = h5py.ExternalLink("/etc/hostname", "/")


def elsewhere(content: Any) -> None:
    del content["layers/dense/vars/0"]
    group = content["layers/dense/vars"]
    group.create_dataset("0", (2, 4), "f4", external=[("/etc/hostname", 0, 32)])


def huge(content: Any) -> None:
    del content["layers/dense/vars/0"]
    content["layers/dense/vars"].create_dataset("0", (2**20, 2**20), "f4", chunks=(1, 2**10))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace("layers/dense/vars/0", np.zeros((3, 4))), r"dense.kernel: must have the shape \(2, 4\), not \(3, 4\)"),
        (replace("layers/dense/vars/1", np.full(4, np.nan)), "dense.bias: must hold finite numbers only .*4"),
        (replace("layers/dense/vars/0", np.zeros((2, 4), "S8")), "must hold real numbers"),
        (lambda content: content.__delitem__("layers/dense_1"), "dense_1.kernel: must be in the file"),
        (external, "must be in the file"),
        (elsewhere, "must be an array in the file itself"),
        (huge, "must have the shape"),
    ],
)
def test_that_weights_that_do_not_fit_are_named(change: Callable[[Any], None], words: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFault, match=words):
        keras_file.read(archive(tmp_path / "own.keras", weights_file(change)), base=VALUE)


def test_that_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "own.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("config.json", b" " * (32 * 2**20))
        made.writestr("model.weights.h5", b"")
    with pytest.raises(ImportFault, match=r"config.json: must be at most 16 MiB when unpacked"):
        keras_file.read(path)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04" + b"\0" * 40])
def test_that_what_is_no_archive_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "own.keras"
    path.write_bytes(data)
    with pytest.raises(ImportFault, match=r"must be a \.keras archive"):
        keras_file.read(path)


def test_that_broken_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFault, match="must be a readable HDF5 file"):
        keras_file.read(archive(tmp_path / "own.keras", b"\x89HDF\r\n\x1a\n" + b"\0" * 100), base=VALUE)


def test_that_members_that_lead_elsewhere_are_never_written(tmp_path: Path) -> None:
    path = archive(tmp_path / "own.keras")
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("../outside.txt", "x")
    keras_file.read(path, base=VALUE)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["own.keras"]


def test_that_a_second_config_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "own.keras")
    with zipfile.ZipFile(path, "a") as made, pytest.warns(UserWarning, match="Duplicate name"):
        made.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": []}}))
    with pytest.raises(ImportFault, match=r"must hold config.json once"):
        keras_file.read(path)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["repeat", "residual", "normalized", "activations", "frozen", "float64"])
def test_that_a_model_saved_by_keras_predicts_the_same(name: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", reason="needs Keras, which the reference environment has")
    value = experiment(name)
    model = keras.models.model_from_json(keras_config.dumps(value))
    model.set_weights(starting_weights(value))
    model.save(tmp_path / "own.keras")
    read = keras_file.read(tmp_path / "own.keras", base=value)
    assert read.weights is not None
    x = datasets.load(value.data).x_train
    mine = Trainer(read.experiment, read.weights).predict(x)
    np.testing.assert_allclose(mine, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)

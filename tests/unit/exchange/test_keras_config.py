"""Keras configs out and in again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gradsim.exchange import keras_config
from gradsim.exchange.exporting import active
from gradsim.exchange.results import ImportFault
from gradsim.model import Experiment
from gradsim.model.file import content_of
from gradsim.nn import layers as nn_layers
from gradsim.nn.layers import Layer
from gradsim.nn.spec import to_json
from tests.unit.exchange.cases import CASES, experiment, starting_weights


def unrolled(layers: tuple[Layer, ...]) -> list[Any]:
    """Layers as a config has them: without repeat groups."""
    found: list[Any] = []
    for layer in layers:
        if isinstance(layer, nn_layers.Repeat):
            found += unrolled(layer.layers) * layer.count
        elif isinstance(layer, nn_layers.Residual):
            found.append({"type": "Residual", "layers": unrolled(layer.layers)})
        else:
            content = to_json(layer)
            found.append({key: value for key, value in content.items() if key != "name"})
    return found


def without_names(layers: list[Any]) -> list[Any]:
    return [
        {key: without_names(value) if key == "layers" else value for key, value in layer.items() if key != "name"}
        for layer in layers
    ]


@pytest.mark.parametrize("name", CASES)
def test_that_a_config_gives_the_same_stack_loss_and_optimizer_back(name: str) -> None:
    value = experiment(name)
    read = content_of(keras_config.read(keras_config.dumps(value), base=value).experiment)
    assert without_names(read["layers"]) == unrolled(active(value.layers))
    wanted = content_of(value)
    assert [read[key] for key in ("loss", "optimizer", "data", "dtype")] == [
        wanted[key] for key in ("loss", "optimizer", "data", "dtype")
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", CASES)
def test_that_keras_makes_the_same_model_of_it_and_back(name: str) -> None:
    keras = pytest.importorskip("keras", reason="needs Keras, which the reference environment has")
    value = experiment(name)
    model = keras.models.model_from_json(keras_config.dumps(value))
    wanted = [weight.shape for _, weight in value.stack().weights()]
    assert [array.shape for array in model.get_weights()] == wanted
    read = keras_config.read(model.to_json(), base=value)
    assert [weight.shape for _, weight in read.experiment.stack().weights()] == wanted
    words = [str(note) for note in read.notes]
    assert [note for note in words if "compile is not called" not in note] == []
    model.set_weights(starting_weights(value))
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"class_name": "Dense"}, "must be Sequential or Functional"),
        ({"config": {"layers": 3}}, "must be a list of layers"),
        ({"config": {"layers": [3]}}, "must be a layer"),
        ({"config": {"layers": [{"class_name": "Dense", "config": {"units": -1}}]}}, "units must be at least 1"),
        ({"class_name": "Functional", "config": {"layers": []}}, "must name the last layer"),
        (
            {
                "class_name": "Functional",
                "config": {"layers": [{"class_name": "Dense", "config": {}, "inbound_nodes": [[["x", 0, 0, {}]]]}]},
            },
            "must name a layer before it; 'x' is none",
        ),
    ],
)
def test_that_a_config_that_is_none_is_refused(change: dict[str, Any], words: str) -> None:
    content = {"class_name": "Sequential", "config": {"layers": []}} | change
    with pytest.raises(ImportFault, match=words):
        keras_config.read(json.dumps(content))


@pytest.mark.parametrize(
    "text", ["", "3", "[" * 100_000, '{"class_name": "Sequential", "config":' + '{"a":' * 70 + "1" + "}" * 71]
)
def test_that_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(ImportFault):
        keras_config.read(text)


def test_that_layers_without_a_counterpart_are_noted() -> None:
    content = {
        "class_name": "Sequential",
        "config": {"layers": [
            {"class_name": "Conv2D", "config": {"filters": 3}},
            {"class_name": "Dense", "config": {"units": 3, "activation": "relu"}},
        ]},
    }  # fmt: skip
    read = keras_config.read(json.dumps(content))
    assert content_of(read.experiment)["layers"] == [{"type": "Dense", "units": 3, "activation": "relu"}]
    assert any("Conv2D has no counterpart" in str(note) for note in read.notes)


def test_that_a_stack_that_fits_no_data_can_not_be_written() -> None:
    with pytest.raises(ValueError, match="put Flatten before it"):
        keras_config.dumps(Experiment(layers=[{"type": "Dense", "units": 3}], data="fashion_mnist"))

"""The published JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from gradsim import resources
from gradsim.model import bundled, file, schema
from gradsim.nn import activations
from gradsim.nn.spec import REGISTRIES, fields_of, frozen, option


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema.Draft202012Validator.check_schema(schema.schema())
    return jsonschema.Draft202012Validator(schema.schema())


def test_that_the_published_schema_is_current() -> None:
    published = resources.resource(schema.NAME).read_text(encoding="utf-8")
    assert published == schema.text(), "run: python -m gradsim.model.schema"


@pytest.mark.parametrize("name", bundled.names())
def test_that_bundled_experiments_are_valid(validator: Any, name: str) -> None:
    validator.validate(json.loads(bundled.bundled(name).path.read_text(encoding="utf-8")))


def every_spec() -> Iterator[tuple[str, str]]:
    for kind in schema.KINDS:
        for identifier in REGISTRIES[kind]:
            yield kind, identifier


@pytest.mark.parametrize(("kind", "identifier"), list(every_spec()))
def test_that_every_definition_is_valid_by_its_names(validator: Any, kind: str, identifier: str) -> None:
    cls = REGISTRIES[kind][identifier]
    required = {
        view.name: 3 if view.type == "int" else "x" for view in fields_of(cls) if view.required and not view.hidden
    }
    for name in (identifier, *cls.aliases):
        value = {"type": name, **required}
        place = {
            "layer": {"layers": [value]},
            "activation": {"layers": [{"type": "Activation", "activation": value}]},
            "initializer": {"layers": [{"type": "Dense", "units": 1, "kernel_initializer": value}]},
            "regularizer": {"layers": [{"type": "Dense", "units": 1, "kernel_regularizer": value}]},
            "schedule": {"optimizer": {"type": "SGD", "learning_rate": value}},
            "dataset": {"data": value},
        }.get(kind, {kind: value})
        content = {"gradsim": 1, **place}
        validator.validate(content)
        file.loads(json.dumps(content))


@pytest.mark.parametrize(
    "fields",
    [
        {"gradsim": 2},
        {"gradsim": 1, "seed": -1},
        {"gradsim": 1, "seed": 1.5},
        {"gradsim": 1, "surprise": 1},
        {"gradsim": 1, "view": []},
        {"gradsim": 1, "loss": "mze"},
        {"gradsim": 1, "dtype": "float16"},
        {"gradsim": 1, "name": "x" * 201},
        {"gradsim": 1, "batch_size": 0},
        {"gradsim": 1, "data": {"type": "csv"}},
        {"gradsim": 1, "layers": ["Dense"]},
        {"gradsim": 1, "layers": [{"type": "Dense", "units": 0}]},
        {"gradsim": 1, "layers": [{"type": "Dense", "units": 1, "uid": "a"}]},
        {"gradsim": 1, "layers": [{"type": "Dropout", "rate": 1}]},
        {"gradsim": 1, "layers": [{"type": "Repeat", "layers": [{"type": "Dens"}]}]},
        {"gradsim": 1, "optimizer": {"type": "SGD", "learning_rate": -0.1}},
        {"gradsim": 1, "optimizer": {"type": "SGD", "clipnorm": 1, "clipvalue": 1}},
        {"gradsim": 1, "optimizer": {"type": "SGD", "learning_rate": {"type": "WarmUp", "start": 2}}},
    ],
)
def test_that_schema_and_program_refuse_the_same(validator: Any, fields: dict[str, Any]) -> None:
    assert not validator.is_valid(fields)
    with pytest.raises(file.FileError):
        file.loads(json.dumps(fields))


@pytest.mark.parametrize(
    "optimizer",
    [
        {"type": "SGD", "clipnorm": 1, "clipvalue": None},
        {"type": "SGD", "learning_rate": {"type": "CosineDecay", "warmup_target": None}},
        "adam",
    ],
)
def test_that_null_stands_for_none(validator: Any, optimizer: Any) -> None:
    content = {"gradsim": 1, "optimizer": optimizer, "batch_size": None}
    validator.validate(content)
    assert file.loads(json.dumps(content)).experiment.batch_size is None


def test_that_a_new_definition_is_in_the_schema_at_once() -> None:
    @activations.registry.register("throw_away")
    @frozen
    class ThrowAway(activations.Activation):
        """A test's own."""

        height: float = option("Height", "How high.", default=1.0, ge=0)

    try:
        found = schema.schema()["$defs"]["activation.throw_away"]
    finally:
        activations.registry.unregister("throw_away")
    assert found["properties"]["height"] == {
        "description": "Height: How high.",
        "type": "number",
        "minimum": 0,
        "default": 1.0,
    }

"""The JSON Schema of `.gradsim` files, made from the definitions.

``python -m gradsim.model.schema`` writes it.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import annotated_types

from gradsim import data, resources
from gradsim.model import file, migrations
from gradsim.model.experiment import Experiment
from gradsim.nn import optimizers
from gradsim.nn.spec import MISSING, REGISTRIES, FieldView, Registry, Spec, fields_of, to_json

NAME = f"schema/gradsim-{migrations.CURRENT}.schema.json"
"""Where the published schema lies in the resources."""

KINDS = (
    "layer",
    "activation",
    "initializer",
    "regularizer",
    "loss",
    "optimizer",
    "schedule",
    data.registry.kind,
)

Json = dict[str, Any]


def schema() -> Json:
    """The schema of the current format (JSON Schema 2020-12)."""
    definitions: Json = {}
    for kind in KINDS:
        registry = REGISTRIES[kind]
        definitions[kind] = _kind(registry)
        for identifier in registry:
            definitions[f"{kind}.{identifier}"] = _object(registry[identifier])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gradsim experiment",
        "description": Experiment.summary(),
        "type": "object",
        "properties": {
            migrations.KEY: {"description": "Number of the file format.", "const": migrations.CURRENT},
            **{view.name: _field(Experiment, view) for view in fields_of(Experiment) if not view.hidden},
            **{
                name: {"description": "Kept for the program that shows the experiment.", "type": "object"}
                for name in file.EXTENSIONS
            },
        },
        "required": [migrations.KEY],
        "additionalProperties": False,
        "$defs": definitions,
    }


def text() -> str:
    """The schema as the text of its file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _kind(registry: Registry) -> Json:
    bare = [
        name
        for cls in registry.values()
        for name in (cls.identifier, *cls.aliases)
        if not any(view.required for view in fields_of(cls))
    ]
    named: list[Json] = [{"description": "Its name stands for one with default values.", "enum": bare}]
    return {"anyOf": named + [{"$ref": f"#/$defs/{registry.kind}.{name}"} for name in registry]}


def _object(cls: type[Spec]) -> Json:
    views = [view for view in fields_of(cls) if not view.hidden]
    found: Json = {
        "description": cls.summary(),
        "type": "object",
        "properties": {
            "type": {"enum": [cls.identifier, *cls.aliases]},
            **{view.name: _field(cls, view) for view in views},
        },
        "required": ["type", *(view.name for view in views if view.required)],
        "additionalProperties": False,
    }
    if issubclass(cls, optimizers.Optimizer):
        number = {"type": "number"}
        found["not"] = {
            "anyOf": [
                {"properties": {a: number, b: number}, "required": [a, b]}
                for a, b in itertools.combinations(("clipvalue", "clipnorm", "global_clipnorm"), 2)
            ]
        }
    return found


def _field(cls: type[Spec], view: FieldView) -> Json:
    found = _value(cls, view)
    if view.optional:
        found = {"anyOf": [found, {"type": "null"}]}
    described = f"{view.title}: {view.help}" if view.help else view.title
    if view.unit:
        described += f" Unit: {view.unit}."
    found = {"description": described, **found}
    if view.default is not MISSING:
        found["default"] = to_json(view.default)
    return found


def _value(cls: type[Spec], view: FieldView) -> Json:
    if view.name == "data" and cls is Experiment:
        return {"$ref": f"#/$defs/{data.registry.kind}"}
    match view.type:
        case "int" | "float":
            found: Json = {"type": "integer" if view.type == "int" else "number"}
            for key, bound, exclusive in (
                ("Minimum", view.minimum, view.exclusive_minimum),
                ("Maximum", view.maximum, view.exclusive_maximum),
            ):
                if bound is not None:
                    found[f"exclusive{key}" if exclusive else key.lower()] = bound
            return {"anyOf": [found, {"$ref": f"#/$defs/{view.kind}"}]} if view.kind else found
        case "bool":
            return {"type": "boolean"}
        case "text":
            matched = {"pattern": f"^(?:{view.pattern})$"} if view.pattern else {}
            return {"type": "string", **_lengths(cls, view.name), **matched}
        case "choice":
            return {"enum": list(view.choices)}
        case "spec":
            return {"$ref": f"#/$defs/{view.kind}"}
        case "specs":
            return {"type": "array", "items": {"$ref": f"#/$defs/{view.kind}"}}
    raise TypeError(f"{cls.__name__}.{view.name} has a type that no file can hold: {view.type}")


def _lengths(cls: type[Spec], name: str) -> Json:
    found: Json = {}
    for item in cls.__pydantic_fields__[name].metadata:  # type: ignore[attr-defined]
        if isinstance(item, annotated_types.MinLen):
            found["minLength"] = item.min_length
        elif isinstance(item, annotated_types.MaxLen):
            found["maxLength"] = item.max_length
    return found


def main() -> None:
    """Writes the schema to the resources."""
    path = Path(resources.root()) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{NAME} written\n")


if __name__ == "__main__":
    main()

"""Fields of a lesson file that hold further objects, with faults that name their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from gradsim.i18n import tr
from gradsim.model.faults import field_names, near
from gradsim.nn.spec import Spec, located

Kinds = Mapping[str, type[Spec]]
"""Specs by the word that stands under ``type`` in a file."""


def made(cls: type[Spec], value: object) -> Any:
    """A spec from a JSON object (or itself).

    Raises:
        pydantic.ValidationError: with the place of every fault.
        PydanticCustomError: if it is no object at all.
    """
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("object_type", tr("must be an object"))
    names = field_names(cls)
    faults: list[Any] = [
        {
            "type": PydanticCustomError(
                "unknown_field",
                tr("is not a field here; must be one of {names}", names=", ".join(names)) + near(str(key), names),
            ),
            "loc": (str(key),),
            "input": entry,
        }
        for key, entry in value.items()
        if key not in names
    ]
    try:
        found = cls(**{key: entry for key, entry in value.items() if key in names})
    except ValidationError as error:
        faults += located(error, ())
    if faults:
        raise ValidationError.from_exception_data(cls.__name__, faults)
    return found


def chosen(kinds: Kinds, value: object) -> Any:
    """A spec from a JSON object whose ``type`` names one of several kinds; raises as :func:`made`."""
    if isinstance(value, Spec) and any(type(value) is cls for cls in kinds.values()):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("object_type", tr("must be an object with a 'type'"))
    name = value.get("type")
    if not isinstance(name, str) or name not in kinds:
        hint = near(name, kinds) if isinstance(name, str) else ""
        words = tr("must be one of {names}", names=", ".join(kinds)) + hint
        fault: Any = {"type": PydanticCustomError("unknown_type", words), "loc": ("type",), "input": name}
        raise ValidationError.from_exception_data("object", [fault])
    return made(kinds[name], {key: entry for key, entry in value.items() if key != "type"})


def part(cls: type[Spec], *, optional: bool = False) -> Any:
    """Annotation metadata of a field that holds one object of a class (or null)."""
    return pydantic.BeforeValidator(lambda value: None if optional and value is None else made(cls, value))


def one_of(kinds: Kinds, *, optional: bool = False) -> Any:
    """Annotation metadata of a field that holds one object of one of several kinds (or null)."""
    return pydantic.BeforeValidator(lambda value: None if optional and value is None else chosen(kinds, value))


def _each(value: object, make: Any) -> tuple[Any, ...]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise PydanticCustomError("sequence_type", tr("must be a list"))
    found: list[Any] = []
    faults: list[Any] = []
    for index, entry in enumerate(value):
        try:
            found.append(make(entry))
        except ValidationError as error:
            faults += located(error, (index,))
        except PydanticCustomError as error:
            faults.append({"type": error, "loc": (index,), "input": entry})
    if faults:
        raise ValidationError.from_exception_data("list", faults)
    return tuple(found)


def parts(cls: type[Spec]) -> Any:
    """Annotation metadata of a field that holds a list of objects of a class."""
    return pydantic.BeforeValidator(lambda value: _each(value, lambda entry: made(cls, entry)))


def values() -> Any:
    """Annotation metadata of a field that holds a list of plain values."""
    return pydantic.BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)

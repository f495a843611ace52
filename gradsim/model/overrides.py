"""Fields of an experiment changed from outside by their paths, before it is validated as a whole.

``--set PATH=VALUE`` of the commands, and the edits of a lesson's step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from gradsim.i18n import tr
from gradsim.model.experiment import Experiment
from gradsim.model.faults import PathError, field_names, near, parse_path
from gradsim.nn.spec import MISSING, REGISTRIES, Fault, FieldView, Spec, fields_of, path_text, to_json


class SettingError(ValueError):
    """A setting that leads nowhere."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


def apply(content: dict[str, Any], settings: Iterable[str]) -> list[Fault]:
    """Applies settings in order to an experiment's JSON values, in place.

    Args:
        content: As :func:`gradsim.model.file.content_of` gives it.
        settings: Texts as ``layers[3].units=50``.

    Returns:
        A fault for each setting that leads nowhere; whether the values are allowed is not decided here.
    """
    faults = []
    for setting in settings:
        try:
            path, equals, value = setting.partition("=")
            if not equals:
                raise SettingError(Fault("--set", tr("must be PATH=VALUE, as in layers[3].units=50"), setting))
            assign(content, path.strip(), value.strip())
        except SettingError as error:
            faults.append(error.fault)
    return faults


def assign(content: dict[str, Any], path: str, value: str) -> None:
    """Puts a value given as text at a place; raises :class:`SettingError`."""
    _put(content, path, lambda is_text: value if is_text else _value(value))


def put(content: dict[str, Any], path: str, value: Any) -> None:
    """Puts a JSON value at a place; raises :class:`SettingError`."""
    _put(content, path, lambda is_text: value)


def _put(content: dict[str, Any], path: str, made: Callable[[bool], Any]) -> None:
    """Puts what ``made`` gives, told whether the place holds text."""
    try:
        parts = parse_path(path)
    except PathError as error:
        raise SettingError(Fault("--set", error.allowed, path)) from None
    node: Any = content
    cls: type[Spec] | None = Experiment
    kind = ""
    for number, part in enumerate(parts):
        here = path_text(parts[:number])
        view: FieldView | None = None
        if isinstance(part, int):
            if not isinstance(node, list):
                raise SettingError(Fault(here or "--set", tr("is no list, so nothing in it has a number"), f"[{part}]"))
            if part >= len(node):
                allowed = (
                    tr("must be from {place}[0] to {place}[{last}]", place=here, last=len(node) - 1)
                    if node
                    else tr("there is nothing in {place}", place=here)
                )
                raise SettingError(Fault(path_text(parts[: number + 1]), allowed, part))
            child = node[part]
        else:
            if not isinstance(node, dict) or cls is None:
                raise SettingError(Fault(path_text(parts[: number + 1]), tr("{place} has no fields", place=here), part))
            view = next((view for view in fields_of(cls) if view.name == part and not view.hidden), None)
            if view is None:
                names = field_names(cls)
                message = tr("is not a field here; must be one of {names}", names=", ".join(names)) + near(part, names)
                raise SettingError(Fault(path_text(parts[: number + 1]), message, part))
            kind = "dataset" if cls is Experiment and part == "data" else view.kind
            child = node.get(part, MISSING if view.default is MISSING else to_json(view.default))
        if number == len(parts) - 1:
            node[part] = made(view is not None and view.type == "text")
            return
        # A bare name stands for an object with default values, and only an object can take a field.
        if isinstance(child, str) and kind:
            child = {"type": child}
        node[part] = child
        node, cls = child, _class(child, kind)


def _class(content: Any, kind: str) -> type[Spec] | None:
    name = content.get("type") if isinstance(content, dict) else None
    registry = REGISTRIES.get(kind)
    return registry[name] if registry is not None and isinstance(name, str) and name in registry else None


_WORDS = {"None": None, "none": None, "True": True, "False": False}


def _value(text: str) -> Any:
    """JSON, a number, or a name that stands for itself."""
    if text in _WORDS:
        return _WORDS[text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return float(text)
    except ValueError:
        return text

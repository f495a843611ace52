"""What is wrong with an input, in words that say what is allowed and where."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ArgsKwargs

from gradsim.i18n import tr
from gradsim.nn.spec import REGISTRIES, Fault, Spec, faults_of, fields_of

SHOWN = 100
"""Most faults that a message lists; the exception holds them all."""

Parts = tuple[str | int, ...]


class FaultsError(ValueError):
    """An input that can't be used.

    Attributes:
        faults: Everything that is wrong with it.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        lines = [str(fault) for fault in self.faults[:SHOWN]]
        if len(self.faults) > SHOWN:
            lines.append(tr("... and {n} more", n=len(self.faults) - SHOWN))
        super().__init__("\n".join(lines))


class PathError(ValueError):
    """A text is no path, as in ``layers[3].units``.

    Attributes:
        allowed: What must be there.
    """

    def __init__(self, text: str) -> None:
        self.allowed = tr("must be a path as in layers[3].units or optimizer.learning_rate")
        received = repr(text) if text else tr("nothing")
        super().__init__(tr("{message} (received {value})", message=self.allowed, value=received))


_PART = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_]*)|\[(\d{1,9})\]")


def parse_path(text: str) -> Parts:
    """``"layers[3].units"`` as ``("layers", 3, "units")``.

    Raises:
        PathError: if it is none.
    """
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        # A dot stands before every name but the first.
        dotted = text.startswith(".", position)
        if match is None or (match[1] is not None and dotted == (position == 0)):
            raise PathError(text)
        parts.append(match[1] if match[1] is not None else int(match[2]))
        position = match.end()
    if not parts:
        raise PathError(text)
    return tuple(parts)


def near(word: str, words: Iterable[str]) -> str:
    """``" (did you mean 'units'?)"`` for a word that is nearly one of ``words``, else ``""``."""
    # Upper and lower case is the most frequent slip, and the one that difflib weighs worst.
    lowered = {candidate.lower(): candidate for candidate in words}
    found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return tr(" (did you mean {name!r}?)", name=lowered[found[0]]) if found else ""


def field_names(cls: type[Spec]) -> list[str]:
    """The fields of a spec that a file may hold."""
    return [view.name for view in fields_of(cls) if not view.hidden]


def class_at(root: type[Spec], content: Any, parts: Parts) -> type[Spec] | None:
    """Which spec the JSON object at a place stands for, or None if that can't be told.

    Args:
        root: The class that ``content`` as a whole stands for.
        content: JSON values.
        parts: The place.
    """
    cls: type[Spec] | None = root
    kind = ""
    for part in parts:
        if isinstance(part, int):
            if not isinstance(content, list | tuple) or part >= len(content):
                return None
            content = content[part]
        else:
            view = next((view for view in fields_of(cls) if view.name == part), None) if cls else None
            if view is None or not isinstance(content, Mapping):
                return None
            kind = "dataset" if view.name == "data" else view.kind
            content = content.get(part, view.default)
        if isinstance(content, list | tuple):
            cls = None
        else:
            cls = _class_of(content, kind)
    return cls


def _class_of(content: Any, kind: str) -> type[Spec] | None:
    if isinstance(content, Spec):
        return type(content)
    name = content.get("type") if isinstance(content, Mapping) else content
    registry = REGISTRIES.get(kind)
    if registry is None or not isinstance(name, str) or name not in registry:
        return None
    return registry[name]


def faults_in(error: ValidationError, root: type[Spec], content: Any) -> list[Fault]:
    """The faults of a validation, each with what is allowed.

    Args:
        root: The class that was to be made.
        content: The JSON values it was to be made from.
    """
    return [explained(fault, root, content) for fault in faults_of(error)]


def explained(fault: Fault, root: type[Spec], content: Any) -> Fault:
    """A fault with the allowed names where a field is unknown, and the plain value that was received."""
    received, path = fault.received, fault.path
    if path.endswith(".type") and isinstance(_value_at(content, path.removesuffix(".type")), str):
        # The file says "loss": "mze" and has no "type" there.
        path = path.removesuffix(".type")
    if isinstance(received, ArgsKwargs):
        received = dict(received.kwargs or {})
    message = fault.message
    if message.endswith(tr("is not a field here")):
        try:
            parts = parse_path(fault.path)
        except PathError:
            parts = ()
        cls = class_at(root, content, parts[:-1]) if parts else root
        if cls is not None and parts:
            names = field_names(cls)
            message = tr("is not a field here; must be one of {names}", names=", ".join(names))
            message += near(str(parts[-1]), names)
    elif isinstance(received, str) and fault.allowed:
        message += near(received, fault.allowed)
    return Fault(path, message, received, fault.allowed)


def _value_at(content: Any, path: str) -> Any:
    try:
        for part in parse_path(path):
            content = content[part]
    except (PathError, LookupError, TypeError):
        return None
    return content

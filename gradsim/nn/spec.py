"""Specifications: frozen values with described fields, registered once by name.

A *spec* is a frozen dataclass (an activation, a layer, an optimizer ...). Everything that a form, a file, a
message or a table needs to know about it follows from its class: the fields with title, unit, bounds, default and
help. A registry holds the specs of one kind under their Keras identifiers.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, ParamSpec, TypeVar, Union, cast, get_args, get_origin

import annotated_types
import pydantic
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from gradsim.i18n import mark, tr

CONFIG = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)

T = TypeVar("T")


def option(
    title: str = "",
    help: str = "",
    *,
    default: Any = ...,
    unit: str = "",
    step: float | None = None,
    live: bool = False,
    advanced: bool = False,
    hidden: bool = False,
    kw_only: bool = False,
    pattern: str = "",
    **bounds: Any,
) -> Any:
    """Declares a field of a spec.

    Args:
        title: What a form shows as the label.
        help: One plain sentence for the tooltip and the reference table.
        default: The value when none is given; without it the field is required.
        unit: Unit shown behind the value.
        step: Step of a spin box; for a log-scaled field the factor of one step.
        live: True if the value can change in the middle of a run without losing weights.
        advanced: True if a form may fold the field away.
        hidden: True if neither forms nor files show the field.
        kw_only: True if the field can't be given by position.
        pattern: What a text must match as a whole, as a regular expression that JSON Schema (ECMA 262) reads alike;
            the field's own validator says so in words.
        bounds: ``ge``, ``gt``, ``le``, ``lt`` and the other constraints of ``pydantic.Field``.
    """
    extra: Any = {
        "unit": unit, "step": step, "live": live, "advanced": advanced, "hidden": hidden, "pattern": pattern,
    }  # fmt: skip
    return pydantic.Field(default, title=title, description=help, kw_only=kw_only, json_schema_extra=extra, **bounds)


P = ParamSpec("P")


def once(function: Callable[P, T]) -> Callable[P, T]:
    """As ``functools.cache``, with the function's own signature for type checkers."""
    return functools.cache(function)  # type: ignore[return-value]


@typing.dataclass_transform(frozen_default=True, field_specifiers=(pydantic.Field, option))
def frozen(cls: type[T]) -> type[T]:
    """Makes a class a frozen, validated dataclass: the form of every spec."""
    made: Any = pydantic_dataclass(frozen=True, config=CONFIG)(cls)
    return cast(type[T], made)


@frozen
class Spec:
    """Base of everything that is registered."""

    kind: ClassVar[str] = ""
    identifier: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def summary(cls) -> str:
        """First line of the docstring: what a palette or a tooltip says."""
        return (cls.__doc__ or "").strip().split("\n")[0]


S = TypeVar("S", bound=Spec)


class Registry(Mapping[str, type[Any]]):
    """The specs of one kind, by identifier, in order of definition.

    Args:
        kind: The word for one of them in messages ("activation").
        by_name: True if a spec without a value of its own is written as its bare identifier in files, as Keras does
            for activations, initializers and losses.
        required: Field that a bare identifier can't stand for.
    """

    def __init__(self, kind: str, *, by_name: bool = True) -> None:
        self.kind = kind
        self.by_name = by_name
        self._specs: dict[str, type[Any]] = {}
        self._aliases: dict[str, str] = {}
        REGISTRIES[kind] = self

    def register(self, identifier: str, *aliases: str) -> Callable[[type[S]], type[S]]:
        """Class decorator: registers a frozen spec under its identifier and further spellings."""

        def decorate(cls: type[S]) -> type[S]:
            for name in (identifier, *aliases):
                if name in self._specs or name in self._aliases:
                    raise ValueError(f"{self.kind} {name!r} is registered already")
            cls.kind = self.kind
            cls.identifier = identifier
            cls.aliases = aliases
            self._specs[identifier] = cls
            for alias in aliases:
                self._aliases[alias] = identifier
            return cls

        return decorate

    def unregister(self, identifier: str) -> None:
        """Takes a spec out again, with its aliases (tests register throw-away ones)."""
        cls = self._specs.pop(identifier)
        for alias in cls.aliases:
            del self._aliases[alias]

    def __getitem__(self, name: str) -> type[Any]:
        return self._specs[self._aliases.get(name, name)]

    def __contains__(self, name: object) -> bool:
        return name in self._specs or name in self._aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def create(self, name: str, **values: Any) -> Any:
        """A spec by its identifier or alias; raises ``pydantic.ValidationError`` with every fault."""
        return self.validate({"type": name, **values})

    def validate(self, value: object) -> Any:
        """A spec from a spec, an identifier or ``{"type": identifier, field: value}``.

        Raises:
            pydantic.ValidationError: with the place of every fault.
        """
        if isinstance(value, Spec) and value.kind == self.kind:
            return value
        if isinstance(value, type) and issubclass(value, Spec) and value.kind == self.kind:
            value = value.identifier
        if isinstance(value, str):
            value = {"type": value}
        if not isinstance(value, Mapping):
            raise PydanticCustomError(
                "spec_type", tr("must be the name of {kind} or an object with a 'type'", kind=_a(self.kind))
            )
        values = dict(value)
        name = values.pop("type", None)
        if not isinstance(name, str) or name not in self:
            raise _fault(
                ("type",),
                "unknown_type",
                tr("is not {kind}; must be one of {names}", kind=_a(self.kind), names=", ".join(self)),
                name,
                list(self),
            )
        return self[name](**values)


REGISTRIES: dict[str, Registry] = {}


_KINDS = {
    "activation": mark("an activation"),
    "dataset": mark("a dataset"),
    "initializer": mark("an initializer"),
    "layer": mark("a layer"),
    "loss": mark("a loss"),
    "optimizer": mark("an optimizer"),
    "regularizer": mark("a regularizer"),
    "schedule": mark("a schedule"),
}


def _a(kind: str) -> str:
    """One thing of a kind, in words."""
    return tr(_KINDS.get(kind, f"a {kind}"))


def _fault(
    loc: tuple[int | str, ...], kind: str, message: str, received: object, allowed: list[str]
) -> ValidationError:
    return ValidationError.from_exception_data(
        "spec",
        [{"type": PydanticCustomError(kind, message, {_ALLOWED: allowed}), "loc": loc, "input": received}],
    )


_ALLOWED = "allowed"
"""Where a pydantic fault of our own keeps the values that may stand there."""


def reference(kind: str) -> Any:
    """Annotation metadata for a field that holds a spec of another kind, given as spec, name or JSON object."""
    return pydantic.BeforeValidator(lambda value: REGISTRIES[kind].validate(value))


def optional_reference(kind: str) -> Any:
    """As :func:`reference`, where None is allowed."""
    return pydantic.BeforeValidator(lambda value: None if value is None else REGISTRIES[kind].validate(value))


def references(kind: str) -> Any:
    """Annotation metadata for a tuple of specs, given as any sequence of specs or JSON objects."""

    def validate(value: object) -> tuple[Any, ...]:
        if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
            raise PydanticCustomError("sequence_type", tr("must be a list"))
        found: list[Any] = []
        faults: list[Any] = []
        for index, item in enumerate(value):
            try:
                found.append(REGISTRIES[kind].validate(item))
            except ValidationError as error:
                faults += located(error, (index,))
            except PydanticCustomError as error:
                faults.append({"type": error, "loc": (index,), "input": item})
        if faults:
            raise ValidationError.from_exception_data("list", faults)
        return tuple(found)

    return pydantic.BeforeValidator(validate)


def located(error: ValidationError, prefix: tuple[int | str, ...]) -> list[Any]:
    """The faults of an error again, with their places below ``prefix``."""
    return [
        {
            "type": PydanticCustomError(
                "missing_field" if _is_missing(fault) else "fault", message_of(fault), {_ALLOWED: list(_allowed(fault))}
            ),
            "loc": (*prefix, *fault["loc"]),
            "input": fault["input"],
        }
        for fault in error.errors(include_url=False)
    ]


def _is_missing(fault: Mapping[str, Any]) -> bool:
    return fault["type"] in ("missing", "missing_field")


def _allowed(fault: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts that may stand at the place of a fault, as far as they can be listed."""
    context = fault.get("ctx", {})
    if fault["type"] == "literal_error":
        # As pydantic words it: 'a', 'b' or 'c'.
        return tuple(re.findall(r"'([^']*)'", context["expected"]))
    return tuple(context.get(_ALLOWED, ()))


_WORDS = {
    "missing": mark("is missing and must be given"),
    "unexpected_keyword_argument": mark("is not a field here"),
    "extra_forbidden": mark("is not a field here"),
    "finite_number": mark("must be a finite number"),
    "int_type": mark("must be a whole number"),
    "int_from_float": mark("must be a whole number"),
    "float_type": mark("must be a number"),
    "bool_type": mark("must be true or false"),
    "string_type": mark("must be text"),
    "string_too_long": mark("String should have at most {max_length} characters"),
    "greater_than": mark("must be greater than {gt}"),
    "greater_than_equal": mark("must be at least {ge}"),
    "less_than": mark("must be less than {lt}"),
    "less_than_equal": mark("must be at most {le}"),
    "literal_error": mark("must be one of {expected}"),
    "too_short": mark("must have at least {min_length} entries"),
    "none_required": mark("must be empty"),
}


def message_of(fault: Mapping[str, Any]) -> str:
    """A pydantic fault as a plain sentence fragment: what is allowed."""
    words = _WORDS.get(fault["type"])
    if words is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    context = {key: f"{value:g}" if isinstance(value, float) else value for key, value in fault.get("ctx", {}).items()}
    if "expected" in context:
        # Its last two are joined by a word.
        head, _, last = str(context["expected"]).rpartition(" or ")
        context["expected"] = tr("{names} or {last}", names=head, last=last) if head else last
    return tr(words, **context)


SHOWN = 160
"""Most characters of a received value in a message."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One thing that is wrong in an input.

    Attributes:
        path: Place, as in ``layers[3].units``.
        message: What is allowed there.
        received: The value that was found (``MISSING`` where nothing was).
        allowed: The texts that may stand there, where they can be listed.
    """

    path: str
    message: str
    received: Any
    allowed: tuple[str, ...] = dataclasses.field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        place = self.path or tr("the experiment")
        if self.received is MISSING:
            return tr("{place}: {message}", place=place, message=self.message)
        shown = repr(self.received)
        if len(shown) > SHOWN:
            # Cut in the middle: a path ends in the name of the file.
            shown = shown[: SHOWN // 2] + "..." + shown[-(SHOWN // 2) :]
        return tr("{place}: {message} (received {value})", place=place, message=self.message, value=shown)


MISSING: Any = type("Missing", (), {"__repr__": lambda self: "nothing"})()


def path_text(loc: tuple[int | str, ...]) -> str:
    """``("layers", 3, "units")`` as ``layers[3].units``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def faults_of(error: ValidationError) -> list[Fault]:
    """Every fault of a validation error, in the order of the input."""
    return [
        Fault(
            path_text(tuple(part for part in fault["loc"] if part != "function-before")),
            message_of(fault),
            MISSING if _is_missing(fault) else fault["input"],
            _allowed(fault),
        )
        for fault in error.errors(include_url=False)
    ]


@dataclasses.dataclass(frozen=True)
class FieldView:
    """What a form or a table needs to know of one field of a spec.

    Attributes:
        name: Name of the attribute.
        type: "int", "float", "bool", "text", "choice", "spec", "specs" or "other".
        kind: For "spec" and "specs": the registry's kind; for a number that may also be a spec (a learning rate): the
            kind of that spec.
        optional: True if None is allowed.
        choices: For "choice": the allowed values.
        minimum, maximum: Bounds, or None; ``exclusive_*`` tells whether the bound itself is excluded.
        pattern: For "text": the regular expression that it must match as a whole, or "".
    """

    name: str
    type: str
    title: str
    help: str
    default: Any
    unit: str
    step: float | None
    live: bool
    advanced: bool
    hidden: bool
    optional: bool
    kind: str = ""
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    pattern: str = ""

    @property
    def required(self) -> bool:
        """True if the field has no default."""
        return self.default is MISSING


@once
def fields_of(cls: type[Any]) -> tuple[FieldView, ...]:
    """The fields of a spec class, hidden ones included, in order of definition."""
    infos: dict[str, FieldInfo] = cls.__pydantic_fields__
    return tuple(_view(name, info) for name, info in infos.items())


def _is_spec(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Spec)


def _view(name: str, info: FieldInfo) -> FieldView:
    annotation: Any = info.annotation
    optional, alternative = False, ""
    if get_origin(annotation) in (Union, types.UnionType):
        members = [part for part in get_args(annotation) if part is not type(None)]
        optional = len(members) < len(get_args(annotation))
        specs = [part for part in members if _is_spec(part)]
        annotation = members[0]
        alternative = specs[0].kind if specs and annotation is not specs[0] else ""
    metadata = list(info.metadata)
    if get_origin(annotation) is Annotated:
        metadata += annotation.__metadata__
        annotation = get_args(annotation)[0]
    type_, kind, choices = "other", alternative, ()
    if annotation in (int, float, bool, str):
        type_ = {int: "int", float: "float", bool: "bool", str: "text"}[annotation]
    elif get_origin(annotation) is Literal:
        type_, choices = "choice", get_args(annotation)
    elif _is_spec(annotation):
        type_, kind = "spec", annotation.kind
    elif get_origin(annotation) is tuple and _is_spec(get_args(annotation)[0]):
        type_, kind = "specs", get_args(annotation)[0].kind
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    bounds: dict[str, Any] = {}
    for item in metadata:
        match item:
            case annotated_types.Ge(ge=value):
                bounds["minimum"] = value
            case annotated_types.Gt(gt=value):
                bounds.update(minimum=value, exclusive_minimum=True)
            case annotated_types.Le(le=value):
                bounds["maximum"] = value
            case annotated_types.Lt(lt=value):
                bounds.update(maximum=value, exclusive_maximum=True)
    default = MISSING if info.is_required() else info.get_default(call_default_factory=True, validated_data={})
    flags: dict[str, Any] = {
        key: extra.get(key, blank)
        for key, blank in (
            ("unit", ""),
            ("step", None),
            ("live", False),
            ("advanced", False),
            ("hidden", False),
            ("pattern", ""),
        )
    }
    return FieldView(
        name,
        type_,
        info.title or name,
        info.description or "",
        default,
        kind=kind,
        choices=choices,
        optional=optional,
        **flags,
        **bounds,
    )


def to_json(value: Any) -> Any:
    """A spec as plain JSON values; fields equal to their default are left out.

    A spec whose registry is ``by_name`` and that has no value of its own is its bare identifier.
    """
    if isinstance(value, Spec):
        registry = REGISTRIES.get(value.kind)
        content = {
            view.name: to_json(getattr(value, view.name))
            for view in fields_of(type(value))
            if not view.hidden and not _same(getattr(value, view.name), view.default)
        }
        if registry is None:
            return content
        if registry.by_name and not content:
            return value.identifier
        return {"type": value.identifier, **content}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, Spec) and isinstance(default, str):
        return bool(to_json(value) == default)
    return (type(value) is type(default) and bool(value == default)) or (
        isinstance(value, int | float)
        and isinstance(default, int | float)
        and not isinstance(value, bool)
        and math.isclose(value, default, rel_tol=0, abs_tol=0)
    )

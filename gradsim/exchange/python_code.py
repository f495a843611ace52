"""Follows Python code that builds a network without executing any of it.

The syntax tree is walked over a small set of values: constants, lists, names of a framework, and what calls of
such names would make. Whatever depends on anything else is an :class:`Opaque`, and stays one. Steps, sizes and depth
are bounded, so that no code can make this take long or much memory.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import math
import operator
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gradsim.exchange.results import ImportFault, Notes, Place, Spot
from gradsim.i18n import mark, tr
from gradsim.nn.spec import MISSING, Fault

MAX_SOURCE = 2 * 2**20
MAX_STEPS = 400_000
LOOP_STEPS = 100_000
"""After so many steps a loop that makes no layers is left."""
MAX_ITEMS = 20_000
MAX_TEXT = 20_000
MAX_BITS = 128
MAX_CALLS = 40
MAX_MADE = 12_000


@dataclasses.dataclass(eq=False)
class Name:
    """Something importable, by its full name."""

    dotted: str

    @property
    def last(self) -> str:
        """The name without the modules around it."""
        return self.dotted.rpartition(".")[2]


@dataclasses.dataclass(eq=False)
class Opaque:
    """A value that can't be known without running the code."""

    text: str
    place: Place


@dataclasses.dataclass(eq=False)
class Made:
    """What calling a framework's name gives.

    Attributes:
        name: The full name that was called.
        loop: For each loop around the call, from the outside: which loop and which round of it.
        attributes: What was set on it later, or what the framework keeps with it.
    """

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    place: Place
    loop: tuple[tuple[int, int], ...] = ()
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def last(self) -> str:
        """The name without the modules around it."""
        return self.name.rpartition(".")[2]


@dataclasses.dataclass(eq=False)
class Partial:
    """A name with some arguments filled in."""

    target: Any
    args: list[Any]
    kwargs: dict[str, Any]


@dataclasses.dataclass(eq=False)
class Function:
    """A function of the code itself."""

    name: str
    arguments: ast.arguments
    body: list[ast.stmt] | ast.expr
    defaults: list[Any]
    kw_defaults: list[Any]
    scope: Scope
    place: Place

    @property
    def is_lambda(self) -> bool:
        """True if it was written as one."""
        return isinstance(self.body, ast.expr)


@dataclasses.dataclass(eq=False)
class Class:
    """A class of the code itself that the framework knows how to take.

    Attributes:
        kind: The full name of what its instances are.
    """

    kind: str
    start: Function | None
    attributes: dict[str, Any]


@dataclasses.dataclass(eq=False)
class Method:
    """A method of a value, before it is called."""

    owner: Any
    name: str


class Scope:
    """Names and their values, inside of another scope."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.values: dict[str, Any] = {}
        self.outer = outer

    def find(self, name: str) -> Any:
        """The value, or MISSING."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        return MISSING


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Framework:
    """What a framework's names mean; the interpreter asks it about everything that it does not know itself."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes

    def undefined(self, name: str) -> Any:
        """What a name stands for that the code does not define, or MISSING."""
        return MISSING

    def defined(self, node: ast.ClassDef) -> tuple[str, dict[str, Any]] | None:
        """What instances of a class of the code are, and what each keeps; None if that can't be told."""
        return None

    def knows(self, dotted: str) -> bool:
        """True if calls of this name are of interest."""
        return False

    def made(self, made: Made) -> Any:
        """Called for each call of a name that it knows; gives the call's value."""
        return made

    def called(self, made: Made, args: list[Any], kwargs: dict[str, Any], place: Place, interpreter: Any) -> Any:
        """A made thing is called."""
        return Opaque(f"{made.last}(...)", place)

    def method(
        self, owner: Any, name: str, args: list[Any], kwargs: dict[str, Any], place: Place, interpreter: Interpreter
    ) -> Any:
        """A method of a made or an opaque thing is called."""
        return MISSING

    def function(self, function: Function, args: list[Any], place: Place) -> Any:
        """What calling a function of the code gives, if its name says it all; else MISSING, and it is followed."""
        return MISSING

    def combined(
        self, op: ast.operator, left: Made, right: Made, place: Place, loop: tuple[tuple[int, int], ...]
    ) -> Any:
        """What an operator makes of two made things, or MISSING."""
        return MISSING

    def attribute(self, made: Made, name: str) -> Any:
        """An attribute of a made thing, or MISSING."""
        return made.attributes.get(name, MISSING)

    def assigned(self, made: Made, name: str, value: Any, place: Place) -> None:
        """An attribute of a made thing is set."""
        made.attributes[name] = value

    def isinstance(self, value: Any, kinds: Sequence[Any]) -> bool | None:
        """Whether a value is one of these; None if that is not known."""
        return None


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitOr: operator.or_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_FUNCTIONS = ("sqrt", "exp", "log", "log2", "log10", "floor", "ceil", "pi", "e", "inf")
_MATH: dict[str, Any] = {f"{module}.{name}": getattr(math, name) for module in ("math", "numpy") for name in _FUNCTIONS}
_SCALARS = (int, float, str, bool, type(None))
_ERRORS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


def _scalar(value: Any) -> bool:
    return isinstance(value, _SCALARS)


def _flat(value: Any) -> bool:
    return _scalar(value) or (isinstance(value, list | tuple | range | dict) and all(map(_scalar, value)))


def _bounded(value: Any) -> bool:
    if isinstance(value, int):
        return value.bit_length() <= MAX_BITS
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    if isinstance(value, list | tuple | dict | range):
        return len(value) <= MAX_ITEMS
    return isinstance(value, float | type(None))


def parse(source: str, place: Callable[[int, int], Place]) -> ast.Module:
    """The syntax tree.

    Args:
        place: From line and column (both from 1) to what a message shows.

    Raises:
        ImportFault: with the place and, where that can be told, the likely mistake.
    """
    if len(source) > MAX_SOURCE:
        raise ImportFault(
            [
                Fault(
                    tr("the code"),
                    tr("must be at most {limit} MiB long", limit=MAX_SOURCE // 2**20),
                    tr("{n:,} characters", n=len(source)),
                )
            ]
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        where = place(error.lineno or 1, error.offset or 1)
        line = source.splitlines()[(error.lineno or 1) - 1 : error.lineno or 1]
        message = tr("is no Python: {reason}", reason=tr(error.msg))
        if line and re.search("[\u2018\u2019\u201c\u201d]", line[0]):
            message = tr(
                "is no Python: {reason}; write straight quotes (' or \") instead of typographic ones",
                reason=tr(error.msg),
            )
        raise ImportFault([Fault(Spot(where), message, line[0].strip() if line else MISSING)]) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ImportFault(
            [
                Fault(
                    tr("the code"),
                    tr("can't be read: {reason}", reason=str(error) or tr("it is nested too deeply")),
                    MISSING,
                )
            ]
        ) from None


_SYNTAX = (
    mark("'(' was never closed"),
    mark("'[' was never closed"),
    mark("unmatched ')'"),
    mark("unmatched ']'"),
    mark("invalid syntax"),
    mark("invalid syntax. Perhaps you forgot a comma?"),
    mark("expected ':'"),
    mark("unexpected indent"),
    mark("expected an indented block"),
    mark("unindent does not match any outer indentation level"),
    mark("positional argument follows keyword argument"),
    mark("cannot assign to function call here. Maybe you meant '==' instead of '='?"),
    mark("invalid character '‘' (U+2018)"),
    mark("invalid character '’' (U+2019)"),
    mark("invalid character '“' (U+201C)"),
    mark("invalid character '”' (U+201D)"),
    mark("invalid character '（' (U+FF08)"),
    mark("invalid character '）' (U+FF09)"),
    mark("invalid character '，' (U+FF0C)"),
    mark("invalid character '：' (U+FF1A)"),
    mark("invalid character '；' (U+FF1B)"),
    mark("invalid non-printable character U+00A0"),
    mark("invalid non-printable character U+3000"),
)
"""What Python says most often of code that it can't read."""


def _long_loop() -> str:
    return tr("a long loop that makes no layers is not followed to its end")


class Interpreter:
    """Follows one module.

    Args:
        place: From line and column to what a message shows.
    """

    def __init__(
        self, source: str, framework: Framework, notes: Notes, place: Callable[[int, int], Place] | None = None
    ) -> None:
        self.framework = framework
        self.notes = notes
        self.where = place or (lambda line, column: Place(line, column))
        self.lines = source.splitlines()
        self.tree = parse(source, self.where)
        self.steps = 0
        self.count = 0
        self.depth = 0
        self.loops = 0
        self.loop: tuple[tuple[int, int], ...] = ()
        self.globals = Scope()
        self.globals.values["__name__"] = "__main__"

    def run(self) -> None:
        """Follows the module from its first line to its last.

        Raises:
            ImportFault: if it takes too long.
        """
        try:
            self.block(self.tree.body, self.globals)
        except (_Return, _Break, _Continue):
            pass
        except RecursionError:
            raise ImportFault([Fault(tr("the code"), tr("is nested too deeply to be followed"), MISSING)]) from None

    def place(self, node: ast.AST) -> Place:
        """Where a node stands."""
        line = getattr(node, "lineno", 0)
        offset = getattr(node, "col_offset", 0)
        if 0 < line <= len(self.lines):
            # ast counts bytes, people count characters.
            offset = len(self.lines[line - 1].encode()[:offset].decode(errors="replace"))
        return self.where(line, offset + 1)

    def text(self, node: ast.AST) -> str:
        """A node as it is written, shortened."""
        line, end = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
        if not 0 < line <= len(self.lines):
            return "it"
        start = getattr(node, "col_offset", 0)
        stop = getattr(node, "end_col_offset", None) if end == line else None
        words = self.lines[line - 1].encode()[start:stop].decode(errors="replace").strip()
        return words if len(words) <= 60 and end == line else words[:57] + "..."

    def opaque(self, node: ast.AST) -> Opaque:
        return Opaque(self.text(node), self.place(node))

    def tick(self, node: ast.AST) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            message = tr("can't be followed: it takes more than {limit:,} steps up to here", limit=MAX_STEPS)
            raise ImportFault([Fault(Spot(self.place(node)), message, MISSING)])

    # Statements

    def block(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        for statement in body:
            self.statement(statement, scope)

    def statement(self, node: ast.stmt, scope: Scope) -> None:
        self.tick(node)
        match node:
            case ast.Expr(value=value):
                self.value(value, scope)
            case ast.Assign(targets=targets, value=value):
                found = self.value(value, scope)
                for target in targets:
                    self.assign(target, found, scope)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self.assign(target, self.value(value, scope), scope)
            case ast.AugAssign(target=target, op=op, value=value):
                self.augmented(node, target, op, value, scope)
            case ast.For(target=target, iter=iterable, body=body, orelse=orelse):
                self.each(node, self.value(iterable, scope), lambda item: self.assign(target, item, scope), body, scope)
                self.block(orelse, scope)
            case ast.While(test=test, body=body):
                self.repeat_while(node, test, body, scope)
            case ast.If(test=test, body=body, orelse=orelse):
                known = self.truth(self.value(test, scope))
                if known is None:
                    self.unknown_branch(node, scope)
                else:
                    self.block(body if known else orelse, scope)
            case ast.FunctionDef(name=name, args=arguments, body=body):
                scope.values[name] = self.function(name, arguments, body, scope, node)
            case ast.ClassDef():
                self.define(node, scope)
            case ast.Return(value=value):
                raise _Return(None if value is None else self.value(value, scope))
            case ast.Import(names=names):
                for alias in names:
                    scope.values[alias.asname or alias.name.partition(".")[0]] = Name(
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            case ast.ImportFrom(module=module, names=names, level=0):
                for alias in names:
                    if alias.name != "*":
                        scope.values[alias.asname or alias.name] = Name(f"{module}.{alias.name}")
            case ast.With(items=items, body=body):
                for item in items:
                    entered = self.value(item.context_expr, scope)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, entered, scope)
                self.block(body, scope)
            case ast.Try(body=body, orelse=orelse, finalbody=finalbody):
                self.block([*body, *orelse, *finalbody], scope)
            case ast.Break():
                raise _Break
            case ast.Continue():
                raise _Continue
            case _:
                pass

    def define(self, node: ast.ClassDef, scope: Scope) -> None:
        """A class: followed into its ``__init__`` if the framework knows what it is."""
        known = self.framework.defined(node)
        if known is None:
            scope.values[node.name] = self.opaque(node)
            self.notes.add(self.place(node), tr("class {name}: classes are not followed; left out", name=node.name))
            return
        start = next((s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), None)
        made = None if start is None else self.function("__init__", start.args, start.body, scope, start)
        scope.values[node.name] = Class(known[0], made, known[1])

    def function(
        self, name: str, arguments: ast.arguments, body: list[ast.stmt] | ast.expr, scope: Scope, node: ast.AST
    ) -> Function:
        defaults = [self.value(default, scope) for default in arguments.defaults]
        kw_defaults = [MISSING if d is None else self.value(d, scope) for d in arguments.kw_defaults]
        return Function(name, arguments, body, defaults, kw_defaults, scope, self.place(node))

    def unknown_branch(self, node: ast.If, scope: Scope) -> None:
        before = self.count
        # Followed only to see whether anything in it matters; what it does to names stays open.
        inner = Scope(scope)
        with contextlib.suppress(_Return, _Break, _Continue):
            self.block(node.body, inner)
        if self.count > before:
            message = tr("if {test}: only running the code can tell; taken as true", test=self.text(node.test))
            self.notes.add(self.place(node), message)
        scope.values.update(inner.values)

    def augmented(self, node: ast.AugAssign, target: ast.expr, op: ast.operator, value: ast.expr, scope: Scope) -> None:
        before = self.value(target, scope)
        added = self.value(value, scope)
        extended = isinstance(before, list) and isinstance(op, ast.Add) and isinstance(added, list | tuple | range)
        if extended and len(before) + len(added) <= MAX_ITEMS:
            before.extend(added)
            return
        self.assign(target, self.binary(node, op, before, added), scope)

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        self.tick(target)
        match target:
            case ast.Name(id=name):
                scope.values[name] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                self.unpack(targets, value, scope)
            case ast.Starred(value=inner):
                self.assign(inner, value, scope)
            case ast.Attribute(value=owner, attr=name):
                made = self.value(owner, scope)
                if isinstance(made, Made):
                    self.framework.assigned(made, name, value, self.place(target))
            case ast.Subscript(value=owner, slice=index):
                holder, key = self.value(owner, scope), self.value(index, scope)
                if isinstance(holder, list | dict) and _scalar(key) and len(holder) < MAX_ITEMS:
                    with contextlib.suppress(*_ERRORS):
                        holder[key] = value
            case _:
                pass

    def unpack(self, targets: Sequence[ast.expr], value: Any, scope: Scope) -> None:
        starred = next((i for i, t in enumerate(targets) if isinstance(t, ast.Starred)), None)
        items = list(value) if isinstance(value, list | tuple | range) else None
        if items is not None and starred is not None and len(items) >= len(targets) - 1:
            after = len(targets) - starred - 1
            middle = items[starred : len(items) - after]
            items = [*items[:starred], middle, *items[len(items) - after :]]
        if items is None or len(items) != len(targets):
            items = [Opaque(self.text(t), self.place(t)) for t in targets]
            if isinstance(value, Opaque):
                items = [Opaque(value.text, value.place) for _ in targets]
        for target, item in zip(targets, items, strict=True):
            self.assign(target, item, scope)

    def items(self, node: ast.AST, iterable: Any) -> Sequence[Any]:
        if isinstance(iterable, range | list | tuple | str | dict):
            return list(iterable) if isinstance(iterable, dict) else iterable
        if isinstance(iterable, Made):
            layers = self.framework.attribute(iterable, "layers")
            if isinstance(layers, list):
                return list(layers)
        # Once, so that whatever the body makes is seen.
        return [self.opaque(node)]

    def rounds(self, node: ast.AST, iterable: Any) -> Iterator[Any]:
        """The items of a loop, with the loop on record while its body runs."""
        self.loops += 1
        number, outer = self.loops, self.loop
        known = isinstance(iterable, list | tuple | range | str | dict | Made)
        begun, count = self.steps, self.count
        try:
            for round_, item in enumerate(self.items(node, iterable)):
                if known:
                    self.loop = (*outer, (number, round_))
                if self.steps - begun > LOOP_STEPS and self.count == count:
                    self.notes.add(self.place(node), _long_loop())
                    return
                self.tick(node)
                yield item
        finally:
            self.loop = outer

    def each(
        self, node: ast.For, iterable: Any, bind: Callable[[Any], None], body: list[ast.stmt], scope: Scope
    ) -> None:
        for item in self.rounds(node.iter, iterable):
            bind(item)
            try:
                self.block(body, scope)
            except _Break:
                break
            except _Continue:
                continue

    def repeat_while(self, node: ast.While, test: ast.expr, body: list[ast.stmt], scope: Scope) -> None:
        self.loops += 1
        number, outer, round_ = self.loops, self.loop, 0
        begun, count = self.steps, self.count
        try:
            while True:
                if self.steps - begun > LOOP_STEPS and self.count == count:
                    self.notes.add(self.place(node), _long_loop())
                    return
                self.tick(node)
                known = self.truth(self.value(test, scope))
                if known is False or (known is None and round_):
                    break
                self.loop = (*outer, (number, round_))
                round_ += 1
                try:
                    self.block(body, scope)
                except _Break:
                    break
                except _Continue:
                    continue
        finally:
            self.loop = outer

    # Expressions

    def truth(self, value: Any) -> bool | None:
        if _scalar(value) or isinstance(value, list | tuple | dict | range):
            return bool(value)
        return None if isinstance(value, Opaque) else True

    def value(self, node: ast.expr, scope: Scope) -> Any:
        """What an expression stands for."""
        self.tick(node)
        match node:
            case ast.Constant(value=value):
                return value if _scalar(value) and _bounded(value) else self.opaque(node)
            case ast.Name(id=name):
                return self.named(node, name, scope)
            case ast.Attribute(value=owner, attr=name):
                return self.attribute(node, self.value(owner, scope), name)
            case ast.Call():
                return self.call(node, scope)
            case ast.List(elts=elements):
                return self.elements(elements, scope)
            case ast.Tuple(elts=elements) | ast.Set(elts=elements):
                return tuple(self.elements(elements, scope))
            case ast.Dict(keys=keys, values=values):
                return self.mapping(keys, values, scope)
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(node, op, self.value(left, scope), self.value(right, scope))
            case ast.UnaryOp(op=op, operand=operand):
                return self.unary(node, op, self.value(operand, scope))
            case ast.BoolOp(op=op, values=values):
                return self.boolean(node, op, values, scope)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self.compare(node, left, ops, comparators, scope)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                known = self.truth(self.value(test, scope))
                if known is None:
                    return self.opaque(node)
                return self.value(body if known else orelse, scope)
            case ast.Subscript(value=owner, slice=index):
                return self.subscript(node, self.value(owner, scope), index, scope)
            case (
                ast.ListComp(elt=element, generators=generators) | ast.GeneratorExp(elt=element, generators=generators)
            ):
                found: list[Any] = []
                self.comprehend(generators, Scope(scope), lambda inner: found.append(self.value(element, inner)))
                return found
            case ast.Lambda(args=arguments, body=body):
                return self.function("lambda", arguments, body, scope, node)
            case ast.JoinedStr(values=values):
                return self.joined(node, values, scope)
            case ast.Starred(value=inner):
                return self.value(inner, scope)
            case ast.NamedExpr(target=target, value=inner):
                value = self.value(inner, scope)
                self.assign(target, value, scope)
                return value
            case _:
                return self.opaque(node)

    def named(self, node: ast.expr, name: str, scope: Scope) -> Any:
        found = scope.find(name)
        if found is not MISSING:
            return found
        if name in _BUILTINS or name in ("isinstance", "print"):
            return Name(f"builtins.{name}")
        found = self.framework.undefined(name)
        return Opaque(name, self.place(node)) if found is MISSING else found

    def attribute(self, node: ast.expr, owner: Any, name: str) -> Any:
        if isinstance(owner, Name):
            dotted = f"{owner.dotted}.{name}"
            constant = _MATH.get(dotted)
            return constant if isinstance(constant, float) else Name(dotted)
        if isinstance(owner, Made):
            found = self.framework.attribute(owner, name)
            return Method(owner, name) if found is MISSING else found
        if isinstance(owner, list | dict | str | Opaque):
            return Method(owner, name)
        return self.opaque(node)

    def elements(self, nodes: Sequence[ast.expr], scope: Scope) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            value = self.value(node, scope)
            if isinstance(node, ast.Starred) and isinstance(value, list | tuple | range):
                if len(found) + len(value) <= MAX_ITEMS:
                    found.extend(value)
            else:
                found.append(value)
        return found

    def mapping(self, keys: Sequence[ast.expr | None], values: Sequence[ast.expr], scope: Scope) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(keys, values, strict=True):
            made = self.value(value, scope)
            if key is None:
                if isinstance(made, dict) and len(found) + len(made) <= MAX_ITEMS:
                    found.update(made)
                continue
            known = self.value(key, scope)
            if _scalar(known):
                found[known] = made
        return found

    def binary(self, node: ast.AST, op: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(left, Made) and isinstance(right, Made):
            found = self.framework.combined(op, left, right, self.place(node), self.loop)
            return self.opaque(node) if found is MISSING else found
        function = _BINARY.get(type(op))
        sequences = (list, tuple, range, str)
        simple = (_scalar(left) or isinstance(left, sequences)) and (_scalar(right) or isinstance(right, sequences))
        if function is None or not simple:
            return self.opaque(node)
        if isinstance(op, ast.Pow) and not (isinstance(right, int | float) and abs(right) <= 64):
            return self.opaque(node)
        if isinstance(op, ast.Mod) and isinstance(left, str):
            return self.opaque(node)
        if isinstance(op, ast.Mult):
            for many, times in ((left, right), (right, left)):
                if isinstance(many, list | tuple | str) and isinstance(times, int) and len(many) * times > MAX_ITEMS:
                    return self.opaque(node)
        try:
            found = function(left, right)
        except _ERRORS:
            return self.opaque(node)
        return found if _bounded(found) else self.opaque(node)

    def unary(self, node: ast.expr, op: ast.unaryop, operand: Any) -> Any:
        if isinstance(op, ast.Not):
            known = self.truth(operand)
            return self.opaque(node) if known is None else not known
        if isinstance(operand, int | float):
            if isinstance(op, ast.USub):
                return -operand
            if isinstance(op, ast.UAdd):
                return +operand
        return self.opaque(node)

    def boolean(self, node: ast.expr, op: ast.boolop, values: Sequence[ast.expr], scope: Scope) -> Any:
        found: Any = None
        for value in values:
            found = self.value(value, scope)
            known = self.truth(found)
            if known is None:
                return self.opaque(node)
            if known is isinstance(op, ast.Or):
                return found
        return found

    def compare(
        self, node: ast.expr, left: ast.expr, ops: Sequence[ast.cmpop], others: Sequence[ast.expr], scope: Scope
    ) -> Any:
        before = self.value(left, scope)
        for op, other in zip(ops, others, strict=True):
            after = self.value(other, scope)
            if isinstance(op, ast.Is | ast.IsNot) and (before is None or after is None):
                if isinstance(before, Opaque) or isinstance(after, Opaque):
                    return self.opaque(node)
                if (before is after) is not isinstance(op, ast.Is):
                    return False
            else:
                function = _COMPARE.get(type(op))
                if function is None or not _flat(before) or not _flat(after):
                    return self.opaque(node)
                try:
                    if not function(before, after):
                        return False
                except _ERRORS:
                    return self.opaque(node)
            before = after
        return True

    def subscript(self, node: ast.Subscript, owner: Any, index: ast.expr, scope: Scope) -> Any:
        if isinstance(owner, Made):
            layers = self.framework.attribute(owner, "layers")
            owner = layers if isinstance(layers, list) else owner
        if not isinstance(owner, list | tuple | str | dict | range):
            return self.opaque(node)
        key: Any
        if isinstance(index, ast.Slice):
            bounds = [None if b is None else self.value(b, scope) for b in (index.lower, index.upper, index.step)]
            if not all(b is None or isinstance(b, int) for b in bounds):
                return self.opaque(node)
            key = slice(*bounds)
        else:
            key = self.value(index, scope)
            if not _scalar(key):
                return self.opaque(node)
        try:
            return owner[key]
        except _ERRORS:
            return self.opaque(node)

    def comprehend(self, generators: Sequence[ast.comprehension], scope: Scope, emit: Callable[[Scope], None]) -> None:
        if not generators:
            emit(scope)
            return
        first, rest = generators[0], generators[1:]
        for item in self.rounds(first.iter, self.value(first.iter, scope)):
            self.assign(first.target, item, scope)
            if all(self.truth(self.value(test, scope)) is not False for test in first.ifs):
                self.comprehend(rest, scope, emit)

    def joined(self, node: ast.expr, values: Sequence[ast.expr], scope: Scope) -> Any:
        words = []
        for part in values:
            if isinstance(part, ast.FormattedValue):
                value = self.value(part.value, scope)
                form = self.value(part.format_spec, scope) if part.format_spec is not None else ""
                plain = isinstance(form, str) and re.fullmatch(r"0?\d{0,2}d?|\.\d[efg]", form)
                if not _scalar(value) or not plain or part.conversion != -1:
                    return self.opaque(node)
                try:
                    words.append(format(value, form))
                except _ERRORS:
                    return self.opaque(node)
            else:
                words.append(str(self.value(part, scope)))
        text = "".join(words)
        return text if len(text) <= MAX_TEXT else self.opaque(node)

    # Calls

    def call(self, node: ast.Call, scope: Scope) -> Any:
        target = self.value(node.func, scope)
        args = self.arguments(node.args, scope)
        kwargs: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif isinstance(value, dict):
                kwargs.update({str(key): entry for key, entry in value.items()})
        return self.invoke(target, args, kwargs, node, node.args)

    def arguments(self, nodes: Sequence[ast.expr], scope: Scope) -> list[Any]:
        return self.elements(nodes, scope)

    def invoke(
        self, target: Any, args: list[Any], kwargs: dict[str, Any], node: ast.AST, written: Sequence[ast.expr] = ()
    ) -> Any:
        """What a call gives."""
        self.tick(node)
        place = self.place(node)
        match target:
            case Name(dotted="functools.partial") if args:
                return Partial(args[0], args[1:], kwargs)
            case Name(dotted=dotted) if dotted.startswith("builtins."):
                return self.builtin(target.last, args, kwargs, node)
            case Name(dotted=dotted) if dotted in _MATH:
                try:
                    return _MATH[dotted](*args) if all(map(_scalar, args)) else self.opaque(node)
                except _ERRORS:
                    return self.opaque(node)
            case Name(dotted=dotted):
                if not self.framework.knows(dotted):
                    return Opaque(f"{dotted}(...)", place)
                self.count += 1
                if self.count > MAX_MADE:
                    message = tr("can't be followed: it makes more than {limit:,} things up to here", limit=MAX_MADE)
                    raise ImportFault([Fault(Spot(place), message, MISSING)])
                self.misprint(dotted, written)
                return self.framework.made(Made(dotted, args, kwargs, place, self.loop))
            case Partial():
                return self.invoke(target.target, [*target.args, *args], {**target.kwargs, **kwargs}, node)
            case Function():
                known = self.framework.function(target, args, place)
                return self.function_call(target, args, kwargs, node) if known is MISSING else known
            case Class():
                instance = Made(target.kind, args, kwargs, place, self.loop, dict(target.attributes))
                if target.start is not None:
                    self.function_call(target.start, [instance, *args], kwargs, node)
                return self.framework.made(instance)
            case Method(owner=owner, name=name):
                return self.method(owner, name, args, kwargs, node)
            case Made():
                return self.framework.called(target, args, kwargs, place, self)
            case _:
                return self.opaque(node)

    def misprint(self, dotted: str, written: Sequence[ast.expr]) -> None:
        """Refuses ``Flatten(input_shape[28,28])``, where an equals sign has been lost."""
        for node in written:
            match node:
                case ast.Subscript(value=ast.Name(id=name)) if self.globals.find(name) is MISSING:
                    inside = self.text(node).removeprefix(name)
                    raise ImportFault(
                        [
                            Fault(
                                Spot(self.place(node)),
                                tr(
                                    "{name} is defined nowhere; an equals sign is probably missing: write "
                                    "{name}={inside}",
                                    name=name,
                                    inside=inside,
                                ),
                                self.text(node),
                            )
                        ]
                    )
                case _:
                    pass

    def function_call(self, function: Function, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        if self.depth >= MAX_CALLS:
            message = tr("calls itself more than {limit} deep", limit=MAX_CALLS)
            raise ImportFault([Fault(Spot(self.place(node)), message, function.name)])
        scope = Scope(function.scope)
        self.bind(function, args, dict(kwargs), scope, node)
        self.depth += 1
        try:
            if isinstance(function.body, ast.expr):
                return self.value(function.body, scope)
            self.block(function.body, scope)
        except _Return as returned:
            return returned.value
        finally:
            self.depth -= 1
        return None

    def bind(self, function: Function, args: list[Any], kwargs: dict[str, Any], scope: Scope, node: ast.AST) -> None:
        arguments = function.arguments
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
        for name, default in zip(reversed(names), reversed(function.defaults), strict=False):
            scope.values[name] = default
        for argument, default in zip(arguments.kwonlyargs, function.kw_defaults, strict=True):
            if default is not MISSING:
                scope.values[argument.arg] = default
        scope.values.update(zip(names, args, strict=False))
        if arguments.vararg is not None:
            scope.values[arguments.vararg.arg] = tuple(args[len(names) :])
        for name in (*names, *(a.arg for a in arguments.kwonlyargs)):
            if name in kwargs:
                scope.values[name] = kwargs.pop(name)
            scope.values.setdefault(name, Opaque(name, self.place(node)))
        if arguments.kwarg is not None:
            scope.values[arguments.kwarg.arg] = kwargs

    def method(self, owner: Any, name: str, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        if isinstance(owner, Made | Opaque):
            found = self.framework.method(owner, name, args, kwargs, self.place(node), self)
            return self.opaque(node) if found is MISSING else found
        if name not in _METHODS.get(type(owner), ()):
            return self.opaque(node)
        if name == "extend" and not (args and isinstance(args[0], list | tuple | range)):
            return self.opaque(node)
        grown = len(owner) + (
            len(args[0]) if name in ("extend", "update") and isinstance(args[0], list | tuple | range | dict) else 1
        )
        if grown > MAX_ITEMS:
            return self.opaque(node)
        try:
            found = getattr(owner, name)(*args, **kwargs)
        except _ERRORS:
            return self.opaque(node)
        return (
            [list(entry) if isinstance(entry, tuple) else entry for entry in found]
            if name in ("items", "keys", "values")
            else found
        )

    def builtin(self, name: str, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        if name == "print":
            return None
        if name == "isinstance" and len(args) == 2:
            kinds = args[1] if isinstance(args[1], tuple) else (args[1],)
            known = self.framework.isinstance(args[0], kinds)
            return self.opaque(node) if known is None else known
        if name == "len" and len(args) == 1 and isinstance(args[0], Made):
            layers = self.framework.attribute(args[0], "layers")
            args = [layers] if isinstance(layers, list) else args
        containers = name in ("len", "list", "tuple", "zip", "enumerate", "reversed", "dict")
        usable = all(_flat(a) or (containers and isinstance(a, list | tuple | range | dict)) for a in args)
        if name not in _BUILTINS or not usable or not all(map(_scalar, kwargs.values())):
            return self.opaque(node)
        if name in ("list", "tuple", "zip", "enumerate", "reversed", "sorted", "sum") and not all(
            _scalar(a) or len(a) <= MAX_ITEMS for a in args
        ):
            return self.opaque(node)
        try:
            found = _BUILTINS[name](*args, **kwargs)
        except _ERRORS:
            return self.opaque(node)
        return found if _bounded(found) or isinstance(found, range) else self.opaque(node)


_BUILTINS: Mapping[str, Callable[..., Any]] = {
    "range": range, "len": len, "list": list, "tuple": tuple, "dict": dict, "int": int, "float": float, "str": str,
    "bool": bool, "min": min, "max": max, "sum": sum, "abs": abs, "round": round, "sorted": sorted,
    "zip": lambda *args: [tuple(items) for items in zip(*args, strict=False)],
    "enumerate": lambda items, start=0: list(enumerate(items, start)),
    "reversed": lambda items: list(items)[::-1],
}  # fmt: skip
_METHODS: Mapping[type, tuple[str, ...]] = {
    list: ("append", "extend", "insert", "pop", "copy", "reverse"),
    dict: ("items", "keys", "values", "get", "update", "copy", "pop"),
    str: ("lower", "upper", "strip"),
}

"""Compiled operations by name: from the store, or compiled from :mod:`gradsim.engine.ops` if the store has none.

Only the second case imports numba, so that a process that finds everything compiled starts without it.
"""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

from gradsim.engine import store

_addresses: dict[str, int] = {}
_alive: list[Any] = []

compiled: list[str] = []
"""Keys of the operations that this process compiled, in order."""


def operation(name: str, *arguments: Any) -> int:
    """Address of an operation.

    Args:
        name: Module and factory in :mod:`gradsim.engine.ops`, as in "activation.forward".
        arguments: What the factory takes: number format, definitions of :mod:`gradsim.nn`, flags.
    """
    key = " ".join([name, *map(_text, arguments)])
    if key not in _addresses:
        _addresses[key] = store.load(key) or _compile(key, name, arguments)
    return _addresses[key]


def function(name: str) -> Any:
    """An operation as a foreign function of five addresses; a call of it goes without the GIL."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)(operation(name))


def _compile(key: str, name: str, arguments: tuple[Any, ...]) -> int:
    from gradsim.engine import jit

    module, factory = name.split(".")
    source = getattr(importlib.import_module(f"gradsim.engine.ops.{module}"), factory)(*arguments)
    address, symbol, code, alive = jit.compiled(source)
    _alive.append(alive)
    compiled.append(key)
    store.keep(key, symbol, code)
    return address


def _text(argument: Any) -> str:
    if isinstance(argument, str | int):
        return str(argument)
    # A definition of gradsim.nn, or one of its formulas.
    return getattr(argument, "identifier", "") or str(argument.__name__)

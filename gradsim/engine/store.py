"""Where compiled operations are kept, so that they are compiled once and not at every start.

Numba's own cache can't serve here: it does not notice a change in another file, keys functions made by a template
by a hash that differs between processes, depends on the working directory in a frozen program, and needs numba
itself to be read. The store keeps one file of object code per operation, in a folder named after everything that
decides its content: the sources of this room and of the formulas, the versions of numba and llvmlite, and the
processor compiled for. Object code is linked with llvmlite alone.

Folders are searched in order: kernels shipped with the program (read-only), then the user's cache. If no
folder can be written, operations are compiled anew in each process.

Kernels are shipped for levels of the x86-64 architecture, as the psABI of System V defines them (section 3.1.1); the
best one that the processor has is used. They are valid for the sources and the compiler they were made from, which
``kernels/index.json`` names: a program that is frozen has no sources to compare, one that has them and differs does
not use the kernels.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import platformdirs

from gradsim import resources

INDEX = "index.json"
"""In the folder of shipped kernels: what they were made from and for."""

MACHINES = ("x86_64", "amd64")
"""What systems call the architecture, in lower case."""

_V2 = ("cx16", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3")
_V3 = (*_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
_V4 = (*_V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")

LEVELS = {"x86-64-v4": _V4, "x86-64-v3": _V3, "x86-64-v2": _V2}
"""What kernels are shipped for, the best first: names that LLVM knows, with the features that a processor needs."""


def processor() -> str:
    """The processor that is compiled for: NUMBA_CPU_NAME, or this machine's."""
    return os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()


def runnable(features: Mapping[str, bool], machine: str) -> tuple[str, ...]:
    """The levels that a processor with these features (LLVM's names) has, the best first."""
    if machine.lower() not in MACHINES:
        return ()
    return tuple(level for level, needed in LEVELS.items() if all(features.get(name, False) for name in needed))


@functools.cache
def levels() -> tuple[str, ...]:
    """The levels whose kernels this process may use, the best first; NUMBA_CPU_NAME leaves only itself."""
    chosen = os.environ.get("NUMBA_CPU_NAME")
    if chosen:
        return (chosen,) if chosen in LEVELS else ()
    return runnable(llvm.get_host_cpu_features(), platform.machine())


def _index() -> Mapping[str, Any]:
    try:
        found = json.loads((resources.root() / "kernels" / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("system") == sys.platform else {}


@functools.cache
def stamp() -> str:
    """What decides the content of a kernel besides the processor: the sources and the versions of the compiler."""
    if getattr(sys, "frozen", False):
        # A frozen program holds no sources, and its kernels were made with it.
        kept = _index().get("stamp")
        if isinstance(kept, str):
            return kept
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for folder in ("engine", "nn"):
        for source in sorted((package / folder).rglob("*.py")):
            digest.update(source.read_bytes())
    for fact in (version("numba"), version("llvmlite")):
        digest.update(fact.encode())
    return digest.hexdigest()[:20]


@functools.cache
def fingerprint() -> str:
    """Name of the folder of everything compiled from these sources by these versions for this processor."""
    facts = (stamp(), platform.machine(), processor())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:20]


@functools.cache
def shipped() -> Path | None:
    """The folder of kernels that came with the program and fit this processor; None if there is none."""
    index = _index()
    if index.get("stamp") != stamp():
        return None
    folder = resources.root() / "kernels"
    return next((folder / level for level in levels() if (folder / level).is_dir()), None)


@functools.cache
def folders() -> tuple[Path, ...]:
    """Folders that are read, in order; the last one is also written."""
    chosen = os.environ.get("GRADSIM_KERNELS")
    user = Path(chosen) if chosen else platformdirs.user_cache_path("gradsim", appauthor=False) / "kernels"
    first = shipped()
    return (*([first] if first is not None else []), user / fingerprint())


def writable() -> bool:
    """True if what is compiled can be kept."""
    try:
        folders()[-1].mkdir(parents=True, exist_ok=True)
        return os.access(folders()[-1], os.W_OK)
    except OSError:
        return False


def mark_complete(name: str) -> None:
    """Notes that everything of this name has been kept."""
    _write(folders()[-1] / f"{name}.complete", b"")


def is_complete(name: str) -> bool:
    """True if everything of this name has been kept."""
    # Not Path.is_file, which raises where a folder may not even be looked into.
    return any(os.path.isfile(folder / f"{name}.complete") for folder in folders())


def load(key: str) -> int | None:
    """Address of a kept operation, linked into this process; None if there is none that can be used."""
    for folder in folders():
        try:
            content = (folder / _file(key)).read_bytes()
        except OSError:
            continue
        digest, body = content[:32], content[32:]
        # A file that a crash or a full disk cut short must not be run.
        if hashlib.sha256(body).digest() != digest:
            continue
        symbol, _, code = body.partition(b"\n")
        return _linked(symbol.decode(), code)
    return None


def keep(key: str, symbol: str, code: bytes) -> None:
    """Keeps the object code of an operation."""
    body = symbol.encode() + b"\n" + code
    _write(folders()[-1] / _file(key), hashlib.sha256(body).digest() + body)


def _file(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:24] + ".kernel"


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        # A full or read-only disk costs a compilation next time, nothing else.
        return


# What numba's wrapper of an operation calls when the operation raises. Operations raise nothing and allocate nothing,
# so without numba these names are bound to a function that ends the process with a message.
_NEVER_CALLED = (
    "NRT_Free", "NRT_MemInfo_call_dtor", "NRT_decref", "NRT_incref", "numba_do_raise", "numba_gil_ensure",
    "numba_gil_release", "numba_runtime_build_excinfo_struct", "numba_unpickle",
)  # fmt: skip


@functools.cache
def _linker() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    stop = ctypes.cast(ctypes.pythonapi.Py_FatalError, ctypes.c_void_p).value
    for name in _NEVER_CALLED:
        if llvm.address_of_symbol(name) is None:
            llvm.add_symbol(name, stop)
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def _linked(symbol: str, code: bytes) -> int | None:
    engine = _linker()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return int(engine.get_function_address(symbol)) or None

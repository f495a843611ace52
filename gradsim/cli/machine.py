"""``gradsim doctor``: what this machine has, what it lacks, and what to type."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import click
import platformdirs

import gradsim

LACKING = 1
PACKAGES = ("numpy", "numba", "llvmlite", "pydantic", "PySide6_Essentials", "pyqtgraph")


class Line(NamedTuple):
    """One finding.

    Attributes:
        name: What was looked at.
        text: What there is.
        remedy: What to do; empty if nothing is amiss.
        needed: False for what gradsim can do without.
    """

    name: str
    text: str
    remedy: str = ""
    needed: bool = True


def examine() -> int:
    """Prints every finding; gives the exit code."""
    lacking = 0
    for line in findings():
        mark = "ok" if not line.remedy else "LACKS" if line.needed else "note"
        lacking += mark == "LACKS"
        click.echo(f"{mark:6}{line.name}: {line.text}")
        if line.remedy:
            click.echo(f"{'':8}{line.remedy}")
    click.echo(
        "nothing is missing"
        if not lacking
        else "1 thing is missing"
        if lacking == 1
        else f"{lacking} things are missing"
    )
    return LACKING if lacking else 0


def findings() -> Iterator[Line]:
    """Everything that is looked at, in the order of the output."""
    frozen = ", bundled" if getattr(sys, "frozen", False) else ""
    yield Line("gradsim", f"{gradsim.__version__} in {Path(gradsim.__file__).parent}")
    yield Line("Python", f"{platform.python_version()}{frozen}, {platform.platform()}")
    yield Line("packages", ", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    yield _processor()
    yield _kernels()
    yield from _folders()
    yield from _window()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _processor() -> Line:
    from gradsim.engine import store

    level = store.levels()[0] if store.levels() else "none of the levels that kernels are shipped for"
    return Line("processor", f"{platform.machine()} {store.processor()}, {os.cpu_count()} threads, {level}")


def _kernels() -> Line:
    from gradsim.engine import kernels, store

    shipped = store.shipped()
    if shipped is not None:
        return Line("kernels", f"shipped for {shipped.name}, in {shipped}")
    folder = store.folders()[-1]
    if kernels.is_warm(("float32",)):
        return Line("kernels", f"compiled, in {folder}")
    if store.writable():
        return Line("kernels", f"will be compiled at the first start, into {folder}")
    remedy = "make that folder writable, or name another one in the environment variable GRADSIM_KERNELS"
    return Line("kernels", f"have to be compiled at every start, because {folder} can't be written", remedy)


def _folders() -> Iterator[Line]:
    for name, path in (
        ("settings", platformdirs.user_config_path("gradsim", appauthor=False)),
        ("autosaved experiments", platformdirs.user_state_path("gradsim", appauthor=False)),
    ):
        problem = _unwritable(path)
        remedy = f"gradsim forgets them when it ends; to keep them type: mkdir -p '{path}' && chmod u+rwx '{path}'"
        yield Line(name, f"{path}{problem}", remedy if problem else "", needed=False)


def _unwritable(path: Path) -> str:
    """Why nothing can be written there, or ""; makes nothing that stays."""
    place = next((folder for folder in (path, *path.parents) if folder.exists()), path)
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return f" can't be written: {error.strerror or error}"


def _window() -> Iterator[Line]:
    if importlib.util.find_spec("PySide6") is None:
        remedy = "type: python -m pip install PySide6-Essentials pyqtgraph"
        yield Line("window", "PySide6 is not installed; the commands work without it", remedy)
        return
    # By name, because the window lies above the commands.
    start = importlib.import_module("gradsim.app.start")
    if sys.platform.startswith("linux"):
        missing = {library: package for library, package in start.LIBRARIES.items() if not start._loads(library)}
        if missing:
            packages = " ".join(missing.values())
            remedy = f"on Debian or Ubuntu type: sudo apt-get install -y --no-install-recommends {packages}"
            yield Line("system libraries", f"{', '.join(missing)} can't be loaded", remedy)
        else:
            yield Line("system libraries", "all that the window needs")
        yield _display()
    try:
        importlib.import_module("PySide6.QtWidgets")
    except ImportError as error:
        yield Line("window", f"Qt can't be loaded: {error}", "install the system libraries named above")
    else:
        yield Line("window", "Qt can be loaded")


def _display() -> Line:
    chosen = [f"{name}={os.environ[name]}" for name in ("DISPLAY", "WAYLAND_DISPLAY") if os.environ.get(name)]
    if chosen:
        return Line("display", ", ".join(chosen))
    remedy = "start gradsim from a desktop; over ssh type: ssh -X; the commands need none: gradsim --help"
    return Line("display", "none (DISPLAY and WAYLAND_DISPLAY are empty)", remedy, needed=False)

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
from gradsim.i18n import reason_of, tr, tr_n

LACKING = 1
PACKAGES = ("numpy", "numba", "llvmlite", "pydantic", "pillow", "h5py", "PySide6_Essentials", "pyqtgraph")


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
        sign = "ok" if not line.remedy else "LACKS" if line.needed else "note"
        lacking += sign == "LACKS"
        click.echo(f"{sign:6}" + tr("{name}: {text}", name=line.name, text=line.text))
        if line.remedy:
            click.echo(f"{'':8}{line.remedy}")
    click.echo(tr_n("{n} thing is missing", "{n} things are missing", lacking) if lacking else tr("nothing is missing"))
    return LACKING if lacking else 0


def findings() -> Iterator[Line]:
    """Everything that is looked at, in the order of the output."""
    frozen = ", " + tr("bundled") if getattr(sys, "frozen", False) else ""
    folder = Path(gradsim.__file__).parent
    yield Line("gradsim", tr("{version} in {folder}", version=gradsim.__version__, folder=folder))
    yield Line("Python", f"{platform.python_version()}{frozen}, {platform.platform()}")
    yield Line(tr("packages"), ", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    yield _processor()
    yield _kernels()
    yield from _folders()
    yield from _window()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return tr("missing")


def _processor() -> Line:
    from gradsim.engine import store

    level = store.levels()[0] if store.levels() else tr("none of the levels that kernels are shipped for")
    words = tr(
        "{machine} {processor}, {threads} threads, {level}",
        machine=platform.machine(),
        processor=store.processor(),
        threads=os.cpu_count(),
        level=level,
    )
    return Line(tr("processor"), words)


def _kernels() -> Line:
    from gradsim.engine import kernels, store

    name = tr("kernels")
    shipped = store.shipped()
    if shipped is not None:
        return Line(name, tr("shipped for {level}, in {folder}", level=shipped.name, folder=shipped))
    folder = store.folders()[-1]
    if kernels.is_warm(("float32",)):
        return Line(name, tr("compiled, in {folder}", folder=folder))
    if store.writable():
        return Line(name, tr("will be compiled at the first start, into {folder}", folder=folder))
    remedy = tr("make that folder writable, or name another one in the environment variable GRADSIM_KERNELS")
    words = tr("have to be compiled at every start, because {folder} can't be written", folder=folder)
    return Line(name, words, remedy)


def _folders() -> Iterator[Line]:
    for name, path in (
        (tr("settings"), platformdirs.user_config_path("gradsim", appauthor=False)),
        (tr("autosaved experiments"), platformdirs.user_state_path("gradsim", appauthor=False)),
    ):
        problem = _unwritable(path)
        remedy = tr(
            "gradsim forgets them when it ends; to keep them type: mkdir -p '{folder}' && chmod u+rwx '{folder}'",
            folder=path,
        )
        yield Line(name, problem or str(path), remedy if problem else "", needed=False)


def _unwritable(path: Path) -> str:
    """Why nothing can be written there, or ""; makes nothing that stays."""
    place = next((folder for folder in (path, *path.parents) if os.path.exists(folder)), path)
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return tr("{folder} can't be written: {reason}", folder=path, reason=reason_of(error))


def _window() -> Iterator[Line]:
    if importlib.util.find_spec("PySide6") is None:
        remedy = tr("type: {command}", command="python -m pip install PySide6-Essentials pyqtgraph")
        yield Line(tr("window"), tr("PySide6 is not installed; the commands work without it"), remedy)
        return
    # By name, because the window lies above the commands.
    start = importlib.import_module("gradsim.app.start")
    if sys.platform.startswith("linux"):
        missing = {library: package for library, package in start.LIBRARIES.items() if not start._loads(library)}
        if missing:
            packages = " ".join(missing.values())
            remedy = tr(
                "on Debian or Ubuntu type: {command}",
                command=f"sudo apt-get install -y --no-install-recommends {packages}",
            )
            yield Line(tr("system libraries"), tr("{names} can't be loaded", names=", ".join(missing)), remedy)
        else:
            yield Line(tr("system libraries"), tr("all that the window needs"))
        yield _display()
    try:
        importlib.import_module("PySide6.QtWidgets")
    except ImportError as error:
        remedy = tr("install the system libraries named above")
        yield Line(tr("window"), tr("Qt can't be loaded: {reason}", reason=error), remedy)
    else:
        yield Line(tr("window"), tr("Qt can be loaded"))


def _display() -> Line:
    chosen = [f"{name}={os.environ[name]}" for name in ("DISPLAY", "WAYLAND_DISPLAY") if os.environ.get(name)]
    if chosen:
        return Line(tr("display"), ", ".join(chosen))
    remedy = tr("start gradsim from a desktop; over ssh type: ssh -X; the commands need none: gradsim --help")
    return Line(tr("display"), tr("none (DISPLAY and WAYLAND_DISPLAY are empty)"), remedy, needed=False)

"""``gradsim selftest``: whether this installation works, one line a check."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
import numpy as np

import gradsim
from gradsim import i18n, resources
from gradsim.cli import codes
from gradsim.i18n import mark, tr

DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 1e-5, "float64": 1e-11}
"""How far a training of a few steps may lie from the golden numbers, as a share of them. In double precision what is
left is the order of additions, which the width of the registers decides."""

STEPS_OF_AN_EXPERIMENT = 2


class Broken(Exception):
    """A check that did not pass; the message is for the user."""


class Skipped(Exception):
    """A check that means nothing here; the message says why."""


FAMILIES = (
    mark("activations"),
    mark("layers"),
    mark("losses"),
    mark("optimizers"),
    mark("clipping"),
    mark("regularizers"),
    mark("batches"),
)
"""What the golden numbers are of."""

Check = Callable[[], str]


def check_installation() -> int:
    """Runs every check and prints its line; gives the exit code."""
    broken = 0
    started = time.perf_counter()
    for name, check in _checks():
        try:
            sign, text = "ok", check()
        except Skipped as reason:
            sign, text = "skipped", str(reason)
        except Exception as error:
            # Whatever goes wrong in one check, the others say more about the installation.
            kind = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
            sign, text = "FAILED", f"{kind}{error}"
            broken += 1
        click.echo(f"{sign:8}" + tr("{name}: {text}", name=tr(name), text=text))
    seconds = time.perf_counter() - started
    if broken:
        click.echo(tr("{n} FAILED ({seconds:.1f} s)", n=broken, seconds=seconds))
    else:
        click.echo(tr("all checks passed ({seconds:.1f} s)", seconds=seconds))
    return codes.FAILED if broken else 0


IN_QT = (
    mark("signals"),
    mark("rooms of the window"),
    mark("fonts"),
    mark("words of Qt"),
    mark("guide"),
    mark("pictures"),
    mark("window"),
)
"""Checks of :mod:`gradsim.app.checks`, whose functions have these names in lower case with underscores for spaces."""


def _checks() -> Iterator[tuple[str, Check]]:
    yield mark("modules"), _modules
    yield mark("kernels"), _kernels
    yield from _families()
    yield mark("data sets"), _data
    yield mark("experiments"), _experiments
    yield mark("lessons"), _lessons
    yield mark("languages"), _languages
    # Last, because a Qt that does not fit ends the process.
    for name in IN_QT:
        yield name, lambda name=name: _in_qt(name.replace(" ", "_").lower())  # type: ignore[misc]


def load_modules(package: str) -> int:
    """Loads every module of a package but the window's; gives how many there are.

    A bundle and a wheel may lack one, or what one of them needs, and nobody would know until it is asked for.
    """
    parent = importlib.import_module(package)
    found = 0
    for module in pkgutil.iter_modules(parent.__path__, f"{package}."):
        if module.name in ("gradsim.app", "gradsim.__main__"):
            continue
        importlib.import_module(module.name)
        found += 1 + (load_modules(module.name) if module.ispkg else 0)
    return found


def _modules() -> str:
    return tr("{n} load", n=load_modules(gradsim.__name__))


def _kernels() -> str:
    from gradsim.engine import kernels, operations, store

    count = sum(1 for dtype in DTYPES for _ in kernels.jobs(dtype))
    made = kernels.warm_up(None, DTYPES)
    shipped = store.shipped()
    if shipped is None and getattr(sys, "frozen", False) and store.levels():
        raise Broken(
            tr(
                "none are shipped for this processor ({levels}); {made} had to be compiled",
                levels=", ".join(store.levels()),
                made=made,
            )
        )
    if shipped is not None and made:
        raise Broken(
            tr(
                "{made} of those for {level} are missing, as {name!r}",
                made=made,
                level=shipped.name,
                name=operations.compiled[0],
            )
        )
    if shipped is not None:
        return tr("{n}, shipped for {level}", n=count, level=shipped.name)
    return tr("{n}, compiled for {processor} ({made} of them now)", n=count, processor=store.processor(), made=made)


def _families() -> Iterator[tuple[str, Check]]:
    path = resources.root() / "selftest" / "golden.json"
    try:
        families: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = tr("{file} can't be read: {reason}", file=path, reason=error)

        def unreadable() -> str:
            raise Broken(message)

        yield mark("golden numbers"), unreadable
        return
    for family, trainings in families.items():
        yield family, lambda trainings=trainings: _trainings(trainings)  # type: ignore[misc]


def _trainings(trainings: list[dict[str, Any]]) -> str:
    furthest = dict.fromkeys(DTYPES, 0.0)
    for training in trainings:
        for dtype in DTYPES:
            far = _distance(training, dtype)
            if not far <= TOLERANCE[dtype]:
                raise Broken(
                    tr(
                        "{training} in {dtype} is {far:.1e} off, {allowed:g} is allowed",
                        training=training["name"],
                        dtype=dtype,
                        far=far,
                        allowed=TOLERANCE[dtype],
                    )
                )
            furthest[dtype] = max(furthest[dtype], far)
    apart = ", ".join(f"{dtype} {far:.0e}" for dtype, far in furthest.items())
    return tr("{n} trainings as they must be (furthest off: {apart})", n=len(trainings), apart=apart)


def _distance(training: dict[str, Any], dtype: str) -> float:
    """The largest difference as a share of the largest value, of the losses and of the gradient norms."""
    from gradsim.engine import Trainer
    from gradsim.model import file

    trainer = Trainer(file.experiment_from(training["experiment"] | {"dtype": dtype}))
    steps = trainer.advance(len(training["loss"])).steps
    pairs = ((steps[:, 0], np.array(training["loss"])), (steps[:, 2], np.array(training["gradient"])))
    # NumPy's maximum, unlike Python's, is NaN if one of them is.
    return float(np.max([np.abs(found - golden).max() / np.abs(golden).max() for found, golden in pairs]))


def _experiments() -> str:
    from gradsim.engine import Trainer
    from gradsim.model import bundled, problems

    everything = bundled.everything()
    for one in everything:
        faults = problems.impossible(one.experiment)
        if faults:
            raise Broken(f"{one.name}: {faults[0]}")
        trainer = Trainer(one.experiment)
        if len(trainer.advance(STEPS_OF_AN_EXPERIMENT)) != STEPS_OF_AN_EXPERIMENT:
            raise Broken(tr("{name}: does not train", name=one.name))
    if not everything:
        raise Broken(tr("there are none"))
    return tr("{n} open and train", n=len(everything))


def _data() -> str:
    from gradsim import data

    own = [kind for kind in data.registry.values() if kind.group != "own"]
    for kind in own:
        made = kind()
        if not len(made.load().x_train):
            raise Broken(tr("{name}: has no rows", name=kind.identifier))
    if not own:
        raise Broken(tr("there are none"))
    return tr("{n} load", n=len(own))


def _lessons() -> str:
    from gradsim import lessons

    everything = lessons.everything()
    for one in everything:
        absent = i18n.LANGUAGES.keys() - one.languages.keys()
        if absent:
            raise Broken(tr("{name}: has no words in {languages}", name=one.name, languages=", ".join(sorted(absent))))
    if not everything:
        raise Broken(tr("there are none"))
    steps = sum(len(one.steps) for one in everything)
    return tr(
        "{n} load, with {steps} steps, in {languages} languages",
        n=len(everything),
        steps=steps,
        languages=len(i18n.LANGUAGES),
    )


def _languages() -> str:
    before = i18n.language()
    try:
        mute = [code for code in i18n.LANGUAGES if code != i18n.SOURCE and not _speaks(code)]
    finally:
        i18n.set_language(before)
    if mute:
        raise Broken(tr("the catalogue of {languages} is empty", languages=", ".join(mute)))
    return ", ".join(i18n.LANGUAGES.values())


def _speaks(code: str) -> bool:
    i18n.set_language(code)
    return any(tr(name) != name for name in FAMILIES)


def _in_qt(name: str) -> str:
    if importlib.util.find_spec("PySide6") is None:
        raise Skipped(tr("PySide6 is not installed, so there is no window"))
    try:
        # By name, because the window lies above the commands.
        checks = importlib.import_module("gradsim.app.checks")
    except ImportError as error:
        raise Broken(tr("{reason}; gradsim doctor says what to type", reason=error)) from error
    return str(getattr(checks, name)())

"""``gradsim selftest``: whether this installation works, one line a check."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
import numpy as np

from gradsim import resources

FAILED = 1
DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 1e-5, "float64": 1e-11}
"""How far a training of a few steps may lie from the golden numbers, as a share of them. In double precision what is
left is the order of additions, which the width of the registers decides."""

STEPS_OF_AN_EXPERIMENT = 2


class Broken(Exception):
    """A check that did not pass; the message is for the user."""


class Skipped(Exception):
    """A check that means nothing here; the message says why."""


Check = Callable[[], str]


def check_installation() -> int:
    """Runs every check and prints its line; gives the exit code."""
    broken = 0
    started = time.perf_counter()
    for name, check in _checks():
        try:
            mark, text = "ok", check()
        except Skipped as reason:
            mark, text = "skipped", str(reason)
        except Exception as error:
            # Whatever goes wrong in one check, the others say more about the installation.
            kind = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
            mark, text = "FAILED", f"{kind}{error}"
            broken += 1
        click.echo(f"{mark:8}{name}: {text}")
    seconds = time.perf_counter() - started
    click.echo(f"{'all checks passed' if not broken else f'{broken} FAILED'} ({seconds:.1f} s)")
    return FAILED if broken else 0


def _checks() -> Iterator[tuple[str, Check]]:
    yield "kernels", _kernels
    yield from _families()
    yield "experiments", _experiments
    # Last, because a Qt that does not fit ends the process.
    yield "signals", lambda: _in_qt("signals")
    yield "window", lambda: _in_qt("window")


def _kernels() -> str:
    from gradsim.engine import kernels, operations, store

    count = sum(1 for dtype in DTYPES for _ in kernels.jobs(dtype))
    made = kernels.warm_up(None, DTYPES)
    shipped = store.shipped()
    if shipped is None and getattr(sys, "frozen", False) and store.levels():
        raise Broken(f"none are shipped for this processor ({', '.join(store.levels())}); {made} had to be compiled")
    if shipped is not None and made:
        raise Broken(f"{made} of those for {shipped.name} are missing, as {operations.compiled[0]!r}")
    origin = (
        f"shipped for {shipped.name}"
        if shipped is not None
        else f"compiled for {store.processor()} ({made} of them now)"
    )
    return f"{count}, {origin}"


def _families() -> Iterator[tuple[str, Check]]:
    path = resources.root() / "selftest" / "golden.json"
    try:
        families: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{path} can't be read: {error}"

        def unreadable() -> str:
            raise Broken(message)

        yield "golden numbers", unreadable
        return
    for family, trainings in families.items():
        yield family, lambda trainings=trainings: _trainings(trainings)  # type: ignore[misc]


def _trainings(trainings: list[dict[str, Any]]) -> str:
    furthest = dict.fromkeys(DTYPES, 0.0)
    for training in trainings:
        for dtype in DTYPES:
            far = _distance(training, dtype)
            if not far <= TOLERANCE[dtype]:
                raise Broken(f"{training['name']} in {dtype} is {far:.1e} off, {TOLERANCE[dtype]:g} is allowed")
            furthest[dtype] = max(furthest[dtype], far)
    apart = ", ".join(f"{dtype} {far:.0e}" for dtype, far in furthest.items())
    return f"{len(trainings)} trainings as they must be (furthest off: {apart})"


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
            raise Broken(f"{one.name}: does not train")
    if not everything:
        raise Broken("there are none")
    return f"{len(everything)} open and train"


def _in_qt(name: str) -> str:
    if importlib.util.find_spec("PySide6") is None:
        raise Skipped("PySide6 is not installed, so there is no window")
    try:
        # By name, because the window lies above the commands.
        checks = importlib.import_module("gradsim.app.checks")
    except ImportError as error:
        raise Broken(f"{error}; gradsim doctor says what to type") from error
    return str(getattr(checks, name)())

"""The class of every row at the shown step: what the strips on the cards are painted with."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from numpy.typing import NDArray

from gradsim.app.session import Session
from gradsim.telemetry.classes import LEVELS, MIDDLE, Classes, State, classify, states
from gradsim.telemetry.quantities import quantity


@dataclasses.dataclass(frozen=True)
class Now:
    """Values of one quantity at one step.

    Attributes:
        values: Shape ``(rows,)``; NaN where it is NaN or there is none, which the state tells.
        classes: Colour index of each row.
        states: What each value says.
    """

    key: str
    values: NDArray[np.float64]
    classes: Classes
    states: tuple[State, ...]


def now(session: Session) -> Now | None:
    """The shown quantity at the shown step; None before the first step."""
    recorder, step = session.recorder, session.step
    if recorder is None or step is None:
        return None
    key = session.state.quantity
    columns = recorder.columns(key, step, step + 1, width=1)
    if not len(columns) or not columns.recorded[0]:
        return None
    definition, thresholds = quantity(key), session.state.thresholds(key)
    nan, inf = columns.nan[0], columns.inf[0]
    values = columns.maximum[0]
    classes = classify(
        definition,
        values,
        nan=nan,
        inf=inf,
        frozen=np.array([layer.frozen for layer in recorder.layers]),
        recorded=columns.recorded[0],
        thresholds=thresholds,
    )
    # The record keeps the finite values of a column, and beside them what else was in it.
    values = np.where(nan, np.nan, np.where(inf, np.inf, values))
    return Now(key, values, classes, tuple(states(definition, classes, thresholds)))


def pooled(classes: Classes, pixels: int) -> Classes:
    """As many classes as there are pixels: of those that share one, that which lies farthest from healthy.

    Args:
        classes: Shape ``(rows,)``.
        pixels: How many can be shown; no more come out than go in.
    """
    if len(classes) <= pixels or pixels < 1:
        return classes
    edges = np.linspace(0, len(classes), pixels + 1).astype(np.int64)
    urgency = np.where(classes >= LEVELS, 1000, np.abs(classes.astype(np.int64) - MIDDLE))
    return np.array([classes[a + int(np.argmax(urgency[a:b]))] for a, b in itertools.pairwise(edges)], np.uint8)


def short_number(value: float) -> str:
    """A value in at most eight characters: ``3.2e-7``, ``0.012``."""
    if not np.isfinite(value):
        return {True: "NaN"}.get(bool(np.isnan(value)), "Inf" if value > 0 else "-Inf")
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"

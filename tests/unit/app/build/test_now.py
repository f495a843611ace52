"""What the strips are painted with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from gradsim.app.build.now import now, pooled, short_number
from gradsim.app.session import Session
from gradsim.nn.initializers import RandomNormal
from gradsim.nn.layers import Dense
from gradsim.telemetry.classes import MIDDLE, Special, State

MakeSession = Callable[..., Session]


def test_that_pooling_keeps_what_is_farthest_from_healthy() -> None:
    classes = np.full(100, MIDDLE, np.uint8)
    classes[41], classes[77] = 3, Special.NAN
    assert list(np.nonzero(pooled(classes, 10) != MIDDLE)[0]) == [4, 7]
    assert pooled(classes, 10)[7] == Special.NAN
    assert pooled(classes, 200) is classes


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.24e-7, "3.2e-7"), (0.0123, "0.0123"), (0.0, "0"), (1.5e9, "1.5e9"), (np.inf, "Inf"), (-np.inf, "-Inf")],
)
def test_that_values_are_short(value: float, text: str) -> None:
    assert short_number(value) == text
    assert short_number(np.nan) == "NaN"


def test_that_nothing_is_shown_before_the_first_step(session: Session) -> None:
    assert now(session) is None


def test_that_the_shown_moment_is_that_of_the_cursor(make_session: MakeSession, qtbot: QtBot) -> None:
    session = make_session(Dense(8, "tanh", trainable=False), Dense(1, "sigmoid"))
    session.start(play=True)
    qtbot.waitUntil(lambda: (session.latest or 0) > 20, timeout=20_000)
    session.pause()
    session.state.set_cursor(3)
    found = now(session)
    assert found is not None
    assert session.recorder is not None
    assert found.values[0] == session.recorder.at(3)["delta_rms"][0][0]
    session.state.set_quantity("gradient_rms")
    found = now(session)
    assert found is not None
    assert found.states[0] == State.FROZEN


def test_that_a_value_that_is_none_is_not_said_to_be_zero(make_session: MakeSession, qtbot: QtBot) -> None:
    session = make_session(
        Dense(8, "relu", kernel_initializer=RandomNormal(stddev=1e30)),
        Dense(8, "relu", kernel_initializer=RandomNormal(stddev=1e30)),
        Dense(1, "sigmoid"),
    )
    session.start(play=True)
    qtbot.waitUntil(lambda: session.status.state == "diverged", timeout=20_000)
    qtbot.waitUntil(lambda: now(session) is not None, timeout=20_000)
    found = now(session)
    assert found is not None
    assert State.NAN in found.states or State.INFINITE in found.states
    for value, state in zip(found.values, found.states, strict=True):
        assert np.isnan(value) or state != State.NAN
        assert np.isinf(value) or state != State.INFINITE

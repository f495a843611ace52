from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from gradsim.app.player import SPEEDS
from gradsim.app.slow import SHOWN, values
from gradsim.app.transport import account, number
from gradsim.app.window import MainWindow
from gradsim.engine.runner import PHASES, Phase
from gradsim.nn.optimizers import SGD
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS
from tests.unit.app.experiments import small_experiment

WAIT = 20_000
OpenWindow = Callable[..., MainWindow]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.25, "0.25"), (1e-9, "1.0e-09"), (123456.0, "1.2e+05"), (np.inf, "Inf"), (np.nan, "NaN")],
)
def test_that_a_number_is_short(value: float, text: str) -> None:
    assert number(value) == text


def phases(window: MainWindow, qtbot: QtBot) -> dict[str, Phase]:
    """One step taken apart."""
    session = window.session
    session.set_slow_motion(True)
    found: dict[str, Phase] = {}
    for name in PHASES:
        session.step_once()
        qtbot.waitUntil(lambda name=name: session.phase is not None and session.phase.name == name, timeout=WAIT)
        assert session.phase is not None
        found[name] = session.phase
    return found


def test_that_each_phase_gives_an_account_with_its_numbers(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(small_experiment(optimizer=SGD(0.1, clipnorm=1e-3)))
    found = phases(window, qtbot)
    accounts = {name: account(phase, window.session.rows()) for name, phase in found.items()}
    assert all(text.startswith(f"Step 0, {name}:") for name, text in accounts.items())
    loss = found["loss"].figures[STEP_COLUMNS.index("loss")]
    assert number(loss) in accounts["loss"]
    assert "shortened from norm" in accounts["clip"]


def test_that_unclipped_gradients_are_said_to_stay(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    found = phases(window, qtbot)
    assert "stay as they are" in account(found["clip"], window.session.rows())


def test_that_each_phase_shows_the_quantity_that_it_made_known(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    found = phases(window, qtbot)
    for name, phase in found.items():
        shown = values(phase, window.session)
        key = SHOWN[name][0]
        assert (shown is None) == (key == "")
        if shown is not None and key in LAYER_COLUMNS:
            np.testing.assert_array_equal(shown, phase.layers[:, LAYER_COLUMNS.index(key)])
    now = window.session.at()
    assert now is not None
    np.testing.assert_allclose(values(found["backward"], window.session), now["delta_rms"][0], rtol=1e-6)


def test_that_the_speed_goes_up_and_down_and_is_shown(open_window: OpenWindow) -> None:
    window = open_window(started=False)
    transport, session = window.transport, window.session
    assert transport.speed.currentText() == "as fast as it can"
    window.actions_["run.slower"].trigger()
    assert session.speed == SPEEDS[-2]
    assert transport.speed.currentData() == SPEEDS[-2]
    for _ in SPEEDS:
        transport.change_speed(-1)
    assert session.speed == 1.0
    for _ in SPEEDS:
        transport.change_speed(1)
    assert session.speed is None

from __future__ import annotations

from pytestqt.qtbot import QtBot

from gradsim.diagnose import REMEDIES
from gradsim.nn import layers
from tests.unit.app.diagnosis.stacks import WAIT, OpenWindow, fading
from tests.unit.app.experiments import small_experiment


def test_that_ticked_cures_are_applied_as_one_step(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading(4))
    page, session = window.diagnosis.cures, window.session
    window.side.show_page(page)
    qtbot.waitUntil(lambda: page.rows["relu"].apply.isEnabled(), timeout=WAIT)
    before = session.experiment
    assert not page.together.isEnabled()
    page.rows["elu"].tick.click()
    page.rows["relu"].tick.click()
    assert not page.rows["elu"].tick.isChecked()
    page.rows["adam"].tick.click()
    assert page.together.text() == "Apply 2 cures together"
    page.together.click()
    assert session.experiment.optimizer.identifier == "Adam"
    assert session.experiment.layers[0].activation.identifier == "relu"  # type: ignore[attr-defined]
    assert session.document.undo_names == ("ReLU + Adam",)
    assert not window.diagnosis.remedying.ticked
    session.undo()
    assert session.experiment == before


def test_that_what_is_not_applicable_is_greyed_with_its_reason(open_window: OpenWindow, qtbot: QtBot) -> None:
    hidden = (layers.Dense(8, "relu", kernel_initializer="he_normal") for _ in range(3))
    window = open_window(small_experiment(*hidden, layers.Dense(1, "sigmoid")))
    page = window.diagnosis.cures
    window.side.show_page(page)
    qtbot.waitUntil(lambda: bool(window.diagnosis.remedying.offers), timeout=WAIT)
    row = page.rows["relu"]
    assert not row.apply.isEnabled()
    assert not row.tick.isEnabled()
    assert row.why.text() == "Not here: the hidden layers have ReLU already."
    assert page.rows["elu"].apply.isEnabled()


def test_that_every_remedy_is_on_the_page_and_in_the_command_palette(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading(4))
    assert set(window.diagnosis.cures.rows) == set(REMEDIES)
    qtbot.waitUntil(lambda: bool(window.diagnosis.remedying.offers), timeout=WAIT)
    commands = {command.text: command for command in window.commands()}
    assert {f"Cure: {remedy.title}" for remedy in REMEDIES.values()} <= set(commands)
    commands["Cure: Adam"].run()
    assert window.session.experiment.optimizer.identifier == "Adam"


def test_that_cures_follow_an_edit(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading(4))
    remedying = window.diagnosis.remedying
    qtbot.waitUntil(lambda: bool(remedying.offers), timeout=WAIT)
    remedying.tick("adam", True)
    remedying.apply(["adam"])
    qtbot.waitUntil(lambda: not remedying.offers["adam"].applicable, timeout=WAIT)
    assert remedying.offers["adam"].reason == "Adam is the optimizer already"

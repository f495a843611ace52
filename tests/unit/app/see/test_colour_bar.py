"""The colour scale and its thresholds."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from gradsim.app.see.colour_bar import CHOICES, ColourBar, QuantityChoice
from gradsim.telemetry.quantities import quantity

from .conftest import FakeSession, show


@pytest.fixture
def bar(qtbot: QtBot, session: FakeSession) -> ColourBar:
    made = ColourBar(session)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    show(made, 900, 70)
    return made


def enter(bar: ColourBar, name: str, text: str) -> None:
    field = bar.fields[name]
    field.setText(text)
    field.setModified(True)
    field.editingFinished.emit()


def test_that_the_sentence_names_the_numbers_in_use(session: FakeSession, bar: ColourBar) -> None:
    assert "below 1e-06 = vanishing" in bar.sentence()
    enter(bar, "vanishing", "1e-9")
    assert "below 1e-09 = vanishing" in bar.sentence()
    assert session.state.thresholds("delta_rms").vanishing == 1e-9


def test_that_a_mark_is_dragged_to_another_threshold(qtbot: QtBot, session: FakeSession, bar: ColourBar) -> None:
    y = bar.bar.height() // 3
    qtbot.mousePress(bar.bar, Qt.MouseButton.LeftButton, pos=QPoint(round(bar.bar.x_of(1e-6)), y))
    qtbot.mouseMove(bar.bar, QPoint(round(bar.bar.x_of(1e-10)), y))
    qtbot.mouseRelease(bar.bar, Qt.MouseButton.LeftButton, pos=QPoint(round(bar.bar.x_of(1e-10)), y))
    found = session.state.thresholds("delta_rms").vanishing
    assert found is not None
    assert 1e-11 < found < 1e-9
    assert bar.fields["vanishing"].text() == f"{found:g}"


def test_that_vanishing_stays_below_healthy(session: FakeSession, bar: ColourBar) -> None:
    enter(bar, "vanishing", "50")
    assert session.state.thresholds("delta_rms").vanishing == quantity("delta_rms").thresholds.neutral


@pytest.mark.parametrize("text", ["", "-1", "0", "abc", "nan", "inf"])
def test_that_what_is_no_threshold_changes_nothing(session: FakeSession, bar: ColourBar, text: str) -> None:
    enter(bar, "exploding", text)
    assert session.state.thresholds("delta_rms") == quantity("delta_rms").thresholds
    assert bar.fields["exploding"].text() == "1"


def test_that_default_comes_back(session: FakeSession, bar: ColourBar) -> None:
    assert bar.reset.isHidden()
    enter(bar, "vanishing", "1e-9")
    assert not bar.reset.isHidden()
    bar.reset.click()
    assert session.state.changed_thresholds() == {}


def test_that_a_quantity_without_thresholds_has_none_to_edit(session: FakeSession, bar: ColourBar) -> None:
    session.state.set_quantity("saturated")
    assert bar.fields["vanishing"].isHidden()
    assert bar.fields["exploding"].isHidden()
    assert session.state.changed_thresholds() == {}


@pytest.mark.parametrize("key", [key for key, _ in CHOICES])
def test_that_one_click_shows_another_quantity(qtbot: QtBot, session: FakeSession, key: str) -> None:
    choice = QuantityChoice(session)  # type: ignore[arg-type]
    qtbot.addWidget(choice)
    show(choice, 900, 40)
    choice.buttons[key].click()
    assert session.state.quantity == key


def test_that_what_has_no_room_is_in_the_menu(qtbot: QtBot, session: FakeSession) -> None:
    choice = QuantityChoice(session)  # type: ignore[arg-type]
    qtbot.addWidget(choice)
    show(choice, 220, 40)
    assert choice.buttons["dead"].isHidden()
    offered = {action.data() for action in choice.more.menu().actions() if action.isVisible()}
    assert "dead" in offered
    session.state.set_quantity("dead")
    assert choice.more.isChecked()
    assert choice.more.text() == "dead"

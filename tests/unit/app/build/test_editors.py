"""Editors: what they show, what they tell."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gradsim.app.build import editors
from gradsim.app.build.editors import MIXED, NumberBox, NumberEditor, Scale, number_text, parsed, stepped, value_text
from gradsim.model.experiment import Experiment
from gradsim.nn import activations, layers, optimizers, schedules
from gradsim.nn.spec import REGISTRIES, FieldView, fields_of

VIEWS = {view.name: view for view in fields_of(layers.Dense)}
RATE = {view.name: view for view in fields_of(optimizers.SGD)}["learning_rate"]
DROP = {view.name: view for view in fields_of(layers.Dropout)}["rate"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(100, "100"), (0.01, "0.01"), (1e-7, "1e-7"), (1.0, "1"), (1e22, "1e22"), (0.1 + 0.2, "0.30000000000000004")],
)
def test_that_numbers_are_written_as_short_as_they_are_exact(value: float, text: str) -> None:
    assert number_text(value) == text
    assert parsed(text, whole=isinstance(value, int)) == value


@pytest.mark.parametrize(("text", "value"), [("0,5", 0.5), (" 1e-3 ", 1e-3), ("\u22122", -2.0), ("1_000", 1000.0)])
def test_that_numbers_may_be_typed_in_several_ways(text: str, value: float) -> None:
    assert parsed(text, whole=False) == value


@pytest.mark.parametrize("text", ["abc", "1/2", "", "1..2"])
def test_that_a_text_that_is_no_number_stays_a_text(text: str) -> None:
    assert parsed(text, whole=True) == text


def test_that_a_wide_range_is_stepped_by_round_factors() -> None:
    values = [0.01]
    for _ in range(4):
        values.append(stepped(values[-1], 1, RATE))
    assert values == [0.01, 0.02, 0.05, 0.1, 0.2]
    assert stepped(0.03, -1, RATE) == 0.02
    assert stepped(0.0, 1, RATE) == editors.LOWEST_STEP


def test_that_steps_stop_at_the_bounds() -> None:
    assert stepped(1, -1, VIEWS["units"]) == 1
    assert stepped(8192, 10, VIEWS["units"]) == 8192
    assert stepped(0.95, 1, DROP) == 0.95, "1 itself is excluded"
    assert stepped(0.1, 2, DROP) == 0.2


@pytest.mark.parametrize("value", [1e-6, 1e-3, 0.05, 10.0])
def test_that_a_log_slider_keeps_its_place(value: float) -> None:
    scale = Scale(1e-6, 10.0, log=True)
    assert scale.tick(scale.value(scale.tick(value))) == pytest.approx(scale.tick(value), abs=5)


def test_that_a_slider_never_reaches_an_excluded_bound() -> None:
    assert Scale.of(DROP).value(editors.SLIDER_TICKS) < 1


def every_field() -> list[tuple[type[Any], FieldView]]:
    specs = [spec for registry in REGISTRIES.values() for spec in registry.values()]
    return [(spec, view) for spec in [Experiment, *specs] for view in fields_of(spec) if not view.hidden]


def test_that_every_registered_field_has_an_editor_that_shows_its_default(qtbot: QtBot) -> None:
    shown = 0
    for _, view in every_field():
        made = editors.value_editor(view)
        if view.type in ("specs", "other"):
            assert made is None
            continue
        assert made is not None, view
        qtbot.addWidget(made)
        told: list[object] = []
        made.edited.connect(lambda value, more, told=told: told.append(value))
        made.set_value(MIXED)
        if not view.required:
            made.set_value(view.default)
        assert told == [], "showing a value is no edit"
        assert list(made.controls()), view
        shown += 1
    assert shown > 60


def test_that_the_wheel_changes_a_number_only_with_the_keyboard_on_it(qtbot: QtBot) -> None:
    box = NumberBox(VIEWS["units"])
    qtbot.addWidget(box)
    box.set_value(32)
    box.show()
    told: list[object] = []
    box.entered.connect(lambda value, more: told.append(value))
    middle = QPointF(box.rect().center())
    wheel = QWheelEvent(
        middle, middle, QPoint(0, 0), QPoint(0, 120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(box, wheel)
    assert told == []


def test_that_arrow_keys_step_a_number_as_one_gesture(qtbot: QtBot) -> None:
    box = NumberBox(VIEWS["units"])
    qtbot.addWidget(box)
    box.set_value(32)
    told: list[tuple[object, bool]] = []
    box.entered.connect(lambda value, more: told.append((value, more)))
    qtbot.keyClick(box, Qt.Key.Key_Up)
    qtbot.keyClick(box, Qt.Key.Key_Up)
    assert told == [(33, True), (34, True)]


def test_that_escape_brings_the_old_number_back(qtbot: QtBot) -> None:
    box = NumberBox(VIEWS["units"])
    qtbot.addWidget(box)
    box.set_value(32)
    box.lineEdit().setText("99")
    qtbot.keyClick(box, Qt.Key.Key_Escape)
    assert box.lineEdit().text() == "32"


def test_that_a_slider_drag_tells_every_value_and_its_end(qtbot: QtBot) -> None:
    editor = NumberEditor(DROP)
    qtbot.addWidget(editor)
    editor.set_value(0.5)
    assert editor.slider is not None
    told: list[tuple[object, bool]] = []
    ended: list[bool] = []
    editor.edited.connect(lambda value, more: told.append((value, more)))
    editor.finished.connect(lambda: ended.append(True))
    editor.slider.setValue(300)
    editor.slider.setValue(200)
    editor.slider.sliderReleased.emit()
    assert told == [(0.3, True), (0.2, True)]
    assert ended == [True]


def test_that_an_optional_number_can_be_switched_on_and_off(qtbot: QtBot) -> None:
    view = {one.name: one for one in fields_of(schedules.CosineDecay)}["warmup_target"]
    made = editors.value_editor(view)
    assert isinstance(made, editors.OptionalEditor)
    qtbot.addWidget(made)
    made.set_value(None)
    told: list[object] = []
    made.edited.connect(lambda value, more: told.append(value))
    assert not made.inner.isEnabled()
    made.box.click()
    assert made.inner.isEnabled()
    made.box.click()
    assert told == [1.0, None]


def test_that_a_value_is_said_with_what_makes_it_special() -> None:
    assert value_text(activations.LeakyReLU(0.1)) == "leaky_relu 0.1"
    assert value_text(activations.LeakyReLU()) == "leaky_relu"
    assert value_text(None) == "none"
    assert value_text(True) == "on"

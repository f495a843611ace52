"""Forms that follow from the definitions alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gradsim.app.build.editors import BoolEditor, KindEditor, NumberEditor, TextEditor
from gradsim.app.build.forms import Form, RateEditor, Target
from gradsim.app.session import Session
from gradsim.model import edits
from gradsim.model.document import Document
from gradsim.nn import activations, initializers, layers, schedules
from gradsim.nn.scalar import tanh
from gradsim.nn.spec import frozen, option

MakeSession = Callable[..., Session]


def form_for(session: Session, qtbot: QtBot, *indices: int, path: str = "") -> Form:
    uids = tuple(session.experiment.layers[index].uid for index in indices) or ("",)
    form = Form(session, Target(uids, path))
    session.document_changed.connect(form.refresh)
    qtbot.addWidget(form)
    form.show()
    return form


def number(form: Form, name: str) -> NumberEditor:
    editor = form.fields[name].editor
    assert isinstance(editor, NumberEditor)
    return editor


def enter(qtbot: QtBot, editor: NumberEditor, text: str) -> None:
    editor.box.setFocus()
    editor.box.selectAll()
    qtbot.keyClicks(editor.box.lineEdit(), text)
    qtbot.keyClick(editor.box.lineEdit(), Qt.Key.Key_Return)


def choose(form: Form, name: str, identifier: object) -> None:
    editor = form.fields[name].editor
    assert isinstance(editor, KindEditor)
    index = editor.combo.findData(identifier)
    assert index >= 0
    editor.combo.setCurrentIndex(index)
    editor.combo.activated.emit(index)


def dense(session: Session, index: int = 0) -> layers.Dense:
    layer = session.experiment.layers[index]
    assert isinstance(layer, layers.Dense)
    return layer


def test_that_a_typed_number_becomes_one_edit(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, 0)
    enter(qtbot, number(form, "units"), "20")
    assert dense(session).units == 20
    assert session.document.undo_names == ("Change units",)


def test_that_a_slider_drag_is_one_undo_step(make_session: MakeSession, qtbot: QtBot) -> None:
    session = make_session(layers.Dense(8, "tanh"), layers.Dropout(0.5), layers.Dense(1, "sigmoid"))
    form = form_for(session, qtbot, 1)
    slider = number(form, "rate").slider
    assert slider is not None
    for tick in (400, 300, 200):
        slider.setValue(tick)
    slider.sliderReleased.emit()
    slider.setValue(100)
    assert [len(session.document.undo_names), session.experiment.layers[1].rate] == [2, 0.1]  # type: ignore[attr-defined]
    session.undo()
    assert session.experiment.layers[1].rate == 0.2  # type: ignore[attr-defined]
    session.undo()
    assert session.experiment.layers[1].rate == 0.5  # type: ignore[attr-defined]
    assert number(form, "rate").box.value == 0.5


def test_that_arrow_keys_in_a_row_are_one_undo_step(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, 0)
    box = number(form, "units").box
    for _ in range(3):
        qtbot.keyClick(box, Qt.Key.Key_Up)
    assert dense(session).units == 11
    assert len(session.document.undo_names) == 1


def test_that_a_refusal_is_said_at_the_field_and_nothing_changes(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, 0)
    field = form.fields["units"]
    for text, words in (("0", "at least 1"), ("9000", "at most 8192"), ("many", "whole number"), ("2.5", "whole")):
        enter(qtbot, number(form, "units"), text)
        assert not field.error.isHidden()
        assert words in field.error.text()
        assert text in field.error.text(), "what was received is said"
        assert dense(session).units == 8
    enter(qtbot, number(form, "units"), "9")
    assert field.error.isHidden()
    assert dense(session).units == 9


def test_that_escape_takes_a_refused_text_back(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, 0)
    enter(qtbot, number(form, "units"), "many")
    qtbot.keyClick(number(form, "units").box, Qt.Key.Key_Escape)
    assert form.fields["units"].error.isHidden()
    assert number(form, "units").box.lineEdit().text() == "8"


def test_that_a_refusal_survives_edits_elsewhere_and_ends_with_another_selection(
    session: Session, qtbot: QtBot
) -> None:
    form = form_for(session, qtbot, 0)
    enter(qtbot, number(form, "units"), "0")
    session.edit(edits.set_field, "", "seed", 3)
    assert not form.fields["units"].error.isHidden()
    form.set_target(Target((session.experiment.layers[1].uid,)))
    assert form.fields["units"].error.isHidden()
    assert number(form, "units").box.value == 6


def test_that_what_a_field_holds_has_fields_of_its_own(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, 0)
    choose(form, "activation", "leaky_relu")
    inner = form.fields["activation"].inner
    assert inner is not None
    enter(qtbot, number(inner, "negative_slope"), "0.3")
    assert dense(session).activation == activations.LeakyReLU(0.3)
    choose(form, "activation", "relu")
    assert not inner.fields
    assert dense(session).activation == activations.ReLU()


def test_that_a_form_refused_inside_a_schedule_says_so_there(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, path="optimizer")
    rate = form.fields["learning_rate"]
    assert isinstance(rate.editor, RateEditor)
    rate.editor.kind.edited.emit("CosineDecay", False)
    assert isinstance(session.experiment.optimizer.learning_rate, schedules.CosineDecay)
    assert session.experiment.optimizer.learning_rate.initial_learning_rate == 0.01
    assert rate.inner is not None
    enter(qtbot, number(rate.inner, "decay_steps"), "0")
    assert "at least 1" in rate.inner.fields["decay_steps"].error.text()
    rate.editor.kind.edited.emit("", False)
    assert session.experiment.optimizer.learning_rate == 0.01


def test_that_several_layers_are_edited_together(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, 0, 1)
    assert number(form, "units").box.lineEdit().text() == ""
    assert number(form, "units").box.lineEdit().placeholderText() == "mixed"
    enter(qtbot, number(form, "units"), "12")
    choose(form, "kernel_initializer", "he_normal")
    for index in (0, 1):
        assert dense(session, index).units == 12
        assert dense(session, index).kernel_initializer == initializers.HeNormal()
    assert len(session.document.undo_names) == 2


def test_that_leaving_a_field_of_several_values_changes_none(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, 0, 1)
    number(form, "units").box.setFocus()
    number(form, "units").box.clearFocus()
    name = form.fields["name"].editor
    assert isinstance(name, TextEditor)
    name.line.editingFinished.emit()
    assert session.document.undo_names == ()


def test_that_layers_of_different_kinds_share_the_fields_of_both(make_session: MakeSession, qtbot: QtBot) -> None:
    session = make_session(layers.Dense(8), layers.Dropout(0.1), layers.Dense(1, "sigmoid"))
    form = form_for(session, qtbot, 0, 1)
    assert set(form.fields) == {"name", "trainable", "enabled"}
    trainable = form.fields["trainable"].editor
    assert isinstance(trainable, BoolEditor)
    trainable.box.click()
    assert [layer.trainable for layer in session.experiment.layers] == [False, False, True]


def test_that_reset_shows_only_where_it_would_change_something(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, 0)
    field = form.fields["activation"]
    assert not field.reset.isHidden()
    assert form.fields["units"].reset.isHidden(), "units have no default"
    assert form.fields["kernel_initializer"].reset.isHidden()
    field.reset.click()
    assert dense(session).activation.identifier == "linear"
    assert field.reset.isHidden()
    assert session.document.undo_names[0] == "Reset activation"


def test_that_an_optional_thing_can_be_none(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, 0)
    choose(form, "kernel_regularizer", "l2")
    assert dense(session).kernel_regularizer is not None
    choose(form, "kernel_regularizer", None)
    assert dense(session).kernel_regularizer is None


def test_that_a_form_follows_undo_and_edits_elsewhere(session: Session, qtbot: QtBot) -> None:
    form = form_for(session, qtbot, 0)
    session.edit(edits.set_field, dense(session).uid, "units", 31)
    assert number(form, "units").box.value == 31
    session.undo()
    assert number(form, "units").box.value == 8


def test_that_every_control_has_a_name_and_words(session: Session, qtbot: QtBot) -> None:
    for path, indices in (("", (0,)), ("optimizer", ()), ("", ())):
        form = form_for(session, qtbot, *indices, path=path)
        for field in form.fields.values():
            for control in field.editor.controls():
                assert control.accessibleName(), field.view.name
                assert control.accessibleDescription() or not field.view.help
                assert control.toolTip()
            assert field.view.required or field.reset.accessibleName()


def test_that_a_throw_away_activation_appears_is_saved_and_trains(
    make_session: MakeSession, qtbot: QtBot, tmp_path: Path
) -> None:
    @activations.registry.register("throw_away")
    @frozen
    class ThrowAway(activations.Activation):
        """Twice as steep as tanh."""

        gain: float = option("Gain", "How steep.", default=2.0, gt=0, le=10, step=0.5)

        @staticmethod
        def forward(x: Any, gain: Any = 2.0) -> Any:
            return tanh(gain * x)

        @staticmethod
        def derivative(x: Any, y: Any, gain: Any = 2.0) -> Any:
            return gain * (1.0 - y * y)

    try:
        session = make_session()
        form = form_for(session, qtbot, 0)
        choose(form, "activation", "throw_away")
        inner = form.fields["activation"].inner
        assert inner is not None
        assert inner.fields["gain"].label.text() == "Gain"
        enter(qtbot, number(inner, "gain"), "1.5")
        assert dense(session).activation == ThrowAway(1.5)

        path = tmp_path / "own.gradsim"
        session.document.save(path)
        opened = Document.open(path).experiment.layers[0]
        assert isinstance(opened, layers.Dense)
        assert opened.activation == ThrowAway(1.5)

        session.start(play=True)
        qtbot.waitUntil(lambda: (session.latest or 0) > 5, timeout=60_000)
        session.pause()
        record = session.at()
        assert record is not None
        assert record["delta_rms"][0][0] > 0
    finally:
        activations.registry.unregister("throw_away")

"""The panel for the selection."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from gradsim.app.build.editors import KindEditor, NumberEditor
from gradsim.app.build.inspector import Inspector
from gradsim.app.session import Session
from gradsim.model import edits
from gradsim.nn.layers import BatchNormalization, Dense, Repeat

MakeSession = Callable[..., Session]


@pytest.fixture
def inspector(session: Session, qtbot: QtBot) -> Inspector:
    return inspector_of(session, qtbot)


def inspector_of(session: Session, qtbot: QtBot) -> Inspector:
    made = Inspector(session)
    qtbot.addWidget(made)
    made.resize(320, 600)
    made.show()
    return made


def uids(session: Session) -> list[str]:
    return [layer.uid for layer in session.experiment.layers]


def test_that_nothing_selected_says_what_to_do(inspector: Inspector) -> None:
    assert "Click a card" in inspector.summary.text()
    assert inspector.form.isHidden()
    assert inspector.weights.isHidden()


def test_that_one_layer_is_shown_with_fields_and_weights(session: Session, inspector: Inspector) -> None:
    session.state.select(uids(session)[1:2])
    assert inspector.title.text() == "dense_1 \u00b7 Dense"
    assert "8 in, 6 out, 54 weights" in inspector.summary.text()
    names = list(inspector.form.fields)
    assert names[:3] == ["units", "activation", "kernel_initializer"]
    table = inspector.weights
    assert [table.item(row, 0).text() for row in range(table.rowCount())] == ["kernel", "bias"]
    assert table.item(0, 1).text() == "8 \u00d7 6"
    assert table.item(0, 3).text() == "glorot_uniform"


def test_that_several_layers_are_shown_together(session: Session, inspector: Inspector) -> None:
    session.state.select(uids(session)[:2])
    assert inspector.title.text() == "2 layers \u00b7 Dense"
    assert "78 weights together" in inspector.summary.text()


def test_that_a_problem_is_shown_with_its_fix(session: Session, inspector: Inspector) -> None:
    output = uids(session)[2]
    session.edit(edits.set_field, output, "units", 5)
    session.state.select((output,))
    assert not inspector.problems.isHidden()
    inspector.problems.buttons[0].click()
    assert session.startable
    assert inspector.problems.isHidden()


def test_that_the_panel_follows_edits_undo_and_deletion(session: Session, inspector: Inspector) -> None:
    first = uids(session)[0]
    session.state.select((first,))
    session.edit(edits.replace_kind, first, "BatchNormalization")
    assert "BatchNormalization" in inspector.title.text()
    assert "momentum" in inspector.form.fields
    session.undo()
    assert "units" in inspector.form.fields
    session.edit(edits.remove, (first,))
    assert inspector.title.text() == "Nothing selected"


def test_that_a_layer_frozen_by_its_group_says_so(make_session: MakeSession, qtbot: QtBot) -> None:
    session = make_session(Repeat(2, (Dense(8, "tanh"),), trainable=False), Dense(1, "sigmoid"))
    inspector = inspector_of(session, qtbot)
    session.state.select((session.experiment.layers[0].children()[0].uid,))
    assert "Frozen, because the group around it is" in inspector.summary.text()


def test_that_what_was_being_typed_goes_to_the_layer_it_was_typed_for(
    session: Session, inspector: Inspector, qtbot: QtBot
) -> None:
    first, second, _ = uids(session)
    inspector.activateWindow()
    session.state.select((first,))
    editor = inspector.form.fields["units"].editor
    assert isinstance(editor, NumberEditor)
    editor.box.setFocus()
    qtbot.waitUntil(editor.box.hasFocus)
    editor.box.lineEdit().setText("17")
    session.state.select((second,))
    assert [layer.units for layer in session.experiment.layers] in ([17, 6, 1], [8, 6, 1])  # type: ignore[attr-defined]
    assert editor.box.lineEdit().text() == "6"


def test_that_tab_goes_through_the_panel_as_the_eye_does(session: Session, qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    layout = QHBoxLayout(window)
    inspector = Inspector(session)
    behind = QLineEdit()
    layout.addWidget(inspector)
    layout.addWidget(behind)
    window.show()
    window.activateWindow()
    session.state.select(uids(session)[:1])
    activation = inspector.form.fields["activation"].editor
    assert isinstance(activation, KindEditor)
    # Its slope is a field that is made later than everything else in the window.
    session.edit(edits.choose, uids(session)[0], "activation", "leaky_relu")
    inner = inspector.form.fields["activation"].inner
    assert inner is not None
    slope = inner.fields["negative_slope"].editor
    assert isinstance(slope, NumberEditor)
    activation.combo.setFocus()
    qtbot.waitUntil(activation.combo.hasFocus)
    met: list[QWidget | None] = []
    for _ in range(40):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        met.append(QApplication.focusWidget())
        if met[-1] is behind:
            break
    initializer = inspector.form.fields["kernel_initializer"].editor
    assert isinstance(initializer, KindEditor)
    assert met.index(slope.box) < met.index(initializer.combo) < met.index(behind)
    QTest.keyClick(initializer.combo, Qt.Key.Key_Backtab)


def test_that_normalisation_shows_what_is_kept_but_not_trained(make_session: MakeSession, qtbot: QtBot) -> None:
    session = make_session(BatchNormalization(), Dense(1, "sigmoid"))
    inspector = inspector_of(session, qtbot)
    session.state.select(uids(session)[:1])
    table = inspector.weights
    roles = [table.item(row, 0).text() for row in range(table.rowCount())]
    assert roles == ["gamma", "beta", "moving mean", "moving variance"]

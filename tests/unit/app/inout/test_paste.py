from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from gradsim import i18n
from gradsim.app.inout.paste import PasteCode, looks_like_code, place_in, said
from gradsim.app.session import Session
from gradsim.app.window import MainWindow
from gradsim.exchange import importing
from gradsim.exchange.results import ImportFault, Place
from gradsim.model import edits
from gradsim.nn.layers import Dense
from gradsim.nn.spec import Fault

WAIT = 20_000

MODEL = """model = keras.models.Sequential([
    keras.layers.Flatten(input_shape=[28,28]),
    keras.layers.Dense(300, activation='elu', kernel_initializer='he_normal'),
    keras.layers.Conv2D(3, 3),
    keras.layers.Dense(10, activation='softmax')
])
optimizer = keras.optimizers.SGD(clipvalue=1.0)
model.compile(loss="mse", optimizer=optimizer)
"""
BROKEN = "model = keras.models.Sequential([\n    keras.layers.Flatten(input_shape[28,28]),\n])\n"
LAYER = 'layer=keras.layers.Dense(10,activation="selu",kernel_initializer="lecun_normal")'

OpenSession = Callable[..., Session]
OpenWindow = Callable[..., MainWindow]


def read_code_faults(text: str) -> tuple[Fault, ...]:
    with pytest.raises(ImportFault) as error:
        importing.read_text(text)
    return error.value.faults


def read(qtbot: QtBot, dialog: PasteCode) -> None:
    qtbot.waitUntil(lambda: not dialog.reading, timeout=WAIT)


@pytest.fixture
def dialog(open_session: OpenSession, qtbot: QtBot) -> PasteCode:
    made = PasteCode(open_session())
    qtbot.addWidget(made)
    return made


def test_that_pasted_code_becomes_the_experiment_as_one_step(dialog: PasteCode, qtbot: QtBot) -> None:
    session = dialog.session
    before = session.experiment
    dialog.code.setPlainText(MODEL)
    read(qtbot, dialog)
    assert dialog.replace.isEnabled() and dialog.replace.isDefault()
    dialog.replace.click()
    assert [layer.identifier for layer in session.experiment.layers] == ["Flatten", "Dense", "Dense"]
    assert session.experiment.optimizer.clipvalue == 1.0
    assert session.experiment.loss.identifier == "mse"
    assert len(session.document.undo_names) == 1
    session.undo()
    assert session.experiment is before


def test_that_what_has_no_counterpart_is_listed_and_marked_at_its_line(dialog: PasteCode, qtbot: QtBot) -> None:
    dialog.code.setPlainText(MODEL)
    read(qtbot, dialog)
    assert any(line.place == Place(4, 5) and "Conv2D" in line.text for line in dialog.lines)
    assert any(mark.line == 4 and mark.severity == "unwise" for mark in dialog.code.marks)
    row = next(row for row, line in enumerate(dialog.lines) if line.place.line == 4)
    dialog.notes.itemClicked.emit(dialog.notes.item(row))
    assert dialog.code.textCursor().blockNumber() == 3


def test_that_a_fault_is_said_with_place_and_fix_and_nothing_can_be_applied(dialog: PasteCode, qtbot: QtBot) -> None:
    dialog.code.setPlainText(BROKEN)
    read(qtbot, dialog)
    assert [line.place for line in dialog.lines] == [Place(2, 26)]
    assert "write input_shape=[28,28]" in dialog.lines[0].text
    assert [(mark.line, mark.column) for mark in dialog.code.marks] == [(2, 26)]
    assert not dialog.replace.isEnabled() and not dialog.insert.isEnabled() and not dialog.new.isEnabled()


def test_that_a_single_layer_can_be_put_behind_the_selection(dialog: PasteCode, qtbot: QtBot) -> None:
    session = dialog.session
    first = session.experiment.layers[0]
    session.state.select([first.uid])
    count = len(session.experiment.layers)
    dialog.code.setPlainText(LAYER)
    read(qtbot, dialog)
    assert dialog.insert.isDefault() and not dialog.replace.isDefault()
    dialog.insert.click()
    assert len(session.experiment.layers) == count + 1
    added = session.experiment.layers[1]
    assert isinstance(added, Dense) and added.activation.identifier == "selu"


def test_that_code_without_layers_changes_the_optimizer_alone(dialog: PasteCode, qtbot: QtBot) -> None:
    layers = dialog.session.experiment.layers
    dialog.code.setPlainText("optimizer = keras.optimizers.SGD(clipvalue=1.0)\nmodel.compile(optimizer=optimizer)")
    read(qtbot, dialog)
    assert not dialog.insert.isEnabled()
    dialog.replace.click()
    assert dialog.session.experiment.layers == layers
    assert dialog.session.experiment.optimizer.clipvalue == 1.0


def test_that_code_opens_as_a_new_experiment_only_if_the_present_one_may_go(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    session = open_session()
    answers = [False, True]
    dialog = PasteCode(session, MODEL, may_leave=lambda: answers.pop(0))
    qtbot.addWidget(dialog)
    read(qtbot, dialog)
    before = session.experiment
    dialog.new.click()
    assert session.experiment is before
    dialog.new.click()
    assert len(session.experiment.layers) == 3
    assert not session.document.undo_names and session.document.dirty


def test_that_ctrl_v_with_code_opens_the_dialog_and_with_layers_pastes_them(
    open_window: OpenWindow, qtbot: QtBot
) -> None:
    window = open_window()
    clipboard = QGuiApplication.clipboard()
    clipboard.setText(MODEL)
    window.actions_["edit.paste"].trigger()
    assert isinstance(window.desk.dialog, PasteCode)
    assert window.desk.dialog.code.toPlainText() == MODEL
    window.desk.dialog.reject()
    assert window.desk.dialog is None
    count = len(window.session.experiment.layers)
    clipboard.setText(edits.copy(window.session.experiment, [window.session.experiment.layers[0].uid]))
    window.actions_["edit.paste"].trigger()
    assert window.desk.dialog is None
    assert len(window.session.experiment.layers) == count + 1
    clipboard.clear()


@pytest.mark.parametrize("suffix", [".py", ".ipynb", ".json"])
def test_that_a_file_of_code_is_taken_to_the_dialog(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path, suffix: str
) -> None:
    from gradsim.exchange import keras_config

    window = open_window(started=False)
    path = tmp_path / f"own{suffix}"
    if suffix == ".py":
        path.write_text(MODEL, encoding="utf-8")
    elif suffix == ".json":
        path.write_text(keras_config.dumps(window.session.experiment), encoding="utf-8")
    else:
        cells = [{"cell_type": "markdown", "source": "x"}, {"cell_type": "code", "source": ["%time 1\n", MODEL]}]
        path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert window.files.take(path)
    dialog = window.desk.dialog
    assert isinstance(dialog, PasteCode)
    read(qtbot, dialog)
    assert dialog.imported is not None, dialog.lines
    dialog.reject()


def test_that_a_file_that_is_no_text_is_refused_with_a_sentence(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window(started=False)
    path = tmp_path / "own.py"
    path.write_bytes(b"\xff\xfe\x00")
    heard: list[str] = []
    window.files.failed.connect(heard.append)
    assert not window.files.take(path)
    assert "own.py" in heard[0] and "UTF-8" in heard[0]
    assert window.desk.dialog is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (MODEL, True), (LAYER, True), ("import torch.nn as nn\nm = nn.Linear(2, 3)", True),
        ("Dear all, the exam (three hours) is on Friday.", False), ('[{"type": "Dense", "units": 3}]', False),
        ('{"class_name": "Sequential"}', True), ("", False),
    ],
)  # fmt: skip
def test_that_code_is_told_from_layers_and_prose(text: str, code: bool) -> None:
    assert looks_like_code(text) is code


def test_that_a_fault_knows_its_place_in_every_language() -> None:
    i18n.set_language("zh_CN")
    try:
        error = read_code_faults(BROKEN)
    finally:
        i18n.set_language("en")
    assert [place_in(fault.path) for fault in error] == [Place(2, 26)]
    assert place_in("data.path") == Place()
    assert said(Fault("data.path", "must be a file", "x")) == "data.path: must be a file (received x)"

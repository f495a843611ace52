from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from gradsim.app.inout.export import FORMS, ExportCode
from gradsim.app.window import MainWindow
from gradsim.exchange import keras_code

WAIT = 20_000


@pytest.fixture
def dialog(open_window: Callable[..., MainWindow], qtbot: QtBot) -> ExportCode:
    window = open_window(started=False)
    made = window.desk.export_code()
    written(qtbot, made)
    return made


def written(qtbot: QtBot, dialog: ExportCode) -> None:
    qtbot.waitUntil(lambda: not dialog.background.busy, timeout=WAIT)


def test_that_the_script_is_shown_and_copied_and_reads_back_as_the_experiment(dialog: ExportCode, qtbot: QtBot) -> None:
    text = dialog.view.toPlainText()
    ast.parse(text)
    dialog.copy_button.click()
    assert QGuiApplication.clipboard().text() == text
    back = keras_code.read(text).experiment
    assert [layer.identifier for layer in back.layers] == [layer.identifier for layer in dialog.experiment.layers]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.key)
def test_that_every_form_is_written_to_its_file(dialog: ExportCode, qtbot: QtBot, tmp_path: Path, form: object) -> None:
    dialog.choose(form.key)  # type: ignore[attr-defined]
    written(qtbot, dialog)
    path = tmp_path / f"own{form.suffix}"  # type: ignore[attr-defined]
    assert dialog.save(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        assert json.loads(text)["class_name"] == "Sequential"
    elif path.suffix == ".svg":
        assert text.startswith("<svg")
    else:
        ast.parse(text)
    assert [one.name for one in tmp_path.glob("own*")] == [path.name]


def test_that_the_same_initial_weights_lie_beside_the_script(dialog: ExportCode, qtbot: QtBot, tmp_path: Path) -> None:
    dialog.same_weights.setChecked(True)
    written(qtbot, dialog)
    assert ".npz" in dialog.note.text()
    assert dialog.save(tmp_path / "own.py")
    experiment = dialog.experiment
    with np.load(tmp_path / "own.npz") as arrays:
        for number, array in enumerate(experiment.stack().initial_weights(experiment.seed)):
            np.testing.assert_array_equal(arrays[f"weight_{number}"], array)
    assert 'with_name("own.npz")' in (tmp_path / "own.py").read_text(encoding="utf-8")


def test_that_what_can_not_be_written_is_said(dialog: ExportCode, qtbot: QtBot, tmp_path: Path) -> None:
    assert not dialog.save(tmp_path / "no such folder" / "own.py")
    assert dialog.note.text()

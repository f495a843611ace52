from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from gradsim.app.inout.own_data import OwnData, look, picture_of
from gradsim.app.inout.reuse import ReuseLayers
from gradsim.app.window import MainWindow
from gradsim.data import CSV, Images

WAIT = 20_000
OpenWindow = Callable[..., MainWindow]

TABLE = """width;colour;kind
1,5;red;ant
2,5;blue;bee
3,0;red;cow
4,5;blue;ant
0,5;red;bee
2,0;blue;cow
"""


def read(qtbot: QtBot, dialog: OwnData) -> None:
    qtbot.waitUntil(lambda: not dialog.reading, timeout=WAIT)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "animals.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name, value in (("black", 0), ("white", 255), ("grey", 128)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (9, 9), value).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


def test_that_a_table_is_shown_as_it_stands_with_faults_at_their_cells(
    open_window: OpenWindow, qtbot: QtBot, table: Path
) -> None:
    window = open_window(started=False)
    assert window.files.take(table)
    dialog = window.desk.dialog
    assert isinstance(dialog, OwnData)
    read(qtbot, dialog)
    # With a decimal point, 1,5 is a text.
    assert dialog.table.item(0, 0).text() == "1,5"
    assert dialog.table.horizontalHeaderItem(2).text() == "kind"
    assert dialog.table.verticalHeaderItem(0).text() == "2"
    dialog.form.fields["decimal"].editor.edited.emit(",", False)
    read(qtbot, dialog)
    assert dialog.looked.dataset.input_shape == (3,)
    assert "ant" in dialog.verdict.text()
    table.write_text(TABLE.replace("2,5", "many"), encoding="utf-8")
    dialog.read()
    read(qtbot, dialog)
    assert not dialog.use.isEnabled()
    assert dialog.faults.count() == 1
    assert "many" in dialog.faults.item(0).text()
    assert dialog.table.item(1, 0).text() == "▲ many"
    dialog.faults.itemClicked.emit(dialog.faults.item(0))
    dialog.reject()


def test_that_the_data_are_used_as_one_step_and_the_ends_of_the_stack_fit(
    open_window: OpenWindow, qtbot: QtBot, table: Path
) -> None:
    window = open_window(started=False)
    session = window.session
    before = session.experiment
    dialog = window.desk.own_data(table)
    dialog.form.fields["decimal"].editor.edited.emit(",", False)
    read(qtbot, dialog)
    dialog.use.click()
    made = session.experiment
    assert isinstance(made.data, CSV) and made.data.decimal == ","
    assert made.layers[-1].units == 3 and made.loss.identifier == "categorical_crossentropy"
    assert made.layers[:-1] == before.layers[:-1]
    assert session.startable
    assert len(session.document.undo_names) == 1
    session.undo()
    assert session.experiment is before


def test_that_another_target_is_chosen_from_the_columns(open_window: OpenWindow, qtbot: QtBot, table: Path) -> None:
    window = open_window(started=False)
    dialog = window.desk.own_data(table)
    read(qtbot, dialog)
    combo = dialog._target.combo
    assert [combo.itemData(row) for row in range(combo.count())] == ["", "width", "colour", "kind"]
    combo.activated.emit(2)
    read(qtbot, dialog)
    assert dialog.looked.source.target == "colour"
    assert dialog.looked.dataset.class_names == ("blue", "red")
    dialog.reject()


def test_that_a_folder_of_pictures_is_shown_and_used(open_window: OpenWindow, qtbot: QtBot, pictures: Path) -> None:
    window = open_window(started=False)
    assert window.files.take(pictures)
    dialog = window.desk.dialog
    assert isinstance(dialog, OwnData)
    read(qtbot, dialog)
    assert dialog.pictures.count() == 9
    assert {dialog.pictures.item(row).text() for row in range(9)} == {"black", "white", "grey"}
    dialog.use.click()
    made = window.session.experiment
    assert isinstance(made.data, Images)
    assert made.layers[0].identifier == "Flatten" and made.layers[-1].units == 3
    assert window.session.startable


def test_that_arrays_are_data_if_they_are_named_so_and_weights_else(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    window = open_window(started=False)
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random((8, 5, 5)), y=np.arange(8) % 2)
    np.savez(tmp_path / "weights.npz", np.zeros((2, 8)), np.zeros(8))
    assert window.files.take(tmp_path / "data.npz")
    dialog = window.desk.dialog
    assert isinstance(dialog, OwnData)
    read(qtbot, dialog)
    assert dialog.pictures.count() == 6
    dialog.reject()
    assert window.files.take(tmp_path / "weights.npz")
    assert isinstance(window.desk.dialog, ReuseLayers)
    window.desk.dialog.reject()
    (tmp_path / "broken.npz").write_bytes(b"x")
    assert not window.files.take(tmp_path / "broken.npz")
    assert window.desk.dialog is None


def test_that_a_folder_without_pictures_says_what_it_must_hold(tmp_path: Path) -> None:
    looked = look(Images(str(tmp_path)))
    assert looked.dataset is None
    assert "one for each class" in str(looked.error)


def test_that_pixels_become_a_picture() -> None:
    grey = picture_of(np.array([[0.0, 0.5], [1.0, 0.25]]))
    assert (grey.width(), grey.height(), grey.pixelColor(0, 1).red(), grey.pixelColor(1, 0).red()) == (2, 2, 255, 127)
    colour = picture_of(np.array([[[0.0, 0.0, 1.0]]]))
    assert (colour.pixelColor(0, 0).red(), colour.pixelColor(0, 0).blue()) == (0, 255)

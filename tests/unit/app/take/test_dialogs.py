"""The dialogs of pictures and moving pictures, on the real window."""

from __future__ import annotations

import csv
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.app.see import picture
from gradsim.app.take.dialogs import FilmDialog, PictureDialog
from gradsim.app.take.sheets import VIEWS
from gradsim.app.window import MainWindow
from tests.unit.app.conftest import OpenWindow


@pytest.fixture
def window(open_window: OpenWindow, qtbot: QtBot) -> MainWindow:
    made = open_window()
    made.session.runner.step(40)
    qtbot.waitUntil(lambda: made.session.status.step == 40 and made.session.status.state == "paused", timeout=20_000)
    return made


def ready(dialog: PictureDialog, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not dialog._timer.isActive(), timeout=20_000)


@pytest.mark.parametrize("key", [*VIEWS, "window"])
def test_that_every_view_is_saved_as_png_and_svg(window: MainWindow, qtbot: QtBot, tmp_path: Path, key: str) -> None:
    dialog = window.take_picture(key)
    assert isinstance(dialog, PictureDialog)
    dialog.choices.set_size(640, 400)
    ready(dialog, qtbot)
    assert dialog.save(tmp_path / "x", "png")
    image = QImage(str(tmp_path / "x.png"))
    assert (image.width(), image.height()) == (640, 400)
    assert dialog.save(tmp_path / "x.svg", "svg")
    assert b"<svg" in (tmp_path / "x.svg").read_bytes()[:400]
    assert dialog.buttons["csv"].isEnabled() == (key != "window")
    dialog.close()


def test_that_the_dialog_gives_numbers_as_csv_and_copies(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    dialog = window.take_picture("profile")
    assert isinstance(dialog, PictureDialog)
    assert dialog.save(tmp_path / "x.csv", "csv")
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["layer", "dense", "dense_1", "dense_2"]
    dialog.copy()
    assert QGuiApplication.clipboard().image().width() == dialog.choices.wide.value()
    dialog.copy_table()
    assert QGuiApplication.clipboard().text().startswith("layer\t")
    dialog.close()


@pytest.mark.parametrize("key", ["profile", "heatmap"])
def test_that_a_picture_says_which_step_it_shows_while_the_run_goes_on(
    window: MainWindow, qtbot: QtBot, key: str
) -> None:
    # In another theme than the picture's: whenever that is painted, its views read again what they show.
    theme.set_choice("dark")
    theme.set_zoom(150)
    dialog = window.take_picture(key)
    assert isinstance(dialog, PictureDialog)
    ready(dialog, qtbot)
    assert dialog.sheet is not None
    said, numbers = dialog.sheet.lead.text(), dialog.content("csv")
    assert said.endswith("step 39")
    window.session.runner.step(20)
    qtbot.waitUntil(lambda: window.session.status.step == 60, timeout=20_000)
    dialog.copy()
    assert (dialog.sheet.lead.text(), dialog.content("csv")) == (said, numbers)
    dialog.close()


def test_that_the_whole_window_has_its_menus_as_svg_too(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    dialog = window.take_picture("window")
    assert isinstance(dialog, PictureDialog)
    ready(dialog, qtbot)
    assert dialog.save(tmp_path / "x.svg", "svg")
    made = QImage(window.size(), QImage.Format.Format_RGB32)
    painter = QPainter(made)
    QSvgRenderer(str(tmp_path / "x.svg")).render(painter)
    painter.end()
    bar = window.menuBar()
    inks = [
        made.copy(bar.actionGeometry(action).translated(bar.pos())).convertToFormat(QImage.Format.Format_Grayscale8)
        for action in bar.actions()
    ]
    for ink in inks:
        shades = np.asarray(ink.bits()).reshape(ink.height(), ink.bytesPerLine())[:, : ink.width()]
        assert int(shades.max()) - int(shades.min()) > 100
    dialog.close()


def test_that_a_file_that_can_not_be_written_is_said(window: MainWindow, tmp_path: Path) -> None:
    dialog = window.take_picture()
    assert isinstance(dialog, PictureDialog)
    assert not dialog.save(tmp_path / "no" / "x.png", "png")
    assert "can't write" in dialog.said.text()
    dialog.close()


def test_that_a_preset_and_typed_pixels_follow_each_other(window: MainWindow) -> None:
    dialog = window.take_picture()
    assert isinstance(dialog, PictureDialog)
    dialog.choices.preset.setCurrentIndex(1)
    assert dialog.choices.size_in_pixels == (1920, 1080)
    dialog.choices.wide.setValue(1280)
    dialog.choices.high.setValue(720)
    assert dialog.choices.preset.currentIndex() == 2
    dialog.close()


def test_that_the_menu_of_a_view_leads_to_its_sheet(window: MainWindow) -> None:
    texts = [action.text() for action in picture.PictureMenu(window.stage.profile, print).actions()]
    assert "Picture in any size and theme…" in texts
    assert "As a moving picture…" in texts


@pytest.mark.parametrize("key", ["heatmap", "data", "inside"])
def test_that_a_film_is_made_while_the_window_lives(window: MainWindow, qtbot: QtBot, tmp_path: Path, key: str) -> None:
    dialog = window.make_film(key)
    assert isinstance(dialog, FilmDialog)
    dialog.choices.set_size(300, 240)
    dialog.frames.setValue(6)
    path = tmp_path / "x.gif"
    film = dialog.make(dialog.plan(), path)
    with qtbot.waitSignal(film.finished, timeout=60_000):
        pass
    with Image.open(path) as image:
        assert (image.size, image.n_frames) == ((300, 240), 6)
        image.seek(0)
        first = np.asarray(image.convert("RGB"))
        image.seek(5)
        assert (np.asarray(image.convert("RGB")) != first).any()
    assert "written" in dialog.said.text()
    dialog.close()


def test_that_a_cancelled_film_leaves_nothing(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    dialog = window.make_film()
    assert isinstance(dialog, FilmDialog)
    dialog.frames.setValue(40)
    film = dialog.make(dialog.plan(), tmp_path / "x.gif")
    qtbot.waitUntil(lambda: dialog.bar.value() >= 3, timeout=60_000)
    with qtbot.waitSignal(film.cancelled, timeout=60_000):
        dialog.reject()
    assert [name for name in os.listdir(tmp_path) if "x.gif" in name] == []
    assert dialog.film is None
    assert dialog.save_button.isEnabled()
    dialog.close()


def test_that_closing_the_window_ends_a_film(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    dialog = window.make_film()
    assert isinstance(dialog, FilmDialog)
    dialog.frames.setValue(40)
    dialog.make(dialog.plan(), tmp_path / "x.webp")
    qtbot.waitUntil(lambda: dialog.bar.value() >= 2, timeout=60_000)
    window.close()
    assert not any(thread.name == "gradsim-film" for thread in threading.enumerate())
    assert [name for name in os.listdir(tmp_path) if "x.webp" in name] == []


def test_that_a_film_whose_folder_is_gone_says_so(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    dialog = window.make_film()
    assert isinstance(dialog, FilmDialog)
    dialog.frames.setValue(3)
    film = dialog.make(dialog.plan(), tmp_path / "no" / "x.gif")
    with qtbot.waitSignal(film.failed, timeout=60_000):
        pass
    assert "can't be written" in dialog.said.text()
    dialog.close()

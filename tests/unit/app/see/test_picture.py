"""Views as files."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QGuiApplication, QImage
from pytestqt.qtbot import QtBot

from gradsim.app.see import picture
from gradsim.app.see.rows import RowSpace
from gradsim.app.see.stage import Stage

from .conftest import FakeSession, show, sigmoid_stack


@pytest.fixture
def stage(qtbot: QtBot, session: FakeSession, space: RowSpace) -> Stage:
    made = Stage(session, space)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    show(made, 800, 600)
    session.train(sigmoid_stack(5), 60)
    return made


def test_that_a_png_has_the_chosen_size_and_can_be_opened(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "stage.png"
    picture.save_png(stage, path, 1600)
    opened = QImage(str(path))
    assert (opened.width(), opened.height()) == (1600, 1200)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_that_a_larger_picture_is_drawn_anew_and_not_stretched(stage: Stage) -> None:
    small, large = picture.image(stage.heatmap), picture.image(stage.heatmap, 3 * stage.heatmap.width())
    stretched = small.scaled(large.size())
    assert np.count_nonzero(_pixels(stretched) != _pixels(large)) > 1000


def _pixels(image: QImage) -> np.ndarray:
    return np.frombuffer(image.constBits(), np.uint32)


@pytest.mark.parametrize("part", ["heatmap", "profile", "curves", "time_line", "colour_bar"])
def test_that_an_svg_is_well_formed_and_holds_its_text(stage: Stage, tmp_path: Path, part: str) -> None:
    path = tmp_path / "part.svg"
    picture.save_svg(getattr(stage, part), path)
    root = ElementTree.fromstring(path.read_text())
    assert root.tag.endswith("svg")
    assert any(True for _ in root.iter("{http://www.w3.org/2000/svg}text"))


def test_that_the_heatmaps_cells_are_in_the_svg_without_the_rest_of_the_ring(stage: Stage) -> None:
    root = ElementTree.fromstring(picture.svg(stage.heatmap))
    images = list(root.iter("{http://www.w3.org/2000/svg}image"))
    assert images
    assert stage.heatmap.pull is not None
    widest = max(float(image.attrib["width"]) for image in images)
    assert widest <= stage.heatmap.width() + 1


def test_that_numbers_are_written_as_csv(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "heatmap.csv"
    picture.save_csv(stage.heatmap, path)
    rows = list(csv.reader(io.StringIO(path.read_text())))
    assert rows[0] == ["step", *(f"dense_{i}" if i else "dense" for i in range(6))]
    assert len(rows) == 61
    assert stage.session.recorder is not None
    assert float(rows[-1][1]) == stage.session.recorder.at(59)["delta_rms"][0, 0]


def test_that_the_curves_table_has_the_extremes_and_the_validation(stage: Stage) -> None:
    header, rows = stage.curves.export_columns()
    assert header[:3] == ["step", "loss_minimum", "loss_maximum"]
    assert [row[0] for row in rows] == list(range(60))
    assert header.index("val_loss") == len(header) - 2
    assert rows[-1][-2] != ""


def test_that_a_missing_value_is_an_empty_field() -> None:
    assert picture.table(["a", "b"], [[1, float("nan")]]) == "a,b\r\n1,\r\n"


def test_that_the_clipboard_gets_picture_and_numbers(stage: Stage) -> None:
    picture.copy_picture(stage.profile)
    assert QGuiApplication.clipboard().image().width() == 2 * stage.profile.width()
    picture.copy_table(stage.profile)
    assert QGuiApplication.clipboard().text().startswith("layer\tdelta_rms\tstate\ndense\t")


@pytest.mark.parametrize("width", [0, -5, 100_000])
def test_that_an_impossible_size_is_refused(stage: Stage, width: int) -> None:
    with pytest.raises(ValueError, match="width: must give sides"):
        picture.image(stage, width)


def test_that_a_folder_that_is_not_there_is_an_error_in_words(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="can't write"):
        picture.save_png(stage, tmp_path / "no" / "x.png")


def test_that_the_menu_offers_numbers_where_there_are_some(stage: Stage) -> None:
    with_numbers = [action.text() for action in picture.PictureMenu(stage.heatmap, print).actions()]
    without = [action.text() for action in picture.PictureMenu(stage.time_line, print).actions()]
    assert "Save numbers as CSV…" in with_numbers
    assert "Save numbers as CSV…" not in without


def test_that_the_figures_beside_the_curves_are_a_table_too(stage: Stage) -> None:
    header, rows = stage.readings.export_columns()
    assert header == ["figure", "value"]
    assert ["step", "59"] in rows

"""Pictures of views on sheets of their own."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PySide6.QtGui import QImage

from gradsim import api
from gradsim.app import theme
from gradsim.app.take.exhibit import Exhibit
from gradsim.app.take.film import pixels
from gradsim.app.take.sheets import VIEWS, Sheet
from gradsim.cli import rendering
from gradsim.engine.trainer import Trainer
from gradsim.telemetry.classes import classify
from gradsim.telemetry.palette import table
from gradsim.telemetry.quantities import quantity
from gradsim.telemetry.recording import Recording

SVG = "{http://www.w3.org/2000/svg}"


def sheet_of(exhibit: Exhibit, key: str, look: theme.Choice = "light", size: tuple[int, int] = (800, 600)) -> Sheet:
    made = Sheet(exhibit, VIEWS[key], *size, look)
    question = made.question
    if question is not None:
        trainer = Trainer(exhibit.experiment)
        trainer.advance(exhibit.step + 1)
        made.answered(question[0](trainer), exhibit.step)
    return made


@pytest.mark.parametrize("key", VIEWS)
def test_that_every_view_gives_a_png_and_an_svg_of_the_asked_size(exhibit: Exhibit, key: str) -> None:
    sheet = sheet_of(exhibit, key, size=(700, 620))
    image = QImage.fromData(sheet.png())
    assert (image.width(), image.height()) == (700, 620)
    assert len(np.unique(pixels(image).reshape(-1, 3), axis=0)) > 8
    root = ElementTree.fromstring(sheet.svg())
    # What the file says is in millimetres; its unit is the layout's.
    assert root.tag == f"{SVG}svg"
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert width / height == pytest.approx(700 / 620, rel=0.01)
    assert len(list(root.iter(f"{SVG}text"))) >= 3
    sheet.deleteLater()


def test_that_the_command_line_knows_the_same_views_and_themes() -> None:
    assert tuple(VIEWS) == rendering.VIEWS
    assert set(rendering.LOOKS) == set(theme.THEMES)


def test_that_the_sheet_of_the_heatmap_says_what_it_is_and_names_every_row(exhibit: Exhibit) -> None:
    sheet = sheet_of(exhibit, "heatmap")
    texts = [element.text for element in ElementTree.fromstring(sheet.svg()).iter(f"{SVG}text")]
    assert "Six" in texts
    assert {"dense", "dense_5", "dense_6"} <= set(texts)
    assert any("vanishing" in (text or "") for text in texts)
    sheet.deleteLater()


def test_that_the_sheet_of_the_curves_names_the_steps(exhibit: Exhibit) -> None:
    sheet = sheet_of(exhibit, "curves")
    texts = [element.text or "" for element in ElementTree.fromstring(sheet.svg()).iter(f"{SVG}text")]
    assert any("steps" in text for text in texts)


def test_that_the_cells_have_the_exact_colours_of_their_classes(exhibit: Exhibit, recording: Recording) -> None:
    sheet = sheet_of(exhibit, "heatmap", size=(1600, 900))
    heatmap = sheet.body
    found = pixels(sheet.image())
    colours = table("diverging", "light")
    definition = quantity("delta_rms")
    classes = classify(definition, recording["delta_rms"])
    area = heatmap.area()
    scale = 1600 / sheet.width()
    origin = heatmap.mapTo(sheet, area.topLeft().toPoint())
    start, stop = heatmap.axis.shown
    for row in range(7):
        for step in (3, 20, 33):
            x = origin.x() + (step + 0.5 - start) / (stop - start) * area.width()
            y = origin.y() + heatmap.rows.centre(row)
            assert found[int(y * scale), int(x * scale)].tolist() == colours[classes[step, row]].tolist()
    sheet.deleteLater()


@pytest.mark.parametrize("look", ["light", "dark", "projector"])
def test_that_a_sheet_wears_its_own_theme_and_the_window_keeps_its(exhibit: Exhibit, look: theme.Choice) -> None:
    before = theme.choice()
    sheet = sheet_of(exhibit, "profile", look)
    corner = pixels(sheet.image())[1, 1].tolist()
    assert "#" + "".join(f"{value:02x}" for value in corner) == theme.THEMES[look].window
    assert theme.choice() == before
    sheet.deleteLater()


def test_that_an_animated_sheet_shows_no_later_step(exhibit: Exhibit) -> None:
    exhibit.state.set_range((0.0, 50.0))
    sheet = sheet_of(exhibit, "heatmap")
    sheet.show_step(39)
    late = pixels(sheet.image())
    sheet.show_step(9)
    early = pixels(sheet.image())
    heatmap = sheet.body
    area = heatmap.area()
    left = heatmap.mapTo(sheet, area.topLeft().toPoint())
    y = int(left.y() + heatmap.rows.centre(0))
    assert early[y, int(left.x() + area.width() * 0.6)].tolist() != late[y, int(left.x() + area.width() * 0.6)].tolist()
    assert early[y, int(left.x() + area.width() * 0.1)].tolist() == late[y, int(left.x() + area.width() * 0.1)].tolist()
    assert "step 9" in sheet.lead.text()
    sheet.deleteLater()


@pytest.mark.parametrize("size", [(10, 600), (600, 100_000)])
def test_that_an_impossible_size_is_refused(exhibit: Exhibit, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"size: each side must be 120 to 16384 pixels \(received"):
        Sheet(exhibit, VIEWS["heatmap"], *size)


@pytest.mark.parametrize("key", ["heatmap", "profile", "curves", "directions", "clipping", "stack", "overview"])
def test_that_a_sheet_gives_its_numbers(exhibit: Exhibit, key: str) -> None:
    sheet = sheet_of(exhibit, key)
    assert sheet.table is not None
    header, rows = sheet.table.export_columns()
    assert rows
    assert all(len(row) == len(header) for row in rows)
    sheet.deleteLater()


def test_that_a_deep_stack_fits_its_sheet(qapp: object) -> None:
    from gradsim.nn import layers
    from gradsim.telemetry.playback import Playback

    deep = api.Experiment([*[layers.Dense(4, "tanh")] * 60, layers.Dense(1, "sigmoid")], data="moons",
                          loss="binary_crossentropy")  # fmt: skip
    exhibit = Exhibit(deep, Playback(deep.run(steps=3)))
    sheet = sheet_of(exhibit, "heatmap", size=(400, 300))
    assert len(np.unique(pixels(sheet.image()).reshape(-1, 3), axis=0)) > 8
    sheet.deleteLater()
    exhibit.deleteLater()

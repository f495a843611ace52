from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.app.diagnosis.chain_page import columns
from gradsim.app.window import MainWindow
from tests.unit.app.diagnosis.stacks import WAIT, OpenWindow, fading, train


@pytest.fixture
def window(open_window: OpenWindow, qtbot: QtBot) -> MainWindow:
    made = open_window(fading())
    train(made, qtbot, 50)
    made.side.show_page(made.diagnosis.chain)
    qtbot.waitUntil(lambda: made.diagnosis.chain.picture.chain is not None, timeout=WAIT)
    return made


def test_that_the_whole_chain_is_shown_without_a_selection(window: MainWindow) -> None:
    page = window.diagnosis.chain
    assert page.picture.chain is not None
    assert page.picture.chain.bottom == 0
    assert page.summary.text().startswith("Along this one of 6.9e10 paths dense gets")
    assert page.summary.text().endswith("Step 49.")


def test_that_it_follows_the_selected_layer_and_the_path(window: MainWindow, qtbot: QtBot) -> None:
    page = window.diagnosis.chain
    window.session.select_row(6)
    qtbot.waitUntil(lambda: page.picture.chain is not None and page.picture.chain.bottom == 6, timeout=WAIT)
    page.choose("all")
    qtbot.waitUntil(lambda: page.picture.chain is not None and page.picture.chain.path == "all", timeout=WAIT)
    assert "The error signal of dense_6" in page.summary.text()
    page.choose("random")
    qtbot.waitUntil(lambda: page.picture.chain is not None and page.picture.chain.path == "random", timeout=WAIT)
    before = page.picture.chain
    page.draw_another()
    qtbot.waitUntil(lambda: page.picture.chain != before, timeout=WAIT)


def test_that_it_can_be_looked_at_as_it_was_at_an_earlier_step(window: MainWindow, qtbot: QtBot) -> None:
    page = window.diagnosis.chain
    window.session.state.set_cursor(10)
    qtbot.waitUntil(lambda: page.summary.text().endswith("Step 10."), timeout=WAIT)


def test_that_no_number_is_cut_off_where_the_page_is_narrow(window: MainWindow) -> None:
    theme.set_zoom(150)
    picture = window.diagnosis.chain.picture
    assert columns(picture.minimumWidth()).product.right() <= picture.minimumWidth()


def test_that_each_factor_is_a_line_with_a_sentence(window: MainWindow) -> None:
    picture = window.diagnosis.chain.picture
    chain = picture.chain
    assert chain is not None
    assert picture.minimumHeight() >= len(chain.links) * picture.each()
    link = picture.link_at(picture.head() + 2.5 * picture.each())
    assert link is chain.links[2]
    assert picture.sentence(link).startswith("The slope of the activation of dense_9")
    header, rows = picture.export_columns()
    assert len(rows) == len(chain.links)
    assert len(header) == len(rows[0])


def test_that_the_picture_follows_theme_and_zoom(window: MainWindow) -> None:
    picture = window.diagnosis.chain.picture
    theme.set_choice("light")
    theme.set_zoom(90)
    light, height = picture.grab().toImage(), picture.minimumHeight()
    theme.set_choice("dark")
    assert picture.grab().toImage() != light
    theme.set_zoom(150)
    assert picture.minimumHeight() > 1.4 * height

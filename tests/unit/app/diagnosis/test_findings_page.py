from __future__ import annotations

import dataclasses
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.app.diagnosis.findings_page import NUMBERS
from gradsim.diagnose import findings as rules
from gradsim.model import edits
from tests.unit.app.diagnosis.stacks import WAIT, OpenWindow, fading, train
from tests.unit.app.experiments import impossible_experiment


def test_that_a_click_shows_a_finding_where_it_happened(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    train(window, qtbot, 300)
    state = window.session.state
    state.set_quantity("weight_rms")
    state.select(())
    card = window.diagnosis.findings.cards["vanishing/0"]
    qtbot.mouseClick(card, Qt.MouseButton.LeftButton)
    assert state.quantity == "delta_rms"
    finding = window.diagnosis.watching.findings[0].finding
    assert set(state.selection) == {window.session.row_uids[row] for row in finding.rows}
    assert window.diagnosis.watching.selected is window.diagnosis.watching.findings[0]
    outline = next(one for one in window.diagnosis.outlines.shown() if one.seen.key == "vanishing/0")
    view = window.stage.heatmap.box
    assert 0 < outline.rect.width() <= view.width() + 8
    assert outline.rect.top() < view.height()


def test_that_steps_that_are_out_of_sight_are_brought_into_view(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    train(window, qtbot, 300)
    window.stage.axis.show(280, 300)
    seen = window.diagnosis.watching.findings[0]
    narrow = dataclasses.replace(seen, finding=dataclasses.replace(seen.finding, start=10, stop=14))
    window.diagnosis.watching.show(narrow)
    start, stop = window.stage.axis.shown
    assert start <= 10
    assert 14 <= stop < 100


def test_that_a_card_says_it_to_students_and_unfolds_for_experts(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    train(window, qtbot, 300)
    page = window.diagnosis.findings
    window.side.show_page(page)
    card = page.cards["vanishing/0"]
    finding = window.diagnosis.watching.findings[0].finding
    assert card.student.text() == finding.student
    assert "hardly learn" in card.accessibleName()
    assert not card.expert.isVisible()
    card.more.click()
    assert card.expert.isVisible()
    assert card.expert.text() == finding.expert
    theme.set_zoom(125)
    # The page is made anew; what was unfolded stays so.
    assert page.cards["vanishing/0"].more.isChecked()


def test_that_a_card_is_neither_moved_nor_made_anew_while_its_finding_stays(
    open_window: OpenWindow, qtbot: QtBot
) -> None:
    window = open_window(fading())
    train(window, qtbot, 300)
    card = window.diagnosis.findings.cards["vanishing/0"]
    train(window, qtbot, 300)
    assert window.diagnosis.findings.cards["vanishing/0"] is card
    assert "599" in card.where.text()


def test_that_nothing_found_is_said_calmly_with_what_was_looked_at(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    page = window.diagnosis.findings
    assert page.headline.text() == "Nothing is recorded yet"
    train(window, qtbot, 40)
    qtbot.waitUntil(lambda: "steps 0 to 39 of 3 layers" in page.looked.text(), timeout=WAIT)
    if not window.diagnosis.watching.findings:
        assert page.headline.text() == "Nothing is wrong so far"


def test_that_a_stack_that_cant_be_trained_is_named_with_what_to_mend(open_window: OpenWindow) -> None:
    window = open_window()
    page = window.diagnosis.findings
    window.session.show(impossible_experiment())
    assert "can't be trained" in page.headline.text()
    assert window.session.failure in page.looked.text()
    window.session.edit(edits.remove, [window.session.experiment.layers[0].uid])
    assert page.headline.text() == "Nothing is recorded yet"


def test_that_a_cure_below_a_finding_is_one_step_that_undo_takes_back(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    train(window, qtbot, 300)
    session, before = window.session, window.session.experiment
    page = window.diagnosis.findings
    qtbot.waitUntil(lambda: bool(page.cards["vanishing/0"].buttons), timeout=WAIT)
    button = next(one for one in page.cards["vanishing/0"].buttons if one.text() == "ReLU")
    assert "he_normal" in button.toolTip()
    button.click()
    assert all(layer.activation.identifier == "relu" for layer in session.experiment.layers[:-1])
    assert session.document.undo_names == ("ReLU",)
    session.undo()
    assert session.experiment == before


def test_that_the_tab_key_goes_from_card_to_card_by_way_of_its_cures(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    train(window, qtbot, 300)
    page = window.diagnosis.findings
    window.side.show_page(page)
    card = page.cards["vanishing/0"]
    qtbot.waitUntil(lambda: bool(card.buttons), timeout=WAIT)
    window.activateWindow()
    card.setFocus()
    qtbot.waitUntil(card.hasFocus)
    met = []
    for _ in range(2 + len(card.buttons)):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        met.append(QApplication.focusWidget())
    assert met[:-1] == [card.more, *card.buttons]
    assert met[-1] in (page.trials, *page.cards.values())
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Backtab)
    assert QApplication.focusWidget() is card.buttons[-1]


def test_that_the_tab_tells_how_many_faults_there_are(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    number = window.side.titles().index("Findings")
    assert window.side.group.button(number).text() == "Findings"
    train(window, qtbot, 300)
    count = sum(seen.finding.severity != "note" for seen in window.diagnosis.watching.findings)
    assert count
    assert window.side.group.button(number).text() == f"Findings ({count})"


def test_that_every_number_behind_a_finding_has_a_name() -> None:
    source = Path(rules.__file__).read_text()
    for key in ("factor_per_layer", "log10_ratio", "layers_at_zero", "rising_share", "peak_loss", "left_for"):
        assert f'"{key}"' in source
        assert key in NUMBERS

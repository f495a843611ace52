from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QSlider,
    QWidget,
)
from pytestqt.qtbot import QtBot

from gradsim import i18n
from gradsim.app import language, theme
from gradsim.app.about import report
from gradsim.app.settings import Settings
from gradsim.app.window import MainWindow
from gradsim.engine import kernels
from gradsim.model import bundled, edits, file
from gradsim.model.experiment import Experiment
from gradsim.nn.layers import registry
from tests.unit.app.experiments import exploding_experiment, impossible_experiment, small_experiment

WAIT = 20_000
OpenWindow = Callable[..., MainWindow]
CONTROLS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QSlider)


def steps(window: MainWindow, qtbot: QtBot, count: int) -> None:
    window.session.runner.step(count)
    qtbot.waitUntil(
        lambda: window.session.status.step >= count and window.session.status.state == "paused", timeout=WAIT
    )


def test_that_space_plays_and_pauses(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.activateWindow()
    window.cards.setFocus()
    qtbot.keyClick(window.cards, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: window.session.status.step > 3, timeout=WAIT)
    qtbot.waitUntil(lambda: window.transport.buttons["run.play"].text() == "Pause", timeout=WAIT)
    qtbot.keyClick(window.cards, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: window.session.status.state == "paused", timeout=WAIT)
    qtbot.waitUntil(lambda: window.transport.buttons["run.play"].text() == "Play", timeout=WAIT)


def test_that_space_presses_the_button_that_has_the_keyboard(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.activateWindow()
    button = window.transport.buttons["run.slow"]
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert window.session.slow_motion
    assert not window.session.playing


def test_that_arrows_step_forth_and_back(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.activateWindow()
    window.cards.setFocus()
    for count in (1, 2):
        qtbot.keyClick(window.cards, Qt.Key.Key_Right)
        qtbot.waitUntil(lambda count=count: window.session.status.step == count, timeout=WAIT)
    qtbot.waitUntil(lambda: window.actions_["run.back"].isEnabled(), timeout=WAIT)
    qtbot.keyClick(window.cards, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: window.session.status.step == 1, timeout=WAIT)


def test_that_letters_typed_into_a_field_are_no_commands(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.activateWindow()
    steps(window, qtbot, 3)
    window.show_palette()
    qtbot.keyClicks(window.palette_panel.search, "r s")
    assert window.palette_panel.search.text() == "r s"
    assert window.session.status.step == 3
    assert not window.session.slow_motion


def test_that_slow_motion_shows_its_phases(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    assert not window.transport.phases.isVisible()
    window.actions_["run.slow"].trigger()
    assert window.transport.phases.isVisible()
    assert not window.transport.speed.isVisible()
    for name in ("forward", "loss", "backward", "clip", "update"):
        window.session.step_once()
        qtbot.waitUntil(
            lambda name=name: window.session.phase is not None and window.session.phase.name == name, timeout=WAIT
        )
        qtbot.waitUntil(lambda name=name: f", {name}" in window.banner.text.text(), timeout=WAIT)
        assert window.slow_motion.isVisible()
        assert not window.slow_motion.grab().isNull()
    window.actions_["run.slow"].trigger()
    qtbot.waitUntil(lambda: not window.slow_motion.isVisible(), timeout=WAIT)
    assert not window.banner.isVisible()


def test_that_a_divergence_offers_to_go_back_and_to_go_on(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(exploding_experiment())
    window.session.play()
    qtbot.waitUntil(lambda: window.banner.topic == "diverged", timeout=WAIT)
    texts = [button.text() for button in window.banner.buttons]
    assert texts == ["Back to the step before", "Fork before it…", "Go on"]
    where = window.session.first_nonfinite
    assert where is not None
    assert f"step {where.step}" in window.banner.text.text()
    window.banner.buttons[0].click()
    qtbot.waitUntil(lambda: window.session.status.step == where.step, timeout=WAIT)
    qtbot.waitUntil(lambda: not window.banner.isVisible(), timeout=WAIT)
    window.session.play()
    qtbot.waitUntil(lambda: window.banner.topic == "diverged", timeout=WAIT)
    window.banner.buttons[2].click()
    qtbot.waitUntil(lambda: window.session.status.step > where.step + 2, timeout=WAIT)


def test_that_an_impossible_stack_is_said_until_it_is_mended(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.session.show(impossible_experiment())
    assert window.banner.topic == "impossible"
    assert window.session.failure in window.stage.heatmap.invitation()
    window.session.edit(edits.remove, [window.session.experiment.layers[0].uid])
    assert not window.banner.isVisible()
    qtbot.waitUntil(lambda: "Space" in window.stage.heatmap.invitation(), timeout=WAIT)
    window.session.show(Experiment(()))
    assert "no layer yet" in window.stage.heatmap.invitation()


def test_that_the_heatmap_tells_how_far_the_compilation_is(
    open_window: OpenWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def warm_up(progress: Callable[[int, int], None], dtypes: object) -> None:
        progress(3, 60)
        assert goes_on.wait(60)

    window = open_window()
    monkeypatch.setattr(kernels, "is_warm", lambda dtypes: False)
    monkeypatch.setattr(kernels, "warm_up", warm_up)
    window.session.start()
    try:
        qtbot.waitUntil(lambda: "3 of 60" in window.stage.heatmap.invitation(), timeout=WAIT)
        assert window.banner.topic == "progress"
    finally:
        goes_on.set()
    qtbot.waitUntil(lambda: "Space" in window.stage.heatmap.invitation(), timeout=WAIT)


def test_that_escape_leads_from_the_palette_to_the_cards(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.show_palette()
    qtbot.keyClicks(window.palette_panel.search, "dense")
    qtbot.keyClick(window.palette_panel.search, Qt.Key.Key_Escape)
    assert window.focusWidget() is window.cards


def test_that_the_tab_key_goes_through_the_pictures_as_they_stand(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    stage = window.stage
    parts = [stage.follow, stage.heatmap, stage.profile, stage.colour_bar, stage.curves, stage.time_line]
    met: list[int] = []
    at: QWidget | None = window.cards
    while at is not None and (at := at.nextInFocusChain()) is not window.cards:
        inside = [number for number, part in enumerate(parts) if part is at or part.isAncestorOf(at)]
        if inside and at.focusPolicy() & Qt.FocusPolicy.TabFocus and inside[0] not in met:
            met.append(inside[0])
    assert met == list(range(len(parts)))


def test_that_a_refused_edit_is_said(open_window: OpenWindow) -> None:
    window = open_window()
    window.session.edit(edits.set_field, window.session.experiment.layers[0].uid, "units", 0)
    assert "units" in window.banner.text.text()


def test_that_the_title_marks_unsaved_changes(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window(started=False)
    assert not window.isWindowModified()
    window.session.edit(edits.set_field, "", "name", "Moons")
    assert window.isWindowModified()
    assert window.windowTitle().startswith("Moons[*]")
    window.files.save_as(tmp_path / "m.gradsim")
    assert not window.isWindowModified()
    assert window.windowTitle().startswith("m.gradsim[*]")
    window.actions_["edit.undo"].trigger()
    assert window.isWindowModified()


def test_that_undo_names_what_it_takes_back(open_window: OpenWindow) -> None:
    window = open_window(started=False)
    assert not window.actions_["edit.undo"].isEnabled()
    window.session.edit(edits.set_field, window.session.experiment.layers[0].uid, "units", 5)
    assert window.actions_["edit.undo"].text() == "&Undo Change units"
    window.actions_["edit.undo"].trigger()
    assert window.actions_["edit.redo"].text() == "&Redo Change units"


def test_that_cancelling_the_question_keeps_the_window_open(open_window: OpenWindow) -> None:
    window = open_window()
    window.session.edit(edits.set_field, "", "name", "Moons")
    window.files.ask_unsaved = lambda title: "cancel"
    assert not window.close()
    assert window.isVisible()
    assert window.session.runner._thread.is_alive()
    window.files.ask_unsaved = lambda title: "discard"
    assert window.close()
    assert not window.session.runner._thread.is_alive()


def test_that_the_layout_is_remembered(open_window: OpenWindow, settings: Settings, qtbot: QtBot) -> None:
    first = open_window()
    first.resize(1100, 700)
    first.toggle_palette()
    first.side.show_page(3)
    first.cards.set_upwards(False)
    first.close()
    settings.sync()
    second = open_window()
    qtbot.waitUntil(lambda: second.side.current == 3, timeout=WAIT)
    assert not second.palette_shown
    assert second.side_shown
    assert not second.cards.upwards


def test_that_the_cards_stand_level_with_the_rows(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()

    def level() -> bool:
        rows = window.stage.rows_rect()
        wanted = window.stage.mapTo(window, rows.topLeft()).y()
        return window.cards.mapTo(window, QPoint(0, 0)).y() == wanted and window.cards.height() == rows.height()

    qtbot.waitUntil(level, timeout=WAIT)
    window.resize(1000, 640)
    qtbot.waitUntil(level, timeout=WAIT)
    theme.zoom_by(2)
    qtbot.waitUntil(level, timeout=WAIT)


def test_that_ctrl_and_wheel_zoom_everything(open_window: OpenWindow) -> None:
    window = open_window(started=False)
    window.activateWindow()
    before = theme.zoom()
    place = QPointF(50, 50)
    event = QWheelEvent(
        place, window.cards.mapToGlobal(place), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.ControlModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(window.cards.viewport(), event)
    assert theme.zoom() > before


def test_that_a_window_that_opened_enlarged_fits_again_at_its_normal_size(
    open_window: OpenWindow, qtbot: QtBot
) -> None:
    theme.set_zoom(150)
    window = open_window(started=False)
    theme.set_zoom(100)
    left = window.left
    window.across.setSizes([left.minimumWidth(), window.width(), theme.px(300)])
    qtbot.waitUntil(lambda: left.width() == left.minimumWidth(), timeout=20_000)
    for part in (left.cards, left.palette_):
        assert left.rect().contains(part.geometry().translated(part.parentWidget().mapTo(left, QPoint(0, 0))))
    assert left.palette_.list.iconSize().width() == theme.px(16)


def test_that_a_dropped_file_is_opened(open_window: OpenWindow, tmp_path: Path, qtbot: QtBot) -> None:
    window = open_window()
    path = tmp_path / "dropped.gradsim"
    file.save(path, small_experiment(seed=9))
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    copy = Qt.DropAction.CopyAction
    window.dropEvent(QDropEvent(QPointF(5, 5), copy, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier))
    qtbot.waitUntil(lambda: window.session.experiment.seed == 9, timeout=WAIT)
    assert window.files.recent() == [path]


def test_that_what_a_crash_left_is_offered(open_window: OpenWindow, tmp_path: Path) -> None:
    folder = tmp_path / "autosave"
    folder.mkdir()
    file.save(folder / "autosave-99999999-1.gradsim", small_experiment(seed=77))
    window = open_window()
    window.offer_recovery()
    assert window.banner.topic == "recovery"
    window.banner.buttons[0].click()
    assert window.session.experiment.seed == 77
    assert window.isWindowModified()
    assert not window.banner.isVisible()


def test_that_every_menu_has_its_actions(open_window: OpenWindow) -> None:
    window = open_window(started=False)
    window._fill_examples()
    window._fill_recent()
    topics = [action.menu() for action in window.examples_menu.actions()]
    assert sum(len(topic.actions()) for topic in topics if topic is not None) == len(bundled.names())
    for menu in window.menus.values():
        assert menu.actions()
        assert not [action for action in menu.actions() if not action.text() and not action.isSeparator()]


@pytest.mark.parametrize("code", i18n.LANGUAGES)
def test_that_no_two_entries_of_a_shown_menu_share_a_letter(open_window: OpenWindow, code: str) -> None:
    language.use(code)
    try:
        window = open_window(started=False)
        for menu in [window.menuBar(), *window.menus.values()]:
            texts = [action.text().replace("&&", "") for action in menu.actions()]
            letters = [text[text.index("&") + 1].lower() for text in texts if "&" in text]
            assert sorted(letters) == sorted(set(letters)), texts
    finally:
        language.use("en")


def test_that_an_example_opens_and_plays(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window._open_example(bundled.bundled("small-xor"))
    qtbot.waitUntil(lambda: window.session.status.step > 3 and window.session.recorder is not None, timeout=WAIT)
    assert window.windowTitle().startswith(window.session.experiment.name)


def test_that_full_screen_goes_on_and_off(open_window: OpenWindow) -> None:
    window = open_window(started=False)
    window.actions_["view.full_screen"].trigger()
    assert window.isFullScreen()
    window.actions_["view.full_screen"].trigger()
    assert not window.isFullScreen()


@pytest.mark.parametrize("choice", theme.CHOICES)
def test_that_every_theme_paints_every_page(open_window: OpenWindow, qtbot: QtBot, choice: theme.Choice) -> None:
    window = open_window()
    steps(window, qtbot, 5)
    window.actions_[f"view.theme_{choice}"].trigger()
    window.session.select_row(0)
    for number in range(len(window.side.titles())):
        window.side.show_page(number)
        QApplication.processEvents()
        assert not window.grab().isNull()


def test_that_every_control_has_a_name_and_a_tooltip(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    steps(window, qtbot, 3)
    window.session.select_row(0)
    nameless, silent = [], []
    for page in range(len(window.side.titles())):
        window.side.show_page(page)
        QApplication.processEvents()
        for control in window.findChildren(QWidget):
            if not isinstance(control, CONTROLS) or not control.isVisible() or control.objectName().startswith("qt_"):
                continue
            words = control.accessibleName() or (control.text() if isinstance(control, QAbstractButton) else "")
            parent = control.parentWidget()
            inner = isinstance(control, QLineEdit) and isinstance(parent, QAbstractSpinBox | QComboBox)
            if not words and not inner:
                nameless.append(control)
            if not control.toolTip() and not inner:
                silent.append((type(control).__name__, control.accessibleName()))
    assert nameless == []
    assert silent == []


def test_that_about_names_versions_and_licences(open_window: OpenWindow, qtbot: QtBot) -> None:
    text = report()
    for name in ("gradsim", "PySide6", "numpy", "numba", "Qt"):
        assert name in text
    dialog = open_window(started=False).show_about()
    assert dialog.isVisible()
    dialog.close()


def test_that_commands_open_and_close_by_keyboard(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(started=False)
    palette = window.show_commands()
    palette.line.setText("add dropout")
    count = len(window.session.experiment.layers)
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    assert len(window.session.experiment.layers) == count + 1
    assert "Dropout" in registry


def test_that_training_goes_on_from_the_shown_step(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    steps(window, qtbot, 9)
    assert not window.actions_["run.rewind"].isEnabled()
    window.session.state.set_cursor(3)
    assert window.actions_["run.rewind"].isEnabled()
    window.actions_["run.rewind"].trigger()
    qtbot.waitUntil(lambda: window.session.status.step == 4, timeout=WAIT)

"""Another language while the program runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication, QDialog, QDialogButtonBox, QWidget
from pytestqt.qtbot import QtBot

from gradsim import i18n
from gradsim.app import language, theme
from gradsim.app.program import Program
from gradsim.app.settings import Settings
from gradsim.i18n import tr
from gradsim.model.experiment import Experiment
from tests.unit.app.conftest import OpenSession

OpenProgram = Callable[..., Program]


@pytest.fixture
def open_program(
    qtbot: QtBot, open_session: OpenSession, settings: Settings, tmp_path: Path, plain_look: None
) -> Iterator[OpenProgram]:
    """Makes a program whose window is shown and whose run is prepared."""
    made: list[Program] = []

    def make(experiment: Experiment | None = None) -> Program:
        settings.set_language("en")
        program = Program(open_session(experiment), settings, tmp_path / "autosave")
        made.append(program)
        program.window.files.ask_unsaved = lambda title: "discard"
        program.window.resize(1280, 800)
        program.window.show()
        program.session.start()
        qtbot.waitUntil(lambda: program.session.recorder is not None, timeout=20_000)
        return program

    yield make
    for program in made:
        program.window.files.ask_unsaved = lambda title: "discard"
        program.session.setParent(None)
        program.window.close()
        program.window.deleteLater()
        program.deleteLater()
    language.use("en")


def spoken(qtbot: QtBot, program: Program, choice: str) -> None:
    """Chooses a language as the menu does, and waits for the other window."""
    with qtbot.waitSignal(program.window_changed, timeout=60_000):
        program.window.actions_[f"view.language_{choice}"].trigger()
    # What waits to be deleted goes now, so that whatever still refers to it shows.
    QApplication.sendPostedEvents()
    QApplication.processEvents()


def test_that_the_window_speaks_the_language_that_is_chosen(open_program: OpenProgram, qtbot: QtBot) -> None:
    program = open_program()
    assert program.window.menus["file"].title() == "&File"
    spoken(qtbot, program, "zh_CN")
    assert program.window.menus["file"].title() == tr("&File") != "&File"
    assert program.window.isVisible()
    spoken(qtbot, program, "en")
    assert program.window.menus["file"].title() == "&File"


def test_that_the_run_goes_on_in_the_other_language(open_program: OpenProgram, qtbot: QtBot) -> None:
    program = open_program()
    session = program.session
    recorder, run = session.recorder, session.runner
    session.play()
    qtbot.waitUntil(lambda: session.status.step > 50, timeout=20_000)
    spoken(qtbot, program, "zh_CN")
    after = session.status.step
    assert session.playing
    assert session.recorder is recorder and session.runner is run
    qtbot.waitUntil(lambda: session.status.step > after + 50, timeout=20_000)
    session.pause()
    qtbot.waitUntil(lambda: not session.playing, timeout=20_000)
    # The new window shows it, and nothing of the old one is called: that would be an exception in a slot.
    qtbot.waitUntil(lambda: program.window.stage.heatmap.pull is not None, timeout=20_000)


def test_that_the_other_window_shows_the_same_place(open_program: OpenProgram, qtbot: QtBot) -> None:
    program = open_program()
    session, before = program.session, program.window
    for step in range(3):
        session.step_once()
        qtbot.waitUntil(lambda step=step: session.latest == step, timeout=20_000)
    before.resize(1111, 777)
    before.side.show_page(4)
    before.toggle_palette()
    session.select_row(1)
    session.state.set_cursor(1)
    session.state.set_quantity("update_ratio")
    selection = session.state.selection
    spoken(qtbot, program, "zh_CN")
    now = program.window
    assert now is not before
    assert (now.width(), now.height()) == (1111, 777)
    assert now.side.current == 4 and not now.palette_shown
    assert session.state.selection == selection and session.state.cursor == 1
    assert session.state.quantity == "update_ratio"
    assert now.cards.isVisible()


def test_that_unsaved_changes_and_undo_outlive_the_window(open_program: OpenProgram, qtbot: QtBot) -> None:
    program = open_program()
    session = program.session
    before = session.experiment
    program.window.actions_["edit.select_all"].trigger()
    program.window.actions_["edit.duplicate"].trigger()
    assert session.document.dirty
    spoken(qtbot, program, "zh_CN")
    assert session.document.dirty
    assert program.window.files.autosave_path.is_file()
    program.window.actions_["edit.undo"].trigger()
    assert session.experiment == before


def test_that_the_choice_is_remembered(open_program: OpenProgram, qtbot: QtBot, settings: Settings) -> None:
    program = open_program()
    spoken(qtbot, program, "zh_CN")
    assert settings.language == "zh_CN"
    assert program.window.actions_["view.language_zh_CN"].isChecked()
    assert not program.window.actions_["view.language_en"].isChecked()


def test_that_dialogs_of_qt_speak_it_too(qtbot: QtBot, plain_look: None) -> None:
    def cancel() -> str:
        box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        qtbot.addWidget(box)
        return box.button(QDialogButtonBox.StandardButton.Cancel).text()

    language.use("en")
    assert cancel() == "Cancel"
    language.use("zh_CN")
    assert "取消" in cancel()
    language.use("en")
    assert cancel() == "Cancel"


def test_that_the_system_decides_until_somebody_chooses(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    assert settings.language == language.SYSTEM
    monkeypatch.setattr(language, "of_system", lambda: "zh_CN")
    language.use(settings.language)
    assert i18n.language() == "zh_CN"
    language.use("en")
    assert i18n.language() == "en"
    language.use("klingon")
    assert i18n.language() == "zh_CN"
    language.use("en")


def test_that_chinese_brings_its_font_and_english_does_not_use_it(qtbot: QtBot, plain_look: None) -> None:
    language.use("zh_CN")
    assert theme.CHINESE in QFontDatabase.families()
    assert theme.CHINESE in theme.font().families()
    label = QWidget()
    qtbot.addWidget(label)
    language.use("en")
    assert theme.CHINESE not in theme.font().families()


def test_that_an_open_lesson_goes_on_in_the_other_language(open_program: OpenProgram, qtbot: QtBot) -> None:
    program = open_program()
    lessons = program.window.lessons
    lesson = lessons.everything()[0]
    lessons.open(lesson)
    step = lessons.lecture.step
    spoken(qtbot, program, "zh_CN")
    lecture = program.window.lessons.lecture
    assert lecture is lessons.lecture and lecture.on and lecture.step is step
    assert program.window.lessons.panel.isVisible()
    heard: list[object] = []
    lecture.changed.connect(lambda: heard.append(lecture))
    # It still hears of the run: leaving brings the own experiment back.
    program.window.lessons.leave()
    assert not lecture.on and heard


def test_that_dialogs_close_with_their_window(open_program: OpenProgram, qtbot: QtBot) -> None:
    program = open_program()
    program.window.show_shortcuts()
    program.window.show_about()
    spoken(qtbot, program, "zh_CN")
    dialogs = [one for one in QApplication.topLevelWidgets() if isinstance(one, QDialog) and one.isVisible()]
    assert dialogs == []


def test_that_an_open_lesson_goes_on_in_another_language(qtbot: QtBot, open_program: OpenProgram) -> None:
    from gradsim import lessons
    from gradsim.app.lessons.lecture import Phase

    program = open_program()
    lesson = lessons.bundled("vanishing")
    own = program.session.experiment
    program.window.lessons.lecture.open(lesson, 2)
    program.window.lessons.lecture.answer("stuck")
    spoken(qtbot, program, "zh_CN")
    room = program.window.lessons
    qtbot.waitUntil(room.panel.isVisible, timeout=20_000)
    chinese = lesson.text(lesson.steps[2], "zh_CN")
    assert room.panel.title.text() == chinese.title
    assert room.panel.prediction.options["stuck"].isChecked()
    room.lecture.run()
    qtbot.waitUntil(lambda: room.lecture.phase is Phase.RESULT, timeout=60_000)
    assert room.panel.measured.text() == chinese.measured.filled(room.lecture.taken.checked)
    room.leave()
    assert program.session.experiment is own


def test_that_another_language_ends_a_comparison_and_leaves_the_run(open_program: OpenProgram, qtbot: QtBot) -> None:
    program = open_program()
    session = program.session
    session.step_once()
    qtbot.waitUntil(lambda: session.latest == 0, timeout=20_000)
    comparing = program.window.comparing
    comparing.duplicate()
    qtbot.waitUntil(lambda: bool(comparing.comparison and comparing.comparison.recorder), timeout=20_000)
    thread = comparing.comparison.runner._thread  # type: ignore[union-attr]
    spoken(qtbot, program, "zh_CN")
    assert program.window.comparing.comparison is None
    assert session.latest == 0
    qtbot.waitUntil(lambda: not thread.is_alive(), timeout=20_000)
    session.step_once()
    qtbot.waitUntil(lambda: session.latest == 1, timeout=20_000)

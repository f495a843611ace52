from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from gradsim import lessons
from gradsim.app.lessons import lecture as lecturing
from gradsim.app.lessons import room
from gradsim.app.lessons.lecture import Lecture, Phase
from gradsim.app.lessons.predictions import Choosing, Colouring, Estimating
from gradsim.app.lessons.small import SmallCurves, SmallHeatmap
from gradsim.app.window import MainWindow
from gradsim.lessons import Lesson
from gradsim.lessons import lesson as reading
from gradsim.model import edits, file

WAIT = 60_000
OpenWindow = Callable[..., MainWindow]


@pytest.fixture(scope="module")
def vanishing() -> Lesson:
    return lessons.bundled("vanishing")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody watches."""
    monkeypatch.setattr(lecturing, "RUN_SECONDS", 0.05)


def measured(window: MainWindow, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: window.lessons.lecture.phase is Phase.RESULT, timeout=WAIT)


def test_that_a_whole_lesson_plays_through_the_panel(open_window: OpenWindow, qtbot: QtBot, vanishing: Lesson) -> None:
    window = open_window()
    window.lessons.open(vanishing)
    panel, lecture = window.lessons.panel, window.lessons.lecture
    assert panel.isVisible()
    for number, step in enumerate(vanishing.steps):
        text = vanishing.text(step)
        assert lecture.index == number
        assert panel.title.text() == text.title
        assert window.session.state.quantity == step.view.quantity
        assert not panel.result_box.isVisible()
        ask = panel.prediction
        if isinstance(ask, Colouring):
            assert not ask.strips.measured
            qtbot.mouseClick(ask.rest, Qt.MouseButton.LeftButton)
            assert set(lecture.taken.answer) == set(ask.strips.names)
        elif isinstance(ask, Choosing):
            next(iter(ask.options.values())).click()
        elif isinstance(ask, Estimating):
            ask.slider.setValue(200)
        assert lecture.taken.answer is not None
        qtbot.mouseClick(panel.next, Qt.MouseButton.LeftButton)
        assert lecture.phase is Phase.RUNNING
        measured(window, qtbot)
        taken = lecture.taken
        assert taken.checked is not None and taken.checked.holds, [v.sentence for v in taken.checked.verdicts]
        assert [one.stop for one in taken.checked.outcome.recordings] == [run.steps for run in step.runs]
        assert window.session.status.step == step.runs[step.view.run].steps
        assert panel.result_box.isVisible() and panel.score.text() == taken.score.sentence
        assert panel.measured.text() == text.measured.filled(taken.checked)
        assert not panel.warnings.isVisible()
        if len(step.runs) > 1:
            shown = panel.pictures.findChildren(SmallHeatmap)
            assert [one.title for one in shown] == list(text.runs)
            curves = panel.pictures.findChild(SmallCurves)
            assert [len(steps) > 20 for steps, _ in curves.lines] == [True] * len(step.runs)
        qtbot.mouseClick(panel.next, Qt.MouseButton.LeftButton)
    assert lecture.at_end and not panel.next.isEnabled()


def test_that_page_keys_lead_through_question_run_and_result(
    open_window: OpenWindow, qtbot: QtBot, vanishing: Lesson
) -> None:
    window = open_window()
    window.lessons.open(vanishing)
    lecture = window.lessons.lecture
    for phase in (Phase.QUESTION, Phase.RUNNING):
        qtbot.keyClick(window, Qt.Key.Key_PageDown)
        assert lecture.phase is phase
    measured(window, qtbot)
    qtbot.keyClick(window, Qt.Key.Key_PageDown)
    assert lecture.index == 1 and lecture.phase is Phase.TEXT
    qtbot.keyClick(window, Qt.Key.Key_PageUp)
    assert lecture.index == 0 and lecture.phase is Phase.RESULT


def test_that_a_step_marks_its_place_and_selects_its_layers(
    open_window: OpenWindow, qtbot: QtBot, vanishing: Lesson
) -> None:
    window = open_window()
    window.lessons.lecture.open(vanishing, 1)
    state = window.session.state
    qtbot.waitUntil(lambda: state.mark is not None, timeout=WAIT)
    names = [layer.name for layer in window.session.rows()]
    assert state.mark is not None
    assert (names[state.mark.first_row], names[state.mark.last_row]) == ("dense", "dense_5")
    assert window.session.selected_rows()[0] == names.index("dense")
    assert window.side.folded
    window.lessons.lecture.run()
    assert window.side.titles()[window.side.current] == "Inside" and not window.side.folded


def test_that_leaving_a_lesson_and_coming_back_loses_nothing(
    open_window: OpenWindow, qtbot: QtBot, vanishing: Lesson
) -> None:
    window = open_window()
    session, lecture = window.session, window.lessons.lecture
    session.edit(edits.set_field, "", "batch_size", 7)
    session.runner.step(5)
    qtbot.waitUntil(lambda: session.status.step == 5, timeout=WAIT)
    own, before = session.experiment, session.at(4)["loss"][0]
    window.side.show_page(window.side.titles().index("Run"))
    sizes = window.across.sizes()
    window.lessons.open(vanishing)
    window.lessons.panel.prediction.strips.answers = {"dense": "vanishing"}
    lecture.answer({"dense": "vanishing"})
    lecture.run()
    measured(window, qtbot)
    result = lecture.taken
    uid = session.row_uids[3]
    session.edit(edits.set_field, uid, "activation", "tanh")
    assert window.lessons.panel.edited.isVisible()
    lecture.go(1)
    window.lessons.leave()
    assert session.experiment is own
    assert window.side.titles()[window.side.current] == "Run" and window.across.sizes() == sizes
    assert session.document.dirty and session.document.undo_names
    qtbot.waitUntil(lambda: session.status.step == 5 and session.status.state == "paused", timeout=WAIT)
    assert session.at(4)["loss"][0] == before
    window.lessons.resume()
    assert lecture.index == 1
    lecture.go(0)
    assert lecture.taken is result and lecture.taken.answer == {"dense": "vanishing"}
    assert lecture.edited
    lecture.own_version()
    assert not lecture.edited


def test_that_the_state_belongs_to_the_session_and_outlives_the_window(
    open_window: OpenWindow, qtbot: QtBot, vanishing: Lesson
) -> None:
    window = open_window()
    window.lessons.lecture.open(vanishing, 2)
    window.lessons.lecture.answer("stuck")
    again = MainWindow(window.session, window.settings, window.files.folder)
    qtbot.addWidget(again)
    again.show()
    assert again.lessons.lecture is window.lessons.lecture is Lecture.of(window.session)
    qtbot.waitUntil(again.lessons.panel.isVisible, timeout=WAIT)
    assert again.lessons.panel.prediction.options["stuck"].isChecked()


def test_that_a_claim_that_does_not_hold_is_told_plainly(
    open_window: OpenWindow, qtbot: QtBot, vanishing: Lesson
) -> None:
    window = open_window()
    window.lessons.open(vanishing)
    window.lessons.lecture.run()
    measured(window, qtbot)
    taken, panel = window.lessons.lecture.taken, window.lessons.panel
    assert taken.checked is not None
    import dataclasses

    wrong = dataclasses.replace(taken.checked.verdicts[0], holds=False)
    taken.checked = dataclasses.replace(taken.checked, verdicts=(wrong, *taken.checked.verdicts[1:]))
    panel.renew()
    assert wrong.sentence in panel.warnings.text() and panel.warnings.isVisible()
    assert panel.score.text() == "You made no prediction."


def test_that_going_on_before_the_end_of_a_run_ends_it(
    open_window: OpenWindow, qtbot: QtBot, vanishing: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lecturing, "RUN_SECONDS", 60.0)
    window = open_window()
    window.lessons.open(vanishing)
    lecture = window.lessons.lecture
    lecture.run()
    qtbot.waitUntil(lambda: window.session.status.step > 0, timeout=WAIT)
    lecture.go(1)
    lecture.go(0)
    assert lecture.phase is Phase.QUESTION and lecture.taken.checked is None
    assert window.session.runner.status.state != "failed"


def test_that_the_menu_and_the_palette_list_all_lessons(open_window: OpenWindow) -> None:
    window = open_window()
    menu: QMenu = window.menus["present"]
    menu.aboutToShow.emit()
    menu.aboutToShow.emit()
    texts = [action.text() for action in menu.actions()]
    offered = [command.text for command in window.commands()]
    for lesson in lessons.everything():
        named = f"{lesson.number}. {lesson.title}"
        assert texts.count(named) == 1
        assert named in offered


def test_that_the_audience_sees_question_and_result_but_not_the_text(
    open_window: OpenWindow, qtbot: QtBot, vanishing: Lesson
) -> None:
    window = open_window()
    window.lessons.open(vanishing)
    panel, presenter = window.lessons.panel, window.presenter
    presenter.enter()
    assert presenter.heading.title.text() == vanishing.text(vanishing.steps[0]).title
    assert presenter.heading.line.text() and not window.side.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_PageDown)
    assert panel.question_box.isVisible() and not panel.text.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_PageDown)
    assert not panel.isVisible()
    measured(window, qtbot)
    assert panel.measured.isVisible() and not panel.try_box.isVisible()
    presenter.leave()
    assert panel.text.isVisible() and panel.try_box.isVisible()


def test_that_opening_another_experiment_leaves_the_lesson_first(open_window: OpenWindow, vanishing: Lesson) -> None:
    window = open_window()
    window.session.edit(edits.set_field, "", "batch_size", 7)
    asked: list[str] = []
    window.files.ask_unsaved = lambda title: asked.append(title) or "cancel"  # type: ignore[func-returns-value]
    window.lessons.open(vanishing)
    assert not window.files.new()
    assert len(asked) == 1 and not window.lessons.lecture.on
    assert window.session.experiment.batch_size == 7


def test_that_layers_are_coloured_with_keys(open_window: OpenWindow, qtbot: QtBot, vanishing: Lesson) -> None:
    window = open_window()
    window.lessons.open(vanishing)
    strips = window.lessons.panel.prediction.strips
    strips.setFocus()
    top = strips.names[-1]
    qtbot.keyClick(strips, Qt.Key.Key_2)
    qtbot.keyClick(strips, Qt.Key.Key_1)
    assert window.lessons.lecture.taken.answer == {top: "healthy", strips.names[-2]: "vanishing"}
    assert f"{top}: healthy" in strips.accessibleDescription()


def step_with(kind: str) -> tuple[Lesson, int]:
    """A bundled lesson and its first step that draws something."""
    return next(
        (lesson, number)
        for lesson in lessons.everything()
        for number, step in enumerate(lesson.steps)
        if getattr(step, kind) is not None
    )


def test_that_a_loss_surface_is_drawn_and_the_ways_grow_on_it(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    lesson, number = step_with("surface")
    lecture, board = window.lessons.lecture, window.lessons.board
    lecture.open(lesson, number)
    assert board.isVisible() and board.geometry().contains(board.parentWidget().rect().center())
    start = board.grab().toImage()
    parts: list[float] = []
    lecture.moved.connect(lambda: parts.append(lecture.part))
    lecture.run()
    measured(window, qtbot)
    assert parts == sorted(parts) and parts[-1] == 1.0
    assert board.grab().toImage() != start
    lecture.leave()
    assert not board.isVisible()


def test_that_activations_are_drawn_with_their_slopes(open_window: OpenWindow) -> None:
    window = open_window()
    lesson, number = step_with("functions")
    window.lessons.lecture.open(lesson, number)
    board = window.lessons.board
    step = lesson.steps[number]
    assert board.isVisible() and step.functions is not None
    for curve in step.functions.curves(3):
        assert curve.label in board.accessibleDescription()
    shown = board.grab().toImage()
    colours = {shown.pixelColor(x, y).name() for x in range(0, shown.width(), 3) for y in range(0, shown.height(), 3)}
    assert len(colours) > len(step.functions.activations)


def test_that_reused_layers_are_pretrained_before_the_run(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    lesson = lessons.bundled("pretrained")
    number = next(n for n, step in enumerate(lesson.steps) if any(run.reuse is not None for run in step.runs))
    window.lessons.lecture.open(lesson, number)
    window.lessons.lecture.run()
    assert window.lessons.panel.message.text()
    measured(window, qtbot)
    taken = window.lessons.lecture.taken
    assert taken.checked is not None and taken.checked.holds, [v.sentence for v in taken.checked.verdicts]
    assert not window.lessons.panel.message.text()


def test_that_unsaved_changes_stay_kept_for_a_crash_while_a_lesson_is_open(
    open_window: OpenWindow, vanishing: Lesson
) -> None:
    window = open_window()
    window.session.edit(edits.set_field, "", "batch_size", 7)
    window.lessons.open(vanishing)
    window.files.autosave()
    window.files.autosave()
    kept = file.load(window.files.autosave_path)
    assert kept.experiment.batch_size == 7


@pytest.mark.parametrize("end", ["leave", "close"])
def test_that_what_a_step_prepares_ends_with_it(
    open_window: OpenWindow, qtbot: QtBot, vanishing: Lesson, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless(step: object, breathe: Callable[[], None]) -> None:
        begun.set()
        try:
            while True:
                breathe()
        finally:
            ended.set()

    monkeypatch.setattr(lecturing, "_prepare", endless)
    window = open_window()
    window.lessons.open(vanishing)
    window.lessons.lecture.run()
    assert begun.wait(20)
    if end == "leave":
        window.lessons.leave()
    else:
        window.close()
    qtbot.waitUntil(ended.is_set, timeout=WAIT)


def test_that_the_menu_finds_the_lessons_read(
    open_window: OpenWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading._kept.cache_clear()
    monkeypatch.setattr(room, "AHEAD_MS", 0)
    window = open_window()
    qtbot.waitUntil(lambda: reading._kept.cache_info().currsize == len(lessons.names()), timeout=WAIT)
    monkeypatch.setattr(reading, "load", lambda folder: pytest.fail(f"{folder} is read while somebody waits"))
    assert [one.name for one in window.lessons.everything()] == lessons.names()

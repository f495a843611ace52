"""Problems in words with their ways out."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from gradsim.app.build.arrangement import INPUT, LOSS
from gradsim.app.build.problem_list import GLYPHS, ProblemList, ProblemPopup, by_place, place_of, sentence
from gradsim.app.session import Session
from gradsim.model import edits
from gradsim.model.problems import Problem


def problem(path: str, uid: str = "", severity: str = "unwise") -> Problem:
    return Problem("rule", severity, uid, path, "something is the matter: do this")  # type: ignore[arg-type]


def test_that_every_problem_has_its_card() -> None:
    assert place_of(problem("layers[0].units", "uid")) == "uid"
    assert place_of(problem("data.path")) == INPUT
    assert place_of(problem("loss")) == LOSS
    assert place_of(problem("dtype")) == ""
    assert set(by_place([problem("loss"), problem("data"), problem("loss")])) == {INPUT, LOSS}


def test_that_a_problem_is_a_sentence() -> None:
    assert sentence(problem("loss")) == "Something is the matter: do this."


def test_that_severities_differ_by_more_than_colour() -> None:
    assert len(set(GLYPHS.values())) == 3


def test_that_the_button_mends_as_one_undo_step(session: Session, qtbot: QtBot) -> None:
    output = session.experiment.layers[2].uid
    session.edit(edits.set_field, output, "units", 5)
    shown = ProblemList(session)
    qtbot.addWidget(shown)
    shown.show_problems([one for one in session.problems if one.uid == output])
    shown.buttons[0].click()
    assert session.startable
    assert len(session.document.undo_names) == 2
    shown.show_problems(())
    assert shown.isHidden()


def test_that_the_popup_stays_on_the_screen(session: Session, qtbot: QtBot) -> None:
    session.edit(edits.set_field, session.experiment.layers[2].uid, "units", 5)
    popup = ProblemPopup(session, session.problems, None)  # type: ignore[arg-type]
    room = popup.screen().availableGeometry()
    popup.open_at(room.bottomRight())
    assert room.contains(popup.geometry())
    popup.close()

"""Lessons on paper, opened again by another library."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pypdf
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gradsim import lessons
from gradsim.app import language
from gradsim.app.take import handing, handout
from gradsim.app.take.handing import Handing
from gradsim.app.take.pages import Pages
from gradsim.lessons import Checked, Lesson, play
from tests.unit.app.conftest import OpenWindow


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return lessons.bundled("vanishing")


@pytest.fixture(scope="module")
def played(lesson: Lesson) -> dict[str, Checked]:
    """One step is enough to see what becomes of it."""
    return {step.key: play.play(step) for step in lesson.steps if step.key == "move"}


@pytest.fixture
def in_chinese(qapp: QApplication) -> Iterator[None]:
    language.use("zh_CN")
    yield
    language.use("en")


def made(lesson: Lesson, played: dict[str, Checked], *, teacher: bool = False) -> pypdf.PdfReader:
    for last in handout.compose(lesson, played, teacher=teacher):
        pages = last
    return pypdf.PdfReader(io.BytesIO(pages.finish()))


def words(reader: pypdf.PdfReader) -> str:
    """All text, as if in one line."""
    return " ".join("\n".join(page.extract_text() for page in reader.pages).split())


def test_that_a_handout_has_texts_questions_pictures_and_claims(
    qapp: QApplication, lesson: Lesson, played: dict[str, Checked]
) -> None:
    reader = made(lesson, played)
    found = words(reader)
    assert reader.metadata is not None
    assert reader.metadata.title == lesson.title
    assert found.startswith(lesson.title)
    for place, step in enumerate(lesson.steps, 1):
        assert f"{place}. {lesson.text(step).title}" in found
    for answer in lesson.text(lesson.steps[2]).choices.values():
        assert answer in found
    for verdict in played["move"].verdicts:
        assert " ".join(verdict.sentence.split()) in found
    # The picture: names of its rows as text, its cells as images.
    assert "dense_13" in found
    assert any(page.images for page in reader.pages)
    assert str(len(reader.pages)) in reader.pages[-1].extract_text().split()


def test_that_what_is_asked_comes_before_all_that_was_measured(
    qapp: QApplication, lesson: Lesson, played: dict[str, Checked]
) -> None:
    reader = made(lesson, played)
    begins = next(
        number
        for number, page in enumerate(reader.pages)
        if "What was measured" in " ".join(page.extract_text().split())
    )
    before = words_of(reader, 0, begins)
    assert "Colour the layers of the ReLU network" in before
    assert played["move"].verdicts[0].sentence.split(":")[0] not in before


def words_of(reader: pypdf.PdfReader, first: int, stop: int) -> str:
    return " ".join("\n".join(page.extract_text() for page in reader.pages[first:stop]).split())


def test_that_only_a_teacher_gets_the_notes(qapp: QApplication, lesson: Lesson) -> None:
    note = "If time is short, leave out the third step"
    assert note not in words(made(lesson, {}))
    assert note in words(made(lesson, {}, teacher=True))


def test_that_the_chinese_handout_is_in_chinese_with_the_font_that_comes_along(
    in_chinese: None, lesson: Lesson, played: dict[str, Checked]
) -> None:
    reader = made(lesson, played)
    found = words(reader).replace(" ", "")
    assert lesson.title in found
    assert lesson.title != lesson.texts("en").title
    assert lesson.text(lesson.steps[0]).title.replace(" ", "") in found
    fonts = {
        str(font.get_object()["/BaseFont"])
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()  # type: ignore[index]
    }
    assert any("gradsim" in name.lower() for name in fonts)


@pytest.mark.parametrize(
    ("name", "code"), [*((name, "en") for name in lessons.names()), ("format", "zh_CN"), ("depth", "zh_CN")]
)
def test_that_every_lesson_becomes_a_handout(qapp: QApplication, name: str, code: str) -> None:
    language.use(code)
    try:
        one = lessons.bundled(name)
        reader = made(one, {}, teacher=True)
        found = words(reader).replace(" ", "")
        for step in one.steps:
            assert one.text(step).title.replace(" ", "") in found
        assert 1 <= len(reader.pages) < 20
    finally:
        language.use("en")


def test_that_a_long_text_breaks_between_lines_and_loses_none(qapp: QApplication) -> None:
    pages = Pages("Long")
    lines = [f"line number {number} of many" for number in range(150)]
    pages.text("\n\n".join(lines))
    reader = pypdf.PdfReader(io.BytesIO(pages.finish()))
    assert len(reader.pages) > 2
    found = words(reader)
    assert all(line in found for line in lines)


def test_that_a_handout_is_made_while_the_window_lives(
    open_window: OpenWindow, qtbot: QtBot, lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handout, "to_play", lambda one: one.steps[1:2])
    window = open_window()
    path = tmp_path / "x.pdf"
    job = Handing(window, lesson, path)
    with qtbot.waitSignal(job.finished, timeout=60_000):
        job.start()
    assert lesson.title in words(pypdf.PdfReader(path))
    job.deleteLater()


def test_that_a_cancelled_handout_leaves_nothing(
    open_window: OpenWindow, qtbot: QtBot, lesson: Lesson, tmp_path: Path
) -> None:
    job = Handing(open_window(), lesson, tmp_path / "x.pdf")
    with qtbot.waitSignal(job.cancelled, timeout=60_000):
        job.start()
        job.dialog.canceled.emit()
    assert "x.pdf" not in os.listdir(tmp_path)
    job.deleteLater()


def test_that_the_menu_offers_a_handout_while_a_lesson_is_open(
    open_window: OpenWindow, qtbot: QtBot, lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window()
    window.actions_.refresh()
    assert not window.actions_["lessons.handout"].isEnabled()
    window.lessons.open(lesson)
    window.actions_.refresh()
    assert window.actions_["lessons.handout"].isEnabled()
    asked: list[Lesson] = []
    monkeypatch.setattr(handing, "ask", lambda window, one: asked.append(one))
    window.actions_["lessons.handout"].trigger()
    assert asked == [lesson]

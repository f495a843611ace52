"""The page "Write your own lesson": following it to the letter gives a lesson, and it names everything there is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from gradsim import i18n, lessons, resources
from gradsim.cli import main
from gradsim.lessons import play
from gradsim.lessons.measures import MEASURES
from gradsim.lessons.numbers import FORMATS
from gradsim.lessons.questions import QUESTIONS, Choice
from gradsim.lessons.steps import Place, Reuse, Run, Step, View
from gradsim.lessons.surface import SURFACES, Surface
from gradsim.lessons.texts import SECTIONS
from gradsim.model.faults import field_names
from gradsim.nn.spec import fields_of

EXERCISE = Path(__file__).parent / "exercise" / "22-dropout"
"""A lesson that was written by following the page."""


def page(language: str) -> str:
    return resources.resource(f"guide/{language}/write-a-lesson.md").read_text(encoding="utf-8")


def block(text: str, kind: str) -> str:
    found = re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == 1, kind
    return str(found[0])


@pytest.fixture(params=list(i18n.LANGUAGES))
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_that_following_the_page_to_the_letter_gives_a_lesson_whose_claims_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], language: str
) -> None:
    monkeypatch.setenv("GRADSIM_LESSONS", str(tmp_path / "lessons"))
    with pytest.raises(SystemExit) as ended:
        main(["lesson"])
    assert ended.value.code == 0
    where = Path(capsys.readouterr().out.strip().splitlines()[-1].split(": ", 1)[1])
    folder = where / "width"
    folder.mkdir(parents=True)
    (folder / "lesson.json").write_text(block(page(language), "json"), encoding="utf-8")
    (folder / f"{language}.md").write_text(block(page(language), "markdown"), encoding="utf-8")
    lesson = lessons.load(folder)
    for seed in (0, 1, 2):
        for step in lesson.steps:
            checked = play.play(step, seed)
            assert checked.holds, [verdict.sentence for verdict in checked.verdicts]
            assert "{" not in lesson.text(step).measured.filled(checked)
    with pytest.raises(SystemExit) as ended:
        main(["lesson", "width"])
    assert ended.value.code == 0
    assert "✓ narrow" in capsys.readouterr().out


def test_that_both_languages_show_the_same_structure() -> None:
    assert block(page("en"), "json") == block(page("zh_CN"), "json")


def test_that_the_page_names_every_field_and_kind(language: str) -> None:
    named = set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page(language), flags=re.MULTILINE | re.DOTALL)))
    for cls in (Step, Run, Reuse, View, Place, Surface, Choice, *QUESTIONS.values(), *MEASURES.values()):
        assert set(field_names(cls)) - named == set(), cls.__name__
    assert {*QUESTIONS, *MEASURES, *SURFACES} <= named
    assert {f"### {section}" for section in SECTIONS} <= named
    assert {f"{{wide:{form}}}" for form in FORMATS} <= named
    for cls, field in ((View, "focus"), (View, "page"), (MEASURES["value"], "by")):
        view = next(view for view in fields_of(cls) if view.name == field)
        assert {choice for choice in view.choices if choice} <= named, field


def test_that_the_exercise_is_a_lesson_and_its_claims_hold(tmp_path: Path) -> None:
    folder = tmp_path / EXERCISE.name
    shutil.copytree(EXERCISE, folder)
    lesson = lessons.load(folder)
    assert set(lesson.languages) == set(i18n.LANGUAGES)
    for seed in (0, 1, 2):
        for step in lesson.steps:
            assert [v.sentence for v in play.play(step, seed).verdicts if not v.holds] == []

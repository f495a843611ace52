"""Every lesson that comes with the program: its structure, its words, and (slow) that its claims hold."""

from __future__ import annotations

import ast
import re

import pytest

from gradsim import i18n, lessons
from gradsim.lessons import Lesson, play
from gradsim.lessons.steps import MOST_SECONDS, seconds

NAMES = lessons.names()
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module", params=NAMES)
def lesson(request: pytest.FixtureRequest) -> Lesson:
    # Opening it checks all that can be known without training: experiments, layers, quantities, texts.
    return lessons.bundled(request.param)


def test_that_a_lesson_has_all_its_words_in_every_language(lesson: Lesson) -> None:
    assert set(lesson.languages) == set(i18n.LANGUAGES)
    english = lesson.languages["en"]
    for code, texts in lesson.languages.items():
        assert texts.title and texts.summary and texts.teacher, code
        assert list(texts.steps) == [step.key for step in lesson.steps], code
        for key, text in texts.steps.items():
            source = english.steps[key]
            for name in ("watch", "question", "try_it", "keras", "teacher"):
                assert bool(getattr(text, name)) == bool(getattr(source, name)), (code, key, name)
            assert len(text.runs) == len(source.runs), (code, key)
            assert list(text.choices) == list(source.choices), (code, key)
            assert sorted(map(str, text.measured.placeholders)) == sorted(map(str, source.measured.placeholders)), (
                code, key,
            )  # fmt: skip


def test_that_a_lesson_takes_five_to_ten_minutes_to_teach(lesson: Lesson) -> None:
    assert 5 <= lesson.minutes <= 10


def test_that_a_lesson_asks_before_it_shows(lesson: Lesson) -> None:
    assert any(step.question for step in lesson.steps)
    assert all(step.claims for step in lesson.steps if step.runs or step.surface), "a run that claims nothing"


def test_that_every_claim_is_told_or_checked(lesson: Lesson) -> None:
    for step in lesson.steps:
        shown = {one.name for one in lesson.text(step, "en").measured.placeholders}
        for claim in step.claims:
            assert claim.bounds() or claim.name in shown, f"{step.key}: {claim.name} is neither"


def test_that_a_lesson_needs_little_machine_time(lesson: Lesson) -> None:
    assert sum(seconds(step.runs) for step in lesson.steps) <= MOST_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_that_every_claim_of_a_lesson_holds(lesson: Lesson, seed: int) -> None:
    wrong = [
        f"{step.key}: {verdict.sentence}"
        for step in lesson.steps
        for verdict in play.play(step, seed).verdicts
        if not verdict.holds
    ]
    assert wrong == []


def code_of(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_that_the_keras_code_is_python_and_the_same_in_every_language(lesson: Lesson) -> None:
    for key, english in lesson.languages["en"].steps.items():
        for texts in lesson.languages.values():
            assert texts.steps[key].keras == english.keras, key
        for code in code_of(english.keras):
            ast.parse(code)
        assert bool(code_of(english.keras)) == bool(english.keras), key


def test_that_chinese_words_have_chinese_punctuation(lesson: Lesson) -> None:
    path = lesson.folder / "zh_CN.md"
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`|^## Step \w+:", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    wrong = re.findall(r".?[一-鿿][,;:?!()].?|.?[,;:?!()][一-鿿].?", prose)
    assert wrong == []

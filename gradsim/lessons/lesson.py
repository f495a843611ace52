"""A lesson: its steps and its words, opened from a folder.

A lesson is a folder with ``lesson.json`` (the structure) and one file of words for each language (``en.md``,
``zh_CN.md``). Nothing in it is code, and nothing of it is executed.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from gradsim import i18n, resources
from gradsim.i18n import reason_of, tr
from gradsim.lessons import texts as words
from gradsim.lessons.fields import made
from gradsim.lessons.questions import ChooseOne
from gradsim.lessons.steps import Content, Step
from gradsim.lessons.texts import StepText, Texts
from gradsim.model import file
from gradsim.model.faults import FaultsError, near
from gradsim.nn.spec import MISSING, Fault, faults_of

FOLDER = "lessons"
STRUCTURE = "lesson.json"


class LessonError(FaultsError):
    """A lesson that can't be opened; ``faults`` holds everything that is wrong with it."""


@dataclasses.dataclass(frozen=True)
class Lesson:
    """A lesson.

    Attributes:
        name: Name without the number: "vanishing".
        number: Its place among the lessons; 0 if its folder has no number.
        folder: Where it was opened from.
        languages: Its words by the code of the language; there is at least one.
    """

    name: str
    number: int
    folder: Path
    steps: tuple[Step, ...]
    languages: Mapping[str, Texts]

    def texts(self, language: str | None = None) -> Texts:
        """The words in a language (None: the one in use), or in the first that there is."""
        found = self.languages.get(language or i18n.language())
        return found or next(iter(self.languages.values()))

    def text(self, step: Step, language: str | None = None) -> StepText:
        """The words of one of its steps."""
        return self.texts(language).steps[step.key]

    @property
    def title(self) -> str:
        """In the language in use."""
        return self.texts().title

    @property
    def summary(self) -> str:
        """What it is about, in the language in use."""
        return self.texts().summary

    @property
    def minutes(self) -> float:
        """How long it takes to teach."""
        return sum(step.minutes for step in self.steps)


def names() -> list[str]:
    """Names of the bundled lessons, in the order in which they are taught."""
    return [name for _, name, _ in _folders()]


def everything() -> list[Lesson]:
    """The bundled lessons, in the order in which they are taught."""
    return [_kept(folder) for _, _, folder in _folders()]


def bundled(name: str) -> Lesson:
    """A bundled lesson by its name, as in "vanishing", or its number, as in "3".

    Raises:
        LessonError: if there is none of that name, with the nearest one.
    """
    for number, known, folder in _folders():
        if name in (known, str(number), folder.name):
            return _kept(folder)
    hint = near(name, names())
    message = tr("is neither a folder nor a bundled lesson{hint}; see: gradsim lesson", hint=hint)
    raise LessonError([Fault("LESSON", message, name)])


def find(source: str | os.PathLike[str]) -> Lesson:
    """The lesson of that name, bundled or one's own, or the one in that folder; raises :class:`LessonError`."""
    named = str(source)
    if os.sep not in named and (named in names() or not Path(source).is_dir()):
        mine = [folder for _, name, folder in _in(own_folder()) if named in (name, folder.name)]
        return load(mine[0]) if mine and named not in names() else bundled(named)
    return load(source)


@functools.cache
def _kept(folder: Path) -> Lesson:
    """What comes with the program does not change while it runs."""
    return load(folder)


def own_folder() -> Path:
    """Where a person keeps lessons of their own: ``GRADSIM_LESSONS``, or a folder among the user's data."""
    chosen = os.environ.get("GRADSIM_LESSONS")
    return Path(chosen) if chosen else platformdirs.user_data_path("gradsim", appauthor=False) / FOLDER


def own() -> tuple[tuple[Lesson, ...], tuple[LessonError, ...]]:
    """The lessons in :func:`own_folder`, and what is wrong with those that can't be opened."""
    found: list[Lesson] = []
    wrong: list[LessonError] = []
    for _, _, folder in _in(own_folder()):
        try:
            found.append(load(folder))
        except LessonError as error:
            wrong.append(
                LessonError(dataclasses.replace(fault, path=f"{folder.name}: {fault.path}") for fault in error.faults)
            )
    return tuple(found), tuple(wrong)


def _folders() -> list[tuple[int, str, Path]]:
    try:
        return _in(resources.resource(FOLDER))
    except FileNotFoundError:
        return []


def _in(root: Path) -> list[tuple[int, str, Path]]:
    try:
        folders = list(root.iterdir())
    except OSError:
        # There is none, or it may not be looked into.
        return []
    return sorted((*_split(path.name), path) for path in folders if os.path.isfile(path / STRUCTURE))


def _split(folder: str) -> tuple[int, str]:
    """``03-vanishing`` as ``(3, "vanishing")``."""
    match = re.fullmatch(r"(\d{1,3})-(.+)", folder)
    return (int(match[1]), match[2]) if match else (0, folder)


def load(folder: str | os.PathLike[str]) -> Lesson:
    """Opens a lesson.

    Raises:
        LessonError: with every fault of all of its files.
    """
    folder = Path(folder)
    faults: list[Fault] = []
    content: Content | None = None
    try:
        content = _content(folder / STRUCTURE)
        faults += content.faults()
    except FaultsError as error:
        faults += error.faults
    languages: dict[str, Texts] = {}
    files = {code: folder / f"{code}.md" for code in i18n.LANGUAGES}
    if not any(path.exists() for path in files.values()):
        listed = " or ".join(path.name for path in files.values())
        faults.append(Fault(tr("the words"), tr("must be there as {names}", names=listed), MISSING))
    for code, path in files.items():
        if not path.exists():
            continue
        try:
            languages[code] = words.load(path)
        except FaultsError as error:
            faults += error.faults
            continue
        if content is not None:
            faults += text_faults(path.name, content.steps, languages[code])
    if faults or content is None:
        raise LessonError(faults)
    number, name = _split(folder.resolve().name)
    return Lesson(name, number, folder, content.steps, languages)


def _content(path: Path) -> Content:
    try:
        data = file.beginning(path, file.MAX_BYTES + 1)
    except OSError as error:
        raise LessonError(
            [Fault(path.name, tr("can't be read: {reason}", reason=reason_of(error)), MISSING)]
        ) from error
    fields: dict[str, Any] = file.decode(data)
    try:
        found: Content = made(Content, fields)
    except ValidationError as error:
        raise LessonError(faults_of(error)) from None
    except PydanticCustomError as error:
        raise LessonError([Fault("", error.message(), fields)]) from None
    return found


def text_faults(name: str, steps: Sequence[Step], texts: Texts) -> Iterator[Fault]:
    """Where the words of a language and the structure don't fit each other.

    Args:
        name: What faults call the file of words.
    """
    keys = [step.key for step in steps]
    for key in keys:
        if key not in texts.steps:
            yield Fault(name, tr("must hold '## Step {key}: ...'", key=key), MISSING)
    for key in texts.steps:
        if key not in keys:
            message = tr("must hold the steps of {file} only: {names}", file=STRUCTURE, names=", ".join(keys))
            yield Fault(name, message, f"Step {key}")
    for step in steps:
        if step.key in texts.steps:
            yield from _step_text_faults(
                tr("{file}, step {name}", file=name, name=step.key), step, texts.steps[step.key]
            )


def _step_text_faults(place: str, step: Step, text: StepText) -> Iterator[Fault]:
    if not text.text:
        yield Fault(place, tr("must have a text below its heading"), MISSING)
    wanted = len(step.runs) if len(step.runs) > 1 else 0
    if len(text.runs) != wanted and not (wanted == 0 and len(text.runs) == len(step.runs)):
        yield Fault(place, tr("must have under ### Runs a name for each run: {n}", n=wanted), len(text.runs))
    if bool(text.question) != (step.question is not None):
        allowed = (
            tr("must have ### Question, as {file} says", file=STRUCTURE)
            if step.question is not None
            else tr("must have no ### Question, as {file} says", file=STRUCTURE)
        )
        yield Fault(place, allowed, MISSING)
    choices = [choice.key for choice in step.question.choices] if isinstance(step.question, ChooseOne) else []
    if sorted(text.choices) != sorted(choices):
        listed = ", ".join(f"- [{key}] ..." for key in choices) or tr("none")
        yield Fault(place, tr("must have these answers: {names}", names=listed), ", ".join(text.choices) or MISSING)
    if bool(step.claims) and not text.measured:
        yield Fault(place, tr("must have ### Measured, since the step has claims"), MISSING)
    claims = [claim.name for claim in step.claims]
    for one in text.measured.placeholders:
        if one.name not in claims:
            known = ", ".join(claims) or tr("there is none")
            message = tr("must have placeholders for claims of the step: {names}", names=known)
            yield Fault(place, message, f"{{{one.name}}}")

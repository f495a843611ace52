"""The words of a lesson in one language: Markdown with a small fixed grammar.

::

    # Title of the lesson
    A sentence or two: what it is about.

    ## Teacher
    Notes for the whole lesson.

    ## Step stack: Title of the step
    The text of the step with the key ``stack``.

    ### Runs
    - one name for each run, where there are several
    ### Watch
    ### Question
    The question.
    - [answer_key] where one answer is chosen: each answer with its key
    ### Measured
    What was measured, shown after the run, with the numbers of claims: {ratio}, {moved:%}.
    ### Try
    ### Keras
    ### Teacher

The words of the headings are the same in every language, since nobody sees them. What stands between is Markdown for
a text widget: paragraphs, lists, tables, bold, emphasis, code. Pictures, links and HTML are refused, so that nothing
is ever loaded.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from gradsim.i18n import mark, reason_of, tr
from gradsim.lessons.numbers import FORMATS
from gradsim.lessons.questions import Checked
from gradsim.model import file
from gradsim.model.faults import FaultsError, near
from gradsim.nn.spec import MISSING, Fault

MAX_BYTES = 256 * 2**10

SECTIONS = ("Runs", "Watch", "Question", "Measured", "Try", "Keras", "Teacher")

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)(?::([^{}\s]{1,10}))?\}")
_CODE = re.compile(r"(^```.*?^```\s*$|^~~~.*?^~~~\s*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_STEP = re.compile(r"Step\s+([^\s:]+)\s*:\s*(.+)")
_CHOICE = re.compile(r"- \[([^\]\s]+)\]\s+(.+)")
_FORBIDDEN = (
    (re.compile(r"!\["), mark("must hold no pictures")),
    (re.compile(r"\]\("), mark("must hold no links")),
    (re.compile(r"<[A-Za-z/!?]"), mark("must hold no HTML: put a < into code")),
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclasses.dataclass(frozen=True)
class Placeholder:
    """A place for the number of a claim."""

    name: str
    form: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """A text with places for measured numbers.

    Attributes:
        template: The Markdown with its placeholders.
    """

    template: str

    def __bool__(self) -> bool:
        return bool(self.template)

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """Those outside of code, in order."""
        return tuple(
            Placeholder(match[1], match[2] or "")
            for prose in _prose(self.template)
            for match in _PLACEHOLDER.finditer(prose)
        )

    def filled(self, checked: Checked) -> str:
        """The Markdown with the measured numbers."""
        pieces = _CODE.split(self.template)

        def number(match: re.Match[str]) -> str:
            return checked.verdict(match[1]).text(match[2] or "")

        return "".join(piece if place % 2 else _PLACEHOLDER.sub(number, piece) for place, piece in enumerate(pieces))


@dataclasses.dataclass(frozen=True)
class StepText:
    """The words of one step, as Markdown; an empty text is not there.

    Attributes:
        title: Heading, plain text.
        text: What is said and read before the run.
        runs: A name for each run, plain text; empty where there is one run only.
        watch: What to look at.
        question: What is asked before the run.
        choices: Words of each answer by its key, in the order to show.
        measured: What was measured; show ``measured.filled(checked)`` after the run.
        try_it: What to try alone.
        keras: The same in Keras.
        teacher: Notes for the teacher, with timing.
    """

    title: str
    text: str
    runs: tuple[str, ...] = ()
    watch: str = ""
    question: str = ""
    choices: Mapping[str, str] = dataclasses.field(default_factory=dict)
    measured: Measured = Measured("")
    try_it: str = ""
    keras: str = ""
    teacher: str = ""


@dataclasses.dataclass(frozen=True)
class Texts:
    """The words of a lesson in one language.

    Attributes:
        summary: What it is about, in a sentence or two.
        teacher: Notes for the teacher about the whole lesson.
        steps: By the keys of the steps.
    """

    title: str
    summary: str
    teacher: str
    steps: Mapping[str, StepText]


class TextsError(FaultsError):
    """A file of texts that can't be used."""


def _prose(text: str) -> Iterator[str]:
    """What is not code."""
    yield from _CODE.split(text)[::2]


def load(path: Path) -> Texts:
    """Reads a file; raises :class:`TextsError` with every fault, each with its line."""
    try:
        data = file.beginning(path, MAX_BYTES + 1)
    except OSError as error:
        raise TextsError([Fault(path.name, tr("can't be read: {reason}", reason=reason_of(error)), MISSING)]) from error
    if len(data) > MAX_BYTES:
        raise TextsError(
            [Fault(path.name, tr("must be at most {limit} KiB long", limit=MAX_BYTES // 1024), tr("more"))]
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = tr("must be text in UTF-8; byte {place} is none", place=error.start)
        raise TextsError([Fault(path.name, message, MISSING)]) from error
    return parse(text, path.name)


def parse(text: str, name: str = "the texts") -> Texts:
    """Takes the Markdown of a lesson apart; raises :class:`TextsError` with every fault.

    Args:
        name: What faults call the text.
    """
    return _Parser(name).parse(text)


class _Parser:
    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[Fault] = []

    def fault(self, line: int, message: str, received: object = MISSING) -> None:
        self.faults.append(Fault(tr("{file}, line {n}", file=self.name, n=line), message, received))

    def parse(self, text: str) -> Texts:
        title = summary = teacher = ""
        steps: dict[str, tuple[str, dict[str, tuple[int, str]]]] = {}
        current: str | None = None
        for line, level, heading, body in self._blocks(text):
            self._forbid(line, body)
            if level == 1:
                if title:
                    self.fault(line, tr("must have one title (# ...)"), heading)
                title, summary = heading, body
            elif level == 2 and heading == "Teacher":
                teacher, current = body, None
            elif level == 2:
                match = _STEP.fullmatch(heading)
                if match is None:
                    self.fault(line, tr("must be '## Teacher' or '## Step KEY: TITLE'"), heading)
                    current = None
                    continue
                current = match[1]
                if current in steps:
                    self.fault(line, tr("must stand there once"), f"Step {current}")
                steps[current] = (match[2], {"": (line, body)})
            elif level == 3:
                if current is None:
                    self.fault(line, tr("must stand in a step (## Step KEY: TITLE)"), heading)
                elif heading not in SECTIONS:
                    words = tr("must be one of {names}", names=", ".join(SECTIONS)) + near(heading, SECTIONS)
                    self.fault(line, words, heading)
                elif heading in steps[current][1]:
                    self.fault(line, tr("must stand once in each step"), heading)
                else:
                    steps[current][1][heading] = (line, body)
            elif level > 3:
                self.fault(line, tr("must be a heading of one to three #"), heading)
            elif body:
                self.fault(line, tr("must begin with the title of the lesson (# ...)"), body[:40])
        if not title and not self.faults:
            self.fault(1, tr("must begin with the title of the lesson (# ...)"))
        made = {key: self._step(words, sections) for key, (words, sections) in steps.items()}
        if self.faults:
            raise TextsError(self.faults)
        return Texts(title, summary, teacher, made)

    def _blocks(self, text: str) -> Iterator[tuple[int, int, str, str]]:
        """``(line, level, heading, body)`` of each heading; a # within code is none."""
        if _CONTROL.search(text):
            line = text[: _CONTROL.search(text).start()].count("\n") + 1  # type: ignore[union-attr]
            self.fault(line, tr("must be text without control characters"))
            return
        line, level, heading = 1, 0, ""
        body: list[str] = []
        fence = ""
        for number, row in enumerate(text.splitlines(), 1):
            if row.startswith(fence or ("```", "~~~")):
                fence = "" if fence else row[:3]
            match = None if fence else re.fullmatch(r"(#{1,6})\s+(.*\S)\s*", row)
            if match is None:
                body.append(row)
                continue
            yield line, level, heading, "\n".join(body).strip()
            line, level, heading, body = number, len(match[1]), match[2], []
        if fence:
            self.fault(line, tr("must close its code with {fence}", fence=fence), heading)
        yield line, level, heading, "\n".join(body).strip()

    def _forbid(self, line: int, body: str) -> None:
        for prose in _prose(body):
            for pattern, message in _FORBIDDEN:
                if (found := pattern.search(prose)) is not None:
                    self.fault(line, tr(message), prose[found.start() : found.start() + 30])

    def _step(self, title: str, sections: Mapping[str, tuple[int, str]]) -> StepText:
        def of(name: str) -> str:
            return sections.get(name, (0, ""))[1]

        for name, (line, body) in sections.items():
            if name == "Measured":
                for one in Measured(body).placeholders:
                    if one.form and one.form not in FORMATS:
                        words = tr("must have a format of {names}", names=", ".join(FORMATS))
                        self.fault(line, words, f"{{{one.name}:{one.form}}}")
            elif name not in ("Keras",) and (extra := Measured(body).placeholders):
                self.fault(line, tr("must have numbers of claims under ### Measured only"), f"{{{extra[0].name}}}")
        runs = []
        for row in of("Runs").splitlines():
            if row.startswith("- "):
                runs.append(row[2:].strip())
            elif row.strip():
                self.fault(sections["Runs"][0], tr("must be a list: '- name of the run'"), row)
        question, choices = self._question(*sections.get("Question", (0, "")))
        return StepText(
            title, of(""), tuple(runs), of("Watch"), question, choices, Measured(of("Measured")), of("Try"),
            of("Keras"), of("Teacher"),
        )  # fmt: skip

    def _question(self, line: int, body: str) -> tuple[str, dict[str, str]]:
        words: list[str] = []
        choices: dict[str, str] = {}
        for row in body.splitlines():
            match = _CHOICE.fullmatch(row.strip())
            if match is None:
                words.append(row)
                continue
            if match[1] in choices:
                self.fault(line, tr("must give each answer once"), match[1])
            choices[match[1]] = match[2]
        return "\n".join(words).strip(), choices

"""A lesson as something to talk about: what the audience reads, what only the teacher does, and the way on."""

from __future__ import annotations

from collections.abc import Callable

from gradsim.app.lessons.lecture import Lecture, Phase
from gradsim.app.present.talk import Talk
from gradsim.i18n import tr


class LessonTalk(Talk):
    """The open lesson, phase by phase.

    Args:
        read_on: Shows the audience more of what it reads, down or up; False if there is no more.
    """

    def __init__(self, lecture: Lecture, read_on: Callable[[bool], bool]) -> None:
        super().__init__(lecture.session)
        self.read_on = read_on
        self.lecture = lecture
        lecture.changed.connect(self.changed)

    @property
    def title(self) -> str:
        text = self.lecture.text
        return text.title if text is not None else ""

    @property
    def line(self) -> str:
        """What to watch; it makes room while there is a question or a result to read."""
        text = self.lecture.text
        if text is None or self.lecture.phase in (Phase.QUESTION, Phase.RESULT):
            return ""
        return plain(text.watch)

    @property
    def place(self) -> tuple[int, int] | None:
        lesson = self.lecture.lesson
        return None if lesson is None or not self.lecture.on else (self.lecture.index + 1, len(lesson.steps))

    @property
    def notes(self) -> str:
        lecture, text = self.lecture, self.lecture.text
        if lecture.lesson is None or text is None:
            return ""
        parts = [lecture.lesson.texts().teacher if lecture.index == 0 else "", text.teacher, "---", text.text]
        if lecture.phase is Phase.RESULT and text.try_it:
            parts += ["---", text.try_it]
        return "\n\n".join(part for part in parts if part)

    @property
    def coming(self) -> str:
        lecture, step = self.lecture, self.lecture.step
        if step is None or lecture.lesson is None:
            return ""
        match lecture.phase:
            case Phase.TEXT if step.question is not None and lecture.taken.answer is None:
                return tr("the question")
            case Phase.TEXT | Phase.QUESTION if lecture.runs:
                return tr("the run")
            case Phase.RUNNING:
                return tr("what was measured")
        if lecture.at_end:
            return ""
        return lecture.lesson.text(lecture.lesson.steps[lecture.index + 1]).title

    def forward(self) -> None:
        if not self.read_on(True):
            self.lecture.forward()

    def back(self) -> None:
        if not self.read_on(False):
            self.lecture.back()


def plain(markdown: str) -> str:
    """A paragraph of Markdown as one line of plain text."""
    from PySide6.QtGui import QTextDocument

    document = QTextDocument()
    document.setMarkdown(markdown)
    return " ".join(document.toPlainText().split())

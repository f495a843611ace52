"""What is talked about while presenting: an open experiment, or a lesson with its steps."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from gradsim.app.session import Session
from gradsim.i18n import tr


class Talk(QObject):
    """Titles for the audience, notes for the teacher, and the way from one step to the next.

    This one has no steps: it speaks of the experiment that is open.
    """

    changed = Signal()
    """Anything below may be another."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        session.document_changed.connect(lambda _: self.changed.emit())

    @property
    def title(self) -> str:
        """One line that the audience reads first."""
        return tr(self.session.experiment.name) or tr("Untitled experiment")

    @property
    def line(self) -> str:
        """A sentence below it: what to look at; or ""."""
        return ""

    @property
    def place(self) -> tuple[int, int] | None:
        """Which step of how many, counted from 1; None where there are none."""
        return None

    @property
    def notes(self) -> str:
        """For the teacher only, as Markdown."""
        return tr(self.session.experiment.description)

    @property
    def coming(self) -> str:
        """What the next step is, or ""."""
        return ""

    def forward(self) -> None:
        """On to what comes next, if there is anything."""

    def back(self) -> None:
        """Back to what came before, if there was anything."""


class Follower(QWidget):
    """A widget that writes what a talk says, whenever it says another thing."""

    def __init__(self, talk: Talk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.talk = talk
        talk.changed.connect(self.renew)

    def set_talk(self, talk: Talk) -> None:
        """Speaks of another thing."""
        self.talk.changed.disconnect(self.renew)
        self.talk = talk
        talk.changed.connect(self.renew)
        self.renew()

    def renew(self) -> None:
        """Writes what the talk says now."""
        raise NotImplementedError

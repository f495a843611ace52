"""What lives as long as the program: the session, and one window after the other around it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from gradsim.app import language
from gradsim.app.session import Session
from gradsim.app.settings import Settings
from gradsim.app.window import MainWindow


class Program(QObject):
    """Holds the window; in another language it is built anew around the session, and the run goes on meanwhile.

    Args:
        session: What the window shows.
        settings: What is remembered, the language too.
        autosave: Folder for autosaved experiments.

    Attributes:
        window: The one that is there now.
    """

    window_changed = Signal()
    """Another window is there: :attr:`window`."""

    def __init__(self, session: Session, settings: Settings, autosave: Path) -> None:
        super().__init__()
        self.session, self.settings, self.autosave = session, settings, autosave
        language.use(settings.language)
        self.window = self._make()

    def _make(self) -> MainWindow:
        window = MainWindow(self.session, self.settings, self.autosave)
        # Queued: it is a menu of the window that asks, and the window goes.
        window.language_wanted.connect(self.speak, Qt.ConnectionType.QueuedConnection)
        return window

    def speak(self, choice: str) -> None:
        """Goes on in another language: same run, same place on the screen, same pages."""
        self.settings.set_language(choice)
        before = self.window
        before.part()
        language.use(choice)
        self.window = self._make()
        # Shown before the other goes, since without any window the program would end.
        self.window.show()
        self.window.take_up(before)
        before.hide()
        before.deleteLater()
        self.window_changed.emit()

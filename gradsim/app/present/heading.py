"""The line that the audience reads first: what this is, what to look at, and how far the talk has come."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from gradsim.app import theme
from gradsim.app.present.talk import Follower, Talk
from gradsim.i18n import tr


class Heading(Follower):
    """Title and line of a talk in large type."""

    def __init__(self, talk: Talk, parent: QWidget | None = None) -> None:
        super().__init__(talk, parent)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.title, self.line, self.place = QLabel(self), QLabel(self), QLabel(self)
        for label, name in ((self.title, tr("Title")), (self.line, tr("What to look at")), (self.place, tr("Step"))):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setAccessibleName(name)
        self.title.setWordWrap(True)
        self.line.setWordWrap(True)
        self._grid = grid = QGridLayout(self)
        grid.addWidget(self.title, 0, 0)
        grid.addWidget(self.place, 0, 1, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(self.line, 1, 0, 1, 2)
        grid.setColumnStretch(0, 1)
        theme.changed.connect(self._dress)
        self._dress()
        self.renew()

    def renew(self) -> None:
        self.title.setText(self.talk.title)
        self.line.setText(self.talk.line)
        self.line.setVisible(bool(self.talk.line))
        place = self.talk.place
        self.place.setText("" if place is None else tr("{step} of {steps}", step=place[0], steps=place[1]))

    def _dress(self) -> None:
        self.title.setFont(theme.font("title", bold=True))
        self.line.setFont(theme.font("large"))
        self.place.setFont(theme.font("large", fixed=True))
        self._grid.setContentsMargins(theme.px(12), theme.px(6), theme.px(12), theme.px(4))
        self._grid.setHorizontalSpacing(theme.px(12))
        self._grid.setVerticalSpacing(theme.px(2))

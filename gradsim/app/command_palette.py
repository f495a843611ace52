"""Any command by its words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.i18n import tr


@dataclasses.dataclass(frozen=True)
class Command:
    """One line.

    Attributes:
        text: What it does.
        group: What it belongs to: "Run", "Example", ...
        keys: Its shortcut, or "".
        tooltip: One sentence; is searched too.
        enabled: Whether it can be done now.
        run: Does it.
    """

    text: str
    group: str
    keys: str
    tooltip: str
    enabled: bool
    run: Callable[[], object]


def rank(command: Command, query: str) -> int | None:
    """How well a command fits what was typed, smaller is better; None if it doesn't.

    Every word must occur: at the beginning of a word of the text, within it, or in group and tooltip.
    """
    text = command.text.lower()
    beginnings = text.split()
    total = 0
    for word in query.lower().split():
        if text.startswith(word):
            total += 0
        elif any(one.startswith(word) for one in beginnings):
            total += 1
        elif word in text:
            total += 3
        elif word in command.group.lower():
            total += 4
        elif word in command.tooltip.lower():
            total += 6
        else:
            return None
    return total


class CommandPalette(QDialog):
    """A line to type in, and the commands that fit."""

    def __init__(self, commands: Sequence[Command], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Commands"))
        self.setWindowFlag(Qt.WindowType.Popup, True)
        self.commands = tuple(commands)
        self.setAccessibleName(tr("Commands"))
        self.line = QLineEdit(self)
        self.line.setPlaceholderText(tr("Type what you want to do"))
        self.line.setAccessibleName(tr("Find a command"))
        self.line.setToolTip(tr("Words of the command; Enter runs it"))
        self.list = QListWidget(self)
        self.list.setAccessibleName(tr("Commands that fit"))
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.px(8), theme.px(8), theme.px(8), theme.px(8))
        layout.addWidget(self.line)
        layout.addWidget(self.list)
        self.line.setFont(theme.font("large"))
        self.line.installEventFilter(self)
        self.line.textChanged.connect(self.search)
        self.list.itemClicked.connect(self._run)
        self.resize(theme.px(560), theme.px(420))
        self.search("")

    def search(self, query: str) -> None:
        """Lists what fits, the best first; what can't be done now comes last and is greyed."""
        ranked = [(rank(command, query), number) for number, command in enumerate(self.commands)]
        fitting = [(not self.commands[n].enabled, score, n) for score, n in ranked if score is not None]
        self.list.clear()
        for _, _, number in sorted(fitting):
            command = self.commands[number]
            item = QListWidgetItem(
                tr("{group}: {command}", group=command.group, command=command.text)
                + (f"    {command.keys}" if command.keys else "")
            )
            item.setData(Qt.ItemDataRole.UserRole, number)
            item.setToolTip(command.tooltip)
            if not command.enabled:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    def current(self) -> Command | None:
        """The command that Enter runs."""
        item = self.list.currentItem()
        return None if item is None else self.commands[item.data(Qt.ItemDataRole.UserRole)]

    def run_current(self) -> None:
        """Closes the palette and runs the command."""
        command = self.current()
        if command is not None and command.enabled:
            self.close()
            command.run()

    def _run(self, item: QListWidgetItem) -> None:
        self.list.setCurrentItem(item)
        self.run_current()

    def open_over(self, window: QWidget) -> None:
        """Opens below the top edge of a window."""
        self.resize(min(theme.px(560), window.width() - 40), min(theme.px(420), window.height() - 80))
        self.move(window.mapToGlobal(QPoint((window.width() - self.width()) // 2, theme.px(60))))
        self.show()
        self.line.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.line and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            rows = self.list.count()
            moves = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}
            if event.key() in moves and rows:
                row = self.list.currentRow() + moves[Qt.Key(event.key())]
                self.list.setCurrentRow(max(0, min(rows - 1, row)))
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.run_current()
                return True
        return super().eventFilter(watched, event)

"""The keys, to see and to change."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QKeySequenceEdit,
    QLabel,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.actions import MENUS, Actions, plain
from gradsim.i18n import tr

NAME = Qt.ItemDataRole.UserRole


class ShortcutsDialog(QDialog):
    """A list of all commands; the selected one's key is recorded below it."""

    def __init__(self, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.actions_ = actions
        self.setWindowTitle(tr("Keyboard shortcuts"))
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(tr("Find a command"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(tr("Find a command"))
        self.tree = QTreeWidget(self)
        self.tree.setHeaderLabels([tr("Command"), tr("Key")])
        self.tree.setRootIsDecorated(False)
        self.tree.setAccessibleName(tr("Commands and their keys"))
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.header().setStretchLastSection(False)
        self.tree.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.edit = QKeySequenceEdit(self)
        self.edit.setMaximumSequenceLength(1)
        self.edit.setClearButtonEnabled(True)
        self.edit.setAccessibleName(tr("New key"))
        self.edit.setToolTip(tr("Click here and press the key that the command shall have"))
        self.default = QPushButton(tr("Default"), self)
        self.default.setToolTip(tr("Give the command the key that it had at first"))
        self.message = QLabel(self)
        self.message.setWordWrap(True)
        self.message.setTextFormat(Qt.TextFormat.PlainText)
        # Enter, pressed in the search, must not take a key back; nothing here is done by Enter alone.
        self.default.setAutoDefault(False)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.button(QDialogButtonBox.StandardButton.Close).setAutoDefault(False)
        row = QHBoxLayout()
        row.addWidget(QLabel(tr("Key:"), self))
        row.addWidget(self.edit, 1)
        row.addWidget(self.default)
        layout = QVBoxLayout(self)
        for widget in (self.search, self.tree):
            layout.addWidget(widget)
        layout.addLayout(row)
        layout.addWidget(self.message)
        layout.addWidget(buttons)
        buttons.rejected.connect(self.reject)
        self.search.textChanged.connect(self._filter)
        self.tree.currentItemChanged.connect(lambda *_: self._chosen())
        self.edit.editingFinished.connect(self._changed)
        self.default.clicked.connect(self.reset_current)
        self.resize(theme.px(520), theme.px(560))
        self._fill()

    def _fill(self) -> None:
        for name, verb in self.actions_.verbs.items():
            item = QTreeWidgetItem(
                [tr("{group}: {command}", group=plain(tr(MENUS[verb.menu])), command=verb.words), ""]
            )
            item.setData(0, NAME, name)
            item.setToolTip(0, tr(verb.tooltip))
            self.tree.addTopLevelItem(item)
        self._show_keys()
        self.select(next(iter(self.actions_.verbs)))

    def _show_keys(self) -> None:
        for row in range(self.tree.topLevelItemCount()):
            item = self.tree.topLevelItem(row)
            if item is not None:
                keys = self.actions_.keys(item.data(0, NAME))
                item.setText(1, ", ".join(key.toString(QKeySequence.SequenceFormat.NativeText) for key in keys))

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        for row in range(self.tree.topLevelItemCount()):
            item = self.tree.topLevelItem(row)
            if item is not None:
                content = f"{item.text(0)} {item.text(1)}".lower()
                item.setHidden(not all(word in content for word in words))
        self._keep_in_sight()

    def _keep_in_sight(self) -> None:
        """The key that can be changed is that of a command in sight."""
        rows = (self.tree.topLevelItem(row) for row in range(self.tree.topLevelItemCount()))
        found = [item for item in rows if item is not None and not item.isHidden()]
        for widget in (self.edit, self.default):
            widget.setEnabled(bool(found))
        current = self.tree.currentItem()
        if found and (current is None or current.isHidden()):
            self.tree.setCurrentItem(found[0])

    @property
    def current(self) -> str:
        """The verb that is selected."""
        item = self.tree.currentItem()
        return str(item.data(0, NAME)) if item is not None else ""

    def select(self, name: str) -> None:
        """Selects a verb."""
        for row in range(self.tree.topLevelItemCount()):
            item = self.tree.topLevelItem(row)
            if item is not None and item.data(0, NAME) == name:
                self.tree.setCurrentItem(item)

    def _chosen(self) -> None:
        self.message.setText("")
        if self.current:
            keys = self.actions_.keys(self.current)
            self.edit.setKeySequence(keys[0] if keys else QKeySequence())

    def _changed(self) -> None:
        self.set_current(self.edit.keySequence().toString(QKeySequence.SequenceFormat.PortableText))

    def set_current(self, key: str | None) -> None:
        """Gives the selected verb a key ("" for none, None for the default), or says why not."""
        name = self.current
        keys = self.actions_.keys(name)
        if key is not None and QKeySequence(key) == (keys[0] if keys else QKeySequence()):
            return
        try:
            self.actions_.set_key(name, key)
            self.message.setText("")
        except ValueError as error:
            self.message.setText(str(error))
        else:
            self._show_keys()
            keys = self.actions_.keys(name)
            self.edit.setKeySequence(keys[0] if keys else QKeySequence())

    def reset_current(self) -> None:
        """Gives the selected verb its first key back."""
        self.set_current(None)

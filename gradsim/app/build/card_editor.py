"""The editor that stands on a card while one of its fields is edited there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPalette
from PySide6.QtWidgets import QApplication, QFrame, QLabel, QWidget

from gradsim.app import theme
from gradsim.app.build.arrangement import Item
from gradsim.app.build.editors import Combo, NumberBox
from gradsim.app.build.faces import Chip, Faces
from gradsim.app.build.forms import refusal
from gradsim.i18n import tr
from gradsim.model import edits
from gradsim.model.edits import EditError
from gradsim.nn.spec import REGISTRIES, fields_of

if TYPE_CHECKING:
    from gradsim.app.build.cards import CardsColumn


class CardEditor(QObject):
    """At most one editor, on one field of one card.

    Attributes:
        widget: The editor, or None.
        editing: Card, layer and field that it edits.
    """

    def __init__(self, column: CardsColumn, faces: Faces) -> None:
        super().__init__(column)
        self.column, self.faces = column, faces
        self.widget: QWidget | None = None
        self.editing: tuple[str, str, str] | None = None
        self._refusal: QLabel | None = None

    @property
    def words(self) -> str:
        """What was refused, in words; "" if nothing was."""
        return self._refusal.text() if self._refusal is not None else ""

    def _edited_uids(self, item: Item, chip: Chip) -> tuple[str, ...]:
        """All selected layers that have the field, if the card is one of them, else the layer of the field alone."""
        if not chip.uid:
            return ("",)
        chosen = self.column.session.state.selection
        if item.uid not in chosen or chip.uid != item.uid:
            return (chip.uid,)
        kinds = self.faces.layers
        name = chip.view.name
        return tuple(
            uid for uid in chosen if uid in kinds and any(view.name == name for view in fields_of(type(kinds[uid])))
        )

    def open(self, item: Item, chip: Chip) -> None:
        self.close()
        self.column.ensure_visible(item.uid)
        name, view = chip.view.name, chip.view
        uids = self._edited_uids(item, chip)
        holder: Any = self.column.session.document.experiment if uids == ("",) else self.faces.layers[chip.uid]
        self.editing = (item.uid, chip.uid, name)
        kind = "dataset" if name == "data" and uids == ("",) else view.kind
        words = tr("{field} of {layer}", field=tr(view.title), layer=self.faces.texts(item, compact=True)[0])
        made: QWidget
        if kind in REGISTRIES:
            combo = Combo(self.column.viewport())
            for identifier, spec in REGISTRIES[kind].items():
                combo.addItem(tr(getattr(spec, "title", "")) or identifier, identifier)
                combo.setItemData(combo.count() - 1, tr(spec.summary()), Qt.ItemDataRole.ToolTipRole)
            combo.choose(getattr(holder, name).identifier)
            combo.activated.connect(lambda index: self._commit(uids, name, combo.itemData(index), choose=True))
            made = combo
        elif view.type == "choice":
            combo = Combo(self.column.viewport())
            for choice in view.choices:
                combo.addItem(tr(str(choice)), choice)
            combo.choose(getattr(holder, name))
            combo.activated.connect(lambda index: self._commit(uids, name, combo.itemData(index)))
            made = combo
        else:
            box = NumberBox(view, self.column.viewport())
            box.set_value(getattr(holder, name))
            box.entered.connect(lambda value, more: self._commit(uids, name, value, more=more))
            box.selectAll()
            made = box
        made.setAccessibleName(words)
        made.setAccessibleDescription(tr(view.help))
        made.setToolTip(tr(view.help))
        made.setFont(theme.font("small"))
        made.installEventFilter(self)
        self.widget = made
        self.place()
        made.show()
        made.setFocus(Qt.FocusReason.OtherFocusReason)

    def place(self) -> None:
        if self.widget is None or self.editing is None:
            return
        item = self.faces.arrangement.item(self.editing[0])
        chip = (
            next((c for c in self.faces.chips(item) if (c.uid, c.view.name) == self.editing[1:]), None)
            if item
            else None
        )
        if chip is None:
            self.close()
            return
        least = theme.px(130 if isinstance(self.widget, Combo) else 76)
        width, height = (
            max(round(chip.rect.width()) + theme.px(18), least),
            max(round(chip.rect.height()) + theme.px(4), self.widget.minimumSizeHint().height()),
        )
        left = min(round(chip.rect.left()), self.column.viewport().width() - width - 2)
        top = round(chip.rect.center().y() - height / 2) - self.column.verticalScrollBar().value()
        self.widget.setGeometry(max(0, left), top, width, height)
        if self._refusal is not None:
            self._refusal.setFixedWidth(min(theme.px(280), self.column.viewport().width() - theme.px(8)))
            self._refusal.adjustSize()
            x = max(0, min(left, self.column.viewport().width() - self._refusal.width() - 4))
            below = top + height + 2
            room = self.column.viewport().height() - self._refusal.height()
            self._refusal.move(x, below if below <= room else top - self._refusal.height() - 2)

    def _commit(
        self, uids: tuple[str, ...], name: str, value: Any, *, choose: bool = False, more: bool = False
    ) -> None:
        experiment = self.column.session.document.experiment
        editing = self.editing
        if (
            choose and any(view.required for view in fields_of(REGISTRIES["dataset"][value]))
            if name == "data"
            else False
        ):
            # It needs a file first, which only the panel can ask for.
            self.close()
            self.column.panel_wanted.emit(name)
            return
        try:
            edit = (edits.choose if choose else edits.set_field)(experiment, uids, name, value)
        except EditError as error:
            self._refuse(refusal(error))
            return
        self._refuse("")
        editor = self.widget
        if more and editor is not None:
            # Stepping goes on: the editor must outlive the change that it makes.
            self.widget = None
            self.column.session.apply(edit, merge_key=("card", uids, name, id(editor)))
            self.widget, self.editing = editor, editing
            self.place()
            if isinstance(editor, NumberBox):
                editor.set_value(value)
            return
        self.close()
        self.column.session.apply(edit)

    def _refuse(self, words: str) -> None:
        if not words:
            if self._refusal is not None:
                self._refusal.hide()
                self._refusal.deleteLater()
                self._refusal = None
            return
        if self._refusal is None:
            self._refusal = QLabel(self.column.viewport())
            self._refusal.setWordWrap(True)
            self._refusal.setTextFormat(Qt.TextFormat.PlainText)
            self._refusal.setAutoFillBackground(True)
            # A label on a viewport would take the roles of the viewport.
            self._refusal.setForegroundRole(QPalette.ColorRole.BrightText)
            self._refusal.setBackgroundRole(QPalette.ColorRole.Base)
            self._refusal.setFrameShape(QFrame.Shape.Box)
            self._refusal.setMargin(theme.px(4))
        self._refusal.setText(words)
        self._refusal.setAccessibleName(words)
        self._refusal.show()
        self._refusal.raise_()
        self.place()
        if self.widget is not None:
            self.widget.setFocus(Qt.FocusReason.OtherFocusReason)

    def close(self) -> None:
        """Takes the editor off its card; what was typed and not entered is given up."""
        self._refuse("")
        editor, self.widget, self.editing = self.widget, None, None
        if editor is not None:
            had = editor.hasFocus() or editor.isAncestorOf(QApplication.focusWidget() or self.column)
            editor.removeEventFilter(self)
            editor.blockSignals(True)
            editor.hide()
            editor.deleteLater()
            if had:
                self.column.setFocus(Qt.FocusReason.OtherFocusReason)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.widget and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.close()
                return True
            if event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
                self._next_editor(-1 if event.key() == Qt.Key.Key_Backtab else 1)
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and isinstance(watched, NumberBox):
                self._enter_editor()
                return True
        if watched is self.widget and event.type() == QEvent.Type.FocusOut and isinstance(event, QFocusEvent):
            inside = event.reason() in (Qt.FocusReason.PopupFocusReason, Qt.FocusReason.ActiveWindowFocusReason)
            if not inside and self._refusal is None:
                QTimer.singleShot(0, self, self._leave_editor)
        return super().eventFilter(watched, event)

    def _leave_editor(self) -> None:
        if self.widget is not None and not self.widget.isAncestorOf(QApplication.focusWidget() or self.column):
            self.close()

    def _enter_editor(self) -> bool:
        """Enters what was typed; False if it was refused."""
        box = self.widget
        if isinstance(box, NumberBox):
            box.lineEdit().returnPressed.emit()
        if self._refusal is not None:
            return False
        self.close()
        return True

    def _next_editor(self, by: int) -> None:
        editing = self.editing
        if editing is None or not self._enter_editor():
            return
        item = self.faces.arrangement.item(editing[0])
        chips = self.faces.chips(item) if item is not None else []
        fields = [(chip.uid, chip.view.name) for chip in chips]
        at = fields.index(editing[1:]) + by if editing[1:] in fields else -1
        if item is not None and 0 <= at < len(chips):
            self.open(item, chips[at])

"""The layers that there are, by category: to search, to add with Enter or a double click, to drag into the column."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QByteArray, QEvent, QMimeData, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QKeyEvent, QPainter, QPainterPath, QPalette, QPen, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QLabel, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.build import verbs
from gradsim.app.session import Session
from gradsim.i18n import tr
from gradsim.nn.layers import Layer, registry

KIND_ROLE = Qt.ItemDataRole.UserRole
SYMBOLS = {
    "Core": "net",
    "Activation": "curve",
    "Normalisation": "bell",
    "Regularisation": "holes",
    "Shape": "squash",
    "Groups": "boxes",
}
"""Picture of each category; a new category gets a plain box."""


class Palette(QWidget):
    """Search line and list.

    Signals:
        added: A layer was added, by its identifier.
    """

    added = Signal(str)
    left = Signal()
    """The keyboard is to go elsewhere: Escape in the search line."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.setAccessibleName(tr("Palette of layers"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.px(4))
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(tr("Find a layer"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(tr("Find a layer"))
        self.search.setToolTip(tr("Name or purpose of a layer; Enter adds the first one found behind the selection"))
        self.list = LayerList(self)
        self.summary = QLabel(self)
        self.summary.setWordWrap(True)
        self.summary.setTextFormat(Qt.TextFormat.PlainText)
        self.summary.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.summary.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.search)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.summary)
        self.search.textChanged.connect(self._fill)
        self.search.returnPressed.connect(self._add_current)
        self.search.installEventFilter(self)
        self.list.itemActivated.connect(self._add)
        self.list.currentRowChanged.connect(self._describe)
        theme.changed.connect(self._dress)
        self._dress()
        self.setFocusProxy(self.search)

    def _dress(self) -> None:
        self.setMinimumWidth(theme.px(120))
        self.list.setIconSize(QSize(theme.px(16), theme.px(16)))
        self._fill()

    def _fill(self, *_: object) -> None:
        text = self.search.text()
        self.summary.setFont(theme.font("small"))
        # Room for the longest, so that the list does not jump while one goes through it.
        self.summary.setFixedHeight(3 * self.summary.fontMetrics().height())
        self.list.clear()
        category = None
        for kind, spec in found(text):
            if spec.category != category:
                category = spec.category
                heading = QListWidgetItem(tr(category))
                heading.setFlags(Qt.ItemFlag.NoItemFlags)
                heading.setFont(theme.font("small", bold=True))
                heading.setForeground(QColor(theme.current().muted))
                self.list.addItem(heading)
            item = QListWidgetItem(icon(spec.category), kind)
            item.setData(KIND_ROLE, kind)
            item.setToolTip(f"{tr(spec.summary())}\n{tr('Double-click or drag to add it.')}")
            item.setData(Qt.ItemDataRole.AccessibleDescriptionRole, tr(spec.summary()))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsDragEnabled)
            self.list.addItem(item)
        self.list.setCurrentRow(next((row for row in range(self.list.count()) if self.kind_at(row)), -1))

    def _describe(self, row: int) -> None:
        kind = self.kind_at(row) if row >= 0 else ""
        self.summary.setText(tr(registry[kind].summary()) if kind else tr("No layer of this name") if row < 0 else "")

    def kind_at(self, row: int) -> str:
        """Identifier of the layer in a row; "" for a heading."""
        item = self.list.item(row)
        return str(item.data(KIND_ROLE) or "") if item is not None else ""

    def _add_current(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self._add(item)

    def _add(self, item: QListWidgetItem) -> None:
        kind = str(item.data(KIND_ROLE) or "")
        if kind and verbs.add(self.session, kind):
            self.added.emit(kind)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        # The arrows go through the list while the search line keeps the keyboard.
        if watched is self.search and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
                rows = [row for row in range(self.list.count()) if self.kind_at(row)]
                if rows:
                    at = rows.index(self.list.currentRow()) if self.list.currentRow() in rows else 0
                    step = 1 if event.key() == Qt.Key.Key_Down else -1
                    self.list.setCurrentRow(rows[max(0, min(len(rows) - 1, at + step))])
                return True
            if event.key() == Qt.Key.Key_Escape:
                self.search.clear()
                self.left.emit()
                return True
        return super().eventFilter(watched, event)


class LayerList(QListWidget):
    """The list; what is dragged from it says which kind of layer it is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("Layers"))
        self.setDragEnabled(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSpacing(1)

    def mimeTypes(self) -> list[str]:
        return [verbs.KIND_MIME]

    def mimeData(self, items: Sequence[QListWidgetItem]) -> QMimeData:
        data = QMimeData()
        if items:
            data.setData(verbs.KIND_MIME, QByteArray(str(items[0].data(KIND_ROLE) or "").encode()))
        return data

    def keyPressEvent(self, event: QKeyEvent) -> None:
        # Some platforms activate an item with Space, which plays and pauses here.
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            item = self.currentItem()
            if item is not None:
                self.itemActivated.emit(item)
            return
        super().keyPressEvent(event)


def found(text: str) -> list[tuple[str, type[Layer]]]:
    """The layers whose name, category or summary has every word of a text, by category; all for an empty text."""
    words = text.lower().split()
    kinds = [(kind, spec) for kind, spec in registry.items() if all(word in _content(kind, spec) for word in words)]
    order = list(dict.fromkeys(spec.category for spec in registry.values()))
    # Dense is what is wanted most, so its category comes first.
    order.sort(key=lambda category: category != "Core")
    return sorted(kinds, key=lambda pair: order.index(pair[1].category))


def _content(kind: str, spec: type[Layer]) -> str:
    """What a layer is found by: both languages, since its name is English in either."""
    texts = (kind, *spec.aliases, spec.category, tr(spec.category), spec.summary(), tr(spec.summary()))
    return " ".join(texts).lower()


def icon(category: str) -> QIcon:
    """A small picture of a category in the colours of the theme, also on a selected row."""
    used = theme.current()
    made = QIcon(_picture(category, used.text))
    made.addPixmap(_picture(category, used.on_accent), QIcon.Mode.Selected)
    return made


def _picture(category: str, colour: str) -> QPixmap:
    size = 32
    picture = QPixmap(size, size)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(QColor(colour), 2.4)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    match SYMBOLS.get(category):
        case "net":
            for y in (6, 16, 26):
                painter.drawLine(8, y, 24, 11)
                painter.drawLine(8, y, 24, 21)
                painter.drawEllipse(QRectF(5, y - 2.5, 5, 5))
            for y in (11, 21):
                painter.drawEllipse(QRectF(22, y - 2.5, 5, 5))
        case "curve":
            path = QPainterPath()
            path.moveTo(4, 26)
            path.cubicTo(18, 26, 14, 6, 28, 6)
            painter.drawPath(path)
        case "bell":
            path = QPainterPath()
            path.moveTo(3, 26)
            path.cubicTo(13, 26, 11, 6, 16, 6)
            path.cubicTo(21, 6, 19, 26, 29, 26)
            painter.drawPath(path)
        case "holes":
            for number, (x, y) in enumerate((x, y) for y in (8, 16, 24) for x in (8, 16, 24)):
                if number in (1, 5, 6):
                    painter.drawLine(x - 2, y - 2, x + 2, y + 2)
                    painter.drawLine(x - 2, y + 2, x + 2, y - 2)
                else:
                    painter.drawEllipse(QRectF(x - 2, y - 2, 4, 4))
        case "squash":
            painter.drawRect(QRectF(4, 7, 11, 18))
            painter.drawLine(19, 16, 28, 16)
            painter.drawLine(28, 7, 28, 25)
        case "boxes":
            painter.drawRoundedRect(QRectF(4, 4, 24, 24), 4, 4)
            painter.drawLine(10, 12, 22, 12)
            painter.drawLine(10, 20, 22, 20)
        case _:
            painter.drawRoundedRect(QRectF(6, 6, 20, 20), 4, 4)
    painter.end()
    return picture

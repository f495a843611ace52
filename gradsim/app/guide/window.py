"""The guide's window: contents and search on the left, a page on the right."""

from __future__ import annotations

import re

from PySide6.QtCore import QRectF, Qt, QUrl
from PySide6.QtGui import (
    QBrush,
    QColor,
    QImage,
    QKeySequence,
    QPainter,
    QShortcut,
    QTextBlock,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFrameFormat,
    QTextTable,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSplitter,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.actions import Actions
from gradsim.app.guide.pages import Page, pages
from gradsim.app.see.heatmap import PATTERNS
from gradsim.i18n import tr
from gradsim.telemetry.classes import MARKS, Special, State

NAME = Qt.ItemDataRole.UserRole
AROUND = 60
"""Characters that a found place is shown with."""


def swatch(state: State) -> QImage:
    """The colour of a state with its pattern and glyph."""
    look, size = theme.current(), theme.px(18)
    image = QImage(round(size * 1.6) * 2, size * 2, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(2)
    area = QRectF(0, 0, image.width() / 2, image.height() / 2)
    colour = look.state_colour(state)
    ink = QColor("#000000" if colour.lightness() > 127 else "#ffffff")
    painter = QPainter(image)
    painter.fillRect(area, colour)
    index = MARKS[state].index
    if index in PATTERNS:
        hatch = QColor(ink)
        hatch.setAlpha(90)
        painter.fillRect(area, QBrush(hatch, PATTERNS[Special(index)]))
    painter.setPen(QColor(look.muted))
    painter.drawRect(area.adjusted(0, 0, -1, -1))
    painter.setPen(ink)
    painter.setFont(theme.font("small", bold=True))
    painter.drawText(area, Qt.AlignmentFlag.AlignCenter, MARKS[state].glyph)
    painter.end()
    return image


class GuideWindow(QWidget):
    """The guide, beside the window, so that both can be looked at.

    Args:
        actions: Their keys are named in the pages.
    """

    def __init__(self, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.actions_ = actions
        self.setWindowTitle(tr("User guide – gradsim"))
        self.pages = pages()
        self._history: list[str] = []
        self.current = ""
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(tr("Search the guide"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(tr("Search the guide"))
        self.search.setToolTip(tr("Type words; Enter goes to the next place."))
        self.list = QListWidget(self)
        self.list.setWordWrap(True)
        self.list.setAccessibleName(tr("Contents"))
        self.list.setToolTip(tr("The pages of the guide"))
        self.text = QTextBrowser(self)
        self.text.setOpenLinks(False)
        self.text.setAccessibleName(tr("Page"))
        self.back = QPushButton(tr("Back"), self)
        self.back.setAccessibleName(tr("Back"))
        self.back.setToolTip(tr("To the page before"))
        self.next = QPushButton(tr("Next page"), self)
        self.next.setAccessibleName(tr("Next page"))
        self.next.setToolTip(tr("To the page that follows in the contents"))
        for button in (self.back, self.next):
            button.setAutoDefault(False)
        left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.search)
        column.addWidget(self.list, 1)
        right = QWidget(self)
        page = QVBoxLayout(right)
        page.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.back)
        row.addStretch(1)
        row.addWidget(self.next)
        page.addWidget(self.text, 1)
        page.addLayout(row)
        self.across = QSplitter(Qt.Orientation.Horizontal, self)
        self.across.addWidget(left)
        self.across.addWidget(right)
        self.across.setStretchFactor(1, 1)
        self.across.setChildrenCollapsible(False)
        self._whole = QVBoxLayout(self)
        self._whole.addWidget(self.across)
        self.search.textChanged.connect(self._fill)
        self.search.returnPressed.connect(self.find_next)
        self.list.currentItemChanged.connect(self._chosen)
        self.text.anchorClicked.connect(self._follow)
        self.back.clicked.connect(self.go_back)
        self.next.clicked.connect(self._next_page)
        for keys, function in (
            (QKeySequence.StandardKey.Find, self._to_search),
            (QKeySequence.StandardKey.Back, self.go_back),
            (QKeySequence(Qt.Key.Key_Escape), self.close),
        ):
            QShortcut(keys, self, function)
        actions.shortcuts_changed.connect(self._render)
        theme.changed.connect(self._dress)
        self.resize(theme.px(980), theme.px(720))
        self.across.setSizes([theme.px(250), theme.px(730)])
        self._dress()
        self._fill()
        self.show_page(self.pages[0].name)

    # Pages

    def page(self, name: str) -> Page | None:
        """A page by its name."""
        return next((page for page in self.pages if page.name == name), None)

    def show_page(self, name: str, *, remember: bool = True) -> None:
        """Shows a page from its beginning; one that there is not is passed over."""
        if self.page(name) is None or name == self.current:
            return
        if remember and self.current:
            self._history.append(self.current)
        self.current = name
        self._render()
        self.back.setEnabled(bool(self._history))
        self.next.setEnabled(name != self.pages[-1].name)
        for row in range(self.list.count()):
            item = self.list.item(row)
            if item.data(NAME) == name and self.list.currentRow() != row:
                self.list.blockSignals(True)
                self.list.setCurrentRow(row)
                self.list.blockSignals(False)

    def go_back(self) -> None:
        """To the page that was shown before."""
        if self._history:
            self.show_page(self._history.pop(), remember=False)
            self.back.setEnabled(bool(self._history))

    def _next_page(self) -> None:
        names = [page.name for page in self.pages]
        self.show_page(names[min(len(names) - 1, names.index(self.current) + 1)])

    def _render(self) -> None:
        page = self.page(self.current)
        if page is not None:
            self.text.document().setDefaultFont(theme.font("large"))
            self.text.setMarkdown(page.markdown(self.keys))
            for state in State:
                # ``![vanishing](mark:vanishing)`` is the colour and sign of a state, as the heatmap has it.
                place = QUrl(f"mark:{state}")
                self.text.document().addResource(QTextDocument.ResourceType.ImageResource, place, swatch(state))
            self._space()
            self.text.moveCursor(QTextCursor.MoveOperation.Start)

    def _space(self) -> None:
        """Room between lines and paragraphs, and borders around the cells of tables."""
        document, look = self.text.document(), theme.current()
        document.setDocumentMargin(theme.px(18))
        block = document.begin()
        while block.isValid():
            form = block.blockFormat()
            level = form.headingLevel()
            inside = isinstance(QTextCursor(block).currentTable(), QTextTable)
            code = form.nonBreakableLines()
            form.setLineHeight(100.0 if code else 125.0, 1)
            form.setTopMargin(theme.px(14 if level > 1 else 0))
            form.setBottomMargin(0 if inside or (code and _is_code(block.next())) else theme.px(8))
            if code:
                form.setBackground(QBrush(QColor(look.raised)))
            cursor = QTextCursor(block)
            cursor.setBlockFormat(form)
            self._shade_code(block)
            block = block.next()
        for frame in document.rootFrame().childFrames():
            if isinstance(frame, QTextTable):
                made = frame.format()
                made.setCellPadding(theme.px(5))
                made.setCellSpacing(0)
                made.setBorder(0)
                made.setBottomMargin(theme.px(10))
                frame.setFormat(made)
                for row in range(frame.rows()):
                    for column in range(frame.columns()):
                        cell = frame.cellAt(row, column)
                        line = cell.format().toTableCellFormat()
                        line.setBottomBorder(1)
                        line.setBottomBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
                        line.setBottomBorderBrush(QBrush(QColor(look.line)))
                        cell.setFormat(line)

    @staticmethod
    def _shade_code(block: QTextBlock) -> None:
        """Keys and code stand on a shade, as keys do."""
        shade = QTextCharFormat()
        shade.setBackground(QBrush(QColor(theme.current().raised)))
        places = []
        pieces = block.begin()
        while not pieces.atEnd():
            piece = pieces.fragment()
            if piece.charFormat().fontFixedPitch():
                places.append((piece.position(), piece.length()))
            pieces += 1
        for start, length in places:
            cursor = QTextCursor(block)
            cursor.setPosition(start)
            cursor.setPosition(start + length, QTextCursor.MoveMode.KeepAnchor)
            cursor.mergeCharFormat(shade)

    def keys(self, verb: str) -> list[str]:
        """The keys of a command, as this system writes them."""
        native = QKeySequence.SequenceFormat.NativeText
        return [key.toString(native) for key in self.actions_.keys(verb)]

    def _follow(self, url: QUrl) -> None:
        if not url.scheme():
            self.show_page(url.path().removesuffix(".md"))

    # Search

    def _to_search(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _fill(self) -> None:
        """The contents; while there are words to search for, the pages that hold them all, each with a place."""
        words = self.search.text().lower().split()
        self.list.blockSignals(True)
        self.list.clear()
        for page in self.pages:
            place = self._place(page, words)
            if words and not place:
                continue
            item = QListWidgetItem(f"{page.title}\n{place}" if words else page.title)
            item.setData(NAME, page.name)
            self.list.addItem(item)
            if page.name == self.current:
                self.list.setCurrentItem(item)
        self.list.blockSignals(False)

    def _place(self, page: Page, words: list[str]) -> str:
        if not words:
            return ""
        text = " ".join(self._plain(page).split())
        lower = text.lower()
        if not all(word in lower for word in words):
            return ""
        at = lower.index(words[0])
        begin, end = max(0, at - AROUND // 2), at + AROUND
        return f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}"

    def _plain(self, page: Page) -> str:
        document = QTextDocument()
        document.setMarkdown(re.sub(r"!\[[^\]]*\]\([^)]*\)", "", page.markdown(self.keys)))
        return document.toPlainText()

    def find_next(self) -> None:
        """To the next place of the words: further down on this page, then on the next page that holds them."""
        words = self.search.text().split()
        if not words or self.text.find(words[0]):
            return
        names = [self.list.item(row).data(NAME) for row in range(self.list.count())]
        if not names:
            return
        after = names[(names.index(self.current) + 1) % len(names)] if self.current in names else names[0]
        self.show_page(after)
        self.text.moveCursor(QTextCursor.MoveOperation.Start)
        self.text.find(words[0])

    def _chosen(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.show_page(item.data(NAME))
            words = self.search.text().split()
            if words:
                self.text.find(words[0])

    def _dress(self) -> None:
        margin = theme.px(10)
        self._whole.setContentsMargins(margin, margin, margin, margin)
        for widget in (self.search, self.list, self.back, self.next):
            widget.setFont(theme.font())
        self.list.setSpacing(theme.px(2))
        if self.current:
            self._render()


def _is_code(block: QTextBlock) -> bool:
    return bool(block.isValid() and block.blockFormat().nonBreakableLines())

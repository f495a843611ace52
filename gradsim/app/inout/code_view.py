"""A field of code: monospaced, lines numbered, places marked where something is wrong or became something else."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

from gradsim.app import theme


@dataclasses.dataclass(frozen=True)
class Mark:
    """A place in the code.

    Attributes:
        line: Counted from 1; 0 is no place in the text.
        column: Counted from 1; 0 is the whole line.
        severity: "impossible" or "unwise", as of a problem.
        text: What is said about it.
    """

    line: int
    column: int
    severity: str
    text: str


def code_font() -> QFont:
    """A monospaced font of the window's size."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    font.setStyleHint(QFont.StyleHint.Monospace)
    font.setPointSizeF(theme.font().pointSizeF())
    return font


class _Margin(QWidget):
    """The numbers of the lines."""

    def __init__(self, view: CodeView) -> None:
        super().__init__(view)
        self.view = view

    def sizeHint(self) -> QSize:
        return QSize(self.view.margin_width(), 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        self.view.paint_margin(event)


class CodeView(QPlainTextEdit):
    """The field. Tab leaves it, as in every other field of a dialog."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._marks: tuple[Mark, ...] = ()
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setTabChangesFocus(True)
        self._margin = _Margin(self)
        self.blockCountChanged.connect(lambda _: self._renew_margin())
        self.updateRequest.connect(self._scrolled)
        theme.changed.connect(self._dress)
        self._dress()

    @property
    def marks(self) -> tuple[Mark, ...]:
        """What is marked now."""
        return self._marks

    def set_marks(self, marks: Sequence[Mark]) -> None:
        """Marks these places and no others."""
        self._marks = tuple(marks)
        self._renew_marks()
        self._margin.update()

    def go_to(self, line: int, column: int = 1) -> None:
        """Puts the cursor at a place and shows it."""
        block = self.document().findBlockByNumber(max(0, line - 1))
        if block.isValid():
            cursor = QTextCursor(block)
            steps = max(0, min(column - 1, block.length() - 1))
            cursor.movePosition(QTextCursor.MoveOperation.Right, QTextCursor.MoveMode.MoveAnchor, steps)
            self.setTextCursor(cursor)
            self.centerCursor()
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    def margin_width(self) -> int:
        """Room for the largest number and a sign."""
        digits = max(2, len(str(self.blockCount())))
        return self.fontMetrics().horizontalAdvance("9") * (digits + 1) + theme.px(12)

    def paint_margin(self, event: QPaintEvent) -> None:
        """Draws the numbers of the visible lines, those of marked ones in their colour."""
        used = theme.current()
        painter = QPainter(self._margin)
        painter.fillRect(event.rect(), QColor(used.raised))
        painter.setFont(self.font())
        worst: dict[int, str] = {}
        for mark in self._marks:
            if worst.get(mark.line) != "impossible":
                worst[mark.line] = mark.severity
        block = self.firstVisibleBlock()
        top = self.blockBoundingGeometry(block).translated(self.contentOffset()).top()
        height = self.fontMetrics().height()
        while block.isValid() and top <= event.rect().bottom():
            number = block.blockNumber() + 1
            severity = worst.get(number)
            painter.setPen(QColor(used.muted) if severity is None else used.severity_colour(severity))
            area = QRect(0, round(top), self._margin.width() - theme.px(6), height)
            painter.drawText(area, Qt.AlignmentFlag.AlignRight, str(number))
            if severity is not None:
                sign = "▲" if severity == "impossible" else "!"
                painter.drawText(area.adjusted(theme.px(4), 0, 0, 0), Qt.AlignmentFlag.AlignLeft, sign)
            top += self.blockBoundingRect(block).height()
            block = block.next()

    def _renew_marks(self) -> None:
        used = theme.current()
        selections = []
        for mark in self._marks:
            block = self.document().findBlockByNumber(mark.line - 1)
            if mark.line < 1 or not block.isValid():
                continue
            form = QTextCharFormat()
            form.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
            form.setUnderlineColor(used.severity_colour(mark.severity))
            form.setToolTip(mark.text)
            cursor = QTextCursor(block)
            if mark.column > 1:
                steps = min(mark.column - 1, max(0, block.length() - 2))
                cursor.movePosition(QTextCursor.MoveOperation.Right, QTextCursor.MoveMode.MoveAnchor, steps)
            else:
                # The indentation of a line is nothing to underline.
                text = block.text()
                steps = len(text) - len(text.lstrip())
                cursor.movePosition(QTextCursor.MoveOperation.Right, QTextCursor.MoveMode.MoveAnchor, steps)
            cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
            selection = QTextEdit.ExtraSelection()
            selection.cursor, selection.format = cursor, form
            selections.append(selection)
        self.setExtraSelections(selections)

    def _renew_margin(self) -> None:
        self.setViewportMargins(self.margin_width(), 0, 0, 0)
        area = self.contentsRect()
        self._margin.setGeometry(area.left(), area.top(), self.margin_width(), area.height())
        self._margin.update()

    def _scrolled(self, area: QRect, by: int) -> None:
        if by:
            self._margin.scroll(0, by)
        else:
            self._margin.update(0, area.y(), self._margin.width(), area.height())

    def _dress(self) -> None:
        self.setFont(code_font())
        self._renew_margin()
        self._renew_marks()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._renew_margin()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            # The dialog's key.
            event.ignore()
            return
        super().keyPressEvent(event)

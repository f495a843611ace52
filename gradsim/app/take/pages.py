"""Pages of a PDF: texts that break between lines, pictures that don't, and room to write."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QMarginsF, QPointF, QRectF, Qt
from PySide6.QtGui import (
    QAbstractTextDocumentLayout,
    QColor,
    QFont,
    QFontMetricsF,
    QPageSize,
    QPainter,
    QPdfWriter,
    QPen,
    QTextDocument,
)

from gradsim.app import theme

DPI = 96
"""Of the units that everything here is given in."""
RESOLUTION = 110
"""Dots per inch of what has no size of its own on paper: hatches, and lines one pixel thin. Everything else is exact at
any resolution."""
SMALLEST = 6.5
"""Points."""
SIDE, TOP, BOTTOM = 64.0, 58.0, 72.0
"""Margins."""


class Pages:
    """A document that grows downwards, page by page.

    Args:
        title: Of the document, also in the foot of each page.

    Attributes:
        width: Units that a line has.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.look = theme.LIGHT
        self._data = QByteArray()
        self._buffer = QBuffer(self._data)
        self._buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        self._writer = QPdfWriter(self._buffer)
        self._writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
        self._writer.setPageMargins(QMarginsF(0, 0, 0, 0))
        self._writer.setResolution(RESOLUTION)
        self._writer.setTitle(title)
        self._writer.setCreator("gradsim")
        page = QRectF(self._writer.pageLayout().fullRectPixels(DPI))
        self.width = page.width() - 2 * SIDE
        self._bottom, self._page = page.height() - BOTTOM, page
        self.painter = QPainter(self._writer)
        self.painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.number = 1
        self.y = TOP
        self._begin()

    def _begin(self) -> None:
        self.painter.resetTransform()
        self.painter.scale(RESOLUTION / DPI, RESOLUTION / DPI)

    @property
    def left(self) -> float:
        """How much of the page is left."""
        return self._bottom - self.y

    def break_page(self) -> None:
        """Another page, unless this one is still empty."""
        if self.y > TOP:
            self._foot()
            self._writer.newPage()
            self._begin()
            self.number += 1
            self.y = TOP

    def keep(self, height: float) -> None:
        """What follows needs so much in one piece."""
        if height > self.left:
            self.break_page()

    def space(self, height: float) -> None:
        """Nothing, unless the page begins."""
        if self.y > TOP:
            self.y += height

    def document(
        self,
        markdown: str,
        *,
        points: float = 10.5,
        bold: bool = False,
        plain: bool = False,
        width: float | None = None,
    ) -> QTextDocument:
        """A text, laid out; smaller where a line of code would not fit otherwise."""
        width = self.width if width is None else width
        made = self._document(markdown, points, bold, plain, width)
        while made.size().width() > width + 1 and points > SMALLEST:
            points -= 0.5
            made = self._document(markdown, points, bold, plain, width)
        return made

    @staticmethod
    def _document(markdown: str, points: float, bold: bool, plain: bool, width: float) -> QTextDocument:
        made = QTextDocument()
        # Widths of the letters as they are on paper, not rounded to the pixels of some screen.
        made.setUseDesignMetrics(True)
        made.setDocumentMargin(0)
        made.setDefaultFont(font(points, bold))
        if plain:
            made.setPlainText(markdown)
        else:
            made.setMarkdown(markdown, QTextDocument.MarkdownFeature.MarkdownDialectGitHub)
        made.setTextWidth(width)
        return made

    def text(
        self,
        markdown: str,
        *,
        points: float = 10.5,
        bold: bool = False,
        plain: bool = False,
        colour: str | None = None,
        indent: float = 0.0,
        after: float = 8.0,
        follow: float = 0.0,
    ) -> None:
        """Writes a text; it goes on on the next page where it has to.

        Args:
            follow: So much of what follows stays on its page, as under a heading.
        """
        made = self.document(markdown, points=points, bold=bold, plain=plain, width=self.width - indent)
        height = made.size().height()
        if height + follow > self.left and (follow or height < 120):
            self.break_page()
        context = QAbstractTextDocumentLayout.PaintContext()
        used = theme.qpalette(self.look)
        used.setColor(used.ColorRole.Text, QColor(colour or self.look.text))
        context.palette = used
        done = 0.0
        edges = _edges(made)
        while done < height - 0.5:
            end = max((edge for edge in edges if done < edge <= done + self.left), default=done + self.left)
            if height - done <= self.left:
                end = height
            elif end - done < 1:
                end = done + self.left
            self.painter.save()
            self.painter.translate(SIDE + indent, self.y - done)
            part = QRectF(-indent, done, self.width + indent, end - done)
            self.painter.setClipRect(part)
            context.clip = part
            made.documentLayout().draw(self.painter, context)
            self.painter.restore()
            self.y += end - done
            done = end
            if done < height - 0.5:
                self.break_page()
        self.y += after

    def draw(self, height: float, paint: Callable[[QPainter, QRectF], object], after: float = 8.0) -> None:
        """Has something of a height drawn, in one piece over the whole width."""
        self.keep(height)
        self.painter.save()
        area = QRectF(SIDE, self.y, self.width, height)
        self.painter.setFont(drawn(9.5))
        self.painter.setPen(QColor(self.look.text))
        paint(self.painter, area)
        self.painter.restore()
        self.y += height + after

    def _foot(self) -> None:
        painter = self.painter
        painter.save()
        painter.setFont(drawn(8.5))
        painter.setPen(QColor(self.look.muted))
        box = QRectF(SIDE, self._page.height() - BOTTOM + 22, self.width, 20)
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft, self.title)
        painter.drawText(box, Qt.AlignmentFlag.AlignRight, str(self.number))
        painter.restore()

    def finish(self) -> bytes:
        """The file's content."""
        self._foot()
        self.painter.end()
        self._buffer.close()
        return bytes(self._data.data())

    def abandon(self) -> None:
        """Nothing comes of it."""
        if self.painter.isActive():
            self.painter.end()


def font(points: float, bold: bool = False) -> QFont:
    """The font of the document."""
    with theme.worn("light"):
        made = theme.font(bold=bold)
    made.setPointSizeF(points)
    # A ligature is one sign: whoever searches the file for "fit" would not find it.
    made.setFeature(QFont.Tag("liga"), 0)
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return made


def drawn(points: float, bold: bool = False) -> QFont:
    """The same for what is drawn by the painter itself: a size in points would be one of the printer's own."""
    made = font(points, bold)
    made.setPixelSize(round(points * DPI / 72))
    return made


def _edges(document: QTextDocument) -> list[float]:
    """Where a text can be cut: below each of its lines."""
    layout = document.documentLayout()
    found = []
    block = document.begin()
    while block.isValid():
        top = layout.blockBoundingRect(block).top()
        lines = block.layout()
        for number in range(lines.lineCount()):
            line = lines.lineAt(number)
            found.append(top + line.y() + line.height())
        block = block.next()
    return found


def ruled(painter: QPainter, area: QRectF, lines: int) -> None:
    """Lines to write on."""
    painter.setPen(QPen(QColor(theme.LIGHT.muted), 0.6, Qt.PenStyle.DotLine))
    for number in range(lines):
        y = area.top() + (number + 1) * area.height() / lines - 3
        painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))


def wide(text: str, points: float = 9.5, bold: bool = False) -> float:
    """Width of a word."""
    return QFontMetricsF(drawn(points, bold)).horizontalAdvance(text)

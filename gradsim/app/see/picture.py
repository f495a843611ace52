"""Any view as a picture (clipboard, PNG, SVG) and its numbers as CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyqtgraph as pg
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QPoint, QRect, QSaveFile, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage, QImageWriter, QPainter, QPalette, QRegion
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QFileDialog, QInputDialog, QMenu, QMenuBar, QWidget

from gradsim.app import theme
from gradsim.i18n import tr

LARGEST = 16_384
"""Most pixels of a side."""

Row = Sequence[float | int | str]


@runtime_checkable
class Tabular(Protocol):
    """A view whose numbers can be written."""

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """Header and rows of what is shown."""
        ...


@contextlib.contextmanager
def _drawn_anew(widget: QWidget) -> Iterator[None]:
    """Items that keep themselves as pixels draw themselves instead, so that they are as sharp as the rest."""
    kept: list[tuple[Any, Any]] = []
    views = [widget, *widget.findChildren(pg.GraphicsView)]
    for view in views:
        if isinstance(view, pg.GraphicsView):
            for item in view.scene().items():
                if item.cacheMode() != item.CacheMode.NoCache:
                    kept.append((item, item.cacheMode()))
                    item.setCacheMode(item.CacheMode.NoCache)
    try:
        yield
    finally:
        for item, mode in kept:
            item.setCacheMode(mode)


def paint(widget: QWidget, painter: QPainter) -> None:
    """Draws the view where the painter stands, in the view's own pixels."""
    look = theme.current()
    painter.fillRect(QRect(QPoint(0, 0), widget.size()), QColor(look.window))
    with _drawn_anew(widget):
        # Not the view's own render: a graphics view has another one, of its scene.
        QWidget.render(widget, painter, QPoint(0, 0), QRegion(), QWidget.RenderFlag.DrawChildren)


def image(widget: QWidget, width: int | None = None, height: int | None = None) -> QImage:
    """The view as pixels, drawn anew at ``width`` pixels (its own by default); the proportions stay unless ``height``
    is given.

    Raises:
        ValueError: for a width that no picture can have.
    """
    own = widget.size()
    width = own.width() if width is None else width
    height = round(own.height() * width / max(1, own.width())) if height is None else height
    if not 0 < width <= LARGEST or not 0 < height <= LARGEST:
        raise ValueError(
            tr(
                "width: must give sides of 1 to {most} pixels (received {width} x {height})",
                most=LARGEST,
                width=width,
                height=height,
            )
        )
    made = QImage(QSize(width, height), QImage.Format.Format_RGB32)
    made.fill(QColor(theme.current().window))
    painter = QPainter(made)
    painter.scale(width / own.width(), height / own.height())
    paint(widget, painter)
    painter.end()
    return made


def svg(widget: QWidget, title: str = "", size: QSize | None = None) -> bytes:
    """The view as SVG: text and lines as such, cells as an embedded image; ``size`` is what the file says of itself."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(size or widget.size())
    generator.setViewBox(QRect(QPoint(0, 0), widget.size()))
    # Else text of so many points comes out in another proportion to the lines.
    generator.setResolution(widget.logicalDpiX())
    generator.setTitle(title or widget.accessibleName())
    painter = QPainter(generator)
    paint(widget, painter)
    _letter_menus(widget, painter)
    painter.end()
    buffer.close()
    return bytes(data.data())


def _letter_menus(widget: QWidget, painter: QPainter) -> None:
    """A menu bar fills what its menus leave free after them, within a clip that SVG does not have: them once more."""
    for bar in widget.findChildren(QMenuBar):
        if not bar.isVisibleTo(widget):
            continue
        painter.setFont(bar.font())
        painter.setPen(bar.palette().color(QPalette.ColorRole.WindowText))
        for action in bar.actions():
            place = bar.actionGeometry(action).translated(bar.mapTo(widget, QPoint(0, 0)))
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextShowMnemonic, action.text())


def table(header: Sequence[str], rows: Iterable[Row]) -> str:
    """CSV (RFC 4180); an empty field where there is no value."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(header)
    writer.writerows(map(_fields, rows))
    return stream.getvalue()


def _fields(row: Row) -> list[float | int | str]:
    return ["" if isinstance(value, float) and value != value else value for value in row]


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file whole or not at all; raises OSError."""
    file = QSaveFile(os.fspath(path))
    if not file.open(QIODevice.OpenModeFlag.WriteOnly) or file.write(data) != len(data) or not file.commit():
        raise OSError(tr("can't write {file}: {error}", file=path, error=file.errorString()))


def png(made: QImage) -> bytes:
    """An image as the content of a PNG file."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(made)
    buffer.close()
    return bytes(data.data())


def save_png(widget: QWidget, path: str | os.PathLike[str], width: int | None = None) -> None:
    """Saves the view as PNG; raises OSError or, for an impossible width, ValueError."""
    write(path, png(image(widget, width)))


def save_svg(widget: QWidget, path: str | os.PathLike[str]) -> None:
    """Saves the view as SVG; raises OSError."""
    write(path, svg(widget))


def save_csv(view: Tabular, path: str | os.PathLike[str]) -> None:
    """Saves what the view shows as numbers; raises OSError."""
    write(path, table(*view.export_columns()).encode())


def copy_picture(widget: QWidget) -> None:
    """Puts the view on the clipboard, in twice its size."""
    QGuiApplication.clipboard().setImage(image(widget, min(LARGEST, 2 * widget.width())))


def copy_table(view: Tabular) -> None:
    """Puts the numbers on the clipboard, as a spreadsheet takes them."""
    header, rows = view.export_columns()
    lines = ["\t".join(header), *("\t".join(map(str, _fields(row))) for row in rows)]
    QGuiApplication.clipboard().setText("\n".join(lines))


class PictureMenu(QMenu):
    """What can be done with a picture: copy, save as PNG or SVG, and its numbers.

    Args:
        view: The widget, and the numbers if it is :class:`Tabular`.
        failed: Called with a sentence if a file can't be written.
    """

    def __init__(self, view: QWidget, failed: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent or view)
        self.view, self._failed = view, failed
        self.setToolTipsVisible(True)
        name = view.accessibleName() or tr("picture")
        self.addAction(tr("Copy picture"), lambda: copy_picture(view)).setToolTip(
            tr("{name}: to the clipboard.", name=name)
        )
        self.addAction(tr("Save picture as PNG…"), self._png).setToolTip(tr("In a size that you choose."))
        self.addAction(tr("Save picture as SVG…"), self._svg).setToolTip(tr("Sharp at every size."))
        # Where the view stands in a window that makes pictures, in any size and theme.
        key: str = getattr(view, "picture_key", "")
        window: Any = view.window()
        if key and hasattr(window, "take_picture"):
            self.addAction(tr("Picture in any size and theme…"), lambda: window.take_picture(key)).setToolTip(
                tr("With its title, names, axes and scale on one sheet.")
            )
            self.addAction(tr("As a moving picture…"), lambda: window.make_film(key)).setToolTip(
                tr("The time line as GIF, WebP, APNG or video.")
            )
        if isinstance(view, Tabular):
            self.addSeparator()
            self.addAction(tr("Copy numbers"), lambda: copy_table(view)).setToolTip(tr("For a spreadsheet."))
            self.addAction(tr("Save numbers as CSV…"), self._csv).setToolTip(tr("What the picture shows, as a table."))

    def _ask(self, suffix: str, kind: str) -> str | None:
        name = (self.view.accessibleName() or tr("picture")).lower().replace(" ", "-")
        path, _ = QFileDialog.getSaveFileName(self.view, tr("Save"), f"{name}.{suffix}", f"{kind} (*.{suffix})")
        if not path:
            return None
        return path if Path(path).suffix else f"{path}.{suffix}"

    def _do(self, function: Any, *args: Any) -> None:
        try:
            function(*args)
        except (OSError, ValueError) as error:
            self._failed(str(error))

    def _png(self) -> None:
        own = self.view.width()
        width, chosen = QInputDialog.getInt(
            self.view, tr("Size of the picture"), tr("Width in pixels:"), 2 * own, 16, LARGEST
        )
        if chosen and (path := self._ask("png", tr("PNG picture"))):
            self._do(save_png, self.view, path, width)

    def _svg(self) -> None:
        if path := self._ask("svg", tr("SVG picture")):
            self._do(save_svg, self.view, path)

    def _csv(self) -> None:
        if path := self._ask("csv", tr("CSV table")):
            self._do(save_csv, self.view, path)


def offer_menu(view: QWidget, failed: Any) -> None:
    """Gives a view the menu on the right mouse button, or the menu key."""
    view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)

    def show(position: QPoint) -> None:
        menu = PictureMenu(view, failed)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(view.mapToGlobal(position))

    view.customContextMenuRequested.connect(show)

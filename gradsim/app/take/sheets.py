"""A view as it goes on a sheet of its own: a title, the picture, and the scale that its colours are on.

One definition per view; the dialogs, the animation and ``gradsim render`` follow from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPaintEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.see import data_view, inside, picture, words
from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.clipping import Clipping
from gradsim.app.see.colour_bar import Bar, Marks
from gradsim.app.see.curves import Curves
from gradsim.app.see.data_view import DataView
from gradsim.app.see.directions import Directions
from gradsim.app.see.heatmap import Heatmap
from gradsim.app.see.inside import Inside
from gradsim.app.see.plots import LEFT, gutter
from gradsim.app.see.profile import Profile
from gradsim.app.see.rows import RowLayout, RowSpace
from gradsim.app.take.exhibit import Exhibit, Question
from gradsim.exchange import drawing
from gradsim.i18n import mark, tr
from gradsim.telemetry.quantities import quantity

UNIT = 1000
"""Pixels of width that text of the usual size suits; a wider picture has everything larger."""
SMALLEST = 120
"""Least pixels of a side."""


@dataclasses.dataclass(frozen=True)
class View:
    """One thing to make a picture of.

    Attributes:
        key: As the command line names it.
        title: What a list calls it.
        build: Makes its widget.
        size: Pixels that suit it.
        scale: Whether its colours are those of the quantity, so that the scale goes with it.
        question: What has to be asked of the training for it, and what takes the answer; None: the record says all.
        moves: Whether it is another picture at another step.
        lead: Its line below the title; "" leaves the quantity and the step.
        titled: False for a picture that has a title of its own.
    """

    key: str
    title: str
    build: Callable[[Exhibit], QWidget]
    size: tuple[int, int] = (1600, 900)
    scale: bool = False
    question: Callable[[Any], tuple[Question, Callable[[Any, int], object]] | None] | None = None
    moves: bool = True
    lead: str = ""
    titled: bool = True


class Overview(QWidget):
    """Heatmap and profile side by side, the curves below on the same steps."""

    def __init__(self, exhibit: Exhibit) -> None:
        super().__init__()
        session: Any = exhibit
        axis = TimeAxis(session, self)
        self.space = RowSpace(self)
        self.heatmap, self.profile = Heatmap(session, axis, self.space), Profile(session, self.space)
        self.curves = _plain_curves(exhibit, axis)
        above, below = QHBoxLayout(), QHBoxLayout()
        rows: tuple[tuple[QHBoxLayout, tuple[QWidget, QWidget]], ...] = (
            (above, (self.heatmap, self.profile)),
            (below, (self.curves, QWidget())),
        )
        for row, parts in rows:
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(theme.px(6))
            for number, part in enumerate(parts):
                part.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
                row.addWidget(part, 1 if number else 3)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addLayout(above, 3)
        whole.addWidget(Scale(exhibit))
        whole.addLayout(below, 2)

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The numbers of the heatmap."""
        return self.heatmap.export_columns()


class Scale(QWidget):
    """The colour scale, its marks, and the sentence that says what the colours mean."""

    def __init__(self, exhibit: Exhibit, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        session: Any = exhibit
        key = exhibit.state.quantity
        row = QHBoxLayout()
        row.setSpacing(theme.px(12))
        row.addWidget(Bar(session, self), 1)
        row.addWidget(Marks(self))
        said = QLabel(quantity(key).sentence(exhibit.state.thresholds(key)), self)
        said.setWordWrap(True)
        said.setFont(theme.font("small"))
        said.setContentsMargins(theme.px(14), 0, 0, 0)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(gutter(LEFT) - theme.px(14), theme.px(2), theme.px(8), theme.px(2))
        whole.setSpacing(theme.px(2))
        whole.addLayout(row)
        whole.addWidget(said)


class Drawing(QWidget):
    """The stack as its drawing, on paper of its own."""

    def __init__(self, exhibit: Exhibit) -> None:
        super().__init__()
        self.exhibit = exhibit
        self.renderer = QSvgRenderer(drawing.export(exhibit.experiment).encode(), self)

    def sizeHint(self) -> QSize:
        return self.renderer.defaultSize()

    def paintEvent(self, event: QPaintEvent) -> None:
        size = self.renderer.defaultSize().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        left, top = (self.width() - size.width()) / 2, (self.height() - size.height()) / 2
        self.renderer.render(QPainter(self), QRectF(left, top, size.width(), size.height()))

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The layers of the expanded stack: a line each."""
        rows: list[list[float | int | str]] = [
            [layer.name, layer.type, layer.label, " x ".join(map(str, layer.shape)), layer.parameters, layer.path]
            for layer in self.exhibit.rows()
        ]
        return ["layer", "type", "description", "output", "parameters", "path"], rows


def _heatmap(exhibit: Exhibit) -> QWidget:
    session: Any = exhibit
    made = Heatmap(session, TimeAxis(session, exhibit), RowSpace(exhibit))
    return made


class _Names(QWidget):
    """Names of the rows, level with those of a plot."""

    def __init__(self, plot: Profile, parent: QWidget) -> None:
        super().__init__(parent)
        self.plot = plot
        self.setFixedWidth(gutter(LEFT) + theme.px(20))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(theme.current().muted))
        metrics = QFontMetricsF(painter.font())
        top, room = self.plot.area().top(), self.plot.room()
        free = -1e9
        layers = self.plot.session.rows()
        for row, y in sorted(enumerate(self.plot.rows.centres(len(layers))), key=lambda pair: float(pair[1])):
            if y - metrics.height() / 2 < free or y > room:
                continue
            free = y + metrics.height() / 2
            box = QRectF(0, top + y - metrics.height() / 2, self.width() - theme.px(6), metrics.height())
            name = metrics.elidedText(layers[row].name, Qt.TextElideMode.ElideMiddle, box.width())
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, name)


class _Named(QWidget):
    """A view with the names of its rows on its left."""

    def __init__(self, view: QWidget, plot: Profile) -> None:
        super().__init__()
        self.view = view
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(_Names(plot, self))
        row.addWidget(view, 1)

    def export_columns(self) -> tuple[list[str], list[list[float | int | str]]]:
        """The numbers of the view."""
        assert isinstance(self.view, picture.Tabular)
        return self.view.export_columns()


def _profile(exhibit: Exhibit) -> QWidget:
    session: Any = exhibit
    plot = Profile(session, RowSpace(exhibit))
    return _Named(plot, plot)


def _plain_curves(exhibit: Exhibit, axis: TimeAxis | None = None) -> Curves:
    """The curves; with the steps below them where no heatmap above them has the same."""
    session: Any = exhibit
    made = Curves(session, axis or TimeAxis(session, exhibit), bottom=axis is None)
    made.log_button.hide()
    look = theme.current()
    for key, button in made.buttons.items():
        # The name of the curve in its colour; on paper there is nothing to press.
        button.setStyleSheet(
            f"QToolButton {{ color: {look.curve(key).name()}; font-weight: bold; border: none; background: none; }}"
        )
    return made


def _like(exhibit: Exhibit) -> RowSpace:
    """Tells plots that lay out their rows themselves which end is up."""
    space = RowSpace(exhibit)
    space.set_layout(RowLayout.even(len(exhibit.rows()), 100.0, upwards=exhibit.upwards))
    return space


def _directions(exhibit: Exhibit) -> QWidget:
    session: Any = exhibit
    both = Directions(session, _like(exhibit))
    return _Named(both, both.forward)


def _clipping(exhibit: Exhibit) -> QWidget:
    session: Any = exhibit
    return Clipping(session, _like(exhibit))


def _inside(exhibit: Exhibit) -> QWidget:
    session: Any = exhibit
    made = Inside(session)
    made._selected()
    made.up.hide()
    made.down.hide()
    return made


def _ask_inside(view: Inside) -> tuple[Question, Callable[[Any, int], object]] | None:
    return None if view.row is None else (inside.look(view.row), view._answered)


def _data(exhibit: Exhibit) -> QWidget:
    session: Any = exhibit
    return DataView(session)


def _ask_data(view: DataView) -> tuple[Question, Callable[[Any, int], object]] | None:
    return data_view.look, view._answered


VIEWS: Mapping[str, View] = {
    view.key: view
    for view in (
        View("heatmap", mark("Heatmap with scale"), _heatmap, scale=True),
        View("overview", mark("Heatmap, profile and curves"), Overview),
        View("profile", mark("Profile by layer"), _profile, (900, 1000), scale=True),
        View("curves", mark("Curves"), _plain_curves, lead=mark("Loss, accuracy and gradient norm by step")),
        View("directions", mark("Both ways"), _directions, (1200, 900), lead=mark("Forward and backward signal")),
        View("clipping", mark("Clipping"), _clipping, (1000, 1000), lead=mark("Gradients raw, clipped and applied")),
        View(
            "inside", mark("Inside the layer"), _inside, (900, 1200), question=_ask_inside,
            lead=mark("Inside the layer"),
        ),
        View("data", mark("Predictions on the data"), _data, (1000, 900), question=_ask_data,
             lead=mark("Predictions on the data")),
        View("stack", mark("The stack as a drawing"), Drawing, (900, 1200), moves=False, titled=False),
    )
}  # fmt: skip


class Sheet(QWidget):
    """A view on a sheet, made in one theme and size and never on the screen.

    Args:
        exhibit: What is shown; its experiment gives the title.
        view: Which view of it.
        width: Pixels of the picture.
        height: Pixels of the picture.
        look: The theme; None is the one in use.

    Raises:
        ValueError: for a size that no picture can have.
    """

    def __init__(self, exhibit: Exhibit, view: View, width: int, height: int, look: theme.Choice | None = None) -> None:
        if not (SMALLEST <= width <= picture.LARGEST and SMALLEST <= height <= picture.LARGEST):
            raise ValueError(
                tr(
                    "size: each side must be {smallest} to {largest} pixels (received {width} x {height})",
                    smallest=SMALLEST, largest=picture.LARGEST, width=width, height=height,
                )
            )  # fmt: skip
        super().__init__()
        self.exhibit, self.view, self.look = exhibit, view, look
        self.size_in_pixels = QSize(width, height)
        self.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        with theme.worn(look) as used:
            self.setPalette(theme.qpalette(used))
            self.setFont(theme.font())
            self.setStyleSheet(theme.style_sheet(used) + f"QWidget {{ color: {used.text}; }}")
            self.body = view.build(exhibit)
            self.body.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
            self.title, self.lead = QLabel(self), QLabel(self)
            whole = QVBoxLayout(self)
            margin = theme.px(12)
            whole.setContentsMargins(margin, margin, margin, margin)
            whole.setSpacing(theme.px(4))
            for label, font in ((self.title, theme.font("title", bold=True)), (self.lead, theme.font())):
                label.setFont(font)
                label.setTextFormat(Qt.TextFormat.PlainText)
                label.setWordWrap(True)
                label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
                whole.addWidget(label)
            self.title.setText(tr(exhibit.experiment.name))
            self.title.setVisible(view.titled and bool(exhibit.experiment.name))
            self.lead.setVisible(view.titled)
            whole.addWidget(self.body, 1)
            if view.scale:
                whole.addWidget(Scale(exhibit))
            scale = max(1.0, width / UNIT)
            self.resize(round(width / scale), round(height / scale))
            self.show()
            self.arrange()

    def arrange(self) -> None:
        """Has everything lie where it belongs; within the theme of the sheet."""
        for _ in range(2):
            QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
            self._lay_rows()
        self._write()

    def _lay_rows(self) -> None:
        for plot in (self.body, *self.body.findChildren(QWidget)):
            if isinstance(plot, Heatmap) or (isinstance(plot, Profile) and plot.like is plot.space):
                rows = len(self.exhibit.rows())
                plot.space.set_layout(RowLayout.even(rows, plot.room(), upwards=self.exhibit.upwards))

    def _write(self) -> None:
        if self.view.lead:
            text = tr(self.view.lead)
        else:
            text = tr(quantity(self.exhibit.state.quantity).title)
        if self.view.moves:
            text = tr("{what}, step {step}", what=text, step=words.steps(self.exhibit.step))
        self.lead.setText(text)

    @property
    def question(self) -> tuple[Question, Callable[[Any, int], object]] | None:
        """What has to be asked of the training first, and what takes the answer and its step."""
        return None if self.view.question is None else self.view.question(self.body)

    def answered(self, answer: Any, step: int) -> None:
        """Takes the answer to the question."""
        asked = self.question
        if asked is not None:
            with theme.worn(self.look):
                asked[1](answer, step)

    def image(self) -> QImage:
        """As pixels."""
        with theme.worn(self.look):
            self.arrange()
            return picture.image(self, self.size_in_pixels.width(), self.size_in_pixels.height())

    def png(self) -> bytes:
        """As the content of a PNG file."""
        return picture.png(self.image())

    def svg(self) -> bytes:
        """As the content of an SVG file."""
        with theme.worn(self.look):
            self.arrange()
            return picture.svg(self, tr(self.exhibit.experiment.name), self.size_in_pixels)

    def paint(self, painter: QPainter) -> None:
        """Where the painter stands, in the pixels of the sheet's own size."""
        with theme.worn(self.look):
            self.arrange()
            picture.paint(self, painter)

    @property
    def table(self) -> picture.Tabular | None:
        """Its numbers, where it has some."""
        return self.body if isinstance(self.body, picture.Tabular) else None

    def show_step(self, step: int) -> None:
        """Shows the record as it was behind a step."""
        with theme.worn(self.look):
            self.exhibit.show_until(step)
            self._write()

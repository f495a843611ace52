"""A lesson as a handout: what is read and asked, with room to answer; then what was measured, with its pictures."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from PySide6.QtCore import QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPen

from gradsim.app import theme
from gradsim.app.lessons.board import Board
from gradsim.app.see import picture
from gradsim.app.take.exhibit import Exhibit
from gradsim.app.take.pages import SIDE, Pages, ruled, wide
from gradsim.app.take.sheets import VIEWS, Scale, Sheet
from gradsim.i18n import tr
from gradsim.lessons import Checked, ChooseOne, ColourLayers, Estimate, Lesson, Outcome, Step, StepText
from gradsim.lessons.numbers import number
from gradsim.model import file
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.model.stack import Stack
from gradsim.telemetry.classes import MARKS
from gradsim.telemetry.playback import Playback
from gradsim.telemetry.recording import Recording

ROW = 17.0
"""Height of a layer to be coloured."""
MOST_ROWS = 30
"""Layers in one column of them."""


def to_play(lesson: Lesson) -> tuple[Step, ...]:
    """The steps that something can be measured of."""
    return tuple(step for step in lesson.steps if step.runs or step.surface is not None or step.claims)


def compose(lesson: Lesson, played: Mapping[str, Checked], *, teacher: bool = False) -> Iterator[Pages]:
    """Makes the handout piece by piece: gives the same pages after every piece, to be finished after the last.

    Args:
        played: The steps that were played, by their keys.
        teacher: With the teacher's notes.
    """
    texts = lesson.texts()
    pages = Pages(texts.title)
    pages.text(texts.title, points=20, bold=True, plain=True, after=4)
    pages.text(texts.summary, after=14)
    if teacher and texts.teacher:
        _note(pages, texts.teacher)
    for place, step in enumerate(lesson.steps, 1):
        text = texts.steps[step.key]
        _heading(pages, place, text)
        pages.text(text.text)
        if text.watch:
            _part(pages, tr("What to look at"), text.watch)
        if text.question:
            pages.keep(min(_room_height(step, text) + 60, 640))
            _part(pages, tr("Before the run"), text.question)
            _room(pages, step, text)
        if teacher and text.teacher:
            _note(pages, text.teacher)
        yield pages
    results = [step for step in lesson.steps if step.key in played or step.functions is not None]
    if results:
        pages.break_page()
        pages.text(tr("What was measured"), points=16, bold=True, plain=True, after=2)
        pages.text(tr("All numbers and pictures come from the machine that made this handout."),
                   points=9.5, colour=pages.look.muted, plain=True, after=12)  # fmt: skip
    for place, step in enumerate(lesson.steps, 1):
        if step not in results:
            continue
        text, checked = texts.steps[step.key], played.get(step.key)
        _heading(pages, place, text)
        if checked is not None and text.measured:
            pages.text(text.measured.filled(checked))
        for _ in _pictures(pages, step, text, checked):
            yield pages
        if checked is not None and checked.verdicts:
            _verdicts(pages, checked)
        for title, words in ((tr("Try yourself"), text.try_it), (tr("In Keras"), text.keras)):
            if words:
                _part(pages, title, words)
        yield pages


def _heading(pages: Pages, place: int, text: StepText) -> None:
    pages.space(12)
    pages.text(f"{place}. {text.title}", points=13.5, bold=True, plain=True, after=5, follow=70)


def _part(pages: Pages, title: str, words: str) -> None:
    pages.text(title, points=10.5, bold=True, plain=True, colour=pages.look.accent, after=2, follow=36)
    pages.text(words)


def _note(pages: Pages, words: str) -> None:
    pages.text(tr("For the teacher"), points=9.5, bold=True, plain=True, colour=pages.look.unwise, after=2, follow=30)
    pages.text(words, points=9.5, indent=10)


# Room to answer


def _room(pages: Pages, step: Step, text: StepText) -> None:
    question = step.question
    if isinstance(question, ColourLayers):
        stack = step.runs[question.run].resolved.stack()
        _layers_to_colour(pages, question, stack)
    elif isinstance(question, ChooseOne):
        for words in text.choices.values():
            _choice(pages, words)
    elif isinstance(question, Estimate):
        pages.draw(58, lambda painter, area: _scale(painter, area, question.low, question.high))
    pages.draw(24, lambda painter, area: painter.drawText(area, Qt.AlignmentFlag.AlignLeft, tr("Why?")), after=-18)
    pages.draw(60, lambda painter, area: ruled(painter, area, 2), after=10)


def _room_height(step: Step, text: StepText) -> float:
    """About how much the answer takes, so that it stands below its question."""
    question, below = step.question, 90.0
    if isinstance(question, ColourLayers):
        stack = step.runs[question.run].resolved.stack()
        names = question.names(
            [one.name for one in stack.layers], [one.main_weight is not None for one in stack.layers]
        )
        return below + ROW * min(len(names), MOST_ROWS)
    return below + (24.0 * len(text.choices) if text.choices else 58.0)


def _layers_to_colour(pages: Pages, question: ColourLayers, stack: Stack) -> None:
    weighty = [placed.main_weight is not None for placed in stack.layers]
    # As in the window: the output on top.
    names = question.names([placed.name for placed in stack.layers], weighty)[::-1]
    columns = max(1, -(-len(names) // MOST_ROWS))
    rows = -(-len(names) // columns)
    offered = [(MARKS[state].glyph, tr(state.value)) for state in question.offered]

    def paint(painter: QPainter, area: QRectF) -> None:
        each = area.width() / columns
        label = min(120.0, max(wide(name) for name in names) + 12)
        for place, name in enumerate(names):
            x = area.left() + (place // rows) * each
            y = area.top() + (place % rows) * ROW
            painter.setPen(QColor(pages.look.text))
            box = QRectF(x, y, label - 8, ROW)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, name)
            painter.setPen(QPen(QColor(pages.look.muted), 0.7))
            painter.drawRect(QRectF(x + label, y, min(90.0, each * 0.3), ROW))
            at = x + label + min(90.0, each * 0.3) + 10
            if columns > 1:
                continue
            for glyph, words in offered:
                painter.setPen(QPen(QColor(pages.look.muted), 0.7))
                painter.drawRect(QRectF(at, y + ROW / 2 - 4.5, 9, 9))
                painter.setPen(QColor(pages.look.text))
                box = QRectF(at + 14, y, wide(f"{glyph} {words}") + 6, ROW)
                painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, f"{glyph} {words}")
                at += box.width() + 28

    pages.draw(rows * ROW + 2, paint)


def _choice(pages: Pages, words: str) -> None:
    made = pages.document(words, width=pages.width - 26)
    height = made.size().height()
    pages.keep(height)
    pages.painter.save()
    pages.painter.setPen(QPen(QColor(pages.look.muted), 0.8))
    pages.painter.drawRect(QRectF(SIDE + 4, pages.y + 2, 11, 11))
    pages.painter.restore()
    pages.text(words, indent=26, after=6)


def _scale(painter: QPainter, area: QRectF, low: float, high: float) -> None:
    """A line from ``low`` to ``high`` by powers of ten, to be marked."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    each = max(1, -(-(last - first) // 10))
    y, left, width = area.top() + 20, area.left() + 24, area.width() - 48
    painter.setPen(QPen(QColor(theme.LIGHT.text), 1.0))
    painter.drawLine(QPointF(left, y), QPointF(left + width, y))
    for power in range(first, last + 1):
        x = left + (power - first) / max(1, last - first) * width
        labelled = (power - first) % each == 0
        painter.drawLine(QPointF(x, y - (6 if labelled else 3)), QPointF(x, y + (6 if labelled else 3)))
        if labelled:
            box = QRectF(x - 40, y + 9, 80, 18)
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, number(10.0**power))


# What was measured


class _Shown(QObject):
    """What a board reads of a lecture: one step, drawn to its end."""

    changed = Signal()
    moved = Signal()

    def __init__(self, step: Step, outcome: Outcome | None) -> None:
        super().__init__()
        self.step, self.outcome, self.part = step, outcome, 1.0


def _pictures(pages: Pages, step: Step, text: StepText, checked: Checked | None) -> Iterator[None]:
    if step.surface is not None or step.functions is not None:
        shown = _Shown(step, None if checked is None else checked.outcome)
        height = 440.0 if step.surface is not None else 520.0

        def paint(painter: QPainter, area: QRectF) -> None:
            with theme.worn("light"):
                board: Any = Board(shown)  # type: ignore[arg-type]
                board.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
                board.resize(round(area.width()), round(area.height()))
                painter.translate(area.topLeft())
                picture.paint(board, painter)
                board.deleteLater()

        pages.draw(height, paint)
        yield None
    recordings = () if checked is None else checked.outcome.recordings
    for key in _views(step):
        several = len(recordings) > 1
        scaled = False
        for start in range(0, len(recordings), 2):
            pair = list(range(start, min(start + 2, len(recordings))))
            gap = 14.0
            each = (pages.width - gap) / 2 if several else pages.width
            # A sheet is made somewhat larger than it is printed: text as small as in a book's figures.
            wanted = each * (1.35 if several else 1.15)
            height = wanted * (0.72 if several else 0.5 if key != "curves" else 0.42)
            sheets = [_sheet(step, text, recordings[run], run, key, round(wanted), round(height)) for run in pair]
            scaled = scaled or (sheets[0].view.key == "heatmap" and several)
            row = functools.partial(_row, sheets=sheets, each=each, gap=gap)
            pages.draw(each * height / wanted, row)
            for sheet in sheets:
                sheet.exhibit.deleteLater()
                sheet.deleteLater()
            yield None
        if scaled:
            pages.draw(62, functools.partial(_paint_scale, recording=recordings[0], quantity=step.view.quantity))


def _views(step: Step) -> list[str]:
    """Which pictures a step has: the heatmap, what it looks at, and the page that it opens."""
    wanted = ["heatmap", step.view.focus, step.view.page]
    # A page that looks into the network itself has nothing to look at in a record.
    return [key for key in dict.fromkeys(wanted) if key in VIEWS and VIEWS[key].question is None]


def _sheet(step: Step, text: StepText, recording: Recording, run: int, key: str, width: int, height: int) -> Sheet:
    name = text.runs[run] if run < len(text.runs) else text.title
    exhibit = Exhibit(_named(recording, name), Playback(recording))
    view = step.view
    exhibit.state.set_quantity(view.quantity)
    if view.zoom is not None:
        exhibit.state.set_range((float(view.zoom[0]), float(view.zoom[1])))
    if view.cursor is not None and view.cursor < recording.stop - 1:
        exhibit.state.set_cursor(view.cursor)
    if run == view.run:
        chosen = {layer.name for layer in recording.layers} & set(view.select)
        exhibit.state.select(
            exhibit.row_uids[row] for row, layer in enumerate(recording.layers) if layer.name in chosen
        )
    view_of = VIEWS[key]
    if len(step.runs) > 1:
        # Two beside each other have one scale below.
        view_of = dataclasses.replace(view_of, scale=False)
    return Sheet(exhibit, view_of, width, height, "light")


def _paint_scale(painter: QPainter, area: QRectF, *, recording: Recording, quantity: str) -> None:
    with theme.worn("light") as look:
        exhibit = Exhibit(Experiment(), Playback(recording))
        exhibit.state.set_quantity(quantity)
        scale = Scale(exhibit)
        scale.setPalette(theme.qpalette(look))
        scale.setStyleSheet(f"color: {look.text};")
        scale.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        scale.resize(round(area.width()), round(area.height()))
        scale.show()
        painter.translate(area.topLeft())
        picture.paint(scale, painter)
        scale.deleteLater()
        exhibit.deleteLater()


def _named(recording: Recording, name: str) -> Experiment:
    content = {key: value for key, value in (recording.experiment or {}).items() if key != "gradsim"}
    try:
        return file.experiment_from({**content, "name": name[:200]})
    except FaultsError:
        # It is the title and the loss that the picture takes from it.
        return Experiment(name=name)


def _row(painter: QPainter, area: QRectF, *, sheets: list[Sheet], each: float, gap: float) -> None:
    for place, sheet in enumerate(sheets):
        _paint(painter, QPointF(area.left() + place * (each + gap), area.top()), each, sheet)


def _paint(painter: QPainter, place: QPointF, width: float, sheet: Sheet) -> None:
    painter.save()
    painter.translate(place)
    painter.scale(width / sheet.width(), width / sheet.width())
    sheet.paint(painter)
    painter.restore()


def _verdicts(pages: Pages, checked: Checked) -> None:
    title = tr("What this machine measured") if checked.holds else tr("Not all is as the text says")
    pages.text(title, bold=True, plain=True, colour=pages.look.accent, after=2, follow=30)
    for verdict in checked.verdicts:
        colour = None if verdict.holds else pages.look.impossible
        sign = "✓" if verdict.holds else "✗"
        pages.text(f"{sign}  {verdict.sentence}", points=9.5, plain=True, colour=colour, indent=8, after=2)
    pages.y += 8

"""The lesson beside the pictures: its text, what to watch, the prediction, the run, and what was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gradsim.app import theme
from gradsim.app.lessons.lecture import Lecture, Phase
from gradsim.app.lessons.predictions import Choosing, Colouring, prediction
from gradsim.app.lessons.small import SmallCurves, SmallHeatmap
from gradsim.app.see.plots import pen
from gradsim.i18n import tr


class Steps(QWidget):
    """A mark for each step: those done are filled, a click goes there."""

    chosen = Signal(int)

    def __init__(self, lecture: Lecture, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lecture = lecture
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(tr("The steps of this lesson. Click one to go there."))
        self.setAccessibleName(tr("Steps of the lesson"))

    def sizeHint(self) -> QSize:
        return QSize(theme.px(120), theme.px(14))

    def _areas(self) -> list[QRectF]:
        lesson = self.lecture.lesson
        count = len(lesson.steps) if lesson is not None else 0
        gap = theme.px(4)
        each = (self.width() - gap * (count - 1)) / max(1, count)
        tall = theme.px(8)
        return [QRectF(n * (each + gap), (self.height() - tall) / 2, each, tall) for n in range(count)]

    def paintEvent(self, event: QPaintEvent) -> None:
        look, painter = theme.current(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, area in enumerate(self._areas()):
            here = number == self.lecture.index
            done = self.lecture.taken_of(number).checked is not None
            painter.setPen(pen(look.text if here else look.line, 2 if here else 1))
            painter.setBrush(QColor(look.accent if done else look.selection if here else look.surface))
            painter.drawRoundedRect(area.adjusted(1, 1, -1, -1), theme.px(3), theme.px(3))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        for number, area in enumerate(self._areas()):
            if area.left() <= event.position().x() <= area.right():
                self.chosen.emit(number)


class Words(QLabel):
    """Markdown that wraps, in one of the window's sizes."""

    def __init__(self, size: theme.Size = "normal", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._size: theme.Size = size
        self.setTextFormat(Qt.TextFormat.MarkdownText)
        self.setWordWrap(True)
        self.setOpenExternalLinks(False)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.dress()

    def dress(self, size: theme.Size | None = None) -> None:
        """Takes its font from the theme."""
        self._size = size or self._size
        self.setFont(theme.font(self._size))

    def say(self, text: str) -> None:
        """Shows a text, or nothing."""
        self.setText(text)
        self.setVisible(bool(text))


class Box(QWidget):
    """A part of the lesson with a heading and a line of colour beside it."""

    def __init__(self, title: str, colour: Callable[[], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colour = colour
        self.title = QLabel(title, self)
        self.title.setWordWrap(True)
        self.inside = QVBoxLayout(self)
        self.inside.addWidget(self.title)
        self.dress()

    def dress(self) -> None:
        """Takes font and distances from the theme."""
        self.title.setFont(theme.font("normal", bold=True))
        self.title.setVisible(bool(self.title.text()))
        self.inside.setContentsMargins(theme.px(14), theme.px(7), theme.px(8), theme.px(8))
        self.inside.setSpacing(theme.px(6))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.current().surface))
        painter.fillRect(0, 0, theme.px(4), self.height(), QColor(self._colour()))


class LessonPanel(QWidget):
    """The open lesson.

    Args:
        lecture: Where one stands in it.
        describe_keys: The keys of a verb, for the buttons.
    """

    left = Signal()
    """The lesson shall be left."""

    def __init__(self, lecture: Lecture, describe_keys: Callable[[str], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lecture, self._keys = lecture, describe_keys
        self._presenting = False
        self._shown: Any = None
        self._wide = 0
        self.setAccessibleName(tr("Lesson"))
        self.name = QLabel(self)
        self.name.setWordWrap(True)
        self.name.setTextFormat(Qt.TextFormat.PlainText)
        self.leave = QToolButton(self)
        self.leave.setText("✕")
        self.leave.setAccessibleName(tr("Leave the lesson"))
        self.leave.setToolTip(
            tr("Back to your own experiment. The lesson stays where it is; “Go on with the lesson” opens it again.")
        )
        self.leave.clicked.connect(self.left)
        self.steps = Steps(lecture, self)
        self.steps.chosen.connect(lecture.go)
        self.head = QWidget(self)
        above = QHBoxLayout(self.head)
        above.setContentsMargins(0, 0, 0, 0)
        above.addWidget(self.name, 1)
        above.addWidget(self.leave)

        inside = QWidget(self)
        self._inside = QVBoxLayout(inside)
        self.reading = QScrollArea(self)
        self.reading.setWidgetResizable(True)
        self.reading.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.reading.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.reading.setWidget(inside)

        look = theme.current
        self.title = QLabel(self)
        self.title.setWordWrap(True)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.text = Words("normal", self)
        self.watch_box = Box(tr("Watch"), lambda: look().accent, self)
        self.watch = Words("normal", self.watch_box)
        self.watch_box.inside.addWidget(self.watch)
        self.question_box = Box(tr("Your prediction"), lambda: look().unwise, self)
        self.question = Words("normal", self.question_box)
        self.question_box.inside.addWidget(self.question)
        self.prediction: Any = None
        self.score = QLabel(self.question_box)
        self.score.setWordWrap(True)
        self.question_box.inside.addWidget(self.score)
        self.result_box = Box(tr("Measured on this machine"), lambda: look().good, self)
        self.measured = Words("normal", self.result_box)
        self.warnings = QLabel(self.result_box)
        self.warnings.setWordWrap(True)
        self.warnings.setTextFormat(Qt.TextFormat.PlainText)
        self.pictures = QWidget(self.result_box)
        self._pictures = QVBoxLayout(self.pictures)
        self._pictures.setContentsMargins(0, 0, 0, 0)
        self.numbers_button = self._fold(tr("All numbers"), tr("Show each measured number, and what the text says"))
        self.numbers = QLabel(self.result_box)
        self.numbers.setWordWrap(True)
        self.numbers.setTextFormat(Qt.TextFormat.PlainText)
        self.numbers.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.numbers_button.toggled.connect(self.numbers.setVisible)
        for widget in (self.warnings, self.measured, self.pictures, self.numbers_button, self.numbers):
            self.result_box.inside.addWidget(widget)
        self.try_box = Box(tr("Try yourself"), lambda: look().note, self)
        self.try_it = Words("normal", self.try_box)
        self.edited = QToolButton(self.try_box)
        self.edited.setText(tr("The lesson's own version"))
        self.edited.setToolTip(tr("Put the experiment of this step back as the lesson has it, without your changes."))
        self.edited.setAccessibleName(self.edited.text())
        self.edited.clicked.connect(lecture.own_version)
        self.try_box.inside.addWidget(self.try_it)
        self.try_box.inside.addWidget(self.edited)
        self.keras_box = Box("", lambda: look().line, self)
        self.keras_button = self._fold(tr("In Keras"), tr("Show the same in Keras"))
        self.keras = Words("small", self.keras_box)
        self.keras_button.toggled.connect(self.keras.setVisible)
        self.keras_box.inside.addWidget(self.keras_button)
        self.keras_box.inside.addWidget(self.keras)
        self.again = QToolButton(self)
        self.again.setText(tr("Begin this step anew"))
        self.again.setAccessibleName(self.again.text())
        self.again.setToolTip(tr("Forget the prediction and the result of this step."))
        self.again.clicked.connect(lecture.again)
        self.boxes = (self.watch_box, self.question_box, self.result_box, self.try_box, self.keras_box)
        for widget in (self.title, self.text, *self.boxes):
            self._inside.addWidget(widget)
        self._inside.addWidget(self.again, 0, Qt.AlignmentFlag.AlignLeft)
        self._inside.addStretch(1)

        self.message = QLabel(self)
        self.message.setWordWrap(True)
        self.message.setTextFormat(Qt.TextFormat.PlainText)
        self.back, self.next = QPushButton(self), QPushButton(self)
        self.back.clicked.connect(lecture.back)
        self.next.clicked.connect(lecture.forward)
        self.next.setAutoDefault(False)
        self.foot = QWidget(self)
        below = QHBoxLayout(self.foot)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.back)
        below.addWidget(self.next, 1)
        self._whole = whole = QVBoxLayout(self)
        for widget, stretch in (
            (self.head, 0),
            (self.steps, 0),
            (self.reading, 1),
            (self.message, 0),
            (self.foot, 0),
        ):
            whole.addWidget(widget, stretch)
        lecture.changed.connect(self.renew)
        lecture.session.document_changed.connect(lambda _: self._renew_edited())
        theme.changed.connect(self._dress)
        self._dress()

    def _fold(self, text: str, tooltip: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(f"▸ {text}")
        button.setCheckable(True)
        button.setAccessibleName(text)
        button.setToolTip(tooltip)
        button.toggled.connect(lambda on: button.setText(f"{'▾' if on else '▸'} {text}"))
        return button

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(240), theme.px(200))

    def set_presenting(self, on: bool) -> None:
        """Shows the audience the question and the result only; the rest is said."""
        self._presenting = on
        self.renew()

    @property
    def wanted_by_audience(self) -> bool:
        """Whether the step's phase has something for the audience to read."""
        step = self.lecture.step
        if step is None:
            return False
        match self.lecture.phase:
            case Phase.QUESTION:
                return True
            case Phase.RESULT:
                return step.question is not None or self._tells
        return False

    @property
    def _tells(self) -> bool:
        """Whether there is a result to read."""
        step, text, checked = self.lecture.step, self.lecture.text, self.lecture.taken.checked
        if step is None or text is None or checked is None:
            return False
        return bool(text.measured) or bool(checked.verdicts) or len(checked.outcome.recordings) > 1

    def read_on(self, down: bool) -> bool:
        """While presenting, shows the next screenful of what is measured (or the last one); False if that was all."""
        bar = self.reading.verticalScrollBar()
        before = bar.value()
        if self._presenting and self.lecture.phase is Phase.RESULT:
            bar.setValue(before + (1 if down else -1) * self.reading.viewport().height() * 85 // 100)
        return bar.value() != before

    # Contents

    def renew(self) -> None:
        """Writes what the lesson says now."""
        lecture = self.lecture
        lesson, step, text = lecture.lesson, lecture.step, lecture.text
        if lesson is None or step is None or text is None:
            return
        number = f"{lesson.number}. " if lesson.number else ""
        self.name.setText(f"{number}{lesson.title}")
        self.title.setText(text.title)
        self.text.say(text.text)
        self.watch.say(text.watch)
        self.try_it.say(text.try_it)
        self.keras.setText(text.keras)
        self.question.say(text.question)
        new = (lesson.name, step.key, lecture.taken, id(self.lecture.taken))
        if new != self._shown:
            self._shown = new
            self._renew_prediction()
            self.keras_button.setChecked(False)
            self.numbers_button.setChecked(False)
            self.reading.verticalScrollBar().setValue(0)
        elif self.prediction is not None:
            self.prediction.renew()
        self._renew_result()
        self._show_parts()
        self._renew_foot()
        self.steps.update()
        if not self._presenting and lecture.phase is Phase.RESULT and self._phase is not Phase.RESULT:
            # Once it is measured, that is what one looks for.
            self._show_result = True
        self._phase = lecture.phase
        self._scroll_to_result()

    _phase: Phase | None = None
    _show_result = False

    def _scroll_to_result(self) -> None:
        if self._show_result:
            self._inside.activate()
            if (inside := self.reading.widget()) is not None:
                inside.adjustSize()
            box = self.question_box if self.question_box.isVisibleTo(self) else self.result_box
            self.reading.verticalScrollBar().setValue(max(0, box.y() - theme.px(4)))
            self._show_result = False

    def _renew_prediction(self) -> None:
        if self.prediction is not None:
            self.question_box.inside.removeWidget(self.prediction)
            self.prediction.hide()
            self.prediction.deleteLater()
        self.prediction = prediction(self.lecture, self.question_box)
        if self.prediction is not None:
            self.question_box.inside.insertWidget(2, self.prediction)
            self.prediction.show()

    def _renew_result(self) -> None:
        taken, step, text = self.lecture.taken, self.lecture.step, self.lecture.text
        assert step is not None and text is not None
        while (item := self._pictures.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        checked, look = taken.checked, theme.current()
        self.score.setText(taken.score.sentence if taken.score is not None else "")
        if taken.score is None and checked is not None and step.question is not None and not self._presenting:
            self.score.setText(tr("You made no prediction."))
        self.score.setVisible(bool(self.score.text()))
        if checked is None:
            return
        self.measured.say(text.measured.filled(checked))
        wrong = [verdict.sentence for verdict in checked.verdicts if not verdict.holds]
        self.warnings.setText(
            "\n".join([tr("Not what the lesson says:"), *(f"▲ {sentence}" for sentence in wrong)]) if wrong else ""
        )
        self.warnings.setVisible(bool(wrong))
        self.warnings.setStyleSheet(f"color: {look.impossible};")
        self.numbers.setText(
            "\n".join(f"{'✓' if verdict.holds else '✗'} {verdict.sentence}" for verdict in checked.verdicts)
        )
        self.numbers_button.setVisible(bool(checked.verdicts) and not self._presenting)
        self.numbers.setVisible(self.numbers_button.isChecked() and not self._presenting)
        recordings = checked.outcome.recordings
        if len(recordings) > 1:
            names = text.runs or tuple(str(number + 1) for number in range(len(recordings)))
            if step.view.focus == "curves":
                self._pictures.addWidget(SmallCurves(recordings, names, self.pictures))
            for name, recording in zip(names, recordings, strict=False):
                self._pictures.addWidget(SmallHeatmap(recording, step.view.quantity, name, self.pictures))
        self.pictures.setVisible(len(recordings) > 1)

    def _show_parts(self) -> None:
        lecture, text = self.lecture, self.lecture.text
        assert text is not None
        phase, presenting = lecture.phase, self._presenting
        measured = lecture.taken.checked is not None
        if isinstance(self.prediction, Colouring):
            # Beside the strips there has to be room for what was measured.
            self.prediction.strips.set_most(self.window().height() * 45 // 100 if presenting and measured else None)
        # A question that the audience sees alone has all the room.
        size: theme.Size = "title" if presenting and phase is Phase.QUESTION else "normal"
        self.question.dress(size)
        if isinstance(self.prediction, Choosing):
            self.prediction.set_size(size)
        for part in (self.head, self.steps, self.title, self.foot):
            part.setVisible(not presenting)
        self.text.setVisible(not presenting and bool(text.text))
        self.watch_box.setVisible(not presenting and bool(text.watch))
        self.question_box.setVisible(bool(text.question) and (not presenting or self.wanted_by_audience))
        self.result_box.setVisible(phase is Phase.RESULT and self._tells)
        self.try_box.setVisible(not presenting and phase is Phase.RESULT and bool(text.try_it))
        self.keras_box.setVisible(not presenting and bool(text.keras))
        self.keras.setVisible(self.keras_button.isChecked())
        self.again.setVisible(not presenting and measured)
        self.message.setText(lecture.message)
        self.message.setVisible(bool(lecture.message))
        self._renew_edited()

    def _renew_edited(self) -> None:
        self.edited.setVisible(self.lecture.edited)

    def _renew_foot(self) -> None:
        lecture, step = self.lecture, self.lecture.step
        assert step is not None
        match lecture.phase:
            case Phase.RUNNING:
                text, tip = tr("Running …"), tr("The run goes on to the step's end by itself")
                if lecture.running is not None and len(step.runs) > 1:
                    text = tr("Running {number} of {total} …", number=lecture.running + 1, total=len(step.runs))
            case Phase.TEXT | Phase.QUESTION if lecture.runs:
                text, tip = tr("Run"), tr("Train exactly as many steps as the lesson needs, live")
                if not step.runs:
                    text, tip = tr("Show"), tr("Draw what this step is about")
                if step.question is not None and lecture.taken.answer is None:
                    text = tr("Skip and run") if lecture.phase is Phase.QUESTION else tr("Make a prediction")
                    if lecture.phase is Phase.TEXT:
                        tip = tr("To the question; predict first, then run")
            case _ if lecture.at_end:
                text, tip = tr("The end"), tr("This was the last step")
            case _:
                text, tip = tr("Next step"), tr("On to the next step of the lesson")
        self._name(self.next, text, tip, "present.next")
        self._name(self.back, "◂", tr("Back to what came before"), "present.previous")
        self.back.setAccessibleName(tr("Back"))
        ended = lecture.at_end and lecture.phase in (Phase.RESULT, Phase.TEXT) and text == tr("The end")
        self.next.setEnabled(not ended)
        self.back.setEnabled(lecture.index > 0 or lecture.phase in (Phase.QUESTION, Phase.RUNNING))
        if lecture.phase is Phase.QUESTION and not self._presenting:
            self.reading.ensureWidgetVisible(self.question_box, 0, theme.px(20))

    def _name(self, button: QPushButton, text: str, tip: str, verb: str) -> None:
        keys = self._keys(verb)
        button.setText(text)
        button.setAccessibleName(text)
        button.setToolTip(f"{tip} ({keys})" if keys else tip)

    # Looks

    def _dress(self) -> None:
        look = theme.current()
        self.name.setFont(theme.font("small", bold=True))
        self.name.setStyleSheet(f"color: {look.muted};")
        self.title.setFont(theme.font("title", bold=True))
        self.score.setFont(theme.font("normal", bold=True))
        self.numbers.setFont(theme.font("small"))
        self.message.setFont(theme.font("normal"))
        for words in (self.text, self.watch, self.question, self.measured, self.try_it, self.keras):
            words.dress()
        for box in self.boxes:
            box.dress()
        for button in (self.back, self.next):
            button.setFont(theme.font("normal", bold=button is self.next))
            button.setMinimumHeight(theme.px(32))
        self.back.setFixedWidth(theme.px(44))
        self.next.setStyleSheet(
            f"QPushButton {{ background: {look.accent}; color: {look.on_accent}; border: none; border-radius: "
            f"{theme.px(4)}px; padding: {theme.px(5)}px; }} QPushButton:disabled {{ background: {look.raised}; "
            f"color: {look.muted}; }} QPushButton:focus {{ border: 2px solid {look.text}; }}"
        )
        margin = theme.px(10)
        self._whole.setContentsMargins(margin, theme.px(4), margin, theme.px(8))
        self._whole.setSpacing(theme.px(6))
        self._inside.setContentsMargins(0, 0, theme.px(8), 0)
        self._inside.setSpacing(theme.px(10))
        self._pictures.setSpacing(theme.px(4))
        self.renew()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        inside = self.reading.widget()
        if inside is not None:
            inside.setMaximumWidth(max(theme.px(120), self.reading.viewport().width()))

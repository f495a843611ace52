"""Problems in words, each with its way out as a button; and which card a problem shows on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QFrame, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.build import verbs
from gradsim.app.build.arrangement import INPUT, LOSS
from gradsim.app.session import Session
from gradsim.i18n import tr
from gradsim.model.problems import Problem

GLYPHS = {"impossible": "\u2716", "unwise": "\u25b2", "note": "\u2139"}
"""A cross, a triangle, an i: told apart without their colours."""
WORDS = {"impossible": "Can't be started", "unwise": "Unwise", "note": "Note"}


def place_of(problem: Problem) -> str:
    """The card of a problem: a layer's uid, an end of the column, or "" for the panel of the run."""
    if problem.uid:
        return problem.uid
    first = problem.path.split(".")[0].split("[")[0]
    return {"data": INPUT, "loss": LOSS}.get(first, "")


def by_place(problems: Iterable[Problem]) -> dict[str, list[Problem]]:
    """The problems of each card, the worst first."""
    found: dict[str, list[Problem]] = {}
    for problem in problems:
        found.setdefault(place_of(problem), []).append(problem)
    return found


def sentence(problem: Problem) -> str:
    """A problem as a sentence."""
    words = problem.words[:1].upper() + problem.words[1:]
    return words if words.endswith((".", "!", "?", "。", "！", "？")) else tr("{sentence}.", sentence=words)


class ProblemList(QWidget):
    """Problems below each other: glyph, sentence, button with the fix."""

    fixed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.buttons: list[QPushButton] = []
        self._shown: tuple[Problem, ...] = ()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.px(6))
        self._grid.setVerticalSpacing(theme.px(4))
        self._grid.setColumnStretch(1, 1)
        self.hide()

    def show_problems(self, problems: Sequence[Problem], *, anew: bool = False) -> None:
        """Shows these; hides itself if there are none."""
        if tuple(problems) == self._shown and not anew:
            return
        self._shown = tuple(problems)
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.buttons = []
        for row, problem in enumerate(problems):
            self._add(2 * row, problem)
        self.setVisible(bool(problems))

    def _add(self, row: int, problem: Problem) -> None:
        mark = QLabel(GLYPHS[problem.severity], self)
        mark.setStyleSheet(f"color: {theme.current().severity_colour(problem.severity).name()};")
        mark.setToolTip(tr(WORDS[problem.severity]))
        words = QLabel(sentence(problem), self)
        words.setWordWrap(True)
        words.setTextFormat(Qt.TextFormat.PlainText)
        words.setAccessibleName(f"{tr(WORDS[problem.severity])}: {sentence(problem)}")
        words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        top = Qt.AlignmentFlag.AlignTop
        self._grid.addWidget(mark, row, 0, top)
        self._grid.addWidget(words, row, 1, top)
        fix = problem.fix
        if fix is None:
            return
        button = QPushButton(tr(fix.name), self)
        button.setToolTip(tr("{fix}; undo takes it back", fix=tr(fix.name)))
        button.setAccessibleDescription(sentence(problem))
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

        def mend() -> None:
            self.fixed.emit()
            verbs.attempt(self.session, fix.make)

        button.clicked.connect(mend)
        self._grid.addWidget(button, row + 1, 1, Qt.AlignmentFlag.AlignLeft)
        self.buttons.append(button)


class ProblemPopup(QFrame):
    """The problems of one card, beside it until something else is clicked."""

    def __init__(self, session: Session, problems: Sequence[Problem], parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self.setAccessibleName(tr("Problems of this layer"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.px(10), theme.px(8), theme.px(10), theme.px(8))
        self.list = ProblemList(session, self)
        self.list.show_problems(problems)
        self.list.fixed.connect(self.close)
        layout.addWidget(self.list)
        self.setFixedWidth(theme.px(340))

    def open_at(self, place: QPoint) -> None:
        """Shows itself with its corner there, inside of the screen."""
        layout = self.layout()
        if layout is not None:
            # adjustSize would leave room for words that are broken into more lines than they are here.
            self.resize(self.width(), layout.totalHeightForWidth(self.width()))
        screen = QApplication.screenAt(place) or QApplication.primaryScreen()
        if screen is not None:
            room = screen.availableGeometry().adjusted(4, 4, -4, -4)
            place.setX(max(room.left(), min(place.x(), room.left() + room.width() - self.width())))
            place.setY(max(room.top(), min(place.y(), room.top() + room.height() - self.height())))
        self.move(place)
        self.show()
        if self.list.buttons:
            self.list.buttons[0].setFocus(Qt.FocusReason.PopupFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

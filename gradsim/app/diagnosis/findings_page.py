"""The page of findings: a card each, with the cures made for it below, and what theory says of the stack."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPalette
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.build.panel import Panel
from gradsim.app.diagnosis.remedying import Remedying, short_title
from gradsim.app.diagnosis.theory import Theory
from gradsim.app.diagnosis.watching import Seen, Watching
from gradsim.app.frames import FRAME_MS
from gradsim.app.pages import Flow
from gradsim.app.see import words
from gradsim.app.session import Session
from gradsim.diagnose import REMEDIES, Finding
from gradsim.i18n import mark, tr, tr_n

GLYPHS = {"fault": "\u2716", "warning": "\u25b2", "note": "\u2139"}
"""A cross, a triangle, an i: told apart without their colours."""
WORDS = {"fault": mark("Fault"), "warning": mark("Warning"), "note": mark("Note")}
PROBLEMS = {"fault": "impossible", "warning": "unwise", "note": "note"}
"""Severities of problems, whose colours findings share."""

NUMBERS = {
    "factor_per_layer": mark("factor a layer"),
    "factor_per_layer_down": mark("factor a layer, downwards"),
    "factor_per_layer_up": mark("factor a layer, upwards"),
    "factor_per_step": mark("factor a step"),
    "log10_ratio": mark("lowest delta / highest"),
    "log10_lowest_delta": mark("lowest delta"),
    "log10_lowest_update": mark("lowest update/weight"),
    "log10_highest_update": mark("highest update/weight"),
    "log10_last_activation_std": mark("std of the last activations"),
    "log10_smallest_normal": mark("smallest normal number"),
    "log10_largest_gradient": mark("largest dW"),
    "log10_growth": mark("growth of the weights"),
    "log10_largest_weight": mark("largest weights"),
    "log10_left": mark("left of it"),
    "log10_update": mark("update/weight"),
    "log10_total": mark("factor in all"),
    "layers": mark("layers"),
    "layers_at_zero": mark("layers exactly at 0"),
    "loss_factor": mark("factor of the loss"),
    "weight_factor": mark("factor of the weights"),
    "step": mark("step"),
    "step_before": mark("step before"),
    "share": mark("share"),
    "start_share": mark("share at the start"),
    "rising_share": mark("share of rising steps"),
    "zero": mark("zero weights"),
    "limit": mark("limit"),
    "largest": mark("largest gradient"),
    "cosine": mark("cosine to the raw gradient"),
    "loss": mark("loss"),
    "first_loss": mark("first loss"),
    "peak_loss": mark("highest loss"),
    "guessing": mark("loss of guessing"),
    "change": mark("change of the loss"),
    "scatter": mark("scatter of the loss"),
    "left_for": mark("steps until it fell again"),
    "learning_rate": mark("learning rate"),
}
"""What the numbers of findings are called; those of log10 are shown as powers."""


def severity_colour(severity: str) -> str:
    """Of a finding's glyph."""
    return theme.current().severity_colour(PROBLEMS[severity]).name()


def number_text(key: str, value: float) -> str:
    """A number behind a finding."""
    if not key.startswith("log10_"):
        return words.number(value, 3)
    if math.isnan(value):
        return words.number(value)
    if value == -math.inf:
        return "0"
    if abs(value) < 300:
        return words.number(10.0**value)
    return f"1e{value:.0f}".replace("-", "\u2212")


def where_text(finding: Finding, names: tuple[str, ...]) -> str:
    """Layers and steps of a finding, in words."""
    rows = [row for row in finding.rows if row < len(names)]
    if not rows:
        where = ""
    elif len(rows) == 1:
        where = names[rows[0]]
    elif len(rows) == 2:
        where = f"{names[rows[0]]}, {names[rows[1]]}"
    else:
        where = tr("{first} to {last} ({count} layers)", first=names[rows[0]], last=names[rows[-1]], count=len(rows))
    # The thin space between thousands would be a place to break the line at.
    start, last = (words.steps(step).replace("\u2009", "\u202f") for step in (finding.start, finding.stop - 1))
    when = tr("step {step}", step=start) if start == last else tr("steps {first} to {last}", first=start, last=last)
    return f"{where} \u00b7 {when}" if where else when


def _set(label: QLabel, text: str) -> None:
    """Only what is another text: a label that is set is laid out and painted anew."""
    if label.text() != text:
        label.setText(text)


def _label(parent: QWidget, *, small: bool = False, muted: bool = False, bold: bool = False) -> QLabel:
    made = QLabel(parent)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(True)
    made.setFont(theme.font("small" if small else "normal", bold=bold))
    if muted:
        made.setForegroundRole(QPalette.ColorRole.PlaceholderText)
    return made


class FindingCard(QFrame):
    """One finding. A click, or Enter, shows it where it happened."""

    chosen = Signal(str)
    unfolded = Signal(str, bool)
    cure_wanted = Signal(str)

    def __init__(self, key: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.key = key
        self._selected = False
        self._cures: tuple[str, ...] = ()
        self._severity = "note"
        self._numbers: tuple[str, ...] = ()
        self._values: dict[str, QLabel] = {}
        self._finding: Finding | None = None
        self.buttons: list[QPushButton] = []
        self.setObjectName("finding")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.glyph = QLabel(self)
        self.title = _label(self, bold=True)
        self.where = _label(self, small=True, muted=True)
        self.student = _label(self)
        self.more = QToolButton(self)
        self.more.setText(tr("For experts"))
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setArrowType(Qt.ArrowType.RightArrow)
        self.more.setCheckable(True)
        self.more.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.more.setToolTip(tr("The same in terms of the field, with the numbers behind it"))
        self.more.toggled.connect(self._unfold)
        self.inside = QWidget(self)
        self.expert = _label(self.inside, small=True)
        self.expert.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.numbers = QWidget(self.inside)
        self._grid = QGridLayout(self.numbers)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.px(10))
        self._grid.setVerticalSpacing(theme.px(1))
        self._grid.setColumnStretch(0, 1)
        deeper = QVBoxLayout(self.inside)
        deeper.setContentsMargins(0, 0, 0, 0)
        deeper.setSpacing(theme.px(4))
        deeper.addWidget(self.expert)
        deeper.addWidget(self.numbers)
        self.inside.hide()
        self.helps = _label(self, small=True, muted=True)
        self.helps.setText(tr("Cures made for it, one click each:"))
        self.cures = QWidget(self)
        self._flow = Flow(self.cures)
        self._flow.setContentsMargins(0, 0, 0, 0)
        self._flow.setSpacing(theme.px(4))
        head = QHBoxLayout()
        head.setSpacing(theme.px(6))
        head.addWidget(self.glyph, 0, Qt.AlignmentFlag.AlignTop)
        head.addWidget(self.title, 1)
        body = QVBoxLayout(self)
        body.setContentsMargins(theme.px(12), theme.px(8), theme.px(10), theme.px(8))
        body.setSpacing(theme.px(4))
        body.addLayout(head)
        body.addWidget(self.where)
        body.addWidget(self.student)
        body.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        body.addWidget(self.inside)
        body.addWidget(self.helps)
        body.addWidget(self.cures)
        self.cures.hide()
        self.helps.hide()

    def show_finding(self, finding: Finding, names: tuple[str, ...]) -> None:
        """Shows a finding, or the same one with other numbers."""
        if finding.severity != self._severity or not self.glyph.text():
            self._severity = finding.severity
            self.glyph.setText(GLYPHS[finding.severity])
            self.glyph.setFont(theme.font("normal", bold=True))
            self.glyph.setStyleSheet(f"color: {severity_colour(finding.severity)};")
            self.glyph.setToolTip(tr(WORDS[finding.severity]))
            self._dress()
        _set(self.title, tr(finding.title))
        _set(self.where, where_text(finding, names))
        _set(self.student, finding.student)
        _set(self.expert, finding.expert)
        tip = tr("{help} Click: shows it on the heatmap.", help=tr(finding.definition.help))
        if self.toolTip() != tip:
            self.setToolTip(tip)
        said = f"{tr(WORDS[finding.severity])}: {tr(finding.title)}, {where_text(finding, names)}. {finding.student}"
        if self.accessibleName() != said:
            self.setAccessibleName(said)
        if self.more.isChecked():
            self._show_numbers(finding)
        self._finding = finding

    def _show_numbers(self, finding: Finding) -> None:
        keys = tuple(finding.numbers)
        if keys != self._numbers:
            while (item := self._grid.takeAt(0)) is not None:
                widget = item.widget()
                if widget is not None:
                    widget.hide()
                    widget.deleteLater()
            self._numbers = keys
            self._values = {}
            for row, key in enumerate(keys):
                name, said = _label(self.numbers, small=True, muted=True), QLabel(self.numbers)
                name.setText(tr(NUMBERS[key]) if key in NUMBERS else key)
                said.setFont(theme.font("small", fixed=True))
                said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                self._grid.addWidget(name, row, 0)
                self._grid.addWidget(said, row, 1, Qt.AlignmentFlag.AlignRight)
                self._values[key] = said
        for key, value in finding.numbers.items():
            _set(self._values[key], number_text(key, value))

    def show_cures(self, keys: tuple[str, ...]) -> None:
        """Offers these remedies."""
        if keys == self._cures:
            return
        self._cures = keys
        while (item := self._flow.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.buttons = []
        for key in keys:
            remedy = REMEDIES[key]
            button = QPushButton(short_title(key), self.cures)
            button.setFont(theme.font("small"))
            button.setToolTip(
                tr(
                    "{title}. {changes} {why} Undo takes it back.",
                    title=tr(remedy.title),
                    changes=tr(remedy.changes),
                    why=tr(remedy.why),
                )
            )
            button.setAccessibleName(tr("Apply {remedy}", remedy=tr(remedy.title)))
            button.setAccessibleDescription(f"{tr(remedy.changes)} {tr(remedy.why)}")
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.setAutoDefault(False)
            button.clicked.connect(lambda _=False, key=key: self.cure_wanted.emit(key))
            self._flow.addWidget(button)
            button.show()
            self.buttons.append(button)
        self.cures.setVisible(bool(keys))
        self.helps.setVisible(bool(keys))
        self.cures.updateGeometry()

    def set_selected(self, on: bool) -> None:
        """Whether it is the one that is shown on the heatmap."""
        if on != self._selected:
            self._selected = on
            self._dress()

    def set_unfolded(self, on: bool) -> None:
        """Shows the expert's part."""
        self.more.setChecked(on)

    def _unfold(self, on: bool) -> None:
        self.more.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        if on and self._finding is not None:
            self._show_numbers(self._finding)
        self.inside.setVisible(on)
        self.unfolded.emit(self.key, on)

    def _dress(self) -> None:
        look = theme.current()
        edge = look.accent if self._selected else look.line
        fill = look.selection if self._selected else look.surface
        self.setStyleSheet(
            f"#finding {{ background: {fill}; border: {theme.px(1)}px solid {edge}; border-left: {theme.px(4)}px solid "
            f"{severity_colour(self._severity)}; border-radius: {theme.px(4)}px; }}"
            f"#finding:focus {{ border-color: {look.accent}; }}"
        )

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.chosen.emit(self.key)
        super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.chosen.emit(self.key)
        else:
            super().keyPressEvent(event)


def arrange(
    cards: dict[str, FindingCard],
    column: QVBoxLayout,
    findings: Sequence[Seen],
    names: tuple[str, ...],
    make: Callable[[Seen], FindingCard],
) -> list[Seen]:
    """Brings cards in line with what is found: those of what is gone go, the others stand in its order.

    Args:
        cards: Those that are there, by the keys of their findings; changed.
        column: Where they stand.
        names: Of the layers.
        make: Makes a card.

    Returns:
        The findings whose cards are new, and hidden yet.
    """
    kept = {seen.key for seen in findings}
    for key in [key for key in cards if key not in kept]:
        gone = cards.pop(key)
        column.removeWidget(gone)
        gone.hide()
        gone.deleteLater()
    new = []
    for place, seen in enumerate(findings):
        card = cards.get(seen.key)
        if card is None:
            card = cards[seen.key] = make(seen)
            # Until somebody shows it: a card that is made and laid out in one go makes a frame late.
            card.hide()
            column.insertWidget(place, card)
            new.append(seen)
        elif column.indexOf(card) != place:
            column.removeWidget(card)
            column.insertWidget(place, card)
        card.show_finding(seen.finding, names)
    return new


class FindingsPage(Panel):
    """What is wrong with the run, what theory expected, and the way to the cures."""

    trials_wanted = Signal()
    cures_wanted = Signal()

    def __init__(
        self, session: Session, watching: Watching, remedying: Remedying, theory: Theory, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.session, self.watching, self.remedying, self.theory = session, watching, remedying, theory
        self.cards: dict[str, FindingCard] = {}
        self._unfolded: set[str] = set()
        self.setAccessibleName(tr("Findings"))
        watching.changed.connect(self.refresh)
        watching.selected_changed.connect(self._mark)
        remedying.changed.connect(self._offer)
        theory.changed.connect(self._explain)
        session.recorder_changed.connect(self._explain)
        session.run_changed.connect(self._head)
        self.renew()

    def build(self, inside: QWidget, layout: QVBoxLayout) -> None:
        self.cards = {}
        self.headline = _label(inside, bold=True)
        self.headline.setFont(theme.font("large", bold=True))
        self.looked = _label(inside, small=True, muted=True)
        layout.addWidget(self.headline)
        layout.addWidget(self.looked)
        self._list = QVBoxLayout()
        self._list.setSpacing(theme.px(8))
        layout.addLayout(self._list)
        buttons = QWidget(inside)
        flow = Flow(buttons)
        flow.setContentsMargins(0, 0, 0, 0)
        flow.setSpacing(theme.px(6))
        self.trials = QPushButton(tr("Try the cures\u2026"), buttons)
        self.trials.setToolTip(
            tr("Trains every cure and sensible pairs from the same seed on the same batches, and ranks them")
        )
        self.trials.clicked.connect(self.trials_wanted)
        self.all_cures = QPushButton(tr("All cures"), buttons)
        self.all_cures.setToolTip(tr("Every cure with what it changes and why; several can be applied together"))
        self.all_cures.clicked.connect(self.cures_wanted)
        for button in (self.trials, self.all_cures):
            button.setAutoDefault(False)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            flow.addWidget(button)
        layout.addWidget(buttons)
        self.theory_title = _label(inside, bold=True)
        self.theory_title.setText(tr("Theory, before the first step"))
        self.theory_title.setContentsMargins(0, theme.px(8), 0, 0)
        self.theory_text = _label(inside)
        self.theory_text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.theory_text.setAccessibleName(tr("What theory says of the stack"))
        self.theory_silence = _label(inside, small=True, muted=True)
        for label in (self.theory_title, self.theory_text, self.theory_silence):
            layout.addWidget(label)

    def refresh(self) -> None:
        names = tuple(layer.name for layer in self.session.rows())
        new = arrange(self.cards, self._list, self.watching.findings, names, self._made)
        for seen in new:
            card = self.cards[seen.key]
            card.set_unfolded(seen.key in self._unfolded)
            card.show_cures(self.remedying.suggested(seen.finding.kind))
            card.set_selected(seen == self.watching.selected)
            if self.session.playing:
                QTimer.singleShot(2 * FRAME_MS, card, card.show)
            else:
                card.show()
        self._head()
        self._explain()

    def _made(self, seen: Seen) -> FindingCard:
        card = FindingCard(seen.key, self.scroll_area.widget())
        card.chosen.connect(self.choose)
        card.unfolded.connect(self._on_unfolded)
        card.cure_wanted.connect(lambda key: self.remedying.apply([key]))
        return card

    def choose(self, key: str) -> None:
        """Shows a finding on the heatmap."""
        for seen in self.watching.findings:
            if seen.key == key:
                self.watching.show(seen)

    def _on_unfolded(self, key: str, on: bool) -> None:
        (self._unfolded.add if on else self._unfolded.discard)(key)

    def _mark(self) -> None:
        selected = self.watching.selected
        for key, card in self.cards.items():
            card.set_selected(selected is not None and selected.key == key)

    def _offer(self) -> None:
        for seen in self.watching.findings:
            if (card := self.cards.get(seen.key)) is not None:
                card.show_cures(self.remedying.suggested(seen.finding.kind))

    def _head(self) -> None:
        found, looked = self.watching.findings, self.watching.looked
        if found:
            counts = [(severity, sum(seen.finding.severity == severity for seen in found)) for severity in GLYPHS]
            said = {
                "fault": lambda n: tr_n("{n} fault", "{n} faults", n),
                "warning": lambda n: tr_n("{n} warning", "{n} warnings", n),
                "note": lambda n: tr_n("{n} note", "{n} notes", n),
            }
            headline = ", ".join(said[severity](count) for severity, count in counts if count)
        elif not self.session.startable:
            headline = tr("It can't be trained as it is")
        elif looked is None:
            headline = tr("Nothing is recorded yet")
        else:
            headline = tr("Nothing is wrong so far")
        _set(self.headline, headline)
        if not self.session.startable:
            text = tr("Mend this first: {why}", why=self.session.failure)
        elif looked is None:
            text = tr("Play, and what goes wrong is named here: where, since when, and what helps.")
        else:
            text = tr(
                "Looked at steps {first} to {last} of {layers} layers: delta, dW, activations, weights, updates, loss.",
                first=words.steps(looked.start), last=words.steps(max(looked.start, looked.stop - 1)),
                layers=looked.layers,
            )  # fmt: skip
        _set(self.looked, text)

    def _explain(self) -> None:
        told = self.theory.told
        if told is None:
            text, silence = "", tr("Being computed")
        elif told.prediction is None:
            text, silence = "", tr("Theory has no say: {reason}.", reason=told.reason)
        else:
            lines = tuple(self.theory.lines())
            # Runs whose reason stands below need not say it twice.
            reasons = self.theory.silent()
            text = "\n".join(line for line in lines if not any(line.endswith(reason) for reason in reasons))
            silence = "\n".join(tr("Theory has no say: {reason}.", reason=reason) for reason in reasons)
            if self.theory.trained and not reasons:
                silence = tr("It knows freshly drawn weights only. These are trained: its curve is where they began.")
        _set(self.theory_text, text)
        _set(self.theory_silence, silence)
        self.theory_text.setVisible(bool(text))
        self.theory_silence.setVisible(bool(silence))

"""All cures, grouped: what each changes and why, one click each or several together."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPalette
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from gradsim.app import theme
from gradsim.app.build.panel import Panel
from gradsim.app.diagnosis.remedying import GROUP_TITLES, Remedying
from gradsim.app.diagnosis.watching import Watching
from gradsim.app.pages import Flow
from gradsim.app.session import Session
from gradsim.diagnose import REMEDIES
from gradsim.diagnose.remedies import GROUPS
from gradsim.i18n import tr, tr_n


@dataclasses.dataclass(frozen=True)
class _Row:
    tick: QCheckBox
    title: QLabel
    apply: QPushButton
    fits: QLabel
    changes: QLabel
    why: QLabel


class _Narrow(QPushButton):
    """As wide as its words; the style would make it as wide as any button."""

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        hint.setWidth(self.fontMetrics().horizontalAdvance(self.text()) + theme.px(20))
        return hint

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()


class _Title(QLabel):
    """The text of a check box: a click ticks it."""

    def __init__(self, box: QCheckBox, parent: QWidget) -> None:
        super().__init__(parent)
        self.box = box
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.box.isEnabled():
            self.box.toggle()


def _words(parent: QWidget, *, muted: bool) -> QLabel:
    made = QLabel(parent)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(True)
    made.setFont(theme.font("small"))
    made.setContentsMargins(theme.px(22), 0, 0, 0)
    if muted:
        made.setForegroundRole(QPalette.ColorRole.PlaceholderText)
    return made


def _breakable(text: str) -> str:
    """A text with a place to break its longest words at, where the panel is narrow."""
    return text.replace("Normalization", "\u200bNormalization")


class CuresPage(Panel):
    """Every remedy, applicable or not."""

    trials_wanted = Signal()
    compare_wanted = Signal(list)
    """Keys of the cures whose twin is to be trained beside the experiment as it is."""

    def __init__(
        self, session: Session, watching: Watching, remedying: Remedying, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.session, self.watching, self.remedying = session, watching, remedying
        self.rows: dict[str, _Row] = {}
        self.setAccessibleName(tr("Cures"))
        below = Flow()
        self._below = below
        self.together = QPushButton(self)
        self.together.setToolTip(tr("Applies the ticked cures as one step; undo takes them all back"))
        self.together.clicked.connect(lambda: self.remedying.apply(self.remedying.ticked))
        self.beside = QPushButton(tr("Side by side"), self)
        self.beside.setToolTip(
            tr("Trains the experiment as it is and a twin with the ticked cures beside each other; nothing is changed")
        )
        self.beside.clicked.connect(lambda: self.compare_wanted.emit(list(self.remedying.ticked)))
        self.trials = QPushButton(tr("Try the cures\u2026"), self)
        self.trials.setToolTip(
            tr("Trains every cure and sensible pairs from the same seed on the same batches, and ranks them")
        )
        self.trials.clicked.connect(self.trials_wanted)
        for button in (self.together, self.beside, self.trials):
            button.setAutoDefault(False)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            below.addWidget(button)
        outer = self.layout()
        assert isinstance(outer, QVBoxLayout)
        outer.addLayout(below)
        remedying.changed.connect(self.refresh)
        remedying.ticked_changed.connect(self._show_ticks)
        watching.changed.connect(self._show_fits)
        self.renew()

    def build(self, inside: QWidget, layout: QVBoxLayout) -> None:
        self._below.setContentsMargins(theme.px(10), theme.px(4), theme.px(10), theme.px(8))
        self._below.setSpacing(theme.px(6))
        self.rows = {}
        for group in GROUPS:
            heading = QLabel(tr(GROUP_TITLES[group]), inside)
            heading.setFont(theme.font("normal", bold=True))
            heading.setWordWrap(True)
            heading.setContentsMargins(0, theme.px(6), 0, 0)
            layout.addWidget(heading)
            for key in self.remedying.in_group(group):
                self._add(key, inside, layout)

    def _add(self, key: str, inside: QWidget, layout: QVBoxLayout) -> None:
        remedy = REMEDIES[key]
        tick = QCheckBox(inside)
        tick.setAccessibleName(tr(remedy.title))
        # A label of its own, since a check box does not break its text into lines.
        title = _Title(tick, inside)
        title.setText(_breakable(tr(remedy.title)))
        tick.setToolTip(tr("Chooses it, to be applied together with others; of one group only one"))
        tick.setAccessibleDescription(f"{tr(remedy.changes)} {tr(remedy.why)}")
        tick.toggled.connect(lambda on, key=key: self.remedying.tick(key, on))
        apply = _Narrow(tr("Apply"), inside)
        apply.setFont(theme.font("small"))
        apply.setAutoDefault(False)
        apply.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        apply.setToolTip(tr("{changes} Undo takes it back.", changes=tr(remedy.changes)))
        apply.setAccessibleName(tr("Apply {remedy}", remedy=tr(remedy.title)))
        apply.clicked.connect(lambda _=False, key=key: self.remedying.apply([key]))
        line = QHBoxLayout()
        line.setSpacing(theme.px(6))
        line.addWidget(tick, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(title, 1)
        line.addWidget(apply, 0, Qt.AlignmentFlag.AlignTop)
        fits = _words(inside, muted=False)
        fits.setStyleSheet(f"color: {theme.current().accent};")
        changes, why = _words(inside, muted=False), _words(inside, muted=True)
        whole = QVBoxLayout()
        whole.setSpacing(theme.px(1))
        whole.addLayout(line)
        for label in (fits, changes, why):
            whole.addWidget(label)
        layout.addLayout(whole)
        self.rows[key] = _Row(tick, title, apply, fits, changes, why)

    def refresh(self) -> None:
        for key, row in self.rows.items():
            remedy, offer = REMEDIES[key], self.remedying.offers.get(key)
            can = offer is not None and offer.applicable
            for control in (row.tick, row.title, row.apply):
                control.setEnabled(can)
            if can:
                row.changes.setText(_breakable(tr(remedy.changes)))
                row.why.setText(tr(remedy.why))
            else:
                reason = "" if offer is None else offer.reason
                row.why.setText(tr("Not here: {reason}.", reason=reason) if reason else tr(remedy.why))
            row.changes.setVisible(can)
        self._show_ticks()
        self._show_fits()

    def _show_ticks(self) -> None:
        ticked = self.remedying.ticked
        for key, row in self.rows.items():
            if row.tick.isChecked() != (key in ticked):
                row.tick.blockSignals(True)
                row.tick.setChecked(key in ticked)
                row.tick.blockSignals(False)
        self.together.setEnabled(bool(ticked))
        self.beside.setEnabled(bool(ticked))
        self.together.setText(
            tr_n("Apply {n} cure", "Apply {n} cures together", len(ticked)) if ticked else tr("Apply together")
        )

    def _show_fits(self) -> None:
        found = [seen.finding for seen in self.watching.findings if seen.finding.severity != "note"]
        for key, row in self.rows.items():
            titles = dict.fromkeys(tr(one.title) for one in found if one.kind in REMEDIES[key].treats)
            text = tr("Made for: {findings}", findings=", ".join(titles)) if titles and row.apply.isEnabled() else ""
            if row.fits.text() != text or row.fits.isHidden() != (not text):
                row.fits.setText(text)
                row.fits.setVisible(bool(text))

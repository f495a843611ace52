"""All that the window has of diagnosis: it makes the parts, connects them with the pictures, and closes them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from gradsim.app.build.cards import CardsColumn
from gradsim.app.diagnosis.chain_page import ChainPage
from gradsim.app.diagnosis.cures_page import CuresPage
from gradsim.app.diagnosis.findings_page import FindingsPage
from gradsim.app.diagnosis.outlines import Outlines
from gradsim.app.diagnosis.remedying import Remedying
from gradsim.app.diagnosis.theory import Theory
from gradsim.app.diagnosis.trials_dialog import TrialsDialog
from gradsim.app.diagnosis.watching import Watching
from gradsim.app.see.stage import Stage
from gradsim.app.session import Session
from gradsim.app.settings import Settings
from gradsim.diagnose import REMEDIES
from gradsim.i18n import tr


class Diagnosis(QObject):
    """Findings, theory and cures of the open experiment.

    Args:
        show_page: Shows a page of the side panel.
    """

    compare_wanted = Signal(list)
    """Keys of the cures whose twin is to be trained beside the experiment as it is."""

    def __init__(
        self,
        session: Session,
        stage: Stage,
        cards: CardsColumn,
        settings: Settings,
        show_page: Callable[[QWidget], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.session, self.stage, self.column, self.settings = session, stage, cards, settings
        self._show_page = show_page
        self.watching = Watching(session, stage.axis, self)
        self.remedying = Remedying(session, self.watching, self)
        self.theory = Theory(session, self)
        self.outlines = Outlines(stage.heatmap, self.watching)
        self.findings = FindingsPage(session, self.watching, self.remedying, self.theory)
        self.cures = CuresPage(session, self.watching, self.remedying)
        self.chain = ChainPage(session)
        self.outlines.clicked.connect(self._show_finding)
        self.findings.cures_wanted.connect(lambda: show_page(self.cures))
        for page in (self.findings, self.cures):
            page.trials_wanted.connect(self.try_cures)
        self.cures.compare_wanted.connect(self.compare_wanted)
        self.trials: TrialsDialog | None = None
        self.theory_shown = bool(settings.get("view/theory", True))
        self.outlines.setVisible(bool(settings.get("view/outlines", True)))
        self.theory.changed.connect(self._beside)
        session.recorder_changed.connect(self._beside)
        session.slow_tick.connect(self._renew_note)
        session.state.quantity_changed.connect(lambda _: self._beside())
        session.state.cursor_changed.connect(lambda _: self._renew_note())
        self._beside()

    def pages(self) -> Iterator[tuple[QWidget, str, str]]:
        """The pages of the side panel with title and tooltip."""
        yield self.findings, tr("Findings"), tr("What is wrong, where, since when, and what helps")
        yield (
            self.cures,
            tr("Cures"),
            tr("Every cure with what it changes and why; one click each, or several together"),
        )
        yield self.chain, tr("Chain rule"), tr("The product from the loss down to the selected layer, factor by factor")

    def _show_finding(self, key: str) -> None:
        self._show_page(self.findings)
        self.findings.choose(key)

    # What is drawn on the pictures

    @property
    def outlined(self) -> bool:
        """Whether findings are drawn on the heatmap."""
        return bool(self.outlines.isVisible())

    def toggle_outlines(self) -> None:
        """Draws findings on the heatmap, or not."""
        self.outlines.setVisible(not self.outlined)
        self.settings.set("view/outlines", self.outlined)

    def toggle_theory(self) -> None:
        """Shows theory beside measurement, or not."""
        self.theory_shown = not self.theory_shown
        self.settings.set("view/theory", self.theory_shown)
        self._beside()

    def _beside(self) -> None:
        """Theory over the measured profile and on the cards."""
        profile, key = self.stage.profile, self.session.state.quantity
        curve = self.theory.curve(key) if self.theory_shown else None
        note = self.theory.note(key) if self.theory_shown else ""
        if curve is None:
            profile.set_prediction(None, note=note)
        else:
            profile.set_prediction(*curve, note=note)
        self.column.show_factors(
            self.theory.factors() if self.theory_shown else {}, self.theory.text if self.theory_shown else None
        )

    def _renew_note(self) -> None:
        if not self.theory_shown:
            return
        profile, key = self.stage.profile, self.session.state.quantity
        curve = self.theory.curve(key)
        note = self.theory.note(key)
        if note != profile.theory_note or (curve is None) != (profile.prediction is None):
            self._beside()

    # What can be done

    def cure_commands(self) -> Iterator[tuple[str, str, bool, Callable[[], object]]]:
        """Each cure for the command palette: text, tooltip, whether it can be applied, and what applies it."""
        for key, remedy in REMEDIES.items():
            offer = self.remedying.offers.get(key)
            can = offer is not None and offer.applicable
            tip = f"{tr(remedy.changes)} {tr(remedy.why)}"
            yield (
                tr("Cure: {remedy}", remedy=tr(remedy.title)),
                tip,
                can,
                functools.partial(self.remedying.apply, [key]),
            )

    def try_cures(self) -> TrialsDialog | None:
        """Trains all cures and lets one be adopted; None if the experiment can't be trained at all."""
        if self.trials is not None:
            return self.trials
        if not self.session.startable:
            self.session.failed.emit(next(p.message for p in self.session.problems if p.severity == "impossible"))
            return None
        dialog = TrialsDialog(self.session, self.watching, upwards=self.column.upwards, parent=self.stage.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.finished.connect(self._forget_trials)
        dialog.compare_wanted.connect(self.compare_wanted)
        self.trials = dialog
        dialog.open()
        dialog.begin()
        return dialog

    def _forget_trials(self) -> None:
        self.trials = None

    def close(self) -> None:
        """Ends what is going on in the background."""
        if self.trials is not None:
            self.trials.reject()
        for part in (self.watching, self.remedying, self.theory):
            part.close()

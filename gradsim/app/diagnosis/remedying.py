"""The cures of the open experiment: which can be applied, which are ticked, and applying them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PySide6.QtCore import QObject, Signal

from gradsim.app.background import Background, Breathe
from gradsim.app.diagnosis.watching import Watching
from gradsim.app.session import Session
from gradsim.diagnose import REMEDIES, Offer, combined, offer
from gradsim.diagnose.remedies import GROUPS
from gradsim.i18n import mark, tr
from gradsim.model.change import Change
from gradsim.model.experiment import Experiment

GROUP_TITLES = {
    "activation": mark("Activation"),
    "weights": mark("Weights at the start"),
    "normalisation": mark("Normalisation"),
    "input": mark("Input"),
    "skip": mark("Skips"),
    "optimizer": mark("Optimizer"),
    "rate": mark("Learning rate"),
    "clipping": mark("Clipping"),
}
SHORT_TITLES = {
    "bn-before": mark("BatchNorm before"),
    "bn-after": mark("BatchNorm after"),
    "bn-first": mark("BatchNorm first"),
}
"""Titles for buttons, where the whole one would be wider than the panel."""
USUAL = ("initializer", "relu", "bn-before", "residual", "adam", "rate-lower", "clipnorm")
"""What one would try first, one of a group."""
SUGGESTED = 6
"""Most cures that stand below a finding; the page of cures has all."""


def short_title(key: str) -> str:
    """What a button says."""
    return tr(SHORT_TITLES.get(key) or REMEDIES[key].title)


class Remedying(QObject):
    """Looks through all remedies whenever the experiment changes, off Qt's thread, and applies them.

    Args:
        watching: Whose findings decide what is suggested.
    """

    changed = Signal()
    """Others can be applied."""
    ticked_changed = Signal()

    def __init__(self, session: Session, watching: Watching, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session, self.watching = session, watching
        self.offers: dict[str, Offer] = {}
        self._ticked: dict[str, None] = {}
        self._asked: Experiment | None = None
        self._background = Background("remedies", self)
        session.document_changed.connect(self._on_change)
        self.renew()

    def _on_change(self, change: Change) -> None:
        if change.effect != "text":
            self.renew()

    def renew(self) -> None:
        """Looks at the experiment as it is now."""
        experiment = self.session.experiment
        if experiment is self._asked:
            return
        self._asked = experiment

        def work(breathe: Breathe) -> dict[str, Offer]:
            found = {}
            for key in REMEDIES:
                found[key] = offer(experiment, key)
                breathe()
            return found

        def answer(found: dict[str, Offer]) -> None:
            if experiment is self._asked:
                self.offers = found
                gone = [key for key in self._ticked if not found[key].applicable]
                for key in gone:
                    del self._ticked[key]
                self.changed.emit()
                if gone:
                    self.ticked_changed.emit()

        self._background.do(work, answer)

    def in_group(self, group: str) -> tuple[str, ...]:
        """Keys of the remedies of a group."""
        return tuple(key for key, remedy in REMEDIES.items() if remedy.group == group)

    def suggested(self, kind: str) -> tuple[str, ...]:
        """Applicable remedies made for a kind of finding: the usual ones, then one of each other group, then others."""
        fitting = [
            key for key, remedy in REMEDIES.items()
            if kind in remedy.treats and (found := self.offers.get(key)) is not None and found.applicable
        ]  # fmt: skip
        chosen = [key for key in USUAL if key in fitting]
        for group in GROUPS:
            if not any(REMEDIES[key].group == group for key in chosen):
                chosen += [key for key in fitting if REMEDIES[key].group == group][:1]
        chosen += [key for key in fitting if key not in chosen]
        return tuple(chosen[:SUGGESTED])

    # Ticked ones

    @property
    def ticked(self) -> tuple[str, ...]:
        """Those that are to be applied together."""
        return tuple(self._ticked)

    def tick(self, key: str, on: bool) -> None:
        """Chooses a remedy; another one of its group is no longer chosen."""
        before = self.ticked
        if on:
            for other in self.in_group(REMEDIES[key].group):
                self._ticked.pop(other, None)
            self._ticked[key] = None
        else:
            self._ticked.pop(key, None)
        if self.ticked != before:
            self.ticked_changed.emit()

    # Applying

    def apply(self, keys: Iterable[str]) -> bool:
        """Applies remedies together, as one step that can be undone; False if it can't be done, and why is told."""
        wanted: Sequence[str] = tuple(keys)
        if not wanted:
            return False
        change = self.session.edit(combined, wanted)
        if change is None:
            return False
        self._ticked.clear()
        self.ticked_changed.emit()
        return True

    def close(self) -> None:
        """Ends what is being looked at."""
        self._background.close()

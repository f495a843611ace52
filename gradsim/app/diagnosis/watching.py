"""The findings of the run that is going on, some times a second, in an order that stays."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from gradsim.app.background import Background, Breathe
from gradsim.app.see.axis import TimeAxis
from gradsim.app.session import Session
from gradsim.diagnose import Finding, Live, diagnose
from gradsim.diagnose.findings import SEVERITIES
from gradsim.model.change import Change
from gradsim.telemetry.recorder import Position

INTERVAL = 0.25
"""Seconds from the beginning of one diagnosis to that of the next, at least."""
SHARE = 0.08
"""Part of the time that diagnoses may take; longer ones come less often."""
PATIENCE = 4
"""Diagnoses in a row without a finding before it goes, while the run moves: a verdict near its limit must not
flicker."""
NARROW = 0.04
"""Part of the picture's width below which a finding is too narrow to be seen, and is zoomed in on."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """A finding as the window shows it.

    Attributes:
        key: Stays the same from one diagnosis to the next.
        finding: As the latest diagnosis that found it has it.
    """

    key: str
    finding: Finding


@dataclasses.dataclass(frozen=True)
class Looked:
    """What the latest diagnosis looked at."""

    start: int
    stop: int
    layers: int


class _Run(Live):
    """The present run with what the experiment says now: clipping and rate can be changed while it goes on."""

    now: dict[str, Any] | None = None

    @property
    def experiment(self) -> dict[str, Any] | None:
        return self.now


class Memory:
    """Keeps findings in place from one diagnosis to the next.

    A finding appears when it is found twice in a row and goes when it has been missed :data:`PATIENCE` times; while
    the run stands still, at once. The worst come first; among equals, those that were there first.
    """

    def __init__(self) -> None:
        self.shown: tuple[Seen, ...] = ()
        self._before: set[str] = set()
        self._missed: dict[str, int] = {}

    def clear(self) -> None:
        """Another run."""
        self.shown, self._before, self._missed = (), set(), {}

    def take(self, findings: Iterable[Finding], *, moving: bool) -> bool:
        """Takes in a diagnosis; tells whether anything that is shown has changed."""
        found: dict[str, Finding] = {}
        for finding in findings:
            same_kind = sum(key.split("/")[0] == finding.kind for key in found)
            found[f"{finding.kind}/{same_kind}"] = finding
        kept: list[Seen] = []
        for seen in self.shown:
            now = found.get(seen.key)
            if now is not None:
                self._missed.pop(seen.key, None)
                kept.append(Seen(seen.key, now))
                continue
            self._missed[seen.key] = self._missed.get(seen.key, 0) + 1
            if moving and self._missed[seen.key] < PATIENCE:
                kept.append(seen)
            else:
                del self._missed[seen.key]
        known = {seen.key for seen in kept}
        for key, finding in found.items():
            if key not in known and (not moving or key in self._before):
                kept.append(Seen(key, finding))
        self._before = set(found)
        # Stable, so that those of one severity keep their order.
        shown = tuple(sorted(kept, key=lambda seen: SEVERITIES.index(seen.finding.severity)))
        changed = shown != self.shown
        self.shown = shown
        return changed


class Watching(QObject):
    """Diagnoses the run while it moves, and once after it.

    Args:
        axis: The time axis of the pictures, which :meth:`show` moves.
    """

    changed = Signal()
    """Other findings, or the same with other numbers."""
    selected_changed = Signal()

    def __init__(self, session: Session, axis: TimeAxis, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session, self.axis = session, axis
        self.looked: Looked | None = None
        self.cost = 0.0
        """Seconds of the latest diagnosis."""
        self._memory = Memory()
        self._selected = ""
        self._background = Background("diagnosis", self)
        self._live: _Run | None = None
        self._seen: Position | None = None
        self._moving = False
        self._next = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.renew)
        session.slow_tick.connect(self.renew)
        session.recorder_changed.connect(self._restart)
        if isinstance(session, Session):
            session.document_changed.connect(self._on_change)
        self._restart()

    @property
    def findings(self) -> tuple[Seen, ...]:
        """What is wrong, the worst first."""
        return self._memory.shown

    @property
    def selected(self) -> Seen | None:
        """The finding that the user looks at."""
        return next((seen for seen in self.findings if seen.key == self._selected), None)

    @property
    def settled(self) -> bool:
        """Whether the run stands still and all of it has been diagnosed."""
        live = self._live
        if live is None or self._background.busy or self._moving or self.session.playing or self.looked is None:
            return False
        return live.recorder.since(None).position == self._seen

    def select(self, key: str) -> None:
        """Looks at a finding; "" at none."""
        if key != self._selected:
            self._selected = key
            self.selected_changed.emit()

    def show(self, seen: Seen) -> None:
        """Shows a finding where it happened: its quantity, its layers selected, its steps in view."""
        finding, state = seen.finding, self.session.state
        state.set_quantity(finding.definition.quantity)
        uids = self.session.row_uids
        state.select(uids[row] for row in finding.rows if row < len(uids))
        self._bring_into_view(finding)
        self.select(seen.key)

    def _bring_into_view(self, finding: Finding) -> None:
        start, stop = self.axis.shown
        length = max(1, finding.stop - finding.start)
        outside = finding.stop <= start or finding.start >= stop
        if outside or length < NARROW * (stop - start):
            # A finding at the beginning is seen with what follows, another one with what led to it too.
            room = max(4.0 * length, 12.0)
            self.axis.show(finding.start - room, finding.stop + room)

    # Diagnosing

    def _restart(self) -> None:
        recorder = self.session.recorder
        self._background.cancel()
        self._live = None if recorder is None else _Run(recorder)
        self._seen, self._next = None, 0.0
        self.looked = None
        self._memory.clear()
        self.select("")
        self.changed.emit()
        self.renew()

    def _on_change(self, change: Change) -> None:
        if change.effect == "live":
            self._seen = None
            self.renew()

    def renew(self) -> None:
        """Diagnoses if there is something new and the last time is long enough ago."""
        live = self._live
        if live is None or not live.stop or self._background.busy:
            return
        position = live.recorder.since(None).position
        moving = self.session.playing
        if position == self._seen and moving == self._moving:
            return
        wait = self._next - time.perf_counter()
        if wait > 0:
            if not self._timer.isActive():
                self._timer.start(int(wait * 1000) + 1)
            return
        self._seen, self._moving = position, moving
        self._next = time.perf_counter() + INTERVAL
        live.now = self.session.context

        def work(breathe: Breathe) -> tuple[Looked, Sequence[Finding], float]:
            started = time.thread_time()
            looked = Looked(live.recorder.first_step, live.stop, len(live.layers))
            return looked, diagnose(live, breathe), time.thread_time() - started

        def answer(found: tuple[Looked, Sequence[Finding], float]) -> None:
            if live is self._live:
                self._take(*found, moving=moving)

        self._background.do(work, answer)

    def _take(self, looked: Looked, findings: Sequence[Finding], cost: float, *, moving: bool) -> None:
        self.cost = cost
        self._next = max(self._next, time.perf_counter() + cost / SHARE)
        self.looked = looked
        self._memory.take(findings, moving=moving)
        if self._selected and self.selected is None:
            self.select("")
        self.changed.emit()
        # What came meanwhile, or that the run has ended.
        self.renew()

    def close(self) -> None:
        """Ends a diagnosis that is going on."""
        self._timer.stop()
        self._background.close()

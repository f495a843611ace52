"""Trying the cures: all candidates trained in a thread, their results pulled as they come."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from gradsim.diagnose import Finding, cures
from gradsim.diagnose.cures import Candidate, Progress, Result
from gradsim.model.experiment import Experiment
from gradsim.telemetry.classes import Classes

PULL_MS = 100
Draw = Callable[[Result], Classes]


@dataclasses.dataclass
class Trial:
    """One candidate and how far it is.

    Attributes:
        step: Steps done; None while it waits.
        result: Once it has ended.
        picture: The result as a small heatmap: colour classes.
        rank: Among those that have ended, from 1; 0 before.
    """

    candidate: Candidate
    step: int | None = None
    result: Result | None = None
    picture: Classes | None = None
    rank: int = 0


class Trying(QObject):
    """One round of trials.

    Args:
        experiment: What the cures are tried on.
        findings: Cures made for these come first.
        steps: Of each trial.
        draw: Makes the small heatmap of a result, in the thread.
    """

    prepared = Signal()
    """:attr:`trials` are known."""
    changed = Signal()
    """Some came further or have ended."""
    ended = Signal()
    """All have ended, or it was stopped."""
    failed = Signal(str)
    """They can't be tried, and why."""

    def __init__(
        self,
        experiment: Experiment,
        findings: Sequence[Finding],
        steps: int,
        draw: Draw,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.experiment, self.findings, self.steps, self.draw = experiment, tuple(findings), steps, draw
        self.trials: list[Trial] = []
        self._of: dict[tuple[str, ...], Trial] = {}
        self._news: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self.destroyed.connect(self._stopped.set)
        self.running = False
        self._timer = QTimer(self)
        self._timer.setInterval(PULL_MS)
        self._timer.timeout.connect(self._pull)

    def start(self) -> None:
        """Begins."""
        self.running = True
        experiment, findings, steps, draw = self.experiment, self.findings, self.steps, self.draw
        news, stopped = self._news, self._stopped

        def run() -> None:
            try:
                chosen = cures.candidates(experiment, findings)
                news.put(chosen)
                with contextlib.closing(cures.trials(experiment, steps, chosen)) as progress:
                    for one in progress:
                        if stopped.is_set():
                            return
                        news.put((one, None if one.result is None else draw(one.result)))
                news.put(None)
            except Exception as error:
                news.put(error)

        threading.Thread(target=run, name="trials").start()
        self._timer.start()

    def stop(self) -> None:
        """Ends at once; what has ended stays. The thread ends within a trial's slice."""
        self._stopped.set()
        self._timer.stop()
        if self.running:
            self.running = False
            self.ended.emit()

    @property
    def done(self) -> int:
        """Trials that have ended."""
        return sum(trial.result is not None for trial in self.trials)

    def ranked(self) -> list[Trial]:
        """Those that have ended, the best first, then those that run, then those that wait."""
        results = [trial.result for trial in self.trials if trial.result is not None]
        best = [self._of[result.candidate.keys] for result in cures.ranked(results)]
        rest = [trial for trial in self.trials if trial.result is None]
        return [*best, *sorted(rest, key=lambda trial: trial.step is None)]

    def _pull(self) -> None:
        changed = False
        while self.running:
            try:
                news = self._news.get_nowait()
            except queue.Empty:
                break
            if isinstance(news, Exception):
                self.stop()
                self.failed.emit(str(news))
            elif news is None:
                self._rank()
                self.stop()
            elif isinstance(news, tuple) and news and isinstance(news[0], Progress):
                self._take(*news)
                changed = True
            else:
                self.trials = [Trial(candidate) for candidate in news]  # type: ignore[attr-defined]
                self._of = {trial.candidate.keys: trial for trial in self.trials}
                self.prepared.emit()
        if changed:
            self._rank()
            self.changed.emit()

    def _take(self, progress: Progress, picture: Classes | None) -> None:
        trial = self._of[progress.candidate.keys]
        trial.step = progress.step
        if progress.result is not None:
            trial.result, trial.picture = progress.result, picture

    def _rank(self) -> None:
        for rank, trial in enumerate((one for one in self.ranked() if one.result is not None), 1):
            trial.rank = rank

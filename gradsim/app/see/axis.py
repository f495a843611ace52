"""The one time axis of all pictures: which steps they show, and how it follows the run."""

from __future__ import annotations

import math

from PySide6.QtCore import QObject, Signal

from gradsim.app.player import Watched

SMALLEST = 8.0
"""Steps of the narrowest range."""
EMPTY = (0.0, 100.0)
"""What is shown before anything is recorded."""
# Ends of the range while the whole run is shown: the picture is always more than three quarters full, and neither the
# columns nor the figures of the axis move with every frame.
_ENDS = (100, 125, 160, 200, 250, 320, 400, 500, 640, 800)


class TimeAxis(QObject):
    """Shown steps, from :attr:`ViewState.range` or from the run that it follows.

    Attributes:
        session: Whose run it is.
        grows: While :attr:`changed` is told: whether it is the run that went on, and nobody asked for other steps. Then
            a picture that takes turns may wait for its turn.
        latest: While following, show only so many of the latest steps; None shows the whole run.
    """

    changed = Signal()
    """Other steps are shown."""
    following_changed = Signal(bool)

    def __init__(self, session: Watched, parent: QObject | None = None) -> None:
        super().__init__(parent or session)
        self.session = session
        self.latest: float | None = None
        self.grows = False
        self._shown = EMPTY
        self._following = True
        self._ticks = 0
        session.state.range_changed.connect(lambda _: self.refresh())
        session.recorder_changed.connect(self.refresh)
        session.tick.connect(self._on_tick)
        session.slow_tick.connect(self._grow)
        self.refresh()

    @property
    def shown(self) -> tuple[float, float]:
        """First step shown, and the step after the last."""
        return self._shown

    @property
    def following(self) -> bool:
        """Whether it follows the run."""
        return self.session.state.range is None

    @property
    def recorded(self) -> tuple[float, float]:
        """First step recorded, and the step after the last one."""
        recorder = self.session.recorder
        if recorder is None:
            return 0.0, 0.0
        return float(recorder.first_step), float(recorder.stop)

    def _on_tick(self) -> None:
        # A range that moves makes every axis write its figures anew, so it moves with every other frame only.
        self._ticks += 1
        if self.latest is None or self._ticks % 2 == 0:
            self._grow()

    def _grow(self) -> None:
        self.grows = True
        try:
            self.refresh()
        finally:
            self.grows = False

    def refresh(self) -> None:
        """Takes in what was recorded or asked for."""
        chosen = self.session.state.range
        shown = self._follow() if chosen is None else chosen
        if (chosen is None) != self._following:
            self._following = chosen is None
            self.following_changed.emit(self._following)
        if shown != self._shown:
            self._shown = shown
            self.changed.emit()

    def _follow(self) -> tuple[float, float]:
        first, stop = self.recorded
        if self.latest is not None and stop - first > self.latest:
            return stop - self.latest, stop
        if stop <= first:
            return first, first + EMPTY[1]
        return first, first + round_end(stop - first)

    def follow(self, latest: float | None = None) -> None:
        """Follows the run again: all of it, or the ``latest`` steps."""
        self.latest = latest
        self.session.state.set_range(None)
        self.refresh()

    def show(self, start: float, stop: float) -> None:
        """Shows these steps, kept within what is recorded and some room around it."""
        first, end = self.recorded
        most = max(round_end(end - first), EMPTY[1])
        width = min(max(stop - start, SMALLEST), most)
        start = min(max(start, first), first + most - width)
        self.session.state.set_range((start, start + width))

    def zoom(self, factor: float, about: float) -> None:
        """Shows ``factor`` times as many steps, with the step ``about`` staying where it is.

        All the way out is the whole run, which it then follows.
        """
        start, stop = self.shown
        first, end = self.recorded
        if factor > 1 and (stop - start) * factor >= round_end(end - first):
            self.follow()
            return
        self.show(about - (about - start) * factor, about + (stop - about) * factor)

    def pan(self, steps: float) -> None:
        """Moves the shown range."""
        start, stop = self.shown
        self.show(start + steps, stop + steps)


def round_end(steps: float) -> float:
    """A round number of steps not below ``steps``, at most a quarter above it."""
    if steps <= 20:
        return 20.0
    decade = 10.0 ** math.floor(math.log10(steps) - 2)
    for end in (*_ENDS, 1000):
        if end * decade >= steps:
            return float(end * decade)
    return float(1000 * decade)

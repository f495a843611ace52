"""Python's cyclic garbage, collected in Qt's own thread only."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

EVERY_MS = 500
THRESHOLDS = (1000, 10, 20)
"""Python's own way: so many new objects, so many younger collections since the last one of a generation."""


class Collector(QObject):
    """Replaces the automatic collection while it lives.

    Python collects in whichever thread happens to allocate; if that is the training thread, Qt objects in the garbage
    are destroyed in the wrong thread, and that ends the process. What exists when :meth:`settle` is called is never
    looked at again, so that a collection is too short to be seen.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        # The imported modules alone would take 90 ms, in the middle of the start.
        gc.freeze()
        self._younger = [0, 0]
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.collect)
        self._timer.start()

    def settle(self) -> None:
        """Collects everything once, and takes what is left for permanent."""
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def collect(self) -> int:
        """Collects as far as it is due; gives the generation, or -1 for none."""
        if gc.get_count()[0] < THRESHOLDS[0]:
            return -1
        generation = 0
        for older in (1, 2):
            if self._younger[older - 1] < THRESHOLDS[older]:
                break
            generation = older
        gc.collect(generation)
        for younger in range(generation):
            self._younger[younger] = 0
        if generation < 2:
            self._younger[generation] += 1
        return generation

    def stop(self) -> None:
        """Python collects by itself again."""
        self._timer.stop()
        gc.unfreeze()
        gc.enable()

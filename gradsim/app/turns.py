"""What is renewed while a run moves, spread over the frames, so that no frame holds more than its share."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable

import shiboken6
from PySide6.QtCore import QObject

TURN_FRAMES = 4
"""Frames in which each view has its turn once: sixteen times a second, at which a curve or a point still moves evenly.
What moves with every step, the heatmap, is renewed with every frame, or every other."""


class Turns:
    """Views that are renewed in turn.

    The frames of a round share the views that had something to show in the round before; one that is hidden, or that
    nothing came for, costs no place. So a frame lasts as long as its share of the visible views, not as all of them.
    """

    def __init__(self) -> None:
        self._receivers: list[weakref.WeakMethod[Callable[[], bool]]] = []
        self._frame = self._next = self._busy = self._expected = 0

    def connect(self, receiver: Callable[[], bool]) -> None:
        """Calls a method from now on, as long as its object lives.

        Args:
            receiver: Tells whether there was anything to show. Views that are connected one after the other share a
                frame before others do.
        """
        self._receivers.append(weakref.WeakMethod(receiver))

    def disconnect(self) -> None:
        """Calls nobody any more."""
        self._receivers.clear()
        self._frame = self._next = self._busy = self._expected = 0

    def frame(self) -> None:
        """Another frame: those whose turn it is are called."""
        if not self._frame:
            self._next, self._busy, self._expected = 0, 0, self._busy
        self._frame = (self._frame + 1) % TURN_FRAMES
        share = math.ceil(self._expected * self._frame / TURN_FRAMES) if self._frame else math.inf
        while self._busy < share and self._next < len(self._receivers):
            self._busy += self._call(self._receivers[self._next])
            self._next += 1

    def emit(self) -> None:
        """Calls all of them: after what the user did, every view shows the same moment."""
        for receiver in tuple(self._receivers):
            self._call(receiver)

    def _call(self, reference: weakref.WeakMethod[Callable[[], bool]]) -> bool:
        receiver = reference()
        owner = getattr(receiver, "__self__", None)
        if receiver is None or (isinstance(owner, QObject) and not shiboken6.isValid(owner)):
            if reference in self._receivers:
                self._receivers.remove(reference)
            return False
        return receiver()

"""Threads that share the large operations of one training."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import numpy as np

from gradsim.engine.layout import INNER, INT_ARGUMENTS, STRIP, TEAM, Board
from gradsim.engine.memory import ALIGNMENT
from gradsim.engine.operations import function


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Team:
    """Helpers of a training: while :meth:`gathered`, they stand by for parts of its operations.

    They wait by looking again and again, since an operation is over before a sleeping thread is awake; therefore they
    are there during a call into the compiled loop only.

    Args:
        threads: The one that trains included.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._board = np.zeros(Board.SIZE, np.int64)
        self._room = np.zeros((threads - 1, INNER * STRIP + ALIGNMENT), np.uint8)
        self._copies = np.zeros((threads - 1, INT_ARGUMENTS), np.int64)
        self._arguments = [
            np.array(
                [self._board.ctypes.data, -(-room.ctypes.data // ALIGNMENT) * ALIGNMENT, copy.ctypes.data], np.int64
            )
            for room, copy in zip(self._room, self._copies, strict=True)
        ]
        self._help = function("sharing.help_out")

    @contextlib.contextmanager
    def gathered(self, context: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[None]:
        """The helpers stand by for whoever runs with this context."""
        self._board[...] = 0
        helpers = [
            threading.Thread(
                target=self._help, args=(arguments.ctypes.data, None, None, None, None), name="helper", daemon=True
            )
            for arguments in self._arguments
        ]
        context[TEAM] = self._board.ctypes.data
        started = []
        try:
            for helper in helpers:
                helper.start()
                started.append(helper)
            yield
        finally:
            context[TEAM] = 0
            self._board[Board.QUIT] = 1
            for helper in started:
                helper.join()

"""Files and texts read beside the window: only the latest question counts, and a refusal is an answer, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject

from gradsim.app.background import Background


class Reading(Background):
    """What a dialog reads."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__("gradsim-reading", parent)

    def ask(self, work: Callable[[], Any], answer: Callable[[Any], object]) -> None:
        """Has ``work()`` done in the thread; ``answer`` gets what it gives or raises, unless more is asked."""
        self.cancel()
        self.do(lambda _: outcome(work), answer)


def outcome(work: Callable[[], Any]) -> Any:
    """What a function gives, or the exception that it raises."""
    try:
        return work()
    except Exception as error:  # told to whoever asked
        return error

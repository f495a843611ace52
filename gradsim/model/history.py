"""Undo and redo over frozen values: a step is a swap."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Step(Generic[T]):
    """One thing that can be undone.

    Attributes:
        merge_key: Steps that follow each other with the same key become one, as in the drag of a slider.
    """

    before: T
    after: T
    name: str
    merge_key: Hashable = None


class History(Generic[T]):
    """All steps so far, without a limit."""

    def __init__(self) -> None:
        self._steps: list[Step[T]] = []
        self._done = 0
        self._open = False

    def push(self, step: Step[T]) -> None:
        """Adds a step that was just made; what had been undone before it is gone."""
        del self._steps[self._done :]
        last = self._steps[-1] if self._steps else None
        merges = self._open and last is not None and step.merge_key is not None
        if merges and last is not None and last.merge_key == step.merge_key:
            self._steps[-1] = dataclasses.replace(last, after=step.after)
        else:
            self._steps.append(step)
        self._done = len(self._steps)
        self._open = True

    def close(self) -> None:
        """Ends a merge: the next step stands for itself."""
        self._open = False

    def undo(self) -> Step[T]:
        """Takes the last step back and gives it. Raises IndexError if there is none."""
        if not self._done:
            raise IndexError("there is nothing to undo")
        self._open = False
        self._done -= 1
        return self._steps[self._done]

    def redo(self) -> Step[T]:
        """Makes the last undone step again and gives it. Raises IndexError if there is none."""
        if self._done == len(self._steps):
            raise IndexError("there is nothing to redo")
        self._open = False
        self._done += 1
        return self._steps[self._done - 1]

    @property
    def last(self) -> Step[T] | None:
        """The step that would be undone next, or None."""
        return self._steps[self._done - 1] if self._done else None

    @property
    def undo_names(self) -> tuple[str, ...]:
        """Names of what can be undone, the last step first."""
        return tuple(step.name for step in reversed(self._steps[: self._done]))

    @property
    def redo_names(self) -> tuple[str, ...]:
        """Names of what can be made again, the next one first."""
        return tuple(step.name for step in self._steps[self._done :])

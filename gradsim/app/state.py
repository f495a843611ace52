"""What the window looks at: shared by all views, owned by none.

A view reads these values, shows them and changes them here; every other view hears of it. Nothing in here is part of
the experiment, so nothing is undone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from PySide6.QtCore import QObject, Signal

from gradsim.telemetry.quantities import Thresholds, quantity


@dataclasses.dataclass(frozen=True)
class Mark:
    """A part of the heatmap that somebody points at: rows and steps, the first included, the last step not.

    Attributes:
        stop: None is the latest step.
    """

    first_row: int
    last_row: int
    start: int
    stop: int | None


class ViewState(QObject):
    """Quantity, moment, hovered place, selection, shown range and thresholds."""

    quantity_changed = Signal(str)
    cursor_changed = Signal(object)
    hover_changed = Signal(object)
    selection_changed = Signal(tuple)
    range_changed = Signal(object)
    thresholds_changed = Signal(str)
    mark_changed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._quantity = "delta_rms"
        self._cursor: int | None = None
        self._hover: tuple[int, int | None] | None = None
        self._selection: tuple[str, ...] = ()
        self._range: tuple[float, float] | None = None
        self._thresholds: dict[str, Thresholds] = {}
        self._mark: Mark | None = None

    @property
    def quantity(self) -> str:
        """Key of the quantity on the heatmap, the strips and the profile."""
        return self._quantity

    def set_quantity(self, key: str) -> None:
        """Shows another quantity; raises KeyError for an unknown key."""
        quantity(key)
        if key != self._quantity:
            self._quantity = key
            self.quantity_changed.emit(key)

    @property
    def cursor(self) -> int | None:
        """The step that every view shows; None is live, the latest one."""
        return self._cursor

    def set_cursor(self, step: int | None) -> None:
        """Goes to a recorded step, or back to live."""
        if step != self._cursor:
            self._cursor = step
            self.cursor_changed.emit(step)

    @property
    def hover(self) -> tuple[int, int | None] | None:
        """``(step, row)`` under the mouse, in whichever view; the row is None where the view has no layers."""
        return self._hover

    def set_hover(self, place: tuple[int, int | None] | None) -> None:
        """The mouse is over a step (and a layer), or over none."""
        if place != self._hover:
            self._hover = place
            self.hover_changed.emit(place)

    @property
    def selection(self) -> tuple[str, ...]:
        """Identities of the selected layers, in the order of selection; the last one is current."""
        return self._selection

    def select(self, uids: Iterable[str]) -> None:
        """Selects these layers and no others."""
        chosen = tuple(dict.fromkeys(uids))
        if chosen != self._selection:
            self._selection = chosen
            self.selection_changed.emit(chosen)

    @property
    def mark(self) -> Mark | None:
        """What is pointed at on the heatmap, or None."""
        return self._mark

    def set_mark(self, mark: Mark | None) -> None:
        """Points at a part of the heatmap, or at none."""
        if mark != self._mark:
            self._mark = mark
            self.mark_changed.emit(mark)

    @property
    def range(self) -> tuple[float, float] | None:
        """Steps that the time axes show; None follows the run (everything, or the latest part)."""
        return self._range

    def set_range(self, steps: tuple[float, float] | None) -> None:
        """Zooms all time axes together; None follows the run again."""
        if steps != self._range:
            self._range = steps
            self.range_changed.emit(steps)

    def thresholds(self, key: str) -> Thresholds:
        """The colour scale of a quantity: the user's, or its own."""
        return self._thresholds.get(key) or quantity(key).thresholds

    def set_thresholds(self, key: str, thresholds: Thresholds | None) -> None:
        """Sets the colour scale of a quantity; None goes back to its own."""
        if thresholds is None:
            self._thresholds.pop(key, None)
        else:
            self._thresholds[key] = thresholds
        self.thresholds_changed.emit(key)

    def changed_thresholds(self) -> Mapping[str, Thresholds]:
        """The scales that the user set, to keep in the settings."""
        return dict(self._thresholds)

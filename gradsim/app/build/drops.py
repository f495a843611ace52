"""Where a dragged layer would go: between two cards, into a group, at one of the ends."""

from __future__ import annotations

import dataclasses

from gradsim.app.build.arrangement import Arrangement
from gradsim.model import edits
from gradsim.model.experiment import Experiment
from gradsim.nn.layers import Repeat, Residual


@dataclasses.dataclass(frozen=True)
class DropPlace:
    """Where a dragged layer would go.

    Attributes:
        line: ``(x, y)`` of the left end of the insertion line, in contents; None marks the whole group ``into``.
    """

    parent: str
    index: int
    line: tuple[float, float] | None
    into: str = ""


def drop_place(arrangement: Arrangement, experiment: Experiment, left: float, y: float) -> DropPlace:
    """Where a layer would go that is dropped at ``y`` of the contents.

    Args:
        left: Where the outermost cards begin.
    """
    sizes = arrangement.sizes
    item, layers = arrangement.at(y), experiment.layers
    if item is None:
        top = y < arrangement.height / 2
        ends = [one for one in arrangement.items if one.kind in ("input", "loss")]
        item = ends[0] if top else ends[-1]
    if item.kind in ("input", "loss"):
        index = 0 if item.kind == "input" else len(layers)
        first = item is arrangement.items[0]
        return DropPlace("", index, (left, item.bottom + sizes.gap / 2 if first else item.top - sizes.gap / 2))
    x = left + item.depth * sizes.indent
    share = (y - item.top) / item.height
    above, below = (x, item.top - sizes.gap / 2), (x, item.bottom + sizes.gap / 2)
    before, after = (item.index + 1, item.index) if arrangement.upwards else (item.index, item.index + 1)
    group = item.layer if isinstance(item.layer, Repeat | Residual) else None
    if item.kind == "header":
        inside = len(group.layers) if group is not None and arrangement.upwards else 0
        if share < 0.4:
            return DropPlace(item.parent, before, above)
        return DropPlace(item.uid, inside, (x + sizes.indent, below[1]))
    if item.kind in ("rounds", "empty"):
        return DropPlace(item.parent, item.index, below if arrangement.upwards else above)
    if item.kind == "foot":
        if share < 0.6:
            return DropPlace(item.parent, item.index, above)
        around = edits.place(experiment, item.uid)
        index = around.index if arrangement.upwards else around.index + 1
        return DropPlace(around.parent, index, (x - sizes.indent, below[1]))
    if group is not None and 0.3 < share < 0.7:
        return DropPlace(item.uid, len(group.layers), None, into=item.uid)
    if share < 0.5:
        return DropPlace(item.parent, before, above)
    return DropPlace(item.parent, after, below)

"""Where the rows of several stacks stand, so that a layer that all have is level in all pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from gradsim.app.see.rows import Band, RowLayout
from gradsim.diagnose.twins import Differences

LOW = 0.3
"""Height of a line that not all stacks have a layer in, of the others' height: else gaps would be what one sees."""


@dataclasses.dataclass(frozen=True)
class Lines:
    """A line for each layer that any of the stacks has.

    Attributes:
        of: For each stack, the line of each of its rows.
        shared: For each line, whether all stacks have a row in it.
    """

    of: tuple[tuple[int, ...], ...]
    shared: tuple[bool, ...]

    def spans(self, height: float, *, upwards: bool = False, name: float = 0.0) -> list[tuple[float, float]]:
        """Top and height of each line, if all together are ``height`` pixels high.

        Args:
            name: Height of a name; low lines leave room at both ends, so that the outermost ones have their names.
        """
        weights = [1.0 if shared else LOW for shared in self.shared]
        total = max(sum(weights), 1e-9)
        margin = min(max(0.0, (name - height / total) / 2), height / 20)
        unit = (height - 2 * margin) / total
        found, top = [], margin
        for weight in weights:
            tall = weight * unit
            found.append((height - top - tall if upwards else top, tall))
            top += tall
        return found

    def layouts(self, height: float, *, upwards: bool = False, name: float = 0.0) -> tuple[RowLayout, ...]:
        """Where the rows of each stack lie."""
        spans = self.spans(height, upwards=upwards, name=name)
        return tuple(
            RowLayout(tuple(Band(row, row, *spans[line]) for row, line in enumerate(lines)), height, upwards)
            for lines in self.of
        )

    def gaps(self, place: int) -> tuple[int, ...]:
        """The lines in which a stack has no layer."""
        own = set(self.of[place])
        return tuple(line for line in range(len(self.shared)) if line not in own)


def aligned(rows: Sequence[int], differences: Sequence[Differences]) -> Lines:
    """Lines for stacks of so many rows each; ``differences`` are those of the first one and each of the others."""
    first, *others = rows
    # What another stack has between two layers of the first one takes lines of its own, which the others share.
    inserted = [[0] * (first + 1) for _ in others]
    places: list[list[tuple[int, int | None]]] = []
    for number, (count, found) in enumerate(zip(others, differences, strict=True)):
        paired = {b: a for a, b in found.pairs}
        slot = 0
        place: list[tuple[int, int | None]] = []
        for row in range(count):
            if row in paired:
                slot = paired[row] + 1
                place.append((paired[row], None))
            else:
                place.append((slot, inserted[number][slot]))
                inserted[number][slot] += 1
        places.append(place)
    begins, starts, line = [], [], 0
    for slot in range(first + 1):
        starts.append(line)
        line += max((of[slot] for of in inserted), default=0)
        begins.append(line)
        line += slot < first
    of = [tuple(begins[:first])]
    for place in places:
        of.append(tuple(begins[slot] if extra is None else starts[slot] + extra for slot, extra in place))
    owners = [0] * line
    for lines in of:
        for one in lines:
            owners[one] += 1
    return Lines(tuple(of), tuple(count == len(rows) for count in owners))

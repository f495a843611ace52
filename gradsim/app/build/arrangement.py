"""Where each card of the column lies, and which rows of the expanded stack it stands for. Pure geometry.

The column is read in data order: from the input card at the bottom to the loss card on top where the stack stands
``upwards`` (the lower layers are the lower ones of the lecture), or the other way round.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Collection, Iterator
from typing import Literal

from gradsim.app.see.rows import Band, RowLayout
from gradsim.data import DataError
from gradsim.model.experiment import Experiment
from gradsim.model.stack import MAX_ROWS, StackError, count_rows, snake_case
from gradsim.nn.layers import Layer, Repeat, Residual, Shape, ShapeError

Kind = Literal["input", "loss", "card", "header", "foot", "rounds", "empty"]
Density = Literal["comfortable", "compact"]

INPUT, LOSS = "<input>", "<loss>"
"""Stand for the two ends where a card is named by the uid of its layer."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Heights of one density, in pixels.

    Attributes:
        card: Of a card.
        end: Of the cards of the data and of the loss.
        words: Added to a card whose problem is said in words.
        header: Of the title of an open group.
        foot: Of the end of an open group: where a layer can be dropped as its last.
        round: Of each further row of an open repeat group.
        stripe: Least height of a row in a folded group; the card grows up to ``folded``.
        folded: Greatest height of a folded group.
        gap: Between two cards.
        indent: Of each level of groups.
    """

    card: float
    end: float
    words: float
    header: float
    foot: float
    round: float
    stripe: float
    folded: float
    gap: float
    indent: float

    def scaled(self, factor: float) -> Sizes:
        """The same at another zoom, in whole pixels."""
        return Sizes(*(max(1.0, round(size * factor)) for size in dataclasses.astuple(self)))

    def grown(self, by: float, limit: float) -> Sizes:
        """The same, with cards higher by so many pixels, up to ``limit``; what stands for many rows grows along."""
        return dataclasses.replace(
            self,
            card=min(self.card + by, max(limit, self.card)),
            round=min(self.round + by / 2, max(ROUND_LIMIT, self.round)),
            stripe=min(self.stripe + by, max(STRIPE_LIMIT, self.stripe)),
            folded=self.folded + 20 * by,
        )


STRIPE_WANTED = 12.0
"""Height at which a row of a folded group has room for its glyph."""
STRIPE_LIMIT = 18.0
ROUND_LIMIT = 20.0
"""Heights up to which a row of a group grows; more says no more."""

SIZES: dict[Density, Sizes] = {
    "comfortable": Sizes(44, 40, 16, 26, 8, 14, 2, 120, 4, 16),
    "compact": Sizes(19, 20, 15, 19, 5, 11, 1, 60, 1, 12),
}


@dataclasses.dataclass(frozen=True)
class Info:
    """What a layer is in its place.

    Attributes:
        name: Its name in the stack; the first one for a layer that is repeated.
        before: Shape of a row before it; None where an earlier fault leaves it open.
        after: Shape of a row behind it.
        parameters: All weights, of all repetitions; None where the shapes are open.
        trainable: False if it or a group around it is frozen.
        enabled: False if it or a group around it is switched off.
    """

    name: str
    before: Shape | None
    after: Shape | None
    parameters: int | None
    trainable: bool
    enabled: bool


@dataclasses.dataclass(frozen=True)
class Item:
    """One card, or one part of an open group.

    Attributes:
        uid: Of its layer; ``INPUT`` or ``LOSS`` for an end.
        parent: The group it is in; "" for none.
        index: Its number there, in data order.
        depth: How many groups are around it.
        rows: ``(first, stop)`` rows of the expanded stack that it shows; equal where it shows none.
        words: True if its problem is said below it.
    """

    kind: Kind
    uid: str
    parent: str
    index: int
    depth: int
    top: float
    height: float
    rows: tuple[int, int] = (0, 0)
    layer: Layer | None = None
    words: bool = False

    @property
    def bottom(self) -> float:
        """Where it ends."""
        return self.top + self.height

    @property
    def selectable(self) -> bool:
        """True if the keyboard stops here."""
        return self.kind not in ("foot", "rounds", "empty")


@dataclasses.dataclass(frozen=True)
class Spine:
    """The line beside an open group.

    Attributes:
        skip: True for a residual block, whose input goes past what is inside.
    """

    uid: str
    depth: int
    top: float
    bottom: float
    skip: bool


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """The whole column, from top to bottom."""

    items: tuple[Item, ...]
    spines: tuple[Spine, ...]
    height: float
    upwards: bool
    row_uids: tuple[str, ...]
    density: Density
    sizes: Sizes

    @property
    def layout(self) -> RowLayout:
        """Where the rows lie, for the views beside the column."""
        bands = tuple(
            Band(item.rows[0], item.rows[1] - 1, item.top, item.height)
            for item in self.items
            if item.rows[1] > item.rows[0]
        )
        return RowLayout(bands, self.height, self.upwards)

    def filling(self, room: float, limit: float) -> Sizes:
        """The sizes with which the column fills ``room`` pixels, its cards no higher than ``limit``.

        The pictures beside the column have its height: room that it leaves would be room that they lose.
        """
        cards = [item.rows[1] - item.rows[0] if _is_folded(item) else 0 for item in self.items if item.kind == "card"]
        rounds = sum(item.rows[1] - item.rows[0] for item in self.items if item.kind == "rounds")

        def height(sizes: Sizes) -> float:
            return rounds * sizes.round + sum(card_height(sizes, rows) for rows in cards)

        rest = self.height - height(self.sizes)
        low, high = 0.0, room
        for _ in range(12):
            middle = (low + high) / 2
            if rest + height(self.sizes.grown(middle, limit)) <= room:
                low = middle
            else:
                high = middle
        return self.sizes.grown(low, limit)

    @property
    def crowded(self) -> bool:
        """True if the rows of a folded group are thin for want of room that the other cards take."""
        return any(
            item.height / (item.rows[1] - item.rows[0]) < STRIPE_WANTED
            for item in self.items
            if item.kind == "card" and _is_folded(item) and item.rows[1] > item.rows[0]
        )

    def at(self, y: float) -> Item | None:
        """The item at ``y``; the gap below one belongs to it."""
        index = bisect.bisect_right([item.top for item in self.items], y) - 1
        return self.items[index] if index >= 0 and y < self.height else None

    def item(self, uid: str) -> Item | None:
        """The card or header of a layer, if it is shown."""
        return next((item for item in self.items if item.uid == uid and item.selectable), None)

    def between(self, top: float, bottom: float) -> Iterator[Item]:
        """The items that reach into these pixels."""
        first = max(0, bisect.bisect_right([item.top for item in self.items], top) - 1)
        for item in self.items[first:]:
            if item.top >= bottom:
                return
            yield item


def card_height(sizes: Sizes, rows: int) -> float:
    """Height of a card; that of a folded group grows with the rows that it stands for."""
    return max(sizes.card, min(rows * sizes.stripe, sizes.folded))


def _is_folded(item: Item) -> bool:
    return isinstance(item.layer, Repeat | Residual)


def arrange(
    experiment: Experiment,
    *,
    unfolded: Collection[str],
    sizes: Sizes,
    density: Density,
    upwards: bool,
    words: Callable[[str], bool],
) -> Arrangement:
    """Lays the column out.

    Args:
        unfolded: Groups that are open, by uid.
        words: Whether the problem of a layer (or end) is said in words below its card.
    """
    return _Builder(experiment, frozenset(unfolded), sizes, density, upwards, words).build()


class _Builder:
    def __init__(
        self,
        experiment: Experiment,
        unfolded: frozenset[str],
        sizes: Sizes,
        density: Density,
        upwards: bool,
        words: Callable[[str], bool],
    ) -> None:
        self.experiment, self.unfolded, self.sizes = experiment, unfolded, sizes
        self.density, self.upwards, self.words = density, upwards, words
        self.items: list[Item] = []
        self.spines: list[Spine] = []
        self.y = sizes.gap

    def build(self) -> Arrangement:
        layers = self.experiment.layers
        total = count_rows(layers)
        self.end(LOSS if self.upwards else INPUT)
        self.stack(layers, "", 0, 0, True)
        self.end(INPUT if self.upwards else LOSS)
        # Groups in groups multiply; a stack that is too large to be trained has no rows to show.
        uids = tuple(row_uids(layers)) if total <= MAX_ROWS else ()
        return Arrangement(tuple(self.items), tuple(self.spines), self.y, self.upwards, uids, self.density, self.sizes)

    def add(self, kind: Kind, uid: str, height: float, **rest: object) -> None:
        words = kind in ("card", "header", "input", "loss") and self.words(uid)
        if words:
            height += self.sizes.words
        item = Item(kind, uid, top=self.y, height=height, words=words, **rest)  # type: ignore[arg-type]
        self.items.append(item)
        self.y += height + (self.sizes.gap if kind not in ("rounds",) else 0)

    def end(self, uid: str) -> None:
        kind: Kind = "input" if uid == INPUT else "loss"
        self.add(kind, uid, self.sizes.end, parent="", index=0, depth=0)

    def stack(self, layers: tuple[Layer, ...], parent: str, depth: int, row: int, enabled: bool) -> None:
        starts = []
        for layer in layers:
            starts.append(row)
            row += count_rows((layer,)) if enabled else 0
        numbered = list(zip(range(len(layers)), layers, starts, strict=True))
        for index, layer, start in reversed(numbered) if self.upwards else numbered:
            on = enabled and layer.enabled
            rows = (start, start + (count_rows((layer,)) if on else 0))
            self.layer(layer, parent, index, depth, rows, on)

    def layer(self, layer: Layer, parent: str, index: int, depth: int, rows: tuple[int, int], enabled: bool) -> None:
        sizes = self.sizes
        place = {"parent": parent, "index": index, "depth": depth, "layer": layer}
        if not isinstance(layer, Repeat | Residual):
            self.add("card", layer.uid, sizes.card, rows=rows, **place)
            return
        if layer.uid not in self.unfolded:
            self.add("card", layer.uid, card_height(sizes, rows[1] - rows[0]), rows=rows, **place)
            return
        top = self.y
        self.add("header", layer.uid, sizes.header, **place)
        each = count_rows(layer.layers) if enabled else 0
        others = (rows[0] + each, rows[1])
        if self.upwards:
            self.rounds(layer, others, depth)
        if layer.layers:
            self.stack(layer.layers, layer.uid, depth + 1, rows[0], enabled)
        else:
            self.add("empty", layer.uid, sizes.card, parent=layer.uid, index=0, depth=depth + 1)
        if not self.upwards:
            self.rounds(layer, others, depth)
        foot = 0 if self.upwards else len(layer.layers)
        self.add("foot", layer.uid, sizes.foot, parent=layer.uid, index=foot, depth=depth + 1)
        bottom = self.y - sizes.gap
        self.spines.append(Spine(layer.uid, depth, top, bottom, isinstance(layer, Residual)))

    def rounds(self, layer: Layer, rows: tuple[int, int], depth: int) -> None:
        count = rows[1] - rows[0]
        if count <= 0:
            return
        self.add(
            "rounds",
            layer.uid,
            count * self.sizes.round,
            parent=layer.uid,
            index=len(layer.children()),
            depth=depth + 1,
            rows=rows,
            layer=layer,
        )
        self.y += self.sizes.gap


def row_uids(layers: tuple[Layer, ...]) -> Iterator[str]:
    """Identity of the layer of each row of the expanded stack, in data order."""
    for layer in layers:
        if not layer.enabled:
            continue
        if isinstance(layer, Repeat):
            yield from list(row_uids(layer.layers)) * layer.count
        elif isinstance(layer, Residual):
            yield from row_uids(layer.layers)
        else:
            yield layer.uid


def same_stack(before: Experiment, after: Experiment) -> bool:
    """True if data and layers, with their identities, are the very same: then so is all that cards say of them."""
    same = len(before.layers) == len(after.layers) and all(
        one is other for one, other in zip(before.layers, after.layers, strict=True)
    )
    return same and before.data is after.data


def describe(experiment: Experiment) -> dict[str, Info]:
    """Names, shapes and parameters of all layers, by uid, as far as they can be told."""
    shape: Shape | None = None
    names: dict[str, str] = {}
    try:
        shape = experiment.data.signature().input_shape
        for placed in experiment.stack().layers:
            names.setdefault(placed.layer.uid, placed.name)
    except (DataError, StackError):
        # The shapes up to the fault can be told all the same.
        pass
    found: dict[str, Info] = {}

    def walk(layers: tuple[Layer, ...], shape: Shape | None, trainable: bool, enabled: bool) -> Shape | None:
        for layer in layers:
            trains, on = trainable and layer.trainable, enabled and layer.enabled
            walk(layer.children(), shape, trains, on)
            after, parameters = passed(layer, shape) if on else (shape, 0)
            name = names.get(layer.uid) or layer.name or snake_case(layer.identifier)
            found[layer.uid] = Info(name, shape, after, parameters, trains, on)
            shape = after
        return shape

    walk(experiment.layers, shape, True, True)
    return found


def passed(layer: Layer, shape: Shape | None) -> tuple[Shape | None, int | None]:
    """Shape behind a layer, and all its weights; None where a fault leaves it open."""
    if shape is None:
        return None, None
    if isinstance(layer, Repeat):
        after, first = _passed_all(layer.layers, shape)
        if layer.count == 1:
            return after, first
        # Only the first round gets what stands before the group; all others get what a round leaves.
        after, later = _passed_all(layer.layers, after)
        return after, None if first is None or later is None else first + (layer.count - 1) * later
    if isinstance(layer, Residual):
        after, parameters = _passed_all(layer.layers, shape)
        return (shape if after == shape else None), parameters
    try:
        return layer.output_shape(shape), sum(weight.size for weight in layer.weights(shape))
    except ShapeError:
        return None, None


def _passed_all(layers: tuple[Layer, ...], shape: Shape | None) -> tuple[Shape | None, int | None]:
    total: int | None = 0
    for layer in layers:
        if layer.enabled:
            shape, parameters = passed(layer, shape)
            total = None if total is None or parameters is None else total + parameters
    return shape, total

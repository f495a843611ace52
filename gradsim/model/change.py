"""What differs between two experiments, and whether a run can go on with its weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from gradsim.model.experiment import Experiment
from gradsim.nn.layers import Layer
from gradsim.nn.spec import Spec, fields_of

Effect = Literal["none", "text", "live", "freeze", "structure"]

TEXTS = frozenset({"name", "description"})
_NAMES = frozenset({"name"})
_LEARNS = frozenset({"name", "trainable"})


@dataclasses.dataclass(frozen=True)
class Change:
    """What differs between two experiments.

    Attributes:
        facets: The fields of the experiment that differ ("layers", "data", "loss", "optimizer", ...).
        uids: The layers that came, went, moved or differ themselves.
        effect: "none": equal; "text": names and descriptions only; "live": learning rate, clipping or
            schedule, which a run takes over between two steps; "freeze": which layers learn (and what is live),
            so that a run goes on with its weights; "structure": a run must start again from the seed.
        origin: Who made the change, so that a view may pass over its own.
    """

    facets: frozenset[str] = frozenset()
    uids: frozenset[str] = frozenset()
    effect: Effect = "none"
    origin: object = None

    def __bool__(self) -> bool:
        return self.effect != "none"


def compare(before: Experiment, after: Experiment, origin: object = None) -> Change:
    """What differs between two experiments; identities of layers don't count."""
    facets = frozenset(
        view.name
        for view in fields_of(type(before))
        if getattr(before, view.name) is not getattr(after, view.name)
        and _bare(getattr(before, view.name)) != _bare(getattr(after, view.name))
    )
    uids: frozenset[str] = frozenset()
    if "layers" in facets:
        old, new = _own_fields(before), _own_fields(after)
        uids = frozenset(uid for uid in old.keys() | new.keys() if old.get(uid) != new.get(uid))
    return Change(facets, uids, _effect(before, after, facets), origin)


def _effect(before: Experiment, after: Experiment, facets: frozenset[str]) -> Effect:
    if not facets:
        return "none"
    frozen = False
    for facet in facets - TEXTS:
        if facet == "layers":
            if _bare(before.layers, but=_LEARNS) != _bare(after.layers, but=_LEARNS):
                return "structure"
            frozen = _bare(before.layers, but=_NAMES) != _bare(after.layers, but=_NAMES)
        elif facet != "optimizer" or not _differ_live(before.optimizer, after.optimizer):
            return "structure"
    if frozen:
        return "freeze"
    return "live" if "optimizer" in facets else "text"


def _differ_live(before: Spec, after: Spec) -> bool:
    if type(before) is not type(after):
        return False
    return all(view.live or getattr(before, view.name) == getattr(after, view.name) for view in fields_of(type(before)))


def _bare(value: Any, *, but: frozenset[str] = frozenset()) -> Any:
    """A value that is equal for layers which differ in their identity (or in these fields) alone."""
    if isinstance(value, tuple):
        return tuple(_bare(entry, but=but) for entry in value)
    if not isinstance(value, Layer):
        return value
    return type(value), *(
        _bare(getattr(value, view.name), but=but)
        for view in fields_of(type(value))
        if not view.hidden and view.name not in but
    )


def _own_fields(experiment: Experiment) -> dict[str, Any]:
    """For every layer its place and its fields, without the layers inside."""

    def walk(layers: tuple[Layer, ...], parent: str) -> Iterator[tuple[str, Any]]:
        for layer in layers:
            fields = (
                getattr(layer, view.name) for view in fields_of(type(layer)) if not view.hidden and view.type != "specs"
            )
            yield layer.uid, (parent, type(layer), *fields)
            yield from walk(layer.children(), layer.uid)

    return dict(walk(experiment.layers, ""))

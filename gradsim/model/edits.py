"""What a person can do to an experiment: pure functions that give the edited one.

Layers are named by their ``uid``; "" names the experiment itself, as the holder of fields and as the parent
of the outermost layers. Everything that can't be done raises :class:`EditError` and says why.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from gradsim.i18n import tr, tr_n
from gradsim.model import file, migrations
from gradsim.model.change import Change, compare
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError, explained, near
from gradsim.model.stack import MAX_ROWS
from gradsim.nn import layers as nn_layers
from gradsim.nn.layers import Layer
from gradsim.nn.spec import MISSING, REGISTRIES, Fault, FieldView, Spec, faults_of, fields_of, to_json

Layers = tuple[Layer, ...]


class EditError(FaultsError):
    """An edit that can't be made."""


@dataclasses.dataclass(frozen=True)
class Edit:
    """An edited experiment.

    Attributes:
        before: What it was made from.
        experiment: What it became.
        change: What differs.
        name: What the undo menu calls it.
        selection: The layers a view should select afterwards; None leaves the selection.
    """

    before: Experiment
    experiment: Experiment
    change: Change
    name: str
    selection: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a layer stands.

    Attributes:
        parent: The group it is in; "" for none.
        index: Its number there, from 0.
        path: As in ``layers[2].layers[0]``.
    """

    layer: Layer
    parent: str
    index: int
    path: str


def places(experiment: Experiment) -> Iterator[Place]:
    """Every layer, a group before what is in it."""

    def walk(layers: Layers, parent: str, prefix: str) -> Iterator[Place]:
        for index, layer in enumerate(layers):
            path = f"{prefix}layers[{index}]"
            yield Place(layer, parent, index, path)
            yield from walk(layer.children(), layer.uid, f"{path}.")

    return walk(experiment.layers, "", "")


def place(experiment: Experiment, uid: str) -> Place:
    """Where a layer stands.

    Raises:
        EditError: if there is none of that uid.
    """
    for found in places(experiment):
        if found.layer.uid == uid:
            return found
    raise _error(tr("there is no such layer any more"), uid)


def children(experiment: Experiment, parent: str) -> Layers:
    """The layers in a group, or the outermost ones for ""."""
    return place(experiment, parent).layer.children() if parent else experiment.layers


def _error(message: str, received: object = MISSING, path: str = "") -> EditError:
    return EditError([Fault(path or tr("the stack"), message, received)])


# Fields


def set_field(experiment: Experiment, uid: str | Iterable[str], path: str, value: object) -> Edit:
    """Sets a field.

    Args:
        uid: A layer, several layers at once, or "" for the experiment.
        path: Name of the field, or with dots that of one further in: ``"units"``, ``"activation.alpha"``,
            ``"optimizer.learning_rate"``.
        value: As in a file, or a spec.
    """
    parts = path.split(".")
    return _set(experiment, uid, path, lambda holder: _assigned(holder, parts, value, ""))


def choose(experiment: Experiment, uid: str | Iterable[str], path: str, identifier: str) -> Edit:
    """Puts another thing of its kind into a field: another optimizer, activation, initializer, dataset, ...

    What both have in common is kept, but a learning rate never is: each optimizer has its own scale.
    """
    parts = path.split(".")

    def chosen(holder: Spec) -> object:
        owner, view = _field(holder, parts)
        old = getattr(owner, parts[-1])
        kind = "dataset" if view.name == "data" else view.kind
        return _assigned(holder, parts, _kept(kind, identifier, old), "")

    return _set(experiment, uid, path, chosen)


def reset_field(experiment: Experiment, uid: str | Iterable[str], path: str) -> Edit:
    """Sets a field back to its default."""
    parts = path.split(".")

    def reset(holder: Spec) -> object:
        _, view = _field(holder, parts)
        if view.required:
            raise _error(tr("has no default"), path=path)
        return _assigned(holder, parts, view.default, "")

    return _set(experiment, uid, path, reset, reset=True)


def _set(
    experiment: Experiment,
    uid: str | Iterable[str],
    path: str,
    function: Callable[[Any], Any],
    *,
    reset: bool = False,
) -> Edit:
    uids = (uid,) if isinstance(uid, str) else tuple(dict.fromkeys(uid))
    holder: Spec = place(experiment, uids[0]).layer if uids and uids[0] else experiment
    _, view = _field(holder, path.split("."))
    after = experiment
    for one in uids:
        after = _with_layer(after, one, function) if one else function(after)
    title = tr(view.title)
    title = title if title[1:2].isupper() else title[:1].lower() + title[1:]
    return _made(experiment, after, tr("Reset {field}", field=title) if reset else tr("Change {field}", field=title))


def _field(holder: Spec, parts: Sequence[str]) -> tuple[Spec, FieldView]:
    """The spec that has the field, and the field."""
    owner: Any = holder
    for number, part in enumerate(parts):
        views = {view.name: view for view in fields_of(type(owner))} if isinstance(owner, Spec) else {}
        view = views.get(part)
        if view is None or view.hidden:
            names = [name for name, view in views.items() if not view.hidden]
            message = tr("is not a field; must be one of {names}", names=", ".join(names)) + near(part, names)
            raise _error(message if names else tr("is not a field here"), path=".".join(parts[: number + 1]))
        if number == len(parts) - 1:
            return owner, view
        owner = getattr(owner, part)
    raise _error(tr("must be the name of a field"), "")


def _assigned(holder: Any, parts: Sequence[str], value: object, prefix: str) -> Any:
    _field(holder, parts[:1])
    if len(parts) > 1:
        value = _assigned(getattr(holder, parts[0]), parts[1:], value, f"{prefix}{parts[0]}.")
    try:
        return dataclasses.replace(holder, **{parts[0]: value})
    except ValidationError as error:
        raise EditError(
            dataclasses.replace(explained(fault, type(holder), {}), path=f"{prefix}{fault.path}".rstrip("."))
            for fault in faults_of(error)
        ) from None
    except PydanticCustomError as error:
        raise _error(error.message(), value, f"{prefix}{parts[0]}") from None


def _kept(kind: str, identifier: str, old: object) -> object:
    """A JSON object for a spec of this name that takes over what it can from another."""
    registry = REGISTRIES.get(kind)
    if registry is None or identifier not in registry:
        return identifier
    values: dict[str, Any] = {}
    known = {view.name: view for view in fields_of(type(old))} if isinstance(old, Spec) else {}
    for view in fields_of(registry[identifier]):
        was = known.get(view.name)
        if was is None or was.type != view.type or view.hidden or view.name == "learning_rate":
            continue
        value = getattr(old, view.name)
        if to_json(value) != to_json(was.default):
            values[view.name] = value
    while True:
        try:
            return registry.validate({"type": identifier, **values})
        except ValidationError as error:
            refused = {fault.path.split(".")[0].split("[")[0] for fault in faults_of(error)} & values.keys()
            if not refused:
                return {"type": identifier, **values}
            for name in refused:
                del values[name]


# Layers


def insert(experiment: Experiment, layers: Layer | Iterable[Layer], parent: str = "", index: int | None = None) -> Edit:
    """Adds layers in a group (or outermost) before the one of number ``index``; None adds them at the end."""
    new = _fresh((layers,) if isinstance(layers, Layer) else tuple(layers))
    after = _with_children(experiment, parent, lambda inside: _spliced(inside, index, new))
    return _made(experiment, after, tr("Add {layers}", layers=_named(new)), new, select=new)


def remove(experiment: Experiment, uids: Iterable[str]) -> Edit:
    """Takes layers out, a group with all that is in it."""
    gone = _roots(experiment, uids)
    after = _without(experiment, {found.layer.uid for found in gone})
    return _made(experiment, after, tr("Delete {layers}", layers=_named(found.layer for found in gone)), select=())


def move(experiment: Experiment, uids: Iterable[str], parent: str, index: int | None = None) -> Edit:
    """Moves layers before the one that is number ``index`` of a group now; None moves them to its end."""
    roots = _roots(experiment, uids)
    moved = tuple(found.layer for found in roots)
    inside = {layer.uid for root in moved for layer in _tree(root)}
    if parent in inside:
        raise _error(tr("a group can't be moved into itself"), parent)
    if index is not None:
        index -= sum(found.parent == parent and found.index < index for found in roots)
    after = _without(experiment, {layer.uid for layer in moved})
    after = _with_children(after, parent, lambda rest: _spliced(rest, index, moved))
    return _made(experiment, after, tr("Move {layers}", layers=_named(moved)), moved, select=moved)


def shift(experiment: Experiment, uids: Iterable[str], by: int) -> Edit:
    """Moves layers one place up (-1) or down (+1); at the end of a group they step out of it."""
    roots = _roots(experiment, uids)
    parent = roots[0].parent
    if any(found.parent != parent for found in roots):
        raise _error(tr("layers of different groups can't be moved together"), len(roots))
    edge = roots[0].index - 1 if by < 0 else roots[-1].index + 2
    if 0 <= edge <= len(children(experiment, parent)):
        return move(experiment, uids, parent, edge)
    if not parent:
        return _made(experiment, experiment, tr("Move {layers}", layers=_named(found.layer for found in roots)))
    group = place(experiment, parent)
    return move(experiment, uids, group.parent, group.index if by < 0 else group.index + 1)


def duplicate(experiment: Experiment, uids: Iterable[str]) -> Edit:
    """Copies layers to the place behind the last of them in each group."""
    roots = _roots(experiment, uids)
    after = experiment
    copies: list[Layer] = []
    for parent in dict.fromkeys(found.parent for found in roots):
        here = [found for found in roots if found.parent == parent]
        new = _fresh(tuple(found.layer for found in here))
        copies += new
        index = here[-1].index + 1
        after = _with_children(after, parent, functools.partial(_spliced, index=index, new=new))
    return _made(experiment, after, tr("Duplicate {layers}", layers=_named(copies)), copies, select=copies)


def group(experiment: Experiment, uids: Iterable[str], kind: str = "Repeat", **fields: object) -> Edit:
    """Puts neighbouring layers into a new group, "Repeat" or "Residual", with the fields given."""
    roots = _roots(experiment, uids)
    parent, first = roots[0].parent, roots[0].index
    if [(found.parent, found.index) for found in roots] != [(parent, first + n) for n in range(len(roots))]:
        raise _error(tr("only layers that stand next to each other can be put into a group"), len(roots))
    inside = tuple(found.layer for found in roots)
    made = _spec(kind, {"layers": inside, "uid": nn_layers.new_uid(), **fields})
    after = _with_children(experiment, parent, lambda layers: (*layers[:first], made, *layers[first + len(inside) :]))
    name = tr("Put {layers} into {group}", layers=_named(inside), group=made.identifier)
    return _made(experiment, after, name, inside, select=(made,))


def ungroup(experiment: Experiment, uids: Iterable[str], *, unroll: bool = False) -> Edit:
    """Puts the layers of groups in their place: once, or with ``unroll`` as often as a group repeats them."""
    groups = _roots(experiment, uids)
    freed: list[Layer] = []
    after = experiment
    for found in groups:
        group_ = found.layer
        if not isinstance(group_, nn_layers.Repeat | nn_layers.Residual):
            raise _error(tr("only a group can be taken apart"), group_.identifier, found.path)
        rounds = group_.count if unroll and isinstance(group_, nn_layers.Repeat) else 1
        if rounds * sum(1 for child in group_.layers for _ in _tree(child)) > MAX_ROWS:
            raise _error(tr("must become at most {limit:,} layers", limit=MAX_ROWS), path=found.path)
        inside = group_.layers + tuple(layer for _ in range(rounds - 1) for layer in _fresh(group_.layers))
        freed += inside
        after = _replaced(after, group_.uid, inside)
    names = _named(found.layer for found in groups)
    name = tr("Unroll {layers}", layers=names) if unroll else tr("Ungroup {layers}", layers=names)
    return _made(experiment, after, name, freed, select=freed)


def enable(experiment: Experiment, uids: Iterable[str], enabled: bool = True) -> Edit:
    """Switches layers on or off."""
    roots = [place(experiment, uid).layer for uid in dict.fromkeys(uids)]
    after = experiment
    for layer in roots:
        after = _with_layer(after, layer.uid, lambda layer: dataclasses.replace(layer, enabled=enabled))
    names = _named(roots)
    return _made(
        experiment, after, tr("Enable {layers}", layers=names) if enabled else tr("Disable {layers}", layers=names)
    )


def replace_kind(experiment: Experiment, uids: str | Iterable[str], kind: str) -> Edit:
    """Makes layers ones of another kind; what both kinds have in common, and the place, is kept."""
    roots = [place(experiment, uid).layer for uid in ([uids] if isinstance(uids, str) else dict.fromkeys(uids))]
    after = experiment
    made: list[Layer] = []
    for layer in roots:
        new = _kept("layer", kind, layer)
        if not isinstance(new, Layer):
            new = _spec(kind, _with_required(kind, new))
        new = dataclasses.replace(new, uid=layer.uid)
        made.append(new)
        after = _replaced(after, layer.uid, (new,))
    return _made(
        experiment, after, tr("Replace {layers} by {others}", layers=_named(roots), others=_named(made)), select=made
    )


def replace_layers(experiment: Experiment, replacements: Mapping[str, Iterable[Layer]], name: str) -> Edit:
    """Puts other layers in the place of some, by uid. A layer that keeps its uid stays itself."""
    after = experiment
    for uid, layers in replacements.items():
        after = _replaced(after, uid, tuple(layers))
    return _made(experiment, after, name)


def replace_all(experiment: Experiment, other: Experiment, name: str) -> Edit:
    """Another experiment in the place of this one, as one step."""
    return _made(experiment, other, name, select=())


def combine(edits: Iterable[Edit], name: str) -> Edit:
    """Edits that were each made from the last one's result, as one step."""
    steps = list(edits)
    for one, following in itertools.pairwise(steps):
        if following.before is not one.experiment:
            raise _error(tr("each edit must be made from the result of the one before it"))
    touched = frozenset[str]().union(*(step.change.uids for step in steps))
    change = compare(steps[0].before, steps[-1].experiment)
    change = dataclasses.replace(change, uids=change.uids | touched) if change else change
    return Edit(steps[0].before, steps[-1].experiment, change, name, steps[-1].selection)


# Clipboard


def copy(experiment: Experiment, uids: Iterable[str]) -> str:
    """The layers as JSON text that :func:`paste` takes, here or in another window."""
    layers = [to_json(found.layer) for found in _roots(experiment, uids)]
    return json.dumps({migrations.KEY: migrations.CURRENT, "layers": layers}, indent=2, ensure_ascii=False) + "\n"


def cut(experiment: Experiment, uids: Iterable[str]) -> tuple[Edit, str]:
    """:func:`remove`, and the text that :func:`copy` gives."""
    uids = tuple(uids)
    name = tr("Cut {layers}", layers=_named(found.layer for found in _roots(experiment, uids)))
    return dataclasses.replace(remove(experiment, uids), name=name), copy(experiment, uids)


def paste(experiment: Experiment, text: str, parent: str = "", index: int | None = None) -> Edit:
    """Adds the layers of a copied text, of a whole file, of a JSON list of layers or of a single one.

    Raises:
        EditError: if it is none of these, with every fault.
    """
    try:
        layers = pasted(text)
    except FaultsError as error:
        raise EditError(error.faults) from None
    edit = insert(experiment, layers, parent, index)
    return dataclasses.replace(edit, name=tr("Paste {layers}", layers=_named(layers)))


def pasted(text: str) -> Layers:
    """The layers that a text holds; raises :class:`FaultsError`."""
    text = text.strip()
    if text.startswith("["):
        text = f'{{"layers": {text}}}'
    content = file.decode(text)
    if migrations.KEY in content:
        content = {migrations.KEY: content[migrations.KEY], "layers": content.get("layers", [])}
        layers = file.loads(json.dumps(content)).experiment.layers
    elif "type" in content:
        layers = file.experiment_from({"layers": [content]}).layers
    else:
        layers = file.experiment_from({"layers": content.get("layers", [])}).layers
    if not layers:
        raise FaultsError([Fault(tr("the text"), tr("must hold layers"), MISSING)])
    return layers


# The tree


def _tree(layer: Layer) -> Iterator[Layer]:
    yield layer
    for child in layer.children():
        yield from _tree(child)


def _roots(experiment: Experiment, uids: Iterable[str]) -> list[Place]:
    """The chosen layers in the order of the stack, without those inside another chosen one."""
    wanted = {uids} if isinstance(uids, str) else set(uids)
    missing = set(wanted)
    found: list[Place] = []
    inside: set[str] = set()
    for one in places(experiment):
        uid = one.layer.uid
        missing.discard(uid)
        if one.parent in inside:
            inside.add(uid)
        elif uid in wanted:
            found.append(one)
            inside.add(uid)
    if missing:
        raise _error(tr("there is no such layer any more"), sorted(missing)[0])
    if not found:
        raise _error(tr("choose at least one layer"))
    return found


def _fresh(layers: Layers) -> Layers:
    """The same layers with identities of their own, also further in."""

    def renewed(layer: Layer) -> Layer:
        changes: dict[str, Any] = {"uid": nn_layers.new_uid()}
        if layer.children():
            changes["layers"] = tuple(renewed(child) for child in layer.children())
        return dataclasses.replace(layer, **changes)

    return tuple(renewed(layer) for layer in layers)


def _spliced(layers: Layers, index: int | None, new: Layers) -> Layers:
    if index is None:
        index = len(layers)
    if not 0 <= index <= len(layers):
        raise _error(tr("there is no such place; must be from 0 to {last}", last=len(layers)), index)
    return (*layers[:index], *new, *layers[index:])


def _mapped(layers: Layers, function: Callable[[Layer], Layers | None]) -> Layers:
    """Each layer replaced by what the function gives for it; for None it stays, and its inside is mapped."""
    found: list[Layer] = []
    for layer in layers:
        new = function(layer)
        if new is not None:
            found += new
            continue
        inside = _mapped(layer.children(), function)
        same = len(inside) == len(layer.children()) and all(map(_is, inside, layer.children()))
        found.append(layer if same else dataclasses.replace(layer, layers=inside))  # type: ignore[call-arg]
    return tuple(found)


def _is(a: object, b: object) -> bool:
    return a is b


def _replaced(experiment: Experiment, uid: str, layers: Layers) -> Experiment:
    place(experiment, uid)
    return dataclasses.replace(
        experiment, layers=_mapped(experiment.layers, lambda layer: layers if layer.uid == uid else None)
    )


def _with_layer(experiment: Experiment, uid: str, function: Callable[[Layer], Layer]) -> Experiment:
    return _replaced(experiment, uid, (function(place(experiment, uid).layer),))


def _with_children(experiment: Experiment, parent: str, function: Callable[[Layers], Layers]) -> Experiment:
    if not parent:
        return dataclasses.replace(experiment, layers=function(experiment.layers))
    holder = place(experiment, parent)
    if not isinstance(holder.layer, nn_layers.Repeat | nn_layers.Residual):
        raise _error(tr("only a group can have layers inside"), holder.layer.identifier, holder.path)
    inside = function(holder.layer.layers)
    return _replaced(experiment, parent, (dataclasses.replace(holder.layer, layers=inside),))


def _without(experiment: Experiment, uids: set[str]) -> Experiment:
    return dataclasses.replace(
        experiment, layers=_mapped(experiment.layers, lambda layer: () if layer.uid in uids else None)
    )


def _spec(kind: str, values: Mapping[str, object]) -> Layer:
    try:
        made: Layer = nn_layers.registry.validate({**values, "type": kind})
    except ValidationError as error:
        raise EditError(faults_of(error)) from None
    return made


def _with_required(kind: str, values: object) -> dict[str, Any]:
    """Values for a layer that has required fields: a Dense that replaces something without units gets 32."""
    fields = dict(values) if isinstance(values, Mapping) else {}
    if kind in nn_layers.registry:
        for view in fields_of(nn_layers.registry[kind]):
            if view.required and view.name not in fields and view.type == "int":
                fields[view.name] = DEFAULT_UNITS
    return fields


DEFAULT_UNITS = 32
"""Units of a Dense layer that nobody has chosen units for yet."""


def _named(layers: Iterable[Layer]) -> str:
    found = list(layers)
    if len(found) == 1:
        return found[0].identifier
    return tr_n("{n} layer", "{n} layers", len(found))


def _made(
    before: Experiment,
    after: Experiment,
    name: str,
    touched: Iterable[Layer] = (),
    select: Iterable[Layer] | None = None,
) -> Edit:
    change = compare(before, after)
    if change:
        change = dataclasses.replace(change, uids=change.uids | {layer.uid for layer in touched})
    selection = None if select is None else tuple(layer.uid for layer in select)
    return Edit(before, after if change else before, change, name, selection if change else None)

"""What a user can do to the selected layers: one function per verb, for menus, keys and the mouse alike.

Each takes the :class:`Session`, makes one edit and gives what changed; what can't be done is said by
``session.failed``. :data:`VERBS` lists them with their words and keys.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QMimeData
from PySide6.QtGui import QGuiApplication

from gradsim.app.build.arrangement import describe
from gradsim.app.session import Session
from gradsim.i18n import mark, tr
from gradsim.model import edits
from gradsim.model.change import Change
from gradsim.model.edits import DEFAULT_UNITS, Edit, EditError, Place
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.nn import layers as nn_layers
from gradsim.nn.layers import Dense, Layer, Repeat, Residual
from gradsim.nn.spec import MISSING, faults_of, fields_of

MIME = "application/x-gradsim-layers"
"""Layers as the JSON text that files hold; the same text goes along as plain text."""
KIND_MIME = "application/x-gradsim-layer-type"
"""A kind of layer from the palette, by its identifier."""


def attempt(session: Session, make: Callable[[Experiment], Edit], merge_key: object = None) -> Change:
    """Makes an edit, or says why it can't be made."""
    try:
        edit = make(session.document.experiment)
    except FaultsError as error:
        session.failed.emit(sentence(error))
        return Change()
    return session.apply(edit, merge_key=merge_key)


def sentence(error: FaultsError) -> str:
    """A refusal as a sentence for the user."""
    said = []
    for fault in error.faults[:3]:
        place = "" if fault.path in ("", "the stack") else f"{fault.path}: "
        words = f"{place}{fault.message}"
        if fault.received is not MISSING:
            words = tr("{message} (received {value})", message=words, value=fault.received)
        said.append(words)
    words = "; ".join(said)
    return words[:1].upper() + words[1:]


def selected(session: Session) -> tuple[str, ...]:
    """The selected layers that still exist."""
    known = {place.layer.uid for place in edits.places(session.document.experiment)}
    return tuple(uid for uid in session.state.selection if uid in known)


def roots(session: Session) -> list[Place]:
    """The selected layers in the order of the stack, without those inside another selected one."""
    chosen = set(selected(session))
    found: list[Place] = []
    inside: set[str] = set()
    for place in edits.places(session.document.experiment):
        if place.parent in inside:
            inside.add(place.layer.uid)
        elif place.layer.uid in chosen:
            found.append(place)
            inside.add(place.layer.uid)
    return found


def after_selection(session: Session) -> tuple[str, int]:
    """Where a new layer goes: behind the last selected one, else before the layer that makes the output."""
    chosen = roots(session)
    if chosen:
        return chosen[-1].parent, chosen[-1].index + 1
    layers = session.document.experiment.layers
    if layers and isinstance(layers[-1], Dense):
        return "", len(layers) - 1
    return "", len(layers)


# The clipboard


def mime_of(text: str) -> QMimeData:
    """Layers for the clipboard or for a drag: for this program, and as text for everything else."""
    data = QMimeData()
    data.setData(MIME, text.encode())
    data.setText(text)
    return data


def copy(session: Session) -> bool:
    """Puts the selected layers on the clipboard, as text."""
    chosen = selected(session)
    if not chosen:
        session.failed.emit(tr("Nothing is selected: click a card first."))
        return False
    QGuiApplication.clipboard().setMimeData(mime_of(edits.copy(session.document.experiment, chosen)))
    return True


def cut(session: Session) -> Change:
    """Copies the selected layers and takes them out."""
    if not copy(session):
        return Change()
    chosen = selected(session)
    return attempt(session, lambda experiment: edits.cut(experiment, chosen)[0])


def paste(session: Session) -> Change:
    """Adds the layers on the clipboard behind the selection."""
    data = QGuiApplication.clipboard().mimeData()
    text = text_of(data)
    if not text.strip():
        session.failed.emit(tr("The clipboard holds no layers: copy some first."))
        return Change()
    parent, index = after_selection(session)
    return attempt(session, lambda experiment: edits.paste(experiment, text, parent, index))


def text_of(data: QMimeData) -> str:
    """The text of layers that a clipboard or a drag holds."""
    if data.hasFormat(MIME):
        return bytes(data.data(MIME).data()).decode("utf-8", "replace")
    return data.text()


def duplicate(session: Session) -> Change:
    """Copies the selected layers to the place behind them."""
    return _with_selection(session, edits.duplicate)


def delete(session: Session) -> Change:
    """Takes the selected layers out; the neighbour is selected then."""
    chosen = roots(session)
    neighbour = _neighbour(session.document.experiment, chosen)
    change = _with_selection(session, edits.remove)
    if change and neighbour:
        session.state.select((neighbour,))
    return change


def _neighbour(experiment: Experiment, chosen: list[Place]) -> str:
    if not chosen:
        return ""
    last = chosen[-1]
    gone = {place.layer.uid for place in chosen}
    siblings = edits.children(experiment, last.parent)
    following = [layer.uid for layer in siblings[last.index + 1 :] if layer.uid not in gone]
    before = [layer.uid for layer in siblings[: last.index] if layer.uid not in gone]
    return (following or before[-1:] or [last.parent])[0]


# State of the layers


def toggle_enabled(session: Session) -> Change:
    """Switches the selected layers off, or on if all of them are off."""
    on = not any(place.layer.enabled for place in roots(session))
    return _with_selection(session, lambda experiment, uids: edits.enable(experiment, uids, on))


def toggle_frozen(session: Session) -> Change:
    """Freezes the selected layers, or lets them learn again if all of them are frozen."""
    trainable = not any(place.layer.trainable for place in roots(session))

    def make(experiment: Experiment, uids: tuple[str, ...]) -> Edit:
        edit = edits.set_field(experiment, uids, "trainable", trainable)
        return dataclasses.replace(edit, name=mark("Unfreeze") if trainable else mark("Freeze"))

    return _with_selection(session, make)


# Groups


def group_repeat(session: Session) -> Change:
    """Puts the selected layers into a repeat group."""
    return _with_selection(session, lambda experiment, uids: edits.group(experiment, uids, "Repeat"))


def group_residual(session: Session) -> Change:
    """Puts the selected layers into a residual block."""
    return _with_selection(session, lambda experiment, uids: edits.group(experiment, uids, "Residual"))


def ungroup(session: Session) -> Change:
    """Puts the layers of the selected groups in their place."""
    return _with_selection(session, edits.ungroup)


def unroll(session: Session) -> Change:
    """Puts the layers of the selected groups in their place, as often as each group repeats them."""
    return _with_selection(session, lambda experiment, uids: edits.ungroup(experiment, uids, unroll=True))


# Places


def move_to_output(session: Session) -> Change:
    """Moves the selected layers one place towards the output, into and out of groups."""
    return _with_selection(session, lambda experiment, uids: shifted(experiment, uids, 1))


def move_to_input(session: Session) -> Change:
    """Moves the selected layers one place towards the input, into and out of groups."""
    return _with_selection(session, lambda experiment, uids: shifted(experiment, uids, -1))


def shifted(experiment: Experiment, uids: Iterable[str], by: int) -> Edit:
    """One place on in the order in which the data pass: a group that comes next is entered, not jumped over."""
    chosen = tuple(uids)
    places = [place for place in edits.places(experiment) if place.layer.uid in set(chosen)]
    outermost = [place for place in places if place.parent not in {one.layer.uid for one in places}]
    if outermost and all(place.parent == outermost[0].parent for place in outermost):
        siblings = edits.children(experiment, outermost[0].parent)
        next_index = outermost[-1].index + 1 if by > 0 else outermost[0].index - 1
        if 0 <= next_index < len(siblings):
            entered = siblings[next_index]
            if isinstance(entered, Repeat | Residual):
                return edits.move(experiment, chosen, entered.uid, 0 if by > 0 else None)
    return edits.shift(experiment, chosen, by)


def select_all(session: Session) -> None:
    """Selects all outermost layers."""
    session.state.select(layer.uid for layer in session.document.experiment.layers)


# New layers


def new_layer(experiment: Experiment, kind: str, parent: str = "", index: int | None = None) -> Layer:
    """A layer of a kind that fits where it goes: a Dense takes after the one before it, a group holds a Dense.

    Raises:
        EditError: if the kind has required fields that nobody can guess.
    """
    values: dict[str, Any] = {}
    if kind in ("Repeat", "Residual"):
        inner = new_layer(experiment, "Dense", parent, index)
        if kind == "Residual" or _residual_around(experiment, parent):
            width = _width_at(experiment, parent, index)
            inner = dataclasses.replace(inner, units=width) if width else inner  # type: ignore[call-arg]
        values["layers"] = (inner,)
    elif kind == "Dense":
        values = _dense_like(experiment, parent, index)
    for view in fields_of(nn_layers.registry[kind]):
        if view.required and view.name not in values and view.type == "int":
            values[view.name] = DEFAULT_UNITS
    try:
        made: Layer = nn_layers.registry.create(kind, **values)
    except ValidationError as error:
        raise EditError(faults_of(error)) from None
    return made


def _dense_like(experiment: Experiment, parent: str, index: int | None) -> dict[str, Any]:
    siblings = edits.children(experiment, parent)
    before = siblings[: len(siblings) if index is None else index]
    everywhere = [place.layer for place in edits.places(experiment)]
    output = next((layer for layer in reversed(everywhere) if isinstance(layer, Dense)), None)
    hidden = [layer for layer in itertools.chain(reversed(before), everywhere) if isinstance(layer, Dense)]
    model = next((layer for layer in hidden if layer is not output), None)
    if model is None:
        return {"units": DEFAULT_UNITS, "activation": "relu", "kernel_initializer": "he_normal"}
    return {name: getattr(model, name) for name in ("units", "activation", "kernel_initializer")}


def _residual_around(experiment: Experiment, parent: str) -> bool:
    while parent:
        place = edits.place(experiment, parent)
        if isinstance(place.layer, Residual):
            return True
        parent = place.parent
    return False


def _width_at(experiment: Experiment, parent: str, index: int | None) -> int | None:
    """How many numbers reach a place, if they are one flat row."""
    siblings = edits.children(experiment, parent)
    at = len(siblings) if index is None else index
    infos = describe(experiment)
    if at > 0:
        shape = infos[siblings[at - 1].uid].after
    elif parent:
        shape = infos[parent].before
    else:
        shape = infos[siblings[0].uid].before if siblings else None
    return shape[0] if shape is not None and len(shape) == 1 else None


def add(session: Session, kind: str, parent: str | None = None, index: int | None = None) -> Change:
    """Adds a new layer of a kind, behind the selection unless a place is given."""
    if parent is None:
        parent, index = after_selection(session)

    def make(experiment: Experiment) -> Edit:
        return edits.insert(experiment, new_layer(experiment, kind, parent, index), parent, index)

    return attempt(session, make)


def replace_kind(session: Session, kind: str) -> Change:
    """Makes the selected layers ones of another kind."""
    return _with_selection(session, lambda experiment, uids: edits.replace_kind(experiment, uids, kind))


def _with_selection(session: Session, make: Callable[[Experiment, tuple[str, ...]], Edit]) -> Change:
    chosen = selected(session)
    if not chosen:
        session.failed.emit(tr("Nothing is selected: click a card first."))
        return Change()
    return attempt(session, lambda experiment: make(experiment, chosen))


@dataclasses.dataclass(frozen=True)
class Verb:
    """One thing to do to the selected layers.

    Attributes:
        name: Stable name for settings.
        text: What a menu says.
        shortcut: The key at first, as ``QKeySequence`` reads it; "" for none.
        tooltip: One plain sentence.
        function: Does it.
        possible: Whether it can be done now.
        section: Verbs of one section stand together in a menu.
    """

    name: str
    text: str
    shortcut: str
    tooltip: str
    function: Callable[[Session], object]
    possible: Callable[[Session], bool]
    section: str


def _any(session: Session) -> bool:
    return bool(selected(session))


def _neighbours(session: Session) -> bool:
    chosen = roots(session)
    return bool(chosen) and all(
        one.parent == chosen[0].parent and one.index == chosen[0].index + number for number, one in enumerate(chosen)
    )


def _groups(session: Session) -> bool:
    chosen = roots(session)
    return bool(chosen) and all(isinstance(one.layer, Repeat | Residual) for one in chosen)


def _layers(session: Session) -> bool:
    return bool(session.document.experiment.layers)


def _always(session: Session) -> bool:
    return True


VERBS: tuple[Verb, ...] = (
    Verb("cut", "Cu&t layers", "Ctrl+X", "Copy the selected layers as text and take them out.", cut, _any, "clipboard"),
    Verb(
        "copy",
        "&Copy layers",
        "Ctrl+C",
        "Copy the selected layers as text, for here, another window or an e-mail.",
        copy,
        _any,
        "clipboard",
    ),
    Verb(
        "paste", "&Paste layers", "Ctrl+V", "Add the copied layers behind the selection.", paste, _always, "clipboard"
    ),
    Verb(
        "duplicate",
        "&Duplicate",
        "Ctrl+D",
        "Copy the selected layers to the place behind them.",
        duplicate,
        _any,
        "clipboard",
    ),
    Verb("delete", "D&elete", "Del", "Take the selected layers out of the stack.", delete, _any, "clipboard"),
    Verb("select_all", "Select &all", "Ctrl+A", "Select every layer of the stack.", select_all, _layers, "clipboard"),
    Verb(
        "toggle_enabled",
        "Enable or d&isable",
        "Ctrl+E",
        "Train as if the selected layers weren't there, or with them again.",
        toggle_enabled,
        _any,
        "state",
    ),
    Verb(
        "toggle_frozen",
        "&Freeze or unfreeze",
        "Ctrl+Shift+F",
        "Keep the weights of the selected layers as they are, or train them again.",
        toggle_frozen,
        _any,
        "state",
    ),
    Verb(
        "group_repeat",
        "&Group into repeat",
        "Ctrl+G",
        "Put the selected layers into a group that is repeated.",
        group_repeat,
        _neighbours,
        "groups",
    ),
    Verb(
        "group_residual",
        "Group into residual &block",
        "Ctrl+Shift+G",
        "Put the selected layers into a block whose input is added to its output.",
        group_residual,
        _neighbours,
        "groups",
    ),
    Verb(
        "ungroup",
        "U&ngroup",
        "Ctrl+U",
        "Put the layers of the selected groups in their place.",
        ungroup,
        _groups,
        "groups",
    ),
    Verb(
        "unroll",
        "Unro&ll",
        "Ctrl+Shift+U",
        "Put every repetition of the selected groups in their place.",
        unroll,
        _groups,
        "groups",
    ),
)
"""In the order of a menu. Moving depends on how the column stands: see ``CardsColumn.move_selection``."""

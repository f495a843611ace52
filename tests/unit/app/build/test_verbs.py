"""What can be done to the selection, without a window."""

from __future__ import annotations

import json
from collections.abc import Callable

from PySide6.QtGui import QGuiApplication

from gradsim.app.build import verbs
from gradsim.app.session import Session
from gradsim.model import edits
from gradsim.nn.layers import Dense, Dropout, Repeat, Residual

MakeSession = Callable[..., Session]


def uids(session: Session) -> list[str]:
    return [layer.uid for layer in session.experiment.layers]


def kinds(session: Session) -> list[str]:
    return [layer.identifier for layer in session.experiment.layers]


def test_that_layers_go_from_one_window_to_another_as_text(make_session: MakeSession) -> None:
    one, other = make_session(), make_session(Dense(4), Dense(1, "sigmoid"))
    one.state.select(uids(one)[:2])
    assert verbs.copy(one)
    text = QGuiApplication.clipboard().text()
    assert [layer["type"] for layer in json.loads(text)["layers"]] == ["Dense", "Dense"]
    other.state.select(uids(other)[:1])
    verbs.paste(other)
    assert [layer.units for layer in other.experiment.layers] == [4, 8, 6, 1]  # type: ignore[attr-defined]
    assert other.state.selection == tuple(uids(other)[1:3]), "what was pasted is selected"
    other.undo()
    assert len(other.experiment.layers) == 2


def test_that_plain_text_from_elsewhere_can_be_pasted(session: Session, refused: list[str]) -> None:
    QGuiApplication.clipboard().setText('[{"type": "Dropout", "rate": 0.25}]')
    session.state.select(uids(session)[:1])
    verbs.paste(session)
    assert kinds(session) == ["Dense", "Dropout", "Dense", "Dense"]
    assert refused == []


def test_that_a_text_that_holds_no_layers_is_refused_in_words(session: Session, refused: list[str]) -> None:
    for text in ("", "hello", '[{"type": "Dense"}]', '[{"type": "Dens", "units": 3}]'):
        QGuiApplication.clipboard().setText(text)
        verbs.paste(session)
    assert len(refused) == 4
    assert "units" in refused[2]
    assert "Dense" in refused[3]
    assert session.document.undo_names == ()


def test_that_cut_takes_out_what_paste_brings_back(session: Session) -> None:
    chosen = uids(session)[1:2]
    session.state.select(chosen)
    verbs.cut(session)
    assert len(session.experiment.layers) == 2
    verbs.paste(session)
    assert [layer.units for layer in session.experiment.layers] == [8, 6, 1]  # type: ignore[attr-defined]
    assert session.document.undo_names == ("Paste Dense", "Cut Dense")


def test_that_deleting_selects_the_neighbour(session: Session) -> None:
    before = uids(session)
    session.state.select(before[1:2])
    verbs.delete(session)
    assert session.state.selection == (before[2],)
    verbs.delete(session)
    assert session.state.selection == (before[0],)


def test_that_without_a_selection_a_verb_says_what_to_do(session: Session, refused: list[str]) -> None:
    verbs.delete(session)
    verbs.copy(session)
    assert refused == ["Nothing is selected: click a card first."] * 2


def test_that_a_group_is_made_entered_and_taken_apart(session: Session) -> None:
    first, second, output = uids(session)
    session.state.select((first,))
    verbs.group_repeat(session)
    assert kinds(session) == ["Repeat", "Dense", "Dense"]
    session.state.select((second,))
    verbs.move_to_input(session)
    group = session.experiment.layers[0]
    assert [layer.uid for layer in group.children()] == [first, second], "a group that comes next is entered"
    verbs.move_to_output(session)
    assert uids(session) == [group.uid, second, output], "at its end a group is left"
    session.state.select((group.uid,))
    verbs.ungroup(session)
    assert uids(session) == [first, second, output]


def test_that_layers_apart_from_each_other_are_not_grouped(session: Session, refused: list[str]) -> None:
    first, _, output = uids(session)
    session.state.select((first, output))
    assert not {verb.name: verb for verb in verbs.VERBS}["group_repeat"].possible(session)
    verbs.group_repeat(session)
    assert "next to each other" in refused[0]


def test_that_unroll_makes_every_round_a_layer(make_session: MakeSession) -> None:
    session = make_session(Repeat(3, (Dense(8, "tanh"),)), Dense(1, "sigmoid"))
    session.state.select(uids(session)[:1])
    verbs.unroll(session)
    assert kinds(session) == ["Dense"] * 4
    assert len(set(uids(session))) == 4


def test_that_enable_and_freeze_are_switches(session: Session) -> None:
    session.state.select(uids(session)[:2])
    verbs.toggle_enabled(session)
    assert [layer.enabled for layer in session.experiment.layers] == [False, False, True]
    verbs.toggle_enabled(session)
    assert [layer.enabled for layer in session.experiment.layers] == [True, True, True]
    verbs.toggle_frozen(session)
    assert [layer.trainable for layer in session.experiment.layers] == [False, False, True]
    assert session.document.undo_names[0] == "Freeze"


def test_that_a_new_dense_takes_after_those_that_are_there(make_session: MakeSession) -> None:
    session = make_session(Dense(24, "elu", kernel_initializer="he_normal"), Dense(1, "sigmoid"))
    verbs.add(session, "Dense")
    added = session.experiment.layers[1]
    assert isinstance(added, Dense)
    assert (added.units, added.activation.identifier, added.kernel_initializer.identifier) == (24, "elu", "he_normal")
    assert session.state.selection == (added.uid,), "it stands before the output and is selected"


def test_that_a_new_residual_block_fits_where_it_goes(make_session: MakeSession) -> None:
    session = make_session(Dense(24, "relu"), Dense(7, "relu"), Dense(1, "sigmoid"))
    session.state.select(uids(session)[1:2])
    verbs.add(session, "Residual")
    added = session.experiment.layers[2]
    assert isinstance(added, Residual)
    assert added.layers[0].units == 7  # type: ignore[attr-defined]
    assert session.startable


def test_that_every_kind_of_layer_can_be_added(make_session: MakeSession, refused: list[str]) -> None:
    for kind in verbs.nn_layers.registry:
        session = make_session()
        verbs.add(session, kind)
        assert kinds(session)[2] == kind
        assert session.startable, kind
    assert refused == []


def test_that_a_kind_is_replaced_in_place(session: Session) -> None:
    chosen = uids(session)[0]
    session.state.select((chosen,))
    verbs.replace_kind(session, "Dropout")
    assert isinstance(session.experiment.layers[0], Dropout)
    assert session.experiment.layers[0].uid == chosen


def test_that_every_verb_says_what_it_does_and_has_a_key_of_its_own() -> None:
    keys = [verb.shortcut for verb in verbs.VERBS]
    assert len(set(keys)) == len(keys)
    for verb in verbs.VERBS:
        assert verb.text
        assert verb.tooltip.endswith(".")


def test_that_select_all_takes_the_outermost_layers(make_session: MakeSession) -> None:
    session = make_session(Repeat(2, (Dense(3),)), Dense(1, "sigmoid"))
    verbs.select_all(session)
    assert session.state.selection == tuple(uids(session))
    assert edits.copy(session.experiment, session.state.selection)

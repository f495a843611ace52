"""The document: history, observers, and whether it is saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradsim.model import Experiment, edits, file
from gradsim.model.change import Change
from gradsim.model.document import Document
from gradsim.nn import layers


@pytest.fixture
def document() -> Document:
    return Document(Experiment(layers=[layers.Dense(4), layers.Dense(1)], data="moons", loss="mse"))


def rate(document: Document, value: float, merge_key: str | None = None) -> Change:
    return document.apply(
        edits.set_field(document.experiment, "", "optimizer.learning_rate", value), merge_key=merge_key
    )


def test_that_steps_are_undone_and_redone_by_name(document: Document) -> None:
    start = document.experiment
    rate(document, 0.5)
    document.apply(edits.insert(document.experiment, layers.registry.create("Dropout")))
    assert document.undo_names == ("Add Dropout", "Change learning rate")
    end = document.experiment
    document.undo()
    assert document.redo_names == ("Add Dropout",)
    document.undo()
    assert document.experiment is start
    assert document.undo_names == ()
    document.redo()
    document.redo()
    assert document.experiment is end
    with pytest.raises(IndexError, match="nothing to redo"):
        document.redo()


def test_that_a_new_step_forgets_what_was_undone(document: Document) -> None:
    rate(document, 0.5)
    document.undo()
    rate(document, 0.6)
    assert document.redo_names == ()
    assert document.undo_names == ("Change learning rate",)


def test_that_a_slider_drag_is_one_step(document: Document) -> None:
    start = document.experiment
    for value in (0.1, 0.2, 0.3):
        assert rate(document, value, "drag").effect == "live"
    document.end_merge()
    rate(document, 0.4, "drag")
    assert len(document.undo_names) == 2
    document.undo()
    document.undo()
    assert document.experiment is start


def test_that_other_steps_and_undo_end_a_merge(document: Document) -> None:
    rate(document, 0.1, "drag")
    document.apply(edits.set_field(document.experiment, "", "seed", 1))
    rate(document, 0.2, "drag")
    assert len(document.undo_names) == 3
    document.undo()
    rate(document, 0.3, "drag")
    assert len(document.undo_names) == 3
    rate(document, 0.4)
    assert len(document.undo_names) == 4


def test_that_observers_hear_what_changed_and_who_did_it(document: Document) -> None:
    heard: list[Change] = []
    disconnect = document.changed.connect(heard.append)
    document.apply(edits.set_field(document.experiment, "", "seed", 1), origin="panel")
    document.undo(origin="menu")
    disconnect()
    document.redo()
    assert [(change.facets, change.effect, change.origin) for change in heard] == [
        ({"seed"}, "structure", "panel"),
        ({"seed"}, "structure", "menu"),
    ]


def test_that_undo_of_a_move_names_the_moved_layer(document: Document) -> None:
    last = document.experiment.layers[1].uid
    document.apply(edits.move(document.experiment, [last], "", 0))
    heard: list[Change] = []
    document.changed.connect(heard.append)
    document.undo()
    assert last in heard[0].uids


def test_that_nothing_is_recorded_when_nothing_changes(document: Document) -> None:
    heard: list[Change] = []
    document.changed.connect(heard.append)
    assert not document.apply(edits.set_field(document.experiment, "", "seed", 0))
    assert heard == []
    assert document.undo_names == ()


def test_that_an_edit_of_an_older_state_is_refused(document: Document) -> None:
    stale = edits.set_field(document.experiment, "", "seed", 1)
    rate(document, 0.5)
    with pytest.raises(ValueError, match="no longer the current one"):
        document.apply(stale)


def test_that_an_observer_that_edits_is_heard_by_all_in_order(document: Document) -> None:
    heard: list[tuple[str, str]] = []

    def first(change: Change) -> None:
        heard.append(("first", *change.facets))
        if "seed" in change.facets:
            document.apply(edits.set_field(document.experiment, "", "batch_size", 8))

    document.changed.connect(first)
    document.changed.connect(lambda change: heard.append(("second", *change.facets)))
    document.apply(edits.set_field(document.experiment, "", "seed", 1))
    assert heard == [("first", "seed"), ("second", "seed"), ("first", "batch_size"), ("second", "batch_size")]


def test_that_an_observer_that_fails_does_not_block_later_changes(document: Document) -> None:
    def fail(change: Change) -> None:
        raise RuntimeError("view is gone")

    disconnect = document.changed.connect(fail)
    with pytest.raises(RuntimeError, match="view is gone"):
        rate(document, 0.5)
    disconnect()
    heard: list[Change] = []
    document.changed.connect(heard.append)
    rate(document, 0.6)
    assert len(heard) == 1


def test_that_undoing_back_to_what_was_saved_is_not_dirty(document: Document, tmp_path: Path) -> None:
    assert not document.dirty
    rate(document, 0.5)
    assert document.dirty
    document.save(tmp_path / "x.gradsim")
    assert not document.dirty
    rate(document, 0.6)
    document.undo()
    assert not document.dirty
    document.undo()
    assert document.dirty


def test_that_an_equal_experiment_is_not_dirty(document: Document) -> None:
    rate(document, 0.5)
    rate(document, 0.01)
    assert not document.dirty


def test_that_a_recovered_document_stays_dirty_until_it_is_saved(document: Document, tmp_path: Path) -> None:
    document.mark_unsaved()
    assert document.dirty
    document.save(tmp_path / "x.gradsim")
    assert not document.dirty


def test_that_saving_needs_a_place_and_a_failed_save_changes_nothing(document: Document, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give a path"):
        document.save()
    rate(document, 0.5)
    with pytest.raises(file.FileError):
        document.save(tmp_path / "missing" / "x.gradsim")
    assert document.dirty
    assert document.path is None


def test_that_a_saved_document_opens_with_what_the_view_keeps(document: Document, tmp_path: Path) -> None:
    document.extensions["view"] = {"theme": "dark"}
    document.save(tmp_path / "x.gradsim")
    again = Document.open(tmp_path / "x.gradsim")
    assert again.extensions == {"view": {"theme": "dark"}}
    assert again.path == tmp_path / "x.gradsim"
    assert not again.dirty


def test_that_another_experiment_brings_a_history_of_its_own(document: Document) -> None:
    rate(document, 0.5)
    heard: list[Change] = []
    document.changed.connect(heard.append)
    document.replace(Experiment(data="xor"))
    assert document.undo_names == ()
    assert not document.dirty
    assert heard[0].effect == "structure"
    assert {"data", "layers"} <= heard[0].facets


def test_that_a_thousand_steps_can_be_undone(document: Document) -> None:
    start = document.experiment
    for seed in range(1, 1001):
        document.apply(edits.set_field(document.experiment, "", "seed", seed))
    for _ in range(1000):
        document.undo()
    assert document.experiment is start

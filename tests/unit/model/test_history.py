"""Undo and redo over any values."""

from __future__ import annotations

import pytest

from gradsim.model.history import History, Step


def push(history: History[int], before: int, after: int, merge_key: str | None = None) -> None:
    history.push(Step(before, after, f"{before} to {after}", merge_key))


def test_that_undo_gives_the_last_step_and_redo_the_next() -> None:
    history: History[int] = History()
    push(history, 0, 1)
    push(history, 1, 2)
    assert history.undo_names == ("1 to 2", "0 to 1")
    assert history.undo().before == 1
    assert history.undo().before == 0
    assert history.redo_names == ("0 to 1", "1 to 2")
    assert history.redo().after == 1


def test_that_there_is_an_end_on_both_sides() -> None:
    history: History[int] = History()
    with pytest.raises(IndexError, match="nothing to undo"):
        history.undo()
    with pytest.raises(IndexError, match="nothing to redo"):
        history.redo()


def test_that_steps_with_one_key_keep_the_first_before_and_the_last_after() -> None:
    history: History[int] = History()
    push(history, 0, 1, "drag")
    push(history, 1, 2, "drag")
    push(history, 2, 3, "drag")
    step = history.undo()
    assert (step.before, step.after) == (0, 3)


def test_that_a_closed_step_and_another_key_stand_for_themselves() -> None:
    history: History[int] = History()
    push(history, 0, 1, "drag")
    history.close()
    push(history, 1, 2, "drag")
    push(history, 2, 3, "other")
    push(history, 3, 4)
    push(history, 4, 5)
    assert len(history.undo_names) == 5


def test_that_a_redone_step_is_not_merged_into() -> None:
    history: History[int] = History()
    push(history, 0, 1, "drag")
    history.undo()
    history.redo()
    push(history, 1, 2, "drag")
    assert len(history.undo_names) == 2

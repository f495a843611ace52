"""Views that are renewed in turn, so that no frame holds more than its share."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject
from shiboken6 import Shiboken

from gradsim.app.turns import TURN_FRAMES, Turns


class View(QObject):
    """Counts how often it is called; hidden, or without news, it has nothing to show."""

    def __init__(self, *, shows: bool = True) -> None:
        super().__init__()
        self.shows = shows
        self.called = 0

    def renew(self) -> bool:
        self.called += 1
        return self.shows


def joined(views: list[View]) -> Turns:
    turns = Turns()
    for view in views:
        turns.connect(view.renew)
    return turns


def shown_by_frame(turns: Turns, views: list[View]) -> list[int]:
    """How many showed something in each frame of a round."""
    found = []
    for _ in range(TURN_FRAMES):
        before = sum(view.called for view in views if view.shows)
        turns.frame()
        found.append(sum(view.called for view in views if view.shows) - before)
    return found


def test_that_every_view_has_its_turn_once_in_a_round() -> None:
    views = [View() for _ in range(6)]
    turns = joined(views)
    for done in range(1, 4):
        shown_by_frame(turns, views)
        assert [view.called for view in views] == [done] * 6


def test_that_the_visible_views_are_spread_evenly_over_the_frames() -> None:
    views = [View(), View(shows=False), View(), View(), View(shows=False), View(), View(), View()]
    turns = joined(views)
    shown_by_frame(turns, views)
    found = shown_by_frame(turns, views)
    assert sum(found) == 6
    assert max(found) == 2
    assert min(found) == 1


def test_that_a_view_which_is_shown_again_has_its_turn_in_the_round_that_runs() -> None:
    views = [View(), View(), View(shows=False)]
    turns = joined(views)
    shown_by_frame(turns, views)
    views[2].shows = True
    assert sum(shown_by_frame(turns, views)) == 3


def test_that_all_are_called_at_once_after_an_action() -> None:
    views = [View(), View(shows=False), View()]
    turns = joined(views)
    turns.frame()
    before = [view.called for view in views]
    turns.emit()
    assert [view.called for view in views] == [count + 1 for count in before]


def test_that_views_which_are_gone_are_not_called() -> None:
    views = [View(), View(), View()]
    turns = joined(views)
    Shiboken.delete(views[0])
    del views[1]
    gc.collect()
    turns.emit()
    assert [view.called for view in views] == [0, 1]


def test_that_nobody_is_called_after_the_views_have_left() -> None:
    view = View()
    turns = joined([view])
    turns.disconnect()
    turns.emit()
    shown_by_frame(turns, [view])
    assert view.called == 0

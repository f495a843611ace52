from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.app.diagnosis.findings_page import severity_colour
from gradsim.app.diagnosis.watching import Seen
from gradsim.diagnose import Place
from tests.unit.app.diagnosis.stacks import OpenWindow, fading, train
from tests.unit.app.see.conftest import has_colour, painted


def rgb(name: str) -> tuple[int, int, int]:
    return tuple(int(name[i : i + 2], 16) for i in (1, 3, 5))  # type: ignore[return-value]


def test_that_findings_are_drawn_on_the_heatmap_until_they_are_switched_off(
    open_window: OpenWindow, qtbot: QtBot
) -> None:
    window = open_window(fading())
    train(window, qtbot, 300)
    colour = rgb(severity_colour("fault"))
    action = window.actions_["view.findings"]
    assert action.isChecked()
    assert has_colour(painted(window.stage.heatmap), colour)
    action.trigger()
    assert not window.diagnosis.outlined
    assert not has_colour(painted(window.stage.heatmap), colour)
    action.trigger()
    assert has_colour(painted(window.stage.heatmap), colour)


@pytest.mark.parametrize(("choice", "zoom"), [("dark", 100), ("projector", 90)])
def test_that_outlines_follow_theme_and_zoom(open_window: OpenWindow, qtbot: QtBot, choice: str, zoom: int) -> None:
    window = open_window(fading())
    train(window, qtbot, 300)
    theme.set_choice(choice)  # type: ignore[arg-type]
    theme.set_zoom(zoom)
    qtbot.wait(50)
    assert has_colour(painted(window.stage.heatmap), rgb(severity_colour("fault")))


def test_that_an_outline_lies_around_its_rows_and_steps(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    train(window, qtbot, 100)
    heatmap = window.stage.heatmap
    start, stop = heatmap.axis.shown
    rect = window.diagnosis.outlines.rect(Place(2, 4, 20, 60))
    assert rect is not None
    scale = heatmap.box.width() / (stop - start)
    assert rect.left() == pytest.approx((20 - start) * scale)
    assert rect.right() == pytest.approx((60 - start) * scale)
    spans = [heatmap.rows.span(row) for row in (2, 4)]
    assert rect.top() == pytest.approx(min(span[0] for span in spans if span) - heatmap.top())
    assert rect.bottom() == pytest.approx(max(span[0] + span[1] for span in spans if span) - heatmap.top())
    heatmap.axis.show(70, 90)
    assert window.diagnosis.outlines.rect(Place(2, 4, 20, 60)) is None


def test_that_a_click_on_a_badge_shows_its_finding(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    train(window, qtbot, 300)
    window.side.show_page(window.inspector)
    outlines, heatmap = window.diagnosis.outlines, window.stage.heatmap
    painted(heatmap)
    spots = [QPointF(x, y) for y in range(0, heatmap.height(), 3) for x in range(0, heatmap.width(), 3)]
    spot = next(one for one in spots if (seen := outlines.badge_at(one)) is not None and seen.key == "vanishing/0")
    qtbot.mouseClick(heatmap.viewport(), Qt.MouseButton.LeftButton, pos=spot.toPoint())
    selected = window.diagnosis.watching.selected
    assert selected is not None and selected.key == "vanishing/0"
    assert window.diagnosis.findings.isVisible()
    # The heatmap did not take it for a click on a cell.
    assert window.session.state.cursor is None


def test_that_outlines_of_two_findings_that_cross_are_told_apart(
    open_window: OpenWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(fading())
    train(window, qtbot, 300)
    outlines, watching = window.diagnosis.outlines, window.diagnosis.watching
    one = next(seen for seen in watching.findings if seen.finding.severity != "note")

    def seen(key: str, place: Place) -> Seen:
        return dataclasses.replace(one, finding=dataclasses.replace(one.finding, places=(place,)), key=key)

    told = seen("a", Place(0, 3, 0, 200)), seen("b", Place(2, 4, 100, 300)), seen("c", Place(0, 0, 210, 300))
    monkeypatch.setattr(outlines, "watching", SimpleNamespace(findings=told, selected=None))
    assert [(outline.seen.key, outline.dashed) for outline in outlines.shown()] == [
        ("a", False), ("b", True), ("c", False),
    ]  # fmt: skip

"""The heatmap, as it is painted."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.heatmap import Heatmap
from gradsim.app.see.rows import Band, RowLayout, RowSpace
from gradsim.telemetry.classes import Special, State
from gradsim.telemetry.palette import colour
from gradsim.telemetry.quantities import Thresholds

from .conftest import FakeSession, has_colour, painted, recorder_of, show, sigmoid_stack, values


@pytest.fixture
def heatmap(qtbot: QtBot, session: FakeSession, axis: TimeAxis, space: RowSpace) -> Heatmap:
    made = Heatmap(session, axis, space)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    show(made)
    return made


def cells(heatmap: Heatmap) -> np.ndarray:
    """The pixels of the rows, without the gutters."""
    area = heatmap.area().toRect()
    return painted(heatmap)[area.top() : area.bottom(), area.left() + 2 : area.right() - 2]


def record(session: FakeSession, rows: int, steps: int, **by_key: object) -> None:
    recorder = recorder_of(rows)
    recorder.append(*values(steps, rows, **by_key))
    session.state.set_quantity("delta_norm")
    session.record(recorder)


def test_that_before_any_step_it_says_how_to_begin(heatmap: Heatmap) -> None:
    ink = painted(heatmap)
    assert len(np.unique(ink.reshape(-1, 3), axis=0)) > 2


@pytest.mark.parametrize("steps", [30, 500, 5000, 60_000])
@pytest.mark.parametrize("width", [300, 700, 1234])
def test_that_a_spike_of_one_step_is_painted_at_every_zoom(
    session: FakeSession, heatmap: Heatmap, steps: int, width: int
) -> None:
    norms = np.full((steps, 3), 1e-1)
    norms[steps * 2 // 3, 1] = 1e12
    record(session, 3, steps, delta_norm=norms)
    heatmap.resize(width, 300)
    QApplication.processEvents()
    red = colour(248)
    assert has_colour(cells(heatmap), red)
    start = steps * 2 // 3
    heatmap.axis.show(start - steps / 7, start + steps / 9)
    QApplication.processEvents()
    assert has_colour(cells(heatmap), red)


def test_that_a_spike_in_one_of_more_rows_than_pixels_is_painted(session: FakeSession, heatmap: Heatmap) -> None:
    norms = np.full((50, 1000), 1e-1)
    norms[20, 617] = 1e12
    recorder = recorder_of(1000)
    recorder.append(*values(50, 1000, delta_norm=norms))
    session.state.set_quantity("delta_norm")
    session.record(recorder)
    QApplication.processEvents()
    assert has_colour(cells(heatmap), colour(248))


def test_that_nan_inf_and_zero_cells_have_their_own_colours(session: FakeSession, heatmap: Heatmap) -> None:
    norms, nan, inf = np.full((20, 4), 1e-1), np.zeros((20, 4)), np.zeros((20, 4))
    norms[:, 1], nan[:, 2], inf[:, 3] = 0.0, 1, 1
    record(session, 4, 20, delta_norm=norms, delta_nan=nan, delta_inf=inf)
    found = cells(heatmap)
    for special in (Special.ZERO, Special.NAN, Special.INFINITE):
        assert has_colour(found, colour(special)), special


def test_that_special_cells_carry_a_pattern_beside_their_colour(session: FakeSession, heatmap: Heatmap) -> None:
    nan = np.zeros((20, 2))
    nan[:, 1] = 1
    record(session, 2, 20, delta_nan=nan)
    found = cells(heatmap)
    lower = found[len(found) * 5 // 8 : len(found) * 7 // 8, : found.shape[1] // 2]
    inks = np.unique(lower.reshape(-1, 3), axis=0)
    assert has_colour(lower, colour(Special.NAN))
    assert len(inks) >= 3, "colour, hatch and glyph"


def test_that_the_colour_of_a_value_does_not_depend_on_other_values(session: FakeSession, heatmap: Heatmap) -> None:
    found = []
    for other in (1e-15, 1e-3, 1e7):
        norms = np.full((20, 2), 1e-5)
        norms[:, 1] = other
        record(session, 2, 20, delta_norm=norms)
        found.append(cells(heatmap)[30, 30].tolist())
    assert found[0] == found[1] == found[2]


def test_that_changed_thresholds_change_the_colours(session: FakeSession, heatmap: Heatmap) -> None:
    record(session, 2, 20, delta_norm=1e-3)
    before = heatmap.class_at(5, 0)
    session.state.set_thresholds(
        "delta_norm", Thresholds(low=1e-16, vanishing=1e-2, neutral=1e-1, exploding=1e2, high=1e8)
    )
    assert heatmap.class_at(5, 0) < 50 < before


def test_that_rows_lie_where_the_cards_say(session: FakeSession, heatmap: Heatmap, space: RowSpace) -> None:
    norms = np.full((20, 3), 1e-30)
    norms[:, 2] = 1e12
    record(session, 3, 20, delta_norm=norms)
    session.state.set_cursor(None)
    space.set_layout(RowLayout((Band(0, 1, 0, 50), Band(2, 2, 100, 40)), 200))
    QApplication.processEvents()
    found = cells(heatmap)
    x = found.shape[1] // 8
    assert found[10, x].tolist() == list(colour(0))
    assert found[110, x].tolist() == list(colour(248))
    assert found[75, x].tolist() != list(colour(0))
    space.set_scroll(60)
    QApplication.processEvents()
    assert cells(heatmap)[50, x].tolist() == list(colour(248))


def test_that_with_the_input_below_the_first_row_is_lowest(
    session: FakeSession, heatmap: Heatmap, space: RowSpace
) -> None:
    norms = np.full((20, 2), 1e-30)
    norms[:, 1] = 1e12
    record(session, 2, 20, delta_norm=norms)
    space.set_layout(RowLayout.even(2, heatmap.room(), upwards=True))
    QApplication.processEvents()
    found = cells(heatmap)
    x = found.shape[1] // 8
    assert found[10, x].tolist() == list(colour(248))
    assert found[-10, x].tolist() == list(colour(0))


def test_that_what_a_real_training_shows_turns_blue_towards_the_input(session: FakeSession, heatmap: Heatmap) -> None:
    session.train(sigmoid_stack(10), 60)
    shown = [heatmap.class_at(30, row) for row in range(10)]
    assert shown[0] < 40 < shown[-1]
    assert heatmap.now is not None
    assert heatmap.now.state(0) is State.VANISHING


def test_that_a_click_goes_to_the_step_and_selects_the_layer(
    qtbot: QtBot, session: FakeSession, heatmap: Heatmap
) -> None:
    record(session, 4, 20)
    area = heatmap.area()
    spot = QPoint(int(area.left() + area.width() * 0.5), int(area.top() + area.height() * 0.6))
    qtbot.mouseClick(heatmap.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    assert session.state.cursor == 10
    assert session.state.selection == ("uid2",)


def test_that_the_mouse_tells_every_view_step_and_layer(qtbot: QtBot, session: FakeSession, heatmap: Heatmap) -> None:
    record(session, 4, 20)
    area = heatmap.area()
    heatmap.hover(QPointF(area.left() + area.width() * 0.26, area.top() + area.height() * 0.9))
    assert session.state.hover == (5, 3)
    assert heatmap.read_out(5, 3).startswith("step 5 · dense_3 · ")
    heatmap.hover(QPointF(1, 1))
    assert session.state.hover is None


def turn(heatmap: Heatmap, delta: int, share: float) -> None:
    area = heatmap.area()
    spot = QPointF(area.left() + area.width() * share, area.center().y())
    event = QWheelEvent(
        spot, heatmap.mapToGlobal(spot), QPoint(), QPoint(0, delta), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(heatmap.viewport(), event)


def test_that_the_wheel_zooms_about_the_mouse(session: FakeSession, heatmap: Heatmap, axis: TimeAxis) -> None:
    record(session, 4, 1000)
    turn(heatmap, 240, 0.5)
    start, stop = axis.shown
    assert stop - start < 700
    assert (start + stop) / 2 == pytest.approx(500, abs=5)


def test_that_a_drag_moves_the_range(qtbot: QtBot, session: FakeSession, heatmap: Heatmap, axis: TimeAxis) -> None:
    record(session, 4, 1000)
    axis.show(400, 600)
    area = heatmap.area().toRect()
    middle = area.center()
    qtbot.mousePress(heatmap.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    qtbot.mouseMove(heatmap.viewport(), middle + QPoint(area.width() // 4, 0))
    qtbot.mouseRelease(heatmap.viewport(), Qt.MouseButton.LeftButton, pos=middle + QPoint(area.width() // 4, 0))
    assert axis.shown[0] == pytest.approx(350, abs=3)
    assert session.state.cursor is None, "a drag is no click"


def test_that_a_double_click_follows_the_run_again(
    qtbot: QtBot, session: FakeSession, heatmap: Heatmap, axis: TimeAxis
) -> None:
    record(session, 4, 1000)
    axis.show(400, 600)
    session.state.set_cursor(500)
    qtbot.mouseDClick(heatmap.viewport(), Qt.MouseButton.LeftButton, pos=heatmap.area().center().toPoint())
    assert axis.following
    assert session.state.cursor is None


def test_that_the_first_nonfinite_value_is_marked_in_words(session: FakeSession, heatmap: Heatmap) -> None:
    nan = np.zeros((40, 3))
    nan[25:, 1] = 1
    record(session, 3, 40, delta_nan=nan)
    assert heatmap.nonfinite_text() == "first NaN: delta of dense_1, step 25"
    assert has_colour(cells(heatmap), (27, 27, 26)), "the ring and its words in the colour of text"


def test_that_a_hidden_heatmap_reads_nothing(session: FakeSession, heatmap: Heatmap) -> None:
    record(session, 3, 40)
    assert heatmap.pull is not None
    heatmap.hide()
    assert session.recorder is not None
    session.recorder.append(*values(40, 3))
    session.ticks()
    assert heatmap.pull.recorded_columns == 40
    heatmap.show()
    QApplication.processEvents()
    assert heatmap.pull.recorded_columns == 80


@pytest.mark.parametrize("name", ["light", "dark", "projector"])
def test_that_every_theme_paints_its_own_colours(session: FakeSession, heatmap: Heatmap, name: theme.Choice) -> None:
    norms = np.full((20, 2), 1e-30)
    norms[:, 1] = 1e12
    record(session, 2, 20, delta_norm=norms)
    theme.set_choice(name)
    QApplication.processEvents()
    found = cells(heatmap)
    assert has_colour(found, colour(0, theme=name))  # type: ignore[arg-type]
    assert has_colour(found, colour(248, theme=name))  # type: ignore[arg-type]
    theme.set_choice("light")


@pytest.mark.parametrize(
    "key", ["gradient_rms", "update_ratio", "weight_rms", "activation_mean", "activation_std", "saturated", "dead"]
)
def test_that_another_quantity_is_shown_at_once(session: FakeSession, heatmap: Heatmap, key: str) -> None:
    session.train(sigmoid_stack(4), 40)
    session.state.set_quantity(key)
    QApplication.processEvents()
    assert heatmap.pull is not None
    assert heatmap.pull.key == key
    assert heatmap.class_at(20, 1) not in (Special.EMPTY, Special.NONE)

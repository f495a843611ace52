"""Loss, accuracy and gradient norm over the steps."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.curves import LOSS, NORM, CurvePlot, Curves, Trace, polyline
from gradsim.app.see.heatmap import Heatmap
from gradsim.app.see.rows import RowSpace

from .conftest import FakeSession, painted, recorder_of, show, sigmoid_stack, values


@pytest.fixture
def loss(qtbot: QtBot, session: FakeSession, axis: TimeAxis) -> CurvePlot:
    made = CurvePlot(session, axis, LOSS)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    show(made, 600, 150)
    return made


def record(session: FakeSession, loss: np.ndarray) -> None:
    recorder = recorder_of(2)
    recorder.append(*values(len(loss), 2, loss=loss))
    session.record(recorder)
    QApplication.processEvents()


def inked(plot: CurvePlot) -> np.ndarray:
    """Where something of the curve's colour is, inside the axes and below the title."""
    area = plot.area().toRect()
    pixels = painted(plot)[area.top() : area.bottom(), area.left() + 1 : area.right()].astype(int)
    colour = theme.current().curve("loss")
    wanted = np.array([colour.red(), colour.green(), colour.blue()])
    blue = (pixels[..., 2] - pixels[..., 0] > 40) & (np.abs(pixels - wanted).sum(axis=-1) < 400)
    title = theme.px(22)
    blue[:title, : theme.px(100)] = False
    return blue


@pytest.mark.parametrize("steps", [50, 3000, 40_000])
def test_that_a_spike_of_one_step_reaches_its_height_at_every_zoom(
    session: FakeSession, loss: CurvePlot, steps: int
) -> None:
    curve = np.full(steps, 1.0)
    curve[steps // 2] = 1e5
    record(session, curve)
    assert loss.limits[1] >= 5
    found = inked(loss)
    highest = np.flatnonzero(found.any(axis=1))[0]
    wanted = (loss.limits[1] - 5) / (loss.limits[1] - loss.limits[0]) * found.shape[0]
    assert highest == pytest.approx(wanted, abs=4)


def test_that_the_curve_has_the_time_axis_of_the_heatmap(
    qtbot: QtBot, session: FakeSession, axis: TimeAxis, loss: CurvePlot, space: RowSpace
) -> None:
    heatmap = Heatmap(session, axis, space)  # type: ignore[arg-type]
    qtbot.addWidget(heatmap)
    show(heatmap, 600, 300)
    record(session, np.ones(500))
    axis.show(100, 300)
    assert loss.box.viewRange()[0] == heatmap.box.viewRange()[0] == [100, 300]
    assert loss.area().left() == heatmap.area().left()
    assert loss.area().right() == heatmap.area().right()


def test_that_a_nan_loss_is_a_gap_with_a_mark(session: FakeSession, loss: CurvePlot) -> None:
    curve = np.ones(100)
    curve[60:] = np.nan
    record(session, curve)
    _, low, _, lost, _ = loss.traces[0].data
    assert np.isnan(low[60:]).all()
    assert lost[60:].all()
    assert not lost[:60].any()


def test_that_the_norm_of_nan_gradients_is_nan_and_not_that_of_the_rest(
    qtbot: QtBot, session: FakeSession, axis: TimeAxis
) -> None:
    norm = CurvePlot(session, axis, NORM)  # type: ignore[arg-type]
    qtbot.addWidget(norm)
    show(norm, 600, 150)
    recorder = recorder_of(2)
    nan = np.zeros((100, 2))
    nan[60:, 1] = 3
    recorder.append(*values(100, 2, global_gradient_norm=np.where(np.arange(100) < 60, 5.0, 0.0), gradient_nan=nan))
    session.record(recorder)
    _, low, _, lost, _ = norm.traces[0].data
    assert np.isfinite(low[:60]).all()
    assert np.isnan(low[60:]).all()
    assert lost[60:].all()
    assert norm._readings.lines[0][0] == "NaN norm"


def test_that_a_norm_of_zero_is_no_nan(qtbot: QtBot, session: FakeSession, axis: TimeAxis) -> None:
    norm = CurvePlot(session, axis, NORM)  # type: ignore[arg-type]
    qtbot.addWidget(norm)
    show(norm, 600, 150)
    recorder = recorder_of(2)
    recorder.append(*values(100, 2, global_gradient_norm=0.0))
    session.record(recorder)
    assert not norm.traces[0].data[3].any()
    assert norm._readings.lines[0][0] == "0 norm"


def test_that_linear_shows_losses_themselves(session: FakeSession, loss: CurvePlot) -> None:
    record(session, np.full(100, 0.5))
    assert loss.traces[0].data[1][10] == pytest.approx(np.log10(0.5))
    loss.set_log(False)
    assert loss.traces[0].data[1][10] == pytest.approx(0.5)
    assert loss.limits[0] == 0.0


def test_that_the_validation_is_drawn_at_its_steps(session: FakeSession, loss: CurvePlot) -> None:
    session.train(sigmoid_stack(3), 40)
    session.go_on(40)
    steps, found = loss.traces[0].validation
    assert steps.tolist() == [39, 79]
    assert np.isfinite(found).all()


def test_that_the_reading_is_that_of_the_cursor(session: FakeSession, loss: CurvePlot) -> None:
    record(session, np.arange(1.0, 101.0))
    assert loss._readings.lines[0][0] == "100 loss"
    session.state.set_cursor(9)
    assert loss._readings.lines[0][0] == "10 loss"


def test_that_a_curve_can_be_folded_away(qtbot: QtBot, session: FakeSession, axis: TimeAxis) -> None:
    curves = Curves(session, axis)  # type: ignore[arg-type]
    qtbot.addWidget(curves)
    show(curves)
    assert curves.plots["accuracy"].isVisible()
    curves.buttons["accuracy"].click()
    assert not curves.plots["accuracy"].isVisible()


def test_that_no_points_are_an_empty_polygon() -> None:
    assert polyline(np.empty(0), np.empty(0)).size() == 0


def test_that_one_of_several_curves_that_explodes_does_not_hide_the_others(
    qtbot: QtBot, session: FakeSession, axis: TimeAxis
) -> None:
    other = FakeSession()
    traces = [Trace(one, LOSS, f"twin_{n}", letter="AB"[n]) for n, one in enumerate((session, other))]  # type: ignore[arg-type]
    plot = CurvePlot(session, axis, LOSS, traces)  # type: ignore[arg-type]
    qtbot.addWidget(plot)
    show(plot, 600, 150)
    wild = np.full(100, np.nan)
    wild[:3] = 1.0, 1e12, 1e33
    tame = np.geomspace(1.0, 0.01, 100)
    for run, loss_ in ((other, tame), (session, wild)):
        recorder = recorder_of(2)
        recorder.append(*values(100, 2, loss=loss_))
        run.record(recorder)
    low, high = plot.limits
    assert low < np.log10(tame.min()) and np.log10(tame.max()) < high
    assert [text for text, _ in plot._readings.lines] == ["A  NaN", "B  0.01"]
    other.deleteLater()


def test_that_a_curve_takes_a_longer_range_in_its_turn_and_a_chosen_one_at_once(
    session: FakeSession, loss: CurvePlot
) -> None:
    record(session, np.full(90, 1.0))
    recorder = session.recorder
    assert recorder is not None
    recorder.append(*values(300, 2))
    before = loss.box.viewRange()[0]
    session.tick.emit()
    assert loss.box.viewRange()[0] == before
    session.turns.emit()
    assert loss.box.viewRange()[0] == list(loss.axis.shown) != before
    loss.axis.show(20, 60)
    assert loss.box.viewRange()[0] == [20, 60]

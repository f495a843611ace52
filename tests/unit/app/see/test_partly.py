"""What is painted piece by piece, as a run goes on, is the picture that is painted at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.curves import ACCURACY, LOSS, NORM, CurvePlot, Series
from gradsim.app.see.heatmap import Heatmap
from gradsim.app.see.plots import TimePlot
from gradsim.app.see.rows import RowSpace
from gradsim.app.state import Mark

from .conftest import FakeSession, painted, recorder_of, show, values

ROWS = 12
STEPS = 640


def on_screen(widget: Any) -> np.ndarray:
    """What the window has come to show, RGB, shape (height, width, 3)."""
    image = widget.screen().grabWindow(widget.winId()).toImage().convertToFormat(QImage.Format.Format_RGB888)
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return pixels[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def same(plot: TimePlot) -> None:
    """What has come to stand on the screen looks like what is painted at once, but for rounding."""
    apart = np.abs(on_screen(plot).astype(int) - painted(plot))
    assert apart.max() <= 2


def counted(view: Any) -> Any:
    """A plot that counts the paintings of narrow parts of it."""

    class Counted(view):  # type: ignore[misc]
        narrow = 0

        def paintEvent(self, event: Any) -> None:
            self.narrow += event.region().boundingRect().width() < self.viewport().width() / 4
            super().paintEvent(event)

    return Counted


def noisy() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    norms = 10.0 ** rng.uniform(-8, 2, (STEPS, ROWS))
    norms[rng.random((STEPS, ROWS)) < 0.05] = 0.0
    loss = 10.0 ** rng.uniform(0.1, 0.9, STEPS)
    loss[rng.random(STEPS) < 0.02] = np.nan
    nan = rng.random((STEPS, ROWS)) < 0.01
    return values(
        STEPS, ROWS, delta_norm=norms, delta_nan=nan, loss=loss, accuracy=rng.random(STEPS), global_gradient_norm=loss
    )


def run(session: FakeSession, plot: TimePlot, piece: int) -> None:
    """A run of which every piece is painted."""
    session.state.set_quantity("delta_norm")
    session.state.set_range((0.0, float(STEPS)))
    recorder, (of_layers, of_steps) = recorder_of(ROWS), noisy()
    session.record(recorder)
    for at in range(0, STEPS, piece):
        recorder.append(of_layers[at : at + piece], of_steps[at : at + piece])
        if at % 150 < piece:
            recorder.append_validation(at, 2.0 + at / STEPS, 0.4)
        session.tick.emit()
        session.turns.emit()
        QApplication.processEvents()
    # The figures beside it.
    session.ticks()


@pytest.mark.parametrize("width", [330, 900])
@pytest.mark.parametrize("piece", [1, 5])
def test_that_a_heatmap_painted_column_by_column_is_the_whole_one(
    qtbot: QtBot, session: FakeSession, axis: TimeAxis, width: int, piece: int
) -> None:
    plot = counted(Heatmap)(session, axis, RowSpace())
    qtbot.addWidget(plot)
    show(plot, width, 300)
    session.state.set_mark(Mark(2, 6, 100, None))
    run(session, plot, piece)
    assert plot.narrow > STEPS / piece / 4, "it is mostly columns that are painted"
    same(plot)


@pytest.mark.parametrize("series", [LOSS, ACCURACY, NORM], ids=lambda series: series.key)
@pytest.mark.parametrize("width", [330, 1500])
def test_that_a_curve_painted_piece_by_piece_is_the_whole_one(
    qtbot: QtBot, session: FakeSession, axis: TimeAxis, width: int, series: Series
) -> None:
    plot = counted(CurvePlot)(session, axis, series)
    qtbot.addWidget(plot)
    show(plot, width, 120)
    run(session, plot, 3)
    assert plot.narrow > STEPS / 3 / 4, "it is mostly the end that is painted"
    same(plot)


def test_that_what_came_while_a_heatmap_was_hidden_is_painted(
    qtbot: QtBot, session: FakeSession, axis: TimeAxis
) -> None:
    plot = Heatmap(session, axis, RowSpace())  # type: ignore[arg-type]
    qtbot.addWidget(plot)
    show(plot, 600, 300)
    session.state.set_quantity("delta_norm")
    recorder, (of_layers, of_steps) = recorder_of(ROWS), noisy()
    session.record(recorder)
    recorder.append(of_layers[:30], of_steps[:30])
    session.ticks()
    plot.hide()
    recorder.append(of_layers[30:60], of_steps[30:60])
    session.ticks()
    plot.show()
    QApplication.processEvents()
    session.ticks()
    same(plot)

"""The pictures together."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.app.see.rows import RowLayout, RowSpace
from gradsim.app.see.stage import Stage

from .conftest import FakeSession, painted, show, sigmoid_stack


@pytest.fixture
def stage(qtbot: QtBot, session: FakeSession, space: RowSpace) -> Stage:
    made = Stage(session, space)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    show(made, 800, 640)
    return made


def test_that_every_control_has_a_name_and_a_tooltip(stage: Stage) -> None:
    for kind in (QAbstractButton, QComboBox, QLineEdit):
        for widget in stage.findChildren(kind):
            if widget.objectName().startswith("qt_"):
                continue
            assert widget.accessibleName(), widget
            assert widget.toolTip(), widget.accessibleName()


def test_that_the_pictures_have_names_for_those_who_do_not_see_them(stage: Stage) -> None:
    for view in (stage.heatmap, stage.profile, stage.curves, stage.time_line.strip, stage.colour_bar.bar):
        assert view.accessibleName()
        assert view is stage.curves or view.toolTip()


def test_that_heatmap_and_profile_are_level(session: FakeSession, stage: Stage) -> None:
    session.train(sigmoid_stack(5), 30)
    heatmap, profile = stage.heatmap, stage.profile
    assert heatmap.mapTo(stage, heatmap.area().toRect().topLeft()).y() == stage.rows_rect().top()
    assert profile.mapTo(stage, profile.area().toRect().topLeft()).y() == stage.rows_rect().top()
    assert heatmap.room() == profile.room() == stage.rows_rect().height()


def test_that_heatmap_and_curves_begin_and_end_at_the_same_pixels(session: FakeSession, stage: Stage) -> None:
    session.train(sigmoid_stack(5), 30)
    stage.above.setSizes([500, 300])
    stage.above.splitterMoved.emit(500, 1)
    QApplication.processEvents()

    def ends(plot: object) -> tuple[int, int]:
        area = plot.area().toRect()  # type: ignore[attr-defined]
        left = plot.mapTo(stage, area.topLeft()).x()  # type: ignore[attr-defined]
        return left, left + area.width()

    assert ends(stage.heatmap) == ends(stage.curves.plots["loss"])


def test_that_following_and_zooming_show_on_the_button(session: FakeSession, stage: Stage) -> None:
    session.train(sigmoid_stack(3), 300)
    assert stage.follow.isChecked()
    stage.axis.show(50, 100)
    assert not stage.follow.isChecked()
    stage.follow.click()
    assert stage.axis.following
    stage.latest.click()
    assert stage.latest.isChecked()
    assert not stage.follow.isChecked()


def test_that_hovering_is_read_out_with_step_layer_and_value(session: FakeSession, stage: Stage) -> None:
    session.train(sigmoid_stack(3), 30)
    session.state.set_hover((12, 1))
    assert stage.read_out.text().startswith("step 12 · dense_1 · delta ")
    session.state.set_hover((12, None))
    assert stage.read_out.text() == "step 12"
    assert stage.readings.values["step"].text() == "12"


def test_that_another_experiment_with_other_rows_is_shown(session: FakeSession, stage: Stage, space: RowSpace) -> None:
    session.train(sigmoid_stack(12), 30)
    space.set_layout(RowLayout.even(13, 400))
    session.state.set_hover((12, 11))
    session.state.set_cursor(20)
    session.train(sigmoid_stack(2), 5)
    QApplication.processEvents()
    assert stage.heatmap.pull is not None
    assert stage.heatmap.pull.width == 3


@pytest.mark.parametrize("zoom", [70, 100, 200])
def test_that_the_zoom_of_everything_keeps_the_pictures_level(session: FakeSession, stage: Stage, zoom: int) -> None:
    session.train(sigmoid_stack(3), 30)
    try:
        theme.set_zoom(zoom)
        QApplication.processEvents()
        assert stage.heatmap.area().left() == stage.curves.plots["loss"].area().left() == theme.px(62)
        assert stage.choice.mapTo(stage, stage.choice.rect().topLeft()).x() == theme.px(62)
        assert stage.heatmap.room() == stage.profile.room()
    finally:
        theme.set_zoom(100)


def test_that_a_picture_reached_by_tab_shows_it_and_leaves_keys_to_the_window(
    qtbot: QtBot, session: FakeSession, stage: Stage
) -> None:
    session.train(sigmoid_stack(3), 30)
    before = painted(stage.heatmap)
    stage.activateWindow()
    stage.heatmap.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(stage.heatmap.hasFocus)
    assert (painted(stage.heatmap) != before).any()
    event = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier)
    stage.heatmap.keyPressEvent(event)
    assert not event.isAccepted()

"""The column of cards, driven by keyboard, mouse and drops."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import (
    QContextMenuEvent,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QFont,
    QFontMetricsF,
    QKeySequence,
)
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.app.build import verbs
from gradsim.app.build.arrangement import INPUT, LOSS
from gradsim.app.build.cards import CardsColumn
from gradsim.app.build.editors import Combo, NumberBox
from gradsim.app.build.problem_list import ProblemPopup
from gradsim.app.session import Session
from gradsim.model import edits
from gradsim.model.experiment import Experiment
from gradsim.nn.layers import BatchNormalization, Dense, Dropout, Layer, Repeat, Residual

MakeSession = Callable[..., Session]
MakeColumn = Callable[..., CardsColumn]
NONE, CONTROL, SHIFT, ALT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
)


@pytest.fixture
def make_column(qtbot: QtBot) -> MakeColumn:
    def make(session: Session, *, upwards: bool = False, width: int = 300, height: int = 640) -> CardsColumn:
        column = CardsColumn(session, upwards=upwards)
        qtbot.addWidget(column)
        column.resize(width, height)
        column.show()
        column.setFocus()
        qtbot.waitExposed(column)
        return column

    return make


@pytest.fixture
def column(session: Session, make_column: MakeColumn) -> CardsColumn:
    return make_column(session)


def uids(session: Session) -> list[str]:
    return [layer.uid for layer in session.experiment.layers]


def units(session: Session) -> list[int]:
    return [layer.units for layer in session.experiment.layers]  # type: ignore[attr-defined]


def click(column: CardsColumn, uid: str, held: Qt.KeyboardModifier = NONE) -> None:
    rect = column.item_rect(uid)
    place = QPoint(rect.right() - 4, rect.bottom() - 3)
    QTest.mouseClick(column.viewport(), Qt.MouseButton.LeftButton, held, place)


def chip_place(column: CardsColumn, uid: str, name: str) -> QPoint:
    item = column.arrangement.item(uid)
    assert item is not None
    chip = next(chip for chip in column.faces.chips(item) if chip.view.name == name)
    return chip.rect.center().toPoint() - QPoint(0, column.verticalScrollBar().value())


class Drop(QDropEvent):
    """A drop whose origin the test chooses: Qt knows none outside of a running drag."""

    origin: object = None

    def source(self) -> object:  # type: ignore[override]
        return self.origin


def drop(
    column: CardsColumn, data: QMimeData, place: QPoint, origin: object = None, held: Qt.KeyboardModifier = NONE
) -> bool:
    actions, button = Qt.DropAction.CopyAction | Qt.DropAction.MoveAction, Qt.MouseButton.LeftButton
    enter = QDragEnterEvent(place, actions, data, button, held)
    QApplication.sendEvent(column.viewport(), enter)
    if not enter.isAccepted():
        return False
    QApplication.sendEvent(column.viewport(), QDragMoveEvent(place, actions, data, button, held))
    event = Drop(QPointF(place), actions, data, button, held)
    event.origin = origin
    column.dropEvent(event)
    return event.isAccepted()


def kind_data(kind: str) -> QMimeData:
    data = QMimeData()
    data.setData(verbs.KIND_MIME, kind.encode())
    return data


# Geometry


def test_that_the_rows_follow_the_cards(session: Session, column: CardsColumn) -> None:
    layout = column.row_space.layout
    assert layout is not None
    assert len(layout.bands) == 3
    session.state.select(uids(session)[:1])
    verbs.duplicate(session)
    assert column.row_space.layout is not layout
    assert len(column.row_space.layout.bands) == 4  # type: ignore[union-attr]


def test_that_cards_get_closer_where_the_window_is_low(make_session: MakeSession, make_column: MakeColumn) -> None:
    session = make_session(*(Dense(8, "tanh") for _ in range(20)), Dense(1, "sigmoid"))
    column = make_column(session, height=470)
    assert column.arrangement.density == "compact"
    assert column.arrangement.height <= column.viewport().height() + 40
    column.resize(300, 1400)
    assert column.arrangement.density == "comfortable"
    column.set_density("compact")
    assert column.arrangement.density == "compact"


def test_that_the_cards_fill_the_window(session: Session, make_column: MakeColumn) -> None:
    low, high = make_column(session, height=200), make_column(session, height=260)
    assert high.arrangement.items[1].height > low.arrangement.items[1].height


def test_that_scrolling_moves_all_that_share_the_rows(make_session: MakeSession, make_column: MakeColumn) -> None:
    session = make_session(*(Dense(8, "tanh") for _ in range(100)), Dense(1, "sigmoid"))
    column = make_column(session, height=400)
    column.verticalScrollBar().setValue(300)
    assert column.row_space.scroll == 300
    column.row_space.set_scroll(120.0)
    assert column.verticalScrollBar().value() == 120


# Keyboard


def test_that_the_arrows_go_through_the_cards_and_shift_selects_more(session: Session, column: CardsColumn) -> None:
    first, second, output = uids(session)
    QTest.keyClick(column, Qt.Key.Key_Home)
    assert column.current == INPUT
    assert session.state.selection == ()
    QTest.keyClick(column, Qt.Key.Key_Down)
    assert session.state.selection == (first,)
    QTest.keyClick(column, Qt.Key.Key_Down, SHIFT)
    QTest.keyClick(column, Qt.Key.Key_Down, SHIFT)
    assert session.state.selection == (first, second, output)
    QTest.keyClick(column, Qt.Key.Key_Up, SHIFT)
    assert session.state.selection == (first, second)
    QTest.keyClick(column, Qt.Key.Key_End)
    assert column.current == LOSS
    QTest.keyClick(column, Qt.Key.Key_Escape)


def test_that_single_cards_are_selected_by_keyboard(session: Session, column: CardsColumn) -> None:
    first, _, output = uids(session)
    session.state.select((first,))
    QTest.keyClick(column, Qt.Key.Key_Down, CONTROL)
    QTest.keyClick(column, Qt.Key.Key_Down, CONTROL)
    assert column.current == output
    assert session.state.selection == (first,)
    QTest.keyClick(column, Qt.Key.Key_Space, CONTROL)
    assert session.state.selection == (first, output)
    QTest.keyClick(column, Qt.Key.Key_Space, CONTROL)
    assert session.state.selection == (first,)
    assert column.current == output


@pytest.mark.parametrize("upwards", [False, True])
def test_that_alt_and_an_arrow_move_a_layer_as_the_column_stands(
    session: Session, make_column: MakeColumn, upwards: bool
) -> None:
    column = make_column(session, upwards=upwards)
    first, second, output = uids(session)
    session.state.select((second,))
    before = column.item_rect(second).top()
    QTest.keyClick(column, Qt.Key.Key_Up, ALT)
    assert column.item_rect(second).top() < before
    assert uids(session) == ([first, output, second] if upwards else [second, first, output])
    assert session.state.selection == (second,)


def test_that_a_field_is_edited_by_keyboard_alone(session: Session, column: CardsColumn, qtbot: QtBot) -> None:
    first = uids(session)[0]
    session.state.select((first,))
    QTest.keyClick(column, Qt.Key.Key_F2)
    box = column.editor.widget
    assert isinstance(box, NumberBox)
    assert box.accessibleName() == "Units of dense"
    QTest.keyClicks(box.lineEdit(), "24")
    QTest.keyClick(box, Qt.Key.Key_Tab)
    assert units(session)[0] == 24
    combo = column.editor.widget
    assert isinstance(combo, Combo)
    assert combo.currentData() == "tanh"
    QTest.keyClicks(combo, "elu")
    QTest.keyClick(combo, Qt.Key.Key_Escape)
    assert column.editor.widget is None
    assert column.hasFocus()


def test_that_a_refused_number_stays_to_be_mended(session: Session, column: CardsColumn) -> None:
    session.state.select(uids(session)[:1])
    QTest.keyClick(column, Qt.Key.Key_Return)
    box = column.editor.widget
    assert isinstance(box, NumberBox)
    QTest.keyClicks(box.lineEdit(), "99999")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert column.editor.widget is box
    assert "at most 8192" in column.editor.words
    assert session.document.undo_names == ()
    box.selectAll()
    QTest.keyClicks(box.lineEdit(), "99")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert column.editor.widget is None
    assert units(session)[0] == 99


def test_that_stepping_a_number_on_a_card_is_one_undo_step(session: Session, column: CardsColumn) -> None:
    session.state.select(uids(session)[:1])
    QTest.keyClick(column, Qt.Key.Key_F2)
    box = column.editor.widget
    assert isinstance(box, NumberBox)
    for _ in range(4):
        QTest.keyClick(box, Qt.Key.Key_Up)
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert units(session)[0] == 12
    assert len(session.document.undo_names) == 1
    session.undo()
    assert units(session)[0] == 8


def test_that_a_field_of_several_selected_cards_is_edited_at_once(session: Session, column: CardsColumn) -> None:
    session.state.select(uids(session)[:2])
    QTest.keyClick(column, Qt.Key.Key_F2)
    box = column.editor.widget
    assert isinstance(box, NumberBox)
    QTest.keyClicks(box.lineEdit(), "16")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert units(session) == [16, 16, 1]


def test_that_a_group_is_opened_and_folded_by_keys(make_session: MakeSession, make_column: MakeColumn) -> None:
    session = make_session(Dense(8, "tanh"), Repeat(50, (Dense(8, "tanh"),)), Dense(1, "sigmoid"))
    column = make_column(session)
    group = session.experiment.layers[1]
    inner = group.children()[0].uid
    session.state.select((group.uid,))
    assert not column.item_rect(inner).isValid()
    QTest.keyClick(column, Qt.Key.Key_Plus)
    assert column.item_rect(inner).isValid()
    assert any(item.kind == "rounds" and item.rows[1] - item.rows[0] == 49 for item in column.arrangement.items)
    QTest.keyClick(column, Qt.Key.Key_Minus)
    assert not column.item_rect(inner).isValid()


def test_that_a_stack_is_built_by_keyboard_alone(session: Session, column: CardsColumn) -> None:
    QTest.keyClick(column, Qt.Key.Key_Home)
    QTest.keyClick(column, Qt.Key.Key_Down)
    verbs.duplicate(session)
    QTest.keyClick(column, Qt.Key.Key_Up, SHIFT)
    verbs.group_residual(session)
    assert [type(layer) for layer in session.experiment.layers] == [Residual, Dense, Dense]
    assert len(session.experiment.layers[0].children()) == 2
    assert session.state.selection == (session.experiment.layers[0].uid,)
    session.undo()
    session.undo()
    assert units(session) == [8, 6, 1]


def test_that_what_is_moved_into_a_folded_group_is_shown(make_session: MakeSession, make_column: MakeColumn) -> None:
    session = make_session(Dense(8, "tanh"), Repeat(5, (Dense(8, "tanh"),)), Dense(1, "sigmoid"))
    column = make_column(session)
    moved = session.experiment.layers[0].uid
    session.state.select((moved,))
    QTest.keyClick(column, Qt.Key.Key_Down, ALT)
    assert session.experiment.layers[0].children()[0].uid == moved
    assert column.item_rect(moved).isValid()


def test_that_a_screen_reader_hears_the_current_card(make_session: MakeSession, make_column: MakeColumn) -> None:
    session = make_session(Dense(8, "tanh"), Dropout(0.2, enabled=False), Dense(3, "sigmoid", trainable=False))
    column = make_column(session)
    session.state.select(uids(session)[:1])
    assert column.accessibleDescription().startswith("dense, Dense, Units 8, Activation tanh")
    session.state.select(uids(session)[1:2])
    assert "disabled" in column.accessibleDescription()
    session.state.select(uids(session)[2:])
    assert "frozen" in column.accessibleDescription()
    assert "Can't be started" in column.accessibleDescription()


# Mouse


def test_that_clicks_select_one_several_and_a_range(session: Session, column: CardsColumn) -> None:
    first, second, output = uids(session)
    click(column, first)
    assert session.state.selection == (first,)
    click(column, output, CONTROL)
    assert session.state.selection == (first, output)
    click(column, output, CONTROL)
    assert session.state.selection == (first,)
    click(column, first)
    click(column, output, SHIFT)
    assert set(session.state.selection) == {first, second, output}
    click(column, second)
    assert session.state.selection == (second,), "a click without a drag chooses this one"


def test_that_a_click_on_a_choice_edits_it(session: Session, column: CardsColumn, qtbot: QtBot) -> None:
    first = uids(session)[0]
    QTest.mouseClick(column.viewport(), Qt.MouseButton.LeftButton, NONE, chip_place(column, first, "activation"))
    combo = column.editor.widget
    assert isinstance(combo, Combo)
    combo.hidePopup()
    combo.activated.emit(combo.findData("relu"))
    layer = session.experiment.layers[0]
    assert isinstance(layer, Dense)
    assert layer.activation.identifier == "relu"
    assert column.editor.widget is None


def test_that_the_ends_lead_to_the_panel_and_change_data_and_loss(
    session: Session, column: CardsColumn, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(column.panel_wanted) as wanted:
        rect = column.item_rect(INPUT)
        QTest.mouseDClick(column.viewport(), Qt.MouseButton.LeftButton, NONE, QPoint(rect.right() - 4, rect.top() + 4))
    assert wanted.args == ["data"]
    QTest.mouseClick(column.viewport(), Qt.MouseButton.LeftButton, NONE, chip_place(column, LOSS, "loss"))
    combo = column.editor.widget
    assert isinstance(combo, Combo)
    combo.hidePopup()
    combo.activated.emit(combo.findData("mse"))
    assert session.experiment.loss.identifier == "mse"


def test_that_an_impossible_layer_says_so_at_once_and_offers_the_way_out(
    session: Session, column: CardsColumn, qtbot: QtBot
) -> None:
    output = uids(session)[2]
    session.edit(edits.set_field, output, "units", 5)
    item = column.arrangement.item(output)
    assert item is not None
    assert item.words
    assert column.faces.problems_of(output)[0].severity == "impossible"
    place = column.faces.words_rect(item).center().toPoint()
    QTest.mouseClick(column.viewport(), Qt.MouseButton.LeftButton, NONE, place)
    popup = column.findChild(ProblemPopup)
    assert popup is not None
    button = popup.findChild(QPushButton)
    assert button is not None
    button.click()
    assert units(session)[2] in (1, 2)
    item = column.arrangement.item(output)
    assert item is not None
    assert not item.words


def test_that_a_folded_group_tells_of_the_problems_inside(make_session: MakeSession, make_column: MakeColumn) -> None:
    session = make_session(Repeat(3, (Residual((Dense(5, "relu"),)),)), Dense(1, "sigmoid"))
    column = make_column(session)
    group = uids(session)[0]
    assert column.faces.problems_of(group)[0].severity == "impossible"
    column.set_folded(group, False)
    assert column.faces.problems_of(group) == []


def test_that_the_context_menu_has_the_fixes_and_every_verb(session: Session, column: CardsColumn) -> None:
    output = uids(session)[2]
    session.edit(edits.set_field, output, "units", 5)
    session.state.select((output,))
    texts = [action.text() for action in column.context_menu().actions()]
    assert texts[0].startswith("Fix: Give it")
    for verb in verbs.VERBS:
        assert f"{verb.text}\t{verb.shortcut}" in texts
        assert QKeySequence(verb.shortcut).count() == 1


def test_that_the_context_menu_opens_by_keyboard(session: Session, column: CardsColumn, qtbot: QtBot) -> None:
    session.state.select(uids(session)[:1])
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(0, 0), QPoint(9, 9))
    QApplication.sendEvent(column, event)
    menu = QApplication.activePopupWidget()
    assert menu is not None
    menu.close()


def test_that_hovering_a_card_is_told_to_all_views(session: Session, column: CardsColumn, qtbot: QtBot) -> None:
    session.start(play=True)
    qtbot.waitUntil(lambda: (session.latest or 0) > 3, timeout=20_000)
    session.pause()
    rect = column.item_rect(uids(session)[1])
    QTest.mouseMove(column.viewport(), rect.center())
    assert session.state.hover is not None
    assert session.state.hover[1] == 1


# Drag and drop


def test_that_a_layer_is_dragged_from_the_palette_to_its_place(session: Session, column: CardsColumn) -> None:
    second = uids(session)[1]
    rect = column.item_rect(second)
    assert drop(column, kind_data("Dropout"), QPoint(rect.center().x(), rect.top() + 2))
    assert [layer.identifier for layer in session.experiment.layers] == ["Dense", "Dropout", "Dense", "Dense"]
    assert isinstance(session.experiment.layers[1], Dropout)


def test_that_selected_layers_are_dragged_together(session: Session, column: CardsColumn) -> None:
    first, second, output = uids(session)
    session.state.select((first, second))
    data = verbs.mime_of(edits.copy(session.experiment, (first, second)))
    rect = column.item_rect(output)
    assert drop(column, data, QPoint(rect.center().x(), rect.bottom() - 2), origin=column)
    assert uids(session) == [output, first, second]
    assert session.document.undo_names == ("Move 2 layers",)


def test_that_a_drag_with_control_copies(session: Session, column: CardsColumn) -> None:
    first = uids(session)[0]
    session.state.select((first,))
    data = verbs.mime_of(edits.copy(session.experiment, (first,)))
    rect = column.item_rect(first)
    assert drop(column, data, QPoint(rect.center().x(), rect.bottom() - 2), origin=column, held=CONTROL)
    assert units(session) == [8, 8, 6, 1]


def test_that_a_drag_goes_from_one_window_into_another(make_session: MakeSession, make_column: MakeColumn) -> None:
    one, other = make_session(), make_session(Dense(1, "sigmoid"))
    source, target = make_column(one), make_column(other)
    data = verbs.mime_of(edits.copy(one.experiment, uids(one)[:2]))
    rect = target.item_rect(INPUT)
    assert drop(target, data, rect.center(), origin=source)
    assert units(other) == [8, 6, 1]
    assert units(one) == [8, 6, 1]


def test_that_a_layer_is_dragged_into_and_out_of_a_group(make_session: MakeSession, make_column: MakeColumn) -> None:
    session = make_session(Dense(8, "tanh"), Repeat(3, (Dense(8, "tanh"),)), Dense(1, "sigmoid"))
    column = make_column(session)
    first, group, _ = uids(session)
    session.state.select((first,))
    data = verbs.mime_of(edits.copy(session.experiment, (first,)))
    assert drop(column, data, column.item_rect(group).center(), origin=column)
    inside = session.experiment.layers[0].children()
    assert inside[1].uid == first
    assert column.item_rect(first).isValid(), "the group has opened"
    assert drop(column, data, column.item_rect(INPUT).center(), origin=column)
    assert uids(session)[0] == first


def test_that_a_group_can_not_be_dragged_into_itself(
    make_session: MakeSession, make_column: MakeColumn, qtbot: QtBot
) -> None:
    session = make_session(Repeat(3, (Dense(8, "tanh"),)), Dense(1, "sigmoid"))
    said: list[str] = []
    session.failed.connect(said.append)
    column = make_column(session)
    group = uids(session)[0]
    column.set_folded(group, False)
    session.state.select((group,))
    data = verbs.mime_of(edits.copy(session.experiment, (group,)))
    inner = session.experiment.layers[0].children()[0].uid
    drop(column, data, column.item_rect(inner).center(), origin=column)
    assert session.document.undo_names == ()
    assert said and "itself" in said[0]


def test_that_a_dropped_file_is_left_to_the_window(column: CardsColumn) -> None:
    data = QMimeData()
    data.setText("file:///somewhere.gradsim")
    assert not drop(column, data, QPoint(50, 50))


def test_that_the_insertion_line_shows_while_dragging_and_goes_afterwards(
    session: Session, column: CardsColumn
) -> None:
    rect = column.item_rect(uids(session)[1])
    place = QPoint(rect.center().x(), rect.top() + 2)
    actions, button, data = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, kind_data("Dropout")
    before = column.grab().toImage()
    QApplication.sendEvent(column.viewport(), QDragEnterEvent(place, actions, data, button, NONE))
    QApplication.sendEvent(column.viewport(), QDragMoveEvent(place, actions, data, button, NONE))
    assert column.faces.drop is not None
    assert column.grab().toImage() != before
    drop(column, data, place)
    assert column.faces.drop is None


def test_that_the_insertion_line_follows_what_scrolls_below_the_mouse(
    make_session: MakeSession, make_column: MakeColumn
) -> None:
    session = make_session(*(Dense(8, "tanh") for _ in range(40)), Dense(1, "sigmoid"))
    column = make_column(session, height=300)
    bar = column.verticalScrollBar()
    bar.setValue(0)
    place = QPoint(100, column.viewport().height() - 4)
    actions, button, data = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, kind_data("Dropout")
    QApplication.sendEvent(column.viewport(), QDragEnterEvent(place, actions, data, button, NONE))
    QApplication.sendEvent(column.viewport(), QDragMoveEvent(place, actions, data, button, NONE))
    before = column.faces.drop
    for _ in range(20):
        column._scroll_while_dragging()
    assert bar.value() > 0
    assert column.faces.drop not in (None, before)
    assert column.faces.drop == column.drop_place(place)


def test_that_what_was_dragged_is_in_sight(make_session: MakeSession, make_column: MakeColumn) -> None:
    session = make_session(Dense(8, "tanh"), Repeat(10, (Dense(8, "tanh"), Dense(8, "tanh"))), Dense(1, "sigmoid"))
    column = make_column(session, height=370)
    column.set_upwards(True)
    first, group, _ = uids(session)
    column.set_folded(group, False)
    session.state.select((first,))
    assert column.verticalScrollBar().value() == 0
    data = verbs.mime_of(edits.copy(session.experiment, (first,)))
    lower = column.item_rect(session.experiment.layers[1].children()[0].uid)
    assert drop(column, data, QPoint(lower.center().x(), lower.top() - 1), origin=column)
    assert first in [layer.uid for layer in session.experiment.layers[0].children()]
    assert column.verticalScrollBar().maximum() > 0
    assert column.viewport().rect().contains(column.item_rect(first))


def test_that_an_equal_experiment_with_other_identities_is_taken_over(
    session: Session, column: CardsColumn, qtbot: QtBot
) -> None:
    before = uids(session)
    session.show(Experiment([dataclasses.replace(layer, uid="") for layer in session.experiment.layers], data="moons"))
    assert not set(before) & set(uids(session))
    QTest.keyClick(column, Qt.Key.Key_End)
    QTest.keyClick(column, Qt.Key.Key_Up)
    assert session.state.selection == (uids(session)[-1],)


# Groups, painting


def test_that_a_folded_group_lets_choose_for_the_one_layer_inside(
    make_session: MakeSession, make_column: MakeColumn
) -> None:
    session = make_session(Repeat(50, (Dense(8, "tanh"),)), Dense(1, "sigmoid"))
    column = make_column(session)
    item = column.arrangement.items[1]
    inner = session.experiment.layers[0].children()[0].uid
    assert [(chip.uid == inner, chip.view.name) for chip in column.faces.chips(item)] == [
        (False, "count"), (True, "units"), (True, "activation"), (True, "kernel_initializer"),
    ]  # fmt: skip
    session.state.select(uids(session)[:1])
    QTest.keyClick(column, Qt.Key.Key_F2)
    assert isinstance(column.editor.widget, NumberBox)
    QTest.keyClick(column.editor.widget, Qt.Key.Key_Tab)
    box = column.editor.widget
    assert isinstance(box, NumberBox)
    QTest.keyClicks(box.lineEdit(), "12")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert session.experiment.layers[0].children()[0].units == 12  # type: ignore[attr-defined]


def test_that_only_what_is_visible_is_painted(
    make_session: MakeSession, make_column: MakeColumn, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_session(*(Dense(8, "tanh") for _ in range(400)), Dense(1, "sigmoid"))
    column = make_column(session, height=400)
    painted: list[str] = []
    paint = type(column.faces)._paint_card
    monkeypatch.setattr(
        type(column.faces),
        "_paint_card",
        lambda self, painter, item: (painted.append(item.uid), paint(self, painter, item)),
    )
    column.verticalScrollBar().setValue(3000)
    column.viewport().grab()
    assert 0 < len(painted) < 60


def test_that_the_problem_of_a_folded_group_is_said_in_words(
    make_session: MakeSession, make_column: MakeColumn
) -> None:
    session = make_session(Repeat(30, (Dense(8, "sigmoid"),)), Dense(1, "sigmoid"))
    column = make_column(session, height=300)
    assert column.arrangement.density == "compact"
    group = column.arrangement.item(uids(session)[0])
    assert group is not None
    assert column.faces.problems_of(group.uid)[0].rule == "deep-sigmoid"
    assert group.words


# Running


def strip_colours(column: CardsColumn, session: Session) -> list[str]:
    image = column.viewport().grab().toImage()
    return [image.pixelColor(3, column.item_rect(uid).center().y()).name() for uid in uids(session)]


def test_that_strips_show_the_classes_of_the_run_and_training_goes_on_through_live_edits(
    session: Session, column: CardsColumn, qtbot: QtBot
) -> None:
    blank = strip_colours(column, session)
    session.start(play=True)
    qtbot.waitUntil(lambda: column.faces.now is not None, timeout=20_000)
    assert strip_colours(column, session) != blank
    recorder = session.recorder
    session.edit(edits.set_field, "", "optimizer.learning_rate", 0.2)
    step = session.latest or 0
    qtbot.waitUntil(lambda: (session.latest or 0) > step + 5, timeout=20_000)
    assert session.recorder is recorder, "the weights are kept"
    verbs.add(session, "Dense")
    qtbot.waitUntil(lambda: session.recorder is not recorder and len(session.rows()) == 4, timeout=20_000)
    qtbot.waitUntil(lambda: column.faces.now is not None and len(column.faces.now.classes) == 4, timeout=20_000)
    session.undo()
    qtbot.waitUntil(lambda: len(session.rows()) == 3 and (session.latest or 0) > 3, timeout=20_000)


def test_that_strips_stay_blank_while_the_stack_is_not_the_recorded_one(
    session: Session, column: CardsColumn, qtbot: QtBot
) -> None:
    session.start(play=True)
    qtbot.waitUntil(lambda: column.faces.now is not None, timeout=20_000)
    session.edit(edits.set_field, uids(session)[2], "units", 5)
    session.edit(edits.insert, Dropout(0.5), "", 0)
    assert not session.startable
    assert not column.faces.aligned
    assert column.faces.now is None


@pytest.mark.parametrize("layers", [1, 100, 400])
def test_that_every_stack_can_be_painted_and_scrolled(
    make_session: MakeSession, make_column: MakeColumn, layers: int
) -> None:
    stack: list[Layer] = [Dense(8, "tanh") for _ in range(layers)]
    session = make_session(*stack, BatchNormalization(), Dense(1, "sigmoid"))
    column = make_column(session, height=400)
    for value in range(0, column.verticalScrollBar().maximum() + 1, 997):
        column.verticalScrollBar().setValue(value)
        assert not column.grab().isNull()


def test_that_a_factor_of_a_group_leaves_its_name_whole(make_session: MakeSession, make_column: MakeColumn) -> None:
    session = make_session(Repeat(20, (Dense(100, "sigmoid"),)), Dense(1, "sigmoid"))
    column = make_column(session, width=265)
    group, last = (layer.uid for layer in session.experiment.layers)
    inner = session.experiment.layers[0].children()[0].uid
    for height in (640, 260):
        column.resize(265, height)
        column.show_factors({inner: "\u00d70.24 each, \u00d71.3e-13", last: "\u00d70.24"}, None)
        item = column.faces.arrangement.item(group)
        assert item is not None
        name, _, beside, _ = column.faces.first_line(item)
        assert name == "Repeat Dense"
        assert not beside.startswith("\u00d70.24 each") or column.faces.value_rect(item) is None
        assert "\u00d70.24 each, \u00d71.3e-13" in column.faces.tooltip_text(item, item_middle(column, group))
    ends = column.faces.arrangement.item(last)
    assert ends is not None
    assert column.faces.first_line(ends)[0] == "dense_20"


def test_that_a_low_card_has_room_for_its_name_before_its_choices(
    make_session: MakeSession, make_column: MakeColumn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def readable(*_: object, **__: object) -> QFont:
        font = QFont()
        font.setPixelSize(12)
        return font

    # Offscreen there may be a font of a pixel's width.
    monkeypatch.setattr(theme, "font", readable)
    wide = 240
    each = QFontMetricsF(theme.font("small", bold=True)).horizontalAdvance("n")
    # Longer than the share of a name is, shorter than half of the card; and the choices would take all of it.
    name = "n" * int(0.38 * (wide - 30) / each)
    session = make_session(*(Dense(16, "sigmoid") for _ in range(80)), Dense(16, "sigmoid", name=name))
    column = make_column(session, width=wide, height=400)
    monkeypatch.setattr(column.faces, "_chips_width", lambda item: 10.0 * wide)
    item = column.faces.arrangement.item(session.experiment.layers[80].uid)
    assert item is not None
    assert column.faces.is_low(item)
    column.faces._titles.clear()
    assert column.faces.first_line(item)[0] == name


def item_middle(column: CardsColumn, uid: str) -> QPointF:
    item = column.faces.arrangement.item(uid)
    assert item is not None
    return column.faces.face(item).center()

"""The palette: found, added, dragged."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from gradsim.app.build import verbs
from gradsim.app.build.palette import Palette, found, icon
from gradsim.app.session import Session
from gradsim.nn.layers import Layer, registry
from gradsim.nn.spec import frozen


@pytest.fixture
def palette(session: Session, qtbot: QtBot) -> Palette:
    made = Palette(session)
    qtbot.addWidget(made)
    made.show()
    return made


def kinds(session: Session) -> list[str]:
    return [layer.identifier for layer in session.experiment.layers]


def test_that_every_registered_layer_is_offered_under_its_category(palette: Palette) -> None:
    shown = [palette.kind_at(row) for row in range(palette.list.count())]
    assert sorted(filter(None, shown)) == sorted(registry)
    assert shown.count("") == len({spec.category for spec in registry.values()})
    assert shown[1] == "Dense"


def test_that_a_new_kind_of_layer_is_offered_at_once(session: Session, qtbot: QtBot) -> None:
    @registry.register("ThrowAway")
    @frozen
    class ThrowAway(Layer):
        """Lets everything pass."""

        category = "Tests"
        flat_input = False

    try:
        made = Palette(session)
        qtbot.addWidget(made)
        assert "ThrowAway" in [made.kind_at(row) for row in range(made.list.count())]
        verbs.add(session, "ThrowAway")
        assert "ThrowAway" in kinds(session)
        assert not icon("Tests").isNull()
    finally:
        registry.unregister("ThrowAway")


def test_that_search_looks_at_names_categories_and_purposes() -> None:
    assert [kind for kind, _ in found("batch norm")] == ["BatchNormalization"]
    assert "Dropout" in [kind for kind, _ in found("random share")]
    assert {kind for kind, _ in found("groups")} == {"Repeat", "Residual"}
    assert found("nothing of the kind") == []


def test_that_a_layer_is_found_and_added_by_keyboard_alone(session: Session, palette: Palette, qtbot: QtBot) -> None:
    session.state.select((session.experiment.layers[0].uid,))
    QTest.keyClicks(palette.search, "drop")
    with qtbot.waitSignal(palette.added) as added:
        QTest.keyClick(palette.search, Qt.Key.Key_Return)
    assert added.args == ["Dropout"]
    assert kinds(session) == ["Dense", "Dropout", "Dense", "Dense"]
    with qtbot.waitSignal(palette.left):
        QTest.keyClick(palette.search, Qt.Key.Key_Escape)
    assert palette.search.text() == ""
    QTest.keyClick(palette.search, Qt.Key.Key_Down)
    assert palette.kind_at(palette.list.currentRow()) not in ("", "Dense"), "headings are passed over"


def test_that_enter_in_the_list_adds_and_space_does_not(session: Session, palette: Palette) -> None:
    palette.list.setFocus()
    QTest.keyClick(palette.list, Qt.Key.Key_Space)
    assert len(kinds(session)) == 3
    QTest.keyClick(palette.list, Qt.Key.Key_Return)
    assert len(kinds(session)) == 4


def test_that_what_is_dragged_says_its_kind(palette: Palette) -> None:
    row = next(row for row in range(palette.list.count()) if palette.kind_at(row) == "PReLU")
    data = palette.list.mimeData([palette.list.item(row)])
    assert bytes(data.data(verbs.KIND_MIME).data()) == b"PReLU"


def test_that_every_layer_says_what_it_is_for(palette: Palette) -> None:
    for row in range(palette.list.count()):
        item = palette.list.item(row)
        if palette.kind_at(row):
            assert registry[palette.kind_at(row)].summary() in item.toolTip()
            assert not item.icon().isNull()


def test_that_the_current_layer_is_described_below_the_list(palette: Palette) -> None:
    palette.search.setText("dropout")
    assert palette.summary.text() == registry["Dropout"].summary()
    palette.search.setText("nothing of the kind")
    assert palette.summary.text() == "No layer of this name"

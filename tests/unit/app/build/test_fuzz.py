"""Whatever is pressed in whatever order, the column keeps up with the experiment."""

from __future__ import annotations

import random

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from gradsim.app.build import verbs
from gradsim.app.build.arrangement import row_uids
from gradsim.app.build.cards import CardsColumn
from gradsim.app.build.inspector import Inspector
from gradsim.app.build.run_panel import RunPanel
from gradsim.app.session import Session
from gradsim.model import edits
from gradsim.nn.layers import registry

KEYS = [
    Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_F2,
    Qt.Key.Key_Return, Qt.Key.Key_Escape, Qt.Key.Key_Plus, Qt.Key.Key_Minus, Qt.Key.Key_Tab, Qt.Key.Key_7,
]  # fmt: skip
HELD = [
    Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_that_the_column_keeps_up_with_any_sequence_of_edits(
    session: Session, qtbot: QtBot, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The edits matter here, not the runs that they start.
    monkeypatch.setattr(session, "start", lambda **_: None)
    rng = random.Random(seed)
    column, inspector, panel = CardsColumn(session, upwards=bool(seed % 2)), Inspector(session), RunPanel(session)
    for widget in (column, inspector, panel):
        qtbot.addWidget(widget)
        widget.resize(300, 500)
        widget.show()
    for _ in range(120):
        match rng.randrange(8):
            case 0 | 1:
                focus = column.editor.widget or column
                QTest.keyClick(focus, rng.choice(KEYS), rng.choice(HELD))
            case 2:
                rng.choice(verbs.VERBS).function(session)
            case 3:
                verbs.add(session, rng.choice(list(registry)))
            case 4:
                place = QPoint(rng.randrange(300), rng.randrange(500))
                QTest.mouseClick(column.viewport(), Qt.MouseButton.LeftButton, rng.choice(HELD[:3]), place)
                if column.editor.widget is not None:
                    column.editor.close()
            case 5:
                (session.undo if rng.random() < 0.7 else session.redo)()
            case 6:
                known = [place.layer.uid for place in edits.places(session.experiment)]
                session.state.select(rng.sample(known, min(len(known), rng.randrange(3))))
            case 7:
                column.set_density(rng.choice([None, "compact", "comfortable"]))
        if len(session.experiment.layers) > 25:
            session.undo()
        assert not column.grab().isNull()
    shown = {item.uid for item in column.arrangement.items if item.selectable and item.layer is not None}
    known = {place.layer.uid for place in edits.places(session.experiment)}
    assert {layer.uid for layer in session.experiment.layers} <= shown <= known
    assert column.arrangement.row_uids == tuple(row_uids(session.experiment.layers))
    assert set(session.state.selection) <= known

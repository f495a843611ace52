from __future__ import annotations

from pytestqt.qtbot import QtBot

from gradsim.app.see.elided import Elided


def test_that_words_without_room_end_in_dots(qtbot: QtBot) -> None:
    label = Elided("= exploding, about 0.001 = healthy")
    qtbot.addWidget(label)
    label.resize(label.sizeHint())
    label.show()
    assert label.shown() == label.text()
    whole = label.grab().toImage()
    label.resize(label.width() // 2, label.height())
    assert label.shown().endswith("\u2026")
    assert label.text() == "= exploding, about 0.001 = healthy"
    assert label.grab().toImage() != whole.copy(label.rect()), "the dots are painted"

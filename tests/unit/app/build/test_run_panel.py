"""Data, loss, optimizer, learning rate, clipping, regime, schedule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from gradsim import data
from gradsim.app import theme
from gradsim.app.build.editors import NumberEditor
from gradsim.app.build.forms import RateEditor
from gradsim.app.build.run_panel import RatePicture, RunPanel, preview
from gradsim.app.inout.own_data import OwnData
from gradsim.app.session import Session
from gradsim.model import edits
from gradsim.nn import schedules
from gradsim.nn.spec import REGISTRIES


@pytest.fixture
def panel(session: Session, qtbot: QtBot) -> RunPanel:
    made = RunPanel(session)
    qtbot.addWidget(made)
    made.resize(320, 700)
    made.show()
    return made


def pick(combo: object, value: object) -> None:
    index = combo.findData(value)  # type: ignore[attr-defined]
    assert index >= 0
    combo.setCurrentIndex(index)  # type: ignore[attr-defined]
    combo.activated.emit(index)  # type: ignore[attr-defined]


def enter(qtbot: QtBot, editor: NumberEditor, text: str) -> None:
    editor.box.selectAll()
    qtbot.keyClicks(editor.box.lineEdit(), text)
    qtbot.keyClick(editor.box.lineEdit(), Qt.Key.Key_Return)


def test_that_every_dataset_can_be_chosen_and_is_described(session: Session, panel: RunPanel) -> None:
    shown = {panel.data.kind.itemData(i) for i in range(panel.data.kind.count())} - {None}
    assert shown == set(REGISTRIES["dataset"])
    for identifier in ("spiral", "regression_1d", "iris"):
        if identifier in shown:
            pick(panel.data.kind, identifier)
            assert session.experiment.data.identifier == identifier
            assert "rows" in panel.data.preview.text()
    pick(panel.data.kind, "moons")
    assert panel.data.preview.text() == "800 rows + 200 to validate, 2 features, 2 classes"


def test_that_fields_of_the_data_can_be_changed(session: Session, panel: RunPanel, qtbot: QtBot) -> None:
    panel.data.fold.click()
    samples = panel.data.form.fields["samples"].editor
    assert isinstance(samples, NumberEditor)
    enter(qtbot, samples, "100")
    assert session.experiment.data.samples == 100  # type: ignore[attr-defined]
    assert panel.data.preview.text().startswith("80 rows")
    assert panel.regime.updates.text() == "3 updates per epoch (80 rows)"


def test_that_own_data_are_asked_for_and_described(
    session: Session, panel: RunPanel, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.csv"
    path.write_text("a,b,kind\n" + "\n".join(f"{i},{i * i},{'xy'[i % 2]}" for i in range(20)))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: ("", ""))
    pick(panel.data.kind, "csv")
    assert session.experiment.data.identifier == "moons", "thought better of it"
    assert panel.data.kind.currentData() == "moons"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: (str(path), ""))
    pick(panel.data.kind, "csv")
    dialog = panel.findChild(OwnData) or panel.window().findChild(OwnData)
    qtbot.waitUntil(lambda: not dialog.reading, timeout=20_000)
    dialog.use.click()
    assert session.experiment.data.identifier == "csv"
    assert "2 features, 2 classes" in panel.data.preview.text()
    assert session.document.undo_names == ("Data from own.csv",)
    assert not panel.data.browse.isHidden()


def test_that_data_that_can_not_be_read_say_why(session: Session, panel: RunPanel, tmp_path: Path) -> None:
    session.edit(edits.set_field, "", "data", {"type": "csv", "path": str(tmp_path / "missing.csv")})
    assert panel.data.preview.text().startswith("Can't be read: ")
    assert not panel.problems.isHidden()
    assert not session.startable


def test_that_arrays_in_memory_are_described() -> None:
    held = data.source((np.zeros((6, 3), np.float32), np.array([0, 1, 2, 0, 1, 2])))
    assert preview(held).startswith("6 rows, 3 features, 3 classes")


def test_that_one_way_of_clipping_takes_the_place_of_another(session: Session, panel: RunPanel, qtbot: QtBot) -> None:
    section = panel.optimizer
    pick(section.clipping, "clipvalue")
    enter(qtbot, section.limit, "0.5")
    assert session.experiment.optimizer.clipvalue == 0.5
    pick(section.clipping, "global_clipnorm")
    optimizer = session.experiment.optimizer
    assert (optimizer.clipvalue, optimizer.clipnorm, optimizer.global_clipnorm) == (None, None, 0.5)
    enter(qtbot, section.limit, "0")
    assert not section.error.isHidden()
    assert "greater than 0" in section.error.text()
    pick(section.clipping, "")
    assert section.limit.isHidden()
    assert session.experiment.optimizer.global_clipnorm is None
    assert set(session.document.undo_names) == {"Change clipping"}
    for _ in range(len(session.document.undo_names)):
        session.undo()
    assert section.clipping.currentData() == ""


def test_that_the_rate_slides_in_one_undo_step_and_is_live(session: Session, panel: RunPanel) -> None:
    rate = panel.optimizer.rate.fields["learning_rate"].editor
    assert isinstance(rate, RateEditor)
    slider = rate.number.slider
    assert slider is not None
    changes = []
    session.document_changed.connect(changes.append)
    for tick in range(600, 900, 50):
        slider.setValue(tick)
    slider.sliderReleased.emit()
    assert len(session.document.undo_names) == 1
    assert {change.effect for change in changes} == {"live"}
    assert session.experiment.optimizer.learning_rate > 0.01


def test_that_a_schedule_is_drawn(session: Session, panel: RunPanel, qtbot: QtBot) -> None:
    assert panel.optimizer.picture.isHidden()
    blank = panel.optimizer.picture.grab().toImage()
    rate = panel.optimizer.rate.fields["learning_rate"].editor
    assert isinstance(rate, RateEditor)
    pick(rate.kind.combo, "WarmUp")
    assert session.experiment.optimizer.learning_rate == schedules.WarmUp(0.01)
    assert not panel.optimizer.picture.isHidden()
    assert panel.optimizer.picture.grab().toImage() != blank
    for schedule in REGISTRIES["schedule"]:
        made = REGISTRIES["schedule"].create(schedule)
        assert RatePicture.span(made) >= 10


def test_that_the_regime_says_how_many_updates_an_epoch_has(session: Session, panel: RunPanel, qtbot: QtBot) -> None:
    section = panel.regime
    assert section.updates.text() == "25 updates per epoch (800 rows)"
    pick(section.combo, "full")
    assert session.experiment.batch_size is None
    assert section.updates.text() == "1 update per epoch (800 rows)"
    assert section.rows.isHidden()
    pick(section.combo, "stochastic")
    assert session.experiment.batch_size == 1
    assert section.updates.text() == "800 updates per epoch (800 rows)"
    pick(section.combo, "mini")
    assert session.experiment.batch_size == 32
    enter(qtbot, section.rows, "100")
    assert section.updates.text() == "8 updates per epoch (800 rows)"
    session.undo()
    assert session.experiment.batch_size == 32
    enter(qtbot, section.rows, "0")
    assert "at least 1" in section.error.text()


def test_that_another_optimizer_brings_its_own_fields(session: Session, panel: RunPanel) -> None:
    assert "momentum" in panel.optimizer.rest.fields
    pick(panel.optimizer.kind.combo, "Adam")
    assert session.experiment.optimizer.identifier == "Adam"
    assert "beta_1" in panel.optimizer.rest.fields
    assert "momentum" not in panel.optimizer.rest.fields


def test_that_the_panel_follows_edits_elsewhere(session: Session, panel: RunPanel) -> None:
    session.edit(edits.choose, "", "loss", "mse")
    session.edit(edits.set_field, "", "seed", 7)
    session.edit(edits.set_field, "", "batch_size", None)
    assert panel.loss.fields["loss"].editor.combo.currentData() == "mse"  # type: ignore[attr-defined]
    assert panel.start.fields["seed"].editor.box.value == 7  # type: ignore[attr-defined]
    assert panel.regime.combo.currentData() == "full"
    for _ in range(3):
        session.undo()
    assert panel.regime.combo.currentData() == "mini"


def test_that_a_section_can_be_gone_to(session: Session, panel: RunPanel, qtbot: QtBot) -> None:
    panel.activateWindow()
    for name, widget in (("data", panel.data.kind), ("batches", panel.regime.combo)):
        panel.show_section(name)
        qtbot.waitUntil(widget.hasFocus)


def test_that_every_control_of_the_panel_has_a_name_and_words(panel: RunPanel) -> None:
    stops = panel.tab_stops()
    assert len(stops) > 10
    for widget in stops:
        assert widget.accessibleName() or getattr(widget, "text", str)(), widget
        assert widget.toolTip(), widget


def test_that_zoom_and_theme_reach_the_panel(session: Session, panel: RunPanel) -> None:
    width = panel.optimizer.minimumSizeHint().width()
    try:
        theme.set_zoom(200)
        assert panel.optimizer.minimumSizeHint().width() > 1.5 * width
        assert panel.regime.updates.text() == "25 updates per epoch (800 rows)"
    finally:
        theme.set_zoom(100)


def test_that_the_panel_fits_a_column_of_300_pixels(panel: RunPanel) -> None:
    inside = panel.scroll_area.widget()
    assert inside is not None
    assert inside.minimumSizeHint().width() <= 285

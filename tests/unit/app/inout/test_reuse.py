from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from gradsim import api
from gradsim.app.inout.paste import PasteCode
from gradsim.app.inout.reuse import ReuseLayers
from gradsim.app.window import MainWindow
from gradsim.exchange.start import start_of
from gradsim.model import bundled
from gradsim.nn import layers
from gradsim.telemetry.recording import Recording
from tests.unit.app.experiments import small_experiment

WAIT = 20_000
OpenWindow = Callable[..., MainWindow]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A saved training of a stack like the one that is open."""
    path = tmp_path / "first.npz"
    experiment = small_experiment(
        layers.Dense(8, "elu"),
        layers.Dense(6, "elu"),
        layers.Dense(3, "softmax"),
        data={"type": "spiral", "classes": 3, "samples": 90},
        loss="categorical_crossentropy",
    )
    api.Experiment.of(experiment).run(steps=5).save(path)
    return path


def read(qtbot: QtBot, dialog: ReuseLayers) -> None:
    qtbot.waitUntil(lambda: not dialog.reading, timeout=WAIT)


def test_that_the_first_layers_are_taken_over_as_one_step_with_their_weights(
    open_window: OpenWindow, qtbot: QtBot, recorded: Path
) -> None:
    window = open_window(started=False)
    session = window.session
    before = session.experiment
    dialog = window.desk.reuse(recorded)
    read(qtbot, dialog)
    assert dialog.count.value() == 2
    dialog.freeze.setChecked(True)
    dialog.take_button.click()
    assert window.desk.dialog is None
    made = session.experiment
    assert [layer.activation.identifier for layer in made.layers] == ["elu", "elu", "sigmoid"]
    assert [layer.trainable for layer in made.layers] == [False, False, True]
    found = start_of(made)
    np.testing.assert_array_equal(found[0], Recording.load(recorded).final_weights[0])
    assert len(session.document.undo_names) == 1
    session.undo()
    assert session.experiment is before


def test_that_what_does_not_fit_is_said_and_can_not_be_taken(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path, recorded: Path
) -> None:
    window = open_window(small_experiment(data="iris", loss="categorical_crossentropy"), started=False)
    dialog = window.desk.reuse(recorded)
    read(qtbot, dialog)
    assert "shape" in dialog.verdict.text()
    assert not dialog.take_button.isEnabled()
    path = tmp_path / "broken.npz"
    path.write_bytes(b"PK")
    dialog.choose(path)
    read(qtbot, dialog)
    assert not dialog.take_button.isEnabled() and dialog.verdict.text()
    dialog.reject()


def test_that_an_exported_record_holds_the_weights_that_can_be_reused(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PySide6.QtWidgets import QFileDialog

    window = open_window()
    window.session.runner.step(3)
    qtbot.waitUntil(lambda: window.session.latest == 2, timeout=WAIT)
    path = tmp_path / "record.npz"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    assert window.files.ask_export()
    qtbot.waitUntil(path.exists, timeout=WAIT)
    dialog = window.desk.reuse(path)
    read(qtbot, dialog)
    assert dialog.take_button.isEnabled(), dialog.verdict.text()
    dialog.reject()


def test_that_a_keras_file_is_shown_and_opens_with_its_weights(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    from tests.unit.exchange.test_keras_file import archive

    window = open_window(started=False)
    path = archive(tmp_path / "own.keras")
    assert window.files.take(path)
    dialog = window.desk.dialog
    assert isinstance(dialog, PasteCode) and dialog.code.isReadOnly()
    qtbot.waitUntil(lambda: not dialog.reading, timeout=WAIT)
    dialog.new.click()
    assert window.session.experiment.pretrained == str(path)
    assert start_of(window.session.experiment) is not None


def test_that_a_reuse_is_shown_beside_the_same_stack_from_scratch(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(bundled.load("pretrained-2-two-others"))
    window.actions_["compare.scratch"].trigger()
    comparison = window.comparing.comparison
    assert comparison is not None
    qtbot.waitUntil(lambda: all(twin.recorder is not None for twin in comparison.twins), timeout=WAIT)
    reused, scratch = (twin.experiment for twin in comparison.twins)
    assert (reused.pretrained, scratch.pretrained) == ("bundled:eight-classes", "")
    assert all(layer.trainable for layer in scratch.layers)
    qtbot.waitUntil(lambda: all((twin.latest or 0) > 2 for twin in comparison.twins), timeout=WAIT)
    assert comparison.twins[0].at(0)["loss"][0] != comparison.twins[1].at(0)["loss"][0]

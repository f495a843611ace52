"""Comparisons in the window: in, out, adopt, before and after, forks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QToolButton
from pytestqt.qtbot import QtBot

from gradsim.app.compare.comparison import Comparison
from gradsim.app.window import MainWindow
from gradsim.engine.trainer import Trainer
from gradsim.model import edits, file
from gradsim.nn import optimizers
from tests.unit.app.experiments import exploding_experiment, impossible_experiment, small_experiment

WAIT = 20_000
OpenWindow = Callable[..., MainWindow]


def compared(qtbot: QtBot, window: MainWindow) -> Comparison:
    qtbot.waitUntil(
        lambda: window.comparing.comparison is not None and window.comparing.comparison.recorder is not None,
        timeout=WAIT,
    )
    comparison = window.comparing.comparison
    assert comparison is not None
    return comparison


def trained(qtbot: QtBot, window: MainWindow, steps: int) -> None:
    window.session.runner.step(steps)
    qtbot.waitUntil(
        lambda: window.session.status.step >= steps or window.session.status.state == "diverged", timeout=WAIT
    )
    qtbot.waitUntil(lambda: window.session.status.state != "playing", timeout=WAIT)


def loss_of(watched: Any) -> np.ndarray:
    return watched.recorder.recording()["loss"]


def test_that_one_key_shows_before_and_after_and_leaves_again(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    assert not window.actions_["compare.before"].isEnabled()
    uid = window.session.experiment.layers[0].uid
    window.session.edit(edits.set_field, uid, "activation", "relu")
    trained(qtbot, window, 5)
    kept = window.session.recorder
    qtbot.keyClick(window, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    comparison = compared(qtbot, window)
    assert window.centre.currentWidget() is window.comparing.view
    assert [str(twin.experiment.layers[0].activation.identifier) for twin in comparison.twins] == ["tanh", "relu"]
    assert [line for _, lines in _told(comparison) for _, line in lines] == ["Activation of dense: tanh → relu"]
    qtbot.keyClick(window, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    assert window.comparing.comparison is None
    assert window.centre.currentWidget() is window.across
    assert window.session.recorder is kept and kept is not None and kept.stop == 5


def _told(comparison: Comparison) -> Any:
    from gradsim.app.compare import told

    return told.differences(comparison)


def test_that_the_controls_of_the_window_act_on_all_twins(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    window.comparing.with_rates()
    comparison = compared(qtbot, window)
    assert [twin.experiment.optimizer.learning_rate for twin in comparison.twins] == [0.1, 0.01, 1.0, 10.0]
    comparison.pause()
    qtbot.waitUntil(lambda: comparison.status.state == "paused", timeout=WAIT)
    step = comparison.status.step
    window.actions_["run.step"].trigger()
    qtbot.waitUntil(lambda: comparison.status.step == step + 1, timeout=WAIT)
    assert {twin.recorder.stop for twin in comparison.twins if twin.recorder} == {step + 1}
    window.actions_["run.back"].trigger()
    qtbot.waitUntil(lambda: comparison.status.step == step, timeout=WAIT)
    window.transport.change_speed(-1)
    assert comparison.speed == 500
    assert window.session.speed is None
    play = window.transport.findChildren(QToolButton)[0]
    qtbot.mouseClick(play, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: comparison.status.state == "playing", timeout=WAIT)
    assert window.session.status.step == 0
    assert not window.actions_["edit.undo"].isEnabled()
    assert not window.actions_["run.slow"].isEnabled()


def test_that_leaving_shows_the_run_as_it_was_and_ends_the_thread(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    window.session.play()
    qtbot.waitUntil(lambda: window.session.status.step > 0, timeout=WAIT)
    window.session.state.set_cursor(0)
    window.comparing.with_cures(["relu"])
    comparison = compared(qtbot, window)
    assert window.session.status.state == "paused"
    thread = comparison.runner._thread
    view = window.comparing.view
    assert view is not None
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert window.comparing.comparison is None
    qtbot.waitUntil(lambda: not thread.is_alive(), timeout=WAIT)
    # It was training, so it goes on.
    qtbot.waitUntil(lambda: window.session.status.state == "playing", timeout=WAIT)


def test_that_adopting_a_twin_is_one_step_to_undo(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    before = window.session.experiment
    assert window.comparing.with_cures(["bn-before", "adam"])
    comparison = compared(qtbot, window)
    comparison.pause()
    wanted = comparison.members[1].experiment
    window.comparing.adopt(1)
    assert window.comparing.comparison is None
    assert window.session.experiment == wanted != before
    assert len(window.session.document.undo_names) == 1
    window.session.undo()
    assert window.session.experiment == before


def test_that_adopting_the_open_one_changes_nothing(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    trained(qtbot, window, 7)
    window.comparing.with_cures(["relu"])
    compared(qtbot, window).pause()
    window.comparing.adopt(0)
    assert not window.session.document.undo_names
    assert window.session.status.step >= 7


def test_that_closing_the_window_ends_the_threads(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    window.comparing.duplicate()
    compared(qtbot, window)
    mine = [thread for thread in threading.enumerate() if thread.name == "gradsim-runner"]
    assert len(mine) == 2
    window.close()
    qtbot.waitUntil(lambda: not any(thread.is_alive() for thread in mine), timeout=WAIT)


def test_that_another_file_ends_the_comparison(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    window.comparing.duplicate()
    compared(qtbot, window)
    window.files.new()
    assert window.comparing.comparison is None


def test_that_a_file_and_more_twins_are_put_beside(qtbot: QtBot, open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window()
    path = tmp_path / "other.gradsim"
    file.save(path, small_experiment(optimizer=optimizers.Adam()))
    assert window.comparing.with_file(path)
    assert window.comparing.with_cures(["relu"])
    comparison = compared(qtbot, window)
    assert [member.title for member in comparison.members][1] == "other.gradsim"
    assert len(comparison.twins) == 3
    window.comparing.leave_out(1)
    comparison = compared(qtbot, window)
    assert len(comparison.twins) == 2
    assert comparison.members[1].experiment.layers[0].activation.identifier == "relu"


def test_that_what_can_not_be_trained_is_refused_with_its_reason(
    qtbot: QtBot, open_window: OpenWindow, tmp_path: Path
) -> None:
    window = open_window()
    path = tmp_path / "bad.gradsim"
    file.save(path, impossible_experiment())
    with qtbot.waitSignal(window.session.failed) as failed:
        assert not window.comparing.with_file(path)
    assert failed.args is not None and "can't be trained" in failed.args[0]
    assert window.comparing.comparison is None


def test_that_a_cure_is_chosen_in_a_dialog(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    dialog = window.comparing.ask_cure()
    qtbot.waitUntil(lambda: dialog.complete, timeout=WAIT)
    dialog.choose(["relu", "selu"])
    assert not dialog.go.isEnabled()
    assert "exclude each other" in dialog.words.text()
    dialog.choose(["relu", "adam"])
    assert dialog.go.isEnabled()
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    comparison = compared(qtbot, window)
    assert comparison.twins[1].experiment.optimizer.identifier == "Adam"
    assert comparison.members[1].title == "ReLU + Adam" or " + " in comparison.members[1].title


def test_that_ticked_cures_are_put_beside_without_changing_anything(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    cures = window.diagnosis.cures
    qtbot.waitUntil(lambda: cures.rows["relu"].tick.isEnabled(), timeout=WAIT)
    assert not cures.beside.isEnabled()
    cures.rows["relu"].tick.setChecked(True)
    cures.beside.click()
    comparison = compared(qtbot, window)
    assert comparison.twins[1].experiment.layers[0].activation.identifier == "relu"
    assert not window.session.document.undo_names


def test_that_a_trial_is_put_beside(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    dialog = window.diagnosis.try_cures()
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.model.rowCount() > 1, timeout=WAIT)

    def cured() -> bool:
        for row in range(dialog.model.rowCount()):
            dialog.table.selectRow(row)
            if dialog.beside_button.isEnabled():
                return True
        return False

    qtbot.waitUntil(cured, timeout=WAIT)
    dialog.beside_button.click()
    comparison = compared(qtbot, window)
    assert comparison.members[0].experiment == window.session.experiment
    assert len(comparison.members) == 2


def test_that_a_fork_goes_on_from_a_past_step_bit_for_bit(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    trained(qtbot, window, 60)
    window.session.state.set_cursor(24)
    dialog = window.comparing.ask_fork()
    assert dialog is not None and dialog.step.value() == 25
    qtbot.waitUntil(lambda: dialog.complete, timeout=WAIT)
    dialog.choose(["", "relu"])
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    comparison = compared(qtbot, window)
    comparison.pause()
    qtbot.waitUntil(lambda: comparison.status.state == "paused", timeout=WAIT)
    comparison.runner.rewind(25)
    comparison.runner.play(60)
    qtbot.waitUntil(lambda: comparison.status.step == 60 and comparison.status.state == "paused", timeout=WAIT)
    assert [twin.recorder.first_step for twin in comparison.twins if twin.recorder] == [0, 0]
    # What was before the fork may be kept coarsely by now.
    original, other = (loss_of(twin)[-35:] for twin in comparison.twins)
    assert np.array_equal(original, loss_of(window.session)[25:60])
    assert not np.array_equal(original, other)
    assert comparison.twins[1].fork is not None and not comparison.twins[1].fork.fresh
    window.comparing.leave()
    assert window.session.recorder is not None and window.session.recorder.stop == 60


def test_that_a_fork_is_adopted_with_its_weights(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    trained(qtbot, window, 20)
    window.comparing.fork(20, ["adam"])
    comparison = compared(qtbot, window)
    comparison.pause()
    qtbot.waitUntil(lambda: comparison.status.state == "paused", timeout=WAIT)
    fork = comparison.twins[1].fork
    assert fork is not None
    wanted = fork.trainer.weights()
    window.comparing.adopt(1)
    qtbot.waitUntil(lambda: window.comparing.comparison is None, timeout=WAIT)
    assert window.session.experiment.optimizer.identifier == "Adam"
    assert len(window.session.document.undo_names) == 1
    found: list[list[np.ndarray]] = []
    qtbot.waitUntil(lambda: window.session.recorder is not None and not window.session.recorder.stop, timeout=WAIT)
    window.session.ask("weights", Trainer.weights, found.append)
    qtbot.waitUntil(lambda: bool(found), timeout=WAIT)
    assert all(map(np.array_equal, found[0], wanted))


def test_that_the_step_before_it_died_is_one_click(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window(exploding_experiment())
    window.session.play()
    qtbot.waitUntil(lambda: window.session.status.state == "diverged", timeout=WAIT)
    qtbot.waitUntil(lambda: window.banner.topic == "diverged", timeout=WAIT)
    where = window.session.first_nonfinite
    assert where is not None
    fork = next(button for button in window.banner.buttons if button.text().startswith("Fork before it"))
    qtbot.mouseClick(fork, Qt.MouseButton.LeftButton)
    dialog = window.comparing.dialog
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.complete, timeout=WAIT)
    assert dialog.step.value() == where.step
    dialog.choose(["clipnorm"])
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    comparison = compared(qtbot, window)
    assert comparison.moment is not None and comparison.moment.steps == where.step
    qtbot.waitUntil(lambda: comparison.twins[0].recorder.first_nonfinite is not None, timeout=WAIT)  # type: ignore[union-attr]
    assert comparison.twins[0].recorder.first_nonfinite.step == where.step  # type: ignore[union-attr]


def test_that_a_fork_can_be_edited_by_hand_first(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    trained(qtbot, window, 30)
    weights = Trainer(window.session.experiment)
    weights.advance(20)
    window.comparing.fork_by_hand(20)
    qtbot.waitUntil(lambda: window.comparing.pending is not None, timeout=WAIT)
    assert window.comparing.comparison is None
    uid = window.session.experiment.layers[1].uid
    window.session.edit(edits.set_field, uid, "activation", "elu")
    assert window.actions_["compare.again"].isEnabled()
    window.comparing.again()
    comparison = compared(qtbot, window)
    assert comparison.moment is not None and comparison.moment.steps == 20
    assert comparison.twins[1].experiment.layers[1].activation.identifier == "elu"
    fork = comparison.twins[1].fork
    assert fork is not None and not fork.fresh
    assert all(map(np.array_equal, weights.snapshot().arrays, comparison.moment.snapshot.arrays))


def test_that_a_fork_with_other_batches_is_refused_and_can_be_mended(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    trained(qtbot, window, 10)
    window.comparing.fork_by_hand(5)
    qtbot.waitUntil(lambda: window.comparing.pending is not None, timeout=WAIT)
    window.session.edit(edits.set_field, "", "batch_size", 8)
    with qtbot.waitSignal(window.session.failed) as failed:
        window.comparing.again()
    assert failed.args is not None and "batch size" in failed.args[0]
    assert window.comparing.comparison is None
    window.session.edit(edits.set_field, "", "batch_size", 32)
    window.session.edit(edits.set_field, "", "optimizer.learning_rate", 0.5)
    window.comparing.again()
    assert compared(qtbot, window).moment is not None


def test_that_a_twin_that_is_edited_takes_its_place_again(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    window.comparing.duplicate()
    compared(qtbot, window)
    window.comparing.edit_by_hand(1)
    window.session.edit(edits.choose, "", "optimizer", "Adam")
    window.comparing.again()
    comparison = compared(qtbot, window)
    assert [twin.experiment.optimizer.identifier for twin in comparison.twins] == ["SGD", "Adam"]


def test_that_quantity_and_scale_are_those_of_the_window(qtbot: QtBot, open_window: OpenWindow) -> None:
    window = open_window()
    window.session.state.set_quantity("weight_norm")
    window.comparing.duplicate()
    comparison = compared(qtbot, window)
    assert comparison.twins[1].state.quantity == "weight_norm"
    comparison.twins[1].state.set_quantity("delta_rms")
    assert window.session.state.quantity == "delta_rms"

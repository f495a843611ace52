"""Saving the window's experiment with its run, and opening it again at the same step with the same pictures."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from gradsim.app.see import picture
from gradsim.app.window import MainWindow
from gradsim.model import container, edits, file
from gradsim.nn import optimizers
from tests.unit.app.conftest import OpenWindow
from tests.unit.app.experiments import small_experiment


def train(window: MainWindow, steps: int, qtbot: QtBot) -> None:
    goal = window.session.status.step + steps
    window.session.runner.step(steps)
    qtbot.waitUntil(
        lambda: window.session.status.step == goal and window.session.status.state == "paused", timeout=20_000
    )


def weights(window: MainWindow, qtbot: QtBot) -> list[np.ndarray]:
    found: list[list[np.ndarray]] = []
    window.session.ask("test", lambda trainer: trainer.weights(), found.append)
    qtbot.waitUntil(lambda: bool(found), timeout=20_000)
    return found[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lecture.gradsim"


def test_that_a_run_opens_at_the_same_step_with_the_same_pictures_and_goes_on(
    open_window: OpenWindow, qtbot: QtBot, path: Path
) -> None:
    first = open_window(small_experiment(name="Lecture", optimizer=optimizers.Adam(0.02)))
    train(first, 60, qtbot)
    session = first.session
    session.state.set_quantity("gradient_rms")
    session.select_row(1)
    session.state.set_range((10.0, 70.0))
    session.state.set_cursor(40)
    first.show_side_page("Clipping")
    assert first.files.save_with_run(path)
    assert not session.document.dirty
    assert first.files.title == "lecture.gradsim"
    assert container.is_container(path)
    shown = {name: picture.image(getattr(first.stage, name)) for name in ("heatmap", "profile", "curves")}

    second = open_window()
    assert second.files.open(path, play=True)
    again = second.session
    qtbot.waitUntil(lambda: again.status.step == 60 and again.state.cursor == 40, timeout=20_000)
    assert again.status.state == "paused"
    assert second.side_page == "Clipping"
    assert (again.state.quantity, again.state.range) == ("gradient_rms", (10.0, 70.0))
    assert again.selected_rows() == (1,)
    assert again.recorder is not None and session.recorder is not None
    assert again.recorder.recording() == session.recorder.recording()
    qtbot.wait(50)
    for name, image in shown.items():
        assert picture.image(getattr(second.stage, name)) == image, name
    for window in (first, second):
        train(window, 30, qtbot)
    for ours, theirs in zip(weights(first, qtbot), weights(second, qtbot), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_that_a_run_opens_without_the_weights_that_it_began_from(
    open_window: OpenWindow, qtbot: QtBot, path: Path, tmp_path: Path
) -> None:
    trained = tmp_path / "trained.npz"
    np.savez(trained, *small_experiment().stack().initial_weights(7))
    window = open_window(small_experiment(pretrained=str(trained)))
    qtbot.waitUntil(lambda: window.session.recorder is not None, timeout=20_000)
    train(window, 5, qtbot)
    assert window.files.save_with_run(path)
    trained.unlink()
    other = open_window()
    assert other.files.open(path)
    qtbot.waitUntil(lambda: other.session.status.step == 5, timeout=20_000)
    for ours, theirs in zip(weights(window, qtbot), weights(other, qtbot), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not other.session.failure
    # From the start again it can't go.
    other.session.reset()
    qtbot.waitUntil(lambda: bool(other.session.failure), timeout=20_000)
    assert "trained.npz" in other.session.failure
    assert other.session.experiment.pretrained == str(trained)


def test_that_saving_again_keeps_the_run_in_the_file(open_window: OpenWindow, qtbot: QtBot, path: Path) -> None:
    window = open_window()
    train(window, 5, qtbot)
    assert window.files.save_with_run(path)
    train(window, 5, qtbot)
    window.session.edit(edits.set_field, "", "name", "Other")
    assert window.files.save()
    assert container.is_container(path)
    assert file.load(path).experiment.name == "Other"
    other = open_window()
    other.files.open(path)
    qtbot.waitUntil(lambda: other.session.status.step == 10, timeout=20_000)


def test_that_saving_while_it_plays_keeps_one_moment(open_window: OpenWindow, qtbot: QtBot, path: Path) -> None:
    window = open_window()
    window.session.play()
    qtbot.waitUntil(lambda: window.session.status.step > 20, timeout=20_000)
    assert window.files.save_with_run(path)
    window.session.pause()
    other = open_window()
    other.files.open(path)
    qtbot.waitUntil(lambda: other.session.status.step > 20, timeout=20_000)
    # The run that was there before may still be shown for a moment.
    qtbot.waitUntil(
        lambda: other.session.recorder is not None and other.session.recorder.stop == other.session.status.step,
        timeout=20_000,
    )


def test_that_a_damaged_run_leaves_the_experiment_and_says_so(
    open_window: OpenWindow, qtbot: QtBot, path: Path
) -> None:
    window = open_window(small_experiment(name="Kept"))
    train(window, 5, qtbot)
    assert window.files.save_with_run(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"state.npz") + 200
    data[at : at + 40] = bytes(40)
    path.write_bytes(bytes(data))
    said = Mock()
    other = open_window()
    other.session.failed.connect(said)
    assert other.files.open(path)
    qtbot.waitUntil(lambda: said.called, timeout=20_000)
    assert "starts from the seed" in said.call_args.args[0]
    assert other.session.experiment.name == "Kept"
    train(other, 3, qtbot)


def test_that_a_file_that_can_not_be_written_is_said(open_window: OpenWindow, qtbot: QtBot, tmp_path: Path) -> None:
    window = open_window()
    train(window, 2, qtbot)
    said = Mock()
    window.files.failed.connect(said)
    assert not window.files.save_with_run(tmp_path / "no" / "x.gradsim")
    assert "can't be written" in said.call_args.args[0]
    assert window.session.document.path is None

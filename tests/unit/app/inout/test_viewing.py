from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from gradsim import api
from gradsim.app.inout import following
from gradsim.app.inout.following import Viewed
from gradsim.app.inout.viewing import ViewWindow
from gradsim.app.window import MainWindow
from gradsim.model import bundled
from gradsim.telemetry.quantities import LAYER_COLUMNS
from gradsim.telemetry.recorder import Recorder
from gradsim.telemetry.recording import Layer, Recording
from tests.unit.app.experiments import small_experiment

WAIT = 30_000
OpenViewed = Callable[[Path], Viewed]


@pytest.fixture
def open_viewed(own_thread_garbage: None) -> Iterator[OpenViewed]:
    made: list[Viewed] = []

    def make(path: Path) -> Viewed:
        made.append(Viewed(path))
        return made[-1]

    yield make
    for viewed in made:
        viewed.close()


@pytest.fixture
def run() -> Recording:
    return api.Experiment.of(small_experiment()).run(steps=60)


def watched(steps: int, every: int = 10, capacity: int = 64 * 2**20, seed: int = 0) -> Recorder:
    """What somebody's training writes: no error signals, every so many-th step."""
    rng = np.random.default_rng(seed)
    layers = [Layer(f"layer_{number}", "Conv2d", weight_size=9, units=4) for number in range(3)]
    recorder = Recorder(layers, capacity, every=every, source="keras")
    for step in range(0, steps, every):
        columns = {key: rng.random(3) + 0.5 for key in ("gradient_norm", "gradient_max", "weight_norm", "update_norm")}
        recorder.append_step(columns, {"loss": 1.0 / (step + 1)})
    return recorder


def test_that_a_recording_is_shown_with_every_number_as_it_was(
    open_viewed: OpenViewed, qtbot: QtBot, tmp_path: Path, run: Recording
) -> None:
    run.save(tmp_path / "run.npz")
    viewed = open_viewed(tmp_path / "run.npz")
    qtbot.waitUntil(lambda: viewed.latest == 59, timeout=WAIT)
    assert [row.name for row in viewed.rows()] == [layer.name for layer in run.layers]
    assert not viewed.recorder.recording().compare(run)
    assert viewed.experiment.layers[0].identifier == "Dense" and viewed.source == "gradsim"
    viewed.select_row(1)
    assert viewed.selected_rows() == (1,)


def test_that_a_file_that_grows_is_followed_and_another_one_begins_anew(
    open_viewed: OpenViewed, qtbot: QtBot, tmp_path: Path
) -> None:
    path = tmp_path / "run.npz"
    viewed = open_viewed(path)
    qtbot.waitUntil(lambda: "run.npz" in viewed.trouble, timeout=WAIT)
    watched(200).recording().save(path)
    qtbot.waitUntil(lambda: viewed.latest == 199, timeout=WAIT)
    assert viewed.state.quantity == "gradient_rms" and not viewed.trouble
    first = viewed.recorder
    watched(400).recording().save(path)
    qtbot.waitUntil(lambda: viewed.latest == 399, timeout=WAIT)
    assert viewed.recorder is first and first.every == 10
    again = watched(100, seed=3)
    again.append_step({}, {"loss": 5.0})
    with qtbot.waitSignal(viewed.recorder_changed, timeout=WAIT):
        again.recording().save(path)
    assert viewed.recorder is not first and viewed.latest == 109


def test_that_the_latest_recording_of_a_folder_is_followed(
    open_viewed: OpenViewed, qtbot: QtBot, tmp_path: Path, run: Recording
) -> None:
    watched(50).recording().save(tmp_path / "a.npz")
    viewed = open_viewed(tmp_path)
    qtbot.waitUntil(lambda: viewed.shown == tmp_path / "a.npz", timeout=WAIT)
    run.save(tmp_path / "b.npz")
    qtbot.waitUntil(lambda: viewed.shown == tmp_path / "b.npz", timeout=WAIT)
    assert len(viewed.rows()) == 3 and viewed.latest == 59


def test_that_a_broken_file_is_told_and_what_was_shown_stays(
    open_viewed: OpenViewed, qtbot: QtBot, tmp_path: Path, run: Recording
) -> None:
    path = tmp_path / "run.npz"
    run.save(path)
    viewed = open_viewed(path)
    qtbot.waitUntil(lambda: viewed.latest == 59, timeout=WAIT)
    path.write_bytes(b"PK\x05\x06 broken")
    qtbot.waitUntil(lambda: bool(viewed.trouble), timeout=WAIT)
    assert viewed.latest == 59


def test_that_the_coarse_past_of_a_long_training_keeps_its_extremes() -> None:
    recorder = watched(4_000, every=1, capacity=900_000)
    recording = recorder.recording()
    assert recording.coarse_rows > 0
    layers = np.concatenate([piece[0] for piece in following.rows_of(recording, 0, 0)])
    assert len(layers) == 4_000
    column = LAYER_COLUMNS.index("gradient_norm")
    low, high = recording.minimum("gradient_norm"), recording.maximum("gradient_norm")
    ends = np.cumsum(recording.strides)
    for row in range(recording.coarse_rows):
        block = layers[ends[row] - recording.strides[row] : ends[row], :, column]
        np.testing.assert_array_equal(block.max(0), high[row])
        np.testing.assert_array_equal(block.min(0), low[row])
    half = sum(len(piece[0]) for piece in following.rows_of(recording, 0, 1_234))
    assert half == 4_000 - 1_234


def test_that_a_window_shows_pictures_and_findings(qtbot: QtBot, tmp_path: Path, own_thread_garbage: None) -> None:
    api.Experiment.of(bundled.load("vanishing-sigmoid")).run(steps=80).save(tmp_path / "run.npz")
    window = ViewWindow(tmp_path / "run.npz")
    window.show()
    qtbot.waitUntil(lambda: bool(window.watching.findings), timeout=WAIT)
    assert window.pages.currentWidget() is window.across
    assert len(window.viewed.rows()) == 22
    keys = list(window.found.cards)
    assert keys
    window.found.choose(keys[0])
    assert window.found.cards[keys[0]]._selected
    assert window.viewed.state.selection
    window.close()
    window.deleteLater()


def test_that_a_dropped_recording_opens_beside_the_experiment(
    open_window: Callable[..., MainWindow], qtbot: QtBot, tmp_path: Path, run: Recording
) -> None:
    window = open_window(started=False)
    before = window.session.experiment
    run.save(tmp_path / "run.npz")
    assert window.files.take(tmp_path / "run.npz")
    [view] = window.desk.views
    qtbot.waitUntil(lambda: view.viewed.latest == 59, timeout=WAIT)
    assert window.session.experiment is before
    view.close()
    qtbot.waitUntil(lambda: not window.desk.views, timeout=WAIT)


def test_that_what_nobody_recorded_is_no_nan(qtbot: QtBot, tmp_path: Path, own_thread_garbage: None) -> None:
    watched(50).recording().save(tmp_path / "run.npz")
    window = ViewWindow(tmp_path / "run.npz")
    window.show()
    qtbot.waitUntil(lambda: window.viewed.latest == 49, timeout=WAIT)
    texts = window.stage.readings.texts()
    assert (texts["accuracy"], texts["epoch"]) == ("–", "–")
    assert not window.stage.curves.buttons["accuracy"].isEnabled()
    window.close()
    window.deleteLater()


def test_that_layers_called_by_numbers_are_shown_with_their_kind() -> None:
    recorder = Recorder([Layer("0", "Conv2d"), Layer("head.3", "Linear"), Layer("body", "ReLU")], 64 * 2**20)
    recorder.append_step({}, {"loss": 1.0})
    assert [layer.name for layer in following.named(recorder.recording())] == ["0 Conv2d", "head.3 Linear", "body"]

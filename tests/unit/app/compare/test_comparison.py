"""Twins of a window keep step, and are looked at together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from gradsim.app.compare import told
from gradsim.app.compare.comparison import Comparison, Member, Moment
from gradsim.app.compare.view import ComparisonView
from gradsim.engine.trainer import Trainer
from gradsim.model.experiment import Experiment
from gradsim.nn import layers, optimizers
from gradsim.telemetry.recorder import Recorder
from tests.unit.app.experiments import exploding_experiment, small_experiment

WAIT = 20_000
Compare = Callable[..., Comparison]


def deeper() -> Experiment:
    return small_experiment(
        layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dense(6, "tanh"), layers.Dense(1, "sigmoid")
    )


@pytest.fixture
def compare(qtbot: QtBot, warm_kernels: None, own_thread_garbage: None) -> Iterator[Compare]:
    made: list[Comparison] = []

    def make(*experiments: Experiment, moment: Moment | None = None, **how: Any) -> Comparison:
        members = [Member(one, f"number {number}") for number, one in enumerate(experiments)]
        comparison = Comparison(members, moment, recorder_bytes=8_000_000, checkpoint_bytes=2_000_000)
        made.append(comparison)
        comparison.start(**how)
        qtbot.waitUntil(lambda: comparison.recorder is not None, timeout=WAIT)
        return comparison

    yield make
    for comparison in made:
        comparison.close()
        comparison.deleteLater()


def rest(qtbot: QtBot, comparison: Comparison, step: int) -> None:
    qtbot.waitUntil(
        lambda: comparison.status.step >= step and comparison.status.state not in ("playing", "preparing"), timeout=WAIT
    )


def stops(comparison: Comparison) -> list[int]:
    return [twin.recorder.stop for twin in comparison.twins if twin.recorder is not None]


def test_that_twins_stand_at_the_same_step_whatever_the_controls_do(qtbot: QtBot, compare: Compare) -> None:
    comparison = compare(small_experiment(), deeper(), small_experiment(optimizer=optimizers.Adam()))
    assert stops(comparison) == [0, 0, 0]
    comparison.step_once()
    rest(qtbot, comparison, 1)
    assert stops(comparison) == [1, 1, 1]
    comparison.epoch()
    rest(qtbot, comparison, comparison.status.steps_per_epoch)
    done = comparison.status.step
    assert stops(comparison) == [done] * 3
    comparison.back(5)
    qtbot.waitUntil(lambda: comparison.status.step == done - 5, timeout=WAIT)
    assert stops(comparison) == [done - 5] * 3
    comparison.play()
    qtbot.waitUntil(lambda: comparison.status.step > done + 50, timeout=WAIT)
    comparison.pause()
    qtbot.waitUntil(lambda: comparison.status.state == "paused", timeout=WAIT)
    assert stops(comparison) == [comparison.status.step] * 3
    comparison.reset()
    qtbot.waitUntil(lambda: stops(comparison) == [0, 0, 0], timeout=WAIT)


def test_that_twins_do_what_each_does_alone(qtbot: QtBot, compare: Compare) -> None:
    comparison = compare(small_experiment(), deeper())
    comparison.epoch()
    rest(qtbot, comparison, 1)
    for twin in comparison.twins:
        assert twin.recorder is not None
        alone = Trainer(twin.experiment).advance(comparison.status.step)
        assert np.array_equal(twin.recorder.recording()["loss"], alone.steps[:, 0])


def test_that_a_new_seed_is_the_same_one_for_all(qtbot: QtBot, compare: Compare) -> None:
    comparison = compare(small_experiment(), deeper())
    comparison.reset(new_seed=True)
    assert {member.experiment.seed for member in comparison.members} == {1}
    qtbot.waitUntil(lambda: not comparison._preparing, timeout=WAIT)
    assert comparison.same_batches


def test_that_one_twin_that_breaks_does_not_stop_the_other(qtbot: QtBot, compare: Compare) -> None:
    tame = small_experiment(layers.Dense(4, "tanh"), layers.Dense(1), loss="mean_squared_error", seed=1)
    comparison = compare(exploding_experiment(), tame)
    comparison.runner.play(100)
    rest(qtbot, comparison, 100)
    assert stops(comparison) == [100, 100]
    assert "diverged at step" in told.standing(comparison.twins[0])
    assert "diverged" not in told.standing(comparison.twins[1])


def test_that_what_is_looked_at_in_one_is_looked_at_in_all(qtbot: QtBot, compare: Compare) -> None:
    comparison = compare(small_experiment(), deeper())
    first, second = (twin.state for twin in comparison.twins)
    second.set_quantity("gradient_rms")
    second.set_range((3.0, 20.0))
    first.set_cursor(4)
    for state in (first, second, comparison.state):
        assert (state.quantity, state.range, state.cursor) == ("gradient_rms", (3.0, 20.0), 4)
    # Row 1 of the first is row 2 of the second: the normalisation stands between.
    first.set_hover((7, 1))
    assert second.hover == (7, 2)
    second.set_hover((8, 1))
    assert first.hover == (8, None)
    assert comparison.state.hover == (8, None)
    second.set_hover(None)
    assert first.hover is None
    second.select([comparison.twins[1].row_uids[2]])
    assert first.selection == (comparison.twins[0].row_uids[1],)
    limits = dataclasses.replace(first.thresholds("gradient_rms"), vanishing=1e-4)
    first.set_thresholds("gradient_rms", limits)
    assert second.thresholds("gradient_rms") == limits
    first.set_thresholds("gradient_rms", None)
    assert second.changed_thresholds() == {}


def test_that_pictures_show_the_same_steps_with_equal_rows_level(qtbot: QtBot, compare: Compare) -> None:
    comparison = compare(small_experiment(), deeper())
    view = ComparisonView(comparison)
    qtbot.addWidget(view)
    view.resize(1280, 700)
    view.show()
    comparison.epoch()
    rest(qtbot, comparison, 1)
    first, second = view.heatmaps
    qtbot.waitUntil(lambda: second.rows.span(3) is not None, timeout=WAIT)
    assert [first.rows.span(row) for row in (0, 1, 2)] == [second.rows.span(row) for row in (0, 2, 3)]
    assert first.marks == {0: "≠"}
    assert second.marks == {0: "≠", 1: "+"}
    first.axis.show(2, 12)
    assert first.box.viewRange()[0] == second.box.viewRange()[0] == view.curves[0].box.viewRange()[0] == [2, 12]
    assert first.pull is not None and second.pull is not None
    assert first.pull.stride == second.pull.stride
    first.session.state.set_cursor(5)
    assert second.cursor_line.isVisible() and view.curves[0].cursor_line.isVisible()
    view.curves[0].renew_readings()
    assert [text[0] for text, _ in view.curves[0]._readings.lines] == ["A", "B"]
    assert [twin.letter for twin, _, _ in view.profiles.shown] == ["A", "B"]


def test_that_differences_are_told_as_sentences(compare: Compare) -> None:
    comparison = compare(small_experiment(), deeper())
    (twin, lines), = told.differences(comparison)  # fmt: skip
    assert twin.letter == "B"
    assert lines == [
        ("≠", "Activation of dense: tanh → relu"),
        ("+", "BatchNormalization added: batch_normalization"),
    ]
    assert told.chance(comparison) == ""


def test_that_names_from_files_are_text_and_no_markup(compare: Compare) -> None:
    named = small_experiment(layers.Dense(8, "relu", name="<b>x"), layers.Dense(6, "tanh"), layers.Dense(1, "sigmoid"))
    comparison = compare(small_experiment(), named)
    assert "<b>x" not in told.page(comparison, {"A": "#000000", "B": "#000000"}, "#000000")


def test_that_twins_with_other_batches_are_flagged(compare: Compare) -> None:
    comparison = compare(small_experiment(), small_experiment(batch_size=8))
    assert told.chance(comparison).startswith("B don't see the same rows")
    assert "chance is part of the difference" in told.page(comparison, {"A": "#000000", "B": "#000000"}, "#000000")


def test_that_a_fork_without_a_change_does_what_the_original_does(qtbot: QtBot, compare: Compare) -> None:
    experiment = small_experiment(optimizer=optimizers.Adam())
    original = Trainer(experiment)
    original.advance(9)
    comparison = compare(experiment, experiment, moment=Moment(experiment, original.snapshot()))
    assert comparison.status.step == 9
    comparison.runner.play(30)
    rest(qtbot, comparison, 30)
    wanted = original.advance(21)
    for twin in comparison.twins:
        assert twin.recorder is not None
        recording = twin.recorder.recording()
        assert list(recording.steps) == list(range(9, 30))
        assert np.array_equal(recording["loss"], wanted.steps[:, 0])
        assert told.fork(comparison, twin) == (
            "Goes on behind 9 steps (the line) with all weights kept. What the optimizer remembers was kept too."
        )


def test_that_a_fork_tells_what_was_kept_and_what_starts_fresh(qtbot: QtBot, compare: Compare) -> None:
    experiment = small_experiment(optimizer=optimizers.SGD(0.1, momentum=0.9))
    normalised = dataclasses.replace(deeper(), optimizer=experiment.optimizer)
    original = Trainer(experiment)
    original.advance(4)
    comparison = compare(experiment, normalised, moment=Moment(experiment, original.snapshot()))
    told_of = told.fork(comparison, comparison.twins[1])
    assert told_of.startswith(
        "Goes on behind 4 steps (the line): 6 of 10 weight arrays kept, 4 start fresh from the seed (batch_"
    )
    assert told_of.endswith("What the optimizer remembers starts anew.")
    comparison.back(50)
    qtbot.waitUntil(lambda: comparison.status.state == "paused" and comparison.status.step == 4, timeout=WAIT)
    assert stops(comparison) == [4, 4]


def test_that_a_fork_shows_what_was_before_it_in_the_layers_that_were_there(qtbot: QtBot, compare: Compare) -> None:
    experiment, normalised = small_experiment(), deeper()
    original = Trainer(experiment)
    record = Recorder(original.layer_table)
    chunk = original.advance(12)
    record.append(chunk.layers, chunk.steps)
    record.append_validation(7, 0.5, 0.75)
    fork = Trainer(experiment)
    fork.advance(8)
    comparison = compare(experiment, normalised, moment=Moment(experiment, fork.snapshot(), record))
    first, second = (twin.recorder for twin in comparison.twins)
    assert first is not None and second is not None
    assert comparison.status.step == first.stop == second.stop == 8
    wanted = record.recording(0, 8)
    assert np.array_equal(first.recording()["delta_norm"], wanted["delta_norm"])
    # The normalisation, row 1 of the second, was not there.
    assert np.array_equal(second.recording()["delta_norm"][:, [0, 2, 3]], wanted["delta_norm"])
    assert np.isnan(second.recording()["delta_norm"][:, 1]).all()
    assert list(second.validation.step) == [7]
    comparison.runner.play(20)
    rest(qtbot, comparison, 20)
    assert np.array_equal(first.recording(0, 12)["loss"], record.recording()["loss"])
    # Before the fork there is nothing to go back to.
    comparison.back(15)
    qtbot.waitUntil(lambda: comparison.status.state == "paused" and comparison.status.step == 8, timeout=WAIT)
    assert (first.stop, second.stop) == (8, 8)


def test_that_closing_ends_the_thread(qtbot: QtBot, compare: Compare) -> None:
    comparison = compare(small_experiment(), deeper(), play=True)
    thread = comparison.runner._thread
    comparison.close(timeout=0.0)
    qtbot.waitUntil(lambda: not thread.is_alive(), timeout=WAIT)


def test_that_one_or_five_are_no_comparison() -> None:
    member = Member(small_experiment(), "x")
    for count in (1, 5):
        with pytest.raises(ValueError, match="2 to 4"):
            Comparison([member] * count)

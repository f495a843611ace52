from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from gradsim.app.player import TEXT_FRAMES, SlowTick
from gradsim.app.session import Session
from gradsim.engine.trainer import Trainer
from gradsim.exchange.start import start_of
from gradsim.model import bundled, edits
from gradsim.model.file import FileError
from gradsim.telemetry.quantities import Thresholds
from tests.unit.app.experiments import exploding_experiment, impossible_experiment, small_experiment

WAIT = 20_000
OpenSession = Callable[..., Session]


def arrive(qtbot: QtBot, session: Session, step: int) -> None:
    qtbot.waitUntil(lambda: session.status.step == step and session.status.state == "paused", timeout=WAIT)


def test_that_a_session_without_a_run_has_no_rows(open_session: OpenSession) -> None:
    session = open_session()
    assert session.rows() == ()
    assert session.recorder is None
    assert session.step is None
    assert session.at() is None


def test_that_a_started_run_has_a_row_for_each_layer(open_session: OpenSession) -> None:
    session = open_session(started=True)
    assert [row.name for row in session.rows()] == ["dense", "dense_1", "dense_2"]
    assert session.row_uids == tuple(layer.uid for layer in session.experiment.layers)
    assert session.rows_of(session.experiment.layers[1].uid) == (1,)


def test_that_all_rounds_of_a_repeat_group_are_rows_of_it(open_session: OpenSession) -> None:
    session = open_session(bundled.load("vanishing-sigmoid"), started=True)
    group = next(layer for layer in session.experiment.layers if layer.children())
    rows = session.rows_of(group.uid)
    assert len(rows) == 20
    assert session.rows_of(group.children()[0].uid) == rows


def test_that_playing_ticks_and_pausing_stops_the_ticks(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(started=True)
    texts: list[int] = []
    session.slow_tick.connect(lambda: texts.append(session.status.step))
    with qtbot.waitSignal(session.tick, timeout=WAIT):
        session.play()
    qtbot.waitUntil(lambda: len(texts) > 2, timeout=WAIT)
    qtbot.waitUntil(lambda: session.status.step > 5, timeout=WAIT)
    assert session.playing
    session.pause()
    qtbot.waitUntil(lambda: session.status.state == "paused", timeout=WAIT)
    qtbot.waitUntil(lambda: not session._frames.running, timeout=WAIT)
    assert not session.playing
    assert session.latest == session.status.step - 1


class Looking:
    """Remembers the latest step that it was shown."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.seen: int | None = None
        session.turns.connect(self.look)

    def look(self) -> bool:
        self.seen = self.session.latest
        return True


def test_that_after_a_pause_every_view_shows_the_last_step(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(started=True)
    views = [Looking(session) for _ in range(9)]
    session.play()
    qtbot.waitUntil(lambda: all(view.seen for view in views), timeout=WAIT)
    session.pause()
    qtbot.waitUntil(lambda: not session._frames.running, timeout=WAIT)
    assert [view.seen for view in views] == [session.latest] * len(views)


def test_that_what_is_renewed_slowly_is_spread_over_the_frames(qtbot: QtBot) -> None:
    ticks = SlowTick()
    called: list[int] = []
    for number in range(TEXT_FRAMES):
        ticks.connect(functools.partial(called.append, number))
    for frame in range(2 * TEXT_FRAMES):
        ticks.frame()
        assert len(called) == frame + 1, "one in each frame"
    assert sorted(called) == sorted(2 * list(range(TEXT_FRAMES)))
    called.clear()
    ticks.emit()
    assert sorted(called) == list(range(TEXT_FRAMES))


def test_that_a_live_edit_keeps_the_weights(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(started=True)
    session.step_once()
    arrive(qtbot, session, 1)
    recorder = session.recorder
    session.edit(edits.set_field, "", "optimizer.learning_rate", 0.5)
    session.step_once()
    arrive(qtbot, session, 2)
    assert session.recorder is recorder
    now = session.at()
    assert now is not None
    assert now["learning_rate"][0] == 0.5


def test_that_a_change_of_structure_starts_again_from_the_seed(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(started=True)
    session.step_once()
    arrive(qtbot, session, 1)
    with qtbot.waitSignal(session.recorder_changed, timeout=WAIT):
        session.edit(edits.set_field, session.experiment.layers[0].uid, "units", 5)
    assert session.status.step == 0
    assert session.rows()[0].units == 5


def test_that_a_run_that_played_goes_on_playing_after_an_edit(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session()
    session.start(play=True)
    qtbot.waitUntil(lambda: session.status.step > 3, timeout=WAIT)
    for units in (5, 6, 7):
        session.edit(edits.set_field, session.experiment.layers[0].uid, "units", units)
        assert session.playing
    qtbot.waitUntil(lambda: session.rows()[:1] != () and session.rows()[0].units == 7, timeout=WAIT)
    qtbot.waitUntil(lambda: session.status.step > 3, timeout=WAIT)


def test_that_a_new_name_does_not_disturb_the_run(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(started=True)
    recorder = session.recorder
    session.edit(edits.set_field, "", "name", "Moons")
    session.step_once()
    arrive(qtbot, session, 1)
    assert session.recorder is recorder


def test_that_undo_and_redo_bring_the_experiment_and_the_run_back(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(started=True)
    first = session.experiment
    session.edit(edits.set_field, first.layers[0].uid, "units", 5)
    session.undo()
    assert session.experiment is first
    qtbot.waitUntil(lambda: session.rows()[:1] != () and session.rows()[0].units == 8, timeout=WAIT)
    session.redo()
    qtbot.waitUntil(lambda: session.rows()[0].units == 5, timeout=WAIT)


def test_that_an_edit_that_cannot_be_made_is_said(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session()
    before = session.experiment
    with qtbot.waitSignal(session.failed) as said:
        assert session.edit(edits.set_field, before.layers[0].uid, "units", -3) is None
    assert "units" in said.args[0]
    assert session.experiment is before


def test_that_an_impossible_stack_has_no_run_and_says_why(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(impossible_experiment())
    session.start(play=True)
    assert not session.startable
    assert not session.playing
    assert session.recorder is None
    with qtbot.waitSignal(session.failed) as said:
        session.play()
    assert said.args[0] == session.failure


def test_that_a_mended_stack_plays_if_it_had_played(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session()
    session.start(play=True)
    qtbot.waitUntil(lambda: session.status.step > 3, timeout=WAIT)
    session.edit(edits.group, [session.experiment.layers[0].uid], "Residual")
    assert session.failure
    session.undo()
    assert session.playing
    qtbot.waitUntil(lambda: session.status.step > 3 and session.recorder is not None, timeout=WAIT)


def test_that_reset_keeps_the_initial_weights_and_a_new_seed_changes_them(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    session = open_session(started=True)
    weights: list[list[np.ndarray]] = []

    def look() -> None:
        count = len(weights)
        session.ask("weights", Trainer.weights, weights.append)
        qtbot.waitUntil(lambda: len(weights) > count, timeout=WAIT)

    look()
    session.step_once()
    arrive(qtbot, session, 1)
    with qtbot.waitSignal(session.recorder_changed, timeout=WAIT):
        session.reset()
    look()
    with qtbot.waitSignal(session.recorder_changed, timeout=WAIT):
        session.reset(new_seed=True)
    look()
    first, same, other = weights
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert session.document.undo_names == ("Change seed",)


def test_that_a_divergence_is_told_and_can_be_undone(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(exploding_experiment())
    with qtbot.waitSignal(session.diverged, timeout=WAIT) as told:
        session.start(play=True)
    where = told.args[0]
    assert session.first_nonfinite == where
    session.back_before_divergence()
    arrive(qtbot, session, where.step)
    assert session.first_nonfinite is None
    assert session.recorder is not None
    assert session.recorder.first_nonfinite is None


def test_that_going_on_after_a_divergence_trains_further(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(exploding_experiment())
    with qtbot.waitSignal(session.diverged, timeout=WAIT) as told:
        session.start(play=True)
    session.go_on()
    qtbot.waitUntil(lambda: session.status.step > told.args[0].step + 3, timeout=WAIT)
    session.pause()


def test_that_the_cursor_shows_a_past_step_and_play_returns_to_the_latest(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    session = open_session(started=True)
    session.runner.step(9)
    arrive(qtbot, session, 9)
    session.state.set_cursor(4)
    assert session.step == 4
    recording = session.at()
    assert recording is not None
    assert recording.steps[0] == 4
    session.step_once()
    assert session.state.cursor is None


def test_that_rewinding_makes_the_shown_step_the_latest(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(started=True)
    session.runner.step(9)
    arrive(qtbot, session, 9)
    session.rewind(4)
    arrive(qtbot, session, 5)
    assert session.latest == 4


def test_that_an_answer_of_an_older_run_never_arrives(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(started=True)
    answers: list[int] = []
    session.ask("step", lambda trainer: trainer.step, answers.append)
    session.start()
    qtbot.waitUntil(lambda: session.status.run == 2 and session.recorder is not None, timeout=WAIT)
    session.ask("step", lambda trainer: trainer.step + 100, answers.append)
    qtbot.waitUntil(lambda: bool(answers), timeout=WAIT)
    assert answers == [100]


def test_that_saving_and_opening_keeps_experiment_and_view(
    open_session: OpenSession, qtbot: QtBot, tmp_path: Path
) -> None:
    session = open_session()
    session.edit(edits.set_field, "", "name", "Moons")
    session.state.set_quantity("gradient_rms")
    session.state.set_thresholds("gradient_rms", Thresholds(1e-12, 1e-3, 1e6, 1e-5, 10.0))
    path = tmp_path / "moons.gradsim"
    session.save(path)
    assert not session.document.dirty
    other = open_session(small_experiment(batch_size=7))
    other.open(path)
    assert other.experiment.name == "Moons"
    assert other.experiment.batch_size == 32
    assert other.state.quantity == "gradient_rms"
    assert other.state.thresholds("gradient_rms").vanishing == 1e-5


def test_that_a_file_with_an_unknown_view_still_opens(open_session: OpenSession, tmp_path: Path) -> None:
    session = open_session()
    session.document.extensions["view"] = {"quantity": "no such thing", "thresholds": {"loss": {"low": 5}}}
    path = tmp_path / "odd.gradsim"
    session.document.save(path)
    other = open_session()
    other.open(path)
    assert other.state.quantity == "delta_rms"


def test_that_a_broken_file_leaves_the_open_experiment(open_session: OpenSession, tmp_path: Path) -> None:
    session = open_session()
    before = session.experiment
    path = tmp_path / "broken.gradsim"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(FileError):
        session.open(path)
    assert session.experiment is before


def test_that_opening_another_experiment_empties_selection_and_history(open_session: OpenSession) -> None:
    session = open_session()
    session.state.select([session.experiment.layers[0].uid])
    session.edit(edits.set_field, "", "name", "Moons")
    session.show(small_experiment(seed=5))
    assert session.state.selection == ()
    assert session.document.undo_names == ()
    assert not session.document.dirty


def test_that_a_deleted_layer_is_no_longer_selected(open_session: OpenSession) -> None:
    session = open_session()
    first, second, _ = session.experiment.layers
    session.state.select([first.uid, second.uid])
    session.document.apply(edits.remove(session.experiment, [first.uid]))
    assert session.state.selection == (second.uid,)


def test_that_a_closed_session_tells_nothing_more(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(started=True)
    session.play()
    session.close()
    with qtbot.assertNotEmitted(session.tick, wait=80), qtbot.assertNotEmitted(session.run_changed):
        pass
    assert not session.runner._thread.is_alive()


def test_that_freezing_goes_on_with_weights_and_record(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(started=True)
    session.runner.step(30)
    arrive(qtbot, session, 30)
    recorder, answers = session.recorder, []
    session.ask("w", lambda trainer: trainer.weights(), answers.append)
    qtbot.waitUntil(lambda: len(answers) == 1, timeout=WAIT)
    first = session.experiment.layers[0].uid
    with qtbot.waitSignal(session.recorder_changed, timeout=WAIT):
        session.edit(edits.set_field, first, "trainable", False)
    assert session.recorder is recorder and session.latest == 29
    session.runner.step(10)
    arrive(qtbot, session, 40)
    session.ask("w", lambda trainer: trainer.weights(), answers.append)
    qtbot.waitUntil(lambda: len(answers) == 2, timeout=WAIT)
    moved = [not np.array_equal(a, b) for a, b in zip(*answers, strict=True)]
    assert moved == [False, False, True, True, True, True]
    session.back(25)
    arrive(qtbot, session, 30)
    session.undo()
    session.reset()
    qtbot.waitUntil(lambda: session.status.step == 0 and session.status.state == "paused", timeout=WAIT)


def test_that_a_run_starts_from_the_weights_that_the_experiment_names(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(bundled.load("pretrained-2-two-others"), started=True)
    answers: list[list[np.ndarray]] = []
    session.ask("w", lambda trainer: trainer.weights(), answers.append)
    qtbot.waitUntil(lambda: bool(answers), timeout=WAIT)
    np.testing.assert_array_equal(answers[0][0], start_of(session.experiment)[0].astype(np.float32))


def test_that_a_file_of_weights_that_is_gone_is_a_failure_in_words(open_session: OpenSession, qtbot: QtBot) -> None:
    session = open_session(small_experiment(pretrained="gone.npz"))
    with qtbot.waitSignal(session.failed, timeout=WAIT) as heard:
        session.start()
    assert "gone.npz" in heard.args[0] and "Traceback" not in heard.args[0]


def test_that_nothing_of_the_run_before_is_under_the_mouse(open_session: OpenSession) -> None:
    session = open_session(started=True)
    session.state.set_hover((500, 1))
    session.reset()
    assert session.state.hover is None

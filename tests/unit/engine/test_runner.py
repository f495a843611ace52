from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gradsim import engine
from gradsim.engine import runner as running
from gradsim.engine.layout import Context
from gradsim.engine.runner import PHASES, Answer, Diverged, Failure, Moved, Prepared, Progress, Runner, Snapshots
from gradsim.engine.trainer import Snapshot, Trainer
from gradsim.model.experiment import Experiment
from gradsim.nn import layers, optimizers
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS
from gradsim.telemetry.recorder import Recorder

SECONDS = 30.0


def small(**fields: Any) -> Experiment:
    stack = (layers.Dense(8, "tanh"), layers.Dense(6, "tanh"), layers.Dense(1, "sigmoid"))
    values = {"data": "moons", "loss": "binary_crossentropy", "optimizer": optimizers.SGD(0.1), **fields}
    return Experiment(values.pop("layers", stack), **values)


def exploding() -> Experiment:
    wild = layers.Dense(16, "relu", kernel_initializer={"type": "RandomNormal", "stddev": 50.0})
    return small(layers=(wild, wild, wild, layers.Dense(1, "linear")), loss="mean_squared_error", seed=1)


class Watched:
    """A runner and what it told."""

    def __init__(self, **settings: Any) -> None:
        self._waiting = threading.Condition()
        self.events: list[Any] = []
        self._seen = 0
        self.runner = Runner(self._notified, **settings)

    def _notified(self) -> None:
        with self._waiting:
            self.events += self.runner.drain()
            self._waiting.notify_all()

    def until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < deadline, (self.runner.status, self.events)
            time.sleep(0.002)

    def next(self, kind: type) -> Any:
        """The first event of a kind that nobody has asked for yet."""
        with self._waiting:
            found = self._waiting.wait_for(lambda: self._first(kind) is not None, SECONDS)
            assert found, (kind, self.runner.status, self.events)
            place = self._first(kind)
            assert place is not None
            return self.events.pop(place)

    def _first(self, kind: type) -> int | None:
        return next((place for place, event in enumerate(self.events) if isinstance(event, kind)), None)

    def prepare(self, experiment: Experiment, **how: Any) -> Prepared:
        self.runner.prepare(experiment, **how)
        return self.next(Prepared)

    def arrive(self, step: int) -> None:
        self.until(lambda: self.runner.status.step == step and self.runner.status.state == "paused")

    def weights(self) -> list[np.ndarray]:
        number = self.runner.ask("weights", lambda trainer: trainer.weights())
        answer = self.next(Answer)
        assert answer.number == number
        return answer.value


@pytest.fixture(scope="module", autouse=True)
def compiled_kernels() -> None:
    """No test may wait for the compiler within its own deadlines."""
    engine.warm_up()


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def make(**settings: Any) -> Watched:
        made.append(Watched(**{"recorder_bytes": 8_000_000, "checkpoint_bytes": 2_000_000, **settings}))
        return made[-1]

    yield make
    assert all(watched.runner.close() for watched in made)


@pytest.fixture
def watched(watch: Callable[..., Watched]) -> Watched:
    return watch()


def straight(experiment: Experiment, steps: int) -> Trainer:
    trainer = Trainer(experiment)
    trainer.advance(steps)
    return trainer


def test_that_steps_in_the_thread_are_those_of_the_trainer_alone(watched: Watched) -> None:
    prepared = watched.prepare(small())
    watched.runner.step(40)
    watched.arrive(40)
    alone = straight(small(), 40)
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), alone.weights(), strict=True))
    assert prepared.tracks[0].recorder.stop == 40


def test_that_going_back_gives_the_weights_and_the_record_of_before(watched: Watched) -> None:
    prepared = watched.prepare(small())
    watched.runner.step(60)
    watched.arrive(60)
    watched.runner.back(23)
    watched.arrive(37)
    assert prepared.tracks[0].recorder.stop == 37
    alone = straight(small(), 37)
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), alone.weights(), strict=True))
    watched.runner.step(23)
    watched.arrive(60)
    again = straight(small(), 60)
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), again.weights(), strict=True))


def test_that_going_back_to_the_start_gives_the_initial_weights(watched: Watched) -> None:
    watched.prepare(small())
    watched.runner.step(5)
    watched.arrive(5)
    watched.runner.back(50)
    watched.arrive(0)
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), Trainer(small()).weights(), strict=True))


def test_that_a_learning_rate_changed_on_the_way_is_computed_again_as_it_was(watched: Watched) -> None:
    prepared = watched.prepare(small())
    watched.runner.step(30)
    watched.arrive(30)
    watched.runner.apply_live(optimizers.SGD(0.5))
    watched.runner.step(30)
    watched.arrive(60)
    expected = straight(small(), 30)
    expected.apply_live(optimizers.SGD(0.5))
    expected.advance(15)
    watched.runner.rewind(45)
    watched.arrive(45)
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), expected.weights(), strict=True))
    rates = prepared.tracks[0].recorder.recording()["learning_rate"]
    assert rates[29] == 0.1
    assert rates[30] == 0.5


def test_that_the_new_learning_rate_stays_when_one_goes_back_before_its_change(watched: Watched) -> None:
    prepared = watched.prepare(small())
    watched.runner.step(10)
    watched.arrive(10)
    watched.runner.apply_live(optimizers.SGD(0.5))
    watched.runner.step(10)
    watched.arrive(20)
    watched.runner.rewind(5)
    watched.arrive(5)
    watched.runner.step()
    watched.arrive(6)
    assert prepared.tracks[0].recorder.recording()["learning_rate"][5] == 0.5
    expected = straight(small(), 5)
    expected.apply_live(optimizers.SGD(0.5))
    expected.advance(1)
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), expected.weights(), strict=True))


def test_that_an_epoch_ends_with_a_validation(watched: Watched) -> None:
    prepared = watched.prepare(small(batch_size=8))
    watched.runner.run_epoch()
    per_epoch = len(Trainer(small()).dataset.x_train) // 8
    watched.arrive(per_epoch)
    validation = prepared.tracks[0].recorder.recording().validation
    assert list(validation.step) == [per_epoch - 1]
    assert np.isfinite(validation.val_loss).all()
    assert watched.runner.status.epoch == 1


def test_that_epochs_of_a_single_step_are_not_all_validated(watched: Watched) -> None:
    prepared = watched.prepare(small(batch_size=None))
    watched.runner.step(130)
    watched.arrive(130)
    assert list(prepared.tracks[0].recorder.recording().validation.step) == [63, 127]


def test_that_the_speed_limit_holds(watched: Watched) -> None:
    watched.prepare(small())
    watched.runner.set_rate(50)
    watched.runner.play()
    watched.until(lambda: watched.runner.status.step >= 1)
    first, started = watched.runner.status.step, time.monotonic()
    watched.until(lambda: watched.runner.status.step >= first + 20)
    assert time.monotonic() - started >= 19 / 50
    watched.runner.pause()
    watched.until(lambda: watched.runner.status.state == "paused")


def test_that_a_pause_keeps_the_step(watched: Watched) -> None:
    watched.prepare(small(), play=True)
    watched.until(lambda: watched.runner.status.step > 10)
    watched.runner.pause()
    watched.until(lambda: watched.runner.status.state == "paused")
    assert watched.runner.status.speed == 0
    step = watched.runner.status.step
    watched.weights()
    assert watched.runner.status.step == step


def test_that_another_run_can_be_prepared_after_the_record_did_not_find_room(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(recorder: Recorder) -> None:
        raise MemoryError

    first = watched.prepare(small())
    monkeypatch.setattr(Recorder, "publish", full)
    watched.runner.play()
    watched.next(Failure)
    assert watched.runner.status.state == "failed"
    assert watched.prepare(small(seed=4)).run > first.run


def test_that_the_first_nonfinite_value_pauses_the_run_and_play_goes_on(watched: Watched) -> None:
    prepared = watched.prepare(exploding(), play=True)
    diverged = watched.next(Diverged)
    assert watched.runner.status.state == "diverged"
    assert watched.runner.status.nonfinite
    assert diverged.where == prepared.tracks[0].recorder.first_nonfinite
    assert prepared.tracks[0].recorder.stop == diverged.where.step + 1
    watched.runner.play(until=diverged.where.step + 20)
    watched.arrive(diverged.where.step + 20)
    assert prepared.tracks[0].recorder.first_nonfinite == diverged.where


def test_that_the_step_before_a_divergence_is_finite(watched: Watched) -> None:
    prepared = watched.prepare(exploding(), play=True)
    where = watched.next(Diverged).where
    watched.runner.rewind(where.step)
    watched.arrive(where.step)
    assert not watched.runner.status.nonfinite
    assert prepared.tracks[0].recorder.first_nonfinite is None
    assert all(np.isfinite(array).all() for array in watched.weights())
    watched.runner.play()
    assert watched.next(Diverged).where == where


def test_that_a_run_can_be_told_not_to_pause_at_a_nonfinite_value(watch: Callable[..., Watched]) -> None:
    watched = watch(stop_on_nonfinite=False)
    prepared = watched.prepare(exploding())
    watched.runner.step(60)
    watched.arrive(60)
    assert prepared.tracks[0].recorder.first_nonfinite is not None


def test_that_five_phases_make_the_step_that_one_step_makes(watched: Watched) -> None:
    prepared = watched.prepare(small())
    watched.runner.set_slow(True)
    for name in PHASES:
        watched.runner.step()
        watched.until(
            lambda name=name: watched.runner.status.phase is not None and watched.runner.status.phase.name == name
        )
    watched.runner.set_slow(False)
    watched.until(lambda: not watched.runner.status.slow)
    assert watched.runner.status.step == 1
    assert watched.runner.status.phase is None
    alone = straight(small(), 1)
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), alone.weights(), strict=True))
    assert prepared.tracks[0].recorder.stop == 1


def test_that_a_phase_tells_what_is_known_and_nothing_else(watched: Watched) -> None:
    watched.prepare(small())
    watched.runner.step(3)
    watched.arrive(3)
    watched.runner.set_slow(True)
    known: dict[str, set[str]] = {}
    for name in PHASES:
        watched.runner.step()
        watched.until(
            lambda name=name: watched.runner.status.phase is not None and watched.runner.status.phase.name == name
        )
        phase = watched.runner.status.phase
        assert phase is not None
        assert phase.step == 3
        columns = {key for number, key in enumerate(LAYER_COLUMNS) if not np.isnan(phase.layers[:, number]).all()}
        figures = {key for number, key in enumerate(STEP_COLUMNS) if not np.isnan(phase.figures[number])}
        known[name] = columns | figures
    assert "activation_std" in known["forward"]
    assert not {"loss", "delta_norm", "gradient_norm", "update_norm"} & known["forward"]
    assert "loss" in known["loss"]
    assert {"delta_norm", "gradient_norm"} <= known["backward"]
    assert "update_norm" not in known["clip"]
    assert {"update_norm", "weight_norm", "global_gradient_norm"} <= known["update"]


def test_that_the_gradient_of_the_backward_phase_is_the_one_recorded_with_the_step(watched: Watched) -> None:
    watched.prepare(small())
    watched.runner.set_slow(True)
    seen = {}
    for name in PHASES:
        watched.runner.step()
        watched.until(
            lambda name=name: watched.runner.status.phase is not None and watched.runner.status.phase.name == name
        )
        phase = watched.runner.status.phase
        assert phase is not None
        seen[name] = phase.layers[:, LAYER_COLUMNS.index("gradient_norm")]
    np.testing.assert_allclose(seen["backward"], seen["update"], rtol=1e-5)


def test_that_leaving_slow_motion_in_the_middle_completes_the_step(watched: Watched) -> None:
    prepared = watched.prepare(small())
    watched.runner.set_slow(True)
    watched.runner.step(1)
    watched.until(lambda: watched.runner.status.phase is not None)
    watched.runner.set_slow(False)
    watched.runner.step(4)
    watched.arrive(5)
    alone = straight(small(), 5)
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), alone.weights(), strict=True))
    assert prepared.tracks[0].recorder.stop == 5


def test_that_going_back_in_the_middle_of_a_step_drops_the_half_step(watched: Watched) -> None:
    prepared = watched.prepare(small())
    watched.runner.step(4)
    watched.arrive(4)
    watched.runner.set_slow(True)
    watched.runner.step()
    watched.until(lambda: watched.runner.status.phase is not None)
    watched.runner.back()
    watched.until(lambda: watched.runner.status.phase is None)
    assert watched.runner.status.step == 4
    alone = straight(small(), 4)
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), alone.weights(), strict=True))
    assert prepared.tracks[0].recorder.stop == 4


def test_that_a_question_about_a_past_step_sees_the_trainer_as_it_was(watched: Watched) -> None:
    watched.prepare(small())
    watched.runner.step(50)
    watched.arrive(50)
    watched.runner.ask("past", lambda trainer: (trainer.step, trainer.weights(), trainer.activation_matrix(1)), step=19)
    step, weights, activations = watched.next(Answer).value
    alone = straight(small(), 20)
    assert step == 20
    assert all(np.array_equal(a, b) for a, b in zip(weights, alone.weights(), strict=True))
    assert np.array_equal(activations, alone.activation_matrix(1))
    assert watched.runner.status.step == 50


def test_that_a_question_about_a_step_that_was_not_computed_gets_none(watched: Watched) -> None:
    watched.prepare(small())
    watched.runner.ask("future", lambda trainer: trainer.step, step=7)
    assert watched.next(Answer).value is None


def test_that_a_newer_question_replaces_a_waiting_one(watched: Watched) -> None:
    watched.prepare(small())
    began, go = threading.Event(), threading.Event()

    def hold(trainer: Trainer) -> str:
        began.set()
        go.wait(SECONDS)
        return "held"

    watched.runner.ask("holds", hold)
    assert began.wait(SECONDS)
    watched.runner.ask("same", lambda trainer: "older")
    newer = watched.runner.ask("same", lambda trainer: "newer")
    go.set()
    assert watched.next(Answer).value == "held"
    assert watched.next(Answer) == Answer(newer, "newer")


def test_that_a_fault_in_the_thread_becomes_an_event_with_its_traceback(watched: Watched) -> None:
    watched.prepare(small())

    def broken(trainer: Trainer) -> None:
        raise ZeroDivisionError("on purpose")

    watched.runner.ask("broken", broken)
    failure = watched.next(Failure)
    assert failure.message == "on purpose"
    assert "ZeroDivisionError" in failure.details
    assert watched.prepare(small()).tracks[0].recorder is not None


def test_that_data_that_cannot_be_read_are_said_in_a_sentence(watched: Watched) -> None:
    watched.runner.prepare(small(data={"type": "csv", "path": "nowhere.csv"}))
    failure = watched.next(Failure)
    assert "nowhere.csv" in failure.message
    assert failure.details == ""
    assert watched.runner.status.state == "failed"


def test_that_only_the_latest_of_many_runs_is_prepared_at_last(watched: Watched) -> None:
    for seed in range(8):
        number = watched.runner.prepare(small(seed=seed))
    watched.until(lambda: watched.runner.status.run == number and watched.runner.status.state == "paused")
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), Trainer(small(seed=7)).weights(), strict=True))


def test_that_leaving_a_run_leaves_nothing_to_play(watched: Watched) -> None:
    watched.prepare(small())
    watched.runner.leave()
    watched.runner.play()
    watched.runner.step()
    watched.until(lambda: watched.runner.status.state == "empty")
    assert watched.runner.status.step == 0


def test_that_the_thread_ends_in_the_middle_of_a_long_way_back(watch: Callable[..., Watched]) -> None:
    watched = watch(checkpoint_bytes=1)
    watched.prepare(small())
    watched.runner.step(20_000)
    watched.arrive(20_000)
    watched.runner.back(3)
    assert watched.runner.close()


def test_that_a_long_way_back_tells_how_far_it_is(
    watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "TELL_SECONDS", 0.0)
    watched = watch(checkpoint_bytes=1)
    watched.prepare(small())
    watched.runner.step(300)
    watched.arrive(300)
    # The first snapshot and one near the end are all that is kept, so that this computes most steps again.
    watched.runner.rewind(150)
    assert watched.next(Progress).total > 0
    watched.until(lambda: Progress("", 0, 0) in watched.events)
    watched.arrive(150)


def test_that_events_of_an_old_run_carry_its_number(watched: Watched) -> None:
    first = watched.prepare(small())
    second = watched.prepare(small(seed=3))
    assert second.run == first.run + 1
    watched.runner.step()
    assert watched.next(Moved).run in (first.run, second.run)


def test_that_status_tells_the_memory_of_the_run(watched: Watched) -> None:
    prepared = watched.prepare(small())
    watched.runner.step(100)
    watched.arrive(100)
    assert watched.runner.status.memory >= prepared.tracks[0].recorder.nbytes


def test_that_weights_can_be_given_to_start_from(watched: Watched) -> None:
    given = [array + 1 for array in Trainer(small()).weights()]
    watched.prepare(small(), weights=given)
    assert all(np.array_equal(a, b) for a, b in zip(watched.weights(), given, strict=True))


def snapshot(step: int, size: int = 100) -> Snapshot:
    context = np.zeros(8, np.int64)
    context[Context.STEP] = step
    return Snapshot((np.zeros(size, np.uint8),), context)


def test_that_snapshots_keep_within_their_bound_and_grow_sparser_with_age() -> None:
    kept = Snapshots(2_000)
    for step in range(0, 10_000, 10):
        kept.add(snapshot(step))
    assert kept.nbytes <= 2_000
    assert kept.steps[0] == 0
    assert kept.steps[-1] == 9_990
    gaps = np.diff(kept.steps)
    assert gaps[-3:].max() < gaps[:3].max() / 10


def test_that_the_nearest_snapshot_before_a_step_is_found() -> None:
    kept = Snapshots(10_000)
    for step in (0, 10, 20):
        kept.add(snapshot(step))
    assert [kept.before(step).step for step in (0, 9, 10, 19, 25)] == [0, 0, 10, 10, 20]
    kept.forget_after(12)
    assert kept.steps == [0, 10]


def test_that_a_snapshot_of_the_same_step_is_replaced() -> None:
    kept = Snapshots(10_000)
    kept.add(snapshot(5))
    newer = dataclasses.replace(snapshot(5))
    kept.add(newer)
    assert len(kept) == 1
    assert kept.before(5) is newer


def prepare_all(watched: Watched, *experiments: Experiment, **how: Any) -> Prepared:
    watched.runner.prepare_all(
        lambda: [Trainer(one) for one in experiments], dtypes=[one.dtype for one in experiments], **how
    )
    return watched.next(Prepared)


def test_that_several_trainings_keep_step_and_are_those_of_each_alone(watched: Watched) -> None:
    experiments = small(), small(optimizer=optimizers.Adam()), small(layers=(layers.Dense(1, "sigmoid"),))
    prepared = prepare_all(watched, *experiments, play=True)
    watched.until(lambda: watched.runner.status.step > 50)
    watched.runner.pause()
    watched.next(Moved)
    watched.until(lambda: watched.runner.status.state == "paused")
    step = watched.runner.status.step
    assert [track.recorder.stop for track in prepared.tracks] == [step] * 3
    for track, experiment in zip(prepared.tracks, experiments, strict=True):
        alone = Trainer(experiment).advance(step)
        assert np.array_equal(track.recorder.recording()["loss"], alone.steps[:, 0])


def test_that_several_trainings_go_back_together(watched: Watched) -> None:
    prepared = prepare_all(watched, small(), exploding())
    watched.runner.step(30)
    watched.arrive(30)
    watched.runner.back(8)
    watched.arrive(22)
    assert [track.recorder.stop for track in prepared.tracks] == [22, 22]
    before = Trainer(small())
    before.advance(22)
    assert all(map(np.array_equal, watched.weights(), before.weights()))


def test_that_several_trainings_pause_once_none_has_finite_numbers_left(watched: Watched) -> None:
    prepared = prepare_all(watched, exploding(), small())
    watched.runner.step(200)
    watched.arrive(200)
    assert prepared.tracks[0].recorder.first_nonfinite is not None
    assert watched.runner.status.nonfinite
    prepare_all(watched, exploding(), exploding(), play=True)
    watched.next(Diverged)
    assert watched.runner.status.state == "diverged"


def test_that_the_moment_before_the_first_step_can_be_asked_for(watched: Watched) -> None:
    given = Trainer(small(seed=7)).weights()
    watched.prepare(small(), weights=given)
    watched.runner.step(5)
    watched.arrive(5)
    watched.runner.ask("start", lambda trainer: (trainer.step, trainer.weights()), -1)
    step, weights = watched.next(Answer).value
    assert step == 0
    assert all(map(np.array_equal, weights, given))


def test_that_nobody_is_told_of_anything_after_closing() -> None:
    told: list[bool] = []
    for delay in (0.0, 0.001, 0.005, 0.02):
        made: list[Runner] = []
        runner = Runner(lambda made=made: told.append(made[0]._closing))
        made.append(runner)
        runner.prepare(small(), play=True)
        runner.step(5)
        time.sleep(delay)
        runner.close(0.0)
        runner._thread.join(SECONDS)
        assert not runner._thread.is_alive()
    assert not any(told)

"""A run in a file, and taken up again."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradsim import engine
from gradsim.engine import runner as running
from gradsim.engine import saved
from gradsim.engine.runner import Runner
from gradsim.engine.saved import SavedRun, SavedRunError
from gradsim.engine.trainer import Trainer
from gradsim.model import container, file
from gradsim.model.experiment import Experiment
from gradsim.nn import layers, optimizers
from gradsim.telemetry import Recording

SECONDS = 60.0


class Told:
    """A runner, and what it has told so far."""

    def __init__(self, **options: Any) -> None:
        self.events: list[running.Event] = []
        self.runner = Runner(lambda: None, **options)

    def until(self, true: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + SECONDS
        while True:
            self.events += self.runner.drain()
            found = true()
            if found:
                return found
            assert time.monotonic() < deadline, what
            time.sleep(0.002)

    def last(self, kind: type) -> Any:
        return next((event for event in reversed(self.events) if isinstance(event, kind)), None)

    def prepare(self, experiment: Experiment, **options: Any) -> None:
        self.runner.prepare(experiment, **options)
        self.until(lambda: self.last(running.Prepared), "prepared")

    def train(self, steps: int) -> None:
        goal = self.runner.status.step + steps
        self.runner.step(steps)
        self.until(lambda: self.runner.status.step >= goal and self.runner.status.state != "playing", "trained")

    def keep(self) -> SavedRun:
        number = self.runner.keep()
        answer = self.until(
            lambda: next((e for e in self.events if isinstance(e, running.Answer) and e.number == number), None), "kept"
        )
        assert isinstance(answer.value, SavedRun)
        return answer.value

    def weights(self) -> list[np.ndarray]:
        return self.asked(lambda trainer: trainer.weights())

    def asked(self, function: Callable[[Trainer], Any]) -> Any:
        number = self.runner.ask(object(), function)
        answer = self.until(
            lambda: next((e for e in self.events if isinstance(e, running.Answer) and e.number == number), None), "told"
        )
        return answer.value

    def recording(self) -> Recording:
        return self.last(running.Prepared).tracks[0].recorder.recording()


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    engine.warm_up()


@pytest.fixture
def begin() -> Iterator[Callable[..., Told]]:
    made: list[Told] = []

    def make(**options: Any) -> Told:
        made.append(Told(**options))
        return made[-1]

    yield make
    for told in made:
        assert told.runner.close()


def rich(**fields: Any) -> Experiment:
    """Slots, moving statistics, dropout, a last batch that is shorter, an order that changes with the epoch."""
    values: dict[str, Any] = {
        "layers": (
            layers.Dense(9, "tanh"), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(7, "relu"),
            layers.Dense(1, "sigmoid"),
        ),
        "data": "moons", "loss": "binary_crossentropy", "optimizer": optimizers.Adam(0.01, clipnorm=1.0),
        "batch_size": 48, "seed": 5, "name": "Rich",
    }  # fmt: skip
    return Experiment(**{**values, **fields})


def same(a: Any, b: Any) -> None:
    assert len(a) == len(b)
    for ours, theirs in zip(a, b, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("steps", [0, 1, 2, 57])
def test_that_training_goes_on_with_the_same_bytes_as_without_the_break(
    begin: Callable[..., Told], tmp_path: Path, steps: int
) -> None:
    whole, path = begin(), tmp_path / "run.gradsim"
    whole.prepare(rich())
    if steps:
        whole.train(steps)
    saved.save(path, rich(), whole.keep())
    inside = whole.asked(lambda trainer: [trainer.gradient_matrix(0), trainer.activation_matrix(0)]) if steps else []
    again = begin()
    again.prepare(file.load(path).experiment, saved=lambda: saved.load(path))
    assert again.until(lambda: again.last(running.Resumed), "resumed") == running.Resumed(again.runner.status.run, True)
    assert again.runner.status.step == steps
    assert again.recording() == whole.recording()
    if steps:
        # What one sees inside a layer is that of the last step too.
        same(again.asked(lambda trainer: [trainer.gradient_matrix(0), trainer.activation_matrix(0)]), inside)
    for told in (whole, again):
        told.train(60)
    same(whole.weights(), again.weights())
    assert again.recording() == whole.recording()


def test_that_it_can_go_back_behind_the_break(begin: Callable[..., Told], tmp_path: Path) -> None:
    whole, path = begin(), tmp_path / "run.gradsim"
    whole.prepare(rich())
    whole.train(10)
    early = whole.weights()
    whole.runner.apply_live(optimizers.Adam(0.1))
    whole.train(20)
    saved.save(path, rich(optimizer=optimizers.Adam(0.1)), whole.keep())
    again = begin()
    again.prepare(file.load(path).experiment, saved=lambda: saved.load(path))
    again.runner.back(20)
    again.until(lambda: again.runner.status.step == 10 and again.runner.status.state == "paused", "back")
    same(again.weights(), early)


def test_that_a_run_from_other_weights_keeps_its_beginning(begin: Callable[..., Told], tmp_path: Path) -> None:
    experiment, path = rich(), tmp_path / "run.gradsim"
    weights = [(array * 0.5).astype(np.float32) for array in experiment.stack().initial_weights(9)]
    told = begin()
    told.prepare(experiment, weights=weights)
    told.train(5)
    saved.save(path, experiment, told.keep())
    again = begin()
    again.prepare(experiment, saved=lambda: saved.load(path))
    again.runner.back(5)
    again.until(lambda: again.runner.status.step == 0, "back")
    same(again.weights(), weights)


def test_that_a_broken_down_run_is_kept_too(begin: Callable[..., Told], tmp_path: Path) -> None:
    wild = layers.Dense(16, "relu", kernel_initializer={"type": "RandomNormal", "stddev": 50.0})
    experiment = rich(layers=(wild, wild, wild, layers.Dense(1, "linear")), loss="mean_squared_error",
                      optimizer=optimizers.SGD(1.0))  # fmt: skip
    path = tmp_path / "run.gradsim"
    told = begin(stop_on_nonfinite=False)
    told.prepare(experiment)
    told.train(30)
    assert told.recording().first_nonfinite is not None
    saved.save(path, experiment, told.keep())
    again = begin(stop_on_nonfinite=False)
    again.prepare(experiment, saved=lambda: saved.load(path))
    assert again.until(lambda: again.last(running.Resumed), "resumed").same
    assert again.recording() == told.recording()
    same(again.weights(), told.weights())


def test_that_saving_in_slow_motion_leaves_the_half_done_step_out(begin: Callable[..., Told], tmp_path: Path) -> None:
    told, path = begin(), tmp_path / "run.gradsim"
    told.prepare(rich())
    told.train(4)
    told.runner.set_slow(True, 0.0)
    for name in ("forward", "loss", "backward"):
        told.runner.step()
        told.until(lambda name=name: told.runner.status.phase and told.runner.status.phase.name == name, name)
    saved.save(path, rich(), told.keep())
    again = begin()
    again.prepare(rich(), saved=lambda: saved.load(path))
    assert again.until(lambda: again.last(running.Resumed), "resumed").problem == ""
    assert again.runner.status.step == 4


@pytest.fixture
def kept(begin: Callable[..., Told], tmp_path: Path) -> Path:
    told, path = begin(), tmp_path / "run.gradsim"
    told.prepare(rich())
    told.train(6)
    saved.save(path, rich(), told.keep(), {"view": {"quantity": "gradient_rms"}})
    return path


def test_that_other_programs_can_take_the_parts_out(kept: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(kept) as archive:
        assert tuple(archive.namelist()) == container.MEMBERS
        assert json.loads(archive.read("experiment.json"))["name"] == "Rich"
        archive.extract("recording.npz", tmp_path)
    with np.load(tmp_path / "recording.npz", allow_pickle=False) as arrays:
        assert arrays["loss"].shape == (6,)
    assert Recording.load(tmp_path / "recording.npz").stop == 6


def test_that_the_experiment_opens_as_from_a_plain_file(kept: Path) -> None:
    opened = file.load(kept)
    assert opened.experiment.name == "Rich"
    assert opened.extensions["view"] == {"quantity": "gradient_rms"}


def test_that_a_plain_file_holds_no_run(tmp_path: Path) -> None:
    file.save(tmp_path / "plain.gradsim", rich())
    assert saved.load(tmp_path / "plain.gradsim") is None


def test_that_the_run_of_another_experiment_is_refused_and_the_seed_takes_over(
    begin: Callable[..., Told], kept: Path
) -> None:
    other = rich(layers=(layers.Dense(4, "tanh"), layers.Dense(1, "sigmoid")))
    told = begin()
    told.prepare(other, saved=lambda: saved.load(kept))
    resumed = told.until(lambda: told.last(running.Resumed), "resumed")
    assert "must be a run of the experiment in the file" in resumed.problem
    assert told.runner.status.step == 0
    told.train(3)


def test_that_another_machine_is_noticed(begin: Callable[..., Told], kept: Path) -> None:
    run = saved.load(kept)
    assert run is not None
    told = begin()
    told.prepare(rich(), saved=lambda: dataclasses.replace(run, digest="0" * 64))
    assert not told.until(lambda: told.last(running.Resumed), "resumed").same


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def state_with(content: bytes, **changes: Any) -> bytes:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        members = {name: arrays[name] for name in arrays.files}
    header = json.loads(members["state"].tobytes())
    header.update(changes)
    members["state"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **members)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 99}, "version: must be at most 1: update gradsim"),
        ({"format": "other"}, "must be a state of gradsim's"),
        ({"step": -1}, "step: 0 to"),
        ({"arrays": 10**9}, "arrays: 0 to"),
        ({"live": []}, "live: a list"),
        ({"live": [[0, {"type": "Nothing"}]]}, r"live\[0\]: an optimizer"),
        ({"live": [[3, {"type": "SGD"}]]}, "the first one from step 0"),
        ({"waiting": [[1]]}, "waiting: pairs"),
        ({"first": 1}, "first: true or false"),
    ],
)
def test_that_a_damaged_head_is_refused_in_words(kept: Path, changes: dict[str, Any], words: str) -> None:
    rewritten(kept, lambda parts: parts.update({"state.npz": state_with(parts["state.npz"], **changes)}))
    with pytest.raises(SavedRunError, match=words):
        saved.load(kept)


@pytest.mark.parametrize("changes", [{"step": 5}, {"head": 7}, {"evicted": 3}, {"past": 2}, {"level": 3, "past": 1}])
def test_that_a_state_that_does_not_fit_its_recording_is_refused(
    begin: Callable[..., Told], kept: Path, changes: dict[str, Any]
) -> None:
    rewritten(kept, lambda parts: parts.update({"state.npz": state_with(parts["state.npz"], **changes)}))
    told = begin()
    told.prepare(rich(), saved=lambda: saved.load(kept))
    assert told.until(lambda: told.last(running.Resumed), "resumed").problem
    assert told.runner.status.step == 0


def test_that_compressed_members_are_refused_as_they_could_swell(kept: Path) -> None:
    rewritten(kept, lambda parts: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(file.FileError, match="not compressed"):
        file.load(kept)


def test_that_an_archive_that_would_swell_is_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("state.npy", b"\0" * 3_000_000)
    rewritten(kept, lambda parts: parts.update({"state.npz": bomb.getvalue()}))
    monkeypatch.setattr(saved, "MAX_BYTES", 2_000_000)
    with pytest.raises(SavedRunError, match="at most 2000000 bytes when unpacked"):
        saved.load(kept)


def test_that_a_pickled_array_is_refused(kept: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, state=np.array([{"a": 1}], object))
    rewritten(kept, lambda parts: parts.update({"state.npz": stream.getvalue()}))
    with pytest.raises(SavedRunError, match="allowed is uint8"):
        saved.load(kept)


@pytest.mark.parametrize("length", [10, 500, -1, -30])
def test_that_a_file_that_is_cut_off_is_refused(kept: Path, length: int) -> None:
    kept.write_bytes(kept.read_bytes()[:length])
    with pytest.raises(file.FileError, match="must end in a list of its members"):
        file.load(kept)


def test_that_every_changed_byte_is_noticed_or_harmless(kept: Path) -> None:
    data = kept.read_bytes()
    generator = np.random.default_rng(3)
    for place in generator.integers(0, len(data), 150):
        broken = bytearray(data)
        broken[place] ^= int(generator.integers(1, 256))
        kept.write_bytes(bytes(broken))
        try:
            file.load(kept)
            saved.load(kept)
        except (file.FileError, SavedRunError):
            continue


def test_that_a_member_too_many_is_refused(kept: Path) -> None:
    rewritten(kept, lambda parts: parts.update({"../evil": b"x"}))
    with pytest.raises(file.FileError, match="and nothing else"):
        file.load(kept)


def test_that_a_run_that_can_not_be_written_leaves_nothing(kept: Path, tmp_path: Path) -> None:
    run = saved.load(kept)
    assert run is not None
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(file.FileError, match="can't be written"):
        saved.save(tmp_path / "no" / "x.gradsim", rich(), run)
    folder = tmp_path / "run.gradsim" / "x"
    with pytest.raises(file.FileError, match="can't be written"):
        saved.save(folder, rich(), run)
    assert sorted(os.listdir(tmp_path)) == before


def test_that_an_older_state_is_brought_up_to_date() -> None:
    old = {"format": saved.FORMAT, "version": 1, "steps": 3}
    found = saved.migrated(old, {2: lambda head: {"format": head["format"], "step": head["steps"]}}, 2)
    assert found == {"format": saved.FORMAT, "version": 2, "step": 3}
    with pytest.raises(SavedRunError, match="version: must be 3"):
        saved.migrated(old, {}, 3)


def test_that_where_a_run_stands_in_its_data_follows_from_the_steps() -> None:
    trainer = Trainer(rich())
    for _ in range(45):
        snapshot = trainer.snapshot()
        made = trainer.snapshot_of(trainer.step, snapshot.arrays)
        np.testing.assert_array_equal(made.context, snapshot.context)
        trainer.advance(1)

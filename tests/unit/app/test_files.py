from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from gradsim.app import files as filing
from gradsim.app.files import Files, new_experiment
from gradsim.app.session import Session
from gradsim.app.settings import Settings
from gradsim.data import CSV, Dataset
from gradsim.model import edits, file
from gradsim.model.problems import problems
from gradsim.telemetry.recording import Recording
from tests.unit.app.experiments import small_experiment

WAIT = 20_000
OpenFiles = Callable[..., Files]


@pytest.fixture
def open_files(
    open_session: Callable[..., Session], settings: Settings, tmp_path: Path, qtbot: QtBot
) -> Iterator[OpenFiles]:
    """Files of a session, in a window of their own; unsaved changes are thrown away unless told otherwise."""
    made: list[Files] = []

    def make(session: Session | None = None) -> Files:
        window = QWidget()
        qtbot.addWidget(window)
        files = Files(session or open_session(), settings, tmp_path / "autosave", window)
        files.ask_unsaved = lambda title: "discard"
        made.append(files)
        return files

    yield make
    for files in made:
        files.close()


@pytest.fixture
def files(open_files: OpenFiles) -> Files:
    return open_files()


def rename(files: Files, name: str) -> None:
    files.session.edit(edits.set_field, "", "name", name)


def test_that_a_new_experiment_can_be_trained() -> None:
    assert not [found for found in problems(new_experiment()) if found.severity != "note"]


def test_that_a_saved_file_is_recent_and_opens_again(files: Files, tmp_path: Path) -> None:
    rename(files, "Moons")
    path = tmp_path / "moons.gradsim"
    assert files.save_as(path)
    assert files.title == "moons.gradsim"
    assert files.recent() == [path]
    assert files.new()
    assert files.open(path)
    assert files.session.experiment.name == "Moons"
    assert files.session.document.path == path


def test_that_save_without_a_file_asks_for_one(files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[bool] = []

    def ask() -> bool:
        asked.append(True)
        return False

    monkeypatch.setattr(files, "ask_save", ask)
    assert not files.save()
    assert asked == [True]
    files.save_as(tmp_path / "a.gradsim")
    rename(files, "Moons")
    assert files.save()
    assert asked == [True]


@pytest.mark.parametrize(
    ("answer", "left", "saved"), [("save", True, True), ("discard", True, False), ("cancel", False, False)]
)
def test_that_unsaved_changes_are_asked_about(
    files: Files, tmp_path: Path, answer: filing.Answer, left: bool, saved: bool
) -> None:
    path = tmp_path / "a.gradsim"
    files.save_as(path)
    rename(files, "Changed")
    titles: list[str] = []

    def ask(title: str) -> filing.Answer:
        titles.append(title)
        return answer

    files.ask_unsaved = ask
    assert files.may_leave() is left
    assert titles == ["a.gradsim"]
    assert (file.load(path).experiment.name == "Changed") is saved


def test_that_what_is_saved_or_untouched_is_not_asked_about(files: Files, tmp_path: Path) -> None:
    files.ask_unsaved = lambda title: pytest.fail("asked")
    assert files.may_leave()
    rename(files, "Moons")
    files.save_as(tmp_path / "a.gradsim")
    assert files.may_leave()


def test_that_a_broken_file_is_said_and_no_longer_recent(files: Files, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "broken.gradsim"
    path.write_text("[", encoding="utf-8")
    files.settings.add_recent(path)
    before = files.session.experiment
    with qtbot.waitSignal(files.failed) as said:
        assert not files.open(path)
    assert "broken.gradsim can't be opened" in said.args[0]
    assert files.session.experiment is before
    assert files.recent() == []


def test_that_a_file_that_cannot_be_written_is_said(files: Files, tmp_path: Path, qtbot: QtBot) -> None:
    with qtbot.waitSignal(files.failed) as said:
        assert not files.save_as(tmp_path / "no" / "such" / "folder.gradsim")
    assert "can't be saved" in said.args[0]
    assert files.session.document.path is None


def test_that_a_dropped_table_becomes_the_data(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("a,b,label\n" + "\n".join(f"{i},{i * 2},{i % 2}" for i in range(20)), encoding="utf-8")
    assert files.take(path)
    assert files.session.experiment.data.identifier == "csv"
    assert files.session.document.undo_names[0] == "Change data"


def test_that_a_dropped_experiment_is_opened(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "a.gradsim"
    file.save(path, dataclasses.replace(small_experiment(), name="Dropped"))
    assert files.take(path)
    assert files.session.experiment.name == "Dropped"


def test_that_another_kind_of_file_is_refused(files: Files, tmp_path: Path, qtbot: QtBot) -> None:
    with qtbot.waitSignal(files.failed) as said:
        assert not files.take(tmp_path / "picture.png")
    assert "picture.png" in said.args[0]


def test_that_unsaved_changes_are_kept_and_saved_ones_are_not(files: Files, tmp_path: Path) -> None:
    files.autosave()
    assert not files.autosave_path.exists()
    rename(files, "Moons")
    files.autosave()
    assert file.load(files.autosave_path).experiment.name == "Moons"
    files.save_as(tmp_path / "a.gradsim")
    assert not files.autosave_path.exists()


def test_that_a_window_that_closes_leaves_nothing(files: Files) -> None:
    rename(files, "Moons")
    files.autosave()
    files.close()
    assert not files.autosave_path.exists()
    assert files.leftovers() == []


def crash(files: Files, tmp_path: Path) -> None:
    """What a process that is gone leaves behind; no process has so high a number."""
    files.save_as(tmp_path / "a.gradsim")
    rename(files, "Unsaved")
    files.autosave()
    files.autosave_path.rename(files.folder / "autosave-99999999-1.gradsim")


def test_that_changes_of_a_crashed_window_are_found_and_recovered(open_files: OpenFiles, tmp_path: Path) -> None:
    crash(open_files(), tmp_path)
    later = open_files()
    found = later.leftovers()
    assert [left.title.split(",")[0] for left in found] == ["a.gradsim"]
    assert later.recover(found[0])
    assert later.session.experiment.name == "Unsaved"
    assert later.session.document.dirty
    assert later.session.document.path == tmp_path / "a.gradsim"
    assert later.leftovers() == []
    assert file.load(tmp_path / "a.gradsim").experiment.name == ""


def test_that_recovered_changes_survive_another_crash(open_files: OpenFiles, tmp_path: Path) -> None:
    crash(open_files(), tmp_path)
    later = open_files()
    later.recover(later.leftovers()[0])
    assert file.load(later.autosave_path).experiment.name == "Unsaved"


def test_that_an_open_window_is_not_taken_for_a_crashed_one(open_files: OpenFiles) -> None:
    running = open_files()
    rename(running, "Moons")
    running.autosave()
    assert open_files().leftovers() == []


def test_that_a_damaged_leftover_is_passed_over(files: Files) -> None:
    files.folder.mkdir(parents=True)
    (files.folder / "autosave-99999999-1.gradsim").write_text("{", encoding="utf-8")
    assert files.leftovers() == []


def test_that_arrays_in_memory_do_not_disturb_the_autosave(
    open_files: OpenFiles, open_session: Callable[..., Session]
) -> None:
    import numpy as np

    files = open_files(open_session(small_experiment(data=(np.zeros((8, 2)), np.arange(8) % 2))))
    rename(files, "In memory")
    files.autosave()
    assert not files.autosave_path.exists()


def test_that_the_record_is_exported_as_table_and_recording(files: Files, tmp_path: Path, qtbot: QtBot) -> None:
    session = files.session
    session.start()
    qtbot.waitUntil(lambda: session.recorder is not None, timeout=WAIT)
    session.runner.step(5)
    qtbot.waitUntil(lambda: session.status.step == 5, timeout=WAIT)
    assert files.export(tmp_path / "record.csv")
    assert files.export(tmp_path / "record.npz")
    assert len(Recording.load(tmp_path / "record.npz")) == 5
    assert "delta_rms" in (tmp_path / "record.csv").read_text(encoding="utf-8").splitlines()[0]
    with qtbot.waitSignal(files.failed):
        assert not files.export(tmp_path / "record.txt")


def test_that_only_existing_files_are_recent_and_the_latest_is_first(files: Files, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        files.save_as(tmp_path / f"{name}.gradsim")
    (tmp_path / "b.gradsim").unlink()
    assert [path.stem for path in files.recent()] == ["c", "a"]


def test_that_the_proposed_name_holds_no_odd_characters(files: Files) -> None:
    rename(files, "Init: he / glorot?")
    assert files.proposal() == "init-he-glorot"


def test_that_the_state_of_an_autosaved_file_is_plain_json(files: Files, tmp_path: Path) -> None:
    files.save_as(tmp_path / "a.gradsim")
    rename(files, "Moons")
    files.autosave()
    content = json.loads(files.autosave_path.read_text(encoding="utf-8"))
    assert content["state"] == {"original": str(tmp_path / "a.gradsim")}


def test_that_a_table_is_read_while_the_window_lives(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.csv").write_text("a,b,kind\n" + "1,2,x\n3,5,y\n" * 10)
    experiment = dataclasses.replace(small_experiment(), data=CSV(str(tmp_path / "own.csv"), target="kind"))
    path = tmp_path / "own.gradsim"
    file.save(path, experiment)
    turn, read, load = threading.Event(), [], CSV.load

    def slow(source: CSV, base: Path | None = None) -> Dataset:
        # If this held up the window, its turn would never come.
        read.append(turn.wait(30))
        return load(source, base)

    monkeypatch.setattr(CSV, "load", slow)
    QTimer.singleShot(0, turn.set)
    assert files.open(path)
    assert files.session.problems is not None
    # The training reads it, too, perhaps by now.
    assert read and all(read)


def test_that_a_table_that_is_gone_is_named_and_the_experiment_opens(files: Files, tmp_path: Path) -> None:
    experiment = dataclasses.replace(small_experiment(), data=CSV(str(tmp_path / "gone.csv"), target="kind"))
    file.save(tmp_path / "own.gradsim", experiment)
    assert files.open(tmp_path / "own.gradsim")
    assert files.session.experiment.data == experiment.data
    assert "gone.csv" in files.session.failure and "data.path" in files.session.failure


def test_that_weights_that_are_gone_are_named_and_nothing_is_lost(files: Files, tmp_path: Path, qtbot: QtBot) -> None:
    session = files.session
    session.start()
    qtbot.waitUntil(lambda: session.recorder is not None, timeout=WAIT)
    arrays = session.experiment.stack().initial_weights(7)
    weights = tmp_path / "trained.npz"
    np.savez(weights, *arrays)
    session.edit(edits.set_field, "", "pretrained", str(weights))
    qtbot.waitUntil(lambda: session.recorder is not None and not session.failure, timeout=WAIT)
    path = tmp_path / "reused.gradsim"
    assert files.save_as(path)
    before = path.read_bytes()
    weights.rename(tmp_path / "moved.npz")
    assert files.new()
    assert files.open(path)
    qtbot.waitUntil(lambda: bool(session.failure), timeout=WAIT)
    assert "trained.npz" in session.failure and "pretrained" in session.failure
    assert session.experiment.pretrained == str(weights)
    assert files.save()
    assert json.loads(path.read_bytes())["pretrained"] == json.loads(before)["pretrained"]
    (tmp_path / "moved.npz").rename(weights)
    session.reset()
    qtbot.waitUntil(lambda: session.recorder is not None, timeout=WAIT)
    assert not session.failure

"""`.gradsim` files: what goes in comes out, and what is wrong is said completely."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradsim.model import Experiment, file
from gradsim.nn import layers, optimizers

DENSE = {"type": "Dense", "units": 3}


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(
        layers=[layers.Repeat(3, layers=[layers.Dense(8, activation="tanh")]), layers.Dense(1, activation="sigmoid")],
        data="moons",
        loss="binary_crossentropy",
        optimizer=optimizers.Adam(0.02, clipnorm=1.0),
        seed=7,
        name="Moons",
    )


def text(**fields: Any) -> str:
    return json.dumps({"gradsim": 1, **fields})


def faults(data: str | bytes) -> list[tuple[str, str]]:
    with pytest.raises(file.FileError) as caught:
        file.loads(data)
    return [(fault.path, fault.message) for fault in caught.value.faults]


def test_that_a_saved_experiment_opens_as_it_was(experiment: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "moons.gradsim"
    file.save(path, experiment)
    again = file.load(path).experiment
    assert file.dumps(again) == file.dumps(experiment)
    assert again.optimizer == experiment.optimizer
    assert json.loads(path.read_text())["gradsim"] == 1


def test_that_identities_of_layers_are_not_saved_and_not_taken(experiment: Experiment) -> None:
    assert "uid" not in file.dumps(experiment)
    [(path, message)] = faults(text(layers=[{**DENSE, "uid": "same"}]))
    assert path == "layers[0].uid"
    assert message.startswith("is not a field here")


def test_that_view_and_state_are_kept_untouched(experiment: Experiment, tmp_path: Path) -> None:
    extensions = {"view": {"zoom": 1.5, "open": [1, None, True], "type": "Dense"}, "state": {"step": 12}}
    path = tmp_path / "moons.gradsim"
    file.save(path, experiment, extensions)
    assert file.load(path).extensions == extensions


def test_that_an_unknown_extension_is_refused(experiment: Experiment) -> None:
    with pytest.raises(file.FileError, match="must be one of view, state"):
        file.dumps(experiment, {"sight": {}})


def test_that_an_extension_that_is_no_json_is_refused(experiment: Experiment) -> None:
    with pytest.raises(file.FileError, match="plain JSON values"):
        file.dumps(experiment, {"view": {"picture": b"png"}})
    with pytest.raises(file.FileError, match="plain JSON values"):
        file.dumps(experiment, {"view": {"zoom": float("nan")}})


def test_that_all_faults_are_reported_with_place_allowed_and_received() -> None:
    with pytest.raises(file.FileError) as caught:
        file.loads(
            text(
                layers=[
                    {"type": "Dense", "units": 0, "unit": 4},
                    {"type": "Dens", "units": 4},
                    {"type": "Repeat", "layers": [{"type": "Dropout", "rate": 1.5}]},
                    7,
                ],
                loss="mze",
                optimizer={"type": "SGD", "learning_rate": {"type": "CosineDecay", "alpha": 4}},
                batch_size=0,
                learning_rate=0.1,
                view=3,
            )
        )
    found = {fault.path: fault for fault in caught.value.faults}
    assert set(found) == {
        "layers[0].units",
        "layers[0].unit",
        "layers[1].type",
        "layers[2].layers[0].rate",
        "layers[3]",
        "loss",
        "optimizer.learning_rate.alpha",
        "batch_size",
        "learning_rate",
        "view",
    }
    assert str(found["layers[0].units"]) == "layers[0].units: must be at least 1 (received 0)"
    assert "did you mean 'units'?" in found["layers[0].unit"].message
    assert "did you mean 'Dense'?" in found["layers[1].type"].message
    assert found["loss"].message.startswith("is not a loss; must be one of mse, ")
    assert "must be one of layers, data, loss" in found["learning_rate"].message
    assert str(caught.value).count("\n") == 9


def test_that_two_ways_of_clipping_are_shown_as_they_were_written() -> None:
    with pytest.raises(file.FileError) as caught:
        file.loads(text(optimizer={"type": "SGD", "clipnorm": 1, "clipvalue": 2}))
    [fault] = caught.value.faults
    assert fault.path == "optimizer"
    assert fault.received == {"clipnorm": 1, "clipvalue": 2}


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        pytest.param("", "the file", "must be JSON; line 1, column 1", id="empty"),
        pytest.param('{"gradsim": 1,\n "seed": }', "the file", "must be JSON; line 2, column 10", id="syntax"),
        pytest.param("[1]", "the file", "must be a JSON object", id="list"),
        pytest.param(b'\xff\xfe{"gradsim": 1}', "the file", "must be text in UTF-8; byte 0", id="utf-16"),
        pytest.param(b'{"gradsim": 1, "name": "\xe9"}', "the file", "must be text in UTF-8; byte 24", id="latin-1"),
        pytest.param("[" * 200_000, "the file", "must be nested at most 64 deep", id="deep"),
        pytest.param('{"view":' * 80 + "1" + "}" * 80, "view" + ".view" * 64, "must be nested at most", id="deeper"),
        pytest.param("[" + "0," * 1_000_001 + "0]", "the file", "must hold at most 1,000,000 values", id="many"),
        pytest.param('{"gradsim": 1, "seed": NaN}', "seed", "must be a finite number", id="nan"),
        pytest.param('{"gradsim": 1, "view": {"x": -Infinity}}', "view.x", "must be a finite number", id="inf"),
        pytest.param('{"gradsim": 1, "seed": 1e999}', "seed", "must be a finite number", id="overflow"),
        pytest.param('{"gradsim": 1, "seed": ' + "9" * 100_000 + "}", "seed", "must be a whole number of at", id="int"),
        pytest.param('{"gradsim": 1, "seed": 1, "seed": 2}', "seed", "must stand there once", id="twice"),
        pytest.param('{"gradsim": 1, "name": "\\u001b[2J"}', "name", "without control characters", id="escape"),
        pytest.param('{"gradsim": 1, "name": "\\ud800"}', "name", "without control characters", id="surrogate"),
        pytest.param('{"gradsim": 1, "__class__": 1}', "__class__", "is not a field here", id="dunder"),
        pytest.param('{"gradsim": 1, "self": 1}', "self", "is not a field here", id="self"),
        pytest.param('{"gradsim": 1, "layers": {"0": "Flatten"}}', "layers", "must be a list", id="no list"),
        pytest.param('{"gradsim": 1, "seed": 1.5}', "seed", "must be a whole number", id="fraction"),
        pytest.param('{"gradsim": 1, "seed": true}', "seed", "must be a whole number", id="bool"),
        pytest.param('{"gradsim": 1, "dtype": "float16"}', "dtype", "must be one of 'float32'", id="dtype"),
        pytest.param('{"seed": 1}', "gradsim", "must be the number of the file format, 1", id="no version"),
        pytest.param('{"gradsim": "1"}', "gradsim", "must be the number of the file format, 1", id="text version"),
        pytest.param('{"gradsim": true}', "gradsim", "must be the number of the file format, 1", id="bool version"),
        pytest.param('{"gradsim": 2}', "gradsim", "written by a newer gradsim", id="newer"),
        pytest.param('{"gradsim": -1}', "gradsim", "must be 1", id="negative version"),
        pytest.param('{"gradsim": 1, "layers": ["Dense"]}', "layers[0].units", "is missing", id="missing"),
        pytest.param('{"gradsim": 1, "data": "arrays"}', "data", "is not a dataset", id="arrays"),
    ],
)  # fmt: skip
def test_that_a_broken_or_hostile_file_gets_a_clear_fault(data: str | bytes, path: str, message: str) -> None:
    found = faults(data)
    assert any(place == path and message in words for place, words in found), found


def test_that_too_long_a_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "long.gradsim"
    with open(path, "wb") as out:
        out.truncate(10 * file.MAX_BYTES)
    with pytest.raises(file.FileError, match="at most 16 MiB"):
        file.load(path)


def test_that_too_many_layers_are_refused_before_they_are_made() -> None:
    [(path, message)] = faults(text(layers=["Flatten"] * (file.MAX_ROWS + 1)))
    assert (path, message) == ("layers", "must hold at most 5,000 layers in all")
    nested: list[Any] = [DENSE] * 100
    for _ in range(2):
        nested = [{"type": "Repeat", "layers": nested}] * 10
    assert faults(text(layers=nested)) == [("layers", "must hold at most 5,000 layers in all")]


def test_that_a_message_with_very_many_faults_stays_readable() -> None:
    with pytest.raises(file.FileError) as caught:
        file.loads(text(layers=[{"type": "Dense", "units": 0}] * 500))
    assert len(caught.value.faults) == 500
    assert str(caught.value).splitlines()[-1] == "... and 400 more"


def test_that_a_byte_order_mark_is_no_fault() -> None:
    assert file.loads(b"\xef\xbb\xbf" + text(seed=3).encode()).experiment.seed == 3


def test_that_a_missing_file_and_a_folder_are_faults(tmp_path: Path) -> None:
    with pytest.raises(file.FileError, match="No such file"):
        file.load(tmp_path / "missing.gradsim")
    with pytest.raises(file.FileError, match="the file: "):
        file.load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_that_a_named_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.gradsim"
    os.mkfifo(path)
    with pytest.raises(file.FileError, match="must be a regular file"):
        file.load(path)


def test_that_data_in_memory_can_not_be_saved_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    experiment = Experiment(layers=[layers.Dense(1)], data=(np.zeros((4, 2)), np.zeros((4, 1))), loss="mse")
    with pytest.raises(file.FileError, match=r"numpy\.savez") as caught:
        file.save(tmp_path / "x.gradsim", experiment)
    assert caught.value.faults[0].path == "data"
    assert list(tmp_path.iterdir()) == []


def test_that_a_failed_save_leaves_the_old_file(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "moons.gradsim"
    file.save(path, experiment)
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(file.FileError, match="No space left"):
        file.save(path, Experiment(data="xor"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_that_saving_into_a_missing_folder_is_a_fault(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(file.FileError, match="can't be written"):
        file.save(tmp_path / "missing" / "moons.gradsim", experiment)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions and links")
def test_that_saving_keeps_links_and_permissions(experiment: Experiment, tmp_path: Path) -> None:
    target, link = tmp_path / "target.gradsim", tmp_path / "link.gradsim"
    file.save(target, experiment)
    target.chmod(0o640)
    link.symlink_to(target)
    file.save(link, Experiment(data="xor"))
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert file.load(target).experiment.data.identifier == "xor"


def test_that_paths_of_data_travel_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("a,b\n1,x\n2,y\n3,x\n4,y\n")
    experiment = Experiment(
        layers=[layers.Dense(1)], data={"type": "csv", "path": str(tmp_path / "own.csv")}, loss="mse"
    )
    file.save(tmp_path / "own.gradsim", experiment)
    assert json.loads((tmp_path / "own.gradsim").read_text())["data"]["path"] == "own.csv"
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("own.csv", "own.gradsim"):
        (tmp_path / name).rename(moved / name)
    assert file.load(moved / "own.gradsim").experiment.data.signature().outputs == 1


def test_that_what_could_not_be_opened_again_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(file.FileError, match="name: must be text without control characters"):
        file.save(tmp_path / "x.gradsim", Experiment(name="bell \a"))
    assert list(tmp_path.iterdir()) == []


def test_that_nothing_in_a_file_is_executed_or_unpickled() -> None:
    source = Path(file.__file__).read_text() + Path(file.migrations.__file__).read_text()
    for word in ("pickle", "eval(", "exec(", "import_module", "__import__"):
        assert word not in source

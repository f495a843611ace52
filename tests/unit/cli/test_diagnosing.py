"""``gradsim diagnose``, ``cure`` and ``compare``: what they print, write and refuse, and with which exit code."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradsim import api
from gradsim.cli import diagnosing
from gradsim.cli.main import cli
from gradsim.diagnose import cures
from gradsim.model import Experiment, file
from gradsim.nn import layers, optimizers
from gradsim.nn.layers import Dense

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def experiment(activation: str = "sigmoid") -> Experiment:
    return Experiment(
        (layers.Repeat(9, (Dense(16, activation),)), Dense(1, "sigmoid")),
        data={"type": "moons", "samples": 200},
        loss="binary_crossentropy",
        optimizer=optimizers.SGD(0.1),
        name=f"Nine {activation}",
    )


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    file.save(tmp_path / "deep.gradsim", experiment())
    return tmp_path / "deep.gradsim"


def test_that_a_diagnosis_names_what_is_wrong_and_what_may_help(run: Run, deep: Path) -> None:
    result = run("diagnose", deep, "--steps", 60)
    assert result.exit_code == 0
    assert result.stdout.startswith("Nine sigmoid\nSteps 0 to 59, 10 layers")
    assert "✗ Vanishing gradient" in result.stdout
    assert "  ReLU: " in result.stdout


def test_that_nothing_wrong_is_said_too(run: Run, deep: Path) -> None:
    result = run("diagnose", deep, "--steps", 3, "--set", "layers[0].count=1")
    assert result.exit_code == 0
    assert "Nothing is wrong" in result.stdout


def test_that_a_diagnosis_is_json(run: Run, deep: Path) -> None:
    content = json.loads(run("diagnose", deep, "--steps", 60, "--json").stdout)
    assert (content["start"], content["stop"]) == (0, 60)
    assert content["layers"][0] == "dense"
    vanishing = next(one for one in content["findings"] if one["kind"] == "vanishing")
    assert vanishing["rows"][0] == 0
    assert vanishing["places"][0][2:] == [0, 60]


def test_that_a_recording_is_diagnosed_as_its_experiment_is(run: Run, deep: Path, tmp_path: Path) -> None:
    api.load(deep).run(60).save(tmp_path / "run.npz")
    of_recording = json.loads(run("diagnose", tmp_path / "run.npz", "--json").stdout)
    assert of_recording == json.loads(run("diagnose", deep, "--steps", 60, "--json").stdout)
    refused = run("diagnose", tmp_path / "run.npz", "--set", "seed=1")
    assert refused.exit_code == 2
    assert "a recording can't be changed" in refused.stderr


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b"not a recording", "the file")], ids=["missing", "broken"]
)
def test_that_a_file_that_is_no_recording_is_refused(
    run: Run, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "run.npz"
    if content is not None:
        path.write_bytes(content)
    result = run("diagnose", path)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize("command", ["diagnose", "cure"])
def test_that_a_wrong_setting_is_refused(run: Run, deep: Path, command: str) -> None:
    result = run(command, deep, "--set", "layers[9].units=3")
    assert result.exit_code == 2
    assert "layers[9]" in result.stderr


def test_that_the_best_cure_is_written(run: Run, deep: Path, tmp_path: Path) -> None:
    result = run("cure", deep, "--steps", 30, "--no-pairs", "-o", tmp_path / "best.gradsim")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "Nine sigmoid"
    first = next(line for line in lines if line.lstrip().startswith("1 "))
    best = file.load(tmp_path / "best.gradsim").experiment
    assert best != experiment()
    assert f"best.gradsim written: {first.split('  ')[1].strip()}" in result.stderr
    assert any("as it is" in line for line in lines)


def test_that_only_an_experiment_is_written(run: Run, deep: Path, tmp_path: Path) -> None:
    result = run("cure", deep, "-o", tmp_path / "best.txt")
    assert result.exit_code == 2
    assert "must end in .gradsim" in result.stderr


def test_that_interrupted_trials_are_ranked_as_far_as_they_came(
    run: Run, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = cures.trials

    def interrupted(*arguments: object) -> object:
        for progress in trials(*arguments):  # type: ignore[arg-type]
            yield progress
            if progress.done == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(cures, "trials", interrupted)
    result = run("cure", deep, "--steps", 5)
    assert result.exit_code == 130
    assert "2 of " in result.stdout


def test_that_a_comparison_marks_what_differs(run: Run, deep: Path, tmp_path: Path) -> None:
    file.save(tmp_path / "relu.gradsim", experiment("relu"))
    result = run("compare", deep, tmp_path / "relu.gradsim", deep, "--steps", 5)
    assert result.exit_code == 0
    assert "dense to dense_8 (9 layers)  Activation  sigmoid  relu" in result.stdout
    assert "A against C:\n  no difference" in result.stdout
    assert "After 5 steps:" in result.stdout
    assert "Findings in B: " in result.stdout


def test_that_other_batches_are_said(run: Run, deep: Path, tmp_path: Path) -> None:
    file.save(tmp_path / "one.gradsim", dataclasses.replace(experiment(), batch_size=1))
    assert "don't see the same rows" in run("compare", deep, tmp_path / "one.gradsim", "--steps", 2).stdout


def test_that_recordings_are_compared_number_by_number(run: Run, deep: Path, tmp_path: Path) -> None:
    first = api.load(deep)
    first.run(4).save(tmp_path / "a.npz")
    first.run(3).save(tmp_path / "b.npz")
    assert run("compare", tmp_path / "a.npz", tmp_path / "a.npz").stdout == "They agree in every bit.\n"
    assert "A 1, B 0" in run("compare", tmp_path / "a.npz", tmp_path / "b.npz").stdout
    mixed = run("compare", tmp_path / "a.npz", deep)
    assert mixed.exit_code == 2
    assert "not with experiments" in mixed.stderr


@pytest.mark.parametrize("number", [1, 5])
def test_that_two_to_four_are_compared(run: Run, deep: Path, number: int) -> None:
    result = run("compare", *[deep] * number)
    assert result.exit_code == 2
    assert "must be 2 to 4" in result.stderr


def test_that_rows_are_named_in_short() -> None:
    assert diagnosing._ranges([1, 2, 3, 5, 7, 8]) == "1 to 3, 5, 7 to 8"
    assert diagnosing._ranges([]) == "none"

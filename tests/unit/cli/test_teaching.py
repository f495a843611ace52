from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gradsim import lessons
from gradsim.cli import main


def called(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_that_the_lessons_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("lesson") == 0
    shown = capsys.readouterr().out
    for name in lessons.names():
        assert name in shown


def test_that_a_step_is_played_and_its_claims_are_shown_with_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("lesson", "vanishing", "--step", "move", "--seed", "1") == 0
    shown = capsys.readouterr().out
    assert "✓ lowest" in shown and "× 10" in shown and "All 2 claims hold" in shown


def test_that_a_claim_that_does_not_hold_is_said_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "wrong"
    shutil.copytree(lessons.bundled("vanishing").folder, folder)
    content = json.loads((folder / "lesson.json").read_text(encoding="utf-8"))
    content["steps"][1]["claims"][1]["above"] = 1e6
    (folder / "lesson.json").write_text(json.dumps(content), encoding="utf-8")
    assert called("lesson", str(folder), "--step", "move") == 1
    shown = capsys.readouterr().out
    assert "✗ highest" in shown and "on this machine, but the text says above" in shown
    assert "1 of 2 claims" in shown


def test_that_an_unknown_lesson_or_step_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("lesson", "vanishin") == 2
    assert "did you mean 'vanishing'?" in capsys.readouterr().err
    assert called("lesson", "vanishing", "--step", "moove") == 2
    assert "did you mean 'move'?" in capsys.readouterr().err

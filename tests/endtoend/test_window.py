"""The real window with the real thread on a real display, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 280


@pytest.fixture(scope="module")
def told(display: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the scenario found."""
    folder = tmp_path_factory.mktemp("scenario")
    environment = {
        **os.environ,
        "DISPLAY": display,
        "QT_QPA_PLATFORM": "xcb",
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("scenario.py")), str(folder)],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["left"] = sorted(path.name for path in (folder / "state").rglob("*.gradsim"))
    found["settings"] = (folder / "config" / "gradsim" / "gradsim.ini").is_file()
    return found


def test_that_the_window_opens_with_a_deep_sigmoid_stack_already_vanishing(told: dict[str, Any]) -> None:
    assert told["platform"] == "xcb"
    assert "sigmoid" in told["title"]
    assert told["vanishing"] >= 10


def test_that_a_stack_is_built_by_keyboard_and_by_drag(told: dict[str, Any]) -> None:
    assert sorted(told["kinds"]) == ["Dense", "Dense", "Dense", "Dense", "LayerNormalization"]


def test_that_the_learning_rate_changes_in_the_middle_of_a_run(told: dict[str, Any]) -> None:
    assert told["same run"]
    assert told["rate"] == 0.03
    assert told["undone"] == 0.1


def test_that_scrubbing_looks_back_without_training(told: dict[str, Any]) -> None:
    assert told["scrubbed"]
    assert told["kept while scrubbing"]
    assert told["live again"]


def test_that_a_saved_experiment_opens_with_the_same_first_steps(told: dict[str, Any]) -> None:
    assert told["saved"]
    assert told["opened"]
    assert told["kinds again"] == told["kinds"]
    assert len(told["first"]) == 5
    assert told["again"] == told["first"]


def test_that_closing_while_training_leaves_nothing_behind(told: dict[str, Any]) -> None:
    assert told["closed"]
    assert not told["thread"]
    assert told["left"] == []
    assert told["settings"]

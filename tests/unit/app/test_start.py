from __future__ import annotations

import builtins
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradsim.app import main, start

ROOT = Path(__file__).resolve().parents[3]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11 is Linux's")


def opened(**environment: str) -> subprocess.CompletedProcess[str]:
    """The window as a process of its own, in this environment."""
    known = {
        key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    }
    code = "import sys; from gradsim.app import main; sys.exit(main([]))"
    return subprocess.run(
        [sys.executable, "-c", code], env={**known, **environment}, cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@linux
def test_that_without_a_display_one_line_says_so() -> None:
    done = opened()
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("gradsim: there is no display")


@linux
def test_that_a_display_that_does_not_answer_is_named() -> None:
    done = opened(DISPLAY=":4242")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert ":4242" in done.stderr or "apt-get" in done.stderr


@linux
def test_that_missing_system_libraries_are_named_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPLAY", ":4242")
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setattr(start, "_loads", lambda library: library != "libxcb-icccm.so.4")
    assert main([]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.rstrip().endswith("apt-get install -y --no-install-recommends libxcb-icccm4")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'PySide6'", name="PySide6"), "pip install PySide6-Essentials"),
        (ImportError("libGL.so.1: cannot open shared object file"), "libgl1"),
    ],
)
def test_that_qt_that_cannot_be_loaded_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: ImportError, words: str
) -> None:
    real: Callable[..., Any] = builtins.__import__

    def refusing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "PySide6":
            raise error
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refusing)
    assert main([]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert words in said

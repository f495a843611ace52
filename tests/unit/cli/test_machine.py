"""The doctor: what it finds, and the line to type for what is missing."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path

import platformdirs
import pytest
from click.testing import CliRunner

from gradsim.cli import machine
from gradsim.cli.main import cli
from gradsim.engine import kernels, store


def line(name: str) -> machine.Line:
    return next(found for found in machine.findings() if found.name == name)


def test_that_it_ends_with_what_is_missing_and_the_exit_code_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [machine.Line("first", "fine"), machine.Line("second", "none", "type: it", needed=False)]
    monkeypatch.setattr(machine, "findings", lambda: iter(lines))
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "ok    first: fine",
        "note  second: none",
        "        type: it",
        "nothing is missing",
    ]
    lines.append(machine.Line("third", "broken", "type: that"))
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == machine.LACKING
    assert result.output.endswith("LACKS third: broken\n        type: that\n1 thing is missing\n")


def test_that_a_missing_library_is_named_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    start = importlib.import_module("gradsim.app.start")
    monkeypatch.setattr(start, "_loads", lambda library: library != "libxcb-cursor.so.0")
    found = line("system libraries")
    assert "libxcb-cursor.so.0" in found.text
    assert found.remedy.endswith("--no-install-recommends libxcb-cursor0")


def test_that_without_qt_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "PySide6-Essentials" in line("window").remedy


def test_that_no_display_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert line("display").remedy and not line("display").needed
    monkeypatch.setenv("DISPLAY", ":7")
    assert line("display") == machine.Line("display", "DISPLAY=:7")


def test_that_a_folder_that_can_not_be_written_is_named_and_nothing_is_left_in_one_that_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "new" / "folder")
    assert not line("settings").remedy
    assert os.listdir(tmp_path) == []
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: file)
    assert f"mkdir -p '{file}'" in line("settings").remedy


def test_that_kernels_that_can_not_be_kept_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "shipped", lambda: None)
    monkeypatch.setattr(kernels, "is_warm", lambda dtypes: False)
    monkeypatch.setattr(store, "writable", lambda: True)
    assert not line("kernels").remedy
    monkeypatch.setattr(store, "writable", lambda: False)
    assert "GRADSIM_KERNELS" in line("kernels").remedy
    monkeypatch.setattr(store, "shipped", lambda: Path("kernels") / "x86-64-v3")
    assert line("kernels").text.startswith("shipped for x86-64-v3")

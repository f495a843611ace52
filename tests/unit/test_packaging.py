"""The set-up is reproducible and keeps away from versions known to break."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = [
    line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
]
PINNED = {canonicalize_name(name): version for name, version in (line.split("==") for line in CONSTRAINTS)}
REQUIREMENTS = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
]


def test_that_the_constraints_hold_names_and_versions_only() -> None:
    assert CONSTRAINTS
    for line in CONSTRAINTS:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_that_every_dependency_is_pinned_to_a_version_it_allows(requirement: Requirement) -> None:
    assert PINNED[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.parametrize(("python", "allowed"), [("3.11", False), ("3.12", True), ("3.13", True)])
def test_that_python_3_11_never_gets_the_qt_that_ends_it(python: str, allowed: bool) -> None:
    qt = [requirement for requirement in REQUIREMENTS if requirement.name.startswith("PySide6")]
    active = [r for r in qt if r.marker is None or r.marker.evaluate({"python_version": python})]
    assert [("6.12.0" in requirement.specifier) for requirement in active] == [allowed]


def test_that_emitting_signals_leaves_the_constants_of_the_interpreter_alone() -> None:
    # PySide6 6.12.0 on Python 3.11 ended the interpreter within 1,000 emits, so the loop has one of its own.
    code = (
        "from PySide6.QtCore import QObject, Signal\n"
        "class Source(QObject):\n"
        "    changed = Signal(int)\n"
        "source, seen = Source(), []\n"
        "source.changed.connect(seen.append)\n"
        "for number in range(6000):\n"
        "    source.changed.emit(number)\n"
        "assert len(seen) == 6000\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.skipif(os.name != "posix", reason="the scripts are for a POSIX shell")
@pytest.mark.parametrize("script", ["packaging/run.sh", "packaging/test.sh", "packaging/setup.sh", ".ci/run"])
def test_that_the_scripts_are_readable_to_a_plain_shell(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / script)], check=True)


@pytest.mark.skipif(os.name != "posix", reason="the scripts are for a POSIX shell")
def test_that_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(11, 15))):
        fake = tmp_path / name
        fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
        fake.chmod(0o755)
    script = f'setup_root="{tmp_path}"; . "{ROOT}/packaging/setup.sh"; has_apt() {{ false; }}; need_python'
    result = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "Python 3.11 or newer is needed; found: Python 3.9.2" in result.stderr

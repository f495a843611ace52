"""Commands with a home that is missing, that is no folder, or that may not be looked into."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gradsim.engine import store

WITHOUT_RIGHTS = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
"""Has the system treat root as it treats everybody."""


def home_of(kind: str, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    if kind == "a file":
        home.touch()
    elif kind == "locked":
        home.mkdir(mode=0)
    return home / "somebody" if kind == "missing" else home


@pytest.mark.skipif(os.name == "nt", reason="homes are other places there")
@pytest.mark.parametrize("kind", ["missing", "a file", "locked"])
@pytest.mark.parametrize("words", [["lesson"], ["doctor"], ["run", "small-xor", "--steps", "2"]])
def test_that_a_command_needs_no_home(kind: str, words: list[str], tmp_path: Path) -> None:
    rights: list[str] = []
    if kind == "locked" and os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv, as root")
        rights = WITHOUT_RIGHTS
    if kind == "missing":
        (tmp_path / "home").mkdir()
        (tmp_path / "home").chmod(0o500)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    kernels = {"GRADSIM_KERNELS": str(store.folders()[-1].parent)}
    done = subprocess.run(
        [*rights, sys.executable, "-m", "gradsim", *words],
        capture_output=True,
        text=True,
        timeout=280,
        # Kernels are looked for below the home too, and compiled in vain where they can't be kept.
        env=kept | {"HOME": str(home_of(kind, tmp_path))} | (kernels if words[0] == "run" else {}),
    )
    assert done.returncode in ((0, 1) if words == ["doctor"] else (0,)), done.stderr
    assert "Traceback" not in done.stderr + done.stdout

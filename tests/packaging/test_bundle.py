"""What the installers are made of: files for the desktop, icons, licences, and what the frozen program starts with."""

from __future__ import annotations

import os
import runpy
import shutil
import struct
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtGui import QImage

from gradsim.cli.main import cli
from gradsim.model import file

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
LINUX = PACKAGING / "linux"
MIME = "application/x-gradsim"


def script(name: str, *arguments: object) -> str:
    command = [sys.executable, str(PACKAGING / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in PACKAGING.glob("*.sh")))
def test_that_every_script_is_what_a_plain_shell_reads(name: str) -> None:
    assert subprocess.run(["sh", "-n", str(PACKAGING / name)], capture_output=True).stderr == b""


def test_that_a_double_click_on_an_experiment_opens_it() -> None:
    kind = ElementTree.parse(LINUX / "gradsim.mime.xml").getroot()[0]
    globs = [child.get("pattern") for child in kind if child.tag.endswith("glob")]
    assert kind.get("type") == MIME and globs == [f"*{file.SUFFIX}"]
    entry = dict(
        line.split("=", 1)
        for line in (LINUX / "gradsim.desktop").read_text(encoding="utf-8").splitlines()
        if "=" in line
    )
    assert entry["MimeType"] == f"{MIME};"
    assert entry["Exec"] == "gradsim open %f" and "open" in cli.commands
    component = ElementTree.parse(LINUX / "gradsim.metainfo.xml").getroot()
    assert component.findtext("provides/mediatype") == MIME


@pytest.mark.parametrize(
    ("tool", "arguments", "name"),
    [
        ("desktop-file-validate", [], "gradsim.desktop"),
        ("appstreamcli", ["validate", "--no-net"], "gradsim.metainfo.xml"),
    ],
)
def test_that_the_validators_of_the_desktop_pass(tool: str, arguments: list[str], name: str, tmp_path: Path) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}")
    text = (LINUX / name).read_text(encoding="utf-8").replace("@VERSION@", "1.2.3").replace("@DATE@", "2026-01-02")
    # The name of the file has to be that of the component.
    copy = tmp_path / name.replace("gradsim.metainfo", "org.gradsim.gradsim.metainfo")
    copy.write_text(text, encoding="utf-8")
    done = subprocess.run([tool, *arguments, str(copy)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_that_the_manual_names_every_command_for_users_and_nothing_else() -> None:
    page = (LINUX / "gradsim.1").read_text(encoding="utf-8").partition(".SH COMMANDS")[2].partition(".PP")[0]
    named = {line.split()[1] for line in page.splitlines() if line.startswith(".B ")}
    assert named <= set(cli.commands)
    assert {"run", "show", "list", "selftest", "doctor"} <= named


def test_that_the_icon_is_drawn_in_every_size(tmp_path: Path) -> None:
    script("make_icons.py", tmp_path)
    for size in (16, 22, 24, 32, 48, 64, 128, 256, 512):
        image = QImage(str(tmp_path / f"gradsim-{size}.png"))
        assert (image.width(), image.height()) == (size, size)
        assert image.pixelColor(0, 0).alpha() == 0 and image.pixelColor(size // 2, size // 2).alpha() == 255
    content = (tmp_path / "gradsim.ico").read_bytes()
    kind, count = struct.unpack_from("<HH", content, 2)
    assert kind == 1
    for number in range(count):
        length, place = struct.unpack_from("<II", content, 6 + 16 * number + 8)
        assert content[place : place + 4] == b"\x89PNG" and place + length <= len(content)


def test_that_versions_and_licences_of_everything_installed_go_into_the_tree(tmp_path: Path) -> None:
    try:
        metadata.version("gradsim")
    except metadata.PackageNotFoundError:
        pytest.skip("needs gradsim installed, as packaging/setup.sh does it")
    script("make_licences.py", tmp_path)
    versions = {line.split()[0]: line.split()[1] for line in (tmp_path / "VERSIONS").read_text().splitlines()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in ("numpy", "numba", "llvmlite", "pydantic", "pyqtgraph", "click", "rich", "platformdirs"):
        assert versions[name] == metadata.version(name)
        assert list((tmp_path / "licences" / name).iterdir())
    assert (tmp_path / "licences" / "gradsim.txt").read_text() == (ROOT / "LICENSE").read_text()
    assert versions["gradsim"] == project["version"]


@pytest.mark.parametrize(("flags", "core"), [("fpu sse4_2 avx avx2", None), ("fpu sse4_2", "Nehalem")])
def test_that_a_processor_without_avx_gets_the_blas_of_its_time(
    flags: str, core: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # setenv first, so that what the hook sets is taken back after the test.
    monkeypatch.setenv("OPENBLAS_CORETYPE", "")
    monkeypatch.delenv("OPENBLAS_CORETYPE")
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor : 0\nflags\t\t: {flags}\n")
    really_open = open

    def opened(path: Any, *arguments: Any, **options: Any) -> Any:
        return really_open(told if path == "/proc/cpuinfo" else path, *arguments, **options)

    monkeypatch.setattr("builtins.open", opened)
    runpy.run_path(str(PACKAGING / "bundle" / "old_processor.py"))

    assert os.environ.get("OPENBLAS_CORETYPE") == core

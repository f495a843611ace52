"""What the installers are made of: files for the desktop, icons, licences, and what the frozen program starts with."""

from __future__ import annotations

import os
import re
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


WORKFLOW_LINTERS = {
    "zizmor": ["--offline", "--no-progress", "--config", str(ROOT / ".github" / "zizmor.yml")],
    "actionlint": [],
}


@pytest.mark.parametrize("tool", WORKFLOW_LINTERS)
def test_that_linters_of_workflows_have_nothing_to_say(tool: str) -> None:
    beside = shutil.which(tool, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(tool)
    if found is None:
        pytest.skip(f"needs {tool}")
    files = map(str, (ROOT / ".github" / "workflows").glob("*.yml"))
    done = subprocess.run([found, *WORKFLOW_LINTERS[tool], *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_that_the_workflow_uploads_what_its_jobs_make() -> None:
    text = (ROOT / ".github" / "workflows" / "installers.yml").read_text(encoding="utf-8")
    for system, made in (("linux", "dist/*.deb"), ("windows", "dist/*-setup.exe"), ("macos", "dist/*.dmg")):
        job = re.split(rf"^  {system}:$", text, flags=re.MULTILINE)[1]
        job = re.split(r"^  \w+:$", job, flags=re.MULTILINE)[0]
        assert "--selftest" in job and made in job.partition("upload-artifact")[2]


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


@pytest.mark.skipif(shutil.which("desktop-file-validate") is None, reason="needs desktop-file-validate")
def test_that_the_menu_entry_is_valid() -> None:
    command = ["desktop-file-validate", str(LINUX / "gradsim.desktop")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("appstreamcli") is None, reason="needs appstreamcli")
@pytest.mark.parametrize("address", [[], ["https://example.org/pictures"]])
def test_that_the_metainfo_is_valid(address: list[str], tmp_path: Path) -> None:
    script("make_appstream.py", tmp_path, "1.2.3", "2026-01-02", *address)
    (path,) = (tmp_path / "usr/share/metainfo").iterdir()
    done = subprocess.run(["appstreamcli", "validate", "--no-net", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert path.read_text(encoding="utf-8").count(f"{address[0]}/" if address else "file:") == 3 * len(address)


def test_that_the_catalogue_says_all_that_the_metainfo_does_and_names_pictures_that_come_along(tmp_path: Path) -> None:
    script("make_appstream.py", tmp_path, "1.2.3", "2026-01-02")
    (path,) = (tmp_path / "usr/share/metainfo").iterdir()
    metainfo = ElementTree.parse(path).getroot()
    (entry,) = ElementTree.parse(tmp_path / "usr/share/swcatalog/xml/gradsim.xml").getroot()
    assert {child.tag for child in entry} == {child.tag for child in metainfo} | {"screenshots", "pkgname"}
    pictures = [image.text or "" for image in entry.iter("image")]
    assert pictures
    for picture in pictures:
        image = QImage(str(tmp_path / picture.removeprefix("file:///")))
        assert (image.width(), image.height()) == (1280, 800)
    english, chinese = (list(one.itertext()) for one in entry.findall("description"))
    assert len(english) == len(chinese) and "梯度" in "".join(chinese) and "梯度" not in "".join(english)


def test_that_the_manual_names_every_command_for_users_and_nothing_else() -> None:
    page = (LINUX / "gradsim.1").read_text(encoding="utf-8").partition(".SH COMMANDS")[2].partition(".PP")[0]
    heads = page.split(".TP\n")[1:]
    named = [head.split()[1] for head in heads]
    assert sorted(named) == sorted(name for name, command in cli.commands.items() if not command.hidden)


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_that_the_manual_can_be_shown() -> None:
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", str(LINUX / "gradsim.1")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Bold letters are printed twice.
    assert "GRADSIM_KERNELS" in re.sub(".\b", "", done.stdout)


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
    for name in ("numpy", "numba", "llvmlite", "pillow", "h5py", "pydantic", "pyqtgraph", "click", "rich"):
        assert versions[name] == metadata.version(name)
        assert list((tmp_path / "licences" / name).iterdir())
    assert (tmp_path / "licences" / "gradsim.txt").read_text() == (ROOT / "LICENSE").read_text()
    assert versions["gradsim"] == project["version"]
    for name in ("GPL-3.txt", "LGPL-3.txt"):
        assert "GNU" in (tmp_path / "licences" / name).read_text(encoding="utf-8")[:200]
    for folder in ("data", "fonts"):
        texts = list((ROOT / "resources" / folder).glob("*.LICENSE.txt"))
        assert texts
        for text in texts:
            name = text.name.removesuffix(".LICENSE.txt")
            assert (tmp_path / "licences" / folder / f"{name}.txt").read_bytes() == text.read_bytes()
            assert versions[name] == folder


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

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gradsim
from gradsim import resources


def test_that_a_checkout_finds_its_resources() -> None:
    assert resources.resource("data/iris.csv").is_file()


def test_that_an_installed_package_finds_the_resources_it_carries(tmp_path: Path) -> None:
    package = Path(resources.__file__)
    (tmp_path / "gradsim" / "_resources").mkdir(parents=True)
    shutil.copy(package, tmp_path / "gradsim" / "resources.py")
    (tmp_path / "gradsim" / "__init__.py").touch()
    (tmp_path / "gradsim" / "_resources" / "note.txt").write_text("inside", encoding="utf-8")
    code = "from gradsim.resources import resource; print(resource('note.txt').read_text())"
    result = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert result.stdout.strip() == "inside"


def test_that_a_missing_resource_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no 'data/none\.csv'"):
        resources.resource("data/none.csv")


@pytest.mark.parametrize("name", ["../pyproject.toml", "data/../../LICENSE", "/etc/hostname"])
def test_that_a_name_cannot_lead_out_of_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="must stay inside"):
        resources.resource(name)


def test_that_every_data_file_has_its_licence_beside_it() -> None:
    folder = resources.resource("data")
    for path in folder.iterdir():
        if not path.name.endswith(".LICENSE.txt"):
            assert (folder / f"{path.stem}.LICENSE.txt").stat().st_size > 500, path.name


def test_that_the_wheel_carries_the_resources() -> None:
    project = Path(gradsim.__path__[0]).parent / "pyproject.toml"
    assert 'resources = "gradsim/_resources"' in project.read_text(encoding="utf-8")

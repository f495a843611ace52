"""The store of compiled operations: what is shipped for which processor, and when it is used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradsim import resources
from gradsim.engine import store

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "packaging" / "make_kernels.py"
NAMES = ("products.add", "products.copy")

V2 = dict.fromkeys(store.LEVELS["x86-64-v2"], True)
V3 = dict.fromkeys(store.LEVELS["x86-64-v3"], True)
V4 = dict.fromkeys(store.LEVELS["x86-64-v4"], True)

CACHED = (store.levels, store.stamp, store.fingerprint, store.shipped, store.folders)

USE = """
import json, sys
from gradsim.engine import operations, store
for dtype in ("float32", "float64"):
    for name in sys.argv[1:]:
        operations.operation(name, dtype)
shipped = store.shipped()
facts = {"level": shipped and shipped.name, "compiled": len(operations.compiled), "numba": "numba" in sys.modules}
print(json.dumps(facts))
"""


@pytest.mark.parametrize(
    ("features", "levels"),
    [
        (V4, ("x86-64-v4", "x86-64-v3", "x86-64-v2")),
        (V3, ("x86-64-v3", "x86-64-v2")),
        (V3 | {"avx512f": True}, ("x86-64-v3", "x86-64-v2")),
        (V4 | {"fma": False}, ("x86-64-v2",)),
        (V2, ("x86-64-v2",)),
        ({"sse3": True}, ()),
    ],
)
def test_that_a_processor_has_the_levels_whose_every_feature_it_has(
    features: dict[str, bool], levels: tuple[str, ...]
) -> None:
    assert store.runnable(features, "x86_64") == levels
    assert store.runnable(features, "AMD64") == levels


def test_that_another_architecture_has_none_of_the_levels() -> None:
    assert store.runnable(V4, "aarch64") == ()


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few operations, compiled for v2 and v3."""
    folder = tmp_path_factory.mktemp("shipped") / "kernels"
    command = [sys.executable, str(SCRIPT), str(folder), "--level", "x86-64-v3", "--level", "x86-64-v2"]
    subprocess.run([*command, *(f"--operation={name}" for name in NAMES)], check=True, capture_output=True)
    return folder


@pytest.fixture
def with_kernels(kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Resources that hold them; the store forgets what it knew before and after."""
    shutil.copytree(kernels, tmp_path / "kernels")
    monkeypatch.setattr(resources, "root", lambda: tmp_path)
    for function in CACHED:
        function.cache_clear()
    yield tmp_path / "kernels"
    monkeypatch.undo()
    for function in CACHED:
        function.cache_clear()


def installed(kernels: Path, folder: Path) -> Path:
    """A copy of the package with the kernels where a bundle has them."""
    shutil.copytree(ROOT / "gradsim", folder / "gradsim", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(kernels, folder / "gradsim" / "_resources" / "kernels")
    return folder


def use(folder: Path, *before: str, **environment: str) -> dict[str, object]:
    command = [*before, sys.executable, "-c", USE, *NAMES]
    done = subprocess.run(
        command, cwd="/", env=os.environ | {"PYTHONPATH": str(folder)} | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("level", ["x86-64-v2", "x86-64-v3"])
def test_that_the_level_of_the_processor_is_chosen(
    level: str, with_kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", level)
    assert store.shipped() == with_kernels / level
    assert store.folders()[0] == with_kernels / level


def test_that_the_best_shipped_level_serves_a_processor_that_has_a_better_one(
    with_kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.llvm, "get_host_cpu_features", lambda: V4)
    monkeypatch.setattr(store.platform, "machine", lambda: "x86_64")
    assert store.shipped() == with_kernels / "x86-64-v3"


@pytest.mark.parametrize("changed", [{"stamp": "other sources"}, {"system": "another system"}])
def test_that_kernels_from_other_sources_or_for_another_system_are_left_alone(
    with_kernels: Path, changed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", "x86-64-v2")
    index = with_kernels / store.INDEX
    index.write_text(json.dumps(json.loads(index.read_text()) | changed))
    assert store.shipped() is None
    assert len(store.folders()) == 1


@pytest.mark.parametrize("content", ["", "[]", "{", "{}"])
def test_that_a_damaged_index_means_that_nothing_is_shipped(
    with_kernels: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", "x86-64-v2")
    (with_kernels / store.INDEX).write_text(content)
    assert store.shipped() is None


def test_that_a_frozen_program_trusts_the_index_because_it_has_no_sources(
    with_kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", "x86-64-v2")
    index = with_kernels / store.INDEX
    index.write_text(json.dumps(json.loads(index.read_text()) | {"stamp": "made elsewhere"}))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert store.stamp() == "made elsewhere"
    assert store.shipped() == with_kernels / "x86-64-v2"


def test_that_shipped_kernels_need_no_numba_no_home_and_no_particular_directory(kernels: Path, tmp_path: Path) -> None:
    folder = installed(kernels, tmp_path)
    nowhere = {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none"}
    found = use(folder, NUMBA_CPU_NAME="x86-64-v2", **nowhere)
    assert found == {"level": "x86-64-v2", "compiled": 0, "numba": False}


@pytest.mark.slow
def test_that_what_is_not_shipped_is_compiled_even_if_it_can_not_be_kept(kernels: Path, tmp_path: Path) -> None:
    folder = installed(kernels, tmp_path)
    (folder / "gradsim" / "_resources" / "kernels" / store.INDEX).unlink()
    found = use(folder, HOME="/proc/none", XDG_CACHE_HOME="/proc/none", GRADSIM_KERNELS="/proc/none")
    assert found == {"level": None, "compiled": 2 * len(NAMES), "numba": True}


@pytest.mark.slow
def test_that_a_shipped_kernel_cut_short_is_compiled_anew(kernels: Path, tmp_path: Path) -> None:
    folder = installed(kernels, tmp_path)
    for file in (folder / "gradsim" / "_resources" / "kernels" / "x86-64-v2").iterdir():
        file.write_bytes(file.read_bytes()[:-9])
    found = use(folder, NUMBA_CPU_NAME="x86-64-v2", GRADSIM_KERNELS=str(tmp_path / "cache"))
    assert found["compiled"] == 2 * len(NAMES)


def test_that_kernels_made_before_are_not_made_again(kernels: Path) -> None:
    index = kernels / store.INDEX
    before = index.stat().st_mtime_ns
    command = [sys.executable, str(SCRIPT), str(kernels), "--level", "x86-64-v3", "--level", "x86-64-v2"]
    done = subprocess.run(
        [*command, *(f"--operation={name}" for name in NAMES)], check=True, capture_output=True, text=True
    )
    assert "up to date" in done.stdout
    assert index.stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.parametrize(("processor", "level"), [("Nehalem", "x86-64-v2"), ("Haswell", "x86-64-v3")])
def test_that_an_older_processor_runs_its_level(processor: str, level: str, kernels: Path, tmp_path: Path) -> None:
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("needs qemu-x86_64 (Debian: qemu-user)")
    folder = installed(kernels, tmp_path)
    # NumPy's OpenBLAS takes the processor for a newer one otherwise; a frozen gradsim sets this by itself.
    old = {"OPENBLAS_CORETYPE": "Nehalem"} if level == "x86-64-v2" else {}
    found = use(folder, emulator, "-cpu", processor, GRADSIM_KERNELS=str(tmp_path / "cache"), **old)
    assert found == {"level": level, "compiled": 0, "numba": False}

"""The self-test: it passes here, and notices what it is there to notice."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradsim import i18n, lessons, resources
from gradsim.cli import checking, codes
from gradsim.engine import kernels, store
from gradsim.nn import activations, losses, optimizers, regularizers

FAMILIES: dict[str, list[dict[str, Any]]] = json.loads(
    (resources.root() / "selftest" / "golden.json").read_text(encoding="utf-8")
)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["selftest"], ["--selftest"]])
def test_that_this_installation_passes_with_one_line_a_check(words: list[str]) -> None:
    command = [sys.executable, "-m", "gradsim", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    *checks, last = done.stdout.splitlines()
    assert [line.split()[0] for line in checks] == ["ok"] * len(checks)
    names = [line[8:].split(":")[0] for line in checks]
    first = ["modules", "kernels", *FAMILIES, "data sets", "experiments", "lessons", "languages"]
    assert names == [*first, *checking.IN_QT]
    assert last.startswith("all checks passed")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("family", "registry"),
    [
        ("activations", activations.registry),
        ("losses", losses.registry),
        ("optimizers", optimizers.registry),
        ("regularizers", regularizers.registry),
    ],
)
def test_that_every_name_of_the_vocabulary_has_golden_numbers(family: str, registry: Any) -> None:
    assert {training["name"] for training in FAMILIES[family]} >= set(registry)


@pytest.mark.parametrize("family", FAMILIES)
def test_that_a_training_of_each_family_gives_the_golden_numbers(family: str) -> None:
    assert "1 trainings" in checking._trainings(FAMILIES[family][-1:])


@pytest.mark.parametrize("key", ["loss", "gradient"])
@pytest.mark.parametrize("wrong", [lambda value: value * (1 + 1e-4), lambda value: float("nan")])
def test_that_numbers_that_are_off_do_not_pass(key: str, wrong: Callable[[float], float]) -> None:
    training = FAMILIES["activations"][0]
    changed = training | {key: [*training[key][:-1], wrong(training[key][-1])]}
    with pytest.raises(checking.Broken, match=training["name"]):
        checking._trainings([changed])


def test_that_a_check_that_fails_is_named_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> str:
        raise checking.Broken("the reason")

    def astray() -> str:
        raise KeyError("somewhere")

    def skipped() -> str:
        raise checking.Skipped("no need")

    checks = [("first", broken), ("second", astray), ("third", skipped), ("fourth", lambda: "fine")]
    monkeypatch.setattr(checking, "_checks", lambda: iter(checks))
    assert checking.check_installation() == codes.FAILED
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "FAILED  first: the reason",
        "FAILED  second: KeyError: 'somewhere'",
        "skipped third: no need",
        "ok      fourth: fine",
    ]
    assert lines[4].startswith("2 FAILED")


def test_that_golden_numbers_that_are_gone_are_a_failed_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checking.resources, "root", lambda: tmp_path)
    ((name, check),) = checking._families()
    assert name == "golden numbers"
    with pytest.raises(checking.Broken, match=r"golden\.json"):
        check()


def test_that_a_bundle_whose_kernels_had_to_be_compiled_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "warm_up", lambda progress, dtypes: 140)
    monkeypatch.setattr(store, "shipped", lambda: None)
    monkeypatch.setattr(store, "levels", lambda: ("x86-64-v2",))
    assert "140 of them now" in checking._kernels()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(checking.Broken, match="x86-64-v2"):
        checking._kernels()


def test_that_without_qt_its_checks_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(checking.Skipped, match="PySide6"):
        checking._in_qt("signals")


def test_that_a_module_that_lacks_what_it_needs_does_not_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "half_a_package"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__", "whole", "inner/__init__"):
        (package / f"{name}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert checking.load_modules(package.name) == 2
    (package / "inner" / "broken.py").write_text("import nobody_has_this")
    with pytest.raises(ImportError, match="nobody_has_this"):
        checking.load_modules(package.name)


def test_that_a_lesson_without_words_in_a_language_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{len(lessons.names())} load" in checking._lessons()
    monkeypatch.setattr(i18n, "LANGUAGES", i18n.LANGUAGES | {"tlh": "tlhIngan Hol"})
    with pytest.raises(checking.Broken, match=r"descent: .*tlh"):
        checking._lessons()


def test_that_a_catalogue_that_says_nothing_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checking._languages() == ", ".join(i18n.LANGUAGES.values())
    monkeypatch.setattr(checking, "tr", lambda text, **values: text.format(**values) if values else text)
    with pytest.raises(checking.Broken, match="zh_CN"):
        checking._languages()
    assert i18n.language() == i18n.SOURCE

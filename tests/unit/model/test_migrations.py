"""Older files are brought up to date step by step."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from gradsim.model import file, migrations


def named_layers(content: dict[str, Any]) -> dict[str, Any]:
    """A made-up format 0, in which layers were texts and the rate stood outside of the optimizer."""
    content["layers"] = [
        {"type": kind, **({"units": int(units)} if units else {})}
        for kind, _, units in (entry.partition(" ") for entry in content["layers"])
    ]
    content["optimizer"] = {"type": content["optimizer"], "learning_rate": content.pop("rate")}
    return content


OLD = {"gradsim": 0, "layers": ["Flatten", "Dense 10"], "optimizer": "Adam", "rate": 0.02, "view": {"zoom": 2}}


def test_that_a_file_of_an_older_format_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.setattr(migrations.migrate, "__defaults__", ({1: named_layers}, 1))
    opened = file.loads(json.dumps(OLD))
    assert [layer.identifier for layer in opened.experiment.layers] == ["Flatten", "Dense"]
    assert opened.experiment.optimizer.learning_rate == 0.02
    assert opened.extensions == {"view": {"zoom": 2}}


def test_that_a_file_that_its_own_format_does_not_fit_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations.migrate, "__defaults__", ({1: named_layers}, 1))
    with pytest.raises(file.FileError, match="is no file of format 0"):
        file.loads('{"gradsim": 0, "layers": 3}')


def test_that_steps_are_taken_one_after_the_other() -> None:
    steps = {n: lambda content, n=n: {**content, "seen": [*content["seen"], n]} for n in (1, 2, 3)}
    content = {"gradsim": 1, "seen": []}
    assert migrations.migrate(content, steps, 3) == {"gradsim": 3, "seen": [2, 3]}
    assert content == {"gradsim": 1, "seen": []}


def test_that_a_version_without_a_step_is_refused_with_the_versions_there_are() -> None:
    steps: dict[int, migrations.Step] = {2: dict, 3: dict}
    with pytest.raises(LookupError, match="must be 1 to 3"):
        migrations.migrate({"gradsim": 0}, steps, 3)
    with pytest.raises(LookupError, match="written by a newer gradsim"):
        migrations.migrate({"gradsim": 4}, steps, 3)


def test_that_every_format_leads_to_the_next() -> None:
    assert sorted(migrations.STEPS) == list(range(2, migrations.CURRENT + 1))


def test_that_migrations_import_nothing_of_the_program() -> None:
    for path in Path(migrations.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                inside = name.startswith(("gradsim.model.migrations", "gradsim.i18n"))
                assert inside or not name.startswith("gradsim"), f"{path.name} imports {name}"

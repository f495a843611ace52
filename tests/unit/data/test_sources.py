from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gradsim import data
from gradsim.data.sources import Source
from gradsim.nn.spec import faults_of, fields_of, frozen, to_json

DEFAULTS = [name for name in data.registry if data.registry[name].group != "own"]


@pytest.mark.parametrize("name", list(data.registry))
def test_that_every_field_of_a_source_can_be_shown_in_a_form(name: str) -> None:
    cls = data.registry[name]
    assert cls.title
    assert cls.summary()
    for view in fields_of(cls):
        assert view.title, view.name
        assert view.help.endswith("."), view.name
        if view.type in ("int", "float"):
            assert view.minimum is not None, view.name
            assert view.maximum is not None, view.name


@pytest.mark.parametrize("name", DEFAULTS)
def test_that_a_source_survives_its_json_form(name: str) -> None:
    assert to_json(data.source(name)) == name
    changed = data.registry[name](seed=5) if name != "fashion_mnist" else data.FashionMNIST(classes=3)
    assert data.source(to_json(changed)) == changed


@pytest.mark.parametrize("name", DEFAULTS)
def test_that_the_signature_is_that_of_the_arrays(name: str) -> None:
    source = data.source(name)
    assert source.signature() == source.load().signature
    assert data.input_shape(name) == source.load().input_shape


@pytest.mark.parametrize("source", [*DEFAULTS, {"type": "fashion_mnist", "kinds": "6, 5", "val_samples": 50}])
def test_that_the_rows_that_are_counted_are_those_of_the_arrays(source: Any) -> None:
    dataset = data.load(source)
    counted = data.source(source).row_counts()
    assert counted == (len(dataset.x_train), 0 if dataset.x_val is None else len(dataset.x_val))


def test_that_arrays_become_a_source_of_their_own() -> None:
    source = data.source((np.zeros((4, 3)), [0, 1, 2, 1]))
    assert source.signature() == data.Signature((3,), "classification", 3, ("0", "1", "2"))
    assert not source.storable
    assert data.source(source.load()).load() is source.load()


def test_that_faults_of_arrays_arrive_with_their_places() -> None:
    with pytest.raises(ValidationError) as caught:
        data.source((np.zeros((4, 3)), [0, 1]))
    assert [str(fault) for fault in faults_of(caught.value)] == ["y: must have 4 rows, as many as x (received 2)"]


def test_that_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValidationError) as caught:
        data.source("mnist")
    (fault,) = faults_of(caught.value)
    assert "fashion_mnist, digits" in fault.message
    assert fault.received == "mnist"


def test_that_the_signature_of_a_file_follows_its_content(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("a,b,y\n1,2,0\n3,4,1\n", encoding="utf-8")
    source = data.CSV("own.csv")
    assert source.signature(tmp_path).input_shape == (2,)
    path.write_text("a,b,c,y\n1,2,3,0\n3,4,5,1\n", encoding="utf-8")
    assert source.signature(tmp_path).input_shape == (3,)


def test_that_a_new_source_needs_nothing_but_its_definition() -> None:
    @data.registry.register("throw_away")
    @frozen
    class ThrowAway(Source):
        """One row."""

        def load(self, base: Path | None = None) -> data.Dataset:
            return data.from_arrays((np.zeros((2, 5)), [0, 1]))

    try:
        assert data.input_shape("throw_away") == (5,)
        assert to_json(data.source("throw_away")) == "throw_away"
    finally:
        data.registry.unregister("throw_away")

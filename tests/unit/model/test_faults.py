"""Faults: paths, and what is allowed there."""

from __future__ import annotations

import pytest

from gradsim.model import Experiment
from gradsim.model.faults import FaultsError, PathError, class_at, near, parse_path
from gradsim.nn import layers, optimizers
from gradsim.nn.spec import Fault, path_text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("seed", ("seed",)),
        ("layers[3].units", ("layers", 3, "units")),
        ("layers[0].layers[12].activation.alpha", ("layers", 0, "layers", 12, "activation", "alpha")),
    ],
)
def test_that_a_path_is_taken_apart_and_put_together(text: str, parts: tuple[str | int, ...]) -> None:
    assert parse_path(text) == parts
    assert path_text(parts) == text


@pytest.mark.parametrize(
    "text", ["", ".seed", "a..b", "a b", "layers[-1]", "layers[x]", "layers[1", "layers[1]units", "a.", "a-b", "1a"]
)
def test_that_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(PathError, match=r"must be a path as in layers\[3\]\.units"):
        parse_path(text)


def test_that_only_a_near_word_is_proposed() -> None:
    words = ["learning_rate", "momentum"]
    assert near("learningrate", words) == " (did you mean 'learning_rate'?)"
    assert near("MOMENTUM", words) == " (did you mean 'momentum'?)"
    assert near("zzz", words) == ""


def test_that_the_class_at_a_place_is_known() -> None:
    content = {"layers": [{"type": "Repeat", "layers": ["Flatten", {"type": "Dense"}]}], "optimizer": "Adam"}
    assert class_at(Experiment, content, ()) is Experiment
    assert class_at(Experiment, content, ("optimizer",)) is optimizers.Adam
    assert class_at(Experiment, content, ("layers", 0, "layers", 0)) is layers.Flatten
    assert class_at(Experiment, content, ("layers", 0, "layers", 1)) is layers.Dense
    assert class_at(Experiment, content, ("data",)) is not None
    assert class_at(Experiment, content, ("layers", 7)) is None
    assert class_at(Experiment, content, ("nothing",)) is None


def test_that_a_message_lists_every_fault_up_to_a_limit() -> None:
    few = FaultsError([Fault("a", "must be 1", 2), Fault("b", "must be 3", 4)])
    assert str(few) == "a: must be 1 (received 2)\nb: must be 3 (received 4)"
    many = FaultsError(Fault("a", "must be 1", number) for number in range(250))
    assert len(many.faults) == 250
    assert str(many).endswith("\n... and 150 more")


def test_that_a_long_path_keeps_the_name_of_its_file() -> None:
    text = str(Fault("path", "must be a file", f"/home/{'x' * 300}/own.csv"))
    assert text.endswith("/own.csv')") and len(text) < 220

"""The experiments that come with the program."""

from __future__ import annotations

import json

import pytest

from gradsim.model import bundled, file, problems
from gradsim.model.faults import FaultsError


def test_that_there_are_enough_of_them_with_names_to_type() -> None:
    names = bundled.names()
    assert len(names) >= 20
    for name in names:
        assert name == name.lower()
        assert name.replace("-", "").isalnum()


@pytest.mark.parametrize("name", bundled.names())
def test_that_each_opens_can_be_started_and_says_what_it_shows(name: str) -> None:
    one = bundled.bundled(name)
    assert problems.impossible(one.experiment) == ()
    assert 5 < len(one.title) <= 80
    assert not one.title.endswith(".")
    assert len(one.description) > 40
    assert one.description.endswith(".")
    for word in ("TODO", "  ", "\n"):
        assert word not in one.title + one.description


@pytest.mark.parametrize("name", bundled.names())
def test_that_each_is_written_as_the_program_would(name: str) -> None:
    one = bundled.bundled(name)
    text = one.path.read_text(encoding="utf-8")
    assert text == file.dumps(one.experiment)
    assert set(json.loads(text)) & set(file.EXTENSIONS) == set()


def test_that_titles_are_different_and_mentioned_experiments_exist() -> None:
    everything = bundled.everything()
    assert len({one.title for one in everything}) == len(everything)
    topics = {one.topic for one in everything}
    for one in everything:
        for word in one.description.replace(",", " ").replace(".", " ").replace(";", " ").replace(":", " ").split():
            if "-" in word and word.split("-")[0] in topics:
                assert word in bundled.names(), f"{one.name} mentions {word}"


def test_that_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(FaultsError, match="did you mean 'vanishing-sigmoid'"):
        bundled.load("vanishing_sigmoid")

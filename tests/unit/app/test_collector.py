from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from gradsim.app.collector import THRESHOLDS, Collector


class Knot:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def collector(qapp: object) -> Iterator[Collector]:
    made = Collector()
    yield made
    made.stop()
    assert gc.isenabled()


def litter(count: int) -> weakref.ref[Knot]:
    knots = [Knot() for _ in range(count)]
    return weakref.ref(knots[0])


def test_that_python_no_longer_collects_by_itself(collector: Collector) -> None:
    assert not gc.isenabled()
    gone = litter(5 * THRESHOLDS[0])
    assert gone() is not None


def test_that_much_garbage_is_collected_and_little_is_left(collector: Collector) -> None:
    collector.collect()
    little = litter(2)
    assert collector.collect() == -1
    assert little() is not None
    gone = litter(2 * THRESHOLDS[0])
    assert collector.collect() >= 0
    assert gone() is None


def test_that_older_generations_are_collected_now_and_then(collector: Collector) -> None:
    seen = []
    for _ in range(THRESHOLDS[1] + 2):
        litter(2 * THRESHOLDS[0])
        seen.append(collector.collect())
    assert 1 in seen
    assert seen.count(0) > seen.count(1)


def test_that_what_is_settled_is_not_looked_at_again(collector: Collector) -> None:
    collector.settle()
    assert gc.get_freeze_count() > 1000

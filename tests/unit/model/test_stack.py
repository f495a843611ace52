"""Short files that stand for stacks no machine could hold."""

from __future__ import annotations

import pytest

from gradsim.model import Experiment, StackError
from gradsim.model.stack import MAX_ROWS, count_rows
from gradsim.nn import layers


def nested(depth: int, count: int) -> tuple[layers.Layer, ...]:
    found: tuple[layers.Layer, ...] = (layers.Dense(2),)
    for _ in range(depth):
        found = (layers.Repeat(count, layers=found),)
    return found


def test_that_groups_in_groups_are_counted_without_unrolling() -> None:
    assert count_rows(nested(60, 2000)) == 2000**60
    with pytest.raises(StackError, match="at most 5,000 layers"):
        Experiment(nested(60, 2000), "moons").stack()


def test_that_layers_that_are_off_do_not_count() -> None:
    off = layers.Repeat(2000, layers=nested(2, 2000), enabled=False)
    assert count_rows((off, layers.Dense(1))) == 1


def test_that_the_limit_itself_is_allowed() -> None:
    experiment = Experiment([layers.Repeat(MAX_ROWS // 5, layers=[layers.Dense(2)] * 5)], "moons")
    assert len(experiment.stack().layers) == MAX_ROWS


def test_that_too_many_weights_are_refused_before_they_are_made() -> None:
    with pytest.raises(StackError, match=r"at most 100,000,000 weights.*received 6[\d_]+"):
        Experiment([layers.Repeat(100, layers=[layers.Dense(8192)])], "moons").stack()


def test_that_a_fault_inside_a_residual_block_is_reported_once() -> None:
    with pytest.raises(StackError) as caught:
        Experiment([layers.Residual([layers.Dense(3)])], "fashion_mnist").stack()
    assert [fault.path for fault in caught.value.faults] == ["layers[0].layers[0]"]

"""The chain rule along one path."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from gradsim.theory import chain_rule


def test_that_all_paths_together_give_delta() -> None:
    rng = np.random.default_rng(0)
    sizes = (2, 3, 4, 2)
    kernels = [rng.standard_normal(shape) for shape in itertools.pairwise(sizes)]
    z = [rng.standard_normal(size) for size in sizes]
    slopes = [1 - np.tanh(part) ** 2 for part in z]
    top = rng.standard_normal(sizes[-1])
    delta = top * slopes[-1]
    for kernel, slope in zip(reversed(kernels), reversed(slopes[:-1]), strict=True):
        delta = slope * (kernel @ delta)
    for unit in range(sizes[0]):
        paths = itertools.product([unit], *(range(size) for size in sizes[1:]))
        total = sum(chain_rule(path, kernels, slopes, top[path[-1]])[-1].running for path in paths)
        assert total == pytest.approx(delta[unit])


def test_that_factors_come_from_the_top_down_with_their_place() -> None:
    kernels, slopes = [np.array([[0.5, -2.0]])], [np.array([0.25]), np.array([0.1, 0.2])]
    factors = chain_rule([0, 1], kernels, slopes, 3.0, value=(4, 10.0))
    assert [(f.kind, f.layer, f.unit, f.upper, f.value) for f in factors] == [
        ("gradient", 1, 1, None, 3.0),
        ("slope", 1, 1, None, 0.2),
        ("weight", 0, 0, 1, -2.0),
        ("slope", 0, 0, None, 0.25),
        ("input", 0, 4, None, 10.0),
    ]
    assert [f.running for f in factors] == pytest.approx([3.0, 0.6, -1.2, -0.3, -3.0])


def test_that_a_product_below_the_number_format_keeps_its_logarithm() -> None:
    depth = 400
    factors = chain_rule([0] * depth, [np.full((1, 1), -0.5)] * (depth - 1), [np.full(1, 0.1)] * depth)
    assert factors[-1].log10 == pytest.approx(-depth + (depth - 1) * math.log10(0.5))
    assert factors[-1].sign == -1
    assert factors[-1].running == 0


def test_that_a_zero_slope_ends_the_product_and_nan_is_told() -> None:
    slopes = [np.array([1.0]), np.array([0.0])]
    last = chain_rule([0, 0], [np.ones((1, 1))], slopes)[-1]
    assert (last.log10, last.sign, last.running) == (-math.inf, 0, 0)
    assert math.isnan(chain_rule([0, 0], [np.full((1, 1), np.nan)], [np.ones(1)] * 2)[-1].running)
    assert chain_rule([0, 0], [np.full((1, 1), -np.inf)], [np.ones(1)] * 2)[-1].running == -math.inf


@pytest.mark.parametrize(
    ("path", "kernels", "slopes", "message"),
    [
        ([], [], [], "at least one layer"),
        ([0, 0], [], [np.ones(1)] * 2, "1 kernels"),
        ([2], [], [np.ones(2)], r"path\[0\] must be from 0 to 1, received 2"),
        ([0], [], [np.ones((2, 2))], r"slopes\[0\]"),
        ([0, 0], [np.ones((2, 3))], [np.ones(2), np.ones(2)], r"kernels\[0\] must have the shape \(2, 2\)"),
    ],
)
def test_that_arrays_that_do_not_fit_are_named(
    path: list[int], kernels: list[np.ndarray], slopes: list[np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        chain_rule(path, kernels, slopes)

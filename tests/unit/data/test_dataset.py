from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsim.data.dataset import FAULTS_SHOWN, DataError, from_arrays, one_hot, split, standardized
from gradsim.nn.spec import Fault

X = np.arange(12.0, dtype=np.float32).reshape(6, 2)


def faults_of(arrays: Any, **options: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        from_arrays(arrays, **options)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("y", "task", "outputs", "classes"),
    [
        (np.array([0, 1, 2, 0, 1, 2]), "classification", 3, ("0", "1", "2")),
        (np.array([[0], [1], [2], [0], [1], [2]]), "classification", 3, ("0", "1", "2")),
        (np.array([0, 1, 0, 0, 1, 1]), "binary", 1, ("0", "1")),
        (np.array([False, True, False, False, True, True]), "binary", 1, ("0", "1")),
        (np.array([0.0, 1.0, 0.0, 0.0, 1.0, 1.0]), "binary", 1, ("0", "1")),
        (np.eye(6)[:, :], "classification", 6, tuple("012345")),
        (np.array([0.5, 1, 2, 3, 4, 5]), "regression", 1, ()),
        (np.linspace(0, 1, 18).reshape(6, 3), "regression", 3, ()),
    ],
)
def test_that_the_targets_tell_the_task(y: Any, task: str, outputs: int, classes: tuple[str, ...]) -> None:
    dataset = from_arrays((X, y))
    assert dataset.task == task
    assert dataset.y_train.shape == (6, outputs)
    assert dataset.class_names == classes
    assert (dataset.labels is None) == (task == "regression")
    if dataset.labels is not None and outputs > 1:
        np.testing.assert_array_equal(dataset.y_train.argmax(1), dataset.labels)


def test_that_a_task_can_be_asked_for() -> None:
    y = np.array([0, 1, 2, 3, 4, 5])
    assert from_arrays((X, y), task="regression").task == "regression"
    assert from_arrays((X, y.astype(float)), task="classification").y_train.shape == (6, 6)
    assert faults_of((X, y + 0.5), task="classification") == [
        "y[0]: must be a class, a whole number from 0 to 999; give targets of a regression as float (received 0.5)"
    ]


def test_that_two_classes_serve_one_unit_and_two() -> None:
    dataset = from_arrays((X, [0, 1, 0, 0, 1, 1], X[:2], [1, 0]))
    column, column_val = dataset.targets(1)
    pair, pair_val = dataset.targets(2)
    np.testing.assert_array_equal(column[:, 0], [0, 1, 0, 0, 1, 1])
    np.testing.assert_array_equal(pair[:3], [[1, 0], [0, 1], [1, 0]])
    assert column_val is not None
    assert pair_val is not None
    np.testing.assert_array_equal(column_val[:, 0], [1, 0])
    np.testing.assert_array_equal(pair_val, [[0, 1], [1, 0]])


def test_that_one_hot_rows_of_two_classes_serve_one_unit() -> None:
    dataset = from_arrays((X, one_hot(np.array([0, 1, 0, 0, 1, 1]), 2)))
    np.testing.assert_array_equal(dataset.targets(1)[0][:, 0], [0, 1, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("y", "outputs", "message"),
    [
        ([0, 1, 2, 0, 1, 2], 1, "must be 3, because the data have as many classes (received 1)"),
        ([0, 1, 0, 0, 1, 1], 3, "must be 1 or 2, because the data have 2 classes (received 3)"),
        (np.ones((6, 4)) / 3, 2, "must be 4, because the data have as many target columns (received 2)"),
    ],
)
def test_that_a_wrong_width_of_the_last_layer_is_explained(y: Any, outputs: int, message: str) -> None:
    with pytest.raises(DataError) as caught:
        from_arrays((X, y)).targets(outputs)
    assert str(caught.value) == f"units of the last layer: {message}"


def test_that_float64_is_kept_and_all_else_becomes_float32() -> None:
    y = [0, 1, 0, 1, 0, 1]
    assert from_arrays((X.astype(np.float64), y)).y_train.dtype == np.float64
    assert from_arrays((X.astype(np.uint8), y)).x_train.dtype == np.float32


def test_that_own_arrays_are_not_changed_by_their_dataset() -> None:
    x = X.copy()
    from_arrays((x, [0, 1, 0, 1, 0, 1]))
    np.testing.assert_array_equal(x, X)


def test_that_a_single_feature_may_come_without_its_axis() -> None:
    assert from_arrays((X[:, 0], X[:, 1])).input_shape == (1,)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ((X,), ["data: must be (x, y) or (x, y, x_val, y_val) (received '1 arrays')"]),
        ((X, [1, 2]), ["y: must have 6 rows, as many as x (received 2)"]),
        (
            (np.zeros((0, 2)), np.zeros(0)),
            [
                "x: must have at least one row and one value in it (received 'shape (0, 2)')",
                "y: must have at least one row and one value in it (received 'shape (0,)')",
            ],
        ),
        (
            (np.where(X == 3, np.nan, X), np.full(6, np.inf)),
            [
                "x[1][1]: must be a finite number (received nan)",
                "y[0][0]: must be a finite number, and so must 5 more (received inf)",
            ],
        ),
        ((X, ["a"] * 6), ["y: must hold numbers (received 'dtype <U1')"]),
        (
            (X, np.zeros((6, 1, 2))),
            ["y: must have the shape (rows,) or (rows, outputs) (received (6, 1, 2))"],
        ),
        (([[1, 2], [3]], [0, 1]), ["x: must be an array with rows of one length"]),
        (
            (X, [0, 1, 0, 1, 0, 1], np.ones((4, 3)), [0, 1]),
            [
                "y_val: must have 4 rows, as many as x_val (received 2)",
                "x_val: must have rows of the shape (2,) (received (3,))",
            ],
        ),
        (
            (X, [-1, 0, 0, 1, 1, 1]),
            [
                "y[0]: must be a class, a whole number from 0 to 999; give targets of a regression as float "
                "(received -1)"
            ],
        ),
    ],
)
def test_that_every_fault_of_own_arrays_is_named(arrays: Any, expected: list[str]) -> None:
    assert faults_of(arrays) == expected


def test_that_a_long_report_is_cut_and_counted() -> None:
    error = DataError([Fault("x", "must be", 1)] * (FAULTS_SHOWN + 5))
    assert len(error.faults) == FAULTS_SHOWN
    assert str(error).endswith("... and 5 more")


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    fraction=st.floats(0, 0.9),
    seed=st.integers(0, 2**31 - 1),
)
def test_that_a_split_uses_every_row_once_and_keeps_every_class(counts: list[int], fraction: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    train, val = split(len(labels), fraction, np.random.default_rng(seed), labels)
    assert sorted([*train, *val]) == list(range(len(labels)))
    assert set(labels[train]) == set(labels)
    for label, count in enumerate(counts):
        assert abs((labels[val] == label).sum() - fraction * count) <= 1


def test_that_validation_is_scaled_with_the_statistics_of_training() -> None:
    x_train = np.array([[0.0, 0.1], [2.0, 0.1], [4.0, 0.1]])
    train, val = standardized(x_train, np.array([[2.0, 0.3]]))
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(train.std(0), [1, 0])
    assert val is not None
    np.testing.assert_allclose(val, [[0, 0.2]])

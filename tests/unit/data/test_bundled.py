from __future__ import annotations

import numpy as np
import pytest

from gradsim import data
from gradsim.resources import resource

BUNDLED = [name for name in data.registry if data.registry[name].group == "bundled"]


@pytest.mark.parametrize(
    ("name", "rows", "shape", "outputs", "task"),
    [
        ("fashion_mnist", (10000, 2000), (28, 28), 10, "classification"),
        ("digits", (1438, 359), (8, 8), 10, "classification"),
        ("iris", (120, 30), (4,), 3, "classification"),
        ("wine", (142, 36), (13,), 3, "classification"),
        ("breast_cancer", (456, 113), (30,), 1, "binary"),
        ("penguins", (266, 67), (9,), 3, "classification"),
    ],
)
def test_that_bundled_data_have_their_known_size(
    name: str, rows: tuple[int, int], shape: tuple[int, ...], outputs: int, task: str
) -> None:
    dataset = data.load(name)
    assert dataset.x_val is not None
    assert (len(dataset.x_train), len(dataset.x_val)) == rows
    assert dataset.signature == data.Signature(shape, task, outputs, dataset.class_names)  # type: ignore[arg-type]
    assert dataset.x_train.dtype == dataset.y_train.dtype == np.float32
    assert len(dataset.feature_names) == np.prod(shape)


@pytest.mark.parametrize("name", BUNDLED)
def test_that_bundled_data_are_finite_and_their_licence_ships(name: str) -> None:
    assert np.isfinite(data.load(name).x_train).all()
    assert resource(f"data/{data.registry[name].file}").is_file()
    assert resource(f"data/{name}.LICENSE.txt").is_file()


def test_that_pictures_lie_between_0_and_1() -> None:
    for name in ("fashion_mnist", "digits"):
        dataset = data.load(name)
        assert (dataset.x_train.min(), dataset.x_train.max()) == (0, 1)


def test_that_all_classes_of_fashion_mnist_have_the_same_share() -> None:
    dataset = data.load("fashion_mnist")
    np.testing.assert_array_equal(np.bincount(dataset.labels), [1000] * 10)
    np.testing.assert_array_equal(np.bincount(dataset.labels_val), [200] * 10)


def test_that_a_part_of_fashion_mnist_can_be_taken() -> None:
    source = data.FashionMNIST(train_samples=101, val_samples=0, classes=2)
    dataset = source.load()
    assert dataset.task == "binary"
    assert dataset.x_val is None
    np.testing.assert_array_equal(np.bincount(dataset.labels), [51, 50])
    assert source.signature() == dataset.signature
    assert data.FashionMNIST(classes=3).signature() == data.load(data.FashionMNIST(classes=3)).signature


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "penguins"])
def test_that_tables_are_standardised_over_their_training_rows(name: str) -> None:
    dataset = data.load(name)
    np.testing.assert_allclose(dataset.x_train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(dataset.x_train.std(0), 1, rtol=1e-5)
    raw = data.load({"type": name, "standardize": False})
    assert raw.x_train.std() > 1.2


def test_that_incomplete_penguins_can_stay() -> None:
    dataset = data.load(data.Penguins(missing="mean"))
    assert dataset.x_val is not None
    assert len(dataset.x_train) + len(dataset.x_val) == 344
    assert dataset.class_names == ("Adelie", "Chinstrap", "Gentoo")
    assert dataset.feature_names[-2:] == ("sex = female", "sex = male")


def test_that_another_seed_holds_other_rows_back() -> None:
    one, other = (data.load(data.Iris(seed=seed)).x_val for seed in (0, 1))
    assert one is not None
    assert other is not None
    assert not np.array_equal(one, other)


def test_that_chosen_kinds_become_the_classes_in_their_order() -> None:
    whole = data.load({"type": "fashion_mnist"})
    chosen = data.load({"type": "fashion_mnist", "kinds": "6, 5", "train_samples": 200, "val_samples": 50})
    assert chosen.class_names == ("shirt", "sandal")
    assert chosen.signature == data.source({"type": "fashion_mnist", "kinds": "6, 5"}).signature()
    assert chosen.labels is not None and whole.labels is not None
    np.testing.assert_array_equal(chosen.x_train[chosen.labels == 0][0], whole.x_train[whole.labels == 6][0])
    assert np.bincount(chosen.labels).tolist() == [100, 100]


@pytest.mark.parametrize("kinds", ["5", "5, 5", "5, 10", "a, b", "5,,6"])
def test_that_kinds_that_are_none_are_refused(kinds: str) -> None:
    with pytest.raises(ValueError, match="must be two or more different numbers"):
        data.source({"type": "fashion_mnist", "kinds": kinds})

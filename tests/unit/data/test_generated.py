from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradsim import data
from gradsim.data.generated import Generated

GENERATED = [name for name in data.registry if data.registry[name].group == "generated"]
CLASSES = [name for name in GENERATED if name not in ("regression_1d", "linear_teacher")]


def content(dataset: data.Dataset) -> bytes:
    arrays = (dataset.x_train, dataset.y_train, dataset.x_val, dataset.y_val)
    return b"".join(array.tobytes() for array in arrays if array is not None)


@pytest.mark.parametrize("name", GENERATED)
def test_that_the_same_fields_give_the_same_bytes(name: str) -> None:
    assert content(data.load(name)) == content(data.load(name))
    assert content(data.load(name)) != content(data.load({"type": name, "seed": 1}))


@pytest.mark.parametrize("name", GENERATED)
def test_that_generated_data_have_the_size_asked_for(name: str) -> None:
    dataset = data.load({"type": name, "samples": 50, "validation_split": 0.2})
    assert dataset.x_val is not None
    assert len(dataset.x_train) + len(dataset.x_val) == 50
    assert len(dataset.x_val) == pytest.approx(10, abs=1)
    whole = data.load({"type": name, "samples": 50, "validation_split": 0.0})
    assert whole.x_val is None
    assert whole.y_val is None
    assert len(whole.x_train) == 50


@pytest.mark.parametrize("name", GENERATED)
def test_that_generated_inputs_are_about_standardised(name: str) -> None:
    dataset = data.load(name)
    assert 0.8 < dataset.x_train.std() < 1.3
    assert abs(dataset.x_train.mean()) < 0.2


@pytest.mark.parametrize("name", CLASSES)
def test_that_classes_are_balanced(name: str) -> None:
    dataset = data.load({"type": name, "samples": 200})
    counts = np.bincount(dataset.labels)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("source", [data.Spiral(classes=4), data.Gaussians(classes=4, features=5)])
def test_that_the_number_of_classes_and_features_can_be_chosen(source: Any) -> None:
    dataset = source.load()
    assert dataset.task == "classification"
    assert dataset.y_train.shape[1] == 4
    assert dataset.input_shape == (getattr(source, "features", 2),)


def test_that_the_circle_lies_inside_its_ring() -> None:
    dataset = data.load(data.Circle(noise=0.0))
    radius = np.linalg.norm(dataset.x_train, axis=1)
    assert radius[dataset.labels == 1].max() <= 1.0001
    assert radius[dataset.labels == 0].min() >= 1.3999


def test_that_the_class_of_xor_is_whether_the_signs_differ() -> None:
    dataset = data.load(data.Xor(noise=0.0))
    np.testing.assert_array_equal(dataset.labels == 1, dataset.x_train.prod(1) < 0)


def test_that_a_linear_map_explains_the_teacher_without_noise() -> None:
    dataset = data.load(data.LinearTeacher(features=7, outputs=3, noise=0.0))
    _, residuals, rank, _ = np.linalg.lstsq(dataset.x_train, dataset.y_train, rcond=None)
    assert rank == 7
    assert residuals.max() < 1e-6


@pytest.mark.parametrize(
    ("curve", "formula"),
    [
        ("sine", lambda x: np.sin(2 * x)),
        ("step", np.sign),
        ("cubic", lambda x: x**3 / 3 - x),
        ("hat", lambda x: 1 - abs(x)),
    ],
)
def test_that_the_curve_is_what_its_help_says(curve: Any, formula: Any) -> None:
    dataset = data.load(data.Regression1D(curve=curve, noise=0.0))
    np.testing.assert_allclose(dataset.y_train, formula(dataset.x_train.astype(float)), atol=1e-6)


def test_that_the_stream_of_random_numbers_is_the_one_of_earlier_versions() -> None:
    # Saved experiments promise the same data; a changed generator or order of draws must not pass unseen.
    dataset = data.load(data.Moons(samples=10))
    np.testing.assert_allclose(dataset.x_train[:2], [[-1.102488, 0.903161], [-1.624851, 0.483697]], atol=1e-6)


def test_that_noise_moves_points_by_its_deviation() -> None:
    sources: list[Generated] = [data.Spiral(noise=0.0), data.Spiral(noise=0.25)]
    quiet, noisy = (source.load() for source in sources)
    assert (noisy.x_train - quiet.x_train).std() == pytest.approx(0.25, rel=0.05)

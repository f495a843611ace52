"""Data that come with the program, from ``resources/data``; the licence of each lies beside it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import pydantic
from pydantic_core import PydanticCustomError

from gradsim.data.dataset import Array, Dataset, Signature, classified, split
from gradsim.data.files import CSV
from gradsim.data.sources import Source, registry
from gradsim.i18n import mark, tr
from gradsim.nn.spec import frozen, option
from gradsim.resources import resource

FASHION_CLASSES = (
    mark("T-shirt/top"),
    mark("trouser"),
    mark("pullover"),
    mark("dress"),
    mark("coat"),
    mark("sandal"),
    mark("shirt"),
    mark("sneaker"),
    mark("bag"),
    mark("ankle boot"),
)


@frozen
class Bundled(Source):
    """Base of the bundled sources.

    Attributes:
        file: Name of the file in ``resources/data``.
    """

    group = "bundled"
    file: ClassVar[str] = ""


def _in_proportion(labels: Array, classes: int, rows: int) -> Array:
    """Indices, in order, of the first rows of the first ``classes`` classes: as many of each, or one more."""
    wanted = [rows // classes + (c < rows % classes) for c in range(classes)]
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:count] for c, count in enumerate(wanted)]))


KINDS = r" *|(?!.*([0-9]).*\1) *[0-9] *(, *[0-9] *)+"
"""Nothing, or two or more different digits between commas."""


def _kind_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",")) if text.strip() else ()


def _checked_kinds(text: str) -> str:
    if not re.fullmatch(KINDS, text):
        raise PydanticCustomError("kinds", tr("must be two or more different numbers from 0 to 9, as in 5, 6"))
    return text


def _renumbered(labels: Array, chosen: tuple[int, ...]) -> Array:
    """Each kind's place among the chosen ones; the other kinds get numbers that no class has."""
    places = np.full(len(FASHION_CLASSES), len(FASHION_CLASSES), labels.dtype)
    places[list(chosen)] = np.arange(len(chosen), dtype=labels.dtype)
    renumbered: Array = places[labels]
    return renumbered


@registry.register("fashion_mnist")
@frozen
class FashionMNIST(Bundled):
    """Pictures of clothes, 28 x 28 grey pixels from 0 to 1, ten kinds (Xiao et al. 2017); a balanced part."""

    title = "Fashion-MNIST"
    file = "fashion_mnist.npz"

    train_samples: int = option(
        "Training pictures",
        "How many, all classes alike.",
        default=10_000,
        ge=10,
        le=10_000,
        step=1000,
        kw_only=True,
    )
    val_samples: int = option(
        "Validation pictures",
        "How many, all classes alike.",
        default=2000,
        ge=0,
        le=2000,
        step=100,
        kw_only=True,
    )
    classes: int = option("Classes", "Only the first of the ten kinds.", default=10, ge=2, le=10, kw_only=True)
    kinds: Annotated[str, pydantic.AfterValidator(_checked_kinds)] = option(
        "Kinds",
        "Numbers of the kinds to tell apart, as in 5, 6 (0 is T-shirt, 9 ankle boot); empty: the first ones.",
        default="",
        pattern=KINDS,
        kw_only=True,
    )

    def chosen(self) -> tuple[int, ...]:
        """Numbers of the kinds that take part, in the order of the classes they become."""
        return _kind_numbers(self.kinds) or tuple(range(self.classes))

    def load(self, base: Path | None = None) -> Dataset:
        with np.load(resource(f"data/{self.file}"), allow_pickle=False) as arrays:
            x_train, y_train, x_test, y_test = (arrays[n] for n in ("x_train", "y_train", "x_test", "y_test"))
        chosen = self.chosen()
        y_train, y_test = _renumbered(y_train, chosen), _renumbered(y_test, chosen)
        train, val = self._divided(y_train, y_test)
        x = np.concatenate([x_train[train], x_test[val]]).astype(np.float32) / np.float32(255)
        labels = np.concatenate([y_train[train], y_test[val]])
        rows = np.arange(len(x))
        return classified(
            x,
            labels,
            rows[: len(train)],
            rows[len(train) :],
            tuple(FASHION_CLASSES[kind] for kind in chosen),
            _pixel_names(28, 28),
            self.title,
        )

    def _divided(self, y_train: Array, y_test: Array) -> tuple[Array, Array]:
        classes = len(self.chosen())
        return _in_proportion(y_train, classes, self.train_samples), _in_proportion(y_test, classes, self.val_samples)

    def row_counts(self, base: Path | None = None) -> tuple[int, int]:
        # Without unpacking the pictures: the window waits for it.
        with np.load(resource(f"data/{self.file}"), allow_pickle=False) as arrays:
            train, val = self._divided(*(_renumbered(arrays[name], self.chosen()) for name in ("y_train", "y_test")))
        return len(train), len(val)

    def signature(self, base: Path | None = None) -> Signature:
        # Without reading 5 MB: a stack asks for it on every edit.
        names = tuple(FASHION_CLASSES[kind] for kind in self.chosen())
        if len(names) == 2:
            return Signature((28, 28), "binary", 1, names)
        return Signature((28, 28), "classification", len(names), names)


def _pixel_names(height: int, width: int) -> tuple[str, ...]:
    return tuple(f"pixel {row + 1},{column + 1}" for row in range(height) for column in range(width))


@frozen
class Divided(Bundled):
    """Base of the bundled sources that have no validation part of their own."""

    validation_split: float = option(
        "Validation share",
        "Share of the rows that is kept for validation.",
        default=0.2,
        ge=0,
        le=0.9,
        step=0.05,
        kw_only=True,
    )
    seed: int = option("Seed of the split", "Another seed, other rows.", default=0, ge=0, le=2**31 - 1, kw_only=True)


@registry.register("digits")
@frozen
class Digits(Divided):
    """Handwritten digits, 8 x 8 grey pixels from 0 to 1 (Alpaydin & Kaynak 1998)."""

    title = "Digits"
    file = "digits.npz"

    def load(self, base: Path | None = None) -> Dataset:
        with np.load(resource(f"data/{self.file}"), allow_pickle=False) as arrays:
            x, labels = arrays["x"].astype(np.float32) / np.float32(16), arrays["y"]
        rng = np.random.Generator(np.random.PCG64(self.seed))
        train, val = split(len(x), self.validation_split, rng, labels)
        return classified(x, labels, train, val, tuple(map(str, range(10))), _pixel_names(8, 8), self.title)


@frozen
class BundledTable(Divided):
    """Base of the bundled tables.

    Attributes:
        target: Column to predict.
        ignore: Columns to leave out, as :class:`~gradsim.data.files.CSV` takes them.
    """

    target: ClassVar[str] = ""
    ignore: ClassVar[str] = ""

    standardize: bool = option(
        "Standardise",
        "Give every feature mean 0 and deviation 1 over the training rows.",
        default=True,
        kw_only=True,
    )

    def missing_values(self) -> Literal["error", "drop", "mean"]:
        """What happens to missing values."""
        return "error"

    def load(self, base: Path | None = None) -> Dataset:
        table = CSV(
            str(resource(f"data/{self.file}")),
            self.target,
            task="classification",
            ignore=self.ignore,
            missing=self.missing_values(),
            delimiter="comma",
            header="yes",
            decimal=".",
            standardize=self.standardize,
            validation_split=self.validation_split,
            seed=self.seed,
        ).load()
        return dataclasses.replace(table, name=self.title)


@registry.register("iris")
@frozen
class Iris(BundledTable):
    """Three kinds of iris by four lengths of the flower (Fisher 1936)."""

    title = "Iris"
    file = "iris.csv"
    target = "species"


@registry.register("wine")
@frozen
class Wine(BundledTable):
    """Wines of three growers by thirteen measurements of their chemistry (Aeberhard & Forina 1992)."""

    title = "Wine"
    file = "wine.csv"
    target = "cultivator"


@registry.register("breast_cancer")
@frozen
class BreastCancer(BundledTable):
    """Tumours, benign or malignant, by thirty measurements of cell nuclei (Wolberg et al. 1993)."""

    title = "Breast cancer"
    file = "breast_cancer.csv"
    target = "diagnosis"


@registry.register("penguins")
@frozen
class Penguins(BundledTable):
    """Three kinds of penguin by four sizes, sex and island (Gorman et al. 2014)."""

    title = "Penguins"
    file = "penguins.csv"
    target = "species"
    ignore = "year"

    missing: Literal["drop", "mean"] = option(
        "Missing values",
        "drop: leave the 11 incomplete rows out; mean: fill them in.",
        default="drop",
        kw_only=True,
    )

    def missing_values(self) -> Literal["error", "drop", "mean"]:
        return self.missing

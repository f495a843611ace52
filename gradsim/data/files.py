"""Own data from files: CSV tables and NPZ archives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from gradsim.data import archives
from gradsim.data.dataset import (
    MAX_CLASSES,
    Array,
    DataError,
    Dataset,
    TaskChoice,
    classified,
    from_arrays,
    numbered,
    one_hot,
    regressed,
    split,
    standardized,
)
from gradsim.data.sources import Source, registry
from gradsim.data.tables import Column, Reader, Table
from gradsim.i18n import tr
from gradsim.nn.spec import Fault, frozen, option

# Whole numbers up to this many different values count as classes unless the source says otherwise.
AUTO_CLASSES = 20
MAX_FEATURES = 20_000
MAX_VALUES = 25_000_000


def resolved(path: str, base: Path | None) -> Path:
    """The path of a source's file."""
    try:
        return (base or Path()) / Path(path).expanduser()
    except RuntimeError:
        return (base or Path()) / path


def _file_stamp(path: Path) -> object:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def share_option(text: str) -> Any:
    """The field of a source that is split: which share of it is for validation."""
    return option("Validation share", text, default=0.2, ge=0, le=0.9, step=0.05, kw_only=True)


def seed_option() -> Any:
    """The field of a source that is split: which rows are for validation."""
    return option("Seed of the split", "Another seed, other rows.", default=0, ge=0, le=2**31 - 1, kw_only=True)


@frozen
class OwnFile(Source):
    """Base of the sources that read a file."""

    group = "own"

    path: str = option("File", "The file: a full path, or one from the experiment's folder.", min_length=1)

    def stamp(self, base: Path | None = None) -> object:
        return _file_stamp(resolved(self.path, base))


@registry.register("csv", "CSV")
@frozen
class CSV(OwnFile):
    """A table of text, one row an example; text columns become one 0/1 column for each word."""

    title = "CSV table"

    target: str = option(
        "Target column",
        "Name or number of the column to predict; empty is the last one.",
        default="",
        max_length=1000,
    )
    task: TaskChoice = option(
        "Task",
        f"auto: texts, and up to {AUTO_CLASSES} different whole numbers, are classes.",
        default="auto",
        kw_only=True,
    )
    ignore: str = option(
        "Leave out",
        "Names or numbers of columns, with commas between them.",
        default="",
        max_length=100_000,
        kw_only=True,
    )
    missing: Literal["error", "drop", "mean"] = option(
        "Missing values",
        "error: report them; drop: leave their rows out; mean: fill in the mean, or the most frequent text, "
        "of the training rows.",
        default="error",
        kw_only=True,
    )
    delimiter: Literal["auto", "comma", "semicolon", "tab"] = option(
        "Between cells", "What stands between two cells.", default="auto", advanced=True, kw_only=True
    )
    header: Literal["auto", "yes", "no"] = option(
        "Header", "Whether the first row names the columns.", default="auto", advanced=True, kw_only=True
    )
    decimal: Literal[".", ","] = option(
        "Decimal mark", "What numbers have before their fraction.", default=".", advanced=True, kw_only=True
    )
    standardize: bool = option(
        "Standardise",
        "Give every feature mean 0 and deviation 1 over the training rows.",
        default=True,
        kw_only=True,
    )
    validation_split: float = share_option("Share of the rows that is kept for validation.")
    seed: int = seed_option()

    def load(self, base: Path | None = None) -> Dataset:
        path = resolved(self.path, base)
        reader = Reader(path, self.delimiter, self.header, self.decimal)
        target, ignored = self._columns(reader)
        table = reader.read(target, ignored, self.missing)
        return self._dataset(table, reader.names[target], path.name)

    def _columns(self, reader: Reader) -> tuple[int, list[int]]:
        known = ", ".join(reader.names[:20]) + (", ..." if len(reader.names) > 20 else "")
        target = reader.index(self.target) if self.target else len(reader.names) - 1
        faults = []
        if target is None:
            faults.append(Fault("target", tr("must be one of the columns: {names}", names=known), self.target))
        ignored = []
        for name in filter(None, map(str.strip, self.ignore.split(","))):
            index = reader.index(name)
            if index is None:
                faults.append(Fault("ignore", tr("must name columns: {names}", names=known), name))
            elif index == target:
                faults.append(Fault("ignore", tr("must not name the target column"), name))
            else:
                ignored.append(index)
        if target is not None and len(set(ignored)) >= len(reader.names) - 1:
            faults.append(Fault("path", tr("must have a column besides the target"), known))
        if faults or target is None:
            raise DataError(faults)
        return target, ignored

    def _dataset(self, table: Table, target_name: str, title: str) -> Dataset:
        target = next(column for column in table.columns if column.name == target_name)
        features = [column for column in table.columns if column.name != target_name]
        width = sum(len(column.categories or ("",)) for column in features)
        if width > MAX_FEATURES or width * len(table.rows) > MAX_VALUES:
            raise DataError(
                [
                    Fault(
                        "path",
                        tr(
                            "must give at most {features:,} features and {values:,} values",
                            features=MAX_FEATURES,
                            values=MAX_VALUES,
                        ),
                        tr("{rows:,} rows of {features:,} features", rows=len(table.rows), features=width),
                    )
                ]
            )
        if len(table.rows) < 2:
            raise DataError([Fault("path", tr("must hold at least two rows of data"), len(table.rows))])
        labels, class_names = self._classes(target)
        rng = np.random.Generator(np.random.PCG64(self.seed))
        train, val = split(len(table.rows), self.validation_split, rng, labels)
        x = np.concatenate([_feature_columns(column, train) for column in features], 1)
        names = [name for column in features for name in _feature_names(column)]
        if self.standardize:
            x_train, x_val = standardized(x[train], x[val])
            x[train] = x_train
            if x_val is not None:
                x[val] = x_val
        if labels is not None:
            return classified(x, labels, train, val, class_names, names, title)
        return regressed(x, target.values[:, None], train, val, names, title)

    def _classes(self, target: Column) -> tuple[Array | None, tuple[str, ...]]:
        place = tr("column {name!r}", name=target.name)
        if target.categories is not None:
            if self.task == "regression":
                raise DataError([Fault(place, tr("must hold numbers for a regression"), target.categories[0])])
            labels = target.values
            used = np.unique(labels)
            names = tuple(target.categories[code] for code in used)
        else:
            used, labels = np.unique(target.values, return_inverse=True)
            whole = bool((used == np.round(used)).all())
            if self.task == "regression" or (self.task == "auto" and not (whole and len(used) <= AUTO_CLASSES)):
                return None, ()
            if not whole or len(used) > MAX_CLASSES:
                raise DataError(
                    [
                        Fault(
                            place,
                            tr(
                                "must hold text or at most {limit} different whole numbers for a classification",
                                limit=MAX_CLASSES,
                            ),
                            float(used[np.argmax(used != np.round(used))]),
                        )
                    ]
                )
            return self._at_least_two(labels, tuple(f"{value:.0f}" for value in used), place)
        return self._at_least_two(np.searchsorted(used, labels), names, place)

    def _at_least_two(self, labels: Array, names: tuple[str, ...], place: str) -> tuple[Array, tuple[str, ...]]:
        if len(names) < 2:
            raise DataError([Fault(place, tr("must hold at least two classes"), names[0])])
        return labels, names


def _feature_columns(column: Column, train: Array) -> Array:
    """Shape ``(rows, 1)`` for numbers, ``(rows, categories)`` for text; gaps filled from training rows."""
    values, missing = column.values, column.missing
    present = train[~missing[train]]
    if column.categories is None:
        if missing.any():
            values = np.where(missing, values[present].mean() if len(present) else 0.0, values)
        return values[:, None]
    if missing.any():
        values = np.where(missing, np.bincount(values[present]).argmax() if len(present) else 0, values)
    return one_hot(values, len(column.categories), np.float64)


def _feature_names(column: Column) -> tuple[str, ...]:
    if column.categories is None:
        return (column.name,)
    return tuple(f"{column.name} = {category}" for category in column.categories)


@registry.register("npz", "NPZ")
@frozen
class NPZ(OwnFile):
    """A NumPy archive with x and y (and x_val, y_val), or x_train and y_train (and x_test, y_test)."""

    title = "NPZ archive"

    scaling: Literal["none", "pixels", "standardize"] = option(
        "Scaling",
        "pixels: divide by 255; standardize: mean 0 and deviation 1 in the training rows.",
        default="none",
        kw_only=True,
    )
    task: TaskChoice = option(
        "Task",
        "auto: whole numbers and one-hot rows are classes, other numbers a regression.",
        default="auto",
        kw_only=True,
    )
    validation_split: float = share_option("Share of the rows kept for validation if the file has no validation data.")
    seed: int = seed_option()

    def load(self, base: Path | None = None) -> Dataset:
        path = resolved(self.path, base)
        arrays, names = archives.read(path)
        whole = from_arrays(arrays, task=self.task, names=names, title=path.name)
        x_train, x_val = whole.x_train, whole.x_val
        y_train, y_val, labels, labels_val = whole.y_train, whole.y_val, whole.labels, whole.labels_val
        if x_val is None and len(x_train) > 1:
            rng = np.random.Generator(np.random.PCG64(self.seed))
            train, val = split(len(x_train), self.validation_split, rng, labels)
            if len(val):
                x_train, x_val, y_train, y_val = x_train[train], x_train[val], y_train[train], y_train[val]
                if labels is not None:
                    labels, labels_val = labels[train], labels[val]
        if self.scaling == "standardize":
            x_train, x_val = standardized(x_train, x_val)
        elif self.scaling == "pixels":
            x_train, x_val = x_train / 255, None if x_val is None else x_val / 255
        return Dataset(
            x_train.astype(np.float32),
            y_train.astype(np.float32),
            whole.task,
            labels,
            None if x_val is None else x_val.astype(np.float32),
            None if y_val is None else y_val.astype(np.float32),
            labels_val,
            whole.class_names,
            numbered("x", int(np.prod(x_train.shape[1:]))),
            whole.name,
        )

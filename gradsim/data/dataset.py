"""The dataset: arrays ready for training, and how raw arrays become one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from gradsim.i18n import tr
from gradsim.nn.spec import MISSING, Fault

Array = np.ndarray[Any, Any]
Task = Literal["classification", "binary", "regression"]
TaskChoice = Literal["auto", "classification", "regression"]

MAX_CLASSES = 1000
FAULTS_SHOWN = 20


class DataError(ValueError):
    """Data that can't be used.

    Attributes:
        faults: What is wrong, at most ``FAULTS_SHOWN`` of it.
        count: How many faults there are in all.
    """

    def __init__(self, faults: Sequence[Fault], count: int | None = None) -> None:
        self.faults = tuple(faults[:FAULTS_SHOWN])
        self.count = len(faults) if count is None else count
        lines = [str(fault) for fault in self.faults]
        if self.count > len(lines):
            lines.append(tr("... and {n} more", n=self.count - len(lines)))
        super().__init__("\n".join(lines))


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a stack needs to know of its data.

    Attributes:
        input_shape: Shape of one row: ``(features,)`` or ``(28, 28)``.
        task: What is predicted: one class of several, yes or no, or real numbers.
        outputs: Columns of the targets.
        class_names: Names of the classes; empty for a regression.
    """

    input_shape: tuple[int, ...]
    task: Task
    outputs: int
    class_names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Arrays ready for training.

    Attributes:
        x_train: Shape ``(rows, *input_shape)``, float32 (float64 if own arrays were given so).
        y_train: Shape ``(rows, outputs)``, type as ``x_train``: one-hot ("classification"), one column of 0
            and 1 ("binary"), real numbers ("regression").
        task: See :class:`Signature`.
        labels: Class of every training row, int64; None for a regression.
        x_val: As ``x_train``; None without validation data, and so are the other two.
        class_names: Names of the classes; empty for a regression.
        feature_names: One name for each value of a row.
        name: Title for people.
    """

    x_train: Array
    y_train: Array
    task: Task
    labels: Array | None = None
    x_val: Array | None = None
    y_val: Array | None = None
    labels_val: Array | None = None
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    name: str = ""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.x_train.shape[1:])

    @property
    def row_counts(self) -> tuple[int, int]:
        """Rows for training and for validation."""
        return len(self.x_train), 0 if self.x_val is None else len(self.x_val)

    @property
    def signature(self) -> Signature:
        """What a stack needs to know."""
        return Signature(self.input_shape, self.task, self.y_train.shape[1], self.class_names)

    def targets(self, outputs: int) -> tuple[Array, Array | None]:
        """Training and validation targets for a last layer of ``outputs`` units.

        Two classes go with one unit (a column of 0 and 1, for sigmoid and binary cross-entropy) and with two
        (one-hot, for softmax and categorical cross-entropy).

        Returns:
            Arrays of the shape ``(rows, outputs)``; the second is None without validation data.

        Raises:
            DataError: if the data have no targets of this width.
        """
        width = self.y_train.shape[1]
        if outputs == width:
            return self.y_train, self.y_val
        if self.labels is not None and len(self.class_names) == 2 and {outputs, width} == {1, 2}:
            return (
                _matrix(self.labels, outputs, self.y_train.dtype),
                None if self.labels_val is None else _matrix(self.labels_val, outputs, self.y_train.dtype),
            )
        raise DataError([Fault(tr("units of the last layer"), self._widths(width), outputs)])

    def _widths(self, width: int) -> str:
        if len(self.class_names) == 2:
            return tr("must be 1 or 2, because the data have 2 classes")
        if self.class_names:
            return tr("must be {n}, because the data have as many classes", n=width)
        return tr("must be {n}, because the data have as many target columns", n=width)


def _matrix(labels: Array, outputs: int, dtype: Any) -> Array:
    if outputs == 1:
        return labels.astype(dtype)[:, None]
    return one_hot(labels, outputs, dtype)


def one_hot(labels: Array, classes: int, dtype: Any = np.float32) -> Array:
    """Matrix with a 1 in the column of each row's class.

    Args:
        labels: Shape ``(rows,)``, whole numbers from 0 to ``classes - 1``.

    Returns:
        Shape ``(rows, classes)``.
    """
    matrix = np.zeros((len(labels), classes), dtype)
    matrix[np.arange(len(labels)), labels] = 1
    return matrix


def split(rows: int, fraction: float, rng: np.random.Generator, labels: Array | None = None) -> tuple[Array, Array]:
    """Divides rows into training and validation, mixed, every class in proportion.

    Args:
        rows: How many there are.
        fraction: Share of validation, in [0, 1).
        labels: Class of every row, or None.

    Returns:
        Indices for training and for validation. Training keeps at least one row of every class.
    """
    order = rng.permutation(rows)
    groups = [order] if labels is None else [order[labels[order] == c] for c in np.unique(labels)]
    held = [group[: min(round(len(group) * fraction), len(group) - 1)] for group in groups]
    chosen = np.zeros(rows, bool)
    for group in held:
        chosen[group] = True
    return order[~chosen[order]], order[chosen[order]]


def standardized(x_train: Array, x_val: Array | None) -> tuple[Array, Array | None]:
    """Mean 0 and deviation 1 for every feature of the training rows; the same shift and scale for validation.

    A feature that is the same in every training row becomes 0 there.

    Args:
        x_train: Shape ``(rows, features...)``.

    Returns:
        float64 arrays of the same shapes.
    """
    mean = x_train.mean(0, dtype=np.float64)
    deviation = x_train.std(0, dtype=np.float64)
    # Rounding leaves a constant column a deviation near the precision of its mean instead of none.
    constant = deviation <= 1e-12 * np.abs(mean)
    scale = np.where(constant, 1.0, deviation)

    def scaled(x: Array) -> Array:
        return np.asarray((x - mean) / scale)

    return np.where(constant, 0.0, scaled(x_train)), None if x_val is None else scaled(x_val)


def classified(
    x: Array,
    labels: Array,
    train: Array,
    val: Array,
    class_names: Sequence[str],
    feature_names: Sequence[str],
    name: str,
) -> Dataset:
    """A dataset of classes from all rows and the indices of both parts; two classes become "binary".

    Args:
        x: Shape ``(rows, features...)``.
        labels: Shape ``(rows,)``, whole numbers from 0.
        train, val: Indices of rows; ``val`` may be empty.
    """
    labels = labels.astype(np.int64)
    outputs = 1 if len(class_names) == 2 else len(class_names)
    parts = [(x[index].astype(np.float32), labels[index]) for index in (train, val)]
    (x_train, labels_train), (x_val, labels_val) = parts
    return Dataset(
        x_train,
        _matrix(labels_train, outputs, np.float32),
        "binary" if outputs == 1 else "classification",
        labels_train,
        x_val if len(val) else None,
        _matrix(labels_val, outputs, np.float32) if len(val) else None,
        labels_val if len(val) else None,
        tuple(class_names),
        tuple(feature_names),
        name,
    )


def regressed(x: Array, y: Array, train: Array, val: Array, feature_names: Sequence[str], name: str) -> Dataset:
    """A dataset of real targets from all rows and the indices of both parts.

    Args:
        x: Shape ``(rows, features...)``.
        y: Shape ``(rows, outputs)``.
        train, val: Indices of rows; ``val`` may be empty.
    """
    return Dataset(
        x[train].astype(np.float32),
        y[train].astype(np.float32),
        "regression",
        x_val=x[val].astype(np.float32) if len(val) else None,
        y_val=y[val].astype(np.float32) if len(val) else None,
        feature_names=tuple(feature_names),
        name=name,
    )


def numbered(prefix: str, count: int) -> tuple[str, ...]:
    """Names for things that have none: ``("x1", "x2")``."""
    return tuple(f"{prefix}{index + 1}" for index in range(count))


def from_arrays(
    arrays: Sequence[Any],
    *,
    task: TaskChoice = "auto",
    names: Sequence[str] = ("x", "y", "x_val", "y_val"),
    title: str = "",
) -> Dataset:
    """A dataset from arrays in memory.

    Whole-number or true/false targets of one column are classes; two of them make it "binary". A column of
    only 0.0 and 1.0 is "binary" too. Rows with one 1 and else 0 are one-hot classes. All else is regression.
    Values are taken as they are, without scaling.

    Args:
        arrays: ``(x, y)`` or ``(x, y, x_val, y_val)``. x: shape ``(rows, features...)`` or ``(rows,)``;
            y: shape ``(rows,)`` or ``(rows, outputs)``.
        task: Decides what the rules above leave open to doubt.
        names: What the arrays are called in messages.
        title: Name of the dataset; "" for that of own arrays.

    Returns:
        A dataset with float64 arrays where x was given so, else float32.

    Raises:
        DataError: with every fault found.
    """
    if len(arrays) not in (2, 4):
        raise DataError([Fault("data", tr("must be (x, y) or (x, y, x_val, y_val)"), tr("{n} arrays", n=len(arrays)))])
    faults: list[Fault] = []
    parts = [_numbers(value, name, faults) for value, name in zip(arrays, names, strict=False)]
    for x, y, x_name, y_name in zip(parts[::2], parts[1::2], names[::2], names[1::2], strict=False):
        if x is not None and y is not None and len(x) != len(y):
            faults.append(Fault(y_name, tr("must have {n} rows, as many as {name}", n=len(x), name=x_name), len(y)))
    for value, name, first in zip(parts[2:], names[2:], parts[:2], strict=False):
        if value is not None and first is not None and value.shape[1:] != first.shape[1:]:
            faults.append(
                Fault(name, tr("must have rows of the shape {shape}", shape=first.shape[1:]), value.shape[1:])
            )
    for value, name in zip(parts[1::2], names[1::2], strict=False):
        if value is not None and value.ndim != 2:
            faults.append(Fault(name, tr("must have the shape (rows,) or (rows, outputs)"), value.shape))
    if faults:
        raise DataError(faults)
    x_train, y_train = parts[0], parts[1]
    x_val, y_val = (parts[2], parts[3]) if len(parts) == 4 else (None, None)
    assert x_train is not None
    assert y_train is not None
    dtype = np.float64 if x_train.dtype == np.float64 else np.float32
    decided, labels, labels_val, class_names = _targets(y_train, y_val, task, names, faults)
    if faults:
        raise DataError(faults)

    def target(y: Array | None, classes: Array | None) -> Array | None:
        if y is None or classes is None or y.shape[1] > 1:
            return None if y is None else np.ascontiguousarray(y, dtype)
        return _matrix(classes, 1 if decided == "binary" else len(class_names), dtype)

    y_ready = target(y_train, labels)
    assert y_ready is not None
    return Dataset(
        np.ascontiguousarray(x_train, dtype),
        y_ready,
        decided,
        labels,
        None if x_val is None else np.ascontiguousarray(x_val, dtype),
        target(y_val, labels_val),
        labels_val,
        class_names,
        numbered("x", int(np.prod(x_train.shape[1:]))),
        title or tr("own arrays"),
    )


def _numbers(value: Any, name: str, faults: list[Fault]) -> Array | None:
    """A finite array of at least two axes, or None and faults."""
    try:
        array = np.asarray(value)
    except ValueError:
        faults.append(Fault(name, tr("must be an array with rows of one length"), MISSING))
        return None
    if array.dtype.kind not in "biuf":
        faults.append(Fault(name, tr("must hold numbers"), f"dtype {array.dtype}"))
        return None
    if array.ndim == 0 or array.size == 0:
        faults.append(Fault(name, tr("must have at least one row and one value in it"), f"shape {array.shape}"))
        return None
    if array.ndim == 1:
        array = array[:, None]
    if array.dtype.kind == "f":
        limit = np.finfo(np.float64 if array.dtype == np.float64 else np.float32).max
        finite = np.isfinite(array) & (np.abs(array) <= limit)
        if not finite.all():
            place = np.argwhere(~finite)[0].tolist()
            count = int(array.size - np.count_nonzero(finite))
            path = name + "".join(f"[{index}]" for index in place)
            message = (
                tr("must be a finite number, and so must {n} more", n=count - 1)
                if count > 1
                else tr("must be a finite number")
            )
            faults.append(Fault(path, message, float(array[tuple(place)])))
            return None
    return array


def _targets(
    y: Array, y_val: Array | None, task: TaskChoice, names: Sequence[str], faults: list[Fault]
) -> tuple[Task, Array | None, Array | None, tuple[str, ...]]:
    """Task, labels of both parts and class names; adds faults."""
    both = [y] if y_val is None else [y, y_val]
    if task == "regression":
        return "regression", None, None, ()
    only01 = all(bool(((part == 0) | (part == 1)).all()) for part in both)
    if y.shape[1] > 1:
        if only01 and all(bool((part.sum(1) == 1).all()) for part in both):
            labels = [part.argmax(1).astype(np.int64) for part in both]
            return (
                "classification",
                labels[0],
                labels[-1] if len(labels) > 1 else None,
                _class_names(y.shape[1]),
            )
        if task == "classification":
            faults.append(Fault(names[1], tr("must have one 1 and else 0 in every row for a classification"), MISSING))
        return "regression", None, None, ()
    if task == "auto" and not only01 and any(part.dtype.kind == "f" for part in both):
        return "regression", None, None, ()
    for part, name in zip(both, names[1::2], strict=False):
        values = part[:, 0]
        odd = np.flatnonzero((values != np.round(values)) | (values < 0) | (values >= MAX_CLASSES))
        if len(odd):
            faults.append(
                Fault(
                    f"{name}[{odd[0]}]",
                    tr(
                        "must be a class, a whole number from 0 to {highest}; give targets of a regression as float",
                        highest=MAX_CLASSES - 1,
                    ),
                    values[odd[0]].item(),
                )
            )
    if faults:
        return "regression", None, None, ()
    labels = [part[:, 0].astype(np.int64) for part in both]
    classes = max(2, 1 + max(int(part.max()) for part in labels))
    return (
        "binary" if classes == 2 else "classification",
        labels[0],
        labels[-1] if len(labels) > 1 else None,
        _class_names(classes),
    )


def _class_names(count: int) -> tuple[str, ...]:
    return tuple(str(index) for index in range(count))

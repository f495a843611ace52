"""A recording: what one training did, step by step and layer by layer, as a value of its own."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradsim.i18n import mark, tr
from gradsim.replacing import replacing
from gradsim.telemetry import quantities as q
from gradsim.telemetry.classes import State, state
from gradsim.telemetry.columns import Columns, Pool, grid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP_COUNTS: tuple[str, ...] = tuple(f"{key}_{kind}" for kind in ("nan", "inf") for key in q.STEP_COLUMNS)
"""Recorded beside the values of a step: in how many steps of a row each was NaN, or infinite."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of the layer table: a layer of the expanded stack (repeats unrolled)."""

    name: str
    type: str = ""
    """Keras' class name: "Dense", "BatchNormalization"."""
    label: str = ""
    """For people: "Dense 100 sigmoid"."""
    shape: tuple[int, ...] = ()
    """Shape of the output without the batch axis."""
    parameters: int = 0
    """All parameters, trainable or not."""
    weight_size: int = 0
    """Entries of the main weight (kernel, gamma, alpha); 0 where there is none."""
    units: int = 0
    """Outputs for one row of the batch: the product of ``shape``."""
    trainable: bool = True
    path: str = ""
    """Where it stands in the experiment: "layers.2.layers.0"."""
    repeat: int | None = None
    """Which copy it is within its repeat group, from 0."""

    @property
    def frozen(self) -> bool:
        """Whether it could learn and was told not to."""
        return self.weight_size > 0 and not self.trainable


ARRAYS = (mark("activation"), mark("delta"), mark("gradient"), mark("weight"))
"""The arrays of a layer in which a number may be lost, as :attr:`FirstNonfinite.quantity` names them."""


class FirstNonfinite(NamedTuple):
    """Where a number first was no longer finite."""

    step: int
    """First step of the row in which it happened."""
    layer: int | None
    """Index into the layer table; None for the loss."""
    quantity: str
    """"activation", "delta", "gradient", "weight" or "loss"."""
    kind: str
    """"nan" or "inf" (NaN where both occur at once)."""


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One layer in the table at the end of a run."""

    index: int
    layer: Layer
    delta_rms: float
    gradient_rms: float
    update_ratio: float
    activation_std: float
    state: State


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two recordings differ. Truth value: whether they do."""

    layers: tuple[str, ...]
    """What differs in the layer tables, in words; empty if they are the same."""
    only_here: int
    """Rows (steps or blocks of steps) that only the first has."""
    only_there: int
    first_differing_step: int | None
    """First common step at which any number differs, be it by one bit; None if there is none."""
    relative: Mapping[str, float] = field(default_factory=dict)
    """Per quantity max |a - b| / max(|a|, |b|) over all common rows; inf where one is a number and the
    other NaN, or one infinite. Quantities that agree in every bit are left out."""

    @property
    def same_layers(self) -> bool:
        return not self.layers

    def __bool__(self) -> bool:
        return bool(self.layers or self.only_here or self.only_there or self.first_differing_step is not None)


class Recording:
    """What was recorded. Immutable; the arrays it hands out are read-only.

    Its rows are steps, or blocks of consecutive steps where the recording is coarse (the oldest part of a
    long run): row ``i`` stands for the steps [``steps[i]``, ``steps[i] + strides[i]``).

    ``recording["gradient_norm"]`` has the shape (rows, layers), ``recording["loss"]`` (rows,): the value,
    or in a block the mean of the finite ones (of counts: the sum). :meth:`minimum` and :meth:`maximum` have
    the same shape. A value is NaN where the layer has no such thing, or where nothing was finite; the
    counts tell which.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        layers: Sequence[Layer],
        steps: Ints,
        strides: Ints,
        mean: Mapping[str, Floats],
        low: Mapping[str, Floats],
        high: Mapping[str, Floats],
        *,
        every: int = 1,
        validation: Floats | None = None,
        experiment: dict[str, Any] | None = None,
        source: str = "gradsim",
        dtype: str = "float32",
        seed: int | None = None,
        first_nonfinite: FirstNonfinite | None = None,
        initial_weights: Sequence[NDArray[Any]] | None = None,
        final_weights: Sequence[NDArray[Any]] | None = None,
    ) -> None:
        """``mean`` holds every stored column by key, ``low`` and ``high`` those of the leading coarse rows
        only."""
        self.layers = tuple(layers)
        self.steps = _locked(np.asarray(steps, np.int64))
        self.strides = _locked(np.asarray(strides, np.int64))
        self.every = every
        self.coarse_rows = len(next(iter(low.values()), ()))
        self.experiment = experiment
        self.source = source
        self.dtype = dtype
        self.seed = seed
        self.first_nonfinite = first_nonfinite
        self._validation = _locked(np.empty((0, 3)) if validation is None else np.asarray(validation, np.float64))
        self.initial_weights = None if initial_weights is None else [_kept(w) for w in initial_weights]
        self.final_weights = None if final_weights is None else [_kept(w) for w in final_weights]
        self._mean = {key: _locked(value) for key, value in mean.items()}
        self._low = {key: _locked(value) for key, value in low.items()}
        self._high = {key: _locked(value) for key, value in high.items()}
        self._complete()

    def _complete(self) -> None:
        """Add what was not handed in: columns of another version as NaN, derived ones from their
        formula."""
        rows = len(self.steps)
        for key in q.LAYER_COLUMNS:
            if key not in self._mean:
                missing = 0.0 if q.quantity(key).counts else np.nan
                # Broadcast, since a file may leave a column out and name a million rows.
                self._mean[key] = np.broadcast_to(np.float64(missing), (rows, len(self.layers)))
        for key in (*q.STEP_COLUMNS, *STEP_COUNTS):
            if key not in self._mean:
                self._mean[key] = np.broadcast_to(np.float64(0.0 if key in STEP_COUNTS else np.nan), (rows,))
        for derived in q.definitions("layer", stored=False):
            if derived.proportional_to is None and derived.key not in self._mean:
                self._mean[derived.key] = _locked(self._formula(derived, slice(0, rows)))

    def _formula(self, derived: q.Quantity, rows: slice) -> Floats:
        assert derived.formula is not None
        known = {key: self._mean[key][rows] for key in q.LAYER_COLUMNS}
        known |= {key: self._mean[key][rows, None] for key in q.STEP_COLUMNS}
        with np.errstate(all="ignore"):
            return derived.formula(known, q.Sizes.of(self.layers))

    # -- reading ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def start(self) -> int:
        """First recorded step; 0 for an empty recording."""
        return int(self.steps[0]) if len(self) else 0

    @property
    def stop(self) -> int:
        """The step after the last recorded one."""
        return int(self.steps[-1] + self.strides[-1]) if len(self) else 0

    def __getitem__(self, key: str) -> Floats:
        """Values by key: (rows, layers) or (rows,). Raises KeyError that lists the quantities."""
        return self._values(key, self._mean, None)

    def minimum(self, key: str) -> Floats:
        """Smallest value in each row; shapes and errors as in ``recording[key]``."""
        return self._values(key, self._mean, self._low)

    def maximum(self, key: str) -> Floats:
        """Largest value in each row; shapes and errors as in ``recording[key]``."""
        return self._values(key, self._mean, self._high)

    def keys(self) -> tuple[str, ...]:
        """All quantities that can be asked for."""
        return tuple(definition.key for definition in q.definitions())

    def _values(self, key: str, mean: Mapping[str, Floats], extreme: Mapping[str, Floats] | None) -> Floats:
        definition = None if key in STEP_COUNTS else q.quantity(key)
        if definition is not None and definition.proportional_to is not None:
            assert definition.formula is not None
            base = self._values(definition.proportional_to, mean, extreme)
            return _locked(definition.formula({definition.proportional_to: base}, q.Sizes.of(self.layers)))
        values = mean[key]
        if extreme is None or not self.coarse_rows or key not in extreme:
            return values
        return _locked(np.concatenate([extreme[key], values[self.coarse_rows :]]))

    @property
    def validation(self) -> Validation:
        """Results on the validation rows, as columns of equal length."""
        return Validation(
            _locked(self._validation[:, 0].astype(np.int64)), self._validation[:, 1], self._validation[:, 2]
        )

    def row_of(self, step: int) -> int:
        """Index of the row that stands for ``step``; negative steps count rows from the end.

        Raises IndexError for a step that is not recorded.
        """
        if step < 0:
            row = len(self) + step
            if row >= 0:
                return row
        else:
            row = int(np.searchsorted(self.steps, step, side="right")) - 1
            if row >= 0 and step < self.steps[row] + self.strides[row]:
                return row
        raise IndexError(f"step: allowed {self.start} to {self.stop - 1}; received {step}")

    def columns(
        self,
        key: str,
        start: int | None = None,
        stop: int | None = None,
        width: int = 2**62,
        stride: int | None = None,
    ) -> Columns:
        """As :meth:`gradsim.telemetry.recorder.Recorder.columns`, so that a view need not know which it
        shows."""
        definition = q.quantity(key)
        origin = self.start
        first, used, n = grid(
            origin if start is None else start,
            self.stop if stop is None else stop,
            width,
            origin=origin,
            every=self.every,
            stride=stride,
        )
        a = int(np.searchsorted(self.steps + self.strides, first, side="right"))
        b = int(np.searchsorted(self.steps, first + n * used, side="left"))
        flat = definition.scope == "step"
        names = ((f"{key}_nan",), (f"{key}_inf",)) if flat else (definition.nan_columns, definition.inf_columns)
        pool = Pool(first, used, n, 1 if flat else len(self.layers))
        for lo, hi in ((a, min(b, self.coarse_rows)), (max(a, self.coarse_rows), b)):
            if lo >= hi:
                continue
            rows = slice(lo, hi)
            high, low = self.maximum(key)[rows], self.minimum(key)[rows]
            marks = [
                np.logical_or.reduce([self._mean[name][rows] > 0 for name in group]) if group else None
                for group in names
            ]
            if flat:
                high, low = high[:, None], low[:, None]
                marks = [None if mark is None else mark[:, None] for mark in marks]
            strides = self.strides[rows]
            even = np.all(strides == strides[0]) and np.all(np.diff(self.steps[rows]) == strides[0])
            if even:
                pool.add_even(int(self.steps[lo]), int(strides[0]), high, low, *marks)
            else:
                pool.add(self.steps[rows], strides, high, low, *marks)
        return pool.columns(key, flat=flat)

    # -- judging ---------------------------------------------------------------------------------

    def layer_states(self, step: int = -1) -> list[State]:
        """What can be said of each layer at ``step``: the worst of its delta and its gradient.

        NaN before Inf (in the activation too), then frozen, exploding, zero, subnormal, vanishing, healthy.
        A gradient alone would not do: a dead ReLU stack looks healthy by the ratios of its gradients.
        """
        row = self.row_of(step)
        result = []
        for index, layer in enumerate(self.layers):
            found = set()
            for key in ("delta_rms", "gradient_rms"):
                definition = q.quantity(key)
                nan = any(self._mean[name][row, index] > 0 for name in ("activation_nan", *definition.nan_columns))
                inf = any(self._mean[name][row, index] > 0 for name in ("activation_inf", *definition.inf_columns))
                value = float(self[key][row, index])
                found.add(state(definition, value, nan=nan, inf=inf, frozen=layer.frozen))
            if layer.frozen:
                found.add(State.FROZEN)
            result.append(next(name for name in _WORST_FIRST if name in found))
        return result

    def summary(self, step: int = -1) -> list[SummaryRow]:
        """The table of all layers at ``step`` (-1: the last row). Raises IndexError for a step not
        recorded."""
        row = self.row_of(step)
        states = self.layer_states(step)
        delta, gradient, update, deviation = (
            self[key][row].tolist() for key in ("delta_rms", "gradient_rms", "update_ratio", "activation_std")
        )
        return [
            SummaryRow(i, layer, delta[i], gradient[i], update[i], deviation[i], states[i])
            for i, layer in enumerate(self.layers)
        ]

    def compare(self, other: Recording) -> Comparison:
        """What differs between this and ``other``, over the rows that both have."""
        words = _layer_differences(self.layers, other.layers)
        spans = [
            {(int(a), int(b)): i for i, (a, b) in enumerate(zip(r.steps, r.strides, strict=True))}
            for r in (self, other)
        ]
        common = [span for span in spans[0] if span in spans[1]]
        here = np.array([spans[0][span] for span in common], np.int64)
        there = np.array([spans[1][span] for span in common], np.int64)
        relative: dict[str, float] = {}
        first: int | None = None
        for key in self.keys():
            if q.quantity(key).scope == "layer" and len(self.layers) != len(other.layers):
                continue
            for mine, its in (
                (self[key], other[key]),
                (self.minimum(key), other.minimum(key)),
                (self.maximum(key), other.maximum(key)),
            ):
                a, b = mine[here], its[there]
                differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
                if not differs.any():
                    continue
                with np.errstate(all="ignore"):
                    gap = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
                largest = float(np.where(np.isnan(gap), np.inf, gap)[differs].max())
                relative[key] = max(relative.get(key, 0.0), largest)
                step = common[int(np.argmax(differs.reshape(len(common), -1).any(axis=1)))][0]
                first = step if first is None else min(first, step)
        return Comparison(words, len(self) - len(common), len(other) - len(common), first, relative)

    def __eq__(self, other: object) -> bool:
        """Everything equal: tables, numbers (NaN equals NaN), validation, weights and where it comes
        from."""
        if not isinstance(other, Recording):
            return NotImplemented
        plain = ("layers", "every", "experiment", "source", "dtype", "seed", "first_nonfinite", "coarse_rows")
        if any(getattr(self, name) != getattr(other, name) for name in plain):
            return False
        pairs: list[tuple[NDArray[Any], NDArray[Any]]] = [
            (self.steps, other.steps),
            (self.strides, other.strides),
            (self._validation, other._validation),
        ]
        for mine, its in ((self._mean, other._mean), (self._low, other._low), (self._high, other._high)):
            if mine.keys() != its.keys():
                return False
            pairs += [(mine[key], its[key]) for key in mine]
        for ours, theirs in (
            (self.initial_weights, other.initial_weights),
            (self.final_weights, other.final_weights),
        ):
            if (ours is None) != (theirs is None) or len(ours or ()) != len(theirs or ()):
                return False
            pairs += list(zip(ours or (), theirs or (), strict=True))
        return all(a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True) for a, b in pairs)

    def __repr__(self) -> str:
        return (
            f"<Recording from {self.source}: steps {self.start} to {self.stop - 1}, {len(self)} rows, "
            f"{len(self.layers)} layers>"
            if len(self)
            else f"<Recording from {self.source}: no steps, {len(self.layers)} layers>"
        )

    # -- parts and files -------------------------------------------------------------------------

    def slice(self, start: int = 0, stop: int | None = None) -> Recording:
        """The rows that begin in [start, stop), with the validation of these steps.

        The weights stay where they belong to the part: the initial ones if it begins at the first row, the
        final ones if it ends with the last.
        """
        stop = self.stop if stop is None else stop
        a, b = np.searchsorted(self.steps, (start, stop))
        b = max(a, b)
        rows, coarse = slice(a, b), slice(a, min(b, self.coarse_rows))
        steps = self._validation[:, 0]
        part = Recording(
            self.layers,
            self.steps[rows],
            self.strides[rows],
            {key: value[rows] for key, value in self._mean.items()},
            {key: value[coarse] for key, value in self._low.items()},
            {key: value[coarse] for key, value in self._high.items()},
            every=self.every,
            validation=self._validation[(steps >= start) & (steps < stop)],
            experiment=self.experiment,
            source=self.source,
            dtype=self.dtype,
            seed=self.seed,
            initial_weights=self.initial_weights if a == 0 else None,
            final_weights=self.final_weights if b == len(self) else None,
        )
        known = self.first_nonfinite
        if known is not None:
            inside = len(part) > 0 and part.start <= known.step < part.stop
            part.first_nonfinite = known if inside else part._find_nonfinite()
        return part

    def _find_nonfinite(self) -> FirstNonfinite | None:
        counts = np.stack([self._mean[key] for key in COUNT_KEYS], axis=-1)
        loss = np.where(self._mean["loss_nan"] > 0, np.nan, np.where(self._mean["loss_inf"] > 0, np.inf, 0.0))
        found = find_nonfinite(counts, loss)
        return None if found is None else found[1]._replace(step=int(self.steps[found[0]]))

    def with_weights(
        self,
        *,
        initial: Sequence[NDArray[Any]] | None = None,
        final: Sequence[NDArray[Any]] | None = None,
    ) -> Recording:
        """The same recording with weights in Keras' ``get_weights()`` order; None keeps what is there."""
        return Recording(
            self.layers,
            self.steps,
            self.strides,
            self._mean,
            self._low,
            self._high,
            every=self.every,
            validation=self._validation,
            experiment=self.experiment,
            source=self.source,
            dtype=self.dtype,
            seed=self.seed,
            first_nonfinite=self.first_nonfinite,
            initial_weights=self.initial_weights if initial is None else initial,
            final_weights=self.final_weights if final is None else final,
        )

    def with_coarse(self, known: Mapping[str, Floats]) -> Recording:
        """The same recording with the means of derived quantities over its coarse rows, which no formula
        gives back."""
        mean = dict(self._mean)
        for key, values in known.items():
            mean[key] = np.concatenate([values, mean[key][self.coarse_rows :]])
        copy = self.with_weights()
        copy._mean = {key: _locked(value) for key, value in mean.items()}
        return copy

    def save(self, path: str | Path) -> None:
        """Write an .npz file, whole or not at all; see :mod:`gradsim.telemetry.files` for its members."""
        from gradsim.telemetry import files

        files.save(self, path)

    @classmethod
    def load(cls, path: str | Path, *, limit_bytes: int = 2**31) -> Recording:
        """Read what :meth:`save` wrote.

        Nothing in the file is executed or unpickled; an array is only made after its declared size was
        checked against ``limit_bytes`` for the whole file. Raises
        :class:`gradsim.telemetry.files.RecordingFileError` (a ValueError) for anything else than a
        recording, OSError if the file can not be read.
        """
        from gradsim.telemetry import files

        return files.load(path, limit_bytes=limit_bytes)

    def to_csv(self, path: str | Path) -> None:
        """Write one line per row and layer, whole or not at all. See :meth:`csv_lines` for the columns."""
        with replacing(path) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
            csv.writer(text).writerows(self.csv_lines())
            text.flush()
            text.detach()

    def csv_lines(self) -> Iterator[list[Any]]:
        """The header, then the lines of the CSV.

        ``step`` is the first step of the row and ``steps`` how many it stands for. The columns of the step
        are repeated for each of its layers; ``val_loss`` and ``val_accuracy`` stand in the row in whose
        steps validation took place (the last one). A field is empty where there is no such thing. If the
        recording is coarse anywhere, each measured column is followed by the smallest and the largest value
        of the row.
        """
        per_step = [d.key for d in q.definitions("step")]
        per_layer = list(q.definitions("layer"))
        extremes = self.coarse_rows > 0
        header = ["step", "steps", *per_step, "val_loss", "val_accuracy"]
        header += ["layer", "layer_name", "layer_type", "trainable"]
        columns: list[Floats] = []
        for definition in per_layer:
            header.append(definition.key)
            columns.append(self[definition.key])
            if extremes and not definition.counts:
                header += [f"{definition.key}_minimum", f"{definition.key}_maximum"]
                columns += [self.minimum(definition.key), self.maximum(definition.key)]
        yield header
        validation: dict[int, tuple[float, float]] = {}
        for step, loss, accuracy in self._validation.tolist():
            try:
                validation[self.row_of(int(step))] = (loss, accuracy)
            except IndexError:
                continue
        names = [(i, layer.name, layer.type, layer.trainable) for i, layer in enumerate(self.layers)]
        for row in range(len(self)):
            begin: list[Any] = [int(self.steps[row]), int(self.strides[row])]
            for key in per_step:
                value = float(self._mean[key][row])
                lost = math.isnan(value) and self._mean[f"{key}_nan"][row] > 0
                begin.append("nan" if lost else _cell(value))
            begin += [_cell(value) for value in validation.get(row, (math.nan, math.nan))]
            block = np.stack([column[row] for column in columns], axis=1).tolist()
            for layer, values in zip(names, block, strict=True):
                yield [*begin, *layer, *(_cell(value) for value in values)]


class Validation(NamedTuple):
    """Results on the validation rows, each array of shape (times,)."""

    step: Ints
    """The step after which it took place."""
    val_loss: Floats
    val_accuracy: Floats


_WORST_FIRST = (
    State.NAN,
    State.INFINITE,
    State.FROZEN,
    State.EXPLODING,
    State.ZERO,
    State.SUBNORMAL,
    State.VANISHING,
    State.HEALTHY,
    State.NONE,
)

COUNT_KEYS: tuple[str, ...] = tuple(d.key for d in q.definitions("layer", stored=True) if d.counts)
"""The counting columns, the last of ``LAYER_COLUMNS``."""


def find_nonfinite(counts: Floats, loss: Floats) -> tuple[int, FirstNonfinite] | None:
    """The first row, and what in it, that is not finite; the step is left 0.

    ``counts`` (rows, layers, len(COUNT_KEYS)), ``loss`` (rows,). Within a step the order is that of the
    training: forward through the layers (activation), the loss, back through the layers (delta, then gradient,
    then the weight that the step leaves behind).
    """
    bad = (counts > 0).any(axis=(1, 2)) | ~np.isfinite(loss)
    if not bad.any():
        return None
    row = int(np.argmax(bad))
    here = dict(zip(COUNT_KEYS, counts[row].T > 0, strict=True))

    def at(layer: int, array: str) -> FirstNonfinite | None:
        for kind in ("nan", "inf"):
            if here[f"{array}_{kind}"][layer]:
                return FirstNonfinite(0, layer, array, kind)
        return None

    layers = range(counts.shape[1])
    for layer in layers:
        if found := at(layer, "activation"):
            return row, found
    if not np.isfinite(loss[row]):
        return row, FirstNonfinite(0, None, "loss", "nan" if np.isnan(loss[row]) else "inf")
    for layer in reversed(layers):
        for array in ("delta", "gradient", "weight"):
            if found := at(layer, array):
                return row, found
    return None


def _layer_differences(mine: Sequence[Layer], its: Sequence[Layer]) -> tuple[str, ...]:
    if len(mine) != len(its):
        return (tr("{n} layers against {other}", n=len(mine), other=len(its)),)
    words = []
    for index, (a, b) in enumerate(zip(mine, its, strict=True)):
        for name in ("name", "type", "shape", "parameters", "weight_size", "trainable", "repeat"):
            ours, theirs = getattr(a, name), getattr(b, name)
            if ours != theirs:
                words.append(
                    tr(
                        "layer {row} ({layer}): {field} {first} against {second}",
                        row=index,
                        layer=a.name,
                        field=name,
                        first=ours,
                        second=theirs,
                    )
                )
    return tuple(words)


def _locked(array: NDArray[Any]) -> NDArray[Any]:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _kept(array: NDArray[Any]) -> NDArray[Any]:
    """A weight that its owner may go on training is copied."""
    return array if not array.flags.writeable else _locked(np.array(array))


def _cell(value: float) -> Any:
    if math.isnan(value):
        return ""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value

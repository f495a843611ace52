"""What the rules look at: a recording, or a run that is still going on, pooled so that its length does not matter."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gradsim.model import Experiment
from gradsim.nn import activations
from gradsim.telemetry import Columns, FirstNonfinite, Layer, Position, Recorder
from gradsim.telemetry.columns import grid

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Regime = Literal["full batch", "mini-batch", "SGD"]

COLUMNS = 160
"""Columns that the whole run is pooled into at most."""
RECENT = 64
"""Last steps that are looked at one by one."""
TAIL = 2048
"""Last steps whose loss is looked at one by one."""

NORMALISATIONS = frozenset({"BatchNormalization", "LayerNormalization"})
NOT_KERNELS = NORMALISATIONS | {"PReLU"}

FAR = 0.5
"""Share of the loss of guessing above which the loss counts as far from an optimum."""
GOOD_ACCURACY = 0.9
"""Share of right answers from which on it does not, whatever the loss says."""


ALIKE = 0.25
"""How far the largest weight may lie above the RMS of weights that are all of one size: a first step moves them."""
MANY = 64
"""Weights from which on no random kernel comes as near to that."""


def context(experiment: Experiment) -> dict[str, Any]:
    """What the rules ask of an experiment, in the form of a file, to be kept with a recording."""
    optimizer = experiment.optimizer
    clipping = {name: getattr(optimizer, name) for name in ("clipvalue", "clipnorm", "global_clipnorm")}
    return {
        "loss": experiment.loss.identifier,
        "optimizer": {"type": optimizer.identifier, **{name: v for name, v in clipping.items() if v is not None}},
        "batch_size": experiment.batch_size,
    }


class Source(Protocol):
    """A :class:`gradsim.telemetry.Recording` or a :class:`gradsim.telemetry.Recorder` that is being written."""

    @property
    def layers(self) -> Sequence[Layer]: ...

    @property
    def dtype(self) -> str: ...

    @property
    def experiment(self) -> dict[str, Any] | None: ...

    @property
    def every(self) -> int: ...

    @property
    def stop(self) -> int: ...

    @property
    def first_nonfinite(self) -> FirstNonfinite | None: ...

    def columns(
        self, key: str, start: int | None = None, stop: int | None = None, width: int = ..., stride: int | None = None
    ) -> Columns: ...


class Window:
    """Consecutive steps in at most so many columns: C columns, L layers."""

    def __init__(self, source: Source, start: int | None, stop: int, width: int) -> None:
        self._source, self._start, self._stop, self._width = source, start, stop, width
        self._known: dict[str, Columns] = {}
        loss = self.columns("loss")
        used = loss.recorded
        self._first = int(np.argmax(used)) if used.any() else 0
        self._last = len(used) - int(np.argmax(used[::-1])) if used.any() else 0
        self.stride = loss.stride
        self.steps: NDArray[np.int64] = loss.steps[self._first : self._last]
        self.stop = stop

    def __len__(self) -> int:
        return len(self.steps)

    def columns(self, key: str) -> Columns:
        if key not in self._known:
            # What is recorded after this look began must not make the columns of two quantities differ.
            self._known[key] = self._source.columns(key, self._start, self._stop, self._width)
        return self._known[key]

    def high(self, key: str) -> Floats:
        """Largest values, (C, L) or (C,)."""
        return self.columns(key).maximum[self._first : self._last]

    def low(self, key: str) -> Floats:
        """Smallest values, (C, L) or (C,)."""
        return self.columns(key).minimum[self._first : self._last]

    def log10(self, key: str) -> Floats:
        """log10 of a positive quantity's middle; -inf for exactly 0, NaN where there is none, +inf for Inf or NaN."""
        found = self.columns(key)
        cut = slice(self._first, self._last)
        high, low = found.maximum[cut], found.minimum[cut]
        with np.errstate(all="ignore"):
            middle = np.where(low > 0, (np.log10(high) + np.log10(low)) / 2, np.log10(high))
        return np.where(found.nan[cut] | found.inf[cut], np.inf, middle)

    def middle(self, key: str) -> Floats:
        """Halfway between the largest and the smallest value."""
        with np.errstate(all="ignore"):
            return (self.high(key) + self.low(key)) / 2

    def end_of(self, column: int) -> int:
        """The step after those of a column."""
        return int(min(self.steps[column] + self.stride, self.stop))


@dataclass(frozen=True)
class Clipping:
    """The clipping that the experiment asked for."""

    way: str
    limit: float


class Live:
    """A recorder that is being written, for a diagnosis several times a second: what was pooled stays pooled.

    Used as the source of :func:`gradsim.diagnose.findings.diagnose`, always by the same thread.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._position: Position | None = None
        self._known: dict[str, Columns] = {}

    @property
    def layers(self) -> Sequence[Layer]:
        """As of the recorder."""
        return self.recorder.layers

    @property
    def dtype(self) -> str:
        """As of the recorder."""
        return self.recorder.dtype

    @property
    def experiment(self) -> dict[str, Any] | None:
        """As of the recorder."""
        return self.recorder.experiment

    @property
    def every(self) -> int:
        """As of the recorder."""
        return self.recorder.every

    @property
    def stop(self) -> int:
        """As of the recorder."""
        return self.recorder.stop

    @property
    def first_nonfinite(self) -> FirstNonfinite | None:
        """As of the recorder."""
        return self.recorder.first_nonfinite

    def columns(
        self,
        key: str,
        start: int | None = None,
        stop: int | None = None,
        width: int = 2**62,
        stride: int | None = None,
    ) -> Columns:
        """As :meth:`gradsim.telemetry.Recorder.columns`; of the whole run only what is new is read."""
        recorder = self.recorder
        if start is not None or stop is None or stride is not None or width != COLUMNS:
            return recorder.columns(key, start, stop, width, stride)
        news = recorder.since(self._position)
        self._position = news.position
        if news.start < max((known.stop for known in self._known.values()), default=0):
            # A rewind: of what lies behind it nothing holds any more.
            self._known = {name: _before(known, news.start) for name, known in self._known.items()}
        first, used, _ = grid(recorder.first_step, stop, width, origin=recorder.first_step, every=recorder.every)
        known = self._known.get(key)
        if known is None or known.stride != used or known.start != first or not len(known):
            found = recorder.columns(key, None, stop, stride=used)
        else:
            found = _joined(known, recorder.columns(key, known.stop, stop, stride=used))
        self._known[key] = _before(found, stop)
        return found


def _before(columns: Columns, stop: int) -> Columns:
    """The columns that end at a step or before it: those are complete."""
    n = max(0, (stop - columns.start) // columns.stride)
    if n >= len(columns):
        return columns
    return dataclasses.replace(columns, **{name: getattr(columns, name)[:n] for name in _ARRAYS})


def _joined(early: Columns, late: Columns) -> Columns:
    joined: dict[str, Any] = {name: np.concatenate([getattr(early, name), getattr(late, name)]) for name in _ARRAYS}
    return dataclasses.replace(early, **joined)


_ARRAYS = ("maximum", "minimum", "nan", "inf", "recorded", "full")


class Evidence:
    """A run as the rules see it.

    Attributes:
        kernels: Rows with a kernel, from the input to the output.
        hidden: The same without the output.
        normalised: True if batch normalisation stands between the kernels.
        whole: The whole run.
        recent: Its last steps, one by one.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.layers = tuple(source.layers)
        self.stop = source.stop
        self.dtype = source.dtype
        self.first_nonfinite = source.first_nonfinite
        self.kernels = np.array(
            [i for i, layer in enumerate(self.layers) if layer.weight_size and layer.type not in NOT_KERNELS], np.int64
        )
        self.hidden = self.kernels[:-1]
        self.batch_normalised = np.array(
            [i for i, layer in enumerate(self.layers) if layer.type == "BatchNormalization"], np.int64
        )
        self.whole = Window(source, None, self.stop, COLUMNS)
        self.recent = Window(source, max(0, self.stop - RECENT * source.every), self.stop, RECENT)

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def start(self) -> int:
        """First recorded step."""
        return int(self.whole.steps[0]) if len(self) else 0

    @functools.cached_property
    def content(self) -> Mapping[str, Any]:
        """The experiment as a file holds it; empty if the recording does not know it."""
        return self.source.experiment or {}

    @functools.cached_property
    def clipping(self) -> Clipping | None:
        """What the experiment clips by, or None."""
        optimizer = self.content.get("optimizer")
        if isinstance(optimizer, Mapping):
            for way in ("clipvalue", "clipnorm", "global_clipnorm"):
                if optimizer.get(way) is not None:
                    return Clipping(way, float(optimizer[way]))
        return None

    @functools.cached_property
    def regime(self) -> Regime:
        """How many rows a step sees."""
        rows, epoch = self.recent.high("rows"), self.recent.high("epoch")
        if len(rows) and np.nanmax(rows, initial=0) == 1:
            return "SGD"
        if len(epoch) > 1:
            per_step = (epoch[-1] - epoch[0]) / (len(epoch) - 1)
            return "full batch" if per_step >= 1 / self.source.every else "mini-batch"
        return "mini-batch" if self.content.get("batch_size", 32) is not None else "full batch"

    @functools.cached_property
    def activations(self) -> tuple[activations.Activation | None, ...]:
        """The activation of each row, read from its label; None where it has none or it is not known."""
        found: list[activations.Activation | None] = []
        for layer in self.layers:
            name = layer.type if layer.type in _AS_LAYERS else (layer.label.split() or [""])[-1]
            name = _AS_LAYERS.get(name, name)
            found.append(activations.registry[name]() if name in activations.registry else None)
        return tuple(found)

    def acting(self, wanted: str) -> NDArray[np.int64]:
        """Rows before the output whose activation is "saturating" on both sides, or "dying": exactly flat below 0."""
        last = int(self.kernels[-1]) if len(self.kernels) else 0
        rows = []
        for row, activation in enumerate(self.activations[:last]):
            if activation is None:
                continue
            dying = activation.identifier == "relu"
            if (wanted == "saturating" and activation.saturating) or (wanted == "dying" and dying):
                rows.append(row)
        return np.array(rows, np.int64)

    # Loss

    @functools.cached_property
    def guessing(self) -> float:
        """Loss of answering without looking at the input: of equal shares for classes, else that of the first steps."""
        units = self.layers[-1].units if self.layers else 0
        classes = max(units, 2)
        loss = self.content.get("loss", "categorical_crossentropy")
        name = loss.get("type", "") if isinstance(loss, Mapping) else str(loss)
        accuracy = self.whole.high("accuracy")
        if np.isfinite(accuracy).any() and units:
            if "crossentropy" in name:
                return math.log(classes)
            if name == "mse":
                return 0.25 if units == 1 else (classes - 1) / classes**2
        first = self.whole.middle("loss")[:3]
        usable = first[np.isfinite(first)]
        return float(np.median(usable)) if len(usable) else math.nan

    @functools.cached_property
    def smooth_loss(self) -> Floats:
        """(C,) running median of the loss; NaN where it is not finite."""
        return _running_median(self.whole.middle("loss"))

    @functools.cached_property
    def far(self) -> Bools:
        """(C,) whether the loss is far from an optimum: there a small gradient is a fault, near one it is none."""
        loss = self.smooth_loss
        far = ~(loss <= FAR * self.guessing)
        accuracy = _running_median(self.whole.middle("accuracy"))
        return far & ~(accuracy >= GOOD_ACCURACY)

    @functools.cached_property
    def tail(self) -> Floats:
        """Loss of the last steps, one by one, those that are finite."""
        loss = Window(self.source, max(0, self.stop - TAIL * self.source.every), self.stop, TAIL).high("loss")
        return loss[np.isfinite(loss)]

    @functools.cached_property
    def far_now(self) -> bool:
        """Whether the last steps are far from an optimum."""
        if not len(self):
            return False
        part = self.tail[-max(8, len(self.tail) // 8) :]
        accuracy = self.recent.high("accuracy")
        good = bool(np.isfinite(accuracy).any()) and float(np.nanmean(accuracy)) >= GOOD_ACCURACY
        return not good and not (len(part) and float(np.mean(part)) <= FAR * self.guessing)

    # Profiles over depth

    @functools.cached_property
    def delta(self) -> Floats:
        """(C, K) log10 of the RMS of delta at the kernels."""
        return self.whole.log10("delta_rms")[:, self.kernels]

    @functools.cached_property
    def gradient(self) -> Floats:
        """(C, K) log10 of the RMS of dW at the kernels."""
        return self.whole.log10("gradient_rms")[:, self.kernels]

    @functools.cached_property
    def update_ratio(self) -> Floats:
        """(C, K) log10 of |update| / |W| at the kernels."""
        return self.whole.log10("update_ratio")[:, self.kernels]

    @functools.cached_property
    def constant(self) -> Bools:
        """(K,) kernels all of whose weights were of one size in the first recorded step: zeros, ones, a constant."""
        size = np.array([self.layers[i].weight_size for i in self.kernels], np.float64)
        largest, norm = self.whole.high("weight_max")[0, self.kernels], self.whole.high("weight_norm")[0, self.kernels]
        wide = np.array([self.layers[i].units > 1 for i in self.kernels], np.bool_)
        if self.whole.stride > 1:
            first = Window(self.source, None, self.start + 1, 1)
            largest, norm = first.high("weight_max")[0, self.kernels], first.high("weight_norm")[0, self.kernels]
        with np.errstate(all="ignore"):
            # The largest of many uniform draws is 1.73 times their RMS, of normal ones more.
            tolerance = np.where(size >= MANY, ALIKE, 1e-4)
            alike: Bools = wide & (np.abs(largest * np.sqrt(size) - norm) <= tolerance * norm)
        return alike


_AS_LAYERS = {"LeakyReLU": "leaky_relu", "ELU": "elu", "PReLU": "leaky_relu"}


def _running_median(values: Floats) -> Floats:
    """Median over about a tenth of the columns; NaN only where the middle itself is not finite."""
    n = len(values)
    reach = max(1, n // 20)
    if n < 5:
        return np.where(np.isfinite(values), values, np.nan)
    edge = np.full(reach, np.nan)
    padded = np.concatenate([edge, np.where(np.isfinite(values), values, np.nan), edge])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    found = np.full(n, np.nan)
    some = np.isfinite(windows).any(axis=1)
    found[some] = np.nanmedian(windows[some], axis=1)
    return np.where(np.isfinite(values), found, np.nan)


def slope(profile: Floats) -> Floats:
    """(C,) least-squares slope of each row of (C, K) over 0 .. K-1; NaN where a value is not finite."""
    k = profile.shape[1]
    if k < 2:
        return np.full(len(profile), np.nan)
    x = np.arange(k) - (k - 1) / 2
    with np.errstate(all="ignore"):
        return np.asarray(profile @ x / (x @ x))

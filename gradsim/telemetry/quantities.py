"""Everything that is recorded about a training, defined once.

One :class:`Quantity` is one definition: its key, its words, where it comes from and how it is coloured. The
recorder, the recording, its file, the CSV, the heatmap and the tables follow from the registered
definitions.

A *stored* quantity is written by whoever trains (one float64 per step and layer, or per step). A *derived*
one is a formula over stored columns, the sizes of the layers and the learning rate.

What each stands for: ``delta`` is dL/d(pre-activation) (for a layer without activation, dL/d(its output))
over all rows of the batch; ``gradient`` is dL/d(main weight) as the backward pass gives it, before
clipping; ``weight`` is the main weight as the step leaves it; ``update`` is what the optimizer adds to it.
Norms and maxima are those of the finite entries; the entries that are not finite are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gradsim.i18n import tr

Floats = NDArray[np.float64]
Scope = Literal["layer", "step"]


class Sized(Protocol):
    """What a formula may ask of a layer: see :class:`gradsim.telemetry.recording.Layer`."""

    @property
    def weight_size(self) -> int: ...

    @property
    def units(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of all layers as float64 arrays of shape (layers,)."""

    weight: Floats
    """Entries of the main weight; 0 for a layer without one."""
    units: Floats
    """Outputs for one row of the batch."""

    @classmethod
    def of(cls, layers: Sequence[Sized]) -> Sizes:
        return cls(
            np.array([layer.weight_size for layer in layers], dtype=np.float64),
            np.array([layer.units for layer in layers], dtype=np.float64),
        )


Formula = Callable[[Mapping[str, Floats], Sizes], Floats]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The fixed colour scale of one quantity, in its own unit.

    Beyond ``low`` and ``high`` the colour no longer changes; ``neutral`` is the healthy middle. Below
    ``vanishing`` and above ``exploding`` a layer is called so; None where the quantity says nothing of the
    kind.

    Raises ValueError for an order that no scale can have.
    """

    low: float
    neutral: float
    high: float
    vanishing: float | None = None
    exploding: float | None = None

    def __post_init__(self) -> None:
        known = [
            value for value in (self.low, self.vanishing, self.neutral, self.exploding, self.high) if value is not None
        ]
        ordered = all(a <= b for a, b in pairwise(known))
        if not (ordered and self.low < self.high and all(np.isfinite(known))):
            raise ValueError(
                "thresholds: allowed are finite numbers with low <= vanishing <= neutral <= exploding "
                f"<= high and low < high; received low={self.low}, vanishing={self.vanishing}, "
                f"neutral={self.neutral}, exploding={self.exploding}, high={self.high}"
            )


@dataclass(frozen=True, slots=True)
class Quantity:
    """One thing that is known per step, or per step and layer."""

    key: str
    title: str
    short: str
    unit: str
    """What the number measures, for an axis."""
    help: str
    """One sentence for a student."""
    thresholds: Thresholds
    scope: Scope = "layer"
    scale: Literal["log", "linear"] = "log"
    colours: Literal["diverging", "sequential"] = "diverging"
    of: tuple[str, ...] = ()
    """The arrays it is a statistic of ("delta", "gradient", ...): their NaN and Inf counts are its own."""
    learns: bool = False
    """Whether it is about learning, so that a frozen layer has none."""
    counts: bool = False
    """Whether it is a number of entries: summed over a block of steps where others are averaged."""
    formula: Formula | None = None
    """None for a stored quantity."""
    proportional_to: str | None = None
    """The one stored column which ``formula`` multiplies by a constant of each layer. Minimum, maximum and
    mean of a block then follow from those of the column; other derived quantities are recorded beside the
    stored ones."""

    @property
    def stored(self) -> bool:
        return self.formula is None

    @property
    def nan_columns(self) -> tuple[str, ...]:
        return tuple(f"{array}_nan" for array in self.of)

    @property
    def inf_columns(self) -> tuple[str, ...]:
        return tuple(f"{array}_inf" for array in self.of)

    def sentence(self, thresholds: Thresholds | None = None) -> str:
        """What vanishing and exploding mean here, with the numbers used, for the colour bar."""
        used = thresholds or self.thresholds
        parts = []
        if used.vanishing is not None:
            parts.append(tr("below {limit:g} = vanishing", limit=used.vanishing))
        if used.exploding is not None:
            parts.append(tr("above {limit:g} = exploding", limit=used.exploding))
        if not parts:
            return tr("{title}: {low:g} to {high:g}, no threshold.", title=tr(self.title), low=used.low, high=used.high)
        return tr(
            "{title}: {limits}, about {neutral:g} = healthy.",
            title=tr(self.title),
            limits=tr(", ").join(parts),
            neutral=used.neutral,
        )


_REGISTRY: dict[str, Quantity] = {}


def register(quantity: Quantity) -> Quantity:
    """Add a definition. Raises ValueError for a key that is taken."""
    if quantity.key in _REGISTRY:
        raise ValueError(f"quantity {quantity.key!r} is already registered")
    _REGISTRY[quantity.key] = quantity
    return quantity


def quantity(key: str) -> Quantity:
    """The definition of ``key``. Raises KeyError that lists what there is."""
    try:
        return _REGISTRY[key]
    except KeyError:
        raise KeyError(f"no quantity {key!r}; there are: {', '.join(_REGISTRY)}") from None


def definitions(scope: Scope | None = None, *, stored: bool | None = None) -> Iterator[Quantity]:
    """The registered definitions in order, optionally only those of a scope, stored or derived."""
    for definition in list(_REGISTRY.values()):
        if (scope is None or definition.scope == scope) and (stored is None or definition.stored == stored):
            yield definition


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    """``numerator / denominator``; 0/0 is 0 (nothing of nothing), anything else over 0 has no value
    (NaN)."""
    with np.errstate(all="ignore"):
        ratio = numerator / denominator
    return np.where(denominator == 0, np.where(numerator == 0, 0.0, np.nan), ratio)


def _rms(norm: Floats, size: Floats) -> Floats:
    return norm / np.sqrt(np.where(size > 0, size, np.nan))


# The healthy middle of the gradient is where the optimizer moves a weight by about a thousandth of its size
# per step: with weights near 0.1 (variance 1/width at width 100) and a learning rate near 0.1,
# update/weight = 1e-3 means a gradient RMS of 1e-3. A thousand times less and a weight needs 1e6 steps to
# move by its own size: nothing that a person, or a usual budget, will see. A thousand times more and the
# update is as large as the weight itself. The ends lie where float32 squares (1e-19 and 1e19) begin to lose
# precision on the small side, and early enough on the large side that an explosion is at full colour before
# it overflows.
_GRADIENT_RMS = Thresholds(low=1e-18, vanishing=1e-6, neutral=1e-3, exploding=1.0, high=1e6)
# A norm is the RMS times sqrt(size), and 100 x 100 is the typical weight here.
_GRADIENT_NORM = Thresholds(low=1e-16, vanishing=1e-4, neutral=1e-1, exploding=1e2, high=1e8)
# The largest of 1e4 entries lies a few times, up to some ten times, above their RMS.
_GRADIENT_MAX = Thresholds(low=1e-17, vanishing=1e-5, neutral=1e-2, exploding=1e1, high=1e7)
_COUNT = Thresholds(low=0.0, neutral=0.0, high=1.0)
_SHARE = Thresholds(low=0.0, neutral=0.0, high=1.0)


def _layer(key: str, title: str, short: str, unit: str, help: str, thresholds: Thresholds, **rest: Any) -> None:
    register(Quantity(key, title, short, unit, help, thresholds, **rest))


_layer(
    "delta_norm",
    "Delta (L2 norm)",
    "|delta|",
    "L2 norm of dL/dz over the batch",
    "Length of the error signal that arrives at this layer on its way back from the loss.",
    _GRADIENT_NORM,
    of=("delta",),
)
_layer(
    "delta_max",
    "Delta (largest)",
    "max delta",
    "largest |dL/dz|",
    "The largest single entry of the error signal at this layer.",
    _GRADIENT_MAX,
    of=("delta",),
)
_layer(
    "gradient_norm",
    "Gradient (L2 norm)",
    "|dW|",
    "L2 norm of dL/dW",
    "Length of the weight gradient as the backward pass gives it, before any clipping.",
    _GRADIENT_NORM,
    of=("gradient",),
    learns=True,
)
_layer(
    "gradient_max",
    "Gradient (largest)",
    "max dW",
    "largest |dL/dW|",
    "The largest single entry of the weight gradient: what clipping by value looks at.",
    _GRADIENT_MAX,
    of=("gradient",),
    learns=True,
)
_layer(
    "weight_norm",
    "Weight (L2 norm)",
    "|W|",
    "L2 norm of W",
    "Length of the layer's weights after the step.",
    Thresholds(low=1e-4, vanishing=1e-1, neutral=1e1, exploding=1e3, high=1e6),
    of=("weight",),
)
_layer(
    "weight_max",
    "Weight (largest)",
    "max W",
    "largest |W|",
    "The largest single weight of the layer.",
    Thresholds(low=1e-5, vanishing=1e-2, neutral=0.5, exploding=1e2, high=1e5),
    of=("weight",),
)
_layer(
    "update_norm",
    "Update (L2 norm)",
    "|update|",
    "L2 norm of the change of W",
    "How far this step moved the layer's weights.",
    Thresholds(low=1e-17, vanishing=1e-5, neutral=1e-2, exploding=1e1, high=1e7),
    of=("gradient",),
    learns=True,
)
_layer(
    "activation_mean",
    "Activation (mean)",
    "mean",
    "mean of the output",
    "Average output of the layer: far from 0, the next layer starts off balance.",
    Thresholds(low=-2.0, neutral=0.0, high=2.0),
    scale="linear",
    of=("activation",),
)
_layer(
    "activation_std",
    "Activation (standard deviation)",
    "std",
    "standard deviation of the output",
    "How much the output still differs between rows and units: near 0, the signal has died on its way up.",
    # Var 1 in, Var 1 out is what Glorot, He and LeCun initialisation aim at; a thousandth of it is rounding
    # noise to a layer with unit bias, a hundred times saturates every bounded activation.
    Thresholds(low=1e-12, vanishing=1e-3, neutral=1.0, exploding=1e2, high=1e8),
    of=("activation",),
)
_layer(
    "saturated",
    "Saturated units",
    "saturated",
    "share of outputs",
    "Share of outputs where the activation is so flat that less than 5 % of its steepest slope is left.",
    _SHARE,
    scale="linear",
    colours="sequential",
)
_layer(
    "dead",
    "Dead units",
    "dead",
    "share of units",
    "Share of units with slope zero for every row of the batch: nothing can be learned through them now.",
    _SHARE,
    scale="linear",
    colours="sequential",
)
_layer(
    "clipped_norm",
    "Clipped gradient (L2 norm)",
    "|clipped|",
    "L2 norm of dL/dW after clipping",
    "Length of the gradient after clipping; the same as before where nothing is clipped.",
    _GRADIENT_NORM,
    of=("gradient",),
    learns=True,
)
_layer(
    "clip_cosine",
    "Direction kept by clipping",
    "cosine",
    "cosine of raw and clipped gradient",
    "1 where clipping only shortened the gradient; less where it also turned it, as clipping by value does.",
    Thresholds(low=0.0, neutral=1.0, high=1.0),
    scale="linear",
    colours="sequential",
    learns=True,
)
for _array, _words in (
    ("activation", "outputs"),
    ("delta", "entries of the error signal"),
    ("gradient", "entries of the weight gradient"),
    ("weight", "weights"),
):
    for _kind, _word in (("nan", "NaN"), ("inf", "Inf")):
        _layer(
            f"{_array}_{_kind}",
            f"{_word} in {_array}",
            f"{_word} {_array}",
            "number of entries",
            f"How many {_words} are {_word}.",
            _COUNT,
            scale="linear",
            colours="sequential",
            counts=True,
        )

_layer(
    "delta_rms",
    "Delta (RMS)",
    "delta",
    "root mean square of dL/dz",
    "Typical size of the error signal at this layer: it is multiplied through from the loss downwards.",
    _GRADIENT_RMS,
    of=("delta",),
    formula=lambda c, sizes: _rms(c["delta_norm"], sizes.units * np.where(c["rows"] > 0, c["rows"], np.nan)),
)
_layer(
    "gradient_rms",
    "Gradient (RMS)",
    "dW",
    "root mean square of dL/dW",
    "Typical size of one entry of the weight gradient, fair between wide and narrow layers.",
    _GRADIENT_RMS,
    of=("gradient",),
    learns=True,
    formula=lambda c, sizes: _rms(c["gradient_norm"], sizes.weight),
    proportional_to="gradient_norm",
)
_layer(
    "weight_rms",
    "Weight (RMS)",
    "W",
    "root mean square of W",
    "Typical size of one weight.",
    # Around 0.1 for the usual initialisations at width 100.
    Thresholds(low=1e-6, vanishing=1e-3, neutral=0.1, exploding=10.0, high=1e4),
    of=("weight",),
    formula=lambda c, sizes: _rms(c["weight_norm"], sizes.weight),
    proportional_to="weight_norm",
)
_layer(
    "update_ratio",
    "Update / weight",
    "update/weight",
    "|update| / |W|",
    "Part of its own size by which a layer moves in this step: about a thousandth is usual in health.",
    # 1e-6: a million steps to move by one's own size. 1e-1: ten.
    Thresholds(low=1e-18, vanishing=1e-6, neutral=1e-3, exploding=1e-1, high=1e3),
    of=("gradient", "weight"),
    learns=True,
    formula=lambda c, sizes: _divide(c["update_norm"], c["weight_norm"]),
)
_layer(
    "applied_norm",
    "Applied gradient (L2 norm)",
    "|applied|",
    "L2 norm of update / learning rate",
    "What the optimizer made of the gradient, before the learning rate: adaptive ones rescale it.",
    _GRADIENT_NORM,
    of=("gradient",),
    learns=True,
    formula=lambda c, sizes: _divide(c["update_norm"], c["learning_rate"]),
)

register(
    Quantity(
        "loss",
        "Loss",
        "loss",
        "loss",
        "What training makes smaller, on the rows of this step.",
        Thresholds(low=1e-6, neutral=1.0, high=1e6),
        scope="step",
    )
)
register(
    Quantity(
        "accuracy",
        "Accuracy",
        "accuracy",
        "share of rows",
        "Share of this step's rows that are classified right.",
        _SHARE,
        scope="step",
        scale="linear",
        colours="sequential",
    )
)
register(
    Quantity(
        "global_gradient_norm",
        "Global gradient norm",
        "|all dW|",
        "L2 norm of all gradients",
        "Length of the gradient of all weights and biases together, before clipping.",
        _GRADIENT_NORM,
        scope="step",
    )
)
register(
    Quantity(
        "learning_rate",
        "Learning rate",
        "lr",
        "learning rate",
        "The factor between gradient and update in this step, after the schedule.",
        Thresholds(low=1e-8, neutral=1e-2, high=1e2),
        scope="step",
    )
)
register(
    Quantity(
        "epoch",
        "Epoch",
        "epoch",
        "passes over the data",
        "Which pass over the training rows this step belongs to, counted from 0.",
        _COUNT,
        scope="step",
        scale="linear",
        colours="sequential",
    )
)
register(
    Quantity(
        "rows",
        "Rows",
        "rows",
        "rows of the batch",
        "Number of training rows in this step: the last batch of an epoch may be smaller.",
        _COUNT,
        scope="step",
        scale="linear",
        colours="sequential",
    )
)

LAYER_COLUMNS: tuple[str, ...] = tuple(q.key for q in definitions("layer", stored=True))
"""Order of the last axis of the layer values given to
:meth:`gradsim.telemetry.recorder.Recorder.append`."""
STEP_COLUMNS: tuple[str, ...] = tuple(q.key for q in definitions("step", stored=True))
"""Order of the last axis of the step values given to :meth:`gradsim.telemetry.recorder.Recorder.append`."""

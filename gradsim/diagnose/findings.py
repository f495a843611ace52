"""Findings: what a recording shows to be wrong, where, since when, and with which numbers.

A rule is a function from :class:`gradsim.diagnose.evidence.Evidence` to findings, registered with :func:`rule` under
one :class:`Definition`. No rule trusts one signal: a verdict rests on delta, on dW, on the activations, on their level
and their slope over depth, and on the loss, since near a good optimum gradients are small for a good reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradsim.diagnose.evidence import ALIKE, FAR, MANY, RECENT, Bools, Evidence, Floats, Source, Window, slope
from gradsim.i18n import mark, tr

Severity = Literal["fault", "warning", "note"]


@dataclass(frozen=True)
class Definition:
    """One kind of finding.

    Attributes:
        kind: Its name in files and tables.
        title: A few words for a heading.
        severity: "fault": the training fails by it; "warning": it is held up; "note": worth knowing.
        quantity: Key of the quantity on whose heatmap it shows best.
        help: What it is, in one sentence.
    """

    kind: str
    title: str
    severity: Severity
    quantity: str
    help: str


@dataclass(frozen=True)
class Place:
    """A rectangle of the heatmap: rows ``first_row`` to ``last_row``, steps ``start`` to before ``stop``."""

    first_row: int
    last_row: int
    start: int
    stop: int


@dataclass(frozen=True)
class Finding:
    """One thing that a recording shows.

    Attributes:
        rows: The layers it happens in, as rows of the layer table.
        start, stop: The steps it happens in, ``stop`` not counted.
        numbers: What it rests on, by name.
        student: One sentence in plain words.
        expert: One sentence with the numbers.
        places: Where to draw it.
    """

    definition: Definition
    rows: tuple[int, ...]
    start: int
    stop: int
    numbers: Mapping[str, float]
    student: str
    expert: str
    places: tuple[Place, ...] = field(repr=False)

    @property
    def kind(self) -> str:
        """Name of its kind."""
        return self.definition.kind

    @property
    def title(self) -> str:
        """A few words for a heading."""
        return tr(self.definition.title)

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.definition.severity

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON values; a number that is not finite becomes None."""
        return {
            "kind": self.kind,
            "title": self.title,
            "severity": self.severity,
            "rows": list(self.rows),
            "start": self.start,
            "stop": self.stop,
            "numbers": {key: value if math.isfinite(value) else None for key, value in self.numbers.items()},
            "student": self.student,
            "expert": self.expert,
            "quantity": self.definition.quantity,
            "places": [[p.first_row, p.last_row, p.start, p.stop] for p in self.places],
        }


Rule = Callable[[Evidence, Definition], Iterator[Finding]]
RULES: dict[str, tuple[Definition, Rule]] = {}
SEVERITIES: tuple[Severity, ...] = ("fault", "warning", "note")


def rule(definition: Definition) -> Callable[[Rule], Rule]:
    """Decorator: registers a rule under its definition; raises ValueError for a kind that is taken."""

    def decorate(function: Rule) -> Rule:
        if definition.kind in RULES:
            raise ValueError(f"finding {definition.kind!r} is already registered")
        RULES[definition.kind] = definition, function
        return function

    return decorate


def definitions() -> tuple[Definition, ...]:
    """All kinds of findings, in the order of their rules."""
    return tuple(definition for definition, _ in RULES.values())


def diagnose(source: Source, between: Callable[[], object] | None = None) -> tuple[Finding, ...]:
    """Everything that a recording, or a run that is still going on, shows to be wrong; the worst first.

    Args:
        source: A :class:`gradsim.telemetry.Recording`, or a :class:`gradsim.telemetry.Recorder` at any moment.
        between: Called between two rules; what it raises ends the diagnosis.
    """
    if not source.stop or not source.layers:
        return ()
    # A recording may hold any numbers; what comes of them is looked at where it matters.
    with np.errstate(all="ignore"):
        evidence = Evidence(source)
        if not len(evidence):
            return ()
        found: list[Finding] = []
        for definition, check in RULES.values():
            found += check(evidence, definition)
            if between is not None:
                between()
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


# How findings are made

WORDS_AT_MOST = 3


def _named(evidence: Evidence, rows: Sequence[int]) -> str:
    """Layers in words: "dense_3", "dense to dense_19"."""
    names = [evidence.layers[row].name for row in rows]
    if not names:
        return tr("the stack")
    if len(names) == 1:
        return names[0]
    if len(names) <= WORDS_AT_MOST - 1:
        return tr("{first} and {last}", first=names[0], last=names[-1])
    return tr("{first} to {last}", first=names[0], last=names[-1])


def _places(rows: Iterable[int], start: int, stop: int) -> tuple[Place, ...]:
    """Rectangles over neighbouring rows."""
    found: list[Place] = []
    for row in sorted(rows):
        if found and found[-1].last_row == row - 1:
            found[-1] = Place(found[-1].first_row, row, start, stop)
        else:
            found.append(Place(row, row, start, stop))
    return tuple(found)


def _finding(
    definition: Definition,
    rows: Iterable[int],
    start: int,
    stop: int,
    numbers: Mapping[str, float],
    student: str,
    expert: str,
) -> Finding:
    rows = tuple(int(row) for row in rows)
    return Finding(
        definition,
        rows,
        start,
        stop,
        {key: float(value) for key, value in numbers.items()},
        student,
        expert,
        _places(rows, start, stop),
    )


def _span(window: Window, where: Bools) -> tuple[int, int]:
    """First step, and the step after the last one, of the columns in ``where``."""
    columns = np.flatnonzero(where)
    return int(window.steps[columns[0]]), window.end_of(int(columns[-1]))


def _lasting(where: Bools, share: float = 0.3) -> bool:
    """Whether something held for a good part of the run, or holds at its end."""
    if not where.any():
        return False
    end = where[-max(1, len(where) // 5) :]
    return float(where.mean()) >= share or (float(end.mean()) > 0.5 and len(where) > 4)


def _power(log10: float) -> str:
    """10**log10 with two digits, also far beyond any number format."""
    if math.isnan(log10):
        return tr("unknown")
    if not math.isfinite(log10):
        return "0" if log10 < 0 else "inf"
    if -3 < log10 < 4:
        return f"{10**log10:.2g}"
    exponent = math.floor(log10)
    return f"{10 ** (log10 - exponent):.1f}e{exponent:+03d}"


def _median(values: Floats) -> float:
    """Of what is there; -inf, log10 of an exact zero, counts."""
    usable = values[np.isfinite(values) | np.isneginf(values)]
    if not len(usable):
        return math.nan
    return (
        float(np.sort(usable, axis=None)[len(usable) // 2]) if np.isneginf(usable).any() else float(np.median(usable))
    )


# Vanishing

VANISHING_DECADES = 2.5
"""Decades of delta from the output to the lowest kernel: a three-hundredth. A stack of 50 tanh layers with its proper
initializer loses one (0.12)."""
VANISHING_GRADIENT = -5.0
"""log10 of dW's RMS at the lowest kernel: at the usual rates it moves by less than a millionth a step."""
UNDERFLOW_DECADES = 50.0
"""What an exact zero below something that is not counts as, for a slope over depth."""


def _vanishing_columns(e: Evidence) -> tuple[Bools, Floats]:
    """Where delta fades on its way down although the loss is far from an optimum, and the profile with zeros filled."""
    if len(e.kernels) < 3:
        return np.zeros(len(e), np.bool_), e.delta
    top = e.delta[:, -1:]
    zero = np.isneginf(e.delta)
    profile = np.where(zero, np.where(np.isfinite(top), top, 0) - UNDERFLOW_DECADES, e.delta)
    # A zero that a dead layer or zero weights make is not one that faded.
    blocked = (zero & ~_faded_to_zero(e)).any(axis=1) | e.constant[1:-1].any()
    with np.errstate(all="ignore"):
        decay = profile[:, 0] - top[:, 0]
    low = (e.gradient[:, 0] < VANISHING_GRADIENT) | (e.update_ratio[:, 0] < -6)
    # A frozen kernel has no gradient: then delta alone speaks.
    low |= np.isnan(e.gradient[:, 0])
    where: Bools = (decay <= -VANISHING_DECADES) & (slope(profile) > 0.05) & low & e.far & ~blocked
    return where, profile


def _faded_to_zero(e: Evidence) -> Bools:
    """(C, K) exact zeros of delta right below something so small that the next factor leaves the number format."""
    zero = np.isneginf(e.delta)
    filled = np.where(zero, np.inf, e.delta)
    # The smallest of all deltas above.
    above = np.minimum.accumulate(filled[:, ::-1], axis=1)[:, ::-1]
    return zero & (above <= _tiny(e.dtype) + 6)


def _tiny(dtype: str) -> float:
    """log10 of the smallest normal number."""
    return math.log10(float(np.finfo(dtype if dtype in ("float32", "float64") else "float32").tiny))


@rule(
    Definition(
        "vanishing",
        "Vanishing gradient",
        "fault",
        "delta_rms",
        "The error signal fades on its way down, so the lower layers hardly learn although the loss is still high.",
    )
)
def _vanishing(e: Evidence, definition: Definition) -> Iterator[Finding]:
    where, profile = _vanishing_columns(e)
    early = bool(where[: max(1, len(where) // 20)].all()) and e.far_now
    if not (early or _lasting(where)):
        return
    typical = np.median(profile[where], axis=0)
    rows = e.kernels[typical <= typical[-1] - VANISHING_DECADES]
    start, stop = _span(e.whole, where)
    per_layer = -_median(slope(profile[where]))
    ratio = float(typical[0] - typical[-1])
    bottom, top = _median(e.update_ratio[where, 0]), _median(e.update_ratio[where, -1])
    activation = _median(e.whole.log10("activation_std")[where][:, e.hidden[-1]])
    values = {
        "factor": _power(per_layer),
        "total": _power(ratio),
        "lowest": _power(float(typical[0])),
        "bottom": _power(bottom),
        "top": _power(top),
    }
    if activation < -3:
        expert = tr(
            "RMS delta falls by x{factor} a layer, {total} from the output to the lowest kernel ({lowest}); "
            "update/weight {bottom} there against {top} at the top, and the signal itself has died on its way up "
            "(std {std}).",
            std=_power(activation),
            **values,
        )
    else:
        expert = tr(
            "RMS delta falls by x{factor} a layer, {total} from the output to the lowest kernel ({lowest}); "
            "update/weight {bottom} there against {top} at the top.",
            **values,
        )
    yield _finding(
        definition, rows, start, stop,
        {
            "factor_per_layer": _safe_power(per_layer),
            "log10_ratio": ratio,
            "log10_lowest_delta": float(typical[0]),
            "log10_lowest_update": bottom,
            "log10_highest_update": top,
            "log10_last_activation_std": activation,
        },
        tr(
            "{layers} hardly learn: the error signal is multiplied by about {factor} in every layer on its way down, "
            "so almost nothing arrives at the bottom.",
            layers=_named(e, rows.tolist()),
            factor=_power(per_layer),
        ),
        expert,
    )  # fmt: skip


@rule(
    Definition(
        "below-format",
        "Below the number format",
        "fault",
        "delta_rms",
        "The gradient is smaller than the number format can hold: it loses its digits, then becomes exactly zero.",
    )
)
def _below_format(e: Evidence, definition: Definition) -> Iterator[Finding]:
    if len(e.kernels) < 3 or e.constant[1:-1].any():
        return
    tiny = _tiny(e.dtype)
    largest = e.whole.log10("delta_max")[:, e.kernels]
    gradient = e.whole.log10("gradient_max")[:, e.kernels]
    below = _faded_to_zero(e)
    for values in (largest, gradient):
        below |= np.isfinite(values) & (values < tiny)
    where = np.asarray(below.any(axis=1))
    if not _lasting(where):
        return
    rows = e.kernels[below[where].mean(axis=0) >= 0.5]
    if not len(rows):
        rows = e.kernels[below.any(axis=0)]
    zeros = int(np.isneginf(np.median(e.delta[where], axis=0)).sum())
    start, stop = _span(e.whole, where)
    yield _finding(
        definition, rows, start, stop, {"log10_smallest_normal": tiny, "layers": len(rows), "layers_at_zero": zeros},
        tr(
            "The gradient of {layers} is too small for {dtype}: the computer rounds it towards zero.",
            layers=_named(e, rows.tolist()),
            dtype=e.dtype,
        ),
        tr(
            "Delta or dW below {dtype}'s smallest normal number ({smallest}) in {count} layers, exactly zero in "
            "{zeros}.",
            dtype=e.dtype,
            smallest=_power(tiny),
            count=len(rows),
            zeros=zeros,
        ),
    )  # fmt: skip


# Exploding

EXPLODING_DECADES = 2.0
EXPLODING_GRADIENT = 0.0
"""log10 of dW's RMS: at the usual rates one step is as large as the weights themselves."""
GROWTH_PER_LAYER = 0.1
"""log10 of a growth per layer that no proper initializer has: 1.26."""


@rule(
    Definition(
        "exploding",
        "Exploding gradient",
        "fault",
        "delta_rms",
        "Signals or parameters are multiplied from layer to layer, or from step to step, without end.",
    )
)
def _exploding(e: Evidence, definition: Definition) -> Iterator[Finding]:
    found = _growth_over_depth(e, definition) or _growth_over_steps(e, definition)
    if found is not None:
        yield found


def _growth_over_depth(e: Evidence, definition: Definition) -> Finding | None:
    if len(e.kernels) < 3:
        return None
    finite = np.isfinite(e.delta)
    profile = np.where(finite, e.delta, np.nan)
    growth = -slope(np.where(np.isneginf(e.delta), np.nan, profile))
    hidden = e.delta[:, :-1]
    with np.errstate(all="ignore"):
        rise = np.where(np.isfinite(hidden[:, 0]), hidden[:, 0] - hidden[:, -1], np.nan)
        largest = np.fmax.reduce(np.where(np.isfinite(e.gradient), e.gradient, np.nan), axis=1)
    normalised = len(e.batch_normalised) >= len(e.hidden) / 2 and len(e.batch_normalised) > 0
    backward = (rise >= EXPLODING_DECADES) & (growth >= (0.3 if normalised else GROWTH_PER_LAYER))
    backward &= largest > EXPLODING_GRADIENT
    std = e.whole.log10("activation_std")[:, e.hidden]
    up = slope(std)
    with np.errstate(all="ignore"):
        forward = (std[:, -1] - std[:, 0] >= EXPLODING_DECADES) & (std[:, -1] > 2) & (up >= GROWTH_PER_LAYER)
    # Before the first NaN the numbers of a layer may already have left the format.
    forward |= np.isposinf(std[:, -1]) & (std[:, 0] < 30) & np.isfinite(std[:, 0]) & (e.whole.steps == e.start)
    where = backward | forward
    early = where[: max(1, len(where) // 20)].any()
    if not where.any() or not (early or _lasting(where)):
        return None
    start, stop = _span(e.whole, where)
    factor_down = _median(growth[where])
    usable = std[where & np.isfinite(up)] if (where & np.isfinite(up)).any() else std[where]
    factor_up = _median(up[where]) if np.isfinite(up[where]).any() else _fitted(usable[0])
    rows = e.kernels if backward.any() else e.hidden[np.nan_to_num(std[where][0], nan=-9, posinf=99) > 1]
    level = _median(largest[where])
    return _finding(
        definition, rows, start, stop,
        {
            "factor_per_layer_down": _safe_power(factor_down),
            "factor_per_layer_up": _safe_power(factor_up),
            "log10_largest_gradient": level,
            "log10_last_activation_std": _median(std[where][:, -1]),
        },
        tr(
            "The signal is multiplied by about {factor} in every layer of {layers}: steps become so large that they "
            "destroy what was learned.",
            factor=_power(max(factor_down, factor_up, key=_or_low)),
            layers=_named(e, rows.tolist()),
        ),
        _growth_in_numbers(factor_down, factor_up, level),
    )  # fmt: skip


def _growth_in_numbers(down: float, up: float, level: float) -> str:
    """One sentence of log10 of the factors per layer, where they are known, and of the largest gradient."""
    values = {"down": _power(down), "up": _power(up), "level": _power(level)}
    if math.isfinite(down) and math.isfinite(up):
        return tr(
            "RMS delta grows by x{down} a layer on its way down, the activations by x{up} a layer on their way up, "
            "up to RMS dW {level}.",
            **values,
        )
    if math.isfinite(down):
        return tr("RMS delta grows by x{down} a layer on its way down, up to RMS dW {level}.", **values)
    if math.isfinite(up):
        return tr("the activations by x{up} a layer on their way up, up to RMS dW {level}.", **values)
    return tr("up to RMS dW {level}.", **values)


def _or_low(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _safe_power(log10: float) -> float:
    return 10**log10 if log10 < 308 else math.inf


def _fitted(profile: Floats) -> float:
    """Slope of the finite part of one profile."""
    usable = np.isfinite(profile)
    if usable.sum() < 2:
        return math.nan
    return float(np.polyfit(np.flatnonzero(usable), profile[usable], 1)[0])


GROWN = 1.0
"""Decades that a kernel must have grown by over the run, or within the steps before it broke."""
LATE_SHARE = 0.25
"""Exponential growth has half of its decades in the second half of the steps; that of a network which is sure of its
answers, and therefore slowly enlarges its weights, next to none."""
BLOWN = 3.0
"""Decades after which it no longer matters how: what blew up may since stand still."""


def _growth_over_steps(e: Evidence, definition: Definition) -> Finding | None:
    if not len(e.kernels):
        return None
    window = _before_breaking(e) or e.whole
    weight = window.log10("weight_rms")[:, e.kernels]
    weight = np.where(np.isfinite(weight), weight, np.nan)
    if len(weight) < 2:
        return None
    with np.errstate(all="ignore"):
        first = weight[0]
        last = np.fmax.reduce(weight, axis=0)
    grown = last - first
    # Zero weights that begin to move have grown by any factor, and small ones that reach a proper size are no fault.
    rows = (grown >= GROWN) & (last > 0)
    if not rows.any():
        return None
    worst = int(np.nanargmax(np.where(rows, grown, -np.inf)))
    # Exponential growth goes on to the end; a single blow that is then over is another finding's.
    line = weight[:, worst]
    usable = np.isfinite(line)
    rate = float(np.polyfit(window.steps[usable], line[usable], 1)[0]) if usable.sum() > 1 else math.nan
    if not rate > 0 or (grown[worst] < BLOWN and not _goes_on(window.steps, line, grown[worst])):
        return None
    rising = np.flatnonzero(line >= first[worst] + 0.3)
    start, stop = int(window.steps[max(0, rising[0] - 1)]), window.end_of(len(window) - 1)
    found = e.kernels[rows]
    return _finding(
        definition, found, start, stop,
        {
            "factor_per_step": _safe_power(rate),
            "log10_growth": float(grown[worst]),
            "log10_largest_weight": float(last[worst]),
        },
        tr(
            "The weights of {layers} grow and grow: they have become {factor} times as large.",
            layers=_named(e, found.tolist()),
            factor=_power(float(grown[worst])),
        ),
        tr(
            "|W| of {layer} grows by x{factor} from step {start} on (fitted x{rate:.3g} a step), to RMS {rms}.",
            layer=e.layers[e.kernels[worst]].name,
            factor=_power(float(grown[worst])),
            start=start,
            rate=_safe_power(rate),
            rms=_power(float(last[worst])),
        ),
    )  # fmt: skip


def _goes_on(steps: NDArray[np.int64], line: Floats, grown: float) -> bool:
    """Whether a growth has a fair part of its decades in the second half of the steps."""
    late = line[2 * steps >= steps[0] + steps[-1]]
    late = late[np.isfinite(late)]
    return len(late) > 1 and bool(late.max() - late[0] >= LATE_SHARE * grown)


def _before_breaking(e: Evidence) -> Window | None:
    """The steps up to the first that is not finite, one by one; None if all are."""
    first = e.first_nonfinite
    if first is None:
        return None
    every = e.source.every
    window = Window(e.source, max(0, first.step - 40 * every), first.step + every, 64)
    return window if len(window) else None


_PLACES = {
    "activation": mark("the activation of {layer}"),
    "delta": mark("the delta of {layer}"),
    "gradient": mark("the gradient of {layer}"),
    "weight": mark("the weight of {layer}"),
}


@rule(
    Definition(
        "non-finite",
        "NaN or Inf",
        "fault",
        "delta_rms",
        "A number is no longer finite, and everything that is computed from it is lost.",
    )
)
def _nonfinite(e: Evidence, definition: Definition) -> Iterator[Finding]:
    first = e.first_nonfinite
    if first is None:
        return
    kind = {"nan": "NaN", "inf": "Inf"}[first.kind]
    place = tr("the loss")
    if first.layer is not None:
        name = e.layers[first.layer].name
        place = tr(_PLACES[first.quantity], layer=name) if first.quantity in _PLACES else name
    rows = range(len(e.layers)) if first.layer is None else [first.layer]
    values = {"kind": kind, "step": first.step, "place": place}
    if first.step > e.start:
        expert = tr(
            "First {kind} at step {step} in {place}; the step before is {before}.", before=first.step - 1, **values
        )
    else:
        expert = tr("First {kind} at step {step} in {place}; the weights are so from the start.", **values)
    found = _finding(
        definition, rows, first.step, e.stop, {"step": first.step, "step_before": first.step - 1},
        tr("At step {step} {place} became {kind}: nothing can be learned any more.", **values),
        expert,
    )  # fmt: skip
    yield found


JUMP = 30.0
"""Factor of the loss within ``WITHIN`` steps that no batch makes by chance."""
WITHIN = 10
WEIGHT_JUMP = 1.0
"""Decades that a kernel grows by within ``WITHIN`` steps."""


@rule(
    Definition(
        "avalanche",
        "Avalanche",
        "fault",
        "update_ratio",
        "Loss and updates jump by orders of magnitude within a few steps.",
    )
)
def _avalanche(e: Evidence, definition: Definition) -> Iterator[Finding]:
    if len(e) < 2 or e.stop - e.start < 3:
        return
    for window in _suspects(e):
        loss = window.high("loss")
        level = np.where(np.isfinite(loss), loss, np.nan)
        weights = np.where(np.isfinite(w := window.log10("weight_rms")[:, e.kernels]), w, np.nan)
        with np.errstate(all="ignore"):
            # The loss of guessing is where a loss near 0 returns to without any avalanche.
            floor = np.maximum(level[:-1], e.guessing if math.isfinite(e.guessing) else 1e-300)
            jump = np.log10(_highest_after(level[:, None])[:, 0] / floor)
            growth = np.where(np.isnan(after := _highest_after(weights)) | (after < -1), -9.0, after - weights[:-1])
            growth = np.nan_to_num(np.fmax.reduce(growth, axis=1, initial=-9.0), nan=-9.0)
        # Each in decades over its own limit, so that the larger of the two leads to the place.
        size = np.maximum(
            np.where(growth >= 0.02, np.nan_to_num(jump, nan=-9.0) - math.log10(JUMP), -9.0), growth - WEIGHT_JUMP
        )
        size = np.where(np.isfinite(level[:-1]), size, -9.0)
        if not len(size) or size.max() < 0:
            continue
        # The last of equals: the jump is right behind it.
        at = len(size) - 1 - int(np.argmax(size[::-1]))
        factor, reason = _safe_power(float(jump[at])), float(growth[at])
        start = int(window.steps[at])
        stop = min(window.end_of(len(window) - 1), start + (WITHIN + 1) * window.stride)
        moved = np.fmax.reduce(weights[at : at + WITHIN + 1], axis=0) - weights[at]
        rows = e.kernels[np.nan_to_num(moved) >= max(0.01, min(0.3, float(np.nanmax(moved)) / 3))]
        yield _finding(
            definition, rows, start, stop,
            {"loss_factor": factor, "weight_factor": _safe_power(max(reason, 0.0)), "step": start},
            tr(
                "From step {start} on every step makes the next one worse: within {steps} steps the loss or the "
                "weights grow out of all proportion.",
                start=start,
                steps=stop - start - 1,
            ),
            tr(
                "From step {start}: loss x{loss:.3g} (above guessing), weights x{weights:.3g} within {steps} steps.",
                start=start,
                loss=factor,
                weights=_safe_power(max(reason, 0.0)),
                steps=WITHIN,
            ),
        )  # fmt: skip
        return


def _highest_after(values: Floats) -> Floats:
    """(C - 1, ...) largest of the ``WITHIN`` values after each but the last; NaN where there is none."""
    padded = np.concatenate([values[1:], np.full((WITHIN - 1, values.shape[1]), np.nan)])
    highest = padded[: len(values) - 1].copy()
    for ahead in range(1, WITHIN):
        np.fmax(highest, padded[ahead : ahead + len(highest)], out=highest)
    return highest


def _suspects(e: Evidence) -> Iterator[Window]:
    """Stretches of steps, one by one, in which something may have jumped."""
    if e.whole.stride == e.source.every:
        yield e.whole
        return
    broken = _before_breaking(e)
    if broken is not None:
        yield broken
    high, low = e.whole.high("loss"), e.whole.low("loss")
    following = np.append(high[1:], np.nan)
    floor = np.maximum(low, e.guessing if math.isfinite(e.guessing) else 0.0)
    with np.errstate(all="ignore"):
        jump = np.fmax(high, following) / floor
        weight = e.whole.columns("weight_rms")
        cut = slice(0, len(high))
        tops = np.fmax.reduce(weight.maximum[cut][:, e.kernels], axis=1, initial=0)
        lows = np.fmax.reduce(weight.minimum[cut][:, e.kernels], axis=1, initial=0)
        jump = np.fmax(jump, np.fmax(tops, np.append(tops[1:], np.nan)) / lows * JUMP / 10**WEIGHT_JUMP)
    for column in np.flatnonzero(np.nan_to_num(jump, posinf=0) >= JUMP)[:3]:
        start = int(e.whole.steps[column])
        stop = min(e.stop, start + 2 * e.whole.stride + WITHIN)
        yield Window(e.source, start, stop, 600)


# Weights

SHRUNK = -0.7
"""Decades that a kernel must have lost: a fifth of its largest size is left."""


@rule(
    Definition(
        "weights-to-zero",
        "Weights go to zero",
        "fault",
        "weight_rms",
        "The weights of a layer shrink towards zero: what it passes on, up and down, shrinks with them.",
    )
)
def _weights_to_zero(e: Evidence, definition: Definition) -> Iterator[Finding]:
    if len(e) < 8 or not len(e.kernels):
        return
    weight = e.whole.log10("weight_rms")[:, e.kernels]
    if not np.isfinite(weight[0]).any():
        return
    with np.errstate(all="ignore"):
        lost = weight[-1] - np.fmax.reduce(np.where(np.isfinite(weight), weight, np.nan), axis=0)
        half = weight[-1] - weight[len(weight) // 2]
    rows = np.isfinite(weight[0]) & (lost <= SHRUNK) & (half <= 0.1)
    if not rows.any():
        return
    found = e.kernels[rows]
    worst = int(np.nanargmin(np.where(rows, lost, np.inf)))
    steps = max(1, int(e.whole.steps[-1] - e.whole.steps[0]))
    fitted = _safe_power(float(weight[-1, worst] - weight[0, worst]) / steps) if np.isfinite(weight[-1, worst]) else 0.0
    start, stop = _span(e.whole, (weight[:, rows] <= weight[0, rows] - 0.1).any(axis=1))
    yield _finding(
        definition, found, start, stop, {"log10_left": float(lost[worst]), "factor_per_step": fitted},
        tr(
            "The weights of {layers} go to zero: {share} of their size is left.",
            layers=_named(e, found.tolist()),
            share=_power(float(lost[worst])),
        ),
        tr(
            "|W| of {layer} falls to {share} of its largest value (x{rate:.5g} a step): the penalty on weights "
            "outweighs the loss.",
            layer=e.layers[e.kernels[worst]].name,
            share=_power(float(lost[worst])),
            rate=fitted,
        ),
    )  # fmt: skip


@rule(
    Definition(
        "symmetric",
        "Symmetric units",
        "fault",
        "weight_rms",
        "All units of a layer start alike, get the same gradient and stay alike: the layer works as one unit.",
    )
)
def _symmetric(e: Evidence, definition: Definition) -> Iterator[Finding]:
    constant = e.constant
    if len(e.kernels) < 2:
        return
    # A random layer behind it would break the symmetry.
    rows = constant[:-1] & (constant[1:] | (np.arange(1, len(constant)) == len(constant) - 1) & _output_alike(e))
    if not rows.any():
        return
    found = e.kernels[:-1][rows]
    zero = bool((e.whole.high("weight_norm")[0, found] == 0).all())
    still = _median(e.update_ratio[:, 0]) if not zero else -math.inf
    names = _named(e, found.tolist())
    student = (
        tr("With zero weights no error reaches {layers}: the layers never begin to learn.", layers=names)
        if zero
        else tr("All units of {layers} are copies of each other: they can do no more than one unit.", layers=names)
    )
    expert = (
        tr(
            "W = 0 in {count} hidden layers: delta is exactly 0 below the output, only its bias learns.",
            count=len(found),
        )
        if zero
        else tr(
            "All weights of {count} hidden layers are equal at step {step}, so are all columns of dW.",
            count=len(found),
            step=e.start,
        )
    )
    yield _finding(
        definition, found, e.start, e.stop, {"layers": len(found), "zero": float(zero), "log10_update": still},
        student, expert,
    )  # fmt: skip


def _output_alike(e: Evidence) -> bool:
    """Whether the output's kernel starts constant too: one output unit may, without being called a fault itself."""
    row = int(e.kernels[-1])
    size = e.layers[row].weight_size
    first = Window(e.source, None, e.start + e.source.every, 1)
    largest, norm = float(first.high("weight_max")[0, row]), float(first.high("weight_norm")[0, row])
    return abs(largest * math.sqrt(size) - norm) <= (ALIKE if size >= MANY else 1e-4) * norm


# Units

SATURATED = 0.5
DEAD = 0.8


@rule(
    Definition(
        "saturated",
        "Saturated units",
        "warning",
        "saturated",
        "Most units of a layer sit where their activation is flat, so hardly any error passes through them.",
    )
)
def _saturated(e: Evidence, definition: Definition) -> Iterator[Finding]:
    rows = e.acting("saturating")
    yield from _shares(
        e, definition, rows, "saturated", SATURATED,
        mark("In {layers} up to {share:.0%} of the units are flat: the error does not get through."),
        mark(
            "saturated {least:.0%} to {most:.0%} in {count} of {all} layers (less than 5 % of the steepest slope) "
            "over the last {steps} steps."
        ),
    )  # fmt: skip


@rule(
    Definition(
        "dead",
        "Dead ReLUs",
        "fault",
        "dead",
        "Units that are 0 for every row: no error passes, so they can't come back by themselves.",
    )
)
def _dead(e: Evidence, definition: Definition) -> Iterator[Finding]:
    rows = e.acting("dying")
    if len(rows) and e.constant.any():
        # Zero weights put every unit at 0 exactly: that is the initializer's fault, and said there.
        return
    yield from _shares(
        e, definition, rows, "dead", DEAD,
        mark("In {layers} up to {share:.0%} of the units are dead: the error does not get through."),
        mark(
            "dead {least:.0%} to {most:.0%} in {count} of {all} layers (slope exactly 0 for the whole batch) over "
            "the last {steps} steps."
        ),
    )  # fmt: skip


def _shares(
    e: Evidence, definition: Definition, rows: NDArray[np.int64], key: str, limit: float, student: str, expert: str
) -> Iterator[Finding]:
    """Layers in which a share of units lies above a limit at the end, in every one of the last steps.

    Args:
        student, expert: What to say of them, with places for the numbers.
    """
    if not len(rows) or not e.far_now or not len(e.recent) or e.first_nonfinite is not None:
        return
    share = np.median(np.nan_to_num(e.recent.middle(key)[:, rows]), axis=0)
    over = share >= limit
    # One layer of many may be so by chance; a fault is where it stops the error, or where it is widespread.
    if not over.any() or (over.mean() < 0.2 and share.max() < 0.98):
        return
    found = rows[over]
    where = np.asarray((e.whole.middle(key)[:, found] >= limit).any(axis=1))
    start, stop = _span(e.whole, where) if where.any() else (e.start, e.stop)
    worst = float(share.max())
    yield _finding(
        definition, found, start, stop,
        {"share": worst, "layers": len(found), "start_share": _share_at_start(e, key, found)},
        tr(student, layers=_named(e, found.tolist()), share=worst),
        tr(
            expert,
            least=float(share[over].min()),
            most=worst,
            count=len(found),
            all=len(rows),
            steps=len(e.recent),
        ),
    )  # fmt: skip


def _share_at_start(e: Evidence, key: str, rows: NDArray[np.int64]) -> float:
    return _median(e.whole.middle(key)[0, rows])


# Batch normalisation

BN_LAYERS = 10
BN_FACTOR = 0.025
"""log10 of the growth per layer from which on it counts: 1.06. Theory says 1.21 for ReLU (Yang et al. 2019), 1.09 for
tanh."""
BN_DECADES = 0.7


@rule(
    Definition(
        "bn-explosion",
        "Batch normalisation explodes gently",
        "note",
        "delta_rms",
        "Behind batch normalisation the gradient grows by a constant factor a layer on its way down.",
    )
)
def _bn_explosion(e: Evidence, definition: Definition) -> Iterator[Finding]:
    if len(e.batch_normalised) < BN_LAYERS or len(e.kernels) < BN_LAYERS:
        return
    first, last = int(e.batch_normalised[0]), int(e.batch_normalised[-1])
    between = (e.kernels >= first - 1) & (e.kernels <= last)
    if between.sum() < BN_LAYERS:
        return
    early = slice(0, max(1, len(e) // 10))
    profile = np.where(np.isneginf(e.delta), np.nan, e.delta)[early][:, between]
    growth = -slope(profile)
    factor = _median(growth)
    total = _median(profile[:, 0] - profile[:, -1])
    if not (factor >= BN_FACTOR and total >= BN_DECADES):
        return
    rows = e.kernels[between]
    yield _finding(
        definition, rows, e.start, e.whole.end_of(early.stop - 1),
        {"factor_per_layer": _safe_power(factor), "log10_total": total, "layers": len(rows)},
        tr(
            "Batch normalisation keeps the signal up, but at the price that the gradient grows by about {factor:.2f} a "
            "layer on its way down.",
            factor=_safe_power(factor),
        ),
        tr(
            "RMS delta grows by x{factor:.3f} a layer over {count} normalised layers (x{total}); mean field for ReLU "
            "before which BN stands: 1.211 at large batches (Yang et al. 2019).",
            factor=_safe_power(factor),
            count=len(rows),
            total=_power(total),
        ),
    )  # fmt: skip


# Steps

LARGE_UPDATE = -1.0
"""log10 of update/weight: a tenth of the layer is rewritten in every step."""


@rule(
    Definition(
        "unstable-rate",
        "Learning rate above the stability edge",
        "fault",
        "update_ratio",
        "Steps overshoot: each leaps over the valley that it should go down into.",
    )
)
def _unstable_rate(e: Evidence, definition: Definition) -> Iterator[Finding]:
    if not len(e.kernels) or e.stop - e.start < 8:
        return
    if not _sane_at_start(e):
        return
    rate = e.whole.high("learning_rate")
    updates = np.where(np.isneginf(e.update_ratio), np.nan, e.update_ratio)
    with np.errstate(all="ignore"):
        largest = np.fmax.reduce(np.where(np.isfinite(updates), updates, np.nan), axis=1)
    early = Window(e.source, None, min(e.stop, e.start + 40 * e.source.every), 64)
    loss = early.high("loss")
    with np.errstate(all="ignore"):
        ratios = early.log10("update_ratio")[:, e.kernels]
        first_updates = np.fmax.reduce(np.where(np.isfinite(ratios), ratios, np.nan), axis=1)
    reference = max(float(loss[0]) if np.isfinite(loss[0]) else e.guessing, e.guessing)
    peak = float(np.nanmax(np.where(np.isfinite(loss), loss, np.nan), initial=0.0))
    tail = e.tail[-max(8, len(e.tail) // 4) :]
    level = float(np.median(tail)) if len(tail) else math.nan
    blown = peak > 2 * reference and np.nanmax(first_updates, initial=-9) > LARGE_UPDATE
    high = level > 1.1 * reference and _median(largest[len(largest) // 2 :]) > -2.0
    swinging = _swings(e)
    broken = e.first_nonfinite is not None and np.nanmax(largest, initial=-9) > 0
    if not (blown or high or swinging or broken):
        return
    over = np.nan_to_num(np.fmax.reduce(np.where(np.isfinite(updates), updates, np.nan), axis=0), nan=-9) > -1.5
    rows = e.kernels[over] if over.any() else e.kernels
    lr = float(np.nanmax(rate)) if np.isfinite(rate).any() else math.nan
    if swinging and not blown:
        student = tr(
            "The learning rate {rate:g} is too high: the loss swings to and fro, because each step leaps over the "
            "valley.",
            rate=lr,
        )
    else:
        student = tr(
            "The learning rate {rate:g} is too high: the loss jumps up instead of falling, because each step leaps "
            "over the valley.",
            rate=lr,
        )
    yield _finding(
        definition, rows, e.start, e.stop,
        {
            "learning_rate": lr,
            "peak_loss": peak,
            "level": level,
            "first_loss": float(loss[0]),
            "log10_update_ratio": _median(largest),
            "rising_share": _rising_share(e),
        },
        student,
        tr(
            "Loss {first:.3g} at first, up to {peak:.3g} within {steps} steps, {last:.3g} at last; update/weight up to "
            "{update}; the loss rises in {share:.0%} of the last steps (gradient descent is stable for rate x "
            "curvature < 2).",
            first=float(loss[0]),
            peak=peak,
            steps=len(loss),
            last=level,
            update=_power(float(np.nanmax(largest, initial=-9))),
            share=_rising_share(e),
        ),
    )  # fmt: skip


def _sane_at_start(e: Evidence) -> bool:
    """Whether nothing is out of proportion before the first update: else the initial weights are to blame."""
    first = Window(e.source, None, e.start + e.source.every, 1)
    loss = float(first.high("loss")[0])
    gradient = first.log10("gradient_rms")[0, e.kernels]
    std = first.log10("activation_std")[0, e.kernels]
    sane = bool((np.isfinite(gradient) | np.isnan(gradient) | np.isneginf(gradient)).all())
    return (
        sane
        and loss <= 4 * e.guessing
        and _or_low(float(np.nanmax(gradient, initial=-9))) < 1
        and _or_low(float(np.nanmax(std, initial=-9))) < 1.5
    )


def _rising_share(e: Evidence) -> float:
    tail = e.tail[-200:]
    return float(np.mean(np.diff(tail) > 0)) if len(tail) > 1 else 0.0


def _swings(e: Evidence) -> bool:
    """In full batches nothing but too long a step makes the loss rise again and again."""
    tail = e.tail[-200:]
    if e.regime != "full batch" or len(tail) < 20:
        return False
    change = np.diff(tail)
    level = float(np.median(tail))
    return _rising_share(e) >= 0.25 and float(np.median(np.abs(change))) > 0.01 * max(level, 1e-12)


# Clipping

ALWAYS = 0.95


def _clipped(e: Evidence, window: Window) -> Bools:
    """(C,) whether clipping changed the gradient of any layer in a step of a column."""
    raw, cut = window.high("gradient_norm")[:, e.kernels], window.high("clipped_norm")[:, e.kernels]
    with np.errstate(all="ignore"):
        return np.asarray((cut < raw * (1 - 1e-6)).any(axis=1))


@rule(
    Definition(
        "clipping-always",
        "Clipping acts in every step",
        "warning",
        "clipped_norm",
        "The limit lies below the usual gradient, so clipping sets the size of every step.",
    )
)
def _clipping_always(e: Evidence, definition: Definition) -> Iterator[Finding]:
    share = _clipping_share(e)
    if share is None or share < ALWAYS or e.clipping is None:
        return
    raw, cut = e.recent.log10("gradient_norm")[:, e.kernels], e.recent.log10("clipped_norm")[:, e.kernels]
    with np.errstate(all="ignore"):
        left = np.nanmedian(np.where(np.isfinite(cut - raw), cut - raw, np.nan), axis=0)
    rows = e.kernels[np.nan_to_num(left) < -1e-6]
    cosine = _median(e.recent.middle("clip_cosine")[:, rows])
    smallest = float(np.nanmin(left)) if np.isfinite(left).any() else 0.0
    values = {"way": e.clipping.way, "limit": e.clipping.limit, "share": share, "left": _power(smallest)}
    if cosine < 0.99:
        expert = tr(
            "{way} = {limit:g} acts in {share:.0%} of the steps, leaves down to {left} of the gradient, and turns it "
            "(cosine {cosine:.2f}).",
            cosine=cosine,
            **values,
        )
    else:
        expert = tr(
            "{way} = {limit:g} acts in {share:.0%} of the steps, leaves down to {left} of the gradient.", **values
        )
    yield _finding(
        definition, rows, e.start, e.stop,
        {"share": share, "limit": e.clipping.limit, "log10_left": smallest, "cosine": cosine},
        tr(
            "Clipping cuts the gradient in {share:.0%} of the steps: the limit {limit:g} decides how large a step "
            "is, not the slope.",
            share=share,
            limit=e.clipping.limit,
        ),
        expert,
    )  # fmt: skip


@rule(
    Definition(
        "clipping-never",
        "Clipping never acts",
        "note",
        "clipped_norm",
        "The limit lies above every gradient so far: training is as without clipping.",
    )
)
def _clipping_never(e: Evidence, definition: Definition) -> Iterator[Finding]:
    share = _clipping_share(e)
    if share is None or share > 0 or e.clipping is None or e.stop - e.start < 20:
        return
    key = "gradient_max" if e.clipping.way == "clipvalue" else "gradient_norm"
    largest = float(np.nanmax(e.whole.high(key)[:, e.kernels], initial=0.0))
    values = {"way": e.clipping.way, "limit": e.clipping.limit, "largest": largest}
    yield _finding(
        definition, e.kernels, e.start, e.stop, {"limit": e.clipping.limit, "largest": largest},
        tr("Clipping has not acted once: no gradient came near the limit {limit:g}.", limit=e.clipping.limit),
        tr("{way} = {limit:g}; the largest gradient max was {largest:.3g}.", **values)
        if key == "gradient_max"
        else tr("{way} = {limit:g}; the largest gradient norm was {largest:.3g}.", **values),
    )  # fmt: skip


def _clipping_share(e: Evidence) -> float | None:
    """Share of the steps in which clipping acted, 0 only if it never did; None without clipping."""
    if e.clipping is None or not len(e.kernels) or e.stop - e.start < 8:
        return None
    whole = _clipped(e, e.whole)
    if e.whole.stride == e.source.every or not whole.any():
        return float(whole.mean())
    # A column of several steps tells only that it acted in one of them.
    first = Window(e.source, None, e.start + RECENT * e.source.every, RECENT)
    return float(np.concatenate([_clipped(e, first), _clipped(e, e.recent)]).mean())


# Loss

_REGIMES = {"full batch": mark("full batch"), "mini-batch": mark("mini-batch"), "SGD": mark("SGD")}

ENOUGH = 40
"""Steps that a verdict on the course of the loss needs."""


def _course(e: Evidence) -> tuple[float, float, float]:
    """Level of the last part of the loss, its change from the middle part on (share), and its scatter (share)."""
    tail = e.tail
    n = len(tail)
    earlier, later = tail[n // 3 : 2 * n // 3], tail[2 * n // 3 :]
    level = float(np.mean(later))
    change = (level - float(np.mean(earlier))) / max(abs(level), 1e-300)
    # Scatter about the trend: half of the variance of differences between neighbouring steps.
    scatter = float(np.sqrt(np.mean(np.diff(later) ** 2) / 2)) / max(abs(level), 1e-300)
    return level, change, scatter


STILL = 0.02
"""Change of the mean loss over a third of the last steps, as a share of it, below which it stands still."""


@rule(
    Definition(
        "stopped",
        "Stopped far from the optimum",
        "fault",
        "update_ratio",
        "The loss hardly falls any more although it is still nearly as high as that of guessing: a plateau.",
    )
)
def _stopped(e: Evidence, definition: Definition) -> Iterator[Finding]:
    if e.first_nonfinite is not None or len(e.tail) < ENOUGH or not e.far_now:
        return
    level, change, scatter = _course(e)
    error = scatter * math.sqrt(3 / len(e.tail)) * 2
    if change < -(STILL + error) or level < 0.8 * e.guessing or _is_noise(e):
        return
    start = e.stop - 2 * len(e.tail) * e.source.every // 3
    updates = _median(e.recent.log10("update_ratio")[:, e.kernels])
    expert = {
        "full batch": mark(
            "Loss {loss:.4g} against {guessing:.4g} of guessing, {change:+.2%} over the last third, scatter "
            "{scatter:.1%} of it; median update/weight {update}: every step sees all rows, so no noise will shake it "
            "off the plateau (full batch)."
        ),
        "mini-batch": mark(
            "Loss {loss:.4g} against {guessing:.4g} of guessing, {change:+.2%} over the last third, scatter "
            "{scatter:.1%} of it; median update/weight {update}: the noise of the batches is not enough to leave the "
            "plateau (mini-batch)."
        ),
        "SGD": mark(
            "Loss {loss:.4g} against {guessing:.4g} of guessing, {change:+.2%} over the last third, scatter "
            "{scatter:.1%} of it; median update/weight {update}: not even the noise of single rows leads off the "
            "plateau (SGD)."
        ),
    }[e.regime]
    numbers = {"loss": level, "guessing": e.guessing, "change": change, "scatter": scatter, "log10_update": updates}
    yield _finding(
        definition, e.kernels, max(e.start, start), e.stop, numbers,
        tr(
            "Learning has come to a stop: the loss stays at {loss:.3g}, hardly better than guessing ({guessing:.3g}).",
            loss=level,
            guessing=e.guessing,
        ),
        tr(expert, loss=level, guessing=e.guessing, change=change, scatter=scatter, update=_power(updates)),
    )  # fmt: skip


PLATEAU = 0.1
"""Share of the run that a plateau lasts at least."""


@rule(
    Definition(
        "plateau",
        "Plateau",
        "note",
        "update_ratio",
        "For a while the loss stood still far from the optimum, then it fell again.",
    )
)
def _plateau(e: Evidence, definition: Definition) -> Iterator[Finding]:
    loss = e.smooth_loss
    n = len(loss)
    if n < 20 or not np.isfinite(loss).all():
        return
    flat = np.abs(np.log(loss[1:] / loss[:-1])) < STILL / 4 if (loss > 0).all() else np.zeros(n - 1, np.bool_)
    least = max(3, round(PLATEAU * n))
    for first, last in _stretches(flat):
        level = float(np.median(loss[first : last + 1]))
        drift = abs(math.log(loss[last] / loss[first]))
        steps = e.whole.end_of(last) - int(e.whole.steps[first])
        if last - first < least or steps < ENOUGH or drift > 2 * STILL or level < FAR * e.guessing:
            continue
        # A running median makes stairs of mere noise, so the loss itself must stand still as well.
        raw = e.whole.middle("loss")[first : last + 1]
        third = len(raw) // 3
        error = float(np.std(np.diff(raw))) / math.sqrt(2 * third)
        if error > STILL * level or abs(raw[-third:].mean() - raw[:third].mean()) > 2 * STILL * level + error:
            continue
        left = float(np.min(loss[last:]))
        # What goes on to the end has stopped; what falls little is not left yet.
        if left > 0.8 * level:
            continue
        start, stop = int(e.whole.steps[first]), e.whole.end_of(last)
        updates = _median(e.update_ratio[first : last + 1])
        expert = {
            "full batch": mark(
                "Loss {loss:.4g} ± {drift:.1%} over {steps} steps, then down to {left:.4g}; median update/weight on it "
                "{update} (full batch: without noise only the slope itself leads off it)."
            ),
            "mini-batch": mark(
                "Loss {loss:.4g} ± {drift:.1%} over {steps} steps, then down to {left:.4g}; median update/weight on it "
                "{update} (mini-batch: the noise of the batches helps to leave it)."
            ),
            "SGD": mark(
                "Loss {loss:.4g} ± {drift:.1%} over {steps} steps, then down to {left:.4g}; median update/weight on it "
                "{update} (SGD: the noise of single rows helps to leave it)."
            ),
        }[e.regime]
        yield _finding(
            definition, e.kernels, start, stop, {"loss": level, "left_for": left, "log10_update": updates},
            tr(
                "From step {start} to {last} the loss stood still at {loss:.3g}: a plateau, which it then left.",
                start=start,
                last=stop - 1,
                loss=level,
            ),
            tr(expert, loss=level, drift=drift / 2, steps=stop - start, left=left, update=_power(updates)),
        )  # fmt: skip
        return


def _stretches(where: Bools) -> Iterator[tuple[int, int]]:
    """First and last index of each run of True, the last one counted past its end, longest first."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    found = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    yield from sorted(found, key=lambda one: one[0] - one[1])


NOISY = 0.15
"""Scatter of the loss from step to step, as a share of its mean, from which on noise decides."""


@rule(
    Definition(
        "noise",
        "Noise of the batches decides",
        "note",
        "update_ratio",
        "The loss has come down, then only goes up and down: steps follow the rows of the batch, not the whole set.",
    )
)
def _noise(e: Evidence, definition: Definition) -> Iterator[Finding]:
    if not _is_noise(e):
        return
    level, change, scatter = _course(e)
    moving = _median(e.recent.log10("update_ratio")[:, e.kernels])
    start = max(e.start, e.stop - 2 * len(e.tail) * e.source.every // 3)
    student = (
        mark(
            "The loss goes up and down around {loss:.3g} and gets no lower: this is noise, not a plateau; try larger "
            "batches or a smaller rate."
        )
        if e.regime == "SGD"
        else mark(
            "The loss goes up and down around {loss:.3g} and gets no lower: this is noise, not a plateau; try a "
            "smaller rate or larger batches."
        )
    )
    yield _finding(
        definition, e.kernels, start, e.stop,
        {"loss": level, "change": change, "scatter": scatter, "log10_update": moving},
        tr(student, loss=level),
        tr(
            "Scatter {scatter:.0%} of the mean loss {loss:.3g} from step to step, trend {change:+.1%}, update/weight "
            "{update} ({regime}): the variance of a step's gradient falls as 1/B.",
            scatter=scatter,
            loss=level,
            change=change,
            update=_power(moving),
            regime=tr(_REGIMES[e.regime]),
        ),
    )  # fmt: skip


def _is_noise(e: Evidence) -> bool:
    """Whether the loss stands still, although the weights move, and scatters widely from batch to batch."""
    if e.first_nonfinite is not None or len(e.tail) < 6 * ENOUGH or e.regime == "full batch":
        return False
    level, change, scatter = _course(e)
    if not 0.15 * e.guessing <= level < 1.2 * e.guessing:
        return False
    # Near guessing only a scatter that no plateau has.
    least = NOISY if level < 0.8 * e.guessing else 2 * NOISY
    error = 2 * scatter * math.sqrt(3 / len(e.tail))
    moving = _median(e.recent.log10("update_ratio")[:, e.kernels])
    return scatter >= least and change >= -(0.05 + error) and moving >= -3

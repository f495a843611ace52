"""The prediction for a stack as the cards and the profile plot show it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradsim.i18n import mark, tr
from gradsim.model.stack import Placed, Stack
from gradsim.nn import activations, layers, losses
from gradsim.nn.spec import fields_of
from gradsim.theory.meanfield import Propagation, Trace, describe
from gradsim.theory.signals import Block, Floats, Inputs, Node, Targets

TRAINED = mark("its weights are trained: theory knows only freshly drawn ones")
GIVEN = mark("its weights were given: theory knows only freshly drawn ones")

BAND = 2.0
"""Half the width of the band in deviations: about 95 of 100 networks lie inside."""
WIDE = 3.0
"""The same where theory gives a band only: it is of first order, and chance there isn't small."""
ROUNDING = 1e-6
"""Variance of ln of a mean square that every band has at least: number formats, and what theory neglects."""
LN10 = math.log(10)
PERSONAL = ("name", "uid", "trainable", "enabled")
LONGEST = 12
"""The longest group, in layers, that is looked for when equal groups are joined."""
CURVES = frozenset(activations.registry) - {"linear"} | {"LeakyReLU", "PReLU", "ELU"}


@dataclass(frozen=True)
class Row:
    """What theory says about one row of the stack.

    Attributes:
        name: Name of the layer.
        factor: What the layer, its activation included, multiplies the RMS of the gradient by on its way down, from
            dL/d(output) to dL/d(input); None where theory has no say.
        text: The factor in words, for the layer's card ("sigmoid + glorot: x0.24").
        reason: Why there is no factor or no predicted gradient, or None.
        note: What the numbers neglect, or "".
    """

    name: str
    factor: float | None
    text: str
    reason: str | None
    note: str


@dataclass(frozen=True)
class Run:
    """Equal layers, or equal groups of layers, one after the other.

    Attributes:
        start, stop: Its rows.
        rounds: How many layers or groups.
        factor: That of the layer or group in the middle of the run; None where theory has no say.
        log10_total: Of the whole run's factor; -inf for exactly 0, NaN where theory has no say.
        text: "sigmoid + glorot: x0.24 a layer; 20 layers: 2.6e-13".
    """

    start: int
    stop: int
    rounds: int
    factor: float | None
    log10_total: float
    text: str


@dataclass(frozen=True)
class Prediction:
    """Mean field for a stack with initial weights; arrays run over its rows, input first.

    Values are log10 of an RMS over units and rows of the batch. -inf is exactly zero, NaN is "theory has no say". The
    profiles are those of infinitely wide layers; the bands say where about 95 of 100 networks of this width lie, and
    are there also for some rows without a number (a band without a middle).

    Attributes:
        absolute: True if the values are those of the loss; else the RMS of delta in the last row counts as 1.
        log10_delta: dL/d(pre-activation), for a row without activation dL/d(output).
        low, high: Its band.
        log10_gradient: dL/d(main weight), NaN for rows without one.
        gradient_low, gradient_high: Its band.
        rows: One a row.
        runs: Rows in equal groups, at least two groups each.
        blocks: Residual blocks, one a run of one round.
    """

    absolute: bool
    log10_delta: Floats
    low: Floats
    high: Floats
    log10_gradient: Floats
    gradient_low: Floats
    gradient_high: Floats
    rows: tuple[Row, ...]
    runs: tuple[Run, ...]
    blocks: tuple[Run, ...]

    def shifted(self, log10: float) -> Prediction:
        """The same with all profiles moved up by ``log10`` (where the measured top is known, say)."""
        names = ("log10_delta", "low", "high", "log10_gradient", "gradient_low", "gradient_high")
        return dataclasses.replace(self, **{name: getattr(self, name) + log10 for name in names})

    def relative(self) -> Prediction:
        """The same with the last row's delta at 1."""
        top = float(self.log10_delta[-1])
        return dataclasses.replace(self.shifted(-top), absolute=False) if math.isfinite(top) else self


def predict(
    stack: Stack,
    loss: losses.Loss | None,
    batch_size: int,
    inputs: Inputs | None = None,
    targets: Targets | None = None,
    unknown: Mapping[int, str] | None = None,
) -> Prediction:
    """What mean field says about a stack before its first step.

    Args:
        stack: The expanded stack.
        loss: Decides the gradient at the top; None leaves its size open.
        batch_size: Rows of a step, >= 1; a full batch is the number of rows of the training set.
        inputs: Statistics of the data (:meth:`Inputs.of`); None is white noise of variance 1.
        targets: Statistics of the targets. None leaves the size of the gradient open for mse, and means balanced
            classes for the cross-entropies.
        unknown: Reasons for rows whose weights are not those the initializers draw: :data:`TRAINED`, :data:`GIVEN`.

    Raises:
        ValueError: if ``batch_size`` is below 1 or ``unknown`` names a row that isn't there.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, received {batch_size}")
    unknown = unknown or {}
    for row in unknown:
        if not 0 <= row < len(stack.layers):
            raise ValueError(f"unknown must name rows from 0 to {len(stack.layers) - 1}, received {row}")
    flow = Propagation(stack, batch_size, inputs or Inputs(), unknown)
    flow.forward()
    if flow.unstable:
        flow = Propagation(stack, batch_size, inputs or Inputs(), unknown, wary=True)
        flow.forward()
    top, absolute = flow.top(loss, targets)
    flow.backward(top)
    traces = flow.traces
    deltas = [trace.delta for trace in traces]
    base = deltas[-1].level if not absolute and math.isfinite(deltas[-1].level) else 0.0
    delta, low, high = _profile(
        np.array([d.level for d in deltas]) - base,
        np.array([d.spread for d in deltas]),
        np.array([d.drift for d in deltas]),
        np.array([d.told for d in deltas]),
    )
    gradient, gradient_low, gradient_high = _profile(
        np.array([trace.gradient for trace in traces]) - base,
        np.array([trace.gradient_spread for trace in traces]),
        np.array([trace.gradient_drift for trace in traces]),
        np.array([d.told for d in deltas]),
    )
    rows = tuple(_row(placed, trace) for placed, trace in zip(stack.layers, traces, strict=True))
    return Prediction(
        absolute,
        delta,
        low,
        high,
        gradient,
        gradient_low,
        gradient_high,
        rows,
        _runs(stack, flow),
        _blocks(stack, flow),
    )


def _profile(level: Floats, spread: Floats, drift: Floats, told: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """log10 RMS of mean squares given as ln, and the band around it from variance and mean of its deviation."""
    scale = 1 / (2 * LN10)
    zero = level == -np.inf
    middle = np.where(zero, 0.0, level) + drift
    reach = np.where(told, BAND, WIDE) * np.sqrt(spread + ROUNDING)
    bounds = [np.where(zero, -np.inf, scale * (middle + side * reach)) for side in (-1, 1)]
    return np.where(told | zero, scale * level, np.nan), bounds[0], bounds[1]


def _row(placed: Placed, trace: Trace) -> Row:
    label = _label(placed.layer)
    own = trace.reason or trace.bent
    if own:
        return Row(placed.name, None, tr("{label}: {reason}", label=label, reason=own), own, trace.note)
    log10 = trace.factor / (2 * LN10)
    reason = None
    if math.isnan(trace.entry.level) or not trace.entry.told:
        reason = tr("the gradient that reaches it is unknown, because of {layer}", layer=trace.entry.blame)
    text = tr("{label}: x{factor}", label=label, factor=short(log10)) if label else ""
    return Row(placed.name, _power(log10), text, reason, trace.note)


def _power(log10: float) -> float:
    return 10**log10 if log10 < 308 else math.inf


def _label(layer: layers.Layer) -> str:
    """Activation and initializer of a layer as its card names them; "" for one that has no say in gradients."""
    match layer:
        case layers.Dense():
            kernel = describe(layer.kernel_initializer)
            return f"{layer.activation.identifier} + {kernel}"
        case layers.Activation():
            return layer.activation.identifier
        case layers.BatchNormalization():
            return tr("batch norm")
        case layers.LayerNormalization():
            return tr("layer norm")
        case layers.Dropout():
            return tr("dropout({rate:g})", rate=layer.rate)
        case layers.LeakyReLU() | layers.PReLU() | layers.ELU():
            return layer.identifier
    return ""


Signature = tuple[object, ...]


def _signature(stack: Stack, node: Node) -> Signature:
    """What two nodes have in common that theory treats alike."""
    if isinstance(node, Block):
        return ("residual", *(_signature(stack, child) for child in node.children))
    placed = stack.layers[node]
    kind = type(placed.layer)
    values = tuple(getattr(placed.layer, view.name) for view in fields_of(kind) if view.name not in PERSONAL)
    return (kind, values, placed.trainable, placed.input_shape, placed.output_shape)


def _ends(node: Node) -> tuple[int, int]:
    return (node.start, node.stop) if isinstance(node, Block) else (node, node + 1)


def _labels(stack: Stack, nodes: Sequence[Node]) -> str:
    """Activations, initializers and normalisations of a group, each once, in their order."""
    words: list[str] = []
    for node in nodes:
        if isinstance(node, Block):
            words += [tr("residual"), *_labels(stack, node.children).split(" + ")]
        else:
            words += _label(stack.layers[node].layer).split(" + ")
    found = [word for word in dict.fromkeys(words) if word]
    if len(found) > 1 and any(word in CURVES for word in found):
        # A Dense without an activation of its own, before the one that its group ends with.
        found = [word for word in found if word != "linear"]
    return " + ".join(found)


def _levels(nodes: Sequence[Node]) -> Iterator[Sequence[Node]]:
    """The rows of the stack and of each residual block, each a sequence of its own."""
    yield nodes
    for node in nodes:
        if isinstance(node, Block):
            yield from _levels(node.children)


def _runs(stack: Stack, flow: Propagation) -> tuple[Run, ...]:
    found = []
    for nodes in _levels(flow.nodes):
        signatures = [_signature(stack, node) for node in nodes]
        at = 0
        while at < len(nodes):
            period, rounds = _period(signatures, at)
            if rounds > 1:
                found.append(_run(stack, flow, nodes[at : at + period * rounds], rounds))
            at += period * rounds
    return tuple(sorted(found, key=lambda run: (run.start, -run.stop)))


def _period(signatures: Sequence[Signature], at: int) -> tuple[int, int]:
    """The length of the group that is repeated from a place on, and how often; the one that covers most."""
    best = 1, 1
    for period in range(1, min(LONGEST, (len(signatures) - at) // 2) + 1):
        group, rounds = signatures[at : at + period], 1
        while signatures[at + rounds * period : at + (rounds + 1) * period] == group:
            rounds += 1
        if rounds > 1 and period * rounds > best[0] * best[1]:
            best = period, rounds
    return best


def _run(stack: Stack, flow: Propagation, nodes: Sequence[Node], rounds: int) -> Run:
    start, stop = _ends(nodes[0])[0], _ends(nodes[-1])[1]
    label = _labels(stack, nodes[: len(nodes) // rounds])
    reason = next((t.reason or t.bent for t in flow.traces[start:stop] if t.reason or t.bent), "")
    logs = [flow.factor(node) / (2 * LN10) for node in nodes]
    total = math.nan if reason else sum(logs)
    if math.isnan(total):
        reason = reason or tr("its two ways are not independent")
        return Run(start, stop, rounds, None, math.nan, tr("{label}: {reason}", label=label, reason=reason))
    period, middle = len(nodes) // rounds, rounds // 2
    each = sum(logs[middle * period : (middle + 1) * period])
    values = {"label": label, "each": short(each), "n": rounds, "total": short(total)}
    if rounds == 1:
        text = tr("{label}: x{each} a block", **values)
    elif isinstance(nodes[0], Block) or len(nodes) > rounds:
        text = tr("{label}: x{each} a block; {n} blocks: {total}", **values)
    else:
        text = tr("{label}: x{each} a layer; {n} layers: {total}", **values)
    return Run(start, stop, rounds, _power(each), total, text)


def _blocks(stack: Stack, flow: Propagation) -> tuple[Run, ...]:
    found = [
        _run(stack, flow, (node,), 1) for nodes in _levels(flow.nodes) for node in nodes if isinstance(node, Block)
    ]
    return tuple(sorted(found, key=lambda run: (run.start, -run.stop)))


def short(log10: float) -> str:
    """A positive number given as log10, with two digits, near 1 three: "0.24", "1.04", "2.6e-13"; "0" for -inf."""
    if log10 == -math.inf:
        return "0"
    if -3 <= log10 < 4:
        value = 10**log10
        text = f"{value:.3g}" if 0.8 < value < 1.25 else f"{value:.2g}"
        return text if "e" not in text else f"{float(text):.0f}"
    exponent = math.floor(log10)
    mantissa = f"{10 ** (log10 - exponent):.1f}"
    if mantissa == "10.0":
        mantissa, exponent = "1.0", exponent + 1
    return f"{mantissa}e{exponent:+03d}"

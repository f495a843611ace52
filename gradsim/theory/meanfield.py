"""Mean-field recursions for an expanded stack with its initial weights.

Forward: mean square and covariance of two rows, layer by layer (Poole et al. 2016). Backward: the mean
square of the gradient and its product for two rows, with the forward values of each layer, not only the fixed point
(Schoenholz et al. 2017); with unequal widths a Dense layer multiplies the mean square by ``fan_out *
Var(W)``. BatchNormalization: the exact Jacobian on the sphere of normalised batches (Yang et al. 2019, theorem 8
for ReLU, here for any activation).

Finite width: each sum over the units of a layer is a mean with a spread. With w_o the weights and d the gradient
above, ``|delta|^2 = sum_i phi'(z_i)^2 (sum_o w_io d_o)^2`` has the relative variance ``(3 E[phi'^4] / E[phi'^2]^2 -
1) / n``: 2/n from the weights, ``3 (E[phi'^4] / E[phi'^2]^2 - 1) / n`` from the slopes; 5/n for ReLU, 2/n for linear
(as Hanin & Nica 2018 have it for ReLU; the general form is checked by Monte Carlo in the tests). So the logarithm of
``|delta|^2`` is a random walk, whose mean lies half its variance lower. Over a batch, the part that two rows have in
common stays, the rest averages out. The values' own walk enters where slopes depend on their size; all of it to first
order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gradsim.i18n import tr
from gradsim.model.stack import Placed, Stack
from gradsim.nn import activations, initializers, layers, losses
from gradsim.nn.initializers import Initializer
from gradsim.theory import expectations
from gradsim.theory.expectations import LINEAR, Curve, Moments, SoftmaxMoments
from gradsim.theory.signals import (
    LARGEST,
    Block,
    Chain,
    Cotangent,
    Floats,
    Inputs,
    Kind,
    Node,
    Signal,
    Targets,
    distribution,
    log,
    replace,
    spread_of,
    tree,
)

# A chance deviation of the signal's size that has grown by this factor since it was last pinned has no stable point.
UNSTABLE_GAIN = 1.15
# A layer whose slopes spread more than their own mean square passes a gradient on through a few lucky units only.
LUCKY = 1.0
# Mean squared correlation of what is left of two rows without their common part. Batches of independent rows have 1 /
# rows; above this a BatchNormalization's inverse deviations are no longer those of a sphere in all directions.
FEW_DIRECTIONS = 0.2


@dataclass(frozen=True, slots=True)
class Summary:
    """A gradient without its sensitivities: ``ln`` of the mean square, variance and mean of its deviation."""

    level: float
    spread: float
    drift: float
    told: bool
    blame: str

    @classmethod
    def of(cls, g: Cotangent) -> Summary:
        drift, spread = g.chance()
        return cls(g.level, spread, drift, g.told and not math.isnan(g.level), g.blame)


NOTHING = Summary(math.nan, math.nan, math.nan, False, "")


@dataclass
class Trace:
    """What one row leaves behind for the way back, and what is found there.

    Attributes:
        pre: The signal in front of the row's activation.
        kernel: Variance of the entries of the kernel.
        share: ``variance / (variance + epsilon)`` of a normalisation.
        alike: How far the pair moments are on their way to those of one row, because correlations wobble.
        precision: Mean of ``1 / (variance + epsilon)``.
        reason: Why theory has no factor for the row, or "".
        bent: The same for the row's activation alone.
        note: What an estimate neglects, or "".
        factor: ``ln`` of what the row multiplies the mean square of the gradient by, whatever arrives from above.
        entry: The gradient at the row's input, filled on the way back like the following ones.
        delta: The gradient where the row's delta is measured.
        gradient: ``ln`` of the mean square of the main weight's gradient; ``gradient_spread`` and
            ``gradient_drift`` are variance and mean of its deviation.
    """

    name: str
    input: Signal
    output: Signal
    pre: Signal
    curve: Curve | None = None
    moments: Moments | None = None
    soft: SoftmaxMoments | None = None
    value_noise: tuple[float, float] = (0.0, 0.0)
    value_place: int = 0
    kernel: float = math.nan
    isometric: bool = False
    behind: expectations.BehindActivation | None = None
    precision: float = math.nan
    alike: float = 0.0
    share: float = 1.0
    frozen_norm: bool = False
    reason: str = ""
    bent: str = ""
    note: str = ""
    factor: float = math.nan
    entry: Summary = NOTHING
    delta: Summary = NOTHING
    gradient: float = math.nan
    gradient_spread: float = math.nan
    gradient_drift: float = math.nan


@dataclass
class _Above:
    """What the row just passed on the way back was, where its formula includes the row below."""

    activation: tuple[Moments, Cotangent] | None = None
    """An activation and the gradient at its output; its ``level`` counts from that at its input."""
    joint: tuple[expectations.BehindActivation, Cotangent] | None = None
    """The same of a BatchNormalization behind an activation."""


@dataclass
class Propagation:
    """One way up and one way down.

    Args:
        rows: Rows of the batch.
        unknown: Reasons for rows whose weights are not the initializers' draws.
        wary: For a stack without a stable point (``unstable`` after :meth:`forward`), where the mean deviation of the
            values isn't one of first order, and the rows of a batch go apart like networks do.
    """

    stack: Stack
    rows: int
    inputs: Inputs
    unknown: Mapping[int, str] = field(default_factory=dict)
    wary: bool = False
    traces: list[Trace] = field(default_factory=list, init=False)
    block_factors: dict[Block, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        count = len(self.stack.layers)
        # Beyond so many, sources share places with random signs, which keeps every variance right on average.
        self._places = min(512, 2 * count + 2 * len(self.stack.residuals))
        self._signs = np.random.default_rng(22)
        self._next = 0
        self.nodes = tree(count, self.stack.residuals)

    def source(self, single: float, pair: float) -> tuple[int, tuple[float, float]]:
        """A new source of chance: its place, and the signed deviations of one row and of what two have in common."""
        self._next += 1
        place = (self._next - 1) % self._places
        sign = 1.0 if self._next <= self._places else float(self._signs.choice((-1.0, 1.0)))
        single = max(0.0, single)
        pair = single if math.isnan(pair) or self.rows == 1 else max(0.0, min(single, pair))
        return place, (sign * math.sqrt(single), sign * math.sqrt(pair))

    def zero(self) -> Floats:
        """No sensitivity to any source."""
        return np.zeros((2, self._places))

    @property
    def unstable(self) -> bool:
        """Whether chance deviations of the signal's size grow somewhere in the stack."""
        return any(trace.pre.chain.unstable for trace in self.traces)

    # ---- upwards

    def forward(self) -> Signal:
        """The signal behind the last row; fills the traces."""
        units = math.prod(self.stack.input_shape)
        given = self.inputs
        start = Signal(given.mean, given.square, given.product, "data", units, self.zero())
        c = given.product / given.square if given.square else 1.0
        wobble = spread_of(c, units) if given.likeness is None else max(0.0, given.likeness - c * c)
        start = replace(start, wobble=wobble, turned=1 / given.square if given.square else 0.0)
        return self._up(self.nodes, start)

    def _up(self, nodes: Sequence[Node], signal: Signal) -> Signal:
        for node in nodes:
            if isinstance(node, Block):
                inside = self._up(node.children, signal)
                signal = self._sum(node, signal, inside)
            else:
                placed = self.stack.layers[node]
                trace = self._row(placed, signal)
                if not trace.output.unknown and trace.output.square > LARGEST:
                    trace.reason = tr("the values overflow every number format here")
                    trace.output = replace(trace.output, unknown=placed.name)
                self.traces.append(trace)
                signal = trace.output
        return signal

    def _row(self, placed: Placed, x: Signal) -> Trace:
        layer = placed.layer
        trace = Trace(placed.name, x, x, x)
        activation = layer.applied()
        if placed.index in self.unknown:
            trace.reason = tr(self.unknown[placed.index])
            units = math.prod(placed.output_shape)
            trace.pre = trace.output = replace(x, kind="values", units=units, source=None, unknown=placed.name)
            if activation is not None:
                self._activate(trace, activation)
            return trace
        match layer:
            case layers.Dense():
                self._dense(trace, placed, layer)
            case layers.PReLU():
                self._prelu(trace, layer)
            case layers.BatchNormalization():
                self._batch_norm(trace, placed, layer)
            case layers.LayerNormalization():
                self._layer_norm(trace, layer)
            case layers.Dropout():
                self._dropout(trace, layer)
            case layers.Flatten():
                pass
            case _ if activation is not None:
                self._activate(trace, activation)
            case _:
                trace.reason = tr("theory has no formula for {layer}", layer=layer.identifier)
                trace.output = replace(x, kind="values", source=None, unknown=placed.name)
        return trace

    def _dense(self, trace: Trace, placed: Placed, layer: layers.Dense) -> None:
        x = trace.input
        fan_in, fan_out = placed.weights[0].shape
        bias = distribution(layer.bias_initializer, fan_out, fan_out) if layer.use_bias else (0.0, 0.0)
        if isinstance(layer.kernel_initializer, initializers.Identity):
            z = self._identity(trace, layer.kernel_initializer, fan_in, fan_out, bias, x)
        else:
            z = self._mixed(trace, layer.kernel_initializer, fan_in, fan_out, bias, x)
        if trace.reason:
            z = replace(z, unknown=placed.name)
        trace.pre = trace.output = z
        self._activate(trace, layer.activation)

    def _mixed(
        self,
        trace: Trace,
        initializer: Initializer,
        fan_in: int,
        fan_out: int,
        bias: tuple[float, float] | None,
        x: Signal,
    ) -> Signal:
        weight = distribution(initializer, fan_in, fan_out)
        if bias is None or weight is None or weight[0] != 0:
            trace.reason = (
                tr(
                    "{initializer}: the weights are not independent draws around zero, so that the units of the "
                    "layer do the same thing",
                    initializer=describe(initializer),
                )
                if bias is not None
                else tr("the biases are not independent draws")
            )
            return Signal(math.nan, math.nan, math.nan, "values", fan_out, x.deviation)
        trace.kernel = weight[1]
        trace.isometric = isinstance(initializer, initializers.Orthogonal)
        mean, spread = bias
        strength = fan_in * weight[1]
        if strength == 0:
            # Whatever comes in, nothing of it is left.
            square, product, deviation, drift, wobble, gain, chain = 0.0, 0.0, self.zero(), 0.0, 0.0, 0.0, Chain()
            turned = 0.0
        else:
            square, product = strength * x.square, strength * x.product
            share = square / (square + spread) if square + spread > 0 and math.isfinite(square) else 1.0
            deviation, drift = x.measured() * share, 0.0 if self.wary else x.measured_drift * share
            wobble, gain, chain = (
                max(0.0, x.likeness - (x.product / x.square) ** 2) if x.square else 0.0,
                x.gain,
                x.chain,
            )
            wobble, gain, turned = wobble * share**2, gain * share, x.turned * share
        unknown = x.unknown if strength else ""
        square, product = square + spread + mean**2, product + spread + mean**2
        z = Signal(
            mean, square, product, "normal", fan_out, deviation,
            drift=drift, wobble=wobble, turned=turned, gain=gain, chain=chain, unknown=unknown,
        )  # fmt: skip
        return z if trace.isometric and fan_in <= fan_out and spread == 0 else self._sampled(z)

    def _sampled(self, z: Signal) -> Signal:
        """A normal signal with the spread of its own mean square over the units."""
        if z.unknown or z.square == 0:
            return z
        variance = z.variance / z.square
        c = z.correlation
        spread = 2 * variance**2 / z.units
        place, sampling = self.source(spread, spread * (c * c + z.wobble))
        return replace(z, sampling=sampling, place=place)

    def _identity(
        self,
        trace: Trace,
        initializer: initializers.Identity,
        fan_in: int,
        fan_out: int,
        bias: tuple[float, float] | None,
        x: Signal,
    ) -> Signal:
        if fan_in != fan_out:
            trace.reason = tr("an identity that is not square leaves units out or without input")
            return replace(x, kind="values", units=fan_out)
        if bias != (0.0, 0.0):
            trace.reason = tr("an identity with biases: the values are of no known distribution")
            return replace(x, kind="values")
        trace.kernel = initializer.gain**2 / fan_out
        trace.isometric = True
        return x.scaled(initializer.gain)

    def _activate(self, trace: Trace, activation: activations.Activation) -> None:
        """Fills in the activation that a row ends with."""
        z = trace.pre
        if isinstance(activation, activations.Softmax):
            self._softmax(trace, z)
            return
        self._bend(trace, Curve.of(activation))

    def _lost(self, trace: Trace) -> bool:
        """Whether theory can't follow the row's activation; says why."""
        z = trace.pre
        if z.unknown:
            trace.bent = tr("what reaches its activation is unknown, because of {layer}", layer=z.unknown)
        elif z.kind == "data":
            trace.bent = tr("an activation right on the data, whose distribution can be anything")
        elif z.kind == "values":
            trace.bent = tr("an activation on values that no Dense layer has mixed: they are not normally distributed")
        if trace.bent:
            trace.output = replace(z, kind="values", source=None, unknown=z.unknown or trace.name)
        return bool(trace.bent)

    def _bend(self, trace: Trace, curve: Curve) -> None:
        z = trace.pre
        trace.curve = curve
        if curve == LINEAR:
            return
        if self._lost(trace):
            return
        if z.kind == "sphere":
            m = expectations.sphere(curve, z.scale, z.rows)
            source = None
        else:
            correlation = _rounded(z.correlation) if self.rows > 1 else math.nan
            source = (curve, z.mean, _rounded(z.variance), correlation)
            m = expectations.normal(*source)
            if z.kind == "sum":
                trace.note = tr("estimated as if the sum in front of it were normally distributed")
        trace.moments = m
        c = z.correlation
        # Excess of pairs is nearly linear in the squared correlation.
        trace.alike = min(1.0, z.wobble / (1 - c * c)) if c * c < 1 and not math.isnan(c) else 0.0
        single, pair = m.value_excess, mixed(m.value_excess_pair, m.value_excess, trace.alike)
        if z.kind == "normal" and z.sampling[0] == 0:
            # Behind an isometry the sum of squares is fixed, and with it the part of the noise that follows it.
            fixed = 2 * m.value_response**2
            single, pair = single - fixed, pair - fixed * min(1.0, c * c + z.wobble)
        trace.value_place, trace.value_noise = self.source(single / z.units, pair / z.units)
        deviation = z.deviation * m.value_response
        deviation[:, trace.value_place] += trace.value_noise
        drift = z.drift * m.value_response - trace.value_noise[0] ** 2 / 2
        if curve.negative_slope is None:
            z.chain.sized.append(len(self.traces))
            if m.value_response > 1 and z.gain * m.value_response > UNSTABLE_GAIN:
                z.chain.unstable = True
        product = m.square if self.rows == 1 else m.product
        turned = self._turned(z, m)
        wobble = min(1.0, z.wobble * turned**2 + spread_of(product / m.square, z.units)) if turned else 0.0
        trace.output = Signal(
            m.mean, m.square, product, "values", z.units, deviation,
            drift=0.0 if self.wary else drift, wobble=wobble, turned=z.turned * turned,
            gain=z.gain * m.value_response, chain=z.chain, source=source,
        )  # fmt: skip

    def _turned(self, z: Signal, m: Moments) -> float:
        """What an activation makes of a small difference in the correlation of two rows."""
        known = self.rows > 1 and m.square > 0 and not math.isnan(m.product)
        return m.slope_product * z.variance / m.square if known else 0.0

    def _softmax(self, trace: Trace, z: Signal) -> None:
        if self._lost(trace):
            return
        m = expectations.softmax(z.units, _rounded(z.variance), _rounded(z.correlation))
        trace.soft = m
        c = 0.0 if math.isnan(z.correlation) else z.correlation
        place, noise = self.source(m.excess / z.units, m.excess * c * c / z.units)
        deviation = self.zero()
        deviation[:, place] = noise
        drift = -(noise[0] ** 2) / 2
        trace.output = Signal(1 / z.units, m.square, m.product, "values", z.units, deviation, drift=drift)

    def _prelu(self, trace: Trace, layer: layers.PReLU) -> None:
        x = trace.input
        found = distribution(layer.alpha_initializer, x.units, x.units)
        if found is None or found[1] != 0:
            trace.bent = tr("slopes drawn at random: every unit has a curve of its own")
            trace.output = replace(x, kind="values", source=None, unknown=x.unknown or trace.name)
        else:
            self._bend(trace, Curve(None, found[0]))

    def _dropout(self, trace: Trace, layer: layers.Dropout) -> None:
        x = trace.input
        if layer.rate == 0:
            return
        keep = 1 - layer.rate
        x = replace(x, deviation=x.measured().copy(), drift=x.measured_drift, sampling=(0.0, 0.0))
        place, noise = self.source((1 / keep - 1) * 3 / x.units, 0.0)
        x.deviation[:, place] += noise
        product = x.square / keep if self.rows == 1 else x.product
        trace.output = replace(x, square=x.square / keep, product=product, kind="values", source=None)

    def _batch_norm(self, trace: Trace, placed: Placed, layer: layers.BatchNormalization) -> None:
        x = trace.input
        rows = self.rows
        if not placed.trainable:
            # A frozen one normalises with its moving statistics, which start at 0 and 1.
            trace.frozen_norm = True
            trace.share = 1 / (1 + layer.epsilon)
            trace.output = x.scaled(math.sqrt(trace.share))
            return
        output = Signal(0.0, 0.0, 0.0, "sphere", x.units, self.zero(), rows=rows)
        if rows == 1:
            trace.precision = 0.0
            trace.note = tr("over a batch of one row the output is zero and so is every gradient below")
            trace.output = replace(output, kind="normal")
            return
        if rows <= 3:
            trace.reason = tr(
                "over {rows} rows the deviation can come close to 0, and the gradient has no finite mean", rows=rows
            )
            trace.output = replace(output, kind="values", unknown=trace.name)
            return
        if x.unknown or math.isnan(x.spread):
            trace.reason = _unknown(x.unknown or tr("the rows"))
            known = x.kind == "normal"
            trace.output = replace(output, square=1.0, product=-1 / (rows - 1), unknown="" if known else x.unknown)
            return
        spread = x.spread
        if x.kind == "data" and self.inputs.variances is not None:
            v = np.asarray(self.inputs.variances)
            trace.share = float(np.mean(v / (v + layer.epsilon)))
            trace.precision = float(np.mean(1 / (v + layer.epsilon)))
        elif x.kind == "values" and x.source is not None:
            trace.behind = expectations.behind(*x.source, rows, layer.epsilon)
            trace.share = trace.behind.square
        else:
            # |z - mean|^2 is chi-squared with rows - 1 degrees, so the mean of its inverse has rows - 3.
            biased = spread * (1 - 1 / rows)
            trace.share = biased / (biased + layer.epsilon)
            trace.precision = 1 / (spread * (rows - 3) / rows + layer.epsilon)
        square = trace.share
        kind: Kind = "sphere" if x.kind in ("normal", "sum") else "values"
        if spread == 0:
            kind = "normal"
        wobble = max(0.0, x.likeness - (x.product / x.square) ** 2) if x.square else 0.0
        left = x.square / spread if spread > 0 else 0.0
        if x.wobble * left**2 > FEW_DIRECTIONS:
            trace.note = tr(
                "the rows of a batch differ along a few directions only, and the gradient below is somewhat larger"
            )
        trace.output = replace(
            output,
            square=square,
            product=-square / (rows - 1),
            kind=kind,
            scale=_rounded(math.sqrt(square)),
            wobble=wobble,
            turned=x.turned * left,
        )

    def _layer_norm(self, trace: Trace, layer: layers.LayerNormalization) -> None:
        x = trace.input
        output = Signal(0.0, 0.0, 0.0, "normal", x.units, self.zero())
        if x.units == 1:
            trace.share, trace.precision = 1.0, 0.0
            trace.note = tr("over one unit the output is zero and so is every gradient below")
            trace.output = output
            return
        if x.unknown:
            trace.reason = _unknown(x.unknown)
            known = x.kind == "normal"
            trace.output = replace(output, square=1.0, product=math.nan, unknown="" if known else x.unknown)
            return
        variance = x.variance
        trace.share = variance / (variance + layer.epsilon)
        trace.precision = 1 / (variance + layer.epsilon)
        product = (x.product - x.mean**2) * trace.precision
        kind: Kind = x.kind if x.kind in ("normal", "sum") else "values"
        trace.output = replace(output, square=trace.share, product=product, kind=kind, wobble=x.wobble)
        trace.output = replace(trace.output, turned=x.turned * x.square / variance if variance else 0.0)

    def _mixes(self, block: Block) -> bool:
        """Whether independent weights make the inside of a block independent of its skip."""
        kernels = [
            placed.weights[0].initializer
            for placed in self.stack.layers[block.start : block.stop]
            if isinstance(placed.layer, layers.Dense)
        ]
        return any(not isinstance(kernel, initializers.Identity) for kernel in kernels)

    def _sum(self, block: Block, x: Signal, inside: Signal) -> Signal:
        """What leaves a residual block."""
        if x.unknown or inside.unknown or not self._mixes(block):
            return replace(inside, kind="values", unknown=x.unknown or inside.unknown or tr("the residual block"))
        cross = x.mean * inside.mean
        if inside.mean:
            self.traces[block.stop - 1].note = tr(
                "blocks that add values of one sign build up a common mean, and the gradient grows somewhat steeper"
            )
        square = x.square + inside.square + 2 * cross
        kind: Kind = "normal" if x.kind == inside.kind == "normal" else "sum"
        if inside.square == 0:
            return x
        if square == 0:
            return replace(x, chain=inside.chain)
        share = inside.square / square
        product = x.product + inside.product + 2 * cross
        deviation = (1 - share) * x.deviation + share * inside.measured()
        both = share * (1 - share)
        wobble = (1 - share) ** 2 * x.wobble + share**2 * inside.wobble
        wobble += 2 * both * math.sqrt(x.wobble * inside.wobble)
        # Signs of a normal unit before and after the block agree as those of two normals of this correlation.
        kept = 2 / math.pi * math.asin(math.sqrt(1 - share))
        stream = self.zero()
        stream[:, self.source(0.0, 0.0)[0]] = math.sqrt(1 - kept**2)
        if x.stream is not None:
            stream += kept * x.stream
        total = Signal(
            x.mean + inside.mean, square, product, kind, x.units, deviation,
            drift=(1 - share) * x.drift + share * inside.measured_drift, wobble=wobble,
            turned=(1 - share) * x.turned + share * inside.turned,
            gain=(1 - share) * x.gain + share * inside.gain, chain=x.chain, stream=stream,
        )  # fmt: skip
        return self._sampled(total)

    # ---- downwards

    def backward(self, top: Cotangent) -> None:
        """Follows a gradient at the output of the last row down; fills the traces' ``entry``, ``delta`` ..."""
        for trace in self.traces:
            chain = trace.pre.chain
            if chain.unstable:
                for row in chain.sized:
                    if not self.traces[row].bent:
                        self.traces[row].bent = tr(
                            "no stable point: this activation keeps no size of the signal, so that chance "
                            "differences between networks grow from layer to layer"
                        )
        self._down(self.nodes, top, _Above())

    def _down(self, nodes: Sequence[Node], cotangent: Cotangent, above: _Above) -> Cotangent:
        for node in reversed(nodes):
            if isinstance(node, Block):
                cotangent = self._branch(node, cotangent)
                above = _Above()
            else:
                cotangent, above = self._back(node, cotangent, above)
        return cotangent

    def _branch(self, block: Block, top: Cotangent) -> Cotangent:
        inner = self._down(block.children, top, _Above())
        branch = sum(self.factor(child) for child in block.children)
        if not self._mixes(block):
            # Without independent weights inside, the two ways don't add up like independent ones.
            branch = math.nan
            inner = replace(inner, level=math.nan, told=False, blame=inner.blame or tr("the residual block"))
        factor = math.nan if math.isnan(branch) else float(np.logaddexp(0.0, branch))
        self.block_factors[block] = factor
        share = math.exp(branch - factor) if branch > -math.inf else 0.0
        if math.isnan(share):
            return replace(inner, level=_product(top.level, math.nan))
        both = math.sqrt(top.likeness * inner.likeness)
        # The cross term of the two ways is zero on average only.
        cross = 4 * share * (1 - share)
        units = math.prod(self.stack.layers[block.start].input_shape)
        return Cotangent(
            level=_product(top.level, factor),
            correlation=(1 - share) * top.correlation + (share * inner.correlation if share else 0.0),
            likeness=(1 - share) ** 2 * top.likeness + share**2 * inner.likeness + 2 * share * (1 - share) * both,
            deviation=(1 - share) * top.deviation + share * inner.deviation,
            rows=top.rows,
            alone=top.alone + share**2 * (inner.alone - top.alone) + cross / units,
            common=top.common + share**2 * (inner.common - top.common) + cross * both / units,
            shift=top.shift + share * (inner.shift - top.shift),
            told=inner.told,
            aligned=(1 - share) * top.aligned + share * inner.aligned,
            unsure=(1 - share) ** 2 * top.unsure + share**2 * inner.unsure,
            banded=inner.banded,
            blame=inner.blame,
        )

    def factor(self, node: Node) -> float:
        """``ln`` of what a row or block multiplies the mean square of the gradient by."""
        return self.block_factors[node] if isinstance(node, Block) else self.traces[node].factor

    def _back(self, row: int, arriving: Cotangent, above: _Above) -> tuple[Cotangent, _Above]:
        placed, trace = self.stack.layers[row], self.traces[row]
        layer = placed.layer
        following = _Above()
        # Levels count from what arrives, so that a row has its factor also below an unknown or a zero.
        delta = g = cotangent = replace(arriving, level=0.0)
        match layer:
            case layers.Dense():
                delta = self._slope(trace, cotangent, above)
                self._weigh(trace, delta, trace.input)
                g = self._transposed(trace, delta)
            case layers.BatchNormalization():
                g, following = self._normalised(trace, cotangent, above)
            case layers.LayerNormalization():
                self._weigh(trace, cotangent, trace.output)
                g = self._centred(trace, cotangent)
            case layers.Dropout():
                keep = 1 - layer.rate
                correlation = cotangent.correlation * (keep if self.rows > 1 else 1)
                g = replace(cotangent, correlation=correlation, likeness=cotangent.likeness * keep**2)
                g = g.times(1 / keep).noisier(3 * (1 / keep - 1) / trace.input.units, 0.0)
            case layers.PReLU() | layers.Activation() | layers.LeakyReLU() | layers.ELU():
                delta = g = self._slope(trace, cotangent, above)
                if isinstance(layer, layers.PReLU):
                    self._weigh_slopes(trace, cotangent)
                if trace.moments is not None and trace.moments.slope_square > 0:
                    following.activation = trace.moments, replace(cotangent, level=-g.level)
        if trace.bent:
            delta = self._untold(delta, arriving, trace, estimate=trace.moments is not None)
            g = self._untold(g, arriving, trace, estimate=trace.moments is not None)
        if trace.reason:
            g = self._untold(g, arriving, trace, estimate=False)
        if placed.main_weight is None or not placed.trainable:
            trace.gradient = math.nan
        trace.factor = g.level
        delta = replace(delta, level=_product(arriving.level, delta.level))
        g = replace(g, level=_product(arriving.level, g.level))
        trace.gradient = _product(arriving.level, trace.gradient) if not math.isnan(trace.gradient) else math.nan
        trace.entry, trace.delta = Summary.of(g), Summary.of(delta)
        return g, following

    def _untold(self, g: Cotangent, upper: Cotangent, trace: Trace, *, estimate: bool) -> Cotangent:
        level = g.level if estimate else math.nan
        return replace(g, level=level, told=False, blame=upper.blame or trace.name)

    def _slope(self, trace: Trace, g: Cotangent, above: _Above) -> Cotangent:
        """Through the activation."""
        if above.joint is not None and trace.curve is not None and trace.moments is not None:
            exact, upper = above.joint
            correlation = exact.joint_product / exact.joint if exact.joint > 0 else 0.0
            level = upper.level + log((1 - upper.correlation) * exact.joint)
            g = replace(g, level=level)
            return self._slope_noise(trace, replace(g, correlation=correlation), trace.moments, shared=False)
        if trace.soft is not None:
            s = trace.soft
            ratio = s.slope_product / s.rate if s.rate > 0 else 1.0
            g = replace(
                g.times(s.rate),
                correlation=g.correlation * ratio,
                likeness=g.likeness * min(1.0, ratio**2),
                unsure=g.unsure * ratio**2,
                aligned=g.aligned * ratio,
            )
            noise = 3 * s.excess / trace.pre.units
            return g.noisier(noise, noise * g.likeness)
        m = trace.moments
        if m is None:
            return replace(g, level=math.nan) if trace.bent else g
        g = g.times(m.slope_square)
        if m.slope_square == 0:
            return g
        return self._slope_noise(trace, g, m, shared=True)

    def _slope_noise(self, trace: Trace, g: Cotangent, m: Moments, *, shared: bool) -> Cotangent:
        units = trace.pre.units
        ratio = m.slope_product / m.slope_square
        alike = trace.alike
        noise = np.array([m.slope_excess, mixed(m.slope_excess_pair, m.slope_excess, alike)])
        cross = np.array([m.cross_excess, mixed(m.cross_excess_pair, m.cross_excess, alike)])
        if self.rows == 1 or math.isnan(noise[1]):
            noise[1], cross[1] = noise[0], cross[0]
        noise, cross = np.maximum(noise, 0) / units, cross / units
        variance = noise * np.array([3.0, 1 + 2 * g.likeness])
        lucky = variance[0]
        deviation = g.deviation + trace.pre.deviation * m.slope_response
        shift = g.shift + trace.pre.drift * m.slope_response
        values = np.array(trace.value_noise)
        # Slopes and values of the same units go together.
        common = np.divide(cross, values, out=np.zeros(2), where=np.abs(values) > 0)
        limit = np.sqrt(variance)
        common = np.clip(common, -limit, limit)
        deviation[:, trace.value_place] += common
        variance = variance - common**2
        shift -= common[0] ** 2 / 2
        if trace.pre.stream is not None:
            persistent = np.minimum(noise, variance)
            deviation += np.sqrt(persistent)[:, None] * trace.pre.stream
            variance = variance - persistent
            shift -= persistent[0] / 2
        if lucky > LUCKY and not trace.bent:
            trace.bent = tr(
                "nearly all units are saturated, fewer than one in the layer passes a gradient on: chance decides"
            )
        if shared:
            g = replace(g, correlation=g.correlation * ratio, unsure=g.unsure * ratio**2, aligned=g.aligned * ratio)
        likeness = g.likeness * min(1.0, ratio * ratio) if not math.isnan(ratio) else g.likeness
        g = replace(g, likeness=likeness, deviation=deviation, shift=shift)
        return g.noisier(float(variance[0]), float(variance[1]))

    def _transposed(self, trace: Trace, g: Cotangent) -> Cotangent:
        """Through the kernel."""
        fan_in, fan_out = trace.input.units, trace.pre.units
        if math.isnan(trace.kernel):
            return replace(g, level=math.nan)
        g = g.times(fan_out * trace.kernel)
        if trace.isometric:
            # An orthogonal matrix keeps every length; where it goes down to fewer units, only on average.
            variance = 2 * max(0.0, 1 - fan_in / fan_out) / fan_in
        else:
            variance = 2 / fan_in
        noisy = g.noisier(variance, variance * g.likeness)
        # Two rows' gradients come out a little more alike on average of the squares, as random vectors are.
        return replace(noisy, likeness=g.likeness + (1 - g.likeness) * variance / 2)

    def _weigh(self, trace: Trace, g: Cotangent, x: Signal) -> None:
        """The gradient of a weight that multiplies a signal ``x``, summed over the batch."""
        square = math.nan if x.unknown else x.square
        together, noise = square, 0.0
        if self.rows > 1 and square != 0:
            same = g.correlation * x.product / square + g.aligned * x.turned
            whole = 1 + (self.rows - 1) * same
            together = square * max(0.0, whole)
            if whole > 0:
                # Products of two rows' gradients and values that are zero on average only.
                noise = 2 * (1 - 1 / self.rows) * max(0.0, g.likeness * x.likeness - same**2) / whole**2
                noise += ((self.rows - 1) * x.product / square / whole) ** 2 * g.unsure
        trace.gradient = g.level + math.log(self.rows) + log(together)
        drift, spread = g.chance(x)
        trace.gradient_drift, trace.gradient_spread = drift - noise / 2, spread + noise

    def _weigh_slopes(self, trace: Trace, g: Cotangent) -> None:
        """The gradient of PReLU's slopes: d min(z, 0)."""
        z = trace.pre
        if z.unknown or z.kind not in ("normal", "sum"):
            return
        correlation = z.correlation if self.rows > 1 else math.nan
        m = expectations.normal(Curve(None, 0.0), -z.mean, _rounded(z.variance), _rounded(correlation))
        self._weigh(trace, g, replace(z, square=m.square, product=m.product, mean=m.mean))

    def _normalised(self, trace: Trace, g: Cotangent, above: _Above) -> tuple[Cotangent, _Above]:
        """Through a BatchNormalization."""
        rows = self.rows
        following = _Above()
        if trace.frozen_norm:
            return g.times(trace.share), following
        if trace.precision == 0 or rows == 1:
            trace.gradient = -math.inf
            return replace(g, level=-math.inf), following
        if trace.reason:
            return replace(g, level=math.nan), following
        upper, share = g, trace.share
        slope, slope_product, bent, bent_product = 1.0, 1.0, share, -share / (rows - 1)
        if above.activation is not None and not math.isnan(above.activation[0].bent):
            m, upper = above.activation
            slope, slope_product, bent, bent_product = m.slope_square, m.slope_product, m.bent, m.bent_product
        c = upper.correlation
        along = bent + (rows - 1) * c * bent_product
        trace.gradient = upper.level + math.log(rows) + log(max(0.0, along))
        trace.gradient_drift, trace.gradient_spread = g.chance()
        if trace.behind is not None and above.activation is None:
            factor = (1 - c) * trace.behind.rate
            if factor > 0:
                following.joint = trace.behind, replace(g, level=-math.log(factor))
            size = self._batch(trace.input.measured())
        else:
            precision = trace.precision if trace.behind is None else trace.behind.rate
            whole = slope + (rows - 1) * c * slope_product
            factor = precision * max(0.0, slope - whole / rows - (2 - share) * along / rows)
            x = trace.input
            size = share * self._batch(x.deviation if x.kind == "normal" else x.measured())
        # The mean of ln of a mean square lies half its variance lower.
        deviation, shift = g.deviation - size, g.shift + (float(size @ size) / (2 * share) if share else 0.0)
        g = replace(
            g,
            level=upper.level + log(factor),
            correlation=-1 / (rows - 1),
            deviation=deviation,
            shift=shift,
            unsure=0.0,
        )
        if rows > 5:
            noise = 2 / ((rows - 5) * trace.input.units)
            return g.noisier(noise, noise), following
        return replace(g, banded=False), following

    def _batch(self, deviation: Floats) -> Floats:
        """The deviation of a mean over the batch from that of one row and the common one."""
        single, common = deviation
        size: Floats = np.sqrt(single**2 / self.rows + (1 - 1 / self.rows) * common**2)
        size[single < 0] *= -1
        return size

    def _centred(self, trace: Trace, g: Cotangent) -> Cotangent:
        """Through a LayerNormalization."""
        if trace.precision == 0:
            return replace(g, level=-math.inf)
        if trace.reason:
            return replace(g, level=math.nan)
        share = trace.share
        lost = (1 + 2 * share - share**2) / trace.input.units
        deviation = g.deviation - share * trace.input.measured()
        shift = g.shift - share * trace.input.measured_drift
        return replace(g.times(trace.precision * (1 - lost)), deviation=deviation, shift=shift)

    # ---- the loss

    def top(self, loss: losses.Loss | None, targets: Targets | None) -> tuple[Cotangent, bool]:
        """The gradient at the output of the last row, and whether its size is known.

        For a loss fused with the output's activation, the activation of the last row is taken out of its trace: the
        gradient is that at the pre-activation. Where the size isn't known it is 1.
        """
        last = self.traces[-1]
        activation = self.stack.layers[-1].layer.applied()
        units = last.output.units
        scale = -2 * math.log(self.rows)
        plain = Cotangent(0.0, 0.0, 1 / units, self.zero(), 1 if self.wary else self.rows)
        fused = loss is not None and activation is not None and activation.identifier == loss.fused_activation
        if fused and isinstance(loss, losses.CategoricalCrossentropy):
            z = last.pre
            last.soft, last.output, last.bent = None, z, ""
            plain = replace(plain, likeness=1 / max(1, units - 1))
            if z.unknown or z.kind != "normal":
                return plain, False
            soft = expectations.softmax(units, _rounded(z.variance), _rounded(z.correlation))
            square = soft.own + 1 - 2 / units
            product = soft.pair - 2 / units + (1 / units if targets is None else units * targets.product)
            g = replace(
                plain,
                level=log(square / units) + scale,
                correlation=product / square,
                aligned=self.inputs.alignment * units / square,
                unsure=soft.pair_variance / square**2,
            )
            chosen = 4 * max(0.0, soft.own / units - 1 / units**2)
            return g.noisier((soft.own_variance + chosen) / square**2, soft.pair_variance / square**2), True
        if fused and isinstance(loss, losses.BinaryCrossentropy):
            z, m = last.pre, last.moments
            last.moments, last.output, last.bent = None, z, ""
            if m is None or z.unknown:
                return plain, False
            labels = targets or Targets(0.5, 0.25, 0.5)
            square = m.square - 2 * m.mean * labels.mean + labels.square
            product = (m.square if self.rows == 1 else m.product) - 2 * m.mean * labels.mean + labels.product
            c = product / square
            aligned = self.inputs.alignment / square
            level = log(square / units**2) + scale
            g = replace(plain, level=level, correlation=c, aligned=aligned, unsure=2 * c * c / units)
            # The mean of (p - y)^2 over the labels is 1/2 - p (1 - p), and p (1 - p) is the slope.
            common = (m.slope_product - (m.mean - m.square) ** 2) / square**2 / units
            return g.noisier(m.value_excess / units, common), True
        output = last.output
        if output.unknown or loss is None:
            return plain, False
        if isinstance(loss, losses.MeanAbsoluteError):
            return replace(plain, level=-2 * math.log(units) + scale), True
        if isinstance(loss, losses.MeanSquaredError) and targets is not None:
            square = output.square - 2 * output.mean * targets.mean + targets.square
            product = output.product - 2 * output.mean * targets.mean + targets.product
            if square <= 0:
                return replace(plain, level=-math.inf), True
            c = product / square
            g = replace(
                plain,
                level=log(4 * square / units**2) + scale,
                correlation=c,
                aligned=self.inputs.alignment / square,
                deviation=output.square / square * output.deviation,
                unsure=2 * c * c / units,
            )
            # Differences of normal outputs and targets are normal.
            return g.noisier(2 / units, 2 * c * c / units), True
        return plain, False


def mixed(pair: float, single: float, alike: float) -> float:
    """Between the moment of two rows and that of one."""
    return pair + (single - pair) * alike


def _product(level: float, factor: float) -> float:
    """The level times a factor, both as ln: exactly 0 stays so, whatever the factor."""
    return -math.inf if level == -math.inf or factor == -math.inf else level + factor


def _unknown(layer: str) -> str:
    return tr("what reaches this layer is unknown, because of {layer}", layer=layer)


def describe(initializer: Initializer) -> str:
    """Short name of an initializer: "glorot", "random_normal(0.05)", "orthogonal x1.2"."""
    name = initializer.identifier
    match initializer:
        case initializers.Constant():
            return f"constant({initializer.value:g})"
        case initializers.RandomNormal() | initializers.TruncatedNormal():
            centre = f"{initializer.mean:g}, " if initializer.mean else ""
            return f"{name}({centre}{initializer.stddev:g})"
        case initializers.RandomUniform():
            return f"{name}({initializer.minval:g}, {initializer.maxval:g})"
        case initializers.Orthogonal() | initializers.Identity():
            return name if initializer.gain == 1 else f"{name} x{initializer.gain:g}"
        case initializers.VarianceScaling():
            return name.removesuffix("_uniform").removesuffix("_normal")
    return name


def _rounded(x: float) -> float:
    """To 13 digits, so that the states of repeated layers at their fixed point are found in the caches."""
    if x == 0 or not math.isfinite(x):
        return x
    return float(f"{x:.12e}")

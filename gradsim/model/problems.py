"""What can't be computed in an experiment, what is unwise, and what is worth knowing: before a single step.

A rule is a function from an :class:`Outline` to problems, registered with :func:`rule`. "impossible" can't be
started; "unwise" can, since seeing it fail is what the program is for; a "note" is no fault.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from gradsim import data
from gradsim.i18n import tr, tr_n
from gradsim.model import edits
from gradsim.model.edits import Edit
from gradsim.model.experiment import Experiment
from gradsim.model.stack import MAX_ROWS, Stack, StackError, count_rows
from gradsim.nn import activations, initializers, layers, schedules
from gradsim.nn.layers import Layer
from gradsim.nn.spec import MISSING, Fault

Severity = Literal["impossible", "unwise", "note"]

DEEP = 5
"""Hidden layers from which on a factor per layer decides: 0.7^5 is 0.17."""
SATURATING_DEEP = 4
"""Sigmoid layers from which on the lowest gets less than 1/256 of the gradient."""


@dataclasses.dataclass(frozen=True)
class Fix:
    """A way out, as an edit.

    Attributes:
        name: What a button says.
        make: Gives the edit for the experiment as it is then.
    """

    name: str
    make: Callable[[Experiment], Edit]


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong or worth knowing.

    Attributes:
        rule: Name of the rule, the same for every problem it finds.
        uid: The layer it shows on; "" for the experiment.
        path: The field it is about, as in ``layers[3].kernel_initializer``.
        message: What is the matter and what to do, in plain sentences.
        received: The value that is there.
    """

    rule: str
    severity: Severity
    uid: str
    path: str
    message: str
    received: Any = MISSING
    fix: Fix | None = dataclasses.field(default=None, compare=False)

    @property
    def fault(self) -> Fault:
        """The problem as an entry of an error message."""
        return Fault(self.path, self.message, self.received)

    @property
    def words(self) -> str:
        """What is the matter; with place and value if it is inside of the data, where nothing else shows them."""
        return str(self.fault) if self.rule == "shape" and self.path.startswith("data") else self.message


@dataclasses.dataclass(frozen=True)
class Row:
    """One enabled layer that is no group.

    Attributes:
        times: How many layers of the expanded stack it stands for.
        trainable: False if it or a group around it is frozen.
        skipped: True if a residual block leads the signal past it.
    """

    layer: Layer
    path: str
    times: int
    trainable: bool
    skipped: bool = False

    @property
    def uid(self) -> str:
        """Identity of the layer."""
        return self.layer.uid


class Outline:
    """An experiment as the rules look at it.

    Attributes:
        rows: The enabled layers in order, those of a repeat group twice: for all rounds but the last, and for
            that.
        stack: The expanded stack, or None where it can't be computed.
        faults: Why it can't.
        signature: Shapes and classes of the data, or None where they can't be read.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        # Groups in groups multiply: what can't be expanded isn't looked at in detail either.
        fits = count_rows(experiment.layers) <= MAX_ROWS
        self.rows = list(_rows(experiment.layers, "", 1, True, False)) if fits else []
        self._numbers = {id(row): number for number, row in enumerate(self.rows)}
        self._activations: dict[int, activations.Activation | None] = {}
        self.uids = {found.path: found.layer.uid for found in edits.places(experiment)}
        self.faults: list[Fault] = []
        self.signature: data.Signature | None = None
        self.stack: Stack | None = None
        try:
            self.signature = experiment.data.signature()
        except data.DataError as error:
            self.faults += [Fault(_below("data", fault.path), fault.message, fault.received) for fault in error.faults]
            return
        try:
            self.stack = experiment.stack()
        except StackError as error:
            self.faults += error.faults

    @functools.cached_property
    def dense(self) -> list[Row]:
        """The Dense rows."""
        return [row for row in self.rows if isinstance(row.layer, layers.Dense)]

    @property
    def output(self) -> Row | None:
        """The last Dense row, if nothing with weights of another shape stands behind it."""
        return self.dense[-1] if self.dense else None

    @property
    def hidden(self) -> list[Row]:
        """The Dense rows before the output."""
        return self.dense[:-1]

    def after(self, row: Row) -> Iterator[Row]:
        """The rows behind one."""
        return itertools.islice(self.rows, self._numbers[id(row)] + 1, None)

    def activation(self, row: Row) -> activations.Activation | None:
        """The activation that acts on a Dense row's sum: its own, or that of the next layer that has one."""
        if id(row) not in self._activations:
            self._activations[id(row)] = self._acting(row)
        return self._activations[id(row)]

    def _acting(self, row: Row) -> activations.Activation | None:
        own = row.layer.applied()
        if own is not None and own.identifier != "linear":
            return own
        for other in self.after(row):
            if isinstance(other.layer, layers.PReLU):
                return activations.LeakyReLU(0.0)
            if other.layer.applied() is not None and not isinstance(other.layer, layers.Dense):
                return other.layer.applied()
            if not isinstance(other.layer, _BETWEEN):
                break
        return own

    @functools.cached_property
    def output_activation(self) -> str:
        """Identifier of the activation that the loss sees."""
        found = self.activation(self.output) if self.output else None
        return found.identifier if found else "linear"

    def depth(self, rows: Iterable[Row]) -> int:
        """How many layers of the expanded stack the rows stand for."""
        return sum(row.times for row in rows)

    def fan_in(self, row: Row) -> int | None:
        """Inputs of a Dense row, where the stack can be computed."""
        return self._fans_in.get(row.path)

    @functools.cached_property
    def _fans_in(self) -> dict[str, int]:
        # The first round of a repeat group is the odd one out, since it gets what stands before the group.
        placed = self.stack.layers if self.stack else ()
        return {one.path: math.prod(one.input_shape) for one in placed}


_BETWEEN = (layers.BatchNormalization, layers.LayerNormalization, layers.Dropout)


def _rows(found: tuple[Layer, ...], prefix: str, times: int, trainable: bool, skipped: bool) -> Iterator[Row]:
    for number, layer in enumerate(found):
        path = f"{prefix}layers[{number}]"
        if not layer.enabled:
            continue
        inherited = trainable and layer.trainable
        if isinstance(layer, layers.Repeat | layers.Residual):
            past = skipped or isinstance(layer, layers.Residual)
            rounds = layer.count if isinstance(layer, layers.Repeat) else 1
            # Two rounds show all neighbours that a layer has: its own group's and what follows the group.
            if rounds > 1:
                yield from _rows(layer.layers, f"{path}.", times * (rounds - 1), inherited, past)
            yield from _rows(layer.layers, f"{path}.", times, inherited, past)
        else:
            yield Row(layer, path, times, inherited, skipped)


def _below(path: str, further: str) -> str:
    return f"{path}.{further}" if further and not further.startswith("[") else f"{path}{further}"


Rule = Callable[[Outline], Iterator[Problem]]
RULES: dict[str, Rule] = {}


def rule(name: str) -> Callable[[Callable[[Outline, str], Iterator[Problem]]], Rule]:
    """Decorator: registers a rule under its name, which it gets handed as the second argument."""

    def decorate(function: Callable[[Outline, str], Iterator[Problem]]) -> Rule:
        def named(outline: Outline) -> Iterator[Problem]:
            return function(outline, name)

        named.__doc__ = function.__doc__
        RULES[name] = named
        return named

    return decorate


def problems(experiment: Experiment) -> tuple[Problem, ...]:
    """Everything the rules find, the impossible first, then in the order of the stack."""
    outline = Outline(experiment)
    order = {found.layer.uid: number for number, found in enumerate(edits.places(experiment))}
    severities = ("impossible", "unwise", "note")
    found = [problem for check in RULES.values() for problem in check(outline)]
    found = list({(problem.rule, problem.path): problem for problem in found}.values())
    found.sort(key=lambda problem: (severities.index(problem.severity), order.get(problem.uid, len(order))))
    return tuple(found)


def impossible(experiment: Experiment) -> tuple[Fault, ...]:
    """Why an experiment can't be started; empty if it can."""
    return tuple(problem.fault for problem in problems(experiment) if problem.severity == "impossible")


def _field_fix(name: str, uids: str | Iterable[str], path: str, value: object) -> Fix:
    chosen = uids if isinstance(uids, str) else tuple(uids)
    return Fix(name, lambda experiment: edits.set_field(experiment, chosen, path, value))


def _use(name: str) -> str:
    return tr("Use {name}", name=name)


# What can't be computed


@rule("shape")
def _shape(outline: Outline, name: str) -> Iterator[Problem]:
    """A layer gets rows that it can't take, the stack is empty or too large, the data can't be read."""
    for fault in outline.faults:
        uid = outline.uids.get(fault.path, "")
        layer = edits.place(outline.experiment, uid).layer if uid else None
        yield Problem(name, "impossible", uid, fault.path, fault.message, fault.received, _shape_fix(layer, fault))


def _shape_fix(layer: Layer | None, fault: Fault) -> Fix | None:
    shape = fault.received
    if layer is None or not isinstance(shape, tuple):
        return None
    if layer.flat_input and len(shape) > 1:
        uid = layer.uid

        def insert_flatten(experiment: Experiment) -> Edit:
            found = edits.place(experiment, uid)
            # In a residual block it would change the shape, so it goes before the outermost group.
            while found.parent:
                found = edits.place(experiment, found.parent)
            return edits.insert(experiment, layers.registry.create("Flatten"), found.parent, found.index)

        return Fix(tr("Put Flatten before it"), insert_flatten)
    if isinstance(layer, layers.Residual) and len(shape) == 1:
        inside = [child for child in layer.layers if child.enabled and isinstance(child, layers.Dense)]
        if inside and shape[0] <= 8192:
            return _field_fix(
                tr("Give its last Dense {units} units", units=shape[0]), inside[-1].uid, "units", shape[0]
            )
    return None


@rule("output-size")
def _output_size(outline: Outline, name: str) -> Iterator[Problem]:
    """The last layer's width must be that of the targets."""
    if outline.stack is None or outline.signature is None:
        return
    shape, signature = outline.stack.output_shape, outline.signature
    last = outline.stack.layers[-1]
    row = outline.output
    path, uid = (f"{row.path}.units", row.uid) if row else (last.path, last.layer.uid)
    if len(shape) != 1:
        yield Problem(
            name,
            "impossible",
            uid,
            last.path,
            tr("the stack must end in flat rows: put Flatten and a Dense layer at its end"),
            shape,
        )
        return
    two = len(signature.class_names) == 2
    if shape[0] == signature.outputs or (two and shape[0] in (1, 2)):
        return
    if two:
        wanted = 2 if outline.output_activation == "softmax" else 1
        words = tr("the last layer must have 1 or 2 units, because the data have 2 classes")
    elif signature.class_names:
        wanted = signature.outputs
        words = tr("the last layer must have {n} units, because the data have {n} classes", n=wanted)
    else:
        wanted = signature.outputs
        words = tr("the last layer must have {n} units, because the data have {n} target columns", n=wanted)
    fix = None
    if row is not None and _stands_alone(outline, row):
        fix = _field_fix(tr_n("Give it {n} unit", "Give it {n} units", wanted), row.uid, "units", wanted)
    yield Problem(name, "impossible", uid, path, words, shape[0], fix)


def _stands_alone(outline: Outline, row: Row) -> bool:
    """True if an edit of the output's Dense changes no other layer."""
    return not any(other.uid == row.uid for other in outline.hidden)


@rule("vector-initializer")
def _vector_initializer(outline: Outline, name: str) -> Iterator[Problem]:
    """Orthogonal and identity make matrices; a bias and the slopes of PReLU are vectors."""
    for row in outline.rows:
        for field in ("bias_initializer", "alpha_initializer"):
            found = getattr(row.layer, field, None)
            if isinstance(found, initializers.Orthogonal | initializers.Identity):
                if field == "bias_initializer" and not getattr(row.layer, "use_bias", True):
                    continue
                yield Problem(
                    name,
                    "impossible",
                    row.uid,
                    f"{row.path}.{field}",
                    tr(
                        "{initializer} makes matrices, but this is one number for each unit: use zeros",
                        initializer=found.identifier,
                    ),
                    found.identifier,
                    _field_fix(_use("zeros"), row.uid, field, "zeros"),
                )


# Loss, output and data


@rule("softmax-squared-error")
def _softmax_squared_error(outline: Outline, name: str) -> Iterator[Problem]:
    """Squared or absolute error behind softmax or sigmoid: the slope of the output shrinks the gradient."""
    loss, output = outline.experiment.loss, outline.output_activation
    if loss.identifier not in ("mse", "mae") or output not in ("softmax", "sigmoid") or outline.output is None:
        return
    if outline.signature is not None and outline.signature.task == "regression":
        return
    better = "categorical_crossentropy" if output == "softmax" else "binary_crossentropy"
    yield Problem(
        name,
        "unwise",
        outline.output.uid,
        "loss",
        tr(
            "{activation} under {loss} hardly learns where it is sure and wrong, because its slope is near 0 there: "
            "use {better}",
            activation=output,
            loss=loss.identifier,
            better=better,
        ),
        loss.identifier,
        _field_fix(_use(better), "", "loss", better),
    )


@rule("loss-output")
def _loss_output(outline: Outline, name: str) -> Iterator[Problem]:
    """Cross-entropy wants probabilities."""
    loss, row = outline.experiment.loss, outline.output
    wanted = loss.fused_activation
    if not wanted or row is None or outline.output_activation == wanted:
        return
    if _regression(outline):
        return
    fix = None
    if _stands_alone(outline, row) and not any(_applies(other) for other in outline.after(row)):
        fix = _field_fix(tr("End in {activation}", activation=wanted), row.uid, "activation", wanted)
    yield Problem(
        name,
        "unwise",
        row.uid,
        f"{row.path}.activation",
        tr(
            "{loss} needs probabilities, and {activation} gives none that fit: let the last layer end in {wanted}",
            loss=loss.identifier,
            activation=outline.output_activation,
            wanted=wanted,
        ),
        outline.output_activation,
        fix,
    )


def _applies(row: Row) -> bool:
    return row.layer.applied() is not None or isinstance(row.layer, layers.PReLU)


def _regression(outline: Outline) -> bool:
    return outline.signature is not None and outline.signature.task == "regression"


@rule("loss-data")
def _loss_data(outline: Outline, name: str) -> Iterator[Problem]:
    """The loss must go with what the data hold."""
    loss = outline.experiment.loss
    if _regression(outline) and loss.task != "regression":
        yield Problem(
            name,
            "unwise",
            "",
            "loss",
            tr("{loss} is for classes, but these targets are real numbers: use mse", loss=loss.identifier),
            loss.identifier,
            _field_fix(_use("mse"), "", "loss", "mse"),
        )


@rule("one-softmax-unit")
def _one_softmax_unit(outline: Outline, name: str) -> Iterator[Problem]:
    """The softmax of a single number is always 1."""
    row = outline.output
    if row is None or outline.output_activation != "softmax" or getattr(row.layer, "units", 0) != 1:
        return

    def two_units(experiment: Experiment) -> Edit:
        first = edits.set_field(experiment, row.uid, "units", 2)
        second = edits.set_field(first.experiment, "", "loss", "categorical_crossentropy")
        return edits.combine([first, second], tr("Use two softmax units"))

    binary = outline.signature is not None and len(outline.signature.class_names) == 2
    yield Problem(
        name,
        "unwise",
        row.uid,
        f"{row.path}.units",
        tr(
            "the softmax of a single unit is always 1, so nothing is learned: use 2 units, or sigmoid with "
            "binary_crossentropy"
        ),
        1,
        Fix(tr("Use 2 units"), two_units) if binary else None,
    )


_LOWEST = {"sigmoid": 0, "softmax": 0, "tanh": -1, "softsign": -1, "relu": 0, "softplus": 0}
"""The lowest value of activations that can't give every number."""
_UNBOUNDED = ("relu", "softplus")
"""Those of them that have no highest value."""


@rule("bounded-regression")
def _bounded_regression(outline: Outline, name: str) -> Iterator[Problem]:
    """Real targets need an output without bounds."""
    row, output = outline.output, outline.output_activation
    if not _regression(outline) or row is None or output not in _LOWEST:
        return
    lowest = _LOWEST[output]
    if output in _UNBOUNDED:
        words = tr(
            "{activation} is never below 0, but the targets are real numbers: let the last layer end in linear",
            activation=output,
        )
    else:
        words = tr(
            "{activation} lies between {lowest} and 1, but the targets are real numbers: let the last layer end in "
            "linear",
            activation=output,
            lowest=lowest,
        )
    own = row.layer.applied()
    fix = None
    if own is not None and own.identifier == output:
        fix = _field_fix(tr("End in {activation}", activation="linear"), row.uid, "activation", "linear")
    yield Problem(
        name,
        "unwise",
        row.uid,
        f"{row.path}.activation",
        words,
        output,
        fix,
    )


@rule("after-output")
def _after_output(outline: Outline, name: str) -> Iterator[Problem]:
    """Normalisation and dropout behind the output's activation spoil what the loss sees."""
    row = outline.output
    if row is None:
        return
    own = row.layer.applied()
    active = own is not None and own.identifier != "linear"
    for other in outline.after(row):
        if _applies(other):
            active = True
            continue
        kind = other.layer.identifier
        if isinstance(other.layer, layers.Dropout):
            words = tr(
                "{layer} drops outputs at random, which the loss takes for mistakes: move it before the last Dense "
                "layer",
                layer=kind,
            )
        elif isinstance(other.layer, layers.BatchNormalization | layers.LayerNormalization) and active:
            words = tr(
                "{layer} after {activation} undoes what it made, and the loss sees no probabilities: move it before "
                "the last Dense layer",
                layer=kind,
                activation=outline.output_activation,
            )
        else:
            continue
        yield Problem(
            name,
            "unwise",
            other.uid,
            other.path,
            words,
            kind,
            Fix(
                tr("Move {layer} before the last Dense", layer=kind),
                functools.partial(_move_before, uid=other.uid, target=row.uid),
            ),
        )


def _move_before(experiment: Experiment, *, uid: str, target: str) -> Edit:
    found = edits.place(experiment, target)
    return edits.move(experiment, [uid], found.parent, found.index)


# Activations and initializers

_FAMILY = {
    "glorot": ("glorot_uniform", "glorot_normal"),
    "he": ("he_uniform", "he_normal"),
    "lecun": ("lecun_uniform", "lecun_normal"),
}


def _family(initializer: initializers.Initializer) -> str:
    return next((family for family, names in _FAMILY.items() if initializer.identifier in names), "")


def _initializer(row: Row) -> initializers.Initializer:
    assert isinstance(row.layer, layers.Dense)
    return row.layer.kernel_initializer


def _initializer_problems(
    outline: Outline,
    name: str,
    rows: list[Row],
    message: Callable[[Row], str],
    better: str,
    severity: Severity = "unwise",
) -> Iterator[Problem]:
    """One problem on each row, and one fix for all of them."""
    fix = _field_fix(_use(better), [row.uid for row in rows], "kernel_initializer", better) if rows else None
    for row in rows:
        yield Problem(
            name,
            severity,
            row.uid,
            f"{row.path}.kernel_initializer",
            message(row),
            _initializer(row).identifier,
            fix,
        )


def _hidden_with(outline: Outline, wanted: Callable[[activations.Activation], bool]) -> list[Row]:
    found = []
    for row in outline.hidden:
        activation = outline.activation(row)
        if activation is not None and wanted(activation):
            found.append(row)
    return found


@rule("he-saturating")
def _he_saturating(outline: Outline, name: str) -> Iterator[Problem]:
    """He's variance is made for ReLU, which throws half of the signal away."""
    rows = [row for row in _hidden_with(outline, lambda a: a.saturating) if _family(_initializer(row)) == "he"]

    def message(row: Row) -> str:
        activation = outline.activation(row)
        assert activation is not None
        return tr(
            "{initializer} is made for relu; with {activation} the weights start too large: use glorot_uniform",
            initializer=_initializer(row).identifier,
            activation=activation.identifier,
        )

    yield from _initializer_problems(outline, name, rows, message, "glorot_uniform")


@rule("glorot-relu")
def _glorot_relu(outline: Outline, name: str) -> Iterator[Problem]:
    """ReLU halves the variance; without He's factor 2 a deep stack fades."""
    rows = [
        row
        for row in _hidden_with(outline, lambda a: a.initializer == "he_normal")
        if _family(_initializer(row)) in ("glorot", "lecun") and not _kept_in_size(outline, row)
    ]
    depth = outline.depth(rows)
    if depth < DEEP:
        return

    def message(row: Row) -> str:
        activation = outline.activation(row)
        assert activation is not None
        return tr(
            "{activation} lets about half of the signal through and {initializer} doesn't make up for it, in {depth} "
            "layers here: use he_normal",
            activation=activation.identifier,
            initializer=_initializer(row).identifier,
            depth=depth,
        )

    yield from _initializer_problems(outline, name, rows, message, "he_normal")


def _kept_in_size(outline: Outline, row: Row) -> bool:
    """True if normalisation behind a Dense row, or a skip past it, keeps the signal's size."""
    if row.skipped:
        return True
    for other in outline.after(row):
        if isinstance(other.layer, layers.BatchNormalization | layers.LayerNormalization):
            return True
        if isinstance(other.layer, layers.Dense):
            return False
    return False


@rule("selu-initializer")
def _selu_initializer(outline: Outline, name: str) -> Iterator[Problem]:
    """SELU keeps mean 0 and deviation 1 only with LeCun's variance."""
    rows = [
        row for row in _hidden_with(outline, lambda a: a.identifier == "selu") if _family(_initializer(row)) != "lecun"
    ]
    yield from _initializer_problems(
        outline,
        name,
        rows,
        lambda row: tr(
            "selu keeps the signal's size only with the variance of lecun_normal, which {initializer} hasn't: use "
            "lecun_normal",
            initializer=_initializer(row).identifier,
        ),
        "lecun_normal",
    )


@rule("selu-company")
def _selu_company(outline: Outline, name: str) -> Iterator[Problem]:
    """SELU normalises by itself; batch normalisation is needless and dropout breaks it."""
    if not any(row.layer.applied() is not None and _is_selu(row) for row in outline.rows):
        return
    for row in outline.rows[:-1]:
        if isinstance(row.layer, layers.BatchNormalization) and row is not outline.rows[0]:
            words = tr("selu normalises by itself: BatchNormalization beside it is not needed")
        elif isinstance(row.layer, layers.Dropout):
            words = tr("Dropout shifts the mean and deviation that selu keeps: leave it out")
        else:
            continue
        yield Problem(
            name,
            "note",
            row.uid,
            row.path,
            words,
            row.layer.identifier,
            Fix(tr("Delete {layers}", layers=row.layer.identifier), functools.partial(edits.remove, uids=[row.uid])),
        )


def _is_selu(row: Row) -> bool:
    applied = row.layer.applied()
    return applied is not None and applied.identifier == "selu"


@rule("symmetric-initializer")
def _symmetric_initializer(outline: Outline, name: str) -> Iterator[Problem]:
    """Weights that start equal stay equal."""
    rows = [
        row
        for row in outline.dense
        if outline.hidden
        and isinstance(_initializer(row), initializers.Zeros | initializers.Ones | initializers.Constant)
        and getattr(row.layer, "units", 1) > 1
    ]

    def make(experiment: Experiment) -> Edit:
        steps: list[Edit] = []
        for row in rows:
            current = steps[-1].experiment if steps else experiment
            activation = outline.activation(row)
            better = activation.initializer if activation else "glorot_uniform"
            steps.append(edits.set_field(current, row.uid, "kernel_initializer", better))
        return edits.combine(steps, tr("Use random weights"))

    for row in rows:
        zero = _initializer(row).variance(1, 1) == 0
        words = (
            tr(
                "with zero weights no gradient reaches the layers below, and all units stay alike: use a random "
                "initializer"
            )
            if zero
            else tr(
                "all units of the layer start alike, get the same gradient and stay alike: use a random initializer"
            )
        )
        yield Problem(
            name,
            "unwise",
            row.uid,
            f"{row.path}.kernel_initializer",
            words,
            _initializer(row).identifier,
            Fix(tr("Use random weights"), make),
        )


_GAIN = {
    "relu": 2.0,
    "leaky_relu": 2.0,
    "elu": 1.6,
    "selu": 1.0,
    "gelu": 2.0,
    "silu": 2.4,
    "mish": 2.0,
    "softplus": 2.0,
    "tanh": 1.0,
    "softsign": 1.0,
    "linear": 1.0,
}


@rule("weight-scale")
def _weight_scale(outline: Outline, name: str) -> Iterator[Problem]:
    """A fixed spread of the weights is right for one size of layer only; in a stack the error multiplies."""
    off: list[tuple[Row, float]] = []
    for row in outline.hidden:
        activation, fan_in = outline.activation(row), outline.fan_in(row)
        variance = _initializer(row).variance(fan_in or 1, getattr(row.layer, "units", 1))
        if _family(_initializer(row)) or activation is None or fan_in is None or not variance:
            continue
        if activation.identifier in _GAIN and not _kept_in_size(outline, row):
            off.append((row, (variance * fan_in / _GAIN[activation.identifier]) ** 0.5))
    total = 1.0
    for row, factor in off:
        total *= min(max(factor, 1e-6), 1e6) ** min(row.times, 50)
    if 1e-2 <= total <= 1e2:
        return
    for row, factor in off:
        if 0.8 <= factor <= 1.25:
            continue
        activation = outline.activation(row)
        assert activation is not None
        better = activation.initializer
        values = {"inputs": outline.fan_in(row), "factor": factor, "better": better}
        if factor < 1:
            words = tr(
                "these weights are too small for {inputs} inputs: the signal is multiplied by about {factor:.2g} in "
                "each such layer: use {better}",
                **values,
            )
        else:
            words = tr(
                "these weights are too large for {inputs} inputs: the signal is multiplied by about {factor:.2g} in "
                "each such layer: use {better}",
                **values,
            )
        yield Problem(
            name,
            "unwise",
            row.uid,
            f"{row.path}.kernel_initializer",
            words,
            _initializer(row).identifier,
            _field_fix(
                _use(better),
                [one.uid for one, _ in off if outline.activation(one) == activation],
                "kernel_initializer",
                better,
            ),
        )


@rule("deep-sigmoid")
def _deep_sigmoid(outline: Outline, name: str) -> Iterator[Problem]:
    """The sigmoid's slope is at most a quarter."""
    rows = [
        row for row in _hidden_with(outline, lambda a: a.identifier == "sigmoid") if not _kept_in_size(outline, row)
    ]
    depth = outline.depth(rows)
    if depth < SATURATING_DEEP:
        return

    def to_relu(experiment: Experiment) -> Edit:
        steps: list[Edit] = []
        for row in rows:
            for holder in [row, *outline.after(row)]:
                found = holder.layer.applied()
                if found is not None and found.identifier == "sigmoid":
                    current = steps[-1].experiment if steps else experiment
                    steps.append(edits.set_field(current, holder.uid, "activation", "relu"))
                    break
        steps.append(
            edits.set_field(steps[-1].experiment, [row.uid for row in rows], "kernel_initializer", "he_normal")
        )
        return edits.combine(steps, tr("Use relu with he_normal"))

    first = rows[0]
    yield Problem(
        name,
        "unwise",
        first.uid,
        first.path,
        tr(
            "the slope of sigmoid is at most 0.25, so {depth} hidden layers of it divide the gradient by at least "
            "4^{depth} unless the weights are large: use relu with he_normal, or BatchNormalization",
            depth=depth,
        ),
        "sigmoid",
        Fix(tr("Use relu with he_normal"), to_relu),
    )


@rule("hidden-softmax")
def _hidden_softmax(outline: Outline, name: str) -> Iterator[Problem]:
    """Softmax inside a stack divides the gradient by about the width."""
    for row in _hidden_with(outline, lambda a: a.identifier == "softmax"):
        own = row.layer.applied()
        fix = None
        if own is not None and own.identifier == "softmax":
            fix = _field_fix(_use("relu"), row.uid, "activation", "relu")
        yield Problem(
            name,
            "unwise",
            row.uid,
            f"{row.path}.activation",
            tr(
                "a hidden softmax divides the gradient by about the number of its units: keep softmax for the last "
                "layer"
            ),
            "softmax",
            fix,
        )


@rule("no-activation")
def _no_activation(outline: Outline, name: str) -> Iterator[Problem]:
    """Dense layers without an activation between them can do no more than one of them."""
    for row in outline.hidden:
        activation = outline.activation(row)
        if activation is not None and activation.identifier == "linear" and not row.skipped:
            yield Problem(
                name,
                "note",
                row.uid,
                f"{row.path}.activation",
                tr("without an activation this layer and the next can do no more than one layer: use relu or tanh"),
                "linear",
                _field_fix(_use("relu"), row.uid, "activation", "relu"),
            )


@rule("two-activations")
def _two_activations(outline: Outline, name: str) -> Iterator[Problem]:
    """An activation of an activation only loses signal."""
    for row, following in zip(outline.rows, outline.rows[1:], strict=False):
        own = row.layer.applied()
        if own is None or own.identifier == "linear" or isinstance(following.layer, layers.Dense):
            continue
        if _applies(following):
            kind = following.layer.identifier
            yield Problem(
                name,
                "unwise",
                following.uid,
                following.path,
                tr("{activation} was applied just before: leave one of the two out", activation=own.identifier),
                kind,
                Fix(tr("Delete {layers}", layers=kind), functools.partial(edits.remove, uids=[following.uid])),
            )


# Normalisation


@rule("batch-of-one")
def _batch_of_one(outline: Outline, name: str) -> Iterator[Problem]:
    """The deviation of a single row is zero."""
    if outline.experiment.batch_size != 1:
        return
    for row in outline.rows:
        if isinstance(row.layer, layers.BatchNormalization) and row.trainable:
            yield Problem(
                name,
                "unwise",
                row.uid,
                "batch_size",
                tr(
                    "BatchNormalization of a single row gives 0 whatever comes in: use batches of 8 rows or more, or "
                    "LayerNormalization"
                ),
                1,
                _field_fix(tr("Use batches of {n}", n=32), "", "batch_size", 32),
            )


@rule("needless-bias")
def _needless_bias(outline: Outline, name: str) -> Iterator[Problem]:
    """Batch normalisation takes the mean away, and with it the bias."""
    pairs = zip(outline.rows, outline.rows[1:], strict=False)
    rows = [
        row
        for row, following in pairs
        if isinstance(row.layer, layers.Dense)
        and row.layer.use_bias
        and row.layer.activation.identifier == "linear"
        and isinstance(following.layer, layers.BatchNormalization)
        and following.trainable
    ]
    for row in rows:
        yield Problem(
            name,
            "note",
            row.uid,
            f"{row.path}.use_bias",
            tr("the BatchNormalization behind it takes the mean away, and this bias with it: leave the bias out"),
            True,
            _field_fix(tr("Leave the bias out"), [one.uid for one in rows], "use_bias", False),
        )


# Training


@rule("nothing-to-train")
def _nothing_to_train(outline: Outline, name: str) -> Iterator[Problem]:
    """Without a trainable weight the loss stays where it is."""
    if outline.stack is None:
        return
    weighted = [placed for placed in outline.stack.layers if any(not w.is_state for w in placed.weights)]
    if not weighted:
        yield Problem(
            name,
            "unwise",
            "",
            "layers",
            tr("no layer has weights, so nothing is learned: add a Dense layer"),
            MISSING,
        )
    elif not any(placed.trainable for placed in weighted):
        uids = [found.layer.uid for found in edits.places(outline.experiment) if not found.layer.trainable]
        yield Problem(
            name,
            "unwise",
            "",
            "layers",
            tr("all layers are frozen, so nothing is learned: make one of them trainable"),
            MISSING,
            _field_fix(tr("Make all trainable"), uids, "trainable", True),
        )


def _highest_rate(outline: Outline) -> float:
    rate = outline.experiment.optimizer.learning_rate
    if isinstance(rate, schedules.CosineDecay):
        return max(rate.initial_learning_rate, rate.warmup_target or 0.0)
    if isinstance(rate, schedules.ExponentialDecay):
        return rate.initial_learning_rate
    if isinstance(rate, schedules.WarmUp):
        return rate.learning_rate
    return rate if isinstance(rate, float) else outline.experiment.optimizer.default_rate


@rule("learning-rate")
def _learning_rate(outline: Outline, name: str) -> Iterator[Problem]:
    """A hundred times the optimizer's usual rate overshoots; a ten-thousandth goes nowhere."""
    optimizer, rate = outline.experiment.optimizer, _highest_rate(outline)
    usual = optimizer.default_rate
    values = {"optimizer": optimizer.identifier, "usual": usual}
    if rate == 0:
        words = tr("with a learning rate of 0 nothing is learned: try {usual:g}", usual=usual)
    elif rate > 100 * usual:
        words = tr(
            "this is {times:,.0f} times the usual rate of {optimizer}, and steps overshoot: try {usual:g}",
            times=rate / usual,
            **values,
        )
    elif rate < 1e-4 * usual:
        words = tr(
            "this is {share:.1g} of the usual rate of {optimizer}, and it takes for ever: try {usual:g}",
            share=rate / usual,
            **values,
        )
    else:
        return
    yield Problem(
        name,
        "unwise",
        "",
        "optimizer.learning_rate",
        words,
        rate,
        _field_fix(_use(f"{usual:g}"), "", "optimizer.learning_rate", usual),
    )


@rule("momentum")
def _momentum(outline: Outline, name: str) -> Iterator[Problem]:
    """Momentum of 1 never slows down; Nesterov needs some."""
    optimizer = outline.experiment.optimizer
    momentum = getattr(optimizer, "momentum", 0.0)
    if momentum == 1:
        yield Problem(
            name,
            "unwise",
            "",
            "optimizer.momentum",
            tr("with momentum 1 no step is ever forgotten: use 0.9"),
            momentum,
            _field_fix(_use("0.9"), "", "optimizer.momentum", 0.9),
        )
    elif momentum == 0 and getattr(optimizer, "nesterov", False):
        yield Problem(
            name,
            "note",
            "",
            "optimizer.nesterov",
            tr("Nesterov has no effect without momentum: use momentum 0.9"),
            True,
            _field_fix(tr("Use momentum {value}", value=0.9), "", "optimizer.momentum", 0.9),
        )


@rule("clipping")
def _clipping(outline: Outline, name: str) -> Iterator[Problem]:
    """Limits so small that every step is cut to nothing; clipping by value turns the gradient."""
    optimizer = outline.experiment.optimizer
    for field in ("clipvalue", "clipnorm", "global_clipnorm"):
        limit = getattr(optimizer, field)
        if limit is not None and limit < 1e-6:
            yield Problem(
                name,
                "unwise",
                "",
                f"optimizer.{field}",
                tr("nearly all of every gradient is cut away at this limit: use 1"),
                limit,
                _field_fix(_use("1"), "", f"optimizer.{field}", 1.0),
            )
        elif limit is not None and field == "clipvalue":
            yield Problem(
                name,
                "note",
                "",
                f"optimizer.{field}",
                tr("clipping by value changes the direction of the gradient; clipping by norm keeps it"),
                limit,
                Fix(tr("Clip by norm"), functools.partial(_clip_by_norm, limit=limit)),
            )


def _clip_by_norm(experiment: Experiment, *, limit: float) -> Edit:
    optimizer = dataclasses.replace(experiment.optimizer, clipvalue=None, clipnorm=limit)
    return dataclasses.replace(edits.set_field(experiment, "", "optimizer", optimizer), name=tr("Clip by norm"))


@rule("number-format")
def _number_format(outline: Outline, name: str) -> Iterator[Problem]:
    """float32 ends near 1e-38; a sigmoid stack gets there by itself."""
    if outline.experiment.dtype != "float32":
        return
    rows = [
        row for row in _hidden_with(outline, lambda a: a.identifier == "sigmoid") if not _kept_in_size(outline, row)
    ]
    depth = outline.depth(rows)
    if depth >= 50:
        yield Problem(
            name,
            "note",
            "",
            "dtype",
            tr(
                "the gradient of {depth} sigmoid layers falls below what float32 can hold: use float64 to see it",
                depth=depth,
            ),
            "float32",
            _field_fix(_use("float64"), "", "dtype", "float64"),
        )

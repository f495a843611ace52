"""Remedies: every known cure as an edit of the experiment, with what it changes and why it helps.

A remedy changes the experiment as it stands when it is asked, so remedies can be combined: each is made from the result
of the one before, and the whole is one step of the history.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from gradsim.diagnose.findings import Finding
from gradsim.i18n import tr
from gradsim.model import edits, problems
from gradsim.model.edits import Edit, EditError
from gradsim.model.experiment import Experiment
from gradsim.model.problems import Outline, Row
from gradsim.nn import activations, initializers, layers, optimizers, schedules
from gradsim.nn.layers import Layer
from gradsim.nn.spec import Fault


class NotApplicable(Exception):
    """A remedy has nothing to do here; the text says why."""


@dataclasses.dataclass(frozen=True)
class Remedy:
    """One cure.

    Attributes:
        key: Its name on the command line.
        title: What a button says.
        group: Remedies of one group exclude each other.
        changes: What it changes, in one sentence.
        why: Why it helps, in one sentence.
        treats: Kinds of findings that it is made for.
        make: Gives the changed experiment; raises :class:`NotApplicable`.
    """

    key: str
    title: str
    group: str
    changes: str
    why: str
    treats: frozenset[str]
    make: Callable[[Experiment], Edit] = dataclasses.field(repr=False, compare=False)


@dataclasses.dataclass(frozen=True)
class Offer:
    """A remedy for one experiment.

    Attributes:
        edit: The edit, or None where the remedy is not applicable.
        reason: Why it is not; "" where it is.
    """

    remedy: Remedy
    edit: Edit | None
    reason: str

    @property
    def applicable(self) -> bool:
        """Whether it can be applied."""
        return self.edit is not None


GROUPS = ("activation", "weights", "normalisation", "input", "skip", "optimizer", "rate", "clipping")
"""In the order in which combined remedies are made."""

REMEDIES: dict[str, Remedy] = {}


def remedy(
    key: str, title: str, group: str, changes: str, why: str, treats: str
) -> Callable[[Callable[[Experiment], Edit]], Callable[[Experiment], Edit]]:
    """Decorator: registers a remedy; ``treats`` names kinds of findings with blanks between them."""

    def decorate(make: Callable[[Experiment], Edit]) -> Callable[[Experiment], Edit]:
        if key in REMEDIES or group not in GROUPS:
            raise ValueError(f"remedy {key!r}: the key must be new and the group one of {', '.join(GROUPS)}")
        REMEDIES[key] = Remedy(key, title, group, changes, why, frozenset(treats.split()), make)
        return make

    return decorate


def offer(experiment: Experiment, key: str) -> Offer:
    """A remedy for an experiment; raises KeyError for an unknown key."""
    found = REMEDIES[key]
    try:
        edit = found.make(experiment)
    except NotApplicable as error:
        return Offer(found, None, str(error))
    except EditError as error:
        return Offer(found, None, error.faults[0].message)
    if not edit.change:
        return Offer(found, None, tr("it would change nothing here"))
    faults = problems.impossible(edit.experiment)
    if faults and not problems.impossible(experiment):
        return Offer(found, None, faults[0].message)
    return Offer(found, dataclasses.replace(edit, name=tr(found.title)), "")


def offers(experiment: Experiment, findings: Iterable[Finding] = ()) -> tuple[Offer, ...]:
    """All remedies for an experiment: those made for the findings first, then the others, each applicable or not."""
    kinds = {finding.kind for finding in findings}
    found = [offer(experiment, key) for key in REMEDIES]
    return tuple(sorted(found, key=lambda one: (not one.applicable, not (one.remedy.treats & kinds))))


def combined(experiment: Experiment, keys: Sequence[str]) -> Edit:
    """Several remedies as one undoable step, made in the order of :data:`GROUPS`.

    Raises:
        EditError: if one is unknown or not applicable, or two exclude each other.
    """
    unknown = [key for key in keys if key not in REMEDIES]
    if unknown or not keys:
        raise EditError(
            [Fault("remedies", tr("must be some of {names}", names=", ".join(REMEDIES)), ", ".join(unknown))]
        )
    chosen = sorted((REMEDIES[key] for key in dict.fromkeys(keys)), key=lambda one: GROUPS.index(one.group))
    steps: list[Edit] = []
    current = experiment
    for before, one in zip([None, *chosen], chosen, strict=False):
        if before is not None and before.group == one.group:
            message = tr("{first} and {second} exclude each other", first=tr(before.title), second=tr(one.title))
            raise EditError([Fault("remedies", message, one.key)])
        made = offer(current, one.key)
        if made.edit is None:
            message = tr("{remedy} can't be applied: {reason}", remedy=tr(one.title), reason=made.reason)
            raise EditError([Fault("remedies", message, one.key)])
        steps.append(made.edit)
        current = made.edit.experiment
    return edits.combine(steps, " + ".join(tr(one.title) for one in chosen))


# Parts of the stack


def _hidden(outline: Outline) -> list[Row]:
    """The hidden Dense layers that are trained, each once however often it is repeated."""
    output = outline.output
    if outline.stack is None:
        raise NotApplicable(tr("the stack can't be computed yet"))
    found = {row.uid: row for row in outline.hidden if row.trainable and (output is None or row.uid != output.uid)}
    if not found:
        raise NotApplicable(tr("there is no hidden Dense layer that is trained"))
    return list(found.values())


def _not_skipped(outline: Outline) -> list[Row]:
    """The hidden layers outside of residual blocks: inside, weights start smaller on purpose."""
    found = [row for row in _hidden(outline) if not row.skipped]
    if not found:
        raise NotApplicable(tr("in residual blocks the way past a layer matters more than its weights"))
    return found


def _holder(outline: Outline, row: Row) -> Row | None:
    """The row whose layer applies the activation behind a Dense row: itself, a layer after it, or None."""
    own = row.layer.applied()
    if own is not None and own.identifier != "linear":
        return row
    for other in outline.after(row):
        if isinstance(other.layer, layers.Dense):
            return None
        if isinstance(other.layer, layers.PReLU) or other.layer.applied() is not None:
            return other
    return None


def _one_after_another(experiment: Experiment, makers: Iterable[Callable[[Experiment], Edit]], name: str) -> Edit:
    steps: list[Edit] = []
    current = experiment
    for make in makers:
        steps.append(make(current))
        current = steps[-1].experiment
    return edits.combine(steps, name)


def _dense(row: Row) -> layers.Dense:
    assert isinstance(row.layer, layers.Dense)
    return row.layer


def _normalised(outline: Outline) -> bool:
    return any(
        isinstance(row.layer, layers.BatchNormalization | layers.LayerNormalization)
        for row in outline.rows
        if any(other.layer is row.layer for hidden in outline.hidden for other in outline.after(hidden))
    )


# Activations


def _activation_remedy(key: str, title: str, new: activations.Activation | None, why: str, treats: str) -> None:
    """Registers a remedy that gives the hidden layers another activation; None is PReLU, which is a layer."""
    initializer = new.initializer if new is not None else "he_normal"

    @remedy(
        key, title, "activation",
        f"The hidden layers get {title}, and {initializer}, which goes with it.", why, treats,
    )  # fmt: skip
    def make(experiment: Experiment) -> Edit:
        outline = Outline(experiment)
        replaced: dict[str, tuple[Layer, ...]] = {}
        kernels: list[str] = []
        for row in _hidden(outline):
            acting, holder = outline.activation(row), _holder(outline, row)
            has_it = isinstance(holder.layer, layers.PReLU) if holder is not None else False
            if has_it if new is None else (acting == new and not has_it):
                continue
            kernels.append(row.uid)
            dense = _dense(row)
            if holder is None or holder.uid == row.uid:
                plain = dataclasses.replace(dense, activation=activations.Linear() if new is None else new)
                replaced[row.uid] = (plain,) if new is not None else (plain, layers.PReLU())
            else:
                replaced[holder.uid] = (layers.PReLU() if new is None else layers.Activation(new),)
        if not kernels:
            raise NotApplicable(tr("the hidden layers have {activation} already", activation=title))
        first = edits.replace_layers(experiment, replaced, title)
        second = edits.set_field(first.experiment, kernels, "kernel_initializer", initializer)
        return edits.combine([first, second], title)


_activation_remedy(
    "relu", "ReLU", activations.ReLU(),
    "Its slope is 1 for everything above 0, so that the error passes without being shrunk.",
    "vanishing saturated stopped below-format",
)  # fmt: skip
_activation_remedy(
    "leaky_relu", "LeakyReLU", activations.LeakyReLU(),
    "As ReLU, but with a small slope below 0, so that no unit dies.",
    "vanishing saturated dead stopped below-format",
)  # fmt: skip
_activation_remedy(
    "prelu", "PReLU", None,
    "As LeakyReLU, and the slope below 0 is learned (He et al. 2015).",
    "vanishing saturated dead stopped",
)  # fmt: skip
_activation_remedy(
    "elu", "ELU", activations.ELU(),
    "Slope 1 above 0, smooth below, with outputs around 0 (Clevert et al. 2015).",
    "vanishing saturated dead stopped below-format",
)  # fmt: skip
_activation_remedy(
    "selu", "SELU", activations.SELU(),
    "Mean 0 and deviation 1 keep themselves from layer to layer (Klambauer et al. 2017).",
    "vanishing exploding saturated dead stopped below-format",
)  # fmt: skip


# Weights

_PROPER = {
    "he_normal": ("he_normal", "he_uniform"),
    "glorot_uniform": ("glorot_uniform", "glorot_normal", "lecun_normal", "lecun_uniform"),
    "lecun_normal": ("lecun_normal", "lecun_uniform"),
}
_SCALED = tuple({name for names in _PROPER.values() for name in names})


@remedy(
    "initializer",
    "Proper initializer",
    "weights",
    "Each layer gets the initializer that goes with its activation (he for the ReLUs, glorot for tanh and sigmoid, "
    "lecun for SELU), and biases of 0.",
    "The variance of the signal stays the same from layer to layer, on its way up and down.",
    "vanishing exploding non-finite avalanche symmetric below-format saturated dead stopped",
)
def _initializer(experiment: Experiment) -> Edit:
    outline = Outline(experiment)
    wanted: dict[str, list[str]] = {}
    biased: list[str] = []
    trained = _not_skipped(outline)
    output = outline.output
    if output is not None and output.trainable:
        trained.append(output)
    for row in trained:
        dense, acting = _dense(row), outline.activation(row)
        best = acting.initializer if acting is not None else "glorot_uniform"
        now = dense.kernel_initializer.identifier
        allowed = _SCALED if row is output else _PROPER[best]
        if now not in allowed and now != "orthogonal":
            wanted.setdefault(best, []).append(row.uid)
        if dense.use_bias and dense.bias_initializer.identifier != "zeros":
            biased.append(row.uid)
    if not wanted and not biased:
        raise NotApplicable(tr("every layer has an initializer that goes with its activation"))
    makers: list[Callable[[Experiment], Edit]] = []
    for best, uids in wanted.items():
        makers.append(_setter(uids, "kernel_initializer", best))
    if biased:
        makers.append(_setter(biased, "bias_initializer", "zeros"))
    return _one_after_another(experiment, makers, "Proper initializer")


def _setter(uids: str | Sequence[str], path: str, value: Any) -> Callable[[Experiment], Edit]:
    return lambda experiment: edits.set_field(experiment, uids, path, value)


_GAINS = {"relu": math.sqrt(2), "leaky_relu": math.sqrt(2), "tanh": 1.0, "linear": 1.0, "elu": 1.2, "selu": 1.0}


@remedy(
    "orthogonal",
    "Orthogonal weights",
    "weights",
    "The hidden layers start from orthogonal matrices, with the gain of their activation.",
    "An orthogonal matrix keeps the length of every signal and every error exactly (Saxe et al. 2013).",
    "vanishing exploding non-finite avalanche symmetric below-format",
)
def _orthogonal(experiment: Experiment) -> Edit:
    outline = Outline(experiment)
    gains: dict[float, list[str]] = {}
    refused = ""
    for row in _not_skipped(outline):
        acting = outline.activation(row)
        name = acting.identifier if acting is not None else "linear"
        gain = _GAINS.get(name)
        if gain is None:
            refused = tr(
                "{activation} shrinks the error by itself, whatever the weights keep: choose another activation first",
                activation=name,
            )
        elif _dense(row).kernel_initializer != initializers.Orthogonal(gain):
            gains.setdefault(gain, []).append(row.uid)
    if not gains:
        raise NotApplicable(refused or tr("the hidden layers have orthogonal weights already"))
    makers = [_setter(uids, "kernel_initializer", initializers.Orthogonal(gain)) for gain, uids in gains.items()]
    output = outline.output
    if output is not None and output.trainable and _dense(output).kernel_initializer.identifier not in _SCALED:
        makers.append(_setter(output.uid, "kernel_initializer", "glorot_uniform"))
    return _one_after_another(experiment, makers, "Orthogonal weights")


# Normalisation


def _one_row() -> str:
    return tr("a batch of one row has no deviation: BatchNormalization would give 0 whatever comes in")


def _normalise(experiment: Experiment, kind: type[Layer], where: str) -> Edit:
    """Puts a normalisation before or after the activation of every hidden layer."""
    outline = Outline(experiment)
    if kind is layers.BatchNormalization and experiment.batch_size == 1:
        raise NotApplicable(_one_row())
    hidden = _hidden(outline)
    if _normalised(outline):
        raise NotApplicable(tr("the hidden layers are normalised already"))
    replaced: dict[str, tuple[Layer, ...]] = {}
    for row in hidden:
        holder, dense = _holder(outline, row), _dense(row)
        if holder is None:
            replaced[row.uid] = (dense, kind())
        elif holder.uid != row.uid:
            pair = (kind(), holder.layer) if where == "before" else (holder.layer, kind())
            replaced[holder.uid] = pair
        elif where == "after":
            replaced[row.uid] = (dense, kind())
        else:
            # The mean that is taken away takes the bias with it.
            plain = dataclasses.replace(dense, activation=activations.Linear(), use_bias=False)
            replaced[row.uid] = (plain, kind(), layers.Activation(dense.activation))
    return edits.replace_layers(experiment, replaced, "Normalise")


@remedy(
    "bn-before",
    "BatchNormalization before the activation",
    "normalisation",
    "Every hidden layer becomes Dense, BatchNormalization, activation; the bias, which it would undo, is left out.",
    "What enters the activation has mean 0 and deviation 1, whatever the weights are (Ioffe & Szegedy 2015).",
    "vanishing exploding saturated stopped below-format",
)
def _bn_before(experiment: Experiment) -> Edit:
    return _normalise(experiment, layers.BatchNormalization, "before")


@remedy(
    "bn-after",
    "BatchNormalization after the activation",
    "normalisation",
    "Every hidden layer is followed by BatchNormalization.",
    "What enters the next layer has mean 0 and deviation 1, so the signal neither dies nor explodes.",
    "vanishing exploding stopped below-format",
)
def _bn_after(experiment: Experiment) -> Edit:
    return _normalise(experiment, layers.BatchNormalization, "after")


@remedy(
    "layernorm",
    "LayerNormalization",
    "normalisation",
    "Every hidden layer becomes Dense, LayerNormalization, activation.",
    "Each row is normalised over its own units, so batches of any size will do (Ba et al. 2016).",
    "vanishing exploding saturated stopped below-format bn-explosion",
)
def _layernorm(experiment: Experiment) -> Edit:
    return _normalise(experiment, layers.LayerNormalization, "before")


@remedy(
    "bn-first",
    "BatchNormalization first",
    "input",
    "The data pass BatchNormalization before the first Dense layer.",
    "Raw features of any scale become mean 0 and deviation 1, so that the first layer is not saturated from the start.",
    "saturated dead exploding",
)
def _bn_first(experiment: Experiment) -> Edit:
    outline = Outline(experiment)
    if experiment.batch_size == 1:
        raise NotApplicable(_one_row())
    if outline.stack is None or not outline.dense:
        raise NotApplicable(tr("there is no Dense layer to put it before"))
    first = next(row for row in outline.rows if not isinstance(row.layer, layers.Flatten | layers.Dropout))
    if isinstance(first.layer, layers.BatchNormalization):
        raise NotApplicable(tr("the data are normalised first already"))
    found = edits.place(experiment, first.uid)
    while found.parent:
        found = edits.place(experiment, found.parent)
    return edits.insert(experiment, layers.BatchNormalization(), "", found.index)


# Skips


@remedy(
    "residual",
    "Residual connections",
    "skip",
    "Every hidden layer that keeps the width adds its input to its output; its weights start smaller by the root of "
    "their number.",
    "The error has a way around every layer, on which nothing multiplies it (He et al. 2016).",
    "vanishing stopped below-format",
)
def _residual(experiment: Experiment) -> Edit:
    outline = Outline(experiment)
    _hidden(outline)
    if any(row.skipped for row in outline.rows):
        raise NotApplicable(tr("there are residual blocks already"))
    after = _with_skips(outline, experiment.layers, "")
    made = dataclasses.replace(experiment, layers=tuple(after))
    try:
        blocks = len(made.stack().residuals)
    except ValueError:
        raise NotApplicable(tr("no hidden layer keeps the width, so nothing can be added to its output")) from None
    if not blocks:
        raise NotApplicable(tr("no hidden layer keeps the width, so nothing can be added to its output"))
    first = edits.replace_all(experiment, made, "Residual connections")
    if _normalised(outline):
        # Behind a normalisation the size of the weights does not matter.
        return first
    inside: dict[float, list[str]] = {}
    outline = Outline(made)
    for row in {row.uid: row for row in outline.hidden if row.skipped}.values():
        acting = outline.activation(row)
        gain = 2.0 if acting is not None and acting.initializer == "he_normal" else 1.0
        # The variance of a sum of so many branches stays of the order of one (Zhang et al. 2019).
        deviation = float(f"{math.sqrt(gain / (_dense(row).units * blocks)):.3g}")
        inside.setdefault(deviation, []).append(row.uid)
    makers = [_setter(uids, "kernel_initializer", initializers.RandomNormal(stddev=sd)) for sd, uids in inside.items()]
    second = _one_after_another(made, makers, "Smaller weights")
    return edits.combine([first, second], "Residual connections")


def _with_skips(outline: Outline, stack: Sequence[Layer], prefix: str) -> Iterator[Layer]:
    """The layers, with a residual block around each Dense (and what belongs to it) that keeps the width."""
    placed = {one.path: one for one in outline.stack.layers} if outline.stack is not None else {}
    output = outline.output
    at = 0
    while at < len(stack):
        layer, path = stack[at], f"{prefix}layers[{at}]"
        if isinstance(layer, layers.Repeat) and layer.enabled and layer.count > 1:
            yield from _repeated(layer)
            at += 1
        elif isinstance(layer, layers.Dense) and layer.enabled and (output is None or layer.uid != output.uid):
            end = _segment_end(stack, at)
            here = placed.get(path)
            keeps = here is not None and here.input_shape == (layer.units,)
            yield from ([layers.Residual(tuple(stack[at:end]))] if keeps else stack[at:end])
            at = end
        else:
            yield layer
            at += 1


def _segment_end(stack: Sequence[Layer], at: int) -> int:
    """The place behind a Dense layer and what belongs to it: normalisation, activation, dropout."""
    end = at + 1
    while end < len(stack) and not isinstance(stack[end], layers.Dense | layers.Repeat | layers.Residual):
        end += 1
    return end


def _repeated(group: layers.Repeat) -> Iterator[Layer]:
    """A repeat group: its first round as it is, since its input may have another width, the others with skips."""
    inside = [layer for layer in group.layers if layer.enabled]
    dense = [layer for layer in inside if isinstance(layer, layers.Dense)]
    if not dense or any(layer.children() for layer in inside):
        yield group
        return
    yield from (dataclasses.replace(layer, uid="") for layer in group.layers)
    width = dense[-1].units
    if all(layer.units == width for layer in dense) and isinstance(inside[0], layers.Dense):
        blocks: list[Layer] = []
        at = 0
        while at < len(group.layers):
            end = _segment_end(group.layers, at)
            blocks.append(layers.Residual(tuple(group.layers[at:end])))
            at = end
    else:
        blocks = [layers.Residual(group.layers)]
    yield dataclasses.replace(group, count=group.count - 1, layers=tuple(blocks))


# Steps


def _other_optimizer(experiment: Experiment, identifier: str) -> Edit:
    if experiment.optimizer.identifier == identifier:
        raise NotApplicable(tr("{optimizer} is the optimizer already", optimizer=identifier))
    return edits.choose(experiment, "", "optimizer", identifier)


@remedy(
    "momentum",
    "Momentum (Nesterov)",
    "optimizer",
    "SGD with Nesterov's momentum of 0.9, at its usual rate of 0.01.",
    "What points the same way in many steps adds up, and noise cancels out.",
    "stopped noise",
)
def _momentum(experiment: Experiment) -> Edit:
    now = experiment.optimizer
    if isinstance(now, optimizers.SGD) and now.momentum > 0:
        raise NotApplicable(tr("the optimizer has momentum already"))
    kept = {name: getattr(now, name) for name in ("clipvalue", "clipnorm", "global_clipnorm")}
    return edits.set_field(experiment, "", "optimizer", optimizers.SGD(0.01, momentum=0.9, nesterov=True, **kept))


@remedy(
    "adagrad",
    "AdaGrad",
    "optimizer",
    "Adagrad at its usual rate of 0.001.",
    "Each weight's step is divided by all gradients it has had: rare and small ones count more (Duchi et al. 2011).",
    "vanishing",
)
def _adagrad(experiment: Experiment) -> Edit:
    return _other_optimizer(experiment, "Adagrad")


@remedy(
    "rmsprop",
    "RMSprop",
    "optimizer",
    "RMSprop at its usual rate of 0.001.",
    "Each weight's step is divided by the usual size of its gradient: what has vanished is scaled up again.",
    "vanishing stopped unstable-rate",
)
def _rmsprop(experiment: Experiment) -> Edit:
    return _other_optimizer(experiment, "RMSprop")


@remedy(
    "adam",
    "Adam",
    "optimizer",
    "Adam at its usual rate of 0.001.",
    "Momentum, and each weight's step divided by the usual size of its gradient: what has vanished learns too.",
    "vanishing stopped unstable-rate avalanche exploding",
)
def _adam(experiment: Experiment) -> Edit:
    return _other_optimizer(experiment, "Adam")


@remedy(
    "nadam",
    "Nadam",
    "optimizer",
    "Nadam at its usual rate of 0.001.",
    "Adam that looks ahead as Nesterov does (Dozat 2016).",
    "vanishing stopped unstable-rate",
)
def _nadam(experiment: Experiment) -> Edit:
    return _other_optimizer(experiment, "Nadam")


def _constant_rate(experiment: Experiment) -> float:
    rate = experiment.optimizer.learning_rate
    if not isinstance(rate, float):
        raise NotApplicable(tr("the learning rate follows a schedule"))
    return rate


@remedy(
    "rate-lower",
    "Lower learning rate",
    "rate",
    "A tenth of the learning rate, and no more than the optimizer's usual one.",
    "Steps stay below the edge at which they leap over the valley (rate x curvature < 2).",
    "unstable-rate avalanche exploding non-finite dead noise",
)
def _rate_lower(experiment: Experiment) -> Edit:
    rate, usual = _constant_rate(experiment), experiment.optimizer.default_rate
    if rate <= 1e-5 * usual:
        raise NotApplicable(tr("the learning rate is as good as 0"))
    return edits.set_field(experiment, "", "optimizer.learning_rate", min(rate / 10, usual))


@remedy(
    "rate-higher",
    "Higher learning rate",
    "rate",
    "Ten times the learning rate; at least a tenth of the optimizer's usual one.",
    "Steps that are too short take for ever.",
    "stopped vanishing",
)
def _rate_higher(experiment: Experiment) -> Edit:
    rate, usual = _constant_rate(experiment), experiment.optimizer.default_rate
    if rate >= 100 * usual:
        raise NotApplicable(tr("the learning rate is very high already"))
    return edits.set_field(experiment, "", "optimizer.learning_rate", max(10 * rate, usual / 10))


@remedy(
    "warm-up",
    "Warm-up",
    "rate",
    "The learning rate rises from 0 over the first 100 steps.",
    "The first steps, from random weights, are the most dangerous: they are kept small.",
    "avalanche exploding unstable-rate dead",
)
def _warm_up(experiment: Experiment) -> Edit:
    schedule = schedules.WarmUp(_constant_rate(experiment), 100)
    return edits.set_field(experiment, "", "optimizer.learning_rate", schedule)


# Clipping


def _clip(experiment: Experiment, field: str, limit: float) -> Edit:
    for name in ("clipvalue", "clipnorm", "global_clipnorm"):
        value = getattr(experiment.optimizer, name)
        if value is not None:
            raise NotApplicable(tr("gradients are clipped already ({name} {value:g})", name=name, value=value))
    return edits.set_field(experiment, "", f"optimizer.{field}", limit)


@remedy(
    "clipnorm",
    "Clip by norm",
    "clipping",
    "The gradient of each variable is shortened to a length of at most 1.",
    "No single step can be of any size; the direction stays (Pascanu et al. 2013).",
    "exploding avalanche non-finite unstable-rate",
)
def _clipnorm(experiment: Experiment) -> Edit:
    return _clip(experiment, "clipnorm", 1.0)


@remedy(
    "clipvalue",
    "Clip by value",
    "clipping",
    "Every component of a gradient is cut to at most 0.5.",
    "No weight can be moved by more than half the rate; the direction changes: large components lose most.",
    "exploding avalanche non-finite unstable-rate",
)
def _clipvalue(experiment: Experiment) -> Edit:
    return _clip(experiment, "clipvalue", 0.5)

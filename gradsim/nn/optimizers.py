"""Optimizers: how a gradient becomes a step, in the form of ``keras/src/optimizers``.

A rule consists of ``coefficients``, which gives the numbers of each step (NumPy, over an array of steps), and of
``update``, which is applied to every weight: ``update(w, g, *slots, *coefficients) -> (w, *slots)``, written with
:mod:`gradsim.nn.scalar` and compiled by the engine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import annotated_types
import numpy as np
import pydantic
from pydantic_core import PydanticCustomError

from gradsim.i18n import tr
from gradsim.nn import schedules
from gradsim.nn.scalar import sqrt
from gradsim.nn.spec import Registry, Spec, frozen, option

registry = Registry("optimizer", by_name=False)

Array = np.ndarray[Any, np.dtype[np.float64]]

NADAM_FACTORS = 20_000


@dataclasses.dataclass(frozen=True)
class Rule:
    """An optimizer as formulas.

    Attributes:
        update: ``(w, g, *slots, *coefficients) -> (w, *slots)``, elementwise.
        slots: Names of what is kept for each weight, with the value they start from.
        coefficients: ``(t, learning_rate) -> columns``, where ``t`` (float64, shape ``(n,)``) counts updates from 1.
    """

    update: Callable[..., Any]
    slots: tuple[tuple[str, float], ...]
    coefficients: Callable[[Array, Array], tuple[Any, ...]]


HIGHEST_RATE = 1e6


def _rate(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value <= HIGHEST_RATE:
            raise PydanticCustomError(
                "rate", tr("must be a number from 0 to {highest:g}, or a schedule", highest=HIGHEST_RATE)
            )
        return float(value)
    return schedules.registry.validate(value)


# The bounds stand here for forms to read; the validator before them gives the one message.
LearningRate = Annotated[
    Annotated[float, annotated_types.Ge(0), annotated_types.Le(HIGHEST_RATE)] | schedules.Schedule,
    pydantic.BeforeValidator(_rate),
]


@frozen
class Optimizer(Spec):
    """Base of all optimizers. Order in a step, as in Keras: clip, weight decay, update.

    At most one of the three ways of clipping may be set.
    """

    kind: ClassVar[str] = "optimizer"
    default_rate: ClassVar[float] = 0.001

    learning_rate: LearningRate = option(
        "Learning rate", "Size of a step: a number, or a schedule.", default=0.001, live=True
    )
    clipvalue: float | None = option(
        "Clip by value",
        "Cut every component of a gradient to plus or minus this.",
        default=None,
        gt=0,
        live=True,
        kw_only=True,
    )
    clipnorm: float | None = option(
        "Clip by norm",
        "Shorten each variable's gradient to this length.",
        default=None,
        gt=0,
        live=True,
        kw_only=True,
    )
    global_clipnorm: float | None = option(
        "Clip by global norm",
        "Shorten all gradients by one factor to this length together.",
        default=None,
        gt=0,
        live=True,
        kw_only=True,
    )

    @pydantic.model_validator(mode="after")
    def _one_way_of_clipping(self) -> Optimizer:
        given = [name for name in ("clipvalue", "clipnorm", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                tr("at most one way of clipping may be set, received {names}", names=tr(" and ").join(given))
            )
        return self

    def rule(self) -> Rule:
        """The formulas for the options that are set."""
        raise NotImplementedError

    def rates(self, steps: Array) -> Array:
        """Learning rate of each step; ``steps`` counts updates from 0, shape ``(n,)``."""
        if isinstance(self.learning_rate, schedules.Schedule):
            return self.learning_rate.rates(steps)
        return np.full(steps.shape, self.learning_rate)

    @property
    def decoupled_weight_decay(self) -> float:
        """Factor of ``w -= w * factor * learning_rate`` before the update; 0 for none."""
        return 0.0


def gradient_step(w: Any, g: Any, lr: Any) -> Any:
    """Gradient descent as such: the change is the gradient times a number."""
    return (w - lr * g,)


def _momentum(w: Any, g: Any, m: Any, lr: Any, beta: Any) -> Any:
    m = beta * m - lr * g
    return w + m, m


def _nesterov(w: Any, g: Any, m: Any, lr: Any, beta: Any) -> Any:
    m = beta * m - lr * g
    return w + beta * m - lr * g, m


@registry.register("SGD", "sgd")
@frozen
class SGD(Optimizer):
    """Gradient descent, with momentum (Polyak 1964) or Nesterov's look-ahead (1983)."""

    default_rate = 0.01

    learning_rate: LearningRate = option(
        "Learning rate", "Size of a step: a number, or a schedule.", default=0.01, live=True
    )
    momentum: float = option("Momentum", "Share of the last step that goes on.", default=0.0, ge=0, le=1, step=0.05)
    nesterov: bool = option("Nesterov", "Take the slope where momentum leads to.", default=False)

    def rule(self) -> Rule:
        if self.momentum == 0:
            return Rule(gradient_step, (), lambda t, lr: (lr,))
        update = _nesterov if self.nesterov else _momentum
        return Rule(update, (("momentum", 0.0),), lambda t, lr: (lr, self.momentum))


def _adagrad(w: Any, g: Any, a: Any, lr: Any, epsilon: Any) -> Any:
    a = a + g * g
    return w - lr * g / sqrt(a + epsilon), a


@registry.register("Adagrad", "adagrad")
@frozen
class Adagrad(Optimizer):
    """Divides by the root of all squared gradients so far (Duchi et al. 2011)."""

    initial_accumulator_value: float = option(
        "Initial accumulator", "Where the sum of squares starts.", default=0.1, ge=0
    )
    epsilon: float = option("Epsilon", "Keeps the divisor from zero.", default=1e-7, gt=0, advanced=True)

    def rule(self) -> Rule:
        slots = (("accumulator", self.initial_accumulator_value),)
        return Rule(_adagrad, slots, lambda t, lr: (lr, self.epsilon))


def _rmsprop(w: Any, g: Any, v: Any, lr: Any, rho: Any, epsilon: Any) -> Any:
    v = rho * v + (1.0 - rho) * g * g
    return w - lr * g / sqrt(v + epsilon), v


def _rmsprop_momentum(w: Any, g: Any, v: Any, m: Any, lr: Any, rho: Any, epsilon: Any, beta: Any) -> Any:
    v = rho * v + (1.0 - rho) * g * g
    m = beta * m + lr * g / sqrt(v + epsilon)
    return w - m, v, m


def _rmsprop_centered(w: Any, g: Any, v: Any, a: Any, lr: Any, rho: Any, epsilon: Any) -> Any:
    v = rho * v + (1.0 - rho) * g * g
    a = rho * a + (1.0 - rho) * g
    return w - lr * g / sqrt(v - a * a + epsilon), v, a


def _rmsprop_centered_momentum(
    w: Any, g: Any, v: Any, a: Any, m: Any, lr: Any, rho: Any, epsilon: Any, beta: Any
) -> Any:
    v = rho * v + (1.0 - rho) * g * g
    a = rho * a + (1.0 - rho) * g
    m = beta * m + lr * g / sqrt(v - a * a + epsilon)
    return w - m, v, a, m


@registry.register("RMSprop", "rmsprop", "RMSProp")
@frozen
class RMSprop(Optimizer):
    """Divides by the root of a running mean of squared gradients (Hinton 2012)."""

    rho: float = option("Rho", "Memory of the running mean.", default=0.9, ge=0, lt=1, step=0.05)
    momentum: float = option("Momentum", "Share of the last step that goes on.", default=0.0, ge=0, le=1, step=0.05)
    epsilon: float = option("Epsilon", "Keeps the divisor from zero.", default=1e-7, gt=0, advanced=True)
    centered: bool = option("Centred", "Divide by the deviation instead of the root mean square.", default=False)

    def rule(self) -> Rule:
        slots: tuple[tuple[str, float], ...] = (("velocity", 0.0),)
        if self.centered:
            slots += (("average_gradient", 0.0),)
        if self.momentum == 0:
            update: Callable[..., Any] = _rmsprop_centered if self.centered else _rmsprop
            return Rule(update, slots, lambda t, lr: (lr, self.rho, self.epsilon))
        update = _rmsprop_centered_momentum if self.centered else _rmsprop_momentum
        slots += (("momentum", 0.0),)
        return Rule(update, slots, lambda t, lr: (lr, self.rho, self.epsilon, self.momentum))


def _adam(w: Any, g: Any, m: Any, v: Any, rate: Any, keep1: Any, keep2: Any, epsilon: Any) -> Any:
    m = m + (g - m) * keep1
    v = v + (g * g - v) * keep2
    return w - m * rate / (sqrt(v) + epsilon), m, v


@registry.register("Adam", "adam")
@frozen
class Adam(Optimizer):
    """Running mean of the gradient over the root of that of its square (Kingma & Ba 2014)."""

    beta_1: float = option("Beta 1", "Memory of the mean gradient.", default=0.9, ge=0, lt=1, step=0.05)
    beta_2: float = option("Beta 2", "Memory of the mean squared gradient.", default=0.999, ge=0, lt=1, step=0.001)
    epsilon: float = option("Epsilon", "Keeps the divisor from zero.", default=1e-7, gt=0, advanced=True)

    def rule(self) -> Rule:
        def coefficients(t: Array, lr: Array) -> tuple[Any, ...]:
            rate = lr * np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
            return rate, 1.0 - self.beta_1, 1.0 - self.beta_2, self.epsilon

        return Rule(_adam, (("momentum", 0.0), ("velocity", 0.0)), coefficients)


@registry.register("AdamW", "adamw")
@frozen
class AdamW(Adam):
    """Adam with weight decay outside of the gradient (Loshchilov & Hutter 2017)."""

    weight_decay: float = option("Weight decay", "Share of a weight that each step takes away.", default=0.004, ge=0)

    @property
    def decoupled_weight_decay(self) -> float:
        return self.weight_decay


def _nadam(
    w: Any,
    g: Any,
    m: Any,
    v: Any,
    lr: Any,
    keep1: Any,
    keep2: Any,
    of_m: Any,
    of_g: Any,
    of_v: Any,
    epsilon: Any,
) -> Any:
    m = m + (g - m) * keep1
    v = v + (g * g - v) * keep2
    return w - lr * (of_m * m + of_g * g) / (sqrt(v * of_v) + epsilon), m, v


@registry.register("Nadam", "nadam")
@frozen
class Nadam(Optimizer):
    """Adam with Nesterov's look-ahead (Dozat 2016), with Keras' schedule of 0.96^t."""

    beta_1: float = option("Beta 1", "Memory of the mean gradient.", default=0.9, ge=0, lt=1, step=0.05)
    beta_2: float = option("Beta 2", "Memory of the mean squared gradient.", default=0.999, ge=0, lt=1, step=0.001)
    epsilon: float = option("Epsilon", "Keeps the divisor from zero.", default=1e-7, gt=0, advanced=True)

    def rule(self) -> Rule:
        def coefficients(t: Array, lr: Array) -> tuple[Any, ...]:
            # The product of all u up to t; it depends on t alone, so that chunks of any size agree. After 20,000
            # factors below 1 - 5e-4 it and 0.96^t no longer change a result.
            every = np.arange(1, min(int(t[-1]), NADAM_FACTORS) + 2, dtype=np.float64)
            u_all = self.beta_1 * (1.0 - 0.5 * 0.96**every)
            product = np.cumprod(u_all)
            at = np.minimum(t.astype(np.int64), NADAM_FACTORS) - 1
            u, u_next = u_all[at], u_all[at + 1]
            of_m = u_next / (1.0 - product[at + 1])
            of_g = (1.0 - u) / (1.0 - product[at])
            return (
                lr,
                1.0 - self.beta_1,
                1.0 - self.beta_2,
                of_m,
                of_g,
                1.0 / (1.0 - self.beta_2**t),
                self.epsilon,
            )

        return Rule(_nadam, (("momentum", 0.0), ("velocity", 0.0)), coefficients)

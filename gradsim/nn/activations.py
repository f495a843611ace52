"""Activations: the formula and the slope of each, by Keras identifier.

``forward(x, *parameters)`` and ``derivative(x, y, *parameters)`` with ``y = forward(x)`` are written with
:mod:`gradsim.nn.scalar`, for NumPy arrays of any shape; the engine compiles the very same functions. Parameters are
the fields of the definition, in order. Formulas follow ``keras/src/activations/activations.py``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from gradsim.nn.scalar import erf, exp, expm1, log1p, maximum, minimum, tanh, where
from gradsim.nn.spec import Registry, Spec, fields_of, frozen, option

registry = Registry("activation")

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


@frozen
class Activation(Spec):
    """Base of all activations.

    Attributes:
        derivative_from: "output" if the slope needs only ``y``, so that the engine can work in place, else "input".
        rowwise: True for softmax: a function of a whole row, not of one value.
        saturating: True if the slope vanishes on both sides.
        slope_max: Largest absolute slope; a unit counts as saturated below 5 % of it.
        initializer: Identifier of the initializer that goes with it.
    """

    kind: ClassVar[str] = "activation"
    derivative_from: ClassVar[Literal["input", "output"]] = "input"
    rowwise: ClassVar[bool] = False
    saturating: ClassVar[bool] = False
    slope_max: ClassVar[float] = 1.0
    initializer: ClassVar[str] = "glorot_uniform"

    @staticmethod
    def forward(x: Any) -> Any:
        """The value at ``x``."""
        raise NotImplementedError

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        """The slope at ``x``, where the value is ``y``."""
        raise NotImplementedError

    def parameters(self) -> tuple[float, ...]:
        """Values of the formula's parameters, in order."""
        return tuple(float(getattr(self, view.name)) for view in fields_of(type(self)))

    def __call__(self, x: Any) -> Any:
        """The value at ``x``, elementwise (row by row for a rowwise one)."""
        return type(self).forward(x, *self.parameters())

    def slope(self, x: Any) -> Any:
        """The slope at ``x``, elementwise."""
        return type(self).derivative(x, self(x), *self.parameters())


@registry.register("linear")
@frozen
class Linear(Activation):
    """Passes its input on unchanged."""

    derivative_from = "output"

    @staticmethod
    def forward(x: Any) -> Any:
        return x

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        return where(y == y, 1.0, y)


@registry.register("sigmoid")
@frozen
class Sigmoid(Activation):
    """S-curve from 0 to 1; its slope is never above 0.25, so deep stacks of it vanish."""

    derivative_from = "output"
    saturating = True
    slope_max = 0.25

    @staticmethod
    def forward(x: Any) -> Any:
        # exp is only ever taken of a number <= 0, so that it can't overflow.
        e = exp(where(x > 0.0, -x, x))
        return where(x > 0.0, 1.0 / (1.0 + e), e / (1.0 + e))

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        return y * (1.0 - y)


@registry.register("tanh")
@frozen
class Tanh(Activation):
    """S-curve from -1 to 1 with slope 1 at zero; saturates for large inputs."""

    derivative_from = "output"
    saturating = True

    @staticmethod
    def forward(x: Any) -> Any:
        return tanh(x)

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        return 1.0 - y * y


@registry.register("softmax")
@frozen
class Softmax(Activation):
    """Turns a row into shares that sum to 1; hidden, it divides the gradient by about the width."""

    derivative_from = "output"
    rowwise = True
    saturating = True
    slope_max = 0.25

    @staticmethod
    def forward(x: Any) -> Any:
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        return e / np.sum(e, axis=-1, keepdims=True)

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        """Diagonal of the Jacobian; the whole product is ``y * (d - sum(d * y))`` for a cotangent ``d``."""
        return y * (1.0 - y)


@registry.register("relu")
@frozen
class ReLU(Activation):
    """Zero below 0, unchanged above: slope 0 or 1. A unit that is always below 0 is dead."""

    derivative_from = "output"
    initializer = "he_normal"

    @staticmethod
    def forward(x: Any) -> Any:
        # Written so that NaN stays NaN, as in Keras.
        return where(x <= 0.0, 0.0, x)

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        return where(y > 0.0, 1.0, 0.0)


@registry.register("leaky_relu", "LeakyReLU")
@frozen
class LeakyReLU(Activation):
    """ReLU with a small slope below 0, so that no unit dies."""

    initializer = "he_normal"

    negative_slope: float = option("Negative slope", "Slope below zero.", default=0.2, ge=0, le=1, step=0.05)

    @staticmethod
    def forward(x: Any, negative_slope: Any = 0.2) -> Any:
        return where(x > 0.0, x, x * negative_slope)

    @staticmethod
    def derivative(x: Any, y: Any, negative_slope: Any = 0.2) -> Any:
        return where(x > 0.0, 1.0, negative_slope)


@registry.register("elu")
@frozen
class ELU(Activation):
    """Unchanged above 0, bends smoothly to -alpha below (Clevert et al. 2015)."""

    initializer = "he_normal"

    alpha: float = option("Alpha", "The value it bends to below zero is -alpha.", default=1.0, gt=0, le=10, step=0.1)

    @staticmethod
    def forward(x: Any, alpha: Any = 1.0) -> Any:
        return where(x > 0.0, x, alpha * expm1(minimum(x, 0.0)))

    @staticmethod
    def derivative(x: Any, y: Any, alpha: Any = 1.0) -> Any:
        return where(x > 0.0, 1.0, y + alpha)


@registry.register("selu")
@frozen
class SELU(Activation):
    """ELU scaled so that mean 0 and deviation 1 keep themselves (Klambauer et al. 2017); goes with lecun_normal."""

    slope_max = SELU_SCALE * SELU_ALPHA
    initializer = "lecun_normal"

    @staticmethod
    def forward(x: Any) -> Any:
        return SELU_SCALE * where(x > 0.0, x, SELU_ALPHA * expm1(minimum(x, 0.0)))

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        return where(x > 0.0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA)


@registry.register("gelu")
@frozen
class GELU(Activation):
    """Input times the normal distribution's share below it (Hendrycks & Gimpel 2016); exact, with erf."""

    slope_max = 1.13
    initializer = "he_normal"

    @staticmethod
    def forward(x: Any) -> Any:
        return 0.5 * x * (1.0 + erf(x * 0.7071067811865476))

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        return 0.5 * (1.0 + erf(x * 0.7071067811865476)) + x * 0.3989422804014327 * exp(-0.5 * x * x)


@registry.register("silu", "swish")
@frozen
class SiLU(Activation):
    """Input times its sigmoid, also called swish."""

    slope_max = 1.1
    initializer = "he_normal"

    @staticmethod
    def forward(x: Any) -> Any:
        e = exp(where(x > 0.0, -x, x))
        return x * where(x > 0.0, 1.0 / (1.0 + e), e / (1.0 + e))

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        e = exp(where(x > 0.0, -x, x))
        s = where(x > 0.0, 1.0 / (1.0 + e), e / (1.0 + e))
        return s * (1.0 + x * (1.0 - s))


@registry.register("softplus")
@frozen
class Softplus(Activation):
    """Smooth ReLU: log(1 + exp(x)); its slope is the sigmoid."""

    initializer = "he_normal"

    @staticmethod
    def forward(x: Any) -> Any:
        return maximum(x, 0.0) + log1p(exp(where(x > 0.0, -x, x)))

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        e = exp(where(x > 0.0, -x, x))
        return where(x > 0.0, 1.0 / (1.0 + e), e / (1.0 + e))


@registry.register("softsign")
@frozen
class Softsign(Activation):
    """x / (1 + |x|): like tanh, but saturates slowly."""

    saturating = True

    @staticmethod
    def forward(x: Any) -> Any:
        return x / (1.0 + where(x > 0.0, x, -x))

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        d = 1.0 + where(x > 0.0, x, -x)
        return 1.0 / (d * d)


@registry.register("mish")
@frozen
class Mish(Activation):
    """x times the tanh of its softplus (Misra 2019)."""

    slope_max = 1.09
    initializer = "he_normal"

    @staticmethod
    def forward(x: Any) -> Any:
        return x * tanh(maximum(x, 0.0) + log1p(exp(where(x > 0.0, -x, x))))

    @staticmethod
    def derivative(x: Any, y: Any) -> Any:
        e = exp(where(x > 0.0, -x, x))
        t = tanh(maximum(x, 0.0) + log1p(e))
        return t + x * (1.0 - t * t) * where(x > 0.0, 1.0 / (1.0 + e), e / (1.0 + e))

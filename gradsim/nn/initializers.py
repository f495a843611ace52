"""Initializers: how the weights start, with Keras' scales (``keras/src/initializers/random_initializers.py``)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from gradsim.nn.spec import Registry, Spec, frozen, option

registry = Registry("initializer")

# Standard deviation of a standard normal truncated at two deviations; Keras divides by it.
TRUNCATED_SD = 0.87962566103423978

Array = np.ndarray[Any, np.dtype[np.float64]]


@frozen
class Initializer(Spec):
    """Base of all initializers."""

    kind: ClassVar[str] = "initializer"

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draws an array.

        Args:
            shape: ``(inputs, outputs)`` of a kernel or ``(units,)``.
            rng: The source of randomness; the number of draws depends only on the shape, or on it and the draws.

        Returns:
            float64 array of the shape.
        """
        raise NotImplementedError

    def variance(self, fan_in: int, fan_out: int) -> float | None:
        """Variance of one entry of a kernel, or None where the entries are not independent draws around zero."""
        raise NotImplementedError


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """``fan_in, fan_out`` as Keras' ``compute_fans`` has them for one or two axes."""
    if len(shape) == 1:
        return shape[0], shape[0]
    return shape[-2], shape[-1]


def truncated_normal(shape: tuple[int, ...], sd: float, rng: np.random.Generator) -> Array:
    """Normal values redrawn until they lie within two standard deviations."""
    values = rng.standard_normal(shape)
    outside = np.abs(values) > 2
    while outside.any():
        values[outside] = rng.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2
    return values * sd


@registry.register("zeros", "Zeros", "zero")
@frozen
class Zeros(Initializer):
    """All zero: every unit of a layer computes the same and stays the same."""

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.zeros(shape)

    def variance(self, fan_in: int, fan_out: int) -> float | None:
        return 0.0


@registry.register("ones", "Ones", "one")
@frozen
class Ones(Initializer):
    """All one."""

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.ones(shape)

    def variance(self, fan_in: int, fan_out: int) -> float | None:
        return None


@registry.register("constant", "Constant")
@frozen
class Constant(Initializer):
    """All the same value."""

    value: float = option("Value", "What every entry starts with.", default=0.0, step=0.1)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.full(shape, self.value)

    def variance(self, fan_in: int, fan_out: int) -> float | None:
        return 0.0 if self.value == 0 else None


@registry.register("random_normal", "RandomNormal")
@frozen
class RandomNormal(Initializer):
    """Normal with a spread that knows nothing of the layer's size."""

    mean: float = option("Mean", "Centre of the distribution.", default=0.0, step=0.01, advanced=True)
    stddev: float = option("Standard deviation", "Spread of the distribution.", default=0.05, ge=0, step=0.01)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return self.mean + self.stddev * rng.standard_normal(shape)

    def variance(self, fan_in: int, fan_out: int) -> float | None:
        return self.stddev**2 if self.mean == 0 else None


@registry.register("random_uniform", "RandomUniform")
@frozen
class RandomUniform(Initializer):
    """Uniform between two limits that know nothing of the layer's size."""

    minval: float = option("Lowest", "Lower limit.", default=-0.05, step=0.01)
    maxval: float = option("Highest", "Upper limit.", default=0.05, step=0.01)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        low, high = sorted((self.minval, self.maxval))
        return rng.uniform(low, high, shape)

    def variance(self, fan_in: int, fan_out: int) -> float | None:
        return (self.maxval - self.minval) ** 2 / 12 if self.maxval == -self.minval else None


@registry.register("truncated_normal", "TruncatedNormal")
@frozen
class TruncatedNormal(Initializer):
    """Normal without the values beyond two standard deviations (so a little narrower than it says)."""

    mean: float = option("Mean", "Centre of the distribution.", default=0.0, step=0.01, advanced=True)
    stddev: float = option("Standard deviation", "Spread before the tails are cut.", default=0.05, ge=0, step=0.01)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return self.mean + truncated_normal(shape, self.stddev, rng)

    def variance(self, fan_in: int, fan_out: int) -> float | None:
        return (self.stddev * TRUNCATED_SD) ** 2 if self.mean == 0 else None


@frozen
class VarianceScaling(Initializer):
    """Spread chosen from the layer's size: variance = scale."""

    normal: ClassVar[bool] = True

    @staticmethod
    def scale(fan_in: int, fan_out: int) -> float:
        """The variance for a kernel of this size."""
        raise NotImplementedError

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        scale = self.scale(*fans(shape))
        if self.normal:
            return truncated_normal(shape, math.sqrt(scale) / TRUNCATED_SD, rng)
        limit = math.sqrt(3 * scale)
        return rng.uniform(-limit, limit, shape)

    def variance(self, fan_in: int, fan_out: int) -> float | None:
        return self.scale(fan_in, fan_out)


@frozen
class _Glorot(VarianceScaling):
    @staticmethod
    def scale(fan_in: int, fan_out: int) -> float:
        return 2.0 / max(1, fan_in + fan_out)


@frozen
class _He(VarianceScaling):
    @staticmethod
    def scale(fan_in: int, fan_out: int) -> float:
        return 2.0 / max(1, fan_in)


@frozen
class _LeCun(VarianceScaling):
    @staticmethod
    def scale(fan_in: int, fan_out: int) -> float:
        return 1.0 / max(1, fan_in)


@registry.register("glorot_uniform", "GlorotUniform")
@frozen
class GlorotUniform(_Glorot):
    """Variance 2 / (inputs + outputs), uniform (Glorot & Bengio 2010, eq. 16): for tanh and sigmoid; Keras' default."""

    normal = False


@registry.register("glorot_normal", "GlorotNormal")
@frozen
class GlorotNormal(_Glorot):
    """Variance 2 / (inputs + outputs), normal (Glorot & Bengio 2010, eq. 12): for tanh and sigmoid."""


@registry.register("he_uniform", "HeUniform")
@frozen
class HeUniform(_He):
    """Variance 2 / inputs, uniform (He et al. 2015, eq. 10): for ReLU and its relatives."""

    normal = False


@registry.register("he_normal", "HeNormal")
@frozen
class HeNormal(_He):
    """Variance 2 / inputs, normal (He et al. 2015, eq. 10): for ReLU and its relatives."""


@registry.register("lecun_uniform", "LecunUniform")
@frozen
class LecunUniform(_LeCun):
    """Variance 1 / inputs, uniform (LeCun et al. 1998): for SELU."""

    normal = False


@registry.register("lecun_normal", "LecunNormal")
@frozen
class LecunNormal(_LeCun):
    """Variance 1 / inputs, normal (LeCun et al. 1998): for SELU."""


@registry.register("orthogonal", "Orthogonal", "OrthogonalInitializer")
@frozen
class Orthogonal(Initializer):
    """Keeps lengths: all singular values are the gain (Saxe et al. 2013)."""

    gain: float = option("Gain", "Factor on every length.", default=1.0, gt=0, step=0.1)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"orthogonal needs a matrix, received the shape {shape}")
        rows, columns = shape
        q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
        q = q * np.sign(np.diag(r))
        return self.gain * (q.T if rows < columns else q)

    def variance(self, fan_in: int, fan_out: int) -> float | None:
        return self.gain**2 / max(fan_in, fan_out)


@registry.register("identity", "Identity", "IdentityInitializer")
@frozen
class Identity(Initializer):
    """Ones on the diagonal: passes the input on."""

    gain: float = option("Gain", "Factor on the diagonal.", default=1.0, step=0.1)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"identity needs a matrix, received the shape {shape}")
        return self.gain * np.eye(*shape)

    def variance(self, fan_in: int, fan_out: int) -> float | None:
        return None

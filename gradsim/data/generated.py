"""Generated data: small problems with a known shape. The same fields give the same bytes.

Coordinates have a deviation of about 1, as standardised data have, and are not scaled any further, so that a
picture of the plane shows them where the formula put them.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from gradsim.data.dataset import Array, Dataset, classified, numbered, regressed, split
from gradsim.data.sources import Source, registry
from gradsim.nn.spec import frozen, option


@frozen
class Generated(Source):
    """Base of the generated sources."""

    group = "generated"

    samples: int = option(
        "Points",
        "How many points, validation included.",
        default=1000,
        ge=10,
        le=50_000,
        step=100,
        kw_only=True,
    )
    noise: float = option(
        "Noise",
        "Deviation of what is added to every point.",
        default=0.1,
        ge=0,
        le=10,
        step=0.05,
        kw_only=True,
    )
    validation_split: float = option(
        "Validation share",
        "Share of the points that is kept for validation.",
        default=0.2,
        ge=0,
        le=0.9,
        step=0.05,
        kw_only=True,
    )
    seed: int = option("Seed of the data", "Another seed, other points.", default=0, ge=0, le=2**31 - 1, kw_only=True)

    def random(self) -> np.random.Generator:
        """The source of all randomness."""
        return np.random.Generator(np.random.PCG64(self.seed))


@frozen
class Plane(Generated):
    """Base of the classes in the plane."""

    def classes_count(self) -> int:
        """How many classes."""
        return 2

    def points(self, labels: Array, rng: np.random.Generator) -> Array:
        """Points without noise.

        Args:
            labels: Shape ``(samples,)``, in order.

        Returns:
            Shape ``(samples, features)``, float64.
        """
        raise NotImplementedError

    def load(self, base: Path | None = None) -> Dataset:
        rng = self.random()
        count = self.classes_count()
        labels = np.arange(self.samples) % count
        points = self.points(labels, rng)
        points = points + self.noise * rng.standard_normal(points.shape)
        train, val = split(self.samples, self.validation_split, rng, labels)
        return classified(
            points, labels, train, val, numbered("class ", count), numbered("x", points.shape[1]), self.title
        )


@registry.register("circle")
@frozen
class Circle(Plane):
    """A disc inside a ring: two classes that no straight line divides."""

    title = "Circle"

    def points(self, labels: Array, rng: np.random.Generator) -> Array:
        radius = np.where(labels == 1, rng.uniform(0.0, 1.0, len(labels)), rng.uniform(1.4, 2.0, len(labels)))
        angle = rng.uniform(0.0, 2 * np.pi, len(labels))
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


@registry.register("xor")
@frozen
class Xor(Plane):
    """Four quadrants, opposite ones of the same class: the problem a single layer can't solve."""

    title = "Exclusive or"

    def points(self, labels: Array, rng: np.random.Generator) -> Array:
        size = rng.uniform(0.1, 2.0, (len(labels), 2))
        sign = rng.choice([-1.0, 1.0], len(labels))
        return np.stack([sign * size[:, 0], np.where(labels == 1, -sign, sign) * size[:, 1]], 1)


@registry.register("gaussians")
@frozen
class Gaussians(Plane):
    """Round clouds on a circle: the easy case."""

    title = "Gaussian clouds"

    noise: float = option("Spread", "Standard deviation of a cloud.", default=0.5, ge=0, le=10, step=0.05, kw_only=True)
    classes: int = option("Classes", "How many clouds.", default=2, ge=2, le=20, kw_only=True)
    features: int = option(
        "Features",
        "Dimensions; from the third on they hold noise only.",
        default=2,
        ge=2,
        le=500,
        kw_only=True,
    )

    def classes_count(self) -> int:
        return self.classes

    def points(self, labels: Array, rng: np.random.Generator) -> Array:
        angle = 2 * np.pi * labels / self.classes
        centres = np.zeros((len(labels), self.features))
        centres[:, 0] = 1.5 * np.cos(angle)
        centres[:, 1] = 1.5 * np.sin(angle)
        return centres


@registry.register("spiral")
@frozen
class Spiral(Plane):
    """Arms wound into each other: needs depth."""

    title = "Spiral"

    classes: int = option("Arms", "How many arms, each a class.", default=2, ge=2, le=10, kw_only=True)
    turns: float = option("Turns", "How often an arm goes round.", default=1.25, gt=0, le=5, step=0.25, kw_only=True)

    def classes_count(self) -> int:
        return self.classes

    def points(self, labels: Array, rng: np.random.Generator) -> Array:
        along = rng.uniform(0.0, 1.0, len(labels))
        angle = 2 * np.pi * (self.turns * along + labels / self.classes)
        return np.stack([2.4 * along * np.sin(angle), 2.4 * along * np.cos(angle)], 1)


@registry.register("moons")
@frozen
class Moons(Plane):
    """Two half circles that reach into each other."""

    title = "Moons"

    def points(self, labels: Array, rng: np.random.Generator) -> Array:
        angle = rng.uniform(0.0, np.pi, len(labels))
        lower = labels == 1
        x = np.where(lower, 1 - np.cos(angle), np.cos(angle)) - 0.5
        y = np.where(lower, 0.5 - np.sin(angle), np.sin(angle)) - 0.25
        return 1.25 * np.stack([x, y], 1)


def _sine(x: Array) -> Array:
    return np.asarray(np.sin(2 * x))


def _step(x: Array) -> Array:
    return np.where(x > 0, 1.0, -1.0)


def _cubic(x: Array) -> Array:
    return np.asarray(x**3 / 3 - x)


def _hat(x: Array) -> Array:
    return np.asarray(1 - np.abs(x))


@registry.register("regression_1d")
@frozen
class Regression1D(Generated):
    """A curve to follow: one number in, one out."""

    title = "Curve"

    CURVES: ClassVar = {"sine": _sine, "step": _step, "cubic": _cubic, "hat": _hat}

    curve: Literal["sine", "step", "cubic", "hat"] = option(
        "Curve",
        "sine: sin 2x; step: the sign of x; cubic: x³/3 - x; hat: 1 - |x|.",
        default="sine",
        kw_only=True,
    )

    def load(self, base: Path | None = None) -> Dataset:
        rng = self.random()
        x = rng.uniform(-2.0, 2.0, (self.samples, 1))
        y = self.CURVES[self.curve](x) + self.noise * rng.standard_normal(x.shape)
        train, val = split(self.samples, self.validation_split, rng)
        return regressed(x, y, train, val, ("x",), self.title)


@registry.register("linear_teacher")
@frozen
class LinearTeacher(Generated):
    """Targets from a random linear map: what linear layers can learn exactly (Saxe et al. 2014)."""

    title = "Linear teacher"

    features: int = option("Features", "Numbers in.", default=20, ge=1, le=500, kw_only=True)
    outputs: int = option("Outputs", "Numbers out.", default=1, ge=1, le=100, kw_only=True)

    def load(self, base: Path | None = None) -> Dataset:
        rng = self.random()
        # Inputs of variance 1 and weights of variance 1 / features give targets of variance about 1.
        teacher = rng.standard_normal((self.features, self.outputs)) / np.sqrt(self.features)
        x = rng.standard_normal((self.samples, self.features))
        # One thread's sum in a fixed order: a matrix product may differ with the number of cores.
        y = np.einsum("ni,io->no", x, teacher, optimize=False)
        y = y + self.noise * rng.standard_normal(y.shape)
        train, val = split(self.samples, self.validation_split, rng)
        return regressed(x, y, train, val, numbered("x", self.features), self.title)

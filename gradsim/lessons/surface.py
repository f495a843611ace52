"""Loss surfaces over two weights, and the paths that optimizers take on them.

A surface is a formula with its gradient; a path applies the update rule of :mod:`gradsim.nn.optimizers` to it, the
very formula that the engine compiles, in float64. Clipping comes before it, as in a training. Noise added to the
gradient stands for the chance of small batches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradsim.lessons.fields import values
from gradsim.nn import optimizers
from gradsim.nn.optimizers import Optimizer
from gradsim.nn.spec import Fault, Spec, frozen, option, references

Floats = NDArray[np.float64]

FAR = 1e6
"""A path ends where a weight grows beyond this."""


@dataclasses.dataclass(frozen=True)
class Mark:
    """A place on a surface that has a name.

    Attributes:
        kind: "minimum" (the lowest), "local minimum" or "saddle point".
    """

    kind: Literal["minimum", "local minimum", "saddle point"]
    x: float
    y: float


@dataclasses.dataclass(frozen=True)
class Formula:
    """One surface.

    Attributes:
        value: ``(x, y) -> loss``, elementwise.
        gradient: ``(x, y) -> (dL/dx, dL/dy)``, elementwise.
        extent: ``(left, right, bottom, top)``: what a picture shows.
        marks: Its places with a name.
    """

    value: Callable[[Any, Any], Any]
    gradient: Callable[[Any, Any], tuple[Any, Any]]
    extent: tuple[float, float, float, float]
    marks: tuple[Mark, ...]


STEEP = 50.0
TILT = 0.6
_WELLS = np.sort(np.roots([4.0, 0.0, -4.0, -TILT]).real)
_FLOOR = float((_WELLS[2] ** 2 - 1.0) ** 2 - TILT * _WELLS[2])


def _bowl(x: Any, y: Any) -> Any:
    return 0.5 * (x * x + 2.0 * y * y)


def _ravine(x: Any, y: Any) -> Any:
    return 0.5 * (x * x + STEEP * y * y)


def _valleys(x: Any, y: Any) -> Any:
    # A double well along x, tilted so that the right one is deeper, in a bowl along y.
    return (x * x - 1.0) ** 2 - TILT * x - _FLOOR + 2.0 * y * y


def _saddle(x: Any, y: Any) -> Any:
    # Down along y from the saddle at 0, up again beyond 1, so that there is somewhere to arrive.
    return 0.5 * x * x + 0.25 * (y * y - 1.0) ** 2


def _cliff(x: Any, y: Any) -> Any:
    # A gentle bowl with a wall at x = 1 that is a hundred times steeper.
    wall = np.maximum(x - 1.0, 0.0)
    return 0.1 * x * x + 0.25 * y * y + 50.0 * wall * wall


SURFACES: Mapping[str, Formula] = {
    "bowl": Formula(_bowl, lambda x, y: (x, 2.0 * y), (-4.0, 4.0, -3.0, 3.0), (Mark("minimum", 0.0, 0.0),)),
    "ravine": Formula(
        _ravine, lambda x, y: (x, STEEP * y), (-11.0, 3.0, -2.2, 2.2), (Mark("minimum", 0.0, 0.0),)
    ),
    "valleys": Formula(
        _valleys,
        lambda x, y: (4.0 * x * (x * x - 1.0) - TILT, 4.0 * y),
        (-2.1, 2.1, -1.7, 1.7),
        (
            Mark("local minimum", float(_WELLS[0]), 0.0),
            Mark("saddle point", float(_WELLS[1]), 0.0),
            Mark("minimum", float(_WELLS[2]), 0.0),
        ),
    ),
    "saddle": Formula(
        _saddle,
        lambda x, y: (x, y * (y * y - 1.0)),
        (-2.2, 2.2, -1.7, 1.7),
        (Mark("saddle point", 0.0, 0.0), Mark("minimum", 0.0, 1.0), Mark("minimum", 0.0, -1.0)),
    ),
    "cliff": Formula(
        _cliff,
        lambda x, y: (0.2 * x + 100.0 * np.maximum(x - 1.0, 0.0), 0.5 * y),
        (-3.0, 2.6, -3.0, 3.0),
        (Mark("minimum", 0.0, 0.0),),
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Grid:
    """A surface as arrays.

    Attributes:
        x: Shape ``(columns,)``, ascending.
        y: Shape ``(rows,)``, ascending.
        loss: Shape ``(rows, columns)``.
    """

    x: Floats
    y: Floats
    loss: Floats


@dataclasses.dataclass(frozen=True)
class Path:
    """The way that one optimizer took.

    Attributes:
        points: Shape ``(steps + 1, 2)``: where it started and where each step led. Shorter where it ran away.
        loss: Shape ``(steps + 1,)``.
        ran_away: Whether it ended because a weight grew beyond ``FAR``.
    """

    points: Floats
    loss: Floats
    ran_away: bool


@frozen
class Surface(Spec):
    """A loss over two weights on which optimizers start from one point.

    A view draws :meth:`grid`, the :attr:`formula`'s marks and :meth:`paths`, one path for each entry of
    ``optimizers`` in their order; :attr:`labels` names them.
    """

    surface: Literal["bowl", "ravine", "valleys", "saddle", "cliff"] = option("Surface", "Which formula.")
    start: Annotated[tuple[float, float], values()] = option("Start", "Both weights at first.")
    optimizers: Annotated[tuple[Optimizer, ...], references("optimizer")] = option(
        "Optimizers", "Each takes a path of its own.", min_length=1, max_length=8
    )
    steps: int = option("Steps", "Length of each path.", ge=1, le=5000)
    noise: float = option("Noise", "Deviation of the chance added to the gradient.", default=0.0, ge=0, le=100)
    seed: int = option("Seed", "Decides the noise.", default=0, ge=0, le=2**31 - 1)

    @property
    def formula(self) -> Formula:
        """The surface itself."""
        return SURFACES[self.surface]

    @property
    def labels(self) -> tuple[str, ...]:
        """A short name for each path, as in ``SGD, momentum 0.9``."""
        return tuple(_label(one) for one in self.optimizers)

    def grid(self, columns: int = 161, rows: int = 121) -> Grid:
        """The loss on a grid over the formula's extent."""
        left, right, bottom, top = self.formula.extent
        x, y = np.linspace(left, right, columns), np.linspace(bottom, top, rows)
        return Grid(x, y, np.asarray(self.formula.value(x[None, :], y[:, None])))

    def paths(self, seed: int | None = None) -> tuple[Path, ...]:
        """The path of each optimizer. All meet the same noise, decided by the seed."""
        rng = np.random.default_rng(self.seed if seed is None else seed)
        noise = self.noise * rng.standard_normal((self.steps, 2))
        return tuple(self._path(optimizer, noise) for optimizer in self.optimizers)

    def _path(self, optimizer: Optimizer, noise: Floats) -> Path:
        rule = optimizer.rule()
        numbers = np.arange(self.steps, dtype=np.float64)
        columns = rule.coefficients(numbers + 1, optimizer.rates(numbers))
        coefficients = [np.broadcast_to(np.asarray(column, np.float64), (self.steps,)) for column in columns]
        rates = optimizer.rates(numbers)
        weights = np.array(self.start, np.float64)
        slots = [np.full(2, first) for _, first in rule.slots]
        points = [weights]
        for step in range(self.steps):
            with np.errstate(all="ignore"):
                gradient = np.array(self.formula.gradient(weights[0], weights[1])) + noise[step]
                gradient = clipped(optimizer, gradient)
                weights = weights - weights * (optimizer.decoupled_weight_decay * rates[step])
                weights, *slots = rule.update(weights, gradient, *slots, *(column[step] for column in coefficients))
            points.append(weights)
            if not np.all(np.abs(weights) <= FAR):
                break
        way = np.array(points)
        with np.errstate(all="ignore"):
            loss = np.asarray(self.formula.value(way[:, 0], way[:, 1]))
        return Path(way, loss, not bool(np.all(np.abs(way[-1]) <= FAR)))

    def faults(self) -> Iterator[Fault]:
        """What the fields alone can't tell."""
        left, right, bottom, top = self.formula.extent
        x, y = self.start
        if not (left <= x <= right and bottom <= y <= top):
            allowed = f"must lie on the surface: from {left:g} to {right:g} and from {bottom:g} to {top:g}"
            yield Fault("start", allowed, list(self.start))


def clipped(optimizer: Optimizer, gradient: Floats) -> Floats:
    """A gradient after the optimizer's clipping, as of one variable."""
    if optimizer.clipvalue is not None:
        return np.clip(gradient, -optimizer.clipvalue, optimizer.clipvalue)
    longest = optimizer.clipnorm if optimizer.clipnorm is not None else optimizer.global_clipnorm
    length = float(np.linalg.norm(gradient))
    if longest is None or length <= longest:
        return gradient
    return gradient * (longest / length)


def _label(optimizer: Optimizer) -> str:
    words = [optimizer.identifier]
    if isinstance(optimizer, optimizers.SGD) and optimizer.momentum:
        words.append(f"{'Nesterov' if optimizer.nesterov else 'momentum'} {optimizer.momentum:g}")
    if isinstance(optimizer.learning_rate, float):
        words.append(f"lr {optimizer.learning_rate:g}")
    for name in ("clipvalue", "clipnorm", "global_clipnorm"):
        if (limit := getattr(optimizer, name)) is not None:
            words.append(f"{name} {limit:g}")
    return ", ".join(words)

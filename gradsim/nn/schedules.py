"""Learning-rate schedules (``keras/src/optimizers/schedules/learning_rate_schedule.py``)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from gradsim.nn.spec import Registry, Spec, frozen, option

registry = Registry("schedule")

Array = np.ndarray[Any, np.dtype[np.float64]]


@frozen
class Schedule(Spec):
    """Base of all schedules."""

    kind: ClassVar[str] = "schedule"

    def rates(self, steps: Array) -> Array:
        """Learning rate of each step; ``steps`` counts updates from 0, shape ``(n,)``, float64."""
        raise NotImplementedError


@registry.register("ExponentialDecay", "exponential_decay")
@frozen
class ExponentialDecay(Schedule):
    """Falls by the same factor every so many steps."""

    initial_learning_rate: float = option(
        "Initial rate", "Learning rate of the first step.", default=0.01, ge=0, live=True
    )
    decay_steps: int = option(
        "Decay steps", "Steps after which the factor has acted once.", default=1000, ge=1, live=True
    )
    decay_rate: float = option("Decay factor", "Factor of every period.", default=0.9, gt=0, le=1, step=0.05, live=True)
    staircase: bool = option("In stairs", "Fall at the end of a period only.", default=False, live=True)

    def rates(self, steps: Array) -> Array:
        power = steps / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (np.floor(power) if self.staircase else power)


@registry.register("CosineDecay", "cosine_decay")
@frozen
class CosineDecay(Schedule):
    """Rises in a straight line if a warm-up is set, then falls along a half cosine (Loshchilov & Hutter 2016)."""

    initial_learning_rate: float = option(
        "Initial rate", "Learning rate of the first step.", default=0.01, ge=0, live=True
    )
    decay_steps: int = option("Decay steps", "Steps of the fall.", default=1000, ge=1, live=True)
    alpha: float = option(
        "Lowest share", "Share of the rate that is left at the end.", default=0.0, ge=0, le=1, live=True
    )
    warmup_target: float | None = option(
        "Warm-up target", "Rate at the end of the warm-up.", default=None, ge=0, live=True
    )
    warmup_steps: int = option("Warm-up steps", "Steps of the rise.", default=0, ge=0, live=True)

    def rates(self, steps: Array) -> Array:
        initial, target = self.initial_learning_rate, self.warmup_target
        top, start = (initial, 0) if target is None else (target, self.warmup_steps)
        done = np.minimum(np.maximum(steps - start, 0), self.decay_steps) / self.decay_steps
        falling = top * ((1 - self.alpha) * 0.5 * (1 + np.cos(np.pi * done)) + self.alpha)
        if target is None or not self.warmup_steps:
            return np.asarray(falling)
        rising = initial + (target - initial) * steps / self.warmup_steps
        return np.where(steps < self.warmup_steps, rising, falling)


@registry.register("WarmUp", "warmup")
@frozen
class WarmUp(Schedule):
    """Rises in a straight line from a share of the rate, then stays constant (He et al. 2015, section 4.2)."""

    learning_rate: float = option("Learning rate", "Rate after the warm-up.", default=0.01, ge=0, live=True)
    warmup_steps: int = option("Warm-up steps", "Steps of the rise.", default=100, ge=1, live=True)
    start: float = option("Start share", "Share of the rate in the first step.", default=0.0, ge=0, le=1, live=True)

    def rates(self, steps: Array) -> Array:
        done = np.minimum(steps / self.warmup_steps, 1)
        return self.learning_rate * (self.start + (1 - self.start) * done)

"""Regularizers: penalties on a kernel, added to the loss (``keras/src/regularizers/regularizers.py``)."""

from __future__ import annotations

from typing import ClassVar

from gradsim.nn.spec import Registry, Spec, frozen, option

registry = Registry("regularizer")


@frozen
class Regularizer(Spec):
    """Base of all regularizers: ``factors`` are those of ``sum |w|`` and of ``sum w^2``."""

    kind: ClassVar[str] = "regularizer"

    def factors(self) -> tuple[float, float]:
        """The factors ``(l1, l2)``; the gradient is ``l1 * sign(w) + 2 * l2 * w``."""
        raise NotImplementedError


@registry.register("l1", "L1")
@frozen
class L1(Regularizer):
    """Penalty on the sum of absolute weights: drives weights to exactly zero."""

    l1: float = option("l1", "Factor of the sum of |w|.", default=0.01, ge=0, step=0.001)

    def factors(self) -> tuple[float, float]:
        return self.l1, 0.0


@registry.register("l2", "L2")
@frozen
class L2(Regularizer):
    """Penalty on the sum of squared weights: keeps weights small."""

    l2: float = option("l2", "Factor of the sum of w^2.", default=0.01, ge=0, step=0.001)

    def factors(self) -> tuple[float, float]:
        return 0.0, self.l2


@registry.register("l1_l2", "L1L2")
@frozen
class L1L2(Regularizer):
    """Both penalties."""

    l1: float = option("l1", "Factor of the sum of |w|.", default=0.0, ge=0, step=0.001)
    l2: float = option("l2", "Factor of the sum of w^2.", default=0.0, ge=0, step=0.001)

    def factors(self) -> tuple[float, float]:
        return self.l1, self.l2

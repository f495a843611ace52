"""Activations as curves: value and slope, for a step that shows the functions themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from gradsim.i18n import tr
from gradsim.nn.activations import Activation
from gradsim.nn.spec import Fault, Spec, fields_of, frozen, option, references, to_json

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Curve:
    """One activation as arrays, each of shape ``(points,)``."""

    label: str
    x: Floats
    value: Floats
    slope: Floats


@frozen
class Functions(Spec):
    """Activations side by side. A view draws :meth:`curves`: the values, and below them the slopes."""

    activations: Annotated[tuple[Activation, ...], references("activation")] = option(
        "Activations", "Which ones, in this order.", min_length=1, max_length=8
    )
    left: float = option("Left", "Where the axis begins.", default=-5.0, ge=-1000, le=1000)
    right: float = option("Right", "Where the axis ends.", default=5.0, ge=-1000, le=1000)

    def curves(self, points: int = 401) -> tuple[Curve, ...]:
        """Each activation over the axis."""
        x = np.linspace(self.left, self.right, points)
        return tuple(
            Curve(label(one), x, np.asarray(one(x), np.float64), np.asarray(one.slope(x), np.float64))
            for one in self.activations
        )

    def faults(self) -> Iterator[Fault]:
        """What the fields alone can't tell."""
        if self.left >= self.right:
            yield Fault("right", tr("must be greater than left, {value:g}", value=self.left), self.right)
        for number, one in enumerate(self.activations):
            if one.rowwise:
                yield Fault(f"activations[{number}]", tr("must be a function of one number"), one.identifier)


def label(activation: Activation) -> str:
    """The name of an activation with the values that are not the default ones, as in ``elu, alpha 0.5``."""
    content: Any = to_json(activation)
    if isinstance(content, str):
        return content
    given = [view.name for view in fields_of(type(activation)) if view.name in content]
    return ", ".join([activation.identifier, *(f"{name} {content[name]:g}" for name in given)])

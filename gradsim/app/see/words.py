"""Numbers and places as the pictures write them."""

from __future__ import annotations

import math

from gradsim.i18n import tr
from gradsim.telemetry.classes import SMALLEST_NORMAL, State
from gradsim.telemetry.quantities import Quantity


def number(value: float, digits: int = 2) -> str:
    """A value in few characters: ``0.69``, ``3.1e-9``, ``0``, ``NaN``, ``∞``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        text = f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")


def steps(count: float) -> str:
    """A number of steps with thin spaces between thousands: ``12 800``."""
    return f"{count:,.0f}".replace(",", "\u2009")


def short_steps(count: float) -> str:
    """A number of steps on an axis: ``250``, ``12.8k``, ``1.5M``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(count) >= size:
            return f"{count / (1e3 if unit == 'k' else size):.4g}{unit}"
    return f"{count:.4g}"


def said(definition: Quantity, value: float, state: State) -> str:
    """A value with what it means: ``3.1e-9, vanishing``."""
    if state is State.NONE:
        return tr("none")
    if state in (State.NAN, State.INFINITE, State.ZERO):
        return tr("exactly 0") if state is State.ZERO else state.value
    if state is State.FROZEN:
        return tr("frozen")
    text = number(value, 3)
    judged = definition.colours == "diverging" and (
        definition.thresholds.vanishing is not None or definition.thresholds.exploding is not None
    )
    if definition.scale == "log" and 0 < abs(value) < SMALLEST_NORMAL:
        return tr("{value}, below float32's range", value=text)
    return f"{text}, {tr(state.value)}" if judged else text

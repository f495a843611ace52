"""Measured numbers as people read them, alike in every language."""

from __future__ import annotations

import math

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

FORMATS = ("%", "inverse", "round", "1")
"""What may stand behind a placeholder's colon: share in per cent, one over it, a whole number, one decimal."""


def number(value: float) -> str:
    """Three digits, as in ``0.000123``, ``12.3`` or ``1.7 × 10⁻¹¹``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)) + 1e-12)
    if -4 <= exponent <= 4:
        digits = max(0, 2 - exponent)
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    factor = value / 10.0**exponent if exponent > -300 else value * 1e300 / 10.0 ** (exponent + 300)
    power = f"10{str(exponent).translate(_RAISED)}"
    return power if f"{factor:.1f}" == "1.0" else f"{factor:.1f} × {power}"


def formatted(value: float, form: str = "") -> str:
    """A number in one of :data:`FORMATS`, or as :func:`number`; raises ValueError for another."""
    if form == "":
        return number(value)
    if form not in FORMATS:
        raise ValueError(f"format: must be one of {', '.join(FORMATS)} (received {form!r})")
    if not math.isfinite(value):
        return number(value)
    if form == "%":
        return f"{number(100 * value)} %" if abs(value) < 0.01 else f"{100 * value:.0f} %"
    if form == "inverse":
        return number(1 / value) if value else "∞"
    return f"{value:,.0f}" if form == "round" else f"{value:,.1f}"

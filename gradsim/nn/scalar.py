"""The elementary functions that formulas are written with.

With NumPy arrays they are NumPy's own and serve as the reference. The engine compiles the same formulas and gives
these names its own vectorised implementations for one scalar. A formula therefore

- never branches on a value: it selects with :func:`where`;
- writes its constants as floats (``1.0``), which take on the number format of the values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_erf = np.frompyfunc(math.erf, 1, 1)


def exp(x: Any) -> Any:
    """``e**x``."""
    return np.exp(x)


def expm1(x: Any) -> Any:
    """``e**x - 1``, exact near zero."""
    return np.expm1(x)


def log(x: Any) -> Any:
    """The natural logarithm."""
    return np.log(x)


def log1p(x: Any) -> Any:
    """``log(1 + x)``, exact near zero."""
    return np.log1p(x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return np.tanh(x)


def sqrt(x: Any) -> Any:
    """The square root."""
    return np.sqrt(x)


def sign(x: Any) -> Any:
    """-1, 0 or 1."""
    return np.sign(x)


def maximum(x: Any, y: Any) -> Any:
    """The larger one; NaN where ``x`` is NaN."""
    return np.maximum(x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller one; NaN where ``x`` is NaN."""
    return np.minimum(x, y)


def where(condition: Any, x: Any, y: Any) -> Any:
    """``x`` where the condition holds, else ``y``; both are evaluated."""
    return np.where(condition, x, y)


def erf(x: Any) -> Any:
    """The error function."""
    x = np.asarray(x)
    return np.asarray(_erf(x.astype(np.float64)), dtype=np.float64).astype(x.dtype)[()]

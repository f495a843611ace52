"""What the names of :mod:`gradsim.nn.scalar` mean in compiled code: vectorisable functions of one scalar.

numba's own ``exp`` and ``tanh`` call the C library once per value; 10,000 of them take longer than the matrix
products of a step. These are straight-line code that LLVM turns into SIMD. Accuracy is stated with each; NaN passes
through all of them.
"""

from __future__ import annotations

import math
import types as python_types
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import overload

from gradsim.engine.jit import EXACT, floor, inline, two_to
from gradsim.nn import scalar
from gradsim.nn.spec import once

_exact = numba.njit(fastmath=EXACT, error_model="numpy")

f4 = np.float32


@_exact
def _reduced32(x: Any) -> Any:
    """``n, e^r - 1`` with ``x = n ln 2 + r``; coefficients of Cephes' expf."""
    n = floor(x * f4(1.44269504088896341) + f4(0.5))
    r = x - n * f4(0.693359375)
    r = r - n * f4(-2.12194440e-4)
    p = f4(1.9875691500e-4)
    p = p * r + f4(1.3981999507e-3)
    p = p * r + f4(8.3334519073e-3)
    p = p * r + f4(4.1665795894e-2)
    p = p * r + f4(1.6666665459e-1)
    p = p * r + f4(5.0000001201e-1)
    return n, p * (r * r) + r


@_exact
def exp32(x: Any) -> Any:
    """Relative error below 2e-7; 0 below -86.6, just above the subnormal numbers."""
    y = f4(-86.6) if x < f4(-86.6) else x
    y = f4(88.8) if y > f4(88.8) else y
    n, p = _reduced32(y)
    # Half the power twice, since 2^128 is too large for the exponent.
    e = ((p + f4(1)) * two_to(n - f4(1))) * f4(2)
    return f4(0) if x < f4(-86.6) else e


@_exact
def expm132(x: Any) -> Any:
    """``e^x - 1``; relative error below 3e-7, also near zero."""
    y = f4(-18.0) if x < f4(-18.0) else x
    y = f4(88.8) if y > f4(88.8) else y
    n, p = _reduced32(y)
    half = two_to(n - f4(1))
    return (half * p + (half - f4(0.5))) * f4(2)


@_exact
def tanh32(x: Any) -> Any:
    """``m / (m + 2)`` with ``m = e^2|x| - 1``; relative error below 4e-7, also near zero; 1 from 9.1 on."""
    a = -x if x < f4(0) else x
    a = f4(9.1) if a > f4(9.1) else a
    n, p = _reduced32(a + a)
    s = two_to(n)
    m = s * p + (s - f4(1))
    t = m / (m + f4(2))
    return -t if x < f4(0) else t


@_exact
def erf32(x: Any) -> Any:
    """Absolute error below 3e-7: a rational function of x^2, clamped at 4, where float32 knows only 1."""
    y = f4(-4.0) if x < f4(-4.0) else x
    y = f4(4.0) if y > f4(4.0) else y
    z = y * y
    p = f4(-2.72614225801306e-10)
    p = p * z + f4(2.77068142495902e-08)
    p = p * z + f4(-2.10102402082508e-06)
    p = p * z + f4(-5.69250639462346e-05)
    p = p * z + f4(-7.34990630326855e-04)
    p = p * z + f4(-2.95459980854025e-03)
    p = p * z + f4(-1.60960333262415e-02)
    q = f4(-1.45660718464996e-05)
    q = q * z + f4(-2.13374055278905e-04)
    q = q * z + f4(-1.68282697438203e-03)
    q = q * z + f4(-7.37332916720468e-03)
    q = q * z + f4(-1.42647390514189e-02)
    return y * p / q


@_exact
def _reduced64(x: Any) -> Any:
    """``n, e^r - 1``: Taylor to degree 13 on |r| < 0.3466, remainder below 5e-18."""
    n = floor(x * 1.4426950408889634 + 0.5)
    r = x - n * 6.93145751953125e-1
    r = r - n * 1.42860682030941723212e-6
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    return n, p * (r * r) + r


@_exact
def exp64(x: Any) -> Any:
    """Relative error below 5e-16; 0 below -707."""
    y = -707.0 if x < -707.0 else x
    y = 710.0 if y > 710.0 else y
    n, p = _reduced64(y)
    e = ((p + 1.0) * two_to(n - 1.0)) * 2.0
    return 0.0 if x < -707.0 else e


@_exact
def expm164(x: Any) -> Any:
    """``e^x - 1``; relative error below 5e-16, also near zero."""
    y = -40.0 if x < -40.0 else x
    y = 710.0 if y > 710.0 else y
    n, p = _reduced64(y)
    half = two_to(n - 1.0)
    return (half * p + (half - 0.5)) * 2.0


@_exact
def tanh64(x: Any) -> Any:
    """Relative error below 4e-16: as ``1 - 2 / (e^2x + 1)``, near zero as ``m / (m + 2)`` with ``m = e^2x - 1``."""
    a = -x if x < 0.0 else x
    b = 20.0 if a > 20.0 else a
    n, q = _reduced64(b + b)
    s = two_to(n)
    m = s * q + (s - 1.0)
    t = m / (m + 2.0)
    return -t if x < 0.0 else t


@_exact
def _erf64(x: Any) -> Any:
    return math.erf(x)


@_exact
def _log(x: Any) -> Any:
    return math.log(x) if x > 0 else (-np.inf if x == 0 else np.nan)


@_exact
def _log1p(x: Any) -> Any:
    return math.log1p(x)


@_exact
def _sqrt(x: Any) -> Any:
    return np.sqrt(x)


def _implement(name: Any, single: Any, double: Any) -> None:
    @overload(name, jit_options={"fastmath": EXACT, "error_model": "numpy"}, strict=False)
    def implementation(x: Any) -> Any:
        if x == types.float32:
            return lambda x: single(x)
        return lambda x: double(x)


_implement(scalar.exp, exp32, exp64)
_implement(scalar.expm1, expm132, expm164)
_implement(scalar.tanh, tanh32, tanh64)
_implement(scalar.erf, erf32, _erf64)
_implement(scalar.log, _log, _log)
_implement(scalar.log1p, _log1p, _log1p)
_implement(scalar.sqrt, _sqrt, _sqrt)


@overload(scalar.sign, strict=False)
def _sign(x: Any) -> Any:
    one = f4(1) if x == types.float32 else 1.0
    zero = f4(0) if x == types.float32 else 0.0
    return lambda x: one if x > zero else (-one if x < zero else (zero if x == zero else x))


# Written so that a NaN in the first argument stays: every comparison with NaN is false.
@overload(scalar.maximum, strict=False)
def _maximum(x: Any, y: Any) -> Any:
    return lambda x, y: y if x < y else x


@overload(scalar.minimum, strict=False)
def _minimum(x: Any, y: Any) -> Any:
    return lambda x, y: y if x > y else x


@overload(scalar.where, strict=False)
def _where(condition: Any, x: Any, y: Any) -> Any:
    return lambda condition, x, y: x if condition else y


@once
def formula(function: Any, dtype: str) -> Any:
    """Compiles a formula of :mod:`gradsim.nn` for scalars of "float32" or "float64".

    Its constants, also those it names as globals of its module, take on the number format: left as Python floats
    they would widen every operation to float64.
    """
    code = function.__code__
    kind = np.dtype(dtype).type

    def narrowed(value: Any) -> Any:
        return kind(value) if isinstance(value, float) else value

    names = set(code.co_names)
    made = python_types.FunctionType(
        code.replace(co_consts=tuple(map(narrowed, code.co_consts))),
        {name: narrowed(value) for name, value in function.__globals__.items() if name in names},
        function.__name__,
        None,
        function.__closure__,
    )
    return inline(made)

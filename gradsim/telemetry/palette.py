"""The colours of the classes, for every place that shows them: 256 x RGB per theme.

The scales are straight lines in OKLab (B. Ottosson, "A perceptual color space for image processing", 2020)
from the neutral colour to one anchor at each end, so equal steps of the index look equally large. Blue is
vanishing, red is exploding: the pair that the common kinds of colour blindness keep apart, since it differs
along blue-yellow too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gradsim.telemetry.classes import LEVELS, MIDDLE, Special

Table = NDArray[np.uint8]
ThemeName = Literal["light", "dark", "projector"]
Lab = tuple[float, float, float]
Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Theme:
    """Anchors in OKLab (L 0..1, a, b) and the colours of the special classes in sRGB."""

    vanishing: Lab
    neutral: Lab
    exploding: Lab
    much: Lab
    """The far end of a sequential scale."""
    special: Mapping[Special, Rgb]


# NaN is magenta and Inf is amber on every background: both stand out from blue, white and red, and from
# each other in lightness. Zero is black (white where the background is black), frozen and none are greys.
THEMES: Mapping[ThemeName, Theme] = {
    "light": Theme(
        vanishing=(0.42, -0.03, -0.173),
        neutral=(0.97, 0.0, 0.0),
        exploding=(0.48, 0.165, 0.090),
        much=(0.42, -0.075, 0.005),
        special={
            Special.EMPTY: (255, 255, 255),
            Special.ZERO: (0, 0, 0),
            Special.SUBNORMAL: (58, 36, 84),
            Special.INFINITE: (255, 176, 0),
            Special.NAN: (230, 0, 200),
            Special.NONE: (228, 228, 228),
            Special.FROZEN: (160, 160, 160),
        },
    ),
    "dark": Theme(
        vanishing=(0.72, -0.045, -0.135),
        neutral=(0.30, 0.0, 0.0),
        exploding=(0.70, 0.150, 0.080),
        much=(0.80, -0.100, 0.020),
        special={
            Special.EMPTY: (18, 18, 18),
            Special.ZERO: (0, 0, 0),
            Special.SUBNORMAL: (84, 60, 116),
            Special.INFINITE: (255, 205, 60),
            Special.NAN: (255, 60, 225),
            Special.NONE: (30, 30, 30),
            Special.FROZEN: (112, 112, 112),
        },
    ),
    "projector": Theme(
        vanishing=(0.34, -0.02, -0.180),
        neutral=(1.0, 0.0, 0.0),
        exploding=(0.42, 0.150, 0.080),
        much=(0.32, -0.060, 0.010),
        special={
            Special.EMPTY: (255, 255, 255),
            Special.ZERO: (0, 0, 0),
            Special.SUBNORMAL: (70, 30, 100),
            Special.INFINITE: (255, 170, 0),
            Special.NAN: (220, 0, 190),
            Special.NONE: (222, 222, 222),
            Special.FROZEN: (140, 140, 140),
        },
    ),
}

LMS_FROM_LAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
RGB_FROM_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def linear_from_oklab(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear sRGB (..., 3) from OKLab (..., 3); outside [0, 1] where sRGB can not show the colour."""
    lms = (lab @ LMS_FROM_LAB.T) ** 3
    linear: NDArray[np.float64] = lms @ RGB_FROM_LMS.T
    return linear


def encoded(linear: NDArray[np.float64]) -> Table:
    """sRGB bytes from linear sRGB (IEC 61966-2-1)."""
    x = np.clip(linear, 0.0, 1.0)
    curve = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    levels: Table = np.rint(curve * 255).astype(np.uint8)
    return levels


def decoded(rgb: Table) -> NDArray[np.float64]:
    """Linear sRGB from sRGB bytes (IEC 61966-2-1)."""
    x = np.asarray(rgb, np.float64) / 255
    linear: NDArray[np.float64] = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return linear


def _line(a: Lab, b: Lab, points: int) -> NDArray[np.float64]:
    return np.linspace(np.array(a), np.array(b), points)


@cache
def table(colours: Literal["diverging", "sequential"] = "diverging", theme: ThemeName = "light") -> Table:
    """The lookup table of a kind of scale in a theme: (256, 3) uint8, not writeable."""
    used = THEMES[theme]
    if colours == "diverging":
        below = _line(used.vanishing, used.neutral, MIDDLE + 1)
        above = _line(used.neutral, used.exploding, LEVELS - MIDDLE)
        scale = np.concatenate([below, above[1:]])
    else:
        scale = _line(used.neutral, used.much, LEVELS)
    result = np.zeros((256, 3), np.uint8)
    result[:LEVELS] = encoded(linear_from_oklab(scale))
    for index, rgb in used.special.items():
        result[index] = rgb
    result.flags.writeable = False
    return result


def colour(index: int, colours: Literal["diverging", "sequential"] = "diverging", theme: ThemeName = "light") -> Rgb:
    """One entry of :func:`table`."""
    red, green, blue = table(colours, theme)[index]
    return int(red), int(green), int(blue)

"""What the colours promise: even steps, told apart by colour-blind viewers, in every theme."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from gradsim.telemetry import THEMES, Special, colour, table
from gradsim.telemetry.classes import EXPLODING_FIRST, LEVELS, MIDDLE, VANISHING_LAST
from gradsim.telemetry.palette import LMS_FROM_LAB, RGB_FROM_LMS, ThemeName, decoded, encoded, linear_from_oklab

KINDS: tuple[Literal["diverging", "sequential"], ...] = ("diverging", "sequential")
NAMES: tuple[ThemeName, ...] = get_args(ThemeName)

# Machado, Oliveira, Fernandes: "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009),
# table 1, severity 1.0, on linear sRGB.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# Two colours side by side begin to be told apart at a distance of about 0.02 in OKLab.
JUST_NOTICED = 0.02


def oklab_from_linear(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    lms = np.cbrt(rgb @ np.linalg.inv(RGB_FROM_LMS).T)
    lab: NDArray[np.float64] = lms @ np.linalg.inv(LMS_FROM_LAB).T
    return lab


def seen(rgb: NDArray[np.uint8], sight: str = "normal") -> NDArray[np.float64]:
    return oklab_from_linear(np.clip(decoded(rgb) @ SIGHT[sight].T, 0, 1))


def apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(a - b, axis=-1).min())


def test_that_every_theme_has_every_special_class() -> None:
    assert set(THEMES) == set(NAMES)
    for theme in THEMES.values():
        assert set(theme.special) == set(Special)


@pytest.mark.parametrize("theme", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_that_a_screen_can_show_every_colour_of_the_scale(kind: str, theme: ThemeName) -> None:
    used = THEMES[theme]
    ends = [used.much] if kind == "sequential" else [used.vanishing, used.exploding]
    for end in ends:
        line = linear_from_oklab(np.linspace(np.array(used.neutral), np.array(end), 100))
        assert line.min() > -1e-3
        assert line.max() < 1 + 1e-3


@pytest.mark.parametrize("theme", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_that_equal_distances_of_the_index_look_equal(
    kind: Literal["diverging", "sequential"], theme: ThemeName
) -> None:
    lab = seen(table(kind, theme)[:LEVELS])
    arms = [lab[: MIDDLE + 1], lab[MIDDLE:]] if kind == "diverging" else [lab]
    for arm in arms:
        # Over a twelfth of the way at a time, so that rounding to bytes does not count.
        n = len(arm) // 12
        steps = np.linalg.norm(arm[n:] - arm[:-n], axis=1)
        assert steps.max() / steps.min() < 1.25


@pytest.mark.parametrize("theme", NAMES)
@pytest.mark.parametrize("sight", SIGHT)
def test_that_vanishing_and_exploding_are_told_apart_by_everyone(sight: str, theme: ThemeName) -> None:
    lab = seen(table("diverging", theme)[:LEVELS], sight)
    outwards = np.arange(MIDDLE - VANISHING_LAST, MIDDLE + 1)
    assert apart(lab[MIDDLE - outwards], lab[MIDDLE + outwards]) > 6 * JUST_NOTICED
    # And each of them from what is healthy.
    assert apart(lab[: VANISHING_LAST + 1], lab[MIDDLE]) > 9 * JUST_NOTICED
    assert apart(lab[EXPLODING_FIRST:], lab[MIDDLE]) > 9 * JUST_NOTICED


@pytest.mark.parametrize("theme", NAMES)
def test_that_small_is_blue_and_large_is_red(theme: ThemeName) -> None:
    red, _, blue = colour(0, theme=theme)
    assert blue > red + 100
    red, _, blue = colour(LEVELS - 1, theme=theme)
    assert red > blue + 100
    red, green, blue = colour(MIDDLE, theme=theme)
    assert red == green == blue


@pytest.mark.parametrize("theme", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_that_nan_and_inf_stand_out_of_the_scale_and_the_classes_from_each_other(
    kind: Literal["diverging", "sequential"], theme: ThemeName
) -> None:
    lab = seen(table(kind, theme))
    for special in (Special.NAN, Special.INFINITE):
        assert apart(lab[:LEVELS], lab[special]) > 4 * JUST_NOTICED
    marked = [Special.ZERO, Special.SUBNORMAL, Special.INFINITE, Special.NAN, Special.FROZEN]
    for i, one in enumerate(marked):
        for other in marked[i + 1 :]:
            assert apart(lab[one], lab[other]) > 4 * JUST_NOTICED


def test_that_the_projector_theme_has_the_highest_contrast_on_white() -> None:
    def lightness(theme: ThemeName, index: int) -> float:
        return float(seen(table("diverging", theme)[[index]])[0, 0])

    assert colour(MIDDLE, theme="projector") == (255, 255, 255)
    for index in (0, VANISHING_LAST, EXPLODING_FIRST, LEVELS - 1):
        assert 1 - lightness("projector", index) > lightness("light", MIDDLE) - lightness("light", index) + 0.05


def test_that_the_conversions_are_inverse_and_white_is_white() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (200, 3), dtype=np.uint8)
    np.testing.assert_array_equal(encoded(linear_from_oklab(oklab_from_linear(decoded(rgb)))), rgb)
    np.testing.assert_allclose(oklab_from_linear(np.ones(3)), [1, 0, 0], atol=1e-6)
    # Ottosson's own example: XYZ of the unit red is OKLab (0.628, 0.225, 0.126).
    np.testing.assert_allclose(oklab_from_linear(np.array([1.0, 0, 0])), [0.628, 0.225, 0.126], atol=1e-3)


def test_that_a_table_is_shared_and_cannot_be_changed() -> None:
    assert table("diverging", "dark") is table("diverging", "dark")
    assert table().shape == (256, 3)
    with pytest.raises(ValueError, match="read-only"):
        table()[0] = 0

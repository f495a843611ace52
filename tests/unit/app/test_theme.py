from __future__ import annotations

import pytest
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.telemetry.classes import State

pytestmark = pytest.mark.usefixtures("plain_look", "qapp")


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [value / 255 for value in QColor(colour).toTuple()[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio (WCAG 2.2)."""
    a, b = sorted((luminance(one), luminance(other)))
    return (b + 0.05) / (a + 0.05)


@pytest.mark.parametrize("look", theme.THEMES.values(), ids=lambda look: look.name)
def test_that_text_can_be_read_on_every_background(look: theme.Theme) -> None:
    for background in (look.window, look.surface, look.plot, look.raised, look.selection):
        assert contrast(look.text, background) >= 7
    for background in (look.window, look.surface, look.plot):
        assert contrast(look.muted, background) >= 4.5
        for colour in (look.impossible, look.unwise, look.note, look.good, look.accent):
            assert contrast(colour, background) >= 4.5
    assert contrast(look.on_accent, look.accent) >= 4.5


@pytest.mark.parametrize("look", theme.THEMES.values(), ids=lambda look: look.name)
def test_that_every_curve_stands_out_from_the_plot(look: theme.Theme) -> None:
    for name, colour in look.curves.items():
        # 3:1 is what WCAG asks of graphics; validation is the paler companion of its own curve.
        assert contrast(colour, look.plot) >= (2.4 if name.startswith("val_") else 3), name


def test_that_the_projector_has_the_highest_contrast() -> None:
    assert contrast(theme.PROJECTOR.text, theme.PROJECTOR.window) == pytest.approx(21)
    assert theme.PROJECTOR.line_width > theme.LIGHT.line_width
    assert theme.PROJECTOR.font_scale > theme.LIGHT.font_scale


def test_that_a_choice_is_told_once(qtbot: QtBot) -> None:
    theme.set_choice("light")
    with qtbot.waitSignal(theme.changed):
        theme.set_choice("dark")
    assert theme.current() is theme.DARK
    with qtbot.assertNotEmitted(theme.changed):
        theme.set_choice("dark")


def test_that_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="light, dark, projector"):
        theme.set_choice("neon")  # type: ignore[arg-type]


def test_that_zoom_reaches_fonts_and_pixels() -> None:
    theme.set_zoom(100)
    before = theme.font().pointSizeF()
    theme.set_zoom(200)
    assert theme.px(10) == 20
    assert theme.font().pointSizeF() == pytest.approx(2 * before)
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    assert application.font().pointSizeF() == pytest.approx(2 * before)


def test_that_zoom_goes_in_steps_and_stops_at_the_ends() -> None:
    theme.set_zoom(100)
    theme.zoom_by(1)
    assert theme.zoom() == 110
    theme.zoom_by(-2)
    assert theme.zoom() == 90
    theme.zoom_by(-50)
    assert theme.zoom() == theme.ZOOM_STEPS[0]
    theme.set_zoom(10_000)
    assert theme.zoom() == theme.ZOOM_STEPS[-1]


def test_that_colours_of_the_classes_come_from_the_palette() -> None:
    table = theme.LIGHT.table()
    packed = theme.LIGHT.table_argb()
    assert len(packed) == 256
    assert packed[0] == 0xFF000000 | int(table[0][0]) << 16 | int(table[0][1]) << 8 | int(table[0][2])
    vanishing = theme.LIGHT.state_colour(State.VANISHING)
    assert vanishing.blue() > vanishing.red()


def test_that_a_font_that_somebody_changes_stays_his_own(qapp: QApplication) -> None:
    mine = theme.font("small")
    mine.setPixelSize(77)
    assert theme.font("small").pixelSize() != 77


def test_that_the_fonts_follow_the_zoom(qapp: QApplication) -> None:
    before = theme.font("small").pointSizeF()
    theme.set_zoom(200)
    try:
        assert theme.font("small").pointSizeF() == pytest.approx(2 * before, rel=0.01)
    finally:
        theme.set_zoom(100)

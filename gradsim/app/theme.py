"""Colours, fonts and sizes of the window: light, dark, and one for a bad projector.

``theme.current()`` gives the :class:`Theme` in use, ``theme.changed`` tells when it (or the zoom) has changed. Who
paints takes every colour from here and the colours of the classes from :meth:`Theme.table`; who sizes something in
pixels takes it through :func:`px`, so that the zoom reaches it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from gradsim.resources import resource
from gradsim.telemetry import palette
from gradsim.telemetry.classes import MARKS, State

Choice = Literal["system", "light", "dark", "projector"]
CHOICES: tuple[Choice, ...] = ("system", "light", "dark", "projector")
Size = Literal["tiny", "small", "normal", "large", "title"]

ZOOM_STEPS = (70, 80, 90, 100, 110, 125, 150, 175, 200, 250, 300)
"""Per cent; Ctrl+plus and Ctrl+minus go from one to the next."""


@dataclasses.dataclass(frozen=True)
class Theme:
    """One look. Colours are ``#rrggbb``.

    Attributes:
        window: Behind everything.
        surface: Cards, panels, fields.
        plot: Background of pictures.
        raised: A surface under the mouse, a header.
        line: Borders, grid lines, separators.
        text: Main text; at least 7:1 on ``surface``.
        muted: Secondary text; at least 4.5:1 on ``surface``.
        accent: Focus, selection, the main button.
        on_accent: Text on ``accent``.
        selection: Background of selected rows and cards.
        impossible: A problem that can't be started, a failure.
        unwise: A problem that can be started.
        note: Worth knowing.
        good: All is well.
        curves: Loss, accuracy, validation loss, validation accuracy, global norm, and more lines of a plot.
        band: What a quantity did recently, behind its present value.
        line_width: Of curves, in pixels at 100 % zoom.
        font_scale: A projector's text is larger.
    """

    name: palette.ThemeName
    window: str
    surface: str
    plot: str
    raised: str
    line: str
    text: str
    muted: str
    accent: str
    on_accent: str
    selection: str
    impossible: str
    unwise: str
    note: str
    good: str
    curves: Mapping[str, str]
    band: str
    line_width: float
    font_scale: float

    def table(self, colours: Literal["diverging", "sequential"] = "diverging") -> palette.Table:
        """Colours of the classes (:func:`gradsim.telemetry.classes.classify`), ``(256, 3)`` uint8."""
        return palette.table(colours, self.name)

    def table_argb(self, colours: Literal["diverging", "sequential"] = "diverging") -> list[int]:
        """The same as a colour table of a ``QImage`` of format Indexed8."""
        rgb = self.table(colours).astype(np.uint32)
        return [int(value) for value in 0xFF000000 | rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]]

    def class_colour(self, index: int, colours: Literal["diverging", "sequential"] = "diverging") -> QColor:
        """One entry of :meth:`table`."""
        return QColor(*palette.colour(int(index), colours, self.name))

    def state_colour(self, state: State) -> QColor:
        """The colour that stands for a state, as beside its glyph in ``MARKS``."""
        return self.class_colour(MARKS[state].index)

    def severity_colour(self, severity: str) -> QColor:
        """Of a problem: "impossible", "unwise" or "note"."""
        return QColor({"impossible": self.impossible, "unwise": self.unwise}.get(severity, self.note))

    def curve(self, key: str) -> QColor:
        """Of a named line: "loss", "val_loss", "accuracy", "val_accuracy", "global_gradient_norm", "raw", ..."""
        return QColor(self.curves.get(key, self.accent))

    @property
    def dark(self) -> bool:
        """True if text is light on dark."""
        return QColor(self.window).lightness() < 128


LIGHT = Theme(
    name="light",
    window="#f3f3f1",
    surface="#ffffff",
    plot="#ffffff",
    raised="#e9e9e6",
    line="#cfcfcb",
    text="#1b1b1a",
    muted="#5c5c58",
    accent="#0b57a4",
    on_accent="#ffffff",
    selection="#d6e6f7",
    impossible="#b3261e",
    unwise="#8a5300",
    note="#44546a",
    good="#1d6b3a",
    curves={
        "loss": "#0b57a4",
        "val_loss": "#6aa3dc",
        "accuracy": "#1d6b3a",
        "val_accuracy": "#67b284",
        "global_gradient_norm": "#8a3ca8",
        "raw": "#8a3ca8",
        "clipped": "#a8560b",
        "applied": "#0b57a4",
        "cosine": "#1d6b3a",
        "theory": "#00707a",
        "learning_rate": "#a8560b",
        "twin_0": "#0b57a4",
        "twin_1": "#b3540b",
        "twin_2": "#1d6b3a",
        "twin_3": "#8a3ca8",
    },
    band="#b9cfe6",
    line_width=1.6,
    font_scale=1.0,
)

DARK = Theme(
    name="dark",
    window="#1c1d1f",
    surface="#26282b",
    plot="#121212",
    raised="#33363a",
    line="#46494e",
    text="#ececea",
    muted="#a9adb3",
    accent="#7db7f2",
    on_accent="#0c1a28",
    selection="#27405a",
    impossible="#ff8a80",
    unwise="#f0b95c",
    note="#a9bdd6",
    good="#7fd39b",
    curves={
        "loss": "#7db7f2",
        "val_loss": "#4a7fb3",
        "accuracy": "#7fd39b",
        "val_accuracy": "#4c8f63",
        "global_gradient_norm": "#d59cf0",
        "raw": "#d59cf0",
        "clipped": "#f0b95c",
        "applied": "#7db7f2",
        "cosine": "#7fd39b",
        "theory": "#6fe0e6",
        "learning_rate": "#f0b95c",
        "twin_0": "#7db7f2",
        "twin_1": "#f0b95c",
        "twin_2": "#7fd39b",
        "twin_3": "#d59cf0",
    },
    band="#34506e",
    line_width=1.6,
    font_scale=1.0,
)

PROJECTOR = Theme(
    name="projector",
    window="#ffffff",
    surface="#ffffff",
    plot="#ffffff",
    raised="#e4e4e4",
    line="#767676",
    text="#000000",
    muted="#2e2e2e",
    accent="#00348a",
    on_accent="#ffffff",
    selection="#b8d4ff",
    impossible="#a00000",
    unwise="#6b3a00",
    note="#20304a",
    good="#00501e",
    curves={
        "loss": "#00348a",
        "val_loss": "#3f7fe0",
        "accuracy": "#00501e",
        "val_accuracy": "#2f9a55",
        "global_gradient_norm": "#7a0096",
        "raw": "#7a0096",
        "clipped": "#a04000",
        "applied": "#00348a",
        "cosine": "#00501e",
        "theory": "#005a63",
        "learning_rate": "#a04000",
        "twin_0": "#00348a",
        "twin_1": "#a04000",
        "twin_2": "#00501e",
        "twin_3": "#7a0096",
    },
    band="#a9c4ea",
    line_width=2.6,
    font_scale=1.15,
)

PRESENTED_DARK = dataclasses.replace(
    DARK,
    window="#000000",
    surface="#141516",
    plot="#000000",
    text="#ffffff",
    muted="#d2d5d9",
    line="#8a8f96",
    line_width=PROJECTOR.line_width,
    font_scale=PROJECTOR.font_scale,
)
"""Who works in the dark presents in the dark, with a projector's contrast and widths."""

THEMES: Mapping[str, Theme] = {theme.name: theme for theme in (LIGHT, DARK, PROJECTOR)}

_SIZES: Mapping[Size, float] = {"tiny": 0.78, "small": 0.88, "normal": 1.0, "large": 1.15, "title": 1.35}


class _Themes(QObject):
    """What is chosen; one for the process, as there is one palette for the process."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.choice: Choice = "system"
        self.zoom = 100
        self.presenting: int | None = None
        self.base_points = 0.0
        self.family = ""
        self.further: list[str] = []
        self.installed = False
        self.fonts: dict[tuple[object, ...], QFont] = {}
        # Asked of Qt with every colour that is painted otherwise.
        self._dark: bool | None = None

    def chosen(self) -> Theme:
        if self.choice != "system":
            return THEMES[self.choice]
        dark = self._dark
        if dark is None:
            app = QGuiApplication.instance()
            dark = isinstance(app, QGuiApplication) and app.styleHints().colorScheme() == Qt.ColorScheme.Dark
            if self.installed:
                self._dark = dark
        return DARK if dark else LIGHT

    def theme(self) -> Theme:
        chosen = self.chosen()
        if self.presenting is None:
            return chosen
        return PRESENTED_DARK if chosen.dark else PROJECTOR

    def system_changed(self, *_: object) -> None:
        self._dark = None
        if self.choice == "system":
            apply()


_themes = _Themes()
changed = _themes.changed
"""Emitted after the theme or the zoom has changed: colours, fonts and pixel sizes are to be taken anew."""


def current() -> Theme:
    """The theme in use."""
    return _themes.theme()


def choice() -> Choice:
    """What the user chose; "system" follows the desktop's light or dark."""
    return _themes.choice


def set_choice(wanted: Choice) -> None:
    """Chooses a theme."""
    if wanted not in CHOICES:
        raise ValueError(f"theme: must be one of {', '.join(CHOICES)} (received {wanted!r})")
    if wanted != _themes.choice:
        _themes.choice = wanted
        apply()


def zoom() -> int:
    """Size of everything, in per cent; while presenting, the audience's."""
    return _themes.zoom if _themes.presenting is None else _themes.presenting


def chosen_zoom() -> int:
    """The size that the user works with, also while something is presented."""
    return _themes.zoom


def set_zoom(percent: int) -> None:
    """Sets the size of everything; kept between the ends of ``ZOOM_STEPS``. While presenting, only the audience's."""
    percent = max(ZOOM_STEPS[0], min(ZOOM_STEPS[-1], int(percent)))
    if percent == zoom():
        return
    if _themes.presenting is None:
        _themes.zoom = percent
    else:
        _themes.presenting = percent
    apply()


def present(percent: int | None) -> None:
    """Shows everything with a projector's contrast and widths at this size; None ends it.

    What the user chose stays chosen: :func:`choice` and :func:`chosen_zoom` give it all the while.
    """
    if percent is not None:
        percent = max(ZOOM_STEPS[0], min(ZOOM_STEPS[-1], int(percent)))
    if percent != _themes.presenting:
        _themes.presenting = percent
        apply()


def zoom_by(steps: int) -> None:
    """Goes to the next larger (or smaller) zoom."""
    nearest = min(range(len(ZOOM_STEPS)), key=lambda i: abs(ZOOM_STEPS[i] - zoom()))
    set_zoom(ZOOM_STEPS[max(0, min(len(ZOOM_STEPS) - 1, nearest + steps))])


@contextlib.contextmanager
def worn(wanted: Choice | None = None, percent: int = 100) -> Iterator[Theme]:
    """Within the block a theme and a zoom are the ones in use, without anybody being told: for pictures of widgets
    that are made and painted in the block and not shown.

    Args:
        wanted: None is the one in use.
    """
    before = _themes.choice, _themes.zoom
    _themes.choice, _themes.zoom = wanted or _themes.choice, percent
    try:
        yield current()
    finally:
        _themes.choice, _themes.zoom = before


def px(pixels: float) -> int:
    """A length given for 100 % zoom, in pixels now (device-independent ones)."""
    return max(1, round(pixels * zoom() / 100))


def line_width(factor: float = 1.0) -> float:
    """Width of a curve in pixels."""
    return current().line_width * factor * zoom() / 100


def font(size: Size = "normal", *, bold: bool = False, fixed: bool = False) -> QFont:
    """The font of the window in one of its sizes; ``fixed`` has digits of one width for numbers that change."""
    points = max(1.0, _points() * _SIZES[size])
    key = points, bold, fixed
    if key in _themes.fonts:
        return QFont(_themes.fonts[key])
    app = QApplication.instance()
    made = QFont(app.font()) if isinstance(app, QApplication) else QFont()
    if fixed:
        # Digits that do not jump: figures of equal width in the same face where it has them.
        made.setStyleHint(QFont.StyleHint.SansSerif)
        made.setFeature(QFont.Tag("tnum"), 1)
    made.setPointSizeF(points)
    made.setBold(bold)
    if _themes.installed:
        _themes.fonts[key] = QFont(made)
    return made


def _points() -> float:
    return _themes.base_points * current().font_scale * zoom() / 100


def install(app: QApplication) -> None:
    """Gives an application its look, and follows the system's light and dark from now on."""
    app.setStyle(QStyleFactory.create("Fusion"))
    general = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    points = general.pointSizeF() if general.pointSizeF() > 0 else 10.0
    _themes.base_points = max(9.0, min(points, 12.0))
    _themes.family = general.family()
    app.styleHints().colorSchemeChanged.connect(_themes.system_changed)
    _themes.installed = True
    apply()


CHINESE = "gradsim Sans SC"
"""The font that comes along for Chinese, so that no system shows boxes."""


def use_script(script: Literal["latin", "chinese"]) -> None:
    """Has characters at hand that the system's font may lack; takes effect where fonts are made from now on."""
    wanted = [CHINESE] if script == "chinese" else []
    if wanted == _themes.further:
        return
    if wanted:
        load_chinese()
    _themes.further = wanted
    apply()


def load_chinese() -> None:
    """Makes the Chinese font known; every text that lacks a character finds it there."""
    if CHINESE not in QFontDatabase.families():
        for style in ("regular", "bold"):
            QFontDatabase.addApplicationFont(str(resource(f"fonts/gradsim-sans-sc-{style}.otf")))


def apply() -> None:
    """Sets palette, font and style sheet of the application, if there is one, and tells everybody."""
    app = QApplication.instance()
    if isinstance(app, QApplication):
        used = current()
        if not _themes.base_points:
            _themes.base_points = 10.0
        whole = QFont(app.font())
        # What is Latin stays in the system's own font.
        whole.setFamilies([_themes.family or whole.family(), *_themes.further])
        whole.setPointSizeF(_points())
        app.setFont(whole)
        app.setPalette(qpalette(used))
        app.setStyleSheet(style_sheet(used))
    _themes.fonts.clear()
    _themes.changed.emit()


def qpalette(used: Theme) -> QPalette:
    """A theme as Qt's palette."""
    made = QPalette()
    role = QPalette.ColorRole
    colours: dict[Any, str] = {
        role.Window: used.window,
        role.WindowText: used.text,
        role.Base: used.surface,
        role.AlternateBase: used.raised,
        role.Text: used.text,
        role.PlaceholderText: used.muted,
        role.Button: used.raised,
        role.ButtonText: used.text,
        role.BrightText: used.impossible,
        role.ToolTipBase: used.surface,
        role.ToolTipText: used.text,
        role.Highlight: used.accent,
        role.HighlightedText: used.on_accent,
        role.Link: used.accent,
        role.Light: used.surface,
        role.Midlight: used.raised,
        role.Mid: used.line,
        role.Dark: used.muted,
        role.Shadow: used.text,
    }
    for which, value in colours.items():
        made.setColor(which, QColor(value))
    faded = QColor(used.muted)
    for which in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        made.setColor(QPalette.ColorGroup.Disabled, which, faded)
    made.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(used.line))
    return made


def style_sheet(used: Theme) -> str:
    """The few rules that a palette can't say."""
    return f"""
    QToolTip {{ color: {used.text}; background: {used.surface}; border: 1px solid {used.line}; padding: {px(4)}px; }}
    QSplitter::handle {{ background: {used.window}; }}
    QSplitter::handle:hover {{ background: {used.accent}; }}
    QToolBar {{ border: none; spacing: {px(4)}px; padding: {px(3)}px; background: {used.window}; }}
    QToolButton {{ border: 1px solid transparent; border-radius: {px(4)}px; padding: {px(3)}px {px(6)}px; }}
    QToolButton:hover {{ background: {used.raised}; border-color: {used.line}; }}
    QToolButton:checked {{ background: {used.selection}; border-color: {used.accent}; }}
    QToolButton:focus {{ border-color: {used.accent}; }}
    QStatusBar::item {{ border: none; }}
    QTabBar::tab {{ padding: {px(5)}px {px(9)}px; border: none; border-bottom: 2px solid transparent;
                    color: {used.muted}; background: transparent; }}
    QTabBar::tab:selected {{ color: {used.text}; border-bottom-color: {used.accent}; }}
    QTabBar::tab:hover {{ color: {used.text}; }}
    QTabBar::tab:focus {{ border-bottom-color: {used.text}; }}
    QTabWidget::pane {{ border: none; border-top: 1px solid {used.line}; }}
    QScrollArea {{ border: none; }}
    """

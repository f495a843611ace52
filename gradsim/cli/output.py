"""What all commands print with."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from gradsim.cli import codes
from gradsim.i18n import tr, tr_n
from gradsim.model.faults import SHOWN
from gradsim.nn.spec import Fault
from gradsim.telemetry import MARKS, State, colour

PIPE_WIDTH = 120
"""Columns of a table that goes to a file or another program."""


def console(stderr: bool = False) -> Console:
    """A console that leaves texts as they are; not on a terminal it has one width everywhere."""
    found = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not found.is_terminal:
        found.width = PIPE_WIDTH
    return found


def refuse(what: str, faults: Sequence[Fault]) -> int:
    """Says on stderr everything that is wrong; gives the exit code."""
    count = tr_n("{n} fault", "{n} faults", len(faults))
    lines = [tr("gradsim: {what} can't be used: {count}", what=what, count=count)]
    lines += [f"  {fault}" for fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        lines.append("  " + tr("... and {n} more", n=len(faults) - SHOWN))
    sys.stderr.write("\n".join(lines) + "\n")
    return codes.BAD_INPUT


def table(*columns: tuple[str, str]) -> Table:
    """A table with columns of (title, "left" or "right"); titles are as in the source and shown translated."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title, side in columns:
        made.add_column(tr(title), justify="right" if side == "right" else "left", no_wrap=title not in WRAPPING)
    return made


WRAPPING = ("", "what it is", "title", "fields")
"""Titles of columns whose texts may go on in the next line."""


def painted(text: str, index: int) -> Text:
    """A text on the colour that the window gives to a class."""
    red, green, blue = colour(index)
    # Relative luminance decides whether black or white can be read on it (ITU-R BT.709 weights).
    bright = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 128
    style = Style(color="black" if bright else "bright_white", bgcolor=f"rgb({red},{green},{blue})")
    return Text(f" {text} ", style=style)


def state_text(state: State) -> Text:
    """A state with its mark, on its colour: readable without colour too."""
    mark = MARKS[state]
    if state is State.NONE:
        return Text()
    return painted(f"{mark.glyph} {tr(state.value)}", mark.index)


def number(value: float) -> str:
    """A value of a table: three digits, or nothing where a layer has no such thing."""
    return "" if value != value else f"{value:.2e}"

"""The window. The only room that imports Qt."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] = ()) -> int:
    """Opens the window, with a file in it if one is named, and gives the exit code."""
    # Here, so that naming the window loads no Qt: without it the commands work all the same.
    from gradsim.app.start import main as start

    return start(argv)


def view(path: str) -> int:
    """Opens a window with a recording, which may still grow, and gives the exit code."""
    from gradsim.app.start import view as start

    return start(path)

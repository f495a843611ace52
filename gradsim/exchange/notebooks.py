"""Jupyter notebooks: the code of their cells as one text whose places still name the cell."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable
from typing import Any

from gradsim.exchange.results import ImportFault, Notes, Place
from gradsim.i18n import tr
from gradsim.nn.spec import MISSING, Fault

MAX_BYTES = 64 * 2**20
"""Pictures among the outputs make notebooks large; the code in them is bounded on its own."""

_MAGIC = re.compile(r"(\s*)([%!?]|\w[\w. ,()\[\]'\"]*=\s*[!%]|[\w.]+\?+\s*$)")


def code_of(source: str, filename: str, notes: Notes) -> tuple[str, Callable[[int, int], Place]]:
    """The code of a file, and where its lines and columns really stand.

    Raises:
        ImportFault: if a notebook is none.
    """
    if not filename.lower().endswith(".ipynb"):
        whole = source.removeprefix("\ufeff")
        # A part copied out of a function is indented as a whole.
        margin = min((len(line) - len(line.lstrip()) for line in whole.splitlines() if line.strip()), default=0)
        return textwrap.dedent(whole) if margin else whole, lambda line, column: Place(line, column + margin)
    lines: list[str] = []
    places: list[tuple[int, int]] = []
    for number, cell in _cells(source):
        text = cell.splitlines()
        if text and text[0].startswith("%%") and not text[0].startswith(("%%time", "%%capture")):
            notes.add(Place(1, 1, number), tr("the cell is for {command} and is left out", command=text[0].split()[0]))
            continue
        for line, words in enumerate(text, 1):
            magic = _MAGIC.match(words)
            if magic:
                notes.add(
                    Place(line, 1, number),
                    tr("{command}: a command of the notebook, left out", command=words.strip()[:60]),
                )
                words = f"{magic[1]}pass"
            lines.append(words)
            places.append((number, line))
    return "\n".join(lines) + "\n", lambda line, column: _place(places, line, column)


def _place(places: list[tuple[int, int]], line: int, column: int) -> Place:
    cell, inner = places[min(line, len(places)) - 1] if places else (0, line)
    return Place(inner, column, cell)


def _cells(source: str) -> list[tuple[int, str]]:
    def fault(message: str) -> ImportFault:
        return ImportFault([Fault(tr("the notebook"), message, MISSING)])

    if len(source) > MAX_BYTES:
        raise fault(tr("must be at most {limit} MiB long", limit=MAX_BYTES // 2**20))
    try:
        content: Any = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise fault(tr("must be a Jupyter notebook (JSON): {reason}", reason=error)) from None
    cells = content.get("cells") if isinstance(content, dict) else None
    if cells is None and isinstance(content, dict) and isinstance(content.get("worksheets"), list):
        cells = [
            cell for sheet in content["worksheets"] if isinstance(sheet, dict) for cell in sheet.get("cells") or []
        ]
    if not isinstance(cells, list):
        raise fault(tr("must be a Jupyter notebook with cells"))
    found = []
    for number, cell in enumerate(cells, 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            text = cell.get("source", cell.get("input", ""))
            if isinstance(text, list) and all(isinstance(line, str) for line in text):
                text = "".join(text)
            if not isinstance(text, str):
                raise fault(tr("cell {n}: its source must be text", n=number))
            found.append((number, text))
    return found

"""Older `.gradsim` formats brought up to date, one step per version.

A format that changes gets a new number, a module here (``to_2.py`` with a function ``migrate``) and a line in
``STEPS``. A migration turns the plain JSON object of one version into that of the next and imports nothing of
the
program: the program's own classes go on changing, a file from last year doesn't.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from gradsim.i18n import tr

Content = dict[str, Any]
Step = Callable[[Content], Content]

CURRENT = 1
"""The format that this program writes."""

STEPS: Mapping[int, Step] = {}
"""The step that leads to a version from the one before it."""

KEY = "gradsim"
"""The field of a file that holds its version."""


def migrate(content: Content, steps: Mapping[int, Step] = STEPS, current: int = CURRENT) -> Content:
    """The same content in the current format; what was given stays as it is.

    Args:
        content: A file's JSON object, with a whole number under ``KEY``.
        steps: For each version the step that leads to it.
        current: The version to reach.

    Raises:
        LookupError: if the version is newer than ``current``, or no step leads on from it.
        Exception: whatever a step raises on content that its version never had.
    """
    version = content[KEY]
    if version > current:
        raise LookupError(
            tr(
                "must be at most {current}: the file was written by a newer gradsim; update gradsim to open it",
                current=current,
            )
        )
    if version < current:
        content = copy.deepcopy(content)
    while version < current:
        version += 1
        if version not in steps:
            oldest = min((known - 1 for known in steps), default=current)
            if oldest < current:
                raise LookupError(tr("must be {oldest} to {current}", oldest=oldest, current=current))
            raise LookupError(tr("must be {current}", current=current))
        content = {**steps[version](content), KEY: version}
    return content

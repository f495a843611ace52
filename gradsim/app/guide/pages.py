"""The pages of the guide, and the places in them that follow the window: keys, commands, words on buttons.

A page is Markdown in ``resources/guide/LANGUAGE``; ``contents.txt`` beside the languages names the pages in order.
Placeholders keep them true: ``{key:run.play}`` is the key that the command has now, ``{do:run.play}`` its menu and
words, ``{text:Findings}`` a word as the window writes it, ``{keys}`` the table of all keys.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from gradsim import i18n
from gradsim.app.actions import MENUS, VERBS, plain
from gradsim.i18n import tr
from gradsim.resources import resource

FOLDER = "guide"
PLACE = re.compile(r"\{(key|do|text):([^{}]+)\}|\{(keys)\}")
Keys = Callable[[str], Sequence[str]]
"""The keys of a command, as they are read on this system."""

_VERBS = {verb.name: verb for verb in VERBS}


@dataclasses.dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        name: Its file without the suffix: "quick-start".
        source: Markdown with placeholders.
    """

    name: str
    source: str

    @property
    def title(self) -> str:
        """Its first heading."""
        return self.source.lstrip().splitlines()[0].lstrip("# ").strip()

    def markdown(self, keys: Keys) -> str:
        """The text with its placeholders filled in."""
        return PLACE.sub(functools.partial(_filled, keys), self.source)


def names() -> list[str]:
    """Names of all pages, in order."""
    listed: list[str] = resource(f"{FOLDER}/contents.txt").read_text("utf-8").split()
    return listed


def folder(language: str) -> Path:
    """Where the pages of a language are."""
    return resource(f"{FOLDER}/{language}")


def pages(language: str | None = None) -> list[Page]:
    """All pages in a language (None: the one in use), in order."""
    where = folder(language or i18n.language())
    return [Page(name, (where / f"{name}.md").read_text("utf-8")) for name in names()]


def _filled(keys: Keys, match: re.Match[str]) -> str:
    kind, name = match[1] or match[3], match[2]
    match kind:
        case "key":
            found = keys(name)
            return f"`{found[0]}`" if found else tr("(no key)")
        case "do":
            verb = _VERBS[name]
            return f"*{plain(tr(MENUS[verb.menu]))} › {verb.words}*"
        case "text":
            return f"*{plain(tr(name))}*"
    return table(keys)


def table(keys: Keys) -> str:
    """All commands with a key, menu by menu, as Markdown."""
    parts = []
    for menu, title in MENUS.items():
        rows = [
            f"| {verb.words} | {', '.join(f'`{key}`' for key in keys(verb.name))} |"
            for verb in VERBS
            if verb.menu == menu and keys(verb.name)
        ]
        if rows:
            parts.append(f"## {plain(tr(title))}\n\n| {tr('Command')} | {tr('Key')} |\n|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts)

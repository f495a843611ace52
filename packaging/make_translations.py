"""Collects every text that people read, brings the catalogues up to date with them and compiles these.

``make_translations.py`` writes ``resources/locale/LANGUAGE/LC_MESSAGES/gradsim.po`` and ``.mo``; ``--check`` only says
what is missing. A text comes from a call of ``tr``, ``tr_n`` or ``mark``, or from a definition that is shown through
``tr`` somewhere else: a registered spec, a quantity, a verb, a finding, a bundled experiment. What has a translation
keeps it; a text that is no longer there goes. The files hold neither dates nor line numbers, so that two branches that
add texts can be merged.
"""

from __future__ import annotations

import argparse
import ast
import string
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from gradsim import i18n
from gradsim.app import actions, slow, transport, window
from gradsim.app.build import problem_list, run_panel
from gradsim.app.build import verbs as building
from gradsim.diagnose import findings, remedies
from gradsim.engine.runner import PHASES
from gradsim.model import bundled
from gradsim.model.experiment import Experiment
from gradsim.nn.spec import REGISTRIES, fields_of
from gradsim.telemetry import quantities
from gradsim.telemetry.classes import MARKS, State

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "gradsim"
LOCALE = ROOT / "resources" / "locale"
FUNCTIONS = {"tr": 1, "mark": 1, "tr_n": 2}
"""The functions that take texts, and how many."""

Text = str | tuple[str, str]
"""A text, or one for 1 and one for many."""


class UnreadableError(Exception):
    """A call holds a text that can't be translated, such as an f-string."""


# What there is to translate


def wrapped(source: str, name: str) -> Iterator[Text]:
    """The texts that the calls in a source hold.

    Raises:
        UnreadableError: for one that is put together, and so is another text each time.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
            continue
        function = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        count = FUNCTIONS.get(function)
        if count is None or (isinstance(node.func, ast.Attribute) and _owner(node.func) != "i18n"):
            continue
        found = [_constant(argument, f"{name}:{node.lineno}") for argument in node.args[:count]]
        if all(text is not None for text in found):
            texts = [text for text in found if text]
            if len(texts) == count:
                yield (texts[0], texts[1]) if count == 2 else texts[0]


def _owner(attribute: ast.Attribute) -> str:
    return attribute.value.id if isinstance(attribute.value, ast.Name) else ""


def _constant(argument: ast.expr, place: str) -> str | None:
    """A literal; None for an expression that gives a text from a definition."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    if isinstance(argument, ast.JoinedStr | ast.BinOp):
        raise UnreadableError(f"{place}: must be one literal to be translated (received {ast.unparse(argument)})")
    return None


def in_sources() -> Iterator[Text]:
    """The texts of all calls."""
    for path in sorted(SOURCES.rglob("*.py")):
        yield from wrapped(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))


def in_definitions() -> Iterator[str]:
    """The texts that definitions hold."""
    for registry in REGISTRIES.values():
        for spec in registry.values():
            yield spec.summary()
            for attribute in ("title", "category"):
                yield getattr(spec, attribute, "")
            yield from _of_fields(spec)
    yield from _of_fields(Experiment)
    for view in run_panel.CLIPPING.values():
        yield view.title.removeprefix("Clip ")
    for scope in ("step", "layer"):
        for definition in quantities.definitions(scope):
            yield from (definition.title, definition.short, definition.help)
    yield from (state.value for state in State)
    yield from (mark.help for mark in MARKS.values())
    for kind in findings.definitions():
        yield from (kind.title, kind.help)
    for remedy in remedies.REMEDIES.values():
        yield from (remedy.title, remedy.changes, remedy.why)
    for verb in (*actions.VERBS, *building.VERBS):
        yield from (verb.text, verb.tooltip)
    yield from (*actions.MENUS.values(), *actions.SUBMENUS.values())
    yield from window.STATES.values()
    yield from problem_list.WORDS.values()
    yield from (button.text for button in transport.BUTTONS)
    yield from PHASES
    yield from (title for _, title in slow.SHOWN.values())
    for _, title, help_ in run_panel.REGIMES:
        yield from (title, help_)
    for example in bundled.everything():
        yield from (example.title, example.description, example.topic)


def _of_fields(holder: type) -> Iterator[str]:
    for view in fields_of(holder):
        if view.hidden:
            continue
        yield from (view.title, view.help, view.unit)
        # Words are translated; names such as float32 are the same everywhere.
        yield from (choice for choice in view.choices if isinstance(choice, str) and choice.isalpha())


def texts() -> set[Text]:
    """All of them; a text that counts stands for the single one as well."""
    found = {*in_sources(), *(text for text in in_definitions() if _has_words(text))}
    counted = {text[0] for text in found if isinstance(text, tuple)}
    return {text for text in found if isinstance(text, tuple) or text not in counted}


def _has_words(text: str) -> bool:
    return any(character.isalpha() for character in text)


def placeholders(text: str) -> set[str]:
    """The names in braces; none in a text whose braces are just braces."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}
    except ValueError:
        return set()


# The catalogues


class Undated(Catalog):
    """A catalogue whose head says nothing that changes from day to day."""

    def _get_mime_headers(self) -> list[tuple[str, str]]:
        changing = ("POT-Creation-Date", "PO-Revision-Date", "Generated-By", "Last-Translator", "Language-Team")
        return [entry for entry in super()._get_mime_headers() if entry[0] not in changing]

    mime_headers = property(_get_mime_headers, Catalog._set_mime_headers)


def path_of(language: str) -> Path:
    """Where the catalogue of a language lies."""
    return LOCALE / language / "LC_MESSAGES" / "gradsim.po"


def read(language: str) -> Catalog:
    """The catalogue of a language; an empty one if there is none yet."""
    path = path_of(language)
    if not path.is_file():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def key_of(message: Message) -> Text:
    """What a message is found by."""
    return tuple(message.id) if isinstance(message.id, list | tuple) else message.id


def translations(catalogue: Catalog) -> dict[Text, tuple[str, ...]]:
    """What each text of a catalogue is in its language; only what is there."""
    found = {}
    for message in catalogue:
        said = (message.string,) if isinstance(message.string, str) else tuple(message.string)
        if message.id and all(said):
            found[key_of(message)] = said
    return found


def updated(language: str, wanted: Iterable[Text], known: dict[Text, tuple[str, ...]]) -> Catalog:
    """A catalogue of exactly these texts, with the translations that are known."""
    made = Undated(locale=language, project="gradsim", version="1", fuzzy=False)
    made.header_comment = "# What gradsim says, in another language. Written by packaging/make_translations.py."
    for text in sorted(wanted, key=lambda one: one if isinstance(one, str) else one[0]):
        said = known.get(text)
        flags = ["python-brace-format"] if placeholders(text if isinstance(text, str) else text[1]) else []
        if isinstance(text, tuple):
            made.add(text, said or ("",) * made.num_plurals, flags=flags)
        else:
            made.add(text, said[0] if said else "", flags=flags)
    return made


def write(language: str, catalogue: Catalog) -> None:
    """Writes the catalogue and, beside it, what the program reads."""
    path = path_of(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalogue, width=0, no_location=True)
    with path.with_suffix(".mo").open("wb") as file:
        # What counts and has no translation would be written as it stands.
        known = translations(catalogue)
        write_mo(file, updated(language, known, known))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something is missing")
    options = parser.parse_args(arguments)
    missing = 0
    for language in i18n.LANGUAGES:
        if language == i18n.SOURCE:
            continue
        known = translations(read(language))
        wanted = texts()
        untranslated = sorted(wanted - known.keys(), key=str)
        gone = known.keys() - wanted
        missing += len(untranslated)
        print(f"{language}: {len(wanted)} texts, {len(untranslated)} without a translation, {len(gone)} gone")
        for text in untranslated:
            print(f"  {text!r}")
        if not options.check:
            write(language, updated(language, wanted, known))
    return 1 if options.check and missing else 0


if __name__ == "__main__":
    sys.exit(main())

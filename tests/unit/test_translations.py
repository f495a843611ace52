"""The catalogues: complete, true to the source, not too long, and with a glyph for every character."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from PySide6.QtGui import QRawFont
from PySide6.QtWidgets import QApplication

from gradsim import i18n
from gradsim.app.actions import plain
from gradsim.resources import resource

ROOT = Path(__file__).parents[2]
LANGUAGES = [code for code in i18n.LANGUAGES if code != i18n.SOURCE]
SHOWN = {
    "addAction", "addItem", "addMenu", "addRow", "addTab", "drawText", "setAccessibleDescription", "setAccessibleName",
    "setInformativeText", "setLabelText", "setPlaceholderText", "setPrefix", "setSpecialValueText", "setStatusTip",
    "setSuffix", "setText", "setTitle", "setToolTip", "setWhatsThis", "setWindowTitle", "showMessage", "showText",
    "QAction", "QCheckBox", "QGroupBox", "QLabel", "QMenu", "QPushButton", "QRadioButton", "QToolButton",
}  # fmt: skip
"""Calls whose texts a person reads."""
NAMES = {"gradsim", "NaN", "Inf", "px", "MB", "x", "e", "val", "dL", "dW", "W"}
"""Words that are the same in every language."""


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_translations", ROOT / "packaging" / "make_translations.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look themselves up there.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TOOL = _tool()


@pytest.fixture(scope="module", params=LANGUAGES)
def catalogue(request: pytest.FixtureRequest) -> Catalog:
    return TOOL.read(request.param)


@pytest.fixture(scope="module")
def pairs(catalogue: Catalog) -> list[tuple[str, str]]:
    """Every text and its translation."""
    found = []
    for text, said in TOOL.translations(catalogue).items():
        found.append((text if isinstance(text, str) else text[-1], said[-1]))
    return found


def columns(text: str) -> int:
    """Width of a text: a Chinese character is as wide as two Latin letters."""
    text = plain(text)
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def test_that_the_catalogue_holds_what_there_is_to_say_and_nothing_else(catalogue: Catalog) -> None:
    held = {TOOL.key_of(message) for message in catalogue if message.id}
    wanted = TOOL.texts()
    assert sorted(map(str, wanted - held)) == [], "type: python packaging/make_translations.py, then translate"
    assert sorted(map(str, held - wanted)) == [], "type: python packaging/make_translations.py"


def test_that_every_text_is_translated(catalogue: Catalog) -> None:
    known = TOOL.translations(catalogue)
    assert [message.id for message in catalogue if message.id and TOOL.key_of(message) not in known] == []
    assert [message.id for message in catalogue if message.fuzzy and message.id] == []


def test_that_translations_fill_in_the_same_values(pairs: list[tuple[str, str]]) -> None:
    assert [pair for pair in pairs if TOOL.placeholders(pair[0]) != TOOL.placeholders(pair[1])] == []


def test_that_translations_fill_them_in_alike(pairs: list[tuple[str, str]]) -> None:
    def fields(text: str) -> list[str]:
        return sorted(re.findall(r"\{[^{}]*\}", text)) if TOOL.placeholders(text) else []

    assert [pair for pair in pairs if fields(pair[0]) != fields(pair[1])] == []


def test_that_translations_are_not_much_longer(pairs: list[tuple[str, str]]) -> None:
    long = [(columns(said) / max(1, columns(text)), text, said) for text, said in pairs]
    assert [entry for entry in long if columns(entry[2]) > 1.3 * columns(entry[1]) + 4] == []


def test_that_translations_begin_and_end_as_the_source_does(pairs: list[tuple[str, str]]) -> None:
    ends = {".": "。", "…": "…", ":": "：", "?": "？", "!": "！"}

    def end(text: str) -> str:
        # What has few words and a full stop is an abbreviation.
        last = re.sub(r"\s*\(&\w\)", "", text)[-1]
        return "" if last == "." and len(text.split()) < 3 else ends.get(last, "")

    wrong = [
        (text, said)
        for text, said in pairs
        if (end(text) and not re.sub(r"\s*\(&\w\)", "", said).endswith(end(text)))
        or text.count("\n") != said.count("\n")
    ]
    assert wrong == []


def test_that_menus_keep_their_letters(pairs: list[tuple[str, str]]) -> None:
    def letter(text: str) -> str:
        found = re.search(r"&(\w)", text.replace("&&", ""))
        return found[1].lower() if found else ""

    assert [pair for pair in pairs if letter(pair[0]) != letter(pair[1])] == []


def test_that_chinese_has_its_own_punctuation(pairs: list[tuple[str, str]]) -> None:
    ideograph = r"[\u4e00-\u9fff]"
    wrong = re.compile(rf"{ideograph}[,;:!?]|{ideograph}\.(?!\w)|[,;:!?]{ideograph}|{ideograph}\((?!&)")
    assert [said for _, said in pairs if wrong.search(said)] == []


def test_that_what_the_program_reads_is_the_catalogue() -> None:
    for language in LANGUAGES:
        path = TOOL.path_of(language)
        with path.with_suffix(".mo").open("rb") as file:
            compiled = TOOL.translations(read_mo(file))
        assert compiled == TOOL.translations(TOOL.read(language))


def test_that_catalogues_hold_no_dates() -> None:
    for language in LANGUAGES:
        assert not re.search(rb"\d{4}-\d\d-\d\d", TOOL.path_of(language).read_bytes()[:2000])


@pytest.mark.parametrize("style", ["regular", "bold"])
def test_that_the_font_has_every_character(style: str, pairs: list[tuple[str, str]], qapp: QApplication) -> None:
    font = QRawFont(str(resource(f"fonts/gradsim-sans-sc-{style}.otf")), 16)
    assert font.isValid()
    # What the English text has too, such as a cross, is in the fonts of every system.
    used = {
        character for text, said in pairs for character in said if not character.isspace() and character not in text
    }
    for path in (ROOT / "resources").rglob("*"):
        if path.suffix == ".md" and "zh_CN" in path.as_posix():
            english = Path(path.as_posix().replace("zh_CN", "en")).read_text(encoding="utf-8")
            used |= set(path.read_text(encoding="utf-8")) - set(english) - set("\n ")
    lacking = {character for character in used if not font.supportsCharacter(ord(character))}
    assert lacking == set(), "type: python packaging/make_font.py FOLDER"


# The sources


def test_that_a_text_that_is_put_together_is_refused() -> None:
    with pytest.raises(TOOL.UnreadableError, match=r"some\.py:2: must be one literal"):
        list(TOOL.wrapped('\ntr(f"step {n}")', "some.py"))
    assert list(TOOL.wrapped('tr("a" "b")\ntr_n("{n} c", "{n} cs", n)\nmark("d")\ntr(spec.title)', "x")) == [
        "ab",
        ("{n} c", "{n} cs"),
        "d",
    ]


def literals(node: ast.expr) -> Iterator[str]:
    """The words in an argument that are the same in every language as it stands."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield " ".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    elif isinstance(node, ast.IfExp):
        yield from (*literals(node.body), *literals(node.orelse))
    elif isinstance(node, ast.BinOp):
        yield from (*literals(node.left), *literals(node.right))


def unwrapped(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of what a person reads and no catalogue knows."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in SHOWN:
                for argument in node.args:
                    for text in literals(argument):
                        # Behind a tab stands a key.
                        if not text.startswith("\t") and set(re.findall(r"[^\W\d_]+", text)) - NAMES:
                            yield node.lineno, text


def test_that_the_lint_sees_what_is_not_wrapped() -> None:
    assert [text for _, text in unwrapped('a.setText("Play" if b else tr("Pause"))')] == ["Play"]
    assert [text for _, text in unwrapped('QLabel(f"{n} steps")')] == [" steps"]
    assert list(unwrapped('a.setText(tr("Play"))\nQLabel("▲")\nQLabel(f"gradsim {v}")')) == []


@pytest.mark.parametrize("room", sorted({p.parent for p in (ROOT / "gradsim" / "app").rglob("*.py")}), ids=str)
def test_that_every_text_of_the_window_is_wrapped(room: Path) -> None:
    found = []
    for path in sorted(room.glob("*.py")):
        found += [f"{path.name}:{line}: {text!r}" for line, text in unwrapped(path.read_text(encoding="utf-8"))]
    assert found == []

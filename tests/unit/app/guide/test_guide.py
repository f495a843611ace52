from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextDocument
from pytestqt.qtbot import QtBot

from gradsim import i18n
from gradsim.app.actions import MENUS, VERBS
from gradsim.app.guide import pages as guide
from gradsim.app.guide.pages import PLACE, Page
from gradsim.app.window import MainWindow
from gradsim.nn import activations
from gradsim.telemetry.classes import State

OpenWindow = Callable[..., MainWindow]
SOURCES = Path(guide.__file__).parents[2]
EVERY = [
    pytest.param(language, page, id=f"{language}-{page.name}")
    for language in i18n.LANGUAGES
    for page in guide.pages(language)
]
KEYS = {verb.name: list(verb.keys) for verb in VERBS}


def headings(page: Page) -> list[int]:
    prose = re.sub(r"```.*?```", "", page.source, flags=re.DOTALL)
    return [len(found) for found in re.findall(r"^(#+) ", prose, flags=re.MULTILINE)]


def test_that_every_file_is_a_page_and_both_languages_have_the_same_ones() -> None:
    for language in i18n.LANGUAGES:
        assert sorted(path.stem for path in guide.folder(language).glob("*.md")) == sorted(guide.names())


def test_that_a_page_has_the_same_parts_in_both_languages() -> None:
    for english, chinese in zip(guide.pages("en"), guide.pages("zh_CN"), strict=True):
        assert headings(english) == headings(chinese), english.name
        assert sorted(PLACE.findall(english.source)) == sorted(PLACE.findall(chinese.source)), english.name


@pytest.mark.parametrize(("language", "page"), EVERY)
def test_that_every_link_and_picture_resolves(language: str, page: Page) -> None:
    for alt, target in re.findall(r"\[([^\]]*)\]\(([^)]+)\)", page.source):
        if target.startswith("mark:"):
            assert State(target.removeprefix("mark:"))
            # Without words Qt leaves a picture out.
            assert alt
        else:
            assert target.removesuffix(".md") in guide.names() and target.endswith(".md")


@pytest.mark.parametrize(("language", "page"), EVERY)
def test_that_every_key_and_command_named_is_the_real_one(language: str, page: Page) -> None:
    for kind, name, _ in PLACE.findall(page.source):
        if kind == "key":
            assert KEYS[name], f"{name} has no key"
        elif kind == "do":
            assert name in KEYS
    written = PLACE.sub("", page.source)
    assert not re.findall(r"(?:Ctrl|Shift|Alt)\+|\bF\d{1,2}\b", written), "keys are written as {key:...}"


@pytest.mark.parametrize(("language", "page"), EVERY)
def test_that_every_word_of_the_window_is_one(language: str, page: Page) -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (SOURCES / "app").rglob("*.py"))
    for kind, text, _ in PLACE.findall(page.source):
        if kind == "text":
            shown = text.replace("…", "\\u2026")
            assert f'"{text}"' in sources or f'"{shown}"' in sources, text


@pytest.mark.parametrize(("language", "page"), EVERY)
def test_that_a_page_shows_without_placeholders(language: str, page: Page) -> None:
    shown = page.markdown(lambda name: KEYS[name])
    assert not PLACE.search(shown)
    assert page.title and page.source.startswith("# ")


def test_that_every_command_of_the_command_line_named_exists() -> None:
    import gradsim.cli  # noqa: F401
    from gradsim.cli.main import cli

    for language in i18n.LANGUAGES:
        for page in guide.pages(language):
            for command in re.findall(r"`gradsim ([a-z]+)", page.source):
                assert command in cli.commands, command


def test_that_every_file_and_folder_named_for_maintainers_exists() -> None:
    root = SOURCES.parent
    page = next(page for page in guide.pages("en") if page.name == "maintainers")
    prose = re.sub(r"```.*?```", "", page.source, flags=re.DOTALL)
    named = [name for name in re.findall(r"`([^`\s]+)`", prose) if "/" in name and ":" not in name]
    assert len(named) >= 8
    for name in named:
        assert (root / name).exists() or (root / "gradsim" / name).exists(), name


def test_that_the_activation_of_the_maintainers_page_is_right() -> None:
    page = next(page for page in guide.pages("en") if page.name == "maintainers")
    code = next(found for found in re.findall(r"```python\n(.*?)```", page.source, re.DOTALL) if "SoftClip" in found)
    names = dict(vars(activations))
    registered = code.splitlines()[0]
    assert registered.startswith("@registry.register(")
    exec(code.replace(registered, ""), names)  # noqa: S102
    made = names["SoftClip"]()
    x = np.linspace(-2, 2, 9)
    slope = (made(x + 1e-6) - made(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(made.slope(x), slope, rtol=1e-6)


def test_that_the_default_thresholds_named_are_the_real_ones() -> None:
    from gradsim.telemetry.quantities import quantity

    for key, limits in (
        ("delta_rms", (1e-6, 1.0, 1e-3)),
        ("gradient_rms", (1e-6, 1.0, 1e-3)),
        ("update_ratio", (1e-6, 0.1, 1e-3)),
    ):
        found = quantity(key).thresholds
        assert (found.vanishing, found.exploding, found.neutral) == limits


def test_that_f1_opens_the_guide_beside_the_window(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    qtbot.keyClick(window, Qt.Key.Key_F1)
    shown = window.show_guide()
    assert shown.isVisible() and shown.isWindow()
    assert shown.current == guide.names()[0]
    assert shown is window.show_guide("seeing") and shown.current == "seeing"


def test_that_the_guide_goes_on_back_and_along_links(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    shown = window.show_guide()
    shown.next.click()
    assert shown.current == guide.names()[1]
    shown.text.anchorClicked.emit("lessons.md")
    assert shown.current == "lessons"
    shown.back.click()
    assert shown.current == guide.names()[1]


def test_that_the_guide_finds_words_and_the_next_place(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    shown = window.show_guide()
    qtbot.keyClicks(shown.search, "clicker")
    found = [shown.list.item(row).data(Qt.ItemDataRole.UserRole) for row in range(shown.list.count())]
    assert found == ["lessons"]
    qtbot.keyClick(shown.search, Qt.Key.Key_Return)
    assert shown.current == "lessons"
    assert shown.text.textCursor().selectedText() == "clicker"
    shown.search.clear()
    assert shown.list.count() == len(guide.names())


def test_that_the_guide_names_the_keys_that_the_user_chose(open_window: OpenWindow) -> None:
    window = open_window()
    shown = window.show_guide("lessons")
    window.actions_.set_key("present.freeze", "Ctrl+J")
    assert "Ctrl+J" in shown.text.toPlainText()
    shown.show_page("keys")
    text = shown.text.toPlainText()
    for verb in VERBS:
        for key in window.actions_.keys(verb.name):
            assert key.toString() in text, verb.name
    assert all(menu in MENUS for menu in (verb.menu for verb in VERBS))


def test_that_marks_are_drawn(open_window: OpenWindow) -> None:
    window = open_window()
    shown = window.show_guide("seeing")
    from PySide6.QtCore import QUrl

    for state in ("vanishing", "zero", "NaN"):
        picture = shown.text.document().resource(QTextDocument.ResourceType.ImageResource, QUrl(f"mark:{state}"))
        assert picture is not None and picture.width() > 8
    assert "\ufffc" in shown.text.toPlainText()

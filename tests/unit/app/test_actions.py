from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from pytestqt.qtbot import QtBot

from gradsim.app.actions import MENUS, VERBS, Actions, plain
from gradsim.app.command_palette import Command, CommandPalette, rank
from gradsim.app.settings import Settings
from gradsim.app.shortcuts import ShortcutsDialog
from gradsim.app.window import MainWindow

OpenWindow = Callable[..., MainWindow]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_that_every_verb_says_what_it_does(verb) -> None:
    assert verb.menu in MENUS
    assert verb.tooltip.endswith(".")
    assert verb.tooltip[0].isupper()
    assert verb.text.count("&") == 1
    assert all(not QKeySequence(key).isEmpty() for key in verb.keys)


def test_that_no_two_verbs_have_the_same_name_or_key() -> None:
    assert len({verb.name for verb in VERBS}) == len(VERBS)
    keys = Counter(QKeySequence(key).toString() for verb in VERBS for key in verb.keys)
    assert [key for key, count in keys.items() if count > 1] == []


@pytest.mark.parametrize("menu", MENUS)
def test_that_no_two_entries_of_a_menu_share_a_mnemonic(menu: str) -> None:
    entries = [verb for verb in VERBS if verb.menu == menu]
    letters = Counter((verb.submenu, verb.text[verb.text.index("&") + 1].lower()) for verb in entries)
    assert [letter for letter, count in letters.items() if count > 1] == []


def test_that_the_keys_are_those_of_the_conventions() -> None:
    keys = {verb.name: verb.keys for verb in VERBS}
    expected = {
        "run.play": "Space", "run.step": "Right", "run.epoch": "Shift+Right", "run.back": "Left", "run.reset": "R",
        "run.new_seed": "Shift+R", "edit.undo": "Ctrl+Z", "edit.redo": "Ctrl+Shift+Z", "edit.duplicate": "Ctrl+D",
        "edit.move_up": "Alt+Up", "edit.move_down": "Alt+Down", "help.palette": "Ctrl+Shift+P", "view.larger": "Ctrl++",
        "view.smaller": "Ctrl+-", "view.full_screen": "F11", "file.open": "Ctrl+O", "file.save": "Ctrl+S",
    }  # fmt: skip
    assert {name: keys[name][0] for name in expected} == expected


def test_that_a_menu_text_is_read_without_mnemonic() -> None:
    assert plain("Save &as…") == "Save as"
    assert plain("Cut && paste") == "Cut & paste"


def test_that_a_key_can_be_given_to_another_verb_and_is_kept(open_window: OpenWindow, settings: Settings) -> None:
    window = open_window(started=False)
    actions = window.actions_
    with pytest.raises(ValueError, match="Play or pause"):
        actions.set_key("run.reset", "Space")
    actions.set_key("run.play", "P")
    actions.set_key("run.reset", "Space")
    assert [key.toString() for key in actions.keys("run.reset")] == ["Space"]
    assert settings.shortcuts == {"run.play": "P", "run.reset": "Space"}
    again = Actions(window, settings)
    assert [key.toString() for key in again.keys("run.play")] == ["P"]
    again.deleteLater()


def test_that_a_key_can_be_taken_away_and_given_back(open_window: OpenWindow, settings: Settings) -> None:
    actions = open_window(started=False).actions_
    actions.set_key("run.play", "")
    assert actions.keys("run.play") == []
    actions.set_key("run.play", None)
    assert [key.toString() for key in actions.keys("run.play")] == ["Space"]
    assert settings.shortcuts == {}


def test_that_the_tooltip_names_the_key(open_window: OpenWindow) -> None:
    actions = open_window(started=False).actions_
    actions.set_key("run.slow", "F8")
    assert actions["run.slow"].toolTip().endswith("(F8)")


def test_that_the_dialog_of_shortcuts_changes_and_refuses(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(started=False)
    dialog = ShortcutsDialog(window.actions_, window)
    qtbot.addWidget(dialog)
    dialog.select("run.slow")
    dialog.set_current("Ctrl+S")
    assert "Save" in dialog.message.text()
    dialog.set_current("F8")
    assert dialog.message.text() == ""
    assert [key.toString() for key in window.actions_.keys("run.slow")] == ["F8"]
    dialog.reset_current()
    assert [key.toString() for key in window.actions_.keys("run.slow")] == ["S"]


def test_that_the_dialog_of_shortcuts_finds_by_word_and_by_key(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(started=False)
    dialog = ShortcutsDialog(window.actions_, window)
    qtbot.addWidget(dialog)

    def shown() -> list[str]:
        rows = (dialog.tree.topLevelItem(row) for row in range(dialog.tree.topLevelItemCount()))
        return [item.text(0) for item in rows if item is not None and not item.isHidden()]

    dialog.search.setText("full screen")
    assert shown() == ["View: Full screen"]
    dialog.search.setText("f11")
    assert shown() == ["View: Full screen"]


def test_that_the_key_that_can_be_changed_is_that_of_a_command_in_sight(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(started=False)
    dialog = ShortcutsDialog(window.actions_, window)
    qtbot.addWidget(dialog)
    assert dialog.current == "file.new"
    dialog.search.setText("slow motion")
    assert (dialog.current, dialog.edit.keySequence().toString()) == ("run.slow", "S")
    dialog.search.setText("nothing has such a name")
    assert not dialog.edit.isEnabled()
    assert not dialog.default.isEnabled()
    dialog.search.setText("")
    assert dialog.edit.isEnabled()


def test_that_enter_in_the_search_for_a_command_takes_no_key_back(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(started=False)
    dialog = ShortcutsDialog(window.actions_, window)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.select("run.slow")
    dialog.set_current("F8")
    qtbot.keyClick(dialog.search, Qt.Key.Key_Return)
    assert [key.toString() for key in window.actions_.keys("run.slow")] == ["F8"]


def command(text: str, tooltip: str = "", *, enabled: bool = True, run=lambda: None) -> Command:
    return Command(text, "Group", "", tooltip, enabled, run)


def test_that_commands_are_ranked_by_where_the_words_occur() -> None:
    start, later, inside, hidden = (
        command("Reset"), command("Full reset"), command("Unreset"), command("Begin", "Like a reset"),
    )  # fmt: skip
    ranks = [rank(one, "reset") for one in (start, later, inside, hidden)]
    assert ranks == sorted(ranks, key=lambda value: value or 0)
    assert len(set(ranks)) == 4
    assert rank(start, "reset seed") is None


def test_that_the_command_palette_runs_what_fits_best(qtbot: QtBot) -> None:
    ran: list[str] = []
    commands = [
        command("Undo", run=lambda: ran.append("undo")),
        command("Full screen", run=lambda: ran.append("screen")),
        command("Screenshot", enabled=False, run=lambda: ran.append("shot")),
    ]
    palette = CommandPalette(commands)
    qtbot.addWidget(palette)
    palette.line.setText("screen")
    assert palette.list.count() == 2
    qtbot.keyClick(palette.line, "\r")
    assert ran == ["screen"]


def test_that_the_command_palette_offers_actions_quantities_layers_and_examples(open_window: OpenWindow) -> None:
    window = open_window(started=False)
    groups = Counter(found.group for found in window.commands())
    assert groups["Run"] >= 10
    assert groups["Show"] >= 8
    assert groups["Layer"] >= 8
    assert groups["Example"] >= 20
    assert all(found.tooltip for found in window.commands())

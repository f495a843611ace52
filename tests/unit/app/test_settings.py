from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QByteArray

from gradsim.app import theme
from gradsim.app.settings import RECENT, Settings
from gradsim.telemetry.quantities import Thresholds


def test_that_values_are_there_again_at_the_next_start(settings: Settings) -> None:
    settings.set("view/side", False)
    settings.set("view/tab", 3)
    settings.set_layout("geometry", QByteArray(b"\x01\x02"))
    settings.set_shortcut("run.play", "P")
    settings.set_thresholds({"delta_rms": Thresholds(1e-9, 1e-3, 1e3, 1e-5, 5.0)})
    settings.sync()
    again = Settings(settings.path)
    assert again.get("view/side", True) is False
    assert again.get("view/tab", 0) == 3
    assert again.layout("geometry") == QByteArray(b"\x01\x02")
    assert again.shortcuts == {"run.play": "P"}
    assert again.thresholds()["delta_rms"].vanishing == 1e-5


def test_that_a_value_of_another_type_is_the_default(settings: Settings) -> None:
    settings.set("view/tab", "three")
    assert settings.get("view/tab", 0) == 0
    settings.path.write_text("[view]\nzoom=what?\n[files]\nrecent=5\n", encoding="utf-8")
    again = Settings(settings.path)
    assert again.get("view/zoom", 100) == 100
    assert again.recent == []


def test_that_a_scale_that_no_quantity_can_have_is_passed_over(settings: Settings) -> None:
    settings.set("view/thresholds", {"delta_rms": {"low": 5}, "nothing": {"low": 0, "neutral": 1, "high": 2}})
    assert settings.thresholds() == {}


def test_that_the_list_of_recent_files_is_short_and_holds_each_once(settings: Settings) -> None:
    for number in range(RECENT + 5):
        settings.add_recent(Path(f"/{number}.gradsim"))
    settings.add_recent(Path("/8.gradsim"))
    assert len(settings.recent) == RECENT
    assert settings.recent[0].endswith("8.gradsim")
    assert len(set(settings.recent)) == RECENT
    settings.forget_recent(settings.recent[0])
    assert not settings.recent[0].endswith("8.gradsim")
    settings.forget_recent()
    assert settings.recent == []


def test_that_a_key_can_be_given_back(settings: Settings) -> None:
    settings.set_shortcut("run.play", "P")
    settings.set_shortcut("run.step", "")
    settings.set_shortcut("run.play", None)
    assert settings.shortcuts == {"run.step": ""}


@pytest.mark.usefixtures("plain_look")
def test_that_theme_and_zoom_are_kept(settings: Settings) -> None:
    theme.set_choice("projector")
    theme.set_zoom(125)
    settings.keep_theme()
    theme.set_choice("light")
    theme.set_zoom(100)
    settings.apply_theme()
    assert theme.choice() == "projector"
    assert theme.zoom() == 125


@pytest.mark.usefixtures("plain_look")
def test_that_an_unknown_theme_is_that_of_the_system(settings: Settings) -> None:
    settings.set("view/theme", "neon")
    settings.apply_theme()
    assert theme.choice() == "system"


def test_that_without_a_place_to_write_settings_hold_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(tmp_path / "file" / "folder" / "gradsim.ini")
    settings.set("view/theme", "dark")
    assert settings.get("view/theme", "light") == "dark"

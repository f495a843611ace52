"""The language in use."""

from __future__ import annotations

import pytest

from gradsim import i18n
from gradsim.i18n import mark, tr, tr_n


def test_that_english_needs_no_catalogue() -> None:
    assert i18n.language() == "en"
    assert tr("Loss") == "Loss"
    assert tr("Step {step} of {steps}", step=3, steps=9) == "Step 3 of 9"
    assert tr_n("{n} step", "{n} steps", 1) == "1 step"
    assert tr_n("{n} step", "{n} steps", 0) == "0 steps"


def test_that_chinese_says_it_in_chinese() -> None:
    i18n.set_language("zh_CN")
    assert tr("Loss") == "损失"
    assert "3" in tr("step {step}", step=3)
    assert tr_n("{n} layer", "{n} layers", 1) == "1 层"
    assert tr_n("{n} layer", "{n} layers", 2) == "2 层"


def test_that_a_text_without_a_translation_stays_as_it_is() -> None:
    i18n.set_language("zh_CN")
    assert tr("he_normal") == "he_normal"
    assert tr("") == ""


def test_that_a_marked_text_is_the_text() -> None:
    i18n.set_language("zh_CN")
    assert mark("Loss") == "Loss"


def test_that_an_unknown_language_is_refused_and_nothing_changes() -> None:
    with pytest.raises(ValueError, match=r"must be one of en, zh_CN \(received 'xx'\)"):
        i18n.set_language("xx")
    assert i18n.language() == "en"


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_SG.UTF-8"}, "zh_CN"),
    ],
)
def test_that_the_system_s_language_is_read_as_posix_says(
    environment: dict[str, str], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert i18n.system_language() == code


def test_that_windows_names_of_a_locale_are_understood() -> None:
    assert i18n.matching("Chinese (Simplified)_China") == "zh_CN"
    assert i18n.matching("English_United States") == "en"

"""Languages: what is chosen, and what happens where a text has no translation."""

from __future__ import annotations

import pytest

from gradsim import i18n


def test_that_english_is_what_the_source_says() -> None:
    assert i18n.language() == "en"
    assert i18n.tr("Step {step}", step=3) == "Step 3"
    assert i18n.tr("100 % {}") == "100 % {}"
    assert i18n.tr("") == ""
    assert [i18n.tr_n("{n} step", "{n} steps", n) for n in (1, 2)] == ["1 step", "2 steps"]


@pytest.mark.parametrize(
    ("name", "code"),
    [("zh_CN.UTF-8", "zh_CN"), ("zh-Hans", "zh_CN"), ("Chinese (Simplified)_China", "zh_CN"), ("de", "en"), ("", "en")],
)
def test_that_the_language_of_the_system_is_found(name: str, code: str) -> None:
    assert i18n.matching(name) == code


def test_that_the_system_is_asked_in_the_order_of_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    assert i18n.system_language() == "zh_CN"
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    assert i18n.system_language() == "en"


def test_that_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of en, zh_CN"):
        i18n.set_language("tlh")

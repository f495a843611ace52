"""What the self-test asks of Qt: it passes here, and notices what it is there to notice."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QLibraryInfo
from pytestqt.qtbot import QtBot

from gradsim import i18n, resources
from gradsim.app import checks
from gradsim.cli import checking


def test_that_every_check_that_is_asked_for_is_there() -> None:
    for name in checking.IN_QT:
        assert callable(getattr(checks, name.replace(" ", "_").lower()))


@pytest.mark.parametrize("name", ["fonts", "words_of_qt", "guide", "pictures"])
def test_that_it_passes_here(name: str, qtbot: QtBot) -> None:
    assert getattr(checks, name)()
    assert i18n.language() == i18n.SOURCE


def test_that_a_font_that_is_broken_or_lacks_a_language_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot: QtBot
) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(i18n, "LANGUAGES", {"hi": "हिन्दी"})
        with pytest.raises(RuntimeError, match=r"bold\.otf lacks"):
            checks.fonts()
    monkeypatch.setattr(resources, "root", lambda: tmp_path)
    with pytest.raises(RuntimeError, match="there are none"):
        checks.fonts()
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "torn.otf").write_bytes(b"OTTO")
    with pytest.raises(RuntimeError, match=r"torn\.otf can.t be read"):
        checks.fonts()


def test_that_a_qt_without_its_words_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot: QtBot
) -> None:
    monkeypatch.setattr(QLibraryInfo, "path", staticmethod(lambda which: str(tmp_path)))
    with pytest.raises(RuntimeError, match="zh_CN"):
        checks.words_of_qt()

"""The language of the window: which one is used, Qt's own words in it, and a font with its characters."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from gradsim import i18n
from gradsim.app import theme

SYSTEM = "system"
CHOICES = (SYSTEM, *i18n.LANGUAGES)
"""What can be chosen: the system's language, or one by its code."""

_QT = "texts of Qt"


def of_system() -> str:
    """The language that the desktop is set to, if there is a catalogue of it, else English."""
    names = QLocale.system().uiLanguages()
    return i18n.matching(names[0].replace("-", "_")) if names else i18n.SOURCE


def use(choice: str) -> None:
    """What is built from now on is in this language; what is there already stays as it is.

    Args:
        choice: One of ``CHOICES``; the system's language for anything else.
    """
    code = choice if choice in i18n.LANGUAGES else of_system()
    i18n.set_language(code)
    theme.use_script("chinese" if code.startswith("zh") else "latin")
    _translate_qt(code)


def _translate_qt(code: str) -> None:
    """Buttons of dialogs, menus of text fields: Qt brings their words along."""
    app = QCoreApplication.instance()
    if app is None:
        return
    for before in app.findChildren(QTranslator, _QT):
        app.removeTranslator(before)
        before.deleteLater()
    if code == i18n.SOURCE:
        return
    translator = QTranslator(app)
    translator.setObjectName(_QT)
    folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    if translator.load(f"qtbase_{code}", folder):
        app.installTranslator(translator)
    else:
        # The words are English then.
        translator.deleteLater()

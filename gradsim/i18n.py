"""What people read, in their language: English as it stands in the source, other languages from catalogues.

A text that is read is wrapped where it is made: ``tr("Step {step} of {steps}", step=3, steps=9)``. A text in a
definition (the title of a field, a verb, a quantity) stays English there and is wrapped where it is shown; if it is
neither wrapped nor in a definition that ``packaging/make_translations.py`` walks, :func:`mark` tells of it. Catalogues
are gettext's: ``resources/locale/LANGUAGE/LC_MESSAGES/gradsim.po``, compiled beside it.
"""

from __future__ import annotations

import gettext
import locale
import os
from collections.abc import Mapping
from typing import Any

from gradsim.resources import resource

LANGUAGES: Mapping[str, str] = {"en": "English", "zh_CN": "简体中文"}
"""Code and own name of each language."""

SOURCE = "en"
"""The language of the source: it needs no catalogue."""

_catalogue: gettext.NullTranslations = gettext.NullTranslations()
_language = SOURCE


def language() -> str:
    """Code of the language in use; English unless another was set."""
    return _language


def set_language(code: str) -> None:
    """Texts that are made from now on are in this language.

    Raises:
        ValueError: for a code that is not in :data:`LANGUAGES`.
    """
    global _catalogue, _language
    if code not in LANGUAGES:
        raise ValueError(f"language: must be one of {', '.join(LANGUAGES)} (received {code!r})")
    if code == SOURCE:
        _catalogue = gettext.NullTranslations()
    else:
        with resource(f"locale/{code}/LC_MESSAGES/gradsim.mo").open("rb") as file:
            _catalogue = gettext.GNUTranslations(file)
    _language = code


def system_language() -> str:
    """The language of :data:`LANGUAGES` that the system is set to; English if it is none of them."""
    wanted = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    if not wanted:
        wanted = locale.getlocale()[0] or ""
    return matching(wanted)


def matching(name: str) -> str:
    """The language that serves a locale's name, as in ``zh_CN.UTF-8`` or ``Chinese (Simplified)_China``."""
    return "zh_CN" if name.lower().startswith(("zh", "chinese")) else SOURCE


def tr(text: str, /, **values: Any) -> str:
    """A text in the language in use, with its ``{placeholders}`` filled in."""
    # gettext keeps the catalogue's own header under the empty text.
    found = _catalogue.gettext(text) if text else text
    return found.format(**values) if values else found


def tr_n(one: str, many: str, number: int, /, **values: Any) -> str:
    """As :func:`tr`, for a text that counts; ``{n}`` is the number."""
    return _catalogue.ngettext(one, many, number).format(n=number, **values)


def reason_of(error: OSError) -> str:
    """What the system says of an error."""
    return tr(error.strerror) if error.strerror else str(error)


def mark(text: str) -> str:
    """The text itself: tells who collects texts that it is shown, through :func:`tr`, somewhere else."""
    return text


_SYSTEM = (
    mark("File exists"),
    mark("File name too long"),
    mark("Is a directory"),
    mark("No space left on device"),
    mark("No such file or directory"),
    mark("Not a directory"),
    mark("Operation not permitted"),
    mark("Permission denied"),
    mark("Read-only file system"),
)
"""What systems say most often."""

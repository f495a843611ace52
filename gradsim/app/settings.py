"""What the window remembers from one start to the next: one file in the user's configuration folder."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from PySide6.QtCore import QByteArray, QSettings

from gradsim.app import theme
from gradsim.telemetry.quantities import Thresholds, quantity

RECENT = 10


def folder() -> Path:
    """Where settings are kept."""
    return platformdirs.user_config_path("gradsim", appauthor=False)


def state_folder() -> Path:
    """Where autosaved experiments are kept."""
    return platformdirs.user_state_path("gradsim", appauthor=False)


class Settings:
    """Typed access to the file; a value that can't be read is the default.

    Where the file can't be written, what is set is forgotten at the end.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._store = QSettings(str(path), QSettings.Format.IniFormat)

    def get(self, key: str, default: Any) -> Any:
        """A plain value; the default's type decides what can be read."""
        text = self._store.value(key)
        if not isinstance(text, str):
            return default
        try:
            value = json.loads(text)
        except ValueError:
            return default
        return value if default is None or isinstance(value, type(default)) else default

    def set(self, key: str, value: Any) -> None:
        """Keeps a plain value (what JSON can say)."""
        self._store.setValue(key, json.dumps(value))

    def layout(self, key: str) -> QByteArray | None:
        """The state of a window or splitter as Qt gives it."""
        value = self._store.value(f"layout/{key}")
        return value if isinstance(value, QByteArray) and not value.isEmpty() else None

    def set_layout(self, key: str, state: QByteArray) -> None:
        """Keeps the state of a window or splitter."""
        self._store.setValue(f"layout/{key}", state)

    def forget_layout(self) -> None:
        """The layout of the first start."""
        self._store.remove("layout")

    @property
    def recent(self) -> list[str]:
        """Files that were opened or saved, the latest first."""
        return [path for path in self.get("files/recent", []) if isinstance(path, str)]

    def add_recent(self, path: Path) -> None:
        """A file was opened or saved."""
        name = str(path.absolute())
        self.set("files/recent", [name, *(other for other in self.recent if other != name)][:RECENT])

    def forget_recent(self, path: str | None = None) -> None:
        """Takes a file out of the list, or all of them."""
        self.set("files/recent", [other for other in self.recent if path is not None and other != path])

    @property
    def shortcuts(self) -> dict[str, str]:
        """Keys that the user chose, by action; "" is none."""
        found = self.get("keys/shortcuts", {})
        return {str(name): key for name, key in found.items() if isinstance(key, str)}

    def set_shortcut(self, name: str, key: str | None) -> None:
        """Keeps a key; None is the default one."""
        kept = self.shortcuts
        kept.pop(name, None)
        if key is not None:
            kept[name] = key
        self.set("keys/shortcuts", kept)

    @property
    def language(self) -> str:
        """Code of the language that the user chose; "system" at first."""
        return str(self.get("view/language", "system"))

    def set_language(self, choice: str) -> None:
        """Keeps it."""
        self.set("view/language", choice)

    def thresholds(self) -> dict[str, Thresholds]:
        """The colour scales that the user set."""
        found: dict[str, Thresholds] = {}
        for key, scale in self.get("view/thresholds", {}).items():
            with contextlib.suppress(KeyError, TypeError, ValueError):
                quantity(key)
                found[key] = Thresholds(**scale)
        return found

    def set_thresholds(self, scales: Mapping[str, Thresholds]) -> None:
        """Keeps them."""
        self.set("view/thresholds", {key: dataclasses.asdict(scale) for key, scale in scales.items()})

    def apply_theme(self) -> None:
        """Theme and zoom as they were left."""
        choice = self.get("view/theme", "system")
        theme.set_choice(choice if choice in theme.CHOICES else "system")
        theme.set_zoom(self.get("view/zoom", 100))

    def keep_theme(self) -> None:
        """Theme and zoom as they are now."""
        self.set("view/theme", theme.choice())
        self.set("view/zoom", theme.chosen_zoom())

    def sync(self) -> None:
        """Writes the file now."""
        self._store.sync()

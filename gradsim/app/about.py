"""Versions and licences."""

from __future__ import annotations

import platform
from importlib import metadata

from PySide6.QtCore import Qt, qVersion
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QPlainTextEdit, QTabWidget, QVBoxLayout, QWidget

import gradsim
from gradsim import resources
from gradsim.app import theme
from gradsim.i18n import tr

PARTS = (
    "PySide6-Essentials", "pyqtgraph", "numpy", "numba", "llvmlite", "pillow", "h5py", "pydantic", "click", "rich",
    "platformdirs", "threadpoolctl",
)  # fmt: skip


def versions() -> list[tuple[str, str, str]]:
    """Name, version and licence of everything the program is made of."""
    found = [
        ("gradsim", gradsim.__version__, "MIT"),
        ("Python", platform.python_version(), "PSF-2.0"),
        ("Qt", qVersion() or "", "LGPL-3.0"),
    ]
    for name in PARTS:
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        found.append((name, about["Version"] or "", licence(about)))
    return found


def licence(about: metadata.PackageMetadata) -> str:
    """The licence of a package in few words."""
    fields = about.json
    said = str(fields.get("license_expression") or "")
    if not said:
        classes = [str(entry) for entry in fields.get("classifier") or [] if str(entry).startswith("License ::")]
        said = ", ".join(entry.rsplit(" :: ", 1)[-1] for entry in classes)
    if not said:
        said = str(fields.get("license") or tr("see its own documentation")).splitlines()[0]
    return said if len(said) <= 80 else said[:77] + "..."


def texts() -> str:
    """The licence texts of the data and fonts that come along."""
    parts = []
    for path in sorted(resources.root().glob("*/*.LICENSE.txt")):
        parts.append(f"{path.name.removesuffix('.LICENSE.txt')}\n\n{path.read_text(encoding='utf-8').strip()}")
    return ("\n\n" + "-" * 60 + "\n\n").join(parts)


def report() -> str:
    """Versions and system as text, for a question to somebody who can help."""
    lines = [f"{name} {version} ({terms})" for name, version, terms in versions()]
    return "\n".join([*lines, "", platform.platform()])


class AboutDialog(QDialog):
    """What the program is, what it is made of, and under which terms."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("About gradsim"))
        title = QLabel(f"gradsim {gradsim.__version__}", self)
        title.setFont(theme.font("title", bold=True))
        text = QLabel(
            tr(
                "Build a deep network, press play, and see layer by layer why it stops learning.\n"
                "Free software under the MIT licence. It never uses the network."
            ),
            self,
        )
        text.setWordWrap(True)
        pages = QTabWidget(self)
        for name, content in ((tr("Versions"), report()), (tr("Licences of data and fonts"), texts())):
            page = QPlainTextEdit(content, self)
            page.setReadOnly(True)
            page.setAccessibleName(name)
            page.setTextInteractionFlags(
                Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
            )
            pages.addTab(page, name)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget in (title, text, pages, buttons):
            layout.addWidget(widget)
        self.resize(theme.px(560), theme.px(480))

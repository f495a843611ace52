"""What ``gradsim selftest`` asks of Qt; without a screen."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PySide6.QtCore import (
    QEventLoop,
    QLibraryInfo,
    QObject,
    QSize,
    QTranslator,
    Signal,
    qInstallMessageHandler,
    qVersion,
)
from PySide6.QtGui import QImageReader, QRawFont
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

from gradsim import i18n, resources
from gradsim.cli.checking import load_modules
from gradsim.i18n import tr

EMITS = 6000
"""PySide6 6.12.0 on Python 3.11 ends the interpreter within 1,000."""

PATIENCE_SECONDS = 60.0
"""How long the window may take on a slow machine."""


class _Source(QObject):
    changed = Signal(int)


def signals() -> str:
    """Emits as many signals as end a process whose Qt does not fit its Python."""
    source = _Source()
    seen: list[int] = []
    source.changed.connect(seen.append)
    for number in range(EMITS):
        source.changed.emit(number)
    if len(seen) != EMITS:
        raise RuntimeError(tr("{n} of {all} arrived", n=len(seen), all=EMITS))
    return tr("{n} arrived, Qt {qt} and Python {python}", n=EMITS, qt=qVersion(), python=sys.version.split()[0])


def rooms_of_the_window() -> str:
    """Loads every module of the window."""
    return tr("{n} load", n=load_modules("gradsim.app"))


def fonts() -> str:
    """Whether the fonts that come along can be read and hold the characters of the languages that need them."""
    with _off_screen():
        files = sorted((resources.root() / "fonts").glob("*.otf"))
        for file in files:
            font = QRawFont(str(file), 16.0)
            if not font.isValid():
                raise RuntimeError(tr("{file} can't be read", file=file.name))
            absent = {
                sign for name in i18n.LANGUAGES.values() for sign in name if not font.supportsCharacter(ord(sign))
            }
            if absent:
                raise RuntimeError(tr("{file} lacks {signs}", file=file.name, signs=" ".join(sorted(absent))))
    if not files:
        raise RuntimeError(tr("there are none"))
    return tr("{n} load", n=len(files))


def words_of_qt() -> str:
    """Whether Qt's own buttons and menus speak the languages of the program."""
    folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    languages = [code for code in i18n.LANGUAGES if code != i18n.SOURCE]
    for code in languages:
        if not QTranslator().load(f"qtbase_{code}", folder):
            raise RuntimeError(tr("there are none in {language}", language=code))
    return ", ".join(i18n.LANGUAGES[code] for code in languages)


def guide() -> str:
    """Fills in every page of the guide, in every language."""
    from gradsim.app.guide import pages

    before = i18n.language()
    count = 0
    try:
        for code in i18n.LANGUAGES:
            i18n.set_language(code)
            for page in pages.pages():
                if not page.markdown(lambda name: ["F1"]).strip():
                    raise RuntimeError(tr("{name}: is empty", name=f"{code}/{page.name}"))
                count += 1
    finally:
        i18n.set_language(before)
    return tr("{n} pages", n=count)


def pictures() -> str:
    """Makes a picture of every kind, and a page of a PDF, from a training of two steps."""
    from gradsim import api, lessons
    from gradsim.app.start import EXAMPLE
    from gradsim.app.take import headless

    experiment = api.load(EXAMPLE)
    recording = experiment.run(steps=2)
    made = []
    with _off_screen(), tempfile.TemporaryDirectory() as folder:
        for suffix in (".png", ".svg", ".gif", ".webp", ".apng"):
            path = Path(folder) / f"picture{suffix}"
            steps = (1,) if suffix in (".png", ".svg") else (0, 1)
            asked = headless.Request(path, "heatmap", "delta_rms", steps, (640, 400), "light", 10.0)
            headless.render(experiment, recording, asked, None)
            readable = QSvgRenderer(str(path)).isValid() if suffix == ".svg" else _opens(path)
            if not readable:
                raise RuntimeError(tr("{file} can't be read", file=path.name))
            made.append(suffix[1:].upper())
        path = Path(folder) / "handout.pdf"
        headless.hand_out(lessons.everything()[0], {}, path, teacher=False)
        if not path.read_bytes().startswith(b"%PDF"):
            raise RuntimeError(tr("{file} can't be read", file=path.name))
    return ", ".join([*made, "PDF"])


def _opens(path: Path) -> bool:
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        return image.size == (640, 400) and (path.suffix != ".png" or QImageReader(str(path)).canRead())


def window() -> str:
    """Opens the window off screen, lets it train and looks whether it was painted."""
    with _off_screen() as app:
        return _opened(app)


@contextlib.contextmanager
def _off_screen() -> Iterator[QApplication]:
    """An application that paints into memory."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    # The off-screen platform complains about what it can't do, which is nothing that was asked of it.
    before = qInstallMessageHandler(lambda *_: None)
    try:
        existing = QApplication.instance()
        yield existing if isinstance(existing, QApplication) else QApplication(["gradsim"])
    finally:
        qInstallMessageHandler(before)


def _opened(app: QApplication) -> str:
    from gradsim.app import theme
    from gradsim.app.session import Session
    from gradsim.app.settings import Settings
    from gradsim.app.start import EXAMPLE
    from gradsim.app.window import MainWindow
    from gradsim.model import bundled

    theme.install(app)
    # The settings and experiments of the user are none of its business.
    with tempfile.TemporaryDirectory() as folder:
        session = Session(bundled.load(EXAMPLE))
        shown = MainWindow(session, Settings(Path(folder) / "gradsim.ini"), Path(folder))
        try:
            shown.show()
            session.start(play=True)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not session.step and time.monotonic() < deadline:
                app.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)
            steps = session.step or 0
            picture = shown.grab().toImage().scaled(QSize(64, 64))
            colours = {picture.pixel(x, y) for x in range(64) for y in range(64)}
        finally:
            shown.close()
            session.close()
    if not steps:
        raise RuntimeError(tr("it trained no step in {seconds:g} s", seconds=PATIENCE_SECONDS))
    if len(colours) < 2:
        raise RuntimeError(tr("it is empty"))
    return tr("opened and painted, training at step {step}", step=steps)

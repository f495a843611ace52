"""What ``gradsim selftest`` asks of Qt; without a screen."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from PySide6.QtCore import QEventLoop, QObject, QSize, Signal, qInstallMessageHandler, qVersion
from PySide6.QtWidgets import QApplication

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


def window() -> str:
    """Opens the window off screen, lets it train and looks whether it was painted."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    # The off-screen platform complains about what it can't do, which is nothing that was asked of it.
    before = qInstallMessageHandler(lambda *_: None)
    try:
        return _opened()
    finally:
        qInstallMessageHandler(before)


def _opened() -> str:
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(["gradsim"])

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

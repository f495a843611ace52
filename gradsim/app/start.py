"""The start of the window: from the command line to the event loop."""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradsim.i18n import tr

EXAMPLE = "vanishing-sigmoid"
"""What the first window shows: already training, its lower layers turning blue."""

SWITCH_SECONDS = 0.0005
"""How long a thread that computes in Python may keep another one waiting: less than a frame, and than a chunk."""


SETTLE_MS = 1500
"""After the first picture, which this must not delay."""


def main(argv: Sequence[str] = ()) -> int:
    """Opens the window and gives the exit code.

    Args:
        argv: A file to open, or nothing.
    """
    return _started(lambda probe: _run(list(argv), probe))


def view(path: str) -> int:
    """Opens a window with a recording and gives the exit code."""
    return _started(lambda probe: _view(Path(path), probe))


def _started(run: Callable[[_Display], int]) -> int:
    try:
        from PySide6 import QtGui, QtWidgets  # noqa: F401
    except ImportError as error:
        return _refuse(_library_line(error))
    probe = _Display()
    problem = _display_problem(probe)
    if problem:
        return _refuse(problem)
    sys.setswitchinterval(SWITCH_SECONDS)
    # What is made from here on lives as long as the program; the collector takes over.
    gc.disable()
    return run(probe)


def _run(argv: list[str], probe: _Display) -> int:
    from PySide6.QtCore import QTimer

    app = _application(probe)
    from gradsim.app import theme
    from gradsim.app.application import Application
    from gradsim.app.collector import Collector
    from gradsim.app.program import Program
    from gradsim.app.session import Session
    from gradsim.app.settings import Settings, folder, state_folder
    from gradsim.model import bundled

    collector = Collector(app)
    settings = Settings(folder() / "gradsim.ini")
    theme.install(app)
    settings.apply_theme()
    session = Session(bundled.load(EXAMPLE))
    program = Program(session, settings, state_folder())
    window = program.window
    window.show()
    opened = bool(argv) and window.files.open(Path(argv[0]), play=True, asked=True)
    if not opened:
        session.start(play=True)
    QTimer.singleShot(0, window, window.offer_recovery)
    if not opened:
        # Once there is something to point at.
        QTimer.singleShot(SETTLE_MS, window, window.hints.begin_once)
    settle = functools.partial(QTimer.singleShot, SETTLE_MS, collector, collector.settle)
    settle()
    program.window_changed.connect(settle)
    if isinstance(app, Application):
        app.file_wanted.connect(lambda path: program.window.files.take(Path(path)))
    # Python hears of a signal when it runs next, which the collector's timer sees to.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: program.window.close())
    code = app.exec()
    collector.stop()
    return code


def _view(path: Path, probe: _Display) -> int:
    app = _application(probe)

    from gradsim.app import theme
    from gradsim.app.collector import Collector
    from gradsim.app.inout.viewing import ViewWindow
    from gradsim.app.settings import Settings, folder

    collector = Collector(app)
    settings = Settings(folder() / "gradsim.ini")
    theme.install(app)
    settings.apply_theme()
    window = ViewWindow(path)
    window.show()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.close())
    code = app.exec()
    collector.stop()
    return code


def _application(probe: _Display) -> Any:
    from PySide6.QtCore import QCoreApplication
    from PySide6.QtWidgets import QApplication

    from gradsim.app.application import Application

    QCoreApplication.setApplicationName("gradsim")
    QCoreApplication.setOrganizationName("gradsim")
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else Application(["gradsim"])
    probe.close()
    app.setApplicationDisplayName("gradsim")
    app.setDesktopFileName("gradsim")
    return app


def _refuse(message: str) -> int:
    print(f"gradsim: {message}", file=sys.stderr)  # noqa: T201
    return 1


def _library_line(error: ImportError) -> str:
    name = getattr(error, "name", "") or ""
    if name.split(".")[0] in ("PySide6", "shiboken6") and isinstance(error, ModuleNotFoundError):
        return tr("the window needs PySide6; type: {command}", command="python -m pip install PySide6-Essentials")
    packages = " ".join(LIBRARIES.values())
    return tr(
        "a system library of the window is missing ({error}); on Debian or Ubuntu type: {command}",
        error=error,
        command=f"sudo apt-get install -y --no-install-recommends {packages}",
    )


LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-shape.so.0": "libxcb-shape0",
}
"""What Qt loads under X11, with the Debian packages; without some of them it ends the process without a word."""


def _display_problem(probe: _Display) -> str:
    """Why Qt would end the process instead of opening a window, or ""."""
    if not sys.platform.startswith("linux"):
        return ""
    platform = os.environ.get("QT_QPA_PLATFORM", "").split(":")[0].split(";")[0]
    if platform not in ("", "xcb", "wayland"):
        return ""
    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        return tr(
            "there is no display for the window; the commands work without one: {command}", command="gradsim --help"
        )
    if platform == "wayland" or (not platform and not os.environ.get("DISPLAY")):
        return ""
    missing = [package for library, package in LIBRARIES.items() if not _loads(library)]
    if missing:
        return tr(
            "system libraries of the window are missing; on Debian or Ubuntu type: {command}",
            command=f"sudo apt-get install -y --no-install-recommends {' '.join(missing)}",
        )
    if probe.open():
        return ""
    return tr("the display {name} does not answer; the commands work without one", name=os.environ["DISPLAY"])


def _loads(library: str) -> bool:
    import ctypes

    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


class _Display:
    """A connection to the X server, to see whether there is one: Qt aborts if there is none.

    It stays open until Qt has its own, since a server may start anew when the last one that it had is closed.
    """

    def __init__(self) -> None:
        self._xcb: Any = None
        self._connection: Any = None

    def open(self) -> bool:
        """Whether an X server answers behind DISPLAY."""
        import ctypes

        try:
            xcb = ctypes.CDLL("libxcb.so.1")
        except OSError:
            # Qt brings its own way of asking then.
            return True
        xcb.xcb_connect.restype = ctypes.c_void_p
        xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
        xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
        self._xcb, self._connection = xcb, xcb.xcb_connect(None, None)
        return not xcb.xcb_connection_has_error(self._connection)

    def close(self) -> None:
        """Gives the connection back."""
        if self._connection is not None:
            self._xcb.xcb_disconnect(self._connection)
            self._connection = None

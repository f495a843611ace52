"""Keeps the screen on while something is presented; a system that has no way to ask for it is left as it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from PySide6.QtCore import QObject, QProcess, QTimer

RESET_SECONDS = 40.0
"""Less than the shortest time after which a desktop can be told to blank."""


class Way(Protocol):
    """One system's way of keeping a screen on."""

    def hold(self) -> bool:
        """Asks for it; False if this system has no such way."""

    def release(self) -> None:
        """The system may do again as it likes."""


class Awake(QObject):
    """Holds the screen on from :meth:`hold` to :meth:`release`.

    Args:
        ways: Tried one after the other until one answers; this system's own by default.
    """

    def __init__(self, parent: QObject | None = None, *, ways: Sequence[Way] | None = None) -> None:
        super().__init__(parent)
        self._ways = tuple(ways) if ways is not None else system_ways()
        self._held: Way | None = None

    @property
    def held(self) -> bool:
        """Whether a way was found and is in force."""
        return self._held is not None

    def hold(self) -> None:
        """Keeps the screen on from now."""
        if self._held is None:
            self._held = next((way for way in self._ways if way.hold()), None)

    def release(self) -> None:
        """Lets it go to sleep again."""
        if self._held is not None:
            self._held.release()
            self._held = None


def system_ways() -> tuple[Way, ...]:
    """The ways of this system, the best first."""
    if sys.platform == "win32":
        return (_Windows(),)
    if sys.platform == "darwin":
        return (_MacOS(),)
    return (_ScreenSaverService(), _ScreenSaverReset())


class _Windows:
    """SetThreadExecutionState: continuous, system and display required."""

    _HOLD, _RELEASE = 0x80000000 | 0x00000001 | 0x00000002, 0x80000000

    def hold(self) -> bool:
        return self._set(self._HOLD)

    def release(self) -> None:
        self._set(self._RELEASE)

    @staticmethod
    def _set(flags: int) -> bool:
        import ctypes

        try:
            kernel: Any = ctypes.windll.kernel32  # type: ignore[attr-defined]
            return bool(kernel.SetThreadExecutionState(ctypes.c_uint(flags)))
        except (AttributeError, OSError):
            return False


class _MacOS:
    """``caffeinate``, which comes with the system and ends with this process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def hold(self) -> bool:
        import os

        command = shutil.which("caffeinate")
        if command is None:
            return False
        try:
            self._process = subprocess.Popen([command, "-d", "-i", "-w", str(os.getpid())])
        except OSError:
            return False
        return True

    def release(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(5)
            self._process = None


class _ScreenSaverService:
    """``org.freedesktop.ScreenSaver`` on the session bus, which GNOME, KDE, XFCE, MATE and Cinnamon answer."""

    _NAME = "gradsim-presents"

    def __init__(self) -> None:
        self._connection: Any = None

    def hold(self) -> bool:
        try:
            from PySide6.QtDBus import QDBus, QDBusConnection, QDBusMessage
        except ImportError:
            return False
        # A connection of its own: the service forgets who asked as soon as the connection is closed.
        connection = QDBusConnection.connectToBus(QDBusConnection.BusType.SessionBus, self._NAME)
        held = False
        if connection.isConnected():
            service = "org.freedesktop.ScreenSaver"
            call = QDBusMessage.createMethodCall(service, "/org/freedesktop/ScreenSaver", service, "Inhibit")
            call.setArguments(["gradsim", "A lesson is being presented"])
            # A service that hangs must not hold up the lecture.
            answer = connection.call(call, QDBus.CallMode.Block, 500)
            held = answer.type() == QDBusMessage.MessageType.ReplyMessage
        if held:
            self._connection = connection
        else:
            QDBusConnection.disconnectFromBus(self._NAME)
        return held

    def release(self) -> None:
        from PySide6.QtDBus import QDBusConnection

        self._connection = None
        QDBusConnection.disconnectFromBus(self._NAME)


class _ScreenSaverReset:
    """``xdg-screensaver reset`` again and again, where no service answers."""

    def __init__(self) -> None:
        self._timer: QTimer | None = None

    def hold(self) -> bool:
        command = shutil.which("xdg-screensaver")
        if command is None:
            return False
        self._timer = QTimer()
        self._timer.setInterval(round(RESET_SECONDS * 1000))
        self._timer.timeout.connect(lambda: QProcess.startDetached(command, ["reset"]))
        self._timer.start()
        return True

    def release(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

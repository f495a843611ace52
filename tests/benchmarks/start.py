"""How soon the installed program shows something: from the start of the process to the first heatmap on the screen.

    python tests/benchmarks/start.py [--program dist/gradsim/gradsim] [--times 9] [--cache warm,cold,dropped]

Needs Linux and Xvfb, and a machine that does nothing else. The program is not told that it is measured: the screen is
looked at every few milliseconds, until the middle of the window holds the blue of a vanishing gradient, which the
first experiment shows from its first step on. Each start has a home of its own, as a first one has.

- warm: as the start before left the file cache.
- cold: every file of the program's folder is taken out of the file cache first; libraries of the system stay.
- dropped: the whole file cache is emptied first, which needs root and slows down everything else on the machine.

Medians of the starts are printed, with the fastest and the slowest. Targets: 1.5 s warm, 3 s cold.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SCREEN = (1280, 800)
MIDDLE = (360, 150, 260, 300)
"""Where the heatmap is in a window of that size, with room to spare: x, y, width, height."""
BLUE = 200
"""Pixels that have to be blue: a column of three steps has more, and nothing else in the middle is."""
LOOK_SECONDS = 0.004
PATIENCE_SECONDS = 120.0
TARGETS = {"warm": 1.5, "cold": 3.0, "dropped": 3.0}


class _Image(ctypes.Structure):
    """The beginning of Xlib's XImage."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("width", "height", "xoffset", "format")),
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("byte_order", "unit", "bit_order", "pad", "depth", "bytes_per_line")),
    )


class Screen:
    """An X server of our own, and what is to be seen on it."""

    def __init__(self) -> None:
        if shutil.which("Xvfb") is None:
            sys.exit("needs Xvfb (Debian: apt-get install xvfb)")
        read, write = os.pipe()
        width, height = SCREEN
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-noreset"],
            pass_fds=[write],
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as told:
            self.name = f":{told.readline().strip()}"
        self._x = ctypes.CDLL("libX11.so.6")
        self._x.XOpenDisplay.restype = self._x.XDefaultRootWindow.restype = ctypes.c_void_p
        self._x.XGetImage.restype = ctypes.POINTER(_Image)
        self._display = ctypes.c_void_p(self._x.XOpenDisplay(self.name.encode()))
        self._root = ctypes.c_void_p(self._x.XDefaultRootWindow(self._display))

    def blue(self) -> int:
        """How many pixels of the middle are blue."""
        every_plane, z_pixmap = ctypes.c_ulong(0xFFFFFFFF), 2
        image = self._x.XGetImage(self._display, self._root, *MIDDLE, every_plane, z_pixmap)
        size = image.contents.bytes_per_line * image.contents.height
        pixels = np.frombuffer(ctypes.string_at(image.contents.data, size), np.uint8).reshape(-1, 4).astype(int)
        self._x.XFree(ctypes.c_void_p(image.contents.data))
        self._x.XFree(image)
        return int(np.count_nonzero(pixels[:, 0] - pixels[:, 2] > 60))

    def close(self) -> None:
        self._server.terminate()
        self._server.wait()


def forget(folder: Path) -> None:
    """Takes the files of a folder out of the file cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def drop() -> None:
    """Empties the file cache of the machine."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")


def started(program: Path, screen: Screen) -> float:
    """Seconds from the start of the process to the first heatmap."""
    with tempfile.TemporaryDirectory() as home:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("QT_", "XDG_", "WAYLAND"))}
        begin = time.perf_counter()
        process = subprocess.Popen([program], env=kept | {"HOME": home, "DISPLAY": screen.name})
        try:
            while screen.blue() < BLUE:
                if process.poll() is not None:
                    sys.exit(f"{program} ended with {process.returncode}")
                if time.perf_counter() - begin > PATIENCE_SECONDS:
                    sys.exit(f"no heatmap after {PATIENCE_SECONDS:g} s")
                time.sleep(LOOK_SECONDS)
            return time.perf_counter() - begin
        finally:
            process.terminate()
            process.wait()
            while screen.blue():
                time.sleep(LOOK_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=ROOT / "dist" / "gradsim" / "gradsim")
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--cache", default="warm,cold", help="warm, cold, dropped, or several with commas")
    options = parser.parse_args()
    if not options.program.is_file():
        parser.error(f"{options.program} is missing: sh packaging/build.sh makes it")
    program = options.program.resolve()
    before: dict[str, Callable[[], object]] = {
        "warm": lambda: None,
        "cold": lambda: forget(program.parent),
        "dropped": drop,
    }
    screen = Screen()
    try:
        started(program, screen)
        for cache in options.cache.split(","):
            seconds = []
            for _ in range(options.times):
                before[cache]()
                seconds.append(started(program, screen))
            print(
                f"{cache}: {statistics.median(seconds):.2f} s, median of {len(seconds)} "
                f"({min(seconds):.2f} to {max(seconds):.2f}); target {TARGETS[cache]:g} s"
            )
    finally:
        screen.close()


if __name__ == "__main__":
    main()

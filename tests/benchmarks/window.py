"""How smooth the window is while it trains, what that costs the training, and how soon the first picture is there.

    python tests/benchmarks/window.py [--seconds 20] [--layers 100] [--units 256]

Needs a display; starts Xvfb if there is none and Xvfb can be found. Run it on a machine that does nothing else.

- Gaps: time between one 16 ms frame timer's call and the next, with the whole window visible and everything painted
  in between: what a person sees as a hiccup. The whole run counts, but for the first second.
- Kept: steps per second in the window as a share of those of the same trainer alone in a process with one thread of
  BLAS, both with recording and validation. The headless figure is taken before and after, and the mean is used.
- Start: from the start of the process to the first paint of a heatmap that holds steps, kernels compiled before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def experiment(layers: int, units: int) -> dict[str, Any]:
    hidden = {"type": "Dense", "units": units, "activation": "tanh"}
    return {
        "layers": [
            {"type": "Flatten"},
            {"type": "Repeat", "count": layers, "layers": [hidden]},
            {"type": "Dense", "units": 10, "activation": "softmax"},
        ],
        "optimizer": {"type": "SGD", "learning_rate": 0.01},
    }


def headless(layers: int, units: int, seconds: float) -> float:
    """Steps per second without a window."""
    import threadpoolctl

    from gradsim.engine.runner import CHUNK_SECONDS, Runner
    from gradsim.engine.trainer import Trainer
    from gradsim.model import file

    trainer = Trainer(file.experiment_from(experiment(layers, units)))
    threadpoolctl.threadpool_limits(1, user_api="blas")
    recorder = trainer.recorder()
    trainer.advance(3)
    first, started = trainer.step, time.perf_counter()
    while time.perf_counter() - started < seconds:
        trainer.record_for(recorder, CHUNK_SECONDS, trainer.steps_to_epoch_end)
        if Runner.validates(trainer):
            recorder.append_validation(trainer.step - 1, *trainer.evaluate())
    return (trainer.step - first) / (time.perf_counter() - started)


def wait(milliseconds: int) -> None:
    """Lets the window live for a while. QTest.qWait would not do: it keeps Python's lock from the training thread."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def windowed(layers: int, units: int, seconds: float) -> dict[str, Any]:
    """Gaps between frames in ms, and steps per second."""
    from PySide6.QtWidgets import QApplication

    from gradsim.app import start, theme
    from gradsim.app.collector import Collector
    from gradsim.app.session import Session
    from gradsim.app.settings import Settings
    from gradsim.app.window import MainWindow
    from gradsim.model import file

    sys.setswitchinterval(start.SWITCH_SECONDS)
    app = QApplication([])
    theme.install(app)
    collector = Collector(app)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(file.experiment_from(experiment(layers, units)))
        window = MainWindow(session, Settings(Path(folder) / "settings.ini"), Path(folder))
        window.resize(1280, 800)
        window.show()
        session.start(play=True)
        while not session.status.step:
            wait(50)
        wait(1000)
        collector.settle()
        times: list[float] = []
        session.tick.connect(lambda: times.append(time.perf_counter()))
        first, started = session.status.step, time.perf_counter()
        wait(int(seconds * 1000))
        done, ended = session.status.step, time.perf_counter()
        closing = time.perf_counter()
        window.close()
        closed = time.perf_counter() - closing
    gaps = sorted(1000 * (b - a) for a, b in itertools.pairwise(times))
    return {
        "frames": len(gaps),
        "median": statistics.median(gaps),
        "p99": gaps[int(0.99 * (len(gaps) - 1))],
        "longest": gaps[-1],
        "under_20_ms": sum(gap < 20 for gap in gaps) / len(gaps),
        "speed": (done - first) / (ended - started),
        "close_ms": 1000 * closed,
    }


FIRST_PICTURE = """
import time
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication
from gradsim import cli
from gradsim.app import start

class Watch(QObject):
    window = None
    def find(self):
        # Not before the window is there, so that nothing is loaded in another order than in a real start.
        self.window = next(w for w in QApplication.topLevelWidgets() if type(w).__name__ == "MainWindow")
        self.window.stage.heatmap.viewport().installEventFilter(self)
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and self.window is not None and self.window.session.latest is not None:
            QTimer.singleShot(0, self.seen)
        return False
    def seen(self):
        pull = self.window and self.window.stage.heatmap.pull
        if pull is not None and pull.recorded_columns:
            print(time.time(), flush=True)
            self.window.close()
            self.window = None
            QApplication.quit()

make, watch = start._application, []
def application(probe):
    app = make(probe)
    watch.append(Watch(app))
    QTimer.singleShot(0, watch[0].find)
    return app
start._application = application
cli.main([])
"""


def first_picture() -> float:
    """Seconds from the start of a process to the first painted heatmap."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home}
        # A warm start finds its modules compiled, unless whoever calls this has told Python not to keep them.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        started = time.time()
        child = subprocess.run(
            [sys.executable, "-c", FIRST_PICTURE], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True
        )
    return float(child.stdout.split()[-1]) - started


def in_a_process(what: str, arguments: argparse.Namespace) -> Any:
    """The result of this program's own part in a process of its own."""
    command = [sys.executable, __file__, "--part", what]
    for name in ("seconds", "layers", "units"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def display() -> subprocess.Popen[bytes] | None:
    """Starts Xvfb if there is no display; sets DISPLAY."""
    if os.environ.get("DISPLAY"):
        return None
    if shutil.which("Xvfb") is None:
        sys.exit("needs a display, or Xvfb (Debian: apt-get install xvfb)")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1920x1080x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as told:
        os.environ["DISPLAY"] = f":{told.readline().strip()}"
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--layers", type=int, default=100)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--part", choices=("headless", "windowed"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part == "headless":
        print(json.dumps(headless(arguments.layers, arguments.units, arguments.seconds)))
        return
    if arguments.part == "windowed":
        print(json.dumps(windowed(arguments.layers, arguments.units, arguments.seconds)))
        return
    os.environ.pop("QT_QPA_PLATFORM", None)
    server = display()
    try:
        before = in_a_process("headless", arguments)
        found = in_a_process("windowed", arguments)
        after = in_a_process("headless", arguments)
        first_picture()
        starts = [first_picture() for _ in range(5)]
    finally:
        if server is not None:
            server.terminate()
            server.wait()
    alone = (before + after) / 2
    print(f"stack: {arguments.layers} x {arguments.units} tanh, batch 32, {arguments.seconds:g} s each")
    print(
        f"gaps between {found['frames']} frames, ms: median {found['median']:.1f}, p99 {found['p99']:.1f}, "
        f"longest {found['longest']:.1f}; under 20 ms: {100 * found['under_20_ms']:.1f} %"
    )
    print(
        f"speed, steps/s: window {found['speed']:.1f}, headless {before:.1f} and {after:.1f}: "
        f"kept {100 * found['speed'] / alone:.1f} %"
    )
    print(f"closing while training: {found['close_ms']:.0f} ms")
    print(f"process start to first painted heatmap, s: median {statistics.median(starts):.2f} of 5")


if __name__ == "__main__":
    main()

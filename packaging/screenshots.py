"""Makes the README's pictures from the real window.

    python packaging/screenshots.py FOLDER [NAME ...]

Starts Xvfb, opens the window with bundled experiments, trains them for a while and saves what the window shows as
FOLDER/NAME.png. Without names it makes all of them. Pictures of one name differ in nothing but the moment: the same
experiment, seed and number of steps.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 300.0


@dataclasses.dataclass(frozen=True)
class Picture:
    """One of them.

    Attributes:
        experiment: Name of the bundled experiment.
        steps: How many steps are trained; a run that diverges before stays where it pauses.
        page: The page of the side panel.
        row: The row whose layer is selected, or None.
        show: The quantity on the heatmap.
        slow: The phase of slow motion that is shown, or "".
        compare: Keys of the cures that it is compared with.
        lesson: Name of a lesson and number of its step, from 0, whose result is shown instead of the experiment.
        language: What the window speaks.
    """

    name: str
    experiment: str
    theme: str = "light"
    size: tuple[int, int] = (1280, 800)
    steps: int = 1500
    page: str = "Inspector"
    row: int | None = None
    show: str = "delta_rms"
    slow: str = ""
    compare: tuple[str, ...] = ()
    lesson: tuple[str, int] | None = None
    language: str = "en"


PICTURES = (
    Picture("vanishing-light", "vanishing-sigmoid", page="Findings", row=1),
    Picture("vanishing-dark", "vanishing-sigmoid", "dark", page="Inside", row=3),
    Picture("vanishing-projector", "vanishing-sigmoid", "projector", page="Run"),
    Picture("exploding-light", "exploding-avalanche", page="Both ways"),
    Picture("exploding-dark", "exploding-tanh", "dark", page="Run", show="gradient_rms"),
    Picture("healthy-light", "init-ladder-3-he", page="Data", steps=450),
    Picture("healthy-dark", "small-spiral", "dark", page="Data", steps=4000),
    Picture("clipping-light", "clipping-norm", page="Clipping", steps=400),
    Picture("slow-motion-light", "vanishing-sigmoid", steps=300, slow="backward"),
    Picture("vanishing-large", "vanishing-sigmoid", size=(1920, 1080), page="Inside", row=2),
    Picture("exploding-large-dark", "exploding-deep-relu", "dark", (1920, 1080), page="Run"),
    Picture("healthy-large-projector", "lecture-selu", "projector", (1920, 1080), page="Both ways", steps=300),
    Picture("compare-light", "vanishing-sigmoid", steps=300, compare=("bn-before",)),
    Picture("lesson-light", "vanishing-sigmoid", lesson=("vanishing", 0)),
    Picture("lesson-chinese", "vanishing-sigmoid", lesson=("batches", 2), language="zh_CN"),
    Picture("findings-large-dark", "vanishing-sigmoid", "dark", (1920, 1080), page="Findings"),
    Picture("residual-large", "residual-blocks", size=(1920, 1080), row=4),
)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    wanted = sys.argv[2:] or [picture.name for picture in PICTURES]
    unknown = set(wanted) - {picture.name for picture in PICTURES}
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(p.name for p in PICTURES)}")
    folder.mkdir(parents=True, exist_ok=True)
    server = display()
    try:
        take([picture for picture in PICTURES if picture.name in wanted], folder)
    finally:
        server.terminate()
        server.wait()


def display() -> subprocess.Popen[bytes]:
    """A display large enough for every picture."""
    if shutil.which("Xvfb") is None:
        sys.exit("needs Xvfb (Debian: apt-get install xvfb)")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1920x1080x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as told:
        os.environ["DISPLAY"] = f":{told.readline().strip()}"
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    return server


def wait(milliseconds: int) -> None:
    """Lets the window live for a while. QTest.qWait would not do: it keeps Python's lock from the training thread."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def until(true: Callable[[], object], what: str) -> None:
    """Waits for something; ends the program if it does not come."""
    deadline = time.monotonic() + SECONDS
    while not true():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: did not come within {SECONDS:g} s")
        wait(20)


def take(pictures: list[Picture], folder: Path) -> None:
    """Opens one window after the other and saves what it shows."""
    sys.path.insert(0, str(ROOT))
    from PySide6.QtWidgets import QApplication

    from gradsim.app import language, theme
    from gradsim.app.collector import Collector
    from gradsim.app.session import Session
    from gradsim.app.settings import Settings
    from gradsim.app.window import MainWindow
    from gradsim.model import bundled

    application = QApplication([])
    theme.install(application)
    collector = Collector()
    for picture in pictures:
        theme.set_choice(picture.theme)  # type: ignore[arg-type]
        language.use(picture.language)
        with tempfile.TemporaryDirectory() as own:
            session = Session(bundled.load(picture.experiment))
            window = MainWindow(session, Settings(Path(own) / "settings.ini"), Path(own))
            window.files.ask_unsaved = lambda _: "discard"
            window.resize(*picture.size)
            window.show()
            session.start()
            until(lambda session=session: session.recorder is not None, f"{picture.name}: the run")
            if picture.lesson is not None:
                show_lesson(window, *picture.lesson)
            elif picture.compare:
                show_comparison(window, picture)
            else:
                show_run(window, picture)
            wait(1500)
            window.grab().save(str(folder / f"{picture.name}.png"))
            window.close()
            window.deleteLater()
            wait(50)
    collector.stop()


def train(player: Any, picture: Picture) -> None:
    """Does the steps of a picture; what diverges pauses before."""
    player.runner.step(picture.steps)
    until(
        lambda: (
            player.status.state != "playing"
            and (player.status.step >= picture.steps or player.status.state == "diverged")
        ),
        f"{picture.name}: {picture.steps} steps",
    )


def show_run(window: Any, picture: Picture) -> None:
    """One experiment, trained, with a page of the side panel."""
    session = window.session
    train(session, picture)
    session.state.set_quantity(picture.show)
    # The button of the findings tells how many there are.
    titles = [title.partition(" (")[0] for title in window.side.titles()]
    window.side.show_page(titles.index(picture.page))
    if picture.row is not None:
        session.select_row(picture.row)
    if picture.slow:
        session.set_slow_motion(True)
        while session.phase is None or session.phase.name != picture.slow:
            before = session.phase
            session.step_once()
            until(lambda before=before: session.phase is not before, "a phase")


def show_comparison(window: Any, picture: Picture) -> None:
    """The experiment beside itself with cures."""
    comparing = window.comparing
    comparing.with_cures(picture.compare)
    player = comparing.player
    until(lambda: player.recorder is not None, f"{picture.name}: the twins")
    player.pause()
    until(lambda: player.status.state != "playing", f"{picture.name}: a pause")
    train(player, dataclasses.replace(picture, steps=max(1, picture.steps - player.status.step)))


def show_lesson(window: Any, name: str, step: int) -> None:
    """The result of a step of a lesson."""
    from gradsim.app.lessons.lecture import Lecture

    lecture = Lecture.of(window.session)
    lecture.open(next(lesson for lesson in lecture.lessons if lesson.name == name), step)
    wait(1000)
    lecture.run()
    until(lambda: lecture.phase == "result", f"{name}: the result")


if __name__ == "__main__":
    main()

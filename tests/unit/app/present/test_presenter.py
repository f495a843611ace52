from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.app.present.awake import Awake
from gradsim.app.present.presenter import FIT_MS, ZOOM, Presenter
from gradsim.app.present.talk import Talk
from gradsim.app.window import MainWindow

WAIT = 20_000
OpenWindow = Callable[..., MainWindow]


class ThreeSteps(Talk):
    """A talk with steps, to see where the keys lead."""

    here = 1

    @property
    def title(self) -> str:
        return f"Step {self.here}"

    @property
    def place(self) -> tuple[int, int] | None:
        return self.here, 3

    @property
    def notes(self) -> str:
        return f"Say **{self.here}** slowly."

    @property
    def coming(self) -> str:
        return f"Step {self.here + 1}" if self.here < 3 else ""

    def forward(self) -> None:
        self.here = min(3, self.here + 1)
        self.changed.emit()

    def back(self) -> None:
        self.here = max(1, self.here - 1)
        self.changed.emit()


def look(window: MainWindow) -> tuple[object, ...]:
    """All that a presentation must leave as it was."""
    stage = window.stage
    parts = (window.menuBar(), window.statusBar(), window.transport, window.left, window.side, stage.profile)
    return (
        *(part.isHidden() for part in parts),
        theme.choice(),
        theme.zoom(),
        window.across.sizes(),
        stage.parts.sizes(),
        window.size(),
    )


def test_that_f5_shows_only_what_an_audience_needs_and_the_window_comes_back(
    open_window: OpenWindow, qtbot: QtBot
) -> None:
    theme.set_zoom(90)
    window = open_window()
    before = look(window)
    qtbot.keyClick(window, Qt.Key.Key_F5)
    assert window.presenter.on
    assert window.windowState() & Qt.WindowState.WindowFullScreen
    assert window.menuBar().isHidden() and window.left.isHidden() and window.side.isHidden()
    assert not window.stage.heatmap.isHidden() and not window.presenter.heading.isHidden()
    assert window.presenter.heading.title.text() == (window.session.experiment.name or "Untitled experiment")
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not window.presenter.on
    qtbot.wait(200)
    assert look(window) == before


def test_that_presenting_enlarges_type_and_lines_with_the_screen(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    plain_points, plain_width = theme.font().pointSizeF(), theme.line_width()
    window.presenter.enter()
    window.setWindowState(Qt.WindowState.WindowNoState)
    window.resize(1024, 768)
    qtbot.waitUntil(lambda: theme.zoom() == 150, timeout=WAIT)
    assert theme.font().pointSizeF() >= 1.6 * plain_points
    assert theme.line_width() >= 2 * plain_width
    window.resize(1920, 1080)
    qtbot.waitUntil(lambda: theme.zoom() > 200, timeout=WAIT)
    window.presenter.leave()
    assert (theme.font().pointSizeF(), theme.line_width()) == (plain_points, plain_width)


def test_that_the_audiences_size_is_not_remembered_as_the_users(open_window: OpenWindow) -> None:
    window = open_window()
    theme.set_choice("dark")
    window.presenter.enter()
    assert theme.current().dark and theme.current().line_width == theme.PROJECTOR.line_width
    theme.zoom_by(1)
    window.settings.keep_theme()
    assert window.settings.get("view/zoom", 0) == 100
    assert window.settings.get("view/theme", "") == "dark"
    window.presenter.leave()
    assert theme.zoom() == 100


def test_that_a_window_closed_while_presenting_keeps_its_own_layout(open_window: OpenWindow) -> None:
    window = open_window()
    window.presenter.enter()
    window.close()
    assert window.settings.get("view/side", False) is True
    assert theme.zoom() == 100


def test_that_rows_share_the_height_in_the_direction_of_the_cards(open_window: OpenWindow) -> None:
    window = open_window()
    heatmap = window.stage.heatmap
    window.presenter.enter()
    spans = [heatmap.rows.span(row) for row in range(len(window.session.rows()))]
    assert all(span is not None for span in spans)
    assert heatmap.rows.upwards
    heights = {round(span[1], 3) for span in spans if span is not None}
    assert len(heights) == 1


def test_that_a_clicker_goes_from_step_to_step(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    talk = ThreeSteps(window.session)
    window.presenter.set_talk(talk)
    window.presenter.enter()
    for key, title in (
        (Qt.Key.Key_PageDown, "Step 2"),
        (Qt.Key.Key_PageDown, "Step 3"),
        (Qt.Key.Key_PageUp, "Step 2"),
    ):
        qtbot.keyClick(window, key)
        assert window.presenter.heading.title.text() == title
    assert window.presenter.heading.place.text() == "2 of 3"


def test_that_a_frozen_picture_stays_while_the_next_step_is_prepared(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.presenter.set_talk(ThreeSteps(window.session))
    window.presenter.enter()
    # As large as a projector: the screen of the tests is smaller than what large type needs.
    window.setWindowState(Qt.WindowState.WindowNoState)
    window.resize(1024, 768)
    qtbot.waitUntil(lambda: theme.zoom() == ZOOM, timeout=WAIT)
    qtbot.wait(2 * FIT_MS)
    assert window.width() == 1024
    qtbot.keyClick(window, Qt.Key.Key_F)
    assert window.presenter.frozen
    shown = window.grab().toImage()
    qtbot.keyClick(window, Qt.Key.Key_PageDown)
    window.session.state.set_quantity("weight_rms")
    qtbot.wait(100)
    assert window.grab().toImage() == shown
    prepared = window.presenter.preview()
    assert prepared is not None and prepared.toImage() != shown
    qtbot.keyClick(window, Qt.Key.Key_F)
    assert not window.presenter.frozen and window.presenter.preview() is None
    assert window.grab().toImage() != shown


def test_that_b_shows_the_audience_nothing(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.presenter.enter()
    qtbot.keyClick(window, Qt.Key.Key_B)
    middle = window.grab().toImage().pixelColor(window.width() // 2, window.height() // 2)
    assert middle.name() == "#000000"
    qtbot.keyClick(window, Qt.Key.Key_B)
    assert not window.presenter.black


def test_that_keys_of_the_talk_do_nothing_in_the_ordinary_window(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    for key in (Qt.Key.Key_F, Qt.Key.Key_B, Qt.Key.Key_Escape):
        qtbot.keyClick(window, key)
    assert not window.presenter.on and not window.presenter.frozen


def test_that_notes_show_the_step_the_next_one_and_the_time(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.presenter.set_talk(ThreeSteps(window.session))
    window.presenter.enter()
    qtbot.keyClick(window, Qt.Key.Key_N)
    notes = window.presenter.notes
    assert notes is not None
    assert "Say 1 slowly" in notes.text.toPlainText()
    assert "Step 2" in notes.coming.text()
    notes.began -= 3725
    notes.tick()
    assert "1:02:05" in notes.elapsed.text()
    notes.again.click()
    assert "0:00" in notes.elapsed.text()
    qtbot.keyClick(notes, Qt.Key.Key_PageDown)
    assert "Say 2 slowly" in notes.text.toPlainText()
    qtbot.keyClick(notes, Qt.Key.Key_Escape)
    assert window.presenter.notes is None and not window.presenter.on


def test_that_notes_open_by_themselves_where_there_are_two_screens(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    one = QGuiApplication.primaryScreen()

    class Two:
        """The same screen twice would do for the geometry; identity tells them apart."""

        def __getattr__(self, name: str) -> object:
            return getattr(one, name)

    presenter = Presenter(window, screens=lambda: [one, Two()])  # type: ignore[list-item]
    window.presenter = presenter
    presenter.enter()
    assert presenter.notes is not None
    presenter.leave()
    assert presenter.notes is None


class Recorded:
    """A way of staying awake that writes down what it is asked."""

    def __init__(self, answers: bool) -> None:
        self.answers, self.calls = answers, list[str]()

    def hold(self) -> bool:
        self.calls.append("hold")
        return self.answers

    def release(self) -> None:
        self.calls.append("release")


def test_that_the_screen_stays_on_while_presenting(open_window: OpenWindow) -> None:
    window = open_window()
    missing, found = Recorded(False), Recorded(True)
    window.presenter.awake = Awake(ways=(missing, found))
    window.presenter.enter()
    assert window.presenter.awake.held
    window.presenter.leave()
    assert (missing.calls, found.calls) == (["hold"], ["hold", "release"])


@pytest.mark.parametrize("bus", ["", "unix:path=/nonexistent"])
def test_that_a_system_without_a_way_to_stay_awake_is_left_alone(bus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus)
    monkeypatch.setenv("PATH", "")
    awake = Awake()
    awake.hold()
    assert not awake.held
    awake.release()


TWO_SCREENS = """
import json, sys
from pathlib import Path
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

folder = Path(sys.argv[1])
from gradsim.app import theme
from gradsim.app.session import Session
from gradsim.app.settings import Settings
from gradsim.app.window import MainWindow

def settle():
    loop = QEventLoop()
    QTimer.singleShot(400, loop.quit)
    loop.exec()

def places():
    settle()
    notes = window.presenter.notes
    return [window.screen().name(), notes.screen().name() if notes is not None else ""]

app = QApplication([])
theme.install(app)
window = MainWindow(Session(), Settings(folder / "settings.ini"), folder)
window.resize(1000, 700)
window.show()
found = [places()]
window.presenter.enter()
found.append(places())
window.presenter.swap()
found.append(places())
window.presenter.leave()
found.append(places())
found.append([window.width(), window.height()])
print(json.dumps(found))
window.close()
"""


def test_that_the_audience_gets_the_projector_and_the_teacher_the_own_screen(tmp_path: Path) -> None:
    screens = [
        {"name": "own", "x": 0, "y": 0, "width": 1280, "height": 800, "logicalDpi": 96, "dpr": 1},
        {"name": "projector", "x": 1280, "y": 0, "width": 1024, "height": 768, "logicalDpi": 96, "dpr": 1},
    ]
    (tmp_path / "screens.json").write_text(json.dumps({"screens": screens}))
    environment = os.environ | {"QT_QPA_PLATFORM": f"offscreen:configfile={tmp_path / 'screens.json'}"}
    done = subprocess.run(
        [sys.executable, "-c", TWO_SCREENS, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [
        ["own", ""],
        ["projector", "own"],
        ["own", "projector"],
        ["own", ""],
        [1000, 700],
    ]


def test_that_a_talk_left_and_taken_up_again_is_heard_once(
    open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window()
    heading = window.presenter.heading
    talk = ThreeSteps(window.session)
    for _ in range(3):
        window.presenter.set_talk(talk)
        window.presenter.set_talk(None)
    window.presenter.set_talk(talk)
    heard = []
    monkeypatch.setattr(heading.line, "setText", lambda text: heard.append(talk.title))
    talk.forward()
    assert heard == ["Step 2"]

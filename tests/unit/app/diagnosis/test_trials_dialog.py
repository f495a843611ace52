from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from gradsim.app import theme
from gradsim.app.diagnosis.trials_dialog import SHOWABLE, Column, TrialsDialog
from gradsim.app.see.miniature import miniature
from gradsim.app.window import MainWindow
from gradsim.diagnose import Finding, cures
from gradsim.model.experiment import Experiment
from gradsim.telemetry.classes import Special
from gradsim.telemetry.quantities import quantity
from tests.unit.app.diagnosis.stacks import WAIT, OpenWindow, fading, train
from tests.unit.app.experiments import exploding_experiment, small_experiment
from tests.unit.app.see.conftest import painted

FEW = (("relu",), ("bn-before",), ("adam",), ("relu", "adam"))


@pytest.fixture
def few_cures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only some candidates, so that the tests are quick; the rest of the trials is real."""
    every = cures.candidates

    def some(experiment: Experiment, findings: Sequence[Finding] = ()) -> tuple[cures.Candidate, ...]:
        return tuple(one for one in every(experiment, findings) if not one.keys or one.keys in FEW)

    monkeypatch.setattr(cures, "candidates", some)


def trying_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(("trials", "cure"))]


@pytest.fixture
def window(open_window: OpenWindow) -> Iterator[MainWindow]:
    made = open_window(fading(6))
    yield made
    if made.diagnosis.trials is not None:
        made.diagnosis.trials.reject()


def tried(window: MainWindow, qtbot: QtBot, steps: int = 100) -> TrialsDialog:
    dialog = window.diagnosis.try_cures()
    assert dialog is not None
    dialog.steps.setCurrentIndex(dialog.steps.findData(steps))
    dialog.begin()
    qtbot.waitUntil(lambda: dialog.trying is not None and not dialog.trying.running, timeout=WAIT)
    return dialog


@pytest.mark.usefixtures("few_cures")
def test_that_all_candidates_are_ranked_with_a_heatmap_each(window: MainWindow, qtbot: QtBot) -> None:
    dialog = tried(window, qtbot)
    shown = dialog.model.shown
    assert {trial.candidate.keys for trial in shown} == {(), *FEW}
    assert [trial.rank for trial in shown] == [1, 2, 3, 4, 5]
    scores = [trial.result.score for trial in shown if trial.result is not None]
    assert scores == sorted(scores)
    assert all(trial.picture is not None and trial.picture.shape == (len(window.session.rows()), 100)
               for trial in shown if "bn-before" not in trial.candidate.keys)  # fmt: skip
    assert dialog.count.text() == "5 of 5 trials"
    assert dialog.reference.text().startswith("As it is: loss 0.6")
    # Vanishing blue on the row of the experiment as it is, in the very colours of the large heatmap.
    as_it_is = next(trial for trial in shown if not trial.candidate.keys)
    colours = np.array([QColor(value).getRgb()[:3] for value in theme.current().table_argb()], np.uint8)
    assert as_it_is.picture is not None
    wanted = colours[int(as_it_is.picture[-1, -1])]
    assert (painted(dialog.table.viewport()) == wanted).all(axis=-1).any()


@pytest.mark.usefixtures("few_cures")
def test_that_enter_adopts_the_best_as_one_step(window: MainWindow, qtbot: QtBot) -> None:
    before = window.session.experiment
    dialog = tried(window, qtbot)
    best = dialog.model.shown[0]
    assert dialog.table.trial() is best
    assert dialog.adopt_button.text() == f"Adopt {best.candidate.title}"
    qtbot.keyClick(dialog.table, Qt.Key.Key_Return)
    assert window.session.experiment == best.candidate.experiment
    assert window.session.document.undo_names == (best.candidate.title,)
    assert window.diagnosis.trials is None
    window.session.undo()
    assert window.session.experiment == before


@pytest.mark.usefixtures("few_cures")
def test_that_a_click_on_the_button_of_a_row_adopts_that_row(window: MainWindow, qtbot: QtBot) -> None:
    dialog = tried(window, qtbot)
    row = next(n for n, trial in enumerate(dialog.model.shown) if trial.candidate.keys == ("adam",))
    place = dialog.table.visualRect(dialog.model.index(row, Column.ADOPT)).center()
    qtbot.mouseClick(dialog.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert window.session.experiment.optimizer.identifier == "Adam"


@pytest.mark.usefixtures("few_cures")
def test_that_the_experiment_as_it_is_cannot_be_adopted(window: MainWindow, qtbot: QtBot) -> None:
    dialog = tried(window, qtbot)
    row = next(n for n, trial in enumerate(dialog.model.shown) if not trial.candidate.keys)
    dialog.table.selectRow(row)
    assert not dialog.adopt_button.isEnabled()
    qtbot.keyClick(dialog.table, Qt.Key.Key_Return)
    assert not window.session.document.undo_names


def test_that_closing_cancels_at_once(window: MainWindow, qtbot: QtBot) -> None:
    dialog = window.diagnosis.try_cures()
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.trying is not None and any(t.step for t in dialog.trying.trials), timeout=WAIT)
    before = window.session.experiment
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert window.diagnosis.trials is None
    qtbot.waitUntil(lambda: not trying_threads(), timeout=WAIT)
    assert window.session.experiment is before


def test_that_closing_the_window_ends_the_trials(window: MainWindow, qtbot: QtBot) -> None:
    dialog = window.diagnosis.try_cures()
    assert dialog is not None
    qtbot.waitUntil(lambda: bool(dialog.trying is not None and dialog.trying.trials), timeout=WAIT)
    window.close()
    qtbot.waitUntil(lambda: not trying_threads(), timeout=WAIT)


@pytest.mark.usefixtures("few_cures")
def test_that_the_open_run_pauses_meanwhile_and_goes_on_after(window: MainWindow, qtbot: QtBot) -> None:
    session = window.session
    session.play()
    qtbot.waitUntil(lambda: session.status.step > 3, timeout=WAIT)
    dialog = window.diagnosis.try_cures()
    assert dialog is not None
    qtbot.waitUntil(lambda: session.status.state == "paused", timeout=WAIT)
    step = session.status.step
    dialog.reject()
    qtbot.waitUntil(lambda: session.status.step > step, timeout=WAIT)
    session.pause()


@pytest.mark.usefixtures("few_cures")
def test_that_the_table_is_sorted_by_any_column(window: MainWindow, qtbot: QtBot) -> None:
    dialog = tried(window, qtbot)
    dialog.table.sortByColumn(Column.CURE, Qt.SortOrder.AscendingOrder)
    titles = [trial.candidate.title.lower() for trial in dialog.model.shown]
    assert titles == sorted(titles)
    dialog.table.sortByColumn(Column.ACCURACY, Qt.SortOrder.AscendingOrder)
    accuracies = [trial.result.accuracy for trial in dialog.model.shown if trial.result is not None]
    assert accuracies == sorted(accuracies, reverse=True)


def test_that_what_can_not_be_trained_says_so(open_window: OpenWindow, qtbot: QtBot) -> None:
    from tests.unit.app.experiments import impossible_experiment

    window = open_window(impossible_experiment(), started=False)
    assert window.diagnosis.try_cures() is None
    assert window.banner.isVisible()


@pytest.mark.usefixtures("few_cures")
def test_that_a_cure_can_be_found_from_the_findings_page(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading(6))
    train(window, qtbot, 200)
    window.diagnosis.findings.trials.click()
    dialog = window.diagnosis.trials
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.trying is not None and dialog.trying.done == 5, timeout=WAIT)
    dialog.reject()


def test_that_a_miniature_keeps_what_only_one_step_or_layer_shows() -> None:
    result = cures.try_cures(
        exploding_experiment(), 50, [cures.Candidate((), "as it is", exploding_experiment(), None)]
    )[0]
    assert result.broke
    for key in SHOWABLE:
        picture = miniature(result.recording, key, quantity(key).thresholds, 50, (10, 2), upwards=True)
        assert picture.shape == (2, 10)
    picture = miniature(result.recording, "delta_rms", quantity("delta_rms").thresholds, 50, (10, 2), upwards=True)
    # The NaN of the last step done wins over what is finite; the steps that were not done are empty.
    column = (result.steps - 1) // 5
    assert (picture[:, column] == Special.NAN).any() or (picture[:, column] == Special.INFINITE).any()
    assert (picture[:, column + 1 :] == Special.EMPTY).all()


def test_that_a_miniature_stands_as_the_large_heatmap_does() -> None:
    experiment = small_experiment()
    result = cures.try_cures(experiment, 20, [cures.Candidate((), "as it is", experiment, None)])[0]
    size, scale = (20, 10), quantity("delta_rms").thresholds
    upwards = miniature(result.recording, "delta_rms", scale, 20, size, upwards=True)
    downwards = miniature(result.recording, "delta_rms", scale, 20, size, upwards=False)
    np.testing.assert_array_equal(upwards, downwards[::-1])
    assert upwards.shape == (3, 20)

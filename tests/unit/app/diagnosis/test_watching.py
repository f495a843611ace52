from __future__ import annotations

from pytestqt.qtbot import QtBot

from gradsim.app.diagnosis.watching import PATIENCE, Memory
from gradsim.diagnose import Finding, definitions
from gradsim.model import bundled, edits
from tests.unit.app.diagnosis.stacks import WAIT, OpenWindow, fading, kinds, train
from tests.unit.app.experiments import exploding_experiment

DEFINITIONS = {definition.kind: definition for definition in definitions()}


def finding(kind: str, stop: int = 10) -> Finding:
    return Finding(DEFINITIONS[kind], (0,), 0, stop, {}, "student", "expert", ())


def shown(memory: Memory) -> list[str]:
    return [seen.finding.kind for seen in memory.shown]


def test_that_a_finding_that_comes_and_goes_does_not_flicker() -> None:
    memory = Memory()
    memory.take([finding("saturated")], moving=True)
    assert not shown(memory)
    memory.take([finding("saturated")], moving=True)
    assert shown(memory) == ["saturated"]
    for _ in range(PATIENCE - 1):
        memory.take([], moving=True)
        assert shown(memory) == ["saturated"]
    memory.take([finding("saturated")], moving=True)
    for _ in range(PATIENCE):
        assert shown(memory) == ["saturated"]
        memory.take([], moving=True)
    assert not shown(memory)


def test_that_findings_that_stay_keep_their_place() -> None:
    memory = Memory()
    first = [finding("noise"), finding("stopped"), finding("saturated")]
    memory.take(first, moving=False)
    assert shown(memory) == ["stopped", "saturated", "noise"]
    memory.take([finding("vanishing"), *first], moving=False)
    assert shown(memory) == ["stopped", "vanishing", "saturated", "noise"]
    memory.take([finding("vanishing"), finding("stopped", 20)], moving=False)
    assert shown(memory) == ["stopped", "vanishing"]
    assert memory.shown[0].finding.stop == 20


def test_that_what_is_wrong_is_found_while_training(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    window.session.play()
    qtbot.waitUntil(lambda: "vanishing" in kinds(window), timeout=WAIT)
    assert window.session.playing
    window.session.pause()


def test_that_the_last_steps_of_a_run_are_diagnosed(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(exploding_experiment())
    window.session.play()
    qtbot.waitUntil(lambda: "non-finite" in kinds(window), timeout=WAIT)
    qtbot.waitUntil(lambda: window.diagnosis.watching.settled, timeout=WAIT)
    looked = window.diagnosis.watching.looked
    assert looked is not None
    assert looked.stop == window.session.recorder.stop


def test_that_another_run_begins_without_findings(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    train(window, qtbot, 200)
    assert "vanishing" in kinds(window)
    window.session.reset()
    qtbot.waitUntil(lambda: window.session.recorder is not None and not window.session.recorder.stop, timeout=WAIT)
    assert not kinds(window)
    assert window.diagnosis.findings.headline.text() == "Nothing is recorded yet"


def test_that_a_small_gradient_near_a_good_optimum_is_no_finding(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(bundled.load("small-circle"))
    for _ in range(4):
        train(window, qtbot, 1500)
        assert not kinds(window) & {"vanishing", "exploding", "stopped", "below-format", "unstable-rate", "dead"}
    assert window.diagnosis.findings.headline.text() == "Nothing is wrong so far"


def test_that_a_limit_set_while_training_counts_at_once(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    run = window.session.recorder
    window.session.edit(edits.set_field, "", "optimizer.clipnorm", 1e-6)
    train(window, qtbot, 100)
    assert window.session.recorder is run
    assert "clipping-always" in kinds(window)
    window.session.edit(edits.set_field, "", "optimizer.clipnorm", None)
    qtbot.waitUntil(lambda: "clipping-always" not in kinds(window), timeout=WAIT)


def test_that_closing_ends_a_diagnosis_that_is_going_on(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    window.session.play()
    qtbot.waitUntil(lambda: window.session.status.step > 50, timeout=WAIT)
    window.close()
    assert not window.isVisible()
    heard: list[int] = []
    window.diagnosis.watching.changed.connect(lambda: heard.append(1))
    qtbot.wait(300)
    assert not heard

"""A recording shown up to a step."""

from __future__ import annotations

import numpy as np
import pytest

from gradsim.telemetry import Layer, Recorder, Recording
from gradsim.telemetry.playback import Moment, Playback
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS


def recorded(steps: int, first_nan: int | None = None) -> Recording:
    recorder = Recorder([Layer("a", units=4, weight_size=4), Layer("b", units=4, weight_size=4)], 4_000_000)
    layers = np.zeros((steps, 2, len(LAYER_COLUMNS)))
    layers[:, :, LAYER_COLUMNS.index("gradient_norm")] = np.arange(1, steps + 1)[:, None]
    figures = np.ones((steps, len(STEP_COLUMNS)))
    if first_nan is not None:
        layers[first_nan:, 1, LAYER_COLUMNS.index("delta_nan")] = 1
    recorder.append(layers, figures)
    recorder.append_validation(steps // 2, 1.0)
    return recorder.recording()


def test_that_what_comes_later_is_not_shown_not_even_within_a_column() -> None:
    shown = Playback(recorded(100))
    shown.show_until(50)
    assert shown.stop == 50
    found = shown.columns("gradient_norm", 0, 100, stride=8)
    assert np.nanmax(found.maximum) == 50
    assert found.recorded.sum() == 7


def test_that_showing_more_tells_only_what_is_new() -> None:
    shown = Playback(recorded(100))
    shown.show_until(10)
    position = shown.since().position
    shown.show_until(30)
    news = shown.since(position)
    assert (news.start, news.stop) == (10, 30)


def test_that_going_back_has_everything_read_anew() -> None:
    shown = Playback(recorded(100))
    position = shown.since().position
    shown.show_until(30)
    assert shown.since(position)[:2] == (0, 30)


def test_that_the_first_nan_and_the_validation_appear_when_their_step_does() -> None:
    shown = Playback(recorded(100, first_nan=60))
    shown.show_until(50)
    assert shown.first_nonfinite is None
    assert len(shown.validation.step) == 0
    shown.show_until(61)
    assert shown.first_nonfinite is not None
    assert shown.validation.step.tolist() == [50]


def test_that_one_step_is_had_and_a_later_one_is_not() -> None:
    shown = Playback(recorded(100))
    shown.show_until(20)
    assert shown.at(19)["gradient_norm"][0, 0] == 20
    with pytest.raises(IndexError, match="allowed 0 to 19"):
        shown.at(20)


def test_that_a_recording_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="one step or more"):
        Playback(recorded(100).slice(50, 50))


def test_that_a_moment_stays_while_the_run_goes_on() -> None:
    recorder = Recorder([Layer("a", units=4, weight_size=4)], 4_000_000)
    rng = np.random.default_rng(3)

    def go_on(steps: int, *, broken: bool = False) -> None:
        layers = rng.random((steps, 1, len(LAYER_COLUMNS)))
        for number, key in enumerate(LAYER_COLUMNS):
            if key.endswith(("_nan", "_inf")):
                layers[..., number] = broken
        recorder.append(layers, np.ones((steps, len(STEP_COLUMNS))))
        recorder.append_validation(recorder.stop - 1, 1.0)

    go_on(100)
    then, moment = recorder.recording(), Moment(recorder)
    go_on(70, broken=True)
    assert (moment.stop, recorder.stop) == (100, 170)
    for stride in (1, 8):
        found = moment.columns("delta_rms", 0, 200, stride=stride)
        np.testing.assert_array_equal(found.maximum, then.columns("delta_rms", 0, 200, stride=stride).maximum)
    news = moment.since()
    assert (news.start, news.stop) == (0, 100)
    again = moment.since(news.position)
    assert (again.start, again.stop) == (100, 100)
    assert moment.validation.step.tolist() == [99]
    assert recorder.first_nonfinite is not None
    assert moment.first_nonfinite == then.first_nonfinite
    assert moment.at(99)["delta_rms"][0, 0] == then["delta_rms"][99, 0]
    with pytest.raises(IndexError, match="allowed 0 to 99"):
        moment.at(100)

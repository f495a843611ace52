"""The vocabulary of claims, over recordings whose numbers are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gradsim.lessons import Outcome
from gradsim.lessons.claims import Claim
from gradsim.lessons.fields import chosen, made
from gradsim.lessons.measures import MEASURES, Measure, Rows, Scene
from gradsim.lessons.surface import Path, Surface
from gradsim.nn import optimizers
from gradsim.nn.spec import Fault
from gradsim.telemetry import Layer, Recorder, Recording

LAYERS = (
    Layer("flatten", "Flatten", units=4),
    Layer("dense", "Dense", weight_size=16, units=4),
    Layer("dense_1", "Dense", weight_size=16, units=4),
    Layer("dense_2", "Dense", weight_size=16, units=4),
)


def recording(steps: int = 10, layers: tuple[Layer, ...] = LAYERS, **columns: Any) -> Recording:
    """``delta_norm`` of a layer is a tenth of that above it; loss falls from 1 by 0.05 a step."""
    recorder = Recorder(layers)
    for step in range(steps):
        of_layers = {
            "delta_norm": np.array([np.nan, 0.01, 0.1, 1.0]),
            "gradient_norm": np.array([np.nan, 0.02, 0.2, 2.0]),
            "weight_norm": np.array([np.nan, 4.0, 4.0, 4.0]),
            "weight_max": np.array([np.nan, 1.0, 1.0, 1.0]),
            "update_norm": np.array([np.nan, 0.0, 0.2, 0.4]),
        }
        of_step = {"loss": 1 - 0.05 * step, "accuracy": 0.1 * step, "rows": 1.0, "epoch": float(step // 4)}
        for key, value in columns.items():
            target = of_layers if key in of_layers else of_step
            target[key] = value(step)
        recorder.append_step(of_layers, of_step)
    return recorder.recording()


def measured(content: dict[str, Any], *recordings: Recording, paths: tuple[Path, ...] = ()) -> float:
    measure: Measure = chosen(MEASURES, content)
    assert measure.words()
    return measure.value(Outcome(recordings or (recording(),), paths))


def test_that_a_value_is_taken_of_a_layer_at_a_step() -> None:
    assert measured({"type": "value", "quantity": "gradient_norm", "layer": "dense_1", "at": 3}) == pytest.approx(0.2)
    assert measured({"type": "value", "quantity": "loss", "at": 3}) == pytest.approx(0.85)
    assert measured({"type": "value", "quantity": "loss"}) == pytest.approx(0.55)
    assert measured({"type": "value", "quantity": "loss", "at": -2}) == pytest.approx(0.6)


def test_that_a_step_beyond_a_run_that_broke_off_is_its_last_one() -> None:
    assert measured({"type": "value", "quantity": "loss", "at": 500}) == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("by", "expected"), [("mean", 0.65), ("median", 0.65), ("largest", 0.75), ("smallest", 0.55), ("deviation", 0.0)]
)
def test_that_several_steps_are_folded(by: str, expected: float) -> None:
    assert measured({"type": "value", "quantity": "loss", "over": 5, "by": by}) == pytest.approx(expected, abs=1e-12)


def test_that_the_chance_from_step_to_step_does_not_count_a_trend() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.3, 4000)
    noisy = recording(4000, loss=lambda step: 100 - 0.01 * step + noise[step])
    found = measured({"type": "value", "quantity": "loss", "over": 4000, "by": "deviation"}, noisy)
    assert found == pytest.approx(0.3, rel=0.05)


def test_that_measures_are_divided_and_subtracted() -> None:
    top = {"type": "value", "quantity": "delta_rms", "layer": "dense_2"}
    bottom = {"type": "value", "quantity": "delta_rms", "layer": "dense"}
    assert measured({"type": "ratio", "of": bottom, "to": top}) == pytest.approx(0.01)
    loss = {"type": "value", "quantity": "loss"}
    first = {"type": "value", "quantity": "loss", "at": 0}
    assert measured({"type": "difference", "of": first, "to": loss}) == pytest.approx(0.45)


def test_that_runs_are_compared() -> None:
    other = recording(loss=lambda step: 5.0)
    loss = {"type": "value", "quantity": "loss"}
    assert measured({"type": "ratio", "of": {**loss, "run": 1}, "to": {**loss, "at": 0}}, recording(), other) == 5.0


def test_that_a_ratio_to_zero_is_infinite_and_of_nothing_to_nothing_none() -> None:
    zero = {"type": "value", "quantity": "update_norm", "layer": "dense"}
    assert measured({"type": "ratio", "of": {"type": "value", "quantity": "loss"}, "to": zero}) == math.inf
    assert math.isnan(measured({"type": "ratio", "of": zero, "to": zero}))


def test_that_growth_is_the_factor_from_layer_to_layer() -> None:
    assert measured({"type": "growth", "top": "dense_2", "bottom": "dense"}) == pytest.approx(0.1)


def test_that_growth_counts_layers_of_the_same_type_only() -> None:
    normalised = (LAYERS[1], Layer("batch_normalization", "BatchNormalization", weight_size=4, units=4), *LAYERS[2:])
    columns = {"delta_norm": lambda step: np.array([0.01, 0.05, 0.1, 1.0])}
    assert measured(
        {"type": "growth", "top": "dense_2", "bottom": "dense"}, recording(layers=normalised, **columns)
    ) == pytest.approx(0.1)


def test_that_travel_adds_up_all_updates() -> None:
    assert measured({"type": "travel", "layer": "dense"}) == 0
    assert measured({"type": "travel", "layer": "dense_1"}) == pytest.approx(10 * 0.2 / 4)


def test_that_a_frozen_layer_travels_zero_only_if_its_weights_stayed_the_same() -> None:
    frozen = (*LAYERS[:1], Layer("dense", "Dense", weight_size=16, units=4, trainable=False), *LAYERS[2:])
    update = {"update_norm": lambda step: np.array([np.nan, np.nan, 0.2, 0.4])}
    assert measured({"type": "travel", "layer": "dense"}, recording(layers=frozen, **update)) == 0
    moved = {**update, "weight_norm": lambda step: np.array([np.nan, 4.0 + 1e-9 * step, 4.0, 4.0])}
    assert math.isnan(measured({"type": "travel", "layer": "dense"}, recording(layers=frozen, **moved)))


def test_that_the_first_nonfinite_step_is_found() -> None:
    assert measured({"type": "first_nonfinite"}) == math.inf
    broken = recording(loss=lambda step: math.nan if step >= 6 else 1.0)
    assert measured({"type": "first_nonfinite"}, broken) == 6


def test_that_the_first_time_below_a_level_is_found() -> None:
    assert measured({"type": "first_below", "level": 0.7, "over": 1}) == 7
    assert measured({"type": "first_below", "level": 0.7, "over": 3}) == 8
    assert measured({"type": "first_below", "level": 0.1, "over": 1}) == math.inf
    assert measured({"type": "first_below", "level": 0.7, "over": 100}) == math.inf


def test_that_updates_of_the_first_epoch_are_counted() -> None:
    assert measured({"type": "updates_per_epoch"}) == 4


def test_that_validation_is_the_last_one() -> None:
    recorder = Recorder(LAYERS)
    nothing = {"delta_norm": np.full(4, np.nan)}
    for step in range(4):
        recorder.append_step(nothing, {"loss": 1.0})
        recorder.append_validation(step, 0.5 - 0.1 * step, 0.2 * step)
    assert measured({"type": "validation"}, recorder.recording()) == pytest.approx(0.6)
    assert measured({"type": "validation", "of": "loss"}, recorder.recording()) == pytest.approx(0.2)
    assert math.isnan(measured({"type": "validation"}))


def test_that_layers_in_a_state_are_counted() -> None:
    tiny = recording(delta_norm=lambda step: np.array([np.nan, 0.0, 1e-9, 1.0]))
    assert measured({"type": "count", "states": ["vanishing"]}, tiny) == 1
    assert measured({"type": "count", "states": ["vanishing", "zero"]}, tiny) == 2


def test_that_findings_of_a_kind_are_counted() -> None:
    broken = recording(loss=lambda step: math.nan if step >= 6 else 1.0)
    assert measured({"type": "found", "finding": "non-finite"}, broken) == 1
    assert measured({"type": "found", "finding": "non-finite"}) == 0


def test_that_slopes_are_those_of_the_activation() -> None:
    assert measured({"type": "slope", "activation": "sigmoid"}) == pytest.approx(0.25)
    assert measured({"type": "slope", "activation": "relu", "x": -1}) == 0
    assert measured({"type": "slope", "activation": {"type": "leaky_relu", "negative_slope": 0.3}, "x": -2}) == 0.3


def test_that_paths_on_a_surface_are_measured() -> None:
    path = Path(np.zeros((5, 2)), np.array([4.0, 0.5, 2.0, 0.5, 0.4]), False)
    assert measured({"type": "surface_loss", "at": 2}, paths=(path,)) == 2
    assert measured({"type": "surface_loss"}, paths=(path,)) == 0.4
    assert measured({"type": "surface_loss", "at": 2, "lowest": True}, paths=(path,)) == 0.5
    assert measured({"type": "surface_reached", "level": 1.0}, paths=(path,)) == 3, "it has to stay there"
    assert measured({"type": "surface_reached", "level": 0.1}, paths=(path,)) == math.inf


LOSS = {"type": "value", "quantity": "loss"}


@pytest.mark.parametrize(
    ("bounds", "holds"),
    [
        ({"above": 0.5}, True),
        ({"above": 0.6}, False),
        ({"below": 0.6}, True),
        ({"below": 0.5}, False),
        ({"above": 0.5, "below": 0.6}, True),
        ({"above": 0.56, "below": 0.6}, False),
        ({}, True),
    ],
)
def test_that_a_claim_holds_between_its_bounds(bounds: dict[str, float], holds: bool) -> None:
    claim = made(Claim, {"name": "loss", "measure": LOSS, **bounds})
    verdict = claim.check(Outcome((recording(),)))
    assert verdict.holds is holds
    assert verdict.numbers == {"loss": pytest.approx(0.55)}
    assert "0.55" in verdict.sentence and verdict.text() == "0.55"
    assert ("but the text says" in verdict.sentence) is not holds


def test_that_exactly_means_exactly() -> None:
    still = {"name": "still", "measure": {"type": "travel", "layer": "dense"}, "equals": 0}
    assert made(Claim, still).check(Outcome((recording(),))).holds
    barely = recording(update_norm=lambda step: np.array([np.nan, 1e-300, 0.2, 0.4]))
    assert not made(Claim, still).check(Outcome((barely,))).holds


def test_that_a_bound_holds_for_no_nan() -> None:
    claim = made(Claim, {"name": "a", "measure": {"type": "validation"}, "above": -1e300})
    verdict = claim.check(Outcome((recording(),)))
    assert not verdict.holds and "NaN" in verdict.sentence


def test_that_a_step_that_never_comes_is_said_so() -> None:
    claim = made(Claim, {"name": "broken", "measure": {"type": "first_nonfinite"}, "above": 1e9})
    verdict = claim.check(Outcome((recording(),)))
    assert verdict.holds and verdict.text() == "never" and "never" in verdict.sentence


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (0.5523, "", "0.552"),
        (1234.4, "", "1,234"),
        (1.66e-11, "", "1.7 × 10⁻¹¹"),
        (1e-9, "", "10⁻⁹"),
        (5e-324, "", "4.9 × 10⁻³²⁴"),
        (0.0, "", "0"),
        (0.674, "%", "67 %"),
        (0.0042, "%", "0.42 %"),
        (0.25, "inverse", "4"),
        (17.2, "round", "17"),
        (17.26, "1", "17.3"),
        (math.inf, "round", "∞"),
    ],
)
def test_that_numbers_are_written_for_people(value: float, form: str, shown: str) -> None:
    from gradsim.lessons.numbers import formatted

    assert formatted(value, form) == shown


SCENE = Scene(
    (Rows(("flatten", "dense", "dense_1"), (False, True, True), 10),),
    Surface(surface="bowl", start=(1.0, 1.0), optimizers=(optimizers.SGD(),), steps=4),
)


@pytest.mark.parametrize(
    ("measure", "path", "words"),
    [
        ({"type": "value", "quantity": "los"}, "quantity", "did you mean 'loss'?"),
        ({"type": "value", "quantity": "loss", "layer": "dense"}, "layer", "must be empty"),
        ({"type": "value", "quantity": "delta_rms", "layer": "dense_9"}, "layer", "flatten, dense, dense_1"),
        ({"type": "value", "quantity": "delta_rms", "layer": "dense", "at": 10}, "at", "0 to 9"),
        ({"type": "value", "quantity": "delta_rms", "layer": "dense", "run": 1}, "run", "from 0 to 0"),
        ({"type": "ratio", "of": LOSS, "to": {**LOSS, "at": 99}}, "to.at", "0 to 9"),
        ({"type": "growth", "top": "dense", "bottom": "dense_1"}, "bottom", "below dense"),
        ({"type": "travel", "layer": "flatten"}, "layer", "must have weights"),
        ({"type": "found", "finding": "vanish"}, "finding", "did you mean 'vanishing'?"),
        ({"type": "count", "states": ["healthy", "sick"]}, "states[1]", "must be one of"),
        ({"type": "surface_loss", "path": 1}, "path", "from 0 to 0"),
        ({"type": "surface_loss", "at": 9}, "at", "at most 4"),
        ({"type": "slope", "activation": "softmax"}, "activation", "one number"),
    ],
)
def test_that_a_claim_about_what_is_not_there_is_refused(measure: dict[str, Any], path: str, words: str) -> None:
    claim = made(Claim, {"name": "a", "measure": measure})
    found: list[Fault] = list(claim.faults(SCENE))
    assert [fault.path for fault in found] == [f"measure.{path}"]
    assert words in found[0].message


def test_that_every_kind_of_measure_is_tried_here() -> None:
    source = __import__("pathlib").Path(__file__).read_text(encoding="utf-8")
    assert [name for name in MEASURES if f'"type": "{name}"' not in source] == []


def test_that_a_sentence_names_the_run_where_there_are_several() -> None:
    content = {"name": "a", "measure": {"type": "ratio", "of": {**LOSS, "run": 1}, "to": LOSS}}
    claim = made(Claim, content)
    assert claim.check(Outcome((recording(), recording()))).sentence == (
        "[Loss, at the end (run 2)] / [Loss, at the end (run 1)]: 1."
    )
    assert "(run" not in made(Claim, {"name": "a", "measure": LOSS}).check(Outcome((recording(),))).sentence

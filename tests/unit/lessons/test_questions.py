from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gradsim.lessons import Checked, Outcome
from gradsim.lessons.claims import Claim
from gradsim.lessons.fields import chosen, made
from gradsim.lessons.measures import Rows, Scene
from gradsim.lessons.questions import QUESTIONS, Question
from gradsim.telemetry import Layer, Recorder, State

LAYERS = (
    Layer("flatten", "Flatten", units=4),
    *(Layer(f"dense_{n}", "Dense", weight_size=16, units=4) for n in range(5)),
)


def checked(delta: tuple[float, ...] = (1e-9, 1e-3, 1e3, 0.0, math.nan), **claims: float) -> Checked:
    """Layers of which one is vanishing, healthy, exploding, zero and NaN; claims hold if their value is above 1."""
    recorder = Recorder(LAYERS)
    nan = np.array([0, *(float(math.isnan(value)) for value in delta)])
    values = np.array([np.nan, *(0.0 if math.isnan(value) else 2 * value for value in delta)])
    recorder.append_step({"delta_norm": values, "delta_nan": nan}, {"loss": 1.0, "rows": 1.0})
    verdicts = []
    for name, value in claims.items():
        claim = made(Claim, {"name": name, "measure": {"type": "value", "quantity": "loss"}, "above": 1})
        verdict = claim.check(Outcome((recorder.recording(),)))
        verdicts.append(type(verdict)(claim, value, claim.holds(value)))
    return Checked(Outcome((recorder.recording(),)), tuple(verdicts))


def question(content: dict[str, Any]) -> Question:
    found: Question = chosen(QUESTIONS, content)
    return found


def test_that_coloured_layers_are_compared_with_the_measured_states() -> None:
    asked = question(
        {"type": "colour_layers", "layers": ["*"], "states": ["vanishing", "healthy", "exploding", "zero", "NaN"]}
    )
    right = {
        "dense_0": "vanishing", "dense_1": "healthy", "dense_2": "exploding", "dense_3": "zero", "dense_4": "NaN",
    }  # fmt: skip
    score = asked.score(right, checked())
    assert (score.right, score.total) == (5, 5)
    assert score.sentence == "5 of 5 layers as measured."
    wrong = asked.score({**right, "dense_1": "vanishing"}, checked())
    assert (wrong.right, wrong.total) == (4, 5)
    item = next(item for item in wrong.items if not item.right)
    assert (item.key, item.answered, item.measured) == ("dense_1", State.VANISHING, State.HEALTHY)


def test_that_a_layer_without_a_colour_is_not_right() -> None:
    asked = question({"type": "colour_layers", "layers": ["dense_0", "dense_1"]})
    score = asked.score({"dense_0": State.VANISHING}, checked())
    assert (score.right, score.total) == (1, 2)
    assert score.items[1].answered is None


def test_that_a_state_that_is_not_offered_counts_as_the_nearest_one() -> None:
    asked = question({"type": "colour_layers", "layers": ["dense_3", "dense_4"]})
    assert asked.score({"dense_3": "vanishing", "dense_4": "exploding"}, checked()).right == 2


def test_that_layers_are_named_one_by_one_in_spans_and_all() -> None:
    names, weighty = [layer.name for layer in LAYERS], [layer.weight_size > 0 for layer in LAYERS]

    def named(*layers: str) -> list[str]:
        return question({"type": "colour_layers", "layers": list(layers)}).names(names, weighty)  # type: ignore[attr-defined,no-any-return]

    assert named("*") == names[1:]
    assert named("flatten..dense_1") == ["dense_0", "dense_1"]
    assert named("dense_3", "dense_0") == ["dense_0", "dense_3"]


@pytest.mark.parametrize("answer", [{"dense_9": "healthy"}, {"dense_0": "frozen"}, {"dense_0": "blue"}])
def test_that_an_impossible_colour_is_refused(answer: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"must be .*\(received"):
        question({"type": "colour_layers", "layers": ["*"]}).score(answer, checked())


CHOICE = {"type": "choose_one", "choices": [{"key": "low"}, {"key": "high", "right_if": "big"}]}


def test_that_the_measurement_decides_which_answer_is_right() -> None:
    assert question(CHOICE).score("high", checked(big=2)).right == 1
    wrong = question(CHOICE).score("low", checked(big=2))
    assert wrong.right == 0 and wrong.items[0].measured == "high"


def test_that_no_answer_is_right_where_the_numbers_decide_for_none() -> None:
    score = question(CHOICE).score("high", checked(big=0))
    assert score.right == 0 and score.items[0].measured is None
    assert "decide for none" in score.sentence


def test_that_an_answer_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of low, high"):
        question(CHOICE).score("middle", checked(big=2))


@pytest.mark.parametrize(("answer", "right"), [(1e-9, 1), (3e-9, 1), (9e-9, 1), (2e-8, 0), (1e-11, 0)])
def test_that_an_estimate_is_right_within_a_power_of_ten(answer: float, right: int) -> None:
    asked = question({"type": "estimate", "claim": "ratio", "low": 1e-15, "high": 1})
    assert asked.score(answer, checked(ratio=1e-9)).right == right


def test_that_an_estimate_says_by_which_factor_it_is_off() -> None:
    asked = question({"type": "estimate", "claim": "ratio", "low": 1e-15, "high": 1})
    assert "off by a factor of 100" in asked.score(1e-7, checked(ratio=1e-9)).sentence


def test_that_what_lies_beyond_the_scale_is_estimated_by_its_end() -> None:
    asked = question({"type": "estimate", "claim": "ratio", "low": 1e-6, "high": 1})
    assert asked.score(1e-6, checked(ratio=1e-30)).right == 1
    assert asked.score(1e-6, checked(ratio=0.0)).right == 1


def test_that_an_estimate_of_nothing_is_not_right() -> None:
    asked = question({"type": "estimate", "claim": "ratio", "low": 1e-6, "high": 1})
    score = asked.score(1e-6, checked(ratio=math.nan))
    assert score.right == 0 and "nothing to measure" in score.sentence


@pytest.mark.parametrize("answer", [0.0, -1.0, math.nan, math.inf])
def test_that_an_estimate_must_be_a_positive_number(answer: float) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        question({"type": "estimate", "claim": "ratio", "low": 1e-6, "high": 1}).score(answer, checked(ratio=1))


SCENE = Scene((Rows(("flatten", "dense"), (False, True), 10),))


@pytest.mark.parametrize(
    ("content", "path", "words"),
    [
        ({"type": "colour_layers", "layers": ["dense_1"]}, "layers[0]", "must be the name of a layer"),
        ({"type": "colour_layers", "layers": ["dense..dense_7"]}, "layers[0]", "must be the name of a layer"),
        ({"type": "colour_layers", "layers": ["*"], "states": ["blue", "zero"]}, "states[0]", "must be one of"),
        ({"type": "colour_layers", "layers": ["*"], "quantity": "loss"}, "quantity", "must be one of delta_norm"),
        ({"type": "colour_layers", "layers": ["*"], "at": 10}, "at", "0 to 9"),
        ({"type": "choose_one", "choices": [{"key": "a"}, {"key": "b"}]}, "choices", "a claim makes right"),
        ({"type": "choose_one", "choices": [{"key": "a"}, {"key": "b", "right_if": "c"}]}, "choices[1].right_if", ""),
        ({"type": "choose_one", "choices": [{"key": "a", "right_if": "big"}, {"key": "a"}]}, "choices[1].key", "once"),
        ({"type": "estimate", "claim": "small", "low": 1, "high": 2}, "claim", "big"),
        ({"type": "estimate", "claim": "big", "low": 2, "high": 1}, "high", "greater than low"),
    ],
)  # fmt: skip
def test_that_a_question_about_what_is_not_there_is_refused(content: dict[str, Any], path: str, words: str) -> None:
    found = list(question(content).faults(SCENE, ["big"]))
    assert path in [fault.path for fault in found]
    assert any(words in fault.message for fault in found)

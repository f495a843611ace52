"""What is impossible, unwise or worth knowing, and that the offered fixes mend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradsim.model import Experiment, problems
from gradsim.model.problems import Problem
from gradsim.nn import layers, optimizers, schedules


def dense(units: int, activation: str = "linear", **fields: Any) -> layers.Layer:
    return layers.Dense(units, activation=activation, **fields)


def moons(*stack: layers.Layer, **fields: Any) -> Experiment:
    return Experiment(layers=stack, **{"data": "moons", "loss": "binary_crossentropy", **fields})


def repeat(times: int, *stack: layers.Layer, **fields: Any) -> layers.Layer:
    return layers.Repeat(times, layers=stack, **fields)


def images(*stack: layers.Layer, **fields: Any) -> Experiment:
    return Experiment(layers=stack, data="digits", **fields)


HEAD = dense(1, "sigmoid")
IMAGE_HEAD = dense(10, "softmax")
FLATTEN = layers.registry.create("Flatten")
BN = layers.registry.create("BatchNormalization")
SMALL = {"type": "random_normal", "stddev": 0.01}

RATE = "unwise optimizer.learning_rate"

CASES: dict[str, tuple[str, str, Callable[[], Experiment]]] = {
    "flatten is missing": ("shape", "impossible layers[0]", lambda: images(dense(5, "relu"), IMAGE_HEAD)),
    "flatten is missing in a block": (
        "shape", "impossible layers[0].layers[0].layers[0]",
        lambda: images(repeat(2, layers.Residual([dense(64)]))),
    ),
    "residual block of another size": (
        "shape", "impossible layers[1]", lambda: images(FLATTEN, layers.Residual([dense(5, "relu")]), IMAGE_HEAD)
    ),
    "no layers": ("shape", "impossible layers", lambda: moons()),
    "missing data": ("shape", "impossible data.path", lambda: moons(HEAD, data={"type": "csv", "path": "no/such.csv"})),
    "wrong number of classes": ("output-size", "impossible layers[1].units", lambda: images(FLATTEN, dense(7))),
    "three units for two classes": ("output-size", "impossible layers[0].units", lambda: moons(dense(3, "sigmoid"))),
    "no flat output": ("output-size", "impossible layers[0]", lambda: images(layers.Dropout(0.1))),
    "orthogonal bias": (
        "vector-initializer", "impossible layers[0].bias_initializer",
        lambda: moons(dense(4, "tanh", bias_initializer="orthogonal"), HEAD),
    ),
    "softmax under mse": ("softmax-squared-error", "unwise loss", lambda: images(FLATTEN, IMAGE_HEAD, loss="mse")),
    "sigmoid under mae": ("softmax-squared-error", "unwise loss", lambda: moons(HEAD, loss="mae")),
    "cross-entropy of numbers": ("loss-output", "unwise layers[0].activation", lambda: moons(dense(1, "relu"))),
    "cross-entropy of sigmoids": (
        "loss-output", "unwise layers[1].activation", lambda: images(FLATTEN, dense(10, "sigmoid"))
    ),
    "cross-entropy for a regression": (
        "loss-data", "unwise loss", lambda: moons(HEAD, data="regression_1d")
    ),
    "one softmax unit": (
        "one-softmax-unit", "unwise layers[0].units",
        lambda: moons(dense(1, "softmax"), loss="categorical_crossentropy")
    ),
    "bounded regression": (
        "bounded-regression", "unwise layers[0].activation",
        lambda: moons(dense(1, "tanh"), data="regression_1d", loss="mse"),
    ),
    "BN after the softmax": ("after-output", "unwise layers[2]", lambda: images(FLATTEN, IMAGE_HEAD, BN)),
    "dropout last": ("after-output", "unwise layers[1]", lambda: moons(HEAD, layers.Dropout(0.5))),
    "he with tanh": (
        "he-saturating", "unwise layers[0].kernel_initializer",
        lambda: moons(dense(4, "tanh", kernel_initializer="he_normal"), HEAD),
    ),
    "he with a tanh layer of its own": (
        "he-saturating", "unwise layers[0].kernel_initializer",
        lambda: moons(dense(4, kernel_initializer="he_uniform"), BN, layers.Activation("tanh"), HEAD),
    ),
    "glorot with deep relu": (
        "glorot-relu", "unwise layers[0].layers[0].kernel_initializer",
        lambda: moons(repeat(10, dense(16, "relu")), HEAD),
    ),
    "selu without lecun": (
        "selu-initializer", "unwise layers[0].kernel_initializer", lambda: moons(dense(16, "selu"), HEAD)
    ),
    "selu with BN": (
        "selu-company", "note layers[1]",
        lambda: moons(dense(16, "selu", kernel_initializer="lecun_normal"), BN, HEAD),
    ),
    "selu with dropout": (
        "selu-company", "note layers[1]",
        lambda: moons(dense(16, "selu", kernel_initializer="lecun_normal"), layers.Dropout(0.1), HEAD),
    ),
    "zeros with hidden layers": (
        "symmetric-initializer", "unwise layers[0].kernel_initializer",
        lambda: moons(dense(16, "relu", kernel_initializer="zeros"), HEAD),
    ),
    "constant weights": (
        "symmetric-initializer", "unwise layers[0].kernel_initializer",
        lambda: moons(dense(16, "tanh", kernel_initializer={"type": "constant", "value": 0.1}), HEAD),
    ),
    "too small weights": (
        "weight-scale", "unwise layers[0].layers[0].kernel_initializer",
        lambda: moons(repeat(20, dense(16, "relu", kernel_initializer=SMALL)), HEAD),
    ),
    "deep sigmoid": (
        "deep-sigmoid", "unwise layers[0].layers[0]", lambda: moons(repeat(4, dense(8, "sigmoid")), HEAD)
    ),
    "deep sigmoid as a layer": (
        "deep-sigmoid", "unwise layers[0].layers[0]",
        lambda: moons(repeat(4, dense(8), layers.Activation("sigmoid")), HEAD),
    ),
    "hidden softmax": ("hidden-softmax", "unwise layers[0].activation", lambda: moons(dense(8, "softmax"), HEAD)),
    "no activation": ("no-activation", "note layers[0].activation", lambda: moons(dense(8), HEAD)),
    "two activations": (
        "two-activations", "unwise layers[1]", lambda: moons(dense(8, "tanh"), layers.Activation("relu"), HEAD)
    ),
    "BN of a single row": (
        "batch-of-one", "unwise batch_size", lambda: moons(dense(8, "tanh"), BN, HEAD, batch_size=1)
    ),
    "bias before BN": (
        "needless-bias", "note layers[0].use_bias", lambda: moons(dense(8), BN, layers.Activation("tanh"), HEAD)
    ),
    "all frozen": (
        "nothing-to-train", "unwise layers",
        lambda: moons(repeat(2, dense(8, "tanh"), trainable=False), dense(1, "sigmoid", trainable=False)),
    ),
    "SGD at 10": ("learning-rate", RATE, lambda: moons(HEAD, optimizer=optimizers.SGD(10.0))),
    "Adam at 1": ("learning-rate", RATE, lambda: moons(HEAD, optimizer=optimizers.Adam(1.0))),
    "rate of 0": ("learning-rate", RATE, lambda: moons(HEAD, optimizer=optimizers.SGD(0.0))),
    "schedule up to 50": (
        "learning-rate", "unwise optimizer.learning_rate",
        lambda: moons(HEAD, optimizer=optimizers.SGD(schedules.CosineDecay(0.1, warmup_target=50.0))),
    ),
    "momentum of 1": (
        "momentum", "unwise optimizer.momentum", lambda: moons(HEAD, optimizer=optimizers.SGD(momentum=1.0))
    ),
    "Nesterov without momentum": (
        "momentum", "note optimizer.nesterov", lambda: moons(HEAD, optimizer=optimizers.SGD(nesterov=True))
    ),
    "clipped to nothing": (
        "clipping", "unwise optimizer.clipnorm", lambda: moons(HEAD, optimizer=optimizers.SGD(clipnorm=1e-9))
    ),
    "clipped by value": (
        "clipping", "note optimizer.clipvalue", lambda: moons(HEAD, optimizer=optimizers.SGD(clipvalue=1.0))
    ),
    "float32 runs out": (
        "number-format", "note dtype", lambda: moons(repeat(60, dense(8, "sigmoid")), HEAD)
    ),
}  # fmt: skip

WITHOUT_FIX = {"no layers", "missing data", "no flat output"}


def found(experiment: Experiment, rule: str) -> list[Problem]:
    return [problem for problem in problems.problems(experiment) if problem.rule == rule]


@pytest.mark.parametrize("case", CASES)
def test_that_the_problem_is_found_where_it_is(case: str) -> None:
    rule, place, make = CASES[case]
    [problem] = found(make(), rule)
    assert f"{problem.severity} {problem.path}" == place
    assert problem.message[-1] not in ".!"


@pytest.mark.parametrize("case", [case for case in CASES if case not in WITHOUT_FIX])
def test_that_the_fix_mends_it_in_one_step(case: str) -> None:
    rule, _, make = CASES[case]
    experiment = make()
    [problem] = found(experiment, rule)
    assert problem.fix is not None
    edit = problem.fix.make(experiment)
    assert edit.before is experiment
    assert edit.change
    assert problem not in found(edit.experiment, rule)
    assert not any(other.severity == "impossible" for other in problems.problems(edit.experiment)) or rule == "shape"


@pytest.mark.parametrize("case", sorted(WITHOUT_FIX))
def test_that_no_fix_is_offered_where_none_is_known(case: str) -> None:
    rule, _, make = CASES[case]
    assert found(make(), rule)[0].fix is None


def test_that_every_rule_has_a_case() -> None:
    assert {rule for rule, _, _ in CASES.values()} == set(problems.RULES)


@pytest.mark.parametrize(
    "experiment",
    [
        moons(repeat(30, dense(32, "relu", kernel_initializer="he_normal")), HEAD),
        moons(dense(16, "tanh"), dense(2, "softmax"), loss="categorical_crossentropy"),
        moons(repeat(10, dense(32, "sigmoid"), BN), HEAD),
        moons(repeat(10, dense(8, "relu"), enabled=False), HEAD),
        moons(dense(8), repeat(9, layers.Residual([layers.Activation("sigmoid"), dense(8)])), HEAD),
        moons(dense(16, "tanh"), dense(1), data="regression_1d", loss="mse"),
        moons(dense(8, "relu", kernel_initializer=SMALL), HEAD),
        images(FLATTEN, dense(32, use_bias=False), BN, layers.Activation("relu"), IMAGE_HEAD),
        images(FLATTEN, dense(32, "selu", kernel_initializer="lecun_normal"), IMAGE_HEAD, optimizer="Adam"),
    ],
)
def test_that_a_sound_experiment_has_no_problems(experiment: Experiment) -> None:
    assert problems.problems(experiment) == ()


def test_that_impossible_problems_come_first_and_are_faults_of_a_start() -> None:
    experiment = images(dense(5, "tanh", kernel_initializer="he_normal"), dense(7, "softmax"), loss="mse")
    severities = [problem.severity for problem in problems.problems(experiment)]
    assert severities == sorted(severities, key=["impossible", "unwise", "note"].index)
    [fault] = problems.impossible(experiment)
    assert str(fault).startswith("layers[0]: Dense takes flat rows, but 8 x 8 reaches it: put Flatten before it")


def test_that_one_fix_mends_all_layers_with_the_same_problem() -> None:
    experiment = moons(*[dense(8, "tanh", kernel_initializer="he_normal") for _ in range(3)], HEAD)
    same = found(experiment, "he-saturating")
    assert len(same) == 3
    assert same[0].fix is not None
    assert found(same[0].fix.make(experiment).experiment, "he-saturating") == []


def test_that_data_in_memory_are_looked_at_too() -> None:
    data = (np.zeros((6, 2)), np.arange(6) % 3)
    experiment = Experiment(layers=[dense(4, "softmax")], data=data)
    [problem] = found(experiment, "output-size")
    assert problem.message == "the last layer must have 3 units, because the data have 3 classes"


def test_that_a_short_file_for_a_huge_stack_is_judged_at_once() -> None:
    stack: tuple[layers.Layer, ...] = (dense(2),)
    for _ in range(60):
        stack = (layers.Repeat(2, layers=stack),)
    [problem] = found(moons(*stack), "shape")
    assert "at most 5,000 layers" in problem.message

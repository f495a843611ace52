"""Remedies: what each changes, where it has nothing to do, and that they can be combined."""

from __future__ import annotations

from typing import Any

import pytest

from gradsim.diagnose import remedies
from gradsim.diagnose.findings import definitions
from gradsim.diagnose.remedies import REMEDIES, combined, offer, offers
from gradsim.model import Experiment, bundled, problems
from gradsim.model.document import Document
from gradsim.model.edits import EditError
from gradsim.nn import layers, optimizers
from gradsim.nn.layers import Dense, Layer


def stack(*hidden: Layer, **fields: Any) -> Experiment:
    return Experiment(
        (layers.Flatten(), *hidden, Dense(10, "softmax")), data="digits", optimizer=optimizers.SGD(0.1), **fields
    )


def deep(activation: str = "sigmoid", initializer: Any = "glorot_uniform", count: int = 6, **fields: Any) -> Experiment:
    return stack(layers.Repeat(count, (Dense(32, activation, kernel_initializer=initializer),)), **fields)


def made(experiment: Experiment, key: str) -> Experiment:
    found = offer(experiment, key)
    assert found.edit is not None, found.reason
    return found.edit.experiment


def rows(experiment: Experiment) -> list[str]:
    return [placed.layer.identifier for placed in experiment.stack().layers]


def hidden(experiment: Experiment) -> list[Dense]:
    return [one.layer for one in experiment.stack().layers[:-1] if isinstance(one.layer, Dense)]


@pytest.mark.parametrize(
    ("key", "initializer"),
    [("relu", "he_normal"), ("leaky_relu", "he_normal"), ("elu", "he_normal"), ("selu", "lecun_normal")],
)
def test_that_another_activation_comes_with_its_initializer(key: str, initializer: str) -> None:
    for dense in hidden(made(deep(), key)):
        assert dense.activation.identifier == key
        assert dense.kernel_initializer.identifier == initializer


def test_that_prelu_becomes_a_layer_of_its_own() -> None:
    found = made(deep(count=2), "prelu")
    assert rows(found) == ["Flatten", "Dense", "PReLU", "Dense", "PReLU", "Dense"]
    assert {dense.activation.identifier for dense in hidden(found)} == {"linear"}
    assert not offer(found, "prelu").applicable


def test_that_an_activation_layer_is_exchanged_where_it_stands() -> None:
    block = (Dense(32), layers.BatchNormalization(), layers.Activation("sigmoid"))
    found = made(stack(layers.Repeat(3, block)), "relu")
    assert rows(found) == rows(stack(layers.Repeat(3, block)))
    assert found.stack().layers[3].layer.applied().identifier == "relu"


def test_that_the_proper_initializer_goes_by_the_activation() -> None:
    zero = {"type": "constant", "value": -3.0}
    wrong = stack(
        Dense(32, "relu", kernel_initializer="zeros", bias_initializer=zero),
        Dense(32, "tanh", kernel_initializer="he_normal"),
        Dense(32, "selu", kernel_initializer="random_normal"),
        Dense(32, "elu", kernel_initializer="he_uniform"),
    )
    found = hidden(made(wrong, "initializer"))
    names = [dense.kernel_initializer.identifier for dense in found]
    assert names == ["he_normal", "glorot_uniform", "lecun_normal", "he_uniform"]
    assert found[0].bias_initializer.identifier == "zeros"


def test_that_the_output_gets_random_weights_too() -> None:
    zeros = Experiment((layers.Flatten(), Dense(32, "tanh"), Dense(10, "softmax", kernel_initializer="zeros")))
    assert made(zeros, "initializer").layers[-1].kernel_initializer.identifier == "glorot_uniform"


def test_that_a_proper_initializer_is_left_alone() -> None:
    assert offer(deep("relu", "he_uniform"), "initializer").reason.startswith("every layer has")


def test_that_frozen_layers_are_left_alone() -> None:
    pretrained = stack(Dense(32, "sigmoid", trainable=False, kernel_initializer="random_normal"), Dense(32, "tanh"))
    found = hidden(made(pretrained, "relu"))
    assert [dense.activation.identifier for dense in found] == ["sigmoid", "relu"]
    assert not offer(pretrained, "initializer").applicable


def test_that_orthogonal_weights_have_the_gain_of_their_activation() -> None:
    gains = [dense.kernel_initializer.gain for dense in hidden(made(deep("relu"), "orthogonal"))]  # type: ignore[attr-defined]
    assert gains == pytest.approx([2**0.5] * 6)
    assert "sigmoid" in offer(deep("sigmoid"), "orthogonal").reason


def test_that_batch_normalisation_goes_before_or_after_the_activation() -> None:
    before = made(deep(count=2), "bn-before")
    assert rows(before)[1:-1] == ["Dense", "BatchNormalization", "Activation"] * 2
    assert [dense.use_bias for dense in hidden(before)] == [False, False]
    after = made(deep(count=2), "bn-after")
    assert rows(after)[1:-1] == ["Dense", "BatchNormalization"] * 2
    assert rows(made(deep(count=2), "layernorm"))[1:-1] == ["Dense", "LayerNormalization", "Activation"] * 2
    for key in ("bn-before", "bn-after", "layernorm"):
        assert offer(before, key).reason == "the hidden layers are normalised already"


def test_that_batch_normalisation_first_stands_before_the_first_kernel() -> None:
    found = made(deep(count=2), "bn-first")
    assert rows(found)[:3] == ["Flatten", "BatchNormalization", "Dense"]
    assert not offer(found, "bn-first").applicable
    assert offer(found, "bn-before").applicable


@pytest.mark.parametrize("key", ["bn-before", "bn-after", "bn-first"])
def test_that_single_rows_can_not_be_batch_normalised(key: str) -> None:
    assert "one row" in offer(deep(batch_size=1), key).reason


def test_that_residual_blocks_go_round_every_layer_that_keeps_the_width() -> None:
    found = made(deep(count=6), "residual")
    assert len(found.stack().residuals) == 5
    assert rows(found) == rows(deep(count=6))
    assert offer(found, "residual").reason == "there are residual blocks already"
    scaled = hidden(found)[1].kernel_initializer
    assert scaled.stddev == pytest.approx((1 / (32 * 5)) ** 0.5, rel=0.01)  # type: ignore[attr-defined]


def test_that_residual_blocks_take_normalisation_and_activation_along() -> None:
    found = made(made(deep(count=4), "bn-before"), "residual")
    spans = found.stack().residuals
    assert [stop - start for start, stop in spans] == [3, 3, 3]


@pytest.mark.parametrize("key", ["initializer", "orthogonal"])
def test_that_weights_inside_residual_blocks_stay_small(key: str) -> None:
    skipped = made(stack(layers.Repeat(3, (Dense(32, "relu"),))), "residual")
    before = [dense.kernel_initializer for dense in hidden(skipped)]
    after = [dense.kernel_initializer for dense in hidden(made(skipped, key))]
    assert before[0] != after[0]
    assert [one.identifier for one in after[1:]] == [one.identifier for one in before[1:]]


def test_that_layers_of_other_widths_get_no_residual_block() -> None:
    assert "keeps the width" in offer(stack(Dense(32, "tanh"), Dense(16, "tanh")), "residual").reason


def test_that_layers_of_alternating_width_are_skipped_in_pairs() -> None:
    pair = layers.Repeat(3, (Dense(48, "tanh"), Dense(16, "tanh")))
    assert [stop - start for start, stop in made(stack(pair), "residual").stack().residuals] == [2, 2]


@pytest.mark.parametrize(
    ("key", "kind"), [("adam", "Adam"), ("nadam", "Nadam"), ("rmsprop", "RMSprop"), ("adagrad", "Adagrad")]
)
def test_that_another_optimizer_has_its_own_rate_and_keeps_the_clipping(key: str, kind: str) -> None:
    clipped = stack(Dense(32, "tanh"))
    clipped = made(clipped, "clipnorm")
    found = made(clipped, key).optimizer
    assert (found.identifier, found.learning_rate, found.clipnorm) == (kind, 0.001, 1.0)
    assert not offer(made(clipped, key), key).applicable


def test_that_momentum_looks_ahead() -> None:
    found = made(deep(), "momentum").optimizer
    assert isinstance(found, optimizers.SGD)
    assert (found.momentum, found.nesterov, found.learning_rate) == (0.9, True, 0.01)


def test_that_a_lower_rate_is_no_higher_than_usual() -> None:
    assert made(stack(Dense(8, "tanh")), "rate-lower").optimizer.learning_rate == pytest.approx(0.01)
    wild = Experiment((layers.Flatten(), Dense(8, "tanh"), Dense(10, "softmax")), optimizer=optimizers.SGD(10.0))
    assert made(wild, "rate-lower").optimizer.learning_rate == 0.01
    assert offer(wild, "rate-higher").reason == "the learning rate is very high already"


def test_that_a_schedule_is_left_alone() -> None:
    warmed = made(deep(), "warm-up")
    assert warmed.optimizer.learning_rate.identifier == "WarmUp"  # type: ignore[union-attr]
    for key in ("rate-lower", "rate-higher", "warm-up"):
        assert offer(warmed, key).reason == "the learning rate follows a schedule"


def test_that_there_is_one_way_of_clipping() -> None:
    assert made(deep(), "clipvalue").optimizer.clipvalue == 0.5
    assert "clipped already" in offer(made(deep(), "clipnorm"), "clipvalue").reason


def test_that_remedies_are_combined_in_one_step_that_can_be_undone() -> None:
    document = Document(deep(initializer="zeros"))
    before = document.experiment
    edit = combined(before, ["adam", "bn-before", "relu", "clipnorm", "relu"])
    assert edit.name == "ReLU + BatchNormalization before the activation + Adam + Clip by norm"
    document.apply(edit)
    assert document.experiment.optimizer.identifier == "Adam"
    assert document.experiment.optimizer.clipnorm == 1
    assert "BatchNormalization" in rows(document.experiment)
    document.undo()
    assert document.experiment == before


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["relu", "elu"], "exclude each other"),
        (["relu", "magic"], "must be some of"),
        ([], "must be some of"),
        (["orthogonal"], "can't be applied"),
    ],
)
def test_that_what_can_not_be_combined_is_refused(keys: list[str], words: str) -> None:
    with pytest.raises(EditError, match=words):
        combined(deep(), keys)


@pytest.mark.parametrize("name", bundled.names())
def test_that_every_offer_can_be_started(name: str) -> None:
    experiment = bundled.load(name)
    for one in offers(experiment):
        assert one.applicable != bool(one.reason)
        if one.edit is not None:
            assert one.edit.before is experiment
            assert one.edit.experiment != experiment
            assert not problems.impossible(one.edit.experiment), one.remedy.key


def test_that_an_experiment_that_can_not_be_computed_gets_reasons() -> None:
    broken = Experiment((Dense(4), Dense(10, "softmax")), data="fashion_mnist")
    assert not offer(broken, "relu").applicable
    assert not offer(Experiment(()), "bn-first").applicable


def test_that_remedies_treat_findings_that_there_are() -> None:
    kinds = {definition.kind for definition in definitions()}
    for remedy in REMEDIES.values():
        assert remedy.treats <= kinds
        assert remedy.changes.endswith(".") and remedy.why.endswith(".")
    assert set(remedies.GROUPS) == {remedy.group for remedy in REMEDIES.values()}

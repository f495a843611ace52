"""Predictions against the published formulas, and where theory has no say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gradsim.model.stack import Stack, expand
from gradsim.nn import activations, initializers, layers, losses
from gradsim.theory import GIVEN, TRAINED, Inputs, Targets, predict

WIDTH = 100


def dense(units: int = WIDTH, activation: Any = "linear", initializer: Any = "glorot_uniform", **more: Any) -> Any:
    return layers.Dense(units, activation=activation, kernel_initializer=initializer, **more)


def stack(*parts: layers.Layer, inputs: int = WIDTH) -> Stack:
    return expand(parts, (inputs,))


def deep(activation: Any, initializer: Any, depth: int) -> Stack:
    return stack(
        layers.Repeat(depth, layers=(dense(WIDTH, activation, initializer),)), dense(WIDTH, "linear", initializer)
    )


def log10_ratio(activation: Any, initializer: Any, k: int) -> float:
    """log10 of ||delta^1|| / ||delta^(1+k)|| in a stack of equal layers on white noise."""
    prediction = predict(deep(activation, initializer, k), None, 1)
    return float(prediction.log10_delta[0] - prediction.log10_delta[k])


# Activation, initializer, factor deep in the stack, and the ratio after 10, 20 and 50 layers, as printed.
TABLE = [
    ("sigmoid", "glorot_uniform", ".2361", ("4.8e-7", "2.6e-13", "4.0e-32")),
    ("sigmoid", "lecun_normal", ".2361", ("4.8e-7", "2.6e-13", "4.0e-32")),
    ("sigmoid", "random_normal", ".1231", ("7.7e-10", "6.1e-19", "3.1e-46")),
    ("tanh", "glorot_normal", None, (".267", ".190", ".120")),
    ("tanh", "he_normal", "1.0514", ("1.08", "1.79", "8.06")),
    ("relu", "he_uniform", "1", ("1", "1", "1")),
    ("relu", "glorot_uniform", ".7071", (".0312", "9.8e-4", "3.0e-8")),
    ("relu", "lecun_uniform", ".7071", (".0312", "9.8e-4", "3.0e-8")),
    (activations.LeakyReLU(0.3), "he_normal", "1.0440", ("1.54", "2.37", "8.62")),
    ("elu", "he_normal", "1.022", ("2.43", "4.37", "14.3")),
    ("selu", "lecun_normal", "1.0352", ("1.41", "2.00", "5.63")),
    ("linear", "glorot_normal", "1", ("1", "1", "1")),
    ("linear", "orthogonal", "1", ("1", "1", "1")),
    ("linear", "he_normal", "1.414", ("32", "1e3", "3.4e7")),
]


def agrees(value: float, printed: str) -> bool:
    """Whether a value is the printed one to its last digit: half of it, and for a printed tie its neighbour."""
    mantissa = printed.split("e")[0]
    digits = len(mantissa.partition(".")[2])
    exponent = int(printed.split("e")[1]) if "e" in printed else 0
    return abs(value - float(printed)) <= 0.5 * 10 ** (exponent - digits) * (1 + 1e-9)


@pytest.mark.parametrize(("activation", "initializer", "factor", "ratios"), TABLE)
def test_that_norm_factors_are_the_published_ones(
    activation: Any, initializer: str, factor: str | None, ratios: tuple[str, ...]
) -> None:
    # The 1e3 of the linear row is 1024, printed with one digit.
    for k, printed in zip((10, 20, 50), ratios, strict=True):
        assert agrees(10 ** log10_ratio(activation, initializer, k), printed), (k, printed)
    if factor is not None:
        # The factor of row 100, whose input is that of the hundredth layer.
        found = predict(deep(activation, initializer, 100), None, 1).rows[99].factor
        assert found is not None
        assert agrees(found, factor)


def test_that_tanh_with_glorot_goes_as_one_over_the_root_of_depth() -> None:
    ratio = log10_ratio("tanh", "glorot_uniform", 400) - log10_ratio("tanh", "glorot_uniform", 100)
    assert 10**ratio == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("name", ["glorot_uniform", "he_normal"])
def test_that_unequal_widths_take_fan_out(name: str) -> None:
    prediction = predict(stack(dense(256, "linear", name), dense(16, "linear", name), inputs=64), None, 1)
    variances = (2 / 320, 2 / 272) if name == "glorot_uniform" else (2 / 64, 2 / 256)
    expected = [math.sqrt(256 * variances[0]), math.sqrt(16 * variances[1])]
    assert [row.factor for row in prediction.rows] == pytest.approx(expected)


def batch_norm_rate(rows: int, activation: str, initializer: str = "he_normal") -> float:
    """Rate of one round of Dense, BatchNormalization and activation, far from both ends."""
    block = (dense(64, "linear", initializer), layers.BatchNormalization(epsilon=1e-12), layers.Activation(activation))
    prediction = predict(stack(layers.Repeat(9, layers=block), dense(64), inputs=64), None, rows)
    return float(10 ** (2 * (prediction.log10_delta[9] - prediction.log10_delta[12])))


@pytest.mark.parametrize("rows", [4, 5, 8, 32, 256])
def test_that_batch_norm_and_relu_explode_as_published(rows: int) -> None:
    c = -1 / (rows - 1)
    j = (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi
    slope = (math.pi - math.acos(c)) / math.pi
    expected = (slope + rows - 1) / ((rows - 3) * (1 - j)) - 1 / (rows - 3)
    # At 4 rows the pair integral ends on the edge of the sphere.
    assert batch_norm_rate(rows, "relu") == pytest.approx(expected, rel=1e-3 if rows < 6 else 1e-6)


def test_that_batch_norm_rates_have_the_published_limits() -> None:
    assert batch_norm_rate(100_000, "relu") == pytest.approx(math.pi / (math.pi - 1), rel=1e-4)
    assert batch_norm_rate(10, "linear") == pytest.approx(8 / 7)
    m, slope = np.tanh(z := np.random.default_rng(0).standard_normal(400_000)), 1 - np.tanh(z) ** 2
    assert batch_norm_rate(100_000, "tanh") == pytest.approx(np.mean(slope**2) / np.var(m), rel=0.01)


def test_that_a_residual_block_adds_half_the_strength() -> None:
    for strength in (0.5, 2.0):
        kernel = initializers.RandomNormal(stddev=math.sqrt(strength / WIDTH))
        block = layers.Residual(layers=(layers.Activation("relu"), dense(WIDTH, "linear", kernel)))
        prediction = predict(stack(dense(), layers.Repeat(5, layers=(block,)), dense()), None, 1)
        assert [run.factor for run in prediction.blocks] == pytest.approx([math.sqrt(1 + strength / 2)] * 5)
        assert prediction.runs[0].rounds == 5
        assert prediction.runs[0].log10_total == pytest.approx(2.5 * math.log10(1 + strength / 2))


def test_that_nested_residual_blocks_compose() -> None:
    inner = layers.Residual(layers=(layers.Activation("relu"), dense(WIDTH, "linear", "he_normal")))
    prediction = predict(stack(dense(), layers.Residual(layers=(inner, dense())), dense()), None, 1)
    outer, nested = prediction.blocks
    assert nested.factor == pytest.approx(math.sqrt(2))
    assert outer.factor == pytest.approx(math.sqrt(1 + 2))


def test_that_a_hidden_softmax_divides_by_the_width() -> None:
    kernel = initializers.RandomNormal(stddev=1e-4)
    prediction = predict(stack(dense(), dense(WIDTH, "softmax", kernel), dense()), None, 1)
    slope = prediction.log10_delta[1] - prediction.log10_delta[2]
    assert 10**slope == pytest.approx(1 / WIDTH, rel=0.01)


def test_that_dropout_scales_up_the_gradient_it_lets_through() -> None:
    prediction = predict(stack(dense(), layers.Dropout(0.75), dense()), None, 8)
    assert prediction.rows[1].factor == pytest.approx(2.0)


def test_that_layer_norm_divides_by_the_deviation() -> None:
    prediction = predict(
        stack(dense(WIDTH, "linear", initializers.RandomNormal(stddev=1.0)), layers.LayerNormalization()), None, 1
    )
    assert prediction.rows[1].factor == pytest.approx(0.1, rel=0.02)


def test_that_d_w_of_a_relu_stack_is_flat_whatever_the_initializer() -> None:
    for name in ("he_normal", "glorot_uniform", "lecun_normal"):
        prediction = predict(deep("relu", name, 30), None, 1)
        assert np.ptp(prediction.log10_gradient) < 1e-9
    decaying = predict(deep("relu", "glorot_uniform", 30), None, 1).log10_delta
    assert decaying[0] - decaying[-1] < -4


def test_that_cross_entropy_gives_the_size_of_the_gradient_at_the_top() -> None:
    tiny = initializers.RandomNormal(stddev=1e-6)
    for rows in (1, 32):
        prediction = predict(stack(dense(10, "softmax", tiny)), losses.CategoricalCrossentropy(), rows)
        assert prediction.absolute
        assert 10 ** prediction.log10_delta[-1] == pytest.approx(math.sqrt(0.9 / 10) / rows, rel=1e-3)
        prediction = predict(stack(dense(1, "sigmoid", tiny)), losses.BinaryCrossentropy(), rows)
        assert 10 ** prediction.log10_delta[-1] == pytest.approx(0.5 / rows, rel=1e-3)


def test_that_mse_needs_the_targets_for_a_size() -> None:
    model = stack(dense(4))
    assert not predict(model, losses.MeanSquaredError(), 8).absolute
    prediction = predict(model, losses.MeanSquaredError(), 8, targets=Targets(3.0, 0.0, 0.0))
    output = WIDTH * 2 / (WIDTH + 4)
    assert 10 ** prediction.log10_delta[-1] == pytest.approx(2 * math.sqrt(3 + output) / (8 * 4))
    assert prediction.relative().log10_delta[-1] == 0


def test_that_zero_weights_give_exact_zeros_below() -> None:
    for activation in ("relu", "tanh", "sigmoid"):
        prediction = predict(
            stack(*(dense(WIDTH, activation, "zeros") for _ in range(3)), dense(10, "softmax", "zeros")),
            losses.CategoricalCrossentropy(),
            32,
        )
        assert np.isneginf(prediction.log10_delta[:3]).all()
        assert np.isneginf(prediction.low[:3]).all()
        assert np.isneginf(prediction.log10_gradient[:3]).all()
        assert np.isfinite(prediction.log10_delta[3])
        # Behind tanh and ReLU nothing reaches the output's kernel; behind a sigmoid 1/2 does.
        assert np.isneginf(prediction.log10_gradient[3]) == (activation != "sigmoid")
        assert all(row.factor == 0 for row in prediction.rows)


def test_that_huge_weights_saturate_until_chance_decides() -> None:
    mild, wild = (predict(deep("tanh", initializers.RandomNormal(stddev=s), 5), None, 1) for s in (1.0, 1e6))
    assert mild.rows[2].factor == pytest.approx(math.sqrt(WIDTH * 4 / 3 / math.sqrt(2 * math.pi * WIDTH)), rel=0.1)
    assert wild.rows[2].factor is None
    assert "saturated" in str(wild.rows[2].reason)
    assert np.isnan(wild.log10_delta[0])
    assert wild.high[0] - wild.low[0] > 1


def test_that_values_beyond_every_number_format_are_told() -> None:
    prediction = predict(deep("relu", initializers.RandomNormal(stddev=1e100), 3), None, 1)
    assert "overflow" in str(prediction.rows[1].reason)


@pytest.mark.parametrize("activation", ["gelu", "silu", "mish"])
def test_that_activations_without_a_stable_point_get_a_band_and_a_reason(activation: str) -> None:
    prediction = predict(deep(activation, "he_normal", 20), None, 32)
    assert "no stable point" in str(prediction.rows[10].reason)
    assert prediction.rows[10].factor is None
    assert np.isnan(prediction.log10_delta[:10]).all()
    assert np.isfinite(prediction.low).all()
    assert (prediction.high - prediction.low)[0] > 1
    assert prediction.runs[0].factor is None


def test_that_a_normalisation_gives_gelu_a_stable_point() -> None:
    block = (dense(WIDTH, "linear", "he_normal"), layers.LayerNormalization(), layers.Activation("gelu"))
    prediction = predict(stack(layers.Repeat(20, layers=block), dense()), None, 32)
    assert all(row.reason is None for row in prediction.rows)


@pytest.mark.parametrize("initializer", ["ones", initializers.Constant(0.1), initializers.RandomNormal(mean=0.5)])
def test_that_weights_around_another_mean_than_zero_are_refused(initializer: Any) -> None:
    prediction = predict(stack(dense(), dense(WIDTH, "tanh", initializer), dense(WIDTH, "tanh"), dense()), None, 8)
    assert "not independent draws around zero" in str(prediction.rows[1].reason)
    assert "because of dense_1" in str(prediction.rows[2].reason)
    assert [row.factor is None for row in prediction.rows] == [False, True, True, False]
    assert np.isnan(prediction.log10_delta).tolist() == [True, True, True, False]
    assert "because of" in str(prediction.rows[0].reason)


def test_that_trained_and_given_weights_are_refused_by_row() -> None:
    model = stack(dense(WIDTH, "tanh"), dense(WIDTH, "tanh"), dense(10, "softmax"))
    for reason in (TRAINED, GIVEN):
        prediction = predict(model, losses.CategoricalCrossentropy(), 32, unknown={1: reason})
        assert prediction.rows[1].reason == reason
        assert prediction.rows[0].factor is not None
        assert np.isnan(prediction.log10_delta[:2]).all()
    everything = predict(model, losses.CategoricalCrossentropy(), 32, unknown=dict.fromkeys(range(3), TRAINED))
    assert [row.reason for row in everything.rows] == [TRAINED] * 3


def test_that_a_batch_norm_makes_an_unknown_scale_known_again() -> None:
    model = stack(dense(WIDTH, "tanh"), dense(), layers.BatchNormalization(), layers.Activation("relu"), dense())
    prediction = predict(model, None, 32, unknown={0: TRAINED})
    assert [row.factor is None for row in prediction.rows] == [True, False, True, False, False]


def test_that_small_batches_stop_batch_norm() -> None:
    model = stack(dense(), layers.BatchNormalization(), dense())
    alone = predict(model, None, 1)
    assert np.isneginf(alone.log10_delta[0])
    assert alone.rows[1].note
    for rows in (2, 3):
        assert f"over {rows} rows" in str(predict(model, None, rows).rows[1].reason)
    few = predict(model, None, 4)
    assert np.isfinite(few.log10_delta[0])
    assert np.isnan(few.low[0])


def test_that_a_frozen_batch_norm_uses_its_moving_statistics() -> None:
    model = stack(dense(), layers.BatchNormalization(trainable=False), dense())
    assert predict(model, None, 1).rows[1].factor == pytest.approx(1 / math.sqrt(1.001))


def test_that_identity_is_known_for_linear_layers_only() -> None:
    gain = initializers.Identity(0.9)
    linear = predict(deep("linear", gain, 10), None, 1)
    assert linear.rows[5].factor == pytest.approx(0.9)
    assert linear.high[0] - linear.low[0] < 0.01
    assert "right on the data" in str(predict(deep("tanh", gain, 3), None, 1).rows[0].reason)
    narrow = predict(stack(dense(50, "linear", gain), dense()), None, 1)
    assert "not square" in str(narrow.rows[0].reason)


def test_that_an_activation_on_an_activation_is_refused() -> None:
    prediction = predict(stack(dense(WIDTH, "relu"), layers.Activation("tanh"), dense()), None, 1)
    assert "no Dense layer has mixed" in str(prediction.rows[1].reason)


def test_that_a_residual_block_without_weights_is_refused() -> None:
    block = layers.Residual(layers=(layers.Activation("tanh"),))
    prediction = predict(stack(dense(), block, dense()), None, 1)
    assert prediction.blocks[0].factor is None
    assert np.isnan(prediction.log10_delta[0])
    assert "residual block" in str(prediction.rows[0].reason)


def test_that_texts_name_activation_initializer_and_factor() -> None:
    prediction = predict(deep("sigmoid", "glorot_uniform", 20), None, 1)
    assert prediction.runs[0].text == "sigmoid + glorot: x0.24 a layer; 20 layers: 2.6e-13"
    assert prediction.rows[19].text == "sigmoid + glorot: x0.24"
    block = (dense(WIDTH, "linear", "he_normal"), layers.BatchNormalization(), layers.Activation("relu"))
    blocks = predict(stack(layers.Repeat(6, layers=block), dense()), None, 256).runs
    assert blocks[0].text.startswith("he + batch norm + relu: x1.2")
    assert blocks[0].text.split("; ")[1].startswith("6 blocks: ")


def test_that_listed_layers_form_the_same_run_as_repeated_ones() -> None:
    listed = predict(stack(*(dense(WIDTH, "tanh", name=f"layer{i}") for i in range(4)), dense()), None, 1)
    repeated = predict(stack(layers.Repeat(4, layers=(dense(WIDTH, "tanh"),)), dense()), None, 1)
    assert listed.runs == repeated.runs


def test_that_statistics_of_data_are_read_off_the_array() -> None:
    rng = np.random.default_rng(0)
    common = rng.standard_normal((1, 4000))
    labels = np.eye(2)[np.arange(200) % 2]
    x = 0.5 * rng.standard_normal((200, 4000)) + common
    inputs = Inputs.of(x.reshape(200, 40, 100), labels)
    assert inputs.square == pytest.approx(np.mean(x**2))
    assert inputs.product == pytest.approx(np.mean(common**2), rel=0.01)
    assert inputs.likeness == pytest.approx(0.8**2, rel=0.05)
    assert inputs.alignment == pytest.approx(0.0, abs=0.002)
    apart = Inputs.of(np.repeat(labels, 50, axis=1), labels)
    assert apart.alignment == pytest.approx(1 / 16, rel=0.05)
    targets = Targets.of(labels)
    assert (targets.square, targets.mean) == (0.5, 0.5)
    assert targets.product == pytest.approx(0.25, rel=0.01)


def test_that_shifted_moves_profiles_and_bands_alike() -> None:
    prediction = predict(deep("tanh", "glorot_uniform", 3), None, 1)
    moved = prediction.shifted(-2.0)
    assert moved.low == pytest.approx(prediction.low - 2)
    assert moved.log10_gradient == pytest.approx(prediction.log10_gradient - 2)
    assert moved.rows == prediction.rows


def test_that_faulty_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, received 0"):
        predict(stack(dense()), None, 0)
    with pytest.raises(ValueError, match="rows from 0 to 0, received 3"):
        predict(stack(dense()), None, 1, unknown={3: TRAINED})


@pytest.mark.parametrize("rows", [1, 4, 32])
@pytest.mark.parametrize("name", [name for name in activations.registry if name != "softmax"])
def test_that_every_activation_has_a_prediction_or_a_reason(name: str, rows: int) -> None:
    for initializer in ("glorot_uniform", "he_normal", "orthogonal", "random_normal", "zeros", "ones"):
        prediction = predict(deep(name, initializer, 12), losses.MeanAbsoluteError(), rows)
        told = ~np.isnan(prediction.log10_delta)
        assert all(told[i] or prediction.rows[i].reason for i in range(len(told)))
        assert all(row.factor is not None or row.reason for row in prediction.rows)

"""Rules on recordings made by hand, where each signal can be set alone; the labelled set has them on real runs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gradsim.diagnose import findings
from gradsim.diagnose.evidence import Evidence, Live
from gradsim.diagnose.findings import Definition, Finding, diagnose
from gradsim.telemetry import LAYER_COLUMNS, STEP_COLUMNS, Layer, Recorder, Recording

LAYERS = 12
SIZE = 100 * 100
ROWS = 32
LEARNED = {"loss": 0.01, "accuracy": 1.0}
STUCK = {"loss": 2.3, "accuracy": 0.1}


def layers(activation: str = "tanh", count: int = LAYERS) -> list[Layer]:
    hidden = [
        Layer(f"dense_{i}", "Dense", f"Dense 100 {activation}", (100,), SIZE + 100, SIZE, 100) for i in range(count - 1)
    ]
    return [*hidden, Layer("output", "Dense", "Dense 10 softmax", (10,), 1010, 1000, 10)]


def recorder(
    steps: int = 100,
    of_layers: dict[str, Any] | None = None,
    of_steps: dict[str, Any] | None = None,
    activation: str = "tanh",
    experiment: dict[str, Any] | None = None,
) -> Recorder:
    """A run whose values are healthy, but for those given: a number, one per layer, or a function of the step."""
    made = Recorder(layers(activation), experiment=experiment)
    size = np.array([layer.weight_size for layer in made.layers])
    units = np.array([layer.units for layer in made.layers])
    healthy = {
        "delta_norm": 1e-3 * np.sqrt(units * ROWS),
        "delta_max": 1e-2,
        "gradient_norm": 1e-3 * np.sqrt(size),
        "gradient_max": 1e-2,
        "clipped_norm": 1e-3 * np.sqrt(size),
        "clip_cosine": 1.0,
        "weight_norm": 0.1 * np.sqrt(size),
        "weight_max": 0.4,
        "update_norm": 1e-4 * np.sqrt(size),
        "activation_mean": 0.0,
        "activation_std": 1.0,
        "saturated": 0.1,
        "dead": 0.1,
    }
    rng = np.random.default_rng(0)
    for step in range(steps):
        values = {**healthy, **(of_layers or {})}
        row = {key: np.broadcast_to(_at(value, step), len(made.layers)) for key, value in values.items()}
        falling = {"loss": 2.3 * 0.95**step + 0.01, "accuracy": min(1.0, 0.1 + step / 50)}
        scalars = {"global_gradient_norm": 1.0, "learning_rate": 0.1, "epoch": step // 30, "rows": ROWS, **falling}
        scalars |= {key: float(_at(value, step)) for key, value in (of_steps or {}).items()}
        if scalars["loss"] == 2.3:
            scalars["loss"] += rng.normal(0, 0.02)
        made.append_step(row, scalars)
    return made


def _at(value: Any, step: int) -> Any:
    return value(step) if callable(value) else value


def recording(**values: Any) -> Recording:
    return recorder(**values).recording()


def kinds(made: Recording | Recorder) -> set[str]:
    return {finding.kind for finding in diagnose(made)}


def found(made: Recording | Recorder, kind: str) -> Finding:
    return next(finding for finding in diagnose(made) if finding.kind == kind)


def scaled(key: str, factors: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Values of a quantity multiplied by a factor for each layer."""
    healthy = recording(steps=1)[key][0]
    return {key: healthy * factors}


FADING = 0.1 ** np.arange(LAYERS - 1, -1, -1.0)


def test_that_a_healthy_run_has_no_findings() -> None:
    assert kinds(recording()) == set()


def test_that_an_empty_recording_has_no_findings() -> None:
    assert diagnose(Recorder(layers())) == ()


def test_that_delta_that_fades_with_depth_is_vanishing() -> None:
    fading = {**scaled("delta_norm", FADING), **scaled("gradient_norm", FADING), **scaled("update_norm", FADING)}
    vanishing = found(recording(of_layers=fading, of_steps=STUCK), "vanishing")
    assert vanishing.numbers["factor_per_layer"] == pytest.approx(0.1, rel=0.05)
    assert vanishing.rows[0] == 0
    assert vanishing.rows[-1] == LAYERS - 4
    assert (vanishing.start, vanishing.stop) == (0, 100)
    assert "dense_0" in vanishing.student
    assert "0.1" in vanishing.expert


def test_that_a_flat_and_tiny_gradient_over_a_fading_delta_is_vanishing() -> None:
    """Weight gradients of ReLU stacks are of one size in all layers, however small."""
    fading = {
        **scaled("delta_norm", FADING),
        **scaled("gradient_norm", np.full(LAYERS, 1e-20)),
        **scaled("update_norm", np.full(LAYERS, 1e-20)),
        **scaled("activation_std", FADING[::-1]),
    }
    vanishing = found(recording(of_layers=fading, of_steps=STUCK, activation="relu"), "vanishing")
    assert "the signal itself has died" in vanishing.expert


def test_that_small_gradients_near_an_optimum_are_no_finding() -> None:
    small = {
        **scaled("delta_norm", 1e-6 * FADING),
        **scaled("gradient_norm", 1e-6 * FADING),
        **scaled("update_norm", 1e-6 * FADING),
    }
    assert kinds(recording(of_layers=small, of_steps=LEARNED)) == set()


def test_that_a_small_gradient_without_a_slope_is_no_vanishing() -> None:
    small = {**scaled("gradient_norm", np.full(LAYERS, 1e-6)), **scaled("delta_norm", np.full(LAYERS, 1e-6))}
    assert "vanishing" not in kinds(recording(of_layers=small, of_steps=STUCK))


def test_that_vanishing_is_dated() -> None:
    healthy = recording(steps=1)

    def since(key: str) -> Any:
        return lambda step: healthy[key][0] * (FADING if step >= 60 else 1)

    keys = ("delta_norm", "gradient_norm", "update_norm")
    vanishing = found(recording(of_layers={key: since(key) for key in keys}, of_steps=STUCK), "vanishing")
    assert (vanishing.start, vanishing.stop) == (60, 100)
    assert {(place.start, place.stop) for place in vanishing.places} == {(60, 100)}


def test_that_zeros_below_a_tiny_delta_are_below_the_format() -> None:
    delta = recording(steps=1)["delta_norm"][0] * 1e-7 ** np.arange(LAYERS - 1, -1, -1.0)
    delta[delta < 1e-44] = 0
    values = {"delta_norm": delta, "delta_max": delta, "gradient_norm": delta, "gradient_max": delta}
    below = found(recording(of_layers=values, of_steps=STUCK), "below-format")
    assert below.numbers["layers_at_zero"] == (delta == 0).sum()
    assert below.rows == tuple(np.flatnonzero(delta < 1.2e-38))


def test_that_zeros_below_a_dead_layer_are_not_below_the_format() -> None:
    delta = recording(steps=1)["delta_norm"][0].copy()
    delta[:6] = 0
    dead = np.where(np.arange(LAYERS) == 6, 1.0, 0.1)
    values = {"delta_norm": delta, "delta_max": delta, "dead": dead}
    assert kinds(recording(of_layers=values, of_steps=STUCK, activation="relu")) == {"dead", "stopped"}


def test_that_delta_that_grows_downwards_is_exploding() -> None:
    growing = 3.0 ** np.arange(LAYERS - 1, -1, -1.0)
    values = {**scaled("delta_norm", growing), **scaled("gradient_norm", growing)}
    exploding = found(recording(of_layers=values, of_steps=STUCK), "exploding")
    assert exploding.numbers["factor_per_layer_down"] == pytest.approx(3, rel=0.05)


def test_that_weights_that_grow_from_step_to_step_are_exploding() -> None:
    norm = recording(steps=1)["weight_norm"][0]
    values = {"weight_norm": lambda step: norm * 1.1**step}
    exploding = found(recording(of_layers=values, of_steps=STUCK), "exploding")
    assert exploding.numbers["factor_per_step"] == pytest.approx(1.1, rel=0.01)


def test_that_weights_that_grow_ever_more_slowly_are_not_exploding() -> None:
    norm = recording(steps=1)["weight_norm"][0]
    # A network that separates its classes enlarges its weights like the logarithm of the time, without end.
    values = {"weight_norm": lambda step: norm * (1 + 10 * np.log1p(step))}
    assert "exploding" not in kinds(recording(of_layers=values))


def test_that_weights_that_blew_up_and_stand_still_are_exploding() -> None:
    norm = recording(steps=1)["weight_norm"][0]
    values = {"weight_norm": lambda step: norm * 2.0 ** min(step, 20)}
    assert "exploding" in kinds(recording(of_layers=values, of_steps=STUCK))


def test_that_the_first_nan_is_named() -> None:
    values = {"activation_nan": lambda step: np.where(np.arange(LAYERS) >= 3, float(step >= 50), 0.0)}
    nan = found(
        recording(of_layers=values, of_steps={"loss": lambda step: np.nan if step >= 50 else 2.3}), "non-finite"
    )
    assert nan.rows == (3,)
    assert nan.start == 50
    assert nan.numbers["step_before"] == 49
    assert "activation of dense_3" in nan.student


def test_that_a_jump_of_loss_and_weights_is_an_avalanche() -> None:
    norm = recording(steps=1)["weight_norm"][0]
    values = {"weight_norm": lambda step: norm * (1 if step < 70 else 5.0 ** min(step - 69, 4))}
    jumping = {"loss": lambda step: 1.0 if step < 70 else 20.0 ** min(step - 69, 4)}
    avalanche = found(recording(of_layers=values, of_steps=jumping), "avalanche")
    assert 60 <= avalanche.start <= 69
    assert avalanche.stop >= 71


def test_that_an_avalanche_is_found_in_a_long_run() -> None:
    norm = recording(steps=1)["weight_norm"][0]
    values = {"weight_norm": lambda step: norm * (1 if step < 1234 else 5.0 ** min(step - 1233, 4))}
    jumping = {"loss": lambda step: 1.0 if step < 1234 else 20.0 ** min(step - 1233, 4)}
    avalanche = found(recorder(steps=3000, of_layers=values, of_steps=jumping), "avalanche")
    assert 1220 <= avalanche.start <= 1234


def test_that_a_loss_that_falls_fast_is_no_avalanche() -> None:
    assert "avalanche" not in kinds(recording(of_steps={"loss": lambda step: 1e4 * 0.3**step + 0.01}))


def test_that_weights_that_shrink_go_to_zero() -> None:
    norm = recording(steps=1)["weight_norm"][0]
    shrinking = found(
        recording(of_layers={"weight_norm": lambda step: norm * 0.97**step}, of_steps=STUCK), "weights-to-zero"
    )
    assert shrinking.numbers["factor_per_step"] == pytest.approx(0.97, abs=1e-3)


def test_that_zero_and_constant_kernels_are_symmetric() -> None:
    nothing = dict.fromkeys(("weight_norm", "weight_max", "gradient_norm", "update_norm", "delta_norm"), 0.0)
    symmetric = found(recording(of_layers=nothing, of_steps=STUCK), "symmetric")
    assert symmetric.rows == tuple(range(LAYERS - 1))
    assert symmetric.numbers["zero"] == 1
    constant = found(recording(of_layers={"weight_max": 0.1}, of_steps=STUCK), "symmetric")
    assert constant.numbers["zero"] == 0


def test_that_one_constant_kernel_before_a_random_one_is_not_symmetric() -> None:
    largest = np.where(np.arange(LAYERS) == 4, 0.1, 0.4)
    assert "symmetric" not in kinds(recording(of_layers={"weight_max": largest}))


@pytest.mark.parametrize(("activation", "there"), [("tanh", True), ("sigmoid", True), ("relu", False)])
def test_that_flat_units_are_saturated_where_both_sides_are_flat(activation: str, there: bool) -> None:
    made = recording(of_layers={"saturated": 0.9}, of_steps=STUCK, activation=activation)
    assert ("saturated" in kinds(made)) == there


def test_that_units_of_a_learned_stack_may_be_flat_or_dead() -> None:
    assert kinds(recording(of_layers={"saturated": 0.9}, of_steps=LEARNED)) == set()
    assert kinds(recording(of_layers={"dead": 0.9}, of_steps=LEARNED, activation="relu")) == set()


def test_that_dead_units_are_counted_in_hidden_relus_only() -> None:
    dead = found(recording(of_layers={"dead": 0.95}, of_steps=STUCK, activation="relu"), "dead")
    assert dead.rows == tuple(range(LAYERS - 1))
    assert dead.numbers["share"] == pytest.approx(0.95)
    assert "dead" not in kinds(recording(of_layers={"dead": 0.95}, of_steps=STUCK, activation="elu"))


def test_that_a_full_batch_whose_loss_goes_up_and_down_is_above_the_edge() -> None:
    values = {"loss": lambda step: 1.5 + 0.3 * (-1) ** step, "epoch": lambda step: step, "accuracy": 0.3}
    assert "unstable-rate" in kinds(recording(of_steps=values))
    # The same in mini-batches is what noise looks like.
    assert "unstable-rate" not in kinds(recording(of_steps={**values, "epoch": 0}))


def clipping(way: str, limit: float) -> dict[str, Any]:
    return {"optimizer": {"type": "SGD", way: limit}, "loss": "categorical_crossentropy"}


def test_that_clipping_that_always_or_never_acts_is_told() -> None:
    norm = recording(steps=1)["gradient_norm"][0]
    always = recording(of_layers={"clipped_norm": norm / 10}, experiment=clipping("clipnorm", 0.01))
    assert found(always, "clipping-always").numbers["share"] == 1
    assert kinds(recording(experiment=clipping("clipnorm", 50.0))) == {"clipping-never"}
    sometimes = {"clipped_norm": lambda step: norm / (1 + step % 2)}
    assert kinds(recording(of_layers=sometimes, experiment=clipping("clipnorm", 0.05))) == set()


def test_that_a_loss_that_stays_at_that_of_guessing_has_stopped() -> None:
    stopped = found(recording(of_steps=STUCK), "stopped")
    assert stopped.numbers["guessing"] == pytest.approx(np.log(10))
    assert "mini-batch" in stopped.expert
    full = found(recording(of_steps={**STUCK, "epoch": lambda step: step}), "stopped")
    assert "no noise" in full.expert


def test_that_a_few_steps_do_not_tell_that_learning_has_stopped() -> None:
    assert kinds(recording(steps=10, of_steps=STUCK)) == set()


def test_that_a_loss_that_only_goes_up_and_down_is_noise() -> None:
    rng = np.random.default_rng(1)
    values = {"loss": lambda step: 0.8 * rng.lognormal(0, 0.5), "accuracy": 0.7}
    size = np.array([layer.weight_size for layer in layers()])
    moving = {"update_norm": 1e-3 * np.sqrt(size)}
    noise = found(recording(steps=400, of_layers=moving, of_steps=values), "noise")
    assert noise.severity == "note"
    assert "noise, not a plateau" in noise.student


def test_that_the_regression_of_a_single_output_is_judged_by_its_first_loss() -> None:
    made = Recorder([Layer("dense", "Dense", "Dense 1 linear", (1,), 11, 10, 1)])
    for _ in range(60):
        made.append_step({"weight_norm": 1.0}, {"loss": 40.0, "rows": 32})
    assert Evidence(made).guessing == 40


def test_that_findings_of_a_running_recorder_are_those_of_its_recording() -> None:
    fading = {**scaled("delta_norm", FADING), **scaled("gradient_norm", FADING)}
    live = recorder(steps=700, of_layers=fading, of_steps=STUCK)
    assert [one.to_json() for one in diagnose(live)] == [one.to_json() for one in diagnose(live.recording())]


def test_that_a_live_source_gives_the_same_findings_at_every_moment() -> None:
    fading = {**scaled("delta_norm", FADING), **scaled("gradient_norm", FADING)}
    whole = recorder(steps=900, of_layers=fading, of_steps=STUCK).recording()
    made = Recorder(layers())
    live = Live(made)

    def append(start: int, stop: int) -> None:
        made.append(
            np.stack([whole[key][start:stop] for key in LAYER_COLUMNS], axis=-1),
            np.stack([whole[key][start:stop] for key in STEP_COLUMNS], axis=-1),
        )

    for start in range(0, 900, 45):
        append(start, start + 45)
        for _ in range(2):
            assert [one.to_json() for one in diagnose(live)] == [one.to_json() for one in diagnose(made)]
    made.rewind(130)
    append(700, 900)
    assert [one.to_json() for one in diagnose(live)] == [one.to_json() for one in diagnose(made)]


def test_that_findings_survive_a_file(tmp_path: Any) -> None:
    made = recording(of_layers={"dead": 0.95}, of_steps=STUCK, activation="relu")
    made.save(tmp_path / "run.npz")
    assert diagnose(Recording.load(tmp_path / "run.npz")) == diagnose(made)


def test_that_findings_are_json() -> None:
    values = {"activation_nan": lambda step: float(step >= 50)}
    for finding in diagnose(recording(of_layers=values, of_steps={"loss": np.nan})):
        assert json.loads(json.dumps(finding.to_json(), allow_nan=False))["kind"] == finding.kind


def test_that_the_worst_comes_first() -> None:
    made = recording(of_steps=STUCK, experiment=clipping("clipnorm", 50.0))
    assert [finding.kind for finding in diagnose(made)] == ["stopped", "clipping-never"]


def test_that_places_are_rectangles_over_neighbouring_rows() -> None:
    places = findings._places([5, 1, 2, 3], 10, 20)
    assert [(place.first_row, place.last_row) for place in places] == [(1, 3), (5, 5)]


def test_that_a_kind_is_defined_once() -> None:
    with pytest.raises(ValueError, match="already registered"):
        findings.rule(Definition("vanishing", "", "note", "delta_rms", ""))(lambda evidence, definition: iter(()))
    assert len({definition.kind for definition in findings.definitions()}) == len(findings.definitions())


def test_that_a_plateau_that_was_left_is_told_and_a_loss_that_stays_is_not() -> None:
    values = {"loss": lambda step: 2.0 if step < 120 else 2.0 * 0.95 ** (step - 120), "accuracy": 0.3}
    plateau = found(recording(steps=200, of_steps=values), "plateau")
    assert plateau.start <= 5
    assert 110 <= plateau.stop <= 125
    assert plateau.numbers["loss"] == pytest.approx(2.0)
    assert "plateau" not in kinds(recording(steps=200, of_steps={"loss": 2.0, "accuracy": 0.3}))
    assert "plateau" not in kinds(recording(steps=200, of_steps={"loss": lambda step: 2.0 * 0.99**step}))


@pytest.mark.parametrize("seed", range(40))
def test_that_no_recording_is_too_odd_to_be_diagnosed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 9))
    names = ("Dense", "BatchNormalization", "Flatten", "PReLU", "Conv2D")
    activations = ("relu", "tanh", "thing")
    odd_layers = [
        Layer(
            f"layer_{i}",
            name,
            f"{name} {rng.choice(activations)}",
            (4,),
            parameters=20,
            weight_size=int(rng.choice([0, 16])),
            units=4,
            trainable=bool(rng.random() < 0.8),
        )
        for i, name in enumerate(rng.choice(names, count))
    ]
    experiments = [None, {}, {"loss": {"type": "mse"}, "optimizer": "SGD", "batch_size": None}]
    made = Recorder(
        odd_layers,
        every=int(rng.choice([1, 3])),
        dtype=str(rng.choice(["float32", "float64", "bfloat16"])),
        experiment=experiments[int(rng.integers(3))],
    )
    steps = int(rng.choice([1, 2, 9, 70, 400]))
    odd = np.array([0.0, np.nan, np.inf, -np.inf, 1e-320, 1e308, 1.0, 1e-20])
    of_layers = rng.choice(odd, (steps, count, len(LAYER_COLUMNS)), p=_shares(rng))
    of_steps = rng.choice(odd, (steps, len(STEP_COLUMNS)), p=_shares(rng))
    made.append(np.abs(of_layers), of_steps)
    for finding in diagnose(made):
        json.dumps(finding.to_json(), allow_nan=False)
        assert all(0 <= row < count for row in finding.rows)
        assert finding.student and finding.expert
    assert [one.kind for one in diagnose(made)] == [one.kind for one in diagnose(made.recording())]


def _shares(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Mostly one kind of value, now this and now that."""
    shares = rng.dirichlet(np.full(8, 0.3))
    return np.asarray(shares / shares.sum())

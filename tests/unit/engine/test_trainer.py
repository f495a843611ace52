"""Behaviour of a run: reproducible, cut anywhere, changed on the way, honest about what isn't finite."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest

from gradsim.engine import Trainer
from gradsim.engine.layout import BLOCK
from gradsim.model.experiment import Experiment
from gradsim.nn import layers, optimizers
from gradsim.nn.layers import Layer
from gradsim.nn.optimizers import Optimizer
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS


def column(name: str) -> int:
    return LAYER_COLUMNS.index(name)


def experiment(
    stack: list[Layer] | None = None, optimizer: Optimizer | str = "Adam", batch_size: int | None = 32, **fields: object
) -> Experiment:
    stack = stack or [
        layers.Dense(16, "tanh"),
        layers.BatchNormalization(),
        layers.Dropout(0.2),
        layers.Dense(2, "softmax"),
    ]
    return Experiment(stack, "moons", optimizer=optimizer, batch_size=batch_size, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 32, None])
def test_that_ten_steps_at_once_equal_ten_single_ones(dtype: str, batch_size: int | None) -> None:
    once, often = (Trainer(experiment(batch_size=batch_size, dtype=dtype)) for _ in range(2))
    whole = once.advance(40)
    parts = [often.advance(1) for _ in range(40)]
    assert np.array_equal(whole.layers, np.concatenate([part.layers for part in parts]), equal_nan=True)
    assert np.array_equal(whole.steps, np.concatenate([part.steps for part in parts]), equal_nan=True)
    assert all(np.array_equal(a, b) for a, b in zip(once.weights(), often.weights(), strict=True))


def test_that_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    first, second, other = (Trainer(experiment(seed=seed)) for seed in (7, 7, 8))
    for trainer in (first, second, other):
        trainer.advance(60)
    assert [a.tobytes() for a in first.weights()] == [b.tobytes() for b in second.weights()]
    assert first.weights()[0].tobytes() != other.weights()[0].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [96, 250, None])
def test_that_the_number_of_threads_changes_no_bit(dtype: str, batch_size: int | None) -> None:
    # 300 rows: the last batch of an epoch is a partial one. Widths that no tile divides.
    stack: list[Layer] = [layers.Dense(403, "tanh"), layers.Dense(131, "relu"), layers.Dense(2, "softmax")]
    data = {"type": "moons", "samples": 300}
    made = [
        Trainer(
            Experiment(stack, data, batch_size=batch_size, dtype=dtype),  # type: ignore[arg-type]
            threads=threads,
        )
        for threads in (1, 2, 3)
    ]
    assert made[0]._team is None and made[1]._team is not None
    chunks = [trainer.advance(12) for trainer in made]
    for trainer, chunk in zip(made[1:], chunks[1:], strict=True):
        assert chunk.layers.tobytes() == chunks[0].layers.tobytes()
        assert [a.tobytes() for a in trainer.weights()] == [a.tobytes() for a in made[0].weights()]
    assert not any(thread.name == "helper" for thread in threading.enumerate())


@pytest.mark.parametrize("threads", [1, 2])
def test_that_what_is_recorded_of_a_large_layer_is_that_of_all_its_blocks(threads: int) -> None:
    stack: list[Layer] = [layers.Dense(403, "tanh"), layers.Dense(131, "relu"), layers.Dense(2, "softmax")]
    trainer = Trainer(experiment(stack, "SGD", batch_size=96), threads=threads)
    before = trainer.weights()[2].astype(np.float64)
    assert before.size > BLOCK
    record = dict(zip(LAYER_COLUMNS, trainer.advance(1).layers[0, 1], strict=True))
    after = trainer.weights()[2].astype(np.float64)
    gradient = trainer.gradient_matrix(1)
    assert gradient is not None
    for name, array in (("weight", after), ("gradient", gradient.astype(np.float64))):
        assert record[f"{name}_norm"] == pytest.approx(np.linalg.norm(array), rel=1e-12)
        assert record[f"{name}_max"] == np.abs(array).max()
    assert record["update_norm"] == pytest.approx(np.linalg.norm(after - before), rel=1e-6)
    # One in the last block, where the layer below can't spread it to.
    weights = trainer.weights()
    weights[2][-1, -1] = np.nan
    trainer.set_weights(weights)
    assert trainer.advance(1).layers[0, 1, LAYER_COLUMNS.index("weight_nan")] >= 1


def test_that_nothing_of_clipping_is_recorded_after_it_was_switched_off() -> None:
    trainer = Trainer(experiment(optimizer=optimizers.SGD(0.01, clipnorm=1.0)))
    assert np.isfinite(trainer.advance(5).layers[:, 0, column("clipped_norm")]).all()
    trainer.apply_live(optimizers.SGD(0.01))
    assert np.isnan(trainer.advance(5).layers[:, 0, column("clipped_norm")]).all()


RECORDED = {
    "all kinds": (None, "Adam"),
    "clipped": ([layers.Dense(12, "tanh"), layers.Dense(2, "softmax")], optimizers.SGD(0.1, clipnorm=0.5)),
    "frozen": ([layers.Dense(9, "relu", trainable=False), layers.PReLU(), layers.Dense(2, "softmax")], "Nadam"),
    "deep": ([*[layers.Dense(5, "sigmoid") for _ in range(60)], layers.Dense(2, "softmax")], "SGD"),
    "breaking": ([*[layers.Dense(8, "relu") for _ in range(4)], layers.Dense(2)], optimizers.SGD(1e6)),
}


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("cuts", [[1, 2, 700, 40], [20] * 10])
def test_that_recording_where_it_stays_keeps_what_is_handed_out(name: str, cuts: list[int]) -> None:
    stack, optimizer = RECORDED[name]
    loss = "mse" if name == "breaking" else "categorical_crossentropy"
    one, other = (Trainer(experiment(stack, optimizer, loss=loss)) for _ in range(2))
    appended, recorder = one.recorder(), other.recorder()
    for steps in cuts:
        chunk = one.advance(steps)
        appended.append(chunk.layers, chunk.steps)
        assert np.array_equal(other.record(recorder, steps), chunk.steps, equal_nan=True)
        assert recorder.stop == other.step
    a, b = appended.recording(), recorder.recording()
    assert a.first_nonfinite == b.first_nonfinite
    assert (a.first_nonfinite is not None) == (name == "breaking")
    for key in (*LAYER_COLUMNS, *STEP_COLUMNS):
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    assert all(np.array_equal(x, y, equal_nan=True) for x, y in zip(one.weights(), other.weights(), strict=True))


def test_that_recording_stops_with_the_step_of_the_first_nan() -> None:
    stack, optimizer = RECORDED["breaking"]
    trainer = Trainer(experiment(stack, optimizer, loss="mse"), stop_on_nonfinite=True)
    recorder = trainer.recorder()
    done = len(trainer.record(recorder, 700))
    assert 0 < done < 700 and trainer.nonfinite
    first = recorder.first_nonfinite
    assert first is not None and first.step == done - 1 == recorder.stop - 1


@pytest.mark.parametrize("recording", [False, True])
def test_that_a_nan_in_the_last_step_of_a_piece_ends_the_run_too(
    recording: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, optimizer = RECORDED["breaking"]
    first, trainer = (Trainer(experiment(stack, optimizer, loss="mse"), stop_on_nonfinite=True) for _ in range(2))
    steps = len(first.advance(700))
    monkeypatch.setattr("gradsim.engine.trainer.CHUNK", steps)
    done = trainer.record(trainer.recorder(), 700) if recording else trainer.advance(700)
    assert len(done) == trainer.step == steps
    # Told to go on, it goes on.
    assert len(trainer.advance(3)) == 3


def test_that_a_recorder_of_other_layers_is_refused() -> None:
    trainer, other = Trainer(experiment()), Trainer(experiment([layers.Dense(2, "softmax")], "SGD"))
    with pytest.raises(ValueError, match=r"recorder: must be one of 4 layers \(received one of 1\)"):
        trainer.record(other.recorder(), 3)
    assert trainer.step == 0


@pytest.mark.parametrize("rate", [0.0, 1e-10])
def test_that_the_update_of_an_enormous_gradient_is_finite_in_float64(rate: float) -> None:
    x = np.full((32, 1), 1e160)
    made = Experiment(
        [layers.Dense(1, kernel_initializer="zeros", use_bias=False)], (x, np.ones((32, 1))), loss="mae",
        optimizer=optimizers.SGD(rate), dtype="float64",
    )  # fmt: skip
    record = Trainer(made).advance(1).layers[0, 0]
    assert record[column("gradient_norm")] == pytest.approx(1e160)
    assert record[column("update_norm")] == pytest.approx(1e160 * rate)


def test_that_nothing_of_clipping_stays_in_what_is_recorded_where_it_lies() -> None:
    trainer = Trainer(experiment(optimizer=optimizers.SGD(0.01, clipvalue=1e-3)))
    recorder = trainer.recorder()
    trainer.record(recorder, 5)
    trainer.apply_live(optimizers.SGD(0.01))
    trainer.record(recorder, 5)
    cosine = recorder.recording()["clip_cosine"][:, 0]
    assert np.isfinite(cosine[:5]).all() and np.isnan(cosine[5:]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("inputs", [1, 7, 16, 17, 33])
def test_that_a_batch_holds_the_rows_it_says(dtype: str, inputs: int) -> None:
    rng = np.random.default_rng(inputs)
    x, y = rng.standard_normal((50, inputs)), rng.integers(0, 3, 50)
    trainer = Trainer(Experiment([layers.Dense(3, "softmax")], (x, y), batch_size=8, dtype=dtype))
    for _ in range(9):
        trainer.advance(1)
        rows = trainer.batch_rows()
        given, targets = trainer.plan.arena.array(trainer.plan.x), trainer.plan.arena.array(trainer.plan.target)
        np.testing.assert_array_equal(given[: len(rows)], x[rows].astype(dtype))
        np.testing.assert_array_equal(targets[: len(rows)], np.eye(3, dtype=dtype)[y[rows]])


def test_that_no_steps_are_an_empty_record() -> None:
    trainer = Trainer(experiment())
    assert len(trainer.advance(0)) == 0 and trainer.step == 0


def test_that_small_layers_are_left_to_one_thread() -> None:
    assert Trainer(experiment(), threads=2)._team is None


@pytest.mark.parametrize("name", list(optimizers.registry))
def test_that_a_restored_snapshot_goes_on_bit_for_bit(name: str) -> None:
    trainer = Trainer(experiment(optimizer=optimizers.registry.create(name)))
    trainer.advance(17)
    kept = trainer.snapshot()
    ahead = trainer.advance(30)
    trainer.restore(kept)
    again = trainer.advance(30)
    assert again.first_step == 17
    assert np.array_equal(ahead.steps, again.steps, equal_nan=True)
    assert np.array_equal(ahead.layers, again.layers, equal_nan=True)


def test_that_an_epoch_uses_every_row_once_and_keeps_the_last_partial_batch() -> None:
    trainer = Trainer(experiment(batch_size=30))
    total = len(trainer.dataset.x_train)
    orders = []
    for _ in range(2):
        rows: list[int] = []
        for _ in range(trainer.steps_per_epoch):
            chunk = trainer.advance(1)
            taken = trainer.batch_rows()
            assert len(taken) == chunk.steps[0, STEP_COLUMNS.index("rows")]
            rows += taken.tolist()
        assert sorted(rows) == list(range(total))
        orders.append(rows)
    assert trainer.epoch == 2
    assert orders[0] != orders[1]
    assert trainer.steps_per_epoch == -(-total // 30)


def test_that_rows_come_in_their_own_order_without_shuffling() -> None:
    trainer = Trainer(experiment(shuffle=False))
    trainer.advance(1)
    assert trainer.batch_rows().tolist() == list(range(32))


def test_that_changing_learning_rate_and_clipping_keeps_weights_and_slots() -> None:
    trainer = Trainer(experiment(optimizer=optimizers.Adam(0.01)))
    trainer.advance(10)
    before = trainer.snapshot()
    trainer.apply_live(optimizers.Adam(0.0, clipnorm=1e-3))
    assert all(np.array_equal(a, b) for a, b in zip(before.arrays, trainer.snapshot().arrays, strict=True))
    chunk = trainer.advance(1)
    assert chunk.steps[0, STEP_COLUMNS.index("learning_rate")] == 0
    assert chunk.layers[0, 0, column("clipped_norm")] == pytest.approx(1e-3, rel=1e-5)
    assert chunk.layers[0, 0, column("update_norm")] == 0


def test_that_another_kind_of_optimizer_is_refused_in_a_running_training() -> None:
    with pytest.raises(ValueError, match="Adam to SGD"):
        Trainer(experiment()).apply_live(optimizers.SGD())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_that_recorded_statistics_are_those_of_the_arrays(dtype: str) -> None:
    stack: list[Layer] = [layers.Dense(9, "relu"), layers.Dense(8, "tanh"), layers.Dense(2, "softmax")]
    trainer = Trainer(experiment(stack, optimizers.SGD(0.1), None, dtype=dtype))
    x, y = trainer.dataset.x_train, trainer.dataset.targets(2)[0]
    passed = trainer.gradients(x, y)
    before = trainer.weights()
    record = trainer.advance(1)
    after = trainer.weights()
    values = record.layers[0]
    for row in range(3):
        delta, gradient = passed.delta[row], passed.weights[2 * row]
        assert delta is not None and gradient is not None
        delta, gradient, output = (np.asarray(a, np.float64) for a in (delta, gradient, passed.activations[row]))
        wanted = {
            "delta_norm": np.linalg.norm(delta),
            "delta_max": np.abs(delta).max(),
            "gradient_norm": np.linalg.norm(gradient),
            "gradient_max": np.abs(gradient).max(),
            "weight_norm": np.linalg.norm(after[2 * row].astype(np.float64)),
            "weight_max": np.abs(after[2 * row]).max(),
            "update_norm": np.linalg.norm((after[2 * row] - before[2 * row]).astype(np.float64)),
            "activation_mean": output.mean(),
            "activation_std": output.std(),
        }
        for key, value in wanted.items():
            assert values[row, column(key)] == pytest.approx(value, rel=2e-5 if dtype == "float32" else 1e-11), key
    dead = np.all(passed.activations[0] <= 0, axis=0).mean()
    assert values[0, column("dead")] == pytest.approx(dead)
    assert values[0, column("saturated")] == pytest.approx((passed.activations[0] <= 0).mean())
    assert values[1, column("saturated")] == pytest.approx((1 - passed.activations[1] ** 2 < 0.05).mean())
    together = np.sqrt(sum(np.sum(np.asarray(g, np.float64) ** 2) for g in passed.weights if g is not None))
    assert record.steps[0, STEP_COLUMNS.index("global_gradient_norm")] == pytest.approx(together, rel=1e-5)
    assert record.steps[0, STEP_COLUMNS.index("loss")] == pytest.approx(passed.loss, rel=1e-5)


@pytest.mark.parametrize(
    "stack",
    [
        [layers.Dense(6, "softmax"), layers.LeakyReLU(), layers.PReLU(), layers.Dense(2, "softmax")],
        [layers.Dense(4), layers.Residual([layers.Activation("tanh"), layers.Dense(4)]), layers.Dense(2, "sigmoid")],
        [layers.BatchNormalization(), layers.ELU(), layers.Dropout(0.0), layers.Dense(2, "softmax")],
    ],
)
def test_that_deltas_of_a_backward_pass_are_those_that_a_step_records(stack: list[Layer]) -> None:
    trainer = Trainer(experiment(stack, "SGD", None, dtype="float64"))
    passed = trainer.gradients(trainer.dataset.x_train, trainer.dataset.targets(2)[0])
    recorded = trainer.advance(1).layers[0, :, column("delta_norm")]
    deltas = [np.linalg.norm(delta) for delta in passed.delta if delta is not None]
    np.testing.assert_allclose(recorded, deltas, rtol=1e-12)


@pytest.mark.parametrize(
    ("clipping", "limit"), [("clipvalue", 1e-3), ("clipnorm", 1e-2), ("global_clipnorm", 1e-2), ("clipnorm", 1e9)]
)
def test_that_clipping_is_recorded_raw_clipped_and_with_its_cosine(clipping: str, limit: float) -> None:
    stack: list[Layer] = [layers.Dense(9, "tanh"), layers.Dense(2, "softmax")]
    trainer = Trainer(experiment(stack, optimizers.SGD(0.1, **{clipping: limit}), None, dtype="float64"))
    x, y = trainer.dataset.x_train, trainer.dataset.targets(2)[0]
    raw = [np.asarray(g, np.float64) for g in trainer.gradients(x, y).weights if g is not None]
    together = np.sqrt(sum(np.sum(g**2) for g in raw))
    values = trainer.advance(1).layers[0]
    for row, gradient in enumerate(raw[::2]):
        norm = np.linalg.norm(gradient)
        clipped = {
            "clipvalue": np.clip(gradient, -limit, limit),
            "clipnorm": gradient * min(1, limit / norm),
            "global_clipnorm": gradient * min(1, limit / together),
        }[clipping]
        cosine = np.sum(clipped * gradient) / np.linalg.norm(clipped) / norm
        assert values[row, column("gradient_norm")] == pytest.approx(norm, rel=1e-9)
        assert values[row, column("clipped_norm")] == pytest.approx(np.linalg.norm(clipped), rel=1e-9)
        assert values[row, column("clip_cosine")] == pytest.approx(cosine, rel=1e-9)
        assert values[row, column("update_norm")] == pytest.approx(0.1 * np.linalg.norm(clipped), rel=1e-9)


def test_that_a_gradient_whose_squares_overflow_float32_is_clipped_and_not_lost() -> None:
    stack: list[Layer] = [layers.Dense(4, kernel_initializer="ones"), layers.Dense(1)]
    x, y = np.full((4, 2), 1e12), np.zeros((4, 1))
    trainer = Trainer(Experiment(stack, (x, y), "mse", optimizers.SGD(0.1, clipnorm=1.0), batch_size=None))
    values = trainer.advance(1).layers[0]
    assert values[0, column("gradient_norm")] > 1.8e19
    assert values[0, column("clipped_norm")] == pytest.approx(1.0, rel=1e-5)


def test_that_a_gradient_below_the_squares_of_float32_still_has_its_norm() -> None:
    stack: list[Layer] = [
        layers.Repeat(40, [layers.Dense(20, "sigmoid")]),
        layers.Dense(2, "softmax"),
    ]
    values = Trainer(experiment(stack, "SGD")).advance(1).layers[0]
    lowest = values[0, column("delta_norm")]
    assert 0 < lowest < 1e-24


def test_that_nan_and_inf_are_found_at_the_step_at_which_they_occur() -> None:
    stack: list[Layer] = [layers.Repeat(8, [layers.Dense(32, "relu", kernel_initializer="he_normal")]), layers.Dense(2)]
    wild = Experiment(stack, "moons", "mse", optimizers.SGD(1e6), batch_size=32)
    watched, stopped = Trainer(wild), Trainer(wild, stop_on_nonfinite=True)
    chunk, short = watched.advance(60), stopped.advance(60)
    counts = [i for i, key in enumerate(LAYER_COLUMNS) if key.endswith(("_nan", "_inf"))]
    bad = chunk.layers[:, :, counts].sum(axis=(1, 2)) + ~np.isfinite(chunk.steps[:, STEP_COLUMNS.index("loss")])
    first = int(np.argmax(bad > 0))
    assert bad[first] > 0
    assert len(short) == first + 1
    norms = chunk.steps[:, STEP_COLUMNS.index("global_gradient_norm")]
    spoilt = chunk.layers[:, :, [column("gradient_nan"), column("gradient_inf")]].sum(axis=(1, 2)) > 0
    assert spoilt.any() and not np.isfinite(norms[spoilt]).any() and np.isfinite(norms[~spoilt]).all()
    assert stopped.nonfinite
    assert len(stopped.advance(5)) == 5, "asked again, it goes on"
    # The finite rest has its statistics still.
    assert np.isfinite(chunk.layers[first, :, column("weight_norm")]).all()


def test_that_frozen_layers_stay_and_have_no_gradient_of_their_weights() -> None:
    stack: list[Layer] = [
        layers.Dense(8, "tanh", trainable=False),
        layers.BatchNormalization(trainable=False),
        layers.Dense(2, "softmax"),
    ]
    trainer = Trainer(experiment(stack))
    before = trainer.weights()
    values = trainer.advance(5).layers[-1]
    after = trainer.weights()
    assert all(np.array_equal(a, b) for a, b in zip(before[:6], after[:6], strict=True))
    assert not np.array_equal(before[6], after[6])
    assert np.isnan(values[0, column("gradient_norm")])
    assert values[0, column("update_norm")] == 0
    assert values[0, column("delta_norm")] > 0


def test_that_dropout_keeps_the_mean_and_is_off_in_inference() -> None:
    stack: list[Layer] = [layers.Dropout(0.4), layers.Dense(1)]
    x = np.ones((4000, 10))
    trainer = Trainer(Experiment(stack, (x, np.zeros((4000, 1))), "mse", batch_size=None))
    dropped = trainer.gradients(x, np.zeros((4000, 1))).activations[0]
    share = (dropped == 0).mean()
    # 40,000 draws: five standard deviations of the share are 0.012.
    assert share == pytest.approx(0.4, abs=0.0125)
    np.testing.assert_allclose(dropped[dropped != 0], 1 / 0.6, rtol=1e-6)
    kernel, bias = trainer.weights()
    np.testing.assert_allclose(trainer.predict(x[:3]), np.ones((3, 10)) @ kernel + bias, rtol=1e-5)


def test_that_phases_add_up_to_the_step() -> None:
    for optimizer in (optimizers.SGD(0.1), optimizers.Adam(0.1, clipvalue=1e-3), optimizers.SGD(global_clipnorm=0.1)):
        slow, quick = (Trainer(experiment(optimizer=optimizer)) for _ in range(2))
        for _ in range(3):
            names = []
            for name in slow.phases():
                names.append(name)
                record = slow.phase_record()
            assert names == ["forward", "loss", "backward", "clip", "update"]
        quicker = quick.advance(3)
        assert slow.step == quick.step
        assert all(np.array_equal(a, b) for a, b in zip(slow.weights(), quick.weights(), strict=True))
        assert np.array_equal(record.steps[0], quicker.steps[-1], equal_nan=True)
        assert np.array_equal(record.layers[0], quicker.layers[-1], equal_nan=True)


def test_that_evaluation_equals_a_hand_made_one_and_disturbs_nothing() -> None:
    trainer = Trainer(experiment(dtype="float64"))
    trainer.advance(20)
    kept = trainer.snapshot()
    metrics = trainer.evaluate("train")
    x, y = trainer.dataset.x_train, trainer.dataset.targets(2)[0]
    p = trainer.predict(x)
    assert metrics.loss == pytest.approx(-np.mean(np.sum(y * np.log(p), axis=1)), rel=1e-9)
    assert metrics.accuracy == pytest.approx(np.mean(p.argmax(1) == y.argmax(1)))
    assert np.isfinite(trainer.evaluate().loss)
    assert all(np.array_equal(a, b) for a, b in zip(kept.arrays, trainer.snapshot().arrays, strict=True))


def test_that_wrong_weights_are_refused_by_name_and_shape() -> None:
    trainer = Trainer(experiment())
    weights = trainer.weights()
    with pytest.raises(
        ValueError, match=r"weights\[0\] \(dense\): must have the shape \(2, 16\) \(received \(3, 3\)\)"
    ):
        trainer.set_weights([np.zeros((3, 3)), *weights[1:]])
    with pytest.raises(ValueError, match="must be 8 arrays"):
        trainer.set_weights(weights[:-1])


def test_that_an_edit_of_the_stack_compiles_nothing_once_all_is_compiled() -> None:
    from gradsim.engine import operations, warm_up

    warm_up(dtypes=("float32", "float64"))
    compiled = len(operations.compiled)
    stack: list[Layer] = [
        layers.Residual([layers.Dense(2, "mish"), layers.LayerNormalization(), layers.PReLU()]),
        layers.Dropout(0.1),
        layers.Dense(5, "softmax"),
        layers.Dense(1, "sigmoid", kernel_regularizer="l2"),
    ]
    e = Experiment(stack, "moons", "binary_crossentropy", optimizers.Nadam(clipvalue=0.1), batch_size=16)
    Trainer(e).advance(3)
    Trainer(dataclasses.replace(e, dtype="float64")).advance(3)
    assert len(operations.compiled) == compiled


def test_that_memory_is_little_more_than_what_the_arrays_need() -> None:
    stack: list[Layer] = [layers.Repeat(20, [layers.Dense(64, "tanh")]), layers.Dense(10, "softmax")]
    rng = np.random.default_rng(0)
    e = Experiment(stack, (rng.standard_normal((256, 64)), rng.integers(0, 10, 256)), optimizer="Adam")
    trainer = Trainer(e)
    weights = sum(array.nbytes for array in trainer.weights())
    activations = 4 * 32 * (64 + 20 * 64 + 10 + 10)
    assert trainer.nbytes <= 1.3 * (4 * weights + activations)


def test_that_a_large_batch_does_not_need_its_inputs_twice() -> None:
    rows, wide = 2000, 784
    rng = np.random.default_rng(0)
    stack: list[Layer] = [layers.Dense(32, "tanh"), layers.Dense(10, "softmax")]
    data = (rng.standard_normal((rows, wide)), rng.integers(0, 10, rows))
    # Used where they lie; the block holds what is computed from them.
    assert Trainer(Experiment(stack, data, batch_size=None)).nbytes < rows * wide * 4


def test_that_a_continued_training_keeps_weights_slots_and_the_order_of_the_rows() -> None:
    free = experiment([layers.Dense(8, "tanh"), layers.Dense(8, "tanh"), layers.Dense(2, "softmax")], batch_size=16)
    one, other = Trainer(free), Trainer(free)
    for trainer in (one, other):
        trainer.advance(9)
    same = other.continued(free)
    assert (same.step, same.epoch) == (one.step, one.epoch)
    np.testing.assert_array_equal(same.advance(7).steps, one.advance(7).steps)
    frozen = (dataclasses.replace(free.layers[0], trainable=False), *free.layers[1:])
    held = same.continued(dataclasses.replace(free, layers=frozen))
    before = held.weights()
    held.advance(5)
    moved = [not np.array_equal(a, b) for a, b in zip(before, held.weights(), strict=True)]
    assert moved == [False, False, True, True, True, True]


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "elu", "gelu", "linear"])
def test_that_a_backward_pass_tells_pre_activations_and_activations_apart(activation: str) -> None:
    trainer = Trainer(experiment([layers.Dense(8, activation), layers.Dense(2, "softmax")], dtype="float64"))
    trainer.advance(3)
    x = trainer.dataset.x_train[:20]
    found = trainer.gradients(x, trainer.dataset.targets(2)[0][:20])
    kernel, bias = trainer.weights()[:2]
    np.testing.assert_allclose(found.pre_activations[0], x @ kernel + bias, rtol=1e-9)
    first = trainer.stack.layers[0].layer
    assert isinstance(first, layers.Dense)
    np.testing.assert_allclose(found.activations[0], first.activation(x @ kernel + bias), rtol=1e-6)

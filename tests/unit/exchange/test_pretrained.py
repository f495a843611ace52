"""Pretrained layers under a new experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradsim import api
from gradsim.engine.trainer import Trainer
from gradsim.exchange import pretrained, weights
from gradsim.exchange.results import ImportFault
from gradsim.model import Experiment, bundled
from gradsim.nn.spec import to_json


def dense(units: int, activation: str = "tanh", **fields: Any) -> dict[str, Any]:
    return {"type": "Dense", "units": units, "activation": activation, **fields}


DEEP = {"type": "Repeat", "count": 4, "layers": [dense(6), {"type": "BatchNormalization"}]}
FIRST = Experiment(
    layers=[dense(6), DEEP, dense(3, "softmax")],
    data={"type": "spiral", "classes": 3, "samples": 90},
    batch_size=20,
)  # fmt: skip
SECOND = Experiment(
    layers=[dense(6), DEEP, dense(1, "sigmoid")],
    data={"type": "moons", "samples": 60}, loss="binary_crossentropy", seed=4, batch_size=20,
)  # fmt: skip


def saved() -> pretrained.Saved:
    return pretrained.of_recording(api.Experiment.of(FIRST).run(steps=5))


def shown(layers: Any) -> list[Any]:
    return [to_json(layer) for layer in layers]


NORM = {"type": "BatchNormalization"}
PAIR = [dense(6), NORM]


@pytest.mark.parametrize(
    ("rows", "first", "rest"),
    [
        (0, [], [dense(6), {"type": "Repeat", "count": 4, "layers": PAIR}, dense(1, "sigmoid")]),
        (1, [dense(6)], [{"type": "Repeat", "count": 4, "layers": PAIR}, dense(1, "sigmoid")]),
        (
            5,
            [dense(6), {"type": "Repeat", "count": 2, "layers": PAIR}],
            [{"type": "Repeat", "count": 2, "layers": PAIR}, dense(1, "sigmoid")],
        ),
        (
            4,
            [dense(6), {"type": "Repeat", "count": 1, "layers": PAIR}, dense(6)],
            [NORM, {"type": "Repeat", "count": 2, "layers": PAIR}, dense(1, "sigmoid")],
        ),
        (10, [dense(6), {"type": "Repeat", "count": 4, "layers": PAIR}, dense(1, "sigmoid")], []),
    ],
)
def test_that_a_stack_is_divided_after_any_row(rows: int, first: list[Any], rest: list[Any]) -> None:
    below, above = pretrained.split(SECOND.layers, rows)
    assert (shown(below), shown(above)) == (first, rest)


def test_that_a_residual_block_is_not_cut() -> None:
    layers = Experiment(layers=[dense(2), {"type": "Residual", "layers": [dense(2), dense(2)]}]).layers
    with pytest.raises(ImportFault, match="must not cut a residual block: 1 or 3"):
        pretrained.split(layers, 2)
    with pytest.raises(ImportFault, match="must be from 0 to 3"):
        pretrained.split(layers, 4)


@pytest.mark.parametrize("rows", [1, 4, 5, 9])
def test_that_frozen_layers_keep_the_saved_weights_and_the_others_learn(rows: int) -> None:
    one = saved()
    reused = pretrained.reuse(one, SECOND, rows)
    recording = api.Experiment.of(reused.experiment).run(steps=10, weights=reused.weights)
    assert recording.final_weights is not None
    for (placed, _), before, after in zip(
        reused.experiment.stack().weights(), one.weights, recording.final_weights, strict=False
    ):
        if placed.index < rows:
            np.testing.assert_array_equal(after, np.float32(before))
    assert not np.array_equal(recording.final_weights[-2], np.float32(reused.weights[-2]))


def test_that_the_stack_from_scratch_differs_in_freezing_and_weights_only() -> None:
    reused = pretrained.reuse(saved(), SECOND, 5)
    free = pretrained.with_trainable(reused.experiment, 5, True)
    assert shown(reused.scratch.layers) == shown(free.layers)
    assert to_json(reused.scratch.data) == to_json(SECOND.data)
    assert [p.trainable for p in reused.experiment.stack().layers] == [False] * 5 + [True] * 5
    assert all(p.trainable for p in reused.scratch.stack().layers)


def test_that_layers_are_freed_in_the_middle_of_a_training() -> None:
    reused = pretrained.reuse(saved(), SECOND, 5)
    trainer = Trainer(reused.experiment, reused.weights)
    trainer.advance(3)
    frozen = trainer.weights()
    freed = Trainer(pretrained.with_trainable(reused.experiment, 5, True), frozen)
    freed.advance(3)
    assert not np.array_equal(freed.weights()[0], frozen[0])


def test_that_recordings_and_weight_files_are_opened(tmp_path: Path) -> None:
    recording = api.Experiment.of(FIRST).run(steps=2)
    recording.save(tmp_path / "run.npz")
    one = pretrained.load(tmp_path / "run.npz")
    weights.save(tmp_path / "weights.npz", FIRST.stack(), one.weights)
    other = pretrained.load(tmp_path / "weights.npz", FIRST)
    for mine, its in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, its)
    assert shown(one.experiment.layers) == shown(FIRST.layers)
    with pytest.raises(ImportFault, match="the experiment that they belong to"):
        pretrained.load(tmp_path / "weights.npz")


def test_that_data_of_another_shape_are_refused() -> None:
    with pytest.raises(ImportFault, match="must have rows of the shape 2"):
        pretrained.reuse(saved(), Experiment(layers=SECOND.layers, data="iris"), 3)


def test_that_the_bundled_pair_fits_together() -> None:
    first, second = bundled.load("pretrained-1-eight-classes"), bundled.load("pretrained-2-two-others")
    start = first.stack().initial_weights(first.seed)
    reused = pretrained.reuse(pretrained.Saved(first, start), second, 6)
    assert first.data.signature().outputs == 8
    assert len(second.data.load().x_train) == 200
    assert set(first.data.signature().class_names).isdisjoint(second.data.signature().class_names)
    assert [placed.trainable for placed in reused.experiment.stack().layers] == [False] * 6 + [True]

"""Try the cures on the stacks that the issue names: each must become one that trains."""

from __future__ import annotations

from typing import Any

import pytest

from gradsim.diagnose import cures
from gradsim.engine.trainer import Trainer
from gradsim.model import Experiment
from gradsim.nn import layers as nn_layers

LEARNED = 0.8
WITHIN = 2000
SHOWN = 3
"""How many of the ranked results are tried for long, the best first, until one has learned."""


def stack(depth: int, activation: str, initializer: Any, output: Any = "glorot_uniform") -> tuple[nn_layers.Layer, ...]:
    hidden = {"type": "Dense", "units": 100, "activation": activation, "kernel_initializer": initializer}
    last = {"type": "Dense", "units": 10, "activation": "softmax", "kernel_initializer": output}
    found = [{"type": "Flatten"}, {"type": "Repeat", "count": depth, "layers": [hidden]}, last]
    return tuple(nn_layers.registry.validate(layer) for layer in found)


def normal(deviation: float) -> dict[str, Any]:
    return {"type": "random_normal", "stddev": deviation}


def sgd(rate: float) -> dict[str, Any]:
    return {"type": "SGD", "learning_rate": rate}


HOPELESS = {
    "20 sigmoid random_normal(0.05)": Experiment(stack(20, "sigmoid", normal(0.05)), optimizer=sgd(0.01)),
    "30 ReLU random_normal(1)": Experiment(stack(30, "relu", normal(1.0)), optimizer=sgd(0.01)),
    "50 tanh glorot": Experiment(stack(50, "tanh", "glorot_uniform"), optimizer=sgd(0.01)),
    "20 ReLU zeros": Experiment(stack(20, "relu", "zeros", "zeros"), optimizer=sgd(0.01)),
    "learning rate 10": Experiment(stack(3, "relu", "he_normal"), optimizer=sgd(10.0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOPELESS)
def test_that_the_best_cure_trains_what_did_not(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = HOPELESS[name]
    results = cures.try_cures(experiment)
    reached = 0.0
    for number, result in enumerate(results[:SHOWN], 1):
        trainer = Trainer(result.candidate.experiment)
        while trainer.step < WITHIN and reached < LEARNED:
            trainer.advance(250)
            reached = trainer.evaluate("train").accuracy
        with capsys.disabled():
            words = f"{name}: {number} of {len(results)}: {result.candidate.title}"
            print(f"\n{words}: train accuracy {reached:.3f} by step {trainer.step}")  # noqa: T201
        if reached >= LEARNED:
            break
    as_it_is = next(result for result in results if not result.candidate.keys)
    assert as_it_is.score > results[0].score
    assert as_it_is.broke or as_it_is.accuracy < LEARNED
    assert reached >= LEARNED

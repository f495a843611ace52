from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from gradsim.app.diagnosis.chain import _between, chain_of
from gradsim.engine.trainer import Trainer
from gradsim.model import bundled
from gradsim.model.experiment import Experiment
from gradsim.nn import layers
from tests.unit.app.experiments import small_experiment


def trained(experiment: Experiment, steps: int = 5) -> Trainer:
    trainer = Trainer(experiment)
    trainer.advance(steps)
    return trainer


@pytest.mark.parametrize(
    "behind",
    [(layers.Activation("tanh"),), (layers.LeakyReLU(),), (layers.PReLU(),), (layers.ELU(),), ()],
    ids=["Activation", "LeakyReLU", "PReLU", "ELU", "none"],
)
def test_that_weights_and_slopes_of_all_paths_add_up_to_delta(behind: tuple[layers.Layer, ...]) -> None:
    hidden = [layer for _ in range(2) for layer in (layers.Dense(6, "linear" if behind else "sigmoid"), *behind)]
    trainer = trained(small_experiment(*hidden, layers.Dense(1, "sigmoid"), dtype="float64"))
    found = trainer.gradients(trainer.dataset.x_train[:4], trainer.dataset.targets(1)[0][:4])
    dense = [placed.index for placed in trainer.stack.layers if isinstance(placed.layer, layers.Dense)]
    for row, above in itertools.pairwise(dense):
        upper, kernel = found.delta[above], trainer.weight_matrix(above)
        assert upper is not None and kernel is not None
        one_by_one = _between(trainer, found, row, above) * (kernel @ upper[0])
        delta = found.delta[row]
        assert delta is not None
        np.testing.assert_allclose(one_by_one, delta[0], rtol=1e-6)


def test_that_all_paths_together_multiply_to_the_delta_of_the_layer() -> None:
    trainer = trained(bundled.load("vanishing-sigmoid"))
    chain = chain_of(trainer, None, "all", 0)
    assert chain is not None
    assert chain.bottom == 1
    assert len(chain.links) == 41
    product = sum(math.log10(link.value) for link in chain.links)
    assert product == pytest.approx(chain.log10_delta, abs=1e-6)
    x, y = trainer.dataset.x_train[:32], trainer.dataset.targets(10)[0][:32]
    delta = trainer.gradients(x, y).delta[1]
    assert delta is not None
    assert 10**chain.log10_delta == pytest.approx(float(np.sqrt(np.mean(np.square(delta, dtype=np.float64)))), rel=1e-4)


def test_that_the_product_along_a_path_is_that_of_its_factors() -> None:
    trainer = trained(bundled.load("vanishing-sigmoid"))
    for path in ("strongest", "random"):
        chain = chain_of(trainer, 10, path, 3)  # type: ignore[arg-type]
        assert chain is not None
        assert chain.bottom == 10
        running = np.cumsum([math.log10(abs(link.value)) for link in chain.links])
        np.testing.assert_allclose(running, [link.log10 for link in chain.links], rtol=1e-9)
        assert [link.kind for link in chain.links[:3]] == ["gradient", "weight", "slope"]
        # One of very many paths is but a small part of their sum.
        assert chain.links[-1].log10 < chain.log10_delta
        assert chain.log10_paths == pytest.approx(20.0)


def test_that_the_strongest_path_is_stronger_than_one_at_random() -> None:
    trainer = trained(bundled.load("vanishing-sigmoid"))
    strongest, other = chain_of(trainer, None, "strongest", 0), chain_of(trainer, None, "random", 0)
    assert strongest is not None and other is not None
    assert strongest.links[-1].log10 > other.links[-1].log10


def test_that_a_layer_without_kernel_counts_to_the_dense_layer_below_it() -> None:
    stack = (layers.Dense(6), layers.Activation("tanh"), layers.Dense(5, "tanh"), layers.Dense(1, "sigmoid"))
    trainer = trained(small_experiment(*stack))
    chain = chain_of(trainer, 1, "all", 0)
    assert chain is not None
    assert chain.bottom == 0


def test_that_normalisations_and_residual_blocks_are_told() -> None:
    block = layers.Residual((layers.Dense(6), layers.BatchNormalization(), layers.Activation("relu")))
    trainer = trained(small_experiment(layers.Dense(6, "tanh"), block, layers.Dense(1, "sigmoid")))
    chain = chain_of(trainer, None, "strongest", 0)
    assert chain is not None
    assert chain.normalised
    assert chain.skipped
    upper = chain_of(trainer, len(trainer.stack.layers) - 1, "all", 0)
    assert upper is not None
    assert not upper.skipped
    assert len(upper.links) == 1

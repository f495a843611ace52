"""Trials of cures on a stack that is small enough for the default suite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradsim.diagnose import cures, remedies
from gradsim.diagnose.cures import Progress, Result
from gradsim.engine.trainer import Trainer
from gradsim.model import Experiment, StackError
from gradsim.model.faults import FaultsError
from gradsim.nn import layers, optimizers
from gradsim.nn.layers import Dense


def deep_sigmoid(depth: int = 8, rate: float = 0.1) -> Experiment:
    block = layers.Repeat(depth, (Dense(16, "sigmoid"),))
    return Experiment(
        (block, Dense(1, "sigmoid")),
        data={"type": "moons", "samples": 200},
        loss="binary_crossentropy",
        optimizer=optimizers.SGD(rate),
        seed=3,
    )


def chosen(experiment: Experiment, *keys: str) -> list[cures.Candidate]:
    return [one for one in cures.candidates(experiment) if not one.keys or (one.keys[0] in keys and len(one.keys) == 1)]


def test_that_the_candidates_are_the_experiment_its_remedies_and_pairs() -> None:
    experiment = deep_sigmoid()
    found = cures.candidates(experiment)
    assert found[0].experiment is experiment
    singles = {one.keys[0] for one in found if len(one.keys) == 1}
    assert singles == {one.remedy.key for one in remedies.offers(experiment) if one.applicable}
    pairs = {one.keys for one in found if len(one.keys) == 2}
    assert ("relu", "adam") in pairs
    assert ("orthogonal", "adam") not in pairs
    assert {len(one.keys) for one in cures.candidates(experiment, pairs=False)} == {0, 1}


def test_that_pairs_name_remedies_that_there_are() -> None:
    for first, second in cures.PAIRS:
        assert remedies.REMEDIES[first].group != remedies.REMEDIES[second].group


def test_that_what_trains_is_ranked_first() -> None:
    experiment = deep_sigmoid()
    results = cures.try_cures(experiment, 150, chosen(experiment, "relu", "elu", "clipnorm"))
    assert len(results) == 4
    assert {results[0].candidate.keys, results[1].candidate.keys} == {("relu",), ("elu",)}
    worst = results[-1]
    assert "vanishing" in {finding.kind for finding in worst.findings}
    assert worst.health < results[0].health == 1
    assert [result.score for result in results] == sorted(result.score for result in results)


def test_that_adopting_a_result_is_one_edit_of_the_experiment() -> None:
    experiment = deep_sigmoid()
    best = cures.try_cures(experiment, 5, chosen(experiment, "relu"))[0]
    edit = best.candidate.edit
    if edit is None:
        pytest.fail("the cure must do better than the experiment as it is")
    assert edit.before is experiment
    assert edit.experiment == best.candidate.experiment


def test_that_a_trial_is_what_the_experiment_does_by_itself() -> None:
    experiment = deep_sigmoid()
    result = cures.try_cures(experiment, 40, chosen(experiment)[:1])[0]
    chunk = Trainer(experiment).advance(40)
    assert np.array_equal(result.recording["loss"], chunk.steps[:, 0])
    assert result.steps == 40


def test_that_short_trials_judge_batch_normalisation_by_what_it_has_seen() -> None:
    experiment = deep_sigmoid(3)
    candidate = chosen(experiment, "bn-before")[1]
    result = cures.try_cures(experiment, 60, [candidate])[0]
    trainer = Trainer(candidate.experiment)
    assert np.array_equal(result.recording["loss"], trainer.advance(60).steps[:, 0])
    assert result.loss < trainer.evaluate().loss


def test_that_a_trial_that_breaks_ends_and_is_last() -> None:
    block = layers.Repeat(30, (Dense(32, "relu", kernel_initializer={"type": "random_normal", "stddev": 1.0}),))
    experiment = Experiment((layers.Flatten(), block, Dense(10, "softmax")), data="digits")
    results = cures.try_cures(experiment, 30, chosen(experiment, "initializer"))
    assert results[0].candidate.keys == ("initializer",)
    broken = results[-1]
    assert broken.broke
    assert broken.steps < 30
    assert math.isnan(broken.loss)
    assert (broken.health, broken.score) == (0, math.inf)


def test_that_trials_report_often_and_stop_when_told_to() -> None:
    experiment = deep_sigmoid()
    seen: list[Progress] = []

    def once(progress: Progress) -> bool:
        seen.append(progress)
        return progress.result is not None

    results = cures.try_cures(experiment, 20, chosen(experiment, "relu", "elu"), callback=once, workers=1)
    assert len(results) == 1
    assert (seen[0].done, seen[0].total, seen[0].step) == (0, 3, 0)
    assert (seen[-1].done, seen[-1].step) == (1, 20)


def test_that_results_do_not_depend_on_how_many_are_tried_at_a_time() -> None:
    experiment = deep_sigmoid()
    tried = chosen(experiment, "relu", "elu", "adam")
    one, three = (cures.try_cures(experiment, 25, tried, workers=workers) for workers in (1, 3))
    assert [result.candidate.keys for result in one] == [result.candidate.keys for result in three]
    for first, second in zip(one, three, strict=True):
        assert first.recording == second.recording
        assert first.loss == second.loss


def test_that_an_error_in_a_trial_is_raised() -> None:
    experiment = deep_sigmoid()
    with pytest.raises(StackError):
        cures.try_cures(experiment, 5, [cures.Candidate((), "empty", Experiment(()), None)])


def test_that_closing_the_generator_cancels() -> None:
    running = cures.trials(deep_sigmoid(), 1000)
    next(running)
    running.close()
    assert next(running, None) is None


def test_that_recordings_keep_what_a_heatmap_shows() -> None:
    result: Result = cures.try_cures(deep_sigmoid(), 10, chosen(deep_sigmoid())[:1])[0]
    for key in ("delta_rms", "gradient_rms", "update_ratio", "activation_std"):
        assert np.isfinite(result.recording[key]).all()
    assert result.recording.columns("delta_rms", width=5).maximum.shape == (5, 9)
    assert result.recording.validation.val_loss[0] == result.loss


def test_that_without_validation_rows_the_training_rows_count() -> None:
    experiment = Experiment(
        (Dense(4, "tanh"), Dense(1)), data={"type": "regression_1d", "samples": 50, "validation_split": 0.0}, loss="mse"
    )
    result = cures.try_cures(experiment, 10, chosen(experiment)[:1])[0]
    assert math.isfinite(result.loss)
    assert math.isnan(result.accuracy)


def test_that_what_can_not_be_tried_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        next(cures.trials(deep_sigmoid(), 0))
    with pytest.raises(ValueError, match="workers: must be at least 1"):
        next(cures.trials(deep_sigmoid(), workers=0))
    with pytest.raises(FaultsError):
        next(cures.trials(Experiment(())))

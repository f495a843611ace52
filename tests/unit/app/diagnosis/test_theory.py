from __future__ import annotations

import numpy as np
from pytestqt.qtbot import QtBot

from gradsim import data as datasets
from gradsim.model import edits
from gradsim.nn import layers
from gradsim.theory import Inputs, Targets, predict
from tests.unit.app.diagnosis.stacks import WAIT, OpenWindow, fading, train
from tests.unit.app.experiments import small_experiment


def told(window, qtbot: QtBot) -> None:  # type: ignore[no-untyped-def]
    theory = window.diagnosis.theory
    qtbot.waitUntil(
        lambda: theory.told is not None and theory.told.experiment is window.session.experiment
        and theory.prediction is not None, timeout=WAIT,
    )  # fmt: skip


def test_that_the_curve_of_the_profile_is_the_prediction(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    told(window, qtbot)
    experiment = window.session.experiment
    stack, dataset = experiment.stack(), datasets.load(experiment.data)
    targets = dataset.targets(1)[0]
    wanted = predict(
        stack, experiment.loss, experiment.batch_size or 0, Inputs.of(dataset.x_train, targets), Targets.of(targets)
    )
    profile = window.stage.profile
    assert profile.prediction is not None
    for drawn, log10 in zip(profile.prediction, (wanted.low, wanted.log10_delta, wanted.high), strict=True):
        np.testing.assert_allclose(drawn, 10.0**log10)
    window.session.state.set_quantity("gradient_rms")
    np.testing.assert_allclose(profile.prediction[1], 10.0**wanted.log10_gradient)
    window.session.state.set_quantity("weight_rms")
    assert profile.prediction is None


def test_that_the_first_step_lies_in_the_band(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    told(window, qtbot)
    train(window, qtbot, 1)
    low, _, high = window.diagnosis.theory.curve("delta_rms") or ()
    measured = window.session.recorder.columns("delta_rms", 0, 1).maximum[0]
    assert np.mean((measured >= low / 1.5) & (measured <= high * 1.5)) >= 0.9


def test_that_an_edit_renews_the_prediction(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    told(window, qtbot)
    before = window.stage.profile.prediction
    uids = [layer.uid for layer in window.session.experiment.layers[:-1]]
    window.session.edit(edits.set_field, uids, "activation", "tanh")
    told(window, qtbot)
    after = window.stage.profile.prediction
    assert before is not None and after is not None
    assert after[1][0] > 1000 * before[1][0]
    assert "tanh + glorot" in window.diagnosis.findings.theory_text.text()


def test_that_cards_carry_the_factor_of_their_layer(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading())
    told(window, qtbot)
    uid = window.session.experiment.layers[3].uid
    assert window.cards.faces.factors[uid].startswith("\u00d70.2")
    assert "sigmoid + glorot" in window.diagnosis.theory.text(uid)
    window.actions_["view.theory"].trigger()
    assert not window.cards.faces.factors
    assert window.stage.profile.prediction is None
    window.actions_["view.theory"].trigger()
    assert window.cards.faces.factors


def test_that_theory_says_where_it_has_no_say(open_window: OpenWindow, qtbot: QtBot) -> None:
    hidden = (layers.Dense(32, "gelu", kernel_initializer="he_normal") for _ in range(8))
    window = open_window(small_experiment(*hidden, layers.Dense(1, "sigmoid")))
    told(window, qtbot)
    assert window.diagnosis.findings.theory_silence.text().startswith("Theory has no say: no stable point")
    assert window.stage.profile.theory_note.startswith("theory has no say: no stable point")


def test_that_trained_and_given_weights_are_named_as_such(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(fading(4))
    told(window, qtbot)
    assert window.stage.profile.theory_note == "theory"
    train(window, qtbot, 60)
    qtbot.waitUntil(lambda: window.stage.profile.theory_note == "theory, before the first step", timeout=WAIT)
    assert "These are trained" in window.diagnosis.findings.theory_silence.text()
    session = window.session
    stack = session.experiment.stack()
    session.start(weights=stack.initial_weights(5))
    qtbot.waitUntil(
        lambda: window.stage.profile.theory_note.startswith("theory has no say: its weights were given"), timeout=WAIT
    )


def test_that_a_card_in_a_residual_block_carries_the_factor_of_the_block(open_window: OpenWindow, qtbot: QtBot) -> None:
    inner = layers.Dense(16, "sigmoid", kernel_initializer={"type": "random_normal", "stddev": 0.05})
    block = layers.Repeat(6, (layers.Residual((inner,)),))
    window = open_window(small_experiment(layers.Dense(16, "tanh"), block, layers.Dense(1, "sigmoid")))
    told(window, qtbot)
    group = window.session.experiment.layers[1]
    uid = group.children()[0].children()[0].uid
    assert window.cards.faces.factors[uid].startswith("\u00d71 a block")

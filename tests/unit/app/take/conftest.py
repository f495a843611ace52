"""A recorded run to make pictures of, without a window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication

from gradsim import api
from gradsim.app.take.exhibit import Exhibit
from gradsim.nn import layers
from gradsim.telemetry.playback import Playback
from gradsim.telemetry.recording import Recording

STEPS = 40


@pytest.fixture(scope="session")
def experiment() -> api.Experiment:
    hidden = [layers.Dense(12, "sigmoid") for _ in range(6)]
    return api.Experiment([*hidden, layers.Dense(1, "sigmoid")], data="moons", loss="binary_crossentropy", name="Six")


@pytest.fixture(scope="session")
def recording(experiment: api.Experiment) -> Recording:
    return experiment.run(steps=STEPS)


@pytest.fixture
def exhibit(qapp: QApplication, experiment: api.Experiment, recording: Recording) -> Iterator[Exhibit]:
    made = Exhibit(experiment, Playback(recording))
    yield made
    made.deleteLater()
    # Sheets of earlier tests must not be dressed with every change of the theme in later ones.
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # type: ignore[arg-type]

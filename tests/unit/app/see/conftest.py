"""A session without its thread: the same trainer and recorder, moved by the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from gradsim.app import theme
from gradsim.app.see.axis import TimeAxis
from gradsim.app.see.rows import RowSpace
from gradsim.app.state import ViewState
from gradsim.app.turns import Turns
from gradsim.engine.trainer import Trainer
from gradsim.model.experiment import Experiment
from gradsim.nn import layers
from gradsim.telemetry.quantities import LAYER_COLUMNS, STEP_COLUMNS
from gradsim.telemetry.recorder import Recorder
from gradsim.telemetry.recording import Layer


class FakeSession(QObject):
    """What the pictures use of a session."""

    document_changed = Signal(object)
    run_changed = Signal()
    recorder_changed = Signal()
    tick = Signal()
    slow_tick = Signal()
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.state = ViewState(self)
        self.turns = Turns()
        self.recorder: Recorder | None = None
        self.trainer: Trainer | None = None
        self.stack: Any = None
        self.row_uids: tuple[str, ...] = ()
        self.questions: list[object] = []

    @property
    def step(self) -> int | None:
        if self.recorder is None or self.recorder.stop == self.recorder.first_step:
            return None
        return self.recorder.stop - 1 if self.state.cursor is None else self.state.cursor

    @property
    def experiment(self) -> Experiment:
        return Experiment() if self.trainer is None else self.trainer.experiment

    @property
    def has_accuracy(self) -> bool:
        return self.experiment.data.signature().task != "regression"

    def rows(self) -> tuple[Layer, ...]:
        return () if self.recorder is None else self.recorder.layers

    def ask(
        self,
        key: object,
        function: Callable[[Trainer], Any],
        callback: Callable[[Any], None],
        step: int | None = None,
    ) -> None:
        self.questions.append(key)
        callback(None if self.trainer is None else function(self.trainer))

    def record(self, recorder: Recorder) -> None:
        """Shows a recorder that the test fills."""
        self.recorder = recorder
        self.row_uids = tuple(f"uid{i}" for i in range(len(recorder.layers)))
        self.recorder_changed.emit()
        self.ticks()

    def train(self, experiment: Experiment, steps: int) -> None:
        """Trains from the start, for real."""
        self.trainer = Trainer(experiment)
        self.stack = self.trainer.stack
        self.recorder = Recorder(self.trainer.layer_table, 64 * 2**20)
        self.row_uids = tuple(placed.layer.uid for placed in self.stack.layers)
        self.recorder_changed.emit()
        self.go_on(steps)

    def go_on(self, steps: int) -> None:
        assert self.trainer is not None and self.recorder is not None
        chunk = self.trainer.advance(steps)
        self.recorder.append(chunk.layers, chunk.steps)
        metrics = self.trainer.evaluate()
        self.recorder.append_validation(self.trainer.step - 1, metrics.loss, metrics.accuracy)
        self.ticks()

    def ticks(self) -> None:
        """A frame, and a renewal of the text."""
        self.tick.emit()
        self.turns.emit()
        self.slow_tick.emit()
        QApplication.processEvents()


def values(steps: int, rows: int, **by_key: Any) -> tuple[np.ndarray, np.ndarray]:
    """Arrays for a recorder: 1e-3 everywhere, the given keys as given (broadcast)."""
    of_layers = np.full((steps, rows, len(LAYER_COLUMNS)), 1e-3)
    of_layers[:, :, [i for i, key in enumerate(LAYER_COLUMNS) if key.endswith(("_nan", "_inf"))]] = 0
    of_steps = np.full((steps, len(STEP_COLUMNS)), 1.0)
    for key, value in by_key.items():
        if key in LAYER_COLUMNS:
            of_layers[:, :, LAYER_COLUMNS.index(key)] = value
        else:
            of_steps[:, STEP_COLUMNS.index(key)] = value
    return of_layers, of_steps


def recorder_of(rows: int, *, units: int = 10) -> Recorder:
    """An empty recorder of Dense layers."""
    table = [
        Layer(f"dense_{i}", "Dense", f"Dense {units}", (units,), units * units + units, units * units, units)
        for i in range(rows)
    ]
    return Recorder(table, 128 * 2**20)


def sigmoid_stack(depth: int = 8, units: int = 16) -> Experiment:
    """A vanishing gradient that trains within a moment."""
    hidden = tuple(layers.Dense(units, "sigmoid") for _ in range(depth))
    return Experiment(
        layers=(*hidden, layers.Dense(1, "sigmoid")), data="moons", loss="binary_crossentropy", batch_size=32
    )


@pytest.fixture
def session(qapp: QApplication) -> Iterator[FakeSession]:
    theme.set_choice("light")
    made = FakeSession()
    yield made
    made.deleteLater()


@pytest.fixture
def axis(session: FakeSession) -> TimeAxis:
    return TimeAxis(session)  # type: ignore[arg-type]


@pytest.fixture
def space() -> RowSpace:
    return RowSpace()


def painted(widget: Any) -> np.ndarray:
    """The widget's pixels, RGB, shape (height, width, 3)."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return pixels[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def has_colour(pixels: np.ndarray, rgb: tuple[int, int, int]) -> bool:
    """Whether a colour occurs."""
    return bool((pixels == np.array(rgb, np.uint8)).all(axis=-1).any())


def show(widget: Any, width: int = 700, height: int = 400) -> None:
    """Shows a widget in a size and lets it settle."""
    widget.resize(width, height)
    widget.show()
    QApplication.processEvents()

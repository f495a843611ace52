"""What mean field says about the stack as it stands, beside what is measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from gradsim import data as datasets
from gradsim.app.background import Background, Breathe
from gradsim.app.session import Session
from gradsim.data import DataError, Source
from gradsim.i18n import tr
from gradsim.model.change import Change
from gradsim.model.experiment import Experiment
from gradsim.model.stack import Stack, StackError
from gradsim.theory import GIVEN, Inputs, Prediction, Run, Targets, predict
from gradsim.theory.prediction import short

Floats = NDArray[np.float64]

PREDICTED = ("delta_rms", "gradient_rms")
"""Quantities that theory has a profile of."""
WORN = 20
"""Steps after which weights count as trained in what is said; the curve stays where training began."""


@dataclasses.dataclass(frozen=True)
class Told:
    """What theory says about an experiment.

    Attributes:
        prediction: None where it says nothing at all.
        reason: Why it does, or "".
        uids: Of the layer that each row stands for.
    """

    experiment: Experiment
    prediction: Prediction | None
    reason: str
    uids: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Statistics:
    source: Source
    stamp: object
    outputs: int
    inputs: Inputs
    targets: Targets
    rows: int


class Theory(QObject):
    """The prediction for the open experiment, made anew when its stack changes."""

    changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.told: Told | None = None
        self._asked: tuple[Experiment, bool] | None = None
        self._statistics: _Statistics | None = None
        self._background = Background("theory", self)
        session.document_changed.connect(self._on_change)
        session.recorder_changed.connect(self.renew)
        self.renew()

    def _on_change(self, change: Change) -> None:
        if change.effect == "structure" or not change:
            self.renew()

    def renew(self) -> None:
        """Predicts for the experiment as it is now, if that is another one."""
        experiment, given = self.session.experiment, self.session.weights_given
        if self._asked == (experiment, given):
            return
        self._asked = experiment, given

        def work(breathe: Breathe) -> Told:
            return self._tell(experiment, given, breathe)

        def answer(told: Told) -> None:
            if self._asked is not None and self._asked[0] is told.experiment:
                self.told = told
                self.changed.emit()

        self._background.do(work, answer)

    def _tell(self, experiment: Experiment, given: bool, breathe: Breathe) -> Told:
        """What theory says: in the thread of the background."""
        try:
            stack = experiment.stack()
            known = self._statistics_of(experiment, stack)
        except (StackError, DataError) as error:
            return Told(experiment, None, error.faults[0].message)
        breathe()
        unknown = {placed.index: GIVEN for placed in stack.layers if given and placed.main_weight is not None}
        size = min(experiment.batch_size or known.rows, known.rows)
        prediction = predict(stack, experiment.loss, size, known.inputs, known.targets, unknown)
        return Told(experiment, prediction, "", tuple(placed.layer.uid for placed in stack.layers))

    def _statistics_of(self, experiment: Experiment, stack: Stack) -> _Statistics:
        source, outputs = experiment.data, math.prod(stack.output_shape)
        known = self._statistics
        if known is None or (known.source, known.stamp, known.outputs) != (source, source.stamp(), outputs):
            dataset = datasets.load(source)
            targets = dataset.targets(outputs)[0]
            known = _Statistics(
                source, source.stamp(), outputs, Inputs.of(dataset.x_train, targets), Targets.of(targets),
                len(dataset.x_train),
            )  # fmt: skip
            self._statistics = known
        return known

    # What it says

    @property
    def prediction(self) -> Prediction | None:
        """What it says of the rows of the run; None where it says nothing or of another stack."""
        recorder, told = self.session.recorder, self.told
        if told is None or told.prediction is None or recorder is None:
            return None
        prediction = told.prediction
        if len(prediction.rows) != len(recorder.layers) or told.uids != self.session.row_uids:
            return None
        if prediction.absolute:
            return prediction
        # The size at the top is open: it is measured.
        if recorder.stop <= recorder.first_step:
            return None
        first = recorder.columns("delta_rms", recorder.first_step, recorder.first_step + 1, stride=recorder.every)
        top = float(first.maximum[0, -1]) if len(first) else math.nan
        return prediction.shifted(math.log10(top)) if math.isfinite(top) and top > 0 else None

    def curve(self, key: str) -> tuple[Floats, Floats, Floats] | None:
        """Lower end, middle and upper end of the expected profile of a quantity, or None."""
        prediction = self.prediction
        if prediction is None or key not in PREDICTED:
            return None
        delta = key == "delta_rms"
        logs = (
            (prediction.low, prediction.log10_delta, prediction.high)
            if delta
            else (prediction.gradient_low, prediction.log10_gradient, prediction.gradient_high)
        )
        low, middle, high = (np.asarray(10.0**part) for part in logs)
        return low, middle, high

    @property
    def trained(self) -> bool:
        """Whether the weights of the shown step are too far from those that theory knows."""
        step = self.session.step
        return step is not None and step >= WORN

    def note(self, key: str) -> str:
        """A few words for the profile: what the dashed line is, or why there is none."""
        told = self.told
        if told is None or key not in PREDICTED:
            return ""
        if told.prediction is None:
            return tr("theory has no say: {reason}", reason=told.reason) if told.reason else ""
        silent = self.silent()
        if silent:
            low = told.prediction.low if key == "delta_rms" else told.prediction.gradient_low
            if np.isnan(low).sum() < len(low) / 2:
                return tr("theory gives a range only: {reason}", reason=silent[0])
            return tr("theory has no say: {reason}", reason=silent[0])
        return tr("theory, before the first step") if self.trained else tr("theory")

    def silent(self) -> tuple[str, ...]:
        """Why theory has no say about some layers, each reason once, in words."""
        prediction = None if self.told is None else self.told.prediction
        if prediction is None:
            return ()
        own = [row.reason for row in prediction.rows if row.factor is None and row.reason]
        return tuple(dict.fromkeys(own))

    def lines(self) -> Iterator[str]:
        """What it says, a sentence each: the factor of each run of equal layers, of blocks, of single layers."""
        told = self.told
        if told is None or told.prediction is None:
            return
        prediction = told.prediction
        runs = prediction.runs or prediction.blocks
        inside = {row for run in runs for row in range(run.start, run.stop)}
        yield from dict.fromkeys(run.text for run in runs)
        if not runs:
            singles = [row for n, row in enumerate(prediction.rows) if n not in inside and row.text]
            yield from (f"{row.name}: {row.text}" for row in singles)

    def factors(self) -> dict[str, str]:
        """For each layer's card its factor in a few characters: ``×0.24``; if it stands for several rows, that of all
        together too: ``×0.24 each, ×2.6e-13``. In a residual block it is the block's, since most goes past the layer.
        """
        told = self.told
        if told is None or told.prediction is None:
            return {}
        prediction = told.prediction
        blocks: dict[int, Run] = {}
        for block in sorted(prediction.blocks, key=lambda block: block.stop - block.start):
            blocks |= dict.fromkeys(range(block.start, block.stop), block)
        logs: dict[str, list[float]] = {}
        inside: set[str] = set()
        for number, (uid, row) in enumerate(zip(told.uids, prediction.rows, strict=True)):
            if not row.text:
                continue
            around = blocks.get(number)
            factor = row.factor if around is None else around.factor
            logs.setdefault(uid, []).append(math.nan if factor is None else _log10(factor))
            if around is not None:
                inside.add(uid)
        said = {}
        for uid, some in logs.items():
            total = sum(some)
            if math.isnan(total):
                continue
            middle, whole = f"\u00d7{short(some[len(some) // 2])}", f"\u00d7{short(total)}"
            if uid in inside:
                said[uid] = (
                    tr("{each} a block, {all}", each=middle, all=whole)
                    if len(some) > 1
                    else tr("block {each}", each=middle)
                )
            else:
                said[uid] = tr("{each} each, {all}", each=middle, all=whole) if len(some) > 1 else middle
        return said

    def text(self, uid: str) -> str:
        """What theory says of a layer, for its tooltip; "" where it says nothing."""
        told = self.told
        if told is None or told.prediction is None:
            return ""
        rows = [n for n, of in enumerate(told.uids) if of == uid]
        if not rows:
            return ""
        run = next(
            (run for run in told.prediction.runs if run.start <= rows[0] and rows[-1] < run.stop and len(rows) > 1),
            None,
        )
        row = told.prediction.rows[rows[len(rows) // 2]]
        parts = [run.text if run is not None else row.text, row.note]
        said = ". ".join(part for part in parts if part)
        return tr("Theory: {said}", said=said) if said else ""

    def close(self) -> None:
        """Ends a prediction that is being made."""
        self._background.close()


def _log10(factor: float) -> float:
    return math.log10(factor) if factor > 0 else -math.inf

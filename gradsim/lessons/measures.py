"""What a step of a lesson can measure: one number each, over its recordings, paths or functions.

A kind of measure is one class here, listed in :data:`MEASURES`; its fields are what stands in a lesson file.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from gradsim.diagnose import findings
from gradsim.i18n import mark, tr
from gradsim.lessons.fields import Kinds, chosen, values
from gradsim.lessons.functions import Functions, label
from gradsim.lessons.numbers import number
from gradsim.lessons.surface import Path, Surface
from gradsim.model.faults import near
from gradsim.nn import activations
from gradsim.nn.spec import Fault, Spec, frozen, option, reference
from gradsim.telemetry import Recording, State, classify, quantity, states
from gradsim.telemetry.quantities import definitions

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What playing a step gave.

    Attributes:
        recordings: One for each of its runs.
        paths: One for each optimizer of its surface.
    """

    recordings: tuple[Recording, ...] = ()
    paths: tuple[Path, ...] = ()


@dataclasses.dataclass(frozen=True)
class Rows:
    """The expanded stack of a run, as far as a lesson file can refer to it.

    Attributes:
        names: Name of each layer.
        weighty: Whether it has a main weight.
        steps: How many steps the run makes.
    """

    names: tuple[str, ...]
    weighty: tuple[bool, ...]
    steps: int


@dataclasses.dataclass(frozen=True)
class Scene:
    """What the parts of a step may refer to."""

    runs: tuple[Rows, ...] = ()
    surface: Surface | None = None
    functions: Functions | None = None


def run_faults(scene: Scene, run: int) -> Iterator[Fault]:
    """Whether there is such a run."""
    if not 0 <= run < len(scene.runs):
        allowed = tr("must be from 0 to {last}", last=len(scene.runs) - 1) if scene.runs else tr("the step has no runs")
        yield Fault("run", allowed, run)


def layer_faults(scene: Scene, run: int, layer: str, path: str = "layer") -> Iterator[Fault]:
    """Whether a run's stack has a layer of that name."""
    if not 0 <= run < len(scene.runs):
        return
    names = scene.runs[run].names
    if layer not in names:
        shown = names if len(names) <= 12 else (*names[:6], "...", *names[-5:])
        yield Fault(
            path, tr("must be the name of a layer: {names}", names=", ".join(shown)) + near(layer, names), layer
        )


def step_faults(scene: Scene, run: int, step: int, path: str = "at") -> Iterator[Fault]:
    """Whether a run makes a step of that number; negative ones count from the end."""
    if 0 <= run < len(scene.runs) and not -scene.runs[run].steps <= step < scene.runs[run].steps:
        last = scene.runs[run].steps - 1
        yield Fault(path, tr("must be a step of the run: 0 to {last}, or -1 for the last one", last=last), step)


def quantity_faults(key: str, path: str = "quantity", *, layers_only: bool = False) -> Iterator[Fault]:
    """Whether such a quantity is recorded."""
    keys = [one.key for one in definitions("layer" if layers_only else None)]
    if key not in keys:
        yield Fault(path, tr("must be one of {names}", names=", ".join(keys)) + near(key, keys), key)


def row_of(recording: Recording, layer: str) -> int:
    """Row of the layer of that name; raises ValueError that lists them."""
    names = [one.name for one in recording.layers]
    if layer not in names:
        raise ValueError(
            tr(
                "{place}: {message} (received {value})",
                place="layer",
                message=tr("must be one of {names}", names=", ".join(names)),
                value=repr(layer),
            )
        )
    return names.index(layer)


def _row_at(recording: Recording, at: int) -> int:
    """The recording's row for a step. Beyond the end, where a run broke off, that of the last one."""
    if at < 0:
        return max(0, len(recording) + at)
    return recording.row_of(min(at, recording.stop - 1))


@frozen
class Measure(Spec):
    """Base of all measures."""

    def value(self, outcome: Outcome) -> float:
        """The number; NaN where there is none, infinite for a step that never came."""
        raise NotImplementedError

    def phrase(self) -> str:
        """What is measured, in the language in use."""
        raise NotImplementedError

    def words(self, several: bool = False) -> str:
        """What is measured, and in which run where there are several."""
        run = getattr(self, "run", None)
        return tr("{what} (run {n})", what=self.phrase(), n=run + 1) if several and run is not None else self.phrase()

    def faults(self, scene: Scene) -> Iterator[Fault]:
        """What a step with this scene can't measure."""
        return iter(())

    def shown(self, value: float) -> str:
        """The number as a sentence shows it."""
        return number(value)

    def short(self, value: float) -> str:
        """The number alone, for a text that says what it is."""
        return number(value)


def _moment(at: int) -> str:
    if at == -1:
        return tr("at the end")
    return tr("at step {step}", step=at) if at >= 0 else tr("{n} steps before the end", n=-at - 1)


@frozen
class Value(Measure):
    """A quantity of a run, of one layer where it has one for each."""

    quantity: str = option("Quantity", "Key of what is recorded.")
    layer: str = option("Layer", "Name of the layer; empty for a quantity of the step.", default="")
    at: int = option("At", "Which step; -1 is the last one.", default=-1)
    over: int = option("Over", "How many steps up to there count.", default=1, ge=1, le=100_000)
    by: Literal["mean", "median", "largest", "smallest", "deviation"] = option(
        "By", "What is made of several steps.", default="mean"
    )
    run: int = option("Run", "Which run of the step, from 0.", default=0, ge=0)

    def value(self, outcome: Outcome) -> float:
        recording = outcome.recordings[self.run]
        if not len(recording):
            return math.nan
        row = _row_at(recording, self.at)
        values = recording[self.quantity][max(0, row + 1 - self.over) : row + 1]
        if quantity(self.quantity).scope == "layer":
            values = values[:, row_of(recording, self.layer)]
        return float(_FOLDS[self.by](values))

    def phrase(self) -> str:
        what = tr(quantity(self.quantity).title)
        if self.over > 1:
            what = tr(_FOLD_WORDS[self.by], quantity=what, steps=self.over)
        if self.layer:
            return tr("{quantity} of {layer}, {when}", quantity=what, layer=self.layer, when=_moment(self.at))
        return tr("{quantity}, {when}", quantity=what, when=_moment(self.at))

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from run_faults(scene, self.run)
        yield from step_faults(scene, self.run, self.at)
        wrong = list(quantity_faults(self.quantity))
        yield from wrong
        if wrong:
            return
        if quantity(self.quantity).scope == "layer":
            yield from layer_faults(scene, self.run, self.layer)
        elif self.layer:
            yield Fault("layer", tr("must be empty: the quantity is one of the whole step"), self.layer)


def _deviation(values: Any) -> Any:
    """Of neighbouring steps' differences, so that a trend does not count as noise; per square root of two."""
    return np.std(np.diff(values)) / math.sqrt(2) if len(values) > 1 else math.nan


_FOLDS: dict[str, Callable[[Any], Any]] = {
    "mean": np.mean,
    "median": np.median,
    "largest": np.max,
    "smallest": np.min,
    "deviation": _deviation,
}
_FOLD_WORDS = {
    "mean": mark("{quantity} (mean of {steps} steps)"),
    "median": mark("{quantity} (median of {steps} steps)"),
    "largest": mark("{quantity} (largest of {steps} steps)"),
    "smallest": mark("{quantity} (smallest of {steps} steps)"),
    "deviation": mark("{quantity} (chance from step to step, over {steps} steps)"),
}


@frozen
class Ratio(Measure):
    """One measure divided by another."""

    of: Annotated[Measure, pydantic.BeforeValidator(lambda value: chosen(MEASURES, value))] = option(
        "Of", "What is divided."
    )
    to: Annotated[Measure, pydantic.BeforeValidator(lambda value: chosen(MEASURES, value))] = option("To", "By what.")

    def value(self, outcome: Outcome) -> float:
        a, b = self.of.value(outcome), self.to.value(outcome)
        if b == 0:
            return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a)
        return a / b

    def words(self, several: bool = False) -> str:
        return tr("[{one}] / [{other}]", one=self.of.words(several), other=self.to.words(several))

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from below("of", self.of.faults(scene))
        yield from below("to", self.to.faults(scene))


@frozen
class Difference(Measure):
    """One measure less another."""

    of: Annotated[Measure, pydantic.BeforeValidator(lambda value: chosen(MEASURES, value))] = option(
        "Of", "From what is taken."
    )
    to: Annotated[Measure, pydantic.BeforeValidator(lambda value: chosen(MEASURES, value))] = option(
        "To", "What is taken."
    )

    def value(self, outcome: Outcome) -> float:
        return self.of.value(outcome) - self.to.value(outcome)

    def words(self, several: bool = False) -> str:
        return tr("[{one}] - [{other}]", one=self.of.words(several), other=self.to.words(several))

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from below("of", self.of.faults(scene))
        yield from below("to", self.to.faults(scene))


@frozen
class Growth(Measure):
    """Factor from one layer to the next one of its type below, on the way from ``top`` down to ``bottom``.

    Above 1 a backward signal grows on its way down, below 1 it fades.
    """

    top: str = option("Top", "Name of the upper layer.")
    bottom: str = option("Bottom", "Name of the lower layer.")
    quantity: str = option("Quantity", "Key of a quantity of layers.", default="delta_rms")
    at: int = option("At", "Which step; -1 is the last one.", default=0)
    run: int = option("Run", "Which run of the step, from 0.", default=0, ge=0)

    def value(self, outcome: Outcome) -> float:
        recording = outcome.recordings[self.run]
        if not len(recording):
            return math.nan
        row, top, bottom = _row_at(recording, self.at), row_of(recording, self.top), row_of(recording, self.bottom)
        steps = sum(one.type == recording.layers[bottom].type for one in recording.layers[bottom:top])
        a, b = (float(recording[self.quantity][row, layer]) for layer in (top, bottom))
        if not steps or not a > 0 or not b >= 0:
            return math.nan
        return float((b / a) ** (1 / steps))

    def phrase(self) -> str:
        return tr(
            "{quantity}: factor per layer from {top} down to {bottom}, {when}",
            quantity=tr(quantity(self.quantity).title), top=self.top, bottom=self.bottom, when=_moment(self.at),
        )  # fmt: skip

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from run_faults(scene, self.run)
        yield from step_faults(scene, self.run, self.at)
        yield from quantity_faults(self.quantity, layers_only=True)
        wrong = [*layer_faults(scene, self.run, self.top, "top"), *layer_faults(scene, self.run, self.bottom, "bottom")]
        yield from wrong
        if not wrong and self.run < len(scene.runs):
            names = scene.runs[self.run].names
            if names.index(self.bottom) >= names.index(self.top):
                yield Fault("bottom", tr("must lie below {name}", name=self.top), self.bottom)


@frozen
class Travel(Measure):
    """How far a layer's weights went in a run: the length of all updates together, as a share of the weights' own."""

    layer: str = option("Layer", "Name of the layer.")
    run: int = option("Run", "Which run of the step, from 0.", default=0, ge=0)

    def value(self, outcome: Outcome) -> float:
        recording = outcome.recordings[self.run]
        row = row_of(recording, self.layer)
        length = recording["weight_norm"][:, row]
        if not len(length):
            return math.nan
        if recording.layers[row].frozen:
            # A frozen layer has no update; that its weights stayed shows in themselves.
            largest = recording["weight_max"][:, row]
            return 0.0 if np.all(length == length[0]) and np.all(largest == largest[0]) else math.nan
        way = float(np.sum(recording["update_norm"][:, row]))
        return way / float(length[0]) if length[0] > 0 else (0.0 if way == 0 else math.inf)

    def phrase(self) -> str:
        return tr("way that the weights of {layer} went, in units of their own size", layer=self.layer)

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from run_faults(scene, self.run)
        wrong = list(layer_faults(scene, self.run, self.layer))
        yield from wrong
        if not wrong and self.run < len(scene.runs):
            rows = scene.runs[self.run]
            if not rows.weighty[rows.names.index(self.layer)]:
                yield Fault("layer", tr("must have weights"), self.layer)


@frozen
class StepMeasure(Measure):
    """Base of measures that are a step."""

    def shown(self, value: float) -> str:
        return tr("never") if math.isinf(value) else tr("step {step}", step=self.short(value))

    def short(self, value: float) -> str:
        return tr("never") if math.isinf(value) else f"{value:,.0f}"


@frozen
class FirstNonfinite(StepMeasure):
    """The step with the first NaN or Inf of a run."""

    run: int = option("Run", "Which run of the step, from 0.", default=0, ge=0)

    def value(self, outcome: Outcome) -> float:
        first = outcome.recordings[self.run].first_nonfinite
        return math.inf if first is None else float(first.step)

    def phrase(self) -> str:
        return tr("first NaN or Inf")

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from run_faults(scene, self.run)


@frozen
class FirstBelow(StepMeasure):
    """The first step from which on the mean loss of some steps lies below a level."""

    level: float = option("Level", "The loss to reach.")
    over: int = option("Over", "How many steps are averaged.", default=20, ge=1, le=10_000)
    run: int = option("Run", "Which run of the step, from 0.", default=0, ge=0)

    def value(self, outcome: Outcome) -> float:
        loss = outcome.recordings[self.run]["loss"]
        if len(loss) < self.over:
            return math.inf
        means = np.convolve(loss, np.full(self.over, 1 / self.over), mode="valid")
        below_ = np.flatnonzero(means < self.level)
        return float(below_[0] + self.over - 1) if len(below_) else math.inf

    def phrase(self) -> str:
        return tr(
            "first time that the loss (mean of {n} steps) is below {level}", n=self.over, level=number(self.level)
        )

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from run_faults(scene, self.run)


@frozen
class UpdatesPerEpoch(Measure):
    """How many updates the first epoch of a run had."""

    run: int = option("Run", "Which run of the step, from 0.", default=0, ge=0)

    def value(self, outcome: Outcome) -> float:
        return float(np.sum(outcome.recordings[self.run]["epoch"] == 0))

    def phrase(self) -> str:
        return tr("updates per epoch")

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from run_faults(scene, self.run)


@frozen
class Validation(Measure):
    """Accuracy or loss on the validation rows, the last time that it was looked at."""

    of: Literal["accuracy", "loss"] = option("Of", "Which of the two.", default="accuracy")
    run: int = option("Run", "Which run of the step, from 0.", default=0, ge=0)

    def value(self, outcome: Outcome) -> float:
        validation = outcome.recordings[self.run].validation
        found = validation.val_accuracy if self.of == "accuracy" else validation.val_loss
        return float(found[-1]) if len(found) else math.nan

    def phrase(self) -> str:
        return tr("accuracy on new rows") if self.of == "accuracy" else tr("loss on new rows")

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from run_faults(scene, self.run)


@frozen
class Found(Measure):
    """How many findings of a kind a run shows: 0 for none."""

    finding: str = option("Finding", "Kind of finding.")
    run: int = option("Run", "Which run of the step, from 0.", default=0, ge=0)

    def value(self, outcome: Outcome) -> float:
        return float(sum(one.kind == self.finding for one in findings.diagnose(outcome.recordings[self.run])))

    def phrase(self) -> str:
        titles = {one.kind: one.title for one in findings.definitions()}
        return tr("findings of the kind: {title}", title=tr(titles[self.finding]))

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from run_faults(scene, self.run)
        kinds = [one.kind for one in findings.definitions()]
        if self.finding not in kinds:
            yield Fault(
                "finding",
                tr("must be one of {names}", names=", ".join(kinds)) + near(self.finding, kinds),
                self.finding,
            )


@frozen
class Count(Measure):
    """How many layers with weights are in one of some states."""

    states: Annotated[tuple[str, ...], values()] = option("States", "Which states count.", min_length=1)
    quantity: str = option("Quantity", "Key of a quantity of layers.", default="delta_rms")
    at: int = option("At", "Which step; -1 is the last one.", default=-1)
    run: int = option("Run", "Which run of the step, from 0.", default=0, ge=0)

    def value(self, outcome: Outcome) -> float:
        recording = outcome.recordings[self.run]
        found = states_at(recording, self.quantity, self.at)
        return float(
            sum(
                state.value in self.states
                for state, layer in zip(found, recording.layers, strict=True)
                if layer.weight_size
            )
        )

    def phrase(self) -> str:
        return tr(
            "layers whose {quantity} is {states}, {when}",
            quantity=tr(quantity(self.quantity).title), states=tr(" or ").join(tr(one) for one in self.states),
            when=_moment(self.at),
        )  # fmt: skip

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from run_faults(scene, self.run)
        yield from step_faults(scene, self.run, self.at)
        yield from quantity_faults(self.quantity, layers_only=True)
        for number_, name in enumerate(self.states):
            yield from state_faults(name, f"states[{number_}]")


@frozen
class SurfaceLoss(Measure):
    """The loss where an optimizer's path on the surface is after some steps, or the lowest up to there."""

    path: int = option("Path", "Which optimizer of the surface, from 0.", default=0, ge=0)
    at: int = option("At", "After how many steps; -1 is the end.", default=-1, ge=-1)
    lowest: bool = option("Lowest", "The lowest loss up to there instead.", default=False)

    def value(self, outcome: Outcome) -> float:
        loss = outcome.paths[self.path].loss
        last = len(loss) - 1 if self.at < 0 else min(self.at, len(loss) - 1)
        return float(np.min(loss[: last + 1]) if self.lowest else loss[last])

    def phrase(self) -> str:
        when = tr("at the end") if self.at < 0 else tr("after {n} steps", n=self.at)
        if self.lowest:
            return tr("lowest loss of path {path} until then, {when}", path=self.path + 1, when=when)
        return tr("loss of path {path}, {when}", path=self.path + 1, when=when)

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from path_faults(scene, self.path)
        if scene.surface is not None and self.at > scene.surface.steps:
            yield Fault("at", tr("must be at most {n}, the length of the path", n=scene.surface.steps), self.at)


@frozen
class SurfaceReached(StepMeasure):
    """The first step after which an optimizer's path stays below a loss."""

    level: float = option("Level", "The loss to reach.")
    path: int = option("Path", "Which optimizer of the surface, from 0.", default=0, ge=0)

    def value(self, outcome: Outcome) -> float:
        above = np.flatnonzero(~(outcome.paths[self.path].loss < self.level))
        first = int(above[-1]) + 1 if len(above) else 0
        return float(first) if first < len(outcome.paths[self.path].loss) else math.inf

    def phrase(self) -> str:
        return tr("path {path} stays below a loss of {level}", path=self.path + 1, level=number(self.level))

    def faults(self, scene: Scene) -> Iterator[Fault]:
        yield from path_faults(scene, self.path)


@frozen
class Slope(Measure):
    """The slope of an activation: at a place, or the largest there is."""

    activation: Annotated[activations.Activation, reference("activation")] = option("Activation", "Which one.")
    x: float | None = option("At", "Where; empty for the largest slope.", default=None, ge=-1000, le=1000)

    def value(self, outcome: Outcome) -> float:
        if self.x is not None:
            return float(self.activation.slope(np.array([self.x]))[0])
        return float(np.max(np.abs(self.activation.slope(np.linspace(-8.0, 8.0, 16_001)))))

    def phrase(self) -> str:
        name = label(self.activation)
        if self.x is None:
            return tr("largest slope of {activation}", activation=name)
        return tr("slope of {activation} at {x}", activation=name, x=number(self.x))

    def faults(self, scene: Scene) -> Iterator[Fault]:
        if self.activation.rowwise:
            yield Fault("activation", tr("must be a function of one number"), self.activation.identifier)


MEASURES: Kinds = {
    "value": Value,
    "ratio": Ratio,
    "difference": Difference,
    "growth": Growth,
    "travel": Travel,
    "first_nonfinite": FirstNonfinite,
    "first_below": FirstBelow,
    "updates_per_epoch": UpdatesPerEpoch,
    "validation": Validation,
    "found": Found,
    "count": Count,
    "surface_loss": SurfaceLoss,
    "surface_reached": SurfaceReached,
    "slope": Slope,
}
"""Every kind of measure by its name in lesson files."""


def below(prefix: str, faults: Iterator[Fault]) -> Iterator[Fault]:
    """The same faults with their places below another one."""
    for fault in faults:
        path = f"{prefix}.{fault.path}" if fault.path and not fault.path.startswith("[") else f"{prefix}{fault.path}"
        yield dataclasses.replace(fault, path=path)


def path_faults(scene: Scene, path: int) -> Iterator[Fault]:
    """Whether the step's surface has a path of that number."""
    count = 0 if scene.surface is None else len(scene.surface.optimizers)
    if path >= count:
        allowed = tr("must be from 0 to {last}", last=count - 1) if count else tr("the step has no surface")
        yield Fault("path", allowed, path)


def state_faults(name: str, path: str) -> Iterator[Fault]:
    """Whether there is such a state."""
    known = [state.value for state in State]
    if name not in known:
        yield Fault(path, tr("must be one of {names}", names=", ".join(known)) + near(name, known), name)


def states_at(recording: Recording, key: str, at: int) -> list[State]:
    """The state of each layer in one quantity at a step, by the fixed thresholds."""
    row = _row_at(recording, at)
    definition = quantity(key)

    def marks(columns: tuple[str, ...]) -> NDArray[np.bool_]:
        found = [recording[column][row] > 0 for column in columns]
        return np.logical_or.reduce(found) if found else np.zeros(len(recording.layers), np.bool_)

    classes = classify(
        definition,
        recording[key][row],
        nan=marks(definition.nan_columns),
        inf=marks(definition.inf_columns),
        frozen=np.array([layer.frozen for layer in recording.layers]),
    )
    return [State(name) for name in states(definition, classes)]

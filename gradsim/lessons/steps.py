"""The steps of a lesson: what is trained or drawn, what is looked at, what is asked and what is claimed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from gradsim import data as datasets
from gradsim.i18n import tr
from gradsim.lessons.claims import Claim, Name
from gradsim.lessons.fields import one_of, part, parts, values
from gradsim.lessons.functions import Functions
from gradsim.lessons.measures import Outcome, Rows, Scene, below, layer_faults, quantity_faults, step_faults
from gradsim.lessons.questions import QUESTIONS, Checked, Question
from gradsim.lessons.surface import Surface
from gradsim.model import bundled, edits, file, overrides, problems
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError
from gradsim.model.stack import StackError
from gradsim.nn.spec import MISSING, Fault, Spec, frozen, option
from gradsim.telemetry import Recording

MOST_RUNS = 4
"""As many as can be compared side by side."""

MOST_SECONDS = 20.0
"""Machine time of a lesson, as :func:`seconds` estimates it."""


@frozen
class Training(Spec):
    """An experiment that is trained: a bundled one or one that stands in the file, with edits."""

    experiment: str | dict[str, Any] = option("Experiment", "Name of a bundled one, or the experiment itself.")
    steps: int = option("Steps", "How many steps.", ge=1, le=20_000)
    set: dict[str, Any] = option("Edits", "Values by path, as in layers[1].units.", default_factory=dict)

    @functools.cached_property
    def resolved(self) -> Experiment:
        """The experiment with the edits.

        Raises:
            FaultsError: with everything that is wrong with it.
        """
        if isinstance(self.experiment, str):
            try:
                content = file.content_of(bundled.load(self.experiment))
            except FaultsError as error:
                raise FaultsError(dataclasses.replace(fault, path="experiment") for fault in error.faults) from None
        else:
            content = dict(self.experiment)
        faults: list[Fault] = []
        for path, value in self.set.items():
            try:
                overrides.put(content, path, value)
            except overrides.SettingError as error:
                wrong = error.fault
                faults.append(Fault("set", f"{path}: {wrong.message}", wrong.received))
        if faults:
            raise FaultsError(faults)
        prefix = "set" if isinstance(self.experiment, str) else "experiment"
        try:
            found = file.experiment_from(content)
        except FaultsError as error:
            raise FaultsError(below(prefix, iter(error.faults))) from None
        if hasattr(found.data, "path"):
            raise FaultsError(
                [Fault(f"{prefix}.data", tr("must be data that gradsim brings with it"), found.data.path)]
            )
        impossible = problems.impossible(found)
        if impossible:
            raise FaultsError(below(prefix, iter(impossible)))
        return found


@frozen
class Reuse(Training):
    """Layers that are pretrained first: the lowest ``rows`` of this training go below those of the run."""

    rows: int = option("Rows", "How many layers of the expanded stack are taken over.", ge=1, le=5000, kw_only=True)
    freeze: bool = option("Freeze", "Whether the run leaves them as they are.", default=True)


@frozen
class Run(Training):
    """One training of a step; several of them are twins that see the same batches."""

    reuse: Annotated[Reuse | None, part(Reuse, optional=True)] = option(
        "Reuse", "Pretrained layers to start from.", default=None
    )


@frozen
class Place(Spec):
    """A rectangle of the heatmap that is marked: layers from ``first`` up to ``last``, steps ``start`` to ``stop``."""

    first: str = option("First layer", "Name of the lowest layer.")
    last: str = option("Last layer", "Name of the highest layer; empty for the same.", default="")
    start: int = option("First step", "Where it begins.", default=0, ge=0)
    stop: int | None = option("Last step", "Before which step it ends; empty for the end.", default=None, ge=1)

    def rows(self, names: Iterable[str]) -> tuple[int, int]:
        """First and last row, both included, in a stack whose layers have these names."""
        found = list(names)
        return found.index(self.first), found.index(self.last or self.first)


@frozen
class View(Spec):
    """How the window is set up for a step. Nothing in it depends on theme, size or language."""

    quantity: str = option("Quantity", "Key of what the heatmap shows.", default="delta_rms")
    focus: Literal["heatmap", "profile", "curves", "page"] = option(
        "Focus", "Where to look: a presenter's view shows this large and little else.", default="heatmap"
    )
    page: Literal["", "inside", "data", "clipping", "directions"] = option(
        "Page", "Which page of the side panel is open; empty for none.", default=""
    )
    select: Annotated[tuple[str, ...], values()] = option("Selection", "Names of selected layers.", default=())
    mark: Annotated[Place | None, part(Place, optional=True)] = option(
        "Mark", "What is marked on the heatmap.", default=None
    )
    zoom: Annotated[tuple[int, int] | None, values()] = option(
        "Zoom", "First and last step that the time axes show; empty for all.", default=None
    )
    cursor: int | None = option("Cursor", "The step to stand at after the run; empty for the last one.", default=None)
    run: int = option("Run", "Which run the marks and the selection are about, from 0.", default=0, ge=0)


@frozen
class Step(Spec):
    """One step of a lesson.

    It trains (``runs``), draws a loss surface (``surface``) or functions (``functions``), or is for reading alone. Its
    words stand in the texts under its key.

    Attributes:
        minutes: How long it takes to teach.
    """

    key: Name = option("Key", "What the texts call the step: small letters, digits and _.")
    minutes: float = option("Minutes", "How long it takes to teach.", gt=0, le=30)
    runs: Annotated[tuple[Run, ...], parts(Run)] = option(
        "Runs", "What is trained; several are compared.", default=(), max_length=MOST_RUNS
    )
    surface: Annotated[Surface | None, part(Surface, optional=True)] = option(
        "Surface", "A loss surface with paths.", default=None
    )
    functions: Annotated[Functions | None, part(Functions, optional=True)] = option(
        "Functions", "Activations as curves.", default=None
    )
    view: Annotated[View, part(View)] = option("View", "How the window is set up.", default_factory=View)
    question: Annotated[Question | None, one_of(QUESTIONS, optional=True)] = option(
        "Question", "Asked before the run.", default=None
    )
    claims: Annotated[tuple[Claim, ...], parts(Claim)] = option(
        "Claims", "What the text says, to be checked.", default=(), max_length=40
    )

    @functools.cached_property
    def scene(self) -> Scene:
        """What the parts of the step may refer to.

        Raises:
            FaultsError: if a run's experiment can't be made.
        """
        return Scene(tuple(_rows(run) for run in self.runs), self.surface, self.functions)

    def check(self, outcome: Outcome) -> Checked:
        """Checks every claim. Recordings that went on beyond the run's steps, or its first NaN, are cut there first."""
        recordings = tuple(_cut(one, run.steps) for run, one in zip(self.runs, outcome.recordings, strict=True))
        cut = dataclasses.replace(outcome, recordings=recordings)
        return Checked(cut, tuple(claim.check(cut) for claim in self.claims))

    def faults(self) -> Iterator[Fault]:
        """What the fields alone can't tell, with places within the step."""
        shown = [name for name in ("runs", "surface", "functions") if getattr(self, name)]
        if len(shown) > 1:
            yield Fault(shown[1], tr("must not be given together with {name}", name=shown[0]), MISSING)
        broken = False
        for number, run in enumerate(self.runs):
            if run.steps != self.runs[0].steps:
                yield Fault(
                    f"runs[{number}].steps",
                    tr("must be as those of the first run, {n}", n=self.runs[0].steps),
                    run.steps,
                )
            for path, training in (("", run), *((("reuse", run.reuse),) if run.reuse else ())):
                prefix = f"runs[{number}].{path}".rstrip(".")
                try:
                    _ = training.resolved
                except FaultsError as error:
                    broken = True
                    yield from below(prefix, iter(error.faults))
        if broken:
            return
        for number, run in enumerate(self.runs):
            if run.reuse is not None:
                yield from below(f"runs[{number}].reuse", _reuse_faults(run, run.reuse))
        for name in ("surface", "functions"):
            if (extra := getattr(self, name)) is not None:
                yield from below(name, extra.faults())
        names = [claim.name for claim in self.claims]
        for number, claim in enumerate(self.claims):
            if claim.name in names[:number]:
                yield Fault(f"claims[{number}].name", tr("must stand there once"), claim.name)
            yield from below(f"claims[{number}]", claim.faults(self.scene))
        if self.question is not None:
            yield from below("question", self.question.faults(self.scene, names))
        yield from below("view", self._view_faults())

    def _view_faults(self) -> Iterator[Fault]:
        view = self.view
        yield from quantity_faults(view.quantity, layers_only=True)
        if not self.runs:
            return
        if view.run >= len(self.runs):
            yield Fault("run", tr("must be from 0 to {last}", last=len(self.runs) - 1), view.run)
            return
        for number, name in enumerate(view.select):
            yield from layer_faults(self.scene, view.run, name, f"select[{number}]")
        if view.focus == "page" and not view.page:
            yield Fault("page", tr("must be given where the focus is on it"), view.page)
        if view.cursor is not None:
            yield from step_faults(self.scene, view.run, view.cursor, "cursor")
        if view.zoom is not None and not 0 <= view.zoom[0] < view.zoom[1]:
            yield Fault("zoom", tr("must be two steps, the first before the last"), list(view.zoom))
        mark = view.mark
        if mark is None:
            return
        wrong = [
            *layer_faults(self.scene, view.run, mark.first, "first"),
            *(layer_faults(self.scene, view.run, mark.last, "last") if mark.last else ()),
        ]
        yield from below("mark", iter(wrong))
        steps = self.runs[view.run].steps
        if not mark.start < (mark.stop or steps) <= steps:
            yield Fault("mark.stop", tr("must lie behind the first step and be at most {last}", last=steps), mark.stop)
        if not wrong:
            first, last = mark.rows(self.scene.runs[view.run].names)
            if first > last:
                yield Fault("mark.last", tr("must not lie below {name}", name=mark.first), mark.last)


def _cut(recording: Recording, steps: int) -> Recording:
    first = recording.first_nonfinite
    stop = steps if first is None else min(steps, first.step + 1)
    return recording.slice(0, stop) if recording.stop > stop else recording


def _rows(run: Run) -> Rows:
    layers = run.resolved.stack().layers
    return Rows(
        tuple(placed.name for placed in layers),
        tuple(placed.main_weight is not None for placed in layers),
        run.steps,
    )


def _reuse_faults(run: Run, reuse: Reuse) -> Iterator[Fault]:
    below_, above = reuse.resolved.stack(), run.resolved.stack()
    rows = min(len(below_.layers), len(above.layers)) - 1
    if reuse.rows > rows:
        yield Fault("rows", tr("must be at most {n}", n=rows), reuse.rows)
        return
    for mine, its in zip(below_.layers[: reuse.rows], above.layers[: reuse.rows], strict=True):
        if mine.layer.identifier != its.layer.identifier or mine.output_shape != its.output_shape:
            yield Fault(
                "rows", tr("must be layers as those of the run: {layer} is another one", layer=its.name), reuse.rows
            )
            return


ROW_SECONDS = 2.5e-10
"""A product of one row with one weight and its two backward passes, on an ordinary processor, not at its best."""
LAYER_SECONDS = 3e-6
"""What a layer takes beside its products."""


def seconds(runs: Iterable[Run]) -> float:
    """About how long the trainings take, the pretraining included, from their sizes alone."""
    total = 0.0
    for run in runs:
        for training in (run, run.reuse) if run.reuse else (run,):
            experiment = training.resolved
            try:
                stack = experiment.stack()
            except StackError:
                continue
            # Opening the data takes longer than everything else, so it is only done where nothing else says it.
            rows = experiment.batch_size or len(datasets.load(experiment.data).x_train)
            each = rows * stack.parameters * ROW_SECONDS + len(stack.layers) * LAYER_SECONDS
            total += training.steps * each
    return total


def with_seed(experiment: Experiment, seed: int | None) -> Experiment:
    """The experiment with another seed, or as it is for None."""
    return experiment if seed is None else edits.set_field(experiment, "", "seed", seed).experiment


@frozen
class Content(Spec):
    """What ``lesson.json`` holds."""

    lesson: Literal[1] = option("Format", "Number of the format of lesson files.")
    steps: Annotated[tuple[Step, ...], parts(Step)] = option("Steps", "In order.", min_length=1, max_length=30)

    def faults(self) -> Iterator[Fault]:
        """What the fields alone can't tell."""
        keys = [step.key for step in self.steps]
        broken = False
        for number, step in enumerate(self.steps):
            if step.key in keys[:number]:
                yield Fault(f"steps[{number}].key", tr("must stand there once"), step.key)
            for fault in below(f"steps[{number}]", step.faults()):
                broken = True
                yield fault
        if broken:
            return
        needed = sum(seconds(step.runs) for step in self.steps)
        if needed > MOST_SECONDS:
            yield Fault(
                "steps",
                tr("must need at most {seconds:g} s of machine time in all", seconds=MOST_SECONDS),
                tr("about {seconds:.0f} s", seconds=needed),
            )

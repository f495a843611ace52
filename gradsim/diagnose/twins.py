"""Twins: two to four experiments trained in step with each other, and what differs between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from gradsim.diagnose.evidence import context
from gradsim.engine.trainer import Snapshot, Trainer
from gradsim.exchange.start import start_of
from gradsim.i18n import mark, tr
from gradsim.model.experiment import Experiment
from gradsim.model.stack import Placed, Stack
from gradsim.nn.spec import Spec, fields_of, to_json

MOST = 4
BATCHES = ("data", "batch_size", "seed", "shuffle")
"""The fields that decide which rows each step sees."""
PERSONAL = ("name", "uid", "enabled")


@dataclasses.dataclass(frozen=True)
class FieldDifference:
    """A field that two experiments, or two layers, have different values in.

    Attributes:
        field: Its name, or with dots that of one further in, where both have the same kind of thing in it:
            "optimizer.learning_rate".
        titles: Its title, after those of the fields that it is in.
    """

    field: str
    titles: tuple[str, ...]
    first: Any
    second: Any

    @property
    def title(self) -> str:
        """What it is called, in the language in use."""
        return ": ".join(map(tr, self.titles))

    @property
    def root(self) -> str:
        """The field of the experiment, or of the layer, that it lies in."""
        return self.field.split(".")[0]


@dataclasses.dataclass(frozen=True)
class RowDifference:
    """A place at which two expanded stacks differ.

    Attributes:
        kind: "changed": both have the layer, with other fields; "added": only the second has it; "removed": only the
            first has it.
        first, second: The rows in the two stacks, or None.
        fields: What differs, for a changed layer.
    """

    kind: Literal["changed", "added", "removed"]
    first: int | None
    second: int | None
    fields: tuple[FieldDifference, ...] = ()


@dataclasses.dataclass(frozen=True)
class Differences:
    """What differs between two experiments.

    Attributes:
        fields: Of the experiments: optimizer, loss, batch size, ...
        rows: Of the expanded stacks, in order.
        pairs: Rows of both that stand for the same layer, so that pictures can be aligned.
    """

    fields: tuple[FieldDifference, ...]
    rows: tuple[RowDifference, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def same_batches(self) -> bool:
        """Whether both see the same rows in every step."""
        return not any(one.root in BATCHES for one in self.fields)

    def __bool__(self) -> bool:
        return bool(self.fields or self.rows)


def differences(first: Experiment, second: Experiment) -> Differences:
    """What differs between two experiments; names and descriptions don't count.

    Raises:
        gradsim.model.stack.StackError: if one of the stacks can't be computed.
    """
    fields = _field_differences(first, second, ("layers", "name", "description"))
    one, two = first.stack(), second.stack()
    rows: list[RowDifference] = []
    pairs: list[tuple[int, int]] = []
    at = [0, 0]
    # Layers are matched by their kind, so that one whose fields changed is the same layer still.
    for a, b in (*_matched(_kinds(one), _kinds(two)), (len(one.layers), len(two.layers))):
        rows += [RowDifference("removed", row, None) for row in range(at[0], a)]
        rows += [RowDifference("added", None, row) for row in range(at[1], b)]
        at = [a + 1, b + 1]
        if a == len(one.layers):
            break
        pairs.append((a, b))
        changed = _layer_differences(one.layers[a], two.layers[b], _skipped(one, a), _skipped(two, b))
        if changed:
            rows.append(RowDifference("changed", a, b, changed))
    return Differences(fields, tuple(rows), tuple(pairs))


def _matched(first: Sequence[str], second: Sequence[str]) -> list[tuple[int, int]]:
    """The longest common subsequence, as places in both, in order."""
    # Entry (i, j): its length for first[i:] and second[j:].
    longest = np.zeros((len(first) + 1, len(second) + 1), np.int16)
    names = np.array(second)
    for i in range(len(first) - 1, -1, -1):
        below = longest[i + 1]
        here = np.where(names == first[i], below[1:] + 1, below[:-1])
        longest[i, :-1] = np.maximum.accumulate(here[::-1])[::-1]
    found = []
    i = j = 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif longest[i + 1, j] >= longest[i, j + 1]:
            i += 1
        else:
            j += 1
    return found


def _kinds(stack: Stack) -> list[str]:
    last = len(stack.layers) - 1
    # The output is the output, whatever comes before it.
    return [f"{placed.layer.identifier}{' out' if n == last else ''}" for n, placed in enumerate(stack.layers)]


def _skipped(stack: Stack, row: int) -> bool:
    return any(start <= row < stop for start, stop in stack.residuals)


def _field_differences(first: Any, second: Any, without: Sequence[str]) -> tuple[FieldDifference, ...]:
    found: list[FieldDifference] = []
    for view in fields_of(type(first)):
        if view.name in without or view.hidden:
            continue
        a, b = getattr(first, view.name), getattr(second, view.name)
        if a is b or a == b:
            continue
        within = _field_differences(a, b, PERSONAL) if isinstance(a, Spec) and type(a) is type(b) else ()
        found += [
            FieldDifference(f"{view.name}.{one.field}", (view.title, *one.titles), one.first, one.second)
            for one in within
        ] or [FieldDifference(view.name, (view.title,), to_json(a), to_json(b))]
    return tuple(found)


def _layer_differences(a: Placed, b: Placed, a_skipped: bool, b_skipped: bool) -> tuple[FieldDifference, ...]:
    found = _field_differences(a.layer, b.layer, (*PERSONAL, "trainable"))
    if a.trainable != b.trainable:
        found += (FieldDifference("trainable", (mark("Trainable"),), a.trainable, b.trainable),)
    if a_skipped != b_skipped:
        found += (FieldDifference("skipped", (mark("Residual"),), a_skipped, b_skipped),)
    return found


@dataclasses.dataclass(frozen=True)
class InWords:
    """A difference as people read it.

    Attributes:
        kind: As of a :class:`RowDifference`; "changed" for a field of the experiment.
        where: The experiment, a layer, or the layers that differ in the same way.
        what: The field, or the kind of layer that is added or removed.
        first, second: The values; "" where there is none.
    """

    kind: Literal["changed", "added", "removed"]
    where: str
    what: str
    first: str
    second: str


def in_words(found: Differences, first: Stack, second: Stack) -> tuple[InWords, ...]:
    """Differences for a table, layers that differ in the same way in one line; made from the expanded stacks."""
    lines = [InWords("changed", tr("experiment"), one.title, said(one.first), said(one.second)) for one in found.fields]
    for group in _groups(found.rows, first, second):
        kind = group[0].kind
        stack = second if kind == "added" else first
        rows = [one.second if kind == "added" else one.first for one in group]
        placed = [stack.layers[row] for row in rows if row is not None]
        where = placed[0].name
        if len(placed) > 1:
            where = tr("{first} to {last} ({n} layers)", first=where, last=placed[-1].name, n=len(placed))
        if kind == "changed":
            lines += [InWords(kind, where, one.title, said(one.first), said(one.second)) for one in group[0].fields]
        else:
            identifier = placed[0].layer.identifier
            values = ("", identifier) if kind == "added" else (identifier, "")
            lines.append(InWords(kind, where, tr("layer"), *values))
    return tuple(lines)


def _groups(rows: Sequence[RowDifference], first: Stack, second: Stack) -> list[list[RowDifference]]:
    """Rows that differ in the same way, in the order of the first of each."""
    found: dict[str, list[RowDifference]] = {}
    for row in rows:
        if row.kind == "changed":
            what = repr(row.fields)
        else:
            stack, index = (second, row.second) if row.kind == "added" else (first, row.first)
            what = f"{row.kind} {stack.layers[index or 0].layer.identifier}"
        found.setdefault(what, []).append(row)
    return list(found.values())


def said(value: Any) -> str:
    """A value of a field in few words: ``relu``, ``0.1``, ``Adam(learning_rate 0.01)``."""
    if value is None:
        return tr("none")
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        inside = ", ".join(f"{key} {said(entry)}" for key, entry in value.items() if key != "type")
        kind = str(value.get("type", ""))
        return f"{kind}({inside})" if inside else kind
    if isinstance(value, list):
        return ", ".join(map(said, value))
    return str(value)


class Twins:
    """Two to four experiments that keep step with each other. Belongs to one thread at a time.

    Args:
        experiments: The first is the one that the others are compared with.
        trainers: Their trainers, all at the same step, to go on with; new ones if None.

    Raises:
        ValueError: if there are fewer than two or more than four, or the trainers don't stand at the same step.
        gradsim.model.stack.StackError, gradsim.data.DataError: as :class:`gradsim.engine.trainer.Trainer`.
    """

    def __init__(self, experiments: Sequence[Experiment], trainers: Sequence[Trainer] | None = None) -> None:
        if not 2 <= len(experiments) <= MOST:
            raise ValueError(tr("twins: must be 2 to {most} experiments (received {n})", most=MOST, n=len(experiments)))
        self.experiments = tuple(experiments)
        if trainers is None:
            trainers = [Trainer(one, start_of(one)) for one in experiments]
        self.trainers = tuple(trainers)
        steps = {trainer.step for trainer in self.trainers}
        if len(self.trainers) != len(self.experiments) or len(steps) != 1:
            raise ValueError(
                tr(
                    "twins: must have a trainer each, all at the same step (received steps {steps})",
                    steps=sorted(steps),
                )
            )
        self.recorders = tuple(
            trainer.recorder(first_step=trainer.step, experiment=context(one))
            for trainer, one in zip(self.trainers, self.experiments, strict=True)
        )
        self.differences = tuple(differences(self.experiments[0], other) for other in self.experiments[1:])

    @property
    def same_batches(self) -> bool:
        """Whether all see the same rows in every step."""
        return all(one.same_batches for one in self.differences)

    @property
    def step(self) -> int:
        """Steps done by each."""
        return self.trainers[0].step

    def advance(self, steps: int) -> None:
        """Does so many steps with each, and records them."""
        for trainer, recorder in zip(self.trainers, self.recorders, strict=True):
            trainer.record(recorder, steps)

    def snapshots(self) -> tuple[Snapshot, ...]:
        """Where each stands."""
        return tuple(trainer.snapshot() for trainer in self.trainers)

    def restore(self, snapshots: Sequence[Snapshot]) -> None:
        """Takes all back to snapshots of the same moment.

        Raises:
            ValueError: if their number or their steps differ.
        """
        steps = {snapshot.step for snapshot in snapshots}
        if len(snapshots) != len(self.trainers) or len(steps) != 1:
            raise ValueError(
                tr("twins: must be one snapshot each, of one step (received steps {steps})", steps=sorted(steps))
            )
        for trainer, snapshot, recorder in zip(self.trainers, snapshots, self.recorders, strict=True):
            trainer.restore(snapshot)
            recorder.rewind(snapshot.step)


@dataclasses.dataclass(frozen=True)
class Fork:
    """A twin that goes on from a moment of another training.

    Attributes:
        kept: Names of the arrays ("dense_1.kernel") that were taken over.
        fresh: Those that start from the seed, since the other stack has none that fits.
        slots_kept: Whether what the optimizer keeps (momentum, ...) was taken over as well.
    """

    trainer: Trainer
    kept: tuple[str, ...]
    fresh: tuple[str, ...]
    slots_kept: bool


def fork(original: Trainer, snapshot: Snapshot, experiment: Experiment) -> Fork:
    """A trainer for an edited experiment that goes on from a snapshot of the original one.

    Weights pass over to the layers that both stacks have, where their shape is the same; the others start from the
    seed. Step, epoch and place in the epoch pass over too, so both see the same batches from then on. With the same
    optimizer (live settings aside) its slots pass over as well.

    Raises:
        ValueError: if the two don't train on the same batches, or not in the same number format.
    """
    before = original.experiment
    found = differences(before, experiment)
    wrong = sorted({one.root for one in found.fields if one.root in (*BATCHES, "dtype")})
    if wrong:
        raise ValueError(
            tr(
                "fork: data, batch size, seed, shuffle and number format must be the same ({names})",
                names=", ".join(wrong),
            )
        )
    trainer = Trainer(experiment, stop_on_nonfinite=original.stop_on_nonfinite)
    matched = {b: a for a, b in found.pairs}
    old_rule, new_rule = before.optimizer.rule(), experiment.optimizer.rule()
    same_slots = type(before.optimizer) is type(experiment.optimizer) and old_rule.slots == new_rule.slots
    old: dict[tuple[int, str], tuple[tuple[int, ...], list[Any]]] = {}
    place = 0
    for variable in original.plan.variables:
        count = 1 + len(variable.slots)
        old[variable.placed.index, variable.weight.role] = (
            variable.weight.shape, list(snapshot.arrays[place : place + count]),
        )  # fmt: skip
        place += count
    own = trainer.snapshot()
    arrays = list(own.arrays)
    kept, fresh = [], []
    place = 0
    slots_kept = same_slots
    for variable in trainer.plan.variables:
        count = 1 + len(variable.slots)
        name = f"{variable.placed.name}.{variable.weight.role}"
        source = old.get((matched.get(variable.placed.index, -1), variable.weight.role))
        if source is None or source[0] != variable.weight.shape:
            fresh.append(name)
        else:
            kept.append(name)
            arrays[place] = source[1][0]
            if same_slots and len(source[1]) == count:
                arrays[place : place + count] = source[1]
            elif count > 1:
                slots_kept = False
        place += count
    trainer.restore(Snapshot(tuple(arrays), snapshot.context.copy()))
    return Fork(trainer, tuple(kept), tuple(fresh), slots_kept and not fresh)

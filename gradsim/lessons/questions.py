"""Questions that are answered before a step runs, and how an answer is compared with what was measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from gradsim.i18n import tr
from gradsim.lessons.claims import Name, Verdict
from gradsim.lessons.fields import Kinds, parts, values
from gradsim.lessons.measures import (
    Outcome,
    Scene,
    layer_faults,
    quantity_faults,
    run_faults,
    state_faults,
    states_at,
    step_faults,
)
from gradsim.lessons.numbers import number
from gradsim.nn.spec import Fault, Spec, frozen, option
from gradsim.telemetry import State

SPAN = ".."
"""Between the names of two layers it means all with weights from one to the other: ``dense..dense_19``."""
ALL = "*"
"""All layers with weights."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One part of an answer that was compared.

    Attributes:
        key: What it is about: a layer's name, or "" for the whole question.
        answered: What was answered; None where nothing was.
        measured: What is right here; None where the measurement decides for nothing.
    """

    key: str
    answered: Any
    measured: Any
    right: bool


@dataclasses.dataclass(frozen=True)
class Score:
    """How an answer compares with what was measured.

    Attributes:
        sentence: The result in words, in the language in use.
    """

    items: tuple[Item, ...]
    sentence: str

    @property
    def right(self) -> int:
        """How many items are right."""
        return sum(item.right for item in self.items)

    @property
    def total(self) -> int:
        """How many items there are."""
        return len(self.items)


@dataclasses.dataclass(frozen=True)
class Checked:
    """A step that was played and whose claims were checked.

    Attributes:
        verdicts: One for each claim, in the order of the file.
    """

    outcome: Outcome
    verdicts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool:
        """Whether this machine shows all that the text says."""
        return all(verdict.holds for verdict in self.verdicts)

    def verdict(self, name: str) -> Verdict:
        """The verdict on the claim of that name; raises KeyError."""
        for verdict in self.verdicts:
            if verdict.claim.name == name:
                return verdict
        raise KeyError(name)


@frozen
class Question(Spec):
    """Base of all questions."""

    def score(self, answer: Any, checked: Checked) -> Score:
        """Compares an answer with what was measured.

        Raises:
            ValueError: for an answer that can't be one.
        """
        raise NotImplementedError

    def faults(self, scene: Scene, claims: Sequence[str]) -> Iterator[Fault]:
        """What a step with this scene and claims of these names can't ask."""
        raise NotImplementedError


_LIKE = {
    State.SUBNORMAL: State.ZERO,
    State.ZERO: State.VANISHING,
    State.INFINITE: State.NAN,
    State.NAN: State.EXPLODING,
}
"""What a state counts as where it is not offered."""


@frozen
class ColourLayers(Question):
    """Colour the layers: give each the state that it will be in. The answer maps names of layers to states.

    A view offers :attr:`offered` as paint and the layers of :meth:`names` as canvas.
    """

    layers: Annotated[tuple[str, ...], values()] = option(
        "Layers", "Names of layers; '*' for all with weights, 'a..b' for those from a to b.", min_length=1
    )
    quantity: str = option("Quantity", "By which quantity.", default="delta_rms")
    states: Annotated[tuple[str, ...], values()] = option(
        "States", "What can be answered.", default=("vanishing", "healthy", "exploding"), min_length=2
    )
    at: int = option("At", "At which step; -1 is the last one.", default=-1)
    run: int = option("Run", "Of which run, from 0.", default=0, ge=0)

    @property
    def offered(self) -> tuple[State, ...]:
        """The states to choose from."""
        return tuple(State(name) for name in self.states)

    def names(self, names: Sequence[str], weighty: Sequence[bool]) -> list[str]:
        """The layers to colour, from the input to the output.

        Args:
            names: Name of each layer of the expanded stack.
            weighty: Whether it has a main weight.
        """
        wanted = set()
        for entry in self.layers:
            if entry == ALL:
                chosen = range(len(names))
            elif SPAN in entry:
                first, last = entry.split(SPAN, 1)
                chosen = range(names.index(first), names.index(last) + 1)
            else:
                wanted.add(entry)
                continue
            wanted |= {names[row] for row in chosen if weighty[row]}
        return [name for name in names if name in wanted]

    def measured(self, checked: Checked) -> dict[str, State]:
        """What is right: the state of each layer, as one of those offered where it counts as one."""
        recording = checked.outcome.recordings[self.run]
        found = dict(
            zip([one.name for one in recording.layers], states_at(recording, self.quantity, self.at), strict=True)
        )
        chosen = self.names(list(found), [one.weight_size > 0 for one in recording.layers])
        return {name: self._as_offered(found[name]) for name in chosen}

    def _as_offered(self, state: State) -> State:
        while state not in self.offered and state in _LIKE:
            state = _LIKE[state]
        return state

    def score(self, answer: Mapping[str, State | str], checked: Checked) -> Score:
        measured = self.measured(checked)
        for name, state in answer.items():
            if name not in measured:
                raise ValueError(f"answer: must be about {', '.join(measured)} (received {name!r})")
            if state not in self.states:
                raise ValueError(f"answer for {name}: must be one of {', '.join(self.states)} (received {state!r})")
        items = tuple(
            Item(name, State(answer[name]) if name in answer else None, state, answer.get(name) == state)
            for name, state in measured.items()
        )
        right = sum(item.right for item in items)
        return Score(items, tr("{right} of {total} layers as measured.", right=right, total=len(items)))

    def faults(self, scene: Scene, claims: Sequence[str]) -> Iterator[Fault]:
        yield from run_faults(scene, self.run)
        yield from step_faults(scene, self.run, self.at)
        yield from quantity_faults(self.quantity, layers_only=True)
        for number_, name in enumerate(self.states):
            yield from state_faults(name, f"states[{number_}]")
        for number_, entry in enumerate(self.layers):
            for name in () if entry == ALL else entry.split(SPAN, 1):
                yield from layer_faults(scene, self.run, name, f"layers[{number_}]")


@frozen
class Choice(Spec):
    """One answer of :class:`ChooseOne`; its words stand in the texts under its key.

    Attributes:
        right_if: The claim of the step that makes it the right one; empty for a wrong one.
    """

    key: Name = option("Key", "What the texts call it.")
    right_if: str = option("Right if", "Name of the claim that makes it right.", default="")


@frozen
class ChooseOne(Question):
    """Choose one answer; its key is what is scored. The measurement decides which is right."""

    choices: Annotated[tuple[Choice, ...], parts(Choice)] = option("Choices", "What can be answered.", min_length=2)

    def measured(self, checked: Checked) -> str | None:
        """The key of the right answer, or None if no claim that makes one right holds here."""
        for choice in self.choices:
            if choice.right_if and checked.verdict(choice.right_if).holds:
                return choice.key
        return None

    def score(self, answer: str, checked: Checked) -> Score:
        keys = [choice.key for choice in self.choices]
        if answer not in keys:
            raise ValueError(f"answer: must be one of {', '.join(keys)} (received {answer!r})")
        measured = self.measured(checked)
        if measured is None:
            words = tr("The numbers of this machine decide for none of the answers.")
        elif answer == measured:
            words = tr("Right: so it was measured.")
        else:
            words = tr("Measured was something else.")
        return Score((Item("", answer, measured, answer == measured),), words)

    def faults(self, scene: Scene, claims: Sequence[str]) -> Iterator[Fault]:
        keys = [choice.key for choice in self.choices]
        for number_, choice in enumerate(self.choices):
            if choice.key in keys[:number_]:
                yield Fault(f"choices[{number_}].key", tr("must stand there once"), choice.key)
            if choice.right_if and choice.right_if not in claims:
                allowed = _claim_wanted(claims)
                yield Fault(f"choices[{number_}].right_if", allowed, choice.right_if)
        if not any(choice.right_if for choice in self.choices):
            yield Fault("choices", tr("must hold an answer that a claim makes right"), keys)


@frozen
class Estimate(Question):
    """Estimate a number on a log scale, from ``low`` to ``high``."""

    claim: str = option("Claim", "Name of the claim whose number is asked for.")
    low: float = option("Low", "Where the scale begins.", gt=0)
    high: float = option("High", "Where the scale ends.", gt=0)
    within: float = option("Within", "Right if it is at most so many powers of ten off.", default=1.0, gt=0, le=10)

    def score(self, answer: float, checked: Checked) -> Score:
        if not (isinstance(answer, int | float) and math.isfinite(answer) and answer > 0):
            raise ValueError(f"answer: must be a number greater than 0 (received {answer!r})")
        measured = checked.verdict(self.claim).value
        # What lies beyond the scale can't be answered better than by its end.
        inside = min(max(abs(measured), self.low), self.high) if not math.isnan(measured) else math.nan
        off = abs(math.log10(answer) - math.log10(inside)) if not math.isnan(inside) else math.inf
        if math.isinf(off):
            words = tr("There was nothing to measure.")
        else:
            words = tr(
                "Measured: {measured}; the estimate is off by a factor of {factor}.",
                measured=number(measured), factor=number(10**off),
            )  # fmt: skip
        return Score((Item("", float(answer), measured, off <= self.within),), words)

    def faults(self, scene: Scene, claims: Sequence[str]) -> Iterator[Fault]:
        if self.claim not in claims:
            allowed = _claim_wanted(claims)
            yield Fault("claim", allowed, self.claim)
        if self.low >= self.high:
            yield Fault("high", tr("must be greater than low, {value:g}", value=self.low), self.high)


def _claim_wanted(claims: Sequence[str]) -> str:
    return tr("must be the name of a claim of the step: {names}", names=", ".join(claims) or tr("there is none"))


QUESTIONS: Kinds = {"colour_layers": ColourLayers, "choose_one": ChooseOne, "estimate": Estimate}
"""Every kind of question by its name in lesson files."""

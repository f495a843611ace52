"""Claims: what the text of a step says, as statements that the step checks when it runs."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated

import pydantic

from gradsim.i18n import tr
from gradsim.lessons.fields import one_of
from gradsim.lessons.measures import MEASURES, Measure, Outcome, Scene, below
from gradsim.lessons.numbers import formatted
from gradsim.nn.spec import Fault, Spec, frozen, option


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise ValueError(tr("must be small letters, digits and _, beginning with a letter"))
    return name


Name = Annotated[str, pydantic.AfterValidator(_checked_name)]
"""What the texts of a lesson call something by."""


@frozen
class Claim(Spec):
    """A measure and where its value must lie. Without bounds it is only measured, for the text to show.

    Attributes:
        name: What the text's placeholders call it: ``{ratio}``.
    """

    name: Name = option("Name", "What placeholders call it: small letters, digits and _.")
    measure: Annotated[Measure, one_of(MEASURES)] = option("Measure", "What is measured.")
    above: float | None = option("Above", "It must be greater than this.", default=None)
    below: float | None = option("Below", "It must be less than this.", default=None)
    equals: float | None = option("Equals", "It must be exactly this.", default=None)

    @pydantic.model_validator(mode="after")
    def _possible(self) -> Claim:
        if self.equals is not None and (self.above is not None or self.below is not None):
            raise ValueError(tr("equals must not be given together with above or below"))
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(tr("above must be less than below"))
        return self

    def holds(self, value: float) -> bool:
        """Whether a value lies where the claim says. A NaN never does."""
        if self.above is None and self.below is None and self.equals is None:
            return True
        return not math.isnan(value) and (
            (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.equals is None or value == self.equals)
        )

    def check(self, outcome: Outcome) -> Verdict:
        """Measures, and says whether it is so."""
        value = self.measure.value(outcome)
        return Verdict(self, value, self.holds(value), len(outcome.recordings) > 1)

    def bounds(self) -> str:
        """Where the value must lie, in words; "" where it is only measured."""
        shown = self.measure.shown
        if self.equals is not None:
            return tr("exactly {value}", value=shown(self.equals))
        if self.above is not None and self.below is not None:
            return tr("between {low} and {high}", low=shown(self.above), high=shown(self.below))
        if self.above is not None:
            return tr("above {value}", value=shown(self.above))
        return "" if self.below is None else tr("below {value}", value=shown(self.below))

    def faults(self, scene: Scene) -> Iterator[Fault]:
        """What a step with this scene can't check."""
        yield from below("measure", self.measure.faults(scene))


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A claim that was checked.

    Attributes:
        value: What was measured.
        holds: Whether it lies where the text says.
        several: Whether there were several runs, so that the sentence names the one it is about.
    """

    claim: Claim
    value: float
    holds: bool
    several: bool = False

    @property
    def numbers(self) -> Mapping[str, float]:
        """The measured number by the name of the claim."""
        return {self.claim.name: self.value}

    @property
    def sentence(self) -> str:
        """What was measured and what the text says, in the language in use."""
        measure, bounds = self.claim.measure, self.claim.bounds()
        words, value = measure.words(self.several), measure.shown(self.value)
        if not bounds:
            return tr("{what}: {value}.", what=words, value=value)
        if self.holds:
            return tr("{what}: {value}, {bounds} as the text says.", what=words, value=value, bounds=bounds)
        return tr(
            "{what}: {value} on this machine, but the text says {bounds}.", what=words, value=value, bounds=bounds
        )

    def text(self, form: str = "") -> str:
        """The number for a placeholder, in one of :data:`gradsim.lessons.numbers.FORMATS`."""
        return formatted(self.value, form) if form else self.claim.measure.short(self.value)

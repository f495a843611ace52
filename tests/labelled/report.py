"""Precision and recall of every finding over the labelled set, as a table: ``python -m tests.labelled.report``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable

from gradsim.diagnose.findings import definitions, diagnose
from tests.labelled import further, runs


@dataclasses.dataclass
class Counts:
    """Of one kind of finding: rightly found, found without cause, missed; and the runs it went wrong in."""

    right: int = 0
    false: int = 0
    missed: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)

    @property
    def precision(self) -> float:
        found = self.right + self.false
        return self.right / found if found else 1.0

    @property
    def recall(self) -> float:
        there = self.right + self.missed
        return self.right / there if there else 1.0


def measure(families: Iterable[runs.Family], seeds: Iterable[int]) -> tuple[dict[str, Counts], int]:
    """Trains every run, diagnoses it and compares with its label; gives the counts and the number of runs."""
    counts = {definition.kind: Counts() for definition in definitions()}
    number = 0
    for family in families:
        for seed in seeds:
            found = {finding.kind for finding in diagnose(family.record(seed))}
            number += 1
            for kind, count in counts.items():
                if kind in family.may:
                    continue
                there = kind in family.has
                if there and kind in found:
                    count.right += 1
                elif there:
                    count.missed += 1
                    count.wrong.append(f"missed in {family.name} {seed}")
                elif kind in found:
                    count.false += 1
                    count.wrong.append(f"found in {family.name} {seed}")
    return counts, number


def table(counts: dict[str, Counts], number: int) -> str:
    """The counts as text."""
    lines = [f"{number} runs", f"{'finding':<17}{'runs':>5}{'precision':>11}{'recall':>8}"]
    for kind, count in counts.items():
        there = count.right + count.missed
        words = "; ".join(count.wrong)
        lines.append(f"{kind:<17}{there:>5}{count.precision:>11.3f}{count.recall:>8.3f}  {words}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    seeds = runs.REPORT_SEEDS if "--report" in sys.argv else runs.TUNING_SEEDS
    sys.stdout.write(table(*measure(further.FAMILIES.values(), seeds)) + "\n")

"""Findings against the labels of runs whose faults are known."""

from __future__ import annotations

import pytest

from gradsim.diagnose.findings import definitions, diagnose
from tests.labelled import report, runs
from tests.labelled.further import FAMILIES

FAST = [family for family in FAMILIES.values() if family.fast]


@pytest.mark.parametrize("family", FAST, ids=lambda family: family.name)
def test_that_what_is_wrong_is_found_and_nothing_else(family: runs.Family) -> None:
    found = {finding.kind for finding in diagnose(family.record(runs.FAST_SEEDS[0]))}
    assert family.has <= found, f"missed: {sorted(family.has - found)}"
    assert not found - family.has - family.may


def test_that_every_finding_is_in_the_fast_part_of_the_set() -> None:
    assert {kind for family in FAST for kind in family.has} == {definition.kind for definition in definitions()}


def test_that_the_seeds_that_are_reported_were_not_tuned_on() -> None:
    assert not set(runs.TUNING_SEEDS) & {*runs.REPORT_SEEDS, *runs.FAST_SEEDS}
    assert len(FAMILIES) * len(runs.REPORT_SEEDS) >= 60


@pytest.mark.slow
def test_that_precision_and_recall_of_every_finding_are_at_least_95_percent(capsys: pytest.CaptureFixture[str]) -> None:
    counts, number = report.measure(FAMILIES.values(), runs.REPORT_SEEDS)
    with capsys.disabled():
        print("\n" + report.table(counts, number))  # noqa: T201
    for kind, count in counts.items():
        assert count.right + count.missed >= len(runs.REPORT_SEEDS), kind
        assert count.precision >= 0.95, (kind, count.wrong)
        assert count.recall >= 0.95, (kind, count.wrong)

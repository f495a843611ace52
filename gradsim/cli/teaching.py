"""``gradsim lesson``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from gradsim.cli import codes
from gradsim.cli.main import cli
from gradsim.i18n import mark, tr

if TYPE_CHECKING:
    from gradsim.lessons import Lesson, Step

NOT_SHOWN = 1
"""Exit code: a lesson says something that this machine does not show."""


@cli.command()
@click.argument("lesson", required=False)
@click.option("--seed", metavar="S", type=click.IntRange(0, 2**31 - 1), help="Another seed for every training.")
@click.option("--step", "key", metavar="KEY", help="Play this step only.")
def lesson(lesson: str | None, seed: int | None, key: str | None) -> None:
    """Play LESSON and check on this machine what its text says; without LESSON, list the lessons.

    LESSON is the name or number of a bundled one, or a folder (see the guide: Write your own lesson).

    Exit codes: 0 the numbers show all that the text says, 1 they don't, 2 bad input with all that is wrong in it.
    """
    sys.exit(_list() if lesson is None else play_lesson(lesson, seed, key))


def _list() -> int:
    from gradsim import lessons
    from gradsim.cli import output

    made = output.table(
        ("#", "right"),
        (mark("name"), "left"),
        (mark("title"), "left"),
        (mark("steps"), "right"),
        (mark("minutes"), "right"),
    )
    mine, wrong = lessons.own()
    for one in (*lessons.everything(), *mine):
        made.add_row(str(one.number or ""), one.name, one.title, str(len(one.steps)), f"{one.minutes:g}")
    console = output.console()
    console.print(made)
    console.print()
    console.print(tr("Lessons of your own: {path}", path=lessons.own_folder()), soft_wrap=True)
    for error in wrong:
        sys.stderr.write(f"gradsim: {error}\n")
    return 0


def play_lesson(source: str, seed: int | None, key: str | None) -> int:
    """Plays a lesson, prints each claim with what was measured, and gives the exit code."""
    from gradsim import lessons
    from gradsim.cli import output
    from gradsim.model.faults import FaultsError, near
    from gradsim.nn.spec import Fault

    try:
        lesson = lessons.find(source)
    except FaultsError as error:
        return output.refuse(source, error.faults)
    keys = [step.key for step in lesson.steps]
    if key is not None and key not in keys:
        return output.refuse(
            source, [Fault("--step", tr("must be one of {names}", names=", ".join(keys)) + near(key, keys), key)]
        )
    console = output.console()
    console.print(lesson.title, style="bold")
    console.print(lesson.summary)
    started = time.perf_counter()
    claims = wrong = 0
    try:
        for step in lesson.steps:
            if key is None or step.key == key:
                for holds, line in _played(lesson, step, seed):
                    console.print(line, soft_wrap=True)
                    claims += holds is not None
                    wrong += holds is False
    except KeyboardInterrupt:
        sys.stderr.write(tr("gradsim: interrupted") + "\n")
        return codes.INTERRUPTED
    console.print()
    seconds = time.perf_counter() - started
    if wrong:
        console.print(
            tr(
                "{n} of {all} claims are not shown by this machine's numbers ({seconds:.1f} s)",
                n=wrong,
                all=claims,
                seconds=seconds,
            )
        )
        return NOT_SHOWN
    console.print(tr("All {n} claims hold ({seconds:.1f} s)", n=claims, seconds=seconds))
    return 0


def _played(lesson: Lesson, step: Step, seed: int | None) -> Iterator[tuple[bool | None, str]]:
    """Lines of a step, each with whether it is a claim that holds; None for what is no claim."""
    from gradsim.lessons import play

    yield None, "\n" + tr("{name}: {text}", name=step.key, text=lesson.text(step).title)
    for verdict in play.play(step, seed).verdicts:
        sign = "✓" if verdict.holds else "✗"
        yield verdict.holds, f"  {sign} " + tr("{name}: {text}", name=verdict.claim.name, text=verdict.sentence)

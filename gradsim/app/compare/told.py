"""What a comparison says in words: how the stacks differ, what a fork kept, where a twin stands."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable

import numpy as np

from gradsim.app.compare.comparison import Comparison, Twin
from gradsim.app.see import words
from gradsim.app.see.pull import value_of
from gradsim.diagnose.twins import Differences, InWords, RowDifference, in_words
from gradsim.i18n import tr, tr_n

GLYPHS = {"changed": "≠", "added": "+", "removed": "−"}
"""Before a difference in words, and beside the names of the rows."""
_MOST_NAMED = 4


def marks(place: int, differences: Iterable[Differences]) -> dict[int, str]:
    """Glyphs for the rows of a twin: what differs from the first, or in the first from any of the others."""
    found = tuple(differences)
    if not found:
        return {}
    rows: list[tuple[int | None, RowDifference]] = []
    if place == 0:
        rows = [(one.first, one) for each in found for one in each.rows]
    else:
        rows = [(one.second, one) for one in found[place - 1].rows]
    return {row: GLYPHS[one.kind] for row, one in rows if row is not None}


def sentence(line: InWords) -> str:
    """A difference as a sentence: ``Activation of dense to dense_18 (19 layers): sigmoid → relu``."""
    if line.kind == "added":
        return tr("{kind} added: {where}", kind=line.second, where=line.where)
    if line.kind == "removed":
        return tr("{kind} not there: {where}", kind=line.first, where=line.where)
    if line.where == tr("experiment"):
        return tr("{what}: {first} → {second}", what=line.what, first=line.first, second=line.second)
    return tr(
        "{what} of {where}: {first} → {second}",
        what=line.what,
        where=line.where,
        first=line.first,
        second=line.second,
    )


def differences(comparison: Comparison) -> list[tuple[Twin, list[tuple[str, str]]]]:
    """For each twin but the first: glyphs and sentences."""
    first = comparison.twins[0].stack
    told = []
    for twin, found in zip(comparison.twins[1:], comparison.differences, strict=False):
        if first is None or twin.stack is None:
            continue
        lines = [(GLYPHS[line.kind], sentence(line)) for line in in_words(found, first, twin.stack)]
        told.append((twin, lines))
    return told


def fork(comparison: Comparison, twin: Twin) -> str:
    """What a twin took over from the moment that it goes on from; "" if it started from its seed."""
    made, moment = twin.fork, comparison.moment
    if made is None or moment is None:
        return ""
    steps = tr_n("{count} step", "{count} steps", moment.steps, count=words.steps(moment.steps))
    if not moment.steps and not made.fresh:
        return tr("Starts from the same initial weights.")
    if not made.fresh:
        text = tr("Goes on behind {steps} (the line) with all weights kept", steps=steps)
    elif not made.kept:
        text = tr("Goes on behind {steps} (the line), but no weights fit: all start fresh from the seed", steps=steps)
    else:
        names = ", ".join(made.fresh[:_MOST_NAMED]) + (", …" if len(made.fresh) > _MOST_NAMED else "")
        text = tr(
            "Goes on behind {steps} (the line): {kept} of {all} weight arrays kept, {fresh} start fresh from the seed "
            "({names})",
            steps=steps,
            kept=len(made.kept),
            all=len(made.kept) + len(made.fresh),
            fresh=len(made.fresh),
            names=names,
        )
    rule = twin.experiment.optimizer.rule()
    if not rule.slots:
        return f"{text}."
    memory = (
        tr("What the optimizer remembers was kept too.")
        if made.slots_kept
        else tr("What the optimizer remembers starts anew.")
    )
    return f"{text}. {memory}"


def chance(comparison: Comparison) -> str:
    """A warning where the twins don't see the same rows; "" where they do."""
    other = [
        twin.letter
        for twin, found in zip(comparison.twins[1:], comparison.differences, strict=False)
        if not found.same_batches
    ]
    if not other:
        return ""
    return tr(
        "{letters} don't see the same rows in each step as A (other data, batch size, order or seed): "
        "chance is part of the difference.",
        letters=", ".join(other),
    )


def standing(twin: Twin, *, brief: bool = False) -> str:
    """Loss, accuracy (of the batch, unless ``brief``, and of validation) and whether it broke, at the shown step."""
    recorder = twin.recorder
    if recorder is None:
        return tr("preparing")
    if recorder.stop <= recorder.first_step:
        return tr("no step yet")
    last = recorder.stop - recorder.every
    cursor = twin.state.cursor
    step = last if cursor is None else min(max(cursor, recorder.first_step), last)
    loss = value_of(recorder, "loss", step)
    parts = [tr("loss {value}", value=loss if isinstance(loss, str) else words.number(loss, 3))]
    accuracy = math.nan if brief else value_of(recorder, "accuracy", step)
    if not isinstance(accuracy, str) and not math.isnan(accuracy):
        parts.append(tr("accuracy {value}", value=_percent(accuracy)))
    found = recorder.validation
    before = int(np.searchsorted(found.step, step, side="right")) - 1
    if before >= 0 and not np.isnan(found.val_accuracy[before]):
        parts.append(tr("validation {value}", value=_percent(float(found.val_accuracy[before]))))
    broke = recorder.first_nonfinite
    if broke is not None and broke.step <= step:
        parts.insert(0, tr("✕ diverged at step {step}", step=words.steps(broke.step)))
    return " · ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def page(comparison: Comparison, colour: dict[str, str], muted: str) -> str:
    """All of it as rich text for a label; names from files are escaped.

    Args:
        colour: Of each letter.
        muted: Of what is less important.
    """
    parts: list[str] = []
    if warning := chance(comparison):
        parts.append(f"<p><b>! {html.escape(warning)}</b></p>")
    first = comparison.twins[0]
    if text := fork(comparison, first):
        parts.append(f"<p><b style='color:{colour[first.letter]}'>{first.letter}</b> {html.escape(text)}</p>")
    for twin, lines in differences(comparison):
        letter = f"<b style='color:{colour[twin.letter]}'>{twin.letter}</b>"
        against = html.escape(tr("against A"))
        if not lines:
            equal = (
                tr("no difference: it does the same in every bit") if comparison.same_batches else tr("no difference")
            )
            parts.append(f"<p>{letter} {against}: {html.escape(equal)}</p>")
        else:
            rows = "".join(
                f"<tr><td style='padding-right:6px'><b>{glyph}</b></td><td>{html.escape(told)}</td></tr>"
                for glyph, told in lines
            )
            parts.append(f"<p style='margin-bottom:2px'>{letter} {against}:</p><table>{rows}</table>")
        if text := fork(comparison, twin):
            parts.append(f"<p style='color:{muted}; margin-top:4px'>{html.escape(text)}</p>")
    return "".join(parts)

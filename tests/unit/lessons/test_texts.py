from __future__ import annotations

from pathlib import Path

import pytest

from gradsim.lessons import texts
from gradsim.lessons.texts import Measured, Placeholder, TextsError

WHOLE = """\
# The title

What it is about.

## Teacher

For everybody.

## Step one: First things

Some **text** with `code`.

```python
# no heading
x = {"y": 1}
```

### Runs
- the first
- the second

### Watch

The rows.

### Question

Which one?

- [left] The left one
- [right] The right one

### Measured

It was {ratio} and {share:%}, `{not}`.

### Try

More.

### Keras

```python
{model}
```

### Teacher

2 minutes.

## Step two: Second things

Nothing to do.
"""


def test_that_a_text_is_taken_apart_by_its_headings() -> None:
    found = texts.parse(WHOLE)
    assert (found.title, found.summary, found.teacher) == ("The title", "What it is about.", "For everybody.")
    assert list(found.steps) == ["one", "two"]
    one = found.steps["one"]
    assert one.title == "First things"
    assert one.text.startswith("Some **text**") and "# no heading" in one.text
    assert one.runs == ("the first", "the second")
    assert (one.watch, one.question, one.try_it, one.teacher) == ("The rows.", "Which one?", "More.", "2 minutes.")
    assert one.choices == {"left": "The left one", "right": "The right one"}
    assert one.measured.placeholders == (Placeholder("ratio", ""), Placeholder("share", "%"))
    assert found.steps["two"].measured.template == ""


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("# The title", "The title", "must begin with the title of the lesson"),
        ("## Step two:", "## Stop two:", "must be '## Teacher' or '## Step KEY: TITLE'"),
        ("## Step two:", "## Step one:", "must stand there once"),
        ("### Watch", "### Wacht", "did you mean 'Watch'?"),
        ("### Try", "### Watch", "must stand once in each step"),
        ("### Try", "#### Try", "one to three #"),
        ("## Step one: First things", "### Watch", "must stand in a step"),
        ("- the second", "the second", "must be a list"),
        ("- [right]", "- [left]", "must give each answer once"),
        ("The rows.", "![rows](rows.png)", "no pictures"),
        ("The rows.", "[rows](https://example.org)", "no links"),
        ("The rows.", "<b>rows</b>", "no HTML"),
        ("The rows.", "Like {ratio}.", "under ### Measured only"),
        ("{share:%}", "{share:,}", "must have a format of %, inverse, round, 1"),
        ("The rows.", "The\x1b[31m rows.", "without control characters"),
        ("## Step two:", "```\n## Step two:", "must close its code"),
        ("Nothing to do.", "# Another title", "must have one title"),
    ],
)
def test_that_a_slip_is_told_with_its_line(before: str, after: str, words: str) -> None:
    assert before in WHOLE
    with pytest.raises(TextsError) as error:
        texts.parse(WHOLE.replace(before, after, 1), "en.md")
    assert words in str(error.value)
    assert error.value.faults[0].path.startswith("en.md, line ")


def test_that_all_slips_are_told_at_once() -> None:
    with pytest.raises(TextsError) as error:
        texts.parse(WHOLE.replace("### Watch", "### Wacht").replace("## Step two:", "## Stop two:"))
    assert len(error.value.faults) == 2


def test_that_an_unreadable_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(TextsError, match="can't be read"):
        texts.load(tmp_path / "en.md")
    (tmp_path / "en.md").write_bytes(b"# A\xff")
    with pytest.raises(TextsError, match="UTF-8; byte 3"):
        texts.load(tmp_path / "en.md")
    (tmp_path / "en.md").write_bytes(b"# A\n" + b"x" * texts.MAX_BYTES)
    with pytest.raises(TextsError, match="at most 256 KiB"):
        texts.load(tmp_path / "en.md")


def test_that_braces_that_are_no_placeholder_stay() -> None:
    assert Measured("{ a } {} {A} {a:b c}").placeholders == ()

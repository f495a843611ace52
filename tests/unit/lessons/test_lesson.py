"""Lessons from folders: what is opened, and what a careless or hostile one is told."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradsim import i18n, lessons
from gradsim.lessons import LessonError, play
from gradsim.telemetry import Recorder

SMALL: dict[str, Any] = {
    "lesson": 1,
    "steps": [
        {
            "key": "learn",
            "minutes": 2,
            "runs": [
                {"experiment": "small-xor", "set": {"layers[0].units": 4}, "steps": 40},
                {"experiment": "small-xor", "steps": 40},
            ],
            "view": {"select": ["dense"], "mark": {"first": "dense", "last": "dense_1", "stop": 10}, "cursor": 3},
            "question": {"type": "estimate", "claim": "loss", "low": 0.01, "high": 10},
            "claims": [
                {"name": "loss", "measure": {"type": "value", "quantity": "loss"}, "below": 2},
                {"name": "travel", "measure": {"type": "travel", "layer": "dense", "run": 1}, "above": 0},
            ],
        },
        {"key": "read", "minutes": 1},
    ],
}

WORDS = """\
# Small
About little.
## Teacher
Nothing.
## Step learn: Learning
Text.
### Runs
- four
- eight
### Question
How much?
### Measured
{loss} and {travel:%}
## Step read: Reading
Text.
"""


def folder(path: Path, content: Any = SMALL, words: str = WORDS, name: str = "07-small") -> Path:
    made = path / name
    made.mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (made / "lesson.json").write_text(text, encoding="utf-8")
    (made / "en.md").write_text(words, encoding="utf-8")
    return made


def changed(path: str, value: Any) -> dict[str, Any]:
    """The small lesson with another value at a place, as in ``0.runs.0.steps``; ... takes it away."""
    content = copy.deepcopy(SMALL)
    node: Any = content["steps"]
    *parts, last = path.split(".")
    for part in parts:
        node = node[int(part) if part.isdigit() else part]
    key = int(last) if last.isdigit() else last
    if value is ...:
        del node[key]
    else:
        node[key] = value
    return content


def test_that_a_lesson_is_opened_from_a_folder_and_played(tmp_path: Path) -> None:
    lesson = lessons.load(folder(tmp_path))
    assert (lesson.name, lesson.number, lesson.minutes) == ("small", 7, 3)
    step = lesson.steps[0]
    assert step.runs[0].resolved.layers[0].units == 4  # type: ignore[attr-defined]
    checked = play.play(step)
    assert checked.holds
    assert lesson.text(step).measured.filled(checked).startswith(checked.verdict("loss").text())


def test_that_the_same_seed_gives_the_same_numbers_and_another_others(tmp_path: Path) -> None:
    step = lessons.load(folder(tmp_path)).steps[0]
    first, again, other = (play.play(step, seed).verdict("loss").value for seed in (None, None, 5))
    assert first == again != other
    assert {prepared.experiment.seed for prepared in play.prepare(step, 5)} == {5}


def test_that_a_language_that_a_lesson_lacks_is_english(tmp_path: Path) -> None:
    lesson = lessons.load(folder(tmp_path))
    assert lesson.texts("zh_CN") is lesson.texts("en")
    assert set(i18n.LANGUAGES) > set(lesson.languages)


def test_that_a_lesson_in_one_language_is_enough_whichever_it_is(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "en.md").rename(made / "zh_CN.md")
    lesson = lessons.load(made)
    assert list(lesson.languages) == ["zh_CN"] and lesson.texts("en") is lesson.texts("zh_CN")
    (made / "zh_CN.md").unlink()
    with pytest.raises(LessonError, match=r"the words: must be there as en\.md or zh_CN\.md"):
        lessons.load(made)


def test_that_own_lessons_are_found_and_a_broken_one_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADSIM_LESSONS", str(tmp_path / "mine"))
    assert lessons.own() == ((), ())
    (tmp_path / "mine").mkdir()
    folder(tmp_path / "mine")
    folder(tmp_path / "mine", "{}", name="08-broken")
    found, wrong = lessons.own()
    assert [lesson.name for lesson in found] == ["small"]
    (error,) = wrong
    assert "08-broken: steps: is missing" in str(error)
    assert lessons.find("small").folder == found[0].folder


def test_that_what_a_window_recorded_beyond_the_lesson_does_not_count(tmp_path: Path) -> None:
    step = lessons.load(folder(tmp_path)).steps[0]
    long = [play.train(play.Prepared(prepared.experiment, prepared.weights, 90)) for prepared in play.prepare(step)]
    found = step.check(play.outcome(step, long))
    assert [len(one) for one in found.outcome.recordings] == [40, 40]
    assert [one.value for one in found.verdicts] == [one.value for one in play.play(step).verdicts]


def test_that_steps_behind_the_first_nan_do_not_count(tmp_path: Path) -> None:
    step = lessons.load(folder(tmp_path)).steps[0]
    recordings = []
    for run in range(2):
        recorder = Recorder(play.train(play.prepare(step)[run]).layers)
        for number in range(30):
            recorder.append_step({"weight_norm": np.ones(2)}, {"loss": math.nan if number >= 12 else 1.0})
        recordings.append(recorder.recording())
    assert [len(one) for one in step.check(play.outcome(step, recordings)).outcome.recordings] == [13, 13]


def test_that_work_ends_where_between_says_so(tmp_path: Path) -> None:
    class Ended(Exception):
        pass

    def between() -> None:
        raise Ended

    with pytest.raises(Ended):
        play.play(lessons.load(folder(tmp_path)).steps[0], between=between)


def test_that_pretrained_layers_are_taken_over_and_frozen(tmp_path: Path) -> None:
    reuse = {"experiment": "small-xor", "steps": 30, "rows": 1}
    step = lessons.load(folder(tmp_path, changed("0.runs.1.reuse", reuse))).steps[0]
    scratch, reused = play.prepare(step)
    assert scratch.weights is None and reused.weights is not None
    assert [layer.trainable for layer in reused.experiment.layers] == [False, True]
    trained = play.train(play.Prepared(step.runs[1].reuse.resolved, None, 30))  # type: ignore[union-attr]
    assert trained.layers[0].name == "dense"
    np.testing.assert_allclose(np.linalg.norm(reused.weights[0]), trained["weight_norm"][-1, 0], rtol=1e-6)
    checked = step.check(play.outcome(step, [play.train(one) for one in (scratch, reused)]))
    assert checked.verdict("travel").value == 0 and not checked.verdict("travel").holds


def test_that_a_name_a_number_and_a_folder_name_find_a_bundled_lesson() -> None:
    first = lessons.names()[0]
    one = lessons.bundled(first)
    assert lessons.find(str(one.number)).name == lessons.find(one.folder.name).name == first
    with pytest.raises(LessonError, match="did you mean"):
        lessons.find(first[:-1])


PRIVATE = {"type": "csv", "path": "/etc/passwd", "target": "x"}
HUGE = [{"type": "Dense", "units": 5000}, {"type": "Dense", "units": 5000}, {"type": "Dense", "units": 1}]


def bowl(**fields: Any) -> dict[str, Any]:
    return {"surface": "bowl", "start": [0, 0], "optimizers": ["SGD"], "steps": 3, **fields}


FAULTS: list[tuple[str, Any, str, str]] = [
    ("0.key", "Learn it", "steps[0].key", "small letters"),
    ("1.key", "learn", "steps[1].key", "once"),
    ("0.minutes", 0, "steps[0].minutes", "greater than 0"),
    ("0.minutes", ..., "steps[0].minutes", "is missing"),
    ("0.mintes", 2, "steps[0].mintes", "did you mean 'minutes'?"),
    ("0.runs", {}, "steps[0].runs", "must be a list"),
    ("0.runs.0", "small-xor", "steps[0].runs[0]", "must be an object"),
    ("0.runs.0.experiment", "small-xr", "steps[0].runs[0].experiment", "did you mean 'small-xor'?"),
    ("0.runs.0.experiment", "../../etc/passwd", "steps[0].runs[0].experiment", "neither a file nor a bundled"),
    ("0.runs.1.experiment", {"layers": [{"type": "Danse"}]}, "steps[0].runs[1].experiment.layers[0].type", "Dense"),
    ("0.runs.0.set", {"layers[9].units": 3}, "steps[0].runs[0].set", "layers[0] to layers[1]"),
    ("0.runs.0.set", {"layers[0].units": 0}, "steps[0].runs[0].set.layers[0].units", "at least 1"),
    ("0.runs.0.set", {"__class__": 0}, "steps[0].runs[0].set.__class__", "is not a field here"),
    ("0.runs.0.set", {"data": PRIVATE}, "steps[0].runs[0].set.data", "brings"),
    ("0.runs.0.steps", 0, "steps[0].runs[0].steps", "at least 1"),
    ("0.runs.0.steps", 10**9, "steps[0].runs[0].steps", "at most 20000"),
    ("0.runs.0.steps", 41, "steps[0].runs[1].steps", "as those of the first run, 41"),
    ("0.runs.0.set", {"layers": HUGE, "batch_size": 400}, "steps", "at most 20 s of machine time"),
    ("0.runs.1.reuse", {"experiment": "small-xor", "steps": 3, "rows": 2}, "steps[0].runs[1].reuse.rows", "at most 1"),
    ("0.runs.1.reuse", {"experiment": "small-regression", "steps": 3, "rows": 1}, "steps[0].runs[1].reuse.rows", "one"),
    ("0.view.quantity", "gradient", "steps[0].view.quantity", "gradient_norm"),
    ("0.view.quantity", "loss", "steps[0].view.quantity", "delta_rms"),
    ("0.view.page", "insid", "steps[0].view.page", "must be one of"),
    ("0.view.focus", "page", "steps[0].view.page", "must be given"),
    ("0.view.select", ["dens"], "steps[0].view.select[0]", "did you mean 'dense'?"),
    ("0.view.mark", {"first": "dense_1", "last": "dense"}, "steps[0].view.mark.last", "must not lie below"),
    ("0.view.mark", {"first": "dense", "stop": 41}, "steps[0].view.mark.stop", "at most 40"),
    ("0.view.cursor", 40, "steps[0].view.cursor", "0 to 39"),
    ("0.view.zoom", [9, 3], "steps[0].view.zoom", "the first before the last"),
    ("0.view.run", 2, "steps[0].view.run", "from 0 to 1"),
    ("0.claims.0.name", "1/0", "steps[0].claims[0].name", "small letters"),
    ("0.claims.1.name", "loss", "steps[0].claims[1].name", "once"),
    ("0.claims.0.measure", {"type": "eval", "code": "1"}, "steps[0].claims[0].measure.type", "must be one of value"),
    ("0.claims.0.measure", 3, "steps[0].claims[0].measure", "must be an object with a 'type'"),
    ("0.claims.0.above", 3, "steps[0].claims[0]", "above must be less than below"),
    ("0.claims.0.equals", 3, "steps[0].claims[0]", "equals must not be given together"),
    ("0.question.claim", "los", "steps[0].question.claim", "loss, travel"),
    ("0.question.type", "ask", "steps[0].question.type", "colour_layers"),
    ("0.surface", bowl(), "steps[0].surface", "together"),
    ("1.surface", bowl(start=[0]), "steps[1].surface.start", ""),
    ("1.surface", bowl(start=[0, 9]), "steps[1].surface.start", "lie on"),
    ("1.surface", bowl(optimizers=["GD"]), "steps[1].surface.optimizers[0].type", "SGD"),
    ("1.functions", {"activations": ["relu"], "left": 2, "right": 1}, "steps[1].functions.right", "greater than left"),
    ("1.functions", {"activations": ["softmax"]}, "steps[1].functions.activations[0]", "one number"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "path", "words"), FAULTS)
def test_that_a_fault_of_the_structure_is_told_with_its_place(
    tmp_path: Path, place: str, value: Any, path: str, words: str
) -> None:
    with pytest.raises(LessonError) as error:
        lessons.load(folder(tmp_path, changed(place, value)))
    found = [fault for fault in error.value.faults if fault.path.startswith(path)]
    assert found, str(error.value)
    assert any(words in fault.message for fault in found), str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "must be JSON"),
        ("[1]", "must be a JSON object"),
        ("{}", "steps: is missing"),
        ('{"lesson": 2, "steps": []}', "lesson: must be one of 1"),
        ('{"lesson": 1, "steps": []}', "steps: must have at least 1"),
        ('{"lesson": 1, "lesson": 1, "steps": []}', "must stand there once"),
        ('{"lesson": 1, "steps": [{"key": "a", "minutes": 1e999}]}', "must be a finite number"),
        ('{"lesson": 1, "steps": [{"key": "a", "minutes": ' + "9" * 5000 + "}]}", "must be a whole number"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested at most"),
        ('{"lesson": 1, "steps": [' + "0," * 1_100_000 + "0]}", "values"),
        ('{"lesson": 1, "steps": ["\\u001b[31m"]}', "without control characters"),
    ],
)
def test_that_a_hostile_file_is_told_and_costs_little(tmp_path: Path, content: str, words: str) -> None:
    started = time.perf_counter()
    with pytest.raises(LessonError) as error:
        lessons.load(folder(tmp_path, content))
    assert words in str(error.value)
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("## Step read: Reading\nText.", "", "must hold '## Step read: ...'"),
        ("## Step read: Reading", "## Step red: Reading", "steps of lesson.json only: learn, read"),
        ("- eight\n", "", "a name for each run: 2"),
        ("### Question\nHow much?\n", "", "must have ### Question"),
        ("How much?", "How much?\n- [a] little", "must have these answers: none"),
        ("{loss} and {travel:%}", "", "must have ### Measured"),
        ("{loss}", "{lost}", "placeholders for claims of the step: loss, travel"),
        ("Learning\nText.", "Learning\n", "must have a text below its heading"),
    ],
)
def test_that_words_that_do_not_fit_the_structure_are_told(tmp_path: Path, before: str, after: str, words: str) -> None:
    assert before in WORDS
    with pytest.raises(LessonError) as error:
        lessons.load(folder(tmp_path, words=WORDS.replace(before, after)))
    assert words in str(error.value)


def test_that_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    made = folder(tmp_path, changed("0.key", "learnt"))
    (made / "zh_CN.md").write_text("no title", encoding="utf-8")
    with pytest.raises(LessonError) as error:
        lessons.load(made)
    places = {fault.path.split(",")[0] for fault in error.value.faults}
    assert {"en.md", "zh_CN.md"} <= places


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["lesson.json", "en.md"])
def test_that_a_pipe_in_the_place_of_a_file_is_told_and_not_waited_for(tmp_path: Path, name: str) -> None:
    made = folder(tmp_path)
    (made / name).unlink()
    os.mkfifo(made / name)
    with pytest.raises(LessonError, match=f"{name}: can't be read: must be a regular file"):
        lessons.load(made)


def test_that_a_folder_without_a_lesson_is_told(tmp_path: Path) -> None:
    with pytest.raises(LessonError, match=r"lesson\.json: can't be read"):
        lessons.load(tmp_path)

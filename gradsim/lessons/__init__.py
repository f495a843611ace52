"""Lessons: teaching steps as data, which train, ask, measure and check their own words. No Qt, no code in files.

How a view uses it::

    lesson = lessons.bundled("vanishing")         # or lessons.everything(), lessons.own(); LessonError has all faults
    for step in lesson.steps:
        text = lesson.text(step)                  # words in the language in use: StepText, Markdown
        step.view                                 # quantity, focus, page, selection, mark, zoom, cursor: set these
        step.question                             # None, ColourLayers, ChooseOne or Estimate: ask text.question first
        # 1. in a thread: what the runs start from (at once, but where layers are pretrained)
        runs = play.prepare(step)                 # Prepared(experiment, weights, steps) for each run
        # 2. train them, runs[0] in the session and the others as its twins, until each has made its steps or met its
        #    first NaN; or without a window: play.train(runs[0])
        # 3. in a thread, once all have ended:
        checked = step.check(play.outcome(step, [recorder.recording() for each run]))
        text.measured.filled(checked)             # Markdown with this machine's numbers
        [v.sentence for v in checked.verdicts]    # each claim; where not v.holds, show the sentence as a warning
        step.question.score(answer, checked)      # Score(items, sentence, right, total)

A step without runs draws ``step.surface`` (``grid()``, ``formula.marks``, ``paths()``, ``labels``) or
``step.functions`` (``curves()``), or is for reading alone. ``play.play(step)`` does everything without a window.

:mod:`gradsim.lessons.play` imports the engine, which takes a while: import it where something is played.
"""

from gradsim.lessons.claims import Claim, Verdict
from gradsim.lessons.functions import Curve, Functions
from gradsim.lessons.lesson import Lesson, LessonError, bundled, everything, find, load, names, own, own_folder
from gradsim.lessons.measures import Outcome
from gradsim.lessons.questions import Checked, Choice, ChooseOne, ColourLayers, Estimate, Item, Question, Score
from gradsim.lessons.steps import Place, Run, Step, View
from gradsim.lessons.surface import Grid, Mark, Path, Surface
from gradsim.lessons.texts import Measured, StepText, Texts

__all__ = [
    "Checked",
    "Choice",
    "ChooseOne",
    "Claim",
    "ColourLayers",
    "Curve",
    "Estimate",
    "Functions",
    "Grid",
    "Item",
    "Lesson",
    "LessonError",
    "Mark",
    "Measured",
    "Outcome",
    "Path",
    "Place",
    "Question",
    "Run",
    "Score",
    "Step",
    "StepText",
    "Surface",
    "Texts",
    "Verdict",
    "View",
    "bundled",
    "everything",
    "find",
    "load",
    "names",
    "own",
    "own_folder",
]

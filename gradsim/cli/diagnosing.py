"""``gradsim diagnose``, ``gradsim cure`` and ``gradsim compare``."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradsim.cli import codes
from gradsim.cli.main import cli
from gradsim.i18n import mark, reason_of, tr

if TYPE_CHECKING:
    from rich.console import Console

    from gradsim.diagnose.cures import Result
    from gradsim.diagnose.findings import Finding
    from gradsim.model import Experiment
    from gradsim.telemetry import Recording

DEFAULT_STEPS = 200
SIGNS = {"fault": "✗", "warning": "!", "note": "i"}
SETTINGS_HELP = "Change a field first; see run."


@cli.command()
@click.argument("experiment")
@click.option("--steps", type=click.IntRange(min=1), default=DEFAULT_STEPS, show_default=True, help="How many steps.")
@click.option("--set", "settings", metavar="PATH=VALUE", multiple=True, help=SETTINGS_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def diagnose(experiment: str, steps: int, settings: tuple[str, ...], as_json: bool) -> None:
    """Say what is wrong with a training, where, since when, and what may cure it.

    EXPERIMENT is a .gradsim file or the name of a bundled one, which is trained for some steps, or a recording (.npz).

    Findings are results: exit code 0. Bad input: 2.
    """
    sys.exit(diagnose_experiment(experiment, steps, settings, as_json=as_json))


@cli.command()
@click.argument("experiment")
@click.option("--steps", type=click.IntRange(min=1), default=300, show_default=True, help="Steps of each trial.")
@click.option("--set", "settings", metavar="PATH=VALUE", multiple=True, help=SETTINGS_HELP)
@click.option("--no-pairs", is_flag=True, help="Try single cures only.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the best to BEST.gradsim.")
@click.option("--no-progress", is_flag=True, help="No progress bar, on a terminal too.")
def cure(
    experiment: str, steps: int, settings: tuple[str, ...], no_pairs: bool, output: Path | None, no_progress: bool
) -> None:
    """Train every cure of EXPERIMENT, and sensible pairs, for some steps, and rank them.

    All start from the same seed and see the same batches. The rank goes by the loss reached on the validation rows,
    and by the share of layers that are neither still nor thrown about ("health").

    EXPERIMENT is a .gradsim file or the name of a bundled one. Ctrl-C ends the trials, those done are ranked and the
    best of them is written: exit code 130. Bad input: 2.
    """
    sys.exit(cure_experiment(experiment, steps, settings, output, pairs=not no_pairs, progress=not no_progress))


@cli.command()
@click.argument("experiments", nargs=-1, required=True)
@click.option("--steps", type=click.IntRange(min=1), default=DEFAULT_STEPS, show_default=True, help="How many steps.")
def compare(experiments: tuple[str, ...], steps: int) -> None:
    """Show what differs between two to four experiments, and how they train in step with each other.

    EXPERIMENTS are .gradsim files or names of bundled ones; the first is what the others are compared with. Two
    recordings (.npz) are compared number by number.

    Differences are results: exit code 0. Bad input: 2.
    """
    sys.exit(compare_experiments(experiments, steps))


# diagnose


def diagnose_experiment(source: str, steps: int, settings: Sequence[str], *, as_json: bool) -> int:
    """Diagnoses a recording, or an experiment after some steps; gives the exit code."""
    from gradsim.cli import output
    from gradsim.diagnose.findings import diagnose

    experiment: Experiment | None = None
    if Path(source).suffix == ".npz":
        from gradsim.nn.spec import Fault

        if settings:
            return output.refuse(source, [Fault("--set", tr("a recording can't be changed"), settings[0])])
        recording = _recording(source)
        if recording is None:
            return codes.BAD_INPUT
    else:
        from gradsim import api
        from gradsim.cli.opening import opened

        found, faults = opened(source, settings)
        if found is None or faults:
            return output.refuse(source, faults)
        experiment = found
        recording = api.train(found, steps).recording
        if not len(recording):
            return codes.INTERRUPTED
    findings = diagnose(recording)
    if as_json:
        click.echo(json.dumps(_content(recording, findings), ensure_ascii=False, indent=2))
        return 0
    console = output.console()
    title = tr(experiment.name) if experiment is not None and experiment.name else source
    _print_findings(console, title, recording, findings, experiment)
    return 0


def _recording(path: str) -> Recording | None:
    """A recording from a file; says on stderr why it can't be read, and gives None."""
    from gradsim.cli import output
    from gradsim.nn.spec import Fault
    from gradsim.telemetry import Recording

    try:
        return Recording.load(path)
    except OSError as error:
        output.refuse(path, [Fault(tr("the file"), tr("can't be read: {reason}", reason=reason_of(error)), path)])
    except ValueError as error:
        output.refuse(path, [Fault(tr("the file"), str(error), path)])
    return None


def _content(recording: Recording, findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "start": recording.start,
        "stop": recording.stop,
        "layers": [layer.name for layer in recording.layers],
        "findings": [finding.to_json() for finding in findings],
    }


def _print_findings(
    console: Console, title: str, recording: Recording, findings: Sequence[Finding], experiment: Experiment | None
) -> None:
    from rich.padding import Padding

    console.print(title, style="bold")
    console.print(
        tr(
            "Steps {first} to {last}, {n} layers",
            first=recording.start,
            last=recording.stop - 1,
            n=len(recording.layers),
        )
    )
    console.print()
    if not findings:
        console.print(tr("Nothing is wrong, as far as this recording shows."))
    for finding in findings:
        console.print(f"{SIGNS[finding.severity]} {finding.title}", style="bold")
        where = tr(
            "layers {rows}, steps {first} to {last}",
            rows=_ranges(finding.rows),
            first=finding.start,
            last=finding.stop - 1,
        )
        for line in (where, finding.student, finding.expert):
            console.print(Padding(line, (0, 0, 0, 2)))
        console.print()
    if experiment is None or not findings:
        return
    from gradsim.diagnose import remedies

    kinds = {finding.kind for finding in findings if finding.severity != "note"}
    fitting = [one for one in remedies.offers(experiment, findings) if one.applicable and one.remedy.treats & kinds]
    if fitting:
        console.print(tr("What may help (gradsim cure tries it):"), style="bold")
        for one in fitting:
            words = tr("{remedy}: {why}", remedy=tr(one.remedy.title), why=tr(one.remedy.why))
            console.print(Padding(words, (0, 0, 0, 2)))


def _ranges(rows: Sequence[int]) -> str:
    """Row numbers in short: "1 to 8, 10"."""
    found: list[list[int]] = []
    for row in rows:
        if found and found[-1][-1] == row - 1:
            found[-1][1:] = [row]
        else:
            found.append([row])
    words = [str(one[0]) if len(one) == 1 else tr("{first} to {last}", first=one[0], last=one[-1]) for one in found]
    return tr(", ").join(words) or tr("none")


# cure


def cure_experiment(
    source: str, steps: int, settings: Sequence[str], path: Path | None, *, pairs: bool, progress: bool
) -> int:
    """Tries the cures, prints the table and writes the best; gives the exit code."""
    from gradsim.cli import output
    from gradsim.cli.opening import opened
    from gradsim.diagnose import cures
    from gradsim.model import file
    from gradsim.nn.spec import Fault

    experiment, faults = opened(source, settings)
    if path is not None and path.suffix != file.SUFFIX:
        faults.append(Fault("--output", tr("must end in {endings}", endings=file.SUFFIX), str(path)))
    if experiment is None or faults:
        return output.refuse(source, faults)
    chosen = cures.candidates(experiment, pairs=pairs)
    results: list[Result] = []
    interrupted = False
    with _bar(progress) as show:
        try:
            with contextlib.closing(cures.trials(experiment, steps, chosen)) as running:
                for one in running:
                    show(one)
                    if one.result is not None:
                        results.append(one.result)
        except KeyboardInterrupt:
            interrupted = True
    if not results:
        sys.stderr.write(tr("gradsim: interrupted before the first trial ended") + "\n")
        return codes.INTERRUPTED
    ranked = cures.ranked(results)
    _print_ranks(tr(experiment.name) or source, ranked, len(chosen), steps)
    best = ranked[0]
    if path is not None:
        try:
            file.save(path, best.candidate.experiment)
        except OSError as error:
            return output.refuse(
                source, [Fault("--output", tr("can't be written: {reason}", reason=reason_of(error)), str(path))]
            )
        message = tr("gradsim: {file} written: {cure}", file=path, cure=best.candidate.title)
        sys.stderr.write(message + "\n")
    return codes.INTERRUPTED if interrupted else 0


@contextlib.contextmanager
def _bar(progress: bool) -> Iterator[Callable[[Any], None]]:
    """A progress bar over all trials, as what is called with each progress."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from gradsim.cli import output

    screen = output.console(stderr=True)
    if not (progress and screen.is_terminal):
        yield lambda one: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(one: Any) -> None:
            words = tr("{cure}: step {step}", cure=one.candidate.title, step=one.step)
            bar.update(task, total=one.total, completed=one.done, description=words)

        yield show


def _print_ranks(title: str, ranked: Sequence[Result], wanted: int, steps: int) -> None:
    from gradsim.cli import output

    console = output.console()
    console.print(title, style="bold")
    console.print(
        tr(
            "{done} of {all} trials of {steps} steps, from the same seed on the same batches:",
            done=len(ranked),
            all=wanted,
            steps=steps,
        )
    )
    made = output.table(
        ("#", "right"),
        (mark("cure"), "left"),
        (mark("loss"), "right"),
        (mark("accuracy"), "right"),
        (mark("health"), "right"),
        ("", "left"),
    )
    for number, result in enumerate(ranked, 1):
        if result.broke:
            rest = tr("broke at step {step}", step=result.steps - 1)
        else:
            rest = tr(", ").join(one.title for one in result.findings)
        made.add_row(
            str(number),
            result.candidate.title,
            "" if math.isnan(result.loss) else f"{result.loss:.4g}",
            "" if math.isnan(result.accuracy) else f"{result.accuracy:.3f}",
            f"{result.health:.0%}",
            rest,
        )
    console.print(made)
    as_it_is = next((result for result in ranked if not result.candidate.keys), None)
    if as_it_is is not None and ranked[0] is as_it_is:
        console.print()
        console.print(tr("Nothing that was tried does better than the experiment as it is."))


# compare


def compare_experiments(sources: Sequence[str], steps: int) -> int:
    """Compares experiments, or two recordings; gives the exit code."""
    from gradsim.cli import output
    from gradsim.nn.spec import Fault

    recordings = [Path(source).suffix == ".npz" for source in sources]
    if not 2 <= len(sources) <= 4:
        message = tr("must be 2 to 4 experiments, or 2 recordings")
        return output.refuse(tr("the command"), [Fault("EXPERIMENTS", message, len(sources))])
    if any(recordings):
        if not all(recordings) or len(sources) != 2:
            message = tr("recordings are compared in pairs, and not with experiments")
            return output.refuse(tr("the command"), [Fault("EXPERIMENTS", message, ", ".join(sources))])
        return _compare_recordings(*sources)
    from gradsim.cli.opening import opened
    from gradsim.diagnose.twins import Twins

    experiments: list[Experiment] = []
    for source in sources:
        experiment, faults = opened(source, ())
        if experiment is None or faults:
            return output.refuse(source, faults)
        experiments.append(experiment)
    twins = Twins(experiments)
    names = [tr(experiment.name) or source for experiment, source in zip(experiments, sources, strict=True)]
    console = output.console()
    for number, found in enumerate(twins.differences, 1):
        console.print(tr("{first} against {second}:", first="A", second="ABCD"[number]), style="bold")
        _print_differences(console, twins, number)
        console.print()
        if not found.same_batches:
            console.print(tr("They don't see the same rows in each step, so chance is part of the difference."))
            console.print()
    interrupted = False
    try:
        while twins.step < steps:
            twins.advance(min(20, steps - twins.step))
    except KeyboardInterrupt:
        interrupted = True
    _print_twins(console, twins, names)
    return codes.INTERRUPTED if interrupted else 0


def _print_differences(console: Console, twins: Any, number: int) -> None:
    from gradsim.cli import output
    from gradsim.diagnose.twins import in_words

    found = twins.differences[number - 1]
    if not found:
        console.print("  " + tr("no difference"))
        return
    made = output.table((mark("where"), "left"), (mark("what"), "left"), ("A", "left"), ("ABCD"[number], "left"))
    for line in in_words(found, twins.trainers[0].stack, twins.trainers[number].stack):
        made.add_row(line.where, tr(line.what), line.first, line.second)
    console.print(made)


def _print_twins(console: Console, twins: Any, names: Sequence[str]) -> None:
    from gradsim.cli import output
    from gradsim.diagnose.findings import diagnose

    console.print(tr("After {n} steps:", n=twins.step), style="bold")
    made = output.table(
        ("", "left"),
        (mark("experiment"), "left"),
        (mark("loss"), "right"),
        (mark("val. loss"), "right"),
        (mark("val. accuracy"), "right"),
        (mark("delta RMS, first"), "right"),
        (mark("last"), "right"),
    )
    made.columns[1].max_width = 40
    found: list[tuple[str, str]] = []
    for letter, name, trainer, recorder in zip("ABCD", names, twins.trainers, twins.recorders, strict=False):
        recording = recorder.recording()
        reached = trainer.evaluate()
        deltas = [recording["delta_rms"][-1, i] for i, layer in enumerate(recording.layers) if layer.weight_size]
        made.add_row(
            letter,
            name,
            f"{recording['loss'][-1]:.4g}",
            "" if math.isnan(reached.loss) else f"{reached.loss:.4g}",
            "" if math.isnan(reached.accuracy) else f"{reached.accuracy:.3f}",
            *(output.number(value) for value in (deltas[0], deltas[-1])),
        )
        found.append((letter, tr(", ").join(one.title for one in diagnose(recording)) or tr("nothing")))
    console.print(made)
    console.print()
    for letter, words in found:
        console.print(tr("Findings in {letter}: {findings}", letter=letter, findings=words))


def _compare_recordings(first: str, second: str) -> int:
    from gradsim.cli import output

    a, b = _recording(first), _recording(second)
    if a is None or b is None:
        return codes.BAD_INPUT
    console = output.console()
    found = a.compare(b)
    if not found:
        console.print(tr("They agree in every bit."))
        return 0
    for words in found.layers:
        console.print(tr("Layers: {differences}", differences=words))
    if found.only_here or found.only_there:
        console.print(
            tr("Rows that only one has: A {first}, B {second}", first=found.only_here, second=found.only_there)
        )
    if found.first_differing_step is not None:
        console.print(tr("First difference: step {step}", step=found.first_differing_step))
        made = output.table((mark("quantity"), "left"), (mark("largest relative difference"), "right"))
        for key, value in sorted(found.relative.items(), key=lambda item: -item[1]):
            made.add_row(key, f"{value:.2e}")
        console.print(made)
    return 0

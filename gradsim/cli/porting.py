"""``gradsim import`` and ``gradsim export``."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradsim.cli.main import cli
from gradsim.i18n import reason_of, tr

if TYPE_CHECKING:
    from gradsim.model import Experiment

FORMS = {"keras": ".py", "pytorch": ".py", "json": ".json", "svg": ".svg"}


@cli.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the experiment to X.gradsim.")
def import_(file: Path, output: Path | None) -> None:
    """Make an experiment of Keras or PyTorch code, of a notebook, a Keras config (.json) or a .keras file.

    The code is read, never run. Whatever has no counterpart is listed with its line, and what was done instead. The
    weights of a .keras file are written beside the experiment, as X.weights.npz, and it starts from them.
    """
    sys.exit(import_file(file, output))


@cli.command()
@click.argument("experiment")
@click.option("--to", "form", type=click.Choice(tuple(FORMS)), required=True, help="What to write.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to a file instead of the terminal.")
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True, help="Epochs of a script.")
@click.option(
    "--weights", is_flag=True,
    help="The script starts from the weights that gradsim draws; they go into an .npz beside it.",
)  # fmt: skip
@click.option("--data", "with_data", is_flag=True, help="The data go into that .npz too; gradsim is not needed then.")
def export(experiment: str, form: str, output: Path | None, epochs: int, weights: bool, with_data: bool) -> None:
    """Write EXPERIMENT as a script for Keras or PyTorch, as a Keras config (json) or as a drawing (svg).

    EXPERIMENT is a .gradsim file or the name of a bundled one (gradsim list experiments).
    """
    sys.exit(export_experiment(experiment, form, output, epochs, weights=weights, with_data=with_data))


def import_file(path: Path, output: Path | None) -> int:
    """Imports a file, says what differs and writes it; gives the exit code."""
    from gradsim.cli import output as screen
    from gradsim.exchange import importing
    from gradsim.exchange import weights as arrays
    from gradsim.model import file
    from gradsim.model.faults import FaultsError
    from gradsim.nn.spec import Fault

    if output is not None and output.suffix != file.SUFFIX:
        return screen.refuse(
            str(path), [Fault("--output", tr("must end in {endings}", endings=file.SUFFIX), str(output))]
        )
    beside = None
    try:
        imported = importing.read_file(path)
        experiment = imported.experiment
        if output is None:
            click.echo(file.dumps(experiment), nl=False)
        else:
            if imported.weights is not None:
                beside = output.with_suffix(".weights.npz")
                arrays.save(beside, experiment.stack(), imported.weights)
                experiment = dataclasses.replace(experiment, pretrained=str(beside.absolute()))
            file.save(output, experiment)
            click.echo(tr("gradsim: {file} written", file=output), err=True)
    except FaultsError as error:
        return screen.refuse(str(path), error.faults)
    except OSError as error:
        message = tr("can't be written: {reason}", reason=reason_of(error))
        return screen.refuse(str(path), [Fault("--output", message, str(beside))])
    for note in imported.notes:
        click.echo(tr("gradsim: {place}: {message}", place=path.name, message=note), err=True)
    if beside is not None:
        click.echo(tr("gradsim: {file} written", file=beside), err=True)
    return 0


def export_experiment(
    source: str, form: str, output: Path | None, epochs: int, *, weights: bool, with_data: bool
) -> int:
    """Exports an experiment; gives the exit code."""
    from gradsim import api
    from gradsim.cli import output as screen
    from gradsim.model.faults import FaultsError
    from gradsim.nn.spec import MISSING, Fault

    if output is None and (weights or with_data):
        option = "--weights" if weights else "--data"
        message = tr("must be given with {option}, which writes a file beside it", option=option)
        return screen.refuse(source, [Fault("--output", message, MISSING)])
    try:
        experiment = api.find(source).experiment
        return _write(experiment, form, output, epochs, weights=weights, with_data=with_data)
    except FaultsError as error:
        return screen.refuse(source, error.faults)
    except OSError as error:
        return screen.refuse(
            source, [Fault("--output", tr("can't be written: {reason}", reason=reason_of(error)), str(output))]
        )


def _write(
    experiment: Experiment, form: str, output: Path | None, epochs: int, *, weights: bool, with_data: bool
) -> int:
    from gradsim import replacing
    from gradsim.exchange import drawing, keras_config, keras_script, torch_script
    from gradsim.exchange.start import initial_weights

    if form in ("json", "svg"):
        text = keras_config.dumps(experiment) if form == "json" else drawing.export(experiment)
        if output is None:
            click.echo(text, nl=False)
        else:
            replacing.write(output, text.encode())
            click.echo(tr("gradsim: {file} written", file=output), err=True)
        return 0
    writer = keras_script if form == "keras" else torch_script
    exported = writer.export(
        experiment,
        epochs=epochs,
        data="file" if with_data else "gradsim",
        weights=initial_weights(experiment) if weights else None,
        arrays_name=f"{output.stem if output else 'arrays'}.npz",
    )
    for note in exported.notes:
        click.echo(tr("gradsim: {message}", message=note), err=True)
    if output is None:
        click.echo(exported.text, nl=False)
        return 0
    for path in exported.write(output):
        click.echo(tr("gradsim: {file} written", file=path), err=True)
    return 0

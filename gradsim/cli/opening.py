"""From what was typed to an experiment, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from gradsim import api
from gradsim.exchange.start import start_of
from gradsim.model import file, overrides, problems
from gradsim.model.faults import FaultsError
from gradsim.nn.spec import Fault


def opened(source: str, settings: Sequence[str]) -> tuple[api.Experiment | None, list[Fault]]:
    """The experiment with the settings applied, or None; and every fault, also those of a start."""
    try:
        experiment = api.Experiment.of(api.find(source).experiment)
        if not settings:
            return experiment, _start_faults(experiment)
        content = file.content_of(experiment)
    except FaultsError as error:
        return None, list(error.faults)
    faults = overrides.apply(content, settings)
    try:
        experiment = api.Experiment.of(file.experiment_from(content))
    except FaultsError as error:
        return None, [*faults, *error.faults]
    return experiment, [*faults, *_start_faults(experiment)]


def _start_faults(experiment: api.Experiment) -> list[Fault]:
    faults = list(problems.impossible(experiment))
    if not faults:
        try:
            start_of(experiment)
        except FaultsError as error:
            faults += error.faults
    return faults

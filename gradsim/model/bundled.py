"""The experiments that come with the program, from ``resources/experiments``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from gradsim import resources
from gradsim.i18n import tr
from gradsim.model import file
from gradsim.model.experiment import Experiment
from gradsim.model.faults import FaultsError, near
from gradsim.nn.spec import Fault

FOLDER = "experiments"


@dataclasses.dataclass(frozen=True)
class Bundled:
    """One of them.

    Attributes:
        name: What the command line calls it; the word before the first hyphen is its topic.
        path: Its file.
        experiment: The experiment; its ``name`` and ``description`` say what it shows.
    """

    name: str
    path: Path
    experiment: Experiment

    @property
    def topic(self) -> str:
        """What it belongs to: "vanishing", "init", ..."""
        return self.name.split("-")[0]

    @property
    def title(self) -> str:
        """One line for a list."""
        return self.experiment.name

    @property
    def description(self) -> str:
        """What it shows, and what to try."""
        return self.experiment.description


def names() -> list[str]:
    """All names in alphabetical order, so that those of one topic stand together."""
    return sorted(path.stem for path in _folder().glob(f"*{file.SUFFIX}"))


def bundled(name: str) -> Bundled:
    """One by its name.

    Raises:
        FaultsError: if there is none of that name, with the nearest one.
    """
    known = names()
    if name not in known:
        message = tr("is neither a file nor a bundled experiment{hint}; see: gradsim list", hint=near(name, known))
        raise FaultsError([Fault("EXPERIMENT", message, name)])
    path = _folder() / f"{name}{file.SUFFIX}"
    return Bundled(name, path, file.load(path).experiment)


def load(name: str) -> Experiment:
    """The experiment of that name; raises as :func:`bundled`."""
    return bundled(name).experiment


def everything() -> list[Bundled]:
    """All of them, in the order of :func:`names`."""
    return [bundled(name) for name in names()]


def _folder() -> Path:
    return Path(resources.resource(FOLDER))

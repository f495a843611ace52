"""``gradsim list``."""

from __future__ import annotations

from rich.padding import Padding

from gradsim.cli import output
from gradsim.i18n import mark, tr
from gradsim.model import bundled
from gradsim.model.faults import field_names, near
from gradsim.nn.spec import REGISTRIES, Fault

EXPERIMENTS = "experiments"

LISTS = {
    "datasets": "dataset",
    "layers": "layer",
    "activations": "activation",
    "initializers": "initializer",
    "regularizers": "regularizer",
    "losses": "loss",
    "optimizers": "optimizer",
    "schedules": "schedule",
}


HEADINGS = {
    "experiments": mark("Experiments"),
    "datasets": mark("Datasets"),
    "layers": mark("Layers"),
    "activations": mark("Activations"),
    "initializers": mark("Initializers"),
    "regularizers": mark("Regularizers"),
    "losses": mark("Losses"),
    "optimizers": mark("Optimizers"),
    "schedules": mark("Schedules"),
}


def show_lists(kind: str | None) -> int:
    """Prints one list or all; gives the exit code."""
    known = [EXPERIMENTS, *LISTS]
    if kind is not None and kind not in known:
        fault = Fault("KIND", tr("must be one of {names}", names=", ".join(known)) + near(kind, known), kind)
        return output.refuse(tr("the command"), [fault])
    console = output.console()
    for name in [kind] if kind else known:
        console.print(tr(HEADINGS[name]), style="bold")
        made = output.table(("name", "left"), ("title" if name == EXPERIMENTS else "what it is", "left"))
        made.show_header = False
        if name == EXPERIMENTS:
            for one in bundled.everything():
                made.add_row(one.name, tr(one.title) if kind is None else f"{tr(one.title)}\n{tr(one.description)}\n")
        else:
            for identifier, cls in REGISTRIES[LISTS[name]].items():
                names = ", ".join(field_names(cls)) if kind else ""
                fields = "\n" + tr("fields: {names}", names=names) if names else ""
                made.add_row(identifier, tr(cls.summary()) + fields)
        console.print(Padding(made, (0, 0, 0, 2)))
        console.print()
    return 0

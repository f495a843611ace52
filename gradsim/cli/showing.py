"""``gradsim show``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from gradsim import api
from gradsim.cli import output
from gradsim.cli.opening import opened
from gradsim.i18n import mark, tr
from gradsim.model.problems import problems
from gradsim.model.stack import Placed
from gradsim.nn.layers import Shape
from gradsim.nn.spec import fields_of, to_json

SIGNS = {"impossible": ("✗", mark("impossible")), "unwise": ("!", mark("unwise")), "note": ("i", mark("note"))}

ALL = {"batch_size": mark("the whole training set"), "pretrained_layers": mark("all")}
"""What an empty field stands for."""


def show_experiment(source: str, settings: Sequence[str]) -> int:
    """Prints an experiment; gives the exit code."""
    experiment, faults = opened(source, settings)
    if experiment is None or faults:
        return output.refuse(source, faults)
    console = output.console()
    console.print(tr(experiment.name) or source, style="bold")
    if experiment.description:
        console.print(tr(experiment.description))
    console.print()
    _layers(console, experiment)
    _fields(console, experiment)
    found = problems(experiment)
    if found:
        console.print()
    for problem in found:
        sign, severity = SIGNS[problem.severity]
        line = tr("{severity}: {place}: {message}", severity=tr(severity), place=problem.path, message=problem.message)
        console.print(f"{sign} {line}")
    return 0


def kind_of(placed: Placed) -> str:
    """What a layer is, for people: "Dense 100 sigmoid"."""
    words = [placed.layer.identifier]
    for field in ("units", "rate"):
        if hasattr(placed.layer, field):
            words.append(f"{getattr(placed.layer, field):g}")
    applied = placed.layer.applied()
    if applied is not None and applied.identifier != "linear" and hasattr(placed.layer, "activation"):
        words.append(applied.identifier)
    return " ".join(words)


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _layers(console: Console, experiment: api.Experiment) -> None:
    stack = experiment.stack()
    made = output.table(
        ("#", "right"),
        (mark("layer"), "left"),
        (mark("kind"), "left"),
        (mark("output"), "right"),
        (mark("parameters"), "right"),
        ("", "left"),
    )
    skips = {start for start, _ in stack.residuals}
    for placed in stack.layers:
        remarks = [] if placed.trainable or not placed.weights else [tr("frozen")]
        if placed.index in skips:
            remarks.append(tr("residual block starts"))
        made.add_row(
            str(placed.index),
            placed.name,
            kind_of(placed),
            _size(placed.output_shape),
            f"{placed.parameters:,}",
            tr(", ").join(remarks),
        )
    console.print(made)
    trained = sum(weight.size for placed, weight in stack.weights() if placed.trainable and not weight.is_state)
    console.print()
    console.print(
        tr(
            "{layers} layers, {parameters:,} parameters ({trained:,} trained), input {shape}",
            layers=len(stack.layers),
            parameters=stack.parameters,
            trained=trained,
            shape=_size(stack.input_shape),
        )
    )


def _fields(console: Console, experiment: api.Experiment) -> None:
    for view in fields_of(type(experiment)):
        if view.name not in ("layers", "name", "description"):
            value = getattr(experiment, view.name)
            if value == "" or (view.name == "pretrained_layers" and not experiment.pretrained):
                continue
            said = tr(ALL[view.name]) if value is None else _words(to_json(value))
            console.print(tr("{field}: {value}", field=tr(view.title), value=said))


def _words(value: Any) -> str:
    """A field's value in one line."""
    if isinstance(value, dict):
        rest = ", ".join(f"{key}={_words(entry)}" for key, entry in value.items() if key != "type")
        return f"{value['type']}({rest})" if rest else str(value["type"])
    return value if isinstance(value, str) else json.dumps(value)

"""For any experiment and any sequence of edits: files and history lose nothing."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradsim.model import Experiment, edits, file, problems, schema
from gradsim.model.change import compare
from gradsim.model.document import Document
from gradsim.nn import activations, initializers, layers, losses, optimizers, regularizers, schedules
from gradsim.nn.spec import REGISTRIES, FieldView, Registry, fields_of

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=20)


def number(view: FieldView) -> st.SearchStrategy[float]:
    return st.floats(
        -1e6 if view.minimum is None else view.minimum,
        1e6 if view.maximum is None else view.maximum,
        exclude_min=view.exclusive_minimum,
        exclude_max=view.exclusive_maximum,
        allow_nan=False,
        width=64,
    )


def value(view: FieldView, depth: int) -> st.SearchStrategy[Any]:
    match view.type:
        case "int":
            drawn: st.SearchStrategy[Any] = st.integers(
                int(view.minimum or 0), int(min(view.maximum or 100, 2**31 - 1))
            )
        case "float":
            drawn = number(view)
            if view.kind:
                drawn |= spec(REGISTRIES[view.kind], depth)
        case "bool":
            drawn = st.booleans()
        case "text":
            drawn = st.from_regex(view.pattern, fullmatch=True) if view.pattern else WORDS.filter(bool)
        case "choice":
            drawn = st.sampled_from(view.choices)
        case "spec":
            drawn = spec(REGISTRIES[view.kind], depth)
        case "specs":
            drawn = st.lists(spec(REGISTRIES[view.kind], depth - 1), max_size=3) if depth else st.just([])
        case _:
            raise AssertionError(view)
    return st.none() | drawn if view.optional else drawn


def spec(registry: Registry, depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    def fields(name: str) -> st.SearchStrategy[dict[str, Any]]:
        views = [view for view in fields_of(registry[name]) if not view.hidden]
        required = {view.name: value(view, depth) for view in views if view.required}
        optional = {view.name: value(view, depth) for view in views if not view.required}
        clipping = st.sampled_from(("clipvalue", "clipnorm", "global_clipnorm"))

        def made(drawn: dict[str, Any], clip: str) -> dict[str, Any]:
            for other in ("clipvalue", "clipnorm", "global_clipnorm"):
                if other != clip:
                    drawn.pop(other, None)
            return {"type": name, **drawn}

        return st.builds(made, st.fixed_dictionaries(required, optional=optional), clipping)

    return st.sampled_from(list(registry)).flatmap(fields)


LAYER = spec(layers.registry)
EXPERIMENT = st.builds(
    Experiment,
    layers=st.lists(LAYER, max_size=4),
    data=spec(REGISTRIES["dataset"]),
    loss=spec(losses.registry),
    optimizer=spec(optimizers.registry),
    batch_size=st.none() | st.integers(1, 1_000_000),
    seed=st.integers(0, 2**31 - 1),
    dtype=st.sampled_from(("float32", "float64")),
    shuffle=st.booleans(),
    name=WORDS,
    description=WORDS,
)
SLOW_TO_DRAW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
VALIDATOR = jsonschema.Draft202012Validator(schema.schema())


@settings(SLOW_TO_DRAW, max_examples=60)
@given(EXPERIMENT)
def test_that_any_experiment_comes_back_from_its_file(experiment: Experiment) -> None:
    text = file.dumps(experiment)
    again = file.loads(text).experiment
    assert not compare(experiment, again)
    assert file.dumps(again) == text
    VALIDATOR.validate(json.loads(text))


@settings(SLOW_TO_DRAW, max_examples=30)
@given(EXPERIMENT)
def test_that_any_experiment_is_judged_without_a_fault_of_the_judge(experiment: Experiment) -> None:
    for problem in problems.problems(experiment):
        assert problem.message
        if problem.fix:
            assert problem.fix.make(experiment).before is experiment


VALUES = st.none() | st.booleans() | st.integers() | st.floats()
KEYS = st.sampled_from(["type", "layers", "units", "activation", "learning_rate", "self"])
JSON = st.recursive(
    VALUES | st.sampled_from(["Dense", "Flatten", "relu", "x", "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@SLOW_TO_DRAW
@given(JSON, st.sampled_from(["layers", "data", "loss", "optimizer", "batch_size", "name", "view"]))
def test_that_any_json_is_opened_or_refused_with_faults(content: Any, key: str) -> None:
    try:
        file.loads(json.dumps({"gradsim": 1, key: content}))
    except file.FileError as error:
        faults = error.faults
    else:
        return
    assert faults
    assert all(fault.message for fault in faults)


@given(st.binary(max_size=200))
def test_that_any_bytes_are_refused_with_a_fault(data: bytes) -> None:
    with pytest.raises(file.FileError):
        file.loads(data)


def some_edit(draw: st.DataObject, experiment: Experiment) -> edits.Edit:
    """One edit of any kind that the experiment allows."""
    places = list(edits.places(experiment))
    verbs = ["insert", "field", "seed", "rate", "paste"]
    if places:
        verbs += ["remove", "move", "shift", "duplicate", "group", "enable", "kind", "cut", "name"]
    if any(isinstance(found.layer, layers.Repeat | layers.Residual) for found in places):
        verbs += ["ungroup"]
    groups = ["", *(found.layer.uid for found in places if isinstance(found.layer, layers.Repeat | layers.Residual))]
    verb = draw.draw(st.sampled_from(verbs))
    uids = (
        draw.draw(st.lists(st.sampled_from([found.layer.uid for found in places]), min_size=1, unique=True))
        if places
        else []
    )
    parent = draw.draw(st.sampled_from(groups))
    index = draw.draw(st.integers(0, len(edits.children(experiment, parent))))
    match verb:
        case "insert":
            return edits.insert(experiment, layers.registry.validate(draw.draw(LAYER)), parent, index)
        case "paste":
            return edits.paste(experiment, json.dumps([draw.draw(LAYER)]), parent, index)
        case "field":
            return edits.set_field(experiment, "", "optimizer", draw.draw(spec(optimizers.registry)))
        case "seed":
            return edits.set_field(experiment, "", "seed", draw.draw(st.integers(0, 5)))
        case "rate":
            return edits.set_field(experiment, "", "optimizer.learning_rate", draw.draw(st.floats(0, 1)))
        case "remove":
            return edits.remove(experiment, uids)
        case "cut":
            return edits.cut(experiment, uids)[0]
        case "move":
            return edits.move(experiment, uids, parent, index)
        case "shift":
            return edits.shift(experiment, uids, draw.draw(st.sampled_from((-1, 1))))
        case "duplicate":
            return edits.duplicate(experiment, uids)
        case "group":
            return edits.group(experiment, uids, draw.draw(st.sampled_from(("Repeat", "Residual"))))
        case "ungroup":
            return edits.ungroup(experiment, [draw.draw(st.sampled_from(groups[1:]))])
        case "enable":
            return edits.enable(experiment, uids, draw.draw(st.booleans()))
        case "kind":
            return edits.replace_kind(experiment, uids, draw.draw(st.sampled_from(list(layers.registry))))
        case "name":
            return edits.set_field(experiment, uids, "name", draw.draw(WORDS))
    raise AssertionError(verb)


@settings(SLOW_TO_DRAW, max_examples=40)
@given(EXPERIMENT, st.data())
def test_that_undo_of_everything_gives_the_original_and_redo_the_last(start: Experiment, draw: st.DataObject) -> None:
    document = Document(start)
    seen = [start]
    for _ in range(draw.draw(st.integers(1, 8))):
        key = draw.draw(st.none() | st.just("drag"))
        try:
            edit = some_edit(draw, document.experiment)
        except edits.EditError:
            continue
        change = document.apply(edit, merge_key=key)
        assert bool(change) == (document.experiment is not seen[-1])
        assert change.effect == compare(seen[-1], document.experiment).effect
        identities = [found.layer.uid for found in edits.places(document.experiment)]
        assert len(set(identities)) == len(identities)
        assert all(identities)
        seen.append(document.experiment)
    end = document.experiment
    while document.undo_names:
        document.undo()
        assert any(document.experiment is one for one in seen)
    assert document.experiment is start
    while document.redo_names:
        document.redo()
    assert document.experiment is end


def test_that_every_kind_of_thing_is_drawn() -> None:
    drawn = {layers, activations, initializers, regularizers, losses, optimizers, schedules}
    assert {module.registry.kind for module in drawn} | {"dataset"} == set(schema.KINDS)

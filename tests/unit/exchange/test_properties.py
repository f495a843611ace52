"""For any experiment and any recording: what goes out comes in again."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradsim.exchange import importing, keras_code, keras_config, keras_file, keras_script, torch_script, weights
from gradsim.exchange.exporting import active
from gradsim.exchange.results import ImportFault
from gradsim.model import Experiment, file
from gradsim.model.file import content_of
from gradsim.nn import initializers, schedules
from gradsim.nn.layers import Layer
from gradsim.nn.spec import REGISTRIES, FieldView, fields_of
from gradsim.telemetry import LAYER_COLUMNS, STEP_COLUMNS, Recorder, Recording
from gradsim.telemetry.recording import Layer as LayerRow
from tests.unit.exchange import test_keras_file, test_weights

SLOW_TO_DRAW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
PLAIN = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20)
MOONS = {"type": "moons", "samples": 20, "noise": 0.1}
DATA: tuple[Any, ...] = ("iris", MOONS, {"type": "regression_1d", "samples": 20})
CLIPPING = ("clipvalue", "clipnorm", "global_clipnorm")
OUTPUTS = {"iris": 3, "moons": 1, "regression_1d": 1}
GROUPS = ("Repeat", "Residual")


def number(view: FieldView) -> st.SearchStrategy[float]:
    low = -1e3 if view.minimum is None else view.minimum
    high = 1e3 if view.maximum is None else min(view.maximum, 1e3)
    return st.floats(
        low, high, exclude_min=view.exclusive_minimum, exclude_max=view.exclusive_maximum, allow_subnormal=False
    )


def value(view: FieldView) -> st.SearchStrategy[Any]:
    match view.type:
        case "int":
            drawn: st.SearchStrategy[Any] = st.integers(int(view.minimum or 0), int(min(view.maximum or 50, 50)))
        case "float":
            drawn = number(view)
            if view.kind:
                drawn |= spec(view.kind)
        case "bool":
            drawn = st.booleans()
        case "spec":
            drawn = spec(view.kind)
        case _:
            raise AssertionError(view)
    return st.none() | drawn if view.optional else drawn


def spec(kind: str, *names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any spec of a kind, with any of its fields; layers without names, and no groups."""

    def fields(name: str) -> st.SearchStrategy[dict[str, Any]]:
        left_out = ("name",) if kind == "layer" else ()
        views = [v for v in fields_of(REGISTRIES[kind][name]) if not v.hidden and v.name not in left_out]
        required = {view.name: value(view) for view in views if view.required}
        optional = {view.name: value(view) for view in views if not view.required}
        clipping = st.sampled_from(CLIPPING)

        def made(drawn: dict[str, Any], clip: str) -> dict[str, Any]:
            kept = {
                k: v for k, v in drawn.items() if k == clip or k not in ("clipvalue", "clipnorm", "global_clipnorm")
            }
            return {"type": name, **kept}

        return st.builds(made, st.fixed_dictionaries(required, optional=optional), clipping)

    return st.sampled_from(names or [name for name in REGISTRIES[kind] if name not in GROUPS]).flatmap(fields)


def residual(block: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A block that keeps its width, whatever comes before it."""
    return [{"type": "Dense", "units": 4}, {"type": "Residual", "layers": [*block, {"type": "Dense", "units": 4}]}]


LAYERS = st.recursive(
    st.lists(spec("layer"), min_size=1, max_size=3),
    lambda inner: st.lists(
        st.one_of(
            st.builds(
                lambda count, block, kept: [{"type": "Repeat", "count": count, "layers": block, "trainable": kept}],
                st.integers(1, 4), inner, st.booleans(),
            ),
            inner.map(residual),
            inner,
        ),
        min_size=1,
        max_size=3,
    ).map(lambda parts: [layer for part in parts for layer in part]),
    max_leaves=5,
)  # fmt: skip


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    data = draw(st.sampled_from(DATA))
    outputs = OUTPUTS[data if isinstance(data, str) else data["type"]]
    last = draw(spec("layer", "Dense"))
    layers = [*draw(LAYERS), last | {"units": outputs, "enabled": True}]
    for number_, layer in enumerate(layers):
        if draw(st.booleans()) and layer["type"] != "Repeat":
            layer["name"] = f"own {number_}"
    return Experiment(
        layers=layers,
        data=data,
        loss=draw(spec("loss")),
        optimizer=draw(spec("optimizer")),
        batch_size=draw(st.none() | st.integers(1, 1000)),
        seed=draw(st.integers(0, 2**31 - 1)),
        dtype=draw(st.sampled_from(("float32", "float64"))),
        shuffle=draw(st.booleans()),
        name=draw(PLAIN).strip(),
        description=draw(PLAIN).strip(),
    )


def canonical_initializer(spec_: initializers.Initializer) -> initializers.Initializer:
    if isinstance(spec_, initializers.RandomUniform):
        low, high = sorted((spec_.minval, spec_.maxval))
        return initializers.RandomUniform(low, high)
    return spec_


def canonical_layers(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    found = []
    for layer in layers:
        changes: dict[str, Any] = {}
        for view in fields_of(type(layer)):
            if view.kind == "initializer":
                changes[view.name] = canonical_initializer(getattr(layer, view.name))
        if layer.children():
            changes["layers"] = canonical_layers(layer.children())
        found.append(dataclasses.replace(layer, **changes))
    return tuple(found)


def canonical(experiment: Experiment) -> Experiment:
    """What code can say of an experiment: no disabled layers, frozen groups as frozen layers, no lone description."""
    if not experiment.name:
        experiment = dataclasses.replace(experiment, description="")
    return dataclasses.replace(experiment, layers=canonical_layers(active(experiment.layers)))


def without_start(content: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """The start of a warm-up is a share here and a rate in Keras: it may differ by rounding."""
    rate = content["optimizer"].get("learning_rate")
    start = rate.pop("start", 0.0) if isinstance(rate, dict) and rate["type"] == "WarmUp" else 0.0
    return content, start


def is_said(experiment: Experiment) -> bool:
    """Whether Keras has the means to say it: a warm-up to a rate of zero has no share to start from."""
    rate = experiment.optimizer.learning_rate
    if isinstance(rate, schedules.WarmUp):
        return rate.learning_rate > 1e-3
    if isinstance(rate, schedules.CosineDecay):
        return not (rate.decay_steps == 1 and rate.alpha == 1)
    return True


@settings(SLOW_TO_DRAW, max_examples=40)
@given(experiments().filter(is_said))
def test_that_any_experiment_comes_back_from_its_keras_code(experiment: Experiment) -> None:
    text = keras_script.export(experiment, epochs=3).text
    read = keras_code.read(text)
    mine, start = without_start(content_of(canonical(experiment)))
    its, its_start = without_start(content_of(read.experiment))
    assert its == mine
    assert math.isclose(start, its_start, rel_tol=1e-9)
    assert read.epochs == 3
    assert importing.read_text(text).experiment.loss == read.experiment.loss


@settings(SLOW_TO_DRAW, max_examples=25)
@given(experiments().filter(is_said))
def test_that_any_experiment_comes_back_from_its_file_and_its_config(experiment: Experiment) -> None:
    assert content_of(file.loads(file.dumps(experiment)).experiment) == content_of(experiment)
    read = keras_config.read(keras_config.dumps(experiment), base=experiment).experiment
    mine, its = canonical(experiment).stack(), read.stack()
    assert [placed.layer.identifier for placed in its.layers] == [placed.layer.identifier for placed in mine.layers]
    assert its.residuals == mine.residuals
    assert [w.shape for _, w in its.weights()] == [w.shape for _, w in mine.weights()]
    assert [p.trainable for p in its.layers] == [p.trainable for p in mine.layers]
    assert read.loss == experiment.loss


@settings(SLOW_TO_DRAW, max_examples=25)
@given(experiments())
def test_that_any_experiment_becomes_pytorch_code_that_is_python(experiment: Experiment) -> None:
    exported = torch_script.export(experiment)
    compile(exported.text, "own.py", "exec")
    assert not [note for note in exported.notes if "not known" in note]


PIECES = [
    *("model", "=", "Sequential", "(", ")", "[", "]", "Dense", "5", ",", "for", "_", "in", "range", ":", "\n", "  "),
    *("lambda", "x", "*", "'relu'", "nn", ".", "Linear", "add", "compile", "if", "**", "{", "}", "def", "f"),
]


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join))
def test_that_any_text_is_read_or_refused_with_faults(text: str) -> None:
    try:
        importing.read_text(text)
    except ImportFault as error:
        faults = error.faults
    else:
        return
    assert faults
    assert all(fault.message for fault in faults)


FLOATS = st.floats(width=64)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_that_any_recording_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    width, rows = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5))
    every = data.draw(st.integers(1, 4))
    layers = [LayerRow(data.draw(PLAIN), "Dense", weight_size=4, units=2) for _ in range(width)]
    recorder = Recorder(layers, every=every, experiment={"name": data.draw(PLAIN)}, source="own")
    numbers = st.lists(FLOATS, min_size=4, max_size=4)
    for _ in range(rows):
        of_layers = np.resize(data.draw(numbers), (1, width, len(LAYER_COLUMNS)))
        recorder.append(of_layers, np.resize(data.draw(numbers), (1, len(STEP_COLUMNS))))
    recorder.append_validation(0, 1.5)
    arrays = [np.array(data.draw(numbers))]
    recording = recorder.recording(initial_weights=arrays, final_weights=arrays)
    path: Path = tmp_path_factory.mktemp("own") / "run.npz"
    recording.save(path)
    again = Recording.load(path)
    assert again == recording
    assert again.layers == recording.layers


@pytest.fixture(scope="module")
def good_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid file of each kind."""
    folder = tmp_path_factory.mktemp("good")
    test_keras_file.archive(folder / "own.keras")
    test_weights.safetensors(folder / "own.safetensors", test_weights.TORCH)
    np.savez(folder / "own.npz", *test_weights.ARRAYS)
    return folder


KINDS = st.sampled_from(["keras", "safetensors", "npz"])
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4)


@settings(deadline=None, max_examples=150)
@given(KINDS, CHANGES)
def test_that_any_damaged_file_is_read_or_refused_with_faults(
    good_files: Path, kind: str, changes: list[tuple[float, int]]
) -> None:
    data = bytearray((good_files / f"own.{kind}").read_bytes())
    for place, value_ in changes:
        data[int(place * (len(data) - 1))] = value_
    path = good_files / f"damaged.{kind}"
    path.write_bytes(data)
    try:
        if kind == "keras":
            keras_file.read(path, base=test_keras_file.VALUE)
        else:
            weights.read(path, test_weights.STACK)
    except ImportFault as error:
        faults = error.faults
    else:
        return
    assert faults

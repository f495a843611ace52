"""Keras configs: what ``model.to_json()`` writes and what a ``.keras`` file holds, read and written."""

from __future__ import annotations

import json
from typing import Any

from gradsim.exchange.assembling import Draft, Faults, assembled
from gradsim.exchange.exporting import active, checked
from gradsim.exchange.keras_code import Keras, Reader, read_compile
from gradsim.exchange.keras_script import class_name
from gradsim.exchange.keras_terms import Terms
from gradsim.exchange.python_code import MAX_MADE, Made
from gradsim.exchange.results import Imported, ImportFault, Notes, Place
from gradsim.i18n import tr
from gradsim.model import Experiment, file
from gradsim.model.stack import snake_case
from gradsim.nn import layers as nn_layers
from gradsim.nn import schedules
from gradsim.nn.layers import Layer, Shape
from gradsim.nn.spec import MISSING, Fault, Spec, fields_of, to_json

Json = dict[str, Any]


# Reading


def _values(value: Any) -> Any:
    """JSON values, where every serialised object is a call."""
    if isinstance(value, list):
        return [_values(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("class_name")
    if kind == "__tuple__" and isinstance(value.get("items"), list):
        return tuple(_values(entry) for entry in value["items"])
    if isinstance(kind, str) and isinstance(value.get("config"), dict | list | str):
        config = value["config"]
        module = value.get("module") if isinstance(value.get("module"), str) else "keras"
        if kind == "function" and isinstance(config, str):
            return config
        kwargs = {str(k): _values(v) for k, v in config.items()} if isinstance(config, dict) else {}
        return Made(f"{module}.{kind}", [], kwargs, Place())
    return {key: _values(entry) for key, entry in value.items()}


class _Models:
    """From configs to models as :mod:`gradsim.exchange.keras_code` knows them."""

    def __init__(self, keras: Keras, notes: Notes) -> None:
        self.keras, self.notes = keras, notes
        self.count = 0

    def fault(self, path: str, message: str) -> ImportFault:
        return ImportFault([Fault(path, message, MISSING)])

    def layer(self, content: Any, path: str) -> Made:
        self.count += 1
        if self.count > MAX_MADE:
            raise self.fault(path, tr("must hold at most {limit:,} layers", limit=MAX_MADE))
        if not isinstance(content, dict) or not isinstance(content.get("class_name"), str):
            raise self.fault(path, tr("must be a layer: an object with class_name and config"))
        if content["class_name"] in ("Sequential", "Functional", "Model"):
            return self.model(content, path)
        made = _values(content)
        if not isinstance(made, Made):
            raise self.fault(path, tr("must be a layer: an object with class_name and config"))
        return made

    def model(self, content: Json, path: str) -> Made:
        config = content.get("config")
        listed = config.get("layers") if isinstance(config, dict) else config
        if not isinstance(listed, list):
            raise self.fault(f"{path}.config.layers", tr("must be a list of layers"))
        made = Made(f"keras.{content['class_name']}", [], {}, Place())
        places = [f"{path}.config.layers[{number}]" for number in range(len(listed))]
        layers = [self.layer(entry, place) for entry, place in zip(listed, places, strict=True)]
        self.name_groups(layers)
        if content["class_name"] == "Sequential":
            made.attributes["layers"] = self.keras.sequence(layers, Place())
        else:
            made.kwargs["outputs"] = self.graph(config if isinstance(config, dict) else {}, listed, layers, path)
        self.keras.models.append(made)
        if isinstance(config, dict) and isinstance(config.get("build_input_shape"), list):
            made.attributes["input_shape"] = tuple(config["build_input_shape"][1:])
        return made

    def name_groups(self, layers: list[Made]) -> None:
        """Remembers where a ``.keras`` file keeps each layer's arrays: by class, numbered in order."""
        counts: dict[str, int] = {}
        for layer in layers:
            base = snake_case(layer.last)
            count = counts.get(base, 0)
            counts[base] = count + 1
            group = f"layers/{base}_{count}" if count else f"layers/{base}"
            layer.attributes["group"] = group
            for inner in layer.attributes.get("layers", []):
                inner.attributes["group"] = f"{group}/{inner.attributes.get('group', '')}"

    def graph(self, config: Json, listed: list[Any], layers: list[Made], path: str) -> Made:
        tensors: dict[str, Made] = {}
        for number, (entry, layer) in enumerate(zip(listed, layers, strict=True)):
            name = entry.get("name") or layer.kwargs.get("name")
            inputs = []
            for source in _histories(entry.get("inbound_nodes")):
                if source not in tensors:
                    where = f"{path}.config.layers[{number}].inbound_nodes"
                    raise self.fault(where, tr("must name a layer before it; {name!r} is none", name=source[:60]))
                inputs.append(tensors[source])
            if layer in self.keras.models and inputs:
                tensors[str(name)] = self.keras.called(layer, inputs, {}, Place(), None)
            else:
                tensors[str(name)] = self.keras.tensor(layer, inputs)
        outputs = config.get("output_layers")
        while isinstance(outputs, list) and outputs and isinstance(outputs[0], list):
            outputs = outputs[0]
        wanted = outputs[0] if isinstance(outputs, list) and outputs else None
        if not isinstance(wanted, str) or wanted not in tensors:
            raise self.fault(f"{path}.config.output_layers", tr("must name the last layer"))
        return tensors[wanted]


def _histories(nodes: Any) -> list[str]:
    """Names of the layers that a node gets its inputs from, of the first node only."""
    if not isinstance(nodes, list) or not nodes:
        return []
    first = nodes[0]
    if isinstance(first, dict):
        return _tensors(first.get("args"))
    found = [entry[0] for entry in first if isinstance(entry, list) and entry] if isinstance(first, list) else []
    return [name for name in found if isinstance(name, str)]


def _tensors(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for entry in value for name in _tensors(entry)]
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        history = value.get("config", {}).get("keras_history") if isinstance(value.get("config"), dict) else None
        if isinstance(history, list) and history and isinstance(history[0], str):
            return [history[0]]
    return []


def read(source: str | bytes, base: Experiment | None = None) -> Imported:
    """Reads a Keras config; arguments and errors as :func:`read_with_layers`."""
    return read_with_layers(source, base)[0]


def read_with_layers(source: str | bytes, base: Experiment | None = None) -> tuple[Imported, list[tuple[Made, Json]]]:
    """Reads a Keras config; gives also every layer of it that has a counterpart, in the order of the stack.

    Args:
        base: What the config does not say is taken from this experiment, and from the defaults if it is None.

    Raises:
        ImportFault: with everything that is wrong with it.
    """
    try:
        content = file.decode(source)
    except file.FileError as error:
        raise ImportFault(error.faults) from None
    notes, faults = Notes(), Faults()
    keras = Keras(notes)
    if content.get("class_name") not in ("Sequential", "Functional", "Model"):
        kind = content.get("class_name", MISSING)
        raise ImportFault([Fault("class_name", tr("must be Sequential or Functional: a Keras model"), kind)])
    try:
        model = _Models(keras, notes).model(content, "")
        keras.models = [model]
        terms = Terms(notes, faults)
        reader = Reader(keras, terms, faults, notes)
        draft = Draft(layers=reader.layers(model))
    except RecursionError:
        raise ImportFault([Fault("", tr("is nested too deeply"), MISSING)]) from None
    draft.input_shape = reader.shape
    compiled = _values(content.get("compile_config"))
    if isinstance(compiled, dict):
        keras.heard(model, compiled)
    read_compile(reader, draft)
    formats = [name for name in terms.dtypes if name in ("float32", "float64")]
    draft.dtype = formats[0] if formats else None
    for name in sorted({name for name in terms.dtypes if name not in ("float32", "float64")}):
        notes.add(Place(), tr("the number format {name} has no counterpart here; float32 is used", name=name))
    return assembled(draft, base, notes, faults), reader.order


# Writing


def _object(module: str, name: str, config: Json) -> Json:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def _spec(value: Spec) -> Any:
    """An activation, initializer, regularizer or schedule as Keras serialises it."""
    config = {view.name: getattr(value, view.name) for view in fields_of(type(value)) if not view.hidden}
    if value.kind == "activation":
        if isinstance(to_json(value), str):
            return value.identifier
        return _object("keras.layers", {"leaky_relu": "LeakyReLU", "elu": "ELU"}[value.identifier], config)
    if value.kind == "initializer":
        seeded = value.identifier not in ("zeros", "ones", "constant", "identity")
        return _object("keras.initializers", class_name(value), config | ({"seed": None} if seeded else {}))
    if value.kind == "regularizer":
        return _object("keras.regularizers", class_name(value), config)
    if isinstance(value, schedules.WarmUp):
        config = {
            "initial_learning_rate": value.start * value.learning_rate,
            "decay_steps": 1,
            "alpha": 1.0,
            "warmup_target": value.learning_rate,
            "warmup_steps": value.warmup_steps,
        }
        return _object("keras.optimizers.schedules", "CosineDecay", config)
    return _object("keras.optimizers.schedules", value.identifier, config)


class _Writer:
    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.entries: list[Json] = []
        self.names: dict[str, int] = {}
        self.residual = False

    def add(self, kind: str, config: Json, wanted: str, sources: list[tuple[str, Shape]]) -> str:
        """One more layer; gives the name it got."""
        base = wanted or snake_case(kind)
        count = self.names.get(base, 0)
        self.names[base] = count + 1
        name = f"{base}_{count}" if count else base
        if count and name in self.names:
            return self.add(kind, config, name, sources)
        self.names.setdefault(name, 1)
        entry = _object("keras.layers", kind, {"name": name, **config})
        if kind != "InputLayer":
            entry["config"]["dtype"] = self.dtype
        tensors = [
            {"class_name": "__keras_tensor__",
             "config": {"shape": [None, *shape], "dtype": self.dtype, "keras_history": [source, 0, 0]}}
            for source, shape in sources
        ]  # fmt: skip
        args = [tensors] if kind == "Add" else tensors
        entry |= {"name": name, "inbound_nodes": [{"args": args, "kwargs": {}}] if tensors else []}
        self.entries.append(entry)
        return name

    def walk(self, layers: tuple[Layer, ...], source: str, shape: Shape) -> tuple[str, Shape]:
        for layer in layers:
            if isinstance(layer, nn_layers.Repeat):
                for _ in range(layer.count):
                    source, shape = self.walk(layer.layers, source, shape)
            elif isinstance(layer, nn_layers.Residual):
                self.residual = True
                branch, _ = self.walk(layer.layers, source, shape)
                source = self.add("Add", {"trainable": True}, layer.name, [(source, shape), (branch, shape)])
            else:
                config: Json = {"trainable": layer.trainable}
                for view in fields_of(type(layer)):
                    if view.name not in ("name", "trainable", "enabled", "uid"):
                        value = getattr(layer, view.name)
                        config[view.name] = _spec(value) if isinstance(value, Spec) else value
                source = self.add(layer.identifier, config, layer.name, [(source, shape)])
                shape = layer.output_shape(shape)
        return source, shape


def config_of(experiment: Experiment) -> Json:
    """The model of an experiment as ``keras.models.model_from_json`` takes it, with its ``compile_config``.

    Raises:
        gradsim.exchange.exporting.ExportFault: if the stack can't be computed.
    """
    checked(experiment)
    shape = experiment.stack().input_shape
    writer = _Writer(experiment.dtype)
    first = {"batch_shape": [None, *shape], "dtype": experiment.dtype, "sparse": False}
    source = writer.add("InputLayer", first, "", [])
    last, _ = writer.walk(active(experiment.layers), source, shape)
    config: Json = {"name": "gradsim", "trainable": True, "layers": writer.entries}
    if writer.residual:
        config |= {"input_layers": [[source, 0, 0]], "output_layers": [[last, 0, 0]]}
    else:
        for entry in writer.entries:
            del entry["name"], entry["inbound_nodes"]
    # Keras looks its functional class up where it is defined, not where it is exported.
    model = _object("keras", "Sequential", config)
    if writer.residual:
        model = _object("keras.src.models.functional", "Functional", config)
    rate = experiment.optimizer.learning_rate
    fields = {view.name: getattr(experiment.optimizer, view.name) for view in fields_of(type(experiment.optimizer))}
    fields["learning_rate"] = _spec(rate) if isinstance(rate, Spec) else rate
    metrics = [] if experiment.loss.task == "regression" else ["accuracy"]
    model["compile_config"] = {
        "optimizer": _object("keras.optimizers", experiment.optimizer.identifier, fields),
        "loss": experiment.loss.identifier,
        "metrics": metrics,
    }
    return model


def dumps(experiment: Experiment) -> str:
    """:func:`config_of` as text."""
    return json.dumps(config_of(experiment), indent=2) + "\n"

"""An experiment as a Keras script that trains the same thing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gradsim.exchange.exporting import (
    EPOCHS,
    DataFrom,
    Exported,
    active,
    call,
    checked,
    docstring,
    number,
    source_of,
    start_notes,
)
from gradsim.exchange.results import Array
from gradsim.i18n import tr
from gradsim.model import Experiment
from gradsim.model.stack import snake_case
from gradsim.nn import layers as nn_layers
from gradsim.nn import schedules
from gradsim.nn.layers import Layer
from gradsim.nn.optimizers import Optimizer
from gradsim.nn.spec import Spec, fields_of, to_json

Layers = tuple[Layer, ...]


def export(
    experiment: Experiment,
    *,
    epochs: int = EPOCHS,
    data: DataFrom = "gradsim",
    weights: Sequence[Array] | None = None,
    arrays_name: str = "arrays.npz",
) -> Exported:
    """A script for Keras 3 with any backend.

    Args:
        epochs: Passes over the training rows.
        data: "gradsim": the script loads them with ``gradsim.datasets``; "file": they go into the file beside it.
        weights: Arrays to start from, in ``get_weights()`` order; drawn by Keras if None.
        arrays_name: Name of the file beside the script.

    Raises:
        gradsim.exchange.exporting.ExportFault: if no script could train it.
    """
    checked(experiment)
    writer = _Writer(active(experiment.layers))
    source = source_of(experiment, data, arrays_name, weights)
    lines = [*docstring(experiment)]
    if experiment.dtype == "float64":
        lines += ["import os", "", "# JAX, one of Keras' backends, has no float64 otherwise."]
        lines += ['os.environ.setdefault("JAX_ENABLE_X64", "1")', ""]
    lines += _sorted_imports([*source.imports, "import keras"])
    lines += ["", f"keras.utils.set_random_seed({experiment.seed})"]
    if experiment.dtype != "float32":
        lines.append(f'keras.config.set_floatx("{experiment.dtype}")')
    lines += ["", *source.lines, ""]
    shape = experiment.stack().input_shape
    lines += [*writer.model(shape), ""]
    if weights is not None:
        count = len(weights)
        lines += [f'model.set_weights([arrays[f"weight_{{i}}"] for i in range({count})])', ""]
    metrics = {} if experiment.loss.task == "regression" else {"metrics": '["accuracy"]'}
    rate = experiment.optimizer.learning_rate
    if isinstance(rate, Spec):
        head, _, rest = reference(rate).partition("(")
        lines += [f"learning_rate = {head}(", *(f"    {part}," for part in rest[:-1].split(", ")), ")"]
    lines += [
        "model.compile(",
        f"    optimizer={optimizer(experiment.optimizer)},",
        f'    loss="{experiment.loss.identifier}",',
        *(f"    {key}={value}," for key, value in metrics.items()),
        ")",
    ]
    size = "len(x_train)" if experiment.batch_size is None else str(experiment.batch_size)
    arguments = [f"batch_size={size}", f"epochs={epochs}"]
    if not experiment.shuffle:
        arguments.append("shuffle=False")
    if source.validated:
        arguments.append("validation_data=(x_val, y_val)")
    lines += [f"history = model.fit(x_train, y_train, {', '.join(arguments)})"]
    return Exported(
        "\n".join(lines) + "\n", source.arrays, arrays_name, (*start_notes(experiment, weights), *writer.notes)
    )


def _sorted_imports(imports: list[str]) -> list[str]:
    standard = [line for line in imports if line.startswith("from pathlib")]
    others = sorted((line for line in imports if line not in standard), key=lambda line: line.split()[1])
    return [*standard, *([""] if standard else []), *others]


class _Writer:
    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.notes: list[str] = []
        self.names = _names(layers)

    def model(self, shape: tuple[int, ...]) -> list[str]:
        """The lines that make the model: the plainest of Keras' three forms that can hold it."""
        inputs = f"keras.Input({shape!r})"
        if _any(self.layers, nn_layers.Residual):
            lines = [f"inputs = x = {inputs}", *self.functional(self.layers, "x", 0)]
            return [*lines, "model = keras.Model(inputs, x)"]
        if _any(self.layers, nn_layers.Repeat):
            return ["model = keras.Sequential()", f"model.add({inputs})", *self.added(self.layers, "")]
        made = [f"        {self.layer(layer, False)}," for layer in self.layers]
        return ["model = keras.Sequential(", "    [", f"        {inputs},", *made, "    ]", ")"]

    def added(self, layers: Layers, indent: str) -> list[str]:
        lines: list[str] = []
        for layer in layers:
            if isinstance(layer, nn_layers.Repeat):
                lines.append(f"{indent}for _ in range({layer.count}):")
                lines += self.added(layer.layers, indent + "    ")
            else:
                lines.append(f"{indent}model.add({self.layer(layer, bool(indent))})")
        return lines

    def functional(self, layers: Layers, name: str, depth: int, looped: bool = False) -> list[str]:
        """Lines that lead ``name`` through the layers; a block inside of a block gets a name of its own."""
        indent = "    " * depth
        lines: list[str] = []
        for layer in layers:
            if isinstance(layer, nn_layers.Repeat):
                lines.append(f"{indent}for _ in range({layer.count}):")
                lines += self.functional(layer.layers, name, depth + 1, True)
            elif isinstance(layer, nn_layers.Residual):
                inner = "y" if name == "x" else f"{name}y"
                lines.append(f"{indent}{inner} = {name}")
                lines += self.functional(layer.layers, inner, depth, looped)
                named = self.name(layer, looped)
                add = call("keras.layers.Add", **named)
                lines.append(f"{indent}{name} = {add}([{name}, {inner}])")
            else:
                lines.append(f"{indent}{name} = {self.layer(layer, looped)}({name})")
        return lines

    def name(self, layer: Layer, looped: bool) -> dict[str, str]:
        """The layer's name, where Keras takes it: a model's names differ, and none is one Keras gives itself."""
        if not layer.name:
            return {}
        kinds = "|".join(map(snake_case, (*nn_layers.registry, "Add", "InputLayer")))
        automatic = re.fullmatch(rf"({kinds})(_\d+)?", layer.name)
        if looped or automatic or "/" in layer.name or self.names.count(layer.name) > 1:
            self.notes.append(
                tr(
                    "the name {name!r} is left out: Keras needs every layer of a model to have a name of its own",
                    name=layer.name,
                )
            )
            return {}
        return {"name": repr(layer.name)}

    def layer(self, layer: Layer, looped: bool) -> str:
        """A layer as a call."""
        required = [view.name for view in fields_of(type(layer)) if view.required]
        given = spec_arguments(layer, skip=("name", "trainable", "enabled", *required))
        positional = [number(getattr(layer, name)) for name in required]
        if isinstance(layer, nn_layers.Activation):
            positional, given = [reference(layer.activation)], {}
        elif isinstance(layer, nn_layers.Dropout):
            positional, given = [number(layer.rate)], {}
        if not layer.trainable:
            given["trainable"] = "False"
        return call(f"keras.layers.{layer.identifier}", *positional, **given, **self.name(layer, looped))


def _names(layers: Layers) -> list[str]:
    return [name for layer in layers for name in (layer.name, *_names(layer.children())) if name]


def _any(layers: Layers, kind: type[Layer]) -> bool:
    return any(isinstance(layer, kind) or _any(layer.children(), kind) for layer in layers)


def spec_arguments(spec: Spec, skip: Sequence[str] = ()) -> dict[str, str]:
    """The fields of a spec that are not the default, as Python code."""
    written = to_json(spec)
    content = written if isinstance(written, dict) else {}
    found: dict[str, str] = {}
    for view in fields_of(type(spec)):
        if view.name in content and view.name not in skip:
            value = getattr(spec, view.name)
            found[view.name] = reference(value) if isinstance(value, Spec) else number(value)
    return found


def reference(spec: Spec) -> str:
    """An activation, initializer, regularizer or schedule as Python code: its name if that says it all."""
    given = spec_arguments(spec)
    if spec.kind == "schedule":
        return _schedule(spec)
    if not given and not (spec.kind == "regularizer" and spec.identifier == "l1_l2"):
        return f'"{spec.identifier}"'
    if spec.kind == "activation":
        # Keras has these parameters in its layers of the same name; a layer can be called as any function.
        names = {"leaky_relu": "LeakyReLU", "elu": "ELU"}
        return call(f"keras.layers.{names.get(spec.identifier, spec.identifier)}", **given)
    if spec.identifier == "random_uniform":
        low, high = sorted((getattr(spec, "minval", 0.0), getattr(spec, "maxval", 0.0)))
        given = {"minval": number(low), "maxval": number(high)}
    return call(f"keras.{spec.kind}s.{class_name(spec)}", **given)


def class_name(spec: Spec) -> str:
    """The name of Keras' class: the spelling of a spec that begins with a capital."""
    return next((name for name in (spec.identifier, *spec.aliases) if name[:1].isupper()), spec.identifier)


def _schedule(spec: Spec) -> str:
    if isinstance(spec, schedules.WarmUp):
        # Keras has the rise inside of CosineDecay only; with alpha=1 the decay behind it stays at the top.
        return call(
            "keras.optimizers.schedules.CosineDecay",
            initial_learning_rate=number(spec.start * spec.learning_rate),
            decay_steps="1",
            alpha="1.0",
            warmup_target=number(spec.learning_rate),
            warmup_steps=number(spec.warmup_steps),
        )
    required = {view.name: number(getattr(spec, view.name)) for view in fields_of(type(spec)) if not view.hidden}
    given = {name: value for name, value in required.items() if value != "None"}
    return call(f"keras.optimizers.schedules.{spec.identifier}", **given)


def optimizer(value: Optimizer) -> str:
    """An optimizer as Python code, the learning rate always named: a schedule by a variable of this name."""
    rate = value.learning_rate
    written = "learning_rate" if isinstance(rate, Spec) else number(rate)
    given = spec_arguments(value, skip=("learning_rate",))
    return call(f"keras.optimizers.{value.identifier}", learning_rate=written, **given)

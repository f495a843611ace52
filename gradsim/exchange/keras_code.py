"""Keras code as an experiment: ``Sequential([...])``, ``add(...)`` or the functional form, ``compile`` and ``fit``.

The code is parsed, never executed; loops, comprehensions and functions over known values are followed.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Sequence
from typing import Any

from gradsim.exchange import notebooks
from gradsim.exchange.assembling import FULL_BATCH, Draft, Entry, Faults, Json, Loop, assembled, folded
from gradsim.exchange.keras_terms import REPLACED, Terms, left_out, shown
from gradsim.exchange.python_code import MAX_ITEMS, Framework, Interpreter, Made, Name, Opaque
from gradsim.exchange.results import Imported, ImportFault, Notes, Place, Spot
from gradsim.i18n import tr
from gradsim.model import Experiment
from gradsim.model.stack import MAX_ROWS
from gradsim.nn import layers as nn_layers
from gradsim.nn.spec import MISSING, REGISTRIES, Fault

TENSOR = "gradsim.tensor"
_SUBMODULES = ("layers", "models", "optimizers", "initializers", "regularizers", "activations", "losses")
_MODULES = {
    "keras": "keras", "tf": "tensorflow", "np": "numpy", "math": "math", "gradsim": "gradsim",
    **{name: f"keras.{name}" for name in (*_SUBMODULES, "Sequential", "Model", "Input")},
}  # fmt: skip
_OTHER_LAYERS = (
    "Add", "Input", "InputLayer", "ReLU", "Softmax", "Conv2D", "Conv1D", "MaxPooling2D", "MaxPool2D", "Lambda",
    *REPLACED,
)  # fmt: skip
_IGNORED_MODEL = (
    "summary", "evaluate", "predict", "save", "save_weights", "get_config", "to_json", "get_weights", "count_params",
)  # fmt: skip
_ACCURACIES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy")
_COMPILE = ("optimizer", "loss", "metrics")
_FIT = ("x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_split", "validation_data", "shuffle")
_DATA = {
    "fashion_mnist": "fashion_mnist", "load_iris": "iris", "load_wine": "wine", "load_breast_cancer": "breast_cancer",
    "load_digits": "digits", "make_moons": "moons", "make_circles": "circle", "load_penguins": "penguins",
}  # fmt: skip


_HEADS = (
    "tensorflow.python.keras.", "tensorflow.compat.v1.keras.", "tensorflow.keras.", "tf_keras.", "keras.src.",
    "keras.api.",
)  # fmt: skip


def canonical(dotted: str) -> str:
    """A full name with ``keras`` at its head, wherever it is imported from."""
    for head in _HEADS:
        if dotted.startswith(head):
            return "keras." + dotted.removeprefix(head)
    return dotted


@dataclasses.dataclass(eq=False)
class _Heard:
    """What ``compile`` and ``fit`` were given."""

    args: dict[str, Any]
    place: Place


class Keras(Framework):
    """Keras' names, and what models keep."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(notes)
        self.models: list[Made] = []
        self.loose: list[Made] = []
        self.implicit: dict[str, Made] = {}
        self.compiled: tuple[Made, _Heard] | None = None
        self.fitted: _Heard | None = None
        self.data: tuple[Any, Place] | None = None
        self.seed: int | None = None
        self.dtype: str | None = None

    def undefined(self, name: str) -> Any:
        if name in _MODULES:
            return Name(_MODULES[name])
        if name in nn_layers.registry or name in _OTHER_LAYERS:
            return Name(f"keras.layers.{name}")
        if name in REGISTRIES["optimizer"] and name[:1].isupper():
            return Name(f"keras.optimizers.{name}")
        return MISSING

    def knows(self, dotted: str) -> bool:
        name = canonical(dotted)
        heads = ("keras.", "sklearn.datasets.", "gradsim.")
        return name.startswith(heads) or name in ("numpy.load", "numpy.random.seed", "tensorflow.random.set_seed")

    def made(self, made: Made) -> Any:
        made.name = canonical(made.name)
        name, last = made.name, made.last
        if last in ("set_random_seed", "seed", "set_seed"):
            if made.args and isinstance(made.args[0], int):
                self.seed = made.args[0]
            return None
        if last == "set_floatx":
            if made.args and isinstance(made.args[0], str):
                self.dtype = made.args[0]
            return None
        if name.startswith(("keras.datasets.", "sklearn.datasets.", "gradsim.")) or name == "numpy.load":
            self.load(made)
            return Opaque(last, made.place)
        if last == "Sequential":
            self.models.append(made)
            given = made.args[0] if made.args else made.kwargs.get("layers", [])
            made.attributes["layers"] = self.sequence(given, made.place)
            return made
        if name in ("keras.Model", "keras.models.Model", "keras.models.Functional"):
            self.models.append(made)
            return made
        if last == "clone_model" and made.args and isinstance(made.args[0], Made):
            copy = dataclasses.replace(made.args[0], attributes=dict(made.args[0].attributes))
            copy.attributes["layers"] = list(copy.attributes.get("layers", []))
            self.models.append(copy)
            return copy
        if last in ("load_model", "model_from_json"):
            self.notes.add(made.place, tr("{name}: files are not opened by an import; left out", name=last))
            return Opaque(last, made.place)
        if last == "Input":
            return Made(TENSOR, [], {}, made.place, made.loop, {"layer": made, "inputs": []})
        if name.startswith("keras.layers."):
            if last[:1].islower() and made.args:
                given = made.args[0] if isinstance(made.args[0], list | tuple) else made.args
                layer = Made(f"keras.layers.{last.capitalize()}", [], dict(made.kwargs), made.place, made.loop)
                return self.tensor(layer, [a for a in given if isinstance(a, Made)])
            self.loose.append(made)
        return made

    def heard(self, model: Made, compiled: dict[str, Any]) -> None:
        """Takes what a config has as the arguments of ``compile``."""
        self.compiled = (model, _Heard(compiled, Place()))

    def load(self, made: Made) -> None:
        """Notices where data come from."""
        parts = made.name.split(".")
        word = made.last
        if parts[0] == "gradsim":
            if word == "load" and made.args and isinstance(made.args[0], str | dict) and "datasets" in parts:
                self.data = (made.args[0], made.place)
            return
        if made.name == "numpy.load":
            path = made.args[0] if made.args else None
            if isinstance(path, str) and path.endswith(".npz"):
                self.data = ({"type": "npz", "path": path}, made.place)
            return
        if parts[0] == "keras":
            word = parts[-2] if word == "load_data" else word
        if word in _DATA:
            self.data = (_DATA[word], made.place)
            self.notes.add(
                made.place,
                tr(
                    "{name}: the part of it that comes with the program is used ({data})",
                    name=made.name,
                    data=_DATA[word],
                ),
            )
        elif word == "mnist":
            self.data = ("fashion_mnist", made.place)
            self.notes.add(
                made.place, tr("mnist does not come with the program; fashion_mnist, of the same shape, is used")
            )
        else:
            self.notes.add(made.place, no_such_data(made.name))

    def sequence(self, given: Any, place: Place) -> list[Any]:
        """The layers of a list, those of models in it among them."""
        if isinstance(given, Made):
            given = [given]
        if not isinstance(given, list | tuple):
            if given is not None:
                message = tr(
                    "Sequential: the layers {value} can't be known without running the code", value=shown(given)
                )
                self.notes.add(place, message)
            return []
        found: list[Any] = []
        for layer in given:
            if isinstance(layer, Made) and isinstance(layer.attributes.get("layers"), list):
                found += layer.attributes["layers"]
            elif isinstance(layer, Made) and layer.name == TENSOR:
                found.append(layer.attributes["layer"])
            else:
                found.append(layer)
            if len(found) > MAX_ITEMS:
                raise ImportFault(
                    [Fault(Spot(place), tr("must be at most {limit:,} layers", limit=MAX_ROWS), tr("more"))]
                )
        return found

    def attribute(self, made: Made, name: str) -> Any:
        if name == "layers" and made in self.models and "layers" not in made.attributes:
            made.attributes["layers"] = [
                entry for entry, _ in graph_layers(output_of(made), self.notes) if isinstance(entry, Made)
            ]
        if name in ("output", "input") and "layers" in made.attributes:
            return MISSING
        return made.attributes.get(name, MISSING)

    def assigned(self, made: Made, name: str, value: Any, place: Place) -> None:
        if name == "trainable" and isinstance(value, bool):
            for layer in made.attributes.get("layers", []):
                if isinstance(layer, Made):
                    layer.attributes["trainable"] = value
        made.attributes[name] = value

    def tensor(self, layer: Made, inputs: list[Made]) -> Made:
        return Made(TENSOR, [], {}, layer.place, layer.loop, {"layer": layer, "inputs": inputs})

    def called(self, made: Made, args: list[Any], kwargs: dict[str, Any], place: Place, interpreter: Any) -> Any:
        given = args[0] if args else kwargs.get("inputs")
        tensors = [
            t
            for t in (given if isinstance(given, list | tuple) else [given])
            if isinstance(t, Made) and t.name == TENSOR
        ]
        if not tensors:
            return Opaque(f"{made.last}(...)", place)
        layers = self.attribute(made, "layers") if made in self.models else MISSING
        if isinstance(layers, list):
            found = tensors[0]
            for layer in layers:
                if isinstance(layer, Made):
                    found = self.tensor(layer, [found])
            return found
        return self.tensor(made, tensors)

    def combined(self, op: ast.operator, left: Made, right: Made, place: Place, loop: Loop) -> Any:
        if isinstance(op, ast.Add) and left.name == right.name == TENSOR:
            return self.tensor(Made("keras.layers.Add", [], {}, place, loop), [left, right])
        return MISSING

    def method(
        self, owner: Any, name: str, args: list[Any], kwargs: dict[str, Any], place: Place, interpreter: Interpreter
    ) -> Any:
        if isinstance(owner, Opaque):
            if name not in ("add", "compile", "fit") or (name == "add" and not (args and isinstance(args[0], Made))):
                return MISSING
            if owner.text not in self.implicit:
                made = Made("keras.Sequential", [], {}, place, attributes={"layers": []})
                self.implicit[owner.text] = made
                self.models.append(made)
            owner = self.implicit[owner.text]
        layers = owner.attributes.get("layers")
        if owner not in self.models:
            return MISSING
        if name == "add" and isinstance(layers, list):
            layers += self.sequence(args[:1] or list(kwargs.values())[:1], place)
            return None
        if name == "pop" and isinstance(layers, list):
            return layers.pop() if layers else None
        if name == "get_layer":
            wanted = args[0] if args else kwargs.get("name", kwargs.get("index"))
            known = self.attribute(owner, "layers")
            for number, layer in enumerate(known if isinstance(known, list) else []):
                if isinstance(layer, Made) and (
                    wanted == number or (wanted is not None and layer.kwargs.get("name") == wanted)
                ):
                    return layer
            return Opaque("get_layer(...)", place)
        if name == "compile":
            self.compiled = (owner, _Heard({**dict(zip(_COMPILE, args, strict=False)), **kwargs}, place))
            return None
        if name == "fit":
            self.fitted = _Heard({**dict(zip(_FIT, args, strict=False)), **kwargs}, place)
            return Opaque("fit(...)", place)
        if name == "build" and args and isinstance(args[0], list | tuple):
            owner.attributes["input_shape"] = tuple(args[0])[1:]
            return None
        if name in ("load_weights", "set_weights"):
            self.notes.add(place, tr("{name}: weights are not read from code; they are drawn from the seed", name=name))
            return None
        return None if name in _IGNORED_MODEL else MISSING

    def isinstance(self, value: Any, kinds: Sequence[Any]) -> bool | None:
        if not isinstance(value, Made) or not all(isinstance(kind, Name) for kind in kinds):
            return None
        return any(canonical(kind.dotted).rpartition(".")[2] == value.last for kind in kinds)


def no_such_data(name: str) -> str:
    """What to say of data that the program does not have."""
    return tr("{name} does not come with the program; its data are left out", name=name)


def no_layer(value: Any) -> str:
    """What to say of something among the layers."""
    return tr("{value} is no layer that can be known; left out", value=shown(value))


def output_of(model: Made) -> Made | None:
    """The tensor that a functional model ends in."""
    given = model.kwargs.get("outputs", model.args[1] if len(model.args) > 1 else None)
    if isinstance(given, list | tuple) and given:
        given = given[0]
    return given if isinstance(given, Made) and given.name == TENSOR else None


def _before(tensor: Made, notes: Notes) -> Made | None:
    """The tensor that the main path comes from: what a residual block adds, or the first input."""
    inputs: list[Made] = tensor.attributes["inputs"]
    if len(inputs) < 2:
        return inputs[0] if inputs else None
    found: Made | None = tensor.attributes.get("shortcut")
    if found is None:
        found = _shortcut(tensor, notes)
        tensor.attributes["shortcut"] = found
    return found


def _shortcut(tensor: Made, notes: Notes) -> Made:
    layer: Made = tensor.attributes["layer"]
    inputs: list[Made] = tensor.attributes["inputs"]
    if layer.last == "Add" and len(inputs) == 2:
        for shortcut, branch in (inputs, inputs[::-1]):
            at: Made | None = branch
            while at is not None and at is not shortcut:
                at = _before(at, notes)
            if at is shortcut:
                tensor.attributes["branch"] = branch
                return shortcut
    if layer.last == "Add":
        message = tr("Add adds paths that are no residual block; only its first input is followed")
    else:
        message = tr(
            "{layer} joins paths that are no residual block; only its first input is followed", layer=layer.last
        )
    notes.add(layer.place, message)
    return inputs[0]


def graph_layers(tensor: Made | None, notes: Notes, stop: Made | None = None) -> list[tuple[Any, Any]]:
    """The layers on the way to a tensor, first ones first; a residual block is ``(its Add, its layers)``."""
    found: list[tuple[Any, Any]] = []
    while tensor is not None and tensor is not stop:
        before = _before(tensor, notes)
        layer = tensor.attributes["layer"]
        branch = tensor.attributes.get("branch")
        if branch is not None:
            found.append((layer, graph_layers(branch, notes, before)))
        elif len(tensor.attributes["inputs"]) < 2:
            found.append((layer, None))
        tensor = before
    return found[::-1]


class Reader:
    """From what was heard of models to layers.

    Attributes:
        order: Every layer that has a counterpart, with it, in the order of the stack.
    """

    def __init__(self, keras: Keras, terms: Terms, faults: Faults, notes: Notes) -> None:
        self.keras, self.terms, self.faults, self.notes = keras, terms, faults, notes
        self.shape: tuple[int, ...] | None = None
        self.shape_place = Place()
        self.order: list[tuple[Made, Json]] = []

    def model(self) -> Made | None:
        """The model meant: the one compiled last, else the one made last."""
        model = self.keras.compiled[0] if self.keras.compiled else self.keras.models[-1] if self.keras.models else None
        inside = {id(m) for m in self.keras.models if m is not model and self.is_part(m, model)}
        for other in self.keras.models:
            if other is not model and id(other) not in inside and other.name != "keras.Sequential.implicit":
                message = tr("{name}: another model of this code is taken; this one is left out", name=other.last)
                self.notes.add(other.place, message)
        return model

    def is_part(self, model: Made, whole: Made | None) -> bool:
        if whole is None:
            return False
        mine = {id(layer) for layer in model.attributes.get("layers", [])}
        its = whole.attributes.get("layers")
        if not isinstance(its, list):
            its = [layer for layer, _ in graph_layers(output_of(whole), self.notes)]
        return bool(mine) and mine <= {id(layer) for layer in its}

    def entries(self, pairs: Sequence[tuple[Any, Any]]) -> list[Entry]:
        found: list[Entry] = []
        for made, inner in pairs:
            if not isinstance(made, Made):
                self.notes.add(getattr(made, "place", Place()), no_layer(made))
                continue
            if inner is not None:
                content: Json = {"type": "Residual", "layers": folded(self.entries(inner), made.loop)}
                name = made.kwargs.get("name")
                found.append(
                    Entry({**content, **({"name": name} if isinstance(name, str) else {})}, made.place, made.loop)
                )
                continue
            shape = self.terms.input_shape(made)
            if shape is not None and self.shape is None and not found:
                self.shape, self.shape_place = shape, made.place
            contents = self.terms.layer(made)
            self.order += [(made, content) for content in contents]
            found += [Entry(content, made.place, made.loop) for content in contents]
        return found

    def layers(self, model: Made | None) -> list[Json] | None:
        """The stack of a model; without one, the layers that were made, in their order."""
        if model is None:
            if not self.keras.loose:
                return None
            self.notes.add(
                self.keras.loose[0].place, tr("no model is made here; the layers are stacked in their order")
            )
            return folded(self.entries([(layer, None) for layer in self.keras.loose]))
        output = output_of(model)
        listed = model.attributes.get("layers")
        if output is not None:
            entries = self.entries(graph_layers(output, self.notes))
        elif isinstance(listed, list):
            entries = self.entries([(layer, None) for layer in listed])
            if not entries and self.keras.implicit and model in self.keras.implicit.values():
                return None
        else:
            self.notes.add(model.place, tr("the model's outputs can't be known without running the code"))
            return None
        shape = model.attributes.get("input_shape")
        if self.shape is None and isinstance(shape, tuple) and shape and all(isinstance(n, int) for n in shape):
            self.shape, self.shape_place = shape, model.place
        return folded(entries, model.loop)

    def note_unused(self) -> None:
        """Notes layers that were made and are in no model."""
        used = {id(part) for made in self.keras.loose for part in (*made.args, *made.kwargs.values())}
        for model in self.keras.models:
            listed = model.attributes.get("layers")
            if not isinstance(listed, list):
                listed = _graph_members(output_of(model))
            used |= {id(layer) for layer in listed}
        for made in self.keras.loose:
            if id(made) not in used:
                self.notes.add(made.place, tr("{layer} is made here and is in no model; left out", layer=made.last))


def _graph_members(tensor: Made | None) -> list[Made]:
    """Every layer that a tensor depends on, on whatever path."""
    found: dict[int, Made] = {}
    waiting = [tensor] if tensor is not None else []
    seen: set[int] = set()
    while waiting:
        at = waiting.pop()
        if id(at) not in seen:
            seen.add(id(at))
            found[id(at.attributes["layer"])] = at.attributes["layer"]
            waiting += at.attributes["inputs"]
    return list(found.values())


def read_compile(reader: Reader, draft: Draft) -> None:
    """Loss and optimizer, and what else ``compile`` was given."""
    keras, terms, notes = reader.keras, reader.terms, reader.notes
    if keras.compiled is None:
        notes.add(Place(), tr("compile is not called here; loss and optimizer stay as they are"))
        return
    heard = keras.compiled[1]
    given = dict(heard.args)
    draft.optimizer = terms.optimizer(given.pop("optimizer", "rmsprop"), heard.place)
    loss, logits = terms.loss(given.pop("loss", None), heard.place)
    draft.loss = loss
    metrics = given.pop("metrics", None)
    for metric in metrics if isinstance(metrics, list | tuple) else [metrics]:
        if (
            metric is not None
            and metric not in _ACCURACIES
            and getattr(metric, "last", "")
            not in ("Accuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy", "BinaryAccuracy")
        ):
            message = tr("metrics: {name} is left out; loss and accuracy are always recorded", name=shown(metric))
            notes.add(heard.place, message)
    for name, value in given.items():
        if value is not None and name not in (
            "run_eagerly",
            "steps_per_execution",
            "jit_compile",
            "auto_scale_loss",
            "weighted_metrics",
        ):
            notes.add(heard.place, left_out(f"compile: {name}={shown(value)}"))
    if logits and draft.layers:
        with_output_activation(draft.layers, loss or "", heard.place, notes)


def with_output_activation(layers: list[Json], loss: str, place: Place, notes: Notes) -> None:
    """Gives the last layer the activation that a loss on logits has inside of it."""
    activation = {"categorical_crossentropy": "softmax", "binary_crossentropy": "sigmoid"}.get(loss)
    last = layers[-1]
    if activation is None:
        return
    if last.get("type") == "Dense" and last.get("activation", "linear") == "linear":
        last["activation"] = activation
        message = tr(
            "the loss takes logits; here the last layer applies {activation} and the loss is {loss}",
            activation=activation,
            loss=loss,
        )
        notes.add(place, message)
    else:
        layers.append({"type": "Activation", "activation": activation})
        message = tr(
            "the loss takes logits; a layer that applies {activation} was put behind the last one",
            activation=activation,
        )
        notes.add(place, message)


def _fit(reader: Reader, draft: Draft) -> None:
    heard, notes = reader.keras.fitted, reader.notes
    if heard is None:
        return
    given = heard.args
    size = given.get("batch_size")
    # What Keras does if nothing is said.
    draft.batch_size, draft.shuffle = 32, True
    if isinstance(size, int) and not isinstance(size, bool):
        draft.batch_size = size
    elif isinstance(size, Opaque) and size.text.startswith(
        ("len(", "x.shape[0]", "x_train.shape[0]", "X_train.shape[0]")
    ):
        draft.batch_size = FULL_BATCH
    elif size is not None:
        message = tr("fit: batch_size={value} can't be known without running the code; 32 is used", value=shown(size))
        notes.add(heard.place, message)
    epochs = given.get("epochs")
    if isinstance(epochs, int) and not isinstance(epochs, bool) and epochs > 0:
        draft.epochs = epochs
    shuffle = given.get("shuffle")
    if isinstance(shuffle, bool):
        draft.shuffle = shuffle
    callbacks = given.get("callbacks")
    for callback in callbacks if isinstance(callbacks, list | tuple) else [callbacks]:
        if callback is not None:
            message = tr("fit: the callback {name} has no counterpart here and is left out", name=shown(callback))
            notes.add(heard.place, message)
    for name in ("class_weight", "sample_weight", "steps_per_epoch", "initial_epoch"):
        if given.get(name) is not None:
            notes.add(heard.place, left_out(f"fit: {name}={shown(given[name])}"))


def read(source: str, filename: str = "code.py", base: Experiment | None = None) -> Imported:
    """Reads Keras code, or a notebook with it.

    Args:
        source: The text of a ``.py`` file, of a notebook (``filename`` ends in ``.ipynb``), or a part of one.
        base: What the code does not say is taken from this experiment, and from the defaults if it is None.

    Raises:
        ImportFault: with every place that can't be read and what is allowed there.
    """
    notes, faults = Notes(), Faults()
    text, place = notebooks.code_of(source, filename, notes)
    keras = Keras(notes)
    interpreter = Interpreter(text, keras, notes, place)
    interpreter.run()
    try:
        return _read(keras, interpreter, base, notes, faults)
    except RecursionError:
        raise ImportFault([Fault(tr("the code"), tr("makes blocks that are nested too deeply"), MISSING)]) from None


def _read(keras: Keras, interpreter: Interpreter, base: Experiment | None, notes: Notes, faults: Faults) -> Imported:
    reader = Reader(keras, Terms(notes, faults), faults, notes)
    draft = Draft(layers=reader.layers(reader.model()))
    if keras.models:
        reader.note_unused()
    draft.input_shape, draft.data_place = reader.shape, reader.shape_place
    if keras.data is not None:
        draft.data, draft.data_place = keras.data
    read_compile(reader, draft)
    _fit(reader, draft)
    draft.seed = keras.seed
    draft.dtype = keras.dtype if keras.dtype in ("float32", "float64") else None
    if keras.dtype is not None and draft.dtype is None:
        notes.add(Place(), tr("set_floatx: {name} has no counterpart here; float32 is used", name=keras.dtype))
    draft.name, draft.description = titles(interpreter.tree)
    return assembled(draft, base, notes, faults)


def titles(tree: ast.Module) -> tuple[str, str]:
    """Name and description from the module's docstring."""
    words = ast.get_docstring(tree, clean=False)
    if not words:
        return "", ""
    first, _, rest = words.strip().partition("\n")
    return first.strip()[:200], rest.strip()[:20_000]

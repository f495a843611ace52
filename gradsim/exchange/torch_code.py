"""PyTorch code as an experiment: ``nn.Sequential(...)``, its optimizer, its loss and its clipping.

The code is parsed, never executed. PyTorch's ``nn.Linear`` starts from a uniform distribution with the limit
``1 / sqrt(in_features)``, for the bias too (``torch/nn/modules/linear.py``); that is what is taken over.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import Any

from gradsim.exchange import notebooks
from gradsim.exchange.assembling import FULL_BATCH, Draft, Entry, Faults, Json, Loop, assembled, folded
from gradsim.exchange.keras_code import no_layer, no_such_data, titles, with_output_activation
from gradsim.exchange.keras_terms import left_out, shown, truncated, used_instead
from gradsim.exchange.python_code import MAX_ITEMS, Framework, Function, Interpreter, Made, Name, Opaque
from gradsim.exchange.results import Imported, ImportFault, Notes, Place, Spot
from gradsim.i18n import tr
from gradsim.model import Experiment
from gradsim.nn.spec import MISSING, Fault

PARAMETER = "gradsim.parameter"
RESIDUAL = "own.Residual"
_MODULES = {
    "torch": "torch", "nn": "torch.nn", "optim": "torch.optim", "F": "torch.nn.functional", "np": "numpy",
    "math": "math", "init": "torch.nn.init", "gradsim": "gradsim",
}  # fmt: skip
# Name -> names of the arguments in PyTorch's order.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "Linear": ("in_features", "out_features", "bias", "device", "dtype"),
    "LazyLinear": ("out_features", "bias", "device", "dtype"),
    "BatchNorm1d": ("num_features", "eps", "momentum", "affine", "track_running_stats"),
    "LazyBatchNorm1d": ("eps", "momentum", "affine", "track_running_stats"),
    "LayerNorm": ("normalized_shape", "eps", "elementwise_affine", "bias"),
    "Dropout": ("p", "inplace"),
    "AlphaDropout": ("p", "inplace"),
    "Flatten": ("start_dim", "end_dim"),
    "LeakyReLU": ("negative_slope", "inplace"),
    "ELU": ("alpha", "inplace"),
    "PReLU": ("num_parameters", "init"),
    "Softmax": ("dim",),
    "LogSoftmax": ("dim",),
    "GELU": ("approximate",),
    "SGD": ("params", "lr", "momentum", "dampening", "weight_decay", "nesterov"),
    "Adam": ("params", "lr", "betas", "eps", "weight_decay", "amsgrad"),
    "AdamW": ("params", "lr", "betas", "eps", "weight_decay", "amsgrad"),
    "NAdam": ("params", "lr", "betas", "eps", "weight_decay", "momentum_decay"),
    "Adagrad": ("params", "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"),
    "RMSprop": ("params", "lr", "alpha", "eps", "weight_decay", "momentum", "centered"),
    "clip_grad_norm_": ("parameters", "max_norm", "norm_type"),
    "clip_grad_value_": ("parameters", "clip_value"),
    "CrossEntropyLoss": ("weight",),
}
_ACTIVATIONS = {
    "ReLU": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softmax": "softmax", "LogSoftmax": "softmax", "SELU": "selu",
    "GELU": "gelu", "SiLU": "silu", "Softplus": "softplus", "Softsign": "softsign", "Mish": "mish", "ReLU6": "relu",
    "Hardtanh": "tanh", "Hardsigmoid": "sigmoid", "Hardswish": "silu", "CELU": "elu", "LogSigmoid": "sigmoid",
    "Tanhshrink": "tanh", "Softmin": "softmax", "RReLU": "leaky_relu",
}  # fmt: skip
_APPROXIMATE = ("ReLU6", "Hardtanh", "Hardsigmoid", "Hardswish", "CELU", "LogSigmoid", "Tanhshrink", "Softmin", "RReLU")
_LOSSES = {
    "CrossEntropyLoss": "categorical_crossentropy", "NLLLoss": "categorical_crossentropy", "MSELoss": "mse",
    "L1Loss": "mae", "BCELoss": "binary_crossentropy", "BCEWithLogitsLoss": "binary_crossentropy",
    "cross_entropy": "categorical_crossentropy", "nll_loss": "categorical_crossentropy", "mse_loss": "mse",
    "l1_loss": "mae", "binary_cross_entropy": "binary_crossentropy",
    "binary_cross_entropy_with_logits": "binary_crossentropy", "SmoothL1Loss": "mae", "HuberLoss": "mae",
}  # fmt: skip
_ON_LOGITS = ("CrossEntropyLoss", "cross_entropy", "BCEWithLogitsLoss", "binary_cross_entropy_with_logits")
_OPTIMIZERS = {
    "SGD": "SGD", "Adam": "Adam", "AdamW": "AdamW", "NAdam": "Nadam", "Adagrad": "Adagrad", "RMSprop": "RMSprop",
    "Adamax": "Adam", "RAdam": "Adam", "Adadelta": "RMSprop", "ASGD": "SGD", "Rprop": "SGD", "LBFGS": "SGD",
}  # fmt: skip
# PyTorch's defaults, where they are not Keras'.
_DEFAULTS: dict[str, Json] = {
    "SGD": {"lr": 0.001},
    "Adam": {"eps": 1e-8},
    "AdamW": {"eps": 1e-8, "weight_decay": 0.01},
    "NAdam": {"lr": 0.002, "eps": 1e-8},
    "Adagrad": {"lr": 0.01, "initial_accumulator_value": 0.0, "eps": 1e-10},
    "RMSprop": {"lr": 0.01, "alpha": 0.99, "eps": 1e-8},
}
_INITIALIZERS = {
    "xavier_uniform_": "glorot_uniform", "xavier_normal_": "glorot_normal", "kaiming_uniform_": "he_uniform",
    "kaiming_normal_": "he_normal", "orthogonal_": "orthogonal", "zeros_": "zeros", "ones_": "ones", "eye_": "identity",
    "constant_": "constant", "normal_": "random_normal", "uniform_": "random_uniform",
    "trunc_normal_": "truncated_normal",
    "zero_": "zeros", "fill_": "constant", "xavier_uniform": "glorot_uniform", "xavier_normal": "glorot_normal",
    "kaiming_uniform": "he_uniform", "kaiming_normal": "he_normal",
}  # fmt: skip
_NAMED = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal")
_LAYERS = ("Linear", "LazyLinear", "BatchNorm1d", "LazyBatchNorm1d", "LayerNorm", "Dropout", "Flatten", "Sequential")
_SILENT = (
    "inplace", "device", "dtype", "track_running_stats", "dim", "start_dim", "end_dim", "params", "foreach", "fused",
    "maximize",
)  # fmt: skip


class Torch(Framework):
    """PyTorch's names, and what modules keep."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(notes)
        self.models: list[Made] = []
        self.loose: list[Made] = []
        self.optimizer: Made | None = None
        self.loss: Made | None = None
        self.clipping: list[Made] = []
        self.batch_size: int | str | None = None
        self.shuffle: bool | None = None
        self.seed: int | None = None
        self.dtype: str | None = None
        self.data: tuple[Any, Place] | None = None

    def undefined(self, name: str) -> Any:
        if name in _MODULES:
            return Name(_MODULES[name])
        if name in _LAYERS or name in _ACTIVATIONS:
            return Name(f"torch.nn.{name}")
        if name in ("clip_grad_norm_", "clip_grad_value_"):
            return Name(f"torch.nn.utils.{name}")
        return MISSING

    def defined(self, node: ast.ClassDef) -> tuple[str, dict[str, Any]] | None:
        """A residual block: a class whose forward is ``return x + self.something(x)``."""
        forward = next((s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == "forward"), None)
        if forward is None or len(forward.args.args) != 2:
            return None
        name = forward.args.args[1].arg
        body = [s for s in forward.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
        match body:
            case [ast.Return(value=ast.BinOp(left=left, op=ast.Add(), right=right))]:
                for plain, call in ((left, right), (right, left)):
                    block = _applied(call, name)
                    if block and isinstance(plain, ast.Name) and plain.id == name:
                        return RESIDUAL, {"block": block}
        return None

    def knows(self, dotted: str) -> bool:
        return dotted.startswith(("torch.", "torchvision.datasets.", "gradsim.")) or dotted == "numpy.load"

    def made(self, made: Made) -> Any:
        name, last = made.name, made.last
        if last == "manual_seed":
            if made.args and isinstance(made.args[0], int):
                self.seed = made.args[0]
            return None
        if last == "set_default_dtype":
            given = made.args[0] if made.args else None
            self.dtype = given.last if isinstance(given, Name) else None
            return None
        if name == "numpy.load" or name.startswith(("torchvision.datasets.", "gradsim.")):
            return self.load(made)
        if last == "DataLoader":
            size, shuffle = made.kwargs.get("batch_size"), made.kwargs.get("shuffle")
            if self.batch_size is None and isinstance(size, int) and not isinstance(size, bool):
                self.batch_size = size
                self.shuffle = shuffle is True
            return Opaque("DataLoader(...)", made.place)
        if made.name == RESIDUAL:
            block = made.attributes.get(made.attributes["block"])
            # What it keeps under the name "layers" is one module, and nothing that a model has.
            inside = self.sequence([block], made.place) if isinstance(block, Made) else None
            made.attributes = {"inside": inside, "trainable": made.attributes.get("trainable", True)}
            self.loose.append(made)
            self.models = [model for model in self.models if model is not block]
        elif last == "Sequential":
            made.attributes["layers"] = self.sequence(made.args, made.place)
            self.models.append(made)
        elif last in ("ModuleList",) and made.args and isinstance(made.args[0], list):
            made.attributes["layers"] = self.sequence(made.args[0], made.place)
        elif name.startswith("torch.nn.init."):
            self.initialized(made)
            return None
        elif last in ("clip_grad_norm_", "clip_grad_norm", "clip_grad_value_"):
            if not any(c.place == made.place for c in self.clipping):
                self.clipping.append(made)
        elif name.startswith("torch.optim.") and ".lr_scheduler" not in name and ".swa_utils" not in name:
            self.optimizer = made
        elif ".lr_scheduler." in name:
            self.notes.add(
                made.place,
                tr("{name} changes the rate by epochs; it has no counterpart here and is left out", name=last),
            )
        elif last in _LOSSES or (name.startswith("torch.nn.") and last.endswith("Loss")):
            self.loss = made
        elif name.startswith("torch.nn.") and last[:1].isupper():
            self.loose.append(made)
        else:
            return Opaque(f"{last}(...)", made.place)
        return made

    def load(self, made: Made) -> Opaque:
        given = made.args[0] if made.args else None
        if made.name.startswith("gradsim.") and made.last == "load" and isinstance(given, str | dict):
            self.data = (given, made.place)
        elif made.name == "numpy.load" and isinstance(given, str) and given.endswith(".npz"):
            self.data = ({"type": "npz", "path": given}, made.place)
        elif made.last == "FashionMNIST":
            self.data = ("fashion_mnist", made.place)
        elif made.name.startswith("torchvision.datasets."):
            self.notes.add(made.place, no_such_data(made.last))
        return Opaque(f"{made.last}(...)", made.place)

    def sequence(self, given: Sequence[Any], place: Place) -> list[Any]:
        if len(given) == 1 and isinstance(given[0], Made) and given[0].last == "OrderedDict" and given[0].args:
            given = given[0].args[0]
        if len(given) == 1 and isinstance(given[0], dict):
            given = list(given[0].values())
        found: list[Any] = []
        for layer in given:
            # OrderedDict([("name", layer), ...])
            layer = layer[1] if isinstance(layer, tuple) and len(layer) == 2 else layer
            if isinstance(layer, Made) and isinstance(layer.attributes.get("layers"), list):
                found += layer.attributes["layers"]
            else:
                found.append(layer)
            if len(found) > MAX_ITEMS:
                raise ImportFault(
                    [Fault(Spot(place), tr("must be at most {limit:,} layers", limit=MAX_ITEMS), tr("more"))]
                )
        return found

    def attribute(self, made: Made, name: str) -> Any:
        if name in ("weight", "bias") and made.name.startswith("torch.nn."):
            return Made(PARAMETER, [], {}, made.place, made.loop, {"layer": made, "role": name})
        if made.name == PARAMETER and name == "data":
            return made
        if name == "in_features" or name == "out_features":
            return arguments(made).get(name, MISSING)
        return made.attributes.get(name, MISSING)

    def assigned(self, made: Made, name: str, value: Any, place: Place) -> None:
        if made.name == PARAMETER and name == "requires_grad" and isinstance(value, bool):
            made.attributes["layer"].attributes["trainable"] = value
            return
        made.attributes[name] = value

    def initialized(self, made: Made) -> None:
        """``nn.init.xavier_uniform_(layer.weight)``."""
        target = made.args[0] if made.args else made.kwargs.get("tensor")
        if isinstance(target, Made) and target.name == PARAMETER:
            made.args = made.args[1:]
            target.attributes["layer"].attributes[f"{target.attributes['role']}_initializer"] = made
        else:
            message = tr(
                "{name}: {value} is no weight that can be known; left out", name=made.last, value=shown(target)
            )
            self.notes.add(made.place, message)

    def function(self, function: Function, args: list[Any], place: Place) -> Any:
        # Keras' initializers have no counterpart of the same name in PyTorch, so that scripts define their own.
        target = args[0] if len(args) == 1 else None
        if function.name in _NAMED and isinstance(target, Made) and target.name == PARAMETER:
            self.initialized(Made(f"torch.nn.init.{function.name}", [target], {}, place))
            return target
        return MISSING

    def called(self, made: Made, args: list[Any], kwargs: dict[str, Any], place: Place, interpreter: Any) -> Any:
        return Opaque(f"{made.last}(...)", place)

    def method(
        self, owner: Any, name: str, args: list[Any], kwargs: dict[str, Any], place: Place, interpreter: Interpreter
    ) -> Any:
        if isinstance(owner, Opaque):
            # The rows of a step, as ``torch.randperm(len(x)).split(32)`` gives them.
            if name == "split" and args and owner.text in ("randperm(...)", "arange(...)"):
                size = args[0]
                known = isinstance(size, int) and not isinstance(size, bool)
                self.batch_size = size if known else FULL_BATCH if isinstance(size, Opaque) else None
                self.shuffle = owner.text == "randperm(...)"
            return MISSING
        if owner.name == PARAMETER:
            if name in _INITIALIZERS:
                self.initialized(Made(f"torch.nn.init.{name}", [owner, *args], kwargs, place))
                return owner
            if name == "requires_grad_":
                owner.attributes["layer"].attributes["trainable"] = args[0] if args else True
            return owner
        layers = owner.attributes.get("layers")
        if name in ("append", "add_module", "extend") and isinstance(layers, list) and args:
            layers += self.sequence(args[0] if name == "extend" and isinstance(args[0], list) else args[-1:], place)
            return owner
        if name == "apply" and args and isinstance(args[0], Function):
            for layer in layers if isinstance(layers, list) else [owner]:
                if isinstance(layer, Made):
                    interpreter.function_call(args[0], [layer], {}, interpreter.tree)
            return owner
        if name in ("parameters", "named_parameters"):
            parts = [owner] if layers is None else [layer for layer in layers if isinstance(layer, Made)]
            found = [self.attribute(layer, "weight") for layer in parts]
            return [("weight", p) for p in found] if name == "named_parameters" else found
        if name in ("modules", "children") and isinstance(layers, list):
            return list(layers)
        if name == "requires_grad_":
            for layer in layers if isinstance(layers, list) else [owner]:
                if isinstance(layer, Made):
                    layer.attributes["trainable"] = bool(args[0]) if args else True
            return owner
        if name in ("to", "cuda", "cpu", "train", "eval", "float", "double"):
            if name == "double":
                self.dtype = "float64"
            return owner
        return MISSING

    def isinstance(self, value: Any, kinds: Sequence[Any]) -> bool | None:
        if not isinstance(value, Made) or not all(isinstance(kind, Name) for kind in kinds):
            return None
        return any(kind.last == value.last or kind.last == "Module" for kind in kinds)

    def combined(self, op: ast.operator, left: Made, right: Made, place: Place, loop: Loop) -> Any:
        return MISSING


def _applied(node: ast.expr, name: str) -> str:
    """The attribute ``block`` in ``self.block(x)``, or ""."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=block), args=[ast.Name(id=given)]):
            return block if given == name else ""
        case _:
            return ""


def arguments(made: Made) -> dict[str, Any]:
    """The arguments of a call by PyTorch's names."""
    return {**dict(zip(_ARGUMENTS.get(made.last, ()), made.args, strict=False)), **made.kwargs}


class _Reader:
    def __init__(self, torch: Torch, faults: Faults, notes: Notes) -> None:
        self.torch, self.faults, self.notes = torch, faults, notes

    def number(self, made: Made, given: dict[str, Any], name: str, default: Any) -> Any:
        """A number or truth value; the default, with a note, where it can't be known."""
        value = given.pop(name, default)
        if isinstance(value, int | float):
            return value
        if value is not None:
            message = tr(
                "{name}={value} can't be known; {default} is used",
                name=f"{made.last}: {name}",
                value=shown(value),
                default=default,
            )
            self.notes.add(made.place, message)
        return default

    def rest(self, made: Made, given: dict[str, Any]) -> None:
        for name, value in given.items():
            if name not in _SILENT and value not in (None, False):
                self.notes.add(made.place, left_out(f"{made.last}: {name}={shown(value)}"))

    def layer(self, made: Made) -> list[Json]:
        last = made.last
        reader: Callable[[Made, dict[str, Any]], Json | None] | None = {
            "Linear": self.dense,
            "LazyLinear": self.dense,
            "BatchNorm1d": self.batch_normalization,
            "LazyBatchNorm1d": self.batch_normalization,
            "LayerNorm": self.layer_normalization,
            "Dropout": self.dropout,
            "AlphaDropout": self.dropout,
            "Flatten": lambda made, given: {"type": "Flatten"},
            "PReLU": self.prelu,
        }.get(last)
        if reader is not None:
            given = arguments(made)
            content = reader(made, given)
            self.rest(made, given)
        elif last in _ACTIVATIONS or last in ("LeakyReLU", "ELU"):
            content = {"type": "Activation", "activation": self.activation(made)}
        elif last == "Identity":
            content = None
        else:
            self.notes.add(made.place, left_out(last))
            content = None
        if content is None:
            return []
        if made.attributes.get("trainable") is False:
            content["trainable"] = False
        return [content] if self.faults.checked("layer", content, made.place) else []

    def dense(self, made: Made, given: dict[str, Any]) -> Json | None:
        inputs = given.pop("in_features", None)
        units = given.pop("out_features", None)
        if units is not None and not isinstance(units, int):
            words = tr(
                "{name}: {field} must be known without running the code; {value} is not",
                name=made.last,
                field="out_features",
                value=shown(units),
            )
            self.faults.add(made.place, words)
            return None
        content: Json = {"type": "Dense", **({} if units is None else {"units": units})}
        bias = given.pop("bias", True)
        if bias is False:
            content["use_bias"] = False
        limit = 1 / math.sqrt(inputs) if isinstance(inputs, int) and inputs > 0 else None
        own: Json | str = (
            "lecun_uniform" if limit is None else {"type": "random_uniform", "minval": -limit, "maxval": limit}
        )
        kernel = made.attributes.get("weight_initializer")
        content["kernel_initializer"] = own if kernel is None else self.initializer(kernel, made)
        if limit is None and kernel is None:
            message = tr("{name}: the inputs are not known; lecun_uniform is used to start from", name=made.last)
            self.notes.add(made.place, message)
        of_bias = made.attributes.get("bias_initializer")
        if bias is not False and (of_bias is not None or limit is not None):
            content["bias_initializer"] = own if of_bias is None else self.initializer(of_bias, made)
        return content

    def initializer(self, made: Made, layer: Made) -> Json | str:
        if made.last in _NAMED:
            return made.last
        name = _INITIALIZERS.get(made.last)
        if name is None:
            self.notes.add(made.place, used_instead(made.last, "lecun_uniform"))
            return "lecun_uniform"
        first = made.args[0] if made.args else None
        second = made.args[1] if len(made.args) > 1 else None
        given = dict(made.kwargs)
        content: Json = {"type": name}
        if name in ("random_normal", "truncated_normal"):
            content["mean"] = given.pop("mean", first if isinstance(first, int | float) else 0.0)
            content["stddev"] = given.pop("std", second if isinstance(second, int | float) else 1.0)
        elif name == "random_uniform":
            content["minval"] = given.pop("a", first if isinstance(first, int | float) else 0.0)
            content["maxval"] = given.pop("b", second if isinstance(second, int | float) else 1.0)
        elif name == "constant":
            content["value"] = given.pop("val", first if isinstance(first, int | float) else 0.0)
        elif name == "orthogonal":
            content["gain"] = given.pop("gain", first if isinstance(first, int | float) else 1.0)
        elif name.startswith("he_") and given.get("nonlinearity") in ("linear", "sigmoid", "selu"):
            content["type"] = name.replace("he_", "lecun_")
            given.pop("nonlinearity")
        given.pop("nonlinearity", None)
        if given.get("mode") in (None, "fan_in"):
            given.pop("mode", None)
        if given.get("a") in (0, 0.0):
            given.pop("a")
        if name.endswith("_normal") and name[:3] in ("he_", "glo"):
            self.notes.add(made.place, truncated(made.last, content["type"]))
        self.rest(made, given)
        return content if self.faults.checked("initializer", content, made.place) else "lecun_uniform"

    def batch_normalization(self, made: Made, given: dict[str, Any]) -> Json:
        given.pop("num_features", None)
        affine = given.pop("affine", True) is not False
        return {
            "type": "BatchNormalization",
            "momentum": round(1.0 - self.number(made, given, "momentum", 0.1), 12),
            "epsilon": self.number(made, given, "eps", 1e-5),
            **({} if affine else {"center": False, "scale": False}),
        }

    def layer_normalization(self, made: Made, given: dict[str, Any]) -> Json:
        given.pop("normalized_shape", None)
        affine = given.pop("elementwise_affine", True) is not False
        centred = given.pop("bias", True) is not False
        content: Json = {"type": "LayerNormalization", "epsilon": self.number(made, given, "eps", 1e-5)}
        if not affine:
            content["scale"] = False
        if not affine or not centred:
            content["center"] = False
        return content

    def dropout(self, made: Made, given: dict[str, Any]) -> Json:
        if made.last != "Dropout":
            self.notes.add(made.place, used_instead(made.last, "Dropout"))
        return {"type": "Dropout", "rate": self.number(made, given, "p", 0.5)}

    def prelu(self, made: Made, given: dict[str, Any]) -> Json:
        if self.number(made, given, "num_parameters", 1) == 1:
            self.notes.add(made.place, tr("PReLU has one slope for the whole layer there; here every unit has its own"))
        start = self.number(made, given, "init", 0.25)
        return {"type": "PReLU", "alpha_initializer": {"type": "constant", "value": start}}

    def activation(self, made: Made) -> Json | str:
        last, given = made.last, arguments(made)
        if last == "LeakyReLU":
            found: Json | str = {
                "type": "leaky_relu",
                "negative_slope": self.number(made, given, "negative_slope", 0.01),
            }
        elif last == "ELU":
            found = {"type": "elu", "alpha": self.number(made, given, "alpha", 1.0)}
        else:
            found = _ACTIVATIONS[last]
            if last in _APPROXIMATE:
                self.notes.add(made.place, used_instead(last, found))
            if given.get("approximate") == "none":
                given.pop("approximate")
        self.rest(made, given)
        return found

    def layers(self) -> tuple[list[Json] | None, tuple[int, ...] | None, Place]:
        model = self.torch.models[-1] if self.torch.models else None
        for other in self.torch.models[:-1]:
            mine = {id(layer) for layer in other.attributes["layers"]}
            if model is not None and not mine <= {id(layer) for layer in model.attributes["layers"]}:
                self.notes.add(other.place, tr("another nn.Sequential of this code is taken; this one is left out"))
        if model is None and not self.torch.loose:
            return None, None, Place()
        made = self.torch.loose if model is None else model.attributes["layers"]
        if model is None:
            self.notes.add(made[0].place, tr("no nn.Sequential is made here; the layers are stacked in their order"))
        shape, place = self.input_shape(made)
        return folded(self.entries(made), model.loop if model is not None else ()), shape, place

    def input_shape(self, made: Sequence[Any]) -> tuple[tuple[int, ...] | None, Place]:
        """The shape of a row, from the first linear layer."""
        known = [layer for layer in made if isinstance(layer, Made)]
        flat = bool(known) and known[0].last == "Flatten"
        first = known[1] if flat and len(known) > 1 else known[0] if known else None
        inputs = arguments(first).get("in_features") if first is not None else None
        if first is None or not isinstance(inputs, int) or inputs < 1:
            return None, Place()
        side = math.isqrt(inputs)
        return ((side, side) if flat and side * side == inputs else (inputs,)), first.place

    def entries(self, made: Sequence[Any]) -> list[Entry]:
        """The layers of a sequence; an activation joins the Dense layer before it."""
        entries: list[Entry] = []
        for layer in made:
            if not isinstance(layer, Made) or (layer.name == RESIDUAL and layer.attributes["inside"] is None):
                self.notes.add(getattr(layer, "place", Place()), no_layer(layer))
                continue
            if layer.name == RESIDUAL:
                block = folded(self.entries(layer.attributes["inside"]), layer.loop)
                entries.append(Entry({"type": "Residual", "layers": block}, layer.place, layer.loop))
                continue
            for content in self.layer(layer):
                before = entries[-1] if entries else None
                joined = (
                    content["type"] == "Activation"
                    and before is not None
                    and before.content.get("type") == "Dense"
                    and "activation" not in before.content
                    and before.loop == layer.loop
                )
                if joined and before is not None:
                    if content["activation"] != "linear":
                        before.content["activation"] = content["activation"]
                else:
                    entries.append(Entry(content, layer.place, layer.loop))
        return entries

    def loss(self, draft: Draft) -> None:
        made = self.torch.loss
        if made is None:
            self.notes.add(Place(), tr("no loss is made here; it stays as it is"))
            return
        if made.last not in _LOSSES:
            self.notes.add(made.place, left_out(made.last))
            return
        draft.loss = _LOSSES[made.last]
        if made.last in ("SmoothL1Loss", "HuberLoss"):
            self.notes.add(made.place, used_instead(made.last, "mae"))
        given = arguments(made) if made.name.rpartition(".")[0].endswith("nn") else {}
        if given.get("reduction") == "mean":
            given.pop("reduction")
        self.rest(made, given)
        if made.last in _ON_LOGITS and draft.layers:
            with_output_activation(draft.layers, str(draft.loss), made.place, self.notes)

    def optimizer(self, draft: Draft) -> None:
        made = self.torch.optimizer
        if made is None:
            self.notes.add(Place(), tr("no optimizer is made here; it stays as it is"))
            return
        name = _OPTIMIZERS.get(made.last)
        if name is None:
            self.notes.add(made.place, used_instead(made.last, "SGD"))
            name = "SGD"
        elif name != {"NAdam": "Nadam"}.get(made.last, made.last):
            self.notes.add(made.place, used_instead(made.last, name))
        defaults = _DEFAULTS.get(made.last, {})
        given = {**defaults, **arguments(made)}
        content: Json = {"type": name, "learning_rate": self.number(made, given, "lr", defaults.get("lr", 0.001))}
        betas = given.pop("betas", None)
        if isinstance(betas, list | tuple) and len(betas) == 2 and all(isinstance(b, int | float) for b in betas):
            content |= {"beta_1": betas[0], "beta_2": betas[1]}
        elif betas is not None:
            message = tr(
                "{name}: betas={value} can't be known; the defaults are used", name=made.last, value=shown(betas)
            )
            self.notes.add(made.place, message)
        if name == "SGD":
            content["momentum"] = self.number(made, given, "momentum", 0.0)
            content["nesterov"] = bool(self.number(made, given, "nesterov", False))
        if name in ("Adam", "AdamW", "Nadam"):
            content["epsilon"] = self.number(made, given, "eps", 1e-8)
        if name in ("Adagrad", "RMSprop") and made.last == name:
            # PyTorch adds it to the root, Keras to what is under it.
            content["epsilon"] = self.number(made, given, "eps", 1e-8) ** 2
            message = tr("{name}: epsilon is added under the root here; its square is used", name=made.last)
            self.notes.add(made.place, message)
        if name == "Adagrad" and made.last == name:
            content["initial_accumulator_value"] = self.number(made, given, "initial_accumulator_value", 0.0)
        if name == "RMSprop" and made.last == name:
            content |= {
                "rho": self.number(made, given, "alpha", 0.99),
                "momentum": self.number(made, given, "momentum", 0.0),
                "centered": bool(self.number(made, given, "centered", False)),
            }
        decay = self.number(made, given, "weight_decay", 0.0)
        if name == "AdamW":
            content["weight_decay"] = decay
        elif decay and draft.layers:
            message = tr(
                "{name}: weight_decay={decay:g} acts as an l2 regularizer of {factor:g} on every kernel (not on "
                "biases)",
                name=made.last,
                decay=decay,
                factor=decay / 2,
            )
            self.notes.add(made.place, message)
            _regularize(draft.layers, {"type": "l2", "l2": decay / 2})
        self.rest(made, given)
        content |= self.clipping()
        if self.faults.checked("optimizer", content, made.place):
            draft.optimizer = content

    def clipping(self) -> Json:
        found: Json = {}
        for made in self.torch.clipping:
            given = arguments(made)
            given.pop("parameters", None)
            value = made.last == "clip_grad_value_"
            bound = given.pop("clip_value" if value else "max_norm", None)
            if not isinstance(bound, int | float) or isinstance(bound, bool):
                message = tr(
                    "{name}: {value} can't be known without running the code; left out",
                    name=made.last,
                    value=shown(bound),
                )
                self.notes.add(made.place, message)
                continue
            if found:
                message = tr("{name}: only one way of clipping can be set here; left out", name=made.last)
                self.notes.add(made.place, message)
                continue
            if given.get("norm_type") in (2, 2.0):
                given.pop("norm_type")
            self.rest(made, given)
            found["clipvalue" if value else "global_clipnorm"] = bound
        return found


def _regularize(layers: list[Json], regularizer: Json) -> None:
    for layer in layers:
        if layer.get("type") == "Dense":
            layer["kernel_regularizer"] = regularizer
        _regularize(layer.get("layers", []), regularizer)


def read(source: str, filename: str = "code.py", base: Experiment | None = None) -> Imported:
    """Reads PyTorch code, or a notebook with it; arguments and errors as :func:`gradsim.exchange.keras_code.read`."""
    notes, faults = Notes(), Faults()
    text, place = notebooks.code_of(source, filename, notes)
    torch = Torch(notes)
    interpreter = Interpreter(text, torch, notes, place)
    interpreter.run()
    reader = _Reader(torch, faults, notes)
    draft = Draft()
    draft.layers, draft.input_shape, draft.data_place = reader.layers()
    if torch.data is not None:
        draft.data, draft.data_place = torch.data
    reader.loss(draft)
    reader.optimizer(draft)
    draft.batch_size, draft.shuffle, draft.seed = torch.batch_size, torch.shuffle, torch.seed
    draft.dtype = torch.dtype if torch.dtype in ("float32", "float64") else None
    draft.name, draft.description = titles(interpreter.tree)
    return assembled(draft, base, notes, faults)

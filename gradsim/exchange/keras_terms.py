"""What Keras' names mean here: from a layer, an optimizer, a loss as Keras code or a Keras config has it to ours.

The vocabulary itself is the registries'; this module knows only what differs: old spellings, arguments that have no
counterpart, and what to do instead. Facts follow ``keras/src`` of Keras 3.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from gradsim.exchange.assembling import Faults, Json
from gradsim.exchange.python_code import Function, Made, Name, Opaque, Partial
from gradsim.exchange.results import Notes, Place
from gradsim.i18n import tr
from gradsim.model.faults import near
from gradsim.nn import layers as nn_layers
from gradsim.nn.spec import MISSING, REGISTRIES, FieldView, fields_of

# Where Keras' order of arguments is not that of our fields.
_POSITIONAL: dict[str, tuple[str, ...]] = {
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "LayerNormalization": ("axis", "epsilon", "center", "scale"),
    "AdamW": ("learning_rate", "weight_decay", "beta_1", "beta_2", "epsilon"),
    "Flatten": ("data_format",),
    "CosineDecay": ("initial_learning_rate", "decay_steps", "alpha", "name", "warmup_target", "warmup_steps"),
    "Input": ("shape", "batch_size"),
    "InputLayer": ("shape", "batch_size"),
    "L1": ("l1",),
    "L2": ("l2",),
}
_OLD_NAMES = {"lr": "learning_rate", "alpha": "negative_slope", "l": "l2", "p": "rate", "units_": "units"}
_SHAPES = ("input_shape", "batch_input_shape", "input_dim", "batch_shape", "shape")
# Arguments without a counterpart that change nothing as long as they have one of these values.
_ANYTHING = object()
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(_SHAPES, (_ANYTHING,)),
    "dtype": (_ANYTHING,),
    "name": (_ANYTHING,),
    "axis": (-1, 1, None, [-1], (-1,)),
    "renorm": (False,),
    "renorm_momentum": (_ANYTHING,),
    "data_format": (None, "channels_last"),
    "noise_shape": (None,),
    "synchronized": (False,),
    "rms_scaling": (False,),
    "use_ema": (False,),
    "ema_momentum": (_ANYTHING,),
    "ema_overwrite_frequency": (_ANYTHING,),
    "amsgrad": (False,),
    "weight_decay": (None, 0, 0.0),
    "loss_scale_factor": (None,),
    "gradient_accumulation_steps": (None, 1),
    "jit_compile": (_ANYTHING,),
    "decay": (0, 0.0, None),
    "shared_axes": (None,),
    "lora_rank": (None,),
    "lora_alpha": (None,),
    "quantization_config": (None,),
    "reduction": ("sum_over_batch_size", "auto", "mean"),
    "label_smoothing": (0, 0.0),
    "is_legacy_optimizer": (False,),
}
_NEUTRAL_SPECS = {
    "beta_initializer": "zeros", "gamma_initializer": "ones", "moving_mean_initializer": "zeros",
    "moving_variance_initializer": "ones",
}  # fmt: skip
_ACTIVATIONS = {
    "hard_sigmoid": "sigmoid", "relu6": "relu", "hard_silu": "silu", "hard_swish": "silu", "celu": "elu",
    "log_softmax": "softmax", "hard_tanh": "tanh", "log_sigmoid": "sigmoid", "exponential": "softplus",
    "soft_shrink": "tanh", "sparse_plus": "softplus", "squareplus": "softplus", "glu": "sigmoid",
}  # fmt: skip
_LOSSES = {
    "huber": "mae", "log_cosh": "mse", "logcosh": "mse", "mape": "mae", "mean_absolute_percentage_error": "mae",
    "msle": "mse", "mean_squared_logarithmic_error": "mse", "poisson": "mse", "hinge": "binary_crossentropy",
    "squared_hinge": "binary_crossentropy", "binary_focal_crossentropy": "binary_crossentropy",
    "categorical_focal_crossentropy": "categorical_crossentropy", "categorical_hinge": "categorical_crossentropy",
    "kl_divergence": "categorical_crossentropy", "kld": "categorical_crossentropy", "cosine_similarity": "mse",
    "kullback_leibler_divergence": "categorical_crossentropy",
}  # fmt: skip
_OPTIMIZERS = {
    "Adadelta": "RMSprop", "Adamax": "Adam", "Ftrl": "Adagrad", "Lion": "Adam", "Adafactor": "Adam", "Lamb": "AdamW",
    "Muon": "SGD",
}  # fmt: skip
REPLACED = {
    "GlobalAveragePooling2D": "Flatten", "GlobalMaxPooling2D": "Flatten", "Reshape": None, "AlphaDropout": "Dropout",
    "GaussianDropout": "Dropout", "SpatialDropout1D": "Dropout", "SpatialDropout2D": "Dropout",
    "GroupNormalization": "LayerNormalization", "RMSNormalization": "LayerNormalization",
}  # fmt: skip


def _snake(name: str) -> str:
    text = "".join(
        ("_" + c.lower()) if c.isupper() and i and not name[i - 1].isupper() else c.lower() for i, c in enumerate(name)
    )
    return {"bce": "binary_crossentropy"}.get(text, text)


class Terms:
    """Translates. Differences go to ``notes``, impossible values to ``faults``."""

    def __init__(self, notes: Notes, faults: Faults) -> None:
        self.notes = notes
        self.faults = faults
        self.dtypes: list[str] = []

    # Arguments

    def arguments(self, made: Made, cls: type[Any] | None = None) -> dict[str, Any]:
        """The arguments of a call by name."""
        names = _POSITIONAL.get(cls.identifier if cls is not None and cls.identifier in _POSITIONAL else made.last)
        if names is None:
            names = tuple(f.name for f in dataclasses.fields(cls) if not f.kw_only) if cls is not None else ()
        given = dict(zip(names, made.args, strict=False))
        for extra in made.args[len(names) :] if cls is not None else ():
            self.notes.add(
                made.place, tr("{name}: the argument {value} is left out", name=made.last, value=shown(extra))
            )
        return {**given, **made.kwargs}

    def fields(self, kind: str, cls: type[Any], made: Made) -> Json:
        """What a spec of the class gets from the arguments of a call."""
        views = {view.name: view for view in fields_of(cls) if not view.hidden}
        content: Json = {"type": cls.identifier}
        for name, value in self.arguments(made, cls).items():
            key = name
            if key not in views and _OLD_NAMES.get(key) in views:
                key = _OLD_NAMES[key]
            elif key == "l" and "l1" in views:
                key = "l1"
            view = views.get(key)
            if view is None or (kind != "layer" and key in ("name", "trainable")):
                self.neutral(made, name, value)
                continue
            if key == "name" and value is None:
                continue
            found = self.field(view, value, made)
            if found is not MISSING:
                content[key] = found
        return content

    def field(self, view: FieldView, value: Any, made: Made) -> Any:
        """One value of a spec, or MISSING for its default."""
        if isinstance(value, Made) and value.last == "get" and value.args:
            value = value.args[0]
        if view.kind == "schedule" and isinstance(value, Made):
            return self.schedule(value)
        if view.type == "spec":
            return self.reference(view.kind, value, made.place, f"{made.last}: {view.name}")
        if isinstance(value, int | float | str | bool) or (value is None and view.optional):
            if view.type == "int" and isinstance(value, float) and value.is_integer():
                return int(value)
            return value
        if value is None:
            return MISSING
        if view.required:
            message = tr(
                "{name}: {field} must be known without running the code; {value} is not",
                name=made.last,
                field=view.name,
                value=shown(value),
            )
            self.faults.add(_place_of(value, made.place), message)
            return 1
        self.notes.add(
            _place_of(value, made.place),
            tr(
                "{name}: {field}={value} can't be known without running the code; the default {default} is used",
                name=made.last,
                field=view.name,
                value=shown(value),
                default=_default(view),
            ),
        )
        return MISSING

    def neutral(self, made: Made, name: str, value: Any) -> None:
        """Notes an argument that has no counterpart, unless it changes nothing."""
        if name in _NEUTRAL_SPECS:
            if value is None or _NEUTRAL_SPECS[name] == _identifier("initializer", value):
                return
        elif name == "dtype":
            self.dtype(value)
            return
        elif (
            name in _NEUTRAL
            and (_ANYTHING in _NEUTRAL[name] or any(type(value) is type(v) and value == v for v in _NEUTRAL[name]))
        ) or value is None:
            return
        elif name == "seed":
            self.notes.add(
                made.place,
                tr("{name} is left out; the experiment has one seed for all", name=f"{made.last}: seed={shown(value)}"),
            )
            return
        self.notes.add(made.place, left_out(f"{made.last}: {name}={shown(value)}"))

    def dtype(self, value: Any) -> None:
        """Remembers a number format that a layer names."""
        if isinstance(value, Made):
            value = value.kwargs.get("name")
        if isinstance(value, str):
            self.dtypes.append(value)

    # Layers

    def layer(self, made: Made) -> list[Json]:
        """A layer as a file holds it; none if it has no counterpart, two if it takes two."""
        name = made.last
        registry = nn_layers.registry
        if name in ("ReLU", "Softmax"):
            return self.activation_layer(made)
        if name in ("Identity", "ActivityRegularization", "InputLayer", "Input"):
            return []
        if name in REPLACED or name not in registry or name in ("Repeat", "Residual"):
            return self.replaced(made)
        cls = registry[name]
        content = self.fields("layer", cls, made)
        content.update(self.state(made))
        after: list[Json] = []
        activation = content.get("activation")
        if isinstance(activation, dict) and activation.get("type") == "PReLU":
            content["activation"] = "linear"
            after = [activation]
            if name == "Activation":
                return after
        return [entry for entry in (content, *after) if self.faults.checked("layer", entry, made.place)]

    def state(self, made: Made) -> Json:
        """What was set on a layer after it was made."""
        trainable = made.attributes.get("trainable")
        return {"trainable": trainable} if isinstance(trainable, bool) else {}

    def activation_layer(self, made: Made) -> list[Json]:
        content: Json = {"type": "Activation", "activation": self.layer_activation(made)}
        if isinstance(made.kwargs.get("name"), str):
            content["name"] = made.kwargs["name"]
        return [content] if self.faults.checked("layer", content, made.place) else []

    def replaced(self, made: Made) -> list[Json]:
        """What stands for a layer that does not exist here."""
        name = made.last
        instead = REPLACED.get(name)
        if instead is None:
            known = near(name, [k for k in nn_layers.registry if k not in ("Repeat", "Residual")])
            self.notes.add(made.place, left_out(name) + known)
            return []
        self.notes.add(made.place, used_instead(name, instead))
        content: Json = {"type": instead}
        rate = self.arguments(Made("Dropout", made.args, made.kwargs, made.place), nn_layers.Dropout).get("rate")
        if instead == "Dropout" and isinstance(rate, int | float):
            content["rate"] = rate
        return [content] if self.faults.checked("layer", content, made.place) else []

    def input_shape(self, made: Made) -> tuple[int, ...] | None:
        """The input shape that a layer names, without the batch axis, or None."""
        given = self.arguments(made)
        for name in _SHAPES:
            value = given.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                value = (value,)
            if isinstance(value, list | tuple):
                shape = tuple(value)[1:] if name.startswith("batch") else tuple(value)
                if shape and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape):
                    return shape
        return None

    # What a field refers to

    def reference(self, kind: str, value: Any, place: Place, where: str) -> Any:
        """A spec by name, class or call as a file holds it; MISSING for the default."""
        if kind == "activation":
            return self.activation(value, place, where)
        if kind == "initializer":
            return self.initializer(value, place, where)
        if kind == "regularizer":
            return self.regularizer(value, place, where)
        return MISSING

    def unknown(self, value: Any, place: Place, where: str, instead: str) -> None:
        what = tr("a function of its own") if isinstance(value, Function) else shown(value)
        if isinstance(value, Function) and value.is_lambda:
            what = tr("a lambda")
        message = tr("{place}: {what} can't be represented; {instead} is used", place=where, what=what, instead=instead)
        self.notes.add(_place_of(value, place), message)

    def activation(self, value: Any, place: Place, where: str) -> Any:
        """An activation; linear where there is none or it can't be represented."""
        if value is None:
            return "linear"
        if isinstance(value, Made):
            return self.layer_activation(value)
        name = value if isinstance(value, str) else value.last if isinstance(value, Name) else None
        if name is not None and name in REGISTRIES["activation"]:
            return REGISTRIES["activation"][name].identifier
        if name is not None and (name.lower() in _ACTIVATIONS or name.lower() in REGISTRIES["activation"]):
            return self.substitute("activation", name.lower(), _ACTIVATIONS, place, where)
        if isinstance(value, str):
            names = list(REGISTRIES["activation"])
            self.faults.add(place, _one_of(where, names, value), value)
            return "linear"
        self.unknown(value, place, where, "linear")
        return "linear"

    def substitute(self, kind: str, name: str, table: dict[str, str], place: Place, where: str) -> str:
        if name in REGISTRIES[kind]:
            return str(REGISTRIES[kind][name].identifier)
        self.notes.add(place, used_instead(f"{where}: {name}", table[name]))
        return table[name]

    def layer_activation(self, made: Made) -> Any:
        """A layer that is used as an activation."""
        name = made.last
        if name == "ReLU":
            given = self.arguments(made)
            extra = {
                k: v for k, v in given.items() if k not in ("name", "dtype", "trainable") and v not in (None, 0, 0.0)
            }
            slope = extra.pop("negative_slope", None)
            for key, value in extra.items():
                self.notes.add(made.place, left_out(f"ReLU: {key}={shown(value)}"))
            return "relu" if slope is None else {"type": "leaky_relu", "negative_slope": slope}
        if name == "Softmax":
            return "softmax"
        if name in ("LeakyReLU", "ELU"):
            content = self.fields("layer", nn_layers.registry[name], made)
            slope = content.get("negative_slope", 0.3)
            if name == "LeakyReLU":
                return {"type": "leaky_relu", "negative_slope": slope}
            return {"type": "elu", "alpha": content["alpha"]} if "alpha" in content else "elu"
        if name == "PReLU":
            return self.fields("layer", nn_layers.PReLU, made)
        if name == "Activation":
            return self.activation(
                self.arguments(made, nn_layers.Activation).get("activation"), made.place, "Activation"
            )
        if name in REGISTRIES["activation"]:
            return self.fields("activation", REGISTRIES["activation"][name], made)
        self.unknown(made, made.place, "activation", "linear")
        return "linear"

    def initializer(self, value: Any, place: Place, where: str) -> Any:
        """An initializer; MISSING for the default."""
        registry = REGISTRIES["initializer"]
        if value is None:
            return MISSING
        if isinstance(value, Made) and value.last in ("VarianceScaling", "variance_scaling"):
            return self.variance_scaling(value)
        if isinstance(value, Made) and value.last in registry:
            content = self.fields("initializer", registry[value.last], value)
            return content["type"] if len(content) == 1 else content
        name = value if isinstance(value, str) else value.last if isinstance(value, Name) else None
        if name is not None and name in registry:
            return registry[name].identifier
        if isinstance(value, str):
            self.faults.add(place, _one_of(where, registry, value), value)
            return MISSING
        self.unknown(value, place, where, tr("the default"))
        return MISSING

    def variance_scaling(self, made: Made) -> Any:
        """One of the named initializers for Keras' general one."""
        given = dict(zip(("scale", "mode", "distribution", "seed"), made.args, strict=False)) | made.kwargs
        scale, mode = given.get("scale", 1.0), given.get("mode", "fan_in")
        spread = given.get("distribution", "truncated_normal")
        form = "uniform" if spread == "uniform" else "normal"
        exact = {(2.0, "fan_in"): "he", (1.0, "fan_in"): "lecun", (1.0, "fan_avg"): "glorot"}
        if isinstance(scale, int | float) and (float(scale), mode) in exact:
            name = f"{exact[float(scale), mode]}_{form}"
            if spread == "untruncated_normal":
                self.notes.add(made.place, truncated("VarianceScaling", name))
            return name
        near_by = (
            "he"
            if not isinstance(scale, int | float) or scale > math.sqrt(2)
            else "glorot"
            if mode == "fan_avg"
            else "lecun"
        )
        wanted = f"VarianceScaling(scale={shown(scale)}, mode={shown(mode)})"
        self.notes.add(made.place, used_instead(wanted, f"{near_by}_{form}"))
        return f"{near_by}_{form}"

    def regularizer(self, value: Any, place: Place, where: str) -> Any:
        """A regularizer, or None."""
        registry = REGISTRIES["regularizer"]
        if value is None:
            return None
        if isinstance(value, Made) and value.last in registry:
            content = self.fields("regularizer", registry[value.last], value)
            return content["type"] if len(content) == 1 else content
        name = value if isinstance(value, str) else value.last if isinstance(value, Name) else None
        if name is not None and name in registry:
            return registry[name].identifier
        self.unknown(value, place, where, tr("none"))
        return None

    # What compile gets

    def loss(self, value: Any, place: Place) -> tuple[str | None, bool]:
        """A loss, and whether it takes outputs without the last activation (``from_logits``)."""
        registry = REGISTRIES["loss"]
        logits = False
        name: str | None = None
        if isinstance(value, Made):
            name = value.last
            given = dict(value.kwargs)
            if value.args and value.args[0] is True:
                logits = True
            logits = logits or given.pop("from_logits", False) is True
            for key, entry in given.items():
                self.neutral(value, key, entry)
        elif isinstance(value, str):
            name = value
        elif isinstance(value, Name):
            name = value.last
        if name is not None and name in registry:
            return str(registry[name].identifier), logits
        if name is not None and _snake(name) in _LOSSES:
            return self.substitute("loss", _snake(name), _LOSSES, place, "loss"), logits
        if isinstance(value, str):
            self.faults.add(place, _one_of("loss", registry, value), value)
        elif value is not None:
            self.notes.add(_place_of(value, place), _lost("loss", value))
        return None, logits

    def optimizer(self, value: Any, place: Place) -> Json | None:
        """An optimizer with everything that it is made with."""
        registry = REGISTRIES["optimizer"]
        made = Made(f"keras.optimizers.{value}", [], {}, place) if isinstance(value, str) else value
        if isinstance(made, Name):
            made = Made(made.dotted, [], {}, place)
        if not isinstance(made, Made):
            if value is not None:
                self.notes.add(_place_of(value, place), _lost("optimizer", value))
            return None
        name = made.last
        lowered = {key.lower(): key for key in (*registry, *_OPTIMIZERS)}
        name = lowered.get(name.lower(), name)
        if name in registry:
            content = self.fields("optimizer", registry[name], made)
        elif name in _OPTIMIZERS:
            self.notes.add(made.place, used_instead(name, _OPTIMIZERS[name]))
            content = {"type": _OPTIMIZERS[name]}
            rate = made.kwargs.get("learning_rate", made.args[0] if made.args else None)
            if isinstance(rate, int | float):
                content["learning_rate"] = rate
        else:
            self.faults.add(made.place, _one_of("optimizer", registry, name), name)
            return None
        for key in ("learning_rate", "lr"):
            rate = made.attributes.get(key)
            if isinstance(rate, int | float) and not isinstance(rate, bool):
                content["learning_rate"] = rate
        return content if self.faults.checked("optimizer", content, made.place) else None

    def schedule(self, made: Made) -> Any:
        """A schedule of the learning rate; its first rate where it has no counterpart."""
        registry = REGISTRIES["schedule"]
        if made.last not in registry:
            given = list(made.kwargs.values()) + made.args
            first = made.kwargs.get("initial_learning_rate", next((v for v in given if isinstance(v, float)), None))
            known = isinstance(first, int | float)
            instead = tr("the constant rate {rate:g}", rate=first) if known else tr("the default rate")
            self.notes.add(made.place, used_instead(made.last, instead))
            return first if isinstance(first, int | float) else MISSING
        content = self.fields("schedule", registry[made.last], made)
        # How export writes a warm-up: Keras has it inside of CosineDecay only.
        target, top = content.get("warmup_target"), content.get("alpha")
        warm = content.get("decay_steps") == 1 and top == 1 and target and content.get("warmup_steps")
        if content["type"] == "CosineDecay" and warm:
            start = content.get("initial_learning_rate", 0.0) / target
            content = {"type": "WarmUp", "learning_rate": target, "warmup_steps": content["warmup_steps"]}
            if start:
                content["start"] = start
        return content


def _identifier(kind: str, value: Any) -> str | None:
    name = value if isinstance(value, str) else value.last if isinstance(value, Name | Made) else None
    return REGISTRIES[kind][name].identifier if name is not None and name in REGISTRIES[kind] else None


def _place_of(value: Any, otherwise: Place) -> Place:
    return value.place if isinstance(value, Opaque | Made | Function) else otherwise


def left_out(name: str) -> str:
    """What to say of a thing that does not exist here."""
    return tr("{name} has no counterpart here and is left out", name=name)


def used_instead(name: str, instead: str) -> str:
    """What to say of a thing that another one stands for here."""
    return tr("{name} has no counterpart here; {instead} is used instead", name=name, instead=instead)


def truncated(name: str, instead: str) -> str:
    """What to say of a normal distribution that is cut here."""
    return tr("{name}: {instead} is used, which is truncated at two deviations", name=name, instead=instead)


def _one_of(place: str, names: Iterable[str], received: str) -> str:
    return tr("{place} must be one of {names}", place=place, names=", ".join(names)) + near(received, names)


def _lost(place: str, value: Any) -> str:
    return tr("{place}: {what} can't be represented and is left out", place=place, what=shown(value))


def shown(value: Any) -> str:
    """A value for a message."""
    if isinstance(value, Opaque):
        return value.text
    if isinstance(value, Made):
        return f"{value.last}(...)"
    if isinstance(value, Name):
        return value.last
    if isinstance(value, Function):
        return value.name
    if isinstance(value, Partial):
        return "partial(...)"
    if isinstance(value, list | tuple | dict) and not all(isinstance(v, int | float | str) for v in value):
        return tr("a list") if isinstance(value, list | tuple) else tr("a dictionary")
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _default(view: FieldView) -> str:
    default = view.default
    return str(getattr(default, "identifier", default))

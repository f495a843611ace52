"""An experiment as a PyTorch script that trains the same thing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

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
from gradsim.nn import initializers, layers, optimizers, schedules
from gradsim.nn.activations import Activation
from gradsim.nn.layers import Layer, Shape
from gradsim.nn.losses import Loss
from gradsim.nn.spec import Spec

_MODULES = {
    "relu": "ReLU", "sigmoid": "Sigmoid", "tanh": "Tanh", "selu": "SELU", "gelu": "GELU", "silu": "SiLU",
    "softplus": "Softplus", "softsign": "Softsign", "mish": "Mish",
}  # fmt: skip

_SGD = '''class SGD(torch.optim.Optimizer):
    """Momentum in Keras' form, where a learning rate that changes counts for the steps it was used in."""

    def __init__(self, params, lr, momentum, nesterov=False):
        super().__init__(params, dict(lr=lr, momentum=momentum, nesterov=nesterov))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.mul_(group["momentum"]).sub_(group["lr"] * p.grad)
                if group["nesterov"]:
                    p.add_(group["momentum"] * m - group["lr"] * p.grad)
                else:
                    p.add_(m)
'''

_ADAM = '''class Adam(torch.optim.Optimizer):
    """Adam in Keras' form. PyTorch's own adds epsilon after the bias correction: others steps for tiny gradients."""

    def __init__(self, params, lr, betas, eps, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, t=0))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            group["t"] += 1
            (beta_1, beta_2), t, lr = group["betas"], group["t"], group["lr"]
            rate = lr * (1 - beta_2**t) ** 0.5 / (1 - beta_1**t)
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.mul_(1 - lr * group["weight_decay"])
                kept = self.state[p]
                m = kept.setdefault("m", torch.zeros_like(p)).lerp_(p.grad, 1 - beta_1)
                v = kept.setdefault("v", torch.zeros_like(p)).lerp_(p.grad**2, 1 - beta_2)
                p.sub_(rate * m / (v.sqrt() + group["eps"]))
'''

_RMSPROP = '''class RMSprop(torch.optim.Optimizer):
    """RMSprop in Keras' form: epsilon stands under the root."""

    def __init__(self, params, lr, rho, momentum, epsilon, centered):
        super().__init__(params, dict(lr=lr, rho=rho, momentum=momentum, epsilon=epsilon, centered=centered))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            rho = group["rho"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                kept = self.state[p]
                v = kept.setdefault("v", torch.zeros_like(p)).mul_(rho).add_((1 - rho) * p.grad**2)
                divisor = v + group["epsilon"]
                if group["centered"]:
                    divisor -= kept.setdefault("a", torch.zeros_like(p)).mul_(rho).add_((1 - rho) * p.grad) ** 2
                change = group["lr"] * p.grad / divisor.sqrt()
                if group["momentum"]:
                    change = kept.setdefault("m", torch.zeros_like(p)).mul_(group["momentum"]).add_(change)
                p.sub_(change)
'''

_RESIDUAL = '''class Residual(nn.Module):
    """Adds its input to what the layers inside make of it."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)
'''

_PRELU = '''class PReLU(nn.PReLU):
    """One slope for each unit, with a start of its own."""

    def __init__(self, units, start):
        super().__init__(units)
        start(self.weight)
'''

_LINEAR = """def linear(inputs, outputs, start, start_bias=nn.init.zeros_, bias=True):
    layer = nn.Linear(inputs, outputs, bias=bias)
    start(layer.weight)
    if bias:
        start_bias(layer.bias)
    return layer
"""

_FROZEN = """def frozen(layer):
    for p in layer.parameters():
        p.requires_grad = False
    layer.frozen = True
    return layer
"""

_FIXED = '''def fixed(layer, names):
    """Keeps gamma (weight) at one or beta (bias) at zero."""
    for name in names:
        getattr(layer, name).requires_grad = False
    layer.fixed = names
    return layer
'''

_REGULARIZED = """def regularized(layer, l1, l2):
    layer.penalty = lambda: l1 * layer.weight.abs().sum() + l2 * layer.weight.square().sum()
    return layer
"""

_LOAD = '''def load(model, arrays):
    """Sets all weights from arrays in Keras' order; a kernel lies the other way round there."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.copy_(torch.as_tensor(next(arrays)).T)
                if module.bias is not None:
                    module.bias.copy_(torch.as_tensor(next(arrays)))
            elif isinstance(module, (nn.BatchNorm1d, nn.LayerNorm)):
                for name in ("weight", "bias"):
                    if name not in getattr(module, "fixed", ()):
                        getattr(module, name).copy_(torch.as_tensor(next(arrays)))
                if isinstance(module, nn.BatchNorm1d):
                    module.running_mean.copy_(torch.as_tensor(next(arrays)))
                    module.running_var.copy_(torch.as_tensor(next(arrays)))
            elif isinstance(module, nn.PReLU):
                module.weight.copy_(torch.as_tensor(next(arrays)))
'''


def export(
    experiment: Experiment,
    *,
    epochs: int = EPOCHS,
    data: DataFrom = "gradsim",
    weights: Sequence[Array] | None = None,
    arrays_name: str = "arrays.npz",
) -> Exported:
    """A script for PyTorch; arguments and errors as :func:`gradsim.exchange.keras_script.export`."""
    checked(experiment)
    writer = _Writer(experiment)
    source = source_of(experiment, data, arrays_name, weights)
    shape = experiment.stack().input_shape
    model = writer.model(shape)
    criterion, helper = writer.criterion(experiment.loss)
    made, schedule = writer.optimizer(experiment.optimizer)
    training = writer.training(experiment, schedule)
    standard = [line for line in source.imports if line.startswith("from pathlib")]
    imports = [*(["import math"] if writer.needs_math else []), *standard]
    lines = [*docstring(experiment), *imports, *([""] if imports else [])]
    lines += [*sorted(line for line in source.imports if line not in standard), "import torch", "from torch import nn"]
    lines += ["", f"torch.manual_seed({experiment.seed})"]
    if experiment.dtype == "float64":
        lines.append("torch.set_default_dtype(torch.float64)")
    lines += ["", *source.lines]
    dtype = f"torch.{experiment.dtype}"
    names = ["x_train", "y_train", *(["x_val", "y_val"] if source.validated else [])]
    lines += [f"{name} = torch.as_tensor({name}, dtype={dtype})" for name in names]
    for text in [*writer.helpers.values(), *([_LOAD] if weights is not None else []), *helper]:
        lines += ["", "", text.rstrip("\n")]
    lines += ["", "", *model]
    if weights is not None:
        lines.append(f'load(model, (arrays[f"weight_{{i}}"] for i in range({len(weights)})))')
    lines += ["", *made, f"criterion = {criterion}", "", *training(epochs, source.validated)]
    return Exported(
        "\n".join(lines) + "\n", source.arrays, arrays_name, (*start_notes(experiment, weights), *writer.notes)
    )


class _Writer:
    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.layers = active(experiment.layers)
        self.helpers: dict[str, str] = {}
        self.notes: list[str] = []
        self.needs_math = False
        self.penalties = False
        self.special = False
        last = experiment.stack().layers[-1]
        applied = last.layer.applied()
        inside = any(stop == len(experiment.stack().layers) for _, stop in experiment.stack().residuals)
        self.fused = applied is not None and applied.identifier == experiment.loss.fused_activation and not inside
        self.numbers: dict[tuple[str, Spec], str] = {}

    # The model

    def model(self, shape: Shape) -> list[str]:
        """The lines that make the model."""
        lines, _ = self.sequence(self.layers, shape, "    ", True)
        return ["model = nn.Sequential(", *lines, ")"]

    def sequence(self, layers_: Sequence[Layer], shape: Shape, indent: str, last: bool) -> tuple[list[str], Shape]:
        lines: list[str] = []
        for index, layer in enumerate(layers_):
            is_last = last and index == len(layers_) - 1
            if isinstance(layer, layers.Repeat):
                made, shape = self.repeat(layer, shape, indent, is_last)
                lines += made
            elif isinstance(layer, layers.Residual):
                self.helpers["Residual"] = _RESIDUAL
                inner, shape = self.sequence(layer.layers, shape, indent + "    ", False)
                lines += [f"{indent}Residual(", *inner, f"{indent}),"]
            else:
                lines += [f"{indent}{text}," for text in self.modules(layer, shape, is_last and self.fused)]
                if is_last and self.fused:
                    lines[-1] += f"  # {self.experiment.loss.fused_activation} is part of the loss"
                shape = layer.output_shape(shape)
        return lines, shape

    def repeat(self, layer: layers.Repeat, shape: Shape, indent: str, last: bool) -> tuple[list[str], Shape]:
        lines: list[str] = []
        count = layer.count
        after = shape
        for inner in layer.layers:
            after = inner.output_shape(after)
        if after != shape or (last and self.fused):
            # The first round has another width, or the last another end.
            made, shape = self.sequence(layer.layers, shape, indent, last and count == 1)
            lines += made
            count -= 1
        if last and self.fused and count:
            count -= 1
        if count:
            made, shape = self.sequence(layer.layers, shape, indent + "    ", False)
            lines += [f"{indent}*[nn.Sequential(", *made, f"{indent}) for _ in range({count})],"]
        if last and self.fused and layer.count > 1:
            made, shape = self.sequence(layer.layers, shape, indent, True)
            lines += made
        return lines, shape

    def modules(self, layer: Layer, shape: Shape, bare: bool) -> list[str]:
        """A layer as one module or two."""
        width = math.prod(shape)
        found: list[str] = []
        if isinstance(layer, layers.Dense):
            found.append(self.dense(layer, width))
        elif isinstance(layer, layers.Flatten):
            return ["nn.Flatten()"]
        elif isinstance(layer, layers.Dropout):
            return [f"nn.Dropout({number(layer.rate)})"]
        elif isinstance(layer, layers.PReLU):
            self.helpers["PReLU"] = _PRELU
            start = self.initializer(layer.alpha_initializer)
            found.append(self.frozen(f"PReLU({width}, {start})", layer))
        elif isinstance(layer, layers.BatchNormalization):
            given = {"eps": number(layer.epsilon), "momentum": number(round(1 - layer.momentum, 12))}
            made = call("nn.BatchNorm1d", str(width), **given)
            found.append(self.normalization(made, layer, layer.scale, layer.center))
        elif isinstance(layer, layers.LayerNormalization):
            made = call("nn.LayerNorm", str(width), eps=number(layer.epsilon))
            found.append(self.normalization(made, layer, layer.scale, layer.center))
        applied = layer.applied()
        if applied is not None and applied.identifier != "linear" and not bare:
            found.append(self.activation(applied))
        return found or ["nn.Identity()"]

    def frozen(self, text: str, layer: Layer) -> str:
        """The module, left alone by training if the layer is frozen."""
        if layer.trainable:
            return text
        self.helpers["frozen"] = _FROZEN
        self.special = self.special or isinstance(layer, layers.BatchNormalization)
        return f"frozen({text})"

    def normalization(self, text: str, layer: Layer, scale: bool, center: bool) -> str:
        names = [name for name, used in (("weight", scale), ("bias", center)) if not used]
        if names:
            self.helpers["fixed"] = _FIXED
            text = f"fixed({text}, {names!r})"
        return self.frozen(text, layer)

    def dense(self, layer: layers.Dense, width: int) -> str:
        self.helpers.setdefault("linear", _LINEAR)
        given: dict[str, str] = {}
        if not layer.use_bias:
            given["bias"] = "False"
        elif layer.bias_initializer.identifier != "zeros":
            given["start_bias"] = self.initializer(layer.bias_initializer)
        text = call("linear", str(width), str(layer.units), self.initializer(layer.kernel_initializer), **given)
        if layer.kernel_regularizer is not None:
            l1, l2 = layer.kernel_regularizer.factors()
            self.penalties = True
            self.helpers["regularized"] = _REGULARIZED
            text = f"regularized({text}, {number(l1)}, {number(l2)})"
        return self.frozen(text, layer)

    def initializer(self, spec: initializers.Initializer) -> str:
        """The name of a function that fills a tensor; written into the script."""
        name = spec.identifier
        shape = "(1, weight.shape[0]) if weight.ndim == 1 else weight.shape"
        lines: list[str]
        match spec:
            case initializers.Zeros() | initializers.Ones():
                return f"nn.init.{name}_"
            case initializers.GlorotUniform():
                return "nn.init.xavier_uniform_"
            case initializers.VarianceScaling():
                fans = {"glorot": "2 / (fan_in + fan_out)", "he": "2 / fan_in", "lecun": "1 / fan_in"}
                scale = fans[name.split("_")[0]]
                lines = [f"fan_out, fan_in = {shape}"]
                if not spec.normal:
                    lines += [f"limit = (3 * {scale}) ** 0.5", "nn.init.uniform_(weight, -limit, limit)"]
                else:
                    lines += [
                        "# A normal distribution cut at two deviations is narrower by this factor.",
                        f"sd = ({scale}) ** 0.5 / {initializers.TRUNCATED_SD!r}",
                        "nn.init.trunc_normal_(weight, std=sd, a=-2 * sd, b=2 * sd)",
                    ]
            case initializers.Constant(value=value):
                name, lines = self.numbered(name, spec), [f"nn.init.constant_(weight, {number(value)})"]
            case initializers.RandomNormal(mean=mean, stddev=sd):
                name = self.numbered(name, spec)
                lines = [f"nn.init.normal_(weight, {number(mean)}, {number(sd)})"]
            case initializers.RandomUniform(minval=low, maxval=high):
                name = self.numbered(name, spec)
                lines = [f"nn.init.uniform_(weight, {number(min(low, high))}, {number(max(low, high))})"]
            case initializers.TruncatedNormal(mean=mean, stddev=sd):
                name = self.numbered(name, spec)
                bounds = f"a={number(mean - 2 * sd)}, b={number(mean + 2 * sd)}"
                lines = [f"nn.init.trunc_normal_(weight, {number(mean)}, {number(sd)}, {bounds})"]
                if not sd:
                    lines = [f"nn.init.constant_(weight, {number(mean)})"]
            case initializers.Orthogonal(gain=gain):
                name, lines = self.numbered(name, spec), [f"nn.init.orthogonal_(weight, {number(gain)})"]
            case initializers.Identity(gain=gain):
                name = self.numbered(name, spec)
                lines = ["with torch.no_grad():", f"    weight.copy_({number(gain)} * torch.eye(*weight.shape))"]
            case _:
                self.notes.append(
                    tr("the initializer {name} is not known to the export; xavier_uniform_ is used", name=name)
                )
                return "nn.init.xavier_uniform_"
        self.helpers[name] = f"def {name}(weight):\n" + "".join(f"    {line}\n" for line in lines)
        return name

    def numbered(self, name: str, spec: Spec) -> str:
        """A function's name for these values of the initializer."""
        same = sum(key[0] == name for key in self.numbers)
        return self.numbers.setdefault((name, spec), f"{name}_{same + 1}" if same else name)

    def activation(self, spec: Activation) -> str:
        if spec.identifier == "softmax":
            return "nn.Softmax(dim=1)"
        if spec.identifier == "leaky_relu":
            return f"nn.LeakyReLU({number(spec.parameters()[0])})"
        if spec.identifier == "elu":
            return f"nn.ELU({number(spec.parameters()[0])})"
        if spec.identifier in _MODULES:
            return f"nn.{_MODULES[spec.identifier]}()"
        self.notes.append(
            tr("the activation {name} is not known to the export; nn.Identity() stands for it", name=spec.identifier)
        )
        return "nn.Identity()"

    # What trains it

    def criterion(self, loss: Loss) -> tuple[str, list[str]]:
        if self.fused:
            softmax = loss.identifier == "categorical_crossentropy"
            return "nn.CrossEntropyLoss()" if softmax else "nn.BCEWithLogitsLoss()", []
        if loss.identifier == "mse":
            return "nn.MSELoss()", []
        if loss.identifier == "mae":
            return "nn.L1Loss()", []
        clipped = ".clamp(1e-7, 1 - 1e-7)"
        if loss.identifier == "categorical_crossentropy":
            text = (
                "def categorical_crossentropy(p, y):\n"
                f"    q = (p / p.sum(dim=1, keepdim=True)){clipped}\n"
                "    return -(y * q.log()).sum(dim=1).mean()\n"
            )
        else:
            text = (
                "def binary_crossentropy(p, y):\n"
                f"    q = p{clipped}\n"
                "    return -(y * q.log() + (1 - y) * (1 - q).log()).mean()\n"
            )
        return loss.identifier, [text]

    def optimizer(self, spec: optimizers.Optimizer) -> tuple[list[str], bool]:
        """The lines that make optimizer and schedule, and whether there is one."""
        rate = spec.learning_rate
        scheduled = isinstance(rate, schedules.Schedule)
        lr = "1.0" if scheduled else number(rate)
        params = "[p for p in model.parameters() if p.requires_grad]"
        match spec:
            case optimizers.SGD(momentum=momentum, nesterov=nesterov) if momentum and scheduled:
                self.helpers["SGD"] = _SGD
                made = call("SGD", params, lr=lr, momentum=number(momentum), nesterov=number(nesterov))
            case optimizers.SGD(momentum=momentum, nesterov=nesterov):
                given = {"momentum": number(momentum)} if momentum else {}
                if nesterov and momentum:
                    given["nesterov"] = "True"
                made = call("torch.optim.SGD", params, lr=lr, **given)
            case optimizers.RMSprop():
                self.helpers["RMSprop"] = _RMSPROP
                given = {key: number(getattr(spec, key)) for key in ("rho", "momentum", "epsilon", "centered")}
                made = call("RMSprop", params, lr=lr, **given)
            case optimizers.Adagrad():
                start = number(spec.initial_accumulator_value)
                given = {"initial_accumulator_value": start, "eps": number(spec.epsilon)}
                made = call("torch.optim.Adagrad", params, lr=lr, **given)
                self.notes.append(tr("PyTorch's Adagrad adds epsilon to the root, Keras and gradsim under it"))
            case optimizers.Adam() | optimizers.Nadam():
                given = {"betas": f"({number(spec.beta_1)}, {number(spec.beta_2)})", "eps": number(spec.epsilon)}
                if isinstance(spec, optimizers.AdamW):
                    given["weight_decay"] = number(spec.weight_decay)
                if isinstance(spec, optimizers.Nadam):
                    # With 1 the exponent of 0.96 counts steps, as it does in Keras.
                    made = call("torch.optim.NAdam", params, lr=lr, **given, momentum_decay="1.0")
                else:
                    self.helpers["Adam"] = _ADAM
                    made = call("Adam", params, lr=lr, **given)
            case _:
                self.notes.append(
                    tr("the optimizer {name} is not known to the export; SGD is used", name=spec.identifier)
                )
                made = call("torch.optim.SGD", params, lr=lr)
        lines = [f"optimizer = {made}"]
        if isinstance(rate, schedules.Schedule):
            self.rate(rate)
            lines.append("schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)")
        return lines, scheduled

    def rate(self, spec: schedules.Schedule) -> None:
        lines: list[str]
        match spec:
            case schedules.ExponentialDecay():
                power = "step // {0}" if spec.staircase else "step / {0}"
                decay = f"{number(spec.decay_rate)} ** ({power.format(spec.decay_steps)})"
                lines = [f"return {number(spec.initial_learning_rate)} * {decay}"]
            case schedules.WarmUp():
                lines = [
                    f"done = min(step / {spec.warmup_steps}, 1)",
                    f"return {number(spec.learning_rate)} * ({number(spec.start)} + {number(1 - spec.start)} * done)",
                ]
            case schedules.CosineDecay():
                self.needs_math = True
                initial, target = spec.initial_learning_rate, spec.warmup_target
                start = spec.warmup_steps if target is not None else 0
                lines = []
                if target is not None and start:
                    rise = f"{number(initial)} + {number(target - initial)} * step / {start}"
                    lines = [f"if step < {start}:", f"    return {rise}"]
                top = initial if target is None else target
                share = f"{number((1 - spec.alpha) * 0.5)} * (1 + math.cos(math.pi * done)) + {number(spec.alpha)}"
                lines += [
                    f"done = min(max(step - {start}, 0), {spec.decay_steps}) / {spec.decay_steps}",
                    f"return {number(top)} * ({share})",
                ]
            case _:
                self.notes.append(
                    tr("the schedule {name} is not known to the export; its first rate is used", name=spec.identifier)
                )
                first = float(spec.rates(np.zeros(1))[0])
                lines = [f"return {number(first)}"]
        self.helpers["rate"] = "def rate(step):\n" + "".join(f"    {line}\n" for line in lines)

    def training(self, experiment: Experiment, scheduled: bool) -> Any:
        """A function that gives the lines of the training loop."""
        spec = experiment.optimizer
        clip: list[str] = []
        if spec.clipvalue is not None:
            clip = [f"nn.utils.clip_grad_value_(model.parameters(), {number(spec.clipvalue)})"]
        elif spec.global_clipnorm is not None:
            clip = [f"nn.utils.clip_grad_norm_(model.parameters(), {number(spec.global_clipnorm)})"]
        elif spec.clipnorm is not None:
            clip = [
                "for p in model.parameters():",
                "    if p.grad is not None:",
                f"        nn.utils.clip_grad_norm_([p], {number(spec.clipnorm)})",
            ]

        def lines(epochs: int, validated: bool) -> list[str]:
            size = "len(x_train)" if experiment.batch_size is None else str(experiment.batch_size)
            order = "torch.randperm(len(x_train))" if experiment.shuffle else "torch.arange(len(x_train))"
            found = ["losses = []", f"for epoch in range({epochs}):", "    model.train()"]
            if self.special:
                found += [
                    "    # A frozen BatchNormalization uses its running statistics, as in Keras.",
                    "    for module in model.modules():",
                    '        if getattr(module, "frozen", False):',
                    "            module.eval()",
                ]
            found += [
                f"    for rows in {order}.split({size}):",
                "        optimizer.zero_grad()",
                "        loss = criterion(model(x_train[rows]), y_train[rows])",
            ]
            if self.penalties:
                found += [
                    "        loss = loss + sum(",
                    '            module.penalty() for module in model.modules() if hasattr(module, "penalty")',
                    "        )",
                ]
            found += ["        loss.backward()", *(f"        {line}" for line in clip), "        optimizer.step()"]
            if scheduled:
                found.append("        schedule.step()")
            found.append("        losses.append(loss.item())")
            shown = 'f"epoch {epoch + 1}: loss {losses[-1]:.4f}"'
            if validated:
                found += [
                    "    model.eval()",
                    "    with torch.no_grad():",
                    "        val_loss = criterion(model(x_val), y_val).item()",
                ]
                shown = 'f"epoch {epoch + 1}: loss {losses[-1]:.4f}, validation loss {val_loss:.4f}"'
            return [*found, f"    print({shown})"]

        return lines

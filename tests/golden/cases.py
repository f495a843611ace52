"""The trainings whose outcome in Keras is kept beside this file: what is trained, on which data.

A case is an experiment in gradsim's own JSON form. `make_goldens.py` trains it in Keras, the parity test in
gradsim, both from the same initial weights, on the same rows in the same order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]

STEPS = 20
ROWS = 70
FEATURES = 12
CLASSES = 5


class Case(NamedTuple):
    name: str
    data: str
    experiment: Json


def dense(units: int, activation: str | Json | None = None, **fields: Any) -> Json:
    spec: Json = {"type": "Dense", "units": units}
    if activation is not None:
        spec["activation"] = activation
    return spec | fields


def layer(kind: str, **fields: Any) -> Json:
    return {"type": kind, **fields}


def sgd(learning_rate: float = 0.1, **fields: Any) -> Json:
    return {"type": "SGD", "learning_rate": learning_rate, **fields}


CLASSIFY = dense(CLASSES, "softmax")
TANH_STACK = [dense(10, "tanh"), dense(8, "tanh"), dense(8, "tanh"), CLASSIFY]


def classify(name: str, layers: list[Json], optimizer: Json | None = None, batch_size: int = 35) -> Case:
    return Case(
        name,
        "classes",
        {
            "layers": layers,
            "loss": "categorical_crossentropy",
            "optimizer": optimizer or sgd(),
            "batch_size": batch_size,
            "shuffle": False,
        },
    )


def fit(name: str, data: str, loss: str, last: Json, optimizer: Json | None = None) -> Case:
    case = classify(name, [dense(10, "tanh"), dense(8, "tanh"), last], optimizer)
    return Case(name, data, case.experiment | {"loss": loss})


def _activations() -> list[Case]:
    named = [
        "linear", "sigmoid", "tanh", "softmax", "relu", "leaky_relu", "elu",
        "selu", "gelu", "silu", "softplus", "softsign", "mish",
    ]  # fmt: skip
    cases = [
        classify(f"activation_{name}", [dense(10, name), dense(8, name), dense(8, name), CLASSIFY])
        for name in named
        if name != "linear"
    ]
    # Deeper, some probabilities would be so small that Keras clips them.
    cases.append(classify("activation_linear", [dense(10, "linear"), dense(8, "linear"), CLASSIFY]))
    for name in ("sigmoid", "relu", "softmax", "gelu"):
        applied = layer("Activation", activation=name)
        cases.append(classify(f"activation_layer_{name}", [dense(10), applied, dense(8), applied, CLASSIFY]))
    for kind, fields in (
        ("LeakyReLU", {}),
        ("LeakyReLU", {"negative_slope": 0.01}),
        ("PReLU", {}),
        ("ELU", {}),
        ("ELU", {"alpha": 0.4}),
    ):
        layers = [dense(10), layer(kind, **fields), dense(8), layer(kind, **fields), CLASSIFY]
        cases.append(classify("_".join(["layer", kind.lower(), *map(str, fields)]), layers))
    cases.append(classify("layer_prelu_adam", [dense(10), layer("PReLU"), dense(8), layer("PReLU"), CLASSIFY],
                          {"type": "Adam", "learning_rate": 0.01}))  # fmt: skip
    for activation in (
        {"type": "leaky_relu", "negative_slope": 0.02},
        {"type": "elu", "alpha": 0.6},
    ):
        name = f"activation_fields_{activation['type']}"
        cases.append(classify(name, [dense(10, activation), dense(8, activation), CLASSIFY]))
    deep = [dense(9, "elu") for _ in range(12)]
    cases.append(classify("deep_elu", [*deep, CLASSIFY], sgd(0.03)))
    return cases


def _optimizers() -> list[Case]:
    optimizers: dict[str, Json] = {
        "sgd": sgd(0.3),
        "sgd_default": {"type": "SGD"},
        "momentum": sgd(0.05, momentum=0.9),
        "momentum_low": sgd(0.2, momentum=0.37),
        "nesterov": sgd(0.05, momentum=0.9, nesterov=True),
        "adagrad": {"type": "Adagrad", "learning_rate": 0.05},
        "adagrad_default": {"type": "Adagrad"},
        "adagrad_accumulator": {
            "type": "Adagrad",
            "learning_rate": 0.05,
            "initial_accumulator_value": 0.01,
            "epsilon": 1e-4,
        },
        "rmsprop": {"type": "RMSprop", "learning_rate": 0.01},
        "rmsprop_default": {"type": "RMSprop"},
        "rmsprop_rho": {"type": "RMSprop", "learning_rate": 0.01, "rho": 0.7, "epsilon": 1e-4},
        "rmsprop_momentum": {"type": "RMSprop", "learning_rate": 0.003, "momentum": 0.8},
        "rmsprop_centered": {"type": "RMSprop", "learning_rate": 0.003, "centered": True, "epsilon": 1e-5},
        "rmsprop_centered_momentum": {
            "type": "RMSprop",
            "learning_rate": 0.001,
            "momentum": 0.9,
            "centered": True,
            "epsilon": 1e-5,
        },
        "adam": {"type": "Adam", "learning_rate": 0.01},
        "adam_default": {"type": "Adam"},
        "adam_betas": {"type": "Adam", "learning_rate": 0.02, "beta_1": 0.6, "beta_2": 0.95, "epsilon": 1e-3},
        "adamw": {"type": "AdamW", "learning_rate": 0.01},
        "adamw_decay": {"type": "AdamW", "learning_rate": 0.01, "weight_decay": 0.3, "beta_1": 0.8},
        "nadam": {"type": "Nadam", "learning_rate": 0.01},
        "nadam_betas": {
            "type": "Nadam",
            "learning_rate": 0.01,
            "beta_1": 0.5,
            "beta_2": 0.9,
            "epsilon": 1e-4,
        },
    }
    return [classify(f"optimizer_{name}", TANH_STACK, optimizer) for name, optimizer in optimizers.items()]


def _clipping() -> list[Case]:
    # The gradients of TANH_STACK have components up to about 0.1 and norms from about 0.1 to 0.6: every bound
    # of the first group bites in some variables and not in others, none of the second group ever does.
    active = {"clipvalue": 0.02, "clipnorm": 0.25, "global_clipnorm": 0.3}
    inactive = {"clipvalue": 50.0, "clipnorm": 50.0, "global_clipnorm": 50.0}
    optimizers: dict[str, Json] = {
        "sgd": sgd(0.3),
        "nesterov": sgd(0.1, momentum=0.8, nesterov=True),
        "adagrad": {"type": "Adagrad", "learning_rate": 0.05},
        "rmsprop": {"type": "RMSprop", "learning_rate": 0.005},
        "adam": {"type": "Adam", "learning_rate": 0.01},
        "adamw": {"type": "AdamW", "learning_rate": 0.01, "weight_decay": 0.1},
        "nadam": {"type": "Nadam", "learning_rate": 0.01},
    }
    cases = [
        classify(f"{field}_{name}", TANH_STACK, optimizer | {field: bound})
        for name, optimizer in optimizers.items()
        for field, bound in active.items()
    ]
    cases += [
        classify(f"{field}_inactive", TANH_STACK, sgd(0.3, **{field: bound})) for field, bound in inactive.items()
    ]
    normalized = [layer("BatchNormalization"), dense(10), layer("PReLU"), layer("BatchNormalization"),
                  dense(8, "tanh", trainable=False), CLASSIFY]  # fmt: skip
    cases += [
        classify(f"{field}_every_variable", normalized, sgd(0.2, **{field: bound})) for field, bound in active.items()
    ]
    return cases


def _normalization() -> list[Case]:
    bn = layer("BatchNormalization")
    ln = layer("LayerNormalization")
    tanh = layer("Activation", activation="tanh")
    adam = {"type": "Adam", "learning_rate": 0.01}
    fields = {"momentum": 0.7, "epsilon": 0.05}
    stacks = {
        "bn_first": [bn, dense(10, "tanh"), dense(8, "tanh"), CLASSIFY],
        "bn_before": [dense(10), bn, tanh, dense(8), bn, tanh, CLASSIFY],
        "bn_after": [dense(10, "tanh"), bn, dense(8, "tanh"), bn, CLASSIFY],
        "bn_before_relu": [
            dense(10),
            bn,
            layer("Activation", activation="relu"),
            dense(8),
            bn,
            layer("ELU"),
            CLASSIFY,
        ],
        "bn_fields": [dense(10), layer("BatchNormalization", **fields), tanh, dense(8), bn, tanh, CLASSIFY],
        "bn_no_center": [dense(10), layer("BatchNormalization", center=False), tanh, CLASSIFY],
        "bn_no_scale": [dense(10), layer("BatchNormalization", scale=False), tanh, CLASSIFY],
        "bn_last": [dense(10, "tanh"), dense(CLASSES), bn, layer("Activation", activation="softmax")],
        "ln_first": [ln, dense(10, "tanh"), CLASSIFY],
        "ln_before": [dense(10), ln, tanh, dense(8), ln, tanh, CLASSIFY],
        "ln_after": [dense(10, "gelu"), ln, dense(8, "gelu"), ln, CLASSIFY],
        "ln_fields": [
            dense(10, "tanh"),
            layer("LayerNormalization", epsilon=0.1),
            dense(8, "tanh"),
            CLASSIFY,
        ],
        "ln_and_bn": [bn, dense(10), ln, layer("ELU"), dense(8), bn, layer("LeakyReLU"), CLASSIFY],
    }
    cases = [classify(name, layers) for name, layers in stacks.items()]
    cases += [classify(f"{name}_adam", stacks[name], adam) for name in ("bn_after", "ln_before", "bn_first")]
    cases.append(classify("bn_partial_batch", stacks["bn_before"], batch_size=32))
    cases.append(classify("bn_full_batch", stacks["bn_after"], batch_size=ROWS))
    return cases


def _frozen() -> list[Case]:
    frozen_bn = layer("BatchNormalization", trainable=False)
    stacks = {
        "frozen_first": [dense(10, "tanh", trainable=False), dense(8, "tanh"), CLASSIFY],
        "frozen_middle": [dense(10, "tanh"), dense(8, "tanh", trainable=False), dense(8, "tanh"), CLASSIFY],
        "frozen_last": [dense(10, "tanh"), dense(8, "tanh"), dense(CLASSES, "softmax", trainable=False)],
        "frozen_bn": [dense(10), frozen_bn, layer("ELU"), dense(8, "tanh"), CLASSIFY],
        "frozen_bn_first": [frozen_bn, dense(10, "tanh"), layer("BatchNormalization"), CLASSIFY],
        "frozen_ln": [dense(10), layer("LayerNormalization", trainable=False), layer("ELU"), CLASSIFY],
        "frozen_prelu": [dense(10), layer("PReLU", trainable=False), dense(8, "tanh"), CLASSIFY],
    }
    optimizer = sgd(0.1, momentum=0.5)
    cases = [classify(name, layers, optimizer) for name, layers in stacks.items()]
    adamw = {"type": "AdamW", "learning_rate": 0.01, "weight_decay": 0.2, "global_clipnorm": 0.3}
    cases.append(classify("frozen_middle_adamw", stacks["frozen_middle"], adamw))
    return cases


def _structure() -> list[Case]:
    block = [layer("Activation", activation="relu"), dense(10)]
    normalized_block = [layer("BatchNormalization"), layer("Activation", activation="elu"), dense(10)]
    stacks = {
        "dropout_zero": [dense(10, "tanh"), layer("Dropout", rate=0.0), dense(8, "tanh"), CLASSIFY],
        "no_bias": [
            dense(10, "tanh", use_bias=False),
            dense(8, "tanh"),
            dense(CLASSES, "softmax", use_bias=False),
        ],
        "residual": [dense(10), layer("Residual", layers=block), layer("Residual", layers=block), CLASSIFY],
        "residual_first": [layer("Residual", layers=[dense(FEATURES, "tanh")]), dense(8, "tanh"), CLASSIFY],
        "residual_two_dense": [
            dense(10, "tanh"),
            layer("Residual", layers=[dense(7, "relu"), dense(10)]),
            layer("Activation", activation="relu"),
            CLASSIFY,
        ],
        "residual_nested": [
            dense(10),
            layer("Residual", layers=[*block, layer("Residual", layers=[dense(10, "tanh")])]),
            CLASSIFY,
        ],
        "repeat": [layer("Repeat", count=4, layers=[dense(9, "tanh")]), CLASSIFY],
        "repeat_block": [
            dense(8, "tanh"),
            layer("Repeat", count=3, layers=[dense(8), layer("BatchNormalization"), layer("LeakyReLU")]),
            CLASSIFY,
        ],
        "repeat_residual": [
            dense(10),
            layer("Repeat", count=4, layers=[layer("Residual", layers=normalized_block)]),
            CLASSIFY,
        ],
        "frozen_repeat": [
            dense(8, "tanh"),
            layer(
                "Repeat",
                count=2,
                trainable=False,
                layers=[dense(8), layer("BatchNormalization"), layer("PReLU")],
            ),
            CLASSIFY,
        ],
        "frozen_residual": [
            dense(8, "tanh"),
            layer("Residual", trainable=False, layers=[dense(8, "tanh"), dense(8)]),
            CLASSIFY,
        ],
        "disabled_layer": [dense(8, "tanh"), dense(9, "tanh", enabled=False), dense(7, "tanh"), CLASSIFY],
        "softmax_regression": [CLASSIFY],
        "wide_then_narrow": [dense(24, "relu"), dense(2, "tanh"), dense(17, "sigmoid"), CLASSIFY],
    }
    cases = [classify(name, layers) for name, layers in stacks.items()]
    flattened = [layer("Flatten"), dense(10, "tanh"), dense(8, "relu"), CLASSIFY]
    cases.append(classify("flatten", flattened)._replace(data="images"))
    return cases


def _regularizers() -> list[Case]:
    l1 = {"type": "L1", "l1": 0.004}
    l2 = {"type": "L2", "l2": 0.03}
    both = {"type": "L1L2", "l1": 0.002, "l2": 0.01}
    return [
        classify("regularizer_l1_l2", [dense(10, "tanh", kernel_regularizer=both), dense(8, "tanh"), CLASSIFY]),
        classify("regularizer_l1", [dense(10, "tanh", kernel_regularizer=l1), dense(8, "tanh"), CLASSIFY]),
        classify(
            "regularizer_l2",
            [dense(10, "tanh", kernel_regularizer=l2), dense(8, "tanh", kernel_regularizer=l2), CLASSIFY],
        ),
        classify("regularizer_default_l2", [dense(10, "relu", kernel_regularizer="l2"), CLASSIFY]),
        classify("regularizer_default_l1", [dense(10, "relu", kernel_regularizer="l1"), CLASSIFY]),
        classify(
            "regularizer_clipped_adam",
            [dense(10, "tanh", kernel_regularizer=l2), dense(8, "tanh", kernel_regularizer=l1), CLASSIFY],
            {"type": "Adam", "learning_rate": 0.01, "global_clipnorm": 0.3},
        ),
        classify(
            "regularizer_frozen",
            [dense(10, "tanh", kernel_regularizer=l2, trainable=False), dense(8, "tanh"), CLASSIFY],
        ),
    ]


def _losses() -> list[Case]:
    return [
        fit("mse", "regression", "mean_squared_error", dense(3)),
        fit("mse_tanh", "regression", "mean_squared_error", dense(3, "tanh")),
        fit("mae", "regression", "mean_absolute_error", dense(3)),
        fit("mse_softmax", "classes", "mean_squared_error", CLASSIFY, sgd(0.5)),
        fit("mae_sigmoid", "binary", "mean_absolute_error", dense(1, "sigmoid")),
        fit("bce", "binary", "binary_crossentropy", dense(1, "sigmoid")),
        fit("bce_many", "labels", "binary_crossentropy", dense(3, "sigmoid")),
        fit("bce_softmax", "classes", "binary_crossentropy", CLASSIFY),
        fit("cce_sigmoid", "classes", "categorical_crossentropy", dense(CLASSES, "sigmoid")),
        fit("cce_softplus", "classes", "categorical_crossentropy", dense(CLASSES, "softplus")),
        Case(
            "bce_activation_layer",
            "binary",
            fit("", "binary", "binary_crossentropy", dense(1)).experiment
            | {"layers": [dense(10, "tanh"), dense(1), layer("Activation", activation="sigmoid")]},
        ),
        classify(
            "cce_activation_layer",
            [dense(10, "tanh"), dense(CLASSES), layer("Activation", activation="softmax")],
        ),
    ]


def _schedules() -> list[Case]:
    schedules: dict[str, Json] = {
        "exponential": {
            "type": "ExponentialDecay",
            "initial_learning_rate": 0.3,
            "decay_steps": 4,
            "decay_rate": 0.6,
        },
        "staircase": {
            "type": "ExponentialDecay",
            "initial_learning_rate": 0.3,
            "decay_steps": 4,
            "decay_rate": 0.6,
            "staircase": True,
        },
        "cosine": {"type": "CosineDecay", "initial_learning_rate": 0.3, "decay_steps": 12},
        "cosine_alpha": {
            "type": "CosineDecay",
            "initial_learning_rate": 0.3,
            "decay_steps": 30,
            "alpha": 0.2,
        },
        "warmup_cosine": {
            "type": "CosineDecay",
            "initial_learning_rate": 0.01,
            "decay_steps": 9,
            "alpha": 0.1,
            "warmup_target": 0.4,
            "warmup_steps": 6,
        },
        "warmup": {"type": "WarmUp", "learning_rate": 0.3, "warmup_steps": 8},
        "warmup_start": {"type": "WarmUp", "learning_rate": 0.3, "warmup_steps": 8, "start": 0.25},
    }
    cases = [
        classify(f"schedule_{name}", TANH_STACK, sgd() | {"learning_rate": schedule})
        for name, schedule in schedules.items()
    ]
    adamw = {
        "type": "AdamW",
        "weight_decay": 0.2,
        "learning_rate": schedules["warmup_cosine"] | {"warmup_target": 0.02},
    }
    momentum = sgd(momentum=0.8) | {"learning_rate": schedules["exponential"] | {"initial_learning_rate": 0.1}}
    cases.append(classify("schedule_adamw", TANH_STACK, adamw))
    cases.append(classify("schedule_momentum", TANH_STACK, momentum))
    return cases


def _regimes() -> list[Case]:
    return [
        classify("full_batch", TANH_STACK, batch_size=ROWS),
        classify("partial_batch", TANH_STACK, batch_size=32),
        classify("partial_batch_of_one", TANH_STACK, batch_size=23),
        classify("stochastic", TANH_STACK, sgd(0.05), batch_size=1),
        Case("no_batch_size", "classes", classify("", TANH_STACK).experiment | {"batch_size": None}),
        classify("batch_larger_than_data", TANH_STACK, batch_size=128),
    ]


def _combined() -> list[Case]:
    """Stacks in which everything meets."""
    everything = [
        layer("BatchNormalization"),
        dense(10, kernel_regularizer={"type": "L2", "l2": 0.01}),
        layer("PReLU"),
        layer("Residual", layers=[dense(10, "gelu"), layer("Dropout", rate=0.0), dense(10, trainable=False)]),
        layer("LayerNormalization"),
        layer("Repeat", count=2, layers=[dense(8), layer("BatchNormalization"), layer("ELU")]),
        dense(6, "softmax"),
        dense(6, "mish", use_bias=False),
        CLASSIFY,
    ]
    optimizers: dict[str, Json] = {
        # The gradient of a bias before BatchNormalization is rounding noise: with Keras' epsilon of 1e-7 an
        # adaptive optimizer makes steps of it that no two implementations share in float32.
        "nadam": {"type": "Nadam", "learning_rate": 0.005, "epsilon": 1e-4, "clipnorm": 0.2},
        "nesterov": sgd(0.05, momentum=0.8, nesterov=True, global_clipnorm=0.5),
        "adamw": {"type": "AdamW", "learning_rate": 0.005, "epsilon": 1e-4, "clipvalue": 0.05},
        "rmsprop": {"type": "RMSprop", "learning_rate": 0.002, "centered": True, "epsilon": 1e-5},
        "adagrad": {"type": "Adagrad", "learning_rate": 0.03},
    }
    return [classify(f"everything_{name}", everything, optimizer, 32) for name, optimizer in optimizers.items()]


CASES: tuple[Case, ...] = (
    *_activations(),
    *_optimizers(),
    *_clipping(),
    *_normalization(),
    *_frozen(),
    *_structure(),
    *_regularizers(),
    *_losses(),
    *_schedules(),
    *_regimes(),
    *_combined(),
)

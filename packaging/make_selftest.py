"""Writes ``resources/selftest/golden.json``: small trainings of every family of kernels, and what has to come out.

The engine computes the numbers in double precision; the parity tests hold it to Keras in the same format.
Run it again when the vocabulary grows or a formula changes on purpose.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gradsim.engine.trainer import Trainer  # noqa: E402
from gradsim.model import file  # noqa: E402
from gradsim.nn import activations, losses, optimizers, regularizers  # noqa: E402

Json = dict[str, Any]
STEPS = 6
TARGET = ROOT / "resources" / "selftest" / "golden.json"


def dense(units: int, activation: str = "linear", **fields: Any) -> Json:
    return {"type": "Dense", "units": units, "activation": activation, **fields}


def layer(kind: str, **fields: Any) -> Json:
    return {"type": kind, **fields}


CLASSES = dense(3, "softmax")


def classify(*layers: Json, **fields: Any) -> Json:
    """A stack on the flowers."""
    optimizer = {"type": "SGD", "learning_rate": 0.1}
    base = {"data": "iris", "loss": "categorical_crossentropy", "optimizer": optimizer, "batch_size": 32}
    return {"layers": [*layers, CLASSES], **base, "seed": 3, **fields}


def stack(**fields: Any) -> Json:
    return classify(dense(9, "tanh"), dense(7, "tanh"), **fields)


def cases() -> Iterator[tuple[str, str, Json]]:
    """Family, name and experiment of every training."""
    for name in activations.registry:
        yield "activations", name, classify(dense(9, name), dense(7, name))
    for kind in ("PReLU", "BatchNormalization", "LayerNormalization", "Dropout"):
        yield "layers", kind, classify(dense(9), layer(kind), dense(7), layer(kind))
    inner = [dense(9, "relu"), dense(9)]
    yield "layers", "Residual", classify(dense(9), layer("Repeat", count=2, layers=[layer("Residual", layers=inner)]))
    last = {
        "categorical_crossentropy": ("iris", CLASSES),
        "binary_crossentropy": ("moons", dense(1, "sigmoid")),
    }
    for name in losses.registry:
        data, output = last.get(name, ("linear_teacher", dense(1)))
        layers = [dense(9, "tanh"), dense(7, "tanh"), output]
        yield "losses", name, stack(data=data, loss=name) | {"layers": layers}
    for name in optimizers.registry:
        yield "optimizers", name, stack(optimizer={"type": name, "learning_rate": 0.01})
    for momentum in ({"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}):
        title = "SGD " + " ".join(momentum)
        yield "optimizers", title, stack(optimizer={"type": "SGD", "learning_rate": 0.05, **momentum})
    centered = {"type": "RMSprop", "learning_rate": 0.01, "momentum": 0.5, "centered": True}
    yield "optimizers", "RMSprop momentum centered", stack(optimizer=centered)
    for clipping in ({"clipvalue": 0.02}, {"clipnorm": 0.1}, {"global_clipnorm": 0.1}):
        (name,) = clipping
        yield "clipping", name, stack(optimizer={"type": "SGD", "learning_rate": 0.1, **clipping})
    for name in regularizers.registry:
        fields = {"l1": 0.01, "l2": 0.01} if name == "l1_l2" else {}
        kernel = dense(9, "tanh", kernel_regularizer={"type": name, **fields})
        yield "regularizers", name, classify(kernel, dense(7, "tanh"))
    yield "batches", "all rows", stack(batch_size=None)
    yield "batches", "in order", stack(shuffle=False, batch_size=50)


def main() -> None:
    families: dict[str, list[Json]] = {}
    for family, name, fields in cases():
        fields |= {"dtype": "float64"}
        trainer = Trainer(file.experiment_from(fields))
        steps = trainer.advance(STEPS).steps
        golden = {"name": name, "experiment": fields, "loss": steps[:, 0].tolist(), "gradient": steps[:, 2].tolist()}
        families.setdefault(family, []).append(golden)
    TARGET.parent.mkdir(exist_ok=True)
    lines = []
    for family, trainings in families.items():
        rows = ",\n".join(f"    {json.dumps(training)}" for training in trainings)
        lines.append(f"  {json.dumps(family)}: [\n{rows}\n  ]")
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {sum(map(len, families.values()))} trainings")


if __name__ == "__main__":
    main()

"""Build a deep network, train it, and see layer by layer why it stops learning.

>>> from gradsim import Experiment, layers, optimizers
>>> experiment = Experiment(
...     layers=[layers.Dense(16, activation="tanh"), layers.Dense(1, activation="sigmoid")],
...     data="moons", loss="binary_crossentropy", optimizer=optimizers.SGD(0.1))
>>> recording = experiment.run(steps=100)
>>> recording["gradient_norm"].shape
(100, 2)

Everything is loaded at its first use; only a training loads the compiled engine, and nothing here loads Qt.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradsim import data as datasets
    from gradsim.api import Experiment, ExperimentError, Progress, load
    from gradsim.exchange.watching import watch
    from gradsim.nn import activations, initializers, layers, losses, optimizers, regularizers, schedules
    from gradsim.telemetry import Recording

__version__ = "0.1.0"

__all__ = [
    "Experiment",
    "ExperimentError",
    "Progress",
    "Recording",
    "__version__",
    "activations",
    "datasets",
    "initializers",
    "layers",
    "load",
    "losses",
    "optimizers",
    "regularizers",
    "schedules",
    "watch",
]

_MODULES = {"datasets": "gradsim.data"} | {
    name: f"gradsim.nn.{name}"
    for name in ("activations", "initializers", "layers", "losses", "optimizers", "regularizers", "schedules")
}
_VALUES = {
    "KerasCallback": "gradsim.exchange.watching",
    "watch": "gradsim.exchange.watching",
    "Experiment": "gradsim.api",
    "ExperimentError": "gradsim.api",
    "Progress": "gradsim.api",
    "Recording": "gradsim.telemetry",
    "load": "gradsim.api",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = importlib.import_module(_MODULES[name])
    elif name in _VALUES:
        value = getattr(importlib.import_module(_VALUES[name]), name)
    else:
        raise AttributeError(f"module 'gradsim' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

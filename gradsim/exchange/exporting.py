"""What all exports share: the active stack, the data a script reads, the files beside it."""

from __future__ import annotations

import dataclasses
import math
import pprint
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gradsim import data as datasets
from gradsim import replacing
from gradsim.exchange.results import Array
from gradsim.i18n import tr
from gradsim.model import Experiment
from gradsim.model.faults import FaultsError
from gradsim.nn import layers as nn_layers
from gradsim.nn.layers import Layer
from gradsim.nn.spec import MISSING, Fault, to_json

DataFrom = Literal["gradsim", "file"]

EPOCHS = 10
"""Epochs of an exported script, as an experiment has none of its own."""
WIDTH = 100
"""Longest line of an exported script, where it can be broken."""


class ExportFault(FaultsError):
    """An experiment that can't be written in this form; ``faults`` holds every reason."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """A script.

    Attributes:
        text: The script.
        arrays: What it reads from the ``.npz`` file beside it; empty if it needs none.
        arrays_name: Name of that file.
        notes: What differs from the experiment, in words.
    """

    text: str
    arrays: dict[str, Array]
    arrays_name: str
    notes: tuple[str, ...] = ()

    def write(self, path: Path) -> list[Path]:
        """Writes the script and what it reads; gives the files.

        Raises:
            OSError: if a file can't be written.
        """
        written = []
        if self.arrays:
            beside = path.with_name(self.arrays_name)
            with replacing.replacing(beside) as file:
                np.savez_compressed(file, **self.arrays)  # type: ignore[arg-type]
            written.append(beside)
        replacing.write(path, self.text.encode())
        return [path, *written]


def active(layers: Sequence[Layer], trainable: bool = True) -> tuple[Layer, ...]:
    """The layers that take part: without disabled ones and empty groups, frozen groups as frozen layers."""
    found: list[Layer] = []
    for layer in layers:
        if not layer.enabled:
            continue
        kept = trainable and layer.trainable
        if isinstance(layer, nn_layers.Repeat | nn_layers.Residual):
            inside = active(layer.layers, kept)
            if inside:
                found.append(dataclasses.replace(layer, layers=inside, trainable=True))
        else:
            found.append(dataclasses.replace(layer, trainable=kept))
    return tuple(found)


def checked(experiment: Experiment) -> None:
    """Refuses what no script could train.

    Raises:
        ExportFault: with every reason.
    """
    try:
        stack = experiment.stack()
    except ValueError as error:
        faults = getattr(error, "faults", None) or (Fault("layers", str(error), MISSING),)
        raise ExportFault(faults) from None
    if len(stack.output_shape) != 1:
        sizes = " x ".join(map(str, stack.output_shape))
        raise ExportFault([Fault("layers", tr("must end in a flat row of outputs: add Flatten and Dense"), sizes)])


def dataset_of(experiment: Experiment) -> datasets.Dataset:
    """The data; raises ExportFault where they can't be read."""
    try:
        return datasets.load(experiment.data)
    except datasets.DataError as error:
        raise ExportFault(error.faults) from None


@dataclasses.dataclass
class Source:
    """How a script comes by its data and first weights.

    Attributes:
        imports: Modules for the head of the script.
        lines: Code that defines x_train, y_train, x_val and y_val (NumPy arrays).
        validated: False if there is nothing to validate with.
    """

    imports: list[str]
    lines: list[str]
    arrays: dict[str, Array]
    validated: bool


def start_notes(experiment: Experiment, weights: Sequence[Array] | None) -> tuple[str, ...]:
    """What a script without weights starts from otherwise than the experiment."""
    if weights is not None or not experiment.pretrained:
        return ()
    return (
        tr("the script draws its weights; to start from {file}, export the weights too", file=experiment.pretrained),
    )


def source_of(experiment: Experiment, data: DataFrom, name: str, weights: Sequence[Array] | None) -> Source:
    """Data from gradsim itself, or from the file beside the script."""
    dataset = dataset_of(experiment)
    outputs = experiment.stack().output_shape[0]
    try:
        y_train, y_val = dataset.targets(outputs)
    except datasets.DataError as error:
        raise ExportFault(error.faults) from None
    validated = dataset.x_val is not None and y_val is not None and len(y_val) > 0
    arrays: dict[str, Array] = {}
    imports: list[str] = []
    lines: list[str] = []
    if data == "file" or weights is not None:
        imports += ["from pathlib import Path", "import numpy as np"]
        lines.append(f'arrays = np.load(Path(__file__).with_name("{name}"))')
    if data == "file":
        arrays |= {"x_train": dataset.x_train, "y_train": y_train}
        lines.append('x_train, y_train = arrays["x_train"], arrays["y_train"]')
        if validated:
            arrays |= {"x_val": np.asarray(dataset.x_val), "y_val": np.asarray(y_val)}
            lines.append('x_val, y_val = arrays["x_val"], arrays["y_val"]')
    else:
        if not experiment.data.storable:
            message = tr("arrays in memory are not known to a script: export them to a file beside it")
            raise ExportFault([Fault("data", message, experiment.data.identifier)])
        imports.append("from gradsim import datasets")
        described = pprint.pformat(to_json(experiment.data), width=WIDTH, sort_dicts=False)
        lines.append(f"data = datasets.load({described})")
        lines.append(f"x_train, x_val = data.x_train, data.x_val\ny_train, y_val = data.targets({outputs})")
    if weights is not None:
        arrays |= {f"weight_{number}": np.asarray(array) for number, array in enumerate(weights)}
    return Source(imports, lines, arrays, validated)


def docstring(experiment: Experiment) -> list[str]:
    """Name and description as a module's docstring; nothing if it has neither."""
    if not experiment.name.strip():
        return []
    text = experiment.name.strip()
    if experiment.description.strip():
        text += "\n\n" + experiment.description.strip()
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').replace("\r", "\\r")
    if escaped.endswith('"'):
        escaped = escaped[:-1] + '\\"'
    return [f'"""{escaped}\n"""', ""]


def number(value: Any) -> str:
    """A value as Python code."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def call(name: str, /, *args: str, **kwargs: str) -> str:
    """A call as Python code."""
    return f"{name}({', '.join([*args, *(f'{key}={value}' for key, value in kwargs.items())])})"

"""The experiment: everything that decides what is trained, as one frozen value."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from gradsim import data as datasets
from gradsim.model.stack import Stack, expand
from gradsim.nn import layers as nn_layers
from gradsim.nn import losses, optimizers
from gradsim.nn.spec import Spec, frozen, option, reference, references

LossField = Annotated[losses.Loss, reference("loss")]
OptimizerField = Annotated[optimizers.Optimizer, reference("optimizer")]


def _with_uids(value: tuple[nn_layers.Layer, ...]) -> tuple[nn_layers.Layer, ...]:
    return nn_layers.with_uids(value)


@frozen
class Experiment(Spec):
    """A stack of layers, what it learns from and how.

    Attributes:
        data: A dataset by name, as spec, or in memory: ``(x, y)`` or ``(x, y, x_val, y_val)`` arrays.
        batch_size: Rows of a step; None is the whole training set (batch gradient descent), 1 is stochastic.
        seed: Decides the initial weights, the order of the rows and dropout.
        pretrained: A file of weights, or ``bundled:NAME``; :func:`gradsim.exchange.pretrained.start_of` reads it.
        pretrained_layers: How many layers of the expanded stack start from it; None is all.
    """

    kind: ClassVar[str] = "experiment"

    layers: Annotated[tuple[nn_layers.Layer, ...], references("layer")] = option(
        "Layers", "The stack, from the input to the output.", default=()
    )
    data: Annotated[datasets.Source, BeforeValidator(datasets.source)] = option(
        "Data", "What is learned.", default="fashion_mnist", validate_default=True
    )
    loss: LossField = option("Loss", "What is made small.", default="categorical_crossentropy", validate_default=True)
    optimizer: OptimizerField = option(
        "Optimizer", "How a gradient becomes a step.", default="SGD", validate_default=True
    )
    batch_size: int | None = option(
        "Batch size",
        "Rows of a step: 1 is stochastic, empty is the whole training set.",
        default=32,
        ge=1,
        le=1_000_000,
        unit="rows",
    )
    seed: int = option(
        "Seed",
        "Decides the initial weights, the order of the rows and dropout.",
        default=0,
        ge=0,
        le=2**31 - 1,
    )
    dtype: Literal["float32", "float64"] = option("Number format", "What the training computes in.", default="float32")
    shuffle: bool = option("Shuffle", "Mix the rows anew in every epoch.", default=True, advanced=True)
    pretrained: str = option(
        "Trained weights",
        "File that the first layers start from: a recording (.npz), a .keras file, .safetensors or arrays (.npz); "
        "empty: every weight is drawn from the seed.",
        default="",
        max_length=4096,
        advanced=True,
        kw_only=True,
    )
    pretrained_layers: int | None = option(
        "Layers from the file",
        "How many of the first layers start from trained weights, Flatten included; empty: all of them.",
        default=None,
        ge=1,
        le=100_000,
        unit="layers",
        advanced=True,
        kw_only=True,
    )
    name: str = option("Name", "Title of the experiment.", default="", max_length=200, kw_only=True)
    description: str = option("Description", "What it shows.", default="", max_length=20_000, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _with_uids(self.layers))

    def stack(self) -> Stack:
        """The expanded stack with all shapes.

        Raises:
            gradsim.model.stack.StackError: with every layer that can't stand where it is.
        """
        return expand(self.layers, datasets.input_shape(self.data))

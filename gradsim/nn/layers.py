"""Layers: what a stack is built of, with Keras' names, fields and defaults.

A layer definition says which shape comes out, which weights it has (in the order of Keras' ``get_weights()``) and
what it applies. How it is computed is the engine's business.
"""

from __future__ import annotations

import dataclasses
import math
import uuid
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from gradsim.i18n import tr
from gradsim.nn import activations, initializers, regularizers
from gradsim.nn.spec import Registry, Spec, frozen, option, optional_reference, reference, references

registry = Registry("layer", by_name=False)

Shape = tuple[int, ...]
Role = Literal["kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "alpha"]

ActivationField = Annotated[activations.Activation, reference("activation")]
InitializerField = Annotated[initializers.Initializer, reference("initializer")]
RegularizerField = Annotated[regularizers.Regularizer | None, optional_reference("regularizer")]


class ShapeError(ValueError):
    """A layer can't take the shape that reaches it."""


@dataclasses.dataclass(frozen=True)
class Weight:
    """One array of a layer.

    Attributes:
        role: What it is; "moving_mean" and "moving_variance" are kept but not trained.
        shape: Its shape; a kernel is ``(inputs, outputs)``.
        initializer: What it starts from.
        regularizer: Penalty, or None.
    """

    role: Role
    shape: Shape
    initializer: initializers.Initializer
    regularizer: regularizers.Regularizer | None = None

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def is_state(self) -> bool:
        """True if no optimizer ever touches it."""
        return self.role.startswith("moving_")


def new_uid() -> str:
    """An identity for a layer that is new on the desk."""
    return uuid.uuid4().hex[:12]


@frozen
class Layer(Spec):
    """Base of all layers.

    Attributes:
        category: Heading in the palette.
        flat_input: True if it takes rows ``(units,)`` only.
        main_weight: Role of the array whose gradient is shown, or "".
    """

    kind: ClassVar[str] = "layer"
    category: ClassVar[str] = "Layers"
    flat_input: ClassVar[bool] = True
    main_weight: ClassVar[str] = ""

    name: str = option(
        "Name", "Name of the layer; empty for an automatic one.", default="", kw_only=True, max_length=80
    )
    trainable: bool = option(
        "Trainable", "Off: the layer is frozen, training leaves it alone.", default=True, kw_only=True
    )
    enabled: bool = option(
        "Enabled", "Off: the stack is trained as if the layer weren't there.", default=True, kw_only=True
    )
    uid: str = option("", "Identity on the desk; not saved.", default="", hidden=True, kw_only=True)

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one sample behind the layer; raises :class:`ShapeError`."""
        return shape

    def weights(self, shape: Shape) -> tuple[Weight, ...]:
        """The arrays for an input of this shape, in Keras' ``get_weights()`` order."""
        return ()

    def applied(self) -> activations.Activation | None:
        """The activation that the layer ends with, or None."""
        return None

    def children(self) -> tuple[Layer, ...]:
        """The layers inside, for a container."""
        return ()

    def _flat(self, shape: Shape) -> int:
        if len(shape) != 1:
            raise ShapeError(
                tr(
                    "{layer} takes flat rows, but {shape} reaches it: put Flatten before it",
                    layer=self.identifier,
                    shape=_size(shape),
                )
            )
        return shape[0]


@registry.register("Flatten")
@frozen
class Flatten(Layer):
    """Turns a picture into one row of numbers."""

    category = "Shape"
    flat_input = False

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


@registry.register("Dense")
@frozen
class Dense(Layer):
    """Every unit sees every input: activation(x W + b)."""

    category = "Core"
    main_weight = "kernel"

    units: int = option("Units", "Number of neurons.", ge=1, le=8192)
    activation: ActivationField = option(
        "Activation", "What each unit applies to its sum.", default="linear", validate_default=True
    )
    use_bias: bool = option("Bias", "Add a learned constant to every unit.", default=True, advanced=True)
    kernel_initializer: InitializerField = option(
        "Initializer", "How the weights start.", default="glorot_uniform", validate_default=True
    )
    bias_initializer: InitializerField = option(
        "Bias initializer", "How the biases start.", default="zeros", validate_default=True, advanced=True
    )
    kernel_regularizer: RegularizerField = option(
        "Regularizer", "Penalty on the weights, added to the loss.", default=None, advanced=True
    )

    def output_shape(self, shape: Shape) -> Shape:
        self._flat(shape)
        return (self.units,)

    def weights(self, shape: Shape) -> tuple[Weight, ...]:
        inputs = self._flat(shape)
        kernel = Weight("kernel", (inputs, self.units), self.kernel_initializer, self.kernel_regularizer)
        if not self.use_bias:
            return (kernel,)
        return kernel, Weight("bias", (self.units,), self.bias_initializer)

    def applied(self) -> activations.Activation | None:
        return self.activation


@registry.register("Activation")
@frozen
class Activation(Layer):
    """Applies an activation as a layer of its own."""

    category = "Activation"
    flat_input = False

    activation: ActivationField = option(
        "Activation", "What is applied to every value.", default="relu", validate_default=True
    )

    def applied(self) -> activations.Activation | None:
        return self.activation


@registry.register("LeakyReLU")
@frozen
class LeakyReLU(Layer):
    """ReLU with a small slope below zero, as a layer."""

    category = "Activation"
    flat_input = False

    negative_slope: float = option("Negative slope", "Slope below zero.", default=0.3, ge=0, le=1, step=0.05)

    def applied(self) -> activations.Activation | None:
        return activations.LeakyReLU(self.negative_slope)


@registry.register("PReLU")
@frozen
class PReLU(Layer):
    """Leaky ReLU whose slope below zero is learned, one per unit (He et al. 2015, eq. 1)."""

    category = "Activation"
    main_weight = "alpha"

    alpha_initializer: InitializerField = option(
        "Initializer", "How the slopes start.", default="zeros", validate_default=True
    )

    def weights(self, shape: Shape) -> tuple[Weight, ...]:
        return (Weight("alpha", (self._flat(shape),), self.alpha_initializer),)


@registry.register("ELU")
@frozen
class ELU(Layer):
    """ELU as a layer."""

    category = "Activation"
    flat_input = False

    alpha: float = option("Alpha", "The value it bends to below zero is -alpha.", default=1.0, gt=0, le=10, step=0.1)

    def applied(self) -> activations.Activation | None:
        return activations.ELU(self.alpha)


@registry.register("BatchNormalization")
@frozen
class BatchNormalization(Layer):
    """Gives every unit mean 0 and deviation 1 over the batch, then scales and shifts (Ioffe & Szegedy 2015)."""

    category = "Normalisation"
    main_weight = "gamma"

    momentum: float = option(
        "Momentum", "Memory of the running mean and variance.", default=0.99, ge=0, lt=1, step=0.01
    )
    epsilon: float = option("Epsilon", "Added to the variance.", default=1e-3, gt=0, advanced=True)
    center: bool = option("Centre", "Learn a shift (beta).", default=True, advanced=True)
    scale: bool = option("Scale", "Learn a scale (gamma).", default=True, advanced=True)

    def weights(self, shape: Shape) -> tuple[Weight, ...]:
        size = (self._flat(shape),)
        ones, zeros = initializers.Ones(), initializers.Zeros()
        found = []
        if self.scale:
            found.append(Weight("gamma", size, ones))
        if self.center:
            found.append(Weight("beta", size, zeros))
        return (*found, Weight("moving_mean", size, zeros), Weight("moving_variance", size, ones))


@registry.register("LayerNormalization")
@frozen
class LayerNormalization(Layer):
    """Gives every row mean 0 and deviation 1 over its units, then scales and shifts (Ba et al. 2016)."""

    category = "Normalisation"
    main_weight = "gamma"

    epsilon: float = option("Epsilon", "Added to the variance.", default=1e-3, gt=0, advanced=True)
    center: bool = option("Centre", "Learn a shift (beta).", default=True, advanced=True)
    scale: bool = option("Scale", "Learn a scale (gamma).", default=True, advanced=True)

    def weights(self, shape: Shape) -> tuple[Weight, ...]:
        size = (self._flat(shape),)
        found = []
        if self.scale:
            found.append(Weight("gamma", size, initializers.Ones()))
        if self.center:
            found.append(Weight("beta", size, initializers.Zeros()))
        return tuple(found)


@registry.register("Dropout")
@frozen
class Dropout(Layer):
    """Zeroes a random share of its input while training and scales up the rest (Srivastava et al. 2014)."""

    category = "Regularisation"
    flat_input = False

    rate: float = option("Rate", "Share that is dropped.", default=0.5, ge=0, lt=1, step=0.05)


@registry.register("Residual")
@frozen
class Residual(Layer):
    """Adds its input to what the layers inside make of it: x + f(x) (He et al. 2016)."""

    category = "Groups"
    flat_input = False

    layers: Annotated[tuple[Layer, ...], references("layer")] = option("Layers", "The layers inside.", default=())

    def children(self) -> tuple[Layer, ...]:
        return self.layers

    def output_shape(self, shape: Shape) -> Shape:
        inner = shape
        for layer in self.layers:
            if layer.enabled:
                inner = layer.output_shape(inner)
        if inner != shape:
            raise ShapeError(
                tr(
                    "a residual block adds its input to its output, but {before} goes in and {after} comes out: give "
                    "its last layer as many units as the input has",
                    before=_size(shape),
                    after=_size(inner),
                )
            )
        return shape


@registry.register("Repeat")
@frozen
class Repeat(Layer):
    """The layers inside, several times over, each time with weights of their own."""

    category = "Groups"
    flat_input = False

    count: int = option("Times", "How often the block is repeated.", default=10, ge=1, le=2000)
    layers: Annotated[tuple[Layer, ...], references("layer")] = option("Layers", "The layers inside.", default=())

    def children(self) -> tuple[Layer, ...]:
        return self.layers

    def output_shape(self, shape: Shape) -> Shape:
        # The shape behind a block depends only on the shape before it, so it settles after the first round or is
        # refused in the second.
        for _ in range(min(self.count, 2)):
            for layer in self.layers:
                if layer.enabled:
                    shape = layer.output_shape(shape)
        return shape


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape))


L = TypeVar("L", bound=Layer)


def with_uids(layers: tuple[Layer, ...], taken: set[str] | None = None) -> tuple[Layer, ...]:
    """The same layers, where every one, also inside a group, has an identity that no other has."""
    taken = set() if taken is None else taken
    found = []
    for layer in layers:
        changes: dict[str, Any] = {}
        if not layer.uid or layer.uid in taken:
            changes["uid"] = new_uid()
        taken.add(changes.get("uid", layer.uid))
        if layer.children():
            inner = with_uids(layer.children(), taken)
            if any(a is not b for a, b in zip(inner, layer.children(), strict=True)):
                changes["layers"] = inner
        found.append(dataclasses.replace(layer, **changes) if changes else layer)
    return tuple(found)

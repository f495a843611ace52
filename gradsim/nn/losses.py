"""Losses (``keras/src/losses/losses.py``): mean over the last axis, then over the batch.

An elementwise loss has ``element(p, y)`` and ``element_gradient(p, y)``, written with :mod:`gradsim.nn.scalar` and
compiled by the engine. Cross-entropy is fused with the output's sigmoid or softmax, where its gradient with respect
to the pre-activation is ``p - y``, which is exact and stable; on any other output it follows Keras, clipping
probabilities to ``[1e-7, 1 - 1e-7]``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from gradsim.nn.scalar import log, maximum, minimum, sign, where
from gradsim.nn.spec import Registry, Spec, frozen

registry = Registry("loss")

EPSILON = 1e-7


@frozen
class Loss(Spec):
    """Base of all losses.

    Attributes:
        fused_activation: Identifier of the output activation it is fused with, or "".
        task: What it is meant for: "regression", "binary" or "classification".
        rowwise: True if a row's loss is not the mean of its elements' losses.
    """

    kind: ClassVar[str] = "loss"
    fused_activation: ClassVar[str] = ""
    task: ClassVar[str] = "regression"
    rowwise: ClassVar[bool] = False

    @staticmethod
    def element(p: Any, y: Any) -> Any:
        """Loss of one output ``p`` with the target ``y``."""
        raise NotImplementedError

    @staticmethod
    def element_gradient(p: Any, y: Any) -> Any:
        """Derivative of :meth:`element` with respect to ``p``."""
        raise NotImplementedError

    def __call__(self, p: Any, y: Any) -> Any:
        """Loss of each row: ``p`` and ``y`` have the shape ``(rows, outputs)``."""
        return np.mean(type(self).element(p, y), axis=-1)


@registry.register("mse", "mean_squared_error", "MSE", "MeanSquaredError")
@frozen
class MeanSquaredError(Loss):
    """Mean of squared differences: for real numbers."""

    @staticmethod
    def element(p: Any, y: Any) -> Any:
        return (p - y) * (p - y)

    @staticmethod
    def element_gradient(p: Any, y: Any) -> Any:
        return 2.0 * (p - y)


@registry.register("mae", "mean_absolute_error", "MAE", "MeanAbsoluteError")
@frozen
class MeanAbsoluteError(Loss):
    """Mean of absolute differences: for real numbers with outliers."""

    @staticmethod
    def element(p: Any, y: Any) -> Any:
        return where(p > y, p - y, y - p)

    @staticmethod
    def element_gradient(p: Any, y: Any) -> Any:
        return sign(p - y)


@registry.register("binary_crossentropy", "BinaryCrossentropy", "bce")
@frozen
class BinaryCrossentropy(Loss):
    """For yes-or-no targets behind a sigmoid."""

    fused_activation = "sigmoid"
    task = "binary"

    @staticmethod
    def element(p: Any, y: Any) -> Any:
        q = minimum(maximum(p, EPSILON), 1.0 - EPSILON)
        return -(y * log(q) + (1.0 - y) * log(1.0 - q))

    @staticmethod
    def element_gradient(p: Any, y: Any) -> Any:
        q = minimum(maximum(p, EPSILON), 1.0 - EPSILON)
        return where(p == q, (q - y) / (q * (1.0 - q)), 0.0)


@registry.register(
    "categorical_crossentropy", "CategoricalCrossentropy", "sparse_categorical_crossentropy",
    "SparseCategoricalCrossentropy",
)  # fmt: skip
@frozen
class CategoricalCrossentropy(Loss):
    """For one class of several behind a softmax."""

    fused_activation = "softmax"
    task = "classification"
    rowwise = True

    def __call__(self, p: Any, y: Any) -> Any:
        q = np.clip(p / np.sum(p, axis=-1, keepdims=True), EPSILON, 1 - EPSILON)
        return -np.sum(y * np.log(q), axis=-1)

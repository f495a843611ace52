"""A plain NumPy network: forward and backward of a stack in float64, written apart from theory and engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradsim.model.stack import Placed, Stack
from gradsim.nn import layers, losses
from gradsim.nn.activations import Activation, Softmax

Array = NDArray[Any]


class Network:
    """One network: a stack with the initial weights of a seed.

    Attributes:
        delta, gradient: RMS per row after :meth:`backward`; NaN for a row without a main weight.
    """

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack = stack
        weights = iter(stack.initial_weights(seed))
        self.weights = [{w.role: next(weights) for w in placed.weights} for placed in stack.layers]
        self.rng = np.random.default_rng([seed, 1])
        self.caches: list[dict[str, Array]] = [{} for _ in stack.layers]
        count = len(stack.layers)
        self.delta, self.gradient = np.full(count, np.nan), np.full(count, np.nan)

    def forward(self, x: Array, start: int = 0, stop: int | None = None, depth: int = 0) -> Array:
        """Output for the rows ``x``."""
        stop = len(self.stack.layers) if stop is None else stop
        row = start
        while row < stop:
            block = self.block(row, start, stop, depth)
            if block is not None:
                x = x + self.forward(x, row, block, depth + 1)
                row = block
            else:
                x = self.up(row, x)
                row += 1
        return x

    def block(self, row: int, start: int, stop: int, depth: int) -> int | None:
        """Where the residual block ends that starts in a row, or None; blocks are not nested here."""
        return next((b for a, b in self.stack.residuals if a == row and depth == 0), None)

    def up(self, row: int, x: Array) -> Array:
        placed, w, cache = self.stack.layers[row], self.weights[row], self.caches[row]
        cache["x"] = x
        match placed.layer:
            case layers.Flatten():
                return x.reshape(len(x), -1)
            case layers.Dense():
                x = x @ w["kernel"] + w.get("bias", 0.0)
            case layers.BatchNormalization():
                return self.normalised(cache, x, 0, placed.layer.epsilon)
            case layers.LayerNormalization():
                return self.normalised(cache, x, 1, placed.layer.epsilon)
            case layers.Dropout():
                keep = 1 - placed.layer.rate
                cache["mask"] = (self.rng.random(x.shape) < keep) / keep
                return x * cache["mask"]
            case layers.PReLU():
                cache["slope"] = np.where(x > 0, 1.0, w["alpha"])
                return x * cache["slope"]
        activation = placed.layer.applied()
        if isinstance(activation, Activation):
            y = activation(x)
            cache["slope"] = y if isinstance(activation, Softmax) else activation.slope(x)
            return np.asarray(y)
        return x

    @staticmethod
    def normalised(cache: dict[str, Array], x: Array, axis: int, epsilon: float) -> Array:
        cache["scale"] = 1 / np.sqrt(x.var(axis=axis, keepdims=True) + epsilon)
        cache["y"] = (x - x.mean(axis=axis, keepdims=True)) * cache["scale"]
        return cache["y"]

    def backward(self, d: Array, *, fused: bool = False) -> Array:
        """Takes the gradient of the output down; ``fused``: it is that of the last pre-activation already."""
        return self.down(d, 0, len(self.stack.layers), 0, fused)

    def down(self, d: Array, start: int, stop: int, depth: int, fused: bool) -> Array:
        ends = {b: a for a, b in self.stack.residuals if depth == 0}
        row = stop - 1
        while row >= start:
            if row + 1 in ends:
                d = d + self.down(d, ends[row + 1], row + 1, depth + 1, False)
                row = ends[row + 1] - 1
            else:
                d = self.through(self.stack.layers[row], d, fused and row == stop - 1)
                row -= 1
        return d

    def through(self, placed: Placed, d: Array, fused: bool) -> Array:
        row, layer, cache, w = placed.index, placed.layer, self.caches[placed.index], self.weights[placed.index]
        outer = d
        if isinstance(layer.applied(), Softmax) and not fused:
            y = cache["slope"]
            d = y * (d - np.sum(d * y, axis=1, keepdims=True))
        elif "slope" in cache and not fused:
            d = d * cache["slope"]
        self.delta[row] = rms(d)
        match layer:
            case layers.Flatten():
                return d.reshape(cache["x"].shape)
            case layers.Dense():
                self.gradient[row] = rms(cache["x"].T @ d)
                return np.asarray(d @ w["kernel"].T)
            case layers.PReLU():
                self.gradient[row] = rms(np.sum(outer * np.minimum(cache["x"], 0), axis=0))
            case layers.Dropout():
                return d * cache["mask"]
            case layers.BatchNormalization() | layers.LayerNormalization():
                axis = 0 if isinstance(layer, layers.BatchNormalization) else 1
                y = cache["y"]
                self.gradient[row] = rms(np.sum(d * y, axis=0))
                inner = d - d.mean(axis=axis, keepdims=True) - y * np.mean(d * y, axis=axis, keepdims=True)
                return np.asarray(cache["scale"] * inner)
        return d


def rms(x: Array) -> float:
    """Root mean square of all entries."""
    return float(np.sqrt(np.mean(np.square(x))))


def measured(
    stack: Stack, rows: int, seeds: range, loss: losses.Loss | None = None, correlation: float = 0.0
) -> tuple[Array, Array]:
    """log10 RMS of delta and dW, (seeds, layers), for normal inputs whose rows have a correlation.

    Without a loss the gradient at the output is white noise and profiles are relative to delta in the last row; with
    one, targets are random classes (cross-entropy) or standard normal.
    """
    deltas, gradients = [], []
    for seed in seeds:
        network = Network(stack, seed)
        rng = np.random.default_rng([seed, 2])
        shape = stack.input_shape
        x = np.sqrt(1 - correlation) * rng.standard_normal((rows, *shape))
        x += np.sqrt(correlation) * rng.standard_normal((1, *shape))
        y = network.forward(x)
        fused = False
        if loss is None:
            d = rng.standard_normal(y.shape)
        elif isinstance(loss, losses.CategoricalCrossentropy):
            d, fused = (y - np.eye(y.shape[1])[rng.integers(y.shape[1], size=rows)]) / rows, True
        elif isinstance(loss, losses.BinaryCrossentropy):
            d, fused = (y - rng.integers(2, size=y.shape)) / y.size, True
        else:
            d = loss.element_gradient(y, rng.standard_normal(y.shape)) / y.size
        network.backward(d, fused=fused)
        with np.errstate(divide="ignore"):
            base = np.log10(network.delta[-1]) if loss is None else 0.0
            deltas.append(np.log10(network.delta) - base)
            gradients.append(np.log10(network.gradient) - base)
    return np.array(deltas), np.array(gradients)

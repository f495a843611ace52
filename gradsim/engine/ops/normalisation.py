"""Batch and layer normalisation, and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from gradsim.engine.jit import Source
from gradsim.engine.layout import ROWS, Context
from gradsim.engine.ops.record import statistics

_TRAINING, _STEP, _SEED = int(Context.TRAINING), int(Context.STEP), int(Context.SEED)


def batch_forward(dtype: str) -> Source:
    """Batch normalisation (Ioffe & Szegedy 2015, algorithm 1; ``keras/src/layers/normalization``).

    In a training step the batch's mean and biased variance normalise, and move the moving statistics.
    """
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    zero, one = scalar(0), scalar(1)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[8]
        x = carray(at(a[0]), (rows, width))
        y = carray(at(a[1]), (rows, width))
        gamma = carray(at(a[2]), (width,))
        beta = carray(at(a[3]), (width,))
        moving_mean = carray(at(a[4]), (width,))
        moving_variance = carray(at(a[5]), (width,))
        mean = carray(at(a[6]), (width,))
        inverse = carray(at(a[7]), (width,))
        epsilon = scalar(f[0])
        keep = scalar(f[1])
        if a[10] != 0 and ci[_TRAINING] != 0:
            share = one / scalar(rows)
            for c in range(width):
                mean[c] = zero
                inverse[c] = zero
            for r in range(rows):
                for c in range(width):
                    mean[c] += x[r, c]
            for c in range(width):
                mean[c] *= share
            for r in range(rows):
                for c in range(width):
                    t = x[r, c] - mean[c]
                    inverse[c] += t * t
            for c in range(width):
                variance = inverse[c] * share
                moving_mean[c] = moving_mean[c] * keep + mean[c] * (one - keep)
                moving_variance[c] = moving_variance[c] * keep + variance * (one - keep)
                inverse[c] = one / np.sqrt(variance + epsilon)
        else:
            for c in range(width):
                mean[c] = moving_mean[c]
                inverse[c] = one / np.sqrt(moving_variance[c] + epsilon)
        scaled = a[2] != 0
        shifted = a[3] != 0
        for r in range(rows):
            for c in range(width):
                y[r, c] = (x[r, c] - mean[c]) * inverse[c]
            if scaled:
                for c in range(width):
                    y[r, c] *= gamma[c]
            if shifted:
                for c in range(width):
                    y[r, c] += beta[c]

    return operation


def batch_backward(dtype: str) -> Source:
    """Gradients of batch normalisation; D holds the gradient of the output, DX becomes that of the input."""
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    zero, one = scalar(0), scalar(1)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[8]
        rows * width
        x = carray(at(a[0]), (rows, width))
        gamma = carray(at(a[2]), (width,))
        mean = carray(at(a[6]), (width,))
        inverse = carray(at(a[7]), (width,))
        d = carray(at(a[11]), (rows, width))
        scratch = carray(at(a[15]), (2 * width,))
        for c in range(width):
            scratch[c] = zero
            scratch[width + c] = zero
        for r in range(rows):
            for c in range(width):
                g = d[r, c]
                scratch[c] += g
                scratch[width + c] += g * (x[r, c] - mean[c])
        for c in range(width):
            scratch[width + c] *= inverse[c]
        if a[13] != 0:
            gradient = carray(at(a[13]), (width,))
            for c in range(width):
                gradient[c] = scratch[width + c]
        if a[14] != 0:
            gradient = carray(at(a[14]), (width,))
            for c in range(width):
                gradient[c] = scratch[c]
        if a[12] == 0:
            return
        dx = carray(at(a[12]), (rows, width))
        scaled = a[2] != 0
        if a[10] != 0 and ci[_TRAINING] != 0:
            share = one / scalar(rows)
            for c in range(width):
                scratch[c] *= share
                scratch[width + c] *= share * inverse[c]
            for r in range(rows):
                for c in range(width):
                    dx[r, c] = (d[r, c] - scratch[c] - (x[r, c] - mean[c]) * scratch[width + c]) * inverse[c]
        else:
            for r in range(rows):
                for c in range(width):
                    dx[r, c] = d[r, c] * inverse[c]
        if scaled:
            for r in range(rows):
                for c in range(width):
                    dx[r, c] *= gamma[c]

    return operation


def layer_forward(dtype: str) -> Source:
    """Layer normalisation (Ba et al. 2016, eq. 3), over the units of each row."""
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    zero, one = scalar(0), scalar(1)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[8]
        x = carray(at(a[0]), (rows, width))
        y = carray(at(a[1]), (rows, width))
        gamma = carray(at(a[2]), (width,))
        beta = carray(at(a[3]), (width,))
        mean = carray(at(a[6]), (rows,))
        inverse = carray(at(a[7]), (rows,))
        epsilon = scalar(f[0])
        share = one / scalar(width)
        scaled = a[2] != 0
        shifted = a[3] != 0
        for r in range(rows):
            total = zero
            for c in range(width):
                total += x[r, c]
            total *= share
            squares = zero
            for c in range(width):
                t = x[r, c] - total
                squares += t * t
            i = one / np.sqrt(squares * share + epsilon)
            mean[r] = total
            inverse[r] = i
            for c in range(width):
                y[r, c] = (x[r, c] - total) * i
            if scaled:
                for c in range(width):
                    y[r, c] *= gamma[c]
            if shifted:
                for c in range(width):
                    y[r, c] += beta[c]

    return operation


def layer_backward(dtype: str) -> Source:
    """Gradients of layer normalisation; D holds the gradient of the output, DX becomes that of the input."""
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    zero, one = scalar(0), scalar(1)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        rows = ci[ROWS]
        width = a[8]
        rows * width
        x = carray(at(a[0]), (rows, width))
        gamma = carray(at(a[2]), (width,))
        mean = carray(at(a[6]), (rows,))
        inverse = carray(at(a[7]), (rows,))
        d = carray(at(a[11]), (rows, width))
        if a[13] != 0:
            gradient = carray(at(a[13]), (width,))
            for c in range(width):
                gradient[c] = zero
            for r in range(rows):
                for c in range(width):
                    gradient[c] += d[r, c] * (x[r, c] - mean[r]) * inverse[r]
        if a[14] != 0:
            gradient = carray(at(a[14]), (width,))
            for c in range(width):
                gradient[c] = zero
            for r in range(rows):
                for c in range(width):
                    gradient[c] += d[r, c]
        if a[12] == 0:
            return
        dx = carray(at(a[12]), (rows, width))
        share = one / scalar(width)
        scaled = a[2] != 0
        for r in range(rows):
            i = inverse[r]
            for c in range(width):
                dx[r, c] = d[r, c]
            if scaled:
                for c in range(width):
                    dx[r, c] *= gamma[c]
            total = zero
            product = zero
            for c in range(width):
                total += dx[r, c]
                product += dx[r, c] * (x[r, c] - mean[r])
            total *= share
            product *= share * i * i
            for c in range(width):
                dx[r, c] = (dx[r, c] - total - (x[r, c] - mean[r]) * product) * i

    return operation


def dropout(dtype: str) -> Source:
    """Inverted dropout (Srivastava et al. 2014, section 10): what stays is divided by its share.

    Whether a value stays is a hash (splitmix64) of seed, step, layer and place, so that the backward pass needs no
    mask and a run does not depend on how it is cut into chunks.
    """
    s = statistics(dtype)
    at, scalar = s.at, s.kind
    zero, one = scalar(0), scalar(1)

    def operation(a: Any, f: Any, ci: Any, cf: Any, out: Any) -> None:
        n = ci[ROWS] * a[2]
        x = carray(at(a[0]), (n,))
        y = carray(at(a[1]), (n,))
        rate = f[0]
        if rate == 0.0 or ci[_TRAINING] == 0:
            for i in range(n):
                y[i] = x[i]
        else:
            scale = one / scalar(1.0 - rate)
            limit = np.uint64(rate * 9007199254740992.0)
            key = np.uint64(ci[_SEED]) * np.uint64(0x9E3779B97F4A7C15)
            key = (key ^ np.uint64(ci[_STEP])) * np.uint64(0xBF58476D1CE4E5B9)
            key = (key ^ (key >> np.uint64(29)) ^ np.uint64(a[3])) * np.uint64(0x94D049BB133111EB)
            for i in range(n):
                h = key + np.uint64(i + 1) * np.uint64(0x9E3779B97F4A7C15)
                h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                h = (h ^ (h >> np.uint64(31))) >> np.uint64(11)
                y[i] = x[i] * scale if h >= limit else zero

    return operation

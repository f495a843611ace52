"""One engine in a process of its own, told over stdin what to train and for how long.

Started by `compare_engines.py`, which sets the environment that limits threads before anything is imported:

    python tests/benchmarks/workers.py ENGINE THREADS

Requests and answers are one JSON object a line. `{"setup": {...}}` builds the network of a setting and runs it once;
`{"run": steps}` trains on and answers with the seconds it took.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROWS = 2048
CLASSES = 10
LEARNING_RATE = 0.01

Run = Callable[[int], None]


class Setting(NamedTuple):
    """A network: `depth` hidden layers of `width` units, an input of `width`, ten softmax outputs."""

    depth: int
    width: int
    batch: int
    kind: str  # "tanh-sgd" or "bn-elu-adam"

    def __str__(self) -> str:
        extra = "" if self.kind == "tanh-sgd" else " BN+ELU+Adam"
        return f"{self.depth}x{self.width}x{self.batch}{extra}"

    @property
    def epoch(self) -> int:
        """Steps of one epoch; the rows divide evenly."""
        return ROWS // self.batch

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Kernel shapes, output layer included."""
        return [(self.width, self.width)] * self.depth + [(self.width, CLASSES)]

    @property
    def normalized(self) -> bool:
        return self.kind == "bn-elu-adam"


SETTINGS = (
    Setting(10, 32, 32, "tanh-sgd"),
    Setting(50, 32, 32, "tanh-sgd"),
    Setting(20, 64, 32, "tanh-sgd"),
    Setting(50, 128, 64, "tanh-sgd"),
    Setting(100, 256, 64, "tanh-sgd"),
    Setting(20, 512, 128, "tanh-sgd"),
    Setting(20, 64, 32, "bn-elu-adam"),
)


def make_arrays(setting: Setting) -> tuple[Any, Any, list[Any]]:
    """Rows, classes (integers) and glorot kernels that every engine starts from."""
    import numpy as np

    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, setting.width)).astype(np.float32)
    labels = random.integers(0, CLASSES, ROWS)
    kernels = []
    for inputs, outputs in setting.shapes:
        limit = np.sqrt(6 / (inputs + outputs))
        kernels.append(random.uniform(-limit, limit, (inputs, outputs)).astype(np.float32))
    return x, labels, kernels


# ------------------------------------------------------------------------------------------------------------- floor


class Product(NamedTuple):
    """One row-major product of a step: `out = left @ right`, either factor transposed or not."""

    left: Any
    right: Any
    out: Any
    transposed: str  # "", "left" or "right"


def products(setting: Setting) -> list[Product]:
    """The 3L-1 matrix products of one step of L dense layers, each on arrays of its own, as in training."""
    import numpy as np

    x, _, kernels = make_arrays(setting)
    batch = setting.batch
    inputs = [x[:batch].copy(), *(np.tanh(x[:batch] + i) for i in range(setting.depth))]
    forward, backward = [], []
    for index, kernel in enumerate(kernels):
        rows, columns = kernel.shape
        z = np.zeros((batch, columns), np.float32)
        forward.append(Product(inputs[index], kernel, z, ""))
        delta = np.random.default_rng(index).normal(size=(batch, columns)).astype(np.float32)
        layer = [Product(inputs[index], delta, np.zeros((rows, columns), np.float32), "left")]
        if index:
            layer.append(Product(delta, kernel, np.zeros((batch, rows), np.float32), "right"))
        backward.append(layer)
    return forward + [product for layer in reversed(backward) for product in layer]


def floor(setting: Setting) -> Run:
    """The same BLAS routine that SciPy has, called from compiled code: nothing but the products is left."""
    import ctypes

    import numba
    import numpy as np
    from numba.extending import get_cython_function_address

    # Every argument of a Fortran routine is an address, and an address travels like a 64-bit integer.
    gemm = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 13)(
        get_cython_function_address("scipy.linalg.cython_blas", "sgemm")
    )

    @numba.njit
    def loop(steps: int, calls: Any) -> None:
        for _ in range(steps):
            for i in range(calls.shape[0]):
                c = calls[i]
                gemm(c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10], c[11], c[12])

    kept: list[Any] = []

    def address(array: Any) -> int:
        kept.append(array)
        return int(array.ctypes.data)

    def integer(value: int) -> int:
        return address(np.array([value], np.int32))

    plain, turned = address(np.array([ord("N")], np.uint8)), address(np.array([ord("T")], np.uint8))
    one, zero = address(np.ones(1, np.float32)), address(np.zeros(1, np.float32))
    calls = []
    for left, right, out, transposed in products(setting):
        # Read by columns, a row-major matrix is its own transpose: out' = right' @ left'.
        inner = left.shape[0 if transposed == "left" else 1]
        calls.append(
            [
                turned if transposed == "right" else plain,
                turned if transposed == "left" else plain,
                integer(out.shape[1]),
                integer(out.shape[0]),
                integer(inner),
                one,
                address(right),
                integer(right.shape[1]),
                address(left),
                integer(left.shape[1]),
                zero,
                address(out),
                integer(out.shape[1]),
            ]
        )
    table = np.array(calls, np.int64)
    loop(1, table)
    for left, right, out, transposed in products(setting)[-1:]:
        expected = (left.T if transposed == "left" else left) @ (right.T if transposed == "right" else right)
        last = next(array for array in reversed(kept) if array.shape == out.shape and array.dtype == out.dtype)
        np.testing.assert_allclose(last, expected, rtol=1e-3, atol=1e-4)

    def run(steps: int) -> None:
        assert kept, "what the table points to must stay"
        loop(steps, table)

    return run


def numpy_dot(setting: Setting) -> Run:
    """The same products through `numpy.dot`, with what Python adds to each call."""
    import numpy as np

    calls = [
        (left.T if transposed == "left" else left, right.T if transposed == "right" else right, out)
        for left, right, out, transposed in products(setting)
    ]

    def run(steps: int) -> None:
        for _ in range(steps):
            for left, right, out in calls:
                np.dot(left, right, out=out)

    return run


# ----------------------------------------------------------------------------------------------------------- gradsim


def gradsim_trainer(setting: Setting, record: bool = True) -> Any:
    from gradsim.engine.team import cores
    from gradsim.engine.trainer import Trainer
    from gradsim.model.experiment import Experiment
    from gradsim.nn import layers, optimizers

    x, labels, kernels = make_arrays(setting)
    stack: list[Any] = []
    for _ in range(setting.depth):
        if setting.normalized:
            stack += [layers.Dense(setting.width), layers.BatchNormalization(), layers.ELU()]
        else:
            stack.append(layers.Dense(setting.width, activation="tanh"))
    stack.append(layers.Dense(CLASSES, activation="softmax"))
    experiment = Experiment(
        layers=stack,
        data=(x, labels),
        loss="categorical_crossentropy",
        optimizer=optimizers.Adam() if setting.normalized else optimizers.SGD(learning_rate=LEARNING_RATE),
        batch_size=setting.batch,
    )
    weights = experiment.stack().initial_weights(0)
    places = [at for at, (_, weight) in enumerate(experiment.stack().weights()) if weight.role == "kernel"]
    for at, kernel in zip(places, kernels, strict=True):
        weights[at] = kernel
    # As many as the process may use: one where it was told so.
    return Trainer(experiment, weights, recording=record, threads=cores())


def gradsim(setting: Setting, record: bool = True) -> Run:
    """All quantities of every layer and step, and the recorder that keeps them; or none."""
    trainer = gradsim_trainer(setting, record)
    if not record:
        return trainer.advance
    recorder = trainer.recorder()
    return lambda steps: trainer.record(recorder, steps)


# ----------------------------------------------------------------------------------------------------------- PyTorch


def torch_model(setting: Setting) -> tuple[Any, Any, list[Any], Any, Any]:
    """Model, optimizer, the kernels whose gradients are measured, rows and classes."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    x, labels, kernels = make_arrays(setting)
    layers: list[Any] = []
    for index, (inputs, outputs) in enumerate(setting.shapes):
        dense = torch.nn.Linear(inputs, outputs)
        with torch.no_grad():
            dense.weight.copy_(torch.from_numpy(kernels[index].T))
            dense.bias.zero_()
        layers.append(dense)
        if index < setting.depth and setting.normalized:
            layers += [torch.nn.BatchNorm1d(outputs), torch.nn.ELU()]
        elif index < setting.depth:
            layers.append(torch.nn.Tanh())
    model = torch.nn.Sequential(*layers)
    weights = [layer.weight for layer in layers if isinstance(layer, torch.nn.Linear)]
    if setting.normalized:
        optimizer: Any = torch.optim.Adam(model.parameters(), lr=0.001)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    return model, optimizer, weights, torch.from_numpy(x), torch.from_numpy(labels)


def torch_eager(setting: Setting, record: bool, compiled: bool = False) -> Run:
    import torch

    model, optimizer, weights, x, labels = torch_model(setting)
    loss_function = torch.nn.CrossEntropyLoss()

    def gradients(rows: Any, classes: Any) -> Any:
        loss = loss_function(model(rows), classes)
        loss.backward()
        return loss.detach()

    def measure_and_update() -> Any:
        norms = torch.stack([weight.grad.norm() for weight in weights]) if record else None
        optimizer.step()
        return norms

    if compiled:
        forward = torch.compile(lambda rows, classes: loss_function(model(rows), classes), dynamic=False)
        measure_and_update = torch.compile(measure_and_update, dynamic=False)

        def gradients(rows: Any, classes: Any) -> Any:
            loss = forward(rows, classes)
            loss.backward()
            return loss.detach()

    history: list[Any] = []

    def run(steps: int) -> None:
        history.clear()
        done = 0
        while done < steps:
            order = torch.randperm(ROWS)
            for start in range(0, ROWS, setting.batch):
                rows = order[start : start + setting.batch]
                optimizer.zero_grad(set_to_none=True)
                loss = gradients(x[rows], labels[rows])
                norms = measure_and_update()
                if record:
                    history.append((loss, norms))
                done += 1

    return run


# --------------------------------------------------------------------------------------------------------------- JAX


def jax_scan(setting: Setting, record: bool) -> Run:
    """One compiled epoch: `lax.scan` over its steps, parameters donated."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    x, labels, kernels = make_arrays(setting)
    rows, targets = jnp.asarray(x), jnp.asarray(np.eye(CLASSES, dtype=np.float32)[labels])
    parameters = [{"kernel": jnp.asarray(k), "bias": jnp.zeros(k.shape[1])} for k in kernels]
    if setting.normalized:
        for layer in parameters[:-1]:
            layer |= {"gamma": jnp.ones(setting.width), "beta": jnp.zeros(setting.width)}
    moving = [{"mean": jnp.zeros(setting.width), "variance": jnp.ones(setting.width)} for _ in kernels[:-1]]

    def loss_of(parameters: Any, moving: Any, h: Any, y: Any) -> Any:
        updated = []
        for layer, statistics in zip(parameters[:-1], moving, strict=True):
            z = h @ layer["kernel"] + layer["bias"]
            if setting.normalized:
                mean, variance = z.mean(0), z.var(0)
                updated.append(
                    {
                        "mean": 0.99 * statistics["mean"] + 0.01 * mean,
                        "variance": 0.99 * statistics["variance"] + 0.01 * variance,
                    }
                )
                scale = jax.lax.rsqrt(variance + 1e-3) * layer["gamma"]
                h = jax.nn.elu((z - mean) * scale + layer["beta"])
            else:
                h = jnp.tanh(z)
        z = h @ parameters[-1]["kernel"] + parameters[-1]["bias"]
        return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), axis=1)), updated or moving

    def update(parameters: Any, gradients: Any, slots: Any) -> tuple[Any, Any]:
        if not setting.normalized:
            return jax.tree.map(lambda w, g: w - LEARNING_RATE * g, parameters, gradients), slots
        t = slots["t"] + 1
        m = jax.tree.map(lambda m, g: m + (g - m) * 0.1, slots["m"], gradients)
        v = jax.tree.map(lambda v, g: v + (g * g - v) * 0.001, slots["v"], gradients)
        rate = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        moved = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), parameters, m, v)
        return moved, {"t": t, "m": m, "v": v}

    def step(state: Any, chosen: Any) -> tuple[Any, Any]:
        parameters, moving, slots = state
        (loss, moving), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            parameters, moving, rows[chosen], targets[chosen]
        )
        norms = jnp.stack([jnp.linalg.norm(layer["kernel"]) for layer in gradients]) if record else None
        parameters, slots = update(parameters, gradients, slots)
        return (parameters, moving, slots), (loss, norms)

    def epoch(state: Any, key: Any) -> tuple[Any, Any]:
        order = jax.random.permutation(key, ROWS).reshape(setting.epoch, setting.batch)
        return jax.lax.scan(step, state, order)

    compiled = jax.jit(epoch, donate_argnums=0)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    slots = {"t": jnp.zeros(()), "m": zeros, "v": jax.tree.map(jnp.copy, zeros)} if setting.normalized else {}
    state: Any = (parameters, moving, slots)
    key = jax.random.key(0)

    def run(steps: int) -> None:
        nonlocal state, key
        history = []
        for _ in range(steps // setting.epoch):
            key, used = jax.random.split(key)
            state, recorded = compiled(state, used)
            history.append(recorded)
        jax.block_until_ready((state, history))

    return run


# ------------------------------------------------------------------------------------------------------------- Keras


def keras_fit(setting: Setting, record: bool) -> Run:
    """`model.fit`; recorded with a `train_step` of its own and a callback, as Keras has no other way."""
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras
    import numpy as np

    x, labels, kernels = make_arrays(setting)
    targets = np.eye(CLASSES, dtype=np.float32)[labels]

    class Recording(keras.Sequential):
        def train_step(self, state: Any, data: Any) -> Any:
            trainable, other, slots, metrics = state
            rows, y = data[:2]
            gradient_of = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
            (loss, aux), gradients = gradient_of(
                trainable, other, metrics, rows, y, None, training=True, optimizer_variables=slots
            )
            _, _, other, metrics = aux
            trainable, slots = self.optimizer.stateless_apply(slots, gradients, trainable)
            norms = [jax.numpy.linalg.norm(g) for g in gradients if g.ndim == 2]
            logs = {"loss": loss, "gradient_norms": jax.numpy.stack(norms)}
            return logs, (trainable, other, slots, metrics)

    class History(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.norms: list[Any] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.norms.append(np.asarray(logs["gradient_norms"]))

    layers: list[Any] = [keras.Input((setting.width,))]
    for _ in range(setting.depth):
        if setting.normalized:
            layers += [keras.layers.Dense(setting.width), keras.layers.BatchNormalization(), keras.layers.ELU()]
        else:
            layers.append(keras.layers.Dense(setting.width, activation="tanh"))
    layers.append(keras.layers.Dense(CLASSES, activation="softmax"))
    model = (Recording if record else keras.Sequential)(layers)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, kernel in zip(dense, kernels, strict=True):
        layer.kernel.assign(kernel)
    optimizer = keras.optimizers.Adam() if setting.normalized else keras.optimizers.SGD(LEARNING_RATE)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy")

    def run(steps: int) -> None:
        callbacks = [History()] if record else []
        model.fit(x, targets, batch_size=setting.batch, epochs=steps // setting.epoch, verbose=0, callbacks=callbacks)

    return run


ENGINES: dict[str, Callable[[Setting], Run]] = {
    "gradsim": gradsim,
    "gradsim, recording off": lambda setting: gradsim(setting, record=False),
    "GEMM floor": floor,
    "numpy.dot": numpy_dot,
    "PyTorch eager": lambda setting: torch_eager(setting, record=False),
    "PyTorch eager + norms": lambda setting: torch_eager(setting, record=True),
    "PyTorch compile": lambda setting: torch_eager(setting, record=False, compiled=True),
    "PyTorch compile + norms": lambda setting: torch_eager(setting, record=True, compiled=True),
    "JAX scan": lambda setting: jax_scan(setting, record=False),
    "JAX scan + norms": lambda setting: jax_scan(setting, record=True),
    "Keras fit": lambda setting: keras_fit(setting, record=False),
    "Keras fit + norms": lambda setting: keras_fit(setting, record=True),
}


def serve(engine: str) -> None:
    # Libraries print where they like; answers go where nobody else writes.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    run: Run | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "setup" in request:
                started = time.perf_counter()
                setting = Setting(**request["setup"])
                run = ENGINES[engine](setting)
                run(setting.epoch)
                answer(seconds=time.perf_counter() - started)
            else:
                assert run is not None
                started = time.perf_counter()
                run(request["run"])
                answer(seconds=time.perf_counter() - started)
        except ImportError as error:
            answer(missing=f"{error.name or error} is not installed")
        except Exception as error:
            traceback.print_exc()
            answer(failed=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


if __name__ == "__main__":
    if int(sys.argv[2]) == 1 and hasattr(os, "sched_setaffinity"):
        # XLA obeys no environment variable; one core is one thread for everybody.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    serve(sys.argv[1])

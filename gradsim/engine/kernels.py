"""Every operation that the vocabulary needs, to have them compiled before anybody waits for one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

from gradsim.engine import interpreter, operations, store
from gradsim.engine.operations import operation
from gradsim.engine.plan import update_operation
from gradsim.nn import activations, losses, optimizers

Job = Callable[[], object]


def jobs(dtype: str) -> Iterator[Job]:
    """One call per operation of a number format; each compiles or loads it."""
    yield interpreter.prepare
    for name in ("sharing.help_out", "intake.take", "intake.summarise"):
        yield partial(operation, name)
    for kind in activations.registry.values():
        for in_place in (False, True) if kind.derivative_from == "output" and not kind.rowwise else (False,):
            yield partial(operation, "activation.forward", kind, dtype, in_place)
        if kind is not activations.Linear:
            yield partial(operation, "activation.backward", kind, dtype, True)
    for name in PLAIN:
        yield partial(operation, name, dtype)
    yield partial(operation, "activation.sum_delta", dtype, True)
    for flag in (False, True):
        yield partial(operation, "update.clip_by_norm", dtype, flag)
        yield partial(operation, "losses.penalty", dtype, flag)
    for loss in losses.registry.values():
        for fused in (False, True) if loss.fused_activation else (False,):
            yield partial(operation, "losses.loss", loss, fused, dtype)
    for optimizer in _optimizers():
        yield partial(update_operation, optimizer.rule(), optimizer.decoupled_weight_decay > 0, dtype)


PLAIN = (
    "activation.prelu_forward",
    "activation.prelu_backward",
    "activation.record_output",
    "normalisation.batch_forward",
    "normalisation.batch_backward",
    "normalisation.layer_forward",
    "normalisation.layer_backward",
    "normalisation.dropout",
    "products.product",
    "products.add",
    "products.accumulate",
    "products.copy",
    "update.measure_gradient",
    "update.clip_by_value",
    "update.watch_weights",
    "update.record_update",
    "batch.take",
)
"""Operations that only the number format tells apart."""


def _optimizers() -> Iterator[optimizers.Optimizer]:
    """Every optimizer in every form that has a rule of its own."""
    momenta = (0.0, 0.9)
    yield from (optimizers.SGD(0.01), optimizers.SGD(0.01, 0.9), optimizers.SGD(0.01, 0.9, True))
    yield from (optimizers.RMSprop(0.01, momentum=m, centered=c) for m in momenta for c in (False, True))
    for name in optimizers.registry:
        if name not in ("SGD", "RMSprop"):
            yield optimizers.registry.create(name)


def warm_up(progress: Callable[[int, int], object] | None = None, dtypes: tuple[str, ...] = ("float32",)) -> int:
    """Has every operation compiled and stored.

    A second process takes half of the work where the machine has a second core to spare.

    Args:
        progress: Is told ``(done, all)`` after each one.
        dtypes: Number formats.

    Returns:
        How many had to be compiled.
    """
    before = len(operations.compiled)
    mine, others = _shares(dtypes)
    helper = _helper(dtypes) if not is_warm(dtypes) else None
    todo = [*mine, *reversed(others)]
    try:
        for number, job in enumerate(todo):
            job()
            if progress is not None:
                progress(number + 1, len(todo))
    finally:
        # By now all is done, or whoever is told of the progress has given up: the helper has nothing left to do.
        if helper is not None:
            helper.terminate()
            helper.wait()
    for dtype in dtypes:
        if not store.is_complete(dtype):
            store.mark_complete(dtype)
    return len(operations.compiled) - before


def is_warm(dtypes: tuple[str, ...] = ("float32",)) -> bool:
    """True if every operation has been stored before, or shipped, for this processor and from these sources."""
    return all(store.is_complete(dtype) for dtype in dtypes)


def _helper(dtypes: tuple[str, ...]) -> subprocess.Popen[bytes] | None:
    if getattr(sys, "frozen", False) or (os.cpu_count() or 1) < 2 or not store.writable():
        return None
    command = [sys.executable, "-m", "gradsim.engine.kernels", *dtypes]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _help(dtypes: tuple[str, ...]) -> None:
    others, mine = _shares(dtypes)
    for job in [*mine, *reversed(others)]:
        job()


def _shares(dtypes: tuple[str, ...]) -> tuple[list[Job], list[Job]]:
    """The work of two processes. Whoever is through goes on with the other's share from its end, so that they meet:
    what the other one has done by then is only loaded."""
    todo = [job for dtype in dtypes for job in jobs(dtype)]
    return todo[::2], todo[1::2]


if __name__ == "__main__":
    _help(tuple(sys.argv[1:]))

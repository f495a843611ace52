"""Watches somebody else's training: a PyTorch loop or a Keras ``fit`` writes the same recording as gradsim's own runs.

PyTorch::

    watcher = gradsim.watch(model, every=10, path="run.npz")
    for x, y in loader:
        loss = criterion(model(x), y)
        watcher.log(loss=loss)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
    watcher.close()

Keras::

    model.fit(x, y, callbacks=[gradsim.KerasCallback(every=10, path="run.npz")])

Only every so many-th step is measured; between them the model has no hooks at all.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from gradsim.telemetry import LAYER_COLUMNS, Recorder, Recording
from gradsim.telemetry.recording import Layer

CAPACITY = 256 * 2**20
SAVE_SECONDS = 5.0
SAVE_SHARE = 20
"""A file is written again after this many times the time that writing took: a processor spends a twentieth on it."""

MAX_LAYERS = 5_000


class Writer:
    """Keeps a recording of a training and writes it to a file from time to time.

    Args:
        every: Steps from one recorded step to the next.
        path: The ``.npz`` file; None keeps the recording in memory only.
        capacity_bytes: Bound of the memory; very long runs are kept in blocks of steps then.
    """

    def __init__(self, source: str, every: int, path: str | os.PathLike[str] | None, capacity_bytes: int) -> None:
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(f"every: must be a whole number of at least 1 (received {every!r})")
        self.source, self.every, self.capacity = source, every, capacity_bytes
        self.path = None if path is None else Path(path)
        if self.path is not None and self.path.suffix != ".npz":
            raise ValueError(f"path: must end in .npz (received {str(path)!r})")
        self.recorder: Recorder | None = None
        self._next_save = 0.0
        self._writing: threading.Thread | None = None
        self._failed: OSError | None = None

    def start(self, layers: list[Layer], *, loss: bool, dtype: str, first_step: int) -> Recorder:
        """Begins the recording, when the layers are known."""
        self.recorder = Recorder(
            layers, self.capacity, every=self.every, first_step=first_step, loss=loss, source=self.source, dtype=dtype
        )
        return self.recorder

    def save(self) -> None:
        """Has the file written in a thread, unless that was done a moment ago: no step waits for a disk."""
        if self.path is None or self.recorder is None or time.monotonic() < self._next_save:
            return
        self._join()
        if self._failed is not None:
            # A full disk must not end somebody's training; the recording itself goes on.
            reason = self._failed.strerror or self._failed
            self._failed = None
            warnings.warn(f"gradsim: {self.path} can't be written: {reason}", stacklevel=2)
        self._next_save = math.inf
        self._writing = threading.Thread(target=self._write, args=(self.recorder, self.path), name="gradsim-writer")
        self._writing.start()

    def _write(self, recorder: Recorder, path: Path) -> None:
        started = time.monotonic()
        try:
            recorder.recording().save(path)
        except OSError as error:
            self._failed = error
        finally:
            ended = time.monotonic()
            self._next_save = ended + max(SAVE_SECONDS, SAVE_SHARE * (ended - started))

    def _join(self) -> None:
        if self._writing is not None:
            self._writing.join()
            self._writing = None

    def finish(self) -> None:
        """Writes the file.

        Raises:
            OSError: if it can't be written.
        """
        self._join()
        if self.path is not None and self.recorder is not None:
            self.recorder.recording().save(self.path)

    def recording(self) -> Recording:
        """What has been recorded so far.

        Raises:
            ValueError: if that is nothing.
        """
        if self.recorder is None:
            raise ValueError("nothing has been recorded: no step of the training has been seen")
        return self.recorder.recording()


@dataclasses.dataclass(eq=False)
class _Row:
    """One layer of a watched model."""

    name: str
    module: Any
    main: Any
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    shape: tuple[int, ...] = ()
    kept: Any = None
    """Where the weights are copied before an update; fresh memory costs the processor more than the copy."""

    def copy(self, torch: Any) -> Any:
        """The main parameter as it is now; until the next copy."""
        now = self.main.detach()
        if now.device.type != "cpu":
            return now.clone()
        if self.kept is None or (self.kept.shape, self.kept.dtype) != (now.shape, now.dtype):
            self.kept = torch.empty_like(now)
        return self.kept.copy_(now)


class Watcher:
    """Hooks on a PyTorch model. Ends with :meth:`close`, or as a context manager.

    Each module without children that is used is a row: convolutions, normalisations, activations, whatever it is. A
    module that is used several times in a step shows its last use. ``delta`` is dL/d(output) of a module, for an
    activation dL/d(its input); ``gradient`` is that of ``module.weight`` (else of its first parameter) as the backward
    pass leaves it, before clipping, and ``clipped_norm`` its length when the optimizer gets it, if that is another.
    """

    def __init__(self, model: Any, writer: Writer) -> None:
        import torch

        self._torch = torch
        self._writer = writer
        self._model = model
        self.step = 0
        """Steps of the optimizer seen so far."""
        self._rows: list[_Row] = []
        self._order: dict[_Row, None] = {}
        self._before: dict[_Row, Any] = {}
        self._logged: dict[str, float] = {}
        self._squares: dict[int, float] = {}
        self._batch = math.nan
        self._table: list[_Row] | None = None
        self._handles: list[Any] = []
        self._hooks: list[Any] = []
        self._parameters = {id(p) for p in model.parameters()}
        self._owners: dict[int, _Row] = {}
        self._activations = _activations(torch)
        self._heard: tuple[Any, dict[str, float]] = (None, {})
        self._find_rows()
        self._attach()

    # Hooks

    def _find_rows(self) -> None:
        for name, module in self._model.named_modules():
            if next(module.children(), None) is not None:
                continue
            own = [p for p in module.parameters(recurse=False) if p.is_floating_point() or p.is_complex()]
            weight = getattr(module, "weight", None)
            main = next((p for p in own if p is weight), own[0] if own else None)
            row = _Row(name or type(module).__name__, module, main)
            self._rows.append(row)
            if main is not None:
                self._owners.setdefault(id(main), row)
        if not self._rows or len(self._rows) > MAX_LAYERS:
            allowed = f"must have 1 to {MAX_LAYERS:,} modules without children"
            raise ValueError(f"model: {allowed} (received {len(self._rows)})")

    def _attach(self) -> None:
        hooks = importlib.import_module("torch.optim.optimizer")
        self._handles.append(hooks.register_optimizer_step_pre_hook(self._before_update))
        self._handles.append(hooks.register_optimizer_step_post_hook(self._after_update))
        self._hook()

    @property
    def _due(self) -> bool:
        return self.step % self._writer.every == 0

    def _hook(self) -> None:
        """Has the model under hooks if the present step is recorded, and only then."""
        if self._due and not self._hooks:
            self._hooks = [row.module.register_forward_hook(partial(self._forward, row)) for row in self._rows]
            for parameter in self._model.parameters():
                if parameter.requires_grad:
                    self._hooks.append(parameter.register_post_accumulate_grad_hook(self._gradient))
        elif not self._due:
            self._unhook()

    def _unhook(self) -> None:
        for handle in self._hooks:
            handle.remove()
        self._hooks = []

    def _forward(self, row: _Row, module: Any, inputs: Any, output: Any) -> None:
        torch = self._torch
        result = _tensor(torch, output) if module.training and torch.is_grad_enabled() else None
        if result is None:
            return
        y = result.detach()
        values = _activation(torch, y) | _slopes(torch, row.module, y)
        row.values = values
        row.shape = tuple(result.shape[1:])
        if not self._order:
            self._batch = float(result.shape[0]) if result.ndim else 1.0
        self._order[row] = None
        target = result
        if isinstance(module, self._activations):
            given = _tensor(torch, inputs)
            target = given if given is not None and given.requires_grad else result
        if target.requires_grad:
            target.register_hook(lambda gradient, values=values: self._delta(values, gradient))

    def _delta(self, values: dict[str, float], gradient: Any) -> None:
        # What an activation gets is what the module below gives.
        if gradient is not self._heard[0]:
            self._heard = (gradient, _measured(self._torch, gradient, "delta"))
        values.update(self._heard[1])

    def _gradient(self, parameter: Any) -> None:
        if parameter.grad is None:
            return
        row = self._owners.get(id(parameter))
        if row is None:
            length = _finite(self._torch, parameter.grad)[1]
        else:
            row.values.update(_measured(self._torch, parameter.grad, "gradient"))
            length = row.values["gradient_norm"]
        self._squares[id(parameter)] = length**2

    def _mine(self, optimizer: Any) -> bool:
        return any(id(p) in self._parameters for group in optimizer.param_groups for p in group["params"])

    def _before_update(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not self._due or not self._mine(optimizer):
            return
        for row in self._order:
            if row.main is None:
                continue
            self._before[row] = row.copy(self._torch)
            if row.main.grad is not None and "gradient_norm" in row.values:
                now = _norm(self._torch, row.main.grad)
                # The same array gives the same length; clipping gives another.
                if now != row.values["gradient_norm"]:
                    row.values["clipped_norm"] = now

    def _after_update(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not self._mine(optimizer):
            return
        if self._due and self._order:
            for row, before in self._before.items():
                row.values.update(_measured(self._torch, row.main, "weight"))
                row.values["update_norm"] = _norm(self._torch, before.sub_(row.main.detach()))
            self._append(float(optimizer.param_groups[0]["lr"]))
        self.step += 1
        self._order = {}
        self._before = {}
        self._heard = (None, {})
        self._squares = {}
        self._logged = {}
        self._hook()

    # Recording

    def _append(self, rate: float) -> None:
        recorder = self._writer.recorder
        if recorder is None or self._table is None:
            # Modules that the first recorded step did not use have no row; a row unused later has gaps.
            self._table = list(self._order)
            dtype = str(next(self._model.parameters()).dtype).removeprefix("torch.")
            layers = [_layer(row) for row in self._table]
            recorder = self._writer.start(layers, loss="loss" in self._logged, dtype=dtype, first_step=self.step)
        used = [row.values if row in self._order else {} for row in self._table]
        columns = {key: [values.get(key, _missing(key)) for values in used] for key in LAYER_COLUMNS}
        total = math.sqrt(sum(self._squares.values())) if self._squares else math.nan
        step = {"global_gradient_norm": total, "learning_rate": rate, "rows": self._batch, **self._logged}
        recorder.append_step(columns, step)
        self._writer.save()

    def log(self, *, loss: Any = None, accuracy: Any = None, epoch: int | None = None) -> None:
        """Tells what the hooks can't see of the present step; call it before ``optimizer.step()``."""
        if self._due:
            given = {"loss": loss, "accuracy": accuracy, "epoch": epoch}
            plain = {k: v.detach() if isinstance(v, self._torch.Tensor) else v for k, v in given.items()}
            self._logged |= {key: float(value) for key, value in plain.items() if value is not None}

    def log_validation(self, loss: float, accuracy: float = math.nan) -> None:
        """Records a result on the validation rows, after the last step."""
        if self._writer.recorder is not None:
            self._writer.recorder.append_validation(max(0, self.step - 1), float(loss), float(accuracy))

    @property
    def recording(self) -> Recording:
        """What has been recorded so far; ValueError if that is nothing."""
        return self._writer.recording()

    def detach(self) -> None:
        """Takes all hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._unhook()

    def close(self) -> None:
        """Takes all hooks away and writes the file."""
        self.detach()
        self._writer.finish()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def watch(
    model: Any,
    *,
    every: int = 1,
    path: str | os.PathLike[str] | None = None,
    capacity_bytes: int = CAPACITY,
) -> Watcher:
    """Watches the training of a PyTorch model; every optimizer that has one of its parameters counts steps.

    Args:
        model: Any ``torch.nn.Module``.
        every: Steps from one recorded step to the next; 10 costs next to nothing.
        path: ``.npz`` file that grows with the training; None keeps the recording in memory.
        capacity_bytes: Bound of the recording's memory.

    Raises:
        TypeError: if the model is none of PyTorch.
        ValueError: if an argument is not allowed.
    """
    try:
        import torch
    except ImportError:
        raise TypeError("model: must be a torch.nn.Module, and PyTorch is not installed") from None
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model: must be a torch.nn.Module (received {type(model).__name__})")
    return Watcher(model, Writer("pytorch", every, path, capacity_bytes))


def _missing(key: str) -> float:
    return 0.0 if key.endswith(("_nan", "_inf")) else math.nan


def _layer(row: _Row) -> Layer:
    module = row.module
    sizes = [str(getattr(module, key)) for key in ("in_channels", "in_features") if hasattr(module, key)]
    sizes += [str(getattr(module, key)) for key in ("out_channels", "out_features") if hasattr(module, key)]
    own = list(module.parameters(recurse=False))
    kind = type(module).__name__
    return Layer(
        name=row.name,
        type=kind,
        label=f"{kind} {' to '.join(sizes)}".strip(),
        shape=row.shape,
        parameters=sum(p.numel() for p in own),
        weight_size=0 if row.main is None else row.main.numel(),
        units=math.prod(row.shape),
        trainable=any(p.requires_grad for p in own) or not own,
        path=row.name,
    )


def _tensor(torch: Any, value: Any) -> Any:
    """The first tensor of real numbers in what goes into a module or comes out of it."""
    if isinstance(value, torch.Tensor):
        return value if value.is_floating_point() and value.numel() else None
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return next((found for entry in value if (found := _tensor(torch, entry)) is not None), None)
    return None


# Between these bounds of its root mean square the squares of a float32 array that count neither vanish nor overflow.
_SMALL, _LARGE = 1e-15, 1e15
_RUN = 1024
"""Entries that are summed in float32; longer sums lose digits."""


def _norm(torch: Any, tensor: Any) -> float:
    """Length of an array; NaN or infinite if an entry is. As good as a sum in float64, which takes longer."""
    tensor = _dense(torch, tensor)
    count = tensor.numel()
    if count > _RUN and tensor.dtype == torch.float32 and tensor.is_contiguous():
        flat, rest = tensor.view(-1), count % _RUN
        whole = flat[: count - rest] if rest else flat
        runs = torch.linalg.vector_norm(whole.view(-1, _RUN), dim=1)
        if rest:
            runs = torch.cat((runs, torch.linalg.vector_norm(flat[-rest:]).view(1)))
        norm = float(torch.linalg.vector_norm(runs.cpu(), dtype=torch.float64))
        if _SMALL < norm / math.sqrt(count) < _LARGE or math.isnan(norm):
            return norm
    # Apple's processors have no float64.
    near = tensor.cpu() if count <= _RUN or tensor.device.type == "mps" else tensor
    return float(torch.linalg.vector_norm(near, dtype=torch.float64))


def _top(torch: Any, tensor: Any) -> float:
    """Largest absolute entry."""
    # One after the other is faster than torch.aminmax, and has no temporary as abs() has.
    low, high = torch.stack((torch.amin(tensor), torch.amax(tensor))).tolist()
    return float(max(abs(low), abs(high)))


def _dense(torch: Any, tensor: Any) -> Any:
    """The entries as real numbers: those of a sparse gradient of an embedding, both parts of complex ones."""
    tensor = tensor.detach()
    if tensor.is_sparse:
        tensor = tensor.coalesce().values()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _finite(torch: Any, tensor: Any) -> tuple[Any, float, bool]:
    """The entries that are finite, their length, and whether these are all."""
    tensor = _dense(torch, tensor)
    norm = _norm(torch, tensor)
    if math.isfinite(norm):
        return tensor, norm, True
    tensor = tensor[torch.isfinite(tensor)]
    return tensor, _norm(torch, tensor), False


def _measured(torch: Any, tensor: Any, kind: str) -> dict[str, float]:
    """Norm and maximum of the finite entries, and how many are not finite."""
    finite, norm, whole = _finite(torch, tensor)
    found = {f"{kind}_norm": norm, f"{kind}_max": _top(torch, finite) if finite.numel() else 0.0}
    return found if whole else found | _faults(torch, _dense(torch, tensor), kind)


def _faults(torch: Any, tensor: Any, kind: str) -> dict[str, float]:
    return {f"{kind}_nan": float(torch.isnan(tensor).sum()), f"{kind}_inf": float(torch.isinf(tensor).sum())}


def _activation(torch: Any, y: Any) -> dict[str, float]:
    """Mean and standard deviation of the finite values, and how many are not finite."""
    y = _dense(torch, y)
    y = y if y.dtype == torch.float64 else y.float()
    # torch.std_mean takes ten times longer.
    mean = y.mean()
    spread = _norm(torch, y - mean) / math.sqrt(y.numel())
    if math.isfinite(spread):
        return {"activation_mean": float(mean), "activation_std": spread}
    found = _faults(torch, y, "activation")
    finite = y[torch.isfinite(y)].double()
    if finite.numel():
        spread, mean = torch.std_mean(finite, correction=0)
        found |= {"activation_mean": float(mean), "activation_std": float(spread)}
    return found


def _activations(torch: Any) -> tuple[type, ...]:
    nn = torch.nn
    return (
        nn.ReLU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Softsign,
        nn.Mish, nn.ReLU6, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.CELU, nn.Softmax, nn.LogSoftmax, nn.PReLU,
    )  # fmt: skip


def _slopes(torch: Any, module: Any, y: Any) -> dict[str, float]:
    """Shares of saturated values and of dead units, for activations whose slope follows from their value."""
    nn = torch.nn
    if isinstance(module, nn.ReLU):
        slope, top = y.clone().gt_(0), 1.0
    elif isinstance(module, nn.Tanh):
        slope, top = y.square().neg_().add_(1), 1.0
    elif isinstance(module, nn.Sigmoid):
        slope, top = y * (1 - y), 0.25
    elif isinstance(module, nn.ELU):
        slope, top = torch.where(y > 0, torch.ones_like(y), y + module.alpha), max(1.0, module.alpha)
    else:
        return {}
    slope = slope.abs_()
    found = {}
    if y.ndim > 1:
        steepest = torch.amax(slope.flatten(1), dim=0)
        found["dead"] = 1 - float(torch.count_nonzero(steepest)) / steepest.numel()
    # In place and in its own format this is several times faster than with an array of truth values.
    found["saturated"] = float(slope.lt_(0.05 * top).mean(dtype=torch.float32))
    return found


# Keras


@dataclasses.dataclass
class _KerasRow:
    layer: Any
    main: Any
    place: int
    before: np.ndarray[Any, Any] | None = None
    """The weights before an update; the array stays, as fresh memory costs the processor more than the copy."""

    def value(self) -> np.ndarray[Any, Any]:
        """The main variable as it is now, in a format whose differences are exact enough; perhaps not a copy."""
        import keras

        array = np.asarray(keras.ops.convert_to_numpy(self.main.value))
        return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)

    def remember(self) -> None:
        now = self.value()
        if self.before is None or (self.before.shape, self.before.dtype) != (now.shape, now.dtype):
            self.before = np.empty_like(now)
        np.copyto(self.before, now)


def _keras_rows(model: Any) -> list[_KerasRow]:
    """Every layer with weights that train, also inside of models in the model; the first of them is its main one."""
    places = {id(variable): place for place, variable in enumerate(model.trainable_variables)}
    rows: list[_KerasRow] = []
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if layer._trainable_variables:
            main = layer._trainable_variables[0]
            rows.append(_KerasRow(layer, main, places.get(id(main), -1)))
    return rows


def _keras_callback() -> type[Any]:
    import keras

    class KerasCallback(keras.callbacks.Callback):  # type: ignore[misc]
        """Records a Keras training: gradients, weights, updates, loss and accuracy of every so many-th step.

        Gradients are taken where the optimizer gets them, before it clips them. The loss of a step is the mean since
        the last recorded one, as Keras tells no more. ``delta`` and activations are not recorded.

        Args:
            every: Steps from one recorded step to the next.
            path: ``.npz`` file that grows with the training; None keeps the recording in memory.
            capacity_bytes: Bound of the recording's memory.
        """

        def __init__(
            self,
            every: int = 1,
            path: str | os.PathLike[str] | None = None,
            capacity_bytes: int = CAPACITY,
        ) -> None:
            super().__init__()
            self._writer = Writer("keras", every, path, capacity_bytes)
            self.step = 0
            self._rows: list[_KerasRow] = []
            self._norms: np.ndarray[Any, Any] | None = None
            self._hearing: Any = None
            self._plain: Any = None
            self._restore: Callable[[], None] | None = None
            self._seen = (0, 0.0, 0.0)

        @property
        def recording(self) -> Recording:
            """What has been recorded so far; ValueError if that is nothing."""
            return self._writer.recording()

        def on_train_begin(self, logs: Any = None) -> None:
            # A training that an error ended has not said so.
            self._stop_listening()
            self._rows = _keras_rows(self.model)
            if not self._rows:
                raise ValueError("model: must be built and have weights before it can be watched")
            if self._plain is not self.model.train_function:
                self._plain, self._hearing = self.model.train_function, _another_train_function(self.model)

        def _listen(self) -> None:
            """Has the next step of the training call :meth:`_hear`."""
            self._restore = _tap(self.model.optimizer, self._hear)
            self.model.train_function = self._hearing

        def _stop_listening(self) -> None:
            if self._restore is not None:
                self._restore()
                self._restore = None
                self.model.train_function = self._plain

        def _hear(self, norms: Any) -> None:
            self._norms = np.asarray(norms, np.float64)

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if self.step % self._writer.every == 0:
                self._sync()
                for row in self._rows:
                    row.remember()
                self._norms = None
                self._listen()

        def _sync(self) -> None:
            if keras.config.backend() == "jax":
                import jax

                self.model.jax_state_sync()
                jax.effects_barrier()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._epoch = epoch
            self._seen = (0, 0.0, 0.0)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.step % self._writer.every == 0:
                self._sync()
                self._stop_listening()
                self._append(batch + 1, dict(logs or {}))
                self._writer.save()
            self.step += 1

        def _append(self, count: int, logs: dict[str, Any]) -> None:
            recorder = self._writer.recorder
            if recorder is None:
                recorder = self._writer.start(
                    [_keras_layer(row) for row in self._rows], loss=True, dtype=keras.config.floatx(), first_step=0
                )
            measured = []
            for row in self._rows:
                after = row.value()
                assert row.before is not None
                values = _numpy_measured(after, "weight")
                values["update_norm"] = _numpy_norm(np.subtract(after, row.before, out=row.before))
                if self._norms is not None and 0 <= row.place < len(self._norms):
                    values |= dict(zip(_GRADIENT_KEYS, self._norms[row.place].tolist(), strict=True))
                measured.append(values)
            columns = {key: [values.get(key, _missing(key)) for values in measured] for key in LAYER_COLUMNS}
            step = self._means(count, logs)
            step["epoch"] = float(self._epoch)
            step["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
            if self._norms is not None:
                step["global_gradient_norm"] = float(np.sqrt(np.sum(self._norms[:, 0] ** 2)))
            recorder.append_step(columns, step)

        def _means(self, count: int, logs: dict[str, Any]) -> dict[str, float]:
            """Loss and accuracy since the last recorded step, from Keras' means since the epoch began."""
            loss = float(logs.get("loss", math.nan))
            accuracy = float(logs.get("accuracy", logs.get("acc", math.nan)))
            before, loss_before, accuracy_before = self._seen
            self._seen = (count, loss, accuracy)
            if before:
                # A NaN would stay in every later difference.
                loss = (loss * count - loss_before * before) / (count - before)
                accuracy = (accuracy * count - accuracy_before * before) / (count - before)
            return {"loss": loss, "accuracy": accuracy}

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            found = dict(logs or {})
            if "val_loss" in found and self._writer.recorder is not None:
                accuracy = float(found.get("val_accuracy", math.nan))
                self._writer.recorder.append_validation(max(0, self.step - 1), float(found["val_loss"]), accuracy)

        def on_train_end(self, logs: Any = None) -> None:
            self._stop_listening()
            self._writer.finish()

    return KerasCallback


_GRADIENT_KEYS = ("gradient_norm", "gradient_max", "gradient_nan", "gradient_inf")


def _keras_layer(row: _KerasRow) -> Layer:
    layer = row.layer
    kind = type(layer).__name__
    size = getattr(layer, "units", getattr(layer, "filters", ""))
    shape = tuple(int(n) for n in row.main.shape)
    return Layer(
        name=str(layer.name),
        type=kind,
        label=f"{kind} {size}".strip(),
        shape=shape[-1:],
        parameters=int(sum(math.prod(v.shape) for v in layer.weights)),
        weight_size=math.prod(shape),
        units=shape[-1] if shape else 1,
        trainable=bool(layer.trainable),
        path=str(row.main.path),
    )


def _another_train_function(model: Any) -> Any:
    """A second function of one training step, which is traced by itself."""
    own = vars(model).get("train_step")
    original, plain = model.train_step, model.train_function

    # JAX knows a function that it has traced by its identity, so this has to be a new one.
    def train_step(*args: Any, **options: Any) -> Any:
        return original(*args, **options)

    model.train_step = train_step
    try:
        model.make_train_function(force=True)
        return model.train_function
    finally:
        model.train_function = plain
        if own is None:
            del model.train_step
        else:
            model.train_step = own


def _tap(optimizer: Any, hear: Callable[[Any], None]) -> Callable[[], None]:
    """Has ``hear`` called with norm, maximum, NaNs and Infs of every gradient; gives what undoes it.

    Keras' optimizers get all gradients in ``apply``, on JAX inside of a compiled function.
    """
    import keras

    original = optimizer.apply

    def apply(grads: Any, trainable_variables: Any = None) -> Any:
        grads = list(grads)
        if grads and keras.config.backend() == "torch":
            hear([_torch_measured(gradient) for gradient in grads])
        elif grads:
            values = keras.ops.stack([_keras_measured(keras.ops, gradient) for gradient in grads])
            if keras.config.backend() == "jax":
                import jax

                jax.debug.callback(hear, values)
            else:
                hear(keras.ops.convert_to_numpy(values))
        return original(grads) if trainable_variables is None else original(grads, trainable_variables)

    optimizer.apply = apply

    def restore() -> None:
        del optimizer.apply

    return restore


def _keras_measured(ops: Any, gradient: Any) -> Any:
    if gradient is None:
        return ops.zeros((4,))
    flat = ops.reshape(gradient, (-1,))
    finite = ops.isfinite(flat)
    kept = ops.where(finite, flat, ops.zeros_like(flat))
    top = ops.max(ops.abs(kept))
    # Scaled by the largest entry, so that squares neither vanish nor overflow in float32.
    scale = ops.where(top > 0, top, ops.ones_like(top))
    norm = scale * ops.sqrt(ops.sum(ops.square(kept / scale)))
    nan = ops.sum(ops.cast(ops.isnan(flat), flat.dtype))
    return ops.stack([norm, top, nan, ops.sum(ops.cast(ops.isinf(flat), flat.dtype))])


def _torch_measured(gradient: Any) -> list[float]:
    import torch

    found = {} if gradient is None else _measured(torch, gradient, "gradient")
    return [found.get(key, 0.0) for key in _GRADIENT_KEYS]


def _numpy_norm(array: np.ndarray[Any, Any]) -> float:
    """As :func:`_norm`."""
    flat = array.ravel()
    if flat.size > _RUN and flat.dtype == np.float32:
        whole = flat[: flat.size - flat.size % _RUN].reshape(-1, _RUN)
        rest = flat[whole.size :].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", whole, whole).sum(dtype=np.float64) + rest @ rest
        norm = math.sqrt(squares)
        if _SMALL < norm / math.sqrt(flat.size) < _LARGE or math.isnan(norm):
            return norm
    return float(np.linalg.norm(flat.astype(np.float64)))


def _numpy_measured(array: np.ndarray[Any, Any], kind: str) -> dict[str, float]:
    """As :func:`_measured`."""
    finite, norm = array, _numpy_norm(array)
    found = {}
    if not math.isfinite(norm):
        finite = array[np.isfinite(array)]
        norm = _numpy_norm(finite)
        found = {f"{kind}_nan": float(np.isnan(array).sum()), f"{kind}_inf": float(np.isinf(array).sum())}
    top = max(float(finite.max()), -float(finite.min())) if finite.size else 0.0
    return {f"{kind}_norm": norm, f"{kind}_max": top, **found}


def __getattr__(name: str) -> Any:
    # The class derives from Keras' own, which is loaded only by those who have it.
    if name == "KerasCallback":
        made = _keras_callback()
        globals()[name] = made
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Trainings of others, recorded in gradsim's own format."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradsim
from gradsim import api
from gradsim.exchange import keras_script, watching
from gradsim.model import Experiment
from gradsim.telemetry import Recording
from tests.unit.exchange.cases import starting_weights

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

VALUE = Experiment(
    layers=[
        *({"type": "Dense", "units": 12, "activation": "tanh"} for _ in range(3)),
        {"type": "Dense", "units": 3, "activation": "softmax"},
    ],
    data={"type": "spiral", "classes": 3, "samples": 60},
    optimizer={"type": "SGD", "learning_rate": 0.2, "momentum": 0.5},
    batch_size=None,
)


def torch_module() -> Any:
    return pytest.importorskip("torch", reason="needs PyTorch, which the reference environment has")


def torch_training(steps: int, *, clip: float | None = None, **options: Any) -> tuple[Any, Any]:
    """The same training as the experiment's, in a loop of somebody's own; gives the watcher and the losses."""
    torch = torch_module()
    nn = torch.nn
    data = gradsim.datasets.load(VALUE.data)
    x, y = torch.as_tensor(data.x_train), torch.as_tensor(data.y_train)
    layers: list[Any] = []
    arrays = [torch.as_tensor(array) for array in starting_weights(VALUE)]
    for number in range(4):
        kernel, bias = arrays[2 * number : 2 * number + 2]
        layer = nn.Linear(*kernel.shape)
        with torch.no_grad():
            layer.weight.copy_(kernel.T)
            layer.bias.copy_(bias)
        layers += [layer, nn.Tanh()] if number < 3 else [layer]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
    watcher = gradsim.watch(model, **options)
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x), y)
        watcher.log(loss=loss)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    watcher.close()
    return watcher, losses


def test_that_a_watched_pytorch_training_shows_what_the_engine_records() -> None:
    watcher, losses = torch_training(6)
    its = watcher.recording
    mine = api.Experiment.of(VALUE).run(steps=6, weights=starting_weights(VALUE))
    dense = [row for row, layer in enumerate(its.layers) if layer.type == "Linear"]
    np.testing.assert_allclose(its["loss"], mine["loss"], rtol=1e-4)
    np.testing.assert_allclose(its["loss"], losses, rtol=1e-6)
    for key in ("gradient_norm", "gradient_max", "update_norm", "delta_norm", "delta_max", "weight_norm", "weight_max"):
        # One step moves the weights by about a thousandth.
        tolerance = 1e-5 if key.startswith("weight") else 2e-3
        np.testing.assert_allclose(its[key][:, dense], mine[key], rtol=tolerance, err_msg=key)
    for key in ("gradient_rms", "delta_rms", "update_ratio"):
        np.testing.assert_allclose(its[key][:, dense], mine[key], rtol=2e-3, err_msg=key)
    np.testing.assert_allclose(its["global_gradient_norm"], mine["global_gradient_norm"], rtol=1e-3)
    tanh = [row + 1 for row in dense[:-1]]
    for key in ("activation_mean", "activation_std", "saturated"):
        np.testing.assert_allclose(its[key][:, tanh], mine[key][:, :3], rtol=2e-3, atol=1e-5, err_msg=key)


def test_that_only_every_so_many_th_step_is_recorded_and_the_file_is_a_recording(tmp_path: Path) -> None:
    watcher, losses = torch_training(10, every=4, path=tmp_path / "run.npz")
    read = Recording.load(tmp_path / "run.npz")
    assert read.steps.tolist() == [0, 4, 8]
    assert (read.every, read.source, read.layers[0].label) == (4, "pytorch", "Linear 2 to 12")
    np.testing.assert_allclose(read["loss"], [losses[0], losses[4], losses[8]], rtol=1e-6)
    assert read == watcher.recording


def test_that_the_gradient_is_taken_before_clipping() -> None:
    free, _ = torch_training(1)
    clipped, _ = torch_training(1, clip=0.01)
    np.testing.assert_array_equal(clipped.recording["gradient_norm"], free.recording["gradient_norm"])
    found = clipped.recording["clipped_norm"][0, 0]
    assert found < clipped.recording["gradient_norm"][0, 0]


def test_that_convolutions_and_nested_modules_are_rows() -> None:
    torch = torch_module()
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 5, 3, padding=1)
            self.normalization = nn.BatchNorm2d(5)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.normalization(self.convolution(x)))

    model = nn.Sequential(Block(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(5 * 4 * 4, 2), nn.ReLU(inplace=True))
    optimizer = torch.optim.Adam(model.parameters())
    with gradsim.watch(model) as watcher:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(4, 3, 8, 8)).square().sum().backward()
            optimizer.step()
        model.eval()
        model(torch.ones(4, 3, 8, 8))
    recording = watcher.recording
    names = [layer.name for layer in recording.layers]
    assert names == ["0.convolution", "0.normalization", "1", "2", "3", "4"]
    assert recording.layers[0].shape == (5, 8, 8)
    assert np.isfinite(recording["gradient_norm"][:, [0, 1, 4]]).all()
    assert np.isnan(recording["gradient_norm"][:, [2, 3]]).all()
    assert np.isfinite(recording["delta_norm"]).all()
    assert len(recording) == 3


def test_that_nan_is_counted_and_named() -> None:
    torch = torch_module()
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradsim.watch(model) as watcher:
        for value in (1.0, float("nan")):
            optimizer.zero_grad()
            model(torch.full((4, 2), value)).sum().backward()
            optimizer.step()
    found = watcher.recording.first_nonfinite
    assert found is not None and (found.step, found.layer, found.quantity, found.kind) == (1, 0, "activation", "nan")


def test_that_gradients_too_small_to_be_squared_are_measured() -> None:
    torch = torch_module()
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradsim.watch(model) as watcher:
        (model(torch.tensor([[3.0, 4.0]])).sum() * 1e-30).backward()
        optimizer.step()
    assert watcher.recording["gradient_norm"][0, 0] == pytest.approx(5e-30, rel=1e-5)


def test_that_lengths_of_large_weights_and_spreads_of_tiny_activations_are_exact() -> None:
    torch = torch_module()
    model = torch.nn.Sequential(torch.nn.Linear(1500, 1501, bias=False), torch.nn.Tanh())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradsim.watch(model) as watcher:
        for scale in (1.0, 1e-25):
            with torch.no_grad():
                model[0].weight.fill_(0.1)
            given = torch.linspace(0, scale, 3 * 1500).view(3, 1500)
            optimizer.zero_grad()
            model(given).sum().backward()
            before = model[0].weight.detach().double()
            optimizer.step()
            after = model[0].weight.detach().double()
    found = watcher.recording
    assert found["weight_norm"][-1, 0] == pytest.approx(float(after.norm()), rel=1e-6)
    assert found["update_norm"][-1, 0] == pytest.approx(float((after - before).norm()), rel=1e-6, abs=1e-30)
    output = (given.double() @ before.T).tanh()
    assert found["activation_std"][-1].tolist() == pytest.approx([float(output.std(correction=0))] * 2, rel=1e-5)


def test_that_the_model_has_hooks_only_while_a_step_is_recorded() -> None:
    torch = torch_module()
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hooked = []
    with gradsim.watch(model, every=3) as watcher:
        for _ in range(7):
            hooked.append([bool(module._forward_hooks) for module in model])
            hooked[-1] += [bool(p._post_accumulate_grad_hooks) for p in model.parameters()]
            optimizer.zero_grad()
            model(torch.ones(4, 2)).sum().backward()
            optimizer.step()
    assert hooked == [[step % 3 == 0] * 4 for step in range(7)]
    assert watcher.recording.steps.tolist() == [0, 3, 6]
    assert np.isfinite(watcher.recording["delta_norm"]).all()


def test_that_clipping_behind_the_back_of_autograd_is_seen() -> None:
    torch = torch_module()
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradsim.watch(model) as watcher:
        (10 * model(torch.tensor([[3.0, 4.0]]))).sum().backward()
        for parameter in model.parameters():
            parameter.grad.data.clamp_(-1, 1)
        optimizer.step()
    assert watcher.recording["gradient_norm"][0, 0] == pytest.approx(50)
    assert watcher.recording["clipped_norm"][0, 0] == pytest.approx(2**0.5)
    assert watcher.recording["update_norm"][0, 0] == pytest.approx(0.1 * 2**0.5)


def test_that_an_activation_in_place_and_the_layer_below_it_get_their_own_gradients() -> None:
    torch = torch_module()
    model = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.ReLU(inplace=True), torch.nn.Flatten())
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradsim.watch(model) as watcher:
        model(torch.tensor([[1.0, -1.0]])).sum().backward()
        optimizer.step()
    assert watcher.recording["delta_norm"][0].tolist() == pytest.approx([1, 2**0.5, 2**0.5])
    assert watcher.recording["dead"][0, 1] == 0.5


def test_that_sparse_gradients_and_unused_layers_are_recorded() -> None:
    torch = torch_module()
    model = torch.nn.ModuleDict({"words": torch.nn.Embedding(9, 3, sparse=True), "unused": torch.nn.Linear(3, 3)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradsim.watch(model) as watcher:
        model["words"](torch.tensor([[1, 2]])).sum().backward()
        optimizer.step()
    assert [layer.name for layer in watcher.recording.layers] == ["words"]
    assert watcher.recording["gradient_norm"][0, 0] == pytest.approx(6**0.5)


def test_that_hooks_are_gone_after_closing_and_other_models_do_not_count() -> None:
    torch = torch_module()
    mine, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    watcher = gradsim.watch(mine)
    for model in (mine, other):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.ones(3, 2)).sum().backward()
        optimizer.step()
    assert watcher.step == 1
    watcher.close()
    assert not mine._forward_hooks
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        gradsim.watch(3)
    with pytest.raises(ValueError, match="every: must be"):
        gradsim.watch(mine, every=0)


def test_that_a_keras_training_shows_the_engines_gradients(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", reason="needs Keras, which the reference environment has")
    script = keras_script.export(VALUE, epochs=1, data="file", weights=starting_weights(VALUE), arrays_name="own.npz")
    script.write(tmp_path / "own.py")
    code = script.text.split("history =")[0]
    names: dict[str, Any] = {"__file__": str(tmp_path / "own.py")}
    exec(compile(code, "own.py", "exec"), names)  # noqa: S102
    callback = watching.KerasCallback(every=2, path=tmp_path / "run.npz")
    names["model"].fit(names["x_train"], names["y_train"], batch_size=1000, epochs=5, verbose=0, callbacks=[callback])
    read = Recording.load(tmp_path / "run.npz")
    mine = api.Experiment.of(VALUE).run(steps=5, weights=starting_weights(VALUE))
    assert read.steps.tolist() == [0, 2, 4]
    assert [layer.type for layer in read.layers] == ["Dense"] * 4
    for key in ("loss", "accuracy", "gradient_norm", "gradient_max", "update_norm", "global_gradient_norm"):
        np.testing.assert_allclose(read[key], mine[key][::2], rtol=3e-3, err_msg=key)
    # One step moves the weights by about a thousandth.
    np.testing.assert_allclose(read["weight_norm"], mine["weight_norm"][::2], rtol=1e-5)
    assert "apply" not in vars(names["model"].optimizer)
    assert keras.config.backend() in ("jax", "torch", "tensorflow")


def keras_model() -> Any:
    keras = pytest.importorskip("keras", reason="needs Keras, which the reference environment has")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(40, activation="tanh"), keras.layers.Dense(1)])
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(0.1))
    return model


def test_that_a_keras_model_that_was_trained_before_shows_its_gradients_and_trains_the_same() -> None:
    x, y = np.ones((12, 3), "float32"), np.linspace(0, 1, 12, dtype="float32")
    watched, plain = keras_model(), keras_model()
    for model in (watched, plain):
        model.fit(x, y, batch_size=4, verbose=0, shuffle=False)
    function = watched.train_function
    for every, steps in ((1, [0, 1, 2]), (2, [0, 2])):
        callback = watching.KerasCallback(every=every)
        watched.fit(x, y, batch_size=4, verbose=0, shuffle=False, callbacks=[callback])
        assert callback.recording.steps.tolist() == steps
        assert (callback.recording["gradient_norm"] > 0).all()
        plain.fit(x, y, batch_size=4, verbose=0, shuffle=False)
    for mine, its in zip(watched.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-7)
    assert watched.train_function is function
    assert "apply" not in vars(watched.optimizer)
    assert "train_step" not in vars(watched)


def test_that_keras_gradients_are_measured_in_recorded_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    model, heard = keras_model(), []
    callback = watching.KerasCallback(every=3)
    hear = callback._hear
    monkeypatch.setattr(callback, "_hear", lambda norms: (heard.append(callback.step), hear(norms)))
    model.fit(np.ones((7, 3), "float32"), np.ones(7, "float32"), batch_size=1, verbose=0, callbacks=[callback])
    assert heard == [0, 3, 6]


def test_that_numpy_lengths_are_those_of_float64() -> None:
    random = np.random.default_rng(0)
    for scale in (1.0, 1e-30, 1e30):
        for size in (5, 1024, 3000, 2_000_000):
            array = (random.uniform(0.9, 1.1, size) * scale).astype(np.float32)
            expected = np.linalg.norm(array.astype(np.float64))
            assert watching._numpy_norm(array) == pytest.approx(expected, rel=1e-6)
    found = watching._numpy_measured(np.array([3, -4, np.nan, np.inf], np.float32), "weight")
    assert found == {"weight_norm": 5, "weight_max": 4, "weight_nan": 1, "weight_inf": 1}


def test_that_a_step_does_not_wait_for_the_file_and_a_full_disk_only_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(watching, "SAVE_SHARE", 0)
    writer = watching.Writer("pytorch", 1, tmp_path / "run.npz", 2**20)
    layer = gradsim.telemetry.recording.Layer(name="0", type="Linear")
    recorder = writer.start([layer], loss=True, dtype="float32", first_step=0)
    columns = {key: [1.0] for key in gradsim.telemetry.LAYER_COLUMNS}
    entered, free = threading.Event(), threading.Event()

    def full(recording: Recording, path: Path) -> None:
        entered.set()
        assert free.wait(60)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Recording, "save", full)
        recorder.append_step(columns, {"loss": 1.0})
        writer.save()
        assert entered.wait(60)
        for _ in range(3):  # while it is being written
            recorder.append_step(columns, {"loss": 1.0})
            writer.save()
        free.set()
        assert writer._writing is not None
        writer._writing.join(60)
    with pytest.warns(UserWarning, match="No space left"):
        writer.save()
    writer.finish()
    assert len(Recording.load(tmp_path / "run.npz")) == 4

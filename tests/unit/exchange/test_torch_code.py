"""PyTorch code becomes an experiment without being executed."""

from __future__ import annotations

import math

import pytest

from gradsim.exchange import torch_code, torch_script
from gradsim.exchange.results import ImportFault
from gradsim.model import Experiment
from gradsim.model.file import content_of

SCRIPT = """
import torch
from torch import nn
torch.manual_seed(3)
model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 100), nn.ReLU(),
    *[nn.Sequential(nn.Linear(100, 100), nn.BatchNorm1d(100), nn.Tanh()) for _ in range(8)],
    nn.Linear(100, 10),
)
def start(module):
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
model.apply(start)
loader = torch.utils.data.DataLoader(data, batch_size=64, shuffle=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
criterion = nn.CrossEntropyLoss()
for epoch in range(10):
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        CLIP
        optimizer.step()
"""


@pytest.mark.parametrize(
    ("clip", "field", "bound"),
    [
        ("nn.utils.clip_grad_norm_(model.parameters(), 1.5)", "global_clipnorm", 1.5),
        ("torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=2.0)", "global_clipnorm", 2.0),
        ("nn.utils.clip_grad_value_(model.parameters(), clip_value=0.5)", "clipvalue", 0.5),
    ],
)
def test_that_a_script_is_read_with_its_clipping(clip: str, field: str, bound: float) -> None:
    content = content_of(torch_code.read(SCRIPT.replace("CLIP", clip)).experiment)
    block = [
        {"type": "Dense", "units": 100},
        {"type": "BatchNormalization", "momentum": 0.9, "epsilon": 1e-5},
        {"type": "Activation", "activation": "tanh"},
    ]
    assert content["layers"] == [
        {"type": "Flatten"},
        {"type": "Dense", "units": 100, "activation": "relu"},
        {"type": "Repeat", "count": 8, "layers": block},
        {"type": "Dense", "units": 10, "activation": "softmax"},
    ]
    assert content["optimizer"] == {
        "type": "SGD", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, field: bound,
    }  # fmt: skip
    assert (content["data"], content["loss"]) == ("fashion_mnist", "categorical_crossentropy")
    assert (content["batch_size"], content["seed"], content["shuffle"]) == (64, 3, True)


def test_that_a_linear_layer_starts_as_in_pytorch() -> None:
    limit = 1 / math.sqrt(16)
    own = {"type": "random_uniform", "minval": -limit, "maxval": limit}
    (layer,) = content_of(torch_code.read("model = nn.Sequential(nn.Linear(16, 3))").experiment)["layers"]
    assert (layer["kernel_initializer"], layer["bias_initializer"]) == (own, own)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("nn.Conv2d(1, 8, 3)", "Conv2d has no counterpart here and is left out"),
        ("nn.MaxPool2d(2)", "MaxPool2d has no counterpart here and is left out"),
        ("nn.ReLU6()", "relu is used instead"),
        ("nn.PReLU()", "one slope for the whole layer"),
        ("nn.GELU(approximate='tanh')", "approximate='tanh' has no counterpart"),
        ("own_block", "own_block is no layer"),
    ],
)
def test_that_what_has_no_counterpart_is_listed_with_its_line(layer: str, words: str) -> None:
    notes = [str(note) for note in torch_code.read(f"\nm = nn.Sequential(nn.Linear(4, 4),\n{layer})").notes]
    assert any(note.startswith("line 3,") and words in note for note in notes), notes


def test_that_weight_decay_becomes_a_regularizer_and_says_so() -> None:
    read = torch_code.read(
        "m = nn.Sequential(nn.Linear(2, 1))\nopt = torch.optim.SGD(m.parameters(), lr=0.1, weight_decay=0.01)"
    )
    assert content_of(read.experiment)["layers"][0]["kernel_regularizer"] == {"type": "l2", "l2": 0.005}
    assert any("weight_decay=0.01" in str(note) for note in read.notes)


def test_that_units_that_are_not_known_are_a_fault_with_their_place() -> None:
    with pytest.raises(ImportFault, match="line 1, column 19: Linear: out_features must be known"):
        torch_code.read("m = nn.Sequential(nn.Linear(4, classes))")


def test_that_an_exported_script_is_read_again() -> None:
    hidden = {"type": "Dense", "units": 9, "activation": "tanh", "kernel_initializer": "he_normal"}
    last = {"type": "Dense", "units": 3, "activation": "softmax"}
    value = Experiment(
        layers=[{"type": "Repeat", "count": 5, "layers": [hidden]}, {"type": "BatchNormalization"}, last],
        data={"type": "spiral", "classes": 3},
        optimizer={"type": "SGD", "learning_rate": 0.3, "clipvalue": 0.5},
        batch_size=20,
        seed=7,
    )
    read = content_of(torch_code.read(torch_script.export(value).text).experiment)
    deep = {"type": "Repeat", "count": 4, "layers": [hidden]}
    assert read["layers"] == [hidden, deep, {"type": "BatchNormalization"}, last]
    fields = ("data", "loss", "optimizer", "seed", "batch_size", "shuffle")
    assert [read[key] for key in fields] == [content_of(value)[key] for key in fields]


OWN_CLASS = """
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ReLU())

    def forward(self, x):
        return self.inner(x) + x

model = nn.Sequential(nn.Linear(2, 8), *[Block(8) for _ in range(5)], nn.Linear(8, 1))
"""


def test_that_a_residual_block_of_ones_own_is_followed() -> None:
    read = content_of(torch_code.read(OWN_CLASS).experiment)["layers"]
    assert [layer["type"] for layer in read] == ["Dense", "Repeat", "Dense"]
    assert read[1]["count"] == 5
    (block,) = read[1]["layers"]
    assert block["type"] == "Residual"
    assert [(layer["units"], layer["activation"]) for layer in block["layers"]] == [(8, "relu")]


def test_that_an_exported_residual_network_is_read_again() -> None:
    block = [
        {"type": "Activation", "activation": "elu"},
        {"type": "Dense", "units": 8, "kernel_initializer": "he_normal"},
    ]
    layers = [
        {"type": "Dense", "units": 8},
        {"type": "Repeat", "count": 3, "layers": [{"type": "Residual", "layers": block}]},
        {"type": "Dense", "units": 1},
    ]
    value = Experiment(layers=layers, data="regression_1d", loss="mse")
    read = torch_code.read(torch_script.export(value).text)
    found = content_of(read.experiment)["layers"]
    elu = {"type": "Activation", "activation": {"type": "elu", "alpha": 1.0}}
    assert found[1]["layers"][0]["layers"][0] in (elu, block[0])
    assert [found[0], found[1]["layers"][0]["layers"][1], found[2]] == [layers[0], block[1], layers[2]]


def test_that_other_classes_are_noted() -> None:
    source = (
        "class Net(nn.Module):\n    def forward(self, x):\n        return self.a(self.b(x))\nm = nn.Sequential(Net())"
    )
    notes = [str(note) for note in torch_code.read(source).notes]
    assert "line 1, column 1: class Net: classes are not followed; left out" in notes
    assert any(note.startswith("line 4,") and "no layer that can be known" in note for note in notes)

"""Keras code becomes an experiment without being executed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gradsim.exchange import keras_code
from gradsim.exchange.results import ImportFault
from gradsim.model import Experiment
from gradsim.model.file import content_of


def layers_of(source: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content_of(keras_code.read(source).experiment)["layers"]
    return found


def notes_of(source: str) -> list[str]:
    return [str(note) for note in keras_code.read(source).notes]


def sequential(*layers: str) -> str:
    return f"model = keras.models.Sequential([{', '.join(layers)}])"


SELU = {"type": "Dense", "units": 10, "activation": "selu", "kernel_initializer": "lecun_normal"}


def test_that_the_notes_single_layer_is_read_as_it_is_written() -> None:
    source = 'layer=keras.layers.Dense(10,activation="selu",kernel_initializer="lecun_normal")'
    assert layers_of(source) == [SELU]


def test_that_the_notes_batch_normalization_stack_is_read_as_it_is_written() -> None:
    source = """model = keras.models.Sequential([
        keras.layers.Flatten(input_shape=[28,28]),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(300,activation='elu',kernel_initializer='he_normal'),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(100,activation='elu',kernel_initializer='he_normal'),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(10,activation='softmax')
    ])"""
    hidden = [
        {"type": "Dense", "units": units, "activation": "elu", "kernel_initializer": "he_normal"}
        for units in (300, 100)
    ]
    norm = {"type": "BatchNormalization"}
    last = {"type": "Dense", "units": 10, "activation": "softmax"}
    assert layers_of(source) == [{"type": "Flatten"}, norm, hidden[0], norm, hidden[1], norm, last]
    assert keras_code.read(source).experiment.data.identifier == "fashion_mnist"


def test_that_the_notes_clipping_lines_change_loss_and_optimizer_only() -> None:
    source = 'optimizer = keras.optimizers.SGD(clipvalue=1.0)\nmodel.compile(loss="mse", optimizer=optimizer)'
    base = Experiment(layers=[SELU])
    read = keras_code.read(source, base=base).experiment
    assert content_of(read) == content_of(base) | {"loss": "mse", "optimizer": {"type": "SGD", "clipvalue": 1.0}}


def test_that_a_lost_equals_sign_is_named_with_line_column_and_fix() -> None:
    source = "model = keras.models.Sequential([\n    keras.layers.Flatten(input_shape[28,28]),\n])"
    with pytest.raises(ImportFault) as caught:
        keras_code.read(source)
    (fault,) = caught.value.faults
    assert fault.path == "line 2, column 26"
    assert "input_shape=[28,28]" in fault.message


def test_that_typographic_quotes_are_named() -> None:
    with pytest.raises(ImportFault, match=r"line 1, column 43.*straight quotes"):
        keras_code.read("layer = keras.layers.Dense(10, activation=“selu”)")


@pytest.mark.parametrize(
    "source",
    [
        "import keras\nl = keras.layers.Dense(3)",
        "from tensorflow import keras\nl = keras.layers.Dense(3)",
        "import tensorflow as tf\nl = tf.keras.layers.Dense(3)",
        "import tensorflow.keras as K\nl = K.layers.Dense(3)",
        "from keras import layers as L\nl = L.Dense(units=3)",
        "from tensorflow.keras.layers import Dense as D\nl = D(3)",
        "l = tf.keras.layers.Dense(3)",
        "l = layers.Dense(3)",
        "l = Dense(3)",
        "    l = Dense(3)",
    ],
)
def test_that_every_spelling_of_the_prefix_is_understood(source: str) -> None:
    assert layers_of(source) == [{"type": "Dense", "units": 3}]


REPEATED = [{"type": "Repeat", "count": 5, "layers": [{"type": "Dense", "units": 7, "activation": "tanh"}]}]


@pytest.mark.parametrize(
    "source",
    [
        "model = Sequential()\nfor _ in range(5):\n    model.add(Dense(7, activation='tanh'))",
        "n = 2 + 3\nmodel = Sequential([Dense(7, 'tanh') for i in range(n)])",
        "model = Sequential([*[Dense(7, 'tanh') for i in range(5)]])",
        "def hidden(units, kind='tanh'):\n    return Dense(units, activation=kind)\n"
        "model = Sequential()\nfor i in range(5):\n    model.add(hidden(7))",
        "hidden = lambda n: Dense(n, activation='tanh')\nmodel = Sequential([hidden(7) for i in range(5)])",
        "from functools import partial\nD = partial(Dense, activation='tanh')\n"
        "model = Sequential([D(7) for i in range(5)])",
        "i = 0\nmodel = Sequential()\nwhile i < 5:\n    model.add(Dense(7, 'tanh'))\n    i += 1",
        "def build(depth=5):\n    model = Sequential()\n    for i in range(depth):\n"
        "        model.add(Dense(7, 'tanh'))\n    return model\nmodel = build()",
        "x = inputs = keras.Input((2,))\nfor i in range(5):\n    x = Dense(7, activation='tanh')(x)\n"
        "model = keras.Model(inputs, x)",
    ],
)
def test_that_loops_and_functions_are_followed_into_a_repeat_group(source: str) -> None:
    assert layers_of(source) == REPEATED


def test_that_rounds_that_differ_stay_single_layers() -> None:
    source = "model = Sequential([Dense(n, 'relu') for n in (30, 20)])"
    assert [layer["units"] for layer in layers_of(source)] == [30, 20]


def test_that_an_added_shortcut_becomes_a_residual_block() -> None:
    source = (
        "inputs = keras.Input((2,))\nx = Dense(8)(inputs)\nfor _ in range(3):\n    y = Dense(8, 'relu')(x)\n"
        "    y = Dense(8)(y)\n    x = layers.Add()([x, y])\nmodel = keras.Model(inputs, Dense(1)(x))"
    )
    block = [{"type": "Dense", "units": 8, "activation": "relu"}, {"type": "Dense", "units": 8}]
    residual = {"type": "Residual", "layers": block}
    assert layers_of(source)[1] == {"type": "Repeat", "count": 3, "layers": [residual]}


def test_that_compile_and_fit_are_read_with_schedule_and_clipping() -> None:
    source = sequential("Dense(3, activation='softmax')") + (
        "\nrate = keras.optimizers.schedules.CosineDecay(0.3, 200, alpha=0.1)"
        "\nmodel.compile(optimizer=keras.optimizers.AdamW(rate, 0.01, global_clipnorm=2.0),"
        " loss='sparse_categorical_crossentropy', metrics=['accuracy'])"
        "\nmodel.fit(x, y, batch_size=64, epochs=7, shuffle=False)"
    )
    read = keras_code.read(source)
    content = content_of(read.experiment)
    assert content["optimizer"] == {
        "type": "AdamW",
        "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 0.3, "decay_steps": 200, "alpha": 0.1},
        "weight_decay": 0.01,
        "global_clipnorm": 2.0,
    }
    assert (content["loss"], content["batch_size"], content["shuffle"]) == ("categorical_crossentropy", 64, False)
    assert read.epochs == 7


def test_that_the_whole_training_set_as_batch_is_understood() -> None:
    source = sequential("Dense(1)") + "\nmodel.compile('sgd', 'mse')\nmodel.fit(x, y, batch_size=len(x))"
    assert keras_code.read(source).experiment.batch_size is None


def test_that_a_loss_on_logits_gets_its_activation_back() -> None:
    source = sequential("Dense(3)") + (
        "\nmodel.compile('sgd', keras.losses.SparseCategoricalCrossentropy(from_logits=True))"
    )
    assert layers_of(source) == [{"type": "Dense", "units": 3, "activation": "softmax"}]


def test_that_what_is_set_on_layers_later_counts() -> None:
    source = sequential("Dense(3)", "Dense(4)", "Dense(5)") + "\nfor l in model.layers[:-1]:\n    l.trainable = False"
    assert [layer.get("trainable", True) for layer in layers_of(source)] == [False, False, True]


QUICKSTART = """
import tensorflow as tf
mnist = tf.keras.datasets.mnist
(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0
model = tf.keras.models.Sequential([
  tf.keras.layers.Flatten(input_shape=(28, 28)),
  tf.keras.layers.Dense(128, activation='relu'),
  tf.keras.layers.Dropout(0.2),
  tf.keras.layers.Dense(10)
])
predictions = model(x_train[:1]).numpy()
loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
loss_fn(y_train[:1], predictions).numpy()
model.compile(optimizer='adam', loss=loss_fn, metrics=['accuracy'])
model.fit(x_train, y_train, epochs=5)
model.evaluate(x_test,  y_test, verbose=2)
"""


def test_that_a_common_first_script_is_read_as_a_whole() -> None:
    read = keras_code.read(QUICKSTART)
    content = content_of(read.experiment)
    assert content["layers"] == [
        {"type": "Flatten"},
        {"type": "Dense", "units": 128, "activation": "relu"},
        {"type": "Dropout", "rate": 0.2},
        {"type": "Dense", "units": 10, "activation": "softmax"},
    ]
    assert (content["data"], content["loss"]) == ("fashion_mnist", "categorical_crossentropy")
    assert (content["batch_size"], read.epochs) == (32, 5)
    assert [note.place.line for note in read.notes] == [4, 15]


def test_that_layers_of_another_model_are_taken_over() -> None:
    source = """
first = keras.models.Sequential([keras.layers.Dense(30, activation="selu"), keras.layers.Dense(8)])
second = keras.models.Sequential(first.layers[:-1])
second.add(keras.layers.Dense(1, activation="sigmoid"))
for layer in second.layers[:-1]:
    layer.trainable = False
second.compile(loss="binary_crossentropy", optimizer=keras.optimizers.SGD(lr=1e-3))
"""
    assert layers_of(source) == [
        {"type": "Dense", "units": 30, "activation": "selu", "trainable": False},
        {"type": "Dense", "units": 1, "activation": "sigmoid"},
    ]
    assert any("another model" in note for note in notes_of(source))


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("Conv2D(32, 3)", "Conv2D has no counterpart here and is left out"),
        ("MaxPooling2D()", "MaxPooling2D has no counterpart here and is left out"),
        ("Lambda(lambda x: x)", "Lambda has no counterpart here and is left out"),
        ("Dense(5, activation=lambda x: x)", "a lambda can't be represented; linear is used"),
        ("Dense(5, kernel_constraint=max_norm(1.0))", "kernel_constraint"),
        ("Dense(5, activation='relu6')", "relu is used instead"),
        ("Dense(5, activation=strange)", "strange can't be represented"),
        ("Dense(5, bias_regularizer='l2')", "bias_regularizer='l2' has no counterpart"),
        ("Dense(5, use_bias=flag)", "use_bias=flag can't be known"),
        ("Dense(5, 'relu', True, 'zeros', 'zeros', None, None)", "the argument None is left out"),
        ("AlphaDropout(0.1)", "Dropout is used instead"),
        ("HeNormal", "HeNormal is no layer"),
        ("layers.Dense(4, kernel_initializer=keras.initializers.VarianceScaling(2.0, 'fan_avg'))", "he_normal is used"),
    ],
)
def test_that_what_has_no_counterpart_is_listed_with_its_line(layer: str, words: str) -> None:
    notes = notes_of("\n\nmodel = keras.Sequential([\n" + layer + ", Dense(1)])")
    assert any(note.startswith("line 4,") and words in note for note in notes), notes


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (sequential("Dense()"), "units is missing"),
        (sequential("Dense(n)"), "units must be known without running the code; n is not"),
        (sequential("Dense(0)"), "units must be at least 1"),
        (sequential("Dense(5, activation='rellu')"), "did you mean 'relu'"),
        (sequential("Dense(5)") + "\nmodel.compile('sdg', 'mse')", "did you mean 'SGD'"),
        (sequential("Dense(5)") + "\nmodel.compile('sgd', 'mze')", "did you mean 'mse'"),
        (sequential("Dropout(1.5)"), "must be less than 1"),
        (sequential("Dense(5)") + "\nmodel.compile(keras.optimizers.SGD(clipvalue=1., clipnorm=1.), 'mse')", "one way"),
        ("model = keras.Sequential([", "is no Python"),
        ("x = '\0'", "null bytes"),
    ],
)
def test_that_a_fault_names_the_place_and_what_is_allowed(source: str, words: str) -> None:
    with pytest.raises(ImportFault) as caught:
        keras_code.read(source)
    assert words in str(caught.value)
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize(
    "source",
    [
        "x = 10**10**10\nmodel = Sequential([Dense(3)])",
        "x = 'a' * 10**12\nmodel = Sequential([Dense(3)])",
        "a = [1]\nfor i in range(100):\n    a = [a, a]\nb = a == a\nc = str(a)\nmodel = Sequential([Dense(3)])",
        "a = [1]\nfor i in range(100):\n    a = a + a\nmodel = Sequential([Dense(3)])",
        "x = f'{1:999999999}'\nmodel = Sequential([Dense(3)])",
        "while True:\n    pass\nmodel = Sequential([Dense(3)])",
        "for e in range(10**9):\n    e += 1\nmodel = Sequential([Dense(3)])",
    ],
)
def test_that_hostile_code_neither_fills_the_memory_nor_goes_on_for_ever(source: str) -> None:
    assert layers_of(source) == [{"type": "Dense", "units": 3}]


@pytest.mark.parametrize(
    "source",
    [
        "model = Sequential()\nwhile True:\n    model.add(Dense(3))",
        "model = Sequential([Dense(3) for i in range(10**9)])",
        "def f(n):\n    return f(n)\nf(1)",
        "(" * 5000,
        "x = " + "-" * 50_000 + "1",
        "#" * 3_000_000,
    ],
)
def test_that_code_without_an_end_is_refused(source: str) -> None:
    with pytest.raises(ImportFault):
        keras_code.read(source)


def test_that_nothing_is_executed(tmp_path: Any) -> None:
    target = tmp_path / "made"
    source = f"import os\nopen({str(target)!r}, 'w')\nos.system('touch {target}')\nmodel = Sequential([Dense(3)])"
    assert layers_of(source) == [{"type": "Dense", "units": 3}]
    assert not target.exists()


def notebook(*cells: str) -> str:
    return json.dumps({"cells": [{"cell_type": "markdown", "source": "# words"}] + [
        {"cell_type": "code", "source": cell.splitlines(keepends=True), "outputs": []} for cell in cells
    ]})  # fmt: skip


def test_that_a_notebook_is_read_without_its_commands() -> None:
    source = notebook(
        "%matplotlib inline\n!pip install keras", "%%bash\nls", "model = Sequential()\nmodel.add(Dense(n))"
    )
    with pytest.raises(ImportFault, match="cell 4, line 2, column 17"):
        keras_code.read(source, "own.ipynb")
    read = keras_code.read(source.replace("Dense(n)", "Dense(9)"), "own.ipynb")
    assert content_of(read.experiment)["layers"] == [{"type": "Dense", "units": 9}]
    words = [str(note) for note in read.notes]
    assert any(note.startswith("cell 2, line 2") and "!pip install" in note for note in words)
    assert any("the cell is for %%bash" in note for note in words)


@pytest.mark.parametrize("source", ["", "[]", "{}", '{"cells": 3}', '{"cells": [{"cell_type": "code", "source": 3}]}'])
def test_that_a_file_that_is_no_notebook_is_refused(source: str) -> None:
    with pytest.raises(ImportFault, match="the notebook"):
        keras_code.read(source, "own.ipynb")


def test_that_a_layer_that_is_in_no_model_is_noted() -> None:
    source = "Dense(4, activation=LeakyReLU(0.1))\n" + sequential("Dense(3, activation=layers.LeakyReLU(0.2))")
    notes = [note for note in notes_of(source) if "in no model" in note]
    assert notes == ["line 1, column 1: Dense is made here and is in no model; left out"]

"""What is said in another language than that of the source: whole, with the same numbers, and as helpful."""

from __future__ import annotations

import string
from collections.abc import Iterator

import pytest

from gradsim import i18n
from gradsim.diagnose import cures, findings, remedies
from gradsim.engine import Trainer
from gradsim.exchange import keras_code
from gradsim.exchange.results import ImportFault
from gradsim.model import bundled, edits, file, problems
from gradsim.model.faults import FaultsError
from gradsim.telemetry import Recorder, quantity


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    i18n.set_language("zh_CN")
    yield
    i18n.set_language(i18n.SOURCE)


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_that_a_fault_in_a_file_says_what_is_allowed_and_what_was_meant() -> None:
    with pytest.raises(FaultsError) as refused:
        file.loads('{"gradsim": 1, "layers": [{"type": "Dens"}], "dtype": "float23", "batchsize": 3, "seed": -1}')
    said = {fault.path: fault.message for fault in refused.value.faults}
    assert set(said) == {"layers[0].type", "dtype", "batchsize", "seed"}
    assert all(map(_is_chinese, said.values()))
    assert "'Dense'" in said["layers[0].type"]
    assert "'float32'" in said["dtype"]
    assert "batch_size" in said["batchsize"]
    assert "0" in said["seed"]


def test_that_problems_their_fixes_and_edits_are_named() -> None:
    found = [one for name in bundled.names() for one in problems.problems(bundled.load(name))]
    assert found
    assert all(_is_chinese(problem.message) for problem in found)
    assert all(_is_chinese(problem.fix.name) for problem in found if problem.fix is not None)
    experiment = bundled.load("small-xor")
    assert edits.remove(experiment, [experiment.layers[0].uid]).name == "删除 Dense"
    assert edits.set_field(experiment, "", "batch_size", 8).name == "更改批大小"


def test_that_findings_and_remedies_are_told_with_their_numbers() -> None:
    experiment = bundled.load("vanishing-sigmoid")
    trainer = Trainer(experiment)
    chunk = trainer.advance(60)
    recorder = Recorder(trainer.layer_table, dtype=experiment.dtype, seed=experiment.seed)
    recorder.append(chunk.layers, chunk.steps)
    found = findings.diagnose(recorder.recording())
    vanishing = next(one for one in found if one.kind == "vanishing")
    assert vanishing.title == "梯度消失"
    assert _is_chinese(vanishing.student)
    assert f"{vanishing.numbers['factor_per_layer']:.2g}" in vanishing.student
    offers = remedies.offers(experiment, found)
    assert all(one.edit is None or _is_chinese(one.edit.name) or one.edit.name.isascii() for one in offers)
    assert all(_is_chinese(one.reason) for one in offers if not one.applicable)
    assert cures.candidates(experiment, found)[0].title == "保持原样"


def test_that_an_import_names_line_and_column() -> None:
    with pytest.raises(ImportFault, match="第 1 行，第 10 列"):
        keras_code.read("Dense(100，activation='relu')")
    notes = keras_code.read("m = Sequential([Input((784,)), Dense(10), Conv2D(3, 3)])").notes
    assert notes
    assert all(_is_chinese(note.message) for note in notes)


def test_that_a_quantity_explains_its_scale() -> None:
    assert quantity("delta_rms").sentence() == "δ（RMS）：低于 1e-06 = 消失，高于 1 = 爆炸，约 0.001 = 健康。"


def test_that_every_translation_has_the_places_of_its_text() -> None:
    catalogue = i18n._catalogue
    for text, said in catalogue._catalog.items():  # type: ignore[attr-defined]
        source = text[0] if isinstance(text, tuple) else text
        if source and not source.startswith(("arrays in memory", "Project-Id")):
            assert _fields(said) <= _fields(source) | {"n"}, source

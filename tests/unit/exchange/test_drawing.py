"""The drawing of a stack."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from gradsim.exchange import drawing
from gradsim.model import Experiment
from tests.unit.exchange.cases import CASES, experiment

NAMESPACE = {"svg": "http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", CASES)
def test_that_everything_lies_within_the_picture(name: str) -> None:
    root = ElementTree.fromstring(drawing.export(experiment(name)))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for box in root.findall("svg:rect", NAMESPACE):
        x, y = float(box.attrib.get("x", 0)), float(box.attrib.get("y", 0))
        assert x >= 0 and x + float(box.attrib["width"]) <= width
        assert y >= 0 and y + float(box.attrib["height"]) <= height


def test_that_each_layer_stands_there_with_its_size() -> None:
    layer = {"type": "Dense", "units": 17, "activation": "relu", "kernel_initializer": "he_normal"}
    value = Experiment(
        layers=[{"type": "Repeat", "count": 6, "layers": [layer]}, {"type": "Dense", "units": 1}],
        data="regression_1d", loss="mse", name="a < b & c",
    )  # fmt: skip
    words = [text.text for text in ElementTree.fromstring(drawing.export(value)).findall("svg:text", NAMESPACE)]
    assert "Dense 17 relu · he_normal" in words
    assert "6 times" in words
    assert "a < b & c" in words

"""What a card shows."""

from __future__ import annotations

import pytest

from gradsim.app.build.arrangement import Item
from gradsim.app.build.faces import chip_text, inline_fields, sole_layer
from gradsim.nn.layers import Dense, Dropout, Layer, Repeat, Residual, registry
from gradsim.nn.spec import fields_of


def test_that_the_main_choices_of_a_dense_layer_are_on_its_card() -> None:
    assert [view.name for view in inline_fields(Dense(3))] == ["units", "activation", "kernel_initializer"]


def test_that_no_card_shows_more_than_three_choices() -> None:
    for kind in registry:
        required = {view.name: 3 for view in fields_of(registry[kind]) if view.required}
        assert len(inline_fields(registry.create(kind, **required))) <= 3


@pytest.mark.parametrize(
    ("layer", "texts", "compact"),
    [
        (Dense(64, "relu"), ["64 units", "relu", "glorot_uniform"], ["64", "relu", "glorot_uniform"]),
        (Dense(1, "sigmoid"), ["1 unit", "sigmoid", "glorot_uniform"], ["1", "sigmoid", "glorot_uniform"]),
        (Dropout(0.2), ["rate 0.2"], ["rate 0.2"]),
        (Repeat(50, (Dense(2),)), ["\u00d7 50"], ["\u00d7 50"]),
    ],
)
def test_that_choices_say_what_they_are(layer: Layer, texts: list[str], compact: list[str]) -> None:
    views = inline_fields(layer)
    assert [chip_text(view, getattr(layer, view.name)) for view in views] == texts
    assert [chip_text(view, getattr(layer, view.name), compact=True) for view in views] == compact


def test_that_only_a_group_of_one_layer_shows_the_choices_inside() -> None:
    def item(layer: Layer) -> Item:
        return Item("card", "x", "", 0, 0, 0.0, 40.0, layer=layer)

    inner = Dense(3)
    assert sole_layer(item(Repeat(3, (Residual((inner,)),)))) is inner
    assert sole_layer(item(Repeat(3, (inner, Dropout(0.1))))) is None
    assert sole_layer(item(Repeat(3, ()))) is None
    assert sole_layer(item(inner)) is None

"""The stack as an SVG drawing: one box a layer, the input at the bottom, groups in frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from xml.sax.saxutils import escape

from gradsim.exchange.exporting import active, checked
from gradsim.i18n import tr, tr_n
from gradsim.model import Experiment
from gradsim.nn import layers as nn_layers
from gradsim.nn.layers import Layer, Shape

BOX_WIDTH, BOX_HEIGHT, GAP, FRAME, MARGIN = 280, 34, 14, 16, 24
TITLE = 22
_FILLS = {
    "Core": "#dbe7f6", "Activation": "#fde8cf", "Normalisation": "#ddf0de", "Regularisation": "#efe3f5",
    "Shape": "#e9e9e9",
}  # fmt: skip
_INK, _FAINT = "#23272e", "#69707a"


@dataclasses.dataclass
class _Canvas:
    parts: list[str] = dataclasses.field(default_factory=list)

    def text(self, x: float, y: float, words: str, *, anchor: str = "middle", size: int = 13, fill: str = _INK) -> None:
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" fill="{fill}">{escape(words)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, fill: str, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{fill}" '
            f'stroke="{_FAINT}"{dash}/>'
        )

    def line(self, points: Sequence[tuple[float, float]], arrow: bool = True) -> None:
        path = " L ".join(f"{x:g} {y:g}" for x, y in points)
        end = ' marker-end="url(#arrow)"' if arrow else ""
        self.parts.append(f'<path d="M {path}" fill="none" stroke="{_FAINT}" stroke-width="1.4"{end}/>')


def words_of(layer: Layer) -> str:
    """A layer in one line: kind, size, activation, initializer."""
    words = [layer.identifier]
    if isinstance(layer, nn_layers.Dense):
        words.append(f"{layer.units}")
        if layer.activation.identifier != "linear":
            words.append(layer.activation.identifier)
        words.append(f"· {layer.kernel_initializer.identifier}")
    elif isinstance(layer, nn_layers.Dropout):
        words.append(f"{layer.rate:g}")
    elif isinstance(layer, nn_layers.Activation):
        words = [layer.activation.identifier]
    if not layer.trainable:
        words.append(tr("(frozen)"))
    return " ".join(words)


def _height(layers: Sequence[Layer]) -> float:
    total = 0.0
    for layer in layers:
        inside = layer.children()
        total += (_height(inside) + TITLE + FRAME if inside else BOX_HEIGHT) + GAP
    return total - GAP if layers else 0.0


def _depth(layers: Sequence[Layer]) -> int:
    return max((1 + _depth(layer.children()) if layer.children() else 0 for layer in layers), default=0)


def _draw(canvas: _Canvas, layers: Sequence[Layer], shape: Shape, bottom: float, left: float, width: float) -> Shape:
    """Draws layers from ``bottom`` upwards; gives the shape that comes out."""
    middle = left + width / 2
    y = bottom
    for number, layer in enumerate(layers):
        if number:
            canvas.line([(middle, y), (middle, y - GAP + 3)])
            y -= GAP
        inside = layer.children()
        if inside:
            height = _height(inside) + TITLE + FRAME
            canvas.box(left, y - height, width, height, "none", dashed=True)
            title = tr_n("{n} time", "{n} times", layer.count) if isinstance(layer, nn_layers.Repeat) else "x + f(x)"
            canvas.text(left + 10, y - height + 16, title, anchor="start", size=12, fill=_FAINT)
            _draw(canvas, inside, shape, y - FRAME / 2, left + FRAME, width - 2 * FRAME)
            if isinstance(layer, nn_layers.Residual):
                right = left + width - FRAME / 2
                canvas.line([(middle, y - 3), (right, y - 3), (right, y - height + 5), (middle + 8, y - height + 5)])
            shape = layer.output_shape(shape)
            y -= height
        else:
            shape = layer.output_shape(shape)
            y -= BOX_HEIGHT
            canvas.box(left, y, width, BOX_HEIGHT, _FILLS.get(layer.category, "#ffffff"))
            canvas.text(middle, y + BOX_HEIGHT / 2 + 4.5, words_of(layer))
            canvas.text(left + width - 8, y + BOX_HEIGHT - 5, _size(shape), anchor="end", size=9, fill=_FAINT)
    return shape


def _size(shape: Shape) -> str:
    return " × ".join(map(str, shape))


def export(experiment: Experiment) -> str:
    """The drawing as the text of an SVG file.

    Raises:
        gradsim.exchange.exporting.ExportFault: if the stack can't be computed.
    """
    checked(experiment)
    layers = active(experiment.layers)
    shape = experiment.stack().input_shape
    # The drawing grows with the nesting, so that the innermost box is as wide as any other.
    width = BOX_WIDTH + 2 * FRAME * _depth(layers)
    height = _height(layers)
    whole = height + 2 * MARGIN + 96
    canvas = _Canvas()
    left, bottom = MARGIN, MARGIN + 48 + height
    middle = left + width / 2
    if experiment.name:
        canvas.text(middle, MARGIN, experiment.name[:60], size=14)
    canvas.line([(middle, bottom + 22), (middle, bottom + 3)])
    canvas.text(middle, bottom + 38, f"{experiment.data.identifier}: {_size(shape)}", fill=_FAINT)
    _draw(canvas, layers, shape, bottom, left, width)
    canvas.line([(middle, bottom - height), (middle, bottom - height - 16)])
    loss = f"{experiment.loss.identifier}, {experiment.optimizer.identifier}"
    canvas.text(middle, bottom - height - 22, loss, fill=_FAINT, size=12)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 2 * MARGIN:g}" height="{whole:g}" '
        f'viewBox="0 0 {width + 2 * MARGIN:g} {whole:g}" font-family="sans-serif">'
    )
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M 0 0 L 8 4 L 0 8 z" fill="{_FAINT}"/></marker></defs>'
    )
    ground = f'<rect width="{width + 2 * MARGIN:g}" height="{whole:g}" fill="#ffffff"/>'
    return "\n".join([head, arrow, ground, *canvas.parts, "</svg>"]) + "\n"

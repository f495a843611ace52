"""Datasets: bundled, generated and own, each one definition.

``load("fashion_mnist")``, ``load(Spiral(classes=3))`` and ``load({"type": "csv", "path": "own.csv"})`` give a
:class:`Dataset`. ``registry`` lists every source with its fields.
"""

from gradsim.data.bundled import BreastCancer, Digits, FashionMNIST, Iris, Penguins, Wine
from gradsim.data.dataset import DataError, Dataset, Signature, from_arrays
from gradsim.data.files import CSV, NPZ
from gradsim.data.generated import Circle, Gaussians, LinearTeacher, Moons, Regression1D, Spiral, Xor
from gradsim.data.images import Images
from gradsim.data.sources import Arrays, Source, input_shape, load, registry, source

__all__ = [
    "CSV",
    "NPZ",
    "Arrays",
    "BreastCancer",
    "Circle",
    "DataError",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "Gaussians",
    "Images",
    "Iris",
    "LinearTeacher",
    "Moons",
    "Penguins",
    "Regression1D",
    "Signature",
    "Source",
    "Spiral",
    "Wine",
    "Xor",
    "from_arrays",
    "input_shape",
    "load",
    "registry",
    "source",
]

"""Makes the data files of resources/data from their sources. Run by hand; installing never does.

    apt-get install dataset-fashion-mnist
    python3 -m venv somewhere && somewhere/bin/pip install numpy scikit-learn palmerpenguins
    somewhere/bin/python packaging/make_data.py

Made with scikit-learn 1.9.1, palmerpenguins 0.1.6 and Debian's dataset-fashion-mnist 0.0~git20200523.55506a9.
The same sources give the same bytes. The licence texts beside the data are kept by hand.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib.util
from pathlib import Path

import numpy as np

FASHION_TRAIN_PER_CLASS = 1000
FASHION_TEST_PER_CLASS = 200

SCIKIT_LEARN_TABLES = {
    "iris": (
        "iris.csv",
        "species",
        ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"],
    ),
    "wine": (
        "wine_data.csv",
        "cultivator",
        [
            "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
            "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280_od315", "proline",
        ],
    ),
    "breast_cancer": (
        "breast_cancer.csv",
        "diagnosis",
        [
            f"{statistic}_{measure}"
            for statistic in ("mean", "error", "worst")
            for measure in (
                "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity",
                "concave_points", "symmetry", "fractal_dimension",
            )
        ],
    ),
}  # fmt: skip


def package_folder(name: str) -> Path:
    """Folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed; see the top of {Path(__file__).name}")
    return Path(spec.origin).parent


def read_idx(path: Path) -> np.ndarray:
    """Reads a gzipped IDX file of unsigned bytes (LeCun's MNIST format)."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\x00\x00\x08":
        raise SystemExit(f"{path} is not an IDX file of bytes")
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def first_of_each_class(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Indices of the first rows of every class, in their order in the source."""
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in np.unique(labels)]))


def make_fashion_mnist(source: Path, target: Path) -> None:
    arrays = {}
    for part, prefix, per_class in (
        ("train", "train", FASHION_TRAIN_PER_CLASS),
        ("test", "t10k", FASHION_TEST_PER_CLASS),
    ):
        labels = read_idx(source / f"{prefix}-labels-idx1-ubyte.gz")
        chosen = first_of_each_class(labels, per_class)
        arrays[f"x_{part}"] = read_idx(source / f"{prefix}-images-idx3-ubyte.gz")[chosen]
        arrays[f"y_{part}"] = labels[chosen]
    np.savez_compressed(target / "fashion_mnist.npz", **arrays)


def make_digits(source: Path, target: Path) -> None:
    with gzip.open(source / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",").astype(np.uint8)
    np.savez_compressed(target / "digits.npz", x=table[:, :-1].reshape(-1, 8, 8), y=table[:, -1])


def make_tables(source: Path, target: Path) -> None:
    for name, (file_name, label, features) in SCIKIT_LEARN_TABLES.items():
        with open(source / file_name, newline="", encoding="utf-8") as file:
            rows, columns, *classes = next(reader := csv.reader(file))
            table = [[*row[:-1], classes[int(row[-1])]] for row in reader]
        if (len(table), len(features)) != (int(rows), int(columns)):
            raise SystemExit(f"{file_name} has another shape than it used to have")
        with open(target / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([[*features, label], *table])


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fashion-mnist", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--target", type=Path, default=root / "resources" / "data")
    arguments = parser.parse_args()
    scikit_learn = package_folder("sklearn") / "datasets" / "data"
    make_fashion_mnist(arguments.fashion_mnist, arguments.target)
    make_digits(scikit_learn, arguments.target)
    make_tables(scikit_learn, arguments.target)
    penguins = package_folder("palmerpenguins") / "data" / "penguins.csv"
    text = penguins.read_text(encoding="utf-8")
    (arguments.target / "penguins.csv").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

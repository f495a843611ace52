"""Finds the files of the top-level folder ``resources/``: in a checkout, an installed wheel and a bundle."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """The folder itself.

    Raises:
        FileNotFoundError: if the installation has none.
    """
    # A wheel and a bundle carry the folder inside the package; in a checkout it lies beside it.
    for folder in (_PACKAGE / "_resources", _PACKAGE.parent / "resources"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"gradsim has no resources: neither {_PACKAGE}/_resources nor resources beside it")


def resource(name: str) -> Path:
    """Path of one file or folder, named with slashes, as in ``"data/iris.csv"``.

    Raises:
        FileNotFoundError: if there is none of this name.
        ValueError: if the name leads out of the folder.
    """
    folder = root()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"a resource's name must stay inside the resources folder (received {name!r})")
    if not path.exists():
        raise FileNotFoundError(f"gradsim's resources hold no {name!r}; looked in {folder}")
    return path

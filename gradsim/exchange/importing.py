"""From a file or a piece of text to an experiment, whatever it is."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gradsim.exchange import keras_code, keras_config, keras_file, notebooks, torch_code
from gradsim.exchange.python_code import MAX_SOURCE
from gradsim.exchange.results import Imported
from gradsim.exchange.weights import checked_file, refuse
from gradsim.i18n import reason_of, tr
from gradsim.model import Experiment, file

SUFFIXES = (".py", ".ipynb", ".keras", ".json")

_TORCH = re.compile(r"\bimport\s+torch\b|\bfrom\s+torch\b|\bnn\.(Sequential|Linear|Module)\b|\boptim\.")
_KERAS = re.compile(r"\bkeras\b")


def read_code(text: str, filename: str = "code.py", base: Experiment | None = None) -> Imported:
    """Reads code of Keras or of PyTorch, whichever it is: what was pasted, or a file's content.

    Raises:
        gradsim.exchange.results.ImportFault: with every place that can't be read.
    """
    torch = _TORCH.search(text) is not None and (_KERAS.search(text) is None or "nn.Sequential" in text)
    return torch_code.read(text, filename, base) if torch else keras_code.read(text, filename, base)


def read_text(text: str, base: Experiment | None = None) -> Imported:
    """Reads pasted text: a Keras config if it is JSON with a class_name, a notebook if it has cells, else code."""
    start = text.lstrip()[:1]
    if start == "{" and '"class_name"' in text:
        return keras_config.read(text, base)
    if start == "{" and '"cells"' in text:
        return read_code(text, "pasted.ipynb", base)
    return read_code(text, "pasted.py", base)


def read_code_of(text: str, base: Experiment | None = None) -> Imported:
    """Reads code that can't be anything else: what the cells of a notebook hold."""
    return read_code(text, "code.py", base)


def read_file(path: str | os.PathLike[str], base: Experiment | None = None) -> Imported:
    """Reads a ``.py``, ``.ipynb``, ``.json`` (Keras config) or ``.keras`` file.

    Args:
        base: What the file does not say is taken from this experiment, and from the defaults if it is None.

    Raises:
        gradsim.exchange.results.ImportFault: with everything that is wrong with it.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise refuse(tr("the file"), tr("must end in {endings}", endings=", ".join(SUFFIXES)), path.name)
    if suffix == ".keras":
        return keras_file.read(path, base)
    data = content_of(path)
    return keras_config.read(data, base) if suffix == ".json" else read_code(decoded(data), path.name, base)


def content_of(path: Path) -> bytes:
    """What is in a file of code.

    Raises:
        ImportFault: if it can't be read, or is too long for what its name says it is.
    """
    limit = {".json": file.MAX_BYTES, ".ipynb": notebooks.MAX_BYTES}.get(path.suffix.lower(), MAX_SOURCE)
    checked_file(path, limit)
    try:
        return path.read_bytes()
    except OSError as error:
        raise refuse(tr("the file"), tr("can't be read: {reason}", reason=reason_of(error)), str(path)) from None


def decoded(data: bytes) -> str:
    """Text in UTF-8, with or without a byte order mark; raises ImportFault for anything else."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(tr("the file"), tr("must be text in UTF-8; byte {place} is none", place=error.start)) from None

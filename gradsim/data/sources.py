"""Sources: what a dataset is made from. One definition each, registered once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from gradsim.data.dataset import DataError, Dataset, Signature, from_arrays
from gradsim.nn.spec import Registry, Spec, frozen, option

registry = Registry("dataset")


@frozen
class Source(Spec):
    """Base of all sources.

    Attributes:
        group: Heading in a list: "bundled", "generated" or "own".
        title: Name for people.
        storable: False if a file can't hold it.
    """

    kind: ClassVar[str] = "dataset"
    group: ClassVar[str] = ""
    title: ClassVar[str] = ""
    storable: ClassVar[bool] = True

    def load(self, base: Path | None = None) -> Dataset:
        """Reads or generates the arrays, the same each time.

        Args:
            base: Folder that relative paths start from; None is the working directory.

        Raises:
            DataError: with every fault of the data.
        """
        raise NotImplementedError

    def signature(self, base: Path | None = None) -> Signature:
        """Shapes and classes; raises as :meth:`load` does."""
        return _signature(self, base, self.stamp(base))

    def row_counts(self, base: Path | None = None) -> tuple[int, int]:
        """How many rows are for training and for validation; raises as :meth:`load` does."""
        return self.load(base).row_counts

    def stamp(self, base: Path | None = None) -> object:
        """A value that changes when loading would give other arrays although the source is equal."""
        return None


@functools.lru_cache(maxsize=64)
def _signature(source: Source, base: Path | None, stamp: object) -> Signature:
    return source.load(base).signature


@frozen
class Arrays(Source):
    """Arrays in memory. A file can't hold them."""

    identifier = "arrays"
    group = "own"
    title = "Arrays in memory"
    storable = False

    dataset: Dataset = option("Arrays", "The arrays themselves.", hidden=True)

    def load(self, base: Path | None = None) -> Dataset:
        return self.dataset

    def signature(self, base: Path | None = None) -> Signature:
        return self.dataset.signature


def source(value: object) -> Source:
    """A source from a source, a name, a JSON object, a dataset, or arrays as for :func:`from_arrays`.

    Raises:
        pydantic.ValidationError: with every fault.
    """
    if isinstance(value, Dataset):
        return Arrays(value)
    if isinstance(value, tuple | list):
        try:
            return Arrays(from_arrays(value))
        except DataError as error:
            raise ValidationError.from_exception_data(
                "data",
                [
                    {
                        "type": PydanticCustomError("data", fault.message.replace("{", "{{")),
                        "loc": (fault.path,) if fault.path != "data" else (),
                        "input": fault.received,
                    }
                    for fault in error.faults
                ],
            ) from None
    made: Source = registry.validate(value)
    return made


def load(value: Source | str | Mapping[str, Any], base: Path | None = None) -> Dataset:
    """The dataset of a source, given as for :func:`source`; raises as :meth:`Source.load` does."""
    return source(value).load(base)


def input_shape(value: Source | str | Mapping[str, Any], base: Path | None = None) -> tuple[int, ...]:
    """Shape of one row, as a stack gets it; raises as :meth:`Source.load` does."""
    return source(value).signature(base).input_shape

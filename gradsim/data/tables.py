"""Reads tables of text (CSV) into numbers and categories, with a report that names row and column.

A file is read twice, row by row: first to learn what each column holds, then to fill arrays of its size. So
memory stays near the size of the result, whatever the file holds.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from gradsim.data.dataset import FAULTS_SHOWN, MAX_CLASSES, Array, DataError
from gradsim.i18n import reason_of, tr
from gradsim.nn.spec import MISSING, Fault

MAX_FILE_BYTES = 512 * 1024**2
MAX_COLUMNS = 20_000
MAX_CELLS = 25_000_000
MAX_CATEGORIES = 100
MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})

FLOAT32_MAX = float(np.finfo(np.float32).max)

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
SAMPLE_ROWS = 50
SAMPLE_CHARACTERS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Column:
    """One column as read.

    Attributes:
        name: Its header, or "column 3" where there is none.
        values: Shape ``(rows,)``: float64 numbers, or int64 indices into ``categories``.
        missing: Shape ``(rows,)``, True where the cell has no value; ``values`` is 0 there.
        categories: The texts in alphabetical order if the column holds text, else None.
    """

    name: str
    values: Array
    missing: Array
    categories: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """The columns that were asked for.

    Attributes:
        columns: In the order of the file.
        rows: Row of the file, counted from 1 with the header, that each entry comes from.
    """

    columns: tuple[Column, ...]
    rows: Array


class Report:
    """Collects faults; keeps the first few and counts all."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.count = 0

    def add(self, path: str, message: str, received: object) -> None:
        self.count += 1
        if len(self.faults) < FAULTS_SHOWN:
            self.faults.append(Fault(path, message, received))

    def check(self) -> None:
        """Raises :class:`DataError` if anything was added."""
        if self.count:
            raise DataError(self.faults, self.count)


def checked_file(path: Path, limit: int) -> Path:
    """The path, if it names a regular file of a size that can be read.

    Raises:
        DataError: if not.
    """
    try:
        size = path.stat().st_size
        regular = path.is_file()
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise DataError([Fault("path", tr("can't be opened: {reason}", reason=reason), str(path))]) from None
    if not regular:
        raise DataError([Fault("path", tr("must be a file"), str(path))])
    if size > limit:
        raise DataError(
            [Fault("path", tr("must be a file of at most {limit} MB", limit=limit // 1024**2), f"{size // 1024**2} MB")]
        )
    return path


@dataclasses.dataclass
class _Seen:
    """What the first reading learns of a column."""

    numbers: int = 0
    texts: int = 0
    missing: int = 0
    categories: set[str] = dataclasses.field(default_factory=set)
    distinct: set[str] = dataclasses.field(default_factory=set)

    @property
    def numeric(self) -> bool:
        return self.numbers > 0 and self.numbers >= self.texts


class Reader:
    """One table file.

    Args:
        path: The file; UTF-8, with or without byte order mark.
        delimiter: What stands between cells; "auto" finds out.
        header: Whether the first row names the columns; "auto" says yes if no cell of it is a number.
        decimal: The decimal mark.
    """

    def __init__(
        self,
        path: Path,
        delimiter: Literal["auto", "comma", "semicolon", "tab"] = "auto",
        header: Literal["auto", "yes", "no"] = "auto",
        decimal: Literal[".", ","] = ".",
    ) -> None:
        self.path = checked_file(path, MAX_FILE_BYTES)
        self.decimal = decimal
        self.delimiter = DELIMITERS.get(delimiter) or self._find_delimiter()
        first = next(self.raw_rows(), None)
        if first is None:
            raise DataError([Fault("path", tr("must hold at least one row"), str(path))])
        if len(first) > MAX_COLUMNS:
            raise DataError(
                [Fault(tr("row {row}", row=1), tr("must have at most {limit} cells", limit=MAX_COLUMNS), len(first))]
            )
        self.has_header = header == "yes" or (
            header == "auto" and all(self.number(cell) is None for cell in first) and any(map(str.strip, first))
        )
        names = [cell.strip() for cell in first] if self.has_header else [""] * len(first)
        self.names = tuple(name or tr("column {column}", column=index + 1) for index, name in enumerate(names))
        report = Report()
        for index, name in enumerate(self.names):
            if name in self.names[:index]:
                place = tr("row {row}, column {column}", row=1, column=index + 1)
                report.add(place, tr("must have a name that no other column has"), name)
        report.check()

    def raw_rows(self) -> Iterator[list[str]]:
        """All rows as they stand in the file, the header too; raises DataError where it can't be read."""
        number = 0
        try:
            with open(self.path, newline="", encoding="utf-8-sig") as file:
                for number, row in enumerate(csv.reader(file, delimiter=self.delimiter, strict=True), 1):  # noqa: B007
                    yield row
        except UnicodeDecodeError as error:
            byte = f"byte 0x{error.object[error.start]:02x}"
            raise DataError([Fault(tr("after row {row}", row=number), tr("must be text in UTF-8"), byte)]) from None
        except csv.Error as error:
            raise DataError(
                [
                    Fault(
                        tr("row {row}", row=number + 1),
                        tr("must be readable as a table ({reason})", reason=error),
                        MISSING,
                    )
                ]
            ) from None
        except OSError as error:
            raise DataError(
                [Fault("path", tr("can't be read: {reason}", reason=reason_of(error)), str(self.path))]
            ) from None

    def _find_delimiter(self) -> str:
        try:
            with open(self.path, newline="", encoding="utf-8-sig") as file:
                sample = file.read(SAMPLE_CHARACTERS)
        except (UnicodeDecodeError, OSError):
            return ","  # the reading itself reports it
        best, most = ",", 1
        for candidate in (",", ";", "\t"):
            if candidate == self.decimal:
                continue
            lines = csv.reader(sample.splitlines(), delimiter=candidate)
            try:
                widths = [len(row) for row in itertools.islice(lines, SAMPLE_ROWS) if row]
            except csv.Error:
                continue
            # A mark inside of texts gives rows of many lengths.
            common = max(set(widths), key=widths.count, default=1)
            if common > most and widths.count(common) * 2 > len(widths):
                best, most = candidate, common
        return best

    def number(self, cell: str) -> float | None:
        """The number a cell holds, which may be infinite, or None."""
        text = cell.strip()
        if self.decimal == ",":
            text = text.replace(".", "x").replace(",", ".")
        # Python reads 1_000 as a number; a table means text by it.
        if "_" in text:
            return None
        try:
            return float(text)
        except ValueError:
            return None

    def _rows(self, report: Report | None) -> Iterator[tuple[int, list[str]]]:
        """Rows of the right length with their number; blank rows are passed over, others reported."""
        for number, row in enumerate(self.raw_rows(), 1):
            if (number == 1 and self.has_header) or not any(map(str.strip, row)):
                continue
            if len(row) == len(self.names):
                yield number, row
            elif report is not None:
                report.add(
                    tr("row {row}", row=number), tr("must have {n} cells, as row 1 has", n=len(self.names)), len(row)
                )

    def index(self, column: str) -> int | None:
        """Position of a column given by name or by number from 1, or None."""
        if column in self.names:
            return self.names.index(column)
        if column.isdecimal() and 1 <= int(column) <= len(self.names):
            return int(column) - 1
        return None

    def read(self, target: int, ignored: Sequence[int], missing: Literal["error", "drop", "mean"]) -> Table:
        """Reads all columns but the ignored ones.

        Args:
            target: Position of the column to predict. Rows without it are left out unless ``missing`` is
                "error"; it may have more categories than a feature.
            missing: "error" reports missing cells, "drop" leaves their rows out, "mean" only marks them.

        Raises:
            DataError: with the faults of all rows, the first of them in full.
        """
        report = Report()
        kept = [index for index in range(len(self.names)) if index not in ignored]
        seen = {index: _Seen() for index in kept}
        rows = 0
        for _, row in self._rows(report):
            rows += 1
            if rows * len(kept) > MAX_CELLS:
                raise DataError([Fault("path", tr("must hold at most {limit:,} cells", limit=MAX_CELLS), tr("more"))])
            for index in kept:
                self._look(row[index], seen[index], MAX_CLASSES if index == target else MAX_CATEGORIES)
        if rows == 0:
            report.add("path", tr("must hold at least one row of data"), str(self.path))
        for index in kept:
            self._check_column(self.names[index], seen[index], index == target, report)
        report.check()
        return self._fill(rows, kept, target, seen, missing, report)

    def _look(self, cell: str, seen: _Seen, limit: int) -> None:
        text = cell.strip()
        if text.casefold() in MISSING_WORDS:
            seen.missing += 1
        elif self.number(text) is not None:
            seen.numbers += 1
            if len(seen.distinct) <= limit:
                seen.distinct.add(text)
        else:
            seen.texts += 1
            if len(seen.categories) <= limit:
                seen.categories.add(text)

    def _check_column(self, name: str, seen: _Seen, is_target: bool, report: Report) -> None:
        limit = MAX_CLASSES if is_target else MAX_CATEGORIES
        if seen.numbers + seen.texts == 0 and seen.missing:
            report.add(tr("column {name!r}", name=name), tr("must hold at least one value, or be left out"), MISSING)
        elif not seen.numeric and len(seen.categories | seen.distinct) > limit:
            report.add(
                tr("column {name!r}", name=name),
                tr(
                    "must hold numbers, or at most {limit} different texts; leave it out if it is not needed",
                    limit=limit,
                ),
                tr("more than {limit} texts, one of them {text!r}", limit=limit, text=min(seen.categories)),
            )

    def _fill(
        self,
        rows: int,
        kept: Sequence[int],
        target: int,
        seen: dict[int, _Seen],
        missing: Literal["error", "drop", "mean"],
        report: Report,
    ) -> Table:
        values = {index: np.zeros(rows, np.float64 if seen[index].numeric else np.int64) for index in kept}
        absent = {index: np.zeros(rows, bool) for index in kept}
        codes = {
            index: {text: code for code, text in enumerate(sorted(seen[index].categories | seen[index].distinct))}
            for index in kept
            if not seen[index].numeric
        }
        numbers = np.zeros(rows, np.int64)
        for position, (number, row) in enumerate(self._rows(None)):
            numbers[position] = number
            for index in kept:
                cell = row[index].strip()
                if cell.casefold() in MISSING_WORDS:
                    absent[index][position] = True
                    if missing == "error":
                        report.add(
                            Cell(number, self.names[index]),
                            tr("must have a value; missing ones can be dropped or filled in"),
                            cell,
                        )
                elif index in codes:
                    values[index][position] = codes[index][cell]
                else:
                    value = self.number(cell)
                    if value is None:
                        report.add(
                            Cell(number, self.names[index]), tr("must be a number, as most of this column are"), cell
                        )
                    elif not math.isfinite(value) or abs(value) > FLOAT32_MAX:
                        report.add(
                            Cell(number, self.names[index]), tr("must be a number between -3.4e38 and 3.4e38"), cell
                        )
                    else:
                        values[index][position] = value
        report.check()
        left_out = absent[target].copy() if target in absent else np.zeros(rows, bool)
        if missing == "drop":
            for index in kept:
                left_out |= absent[index]
        if left_out.all():
            raise DataError([Fault("path", tr("must have a row without a missing value"), tr("{n} rows", n=rows))])
        keep = ~left_out
        return Table(
            tuple(
                Column(
                    self.names[index],
                    values[index][keep],
                    absent[index][keep],
                    tuple(codes[index]) if index in codes else None,
                )
                for index in kept
            ),
            numbers[keep],
        )


class Cell(str):
    """A cell in words, as the path of a fault, that still knows its row and the name of its column."""

    row: int
    column: str

    def __new__(cls, row: int, column: str) -> Cell:
        made = super().__new__(cls, tr("row {row}, column {column!r}", row=row, column=column))
        made.row, made.column = row, column
        return made

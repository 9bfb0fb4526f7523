"""Tables in text files: CSV and its relatives."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from math import isfinite

import numpy as np

from caffelite.blob import Array
from caffelite.errors import DataError, Problem, Source, Span, did_you_mean
from caffelite.reading import check_limit, plain_file, read_text, reading, shown, size_of


@dataclass(frozen=True)
class Table:
    """A text file of rows, of which at first only the first two have been read."""

    path: str
    delimiter: str
    header: list[str]
    """The columns' names; empty if the first line holds data."""
    columns: int

    def column(self, name: str) -> int:
        """A column by its name in the header or its number: 0 is the first, -1 the last."""
        if name in self.header:
            return self.header.index(name)
        try:
            number = int(name)
        except ValueError:
            number = self.columns
        if not -self.columns <= number < self.columns:
            raise DataError(
                Problem(
                    f'"{self.path}" has no column "{name}"',
                    expected=f"a number below {self.columns}"
                    + (f", or one of {', '.join(self.header)}" if self.header else ""),
                    hint=did_you_mean(name, self.header),
                )
            )
        return number % self.columns

    def count_rows(self) -> int:
        """How many rows of data there are; one of another number of columns is refused."""
        return sum(1 for _ in self._rows())

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        for line, row in _rows(self.path, self.delimiter, bool(self.header)):
            if len(row) != self.columns:
                raise _error(
                    self.path, line, f"{len(row)} columns, where {self.columns} were expected"
                )
            yield line, row

    def read(self, label: int | None, classes: list[str]) -> list[Array]:
        """All rows: the values of every column but `label`, and that column if there is one. Labels
        that are names get their number in `classes`."""
        values, labels = array("d"), array("d")  # lists would take four times the memory
        width = self.columns - (label is not None)
        for line, row in self._rows():
            if label is not None:
                labels.append(self._label(row[label].strip(), classes, line))
                del row[label]
            try:
                if not _PLAIN.fullmatch("".join(row)):  # "nan", "1_000", other scripts' digits
                    raise ValueError
                values.extend(map(float, row))
                if not isfinite(sum(values[-width:])):
                    raise ValueError
            except ValueError:
                bad = next((cell for cell in row if not is_number(cell)), row[0])
                raise _error(self.path, line, f'"{shown(bad, 40)}" is not a number') from None
        table = np.frombuffer(values).reshape(-1, width)
        return [table] if label is None else [table, np.frombuffer(labels)]

    def _label(self, cell: str, classes: list[str], line: int) -> float:
        if cell in classes:
            return float(classes.index(cell))
        if is_number(cell) and not classes:
            return float(cell)
        hint = did_you_mean(cell, classes)
        if classes:
            raise _error(self.path, line, f'"{shown(cell, 40)}" is none of the classes', hint)
        raise _error(
            self.path,
            line,
            f'the label "{shown(cell, 40)}" is not a number',
            'name the classes in their order: classes: ["setosa", "virginica"] counts from 0',
        )


def open_table(path: str, delimiter: str, header: bool | None) -> Table:
    """Look at a table's beginning. `header` says whether the first line holds names; None: it does
    if more of its cells are not numbers than of the second line's."""
    with closing(_rows(path, delimiter, False)) as lines:
        rows = [row for _, row in islice(lines, 2)]
    if not rows:
        raise DataError(f'"{path}" is empty')
    first = rows[0]
    if header is None:
        header = len(rows) > 1 and _words(first) > _words(rows[1])
    if header and len(rows) == 1:
        raise DataError(f'"{path}" has a header and no rows')
    return Table(path, delimiter, [c.strip() for c in first] if header else [], len(first))


def _words(row: list[str]) -> int:
    return sum(not is_number(cell) for cell in row)


_PLAIN = re.compile("[-+0-9.eE \t]*")
"""What numbers are written with."""


def is_number(cell: str) -> bool:
    """Is it a finite number, in the digits 0 to 9?"""
    try:
        return bool(_PLAIN.fullmatch(cell)) and isfinite(float(cell))
    except ValueError:
        return False


def _rows(
    path: str, delimiter: str, skip_header: bool
) -> Generator[tuple[int, list[str]], None, None]:
    """The lines that are not empty, with their numbers from 1."""
    what = "a table in text"
    with plain_file(path, what) as binary, reading(f'"{path}"', what, also=(csv.Error,)):
        check_limit("text", size_of(binary), f'"{path}"')
        file = io.TextIOWrapper(binary, newline="", encoding="utf-8-sig")
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        for row in reader:
            if not row or row == [""]:
                continue
            if skip_header:
                skip_header = False
                continue
            check_limit("columns", len(row), f'"{path}"')
            yield reader.line_num, row


def _error(path: str, line: int, message: str, hint: str | None = None) -> DataError:
    text = read_text(path, "a table in text").replace("\r\n", "\n").replace("\r", "\n")
    source = Source(path, text)
    line = min(line, len(source.lines))
    width = max(1, len(source.lines[line - 1]))
    return DataError(Problem(message, Span(source, line, 1, width), hint=hint))

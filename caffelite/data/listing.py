"""Text files that list other files, one a line."""

from __future__ import annotations

import os
import re

from caffelite.errors import DataError, Problem, Source, Span
from caffelite.reading import read_text, shown


def read_list(path: str) -> Source:
    """The text of a list file. Raises DataError if it cannot be read or names nothing."""
    text = read_text(path, "a list")
    source = Source(path, text.replace("\r\n", "\n").replace("\r", "\n"))
    if "\0" in source.text:
        message = f'"{path}" is a binary file; a text file that lists files was expected'
        hint = f"write the file's name into a text file, a line each: {os.path.basename(path)}"
        raise DataError(Problem(message, hint=hint))
    if not source.text.strip():
        raise DataError(f'"{path}" is empty: it lists nothing')
    return source


def _turned(line: str) -> str | None:
    """What is said of a line that has the label first."""
    first, _, rest = line.strip().partition(" ")
    return f"the path comes first: {rest.strip()} {first}" if first.isdigit() and rest else None


def whole_number(word: str) -> int:
    """A number as people write it: digits and perhaps a sign. Raises ValueError."""
    if not _WHOLE.fullmatch(word):
        raise ValueError(f'"{shown(word, 40)}" is not a whole number')
    return int(word)


_WHOLE = re.compile("[+-]?[0-9]{1,18}")


def line_of(source: Source, number: int) -> Span:
    """Line `number` (from 0) of a list, for errors."""
    return Span(source, number + 1, 1, max(1, len(source.lines[number])))


def read_labelled(path: str) -> tuple[Source, list[tuple[str, int, int]]]:
    """Lines "PATH LABEL", the path up to the last blank: (path, label, line from 0) each."""
    source = read_list(path)
    entries = []
    problems: list[Problem] = []
    for number, line in enumerate(source.lines):
        if not line.strip():
            continue
        name, label = ["", *line.strip().rsplit(None, 1)][-2:]
        try:
            if not name:
                raise ValueError
            entries.append((name, whole_number(label), number))
        except ValueError:
            if len(problems) == 10:
                break
            problems.append(
                Problem(
                    "this line is not a path and a label",
                    line_of(source, number),
                    "a path, a blank and a whole number, as in: cats/1.jpg 0",
                    _turned(line),
                )
            )
    if problems:
        raise DataError(*problems)
    return source, entries


class Roots:
    """Where files of a list are looked for: root_folder put in front, as Caffe does; from the
    current folder first, then from the net's and the list's."""

    def __init__(self, root: str, *folders: str) -> None:
        self.root, self.folders = root, ("", *folders)

    def find(self, name: str) -> str | None:
        """The path of a listed file, if there is one."""
        for folder in self.folders:
            for path in (self.root + name, os.path.join(self.root, name)):
                if os.path.exists(os.path.join(folder, path)):
                    return os.path.join(folder, path)
        return None


class Labelled:
    """Listed files and their labels: (path, label) each."""

    def __init__(self, path: str, roots: Roots) -> None:
        self._source, self._entries = read_labelled(path)
        self._roots = roots

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> tuple[str, int]:
        """Raises DataError, with the line, if there is no such file."""
        name, label, line = self._entries[index]
        path = self._roots.find(name)
        if path is None:
            expected = f'a file; root_folder is "{self._roots.root}"'
            raise DataError(
                Problem(f'there is no image "{shown(name)}"', line_of(self._source, line), expected)
            )
        return path, label

"""What the commands that convert lists of images have in common."""

from __future__ import annotations

import sys
from collections import Counter

from caffelite.blob import Shape
from caffelite.data.images import read_image
from caffelite.data.recode import encoded_image
from caffelite.errors import CaffeliteError, DataError, Problem, Source, Span
from caffelite.schema.datum import Datum

SHOWN = 20
"""Mistakes that are reported one by one."""


def check_size(height: int, width: int) -> None:
    """Refuse a size that is half given."""
    if min(height, width) < 0 or bool(height) != bool(width):
        given = f"--resize-height {height} --resize-width {width}"
        raise CaffeliteError(Problem(given, expected="both, 1 or more each"))


def record_key(number: int, name: str) -> bytes:
    """The key of the record that a line of the list becomes."""
    return f"{number:08d}_{name}".encode("utf-8", "surrogateescape")


def show(shape: Shape) -> str:
    """3 x 28 x 28"""
    return " x ".join(map(str, shape))


def summary(shapes: Counter[Shape]) -> str:
    """The shape of all images, or how many there are."""
    return show(next(iter(shapes))) if len(shapes) == 1 else f"{len(shapes)} sizes"


def image_datum(
    path: str, label: int, color: bool, size: tuple[int, int], encoded: bool, kind: str | None
) -> tuple[Datum, Shape]:
    """The record of an image, and the image's shape (C, H, W). `size`: to which it is resized; 0,
    0: not. `encoded`: as a compressed file, of this `kind` or of its own. Raises DataError."""
    height, width = size
    if encoded or kind:
        data, shape = encoded_image(path, color, height, width, kind)
        return Datum(data=data, label=label, encoded=True), shape
    image = read_image(path, color, height, width)
    channels, height, width = image.shape
    datum = Datum(
        channels=channels,
        height=height,
        width=width,
        data=image.tobytes(),
        label=label,
        encoded=False,
    )
    return datum, image.shape


class Mistakes:
    """What is wrong with the lines of a list; the first of them in full."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0
        self.problems: list[Problem] = []

    def add(self, line: int, word: str, message: str, expected: str | None = None) -> None:
        """Note a mistake in a line, counted from 0, with a caret below a word of it."""
        self.count += 1
        if self.count <= SHOWN:
            col = self.source.lines[line].index(word) + 1
            span = Span(self.source, line + 1, col, len(word))
            self.problems.append(Problem(message, span, expected))

    def stop_unless(self, skip: bool) -> None:
        """Raise what was found, unless it is to be passed over."""
        if not self.count or skip:
            return
        self.problems.sort(key=_line)
        more = self.count - len(self.problems)
        hint = "nothing is written; --skip-bad leaves such images out"
        last = self.problems[-1]
        self.problems[-1] = Problem(
            last.message, last.span, last.expected, f"and {more} more; {hint}" if more else hint
        )
        raise DataError(*self.problems)

    def tell(self) -> None:
        """Say what was passed over."""
        print(DataError(*self.problems), file=sys.stderr)
        images = "image" if self.count == 1 else "images"
        print(f"{self.count} {images} left out", file=sys.stderr)


def _line(problem: Problem) -> int:
    return problem.span.line if problem.span else 0

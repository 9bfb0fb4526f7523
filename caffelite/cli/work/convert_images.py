"""The work of `caffelite convert-images`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter

import numpy as np

from caffelite.blob import Array
from caffelite.cli.progress import progress
from caffelite.data.images import read_image
from caffelite.data.listing import Roots, read_labelled
from caffelite.data.recode import encoded_image
from caffelite.data.writer import MAX_KEY, DatabaseWriter
from caffelite.errors import CaffeliteError, DataError, Problem, Source, Span
from caffelite.optional import need
from caffelite.schema.datum import Datum

SHOWN = 20
"""Mistakes that are reported one by one."""

Entry = tuple[str, int, int]
"""A line of the list: path, label, line from 0."""


def run(args: argparse.Namespace) -> int:
    """Convert; 0 when all images are in, or with --skip-bad all that can be read."""
    height, width = args.resize_height, args.resize_width
    if min(height, width) < 0 or bool(height) != bool(width):
        given = f"--resize-height {height} --resize-width {width}"
        raise CaffeliteError(Problem(given, expected="both, 1 or more each"))
    need("PIL.Image", "Pillow", "reading images")  # said once, not for each image
    source, entries = read_labelled(args.list)
    mistakes = Mistakes(source)
    roots = Roots(args.root, os.path.dirname(args.list))
    found = _find(entries, roots, mistakes)
    mistakes.stop_unless(args.skip_bad)
    if args.shuffle:
        place = np.random.default_rng(args.seed).permutation(len(entries))
        found = sorted((int(place[i]), entry, path) for i, entry, path in found)
    shapes: Counter[tuple[int, ...]] = Counter()
    with DatabaseWriter(args.target) as database:
        for number, entry, path in progress(found, "images"):
            try:
                datum, shape = _datum(path, entry[1], args)
            except DataError as error:
                mistakes.add(entry, error.problems[0].message)
                continue
            if args.check_size and shapes and shape not in shapes:
                mistakes.add(entry, f"the image is {_show(shape)}", _show(next(iter(shapes))))
                continue
            shapes[shape] += 1
            if args.skip_bad or not mistakes.count:
                database.put(_key(number, entry[0]), datum)
        mistakes.stop_unless(args.skip_bad)
        if not shapes:
            raise DataError(*mistakes.problems, f'"{args.target}": no image is left to write')
    if mistakes.count:
        mistakes.tell()
    print(f"{args.target}: {shapes.total():,} images of {_summary(shapes)}")
    if len(shapes) > 1:
        print(
            "images differ in size, which a Data layer takes with crop_size only: "
            "--resize-height and --resize-width make them equal",
            file=sys.stderr,
        )
    return 0


def _summary(shapes: Counter[tuple[int, ...]]) -> str:
    return _show(next(iter(shapes))) if len(shapes) == 1 else f"{len(shapes)} sizes"


class Mistakes:
    """What is wrong with the lines of a list; the first of them in full."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0
        self.problems: list[Problem] = []

    def add(self, entry: Entry, message: str, expected: str | None = None) -> None:
        """Note a mistake in a line, with a caret below its path."""
        self.count += 1
        if self.count <= SHOWN:
            name, _, number = entry
            col = self.source.lines[number].index(name) + 1
            span = Span(self.source, number + 1, col, len(name))
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


def _find(entries: list[Entry], roots: Roots, mistakes: Mistakes) -> list[tuple[int, Entry, str]]:
    """(number of the record, entry, path) of each image that is there. What is missing is known
    before the first is converted."""
    found = []
    for i, entry in enumerate(entries):
        name, label, _ = entry
        path = roots.find(name)
        if path is None or not os.path.isfile(path):
            where = f' in "{roots.root}"' if roots.root else ""
            mistakes.add(entry, f'there is no image "{name}"{where}')
        elif not -(2**31) <= label < 2**31:
            mistakes.add(entry, f"label {label} is too large", "a whole number of 32 bits")
        elif len(_key(0, name)) > MAX_KEY:
            mistakes.add(entry, "the path is too long", f"{MAX_KEY - 9} bytes at most")
        else:
            found.append((i, entry, path))
    return found


def _key(number: int, name: str) -> bytes:
    return f"{number:08d}_{name}".encode("utf-8", "surrogateescape")


def _datum(path: str, label: int, args: argparse.Namespace) -> tuple[Datum, tuple[int, ...]]:
    """The record of one image, and the image's shape (C, H, W)."""
    color, height, width = not args.gray, args.resize_height, args.resize_width
    if args.encoded or args.encode_type:
        data, shape = encoded_image(path, color, height, width, args.encode_type)
        return Datum(data=data, label=label, encoded=True), shape
    image: Array = read_image(path, color, height, width)
    channels, height, width = image.shape
    return (
        Datum(
            channels=channels,
            height=height,
            width=width,
            data=image.tobytes(),
            label=label,
            encoded=False,
        ),
        image.shape,
    )


def _show(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

"""The work of `caffelite convert-images`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter

import numpy as np

from caffelite.blob import Shape
from caffelite.cli.progress import progress
from caffelite.cli.work.listed import Mistakes, check_size, image_datum, record_key, show, summary
from caffelite.data.listing import Roots, read_labelled
from caffelite.data.writer import MAX_KEY, DatabaseWriter
from caffelite.errors import DataError
from caffelite.optional import need
from caffelite.schema.datum import Datum

Entry = tuple[str, int, int]
"""A line of the list: path, label, line from 0."""


def run(args: argparse.Namespace) -> int:
    """Convert; 0 when all images are in, or with --skip-bad all that can be read."""
    check_size(args.resize_height, args.resize_width)
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
                mistakes.add(entry[2], entry[0], error.problems[0].message)
                continue
            if args.check_size and shapes and shape not in shapes:
                mistakes.add(
                    entry[2], entry[0], f"the image is {show(shape)}", show(next(iter(shapes)))
                )
                continue
            shapes[shape] += 1
            if args.skip_bad or not mistakes.count:
                database.put(record_key(number, entry[0]), datum)
        mistakes.stop_unless(args.skip_bad)
        if not shapes:
            raise DataError(*mistakes.problems, f'"{args.target}": no image is left to write')
    if mistakes.count:
        mistakes.tell()
    print(f"{args.target}: {shapes.total():,} images of {summary(shapes)}")
    if len(shapes) > 1:
        print(
            "images differ in size, which a Data layer takes with crop_size only: "
            "--resize-height and --resize-width make them equal",
            file=sys.stderr,
        )
    return 0


def _find(entries: list[Entry], roots: Roots, mistakes: Mistakes) -> list[tuple[int, Entry, str]]:
    """(number of the record, entry, path) of each image that is there. What is missing is known
    before the first is converted."""
    found = []
    for i, entry in enumerate(entries):
        name, label, _ = entry
        path = roots.find(name)
        if path is None or not os.path.isfile(path):
            where = f' in "{roots.root}"' if roots.root else ""
            mistakes.add(entry[2], entry[0], f'there is no image "{name}"{where}')
        elif not -(2**31) <= label < 2**31:
            mistakes.add(
                entry[2], entry[0], f"label {label} is too large", "a whole number of 32 bits"
            )
        elif len(record_key(0, name)) > MAX_KEY:
            mistakes.add(entry[2], entry[0], "the path is too long", f"{MAX_KEY - 9} bytes at most")
        else:
            found.append((i, entry, path))
    return found


def _datum(path: str, label: int, args: argparse.Namespace) -> tuple[Datum, Shape]:
    """The record of one image, and the image's shape (C, H, W)."""
    size = args.resize_height, args.resize_width
    return image_datum(path, label, not args.gray, size, args.encoded, args.encode_type)

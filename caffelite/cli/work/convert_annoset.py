"""The work of `caffelite convert-annoset`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from caffelite.blob import Shape
from caffelite.cli.progress import progress
from caffelite.cli.work.listed import Mistakes, check_size, image_datum, record_key, show, summary
from caffelite.data.annotations import KINDS, Objects, Size, read_annotation
from caffelite.data.images import image_size
from caffelite.data.labelmap import numbers, read_label_map
from caffelite.data.listing import Roots, line_of, read_list
from caffelite.data.writer import MAX_KEY, DatabaseWriter
from caffelite.errors import CaffeliteError, DataError, Problem, Source
from caffelite.optional import need
from caffelite.schema.annotated import AnnotatedDatum
from caffelite.schema.binary import write_atomically


@dataclass(frozen=True)
class Entry:
    """A line of the list."""

    image: str
    annotation: str
    line: int
    """From 0."""
    paths: tuple[str, str] = ("", "")
    """Where the two are."""
    kind: str = ""


@dataclass
class Counts:
    """What has been converted."""

    shapes: Counter[Shape] = field(default_factory=Counter)
    classes: Counter[int] = field(default_factory=Counter)
    outside: int = 0
    """Boxes that go over an edge."""
    other_size: int = 0
    """Annotations that say another size than their image's."""

    def add(self, shape: Shape, size: Size, objects: Objects) -> None:
        self.shapes[shape] += 1
        self.classes.update(label for label, _, _ in objects.found)
        self.outside += objects.outside()
        self.other_size += objects.size != size

    def tell(self, target: str) -> None:
        """What has been made, and what may not be meant."""
        boxes, classes = self.classes.total(), len(self.classes)
        print(
            f"{target}: {self.shapes.total():,} images of {summary(self.shapes)}, {boxes:,} boxes "
            f"of {classes} {'class' if classes == 1 else 'classes'}"
        )
        if self.outside:
            print(f"{self.outside:,} boxes go over their image's edge", file=sys.stderr)
        if self.other_size:
            print(
                f"{self.other_size:,} annotations say another size than their image has: their "
                "boxes are in parts of what they say",
                file=sys.stderr,
            )
        if len(self.shapes) > 1:
            print(
                "images differ in size: an AnnotatedData layer takes them with resize_param",
                file=sys.stderr,
            )


def run(args: argparse.Namespace) -> int:
    """Convert; 0 when all images are in, or with --skip-bad all that can be read."""
    _check(args)
    need("PIL.Image", "Pillow", "reading images")  # said once, not for each image
    classes = numbers(read_label_map(args.label_map)) if args.label_map else {}
    source, entries = _read(args.list)
    mistakes = Mistakes(source)
    found = _find(entries, Roots(args.root, os.path.dirname(args.list)), mistakes, args)
    mistakes.stop_unless(args.skip_bad)
    if args.shuffle:
        place = np.random.default_rng(args.seed).permutation(len(entries))
        found = sorted((int(place[number]), entry) for number, entry in found)
    counts, sizes = Counts(), []
    with DatabaseWriter(args.target) as database:
        for number, entry in progress(found, "images"):
            try:
                record, shape, size, objects = _record(entry, args, classes)
            except DataError as error:
                problem = error.problems[0]
                mistakes.add(entry.line, entry.image, _said(entry, problem), problem.expected)
                continue
            if args.check_size and counts.shapes and shape not in counts.shapes:
                before = show(next(iter(counts.shapes)))
                mistakes.add(entry.line, entry.image, f"the image is {show(shape)}", before)
                continue
            counts.add(shape, size, objects)
            sizes.append(f"{Path(entry.image).stem} {size[0]} {size[1]}\n")
            if args.skip_bad or not mistakes.count:
                database.put(record_key(number, entry.image), record)
        mistakes.stop_unless(args.skip_bad)
        if not counts.shapes:
            raise DataError(*mistakes.problems, f'"{args.target}": no image is left to write')
        if args.name_size:
            write_atomically(args.name_size, "".join(sizes).encode("utf-8", "surrogateescape"))
    if mistakes.count:
        mistakes.tell()
    counts.tell(args.target)
    return 0


def _check(args: argparse.Namespace) -> None:
    """What the command line alone says."""
    check_size(args.resize_height, args.resize_width)
    if min(args.min_dim, args.max_dim) < 0:
        given = f"--min-dim {args.min_dim} --max-dim {args.max_dim}"
        raise CaffeliteError(Problem(given, expected="0 or more each"))
    if args.resize_height and (args.min_dim or args.max_dim):
        raise CaffeliteError("--resize-height and --min-dim or --max-dim: give one of the two")
    if args.name_size and os.path.lexists(args.name_size):
        raise CaffeliteError(
            Problem(f'"{args.name_size}" is there already', hint="remove it, or give another name")
        )


def _read(path: str) -> tuple[Source, list[Entry]]:
    """The lines of the list."""
    source = read_list(path)
    entries: list[Entry] = []
    problems: list[Problem] = []
    for number, line in enumerate(source.lines):
        words = line.strip().rsplit(None, 1)
        if len(words) == 2:
            entries.append(Entry(words[0], words[1], number))
        elif words and len(problems) < 10:
            expected = "an image, a blank and its annotation, as in: img/1.jpg boxes/1.xml"
            said = "this line is not an image and an annotation"
            problems.append(Problem(said, line_of(source, number), expected))
    if problems:
        raise DataError(*problems)
    return source, entries


def _find(
    entries: list[Entry], roots: Roots, mistakes: Mistakes, args: argparse.Namespace
) -> list[tuple[int, Entry]]:
    """(number of the record, entry) of all that is there. What is missing is known before the first
    is converted."""
    found = []
    where = f' in "{roots.root}"' if roots.root else ""
    for i, entry in enumerate(entries):
        paths = [roots.find(name) for name in (entry.image, entry.annotation)]
        kind = args.label_type or os.path.splitext(entry.annotation)[1][1:].lower()
        for name, path, what in zip((entry.image, entry.annotation), paths, ("image", "file")):
            if path is None or not os.path.isfile(path):
                mistakes.add(entry.line, name, f'there is no {what} "{name}"{where}')
                break
        else:
            if kind not in KINDS:
                said = f'"{entry.annotation}" does not say what it is by its ending'
                mistakes.add(entry.line, entry.annotation, said, "--label-type xml, json or txt")
            elif kind != "txt" and not args.label_map:
                raise CaffeliteError(
                    Problem(
                        f"annotations in {kind.upper()} name their classes",
                        expected="--label-map FILE, with the names and the numbers",
                    )
                )
            elif len(record_key(0, entry.image)) > MAX_KEY:
                expected = f"{MAX_KEY - 9} bytes at most"
                mistakes.add(entry.line, entry.image, "the path is too long", expected)
            else:
                here = (paths[0] or "", paths[1] or "")
                found.append((i, replace(entry, paths=here, kind=kind)))
    return found


def _said(entry: Entry, problem: Problem) -> str:
    """A problem of an image or its annotation, with the file that it is in."""
    said = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
    named = any(name in said for name in (*entry.paths, entry.image, entry.annotation))
    return said if named else f'"{entry.paths[1]}": {said}'


def _record(
    entry: Entry, args: argparse.Namespace, classes: dict[str, int]
) -> tuple[AnnotatedDatum, Shape, Size, Objects]:
    """A record; the shape of its image in it, the size of its file, and the objects."""
    image, annotation = entry.paths
    size = image_size(image)
    objects = read_annotation(annotation, entry.kind, size, classes)
    wanted = args.resize_height, args.resize_width
    if args.min_dim or args.max_dim:
        wanted = _bounded(size, args.min_dim, args.max_dim)
    datum, shape = image_datum(image, -1, not args.gray, wanted, args.encoded, args.encode_type)
    return objects.record(datum), shape, size, objects


def _bounded(size: Size, least: int, most: int) -> Size:
    """The size in proportion whose shorter side is `least` or more, and then the longer one
    `most` or less; 0: no such bound. 0, 0 where it has that already."""
    factor = max(1.0, least / min(size))
    if most and int(factor * max(size)) > most:
        factor = most / max(size)
    if factor == 1:
        return 0, 0
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))

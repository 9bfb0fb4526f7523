"""The work of `caffelite compute-mean`."""

from __future__ import annotations

import argparse

import numpy as np

from caffelite.blob import Array
from caffelite.cli.console import refuse_overwriting
from caffelite.cli.progress import progress
from caffelite.data.datums import pixels, read_image_datum
from caffelite.data.lmdbs import open_database
from caffelite.errors import DataError, Problem
from caffelite.schema.binary import encode, write_atomically
from caffelite.schema.common import BlobProto


def run(args: argparse.Namespace) -> int:
    """Compute, write, print; 0."""
    if args.target:
        refuse_overwriting(args.source, args.target, args.force)
    mean, count = mean_image(args.source)
    if args.target:
        # the old four extents: the form that every reader of mean files knows
        channels, height, width = mean.shape
        values = mean.astype(np.float32).ravel()
        blob = BlobProto(num=1, channels=channels, height=height, width=width, data=values)
        write_atomically(args.target, encode(blob))
        shape = " x ".join(map(str, mean.shape))
        print(f"{args.target}: mean of {count:,} images of {shape}")
    for channel, value in enumerate(mean.mean(axis=(1, 2))):
        print(f"mean_value channel [{channel}]: {value:g}")
    return 0


def mean_image(path: str) -> tuple[Array, int]:
    """The mean of all images of a database (C, H, W) in float64, and how many there are.

    Raises DataError if one has another shape than the first, or cannot be read.
    """
    total: Array | None = None
    with open_database(path) as database:
        for key, value in progress(database, "images", database.count):
            datum, record = read_image_datum(database, key, value)
            image = pixels(datum, record)
            if total is None:
                total = np.zeros(image.shape)
            elif image.shape != total.shape:
                found, before = (" x ".join(map(str, s)) for s in (image.shape, total.shape))
                raise DataError(
                    Problem(
                        f"{record} is {found}, but the images before it are {before}",
                        hint="`caffelite convert-images --resize-height H --resize-width W` makes "
                        "them equal",
                    )
                )
            total += image
    assert total is not None
    return total / database.count, database.count

"""Put the images of a list into a database for Data layers.

  caffelite convert-images train.txt train_lmdb --root images/ --shuffle
  caffelite convert-images train.txt train_lmdb \\
      --resize-height 256 --resize-width 256

Each line of LIST is a path and a label: cats/1.jpg 0. Paths are looked for
under --root, from the current folder first, then from LIST's. As Caffe's
convert_imageset does, records are in the order of the list, pixels in the
order blue, green, red.
"""

from __future__ import annotations

import argparse

from caffelite.cli.imaging import add_image_options

GROUP = "data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite convert-images`."""
    parser.add_argument("list", metavar="LIST", help="text file: a path and a label on each line")
    parser.add_argument("target", metavar="OUT_LMDB", help="folder to make; it must not be there")
    add = parser.add_argument
    add("--root", "-root", metavar="FOLDER", default="", help="put in front of every path")
    add_image_options(parser, "images")


def run(args: argparse.Namespace) -> int:
    """Convert; 0 when all images are in, or with --skip-bad all that can be read."""
    from caffelite.cli.work import convert_images

    return convert_images.run(args)

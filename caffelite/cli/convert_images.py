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

GROUP = "data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite convert-images`."""
    parser.add_argument("list", metavar="LIST", help="text file: a path and a label on each line")
    parser.add_argument("target", metavar="OUT_LMDB", help="folder to make; it must not be there")
    add = parser.add_argument
    add("--root", "-root", metavar="FOLDER", default="", help="put in front of every path")
    add("--resize-height", type=int, default=0, metavar="N", help="resize to this height")
    add("--resize-width", type=int, default=0, metavar="N", help="resize to this width")
    add("--gray", "-gray", action="store_true", help="one channel, not three")
    add("--shuffle", "-shuffle", action="store_true", help="records in random order")
    add("--seed", type=int, default=1, metavar="N", help="seed of --shuffle (default: 1)")
    add(
        "--encoded",
        "-encoded",
        action="store_true",
        help="keep image files compressed, as they are; compress those anew that are resized or "
        "change their channels",
    )
    kinds = ["bmp", "jpeg", "jpg", "png"]
    add("--encode-type", metavar="TYPE", choices=kinds, help=f"compress as {', '.join(kinds)}")
    add("--check-size", action="store_true", help="refuse images of different sizes")
    add("--skip-bad", action="store_true", help="leave out images that cannot be read, and say so")
    # Caffe's spellings
    for name in ("resize_height", "resize_width"):
        add(f"-{name}", f"--{name}", type=int, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    add("-encode_type", "--encode_type", choices=kinds, help=argparse.SUPPRESS, default=None)
    add("-check_size", "--check_size", action="store_true", help=argparse.SUPPRESS)
    add("--backend", "-backend", choices=["lmdb"], help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Convert; 0 when all images are in, or with --skip-bad all that can be read."""
    from caffelite.cli.work import convert_images

    return convert_images.run(args)

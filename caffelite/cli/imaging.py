"""Options of the commands that put images into databases."""

from __future__ import annotations

import argparse


def add_image_options(parser: argparse.ArgumentParser, skipped: str) -> None:
    """How images are resized, stored and ordered; Caffe's spellings too. `skipped`: what --skip-bad
    leaves out."""
    add, hide = parser.add_argument, argparse.SUPPRESS
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
    add(
        "--skip-bad",
        action="store_true",
        help=f"leave out {skipped} that cannot be read, and say so",
    )
    # Caffe's spellings
    for name in ("resize_height", "resize_width"):
        add(f"-{name}", f"--{name}", type=int, default=hide, help=hide)
    add("-encode_type", "--encode_type", choices=kinds, help=hide, default=None)
    add("-check_size", "--check_size", action="store_true", help=hide)
    add("--backend", "-backend", choices=["lmdb"], help=hide)

"""Put images and their boxes into a database.

  caffelite convert-annoset train.txt train_lmdb --root VOC2007/ \\
      --label-map labelmap_voc.prototxt --encoded
  caffelite convert-annoset list.txt boxes_lmdb --resize-height 300 \\
      --resize-width 300

Each line of LIST is the path of an image and that of its annotation:
JPEGImages/1.jpg Annotations/1.xml. Annotations are XML (Pascal VOC, ILSVRC), JSON
(an image of MS COCO each) or text, lines of a class and the corners x1, y1, x2, y2
in pixels: 3 48 240 195 371. Records are those of SSD's convert_annoset, for
AnnotatedData layers. Boxes are kept as they are where they go over an image's
edge, and counted.
"""

from __future__ import annotations

import argparse

from caffelite.cli.imaging import add_image_options

GROUP = "data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite convert-annoset`."""
    parser.add_argument(
        "list", metavar="LIST", help="text file: an image and its annotation a line"
    )
    parser.add_argument("target", metavar="OUT_LMDB", help="folder to make; it must not be there")
    add = parser.add_argument
    add("--root", "-root", metavar="FOLDER", default="", help="put in front of every path")
    add(
        "--label-map",
        metavar="FILE",
        help="the numbers of the classes that annotations name (LabelMap); text has the numbers",
    )
    kinds = ["xml", "json", "txt"]
    add(
        "--label-type",
        metavar="TYPE",
        choices=kinds,
        help="xml, json or txt (default: by each file's ending)",
    )
    add(
        "--name-size",
        metavar="FILE",
        help="also write each image's name, height and width, a line each, as get_image_size does",
    )
    add_image_options(parser, "images and annotations")
    add(
        "--min-dim", type=int, default=0, metavar="N", help="enlarge until both sides are N or more"
    )
    add("--max-dim", type=int, default=0, metavar="N", help="reduce until no side is above N")
    # Caffe's spellings
    hide = argparse.SUPPRESS
    for name in ("min_dim", "max_dim"):
        add(f"-{name}", f"--{name}", type=int, default=hide, help=hide)
    add("-label_map_file", "--label_map_file", dest="label_map", help=hide, default=hide)
    add("-label_type", "--label_type", choices=kinds, help=hide, default=hide)
    add("--anno_type", "-anno_type", choices=["detection"], help=hide)
    add("--check_label", "-check_label", action="store_true", help=hide)


def run(args: argparse.Namespace) -> int:
    """Convert; 0 when all images are in, or with --skip-bad all that can be read."""
    from caffelite.cli.work import convert_annoset

    return convert_annoset.run(args)

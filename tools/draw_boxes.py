"""Draw what a detector finds: images of a net's first test batch, and the boxes on them.

python tools/draw_boxes.py nets/ssd_shapes.net ssd_shapes_iter_1500.caffemodel --out boxes.png

The net's TEST phase has a data layer and a layer DetectionOutput. A box shows its class and its
score; dashed boxes are the objects, where the data have them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

import caffelite
from caffelite.blob import Array
from caffelite.cli.console import add_plugin_argument, complain, load_plugins
from caffelite.errors import CaffeliteError, Problem
from caffelite.layers.detection_output import DetectionOutput
from caffelite.layers.source import SourceLayer
from caffelite.plot.pictures import colours, new_figure, save_png

COLUMNS = 4


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("net", metavar="NET", help="net file")
    top.add_argument("weights", metavar="WEIGHTS", help=".caffemodel")
    top.add_argument("--out", metavar="FILE.png", default="boxes.png", help="(default: boxes.png)")
    top.add_argument("--images", metavar="N", type=int, default=8, help="how many (default: 8)")
    top.add_argument("--least", metavar="SCORE", type=float, default=0.5, help="(default: 0.5)")
    add_plugin_argument(top)
    return top


def draw(args: argparse.Namespace) -> str:
    """Run one batch and draw it; what was written."""
    net = caffelite.Net(args.net, args.weights, caffelite.TEST)
    found = next((x for x in net.layers if isinstance(x, DetectionOutput)), None)
    source = next((x for x in net.layers if isinstance(x, SourceLayer)), None)
    if found is None or source is None:
        missing = "layer DetectionOutput" if found is None else "data layer"
        raise CaffeliteError(Problem(f"{args.net} has no {missing} in phase TEST"))
    kept = [n for n in (*source.spec.top, found.spec.top[0]) if n in net.blobs]
    net.forward(blobs=kept)
    images = net.blobs[source.spec.top[0]].data
    rows = net.blobs[found.spec.top[0]].data.reshape(-1, 7)
    rows = rows[rows[:, 2] >= args.least]
    objects = np.empty((0, 8))
    for name in source.spec.top[1:]:
        if net.blobs[name].data.shape[-1:] == (8,):
            objects = net.blobs[name].data.reshape(-1, 8)
    count = max(1, min(args.images, len(images)))
    down = -(-count // COLUMNS)
    figure = new_figure(2.5 * COLUMNS, 2.5 * down)
    paint = colours(found.param.num_classes)
    for i in range(count):
        axes = figure.add_subplot(down, COLUMNS, i + 1)
        axes.axis("off")
        planes = images[i][2::-1] if source.pixels and len(images[i]) > 2 else images[i][:3]
        picture = planes.transpose(1, 2, 0)  # what is read from files is in B, G, R
        low, high = picture.min(), picture.max()
        axes.imshow((picture - low) / max(high - low, 1e-6))
        for row in objects[objects[:, 0] == i]:
            _box(axes, row[3:7], picture.shape, "white", "--")
        for _, kind, score, *corners in rows[rows[:, 0] == i]:
            names = source.class_names
            name = names[int(kind)] if int(kind) < len(names) else f"class {kind:g}"
            x, y = _box(axes, np.array(corners), picture.shape, paint[int(kind)], "-")
            label = {"facecolor": paint[int(kind)], "pad": 1, "edgecolor": "none"}
            axes.text(x, y, f"{name} {score:.2f}", size=6, color="white", va="bottom", bbox=label)
    return f"wrote {args.out} ({save_png(figure, args.out)})"


def _box(
    axes: object, corners: Array, shape: Sequence[int], colour: str, line: str
) -> tuple[float, float]:
    """Draw a box, in parts of the image; its upper left corner in pixels."""
    from matplotlib.patches import Rectangle

    height, width = shape[:2]
    seen = np.clip(np.nan_to_num(corners), 0, 1)  # what is outside of the image is not drawn
    x1, y1, x2, y2 = seen * np.array([width, height, width, height])
    place = (x1 - 0.5, y1 - 0.5)
    axes.add_patch(  # type: ignore[attr-defined]
        Rectangle(place, x2 - x1, y2 - y1, fill=False, color=colour, linestyle=line, linewidth=1.2)
    )
    return place


def main(argv: Sequence[str] | None = None) -> int:
    """Draw; 0, or 1 after a mistake, which is reported on stderr."""
    args = parser().parse_args(argv)
    try:
        load_plugins(args)
        print(draw(args))
    except CaffeliteError as error:
        complain(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Make a data set of shapes and their boxes in files, and a small SSD that learns from it:

    python tools/shapes_lmdb.py data/shapes

Then, as it says, all of SSD's way from images and annotations on:

    caffelite convert-annoset data/shapes/train.txt data/shapes/train_lmdb --root data/shapes/ \\
        --label-map data/shapes/labelmap.prototxt --encoded
    caffelite convert-annoset data/shapes/test.txt data/shapes/test_lmdb ...
    caffelite train data/shapes/ssd.solver
    caffelite test data/shapes/ssd.net data/shapes/ssd_iter_1500.caffemodel --per-class
    python tools/draw_boxes.py data/shapes/ssd.net data/shapes/ssd_iter_1500.caffemodel

Images are PNG files, annotations XML as Pascal VOC's, both drawn by ShapesData from a seed. The net
is nets/ssd_shapes.net with AnnotatedData in the place of ShapesData: crops, expansion, colours and
mirroring by chance, as SSD trains.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from caffelite.blob import Array
from caffelite.cli.console import complain
from caffelite.errors import CaffeliteError, Problem
from caffelite.files import parse_net
from caffelite.layers.base import Context
from caffelite.layers.shapes_data import NAMES, ShapesData
from caffelite.optional import need
from caffelite.schema.common import Phase
from caffelite.streams import Streams

ROOT = Path(__file__).resolve().parents[1]

LAYER = """layer {{ name: "shapes" type: "AnnotatedData" top: "data" top: "objects"
  include {{ phase: {phase} }}
  data_param {{ source: "{name}_lmdb" backend: LMDB batch_size: {batch} }}
  annotated_data_param {{ label_map_file: "labelmap.prototxt"{samplers} }}
  transform_param {{ scale: 0.00392157 resize_param {{ height: 64 width: 64 }}{chance} }} }}
"""
SAMPLERS = """
    batch_sampler { max_sample: 1 max_trials: 1 }
    batch_sampler { max_sample: 1 max_trials: 50
      sampler { min_scale: 0.5 min_aspect_ratio: 0.7 max_aspect_ratio: 1.4 }
      sample_constraint { min_object_coverage: 0.9 } }"""
CHANCE = """ mirror: true
    expand_param { prob: 0.3 max_expand_ratio: 1.5 } emit_constraint { emit_type: CENTER }
    distort_param { brightness_prob: 0.5 brightness_delta: 20
      contrast_prob: 0.5 contrast_lower: 0.8 contrast_upper: 1.2
      hue_prob: 0.5 hue_delta: 18 saturation_prob: 0.5 saturation_lower: 0.7 saturation_upper: 1.3
      random_order_prob: 0.2 }"""

SOLVER = """net: "ssd.net"                 # from this file's folder

type: "Adam"
base_lr: 0.002
momentum: 0.9
momentum2: 0.999
lr_policy: "poly"
power: 1                      # falls in a straight line
max_iter: {iterations}
random_seed: 1

eval_type: "detection"        # a test shows the mean average precision, and each class's
ap_version: "11point"
show_per_class_result: true
display: 100
average_loss: 50
test_interval: 500            # all of the test images
test_initialization: false
snapshot: 500
snapshot_prefix: "{prefix}"
solver_mode: CPU
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("folder", metavar="FOLDER", help="where to; it must not be there")
    top.add_argument("--train", metavar="N", type=int, default=2000, help="(default: 2000)")
    top.add_argument("--test", metavar="N", type=int, default=200, help="(default: 200)")
    top.add_argument("--iterations", metavar="N", type=int, default=1500, help="(default: 1500)")
    top.add_argument("--batch", metavar="N", type=int, default=16, help="(default: 16)")
    return top


def make(args: argparse.Namespace) -> None:
    """Write all files."""
    folder = Path(args.folder)
    if folder.exists():
        raise CaffeliteError(Problem(f'"{folder}" is there already', hint="give another name"))
    if min(args.train, args.test, args.iterations, args.batch) < 1:
        raise CaffeliteError("--train, --test, --iterations and --batch must be 1 or more")
    for name, count, seed in (("train", args.train, 1), ("test", args.test, 2)):
        _images(folder, name, count, seed)
    items = [f'item {{ name: "{name}" label: {i} }}' for i, name in enumerate(NAMES)]
    (folder / "labelmap.prototxt").write_text("\n".join(items) + "\n", encoding="utf-8")
    (folder / "ssd.net").write_text(net_text(args.batch, min(50, args.test)), encoding="utf-8")
    solver = SOLVER.format(prefix=f"{folder.as_posix()}/ssd", iterations=args.iterations)
    (folder / "ssd.solver").write_text(solver, encoding="utf-8")


def net_text(batch: int, tested: int) -> str:
    """nets/ssd_shapes.net, which reads databases instead."""
    text = (ROOT / "nets" / "ssd_shapes.net").read_text(encoding="utf-8")
    body = text[text.index("# The body") :]
    train = LAYER.format(phase="TRAIN", name="train", batch=batch, samplers=SAMPLERS, chance=CHANCE)
    test = LAYER.format(phase="TEST", name="test", batch=tested, samplers="", chance="")
    return f'name: "SSD_shapes_lmdb"\n\n{train}{test}\n{body}'


def _images(folder: Path, name: str, count: int, seed: int) -> None:
    pillow = need("PIL.Image", "Pillow", "writing images")
    text = f"samples: {count} batch_size: 1 seed: {seed}"
    spec = parse_net(f'layer {{ name: "d" type: "ShapesData" shapes_data_param {{ {text} }} }}')
    planned = ShapesData(spec.layer[0], Context(Phase.TEST))
    planned.setup([])
    drawing = planned.started([], [], Streams(seed))
    assert isinstance(drawing, ShapesData)
    size = drawing.param.size
    image = np.empty((3, size, size), np.float32)
    (folder / name).mkdir(parents=True)
    lines = []
    for i in range(count):
        objects = drawing.draw(i, image)
        pixels = np.clip(np.rint(image[::-1] * 255), 0, 255).astype(np.uint8)  # B G R to R G B
        path = f"{name}/{i:05d}"
        pillow.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(
            folder / f"{path}.png"
        )
        (folder / f"{path}.xml").write_text(_xml(f"{path}.png", size, objects), encoding="utf-8")
        lines.append(f"{path}.png {path}.xml\n")
    (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def _xml(name: str, size: int, objects: Array) -> str:
    rows = [
        f"<annotation><filename>{escape(name)}</filename>",
        f"<size><width>{size}</width><height>{size}</height><depth>3</depth></size>",
    ]
    for kind, _, *corners, difficult in objects.tolist():
        places = zip(("xmin", "ymin", "xmax", "ymax"), (round(c * size) for c in corners))
        box = "".join(f"<{name}>{place}</{name}>" for name, place in places)
        rows.append(
            f"<object><name>{NAMES[int(kind)]}</name><difficult>{difficult:g}</difficult>"
            f"<bndbox>{box}</bndbox></object>"
        )
    return "\n".join([*rows, "</annotation>\n"])


def commands(args: argparse.Namespace) -> list[str]:
    """What comes next."""
    folder = Path(args.folder).as_posix()
    weights = f"{folder}/ssd_iter_{args.iterations}.caffemodel"
    convert = [
        f"caffelite convert-annoset {folder}/{name}.txt {folder}/{name}_lmdb --root {folder}/ "
        f"--label-map {folder}/labelmap.prototxt --encoded"
        for name in ("train", "test")
    ]
    return [
        *convert,
        f"caffelite train {folder}/ssd.solver",
        f"caffelite test {folder}/ssd.net {weights} --per-class",
        f"python tools/draw_boxes.py {folder}/ssd.net {weights} --out {folder}/boxes.png",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Make; 0, or 1 after a mistake, which is reported on stderr."""
    args = parser().parse_args(argv)
    try:
        make(args)
    except CaffeliteError as error:
        complain(error)
        return 1
    print(f"{args.folder}: {args.train:,} images to train on, {args.test:,} to test. Now:\n")
    print("\n".join(commands(args)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

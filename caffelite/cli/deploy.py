"""Make of a net that trains the one that is used.

  caffelite deploy train.net deploy.net
  caffelite deploy train_val.prototxt deploy.prototxt --shape data=1x3x224x224
  caffelite deploy lenet.net deploy.net --batch 1

Data layers become inputs of their shapes, losses the probabilities that they
compare; what only training needs is left out. Layers keep their names, so that
weights fit. How the data layers prepared their samples is noted in OUT, above
the net. Where the data are not here, --shape gives the shape of an input.
"""

from __future__ import annotations

import argparse
import os

from caffelite.cli.console import (
    add_force_argument,
    add_plugin_argument,
    load_plugins,
    refuse_overwriting,
)
from caffelite.cli.nets import add_shape_argument, given_shapes

GROUP = "files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite deploy`."""
    parser.add_argument("net", metavar="TRAIN_NET", help="net file")
    parser.add_argument("target", metavar="OUT", help="net file to write")
    add_shape_argument(parser, "the shape of an input; may be repeated")
    parser.add_argument(
        "--batch", metavar="N", type=int, help="samples a pass (default: as in data)"
    )
    parser.add_argument("--stage", metavar="A,B", default="", help="stages, separated by commas")
    parser.add_argument("--level", metavar="N", type=int, default=0, help="the net's level")
    add_force_argument(parser)
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Write the deploy net; 0."""
    refuse_overwriting(args.net, args.target, args.force)
    load_plugins(args)
    from caffelite.deploy import deploy_file
    from caffelite.report.render import shape
    from caffelite.schema.binary import write_atomically

    shapes = given_shapes(args)
    stages = [stage for stage in args.stage.split(",") if stage]
    done, plan = deploy_file(args.net, stages, args.level, shapes, args.batch)
    for note in done.notes:
        print(f"{args.net}: {note}")
    text = done.text(os.path.basename(args.net))
    write_atomically(args.target, text.encode("utf-8", "surrogateescape"))
    ends = [
        ", ".join(f"{v.name} ({shape(plan.shapes[v])})" for v in versions)
        for versions in (
            [v for n in plan.graph.nodes if n.cls.fed for v in n.tops],
            [plan.graph.blobs[name] for name in plan.graph.outputs],
        )
    ]
    print(f"{args.target}: {' to '.join(ends)}")
    return 0

"""Write what blobs hold for all samples: .npz, HDF5 or LMDB.

  caffelite features caffenet.net w.caffemodel fc7 fc7.h5
  caffelite features lenet.net w.caffemodel ip1,label ip1.npz --iterations 10
  caffelite features deploy.net w.caffemodel pool5 pool5_lmdb --stage deploy

The net's own data are run through it once, or --iterations batches of them; rows
follow each other in the order of the samples. The ending of OUT says the format:
.npz and .h5 hold several blobs under their names, an LMDB database holds one.
Ctrl-C writes nothing.
"""

from __future__ import annotations

import argparse

from caffelite.cli.console import (
    add_device_arguments,
    add_force_argument,
    refuse_overwriting,
    use_device,
)
from caffelite.cli.nets import add_state_arguments, net_of
from caffelite.cli.progress import progress

GROUP = "run"
ORDER = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite features`."""
    parser.add_argument("net", metavar="NET", help="net file")
    parser.add_argument("weights", metavar="WEIGHTS", help=".caffemodel or .h5")
    parser.add_argument("blobs", metavar="BLOBS", help="names, separated by commas")
    parser.add_argument("target", metavar="OUT", help="file to write: .npz, .h5 or _lmdb")
    parser.add_argument(
        "--iterations", metavar="N", type=int, help="batches (default: all of the data)"
    )
    add_force_argument(parser)
    add_state_arguments(parser)
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write; 0."""
    from caffelite.cli.test import iterations
    from caffelite.report.render import shape
    from caffelite.solver.testing import data_size
    from caffelite.use.features import write_features

    refuse_overwriting(args.net, args.target, args.force)
    use_device(args)
    net = net_of(args, args.net, weights=args.weights)
    size = data_size(net)
    rows = size.size if size is not None and args.iterations is None else None
    shapes = write_features(
        net,
        args.blobs.split(","),
        args.target,
        iterations(net, args.iterations),
        rows,
        lambda batches: progress(batches, "batches"),
    )
    print(f"{args.target}: {', '.join(f'{name} {shape(s)}' for name, s in shapes.items())}")
    return 0

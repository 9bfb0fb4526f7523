"""Check a net's gradients against finite differences.

  caffelite gradcheck spiral.net
  caffelite gradcheck lenet.net --shape data=2x1x28x28 --layer conv1,ip2
  caffelite gradcheck mine.net --plugin my_layers.py --worst 10

In float64, on NumPy. Each layer is run by itself on what it reads in the net: for
every bottom and parameter the slope that the backward pass says is held against
the slope that is measured, in random directions, and entry by entry where there
are few. At a kink (ReLU at 0) a gradient between both slopes is right. Of a wrong
gradient the worst entries are shown, and the status is 1. --whole checks the net
end to end as well. Inputs that no data fill are random.
"""

from __future__ import annotations

import argparse
import sys

GROUP = "look"
ORDER = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite gradcheck`."""
    from caffelite.cli.nets import add_state_arguments

    parser.add_argument("net", metavar="NET", help="net file")
    parser.add_argument("--weights", metavar="FILE", help=".caffemodel (default: as initialised)")
    parser.add_argument("--layer", metavar="A,B", help="only these layers")
    parser.add_argument(
        "--worst", metavar="N", type=int, default=3, help="entries shown of each (default: 3)"
    )
    parser.add_argument(
        "--tolerance", metavar="T", type=float, default=1e-5, help="relative (default: 1e-5)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="(default: 0)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_state_arguments(parser, phase="TRAIN")
    parser.add_argument("--whole", action="store_true", help="the whole net too, end to end")


def run(args: argparse.Namespace) -> int:
    """Check and print; 0, or 1 if a gradient is wrong."""
    from dataclasses import asdict
    from json import dumps

    import numpy as np

    from caffelite.cli.help import columns
    from caffelite.cli.nets import net_of
    from caffelite.testing.gradients import check
    from caffelite.testing.gradtext import text
    from caffelite.testing.layerwise import check_layers
    from caffelite.use.inputs import fill_inputs

    net = net_of(args, args.net, dtype=np.float64, engine="numpy", seed=args.seed)
    if args.weights:
        net.copy_from(args.weights)
    fill_inputs(net, args.seed)
    names = args.layer.split(",") if args.layer else []
    how = {"seed": args.seed, "tolerance": args.tolerance}
    found = check_layers(net, names, worst=args.worst, **how)
    whole = check(net, **how) if args.whole else []
    if args.json:
        print(dumps({"layers": [asdict(f) for f in found], "whole": [asdict(r) for r in whole]}))
    else:
        print(text(found, whole, columns() if sys.stdout.isatty() else None))
    return 0 if all(r.ok for r in (*(f.result for f in found), *whole)) else 1

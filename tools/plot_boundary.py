"""Draw what a net with two inputs has learned: the points and the regions it divides them into.

python tools/plot_boundary.py
python tools/plot_boundary.py moons.net moons_iter_500.caffemodel --out moons.png --show

Without arguments it takes nets/spiral.net and the newest spiral_iter_*.caffemodel of this folder.
The log of the run, if it lies beside the weights, becomes a second picture: loss and accuracy over
the iterations.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from caffelite.cli.console import add_plugin_argument, complain, load_plugins
from caffelite.cli.work.boundary import SPIRAL, draw
from caffelite.errors import CaffeliteError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("net", metavar="NET", nargs="?", help=f"net file (default: {SPIRAL})")
    top.add_argument(
        "weights", metavar="WEIGHTS", nargs="?", help=".caffemodel (default: newest NET_iter_*)"
    )
    top.add_argument("--out", metavar="FILE.png", help="the picture (default: NET_boundary.png)")
    top.add_argument("--blob", metavar="NAME", help="the scores (default: what the loss reads)")
    top.add_argument("--grid", metavar="N", type=int, default=400, help="points a side (400)")
    top.add_argument("--log", metavar="FILE", help="log of the run (default: that of the weights)")
    top.add_argument("--curves", metavar="FILE.png", help="its picture (default: NET_curves.png)")
    top.add_argument("--force", action="store_true", help="replace other files of these names")
    top.add_argument("--show", action="store_true", help="open a window, too")
    add_plugin_argument(top)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Draw; 0, or 1 after a mistake, which is reported on stderr."""
    args = parser().parse_args(argv)
    try:
        load_plugins(args)
        draw(args)
    except CaffeliteError as error:
        complain(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Draw a net: SVG or PNG, DOT or Mermaid.

  caffelite draw spiral.net -o spiral.svg
  caffelite draw googlenet.net -o googlenet.png --phase TEST
  caffelite draw lenet.net -o lenet.mmd --stage deploy
  caffelite draw lenet.net -o - --format dot | dot -Tpdf > lenet.pdf

Boxes are layers, with their type, window, outputs and number of parameters;
strips below a box are layers that change its output in passing. Lines are
blobs, with their shapes as far as they are known: data that are not here may
be given a shape with --shape. Without --phase both phases are drawn together,
and a layer that is in one only has its name in the corner. A long net is broken
into columns (--no-wrap keeps it in one). The format follows from the ending of
FILE: .svg, .png, .dot or .gv, .mmd. A picture that this has drawn is drawn anew;
another file of that name is left alone, unless --force replaces it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from caffelite.cli.console import add_force_argument, refuse_overwriting
from caffelite.cli.nets import add_state_arguments, open_net
from caffelite.draw.render import FORMATS, format_of, render

GROUP = "look"
ORDER = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite draw`."""
    parser.add_argument("net", metavar="NET", help="net file")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="picture to write, - for the output (NET.svg)"
    )
    parser.add_argument(
        "--format", choices=sorted(set(FORMATS.values())), help="whatever FILE says"
    )
    add_force_argument(parser, "FILE")
    parser.add_argument("--no-wrap", action="store_true", help="one column, however long")
    add_state_arguments(parser, phase=None)


def run(args: argparse.Namespace) -> int:
    """Draw; 0."""
    target = args.output or f"{Path(args.net).stem}.svg"
    hint = "or --format, which takes any name"
    form = args.format or ("svg" if target == "-" else format_of(Path(target).suffix, target, hint))
    if target != "-":
        refuse_overwriting(args.net, target, args.force, drawn=True)
    data = picture(args, form)
    if target == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return 0
    from caffelite.schema.binary import write_atomically

    write_atomically(target, data)
    print(f"wrote {target} ({max(1, len(data) // 1000)} KB)")
    return 0


def picture(args: argparse.Namespace, form: str) -> bytes:
    """The net of the arguments in a format."""
    net, states, folder = open_net(args, args.net)
    from caffelite.draw.diagram import diagram, has_data

    with_data = [state for state in states if has_data(net, state)]
    drawn = diagram(net, with_data or states[:1], folder)
    return render(drawn, form, wrap=not args.no_wrap)

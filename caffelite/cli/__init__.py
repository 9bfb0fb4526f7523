"""The command line: one module for each command."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from caffelite import __version__
from caffelite.cli.console import complain
from caffelite.errors import CaffeliteError

COMMANDS = {
    "train": "train a net as a solver file says",
    "test": "run a net and print the mean of its outputs",
    "check": "find every mistake in net and solver files, running nothing",
    "layers": "list the types of layers, or explain one",
    "upgrade": "write a net or solver of Caffe's old formats in today's",
    "export": "write a net as an ONNX model, verified blob by blob",
    "import-onnx": "read an ONNX model into a net, verified blob by blob",
    "convert-images": "put listed images into an LMDB database",
    "compute-mean": "compute the mean image of an LMDB database",
    "data": "download a data set",
}

EPILOG = """\
examples:
  caffelite train --solver solvers/spiral.solver
  caffelite test --model nets/spiral.net --weights spiral_iter_3000.caffemodel
  caffelite check nets/*.net solvers/*.solver
  caffelite layers InnerProduct

Caffe's spellings (-solver x, --solver=x, -gpu 0) work too.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line. Each command's module adds its arguments when it is asked for."""
    top = argparse.ArgumentParser(
        prog="caffelite",
        description="Runs, trains and checks Caffe nets.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", "-version", action="version", version=f"caffelite {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, help_text in COMMANDS.items():
        module = importlib.import_module(f"caffelite.cli.{name.replace('-', '_')}")
        sub = commands.add_parser(
            name,
            help=help_text,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. A mistake of the user's is told on stderr, status 1."""
    top = parser()
    args = top.parse_args(argv)
    if args.command is None:
        top.print_help()
        return 0
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        status = int(args.run(args))
        sys.stdout.flush()
        return status
    except CaffeliteError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of our output has gone (`| head`): no more to say, and no traceback at exit
        sys.stderr.close()
        sys.stdout = None
        return 141

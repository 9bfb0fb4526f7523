"""What commands have in common: telling of mistakes, arguments of Caffe's that mean nothing here,
users' own layers."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from caffelite.errors import CaffeliteError, Problem


def complain(error: CaffeliteError) -> None:
    """All problems on stderr, in colour on a terminal."""
    if not sys.stderr.isatty():
        print(error, file=sys.stderr)
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for i, problem in enumerate(error.problems):
            first, *rest = str(problem).split("\n")
            console.print(Text(("\n" if i else "") + first, style="bold red"))
            for line in rest:
                caret = line.lstrip(" |").startswith("^")
                console.print(Text(line, style="red" if caret else ""))
    count = len(error.problems)
    if count > 1:
        print(f"\n{count} mistakes", file=sys.stderr)


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Accept what Caffe's users type to choose a device."""
    parser.add_argument("--gpu", "-gpu", metavar="IDS", help="accepted; runs on the CPU")


def note_device(args: argparse.Namespace) -> None:
    """Say what became of `-gpu`."""
    if args.gpu is not None:
        print(f"-gpu {args.gpu} is accepted; this runs on the CPU", file=sys.stderr)


def add_plugin_argument(parser: argparse.ArgumentParser) -> None:
    """`--plugin my_layers.py`."""
    parser.add_argument(
        "--plugin",
        metavar="FILE.py",
        action="append",
        default=[],
        help="a Python file with layers of your own (it is run); may be repeated",
    )


def load_plugins(args: argparse.Namespace) -> None:
    """Run the user's own files, which register their layers."""
    for name in args.plugin:
        path = Path(name)
        if not path.is_file():
            raise CaffeliteError(Problem(f'there is no plug-in file "{name}"'))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise CaffeliteError(Problem(f"{name} is not a Python file", expected="FILE.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)
        try:
            spec.loader.exec_module(module)
        except CaffeliteError:
            raise
        except Exception as error:
            raise CaffeliteError(
                Problem(f"plug-in {name} failed: {type(error).__name__}: {error}")
            ) from error

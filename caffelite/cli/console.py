"""What commands have in common: telling of mistakes, arguments of Caffe's that mean nothing here,
users' own layers."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from caffelite.cli.help import UsageError
from caffelite.errors import CaffeliteError, Problem


def given(args: argparse.Namespace, name: str, metavar: str) -> Any:
    """An argument that may be written with its option or without (`train S`, `train --solver S`);
    see `add_named`. Raises UsageError if it is missing or written twice."""
    named, placed = getattr(args, name), getattr(args, f"placed_{name}")
    if named is None and placed is None:
        raise UsageError(
            Problem(
                f"caffelite {args.command}: {metavar} is missing",
                hint=f"`caffelite {args.command} --help` shows how it is used",
            )
        )
    if named is not None and placed is not None:
        raise UsageError(
            Problem(
                f"caffelite {args.command}: {metavar} is given twice, {named} and {placed}",
                expected=f"one: with --{name} or without",
            )
        )
    return placed if named is None else named


def add_named(parser: argparse.ArgumentParser, name: str, metavar: str, text: str) -> None:
    """An argument in its place, or with the option that Caffe has for it."""
    parser.add_argument(f"placed_{name}", metavar=metavar, nargs="?", help=text)
    parser.add_argument(f"--{name}", metavar=metavar, help="the same, as Caffe spells it")


MOST_SHOWN = 100
"""Mistakes that are printed; of the rest their number is."""


def complain(error: CaffeliteError) -> None:
    """The problems on stderr, in colour on a terminal."""
    count = len(error.problems)
    show(error.problems[:MOST_SHOWN], "bold red", "red")
    if count > MOST_SHOWN:
        print(f"\n{count:,} mistakes, {MOST_SHOWN} of them shown", file=sys.stderr)
    elif count > 1:
        print(f"\n{count} mistakes", file=sys.stderr)


def show(problems: Sequence[Problem | str], first_style: str, caret_style: str) -> None:
    """Problems with an empty line between them."""
    if not problems:
        return
    if not sys.stderr.isatty():
        print("\n\n".join(map(str, problems)), file=sys.stderr)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for i, problem in enumerate(problems):
        first, *rest = str(problem).split("\n")
        console.print(Text(("\n" if i else "") + first, style=first_style))
        for line in rest:
            caret = line.lstrip(" |").startswith("^")
            console.print(Text(line, style=caret_style if caret else ""))


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Accept what Caffe's users type to choose a device."""
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help="what computes: auto (the default), numpy, torch or onnxruntime (deploy nets)",
    )
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 or mps")
    parser.add_argument("--gpu", metavar="ID", help="as Caffe spells it: 0 is --device cuda:0")
    parser.add_argument(
        "--threads", metavar="N", type=int, help="threads to compute with (default: chosen)"
    )


def use_device(args: argparse.Namespace) -> None:
    """Let the nets that are made from now on run where the arguments say."""
    # not at the top: help needs none of it
    from caffelite import mode
    from caffelite.engines import set_engine
    from caffelite.kernels import parallel

    if args.engine is not None:
        set_engine(args.engine, "--engine")
    if args.gpu is not None and args.device is not None:
        raise CaffeliteError(Problem("--gpu and --device are given together", expected="one"))
    if args.device is not None:
        _check_device(args.device)
        mode.request.device = args.device
    if args.gpu is not None:
        first, *others = args.gpu.split(",")
        if not first.isdecimal() or others:
            raise CaffeliteError(
                Problem(f'-gpu "{args.gpu}"', expected="the number of one GPU, -gpu 0")
            )
        mode.set_mode_gpu()
        mode.set_device(int(first))
    if args.threads is not None:
        parallel.set_threads(args.threads)


def _check_device(name: str) -> None:
    """Refuse what names no device; one that is not here is said where it is looked for."""
    kind, _, number = name.partition(":")
    if kind in ("cpu", "cuda", "mps", "xpu") and (not number or number.isdecimal()):
        return
    digits = "".join(c for c in name if c.isdecimal())
    hint = f"the GPU of that number is --device cuda:{digits}" if digits else None
    raise CaffeliteError(
        Problem(f'--device: there is no device "{name}"', None, "cpu, cuda, cuda:1 or mps", hint)
    )


def add_plugin_argument(parser: argparse.ArgumentParser) -> None:
    """`--plugin my_layers.py`."""
    parser.add_argument(
        "--plugin",
        metavar="FILE.py",
        action="append",
        default=[],
        help="a Python file with layers of your own (it is run); may be repeated",
    )
    parser.add_argument(
        "--allow-python-layers",
        action="store_true",
        help="let layers of the type Python run, classes of modules that the net names",
    )


def add_unverified(parser: argparse.ArgumentParser) -> None:
    """`--unverified`."""
    parser.add_argument(
        "--unverified",
        action="store_true",
        help="read files of caffelite's that have changed since they were written, and pairs of "
        "state and parameters that do not belong together",
    )


def load_plugins(args: argparse.Namespace) -> None:
    """Run the user's own files, which register their layers; let `Python` layers run if asked."""
    from caffelite.cli import plugins

    if args.allow_python_layers:
        from caffelite import mode
        from caffelite.pycaffe.hook import import_layers

        mode.request.import_layers, mode.request.locate_errors = import_layers, True
        sys.path.append(os.getcwd())
    for name in args.plugin:
        plugins.load(name)


def add_force_argument(parser: argparse.ArgumentParser, what: str = "OUT") -> None:
    """`--force`: commands write over nothing that is there."""
    parser.add_argument("--force", action="store_true", help=f"replace {what} if it is there")


def refuse_overwriting(source: str, target: str, force: bool, drawn: bool = False) -> None:
    """Refuse a target that is there, unless forced, or that cannot be a file. A picture (`drawn`)
    that caffelite has drawn may be drawn anew."""
    if os.path.isdir(target):
        raise CaffeliteError(Problem(f"{target}: this is a folder", expected="a file to write"))
    folder = os.path.dirname(target)
    if folder and not os.path.isdir(folder):
        raise CaffeliteError(
            Problem(f'{target}: there is no folder "{folder}"', hint=f"mkdir -p {folder}")
        )
    if force or not os.path.lexists(target):
        return
    if drawn:
        from caffelite.plot.pictures import is_drawn

        if is_drawn(target):
            return
    if os.path.exists(source) and os.path.exists(target) and os.path.samefile(source, target):
        problem = Problem(f"{target}: IN and OUT are the same file", hint="--force replaces it")
    else:
        problem = Problem(f"{target}: exists already", hint="--force replaces it")
    raise CaffeliteError(problem)

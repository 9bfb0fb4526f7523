"""List the types of layers, or explain one: formula, shapes, fields, an example.

  caffelite layers
  caffelite layers InnerProduct

A TYPE is written as in a net file.
"""

from __future__ import annotations

import argparse

from caffelite.cli.console import add_plugin_argument

GROUP = "look"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite layers`."""
    parser.add_argument("type", metavar="TYPE", nargs="?", help="the type to explain")
    add_plugin_argument(parser)


def words() -> list[str]:
    """What a shell completes: the types."""
    from caffelite.layers import registry

    return sorted(registry)


def run(args: argparse.Namespace) -> int:
    """Print the list or the page."""
    from caffelite.cli.work import layers

    return layers.run(args)

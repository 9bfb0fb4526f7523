"""Print a script that completes commands, options and files.

  eval "$(caffelite completion bash)"
  eval "$(caffelite completion zsh)"
  caffelite completion fish | source

The line belongs into ~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish. The
commands and options are those of this version: the script itself asks nothing
of caffelite, and so costs no time.
"""

from __future__ import annotations

import argparse

GROUP = "files"
ORDER = 90


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite completion`."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="whose script")


def run(args: argparse.Namespace) -> int:
    """Print; 0."""
    from caffelite.cli.shells import SCRIPTS, known_options

    print(SCRIPTS[args.shell](known_options()), end="")
    return 0

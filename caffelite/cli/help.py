"""Help that fits the terminal, and words for a command line that was not understood."""

from __future__ import annotations

import argparse
import difflib
import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from caffelite.cli.registry import GROUPS, Command, commands
from caffelite.errors import CaffeliteError

WIDEST = 100


class UsageError(CaffeliteError):
    """The command line cannot be understood: exit status 2."""


EXAMPLES = [
    ("caffelite new spiral", "a first net and its solver"),
    ("caffelite train spiral.solver", "train it"),
    ("caffelite check spiral.net", "find every mistake"),
    ("caffelite draw spiral.net -o spiral.svg", "see it"),
    ("caffelite layers InnerProduct", "the manual of a layer"),
]

OTHER_WORDS = {
    "fit": "train",
    "learn": "train",
    "eval": "test",
    "evaluate": "test",
    "score": "test",
    "lint": "check",
    "validate": "check",
    "init": "new",
    "example": "new",
    "examples": "new",
    "graph": "draw",
    "draw_net": "draw",
    "visualize": "draw",
    "convert_imageset": "convert-images",
    "compute_image_mean": "compute-mean",
    "upgrade_net_proto_text": "upgrade",
    "upgrade_net_proto_binary": "upgrade",
    "upgrade_solver_proto_text": "upgrade",
    "download": "data",
    "params": "summary",
    "info": "summary",
    "benchmark": "time",
    "bench": "time",
    "profile": "time",
    "classify": "predict",
    "infer": "predict",
    "extract_features": "features",
    "format": "fmt",
    "compare": "diff",
    "dump": "cat",
    "plot_training_log": "plot",
    "check_gradients": "gradcheck",
}
"""What Caffe's tools and other libraries call a command."""


def columns() -> int:
    """How wide a page is: as the terminal, at most 100; 80 where the output is no terminal."""
    return max(20, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))


def overview() -> str:
    """What `caffelite --help` prints: how to begin, then all commands."""
    width = columns()
    lines = ["usage: caffelite COMMAND ...", "", "Runs, trains and checks Caffe nets.", ""]
    room = max(len(example) for example, _ in EXAMPLES) + 2
    for example, why in EXAMPLES:
        beside = 2 + room + 2 + len(why) <= width
        lines += (
            [f"  {example:<{room}}# {why}"] if beside else _hung(f"  {example}", "      ", width)
        )
    for group, title in GROUPS.items():
        members = [c for c in commands().values() if c.group == group]
        if members:
            lines += ["", f"{title}:"]
        for command in members:
            lines += _entry(command, width)
    last = (
        "`caffelite COMMAND --help` explains one. Caffe's spellings (-solver x, --solver=x, "
        "-gpu 0) work too."
    )
    return "\n".join([*lines, "", *textwrap.wrap(last, width)])


def _entry(command: Command, width: int) -> list[str]:
    summary = command.summary[:1].lower() + command.summary[1:]
    if width < 60:
        return [f"  {command.name}", *_hung(f"      {summary}", "      ", width)]
    first, *rest = textwrap.wrap(summary, width - 19) or [""]
    return [f"  {command.name:<17}{first}", *(f"  {'':<17}{line}" for line in rest)]


def _hung(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)


class Formatter(argparse.HelpFormatter):
    """Prose is filled to the width of the terminal; lines that are indented stay as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=columns())

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            paragraph
            if any(line.startswith(" ") for line in paragraph.split("\n"))
            else textwrap.fill(paragraph, width)
            for paragraph in text.strip().split("\n\n")
        )


class CommandParser(argparse.ArgumentParser):
    """The arguments of one command. A mistake ends with status 2 and names what comes closest."""

    passes_on = False
    """Are the words after the first argument, whatever they are, for somebody else? Then they go
    into `args`."""

    def __init__(self, command: Command, doc: str) -> None:
        super().__init__(
            prog=f"caffelite {command.name}",
            description=doc,
            formatter_class=Formatter,
            allow_abbrev=False,
        )
        self._positionals.title = "arguments"

    def add_argument(self, *flags: Any, **keywords: Any) -> argparse.Action:
        """As usual; Caffe's spelling of a long option need not be declared, and is not shown."""
        long = [f for f in flags if not (f[:1] == "-" != f[1:2] and len(f) > 2)]
        return super().add_argument(*(long or flags), **keywords)

    def parse_args(self, args: Any = (), namespace: Any = None) -> Any:
        """As usual, but an unknown option is met with the one that is meant."""
        if self.passes_on:
            own = next((i for i, word in enumerate(args, 1) if word[:1] != "-"), len(args))
            args, rest = args[:own], list(args[own:])
        words = self._with_values(map(self._modern, args))
        for word in words[: words.index("--") if "--" in words else None]:
            known = word.split("=")[0] in self._option_string_actions
            if word[:2] == "--" and not known:
                self.error(self._unknown(word))  # before it is missed under its right name
        found, unknown = self.parse_known_args(words, namespace)
        if unknown:
            self.error(self._unknown(unknown[0]))
        if self.passes_on:
            found.args = rest
        return found

    def _with_values(self, words: Iterable[str]) -> list[str]:
        """A file that stands behind an option whose value may be left out, as in `--shape x.net`,
        is no value of it: those are NAME=SHAPE."""
        found = list(words)
        for i, word in enumerate(found[:-1]):
            action = self._option_string_actions.get(word)
            pairs = action is not None and action.nargs == "?" and "=" in str(action.metavar)
            if pairs and "=" not in found[i + 1] and "." in found[i + 1]:
                found[i] = f"{word}="
        return found

    def _modern(self, word: str) -> str:
        """Caffe writes long options with one dash; and some have had another name here."""
        name = word.split("=")[0]
        if name in FORMER and FORMER[name] in self._option_string_actions:
            word = FORMER[name] + word[len(name) :]
            name = FORMER[name]
        caffes = name[:1] == "-" != name[1:2] and len(name) > 2
        if caffes and name[1].isalpha() and name[:2] not in self._option_string_actions:
            return f"-{word}"
        return f"-{word}" if caffes and f"-{name}" in self._option_string_actions else word

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"there is no room for a further argument: {word}"
        known = [o for a in self._actions for o in a.option_strings if o.startswith("--")]
        name = word.split("=")[0]
        near = difflib.get_close_matches("--" + name.lstrip("-"), known, 1, 0.7)
        elsewhere = OPTION_HINTS.get(name.lstrip("-").replace("-", "_"))
        advice = f": {elsewhere}" if elsewhere else f": did you mean {near[0]}?" if near else ""
        return f"there is no option {name}{advice}"

    def format_help(self) -> str:
        """What it does and examples first, then the arguments."""
        formatter = self._get_formatter()
        formatter.add_text(self.description)
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        for group in self._action_groups:
            formatter.start_section(group.title)
            formatter.add_text(group.description)
            formatter.add_arguments(group._group_actions)
            formatter.end_section()
        return formatter.format_help()

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse does, in words of ours, with the choice that comes closest."""
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        near = difflib.get_close_matches(str(value), known, 1, 0.6)
        advice = f': did you mean "{near[0]}"?' if near else ""
        text = f'"{value}" is none of {", ".join(known)}{advice}'
        raise argparse.ArgumentError(action, text)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            what = "whole number" if action.type is int else "number"
            raise argparse.ArgumentError(action, f'"{arg_string}" is no {what}') from None

    def error(self, message: str) -> NoReturn:
        """Say it in two lines, and leave with status 2."""
        message = message.replace(": expected one argument", ": a value is missing")
        needed = message.removeprefix("the following arguments are required: ")
        if needed != message:
            names = needed.split(", ")
            message = f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing"
        usage = f"`{self.prog} --help` shows how it is used"
        print(f"{self.prog}: {message}\n{usage}", file=sys.stderr)
        raise SystemExit(2)


FORMER = {"--data-shape": "--shape"}
"""What options were once called: still understood, and not shown."""

OPTION_HINTS = {
    "lr": "the rate is base_lr in the solver file",
    "learning_rate": "the rate is base_lr in the solver file",
    "epochs": "the length is max_iter or max_epoch in the solver file",
    "max_iter": "the length is max_iter in the solver file",
    "batch_size": "it is batch_size in the net's data layer",
    "momentum": "it is momentum in the solver file",
    "seed": "it is random_seed in the solver file",
    "net": 'the net is named in the solver file, net: "FILE"',
    "model": 'the net is named in the solver file, net: "FILE"',
    "sighup_effect": "SIGHUP takes a snapshot, always",
    "sigint_effect": "Ctrl-C takes a snapshot and stops, always",
}
"""Where to say what people look for among the options."""


def unknown_command(words: list[str]) -> str:
    """What to say of a first word that is no command."""
    word, known = words[0], commands()
    if word.startswith("-"):
        return f"caffelite: the command comes first: caffelite COMMAND {word} ...\n{_LIST}"
    if word in OTHER_WORDS:
        return (
            f'caffelite: there is no command "{word}": here it is `caffelite {OTHER_WORDS[word]}`'
        )
    suffix = Path(word).suffix
    if suffix in (".solver", ".net", ".prototxt") or Path(word).exists():
        use = "train" if suffix == ".solver" else "check"
        if "solver" in Path(word).name:
            use = "train"
        return f"caffelite: {word} is a file, not a command: `caffelite {use} {word}`?\n{_LIST}"
    folded = word.lower().replace("_", "-")
    near = [folded] if folded in known else difflib.get_close_matches(folded, known, 1, 0.6)
    advice = f': did you mean "{near[0]}"?' if near else ""
    return f'caffelite: there is no command "{word}"{advice}\n{_LIST}'


_LIST = "`caffelite --help` lists the commands"

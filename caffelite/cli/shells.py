"""The completion scripts of shells, made from the commands' own declarations."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from caffelite.cli.help import CommandParser
from caffelite.cli.registry import commands


@dataclass(frozen=True)
class Option:
    """One option of a command."""

    flags: Sequence[str]
    text: str
    takes: bool
    """Is there a value behind it?"""
    choices: Sequence[str] = ()


@dataclass(frozen=True)
class Completed:
    """One command: what may follow its name."""

    name: str
    summary: str
    options: list[Option] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    """Values of its first argument, where that is no file; those behind it are files."""


def known_options() -> list[Completed]:
    """All commands with their options."""
    found = []
    for command in commands().values():
        module = command.load()
        parser = CommandParser(command, module.__doc__ or "")
        module.add_arguments(parser)
        one = Completed(command.name, command.summary)
        for action in parser._actions:
            if action.help == argparse.SUPPRESS:
                continue
            choices = [str(c) for c in action.choices or ()]
            if action.option_strings:
                text = (action.help or "").split(";")[0].split(" (")[0] % {
                    "default": action.default
                }
                takes = action.nargs != 0
                one.options.append(Option(action.option_strings, text, takes, choices))
            else:
                one.words.extend(choices)
        one.words.extend(getattr(module, "words", list)())
        found.append(one)
    every = [one.name for one in found]
    return [*found, Completed("help", "Explain a command", words=every)]


def bash(known: Sequence[Completed]) -> str:
    """For `complete -F`; files are completed where nothing else fits."""
    cases = []
    for one in known:
        flags = " ".join(flag for option in one.options for flag in option.flags)
        given = f"flags={shlex.quote(flags)} words={shlex.quote(' '.join(one.words))}"
        cases.append(f"    {one.name}) {given} ;;")
    values = [
        f"    {'|'.join(f'{one.name}:{flag}' for flag in option.flags)}) "
        f'COMPREPLY=($(compgen -W {shlex.quote(" ".join(option.choices))} -- "$cur")); return ;;'
        for one in known
        for option in one.options
        if option.choices
    ]
    names = shlex.quote(" ".join([*(one.name for one in known), "--help", "--version"]))
    return "\n".join(
        [
            "_caffelite() {",
            '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"',
            '  local flags="" words=""',
            '  if [ "$COMP_CWORD" -eq 1 ]; then',
            f'    COMPREPLY=($(compgen -W {names} -- "$cur")); return',
            "  fi",
            '  case "${COMP_WORDS[1]}:$prev" in',
            *values,
            "  esac",
            '  case "${COMP_WORDS[1]}" in',
            *cases,
            "  esac",
            '  case "$cur" in',
            '    -*) COMPREPLY=($(compgen -W "$flags" -- "$cur")) ;;',
            '    *) if [ -n "$words" ] && [ "$COMP_CWORD" -eq 2 ]',
            '       then COMPREPLY=($(compgen -W "$words" -- "$cur"))',
            '       else COMPREPLY=($(compgen -f -- "$cur")); fi ;;',
            "  esac",
            "}",
            "complete -o filenames -F _caffelite caffelite",
            "",
        ]
    )


def zsh(known: Sequence[Completed]) -> str:
    """For compdef, with what each command and option does."""

    def quoted(text: str) -> str:
        return shlex.quote(text.replace("\n", " "))

    cases = []
    for one in known:
        lines = []
        for option in one.options:
            text = option.text.replace("[", "(").replace("]", ")").replace(":", ";")
            value = ""
            if option.takes:
                value = (
                    f":value:({' '.join(option.choices)})" if option.choices else ":value:_files"
                )
            lines += [quoted(f"{flag}[{text}]{value}") for flag in option.flags]
        if one.words:
            lines.append(quoted(f"1:word:({' '.join(one.words)})"))
        lines.append(quoted("*:file:_files"))
        cases.append(f"    {one.name}) _arguments {' '.join(lines)} ;;")
    names = " ".join(quoted(f"{one.name}:{one.summary}") for one in known)
    return "\n".join(
        [
            "#compdef caffelite",
            "_caffelite() {",
            "  if (( CURRENT == 2 )); then",
            f"    local -a names=({names})",
            "    _describe command names",
            "    return",
            "  fi",
            "  local name=$words[2]",
            "  shift words; (( CURRENT-- ))",
            "  case $name in",
            *cases,
            "  esac",
            "}",
            "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u }",
            "compdef _caffelite caffelite",
            "",
        ]
    )


def fish(known: Sequence[Completed]) -> str:
    """`complete` lines; files are completed where an argument is none of a few words."""

    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", " ") + "'"

    lines = ["complete -c caffelite -e"]
    for one in known:
        lines.append(
            f"complete -c caffelite -n __fish_use_subcommand -f -a {one.name} "
            f"-d {quoted(one.summary)}"
        )
        where = f"-n '__fish_seen_subcommand_from {one.name}'"
        for option in one.options:
            names = " ".join(
                f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
                for flag in option.flags
            )
            value = ""
            if option.takes:
                value = f" -x -a {quoted(' '.join(option.choices))}" if option.choices else " -r"
            lines.append(f"complete -c caffelite {where} {names}{value} -d {quoted(option.text)}")
        if one.words:
            first = (
                f"-n '__fish_seen_subcommand_from {one.name}; "
                "and test (count (commandline -opc)) -eq 2'"
            )
            lines.append(f"complete -c caffelite {first} -f -a {quoted(' '.join(one.words))}")
    return "\n".join([*lines, ""])


SCRIPTS: dict[str, Callable[[Sequence[Completed]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}

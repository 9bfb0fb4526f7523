"""The work of `caffelite layers`."""

from __future__ import annotations

import argparse
import inspect
import re
import shutil
import textwrap

from caffelite.cli.console import load_plugins
from caffelite.errors import CaffeliteError, Problem, did_you_mean
from caffelite.files import parse_net
from caffelite.layers import Layer, registry
from caffelite.schema.message import FieldSpec, Message


def run(args: argparse.Namespace) -> int:
    """Print the list or the page."""
    load_plugins(args)
    if args.type is None:
        print("\n".join(overview()))
        return 0
    if args.type not in registry:
        raise CaffeliteError(
            Problem(
                f'there is no layer type "{args.type}"',
                hint=did_you_mean(args.type, registry) or "`caffelite layers` lists them all",
            )
        )
    print("\n".join(page(registry[args.type])))
    return 0


def overview() -> list[str]:
    """A line for each type."""
    width = max(map(len, registry)) + 2
    room = max(40, columns() - width - 2)
    lines = []
    for extension in (False, True):
        lines.append("Beyond Caffe 1.0:" if extension else "Caffe 1.0:")
        for name in sorted(registry, key=str.lower):
            if bool(registry[name].extension) == extension:
                text = textwrap.shorten(summary(registry[name]), room, placeholder=" ...")
                lines.append(f"  {name:<{width}}{text}")
        lines.append("")
    return [*lines, "`caffelite layers TYPE` explains one."]


def summary(cls: type[Layer]) -> str:
    """One line: what the layer's file says that it is, or else its documentation's start."""
    title = (inspect.getdoc(inspect.getmodule(cls)) or "").split("\n\n")[0]
    name, colon, rest = title.partition(": ")
    if not colon or cls.type not in re.split(r"\W+", name):
        rest = (inspect.getdoc(cls) or "").split("\n\n")[0]
    return " ".join(rest.split())


def page(cls: type[Layer]) -> list[str]:
    """The manual page of one type."""
    lines = [cls.type, "=" * len(cls.type), ""]
    if cls.extension:
        lines += [*textwrap.wrap(f"Not in Caffe 1.0: {cls.extension}", columns()), ""]
    lines += reflow(inspect.getdoc(cls) or "", columns())
    lines += ["", f"bottoms: {amount(cls.bottoms)}; tops: {amount(cls.tops)}"]
    if cls.loss:
        loss = "A loss: its first top counts in the objective, with weight 1 unless loss_weight "
        lines += textwrap.wrap(loss + "says otherwise.", columns())
    for field, message in cls.messages().items():
        lines += ["", f"{field} {{", *fields(message), "}"]
    if cls.cases:
        lines += ["", "Example", "", *example(cls)]
    return lines


def columns() -> int:
    """How wide a page is: at most 100, and 100 where the output is no terminal."""
    return min(100, shutil.get_terminal_size((100, 24)).columns)


def reflow(text: str, width: int) -> list[str]:
    """Documentation with its lines broken anew where they are too long. A line that is indented,
    or begins like "Shapes:" or with a formula, begins a line here too."""
    if all(len(line) <= width for line in text.split("\n")):
        return text.split("\n")
    whole: list[str] = []
    for line in text.split("\n"):
        begins = not line or re.match(r"\s|[A-Z][\w, ]{0,40}:|[∂y]\S* ?[=/]|[-*] ", line)
        if begins or not whole or not whole[-1]:
            whole.append(line)
        else:
            whole[-1] += f" {line}"
    return [part for line in whole for part in textwrap.wrap(line, width) or [""]]


def amount(limits: tuple[int, int | None]) -> str:
    """ "2", "1 or more", "1 to 3"."""
    low, high = limits
    if high is None:
        return f"{low} or more"
    return str(low) if low == high else f"{low} to {high}"


def fields(message: type[Message], indent: str = "  ") -> list[str]:
    """A field a line: name, type, default, meaning. Nested messages that are this layer's alone
    are shown too; shared ones (fillers) by name."""
    specs = sorted(message.specs.values(), key=lambda s: s.number)
    names = [f"{spec.name}: {kind(spec)}" for spec in specs]
    width = max(map(len, names), default=0) + 2
    room = max(30, columns() - width - len(indent))
    lines = []
    for spec, name in zip(specs, names):
        notes = [spec.doc]
        if spec.enum_type is not None and len(spec.enum_type) < 8:
            notes.append(" | ".join(spec.enum_type.__members__))
        if spec.bounds:
            notes.append(str(spec.bounds))
        text = "; ".join(note for note in notes if note) + default(spec)
        first, *rest = textwrap.wrap(text, room) or [""]
        lines.append(f"{indent}{name:<{width}}{first}".rstrip())
        lines += [f"{indent}{'':<{width}}{line}" for line in rest]
    return lines


def kind(spec: FieldSpec) -> str:
    """ "repeated uint32"."""
    return ("repeated " if spec.repeated else "") + spec.type_name


def default(spec: FieldSpec) -> str:
    """ " (default 1)", or what else is to know."""
    if spec.required:
        return " (required)"
    if spec.deprecated:
        return " (old)"
    if spec.default is None:
        return ""
    value = spec.default
    if isinstance(value, bool):
        return f" (default {str(value).lower()})"
    shown = getattr(value, "name", None) or (f"{value:g}" if isinstance(value, float) else value)
    return f" (default {shown})"


def example(cls: type[Layer]) -> list[str]:
    """The first case: a layer in text, its inputs and what comes out. The tests run it."""
    case = cls.cases[0]
    net = parse_net(case.net_text(), "<example>")
    lines = ["  layer {", *(f"    {x}" for x in str(net.layer[-1]).rstrip().split("\n")), "  }"]
    values = [*case.inputs.items(), *zip((f"parameter {i}" for i in range(9)), case.params)]
    for name, value in [*values, *case.outputs.items()]:
        lines += case.shown(value, before=f"  {name} = ").split("\n")
    return [line.rstrip() for line in lines]

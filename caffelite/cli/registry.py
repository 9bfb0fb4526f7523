"""Which commands there are: read from the files of this folder, none of which is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

GROUPS = {
    "run": "train and use",
    "look": "look and check",
    "files": "files",
    "data": "data",
    "more": "more",
}
"""The titles of the overview, in order; a command's GROUP is one of these."""

_DOC = re.compile(r'\s*"""(.*?)(?:\n\s*\n|[.:][\s"]|""")', re.DOTALL)
_GROUP = re.compile(r'^GROUP = "(\w+)"(?:\nORDER = (\d+))?', re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One command: a module of this folder."""

    name: str
    summary: str
    """The docstring's first words, up to a full stop or a colon."""
    group: str
    order: int = 50
    """Its place in the group; equal ones go by name."""

    def load(self) -> ModuleType:
        """Its module, imported."""
        return import_module(f"caffelite.cli.{self.name.replace('-', '_')}")


@lru_cache(maxsize=1)
def commands() -> dict[str, Command]:
    """All commands by name, in the order of the overview."""
    found = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "\ndef add_arguments(" not in text or "\ndef run(" not in text:
            continue
        doc, group = _DOC.match(text), _GROUP.search(text)
        summary = " ".join(doc[1].split()) if doc else ""
        name = path.stem.replace("_", "-")
        title = group[1] if group and group[1] in GROUPS else "more"
        order = int(group[2] or 50) if group else 50
        found.append(Command(name, summary, title, order))
    found.sort(key=lambda c: ([*GROUPS].index(c.group), c.order))
    return {command.name: command for command in found}

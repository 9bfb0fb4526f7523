"""What became of parameters that were copied from a file into a net."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field


@dataclass
class Report:
    """What `copy_weights` did, by layer name."""

    path: str = ""
    copied: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """In the file, not in the net."""
    missing: list[str] = field(default_factory=list)
    """In the net, not in the file: these keep their values."""
    mismatched: dict[str, str] = field(default_factory=dict)
    """In both, but of different shapes: which. These keep their values too."""

    def __str__(self) -> str:
        """A table: what became of the layers, how many, which."""
        rows = [
            ("copied", "", self.copied),
            ("skipped", "only in the file", self.skipped),
            ("missing", "only in the net, left as they are", self.missing),
        ]
        lines = []
        for word, note, names in rows:
            if names or word == "copied":
                text = ", ".join(names) + (f" ({note})" if note else "")
                lines += _row(word, str(len(names)), text)
        for i, (name, why) in enumerate(self.mismatched.items()):
            head = ("", "") if i else ("mismatched", str(len(self.mismatched)))
            lines += _row(*head, f"{name}: {why}")
        return "\n".join(lines)


def _row(word: str, count: str, text: str, width: int = 76) -> list[str]:
    head = f"{word:<10} {count:>4}  "
    lines = textwrap.wrap(text, width - len(head), break_on_hyphens=False) or [""]
    rest = [" " * len(head) + line for line in lines[1:]]
    return [(head + lines[0]).rstrip(), *rest]

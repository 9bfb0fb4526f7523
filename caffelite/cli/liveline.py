"""The words of the live line, and which of them fit a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAP = "  "
BAR = 16


@dataclass(frozen=True)
class Part:
    """One column: its text, and how readily it is given up (0: never)."""

    text: str
    gives_way: int = 0


def fitted(parts: Sequence[Part], width: int) -> str:
    """The parts in one line of at most `width` letters. Where there is no room for all, those that
    give way most readily are left out; what then is still too long is cut."""
    chosen = [part for part in parts if part.text]
    while len(GAP.join(part.text for part in chosen)) > width:
        most = max(chosen, key=lambda part: part.gives_way)
        if not most.gives_way:
            break
        chosen.remove(most)
    return GAP.join(part.text for part in chosen)[: max(0, width)]


def bar(done: int, total: int, width: int = BAR) -> str:
    """[=====>    ]"""
    filled = min(width, round(width * done / max(1, total)))
    head = ">" if 0 < filled < width else ""
    return f"[{'=' * (filled - len(head))}{head}{' ' * (width - filled)}]"


def rate(per_second: float, what: str) -> str:
    """ "12,345 samples/s", "0.52 samples/s"."""
    if per_second >= 10:
        return f"{per_second:,.0f} {what}/s"
    return f"{per_second:.2f} {what}/s" if per_second else ""


def clock(seconds: float) -> str:
    """1:02:03, 2:03 or 0:03."""
    whole = int(seconds + 0.5)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""Comments that switch a warning off: `# allow: softmax-twice, no-scale`."""

from __future__ import annotations

import re
from functools import lru_cache

from caffelite.errors import Source
from caffelite.judge.doubt import Doubt

_COMMENT = re.compile(r"#(?:.*;)?\s*allow:\s*([a-z0-9-]+(?:\s*,\s*[a-z0-9-]+)*)\s*(?:$|[#(:])")
_LAYER = re.compile(r"\s*layers?\s*[:{<]")


def allowed(doubt: Doubt) -> bool:
    """Does a comment in the text switch this one off?"""
    if doubt.span is None:
        return False
    whole, lines = _comments(doubt.span.source)
    line = doubt.span.line
    if doubt.name in whole or not lines:
        return doubt.name in whole
    places = {line, line - 1}
    text = doubt.span.source.lines
    head = next((n for n in range(line, 0, -1) if _LAYER.match(text[n - 1])), None)
    if head is not None:
        places |= {head, head - 1}
    return any(doubt.name in lines.get(place, ()) for place in places)


@lru_cache(maxsize=16)
def _comments(source: Source) -> tuple[frozenset[str], dict[int, frozenset[str]]]:
    """The names that are allowed in the whole text, and those of single lines."""
    whole: set[str] = set()
    lines: dict[int, frozenset[str]] = {}
    if "allow:" not in source.text:
        return frozenset(), lines
    before_all = True
    for number, line in enumerate(source.lines, 1):
        stripped = line.strip()
        before_all = before_all and (not stripped or stripped.startswith("#"))
        found = _COMMENT.search(line)
        if found is None:
            continue
        names = frozenset(name.strip() for name in found[1].split(","))
        if before_all:
            whole |= names
        else:
            lines[number] = names
    return frozenset(whole), lines

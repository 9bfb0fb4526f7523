"""Text in the protobuf text format → a tree of blocks, every part with its place."""

from __future__ import annotations

from caffelite.errors import ParseError, Problem, Source
from caffelite.text.quick import read_quickly
from caffelite.text.tree import Block

MAX_DEPTH = 100


def parse(source: Source) -> Block:
    """The tree of a whole text. Raises ParseError at the first mistake.

    Line ends may be LF, CRLF or CR, and a byte-order mark is skipped. Blocks may be nested 100
    deep, as in protobuf.
    """
    source = normalised(source)
    root = read_quickly(source)
    if root is None:
        from caffelite.text.grammar import parse_by_grammar

        root = parse_by_grammar(source)
    _refuse_deep_nesting(root)
    return root


def normalised(source: Source) -> Source:
    """The same source with LF line ends and without a byte-order mark."""
    text = source.text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.removeprefix("\ufeff")
    return source if text is source.text else Source(source.name, text)


def _refuse_deep_nesting(root: Block) -> None:
    level = [root]
    for _ in range(MAX_DEPTH + 1):
        level = [f.value for block in level for f in block.fields if isinstance(f.value, Block)]
        if not level:
            return
    raise ParseError(
        Problem(
            f"blocks are nested more than {MAX_DEPTH} deep",
            level[0].span,
            hint="is a closing } missing further up?",
        )
    )

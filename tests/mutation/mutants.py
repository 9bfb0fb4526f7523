"""Mutants of a module: its text with one small mistake in what it does.

What is only said or declared stays as it is: docstrings, messages, `cases`, type hints, asserts.

So do numbers that are declared `NAME: Tuned = …` (caffelite/kernels/tuned.py), and comparisons with
them: which of two ways is taken is then a matter of speed. That the ways give the same is not taken
for granted: tests/kernels/test_tuned.py tries each such number as 1 and 16 times as large. What is
made of the number otherwise (the size of a part, say) is changed like all else, and so are numbers
that bound memory, which are not declared in that way.

And what cannot be told from the mistake: `reshape(-2)`, which NumPy takes as `reshape(-1)`, and
`return None` for `return False`.
"""

from __future__ import annotations

import ast
import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.MatMult: ast.Sub,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
PAIRS = "min max, minimum maximum, any all, floor ceil, add subtract, multiply divide, greater less"
NAMES = {a: b for pair in PAIRS.split(",") for a, b in (pair.split(), pair.split()[::-1])}

MESSAGES = {"fail", "warn", "mistake", "note", "Problem", "CaffeliteError", "param_of"}
"""Calls whose arguments are words for people, and their place."""
SPARED = {"doc", "expected", "hint", "message", "strict"}
"""Arguments that are words for people, or an assertion as zip's `strict` is."""


@dataclass(frozen=True)
class Mutant:
    """One mistake: the source from `start` to `end` (bytes) becomes `after`."""

    path: str  # from the root of the repository, with /
    line: int
    where: str  # the functions and classes around it: Eltwise.setup
    start: int
    end: int
    before: str
    after: str
    turn: int = 1
    """Which one of those that read the same in that scope, from 1."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.where}: {self.change}"

    @property
    def change(self) -> str:
        turn = f" ({self.turn})" if self.turn > 1 else ""
        return f"{' '.join(self.before.split())} -> {' '.join(self.after.split())}{turn}"

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.end :]


@functools.cache
def mutants_of(root: Path, path: str) -> list[Mutant]:
    """Every mutant of the module, in the order of its text."""
    source = (root / path).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: list[Mutant] = []
    turns: Counter[tuple[str, str, str]] = Counter()
    tree = ast.parse(source)
    for node, text, where in changes(tree, (), about_speed(tree) | rests(tree)):
        start = starts[node.lineno - 1] + node.col_offset
        assert node.end_lineno and node.end_col_offset is not None
        end = starts[node.end_lineno - 1] + node.end_col_offset
        before = source[start:end].decode()
        name = ".".join(where) or "module"
        turns[name, before, text] += 1
        turn = turns[name, before, text]
        found.append(Mutant(path, node.lineno, name, start, end, before, text, turn))
    return found


Place = ast.expr | ast.stmt
Change = tuple[Place, str, tuple[str, ...]]


def changes(node: ast.AST, where: tuple[str, ...], spared: set[ast.AST]) -> Iterator[Change]:
    """The nodes below but those that are spared, each with a text to put in its place and the
    scopes around it."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        where = (*where, node.name)
    if node not in spared:
        for place, text in swaps(node):
            if place not in spared:
                yield place, text, where
        for child in parts(node):
            yield from changes(child, where, spared)


def about_speed(module: ast.Module) -> set[ast.AST]:
    """The declarations of tuned numbers, and the comparisons with them."""
    tuned: dict[str, ast.AST] = {
        ast.unparse(node.target): node
        for node in module.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "Tuned"
    }

    def names(node: ast.AST) -> set[str]:
        return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}

    compared = (node for node in ast.walk(module) if isinstance(node, ast.Compare))
    return {*tuned.values(), *(node for node in compared if names(node) & tuned.keys())}


def rests(module: ast.Module) -> set[ast.AST]:
    """The 1 of each -1 in the shapes that `reshape` is given."""
    calls = (node for node in ast.walk(module) if isinstance(node, ast.Call))
    sizes = (size for call in calls if called(call) == "reshape" for size in call.args)
    return {
        size.operand
        for size in sizes
        if isinstance(size, ast.UnaryOp) and ast.unparse(size) == "-1"
    }


def parts(node: ast.AST) -> Iterator[ast.AST]:
    """The children that do something."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        if node.name in ("__repr__", "__str__"):
            return
        if isinstance(node, ast.FunctionDef):
            yield from filter(None, [*node.args.defaults, *node.args.kw_defaults])
        yield from node.body
    elif isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        yield from node.orelse
    elif isinstance(node, ast.AnnAssign):
        if node.value and not is_alias(node) and not said(node):
            yield node.value
    elif said(node):
        return
    elif isinstance(node, ast.Call) and called(node) == "cast":
        yield from node.args[1:]
    elif isinstance(node, ast.keyword) and node.arg in SPARED:
        return
    else:
        yield from ast.iter_child_nodes(node)


def said(node: ast.AST) -> bool:
    """Examples, lists of names, and messages."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return ast.unparse(target) in ("cases", "__all__")
    return isinstance(node, ast.Call) and called(node) in MESSAGES


def is_alias(node: ast.AnnAssign) -> bool:
    return "TypeAlias" in ast.unparse(node.annotation)


def called(node: ast.Call) -> str:
    """The last part of the name of what is called."""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def swaps(node: ast.AST) -> Iterator[tuple[Place, str]]:
    """The mistakes that can be made at this very node."""
    if isinstance(node, ast.Compare):
        new = COMPARISONS.get(type(node.ops[0]))
        if new and len(node.ops) == 1:
            yield node, f"({ast.unparse(ast.Compare(node.left, [new()], node.comparators))})"
    elif isinstance(node, ast.BinOp):
        swap = OPERATORS.get(type(node.op))
        if swap and not (is_text(node.left) or is_text(node.right)):
            yield node, f"({ast.unparse(ast.BinOp(node.left, swap(), node.right))})"
    elif isinstance(node, ast.AugAssign):
        swap = OPERATORS.get(type(node.op))
        if swap and not is_text(node.value):
            yield node, ast.unparse(ast.AugAssign(node.target, swap(), node.value))
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield node, f"({ast.unparse(ast.BoolOp(other, node.values))})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield node, f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield node, str(not node.value)
        elif isinstance(node.value, (int, float)):
            yield node, f"({node.value + 1!r})"
    elif isinstance(node, ast.Call):
        name = called(node)
        if name in NAMES:
            start = ast.unparse(node.func)[: -len(name)]
            yield node.func, start + NAMES[name]
    elif isinstance(node, (ast.If, ast.IfExp)) and ast.unparse(node.test) != "TYPE_CHECKING":
        for forced in ("True", "False"):
            yield node.test, forced
    elif isinstance(node, ast.Return):
        if node.value and ast.unparse(node.value) not in ("None", "False"):
            yield node, "return None"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield node, "pass"


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )

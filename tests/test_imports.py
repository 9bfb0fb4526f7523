"""Imports go one way, from text to pictures: no module imports from a room after its own."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import caffelite

PACKAGE = Path(caffelite.__file__).parent

WAY: list[tuple[str, ...]] = [
    ("collecting", "errors", "filetypes", "version"),
    ("optional",),
    ("examples", "reading"),
    ("text",),
    ("schema",),
    ("blob", "streams", "paths", "mode", "hdf5", "seal"),
    ("fillers", "kernels"),
    ("data",),
    ("layers",),
    ("files",),
    ("protobufs",),
    ("plan",),
    ("deploy",),
    ("report", "draw"),
    ("weights",),
    ("run",),
    ("onnx",),
    ("engines",),
    ("net",),
    ("gradcheck", "testing"),
    ("snapshot",),
    ("parallel",),
    ("solver",),
    ("judge",),
    ("",),  # caffelite itself: the public names
    ("use",),
    ("pycaffe", "dnn"),
    ("plot", "web", "guides", "cli"),
    ("__main__",),
]
RANK = {room: rank for rank, rooms in enumerate(WAY) for room in rooms}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """The modules that the code imports, with lines; those for type checkers alone left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = module.split(".")[: None if is_package else -1]
                up = up[: len(up) - node.level + 1]
                base = ".".join([*up, base]).rstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield (full if full in MODULES else base), node.lineno
        else:
            yield from imports(node, module, is_package)


def imports_of(module: str) -> list[tuple[str, int]]:
    path = MODULES[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return list(imports(tree, module, path.name == "__init__.py"))


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def steps_back(module: str, found: list[tuple[str, int]]) -> list[str]:
    rank = RANK[room(module)]
    return [
        f"{module}:{line} imports {name}"
        for name, line in found
        if name.split(".")[0] == "caffelite" and RANK[room(name)] > rank
    ]


def test_every_module_has_its_place_on_the_way() -> None:
    unplaced = sorted({room(m) for m in MODULES} - RANK.keys())
    assert not unplaced, f"give {unplaced} a place in WAY"


@pytest.mark.parametrize("module", MODULES)
def test_no_import_steps_back(module: str) -> None:
    assert not steps_back(module, imports_of(module))


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {m: {n for n, _ in imports_of(m) if n in MODULES and n != m} for m in MODULES}
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> None:
        assert module not in way, "a circle: " + " → ".join([*way[way.index(module) :], module])
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, [*way, module])
            done.add(module)

    for module in graph:
        if module != "caffelite":
            visit(module, [])


def test_kernels_need_numpy_and_little_else() -> None:
    for module in MODULES:
        if room(module) != "kernels":
            continue
        for name, line in imports_of(module):
            top = name.split(".")[0]
            own = top == "caffelite" and room(name) in ("kernels", "blob", "errors")
            known = own or top in ("numpy", "threadpoolctl") or top in sys.stdlib_module_names
            assert known, f"{module}:{line} imports {name}"


def test_a_planted_step_back_is_seen() -> None:
    code = "def f():\n    from caffelite import net\n    from ..plan.graph import Graph\n"
    found = list(imports(ast.parse(code), "caffelite.text.parse", False))
    assert found == [("caffelite.net", 2), ("caffelite.plan.graph", 3)]
    assert len(steps_back("caffelite.text.parse", found)) == 2
    assert steps_back("caffelite.cli", found) == []

"""Every field that is accepted does something, or says that it does not.

What reads a field is looked for in the text of the code: in the modules that a layer is made of
(its classes' own, and those that they import of layers and data), or, for messages of no layer, in
all of the package. A field that is found nowhere must be declared to be idle, with the reason; one
that is declared so must not be read."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import caffelite
from caffelite.layers import registry
from caffelite.layers.base import Layer
from caffelite.schema.common import BlobProto, FillerParameter
from caffelite.schema.message import FieldSpec, Message, field
from caffelite.schema.net import (
    LayerParameter,
    NetParameter,
    NetState,
    NetStateRule,
    ParamSpec,
)
from caffelite.schema.solver import SolverParameter, SolverState

PACKAGE = Path(caffelite.__file__).parent
NETWORK = "caffelite.layers.base"
OWN = ("caffelite.layers", "caffelite.data")
SHARED = (NetParameter, LayerParameter, NetState, NetStateRule, ParamSpec, SolverParameter)
STORED = (SolverState, BlobProto, FillerParameter)


class Reads:
    """The names that a module's text reads: attributes, and words in quotes; of words that are put
    together (f"{name}_h") what they end with."""

    def __init__(self, path: Path) -> None:
        self.names: set[str] = set()
        self.ends: set[str] = set()
        self.imports: list[Path] = []
        for node in _code(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                self.names.add(node.attr)
            elif isinstance(node, ast.Constant) and str(node.value).isidentifier():
                self.names.add(str(node.value))
            elif isinstance(node, ast.JoinedStr):
                last = node.values[-1]
                if isinstance(last, ast.Constant) and str(last.value).startswith("_"):
                    self.ends.add(str(last.value))
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OWN):
                self.imports += _files(node)

    def reads(self, name: str) -> bool:
        return name in self.names or any(name.endswith(end) for end in self.ends)


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree, without declarations of fields and examples of layers."""
    called = tree.func.id if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) else ""
    if called not in ("field", "repeated", "Case"):
        yield tree
        for child in ast.iter_child_nodes(tree):
            yield from _code(child)


def _files(node: ast.ImportFrom) -> Iterator[Path]:
    module = PACKAGE.parent / str(node.module).replace(".", "/")
    for path in (module.with_suffix(".py"), *(module / f"{a.name}.py" for a in node.names)):
        if path.is_file() and node.module != NETWORK:
            yield path


@cache
def reads(path: Path) -> Reads:
    return Reads(path)


def modules_of(cls: type[Layer]) -> list[Path]:
    """The modules that a layer is made of."""
    todo = [Path(str(inspect.getsourcefile(c))) for c in cls.__mro__ if c not in (Layer, object)]
    found: list[Path] = []
    while todo:
        path = todo.pop()
        if path not in found:
            found.append(path)
            todo += reads(path).imports
    return found


def unread(cls: type[Layer]) -> Iterator[str]:
    """The fields of a layer's messages that its modules do not read, and nobody says so."""
    texts = [reads(path) for path in modules_of(cls)]
    for holder, message in cls.messages().items():
        for spec in message.specs.values():
            idle = spec.idle or spec.deprecated or f"{holder}.{spec.name}" in cls.idle
            if not idle and not any(text.reads(spec.name) for text in texts):
                yield f"{holder}.{spec.name}"


@pytest.mark.parametrize("name", sorted(registry))
def test_a_layer_reads_its_fields_or_says_that_it_does_not(name: str) -> None:
    assert list(unread(registry[name])) == []


@pytest.mark.parametrize("message", [*SHARED, *STORED], ids=lambda m: m.__name__)
def test_fields_of_no_layer_are_read_or_idle(message: type[Message]) -> None:
    texts = [reads(path) for path in PACKAGE.rglob("*.py") if "legacy" not in path.name]
    missing = [
        spec.name
        for spec in message.specs.values()
        if not (spec.idle or spec.deprecated or spec.message_type)
        and not any(spec.name in text.names for text in texts)
    ]
    assert missing == []


def test_what_a_layer_says_it_does_not_follow_is_there() -> None:
    for name, cls in registry.items():
        for path in cls.idle:
            holder, _, inner = path.partition(".")
            assert holder in cls.messages(), name
            assert inner in cls.messages()[holder].specs, name


def test_a_field_that_nobody_reads_is_found() -> None:
    class OddParameter(Message):
        neverland: int = field(1, "int32")
        wonderland: int = field(2, "int32", idle="it is for another day")

    class Odd(Layer):
        @classmethod
        def messages(cls) -> dict[str, type[Message]]:
            return {"odd_param": OddParameter}

    odd = [spec for spec in OddParameter.specs.values() if isinstance(spec, FieldSpec)]
    assert [spec.idle for spec in odd] == ["", "it is for another day"]
    assert odd[1].doc == "accepted, of no effect: it is for another day"
    assert list(unread(Odd)) == ["odd_param.never" + "land"]  # in one word this text would read it

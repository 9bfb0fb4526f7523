"""Where the layers are: which module declares each type, and each message that a layer reads.

A module of layers is imported when a net first names a type of its own, or gives a field of one:
a command imports the few layers that its net has. There is no list to keep. What is where is read
from the modules' text, in two milliseconds, and a new layer is one new file with these statements:

    @register
    class Pooling(Layer):

    class PoolingParameter(LayerMessage, field="pooling_param", number=121):

        python = (("proposal_layer", "ProposalLayer"),)

A class may set `type = "..."` in a line of its own, and `field` may be a constant of the module.
Where the package comes without its text, as in an archive, all modules are imported at once.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from importlib import import_module
from typing import NamedTuple

from caffelite.schema.late import Late
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter

_LAYER = re.compile(rb"\n@register\r?\nclass (\w+)")
_NEXT = re.compile(rb"\n(?:class |def |@)")
_TYPE = re.compile(rb'\n    type(?:: [^=\n]+)? = "([^"\n]+)"')
_MESSAGE = re.compile(
    rb'\nclass (\w+)\(\s*LayerMessage,\s*field=(?:"(\w+)"|(\w+)),\s*number=(\d+),?\s*\)'
)
_PYTHON = re.compile(rb"\n    python(?:: [^=\n]+)? = \(")
_PACKAGE = "caffelite.layers"
_BESIDE = "caffelite.schema.data"
"""Declares the messages of data layers, which old formats read too."""


class Declaration(NamedTuple):
    """A message of a layer: its class, its field's number in LayerParameter, its module."""

    message: str
    number: int
    module: str

    def find(self) -> type[Message]:
        """The class, its module imported."""
        cls: type[Message] = getattr(import_module(self.module), self.message)
        return cls


@dataclass
class Index:
    """What the modules of layers declare."""

    types: dict[str, str] = field(default_factory=dict)
    """The module of each type of layer."""
    messages: dict[str, Declaration] = field(default_factory=dict)
    """The messages, by their fields in LayerParameter."""
    python: list[str] = field(default_factory=list)
    """Types that stand for classes of Caffe's Python layers (`Layer.python`)."""

    def read(self, module: str, text: bytes) -> None:
        """Take in the text of a module."""
        text = b"\n" + text
        for layer in _LAYER.finditer(text):
            after = _NEXT.search(text, layer.end())
            end = after.start() if after else len(text)
            given = _TYPE.search(text, layer.end(), end)
            name = (given or layer)[1].decode()
            self.types[name] = module
            if _PYTHON.search(text, layer.end(), end):
                self.python.append(name)
        for cls, name, constant, number in _MESSAGE.findall(text):
            if constant:
                value = re.search(rb'\n%s = "(\w+)"' % constant, text)
                name = value[1] if value else constant
            declaration = Declaration(cls.decode(), int(number), module)
            self.messages[name.decode()] = declaration


def read_index() -> Index:
    """The index of this folder's modules, and of the one beside them."""
    index, folder = Index(), os.path.dirname(__file__)
    if os.path.isdir(folder):
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py"):
                _read(index, f"{_PACKAGE}.{name[:-3]}", os.path.join(folder, name))
        _read(index, _BESIDE, os.path.join(os.path.dirname(folder), "schema", "data.py"))
    return index


def _read(index: Index, module: str, path: str) -> None:
    with open(path, "rb") as file:
        index.read(module, file.read())


def declare_messages(index: Index) -> None:
    """Give LayerParameter the fields of all messages, the modules of which are imported when their
    fields are first used."""
    for name, declaration in index.messages.items():
        if name not in LayerParameter.specs:
            spec = Late(declaration.number, declaration.find, declaration.module)
            LayerParameter.add_field(name, spec)

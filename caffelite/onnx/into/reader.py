"""Reader: a net in the making, and the registry of the code that reads one kind of node.

Every tensor's shape and value is known from one run of the model: what depends on constants and
shapes alone is a constant here, with the value of that run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import helper

from caffelite.blob import Array, Shape
from caffelite.files import parse_net
from caffelite.onnx.names import unused
from caffelite.schema.net import LayerParameter


class Unsayable(Exception):
    """Caffe has no equivalent for a node; the message says why."""


@dataclass
class Reader:
    """The layers so far, their parameters, and what is known about the model's tensors."""

    values: Mapping[str, Array]
    """Every tensor's value in one run: shapes, and what constants are."""
    constants: set[str]
    """The tensors that do not depend on the inputs."""
    opset: int
    indices: set[str] = field(default_factory=set)
    """The tensors that are nothing but indices into constant tables."""
    written: set[str] = field(default_factory=set)
    """The tensors whose values stand in the model: whatever the batch, they are these."""
    layers: list[LayerParameter] = field(default_factory=list)
    params: dict[str, list[Array]] = field(default_factory=dict)
    blobs: dict[str, str] = field(default_factory=dict)
    """Tensor to blob; several tensors may be one blob."""
    notes: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)
    """Blobs that are made beside what is wanted; Silence takes them."""

    def shape(self, tensor: str) -> Shape:
        """The tensor's shape in the run."""
        return tuple(self.values[tensor].shape)

    def is_constant(self, tensor: str) -> bool:
        """Is its value the same whatever goes in?"""
        return tensor in self.constants

    def blob(self, tensor: str) -> str:
        """The blob that holds a tensor; a constant becomes a Parameter layer."""
        if tensor not in self.blobs:
            if not self.is_constant(tensor):
                raise Unsayable(f'it reads "{tensor}", which a node that cannot be said makes')
            value = self.values[tensor]
            if value.dtype.kind != "f":
                raise Unsayable(f'its input "{tensor}" is a constant of {value.dtype}')
            dims = " ".join(f"dim: {n}" for n in value.shape)
            self.blobs[tensor] = self.layer(
                "Parameter", [], f"parameter_param {{ shape {{ {dims} }} }}", tensor, [value]
            )
        return self.blobs[tensor]

    def constant(self, tensor: str, what: str) -> Array:
        """The value of an input that has to be a constant."""
        if not self.is_constant(tensor):
            raise Unsayable(f"its {what} depends on the inputs")
        return self.values[tensor]

    def fresh(self, name: str) -> str:
        """The name, or with a number where it is taken."""
        unique = unused(name, self.names)
        self.names.add(unique)
        return unique

    def fresh_blob(self, name: str) -> str:
        """The name of a further blob, or with a number where it is taken."""
        taken = {top for layer in self.layers for top in layer.top} | set(self.values)
        return unused(name, taken)

    def layer(
        self,
        kind: str,
        bottoms: Sequence[str],
        text: str,
        top: str | Sequence[str],
        params: Sequence[Any] = (),
    ) -> str:
        """Add a layer; gives its (first) top's blob. It is called as its top."""
        tops = [top] if isinstance(top, str) else list(top)
        name = self.fresh(tops[0] if tops else kind.lower())
        quoted = "".join(f' bottom: "{_escaped(b)}"' for b in bottoms)
        quoted += "".join(f' top: "{_escaped(t)}"' for t in tops)
        source = f'layer {{ name: "{_escaped(name)}" type: "{kind}"{quoted} {text} }}'
        self.layers.append(parse_net(source, "<import>").layer[0])
        if len(params):
            self.params[name] = [np.asarray(p, np.float32) for p in params]
        return tops[0] if tops else ""

    def silence(self) -> None:
        """Let a Silence read what nobody else does."""
        if self.unread:
            self.layer("Silence", self.unread, "", [])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


class Node:
    """One node of the model, with what its reader needs at hand."""

    def __init__(self, proto: Any, reader: Reader) -> None:
        self.proto, self.reader = proto, reader
        self.inputs, self.outputs = list(proto.input), list(proto.output)
        self.attrs: dict[str, Any] = {
            a.name: helper.get_attribute_value(a) for a in proto.attribute
        }

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute; text as str."""
        value = self.attrs.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def has(self, index: int) -> bool:
        """Is there an input of that number?"""
        return index < len(self.inputs) and bool(self.inputs[index])

    def bottom(self, index: int = 0) -> str:
        """The blob of an input."""
        return self.reader.blob(self.inputs[index])

    def shape(self, index: int = 0) -> Shape:
        """The shape of an input."""
        return self.reader.shape(self.inputs[index])

    def out_shape(self, index: int = 0) -> Shape:
        """The shape of an output."""
        return self.reader.shape(self.outputs[index])

    def value(self, index: int, what: str) -> Array:
        """The value of an input that has to be a constant."""
        return self.reader.constant(self.inputs[index], what)

    def optional(self, index: int, name: str, default: Any = None) -> Any:
        """What later opsets have as an input and earlier ones as an attribute, as a list."""
        if self.has(index):
            return self.value(index, name).tolist()
        return self.attr(name, default)

    def make(
        self, kind: str, text: str = "", bottoms: Sequence[str] | None = None, params: Any = ()
    ) -> None:
        """The layer that makes output 0."""
        bottoms = [self.bottom()] if bottoms is None else bottoms
        top = self.outputs[0]
        self.reader.blobs[top] = self.reader.layer(kind, bottoms, text, top, params)

    def part(self, kind: str, text: str, bottoms: Sequence[str], params: Any = ()) -> str:
        """A layer on the way to output 0; its blob."""
        top = self.reader.fresh_blob(f"{self.outputs[0]}/{kind.lower()}")
        return self.reader.layer(kind, bottoms, text, top, params)

    def same(self) -> None:
        """Output 0 is input 0."""
        self.reader.blobs[self.outputs[0]] = self.bottom()


Read = Callable[[Node], None]
registry: dict[str, Read] = {}
"""How each kind of node is read."""


def reads(*kinds: str) -> Callable[[Read], Read]:
    """Register a function for kinds of nodes: it adds the layers that make all outputs, or raises
    Unsayable."""

    def register(function: Read) -> Read:
        for kind in kinds:
            registry[kind] = function
        return function

    return register


def number(value: float) -> str:
    """A float as text that reads back as the same float32."""
    return repr(float(np.float32(value)))

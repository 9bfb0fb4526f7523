"""The vectors that pycaffe's module `_caffe` has: lists, under its names."""

from __future__ import annotations

from typing import Any

from caffelite.blob import Blob
from caffelite.layers.base import Layer
from caffelite.layers.hosting import BlobVec as BlobVec
from caffelite.layers.python import Python


class RawBlobVec(list[Blob]):
    """Blobs that a layer is given."""


class IntVec(list[int]):
    """Whole numbers: places in lists."""


class StringVec(list[str]):
    """Names."""


class DtypeVec(list[float]):
    """Numbers."""


class BoolVec(list[bool]):
    """Yes or no."""


class NetVec(list[Any]):
    """Nets."""


class NetLayer:
    """A layer as pycaffe shows it: its type and its parameters."""

    def __init__(self, layer: Layer) -> None:
        self.name, self.type = layer.name, layer.type
        self.blobs = BlobVec(layer.params)
        self.layer = layer
        """The layer itself, by caffelite's own contract."""

    def __repr__(self) -> str:
        return f"<Layer {self.name!r} {self.type}>"


class LayerVec(list[Any]):
    """The layers of a net."""


def shown(layer: Layer) -> Any:
    """What `net.layers` has for a layer: of one that is a class in Python the very object."""
    return layer.host.code if isinstance(layer, Python) else NetLayer(layer)

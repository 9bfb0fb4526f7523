"""caffe.Layer: the base of classes that `Python` layers run. (`caffelite.Layer` is another
contract: that of caffelite's own layers.)"""

from __future__ import annotations

from typing import Any

from caffelite.blob import Blob
from caffelite.layers.hosting import BlobVec
from caffelite.layers.python import Python


class Layer:
    """A layer in Python, with pycaffe's methods. A subclass defines `setup`, `reshape`, `forward`
    and, if gradients go through it, `backward`; `caffelite layers Python` says more."""

    blobs: BlobVec
    """The parameters."""
    param_str: str
    """What the net's text says in `python_param { param_str }`."""
    param_str_: str
    """The same, by its older name."""
    phase: int
    """caffe.TRAIN or caffe.TEST."""
    type: str = Python.type

    def __init__(self, param: Any = None) -> None:
        pass

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Once: read `param_str`, add parameters."""

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Before every forward pass: give the tops their shapes."""

"""`caffe.proto`: where scripts find `caffe_pb2`, imported or by its name alone."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """`caffe_pb2`, without an import of its own: pycaffe has imported it."""
    if name == "caffe_pb2":
        return import_module(f"{__name__}.caffe_pb2")
    raise AttributeError(f"module 'caffe.proto' has no attribute {name!r}")

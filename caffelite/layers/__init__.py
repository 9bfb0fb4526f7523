"""The layers. One file each; a new file in this folder is found, registered, documented by
`caffelite layers` and held to the contract tests."""

from __future__ import annotations

import importlib
import pkgutil

from caffelite.layers.base import Layer, LossLayer, find, param_of, register, registry
from caffelite.layers.spec import Factory

__all__ = ["Layer", "LossLayer", "find", "param_of", "register", "registry"]


def __getattr__(name: str) -> Factory:
    """`from caffelite import layers as L`: the types of layers, for `NetSpec`."""
    if name in registry:
        return Factory(name)
    raise AttributeError(f"there is no layer type {name!r}")


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def __dir__() -> list[str]:
    """The types of layers, as `L` offers them."""
    return sorted(registry)

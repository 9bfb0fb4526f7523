"""The layers. One file each; a new file in this folder is found (see `index`), documented by
`caffelite layers` and held to the contract tests."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from caffelite.layers.base import Layer, LossLayer, find, param_of, register, registry
from caffelite.layers.spec import Factory

__all__ = ["Layer", "LossLayer", "find", "param_of", "register", "registry"]


def __getattr__(name: str) -> Any:
    """`from caffelite import layers as L`: the types of layers, for `NetSpec`; and the modules."""
    if name in registry:
        return Factory(name)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"there is no layer type {name!r}")


def __dir__() -> list[str]:
    """The types of layers, as `L` offers them."""
    return sorted(registry)


if not registry:  # a package without its text
    for _module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{_module.name}")

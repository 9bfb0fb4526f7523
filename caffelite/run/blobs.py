"""NetBlob: a blob of a net, whose arrays its executor fetches when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from caffelite.blob import Array, Blob, Shape
from caffelite.run.executor import Executor
from caffelite.run.names import Named
from caffelite.run.program import DIFF


class NetBlob(Blob):
    """The last version of a blob. `data` and `diff` are host arrays with the values as the last
    pass left them; what is written into them is what the next pass reads."""

    __slots__ = ("_name", "_owner")

    def __init__(self, owner: Executor, name: str, free: bool) -> None:
        self._owner, self._name = owner, name
        self._on_reshape: Callable[[Shape], None] | None = (
            partial(owner.give_shape, name) if free else None
        )

    @property
    def data(self) -> Array:
        """The values."""
        return self._owner.look(self._name)

    @data.setter
    def data(self, values: object) -> None:
        self._refuse("data")

    @property
    def diff(self) -> Array:
        """The gradient of the objective with respect to `data`."""
        return self._owner.look(self._name, DIFF)

    @diff.setter
    def diff(self, values: object) -> None:
        self._refuse("diff")

    @property
    def shape(self) -> Shape:
        return self._owner.shape_of(self._name)

    @property
    def dtype(self) -> np.dtype:
        return self._owner.dtype


def blobs_of(executor: Executor, free: bool = False) -> Mapping[str, Blob]:
    """All blobs by name, in the order of their first appearance. Those that are filled from
    outside may be reshaped; if `free`, all. (The executor does not hold them: a circle would keep
    a net's memory and files until the garbage collector comes by.)"""
    graph = executor.plan.graph
    fed = {v.name for n in graph.nodes if n.cls.fed for v in n.tops}
    blobs = {name: NetBlob(executor, name, free or name in fed) for name in graph.blobs}
    return MappingProxyType(Named(blobs))

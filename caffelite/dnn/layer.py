"""A layer of a net, as OpenCV shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from caffelite.blob import Array
from caffelite.dnn.running import matrix

if TYPE_CHECKING:
    from caffelite.dnn.net import Net


class Layer:
    """A layer as `Net.getLayer` gives it: `name`, `type`, `blobs`."""

    def __init__(self, net: Net, name: str, kind: str, tops: Sequence[str]) -> None:
        self._net, self.name, self.type, self._tops = net, name, kind, tops

    @property
    def blobs(self) -> tuple[Array, ...]:
        """Copies of the parameters. Those of one axis are (n, 1), as OpenCV shows them."""
        return tuple(matrix(b.data).copy() for b in self._net._params(self.name))

    @blobs.setter
    def blobs(self, values: Sequence[Any]) -> None:
        for number, value in enumerate(values):
            self._net.setParam(self.name, number, value)

    def outputNameToIndex(self, outputName: str) -> int:
        """Which of the layer's tops a blob is; -1: none."""
        return self._tops.index(outputName) if outputName in self._tops else -1

    def __repr__(self) -> str:
        return f"<Layer {self.name!r} {self.type}>"

"""TorchPasses: one layer by itself on PyTorch's kernels, for the contract that layers are held to.

check_layer("Convolution", engine="torch")          # caffelite.testing
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffelite.blob import Array, Blob
from caffelite.engines.torch import ops
from caffelite.engines.torch.device import CPU
from caffelite.engines.torch.op import Op, op_for
from caffelite.engines.torch.params import Params
from caffelite.layers.base import Arrays, Diffs, Layer

assert ops.__doc__  # imported for what it registers


class BlobParams(Params):
    """Parameters in arrays of their own, outside of any net."""

    def __init__(self, dtype: np.dtype) -> None:
        self.place, self.device, self.twins = CPU, CPU.device, []
        self.dtype = torch.float32 if dtype.itemsize == 4 else torch.float64

    def data(self, blob: Blob) -> Tensor:
        return torch.from_numpy(blob.data)

    def diff(self, blob: Blob) -> Tensor:
        return torch.from_numpy(blob.diff)


class TorchPasses:
    """The passes of a layer's op. Where PyTorch has none for this instance, a net runs the layer's
    own methods; `op` is None then."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.op: Op | None = None

    def prepare(self) -> None:
        """Make the op for the layer's shapes."""
        self.op = op_for(self.layer, BlobParams(np.dtype(self.layer.dtype)))

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        """Write the tops."""
        if self.op is None:
            self.layer.forward(bottom, top)
            return
        self.op.draw()
        found = self.op.forward([self._read(x) for x in bottom], [None] * len(top))
        self.op.check()
        for array, tensor in zip(top, found):
            array[...] = tensor.numpy()

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        """Overwrite the bottoms' gradients that are not None; add to the parameters'."""
        if self.op is None:
            self.layer.backward(top, top_diff, bottom, bottom_diff)
            return
        reads = self.layer.backward_reads
        found = self.op.backward(
            [self._read(y) if "top" in reads else None for y in top],
            [self._read(dy) for dy in top_diff],
            [self._read(x) if "bottom" in reads else None for x in bottom],
            [dx is not None for dx in bottom_diff],
            [None] * len(bottom_diff),
        )
        for array, tensor in zip(bottom_diff, found):
            if array is not None and tensor is not None:
                array[...] = tensor.numpy()

    def _read(self, array: Array) -> Tensor:
        tensor = torch.from_numpy(np.array(array))  # an op may keep what it reads
        if self.op is not None and self.op.channels_last and tensor.ndim == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor

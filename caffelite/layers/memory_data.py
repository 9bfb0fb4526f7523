"""MemoryData: arrays that a program hands over."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import DataError
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.source import SourceLayer
from caffelite.schema.data import MemoryDataParameter


@register
class MemoryData(SourceLayer):
    """Batches from arrays that the program sets: `net.layer_dict["data"].set_input_arrays(x, y)`.

    Shapes: data (N, C, H, W), label (N,); x (n, C, H, W) and y (n,), n a multiple of batch_size.
    With `dim` (naibaf7's fork, volumes) data is of that shape, and label (N, 1, …) of as many axes.
    The batches follow one another and begin again at the end. The arrays are used as they are
    (transform_param has no effect, as in Caffe) and are not copied if they have the net's type.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/memorydata.html
    """

    tested_in = "tests/data/test_array_layers.py"
    param: MemoryDataParameter = param_of(MemoryDataParameter)
    _data: Array | None = None
    _label: Array

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if p.dim:
            for name in ("batch_size", "channels", "height", "width"):
                if p.has(name):
                    self.fail(f"dim and {name} are both given", "memory_data_param", name)
            self.batch_size, *sample = map(int, p.dim)
            self._sample: Shape = tuple(sample)
            self._label_shape: Shape = (self.batch_size, *[1] * len(sample))
            return
        self._sample = (p.channels, p.height, p.width)
        if not p.batch_size or not math.prod(self._sample):
            self.fail(
                f"batch_size is {p.batch_size} and a sample {show(self._sample)}",
                "memory_data_param",
                expected="batch_size, channels, height and width of 1 or more",
            )
        self.batch_size = p.batch_size
        self._label_shape = (self.batch_size,)

    def open(self) -> None:
        self._data = None
        self._at = 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [(self.batch_size, *self._sample), self._label_shape]

    @property
    def epoch_size(self) -> int | None:
        return None if self._data is None else len(self._data)

    def set_input_arrays(self, data: Any, labels: Any) -> None:
        """Serve these samples from now on. Raises DataError if the shapes do not fit."""
        data = np.asarray(data, self.dtype)
        labels = np.asarray(labels, self.dtype)
        with self.placed("memory_data_param"):
            if data.shape[1:] != self._sample:
                raise DataError(
                    f"was given data of {show(data.shape)}, but a sample is {show(self._sample)}"
                )
            if labels.size != len(data):
                raise DataError(f"was given {len(data)} samples and {labels.size} labels")
            if not len(data) or len(data) % self.batch_size:
                raise DataError(
                    f"was given {len(data)} samples; a multiple of batch_size, {self.batch_size}, "
                    "is needed"
                )
        self._data, self._label, self._at = data, labels.reshape(-1), 0

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        if self._data is None:
            with self.placed("memory_data_param"):
                raise DataError(
                    f'has no data yet: net.layer_dict["{self.name}"].set_input_arrays(data, labels)'
                )
        rows = slice(self._at, self._at + self.batch_size)
        top[0][...] = self._data[rows]
        if len(top) > 1:
            top[1].reshape(-1)[:] = self._label[rows]
        self._at = (self._at + self.batch_size) % len(self._data)

    def state(self) -> dict[str, Any]:
        return {"at": self._at}

    def restore(self, state: dict[str, Any]) -> None:
        self._at = state.get("at", 0)

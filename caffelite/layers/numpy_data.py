"""NumpyData: arrays from NumPy's files."""

from __future__ import annotations

import math
from functools import partial

from caffelite.data.arrays import ArrayFeed
from caffelite.data.feed import Order
from caffelite.data.npy import read_arrays, read_shapes
from caffelite.errors import DataError, Problem, did_you_mean
from caffelite.layers.base import ANY, Shapes, param_of, register
from caffelite.layers.source import MOST_LABELS, FeedLayer, Labels
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class NumpyDataParameter(LayerMessage, field="numpy_data_param", number=20011):
    """A file of NumPy arrays."""

    source: str = field(1, "string", doc="a .npz file, or a .npy file for a single top")
    batch_size: int = field(2, "uint32", doc="samples per batch")
    shuffle: bool = field(3, "bool", default=False, doc="a new random order each epoch")


@register
class NumpyData(FeedLayer):
    """Rows of arrays in a .npz or .npy file.

    Each top is filled from the array of its name; if there is none, the first top from "data" and
    the second from "label". Shapes: an array (R, …) gives a top (N, …); all arrays have as many
    rows. transform_param prepares the first top. Pickled objects are refused.
    Source: numpy.savez; the layer is an extension of caffelite.
    """

    extension = "caffelite's own; numpy_data_param = 20011"
    tops = (1, ANY)
    tested_in = "tests/data/test_array_layers.py"
    place = ("numpy_data_param", "source")
    param: NumpyDataParameter = param_of(NumpyDataParameter)

    def setup(self, bottom: Shapes) -> None:
        self.check_batch_size("numpy_data_param")
        path = self.find("numpy_data_param")
        with self.placed(*self.place):
            stored = read_shapes(path)
            names = [self._name(i, top, list(stored), path) for i, top in enumerate(self.spec.top)]
            for name in names:
                shape, dtype = stored[name]
                if dtype.kind not in "fiub" or not shape:
                    raise DataError(f'"{path}": "{name}" holds {dtype} of shape {shape}, not rows')
            shapes = [stored[name][0] for name in names]
            for name, shape in zip(names, shapes):
                if shape[0] != shapes[0][0]:
                    raise DataError(
                        f'"{path}": "{name}" has {shape[0]} rows, but "{names[0]}" has '
                        f"{shapes[0][0]}"
                    )
        if not shapes[0][0]:
            self.fail(f'"{path}" holds no rows', *self.place)
        self._path, self._names, self._shapes = path, names, shapes
        first = self.prepared(shapes[0][1:])
        self.use(shapes[0][0], [first, *(shape[1:] for shape in shapes[1:])], prefetch=0)

    def order(self) -> Order:
        return self.ordered(self.param.shuffle)

    def sample_name(self, index: int) -> str:
        return f"{self._path}, row {index}"

    def make_feed(self) -> ArrayFeed:
        load = partial(read_arrays, self._path, self._names)
        shuffle, path = self.param.shuffle, self._path
        return ArrayFeed(path, load, self._shapes, shuffle, self.stream(), self.transformer())

    def label_values(self) -> Labels | None:
        if len(self._names) < 2 or math.prod(self._shapes[1]) > MOST_LABELS:
            return None
        return Labels(read_arrays(self._path, self._names[1:2])[0])

    def _name(self, index: int, top: str, stored: list[str], path: str) -> str:
        """The array for a top."""
        usual = ["data", "label"]
        if stored == [""] and len(self.spec.top) == 1:
            return ""
        if top in stored:
            return top
        if index < len(usual) and usual[index] in stored:
            return usual[index]
        raise DataError(
            Problem(
                f'"{path}" has no array for the top "{top}"',
                expected="an array of that name; there are " + (", ".join(stored) or "none"),
                hint=did_you_mean(top, stored),
            )
        )

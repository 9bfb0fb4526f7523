"""HDF5Output: writes two blobs to an HDF5 file."""

from __future__ import annotations

import os

import numpy as np

from caffelite.blob import Shape
from caffelite.errors import DataError, Problem
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.optional import need
from caffelite.schema.bind import span_of
from caffelite.schema.data import HDF5OutputParameter


@register
class HDF5Output(Layer):
    """Writes its bottoms to the data sets "data" and "label" of an HDF5 file, for HDF5Data.

    Shapes: two bottoms of the same N; as in Caffe they are stored with at least four axes, a label
    (N,) as (N, 1, 1, 1). There is no top and no gradient.

    The first forward pass begins the file anew; each further one adds its rows. (In Caffe a
    second pass is an error.)
    Source: https://caffe.berkeleyvision.org/tutorial/layers/hdf5output.html
    """

    deployed = False
    bottoms = (2, 2)
    tops = (0, 0)
    backward_reads = ()
    repeatable = False
    tested_in = "tests/data/test_hdf5.py"
    param: HDF5OutputParameter = param_of(HDF5OutputParameter)

    def setup(self, bottom: Shapes) -> None:
        path = ("hdf5_output_param", "file_name")
        if not self.param.file_name:
            self.fail("has no file_name", *path, expected="the file to write")
        folder = os.path.dirname(self.param.file_name)
        if folder and not os.path.isdir(folder):
            self.fail(f'there is no folder "{folder}" to write to', *path, hint="make it first")

    def open(self) -> None:
        self._begun = False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        if not all(bottom) or bottom[0][0] != bottom[1][0]:
            self.fail(
                f"the bottoms are {show(bottom[0])} and {show(bottom[1])}",
                "bottom",
                expected="as many rows in each",
            )
        return []

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        h5py = need("h5py", "h5py", "writing HDF5 files")
        try:
            # Closed after each pass: what is written can be read, whatever comes next.
            with h5py.File(self.param.file_name, "a" if self._begun else "w") as file:
                for name, values in zip(("data", "label"), bottom):
                    shape = values.shape + (1,) * (4 - values.ndim)
                    if name not in file:
                        limit = (None, *shape[1:])
                        file.create_dataset(name, (0, *shape[1:]), values.dtype, maxshape=limit)
                    stored = file[name]
                    stored.resize(len(stored) + len(values), axis=0)
                    stored[-len(values) :] = np.reshape(values, shape)
        except OSError as error:
            raise DataError(
                Problem(
                    f'layer "{self.name}" (HDF5Output): "{self.param.file_name}" cannot be '
                    f"written: {error}",
                    span_of(self.spec, "hdf5_output_param", "file_name"),
                )
            ) from None
        self._begun = True

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        pass

    def propagates(self, index: int) -> bool:
        return False

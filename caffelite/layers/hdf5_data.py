"""HDF5Data: rows of arrays in HDF5 files."""

from __future__ import annotations

import math
import os

import numpy as np

from caffelite.data.hdf5 import HDF5Feed, HDF5File, check_files, describe
from caffelite.data.listing import Roots, line_of, read_list
from caffelite.errors import DataError, Problem
from caffelite.layers.base import ANY, Shapes, param_of, register
from caffelite.layers.source import MOST_LABELS, FeedLayer, Labels
from caffelite.reading import shown
from caffelite.schema.data import HDF5DataParameter


@register
class HDF5Data(FeedLayer):
    """Rows of HDF5 files: the data set named as a top fills that top.

    `source` is a text file that lists HDF5 files, one a line. Shapes: a data set (R, …) gives a
    top (N, …); all data sets of a file have as many rows, and all files one shape of a row.

    The files are read one after the other, and one at a time is in memory. `shuffle` changes the
    order of the files and of the rows within each, every epoch. transform_param is refused, as in
    Caffe: the data is general and no image.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/hdf5data.html
    """

    tops = (1, ANY)
    tested_in = "tests/data/test_hdf5.py"
    place = ("hdf5_data_param", "source")
    param: HDF5DataParameter = param_of(HDF5DataParameter)

    def setup(self, bottom: Shapes) -> None:
        if self.spec.has("transform_param"):
            self.fail("does not transform its data", "transform_param", expected="none")
        self.check_batch_size("hdf5_data_param")
        path = self.find("hdf5_data_param")
        with self.placed(*self.place):
            self._files = self._describe(path)
            count = check_files(self._files)
        self.use(count, [shape[1:] for shape in self._files[0].shapes], prefetch=2)

    def make_feed(self) -> HDF5Feed:
        return HDF5Feed(self._files, self.param.shuffle, self.dtype, self.stream())

    def label_values(self) -> Labels | None:
        parts, rows = [], 0
        for file in self._files:
            rows += file.rows
            if len(file.names) < 2 or math.prod(file.shapes[1]) > MOST_LABELS - rows:
                return None
            parts.append(file.column(1).ravel())
        return Labels(np.concatenate(parts))

    def _describe(self, path: str) -> tuple[HDF5File, ...]:
        source = read_list(path)
        roots = Roots("", self.context.folder, os.path.dirname(path))
        files = []
        for number, line in enumerate(source.lines):
            for name in line.split():  # blanks separate too, as in Caffe
                found = roots.find(name)
                if found is None:
                    problem = Problem(f'there is no file "{shown(name)}"', line_of(source, number))
                    raise DataError(problem)
                files.append(describe(found, self.spec.top))
        return tuple(files)

"""Data: samples from an LMDB database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.data.datums import DatumFeed, first_shape, read_datum
from caffelite.data.feed import Order
from caffelite.data.imagefiles import Reading
from caffelite.data.lmdbs import LEVELDB_ADVICE, name_at, open_database
from caffelite.layers.base import Shapes, param_of, register
from caffelite.layers.source import FeedLayer, Labels
from caffelite.schema.data import DB, DataParameter

LOOKED_AT = 200
"""Records whose labels are looked at before a run."""


def refuse_leveldb(layer: FeedLayer, param: DataParameter) -> None:
    """LMDB alone is read."""
    if param.has("backend") and param.backend == DB.LEVELDB:
        layer.fail(
            "LevelDB is not read here",
            "data_param",
            "backend",
            expected="backend: LMDB",
            hint=LEVELDB_ADVICE,
        )


@register
class Data(FeedLayer):
    """Images and labels from an LMDB database of Datum records, in the order of their keys.

    Shapes: data (N, C, H, W), cropped to crop_size; label (N,), which may be left out.

    Records are pixels, floats, or image files (decoded as they are stored, or as force_color and
    force_gray say; colours in the order B, G, R). `transform_param` prepares them. All records
    must have one shape, unless crop_size gives them one. `prefetch` batches are made ahead in a
    thread. `rand_skip` leaves out up to so many records at the start of a run.

    Unlike Caffe this reads no LevelDB, and `backend` may be left out.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/data.html
    """

    pixels = True
    idle: ClassVar[Mapping[str, str]] = {}
    tested_in = "tests/data/test_data_lmdb.py"
    place = ("data_param", "source")
    param: DataParameter = param_of(DataParameter)

    def setup(self, bottom: Shapes) -> None:
        refuse_leveldb(self, self.param)
        self.check_batch_size("data_param")
        self._path = self.find("data_param", what="database")
        with self.placed(*self.place), open_database(self._path) as database:
            count = database.count
            self._record = first_shape(database, self._color())
        self.use(count, [self.prepared(self._record), ()], self.param.prefetch)

    @property
    def reading(self) -> Reading:
        shape = getattr(self, "_record", (3, 0, 0))  # before setup it is not known
        return Reading(shape[0] == 3, *shape[1:])

    def order(self) -> Order:
        return self.ordered(False, self.skip())

    def sample_name(self, index: int) -> str:
        return name_at(self._path, index)

    def make_feed(self) -> DatumFeed:
        skip, transformer = self.skip(), self.transformer()
        return DatumFeed(open_database(self._path), transformer, self._record, self._color(), skip)

    def label_values(self) -> Labels | None:
        with open_database(self._path) as database:
            records, _ = database.take(None, min(database.count, LOOKED_AT))
            datums = [read_datum(database, *record)[0] for record in records]
        return Labels(np.array([datum.label for datum in datums]), whole=False)

    def _color(self) -> bool | None:
        if self.transform.force_color and self.transform.force_gray:
            self.fail("force_color and force_gray are both set", "transform_param", "force_gray")
        if self.transform.force_color or self.param.force_encoded_color:
            return True
        return False if self.transform.force_gray else None

"""CsvData: rows of a table in a text file."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array
from caffelite.data.arrays import ArrayFeed
from caffelite.data.feed import Order
from caffelite.data.table import open_table
from caffelite.layers.base import Shapes, param_of, register
from caffelite.layers.source import MOST_LABELS, FeedLayer, Labels
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage

MOST_CLASSES = 100
"""A column of more different numbers is hardly a label."""


class CsvDataParameter(LayerMessage, field="csv_data_param", number=20013):
    """A table and what its columns are."""

    source: str = field(1, "string", doc="the file")
    batch_size: int = field(2, "uint32", doc="rows per batch")
    shuffle: bool = field(3, "bool", default=False, doc="a new random order each epoch")
    label: str = field(
        4,
        "string",
        default="-1",
        doc="the label's column: its name in the header, or its number (0 first, -1 last)",
    )
    classes: list[str] = repeated(5, "string", doc="where labels are names: these, in their order")
    delimiter: str = field(6, "string", default=",", doc='between the cells; "\\t" for a tabulator')
    header: bool = field(7, "bool", doc="is the first line a header? Left out: it is looked at")


@register
class CsvData(FeedLayer):
    """Rows of a table of numbers (CSV): one column is the label, the others are the data.

    Shapes: data (N, columns - 1), label (N,). With a single top all columns are data, unless
    `label` is given: then that column is left out. Empty lines are passed over; everything else
    that is not a number is an error with its line.
    transform_param's scale and mean_value apply to the data, column by column.
    Source: RFC 4180; the layer is an extension of caffelite.
    """

    extension = "caffelite's own; csv_data_param = 20013"
    tested_in = "tests/data/test_csv.py"
    place = ("csv_data_param", "source")
    param: CsvDataParameter = param_of(CsvDataParameter)

    def setup(self, bottom: Shapes) -> None:
        self.check_batch_size("csv_data_param")
        if len(self.param.delimiter) != 1:
            self.fail(
                f'the delimiter "{self.param.delimiter}" is not one character',
                "csv_data_param",
                "delimiter",
            )
        path = self.find("csv_data_param")
        header = self.param.header if self.param.has("header") else None
        with self.placed(*self.place):
            self._table = open_table(path, self.param.delimiter, header)
            rows = self._table.count_rows()
        labelled = len(self.spec.top) > 1 or self.param.has("label")
        with self.placed("csv_data_param", "label"):
            self._label = self._table.column(self.param.label) if labelled else None
        width = self._table.columns - (self._label is not None)
        if not width:
            self.fail(f'"{path}" has no column beside the label', *self.place)
        self._shapes = [(rows, width), (rows,)][: 1 if self._label is None else 2]
        self.use(rows, [self.prepared((width,)), ()], prefetch=0)

    @property
    def class_names(self) -> list[str]:
        return list(self.param.classes)

    def order(self) -> Order:
        return self.ordered(self.param.shuffle)

    def sample_name(self, index: int) -> str:
        return f"{self._table.path}, row {index}"

    def make_feed(self) -> ArrayFeed:
        shuffle, path = self.param.shuffle, self._table.path
        return ArrayFeed(path, self._load, self._shapes, shuffle, self.stream(), self.transformer())

    def label_values(self) -> Labels | None:
        if self._label is None or math.prod(self._shapes[0]) > MOST_LABELS:
            return None
        return Labels(self._load()[1])

    def other_label(self) -> str | None:
        first = self._load()[0][:, 0]
        if self.param.has("label") or not self._label:
            return None
        found = np.unique(first)
        if found[0] not in (0, 1) or len(found) > MOST_CLASSES or (found % 1).any():
            return None
        return (
            f"column 0 holds whole numbers from {found[0]:g} to {found[-1]:g}: if it is the label, "
            'write label: "0"'
        )

    def _load(self) -> list[Array]:
        return self._table.read(self._label, list(self.param.classes))

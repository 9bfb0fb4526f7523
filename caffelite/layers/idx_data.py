"""IdxData: MNIST's own files."""

from __future__ import annotations

from functools import partial

from caffelite.blob import Array
from caffelite.data.arrays import ArrayFeed
from caffelite.data.idx import read_header, read_idx
from caffelite.errors import DataError
from caffelite.layers.base import Shapes, param_of, register
from caffelite.layers.source import FeedLayer
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class IdxDataParameter(LayerMessage, field="idx_data_param", number=20012):
    """Two IDX files, and which of their entries to use."""

    images: str = field(1, "string", doc="the file of images, as train-images-idx3-ubyte.gz")
    labels: str = field(2, "string", doc="the file of labels, as train-labels-idx1-ubyte.gz")
    batch_size: int = field(3, "uint32", doc="samples per batch")
    shuffle: bool = field(4, "bool", default=False, doc="a new random order each epoch")
    first: int = field(5, "uint32", default=0, doc="the first entry to use, counted from 0")
    count: int = field(6, "uint32", default=0, doc="how many entries to use; 0: all that follow")


@register
class IdxData(FeedLayer):
    """Images and labels from IDX files, the format of MNIST and its relatives.

    Shapes: images (n, H, W) give data (N, 1, H, W), those of other axes (N, …); label (N,), which
    may be left out, and then `labels` too. Files may be compressed with gzip.

    `first` and `count` take a range of the entries, so that one pair of files can serve training
    and testing. transform_param prepares the images: scale: 0.00390625 brings bytes to [0, 1).
    Source: http://yann.lecun.com/exdb/mnist (the format); the layer is an extension of caffelite.
    """

    extension = "caffelite's own; idx_data_param = 20012"
    tested_in = "tests/data/test_array_layers.py"
    place = ("idx_data_param", "images")
    param: IdxDataParameter = param_of(IdxDataParameter)

    def setup(self, bottom: Shapes) -> None:
        self.check_batch_size("idx_data_param")
        images = self.find("idx_data_param", "images", "file of images")
        labels = None
        if len(self.spec.top) > 1:
            labels = self.find("idx_data_param", "labels", "file of labels")
        transformer = self.transformer()
        with self.placed(*self.place):
            _, shape = read_header(images)
            entries = shape[0]
            if labels is not None:
                _, label_shape = read_header(labels)
                if label_shape != (entries,):
                    raise DataError(
                        f'"{images}" has {entries} images, but "{labels}" has labels of shape '
                        f"{' x '.join(map(str, label_shape))}"
                    )
        self._range(entries)
        sample = (1, *shape[1:]) if len(shape) == 3 else shape[1:]
        with self.placed("transform_param"):
            prepared = transformer.shape(sample)
        load = partial(self._load, images, labels, sample)
        feed = ArrayFeed(load, self.param.shuffle, self.stream(), transformer)
        self.use(feed, [prepared, ()], prefetch=0)

    def _range(self, entries: int) -> None:
        first, count = self.param.first, self.param.count
        self._count = count or entries - first
        if first >= entries or first + self._count > entries:
            self.fail(
                f"entries {first} to {first + max(1, self._count) - 1} of {entries}",
                "idx_data_param",
                "count" if count else "first",
                expected=f"a range within 0 to {entries - 1}",
            )

    def _load(self, images: str, labels: str | None, sample: tuple[int, ...]) -> list[Array]:
        first = self.param.first
        pixels = read_idx(images, first, self._count).reshape(self._count, *sample)
        return [pixels] if labels is None else [pixels, read_idx(labels, first, self._count)]

    @property
    def epoch_size(self) -> int:
        return self._count

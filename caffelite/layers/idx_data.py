"""IdxData: MNIST's own files."""

from __future__ import annotations

from functools import partial

from caffelite.blob import Array, Shape
from caffelite.data.arrays import ArrayFeed
from caffelite.data.feed import Order
from caffelite.data.idx import read_header, read_idx
from caffelite.data.imagefiles import Reading
from caffelite.errors import DataError
from caffelite.layers.base import Shapes, param_of, register
from caffelite.layers.source import MOST_LABELS, FeedLayer, Labels
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

    pixels = True
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
        with self.placed(*self.place):
            _, shape = read_header(images)
            entries = shape[0]
            if labels is not None:
                _, label_shape = read_header(labels)
                self._check_kinds(shape, label_shape)
                if label_shape != (entries,):
                    raise DataError(
                        f'"{images}" has {entries} images, but "{labels}" has labels of shape '
                        f"{' x '.join(map(str, label_shape))}"
                    )
        count = self._range(entries)
        self._sample = (1, *shape[1:]) if len(shape) == 3 else shape[1:]
        self._images, self._labels = images, labels
        self.use(count, [self.prepared(self._sample), ()], prefetch=0)

    @property
    def reading(self) -> Reading:
        shape = getattr(self, "_sample", ())  # before setup it is not known
        return Reading(False, *(shape[1:] if len(shape) == 3 else ()))

    def order(self) -> Order:
        return self.ordered(self.param.shuffle)

    def sample_name(self, index: int) -> str:
        return f"{self._images}, entry {self.param.first + index}"

    def make_feed(self) -> ArrayFeed:
        count, first, shuffle = self.epoch_size or 0, self.param.first, self.param.shuffle
        shapes: list[Shape] = [(count, *self._sample), (count,)][: 1 if self._labels is None else 2]
        load = partial(_load, self._images, self._labels, first, count, len(self._sample))
        return ArrayFeed(self._images, load, shapes, shuffle, self.stream(), self.transformer())

    def label_values(self) -> Labels | None:
        count = self.epoch_size or 0
        if self._labels is None or count > MOST_LABELS:
            return None
        return Labels(read_idx(self._labels, self.param.first, count))

    def _check_kinds(self, images: Shape, labels: Shape) -> None:
        """Refuse a file of images in the place of one of labels, and the reverse."""
        named = {"images": self.param.images, "labels": self.param.labels}
        if len(images) == 1 < len(labels):
            self.fail(
                f'"{named["images"]}" holds {images[0]:,} labels, and "{named["labels"]}" images',
                *self.place,
                expected=f'images: "{named["labels"]}" labels: "{named["images"]}"',
                hint="they are exchanged",
            )
        for name, shape in (("images", images), ("labels", labels)):
            what = "labels" if len(shape) == 1 else "images"
            if what != name:
                self.fail(
                    f'"{named[name]}" is a file of {what}, {" x ".join(map(str, shape))}',
                    "idx_data_param",
                    name,
                    expected=f"a file of {name}",
                )

    def _range(self, entries: int) -> int:
        """How many entries are used."""
        first = self.param.first
        count = int(self.param.count or entries - first)
        if first >= entries or first + count > entries:
            self.fail(
                f"entries {first} to {first + max(1, count) - 1} of {entries}",
                "idx_data_param",
                "count" if self.param.count else "first",
                expected=f"a range within 0 to {entries - 1}",
            )
        return count


def _load(images: str, labels: str | None, first: int, count: int, axes: int) -> list[Array]:
    pixels = read_idx(images, first, count)
    if pixels.ndim == axes:  # a plane of channels is added
        pixels = pixels[:, None]
    return [pixels] if labels is None else [pixels, read_idx(labels, first, count)]

"""FolderData: a folder of images for each class."""

from __future__ import annotations

import os
from pathlib import Path

from caffelite.data.feed import Order
from caffelite.data.imagefiles import ImageFeed, Reading, check_count
from caffelite.data.images import SUFFIXES
from caffelite.errors import DataError
from caffelite.layers.base import Shapes, param_of, register
from caffelite.layers.source import FeedLayer
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class FolderDataParameter(LayerMessage, field="folder_data_param", number=20014):
    """A folder of folders of images."""

    source: str = field(1, "string", doc="the folder that holds a folder for each class")
    batch_size: int = field(2, "uint32", doc="samples per batch")
    shuffle: bool = field(
        3, "bool", default=True, doc="a new random order each epoch; false: class by class"
    )
    new_height: int = field(4, "uint32", default=0, doc="resize to this height; 0: as it is")
    new_width: int = field(5, "uint32", default=0, doc="resize to this width; 0: as it is")
    is_color: bool = field(6, "bool", default=True, doc="three channels, or else one")


@register
class FolderData(FeedLayer):
    """Images from one folder for each class; the classes are the folders' names, sorted.

    Shapes: data (N, 3, H, W), colours in the order B, G, R, or (N, 1, H, W) without is_color;
    label (N,), the number of the folder, which may be left out. Attribute: `classes`, the names.

    Files that are no images by their ending, and those that begin with a dot, are passed over.
    Resizing and transform_param are as in ImageData.
    Source: an extension of caffelite.
    """

    pixels = True
    extension = "caffelite's own; folder_data_param = 20014"
    reads_images = True
    tested_in = "tests/data/test_images.py"
    place = ("folder_data_param", "source")
    param: FolderDataParameter = param_of(FolderDataParameter)

    def setup(self, bottom: Shapes) -> None:
        param = self.param
        self.check_batch_size("folder_data_param")
        if bool(param.new_height) != bool(param.new_width):
            self.fail(
                f"new_height is {param.new_height} and new_width is {param.new_width}",
                "folder_data_param",
                "new_height" if param.new_height else "new_width",
                expected="both, or none",
            )
        self._path = self.find("folder_data_param", what="folder")
        with self.placed(*self.place):
            self.classes, files = _list_images(self._path)
            self._image = self.reading(files[0][0]).shape  # which all others must have
        self.use(len(files), [self.prepared(self._image), ()])

    @property
    def class_names(self) -> list[str]:
        return self.classes

    @property
    def reading(self) -> Reading:
        return Reading(self.param.is_color, self.param.new_height, self.param.new_width)

    def order(self) -> Order:
        return self.ordered(self.param.shuffle)

    def sample_name(self, index: int) -> str:
        return _list_images(self._path)[1][index][0]

    def make_feed(self) -> ImageFeed:
        _, files = _list_images(self._path)
        check_count(len(files), self.epoch_size, self._path)
        return ImageFeed(
            files,
            self.reading,
            self._image,
            self.transformer(),
            self.param.shuffle,
            self.stream(),
        )


def _list_images(folder: str) -> tuple[list[str], list[tuple[str, int]]]:
    """The classes, and (path, class) of every image. Raises DataError."""
    if not os.path.isdir(folder):
        raise DataError(f'"{folder}" is not a folder')
    classes = sorted(p.name for p in Path(folder).iterdir() if p.is_dir() and p.name[0] != ".")
    if not classes:
        raise DataError(f'"{folder}" holds no folders; one for each class was expected')
    files = []
    for number, name in enumerate(classes):
        images = sorted(
            str(p)
            for p in Path(folder, name).iterdir()
            if p.suffix.lower() in SUFFIXES and p.name[0] != "."
        )
        if not images:
            raise DataError(f'the folder of the class "{name}", "{folder}/{name}", has no images')
        files += [(path, number) for path in images]
    return classes, files

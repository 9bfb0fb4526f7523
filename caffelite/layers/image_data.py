"""ImageData: image files that a text file lists."""

from __future__ import annotations

import os

import numpy as np

from caffelite.data.feed import Order
from caffelite.data.imagefiles import ImageFeed, Reading, check_count
from caffelite.data.listing import Labelled, Roots
from caffelite.layers.base import Shapes, param_of, register
from caffelite.layers.source import FeedLayer, Labels
from caffelite.schema.data import ImageDataParameter


@register
class ImageData(FeedLayer):
    """Images and labels from a list: a path, a blank and a label on each line.

    Shapes: data (N, 3, H, W), colours in the order B, G, R, or (N, 1, H, W) without is_color;
    label (N,), which may be left out.

    new_height and new_width resize every image (bilinearly, as OpenCV does); otherwise all must
    have one size, unless crop_size gives them one. root_folder stands directly in front of every
    path, or as its folder. transform_param prepares the images; `shuffle` orders them anew each
    epoch; `rand_skip` leaves out up to so many at the start of a run.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/imagedata.html
    """

    reads_images = True
    pixels = True
    tested_in = "tests/data/test_images.py"
    place = ("image_data_param", "source")
    param: ImageDataParameter = param_of(ImageDataParameter)

    def setup(self, bottom: Shapes) -> None:
        param = self.param
        self.check_batch_size("image_data_param")
        if bool(param.new_height) != bool(param.new_width):
            self.fail(
                f"new_height is {param.new_height} and new_width is {param.new_width}",
                "image_data_param",
                "new_height" if param.new_height else "new_width",
                expected="both, or none",
            )
        self._path = self.find("image_data_param", what="list of images")
        with self.placed(*self.place):
            files = self._list()
            self._image = self.reading(files[0][0]).shape  # which all others must have
        self.check_skip(len(files))
        self.use(len(files), [self.prepared(self._image), ()])

    @property
    def reading(self) -> Reading:
        return Reading(self.param.is_color, self.param.new_height, self.param.new_width)

    def order(self) -> Order:
        return self.ordered(self.param.shuffle, self.skip())

    def sample_name(self, index: int) -> str:
        return self._list()[index][0]

    def _list(self) -> Labelled:
        folders = self.context.folder, os.path.dirname(self._path)
        return Labelled(self._path, Roots(self.param.root_folder, *folders))

    def make_feed(self) -> ImageFeed:
        files, transformer, shuffle = self._list(), self.transformer(), self.param.shuffle
        check_count(len(files), self.epoch_size, self._path)
        return ImageFeed(
            files, self.reading, self._image, transformer, shuffle, self.stream(), self.skip()
        )

    def label_values(self) -> Labels | None:
        files = self._list()
        return Labels(np.array([files[i][1] for i in range(len(files))]))

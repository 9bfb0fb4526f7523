"""ImageData: image files that a text file lists."""

from __future__ import annotations

import os

from caffelite.data.imagefiles import ImageFeed, Reading
from caffelite.data.listing import Roots, line_of, read_labelled
from caffelite.errors import DataError, Problem
from caffelite.layers.base import Shapes, param_of, register
from caffelite.layers.source import FeedLayer
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
        path = self.find("image_data_param", what="list of images")
        transformer = self.transformer()
        with self.placed(*self.place):
            self._list, self._entries = read_labelled(path)
        self._roots = Roots(param.root_folder, self.context.folder, os.path.dirname(path))
        skip = int(self.stream("/skip").integers(param.rand_skip)) if param.rand_skip else 0
        reading = Reading(param.is_color, param.new_height, param.new_width)
        with self.placed(*self.place):
            feed = ImageFeed(
                self._locate,
                len(self._entries),
                reading,
                transformer,
                param.shuffle,
                self.stream(),
                skip,
            )
        self.use(feed, [feed.sample, ()])

    def _locate(self, index: int) -> tuple[str, int]:
        name, label, line = self._entries[index]
        path = self._roots.find(name)
        if path is None:
            expected = f'a file; root_folder is "{self.param.root_folder}"'
            raise DataError(
                Problem(f'there is no image "{name}"', line_of(self._list, line), expected)
            )
        return path, label

    @property
    def epoch_size(self) -> int:
        return len(self._entries)

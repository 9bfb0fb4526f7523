"""caffe.Classifier: a net that classifies images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.pycaffe import io
from caffelite.pycaffe.net import Net
from caffelite.schema.common import Phase


class Prepared(Net):
    """A net of phase TEST, and a Transformer for its first input, which turns images (H, W, K) into
    (K, H, W) and does what the arguments say: see `caffe.io.Transformer`."""

    def __init__(
        self,
        model_file: Any,
        pretrained_file: str | os.PathLike[str] | None,
        mean: Array | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, phase=Phase.TEST, weights=pretrained_file)
        in_ = self.inputs[0]
        self.transformer = io.Transformer({in_: self.blobs[in_].data.shape})
        self.transformer.set_transpose(in_, (2, 0, 1))
        if mean is not None:
            self.transformer.set_mean(in_, mean)
        if input_scale is not None:
            self.transformer.set_input_scale(in_, input_scale)
        if raw_scale is not None:
            self.transformer.set_raw_scale(in_, raw_scale)
        if channel_swap is not None:
            self.transformer.set_channel_swap(in_, channel_swap)

    def run_images(self, images: Sequence[Array]) -> Array:
        """The net's first output for images, each of which is prepared; any number of them."""
        in_ = self.inputs[0]
        ready = np.stack([self.transformer.preprocess(in_, image) for image in images])
        found: Array = self.forward_all(**{in_: ready})[self.outputs[0]]
        return found


class Classifier(Prepared):
    """`Classifier(model_file, pretrained_file, image_dims=, mean=, input_scale=, raw_scale=,
    channel_swap=)`: images are resized to `image_dims` (rows, columns; by default the input's
    size), then cut to the input's size. `image_dims` and `crop_dims` are attributes."""

    def __init__(
        self,
        model_file: Any,
        pretrained_file: str | os.PathLike[str] | None,
        image_dims: Sequence[int] | None = None,
        mean: Array | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, pretrained_file, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].data.shape[2:])
        self.image_dims: Any = self.crop_dims if image_dims is None else image_dims

    def predict(self, inputs: Sequence[Array], oversample: bool = True) -> Array:
        """Scores (N, classes) of N images (H, W, K); with `oversample` the mean over corners,
        centre and mirror images, else those of the centre."""
        dims = [int(n) for n in self.image_dims]
        images = np.stack([io.resize_image(image, dims) for image in inputs])
        if oversample:
            ten = self.run_images(list(io.oversample(images, self.crop_dims.tolist())))
            averaged: Array = ten.reshape(len(ten) // 10, 10, -1).mean(1)
            return averaged
        rows, columns = (int(n) for n in self.crop_dims)
        if dims[0] < rows or dims[1] < columns:
            raise io.BadShape(f"image_dims {dims} are less than the net's input {rows} x {columns}")
        top, left = int((dims[0] - rows) / 2.0), int((dims[1] - columns) / 2.0)
        return self.run_images(list(images[:, top : top + rows, left : left + columns]))

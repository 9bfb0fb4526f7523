"""caffe.Detector: a net that classifies windows of images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from caffelite.blob import Array
from caffelite.errors import CaffeliteError, Problem
from caffelite.pycaffe import io
from caffelite.pycaffe.classifier import Prepared


class Detector(Prepared):
    """`Detector(model_file, pretrained_file, mean=, input_scale=, raw_scale=, channel_swap=,
    context_pad=)`. With `context_pad` a border of so many pixels of the net's input shows what is
    around the window, as in R-CNN; beyond the image there is the mean."""

    def __init__(
        self,
        model_file: Any,
        pretrained_file: str | os.PathLike[str] | None,
        mean: Array | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, pretrained_file, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(self, images_windows: Iterable[tuple[Any, Any]]) -> list[dict[str, Any]]:
        """For pairs (image file, windows), with windows (ymin, xmin, ymax, xmax) in pixels: a list
        of {"window", "prediction", "filename"}, one for each window."""
        found: list[dict[str, Any]] = []
        crops: list[Array] = []
        for name, windows in images_windows:
            image = io.load_image(name)
            for window in windows:
                crops.append(self.crop(image, window))
                found.append({"window": window, "prediction": None, "filename": name})
        if crops:
            for entry, prediction in zip(found, self.run_images(crops)):
                entry["prediction"] = prediction
        return found

    def detect_selective_search(self, image_fnames: Iterable[Any]) -> NoReturn:
        """Refused: the windows came from a MATLAB program."""
        raise CaffeliteError(
            Problem(
                "detect_selective_search needs selective_search_ijcv_with_python, which runs "
                "MATLAB, and is not supported",
                hint="detect_windows takes windows of your own, from any other program",
            )
        )

    def crop(self, im: Array, window: Sequence[float]) -> Array:
        """The window (ymin, xmin, ymax, xmax) of an image (H, W, K), with its surroundings if
        `context_pad` says so."""
        box = np.asarray(window)
        if not self.context_pad:
            y0, x0, y1, x1 = (int(n) for n in box)
            if y0 >= y1 or x0 >= x1 or y0 < 0 or x0 < 0:
                raise io.BadShape(f"window {box.tolist()} holds no pixels: ymin, xmin, ymax, xmax")
            return im[y0:y1, x0:x1]
        size = self.blobs[self.inputs[0]].data.shape[3]  # a square input, as in R-CNN
        half = np.array([box[2] - box[0] + 1, box[3] - box[1] + 1]) / 2.0
        centre = box[:2] + half
        scale = size / (size - 2.0 * self.context_pad)
        around = np.round(np.concatenate([centre - scale * half, centre + scale * half]))
        per_pixel = size / (around[2:] - around[:2] + 1)
        before = np.round(np.maximum(-around[:2], 0) * per_pixel).astype(int)
        inside = np.clip(around, 0, [*im.shape[:2], *im.shape[:2]]).astype(int)
        extent = inside[2:] - inside[:2]
        if (extent <= 0).any():
            raise io.BadShape(f"window {box.tolist()} does not touch the image {im.shape[:2]}")
        room = np.round((extent + 1) * per_pixel).astype(int)
        room = np.minimum(room, size - before)
        part = io.resize_image(im[inside[0] : inside[2], inside[1] : inside[3]], room)
        crop: Array = np.ones(self.crop_dims, np.float32) * self.crop_mean
        crop[before[0] : before[0] + room[0], before[1] : before[1] + room[1]] = part
        return crop

    def configure_crop(self, context_pad: int | None) -> None:
        """Set how much is shown around a window, and the mean beyond the image, as an image."""
        in_ = self.inputs[0]
        back = np.argsort(self.transformer.transpose[in_])
        self.crop_dims = np.array(self.blobs[in_].data.shape[1:])[back]
        self.context_pad = context_pad
        self.crop_mean: Array = np.zeros(self.crop_dims, np.float32)
        mean = self.transformer.mean.get(in_)
        if mean is None or not context_pad:
            return
        if mean.ndim == 2:
            mean = mean[np.newaxis]
        image = np.array(mean, np.float32).transpose(back)
        order = self.transformer.channel_swap.get(in_)
        if order is not None:
            image = image[:, :, np.argsort(order)]
        scale = self.transformer.raw_scale.get(in_)
        self.crop_mean = image if scale is None else image / scale

"""A net with the preparation of its images, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from caffelite.blob import Array
from caffelite.dnn.images import Scalar, blobFromImage
from caffelite.dnn.net import Net
from caffelite.dnn.reading import readNet
from caffelite.errors import CaffeliteError, NetError, Problem
from caffelite.layers.base import show

M = TypeVar("M", bound="Model")


class Model:
    """`Model(net)`, or `Model(model, config)` with paths as `readNet` takes them."""

    def __init__(
        self, model: Any = None, config: Any = None, *, network: Net | None = None
    ) -> None:
        given = model if network is None else network
        self._net = given if isinstance(given, Net) else readNet(given, config)
        self._scale, self._swap, self._crop = 1.0, False, False
        self._size: tuple[int, int] | None = None
        self._mean: Scalar = (0, 0, 0)
        self._outputs: list[str] = list(self._net.getUnconnectedOutLayersNames())

    def setInputParams(
        self,
        scale: float = 1.0,
        size: Sequence[int] = (0, 0),
        mean: Scalar = (0, 0, 0),
        swapRB: bool = False,
        crop: bool = False,
    ) -> None:
        """How images become blobs: see `blobFromImage`."""
        self._scale, self._mean, self._swap, self._crop = scale, mean, swapRB, crop
        self.setInputSize(size)

    def setInputSize(self: M, size: Any, height: int | None = None) -> M:
        """The size of the input: (width, height), or both."""
        width, height = (size, height) if height is not None else size
        self._size = (int(width), int(height)) if width and height else None
        return self

    def setInputMean(self: M, mean: Scalar) -> M:
        """What is taken off, one number for each channel."""
        self._mean = mean
        return self

    def setInputScale(self: M, scale: float) -> M:
        """What values are multiplied by, after the mean is taken off."""
        self._scale = scale
        return self

    def setInputCrop(self: M, crop: bool) -> M:
        """Cut out the centre, instead of resizing both sides?"""
        self._crop = crop
        return self

    def setInputSwapRB(self: M, swapRB: bool) -> M:
        """Exchange the first and the third channel?"""
        self._swap = swapRB
        return self

    def setOutputNames(self: M, outNames: Sequence[str]) -> M:
        """The layers whose tops `predict` gives; without, all that nobody reads."""
        self._outputs = list(outNames)
        return self

    def setPreferableBackend(self: M, backendId: int) -> M:
        """As `Net.setPreferableBackend`."""
        self._net.setPreferableBackend(backendId)
        return self

    def setPreferableTarget(self: M, targetId: int) -> M:
        """As `Net.setPreferableTarget`."""
        self._net.setPreferableTarget(targetId)
        return self

    def predict(self, frame: Any) -> tuple[Array, ...]:
        """The outputs for an image. Raises CaffeliteError if no input size has been set."""
        if self._size is None:
            raise CaffeliteError(
                Problem("no input size has been set", hint="setInputSize(width, height) sets it")
            )
        blob = blobFromImage(frame, self._scale, self._size, self._mean, self._swap, self._crop)
        self._net.setInput(blob)
        if self._wants_size():
            width, height = self._size
            self._net.setInput(np.array([[height, width, 1]], np.float32), "im_info")
        found: tuple[Array, ...] = self._net.forward(self._outputs)
        return found

    def _maps(self, frame: Any) -> Array:
        """The planes of the first output for an image."""
        output: Array = self.predict(frame)[0]
        if output.ndim != 4 or len(output) != 1:
            raise NetError(
                Problem(
                    f'the output "{self._outputs[0]}" is {show(output.shape)}',
                    expected="maps, 1 x C x H x W",
                )
            )
        maps: Array = output[0]
        return maps

    def _wants_size(self) -> bool:
        """Does the net, a Faster R-CNN, take the size of the image as an input?"""
        return self._net.getLayer(0).outputNameToIndex("im_info") >= 0


class ClassificationModel(Model):
    """A net that scores classes."""

    _softmax = False

    def setEnableSoftmaxPostProcessing(self, enable: bool) -> ClassificationModel:
        """Make probabilities of the scores? Right where the net has no Softmax itself."""
        self._softmax = enable
        return self

    def getEnableSoftmaxPostProcessing(self) -> bool:
        """As set."""
        return self._softmax

    def classify(self, frame: Any) -> tuple[int, float]:
        """The best class of an image, and its score. Raises NetError for a net with more than one
        output."""
        outputs = self.predict(frame)
        if len(outputs) != 1:
            raise NetError(
                Problem(
                    f"the net has {len(outputs)} outputs: {', '.join(self._outputs)}",
                    hint="setOutputNames([...]) chooses the one with the scores",
                )
            )
        scores = outputs[0].ravel()
        if self._softmax:
            scores = np.exp(scores - scores.max())
            scores /= scores.sum()
        best = int(scores.argmax())
        return best, float(scores[best])


class SegmentationModel(Model):
    """A net that scores the classes of every pixel."""

    def segment(self, frame: Any) -> Array:
        """The best class of each pixel of the net's first output (H, W), uint8. Raises NetError
        for an output that is no (1, classes, H, W)."""
        classes: Array = self._maps(frame).argmax(0)
        return classes.astype(np.uint8)


class KeypointsModel(Model):
    """A net that gives a heat map for each point, and one for the background after them."""

    def estimate(self, frame: Any, thresh: float = 0.5) -> Array:
        """x and y of each point in the image, (points, 2) float32: where its map is largest, or
        (-1, -1) where that is not above `thresh`. Raises NetError for an output that is no
        (1, maps, H, W)."""
        maps = self._maps(frame)[:-1]
        rows, columns = maps.shape[1:]
        height, width = np.shape(frame)[:2]
        flat = maps.reshape(len(maps), -1)
        y, x = np.divmod(flat.argmax(1), columns)
        there = flat.max(1) > thresh
        points = np.stack([x * width / columns, y * height / rows], 1)
        return np.where(there[:, None], points, -1).astype(np.float32)


class DetectionModel(Model):
    """A net whose last layer is DetectionOutput."""

    def detect(
        self, frame: Any, confThreshold: float = 0.5, nmsThreshold: float = 0.0
    ) -> tuple[Any, Any, Any]:
        """Classes (int32), confidences (float32) and boxes (int32: x, y, width, height in pixels of
        the image) of what is found with `confThreshold` or more; three empty tuples if nothing is.
        `nmsThreshold` is not used, as in OpenCV: DetectionOutput has thinned out the boxes.
        Raises NetError for a net that ends otherwise."""
        if not self._net._detects:
            last = self._net.getLayer(len(self._net.getLayerNames()))
            raise NetError(
                Problem(
                    f'the net ends in "{last.name}" ({last.type})',
                    expected="a last layer that gives boxes, as SSD's DetectionOutput does",
                )
            )
        rows = np.concatenate([out.reshape(-1, 7) for out in self.predict(frame)])
        rows = rows[rows[:, 2] >= confThreshold]
        rows = rows[rows[:, 0] >= 0]
        if not len(rows):
            return (), (), ()
        height, width = np.shape(frame)[:2]
        if self._wants_size() and self._size:
            width, height = self._size
        boxes = np.array([_box(row[3:], width, height) for row in rows], np.int32)
        return rows[:, 1].astype(np.int32), rows[:, 2].copy(), boxes


def _box(corners: Array, width: int, height: int) -> tuple[int, int, int, int]:
    """x, y, width, height within an image, of corners in pixels or in parts of it."""
    left, top, right, bottom = (int(c) for c in corners)
    if right - left + 1 <= 2 or bottom - top + 1 <= 2:  # parts
        scale = np.array([width, height, width, height], np.float32)
        left, top, right, bottom = (int(c) for c in corners * scale)
    w, h = right - left + 1, bottom - top + 1
    left, top = max(0, min(left, width - 1)), max(0, min(top, height - 1))
    return left, top, max(1, min(w, width - left)), max(1, min(h, height - top))

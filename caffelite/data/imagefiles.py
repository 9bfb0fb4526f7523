"""Image files with a label each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.data.feed import Order
from caffelite.data.images import read_image
from caffelite.data.transform import Transformer, check_shape


@dataclass(frozen=True)
class Reading:
    """How image files are read."""

    color: bool = True
    height: int = 0
    width: int = 0


class ImageFeed:
    """`count` images; `locate(i)` gives the path of image i and its label."""

    def __init__(
        self,
        locate: Callable[[int], tuple[str, int]],
        count: int,
        reading: Reading,
        transformer: Transformer,
        shuffle: bool,
        rng: np.random.Generator,
        skip: int = 0,
    ) -> None:
        self._locate, self._reading, self._transformer = locate, reading, transformer
        self.order = Order([count], shuffle, rng)
        self.order.take(skip)
        # The first image sets the shape that all must have.
        self._shape = self._image(self.order.peek())[0].shape
        self.sample = transformer.shape(self._shape)

    def _image(self, index: int) -> tuple[Array, int, str]:
        path, label = self._locate(index)
        r = self._reading
        return read_image(path, r.color, r.height, r.width), label, f'image "{path}"'

    def fill(self, out: Sequence[Array]) -> None:
        for row, index in enumerate(self.order.take(len(out[0]))):
            image, label, name = self._image(int(index))
            if image.shape != self._shape:
                if not self._transformer.crop:
                    check_shape(image.shape, self._shape, name)
                self._transformer.shape(image.shape, name)
            self._transformer(image, out[0][row])
            if len(out) > 1:
                out[1][row] = label

    def state(self) -> dict[str, Any]:
        return {"order": self.order.state(), "transform": self._transformer.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.order.restore(state["order"])
        self._transformer.restore(state["transform"])

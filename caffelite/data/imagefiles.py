"""Image files with a label each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.feed import Order
from caffelite.data.images import read_image
from caffelite.data.transform import Transformer, check_shape
from caffelite.errors import DataError
from caffelite.reading import shown


@dataclass(frozen=True)
class Reading:
    """How image files are read."""

    color: bool = True
    height: int = 0
    width: int = 0

    def __call__(self, path: str) -> Array:
        """The image (C, H, W). Raises DataError."""
        return read_image(path, self.color, self.height, self.width)


class Files(Protocol):
    """Paths of images, and their labels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[str, int]: ...


class ImageFeed:
    """Images from `files`, all of the `shape` of one before it is cropped."""

    def __init__(
        self,
        files: Files,
        reading: Reading,
        shape: Shape,
        transformer: Transformer,
        shuffle: bool,
        rng: np.random.Generator,
        skip: int = 0,
    ) -> None:
        self._files, self._reading, self._transformer = files, reading, transformer
        self._shape = shape
        self.order = Order([len(files)], shuffle, rng)
        self.order.take(skip)

    def fill(self, out: Sequence[Array]) -> None:
        for row, index in enumerate(self.order.take(len(out[0]))):
            path, label = self._files[int(index)]
            image, name = self._reading(path), f'image "{shown(path)}"'
            if image.shape != self._shape:
                if not self._transformer.fixes_size:
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


def check_count(found: int, expected: int | None, path: str) -> None:
    """Refuse a list that has changed."""
    if found != expected:
        raise DataError(
            f'"{path}" has changed since the net was made: it has {found} images, where '
            f"{expected} were expected"
        )

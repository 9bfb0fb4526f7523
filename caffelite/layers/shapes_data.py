"""ShapesData: images of coloured shapes, and where they are: a small problem for detectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import DataError
from caffelite.layers.base import MOST, Arrays, Shapes, param_of, register
from caffelite.layers.box_matching import TOUCHES
from caffelite.layers.cases import Case
from caffelite.layers.detection_output import overlap
from caffelite.layers.source import SourceLayer
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage
from caffelite.streams import Streams

NAMES = ("background", "rectangle", "disc", "triangle")
TRIES = 20
"""Places that are tried for a shape; if all overlap others it is left out."""


class ShapesDataParameter(LayerMessage, field="shapes_data_param", number=20017):
    """How many images of how many shapes."""

    samples: int = field(1, "uint32", default=1000, least=1, doc="images an epoch")
    batch_size: int = field(2, "uint32", default=16, least=1, doc="images a forward pass")
    size: int = field(3, "uint32", default=64, least=16, most=1024, doc="height and width, pixels")
    objects: int = field(4, "uint32", default=3, least=1, doc="most shapes in an image")
    noise: float = field(5, "float", default=0.05, least=0, doc="standard deviation of a pixel")
    seed: int = field(6, "int64", default=-1, doc="which set of images; -1: the run's seed chooses")


@register
class ShapesData(SourceLayer):
    """Images of 1 to `objects` rectangles, discs and triangles on a plain ground, and their boxes.

    Colours are uniform in [0, 1), a shape's at least 0.5 from the ground's in one channel. The
    sides of a box are from 3/16 to 5/8 of the image's; a disc's are equal, a triangle stands on its
    base. Boxes do not overlap. Then N(0, `noise`²) is added to each value.
    Shapes: data (N, 3, size, size); objects (1, 1, N·`objects`, 8), rows of image, class (1
    rectangle, 2 disc, 3 triangle), number, x1, y1, x2, y2 in parts of the image, difficult (0); the
    rows that are left are -1.

    Image k of an epoch is drawn from the seed, by the layer's name, and is the same each epoch.
    Give the TEST layer a `seed` (or another name) and it draws images of its own.

    Source: an extension of caffelite.
    """

    extension = "caffelite's own; shapes_data_param = 20017"
    tested_in = "tests/layers/test_shapes_data.py"
    param: ShapesDataParameter = param_of(ShapesDataParameter)
    cases = (
        Case('type: "ShapesData" shapes_data_param { size: 16 batch_size: 2 }', tops=["data"]),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self.batch_size = p.batch_size
        if p.batch_size * max(3 * p.size**2, 8 * p.objects) > MOST:
            self.fail(
                "a batch is too large", "shapes_data_param", expected=f"at most {MOST} values"
            )

    def open(self) -> None:
        self._seed, self._at = self.param.seed, 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p, n = self.param, self.batch_size
        tops: list[Shape] = [(n, 3, p.size, p.size), (1, 1, n * p.objects, 8)]
        return tops[: len(self.spec.top)]

    @property
    def epoch_size(self) -> int:
        return int(self.param.samples)

    @property
    def class_names(self) -> list[str]:
        return list(NAMES)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        rows = None
        if len(top) > 1:
            top[1].fill(-1)
            rows, used = top[1].reshape(-1, 8), 0
        for i in range(self.batch_size):
            objects = self.draw(self._at, top[0][i])
            self._at = (self._at + 1) % self.epoch_size
            if rows is not None:
                rows[used : used + len(objects), 0] = i
                rows[used : used + len(objects), 1:] = objects
                used += len(objects)

    def draw(self, index: int, image: Array) -> Array:
        """Draw image `index` into (3, size, size); its objects, (number, 7): class to difficult."""
        p, size = self.param, self.param.size
        rng = self._stream(index)
        ground = rng.random(3)
        image[...] = ground[:, None, None]
        found: list[list[float]] = []
        for _ in range(rng.integers(1, p.objects + 1)):
            kind = int(rng.integers(1, 4))
            box = _place(rng, size, square=kind == 2, taken=[f[2:6] for f in found])
            colour = _colour(rng, ground)
            if box is not None:
                x1, y1, x2, y2 = box
                inside = _inside(kind, x2 - x1, y2 - y1)
                image[:, y1:y2, x1:x2][:, inside] = colour[:, None]
                found.append([kind, len(found), *(v / size for v in box), 0])
        image += p.noise * rng.standard_normal(image.shape, np.float32)
        return np.array(found)

    def _stream(self, index: int) -> np.random.Generator:
        if self.param.seed >= 0:
            return Streams(self.param.seed).fresh(f"shapes/{index}")
        # Asked for when first needed: a resumed run may have got its seed after open.
        self._seed = self.streams.seed if self._seed < 0 else self._seed
        return Streams(self._seed).fresh(f"shapes/{self.name}/{index}")

    def state(self) -> dict[str, Any]:
        return {"at": self._at, "seed": self._seed if self._seed >= 0 else self.streams.seed}

    def restore(self, state: dict[str, Any]) -> None:
        if state:
            if state["at"] >= self.epoch_size:
                with self.placed("shapes_data_param"):
                    raise DataError(
                        f"the snapshot was made after {state['at']} images of an epoch, but there "
                        f"are only {self.epoch_size}"
                    )
            self._at, self._seed = state["at"], state["seed"]


def _place(
    rng: np.random.Generator, size: int, square: bool, taken: list[list[float]]
) -> list[int] | None:
    """A box in whole pixels that overlaps none of those taken; None: not found."""
    for _ in range(TRIES):
        w, h = rng.integers(3 * size // 16, 5 * size // 8 + 1, 2)
        h = w if square else h
        x, y = rng.integers(0, size - w + 1), rng.integers(0, size - h + 1)
        box = [int(x), int(y), int(x + w), int(y + h)]
        if not taken or overlap(np.array(box) / size, np.array(taken)).max() <= TOUCHES:
            return box
    return None


def _colour(rng: np.random.Generator, ground: Array) -> Array:
    """A colour that differs from the ground's by a quarter or more in one channel."""
    colour: Array = rng.random(3)
    channel = int(rng.integers(3))
    away = 0.5 * rng.random()
    below = ground[channel] >= 0.5
    colour[channel] = away * ground[channel] if below else 1 - away * (1 - ground[channel])
    return colour


def _inside(kind: int, width: int, height: int) -> Array:
    """Which pixels of its box a shape covers, (height, width)."""
    x = (np.arange(width) + 0.5) / width
    y = ((np.arange(height) + 0.5) / height)[:, None]
    inside: Array = np.ones((height, width), bool)
    if kind == 2:
        inside = (2 * x - 1) ** 2 + (2 * y - 1) ** 2 <= 1
    elif kind == 3:
        inside = np.abs(2 * x - 1) <= y
    return inside

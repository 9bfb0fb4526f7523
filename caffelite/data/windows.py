"""Windows of images, as R-CNN trains on: the window file, and cutting a window out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from caffelite.blob import Array
from caffelite.data.images import resize
from caffelite.data.listing import line_of, read_list
from caffelite.errors import DataError, Problem
from caffelite.reading import shown


@dataclass(frozen=True)
class Window:
    """A box, both corners included, in image number `image`."""

    image: int
    label: int
    overlap: float
    box: tuple[int, int, int, int]
    """x1, y1, x2, y2"""


@dataclass(frozen=True)
class WindowFile:
    """What a window file says."""

    images: list[str]
    channels: int
    windows: list[Window]


def read_windows(path: str) -> WindowFile:
    """Read a window file. For every image it has, in lines or separated by blanks,

        # INDEX
        PATH
        CHANNELS HEIGHT WIDTH
        COUNT

    and then COUNT times LABEL OVERLAP X1 Y1 X2 Y2. Raises DataError with the line."""
    source = read_list(path)
    words = ((word, n) for n, line in enumerate(source.lines) for word in line.split())
    images: list[str] = []
    windows: list[Window] = []
    channels = 0
    line = 0

    def take(what: str) -> str:
        nonlocal line
        word, line = next(words, ("", line))
        if not word:
            raise ValueError(f"the file ends where {what} was expected")
        return word

    def number(what: str) -> int:
        return int(_float(take(what), what))

    try:
        for mark, line in words:  # noqa: B007  (take goes on from it)
            if mark != "#":
                raise ValueError(
                    f'"{shown(mark, 40)}" where "#" and the number of an image were expected'
                )
            if (index := number("the number of an image")) != len(images):
                raise ValueError(f"image {index} where image {len(images)} was expected")
            images.append(take("the path of an image"))
            channels, _, _ = (number(w) for w in ("channels", "a height", "a width"))
            if channels not in (1, 3):
                raise ValueError(f"{channels} channels where 1 or 3 were expected")
            for _ in range(number("the count of windows")):
                label = number("a label")
                overlap = _float(take("an overlap"), "an overlap")
                x1, y1, x2, y2 = (number("a corner") for _ in range(4))
                windows.append(Window(index, label, overlap, (x1, y1, x2, y2)))
    except ValueError as error:
        raise DataError(Problem(str(error), line_of(source, line))) from None
    return WindowFile(images, channels, windows)


_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")


def _float(word: str, what: str) -> float:
    try:
        if not _NUMBER.fullmatch(word[:400]) or not math.isfinite(number := float(word)):
            raise ValueError
        return number
    except ValueError:
        raise ValueError(f'"{shown(word, 40)}" where {what} was expected') from None


@dataclass(frozen=True)
class Cutter:
    """How windows become squares of side `crop`."""

    crop: int
    context: int = 0
    """Pixels of the square, on each side, that show what surrounds the window."""
    square: bool = False
    """Widen the window to a square before (else its proportions change)."""

    def __call__(self, image: Array, box: tuple[int, int, int, int], mirror: bool) -> _Cut:
        """The window, warped, and where it goes in the square."""
        height, width = image.shape[1:]
        left = top = 0
        new_width = new_height = self.crop
        x1, y1, x2, y2 = box
        if x2 < x1 or y2 < y1:
            raise DataError(f"the window {box} has no pixels: its corners are x1, y1, x2, y2")
        if self.context or self.square:
            x1, y1, x2, y2 = self._expand(box)
            # Clip to the image; what lies outside becomes an empty border of the square.
            scale_x = self.crop / (x2 - x1 + 1)
            scale_y = self.crop / (y2 - y1 + 1)
            out_x1, out_y1 = max(0, -x1), max(0, -y1)
            out_x2, out_y2 = max(0, x2 - width + 1), max(0, y2 - height + 1)
            x1, y1, x2, y2 = x1 + out_x1, y1 + out_y1, x2 - out_x2, y2 - out_y2
            left, top = _round((out_x2 if mirror else out_x1) * scale_x), _round(out_y1 * scale_y)
            new_width = min(_round((x2 - x1 + 1) * scale_x), self.crop - left)
            new_height = min(_round((y2 - y1 + 1) * scale_y), self.crop - top)
        if not (0 <= x1 <= x2 < width and 0 <= y1 <= y2 < height):
            raise DataError(f"the window {box} is outside the image of {width} x {height} pixels")
        if min(new_width, new_height) < 1:
            raise DataError(f"of the window {box} nothing is left at crop_size {self.crop}")
        cut = resize(image[:, y1 : y2 + 1, x1 : x2 + 1], new_height, new_width)
        place = np.s_[:, top : top + new_height, left : left + new_width]
        return _Cut(cut[:, :, ::-1] if mirror else cut, place)

    def _expand(self, box: tuple[int, int, int, int]) -> Iterator[int]:
        """The box grown about its centre, so that `context` pixels of the square show more."""
        x1, y1, x2, y2 = box
        grow = self.crop / (self.crop - 2 * self.context)
        half_width, half_height = (x2 - x1 + 1) / 2, (y2 - y1 + 1) / 2
        x, y = x1 + half_width, y1 + half_height
        if self.square:
            half_width = half_height = max(half_width, half_height)
        for centre, half in (
            (x, -half_width),
            (y, -half_height),
            (x, half_width),
            (y, half_height),
        ):
            yield _round(centre + half * grow)


@dataclass(frozen=True)
class _Cut:
    pixels: Array
    place: tuple[slice, slice, slice]


def _round(x: float) -> int:
    """To the nearest whole number, halves away from zero, as C does."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))

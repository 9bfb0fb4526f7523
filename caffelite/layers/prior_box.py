"""PriorBox: the boxes that a detector starts from."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage


class CodeType(IntEnum):
    """How a box is coded relative to its prior box."""

    CORNER = 1
    CENTER_SIZE = 2
    CORNER_SIZE = 3


class PriorBoxParameter(LayerMessage, field="prior_box_param", number=203):
    """Sizes and shapes of the boxes. Lengths are in pixels of the input image."""

    min_size: list[float] = repeated(
        1, "float", above=0, doc="sides of the small squares, in pixels"
    )
    max_size: list[float] = repeated(
        2, "float", doc="one for each min_size: adds a square of side sqrt(min·max)"
    )
    aspect_ratio: list[float] = repeated(3, "float", above=0, doc="further shapes, width/height")
    flip: bool = field(4, "bool", default=True, doc="with each ratio r also 1/r?")
    clip: bool = field(5, "bool", default=False, doc="cut the boxes to the image?")
    variance: list[float] = repeated(
        6, "float", above=0, doc="one, or one for each coordinate; else 0.1"
    )
    img_size: int = field(
        7, "uint32", least=1, doc="height and width of the image, if not the bottom's"
    )
    img_h: int = field(8, "uint32", least=1, doc="height of the image")
    img_w: int = field(9, "uint32", least=1, doc="width of the image")
    step: float = field(10, "float", above=0, doc="pixels from cell to cell; else image/cells")
    step_h: float = field(11, "float", above=0, doc="pixels from row to row")
    step_w: float = field(12, "float", above=0, doc="pixels from column to column")
    offset: float = field(13, "float", default=0.5, doc="where in its cell a box is centred")
    denser_prior_boxes: bool = field(
        114,
        "bool",
        default=False,
        doc="TextBoxes++ (there 14): each box a second time, lower?",
    )
    offset_h: list[float] = repeated(
        115, "float", doc="OpenCV: rows of the centres in a cell, each with an offset_w"
    )
    offset_w: list[float] = repeated(116, "float", doc="OpenCV: their columns")
    width: list[float] = repeated(1014, "float", above=0, doc="PriorBoxClustered: boxes' widths")
    height: list[float] = repeated(1015, "float", above=0, doc="PriorBoxClustered: their heights")


@register
class PriorBox(Layer):
    """At each cell (i, j) of the feature map, boxes centred at
    ((j + offset)·step_w, (i + offset)·step_h), as corners (x1, y1, x2, y2) in parts of the image.

    For each `min_size` m, in this order: m x m; with `max_size` M, a square of side √(m·M); for
    each other aspect ratio r, and 1/r with `flip`, m·√r wide and m/√r high. As in the original,
    m and M count in whole pixels (the fraction is dropped), and ratios given twice count once.

    With several `offset_h` and `offset_w` each box is there once for each pair of them, one after
    the other; `denser_prior_boxes` is a second one at the same column, with an `offset_h` of 1.

    Gradient: none.
    Shapes: feature map (N, C, H, W), image (N, C, H, W); top (1, 2, H·W·boxes·4): the corners, then
    the variances that the boxes' coding is scaled by.
    Source: Liu et al. 2016, SSD; Liao et al. 2018, TextBoxes++; OpenCV's dnn.
    """

    bottoms = (2, 2)
    backward_reads = ()
    extension = "SSD fork (weiliu89/caffe), prior_box_param = 203"
    param: PriorBoxParameter = param_of(PriorBoxParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "PriorBox" prior_box_param { min_size: 4 max_size: 9 aspect_ratio: 4 }',
            # one cell, centre (5, 10) of a 10 x 20 image; squares of 4 and 6, then 8 x 2 and 2 x 8
            {"x": random(1, 3, 1, 1), "image": random(1, 3, 20, 10)},
            {
                "priors": [
                    [
                        [
                            *(0.3, 0.4, 0.7, 0.6, 0.2, 0.35, 0.8, 0.65),
                            *(0.1, 0.45, 0.9, 0.55, 0.4, 0.3, 0.6, 0.7),
                        ],
                        [0.1] * 16,
                    ]
                ]
            },
        ),
        Case(
            'type: "PriorBox" prior_box_param { min_size: 4.9 flip: false clip: true '
            "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 "
            "img_size: 10 step: 8 offset: 0 }",
            # centres (0, 0) and (8, 0), side 4
            {"x": random(1, 1, 1, 2), "image": random(1, 1, 3, 3)},
            {
                "priors": [
                    [[0.0, 0.0, 0.2, 0.2, 0.6, 0.0, 1.0, 0.2], [0.1, 0.1, 0.2, 0.2] * 2],
                ]
            },
        ),
        *(
            Case(
                'type: "PriorBox" prior_box_param { min_size: 2 aspect_ratio: 4 flip: false '
                f"img_size: 10 step: 8 {fields} }}",
                # 2 x 2 and 4 x 1 about (4, 4) and (4, 8)
                {"x": random(1, 1, 1, 1), "image": random(1, 1, 3, 3)},
                {
                    "priors": [
                        [
                            [
                                *(0.3, 0.3, 0.5, 0.5, 0.3, 0.7, 0.5, 0.9),
                                *(0.2, 0.35, 0.6, 0.45, 0.2, 0.75, 0.6, 0.85),
                            ],
                            [0.1] * 16,
                        ],
                    ]
                },
            )
            for fields in (
                "denser_prior_boxes: true",
                "offset_h: 0.5 offset_w: 0.5 offset_h: 1 offset_w: 0.5",
            )
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if type(self) is PriorBox:
            for name in ("width", "height"):
                if p.has(name):
                    self._refuse(f"{name} is for PriorBoxClustered", name, "min_size")
            self.need("prior_box_param", "min_size", expected="prior_box_param { min_size: 30 }")
        if p.max_size and len(p.max_size) != len(p.min_size):
            self._refuse(
                f"{len(p.max_size)} max_size for {len(p.min_size)} min_size",
                "max_size",
                "one max_size for each min_size",
            )
        if any(low >= high for low, high in zip(p.min_size, p.max_size)):
            self._refuse("a max_size is not above its min_size", "max_size", "larger ones")
        if len(p.variance) not in (0, 1, 4):
            self._refuse(f"{len(p.variance)} variances", "variance", "one, or four")
        self._image = self._pair("img_size", "img_h", "img_w")
        self._step = self._pair("step", "step_h", "step_w")
        self._shapes = self._sides()
        self._offsets = self._centres()

    def _centres(self) -> list[tuple[float, float]]:
        """Rows and columns of the centres in a cell."""
        p = self.param
        if len(p.offset_h) != len(p.offset_w):
            said = f"{len(p.offset_h)} offset_h and {len(p.offset_w)} offset_w"
            self._refuse(said, "offset_h" if p.offset_h else "offset_w", "as many of both")
        if p.offset_h and (p.has("offset") or p.denser_prior_boxes):
            other = "offset" if p.has("offset") else "denser_prior_boxes"
            self._refuse(f"both offset_h and {other} are given", other, "one of the two")
        if p.offset_h:
            return list(zip(p.offset_h, p.offset_w))
        second = [(1.0, p.offset)] if p.denser_prior_boxes else []
        return [(p.offset, p.offset), *second]

    def _refuse(self, message: str, name: str, expected: str) -> None:
        self.fail(message, "prior_box_param", name, expected=expected)

    def _pair(self, both: str, high: str, wide: str) -> tuple[float, float] | None:
        """A height and a width that the text gives as one number, as two, or not."""
        p = self.param
        if p.has(both) and (p.has(high) or p.has(wide)):
            self._refuse(f"both {both} and {high}/{wide} are given", both, "one of the two")
        if not (p.has(both) or p.has(high) or p.has(wide)):
            return None
        names = (both, both) if p.has(both) else (high, wide)
        for name in names:
            self.need("prior_box_param", name, expected=f"both {high} and {wide}")
        return p.get(names[0]), p.get(names[1])

    def _sides(self) -> list[tuple[float, float]]:
        """Width and height of each box at a cell, in pixels."""
        p, ratios = self.param, [1.0]
        for ratio in p.aspect_ratio:
            if all(abs(ratio - known) >= 1e-6 for known in ratios):
                ratios += [ratio, 1 / ratio] if p.flip else [ratio]
        sides = []
        for i, size in enumerate(p.min_size):
            low = float(int(size))
            sides.append((low, low))
            if p.max_size:
                middle = math.sqrt(low * int(p.max_size[i]))
                sides.append((middle, middle))
            sides += [(low * math.sqrt(r), low / math.sqrt(r)) for r in ratios[1:]]
        return sides

    def reshape(self, bottom: Shapes) -> list[Shape]:
        for name, shape in zip(self.spec.bottom, bottom):
            if len(shape) != 4:
                self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="N x C x H x W")
        _, _, rows, columns = bottom[0]
        return [(1, 2, rows * columns * len(self._shapes) * len(self._offsets) * 4)]

    def prepare(self) -> None:
        _, _, rows, columns = self.bottom_shapes[0]
        height, width = self._image or self.bottom_shapes[1][2:]
        step_h, step_w = self._step or (height / rows, width / columns)
        down, right = np.array(self._offsets).T
        x = ((np.arange(columns)[:, None] + right) * step_w)[None, :, None]
        y = ((np.arange(rows)[:, None] + down) * step_h)[:, None, None]
        wide, high = np.array(self._shapes).T[:, :, None] / 2
        edges = ((x - wide) / width, (y - high) / height, (x + wide) / width, (y + high) / height)
        # cell by cell, box by box, offset by offset, the four corners together
        boxes = np.stack(np.broadcast_arrays(*edges), axis=-1).reshape(-1, 4)
        if self.param.clip:
            boxes = np.clip(boxes, 0, 1)
        variance = self.param.variance or [0.1]
        both = np.stack([boxes, np.broadcast_to(variance, boxes.shape)])
        self._priors = both.reshape(self.top_shapes[0]).astype(self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        top[0][...] = self._priors

"""TextProposals: narrow pieces of lines of text."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.anchors import shifted, with_stride
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.python import PythonParameter
from caffelite.schema.common import Phase

HEIGHTS = (11, 16, 23, 33, 48, 68, 97, 139, 198, 283)
WIDTH = 16


@register
class TextProposals(Layer):
    """At each cell of the map ten anchors, 16 wide and from 11 to 283 high around the middle of 16
    by 16 pixels, their corners cut to whole numbers. Two deltas of each move and stretch it:
    y1 = d_y·h + y − e^d_h·h/2, y2 = y1 + e^d_h·h, with y the anchor's middle and h its height;
    all is cut to the image. All are given, row by row, with their scores, the second half of the
    first bottom's channels; the deltas of anchor a are channels 2a and 2a + 1.

    `type: "Python"` of module layers.text_proposal_layer, class ProposalLayer; as a type of its own
    it reads python_param all the same, where param_str says 'feat_stride'.

    Gradient: none.
    Shapes: scores (1, 20, H, W), deltas (1, 20, H, W), im_info (1, 3): height, width, scale. Tops:
    boxes (10·H·W, 4), (x1, y1, x2, y2), and scores (10·H·W, 1).
    Source: Tian et al. 2016, CTPN (tianzhi0549/CTPN).
    """

    bottoms = (3, 3)
    tops = (2, 2)
    backward_reads = ()
    one_image = True
    extension = "CTPN (layers.text_proposal_layer)"
    python = (("text_proposal_layer", "ProposalLayer"),)
    param: PythonParameter = param_of(PythonParameter)
    cases = (
        Case(
            'type: "TextProposals" python_param { param_str: "\'feat_stride\': 16" }',
            # the second anchor, 0 to 15, is moved by half its height and doubled: -0 to 32
            {
                "scores": np.arange(20.0).reshape(1, 20, 1, 1),
                "deltas": np.array([0.0, 0.0, 0.5, np.log(2.0), *[0.0] * 16]).reshape(1, 20, 1, 1),
                "info": [[30.0, 40.0, 1.0]],
            },
            {
                "boxes": np.array(
                    [
                        [0, 1.5, 15, 12.5],
                        [0, 0, 15, 29],
                        [0, 0, 15, 18.5],
                        [0, 0, 15, 23.5],
                        *[[0, 0, 15, 29]] * 6,
                    ]
                ),
                "kept": np.arange(10.0, 20.0)[:, None],
            },
            phase=Phase.TEST,
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def setup(self, bottom: Shapes) -> None:
        _, self.stride = with_stride(self, {})
        middle = (WIDTH - 1) / 2
        corners = [
            (middle - WIDTH // 2, middle - h // 2, middle + WIDTH // 2, middle + h // 2)
            for h in HEIGHTS
        ]
        self.anchors = np.trunc(corners).astype(self.dtype)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        count = 2 * len(HEIGHTS)
        for i, shape in enumerate(bottom[:2]):
            if shape != (1, count, *bottom[0][2:]) or len(shape) != 4:
                name = self.spec.bottom[i]
                said = f'bottom "{name}" is {show(shape)}'
                self.fail(said, "bottom", index=i, expected=f"1 x {count} x H x W, for one image")
        if len(bottom[2]) < 1 or bottom[2][-1] < 2:
            name = self.spec.bottom[2]
            self.fail(f'bottom "{name}" is {show(bottom[2])}', "bottom", index=2, expected="1 x 3")
        boxes = len(HEIGHTS) * bottom[0][2] * bottom[0][3]
        return [(boxes, 4), (boxes, 1)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        scores, deltas, info = bottom
        high, wide = info.reshape(-1)[:2]
        boxes = shifted(self.anchors, scores.shape[2], scores.shape[3], self.stride)
        moved, stretched = deltas[0].transpose(1, 2, 0).reshape(-1, 2).T
        height = boxes[:, 3] - boxes[:, 1] + 1
        tall = np.exp(stretched) * height
        y1 = moved * height + (boxes[:, 1] + boxes[:, 3]) / 2 - tall / 2
        found = np.stack([boxes[:, 0], y1, boxes[:, 2], y1 + tall], 1)
        edge = np.array([wide, high, wide, high], self.dtype) - 1
        top[0][...] = np.clip(found, 0, edge)
        best = scores[0, len(HEIGHTS) :].transpose(1, 2, 0)
        top[1][...] = best.reshape(-1, 1)

"""StageBridge: regions moved as the stage before has found."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.anchors import decoded
from caffelite.layers.base import Arrays, Layer, Shapes, register, show
from caffelite.layers.cases import Case
from caffelite.schema.common import Phase


@register
class StageBridge(Layer):
    """Each region is moved by the deltas (dx, dy, dw, dh) of its best class: centre
    + (dx·w, dy·h), size (e^dw·w, e^dh·h), cut to the image; its image number is 0.

    `type: "Python"` of module pylayer.stage_bridge_layer, class StageBridgeLayer; in training that
    layer has more bottoms and tops, which are refused here.

    Gradient: none.
    Shapes: regions (R, 5), (image, x1, y1, x2, y2), deltas (R, 4·C), scores (R, C), im_info (1, 3):
    height, width, scale; top (R, 5).
    Source: Dai et al. 2016, Multi-task Network Cascades (daijifeng001/MNC).
    """

    bottoms = (4, 4)
    backward_reads = ()
    one_image = True
    extension = "MNC (pylayer.stage_bridge_layer)"
    python = (("stage_bridge_layer", "StageBridgeLayer"),)
    cases = (
        Case(
            'type: "StageBridge"',
            # 10 x 10 pixels, to the right by half and twice as high: cut to the image's 12 rows
            {
                "rois": [[0.0, 0.0, 0.0, 9.0, 9.0]],
                "deltas": [[9.0, 9.0, 9.0, 9.0, 0.5, 0.0, 0.0, np.log(2.0)]],
                "scores": [[0.25, 0.75]],
                "info": [[12.0, 20.0, 1.0]],
            },
            {"y": [[0.0, 5.0, 0.0, 15.0, 11.0]]},
            phase=Phase.TEST,
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        rois, deltas, scores, info = bottom
        count = rois[0] if rois else 0
        classes = scores[1] if len(scores) > 1 else 0
        wanted = (
            (np.prod(rois[1:]) == 5, "R x 5"),
            (np.prod(deltas[1:]) == 4 * classes and deltas[:1] == rois[:1], "R x 4·C"),
            (np.prod(scores[1:]) == classes > 0 and scores[:1] == rois[:1], "R x C"),
            (len(info) > 0 and info[-1] >= 3, "1 x 3"),
        )
        for i, (fits, expected) in enumerate(wanted):
            if not fits:
                name = self.spec.bottom[i]
                said = f'bottom "{name}" is {show(bottom[i])}'
                self.fail(said, "bottom", index=i, expected=expected)
        return [(count, 5)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        rois, deltas, scores = (b.reshape(len(b), -1) for b in bottom[:3])
        high, wide = bottom[3].reshape(-1)[:2]
        best = scores.argmax(1)
        places = 4 * best[:, None] + np.arange(4)
        boxes = decoded(rois[:, 1:5], np.take_along_axis(deltas, places, 1))
        top[0][:, 0] = 0
        top[0][:, 1:] = np.clip(boxes, 0, np.array([wide, high, wide, high], self.dtype) - 1)

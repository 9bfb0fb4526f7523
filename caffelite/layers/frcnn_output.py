"""FrcnnOutput: the detections of Cascade R-CNN's last stage."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.bbox_reg import BBoxRegParameter, normal
from caffelite.layers.cases import Case
from caffelite.layers.detection_output import SaveOutputParameter
from caffelite.layers.finding import FindingLayer, shared, thinned
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "frcnn_output_param"


class FrcnnOutputParameter(LayerMessage, field=PARAM, number=1163):
    """Which boxes are kept."""

    conf_thr: float = field(1, "float", default=0.0, doc="least score of a box")
    iou_thr: float = field(2, "float", default=0.5, doc="overlap above which boxes are one")
    nms_type: str = field(3, "string", default="IOU", doc="IOU, IOMU or IOFU")
    max_det_num: int = field(4, "uint32", default=0, doc="best boxes kept; 0: all")
    save_output_param: SaveOutputParameter = field(
        5, SaveOutputParameter, idle="no files are written: the detections are in the top"
    )


@register
class FrcnnOutput(FindingLayer):
    """Of each region with a probability of `conf_thr` or more of a class (class 0 is the
    background) the box that DecodeBBox gives, cut to the image. Class by class one that overlaps a
    better one by more than `iou_thr` is left out; of all that are left the `max_det_num` best
    remain.

    Overlaps: intersection over union (IOU), over the smaller (IOMU), over the better (IOFU).

    Gradient: none.
    Shapes: probabilities (R, C, …), codes (R, 4·C, …) (with `cls_aware: false` in bbox_reg_param
    (R, 8, …), of which the second four count), regions (R, 5 or 6, …) of image 0, (image, x1, y1,
    x2, y2, …), and the image's height and width (1, 2). Top (K + 1, 7, 1, 1), known after the pass
    only: a row of -1 with the image, 0, in front, then image, x1, y1, x2, y2, class, score, class
    by class, best first.
    Source: Cai and Vasconcelos 2018, Cascade R-CNN.
    """

    bottoms = (4, 4)
    extension = f"Cascade R-CNN (zhaoweicai), there {PARAM} = 160"
    param: FrcnnOutputParameter = param_of(FrcnnOutputParameter)
    reg: BBoxRegParameter = param_of(BBoxRegParameter)
    cases = (
        Case(
            f'type: "FrcnnOutput" {PARAM} {{ conf_thr: 0.3 }} '
            "bbox_reg_param { cls_aware: false }",
            # regions of 10 x 10; the second overlaps the first by 90 / 110 in class 1, and is cut
            # in class 2; the third's sides are twice as long
            {
                "prob": [[0.3, 0.7, 0.0], [0.1, 0.4, 0.5], [0.4, 0.6, 0.0]],
                "codes": [[0.0] * 8, [0.0] * 8, [0.0] * 6 + [np.log(2)] * 2],
                "rois": [
                    [0.0, 0.0, 0.0, 9.0, 9.0],
                    [0.0, 0.0, -1.0, 9.0, 8.0],
                    [0.0, 20.0, 20.0, 29.0, 29.0],
                ],
                "size": [[50.0, 30.0]],
            },
            {
                "y": np.array(
                    [
                        [0.0] + [-1.0] * 6,
                        [0.0, 0.0, 0.0, 9.0, 9.0, 1.0, 0.7],
                        [0.0, 15.0, 15.0, 30.0, 34.0, 1.0, 0.6],
                        [0.0, 0.0, 0.0, 9.0, 8.0, 2.0, 0.5],
                    ]
                )[:, :, None, None]
            },
            phase=Phase.TEST,
        ),
        Case(
            f'type: "FrcnnOutput" {PARAM} {{ max_det_num: 1 nms_type: "IOMU" }} bbox_reg_param {{ '
            "bbox_mean: 0 bbox_mean: 0 bbox_mean: 0 bbox_mean: 0 bbox_std: 0.1 bbox_std: 0.1 "
            "bbox_std: 0.2 bbox_std: 0.2 }",
            {
                "prob": [[0.2, 0.8, 0.7], [0.2, 0.3, 0.9]],
                "codes": [[0.0] * 12, [0.0] * 8 + [10.0, 0.0, 0.0, 0.0]],
                "rois": [[0.0, 1.0, 2.0, 10.0, 11.0, 0.5]] * 2,
                "size": [[50.0, 30.0]],
            },
            {
                "y": np.array([[0.0] + [-1.0] * 6, [0.0, 11.0, 2.0, 20.0, 11.0, 2.0, 0.9]])[
                    :, :, None, None
                ]
            },
            phase=Phase.TEST,
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        if self.param.nms_type not in ("IOU", "IOMU", "IOFU"):
            self.fail(
                f'nms_type is "{self.param.nms_type}"',
                PARAM,
                "nms_type",
                expected="IOU, IOMU or IOFU",
            )
        self._mean, self._std = (a.astype(self.dtype) for a in normal(self, self.reg))

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        for i, shape in enumerate(bottom[:3]):
            if len(shape) < 2 or shape[0] != bottom[0][0]:
                self._refuse(i, shape, f"{bottom[0][0]} rows")
        wanted = 4 * bottom[0][1] if self.reg.cls_aware else 8
        if bottom[1][1] != wanted:
            self._refuse(1, bottom[1], f"{bottom[0][0]} x {wanted}: four codes for each class")
        if bottom[2][1] not in (5, 6):
            self._refuse(2, bottom[2], f"{bottom[0][0]} x 5, or 6 with a score")
        if bottom[3][:2] != (1, 2):
            self._refuse(3, bottom[3], "1 x 2: the image's height and width")
        return [(1, 7, 1, 1)]

    def _refuse(self, index: int, shape: Shape, expected: str) -> None:
        name = self.spec.bottom[index]
        self.fail(f'bottom "{name}" is {show(shape)}', "bottom", index=index, expected=expected)

    def _boxes(self, codes: Array, rois: Array, size: Array) -> Array:
        """(R, sets, 4): corners of the boxes of all codes, cut to the image."""
        t = codes.reshape(len(codes), -1, 4) * self._std + self._mean
        sides = (rois[:, 3:5] - rois[:, 1:3] + 1)[:, None]
        middle = (rois[:, 3:5] + rois[:, 1:3])[:, None] / 2 + t[..., :2] * sides
        sides = sides * np.exp(t[..., 2:])
        start = middle - (sides - 1) / 2
        end = np.minimum(start + sides - 1, size[::-1])
        return np.concatenate([np.maximum(start, 0), end], -1)

    def find(self, bottom: Arrays) -> list[Array]:
        p, count = self.param, len(bottom[0])
        prob, codes, rois = (values.reshape(count, -1) for values in bottom[:3])
        if rois[:, 0].any():
            self.fail("there are regions of another image than 0", "bottom", index=2, expected="0")
        boxes = self._boxes(codes, rois, bottom[3].reshape(-1))
        found = [np.array([[0] + [-1] * 6], self.dtype)]
        for kind in range(1, prob.shape[1]):
            own = np.flatnonzero(prob[:, kind] >= p.conf_thr)
            own = own[np.argsort(-prob[own, kind], kind="stable")]
            mine = boxes[own, kind if self.reg.cls_aware else 1]

            def apart(best: int, others: Array, mine: Array = mine) -> Array:
                stay: Array = shared(mine[best], mine[others], p.nms_type) <= p.iou_thr
                return stay

            kept = thinned(len(own), apart)
            rows = np.zeros((len(kept), 7), self.dtype)
            rows[:, 1:5], rows[:, 5], rows[:, 6] = mine[kept], kind, prob[own[kept], kind]
            found.append(rows)
        rows = np.concatenate(found)
        if 0 < p.max_det_num < len(rows) - 1:
            best = np.argsort(-rows[1:, 6], kind="stable")[: p.max_det_num] + 1
            rows = rows[[0, *sorted(best)]]
        return [rows[:, :, None, None]]

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
        """For nets without data: regions of an image, and its size."""
        if index < 2:
            return rng.normal(0, 1, shape) if index else rng.uniform(0, 1, shape)
        if index == 3:
            return np.full(shape, 64)
        rois = np.zeros((shape[0], shape[1]))
        corners = rng.uniform(0, 64, (shape[0], 2, 2))
        rois[:, 1:3], rois[:, 3:5] = corners.min(1), corners.max(1)
        return rois.reshape(shape)

"""Yolov3: the loss of YOLO v3, of where objects are and what they are."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.cell_loss import CellLoss, Truth, alike
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "yolov3_param"


class IouLoss(IntEnum):
    """How boxes are learned."""

    IOU = 0
    GIOU = 1
    MSE = 2
    DIOU = 3
    CIOU = 4


class Yolov3Parameter(LayerMessage, field=PARAM, number=603):
    """Anchors, and how much each part of the loss counts."""

    side: int = field(1, "uint32", default=13, idle="the map says it")
    num_class: int = field(2, "uint32", default=20, least=1, doc="number of classes C")
    num: int = field(3, "uint32", default=5, least=1, doc="anchors B of a cell")
    object_scale: float = field(
        4, "float", default=1.0, doc="factor of scores of objects, with use_logic_gradient"
    )
    class_scale: float = field(5, "float", default=1.0, doc="factor of classes")
    noobject_scale: float = field(6, "float", default=0.5, idle="the fork takes 1")
    coord_scale: float = field(7, "float", default=5.0, doc="factor of boxes")
    thresh: float = field(8, "float", default=0.2, doc="a box with a larger overlap is not nothing")
    anchors_scale: int = field(10, "uint32", default=32, least=1, doc="pixels a cell")
    biases: list[float] = repeated(11, "float", above=0, doc="width, height of all anchors, pixels")
    mask: list[int] = repeated(12, "uint32", doc="which of the anchors this map has")
    use_logic_gradient: bool = field(
        13, "bool", default=False, doc="squares of errors, not cross entropies?"
    )
    use_focal_loss: bool = field(
        14, "bool", default=False, doc="classes that are right already count less?"
    )
    iou_loss: IouLoss = field(15, IouLoss, default=IouLoss.MSE, doc="MSE; no other here")
    iou_normalizer: float = field(
        16, "float", default=0.25, idle="it is of the forms of iou_loss that are not built in"
    )
    iou_thresh: float = field(
        17, "float", default=0.5, doc="anchors that are more alike learn a box too; 1: none"
    )
    max_delta: float = field(
        18, "float", default=10.0, idle="it is of the forms of iou_loss that are not built in"
    )
    accumulate: bool = field(
        19, "bool", default=True, idle="it is of the forms of iou_loss that are not built in"
    )
    label_smooth_eps: float = field(
        20, "float", default=0.1, least=0, most=1, doc="ε: classes are to be 1 - ε/2, ε/2"
    )


@register
class Yolov3(CellLoss):
    """The anchor at cell (i, j) gives the box of Yolov3DetectionOutput, a score o = σ(to), and
    classes σ(tc), each for itself. Where no true box overlaps it by more than `thresh`, o is to be
    0. A true box is learned by the anchor of all `biases` that is most like it, if it is one of
    this map's, and by those of this map that are alike by more than `iou_thresh` (as in the fork
    not by the one whose number is the best one's place in `mask`): an o of 1, the box and its
    class. L = J/N, with the cross entropy h(a, b) = ln(1 + e^a) − a·b of σ(a) and b and

    J = Σ h(to, 0) + Σ over true boxes of (coord_scale·s·(h(tx, x) + h(ty, y) + ((tw − w)² +
    (th − h)²)/2) + h(to, 1) + class_scale·Σ h(tc, 1 − ε/2 or ε/2)),

    s being 2 less the box's area. `use_logic_gradient` makes each h half the square of the error,
    and gives the score of objects the factor `object_scale`. With `use_focal_loss` classes are to
    be 1 or 0, and count with the factor −(1 − p)(2p ln p + p − 1)/2, p being the true
    class's, taken as given.

    Gradient: δ/N, δ being J's. The fork shows Σ δ²/N in place of L (with `use_logic_gradient` of δ
    by σ); a second top, if named, is that.
    Shapes: map (N, B·(5 + C), H, W), channels as Yolov3DetectionOutput reads them; labels N rows of
    fives (class from 0, centre, size in parts of the image, zeros behind the last), or
    AnnotatedData's (1, 1, R, 8), whose classes count from 1.
    Source: Redmon and Farhadi 2018, YOLOv3; eric612/MobileNet-YOLO.
    """

    extension = f"YOLO v3 fork (eric612/MobileNet-YOLO), {PARAM} = 603"
    param: Yolov3Parameter = param_of(Yolov3Parameter)
    cases = (
        Case(
            f'type: "Yolov3" {PARAM} {{ num_class: 1 num: 1 biases: 16 biases: 16 mask: 0 '
            "anchors_scale: 16 coord_scale: 2 class_scale: 3 label_smooth_eps: 0.2 thresh: 0.9 }",
            # two cells of 16 pixels; the box is the right one's, whose codes are right but th = 1
            {
                "map": np.array([[0, 0], [0, 0], [0, 0], [0, 1], [0, 0], [0, 0]]).reshape(
                    1, 6, 1, 2
                ),
                "label": [[0.0, 0.75, 0.5, 0.5, 1.0]],
            },
            {
                "loss": 2 * 1.5 * (2 * math.log(2) + 1 / 2) + 5 * math.log(2),
                "shown": (2 * 1.5) ** 2 + 2 * 0.5**2 + (3 * 0.4) ** 2,
            },
            note="s = 2 - 1/2; both o are 1/2, and the class, which wants 0.9",
        ),
        Case(
            f'type: "Yolov3" {PARAM} {{ num_class: 3 num: 2 biases: 16 biases: 32 biases: 30 '
            "biases: 10 biases: 9 biases: 9 mask: 1 mask: 2 use_focal_loss: true }",
            {
                "map": random(2, 16, 3, 3),
                "label": [
                    [2, 0.3, 0.7, 0.3, 0.1, 0, 0.5, 0.1, 0.8, 0.1],
                    [1, 0.9, 0.9, 0.1, 0.1, *[0] * 5],
                ],
            },
            tops=["loss"],
            gradient=False,  # the factor moves with the map, but is taken as given
        ),
        *(
            Case(
                f'type: "Yolov3" loss_weight: 2 {PARAM} {{ num_class: 2 num: 2 biases: 16 '
                f"biases: 32 biases: 30 biases: 10 mask: 0 mask: 1 iou_thresh: 0.2 {more} }}",
                {
                    "map": random(2, 14, 3, 3),
                    # the last two are of one cell, and most like one anchor
                    "label": [
                        [
                            [
                                [0, 2, 0, 0.1, 0.2, 0.6, 0.9, 0],
                                [1, 1, 0, 0.4, 0.4, 0.55, 0.5, 0],
                                [1, 2, 0, 0.41, 0.4, 0.55, 0.5, 0],
                            ]
                        ]
                    ],
                },
                tops=["loss"],
            )
            for more in ("", "use_logic_gradient: true object_scale: 5 label_smooth_eps: 0")
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if p.iou_loss != IouLoss.MSE:
            self.fail(
                f"iou_loss {p.iou_loss.name} is not built in", PARAM, "iou_loss", expected="MSE"
            )
        if len(p.mask) != p.num:
            self.fail(f"{len(p.mask)} mask for {p.num} anchors", PARAM, "mask", expected=str(p.num))
        if len(p.biases) % 2 or any(2 * m + 1 >= len(p.biases) for m in p.mask):
            self.fail(
                f"mask goes up to {max(p.mask)}, but there are {len(p.biases)} biases",
                PARAM,
                "mask",
                expected="two biases, width and height, for each anchor",
            )
        self._all = np.array(p.biases, self.dtype).reshape(-1, 2) / p.anchors_scale  # in cells
        self._anchors = self._all[p.mask]

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return self.fit(bottom, self.param.num, self.param.num_class)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        t, delta = bottom[0].reshape(self._sizes), self._delta
        boxes = self.boxes(t, self._anchors)
        with np.errstate(over="ignore"):
            s = 1 / (1 + np.exp(-t))
        s[:, :, 2:4] = t[:, :, 2:4]
        cost, square = self._cost, self.param.use_logic_gradient
        delta.fill(0)
        cost.fill(0)
        delta[:, :, 4] = s[:, :, 4]
        cost[:, :, 4] = self._price(t[:, :, 4], s[:, :, 4], 0)
        for n, truths in enumerate(self.truths(bottom[1])):
            found = self.found(boxes[n], truths, self.param.thresh)
            delta[n, :, 4][found] = cost[n, :, 4][found] = 0
            for truth in truths:
                for anchor in self._learners(truth):
                    at = (n, anchor, slice(None), truth.row, truth.column)
                    self._learn(delta[at], cost[at], t[at], s[at], anchor, truth)
        self.write(top, float(np.vdot(delta, delta)) / len(t))
        if square:
            slope = s * (1 - s)
            slope[:, :, 2:4] = 1
            delta *= slope

    def _price(self, t: Array, s: Array, wanted: Array | float) -> Array:
        """h of codes t, whose logistic function is s."""
        if self.param.use_logic_gradient:
            return (s - wanted) ** 2 / 2
        result: Array = np.logaddexp(0, t) - t * wanted
        return result

    def _learners(self, truth: Truth) -> list[int]:
        """The places in the mask of the anchors that learn a box."""
        mask, sizes = self.param.mask, self._all / self._sizes[:2:-1]
        shares = alike(sizes, truth.box[2:])
        best = int(shares.argmax())
        found = []
        if best in mask:
            # the fork's slip: from here on it takes the place in the mask for the anchor's number
            best = mask.index(best)
            found.append(best)
        if self.param.iou_thresh < 1:
            alike_too = (i for i in range(len(shares)) if i != best and i in mask)
            found += [mask.index(i) for i in alike_too if shares[i] > self.param.iou_thresh]
        return found

    def _learn(
        self, delta: Array, cost: Array, t: Array, s: Array, anchor: int, truth: Truth
    ) -> None:
        """Write δ and cost of all channels of an anchor at a cell."""
        p, smooth = self.param, self.param.label_smooth_eps
        size = np.log(truth.box[2:] * self._sizes[:2:-1] / self._anchors[anchor])
        scale = p.coord_scale * (2 - truth.box[2] * truth.box[3])
        delta[:4] = scale * (s[:4] - np.concatenate([truth.codes, size]))
        cost[:2] = scale * self._price(t[:2], s[:2], truth.codes)
        cost[2:4] = scale * (t[2:4] - size) ** 2 / 2
        factor = p.object_scale if p.use_logic_gradient else 1
        delta[4] = factor * (s[4] - 1)
        cost[4] = factor * self._price(t[4], s[4], 1)
        # where another box has this cell already, its class stays right
        which = slice(5 + truth.kind, 6 + truth.kind) if delta[5 + truth.kind] else slice(5, None)
        wanted = np.zeros_like(s)
        wanted[5 + truth.kind] = 1
        factor = p.class_scale
        if p.use_focal_loss and which.stop is None:
            right = s[5 + truth.kind] + 1e-15
            factor *= -(1 - right) * (2 * right * np.log(right) + right - 1) / 2
        else:
            wanted = wanted * (1 - smooth) + smooth / 2
        delta[which] = factor * (s[which] - wanted[which])
        cost[which] = factor * self._price(t[which], s[which], wanted[which])

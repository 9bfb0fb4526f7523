"""BoxAnnotatorOHEM: of all regions the hardest keep their labels."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class BoxAnnotatorOHEMParameter(LayerMessage, field="box_annotator_ohem_param", number=10000):
    """How many regions are chosen."""

    roi_per_img: int = field(1, "uint32", required=True, doc="regions that count, of each image")
    ignore_label: int = field(2, "int32", default=-1, doc="the label of those that do not")


@register
class BoxAnnotatorOHEM(Layer):
    """Of each image the `roi_per_img` regions with the largest loss keep their label and weights;
    of all others the label is `ignore_label` and the weights are 0. Of equal losses
    the first count.

    Gradient: none.
    Shapes: regions (R, 5), losses (R, …), labels (R, …), weights (R, C, …) of the boxes; tops like
    the labels and like the weights. (In the fork regions may have places too; here R counts.)
    Source: Shrivastava, Gupta and Girshick 2016, OHEM; Dai et al. 2016, R-FCN.
    box_annotator_ohem_param is 10000 there and 152 in Intel's Caffe.
    """

    deployed = False
    bottoms = (4, 4)
    tops = (2, 2)
    backward_reads = ()
    extension = "R-FCN fork (daijifeng001/caffe-rfcn), box_annotator_ohem_param = 10000"
    param: BoxAnnotatorOHEMParameter = param_of(BoxAnnotatorOHEMParameter)
    cases = (
        Case(
            'type: "BoxAnnotatorOHEM" box_annotator_ohem_param { roi_per_img: 1 }',
            {
                "rois": [[0.0] * 5, [0.0] * 5, [1.0] * 5],
                "loss": [0.5, 2.0, 0.1],
                "label": [3.0, 4.0, 0.0],
                "weight": [[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]],
            },
            {"labels": [-1.0, 4.0, 0.0], "weights": [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]},
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        rois, loss, label, weight = bottom
        count = rois[0] if rois else 0
        for i, (shape, right) in enumerate(
            (
                (rois, math.prod(rois[1:]) == 5),
                (loss, math.prod(loss) == count),
                (label, math.prod(label) == count),
                (weight, bool(weight) and weight[0] == count),
            )
        ):
            if not right:
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected=("R x 5", "R losses", "R labels", "R x C weights")[i],
                )
        return [label, weight]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        rois, loss, label, weight = (b.reshape(len(bottom[0]), -1) for b in bottom)
        image, kept = rois[:, 0], np.zeros(len(rois), bool)
        order = np.argsort(-loss[:, 0], kind="stable")
        for number in np.unique(image):
            kept[order[image[order] == number][: self.param.roi_per_img]] = True
        labels, weights = top[0].reshape(len(rois), -1), top[1].reshape(len(rois), -1)
        np.copyto(labels, np.where(kept[:, None], label, self.param.ignore_label))
        np.copyto(weights, np.where(kept[:, None], weight, 0))

"""Proposal: the regions that a region proposal network finds."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.anchors import (
    RATIOS,
    SCALES,
    anchors_of,
    check_maps,
    decoded,
    shifted,
    suppressed,
    with_stride,
)
from caffelite.layers.base import Arrays, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.layers.finding import FindingLayer
from caffelite.schema.common import Phase
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage


class ProposalParameter(LayerMessage, field="proposal_param", number=8266713):
    """Anchors, and how many regions are kept."""

    feat_stride: int = field(1, "uint32", default=16, least=1, doc="pixels from cell to cell")
    base_size: int = field(2, "uint32", default=16, least=1, doc="side of the smallest anchor")
    min_size: int = field(3, "uint32", default=16, doc="sides below it, times scale, are left out")
    ratio: list[float] = repeated(4, "float", above=0, doc="height/width; else 0.5, 1, 2")
    scale: list[float] = repeated(5, "float", above=0, doc="of the anchors; else 8, 16, 32")
    pre_nms_topn: int = field(6, "uint32", default=6000, least=1, doc="best regions looked at")
    post_nms_topn: int = field(7, "uint32", default=300, least=1, doc="best regions kept")
    nms_thresh: float = field(
        8, "float", default=0.7, least=0, doc="overlap from which regions are one"
    )


@register
class Proposal(FindingLayer):
    """At each cell of the map A anchors, moved by the deltas (dx, dy, dw, dh) of the second bottom:
    centre + (dx·w, dy·h), size (e^dw·w, e^dh·h), cut to the image. Of those whose sides are at
    least `min_size` times the image's scale the `pre_nms_topn` best are thinned out, each that
    overlaps a better one by more than `nms_thresh`, to `post_nms_topn`; best first. Scores are the
    second half of the first bottom's channels, the deltas of anchor a channels 4a to 4a + 3.

    Anchors: for each ratio, for each scale, round(√(base²/ratio))·scale wide and
    round(width·ratio)·scale high, around the middle of the first `base` pixels.

    Also `type: "Python"` of module rpn.proposal_layer, class ProposalLayer: then param_str says
    'feat_stride', 'scales' and 'ratios', and the rest is as in py-faster-rcnn's configuration:
    6000 and 300 in phase TEST, 12000 and 2000 in TRAIN, min_size 16, overlap 0.7.

    Gradient: none.
    Shapes: scores (1, 2·A, H, W), deltas (1, 4·A, H, W), im_info (1, 3): height, width, scale.
    Tops: regions (R, 5), (0, x1, y1, x2, y2), and if named their scores (R, 1); R is known after
    the pass only.
    Source: Ren et al. 2015, Faster R-CNN; sanghoon/caffe. Its proposal_param is 201, which is
    multibox_loss_param in the SSD fork.
    """

    bottoms = (3, 3)
    tops = (1, 2)
    one_image = True
    extension = "Faster R-CNN (rpn.proposal_layer) and PVANET's fork (there proposal_param = 201)"
    python = (("proposal_layer", "ProposalLayer"),)
    param: ProposalParameter = param_of(ProposalParameter)
    cases = (
        Case(
            'type: "Proposal" proposal_param { ratio: 1 scale: 1 min_size: 4 feat_stride: 16 '
            "nms_thresh: 0.5 }",
            # anchors 0..15 and 16..31; the first moves half its width to the right, the second is
            # the better one and stays; they overlap by 9/25
            {
                "scores": [[[[0.5, 0.5]], [[0.6, 0.9]]]],
                "deltas": [[[[0.5, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]]],
                "im_info": [[16.0, 40.0, 1.0]],
            },
            {
                "rois": [[0.0, 16.0, 0.0, 32.0, 15.0], [0.0, 8.0, 0.0, 24.0, 15.0]],
                "kept": [[0.9], [0.6]],
            },
            phase=Phase.TEST,
        ),
        Case(
            'type: "Proposal" proposal_param { ratio: 1 scale: 1 min_size: 4 nms_thresh: 0.3 }',
            {
                "scores": [[[[0.5, 0.5]], [[0.6, 0.9]]]],
                "deltas": [[[[0.5, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]]],
                "im_info": [[16.0, 40.0, 1.0]],
            },
            {"rois": [[0.0, 16.0, 0.0, 32.0, 15.0]]},
            phase=Phase.TEST,
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self.stride, self.min_size, base = p.feat_stride, p.min_size, p.base_size
        ratios, scales = list(p.ratio) or list(RATIOS), list(p.scale) or list(SCALES)
        self.before, self.after, self.overlap = p.pre_nms_topn, p.post_nms_topn, p.nms_thresh
        if self.spec.type == "Python":
            known = {"scales": SCALES, "ratios": RATIOS}
            # of MNC, for its backward pass, which there is none of here
            idle = {"gradient_scale": 1, "use_clip": 1, "clip_base": 256}
            said, self.stride = with_stride(self, {**known, **idle})
            scales, ratios = said.get("scales", scales), said.get("ratios", ratios)
            if self.phase == Phase.TRAIN:
                self.before, self.after = 12000, 2000
        self.anchors = anchors_of(base, ratios, scales).astype(self.dtype)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        count = len(self.anchors)
        check_maps(self, bottom, count, 4, f"{count} anchors a cell and one image")
        shapes: list[Shape] = [(1, 5), (1, 1)]
        return shapes[: len(self.spec.top)]

    def find(self, bottom: Arrays) -> tuple[Array, Array]:
        """Regions and scores, best first."""
        scores, deltas, info = bottom
        count, (height, width) = len(self.anchors), scores.shape[2:]
        high, wide, scale = info.reshape(-1)[:3]
        best = scores[0, count:].transpose(1, 2, 0).reshape(-1)
        codes = deltas[0].transpose(1, 2, 0).reshape(-1, 4)
        boxes = decoded(shifted(self.anchors, height, width, self.stride), codes)
        boxes = np.clip(boxes, 0, np.array([wide, high, wide, high], self.dtype) - 1)
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        large = np.flatnonzero((sides >= self.min_size * scale).all(1))
        order = large[np.argsort(-best[large], kind="stable")][: self.before]
        kept = order[suppressed(boxes[order], self.overlap, self.after)]
        image = np.zeros((len(kept), 1), self.dtype)
        return np.concatenate([image, boxes[kept]], 1), best[kept][:, None]

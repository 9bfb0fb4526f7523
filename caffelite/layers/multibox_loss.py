"""MultiBoxLoss: the loss of SSD, of where objects are and what they are."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import (
    Arrays,
    Diffs,
    Layer,
    LossLayer,
    Shapes,
    param_of,
    register,
    registry,
    show,
)
from caffelite.layers.box_matching import (
    OUTSIDE,
    Candidates,
    Matches,
    apart,
    check_objects,
    encode,
    match,
    objects_of,
)
from caffelite.layers.cases import Case, random
from caffelite.layers.detection_output import decode
from caffelite.layers.labels import normalization, normalizer
from caffelite.layers.multibox_param import (
    ConfLossType,
    LocLossType,
    MiningType,
    MultiBoxLossParameter,
    refuse_contradictions,
)
from caffelite.layers.softmax import SoftmaxKernel
from caffelite.layers.softmax_loss import FLT_MIN
from caffelite.schema.common import LossNormalization, LossParameter
from caffelite.schema.net import LayerParameter

_QUARTERS = (0.1, 0.1, 0.5, 0.5, 0.5, 0.1, 0.9, 0.5, 0.1, 0.5, 0.5, 0.9, 0.5, 0.5, 0.9, 0.9)


@register
class MultiBoxLoss(LossLayer):
    """L = (`loc_weight`·Σ f(t − ĝ) + Σ c) / n, over the boxes that count.

    1. Boxes are matched with objects by their overlap (intersection over union): the pair that
       overlaps most, then the next of what is left, until each object has a box. With
       PER_PREDICTION every other box is matched with the object that it overlaps most, if by
       `overlap_threshold` or more. Boxes are the priors, or with `use_prior_for_matching: false`
       the predicted ones.
    2. Mining. MAX_NEGATIVE: all matches, and of the boxes that overlap every object by less than
       `neg_overlap` those with the largest c, `neg_pos_ratio` for each match. HARD_EXAMPLE: of
       matches and others the `sample_size` of the largest f + c. NONE: all. With mining an image
       without objects counts nothing. With `nms_param`, of candidates that overlap only the one
       with the largest loss is mined.
    3. t is a match's code, ĝ the code that gives the object (see DetectionOutput), both in units
       of the variances. SMOOTH_L1: f(d) = d²/2 where |d| < 1, |d| − 1/2 elsewhere; L2: d²/2.
    4. c, SOFTMAX: −ln of the probability of the object's class, or the background's. LOGISTIC:
       the sum over the classes of the cross entropies of σ(x) with 1 for that class, 0 for the
       others; without mining, unmatched boxes have 0 for the background too.

    n is set by `loss_param`: VALID (the default), the matches; FULL, N·priors; BATCH_SIZE, N;
    NONE, 1. It is never below 1. `propagate_down: false` for codes or scores leaves their term out.

    Gradients: ∂L/∂t = f′(d)/v with `encode_variance_in_target` (the original leaves out the 1/v),
    else f′(d); ∂L/∂x = p − [c is the class]; each over n, and 0 for boxes that do not count.
    Which boxes are matched and mined is taken as constant.
    Shapes: codes (N, priors·4), or (N, priors·C·4) without `share_location`; scores
    (N, priors·C), before softmax; priors (1, 2, priors·4) as PriorBox makes them; objects
    (1, 1, any number, 8), rows of image, class, number, x1, y1, x2, y2, difficult, with image -1
    in empty rows. L (). With a fifth bottom it is RefinedMultiBoxLoss.
    Source: Liu et al. 2016, SSD.
    """

    bottoms = (4, 4)
    compares = False
    backward_reads = ()
    extension = "SSD fork (weiliu89/caffe), multibox_loss_param = 201"
    param: MultiBoxLossParameter = param_of(MultiBoxLossParameter)
    loss_param: LossParameter = param_of(LossParameter, "loss_param")
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "MultiBoxLoss" multibox_loss_param { num_classes: 3 neg_pos_ratio: 1 }',
            # The object overlaps the first box by 0.8, the others not: one match, one negative. Its
            # code is 0, 0, 0, (0.42 - 0.5)/0.2. The background's probabilities in the other boxes
            # are 1/3, 3/4 and 1/6: the last is mined.
            {
                "loc": [[0.5, 0.0, 2.0, 0.0] + [7.0] * 12],
                "conf": [[0, math.log(2), 0, 0, 0, 0, math.log(6), 0, 0, 0, 0, math.log(4)]],
                "priors": [[[*_QUARTERS], [0.1, 0.1, 0.2, 0.2] * 4]],
                "objects": [[[[0, 1, 0, 0.1, 0.1, 0.5, 0.42, 0]]]],
            },
            {"loss": 0.125 + 1.5 + 0.08 + math.log(2) + math.log(6)},
        ),
        Case(
            'type: "MultiBoxLoss" multibox_loss_param { num_classes: 3 '
            "mining_type: HARD_EXAMPLE sample_size: 2 }",
            # The match is right about the place and almost about the class: its loss is not among
            # the largest two, ln 3 and ln 6. Nothing is matched then, and n is 1.
            {
                "loc": [[0.0, 0.0, 0.0, -0.4] + [7.0] * 12],
                "conf": [[0, math.log(99), 0, 0, 0, 0, math.log(6), 0, 0, 0, 0, math.log(4)]],
                "priors": [[[*_QUARTERS], [0.1, 0.1, 0.2, 0.2] * 4]],
                "objects": [[[[0, 1, 0, 0.1, 0.1, 0.5, 0.42, 0]]]],
            },
            {"loss": math.log(3) + math.log(6)},
        ),
        Case(
            'type: "MultiBoxLoss" multibox_loss_param { num_classes: 2 loc_loss_type: L2 '
            "conf_loss_type: LOGISTIC loc_weight: 2 match_type: BIPARTITE code_type: CENTER_SIZE "
            "use_difficult_gt: false } loss_param { normalization: BATCH_SIZE }",
            # Overlaps 0.39 and 0.33: the first is matched, the second mined. The code is 2.5, 2.5,
            # 0, 0. The second image's object is difficult: there is nothing in it.
            {
                "loc": [[3.5, 2.5, 0.0, -2.0, 0.0, 0.0, 0.0, 0.0], [1.0] * 8],
                "conf": [[0.0, math.log(3), math.log(3), 0.0], [5.0] * 4],
                "priors": [[[0.2, 0.2, 0.6, 0.6, 0.2, 0.2, 0.6, 1.0], [0.1, 0.1, 0.2, 0.2] * 2]],
                "objects": [[[[0, 1, 0, 0.3, 0.3, 0.7, 0.7, 0], [1, 1, 0, 0.2, 0.2, 0.6, 0.6, 1]]]],
            },
            {"loss": (2 * (0.5 + 2) + 2 * math.log(2) + 2 * math.log(4 / 3)) / 2},
        ),
        Case(
            'type: "MultiBoxLoss" multibox_loss_param { num_classes: 3 share_location: false '
            "mining_type: NONE code_type: CORNER_SIZE encode_variance_in_target: true "
            "ignore_cross_boundary_bbox: true } loss_param { normalization: FULL }",
            # Each class has its own code; that of the object's class counts: 0.05 in place of 0,
            # with the variance 0.1, and a code that is right.
            {
                "loc": [[9.0] * 4 + [0.05] + [0.0] * 3 + [9.0] * 12 + [0.0] * 4],
                "conf": [[0.0] * 6],
                "priors": [[[0.1, 0.1, 0.5, 0.5, 0.5, 0.5, 0.9, 0.9], [0.1] * 8]],
                "objects": [[[[0, 1, 0, 0.1, 0.1, 0.5, 0.5, 0], [0, 2, 0, 0.5, 0.5, 0.9, 0.9, 0]]]],
            },
            {"loss": (0.125 + 2 * math.log(3)) / 2},
        ),
        Case(
            'type: "MultiBoxLoss" loss_weight: 2 multibox_loss_param { num_classes: 3 '
            "share_location: false mining_type: NONE conf_loss_type: LOGISTIC "
            "code_type: CENTER_SIZE use_prior_for_matching: false bp_inside: true "
            "encode_variance_in_target: true }",
            {
                "loc": random(2, 48, low=-0.1, high=0.1),
                "conf": random(2, 12),
                "priors": [[[*_QUARTERS], [0.1, 0.1, 0.2, 0.2] * 4]],
                "objects": [
                    [
                        [
                            [0, 1, 0, 0.1, 0.1, 0.5, 0.4, 0],
                            [1, 2, 0, 0.5, 0.1, 0.9, 0.5, 0],
                            [1, 1, 1, 0.2, 0.5, 0.5, 0.9, 1],
                            [-1, -1, -1, -1, -1, -1, -1, -1],
                        ]
                    ]
                ],
            },
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        """RefinedMultiBoxLoss, where a fifth bottom says so."""
        return registry["RefinedMultiBoxLoss"] if len(spec.bottom) > 4 else cls

    def propagates(self, index: int) -> bool:
        return index < 2

    def setup(self, bottom: Shapes) -> None:
        p, at = self.param, "multibox_loss_param"
        self.need(at, "num_classes", expected="the number of classes, the background included")
        self._mining = p.mining_type != MiningType.NONE
        refuse_contradictions(self, p)
        self._boxes = 1 if p.share_location else p.num_classes
        self._mode = normalization(self.loss_param, LossNormalization.VALID)
        down = list(self.spec.propagate_down) or [True, True]
        self._loc_counts, self._conf_counts = down[:2]

    def reshape(self, bottom: Shapes) -> list[Shape]:
        loc, conf, priors, objects = bottom[:4]
        count = math.prod(priors[1:]) // 8
        images = loc[0] if loc else 0
        for i, shape, wanted in (
            (2, priors, (1, 2, 4 * count)),
            (0, loc, (images, 4 * count * self._boxes)),
            (1, conf, (images, count * self.param.num_classes)),
        ):
            if not shape or shape[0] != wanted[0] or math.prod(shape) != math.prod(wanted):
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected=show(wanted),
                )
        check_objects(self, 3, objects)
        self._images, self._count = images, count
        return [()]

    _objects: Array | None = None
    """Which priors of each image may be mined; None: all."""

    def prepare(self) -> None:
        rows, classes = self._images * self._count, self.param.num_classes
        self._rows = np.empty((rows, classes), self.dtype)  # probabilities
        self._softmax = SoftmaxKernel((rows, classes, 1), self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        loc, conf, priors, objects = bottom[:4]
        p = self.param
        boxes, variances = priors.reshape(2, self._count, 4)
        corners = self._priors(bottom, boxes, variances)
        codes = loc.reshape(self._images, self._count, self._boxes, 4)
        scores = conf.reshape(self._rows.shape)
        found, known = self._match(codes, corners, variances, objects)
        chosen = None
        cost = self._conf_costs(scores, found)
        if self._mining:
            places = self._places(codes, corners, variances, found)[0]
            apart_from = self._boxes_apart(codes, corners, variances)
            found, chosen = self._mine(cost, places, found, known, apart_from)
        self._found, self._chosen = found, chosen
        self._n = normalizer(self._mode, self._images, self._count, len(found.image))
        total = 0.0
        if self._loc_counts:
            places, self._slope = self._places(codes, corners, variances, found)
            total += p.loc_weight * float(places.sum())
        if self._conf_counts:
            total += float((cost if chosen is None else cost[chosen]).sum())
        top[0][()] = total / self._n

    def _priors(self, bottom: Arrays, boxes: Array, variances: Array) -> Array:
        """Each image's priors (images, count, 4)."""
        return np.broadcast_to(boxes, (self._images, *boxes.shape))

    def _match(
        self, codes: Array, corners: Array, variances: Array, objects: Array
    ) -> tuple[Matches, Candidates]:
        """The matches; and what is known of each prior of each image, for mining."""
        p = self.param
        classes = None if p.map_object_to_agnostic else p.num_classes
        rows = objects_of(self, 3, objects, classes, p.background_label_id, self._images)
        if not p.use_difficult_gt:
            rows = rows[rows[:, 7] == 0]
        known = Candidates.none(self._images, self._count, self.dtype)
        found = [np.empty((4, 0), np.intp)]  # image, prior, slot, row
        for_all = p.share_location or p.use_prior_for_matching
        for i in range(self._images):
            mine = np.flatnonzero(rows[:, 0] == i)
            for c in range(1 if for_all else self._boxes) if mine.size else ():
                boxes = corners[i]
                if not p.use_prior_for_matching:
                    boxes = self._decoded(codes[i, :, c], boxes, variances)
                these = mine if for_all else mine[rows[mine, 1] == c]
                at, best = match(
                    boxes,
                    rows[these, 3:7],
                    p.match_type,
                    p.overlap_threshold,
                    p.ignore_cross_boundary_bbox,
                )
                known.note(i, at, best)
                prior = np.flatnonzero(at >= 0)
                row = these[at[prior]]
                slot = rows[row, 1].astype(np.intp) * (not p.share_location)
                found.append(np.stack([np.full_like(prior, i), prior, slot, row]))
        image, prior, slot, row = np.concatenate(found, 1)
        label = rows[row, 1].astype(np.intp)
        if p.map_object_to_agnostic:
            label = np.full_like(label, p.background_label_id + 1)
        return Matches(image, prior, slot, label, rows[row, 3:7]), known

    def _decoded(self, codes: Array, priors: Array, variances: Array) -> Array:
        """The predicted boxes; all (number, 4)."""
        p = self.param
        scaled = p.encode_variance_in_target
        return decode(codes, priors, variances, p.code_type, scaled)

    def _places(
        self, codes: Array, corners: Array, variances: Array, found: Matches
    ) -> tuple[Array, Array]:
        """The loss of each match's place, (number, 4), and its slope by the code."""
        p = self.param
        priors, variance = corners[found.image, found.prior], variances[found.prior]
        code = codes[found.image, found.prior, found.slot]
        unit = variance if p.encode_variance_in_target else np.ones_like(variance)
        d = code / unit - encode(found.box, priors, variance, p.code_type)
        if p.bp_inside:
            seen = priors
            if not p.use_prior_for_matching:
                seen = self._decoded(code, priors, variance)
            d[(seen < 0) | (seen > 1)] = 0
        if p.loc_loss_type == LocLossType.L2:
            return d * d / 2, d / unit
        size = np.abs(d)
        return np.where(size < 1, d * d / 2, size - 0.5), np.clip(d, -1, 1) / unit

    def _conf_costs(self, scores: Array, found: Matches) -> Array:
        """The loss c of each box of each image; `_rows` and `_hot` become what its gradient is."""
        p = self.param
        at = found.image * self._count + found.prior
        label = np.full(len(scores), p.background_label_id)
        label[at] = found.label
        every = np.arange(len(scores))
        cost: Array
        if p.conf_loss_type == ConfLossType.SOFTMAX:
            self._hot = every, label
            self._softmax(scores, self._rows)
            cost = -np.log(np.maximum(self._rows[self._hot], self.dtype.type(FLT_MIN)))
            return cost
        if not self._mining:
            self._hot = at, found.label
        elif p.background_label_id < p.num_classes:
            self._hot = every, label
        else:
            self._hot = at, found.label
        e = np.exp(-np.abs(scores))
        cost = (np.maximum(scores, 0) + np.log1p(e)).sum(1)
        np.subtract.at(cost, self._hot[0], scores[self._hot])
        np.divide(np.where(scores >= 0, 1, e), 1 + e, self._rows)
        return cost

    def _mine(
        self, cost: Array, places: Array, found: Matches, known: Candidates, boxes: Array | None
    ) -> tuple[Matches, Array]:
        """The matches that stay, and which rows of scores count."""
        p = self.param
        hard = p.mining_type == MiningType.HARD_EXAMPLE
        at = found.image * self._count + found.prior
        loss = cost.copy()
        if hard:
            loss[at] += places.sum(1)
        candidates = known.all() if hard else known.negatives(p.neg_overlap)
        if self._objects is not None:
            candidates = candidates & self._objects
        picked = np.zeros(known.state.shape, bool)
        for i, candidate in enumerate(candidates):
            here = np.flatnonzero(candidate)
            losses = loss.reshape(known.state.shape)[i, here]
            order = here[np.argsort(-losses, kind="stable")]
            if boxes is not None:
                order = apart(order, boxes[i], p.nms_param)
            matches = np.count_nonzero(found.image == i)
            most = p.sample_size if hard else int(np.float32(matches) * np.float32(p.neg_pos_ratio))
            picked[i, order[:most]] = True
        if hard:
            stays = picked.reshape(-1)[at]
            return found.only(stays), (picked & (known.state != OUTSIDE)).reshape(-1)
        return found, (picked | (known.state >= 0)).reshape(-1)

    def _boxes_apart(self, codes: Array, corners: Array, variances: Array) -> Array | None:
        """The boxes of each image of which those that overlap are mined once; None: all may be."""
        p = self.param
        if not p.has("nms_param") or p.nms_param.nms_threshold <= 0:
            return None
        if p.use_prior_for_nms:
            return corners
        return self._decoded(codes[:, :, 0], corners, variances)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        scale = top_diff[0].item() / self._n
        loc, conf = bottom_diff[:2]
        found = self._found
        if loc is not None:
            loc.fill(0)
            if self._loc_counts:
                codes = loc.reshape(self._images, self._count, self._boxes, 4)
                codes[found.image, found.prior, found.slot] = (
                    scale * self.param.loc_weight
                ) * self._slope
        if conf is not None:
            conf.fill(0)
            if self._conf_counts:
                rows = conf.reshape(self._rows.shape)
                np.multiply(self._rows, scale, rows)
                np.subtract.at(rows, self._hot, scale)
                if self._chosen is not None:
                    rows[~self._chosen] = 0

"""ProposalTarget: regions that MS-CNN's second stage learns from, and what it is to learn."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.anchors import coded, overlaps
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.bbox_reg import BBoxRegParameter, normal
from caffelite.layers.cases import Case
from caffelite.layers.finding import FindingLayer
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "proposal_target_param"
SIDE = 32
"""The least side of a region that is made up."""


class ProposalTargetParameter(LayerMessage, field=PARAM, number=1166):
    """Which regions are taken."""

    cls_num: int = field(1, "uint32", least=2, doc="number of classes C, the background is 0")
    batch_size: int = field(2, "int32", default=128, least=-1, doc="regions taken; -1: all")
    fg_fraction: float = field(
        3, "float", default=0.25, least=0, most=1, doc="share of objects among them, at most"
    )
    num_img_per_batch: int = field(4, "uint32", default=4, least=1, doc="images")
    fg_thr: float = field(5, "float", default=0.5, doc="least overlap of an object's region")
    bg_thr_hg: float = field(6, "float", default=0.5, doc="a background overlaps less")
    bg_thr_lw: float = field(7, "float", default=0.1, doc="and at least so much")
    img_width: int = field(8, "uint32", default=0, doc="of the images, for regions made up")
    img_height: int = field(9, "uint32", default=0, doc="of the images")
    iou_weighted: bool = field(10, "bool", default=False, doc="top 7: by overlap?")


@register
class ProposalTarget(FindingLayer):
    """Of the regions, and the objects themselves, those that overlap an object of their image by
    `fg_thr` or more have its class, others class 0. `batch_size` are taken: at random objects'
    regions, at most the share `fg_fraction`, then backgrounds that overlap by `bg_thr_lw` or more,
    but less than `bg_thr_hg`; if these are too few, others from the first on; if there are no more,
    regions made up at random, with sides of 32 or more, that overlap no object by `fg_thr`. What
    overlaps an object to be ignored is not taken as an object's.

    Tops: regions (K, 5, 1, 1); classes (K, 1, 1, 1); codes from the region to its object, less
    `bbox_mean`, over `bbox_std` (bbox_reg_param), at the four places of its class (with
    `cls_aware: false` the second four); twice 1 where those are, else 0; class, corners and overlap
    of the object (K, 6, 1, 1), 0 of a background. A seventh, if named: the weight of each region,
    objects' together `fg_fraction`·K, with `iou_weighted` in proportion to their overlaps, and
    backgrounds' the rest.

    Gradient: none.
    Shapes: regions (R, 5, …), (image, x1, y1, x2, y2); objects (G, 7, …), the same, class, and 1 if
    it is to be ignored; an eighth number is passed over; codes and weights (K, 4·C or 8, 1, 1). K
    is known after the pass only.
    Source: Cai et al. 2016, MS-CNN; Cai and Vasconcelos 2018, Cascade R-CNN.
    """

    bottoms = (2, 2)
    tops = (6, 7)
    deployed = False
    repeatable = False
    extension = f"MS-CNN (zhaoweicai), there {PARAM} = 152; Cascade R-CNN, there 159"
    param: ProposalTargetParameter = param_of(ProposalTargetParameter)
    reg: BBoxRegParameter = param_of(BBoxRegParameter)
    cases = (
        Case(
            f'type: "ProposalTarget" {PARAM} {{ cls_num: 2 batch_size: -1 bg_thr_lw: 0 '
            "num_img_per_batch: 2 iou_weighted: true } bbox_reg_param { bbox_mean: 0 bbox_mean: 0 "
            "bbox_mean: 0 bbox_mean: 0 bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2 }",
            # the first is moved by a tenth of its width; the second is of another image
            {
                "rois": [[0.0, 0.0, 0.0, 9.0, 9.0], [1.0, 0.0, 0.0, 9.0, 9.0]],
                "objects": [[0.0, 1.0, 0.0, 10.0, 9.0, 1.0, 0.0]],
            },
            {
                "r": np.array([[0.0, 0, 0, 9, 9], [0.0, 1, 0, 10, 9], [1.0, 0, 0, 9, 9]]).reshape(
                    3, 5, 1, 1
                ),
                "label": np.array([1.0, 1, 0]).reshape(3, 1, 1, 1),
                "codes": np.array([[0.0] * 4 + [1.0, 0, 0, 0], [0.0] * 8, [0.0] * 8]).reshape(
                    3, 8, 1, 1
                ),
                "inside": np.array([[0.0] * 4 + [1.0] * 4] * 2 + [[0.0] * 8]).reshape(3, 8, 1, 1),
                "outside": np.array([[0.0] * 4 + [1.0] * 4] * 2 + [[0.0] * 8]).reshape(3, 8, 1, 1),
                "match": np.array(
                    [[1.0, 1, 0, 10, 9, 9 / 11], [1.0, 1, 0, 10, 9, 1], [0.0] * 6]
                ).reshape(3, 6, 1, 1),
                # a quarter of three, in the proportion 9 to 11
                "weight": np.array([0.75 * 9 / 20, 0.75 * 11 / 20, 2.25]).reshape(3, 1, 1, 1),
            },
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self.need(PARAM, "cls_num", expected="cls_num: the number of classes")
        if p.batch_size == 0:
            self.fail("batch_size is 0", PARAM, "batch_size", expected="1 or more, or -1: all")
        if p.batch_size > 0 and min(p.img_width, p.img_height) <= SIDE:
            self.fail(
                f"images of {p.img_width} x {p.img_height} pixels",
                PARAM,
                "img_width" if p.img_width <= SIDE else "img_height",
                expected=f"img_width and img_height above {SIDE}",
            )
        if p.fg_thr < p.bg_thr_hg:
            self.fail("fg_thr is below bg_thr_hg", PARAM, "fg_thr", expected="as much at least")
        self._mean, self._std = (a.astype(self.dtype) for a in normal(self, self.reg))
        self._width = 4 * p.cls_num if self.reg.cls_aware else 8

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        for i, (shape, width) in enumerate(zip(bottom, (5, 7))):
            if len(shape) < 2 or shape[1] not in (width, 8 if i else width):
                name = self.spec.bottom[i]
                said = f'bottom "{name}" is {show(shape)}'
                self.fail(
                    said, "bottom", index=i, expected=f"rows of {width}" + (" or 8" if i else "")
                )
        count = self.param.batch_size if self.param.batch_size > 0 else bottom[0][0]
        widths = (5, 1, self._width, self._width, self._width, 6, 1)
        shapes: list[Shape] = [(count, n, 1, 1) for n in widths]
        return shapes[: len(self.spec.top)]

    def find(self, bottom: Arrays) -> list[Array]:
        p = self.param
        rois, objects = (b.reshape(len(b), -1) for b in bottom)
        rois = np.concatenate([rois, objects[:, :5]])
        same = rois[:, :1] == objects[:, 0]
        shares = np.where(same, overlaps(rois[:, 1:], objects[:, 1:5]), -1)
        nearest, best = shares.argmax(1), np.maximum(shares.max(1), 0)
        fit = best >= p.fg_thr
        good = np.flatnonzero(fit & (objects[nearest, 6] == 0))
        low = ~fit & (best >= p.bg_thr_lw) & (best < p.bg_thr_hg)
        grounds, others = np.flatnonzero(low), np.flatnonzero(~fit & ~low)
        if p.batch_size > 0:
            good = self._some(good, round(p.fg_fraction * p.batch_size))
            left = p.batch_size - len(good)
            if len(grounds) > left:
                grounds = self._some(grounds, left)
            else:
                grounds = np.concatenate([grounds, others[: left - len(grounds)]])
            made = self._made_up(left - len(grounds), objects)
        else:
            made = rois[:0]
        kept = np.concatenate([good, grounds])
        regions = np.concatenate([rois[kept], made])
        found = self._targets(regions, len(good), objects[nearest[good]], best[good])
        return [regions[:, :, None, None], *(a[:, :, None, None] for a in found)]

    def _some(self, places: Array, most: int) -> Array:
        return places if len(places) <= most else self.rng.choice(places, most, replace=False)

    def _made_up(self, count: int, objects: Array) -> Array:
        """So many regions (count, 5) that overlap no object much."""
        p, found = self.param, np.zeros((count, 5), self.dtype)
        done = tries = 0
        while done < count:
            tries += 1
            if tries > 100 * count + 1000:
                self.fail(
                    "no region is found that overlaps no object by fg_thr",
                    PARAM,
                    "img_width",
                    expected="images with some background",
                )
            image = self.rng.integers(p.num_img_per_batch)
            x, y = (int(self.rng.integers(n - SIDE)) for n in (p.img_width, p.img_height))
            w, h = (
                max(int(self.rng.integers(n - at)), SIDE)
                for n, at in ((p.img_width, x), (p.img_height, y))
            )
            row = np.array([image, x, y, x + w - 1, y + h - 1], self.dtype)
            own = objects[objects[:, 0] == image, 1:5]
            if not len(own) or overlaps(row[None, 1:], own).max() < p.fg_thr:
                found[done] = row
                done += 1
        return found

    def _targets(self, regions: Array, good: int, own: Array, shares: Array) -> list[Array]:
        """All tops but the regions; the first `good` are objects' regions."""
        p, count = self.param, len(regions)
        labels, match = np.zeros((count, 1), self.dtype), np.zeros((count, 6), self.dtype)
        targets, weights = (np.zeros((count, self._width), self.dtype) for _ in range(2))
        kinds = own[:, 5].astype(int)
        if good and not ((kinds > 0) & (kinds < p.cls_num)).all():
            bad = kinds[(kinds <= 0) | (kinds >= p.cls_num)][0]
            self.fail(
                f"an object is of class {bad}, but there are {p.cls_num} classes",
                "bottom",
                index=1,
                expected=f"classes from 1 to {p.cls_num - 1}",
            )
        labels[:good, 0] = kinds
        codes = (coded(regions[:good, 1:], own[:, 1:5]) - self._mean) / self._std
        place = 4 * (kinds if self.reg.cls_aware else np.minimum(kinds, 1))[:, None] + np.arange(4)
        rows = np.arange(good)[:, None]
        targets[rows, place], weights[rows, place] = codes, 1
        match[:good, 0], match[:good, 1:5], match[:good, 5] = kinds, own[:, 1:5], shares
        each = np.ones((count, 1), self.dtype)
        if p.iou_weighted:
            each[:good, 0] = shares
        total = each[:good].sum()
        if total:
            each[:good] *= p.fg_fraction * count / total
            each[good:] *= (1 - p.fg_fraction) * count / max(count - good, 1)
        return [labels, targets, weights, weights, match, each]

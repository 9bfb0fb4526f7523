"""MalisLoss: are pixels that belong together joined by a path of high affinities?"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, register, show
from caffelite.layers.cases import Case

AXES = 3


class Joined:
    """Sets of places that are joined one by one, and how many of each segment they hold."""

    def __init__(self, segments: Array) -> None:
        self.parent = list(range(segments.size))
        self.held: list[Counter[int]] = [Counter({s: 1}) if s else Counter() for s in segments]

    def of(self, place: int) -> int:
        """The set that has a place."""
        parent = self.parent
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    def join(self, a: int, b: int) -> tuple[int, int]:
        """Join two sets. How many pairs of places, one of each, are of one segment, and of two?"""
        small, large = sorted((self.held[a], self.held[b]), key=len)
        same = sum(n * large[s] for s, n in small.items() if s in large)
        pairs = small.total() * large.total()
        large.update(small)
        self.parent[a], self.held[b], self.held[a] = b, large, Counter()
        return same, pairs - same


@register
class MalisLoss(LossLayer):
    """Of each image L = ½·(P + M), then the mean over images. Edges, each with an affinity, lead
    from a place to the one that lies `edges` further, where that is in the image. Joining places by
    the edges of highest affinity first (Kruskal), an edge e that joins two sets counts for all
    pairs of places, one of each. P: with p_e = min(a_e, t_e), of affinity and target, (1 − p_e)²
    for each pair of one segment, over the number of such pairs in the image. M: with m_e =
    max(a_e, t_e), m_e² for each pair of different segments, over theirs. Segment 0 is none.

    Gradient: where a_e is the lesser, ∂P/∂a_e = −2·(1 − p_e)·pairs/number; where it is the greater,
    ∂M/∂a_e = 2·m_e·pairs/number. (The fork passes half of it, where t_e is chosen too, and passes
    over the loss weight and the number of images.) None for the others.
    Shapes: affinities and targets (N, E, …), up to three axes of places; segments (N, 1, …) of
    those, or (N, 2, …), for M and for P; edges, of 3·E values, how many planes, rows and columns
    each leads on; without them E ≤ 3, and each leads one on, the last along the columns. L ().
    Source: Turaga et al. 2009, Maximin Affinity Learning of Image Segmentation; naibaf7/caffe.
    """

    bottoms = (3, 4)
    compares = False
    backward_reads = ("bottom",)
    extension = "naibaf7/caffe"
    cases = (
        Case(
            'type: "MalisLoss"',
            # one row of segments 1, 1, 2: the pair of segment 1 is joined by 0.75; of the others
            # the edge of 0.25 joins both. (For M the first edge has 1, its target.)
            {
                "a": [[[0.75, 0.25, 0.9]]],
                "t": [[[1.0, 0.0, 0.0]]],
                "segments": [[[1, 1, 2]]],
            },
            {"loss": (0.25**2 + 0.25**2) / 2},
        ),
        Case(
            'type: "MalisLoss" loss_weight: 3',
            # rows 1 1, 2 2; edges down and right; that down right of 0.5 joins first, and wrongly
            {
                "a": [[[[0.125, 0.5], [0, 0]], [[0.25, 0], [0.375, 0]]]],
                "t": [[[[0.0, 0], [0, 0]], [[1.0, 0], [1, 0]]]],
                "segments": [[[[1, 1], [2, 2]]]],
            },
            {"loss": (((1 - 0.25) ** 2 + (1 - 0.375) ** 2) / 2 + 0.5**2) / 2},
        ),
        Case(
            'type: "MalisLoss"',
            # the only edge leads two columns on, against the first
            {
                "a": [[[0.9, 0.9, 0.25]]],
                "t": [[[1.0, 1.0, 1.0]]],
                "segments": [[[3, 0, 3]]],
                "edges": [[0, 0, -2]],
            },
            {"loss": 0.75**2 / 2},
        ),
    )

    def propagates(self, index: int) -> bool:
        return index == 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        a = bottom[0]
        good = 3 <= len(a) <= 2 + AXES
        if not good or (a[1] > AXES and len(bottom) < 4):
            said = f'bottom "{self.spec.bottom[0]}" is {show(a)}'
            expected = "N x E x places, of one axis to three, E from 1 to 3 unless edges are given"
            self.fail(said, "bottom", expected=expected)
        wanted = [(a,), (a,), ((a[0], 1, *a[2:]), (a[0], 2, *a[2:]))]
        for i, (shape, allowed) in enumerate(zip(bottom, wanted)):
            if shape not in allowed:
                said = f'bottom "{self.spec.bottom[i]}" is {show(shape)}'
                expected = " or ".join(map(show, allowed))
                self.fail(said, "bottom", index=i, expected=expected)
        if len(bottom) > 3 and math.prod(bottom[3]) != AXES * a[1]:
            said = f'bottom "{self.spec.bottom[3]}" is {show(bottom[3])}'
            self.fail(said, "bottom", index=3, expected=f"{AXES * a[1]} values: 3 for each edge")
        return [()]

    def prepare(self) -> None:
        shape = self.bottom_shapes[0]
        self._places: Shape = (1,) * (2 + AXES - len(shape)) + shape[2:]
        self._slope = np.zeros(shape, self.dtype)

    def _edges(self, bottom: Arrays) -> tuple[Array, Array]:
        """The edges that end in the image: their numbers, and where each ends."""
        count = self.bottom_shapes[0][1]
        steps = np.eye(AXES, dtype=np.intp)[AXES - count :]
        if len(bottom) > 3:
            steps = bottom[3].reshape(count, AXES).astype(np.intp)
        size = math.prod(self._places)
        at = np.indices(self._places).reshape(AXES, -1)
        numbers, ends = [], []
        for edge, step in enumerate(steps):
            end = at + step[:, None]
            inside = np.all((end >= 0) & (end < np.array(self._places)[:, None]), 0)
            numbers.append(np.flatnonzero(inside) + edge * size)
            ends.append(np.ravel_multi_index(tuple(end[:, inside]), self._places))
        return np.concatenate(numbers), np.concatenate(ends)

    def _image(self, affinities: Array, segments: Array, same: bool) -> tuple[float, Array]:
        """A term of an image, and its slopes with respect to the affinities (both flat)."""
        numbers, ends = self._of_edges
        weights = affinities[numbers]
        slopes, size = np.zeros(affinities.size, self.dtype), segments.size
        sizes = np.bincount(segments[segments > 0])
        of_one = int(np.sum(sizes * (sizes - 1)) // 2)
        total = int(sizes.sum())
        pairs = of_one if same else total * (total - 1) // 2 - of_one
        sets, loss = Joined(segments), 0.0
        for at in np.argsort(-weights, kind="stable") if pairs else ():
            first, second = sets.of(int(numbers[at]) % size), sets.of(int(ends[at]))
            if first == second:
                continue
            found = sets.join(first, second)[0 if same else 1]
            if found:
                gap = 1 - float(weights[at]) if same else float(weights[at])
                loss += gap * gap * found / pairs
                slopes[numbers[at]] = (-2 if same else 2) * gap * found / pairs
        return loss, slopes

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        a, target = bottom[:2]
        self._of_edges = self._edges(bottom)
        segments = bottom[2].reshape(len(a), bottom[2].shape[1], -1).astype(np.intp)
        loss = 0.0
        for n in range(len(a)):
            for same, chosen in ((False, np.maximum), (True, np.minimum)):
                of = segments[n, -1 if same else 0]
                term, slopes = self._image(chosen(a[n], target[n]).reshape(-1), of, same)
                loss += term / 2
                own = (a[n] <= target[n]) if same else (a[n] >= target[n])
                slopes = np.where(own.reshape(-1), slopes, 0).reshape(a[n].shape) / 2
                self._slope[n] = slopes if not same else self._slope[n] + slopes
        top[0][()] = loss / max(1, len(a))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.multiply(self._slope, top_diff[0] / max(1, len(self._slope)), bottom_diff[0])

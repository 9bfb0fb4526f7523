"""Warp: a map looked at where a flow points."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, register, show
from caffelite.layers.cases import Case, random


@register
class Warp(Layer):
    """y at (row s, column t) is the bottom's value at row s + v and column t + u, by bilinear
    interpolation, where u and v are the two channels of the flow there, in pixels; 0 where that
    point lies outside of the map, beyond the middle of its outermost pixels.

    Gradient: to the four pixels by their weights; to u and v the slope of the bottom there, summed
    over the channels. Right on a pixel it is the mean of the slopes to both sides, 0 beyond the
    map.
    Shapes: map (N, C, H, W), flow (N, 2, H, W), y (N, C, H, W).
    Source: Sun et al. 2018, PWC-Net (NVlabs/PWC-Net), where it is for GPUs alone.
    """

    bottoms = (2, 2)
    backward_reads = ("bottom",)
    extension = "PWC-Net (NVlabs)"
    cases = (
        Case(
            'type: "Warp"',
            {
                "map": [[[[1.0, 2.0, 4.0], [3.0, 5.0, 9.0]]]],
                "flow": [[[[0.5] * 3, [-0.5] * 3], [[0.5] * 3, [-0.25] * 3]]],
            },
            {"y": [[[[2.75, 5.0, 0.0], [0.0, 3.375, 6.0]]]]},
        ),
        Case(
            'type: "Warp"',
            {"map": [[[[1.0, 2.0, 4.0]]]], "flow": [[[[2.0, 0.0, -1.0]], [[0.0] * 3]]]},
            {"y": [[[[4.0, 2.0, 2.0]]]]},
            gradient=False,  # the points are pixels, where the slope to u jumps
        ),
        Case(
            'type: "Warp"',
            {"map": random(2, 3, 4, 5), "flow": random(2, 2, 4, 5, low=0.1, high=0.9)},
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        image, flow = bottom
        if len(image) != 4 or flow != (image[0], 2, *image[2:]):
            names = self.spec.bottom
            self.fail(
                f'bottom "{names[1]}" is {show(flow)}, but "{names[0]}" is {show(image)}',
                "bottom",
                index=1,
                expected="N x C x H x W, and a flow of N x 2 x H x W",
            )
        return [image]

    def prepare(self) -> None:
        _, _, height, width = self.bottom_shapes[0]
        rows, columns = np.indices((height, width))
        self._rows, self._columns = rows.astype(self.dtype), columns.astype(self.dtype)

    def _points(self, flow: Array) -> tuple[Array, ...]:
        """Where an image's flow points: is it inside, the rows above and below, the columns to the
        left and right, and the weights of those below and to the right."""
        _, _, height, width = self.bottom_shapes[0]
        x, y = self._columns + flow[0], self._rows + flow[1]
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        x, y = np.where(inside, x, 0), np.where(inside, y, 0)
        left, above = np.floor(x), np.floor(y)
        places = (above, np.ceil(y), left, np.ceil(x))
        return (inside, *(p.astype(np.intp) for p in places), y - above, x - left)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for image, flow, out in zip(bottom[0], bottom[1], top[0]):
            inside, r0, r1, c0, c1, low, right = self._points(flow)
            upper = image[:, r0, c0] * (1 - right) + image[:, r0, c1] * right
            lower = image[:, r1, c0] * (1 - right) + image[:, r1, c1] * right
            np.copyto(out, np.where(inside, upper * (1 - low) + lower * low, 0))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        d_map, d_flow = bottom_diff
        for n, (image, flow, dy) in enumerate(zip(bottom[0], bottom[1], top_diff[0])):
            inside, r0, r1, c0, c1, low, right = self._points(flow)
            dy = np.where(inside, dy, 0)
            if d_map is not None:
                pixels = d_map[n].reshape(len(image), -1).T
                pixels.fill(0)
                for rows, share in ((r0, 1 - low), (r1, low)):
                    for columns, part in ((c0, 1 - right), (c1, right)):
                        values = (dy * share * part).reshape(len(image), -1)
                        np.add.at(pixels, (rows * image.shape[2] + columns).ravel(), values.T)
            if d_flow is not None:
                across, down = _steps(image, 2), _steps(image, 1)
                slopes = [
                    sum(across[:, r, c] * w for r, w in ((r0, 1 - low), (r1, low)))
                    for c in (c1, c0 + 1)
                ]
                np.sum(dy * (slopes[0] + slopes[1]) / 2, axis=0, out=d_flow[n, 0])
                slopes = [
                    sum(down[:, r, c] * w for c, w in ((c0, 1 - right), (c1, right)))
                    for r in (r1, r0 + 1)
                ]
                np.sum(dy * (slopes[0] + slopes[1]) / 2, axis=0, out=d_flow[n, 1])


def _steps(image: Array, axis: int) -> Array:
    """What is added from each pixel to the next, with 0 before the first and after the last."""
    around = [(0, 0)] * image.ndim
    around[axis] = (1, 1)
    return np.pad(np.diff(image, axis=axis), around)

"""ConnectedComponent: what touches gets a number of its own."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, register, show
from caffelite.layers.cases import Case


@register
class ConnectedComponent(Layer):
    """In each map places of one label, its whole part, that touch by their sides are a component.
    They are numbered in the order of their first place, row by row, from the highest label of the
    map plus 1 on; label 0 stays 0.

    Gradient: none.
    Shapes: bottom and top alike, (N, C, H, W). (The fork keeps labels in 8 bits.)
    Source: naibaf7/caffe.
    """

    backward_reads = ()
    deployed = False
    extension = "naibaf7/caffe"
    cases = (
        Case(
            'type: "ConnectedComponent"',
            {"x": [[[[1.0, 1, 0, 2], [0, 1, 0, 1], [1.5, 0, 1, 1]]]]},
            {"y": [[[[3.0, 3, 0, 4], [0, 3, 0, 5], [6, 0, 5, 5]]]]},
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        if len(bottom[0]) != 4:
            said = f'bottom "{self.spec.bottom[0]}" is {show(bottom[0])}'
            self.fail(said, "bottom", expected="N x C x H x W")
        return [bottom[0]]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for maps, out in zip(bottom[0], top[0]):
            for labels, numbers in zip(maps, out):
                numbers[...] = components(labels.astype(np.intp))


def components(labels: Array) -> Array:
    """The numbers of a map (H, W)."""
    height, width = labels.shape
    flat, numbers = labels.ravel().tolist(), [0] * labels.size
    number = max(flat, default=0)
    number = max(number, 0)
    for start, label in enumerate(flat):
        if not label or numbers[start]:
            continue
        number += 1
        numbers[start], todo = number, [start]
        while todo:
            place = todo.pop()
            column = place % width
            beside = [place - width, place + width]
            beside += [place - 1] * (column > 0) + [place + 1] * (column < width - 1)
            for other in beside:
                if 0 <= other < len(flat) and flat[other] == label and not numbers[other]:
                    numbers[other] = number
                    todo.append(other)
    return np.array(numbers).reshape(height, width)

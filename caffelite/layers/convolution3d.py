"""Convolution3D: filters moved over frames, rows and columns, as C3D writes it."""

from __future__ import annotations

from typing import ClassVar

from caffelite.layers.base import Layer, register
from caffelite.layers.cases import Case, random
from caffelite.layers.convolution import Convolution
from caffelite.schema.net import LayerParameter


@register
class Convolution3D(Convolution):
    """As Convolution over three axes, whose first, frames, has fields of its own: `kernel_depth`,
    `temporal_stride` (1) and `temporal_pad` (0). A layer of type "Convolution" with one of them
    is this one, and V1's CONVOLUTION3D.

    Gradients: as Convolution's.
    Shapes: x (N, C, L, H, W); W (M, C/g, kernel_depth, kernel, kernel); b (M,);
    y (N, M, L', H', W').
    Source: Tran et al. 2015, C3D (facebook/C3D).
    """

    extension = "C3D (facebook/C3D)"
    temporal = True
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "Convolution3D" convolution_param { num_output: 1 kernel_size: 1 '
            "kernel_depth: 2 temporal_pad: 1 temporal_stride: 2 }",
            # the pad, then the first frame; ten times the second, then the third
            {"x": [[[[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]]]},
            {"y": [[[[[1.5, 2.5]], [[35.5, 46.5]]]]]},
            params=[[[[[[10.0]], [[1.0]]]]], [0.5]],
        ),
        Case(
            'type: "Convolution3D" convolution_param { num_output: 2 kernel_size: 3 pad: 1 '
            "stride: 2 kernel_depth: 2 }",
            {"x": random(2, 2, 3, 4, 3)},
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        return cls

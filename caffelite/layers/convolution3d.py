"""Convolution3D: filters moved over frames, rows and columns, as C3D writes it."""

from __future__ import annotations

from typing import ClassVar

from caffelite.layers.base import Context, Layer, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.convolution import Convolution
from caffelite.layers.usual_message import with_usual_message
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage, LayerParameter

OWN = "convolution3d_param"


class Convolution3DParameter(LayerMessage, field=OWN, number=6661):
    """C3D 1.1: what stands in convolution_param else."""

    num_output: int = field(1, "uint32", least=1, doc="filters M, and channels of the top")
    bias_term: bool = field(2, "bool", default=True, doc="add a bias?")
    pad: int = field(3, "uint32", default=0, doc="pad of rows and columns")
    kernel_size: int = field(4, "uint32", least=1, doc="rows and columns of a filter")
    group: int = field(5, "uint32", default=1, least=1, doc="parts that are convolved separately")
    kernel_depth: int = field(6, "uint32", least=1, doc="frames of a filter")
    stride: int = field(7, "uint32", default=1, least=1, doc="step along rows and columns")
    temporal_stride: int = field(8, "uint32", default=1, least=1, doc="step along the frames")
    weight_filler: FillerParameter = field(9, FillerParameter, doc="first values of W")
    bias_filler: FillerParameter = field(10, FillerParameter, doc="first values of b")
    filter_group: int = field(11, "uint32", default=1, least=1, idle="it saves memory in C3D")
    temporal_pad: int = field(12, "uint32", default=0, doc="pad of the frames")


@register
class Convolution3D(Convolution):
    """As Convolution over three axes, whose first, frames, has fields of its own: `kernel_depth`,
    `temporal_stride` (1) and `temporal_pad` (0). A layer of type "Convolution" with one of them
    is this one, and V1's CONVOLUTION3D. A convolution3d_param is read as C3D 1.1 has it.

    Gradients: as Convolution's.
    Shapes: x (N, C, L, H, W); W (M, C/g, kernel_depth, kernel, kernel); b (M,);
    y (N, M, L', H', W').
    Source: Tran et al. 2015, C3D (facebook/C3D).
    """

    extension = "C3D (facebook/C3D)"
    own: Convolution3DParameter = param_of(Convolution3DParameter)
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
        Case(
            f'type: "Convolution3D" {OWN} {{ num_output: 1 kernel_size: 1 kernel_depth: 2 '
            "bias_term: false temporal_stride: 2 }",
            {"x": [[[[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]]]},
            {"y": [[[[[31.0, 42.0]]]]]},
            params=[[[[[[1.0]], [[10.0]]]]]],
        ),
    )

    def __init__(self, spec: LayerParameter, context: Context | None = None) -> None:
        super().__init__(with_usual_message(spec, OWN, "convolution_param"), context)

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        return cls

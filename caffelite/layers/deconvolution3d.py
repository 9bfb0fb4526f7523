"""Deconvolution3D: the transpose of a Convolution3D, as C3D writes it."""

from __future__ import annotations

from caffelite.layers.base import Context, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.convolution3d import OWN, Convolution3DParameter
from caffelite.layers.deconvolution import Deconvolution
from caffelite.layers.usual_message import with_usual_message
from caffelite.schema.net import LayerParameter


@register
class Deconvolution3D(Deconvolution):
    """As Deconvolution over three axes, whose first, frames, has fields of its own: `kernel_depth`,
    `temporal_stride` (1) and `temporal_pad` (0). V1's DECONVOLUTION3D is this one. A
    convolution3d_param is read as C3D 1.1 has it.

    Gradients: as Deconvolution's.
    Shapes: x (N, C, L, H, W); W (C, M/g, kernel_depth, kernel, kernel); b (M,);
    y (N, M, L', H', W').
    Source: Tran et al. 2016, Deep End2End Voxel2Voxel Prediction (facebook/C3D).
    """

    extension = "C3D (facebook/C3D)"
    own: Convolution3DParameter = param_of(Convolution3DParameter)
    temporal = True
    cases = (
        Case(
            'type: "Deconvolution3D" convolution_param { num_output: 1 kernel_size: 1 '
            "kernel_depth: 3 temporal_stride: 2 temporal_pad: 1 }",
            # frames 0 1 2 and 2 3 4 get 100, 10 and 1 times theirs; the first and last are the pad
            {"x": [[[[[1.0, 2.0]], [[3.0, 4.0]]]]]},
            {"y": [[[[[10.5, 20.5]], [[301.5, 402.5]], [[30.5, 40.5]]]]]},
            params=[[[[[[100.0]], [[10.0]], [[1.0]]]]], [0.5]],
        ),
        Case(
            'type: "Deconvolution3D" convolution_param { num_output: 2 kernel_size: 3 pad: 1 '
            "stride: 2 kernel_depth: 2 }",
            {"x": random(2, 3, 2, 2, 3)},
        ),
        Case(
            f'type: "Deconvolution3D" {OWN} {{ num_output: 1 kernel_size: 1 kernel_depth: 2 '
            "bias_term: false }",
            {"x": [[[[[1.0]], [[2.0]]]]]},
            {"y": [[[[[1.0]], [[12.0]], [[20.0]]]]]},
            params=[[[[[[1.0]], [[10.0]]]]]],
        ),
    )

    def __init__(self, spec: LayerParameter, context: Context | None = None) -> None:
        super().__init__(with_usual_message(spec, OWN, "convolution_param"), context)

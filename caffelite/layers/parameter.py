"""Parameter: a blob that is learned."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.schema.common import BlobShape, FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ParameterParameter(LayerMessage, field="parameter_param", number=145):
    """The shape of the parameter."""

    shape: BlobShape = field(1, BlobShape, doc="the parameter's shape")
    blob_filler: FillerParameter = field(
        2, FillerParameter, doc="happynear: the first values; else zeros"
    )


@register
class Parameter(Layer):
    """y = w, a learned parameter as a blob, for other layers to read. It starts at zero, or
    as `blob_filler` says.

    Gradient: ∂L/∂w = ∂L/∂y.
    Shapes: top and parameter as `shape` says; no bottoms.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/parameter.html
    """

    bottoms = (0, 0)
    backward_reads = ()
    param: ParameterParameter = param_of(ParameterParameter)
    cases = (
        Case(
            'type: "Parameter" parameter_param { shape { dim: 2 dim: 2 } }',
            outputs={"y": [[1.0, 2.0], [3.0, 4.0]]},
            params=[[[1.0, 2.0], [3.0, 4.0]]],
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        dims = self.param.shape.dim
        if not self.param.has("shape") or any(n < 0 for n in dims):
            self.fail(
                "an extent is negative" if dims else "the shape is missing",
                "parameter_param",
                "shape",
                expected="extents, parameter_param { shape { dim: 10 dim: 3 } }",
            )
        self.declare(dims, self.param.blob_filler if self.param.has("blob_filler") else None)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [tuple(self.param.shape.dim)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0], self.params[0].data)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if self.learns[0]:
            np.add(self.params[0].diff, top_diff[0], self.params[0].diff)

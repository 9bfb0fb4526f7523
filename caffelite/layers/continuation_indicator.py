"""ContinuationIndicator: marks of sequences that last as long as the batch."""

from __future__ import annotations

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "continuation_indicator_param"


class ContinuationIndicatorParameter(LayerMessage, field=PARAM, number=1202):
    """How many, and how long."""

    time_step: int = field(1, "uint32", default=0, least=1, doc="number T of steps")
    batch_size: int = field(2, "uint32", default=0, least=1, doc="number N of sequences")
    axis: int = field(
        1002,
        "int32",
        default=0,
        doc="jolibrain (there 2): the axis of the bottom whose extent is N, without batch_size",
    )


@register
class ContinuationIndicator(Layer):
    """y[0, n] = 0 and y[t, n] = 1 for t > 0: N sequences that start at the first of T steps, as
    LSTM and CTCLoss read it.

    Gradient: none.
    Shapes: no bottom, or one, whose values are not looked at; top (T, N).
    Source: xmfbit/warpctc-caffe; N by `axis`: jolibrain/caffe, DeepDetect's fork.
    """

    bottoms = (0, 1)
    backward_reads = ()
    extension = f"xmfbit/warpctc-caffe, there {PARAM} = 201"
    param: ContinuationIndicatorParameter = param_of(ContinuationIndicatorParameter)
    cases = (
        Case(
            f'type: "ContinuationIndicator" {PARAM} {{ time_step: 3 batch_size: 2 }}',
            {},
            {"y": [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]},
        ),
        Case(
            f'type: "ContinuationIndicator" {PARAM} {{ time_step: 2 batch_size: 1 }}',
            {"x": [[3.0]]},
            {"y": [[0.0], [1.0]]},
        ),
        Case(
            f'type: "ContinuationIndicator" {PARAM} {{ time_step: 2 axis: 1 }}',
            {"x": [[3.0, 1.0, 2.0]]},
            {"y": [[0.0] * 3, [1.0] * 3]},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        self._by_axis = bool(bottom) and not self.param.has("batch_size")
        for name in ("time_step",) if self._by_axis else ("time_step", "batch_size"):
            self.need(PARAM, name, expected=f"{name}: a whole number from 1 on")
        if self.param.has("axis") and not self._by_axis:
            self.fail("axis goes with a bottom, and without batch_size", PARAM, "axis")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        sequences = self.param.batch_size
        if self._by_axis:
            sequences = bottom[0][self.axis(self.param.axis, len(bottom[0]), PARAM, "axis")]
        return [(self.param.time_step, sequences)]

    def propagates(self, index: int) -> bool:
        return False

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        top[0].fill(1)
        top[0][0] = 0

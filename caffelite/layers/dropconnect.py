"""DropConnect: a fully connected layer whose weights become zero at random, in training."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Arrays, Diffs, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.fully_connected import FullyConnected
from caffelite.schema.common import FillerParameter, Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class DropConnectParameter(LayerMessage, field="dropconnect_param", number=20020):
    """The size and the start of the layer, and how much is dropped."""

    num_output: int = field(1, "uint32", least=1, doc="number of outputs N")
    bias_term: bool = field(2, "bool", default=True, doc="add a bias?")
    weight_filler: FillerParameter = field(3, FillerParameter, doc="first values of W")
    bias_filler: FillerParameter = field(4, FillerParameter, doc="first values of b")
    dropout_ratio: float = field(
        5, "float", default=0.5, least=0, below=1, doc="probability of a zero weight"
    )
    axis: int = field(6, "int32", default=1, doc="axes from here on are flattened into K inputs")


@register
class DropConnect(FullyConnected):
    """TRAIN: y = x·(W∘m)ᵀ / (1 - p) + b; each sample has its own m, whose elements are 0 with
    probability p = `dropout_ratio`, else 1. TEST: y = x·Wᵀ + b, which is the mean of the above.

    Gradients, of one sample, with the m of the forward pass: ∂L/∂x = ∂L/∂y · (W∘m) / (1 - p);
    ∂L/∂W = (∂L/∂y ⊗ x)∘m / (1 - p), summed over the samples; ∂L/∂b = Σ over the samples of ∂L/∂y.
    TEST: those of InnerProduct.
    Shapes: x is (…, K) with the axes from `axis` on flattened into K and those before into M
    samples; W is (N, K), b is (N,), y is (axes before `axis`, N). The masks take M·N·K bytes.

    The paper drops biases too, and draws at test time from a normal distribution about the mean;
    here biases stay and the mean is taken, as Dropout does.
    Source: Wan, Zeiler, Zhang, LeCun & Fergus 2013 (Regularization of Neural Networks using
    DropConnect).
    """

    group = "dropconnect_param"
    extension = "caffelite's own (Wan et al. 2013), field 20020"
    param: DropConnectParameter = param_of(DropConnectParameter)
    cases = (
        Case(
            'type: "DropConnect" dropconnect_param { num_output: 2 dropout_ratio: 0.5 }',
            {"x": [[1.0, 2.0, 3.0]]},
            {"y": [[14.5, 3.0]]},
            params=[[[1.0, 2.0, 3.0], [0.0, -1.0, 2.0]], [0.5, -1.0]],
            phase=Phase.TEST,
        ),
        Case(
            'type: "DropConnect" '
            "dropconnect_param { num_output: 2 dropout_ratio: 0 bias_term: false }",
            {"x": [[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]]},
            {"y": [[14.0, 4.0], [2.0, -1.0]]},
            params=[[[1.0, 2.0, 3.0], [0.0, -1.0, 2.0]]],
        ),
        Case(
            'type: "DropConnect" dropconnect_param { num_output: 3 dropout_ratio: 0 axis: 2 }',
            {"x": random(2, 3, 2, 2)},
        ),
        Case('type: "DropConnect" dropconnect_param { num_output: 3 }', {"x": random(4, 5)}),
    )

    def setup(self, bottom: Shapes) -> None:
        self.repeatable = self.phase == Phase.TEST
        super().setup(bottom)

    def prepare(self) -> None:
        self._rows, self._columns = self.matrices
        (samples, k), (_, outputs) = self.matrices
        self._step = np.empty((outputs, k), self.dtype)
        self._is_dropping = self.phase == Phase.TRAIN and self.param.dropout_ratio > 0
        if self._is_dropping:
            self._scale = 1 / (1 - self.param.dropout_ratio)
            self._chance = np.empty((outputs, k), np.float32)
            self._masks = np.zeros((samples, outputs, k), bool)
            self._dropped = np.empty((outputs, k), self.dtype)
            self._scaled = np.empty(self._columns, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y = bottom[0].reshape(self._rows), top[0].reshape(self._columns)
        weight = self.params[0].data
        if self._is_dropping:
            for x_i, y_i, mask in zip(x, y, self._masks):
                self.rng.random(dtype=np.float32, out=self._chance)
                np.greater_equal(self._chance, self.param.dropout_ratio, mask)
                np.multiply(weight, mask, self._dropped)
                np.dot(self._dropped, x_i, y_i)
            np.multiply(y, self._scale, y)
        else:
            np.dot(x, weight.T, y)
        if self.param.bias_term:
            np.add(y, self.params[1].data, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        x, dy = bottom[0].reshape(self._rows), top_diff[0].reshape(self._columns)
        dx = None if bottom_diff[0] is None else bottom_diff[0].reshape(self._rows)
        if self.param.bias_term and self.learns[1]:
            self.params[1].diff.__iadd__(np.add.reduce(dy, 0))
        if self._is_dropping:
            np.multiply(dy, self._scale, self._scaled)
            self._backward_dropped(x, self._scaled, dx)
            return
        if self.learns[0]:
            np.dot(dy.T, x, self._step)
            self.params[0].diff.__iadd__(self._step)
        if dx is not None:
            np.dot(dy, self.params[0].data, dx)

    def _backward_dropped(self, x: Array, dy: Array, dx: Array | None) -> None:
        """The gradients of x and W, sample by sample; dy is ∂L/∂y / (1 - p)."""
        weight = self.params[0]
        for i, mask in enumerate(self._masks):
            if self.learns[0]:
                np.multiply(dy[i, :, None], x[i], self._step)
                np.multiply(self._step, mask, self._step)
                weight.diff.__iadd__(self._step)
            if dx is not None:
                np.multiply(weight.data, mask, self._dropped)
                np.dot(dy[i], self._dropped, dx[i])

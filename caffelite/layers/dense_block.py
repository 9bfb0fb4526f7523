"""DenseBlock: transitions of a DenseNet, each of which reads all before it, as one layer."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.kernels.window import Window
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.common import FillerParameter, Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "denseblock_param"
EPS = 1e-5
"""What cuDNN adds to the variance at least."""
FIXED = "its filters are 3 x 3, in steps of 1, with a pad of 1"
FAST = "it only changes memory and speed"


class DenseBlockParameter(LayerMessage, field=PARAM, number=1302):
    """How many transitions, and what each adds."""

    numTransition: int = field(1, "int32", default=40, least=1, doc="transitions T")
    initChannel: int = field(2, "int32", default=16, idle="the bottom says how many channels")
    growthRate: int = field(3, "int32", default=12, least=1, doc="channels G that each adds")
    pad_h: int = field(4, "int32", default=1, idle=FIXED)
    pad_w: int = field(5, "int32", default=1, idle=FIXED)
    conv_verticalStride: int = field(6, "int32", default=1, idle=FIXED)
    conv_horizentalStride: int = field(7, "int32", default=1, idle=FIXED)
    filter_H: int = field(8, "int32", default=3, idle=FIXED)
    filter_W: int = field(9, "int32", default=3, idle=FIXED)
    Filter_Filler: FillerParameter = field(10, FillerParameter, doc="first values of filters")
    BN_Scaler_Filler: FillerParameter = field(11, FillerParameter, doc="first scales")
    BN_Bias_Filler: FillerParameter = field(12, FillerParameter, doc="first shifts")
    gpuIdx: int = field(15, "int32", default=0, idle="`--device` says where it runs")
    use_dropout: bool = field(16, "bool", default=False, doc="drop values of what is added?")
    dropout_amount: float = field(
        17, "float", default=0.0, least=0, below=1, doc="how often, in phase TRAIN"
    )
    use_BC: bool = field(18, "bool", default=False, doc="a narrow 1 x 1 convolution first?")
    BC_ultra_space_efficient: bool = field(19, "bool", default=False, idle=FAST)
    workspace_MB: int = field(20, "int32", default=8, idle=FAST)
    moving_average_fraction: float = field(
        21, "float", default=0.1, doc="share of a batch in the stored statistics"
    )


def _line(*values: float) -> Array:
    return np.array(values, np.float64).reshape(1, -1, 1, 1)


def _middle(*values: float) -> Array:
    """A filter of 3 x 3 for one output that takes the middle only."""
    filters = np.zeros((1, len(values), 3, 3))
    filters[0, :, 1, 1] = values
    return filters


def _some(*shapes: Shape, low: float = -1) -> list[Array]:
    """A parameter of each shape."""
    rng = np.random.default_rng(len(shapes))
    return [rng.uniform(low, 1, shape) for shape in shapes]


def _lines(*widths: int) -> list[Array]:
    """Scale, shift, mean and variance of each transition."""
    shapes = [(1, c, 1, 1) for c in widths]
    return [*_some(*shapes * 3), *_some(*shapes, low=0.5)]


class Normed:
    """A step max(0, s·(x − μ)/√(v + ε) + b) of the block, and how its gradients go back."""

    def __init__(self, layer: DenseBlock, scale: int, shift: int, mean: int, variance: int) -> None:
        self.layer, self.learned, self.kept = layer, (scale, shift), (mean, variance)

    def forward(self, x: Array) -> Array:
        layer, params = self.layer, self.layer.params
        scale, shift = (params[i].data for i in self.learned)
        mean, variance = (params[i].data for i in self.kept)
        if layer.phase == Phase.TRAIN:
            stored = (mean, variance)
            mean = x.mean((0, 2, 3), keepdims=True)
            variance = np.square(x - mean).mean((0, 2, 3), keepdims=True)
            count, share = x.size // x.shape[1], layer.param.moving_average_fraction
            unbiased = variance * (count / max(count - 1, 1))
            for old, new in zip(stored, (mean, unbiased)):
                old[...] = (1 - share) * old + share * new
        self.deviation = np.sqrt(variance + EPS)
        self.norm = (x - mean) / self.deviation
        y: Array = np.maximum(scale * self.norm + shift, 0)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        """The gradient of x; that of the scale and the shift is added."""
        params, learns = self.layer.params, self.layer.learns
        g = dy * (self.y > 0)
        sums = (
            np.sum(g * self.norm, (0, 2, 3), keepdims=True),
            np.sum(g, (0, 2, 3), keepdims=True),
        )
        for i, total in zip(self.learned, sums):
            if learns[i]:
                params[i].diff[...] += total
        factor = params[self.learned[0]].data / self.deviation
        if self.layer.phase == Phase.TRAIN:
            count = max(g.size // g.shape[1], 1)
            g = g - sums[1] / count - self.norm * sums[0] / count
        return np.asarray(factor * g)


class Filtered:
    """A convolution of the block, whose filters are mirrored."""

    def __init__(self, layer: DenseBlock, index: int) -> None:
        self.layer, self.index = layer, index
        side = layer.declared[index].shape[-1]
        self.window = Window.of((side, side), pad=side // 2)

    def _filters(self) -> Array:
        mirrored = self.layer.params[self.index].data[:, :, ::-1, ::-1]
        return np.ascontiguousarray(mirrored)

    def forward(self, x: Array) -> Array:
        self.x, filters = x, self._filters()
        out = np.empty((len(x), len(filters), *x.shape[2:]), x.dtype)
        self.layer.kernels.conv_forward(x, filters, None, out, self.window)
        return out

    def backward(self, dy: Array) -> Array:
        """The gradient of x; that of the filters is added."""
        kernels, param, dy = self.layer.kernels, self.layer.params[self.index], dy.copy()
        filters = self._filters()
        if self.layer.learns[self.index]:
            step = np.empty_like(filters)
            kernels.conv_backward_weights(self.x, dy, step, self.window, fresh=True)
            param.diff[...] += step[:, :, ::-1, ::-1]
        dx = np.empty_like(self.x)
        kernels.conv_backward_data(dy, filters, dx, self.window)
        return dx


@register
class DenseBlock(Layer):
    """T times: x ← x and, behind it, G channels more, which are F * r(x), or with `use_BC`
    F * r(F′ * r(x)). F has 3 x 3, F′ 1 x 1 taps and 4G outputs; * is mathematics' convolution, with
    mirrored filters (Convolution's are not). r(x) = max(0, s·(x − μ)/√(v + 10⁻⁵) + b) for each
    channel: in phase TRAIN with mean μ and variance v of the batch, which the stored ones follow,
    mean ← (1 − m)·mean + m·μ, and likewise v·n/(n − 1) for n values; in phase TEST with those
    stored. With `use_dropout` in TRAIN a value that is added is 0 in `dropout_amount` of the cases,
    else divided by one minus it.

    Gradients: those of its steps, one after the other; statistics are not learned.
    Shapes: x (N, C, H, W) to (N, C + T·G, H, W). Parameters, T of each: F (G, C′, 3, 3); s, b,
    mean, variance (1, C′, 1, 1) of r, with C′ = C + t·G; with `use_BC` F is (G, 4G, 3, 3), and
    T each of F′ (4G, C′, 1, 1) and the s, b, mean, variance (1, 4G, 1, 1) of the second r follow;
    (1,) last, which cuDNN does not use.
    Source: Huang et al. 2017, Densely Connected Convolutional Networks; Tongcheng's DN_CaffeScript,
    as in senlinuc/caffe_ocr (the GPU's code, which differs from the CPU's).
    """

    backward_reads = ()
    extension = f"senlinuc/caffe_ocr, there {PARAM} = 147"
    param: DenseBlockParameter = param_of(DenseBlockParameter)
    cases = (
        Case(
            f'type: "DenseBlock" {PARAM} {{ numTransition: 2 growthRate: 1 }}',
            # variances of 4 - EPS: (6 - 2)/2 - 1 is 1, thrice that is 3; then of 6 and 3
            # 2 + 1 and 2·1.5 - 4, below 0
            {"x": [[[[6.0]]]]},
            {"y": [[[[6.0]], [[3.0]], [[6.0]]]]},
            params=[
                *(_middle(3), _middle(2, 5)),
                *(_line(1), _line(1, 2)),
                *(_line(-1), _line(1, -4)),
                *(_line(2), _line(2, 0)),
                *(_line(4 - EPS), _line(4 - EPS, 4 - EPS)),
                [0.0],
            ],
            phase=Phase.TEST,
        ),
        Case(
            f'type: "DenseBlock" {PARAM} {{ numTransition: 1 growthRate: 1 }}',
            # filters are mirrored: the first tap is that of what is right and below
            {"x": [[[[1.0, 2.0], [3.0, 4.0]]]]},
            {"y": [[[[1.0, 2.0], [3.0, 4.0]], [[40.0, 0.0], [0.0, 0.0]]]]},
            params=[
                [[[[10.0, 0, 0], [0, 0, 0], [0, 0, 0]]]],
                *(_line(1), _line(0), _line(0), _line(1 - EPS)),
                [0.0],
            ],
            phase=Phase.TEST,
        ),
        Case(
            f'type: "DenseBlock" {PARAM} {{ numTransition: 2 growthRate: 2 }}',
            {"x": random(3, 2, 3, 4)},
            params=[*_some((2, 2, 3, 3), (2, 4, 3, 3)), *_lines(2, 4), [0.0]],
        ),
        Case(
            f'type: "DenseBlock" {PARAM} {{ numTransition: 2 growthRate: 1 use_BC: true }}',
            {"x": random(2, 3, 3, 3)},
            params=[
                *_some(*[(1, 4, 3, 3)] * 2),
                *_lines(3, 4),
                *_some((4, 3, 1, 1), (4, 4, 1, 1)),
                *_lines(4, 4),
                [0.0],
            ],
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p, shape = self.param, bottom[0]
        if len(shape) != 4:
            said = f'bottom "{self.spec.bottom[0]}" is {show(shape)}'
            self.fail(said, "bottom", expected="N x C x H x W")
        self.channels, count, growth = shape[1], p.numTransition, p.growthRate
        self.drops = self.phase == Phase.TRAIN and p.use_dropout and p.dropout_amount > 0
        self.repeatable = self.phase != Phase.TRAIN
        widths = [self.channels + t * growth for t in range(count)]
        narrow = 4 * growth
        self._declare(
            [(growth, narrow if p.use_BC else width, 3, 3) for width in widths],
            [(1, width, 1, 1) for width in widths],
        )
        if p.use_BC:
            self._declare([(narrow, width, 1, 1) for width in widths], [(1, narrow, 1, 1)] * count)
        self.declare((1,), fixed=True)

    def _declare(self, filters: list[Shape], lines: list[Shape]) -> None:
        p = self.param
        for filler, shapes in (
            (p.Filter_Filler, filters),
            (p.BN_Scaler_Filler, lines),
            (p.BN_Bias_Filler, lines),
        ):
            for shape in shapes:
                self.declare(shape, filler)
        for value in (0.0, 1.0):
            for shape in lines:
                self.declare(shape, FillerParameter(type="constant", value=value), fixed=True)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p, shape = self.param, bottom[0]
        if len(shape) != 4 or shape[1] != self.channels:
            said = f'bottom "{self.spec.bottom[0]}" is {show(shape)}'
            self.fail(said, "bottom", expected=f"N x {self.channels} x H x W")
        return [(shape[0], self.channels + p.numTransition * p.growthRate, *shape[2:])]

    def multiply_adds(self, bottom: Shapes, top: Shapes) -> int:
        count = self.param.numTransition
        own = [*self.declared[:count], *self.declared[5 * count : 6 * count]]
        filters = sum(math.prod(d.shape) for d in (own if self.param.use_BC else own[:count]))
        return filters * top[0][0] * math.prod(top[0][2:])

    def transition(self, at: int) -> list[Normed | Filtered]:
        """The steps of a transition."""
        count = self.param.numTransition
        index = [i * count + at for i in range(10)]
        steps: list[Normed | Filtered] = [Normed(self, *index[1:5])]
        if self.param.use_BC:
            steps += [Filtered(self, index[5]), Normed(self, *index[6:10])]
        return [*steps, Filtered(self, index[0])]

    def prepare(self) -> None:
        self._steps = [self.transition(at) for at in range(self.param.numTransition)]

    def _widths(self) -> list[int]:
        return [self.channels + t * self.param.growthRate for t in range(len(self._steps) + 1)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        y, widths = top[0], self._widths()
        y[:, : self.channels] = bottom[0]
        self._masks: list[Array] = []
        if not y.size:
            return
        for steps, start, stop in zip(self._steps, widths, widths[1:]):
            x = y[:, :start]
            for step in steps:
                x = step.forward(x)
            if self.drops:
                rate = self.param.dropout_amount
                self._masks.append((self.rng.random(x.shape) >= rate) / x.dtype.type(1 - rate))
                x = x * self._masks[-1]
            y[:, start:stop] = x

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dy, widths = top_diff[0].copy(), self._widths()
        if dy.size:
            for at in reversed(range(len(self._steps))):
                dx = dy[:, widths[at] : widths[at + 1]]
                if self.drops:
                    dx = dx * self._masks[at]
                for step in reversed(self._steps[at]):
                    dx = step.backward(dx)
                dy[:, : widths[at]] += dx
        if bottom_diff[0] is not None:
            bottom_diff[0][...] = dy[:, : self.channels]

"""What Convolution and its relatives share: their parameter message and its checks."""

from __future__ import annotations

import math
from abc import abstractmethod

from caffelite.blob import Array, Shape
from caffelite.layers.base import ANY, Layer, Shapes, param_of, show
from caffelite.layers.windows import check_fit, read_window
from caffelite.schema.common import NO_CHOICE, BlobShape, Engine, FillerParameter
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "convolution_param"


class ConvolutionParameter(LayerMessage, field=PARAM, number=106):
    """The filters of a convolution and how they move."""

    num_output: int = field(1, "uint32", least=1, doc="number of outputs M")
    bias_term: bool = field(2, "bool", default=True, doc="add a bias?")
    pad: list[int] = repeated(3, "uint32", doc="zeros on both sides: once or per axis; default 0")
    kernel_size: list[int] = repeated(
        4, "uint32", least=1, doc="extent of a filter: once or per axis"
    )
    stride: list[int] = repeated(
        6, "uint32", least=1, doc="step of a filter: once or per axis; default 1"
    )
    dilation: list[int] = repeated(
        18, "uint32", least=1, doc="step between a filter's taps: once or per axis; default 1"
    )
    hole: int = field(
        1017, "uint32", least=1, deprecated=True, doc="DeepLab v1 (there 17): dilation's old name"
    )
    hole_h: int = field(1018, "uint32", least=1, deprecated=True, doc="of the rows (there 18)")
    hole_w: int = field(1019, "uint32", least=1, deprecated=True, doc="of the columns (there 19)")
    pad_h: int = field(9, "uint32", default=0, doc="pad of the rows (2-D only)")
    pad_w: int = field(10, "uint32", default=0, doc="pad of the columns (2-D only)")
    kernel_h: int = field(11, "uint32", least=1, doc="height of a filter (2-D only)")
    kernel_w: int = field(12, "uint32", least=1, doc="width of a filter (2-D only)")
    stride_h: int = field(13, "uint32", least=1, doc="step along the rows (2-D only)")
    stride_w: int = field(14, "uint32", least=1, doc="step along the columns (2-D only)")
    group: int = field(5, "uint32", default=1, least=1, doc="parts that are convolved separately")
    weight_filler: FillerParameter = field(7, FillerParameter, doc="first values of W")
    bias_filler: FillerParameter = field(8, FillerParameter, doc="first values of b")
    engine: Engine = field(15, Engine, default=Engine.DEFAULT, idle=NO_CHOICE)
    axis: int = field(
        16, "int32", default=1, doc="axis of the channels; spatial axes follow, images precede"
    )
    force_nd_im2col: bool = field(
        17, "bool", default=False, idle="all axes are convolved in one way"
    )
    pad_l: int = field(26, "int32", default=0, doc="Synopsys: columns added left")
    pad_r: int = field(27, "int32", default=0, doc="Synopsys: columns added right")
    pad_t: int = field(28, "int32", default=0, doc="Synopsys: rows added above")
    pad_b: int = field(29, "int32", default=0, doc="Synopsys: rows added below")
    pad_shape: BlobShape = field(7777, BlobShape, doc="NdConvolution: the pad of each axis")
    kernel_shape: BlobShape = field(7778, BlobShape, doc="NdConvolution: a filter's extents")
    stride_shape: BlobShape = field(7779, BlobShape, doc="NdConvolution: the step along each axis")
    kernel_depth: int = field(1006, "uint32", least=1, doc="C3D (there 6): frames of a filter")
    temporal_stride: int = field(
        1008, "uint32", default=1, least=1, doc="C3D (there 8): step along the frames"
    )
    temporal_pad: int = field(1012, "uint32", default=0, doc="C3D (there 12): pad of the frames")
    filter_group: int = field(
        1011,
        "uint32",
        default=1,
        least=1,
        doc="C3D (there 11): saves memory there; accepted, of no effect",
        idle="it saves memory in C3D",
    )


class ConvolvingLayer(Layer):
    """A layer that learns filters and moves them over its bottoms, each to its own top."""

    bottoms = (1, ANY)
    tops = (1, ANY)
    backward_reads = ("bottom",)
    overwrites = True
    param: ConvolutionParameter = param_of(ConvolutionParameter)

    @abstractmethod
    def weight_shape(self, channels: int) -> Shape:
        """The shape of W but for the kernel, checked."""

    @abstractmethod
    def moved(self, spatial: Shape) -> Shape:
        """Spatial shape of a top."""

    def setup(self, bottom: Shapes) -> None:
        p, shape = self.param, bottom[0]
        if len(self.spec.top) != len(self.spec.bottom):
            self.fail(
                f"{len(self.spec.bottom)} bottoms but {len(self.spec.top)} tops",
                "top",
                expected="one top for each bottom",
            )
        self.channel_axis = self.axis(p.axis, len(shape), PARAM, "axis")
        self.channels = shape[self.channel_axis]
        self.group, self.outputs = self.sizes()
        self.window = read_window(self, PARAM, len(shape) - self.channel_axis - 1)
        self.declare((*self.weight_shape(self.channels), *self.window.kernel), p.weight_filler)
        if p.bias_term:
            self.declare((self.outputs,), p.bias_filler)

    def sizes(self) -> tuple[int, int]:
        """Groups and outputs, checked."""
        p = self.param
        self.need(
            PARAM, "num_output", expected=f"the number of outputs, {PARAM} {{ num_output: 32 }}"
        )
        for what, count in (("channels of the bottom", self.channels), ("outputs", p.num_output)):
            if count % p.group:
                self.fail(
                    f"{p.group} groups do not divide the {count} {what}",
                    PARAM,
                    "group",
                    expected=f"a divisor of {self.channels} and {p.num_output}",
                )
        return p.group, p.num_output

    def multiply_adds(self, bottom: Shapes, top: Shapes) -> int:
        """Every filter is applied at every position of the output: N · prod(H_out …) · |W|."""
        return sum(math.prod(t) // t[1] for t in top) * math.prod(self.declared[0].shape)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.same_shapes(bottom)
        shape, axis = bottom[0], self.channel_axis
        if len(shape) != axis + 1 + len(self.window.kernel) or shape[axis] != self.channels:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(shape)}, but the filters are for '
                f"{self.channels} channels and {len(self.window.kernel)} spatial axes",
                "bottom",
            )
        spatial = shape[axis + 1 :]
        moved = self.moved(spatial)
        check_fit(self, PARAM, self.window, spatial, moved)
        return [(*shape[:axis], self.outputs, *moved)] * len(bottom)

    def prepare(self) -> None:
        shape, axis = self.bottom_shapes[0], self.channel_axis
        self._images = math.prod(shape[:axis])
        self._plain = axis == 1

    def batch(self, blob: Array) -> Array:
        """A blob as (images, channels, *spatial)."""
        if self._plain:
            return blob
        return blob.reshape(self._images, *blob.shape[self.channel_axis :])

    @property
    def bias(self) -> Array | None:
        return self.params[1].data if self.param.bias_term else None

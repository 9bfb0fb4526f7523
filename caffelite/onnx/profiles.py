"""Profiles: what the toolchains of chips read of Caffe's files.

A profile lists the types of layers that a toolchain documents, and rules beyond the types. A net
that has others is rewritten where that is exact (`caffelite.onnx.rewriting`), and what is left is
refused, all of it at once. The net that is written is verified after the rewriting.

Sources, as of the versions named:

- caffe: Caffe 1.0 itself (its `caffe.proto` and layers). Its Pooling rounds up; `round_mode` came
  after the release.
- nnie: HiSilicon's nnie_mapper. Its lists of layers come with its SDK; what is here is what public
  documents say of it. Layers of Caffe, and Normalize, ROIPooling, PSROIPooling, Upsample with a
  mask (OpenHarmony, device/soc/hisilicon, "AI CPU operators"); "Permute can only support (0,1,2,3)
  -> (0,2,3,1) order" (its message, github.com/Wulingtian/yolov5_onnx2caffe/issues/8); no ReLU6, and
  no rounding down in Pooling, for which a Slice cuts the surplus (users' notes on CSDN).
- atc: Huawei's Ascend Tensor Compiler. "Supported Caffe Operators", CANN 8.0 (hiascend.com,
  aolapi/operatorlist_00098): BVLC's master at 9b89154, planes of at most 4096 x 4096; BatchNorm
  with use_global_stats, and no negative axes ("Caffe Operator Boundaries",
  support.huaweicloud.com).
- rknn: Rockchip's RKNN-Toolkit 1, doc/RKNN_OP_Support_V1.7.5.md in
  github.com/rockchip-linux/rknn-toolkit (BVLC's proto at 21d0608); files of the formats V0 and V1
  are refused (issue 431 there).
- sophgo: TPU-MLIR, python/transform/CaffeConverter.py in github.com/sophgo/tpu-mlir, its table
  `caffeop_factory`; ArgMax needs an axis and top_k 1.

Files are always written in Caffe's newest format (`layer`, types as text), never as V0 or V1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffelite.errors import CaffeliteError, Problem
from caffelite.layers.base import registry
from caffelite.plan.graph import Node
from caffelite.schema.net import LayerParameter

if TYPE_CHECKING:
    from caffelite.net import Net

Rule = Callable[[LayerParameter, Node, "Net"], "str | None"]
"""Why a layer is refused, if so."""


@dataclass(frozen=True)
class Profile:
    """What one toolchain takes."""

    name: str
    about: str
    types: frozenset[str]
    rules: tuple[Rule, ...] = ()
    round_mode: bool = False
    """Does its Pooling read `round_mode`?"""


def _orders(spec: LayerParameter, node: Node, net: Net) -> str | None:
    """Only from channels first to channels last."""
    if spec.type != "Permute":
        return None
    order = list(spec.get("permute_param").order)
    return None if order == [0, 2, 3, 1] else f"its order is {order}; it takes 0, 2, 3, 1 only"


def _planes(spec: LayerParameter, node: Node, net: Net) -> str | None:
    for version in node.tops:
        shape = net.plan.shapes[version]
        if len(shape) == 4 and max(shape[2:]) > 4096:
            return f"its top is {shape}; planes are at most 4096 x 4096"
    return None


def _global_statistics(spec: LayerParameter, node: Node, net: Net) -> str | None:
    if spec.type == "BatchNorm" and not spec.get("batch_norm_param").use_global_stats:
        return "use_global_stats is not true"
    return None


def _argmax(spec: LayerParameter, node: Node, net: Net) -> str | None:
    if spec.type != "ArgMax":
        return None
    p = spec.get("argmax_param")
    return None if p.has("axis") and p.top_k == 1 else "ArgMax needs an axis and top_k 1"


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


STANDARD = frozenset(name for name, cls in registry.items() if not cls.extension)
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("caffe", "Caffe 1.0, unchanged", STANDARD - {"Clip", "Swish", "Python"}),
        Profile(
            "nnie",
            "HiSilicon's nnie_mapper",
            _set(
                "Input Convolution Deconvolution DepthwiseConvolution Pooling InnerProduct "
                "LRN BatchNorm Scale Bias Power ReLU PReLU Sigmoid TanH AbsVal Threshold "
                "Softmax Eltwise Concat Slice Split Flatten Reshape Permute Normalize Dropout "
                "ROIPooling PSROIPooling Proposal LSTM RNN"
            ),
            (_orders,),
        ),
        Profile(
            "atc",
            "Huawei's Ascend Tensor Compiler",
            _set(
                "AbsVal ArgMax BatchNorm Bias BNLL Clip Concat Convolution "
                "DepthwiseConvolution ConvolutionDepthwise Crop Deconvolution Dropout Eltwise "
                "ELU Exp Flatten Interp Log LRN LSTM InnerProduct Input MVN Normalize Permute "
                "ROIPooling Pooling Power PriorBox PReLU Proposal PSROIPooling Reduction "
                "ReLU6 ReLU Reshape RNN Scale ShuffleChannel Sigmoid Slice Softmax Split SPP "
                "TanH Threshold Tile"
            ),
            (_planes, _global_statistics),
        ),
        Profile(
            "rknn",
            "Rockchip's RKNN-Toolkit 1",
            _set(
                "Input AbsVal Axpy BatchNorm Concat Convolution ConvolutionDepthwise "
                "Deconvolution Dropout Eltwise Flatten InnerProduct LRN LSTM Normalize "
                "Permute Pooling PReLU Proposal ReLU Reshape ROIPooling Scale ShuffleChannel "
                "Sigmoid Slice Softmax Split TanH Upsample"
            ),
        ),
        Profile(
            "sophgo",
            "Sophgo's TPU-MLIR",
            _set(
                "AbsVal ArgMax BatchNorm Concat Convolution ConvolutionDepthwise Crop "
                "Deconvolution DetectionOutput Dropout DummyData Embed Eltwise Flatten "
                "InnerProduct Input Interp LRN LSTM Normalize Permute Pooling Power PReLU "
                "PriorBox Proposal Reduction ReLU ReLU6 Reshape ROIPooling Scale "
                "ShuffleChannel Sigmoid Silence Slice Softmax Split TanH Tile Upsample"
            ),
            (_argmax,),
        ),
    )
}


def refuse(net: Net, profile: Profile) -> None:
    """Raise CaffeliteError with every layer that the profile does not take."""
    problems = list(_problems(net, profile))
    if problems:
        raise CaffeliteError(*problems)


def _problems(net: Net, profile: Profile) -> Iterator[Problem]:
    for node in net.plan.graph.nodes:
        spec = node.spec
        why: list[str | None] = [rule(spec, node, net) for rule in profile.rules]
        if spec.type not in profile.types:
            why = [f"{profile.about} does not list this type"]
        elif rounds_down(spec) and not profile.round_mode:
            why.append("its Pooling rounds up, and here it would have to round down")
        for reason in filter(None, why):
            head = f'profile {profile.name}: layer "{spec.name}" ({spec.type})'
            yield Problem(f"{head}: {reason}")


def rounds_down(spec: LayerParameter) -> bool:
    """Is it a Pooling that rounds down?"""
    return spec.type == "Pooling" and spec.get("pooling_param").has("round_mode")

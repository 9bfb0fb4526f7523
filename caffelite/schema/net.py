"""The net's own messages: NetParameter, and what all layers have in common.

A layer's own parameter message (`pooling_param`) is declared beside the layer and adds itself to
LayerParameter: see `LayerMessage`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar

from caffelite.schema.common import (
    BlobProto,
    BlobShape,
    LossParameter,
    Phase,
    TransformationParameter,
)
from caffelite.schema.late import Late
from caffelite.schema.message import FieldSpec, Message, field, repeated


class NetState(Message):
    """What a net is being built for; include and exclude rules are held against it."""

    phase: Phase = field(1, Phase, default=Phase.TEST)
    level: int = field(2, "int32", default=0)
    stage: list[str] = repeated(3, "string")


class NetStateRule(Message):
    """A rule holds when all that it says holds of the NetState."""

    phase: Phase = field(1, Phase, doc="the phase is this one")
    min_level: int = field(2, "int32", doc="the level is this or higher")
    max_level: int = field(3, "int32", doc="the level is this or lower")
    stage: list[str] = repeated(4, "string", doc="all of these stages are set")
    not_stage: list[str] = repeated(5, "string", doc="none of these stages is set")


class DimCheckMode(IntEnum):
    """How closely the shapes of a shared parameter must agree."""

    STRICT = 0
    PERMISSIVE = 1


class ParamSpec(Message):
    """How one parameter of a layer is learned, and whom it is shared with."""

    name: str = field(1, "string", doc="parameters of the same name are one parameter")
    share_mode: DimCheckMode = field(
        2, DimCheckMode, doc="STRICT: same shape; PERMISSIVE: same count"
    )
    lr_mult: float = field(3, "float", default=1.0, doc="factor on the learning rate; 0 freezes")
    decay_mult: float = field(4, "float", default=1.0, doc="factor on the weight decay")


class LayerParameter(Message):
    """One layer: its name, type, bottoms and tops, and the message of its type."""

    name: str = field(1, "string", doc="the layer's name")
    type: str = field(2, "string", doc='the layer\'s type, "InnerProduct"')
    bottom: list[str] = repeated(3, "string", doc="blobs that the layer reads")
    top: list[str] = repeated(4, "string", doc="blobs that the layer makes")
    phase: Phase = field(10, Phase, doc="set by the net while building")
    loss_weight: list[float] = repeated(5, "float", doc="weight of each top in the objective")
    param: list[ParamSpec] = repeated(6, ParamSpec, doc="learning and sharing, one a parameter")
    blobs: list[BlobProto] = repeated(7, BlobProto, doc="stored parameter values")
    propagate_down: list[bool] = repeated(11, "bool", doc="pass a gradient to each bottom?")
    include: list[NetStateRule] = repeated(8, NetStateRule, doc="present if any rule holds")
    exclude: list[NetStateRule] = repeated(9, NetStateRule, doc="absent if any rule holds")
    transform_param: TransformationParameter = field(100, TransformationParameter)
    loss_param: LossParameter = field(101, LossParameter)


class LayerMessage(Message):
    """A layer's own parameters, which add themselves to LayerParameter:

    class PoolingParameter(LayerMessage, field="pooling_param", number=121): ...
    """

    layer_field: ClassVar[str] = ""

    def __init_subclass__(cls, field: str = "", number: int = 0, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not field:
            return
        cls.layer_field = field
        known = LayerParameter.specs.get(field)
        if isinstance(known, Late) and (known.number, known.home) == (number, cls.__module__):
            known.type = cls
        else:
            LayerParameter.add_field(field, FieldSpec(number, cls))


class NetParameter(Message):
    """A net: its name and its layers in the order they run."""

    name: str = field(1, "string", doc="the net's name")
    input: list[str] = repeated(3, "string", deprecated=True, doc="old: names of inputs")
    input_shape: list[BlobShape] = repeated(8, BlobShape, deprecated=True, doc="old: shapes")
    input_dim: list[int] = repeated(4, "int32", deprecated=True, doc="old: four extents each")
    force_backward: bool = field(
        5, "bool", default=False, doc="gradients for all blobs, wanted or not"
    )
    state: NetState = field(6, NetState, doc="phase, level and stages to build for")
    debug_info: bool = field(7, "bool", default=False, doc="as a solver's debug_info")
    layer: list[LayerParameter] = repeated(100, LayerParameter, doc="the layers")

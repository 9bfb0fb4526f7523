"""What a net file says of SSD's loss."""

from __future__ import annotations

from enum import IntEnum

from caffelite.layers.base import Layer
from caffelite.layers.box_matching import MatchType
from caffelite.layers.detection_output import NonMaximumSuppressionParameter
from caffelite.layers.prior_box import CodeType
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class LocLossType(IntEnum):
    """The loss of places."""

    L2 = 0
    SMOOTH_L1 = 1


class ConfLossType(IntEnum):
    """The loss of classes."""

    SOFTMAX = 0
    LOGISTIC = 1


class MiningType(IntEnum):
    """Which boxes count."""

    NONE = 0
    MAX_NEGATIVE = 1
    HARD_EXAMPLE = 2


class MultiBoxLossParameter(LayerMessage, field="multibox_loss_param", number=201):
    """How boxes are matched with objects, and which count."""

    loc_loss_type: LocLossType = field(
        1, LocLossType, default=LocLossType.SMOOTH_L1, doc="the loss of places"
    )
    conf_loss_type: ConfLossType = field(
        2, ConfLossType, default=ConfLossType.SOFTMAX, doc="the loss of classes"
    )
    loc_weight: float = field(3, "float", default=1.0, doc="weight of the loss of places")
    num_classes: int = field(
        4, "uint32", least=1, doc="number of classes C, the background included"
    )
    share_location: bool = field(5, "bool", default=True, doc="one box for all classes?")
    match_type: MatchType = field(
        6, MatchType, default=MatchType.PER_PREDICTION, doc="which boxes are matched"
    )
    overlap_threshold: float = field(
        7, "float", default=0.5, doc="overlap from which a box is matched (PER_PREDICTION)"
    )
    use_prior_for_matching: bool = field(
        8, "bool", default=True, doc="match the prior boxes? false: the predicted ones"
    )
    background_label_id: int = field(9, "uint32", default=0, doc="the background's class")
    use_difficult_gt: bool = field(10, "bool", default=True, doc="count difficult objects?")
    do_neg_mining: bool = field(11, "bool", deprecated=True, doc="old form of mining_type")
    neg_pos_ratio: float = field(
        12, "float", default=3.0, least=0, doc="most negatives for each match (MAX_NEGATIVE)"
    )
    neg_overlap: float = field(
        13, "float", default=0.5, doc="negatives overlap objects by less (MAX_NEGATIVE)"
    )
    code_type: CodeType = field(14, CodeType, default=CodeType.CORNER, doc="how boxes are coded")
    encode_variance_in_target: bool = field(
        16, "bool", default=False, doc="are the codes scaled by the variances already?"
    )
    map_object_to_agnostic: bool = field(
        17, "bool", default=False, doc="all objects are of one class, the one after the background"
    )
    ignore_cross_boundary_bbox: bool = field(
        18, "bool", default=False, doc="leave out boxes that reach over the image's border?"
    )
    bp_inside: bool = field(
        19, "bool", default=False, doc="no loss for coordinates outside of the image?"
    )
    mining_type: MiningType = field(
        20, MiningType, default=MiningType.MAX_NEGATIVE, doc="which boxes count"
    )
    nms_param: NonMaximumSuppressionParameter = field(
        21, NonMaximumSuppressionParameter, doc="of boxes that overlap, only the hardest is mined"
    )
    sample_size: int = field(
        22, "int32", default=64, least=1, doc="boxes of an image that count (HARD_EXAMPLE)"
    )
    objectness_score: float = field(
        24, "float", default=0.01, doc="RefineDet: priors less likely an object are not mined"
    )
    use_prior_for_nms: bool = field(
        23, "bool", default=False, doc="nms_param looks at prior boxes? false: at predicted ones"
    )


AT = "multibox_loss_param"


def refuse_contradictions(layer: Layer, p: MultiBoxLossParameter) -> None:
    """Refuse fields that do not go together."""
    mining = p.mining_type != MiningType.NONE
    if p.has("do_neg_mining") and p.do_neg_mining != mining:
        layer.fail(
            f"do_neg_mining and mining_type {p.mining_type.name} contradict each other",
            AT,
            "do_neg_mining",
            expected="mining_type alone",
        )
    if mining and not p.share_location:
        layer.fail(
            f"mining_type {p.mining_type.name} needs one box for all classes",
            AT,
            "share_location",
            expected="mining_type: NONE, or share_location: true",
        )
    if p.background_label_id >= p.num_classes and p.conf_loss_type == ConfLossType.SOFTMAX:
        layer.fail(
            f"background_label_id is {p.background_label_id}",
            AT,
            "background_label_id",
            expected=f"a class, 0 to {p.num_classes - 1}",
        )
    if p.map_object_to_agnostic and (p.num_classes != 2 or p.background_label_id != 0):
        layer.fail(
            f"map_object_to_agnostic with {p.num_classes} classes, "
            f"the background being {p.background_label_id}",
            AT,
            "map_object_to_agnostic",
            expected="num_classes: 2 and background_label_id: 0: background and object",
        )

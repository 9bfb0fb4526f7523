"""What the SSD fork (weiliu89/caffe) adds to transform_param: how images and their boxes are
resized, and changed by chance."""

from __future__ import annotations

from enum import IntEnum

from caffelite.schema.message import Message, field, repeated


class Resize_mode(IntEnum):
    """How an image is brought to a size."""

    WARP = 1
    FIT_SMALL_SIZE = 2
    FIT_LARGE_SIZE_AND_PAD = 3


class Pad_mode(IntEnum):
    """What is around an image."""

    CONSTANT = 1
    MIRRORED = 2
    REPEAT_NEAREST = 3


class Interp_mode(IntEnum):
    """How pixels are interpolated."""

    LINEAR = 1
    AREA = 2
    NEAREST = 3
    CUBIC = 4
    LANCZOS4 = 5


class ResizeParameter(Message):
    """The size that images are brought to."""

    prob: float = field(
        1, "float", default=1.0, least=0, most=1, doc="1: every image is resized; no other here"
    )
    resize_mode: Resize_mode = field(
        2,
        Resize_mode,
        default=Resize_mode.WARP,
        doc="WARP: to this size; FIT_SMALL_SIZE: in proportion, until both sides are this large; "
        "FIT_LARGE_SIZE_AND_PAD: in proportion, until it fits, then padded to this size",
    )
    height: int = field(3, "uint32", default=0, doc="pixels down")
    width: int = field(4, "uint32", default=0, doc="pixels across")
    height_scale: int = field(
        8,
        "uint32",
        default=0,
        doc="FIT_SMALL_SIZE: boxes are in parts of this; 0: of all",
    )
    width_scale: int = field(9, "uint32", default=0, doc="as height_scale, across")
    pad_mode: Pad_mode = field(5, Pad_mode, default=Pad_mode.CONSTANT, doc="what is around")
    pad_value: list[float] = repeated(
        6, "float", least=0, most=255, doc="CONSTANT: one for all channels, or one each; none: 0"
    )
    interp_mode: list[Interp_mode] = repeated(
        7, Interp_mode, doc="one is drawn for each image; none: LINEAR"
    )


class SaltPepperParameter(Message):
    """Single pixels that are set."""

    fraction: float = field(
        1, "float", default=0.0, least=0, most=1, doc="share of the pixels, drawn with repeats"
    )
    value: list[float] = repeated(
        2, "float", least=0, most=255, doc="one for all channels, or one each"
    )


class NoiseParameter(Message):
    """What is done to each image after it is resized, in this order: decolorize, gauss_blur,
    hist_eq, clahe, jpeg, erode, posterize, inverse, saltpepper, convert_to_hsv."""

    prob: float = field(1, "float", default=0.0, idle="each image is treated, as in the original")
    hist_eq: bool = field(2, "bool", default=False, doc="equalize the histogram of the luminance")
    inverse: bool = field(3, "bool", default=False, doc="255 − value")
    decolorize: bool = field(4, "bool", default=False, doc="grey, in three channels")
    gauss_blur: bool = field(5, "bool", default=False, doc="a Gaussian, σ 1.5, of 7 x 7 pixels")
    jpeg: float = field(
        6, "float", default=-1.0, most=100, doc="as a JPEG file of this quality shows it; -1: no"
    )
    posterize: bool = field(7, "bool", default=False, doc="four levels: 32, 96, 160, 224")
    erode: bool = field(8, "bool", default=False, doc="the least of a pixel and its 4 neighbours")
    saltpepper: bool = field(9, "bool", default=False, doc="set pixels, see saltpepper_param")
    saltpepper_param: SaltPepperParameter = field(10, SaltPepperParameter, doc="which and to what")
    clahe: bool = field(
        11, "bool", default=False, doc="equalize in 8 x 8 tiles, with a limit to contrast"
    )
    convert_to_hsv: bool = field(12, "bool", default=False, doc="hue (0 to 179), saturation, value")
    convert_to_lab: bool = field(
        13, "bool", default=False, doc="refused: in the original it gives no pixels"
    )


class DistortionParameter(Message):
    """Colours that are changed by chance."""

    brightness_prob: float = field(1, "float", default=0.0, least=0, most=1, doc="how often")
    brightness_delta: float = field(
        2, "float", default=0.0, least=0, most=255, doc="at most so much is added or subtracted"
    )
    contrast_prob: float = field(3, "float", default=0.0, least=0, most=1, doc="how often")
    contrast_lower: float = field(4, "float", default=0.0, least=0, doc="least factor on values")
    contrast_upper: float = field(5, "float", default=0.0, least=0, doc="largest factor")
    hue_prob: float = field(6, "float", default=0.0, least=0, most=1, doc="how often")
    hue_delta: float = field(
        7, "float", default=0.0, least=0, most=180, doc="the hue, of 180 steps, is moved by at most"
    )
    saturation_prob: float = field(8, "float", default=0.0, least=0, most=1, doc="how often")
    saturation_lower: float = field(9, "float", default=0.0, least=0, doc="least factor on it")
    saturation_upper: float = field(10, "float", default=0.0, least=0, doc="largest factor")
    random_order_prob: float = field(
        11, "float", default=0.0, least=0, most=1, doc="how often the channels are shuffled"
    )


class ExpansionParameter(Message):
    """Images on a larger ground."""

    prob: float = field(1, "float", default=1.0, least=0, most=1, doc="how often")
    max_expand_ratio: float = field(
        2,
        "float",
        default=1.0,
        least=1,
        most=100,
        doc="at most so many times as wide and high",
    )


class EmitType(IntEnum):
    """Which objects stay in a part of an image."""

    CENTER = 0
    MIN_OVERLAP = 1


class EmitConstraint(Message):
    """Which objects stay in a part of an image."""

    emit_type: EmitType = field(
        1,
        EmitType,
        default=EmitType.CENTER,
        doc="CENTER: those whose centre is in it; MIN_OVERLAP: those with more than emit_overlap "
        "of their area in it",
    )
    emit_overlap: float = field(2, "float", least=0, most=1, doc="share of an object's area")

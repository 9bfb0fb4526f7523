"""The messages of Caffe's SSD fork (weiliu89/caffe, branch ssd) that caffelite has no layers for.

Scripts that write SSD nets and label maps need them. They are in `caffe_pb2` alone: in a net file
their fields are those of a fork, see `caffelite.schema.forks`.
"""

from __future__ import annotations

from enum import IntEnum

from caffelite.schema.datum import Datum
from caffelite.schema.message import FieldSpec, Message, field, repeated

# Data with boxes.


class LabelMapItem(Message):
    """A class of objects."""

    name: str = field(1, "string")
    label: int = field(2, "int32")
    display_name: str = field(3, "string")


class LabelMap(Message):
    """The classes of objects by their numbers."""

    item: list[LabelMapItem] = repeated(1, LabelMapItem)


class NormalizedBBox(Message):
    """A box in parts of the image."""

    xmin: float = field(1, "float")
    ymin: float = field(2, "float")
    xmax: float = field(3, "float")
    ymax: float = field(4, "float")
    label: int = field(5, "int32")
    difficult: bool = field(6, "bool")
    score: float = field(7, "float")
    size: float = field(8, "float")


class Annotation(Message):
    """One object of an image."""

    instance_id: int = field(1, "int32", default=0)
    bbox: NormalizedBBox = field(2, NormalizedBBox)


class AnnotationGroup(Message):
    """The objects of one class."""

    group_label: int = field(1, "int32")
    annotation: list[Annotation] = repeated(2, Annotation)


class AnnotationType(IntEnum):
    """What an annotation says."""

    BBOX = 0


class AnnotatedDatum(Message):
    """An image and its objects."""

    datum: Datum = field(1, Datum)
    type: AnnotationType = field(2, AnnotationType)
    annotation_group: list[AnnotationGroup] = repeated(3, AnnotationGroup)


class Sampler(Message):
    """Bounds of a part of an image that is drawn."""

    min_scale: float = field(1, "float", default=1.0)
    max_scale: float = field(2, "float", default=1.0)
    min_aspect_ratio: float = field(3, "float", default=1.0)
    max_aspect_ratio: float = field(4, "float", default=1.0)


class SampleConstraint(Message):
    """What a drawn part must have in common with the objects."""

    min_jaccard_overlap: float = field(1, "float")
    max_jaccard_overlap: float = field(2, "float")
    min_sample_coverage: float = field(3, "float")
    max_sample_coverage: float = field(4, "float")
    min_object_coverage: float = field(5, "float")
    max_object_coverage: float = field(6, "float")


class BatchSampler(Message):
    """How parts of images are drawn."""

    use_original_image: bool = field(1, "bool", default=True)
    sampler: Sampler = field(2, Sampler)
    sample_constraint: SampleConstraint = field(3, SampleConstraint)
    max_sample: int = field(4, "uint32")
    max_trials: int = field(5, "uint32", default=100)


class AnnotatedDataParameter(Message):
    """Databases of AnnotatedDatum."""

    batch_sampler: list[BatchSampler] = repeated(1, BatchSampler)
    label_map_file: str = field(2, "string")
    anno_type: AnnotationType = field(3, AnnotationType)


class VideoType(IntEnum):
    """Where a video comes from."""

    WEBCAM = 0
    VIDEO = 1


class VideoDataParameter(Message):
    """Frames of a video."""

    video_type: VideoType = field(1, VideoType, default=VideoType.WEBCAM)
    device_id: int = field(2, "int32", default=0)
    video_file: str = field(3, "string")
    skip_frames: int = field(4, "uint32", default=0)


# How images are prepared.


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

    prob: float = field(1, "float", default=1.0)
    resize_mode: Resize_mode = field(2, Resize_mode, default=Resize_mode.WARP)
    height: int = field(3, "uint32", default=0)
    width: int = field(4, "uint32", default=0)
    height_scale: int = field(8, "uint32", default=0)
    width_scale: int = field(9, "uint32", default=0)
    pad_mode: Pad_mode = field(5, Pad_mode, default=Pad_mode.CONSTANT)
    pad_value: list[float] = repeated(6, "float")
    interp_mode: list[Interp_mode] = repeated(7, Interp_mode)


class SaltPepperParameter(Message):
    """Single pixels that are set."""

    fraction: float = field(1, "float", default=0.0)
    value: list[float] = repeated(2, "float")


class NoiseParameter(Message):
    """Noise on images."""

    prob: float = field(1, "float", default=0.0)
    hist_eq: bool = field(2, "bool", default=False)
    inverse: bool = field(3, "bool", default=False)
    decolorize: bool = field(4, "bool", default=False)
    gauss_blur: bool = field(5, "bool", default=False)
    jpeg: float = field(6, "float", default=-1.0)
    posterize: bool = field(7, "bool", default=False)
    erode: bool = field(8, "bool", default=False)
    saltpepper: bool = field(9, "bool", default=False)
    saltpepper_param: SaltPepperParameter = field(10, SaltPepperParameter)
    clahe: bool = field(11, "bool", default=False)
    convert_to_hsv: bool = field(12, "bool", default=False)
    convert_to_lab: bool = field(13, "bool", default=False)


class DistortionParameter(Message):
    """Colours that are changed at random."""

    brightness_prob: float = field(1, "float", default=0.0)
    brightness_delta: float = field(2, "float", default=0.0)
    contrast_prob: float = field(3, "float", default=0.0)
    contrast_lower: float = field(4, "float", default=0.0)
    contrast_upper: float = field(5, "float", default=0.0)
    hue_prob: float = field(6, "float", default=0.0)
    hue_delta: float = field(7, "float", default=0.0)
    saturation_prob: float = field(8, "float", default=0.0)
    saturation_lower: float = field(9, "float", default=0.0)
    saturation_upper: float = field(10, "float", default=0.0)
    random_order_prob: float = field(11, "float", default=0.0)


class ExpansionParameter(Message):
    """Images on a larger ground."""

    prob: float = field(1, "float", default=1.0)
    max_expand_ratio: float = field(2, "float", default=1.0)


class EmitType(IntEnum):
    """Which objects stay in a part of an image."""

    CENTER = 0
    MIN_OVERLAP = 1


class EmitConstraint(Message):
    """Which objects stay in a part of an image."""

    emit_type: EmitType = field(1, EmitType, default=EmitType.CENTER)
    emit_overlap: float = field(2, "float")


# Layers.


def _added(**specs: FieldSpec) -> dict[str, FieldSpec]:
    for name, spec in specs.items():
        spec.name = name
    return specs


FIELDS: dict[str, dict[str, FieldSpec]] = {
    "LayerParameter": _added(
        annotated_data_param=FieldSpec(200, AnnotatedDataParameter),
        video_data_param=FieldSpec(207, VideoDataParameter),
    ),
    "TransformationParameter": _added(
        resize_param=FieldSpec(8, ResizeParameter),
        noise_param=FieldSpec(9, NoiseParameter),
        emit_constraint=FieldSpec(10, EmitConstraint),
        crop_h=FieldSpec(11, "uint32", 0),
        crop_w=FieldSpec(12, "uint32", 0),
        distort_param=FieldSpec(13, DistortionParameter),
        expand_param=FieldSpec(14, ExpansionParameter),
    ),
    "SaveOutputParameter": _added(resize_param=FieldSpec(7, ResizeParameter)),
    "DetectionEvaluateParameter": _added(resize_param=FieldSpec(6, ResizeParameter)),
}
"""What SSD adds to Caffe's messages, by message and field."""

"""AnnotatedDatum and LabelMap: images with boxes, and the names of their classes, as the SSD fork
(weiliu89/caffe) stores them."""

from __future__ import annotations

from enum import IntEnum

from caffelite.schema.datum import Datum
from caffelite.schema.message import Message, field, repeated


class LabelMapItem(Message):
    """A class of objects."""

    name: str = field(1, "string", doc="the name that annotations use")
    label: int = field(2, "int32", doc="the number that nets use")
    display_name: str = field(3, "string", doc="the name for people")


class LabelMap(Message):
    """The classes of objects by their numbers."""

    item: list[LabelMapItem] = repeated(1, LabelMapItem, doc="a class each")


class NormalizedBBox(Message):
    """A box in parts of the image, 0 to 1 from the upper left corner."""

    xmin: float = field(1, "float", doc="left side, in widths")
    ymin: float = field(2, "float", doc="upper side, in heights")
    xmax: float = field(3, "float", doc="right side")
    ymax: float = field(4, "float", doc="lower side")
    label: int = field(5, "int32", doc="the class")
    difficult: bool = field(6, "bool", doc="hard to see?")
    score: float = field(7, "float", doc="of a detection")
    size: float = field(8, "float", doc="area")


class Annotation(Message):
    """One object of an image."""

    instance_id: int = field(1, "int32", default=0, doc="its number among those of its class")
    bbox: NormalizedBBox = field(2, NormalizedBBox, doc="where it is")


class AnnotationGroup(Message):
    """The objects of one class."""

    group_label: int = field(1, "int32", doc="the class")
    annotation: list[Annotation] = repeated(2, Annotation, doc="an object each")


class AnnotationType(IntEnum):
    """What an annotation says."""

    BBOX = 0


class AnnotatedDatum(Message):
    """An image and its objects."""

    datum: Datum = field(1, Datum, doc="the image")
    type: AnnotationType = field(2, AnnotationType, doc="BBOX; left out: datum has a label")
    annotation_group: list[AnnotationGroup] = repeated(3, AnnotationGroup, doc="a class each")

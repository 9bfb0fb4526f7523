"""The messages of Caffe's SSD fork (weiliu89/caffe, branch ssd) that caffelite has no layers for.

Scripts that write SSD nets and label maps need them. They are in `caffe_pb2` alone: in a net file
their fields are those of a fork, see `caffelite.schema.forks`.
"""

from __future__ import annotations

from enum import IntEnum

from caffelite.schema.augment import ResizeParameter
from caffelite.schema.message import FieldSpec, Message, field


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


# Layers.


def _added(**specs: FieldSpec) -> dict[str, FieldSpec]:
    for name, spec in specs.items():
        spec.name = name
    return specs


FIELDS: dict[str, dict[str, FieldSpec]] = {
    "LayerParameter": _added(
        video_data_param=FieldSpec(207, VideoDataParameter),
    ),
    "SaveOutputParameter": _added(resize_param=FieldSpec(7, ResizeParameter)),
}
"""What SSD adds to Caffe's messages, by message and field."""

"""VideoData: frames of a video."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar

from caffelite.data.feed import Order
from caffelite.data.imagefiles import Reading
from caffelite.data.video import EXPECTED, Frames, VideoFeed
from caffelite.errors import DataError
from caffelite.layers.base import Shapes, param_of, register
from caffelite.layers.source import FeedLayer
from caffelite.schema.data import DataParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class VideoType(IntEnum):
    """Where a video comes from."""

    WEBCAM = 0
    VIDEO = 1


class VideoDataParameter(LayerMessage, field="video_data_param", number=207):
    """Frames of a video."""

    video_type: VideoType = field(
        1, VideoType, default=VideoType.WEBCAM, doc="VIDEO: a file or a folder; WEBCAM: refused"
    )
    device_id: int = field(2, "int32", default=0, doc="which camera", idle="no camera is read here")
    video_file: str = field(3, "string", doc="an animated image file, or a folder of frames")
    skip_frames: int = field(
        4, "uint32", default=0, doc="frames that are left out before each that is used"
    )


@register
class VideoData(FeedLayer):
    """Frames of a video, in order and from the first again at the end.

    Shapes: data (N, 3, H, W), colours in the order B, G, R, with `data_param`'s batch_size N, or
    (N, 1, H, W) with force_gray; label (N,), zeros, which may be left out. `transform_param`
    prepares the frames: see Data.

    Read here are animated GIF, PNG, WebP and TIFF files, and folders of images, which are frames in
    the order of their names. Other videos and cameras are not; without its video a net runs on
    stand-in data (--shape).
    Source: weiliu89/caffe, branch ssd.
    """

    pixels = True
    extension = "SSD fork (weiliu89/caffe), video_data_param = 207"
    tested_in = "tests/data/test_video.py"
    idle: ClassVar[Mapping[str, str]] = {
        "data_param.backend": "frames come from a video",
        "data_param.force_encoded_color": "frames have three channels unless force_gray is set",
        "transform_param.force_color": "frames have three channels unless force_gray is set",
    }
    place = ("video_data_param", "video_file")
    param: VideoDataParameter = param_of(VideoDataParameter)
    data: DataParameter = param_of(DataParameter)

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if self.spec.has("image_data_param") and not self.spec.has("video_data_param"):
            self.fail(
                "a VideoData with image_data_param is that of C3D's fork, which is not read here",
                "image_data_param",
                expected="video_data_param",
                hint="for a look at the net without its data: --shape",
            )
        self.check_batch_size("data_param")
        if p.video_type == VideoType.WEBCAM:
            self.fail(
                "a camera is not read here",
                "video_data_param",
                "video_type",
                expected=f"video_type: VIDEO and video_file, {EXPECTED}",
                hint="for a look at the net without its data: --shape",
            )
        self._path = self.find(*self.place, "video")
        with self.placed(*self.place):
            frames = Frames(self._path, self._color)
            try:
                self._frame, count = frames[0].shape, frames.count // (p.skip_frames + 1)
                if not count:
                    raise DataError(
                        f"skip_frames {p.skip_frames} leaves none of {frames.count} frames"
                    )
            finally:
                frames.close()
        self.use(count, [self.prepared(self._frame), ()], self.data.prefetch)

    @property
    def _color(self) -> bool:
        return not self.transform.force_gray

    @property
    def reading(self) -> Reading:
        return Reading(self._color)

    def order(self) -> Order:
        return self.ordered(False)

    def sample_name(self, index: int) -> str:
        return f"frame {(index + 1) * (self.param.skip_frames + 1) - 1}"

    def make_feed(self) -> VideoFeed:
        frames, skip = Frames(self._path, self._color), self.param.skip_frames
        if frames.count // (skip + 1) != self.epoch_size:
            raise DataError(f'"{self._path}" has changed since the net was made')
        return VideoFeed(frames, self.transformer(), self._frame, skip)

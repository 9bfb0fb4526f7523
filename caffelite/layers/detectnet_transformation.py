"""DetectNetTransformation: images and their boxes, changed by chance, and what is to be learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.augment.interpolation import interpolate
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.cell_loss import ReadsCells
from caffelite.layers.detectnet_coverage import PARAM, Coverage, DetectNetGroundTruthParameter
from caffelite.schema.augment import Interp_mode
from caffelite.schema.common import Phase, TransformationParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage, LayerParameter

OWN = "detectnet_augmentation_param"
WIDTH = 16
"""Values of a label's row."""


class DetectNetAugmentationParameter(LayerMessage, field=OWN, number=6802):
    """How images are changed by chance, in phase TRAIN."""

    crop_prob: float = field(1, "float", default=1.0, doc="probability of a part by chance")
    shift_x: int = field(2, "uint32", default=0, doc="pixels by which it may go over, across")
    shift_y: int = field(3, "uint32", default=0, doc="pixels by which it may go over, down")
    scale_prob: float = field(4, "float", default=0.33, doc="probability of another size")
    scale_min: float = field(5, "float", default=0.7, above=0, doc="least factor on the size")
    scale_max: float = field(6, "float", default=1.0, above=0, doc="largest factor on the size")
    flip_prob: float = field(7, "float", default=0.33, doc="probability of being mirrored")
    rotation_prob: float = field(
        8, "float", default=0.33, doc="probability of a turn; has to be 0, turns are not built in"
    )
    max_rotate_degree: float = field(9, "float", default=1.0, idle="images are not turned")
    hue_rotation_prob: float = field(10, "float", default=0.33, doc="probability of other hues")
    hue_rotation: float = field(11, "float", default=15.0, doc="degrees that they turn at most")
    desaturation_prob: float = field(12, "float", default=0.33, doc="probability of paler colours")
    desaturation_max: float = field(13, "float", default=0.5, doc="how much paler at most")


@dataclass(frozen=True)
class Change:
    """What is done to one image."""

    height: int
    width: int
    down: int = 0
    right: int = 0
    flip: bool = False
    hue: float = 0.0
    saturation: float = 1.0


def coloured(image: Array, degrees: float, saturation: float) -> Array:
    """A (3, H, W) image in B, G, R whose hues are turned, and whose saturation has a factor."""
    b, g, r = image
    value = image.max(0)
    spread = value - image.min(0)
    per = 60 / np.where(spread > 0, spread, 1)
    hue = np.where(
        value == r, (g - b) * per, np.where(value == g, 120 + (b - r) * per, 240 + (r - g) * per)
    )
    k = ((hue + degrees) / 60 + np.array([1, 3, 5])[:, None, None]) % 6
    result: Array = value - spread * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
    return result


@register
class DetectNetTransformation(ReadsCells, Layer):
    """The images, less `mean_value`, at the size `image_size_y` x `image_size_x`, and the planes
    that DetectNet learns.

    TEST: images are resized, by cubic interpolation. TRAIN, each by chance: hues turn by up to
    `hue_rotation` degrees, saturation has a factor from 1 - `desaturation_max` to 1, the image is
    mirrored, and resized by a factor from `scale_min` to `scale_max`; then a part of the size is
    cut out, anywhere with `crop_prob`, and up to half of `shift_x` and `shift_y` beyond the edges,
    else the middle. What lies outside is 0. Boxes go along.

    Planes, for the cells of `stride` pixels that the middle of a box covers, `scale_cvg` of its
    sides held to the bounds of `gridbox_type`: 1; the box's corners x1, y1, x2, y2, from the cell's
    corner; 1/width, 1/height; the weight stride²/(covered area), at least 1 without `obj_norm`;
    then 1 in the plane of its class. The rest is 0.

    Gradient: none.
    Shapes: images (N, 3, H, W); labels N rows of sixteen, the first: how many boxes, 16; then x, y,
    width, height, one not looked at, class, ten not looked at. Tops (N, 3, image_size_y,
    image_size_x) and (N, 8 + classes, rows, columns).
    Source: NVIDIA/caffe (DetectNet, DIGITS).
    """

    bottoms = (2, 2)
    tops = (2, 2)
    deployed = False
    backward_reads = ()
    extension = f"NVCaffe, {PARAM} = 6801 and {OWN} = 6802"
    param: DetectNetGroundTruthParameter = param_of(DetectNetGroundTruthParameter)
    augment: DetectNetAugmentationParameter = param_of(DetectNetAugmentationParameter)
    transform: TransformationParameter = param_of(TransformationParameter, "transform_param")
    idle: ClassVar[Mapping[str, str]] = {
        f"transform_param.{name}": "NVCaffe's layer does not read it"
        for name in TransformationParameter.specs
        if name not in ("mean_value", "mean_file")
    }
    cases = (
        Case(
            f'type: "DetectNetTransformation" {PARAM} {{ stride: 2 image_size_x: 4 image_size_y: 2 '
            "scale_cvg: 0.5 object_class { src: 7 dst: 1 } } transform_param { mean_value: 1 }",
            # a box from (0, 0) to (4, 2), of which the middle half, 2 x 1, covers both cells
            {
                "x": np.arange(24.0).reshape(1, 3, 2, 4),
                "label": np.array([[1, 16, *[0] * 14], [0, 0, 4, 2, 0, 7, *[0] * 10]])[None, None],
            },
            {
                "y": np.arange(24.0).reshape(1, 3, 2, 4) - 1,
                "planes": np.array(
                    [
                        *([1, 1], [0, -2], [0, 0], [4, 2], [2, 2]),
                        *([0.25] * 2, [0.5] * 2, [2, 2], [0, 0], [1, 1]),
                    ]
                ).reshape(1, 10, 1, 2),
            },
            phase=Phase.TEST,
        ),
        Case(
            f'type: "DetectNetTransformation" {PARAM} {{ stride: 2 image_size_x: 2 image_size_y: 2 '
            f"}} {OWN} {{ crop_prob: 0 scale_prob: 0 flip_prob: 1 rotation_prob: 0 "
            "hue_rotation_prob: 0 desaturation_prob: 0 }",
            # mirrored, then the middle; a box at the left edge of the mirrored one is cut
            {
                "x": np.arange(24.0).reshape(1, 3, 2, 4),
                "label": np.array([[1, 16, *[0] * 14], [1, 0, 2, 2, 0, 1, *[0] * 10]])[None],
            },
            {
                "y": [[[[2.0, 1], [6, 5]], [[10, 9], [14, 13]], [[18, 17], [22, 21]]]],
                "planes": np.array([1, 0, 0, 1, 2, 1, 0.5, 8, 1.0]).reshape(1, 9, 1, 1),
            },
        ),
    )

    @classmethod
    def label_size(cls, spec: LayerParameter) -> int:
        return 2 * WIDTH

    @classmethod
    def image_size(cls, spec: LayerParameter) -> tuple[int, int] | None:
        p = spec.get(PARAM)
        return p.image_size_y, p.image_size_x

    def propagates(self, index: int) -> bool:
        return False

    def setup(self, bottom: Shapes) -> None:
        train = self.phase == Phase.TRAIN
        self.repeatable = not train
        if train and self.augment.rotation_prob > 0:
            self.fail(
                f"rotation_prob is {self.augment.rotation_prob:g}; images are not turned here",
                OWN,
                "rotation_prob",
                expected="rotation_prob: 0",
            )
        mean = self.transform.mean_value
        if self.transform.has("mean_file") or len(mean) not in (0, 1, 3):
            name = "mean_file" if self.transform.has("mean_file") else "mean_value"
            said = f"a {name} of another form is not read here"
            self.fail(said, "transform_param", name, expected="mean_value, once or three times")
        self._mean = np.array(mean or [0.0], self.dtype).reshape(-1, 1, 1)
        self._coverage = Coverage(self.param)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        images, labels = bottom
        if len(images) != 4 or images[1] != 3:
            said = f'bottom "{self.spec.bottom[0]}" is {show(images)}'
            self.fail(said, "bottom", expected="N x 3 x H x W")
        if labels[:1] != images[:1] or math.prod(labels[1:]) % WIDTH:
            said = f'labels "{self.spec.bottom[1]}" are {show(labels)}'
            self.fail(said, "bottom", index=1, expected=f"{images[0]} x 1 x rows x {WIDTH}")
        size = self.param.image_size_y, self.param.image_size_x
        return [(images[0], 3, *size), (images[0], *self._coverage.shape)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        rows = math.prod(bottom[1].shape[1:]) // WIDTH
        labels = bottom[1].reshape(len(bottom[0]), rows, WIDTH)
        for image, label, y, planes in zip(bottom[0], labels, *top):
            change = self._draw(*image.shape[1:])
            self._image(image, change, y)
            boxes = self._boxes(label)
            old = np.array([image.shape[2], image.shape[1]])
            if change.flip:
                boxes[:, 0] = old[0] - boxes[:, 0] - boxes[:, 2] - 1
            boxes[:, :4] *= np.tile((change.width, change.height) / old, 2)
            boxes[:, :2] -= change.right, change.down
            self._coverage.write(boxes, planes)

    def _boxes(self, label: Array) -> Array:
        """Rows x, y, width, height, class of one image."""
        count = int(label[0, 0]) if len(label) else 0
        if count and not (0 < count < len(label) and label[0, 1] == WIDTH):
            self.fail(
                f'labels "{self.spec.bottom[1]}" begin with {label[0, 0]:g}, {label[0, 1]:g}',
                "bottom",
                index=1,
                expected=f"0 to {len(label) - 1} boxes, and {WIDTH}",
            )
        return label[1 : 1 + count, [0, 1, 2, 3, 5]].astype(np.float64)

    def _draw(self, height: int, width: int) -> Change:
        """What is done to an image of that size."""
        p, a = self.param, self.augment
        if self.phase == Phase.TEST:
            return Change(p.image_size_y, p.image_size_x)
        hue, saturation, size = 0.0, 1.0, (height, width)
        if self.rng.random() <= a.hue_rotation_prob:
            hue = float(np.clip(self.rng.uniform(-1, 1) * a.hue_rotation, -180, 180))
        if self.rng.random() <= a.desaturation_prob:
            saturation = 1 - self.rng.random() * a.desaturation_max
        flip = self.rng.random() <= a.flip_prob
        if self.rng.random() <= a.scale_prob:
            factor = a.scale_min + (a.scale_max - a.scale_min) * self.rng.random()
            size = _round(height * factor), _round(width * factor)
        share, over = (0.5, 0.5), (0, 0)
        if self.rng.random() <= a.crop_prob:
            share, over = tuple(self.rng.random(2)), (a.shift_y, a.shift_x)
        down, right = (
            _round(part * (have - want + more) - more // 2)
            for part, have, want, more in zip(share, size, (p.image_size_y, p.image_size_x), over)
        )
        return Change(*size, down, right, bool(flip), hue, saturation)

    def _image(self, image: Array, change: Change, out: Array) -> None:
        if change.hue or change.saturation != 1:
            image = coloured(image, change.hue, change.saturation)
        image = image - self._mean
        if change.flip:
            image = image[:, :, ::-1]
        image = interpolate(image, change.height, change.width, Interp_mode.CUBIC)
        out.fill(0)
        from_, to = [], []
        for start, have, want in zip((change.down, change.right), image.shape[1:], out.shape[1:]):
            low, high = max(start, 0), min(start + want, have)
            from_.append(slice(low, max(high, low)))
            to.append(slice(low - start, max(high, low) - start))
        out[:, to[0], to[1]] = image[:, from_[0], from_[1]]


def _round(x: float) -> int:
    """As C rounds: halves away from 0."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))

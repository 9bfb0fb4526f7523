"""Transformer: how a sample is prepared for the net. One code for training, testing, prediction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.augment.fitting import fit, fitted_size
from caffelite.data.augment.noise import add_noise, needs_three
from caffelite.errors import DataError, Problem
from caffelite.reading import check_limit
from caffelite.schema.augment import NoiseParameter, Resize_mode, ResizeParameter
from caffelite.schema.common import Phase, TransformationParameter


class Placed(NamedTuple):
    """Where a prepared sample comes from."""

    size: tuple[int, int]
    """Height and width before it was cropped, and after it was resized."""
    window: tuple[float, float, float, float]
    """What was cropped, in parts of that: x1, y1, x2, y2."""
    flip: bool


class Transformer:
    """`transform_param`, carried out: resize, noise, crop, subtract the mean, mirror, scale.

    out[c, y, x] = (in[c, y + top, x + left] - mean) · scale, with x reversed when mirrored; the
    mean is that of the file at the same place, or `mean_value` of channel c, or 0.

    `resize_param` and `noise_param` come first (see `data.augment`): of images of three axes, and
    noise of bytes only. As in Caffe, crops are random in TRAIN and central in TEST (an odd pixel
    left over goes to the bottom and right), and `mirror` flips each second sample by chance in both
    phases. Samples are (C, H, W); those of fewer axes are taken as (C,) or (C, H). Without an `rng`
    nothing may be left to chance but ways of interpolation, of which the first is taken.
    """

    def __init__(
        self,
        param: TransformationParameter,
        phase: Phase,
        dtype: Any,
        rng: np.random.Generator | None,
        mean: Array | None = None,
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.mirror = param.mirror
        self.crop = (param.crop_size or param.crop_h, param.crop_size or param.crop_w)
        """Height and width of the crop; 0, 0: none."""
        self._resize = param.resize_param if param.has("resize_param") else None
        self._noise = param.noise_param if param.has("noise_param") else None
        self.scale = self.dtype.type(param.scale)
        self.values = np.array(param.mean_value, self.dtype)
        self.mean = None if mean is None else mean.astype(self.dtype)
        self._random_crop = bool(self.crop[0]) and phase == Phase.TRAIN
        self._rng: np.random.Generator = rng  # type: ignore[assignment]
        if mean is not None and len(self.values):
            raise DataError("mean_file and mean_value are both given: give one")
        if bool(self.crop[0]) != bool(self.crop[1]):
            raise DataError(f"crop_h is {param.crop_h} and crop_w is {param.crop_w}: give both")
        self._named = "crop_size" if param.crop_size else "crop_h and crop_w"
        if self._resize is not None:
            check_resize(self._resize)
        if self._noise is not None:
            check_noise(self._noise)

    @property
    def random(self) -> bool:
        """Does chance have a part?"""
        drawn = self._resize is not None and len(self._resize.interp_mode) > 1
        peppered = self._noise is not None and self._noise.saltpepper
        return self.mirror or self._random_crop or drawn or peppered

    @property
    def fixes_size(self) -> bool:
        """Do samples of all sizes get one?"""
        if self.crop[0]:
            return True
        return self._resize is not None and self._resize.resize_mode != Resize_mode.FIT_SMALL_SIZE

    def shape(self, sample: Shape, name: str = "a sample") -> Shape:
        """The shape of a prepared sample. Raises DataError if the parameters do not fit it; the
        error calls it `name`."""
        sample = self._treated(sample, name)
        if len(self.values) and len(self.values) not in (1, sample[0] if sample else 1):
            raise DataError(
                f"{len(self.values)} mean_value, but {name} is {_show(sample)}: give 1 or "
                f"{sample[0] if sample else 1}, one for each channel"
            )
        if self.mean is not None and self._mean_for(sample) is None:
            raise DataError(
                f"the mean file is {_show(self.mean.shape)}, but {name} is {_show(sample)}"
            )
        if not self.crop[0]:
            return sample
        if len(sample) != 3:
            raise DataError(
                f"{self._named} needs samples of 3 axes (C, H, W), but {name} is {_show(sample)}"
            )
        if self.crop[0] > sample[1] or self.crop[1] > sample[2]:
            given = self.crop[0] if self.crop[0] == self.crop[1] else _show(self.crop)
            raise DataError(f"{self._named} {given} is too large: {name} is {_show(sample)}")
        return (sample[0], *self.crop)

    def _treated(self, sample: Shape, name: str) -> Shape:
        """The shape after resizing; refused where that or the noise does not fit the sample."""
        if self._noise is not None and len(sample) == 3 and sample[0] != 3:
            for field in needs_three(self._noise):
                raise DataError(f"{field} needs 3 channels, but {name} is {_show(sample)}")
            if sample[0] != 1:
                raise DataError(f"noise_param needs 1 or 3 channels, but {name} is {_show(sample)}")
        if self._noise is not None and self._noise.saltpepper:
            _check_values(self._noise.saltpepper_param.value, "value of saltpepper_param", sample)
        if self._resize is None and self._noise is None:
            return sample
        if len(sample) != 3:
            raise DataError(
                f"resize_param and noise_param need samples of 3 axes (C, H, W), but {name} is "
                f"{_show(sample)}"
            )
        if self._resize is None:
            return sample
        _check_values(self._resize.pad_value or [0.0], "pad_value", sample)
        size = fitted_size(self._resize, *sample[1:])
        check_limit("pixels", size[0] * size[1], f"{name}, resized,")
        return (sample[0], *size)

    def __call__(self, sample: Array, out: Array) -> Placed:
        """Prepare one sample, of any type of number, into `out`; where it comes from."""
        flip = self.mirror and bool(self._rng.integers(2))
        if self._resize is not None:
            sample = fit(sample, self._resize, self._rng)
        if self._noise is not None:
            if sample.dtype != np.uint8:
                raise DataError("noise_param is for images of bytes, and the samples are others")
            sample = add_noise(sample, self._noise, self._rng)
        window: Any = np.s_[...]
        place = (0.0, 0.0, 1.0, 1.0)
        if self.crop[0] and sample.shape[1:] != self.crop:
            height, width = sample.shape[1] - self.crop[0], sample.shape[2] - self.crop[1]
            if self._random_crop:
                top, left = self._rng.integers(height + 1), self._rng.integers(width + 1)
            else:
                top, left = height // 2, width // 2
            down, right = top + self.crop[0], left + self.crop[1]
            window = np.s_[..., top:down, left:right]
            _, rows, columns = sample.shape
            place = (left / columns, top / rows, right / columns, down / rows)
        self._scale(sample[window], out[..., ::-1] if flip else out, sample.shape, window)
        return Placed(sample.shape[-2:], place, flip)

    def batch(self, samples: Array, out: Array) -> None:
        """Prepare a batch of samples of one shape; without chance in it, all at once."""
        if self.random or self.crop[0] or self._resize is not None or self._noise is not None:
            for sample, row in zip(samples, out):
                self(sample, row)
        else:
            self._scale(samples, out, samples.shape[1:], np.s_[...])

    def _scale(self, values: Array, out: Array, sample: Shape, window: Any) -> None:
        if self.mean is not None:
            mean = self._mean_for(sample)
            assert mean is not None
            np.subtract(values, mean[window], out=out, dtype=self.dtype)
        elif len(self.values):
            per_channel = self.values.reshape(-1, *[1] * (len(sample) - 1))
            np.subtract(values, per_channel, out=out, dtype=self.dtype)
        else:
            np.copyto(out, values, casting="unsafe")
        if self.scale != 1:
            np.multiply(out, self.scale, out=out)

    def _mean_for(self, sample: Shape) -> Array | None:
        """The mean in a sample's shape; old mean files have an extra axis of 1 in front."""
        assert self.mean is not None
        shape = self.mean.shape
        while len(shape) > len(sample) and shape[0] == 1:
            shape = shape[1:]
        return self.mean.reshape(shape) if shape == sample else None

    def state(self) -> dict[str, Any]:
        return dict(self._rng.bit_generator.state) if self.random else {}

    def restore(self, state: dict[str, Any]) -> None:
        if state:
            self._rng.bit_generator.state = state


def check_resize(param: ResizeParameter) -> None:
    """Refuse a `resize_param` that says no size, or that leaves images as they are by chance."""
    if param.prob != 1:
        raise DataError(
            Problem(
                f"resize_param has prob {param.prob:g}: a batch has images of one size",
                expected="prob 1",
            )
        )
    if not (param.height and param.width):
        raise DataError(
            f"resize_param has height {param.height} and width {param.width}: give both, 1 or more"
        )
    check_limit("pixels", param.height * param.width, "resize_param")


def check_noise(param: NoiseParameter) -> None:
    """Refuse a `noise_param` that gives no pixels."""
    if param.convert_to_lab:
        raise DataError(
            Problem(
                "convert_to_lab is not followed: in the original it gives no pixels",
                expected="noise_param without it",
            )
        )
    if param.saltpepper and not param.saltpepper_param.value:
        raise DataError("saltpepper has no value: saltpepper_param { fraction: 0.01 value: 0 }")


def _check_values(values: list[float], name: str, sample: Shape) -> None:
    if len(sample) == 3 and len(values) not in (1, sample[0]):
        raise DataError(
            f"{len(values)} {name} for {sample[0]} channels: give 1 or {sample[0]}, one for each"
        )


def check_shape(found: Shape, expected: Shape, record: str) -> None:
    """Refuse a sample whose shape is not that of the batch."""
    if found != expected:
        raise DataError(
            Problem(
                f"{record} is {_show(found)}, but the samples before it are {_show(expected)}",
                hint="all samples of a source must have one shape: resize them, or crop_size",
            )
        )


def _show(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "a single number"

"""Transformer: how a sample is prepared for the net. One code for training, testing, prediction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import DataError, Problem
from caffelite.schema.common import Phase, TransformationParameter


class Transformer:
    """`transform_param`, carried out: crop, subtract the mean, mirror, scale.

    out[c, y, x] = (in[c, y + top, x + left] - mean) · scale, with x reversed when mirrored; the
    mean is that of the file at the same place, or `mean_value` of channel c, or 0.

    As in Caffe, crops are random in TRAIN and central in TEST (an odd pixel left over goes to the
    bottom and right), and `mirror` flips each second sample by chance in both phases. Samples
    are (C, H, W); those of fewer axes are taken as (C,) or (C, H). Without an `rng` it can only
    say the `shape`.
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
        self.crop, self.mirror = param.crop_size, param.mirror
        self.scale = self.dtype.type(param.scale)
        self.values = np.array(param.mean_value, self.dtype)
        self.mean = None if mean is None else mean.astype(self.dtype)
        self._random_crop = bool(self.crop) and phase == Phase.TRAIN
        self._rng: np.random.Generator = rng  # type: ignore[assignment]
        if mean is not None and len(self.values):
            raise DataError("mean_file and mean_value are both given: give one")

    @property
    def random(self) -> bool:
        """Does chance have a part?"""
        return self.mirror or self._random_crop

    def shape(self, sample: Shape, name: str = "a sample") -> Shape:
        """The shape of a prepared sample. Raises DataError if the parameters do not fit it; the
        error calls it `name`."""
        if len(self.values) and len(self.values) not in (1, sample[0] if sample else 1):
            raise DataError(
                f"{len(self.values)} mean_value, but {name} is {_show(sample)}: give 1 or "
                f"{sample[0] if sample else 1}, one for each channel"
            )
        if self.mean is not None and self._mean_for(sample) is None:
            raise DataError(
                f"the mean file is {_show(self.mean.shape)}, but {name} is {_show(sample)}"
            )
        if not self.crop:
            return sample
        if len(sample) != 3:
            raise DataError(
                f"crop_size needs samples of 3 axes (C, H, W), but {name} is {_show(sample)}"
            )
        if self.crop > min(sample[1:]):
            raise DataError(f"crop_size {self.crop} is too large: {name} is {_show(sample)}")
        return (sample[0], self.crop, self.crop)

    def __call__(self, sample: Array, out: Array) -> None:
        """Prepare one sample, of any type of number, into `out`."""
        flip = self.mirror and bool(self._rng.integers(2))
        window: Any
        if self.crop and sample.shape[1:] != (self.crop, self.crop):
            height, width = sample.shape[1] - self.crop, sample.shape[2] - self.crop
            if self._random_crop:
                top, left = self._rng.integers(height + 1), self._rng.integers(width + 1)
            else:
                top, left = height // 2, width // 2
            window = np.s_[..., top : top + self.crop, left : left + self.crop]
        else:
            window = np.s_[...]
        self._scale(sample[window], out[..., ::-1] if flip else out, sample.shape, window)

    def batch(self, samples: Array, out: Array) -> None:
        """Prepare a batch of samples of one shape; without chance in it, all at once."""
        if self.random or self.crop:
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

"""Samples from files, prepared as the net's own data were: images, arrays, tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.imagefiles import Reading
from caffelite.data.images import SUFFIXES, read_image, resize
from caffelite.data.npy import read_arrays, read_shapes
from caffelite.data.table import open_table
from caffelite.data.transform import Transformer
from caffelite.errors import CaffeliteError, DataError, Problem
from caffelite.layers.base import show
from caffelite.paths import find_path
from caffelite.schema.binary import read_blob
from caffelite.schema.common import Phase, TransformationParameter


@dataclass
class Preparation:
    """From a file's samples to what the net is given.

    The transform is that of training in phase TEST, never mirrored: a central crop, the mean, the
    scale. An image is first resized: to `size` if that is given, else to that of the net's own
    data or of the mean file. If none is known, and it does not fit the net, then to what the net
    takes, which is noted."""

    param: TransformationParameter
    reading: Reading
    mean: Array | None = None
    size: tuple[int, int] = (0, 0)
    """Height and width; zeros: as said above."""
    cropped: bool = False
    """Are images of any size cropped, without resizing them first?"""
    table: dict[str, str] = field(default_factory=dict)
    """`delimiter` and `label` of the net's own table, if it reads one."""
    note: Callable[[str], None] = print

    @classmethod
    def of(
        cls, param: TransformationParameter, reading: Reading, folder: str, **keywords: object
    ) -> Preparation:
        """With the mean file read."""
        own = param.copy()
        own.mirror = False
        mean = None
        if own.has("mean_file"):
            mean = read_blob(find_path(own.mean_file, folder, own.span("mean_file"), "mean file"))
            mean = mean.reshape(mean.shape[-3:])
        return cls(own, reading, mean, **keywords)  # type: ignore[arg-type]

    def transformer(self) -> Transformer:
        """What prepares a sample."""
        return Transformer(self.param, Phase.TEST, np.float32, None, self.mean)

    def shape_for(self, path: str) -> Shape:
        """The shape of a prepared sample of a file, where the net does not say it."""
        if is_image(path):
            channels = 3 if self.reading.color else 1
            height, width = self._size() or (self.param.crop_size,) * 2
            if not height or self.param.has("resize_param"):
                return read_image(path, self.reading.color).shape
            return self.transformer().shape((channels, height, width))
        if path.endswith(".npy"):
            return self.transformer().shape(read_shapes(path)[""][0][1:])
        table = self._table(path)
        return self.transformer().shape((table[0].shape[1],))

    def _size(self) -> tuple[int, int] | None:
        if self.size != (0, 0):
            return self.size
        if self.reading.height and self.reading.width:
            return self.reading.height, self.reading.width
        if self.mean is not None and self.mean.ndim == 3:
            return self.mean.shape[1], self.mean.shape[2]
        return None

    def samples(self, path: str, shape: Shape) -> Iterator[tuple[str, Array]]:
        """The name and the prepared values, of this shape, of every sample in a file."""
        transformer = self.transformer()
        for name, raw in self._raw(path, shape):
            found = _common(raw, shape, transformer)
            if found is None:
                extents = show(raw.shape)
                raise DataError(
                    Problem(f"{name} is {extents}, but the net takes samples of {show(shape)}")
                )
            out = np.empty(shape, np.float32)
            transformer(found, out)
            yield name, out

    def _raw(self, path: str, shape: Shape) -> Iterator[tuple[str, Array]]:
        if is_image(path):
            yield path, self._image(path, shape)
        elif path.endswith(".npy"):
            (array,) = read_arrays(path, [""])
            if _common(array, shape, self.transformer()) is not None:
                yield path, array
            else:
                for i, row in enumerate(array if array.ndim else []):
                    yield f"{path}[{i}]", row
        else:
            for i, row in enumerate(self._table(path, shape)[0]):
                yield f"{path}[{i}]", row

    def _image(self, path: str, shape: Shape) -> Array:
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise DataError(
                Problem(f"{path} is an image, but the net takes samples of {show(shape)}")
            )
        image = read_image(path, shape[0] == 3)
        if self.param.has("resize_param"):
            return image  # the transformer brings it to its size
        size = self._size()
        if size is None:
            crop = self.param.crop_size
            size = (crop, crop) if crop else (shape[1], shape[2])
            if self.cropped and crop and min(image.shape[1:]) >= crop:
                return image
            if image.shape[1:] != size:
                self.note(
                    f"images are resized to {size[0]}x{size[1]}, which the net takes; "
                    "--resize HxW says it otherwise"
                )
        return resize(image, *size)

    def _table(self, path: str, shape: Shape = ()) -> list[Array]:
        table = open_table(path, self.table.get("delimiter", ","), None)
        label = None
        if shape and table.columns == np.prod(shape) + 1 and "label" in self.table:
            label = table.column(self.table["label"])
        elif shape and table.columns != np.prod(shape):
            raise DataError(
                Problem(
                    f'"{path}" has {table.columns} columns, but the net takes {show(shape)}',
                    expected=f"{np.prod(shape)} columns",
                )
            )
        if label is None:
            return table.read(None, [])
        names = table.column(self.table["label"])
        return [_without(table.read(None, []), names)]


def _without(arrays: Sequence[Array], column: int) -> Array:
    return np.delete(arrays[0], column, axis=1)


def _common(raw: Array, shape: Shape, transformer: Transformer) -> Array | None:
    """The sample in the axes that the transform takes, or None if it does not fit the net."""
    forms = [raw.shape]
    if raw.ndim == len(shape) - 1:
        forms.append((1, *raw.shape))  # a plane of one channel
    if raw.ndim == 1 and raw.size == np.prod(shape):
        forms.append(shape)  # a row of a table
    for form in forms:
        try:
            if transformer.shape(form) == shape:
                return raw.reshape(form)
        except DataError:
            continue
    return None


def is_image(path: str) -> bool:
    """By its name."""
    return path.lower().endswith(SUFFIXES)


def files_of(paths: Sequence[str]) -> list[str]:
    """The files that are named, and all images of the folders that are named, sorted; a folder's
    own folders too. Raises CaffeliteError for what cannot be a sample."""
    found: list[str] = []
    problems = []
    for path in paths:
        if os.path.isdir(path):
            inside = sorted(
                str(p) for p in Path(path).rglob("*") if is_image(p.name) and p.name[0] != "."
            )
            found += inside
            if not inside:
                problems.append(
                    Problem(f'"{path}" holds no images', expected="files in " + " ".join(SUFFIXES))
                )
        elif not os.path.exists(path):
            problems.append(Problem(f'there is no file "{path}"'))
        elif is_image(path) or path.lower().endswith((".npy", ".csv", ".tsv", ".txt")):
            found.append(path)
        else:
            problems.append(
                Problem(f'"{path}" is no sample', expected="an image, a folder, .npy or .csv")
            )
    if problems:
        raise CaffeliteError(*problems)
    return found

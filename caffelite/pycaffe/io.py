"""caffe.io: images in and out of blobs, and messages to arrays and back.

Images are arrays (H, W, K) of float32 from 0 to 1, colours in the order R, G, B, as pycaffe has
them. Where this differs from pycaffe: images are read by Pillow, `resize_image` needs neither
scikit-image nor SciPy and does not smooth before it reduces (as scikit-image did not when Caffe was
made), `preprocess` leaves the caller's array as it is, and errors say what was expected.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np

from caffelite.blob import Array
from caffelite.data.images import read_image
from caffelite.data.resizing import mix, spread, taps
from caffelite.errors import DataError, Problem, did_you_mean


class BadShape(DataError, ValueError):
    """What does not fit: a ValueError, as in pycaffe."""


def __getattr__(name: str) -> Any:
    if name == "caffe_pb2":  # scripts reach for it here
        return _messages()
    raise AttributeError(f"module 'caffe.io' has no attribute {name!r}")


def _messages() -> Any:
    return import_module("caffelite.pycaffe.proto.caffe_pb2")


# Messages and arrays.


def blobproto_to_array(blob: Any, return_diff: bool = False) -> Array:
    """The data of a BlobProto, or its diff: float64, in the message's shape, which may be the old
    one of four extents."""
    if return_diff:
        values = np.array(blob.diff if len(blob.diff) else blob.double_diff)
    else:
        values = np.array(blob.data if len(blob.data) else blob.double_data)
    old = ("num", "channels", "height", "width")
    if any(blob.HasField(name) for name in old):
        return values.reshape([getattr(blob, name) for name in old])
    return values.reshape(tuple(blob.shape.dim))


def array_to_blobproto(arr: Any, diff: Any = None) -> Any:
    """A BlobProto of an array, and of a diff of the same shape."""
    blob, array = _messages().BlobProto(), np.asarray(arr)
    blob.shape.dim.extend(array.shape)
    blob.data.extend(array.astype(float).ravel())
    if diff is not None:
        blob.diff.extend(np.asarray(diff).astype(float).ravel())
    return blob


def arraylist_to_blobprotovector_str(arraylist: Iterable[Any]) -> bytes:
    """The bytes of a BlobProtoVector of arrays."""
    vector = _messages().BlobProtoVector()
    vector.blobs.extend([array_to_blobproto(array) for array in arraylist])
    data: bytes = vector.SerializeToString()
    return data


def blobprotovector_str_to_arraylist(str: bytes) -> list[Array]:
    """The arrays in the bytes of a BlobProtoVector."""
    vector = _messages().BlobProtoVector()
    vector.ParseFromString(str)
    return [blobproto_to_array(blob) for blob in vector.blobs]


def array_to_datum(arr: Any, label: int | None = None) -> Any:
    """A Datum of an array (K, H, W): uint8 as bytes, others as numbers. Raises ValueError for other
    than three axes."""
    array = np.asarray(arr)
    if array.ndim != 3:
        raise BadShape(
            Problem(f"Incorrect array shape: {array.shape}", expected="three axes (K, H, W)")
        )
    datum = _messages().Datum()
    datum.channels, datum.height, datum.width = array.shape
    if array.dtype == np.uint8:
        datum.data = array.tobytes()
    else:
        datum.float_data.extend(array.astype(float).ravel())
    if label is not None:
        datum.label = int(label)
    return datum


def datum_to_array(datum: Any) -> Array:
    """The values of a Datum (K, H, W): uint8, or float64. Its label is `datum.label`."""
    shape = datum.channels, datum.height, datum.width
    if getattr(datum, "encoded", False):
        raise BadShape(
            Problem(
                "the datum holds an image file, not pixels",
                hint="PIL.Image.open(io.BytesIO(datum.data)) decodes it",
            )
        )
    if len(datum.data):
        return np.frombuffer(datum.data, np.uint8).copy().reshape(shape)
    return np.array(datum.float_data, float).reshape(shape)


# Preparing images.


class Transformer:
    """Prepares images for a net's inputs, and shows blobs as images again.

    `inputs` gives the shape of each input by name: `Transformer({"data": net.blobs["data"].data.
    shape})`. What has been set is done in this order: resize to the input's size, transpose, swap
    channels, times raw scale, minus mean, times input scale."""

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, Array] = {}
        self.input_scale: dict[str, float] = {}

    def _check_input(self, in_: str) -> None:
        if in_ not in self.inputs:
            names = list(self.inputs)
            raise BadShape(
                Problem(
                    f"{in_} is not one of the net inputs: {', '.join(names)}",
                    hint=did_you_mean(in_, names),
                )
            )

    def preprocess(self, in_: str, data: Any) -> Array:
        """An image (H, W, K) as the input (K, H, W), float32; `data` stays as it is."""
        self._check_input(in_)
        image = np.array(data, np.float32)
        size = tuple(self.inputs[in_][2:])
        if image.shape[:2] != size:
            image = resize_image(image, size)
        if in_ in self.transpose:
            image = image.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            image = image[list(self.channel_swap[in_]), :, :]
        if in_ in self.raw_scale:
            image *= self.raw_scale[in_]
        if in_ in self.mean:
            image -= self.mean[in_]
        if in_ in self.input_scale:
            image *= self.input_scale[in_]
        return image

    def deprocess(self, in_: str, data: Any) -> Array:
        """The image that an input was made of, but for its size."""
        self._check_input(in_)
        image: Array = np.array(data).squeeze()
        if in_ in self.input_scale:
            image /= self.input_scale[in_]
        if in_ in self.mean:
            image += self.mean[in_]
        if in_ in self.raw_scale:
            image /= self.raw_scale[in_]
        if in_ in self.channel_swap:
            image = image[np.argsort(self.channel_swap[in_]), :, :]
        if in_ in self.transpose:
            image = image.transpose(np.argsort(self.transpose[in_]))
        return image

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The order of an image's axes in the input: (2, 0, 1) makes (K, H, W) of (H, W, K)."""
        self._check_input(in_)
        if len(order) != len(self.inputs[in_]) - 1:
            raise BadShape(
                "Transpose order needs to have the same number of dimensions as the input: "
                f"{len(self.inputs[in_]) - 1} without the batch, not {len(order)}"
            )
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order of channels, after `set_transpose`: (2, 1, 0) makes B, G, R of R, G, B."""
        self._check_input(in_)
        if len(order) != self.inputs[in_][1]:
            raise BadShape(
                "Channel swap needs to have the same number of dimensions as the input channels: "
                f"{self.inputs[in_][1]}, not {len(order)}"
            )
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """A factor before the mean is taken off: 255 for nets that learned from bytes."""
        self._check_input(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: Array) -> None:
        """What is taken off: one number for each channel, or an image (K, H, W) or (H, W), which is
        resized to the input. Raises ValueError for other shapes."""
        self._check_input(in_)
        mean = np.asarray(mean)
        expected = tuple(self.inputs[in_][1:])
        if mean.ndim == 1:
            if len(mean) != expected[0]:
                raise BadShape(
                    f"Mean channels incompatible with input: {len(mean)}, not {expected[0]}"
                )
            mean = mean[:, np.newaxis, np.newaxis]
        else:
            if mean.ndim not in (2, 3):
                raise BadShape(
                    Problem(
                        f"Mean shape invalid: {mean.shape}", expected="(K,), (H, W) or (K, H, W)"
                    )
                )
            image = mean if mean.ndim == 3 else mean[np.newaxis]
            if image.shape != expected:
                mean = resize_image(image.transpose(1, 2, 0), expected[1:]).transpose(2, 0, 1)
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """A factor after the mean is taken off."""
        self._check_input(in_)
        self.input_scale[in_] = scale


# Images.


def load_image(filename: str | os.PathLike[str] | BinaryIO, color: bool = True) -> Array:
    """An image file, by its name or opened, as (H, W, 3), or without `color` as (H, W, 1): float32
    from 0 to 1. An alpha channel is left out; colours become grey as
    0.2125 R + 0.7154 G + 0.0721 B."""
    source = filename if isinstance(filename, (str, os.PathLike)) else filename.read()
    planes = read_image(source, None)  # B G R, with A if there is one
    if len(planes) == 1 and color:
        planes = np.repeat(planes, 3, 0)
    image = planes[2::-1] if len(planes) > 1 else planes
    image = image.transpose(1, 2, 0).astype(np.float32) / np.float32(255)
    if not color and image.shape[2] == 3:
        image = (image @ np.array([0.2125, 0.7154, 0.0721], np.float32))[:, :, np.newaxis]
    return np.ascontiguousarray(image)


def resize_image(im: Array, new_dims: Sequence[int], interp_order: int = 1) -> Array:
    """An image (H, W, K) with `new_dims` (rows, columns), float32.

    `interp_order` 1 mixes the pixels beside each place, 0 takes the nearest. With 1 or 3 channels
    pixels are squares: output place x lies at x' = (x + 1/2)·W/W' - 1/2, and beyond the edge there
    is the image's least value, which darkens the rim of an enlarged image. With other numbers of
    channels the corners stay where they are: x' = x·(W - 1)/(W' - 1). Both are pycaffe's."""
    image = np.asarray(im)
    rows, columns = (int(n) for n in new_dims)
    if image.ndim != 3:
        raise BadShape(Problem(f"an image of shape {image.shape}", expected="(H, W, K)"))
    if interp_order not in (0, 1):
        raise BadShape(
            Problem(
                f"interp_order={interp_order}",
                expected="0 (the nearest pixel) or 1 (linear)",
                hint="scipy.ndimage.zoom has higher orders",
            )
        )
    height, width, channels = image.shape
    squares = channels in (1, 3)
    wide = image.astype(np.float64)
    if squares:  # one pixel more on each side, of the least value
        wide = np.pad(wide, ((1, 1), (1, 1), (0, 0)), constant_values=wide.min())
    y0, y1, v = _places(height, rows, interp_order, squares)
    x0, x1, u = _places(width, columns, interp_order, squares)
    flat = wide.reshape(1, len(wide), -1)
    x0, x1 = spread(x0, channels), spread(x1, channels)
    mixed = mix(flat, y0, y1, v[:, np.newaxis], x0, x1, np.repeat(u, channels))
    return mixed.reshape(rows, columns, channels).astype(np.float32)


def _places(size: int, new: int, order: int, squares: bool) -> tuple[Array, Array, Array]:
    """For each output place the two input places and the part of the second."""
    if squares:
        first, second, part = taps(new, size, size / new)
        first, second, last = first + 1, second + 1, size + 1
    else:
        at = np.arange(new) * ((size - 1) / (new - 1) if new > 1 else 0.0)
        first = np.minimum(np.floor(at).astype(np.intp), size - 1)
        second, part, last = first + 1, at - first, size - 1
    if order == 0:
        part = np.floor(part + 0.5)
        if squares:
            first, second = np.clip(first, 1, size), np.clip(second, 1, size)
    return first, np.minimum(second, last), part


def oversample(images: Iterable[Array], crop_dims: Sequence[int]) -> Array:
    """Ten crops of each image (H, W, K): the four corners, the centre, and their mirror images.
    (10·N, rows, columns, K), float32."""
    pictures = list(images)
    height, width = (int(n) for n in crop_dims)
    rows, columns, channels = pictures[0].shape
    if rows < height or columns < width:
        raise BadShape(f"crops of {height} x {width} from images of {rows} x {columns}")
    corners = [(y, x) for y in (0, rows - height) for x in (0, columns - width)]
    corners.append((int((rows - height) / 2.0), int((columns - width) / 2.0)))
    crops = np.empty((len(pictures), 10, height, width, channels), np.float32)
    for image, ten in zip(pictures, crops):
        for k, (y, x) in enumerate(corners):
            ten[k] = image[y : y + height, x : x + width]
        ten[5:] = ten[:5, :, ::-1]
    return crops.reshape(-1, height, width, channels)

"""caffe.io: arrays to messages and back; caffe.coord_map with NetSpec's tops."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite import pycaffe as caffe
from caffelite.pycaffe import io
from caffelite.pycaffe.coord_map import coord_map_from_to, crop

L = caffe.layers
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7


def test_blobs() -> None:
    blob = io.array_to_blobproto(X, diff=-X)
    assert np.array_equal(io.blobproto_to_array(blob), X)
    assert np.array_equal(io.blobproto_to_array(blob, return_diff=True), -X)
    old = io.caffe_pb2.BlobProto(num=1, channels=2, height=3, width=4)
    old.data.extend(X.ravel())
    assert io.blobproto_to_array(old).shape == (1, 2, 3, 4)
    data = io.arraylist_to_blobprotovector_str([X, X[0]])
    assert isinstance(data, bytes)
    for found, array in zip(io.blobprotovector_str_to_arraylist(data), (X, X[0])):
        assert np.array_equal(found, array)


def test_datums() -> None:
    pixels = (X * 30).astype(np.uint8)
    datum = io.array_to_datum(pixels, 5)
    assert datum.label == 5 and datum.data == pixels.tobytes()
    assert io.datum_to_array(datum).dtype == np.uint8
    assert np.array_equal(io.datum_to_array(datum), pixels)
    assert np.array_equal(io.datum_to_array(io.array_to_datum(X)), X)
    with pytest.raises(ValueError, match="Incorrect array shape"):
        io.array_to_datum(X[0])
    with pytest.raises(ValueError, match="an image file"):
        io.datum_to_array(io.caffe_pb2.Datum(encoded=True, data=b"x"))


def test_tops_of_a_net_spec_are_cropped() -> None:
    n = caffe.NetSpec()
    n.data = L.Input(input_param={"shape": {"dim": [1, 1, 100, 100]}})
    n.conv = L.Convolution(n.data, kernel_size=5, num_output=2)
    n.half = L.Pooling(n.conv, kernel_size=2, stride=2)
    n.back = L.Deconvolution(n.half, convolution_param={"kernel_size": 4, "stride": 2})
    axis, scale, shift = coord_map_from_to(n.data, n.conv)
    assert (axis, scale, shift) == (1, 1, -2)
    n.cut = crop(n.data, n.conv)
    text = str(n.to_proto())
    assert 'type: "Crop"' in text and "offset: 2" in text and "axis: 2" in text
    n.cut2 = crop(n.back, n.conv)
    assert "offset: 1" in str(n.to_proto())

"""Image2BlobParams, soft suppression, maps and half precision, with OpenCV 4's numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caffelite
from caffelite import dnn
from caffelite.errors import CaffeliteError, DataError, NetError

from .opencv_numbers import KEPT, MAPS, PARAMS, SOFT, boxes, image, params, rects

NUMBERS = np.load(KEPT)


def ours(how: dict[str, Any]) -> dnn.Image2BlobParams:
    made: dnn.Image2BlobParams = params(sys.modules["caffelite"], how)
    return made


@pytest.mark.parametrize("case", PARAMS)
def test_blobs_are_opencvs(case: str) -> None:
    picture, how = PARAMS[case]
    blob, expected = dnn.blobFromImageWithParams(picture, ours(how)), NUMBERS[f"params {case}"]
    assert blob.dtype == expected.dtype and blob.shape == expected.shape
    assert np.array_equal(blob, expected)


def test_boxes_come_back_to_the_image() -> None:
    for (mode, blob, picture, box), expected in zip(rects(), NUMBERS["rects"]):
        param = ours({"paddingmode": mode, "size": blob})
        assert param.blobRectToImageRect(box, picture) == tuple(expected)
    both = param.blobRectsToImageRects([box, box], picture)
    assert both.tolist() == [list(expected)] * 2
    assert param.blobRectsToImageRects([], picture).shape == (0, 4)


def test_several_images_and_no_params() -> None:
    pictures = [image(5, 7, 3), image(9, 4, 3)]
    blob = dnn.blobFromImagesWithParams(pictures, ours({"size": (6, 6)}))
    assert np.array_equal(blob, dnn.blobFromImages(pictures, 1, (6, 6)))
    plain = dnn.blobFromImageWithParams(pictures[0])
    assert np.array_equal(plain, dnn.blobFromImage(pictures[0]))
    given = dnn.Image2BlobParams((0.5,) * 4, (3, 4), (1, 2, 3), True)
    want = dnn.blobFromImage(pictures[0], 0.5, (3, 4), (1, 2, 3), True)
    assert np.array_equal(dnn.blobFromImageWithParams(pictures[0], given), want)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"datalayout": 1}, "datalayout=1"),
        ({"paddingmode": 3}, "paddingmode=3"),
        ({"size": (0, 5)}, r"size=\(0, 5\)"),
        ({"ddepth": 0, "scalefactor": (2, 1, 1, 1)}, "neither scaled"),
        ({"size": (1, 9), "paddingmode": 2}, "an image of 7 x 5 does not fit into 1 x 9"),
    ],
)
def test_what_cannot_be_is_refused(how: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        dnn.blobFromImageWithParams(image(5, 7, 3), ours(how))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("number", range(len(SOFT)))
def test_soft_suppression_is_opencvs(seed: int, number: int) -> None:
    found, scores, _ = boxes(seed)
    values, kept = dnn.softNMSBoxes(found, scores, 0.2, 0.3, **SOFT[number])
    expected = NUMBERS[f"soft {seed} {number}"]
    assert np.array_equal(kept, expected[1]) and np.asarray(values).dtype == np.float32
    assert np.allclose(values, expected[0], rtol=1e-6)


def test_soft_suppression_of_nothing_and_of_boxes_without_an_area() -> None:
    assert dnn.softNMSBoxes([], [], 0.1, 0.3) == ((), ())
    assert dnn.softNMSBoxes([[0, 0, 1, 1]], [0.05], 0.1, 0.3) == ((), ())
    values, kept = dnn.softNMSBoxes([[0, 0, 0, 0], [0, 0, 0, 0]], [0.5, 0.25], 0.1, 0.3)
    assert kept == pytest.approx([0, 1]) and values == pytest.approx([0.5, 0.25])
    with pytest.raises(DataError, match="method=0"):
        dnn.softNMSBoxes([[0, 0, 1, 1]], [0.5], 0.1, 0.3, method=0)
    with pytest.raises(DataError, match="sigma=0"):
        dnn.softNMSBoxes([[0, 0, 1, 1]], [0.5], 0.1, 0.3, sigma=0)


def test_maps_give_points_and_classes() -> None:
    frame = image(24, 40, 4)
    points = dnn.KeypointsModel(dnn.readNetFromCaffe(MAPS.encode())).setInputSize(5, 6)
    found = points.estimate(frame, 0.83)
    assert found.dtype == np.float32 and np.array_equal(found, NUMBERS["points"])
    assert {(-1.0, -1.0)} < {tuple(p) for p in found.tolist()}
    classes = dnn.SegmentationModel(dnn.readNetFromCaffe(MAPS.encode())).setInputSize(5, 6)
    mask = classes.segment(frame)
    assert mask.dtype == np.uint8 and np.array_equal(mask, NUMBERS["classes"])
    flat = MAPS + 'layer { name: "f" type: "Flatten" bottom: "y" top: "f" }'
    with pytest.raises(NetError, match=r'the output "f" is 1 x 120 \(120\)'):
        dnn.SegmentationModel(dnn.readNetFromCaffe(flat.encode())).setInputSize(5, 6).segment(frame)


def test_parameters_in_half_precision(tmp_path: Path) -> None:
    text = tmp_path / "a.prototxt"
    text.write_text("""
    layer { name: "in" type: "Input" top: "x"
      input_param { shape { dim: 1 dim: 2 dim: 3 dim: 3 } } }
    layer { name: "c" type: "Convolution" bottom: "x" top: "c"
      convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } }
    layer { name: "s" type: "Scale" bottom: "c" top: "s" scale_param { filler { value: 0.1 } } }
    """)
    net = caffelite.Net(str(text), caffelite.TEST, seed=0)
    whole, half, scale = (
        tmp_path / name for name in ("w.caffemodel", "h.caffemodel", "s.caffemodel")
    )
    net.save(str(whole))
    dnn.shrinkCaffeModel(whole, half)
    dnn.shrinkCaffeModel(str(whole), str(scale), ["Scale"])
    w = net.params["c"][0].data
    first, second = (dnn.readNetFromCaffe(str(text), str(p)) for p in (half, scale))
    assert np.array_equal(first.getParam("c"), w.astype(np.float16).astype(np.float32))
    assert np.array_equal(second.getParam("c"), w)
    assert first.getParam("s")[0, 0] == np.float32(0.1)
    assert second.getParam("s")[0, 0] == np.float32(np.float16(0.1))
    net.params["c"][0].data[...] = 1e6
    net.save(str(whole))
    with pytest.raises(CaffeliteError, match="too large for half precision"):
        dnn.shrinkCaffeModel(whole, half)

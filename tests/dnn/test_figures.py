"""Shapes, operations and memory, and boxes that are turned: OpenCV 4.14's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite import dnn
from caffelite.errors import DataError, NetError

TEXT = b"""
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "s" type: "Slice" bottom: "p" top: "s1" top: "s2" slice_param { axis: 1 } }
layer { name: "ip" type: "InnerProduct" bottom: "s1" top: "ip" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
layer { name: "ip2" type: "InnerProduct" bottom: "s2" top: "ip2" inner_product_param { num_output: 2 } }
"""  # noqa: E501
SHAPE = [1, 3, 8, 8]
OPERATIONS = [0, 14080, 256, 256, 0, 480, 20, 192]
MEMORY = [(0, 768), (448, 1024), (0, 1024), (0, 256), (0, 256), (660, 20), (0, 20), (264, 8)]


def test_operations_and_memory_are_opencvs() -> None:
    net = dnn.readNetFromCaffe(TEXT)
    assert [net.getFLOPS(n, SHAPE) for n in range(8)] == OPERATIONS
    assert net.getFLOPS(SHAPE) == net.getFLOPS([SHAPE]) == sum(OPERATIONS) == 15284
    assert net.getFLOPS([[2, 3, 8, 8]]) == 2 * 15284
    assert [net.getMemoryConsumption(n, SHAPE) for n in range(8)] == MEMORY
    assert net.getMemoryConsumption(SHAPE) == (1372, 3376)
    with pytest.raises(NetError, match="no layer number 8: there are 0 to 7"):
        net.getFLOPS(8, SHAPE)
    with pytest.raises(NetError, match="2 shapes, but the net has 1 inputs"):
        net.getFLOPS([SHAPE, SHAPE])


@pytest.mark.parametrize(
    ("layer", "operations"),
    [
        ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 group: 2 }', 10512),
        ('type: "Deconvolution" convolution_param { num_output: 2 kernel_size: 2 }', 4096),
        ('type: "Pooling" pooling_param { pool: AVE kernel_size: 3 }', 1440),
        ('type: "Pooling" pooling_param { pool: AVE global_pooling: true }', 8),
        ('type: "Pooling" pooling_param { kernel_h: 1 kernel_w: 8 }', 256),
        ('type: "Sigmoid"', 768),
        ('type: "Eltwise" bottom: "data"', 512),
        ('type: "Power" power_param { scale: 2 }', 512),
        ('type: "Power" power_param { power: 2 }', 2560),
        ('type: "Flatten"', 0),
    ],
)
def test_operations_of_other_layers(layer: str, operations: int) -> None:
    head = 'layer { name: "d" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4 dim: 8 dim: 8 } } }'  # noqa: E501
    net = dnn.readNetFromCaffe(
        f'{head}\nlayer {{ name: "y" bottom: "data" top: "y" {layer} }}'.encode()
    )
    assert net.getFLOPS(1, [1, 4, 8, 8]) == operations


def test_shapes_of_all_layers() -> None:
    numbers, reads, makes = dnn.readNetFromCaffe(TEXT).getLayersShapes([2, 3, 8, 8])
    assert numbers.tolist() == list(range(8)) and numbers.dtype == np.int32
    assert [[s.tolist() for s in shapes] for shapes in reads][:3] == [
        [[2, 3, 8, 8]],
        [[2, 3, 8, 8]],
        [[2, 4, 8, 8]],
    ]
    assert [s.tolist() for s in makes[4]] == [[2, 2, 4, 4], [2, 2, 4, 4]]
    assert makes[7][0].tolist() == [2, 2] and makes[7][0].dtype == np.int32


def test_what_fuses_or_not_is_accepted() -> None:
    net = dnn.readNetFromCaffe(TEXT)
    net.enableFusion(False)
    net.enableWinograd(True)


BOXES = [((10, 10), (10, 4), 0), ((11, 10), (10, 4), 20), ((30, 30), (5, 5), 45)]


def test_turned_boxes_are_thinned_out() -> None:
    kept = dnn.NMSBoxesRotated(BOXES, [0.9, 0.8, 0.7], 0.5, 0.3)
    assert isinstance(kept, np.ndarray) and kept.tolist() == [0, 2] and kept.dtype == np.int32
    assert dnn.NMSBoxesRotated(BOXES, [0.9, 0.8, 0.7], 0.95, 0.3) == ()
    best = dnn.NMSBoxesRotated(BOXES, [0.7, 0.8, 0.9], 0.5, 0.3, top_k=1)
    assert list(best) == [2]
    # turned by 90 degrees it is the same square; by 45 it shares 2·(√2 - 1) of its area
    square = [((0, 0), (2, 2), 0), ((0, 0), (2, 2), 90), ((0, 0), (2, 2), 45)]
    share = 2 * (2**0.5 - 1)
    overlap = share / (2 - share)
    assert list(dnn.NMSBoxesRotated(square, [3, 2, 1], 0, overlap + 1e-6)) == [0, 2]
    assert list(dnn.NMSBoxesRotated(square, [3, 2, 1], 0, overlap - 1e-6)) == [0]
    assert list(dnn.NMSBoxesRotated(square, [3, 2, 1], 0, 0.9, eta=0.5)) == [0]


def test_other_boxes_are_refused() -> None:
    with pytest.raises(DataError, match="a turned box"):
        dnn.NMSBoxesRotated([(1, 2, 3, 4)], [1], 0.5, 0.5)
    with pytest.raises(DataError, match="3 boxes, but 1 scores"):
        dnn.NMSBoxesRotated(BOXES, [1], 0.5, 0.5)
    with pytest.raises(DataError, match="eta is above 0"):
        dnn.NMSBoxesRotated(BOXES, [1, 1, 1], 0.5, 0.5, eta=0)

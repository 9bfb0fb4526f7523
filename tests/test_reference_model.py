"""LeNet as the original Caffe trained it gives here what it gave there."""

import os
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.data.idx import read_idx
from caffelite.files import parse_net

REFERENCE = Path(__file__).parent / "reference"
MODEL = REFERENCE / "models" / "lenet_mnist8500.caffemodel"
DIGITS = Path(os.environ.get("CAFFELITE_MNIST", Path(__file__).parents[1] / "data" / "mnist"))

BODY = """
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 20 kernel_size: 5 } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
        pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
        convolution_param { num_output: 50 kernel_size: 5 } }
layer { name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2"
        pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "ip1" type: "InnerProduct" bottom: "pool2" top: "ip1"
        inner_product_param { num_output: 500 } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
        inner_product_param { num_output: 10 } }
"""


def lenet(source: str) -> caffelite.Net:
    return caffelite.Net(parse_net(source + BODY), str(MODEL), caffelite.TEST)


def test_it_knows_the_digits_of_the_reference_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REFERENCE / "data")
    net = lenet(
        'layer { name: "d" type: "Data" top: "data" top: "label" '
        'data_param { source: "digits_lmdb" backend: LMDB batch_size: 60 } '
        "transform_param { scale: 0.00390625 } }"
    )
    net.forward()
    right = net.blobs["ip2"].data.argmax(1) == net.blobs["label"].data
    # Some of the 60 were among the 8,500 it was trained on: nearly all of those it gets right.
    assert right.sum() >= 59


@pytest.mark.skipif(
    not (DIGITS / "t10k-images-idx3-ubyte.gz").exists(),
    reason="no MNIST digits: `caffelite data mnist data/mnist`, or CAFFELITE_MNIST=FOLDER",
)
def test_its_scores_are_those_that_caffe_recorded() -> None:
    recorded = np.load(MODEL.with_suffix(".npz"))
    images = read_idx(str(DIGITS / "t10k-images-idx3-ubyte.gz"))[8500:] * 0.00390625
    labels = read_idx(str(DIGITS / "t10k-labels-idx1-ubyte.gz"))[8500:]
    shape = "shape { dim: 1500 dim: 1 dim: 28 dim: 28 }"
    net = lenet(f'layer {{ name: "d" type: "Input" top: "data" input_param {{ {shape} }} }}')
    scores = net.forward(data=images[:, None])["ip2"]
    assert np.abs(scores[:100] - recorded["ip2"]).max() < 2e-5 * np.abs(recorded["ip2"]).max()
    assert int((scores.argmax(1) == labels).sum()) == int(recorded["correct"]) == 1472

"""Whole nets on PyTorch beside the reference: random graphs, looking, writing, parts, training."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install caffelite[torch]")

from caffelite import TEST, TRAIN, Net
from caffelite.engines.torch.device import CPU, Place

from ...run.test_random_graphs import Growing, in_place_text, net_of, passes
from .nets import APART, net_param, on_torch, pair

PLACES = pytest.mark.parametrize("place", [CPU, APART], ids=["cpu", "apart"])

SMALL = """
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 2 dim: 9 dim: 8 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "norm" type: "LRN" bottom: "conv" top: "norm" }
layer { name: "pool" type: "Pooling" bottom: "norm" top: "pool"
  pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool" top: "conv2"
  convolution_param { num_output: 4 kernel_size: 2 weight_filler { type: "xavier" } } }
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "norm2" type: "MVN" bottom: "conv2" top: "norm2" }
layer { name: "drop" type: "Dropout" bottom: "norm2" top: "norm2" }
layer { name: "sum" type: "Eltwise" bottom: "conv2" bottom: "norm2" top: "sum" }
layer { name: "ip" type: "InnerProduct" bottom: "sum" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def feed(net: Net, seed: int) -> None:
    rng = np.random.default_rng(seed)
    net.blobs["x"].data[...] = rng.normal(size=net.blobs["x"].shape)
    net.blobs["label"].data[...] = rng.integers(0, 3, net.blobs["label"].shape)


def alike(found: Net, expected: Net, tolerance: float = 1e-9) -> None:
    """Everything that can be seen."""
    for name, blob in expected.blobs.items():
        for of in ("data", "diff"):
            mine, theirs = getattr(found.blobs[name], of), getattr(blob, of)
            np.testing.assert_allclose(mine, theirs, tolerance, tolerance, err_msg=f"{name}.{of}")
    np.testing.assert_allclose(found.arena.data, expected.arena.data, tolerance, tolerance)
    np.testing.assert_allclose(found.arena.diff, expected.arena.diff, tolerance, tolerance)


@PLACES
@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_give_the_same(seed: int, place: Place) -> None:
    rng = np.random.default_rng(seed)
    grown = Growing(rng, cut=seed % 3 == 1)
    head = "force_backward: true\n" if seed % 3 == 0 else ""
    text = head + in_place_text(grown.steps, grown.width, rng)
    expected = passes(net_of(text, seed), seed)
    found = passes(on_torch(net_of(text, seed), place), seed)
    for there, here in zip(expected, found):
        for name, values in there.items():
            np.testing.assert_allclose(here[name], values, 1e-9, 1e-9, err_msg=name)


@PLACES
@pytest.mark.parametrize("phase", [TRAIN, TEST])
@pytest.mark.parametrize("looked", [False, True])
def test_blobs_show_the_same_after_every_pass(phase: int, looked: bool, place: Place) -> None:
    """Whether or not somebody looked before the first pass."""
    reference, net = pair(net_param(SMALL), phase, dtype=np.float64, seed=2, place=place)
    for seed in range(3):
        for each in (reference, net):
            if looked:
                for blob in each.blobs.values():
                    assert blob.data.shape == blob.diff.shape
            feed(each, seed)
            each.clear_param_diffs()
            each.forward()
            each.backward()
        alike(net, reference)


@PLACES
def test_what_is_written_between_passes_is_read(place: Place) -> None:
    reference, net = pair(net_param(SMALL), TRAIN, dtype=np.float64, seed=2, place=place)
    for each in (reference, net):
        feed(each, 0)
        each.forward()
        each.blobs["pool"].data[...] += 0.5
        each.forward(start="conv2")
        each.blobs["ip"].data[...] *= 2
        each.forward(start="loss")
        each.backward()
        each.blobs["norm"].diff[...] = 1
        each.backward(start="norm")
        each.params["ip"][0].data[...] *= 3
        each.params["conv"][0].diff[...] += 1
        each.forward()
        each.backward()
    alike(net, reference)


@PLACES
def test_an_array_that_was_kept_is_read_again_by_every_pass(place: Place) -> None:
    reference, net = pair(net_param(SMALL), TRAIN, dtype=np.float64, seed=2, place=place)
    for each in (reference, net):
        feed(each, 0)
        kept = each.blobs["x"].data
        for factor in (2, 3):
            kept *= factor
            each.forward()
            each.backward()
    alike(net, reference)


@PLACES
def test_other_shapes_and_back(place: Place) -> None:
    reference, net = pair(net_param(SMALL), TRAIN, dtype=np.float64, seed=2, place=place)
    for count in (4, 2, 4):
        for each in (reference, net):
            each.blobs["x"].reshape(count, 2, 9, 8)
            each.blobs["label"].reshape(count)
            each.reshape()
            feed(each, count)
            each.clear_param_diffs()
            each.forward()
            each.backward()
        alike(net, reference)


@PLACES
def test_a_label_that_is_no_class_is_refused(place: Place) -> None:
    from caffelite.errors import NetError

    net = on_torch(Net(net_param(SMALL), TRAIN, seed=2), place)
    feed(net, 0)
    net.blobs["label"].data[1] = 3
    with pytest.raises(NetError, match="label 3 of sample 1 is not a class"):
        net.forward_loss()


def test_lenet_trains_alike() -> None:
    """Fifty steps of momentum SGD."""
    losses = []
    for engine in ("numpy", "torch"):
        net = _lenet()
        if engine == "torch":
            on_torch(net)
        rng, velocity = np.random.default_rng(1), 0.0
        images = rng.normal(size=(16, 1, 28, 28))
        labels = np.arange(16) % 10
        found = []
        for _ in range(50):
            net.blobs["data"].data[...] = images
            net.blobs["label"].data[...] = labels
            net.clear_param_diffs()
            found.append(net.forward_backward())
            velocity = 0.9 * velocity + 0.01 * net.arena.diff
            net.arena.data[...] -= velocity
        losses.append(found)
    assert losses[0][-1] < 0.2 * losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], 2e-3, 2e-4)


def _lenet() -> Net:
    conv = 'weight_filler { type: "xavier" }'
    return Net(
        net_param(f"""
    layer {{ name: "data" type: "Input" top: "data"
             input_param {{ shape {{ dim: 16 dim: 1 dim: 28 dim: 28 }} }} }}
    layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: 16 }} }} }}
    layer {{ name: "c1" type: "Convolution" bottom: "data" top: "c1"
             convolution_param {{ num_output: 20 kernel_size: 5 {conv} }} }}
    layer {{ name: "p1" type: "Pooling" bottom: "c1" top: "p1"
             pooling_param {{ kernel_size: 2 stride: 2 }} }}
    layer {{ name: "c2" type: "Convolution" bottom: "p1" top: "c2"
             convolution_param {{ num_output: 50 kernel_size: 5 {conv} }} }}
    layer {{ name: "p2" type: "Pooling" bottom: "c2" top: "p2"
             pooling_param {{ kernel_size: 2 stride: 2 }} }}
    layer {{ name: "i1" type: "InnerProduct" bottom: "p2" top: "i1"
             inner_product_param {{ num_output: 500 {conv} }} }}
    layer {{ name: "r1" type: "ReLU" bottom: "i1" top: "i1" }}
    layer {{ name: "i2" type: "InnerProduct" bottom: "i1" top: "i2"
             inner_product_param {{ num_output: 10 {conv} }} }}
    layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "i2" bottom: "label" top: "loss" }}
    """),
        TRAIN,
        seed=3,
    )


HEADS = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 dim: 40 dim: 40 } } }
layer { name: "c1" type: "Convolution" bottom: "x" top: "c1"
        convolution_param { num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }
layer { name: "c2" type: "Convolution" bottom: "x" top: "c2"
        convolution_param { num_output: 8 kernel_size: 1 weight_filler { type: "msra" } } }
layer { name: "p1" type: "Permute" bottom: "c1" top: "p1"
        permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "p2" type: "Permute" bottom: "c2" top: "p2"
        permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "r1" type: "Reshape" bottom: "p1" top: "r1"
        reshape_param { shape { dim: 0 dim: -1 dim: 2 } } }
layer { name: "r2" type: "Reshape" bottom: "p2" top: "r2"
        reshape_param { shape { dim: 0 dim: -1 dim: 2 } } }
layer { name: "cat" type: "Concat" bottom: "r1" bottom: "r2" top: "cat" }
layer { name: "soft" type: "Softmax" bottom: "cat" top: "soft" softmax_param { axis: 2 } }
layer { name: "norm" type: "Power" bottom: "soft" top: "y" power_param { scale: 2 } }
"""


@PLACES
def test_a_view_outlives_the_blob_that_it_was_made_of(place: Place) -> None:
    """Nobody looks at a blob between: none of them is kept, and their memory is used again."""
    nets = [Net(net_param(HEADS), TEST, seed=1) for _ in range(2)]
    on_torch(nets[1], place)
    x = np.random.default_rng(0).normal(size=(1, 4, 40, 40))
    for _ in range(2):
        expected, found = (net.forward(x=x)["y"].copy() for net in nets)
        np.testing.assert_allclose(found, expected, 1e-5, 1e-6)
    for name in nets[0].blobs:
        ours, theirs = (net.blobs[name].data for net in nets)
        np.testing.assert_allclose(theirs, ours, 1e-5, 1e-5, err_msg=name)

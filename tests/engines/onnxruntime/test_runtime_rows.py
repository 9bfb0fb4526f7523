"""Nets whose blobs have as many rows as a layer finds, on ONNX Runtime and beside it on NumPy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install caffelite[onnx]")

from caffelite import Net

from .test_runtime_nets import agree, blobs_agree, pair

ROUTED = """
  layer { name: "in" type: "Input" top: "x" top: "rois"
    input_param { shape { dim: 1 dim: 4 dim: 8 dim: 8 } shape { dim: 6 dim: 5 } } }
  layer { name: "route" type: "ScaleRoute" bottom: "rois" top: "some"
    scale_route_param { low_scale: 4 } }
  layer { name: "pool" type: "ROIPooling" bottom: "x" bottom: "some" top: "pool"
    roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 1 } }
  layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
    inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
  layer { name: "relu" type: "ReLU" bottom: "fc" top: "fc" }
  layer { name: "end" type: "InnerProduct" bottom: "fc" top: "y"
    inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
"""
FOUR = """
  layer { name: "more" type: "Input" top: "z"
    input_param { shape { dim: 1 dim: 1 dim: 2 dim: 2 dim: 2 dim: 2 } } }
  layer { name: "four" type: "Convolution" bottom: "z" top: "w"
    convolution_param { num_output: 1 kernel_size: 1 weight_filler { type: "xavier" } } }
"""
"""What ONNX cannot say: then NumPy runs."""


def regions(net: Net, large: int) -> None:
    """Give it six regions, so many of which are large."""
    rois = np.zeros((6, 5))
    rois[:, 3:] = np.where(np.arange(6)[:, None] < large, 6, 1)
    net.blobs["rois"].data[...] = rois


@pytest.mark.parametrize("more", ["", FOUR], ids=["onnxruntime", "numpy"])
@pytest.mark.parametrize("asked", [False, True])
def test_as_many_rows_as_are_found(more: str, asked: bool) -> None:
    reference, net = pair(ROUTED + more)
    for large in (2, 5, 1, 5, 5, 6):
        for each in (reference, net):
            regions(each, large)
        agree(reference, net)
        assert net.blobs["y"].shape == (large, 2)
        for name in ("some", "pool", "fc"):  # though they may not have come out of the model
            assert net.blobs[name].shape == reference.blobs[name].shape
        if asked:
            blobs_agree(reference, net)
    blobs_agree(reference, net)
    assert net.executor.session.runs_on(2) == ("numpy" if more else "onnxruntime")


def test_parts_behind_what_finds_them() -> None:
    reference, net = pair(ROUTED)
    for large in (3, 4, 4, 2):
        for each in (reference, net):
            regions(each, large)
        agree(reference, net)
        for each in (reference, net):
            each.blobs["pool"].data[...] = each.blobs["pool"].data[::-1] + large
            each.forward(start="fc")
        np.testing.assert_allclose(
            net.blobs["y"].data, reference.blobs["y"].data, rtol=1e-5, atol=1e-6
        )
        assert net.blobs["y"].shape == (large, 2)
